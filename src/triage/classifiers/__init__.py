"""The classifiers. Each is anything with `classify` or `classify_async`; see `triage.protocols`."""

from triage.classifiers.claude import Claude
from triage.classifiers.claude.models import Price
from triage.classifiers.rules import Rules

__all__ = ["Claude", "Price", "Rules"]
