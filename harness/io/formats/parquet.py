"""Parquet: one table, with the units of its fields, of astropy's metadata or of a VOTable in its head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from haloassay.contracts.catalogue import BLOCK
from haloassay.io.formats.fields import Array, Blocks, Fields, Table, missing_as_nan, with_masks
from haloassay.io.formats.kinds import unpacked
from haloassay.io.formats.serialized import parse

#: Bytes of a column that are read from the file at a time.
_BUFFER: Final = 2**20


def read_parquet(path: Path, limit: int) -> list[Table]:
    """Read the table of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = unpacked(path, limit)
    with pq.ParquetFile(source) as file:
        schema, rows, stored = file.schema_arrow, file.metadata.num_rows, _stored(file.metadata)
    meta = {_text(key): _text(value) for key, value in (schema.metadata or {}).items()}
    units = {
        field.name: _text(unit)
        for field in schema
        for key in (b"units", b"unit")
        if (unit := (field.metadata or {}).get(key))
    }
    if "table_meta_yaml" in meta:  # as astropy writes it
        written = parse(meta["table_meta_yaml"].split("\n"))
        units |= written.units
        meta |= written.meta

    def get(name: str) -> tuple[Array, str | None]:
        # read by this class alone, the name of a folder is no column
        with pq.ParquetFile(source) as file:
            column = file.read(columns=[name]).column(name)
        values = column.to_numpy()
        if values.dtype.kind == "O" and column.null_count:
            values = missing_as_nan(values, column.is_null().to_numpy())
        return values, units.get(name)

    def cost(name: str) -> int:
        return 16 * rows + stored.get(name, 0)

    def read(wanted: Sequence[str]) -> Iterator[Mapping[str, tuple[Array, str | None]]]:
        with pq.ParquetFile(source, buffer_size=_BUFFER) as file:
            for groups in _together(file.metadata):
                for batch in file.iter_batches(BLOCK, groups, columns=[*wanted], use_threads=False):
                    yield {
                        name: (batch.column(name).to_numpy(zero_copy_only=False), units.get(name))
                        for name in wanted
                    }

    names, masked = with_masks(schema.names, get, path)
    numbers = pa.types.is_floating, pa.types.is_integer
    plain = {field.name for field in schema if any(of(field.type) for of in numbers)}
    several = len(set(schema.names)) < len(schema.names) or len(names) < len(schema.names)
    blocks = None if several else Blocks(frozenset(plain), rows, read)
    return [Table("", 1, rows, Fields(names, masked, meta, cost, limit, blocks))]


def _together(metadata: Any) -> Iterator[list[int]]:
    """Numbers of row groups that make a block of stars: those that are asked for together are unpacked together."""
    found, rows = [], 0
    for i in range(metadata.num_row_groups):
        found.append(i)
        rows += metadata.row_group(i).num_rows
        if rows >= BLOCK:
            yield found
            found, rows = [], 0
    if found:
        yield found


def _stored(metadata: Any) -> dict[str, int]:
    """Bytes by column, unpacked."""
    found: dict[str, int] = {}
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        for j in range(group.num_columns):
            chunk = group.column(j)
            name = chunk.path_in_schema
            found[name] = found.get(name, 0) + max(chunk.total_uncompressed_size, 0)
    return found


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
