"""Potentials of agama in text: coefficients of its type Multipole, and lists of them at times, its type Evolving.

A file has sections, ``[Potential NAME]``, of lines ``key=value``. In one of type Multipole a line ``Coefficients``
follows, ``#Phi``, a header, ``gridSizeR`` lines of a radius and (lmax + 1)^2 numbers, and after an empty line the
same of ``#dPhi/dr``; in one of type Evolving, ``Timestamps`` and lines of a time and a file. Lengths are kpc,
velocities km/s, times kpc/(km/s), as in the public models of the Milky Way and the LMC (Vasiliev 2024,
2024MNRAS.527..437V); agama's harmonics have the phase (-1)^m, ours have none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from haloassay.base.constants import GYR_PER_KPC_KMS
from haloassay.base.errors import InputError
from haloassay.base.settings import guess
from haloassay.mocks.gravity.expansion_text import (
    Line,
    block,
    read_lines,
    refuse,
    require_harmonics,
)
from haloassay.mocks.gravity.expansions import HarmonicTable, harmonics
from haloassay.mocks.gravity.harmonic_kernels import HIGHEST

_SECTION: Final = re.compile(r"\[(.*)\]")
#: Lines after which there are no more keys.
_DATA: Final = ("Coefficients", "Timestamps")
_MULTIPOLE: Final = {"type", "gridsizer", "lmax", "mmax", "symmetry"}
_EVOLVING: Final = {"type", "interplinear", "linearinterp", "center"}
#: Keys as agama writes them.
_WRITTEN: Final = {"gridsizer": "gridSizeR"}


@dataclass(frozen=True)
class Section:
    """One section of a file.

    Parameters
    ----------
    path
        The file.
    name
        As it stands in brackets, without ``Potential``.
    line
        Number of its first line.
    keys
        Values and line numbers, by keys in small letters.
    kind
        The line after which the data follow; empty without any.
    data
        All lines after it.
    """

    path: Path
    name: str
    line: int
    keys: dict[str, tuple[str, int]]
    kind: str
    data: tuple[Line, ...]

    @property
    def title(self) -> str:
        """As it stands in the file."""
        return f"[Potential {self.name}]" if self.name else "[Potential]"

    @property
    def type(self) -> str:
        """Type of the potential, in small letters."""
        return self.keys.get("type", ("", 0))[0].lower()


def sections(path: Path) -> list[Section]:
    """All sections of a file.

    Raises
    ------
    InputError
        If the file cannot be read, has no section, or has lines that belong to none or are no ``key=value``.
    """
    found: list[Section] = []
    starts = []
    lines = read_lines(path)
    for k, line in enumerate(lines):
        if _SECTION.fullmatch(line.text):
            starts.append(k)
        elif not starts and line.text and line.text[0] not in "#;":
            raise refuse(path, "expected a section, such as [Potential]", line.number)
    if not starts:
        raise refuse(path, "has no section, such as [Potential]")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        found.append(_section(path, lines[start:end]))
    return found


def _section(path: Path, lines: Sequence[Line]) -> Section:
    keys: dict[str, tuple[str, int]] = {}
    name = lines[0].text[1:-1].strip()
    if not name.lower().startswith("potential"):
        raise refuse(path, f"expected a section of a potential (got [{name}])", lines[0].number)
    for k, line in enumerate(lines[1:], start=1):
        if line.text in _DATA:
            own = tuple(lines[k + 1 :])
            return Section(path, name[9:].strip(), lines[0].number, keys, line.text, own)
        if not line.text or line.text[0] in "#;":
            continue
        key, equals, value = line.text.partition("=")
        if not equals:
            raise refuse(path, f"expected key=value (got {line.text[:40]!r})", line.number)
        keys[key.strip().lower()] = (value.partition("#")[0].strip(), line.number)
    return Section(path, name[9:].strip(), lines[0].number, keys, "", ())


def chosen(path: Path, name: str) -> Section:
    """Section of a name, or the only one where no name is given.

    Raises
    ------
    InputError
        If there is none, or several and no name.
    """
    there = sections(path)
    names = [section.name for section in there]
    if not name:
        if len(there) == 1:
            return there[0]
        raise refuse(path, f"has several potentials: say which as FILE#NAME ({', '.join(names)})")
    same = [section for section in there if section.name.lower() == name.lower()]
    if not same:
        raise refuse(
            path, f"has no [Potential {name}]{guess(name, names)} (there are: {', '.join(names)})"
        )
    return same[0]


def multipole(section: Section) -> HarmonicTable:
    """Coefficients of a section of type Multipole.

    Raises
    ------
    InputError
        If it has another type, keys that would move or turn it, or other coefficients than it says.
    """
    path = section.path
    if section.type != "multipole" or section.kind != "Coefficients":
        raise refuse(
            path,
            f"{section.title} is of type {section.type or 'none'}, expected Multipole with Coefficients",
            section.line,
        )
    _require_keys(section, _MULTIPOLE)
    rows, highest = _integer(section, "gridsizer", 4, 10_000), _integer(section, "lmax", 0, HIGHEST)
    terms = (highest + 1) ** 2
    tables, lines = [], list(section.data)
    for title in ("#Phi", "#dPhi/dr"):
        if title != "#Phi":
            lines = _after_blank(section, lines, title)
        if not lines or lines[0].text != title:
            raise refuse(path, f"truncated: expected {title}", _number_of(section, lines))
        if len(lines) < 2 or not lines[1].text.startswith("#"):
            raise refuse(
                path, "expected a header, '#radius l=0,m=0 ...'", _number_of(section, lines[1:])
            )
        if "l=" in lines[1].text:
            require_harmonics(path, lines[1], highest)
        tables.append(block(path, lines[2:], rows, terms))
        lines = lines[2 + rows :]
    further = [line for line in lines if line.text]
    if further:
        raise refuse(path, f"more than the {rows} radii that gridSizeR says", further[0].number)
    phi, slope = tables
    if not np.array_equal(phi[:, 0], slope[:, 0]):
        k = int(np.argmax(phi[:, 0] != slope[:, 0]))
        raise refuse(
            path,
            f"radii of Phi and dPhi/dr differ (number {k + 1}: {phi[k, 0]:g} and {slope[k, 0]:g})",
        )
    phase = np.array([(-1.0) ** m for _, m in harmonics(highest)])
    r = phi[:, 0]
    try:
        return HarmonicTable(r, phi[:, 1:] * phase, slope[:, 1:] * r[:, None] * phase)
    except InputError as error:
        raise refuse(path, str(error)) from None


def timestamps(section: Section) -> tuple[list[float], list[Path]]:
    """Read times [Gyr] and files of a section of type Evolving; files are relative to its own.

    Raises
    ------
    InputError
        If it has other keys than such a section, a line is no time and file, or times do not rise.
    """
    path = section.path
    _require_keys(section, _EVOLVING)
    times: list[float] = []
    files = []
    for line in section.data:
        if not line.text or line.text[0] in "#;":
            continue
        words = line.text.split(maxsplit=1)
        try:
            time = float(words[0]) * GYR_PER_KPC_KMS
        except ValueError:
            raise refuse(
                path, f"expected a time and a file (got {line.text[:40]!r})", line.number
            ) from None
        if len(words) < 2 or not np.isfinite(time):
            raise refuse(path, f"expected a time and a file (got {line.text[:40]!r})", line.number)
        if times and time <= times[-1]:
            raise refuse(
                path, f"times must rise ({words[0]} follows an equal or later one)", line.number
            )
        times.append(time)
        files.append(path.parent / words[1].strip())
    if not times:
        raise refuse(path, "no times after Timestamps", section.line)
    return times, files


def centre_file(section: Section) -> Path | None:
    """File of the path of its centre, where the section names one.

    Raises
    ------
    InputError
        If ``center`` is numbers.
    """
    if "center" not in section.keys:
        return None
    value, number = section.keys["center"]
    if re.fullmatch(r"[-+.\d eE,\[\]]*", value):
        raise refuse(section.path, f"center must be a file (got {value!r})", number)
    return section.path.parent / value


def _require_keys(section: Section, allowed: set[str]) -> None:
    for key, (_, number) in section.keys.items():
        if key not in allowed:
            raise refuse(
                section.path,
                f"{key!r} cannot be followed here (allowed: {', '.join(sorted(allowed))})",
                number,
            )


def _integer(section: Section, key: str, least: int, most: int) -> int:
    if key not in section.keys:
        raise refuse(section.path, f"has no {_WRITTEN.get(key, key)}", section.line)
    value, number = section.keys[key]
    if not re.fullmatch(r"\d{1,6}", value) or not least <= int(value) <= most:
        raise refuse(
            section.path,
            f"{_WRITTEN.get(key, key)} must be an integer from {least} to {most} (got {value!r})",
            number,
        )
    return int(value)


def _after_blank(section: Section, lines: list[Line], title: str) -> list[Line]:
    """Lines after the empty one that separates tables."""
    if lines and lines[0].text and lines[0].text != title:
        raise refuse(
            section.path,
            f"expected an empty line and {title}: more radii than gridSizeR",
            lines[0].number,
        )
    return lines[1:] if lines and not lines[0].text else lines


def _number_of(section: Section, lines: Sequence[Line]) -> int:
    return lines[0].number if lines else (section.data[-1].number if section.data else section.line)
