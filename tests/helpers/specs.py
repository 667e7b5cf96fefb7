"""The OpenAPI descriptions that help desks publish of their APIs.

Intercom's may be copied and are in `tests/specs`. The others are read from the directory `TRIAGE_SPECS`, by default
`../shared/specs` beside the repository, or from `tests/specs/downloaded`, where `make specs` stores them.
"""

import functools
import json
import os
from pathlib import Path
from typing import Any

import yaml
from openapi_core import OpenAPI

from tests.helpers.missing import skip_without_description
from tests.helpers.paths import ROOT, TESTS

DIRECTORIES = (
    TESTS / "specs",
    Path(os.environ.get("TRIAGE_SPECS") or ROOT.parent / "shared" / "specs"),
    TESTS / "specs" / "downloaded",
)


def load_document(name: str) -> Any:
    """Return the parsed description `name`, or skip the test if it is missing (in CI, fail it)."""
    path = next((directory / name for directory in DIRECTORIES if (directory / name).exists()), None)
    if path is None:
        skip_without_description(name)
    return _parse(path)


def load_description(name: str) -> OpenAPI:
    """Return a validator for the description `name`, or skip the test if it is missing (in CI, fail it)."""
    load_document(name)
    return _build_validator(name)


@functools.cache
def _parse(path: Path) -> Any:
    text = path.read_text("utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders


@functools.cache
def _build_validator(name: str) -> OpenAPI:
    return OpenAPI.from_dict(load_document(name))
