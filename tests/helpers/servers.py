"""Real servers for the tests: each is started on a free port, with a directory of its own, and is gone with the tests.

Whoever has one running may name it: TRIAGE_TEST_POSTGRES, TRIAGE_TEST_REDIS and TRIAGE_TEST_RABBITMQ hold URLs. Where
there is none and none can be started, the tests that need it are skipped; in CI that is a failure.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import ClassVar

import psycopg
import redis

from tests.helpers.missing import PACKAGES, skip_without_tool


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)


class Server(ABC):
    """A server of ours, or one that somebody named."""

    name: ClassVar[str]
    variable: ClassVar[str]
    user: ClassVar[str | None] = None
    """Who runs it where we are root, which some servers refuse to be run by."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        named = os.environ.get(self.variable)
        self.ours = named is None
        if named is not None:
            self.url = named
            return
        self.binary = self.find()
        if self.binary is None:
            skip_without_tool(self.name)
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix=f"triage-{PACKAGES[self.name]}-"))
        if self.run_as is not None:
            os.chown(self.directory, self.run_as.pw_uid, self.run_as.pw_gid)
        self.prepare()
        self.start()

    @property
    def run_as(self) -> pwd.struct_passwd | None:
        if self.user is None or os.geteuid() != 0:
            return None
        for name in (self.user, "nobody"):
            with contextlib.suppress(KeyError):
                return pwd.getpwnam(name)
        return None

    def launch(self, *command: str, env: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        log = (self.directory / "log").open("ab")
        user = self.run_as
        with log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=os.environ | (env or {}),
                user=user and user.pw_uid,
                group=user and user.pw_gid,
                start_new_session=True,
            )

    @abstractmethod
    def find(self) -> str | None:
        """The program."""

    @abstractmethod
    def prepare(self) -> None:
        """What is done once, before it is started."""

    @abstractmethod
    def start(self) -> None:
        """Start it; ready when this returns."""

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, and all that it has started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)
            self.process.wait(60)
            self.process = None

    def restart(self) -> None:
        """Kill it and start it again, on the same port and with what it has on its disk."""
        assert self.ours, "only a server of our own is restarted"
        self.kill()
        self.start()

    def stop(self) -> None:
        if self.ours:
            self.kill()
            shutil.rmtree(self.directory, ignore_errors=True)


class Postgres(Server):
    """A cluster of PostgreSQL. It writes as surely as in production, so that it may be killed."""

    name = "PostgreSQL"
    variable = "TRIAGE_TEST_POSTGRES"
    user = "postgres"
    _numbers = count(1)

    def find(self) -> str | None:
        places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, places)])
        # initdb stands beside the server, also where the distribution puts only the server on the path.
        return shutil.which("initdb", path=path)

    def prepare(self) -> None:
        assert self.binary is not None
        data = str(self.directory / "data")
        command = (self.binary, "-D", data, "-U", "triage", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        assert self.launch(*command).wait(120) == 0, (self.directory / "log").read_text()
        self.url = f"postgresql://triage@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        assert self.binary is not None
        postgres = str(Path(self.binary).resolve().parent / "postgres")
        options = ("-p", str(self.port), "-k", str(self.directory), "-c", "listen_addresses=127.0.0.1")
        self.process = self.launch(postgres, "-D", str(self.directory / "data"), *options)
        wait_until(self._answers, "PostgreSQL starts")

    def kill(self, how: signal.Signals = signal.SIGQUIT) -> None:
        # Its own word for it: all connections break at once, nothing is written, the next start recovers from the log.
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def new_database(self) -> str:
        """The URL of an empty one."""
        name = f"triage_{os.getpid()}_{next(self._numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url.rpartition("/")[0] + f"/{name}"


class Redis(Server):
    """A Redis server that remembers what it had when it is killed."""

    name = "Redis"
    variable = "TRIAGE_TEST_REDIS"

    def find(self) -> str | None:
        return shutil.which("redis-server")

    def prepare(self) -> None:
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        assert self.binary is not None
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory), "--save", "")
        self.process = self.launch(self.binary, *options, "--appendonly", "yes", "--appendfsync", "always")
        wait_until(self._answers, "Redis starts")

    def _answers(self) -> bool:
        client = redis.Redis.from_url(self.url)
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
        finally:
            client.close()

    def lose_everything(self) -> None:
        """Kill it and start it again without what it had."""
        self.kill()
        shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)
        self.start()


class RabbitMQ(Server):
    """A node of RabbitMQ, with an Erlang port mapper of its own."""

    name = "RabbitMQ"
    variable = "TRIAGE_TEST_RABBITMQ"

    def find(self) -> str | None:
        # Debian's wrapper on the path insists on the user rabbitmq; the server itself does not.
        packaged = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        return str(packaged) if packaged.exists() else shutil.which("rabbitmq-server")

    def prepare(self) -> None:
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.mapper = free_port()
        self.distribution = free_port()
        (self.directory / "plugins").write_text("[].")

    def start(self) -> None:
        assert self.binary is not None
        self.process = self.launch(
            self.binary,
            env={
                "HOME": str(self.directory),
                "RABBITMQ_NODENAME": f"triage{self.port}@localhost",
                "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
                "RABBITMQ_NODE_PORT": str(self.port),
                "RABBITMQ_DIST_PORT": str(self.distribution),
                "ERL_EPMD_PORT": str(self.mapper),
                "ERL_EPMD_ADDRESS": "127.0.0.1",
                "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
                "RABBITMQ_LOG_BASE": str(self.directory),
                "RABBITMQ_PID_FILE": str(self.directory / "pid"),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
                "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
            },
        )
        wait_until(lambda: listens(self.port), "RabbitMQ starts", 120)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        super().kill(how)
        # The port mapper makes a session of its own; it is known by its port.
        mapper = shutil.which("epmd")
        if mapper is not None:
            environment = os.environ | {"ERL_EPMD_PORT": str(self.mapper)}
            subprocess.run((mapper, "-kill"), env=environment, capture_output=True, check=False)
