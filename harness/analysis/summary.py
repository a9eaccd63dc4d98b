"""Everything that a report of a run shows, gathered once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from haloassay.analysis.overlap import DescribedResults, overlaps
from haloassay.analysis.pairs import paired
from haloassay.analysis.scores import SCORES, coverage_curve, outcomes, sample, score, undetermined

if TYPE_CHECKING:
    import pandas as pd

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
        and ``undetermined``; ``pairs`` is None for a run of one cell.
    calibration, ranks
        Frames of the functions ``calibrate`` and ``rank_counts``.
    overlaps
        Frame of the function ``overlaps``.
    base_cell
        Cell that ``pairs`` compare with.
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
    overlaps: pd.DataFrame
    pairs: pd.DataFrame | None = None
    base_cell: str = ""
    damage: str = ""
    definitions: Mapping[str, str] = field(default_factory=dict)


def summarise(results: DescribedResults) -> Summary:
    """Gather what a run says; see :class:`Summary`."""
    from haloassay.analysis.calibrate import calibrate, rank_counts

    cells = [str(cell) for cell in results.cells.get("cell", [])]
    base = "base" if "base" in cells else next(iter(cells), "")
    return Summary(
        description=results.description,
        quantities=results.quantities,
        scores=score(results),
        outcomes=outcomes(results),
        undetermined=undetermined(results),
        curve=coverage_curve(results),
        cloud=sample(results),
        calibration=calibrate(results),
        ranks=rank_counts(results),
        overlaps=overlaps(results),
        pairs=paired(results, base) if len(cells) > 1 else None,
        base_cell=base,
        damage=results.damage,
        definitions={s.name: s.definition for s in SCORES},
    )
