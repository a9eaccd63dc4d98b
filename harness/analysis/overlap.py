"""How much the realisations have in common that are drawn from one stored population.

Stars are drawn without replacement from those that are stored, so two realisations have a share f of their observed
stars in common. What scatters from realisation to realisation is then too small by up to sqrt(1 - f) (the correction
for finite populations; Cochran 1977, Sampling Techniques, ch. 2), and all realisations have a common error, that of the
population itself, of up to sqrt(f / (1 - f)) of the scatter that is seen, which no number of realisations makes
smaller. Both are upper limits: errors of measurement are drawn anew each time, and moments are compared with those of
the population itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from haloassay.analysis.query import ResultTables, open_tables

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import pandas as pd


class DescribedResults(ResultTables, Protocol):
    """Result tables, and what run.json says of them."""

    @property
    def description(self) -> Mapping[str, Any]:
        """Content of run.json, whose cells say the size of a stored population."""

    @property
    def damage(self) -> str:
        """What is damaged and left out, in one line; empty where nothing is."""


def overlaps(results: DescribedResults) -> pd.DataFrame:
    """List stored populations, and what two realisations of a cell have in common.

    Returns
    -------
    pandas.DataFrame
        One row a cell that has a stored population and results: ``cell``, ``population`` (stars), ``n_stars``
        (observed, median over realisations) and ``share`` (f, mean over realisations).
    """
    import pandas as pd

    stored = pd.DataFrame(
        [
            (str(cell["cell"]), cell["mock"]["population"])
            for cell in results.description.get("cells", ())
            if "population" in (cell.get("mock") or {})
        ],
        columns=["cell", "population"],
        dtype=object,
    ).astype({"population": int})
    with open_tables(results) as tables:
        shares = tables.sql(
            "SELECT cell, median(n_stars) AS n_stars, avg(overlap) AS share FROM runs"
            " WHERE overlap IS NOT NULL GROUP BY cell"
        ).df()
    return stored.merge(shares, on="cell")
