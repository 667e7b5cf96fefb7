"""The answer to every kind of bad input, one row each, through the sync and the async entry point.

Other modules test the reasons where they arise.
"""

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


def forge(signature: str) -> Callable[[Desk], Webhook]:
    return lambda desk: Webhook(desk.fake.customer_writes(HELLO).body, {"X-Hub-Signature": signature})


def sign(body: bytes) -> Callable[[Desk], Webhook]:
    return lambda desk: Webhook(body, desk.sign(body))


def remove(*path: str) -> Callable[[Desk], Webhook]:
    """Remove a field from a genuine delivery and sign it again."""

    def make(desk: Desk) -> Webhook:
        payload = json.loads(desk.fake.customer_writes(HELLO).body)
        parent: Any = payload
        for name in path[:-1]:
            parent = parent[name]
        del parent[path[-1]]
        return sign(json.dumps(payload).encode())(desk)

    return make


def write_as_agent(desk: Desk) -> Webhook:
    conversation = desk.fake.customer_writes(HELLO).conversation_id or ""
    return desk.fake.agent_writes("On it.", conversation=conversation)


TABLE: dict[str, tuple[Callable[[Desk], Webhook], int, str]] = {
    "no signature": (lambda desk: Webhook(desk.fake.customer_writes(HELLO).body, {}), 401, "refused"),
    "a wrong signature": (forge("sha1=" + "0" * 40), 401, "refused"),
    "a malformed signature": (forge("sha1"), 401, "refused"),
    "a signature that is not hex": (forge("sha1=" + "x" * 40), 401, "refused"),
    "a signature that is not ASCII": (forge("sha1=" + "é" * 40), 401, "refused"),
    "a signature of another scheme": (forge("sha256=" + "0" * 64), 401, "refused"),
    "an empty signature": (forge(""), 401, "refused"),
    "a body over the limit": (lambda desk: sign(b" " * (desk.vendor.default_max_body + 1))(desk), 413, "refused"),
    "signed, but not JSON": (sign(b"hello"), 200, "malformed"),
    "signed, but empty": (sign(b""), 200, "malformed"),
    "signed, but not an object": (sign(b"[]"), 200, "malformed"),
    "signed, with a field missing": (remove("data", "item", "id"), 200, "malformed"),
    "signed, with a field of the wrong type": (
        sign(b'{"topic": "conversation.user.created", "app_id": "a", "data": 1}'),
        200,
        "malformed",
    ),
    "signed, 50,000 levels deep": (sign(b'{"a":' * 50_000 + b"1" + b"}" * 50_000), 200, "malformed"),
    "an unknown topic": (sign(b'{"topic": "conversation.admin.closed"}'), 200, "ignored"),
    "a message written by an agent": (write_as_agent, 200, "ignored"),
    "a message written by a bot": (lambda desk: desk.fake.bot_greets(), 200, "ignored"),
    "an empty text": (lambda desk: desk.fake.customer_writes(" "), 200, "ignored"),
}


@pytest.mark.parametrize("row", TABLE)
def test_bad_input_gets_its_documented_answer_and_changes_nothing(row: str, api: Api) -> None:
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
    "down": {"status": 500, "times": 10_000},
    "unreachable": {"drop": True, "times": 10_000},
    "overloaded": {"status": 529, "times": 10_000},
    "slow": {"stall": True, "times": 10_000},
    "refusing": {"stop_reason": "refusal", "content": []},
    "out of schema": {"content": [{"type": "text", "text": '{"label": "vip"}'}]},
    "not answering JSON": {"content": [{"type": "text", "text": "Gladly!"}]},
    "out of credit": {"status": 402},
}


@pytest.mark.parametrize("state", CLAUDE)
def test_a_failure_of_claude_leads_to_the_fallback_bucket_with_the_reason(
    state: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = IntercomDesk()
    webhook = desk.fake.customer_writes(HELLO)
    claude = FakeClaude()
    claude.fail(**CLAUDE[state])
    with claude.serve() as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
        classifier = Claude(deadline=0.05)
        with desk.router(classifier=classifier) as router:
            router._owns_classifier = True  # so that it is closed with the router, on the event loop in use
            outcome = api.handle(router, webhook.body, webhook.headers).outcome
    assert outcome is not None
    assert outcome.status == "routed"
    assert outcome.verdict is not None
    assert (outcome.verdict.bucket, outcome.verdict.fallback) == ("general", True)
    assert outcome.verdict.reason.startswith("Claude")
    assert desk.fake.conversations[webhook.conversation_id or ""].team == desk.teams["general"]


SETTINGS: dict[str, tuple[Callable[[IntercomDesk], object], str]] = {
    "an empty secret": (lambda desk: desk.adapter(client_secret=""), "Set it"),
    "an unknown fallback": (lambda desk: desk.router(fallback="nowhere"), "is not one of the buckets"),
    "an action that the vendor does not support": (
        lambda desk: desk.router(review=[SetPriority("high")]),
        "Use Tag or SetFields",
    ),
    "no buckets": (lambda desk: desk.router(buckets=[]), "Write at least one"),
    "two buckets with the same name": (
        lambda desk: desk.router(buckets=[Bucket("general", "A"), Bucket("general", "B")]),
        "Rename one of them",
    ),
}


@pytest.mark.parametrize("mistake", SETTINGS)
def test_a_wrong_setting_raises_at_once_and_says_what_to_change(mistake: str) -> None:
    make, advice = SETTINGS[mistake]
    with pytest.raises(ConfigurationError, match=advice):
        make(IntercomDesk())
