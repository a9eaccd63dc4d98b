"""Scenarios that come with haloassay, as TOML files beside this module, and claims that are tested by them."""

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).resolve().parent


def names() -> tuple[str, ...]:
    """Names of the packaged scenarios, in alphabetical order."""
    return tuple(sorted(file.stem for file in _FOLDER.glob("*.toml")))


def path(name: str) -> Path:
    """File of the packaged scenario ``name``; it exists only for the names of :func:`names`."""
    return _FOLDER / f"{name}.toml"


def measured_names() -> tuple[str, ...]:
    """Names of the packaged tables of published measurements, in alphabetical order."""
    return tuple(sorted(file.stem for file in (_FOLDER / "measured").glob("*.csv")))


def measured_path(name: str) -> Path:
    """File of the packaged table ``name``; it exists only for the names of :func:`measured_names`."""
    return _FOLDER / "measured" / f"{name}.csv"


def claim_names() -> tuple[str, ...]:
    """Names of the packaged claims, in alphabetical order."""
    return tuple(sorted(file.stem for file in (_FOLDER / "claims").glob("*.toml")))


def claim_path(name: str) -> Path:
    """File of the packaged claim ``name``; it exists only for the names of :func:`claim_names`."""
    return _FOLDER / "claims" / f"{name}.toml"
