"""Velocities from local Gaussians whose dispersions solve the Jeans equation: no equilibrium."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.mocks.equilibria import jeans
from haloassay.mocks.equilibria.anisotropy import Anisotropy
from haloassay.mocks.stars import RadialDensity, RadialTable, radial_table
from haloassay.mocks.uniforms import Uniforms


@dataclass(frozen=True, eq=False)
class LocalJeans:
    """Stars of a density with Gaussian velocities of the right second moments at every radius.

    This is **not** an equilibrium: the Jeans equation fixes second moments only, and the true
    velocity distribution is not Gaussian (Kazantzidis, Magorrian & Moore 2004). Some stars
    exceed the escape speed, and the profiles drift within a few crossing times. It is offered
    because mocks in the literature were drawn so.

    Parameters
    ----------
    radius
        (K,) radii [kpc], from r_min to r_max.
    sigma_r, beta
        (K,) radial velocity dispersion [km/s] and anisotropy.
    radii
        Distribution of the radii.
    """

    radius: FloatArray
    sigma_r: FloatArray
    beta: FloatArray
    radii: RadialTable

    @classmethod
    def solve(
        cls,
        potential: jeans.Massive,
        density: RadialDensity,
        anisotropy: Anisotropy,
        r_min: float,
        r_max: float,
    ) -> LocalJeans:
        """Solve the Jeans equation for stars between ``r_min`` and ``r_max`` [kpc].

        Raises
        ------
        InputError
            If the radii are not positive and rising, or the pressure integral diverges.
        """
        solution = jeans.solve(potential, density, anisotropy, r_min, r_max)
        table = radial_table(density, r_min, r_max)
        radius = np.exp(table.log_r)
        return cls(radius, solution.sigma_r(radius), anisotropy.beta(radius), table)

    @property
    def mean_v_t(self) -> FloatArray:
        """(K,) mean size of the tangential velocity [km/s], of a Rayleigh distribution."""
        return np.asarray(self.sigma_r * np.sqrt(0.5 * np.pi * (1.0 - self.beta)), dtype=float)

    @property
    def mean_v_t3(self) -> FloatArray:
        """(K,) mean cube of the size of the tangential velocity [(km/s)^3], of a Rayleigh distribution."""
        across = self.sigma_r**2 * (1.0 - self.beta)
        return np.asarray(3.0 * np.sqrt(0.5 * np.pi) * across**1.5, dtype=float)

    @property
    def kurtosis_r(self) -> FloatArray:
        """(K,) kurtosis of v_r: 3."""
        return np.full(len(self.radius), 3.0)

    @property
    def kurtosis_t(self) -> FloatArray:
        """(K,) kurtosis of v_theta and of v_phi: 3."""
        return np.full(len(self.radius), 3.0)

    def sample(
        self, uniforms: Uniforms, number: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(N,) radii [kpc], radial and tangential velocities [km/s] of the stars of these numbers (N,)."""
        r = self.radii.at(uniforms.uniform("radius", number))
        x = np.log(r)
        sigma = np.interp(x, self.radii.log_r, self.sigma_r)
        flattening = np.sqrt(1.0 - np.interp(x, self.radii.log_r, self.beta))
        v_r = sigma * uniforms.normal("v_r", number)
        size = np.sqrt(-2.0 * np.log(uniforms.uniform("v_t", number)))
        return r, v_r, sigma * flattening * size
