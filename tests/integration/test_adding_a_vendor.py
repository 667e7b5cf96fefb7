"""The adapter in docs/adding-a-vendor.md: it is short, typed, and fulfills the contract."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sybil import Document
from sybil.parsers.markdown import PythonCodeBlockParser

from tests.helpers.api import Api
from tests.helpers.missing import skip_without_checker
from tests.helpers.paths import DOCS, ROOT
from triage import Action, ConfigurationError, Note, Reply, SetPriority
from triage.testing.contract import ContractDesk, VendorContract, Wire

PAGE = DOCS / "adding-a-vendor.md"


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """Run the blocks of the page, up to the one with the contract, and return what they define."""
    document = Document.parse(str(PAGE), PythonCodeBlockParser())
    examples = iter(document.examples())
    while "TinydeskDesk" not in document.namespace:
        next(examples).evaluate()
    return document.namespace


@pytest.fixture
def source() -> str:
    """Return the first block of the page."""
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


class TestSync(VendorContract):
    @pytest.fixture
    def desk(self, names: dict[str, Any]) -> ContractDesk:
        desk: ContractDesk = names["TinydeskDesk"]()
        return desk


class TestAsync(TestSync):
    entry_point = "async"


def test_the_adapter_is_short(source: str) -> None:
    assert sum(1 for line in source.splitlines() if line.strip()) <= 85


@pytest.mark.parametrize(
    "command",
    [["ruff", "format", "--check", "--config", str(ROOT / "pyproject.toml")], ["mypy", "--strict"]],
    ids=["ruff", "mypy"],
)
def test_the_adapter_is_formatted_and_strictly_typed(command: list[str], source: str, tmp_path: Path) -> None:
    tool = shutil.which(command[0], path=str(Path(sys.executable).parent))
    if tool is None:
        skip_without_checker(command[0])
    path = tmp_path / "tinydesk.py"
    path.write_text(source)
    result = subprocess.run([tool, *command[1:], str(path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_invalid_setting_is_named(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError) as caught:
        names["Tinydesk"](secret=" ", token="", bot="bot-1")
    assert str(caught.value) == (
        "Tinydesk's secret is empty. Set it to the secret that signs the webhooks. Tinydesk's token is empty. Set it."
    )
    monkeypatch.setenv("TINYDESK_TOKEN", "token")
    with pytest.raises(ConfigurationError, match="Set TINYDESK_SECRET, TINYDESK_BOT in the environment"):
        names["Tinydesk"].from_env()


@pytest.mark.parametrize(
    ("action", "advice"),
    [(Note("x"), r"no internal notes\. Use Tag"), (SetPriority("low"), r"no priorities\. Use Tag")],
)
def test_an_unsupported_action_is_rejected_with_advice(names: dict[str, Any], action: Action, advice: str) -> None:
    with pytest.raises(ConfigurationError, match=advice):
        VendorContract().create_router(names["TinydeskDesk"](), action)


def test_an_error_names_call_status_and_code(names: dict[str, Any], api: Api) -> None:
    contract, desk = VendorContract(), names["TinydeskDesk"]()
    webhook = desk.write("Hello")
    router = contract.create_router(desk, Reply("Hi"), wire=Wire(desk.transport))
    desk.conversations.clear()
    outcome = api.handle(router, webhook.body, webhook.headers).outcome
    assert outcome is not None
    assert outcome.reason == "tinydesk: GET /conversations/1: refused (status 404, code not_found)"
