"""Evaluate, compare and calibrate classifiers on labeled messages. Needs the extra `evals`."""

from triage.evals.extra import require_packages

require_packages()  # before the other modules, which may import them

from triage.evals.calibrate import calibrate
from triage.evals.calibration import Calibration, Threshold
from triage.evals.check import CheckFailed
from triage.evals.checks import Leak, Problem
from triage.evals.compare import Comparison, compare
from triage.evals.dataset import Dataset
from triage.evals.evaluate import evaluate, evaluate_async
from triage.evals.example import Example, Prediction
from triage.evals.report import Report
from triage.evals.sample_size import SampleSize

__all__ = [
    "Calibration",
    "CheckFailed",
    "Comparison",
    "Dataset",
    "Example",
    "Leak",
    "Prediction",
    "Problem",
    "Report",
    "SampleSize",
    "Threshold",
    "calibrate",
    "compare",
    "evaluate",
    "evaluate_async",
]
