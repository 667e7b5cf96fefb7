"""The errors that this library raises.

```
TriageError
├─ InvalidSignature      a request is not signed with one of the configured secrets
│  └─ StaleDelivery      it is signed correctly, but at another time
├─ MalformedPayload      a signed request does not match the vendor's documentation
├─ ConversationIgnored   an adapter leaves a conversation alone, as its settings demand
├─ ClassifierError       the classifier returned no verdict
├─ InboxError            the inbox cannot be read or written
│  └─ LeaseLost          another worker has taken over the event
└─ VendorError           the vendor's API rejected a call, or did not answer
   └─ MessageUnconfirmed the vendor may still deliver a message whose outcome is unknown
ConfigurationError       the program is configured incorrectly
├─ DatasetError          labeled messages cannot be used
└─ RecordingMissing      a verdict was never recorded
```

`ConfigurationError` is not a `TriageError`, so that `except TriageError` never hides a mistake in the configuration.
"""

import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal


class TriageError(Exception):
    """The base class of errors that can occur while a correctly configured program runs."""


class InvalidSignature(TriageError):  # noqa: N818 - the field's usual name
    """A delivery is not signed with one of the configured secrets."""


class StaleDelivery(InvalidSignature):
    """A delivery is signed correctly, but its signed time is too far from ours: a replay, or a wrong clock."""


class MalformedPayload(TriageError):  # noqa: N818 - named like InvalidSignature
    """A signed delivery cannot be parsed.

    Attributes:
        event_id: The vendor's id of the delivery, if there is one, with which to search the vendor's own log.
    """

    def __init__(self, message: str, *, event_id: str | None = None) -> None:
        super().__init__(message)
        self.event_id = event_id


class ConversationIgnored(TriageError):  # noqa: N818 - the outcome's name
    """An adapter that has read a conversation leaves it alone. The message says why, without customer text."""


class ClassifierError(TriageError):
    """The classifier returned no verdict. The message says why, without customer text."""


class InboxError(TriageError):
    """The inbox cannot be read or written. The message says why."""


class LeaseLost(InboxError):  # noqa: N818 - says what happened
    """The lease of an event expired and another worker has taken over the event, so the write was rejected."""


_CONFLICT = 409  # with newer data, the next attempt may succeed
_REJECTIONS = frozenset({400, 404, 405, 410, 413, 415, 422})
"""Statuses for which the same call fails again. After 401 and 403, an operator may correct a token or a permission."""


class VendorError(TriageError):
    """A call to the vendor's API failed.

    Attributes:
        vendor: The vendor's name, `"intercom"`.
        call: The call, `"POST /conversations/1/reply"`.
        status: The HTTP status; None if no response was received.
        code: The vendor's error code, `"not_found"`, if it sent one.
        request_id: The vendor's id of the request, for its support team.
        vendor_message: The vendor's error message. It may quote the request, so it is not part of the error's text.
        location: The target of a redirect, which was not followed.
        retry_after: The seconds that the vendor asked us to wait; None if it did not.
        outcome_unknown: True if the call may have taken effect anyway: the response was lost, or was a 5xx.
        final: True if the same call would be rejected again, whatever the status says.
    """

    def __init__(
        self,
        message: str,
        *,
        vendor: str,
        call: str,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        vendor_message: str | None = None,
        location: str | None = None,
        retry_after: float | None = None,
        outcome_unknown: bool = False,
        final: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.vendor = vendor
        self.call = call
        self.status = status
        self.code = code
        self.request_id = request_id
        self.vendor_message = vendor_message
        self.location = location
        self.retry_after = retry_after
        self.outcome_unknown = outcome_unknown
        self.final = final

    @property
    def is_rejection(self) -> bool:
        """True if the vendor rejected the call for good, so that repeating it is pointless."""
        return self.status in _REJECTIONS or (self.final and self.status != _CONFLICT)

    def __str__(self) -> str:
        facts: dict[str, Any] = {"status": self.status, "code": self.code, "request_id": self.request_id}
        details = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
        return f"{self.vendor}: {self.call}: {self.message}" + (f" ({details})" if details else "")


class MessageUnconfirmed(VendorError):  # noqa: N818 - says what happened
    """A reply or a note with an unknown outcome is not visible, and the vendor may still deliver it."""


class ConfigurationError(Exception):
    """The program is configured incorrectly. The message says what to change.

    Constructors raise it, so a mistake is reported where the object is created.
    """


class DatasetError(ConfigurationError):
    """Labeled messages cannot be used. The message names the file and the row, and says what to change."""


class RecordingMissing(ConfigurationError):  # noqa: N818 - says what happened
    """A verdict is missing in a recording, which must not request new ones. The message says how to record it."""


_TRIAGE = Path(__file__).parent
_STANDARD_LIBRARY = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
_SITE_PACKAGES = frozenset({"site-packages", "dist-packages"})
_DEPENDENCIES = frozenset(
    {"aiohttp", "anthropic", "celery", "httpx", "httpx2", "kombu", "psycopg", "psycopg_pool", "pydantic"}
)
_GENERATED = ("<frozen ", "<string>", "<attrs ")  # code without a file: import machinery, dataclasses, attrs


def describe_location(error: BaseException) -> str:
    """Return an error's type and location, without its message, which may quote a customer.

    The location is the last line of the user's own code. If a classifier calls `json.loads`, that is the line with the
    call, not the line in `json` that raised.

    Args:
        error: An error that was raised.

    Returns:
        `"KeyError at /app/classifier.py:12"`.
    """
    name = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return name
    frame = _find_frame(frames)
    return f"{name} at {frame.filename}:{frame.lineno}"


def _find_frame(frames: Sequence[traceback.FrameSummary]) -> traceback.FrameSummary:
    origins = [_find_origin(frame.filename) for frame in frames]
    if "user" in origins:
        return frames[_last_index(origins, "user")]
    if "triage" not in origins:
        return frames[-1]
    last = _last_index(origins, "triage")
    # If our code called an installed package, then that package is the user's application.
    return next((frame for frame, origin in zip(frames, origins, strict=True) if origin == "installed"), frames[last])


def _last_index(origins: Sequence[str], origin: str) -> int:
    return max(index for index, other in enumerate(origins) if other == origin)


def _find_origin(filename: str) -> Literal["triage", "library", "installed", "user"]:
    path = Path(filename)
    if path.is_relative_to(_TRIAGE):
        return "triage"
    if not _SITE_PACKAGES.isdisjoint(path.parts):
        return "installed" if _DEPENDENCIES.isdisjoint(path.parts) else "library"
    if filename.startswith(_GENERATED) or any(path.is_relative_to(directory) for directory in _STANDARD_LIBRARY):
        return "library"
    return "user"
