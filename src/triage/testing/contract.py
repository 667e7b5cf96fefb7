"""The tests that every adapter must pass, for pytest.

Describe your help desk in a `ContractDesk`, and subclass `VendorContract` with a fixture `desk`:

```python
class TestTinydesk(VendorContract):
    @pytest.fixture
    def desk(self) -> ContractDesk:
        return TinydeskDesk()
```

Set `entry_point = "async"` in a second subclass to run the same tests through `handle_async`.
"""

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal, cast

import httpx

from triage.actions import ACTIONS, Action, Assign, Close, MarkSpam, Note, Reply, Run, SetFields, SetPriority, Tag
from triage.errors import ConfigurationError, InvalidSignature, VendorError
from triage.io.ports import run
from triage.models import Conversation, Delivery, Event, Outcome, Request, Response, Step, Verdict, WebhookResponse
from triage.policy import Bucket, Buckets
from triage.router import Router
from triage.testing.desks.records import Webhook

NOW = 1795510800.0  # 2026-11-24 09:00 UTC

_ODD_VALUES: tuple[Any, ...] = (None, True, -1, 1e300, "", "../x", "\ud83d", [], [{}], {}, {"id": []})
_ODD_BODIES = (b"", b"{", b"null", b"[]", b'"text"', b"{}", b"\xff\xfe", b"\x00", b'{"a": NaN}', b"<html>", b"[{}]")
_ODD_NUMBERS = ("0", "-1", "nan", "inf", "1e400", "", "soon", "0x1", "1;2", "9" * 400)
_LIMIT_HEADERS = ("retry-after", "x-ratelimit-retry-after", "x-ratelimit-reset", "ratelimit-reset")


@dataclass(frozen=True)
class Vector:
    """A signature that other code made, such as an example in the vendor's documentation."""

    secret: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    at: float = NOW
    """When the delivery was received, in seconds since the epoch."""


@dataclass(frozen=True)
class Change:
    """An action, and the way to observe its effect in the fake."""

    action: Action
    look: Callable[[], object]
    """Returns the part of the conversation that the action changes."""
    expected: object
    """The value that `look` returns afterwards."""
    overlaps: frozenset[type[Action]] = frozenset()
    """Other actions that change the same part."""

    def overlaps_with(self, other: "Change") -> bool:
        """Return whether two actions change the same part."""
        kind, other_kind = type(self.action), type(other.action)
        return kind is other_kind or kind in other.overlaps or other_kind in self.overlaps


class ContractDesk(ABC):
    """A help desk under test: the adapter's class, a fake of its API, and signed webhooks."""

    vendor: ClassVar[Any]
    """The class of the adapter."""
    secret: str = "triage-test-secret"  # noqa: S105 - for tests
    """The secret that signs the webhooks."""

    # Required

    @property
    @abstractmethod
    def transport(self) -> Any:
        """An `httpx` transport, such as `httpx.MockTransport`, that answers as the API does. It must keep its state."""

    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """Return valid settings of the adapter, with `secret`."""

    @abstractmethod
    def sign(self, body: bytes, secret: str) -> dict[str, str]:
        """Return the headers of a genuine delivery."""

    @abstractmethod
    def write(self, text: str) -> Webhook:
        """Begin a conversation with a customer's message, and return its webhook."""

    @abstractmethod
    def replies(self, conversation_id: str) -> Sequence[str]:
        """Return the replies that the API received."""

    @abstractmethod
    def changes(self, conversation_id: str) -> Sequence[Change]:
        """Return a change for each supported action."""

    # Optional

    def notes(self, conversation_id: str) -> Sequence[str]:
        """Return the internal notes that the API received."""
        return ()

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""
        return NOW

    def redeliver(self, webhook: Webhook) -> Webhook:
        """Return a second delivery of the same message."""
        return webhook

    def vectors(self) -> Iterable[Vector]:
        """Return signatures that other code made, such as examples in the vendor's documentation."""
        return ()

    def forgeries(self, body: bytes) -> Mapping[str, Mapping[str, str]]:
        """Return headers that must be rejected, by the reason."""
        return {
            "no signature": {},
            "another secret": self.sign(body, "wrong"),
            "another body": self.sign(b"-", self.secret),
        }

    def malformed(self) -> Iterable[object]:
        """Return payloads that the vendor does not document, but that are signed."""
        return ()

    def ignored(self) -> Iterator[tuple[str, Webhook]]:
        """Yield genuine webhooks that need no action, with the reason that the outcome names."""
        yield from ()

    def errors(self) -> Iterable[tuple[int, object]]:
        """Return the status and body of documented error responses. Put `4711` into texts that may quote a customer."""
        return ()

    # Derived

    def adapter(self, **overrides: Any) -> Any:
        """Create the adapter."""
        return self.vendor(**{**self.settings(), **overrides})

    @property
    def delivers_later(self) -> bool:
        """True if a reply may appear some time after the vendor accepted it."""
        return bool(self.vendor.delivers_later)

    @property
    def secret_setting(self) -> str:
        """The setting that holds the signing secrets."""
        setting: str = self.vendor.signing_setting()
        return setting


class Wire(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Forwards calls to the fake and records them. Can lose a response, lose a call, or reject calls.

    Args:
        transport: The fake.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.calls: list[httpx.Request] = []
        self.lost_response: Callable[[httpx.Request], bool] | None = None
        """Matches calls that take effect although they time out."""
        self.lost_call: Callable[[httpx.Request], bool] | None = None
        """Matches calls that time out without an effect."""
        self.rejected: Callable[[httpx.Request], bool] | None = None
        """Matches calls that are answered 403."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Forward a call."""
        return self._prepare(request) or self._finish(request, self._transport.handle_request(request))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Forward a call."""
        return self._prepare(request) or self._finish(request, await self._transport.handle_async_request(request))

    def _prepare(self, request: httpx.Request) -> httpx.Response | None:
        self.calls.append(request)
        if self.lost_call and self.lost_call(request):
            raise httpx.ReadTimeout("lost", request=request)
        return httpx.Response(403, json={}) if self.rejected and self.rejected(request) else None

    def _finish(self, request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if self.lost_response and self.lost_response(request):
            raise httpx.ReadTimeout("lost", request=request)
        return response


def _classify(text: str) -> str:
    return "general"


def _writes(request: httpx.Request) -> bool:
    return request.method != "GET" and "token" not in request.url.path


def _replies(request: httpx.Request) -> bool:
    return b"reply 4711" in request.content


def _reads(request: httpx.Request) -> bool:
    return request.method == "GET"


def _replace_values(payload: Any) -> Iterator[Any]:
    """Yield copies of `payload` with one of its values replaced by an odd one, or removed."""
    for path in _paths(payload):
        for value in _ODD_VALUES:
            changed = deepcopy(payload)
            parent = changed
            for part in path[:-1]:
                parent = parent[part]
            parent[path[-1]] = value
            yield changed


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
    elif isinstance(value, list):
        items = enumerate(cast("list[object]", value))
    for key, item in items:
        yield (*path, key)
        yield from _paths(item, (*path, key))


class VendorContract:
    """The tests. Every test receives a new `desk` from your fixture."""

    entry_point: ClassVar[Literal["sync", "async"]] = "sync"
    """Whether webhooks are passed to `handle` or to `handle_async`."""

    # Helpers

    def create_router(self, desk: ContractDesk, *actions: Action, wire: Wire | None = None, **options: Any) -> Router:
        """Create a Router that performs `actions` for every message."""
        transport = wire or Wire(desk.transport)
        defaults: dict[str, Any] = {
            "buckets": [Bucket("general", "Everything.", list(actions))],
            "classifier": _classify,
            "http": httpx.Client(transport=transport),
            "async_http": httpx.AsyncClient(transport=transport),
            "clock": desk.now,
        }
        return Router(desk.adapter(), **(defaults | options))

    def handle(self, router: Router, body: bytes, headers: Mapping[str, str]) -> WebhookResponse:
        """Pass a webhook to the entry point under test."""
        if self.entry_point == "sync":
            return router.handle(body, headers)

        async def handle_and_close() -> WebhookResponse:
            try:
                return await router.handle_async(body, headers)
            finally:
                await router.aclose()

        return asyncio.run(handle_and_close())

    def route(self, router: Router, webhook: Webhook) -> Outcome:
        """Pass a webhook to the entry point under test, and return the outcome."""
        outcome = self.handle(router, webhook.body, webhook.headers).outcome
        assert outcome is not None
        return outcome

    def list_steps(self, outcome: Outcome) -> list[str]:
        """Return the steps of an outcome as `"reply:done"`."""
        return [str(step) for step in outcome.steps]

    def receive(self, desk: ContractDesk, webhook: Webhook) -> Event:
        """Verify and parse a webhook without handling it."""
        event = self.create_router(desk).receive(webhook.body, webhook.headers).event
        assert event is not None
        return event

    # Signatures

    def test_known_signatures_are_accepted(self, desk: ContractDesk) -> None:
        """An adapter verifies signatures that other code made, and only with their body."""
        for vector in desk.vectors():
            adapter = desk.adapter(**{desk.secret_setting: vector.secret})
            adapter.verify(Delivery.create(vector.body, vector.headers, vector.at))
            assert self.is_rejected(adapter, Delivery.create(vector.body + b" ", vector.headers, vector.at))

    def is_rejected(self, adapter: Any, delivery: Delivery) -> bool:
        """Return whether the adapter rejects the signature of a delivery."""
        try:
            adapter.verify(delivery)
        except InvalidSignature:
            return True
        return False

    def test_both_secrets_are_accepted_during_a_rotation(self, desk: ContractDesk) -> None:
        """The new and the old secret verify, another one does not."""
        adapter = desk.adapter(**{desk.secret_setting: ["new", "old"]})
        for secret in ("new", "old"):
            adapter.verify(Delivery.create(b"{}", desk.sign(b"{}", secret), desk.now()))
        assert self.is_rejected(adapter, Delivery.create(b"{}", desk.sign(b"{}", "third"), desk.now()))

    def test_an_adapter_without_a_secret_cannot_be_created(self, desk: ContractDesk) -> None:
        """With an empty secret, anybody could sign webhooks."""
        empty: tuple[str | list[str], ...] = ("", " ", [])
        for secret in empty:
            error = self.catch_error(partial(desk.adapter, **{desk.secret_setting: secret}))
            assert "is empty" in error, f"accepted the secret {secret!r}"

    def catch_error(self, call: Callable[[], object]) -> str:
        """Return the message of the `ConfigurationError` that a call raises, or nothing if it raises none."""
        try:
            call()
        except ConfigurationError as error:
            return str(error)
        return ""

    def test_a_forged_delivery_is_answered_401_and_leaves_one_line(self, desk: ContractDesk, caplog: Any) -> None:
        """The log names the reason and repeats nothing that was sent; the API is not called."""
        webhook = desk.write("assign everything to me")
        wire = Wire(desk.transport)
        router = self.create_router(desk, wire=wire)
        caplog.set_level(logging.DEBUG, "triage")
        for mistake, headers in desk.forgeries(webhook.body).items():
            caplog.clear()
            response = self.handle(router, webhook.body, headers)
            assert (response.status_code, response.body) == (401, b'{"status": "refused"}'), mistake
            assert len(caplog.records) == 1, mistake
            assert "assign everything" not in caplog.text, mistake
            assert not any(len(value) > 6 and value in caplog.text for value in headers.values()), mistake
        assert wire.calls == []

    def test_a_signature_of_another_body_is_answered_401(self, desk: ContractDesk) -> None:
        """A genuine signature does not cover a changed body."""
        webhook = desk.write("Hello")
        changed = webhook.body.replace(b"Hello", b"Jello")
        assert self.handle(self.create_router(desk), changed, webhook.headers).status_code == 401

    def test_unsigned_bytes_are_answered_401(self, desk: ContractDesk) -> None:
        """No body is accepted without a signature."""
        router = self.create_router(desk)
        for body in (*_ODD_BODIES, desk.write("Hello").body):
            assert router.receive(body, {}).status_code == 401

    # Parsing

    def test_signed_bytes_never_raise(self, desk: ContractDesk) -> None:
        """Odd bodies, and genuine payloads with one value replaced, are answered."""
        router = self.create_router(desk)
        payload = json.loads(desk.write("Hello").body)
        bodies = (*_ODD_BODIES, *(json.dumps(changed).encode() for changed in _replace_values(payload)))
        for body in bodies:
            response = router.receive(body, desk.sign(body, desk.secret))
            assert response.status_code == 200, body
            assert response.event is not None or response.outcome is not None, body

    def test_a_deeply_nested_payload_is_malformed(self, desk: ContractDesk) -> None:
        """Nesting does not exhaust the stack."""
        for body in (b"[" * 50_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000):
            outcome = self.route(self.create_router(desk), Webhook(body, desk.sign(body, desk.secret)))
            assert outcome.status == "malformed"

    def test_an_undocumented_payload_is_malformed(self, desk: ContractDesk, caplog: Any) -> None:
        """It is answered 200, so that the vendor does not repeat it, and leaves a warning."""
        wire = Wire(desk.transport)
        router = self.create_router(desk, wire=wire)
        for payload in desk.malformed():
            caplog.clear()
            body = json.dumps(payload).encode()
            response = self.handle(router, body, desk.sign(body, desk.secret))
            assert response.status_code == 200, payload
            assert response.outcome is not None
            assert response.outcome.status == "malformed", payload
            assert [record.levelname for record in caplog.records if record.name == "triage.engine.observe"] == [
                "WARNING"
            ], payload
        assert wire.calls == []

    def test_a_webhook_that_needs_no_action_is_ignored_with_the_reason(self, desk: ContractDesk) -> None:
        """The API is not called."""
        wire = Wire(desk.transport)
        router = self.create_router(desk, wire=wire)
        for reason, webhook in desk.ignored():
            outcome = self.route(router, webhook)
            assert (outcome.status, outcome.reason) == ("ignored", reason)
        assert wire.calls == []

    def test_an_event_carries_the_message_and_the_whole_payload(self, desk: ContractDesk) -> None:
        """The event names the conversation and contains the webhook's message."""
        webhook = desk.write("Where is my parcel?")
        event = self.receive(desk, webhook)
        assert (event.vendor, event.conversation_id) == (desk.vendor.name, webhook.conversation_id)
        assert "Where is my parcel?" in desk.adapter().read_delivery(event).text
        assert event.raw == webhook.body

    def test_a_second_delivery_of_a_message_has_the_same_key(self, desk: ContractDesk) -> None:
        """Another message with the same text has another key."""
        first = desk.write("Hello")
        second = desk.redeliver(first)
        other = desk.write("Hello")
        keys = [self.receive(desk, webhook).key for webhook in (first, second, other)]
        assert keys[0] == keys[1] != keys[2]

    # Settings

    def test_every_action_is_supported_or_has_advice(self, desk: ContractDesk) -> None:
        """`can` and `instead` cover all actions but `Run`, which is not the help desk's, and do not overlap."""
        assert desk.vendor.can | set(desk.vendor.instead) == set(ACTIONS) - {Run}
        assert not desk.vendor.can & set(desk.vendor.instead)

    def test_no_secret_is_shown(self, desk: ContractDesk) -> None:
        """Neither the adapter's `repr` nor the Router's shows a secret."""
        shown = repr(desk.adapter()) + repr(self.create_router(desk))
        for name, value in desk.settings().items():
            if any(word in name for word in ("secret", "token", "key")):
                assert str(value) not in shown, name

    def test_from_env_reads_the_settings(self, desk: ContractDesk, monkeypatch: Any) -> None:
        """Each setting has a variable `{NAME}_{SETTING}`; a missing one is named."""
        variables = {f"{desk.vendor.name}_{name}".upper(): str(value) for name, value in desk.settings().items()}
        secret = f"{desk.vendor.name}_{desk.secret_setting}".upper()
        monkeypatch.delenv(secret, raising=False)
        assert secret in self.catch_error(desk.vendor.from_env)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        webhook = desk.write("Hello")
        desk.vendor.from_env().verify(Delivery.create(webhook.body, webhook.headers, desk.now()))

    # Actions

    def test_an_action_changes_what_it_is_for_and_nothing_else(self, desk: ContractDesk) -> None:
        """Every supported action takes effect, one at a time."""
        kinds = {type(change.action) for change in desk.changes(desk.write("Hello").conversation_id or "")}
        assert kinds == desk.vendor.can
        for number, _ in enumerate(desk.changes(desk.write("Hello").conversation_id or "")):
            webhook = desk.write("Hello")
            changes = desk.changes(webhook.conversation_id or "")
            change = changes[number]
            before = [other.look() for other in changes]
            outcome = self.route(self.create_router(desk, change.action), webhook)
            assert self.list_steps(outcome) == [f"{change.action.type}:done"]
            assert change.look() == change.expected, change.action
            for other, value in zip(changes, before, strict=True):
                if not change.overlaps_with(other):
                    assert other.look() == value, f"{change.action.type} changed what {other.action.type} is for"

    def test_repeated_actions_change_nothing_more(self, desk: ContractDesk) -> None:
        """A step that is repeated after an unknown outcome has the same effect."""
        webhook = desk.write("Hello")
        changes = [
            change
            for change in desk.changes(webhook.conversation_id or "")
            if not isinstance(change.action, Reply | Note | Assign)
        ]
        actions = [change.action for change in changes]
        self.route(self.create_router(desk, *actions), webhook)
        before = [deepcopy(change.look()) for change in changes]
        steps = self.list_steps(self.route(self.create_router(desk, *actions), webhook))
        # A conversation that is closed is neither snoozed nor closed again.
        assert all(step.endswith((":done", ":skipped")) for step in steps)
        assert [change.look() for change in changes] == before

    def test_an_unsupported_action_is_rejected(self, desk: ContractDesk) -> None:
        """The error says what to use instead. A Router rejects such a policy for every vendor."""
        examples = [Tag("vip"), Note("psst"), SetFields({"x": "y"}), SetPriority("high"), MarkSpam()]
        for action in examples:
            if type(action) not in desk.vendor.can:
                assert desk.vendor.instead[type(action)] in self.catch_error(partial(desk.adapter().check, action))

    def test_performing_an_unsupported_action_writes_nothing(self, desk: ContractDesk) -> None:
        """The adapter rejects it, or at least makes no call that changes the conversation."""

        async def send(request: Request) -> Response:
            assert request.method == "GET", f"{request.call} for an unsupported action"
            raise VendorError("unavailable", vendor=desk.vendor.name, call=request.call)

        conversation = Conversation(id="1")
        for action in (Tag("vip"), Note("psst"), SetFields({"x": "y"}), SetPriority("high"), MarkSpam()):
            if type(action) not in desk.vendor.can:
                with suppress(ConfigurationError, VendorError):
                    run(desk.adapter().perform(Step(actions=(action,)), conversation, send))

    def test_the_tags_of_a_conversation_are_read(self, desk: ContractDesk) -> None:
        """The classifier sees tags that were added earlier."""
        if Tag not in desk.vendor.can:
            return
        tags: list[tuple[str, ...]] = []

        class Recorder:
            def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
                tags.append(conversation.tags)
                return Verdict(bucket="general")

        webhook = desk.write("Hello")
        self.route(self.create_router(desk, Tag("vip")), webhook)
        self.route(self.create_router(desk, classifier=Recorder()), desk.redeliver(webhook))
        assert tags == [("vip",)]

    # Unknown outcomes

    def test_a_reply_whose_response_was_lost_is_found_and_not_sent_again(self, desk: ContractDesk) -> None:
        """The adapter asks the vendor whether the reply was sent."""
        webhook = desk.write("Hello")
        wire = Wire(desk.transport)
        wire.lost_response = _replies
        router = self.create_router(desk, Reply("Your reply 4711,\n\nfriend <3"), wire=wire)
        assert self.list_steps(self.route(router, webhook)) == ["reply:done"]
        assert len(desk.replies(webhook.conversation_id or "")) == 1

    def test_a_note_whose_response_was_lost_is_found_and_not_added_again(self, desk: ContractDesk) -> None:
        """The adapter asks the vendor whether the note was added."""
        if Note not in desk.vendor.can:
            return
        webhook = desk.write("Hello")
        wire = Wire(desk.transport)
        wire.lost_response = _replies
        router = self.create_router(desk, Note("No reply 4711 yet"), wire=wire)
        assert self.list_steps(self.route(router, webhook)) == ["note:done"]
        assert len(desk.notes(webhook.conversation_id or "")) == 1

    def test_a_reply_that_was_lost_may_be_sent_by_the_next_delivery(self, desk: ContractDesk) -> None:
        """A missing reply is sent again, unless the vendor may still deliver it."""
        webhook = desk.write("Hello")
        wire = Wire(desk.transport)
        router = self.create_router(desk, Reply("Your reply 4711"), wire=wire)
        wire.lost_call = _replies
        first = self.list_steps(self.route(router, webhook))
        wire.lost_call = None
        second = self.list_steps(self.route(router, desk.redeliver(webhook)))
        replies = desk.replies(webhook.conversation_id or "")
        if desk.delivers_later:
            assert (first, second, len(replies)) == (["reply:unknown"], ["reply:unknown"], 0)
        else:
            assert (first, second, len(replies)) == (["reply:failed"], ["reply:done"], 1)

    def test_a_reply_that_cannot_be_looked_up_is_never_sent_again(self, desk: ContractDesk) -> None:
        """Its outcome stays unknown until the vendor can be asked."""
        wire = Wire(desk.transport)

        def reject_further_reads(text: str) -> str:
            wire.rejected = _reads
            return "general"

        webhook = desk.write("Hello")
        router = self.create_router(desk, Reply("Your reply 4711"), wire=wire, classifier=reject_further_reads)
        wire.lost_response = _replies
        assert self.list_steps(self.route(router, webhook)) == ["reply:unknown"]
        wire.rejected = None
        assert self.list_steps(self.route(router, desk.redeliver(webhook))) == ["reply:done"]
        assert len(desk.replies(webhook.conversation_id or "")) == 1

    def test_a_step_that_may_be_repeated_is_repeated_by_the_next_delivery(self, desk: ContractDesk) -> None:
        """Its outcome stays unknown until then."""
        webhook = desk.write("Hello")
        wire = Wire(desk.transport)
        wire.lost_response = _writes
        router = self.create_router(desk, Close(), wire=wire)
        assert self.list_steps(self.route(router, webhook)) == ["close:unknown"]
        wire.lost_response = None
        assert self.list_steps(self.route(router, desk.redeliver(webhook))) == ["close:done"]

    # Errors and limits

    def test_documented_errors_are_parsed(self, desk: ContractDesk) -> None:
        """The error names vendor, call and status, and never the vendor's own text, which may quote the customer."""
        adapter = desk.adapter()
        request = Request("POST", "https://desk.example.com/conversations")
        for status, body in desk.errors():
            error = adapter.error(request, Response(status, {}, json.dumps(body).encode()), desk.now())
            assert (error.status, error.vendor, error.call) == (status, adapter.name, "POST /conversations")
            assert error.outcome_unknown == (status in (408, 500, 502, 503, 504)), status
            assert str(status) in str(error)
            assert "4711" not in str(error), "an error is logged"

    def test_odd_error_responses_never_raise(self, desk: ContractDesk) -> None:
        """An error response with any body and headers becomes an error."""
        adapter = desk.adapter()
        request = Request("GET", "https://desk.example.com/conversations")
        documented = [changed for _, body in desk.errors() for changed in _replace_values(body)]
        for body in (*_ODD_BODIES, *(json.dumps(changed).encode() for changed in documented)):
            error = adapter.error(request, Response(500, {}, body), desk.now())
            assert (error.status, error.outcome_unknown) == (500, True)

    def test_a_pause_is_a_finite_number_of_seconds(self, desk: ContractDesk) -> None:
        """Headers with any content are accepted."""
        adapter = desk.adapter()
        for name in _LIMIT_HEADERS:
            for value in _ODD_NUMBERS:
                headers = {name: value, "x-ratelimit-remaining": "0", "ratelimit-remaining": "0"}
                for status in (200, 429):
                    pause = adapter.pause(Response(status, headers, b""), desk.now())
                    assert pause is None or 0 <= pause < float("inf"), (headers, pause)
