"""`triage check` names the cause of each broken set-up, and what to do about it, as an operator sees it."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.helpers.desks import DESKS, Desk
from triage.cli.app import triage
from triage.testing import FakeClaude

APP = """
from pathlib import Path
from triage import Assign, Bucket, Router, SetFields
from triage.classifiers import Claude
from triage.inbox import SQLiteInbox
from triage.vendors import {adapter}

actions = [Assign(team="{team}")]
router = Router(
    {adapter}.from_env(),
    buckets=[Bucket("general", "Everything", actions)],
    classifier=Claude(),
    inbox=SQLiteInbox(Path(__file__).parent / "triage.db"),
)
router.inbox.record_heartbeat(router.name)
"""
HOUR = 3600


class Setup:
    """A project whose help desk and classifier are fakes that run as servers. It works until a test breaks it."""

    def __init__(self, directory: Path, vendor: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.desk: Desk = DESKS[vendor]()
        self.desk.fake.clock = self.desk.clock = time.time  # type: ignore[assignment]  # the command has no other
        self.claude = FakeClaude(api_key="sk-ant-right")
        self.source = APP.format(adapter=type(self.desk.adapter()).__name__, team=next(iter(self.desk.teams.values())))
        self.arguments: list[str] = []
        self._directory = directory
        self._monkeypatch = monkeypatch

    @contextmanager
    def serve(self) -> Iterator[None]:
        """Run the fakes, and set the environment variables of a set-up that works."""
        with self.desk.fake.serve() as url, self.claude.serve() as claude_url:
            variables = {"ANTHROPIC_BASE_URL": claude_url, "ANTHROPIC_API_KEY": "sk-ant-right"}
            for name, value in (self.desk.fake.env(url) | variables).items():
                self.set(**{name: value})
            yield

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def change(self, old: str, new: str) -> None:
        """Change the user's module."""
        assert old in self.source
        self.source = self.source.replace(old, new)

    def capture_delivery(self) -> None:
        webhook = self.desk.fake.customer_writes("My card is blue.")
        headers = "\n".join(f"{name}: {value}" for name, value in webhook.headers.items())
        (self._directory / "webhook.txt").write_bytes(headers.encode() + b"\n\n" + webhook.body)
        self.arguments = ["--webhook", "webhook.txt"]

    def check(self) -> tuple[int, str]:
        """Run the command; return its exit code and its output."""
        (self._directory / "helpdesk.py").write_text(self.source)
        result = CliRunner().invoke(triage, ["check", "helpdesk:router", *self.arguments])
        return result.exit_code, result.output


@pytest.fixture
def setup(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_retry_delays: None
) -> Iterator[Setup]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "helpdesk", raising=False)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    setup = Setup(tmp_path, request.param, monkeypatch)
    with setup.serve():
        yield setup


@pytest.mark.parametrize("setup", DESKS, indirect=True)
def test_nothing_fails_in_a_setup_that_works(setup: Setup) -> None:
    setup.capture_delivery()
    exit_code, output = setup.check()
    assert (exit_code, "failed" in output) == (0, False), output
    assert "ok      webhook secret  it matches the sample" in output


def reject_parameters(setup: Setup) -> None:
    setup.claude.fail(status=400, times=2)


def use_another_secret(setup: Setup) -> None:
    setup.capture_delivery()
    setup.set(HELPSCOUT_WEBHOOK_SECRET="another")


def set_clock_back(setup: Setup) -> None:
    setup.desk.fake.clock = lambda: time.time() - HOUR


def demote_user(setup: Setup) -> None:
    body = b'{"user": {"id": 9001, "role": "end-user"}}'
    setup.desk.fake.fail("GET /api/v2/users/me", status=200, body=body, times=None)


# The vendor, what breaks the set-up, the check that fails, and the cause and the remedy that it names.
Case = tuple[str, Callable[[Setup], object], str, tuple[str, ...]]

BROKEN: dict[str, Case] = {
    "wrong token": (
        "intercom",
        lambda setup: setup.set(INTERCOM_ACCESS_TOKEN="wrong"),
        "credentials",
        ("status 401", "check access_token (INTERCOM_ACCESS_TOKEN) and the region"),
    ),
    "wrong key": (
        "crisp",
        lambda setup: setup.set(CRISP_KEY="wrong"),
        "credentials",
        ("status 401", "CRISP_KEY"),
    ),
    "another user": (
        "helpscout",
        lambda setup: setup.set(HELPSCOUT_USER_ID="634102"),
        "credentials",
        ("belongs to user 771000, but user_id is 634102", "Set user_id to 771000"),
    ),
    "a user who may not write": (
        "zendesk",
        demote_user,
        "credentials",
        ("User 9001 is an end-user and cannot write", "Make the user an agent"),
    ),
    "another workspace": (
        "intercom",
        lambda setup: setup.set(INTERCOM_WORKSPACE_ID="other"),
        "credentials",
        ("belongs to workspace abc123de, but workspace_id is other", "correct workspace_id"),
    ),
    "help desk out of reach": (
        "front",
        lambda setup: setup.set(FRONT_BASE_URL="http://127.0.0.1:1"),
        "credentials",
        ("GET /me", "refused", "Check this machine's network and proxy, and the address http://127.0.0.1:1."),
    ),
    "unknown team": (
        "zendesk",
        lambda setup: setup.change('team="', 'team="4711'),
        "teams",
        ("Zendesk does not have 4711", "Correct the policy", "There are: "),
    ),
    "unknown user": (
        "intercom",
        lambda setup: setup.change("[Assign(", '[Assign(user="4711"), Assign('),
        "users",
        ("Intercom does not have 4711", "Correct the policy", "99999 (Triage)"),
    ),
    "unknown field": (
        "front",
        lambda setup: setup.change("[Assign(", '[SetFields({"Mood": "{bucket}"}), Assign('),
        "fields",
        ("Front does not have Mood", "create what is missing"),
    ),
    "unknown channel": (
        "front",
        lambda setup: setup.set(FRONT_CHANNEL_ID="cha_0"),
        "channels",
        ("Front does not have cha_0", "Correct channel_id"),
    ),
    "wrong webhook secret": (
        "helpscout",
        use_another_secret,
        "webhook secret",
        ("X-HelpScout-Signature does not fit", "Compare the secret in the settings"),
    ),
    "wrong clock": (
        "intercom",
        set_clock_back,
        "clock",
        ("s ahead of the help desk's. Genuine webhooks may be", "Synchronize this machine's clock"),
    ),
    "no key of Claude": (
        "intercom",
        lambda setup: setup.set(ANTHROPIC_API_KEY=""),
        "classifier",
        ("no verdict: There is no API key for Claude: set ANTHROPIC_API_KEY, or pass Claude(api_key=…). Check",),
    ),
    "wrong key of Claude": (
        "crisp",
        lambda setup: setup.set(ANTHROPIC_API_KEY="sk-ant-wrong"),
        "classifier",
        ("401", "Check the classifier's key, model and settings"),
    ),
    "unknown model": (
        "zendesk",
        lambda setup: setup.change("Claude()", "Claude('clade-opus')"),
        "classifier",
        ("clade-opus", "Check the classifier's key, model and settings"),
    ),
    "rejected parameters": (
        "helpscout",
        reject_parameters,
        "classifier",
        ("400", "Check the classifier's key, model and settings"),
    ),
    "inbox that cannot be written": (
        "front",
        lambda setup: setup.change("router.inbox.rec", 'router.inbox._execute("DROP TABLE triage_limits", {})\n#'),
        "inbox",
        ("no such table", "Check the disk, the permissions and the address"),
    ),
    "no worker": (
        "crisp",
        lambda setup: setup.change("router.inbox.rec", "#"),
        "worker",
        ("A worker of 'crisp' was never seen", "triage work"),
    ),
}


@pytest.mark.parametrize(("setup", "case"), [(BROKEN[case][0], case) for case in BROKEN], indirect=["setup"])
def test_the_cause_is_named_and_nothing_else_fails(setup: Setup, case: str) -> None:
    _, break_it, name, details = BROKEN[case]
    break_it(setup)
    exit_code, output = setup.check()
    failed = [line.removeprefix("failed").strip() for line in output.splitlines() if line.startswith("failed")]
    assert (exit_code, len(failed)) == (1, 1), output
    assert failed[0].startswith(f"{name} "), output
    for detail in details:
        assert detail in failed[0]
    assert "blue" not in output


@pytest.mark.parametrize("setup", ["intercom"], indirect=True)
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("from_env()", "from_env(access_token='')", "Intercom's access_token is empty. Set it"),
        ("from triage import", "import there_is_no_such_package\nfrom triage import", "there_is_no_such_package"),
        ("router.inbox.rec", "application = router; del router\n#", "Its Routers are: application."),
        ('/ "triage.db"', '/ "missing" / "triage.db"', "triage.db"),
    ],
)
def test_a_module_without_a_router_is_reported_in_one_line(setup: Setup, old: str, new: str, message: str) -> None:
    setup.change(old, new)
    exit_code, output = setup.check()
    assert exit_code != 0
    (line,) = [line for line in output.splitlines() if line.startswith("Error: ")]
    assert message in line
    assert "Traceback" not in output
