"""Columns that stay in their file: read when they are asked for, whole or a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray

#: Rows of a table that is kept in memory; columns of longer ones stay on disk.
KEPT: Final = 2**22

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

    def subset(self, kept: BoolArray) -> StoredColumns:
        """Columns of some of the rows (N,), which stay where they are."""

        def blocks(wanted: Sequence[str]) -> Iterator[Mapping[str, FloatArray]]:
            start = 0
            for part in self.blocks(wanted):
                chosen = kept[start : start + len(next(iter(part.values())))]
                start += len(chosen)
                yield {name: values[chosen] for name, values in part.items()}

        return StoredColumns(self.names, int(kept.sum()), lambda wanted: steady(blocks(wanted)))


def steady(blocks: Iterator[Mapping[str, FloatArray]]) -> Iterator[Mapping[str, FloatArray]]:
    """Blocks of two rows or more: one that is left alone goes with its neighbour, as rounding would be its own."""
    held: Mapping[str, FloatArray] | None = None
    for block in blocks:
        n = len(next(iter(block.values())))
        if held is None:
            held = block
        elif n < 2 or len(next(iter(held.values()))) < 2:
            held = {name: np.concatenate([values, block[name]]) for name, values in held.items()}
        else:
            yield held
            held = block
    if held is not None:
        yield held
