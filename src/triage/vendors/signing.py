"""Checking signatures: whatever a request holds, the answer is yes or no, in constant time."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Literal

from triage.errors import ConfigurationError


class Secrets:
    """The signing secrets that are accepted: one, or while it is being rotated the new and the old one.

    Args:
        secrets: One secret, or several.
        name: What the vendor calls it, for the error message.

    Raises:
        ConfigurationError: There is none, or one is empty: anybody could sign with it.
    """

    def __init__(self, secrets: str | Sequence[str], *, name: str) -> None:
        given = [secrets] if isinstance(secrets, str) else list(secrets)
        if not given or not all(secret.strip() for secret in given):
            raise ConfigurationError(f"{name} is empty: without it anybody could send us messages. Set it.")
        self._keys = [secret.encode() for secret in given]

    def __repr__(self) -> str:
        return f"<{len(self._keys)} secret(s)>"

    def verify(self, message: bytes, signature: bytes | None, algorithm: Literal["sha1", "sha256"]) -> bool:
        """True if `signature` is the HMAC of `message` by one of the secrets.

        Args:
            message: The bytes that are signed.
            signature: The decoded signature, None if it could not be decoded.
            algorithm: The hash.
        """
        digest = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}[algorithm]
        given = signature or b""
        return any(hmac.compare_digest(hmac.new(key, message, digest).digest(), given) for key in self._keys)

    def contains(self, value: str) -> bool:
        """True if `value` is one of the secrets itself.

        Args:
            value: What was sent.
        """
        given = value.encode("utf-8", "replace")
        return any(hmac.compare_digest(key, given) for key in self._keys)


def decode_hex(text: str) -> bytes | None:
    """Decode lower-case hex, or None. `bytes.fromhex` alone would take spaces and capitals as well."""
    return bytes.fromhex(text) if re.fullmatch(r"(?:[0-9a-f]{2})+", text) else None


def decode_base64(text: str) -> bytes | None:
    """Decode standard base64 with its padding, or None. Other spellings of the same bytes are refused."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded).decode() == text else None
