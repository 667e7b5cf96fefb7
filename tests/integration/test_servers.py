"""The servers that the tests start: they survive being killed, and leave nothing behind."""

import psycopg
import redis

from tests.helpers.servers import Postgres, Redis


def test_postgres_keeps_its_data_when_it_is_killed() -> None:
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
    assert server.is_gone()


def test_redis_keeps_its_data_when_it_is_killed_and_can_lose_it_on_purpose() -> None:
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
    assert server.is_gone()
