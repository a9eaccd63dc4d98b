"""Members of known objects, such as globular clusters and dwarf galaxies, by their places in lists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray, IntArray
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.cleaning.integrals import galactic_directions
from haloassay.cleaning.steps import Clean
from haloassay.contracts.frames import (
    ICRS_TO_GALACTIC,
    galactocentric_to_heliocentric,
    sky_basis,
)
from haloassay.io.formats.reading import read_fields
from haloassay.io.tables import GALPY_SAMPLES, read_catalogue

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Units of the columns of a list; other columns are left unread.
UNITS: Final = {
    "ra": "deg",
    "dec": "deg",
    "radius": "deg",
    "distance": "kpc",
    "pmra": "mas/yr",
    "pmdec": "mas/yr",
    "vlos": "km/s",
}
#: Names of units that are the same.
_SPELLINGS: Final = {"mas / yr": "mas/yr", "km / s": "km/s", "mas.yr-1": "mas/yr", "km.s-1": "km/s"}


@dataclass(frozen=True)
class Listed:
    """An object of a list.

    Parameters
    ----------
    ra, dec
        ICRS [deg].
    radius
        Within which stars may be its members [deg]; that of the step where it has none of its own.
    distance, pmra, pmdec, vlos
        [kpc], [mas/yr], [km/s]; what is not known does not count.
    """

    ra: float
    dec: float
    radius: float | None = None
    distance: float | None = None
    pmra: float | None = None
    pmdec: float | None = None
    vlos: float | None = None

    def __post_init__(self) -> None:
        require(
            0.0 <= self.ra <= 360.0 and -90.0 <= self.dec <= 90.0,
            f"need 0 <= ra <= 360 and -90 <= dec <= 90 (got {self.ra:g}, {self.dec:g})",
        )
        for name, most in (("radius", 90.0), ("distance", np.inf)):
            value = getattr(self, name)
            require(
                value is None or 0.0 < value <= most,
                f"{name} is positive{'' if most == np.inf else f', {most:g} deg at most'} (got {value})",
            )


@dataclass(frozen=True)
class CrossMatch(Clean):
    """Drop stars near listed objects on the sky and, where limits are given, in distance and motion.

    Li et al. (2026, section 2.3) take members of globular clusters and dwarf galaxies out by the lists of Baumgardt
    & Vasiliev (2021) and Pace et al. (2022), and state no radii or limits: those here are choices. By the sky alone
    the cut is blind to velocity and unbiased; halo stars in front of and behind an object go too. Limits in
    proper motion and velocity keep most of them.

    Parameters
    ----------
    objects
        Objects, each with ra and dec and what else is known of it.
    lists
        Tables of further objects with columns ra, dec [deg] and, where there are such, radius [deg], distance [kpc],
        pmra, pmdec [mas/yr], vlos [km/s]; an empty entry is not known. Also ``galpy:mw-globular-clusters`` and
        ``galpy:mw-satellites``, which galpy ships. Contents count, not names: another content is another step.
    radius
        [deg] of objects that have none of their own.
    distance_limit
        Largest difference in distance, in units of the object's; inf does not look.
    pm_limit
        Largest difference of each proper motion [mas/yr]; inf does not look.
    vlos_limit
        Largest difference in line-of-sight velocity [km/s]; inf does not look.
    n_sigma
        Errors of the star that are added to each limit.
    """

    kind: ClassVar[str] = "cross-match"

    objects: tuple[Listed, ...] = ()
    lists: tuple[str, ...] = ()
    radius: float = 0.5
    distance_limit: float = np.inf
    pm_limit: float = np.inf
    vlos_limit: float = np.inf
    n_sigma: float = 3.0

    def __post_init__(self) -> None:
        read = (each for name in self.lists for each in read_list(name))
        object.__setattr__(self, "objects", (*self.objects, *read))
        object.__setattr__(self, "lists", ())  # the content is what counts
        require(len(self.objects) > 0, "give objects or lists")
        require(
            0.0 < self.radius <= 90.0, f"radius is above 0, 90 deg at most (got {self.radius:g})"
        )
        for name in ("distance_limit", "pm_limit", "vlos_limit"):
            require(getattr(self, name) > 0.0, f"{name} is positive (got {getattr(self, name):g})")
        require(
            0.0 <= self.n_sigma < np.inf, f"n_sigma is finite, not negative (got {self.n_sigma:g})"
        )

    @property
    def _limits(self) -> dict[str, float]:
        """Limits of what is looked at."""
        known = {
            "distance": self.distance_limit,
            "pmra": self.pm_limit,
            "pmdec": self.pm_limit,
            "vlos": self.vlos_limit,
        }
        return {name: limit for name, limit in known.items() if np.isfinite(limit)}

    def required(self) -> tuple[str, ...]:
        """Velocities, where motions are looked at."""
        return self.needs if {*self._limits} - {"distance"} else ()

    @property
    def reason(self) -> str:
        """Why stars go."""
        asked = [f"{name} within {limit:g}" for name, limit in self._limits.items()]
        return ", ".join([f"near one of {len(self.objects)} objects", *asked])

    def kept(self, catalogue: Catalogue) -> BoolArray:
        """Which stars (N,) stay."""
        from scipy.spatial import KDTree

        place = np.array([(each.ra, each.dec) for each in self.objects])
        centres = sky_basis(place[:, 0], place[:, 1])[:, 0] @ ICRS_TO_GALACTIC.T
        tree = KDTree(galactic_directions(catalogue)[0])
        observed = _observed(catalogue, {*self._limits})
        kept = np.ones(len(catalogue), dtype=bool)
        for each, centre in zip(self.objects, centres, strict=True):
            radius = self.radius if each.radius is None else each.radius
            chord = 2.0 * np.sin(np.radians(0.5 * radius))
            near = np.array(sorted(tree.query_ball_point(centre, chord)), dtype=int)
            kept[near[self._alike(each, observed, near)]] = False
        return kept

    def _alike(
        self, each: Listed, observed: dict[str, tuple[FloatArray, FloatArray]], near: IntArray
    ) -> BoolArray:
        """Which of the stars ``near`` an object have its distance and motion, where looked at and known."""
        alike = np.ones(len(near), dtype=bool)
        for name, limit in self._limits.items():
            known = getattr(each, name)
            if known is None:
                continue
            value, error = (column[near] for column in observed[name])
            reach = limit * known if name == "distance" else limit
            alike &= np.abs(value - known) <= reach + self.n_sigma * error
        return alike


def _observed(catalogue: Catalogue, names: set[str]) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Heliocentric values (N,) of a catalogue and their errors; of Galactocentric columns errors count as zero."""
    if not names:
        return {}
    if catalogue.heliocentric:
        return {name: (catalogue[name], catalogue.error(name)) for name in names}
    velocity = catalogue.velocity if names - {"distance"} else np.zeros_like(catalogue.position)
    seen = galactocentric_to_heliocentric(catalogue.position, velocity, catalogue.sun)
    return {name: (seen[name], np.zeros(len(catalogue))) for name in names}


def read_list(name: str) -> tuple[Listed, ...]:
    """Objects of a file, or of a sample that galpy ships.

    Raises
    ------
    InputError
        If there is no such file, a column is missing or has another unit, or an entry cannot be.
    """
    if name in GALPY_SAMPLES:
        found = read_catalogue(name)
        columns = {column: found[column] for column in UNITS if column in found}
    else:
        read = read_fields(Path(name), None, None)
        for column in ("ra", "dec"):
            require(column in read.names, f"{name}: column {column!r} is missing")
        columns = {}
        for column in UNITS:
            if column in read.names:
                values, unit = read.get(column)
                known = _SPELLINGS.get(unit or "", unit)
                require(
                    known in (None, "", UNITS[column]),
                    f"{name}: column {column!r} has the unit {unit!r}, and {UNITS[column]} is wanted",
                )
                try:
                    columns[column] = np.asarray(values, dtype=float)
                except ValueError as error:
                    raise InputError(f"{name}: column {column!r}: {error}") from None
    rows = []
    for k, row in enumerate(zip(*columns.values(), strict=True)):
        entry = dict(zip(columns, (float(x) for x in row), strict=True))
        try:
            told = {key: value for key, value in entry.items() if np.isfinite(value)}
            require({"ra", "dec"} <= {*told}, "ra or dec is empty")
            rows.append(Listed(**told))
        except InputError as error:
            raise InputError(f"{name}: row {k + 1}: {error}") from None
    return tuple(rows)
