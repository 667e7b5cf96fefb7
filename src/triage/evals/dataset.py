"""Labeled messages."""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack, overload

from triage.errors import ConfigurationError, DatasetError
from triage.evals.checks import Leak, Problem, check_labels, find_leaks, find_problems
from triage.evals.columns import ColumnNames, Columns
from triage.evals.decoding import PathLike, to_path
from triage.evals.example import Example
from triage.evals.reading import (
    RowLike,
    read_csv_examples,
    read_frame_examples,
    read_jsonl_examples,
    read_listed_examples,
)
from triage.evals.sample_size import SampleSize, plan_sample
from triage.evals.similarity import fingerprint_text
from triage.evals.splitting import rank, split_examples
from triage.evals.stored import read_inbox_examples
from triage.evals.wording import count_things, join_some, show_label
from triage.evals.writing import build_frame, write_jsonl
from triage.inbox.base import Operator
from triage.policy import Buckets

if TYPE_CHECKING:
    import pandas as pd

_ADVICE = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "Save it as CSV UTF-8, or use from_pandas(pandas.read_excel(path))."),
    **dict.fromkeys((".json", ".parquet"), "Use from_pandas() and pandas.read_json() or read_parquet()."),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), "If it is an inbox, use from_inbox()."),
}


class Dataset(Sequence[Example]):
    """Labeled conversations, in the order of their source.

    A table has a row for each message, with the columns `text` and `bucket` at least. These columns are optional:

    - `id`: the id of the message or ticket. Without a valid id, the row is named after its number, `row-7`.
    - `subject`, `channel`: as in `Conversation`.
    - `customer`, `email`: the id and the email address of the customer.
    - `group`: rows of the same group, such as all messages of one customer, stay together when the data set is split.
      Without this column, the customer is the group.
    - `messages`: the whole transcript instead of `text`, oldest message first, as a list or as JSON:
      `[{"role": "customer", "text": "…"}, {"role": "agent", "text": "…"}]`. The roles are those of `Message`, whose
      other attributes, such as `at`, are allowed as well.
    - `conversation`: an object with further attributes of `Conversation`.
    - `fields`: an object with further values for your own analysis.

    All other columns become `Example.fields`. Case and surrounding spaces do not matter in the names of columns, nor in
    labels. A message has at most 1,000,000 characters.

    Args:
        examples: The examples.
        name: A name for reports, such as that of the file.
    """

    def __init__(self, examples: Iterable[Example], *, name: str = "dataset") -> None:
        self._examples = tuple(examples)
        self.name = name

    @classmethod
    def load(
        cls,
        path: PathLike,
        *,
        encoding: str | None = None,
        name: str | None = None,
        **columns: Unpack[ColumnNames],
    ) -> Self:
        """Read a file with `from_csv` or `from_jsonl`, depending on its suffix.

        Args:
            path: A file that ends in `.csv`, `.tsv`, `.txt`, `.jsonl` or `.ndjson`.
            encoding: As for `from_csv`.
            name: As for `from_csv`.
            **columns: As for `from_csv`.

        Raises:
            DatasetError: The file has another suffix, or cannot be used.
        """
        suffix = to_path(path).suffix.lower()
        if suffix in (".csv", ".tsv", ".txt"):
            return cls.from_csv(path, encoding=encoding, name=name, **columns)
        if suffix in (".jsonl", ".ndjson"):
            return cls.from_jsonl(path, encoding=encoding, name=name, **columns)
        advice = _ADVICE.get(suffix, "Save it as .csv or .jsonl, or call from_csv() or from_jsonl().")
        raise DatasetError(f"{path}: load() does not read files that end in {suffix!r}. {advice}")

    @classmethod
    def from_csv(
        cls,
        path: PathLike,
        *,
        encoding: str | None = None,
        name: str | None = None,
        **columns: Unpack[ColumnNames],
    ) -> Self:
        """Read a CSV file, as Excel and other spreadsheet programs save it.

        The cells may be separated by commas, semicolons, tabs or bars.

        Args:
            path: The file.
            encoding: The encoding, such as `"cp1251"`. Default: UTF-8, UTF-16 if the file begins with a byte order
                mark, or else, with a warning, Windows-1252.
            name: The name of the data set. Default: the name of the file.
            **columns: The names of columns that the file calls differently: `text`, `bucket`, `subject`, `group`, `id`.

        Raises:
            DatasetError: The file or some of its rows cannot be used. The message says where and why.
        """
        return cls(read_csv_examples(path, Columns(**columns), encoding), name=name or to_path(path).name)

    @classmethod
    def from_jsonl(
        cls,
        path: PathLike,
        *,
        encoding: str | None = None,
        name: str | None = None,
        **columns: Unpack[ColumnNames],
    ) -> Self:
        """Read a file with one JSON object per line, such as `{"text": "…", "bucket": "billing"}`.

        Args:
            path: The file.
            encoding: As for `from_csv`.
            name: The name of the data set. Default: the name of the file.
            **columns: As for `from_csv`.

        Raises:
            DatasetError: The file or some of its lines cannot be used. The message says where and why.
        """
        return cls(read_jsonl_examples(path, Columns(**columns), encoding), name=name or to_path(path).name)

    @classmethod
    def from_pandas(cls, frame: "pd.DataFrame", *, name: str = "frame", **columns: Unpack[ColumnNames]) -> Self:
        """Read a DataFrame. Its index is ignored.

        Args:
            frame: The DataFrame.
            name: The name of the data set.
            **columns: As for `from_csv`.

        Raises:
            ConfigurationError: `frame` is not a DataFrame.
            DatasetError: The DataFrame or some of its rows cannot be used. The message says where and why.
        """
        return cls(read_frame_examples(frame, Columns(**columns), name), name=name)

    @classmethod
    def from_rows(cls, rows: Iterable[RowLike], *, name: str = "rows", **columns: Unpack[ColumnNames]) -> Self:
        """Read rows from Python.

        Args:
            rows: Dictionaries, such as `{"text": "…", "bucket": "billing"}`; pairs of a text, or a `Conversation`, and
                a bucket; or `Example` objects, which are not changed.
            name: The name of the data set.
            **columns: As for `from_csv`.

        Raises:
            ConfigurationError: An item is none of these.
            DatasetError: Some of the items cannot be used. The message says where and why.
        """
        return cls(read_listed_examples(rows, Columns(**columns), name), name=name)

    @classmethod
    def from_inbox(
        cls,
        inbox: Operator | PathLike,
        *,
        owner: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        name: str | None = None,
    ) -> Self:
        """Read the routed conversations, labeled with the buckets of their verdicts.

        These labels are the opinion of the classifier, not the truth. Correct them before you evaluate a classifier:
        write them with `to_jsonl`, or with `to_pandas` into a spreadsheet.

        Of each conversation, only the newest verdict is used, with the transcript at that time. Fallback verdicts are
        left out. The customer, or else the conversation, is the group. `Example.fields` contains the `key` and the
        `status` of the event, when it was `received`, and the `confidence` of the verdict.

        Args:
            inbox: An inbox, the file of a `SQLiteInbox`, or a `postgresql://` address. A `MemoryInbox` keeps no
                conversations.
            owner: The name of the Router that routed the conversations. Default: the only one of the inbox.
            since: Leave out messages received before. A time without a time zone is in UTC.
            until: Leave out messages received at this time or later.
            name: The name of the data set. Default: the name of the file, or `"inbox"`.

        Raises:
            ConfigurationError: The inbox cannot be opened.
            DatasetError: The inbox contains no such conversations, or those of several Routers.
            InboxError: The inbox cannot be read.
        """
        if name is None:
            # An address contains a password.
            name = Path(inbox).name if isinstance(inbox, str | os.PathLike) and "://" not in str(inbox) else "inbox"
        return cls(read_inbox_examples(inbox, owner, since, until, name), name=name)

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of examples of each bucket, the most frequent one first."""
        return dict(Counter(example.bucket for example in self).most_common())

    def check(self, buckets: Buckets) -> Sequence[Problem]:
        """Check that a classifier can be evaluated on this data set.

        Args:
            buckets: The buckets that the classifier chooses from.

        Returns:
            Problems that make the results less reliable, the most important ones first: texts with contradictory
            labels, buckets with few examples, and texts that occur repeatedly. `str()` describes a problem in one line.

        Raises:
            DatasetError: The data set is empty, has a label that is not a bucket, or has examples of one bucket only.
        """
        check_labels(self, buckets, self.name)
        return find_problems(self, buckets)

    def find_leaks(self, other: Iterable[Example]) -> Sequence[Leak]:
        """Find examples of another data set that are known from this one, so that they test nothing.

        Args:
            other: The data set for testing, if this one is for training.

        Returns:
            The examples with the same text, apart from case, white space, punctuation and numbers, or the same group.
        """
        return find_leaks(self, other)

    def split(self, test: float = 0.3, *, seed: int = 0) -> tuple["Dataset", "Dataset"]:
        """Split the data set into a training set and a test set at random.

        Examples with the same group, or with the same text apart from case, punctuation and numbers, stay together, so
        that the test set contains nothing that is known from the training set. Each bucket has the same share in both
        sets, as closely as that allows.

        Args:
            test: The share of the test set, between 0 and 1.
            seed: Another seed leads to another split. The same seed splits the same examples in the same way.

        Returns:
            The training set and the test set.

        Raises:
            ConfigurationError: `test` is out of range.
            DatasetError: A bucket would have no examples in one of the sets.
        """
        training, testing = split_examples(self, test, seed, self.name)
        return (
            Dataset((self[index] for index in training), name=f"{self.name} (training)"),
            Dataset((self[index] for index in testing), name=f"{self.name} (test)"),
        )

    def sample(self, count: int, *, seed: int = 0) -> "Dataset":
        """Return some examples, chosen at random.

        Args:
            count: How many examples to choose.
            seed: Another seed leads to another choice.

        Raises:
            ConfigurationError: `count` is less than 1, or there are fewer examples.
        """
        if not 1 <= count <= len(self):
            raise ConfigurationError(f"count={count!r} must be between 1 and the number of examples, {len(self):,}.")
        ranked = sorted(range(len(self)), key=lambda index: rank(fingerprint_text(self[index]), seed))
        return Dataset((self[index] for index in sorted(ranked[:count])), name=f"{self.name} (sample)")

    def filter(self, predicate: Callable[[Example], bool]) -> "Dataset":
        """Return the examples for which a function returns True.

        Args:
            predicate: The function.
        """
        return Dataset(filter(predicate, self), name=self.name)

    def how_many(
        self,
        precision: float = 0.99,
        bucket: str = "spam",
        confidence: float = 0.95,
        *,
        expected: float = 1.0,
    ) -> SampleSize:
        """Return how many labeled messages a claim needs, such as "99% of the verdicts `spam` are right".

        The claim is that the exact one-sided lower bound of the precision reaches `precision`. The number of messages
        follows from the share of the bucket in this data set.

        Args:
            precision: The share of the verdicts with this bucket that must be right, between 0 and 1.
            bucket: The bucket.
            confidence: The confidence of the claim, between 0 and 1.
            expected: The precision that you expect. By default 1: no verdict is wrong. With less, the claim succeeds
                with a probability of 80%.

        Raises:
            ConfigurationError: A value is out of range.
            DatasetError: The data set has no examples of the bucket.
        """
        verdicts, mistakes = plan_sample(precision, confidence, expected)
        number = self.counts.get(bucket, 0)
        if number == 0:
            raise DatasetError(
                f"{self.name} has no example of {bucket!r}, so the share of this bucket is not known. Its labels are: "
                f"{join_some(map(show_label, self.counts), 10)}."
            )
        return SampleSize(
            bucket=bucket,
            precision=precision,
            confidence=confidence,
            expected=expected,
            verdicts=verdicts,
            mistakes=mistakes,
            messages=math.ceil(verdicts * len(self) / number),
            labeled=len(self),
            labeled_in_bucket=number,
        )

    def to_jsonl(self, path: PathLike) -> None:
        """Write one JSON object per line, from which `from_jsonl` reads equal examples. An existing file is replaced.

        Args:
            path: The file.

        Raises:
            DatasetError: The file cannot be written.
        """
        write_jsonl(self, path)

    def to_pandas(self) -> "pd.DataFrame":
        """Return a DataFrame with a row for each example, for your own analysis or a spreadsheet.

        It has the columns that `from_pandas` reads, with transcripts as JSON, and a column for each of
        `Example.fields`.
        """
        return build_frame(self)

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

    def __repr__(self) -> str:
        counts = (f"{show_label(label)}: {count:,}" for label, count in self.counts.items())
        return f"Dataset({self.name!r}, {count_things(len(self), 'example')}: {join_some(counts, 10)})"
