"""Which results of a plan stand."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from haloassay.planning.cells import Cell, Method
from haloassay.planning.plan import Plan

#: Statuses that stand; what timed out or was lost is tried again by the next run.
FINAL: Final = ("ok", "failed", "no-mock")
#: SQL of a status being one of these.
IS_FINAL: Final = f"status IN {FINAL}"


class Stock:
    """What is done of a plan: of each estimator in each cell, realisation by realisation.

    Parameters
    ----------
    plan
        What is to be run.
    """

    def __init__(self, plan: Plan) -> None:
        n = plan.scenario.realizations
        labels = [entry.label for entry in plan.scenario.estimators]
        self._cells = pa.array([cell.label for cell in plan.cells], pa.string())
        self._methods = pa.array(labels, pa.string())
        self._irregular = pa.array([c.label for c in plan.cells if not c.is_regular], pa.string())
        self._number = {label: k for k, label in enumerate(labels)}
        self._size = np.array([cell.size(n) for cell in plan.cells])
        ends = np.cumsum(self._size * len(labels)).reshape(-1, 1)
        starts = np.concatenate([[[0]], ends[:-1]]) + self._size[:, None] * np.arange(len(labels))
        self._first = {cell.label: row for cell, row in zip(plan.cells, starts, strict=True)}
        self._starts = starts
        self._done = np.zeros(int(ends[-1, 0]), dtype=bool)
        #: Realisations that regular cells have been seen to have.
        self.realizations = 0

    def missing(self, cell: Cell, realization: int) -> tuple[Method, ...]:
        """Estimators of a cell that have no final result in this realisation, and share none."""
        done = self._done[self._first[cell.label] + realization]
        return tuple(
            method
            for method in cell.methods
            if method.label not in cell.shared and not done[self._number[method.label]]
        )

    def mark(self, runs: pa.Table) -> None:
        """Note the results of a table of runs."""
        realization = runs["realization"].to_numpy()
        fixed = pc.invert(pc.is_in(runs["cell"], self._irregular)).to_numpy()
        highest = realization[fixed].max(initial=-1)
        self.realizations = max(self.realizations, int(highest) + 1)
        final = pc.is_in(runs["status"], pa.array(FINAL)).to_numpy()
        cell, method = (
            pc.fill_null(pc.index_in(runs[name], known), -1).to_numpy()
            for name, known in (("cell", self._cells), ("estimator", self._methods))
        )
        known = final & (cell >= 0) & (method >= 0)
        known[known] = realization[known] < self._size[cell[known]]
        self._done[self._starts[cell[known], method[known]] + realization[known]] = True
