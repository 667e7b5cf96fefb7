"""Texts of actions: checked when a Router is made, filled in for each message."""

import string
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from triage.actions import Action, Note, Reply, SetFields, Snooze
from triage.errors import ConfigurationError
from triage.models import Conversation, Verdict

_LONGEST_NAME = 80  # of a customer, in a template; longer ones are cut

_LONGEST_REASON = 500

PUBLIC_NAMES = frozenset({"customer_name", "bucket", "confidence"})
"""What a template may hold that a customer will read. Text by a model is for notes and fields only."""


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
