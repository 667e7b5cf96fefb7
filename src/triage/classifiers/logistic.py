"""Logistic regression whose probabilities are calibrated. Needs the extra `local`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix
from scipy.special import log_softmax, softmax
from sklearn import linear_model, model_selection  # pyright: ignore[reportMissingTypeStubs]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from triage.classifiers.tfidf import DECIMALS

Array: TypeAlias = NDArray[np.float64]

FOLDS = 5
_C = 10.0  # inverse strength of the regularization; with scikit-learn's default of 1, rare words hardly count
_ITERATIONS = 1_000
_MAX_SCALE = 20.0  # by which the calibration multiplies or divides the scores at most


class LogisticModel:
    """Computes the probability of each bucket from a vector.

    Args:
        weights: The weights of each bucket, one for each element of a vector.
        intercepts: The intercept of each bucket.
    """

    def __init__(self, weights: Mapping[str, Sequence[float]], intercepts: Mapping[str, float]) -> None:
        self.weights = weights
        self.intercepts = intercepts
        self._weights: Array = np.array(list(weights.values()), float)
        self._intercepts: Array = np.array([intercepts[bucket] for bucket in weights], float)

    @classmethod
    def fit(cls, vectors: csr_matrix, labels: Sequence[str], *, seed: int) -> Self:
        """Learn from labeled vectors.

        Args:
            vectors: A row for each example.
            labels: The bucket of each example. Each bucket occurs at least `FOLDS` times.
            seed: Decides how the examples are divided for the calibration.
        """
        buckets = sorted(set(labels))
        targets = np.array([buckets.index(label) for label in labels])
        regression: Any = linear_model.LogisticRegression(C=_C, max_iter=_ITERATIONS)
        folds: Any = model_selection.StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        score = cast("Callable[..., Array]", model_selection.cross_val_predict)  # pyright: ignore[reportUnknownMemberType]
        # The vectors are so short that threads would only wait for each other; with one, the result is reproducible.
        with threadpool_limits(1):
            # A model is too sure of the examples that it has learned from, so calibrate with scores of the others.
            scores = score(regression, vectors, targets, cv=folds, method="decision_function")
            regression.fit(vectors, targets)
        scale = _calibrate(_widen(scores), targets)
        weights = np.round(_widen(regression.coef_.T) * scale, DECIMALS).T
        intercepts = np.round(_widen(regression.intercept_[np.newaxis]) * scale, DECIMALS)[0]
        return cls(
            dict(zip(buckets, weights.tolist(), strict=True)), dict(zip(buckets, intercepts.tolist(), strict=True))
        )

    def predict(self, vector: csr_matrix) -> dict[str, float]:
        """Return the probability of each bucket.

        Args:
            vector: A matrix with one row.
        """
        scores: Array = vector @ self._weights.T + self._intercepts
        probabilities: list[float] = softmax(scores[0]).tolist()
        return dict(zip(self.weights, probabilities, strict=True))


def _widen(columns: Any) -> Array:
    """Return a column for each bucket. For two buckets, scikit-learn yields a single one, which is about the second."""
    wide: Array = np.reshape(columns, (len(columns), -1))
    return wide if wide.shape[1] > 1 else np.hstack([np.zeros_like(wide), wide])


def _calibrate(scores: Array, targets: NDArray[np.int_]) -> float:
    """Return the factor for the scores with which the probabilities fit best (Guo et al. 2017, arXiv:1706.04599).

    As if one example more were wrong, no bucket counts as certain (Platt 1999). Otherwise the factor would be infinite
    if every example is right.
    """
    count, buckets = scores.shape
    doubt = 1 / (count + 2)
    truth = np.eye(buckets)[targets] * (1 - doubt) + doubt / buckets

    def measure_loss(exponent: float) -> float:
        return float(-(truth * log_softmax(scores * np.exp(exponent), axis=1)).sum())

    limit = np.log(_MAX_SCALE)
    return float(np.exp(minimize_scalar(measure_loss, bounds=(-limit, limit), method="bounded").x))
