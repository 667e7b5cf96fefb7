"""How the commands show a stored event, without customer text."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from triage.models import Entry
from triage.vendors.links import build_link


def collect_facts(entry: Entry) -> dict[str, Any]:
    """Return the facts about an event that JSON can express; None for those that do not apply.

    Args:
        entry: An entry of an inbox.
    """
    verdict = entry.ledger.verdict
    return {
        "key": entry.key,
        "state": entry.state,
        "attempts": entry.attempts,
        "received": format_time(entry.received),
        "due": format_time(entry.due) if entry.state in ("ready", "leased") else None,
        "changed": format_time(entry.changed),
        "status": entry.outcome.status if entry.outcome else None,
        "error": entry.error,
        "bucket": verdict.bucket if verdict else None,
        "confidence": verdict.confidence if verdict else None,
        "fallback": verdict.fallback_reason if verdict else None,
        "cost_usd": verdict.cost_usd if verdict else None,
        "link": build_link(entry.event) if entry.event else None,
    }


def format_line(entry: Entry) -> str:
    """Return the facts about an event in one line.

    Args:
        entry: An entry of an inbox.
    """
    return "  ".join(_format_parts(entry, collect_facts(entry)))


def count_events(number: int) -> str:
    """Return a number of events in words, such as `"1 event"`."""
    return f"{number} event{'' if number == 1 else 's'}"


def format_time(seconds: float) -> str:
    """Return a time in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="seconds")


def _format_parts(entry: Entry, facts: dict[str, Any]) -> Iterator[str]:
    yield f"{facts['received']}  {entry.state:<8}  {entry.attempts:>2}x  {entry.key}"
    # The error of a finished event is that of an attempt before the last one.
    yield from filter(None, [facts["status"] if entry.state in ("finished", "planned") else facts["error"]])
    if facts["bucket"] is not None:
        certainty = f"fallback: {facts['fallback']}" if facts["fallback"] else f"{facts['confidence']:.2f}"
        yield f"{facts['bucket']} ({certainty})"
    if facts["cost_usd"] is not None:
        yield f"{facts['cost_usd']:.4f} USD"
    if facts["link"] is not None:
        yield facts["link"]
