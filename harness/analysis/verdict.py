"""Scores in words: what is biased, which error bars are too small, what cannot be determined, and what matters.

What is significant may be too small to matter: a verdict is graded by the size of what was found, against tolerances
(:mod:`haloassay.contracts.tolerances`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from haloassay.analysis import significance
from haloassay.base.arrays import IntArray
from haloassay.contracts import labels
from haloassay.contracts.tolerances import Tolerances

if TYPE_CHECKING:
    import pandas as pd

#: Rate of false alarms of one verdict, all bins and all that is judged of them together.
ALPHA: Final = 0.01
#: Fewer realisations than these do not tell a bias from chance: their scatter is itself unknown.
ENOUGH: Final = 10
#: How much too narrow the intervals are for which it is said how often they would have been found.
_NARROW: Final = 0.1
_LEVELS: Final = (68, 95)
#: Columns of the scores that are read.
_READ: Final = (
    *("cell", "estimator", "quantity", "bin", "unit", "r", "n", "n_failed", "n_attempted", "lossy"),
    *("success", "success_lo", "success_hi", "bias", "bias_mcse", "scatter", "skewness"),
    *(f"coverage{level}{end}" for level in _LEVELS for end in ("", "_lo", "_hi", "_min", "_max")),
    *(f"n{level}" for level in _LEVELS),
)

#: Share of its stars that two realisations may have in common without a word: scatters are then 2.5 per cent too small.
NOTABLE: Final = 0.05

#: What a verdict comes to: something significant is larger than its tolerance; something is significant and smaller;
#: nothing was found; nothing can be determined.
Grade = Literal["matters", "small", "none", "open"]
#: Grades, the worst first; of several cells, what is open is worse than what is known to be none.
GRADES: Final[tuple[Grade, ...]] = ("matters", "small", "open", "none")


@dataclass(frozen=True)
class Worst:
    """The bin that decides a verdict: of the largest bias that was found, else of the coverage that is most wrong.

    A coverage that matters goes before a bias that does not; where nothing was found it is the bin of the largest bias.

    Parameters
    ----------
    r
        Radius [kpc]; NaN where there is none.
    unit
        Of the quantity.
    n
        Estimates with a value and a truth.
    bias, bias_mcse, scatter
        As in the table of scores: fractions of positive scales.
    coverage68, coverage95
        Shares of the intervals that hold the truth; NaN where none are stated.
    tolerance
        Bias above which one matters.
    """

    r: float
    unit: str
    n: int
    bias: float
    bias_mcse: float
    scatter: float
    coverage68: float
    coverage95: float
    tolerance: float


@dataclass(frozen=True)
class Verdict:
    """What the scores of one quantity by one estimator in one cell say.

    Parameters
    ----------
    cell, estimator, quantity
        Whose they are.
    fault
        Whether something speaks against the method, however small.
    bias, intervals, success
        Sentences; ``success`` is empty where enough attempts gave a value.
    determined
        Whether there were enough estimates to say.
    bias_grade, interval_grade
        How much the bias and the coverage of the intervals matter (:data:`Grade`).
    worst
        The bin that decides; None where nothing is determined.
    size
        What decides, in units of its tolerance (of bias or coverage); where nothing was found, the bias of that bin.
    biased
        Bins whose bias was found, however small.
    """

    cell: str
    estimator: str
    quantity: str
    fault: bool
    bias: str
    intervals: str
    determined: bool = True
    success: str = ""
    bias_grade: Grade = "open"
    interval_grade: Grade = "open"
    worst: Worst | None = None
    size: float = float("nan")
    biased: tuple[int, ...] = ()

    @property
    def grade(self) -> Grade:
        """``matters``, ``small``, ``none`` or ``open``: the worse of bias and intervals."""
        if not self.determined:
            return "open"
        found = (self.bias_grade, self.interval_grade)
        return next((grade for grade in ("matters", "small") if grade in found), "none")

    @property
    def lossy(self) -> bool:
        """Whether so few attempts gave a value that these may not speak for all."""
        return bool(self.success)

    @property
    def text(self) -> str:
        """All sentences."""
        return " ".join(filter(None, (self.success, self.bias, self.intervals)))


def verdicts(scores: pd.DataFrame, tolerances: Tolerances | None = None) -> list[Verdict]:
    """One verdict for each (cell, estimator, quantity), in the order of the table.

    Biases and coverages of all bins of a verdict are judged together (:mod:`haloassay.analysis.significance`), so that
    about one in 100 verdicts (:data:`ALPHA`) on methods without a fault is a false alarm. What is significant is
    graded by its size.

    Parameters
    ----------
    scores
        Frame of the function ``score``.
    tolerances
        Sizes above which errors matter, such as those of the results; by default those of the quantities.
    """
    columns = {name: scores[name].to_numpy() for name in _READ}
    groups: Any = scores.groupby(["cell", "estimator", "quantity"], sort=False).indices
    sizes = tolerances or Tolerances()
    return [
        _judge(str(c), str(e), str(q), _Rows(columns, rows), sizes)
        for (c, e, q), rows in groups.items()
    ]


def overlap_sentence(overlaps: pd.DataFrame) -> str:
    """Say what it means that realisations are drawn from one population, in the cell where it means most.

    Parameters
    ----------
    overlaps
        Frame of the function ``overlaps``.

    Returns
    -------
    str
        Empty where no two realisations have more than a twentieth of their stars in common.
    """
    notable = overlaps[overlaps["share"] >= NOTABLE]
    if not len(notable):
        return ""
    worst = notable.sort_values("share").iloc[-1]
    where = f"in cell {worst['cell']!r}"
    if len(notable) > 1:
        where += f" (and, no more so, in {len(notable) - 1} others)"
    share, population = (
        float(worst["share"]),
        f"the {worst['population']} stars that there are",
    )
    if share > 0.999:
        return (
            f"{where} all realisations observe the same of {population}: what scatters are the errors of"
            " measurement alone, and no +- holds the error that they share"
        )
    small, common = 100.0 * (1.0 - np.sqrt(1.0 - share)), np.sqrt(share / (1.0 - share))
    return (
        f"{where} {100.0 * share:.2g} per cent of the observed stars are the same in any two realisations, which draw"
        f" from {population}: scatters may be up to {small:.0f} per cent too small, and biases have a common"
        f" error of up to {common:.2g} scatters that is not in their +-; more stars to draw from mend both"
    )


class _Rows:
    """Rows of a table of scores as arrays: a frame for each of thousands of verdicts would take most of their time."""

    def __init__(self, columns: Mapping[str, Any], rows: IntArray) -> None:
        self._columns, self._rows = columns, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, name: str) -> Any:
        """Values (rows,) of a column."""
        return self._columns[name][self._rows]

    def at(self, chosen: Any) -> _Rows:
        """Choose some of the rows."""
        return _Rows(self._columns, self._rows[chosen])

    def row(self, k: int) -> dict[str, Any]:
        """One row by column."""
        return {name: values[self._rows[k]] for name, values in self._columns.items()}


def _judge(
    cell: str, estimator: str, quantity: str, group: _Rows, tolerances: Tolerances
) -> Verdict:
    success = _success_sentence(group)
    enough = group.at(group["n"] >= ENOUGH)
    if not len(enough):
        return Verdict(cell, estimator, quantity, False, _why_not(group), "", False, success)
    tests = _tests(enough)
    alpha = ALPHA / len(tests["p"])
    failed = significance.holm(tests["p"], ALPHA)
    found = {name: tests["row"][failed & (tests["of"] == name)] for name in ("bias", *_LEVELS)}
    sizes = _sizes(quantity, enough, tolerances)
    bias_grade, interval_grade = (_graded(sizes, found, of) for of in (("bias",), _LEVELS))
    bias = _bias_sentence(quantity, enough, found["bias"], alpha, tolerances)
    intervals = _interval_sentence(enough, found, alpha)
    if interval_grade == "small":
        intervals += f" That is by less than the tolerance of {tolerances.coverage:g}."
    left_out = len(group) - len(enough)
    if left_out:
        bias += f" In {_bins(left_out)} it cannot be determined: fewer than {ENOUGH} estimates."
    row, size = _deciding(sizes, found)
    worst = _worst(enough.row(row), tolerances.bias(labels.quantity_of(quantity)))
    grades = (bias_grade, interval_grade)
    biased = tuple(int(k) for k in enough["bin"][found["bias"]])
    judged = (cell, estimator, quantity, bool(failed.any()), bias, intervals, True, success)
    return Verdict(*judged, *grades, worst, size, biased)


def _sizes(quantity: str, group: _Rows, tolerances: Tolerances) -> dict[Any, Any]:
    """Biases and misses of coverage of all bins, in units of their tolerances; of a tolerance of 0 endless."""
    known = labels.quantity_of(quantity, str(group["unit"][0]))
    misses: dict[Any, Any] = {"bias": (group["bias"], tolerances.bias(known))}
    for level in _LEVELS:
        misses[level] = (group[f"coverage{level}"] - level / 100.0, tolerances.coverage)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            of: np.nan_to_num(np.abs(miss) / np.float64(size), posinf=np.inf)
            for of, (miss, size) in misses.items()
        }


def _graded(sizes: dict[Any, Any], found: dict[Any, Any], of: tuple[Any, ...]) -> Grade:
    """Grade of what was found of some tests."""
    largest = [float(sizes[name][found[name]].max()) for name in of if len(found[name])]
    if not largest:
        return "none"
    return "matters" if max(largest) > 1.0 else "small"


def _deciding(sizes: dict[Any, Any], found: dict[Any, Any]) -> tuple[int, float]:
    """Bin that decides, and the size of what does: a bias that matters, else a coverage that does, else what is small.

    Where nothing was found it is the bin with the largest bias.
    """
    places = [
        (float(sizes[of][row]), of == "bias", -int(row))
        for of, rows in found.items()
        for row in rows
    ]
    if not places:
        row = int(np.argmax(sizes["bias"]))
        return row, float(sizes["bias"][row])
    size, _, row = max(places, key=lambda place: (place[0] > 1.0, place[1], place[0], place[2]))
    return -row, size


def _worst(row: Mapping[str, Any], tolerance: float) -> Worst:
    names = ("r", "bias", "bias_mcse", "scatter", "coverage68", "coverage95")
    numbers = {name: float(row[name]) for name in names}
    return Worst(unit=str(row["unit"]), n=int(row["n"]), tolerance=tolerance, **numbers)


def _tests(group: _Rows) -> dict[str, Any]:
    """All tests of a verdict: p-values ``p``, what each is ``of`` (bias, 68 or 95), and the ``row`` of its bin."""
    rows = np.arange(len(group))
    p = [significance.bias_p_values(*(group[k] for k in ("bias", "scatter", "skewness", "n")))]
    if labels.quantity_of(str(group["quantity"][0])).scale == "separation":
        p = [np.ones(len(group))]  # its mean is away from zero without a bias: never found
    kinds: list[Any] = ["bias"] * len(group)
    where = [rows]
    for level in _LEVELS:
        stated = group[f"n{level}"] >= ENOUGH
        n, share = (group[name][stated] for name in (f"n{level}", f"coverage{level}"))
        p.append(significance.coverage_p_values(np.round(share * n), n, level / 100.0))
        kinds += [level] * len(n)
        where.append(rows[stated])
    return {
        "p": np.concatenate(p),
        "of": np.array(kinds, dtype=object),
        "row": np.concatenate(where),
    }


def _success_sentence(group: _Rows) -> str:
    """Say how few attempts gave a value where these may not speak for all; empty elsewhere."""
    lossy = group.at(group["lossy"].astype(bool))
    if not len(lossy):
        return ""
    worst = lossy.row(int(np.argmin(lossy["success"])))
    share = labels.share_text(*(worst[f"success{end}"] for end in ("", "_lo", "_hi")))
    text = f"Success is {share}"
    text += f" in the worst of {len(lossy)} of {_bins(len(group))}" if len(group) > 1 else ""
    text += ": what is said here is of the attempts that gave a value."
    if not worst["n68"]:
        return text
    ends = " to ".join(f"{worst[f'coverage68_{end}']:.2f}" for end in ("min", "max"))
    return (
        f"{text} If the others were all misses or all hits, its 68 per cent intervals cover {ends}."
    )


def _why_not(group: _Rows) -> str:
    n, attempted = int(group["n"].max()), int(group["n_attempted"].max())
    if attempted and int(group["n_failed"].min()) == attempted:
        return f"Cannot be determined, because all {attempted} attempted runs gave no value."
    if n == 0:
        return "Cannot be determined, because the mock has no truth for it."
    only = "is only one estimate" if n == 1 else f"are only {n} estimates"
    return f"Cannot be determined, because there {only} (at least {ENOUGH} are needed)."


def _bias_sentence(
    quantity: str, group: _Rows, found: Any, alpha: float, tolerances: Tolerances
) -> str:
    factor = labels.error_factor(quantity)
    worst = _extreme(group.at(found) if len(found) else group, "bias")
    unit = labels.error_unit(quantity, str(worst["unit"]))
    if labels.quantity_of(quantity).scale == "separation":  # its mean is above zero without a bias
        return f"Off by {labels.with_error(worst['bias'], worst['bias_mcse'])} {unit} on average."
    if not len(found):
        limit = factor * float(significance.bias_found(group["bias_mcse"], group["n"], alpha).max())
        often = f"in {10 * significance.LIKELY:.0f} of 10 runs"
        return f"No bias found; one of {limit:.2g} {unit}".rstrip() + f" would have been, {often}."
    size = f"{labels.with_error(worst['bias'], worst['bias_mcse'], factor)} {unit}".rstrip()
    where = f" at r = {worst['r']:.3g} kpc" if np.isfinite(worst["r"]) else ""
    tolerance = tolerances.bias(labels.quantity_of(quantity, str(worst["unit"])))
    if abs(worst["bias"]) <= tolerance:
        where += f", less than the tolerance of {f'{factor * tolerance:.3g} {unit}'.rstrip()}"
    if len(group) == 1:
        return f"Biased by {size}{where}."
    return f"Biased in {len(found)} of {_bins(len(group))}, most by {size}{where}."


def _interval_sentence(group: _Rows, found: dict[Any, Any], alpha: float) -> str:
    if not (group["n68"].any() or group["n95"].any()):
        return "It states no errors."
    for level in _LEVELS:
        if len(found[level]):
            return _wrong_intervals(group, group.at(found[level]), level)
    levels = tuple(level for level in _LEVELS if group[f"n{level}"].max() >= ENOUGH)
    if not levels:
        return f"Of its intervals nothing can be said: fewer than {ENOUGH} are stated."
    counts = np.min([group[f"n{level}"] for level in levels], axis=0)
    n = int(counts[counts >= ENOUGH].min()) if (counts >= ENOUGH).any() else ENOUGH
    often = 100.0 * significance.narrow_power(n, 1.0 - _NARROW, alpha, levels)
    width = 100.0 * significance.narrow_found(n, alpha, levels)
    return (
        "Its intervals cover what they state, within the Monte Carlo error; intervals"
        f" {100.0 * _NARROW:.0f} per cent too narrow would have been found in {often:.2g} per cent of runs,"
        f" {width:.0f} per cent too narrow in {100.0 * significance.LIKELY:.0f}."
    )


def _wrong_intervals(group: _Rows, wrong: _Rows, level: int) -> str:
    """Say what is wrong with the intervals of a level."""
    name, nominal = f"coverage{level}", level / 100.0
    narrow = wrong.at(wrong[name] < nominal)
    word, rows = ("narrow", narrow) if len(narrow) else ("wide", wrong)
    worst = rows.row(int(np.argmax(np.abs(rows[name] - nominal))))
    text = labels.share_text(*(worst[f"{name}{end}"] for end in ("", "_lo", "_hi")))
    where = f" in {len(rows)} of {_bins(len(group))}" if len(group) > 1 else ""
    return f"Its {level} per cent intervals are too {word}{where}: they cover {text}."


def _extreme(group: _Rows, name: str) -> dict[str, Any]:
    """Row with the largest absolute value of a column."""
    return group.row(int(np.argmax(np.nan_to_num(np.abs(group[name])))))


def _bins(n: int) -> str:
    return f"{n} bin" + ("" if n == 1 else "s")
