"""Examples for tests of data sets."""

from triage import Conversation, Customer, Message
from triage.evals import Dataset, Example


def build_example(text: str, bucket: str, *, id: str = "1", group: str | None = None) -> Example:  # noqa: A002
    """Build an example with a single message."""
    message = Message(id="1", role="customer", text=text)
    return Example(Conversation(id=id, customer=Customer(), messages=(message,)), bucket, group)


def build_dataset(*rows: tuple[str, str] | tuple[str, str, str | None]) -> Dataset:
    """Build a data set of texts with their buckets and groups. The ids are 0, 1, 2 and so on."""
    return Dataset(
        build_example(row[0], row[1], id=str(number), group=row[2] if len(row) == 3 else None)
        for number, row in enumerate(rows)
    )
