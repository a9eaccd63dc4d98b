"""Columns that stay in their file: read when they are asked for, whole or a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from haloassay.base.arrays import FloatArray

#: Values of some columns, of consecutive rows, in the order of the rows: no block is larger than it need be.
Blocks = Callable[[Sequence[str]], Iterator[Mapping[str, FloatArray]]]


class StoredColumns(Mapping[str, FloatArray]):
    """Columns of a file that is too large to be kept in memory, as a mapping of names to arrays (N,).

    All values are finite: who makes these columns has looked at each. Nothing is kept, so that a column that is asked
    for twice is read twice.

    Parameters
    ----------
    names
        Names of the columns.
    n_rows
        Number of rows.
    blocks
        Reads some of the columns, block by block.
    """

    def __init__(self, names: Sequence[str], n_rows: int, blocks: Blocks) -> None:
        self.names, self.n_rows, self.blocks = tuple(names), n_rows, blocks

    def __getitem__(self, name: str) -> FloatArray:
        if name not in self.names:
            raise KeyError(name)
        out = np.empty(self.n_rows)
        start = 0
        for part in self.blocks((name,)):
            values = part[name]
            out[start : start + len(values)] = values
            start += len(values)
        out.flags.writeable = False
        return out

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names
