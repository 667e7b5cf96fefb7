"""The classifiers, and the base class for your own. `as_classifier` describes everything that a Router accepts."""

from typing import TYPE_CHECKING

from triage.lazy import import_on_access

if TYPE_CHECKING:
    from triage.classifiers.adapt import as_classifier
    from triage.classifiers.base import Classifier, ClassifierLike
    from triage.classifiers.cascade import Cascade
    from triage.classifiers.claude import Claude, Price
    from triage.classifiers.claude.examples import ExampleSource
    from triage.classifiers.labeled import LabeledText
    from triage.classifiers.local import Local
    from triage.classifiers.nearest import NearestExamples
    from triage.classifiers.recorded import Recorded, RecordingMode
    from triage.classifiers.redacted import Redacted
    from triage.classifiers.rules import Rules
    from triage.classifiers.vote import Vote

__all__ = [
    "Cascade",
    "Classifier",
    "ClassifierLike",
    "Claude",
    "ExampleSource",
    "LabeledText",
    "Local",
    "NearestExamples",
    "Price",
    "Recorded",
    "RecordingMode",
    "Redacted",
    "Rules",
    "Vote",
    "as_classifier",
]

_MODULES = {
    "adapt": ("as_classifier",),
    "base": ("Classifier", "ClassifierLike"),
    "cascade": ("Cascade",),
    "claude": ("Claude", "Price"),
    "claude.examples": ("ExampleSource",),
    "labeled": ("LabeledText",),
    "local": ("Local",),
    "nearest": ("NearestExamples",),
    "recorded": ("Recorded", "RecordingMode"),
    "redacted": ("Redacted",),
    "rules": ("Rules",),
    "vote": ("Vote",),
}

if not TYPE_CHECKING:  # otherwise type checkers would accept any name
    __getattr__ = import_on_access(__name__, _MODULES)


def __dir__() -> list[str]:
    """Return all names, so that editors and interactive shells suggest them."""
    return sorted({*globals(), *__all__})
