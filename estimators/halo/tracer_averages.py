"""What averages over tracers say of the mass: scale-free (Watkins et al. 2010), or of a known shape, cut in radius."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.constants import G
from haloassay.base.settings import require
from haloassay.contracts.profiles import nfw_enclosed_mass, nfw_shape, virial_mass
from haloassay.estimators.bins import (
    ShellDensity,
)
from haloassay.estimators.halo.baryons import Baryons, baryons_mass
from haloassay.estimators.halo.boundary import edge_share, log_variance

if TYPE_CHECKING:
    pass

Data = Literal["r-vr", "r-v", "r-vlos", "r-vt", "R-vlos", "R-pm"]


@dataclass(frozen=True)
class KnownShape:
    """Shape of the potential's enclosed mass, of which only the normalisation is looked for.

    Parameters
    ----------
    kind
        ``"nfw"``.
    r_s
        Scale radius [kpc]; or r200 and c.
    r200, c
        Virial radius [kpc] and concentration: needed with baryons, whose share in the mass they
        fix.
    baryons
        Baryons whose mass, in proportion, is part of the shape.
    h0
        Hubble's constant [km/s/Mpc], for the mass within r200.
    """

    kind: Literal["nfw"] = "nfw"
    r_s: float | None = None
    r200: float | None = None
    c: float | None = None
    baryons: Baryons = "none"
    h0: float = 67.8

    def __post_init__(self) -> None:
        virial = self.r200 is not None and self.c is not None
        partly = self.r200 is not None or self.c is not None
        require(
            (self.r_s is not None and not partly) or (self.r_s is None and virial),
            "give either r_s, or r200 and c",
        )
        require(virial or self.baryons == "none", "baryons need r200 and c, not r_s")
        for name in ("r_s", "r200", "c", "h0"):
            value = getattr(self, name)
            require(value is None or value > 0.0, f"{name} is positive (got {value})")
            require(value is None or 1e-3 <= value <= 1e6, f"{name}: 0.001 to 1e6 (got {value})")

    def mass(self, r: ArrayLike) -> FloatArray:
        """Enclosed mass at ``r`` [kpc], normalisation arbitrary."""
        if self.r200 is None or self.c is None:
            return nfw_shape(np.asarray(r, dtype=float) / self.r_s)
        halo = nfw_enclosed_mass(r, virial_mass(self.r200, self.h0), self.r200, self.c)
        return np.asarray(halo + baryons_mass(self.baryons, r))


def scale_free_constant(data: Data, a: float, gamma: float, beta: float) -> float:
    """M(<r_out) G r_out^(a - 1) / <v^2 r^a> for v_c^2 ~ r^-a, rho ~ r^-gamma and constant beta.

    r is the projected R for data that have no other radius. From the Jeans equation,
    v_c^2 = (gamma + a - 2 beta) sigma_r^2, and the averages of v_los^2 and R over all directions
    (Watkins et al. 2010; Evans et al. 2011; An & Evans 2011).
    """
    constant = a + gamma - 2.0 * beta
    if data == "r-vr":
        return constant
    if data == "r-v":
        return constant / (3.0 - 2.0 * beta)
    if data == "r-vlos":
        return 3.0 * constant / (3.0 - 2.0 * beta)
    if data == "r-vt":
        return constant / (2.0 * (1.0 - beta))
    from scipy.special import gamma as gamma_function

    k = np.sqrt(np.pi) * gamma_function(0.5 * a + 1.0) / (4.0 * gamma_function(0.5 * a + 2.5))
    if data == "R-vlos":
        return float(constant / (k * (a + 3.0 - beta * (a + 2.0))))
    return float(constant / (k * (2.0 * (a + 3.0) - beta * (a + 4.0))))


@dataclass(frozen=True, eq=False)
class ScaleFree:
    """Scale-free estimate of (resampled) stars: factor <((v_r - <v_r>)^2 + rest) r^a>.

    Parameters
    ----------
    v_r, rest
        (n,) radial velocity [km/s] and the square of what else is known [(km/s)^2].
    weight
        (n,) r^a.
    subtract_mean
        Whether <v_r> is taken off.
    factor
        (k,) factors [Msun / ((km/s)^2 kpc^a)].
    """

    v_r: FloatArray
    rest: FloatArray
    weight: FloatArray
    subtract_mean: bool
    factor: FloatArray

    def __call__(self, rows: IntArray) -> FloatArray:
        """Masses (k,) [Msun] of the stars ``rows``."""
        v_r = self.v_r[rows]
        if self.subtract_mean:
            v_r = v_r - v_r.mean()
        return self.factor * np.mean((v_r**2 + self.rest[rows]) * self.weight[rows])


@dataclass(frozen=True, eq=False)
class Bounded:
    """Known-shape estimate of (resampled) stars, with the boundary term of a sample cut in radius.

    The Jeans equation times r^4 / mu, integrated by parts between the edges, where M(<r) = M_v
    mu(r): G M_v = <v_r^2 (r / mu) (4 - 2 beta - dln mu/dln r)> - [r^4 rho sigma_r^2 / mu] / int rho
    r^2 dr.

    Parameters
    ----------
    r, v_r
        (n,) radii [kpc] and radial velocities [km/s].
    subtract_mean
        Whether <v_r> is taken off.
    beta
        Anisotropy.
    density
        Density of the tracers; gives their share at the edges.
    shape
        mu(r), normalisation arbitrary.
    edges
        Radii between which the sample is complete [kpc].
    r_out
        (k,) radii of the masses [kpc].
    """

    r: FloatArray
    v_r: FloatArray
    subtract_mean: bool
    beta: float
    density: ShellDensity
    shape: KnownShape
    edges: tuple[float, float]
    r_out: FloatArray

    @cached_property
    def _lever(self) -> FloatArray:
        """(n,) (r / mu) (4 - 2 beta - dln mu/dln r)."""
        from scipy.interpolate import CubicSpline

        knots = np.linspace(np.log(self.r.min()) - 0.1, np.log(self.r.max()) + 0.1, 200)
        log_mu = CubicSpline(knots, np.log(self.shape.mass(np.exp(knots))))
        x = np.log(self.r)
        return np.asarray(np.exp(x - log_mu(x)) * (4.0 - 2.0 * self.beta - log_mu(x, 1)))

    @cached_property
    def _share(self) -> FloatArray:
        """(2,) r^4 rho / mu / int rho r^2 dr at the edges."""
        lo = max(self.edges[0], 1e-3 * self.edges[1])  # a bin from the centre has no inner boundary
        edges = np.array([lo, self.edges[1]])
        return edge_share(self.density, edges) / self.shape.mass(edges)

    @cached_property
    def _design(self) -> FloatArray:
        """(n, 3) powers 0, 1, 2 of ln r, about its mean, of a smooth ln sigma_r^2."""
        return np.vander(np.log(self.r) - self._middle, 3, increasing=True)

    @cached_property
    def _middle(self) -> float:
        return float(np.mean(np.log(self.r)))

    def __call__(self, rows: IntArray) -> FloatArray:
        """Masses (k,) [Msun] of the stars ``rows``."""
        v_r = self.v_r[rows]
        square = (v_r - v_r.mean()) ** 2 if self.subtract_mean else v_r**2
        coefficients = log_variance(self._design[rows], square)
        edges = np.log(np.maximum(self.edges, 1e-3 * self.edges[1])) - self._middle
        at_edges = np.exp(np.vander(edges, 3, increasing=True) @ coefficients)
        boundary = np.diff(self._share * at_edges)[0]
        norm = (np.mean(square * self._lever[rows]) - boundary) / G
        return np.asarray(norm * self.shape.mass(self.r_out))
