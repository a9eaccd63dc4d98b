"""Checks of catalogues that determine little, and of what a survey does to a sample."""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from haloassay.contracts.catalogue import Catalogue
from haloassay.testing.check import Failed, NotApplicable, check
from haloassay.testing.invariance import is_comparable
from haloassay.testing.subject import Subject, by_row, catalogue_of

#: Half widths of the 95 per cent interval of half the stars that a value of all of them may be away from theirs.
_HALVES: Final = 3.0
#: Speed of a star that is no star of the halo [km/s].
_OUTLIER: Final = 5000.0


@check("few stars", "One, two and five stars make values with wide intervals, or words.")
def few(subject: Subject) -> str:
    """Ask of next to nothing."""
    told = [
        _told(subject, subject.catalogue(5).select(np.arange(n)), f"{n} stars") for n in (1, 2, 5)
    ]
    return "; ".join(told)


@check(
    "equal stars", "Copies of one star are no sample: words, or intervals of no width.", "standard"
)
def equal(subject: Subject) -> str:
    """Ask of a hundred copies of one star."""
    return _told(subject, subject.catalogue(5).select(np.zeros(100, dtype=int)), "a hundred copies")


@check("a gap", "Radii without stars cost the bins that are there, and no others.", "standard")
def gap(subject: Subject) -> str:
    """Leave out all stars of the middle third."""
    stars = subject.catalogue()
    ends = np.quantile(stars.r, [1.0 / 3.0, 2.0 / 3.0])
    rows = np.flatnonzero((stars.r < ends[0]) | (stars.r > ends[1]))
    return _told(subject, stars.select(rows), f"no star from {ends[0]:.3g} to {ends[1]:.3g} kpc")


@check(
    "one hemisphere",
    "Half of the sky gives the values of all of it, within its errors.",
    "standard",
)
def hemisphere(subject: Subject) -> str:
    """Keep the north."""
    stars = subject.catalogue()
    north = stars.select(np.flatnonzero(stars["z"] > 0.0))
    whole, half = by_row(subject.estimate(stars)), by_row(subject.ask(north, "the north"))
    worst, said = 0.0, ""
    for key, row in half.items():
        width = 0.5 * (row.hi95 - row.lo95)
        if key not in whole or not width > 0.0 or not is_comparable(row):
            continue
        far = abs(whole[key].value - row.value) / width
        worst, said = max((worst, said), (far, f"{key[0]}, bin {key[1]}"))
    if not said:
        raise NotApplicable("no value with an interval in one hemisphere")
    if worst > _HALVES:
        raise Failed(
            f"{said}: {worst:.2g} half widths of 95 per cent from the value of the whole sky"
        )
    return f"at most {worst:.2g} half widths of 95 per cent ({said})"


@check(
    "an outlier",
    "One star of 5000 km/s breaks nothing; how far it moves a value is told.",
    "standard",
)
def outlier(subject: Subject) -> str:
    """Let one star be too fast."""
    stars = subject.stars()
    fast = {name: values.copy() for name, values in stars.items()}
    fast["vx"][0] = _OUTLIER
    before = by_row(subject.estimate(catalogue_of(stars)))
    after = by_row(subject.ask(catalogue_of(fast), "one star of 5000 km/s"))
    moves = [
        (abs(after[key].value - row.value) / (0.5 * (row.hi68 - row.lo68)), key[0])
        for key, row in before.items()
        if key in after and row.hi68 > row.lo68
    ]
    if not moves:
        return "no value with an interval is left"
    far, quantity = max(moves)
    return f"moves {quantity} by {far:.2g} stated errors"


@check(
    "many stars",
    "A hundred thousand stars are read, and the time grows no faster than n log n.",
    "thorough",
)
def many(subject: Subject) -> str:
    """Time a small and a large catalogue."""
    spent = []
    for n in (10_000, 100_000):
        stars = subject.catalogue(n)
        subject.estimate(stars)
        started = time.perf_counter()
        subject.estimate(stars)
        spent.append(time.perf_counter() - started)
    power = float(np.log10(spent[1] / spent[0]))
    if power > 1.5:
        raise Failed(
            f"time grows as n^{power:.2f}: {spent[0]:.3g} s of 1e4, {spent[1]:.3g} s of 1e5 stars"
        )
    return f"{spent[1]:.3g} s of 1e5 stars, as n^{power:.2f}"


def _told(subject: Subject, catalogue: Catalogue, what: str) -> str:
    found = subject.ask(catalogue, what)
    valued = sum(not row.note for row in found)
    return f"{what}: {valued} of {len(found)} rows have a value"
