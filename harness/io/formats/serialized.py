"""What astropy keeps beside the columns of ECSV, Parquet and HDF5: names, types, units and metadata, as YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from haloassay.base.errors import InputError
from haloassay.contracts.columns import SUN_KEY


@dataclass(frozen=True)
class Serialized:
    """The YAML of a table that astropy wrote.

    Parameters
    ----------
    names
        Of the columns in their order.
    units
        By name, where they have one.
    arrays
        Names of columns whose entries are arrays or objects.
    delimiter
        Of ECSV.
    meta
        What the table says of itself, of what a catalogue keeps.
    """

    names: tuple[str, ...]
    units: Mapping[str, str]
    arrays: frozenset[str]
    delimiter: str
    meta: Mapping[str, str]


def parse(lines: Sequence[str]) -> Serialized:
    """Read the YAML.

    Raises
    ------
    InputError
        If it describes no columns.
    """
    from astropy.table.meta import get_header_from_yaml

    header = get_header_from_yaml(list(lines))
    columns = header.get("datatype") if isinstance(header, Mapping) else None
    if not isinstance(columns, list) or not all(
        isinstance(c, Mapping) and isinstance(c.get("name"), str) for c in columns
    ):
        raise InputError("its metadata describe no columns")
    meta: Any = header.get("meta") or {}
    sun = meta.get(SUN_KEY) if isinstance(meta, Mapping) else None
    return Serialized(
        tuple(c["name"] for c in columns),
        {c["name"]: str(c["unit"]) for c in columns if c.get("unit")},
        frozenset(c["name"] for c in columns if c.get("subtype")),
        str(header.get("delimiter", " ")),
        {} if sun is None else {SUN_KEY: str(sun)},
    )
