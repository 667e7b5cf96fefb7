"""Real servers for the tests: each starts on a free port, in its own directory, and is stopped with the tests.

To use servers that are already running, set TRIAGE_TEST_POSTGRES, TRIAGE_TEST_REDIS and TRIAGE_TEST_RABBITMQ to their
URLs. If a server is not installed, the tests that need it are skipped; in CI they fail.
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
import psycopg.conninfo
import redis

from tests.helpers.missing import PACKAGES, skip_without_tool


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until(is_ready: Callable[[], bool], expectation: str, seconds: float = 60) -> None:
    """Wait until `is_ready()`; fail after `seconds`, saying what was expected."""
    deadline = time.monotonic() + seconds
    while not is_ready():
        assert time.monotonic() < deadline, f"not within {seconds} s: {expectation}"
        time.sleep(0.02)


class Server(ABC):
    """A server that the tests start, or one whose URL is in the environment."""

    name: ClassVar[str]
    variable: ClassVar[str]
    user: ClassVar[str | None] = None
    """The user to run it as if the tests run as root, which some servers refuse."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        url = os.environ.get(self.variable)
        self.is_ours = url is None
        if url is not None:
            self.url = url
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
        """Return the path of the program, or None if it is not installed."""

    @abstractmethod
    def prepare(self) -> None:
        """Prepare the directory once, before the first start."""

    @abstractmethod
    def start(self) -> None:
        """Start the server and wait until it is ready."""

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Kill the server and every process that it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)
            self.process.wait(60)
            self.process = None

    def restart(self) -> None:
        """Kill the server and start it again, on the same port and with the same directory."""
        assert self.is_ours, "only a server that the tests started can be restarted"
        self.kill()
        self.start()

    def stop(self) -> None:
        if self.is_ours:
            self.kill()
            shutil.rmtree(self.directory, ignore_errors=True)

    def is_gone(self) -> bool:
        """Return whether no process, no open port and no directory of a stopped server is left."""
        if not self.is_ours:
            return True
        command = ("ps", "-eo", "args")
        processes = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return not self.directory.exists() and not listens(self.port) and str(self.directory) not in processes


class Postgres(Server):
    """A PostgreSQL cluster as durable as in production, so that it can be killed."""

    name = "PostgreSQL"
    variable = "TRIAGE_TEST_POSTGRES"
    user = "postgres"
    _numbers = count(1)

    @property
    def path(self) -> str:
        """The path on which the server's programs are, even if the distribution puts them elsewhere."""
        directories = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        return os.pathsep.join([os.environ.get("PATH", ""), *map(str, directories)])

    def find(self) -> str | None:
        # initdb is in the same directory as the server.
        return shutil.which("initdb", path=self.path)

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
        wait_until(self._is_up, "PostgreSQL starts")

    def kill(self, how: signal.Signals = signal.SIGQUIT) -> None:
        # An immediate shutdown: it drops all connections and writes nothing, so the next start recovers from the log.
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def _is_up(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"triage_{os.getpid()}_{next(self._numbers)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url.rpartition("/")[0] + f"/{name}"


class PgBouncer(Server):
    """A connection pooler that lends a session for one transaction at a time.

    Args:
        url: The URL of a PostgreSQL database, which needs no password.
    """

    name = "PgBouncer"
    variable = "TRIAGE_TEST_PGBOUNCER"
    user = "postgres"

    def __init__(self, url: str) -> None:
        self._database = url
        super().__init__()

    def find(self) -> str | None:
        return shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))

    def prepare(self) -> None:
        target = psycopg.conninfo.conninfo_to_dict(self._database)
        (self.directory / "pgbouncer.ini").write_text(
            f"[databases]\ntriage = host={target['host']} port={target['port']} dbname={target['dbname']} user=triage\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = 2\n"
        )
        self.url = f"postgresql://triage@127.0.0.1:{self.port}/triage"

    def start(self) -> None:
        assert self.binary is not None
        self.process = self.launch(self.binary, "-q", str(self.directory / "pgbouncer.ini"))
        wait_until(lambda: listens(self.port), "PgBouncer starts")


class Redis(Server):
    """A Redis server that keeps its data when it is killed."""

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
        wait_until(self._is_up, "Redis starts")

    def _is_up(self) -> bool:
        client = redis.Redis.from_url(self.url)
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False
        finally:
            client.close()

    def lose_everything(self) -> None:
        """Kill the server and start it again without its data."""
        self.kill()
        shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)
        self.start()


class RabbitMQ(Server):
    """A RabbitMQ node with a separate Erlang port mapper."""

    name = "RabbitMQ"
    variable = "TRIAGE_TEST_RABBITMQ"

    def find(self) -> str | None:
        # Debian's wrapper on the path requires the user rabbitmq; the server does not.
        packaged = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        if shutil.which("erl") is None:  # the server is a script that starts Erlang
            return None
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
                # Erlang's schedulers would spin while they wait for work.
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
                "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
            },
        )
        wait_until(lambda: listens(self.port), "RabbitMQ starts", 120)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        super().kill(how)
        # The port mapper runs in a separate session. It refuses to exit while it believes that the node is alive.
        mapper = shutil.which("epmd")
        if mapper is not None:
            wait_until(lambda: self._stop_mapper(mapper), "the Erlang port mapper exits")

    def _stop_mapper(self, mapper: str) -> bool:
        environment = os.environ | {"ERL_EPMD_PORT": str(self.mapper)}
        subprocess.run((mapper, "-kill"), env=environment, capture_output=True, check=False)
        return not listens(self.mapper)

    def is_gone(self) -> bool:
        return super().is_gone() and not (self.is_ours and listens(self.mapper))
