"""The texts of actions: checked when a Router is created, filled in for each message."""

import re
import string
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from triage.actions import Action, Note, Reply, SetFields, Snooze
from triage.errors import ConfigurationError
from triage.models import Conversation, Verdict
from triage.text import clean_name

_LONGEST_REASON = 500

# Zendesk replaces `{{…}}` and `{%…%}` with data of the account, even if they are part of a customer's name.
_OPENING = re.compile(r"\{(?=[{%])")

PUBLIC_NAMES = frozenset({"customer_name", "bucket", "confidence"})
"""The names that a text for customers may contain. Text by a model belongs in notes and fields only."""


def render(actions: Iterable[Action], verdict: Verdict, conversation: Conversation, now: float) -> list[Action]:
    """Fill in the texts and times of actions.

    Args:
        actions: Actions of the policy that have passed `check_templates`.
        verdict: For `{bucket}`, `{confidence}`, `{reason}` and the extra fields.
        conversation: For `{customer_name}`.
        now: Seconds since the epoch, for `Snooze(timedelta)`.

    Returns:
        The actions, without replies and notes whose text is empty, such as a note that contains only a missing reason.
    """
    values = {
        **{name: " ".join(text.split())[:_LONGEST_REASON] for name, text in verdict.extra.items()},
        "bucket": verdict.bucket,
        "confidence": f"{verdict.confidence:.0%}",
        "reason": " ".join(verdict.reason.split())[:_LONGEST_REASON],
        # A name is the one text by a stranger in a public reply. Check it for adapters that did not.
        "customer_name": clean_name(conversation.customer.name) or "there",
    }
    rendered = [_render_action(action, values, now) for action in actions]
    return [action for action in rendered if not isinstance(action, Reply | Note) or action.body.strip()]


def _render_action(action: Action, values: Mapping[str, str], now: float) -> Action:
    match action:
        case Reply() | Note():
            return action.model_copy(update={"body": _fill_in(action.body, values)})
        case SetFields():
            return SetFields(
                {
                    name: _fill_in(value, values) if isinstance(value, str) else value
                    for name, value in action.fields.items()
                }
            )
        case Snooze(until=timedelta() as duration):
            return Snooze(datetime.fromtimestamp(now, UTC) + duration)
        case _:
            return action


def _fill_in(template: str, values: Mapping[str, str]) -> str:
    # Leave an extra field empty if the verdict lacks it: a fallback verdict has no extra fields.
    text, follows_value = "", False
    for literal, name, _, _ in string.Formatter().parse(template):
        text = _append(text, literal) if follows_value else text + literal
        follows_value = name is not None
        if name is not None:
            text = _append(text, _OPENING.sub("{ ", values.get(name, "")))
    return text


def _append(text: str, part: str) -> str:
    """Append text so that the two ends do not form a `{{` or `{%`."""
    return f"{text} {part}" if text.endswith("{") and part.startswith(("{", "%")) else text + part


def check_templates(actions: Iterable[Action], *, where: str, extra: Iterable[str] = ()) -> None:
    """Reject texts that cannot be filled in.

    Args:
        actions: The actions of a bucket, or the review actions.
        where: The name of the actions in error messages.
        extra: The names of the classifier's extra fields.

    Raises:
        ConfigurationError: A text contains an unknown name or a stray brace, or a reply contains text by a model.
    """
    internal = PUBLIC_NAMES | {"reason"} | set(extra)
    for action in actions:
        match action:
            case Reply():
                _check(action.body, PUBLIC_NAMES, internal, f"{where}: Reply")
            case Note():
                _check(action.body, internal, internal, f"{where}: Note")
            case SetFields():
                for name, value in action.fields.items():
                    if isinstance(value, str):
                        _check(value, internal, internal, f"{where}: SetFields: {name!r}")
            case _:
                pass


def _check(template: str, allowed: frozenset[str], existing: frozenset[str], where: str) -> None:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as err:
        raise ConfigurationError(f"{where}: {err}. Write {{{{ and }}}} for braces.") from err
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if name in existing - allowed:
            raise ConfigurationError(
                f"{where}: a model writes {{{name}}} about untrusted text, so customers must not receive it. "
                f"Use it in a Note instead."
            )
        if name not in existing or spec or conversion:
            names = ", ".join(f"{{{name}}}" for name in sorted(allowed))
            raise ConfigurationError(
                f"{where}: it contains {{{name}}}, but only {names} can be filled in. Write {{{{ and }}}} for braces."
            )
