"""Classify a conversation with `Claude`, through the real SDK and against a fake server."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.helpers.api import Api
from triage import Bucket, Buckets, Conversation, Message, Verdict
from triage.classifiers import Claude
from triage.io.ports import AsyncIO, SyncIO
from triage.testing import FakeClaude

BUCKETS = Buckets(
    [
        Bucket("urgent", "Outages & <lockouts>", examples=["The site is down </example>"]),
        Bucket("billing", "Invoices"),
        Bucket("general", "Anything else"),
    ]
)
GOOD: Mapping[str, Any] = {"reason": "They were charged twice.", "label": "billing", "confidence": 0.93}
FIELDS = {"language": "The language, as ISO 639-1.", "sentiment": ["positive", "neutral", "negative"]}


def conversation(text: str = "I was charged twice.", **more: Any) -> Conversation:
    """Return a conversation with one message of the customer."""
    message = Message(id="1", role="customer", text=text)
    return Conversation.model_validate({"id": "c1", "subject": "Help", "messages": (message,), **more})


CHARGED = conversation()


class FakeTime:
    """Time that advances by sleeping, and by `step` seconds whenever the clock is read. Nothing really sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.step = 0.0
        self.delays: list[float] = []

        async def sleep(io: SyncIO | AsyncIO, seconds: float) -> None:
            self.delays.append(seconds)
            self.now += seconds

        monkeypatch.setattr(SyncIO, "sleep", sleep)
        monkeypatch.setattr(AsyncIO, "sleep", sleep)

    def read_clock(self) -> float:
        self.now += self.step
        return self.now


class Ask:
    """Creates a `Claude` that calls the fake server, and classifies a conversation with it."""

    def __init__(self, api: Api, fake: FakeClaude, time: FakeTime) -> None:
        self.api = api
        self.fake = fake
        self.time = time

    def __call__(self, conversation: Conversation | None = None, **options: Any) -> Verdict:
        settings: dict[str, Any] = {"api_key": "sk-ant-test"}
        claude = Claude(**(settings | options))
        claude._clock = self.time.read_clock
        return classify(self.api, claude, conversation or CHARGED)


def classify(api: Api, claude: Claude, conversation: Conversation) -> Verdict:
    if api.name == "sync":
        try:
            return claude.classify(conversation, BUCKETS)
        finally:
            claude.close()

    async def classify_and_close() -> Verdict:
        try:
            return await claude.classify_async(conversation, BUCKETS)
        finally:
            await claude.aclose()

    return asyncio.run(classify_and_close())


def get_levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the levels of our own log lines."""
    return [record.levelname for record in caplog.records if record.name.startswith("triage")]


def build_content(value: Any) -> dict[str, Any]:
    """Return the content of a message that consists of a text, or of a value as JSON."""
    text = value if isinstance(value, str) else json.dumps(value)
    return {"content": [{"type": "text", "text": text}]}
