"""Read the fields of log records."""

import logging
from typing import Any

_USUAL = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime"})


def get_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the attributes that are not those of every record."""
    return {name: value for name, value in record.__dict__.items() if name not in _USUAL}
