"""Catalogues whose columns stay in their file: examined once as a whole, read again in blocks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.stored import StoredColumns, steady
from haloassay.io.defects import sound_columns, wrapped
from haloassay.io.reader import Reader

#: Makes a catalogue of columns of any frame.
Convert = Callable[[Mapping[str, FloatArray]], Catalogue]


def stored(
    reader: Reader,
    columns: dict[str, FloatArray],
    convert: Convert,
    drop: str | Iterable[str],
    speed_limit: float,
    used: Collection[str] | None,
) -> Catalogue:
    """Catalogue of a long file, which is read again, block by block, whenever a column is asked for.

    Parameters
    ----------
    reader
        What reads the file.
    columns
        All that was read of it, which is given up once its rows are known to be sound.
    convert, drop, speed_limit, used
        As of :func:`haloassay.io.defects.sift`.

    Raises
    ------
    InputError
        As there; and, when the columns are read, if the file is no longer the same.
    """
    some = {name: values[:2].copy() for name, values in columns.items()}
    names, kept, dropped = sound_columns(columns, convert, reader.origin, drop, speed_limit, used)
    sample = convert({name: some[name] for name in names})
    turned = set(sample.columns) != set(names)
    path = Path(reader.origin)
    state = _state(path)

    def blocks(wanted: Sequence[str]) -> Iterator[dict[str, FloatArray]]:
        start = 0
        if _state(path) != state:
            raise InputError(f"{path}: was changed while it was read")
        for block in reader.blocks(names if turned else wanted):
            part = {name: values for name, (values, _) in block.items()}
            part.update(wrapped(part))
            n = len(next(iter(part.values())))
            chosen = kept[start : start + n]
            start += n
            if not chosen.all():
                part = {name: values[chosen] for name, values in part.items()}
            yield {name: values for name, values in convert(part).columns.items() if name in wanted}

    there = StoredColumns(
        tuple(sample.columns), int(kept.sum()), lambda wanted: steady(blocks(wanted))
    )
    return Catalogue(there, sample.sun, sample.origin, dropped)


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns
