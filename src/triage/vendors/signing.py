"""Sign and verify webhooks in constant time. Verification returns a boolean and never raises."""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from triage.errors import ConfigurationError
from triage.models import Delivery
from triage.vendors.payload import explain_body

Algorithm: TypeAlias = Literal["sha1", "sha256"]

_HEX = re.compile(r"(?:[0-9a-f]{2})+")


class Secrets:
    """The accepted signing secrets: one, or the new and the old one during a rotation.

    Args:
        secrets: One secret, or several. The first one signs, and all of them verify.
        name: The setting that contains them, for the error message.

    Raises:
        ConfigurationError: There is no secret, or one is empty.
    """

    def __init__(self, secrets: str | Sequence[str], *, name: str = "the signing secret") -> None:
        values = [secrets] if isinstance(secrets, str) else list(secrets)
        if not values or not all(value.strip() for value in values):
            raise ConfigurationError(f"{name} is empty: without it, anybody could send us webhooks. Set it.")
        self._keys = [value.encode() for value in values]

    def __repr__(self) -> str:
        return f"<{len(self._keys)} secret(s)>"

    def sign(self, message: bytes, algorithm: Algorithm) -> bytes:
        """Return the HMAC of `message` by the first secret.

        Args:
            message: The bytes to sign.
            algorithm: The hash function.
        """
        return hmac.digest(self._keys[0], message, algorithm)

    def verify(self, message: bytes, signature: bytes | None, algorithm: Algorithm) -> bool:
        """Return whether `signature` is the HMAC of `message` by one of the secrets.

        Args:
            message: The bytes that were signed.
            signature: The decoded signature, or None if it could not be decoded.
            algorithm: The hash function. The adapter chooses it, never the request.
        """
        digests = (hmac.digest(key, message, algorithm) for key in self._keys)
        return any(hmac.compare_digest(digest, signature or b"") for digest in digests)

    def contains(self, value: str) -> bool:
        """Return whether `value` is one of the secrets, for vendors that send a shared key instead of a signature.

        Args:
            value: The key that was sent.
        """
        sent = value.encode("utf-8", "replace")
        return any(hmac.compare_digest(key, sent) for key in self._keys)


# The headers in which the help desks sign their webhooks.
_SIGNATURES = {
    "x-hub-signature": "Intercom",
    "x-zendesk-webhook-signature": "Zendesk",
    "x-front-signature": "Front",
    "x-helpscout-signature": "Help Scout",
    "x-crisp-signature": "Crisp",
}


def explain_rejection(delivery: Delivery, name: str, secret: str, *, stamp: str | None = None) -> str:
    """Return why a signature was rejected: which side is to blame, and what to correct.

    Args:
        delivery: The delivery.
        name: The header that carries the signature.
        secret: The secret in the user's words: `"the webhook's secret"`.
        stamp: The header with the signed time; None if the vendor signs no time.
    """
    headers = delivery.headers
    value = headers.get(name.lower(), "").strip()
    if not value:
        return f"{name} is absent{_explain_absence(headers, name)}"
    if problem := _explain_form(name, value) or explain_body(delivery.body):
        return problem
    if stamp is not None and (problem := _explain_stamp(stamp, headers, name)):
        return problem
    return f"{name} does not fit {secret} and these bytes; check the secret, and pass the body as it was received"


def _explain_form(name: str, value: str) -> str:
    """Return why a header cannot be a signature or a time, whatever the secret is, or an empty string."""
    if value.startswith(("[", "(")):
        return f"{name} is a list, not text; pass one value for each header"
    return f"{name} is repeated; a proxy must pass it only once" if ", " in value else ""


def _explain_stamp(stamp: str, headers: Mapping[str, str], name: str) -> str:
    value = headers.get(stamp.lower(), "").strip()
    return _explain_form(stamp, value) if value else f"{stamp} is absent, and {name} covers it"


def _explain_absence(headers: Mapping[str, str], name: str) -> str:
    in_environment = f"HTTP_{name.upper().replace('-', '_')}"
    if in_environment.lower() in headers:
        return (
            f": the names are those of a WSGI environment ({in_environment}); pass the headers of your framework's "
            f"request instead"
        )
    senders = [f"{vendor}, with {header.title()}" for header, vendor in _SIGNATURES.items() if headers.get(header)]
    if senders:
        return f": the delivery is signed by {senders[0]}; check which URL is registered at which help desk"
    return "" if headers else ": there are no headers at all"


def explain_time(name: str, signed_at: float | None, delivery: Delivery, window: float) -> str:
    """Return why the time of a genuine signature was rejected.

    Args:
        name: The header that contains the time.
        signed_at: The signed time, in seconds since the epoch; None if the header contains no time.
        delivery: The delivery.
        window: The permitted difference, in seconds.
    """
    if signed_at is None:
        return f"{name} is not a time"
    age = delivery.received_at - signed_at
    return (
        f"{name} is {abs(age):.0f} s {'before' if age > 0 else 'after'} our time, and {window:g} s are allowed: a "
        f"replay, a late delivery, or a wrong clock on this machine"
    )


def decode_hex(text: str) -> bytes | None:
    """Decode lower-case hex, or return None. `bytes.fromhex` alone would also accept spaces and capitals."""
    return bytes.fromhex(text) if _HEX.fullmatch(text) else None


def decode_base64(text: str) -> bytes | None:
    """Decode standard base64 with its padding, or return None. Other spellings of the same bytes are rejected."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded).decode() == text else None
