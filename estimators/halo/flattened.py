"""Fields of flattened halos and of the known baryons, and what a sphere holds of the halos."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.contracts import profiles
from haloassay.contracts.profiles import critical_density, nfw_shape
from haloassay.estimators.halo.baryons import Baryons, baryons_mass

#: Form of a halo's density.
HaloForm = Literal["nfw", "power-law"]

#: Panels in ln t, from t = exp(-10) to 1, of the integrals of a field, and nodes of each.
_PANELS: Final = 8
_NODES: Final = 8
_INNERMOST: Final = -10.0
#: Nodes in cos(theta) of the mass within a sphere.
_SPHERE: Final = 12
#: Concentrations between which a virial radius is looked for, and halvings of their interval.
_C_RANGE: Final = (1e-2, 1e4)
_HALVINGS: Final = 60


@functools.cache
def _log_nodes() -> tuple[FloatArray, FloatArray]:
    """Values t and weights of integrals over ln t."""
    edges = np.linspace(_INNERMOST, 0.0, _PANELS + 1)
    x, w = np.polynomial.legendre.leggauss(_NODES)
    half = 0.5 * np.diff(edges)[:, None]
    return np.exp((0.5 * (edges[1:] + edges[:-1])[:, None] + half * x).ravel()), (half * w).ravel()


@functools.cache
def _sphere_nodes() -> tuple[FloatArray, FloatArray]:
    """Cosines and weights of a mean over a hemisphere."""
    x, w = np.polynomial.legendre.leggauss(_SPHERE)
    return 0.5 * (1.0 + x), 0.5 * w


@dataclass(frozen=True)
class Halo:
    """Density of s^2 = q^(2/3) (R^2 + z^2 / q^2): s is the radius of the sphere of equal volume.

    Parameters
    ----------
    form
        ``"nfw"``, rho ~ 1 / (s / r_s) / (1 + s / r_s)^2, of which ln r_s [kpc] is the shape; or ``"power-law"``,
        rho ~ s^-gamma, of which gamma is.
    """

    form: HaloForm

    def round_mass(self, s: ArrayLike, shape: ArrayLike) -> FloatArray:
        """Mass within a surface of constant density, of any normalisation; the arguments are broadcast."""
        s, shape = np.asarray(s, dtype=float), np.asarray(shape, dtype=float)
        if self.form == "nfw":
            return nfw_shape(s / np.exp(shape))
        return np.asarray(s ** (3.0 - shape))

    def density(self, s: FloatArray, shape: float) -> FloatArray:
        """Density [1/kpc^3] of that normalisation."""
        if self.form == "nfw":
            x = s / np.exp(shape)
            return np.asarray(1.0 / (4.0 * np.pi * np.exp(3.0 * shape) * x * (1.0 + x) ** 2))
        return np.asarray((3.0 - shape) / (4.0 * np.pi) * s**-shape)

    def sphere_mass(self, r: ArrayLike, shape: ArrayLike, q: ArrayLike) -> FloatArray:
        """Mass within the sphere of radius ``r`` [kpc], of that normalisation; the arguments are broadcast.

        Along a direction in which s = k r the mass within r is that of the round halo within k r, over k^3.
        """
        r, shape, q = (np.asarray(a, dtype=float)[..., None] for a in (r, shape, q))
        cosine, w = _sphere_nodes()
        k = np.cbrt(q) * np.sqrt(1.0 - cosine**2 + (cosine / q) ** 2)
        return np.asarray(np.sum(w * self.round_mass(k * r, shape) / k**3, axis=-1))

    def field(self, R: FloatArray, z: FloatArray, shape: float, q: float) -> FloatArray:
        """Pull over G, dPhi/dR and (dPhi/dz) / z (2, n), of that normalisation.

        d Phi / d R = 4 pi G q R int_0^1 rho(m) t^2 / (1 - e^2 t^2)^(1/2) dt, and for z with the power 3/2, where
        m^2 = t^2 (R^2 + z^2 / (1 - e^2 t^2)) and e^2 = 1 - q^2 (Binney & Tremaine 2008, section 2.5).
        """
        t, w = _log_nodes()
        squeeze = 1.0 - (1.0 - q * q) * t * t
        m = t * np.sqrt(R[:, None] ** 2 + z[:, None] ** 2 / squeeze)
        rho = self.density(np.cbrt(q) * m, shape)
        common = 4.0 * np.pi * q * rho * t**3 * w
        # what is left within the smallest t, where the density is a power
        slope = 1.0 if self.form == "nfw" else shape
        rest = np.exp(_INNERMOST)
        core = np.sqrt(R**2 + z**2) * rest * np.cbrt(q)
        inner = 4.0 * np.pi * q * self.density(core, shape) * rest**3 / (3.0 - slope)
        along = np.sum(common / np.sqrt(squeeze), axis=1) + inner
        across = np.sum(common / squeeze**1.5, axis=1) + inner
        return np.array([R * along, across])

    def concentration(self, norm: FloatArray, r_s: FloatArray, q: FloatArray, h0: float) -> FloatArray:  # fmt: skip
        """r200 / r_s (n,) of NFW halos of mass scale ``norm`` [Msun] (n,), by spheres; NaN where there is none."""
        wanted = 4.0 * np.pi / 3.0 * 200.0 * critical_density(h0) * r_s**3 / norm
        lo, hi = (np.full(len(norm), np.log(c)) for c in _C_RANGE)

        def excess(x: FloatArray) -> FloatArray:
            c = np.exp(x)
            return np.log(self.sphere_mass(c, np.zeros(len(c)), q)) - np.log(wanted) - 3.0 * x

        there = (excess(lo) > 0.0) & (excess(hi) < 0.0)
        for _ in range(_HALVINGS):
            middle = 0.5 * (lo + hi)
            above = excess(middle) > 0.0
            lo, hi = np.where(above, middle, lo), np.where(above, hi, middle)
        return np.where(there, np.exp(0.5 * (lo + hi)), np.nan)


def baryons_field(kind: Baryons, R: FloatArray, z: FloatArray) -> FloatArray:
    """Pull of the known baryons over G: dPhi/dR [Msun/kpc^2] and (dPhi/dz) / z [Msun/kpc^3] (2, n).

    The disc of MWPotential2014 is flat (Miyamoto & Nagai 1975), all else is round.
    """
    r = np.hypot(R, z)
    if kind != "mwpotential2014":
        pull = baryons_mass(kind, r) / r**3
        return np.array([R * pull, pull])
    mass, a, b = profiles.MWPOTENTIAL2014_DISC
    height = np.sqrt(z**2 + b**2)
    disc = mass / (R**2 + (a + height) ** 2) ** 1.5
    bulge = profiles.bulge_enclosed_mass(r, *profiles.MWPOTENTIAL2014_BULGE) / r**3
    return np.array([R * (disc + bulge), disc * (a + height) / height + bulge])
