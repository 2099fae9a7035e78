"""Palettes out of thin air, for demonstrations and benchmarks of any size."""

import numpy as np

from grabient_ops.palettes.seed import write_aligned

_DEFAULT_GLOBALS = (0.0, 1.0, 1.0, 0.0)


def invented_seeds(count: int) -> list[str]:
    """Return so many different aligned seeds of pleasant enough palettes.

    The list is always the same, and a longer one begins with the shorter one.
    """
    random = np.random.default_rng(0)
    seeds: dict[str, None] = {}
    while len(seeds) < count:
        offset = random.uniform(0.35, 0.75, 3)
        amplitude = random.uniform(0.15, 0.55, 3)
        frequency = random.uniform(0.3, 1.1, 3)
        phase = random.uniform(0.0, 1.0, 3)
        coeffs = tuple(
            tuple(round(float(value), 3) for value in row)
            for row in (offset, amplitude, frequency, phase)
        )
        seeds[write_aligned(coeffs, _DEFAULT_GLOBALS)] = None
    return list(seeds)
