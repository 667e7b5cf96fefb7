"""The policy: buckets, and what a verdict leads to. A model chooses a label; only code chooses actions."""

import os
import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias, overload

from triage.actions import Action, Assign, Close, Note, Reply, SetFields, Snooze
from triage.errors import ConfigurationError
from triage.models import Conversation, Status, Verdict

Mode: TypeAlias = Literal["auto", "suggest", "shadow"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LONGEST_NAME = 80  # of a customer, in a template; longer ones are cut
_LONGEST_REASON = 500

PUBLIC_NAMES = frozenset({"customer_name", "bucket", "confidence"})
"""What a template may hold that a customer will read. Text by a model is for notes and fields only."""

SUGGESTION = "Suggested bucket: {bucket} ({confidence}). {reason}"


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


@dataclass(frozen=True)
class Decision:
    """What is to be done, before the texts are filled in."""

    status: Status
    actions: Sequence[Action]
    act: bool
    """False: the actions are only reported."""


def decide(verdict: Verdict, buckets: Buckets, review: Sequence[Action] | None) -> Decision:
    """Turn a verdict into actions.

    Args:
        verdict: Its bucket is one of `buckets`.
        buckets: The policy.
        review: What is done with a verdict below its bucket's `min_confidence`; None sends it to the fallback bucket.
    """
    bucket = buckets.get(verdict.bucket) or buckets.fallback
    # A fallback verdict has no confidence to speak of: the fallback bucket is where it belongs.
    if not verdict.fallback and verdict.confidence < bucket.min_confidence:
        if review is not None:
            return Decision("review", review, act=True)
        bucket = buckets.fallback
    if bucket.mode == "suggest":
        return Decision("suggested", [Note(SUGGESTION)], act=True)
    if bucket.mode == "shadow":
        return Decision("shadowed", bucket.actions, act=False)
    return Decision("routed", bucket.actions, act=True)


def render(actions: Iterable[Action], verdict: Verdict, conversation: Conversation, now: float) -> list[Action]:
    """Fill in the texts and times of actions.

    Args:
        actions: As they stand in the policy; `check_templates` has passed them.
        verdict: For `{bucket}`, `{confidence}`, `{reason}` and the extra fields.
        conversation: For `{customer_name}`.
        now: Seconds since the epoch, for `Snooze(timedelta)`.

    Returns:
        The actions. One of which nothing is left to say, as a note of a reason that was not given, is left out.
    """
    values = {
        **{name: " ".join(text.split())[:_LONGEST_REASON] for name, text in verdict.extra.items()},
        "bucket": verdict.bucket,
        "confidence": f"{verdict.confidence:.0%}",
        "reason": " ".join(verdict.reason.split())[:_LONGEST_REASON],
        "customer_name": " ".join((conversation.customer.name or "there").split())[:_LONGEST_NAME],
    }
    rendered = [_rendered(action, values, now) for action in actions]
    return [action for action in rendered if not isinstance(action, Reply | Note) or action.body.strip()]


def _rendered(action: Action, values: Mapping[str, str], now: float) -> Action:
    match action:
        case Reply() | Note():
            return action.model_copy(update={"body": _fill(action.body, values)})
        case SetFields():
            filled = {name: _fill(v, values) if isinstance(v, str) else v for name, v in action.fields.items()}
            return SetFields(filled)
        case Snooze(until=timedelta() as wait):
            return Snooze(datetime.fromtimestamp(now, UTC) + wait)
        case _:
            return action


def _fill(template: str, values: Mapping[str, str]) -> str:
    # An extra field that the classifier left out (its fallback verdict has none) is empty, not an error.
    parts = string.Formatter().parse(template)
    return "".join(literal + (values.get(name, "") if name is not None else "") for literal, name, _, _ in parts)


def check_templates(actions: Iterable[Action], *, where: str, extra: Iterable[str] = ()) -> None:
    """Refuse texts that could not be filled in.

    Args:
        actions: Of a bucket or of the review lane.
        where: Names them in the message.
        extra: The names of the classifier's extra fields.

    Raises:
        ConfigurationError: An unknown name, a stray brace, or text by a model in a reply.
    """
    internal = PUBLIC_NAMES | {"reason"} | set(extra)
    for action in actions:
        match action:
            case Reply():
                _check(action.body, PUBLIC_NAMES, internal, where)
            case Note():
                _check(action.body, internal, internal, where)
            case SetFields():
                for value in action.fields.values():
                    if isinstance(value, str):
                        _check(value, internal, internal, where)
            case _:
                pass


def _check(template: str, allowed: frozenset[str], known: frozenset[str], where: str) -> None:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as err:
        raise ConfigurationError(f"{where}: {template!r}: {err}. Write {{{{ and }}}} for braces.") from err
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if name in known - allowed:
            raise ConfigurationError(
                f"{where}: {{{name}}} is written by a model about untrusted text, so a customer must not get it "
                f"in a Reply. Put it into a Note."
            )
        if name not in known or spec or conversion:
            choice = ", ".join(f"{{{one}}}" for one in sorted(allowed))
            raise ConfigurationError(
                f"{where}: {template!r} holds {{{name}}}; there is only {choice}. Write {{{{ and }}}} for braces."
            )


class _DefaultBuckets:
    """Make the four standard buckets. An object, so that `default_buckets.from_env` reads like `Intercom.from_env`."""

    def __call__(self, teams: Mapping[str, str] | None = None) -> list[Bucket]:
        """Make urgent, billing, general and spam, with holding replies; spam is closed without a reply.

        Args:
            teams: Team ids for `"urgent"`, `"billing"` and `"general"`; a bucket without one is not assigned.

        Raises:
            ConfigurationError: There is no bucket of a name in `teams`, or an id is empty.
        """
        teams = dict(teams or {})
        unknown = sorted(set(teams) - {"urgent", "billing", "general"})
        if unknown:
            raise ConfigurationError(f"teams names {', '.join(unknown)}; it may name urgent, billing and general.")
        empty = sorted(name for name, team in teams.items() if not team)
        if empty:
            raise ConfigurationError(f"teams gives no id for {', '.join(empty)}; leave it out to assign to nobody.")

        def actions(name: str, reply: str) -> list[Action]:
            assign = [Assign(team=teams[name])] if name in teams else []
            return [*assign, Reply(f"Hi {{customer_name}},\n\n{reply}")]

        return [
            Bucket(
                "urgent",
                "Something that cannot wait: an outage or data loss, a security incident or an account taken over, a "
                "customer locked out, a payment failure that blocks access. Urgency in the facts, not in the tone.",
                actions(
                    "urgent",
                    "Thank you for telling us. This has gone to our on-call team, and somebody will answer "
                    "you within 15 minutes.",
                ),
            ),
            Bucket(
                "billing",
                "Money that is not blocking anybody's work right now: invoices, charges and refunds, plan changes and "
                "cancellations, payment methods, tax forms.",
                actions(
                    "billing",
                    "Thank you for your message. Our billing team has it and will answer you within one business day.",
                ),
            ),
            Bucket(
                "general",
                "Everything else that a customer may rightly ask: how something works, feature requests, "
                "feedback, bugs with a way around them, partnership questions meant seriously.",
                actions(
                    "general",
                    "Thank you for your message. Our support team has it and will answer you within four business "
                    "hours.",
                ),
            ),
            Bucket(
                "spam",
                "Not from a customer and not about our product: promotional pitches, SEO, loan and investment "
                "offers, link spam, phishing, mass mailings. A rude or unclear customer is not spam.",
                [Close()],
            ),
        ]

    def from_env(self, prefix: str) -> list[Bucket]:
        """The same with the teams of the environment: `{prefix}_TEAM_ONCALL`, `_TEAM_BILLING` and `_TEAM_SUPPORT`.

        Args:
            prefix: The vendor's name in capitals, `"INTERCOM"`.

        Raises:
            ConfigurationError: One of them is not set.
        """
        variables = {"urgent": "ONCALL", "billing": "BILLING", "general": "SUPPORT"}
        teams = {name: os.environ.get(f"{prefix}_TEAM_{variable}", "") for name, variable in variables.items()}
        missing = [f"{prefix}_TEAM_{variables[name]}" for name, team in teams.items() if not team]
        if missing:
            raise ConfigurationError(f"Set {', '.join(missing)} to the ids of your teams.")
        return self(teams)


default_buckets = _DefaultBuckets()
