"""The sync and the async entry points of a Router, for tests that run through each."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from triage import Event, Outcome, Router, WebhookResponse
from triage.models import Headers

T = TypeVar("T")


@dataclass(frozen=True)
class Api:
    """One of the two ways into a Router; what works through one must work the same through the other."""

    name: Literal["sync", "async"]

    def handle(self, router: Router, body: bytes, headers: Headers) -> WebhookResponse:
        if self.name == "sync":
            return router.handle(body, headers)
        return self._await(lambda: router.handle_async(body, headers), router)

    def process(self, router: Router, event: Event | str, **options: int) -> Outcome:
        if self.name == "sync":
            return router.process(event, **options)
        return self._await(lambda: router.process_async(event, **options), router)

    def _await(self, call: Callable[[], Coroutine[Any, Any, T]], router: Router) -> T:
        async def awaited() -> T:
            try:
                return await call()
            finally:
                await router.aclose()

        return asyncio.run(awaited())
