"""What a participant of a blind challenge reads first: the README beside the catalogues."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

#: What columns of catalogues are, where the name does not say it.
_COLUMNS: Final = {
    "ra": "right ascension, ICRS",
    "dec": "declination, ICRS",
    "distance": "heliocentric distance",
    "pmra": "proper motion in right ascension, with cos(dec)",
    "pmdec": "proper motion in declination",
    "vlos": "heliocentric line-of-sight velocity",
    "pm_corr": "correlation of the errors of both proper motions",
    "feh": "[Fe/H]",
    "alpha_fe": "[alpha/Fe]",
}
_TEXT: Final = """\
# A blind challenge

{n} catalogues of halo stars, each of a Galaxy whose truth is sealed. Say what each of them is, with honest error bars.

## What is asked

Of each catalogue:

| quantity | r [kpc] | unit | what it is |
|---|---|---|---|
{asked}

v_r (positive outward), v_theta (positive towards the north Galactic pole) and v_phi (right-handed about the axis to
that pole: the disc's rotation is negative) are along Galactocentric spherical axes, sigma_r, sigma_theta and sigma_phi
their dispersions; radii are Galactocentric. {virial}The same stands in `challenge.json`, for programs.

## What is known

{survey}

| column | unit | what it is |
|---|---|---|
{columns}

A column `..._err` is the standard error that the observer states.
{sun}
{cleaned}Catalogues stand in no order. {apart}

## What to send in

One CSV file, called by the name that you want to have in the table. `submission.csv` is such a file without values:
fill in `value`, `lo68` and `hi68` (the central interval of 68 per cent), and, if you have them, `lo95` and `hi95`.

- Where a number cannot be determined, leave value and intervals empty and say why in `note`.
- A row that is missing or empty counts as failed, as one with a note does; a row with a value and a note is refused.
  What you answer for no catalogue at all you do not enter.
- Without intervals a number is scored for bias and scatter alone.

`haloassay challenge check . NAME.csv` says whether a file is well formed. It needs nothing but this folder, and scores
nothing.

## How it is scored

By bias, scatter and root mean square of the errors, which are fractions of the truth ({fractional}) or
differences; by how often the intervals of 68 and 95 per cent hold the truth; by the interval score of both; and by the
share of catalogues for which there is a value. All are told beside each other: no one number is the result.

## How you know that nothing was changed

Before you were given this, the truth was committed to:

    {sha256}

This is the SHA-256 of a salt and the sealed truth, one after the other. When both are published,
`cat salt truth.json | sha256sum` prints it again, and `haloassay challenge verify` also compares the catalogues and
what you were told.
"""


_APART: Final = "No two of them have a star in common."
_SHARED: Final = "They may have stars in common, as the simulations behind them have only so many."


def invitation(told: Mapping[str, Any]) -> str:
    """Text of the README of a challenge, of what its ``challenge.json`` says."""
    asked = {q["name"]: f"{q['unit']} | {q['definition']}" for q in told["asked"]}
    radii = {name: [q["r"] for q in told["asked"] if q["name"] == name] for name in asked}
    lines = [
        f"| `{name}` | {', '.join(f'{r:g}' for r in radii[name] if r is not None)} | {told} |"
        for name, told in asked.items()
    ]
    fractional = dict.fromkeys(
        f"`{q['name']}`" for q in told["asked"] if q["scale"] == "fractional"
    )
    columns = [
        f"| `{name}` | {unit} | {_COLUMNS.get(name, '')} |"
        for name, unit in told["columns"].items()
        if not name.endswith("_err")
    ]
    return _TEXT.format(
        n=len(told["catalogues"]),
        asked="\n".join(lines),
        columns="\n".join(columns),
        fractional=", ".join(fractional) or "none here",
        virial=_virial(told["virial_density"]),
        survey=_survey(told["survey"], told["survey_not_told"]),
        sun=_sun(told["sun"]),
        cleaned=_cleaned(told["cleaned"]),
        apart=_SHARED if told["shared_stars"] else _APART,
        sha256=told["commitment"]["sha256"],
    )


def _virial(density: float | None) -> str:
    if density is None:
        return ""
    return f"Within r200 the dark halo has a mean density of {density:g} Msun/kpc^3.\n"


def _survey(settings: Mapping[str, Any], not_told: Sequence[str]) -> str:
    if not settings and not not_told:
        return "The survey sees the whole sky."
    left = (
        "Of the survey these settings are not told, as catalogues differ in them or they are files of the organiser:\n"
        f"{', '.join(not_told)}."
    )
    if "template" in not_told:
        left += "\nErrors are those of stars of the `template`, and not of settings: the columns `..._err` have them."
    if not settings:
        return left
    more = f"\n\n{left}" if not_told else ""
    lines = "\n".join(f"    {name} = {json.dumps(value)}" for name, value in settings.items())
    return (
        "The survey, as its observer states it; `haloassay describe survey` explains the settings; `null` is no\n"
        f"limit. What is wrong with its measurements, if anything, is not told.\n\n{lines}{more}"
    )


def _sun(sun: Mapping[str, float] | None) -> str:
    if sun is None:
        return "Each file says where the Sun is (its key `SUN`)."
    place = f"x = {sun['x']:g}, y = 0, z = {sun['z']:g} kpc"
    motion = ", ".join(f"v{axis} = {sun[f'v{axis}']:g}" for axis in "xyz")
    words = (
        f"The Sun is taken to be at {place} and to move with {motion} km/s in Galactocentric axes (right-handed, z to"
        " the north, y in the direction of rotation); each file says so, too."
    )
    return "\n".join(textwrap.wrap(words, 120))


def _cleaned(kinds: list[str]) -> str:
    return f"Stars were taken out before: {', '.join(kinds)}.\n" if kinds else ""
