"""How often right errors are taken for wrong by their ratio: Gaussian, skewed and heavy-tailed errors, by sample size.

Run with ``python benchmarks/error_ratio.py``: false alarms over their nominal rate, and the power of the check
``error ratio`` for intervals that are too narrow, with 30 rows that are judged together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from haloassay.analysis.significance import ratio_p_values
from haloassay.testing.rates import ALPHA
from haloassay.testing.statistics import JUDGED

RATES = (1e-3, 1e-4, 1e-5)
NARROW = (0.9, 0.8, 0.7, 0.6, 0.5)
DRAWS = 4_000_000
ROWS = 30
#: Half of the range of the central 68 per cent, of a standard Gaussian and of Student's t of 5 degrees of freedom.
HALF, HALF_T = 0.99446, 1.0970

Made = tuple[np.ndarray, np.ndarray]


def gaussian(rng: np.random.Generator, size: tuple[int, int]) -> Made:
    """Errors, and stated half widths."""
    return rng.standard_normal(size), np.full(size, HALF)


def lognormal(rng: np.random.Generator, size: tuple[int, int]) -> Made:
    """Draw values whose logarithms have errors of 0.3."""
    value = np.exp(0.3 * rng.standard_normal(size))
    return value - 1.0, value * np.sinh(0.3 * HALF)


def heavy(rng: np.random.Generator, size: tuple[int, int]) -> Made:
    """Draw from Student's t of 5 degrees of freedom."""
    return rng.standard_t(5, size), np.full(size, HALF_T)


def p_values(errors: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """Of samples (k, n)."""
    lo, hi = np.quantile(errors, [0.16, 0.84], axis=1)
    return ratio_p_values(halves.mean(axis=1) / (0.5 * (hi - lo)), errors.shape[1])


def lines(rng: np.random.Generator) -> Iterator[str]:
    """Table of false alarms, then of power."""
    kinds: tuple[Callable[..., Made], ...] = (gaussian, lognormal, heavy)
    yield "| errors | n | " + " | ".join(f"alarms at {rate:g}" for rate in RATES) + " |"
    yield "|---|---|" + "---|" * len(RATES)
    for kind in kinds:
        for n in (40, 100, 400):
            p = np.concatenate([p_values(*kind(rng, (DRAWS // n, n))) for _ in range(n // 20)])
            shares = " | ".join(f"{(p < rate).mean() / rate:.2f}" for rate in RATES)
            yield f"| {kind.__name__} | {n} | {shares} |"
    for n in (40, 100, 400):
        for factor in NARROW:
            errors, halves = gaussian(rng, (4000, n))
            found = (p_values(errors, factor * halves) < ALPHA / JUDGED / ROWS).mean()
            yield f"intervals {factor} times as wide, n = {n}: found in {100.0 * found:.0f} per cent"


if __name__ == "__main__":
    print("\n".join(lines(np.random.default_rng(1))))
