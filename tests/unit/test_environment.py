"""Environment variables, as Docker, Kubernetes and .env files set them."""

from pathlib import Path

import pytest

from triage import ConfigurationError
from triage.environment import read_variable, unquote


@pytest.mark.parametrize("text", ["s3cret", " s3cret\n", '"s3cret"', "' s3cret '", '"s3cret"\r\n'])
def test_white_space_and_quotes_around_a_value_are_removed(text: str) -> None:
    assert unquote(text) == "s3cret"


@pytest.mark.parametrize("text", ['"a" or "b"', "it's", '"'])
def test_other_quotes_are_kept(text: str) -> None:
    assert unquote(text) == text


def test_a_variable_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", '"s3cret"\n')
    assert read_variable("SOME_TOKEN") == "s3cret"
    assert read_variable("SOME_OTHER_TOKEN") == ""


def test_a_secret_is_read_from_the_file_that_a_variable_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"\xef\xbb\xbfs3cret\r\n")  # as Windows' editors write it
    monkeypatch.setenv("SOME_TOKEN_FILE", str(path))
    monkeypatch.setenv("SOME_TOKEN", " ")
    assert read_variable("SOME_TOKEN") == "s3cret"


def test_a_variable_and_a_file_exclude_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN_FILE", "/run/secrets/token")
    monkeypatch.setenv("SOME_TOKEN", "s3cret")
    with pytest.raises(ConfigurationError, match="SOME_TOKEN and SOME_TOKEN_FILE are both set") as caught:
        read_variable("SOME_TOKEN")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("content", ["", " \n", "''"])
def test_an_empty_file_is_a_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    monkeypatch.setenv("SOME_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(ConfigurationError, match=r"SOME_TOKEN_FILE: .*token is empty\."):
        read_variable("SOME_TOKEN")


def test_a_file_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOME_TOKEN_FILE", "/no/such/file")
    with pytest.raises(ConfigurationError, match=r"SOME_TOKEN_FILE: /no/such/file cannot be read \(No such file"):
        read_variable("SOME_TOKEN")
    (tmp_path / "binary").write_bytes(b"\xff\xfes3cret")
    monkeypatch.setenv("SOME_TOKEN_FILE", str(tmp_path / "binary"))
    with pytest.raises(ConfigurationError, match="does not contain UTF-8 text") as caught:
        read_variable("SOME_TOKEN")
    assert caught.value.__suppress_context__
