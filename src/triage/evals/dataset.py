"""Labeled messages."""

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from triage.evals.example import Example


class Dataset(Sequence[Example]):
    """Labeled conversations, in the order of their source.

    Args:
        examples: The examples.
        name: A name for reports, such as that of the file.
    """

    def __init__(self, examples: Iterable[Example], *, name: str = "dataset") -> None:
        self._examples = tuple(examples)
        self.name = name

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        return self._examples[index]

    def __len__(self) -> int:
        return len(self._examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self._examples)
