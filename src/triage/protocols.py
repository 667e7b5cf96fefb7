"""What the `Router` is made of: a classifier and a vendor's adapter, each anything of the right shape."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from triage.actions import Action
from triage.errors import VendorError
from triage.models import (
    Conversation,
    Delivery,
    Entry,
    Event,
    Job,
    Ledger,
    Outcome,
    Parsed,
    Request,
    Response,
    State,
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

    def pause(self, response: Response, now: float) -> float | None:
        """Read how long to make no further call, from the headers of an answer; None where nothing is told.

        Args:
            response: Any answer, one of 2xx that uses up an allowance too.
            now: Seconds since the epoch, for limits that are told as a time.
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
    """Where events are kept from the moment they are acknowledged.

    Each method may raise `InboxError`. Those that take a `Job` raise `LeaseLost` where its lease ran out and another
    worker has taken the event over. Times are told as seconds from now, and the inbox's clock alone is asked.
    """

    def add(self, event: Event) -> bool:
        """Store an event, so that it survives a crash. False if its message is known already."""
        ...

    def keep(self, vendor: str, body: bytes, error: str) -> bool:
        """Store a signed delivery that cannot be read, parked. False if it is there already."""
        ...

    def lease(self, limit: int, seconds: float, vendor: str | None = None) -> Sequence[Job]:
        """Take events, of one help desk or of all, that are due for a while; the oldest, no two of a conversation."""
        ...

    def take(self, key: str, seconds: float) -> Job | None:
        """The same for a certain event. None if it is done with, is being worked on, or it is not its turn."""
        ...

    def record(self, job: Job, ledger: Ledger) -> None:
        """Write down what has been done."""
        ...

    def extend(self, jobs: Iterable[Job], seconds: float) -> None:
        """Keep the leases of events that take longer. What is lost stays lost."""
        ...

    def finish(self, job: Job, outcome: Outcome, ledger: Ledger | None = None) -> None:
        """Be done with an event. The ledger, here and below, is recorded with it; None leaves what was recorded."""
        ...

    def retry(self, job: Job, error: str, seconds: float, ledger: Ledger | None = None) -> None:
        """Give an event back for a while."""
        ...

    def park(self, job: Job, error: str, ledger: Ledger | None = None) -> None:
        """Give an event up, for a human to look at."""
        ...

    def overdue(self, limit: int, seconds: float, vendor: str | None = None) -> Sequence[str]:
        """The keys of events that could have been begun so long ago, each less and less often."""
        ...

    def hold(self, name: str, seconds: float) -> None:
        """Let no worker call a service for a while; a longer time that was set before stays."""
        ...

    def held(self, name: str) -> float:
        """For how many seconds a service is still to be left alone."""
        ...

    def spend(self, name: str, amount: float) -> None:
        """Add to a sum that all workers share."""
        ...

    def spent(self, name: str) -> float:
        """Tell such a sum; 0 where nothing was added."""
        ...

    def entries(self, state: State | None = None, *, limit: int = 100, before: int | None = None) -> Sequence[Entry]:
        """List what is there, the newest first; `before` is the number of the last one of the page before."""
        ...

    def entry(self, key: str) -> Entry | None:
        """Look one up."""
        ...

    def redrive(self, key: str) -> bool:
        """Let a parked event be tried again, from where its ledger stands. False if there is none."""
        ...

    def set_aside(self, key: str, reason: str) -> bool:
        """Park an event that nobody is working on. False if there is none."""
        ...

    def purge(self, before: float, *, parked: bool = False) -> int:
        """Forget what has been finished (or parked) since a time, in seconds since the epoch; tells how many."""
        ...

    def forget(self, customer: str) -> int:
        """Remove the events of a customer's id or e-mail address that nobody is working on; tells how many."""
        ...

    def stats(self) -> Mapping[str, int]:
        """Count by state: `ready`, `leased`, `finished`, `parked`."""
        ...

    def close(self) -> None:
        """Close what is open. The next use opens it again."""
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
