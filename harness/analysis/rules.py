"""Conditions that a user writes on tables of scores or of pairs, such as ``"bias_mcse < 0.01 for r=50"``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.cleaning.expressions import Node, parse

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.results.results import Results

#: What the number of realisations grows by at least and at most from look to look.
_LEAST_STEP, _LARGEST_STEP = 1.1, 3.0
#: Margin on what the errors ask for.
_MARGIN: Final = 1.05
#: Rows that a rule may be of.
_FILTERS: Final = ("cell", "estimator", "quantity", "r")


@dataclass(frozen=True)
class Rule:
    """A condition on rows of a table.

    Parameters
    ----------
    text
        As the user wrote it.
    condition
        On columns of a table.
    paired
        Whether the table is that of paired differences; else of scores.
    rows
        Which rows it is about: values by ``cell``, ``estimator``, ``quantity``, ``r`` [kpc].
    where
        What to call it in an error.
    """

    text: str
    condition: Node
    paired: bool
    rows: tuple[tuple[str, str], ...]
    where: str

    @property
    def peeks(self) -> tuple[str, ...]:
        """Names that are neither errors nor counts: a rule that reads them stops where chance is kind to it."""
        return tuple(name for name in self.condition.names if not _is_error(name))

    def of(self, results: Results, valued: bool = True) -> pd.DataFrame:
        """Rows that it is about, of those that have a value, or of all.

        Raises
        ------
        InputError
            If there are none.
        """
        frame = results.pairs() if self.paired else results.table()
        frame = frame[frame["n"] > 0] if valued else frame
        for name, wanted in self.rows:
            if name == "r":
                frame = frame[_holds(frame, float(wanted))]
            else:
                known = sorted(map(str, set(frame[name])))
                if wanted not in known:
                    raise unknown(name, wanted, known, self.where)
                frame = frame[frame[name] == wanted]
        if not len(frame):
            raise InputError(f"{self.where}: no row of the table is about that")
        return frame

    def fails(
        self, frame: pd.DataFrame, growth: float = 1.0
    ) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Where it does not hold; with ``growth`` times as many realisations, as errors foretell."""
        values = {name: frame[name].to_numpy(dtype=float) for name in self.condition.names}
        for name in values:
            if name.endswith("_mcse"):
                values[name] = values[name] / math.sqrt(growth)
            elif _is_error(name):
                values[name] = values[name] * growth
        return np.broadcast_to(~np.asarray(self.condition.at(values), dtype=bool), len(frame))

    def growth(self, frame: pd.DataFrame) -> float:
        """How many times as many realisations it asks for, as errors foretell."""
        for step in np.geomspace(1.0, _LARGEST_STEP, 60):
            if not self.fails(frame, float(step)).any():
                return float(np.clip(step * _MARGIN, _LEAST_STEP, _LARGEST_STEP))
        return _LARGEST_STEP


def _is_error(name: str) -> bool:
    return name.endswith("_mcse") or name in ("n", "n_lost", "n_failed", "n_attempted")


def _holds(frame: pd.DataFrame, r: float) -> pd.Series[bool]:
    """Rows whose bin holds a radius, or that are within a tenth of it."""
    inside = (frame["r_lo"] <= r) & (r < frame["r_hi"])
    return inside | (abs(frame["r"] / r - 1.0) < 0.1)


def make_rule(text: str, what: str = "until") -> Rule:
    """Read a rule such as ``"shift_mcse < 0.01 for quantity=m200, estimator=jeans-3d"``; ``what`` it is for.

    Raises
    ------
    InputError
        If it is no condition on columns of one table, or names rows by something else.
    """
    from haloassay.analysis import pairs, scores

    where = f"{what} {text!r}"
    condition, _, rows = text.partition(" for ")
    labels = {*_FILTERS, "bin", "unit", "r_lo", "r_hi", "lossy"}
    tables = {True: {*pairs.COLUMNS} - labels, False: {*scores.COLUMNS} - labels}
    node = parse(condition, frozenset(tables[True] | tables[False]), where)
    if not node.names:
        raise InputError(f"{where}: names no column of a table")
    of = [paired for paired, columns in tables.items() if set(node.names) <= columns]
    if not of:
        raise InputError(f"{where}: its columns are of two tables: scores and paired differences")
    chosen = []
    for part in filter(None, (part.strip() for part in rows.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise InputError(f"{where}: expected NAME=VALUE after 'for' (got {part!r})")
        if name not in _FILTERS:
            raise unknown("name", name, _FILTERS, where)
        if name == "r":
            _require_radius(value, where)
        chosen.append((name, value))
    return Rule(text, node, of[-1], tuple(chosen), where)


def _require_radius(value: str, where: str) -> None:
    try:
        r = float(value)
    except ValueError:
        r = math.nan
    if not (math.isfinite(r) and r > 0.0):
        raise InputError(f"{where}: r is a radius in kpc (got {value!r})")
