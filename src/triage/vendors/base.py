"""The protocol of an adapter."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from triage.actions import Action
from triage.errors import VendorError
from triage.models import (
    Conversation,
    Delivery,
    Event,
    Parsed,
    Request,
    Response,
    Step,
    Token,
)

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

    async def was_performed(self, step: Step, conversation: Conversation, send: Send) -> bool:
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
