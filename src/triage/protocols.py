"""What the `Router` is made of: a classifier and a vendor's adapter, each anything of the right shape."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from triage.actions import Action
from triage.errors import VendorError
from triage.models import (
    Conversation,
    Delivery,
    Event,
    Job,
    Ledger,
    Outcome,
    Parsed,
    Request,
    Response,
    Step,
    Token,
    Verdict,
)
from triage.policy import Buckets

Send: TypeAlias = Callable[[Request], Awaitable[Response]]
"""Make a call: answers with a 2xx response, raises `VendorError` for anything else. Retries are behind it."""


class Auth(Protocol):
    """Fetches access tokens with a client's credentials (RFC 6749, 4.4), for vendors that want them."""

    def request(self) -> Request:
        """The call that gives a token."""
        ...

    def token(self, request: Request, response: Response, now: float) -> Token:
        """Read its answer.

        Args:
            request: What was asked.
            response: A 2xx answer.
            now: Seconds since the epoch.

        Raises:
            VendorError: It holds no token.
        """
        ...


class Vendor(Protocol):
    """A help desk. It does no I/O of its own, reads no clock and keeps no state: bytes in, events and requests out."""

    @property
    def name(self) -> str:
        """In lower case, as it stands in events and logs."""
        ...

    @property
    def can(self) -> frozenset[type[Action]]:
        """The actions it has. A policy with others is refused when the Router is made."""
        ...

    @property
    def instead(self) -> Mapping[type[Action], str]:
        """For actions that it lacks: what to use instead, as it ends the error message."""
        ...

    @property
    def auth(self) -> Auth | None:
        """Where its requests are to carry a token that is fetched first; None where they carry all they need."""
        ...

    def verify(self, delivery: Delivery) -> None:
        """Check the signature of the raw bytes, in constant time.

        Raises:
            InvalidSignature: It is absent, malformed, wrong or stale.
        """
        ...

    def parse(self, delivery: Delivery) -> Parsed:
        """Read a verified delivery.

        Raises:
            MalformedPayload: It cannot be read.
        """
        ...

    def plan(self, actions: Sequence[Action]) -> Sequence[Step]:
        """Group and order actions as the vendor wants them; also called once for each bucket when the Router is made.

        Raises:
            ConfigurationError: The vendor cannot do this; the message says what to use instead.
        """
        ...

    async def fetch(self, event: Event, send: Send) -> Conversation:
        """Read the conversation as it stands now."""
        ...

    async def perform(self, step: Step, conversation: Conversation, send: Send) -> None:
        """Take a step. Returns once the vendor confirmed it, raises `VendorError` otherwise."""
        ...

    async def performed(self, step: Step, conversation: Conversation, send: Send) -> bool:
        """Ask whether a step of unknown fate took effect.

        Args:
            step: What was tried.
            conversation: As it was fetched before the step.
            send: The port for the calls.
        """
        ...

    def error(self, request: Request, response: Response, now: float) -> VendorError:
        """Read an answer that is not 2xx.

        Args:
            request: What was asked.
            response: What was answered.
            now: Seconds since the epoch, for limits that are told as a time.
        """
        ...


class Inbox(Protocol):
    """Where events are kept from the moment they are acknowledged. Each method may raise `InboxError`."""

    def add(self, event: Event) -> bool:
        """Store an event, so that it survives a crash. False if its message is known already."""
        ...

    def keep(self, vendor: str, body: bytes, error: str) -> bool:
        """Store a signed delivery that cannot be read, parked. False if it is there already."""
        ...

    def lease(self, limit: int, seconds: float) -> Sequence[Job]:
        """Take events that are due for a while, the oldest first, no two of one conversation."""
        ...

    def record(self, job: Job, ledger: Ledger) -> None:
        """Write down what has been done. Raises `LeaseLost` if another worker has the event."""
        ...

    def extend(self, jobs: Iterable[Job], seconds: float) -> None:
        """Keep the leases of events that take longer."""
        ...

    def finish(self, job: Job, outcome: Outcome) -> None:
        """Be done with an event. Raises `LeaseLost` if another worker has it."""
        ...

    def retry(self, job: Job, error: str, at: float) -> None:
        """Give an event back until a time. Raises `LeaseLost` if another worker has it."""
        ...

    def park(self, job: Job, error: str) -> None:
        """Give an event up, for a human to look at. Raises `LeaseLost` if another worker has it."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """Tells the bucket. It may raise: the Router then uses its fallback bucket."""

    def classify(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Classify the conversation, above all the customer's last message."""
        ...


@runtime_checkable
class AsyncClassifier(Protocol):
    """The same for the async door. One class may be both."""

    async def classify_async(self, conversation: Conversation, buckets: Buckets) -> Verdict:
        """Classify the conversation, above all the customer's last message."""
        ...


ClassifierLike: TypeAlias = (
    Classifier | AsyncClassifier | Callable[[str], str | Verdict] | Callable[[str], Awaitable[str | Verdict]]
)
"""A classifier, or a plain function from the customer's text to a bucket's name."""
