"""How much the realisations have in common that are drawn from one stored population.

Stars are drawn without replacement from N that are stored, so a realisation which looks at n of them shares a
fraction f = n / N with any other. What scatters from realisation to realisation is then too small by up to
sqrt(1 - f) (the correction for finite populations, Cochran 1977, Sampling Techniques, ch. 2), and all of them share
the error of the population itself, sqrt(f / (1 - f)) of the scatter that is seen, which no number of realisations
makes smaller. Errors of measurement are drawn anew each time, which is why both are upper limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import pandas as pd

    from haloassay.score import ResultTables

    class DescribedResults(ResultTables, Protocol):
        """Result tables, and what run.json says of them."""

        @property
        def description(self) -> Mapping[str, Any]:
            """Content of run.json, whose cells say the size of a stored population."""


def overlaps(results: DescribedResults) -> pd.DataFrame:
    """List stored populations, and how many stars a realisation looks at to find those that are observed.

    Returns
    -------
    pandas.DataFrame
        One row a cell that has a stored population and results: ``cell``, ``population`` (N), ``n_stars`` and
        ``n_drawn`` (medians over realisations), ``share`` (f).
    """
    import pandas as pd

    from haloassay.score import open_tables

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
        drawn = tables.sql(
            "SELECT cell, median(n_stars) AS n_stars, median(n_drawn) AS n_drawn FROM runs"
            " WHERE n_drawn > 0 GROUP BY cell"
        ).df()
    found = stored.merge(drawn, on="cell")
    return found.assign(share=(found["n_drawn"] / found["population"]).clip(upper=1.0))
