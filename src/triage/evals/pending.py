"""The batches that an evaluation has created and whose answers it has not read yet, in a small JSON file."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from filelock import FileLock

from triage.errors import ConfigurationError


class PendingBatches:
    """A file with the ids of batches and of the questions that they contain.

    Several evaluations may share the file, also in several processes.

    Args:
        path: The path of the file. It exists only while there are batches.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))

    def find(self, ids: Iterable[str]) -> dict[str, frozenset[str]]:
        """Return the batches that contain any of these questions: the ids of its questions by the id of the batch.

        Args:
            ids: The ids of the questions.

        Raises:
            ConfigurationError: The file is not valid.
        """
        wanted = frozenset(ids)
        with self._lock:
            batches = self._read()
        return {batch: wanted.intersection(inside) for batch, inside in batches.items() if wanted.intersection(inside)}

    def add(self, batch_id: str, ids: Iterable[str]) -> None:
        """Add a batch.

        Args:
            batch_id: The id of the batch.
            ids: The ids of its questions.
        """
        with self._lock:
            self._write(self._read() | {batch_id: list(ids)})

    def remove(self, batch_id: str, ids: Iterable[str]) -> None:
        """Remove questions from a batch, and the batch once it has no more questions.

        Args:
            batch_id: The id of the batch.
            ids: The ids of the questions whose answers are stored.
        """
        answered = frozenset(ids)
        with self._lock:
            batches = self._read()
            batches[batch_id] = [question for question in batches.get(batch_id, ()) if question not in answered]
            self._write({batch: questions for batch, questions in batches.items() if questions})

    def _read(self) -> dict[str, list[str]]:
        try:
            value: object = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise ConfigurationError(
                f"{self.path} is damaged. It lists the batches whose answers were not read yet; without it, they are "
                f"asked and paid again. Restore it, or delete it to ask again."
            )
        return cast("dict[str, list[str]]", value)

    def _write(self, batches: Mapping[str, list[str]]) -> None:
        if not batches:
            self.path.unlink(missing_ok=True)
            return
        temporary = self.path.with_name(f"{self.path.name}.tmp")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(batches, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
