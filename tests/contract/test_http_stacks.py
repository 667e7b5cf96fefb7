"""Every help desk is routed alike over a real connection, whether or not aiohttp is installed."""

import asyncio

from tests.helpers.desks import Desk
from tests.helpers.desks.base import by_name
from triage import Buckets, Outcome, Router


def test_a_message_is_routed_over_a_real_connection(desk: Desk, http_stack: str) -> None:
    async def route(url: str) -> Outcome:
        webhook = desk.write("The billing page is broken")
        settings = desk.fake.settings(url)
        router = Router(
            desk.fake.adapter(**settings),
            buckets=Buckets.default(desk.teams),
            classifier=by_name,
            clock=desk.now,
        )
        response = await router.handle_async(webhook.body, webhook.headers)
        await router.aclose()
        return response.outcome

    with desk.fake.serve() as url:
        outcome = asyncio.run(route(url))
    assert outcome.status == "routed", outcome
    (conversation,) = desk.fake.conversations.values()
    assert desk.assigned(conversation) == desk.teams["billing"]
    assert len(desk.fake.replies(conversation.id)) == 1
