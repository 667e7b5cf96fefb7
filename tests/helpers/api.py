"""The sync and async entry points of a Router behind one interface, for tests that use both."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from triage import Event, Outcome, Router, WebhookResponse
from triage.check import check_router
from triage.io.ports import AsyncIO, SyncIO, run
from triage.models import Finding, Headers, HealthResponse

T = TypeVar("T")


@dataclass(frozen=True)
class Api:
    """Calls either the sync or the async methods of a Router, which must behave alike."""

    name: Literal["sync", "async"]

    def handle(self, router: Router, body: bytes, headers: Headers) -> WebhookResponse:
        if self.name == "sync":
            return router.handle(body, headers)
        return self._await(lambda: router.handle_async(body, headers), router)

    def process(self, router: Router, event: Event | str, **options: int) -> Outcome:
        if self.name == "sync":
            return router.process(event, **options)
        return self._await(lambda: router.process_async(event, **options), router)

    def ready(self, router: Router, **options: Any) -> HealthResponse:
        if self.name == "sync":
            return router.ready(**options)
        return self._await(lambda: router.ready_async(**options), router)

    def check(self, router: Router, **options: Any) -> list[Finding]:
        if self.name == "sync":
            return run(check_router(router, SyncIO(), **options))
        return self._await(lambda: check_router(router, AsyncIO(), **options), router)

    def _await(self, call: Callable[[], Coroutine[Any, Any, T]], router: Router) -> T:
        async def call_and_close() -> T:
            try:
                return await call()
            finally:
                await router.aclose()
                await router.classifier.leave_loop()  # the test cannot close what is opened on this event loop

        return asyncio.run(call_and_close())
