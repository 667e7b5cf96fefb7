"""Claude as a classifier."""

from triage.classifiers.claude.classifier import Claude
from triage.classifiers.claude.models import Price

__all__ = ["Claude", "Price"]
