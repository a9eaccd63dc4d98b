"""Text files of expansions, read strictly: what is wrong is said in one line, with the file and the line in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import GYR_PER_KPC_KMS
from haloassay.base.errors import InputError
from haloassay.mocks.gravity.expansions import harmonics

#: Gyr in a unit of time, by its name.
TimeUnit = Literal["kpc/(km/s)", "Gyr"]
TIME_UNITS: Final[dict[str, float]] = {"kpc/(km/s)": GYR_PER_KPC_KMS, "Gyr": 1.0}

_HARMONIC: Final = re.compile(r"l=(\d+),m=(-?\d+)")


class Line(NamedTuple):
    """One line of a file."""

    number: int
    text: str


def refuse(path: Path, message: str, line: int | None = None) -> InputError:
    """Error about a file, or a line of it."""
    place = "" if line is None else f", line {line}"
    return InputError(f"{path}{place}: {message}")


def read_lines(path: Path) -> list[Line]:
    """All lines of a text file, without blanks at their ends.

    Raises
    ------
    InputError
        If there is no such file, or it is no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        relative = "" if path.is_absolute() else f" (relative to {Path.cwd()})"
        raise refuse(path, f"no such file{relative}") from None
    except UnicodeDecodeError:
        raise refuse(path, "is no text") from None
    except OSError as error:
        raise refuse(path, f"cannot be read: {error.strerror or error}") from None
    return [Line(k, line.strip()) for k, line in enumerate(text.splitlines(), start=1)]


def numbers(path: Path, line: Line, count: int | tuple[int, ...]) -> list[float]:
    """Finite numbers of a line, as many as ``count`` or one of its values.

    Raises
    ------
    InputError
        If there are fewer or more, or one is none or not finite.
    """
    words = line.text.split()
    allowed = (count,) if isinstance(count, int) else count
    if len(words) not in allowed:
        wanted = " or ".join(str(n) for n in allowed)
        raise refuse(path, f"expected {wanted} numbers (got {len(words)})", line.number)
    found = []
    for word in words:
        try:
            value = float(word)
        except ValueError:
            raise refuse(path, f"expected a number (got {word[:40]!r})", line.number) from None
        if not np.isfinite(value):
            raise refuse(path, f"a number is not finite (got {word!r})", line.number)
        found.append(value)
    return found


def require_harmonics(path: Path, header: Line, highest: int) -> None:
    """Refuse a header that does not name all harmonics up to ``highest`` in the order of tables."""
    named = [(int(ell), int(m)) for ell, m in _HARMONIC.findall(header.text)]
    expected = harmonics(highest)
    if named != expected:
        at = next(
            (k for k, pair in enumerate(zip(named, expected, strict=False)) if len(set(pair)) > 1),
            None,
        )
        if at is None:
            said = f"has {len(named)} harmonics, expected the {len(expected)} up to l = {highest}"
        else:
            said = "expected l={},m={} as number {} (got l={},m={})".format(
                *expected[at], at + 1, *named[at]
            )
        raise refuse(path, f"header {said}", header.number)


def block(path: Path, lines: Sequence[Line], rows: int, terms: int) -> FloatArray:
    """(rows, 1 + terms) table of the first lines; the first column is the radius.

    Raises
    ------
    InputError
        If lines end before, or are no such numbers.
    """
    if len(lines) < rows:
        last = lines[-1].number if lines else None
        raise refuse(path, f"truncated: expected {rows} radii (got {len(lines)})", last)
    found = []
    for k, line in enumerate(lines[:rows]):
        if not line.text:
            raise refuse(path, f"truncated: expected {rows} radii (got {k})", line.number)
        found.append(numbers(path, line, 1 + terms))
    return np.array(found)


def time_table(path: Path, unit: float, columns: tuple[int, ...]) -> FloatArray:
    """(T, columns) table of a file whose first column is the time, which becomes Gyr.

    Raises
    ------
    InputError
        If a line has another number of columns than the first, there are fewer than four, or times do not rise.
    """
    found: list[list[float]] = []
    for line in read_lines(path):
        text = line.text.partition("#")[0].strip()
        if not text:
            continue
        row = numbers(path, Line(line.number, text), columns if not found else len(found[0]))
        if found and row[0] <= found[-1][0]:
            raise refuse(
                path, f"times must rise ({row[0]:g} follows {found[-1][0]:g})", line.number
            )
        found.append(row)
    if len(found) < 4:
        raise refuse(path, f"expected four times or more (got {len(found)})")
    table = np.array(found)
    table[:, 0] *= unit
    return table


def plain_table(path: Path) -> tuple[FloatArray, FloatArray]:
    """Radii (N,) and Phi_lm (N, (L + 1)^2) of a plain table: ``# r l=0,m=0 l=1,m=-1 ...``, then a radius a line.

    Raises
    ------
    InputError
        If it is no such table.
    """
    lines = [line for line in read_lines(path) if line.text]
    if not lines or not lines[0].text.startswith("#"):
        raise refuse(path, "expected a header, '# r l=0,m=0 l=1,m=-1 ...'", 1)
    highest = max((int(ell) for ell, _ in _HARMONIC.findall(lines[0].text)), default=0)
    require_harmonics(path, lines[0], highest)
    table = block(path, lines[1:], len(lines) - 1, (highest + 1) ** 2)
    return table[:, 0], table[:, 1:]


def plain_tables(path: Path) -> tuple[list[float], list[FloatArray], list[FloatArray]]:
    """Read times [Gyr], radii and Phi_lm of plain tables in one file, each after a line ``# time T``.

    A header, ``# r l=0,m=0 l=1,m=-1 ...``, stands before the first of them; other lines that begin with # are remarks.

    Raises
    ------
    InputError
        If it is no such file, or times do not rise.
    """
    lines = [line for line in read_lines(path) if line.text]
    headers = [line for line in lines if re.match(r"#\s*r\s+l=", line.text)]
    if not headers:
        raise refuse(path, "expected a header, '# r l=0,m=0 l=1,m=-1 ...'", 1)
    if len(headers) > 1:
        raise refuse(path, "a second header", headers[1].number)
    highest = max(int(ell) for ell, _ in _HARMONIC.findall(headers[0].text))
    require_harmonics(path, headers[0], highest)
    times: list[float] = []
    rows: list[list[Line]] = []
    for line in lines:
        words = line.text.lstrip("#").split()
        if line.text[0] == "#" and words[:1] == ["time"]:
            times += numbers(path, Line(line.number, " ".join(words[1:])), 1)
            rows.append([])
            if len(times) > 1 and times[-1] <= times[-2]:
                raise refuse(
                    path, f"times must rise ({times[-1]:g} follows {times[-2]:g})", line.number
                )
        elif line.text[0] != "#":
            if not rows:
                raise refuse(
                    path, "expected a line '# time T' before the first radius", line.number
                )
            rows[-1].append(line)
    if not times:
        raise refuse(path, "no line '# time T'")
    for time, own in zip(times, rows, strict=True):
        if not own:
            raise refuse(path, f"truncated: no radius after the time {time:g}")
    found = [block(path, own, len(own), (highest + 1) ** 2) for own in rows]
    return times, [table[:, 0] for table in found], [table[:, 1:] for table in found]
