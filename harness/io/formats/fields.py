"""What every reader returns: tables of named columns, read one by one when asked for."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haloassay.base.errors import InputError
from haloassay.base.text import is_number, printable
from haloassay.io.formats import memory

#: Names that skip a column of a file without header.
SKIP: Final = ("-", "_")

#: What astropy calls the column beside NAME that tells which of its entries are masked.
_MASK: Final = ".mask"

Array = NDArray[Any]
#: Values and unit (None where the file states none) of a name.
Get = Callable[[str], tuple[Array, str | None]]


def _nothing(_: str) -> int:
    return 0


@dataclass(frozen=True)
class Blocks:
    """Columns of plain numbers of a file, read some rows at a time.

    Parameters
    ----------
    names
        Names of the columns that can be read so.
    rows
        Number of rows.
    read
        Values and units of some of these columns, of consecutive rows, a block after the other.
    """

    names: frozenset[str]
    rows: int
    read: Callable[[Sequence[str]], Iterator[Mapping[str, tuple[Array, str | None]]]]


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
    cost
        Bytes that reading a column takes; 0 of what is in memory already.
    limit
        Bytes that may be taken; None where that does not matter.
    blocks
        How to read some rows at a time; None where the format, or the file, has no way to.
    """

    names: tuple[str, ...]
    get: Get
    meta: Mapping[str, str] = field(default_factory=dict)
    cost: Callable[[str], int] = _nothing
    limit: int | None = None
    blocks: Blocks | None = None

    def require_memory(self, names: Iterable[str], origin: object) -> None:
        """Raise InputError if columns ``names`` of the file ``origin`` take more than the limit together."""
        if self.limit is not None:
            memory.require(sum(self.cost(name) for name in names), self.limit, origin)


@dataclass(frozen=True)
class Table:
    """One of the tables of a file.

    Parameters
    ----------
    name
        What the file calls it; empty where it has no name.
    number
        From 1; of FITS, that of the HDU.
    rows
        Number of rows; None where its columns differ in length.
    fields
        Its columns.
    path
        What stands before the names of its columns where all tables are looked at together; None for
        what tells it from the others of a file of several.
    """

    name: str
    number: int
    rows: int | None
    fields: Fields
    path: str | None = None


@contextlib.contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """Turn what any reader raises into one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # seven libraries, each with errors of its own
        reason = printable((str(error).strip() or type(error).__name__).splitlines()[0])
        raise InputError(f"{path}: not readable as {kind}: {reason}") from error


def missing_as_nan(values: Array, missing: NDArray[np.bool_]) -> Array:
    """Values as numbers (else objects) that are NaN where they are ``missing``, an array of their shape."""
    if not np.any(missing):
        return values
    filled = values.astype(float if values.dtype.kind in "iuf" else object)
    filled[missing] = np.nan
    return filled


def as_numbers(values: Array, what: str) -> NDArray[np.float64]:
    """Values as numbers, also of text; text without any characters is missing, and NaN.

    Raises
    ------
    InputError
        If an entry is no number, but a truth value or a complex one; ``what`` names the column.
    """
    kinds = {"b": "truth values", "c": "complex numbers"}
    kind = values.dtype.kind
    if kind == "O" and any(isinstance(v, bool | np.bool_) for v in values.flat):
        kind = "b"
    if kind in kinds:
        raise InputError(f"{what} is not numeric: it has {kinds[kind]}")
    if values.dtype.kind in "SUO":
        blank = [isinstance(v, str | bytes) and not v.strip() for v in values.flat]
        values = missing_as_nan(values, np.array(blank, dtype=bool).reshape(values.shape))
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        row, entry = next(((i, v) for i, v in enumerate(values, 1) if not is_number(v)), (1, ""))
        text = entry.decode("utf-8", "replace") if isinstance(entry, bytes) else str(entry)
        raise InputError(f"{what} is not numeric: {text[:60]!r} in row {row}") from None


def with_masks(names: Sequence[str], get: Get, path: Path) -> tuple[tuple[str, ...], Get]:
    """Names without those of masks, and values that are NaN where the mask beside them is true."""
    masks = {f"{name}{_MASK}" for name in names} & set(names)

    def masked(name: str) -> tuple[Array, str | None]:
        values, unit = get(name)
        if (beside := f"{name}{_MASK}") in masks:
            mask = get(beside)[0]
            if mask.dtype.kind != "b" or mask.shape != values.shape:
                raise InputError(
                    f"{path}: column {beside} does not say of each entry of {name} whether it is masked"
                )
            values = missing_as_nan(values, mask)
        return values, unit

    return tuple(name for name in names if name not in masks), masked


def refuse_repeated(names: Sequence[str], path: Path) -> None:
    """Raise InputError if two columns have one name."""
    counts = Counter(name for name in names if name and name not in SKIP)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        raise InputError(
            f"{path}: more than one column is named {printable(', '.join(repeated))}; rename them, or give "
            f"all names in their order (columns; '-' skips one)"
        )
