"""The Router: a delivery comes in by `handle`, the conversation is routed, an answer goes back.

`receive` is the pure half (verify, parse; no I/O), `process` the working half; `handle` is one after the other. The
story of `process` is told in `_pipeline.py`.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Literal, Self

import httpx
from pydantic import JsonValue

from triage import policy
from triage.actions import Action
from triage.classifiers.base import ClassifierLike
from triage.classifiers.claude import Claude
from triage.engine.attempt import Pipeline
from triage.engine.breaker import Gate
from triage.engine.old_ports import (
    AsyncHttpClient,
    Awaiting,
    Blocking,
    HttpClient,
    Shared,
    awaiting_form,
    blocking_form,
)
from triage.errors import (
    ConfigurationError,
    InboxError,
    InvalidSignature,
    LeaseLost,
    MalformedPayload,
    describe_location,
)
from triage.inbox import MemoryInbox
from triage.inbox.base import Inbox
from triage.io.clients import OnDemand, PerLoop
from triage.io.ports import run
from triage.limits import Limits
from triage.models import (
    Conversation,
    Delivery,
    Event,
    Handshake,
    Headers,
    Job,
    Ledger,
    Outcome,
    Status,
    WebhookResponse,
)
from triage.policy import Bucket, Buckets
from triage.vendors.base import Vendor

logger = logging.getLogger("triage")

_TIMEOUT = 10.0  # seconds, for a call of the vendor's API
_MIB = 1024 * 1024
_LEASE = 300.0  # seconds; longer than an event can take with all its attempts, since nobody extends it here

ATTEMPTS = 20
"""How often an event is tried. The pauses double up to five minutes, so that it takes about an hour."""

_LEVELS = {"failed": logging.ERROR, "malformed": logging.WARNING, "refused": logging.WARNING}


class Router:
    """Receives a help desk's webhooks and routes its conversations.

    One Router serves all threads and event loops of a process. It is also a context manager, which closes the HTTP
    clients that it made.

    Args:
        vendor: The help desk's adapter, such as `triage.vendors.Intercom`.
        buckets: The labels and what each leads to; `default_buckets()` for a start.
        classifier: Tells the bucket. Anything with a `classify` or `classify_async` method, or a function from the
            customer's text to a bucket's name. Default: `triage.classifiers.Claude()`.
        fallback: The bucket for messages without a verdict: the classifier failed, or there was no text.
        review: The actions for a verdict below its bucket's `min_confidence`. Default: those of the fallback bucket.
        context: How many messages before the customer's last one the classifier gets to see.
        http: The client for the vendor's API in the sync door, an `httpx.Client` or anything with its `request`.
            Default: one that is made here and kept, with a time limit of 10 s.
        async_http: The same for the async door, an `httpx.AsyncClient`. It must belong to the event loop in use.
        inbox: Where events are stored before the vendor is answered, for a `Worker` to process: durable mode. Without
            one the request itself does the work, and this process's memory is all that knows of it.
        limits: What may be done and spent, and when a service is left alone.
        dry_run: True decides and reports, but only reads from the vendor and changes nothing there.
        max_body: The largest delivery that is read, in bytes.
        on_failure: What a vendor hears of an event that could not be routed because its API failed. `accept`: 200, it
            is done with. `retry`: 503, deliver it again, as long as nothing was done yet. With an inbox it has no say:
            the event is ours then.
        clock: Gives the seconds since the epoch.

    Raises:
        ConfigurationError: The policy cannot work: no buckets, two of one name, an unknown `fallback`, an action that
            the vendor cannot do, a text with unknown names in braces.
    """

    def __init__(
        self,
        vendor: Vendor,
        *,
        buckets: Iterable[Bucket],
        classifier: ClassifierLike | None = None,
        fallback: str = "general",
        review: Sequence[Action] | None = None,
        context: int = 3,
        http: HttpClient | None = None,
        async_http: AsyncHttpClient | None = None,
        inbox: Inbox | None = None,
        limits: Limits = Limits(),  # noqa: B008 - it is frozen
        dry_run: bool = False,
        max_body: int = _MIB,
        on_failure: Literal["accept", "retry"] = "accept",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if context < 0 or max_body < 1:
            raise ConfigurationError(f"context={context} and max_body={max_body}: neither may be negative or no bytes.")
        if on_failure not in ("accept", "retry"):
            raise ConfigurationError(f"on_failure is 'accept' or 'retry', not {on_failure!r}.")
        self.vendor = vendor
        self.buckets = Buckets(buckets, fallback=fallback)
        self.inbox = inbox
        self._own_classifier: Claude | None = None
        if classifier is None:
            classifier = self._own_classifier = Claude()
        self.classifier = classifier
        self._check_policy(review)
        self._check_limits(limits)
        self._store: Inbox = MemoryInbox(clock=clock) if inbox is None else inbox
        self._listeners: list[Callable[[str], None]] = []
        self._pipeline = Pipeline(vendor, self._store, self.buckets, review, context, limits, dry_run)
        self._max_body = max_body
        self._on_failure = on_failure
        self._clock = clock
        self._shared = Shared(
            Gate(vendor.name, self._store, limits.failures, limits.pause, clock),
            Gate("the classifier", self._store, limits.failures, limits.pause, clock),
            in_memory=isinstance(self._store, MemoryInbox),
        )
        self._http = http
        self._async_http = async_http
        # Made when it is needed: that takes 20 ms, for reading the system's certificates.
        self._own_http: OnDemand[httpx.Client] = OnDemand(lambda: httpx.Client(timeout=_TIMEOUT))
        self._own_async_http: PerLoop[httpx.AsyncClient] = PerLoop(lambda: httpx.AsyncClient(timeout=_TIMEOUT))

    def _check_policy(self, review: Sequence[Action] | None) -> None:
        lanes = [(f"Bucket {bucket.name!r}", bucket.actions) for bucket in self.buckets]
        for where, actions in [*lanes, ("review", review or [])]:
            for action in actions:
                if type(action) not in self.vendor.can:
                    advice = self.vendor.instead.get(type(action), "take it out of the policy.")
                    raise ConfigurationError(f"{where}: {self.vendor.name} has no {type(action).__name__}: {advice}")
            policy.check_templates(actions, where=where, extra=getattr(self.classifier, "extra", ()))
            self.vendor.plan(actions)
        check = getattr(self.classifier, "check", None)
        if check is not None:
            check(self.buckets)

    def _check_limits(self, limits: Limits) -> None:
        if limits.without_verdict == "wait" and self.inbox is None:
            raise ConfigurationError(
                "Limits(without_verdict='wait'): without an inbox nothing can wait. Give one: "
                "Router(..., inbox=SQLiteInbox(path))."
            )
        if limits.daily_usd is not None and not getattr(self.classifier, "priced", True):
            raise ConfigurationError(
                f"Limits(daily_usd={limits.daily_usd:g}): what {self.classifier!r} costs is not known. Give the price: "
                f"Claude(..., prices={{model: Price(...)}})."
            )

    def owns(self, key: str) -> bool:
        """Tell whether an event is one of this Router's help desk: several may share an inbox.

        Args:
            key: The event's.
        """
        return key.startswith(f"{self.vendor.name}:")

    def on_stored(self, listener: Callable[[str], None]) -> None:
        """Have a function called after each event that is stored, before its delivery is answered.

        Args:
            listener: Gets the event's key. It must be quick. What it raises is logged: the event is stored all the
                same, and told by the inbox's `overdue`.
        """
        self._listeners.append(listener)

    def receive(self, raw_body: bytes, headers: Headers) -> WebhookResponse:
        """Verify and parse a delivery: no I/O, the same for both doors.

        Args:
            raw_body: The request's body, the bytes as they came: a signature is over bytes.
            headers: The request's headers, as the web framework has them.

        Returns:
            The answer for the vendor. If its `event` is set, that is to be given to `process`.

        Raises:
            TypeError: The body is no bytes. That is the caller's mistake; no content of a request raises.
        """
        # For callers without a type checker: the commonest mistake is to hand over parsed or decoded JSON.
        if not isinstance(raw_body, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"handle() needs the raw bytes of the request's body, not {type(raw_body).__name__}: a signature "
                f"can be checked only over the bytes as they came."
            )
        if len(raw_body) > self._max_body:
            return _answer(413, self._log(Outcome(status="refused", reason=f"the body is over {self._max_body} bytes")))
        delivery = Delivery.of(raw_body, headers, self._clock())
        try:
            self.vendor.verify(delivery)
            parsed = self.vendor.parse(delivery)
        except InvalidSignature as err:
            return _answer(401, self._log(Outcome(status="refused", reason=str(err))))
        except MalformedPayload as err:
            return _answer(200, self._log(Outcome(status="malformed", reason=str(err), key=err.event_id)))
        if isinstance(parsed, Event):
            return WebhookResponse(200, b"", {}, event=parsed)
        body = parsed.body if isinstance(parsed, Handshake) else None
        return _answer(200, self._log(Outcome(status="ignored", reason=parsed.reason)), body)

    def process(self, event: Event | str, *, attempts: int = ATTEMPTS) -> Outcome:
        """Fetch, classify, decide and act, blocking until it is done.

        Args:
            event: From `receive`, in this process or another one; it is stored first. Or the key of one that is in the
                inbox.
            attempts: How often an event in the inbox is tried before it is parked.

        Returns:
            What became of it. `duplicate`: nothing is to be done now, because it is done with, is being worked on, or
            waits for its time or for an earlier one of its conversation.

        Raises:
            ConfigurationError: The classifier is async only, there is a key and no inbox, or the event is another help
                desk's.
            InboxError: The inbox cannot be read or written. It is `LeaseLost` where it took so long that another
                worker has taken the event over.
        """
        http = self._http or self._own_http.get()
        ports = Blocking(http, blocking_form(self.classifier), self._shared, self._clock)
        return run(self._process(event, ports, attempts))

    async def process_async(self, event: Event | str, *, attempts: int = ATTEMPTS) -> Outcome:
        """The same, awaited.

        Args:
            event: From `receive`, or a key.
            attempts: How often an event in the inbox is tried before it is parked.
        """
        return await self._process(event, self._awaiting(), attempts)

    def handle(self, raw_body: bytes, headers: Headers) -> WebhookResponse:
        """Do all of it: verify, parse, fetch, classify, decide, act. With an inbox: verify, parse, store.

        Args:
            raw_body: The request's body, the bytes as they came.
            headers: The request's headers, as the web framework has them.

        Returns:
            What the web framework is to send back.

        Raises:
            TypeError: The body is no bytes.
            ConfigurationError: The classifier is async only.
        """
        received = self.receive(raw_body, headers)
        if self.inbox is not None:
            return self._stored(self.inbox, received, raw_body)
        if received.event is None:
            return received
        return self._processed(self.process(received.event, attempts=1))

    async def handle_async(self, raw_body: bytes, headers: Headers) -> WebhookResponse:
        """The same, awaited.

        Args:
            raw_body: The request's body, the bytes as they came.
            headers: The request's headers, as the web framework has them.
        """
        received = self.receive(raw_body, headers)
        if self.inbox is not None:
            # Off the event loop: the disk takes its time.
            return await asyncio.to_thread(self._stored, self.inbox, received, raw_body)
        if received.event is None:
            return received
        return self._processed(await self.process_async(received.event, attempts=1))

    async def work(self, job: Job, *, attempts: int = ATTEMPTS) -> Outcome:
        """Process an event that is leased, from where its ledger stands.

        Args:
            job: The lease, from this Router's inbox.
            attempts: How often an event is tried before it is parked.

        Raises:
            LeaseLost: Another worker has the event.
            InboxError: The ledger could not be written, so nothing further was done.
        """
        return self._log(await self._pipeline.work(job, self._awaiting(), attempts))

    async def rehearse(self, conversation: Conversation) -> Ledger:
        """Tell what would be done with a conversation: the classifier is asked, and nothing else is touched.

        The vendor is not called, nothing is stored, and what it costs does not count against the day's limit.

        Args:
            conversation: One's tail, such as a ledger's `seen`.

        Returns:
            The verdict, and the steps that would be taken.
        """
        alone = MemoryInbox(clock=self._clock)
        gate = Gate("a service", alone, 1, 1.0, self._clock)
        pipeline = replace(self._pipeline, inbox=alone, limits=Limits())
        return await pipeline.rehearse(conversation, self._awaiting(Shared(gate, gate, in_memory=True)))

    async def resting(self) -> float:
        """Seconds for which the vendor is to be left alone, so that there is no use in working."""
        gate = self._shared.vendor_gate
        return gate.left() if gate.fresh else await asyncio.to_thread(gate.left)

    def warm_up(self) -> None:
        """Do what the first customer would wait for: import Claude's SDK and make the clients.

        Call it where the application starts; in an async application on the event loop that will serve. It makes no
        call over the network.

        Raises:
            ConfigurationError: There is no API key for the default classifier.
        """
        warm_up = getattr(self.classifier, "warm_up", None)
        if warm_up is not None:
            warm_up()
        if self._async_http is None:
            self._own_async_http.warm_up()
        if self._http is None:
            self._own_http.get()

    def close(self) -> None:
        """Close the HTTP client of the sync door, and the default classifier's. The next use opens them again."""
        opened = self._own_http.pop()
        if opened is not None:
            opened.close()
        if self._own_classifier is not None:
            self._own_classifier.close()

    async def aclose(self) -> None:
        """Close all that `close` does, and what the async door opened on the running event loop."""
        opened = self._own_async_http.pop()
        if opened is not None:
            await opened.aclose()
        if self._own_classifier is not None:
            await self._own_classifier.aclose()
        self.close()

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

    async def _process(self, event: Event | str, ports: Blocking | Awaiting, attempts: int) -> Outcome:
        job = await ports.blocking(self._taken, event)
        if job is None:
            key = event if isinstance(event, str) else event.key
            reason = "the message was handled before, or is being handled"
            return self._log(Outcome(status="duplicate", reason=reason, key=key))
        try:
            return self._log(await self._pipeline.work(job, ports, attempts))
        except BaseException:
            if self.inbox is None:
                # Interrupted, perhaps by a server that shuts down: the next delivery goes on with it.
                with suppress(LeaseLost):
                    self._store.dead_letter(job, "interrupted")
            raise

    def _taken(self, event: Event | str) -> Job | None:
        key = event if isinstance(event, str) else event.key
        if not self.owns(key):
            raise ConfigurationError(f"{key} is no event of {self.vendor.name}: give it to its own help desk's Router.")
        if isinstance(event, str):
            if self.inbox is None:
                raise ConfigurationError("This Router has no inbox in which a key could be looked up: give it one.")
        elif not self._store.add(event) and self.inbox is None:
            # There is no worker who would try again what failed: the vendor's next delivery does.
            self._store.redrive(key)
        return self._store.lease_key(key, _LEASE)

    def _awaiting(self, shared: Shared | None = None) -> Awaiting:
        http = self._async_http or self._own_async_http.get()
        return Awaiting(http, awaiting_form(self.classifier), shared or self._shared, self._clock)

    def _stored(self, inbox: Inbox, received: WebhookResponse, body: bytes) -> WebhookResponse:
        """Keep what came in before it is acknowledged. What cannot be kept is the vendor's to deliver again."""
        try:
            if received.event is not None:
                event = received.event
                status: Status = "accepted" if inbox.add(event) else "duplicate"
                stored = Outcome(status=status, key=event.key, conversation_id=event.conversation_id)
                if status == "accepted":
                    self._tell(event.key)
                return _answer(200, self._log(stored))
            if received.outcome is not None and received.outcome.status == "malformed":
                inbox.dead_letter_unreadable(self.vendor.name, bytes(body), received.outcome.reason)
        except InboxError as err:
            key = received.event.key if received.event else None
            return _answer(503, self._log(Outcome(status="failed", reason=str(err), key=key)))
        return received

    def _tell(self, key: str) -> None:
        for listener in self._listeners:
            try:
                listener(key)
            except Exception as err:  # noqa: BLE001 - whatever it is, the delivery is stored, and is answered so
                logger.error("%s is stored, but a listener raised %s", key, describe_location(err))  # noqa: TRY400 - may quote data

    def _processed(self, outcome: Outcome) -> WebhookResponse:
        untouched = all(step.status in ("failed", "pending", "skipped") for step in outcome.steps)
        retry = self._on_failure == "retry" and outcome.status == "failed" and untouched
        return _answer(503 if retry else 200, outcome)

    def _log(self, outcome: Outcome) -> Outcome:
        """Write the one log line of a delivery: ids and our own words, nothing that a customer wrote."""
        verdict = outcome.verdict
        logger.log(
            _LEVELS.get(outcome.status, logging.INFO),
            "%s %s conversation=%s key=%s bucket=%s fallback=%s steps=%s reason=%s",
            self.vendor.name,
            outcome.status,
            outcome.conversation_id,
            outcome.key,
            verdict and verdict.bucket,
            verdict and verdict.fallback,
            ",".join(map(str, outcome.steps)),
            outcome.reason,
            extra={"outcome": outcome},  # for handlers that count or alert
        )
        return outcome


def _answer(status_code: int, outcome: Outcome, body: Mapping[str, JsonValue] | None = None) -> WebhookResponse:
    headers = {"Content-Type": "application/json"} | ({"Retry-After": "30"} if status_code == 503 else {})
    return WebhookResponse(status_code, json.dumps(body or {"status": outcome.status}).encode(), headers, outcome)
