"""Observing deliveries and attempts: one protocol for logs, metrics and traces, first implemented by the log line."""

import logging
from collections.abc import Callable
from typing import Literal

from typing_extensions import override

from triage.errors import describe_location
from triage.models import Event, Outcome, StepResult

logger = logging.getLogger(__name__)

_METHODS = ("received", "attempt_started", "step_finished", "settled")

_LEVELS = {"failed": logging.ERROR, "malformed": logging.WARNING, "refused": logging.WARNING}


class Observer:
    """Observes deliveries and attempts, for logs, metrics and traces. Override the methods that you need.

    The methods must be quick. One that raises is logged, and stops nothing.
    """

    def received(self, outcome: Outcome) -> None:
        """A delivery was received.

        Args:
            outcome: `accepted`, `duplicate`, `ignored`, `malformed` or `refused`, or `failed` if it could not be
                stored.
        """

    def attempt_started(self, event: Event, attempt: int) -> None:
        """An attempt to process an event started.

        Args:
            event: The event.
            attempt: The number of the attempt, from 1.
        """

    def step_finished(self, event: Event, result: StepResult) -> None:
        """A step was performed, skipped or failed.

        Args:
            event: The event.
            result: The step and its status.
        """

    def settled(self, outcome: Outcome) -> None:
        """An attempt ended, and its result was stored.

        Args:
            outcome: `failed` if the event will be retried or was dead-lettered.
        """


class Observers:
    """Notifies the observers of a Router.

    Args:
        observers: The observers to begin with.
    """

    def __init__(self, *observers: Observer) -> None:
        self._methods: dict[str, list[Callable[..., None]]] = {name: [] for name in _METHODS}
        for observer in observers:
            self.add(observer)

    def add(self, observer: Observer) -> None:
        """Add an observer. Methods that it does not override are never called."""
        for name, methods in self._methods.items():
            if getattr(type(observer), name) is not getattr(Observer, name):
                methods.append(getattr(observer, name))

    def notify(self, name: Literal["received", "attempt_started", "step_finished", "settled"], *args: object) -> None:
        """Call a method of each observer.

        Args:
            name: The method's name.
            args: Its arguments.
        """
        for method in self._methods[name]:
            try:
                method(*args)
            except Exception as err:  # noqa: BLE001 - an observer is the user's code; the event must still be processed
                logger.error("an observer raised %s", describe_location(err))  # noqa: TRY400 - it may quote a customer


class LogObserver(Observer):
    """Logs each outcome in one line, with ids and our own words only: nothing that a customer wrote.

    Args:
        name: The Router's name, which begins the line.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @override
    def received(self, outcome: Outcome) -> None:
        self.settled(outcome)

    @override
    def settled(self, outcome: Outcome) -> None:
        verdict = outcome.verdict
        fell_back = verdict is not None and verdict.fallback
        # The reason of a fallback verdict is ours. Any other is a model's, about customer text.
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
            ",".join(f"{result.step.name}:{result.status}" for result in outcome.steps),
            "; ".join(filter(None, reasons)),
            extra={"outcome": outcome},  # for handlers that count or alert
        )


class OutcomeListener(Observer):
    """Calls a function with each outcome.

    Args:
        function: The function.
    """

    def __init__(self, function: Callable[[Outcome], object]) -> None:
        self._function = function

    @override
    def received(self, outcome: Outcome) -> None:
        self._function(outcome)

    @override
    def settled(self, outcome: Outcome) -> None:
        self._function(outcome)
