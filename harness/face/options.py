"""Options ``KEY=VALUE`` as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from haloassay.base.errors import InputError

if TYPE_CHECKING:
    from haloassay.contracts.factors import StatedFactor


def pairs(options: Iterable[str], flag: str) -> dict[str, Any]:
    """Options ``key=value`` as plain values; dots in a key make tables.

    Raises
    ------
    InputError
        If an option has no ``=``, or a key a value and parts.
    """
    from haloassay.base.settings import parse_value

    found: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key:
            raise InputError(f"{flag} {option}: expected KEY=VALUE")
        *tables, name = key.split(".")
        place = found
        for part in tables:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise InputError(f"{flag} {option}: {part!r} has a value already")
        place[name] = parse_value(value)
    return found


class _Results(click.ParamType):  # type: ignore[type-arg] # of some versions
    """Folder of results, or an address of some, which are copied."""

    name = "folder"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from haloassay.results.remote import fetched, is_remote

        return fetched(value) if is_remote(value) else Path(value)


#: Results that a command reads.
RESULTS = _Results()

#: Option of commands that read a scenario.
set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PATH=VALUE",
    help="A setting of the scenario, as survey.n_stars=500 or mock.potential.0.m200=1e12; repeatable.",
)


#: Option of commands that run a matrix.
only_option = click.option(
    "--only",
    multiple=True,
    metavar="FACTOR=LEVEL",
    help="A level of a factor to run, as stars=300, and not its others; repeatable.",
)


def by_factor(options: Iterable[str]) -> dict[str, list[str]]:
    """Options ``factor=level`` as levels by factor.

    Raises
    ------
    InputError
        If an option has no ``=``.
    """
    found: dict[str, list[str]] = {}
    for option in options:
        label, equals, level = (part.strip() for part in option.rpartition("="))
        if not equals or not label:
            raise InputError(f"--only {option}: expected FACTOR=LEVEL")
        found.setdefault(label, []).append(level)
    return found


def by_path(options: Iterable[str], flag: str = "--set") -> dict[str, Any]:
    """Options ``path=value`` as values by path.

    Raises
    ------
    InputError
        If an option has no ``=``, or two have one path.
    """
    from haloassay.base.settings import parse_value

    found: dict[str, Any] = {}
    for option in options:
        path, equals, value = (part.strip() for part in option.partition("="))
        if not equals or not path:
            raise InputError(f"{flag} {option}: expected PATH=VALUE")
        if path in found:
            raise InputError(f"{flag} {option}: {path} has a value already")
        found[path] = parse_value(value)
    return found


def named(
    options: Iterable[str], factors: Sequence[StatedFactor], flag: str
) -> list[tuple[str, Any]]:
    """Names and values of options whose names are labels of factors, which may hold anything, also ``=``.

    Raises
    ------
    InputError
        If an option has no ``=``.
    """
    from haloassay.base.settings import parse_value

    known = {name for factor in factors for name in (factor.label, *factor.paths)}
    found = []
    for option in options:
        ends = [k for k, letter in enumerate(option) if letter == "=" and k > 0]
        if not ends:
            raise InputError(f"{flag} {option}: expected LABEL=VALUE")
        end = next((k for k in ends if option[:k].strip() in known), ends[0])
        found.append((option[:end].strip(), parse_value(option[end + 1 :].strip())))
    return found
