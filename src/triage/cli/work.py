"""`triage work`: run a worker in its own process."""

import logging
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager

import click

from triage.cli.arguments import get_inbox, parse_router
from triage.engine.attempt import ATTEMPTS
from triage.router import Router
from triage.worker import Worker

_CHECK = 1.0  # seconds between two checks whether the worker has failed


@click.command()
@click.argument("router", callback=parse_router)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    help="Number of events at a time. By default, it adapts to what the help desk and the classifier allow.",
)
@click.option(
    "--lease",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="Seconds without a heartbeat before another worker may take over.",
)
@click.option(
    "--attempts",
    type=click.IntRange(min=1),
    default=ATTEMPTS,
    show_default=True,
    help="Attempts before an event is dead-lettered.",
)
@click.option(
    "--drain",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds to wait for events in progress on shutdown.",
)
def work(router: Router, concurrency: int | None, lease: float, attempts: int, drain: float) -> None:
    """Process the events in the inbox of ROUTER until SIGTERM or SIGINT.

    ROUTER is module:attribute. After a signal, the worker stops leasing events and finishes those in progress. A second
    signal ends the process at once. The exit status is 0 if all events in progress were finished.

    After an unexpected error of the worker, the command finishes the events in progress and exits with status 1, so
    that a supervisor can start it again.
    """
    get_inbox(router)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("triage").setLevel(logging.INFO)
    with _catch_signals() as stop:
        router.warm_up()
        worker = Worker(router, concurrency=concurrency, lease=lease, attempts=attempts)
        worker.start()
        click.echo(f"Processing events for {router!r}.", err=True)
        # An application goes on after such an error, but a supervisor can do better: it starts a new process.
        while not stop.wait(_CHECK) and worker.alive and not worker.errors:
            pass
        failed = not stop.is_set()
        if failed:
            click.echo("The worker failed. A supervisor should start this command again.", err=True)
        click.echo("Stopping: waiting for events in progress.", err=True)
        all_finished = worker.drain(drain)
    sys.exit(0 if all_finished and not failed else 1)


@contextmanager
def _catch_signals() -> Generator[threading.Event]:
    """Set the yielded event on the first SIGTERM or SIGINT. A second one has its default effect."""
    stop = threading.Event()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(*_: object) -> None:
        stop.set()
        for number in handlers:
            signal.signal(number, signal.SIG_DFL)

    for number in handlers:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
