"""The classifiers, and the base class for your own. `as_classifier` describes everything that a Router accepts."""

from triage.classifiers.adapt import as_classifier
from triage.classifiers.base import Classifier, ClassifierLike
from triage.classifiers.cascade import Cascade
from triage.classifiers.claude import Claude, Price
from triage.classifiers.redacted import Redacted
from triage.classifiers.rules import Rules
from triage.classifiers.vote import Vote

__all__ = ["Cascade", "Classifier", "ClassifierLike", "Claude", "Price", "Redacted", "Rules", "Vote", "as_classifier"]
