"""Evaluate, compare and calibrate classifiers on labeled messages. Needs the extra `evals`."""

from triage.evals.extra import require_packages

require_packages()  # before the other modules, which may import them

from triage.evals.checks import Leak, Problem
from triage.evals.dataset import Dataset
from triage.evals.evaluate import evaluate, evaluate_async
from triage.evals.example import Example, Prediction
from triage.evals.report import Report
from triage.evals.sample_size import SampleSize

__all__ = [
    "Dataset",
    "Example",
    "Leak",
    "Prediction",
    "Problem",
    "Report",
    "SampleSize",
    "evaluate",
    "evaluate_async",
]
