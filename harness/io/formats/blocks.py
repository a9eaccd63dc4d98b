"""The blocks of a FITS file: whether all that its headers speak of is there, and what they say of tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from haloassay.base.errors import InputError
from haloassay.io.formats.kinds import opened

#: Bytes of a block, of which headers and data have a whole number, and of a line of a header.
_BLOCK: Final = 2880
_CARD: Final = 80
#: How headers begin.
_BEGINS: Final = (b"SIMPLE  =", b"XTENSION=")
#: Blocks of a header at most, and bytes of data: what says more is damaged.
_LONGEST: Final = 10_000
_MOST: Final = 2**60
#: Axes of data at most.
_AXES: Final = 999


class _TruncatedError(Exception):
    """The file ends within what it has begun."""


def require_whole(path: Path, setting: str = "") -> None:
    """Raise :class:`InputError` if a FITS file, packed or not, ends before its headers and data do.

    Astropy warns of it at best, and reads what is left. What is no FITS file, or damaged in another way, is left to
    whoever reads it. ``setting`` stands before the name of the file.
    """
    for _ in headers(path, setting):
        pass


def headers(path: Path, setting: str = "") -> Iterator[dict[str, str]]:
    """Headers of a FITS file: each by its keywords, values as they are written.

    Raises
    ------
    InputError
        If the file ends before its headers and data do.
    """
    where = f"{setting}: {path}" if setting else f"{path}"
    try:
        with opened(path) as file:
            yield from _headers(file)
    except (_TruncatedError, EOFError):  # the latter of gzip
        raise InputError(
            f"{where}: is truncated: it ends before its headers say (or one of them is damaged): get it again"
        ) from None
    except OSError:  # not packed as its first bytes say: its reader tells
        return


def _headers(file: BinaryIO) -> Iterator[dict[str, str]]:
    start = 0
    while True:
        file.seek(start)
        found = _header(file)
        if found is None:
            return
        cards, n_blocks = found
        size = _size(cards)
        if size is None:
            return
        start += _BLOCK * (n_blocks - (-size // _BLOCK))
        file.seek(start - 1)
        if not file.read(1):
            raise _TruncatedError
        yield cards


def _header(file: BinaryIO) -> tuple[dict[str, str], int] | None:
    """Read a header, and of how many blocks it is; None where there is none, or no end of it."""
    cards: dict[str, str] = {}
    for n in range(_LONGEST):
        block = file.read(_BLOCK)
        if n == 0 and not block.startswith(_BEGINS):
            return None
        if len(block) < _BLOCK:
            raise _TruncatedError
        for k in range(0, _BLOCK, _CARD):
            card = block[k : k + _CARD].decode("latin-1")
            if card.rstrip() == "END":
                return cards, n + 1
            if card[8:10] == "= ":
                cards.setdefault(card[:8].rstrip(), card[10:])
    return None


def number(cards: Mapping[str, str], key: str, default: int) -> int:
    """Whole number of a header; raises ValueError where it is none."""
    return int(cards[key].partition("/")[0]) if key in cards else default


def text(cards: Mapping[str, str], key: str) -> str:
    """Text of a header, empty where there is none."""
    return cards.get(key, "").strip().partition("'")[2].partition("'")[0].strip()


def _size(cards: Mapping[str, str]) -> int | None:
    """Bytes of the data of a header; None where it does not say."""
    try:
        n = number(cards, "NAXIS", 0)
        axes = [number(cards, f"NAXIS{k + 1}", -1) for k in range(min(n, _AXES))]
        if axes[:1] == [0] and cards.get("GROUPS", "").split("/")[0].strip() == "T":
            axes = axes[1:]
        groups, heap = number(cards, "GCOUNT", 1), number(cards, "PCOUNT", 0)
        bits = abs(number(cards, "BITPIX", 8))
    except ValueError:
        return None
    if min([*axes, groups, heap], default=0) < 0:
        return None
    size = bits // 8 * groups * (heap + math.prod(axes)) if axes else 0
    if size > _MOST:
        raise _TruncatedError
    return size
