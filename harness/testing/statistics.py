"""Checks over many mocks of a halo on which what the method assumes holds: bias, coverage, ranks, and how it learns."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.analysis import significance
from haloassay.analysis.calibrate import calibrate
from haloassay.contracts import labels
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.testing.check import Failed, NotApplicable, check
from haloassay.testing.subject import Subject, check_scenario

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.results.results import Results

#: Realisations by level.
_REALIZATIONS: Final[Mapping[str, int]] = {"quick": 40, "standard": 100, "thorough": 400}
#: Checks of this file that chance has a part in: they share the rate of the estimator, and all rows that of a check.
JUDGED: Final = 6
#: Rate at which a failure that an estimator declares itself would be found where there is none.
_DECLARED: Final = 0.01
#: Stars of a mock, where the halo's survey does not say.
STARS: Final = 1000
#: What an error is told of.
_BIAS: Final = ["bias", "bias_mcse", "quantity", "unit"]
#: What a sample grows by where it is seen how a method learns.
_GROWTH: Final = 4
#: Realisations of the largest samples, whose errors are four times smaller.
_LARGE: Final = 100


@check(
    "bias",
    "On a halo that it is made for, the mean error is no more than chance makes it.",
    "standard",
)
def bias(subject: Subject) -> str:
    """Judge all biases together."""
    scores = _scores(subject)
    scores = scores[[labels.quantity_of(name).scale != "separation" for name in scores["quantity"]]]
    if not len(scores):
        raise NotApplicable("yields separations only, whose mean is above zero without a bias")
    p = significance.bias_p_values(
        scores["bias"], scores["scatter"], scores["skewness"], scores["n"]
    )
    said = [labels.error_text(*row) for row in scores[_BIAS].itertuples(index=False)]
    return _judged(subject, "bias", scores, p, said)


@check(
    "coverage", "Intervals of 68 and 95 per cent hold the truth as often as they say.", "standard"
)
def coverage(subject: Subject) -> str:
    """Judge both levels of all rows together."""
    scores = _scores(subject)
    if not (scores["n68"] > 0).any():
        raise NotApplicable("states no intervals")
    p, said = [], []
    for level in (68, 95):
        n, share = (scores[f"{name}{level}"].to_numpy(dtype=float) for name in ("n", "coverage"))
        hits = np.round(np.nan_to_num(share * n))
        p.append(np.where(n > 0, significance.coverage_p_values(hits, n, level / 100.0), 1.0))
        said += [f"{x:.2f} in {level} per cent" for x in share]
    return _judged(subject, "coverage", scores, np.concatenate(p), said)


@check("ranks", "Ranks of the truth among the draws are uniform.", "standard")
def ranks(subject: Subject) -> str:
    """Judge the ranks of all rows together."""
    found = calibrate(results_of(subject))
    if not len(found):
        raise NotApplicable("gives no draws")
    said = [str(x) or "inside" for x in found["shape"]]
    return _judged(subject, "ranks", found, found["p_value"].to_numpy(), said)


@check(
    "error ratio",
    "Stated errors are as large as the scatter, as far as chance tells, whatever the bias.",
    "standard",
)
def error_ratio(subject: Subject) -> str:
    """Judge the ratios of all rows together."""
    scores = _scores(subject)
    scores = scores[(scores["n68"] > 0) & (scores["robust_scatter"] > 0)]
    if not len(scores):
        raise NotApplicable("states no intervals, or none that has a scatter to be compared with")
    stated = scores["error_ratio"] * scores["scatter"]
    ratio = stated / scores["robust_scatter"]
    p = significance.ratio_p_values(ratio, scores["n68"])
    said = [
        f"{x:.2f} ± {x * error / found:.2f}"
        for x, error, found in zip(
            ratio, scores["robust_scatter_mcse"], scores["robust_scatter"], strict=True
        )
    ]
    return _judged(subject, "error ratio", scores, p, said, "stated over found error")


@check("success", "It gives a value in 95 per cent of the mocks that it is made for.", "standard")
def success(subject: Subject) -> str:
    """Count the values."""
    scores = _scores(subject)
    lowest = scores.iloc[int(np.argmin(scores["success"]))]
    if lowest["success_hi"] < 0.95:
        raise Failed(f"{_name(lowest)}: a value in {100.0 * lowest['success']:.0f} per cent")
    return f"at least {100.0 * float(lowest['success']):.0f} per cent"


@check("root of n", "Four times the stars halve the scatter.", "thorough")
def root_of_n(subject: Subject) -> str:
    """Compare samples of n and 4 n stars."""
    small, large = _scores(subject), _scores(subject, _GROWTH)
    both = small.merge(large, on=["quantity", "bin"], suffixes=("", "_large"))
    both = both[(both["scatter"] > 0) & (both["scatter_large"] > 0)]
    with np.errstate(divide="ignore"):
        log = np.log(np.asarray(both["scatter_large"] / both["scatter"]) * np.sqrt(_GROWTH))
    relative = (
        np.asarray(both[f"scatter_mcse{end}"] / both[f"scatter{end}"]) for end in ("", "_large")
    )
    error = np.hypot(*relative)
    from scipy.special import ndtr

    said = [f"{np.exp(x):.2f} of what 1 / sqrt(n) makes of it" for x in log]
    return _judged(subject, "root of n", both, 2.0 * ndtr(-np.abs(log) / error), said, "scatter")


@check(
    "growing n",
    "With 4 and 16 times the stars the bias is none that is seen, or falls as the scatter does.",
    "thorough",
)
def growing(subject: Subject) -> str:
    """Compare the bias of larger samples with none, and with what the scatter's fall makes of that of the small."""
    import pandas as pd

    p, said, rows = [], [], []
    small = _scores(subject)
    for growth in (_GROWTH, _GROWTH**2):
        large = _scores(subject, growth)
        both = small.merge(large, on=["quantity", "bin"], suffixes=("_small", ""))
        both = both[[labels.quantity_of(name).scale != "separation" for name in both["quantity"]]]
        if not len(both):
            raise NotApplicable("yields separations only, whose mean is above zero without a bias")
        allowed = np.abs(both["bias_small"]) / np.sqrt(growth)
        beyond = np.maximum(np.abs(both["bias"]) - allowed, 0.0)
        error = np.hypot(both["bias_mcse"], both["bias_mcse_small"] / np.sqrt(growth))
        scatter, n = both["scatter"], both["n"]
        none = significance.bias_p_values(both["bias"], scatter, both["skewness"], n)
        falls = significance.bias_p_values(beyond, error * np.sqrt(n), 0.0 * n, n)
        p.append(np.maximum(none, falls))
        said += [
            f"{labels.error_text(*row)} of {growth} n stars"
            for row in both[_BIAS].itertuples(index=False)
        ]
        rows.append(both)
    return _judged(subject, "growing n", pd.concat(rows), np.concatenate(p), said, "bias")


def _judged(
    subject: Subject,
    name: str,
    rows: pd.DataFrame,
    p: np.ndarray[Any, Any],
    said: list[str],
    what: str = "",
) -> str:
    """Fail a check where any row is no chance, else name the worst; rows may be judged once, or several times over.

    A failure that is declared is sought at a larger rate: it is there, and only no sign of it says that it is not.
    """
    p = np.nan_to_num(np.asarray(p, dtype=float), nan=1.0)
    what = what or name
    alpha = _DECLARED if subject.declared(name) else subject.alpha / JUDGED
    failed, worst = significance.holm(p, alpha), int(np.argmin(p))
    where = f"{_name(rows.iloc[worst % len(rows)])}: {what} {said[worst]} (p = {p[worst]:.2g})"
    if failed.any():
        raise Failed(f"{int(failed.sum())} of {len(p)} rows; the worst, {where}")
    return f"{len(p)} rows; the worst, {where}"


def _name(row: Any) -> str:
    return labels.at_radius(str(row["quantity"]), float(row["r"]))


def _scores(subject: Subject, growth: int = 1) -> pd.DataFrame:
    scores = results_of(subject, growth).table()
    scores = scores[scores["n"] >= 10]
    if not len(scores):
        raise Failed("gives no value beside a truth in ten of the mocks")
    return scores


def results_of(subject: Subject, growth: int = 1) -> Results:
    """Run on the mocks of a halo that the estimator is made for, with so many times the stars.

    Raises
    ------
    NotApplicable
        If none is stated.
    """
    if not subject.scenario:
        raise NotApplicable("states no halo on which what it assumes holds (ideal, --scenario)")
    asked = json.dumps([subject.spec, subject.scenario])
    n = _REALIZATIONS[subject.level]
    n = n if growth <= _GROWTH else min(n, _LARGE)
    return run_of(asked, n, subject.seed, subject.folder, growth)


@functools.lru_cache(maxsize=4)
def run_of(asked: str, n: int, seed: int, folder: str, growth: int = 1) -> Results:
    """Run ``n`` mocks; once for all checks of a process that read them.

    Parameters
    ----------
    asked
        Table of the estimator, and mock and survey, as JSON.
    n, seed
        Of realisations.
    folder
        In which the results are kept.
    growth
        How many times the stars that the survey says.
    """
    spec, halo = json.loads(asked)
    survey = {"n_stars": STARS, **halo["survey"]}
    survey["n_stars"] *= growth
    values = check_scenario(halo["mock"], survey, spec, realizations=n, seed=seed)
    out = tempfile.mkdtemp(dir=folder)
    return run(values, out, workers=0, progress=Silent())
