"""Trained networks that come with haloassay, a folder each: arrays, and what they are in JSON."""

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).resolve().parent


def names() -> tuple[str, ...]:
    """Names of the packaged networks, in alphabetical order."""
    return tuple(sorted(file.parent.name for file in _FOLDER.glob("*/network.json")))


def path(name: str) -> Path:
    """Folder of the packaged network ``name``; it exists only for the names of :func:`names`."""
    return _FOLDER / name
