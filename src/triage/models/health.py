"""The state of a worker, for health checks and metrics."""

from collections.abc import Mapping
from typing import Literal

from triage.models.base import Model


class BreakerHealth(Model):
    """The state of a circuit breaker."""

    state: Literal["closed", "open", "half-open"]
    """`closed`: the service is called. `open`: it is down, or its rate limit is used up. `half-open`: the next call
    decides."""
    retry_after: float
    """Seconds until the service may be called, 0 if it may be called now."""


class WorkerHealth(Model):
    """The state of a worker and of its Router's events in the inbox."""

    alive: bool
    """True if the worker is running in this process."""
    heartbeat_age: float | None
    """Seconds since the worker last looked for events successfully, normally about one; None if it never has."""
    in_progress: int
    """Number of events that the worker is processing."""
    concurrency: int
    """How many events the worker may process at the same time now."""
    errors: int
    """Number of unexpected errors that the worker has survived."""
    last_error: str | None
    """The last of them: its type and location."""
    oldest_due: float | None
    """For how many seconds the oldest event that waits for a worker has been due, 0 if none waits; None if the inbox
    cannot be read."""
    dead: int | None
    """Number of dead letters; None if the inbox cannot be read."""
    inbox_error: str | None
    """Why the inbox cannot be read."""
    breakers: Mapping[str, BreakerHealth]
    """The circuit breakers of the help desk and of the classifier, by name."""
