"""Kill processes with signal 9, again and again, and see whether anything is lost or done twice.

Each run is a seed. Some customers write to a fake help desk. Their webhooks are delivered, some several times, to
receivers that store them in a real inbox, a SQLite file or a schema of a real PostgreSQL. Workers route them, at times
two at once. Receivers and workers are killed: at a boundary of the ledger, or at any time. What was not answered is
delivered again, as a vendor does. At last a worker that is let live ends what is left.

The first kill of a run is at the boundary that the seed's remainder names, so that each is met with each help desk and
each inbox in every `CYCLE` runs. All others are by chance.

Receivers and workers are forks. The fake help desk and the fake Claude are servers of the process that forks them,
which nobody kills. So they outlive all, and the help desk's memory is the judge.

Run it with `make chaos`, or `make chaos RUNS=20`. Without PostgreSQL: `make chaos INBOX=sqlite`.
"""

import argparse
import logging
import multiprocessing
import sys
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack

import pytest

from tests.chaos.report import Report
from tests.chaos.run import one_run
from tests.helpers.servers import Postgres


def _prepare() -> None:
    # The servers are threads, and what a fork does with their locks is known: nothing of theirs is used there.
    warnings.filterwarnings("ignore", "This process.*multi-threaded", DeprecationWarning)
    logging.getLogger("triage").addHandler(logging.NullHandler())


def _all_runs(seeds: Sequence[int], postgres: str | None, jobs: int) -> Report:
    total = Report()
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _prepare) as pool:
        runs = {pool.submit(one_run, seed, postgres): seed for seed in seeds}
        for run in as_completed(runs):
            try:
                total.add(run.result())
            except Exception as err:  # noqa: BLE001 - whatever it is, the run has not shown that nothing was lost
                total.runs["failed"] += 1
                total.lost.append(f"seed {runs[run]}: the run failed: {type(err).__name__}: {err}")
            if total.runs.total() % 50 == 0:
                print(total, flush=True)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--inbox", choices=("both", "sqlite"), default="both")
    parser.add_argument("--jobs", type=int, default=2, help="how many runs at the same time")
    options = parser.parse_args()
    started = time.monotonic()
    with ExitStack() as stack:
        postgres = None
        if options.inbox == "both":
            try:
                server = Postgres()
            except (pytest.skip.Exception, pytest.fail.Exception) as err:
                print(f"{err}\nOr do without it: make chaos INBOX=sqlite")
                sys.exit(2)
            stack.callback(server.stop)
            postgres = server.new_database()
        total = _all_runs(range(options.seed, options.seed + options.runs), postgres, options.jobs)
    for line in total.details():
        print(line)
    print(f"{total}, in {time.monotonic() - started:.0f} s")
    sys.exit(1 if total.lost or total.doubled else 0)


if __name__ == "__main__":
    main()
