"""The applications that are compared under load."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

Mode = Literal["tutorial", "inline", "durable"]
Client = Literal["default", "aiohttp"]

AIOHTTP = "aiohttp"
"""The package of the extra `aiohttp`, which the library uses if it is installed."""


@dataclass(frozen=True)
class Variant:
    """An application and the load on it."""

    mode: Mode
    in_flight: int
    """How many webhooks are sent at once."""
    client: Client = "default"
    concurrency: int | None = None
    """The `concurrency` of the worker; None for the default."""

    @property
    def name(self) -> str:
        """The name, without the load."""
        if self.mode == "tutorial":
            return "tutorial"
        concurrency = f", concurrency {self.concurrency}" if self.concurrency else ""
        return f"{self.mode}, {self.client} client{concurrency}"

    @property
    def app(self) -> str:
        """The application for uvicorn."""
        return f"benchmarks.speed.{'tutorial' if self.mode == 'tutorial' else 'application'}:app"

    @property
    def hidden(self) -> tuple[str, ...]:
        """The packages that the application must not find, although they may be installed."""
        return () if self.client == "aiohttp" else (AIOHTTP,)

    @property
    def missing(self) -> str | None:
        """The extra that is not installed, or None."""
        is_complete = self.client == "default" or find_spec(AIOHTTP) is not None
        return None if is_complete else AIOHTTP

    def build_env(self, inbox: str) -> Mapping[str, str]:
        """Return the environment variables that configure the application.

        Args:
            inbox: The path of a database.
        """
        env = {"SPEED_INBOX": inbox} if self.mode == "durable" else {}
        return env if self.concurrency is None else {**env, "SPEED_CONCURRENCY": str(self.concurrency)}


TUTORIAL = Variant("tutorial", 50)

VARIANTS = (
    TUTORIAL,
    Variant("inline", 50),
    Variant("inline", 50, "aiohttp"),
    Variant("inline", 200),
    Variant("inline", 200, "aiohttp"),
    Variant("durable", 50),
    Variant("durable", 50, "aiohttp"),
    Variant("durable", 200),
    Variant("durable", 200, "aiohttp"),
    Variant("durable", 200, concurrency=32),
    Variant("durable", 200, concurrency=256),
    Variant("durable", 200, "aiohttp", concurrency=256),
)
