"""The file of a recording: JSON lines that several threads and processes read and write.

Writers hold a lock on a second file, `answers.jsonl.lock`. An answer is appended as a whole line. A line that a killed
process has not finished is ignored, and removed by the next writer. Sorting and removing write a new file, which then
replaces the old one, so readers need no lock.
"""

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, TypeAlias
from weakref import WeakValueDictionary

from triage.classifiers.recorded_answer import RecordedAnswer, read_answer, write_answer
from triage.errors import ConfigurationError
from triage.io.clients import Mutex
from triage.io.fork import Lock
from triage.models import Verdict

AnswerId: TypeAlias = tuple[str, int]
"""The key of an answer and the number of its sample."""

_MARK_LENGTH = 256  # bytes
_CONFLICT_MARKERS = (b"<<<<<<<", b"=======", b">>>>>>>", b"|||||||")


class _Entry(NamedTuple):
    """An answer, and its line as it stands in the file. The line is never rewritten, so that it keeps its bytes."""

    answer: RecordedAnswer
    line: bytes


@dataclass
class _Snapshot:
    """The answers in a version of the file.

    Args:
        entries: The answers. If there are several lines with the same id, the last one counts.
        version: The inode, size and time of the last change of the file.
        lines: The number of complete lines.
        end: Where the last complete line ends, in bytes.
        mark: The last bytes before `end`. If they are still there, then lines were only appended.
    """

    entries: dict[AnswerId, _Entry] = field(default_factory=dict[AnswerId, _Entry])
    version: tuple[int, int, int] | None = None
    lines: int = 0
    end: int = 0
    mark: bytes = b""


class Cassette:
    """The answers in a file. All recordings of a process that use the same file share one object, see `open_cassette`.

    Args:
        path: The path of the file, without symbolic links. The file and its directory are created when the first answer
            is added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._snapshot = _Snapshot()
        self._added: set[AnswerId] = set()
        self._is_unsorted = False
        self._uses = 0
        self._last_uses: dict[AnswerId, int] = {}
        self._mutexes: WeakValueDictionary[AnswerId, Mutex] = WeakValueDictionary()

    @property
    def uses(self) -> int:
        """How often answers were used in this process so far: a point in time for `prune`."""
        return self._uses

    def find(self, answer_id: AnswerId, *, added_here: bool = False) -> Verdict | None:
        """Return the verdict of an answer, or None.

        Args:
            answer_id: The id of the answer.
            added_here: True to find only the answers that this process has added.

        Raises:
            ConfigurationError: The file cannot be read.
        """
        with self._lock:
            entry = self._load().get(answer_id)
            return None if entry is None or (added_here and answer_id not in self._added) else entry.answer.verdict

    def use(self, answer_id: AnswerId) -> None:
        """Keep an answer from being pruned.

        Args:
            answer_id: The id of the answer.
        """
        with self._lock:
            self._uses += 1
            self._last_uses[answer_id] = self._uses

    def add(self, answer: RecordedAnswer) -> None:
        """Append an answer, which replaces an earlier one. An answer that differs only in its latency is kept.

        Args:
            answer: The answer.

        Raises:
            ConfigurationError: The file cannot be read or written.
        """
        with self._lock:
            earlier = self._load().get(answer.id)
            if earlier is None or not earlier.answer.is_same_as(answer):
                with self._hold_file(), self.path.open("a+b") as file:
                    _repair_end(file)
                    file.write(write_answer(answer).encode() + b"\n")
                self._is_unsorted = True
            self._added.add(answer.id)

    def load(self) -> None:
        """Read the file, if it exists.

        Raises:
            ConfigurationError: The file cannot be read.
        """
        with self._lock:
            self._load()

    def sort(self) -> None:
        """Sort the lines, if this process has added any, so that the next change of the file is a small one.

        Raises:
            ConfigurationError: The file cannot be read or written.
        """
        with self._lock:
            if self._is_unsorted:
                self._rewrite(lambda answer: True)
                self._is_unsorted = False

    def prune(self, since: int) -> int:
        """Remove the answers that were not used in this process, and return their number.

        Args:
            since: The value of `uses` after which an answer must have been used.

        Raises:
            ConfigurationError: The file cannot be read or written.
        """
        with self._lock:
            return self._rewrite(lambda answer: self._last_uses.get(answer.id, 0) > since)

    def forget(self, customer: str) -> int:
        """Remove the answers about a customer, and return their number.

        Args:
            customer: The customer's id or email address.

        Raises:
            ConfigurationError: The file cannot be read or written.
        """
        with self._lock:
            return self._rewrite(lambda answer: not answer.concerns(customer))

    def get_mutex(self, answer_id: AnswerId) -> Mutex:
        """Return the mutex to hold while requesting an answer, so that nobody requests it twice.

        Args:
            answer_id: The id of the answer.
        """
        with self._lock:
            return self._mutexes.setdefault(answer_id, Mutex())

    def _load(self) -> dict[AnswerId, _Entry]:
        """Return the answers, after reading everything that has changed in the file."""
        with self._explain("read"):
            self._snapshot = _read(self.path, self._snapshot)
        return self._snapshot.entries

    def _rewrite(self, keep: Callable[[RecordedAnswer], bool]) -> int:
        """Write the answers to keep in order, one line each, and return the number of the others."""
        if not self.path.exists():
            return 0
        with self._hold_file():
            entries = self._load().values()
            kept = sorted((entry for entry in entries if keep(entry.answer)), key=lambda entry: entry.answer.order)
            content = b"".join(entry.line + b"\n" for entry in kept)
            if content != self.path.read_bytes():
                _replace(self.path, content)
            return len(entries) - len(kept)

    @contextmanager
    def _hold_file(self) -> Generator[None]:
        """Let one process at a time write the file."""
        lock = create_file_lock(self.path.with_name(f"{self.path.name}.lock"))
        with self._explain("written"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with lock:
                yield

    @contextmanager
    def _explain(self, verb: Literal["read", "written"]) -> Generator[None]:
        try:
            yield
        except OSError as err:
            reason = err.strerror or type(err).__name__
            raise ConfigurationError(f"The recording {self.path} cannot be {verb}: {reason}.") from err


_cassettes: dict[Path, Cassette] = {}


def open_cassette(path: str | os.PathLike[str]) -> Cassette:
    """Return this process's cassette for a path.

    Args:
        path: The path of a file, which need not exist.

    Raises:
        ConfigurationError: The path is not that of a file.
    """
    try:
        resolved = Path(path).resolve()
    except TypeError:
        raise ConfigurationError(
            f"A recording needs the path of a file, such as 'tests/answers.jsonl', not {type(path).__name__}."
        ) from None
    if resolved.is_dir():
        raise ConfigurationError(f"{path} is a directory: pass the path of a file, such as 'tests/answers.jsonl'.")
    return _cassettes.setdefault(resolved, Cassette(resolved))


def forget_customer(path: str | os.PathLike[str], customer: str) -> int:
    """Remove the answers about a customer from a recording, including those that quote their email address.

    Args:
        path: The path of the recording.
        customer: The customer's id or email address. The case of an address does not matter.

    Returns:
        The number of removed answers.

    Raises:
        ConfigurationError: The file cannot be read or written.
    """
    return open_cassette(path).forget(customer)


def create_file_lock(path: Path) -> AbstractContextManager[object]:
    """Return a lock that one process at a time holds. The operating system releases it if the process is killed.

    Args:
        path: The path of the file to lock.

    Raises:
        ConfigurationError: filelock is not installed.
    """
    try:
        from filelock import FileLock
    except ImportError as err:
        raise ConfigurationError("Recorded needs filelock: pip install 'chat-triage[evals]'.") from err
    return FileLock(path)


def _read(path: Path, known: _Snapshot) -> _Snapshot:
    """Return the answers in a file; read only the lines that were appended since the known snapshot."""
    try:
        if _get_version(path.stat()) == known.version:
            return known
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not _is_appended(file, status, known):
                known = _Snapshot()
            file.seek(known.end)
            return _parse(path, file.read(), known, _get_version(status))
    except FileNotFoundError:
        return _Snapshot()


def _get_version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _is_appended(file: BinaryIO, status: os.stat_result, known: _Snapshot) -> bool:
    """Return whether a file consists of the known lines and further ones, judging by where the known lines end."""
    if known.version is None or known.version[0] != status.st_ino or status.st_size <= known.version[1]:
        return False
    file.seek(known.end - len(known.mark))
    return file.read(len(known.mark)) == known.mark


def _parse(path: Path, data: bytes, known: _Snapshot, version: tuple[int, int, int]) -> _Snapshot:
    """Return a snapshot of the known lines and the ones that follow. It takes over the known entries."""
    entries: dict[AnswerId, _Entry] = {}
    complete = data[: data.rfind(b"\n") + 1]
    lines = complete.split(b"\n")[:-1]
    for number, line in enumerate(lines, known.lines + 1):
        if line.strip():
            try:
                entry = _Entry(read_answer(line), line.rstrip())
            except ValueError as err:
                raise ConfigurationError(_explain_line(path, number, line, err)) from None
            entries[entry.answer.id] = entry
    last = _read_tail(data[len(complete) :])
    if last is not None:
        entries[last.answer.id] = last
    mark = (known.mark + complete)[-_MARK_LENGTH:]
    known.entries.update(entries)  # not copied, because this happens for each answer that is added
    return _Snapshot(known.entries, version, known.lines + len(lines), known.end + len(complete), mark)


def _explain_line(path: Path, number: int, line: bytes, problem: ValueError) -> str:
    if line.startswith(_CONFLICT_MARKERS):
        advice = "is a conflict marker of Git: keep the lines of both sides, and delete the markers"
    else:
        advice = f"is not a recorded answer ({problem}): restore it, or delete it to ask again"
    return f"{path}: line {number} {advice}."


def _read_tail(tail: bytes) -> _Entry | None:
    """Return the answer after the last line break: complete if an editor removed the line break, torn if not."""
    try:
        return _Entry(read_answer(tail), tail.rstrip())
    except ValueError:
        return None


def _repair_end(file: BinaryIO) -> None:
    """Let a file end with a line break: add it to a complete line, and remove one that a killed process left."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    if file.read() in (b"", b"\n"):
        return
    file.seek(0)
    content = file.read()
    begin = content.rfind(b"\n") + 1
    if _read_tail(content[begin:]) is None:
        file.truncate(begin)
    else:
        file.write(b"\n")


def _replace(path: Path, content: bytes) -> None:
    """Replace a file's content in one instant."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # a killed process may have left it
    temporary.touch(mode=0o600)
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    shutil.copymode(path, temporary)
    temporary.replace(path)
