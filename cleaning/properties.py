"""Properties of stars that they can be selected by: columns of a catalogue, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.cleaning.integrals import galactic_directions, integrals_of_motion
from haloassay.cleaning.orbits import Elements, orbits_in
from haloassay.contracts.columns import UNITS
from haloassay.contracts.sky import lon_lat, quadrant

if TYPE_CHECKING:
    from haloassay.cleaning.integrals import AssumedPotential
    from haloassay.contracts.catalogue import Catalogue
    from haloassay.contracts.orbits import Orbits


def _full_turn(angle: FloatArray) -> FloatArray:
    """Angles in [0, 360) [deg]; a tiny negative one is 0, as rounding would make it 360."""
    turned = angle % 360.0
    return np.where(turned < 360.0, turned, 0.0)


@dataclass(frozen=True, eq=False)
class Seen:
    """Stars of a catalogue, with what is derived of them once.

    Parameters
    ----------
    catalogue
        The stars.
    potential
        In which energies and orbits are taken.
    nside
        Of pixels of the sky.
    """

    catalogue: Catalogue
    potential: AssumedPotential
    nside: int

    @cached_property
    def direction(self) -> FloatArray:
        """Directions (N, 3) in Galactic axes."""
        return galactic_directions(self.catalogue)[0]

    @cached_property
    def galactic(self) -> tuple[FloatArray, FloatArray]:
        """Galactic longitude in [0, 360) and latitude (N,) [deg], as seen from the Sun."""
        longitude, latitude = lon_lat(self.direction)
        return _full_turn(longitude), latitude

    @cached_property
    def integrals(self) -> FloatArray:
        """E and L (N, 4)."""
        return integrals_of_motion(self.catalogue, self.potential)

    @cached_property
    def orbits(self) -> Orbits:
        """Orbits of the stars."""
        return orbits_in(self.potential, self.catalogue.position, self.catalogue.velocity)

    @cached_property
    def elements(self) -> Elements:
        """Elements of the orbits."""
        return Elements.of(self.orbits)

    def pixel(self) -> FloatArray:
        """Healpix pixel (N,), ring order, of Galactic longitude and latitude."""
        import healpy

        return np.asarray(healpy.ang2pix(self.nside, *self.galactic, lonlat=True), dtype=float)

    def quadrant(self) -> FloatArray:
        """Quadrant (N,) as ``sky-map`` numbers them."""
        return quadrant(self.direction).astype(float)

    def error(self, k: int) -> FloatArray:
        """Error (N,) of component k of the spherical velocity [km/s]."""
        return np.sqrt(self.catalogue.spherical_covariance[:, k, k])


@dataclass(frozen=True)
class Property:
    """A number of each star.

    Parameters
    ----------
    of
        Its values (N,).
    unit
        In words; empty for a pure number.
    needs
        What a catalogue must have beside positions.
    counted
        Whether it takes whole numbers, which are listed rather than given as a range.
    turns
        Whether it is an angle of a full turn, 0 to 360, whose ranges may lead through 0.
    """

    of: Callable[[Seen], FloatArray]
    unit: str = ""
    needs: tuple[str, ...] = ()
    counted: bool = False
    turns: bool = False


def _column(name: str) -> Property:
    return Property(
        lambda seen: seen.catalogue[name],
        UNITS[name].replace(" ", ""),
        (name,),
        turns=name == "ra",
    )


def _angle(direction: FloatArray, k: int) -> FloatArray:
    """Galactocentric longitude in [0, 360), towards +x from -x, or latitude (N,) [deg] of directions (N, 3)."""
    return lon_lat(direction)[1] if k else _full_turn(lon_lat(direction)[0])


def _of_velocity(of: Callable[[Seen], FloatArray], unit: str = "km/s") -> Property:
    return Property(of, unit, ("velocity",))


def _component(values: Callable[[Seen], FloatArray], k: int) -> Callable[[Seen], FloatArray]:
    return lambda seen: values(seen)[:, k]


def _derived() -> dict[str, Property]:
    """List what follows from positions, velocities and their errors."""
    found = {
        "l": Property(lambda s: s.galactic[0], "deg", turns=True),
        "b": Property(lambda s: s.galactic[1], "deg"),
        "quadrant": Property(Seen.quadrant, counted=True),
        "pixel": Property(Seen.pixel, counted=True),
        "distance": Property(lambda s: galactic_directions(s.catalogue)[1], "kpc"),
        "distance_error": Property(
            lambda s: s.catalogue["distance_err"] / s.catalogue["distance"],
            "fraction of the distance",
            ("distance", "distance_err"),
        ),
        "r": Property(lambda s: s.catalogue.r, "kpc"),
        "R": Property(lambda s: np.hypot(*s.catalogue.position[:, :2].T), "kpc"),
        "speed": _of_velocity(lambda s: np.linalg.norm(s.catalogue.velocity, axis=1)),
        "E": _of_velocity(_component(lambda s: s.integrals, 0), "(km/s)^2"),
        "L": _of_velocity(lambda s: np.linalg.norm(s.integrals[:, 1:], axis=1), "kpc km/s"),
        "pericentre": _of_velocity(lambda s: s.orbits.turning_points[0], "kpc"),
        "apocentre": _of_velocity(lambda s: s.orbits.turning_points[1], "kpc"),
        "eccentricity": _of_velocity(lambda s: s.elements.eccentricity, ""),
        "semi_major_axis": _of_velocity(lambda s: s.elements.semi_major_axis, "kpc"),
    }
    for name in ("pole", "apocentre"):
        for k, angle in enumerate("lb"):
            found[f"{name}_{angle}"] = Property(
                lambda s, name=name, k=k: _angle(getattr(s.elements, name), k),  # type: ignore[misc]
                "deg",
                ("velocity",),
                turns=angle == "l",
            )
    for k, axis in enumerate("xyz"):
        found[axis] = Property(_component(lambda s: s.catalogue.position, k), "kpc")
        found[f"v{axis}"] = _of_velocity(_component(lambda s: s.catalogue.velocity, k))
        found[f"L_{axis}"] = _of_velocity(_component(lambda s: s.integrals, k + 1), "kpc km/s")
    for k, axis in enumerate(("r", "theta", "phi")):
        found[f"v_{axis}"] = _of_velocity(_component(lambda s: s.catalogue.spherical_velocity, k))
        found[f"v_{axis}_err"] = _of_velocity(lambda s, k=k: s.error(k))  # type: ignore[misc]
    return found


#: Everything that stars can be selected by.
PROPERTIES: Final[Mapping[str, Property]] = {
    **{
        name: _column(name)
        for name in UNITS
        if not name.startswith("pm_l") and not name.startswith("pm_b")
    },
    **_derived(),
}
