"""Everything that a report of a run shows, gathered once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from haloassay.analysis.overlap import DescribedResults, overlaps
from haloassay.analysis.pairs import paired
from haloassay.analysis.realizations import FactorTables
from haloassay.analysis.scores import SCORES, coverage_curve, outcomes, sample, score, undetermined
from haloassay.contracts.tolerances import Tolerances, tolerances_of

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.analysis.budget import Budget
    from haloassay.contracts.factors import StatedFactor
    from haloassay.contracts.quantities import Quantity


@dataclass(frozen=True, eq=False)
class Summary:
    """What a run says: all frames that a page shows.

    Parameters
    ----------
    description
        Content of ``run.json``: scenario, versions, platform.
    quantities
        What the estimates are of, by name.
    scores, pairs, curve, cloud, outcomes, undetermined
        Frames of the functions ``score``, ``paired``, ``coverage_curve``, ``sample``, ``outcomes``
        and ``undetermined``; ``pairs`` is None for a run of one cell, or of a base that nothing is paired with.
    calibration, ranks
        Frames of the functions ``calibrate`` and ``rank_counts``.
    detailed
        Cells of which ``curve``, ``cloud`` and ``ranks`` speak: all of them where there are not many.
    overlaps
        Frame of the function ``overlaps``.
    base_cell
        Cell that ``pairs`` compare with.
    factors
        What varies between the cells.
    budgets
        Of the function ``every``: all budgets that there are.
    damage
        What of the results is damaged and left out, in one line.
    definitions
        Name and definition of each score.
    """

    description: Mapping[str, Any]
    quantities: Mapping[str, Quantity]
    scores: pd.DataFrame
    outcomes: pd.DataFrame
    undetermined: pd.DataFrame
    curve: pd.DataFrame
    cloud: pd.DataFrame
    calibration: pd.DataFrame
    ranks: pd.DataFrame
    detailed: frozenset[str]
    overlaps: pd.DataFrame
    pairs: pd.DataFrame | None = None
    base_cell: str = ""
    factors: Sequence[StatedFactor] = ()
    budgets: Sequence[Budget] = ()
    damage: str = ""
    definitions: Mapping[str, str] = field(default_factory=dict)

    @property
    def tolerances(self) -> Tolerances:
        """Sizes above which errors matter."""
        return tolerances_of(self.description.get("scenario", {}))


class RunTables(DescribedResults, FactorTables, Protocol):
    """What a report reads of a run."""


#: Score rows whose single estimates, ranks and curves of coverage are read.
_DETAILED: Final = 1500


def _detailed(scores: pd.DataFrame, base: str) -> frozenset[str]:
    """Cells that are told in detail: the base first, then others in their order, while there is room."""
    sizes = scores.groupby("cell", sort=False).size()
    order = sorted(sizes.index, key=lambda cell: cell != base)
    total = np.cumsum([sizes[cell] for cell in order])
    return frozenset(cell for k, cell in enumerate(order) if k == 0 or total[k] <= _DETAILED)


def summarise(results: RunTables) -> Summary:
    """Gather what a run says; see :class:`Summary`."""
    from haloassay.analysis.budget import every
    from haloassay.analysis.calibrate import calibrate, rank_counts

    cells = [str(cell) for cell in results.cells.get("cell", [])]
    base = "base" if "base" in cells else next(iter(cells), "")
    scores = score(results)
    detailed = _detailed(scores, base)
    yielded = [str(quantity) for quantity in scores["quantity"].unique() if quantity]
    return Summary(
        description=results.description,
        quantities=results.quantities,
        scores=scores,
        outcomes=outcomes(results),
        undetermined=undetermined(results),
        curve=coverage_curve(results, cells=detailed),
        cloud=sample(results, cells=detailed),
        calibration=calibrate(results),
        ranks=rank_counts(results, detailed),
        detailed=detailed,
        overlaps=overlaps(results),
        pairs=paired(results, base) if len(cells) > 1 and base not in results.unpaired else None,
        base_cell=base,
        factors=results.factors,
        budgets=every(results, yielded),
        damage=results.damage,
        definitions={s.name: s.definition for s in SCORES},
    )
