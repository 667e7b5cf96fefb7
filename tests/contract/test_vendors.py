"""Our five adapters under the contract that every adapter must pass, and under random input."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.helpers.api import Api
from tests.helpers.desks import BASE_URL, DESKS, Desk
from tests.helpers.json_paths import parts
from tests.helpers.routing import handle, only, route, said
from triage import (
    Action,
    Assign,
    Buckets,
    Close,
    ConfigurationError,
    Conversation,
    InvalidSignature,
    MarkSpam,
    Note,
    Reply,
    Router,
    SetFields,
    SetPriority,
    Snooze,
    Tag,
    Verdict,
)
from triage.actions import ACTIONS
from triage.models import Delivery, Request, Response
from triage.testing import FakeConversation, RateLimit, Refusal, WebhookKind, create_webhook, to_text

_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_values = st.recursive(_scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
_json = _values.map(lambda value: json.dumps(value).encode())

ROUTERS = {name: desk().router() for name, desk in DESKS.items()}


class TestSync(VendorContract):
    pass


class TestAsync(VendorContract):
    entry_point = "async"


# Random input


@settings(deadline=None)
@given(st.sampled_from(sorted(DESKS)), st.binary(), st.dictionaries(st.text(), st.text()))
@example(name="intercom", body=b"", headers={"X-Hub-Signature": "sha1=0f5518288d45121dbde717201948decab74ccd9b"})
def test_random_headers_are_never_accepted(name: str, body: bytes, headers: dict[str, str]) -> None:
    assert ROUTERS[name].receive(body, headers).status_code == 401


@settings(deadline=None)
@given(st.sampled_from(sorted(DESKS)), st.data())
def test_random_signed_bodies_never_raise(name: str, data: st.DataObject) -> None:
    """Random bytes, random JSON, and genuine payloads with a part of them replaced."""
    desk = DESKS[name]()
    body = data.draw(st.binary() | _json | _mutations(json.loads(desk.fake.customer_writes("Hello").body)))
    answer = ROUTERS[name].receive(body, desk.sign(body))
    assert answer.status_code == 200
    assert answer.event is not None or answer.outcome is not None


def test_a_deeply_nested_payload_is_malformed(desk: Desk, api: Api) -> None:
    for body in (b"[" * 50_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000):
        answer = api.handle(desk.router(), body, desk.sign(body))
        assert answer.status_code == 200
        assert answer.outcome is not None
        assert answer.outcome.status == "malformed"


def test_a_payload_that_is_not_as_documented_is_malformed(
    desk: Desk, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    router = desk.router()
    for payload in desk.malformed():
        caplog.clear()
        body = json.dumps(payload).encode()
        answer = api.handle(router, body, desk.sign(body))
        assert answer.status_code == 200, payload
        assert answer.outcome is not None
        assert answer.outcome.status == "malformed", payload
        assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert desk.fake.calls == []


def test_what_needs_no_answer_is_ignored_with_the_reason(desk: Desk, api: Api) -> None:
    router = desk.router()
    for reason, webhook in desk.ignored():
        calls = len(desk.fake.calls)
        answer = api.handle(router, webhook.body, webhook.headers)
        assert answer.status_code == 200
        assert answer.outcome is not None
        assert (answer.outcome.status, answer.outcome.reason) == ("ignored", reason)
        assert len(desk.fake.calls) == calls


def test_an_adapter_declares_what_it_can_and_what_to_use_instead(desk: Desk) -> None:
    adapter = desk.adapter()
    assert adapter.name == desk.name
    assert adapter.can | set(adapter.instead) == set(ACTIONS)
    assert not adapter.can & set(adapter.instead)


def test_an_adapter_shows_no_secret(desk: Desk) -> None:
    settings = desk.fake.settings(BASE_URL)
    shown = repr(desk.adapter()) + repr(desk.router())
    for name, value in settings.items():
        if "secret" in name or "token" in name or "key" in name:
            assert str(value) not in shown, name


def test_an_adapter_can_be_made_of_the_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = type(desk.adapter())
    with pytest.raises(ConfigurationError, match=r"Set .*in the environment"):
        adapter.from_env()  # type: ignore[attr-defined]
    for name, value in desk.fake.env(BASE_URL).items():
        monkeypatch.setenv(name, value)
    made = adapter.from_env()  # type: ignore[attr-defined]
    webhook = desk.fake.customer_writes("Hello")
    made.verify(Delivery.of(webhook.body, webhook.headers, desk.clock()))


def test_an_event_carries_the_message_and_the_whole_payload(desk: Desk) -> None:
    webhook = desk.fake.customer_writes("Where is my parcel?", name="Mira", subject="Parcel")
    event = desk.router().receive(webhook.body, webhook.headers).event
    assert event is not None
    assert (event.vendor, event.kind, event.conversation_id) == (desk.name, "created", webhook.conversation_id)
    subject = "Parcel\n\n" if desk.tells_subject else ""
    assert event.conversation.text == f"{subject}Where is my parcel?"
    assert event.raw == json.loads(webhook.body)


def test_a_second_delivery_of_a_message_has_the_same_key(desk: Desk) -> None:
    router = desk.router()
    first = desk.fake.customer_writes("Hello")
    again = desk.fake.redeliver(first)
    other = desk.fake.customer_writes("Hello")
    keys = [_key(router, webhook.body, webhook.headers) for webhook in (first, again, other)]
    assert keys[0] == keys[1] != keys[2]


def _key(router: Router, body: bytes, headers: dict[str, str]) -> str:
    event = router.receive(body, headers).event
    assert event is not None
    return event.key


def _secret_argument(desk: Desk) -> str:
    return next(name for name in desk.fake.settings(BASE_URL) if "secret" in name)


# Events


@pytest.mark.parametrize("kind", ["created", "replied", "agent_replied", "assigned", "bot", "ping"])
def test_only_what_customers_write_is_an_event(desk: Desk, api: Api, kind: WebhookKind) -> None:
    """Of an adapter that is told to act upon all that it can act upon."""
    webhook = create_webhook(desk.name, kind, secret=desk.secret, clock=desk.clock)  # type: ignore[arg-type]
    router = desk.router(vendor=desk.adapter(**desk.everything), dry_run=True)
    received = router.receive(webhook.body, webhook.headers)
    assert received.status_code == 200
    assert (received.event is not None) == (kind in ("created", "replied"))
    if received.event is None:
        assert received.outcome is not None
        assert received.outcome.status == "ignored"


# Actions


def _one_of_each(desk: Desk) -> list[tuple[Action, Callable[[FakeConversation], object], object]]:
    """Actions, what each changes, and what it is then."""
    field = desk.field_id or desk.field
    return [
        (Assign(team=desk.teams["billing"]), desk.assigned, desk.teams["billing"]),
        (Assign(user=desk.human), lambda known: known.assignee, desk.human),
        (Reply("Hi & bye"), lambda known: _words(desk.fake.replies(known.id)), "Hi & bye"),
        (Note("psst & pst"), lambda known: _words(desk.fake.notes(known.id)), "psst & pst"),
        (Tag("vip", "refund"), lambda known: [name.lower() for name in known.tags], ["vip", "refund"]),
        (SetFields({desk.field: "y"}), lambda known: known.fields.get(field), "y"),
        (SetPriority("high"), lambda known: known.priority, "high"),
        (Snooze(timedelta(hours=1)), lambda known: known.snoozed_until, int(desk.clock()) + 3600),
        (Close(), lambda known: known.state, "closed"),
        (MarkSpam(), lambda known: known.state, "closed"),
    ]


def _words(said: list[str]) -> str:
    return to_text("".join(said)) if "<" in "".join(said) else html.unescape("".join(said))


# Both end a conversation, or tell of it in the same place.
_TOGETHER = [{Close, MarkSpam}, {Close, Snooze}, {MarkSpam, Snooze}, {MarkSpam, Tag}]


def test_an_action_changes_what_it_is_for_and_nothing_else(desk: Desk, api: Api) -> None:
    table = [row for row in _one_of_each(desk) if type(row[0]) in desk.adapter().can]
    assert {type(action) for action, _, _ in table} == desk.adapter().can
    for action, changed, expected in table:
        webhook = desk.fake.customer_writes("Hello")
        known = desk.fake.conversations[webhook.conversation_id or ""]
        before = [look(known) for _, look, _ in table]
        assert said(route(desk, api, webhook, action)) == [f"{action.type}:done"]
        assert changed(known) == expected, action.type
        for (other, look, _), was in zip(table, before, strict=True):
            if type(other) is not type(action) and {type(other), type(action)} not in _TOGETHER:
                assert look(known) == was, f"{action.type} changed what {other.type} is for"


def test_actions_repeated_change_nothing_more(desk: Desk, api: Api) -> None:
    """What may be repeated after an unknown fate must come to the same."""
    actions = [
        action
        for action, _, _ in _one_of_each(desk)
        if type(action) in desk.adapter().can and not isinstance(action, Reply | Note | Assign)
    ]
    webhook = desk.fake.customer_writes("Hello")
    known = desk.fake.conversations[webhook.conversation_id or ""]
    route(desk, api, webhook, *actions)
    before = (known.tags[:], dict(known.fields), known.priority, known.state)
    assert all(str(step).endswith(":done") for step in route(desk, api, webhook, *actions).steps)
    assert (known.tags, known.fields, known.priority, known.state) == before


# A reply whose fate is unknown


def test_a_reply_whose_answer_was_lost_is_found_and_not_sent_again(desk: Desk, api: Api) -> None:
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.fail(desk.reply, timeout=True, after=True)
    _, outcome = handle(api, desk.router(buckets=only(Reply("Hi & welcome,\n\nfriend <3"))), webhook)
    assert said(outcome) == ["reply:done"]
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


def test_a_note_whose_answer_was_lost_is_found_and_not_left_again(desk: Desk, api: Api) -> None:
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.fail(desk.note, status=502, after=True)
    _, outcome = handle(api, desk.router(buckets=only(Note("For {bucket}"))), webhook)
    assert said(outcome) == ["note:done"]
    assert len(desk.fake.notes(webhook.conversation_id or "")) == 1


def test_a_reply_that_was_lost_is_reported_as_failed_and_may_be_sent_by_the_next_delivery(desk: Desk, api: Api) -> None:
    router = desk.router(buckets=only(Reply("Hi")))
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.fail(desk.reply, timeout=True)
    first = handle(api, router, webhook)[1]
    again = handle(api, router, desk.fake.redeliver(webhook))[1]
    if desk.queues:
        assert (said(first), said(again)) == (["reply:unknown"], ["reply:unknown"]), "it may still come"
        assert desk.fake.replies(webhook.conversation_id or "") == []
    else:
        assert (said(first), said(again)) == (["reply:failed"], ["reply:done"])
        assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


def test_a_reply_of_which_the_vendor_cannot_tell_is_never_sent_again(desk: Desk, api: Api) -> None:
    def classify(text: str) -> str:
        desk.fake.fail(desk.read, status=403)  # only from here on: the conversation has been read
        return "general"

    router = desk.router(buckets=only(Reply("Hi")), classifier=classify)
    webhook = desk.fake.customer_writes("Hello")
    desk.fake.fail(desk.reply, timeout=True, after=True)
    assert said(handle(api, router, webhook)[1]) == ["reply:unknown"]
    assert said(handle(api, router, desk.fake.redeliver(webhook))[1]) == ["reply:done"], "it is found there"
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


def test_a_step_that_may_be_repeated_stays_unknown_and_the_next_delivery_repeats_it(desk: Desk, api: Api) -> None:
    def classify(text: str) -> str:
        desk.fake.fail("P* **", status=504, times=3)
        return "general"

    router = desk.router(buckets=only(Close()), classifier=classify)
    webhook = desk.fake.customer_writes("Hello")
    assert said(handle(api, router, webhook)[1]) == ["close:unknown"]
    assert said(handle(api, router, desk.fake.redeliver(webhook))[1]) == ["close:done"]


def test_the_tags_that_are_there_are_read(desk: Desk, api: Api) -> None:
    seen: list[tuple[str, ...]] = []

    class Remember:
        def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
            seen.append(conversation.tags)
            return Verdict(bucket="general")

    webhook = desk.fake.customer_writes("Hello")
    route(desk, api, webhook, Tag("vip"))
    route(desk, api, desk.fake.redeliver(webhook), Tag("refund"), classifier=Remember())
    assert seen == [("vip",)]


# Errors


def test_each_of_the_vendors_errors_is_read(desk: Desk) -> None:
    adapter = desk.adapter()
    request = Request("POST", f"{BASE_URL}/conversations")
    for status, code in desk.fake.error_codes.items():
        body = json.dumps(desk.fake.build_error(Refusal(status, code, "The customer wrote: 4711"))).encode()
        error = adapter.error(request, Response(status, {}, body), desk.clock())
        assert (error.status, error.vendor, error.call) == (status, desk.name, "POST /conversations"), status
        assert error.outcome_unknown == (status in (408, 500, 502, 503, 504)), status
        assert "4711" not in str(error), "an error goes into the log"
        assert str(status) in str(error)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(DESKS)),
    st.integers(300, 599),
    st.binary() | _json,
    st.dictionaries(st.sampled_from(["retry-after", "x-ratelimit-reset", "ratelimit-reset", "location"]), st.text()),
)
def test_random_error_responses_never_raise(name: str, status: int, body: bytes, headers: dict[str, str]) -> None:
    error = DESKS[name]().adapter().error(Request("GET", BASE_URL), Response(status, headers, body), 0.0)
    assert error.status == status
    assert error.retry_after is None or 0 <= error.retry_after < float("inf")


def _mutate(payload: object) -> st.SearchStrategy[bytes]:
    """Replace one of the values of `payload` by any other."""
    paths = list(parts(payload))

    def replace(choice: tuple[tuple[str | int, ...], object]) -> bytes:
        path, value = choice
        changed = json.loads(json.dumps(payload))
        parent = changed
        for part in path[:-1]:
            parent = parent[part]
        parent[path[-1]] = value
        return json.dumps(changed).encode()

    return st.tuples(st.sampled_from(paths), _values).map(replace)


LIMIT_HEADERS = [
    "retry-after",
    "x-ratelimit-retry-after",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "ratelimit-remaining",
    "ratelimit-reset",
    "zendesk-ratelimit-tickets-index",
]
LIMIT_VALUES = st.sampled_from(["0", "-1", "nan", "inf", "-inf", "1e400", "", "a", "0x1", "remaining=0; resets=41"])


@given(
    headers=st.dictionaries(
        st.sampled_from(LIMIT_HEADERS), LIMIT_VALUES | st.text("0123456789+-.:;=e anf", max_size=20)
    ),
    status=st.sampled_from([200, 404, 420, 429, 503]),
)
def test_random_limit_headers_never_give_an_invalid_pause(headers: dict[str, str], status: int) -> None:
    for create in DESKS.values():
        pause = create().adapter().pause(Response(status, headers, b""), 1_795_510_800.0)
        assert pause is None or 0 <= pause < float("inf")


# Against the fakes


def test_a_webhook_holds_subject_and_kind(desk: Desk) -> None:
    webhook = desk.fake.customer_writes("Where is my parcel?", name="Mira", subject="Parcel")
    event = desk.router().receive(webhook.body, webhook.headers).event
    assert event is not None
    assert event.kind == "created"
    subject = "Parcel\n\n" if desk.tells_subject else ""
    assert event.conversation.text == f"{subject}Where is my parcel?"


@pytest.mark.parametrize("kind", ["created", "replied", "agent_replied", "assigned", "bot", "ping"])
def test_only_messages_of_customers_become_events(desk: Desk, api: Api, kind: WebhookKind) -> None:
    """With an adapter that is configured to act on everything that it can act on."""
    workspace: dict[str, Any] = {"secret": desk.secret, "clock": desk.clock}
    webhook = signed_webhook(desk.name, kind, **workspace)  # type: ignore[arg-type]
    router = desk.router(vendor=desk.adapter(**desk.everything), dry_run=True)
    received = router.receive(webhook.body, webhook.headers)
    assert received.status_code == 200
    assert (received.event is not None) == (kind in ("created", "replied"))
    if received.event is None:
        assert received.outcome is not None
        assert received.outcome.status == "ignored"


def test_the_pause_follows_the_rate_limit_headers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the limit is exhausted, when it is, and when a call is rejected for it."""
    monkeypatch.setattr(desk.fake, "admit", lambda call: None)  # the fake would answer 401 otherwise
    desk.fake.rate_limit = RateLimit(2, 60)
    adapter = desk.adapter()
    http = httpx.Client(transport=desk.fake.transport)
    responses = [http.get("https://desk.example/nothing") for _ in range(3)]
    available, exhausted, rejected = (
        adapter.pause(Response(response.status_code, dict(response.headers), response.content), desk.clock())
        for response in responses
    )
    left = 60 - desk.clock() % 60
    assert available is None
    # Help Scout says when the minute ends only in a rejection, Crisp never.
    assert exhausted == (None if desk.name in ("crisp", "helpscout") else pytest.approx(left, abs=1))
    assert rejected == (None if desk.name == "crisp" else pytest.approx(left, abs=1))
