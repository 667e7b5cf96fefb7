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
    """Notifies all observers of a Router. One that raises is logged and stops nothing.

    Args:
        observers: The observers to begin with.
    """

    def __init__(self, *observers: Observer) -> None:
        self._observers = list(observers)

    def add(self, observer: Observer) -> None:
        """Add an observer."""
        self._observers.append(observer)

    def notify(self, call: Callable[[Observer], None]) -> None:
        """Call each observer.

        Args:
            call: Calls a method of one observer, such as `lambda observer: observer.settled(outcome)`.
        """
        for observer in self._observers:
            try:
                call(observer)
            except Exception as err:  # noqa: BLE001 - an observer is the user's code; the event must still be processed
                logger.error("an observer raised %s", describe_location(err))  # noqa: TRY400 - it may quote a customer


class LogObserver:
    """Logs each outcome in one line, with ids and our own words only: nothing that a customer wrote.

    Args:
        name: The Router's name, which begins the line.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def received(self, outcome: Outcome) -> None:
        """Log a delivery."""
        self.settled(outcome)

    def attempt_started(self, event: Event, attempt: int) -> None:
        """Log the start of an attempt, at DEBUG."""
        logger.debug("%s: attempt %s started", event.key, attempt)

    def step_finished(self, event: Event, result: StepResult) -> None:
        """Log a step, at DEBUG."""
        logger.debug("%s: %s %s", event.key, result, result.detail)

    def settled(self, outcome: Outcome) -> None:
        """Log the end of an attempt."""
        verdict = outcome.verdict
        fell_back = verdict is not None and verdict.fallback
        # The reason of a fallback verdict is ours. Any other is a model's, about what a customer wrote.
        reasons = (outcome.reason, verdict.reason if verdict is not None and fell_back else "")
        logger.log(
            _LEVELS.get(outcome.status, logging.WARNING if fell_back else logging.INFO),
            "%s %s conversation=%s key=%s bucket=%s fallback=%s steps=%s reason=%s",
            self._name,
            outcome.status,
            outcome.conversation_id,
            outcome.key,
            verdict and verdict.bucket,
            verdict and verdict.fallback,
            ",".join(map(str, outcome.steps)),
            "; ".join(filter(None, reasons)),
            extra={"outcome": outcome},  # for handlers that count or alert
        )


class OutcomeListener:
    """Calls a function with each outcome.

    Args:
        function: The function.
    """

    def __init__(self, function: Callable[[Outcome], object]) -> None:
        self._function = function

    def received(self, outcome: Outcome) -> None:
        """Pass on the outcome of a delivery."""
        self._function(outcome)

    def attempt_started(self, event: Event, attempt: int) -> None:
        """Ignore the start of an attempt."""

    def step_finished(self, event: Event, result: StepResult) -> None:
        """Ignore a step."""

    def settled(self, outcome: Outcome) -> None:
        """Pass on the outcome of an attempt."""
        self._function(outcome)
