"""The file of a recording survives killed writers, merges and hand edits; changes to it stay small."""

import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.recordings import ask_about, read_lines
from triage import ConfigurationError, Verdict
from triage.classifiers import cassette as module
from triage.classifiers.cassette import Cassette, forget_customer, open_cassette
from triage.classifiers.recorded_answer import RecordedAnswer, create_answer, write_answer

BILLING = Verdict(bucket="billing")
SPAM = Verdict(bucket="spam")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The lines that were parsed."""
    lines: list[bytes] = []
    read_answer = module.read_answer

    def read(line: bytes) -> RecordedAnswer:
        answer = read_answer(line)
        lines.append(line)
        return answer

    monkeypatch.setattr(module, "read_answer", read)
    yield lines


def build(key: str, verdict: Verdict = BILLING, text: str = "", **customer: str) -> RecordedAnswer:
    return create_answer(key, 0, verdict, ask_about(text or f"Text of {key}", **customer))


def write(path: Path, *keys: str) -> Cassette:
    cassette = Cassette(path)
    for key in keys:
        cassette.add(build(key))
    return cassette


def find(path: Path, *keys: str) -> list[bool]:
    """Return for each key whether another process would find its answer."""
    cassette = Cassette(path)
    return [cassette.find((key, 0)) is not None for key in keys]


# Opening


def test_the_file_and_its_directory_are_created_when_the_first_answer_is_added(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "answers.jsonl"
    cassette = open_cassette(path)
    cassette.load()
    cassette.sort()
    assert (cassette.find(("a", 0)), cassette.forget("mira"), cassette.prune(0)) == (None, 0, 0)
    assert list(tmp_path.iterdir()) == []
    cassette.add(build("a"))
    assert cassette.find(("a", 0)) == BILLING
    assert find(path, "a") == [True]


def test_one_file_has_one_cassette(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()
    (tmp_path / "link.jsonl").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    cassette = open_cassette(path)
    assert open_cassette("answers.jsonl") is cassette
    assert open_cassette("link.jsonl") is cassette
    assert open_cassette("other.jsonl") is not cassette


def test_a_symbolic_link_to_a_cassette_stays_one(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    path.touch()
    link.symlink_to(path)
    cassette = open_cassette(link)
    cassette.add(build("b"))
    cassette.add(build("a"))
    cassette.sort()
    assert link.is_symlink()
    assert find(path, "a", "b") == [True, True]


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_a_directory_is_rejected(path: str) -> None:
    with pytest.raises(ConfigurationError, match="is a directory: pass the path of a file"):
        open_cassette(path)


def test_anything_but_a_path_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="needs the path of a file, such as 'tests/answers.jsonl', not int"):
        open_cassette(4711)  # type: ignore[arg-type]


def test_a_file_that_cannot_be_read_or_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file/answers\.jsonl cannot be read: Not a directory\."):
        open_cassette(tmp_path / "file" / "answers.jsonl").load()
    cassette = open_cassette(tmp_path / "answers.jsonl")
    (tmp_path / "answers.jsonl.lock").mkdir()
    with pytest.raises(ConfigurationError, match=r"answers\.jsonl cannot be written: Is a directory\."):
        cassette.add(build("a"))


def test_without_filelock_the_package_to_install_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(ConfigurationError, match=r"needs filelock: pip install 'chat-triage\[evals\]'"):
        Cassette(path).add(build("a"))


# Adding


def test_a_later_answer_replaces_an_earlier_one(path: Path) -> None:
    cassette = write(path, "a", "b")
    cassette.add(build("a", SPAM))
    assert cassette.find(("a", 0)) == SPAM
    assert Cassette(path).find(("a", 0)) == SPAM
    cassette.sort()
    assert [line["verdict"]["bucket"] for line in read_lines(path)] == ["spam", "billing"]


def test_an_answer_that_differs_only_in_latency_keeps_its_line(path: Path) -> None:
    write(path, "a")
    before = path.read_bytes()
    cassette = Cassette(path)
    cassette.add(build("a", Verdict(bucket="billing", latency=3)))
    cassette.sort()
    assert path.read_bytes() == before


def test_samples_of_one_question_are_different_answers(path: Path) -> None:
    cassette = Cassette(path)
    for sample, verdict in enumerate([BILLING, SPAM]):
        cassette.add(create_answer("a", sample, verdict, ask_about()))
    assert [cassette.find(("a", sample)) for sample in range(3)] == [BILLING, SPAM, None]


def test_answers_of_this_process_are_told_apart(path: Path) -> None:
    write(path, "a", "b")
    cassette = Cassette(path)
    cassette.add(build("b"))
    assert [cassette.find((key, 0), added_here=True) for key in ("a", "b")] == [None, BILLING]


# Sorting


def test_sorting_orders_the_lines_independently_of_the_order_of_their_addition(path: Path, tmp_path: Path) -> None:
    write(path, "c", "a", "b").sort()
    write(tmp_path / "other.jsonl", "b", "c", "a").sort()
    assert [line["text"] for line in read_lines(path)] == ["Text of a", "Text of b", "Text of c"]
    assert path.read_bytes() == (tmp_path / "other.jsonl").read_bytes()


def test_a_file_to_which_nothing_was_added_is_not_sorted(path: Path) -> None:
    write(path, "b", "a")
    before = path.stat()
    cassette = Cassette(path)
    assert cassette.find(("a", 0)) is not None
    cassette.sort()
    assert path.stat() == before


def test_lines_that_are_already_in_order_are_not_written_again(path: Path) -> None:
    cassette = write(path, "a", "b")
    before = path.stat()
    cassette.sort()
    assert path.stat() == before


def test_sorting_keeps_every_line_byte_for_byte(path: Path) -> None:
    edited = b'{"key":"x",  "verdict": {"confidence": 1.0, "bucket": "spam"}, "text": "Z"}'
    path.write_bytes(edited + b"\n")
    write(path, "a").sort()
    assert path.read_bytes().splitlines()[1] == edited


def test_sorting_keeps_the_permissions_of_the_file(path: Path) -> None:
    cassette = write(path, "b", "a")
    path.chmod(0o640)
    cassette.sort()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_process_that_is_killed_while_sorting_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(path: Path, target: Path) -> None:
        raise KeyboardInterrupt

    cassette = write(path, "b", "a")
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", kill)
        with pytest.raises(KeyboardInterrupt):
            cassette.sort()
    assert path.read_bytes() == before
    assert path.with_name("answers.jsonl.tmp").exists()
    write(path, "c").sort()
    assert [line["key"] for line in read_lines(path)] == ["a", "b", "c"]
    assert sorted(os.listdir(path.parent)) == ["answers.jsonl", "answers.jsonl.lock"]


# Torn, merged and edited files


@pytest.mark.parametrize("length", [1, 20, -1])
def test_a_torn_last_line_is_ignored_and_removed_by_the_next_writer(path: Path, length: int) -> None:
    write(path, "a")
    whole = path.read_bytes()
    torn = write_answer(build("b")).encode()[:length]
    path.write_bytes(whole + torn)
    assert find(path, "a", "b") == [True, False]
    assert path.read_bytes() == whole + torn, "reading changes nothing"
    write(path, "c")
    assert [line["key"] for line in read_lines(path)] == ["a", "c"]


def test_a_file_that_consists_of_a_torn_line_is_repaired(path: Path) -> None:
    path.write_bytes(b'{"text": "I was ch')
    write(path, "a")
    assert [line["key"] for line in read_lines(path)] == ["a"]


def test_a_last_line_without_a_line_break_is_kept(path: Path) -> None:
    write(path, "a", "b")
    path.write_bytes(path.read_bytes().rstrip())
    assert find(path, "b") == [True]
    write(path, "c")
    assert [line["key"] for line in read_lines(path)] == ["a", "b", "c"]


def test_a_line_that_another_process_is_still_writing_is_read_when_it_is_complete(path: Path) -> None:
    cassette = write(path, "a")
    line = write_answer(build("b")).encode() + b"\n"
    with path.open("ab", buffering=0) as file:
        file.write(line[:30])
        assert cassette.find(("b", 0)) is None
        file.write(line[30:])
    assert cassette.find(("b", 0)) == BILLING


def test_blank_lines_and_line_breaks_of_windows_are_accepted(path: Path) -> None:
    write(path, "a", "b")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n\r\n"))
    assert find(path, "a", "b") == [True, True]
    write(path, "c").sort()
    assert b"\r" not in path.read_bytes()


def test_the_last_of_several_lines_about_a_question_counts(path: Path) -> None:
    lines = [write_answer(build("a", verdict)) for verdict in (BILLING, SPAM)]
    path.write_text("\n".join(lines) + "\n")
    assert Cassette(path).find(("a", 0)) == SPAM


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("<<<<<<< HEAD", "line 2 is a conflict marker of Git: keep the lines of both sides, and delete the markers."),
        (">>>>>>> other", "line 2 is a conflict marker of Git"),
        ("=======", "line 2 is a conflict marker of Git"),
        ("{", r"line 2 is not a recorded answer \(it is not JSON\): restore it, or delete it to ask again\."),
        ('{"key": "a"}', r"line 2 is not a recorded answer \(verdict: Field required\)"),
    ],
)
def test_an_unreadable_line_is_reported_with_its_number_but_not_quoted(path: Path, line: str, message: str) -> None:
    write(path, "a")
    path.write_text(f"{path.read_text()}{line}\n{write_answer(build('b'))}\n")
    cassette = Cassette(path)
    for action in (cassette.load, lambda: cassette.add(build("c")), lambda: cassette.forget("mira")):
        with pytest.raises(ConfigurationError, match=rf"answers\.jsonl: {message}") as caught:
            action()
        assert caught.value.__cause__ is None
    assert len(path.read_text().splitlines()) == 3


def test_an_unreadable_line_that_was_appended_is_reported_with_its_number(path: Path) -> None:
    cassette = write(path, "a", "b")
    with path.open("a") as file:
        file.write("=======\n")
    with pytest.raises(ConfigurationError, match="line 3 is a conflict marker"):
        cassette.load()


# Reading


def test_a_version_of_the_file_is_parsed_once(path: Path, parsed: list[bytes]) -> None:
    write(path, "a", "b", "c")
    parsed.clear()
    cassette = Cassette(path)
    for _ in range(3):
        assert cassette.find(("a", 0)) is not None
        assert cassette.find(("x", 0)) is None
    assert len(parsed) == 3


def test_lines_of_other_processes_are_found_and_only_they_are_parsed(path: Path, parsed: list[bytes]) -> None:
    cassette = write(path, "a", "b")
    cassette.load()
    other = Cassette(path)
    other.load()
    parsed.clear()
    other.add(build("c"))
    assert cassette.find(("c", 0)) is not None
    assert len(parsed) == 1
    other.find(("c", 0))
    assert len(parsed) == 2


def test_a_file_that_was_replaced_is_read_again(path: Path) -> None:
    cassette = write(path, "a")
    cassette.load()
    replacement = path.with_name("other.jsonl")
    write(replacement, "b", "c")
    replacement.replace(path)
    assert [cassette.find((key, 0)) for key in "abc"] == [None, BILLING, BILLING]
    path.unlink()
    assert cassette.find(("b", 0)) is None


@pytest.mark.parametrize("keys", [("a",), ("c", "d", "e")])
def test_a_file_that_an_editor_has_overwritten_is_read_again(path: Path, keys: tuple[str, ...]) -> None:
    cassette = write(path, "a", "b")
    cassette.load()
    path.write_text("".join(f"{write_answer(build(key))}\n" for key in keys))
    assert [key for key in "abcde" if cassette.find((key, 0))] == list(keys)


def test_ten_thousand_answers_are_found(path: Path) -> None:
    line = write_answer(build("KEY"))
    path.write_text("".join(f"{line.replace('KEY', str(number))}\n" for number in range(10_000)))
    cassette = Cassette(path)
    assert all(cassette.find((str(number), 0)) for number in range(10_000))


# Pruning and forgetting


def test_pruning_removes_the_answers_that_were_not_used_since(path: Path) -> None:
    cassette = write(path, "a", "b", "c")
    cassette.use(("a", 0))
    since = cassette.uses
    cassette.use(("b", 0))
    assert cassette.prune(since) == 2
    assert [line["key"] for line in read_lines(path)] == ["b"]
    assert cassette.prune(since) == 0
    assert cassette.prune(cassette.uses) == 1
    assert path.read_bytes() == b""


def test_forgetting_removes_every_line_about_a_customer(path: Path) -> None:
    cassette = Cassette(path)
    cassette.add(build("a", id="42"))
    cassette.add(build("b", email="mira@example.com"))
    cassette.add(build("c", id="43", email="jonas@example.com"))
    cassette.add(build("d", text="Ask MIRA@example.com!", id="44"))
    cassette.add(build("e", BILLING, "Same", email="mira@example.com"))
    cassette.add(build("e", SPAM, "Same", email="jonas@example.com"))
    assert forget_customer(path, "mira@example.com") == 2
    assert [line["key"] for line in read_lines(path)] == ["e", "a", "c"], "nor is the replaced line of e left"
    assert forget_customer(path, "42") == 1
    assert forget_customer(path, "nobody") == 0
    assert find(path, "c", "e") == [True, True]


def test_forgetting_removes_a_torn_line_too(path: Path) -> None:
    write(path, "a")
    path.write_bytes(path.read_bytes() + b'{"text": "I am mira@exa')
    assert forget_customer(path, "mira@example.com") == 0
    assert b"mira" not in path.read_bytes()


# Threads


def test_threads_may_add_answers_at_the_same_time(path: Path) -> None:
    cassettes = [Cassette(path), Cassette(path)]

    def add(number: int) -> None:
        for key in range(10):
            cassettes[number % 2].add(build(f"{number}-{key}"))
        cassettes[number % 2].sort()

    threads = [threading.Thread(target=add, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [f"{number}-{key}" for number in range(6) for key in range(10)]
    assert [line["key"] for line in read_lines(path)] == sorted(keys)


def test_the_mutex_of_a_question_exists_while_somebody_holds_it(path: Path) -> None:
    cassette = Cassette(path)
    mutex = cassette.get_mutex(("a", 0))
    assert cassette.get_mutex(("a", 0)) is mutex
    assert cassette.get_mutex(("b", 0)) is not mutex
    del mutex
    assert not cassette._mutexes
