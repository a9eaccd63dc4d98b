"""Distribution functions of an equilibrium: which of all that share a density and an anisotropy.

The Jeans equation fixes second moments. What is left free, such as the tails of the velocities, is fixed by a
distribution: it gives the first guess that the weights of orbits stay nearest to, and what they are to meet beside
density and beta.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from haloassay.base import kinds
from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.errors import EquilibriumError
from haloassay.base.settings import require
from haloassay.mocks.equilibria import jeans
from haloassay.mocks.equilibria.anisotropy import (
    Anisotropy,
    Constant,
    OsipkovMerrittProfile,
)
from haloassay.mocks.equilibria.inversion import SeparableFunction, cell_shares
from haloassay.mocks.equilibria.orbits import (
    OrbitGrid,
    OrbitLibrary,
    PotentialTable,
    SphericalPotential,
    angular_momentum_squared,
)
from haloassay.mocks.equilibria.tracers import Density

#: Anisotropy at most that a first guess has: that of purely radial orbits has no room across.
_MOST_RADIAL: Final = 0.97
#: Least weight of a cell in a first guess, of the largest: entropy needs positive ones.
_LEAST: Final = 1e-12
#: Kurtosis that no component can be below: one whose direction is at random in a plane has more.
_LEAST_KURTOSIS: Final = {"radial": 1.0, "tangential": 1.5}


@dataclass(frozen=True, eq=False)
class OrbitProblem:
    """What orbits are weighed for.

    Parameters
    ----------
    potential, density, anisotropy
        What is wanted.
    table, grid, library
        The potential in a table, the cells of orbits, and what they add to shells.
    edges
        (n_shells + 1,) edges [kpc] of the shells.
    n_in
        Shells that stars are drawn in, the first ones.
    masses
        (n_shells,) wanted mass fractions.
    """

    potential: SphericalPotential
    density: Density
    anisotropy: Anisotropy
    table: PotentialTable
    grid: OrbitGrid
    library: OrbitLibrary
    edges: FloatArray
    n_in: int
    masses: FloatArray

    @property
    def radius(self) -> FloatArray:
        """(n_shells,) centres [kpc] of the shells."""
        return np.asarray(np.sqrt(self.edges[1:] * self.edges[:-1]))

    @property
    def mean_radius(self) -> FloatArray:
        """(n_r,) mean radii r_m [kpc] of the cells."""
        return np.exp(0.5 * (self.grid.ln_r[1:] + self.grid.ln_r[:-1]))

    @property
    def shell_of_cells(self) -> FloatArray:
        """(n_r,) wanted mass at the mean radii of cells, of sum 1 within the edges."""
        r_m = self.mean_radius
        inside = (r_m >= self.edges[0]) & (r_m <= self.edges[-1])
        log_mass = self.density.log_density(r_m) + 3.0 * np.log(r_m)
        return np.exp(log_mass - np.logaddexp.reduce(log_mass[inside]))

    @property
    def squared_momentum(self) -> FloatArray:
        """(n_r, n_w + 1) squared angular momentum at the edges of cells in w, over that of the circular orbit."""
        l2 = angular_momentum_squared(self.table, self.mean_radius, self.grid.w)
        l2 = np.maximum.accumulate(l2, axis=1)
        return np.asarray(l2 / l2[:, -1:])

    def spread(self, share: FloatArray) -> FloatArray:
        """(n_cells,) first guess: the wanted mass at r_m, and shares (n_r, n_w) of the orbits there by roundness."""
        prior = (self.shell_of_cells[:, None] * share).ravel()
        return np.maximum(prior, _LEAST * prior.max())


class Distribution(ABC):
    """A kind of distribution function: a frozen dataclass of settings."""

    #: What a solution is to have, as errors name it.
    wish: ClassVar[str] = "density and beta"

    @abstractmethod
    def prior(self, problem: OrbitProblem) -> FloatArray:
        """(n_cells,) positive weights that the solved ones stay nearest to, of mass 1 within the edges."""

    def check(self, anisotropy: Anisotropy) -> None:  # noqa: B027 most go with any
        """Raise InputError where there is no such function of this anisotropy."""

    def constraints(self, problem: OrbitProblem) -> tuple[FloatArray, FloatArray]:
        """Rows (k, n_cells) and targets (k,) that weights are to meet beside density and beta; none by default."""
        return np.empty((0, len(problem.library.bound))), np.empty(0)

    def check_solution(  # noqa: B027 most have no constraints
        self, r: FloatArray, kurtosis_r: FloatArray, kurtosis_t: FloatArray, tolerance: float
    ) -> None:
        """Raise EquilibriumError where the solved kurtoses (K,) at radii (K,) [kpc] miss by more than ``tolerance``."""


def make_distribution(spec: Any, where: str = "mock.distribution") -> Distribution:
    """Distribution of a table with a key ``kind``.

    Raises
    ------
    InputError
        If the kind or a setting is unknown, missing or out of range; ``where`` names the place.
    """
    made: Distribution = kinds.make("distributions", spec, where)
    return made


@dataclass(frozen=True)
class PowerLaw(Distribution):
    """Powers of the angular momentum: nearest to f ~ L^(-2 beta) at each energy.

    For constant beta that is the function of :class:`Cuddeford`. Otherwise beta is taken at the mean radius of an
    orbit, and of all functions that have the density and beta, the one of largest entropy relative to this guess is
    taken. Radial orbits (beta > 0) are many: velocities across have a sharp peak and wide tails.
    """

    def prior(self, problem: OrbitProblem) -> FloatArray:
        """Return the guess; the number of orbits at fixed energy goes as L dL."""
        beta = np.minimum(problem.anisotropy.beta(problem.mean_radius), _MOST_RADIAL)[:, None]
        return problem.spread(np.diff(problem.squared_momentum ** (1.0 - beta), axis=1))


@dataclass(frozen=True)
class Gaussian(Distribution):
    """Gaussian in the angular momentum: nearest to f ~ exp(-L^2 / (2 sigma_L^2)) at each energy.

    sigma_L is such that the mean of L^2 at the energy is that of :class:`PowerLaw`; where beta < 0, the exponent is
    positive. Tails across are narrower than those of powers of L.
    """

    def prior(self, problem: OrbitProblem) -> FloatArray:
        """Return the guess: e^(-k s) ds, s = L^2 / L_circ^2 in [0, 1], of the mean (1 - beta) / (2 - beta)."""
        beta = np.minimum(problem.anisotropy.beta(problem.mean_radius), _MOST_RADIAL)
        rate = _rates((1.0 - beta) / (2.0 - beta))[:, None]
        small = np.abs(rate) < 1e-6
        safe = np.where(small, 1.0, rate)
        s = problem.squared_momentum
        cumulative = np.where(small, s, np.expm1(-safe * s) / np.expm1(-safe))
        return problem.spread(np.diff(cumulative, axis=1))


@dataclass(frozen=True)
class Kurtosis(Distribution):
    """Kurtosis <v^4> / <v^2>^2 (3 for Gaussian velocities) that is wished for between some radii, met in every shell.

    Of all functions that have the density, beta and these fourth moments, the one nearest to :class:`Gaussian` is
    taken; between other radii it is free. A wish that none has is refused, with the place.

    Parameters
    ----------
    r
        (K,) radii [kpc], rising, at least 2.
    radial
        Kurtosis of v_r between them: one number, or (K,), linear in ln r; free without.
    tangential
        The same of v_theta and of v_phi, which is 1.5 <v_t^4> / <v_t^2>^2.
    """

    wish: ClassVar[str] = "density, beta and kurtosis"

    r: tuple[float, ...]
    radial: float | tuple[float, ...] | None = None
    tangential: float | tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        require(
            len(self.r) >= 2 and self.r[0] > 0.0 and bool(np.all(np.diff(self.r) > 0.0)),
            f"r must be positive and rising, of at least 2 radii (got {list(self.r)})",
        )
        require(
            self.radial is not None or self.tangential is not None,
            "radial or tangential must be given",
        )
        for name, least in _LEAST_KURTOSIS.items():
            wish = getattr(self, name)
            if wish is None:
                continue
            values = np.atleast_1d(wish)
            require(
                np.ndim(wish) == 0 or len(values) == len(self.r),
                f"{name} must be a number or of the length of r, {len(self.r)} (got {len(values)})",
            )
            require(bool(np.all(values > least)), f"{name} must be above {least:g} (got {wish})")

    def prior(self, problem: OrbitProblem) -> FloatArray:
        """Return that of :class:`Gaussian`."""
        return Gaussian().prior(problem)

    def constraints(self, problem: OrbitProblem) -> tuple[FloatArray, FloatArray]:
        """Fourth moments, in units of those wished for."""
        r = problem.radius
        inside = self._inside(r) & (np.arange(len(r)) < problem.n_in)
        r, masses = r[inside], problem.masses[inside]
        rows = [np.empty((0, len(problem.library.bound)))]
        if inside.any():
            wanted = (problem.potential, problem.density, problem.anisotropy)
            square = jeans.sigma_r(*wanted, r) ** 2
            across = square * (1.0 - problem.anisotropy.beta(r))
            for name, fourth, variance in (
                ("radial", problem.library.radial4, square),
                ("tangential", 0.375 * problem.library.tangential4, across),
            ):
                if getattr(self, name) is not None:
                    unit = self._at(name, r) * variance**2 * masses
                    rows.append((fourth[:, inside] / unit).T)
        matrix = np.concatenate(rows)
        return matrix, np.ones(len(matrix))

    def check_solution(
        self, r: FloatArray, kurtosis_r: FloatArray, kurtosis_t: FloatArray, tolerance: float
    ) -> None:
        """Refuse a solution whose kurtosis misses by a larger fraction than ``tolerance``."""
        inside = self._inside(r)
        r = r[inside]
        for name, solved in (("radial", kurtosis_r), ("tangential", kurtosis_t)):
            if getattr(self, name) is None or not len(r):
                continue
            wanted, found = self._at(name, r), solved[inside]
            miss = np.abs(found / wanted - 1.0)
            if np.any(miss > tolerance):
                worst, bad = int(np.argmax(miss)), r[miss > tolerance]
                raise EquilibriumError(
                    f"no equilibrium of this density, beta and kurtosis: the {name} one misses at"
                    f" {bad.min():.3g} to {bad.max():.3g} kpc; best found is {found[worst]:.3g} where"
                    f" {wanted[worst]:.3g} is wanted at {r[worst]:.3g} kpc"
                )

    def _inside(self, r: FloatArray) -> BoolArray:
        return np.asarray((r >= self.r[0]) & (r <= self.r[-1]))

    def _at(self, name: str, r: FloatArray) -> FloatArray:
        values = np.broadcast_to(np.asarray(getattr(self, name), dtype=float), len(self.r))
        return np.interp(np.log(r), np.log(self.r), values)


@dataclass(frozen=True)
class Cuddeford(Distribution):
    """The separable function f = L^(-2 beta0) f(Q), Q = -E - L^2 / (2 r_a^2), by inversion (Cuddeford 1991).

    Of a constant beta it is L^(-2 beta) f(E), of beta = 0 that of Eddington (1916), of a beta of kind
    ``osipkov-merritt-profile`` that of Osipkov (1979) and Merritt (1985). It is the only one of its form, and refused
    where it would be negative. The orbits' weights are it up to the size of their cells, then moved as little as
    density and beta need.
    """

    def check(self, anisotropy: Anisotropy) -> None:
        """Refuse an anisotropy that is neither constant nor Osipkov's and Merritt's."""
        require(
            isinstance(getattr(anisotropy, "function", None), Constant | OsipkovMerrittProfile),
            "distribution cuddeford needs a beta of kind constant or osipkov-merritt-profile",
        )

    def prior(self, problem: OrbitProblem) -> FloatArray:
        """Return the masses of the cells; EquilibriumError where the function is negative."""
        self.check(problem.anisotropy)
        r_a = getattr(getattr(problem.anisotropy, "function", None), "r_a", np.inf)
        found = SeparableFunction.invert(
            problem.potential,
            problem.density,
            float(problem.anisotropy.beta(0.0)),
            r_a,
            (problem.edges[0], problem.edges[-1]),
            float(np.exp(problem.grid.ln_r[0])),
        )
        share = cell_shares(found, problem.table, problem.grid)
        prior = share / np.sum(share @ problem.library.fraction)
        return np.maximum(prior, _LEAST * prior.max())


#: What a mock has that says nothing else.
DEFAULT: Final = PowerLaw()


def _rates(mean: FloatArray) -> FloatArray:
    """Rates k at which e^(-k s) on [0, 1] has these means: 1 / k - 1 / (e^k - 1)."""
    k = np.linspace(-60.0, 60.0, 24_001)
    k[np.abs(k) < 1e-9] = 1e-9
    means = 1.0 / k - 1.0 / np.expm1(k)
    means[np.abs(k) < 1e-4] = 0.5
    return np.interp(-mean, -means, k)
