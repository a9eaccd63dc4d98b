"""Scenarios that come with haloassay, as TOML files beside this module."""

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).resolve().parent


def names() -> tuple[str, ...]:
    """Names of the packaged scenarios, in alphabetical order."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def path(name: str) -> Path:
    """File of the packaged scenario ``name``; it exists only for the names of :func:`names`."""
    return _FOLDER / f"{name}.toml"
