"""Kill, stop and poison processes, again and again, and check whether any event is lost or handled twice.

Each run is determined by a seed. Customers write to a fake help desk. Receiver processes store its webhooks, some of
which arrive several times, in a real inbox: a SQLite file or a schema of a PostgreSQL server. Worker processes, at
times two at once, route them. In the end, a worker that is not interrupted processes what is left. There are three
kinds of runs:

* Receivers and workers are killed with SIGKILL, either at a boundary, which is a moment before, within or after a write
  to the inbox, or at any time. The vendor delivers again what was not acknowledged.
* Workers are stopped with SIGSTOP, at the same moments or right before or after a call that changes something at the
  help desk. When the lease has expired, another worker takes over, and the first one is continued.
* Messages kill each worker that classifies them.

The first kill of a run happens at the boundary given by the seed's remainder, so that `CYCLE` runs combine every
boundary with every help desk and every inbox. All other moments are random.

Receivers and workers are forks. The fake help desk and the fake Claude are servers of the parent process, which is
never interrupted, so the memory of the help desk shows what really happened.

Run it with `make chaos`, or `make chaos RUNS=20`. Without PostgreSQL: `make chaos INBOX=sqlite`.
"""

import argparse
import logging
import multiprocessing
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack

import pytest

from tests.chaos.execute import execute_run
from tests.chaos.report import Report
from tests.helpers.servers import Postgres


def _prepare() -> None:
    # The fakes run in threads of this process; the forks do not touch them, so their locks cannot cause a deadlock.
    warnings.filterwarnings("ignore", "This process.*multi-threaded", DeprecationWarning)
    logging.getLogger("triage").addHandler(logging.NullHandler())


def _all_runs(seeds: Sequence[int], postgres: str | None, jobs: int) -> Report:
    total = Report()
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _prepare) as pool:
        runs = {pool.submit(execute_run, seed, postgres): seed for seed in seeds}
        for run in as_completed(runs):
            try:
                report = run.result()
            except Exception as err:  # noqa: BLE001 - whatever it is, the run did not prove anything
                report = Report(runs=Counter({("failed", "failed"): 1}))
                report.lost.append(f"seed {runs[run]}: the run failed: {type(err).__name__}: {err}")
            for failure in report.list_failures():
                print(failure, flush=True)
            total.add(report)
            if total.runs.total() % 50 == 0:
                print(total, flush=True)
    return total


def main() -> None:
    """Run all seeds and print the report; exit with 1 if an event was lost, handled twice or left undecided."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first run")
    parser.add_argument("--inbox", choices=("both", "sqlite"), default="both")
    parser.add_argument("--jobs", type=int, default=2, help="number of runs at the same time")
    options = parser.parse_args()
    started = time.monotonic()
    with ExitStack() as stack:
        postgres = None
        if options.inbox == "both":
            try:
                server = Postgres()
            except (pytest.skip.Exception, pytest.fail.Exception) as err:
                print(f"{err}\nTo run without PostgreSQL: make chaos INBOX=sqlite")
                sys.exit(2)
            stack.callback(server.stop)
            postgres = server.new_database()
        total = _all_runs(range(options.seed, options.seed + options.runs), postgres, options.jobs)
    for line in total.details():
        print(line)
    print(f"{total}, in {time.monotonic() - started:.0f} s")
    sys.exit(1 if any(total.list_failures()) else 0)


if __name__ == "__main__":
    main()
