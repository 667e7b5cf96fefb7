"""A very long conversation is read up to a limit, off the event loop, and its newest message is read whole."""

import asyncio
import threading
from typing import Any

import pytest

from tests.helpers.api import Api
from tests.helpers.desks import Desk
from tests.helpers.routing import handle
from triage import Conversation
from triage.text import budget

LIMIT = 30_000
LONG = "word " * (LIMIT // 15)


def test_old_messages_are_cut_and_the_newest_is_whole(desk: Desk, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "CONVERSATION_CHARACTERS", LIMIT)
    seen: list[Conversation] = []

    def accept(conversation: Conversation) -> bool:
        seen.append(conversation)
        return True

    first = desk.fake.customer_writes(LONG)
    for _ in range(5):
        desk.fake.customer_writes(LONG, conversation=first.conversation_id)
    handle(api, desk.router(when=accept), first)
    lengths = [len(message.text) for message in seen[-1].messages]
    assert len(lengths) == 6
    assert lengths[-1] == len(LONG.strip())
    assert lengths[0] <= budget.LEAST_CHARACTERS
    assert sum(lengths) <= LIMIT + 6 * budget.LEAST_CHARACTERS


def test_texts_are_converted_off_the_event_loop(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    adapter = desk.adapter()
    build: Any = type(adapter).build_conversation

    def record(self: object, *args: object, **kwargs: object) -> Conversation:
        conversation: Conversation = build(self, *args, **kwargs)
        if conversation.messages:
            threads.append(threading.current_thread())
        return conversation

    monkeypatch.setattr(type(adapter), "build_conversation", record)
    webhook = desk.fake.customer_writes("Hello " * 5_000)
    response = asyncio.run(desk.router(vendor=adapter).handle_async(webhook.body, webhook.headers))
    assert response.outcome.status == "routed"
    assert threads
    assert threading.main_thread() not in threads
