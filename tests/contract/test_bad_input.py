"""What bad input gets: one row for each, through both doors. What happens behind each is tested where it happens."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import Desk, IntercomDesk
from triage import ConfigurationError, SetPriority
from triage.classifiers import Claude
from triage.policy import Bucket
from triage.testing import FakeClaude, Webhook

HELLO = "I was charged twice."


def forged(signature: str) -> Callable[[Desk], Webhook]:
    return lambda desk: Webhook(desk.fake.customer_writes(HELLO).body, {"X-Hub-Signature": signature})


def signed(body: bytes) -> Callable[[Desk], Webhook]:
    return lambda desk: Webhook(body, desk.sign(body))


def without(*path: str) -> Callable[[Desk], Webhook]:
    """A genuine delivery with a field missing."""

    def made(desk: Desk) -> Webhook:
        payload = json.loads(desk.fake.customer_writes(HELLO).body)
        place: Any = payload
        for name in path[:-1]:
            place = place[name]
        del place[path[-1]]
        return signed(json.dumps(payload).encode())(desk)

    return made


def by_agent(desk: Desk) -> Webhook:
    conversation = desk.fake.customer_writes(HELLO).conversation_id or ""
    return desk.fake.agent_writes("On it.", conversation=conversation)


TABLE: dict[str, tuple[Callable[[Desk], Webhook], int, str]] = {
    "no signature": (lambda desk: Webhook(desk.fake.customer_writes(HELLO).body, {}), 401, "refused"),
    "a wrong signature": (forged("sha1=" + "0" * 40), 401, "refused"),
    "a malformed signature": (forged("sha1"), 401, "refused"),
    "a signature that is not hex": (forged("sha1=" + "x" * 40), 401, "refused"),
    "a signature that is not ASCII": (forged("sha1=" + "é" * 40), 401, "refused"),
    "a signature of another scheme": (forged("sha256=" + "0" * 64), 401, "refused"),
    "an empty signature": (forged(""), 401, "refused"),
    "a body over the limit": (signed(b" " * (1024 * 1024 + 1)), 413, "refused"),
    "signed, but no JSON": (signed(b"hello"), 200, "malformed"),
    "signed, but empty": (signed(b""), 200, "malformed"),
    "signed, but no object": (signed(b"[]"), 200, "malformed"),
    "signed, with a field missing": (without("data", "item", "id"), 200, "malformed"),
    "signed, with a field of the wrong type": (
        signed(b'{"topic": "conversation.user.created", "app_id": "a", "data": 1}'),
        200,
        "malformed",
    ),
    "signed, 50,000 levels deep": (signed(b'{"a":' * 50_000 + b"1" + b"}" * 50_000), 200, "malformed"),
    "an unknown topic": (signed(b'{"topic": "conversation.admin.closed"}'), 200, "ignored"),
    "a message written by an agent": (by_agent, 200, "ignored"),
    "a message written by a bot": (lambda desk: desk.fake.bot_greets(), 200, "ignored"),
    "an empty text": (lambda desk: desk.fake.customer_writes(" "), 200, "ignored"),
}


@pytest.mark.parametrize("row", TABLE)
def test_a_delivery_of_this_kind_gets_this_answer_and_changes_nothing(row: str, api: Api) -> None:
    desk = IntercomDesk()
    make, status_code, status = TABLE[row]
    webhook = make(desk)
    answer = api.handle(desk.router(), webhook.body, webhook.headers)
    assert answer.status_code == status_code
    assert json.loads(answer.body) == {"status": status}
    assert answer.outcome is not None
    assert answer.outcome.status == status
    assert answer.outcome.reason
    assert desk.fake.calls == []


CLAUDE: dict[str, dict[str, Any]] = {
    "down": {"status": 500, "times": 9},
    "unreachable": {"drop": True, "times": 9},
    "overloaded": {"status": 529, "times": 9},
    "slow": {"stall": True, "times": 9},
    "refusing": {"stop_reason": "refusal", "content": []},
    "out of schema": {"content": [{"type": "text", "text": '{"label": "vip"}'}]},
    "speaking no JSON": {"content": [{"type": "text", "text": "Gladly!"}]},
    "out of money": {"status": 402},
}


@pytest.mark.parametrize("state", CLAUDE)
def test_claude_in_this_state_leads_to_the_fallback_bucket_with_the_reason(
    state: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes(HELLO)
    claude = FakeClaude()
    claude.fail(**CLAUDE[state])
    with claude.serve() as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
        classifier = Claude(deadline=0.3)
        with desk.router(classifier=classifier) as router:
            router._own_classifier = classifier  # so that it is closed with the router, on the event loop in use
            outcome = api.handle(router, webhook.body, webhook.headers).outcome
    assert outcome is not None
    assert outcome.status == "routed"
    assert outcome.verdict is not None
    assert (outcome.verdict.bucket, outcome.verdict.fallback) == ("general", True)
    assert outcome.verdict.reason.startswith("Claude")
    assert desk.fake.conversations[webhook.conversation_id or ""].team == desk.teams["general"]


SETTINGS: dict[str, tuple[Callable[[IntercomDesk], object], str]] = {
    "an empty secret": (lambda desk: desk.adapter(client_secret=""), "Set it"),
    "an unknown fallback": (lambda desk: desk.router(fallback="nowhere"), "Name one of them"),
    "an action that the vendor cannot do": (
        lambda desk: desk.router(review=[SetPriority("high")]),
        "Use Tag or SetFields",
    ),
    "no buckets": (lambda desk: desk.router(buckets=[]), "give at least one"),
    "two buckets of one name": (
        lambda desk: desk.router(buckets=[Bucket("general", "A"), Bucket("general", "B")]),
        "rename one of them",
    ),
}


@pytest.mark.parametrize("mistake", SETTINGS)
def test_a_mistake_in_the_settings_is_told_at_once_with_what_to_change(mistake: str) -> None:
    make, advice = SETTINGS[mistake]
    with pytest.raises(ConfigurationError, match=advice):
        make(IntercomDesk())
