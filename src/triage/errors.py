"""The errors that leave this library.

```
TriageError
├─ InvalidSignature      the request was not signed with one of our secrets
├─ MalformedPayload      it was, but the vendor's documentation does not describe what it holds
├─ ClassifierError       no verdict could be had
├─ InboxError            an event could not be stored
│  └─ LeaseLost          another worker has taken the event over
└─ VendorError           the vendor's API refused a call, or did not answer it
ConfigurationError       the program is set up wrongly
```

`ConfigurationError` stands outside the tree, so that `except TriageError` never hides a wrong set-up.
"""

import traceback
from typing import Any


class TriageError(Exception):
    """The root of the errors that a running program may meet."""


class InvalidSignature(TriageError):  # noqa: N818 - the field's usual name
    """The delivery does not carry a signature made with one of the configured secrets."""


class MalformedPayload(TriageError):  # noqa: N818 - the same
    """A signed delivery that cannot be read.

    Attributes:
        event_id: The vendor's id of the delivery, where there is one, to find it in the vendor's own log.
    """

    def __init__(self, message: str, *, event_id: str | None = None) -> None:
        super().__init__(message)
        self.event_id = event_id


class ClassifierError(TriageError):
    """The classifier gave no verdict; the message says why, without the customer's words."""


class InboxError(TriageError):
    """The inbox cannot be read or written; the message says why."""


class LeaseLost(InboxError):  # noqa: N818 - it is what happened
    """The lease of an event ran out, and another worker has it: nothing may be written about it any more."""


class VendorError(TriageError):
    """A call of the vendor's API failed.

    Attributes:
        vendor: The vendor's name, `"intercom"`.
        call: The call, `"POST /conversations/1/reply"`.
        status: The HTTP status, or None where no answer came.
        code: The vendor's own error code, `"not_found"`, where it sent one.
        request_id: The vendor's id of the request, for its support team.
        vendor_message: The vendor's own words. They may quote what it was sent, so they are not in the error's text.
        location: Where a redirect pointed. It was not followed.
        retry_after: Seconds that the vendor asked us to wait, where it did.
        outcome_unknown: True if the call may have taken effect all the same: the answer was lost or a 5xx.
        final: True if the same call would be refused again, whatever its status says elsewhere.
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

    def __str__(self) -> str:
        facts: dict[str, Any] = {"status": self.status, "code": self.code, "request_id": self.request_id}
        told = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
        return f"{self.vendor}: {self.call}: {self.message}" + (f" ({told})" if told else "")


class ConfigurationError(Exception):
    """The program is set up wrongly; the message says what to change. Raised where the object is made."""


def describe_location(error: BaseException) -> str:
    """Tell what was raised and where, not in its own words: they may quote a customer.

    Args:
        error: One that was raised.

    Returns:
        `"KeyError at /app/classifier.py:12"`.
    """
    raised = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {raised.filename}:{raised.lineno}"
