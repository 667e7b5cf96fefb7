"""Find mistakes in a data set before it is paid for."""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from triage.errors import DatasetError
from triage.evals.example import Example
from triage.evals.similarity import fingerprint_text
from triage.evals.wording import count_things, join_some, show_id, show_label
from triage.policy import Buckets

ProblemKind: TypeAlias = Literal["contradiction", "small_class", "duplicate"]

_FEW = 30
"""With fewer examples, even a recall of 100% only proves one of less than 90%."""
_MOST_UNKNOWN = 10
"""How many unknown labels an error lists."""


@dataclass(frozen=True)
class Problem:
    """A problem of a data set that makes its results less reliable. `str()` describes it without customer text.

    Args:
        kind: `contradiction`: the same text has different labels. `small_class`: a bucket has few examples.
            `duplicate`: the same text with the same label occurs repeatedly.
        message: A description in one line.
        ids: The ids of the conversations, in groups that have the same text.
    """

    kind: ProblemKind
    message: str
    ids: Sequence[Sequence[str]] = field(default=(), repr=False)

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Leak:
    """An example of another data set that is known from this one, so that it tests nothing. `str()` names both.

    Args:
        id: The id of the conversation in the other data set.
        known_id: The id of the conversation in this data set.
        kind: `text` if both have the same text, apart from case, punctuation and numbers. `group` if they only belong
            to the same group.
    """

    id: str = field(repr=False)
    known_id: str = field(repr=False)
    kind: Literal["text", "group"]

    def __str__(self) -> str:
        return f"{show_id(self.id)} has the same {self.kind} as {show_id(self.known_id)}"


def check_labels(examples: Sequence[Example], buckets: Buckets, name: str) -> None:
    """Check that a data set has examples of at least two buckets, and no other labels.

    Args:
        examples: The examples.
        buckets: The buckets.
        name: The name of the data set.

    Raises:
        DatasetError: The data set cannot be used with these buckets.
    """
    if not examples:
        raise DatasetError(f"{name} is empty. Label at least {_FEW} messages for each bucket.")
    unknown: dict[str, list[str]] = {}
    for example in examples:
        if example.bucket not in buckets.names:
            unknown.setdefault(example.bucket, []).append(example.conversation.id)
    if unknown:
        raise DatasetError(_describe_unknown(unknown, buckets, name))
    first = examples[0].bucket
    if all(example.bucket == first for example in examples):
        raise DatasetError(
            f"{name} has only examples of {first!r}, so it cannot show whether a classifier distinguishes the buckets. "
            f"Label messages of other buckets, too: {join_some(other for other in buckets.names if other != first)}."
        )


def find_problems(examples: Sequence[Example], buckets: Buckets) -> list[Problem]:
    """Return the problems that make results less reliable, the most important ones first.

    Args:
        examples: The examples.
        buckets: The buckets.
    """
    by_text: dict[str, list[Example]] = {}
    for example in examples:
        by_text.setdefault(fingerprint_text(example), []).append(example)
    repeated = [group for group in by_text.values() if len(group) > 1]
    contradictions = [group for group in repeated if len({example.bucket for example in group}) > 1]
    duplicates = [group for group in repeated if len({example.bucket for example in group}) == 1]
    return [
        *_describe_contradictions(contradictions),
        *_describe_small_classes(Counter(example.bucket for example in examples), buckets),
        *_describe_duplicates(duplicates),
    ]


def find_leaks(known: Iterable[Example], others: Iterable[Example]) -> list[Leak]:
    """Return the examples whose text or group also occurs in another data set.

    Args:
        known: The data set for training, or from which the examples in a prompt come.
        others: The data set for testing.
    """
    texts: dict[str, str] = {}
    groups: dict[str, str] = {}
    for example in known:
        texts.setdefault(fingerprint_text(example), example.conversation.id)
        if example.group is not None:
            groups.setdefault(example.group, example.conversation.id)
    leaks: list[Leak] = []
    for example in others:
        fingerprint, identifier = fingerprint_text(example), example.conversation.id
        if fingerprint in texts:
            leaks.append(Leak(identifier, texts[fingerprint], "text"))
        elif example.group is not None and example.group in groups:
            leaks.append(Leak(identifier, groups[example.group], "group"))
    return leaks


def _describe_unknown(unknown: Mapping[str, Sequence[str]], buckets: Buckets, name: str) -> str:
    head = (
        f"{name}: {count_things(len(unknown), 'label')} {'is not a bucket' if len(unknown) == 1 else 'are not buckets'}"
    )
    tail = f"The buckets are: {', '.join(buckets.names)}. Correct the labels, or add the buckets."
    if len(unknown) > max(_MOST_UNKNOWN, 2 * len(buckets)):  # most likely not the column with the labels
        return f'{head}. Is this the column with the labels? If not, name the right one: bucket="…". {tail}'
    lines = [f"{head}."]
    for label, ids in unknown.items():
        close = difflib.get_close_matches(label.casefold(), buckets.names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        lines.append(
            f"{show_label(label)}: {count_things(len(ids), 'example')} ({join_some(map(show_id, ids))}).{hint}"
        )
    return "\n".join([*lines, tail])


def _describe_contradictions(groups: Sequence[Sequence[Example]]) -> list[Problem]:
    if not groups:
        return []
    head = "1 text has" if len(groups) == 1 else f"{len(groups):,} texts have"
    message = (
        f"{head} contradictory labels, so that no classifier can be right about all of them: "
        f"{join_some(map(_contrast, groups))}. Correct the labels."
    )
    return [Problem("contradiction", message, _collect_ids(groups))]


def _contrast(group: Sequence[Example]) -> str:
    first = group[0]
    other = next(example for example in group if example.bucket != first.bucket)
    ids = show_id(first.conversation.id), show_id(other.conversation.id)
    return f"{ids[0]} is {first.bucket} but {ids[1]} is {other.bucket}"


def _describe_small_classes(counts: Mapping[str, int], buckets: Buckets) -> list[Problem]:
    problems: list[Problem] = []
    for name in buckets.names:
        count = counts.get(name, 0)
        if count == 0:
            message = f"There is no example of {name!r}, so nothing is measured about it. Label at least {_FEW}."
            problems.append(Problem("small_class", message))
        elif count < _FEW:
            message = (
                f"There {'is' if count == 1 else 'are'} only {count_things(count, 'example')} of {name!r}: even if all "
                f"are recognized, the recall may be as low as {_bound_recall(count) * 100:.0f}% (95% confidence). "
                f"Label at least {_FEW}."
            )
            problems.append(Problem("small_class", message))
    return problems


def _bound_recall(count: int) -> float:
    """Return the lower end of the 95% interval of a recall of 100%."""
    from scipy.stats import binomtest

    return float(binomtest(count, count).proportion_ci(method="wilson").low)


def _describe_duplicates(groups: Sequence[Sequence[Example]]) -> list[Problem]:
    if not groups:
        return []
    extra = sum(len(group) - 1 for group in groups)
    message = (
        f"{count_things(extra, 'example')} {'repeats' if extra == 1 else 'repeat'} the text of another one, so that "
        f"results look more certain than they are: "
        f"{join_some(' = '.join(show_id(example.conversation.id) for example in group[:3]) for group in groups)}."
    )
    return [Problem("duplicate", message, _collect_ids(groups))]


def _collect_ids(groups: Sequence[Sequence[Example]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(example.conversation.id for example in group) for group in groups)
