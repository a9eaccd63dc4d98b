"""Files that a command writes: refused before any work is done for them, and whole or absent."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from haloassay.base.errors import InputError
from haloassay.base.files import named_place, same_file, writing

if TYPE_CHECKING:
    from haloassay.planning.scenario import Scenario


#: Formats of tables.
FORMATS: Final = ("terminal", "csv", "ecsv", "latex", "markdown", "parquet")


#: Formats for readers, and the functions of a module of reports that write them.
_READERS: Final = {"terminal": "text", "latex": "latex", "markdown": "markdown"}


def for_readers(words: Any, fmt: str) -> Callable[..., str] | None:
    """How a module of reports writes a format for readers; None of one for machines."""
    return getattr(words, _READERS[fmt]) if fmt in _READERS else None


def require_table(fmt: str, out: Path | None) -> None:
    """Refuse a table that would go where its format is of no use, or a file that cannot be written.

    Raises
    ------
    InputError
        If it would.
    """
    require_writable({"--out": out})
    if fmt == "parquet" and out is None and sys.stdout.isatty():
        raise InputError("--format parquet: is no text for a terminal; name a file (--out)")
    if fmt == "terminal" and out is not None:
        raise InputError(f"--out {out}: choose a format for a file (--format)")


def require_writable(
    outputs: Mapping[str, Path | None], inputs: Mapping[str, str | Path] | None = None
) -> None:
    """Refuse output files that cannot be written, that are one file, or that the command itself reads.

    Parameters
    ----------
    outputs
        What the file is for, as in ``"--out"``, and the file; None where none is wanted.
    inputs
        What the command reads, by what it is; names that are no files do no harm.

    Raises
    ------
    InputError
        If one of them is unusable.
    """
    wanted = {option: file for option, file in outputs.items() if file is not None}
    for file in wanted.values():
        if file.is_dir():
            raise InputError(f"{file}: cannot be written: is a folder")
        if not file.parent.is_dir():
            raise InputError(f"{file}: cannot be written: there is no folder {file.parent}")
        place = named_place(file)
        needed = [file] if file.exists() else []
        if place is not None:
            needed.append(place.parent)  # the file is made beside and renamed
        if not all(os.access(each, os.W_OK) for each in needed):
            raise InputError(f"{file}: cannot be written: permission denied")
    for (option, file), (other, its) in combinations(wanted.items(), 2):
        if named_place(file) is not None and same_file(file, its):
            raise InputError(f"{other} {its}: is the file of {option}")
    for option, file in wanted.items():
        for what, read in (inputs or {}).items():
            if named_place(file) is not None and same_file(file, Path(read)):
                raise InputError(f"{option} {file}: is the {what} itself, which would be lost")


def require_outside(out: Path | None, results: Path) -> None:
    """Refuse an output file that would stand among those of a results folder.

    Raises
    ------
    InputError
        If it would.
    """
    if out is None:
        return
    from haloassay.contracts.schema import SCHEMAS
    from haloassay.results.description import DESCRIPTION

    kept = (results / kind for kind in SCHEMAS)
    if same_file(out, results / DESCRIPTION) or any(same_file(out.parent, each) for each in kept):
        raise InputError(f"--out {out}: stands among the results in {results}; name another file")


def files_of(scenario: Scenario) -> dict[str, str]:
    """Files that a scenario reads, by what they are: its own, and those that mock and survey name."""
    levels = [level for entry in scenario.matrix.entries for level in entry.levels]
    read = [scenario.mock, scenario.survey, levels]
    found = {f"file {name}": name for name in _texts(read)}
    return {"scenario": scenario.origin, **found}


def _texts(value: Any) -> Iterator[str]:
    """All texts in plain values that may be the name of a file."""
    if isinstance(value, str):
        if "\0" not in value:
            yield value
        return
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for part in value:
        yield from _texts(part)


def write(content: str | bytes, out: Path | None) -> None:
    """Write to a file, whole or not at all, or to standard output where there is none.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    if out is None:
        sys.stdout.buffer.write(data)
    else:
        with writing(out) as file:
            file.write_bytes(data)
