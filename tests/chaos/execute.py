"""Executes the run of a seed."""

import math
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import certifi

from tests.chaos.inboxes import BOUNDARIES, INBOXES, open_postgres, open_sqlite
from tests.chaos.kills import KillRun
from tests.chaos.poison import PoisonRun
from tests.chaos.report import Report
from tests.chaos.run import Run
from tests.chaos.stops import StopRun
from tests.helpers.desks import DESKS
from triage.testing import FakeClaude

KINDS: tuple[type[Run], ...] = (KillRun, StopRun, PoisonRun, KillRun, StopRun, PoisonRun, KillRun)
"""The kinds of runs. Most boundaries are those of killing."""

# The numbers have no common factor, so the remainders of consecutive seeds produce all combinations.
CYCLE = math.lcm(len(KINDS), len(BOUNDARIES), len(DESKS), len(INBOXES))
assert len(KINDS) * len(BOUNDARIES) * len(DESKS) * len(INBOXES) == CYCLE


def execute_run(seed: int, postgres: str | None = None, kind: type[Run] | None = None) -> Report:
    """Execute a run and return its checked report.

    Args:
        seed: Determines everything that is random.
        postgres: The URL of a database for odd seeds; without it they use SQLite too.
        kind: The kind of run; None for that of the seed.
    """
    inbox = INBOXES[seed % len(INBOXES)] if postgres is not None else "sqlite"
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if inbox == "postgres" and postgres is not None:
            open_inbox = stack.enter_context(open_postgres(postgres, f"run_{os.getpid()}_{seed}"))
        else:
            open_inbox = stack.enter_context(open_sqlite(directory))
        desk = list(DESKS.values())[seed % len(DESKS)]()
        desk.fake.rate_limit = None
        urls = [stack.enter_context(desk.fake.serve()), stack.enter_context(FakeClaude().serve())]
        os.environ["ANTHROPIC_BASE_URL"] = urls[1]
        os.environ["ANTHROPIC_API_KEY"] = "sk-ant-test"
        os.environ["SSL_CERT_FILE"] = str(_write_certificate(directory / "certificate.pem"))
        run = (kind or KINDS[seed % len(KINDS)])(seed, inbox, desk, open_inbox, urls, directory / "log")
        try:
            return run.execute()
        except AssertionError as err:
            run.report_loss(str(err))
            return run.report


def _write_certificate(path: Path) -> Path:
    """Write a file with one certificate. To load all of them takes each process longer than its work."""
    end = "-----END CERTIFICATE-----\n"
    first, _, _ = certifi.contents().partition(end)
    path.write_text(first + end)
    return path
