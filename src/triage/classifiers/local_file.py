"""The file of a `Local` classifier: JSON, which runs no code when it is loaded."""

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from triage.errors import ConfigurationError
from triage.models.base import Model

_FORMAT_VERSION = 1


class LocalModel(Model):
    """Everything that a `Local` classifier has learned."""

    model_config = ConfigDict(allow_inf_nan=False)

    trained_on: dict[str, int] = Field(min_length=2)
    """How many messages of each bucket."""
    words: dict[str, float] = Field(repr=False)
    letters: dict[str, float] = Field(repr=False)
    """The terms and their weights, as `Vectorizer` takes them. They are made of the words of customers."""
    weights: dict[str, tuple[float, ...]] = Field(repr=False)
    intercepts: dict[str, float]

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        terms = len(self.words) + len(self.letters)
        if not self.words or not self.letters or any(len(weights) != terms for weights in self.weights.values()):
            raise ValueError("the number of weights differs from that of the terms")
        if not self.trained_on.keys() == self.weights.keys() == self.intercepts.keys():
            raise ValueError("the buckets differ")
        return self

    def hash(self) -> str:
        """Return a hash of what has been learned."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class _Header(Model):
    """The part of a file that every version of the format has."""

    format: Literal["triage-local"]
    format_version: int


class _File(_Header):
    library_version: str
    hash: str
    model: LocalModel


def write_model(path: Path, model: LocalModel) -> None:
    """Write a model to a file.

    Args:
        path: The file, which is replaced if it exists.
        model: The model.

    Raises:
        OSError: The file cannot be written.
    """
    file = _File(
        format="triage-local",
        format_version=_FORMAT_VERSION,
        library_version=version("chat-triage"),
        hash=model.hash(),
        model=model,
    )
    path.write_text(file.model_dump_json(), "utf-8")


def read_model(path: Path) -> LocalModel:
    """Read a model from a file.

    Args:
        path: The file.

    Raises:
        ConfigurationError: The file cannot be read, is damaged, or was not written by `write_model`.
    """
    try:
        content = path.read_bytes()
    except OSError as err:
        raise ConfigurationError(
            f"Local cannot read {path}: {err.strerror}. Pass the path of a file that Local.save() wrote."
        ) from err
    advice = "Train the classifier again with Local.train(), and save it."
    try:
        header = _Header.model_validate_json(content, strict=True)
    except ValidationError:
        raise ConfigurationError(f"{path} is not a file of Local.save(), or it is damaged. {advice}") from None
    if header.format_version != _FORMAT_VERSION:
        raise ConfigurationError(
            f"{path} has version {header.format_version} of the format, but this version of chat-triage reads only "
            f"version {_FORMAT_VERSION}. {advice}"
        )
    try:
        file = _File.model_validate_json(content)
    except ValidationError:
        raise ConfigurationError(f"{path} is incomplete. {advice}") from None
    if file.hash != file.model.hash():
        raise ConfigurationError(f"{path} was changed after Local.save() had written it. {advice}")
    return file.model
