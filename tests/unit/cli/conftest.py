import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.cli_project import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    project = Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in project.desk.fake.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "helpdesk", raising=False)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    yield project
    project.inbox.close()
