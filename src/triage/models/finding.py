"""The result of a check of the set-up."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    """The subject, such as `"credentials"`."""
    status: Literal["ok", "failed", "skipped"]
    detail: str
    """The finding in a sentence. After a failure, also the remedy."""
