"""Buckets: the labels that a classifier chooses from, and the actions that follow from each."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias, TypeGuard, cast, overload

from triage.actions import Action, Assign, Close, Reply
from triage.errors import ConfigurationError
from triage.policy.check import check_actions, describe_type
from triage.policy.defaults import DEFAULT_BUCKETS

Mode: TypeAlias = Literal["auto", "suggest", "shadow"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

_EXAMPLE = "Bucket('billing', 'Invoices, charges and refunds.', [Assign(team='12345')])"


@dataclass(frozen=True)
class Bucket:
    """A label, and the actions for the conversations that get it.

    Args:
        name: A slug in lower case, because models do not return the case of labels reliably.
        description: A description of the messages that belong here. It is part of the prompt: write it as you would
            for a new colleague.
        actions: The actions in order, except that closing always comes last.
        min_confidence: The confidence below which the conversation gets the Router's `review` actions, or those of the
            fallback bucket if there is no `review`.
        mode: `auto` performs the actions. `suggest` only leaves a note with the verdict. `shadow` only reports.
        examples: Messages that belong here, for the prompt.

    Raises:
        ConfigurationError: An argument is invalid.
    """

    name: str
    description: str
    actions: Sequence[Action] = ()
    min_confidence: float = 0.0
    mode: Mode = "auto"
    examples: Sequence[str] = ()

    def __post_init__(self) -> None:
        _check_name(self.name)
        where = f"Bucket {self.name!r}"
        if not _is_text(self.description):
            raise ConfigurationError(f"{where}: describe in a sentence what belongs here; it is part of the prompt.")
        if not _is_fraction(self.min_confidence):
            raise ConfigurationError(
                f"{where}: min_confidence must be a number from 0 to 1, not {self.min_confidence!r}. Write 0.8 for 80%."
            )
        if self.mode not in ("auto", "suggest", "shadow"):
            raise ConfigurationError(f"{where}: mode must be 'auto', 'suggest' or 'shadow', not {self.mode!r}.")
        if not _is_list_of_texts(self.examples):
            raise ConfigurationError(f"{where}: examples must be a list of messages. Write ['I was charged twice.'].")
        # Copy the lists, so that later changes by the caller cannot bypass the checks.
        object.__setattr__(self, "actions", check_actions(self.actions, where=where))
        object.__setattr__(self, "examples", tuple(self.examples))


class Buckets(Sequence[Bucket]):
    """The closed set of labels, in the order of the prompt.

    Args:
        buckets: The buckets.
        fallback: The name of the bucket for conversations without a verdict. Default: the fallback of `buckets` if
            that is a `Buckets`, otherwise `"general"`.

    Raises:
        ConfigurationError: There are no buckets, two have the same name, or `fallback` is not one of them.
    """

    def __init__(self, buckets: Iterable[Bucket], *, fallback: str | None = None) -> None:
        self._by_name: dict[str, Bucket] = {}
        for bucket in _check_buckets(buckets):
            if bucket.name in self._by_name:
                raise ConfigurationError(f"Two buckets are named {bucket.name!r}. Rename one of them.")
            self._by_name[bucket.name] = bucket
        if not self._by_name:
            raise ConfigurationError("There are no buckets. Write at least one, or use Buckets.default().")
        if fallback is None:
            fallback = buckets.fallback.name if isinstance(buckets, Buckets) else "general"
        if not _is_text(fallback) or fallback not in self._by_name:
            raise ConfigurationError(
                f"fallback={fallback!r} is not one of the buckets: {', '.join(self.names)}. "
                f"Write fallback={self.names[0]!r}, for example."
            )
        self.fallback: Bucket = self._by_name[fallback]

    @classmethod
    def default(cls, teams: Mapping[str, str | int] | None = None) -> Self:
        """Create the buckets urgent, billing, general and spam. Spam is closed; the others send a holding reply.

        Args:
            teams: The vendor's team ids for `"urgent"`, `"billing"` and `"general"`. A bucket without a team does not
                assign the conversation.

        Raises:
            ConfigurationError: `teams` contains another name or an empty id.
        """
        team_ids = _check_teams(teams)
        buckets: list[Bucket] = []
        for default in DEFAULT_BUCKETS:
            actions: list[Action] = [Assign(team=team_ids[default.name])] if default.name in team_ids else []
            actions.append(Close() if default.reply is None else Reply(default.reply))
            buckets.append(Bucket(default.name, default.description, actions))
        return cls(buckets)

    @property
    def names(self) -> tuple[str, ...]:
        """The labels."""
        return tuple(self._by_name)

    def get(self, name: str) -> Bucket | None:
        """Return the bucket with this name, ignoring case, or None."""
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


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value.strip())


def _is_fraction(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, cast("Sequence[object]", value)))


def _check_name(name: object) -> None:
    if isinstance(name, str) and _NAME.fullmatch(name):
        return
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:64] if isinstance(name, str) else ""
    raise ConfigurationError(
        f"Bucket {name!r}: a name has 1 to 64 of the characters a-z, 0-9, '_' and '-', and begins with a letter or "
        f"digit. Write {slug or 'billing'!r}, for example."
    )


def _check_buckets(buckets: object) -> list[Bucket]:
    kind = describe_type(buckets)
    if isinstance(buckets, Bucket):
        raise ConfigurationError(
            f"buckets must be a list of buckets, not a single one. Write [Bucket({buckets.name!r}, …)]."
        )
    if callable(buckets) and not isinstance(buckets, type):
        name = getattr(buckets, "__qualname__", "the function")
        raise ConfigurationError(f"buckets must be a list of buckets, not a function. Call it: {name}().")
    if isinstance(buckets, str | bytes | Mapping | AbstractSet) or not isinstance(buckets, Iterable):
        raise ConfigurationError(f"buckets must be a list of buckets, not {kind}. Write [{_EXAMPLE}].")
    checked: list[Bucket] = []
    for number, bucket in enumerate(cast("Iterable[object]", buckets)):
        if not isinstance(bucket, Bucket):
            raise ConfigurationError(
                f"buckets[{number}] must be a Bucket, not {describe_type(bucket)}. Write {_EXAMPLE}."
            )
        checked.append(bucket)
    return checked


def _check_teams(teams: object) -> Mapping[str, str | int]:
    names = [bucket.name for bucket in DEFAULT_BUCKETS if bucket.reply is not None]
    if teams is None:
        return {}
    if not isinstance(teams, Mapping):
        raise ConfigurationError("teams must be a dictionary of team ids. Write teams={'billing': '12345'}.")
    ids = cast("Mapping[str, str | int | None]", teams)
    unknown = ", ".join(repr(name) for name in ids if name not in names)
    if unknown:
        raise ConfigurationError(f"teams contains {unknown}, but only {', '.join(names)} can have a team.")
    missing = ", ".join(name for name, team in ids.items() if team is None or not str(team).strip())
    if missing:
        raise ConfigurationError(f"teams has no id for {missing}. Leave a bucket out to assign it to nobody.")
    return {name: team for name, team in ids.items() if team is not None}
