"""Table files as named columns and units: FITS, ECSV, CSV, Parquet, HDF5 and text."""

from __future__ import annotations

import contextlib
import csv
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haloassay.base.errors import InputError
from haloassay.base.files import writing
from haloassay.contracts.columns import SUN_KEY

#: Suffix to format.
FORMATS: Final = {
    ".fits": "FITS",
    ".fit": "FITS",
    ".fits.gz": "FITS",
    ".ecsv": "ECSV",
    ".csv": "CSV",
    ".parquet": "Parquet",
    ".hdf5": "HDF5",
    ".h5": "HDF5",
    ".txt": "text",
    ".dat": "text",
}

#: Names that skip a column of a file without header.
SKIP: Final = ("-", "_")

#: What may separate the columns of a CSV file, in the order of preference.
DELIMITERS: Final = (",", ";", "\t")

Array = NDArray[Any]


@dataclass(frozen=True)
class Fields:
    """Named columns of a file, read one by one when asked for.

    Parameters
    ----------
    names
        Names of the columns in the file.
    get
        Values and unit (None where the file states none) of a name.
    meta
        What else the file says, as text.
    """

    names: tuple[str, ...]
    get: Callable[[str], tuple[Array, str | None]]
    meta: Mapping[str, str] = field(default_factory=dict)


def format_of(path: Path) -> str:
    """Name of the format of ``path``, by its suffix."""
    for suffix, name in FORMATS.items():
        if path.name.lower().endswith(suffix):
            return name
    raise InputError(f"{path}: unknown format (allowed suffixes: {', '.join(FORMATS)})")


def read_fields(path: Path, names: Sequence[str] | None, transpose: bool | None) -> Fields:
    """Columns of the file ``path``.

    Parameters
    ----------
    path
        File of a format in :data:`FORMATS`.
    names
        Names of the columns in their order, for CSV and text; ``-`` or ``_`` skips one.
    transpose
        Whether rows of a text file are columns; None decides by the number of names.

    Raises
    ------
    InputError
        If the file is missing or cannot be read as its format.
    """
    kind = format_of(path)
    if not path.is_file():
        raise InputError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    if names is not None and kind not in ("CSV", "text"):
        raise InputError(f"columns: {kind} files name their columns; use name=file_name")
    if transpose and kind != "text":
        raise InputError(f"{path}: only text files (.txt, .dat) are read transposed")
    with readable(path, kind):
        if kind == "text":
            return _read_text(path, names, transpose)
        if kind == "CSV":
            return _read_csv(path, names)
        return {
            "Parquet": _read_parquet,
            "HDF5": _read_hdf5,
            "FITS": _read_astropy,
            "ECSV": _read_astropy,
        }[kind](path)


@contextlib.contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """Turn what any reader raises into one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # five libraries, each with errors of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: not readable as {kind}: {reason}") from error


def _of_arrays(columns: Mapping[str, Array]) -> Fields:
    return Fields(tuple(columns), lambda name: (columns[name], None))


def _data_lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as file:  # spreadsheets begin with a byte-order mark
        yield from (line for line in file if line.strip() and not line.lstrip().startswith("#"))


def _is_numeric(words: Sequence[str]) -> bool:
    """Whether a line can be data: at least one word is a number."""
    for word in words:
        with contextlib.suppress(ValueError):
            float(word)
            return True
    return False


def _refuse_repeated(names: Sequence[str], path: Path) -> None:
    counts = Counter(name for name in names if name and name not in SKIP)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise InputError(
            f"{path}: more than one column is named {', '.join(repeated)}; rename them, or give "
            f"all names in their order (columns; '-' skips one)"
        )


def _header(path: Path, width: int) -> list[str] | None:
    """Names in the last comment above the data, where there are as many as columns."""
    names = None
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.lstrip().startswith("#"):
                break
            words = line.lstrip("# \t").split()
            names = words if len(words) == width else names
    return names


def _read_text(path: Path, names: Sequence[str] | None, transpose: bool | None) -> Fields:
    first = next(_data_lines(path), "").split()
    if not first:
        raise InputError(f"{path}: there are no rows")
    skip_header = not _is_numeric(first)
    if names is None:
        names = first if skip_header else _header(path, len(first))
    if names is None:
        raise InputError(f"{path}: columns have no names; give them in their order (columns)")
    _refuse_repeated(names, path)
    n_rows = sum(1 for _ in _data_lines(path)) - skip_header
    if transpose is None:
        transpose = len(first) != len(names) and n_rows == len(names)
    found = n_rows if transpose else len(first)
    if found != len(names):
        raise InputError(
            f"{path}: {len(names)} names for {found} "
            f"{'rows' if transpose else 'columns'} ('-' skips one)"
        )
    wanted = [i for i, name in enumerate(names) if name not in SKIP]
    lines: Iterator[str] = islice(_data_lines(path), int(skip_header), None)
    if transpose:
        lines = (line for line, name in zip(lines, names, strict=True) if name not in SKIP)
    table = np.loadtxt(lines, ndmin=2, usecols=None if transpose else wanted)
    return _of_arrays(
        dict(zip([names[i] for i in wanted], table if transpose else table.T, strict=True))
    )


def _read_csv(path: Path, names: Sequence[str] | None) -> Fields:
    import pandas as pd

    line = next(_data_lines(path), "").strip("\r\n ")
    splits = {mark: next(csv.reader([line], delimiter=mark), [""]) for mark in DELIMITERS}
    delimiter = max(splits, key=lambda mark: len(splits[mark]))
    first = [word.strip() for word in splits[delimiter]]
    has_header = not _is_numeric(first)
    if names is None:
        if not has_header:
            raise InputError(f"{path}: columns have no names; give them in their order (columns)")
        _refuse_repeated(first, path)
    if names is not None and len(names) != len(first):
        raise InputError(f"{path}: {len(names)} names for {len(first)} columns ('-' skips one)")
    with warnings.catch_warnings():  # a row too long is an error, not a loss
        warnings.simplefilter("error", pd.errors.ParserWarning)
        # pandas deprecates asking for exact parsing where that is all it does
        warnings.simplefilter("ignore", DeprecationWarning)
        table = pd.read_csv(
            path,
            sep=delimiter,
            comment="#",
            header=0 if has_header else None,
            skipinitialspace=True,
            index_col=False,
            float_precision="round_trip",
        )
    labels = [str(label).strip() for label in table.columns] if names is None else names
    columns = {name: table.iloc[:, i] for i, name in enumerate(labels) if name not in SKIP}
    return Fields(tuple(columns), lambda name: (columns[name].to_numpy(), None))


def _read_parquet(path: Path) -> Fields:
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    meta = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    units = {
        name: unit.decode()
        for name in schema.names
        if (unit := (schema.field(name).metadata or {}).get(b"unit"))
    }
    if "table_meta_yaml" in meta:  # as astropy writes it
        units |= _yaml_units(meta["table_meta_yaml"].split("\n"))

    def get(name: str) -> tuple[Array, str | None]:
        return pq.read_table(path, columns=[name]).column(0).to_numpy(), units.get(name)

    return Fields(tuple(schema.names), get, meta)


def _yaml_units(lines: list[str]) -> dict[str, str]:
    """Units that astropy keeps beside the columns of Parquet and HDF5."""
    from astropy.table.meta import get_header_from_yaml

    header = get_header_from_yaml(lines)
    return {c["name"]: str(c["unit"]) for c in header["datatype"] if c.get("unit")}


def _read_hdf5(path: Path) -> Fields:
    """Datasets by their path, and the columns of compound datasets by their own names."""
    import h5py

    places: dict[str, tuple[str, str | None]] = {}
    units: dict[str, str] = {}

    def note(place: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if place.endswith("__table_column_meta__"):
            units.update(_yaml_units([line.decode() for line in item[()]]))
        elif item.dtype.names is not None:
            places.update({name: (place, name) for name in item.dtype.names})
        else:
            places[place] = (place, None)

    def get(name: str) -> tuple[Array, str | None]:
        place, part = places[name]
        with h5py.File(path) as file:
            item = file[place]
            unit = item.attrs.get("unit", item.attrs.get("units", units.get(name)))
            values = item[()] if part is None else item[part]
        return values, unit.decode() if isinstance(unit, bytes) else unit

    with h5py.File(path) as file:
        file.visititems(note)
        meta = {SUN_KEY: str(file.attrs[SUN_KEY])} if SUN_KEY in file.attrs else {}
    return Fields(tuple(places), get, meta)


def _read_astropy(path: Path) -> Fields:
    from astropy.table import Table

    if format_of(path) == "FITS":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a unit that is not known is named where it matters
            return table_fields(Table.read(path, format="fits"))
    return table_fields(Table.read(path, format="ascii.ecsv"))


def table_fields(table: Any) -> Fields:
    """Columns of an astropy Table or QTable; masked values become NaN."""

    def get(name: str) -> tuple[Array, str | None]:
        column = table[name]
        unit = getattr(column, "unit", None)
        values = getattr(column, "value", column)
        if np.ma.isMaskedArray(values):
            values = np.ma.filled(values.astype(float), np.nan)
        return np.asarray(values), None if unit is None else str(unit)

    meta = {str(key): str(value) for key, value in table.meta.items() if str(key) == SUN_KEY}
    return Fields(tuple(table.colnames), get, meta)


def write_fields(
    path: Path, columns: Mapping[str, Array], units: Mapping[str, str], meta: Mapping[str, str]
) -> None:
    """Write (N,) columns with units to ``path``, whole or not at all.

    CSV and text keep neither units nor ``meta``.

    Raises
    ------
    InputError
        If the suffix is unknown or the file cannot be written.
    """
    kind = format_of(path)
    writers: dict[str, Callable[..., None]] = {
        "CSV": _write_csv,
        "text": _write_text,
        "Parquet": _write_parquet,
        "HDF5": _write_hdf5,
    }
    write = writers.get(kind, _write_astropy)
    suffix = next(suffix for suffix in FORMATS if path.name.lower().endswith(suffix))
    with writing(path, suffix) as temporary:
        write(temporary, columns, units, meta)


def _write_csv(path: Path, columns: Mapping[str, Array], *_: Mapping[str, str]) -> None:
    import pandas as pd

    pd.DataFrame(dict(columns)).to_csv(path, index=False)


def _write_text(path: Path, columns: Mapping[str, Array], *_: Mapping[str, str]) -> None:
    np.savetxt(
        path, np.stack(list(columns.values()), axis=1), fmt="%.17g", header=" ".join(columns)
    )


def _write_parquet(
    path: Path, columns: Mapping[str, Array], units: Mapping[str, str], meta: Mapping[str, str]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [
        pa.field(name, pa.float64(), metadata={"unit": units[name]} if name in units else None)
        for name in columns
    ]
    schema = pa.schema(fields, metadata=dict(meta))
    pq.write_table(
        pa.table([pa.array(v, pa.float64()) for v in columns.values()], schema=schema), path
    )


def _write_hdf5(
    path: Path, columns: Mapping[str, Array], units: Mapping[str, str], meta: Mapping[str, str]
) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs.update(meta)
        for name, values in columns.items():
            item = file.create_dataset(name, data=values)
            if name in units:
                item.attrs["unit"] = units[name]


def _write_astropy(
    path: Path, columns: Mapping[str, Array], units: Mapping[str, str], meta: Mapping[str, str]
) -> None:
    from astropy.table import Table

    fits = format_of(path) == "FITS"
    # FITS knows no dex
    stated = {name: unit for name, unit in units.items() if not (fits and unit == "dex")}
    table = Table(dict(columns), units=stated, meta=dict(meta))
    table.write(path, format="fits" if fits else "ascii.ecsv", overwrite=True)
