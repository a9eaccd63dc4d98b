"""Columns of surveyed stars, filled batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haloassay.base.arrays import FloatArray
from haloassay.base.disk import empty_on_disk, let_go
from haloassay.base.settings import require
from haloassay.contracts import stored
from haloassay.contracts.catalogue import spans
from haloassay.contracts.stored import StoredColumns

#: Columns that only some mocks have values for, and what to call them.
ABUNDANCES = {"feh": "[Fe/H]", "alpha_fe": "[alpha/Fe]"}


@dataclass(eq=False)
class Columns:
    """Columns that grow by rows; one that is the same number for all takes no memory, and long ones are on disk.

    Parameters
    ----------
    capacity
        Rows that there is room for; the room doubles where it does not suffice.
    """

    capacity: int
    n: int = 0
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)

    def append(self, n: int, values: Mapping[str, NDArray[Any] | float]) -> None:
        """Add ``n`` rows: values (n, ...), or one for all rows, of columns that are known from the first call."""
        rows = slice(self.n, self.n + n)
        while rows.stop > self.capacity:
            self._grow(2 * max(self.capacity, 1))
        for name, value in values.items():
            if not isinstance(value, np.ndarray):
                self.numbers[name] = float(value)
                continue
            if name not in self.arrays:
                self.arrays[name] = self._room(self.capacity, value)
            self.arrays[name][rows] = value
        self.n = rows.stop
        let_go(self.arrays.values())

    def _grow(self, capacity: int) -> None:
        for name, values in self.arrays.items():
            self.arrays[name] = self._room(capacity, values)
            self.arrays[name][: self.n] = values[: self.n]
        self.capacity = capacity

    def _room(self, capacity: int, like: NDArray[Any]) -> NDArray[Any]:
        shape = (capacity, *like.shape[1:])
        if capacity > stored.KEPT:
            return empty_on_disk(shape, like.dtype)
        return np.empty(shape, like.dtype)

    def filled(self) -> dict[str, NDArray[Any]]:
        """All columns, (n, ...)."""
        same = {name: np.broadcast_to(value, self.n) for name, value in self.numbers.items()}
        return same | {name: values[: self.n] for name, values in self.arrays.items()}

    def known(self) -> Mapping[str, FloatArray]:
        """All columns, without the abundances that no star has; those of many stars are read block by block.

        Raises
        ------
        InputError
            If some of the stars have an abundance, and others have not.
        """
        left_out, columns = set(), self.filled()
        for name, title in ABUNDANCES.items():
            n_missing = int(np.count_nonzero(np.isnan(columns[name])))
            require(
                n_missing in (0, self.n),
                f"survey: {n_missing} of {self.n} stars have no {title}: give it to every "
                "population of the mock, or to none",
            )
            if n_missing:
                left_out |= {name, f"{name}_err"}
        known = {name: values for name, values in columns.items() if name not in left_out}
        return known if self.n <= stored.KEPT else _on_disk(known, self.n)


def _on_disk(columns: Mapping[str, FloatArray], n: int) -> StoredColumns:
    """Columns (n,) of which no more than a block is in memory."""

    def blocks(wanted: Sequence[str]) -> Iterator[dict[str, FloatArray]]:
        for rows in spans(n):
            yield {name: columns[name][rows].copy() for name in wanted}
            let_go(columns.values())

    return StoredColumns(tuple(columns), n, blocks)
