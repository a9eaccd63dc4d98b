"""Checks that what an observer is, and calls things, changes nothing: the Sun, units, names."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.columns import UNITS
from haloassay.contracts.exchange import sun_meta
from haloassay.contracts.frames import Sun
from haloassay.io import formats
from haloassay.io.tables import read_catalogue
from haloassay.testing.check import Failed, NotApplicable, check
from haloassay.testing.invariance import LEARNT, Stars, compared
from haloassay.testing.subject import STARS, Subject, by_row, seen_from

#: Place and speed of the other Sun, far from those of the Milky Way's.
_OTHER: Final = Sun(x=-6.0, z=1.0, vx=-40.0, vy=180.0, vz=30.0)
#: What is of lines of sight.
_OF_LINES: Final = ("sigma_los", "sigma_l", "sigma_b")
#: Units of the file, and how many of each are one of the canonical unit.
_UNITS: Final = {
    "ra": ("rad", np.pi / 180.0),
    "dec": ("rad", np.pi / 180.0),
    "distance": ("pc", 1e3),
    "pmra": ("arcsec / yr", 1e-3),
    "pmdec": ("arcsec / yr", 1e-3),
    "vlos": ("m / s", 1e3),
}


@check(
    "another Sun",
    "The same stars seen from another place and at another speed of the Sun, which is known: the same halo.",
)
def another_sun(subject: Subject) -> str:
    """Let another Sun look at them."""
    if "vlos" in subject.make().usable():
        raise NotApplicable("reads velocities along lines of sight, which are those of its Sun")

    def pair(stars: Stars) -> tuple[Catalogue, Catalogue]:
        return seen_from(stars), seen_from(stars, _OTHER)

    factor = dict.fromkeys(_OF_LINES)
    # lines of sight are other ones: what a method takes along them, or in cells of its sky, may weigh otherwise
    return compared(subject, pair, lambda q: factor.get(q, 1.0), room=LEARNT)


@check("labels", "What catalogue, populations and stars are called means nothing.")
def labels(subject: Subject) -> str:
    """Give the catalogue another name, and columns that no method declares: not a bit may change."""

    def changes(n: int) -> list[str]:
        plain = subject.catalogue(n)
        beside = {
            "population": (plain.spherical_velocity[:, 0] > 0.0).astype(float),
            "source_id": np.arange(n, dtype=float),
        }
        columns = {**plain.columns, **beside}
        named = replace(plain, columns=columns, origin="stars of another name")
        before, after = (by_row(subject.estimate(each)) for each in (plain, named))
        return [
            f"{quantity}, bin {number}: {row.value!r}, with other labels {after[quantity, number].value!r}"
            if (quantity, number) in after
            else f"{quantity}, bin {number}: no value with other labels"
            for (quantity, number), row in before.items()
            if (quantity, number) not in after or after[quantity, number].value != row.value
        ]

    if found := changes(STARS):
        raise Failed(found[0], subject.smallest(lambda n: bool(changes(n))))
    return f"columns population and source_id beside {STARS} stars"


@check(
    "units", "A file in pc, m/s, radians and arcsec/yr gives the values of the stars.", "standard"
)
def units(subject: Subject) -> str:
    """Write the stars in other units, and read them."""
    with tempfile.TemporaryDirectory(dir=subject.folder or None) as folder:
        file = Path(folder) / "stars.ecsv"

        def pair(stars: Stars) -> tuple[Catalogue, Catalogue]:
            seen = seen_from(stars)
            written = {
                name: values * _UNITS.get(name, ("", 1.0))[1]
                for name, values in seen.columns.items()
            }
            stated = {name: _UNITS.get(name, (UNITS[name],))[0] for name in written}
            formats.write_fields(file, written, stated, sun_meta(seen.sun))
            return seen, read_catalogue(file, speed_limit=np.inf)

        return compared(subject, pair)
