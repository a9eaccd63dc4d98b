"""Paired differences, the largest first: what of a matrix moves an estimator, in units of what matters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.contracts import labels
from haloassay.contracts.tolerances import Tolerances

if TYPE_CHECKING:
    import pandas as pd

#: Monte Carlo errors beyond which a shift is told from none.
CLEAR: Final = 3.0


def changes(pairs: pd.DataFrame, tolerances: Tolerances) -> pd.DataFrame:
    """Bin with the largest shift of each (cell, estimator, quantity), the largest first.

    Parameters
    ----------
    pairs
        Frame of the function ``paired``.
    tolerances
        Sizes above which errors matter: shifts of different quantities are compared in units of them.

    Returns
    -------
    pandas.DataFrame
        Columns of ``pairs`` and ``size``, the shift in units of the tolerance of its quantity, of those shifts that are
        beyond three Monte Carlo errors.
    """
    clear = pairs[np.abs(pairs["shift"]) > CLEAR * pairs["shift_mcse"]]
    limits = [
        tolerances.bias(labels.quantity_of(str(quantity), str(unit)))
        for quantity, unit in zip(clear["quantity"], clear["unit"], strict=True)
    ]
    with np.errstate(divide="ignore"):
        sizes = np.abs(clear["shift"].to_numpy(float)) / np.array(limits, dtype=float)
    ranked = clear.assign(size=sizes).sort_values("size", ascending=False, kind="stable")
    return ranked.drop_duplicates(["cell", "estimator", "quantity"])
