"""Distribution functions of an equilibrium: which of all that share a density and an anisotropy.

The Jeans equation fixes second moments. What is left free, such as the tails of the velocities, is fixed by a
distribution: it gives the first guess that the weights of orbits stay nearest to, and what they are to meet beside density
and beta.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from haloassay.base import kinds
from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EquilibriumError
from haloassay.base.settings import require
from haloassay.mocks.equilibria import jeans
from haloassay.mocks.equilibria.anisotropy import (
    Anisotropy,
    Constant,
    FunctionAnisotropy,
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
        """(n_r, n_w + 1) squared angular momentum at the edges of cells in w, in units of that of the circular orbit."""
        l2 = angular_momentum_squared(self.table, self.mean_radius, self.grid.w)
        l2 = np.maximum.accumulate(l2, axis=1)
        return np.asarray(l2 / l2[:, -1:])

    def spread(self, share: FloatArray) -> FloatArray:
        """(n_cells,) first guess: the wanted mass at r_m, and shares (n_r, n_w) of the orbits there by their roundness."""
        prior = (self.shell_of_cells[:, None] * share).ravel()
        return np.maximum(prior, _LEAST * prior.max())


class Distribution(ABC):
    """A kind of distribution function: a frozen dataclass of settings."""

    @abstractmethod
    def prior(self, problem: OrbitProblem) -> FloatArray:
        """(n_cells,) positive weights that the solved ones stay nearest to, of mass 1 within the edges."""

    def check(self, anisotropy: FunctionAnisotropy) -> None:  # noqa: B027 most go with any
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

    For constant beta that is the function of :class:`Cuddeford`. Otherwise beta is taken at the mean radius of an orbit, and
    of all functions that have the density and beta, the one of largest entropy relative to this guess is taken. Radial
    orbits (beta > 0) are many: velocities across have a sharp peak and wide tails.
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
class KurtosisTable:
    """Kurtosis as a function of radius, linear in ln r, constant outside.

    Parameters
    ----------
    r
        (K,) radii [kpc], rising, at least 2.
    kurtosis
        (K,) values.
    """

    r: tuple[float, ...]
    kurtosis: tuple[float, ...]

    def __post_init__(self) -> None:
        require(
            len(self.r) == len(self.kurtosis) >= 2,
            "r and kurtosis must be of one length, at least 2"
            f" (got {len(self.r)} and {len(self.kurtosis)})",
        )
        rising = self.r[0] > 0.0 and bool(np.all(np.diff(self.r) > 0.0))
        require(rising, f"r must be positive and rising (got {list(self.r)})")


@dataclass(frozen=True)
class Kurtosis(Distribution):
    """Kurtosis that is wished for: <v^4> / <v^2>^2, which is 3 for Gaussian velocities, met in every shell.

    Of all functions that have the density, beta and these fourth moments, the one nearest to :class:`Gaussian` is taken. A
    wish that none has is refused, with the place.

    Parameters
    ----------
    radial
        Kurtosis of v_r: a number, or a table { r, kurtosis }; left free without.
    tangential
        The same of v_theta and of v_phi, which is 1.5 <v_t^4> / <v_t^2>^2.
    """

    radial: float | KurtosisTable | None = None
    tangential: float | KurtosisTable | None = None

    #: Least kurtosis of a component, and of one whose direction is at random in a plane.
    _BOUNDS: ClassVar[Mapping[str, float]] = {"radial": 1.0, "tangential": 1.5}

    def __post_init__(self) -> None:
        require(
            self.radial is not None or self.tangential is not None,
            "radial or tangential kurtosis must be given",
        )
        for name, least in self._BOUNDS.items():
            wish = getattr(self, name)
            values = wish.kurtosis if isinstance(wish, KurtosisTable) else (wish,)
            for value in values:
                require(
                    value is None or value > least, f"{name} must be above {least:g} (got {value})"
                )

    def prior(self, problem: OrbitProblem) -> FloatArray:
        """Return that of :class:`Gaussian`."""
        return Gaussian().prior(problem)

    def constraints(self, problem: OrbitProblem) -> tuple[FloatArray, FloatArray]:
        """Fourth moments, in units of those wished for, in the shells that stars are drawn in."""
        n, r = problem.n_in, problem.radius[: problem.n_in]
        square = (
            jeans.sigma_r(problem.potential, problem.density, problem.anisotropy, r) ** 2
        )  # of v_r; of v_theta with 1 - beta
        across = square * (1.0 - problem.anisotropy.beta(r))
        rows = [np.empty((0, len(problem.library.bound)))]
        for wish, fourth, variance in (
            (self.radial, problem.library.radial4, square),
            (self.tangential, 0.375 * problem.library.tangential4, across),
        ):
            if wish is not None:
                unit = _at(wish, r) * variance**2 * problem.masses[:n]
                rows.append((fourth[:, :n] / unit).T)
        matrix = np.concatenate(rows)
        return matrix, np.ones(len(matrix))

    def check_solution(
        self, r: FloatArray, kurtosis_r: FloatArray, kurtosis_t: FloatArray, tolerance: float
    ) -> None:
        """Refuse a solution whose kurtosis misses by a larger fraction than ``tolerance``."""
        for name, found in (("radial", kurtosis_r), ("tangential", kurtosis_t)):
            wish = getattr(self, name)
            if wish is None:
                continue
            wanted = _at(wish, r)
            miss = np.abs(found / wanted - 1.0)
            if np.any(~(miss <= tolerance)):
                worst = int(np.argmax(miss))
                bad = r[~(miss <= tolerance)]
                raise EquilibriumError(
                    f"no equilibrium of this density, beta and kurtosis: the {name} one misses at"
                    f" {bad.min():.3g} to {bad.max():.3g} kpc; best found is {found[worst]:.3g} where"
                    f" {wanted[worst]:.3g} is wanted at {r[worst]:.3g} kpc"
                )


@dataclass(frozen=True)
class Cuddeford(Distribution):
    """The separable function f = L^(-2 beta0) f(Q), Q = -E - L^2 / (2 r_a^2), by inversion (Cuddeford 1991).

    Of a constant beta it is L^(-2 beta) f(E), of beta = 0 that of Eddington (1916), of a beta of kind
    ``osipkov-merritt-profile`` that of Osipkov (1979) and Merritt (1985). It is the only one of its form, and refused where it
    would be negative. The orbits' weights are it up to the size of their cells, then moved as little as density and beta need.
    """

    def check(self, anisotropy: FunctionAnisotropy) -> None:
        """Refuse an anisotropy that is neither constant nor Osipkov's and Merritt's."""
        require(
            isinstance(anisotropy.function, Constant | OsipkovMerrittProfile),
            "cuddeford needs a beta of kind constant or osipkov-merritt-profile",
        )

    def prior(self, problem: OrbitProblem) -> FloatArray:
        """Return the masses of the cells; EquilibriumError where the function is negative."""
        function = getattr(problem.anisotropy, "function", None)
        rises = isinstance(function, OsipkovMerrittProfile)
        found = SeparableFunction.invert(
            problem.potential,
            problem.density,
            function.beta0 if rises else float(problem.anisotropy.beta(problem.edges[0])),
            function.r_a if rises else np.inf,
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


def _at(wish: float | KurtosisTable, r: FloatArray) -> FloatArray:
    if isinstance(wish, KurtosisTable):
        return np.interp(np.log(r), np.log(wish.r), wish.kurtosis)
    return np.full(len(r), float(wish))
