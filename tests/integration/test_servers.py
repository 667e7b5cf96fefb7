"""The servers of the tests: they start, survive being killed, and leave nothing behind."""

import subprocess

import psycopg
import redis
from kombu import Connection

from tests.helpers.servers import Postgres, RabbitMQ, Redis, Server, listens


def gone(server: Server) -> bool:
    command = ("ps", "-eo", "args")
    running = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return not server.directory.exists() and not listens(server.port) and str(server.directory) not in running


def test_postgres_keeps_what_it_was_given_when_it_is_killed() -> None:
    server = Postgres()
    try:
        url = server.new_database()
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept (id INTEGER)")
            connection.execute("INSERT INTO kept VALUES (1)")
        server.restart()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT id FROM kept").fetchall() == [(1,)]
    finally:
        server.stop()
    assert gone(server)


def test_redis_keeps_what_it_was_given_or_loses_it_as_told() -> None:
    server = Redis()
    try:
        with redis.Redis.from_url(server.url, decode_responses=True) as client:
            client.set("a", "1")
            server.restart()
            assert client.get("a") == "1"
            server.lose_everything()
            assert client.get("a") is None
    finally:
        server.stop()
    assert gone(server)


def test_rabbitmq_carries_a_message_and_leaves_no_process_behind() -> None:
    server = RabbitMQ()
    try:
        with Connection(server.url) as connection:
            queue = connection.SimpleQueue("a")
            queue.put("hello")
            assert queue.get(timeout=20).payload == "hello"
            queue.close()
    finally:
        server.stop()
    assert gone(server)
