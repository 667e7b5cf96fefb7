"""The documentation is correct: its Python code runs, and everything that it refers to exists."""

import inspect
import os
import pkgutil
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sybil import Document
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from tests.helpers.paths import ROOT
from tests.helpers.servers import free_port, listens, wait_until
from triage import Worker
from triage.classifiers import Claude
from triage.classifiers.claude.models import PRICES_DATE
from triage.evals.sample_size import count_needed_verdicts
from triage.inbox import MemoryInbox
from triage.testing import FakeClaude, FakeIntercom

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
ENVIRONMENT = {
    "ANTHROPIC_API_KEY": "sk-ant-test",
    "INTERCOM_CLIENT_SECRET": "secret",
    "INTERCOM_ACCESS_TOKEN": "token",
    "INTERCOM_ADMIN_ID": "814860",
    "INTERCOM_TEAM_ONCALL": "12345",
    "INTERCOM_TEAM_BILLING": "67890",
    "INTERCOM_TEAM_SUPPORT": "11111",
}


@pytest.fixture(params=PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


MIB = 1024**2
BOUNDS = [
    ("size of a webhook", "sends: {} MiB", "triage.vendors.base:HelpDesk.default_max_body", MIB),
    ("size of a webhook", "Intercom and Help Scout {} MiB", "triage.vendors:Intercom.default_max_body", MIB),
    ("size of a webhook", "Intercom and Help Scout {} MiB", "triage.vendors:HelpScout.default_max_body", MIB),
    ("size of a webhook", "Front {} MiB", "triage.vendors:Front.default_max_body", MIB),
    ("work before the signature", "more than {} KiB", "triage.vendors.front:_LARGEST_REWRITTEN", 1024),
    ("storing a webhook", "{} s for a SQLite file", "triage.inbox.sqlite:_TIMEOUT", 1),
    ("storing a webhook", "{} s for PostgreSQL", "triage.inbox.postgres:_TIMEOUT", 1),
    ("storing a webhook", "{} s in all for async code", "triage.router:_STORING", 1),
    ("the event loop", "webhooks of up to {} KiB", "triage.router:_LARGE", 1024),
    ("the event loop", "responses of up to {} KiB", "triage.engine.offload:_SHORT", 1024),
    ("events that a worker processes at the same time", "{};", "triage.engine.concurrency:MOST", 1),
    ("text of the conversations in progress", "{} characters", "triage.engine.concurrency:MOST_TEXT", 1),
    ("messages of a conversation", "the newest {} ", "triage.vendors.base:MOST_MESSAGES", 1),
    ("text of one message", "{} characters of HTML", "triage.text.html:_LONGEST_MARKUP", 1),
    ("text of a conversation", "{} characters, beginning", "triage.text.budget:CONVERSATION_CHARACTERS", 1),
    ("text of a conversation", "the first {} characters", "triage.text.budget:LEAST_CHARACTERS", 1),
    ("a customer's name in a reply", "{} characters", "triage.text.names:_LONGEST_NAME", 1),
    ("text by the model in a note", "{} characters", "triage.policy.templates:_LONGEST_REASON", 1),
    ("one call", "| {} s", "triage.engine.clients:CALL_LIMIT", 1),
    ("size of a response", "{} MiB", "triage.io.http:MAX_RESPONSE", MIB),
    ("attempts of a call", "| {},", "triage.engine.transport:RETRIES.attempts", 1),
    ("pages of a conversation", "| {};", "triage.vendors.zendesk:_MAX_PAGES", 1),
    ("pages of a conversation", "| {};", "triage.vendors.front:_MAX_PAGES", 1),
    ("pages of a conversation", "| {};", "triage.vendors.crisp:_MAX_PAGES", 1),
    ("pages of a conversation", "{} at Help Scout", "triage.vendors.helpscout:_MAX_PAGES", 1),
    ("pages of a list", "{} at Zendesk and Front", "triage.vendors.zendesk:_MAX_LIST_PAGES", 1),
    ("pages of a list", "{} at Zendesk and Front", "triage.vendors.front:_MAX_TAG_PAGES", 1),
    ("pages of a list", "{} at Help Scout", "triage.vendors.helpscout:_MAX_PAGES", 1),
    ("pages of a list", "{} at Crisp", "triage.vendors.crisp:_MAX_PAGES", 1),
    ("conversations that are read", "| {} |", "triage.vendors.responses:_MAX_MERGES", 1),
    ("waiting for a rate limit", "| {} s", "triage.engine.transport:LONGEST_WAIT", 1),
    ("a `Retry-After`", "| {} hour,", "triage.engine.breaker:LONGEST_PAUSE", 3600),
    ("attempts of an event", "| {},", "triage.engine.attempt:ATTEMPTS", 1),
    ("a lease without a heartbeat", "{} s for Celery", "triage.engine.attempt:_LEASE", 1),
    ("looking for a reply", "{} minutes", "triage.engine.attempt:_CONFIRMATION", 60),
    ("removing old events", "{} at a time", "triage.inbox.table:_BATCH", 1),
    ("keys that wait", "| {} |", "triage.integrations.celery:_MOST_WAITING", 1),
    ("waiting for that broker", "| {} s", "triage.integrations.celery:_LONGEST_FLUSH", 1),
]
DEFAULTS: list[tuple[str, str, Callable[..., Any], str]] = [
    ("a lease without a heartbeat", "| {} s;", Worker, "lease"),
    ("attempts of an event", "| {},", Worker, "attempts"),
    ("a verdict by Claude", "| {} s;", Claude, "deadline"),
    ("messages that a Router without an inbox remembers", "| {} |", MemoryInbox, "capacity"),
]


def find_row(name: str) -> str:
    """Return the row of the page about reliability that begins with a name."""
    return next(line for line in (ROOT / "docs/reliability.md").read_text().split("\n") if line.startswith(f"| {name}"))


@pytest.mark.parametrize(("name", "text", "constant", "unit"), BOUNDS)
def test_the_bounds_are_those_of_the_code(name: str, text: str, constant: str, unit: int) -> None:
    assert text.format(f"{pkgutil.resolve_name(constant) / unit:,.10g}") in find_row(name)


@pytest.mark.parametrize(("name", "text", "function", "parameter"), DEFAULTS)
def test_the_bounds_that_can_be_set_are_the_defaults(
    name: str, text: str, function: Callable[..., Any], parameter: str
) -> None:
    assert text.format(f"{inspect.signature(function).parameters[parameter].default:,.10g}") in find_row(name)


def test_the_python_code_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the code blocks of a page one after the other, as a reader would try them."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    document = Document.parse(str(page), PythonCodeBlockParser(), SkipParser())
    document.namespace["__name__"] = "__main__"
    for example in document.examples():
        example.evaluate()


def test_the_application_in_the_readme_works_as_printed(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "app.py").write_text(blocks[0])
    desk = FakeIntercom()
    port = free_port()
    command = [sys.executable, "-m", "flask", "run", "--port", str(port)]
    with desk.serve() as desk_url, FakeClaude().serve() as claude_url:
        settings = desk.env(desk_url) | {"ANTHROPIC_BASE_URL": claude_url, "ANTHROPIC_API_KEY": "sk-ant-test"}
        server = subprocess.Popen(command, cwd=tmp_path, env=os.environ | settings, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: server.poll() is not None or listens(port), "the server starts")
            url = f"http://127.0.0.1:{port}/webhooks/intercom"
            assert httpx.head(url, timeout=30).status_code == 200
            webhook = desk.customer_writes("I was charged twice on my invoice, please refund me.")
            response = httpx.post(url, content=webhook.body, headers=webhook.headers, timeout=30)
            assert httpx.post(url, content=webhook.body, timeout=30).status_code == 401
        finally:
            server.terminate()
            _, log = server.communicate(timeout=30)
    assert (response.status_code, response.json()) == (200, {"status": "routed"})
    assert desk.conversations[webhook.conversation_id or ""].team == settings["INTERCOM_TEAM_BILLING"]
    assert len(desk.replies(webhook.conversation_id or "")) == 1
    assert "intercom routed" in log
    assert "intercom refused" in log


def test_the_make_targets_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shell = re.findall(r"^\s*```(?:sh|console)\n(.*?)^\s*```", page.read_text(), re.MULTILINE | re.DOTALL)
    documented = re.findall(r"\bmake ([a-z]+)", "\n".join(shell))
    assert set(documented) <= set(targets)


def test_the_tests_in_the_readme_exist() -> None:
    table = (ROOT / "README.md").read_text().partition("## What happens when")[2]
    references = re.findall(r"\[`(test_\w+)`\]\(((?:src|tests)/[\w/.]+)\)", table)
    assert len(references) > 8
    for test, path in references:
        assert f"def {test}(" in (ROOT / path).read_text(), test


def test_the_date_of_the_prices_is_documented() -> None:
    assert PRICES_DATE in (ROOT / "docs" / "classifiers.md").read_text()


def test_the_numbers_of_needed_verdicts_are_documented() -> None:
    rows = re.findall(
        r"^\| ([\d.]+)% \| ([\d,]+) \| ([\d,]+) \|$", (ROOT / "docs/confidence.md").read_text(), re.MULTILINE
    )
    assert len(rows) == 6
    for percent, *documented in rows:
        needed = [count_needed_verdicts(float(percent) / 100, confidence) for confidence in (0.95, 1 - 0.05 / 4)]
        assert documented == [f"{number:,}" for number in needed]


@pytest.mark.parametrize(("name", "result"), [("evals", "report"), ("confidence", "calibration")])
def test_the_printed_result_is_up_to_date(name: str, result: str) -> None:
    document = Document.parse(str(ROOT / f"docs/{name}.md"), PythonCodeBlockParser())
    next(iter(document.examples())).evaluate()
    assert f"```text\n{document.namespace[result]}\n```" in document.text


def test_the_table_of_supported_actions_is_up_to_date() -> None:
    path = ROOT / "tools" / "matrix.py"
    tool = runpy.run_path(str(path))
    page = tool["PAGE"].read_text("utf-8")
    assert tool["update_page"](page) == page, "run python tools/matrix.py"
    assert page.count("✓") > 30
