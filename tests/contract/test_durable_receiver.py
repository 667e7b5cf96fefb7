"""How a Router with an inbox answers if the inbox cannot store a delivery, and how a customer is forgotten."""

import asyncio
import threading
from pathlib import Path

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import Desk
from tests.helpers.routing import handle, only
from triage import Assign
from triage.inbox import SQLiteInbox


def test_a_file_that_was_removed_while_open_is_answered_503(desk: Desk, api: Api, tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")
    router = desk.router(inbox=inbox)
    assert handle(api, router, desk.fake.customer_writes("one"))[0].status_code == 200
    for path in tmp_path.iterdir():
        path.unlink()
    for _ in range(2):
        response, outcome = handle(api, router, desk.fake.customer_writes("two"))
        assert (response.status_code, response.headers["Retry-After"]) == (503, "30")
        assert "the file was removed" in outcome.reason
    inbox.close()


def test_a_newer_schema_is_answered_503(desk: Desk, api: Api, tmp_path: Path) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")
    router = desk.router(inbox=inbox)
    inbox._execute("PRAGMA user_version = 99", {})
    inbox.close()
    response, outcome = handle(api, router, desk.fake.customer_writes("Hello"))
    assert response.status_code == 503
    assert "a later version of triage created the file" in outcome.reason
    inbox.close()


def test_an_async_delivery_does_not_wait_for_a_thread_forever(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All threads of the pool may be busy."""
    monkeypatch.setattr("triage.router._STORING", 0.01)
    released = threading.Event()
    inbox = SQLiteInbox(tmp_path / "triage.db")
    monkeypatch.setattr(inbox, "add", lambda *args, **options: released.wait(20))
    monkeypatch.setattr(inbox, "dead_letter_unreadable", lambda *args: released.wait(20))
    router = desk.router(inbox=inbox)
    webhook = desk.fake.customer_writes("Hello")

    async def deliver() -> None:
        for body, headers in ((webhook.body, webhook.headers), (b"{", desk.sign(b"{"))):
            response = await router.handle_async(body, headers)
            assert (response.status_code, response.headers["Retry-After"]) == (503, "30")
            assert response.outcome is not None
            assert "did not store the event within" in response.outcome.reason
        released.set()

    asyncio.run(deliver())
    inbox.close()


def test_a_large_async_delivery_does_not_wait_for_a_thread_forever(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triage.router._STORING", 0.01)
    monkeypatch.setattr("triage.router._LARGE", 0)
    released = threading.Event()
    inbox = SQLiteInbox(tmp_path / "triage.db")
    router = desk.router(inbox=inbox)
    monkeypatch.setattr(router, "receive", lambda *args: released.wait(20))
    webhook = desk.fake.customer_writes("Hello")

    async def deliver() -> None:
        response = await router.handle_async(webhook.body, webhook.headers)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "30")
        assert response.outcome is not None
        assert (response.outcome.status, response.outcome.key) == ("failed", None)
        released.set()

    asyncio.run(deliver())
    inbox.close()


@pytest.mark.parametrize("ignored", [False, True])
def test_a_customer_is_forgotten_by_email_whatever_the_webhook_contained(
    desk: Desk, api: Api, tmp_path: Path, ignored: bool
) -> None:
    inbox = SQLiteInbox(tmp_path / "triage.db")
    policy = only(Assign(team=desk.teams["billing"]))
    router = desk.router(buckets=policy, classifier=lambda text: "general", inbox=inbox, when=lambda _: not ignored)
    for text, email in (("My story is 4711", "mira@example.com"), ("Hello", "jonas@example.com")):
        handle(api, router, desk.fake.customer_writes(text, email=email))
        outcome = api.process(router, inbox.list_entries()[0].key)
        assert outcome.status == ("ignored" if ignored else "routed")
    assert inbox.forget("Mira@Example.com") == 1
    assert inbox.count_states()["finished"] == 1
    assert not any(b"4711" in path.read_bytes() for path in tmp_path.iterdir())
    inbox.close()
