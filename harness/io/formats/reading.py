"""Columns of a table file, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from haloassay.base.errors import InputError
from haloassay.base.text import printable
from haloassay.io.formats import memory
from haloassay.io.formats.choice import chosen
from haloassay.io.formats.ecsv import read_ecsv
from haloassay.io.formats.fields import Array, Blocks, Fields, Table, readable, refuse_repeated
from haloassay.io.formats.fits import read_fits
from haloassay.io.formats.hdf5 import read_hdf5
from haloassay.io.formats.kinds import format_of, kind_of
from haloassay.io.formats.objects import read_mrt
from haloassay.io.formats.parquet import read_parquet
from haloassay.io.formats.text import read_csv, read_text
from haloassay.io.formats.votable import read_votable


def read_fields(
    path: Path,
    names: Sequence[str] | None,
    transpose: bool | None,
    *,
    table: str | int | None = None,
    wanted: frozenset[str] | None = None,
    max_memory: str | float | None = None,
) -> Fields:
    """Columns of the file ``path``.

    Parameters
    ----------
    path
        File of a format in :data:`haloassay.io.formats.FORMATS`, which its head tells, else its suffix; packed by gzip
        or not.
    names
        Names of the columns in their order, for CSV and text; ``-`` or ``_`` skips one.
    transpose
        Whether rows of a text file are columns; None decides by the number of names.
    table
        Name or number of the table, of a file of several.
    wanted
        Names of columns, any of which makes a table one that may be meant; None for the columns of all tables
        together, called ``TABLE/column`` where there are several.
    max_memory
        Bytes, or text such as ``"4GB"``, that the columns may take; by default half of what is free.

    Raises
    ------
    InputError
        If the file is missing, cannot be read as its format, or takes more memory, or several of its tables may be
        meant.
    """
    limit = memory.limit_of(max_memory)
    if not path.is_file():
        format_of(path)
        raise InputError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    with readable(path, "a table"):
        kind = kind_of(path)
    if names is not None and kind not in ("CSV", "text"):
        raise InputError(f"columns: {kind} files name their columns; use name=file_name")
    if transpose and kind != "text":
        raise InputError(f"{path}: only text files (.txt, .dat) are read transposed")
    with readable(path, kind):
        fields = chosen(_tables(path, kind, names, transpose, limit), path, table, wanted)
    refuse_repeated(fields.names, path)
    shown = {printable(name): name for name in fields.names}

    def get(name: str) -> tuple[Array, str | None]:
        memory.require(cost(name), limit, f"{path}: column {name}")
        return fields.get(shown[name])

    def cost(name: str) -> int:
        return fields.cost(shown[name])

    return replace(
        fields, names=tuple(shown), get=get, cost=cost, blocks=_shown(fields.blocks, shown)
    )


def _shown(blocks: Blocks | None, names: Mapping[str, str]) -> Blocks | None:
    """Blocks whose columns have other names."""
    if blocks is None:
        return None

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, tuple[Array, str | None]]]:
        for block in blocks.read([names[name] for name in wanted]):
            yield {name: block[names[name]] for name in wanted}

    known = frozenset(name for name, there in names.items() if there in blocks.names)
    return replace(blocks, names=known, read=read)


def _tables(
    path: Path, kind: str, names: Sequence[str] | None, transpose: bool | None, limit: int
) -> list[Table]:
    if kind == "text":
        return read_text(path, names, transpose, limit)
    if kind == "CSV":
        return read_csv(path, names, limit)
    readers = {
        "ECSV": read_ecsv,
        "FITS": read_fits,
        "HDF5": read_hdf5,
        "MRT": read_mrt,
        "Parquet": read_parquet,
        "VOTable": read_votable,
    }
    return readers[kind](path, limit)
