"""False alarms of verdicts on a method without a fault, and how often intervals that are too narrow are found.

Run with ``python benchmarks/verdict.py``; takes about a quarter of an hour on one core. Studies are those of
``benchmarks/mcse.py``: independent errors of mean zero, intervals of exact coverage, scored and judged by haloassay.
The stated rate of false alarms is that of one verdict, all its bins and all that is judged of them together.
``before`` is the rate of 3 Monte Carlo standard errors and of binomial tails of 0.00135, each bin by itself. Below,
the share of runs that find Gaussian intervals 10 per cent too narrow, exactly, by simulation of whole verdicts, and
before.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from mcse import ERRORS, estimates, scored
from scipy.stats import binom

from haloassay.analysis.significance import narrow_found, narrow_power
from haloassay.analysis.verdict import ALPHA, Verdict, verdicts

ROWS = 1_000_000
TAIL = 0.00135


def studies(law: Any, number: int, n: int, bins: int, seed: int) -> Iterator[pd.DataFrame]:
    """Rows of so many studies, in pieces that memory holds."""
    piece = max(1, min(number, ROWS // (n * bins)))
    for k in range(0, number, piece):
        rng = np.random.default_rng([11, seed, k])
        yield estimates(law, min(piece, number - k), n, bins, rng)


def found_before(scores: pd.DataFrame) -> pd.Series:
    """Whether a study had a fault by 3 standard errors and binomial tails, each bin by itself."""
    found = np.abs(scores["bias"]) > 3.0 * scores["scatter"] / np.sqrt(scores["n"])
    for level in (68, 95):
        hits = np.round(scores[f"coverage{level}"] * scores["n"])
        tails = (
            binom.cdf(hits, scores["n"], level / 100),
            binom.sf(hits - 1, scores["n"], level / 100),
        )
        found |= np.minimum(*tails) < TAIL
    return found.groupby(scores["cell"]).any()


def rate(hits: int, n: int) -> str:
    share = hits / n
    return f"{100 * share:6.2f} +- {100 * math.sqrt(max(share, 1 / n) / n):.2f}"


def is_narrow(verdict: Verdict) -> bool:
    return "intervals are too narrow" in verdict.intervals


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=10_000)
    given = parser.parse_args()
    print(f"false alarms in per cent of {given.studies} verdicts; stated: {100 * ALPHA:g}")
    print(f"{'errors':12}{'n':>6}{'bins':>6}{'found':>16}{'before':>16}")
    for name, law in ERRORS.items():
        for n in (10, 40, 400):
            for bins in (1, 7):
                alarms = before = 0
                for frame in studies(law, given.studies, n, bins, n + bins):
                    scores = scored(frame)
                    alarms += sum(v.fault for v in verdicts(scores))
                    before += int(found_before(scores).sum())
                rates = (rate(k, given.studies) for k in (alarms, before))
                print(f"{name:12}{n:6}{bins:6}" + "".join(f"{r:>16}" for r in rates), flush=True)
    print("\nintervals 10 per cent too narrow are found in per cent of runs (one bin of 1 or of 7)")
    print(
        f"{'n':>6}{'exactly, 1':>12}{'simulated':>16}{'before':>12}{'of 7':>8}{'nine in ten find':>18}"
    )
    for n in (10, 40, 100, 400, 1000):
        number = min(given.studies, 2_000_000 // n)
        simulated = 0
        for frame in studies(ERRORS["Gaussian"], number, n, 1, n):
            simulated += sum(is_narrow(v) for v in verdicts(scored(_narrowed(frame))))
        exact = narrow_power(n, 0.9, ALPHA / 3)
        shares = (exact, narrow_power(n, 0.9, 2 * TAIL), narrow_power(n, 0.9, ALPHA / 21))
        one, was, seven = (f"{100 * share:.1f}" for share in shares)
        width = f"{100 * narrow_found(n, ALPHA / 3):.0f} % narrow"
        print(
            f"{n:6}{one:>12}{rate(simulated, number):>16}{was:>12}{seven:>8}{width:>18}", flush=True
        )


def _narrowed(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with Gaussian intervals a tenth too narrow."""
    ends = {"68": 0.9 * 0.99446, "95": 0.9 * 1.95996}
    cut = {f"lo{k}": frame["value"] - half for k, half in ends.items()}
    return frame.assign(**cut, **{f"hi{k}": frame["value"] + half for k, half in ends.items()})


if __name__ == "__main__":
    main()
