"""Celery routes stored events: with real workers, brokers that are killed, and messages that are lost or repeated."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
import redis
from celery import Celery

from tests.helpers.api import Api
from tests.helpers.desks import FrontDesk, IntercomDesk
from tests.helpers.paths import ROOT
from tests.helpers.routing import handle
from tests.helpers.servers import Postgres, RabbitMQ, Redis, wait_until
from triage import ConfigurationError, InboxError
from triage.classifiers import Claude
from triage.inbox import SQLiteInbox, open_inbox
from triage.integrations.celery import bind
from triage.models import RunContext
from triage.testing import FakeIntercom, Webhook


class Deployment:
    """A fake Intercom, the Router of a web process, and Celery workers."""

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
        # One customer gets only a few replies a day.
        webhook = self.fake.customer_writes(text, email=f"customer-{len(self.fake.conversations)}@example.com")
        assert handle(Api("sync"), self.router, webhook)[1].status == "accepted"
        return webhook

    @contextmanager
    def run_worker(self, *, supervised: bool = False) -> Generator[None]:
        """Run a worker process.

        Args:
            supervised: Start the process again when it exits, as systemd does.
        """
        self.supervised = supervised
        self.worker = self._start()
        try:
            yield
            assert supervised or self.worker.poll() is None, self._read_log()
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

    def _read_log(self) -> str:
        return (self.directory / "worker.log").read_text()[-20_000:]

    def wait(self, events: int) -> None:
        """Wait until that many events are routed, and check that each conversation has one reply."""

        def is_done() -> bool:
            if self.supervised and self.worker.poll() is not None:
                self.worker = self._start()
            return self.inbox.count_states()["finished"] == events

        try:
            wait_until(is_done, f"{events} events are routed")
        except AssertionError as err:
            err.add_note(f"{self.inbox.count_states()}\n{self._read_log()}")
            raise
        assert [len(self.fake.replies(key)) for key in self.fake.conversations] == [1] * events


@pytest.fixture
def intercom_server() -> Generator[tuple[str, FakeIntercom]]:
    desk = IntercomDesk()
    desk.fake.rate_limit = None
    with desk.fake.serve() as base_url:
        yield base_url, desk.fake


@pytest.fixture
def deploy(intercom_server: tuple[str, FakeIntercom], tmp_path: Path) -> Generator[Callable[..., Deployment]]:
    deployments: list[Deployment] = []

    def new(broker: str, inbox: str | None = None) -> Deployment:
        deployments.append(Deployment(*intercom_server, inbox or str(tmp_path / "triage.db"), broker, tmp_path))
        return deployments[-1]

    yield new
    for desk in deployments:
        desk.app.close()
        desk.inbox.close()


def test_a_worker_on_redis_routes_each_event_once(deploy: Callable[..., Deployment], redis_server: Redis) -> None:
    """The broker delivers its message three times, and once more after it was routed."""
    desk = deploy(redis_server.url)
    webhook = desk.store()
    (entry,) = desk.inbox.list_entries()
    for _ in range(3):
        desk.task.delay(entry.key)
    with desk.run_worker():
        desk.wait(1)
        desk.task.delay(entry.key)
        for _ in range(4):
            desk.store()
        desk.wait(5)
    assert len(desk.fake.replies(webhook.conversation_id or "")) == 1
    assert "billing" not in (desk.directory / "worker.log").read_text().replace("bucket=billing", "")


def test_a_worker_on_rabbitmq_routes_events_stored_in_postgres(
    deploy: Callable[..., Deployment], rabbitmq: RabbitMQ, postgres: Postgres
) -> None:
    desk = deploy(rabbitmq.url, postgres.new_database())
    with desk.run_worker():
        for _ in range(5):
            desk.store()
        desk.wait(5)


def test_messages_that_redis_lost_are_sent_again(deploy: Callable[..., Deployment]) -> None:
    server = Redis()
    try:
        desk = deploy(server.url)
        sent = threading.Semaphore(0)
        desk.router.on_stored(lambda key: sent.release())
        for _ in range(3):
            desk.store()
        wait_until(lambda: bool(count_queued(server)), "the messages are in the queue")
        server.lose_everything()
        with desk.run_worker():
            desk.wait(3)
    finally:
        server.stop()


def count_queued(server: Redis) -> int:
    with redis.Redis.from_url(server.url) as client:
        return int(client.llen("celery"))


def test_events_stored_while_the_broker_is_down_are_sent_later_without_delaying_the_answer(
    deploy: Callable[..., Deployment], caplog: pytest.LogCaptureFixture
) -> None:
    server = Redis()
    try:
        desk = deploy(server.url)
        server.kill()
        for _ in range(3):
            desk.store()
        wait_until(
            lambda: "left to the sweeper: OperationalError" in caplog.text, "the Router notices that the broker is down"
        )
        desk.store()
        server.start()
        with desk.run_worker():
            desk.wait(4)
    finally:
        server.stop()


def test_redis_can_be_killed_and_restarted_while_events_are_routed(deploy: Callable[..., Deployment]) -> None:
    server = Redis()
    try:
        desk = deploy(server.url)
        desk.fake.latency = 0.02
        # A Celery 5.7 worker that loses Redis while it holds messages sometimes exits, in kombu's `restore_unacked`:
        # "Unrecoverable error: AttributeError".
        with desk.run_worker(supervised=True):
            for number in range(20):
                desk.store()
                if number == 10:
                    wait_until(lambda: desk.inbox.count_states()["finished"] > 0, "the worker has routed an event")
                    server.lose_everything()
            desk.wait(20)
    finally:
        server.stop()


def test_storing_does_not_wait_for_the_broker(tmp_path: Path) -> None:
    desk = IntercomDesk()
    router = desk.router(inbox=SQLiteInbox(tmp_path / "triage.db"))
    resumed, sent = threading.Event(), threading.Event()

    class Slow(Celery):
        def send_task(self, *args: Any, **options: Any) -> Any:
            assert resumed.wait(20)
            sent.set()

    task = bind(Slow("tests", broker="memory://"), router)
    handle(Api("sync"), router, desk.fake.customer_writes("Hello"))
    assert not sent.is_set()
    resumed.set()
    assert sent.wait(20)
    assert task.name == "triage.process"


def test_bind_rejects_settings_that_cannot_work(tmp_path: Path) -> None:
    desk, app = IntercomDesk(), Celery("tests", broker="memory://")
    with pytest.raises(ConfigurationError, match="needs a Router with an inbox"):
        bind(app, desk.router())
    async_only = desk.router(http=None, async_http=httpx.AsyncClient(), inbox=SQLiteInbox(tmp_path / "triage.db"))
    with pytest.raises(ConfigurationError, match=r"the client \(async_http\) is async only"):
        bind(app, async_only)
    claude = Claude(async_client=anthropic.AsyncAnthropic(api_key="k"))
    async_only = desk.router(classifier=claude, inbox=SQLiteInbox(tmp_path / "triage.db"))
    with pytest.raises(ConfigurationError, match=r"the classifier Claude\(.*\) is async only"):
        bind(app, async_only)

    async def page(context: RunContext) -> None:
        raise AssertionError

    async_only = desk.router(functions={"page": page}, inbox=SQLiteInbox(tmp_path / "triage.db"))
    with pytest.raises(ConfigurationError, match="the function 'page' is async only"):
        bind(app, async_only)
    with pytest.raises(ConfigurationError, match="sweep=0 and attempts=20"):
        bind(app, desk.router(inbox=SQLiteInbox(tmp_path / "triage.db")), sweep=0)
    for name in ("support", "sales"):
        assert bind(app, desk.router(inbox=SQLiteInbox(tmp_path / "triage.db")), name=name).name == f"{name}.process"
    with pytest.raises(ConfigurationError, match=r"already has a task sales\.process"):
        bind(app, desk.router(inbox=SQLiteInbox(tmp_path / "triage.db")), name="sales")


@pytest.mark.parametrize("error", [KeyError("My card is 4000."), InboxError("the disk is full")])
def test_a_task_that_fails_reports_the_cause_without_customer_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    desk = IntercomDesk()
    app = Celery("tests", broker="memory://")
    app.conf.task_always_eager = app.conf.task_eager_propagates = True
    router = desk.router(inbox=SQLiteInbox(tmp_path / "triage.db"))
    task = bind(app, router)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(router, "process", fail)
    with pytest.raises((RuntimeError, InboxError)) as raised:
        task.delay("intercom:a:1:1")
    assert "4000" not in str(raised.value)


def test_the_sweeper_routes_overdue_events(tmp_path: Path) -> None:
    desk = IntercomDesk()
    app = Celery("tests", broker="memory://")
    app.conf.task_always_eager = True
    inbox = SQLiteInbox(tmp_path / "triage.db", clock=desk.clock)
    webhook = desk.fake.customer_writes("This is billing.")
    handle(Api("sync"), desk.router(inbox=inbox), webhook)
    bind(app, desk.router(inbox=inbox))
    desk.clock.now += 60
    app.tasks["triage.sweep"].delay()
    assert inbox.get_heartbeat_age("intercom") == 0, "the sweeper shows that a worker runs"
    assert inbox.count_states()["finished"] == 1
    inbox.close()


def test_each_router_has_its_own_sweeper(tmp_path: Path) -> None:
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
