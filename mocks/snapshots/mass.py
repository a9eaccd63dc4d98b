"""Mass of a simulated halo, summed over its particles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.contracts import profiles
from haloassay.mocks.gravity.potentials import Virial

#: The NFW profile is fitted from this fraction of the virial radius outward, in so many shells, to at least so many
#: dark particles: choice.
_FIT_FROM: Final = 0.02
_FIT_SHELLS: Final = 100
_FIT_FEWEST: Final = 1000
#: Concentrations that a fit may find; at either end there is none.
_CONCENTRATIONS: Final = (0.5, 200.0)


@dataclass(frozen=True, eq=False)
class ParticleMass:
    """Spherically summed mass of particles, exact at every radius.

    Parameters
    ----------
    radius, cumulative
        (N,) radii [kpc], rising, and the mass [Msun] of all particles up to each.
    dark_radius, dark_cumulative
        (N_dark,) the same of the dark ones.
    h0, overdensity
        Hubble's constant [km/s/Mpc] and overdensity of the virial radius.
    facts
        What else is to be told of the snapshot: plain values.
    """

    radius: FloatArray
    cumulative: FloatArray
    dark_radius: FloatArray
    dark_cumulative: FloatArray
    h0: float
    overdensity: float
    facts: Mapping[str, Any] = field(default_factory=dict)

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] of the particles within ``r`` [kpc]."""
        return _within(self.radius, self.cumulative, r)

    def circular_velocity(self, r: ArrayLike) -> FloatArray:
        """Speed [km/s] of circular orbits at ``r`` [kpc] in the spherical mean."""
        return np.sqrt(G * self.enclosed_mass(r) / np.asarray(r, dtype=float))

    def virial(self) -> Virial:
        """Virial mass, radius and concentration of the dark halo; NaN where :meth:`describe` says why."""
        m200, r200 = self._sphere
        return Virial(m200, r200, self._concentration[0])

    def to_plain(self) -> dict[str, Any]:
        """Say what it is, in plain values; ``undetermined`` says why a virial number has no value."""
        notes = {}
        if not np.isfinite(self._sphere[1]):
            notes["r200"] = (
                "the dark particles end, or begin, denser or thinner than the overdensity"
            )
        if self._concentration[1]:
            notes["c200"] = self._concentration[1]
        told = {"kind": "snapshot", **self.facts, "h0": self.h0, "overdensity": self.overdensity}
        return told | ({"undetermined": notes} if notes else {})

    @cached_property
    def _sphere(self) -> tuple[float, float]:
        """Virial mass [Msun] and radius [kpc]: the outermost within which the dark mass is so dense."""
        threshold = profiles.virial_mass(1.0, self.h0, self.overdensity)
        denser = np.flatnonzero(self.dark_cumulative >= threshold * self.dark_radius**3)
        if not len(denser) or denser[-1] == len(self.dark_radius) - 1:
            return np.nan, np.nan
        mass = float(self.dark_cumulative[denser[-1]])
        return mass, float(profiles.virial_radius(mass, self.h0, self.overdensity))

    @cached_property
    def _concentration(self) -> tuple[float, str]:
        """Concentration of the NFW profile of largest likelihood, and why there is none.

        The masses of shells between 0.02 and 1 virial radius are taken as multinomial, so that nothing depends on how
        wide the shells are.
        """
        from scipy.optimize import minimize_scalar

        r200 = self._sphere[1]
        if not np.isfinite(r200):
            return np.nan, "there is no virial radius"
        edges = r200 * np.geomspace(_FIT_FROM, 1.0, _FIT_SHELLS + 1)
        n = int(np.diff(np.searchsorted(self.dark_radius, edges[[0, -1]]))[0])
        if n < _FIT_FEWEST:
            return np.nan, f"only {n} dark particles between {_FIT_FROM} and 1 virial radius"
        masses = np.diff(_within(self.dark_radius, self.dark_cumulative, edges))

        def misfit(log_c: float) -> float:
            shape = profiles.nfw_shape(np.exp(log_c) * edges / r200)
            shares = np.diff(shape) / (shape[-1] - shape[0])
            return float(-np.sum(masses * np.log(shares)) / masses.sum())

        bounds = (float(np.log(_CONCENTRATIONS[0])), float(np.log(_CONCENTRATIONS[1])))
        best = minimize_scalar(misfit, bounds=bounds, method="bounded", options={"xatol": 1e-6})
        if min(best.x - bounds[0], bounds[1] - best.x) < 1e-3:
            return np.nan, f"no NFW profile of a concentration between {_CONCENTRATIONS} fits"
        return float(np.exp(best.x)), ""


def summed(radius: FloatArray, mass: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(N,) radii [kpc], rising, and the mass [Msun] up to and with each."""
    order = np.argsort(radius, kind="stable")
    return radius[order], np.cumsum(mass[order])


def _within(radius: FloatArray, cumulative: FloatArray, r: ArrayLike) -> FloatArray:
    n = np.searchsorted(radius, np.asarray(r, dtype=float), side="right")
    return np.where(n > 0, cumulative[np.maximum(n - 1, 0)], 0.0)
