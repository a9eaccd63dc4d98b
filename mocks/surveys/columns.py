"""Columns of a surveyed catalogue, filled batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from haloassay.settings import require

FloatArray = NDArray[np.float64]

#: Columns that only some mocks have values for, and what to call them.
_ABUNDANCES = {"feh": "[Fe/H]", "alpha_fe": "[alpha/Fe]"}


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of ``n`` stars; one that is the same number for all takes no memory."""

    n: int
    arrays: dict[str, FloatArray] = field(default_factory=dict)

    def put(self, rows: slice, values: Mapping[str, FloatArray | float]) -> None:
        """Write values, (K,) or one for all stars, of columns that are made when first met."""
        for name, value in values.items():
            if not isinstance(value, np.ndarray):
                self.arrays[name] = np.broadcast_to(np.float64(value), self.n)
                continue
            if name not in self.arrays:
                self.arrays[name] = np.empty(self.n)
            self.arrays[name][rows] = value

    def known(self) -> dict[str, FloatArray]:
        """All columns, without the abundances that no star has.

        Raises
        ------
        InputError
            If some of the stars have an abundance, and others have not.
        """
        left_out = set()
        for name, title in _ABUNDANCES.items():
            n_missing = int(np.count_nonzero(np.isnan(self.arrays[name])))
            require(
                n_missing in (0, self.n),
                f"survey: {n_missing} of {self.n} stars have no {title}: give it to every "
                "population of the mock, or to none",
            )
            if n_missing:
                left_out |= {name, f"{name}_err"}
        return {name: values for name, values in self.arrays.items() if name not in left_out}
