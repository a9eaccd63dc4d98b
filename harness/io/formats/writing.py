"""Writing of table files: whole or not at all, and what is read back is what was written."""

from __future__ import annotations

import gzip
import io
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from haloassay.base.errors import InputError
from haloassay.base.files import writing
from haloassay.contracts.catalogue import spans
from haloassay.io.formats.fields import Array
from haloassay.io.formats.kinds import format_of
from haloassay.io.formats.lines import UNITS_KEY

Columns = Mapping[str, Array]
Words = Mapping[str, str]

#: Rows of a table that are written, and read, at once.
_ROW_GROUP: Final = 2**20

#: Bytes of which a FITS file has a whole number of.
_FITS_BLOCK: Final = 2880

#: Units that FITS and VOTable do not know.
_UNKNOWN_UNITS: Final = ("dex",)


def write_fields(path: Path, columns: Columns, units: Words, meta: Words) -> None:
    """Write (N,) columns with units to ``path``, whole or not at all.

    See :func:`haloassay.base.files.writing`.

    Raises
    ------
    InputError
        If the suffix is unknown or the file cannot be written.
    """
    kind = format_of(path)
    writers: dict[str, Callable[[BinaryIO, Columns, Words, Words], None]] = {
        "CSV": _write_csv,
        "ECSV": _write_ecsv,
        "FITS": _write_fits,
        "HDF5": _write_hdf5,
        "Parquet": _write_parquet,
        "VOTable": _write_votable,
        "text": _write_text,
    }
    if kind not in writers:
        raise InputError(f"{path}: {kind} is read, not written (written: {', '.join(writers)})")
    with writing(path) as place, place.open("wb" if place == path else "x+b") as file:
        if path.name.lower().endswith(".gz"):
            content = io.BytesIO()
            writers[kind](content, columns, units, meta)
            file.write(gzip.compress(content.getvalue(), mtime=0))
        else:
            writers[kind](file, columns, units, meta)


def _head(units: Words, meta: Words) -> str:
    """Comments that keep what a text has no place for; whoever else reads it skips them."""
    lines = {UNITS_KEY: json.dumps(dict(units)), **meta} if units else dict(meta)
    return "".join(f"# {key}: {' '.join(text.split())}\n" for key, text in lines.items())


def _write_csv(file: BinaryIO, columns: Columns, units: Words, meta: Words) -> None:
    import pandas as pd

    file.write(_head(units, meta).encode())
    pd.DataFrame(dict(columns)).to_csv(file, index=False)


def _write_text(file: BinaryIO, columns: Columns, units: Words, meta: Words) -> None:
    file.write(_head(units, meta).encode())
    table = np.stack(list(columns.values()), axis=1)
    np.savetxt(file, table, fmt="%.17g", header=" ".join(columns))


def _write_parquet(file: BinaryIO, columns: Columns, units: Words, meta: Words) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [
        pa.field(name, pa.float64(), metadata={"unit": units[name]} if name in units else None)
        for name in columns
    ]
    schema = pa.schema(fields, metadata=dict(meta))
    n = len(next(iter(columns.values()), ()))
    with pq.ParquetWriter(file, schema) as writer:
        for rows in spans(n, _ROW_GROUP):
            arrays = [pa.array(values[rows], pa.float64()) for values in columns.values()]
            writer.write_table(pa.table(arrays, schema=schema), _ROW_GROUP)


def _write_hdf5(file: BinaryIO, columns: Columns, units: Words, meta: Words) -> None:
    import h5py

    with h5py.File(file, "w") as hdf5:
        hdf5.attrs.update(meta)
        for name, values in columns.items():
            item = hdf5.create_dataset(name, data=values)
            if name in units:
                item.attrs["unit"] = units[name]


def _write_fits(file: BinaryIO, columns: Columns, units: Words, meta: Words) -> None:
    from astropy.io import fits
    from astropy.table import Table

    none = {name: np.asarray(values[:0], dtype=float) for name, values in columns.items()}
    table = fits.table_to_hdu(Table(none, units=_known(units), meta=dict(meta)))
    n = len(next(iter(columns.values()), ()))
    table.header["NAXIS2"] = n
    for header in (fits.PrimaryHDU().header, table.header):
        file.write(header.tostring().encode("ascii"))
    # astropy would make the whole table a second time in memory
    row = np.dtype([(name, ">f8") for name in columns])
    for rows in spans(n, _ROW_GROUP):
        block = np.empty(len(range(n)[rows]), dtype=row)
        for name, values in columns.items():
            block[name] = values[rows]
        file.write(block.tobytes())
    file.write(bytes(-n * row.itemsize % _FITS_BLOCK))


def _write_ecsv(file: BinaryIO, columns: Columns, units: Words, meta: Words) -> None:
    from astropy.table import Table

    text = io.StringIO()
    Table(dict(columns), units=dict(units), meta=dict(meta)).write(text, format="ascii.ecsv")
    file.write(text.getvalue().encode())


def _write_votable(file: BinaryIO, columns: Columns, units: Words, meta: Words) -> None:
    from astropy.io.votable.tree import Info, VOTableFile
    from astropy.table import Table

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = VOTableFile.from_table(Table(dict(columns), units=_known(units)))
        for key, text in meta.items():
            tree.resources[0].infos.append(Info(name=key, value=text))
        # as text, single digits would be lost
        tree.to_xml(file, tabledata_format="binary2")


def _known(units: Words) -> dict[str, str]:
    return {name: unit for name, unit in units.items() if unit not in _UNKNOWN_UNITS}
