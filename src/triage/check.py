"""Check the set-up of a Router: credentials, policy, classifier, webhook secret, clock, inbox and workers.

Nothing is changed at the help desk: only calls that read are made. The inbox gets one write without an effect.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from triage.engine.breaker import CircuitBreaker
from triage.engine.health import probe_inbox
from triage.engine.storage import call_inbox
from triage.engine.transport import Transport
from triage.errors import ConfigurationError, InboxError, InvalidSignature, StaleDelivery
from triage.inbox import MemoryInbox
from triage.io.ports import IO
from triage.models import Conversation, Delivery, Finding, Message, Request, Response
from triage.router import Router
from triage.vendors.base import HelpDesk

_LARGEST_SKEW = 60.0  # seconds; the smallest replay window of a help desk is 5 minutes
_LATEST_HEARTBEAT = 60.0  # seconds; a worker sends one every 20 s
_TEXT = "This message checks that the classifier works. How do I change my email address?"
_REQUEST_LINE = re.compile(rb"[A-Z]+ \S+ HTTP/[0-9.]+")


async def check_router(
    router: Router, io: IO, *, sample: bytes | None = None, with_classifier: bool = True
) -> list[Finding]:
    """Check everything that can be checked without a change at the help desk.

    Args:
        router: The Router.
        io: The port.
        sample: A delivery that was captured: its headers, an empty line and its body. None skips this check.
        with_classifier: False to skip the call of the classifier, which may cost money.
    """
    findings = await _check_vendor(router, io)
    findings.append(_check_secret(router, sample))
    if with_classifier:
        findings.append(await _check_classifier(router, io))
    return [*findings, *await _check_inbox(router, io)]


async def _check_vendor(router: Router, io: IO) -> list[Finding]:
    vendor, engine = router.vendor, router.engine
    if not isinstance(vendor, HelpDesk):
        return [Finding("credentials", "skipped", f"{type(vendor).__name__} is not based on HelpDesk")]
    memory = MemoryInbox(clock=engine.clock)  # so that a failed check opens no circuit breaker of the workers
    transport = Transport(
        vendor=vendor,
        auth=engine.auth,
        clients=engine.clients,
        io=io,
        breaker=CircuitBreaker("the check", memory, engine.limits.failures, engine.limits.pause_seconds, engine.clock),
        tokens=engine.tokens,
        clock=engine.clock,
    )
    skews: list[float] = []

    async def send(request: Request) -> Response:
        response = await transport.send(request)
        skews.extend(_read_skew(response, engine.clock()))
        return response

    findings = list(await vendor.check_account(engine.all_actions, send))
    return [*findings, _check_clock(skews)]


def _read_skew(response: Response, now: float) -> Iterator[float]:
    """Yield by how many seconds our clock is ahead of the server's, if the response contains its time."""
    try:
        date = parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        return
    yield now - (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _check_clock(skews: Sequence[float]) -> Finding:
    if not skews:
        return Finding("clock", "skipped", "no response of the help desk contained its time")
    skew = min(skews, key=abs)
    if abs(skew) <= _LARGEST_SKEW:
        return Finding("clock", "ok", f"within {_LARGEST_SKEW:g} s of the help desk's")
    direction = "ahead of" if skew > 0 else "behind"
    advice = "Genuine webhooks may be rejected as replays. Synchronize this machine's clock (NTP)."
    return Finding(
        "clock", "failed", f"This machine's clock is {abs(skew):.0f} s {direction} the help desk's. {advice}"
    )


def _check_secret(router: Router, sample: bytes | None) -> Finding:
    name = "webhook secret"
    if sample is None:
        advice = "capture a delivery (its headers, an empty line, its body) in a file and pass --webhook FILE"
        return Finding(name, "skipped", f"to check it, {advice}")
    try:
        headers, body = parse_sample(sample)
    except ConfigurationError as err:
        return Finding(name, "failed", str(err))
    # Editors and tools append a line break to what they save.
    problem = ""
    for variant in dict.fromkeys((body, body.rstrip(b"\r\n"))):
        try:
            router.vendor.verify(Delivery.create(variant, headers, router.engine.clock()))
        except StaleDelivery:
            return Finding(name, "ok", "it matches the sample, whose time is too old to be accepted now")
        except InvalidSignature as err:
            problem = str(err)
        else:
            return Finding(name, "ok", "it matches the sample")
    advice = (
        "Compare the secret in the settings with the one that the help desk shows, and make sure that the sample "
        "contains the body's bytes exactly as they arrived, without reformatting."
    )
    return Finding(name, "failed", f"The sample does not match it: {problem}. {advice}")


def parse_sample(sample: bytes) -> tuple[Mapping[str, str], bytes]:
    """Split a captured delivery into its headers and its body.

    Args:
        sample: The headers, one on each line, then an empty line and the body. A request line may come first.

    Raises:
        ConfigurationError: There are no headers, or there is no body.
    """
    head, separator, body = _split(sample)
    headers: dict[str, str] = {}
    for number, line in enumerate(head.splitlines()):
        name, colon, value = line.decode("latin-1").partition(":")
        if colon and name.strip():
            headers[name.strip()] = value.strip()
        elif not (number == 0 and _REQUEST_LINE.fullmatch(line.strip())):
            raise ConfigurationError(f"Line {number + 1} of the sample is not a header. Write 'Name: value'.")
    if not separator or not headers or not body.strip():
        raise ConfigurationError("The sample must contain the headers, an empty line, and the body of a delivery.")
    return headers, body


def _split(sample: bytes) -> tuple[bytes, bytes, bytes]:
    match = re.search(rb"\r?\n\r?\n", sample)
    return (sample[: match.start()], match[0], sample[match.end() :]) if match else (sample, b"", b"")


async def _check_classifier(router: Router, io: IO) -> Finding:
    customer_text = Message(id="1", role="customer", text=_TEXT, at=datetime.fromtimestamp(router.engine.clock(), UTC))
    verdict = await router.engine.classify(Conversation(id="check", messages=(customer_text,)), io)
    if verdict.fallback:
        advice = (
            "Check the classifier's key, model and settings: until then, every message goes to the fallback bucket."
        )
        return Finding("classifier", "failed", f"It returned no verdict: {verdict.reason.removesuffix('.')}. {advice}")
    facts = [f"bucket {verdict.bucket}", verdict.model]
    facts.append(None if verdict.cost_usd is None else f"{verdict.cost_usd:.4f} USD")
    return Finding("classifier", "ok", ", ".join(filter(None, facts)))


async def _check_inbox(router: Router, io: IO) -> list[Finding]:
    if router.inbox is None:
        return [Finding("inbox", "skipped", "this Router has none: each request processes its own message")]
    inbox = router.inbox
    try:
        await probe_inbox(router.engine, io)
        age = await call_inbox(inbox, io, inbox.get_heartbeat_age, router.name)
        lag = await call_inbox(inbox, io, inbox.get_lag, router.name)
    except InboxError as err:
        advice = "Check the disk, the permissions and the address. Until then, webhooks are answered 503."
        return [Finding("inbox", "failed", f"It cannot be written: {err}. {advice}")]
    return [Finding("inbox", "ok", "writable"), _check_worker(router, age, lag)]


def _check_worker(router: Router, age: float | None, lag: float) -> Finding:
    if age is not None and age <= _LATEST_HEARTBEAT:
        return Finding("worker", "ok", f"seen {age:.0f} s ago")
    seen = "never seen" if age is None else f"last seen {age:.0f} s ago"
    waiting = f", and an event has waited {lag:.0f} s" if lag else ""
    advice = "Start one: Worker(router).start() in the application, or `triage work module:router`."
    return Finding("worker", "failed", f"A worker of {router.name!r} was {seen}{waiting}. {advice}")
