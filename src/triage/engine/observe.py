"""Observe deliveries and attempts: one interface for logs, metrics and traces."""

import logging
from collections.abc import Callable
from typing import Literal

from typing_extensions import override

from triage.errors import ConfigurationError, describe_location
from triage.log import get_logger, remove_unknown
from triage.models import Event, Outcome, StepResult

logger = get_logger(__name__)
outcome_logger = get_logger(__name__, shows_ids=False)

_IDS = ("conversation_id", "event_id", "key")
_METHODS = ("received", "attempt_started", "step_finished", "settled")

_LEVELS = {
    "failed": logging.ERROR,
    "malformed": logging.WARNING,
    "partial": logging.WARNING,
    "refused": logging.WARNING,
}


class Observer:
    """Observes deliveries and attempts, for logs, metrics and traces. Override the methods that you need.

    The methods must be quick. If one raises, the error is logged and processing continues.
    """

    def received(self, outcome: Outcome) -> None:
        """Handle a received delivery.

        Args:
            outcome: `accepted`, `duplicate`, `ignored`, `malformed` or `refused`, or `failed` if it could not be
                stored.
        """

    def attempt_started(self, event: Event, attempt: int) -> None:
        """Handle the start of an attempt to process an event.

        Args:
            event: The event.
            attempt: The number of the attempt, from 1.
        """

    def step_finished(self, event: Event, result: StepResult) -> None:
        """Handle a step that was performed, was skipped or failed.

        Args:
            event: The event.
            result: The step and its status.
        """

    def settled(self, outcome: Outcome) -> None:
        """Handle the end of an attempt, after its result was stored.

        Args:
            outcome: `failed` if the event will be retried or was dead-lettered.
        """


class Observers:
    """Notifies the observers of a Router.

    Args:
        observers: The observers to begin with.
    """

    def __init__(self, *observers: Observer) -> None:
        self._methods: dict[str, list[Callable[..., object]]] = {name: [] for name in _METHODS}
        for observer in observers:
            self.add(observer)

    def add(self, observer: Observer) -> None:
        """Add an observer. Methods that it does not override are never called.

        Raises:
            ConfigurationError: It overrides none of the methods, or is a class.
        """
        methods = {name: getattr(observer, name, None) for name in _METHODS}
        overridden = {
            name: method
            for name, method in methods.items()
            if callable(method) and getattr(type(observer), name, None) is not getattr(Observer, name)
        }
        if isinstance(observer, type) or not overridden:
            names = ", ".join(_METHODS)
            raise ConfigurationError(f"An observer must be an instance that overrides at least one of {names}.")
        for name, method in overridden.items():
            self._methods[name].append(method)

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
                fields = remove_unknown({field: getattr(args[0], field, None) for field in _IDS})
                # Not `logger.exception`: a traceback may quote a customer.
                logger.error("an observer raised %s", describe_location(err), extra=fields)  # noqa: TRY400


_SHOWN = ("router", "status", "conversation_id", "event_id", "key", "bucket", "fallback", "steps", "reason")


def build_fields(event: Event) -> dict[str, str | float]:
    """Return the attributes of a log record about an event, named as in the line of its outcome.

    Args:
        event: The event.
    """
    return remove_unknown(
        {
            "router": event.owner,
            "vendor": event.vendor,
            "conversation_id": event.conversation_id,
            "event_id": event.event_id,
            "key": event.key,
        }
    )


class LogObserver(Observer):
    """Logs each outcome in one line, which contains only ids and our own words, never customer text.

    The record also has the parts of the line as attributes, for handlers that filter, count or write JSON: `router`,
    `vendor`, `status`, `conversation_id`, `event_id`, `key`, `bucket`, `confidence`, `fallback`, `cost` (in USD),
    `latency` (of the classifier, in seconds), `steps` and `reason`. They are text, numbers and booleans; one that is
    unknown is missing.

    Args:
        name: The Router's name, with which the line begins.
        vendor: The help desk's name.
    """

    def __init__(self, name: str, vendor: str) -> None:
        self._name = name
        self._vendor = vendor

    @override
    def received(self, outcome: Outcome) -> None:
        self.settled(outcome)

    @override
    def settled(self, outcome: Outcome) -> None:
        verdict = outcome.verdict
        fell_back = verdict is not None and verdict.fallback
        default = logging.WARNING if fell_back or outcome.warnings else logging.INFO
        level = _LEVELS.get(outcome.status, default)
        if not outcome_logger.isEnabledFor(level):
            return
        # We write the reason of a fallback verdict. A model writes any other, about customer text.
        reason = verdict.reason if verdict is not None and fell_back else ""
        reasons = dict.fromkeys((outcome.reason, reason, *outcome.warnings))
        fields: dict[str, str | float | None] = {
            "router": self._name,
            "vendor": self._vendor,
            "status": outcome.status,
            "conversation_id": outcome.conversation_id,
            "event_id": outcome.event_id,
            "key": outcome.key,
            "bucket": verdict.bucket if verdict else None,
            "confidence": verdict.confidence if verdict else None,
            "fallback": fell_back if verdict else None,
            "cost": verdict.cost_usd if verdict else None,
            "latency": verdict.latency if verdict else None,
            "steps": ",".join(map(str, outcome.steps)),
            "reason": "; ".join(filter(None, reasons)),
        }
        outcome_logger.log(
            level,
            "%s %s conversation=%s event=%s key=%s bucket=%s fallback=%s steps=%s reason=%s",
            *(fields[name] for name in _SHOWN),
            extra=remove_unknown(fields),
        )


class OutcomeListener(Observer):
    """Calls a function with each outcome.

    Args:
        function: Takes the outcome.
    """

    def __init__(self, function: Callable[[Outcome], object]) -> None:
        self._function = function

    @override
    def received(self, outcome: Outcome) -> None:
        self._function(outcome)

    @override
    def settled(self, outcome: Outcome) -> None:
        self._function(outcome)
