"""Calls to Claude that never leave the process. The first call imports modules, builds parsers and fills caches."""

import asyncio
from typing import Any

import anthropic
import httpx2
from opentelemetry.trace import NoOpTracerProvider

from triage.classifiers.claude.sdk_log import drop_records
from triage.io.threads import start_call

_REQUEST: dict[str, Any] = {
    "model": "rehearsal",
    "max_tokens": 1,
    "messages": [{"role": "user", "content": "rehearsal"}],
}
_ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "rehearsal",
    "content": [{"type": "text", "text": "{}"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


def rehearse() -> None:
    """Make a call with a sync client."""
    http_client = httpx2.Client(transport=_transport())
    with drop_records(), anthropic.Anthropic(**_options(), http_client=http_client) as client:
        client.messages.with_raw_response.create(**_REQUEST)


def rehearse_async() -> None:
    """Make a call with an async client, on an event loop in another thread, because one runs in this thread."""

    async def call() -> None:
        http_client = httpx2.AsyncClient(transport=_transport())
        with drop_records():
            async with anthropic.AsyncAnthropic(**_options(), http_client=http_client) as client:
                await client.messages.with_raw_response.create(**_REQUEST)

    start_call(lambda: asyncio.run(call())).result()


def _options() -> dict[str, Any]:
    return {
        "api_key": "rehearsal",
        "base_url": "http://rehearsal.invalid",
        "open_telemetry": {"tracer_provider": NoOpTracerProvider()},  # no span of this call is exported
    }


def _transport() -> httpx2.MockTransport:
    return httpx2.MockTransport(lambda request: httpx2.Response(200, json=_ANSWER))
