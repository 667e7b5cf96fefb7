"""The Router: receives webhooks, routes conversations and returns the responses.

`receive` verifies and parses a delivery without I/O, `process` does the work, and `handle` does both. Read
`engine/attempt.py` to see how an event is processed.
"""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Self, cast

from pydantic import JsonValue

from triage import policy
from triage.actions import Action, Run
from triage.classifiers.adapt import as_classifier
from triage.classifiers.base import Classifier, ClassifierLike
from triage.engine import arrivals
from triage.engine.attempt import ATTEMPTS, process
from triage.engine.backlog import BacklogWatch
from triage.engine.clients import AsyncHttpOption, HttpClients, HttpOption
from triage.engine.engine import Engine
from triage.engine.health import check_readiness
from triage.engine.observe import LogObserver, Observer, Observers, OutcomeListener, build_fields
from triage.engine.rules import Reroute
from triage.engine.storage import call_inbox, create_together
from triage.environment import read_variable
from triage.errors import ConfigurationError, InboxError, InvalidSignature, MalformedPayload, describe_location
from triage.inbox import MemoryInbox
from triage.inbox.base import Inbox
from triage.io.clients import PerLoop
from triage.io.loops import require_asyncio
from triage.io.ports import AsyncIO, SyncIO, run
from triage.limits import Duration, Limits, parse_duration
from triage.log import Fields, bind_fields, get_logger, remove_unknown
from triage.models import (
    Conversation,
    Delivery,
    Event,
    FallbackReason,
    Handshake,
    Headers,
    HealthResponse,
    Outcome,
    Received,
    RunContext,
    Status,
    WebhookResponse,
)
from triage.policy import Bucket, Buckets
from triage.text import quotes, senders
from triage.vendors.base import HelpDesk, Vendor
from triage.vendors.payload import build_models

logger = get_logger(__name__)

_MIB = 1024 * 1024
_STORING = 4.5  # seconds; some help desks wait five seconds for our response
_LARGE = 64 * 1024  # bytes; a smaller body is parsed in so short a time that a thread is not worth it
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class Router:
    """Receives a help desk's webhooks and routes its conversations.

    One Router serves all threads and event loops of a process. As a context manager, it closes the clients that it
    created.

    Args:
        vendor: The help desk's adapter, such as `triage.vendors.Intercom(…)`.
        buckets: The labels and the actions for each, most important first. Start with `Buckets.default()`.
        classifier: Chooses the bucket: a classifier, the name of a Claude model, or a function that takes the customer
            text and returns the name of a bucket. Default: `triage.classifiers.Claude()`.
        fallback: The bucket for messages without a verdict, because the classifier failed or the message has no text.
            Default: the fallback of `buckets` if that is a `Buckets`, otherwise `"general"`.
        review: The actions for a verdict below its bucket's `min_confidence`. Default: those of the fallback bucket.
        fallbacks: The actions for missing verdicts, by `Verdict.fallback_reason`: `{"refused": [Assign(team="1")]}`.
            Missing verdicts for other reasons go to the fallback bucket.
        functions: Your own functions for `Run` actions, by name: `{"page": page}`. Each takes a `RunContext`, and may
            be async.
        context: How many messages before the customer's unanswered ones the classifier sees.
        reroute: When a conversation that was routed before may be routed to another bucket. `escalate`: to an earlier,
            more important bucket. `always` or `never`.
        debounce: How long to wait for further messages of the customer before routing, such as `"30s"`. Requires an
            inbox.
        when: A function that takes the `Conversation` and returns whether to route it, such as
            `lambda conversation: conversation.team is None`. It is called before the classifier.
        ignore_tags: Conversations with one of these tags are not routed.
        name: The name that marks this Router's events in a shared inbox. Default: the help desk's name. Two accounts
            of one help desk need different names.
        http: The client for the help desk's API: an `httpx.Client`, an object with the same `stream()`, or a function
            that creates one for each process. Async code and the `Worker` call it in threads, unless there is an
            `async_http`. By default, the Router creates clients on first use, with a timeout of 10 s.
        async_http: The client for async code and the `Worker`: an `httpx.AsyncClient` that belongs to the event loop in
            use, or a function that creates one for each event loop. Without an `http`, sync code makes no calls.
        inbox: Stores each event before its webhook is acknowledged, for a `Worker` to process: durable mode. Without an
            inbox, the event is processed within the request and kept only in this process's memory.
        limits: Limits on spending and on handled messages, and when to stop calling a failing service.
        dry_run: True to decide and report without changing anything at the help desk, which is only read.
        max_body: The size of the largest accepted webhook, in bytes. Default: the largest that the help desk sends.
        on_failure: How to answer the webhook when the help desk's API failed before anything was done. `retry`: 503, so
            that the help desk delivers it again. `accept`: 200, and the event is finished. Ignored with an inbox,
            because a worker retries its events.
        clock: Returns the seconds since the epoch.

    Raises:
        ConfigurationError: The policy cannot work: there are no buckets, two have the same name, `fallback` is unknown,
            the help desk does not support an action, or a text has unknown names in braces. Or another argument is
            wrong.
    """

    def __init__(
        self,
        vendor: Vendor | HelpDesk,
        *,
        buckets: Iterable[Bucket],
        classifier: ClassifierLike | None = None,
        fallback: str | None = None,
        review: Sequence[Action] | None = None,
        fallbacks: Mapping[FallbackReason, Sequence[Action]] | None = None,
        functions: Mapping[str, Callable[[RunContext], object]] | None = None,
        context: int = 3,
        reroute: Reroute = "escalate",
        debounce: Duration = 0.0,
        when: Callable[[Conversation], object] | None = None,
        ignore_tags: Iterable[str] = (),
        name: str | None = None,
        http: HttpOption = None,
        async_http: AsyncHttpOption = None,
        inbox: Inbox | None = None,
        limits: Limits = Limits(),  # noqa: B008 - it is frozen
        dry_run: bool = False,
        max_body: int | None = None,
        on_failure: Literal["accept", "retry"] = "retry",
        clock: Callable[[], float] = time.time,
    ) -> None:
        _check_arguments(vendor, inbox, limits, name)
        _check_options(context, dry_run, max_body, on_failure, reroute, when)
        self.vendor = vendor
        self.inbox = inbox
        self.name = name or vendor.name
        self.buckets = Buckets(buckets, fallback=fallback)
        self.debounce = parse_duration(debounce, "debounce")
        self._owns_classifier = classifier is None or isinstance(classifier, str)
        self.classifier = _create_default_classifier() if classifier is None else as_classifier(classifier)
        self.engine = Engine(
            owner=self.name,
            vendor=vendor,
            classifier=self.classifier,
            inbox=MemoryInbox(clock=clock) if inbox is None else inbox,
            is_durable=inbox is not None,
            buckets=self.buckets,
            review=policy.check_review(review, self.buckets),
            fallbacks=policy.check_fallbacks(fallbacks),
            functions=_check_functions(functions),
            context=context,
            reroute=reroute,
            debounce=self.debounce,
            when=when,
            ignore_tags=_check_tags(ignore_tags),
            limits=limits,
            dry_run=dry_run,
            clients=HttpClients(http, async_http),
            clock=clock,
            observers=Observers(LogObserver(self.name, vendor.name)),
        )
        self._check_policy()
        self._check_limits()
        self._listeners: list[Callable[[str], object]] = []
        self._has_blocking_listeners = False
        self._storage = PerLoop(lambda: create_together(self.engine.inbox))
        self._backlog = BacklogWatch(self.name, self.engine.inbox, clock)
        self._max_body: int = max_body or int(getattr(vendor, "default_max_body", _MIB))
        self._on_failure = on_failure

    @classmethod
    def from_env(cls, vendor: type[HelpDesk], **options: Any) -> Self:
        """Create a Router with the default buckets from environment variables.

        Read the adapter's own variables, and the teams for urgent, billing and general messages from
        `{VENDOR}_TEAM_ONCALL`, `{VENDOR}_TEAM_BILLING` and `{VENDOR}_TEAM_SUPPORT`.

        Args:
            vendor: The adapter's class, such as `triage.vendors.Intercom`.
            options: Further arguments of the Router.

        Raises:
            ConfigurationError: A variable is not set, or an argument is wrong.
        """
        problems: list[str] = []
        adapter: HelpDesk | None = None
        try:
            adapter = vendor.from_env()
        except ConfigurationError as err:
            problems.append(str(err))
        try:
            if "buckets" not in options:
                options["buckets"] = Buckets.default(policy.read_teams(read_variable, vendor.name.upper()))
        except ConfigurationError as err:
            problems.append(str(err))
        if adapter is None or problems:
            raise ConfigurationError(" ".join(problems))
        return cls(adapter, **options)

    def _check_policy(self) -> None:
        policies = [(f"Bucket {bucket.name!r}", bucket.actions) for bucket in self.buckets]
        lanes = [(f"fallbacks[{reason!r}]", actions) for reason, actions in self.engine.fallbacks.items()]
        for place, actions in [*policies, ("review", self.engine.review or []), *lanes]:
            for action in actions:
                if isinstance(action, Run):
                    self._check_function(action, place)
                    continue
                try:
                    self.vendor.check(action)
                except ConfigurationError as err:
                    raise ConfigurationError(f"{place}: {err}") from None
            policy.check_templates(actions, where=place, extra=self.classifier.extra)
            self.vendor.plan([action for action in actions if not isinstance(action, Run)])
        self.classifier.check(self.buckets)

    def _check_function(self, action: Run, place: str) -> None:
        if action.name not in self.engine.functions:
            raise ConfigurationError(
                f"{place}: there is no function {action.name!r}. Write Router(…, functions={{{action.name!r}: …}})."
            )

    def _check_limits(self) -> None:
        limits = self.engine.limits
        if self.debounce and self.inbox is None:
            raise ConfigurationError(
                "debounce needs an inbox, where events can wait: Router(…, inbox=SQLiteInbox(path))."
            )
        if limits.daily_usd is not None and not self.classifier.priced:
            raise ConfigurationError(
                f"Limits(daily_usd={limits.daily_usd:g}) needs the cost of each verdict, and {self.classifier!r} does "
                f"not report it. For Claude, pass prices={{model: Price(…)}}. In your own classifier, set "
                f"`priced = True`, and `cost_usd` in each verdict."
            )

    # Observing

    def owns(self, key: str) -> bool:
        """Return whether this Router owns an event. Several Routers may share an inbox.

        Args:
            key: The event's key.
        """
        return key.startswith(f"{self.name}:")

    def on_stored(self, function: Callable[[str], object], *, blocks: bool = True) -> None:
        """Call a function each time an event is stored, before its webhook is acknowledged.

        Args:
            function: Takes the event's key, and must be quick. If it raises, the error is logged. The event stays
                stored, and the inbox's `list_overdue` returns its key later.
            blocks: True if it may wait, such as for a network. In async code, it is then called in a thread.
        """
        self._listeners.append(function)
        self._has_blocking_listeners |= blocks

    def on_outcome(self, function: Callable[[Outcome], object]) -> None:
        """Call a function with each outcome, both of deliveries and of attempts to process events.

        Args:
            function: Takes the outcome, and must be quick. If it raises, the error is logged.
        """
        if not callable(function):  # pyright: ignore[reportUnnecessaryComparison]
            raise ConfigurationError(f"on_outcome() takes a function, not {function!r}.")
        self.add_observer(OutcomeListener(function))

    def add_observer(self, observer: Observer) -> None:
        """Report deliveries, attempts and steps to an observer, for metrics and traces.

        Args:
            observer: An instance of a subclass of `triage.engine.observe.Observer`.

        Raises:
            ConfigurationError: It is a class, or overrides none of the methods.
        """
        self.engine.observers.add(observer)

    # Receiving and processing

    def receive(self, raw_body: bytes, headers: Headers) -> Received:
        """Verify and parse a delivery, without I/O. Call it from sync or async code.

        Args:
            raw_body: The request's body, exactly as it arrived: the signature covers the bytes.
            headers: The request's headers, as the web framework provides them.

        Returns:
            The response. If its `event` is set, pass that to `process`, and then send the response.

        Raises:
            TypeError: `raw_body` is not bytes, or `headers` are neither a mapping nor pairs. The content of a request
                never raises.
        """
        _check_body(raw_body)
        if len(raw_body) > self._max_body:
            return self._reject(413, "refused", f"the body is larger than {self._max_body} bytes")
        delivery = Delivery.create(raw_body, headers, self.engine.clock())
        try:
            self.vendor.verify(delivery)
            with bind_fields(partial(self._build_fields, delivery)):
                parsed = self.vendor.parse(delivery)
        except InvalidSignature as err:
            return self._reject(401, "refused", str(err))
        except MalformedPayload as err:
            conversation_id, event_id = self._identify(delivery)
            event_id = err.event_id or event_id
            return self._reject(
                200, "malformed", str(err), key=event_id, conversation_id=conversation_id, event_id=event_id
            )
        if isinstance(parsed, Event):
            event = parsed.for_owner(self.name)
            return self._respond(_build_outcome("accepted", event), event=event)
        if isinstance(parsed, Handshake):
            _, event_id = self._identify(delivery)
            return self._reject(200, "ignored", parsed.reason, key=event_id, event_id=event_id, body=parsed.body)
        warnings = (parsed.reason,) if parsed.is_problem else ()
        conversation_id, event_id = self._identify(delivery)
        return self._reject(
            200,
            "ignored",
            parsed.reason,
            key=event_id,
            conversation_id=conversation_id,
            event_id=event_id,
            warnings=warnings,
        )

    def process(self, event: Event | str, *, attempts: int = ATTEMPTS) -> Outcome:
        """Process an event: fetch its conversation, classify it, decide and act.

        Args:
            event: An event from `receive`, in this process or another, which is stored first. Or the key of an event in
                the inbox.
            attempts: How often an event in the inbox is tried before it is dead-lettered.

        Returns:
            The outcome. `duplicate` if there is nothing to do now: the event is finished or being processed, is not due
            yet, or waits for an earlier event of its conversation.

        Raises:
            ConfigurationError: The classifier is async only, `event` is a key but there is no inbox, or another Router
                owns the event.
            InboxError: The inbox cannot be read or written. `LeaseLost` if processing took so long that another worker
                has taken over the event.
        """
        self._check_event(event)
        return run(process(self.engine, event, SyncIO(), attempts))

    async def process_async(self, event: Event | str, *, attempts: int = ATTEMPTS) -> Outcome:
        """Do the same as `process`, in async code.

        Args:
            event: An event from `receive`, or the key of an event in the inbox.
            attempts: How often an event in the inbox is tried before it is dead-lettered.
        """
        self._check_event(event)
        require_asyncio()
        return await process(self.engine, event, AsyncIO(), attempts)

    def handle(self, raw_body: bytes, headers: Headers) -> WebhookResponse:
        """Handle a webhook: verify, parse, fetch, classify, decide, act. With an inbox: verify, parse, store.

        Args:
            raw_body: The request's body, exactly as it arrived.
            headers: The request's headers, as the web framework provides them.

        Returns:
            The response for the web framework to send.

        Raises:
            TypeError: `raw_body` is not bytes.
            ConfigurationError: The classifier is async only.
        """
        if self.inbox is not None:
            with arrivals.receive():
                return self._store(self.inbox, raw_body, headers)
        received = self.receive(raw_body, headers)
        if received.event is None:
            return received
        return self._respond(run(process(self.engine, received.event, SyncIO(), 1)))

    async def handle_async(self, raw_body: bytes, headers: Headers) -> WebhookResponse:
        """Do the same as `handle`, in async code.

        Args:
            raw_body: The request's body, exactly as it arrived.
            headers: The request's headers, as the web framework provides them.
        """
        require_asyncio()
        if self.inbox is not None:
            with arrivals.receive():
                return await self._store_async(self.inbox, raw_body, headers)
        received = await self._receive_async(raw_body, headers)
        if received.event is None:
            return received
        return self._respond(await process(self.engine, received.event, AsyncIO(), 1))

    # Health

    def live(self) -> HealthResponse:
        """Return 200: the process responds to requests. For a liveness check, after which a supervisor restarts it.

        It looks at nothing else, because a restart repairs neither a full disk nor a help desk that is down.
        """
        return HealthResponse("alive")

    def ready(self, max_lag: Duration | None = "5m") -> HealthResponse:
        """Return 200 if webhooks can be stored and are processed in time, otherwise 503. The log says why.

        Without an inbox, the answer is always 200.

        Args:
            max_lag: How long an event that is due may wait for a worker. None checks only that the inbox can be
                written, for a load balancer that should keep sending webhooks while they are merely processed late.
        """
        return run(check_readiness(self.engine, SyncIO(), _parse_lag(max_lag)))

    async def ready_async(self, max_lag: Duration | None = "5m") -> HealthResponse:
        """Do the same as `ready`, in async code.

        Args:
            max_lag: How long an event that is due may wait for a worker; None for any time.
        """
        require_asyncio()
        return await check_readiness(self.engine, AsyncIO(), _parse_lag(max_lag))

    # Clients

    def warm_up(self) -> None:
        """Import the SDK, create the clients and read the phrases now, so that the first message does not pay for it.

        Call it when the application starts; in an async application, on the event loop that will serve. It makes no
        network call.

        Raises:
            ConfigurationError: The default classifier has no API key.
        """
        self.classifier.warm_up()
        self.engine.clients.warm_up()
        build_models()
        quotes.load_phrases()
        senders.load_phrases()

    def close(self) -> None:
        """Close the sync clients that the Router created. The next use creates new ones."""
        self.engine.clients.close()
        if self._owns_classifier:
            self.classifier.close()

    async def aclose(self) -> None:
        """Close the clients that the Router created, including the async ones of the running event loop."""
        await self.engine.clients.aclose()
        if self._owns_classifier:
            await self.classifier.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Router({self.vendor!r}, buckets={list(self.buckets.names)})"

    def _identify(
        self, delivery: Delivery, data: Mapping[str, JsonValue] | None = None
    ) -> tuple[str | None, str | None]:
        """Return the ids of a delivery's conversation and of the delivery, so that an operator can find it again."""
        return self.vendor.identify(delivery, data) if isinstance(self.vendor, HelpDesk) else (None, None)

    def _build_fields(self, delivery: Delivery) -> Fields:
        """Return the fields of a record that is written before a delivery is parsed, when its event has no key yet."""
        conversation_id, event_id = self._identify(delivery)
        fields = {"router": self.name, "vendor": self.vendor.name}
        return remove_unknown({**fields, "conversation_id": conversation_id, "event_id": event_id})

    def _check_event(self, event: Event | str) -> None:
        key = event if isinstance(event, str) else event.key
        if not self.owns(key):
            raise ConfigurationError(f"{key} belongs to another Router, not to {self.name!r}. Pass it to that one.")
        if isinstance(event, str) and self.inbox is None:
            raise ConfigurationError(
                "This Router has no inbox to look up a key in: Router(…, inbox=SQLiteInbox(path))."
            )

    async def _receive_async(self, raw_body: bytes, headers: Headers) -> Received:
        """Do the same as `receive`, but parse a large body in a thread, so that it does not block the event loop."""
        _check_body(raw_body)
        if len(raw_body) <= _LARGE:
            return self.receive(raw_body, headers)
        return await asyncio.to_thread(self.receive, raw_body, headers)

    async def _store_async(self, inbox: Inbox, raw_body: bytes, headers: Headers) -> WebhookResponse:
        """Receive and store a delivery. Writing to a disk or a database must not block the event loop, either."""
        received: Received | None = None
        try:
            async with asyncio.timeout(_STORING):  # threads may be scarce
                received = await self._receive_async(raw_body, headers)
                status = await call_inbox(inbox, AsyncIO(self._storage.get()), self._add, inbox, received, raw_body)
                if self._has_blocking_listeners or self._backlog.is_due:
                    return await asyncio.to_thread(self._acknowledge, received, status)
                return self._acknowledge(received, status)
        except InboxError as err:
            return self._report_unstored(str(err), received)
        except TimeoutError:
            # A thread may still store the event later. When it is delivered again, it is then a duplicate.
            return self._report_unstored(f"the inbox did not store the event within {_STORING:g} s", received)

    def _store(self, inbox: Inbox, raw_body: bytes, headers: Headers) -> WebhookResponse:
        """Receive and store a delivery before it is acknowledged, or answer 503 so that it is delivered again."""
        received = self.receive(raw_body, headers)
        try:
            status = self._add(inbox, received, raw_body)
        except InboxError as err:
            return self._report_unstored(str(err), received)
        return self._acknowledge(received, status)

    def _add(self, inbox: Inbox, received: Received, body: bytes) -> Status:
        """Add a delivery to the inbox, and return the status of its outcome."""
        if received.event is not None:
            return "accepted" if self.engine.store(received.event) else "duplicate"
        if received.outcome.status == "malformed":
            inbox.dead_letter_unreadable(self.name, bytes(body), received.outcome.reason)
        return received.outcome.status

    def _acknowledge(self, received: Received, status: Status) -> WebhookResponse:
        """Tell the listeners about an event that was stored, and build the response."""
        event = received.event
        if event is None:
            return received
        if status == "accepted":
            self._notify_listeners(event)
        outcome = _build_outcome(status, event)
        self.engine.observers.notify("received", outcome)
        self._backlog.check()
        return self._respond(outcome)

    def _report_unstored(self, reason: str, received: Received | None) -> Received:
        """Build the response to a delivery that is not stored; `received` is None if it was not parsed, either."""
        known = received.outcome if received else Outcome(status="failed")
        return self._reject(
            503,
            "failed",
            reason,
            key=known.key,
            conversation_id=known.conversation_id,
            event_id=known.event_id,
        )

    def _notify_listeners(self, event: Event) -> None:
        with bind_fields(build_fields(event)):
            for listener in self._listeners:
                try:
                    listener(event.key)
                except Exception as err:  # noqa: BLE001 - the event is stored and must be acknowledged
                    location = describe_location(err)
                    logger.error("the event was stored, but a listener raised %s", location)  # noqa: TRY400

    def _respond(
        self,
        outcome: Outcome,
        status_code: int = 200,
        *,
        body: Mapping[str, JsonValue] | None = None,
        event: Event | None = None,
    ) -> Received:
        """Build the response to a webhook: 503 for a failure that may pass, if the help desk delivers again."""
        if outcome.retryable and self._on_failure == "retry" and getattr(self.vendor, "retries_deliveries", True):
            status_code = 503
        headers = {"Content-Type": "application/json"} | ({"Retry-After": "30"} if status_code == 503 else {})
        content = json.dumps(body).encode() if body else b'{"status": "%s"}' % outcome.status.encode()
        return Received(status_code, content, headers, outcome, event)

    def _reject(
        self,
        status_code: int,
        status: Status,
        reason: str,
        *,
        key: str | None = None,
        conversation_id: str | None = None,
        event_id: str | None = None,
        warnings: tuple[str, ...] = (),
        body: Mapping[str, JsonValue] | None = None,
    ) -> Received:
        """Build the response to a delivery that contains no event to process."""
        outcome = Outcome(
            status=status,
            reason=reason,
            key=key,
            conversation_id=conversation_id,
            event_id=event_id,
            warnings=warnings,
        )
        self.engine.observers.notify("received", outcome)
        return self._respond(outcome, status_code, body=body)


def _check_body(body: object) -> None:
    """Raise for callers without a type checker: the most common mistake is to pass parsed or decoded JSON."""
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError(
            f"handle() needs the raw bytes of the request's body, not {type(body).__name__}: the signature can only be "
            f"checked over the bytes as they arrived."
        )


def _build_outcome(status: Status, event: Event) -> Outcome:
    """Build the outcome of a delivery that contains an event."""
    return Outcome(status=status, key=event.key, conversation_id=event.conversation_id, event_id=event.event_id)


def _check_arguments(vendor: object, inbox: object, limits: object, name: object) -> None:
    if isinstance(vendor, type):
        raise ConfigurationError(
            f"Router needs an instance of {vendor.__name__}: {vendor.__name__}(…) or {vendor.__name__}.from_env()."
        )
    if not all(
        hasattr(vendor, attribute) for attribute in ("name", "check", "verify", "parse", "plan", "fetch", "perform")
    ):
        raise ConfigurationError(f"Router's first argument must be an adapter, not {type(vendor).__name__}.")
    if inbox is not None and (isinstance(inbox, type) or not hasattr(inbox, "lease_key")):
        raise ConfigurationError(f"inbox must be an inbox, such as SQLiteInbox('triage.db'), not {inbox!r}.")
    if name is not None and not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise ConfigurationError(
            f"name={name!r}: a Router's name has 1 to 64 of the characters a-z, 0-9, '_', '.' and '-', and begins with "
            f"a letter or a digit."
        )
    if not isinstance(limits, Limits):
        raise ConfigurationError(f"limits must be Limits(…), not {limits!r}.")


def _check_options(
    context: object, dry_run: object, max_body: object, on_failure: object, reroute: object, when: object
) -> None:
    if not isinstance(dry_run, bool):
        raise ConfigurationError(f"dry_run must be True or False, not {dry_run!r}.")
    if type(context) is not int or context < 0:
        raise ConfigurationError(f"context must be the number of earlier messages to include, not {context!r}.")
    if max_body is not None and (type(max_body) is not int or max_body < 1):
        raise ConfigurationError(f"max_body must be a number of bytes of at least 1, not {max_body!r}.")
    if on_failure not in ("accept", "retry"):
        raise ConfigurationError(f"on_failure must be 'accept' or 'retry', not {on_failure!r}.")
    if reroute not in ("escalate", "always", "never"):
        raise ConfigurationError(f"reroute must be 'escalate', 'always' or 'never', not {reroute!r}.")
    if isinstance(when, type) or not (when is None or callable(when)):
        raise ConfigurationError(f"when must be a function that takes a conversation, not {when!r}.")


def _parse_lag(max_lag: Duration | None) -> float | None:
    return None if max_lag is None else parse_duration(max_lag, "max_lag")


def _check_functions(functions: object) -> dict[str, Callable[[RunContext], object]]:
    if functions is None:
        return {}
    if not isinstance(functions, Mapping):
        raise ConfigurationError("functions must be a dictionary. Write functions={'page': page}.")
    checked = cast("Mapping[str, Callable[[RunContext], object]]", functions)
    for name, function in checked.items():
        if isinstance(function, type) or not callable(function):  # pyright: ignore[reportUnnecessaryComparison]
            raise ConfigurationError(f"functions[{name!r}] must be a function that takes a RunContext.")
    return dict(checked)


def _check_tags(tags: object) -> frozenset[str]:
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise ConfigurationError("ignore_tags must be a list of tags. Write ['no-triage'].")
    names = list(cast("Iterable[object]", tags))
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigurationError("ignore_tags must contain the names of tags. Write ['no-triage'].")
    return frozenset(str(name).strip().casefold() for name in names)


def _create_default_classifier() -> Classifier:
    from triage.classifiers.claude import Claude

    return Claude()
