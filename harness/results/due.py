"""What a run is to do, as its ``run.json`` says: how many catalogues each cell has, and who reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from haloassay.base.arrays import IntArray
from haloassay.planning.sampling import Sampling
from haloassay.planning.scenario import Spec

if TYPE_CHECKING:
    import pandas as pd


def catalogues(description: Spec) -> dict[str, int]:
    """How many catalogues each cell has."""
    return {cell["cell"]: _size(cell, description) for cell in description["cells"]}


def _size(cell: Spec, description: Spec) -> int:
    n = int(description["scenario"]["realizations"])
    if "catalogues" in cell:
        return int(cell["catalogues"])
    return Sampling(**cell["sampling"]).size(n) if "sampling" in cell else n


def estimator_runs(description: Spec) -> pd.DataFrame:
    """How many runs each estimator has in each cell that it shares with none: columns cell, estimator, due."""
    import pandas as pd

    sizes = catalogues(description)
    rows = [
        (cell["cell"], label, sizes[cell["cell"]])
        for cell in description["cells"]
        for label in cell["estimator_keys"]
        if label not in cell.get("shared", {})
    ]
    return pd.DataFrame(rows, columns=["cell", "estimator", "due"])


def dealt(description: Spec, of: int) -> IntArray:
    """How many catalogues that anybody reads each of so many shards has (:class:`haloassay.planning.shard.Shard`)."""
    read = set(estimator_runs(description)["cell"])
    cells = catalogues(description)
    sizes = np.array([*cells.values()], dtype=np.intp)
    there = np.arange(sizes.max(initial=0))[:, None] < sizes
    wanted = np.broadcast_to(np.array([cell in read for cell in cells]), there.shape)[there]
    return np.bincount(np.flatnonzero(wanted) % of, minlength=of)
