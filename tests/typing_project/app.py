"""An application as a user with strict type checkers writes it. `test_typing.py` checks it; nothing runs it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import httpx

import triage
from triage import (
    Action,
    Assign,
    Bucket,
    Buckets,
    Close,
    Conversation,
    Event,
    Limits,
    MarkSpam,
    Note,
    Outcome,
    Reply,
    Router,
    SetFields,
    SetPriority,
    Snooze,
    Tag,
    Verdict,
    WebhookResponse,
    Worker,
)
from triage.classifiers import Claude, Rules
from triage.inbox import MemoryInbox, SQLiteInbox
from triage.testing import FakeIntercom, FaultyInbox
from triage.vendors import Intercom

VERSION: str = triage.__version__

# Policy

ACTIONS: list[Action] = [
    Assign(team="12345"),
    Assign(team=12345),
    Assign(user="67890"),
    Reply("Hi {customer_name}"),
    Reply(body="Hi"),
    Note("{bucket}: {reason}"),
    Tag("vip", "refund"),
    SetFields({"plan": "pro", "seats": 3, "trial": None}),
    SetPriority("high"),
    Snooze(timedelta(hours=4)),
    MarkSpam(),
    Close(),
]

BUCKETS = [
    Bucket("billing", "Invoices, charges and refunds.", [Assign(team=1), Reply("Hi")], min_confidence=0.6),
    Bucket("general", "Everything else.", ACTIONS[:1], mode="shadow", examples=["How does it work?"]),
    Bucket("spam", "Pitches.", [Close()]),
]


def extend_defaults() -> Buckets:
    return Buckets([*Buckets.default(teams={"billing": "1", "general": 2}), *BUCKETS[2:]], fallback="general")


# Classifiers


class Blocking:
    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        latest = conversation.latest
        return Verdict(bucket=buckets.names[0], confidence=0.9, reason=latest.text if latest else "")


class Awaiting:
    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        return Verdict(bucket=buckets.fallback.name, extra={"language": "en"})


def by_keyword(text: str) -> str:
    return "billing" if "invoice" in text else "general"


def by_verdict(text: str) -> Verdict:
    return Verdict(bucket=by_keyword(text))


async def by_service(text: str) -> str:
    return by_keyword(text)


# Routers


def create_adapter(fake: FakeIntercom) -> Intercom:
    return fake.adapter(region="eu", topics=["conversation.user.created", "conversation.user.replied"])


def create_routers(fake: FakeIntercom) -> Sequence[Router]:
    adapter = create_adapter(fake)
    client = httpx.Client(transport=fake.transport)
    return [
        Router(adapter, buckets=BUCKETS, classifier=Blocking(), review=[Note("{reason}")], http=client),
        Router(adapter, buckets=tuple(BUCKETS), classifier=Awaiting(), fallback="billing"),
        Router(adapter, buckets=extend_defaults(), classifier=by_keyword),
        Router(adapter, buckets=Buckets.default(), classifier=by_verdict, inbox=SQLiteInbox("triage.db")),
        Router(
            adapter, buckets=Buckets.default(), classifier=by_service, limits=Limits(max_per_conversation=(3, "1h"))
        ),
        Router(adapter, buckets=Buckets.default(), classifier=Claude("claude-haiku-4-5"), dry_run=True),
        Router(adapter, buckets=Buckets.default(), classifier=Rules.default(), on_failure="retry"),
        Router.from_env(Intercom, inbox=FaultyInbox(MemoryInbox())),
    ]


# Webhooks


def respond(router: Router, body: bytes) -> tuple[bytes, int, dict[str, str]]:
    response = router.handle(body, {"X-Hub-Signature": "sha1=0"})
    return response.body, response.status_code, response.headers


def read_outcome(router: Router, fake: FakeIntercom) -> Literal["routed", "other"]:
    webhook = fake.customer_writes("I was charged twice.")
    response: WebhookResponse = router.handle(webhook.body, webhook.headers)
    outcome: Outcome = response.outcome
    steps: list[str] = [step.detail for step in outcome.steps]
    if outcome.verdict is not None and outcome.verdict.fallback:
        steps.append(outcome.verdict.reason)
    return "routed" if response.outcome.status == "routed" and not steps else "other"


async def respond_async(router: Router, headers: list[tuple[bytes, bytes]]) -> str:
    return (await router.handle_async(b"{}", headers)).outcome.reason


def enqueue(router: Router, body: bytes) -> str | None:
    received = router.receive(body, {})
    if received.event is None:
        return received.outcome.reason
    stored = Event.model_validate_json(received.event.for_owner("sales").model_dump_json())
    return router.process(stored).status


def work(router: Router) -> None:
    worker = Worker(router)
    worker.start()
    worker.drain()
    with Worker(router, concurrency=1):
        pass
