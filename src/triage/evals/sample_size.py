"""How many verdicts a claim about a classifier needs."""

import math


def count_needed_verdicts(precision: float, confidence: float) -> int:
    """Return how many verdicts must be right, without a single mistake, to claim a precision.

    If the true precision were lower, so many right verdicts in a row would have a probability of at most
    `1 - confidence`.

    Args:
        precision: The share of right verdicts to claim, between 0 and 1.
        confidence: The confidence of the claim, between 0 and 1.
    """
    needed = max(1, math.ceil(math.log(1 - confidence) / math.log(precision)))
    # The logarithms are rounded, which may add a verdict.
    return needed - 1 if needed > 1 and precision ** (needed - 1) <= 1 - confidence else needed
