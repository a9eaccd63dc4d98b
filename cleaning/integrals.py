"""Integrals of motion of catalogue stars in an assumed Milky Way, and their errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.settings import require
from haloassay.contracts import frames
from haloassay.contracts.columns import GALACTOCENTRIC, HELIOCENTRIC
from haloassay.contracts.profiles import (
    MWPOTENTIAL2014_BULGE,
    MWPOTENTIAL2014_DISC,
    bulge_potential,
    disc_potential,
    nfw_shape,
    virial_radius,
)

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: How far an observable is moved, in units of its error, for the slope of an integral of motion.
_STEP: Final = 1e-3


@dataclass(frozen=True)
class AssumedPotential:
    """Milky Way in which energies are taken: an NFW halo and, where wanted, bulge and disc.

    Parameters
    ----------
    m200, c
        Mass [Msun] and concentration of the halo. The default is that of MWPotential2014 (r_s = 16
        kpc): the 0.8e12 Msun and c = 15.3 that Bovy (2015) quotes are of an overdensity of 97, which
        is 0.7e12 and 11.45 within 200 times the critical density of ``h0`` = 70 (galpy).
    h0
        Hubble's constant [km/s/Mpc] of the critical density.
    baryons
        ``"mwpotential2014"``: its bulge and its flattened Miyamoto-Nagai disc.
        ``"mwpotential2014-spherical"``: the disc averaged over the sphere, as spherical mocks have
        it. ``"none"``.
    """

    m200: float = 0.7e12
    c: float = 11.45
    h0: float = 70.0
    baryons: Literal["mwpotential2014", "mwpotential2014-spherical", "none"] = "mwpotential2014"

    def __post_init__(self) -> None:
        for name in ("m200", "c", "h0"):
            require(getattr(self, name) > 0.0, f"{name} is positive (got {getattr(self, name):g})")

    def __call__(self, position: FloatArray) -> FloatArray:
        """Potential (N,) [(km/s)^2], zero at infinity, at ``position`` (N, 3) [kpc]."""
        r = np.maximum(np.sqrt(np.einsum("ni,ni->n", position, position)), 1e-6)
        r_s = float(virial_radius(self.m200, self.h0)) / self.c
        total = -G * self.m200 / nfw_shape(self.c) * np.log1p(r / r_s) / r
        if self.baryons == "none":
            return total
        total = total + bulge_potential(r, *MWPOTENTIAL2014_BULGE)
        if self.baryons == "mwpotential2014-spherical":
            return total + np.interp(np.log(r), *_spherical_disc(r))
        mass, a, b = MWPOTENTIAL2014_DISC
        R2 = position[:, 0] ** 2 + position[:, 1] ** 2
        return total - G * mass / np.sqrt(R2 + (a + np.hypot(position[:, 2], b)) ** 2)


def _spherical_disc(r: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Table of the disc's monopole over ln r: cheaper than an integral over the sphere a star."""
    if len(r) == 0:
        return np.zeros(1), np.zeros(1)
    log_r = np.linspace(np.log(r.min()), np.log(r.max()) + 1e-9, 2000)
    return log_r, disc_potential(np.exp(log_r), *MWPOTENTIAL2014_DISC)


def energy_and_momentum(
    position: FloatArray, velocity: FloatArray, potential: AssumedPotential
) -> FloatArray:
    """Integrals (N, 4): E = v^2/2 + Phi [(km/s)^2] and L = x cross v [kpc km/s].

    Axes are Galactocentric and right-handed, so prograde orbits have L_z < 0. L_x and L_y are
    conserved in a spherical potential only.
    """
    energy = 0.5 * np.einsum("ni,ni->n", velocity, velocity) + potential(position)
    return np.column_stack([energy, np.cross(position, velocity)])


def integrals_of_motion(catalogue: Catalogue, potential: AssumedPotential) -> FloatArray:
    """Integrals (N, 4) of :func:`energy_and_momentum` of the stars as observed."""
    return energy_and_momentum(catalogue.position, catalogue.velocity, potential)


def integral_errors(catalogue: Catalogue, potential: AssumedPotential) -> FloatArray:
    """Errors (N, 4) of E and L to first order in the errors of the observables.

    Errors of ra and dec are neglected, those of pmra and pmdec correlated by ``pm_corr``; a missing
    error counts as zero.
    """
    if not catalogue.heliocentric:
        variance = np.zeros((len(catalogue), 4))
        for name in GALACTOCENTRIC:
            variance += _slope(catalogue, name, potential) ** 2
        return np.sqrt(variance)
    distance, pmra, pmdec, vlos = (_slope(catalogue, name, potential) for name in HELIOCENTRIC[2:])
    correlation = catalogue.pm_corr[:, None]
    variance = distance**2 + pmra**2 + pmdec**2 + vlos**2 + 2.0 * correlation * pmra * pmdec
    return np.sqrt(np.maximum(variance, 0.0))


def _slope(catalogue: Catalogue, name: str, potential: AssumedPotential) -> FloatArray:
    """Change (N, 4) of the integrals when one observable moves by its error, linearly."""
    error = catalogue.error(name)
    both = []
    for sign in (-1.0, 1.0):
        columns = {**catalogue.columns, name: catalogue[name] + sign * _STEP * error}
        if catalogue.heliocentric:
            ra, dec, distance, pmra, pmdec, vlos = (columns[column] for column in HELIOCENTRIC)
            x, v = frames.heliocentric_to_galactocentric(
                ra, dec, distance, pmra, pmdec, vlos, sun=catalogue.sun
            )
        else:
            phase = np.stack([columns[column] for column in GALACTOCENTRIC], axis=1)
            x, v = phase[:, :3], phase[:, 3:]
        both.append(energy_and_momentum(x, v, potential))
    return (both[1] - both[0]) / (2.0 * _STEP)


def galactic_directions(catalogue: Catalogue) -> tuple[FloatArray, FloatArray]:
    """Directions (N, 3) in Galactic axes, and distances (N,) [kpc], as seen from the Sun.

    Galactic axes point to (l, b) = (0, 0), (90, 0) and the north pole.
    """
    outward, distance = _from_sun(catalogue)
    return outward @ (frames.ICRS_TO_GALACTIC @ catalogue.sun.rotation().T).T, distance


def seen_from_sun(catalogue: Catalogue) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Directions (N, 3) and distances (N,) of :func:`galactic_directions`, line-of-sight velocities (N,) [km/s].

    Velocities are those seen by an observer at the Sun who rests in the Galaxy (v_gsr).
    """
    velocity = np.einsum("ni,ni->n", _from_sun(catalogue)[0], catalogue.velocity)
    return (*galactic_directions(catalogue), velocity)


def _from_sun(catalogue: Catalogue) -> tuple[FloatArray, FloatArray]:
    """Directions (N, 3) on Galactocentric axes, and distances (N,) [kpc]."""
    offset = catalogue.position - catalogue.sun.position
    distance = np.sqrt(np.einsum("ni,ni->n", offset, offset))
    return offset / np.maximum(distance, 1e-12)[:, None], distance
