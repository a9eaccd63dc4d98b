"""Result tables that no run has written, as scores read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from haloassay.contracts.quantities import Quantity


@dataclass(frozen=True)
class Tables:
    """Files of rows, the cells that they are of, and what the estimates are of."""

    estimates_files: list[Path]
    runs_files: list[Path]
    cells: pd.DataFrame
    quantities: Mapping[str, Quantity]
    unpaired: tuple[str, ...] = ()
    shared: tuple[tuple[str, str, str], ...] = ()
