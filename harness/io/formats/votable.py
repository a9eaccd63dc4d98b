"""VOTable: its tables, listed by one pass over the XML and then read by astropy; no address in it is followed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, Final
from xml.parsers import expat

from haloassay.base.errors import InputError
from haloassay.contracts.columns import SUN_KEY
from haloassay.io.formats import memory
from haloassay.io.formats.fields import Array, Fields, Table
from haloassay.io.formats.kinds import opened, unpacked
from haloassay.io.formats.objects import table_fields

_SIZES: Final = {"short": 2, "int": 4, "float": 4, "long": 8, "floatComplex": 8}
_CHUNK: Final = 1 << 20
#: Bytes that astropy takes for one of the file.
_BYTE: Final = 3


@dataclass
class _Element:
    """What the tags of one table say."""

    name: str
    stated: int
    columns: list[str] = field(default_factory=list)
    width: int = 0
    rows: int = 0


def read_votable(path: Path, limit: int) -> list[Table]:
    """List the tables of a VOTable; one is read when a column of it is asked for."""
    elements, meta, length = _scan(path, limit)
    return [
        _table(path, element, number, meta, length, limit)
        for number, element in enumerate(elements, 1)
    ]


def _table(
    path: Path, element: _Element, number: int, meta: dict[str, str], length: int, limit: int
) -> Table:
    rows = max(element.rows, element.stated)
    whole = rows * element.width + _BYTE * length

    @cache
    def load() -> tuple[Fields, tuple[str, ...]]:
        from astropy.io import votable

        memory.require(whole, limit, path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # half of all files break the standard somewhere
            source = unpacked(path, limit)
            name = str(source) if isinstance(source, Path) else source
            tree = votable.parse(name, verify="ignore", table_number=number - 1)
            parts = [t for t in tree.iter_tables() if not t.is_empty() or not rows]
            fields = table_fields((parts or [next(tree.iter_tables())])[0].to_table())
        return fields, fields.names

    def get(name: str) -> tuple[Array, str | None]:
        fields, names = load()
        return fields.get(names[element.columns.index(name)])

    def cost(_: str) -> int:
        return 16 * rows + whole // max(len(element.columns), 1)

    names = tuple(element.columns)
    return Table(element.name, number, rows, Fields(names, get, meta, cost, limit))


def _scan(path: Path, limit: int) -> tuple[list[_Element], dict[str, str], int]:
    """Tables, metadata and length of the XML [bytes], whatever it is packed in."""
    elements: list[_Element] = []
    meta: dict[str, str] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if tag == "TABLE":
            name = attributes.get("name") or attributes.get("ID") or ""
            elements.append(_Element(name, _count(attributes.get("nrows"), path)))
        elif tag == "FIELD" and elements:
            elements[-1].columns.append(attributes.get("name") or attributes.get("ID") or "")
            elements[-1].width += _width(attributes, path)
        elif tag == "TR" and elements:
            elements[-1].rows += 1
        elif tag == "STREAM" and (there := attributes.get("href")):
            raise InputError(
                f"{path}: its data are kept elsewhere ({there}), which is not followed: copy them "
                f"into this file"
            )
        elif tag == "INFO" and attributes.get("name") == SUN_KEY:
            meta[SUN_KEY] = attributes.get("value", "")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EntityDeclHandler = _refuse_entity
    length = 0
    with opened(path) as file:
        while chunk := file.read(_CHUNK):
            length += len(chunk)
            memory.require(_BYTE * length, limit, path)
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    return elements, meta, length


def _refuse_entity(name: str, *_: Any) -> None:
    raise InputError(f"defines the entity {name!r}, which no table needs")


def _count(text: str | None, path: Path) -> int:
    if text is None or not text.strip():
        return 0
    if not text.strip().isdecimal() or len(text.strip()) > 18:
        raise InputError(f"{path}: not readable as VOTable: a number is {text[:40]!r}")
    return int(text)


def _width(attributes: dict[str, str], path: Path) -> int:
    """Bytes of an entry; of entries of any length, those of a reference."""
    parts = attributes.get("arraysize", "1").rstrip("*").split("x")
    numbers = [_count(part, path) for part in parts if part.strip()]
    return _SIZES.get(attributes.get("datatype", ""), 8) * prod(n for n in numbers if n) + 1
