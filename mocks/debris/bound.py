"""Bound objects in a halo sample: the members of globular clusters and dwarf galaxies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.settings import require
from haloassay.contracts.columns import HELIOCENTRIC
from haloassay.contracts.frames import Sun, heliocentric_to_galactocentric
from haloassay.mocks.chemistry import Abundance
from haloassay.mocks.debris.contaminants import directions, endless
from haloassay.mocks.debris.debris import Debris, PhaseSpace
from haloassay.mocks.debris.surroundings import Surroundings
from haloassay.mocks.uniforms import Uniforms

#: Half-mass radius of a Plummer sphere in units of its scale: (2^(2/3) - 1)^(-1/2).
_HALF_MASS: Final = (2.0 ** (2.0 / 3.0) - 1.0) ** -0.5
#: Radius in units of the half-mass radius beyond which an object has no stars (choice).
EDGE: Final = 5.0
#: [Fe/H] of clusters and dwarfs together (choice).
BOUND_FEH: Final = Abundance(-1.6, 0.4)


@dataclass(frozen=True)
class BoundObject:
    """A cluster or a dwarf galaxy, as catalogues list it.

    Parameters
    ----------
    ra, dec
        ICRS [deg].
    distance
        [kpc].
    pmra, pmdec
        Proper motions mu_alpha*, mu_delta [mas/yr].
    vlos
        Heliocentric line-of-sight velocity [km/s].
    r_half
        Half-mass radius [kpc].
    sigma
        Dispersion of each component of the velocity [km/s].
    weight
        Its stars in relation to those of the other objects.
    """

    ra: float
    dec: float
    distance: float
    pmra: float
    pmdec: float
    vlos: float
    r_half: float = 0.01
    sigma: float = 5.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        require(
            0.0 <= self.ra <= 360.0 and -90.0 <= self.dec <= 90.0,
            f"need 0 <= ra <= 360 and -90 <= dec <= 90 (got {self.ra:g}, {self.dec:g})",
        )
        for name in ("distance", "r_half", "sigma", "weight"):
            require(getattr(self, name) > 0.0, f"{name} is positive (got {getattr(self, name):g})")


@dataclass(frozen=True)
class Satellites(Debris):
    """Members of globular clusters and dwarf galaxies: Plummer spheres about listed objects.

    Each object is a sphere of stars out to five half-mass radii, with one isotropic Gaussian of velocities: what
    a cross-match has to find, and no equilibrium. Places and motions are those that the default Sun sees (Li et al.
    2026); to a survey of another Sun they are a little different.

    Parameters
    ----------
    objects
        The clusters and dwarfs.
    """

    kind: ClassVar[str] = "satellites"

    feh: Abundance = BOUND_FEH
    objects: tuple[BoundObject, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.objects) > 0, "objects: give at least one")

    @cached_property
    def _centres(self) -> tuple[FloatArray, FloatArray]:
        """Galactocentric positions [kpc] and velocities [km/s] (K, 3)."""
        table = np.array([[getattr(each, name) for name in HELIOCENTRIC] for each in self.objects])
        ra, dec, distance, pmra, pmdec, vlos = table.T
        return heliocentric_to_galactocentric(ra, dec, distance, pmra, pmdec, vlos, sun=Sun())

    def check(self, around: Surroundings) -> None:
        """Check that all of their stars are between the radii of the mock."""
        lo, hi = around.r_range
        r = np.linalg.norm(self._centres[0], axis=1)
        for k, each in enumerate(self.objects):
            reach = EDGE * each.r_half
            require(
                lo <= r[k] - reach and r[k] + reach <= hi,
                f"debris {self.origin.name!r}: objects.{k} reaches from {max(r[k] - reach, 0.0):.4g} to"
                f" {r[k] + reach:.4g} kpc, and the mock from {lo:g} to {hi:g}",
            )

    def phase_space(self, around: Surroundings, rng: np.random.Generator) -> PhaseSpace:
        """Independent stars."""
        centre, motion = self._centres
        weight = np.array([each.weight for each in self.objects])
        upper = np.cumsum(weight / weight.sum())[:-1]
        scale = np.array([each.r_half for each in self.objects]) / _HALF_MASS
        sigma = np.array([each.sigma for each in self.objects])
        edge = EDGE * _HALF_MASS
        within = (edge**2 / (1.0 + edge**2)) ** 1.5

        def place(uniforms: Uniforms, number: IntArray) -> tuple[FloatArray, FloatArray]:
            u = uniforms.uniforms("object, radius", number, 2)
            which = np.searchsorted(upper, u[0], side="right")
            share = np.maximum(within * u[1], 1e-12)
            offset = scale[which] / np.sqrt(share ** (-2.0 / 3.0) - 1.0)
            position = centre[which] + offset[:, None] * directions("offset", uniforms, number)
            spread = sigma[which][:, None] * uniforms.normals("velocity", number, 3).T
            return position, motion[which] + spread

        return endless(place, rng)
