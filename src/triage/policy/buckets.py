"""Buckets: the labels, and what each leads to."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, overload

from triage.actions import Action
from triage.errors import ConfigurationError

Mode: TypeAlias = Literal["auto", "suggest", "shadow"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Bucket:
    """A label, and what is done with the conversations that get it.

    Args:
        name: A slug in lower case: models return labels of mixed case differently from one call to the next.
        description: What belongs here. It is the prompt: write it for a new colleague.
        actions: What is done, in this order, except that closing comes last.
        min_confidence: Below it the conversation goes to the Router's `review` lane, or without one to its fallback.
        mode: `auto` acts. `suggest` only leaves a note with the verdict. `shadow` does nothing but report.
        examples: Messages that belong here, for the prompt.

    Raises:
        ConfigurationError: Something of it cannot work.
    """

    name: str
    description: str
    actions: Sequence[Action] = ()
    min_confidence: float = 0.0
    mode: Mode = "auto"
    examples: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"Bucket {self.name!r}: a name is 1 to 64 of a-z, 0-9, '_' and '-', and begins with a letter or digit."
            )
        if not self.description.strip():
            raise ConfigurationError(f"Bucket {self.name!r}: say in a sentence what belongs here; it is the prompt.")
        if not 0 <= self.min_confidence <= 1:
            raise ConfigurationError(f"Bucket {self.name!r}: min_confidence is from 0 to 1, not {self.min_confidence}.")
        if self.mode not in ("auto", "suggest", "shadow"):
            raise ConfigurationError(f"Bucket {self.name!r}: mode is 'auto', 'suggest' or 'shadow', not {self.mode!r}.")


class Buckets(Sequence[Bucket]):
    """The closed set of labels, in the order of the prompt, and the one that stands in where there is no verdict."""

    def __init__(self, buckets: Iterable[Bucket], *, fallback: str = "general") -> None:
        self._by_name: dict[str, Bucket] = {}
        for bucket in buckets:
            if bucket.name in self._by_name:
                raise ConfigurationError(f"Two buckets are named {bucket.name!r}: rename one of them.")
            self._by_name[bucket.name] = bucket
        if not self._by_name:
            raise ConfigurationError("There are no buckets: give at least one, or use default_buckets().")
        if fallback not in self._by_name:
            raise ConfigurationError(
                f"fallback={fallback!r} is none of the buckets: {', '.join(self._by_name)}. Name one of them."
            )
        self.fallback = self._by_name[fallback]

    @classmethod
    def create(cls, buckets: Any, fallback: str | None) -> "Buckets":
        return (
            buckets
            if isinstance(buckets, Buckets) and fallback is None
            else cls(buckets, fallback=fallback or "general")
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The labels."""
        return tuple(self._by_name)

    def get(self, name: str) -> Bucket | None:
        """The bucket of that name, in any case, or None."""
        return self._by_name.get(name.strip().casefold())

    @overload
    def __getitem__(self, index: int) -> Bucket: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Bucket]: ...
    def __getitem__(self, index: int | slice) -> Bucket | Sequence[Bucket]:
        return tuple(self._by_name.values())[index]

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Bucket]:
        return iter(self._by_name.values())

    def __repr__(self) -> str:
        return f"Buckets({', '.join(self.names)}, fallback={self.fallback.name!r})"
