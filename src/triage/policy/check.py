"""Check the actions of a bucket or a review when a Router is created, before the first message arrives."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeGuard, cast

from triage.actions import ACTIONS, Action, Assign, Reply, SetPriority, Snooze
from triage.errors import ConfigurationError


def check_actions(actions: object, *, where: str) -> tuple[Action, ...]:
    """Check a list of actions and return it as a tuple.

    Args:
        actions: The list. Callers without a type checker may pass anything.
        where: The name of the list in error messages.

    Raises:
        ConfigurationError: `actions` is not a list of actions, or two of them contradict each other.
    """
    kind = describe_type(actions)
    if _is_action(actions):
        raise ConfigurationError(f"{where}: actions must be a list of actions, not {kind}. Write [{kind}(…)].")
    if isinstance(actions, str | bytes | Mapping | AbstractSet) or not isinstance(actions, Iterable):
        raise ConfigurationError(f"{where}: actions must be a list of actions, not {kind}. Write [{Reply.example}].")
    elements = tuple(cast("Iterable[object]", actions))
    checked = tuple(element for element in elements if _is_action(element))
    if len(checked) < len(elements):
        number = next(number for number, element in enumerate(elements) if not _is_action(element))
        raise ConfigurationError(f"{where}: actions[{number}] {_explain(elements[number])}")
    _check_repetitions(checked, where)
    return checked


def _is_action(value: object) -> TypeGuard[Action]:
    return isinstance(value, ACTIONS)


def describe_type(value: object) -> str:
    """Describe the type of an unexpected value, for an error message."""
    if value is None:
        return "None"
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def _explain(element: object) -> str:
    """Explain why an element is not an action, and what to write instead."""
    for action in ACTIONS:
        if element is action:
            return f"is the class {action.__name__}, not an instance of it. Write {action.example}."
        if isinstance(element, str) and element == action.model_fields["type"].default:
            return f"is the string {element!r}. Write {action.example}."
    if isinstance(element, list | tuple):
        return "is a list itself. Write all actions in one list."
    return f"must be an action, not {describe_type(element)}. Write {Reply.example}, for example."


def _check_repetitions(actions: Sequence[Action], where: str) -> None:
    count = Counter(type(action) for action in actions)
    if count[Reply] > 1:
        raise ConfigurationError(
            f"{where}: it has {count[Reply]} replies, but a conversation gets at most one automatic reply. "
            f"Write one Reply."
        )
    for repeated in (SetPriority, Snooze):
        if count[repeated] > 1:
            raise ConfigurationError(f"{where}: it has {count[repeated]} {repeated.__name__} actions. Keep one.")
    assignments = [action for action in actions if isinstance(action, Assign)]
    for kind, ids in (("teams", [a.team for a in assignments]), ("users", [a.user for a in assignments])):
        if sum(bool(assignee) for assignee in ids) > 1:
            raise ConfigurationError(f"{where}: it assigns the conversation to two {kind}. Keep one.")
