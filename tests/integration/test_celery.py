"""Celery routes what was stored: real workers, real brokers that are killed, messages that are lost or come twice."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from tests.helpers.api import Api
from tests.helpers.desks import FrontDesk, IntercomDesk
from tests.helpers.paths import ROOT
from tests.helpers.routing import handle
from tests.helpers.servers import Postgres, RabbitMQ, Redis, wait_until
from triage import ConfigurationError, InboxError
from triage.inbox import SQLiteInbox, open_inbox
from triage.integrations.celery import bind
from triage.testing import FakeIntercom, Webhook


class Desk:
    """A fake Intercom, the Router of a web process, and workers of Celery."""

    def __init__(self, base_url: str, fake: FakeIntercom, inbox: str, broker: str, directory: Path) -> None:
        self.fake = fake
        self.directory = directory
        self.environment = fake.env(base_url) | {"TRIAGE_INBOX": inbox, "CELERY_BROKER_URL": broker}
        desk = IntercomDesk()
        desk.fake = fake
        self.app = Celery("tests", broker=broker)
        self.inbox = open_inbox(inbox)
        self.router = desk.router(inbox=self.inbox)
        self.task = bind(self.app, self.router, sweep=0.5)

    def store(self, text: str = "This is billing.") -> Webhook:
        webhook = self.fake.customer_writes(text)
        assert handle(Api("sync"), self.router, webhook)[1].status == "accepted"
        return webhook

    @contextmanager
    def working(self, *, supervised: bool = False) -> Generator[None]:
        """Let workers work.

        Args:
            supervised: They are started again when they end, as systemd and the like do.
        """
        self.supervised = supervised
        self.worker = self._start()
        try:
            yield
            assert supervised or self.worker.poll() is None, self._logged()
        finally:
            self.worker.terminate()
            self.worker.wait(60)

    def _start(self) -> "subprocess.Popen[bytes]":
        command = (
            *(
                sys.executable,
                "-m",
                "celery",
                "--workdir",
                str(ROOT),
                "--app",
                "tests.helpers.celery_worker:app",
                "worker",
            ),
            *("--beat", "--schedule", str(self.directory / "beat"), "--concurrency", "2", "--loglevel", "INFO"),
        )
        with (self.directory / "worker.log").open("ab") as log:
            environment = os.environ | self.environment
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.directory)

    def _logged(self) -> str:
        return (self.directory / "worker.log").read_text()[-20_000:]

    def wait(self, events: int) -> None:
        """Return once so many are routed, each with one reply."""

        def routed() -> bool:
            if self.supervised and self.worker.poll() is not None:
                self.worker = self._start()
            return self.inbox.count_states()["finished"] == events

        try:
            wait_until(routed, f"{events} events are routed")
        except AssertionError as err:
            err.add_note(f"{self.inbox.count_states()}\n{self._logged()}")
            raise
        assert [len(self.fake.replies(key)) for key in self.fake.conversations] == [1] * events


@pytest.fixture
def served() -> Generator[tuple[str, FakeIntercom]]:
    desk = IntercomDesk()
    desk.fake.rate_limit = None
    with desk.fake.serve() as base_url:
        yield base_url, desk.fake


@pytest.fixture
def make(served: tuple[str, FakeIntercom], tmp_path: Path) -> Generator[Callable[..., Desk]]:
    made: list[Desk] = []

    def new(broker: str, inbox: str | None = None) -> Desk:
        made.append(Desk(*served, inbox or str(tmp_path / "triage.db"), broker, tmp_path))
        return made[-1]

    yield new
    for desk in made:
        desk.app.close()
        desk.inbox.close()


def test_a_worker_on_redis_routes_what_is_stored(make: Callable[..., Desk], redis_server: Redis) -> None:
    desk = make(redis_server.url)
    with desk.working():
        for _ in range(5):
            desk.store()
        desk.wait(5)
    assert "billing" not in (desk.directory / "worker.log").read_text().replace("bucket=billing", "")


def test_a_worker_on_rabbitmq_routes_what_is_stored_in_postgres(
    make: Callable[..., Desk], rabbitmq: RabbitMQ, postgres: Postgres
) -> None:
    desk = make(rabbitmq.url, postgres.new_database())
    with desk.working():
        for _ in range(5):
            desk.store()
        desk.wait(5)


def test_what_redis_has_forgotten_is_sent_again(make: Callable[..., Desk]) -> None:
    server = Redis()
    try:
        desk = make(server.url)
        sent = threading.Semaphore(0)
        desk.router.on_stored(lambda key: sent.release())
        for _ in range(3):
            desk.store()
        wait_until(lambda: bool(queued(server)), "they are sent")
        server.lose_everything()
        with desk.working():
            desk.wait(3)
    finally:
        server.stop()


def queued(server: Redis) -> int:
    with redis.Redis.from_url(server.url) as client:
        return int(client.llen("celery"))


def test_what_was_stored_while_the_broker_was_down_is_sent_later_and_the_vendor_does_not_wait(
    make: Callable[..., Desk], caplog: pytest.LogCaptureFixture
) -> None:
    server = Redis()
    try:
        desk = make(server.url)
        server.kill()
        for _ in range(3):
            desk.store()
        wait_until(lambda: "left to the sweeper: OperationalError" in caplog.text, "it is noticed")
        desk.store()
        server.start()
        with desk.working():
            desk.wait(4)
    finally:
        server.stop()


def test_redis_is_killed_and_comes_back_while_events_are_routed(make: Callable[..., Desk]) -> None:
    server = Redis()
    try:
        desk = make(server.url)
        desk.fake.latency = 0.02
        # A worker of Celery 5.7 that loses Redis while it holds messages ends itself at times, in kombu's
        # `restore_unacked`: "Unrecoverable error: AttributeError".
        with desk.working(supervised=True):
            for number in range(20):
                desk.store()
                if number == 10:
                    wait_until(lambda: desk.inbox.count_states()["finished"] > 0, "it has begun")
                    server.lose_everything()
            desk.wait(20)
    finally:
        server.stop()


def test_a_message_that_comes_three_times_routes_once(make: Callable[..., Desk], redis_server: Redis) -> None:
    desk = make(redis_server.url)
    webhook = desk.store()
    (entry,) = desk.inbox.list_entries()
    for _ in range(3):
        desk.task.delay(entry.key)
    with desk.working():
        desk.wait(1)
        desk.task.delay(entry.key)
        desk.store()
        desk.wait(2)
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1


def test_storing_does_not_wait_for_the_broker(tmp_path: Path) -> None:
    desk = IntercomDesk()
    router = desk.router(inbox=SQLiteInbox(tmp_path / "triage.db"))
    go_on, sent = threading.Event(), threading.Event()

    class Slow(Celery):
        def send_task(self, *args: Any, **options: Any) -> Any:
            assert go_on.wait(20)
            sent.set()

    task = bind(Slow("tests", broker="memory://"), router)
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert not sent.is_set()
    go_on.set()
    assert sent.wait(20)
    assert task.name == "triage.process"


def test_a_binding_that_could_not_work_is_refused(tmp_path: Path) -> None:
    desk, app = IntercomDesk(), Celery("tests", broker="memory://")
    with pytest.raises(ConfigurationError, match="has no inbox"):
        bind(app, desk.router())
    with pytest.raises(ConfigurationError, match="sweep=0 and attempts=20"):
        bind(app, desk.router(inbox=SQLiteInbox(tmp_path / "triage.db")), sweep=0)
    for name in ("support", "sales"):
        assert bind(app, desk.router(inbox=SQLiteInbox(tmp_path / "triage.db")), name=name).name == f"{name}.process"
    with pytest.raises(ConfigurationError, match=r"has a task sales\.process already"):
        bind(app, desk.router(inbox=SQLiteInbox(tmp_path / "triage.db")), name="sales")


@pytest.mark.parametrize("error", [KeyError("My card is 4000."), InboxError("the disk is full")])
def test_a_task_that_fails_tells_what_went_wrong_and_not_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    desk = IntercomDesk()
    app = Celery("tests", broker="memory://")
    app.conf.task_always_eager = app.conf.task_eager_propagates = True
    router = desk.router(inbox=SQLiteInbox(tmp_path / "triage.db"))
    task = bind(app, router)

    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(router, "process", failing)
    with pytest.raises((RuntimeError, InboxError)) as raised:
        task.delay("intercom:a:1:1")
    assert "4000" not in str(raised.value)


def test_the_sweeper_routes_what_nobody_has_begun(tmp_path: Path) -> None:
    desk = IntercomDesk()
    app = Celery("tests", broker="memory://")
    app.conf.task_always_eager = True
    inbox = SQLiteInbox(tmp_path / "triage.db", clock=desk.clock)
    webhook = desk.fake.customer_writes("This is billing.")
    handle(Api("sync"), desk.router(inbox=inbox), webhook)
    bind(app, desk.router(inbox=inbox))
    desk.clock.now += 60
    app.tasks["triage.sweep"].delay()
    assert inbox.count_states()["finished"] == 1
    inbox.close()


def test_each_help_desk_has_its_own_sweeper(tmp_path: Path) -> None:
    desks = [IntercomDesk(), FrontDesk()]
    app = Celery("tests", broker="memory://")
    app.conf.task_always_eager = True
    inbox = SQLiteInbox(tmp_path / "triage.db", clock=desks[0].clock)
    for desk in desks:
        handle(Api("sync"), desk.router(inbox=inbox), desk.fake.customer_writes("This is billing."))
        bind(app, desk.router(inbox=inbox), name=desk.name)
    desks[0].clock.now += 60
    app.tasks["front.sweep"].delay()
    assert [entry.state for entry in inbox.list_entries()] == ["finished", "ready"]
    app.tasks["intercom.sweep"].delay()
    assert [entry.state for entry in inbox.list_entries()] == ["finished", "finished"]
    inbox.close()
