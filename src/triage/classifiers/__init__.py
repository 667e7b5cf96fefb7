"""The classifiers, and the base class for your own. `as_classifier` describes everything that a Router accepts."""

from triage.classifiers.adapt import as_classifier
from triage.classifiers.base import Classifier, ClassifierLike
from triage.classifiers.claude import Claude, Price
from triage.classifiers.recorded import Recorded, RecordingMode
from triage.classifiers.rules import Rules

__all__ = ["Classifier", "ClassifierLike", "Claude", "Price", "Recorded", "RecordingMode", "Rules", "as_classifier"]
