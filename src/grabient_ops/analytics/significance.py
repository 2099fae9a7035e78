"""How sure a difference of two shares is, and what is left of that after many comparisons."""

import math
from collections.abc import Sequence

_NO_SPREAD = 1e-9
"""A spread below this part of the binomial variance is rounding."""


def z_score(votes: tuple[int, int], responses: tuple[int, int], spread: float | None) -> float:
    """Standardise how much larger the second share is than the first.

    Args:
        votes: how many said so in the first and in the second group.
        responses: how many there are, each at least 1.
        spread: variance of the difference between independent units; where there is none (a single
            unit, or no spread at all) the pooled binomial variance takes its place.

    Returns:
        Standard deviations; 0 when the shares are equal.
    """
    difference = votes[1] / responses[1] - votes[0] / responses[0]
    if difference == 0:
        return 0.0
    pooled = sum(votes) / sum(responses)
    binomial = pooled * (1 - pooled) * (1 / responses[0] + 1 / responses[1])
    variance = spread if spread and spread > _NO_SPREAD * binomial else binomial
    return difference / math.sqrt(variance)


def p_value(z: float) -> float:
    """Give the two-sided probability of such a score when nothing differs."""
    return math.erfc(abs(z) / math.sqrt(2))


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, after Benjamini and Hochberg (1995).

    Calling everything with an adjusted value of at most 0.05 a difference is wrong, in the mean,
    in at most 5 % of these calls.
    """
    count = len(p_values)
    result = [1.0] * count
    smallest = 1.0
    order = sorted(range(count), key=p_values.__getitem__, reverse=True)
    for rank, index in zip(range(count, 0, -1), order, strict=True):
        smallest = min(smallest, p_values[index] * (count / rank))
        result[index] = smallest
    return result
