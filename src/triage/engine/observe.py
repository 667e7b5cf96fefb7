"""Observing what happens: one protocol for logs, metrics and traces. The log line is its first implementation."""

import logging
from collections.abc import Callable
from typing import Protocol

from triage.errors import describe_location
from triage.models import Event, Outcome, StepResult

logger = logging.getLogger(__name__)

_LEVELS = {"failed": logging.ERROR, "malformed": logging.WARNING, "refused": logging.WARNING}


class Observer(Protocol):
    """Called as deliveries come in and events are processed. Methods must be quick and must not raise."""

    def received(self, outcome: Outcome) -> None:
        """A delivery was received.

        Args:
            outcome: `accepted`, `duplicate`, `ignored`, `malformed` or `refused`, or `failed` if it could not be
                stored.
        """
        ...

    def attempt_started(self, event: Event, attempt: int) -> None:
        """An attempt to process an event started.

        Args:
            event: The event.
            attempt: The number of the attempt, from 1.
        """
        ...

    def step_finished(self, event: Event, result: StepResult) -> None:
        """A step was performed, skipped or failed.

        Args:
            event: The event.
            result: The step and its status.
        """
        ...

    def settled(self, outcome: Outcome) -> None:
        """An attempt ended, and its result was stored.

        Args:
            outcome: `failed` if the event will be retried or was dead-lettered.
        """
        ...


class Observers:
    """Passes each call on to all observers. One that raises is logged and stops nothing."""

    def __init__(self, vendor: str) -> None:
        self._observers: list[Observer] = [LogObserver(vendor)]

    def add(self, observer: Observer) -> None:
        """Add an observer."""
        self._observers.append(observer)

    def received(self, outcome: Outcome) -> None:
        """Report a delivery."""
        self._notify("received", outcome)

    def attempt_started(self, event: Event, attempt: int) -> None:
        """Report the start of an attempt."""
        self._notify("attempt_started", event, attempt)

    def step_finished(self, event: Event, result: StepResult) -> None:
        """Report a step."""
        self._notify("step_finished", event, result)

    def settled(self, outcome: Outcome) -> None:
        """Report the end of an attempt."""
        self._notify("settled", outcome)

    def _notify(self, method: str, *args: object) -> None:
        for observer in self._observers:
            try:
                getattr(observer, method)(*args)
            except Exception as err:  # noqa: BLE001 - an observer is the user's code; the event must still be processed
                logger.error("an observer raised %s", describe_location(err))  # noqa: TRY400 - it may quote a customer


class SilentObserver:
    """An observer that does nothing: a base class for observers that need only some of the methods."""

    def received(self, outcome: Outcome) -> None:
        """Ignore a delivery."""

    def attempt_started(self, event: Event, attempt: int) -> None:
        """Ignore the start of an attempt."""

    def step_finished(self, event: Event, result: StepResult) -> None:
        """Ignore a step."""

    def settled(self, outcome: Outcome) -> None:
        """Ignore the end of an attempt."""


class LogObserver(SilentObserver):
    """Writes one log line per outcome, with ids and our own words only: nothing that a customer wrote.

    Args:
        vendor: The help desk's name, which begins the line.
    """

    def __init__(self, vendor: str) -> None:
        self._vendor = vendor

    def received(self, outcome: Outcome) -> None:
        """Log a delivery."""
        self._log(outcome)

    def settled(self, outcome: Outcome) -> None:
        """Log the end of an attempt."""
        self._log(outcome)

    def _log(self, outcome: Outcome) -> None:
        verdict = outcome.verdict
        fell_back = verdict is not None and verdict.fallback
        # The reason of a fallback verdict is ours. Any other is a model's, about what a customer wrote.
        reasons = (outcome.reason, verdict.reason if verdict is not None and fell_back else "")
        logger.log(
            _LEVELS.get(outcome.status, logging.WARNING if fell_back else logging.INFO),
            "%s %s conversation=%s key=%s bucket=%s fallback=%s steps=%s reason=%s",
            self._vendor,
            outcome.status,
            outcome.conversation_id,
            outcome.key,
            verdict and verdict.bucket,
            verdict and verdict.fallback,
            ",".join(map(str, outcome.steps)),
            "; ".join(filter(None, reasons)),
            extra={"outcome": outcome},  # for handlers that count or alert
        )


class OutcomeListener(SilentObserver):
    """Calls a function with each outcome.

    Args:
        function: The function.
    """

    def __init__(self, function: Callable[[Outcome], object]) -> None:
        self._function = function

    def received(self, outcome: Outcome) -> None:
        """Pass on the outcome of a delivery."""
        self._function(outcome)

    def settled(self, outcome: Outcome) -> None:
        """Pass on the outcome of an attempt."""
        self._function(outcome)
