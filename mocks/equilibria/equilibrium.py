"""Collisionless equilibria of any density and anisotropy in a spherical potential, by orbit superposition.

Any non-negative function of energy and angular momentum, with random phases and orientations, is stationary
in a spherical potential (Jeans 1915). Cells of orbits are weighted so that together they have the wanted density and
anisotropy in every shell (Schwarzschild 1979, 1979ApJ...232..236S); weights are those of largest entropy relative
to a smooth first guess, hence positive and smooth. What the weights give, not what was wished for, is the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import EquilibriumError
from haloassay.mocks.equilibria.anisotropy import Anisotropy
from haloassay.mocks.equilibria.distributions import DEFAULT, Distribution, OrbitProblem
from haloassay.mocks.equilibria.entropy import maximum_entropy_weights
from haloassay.mocks.equilibria.orbits import (
    OrbitGrid,
    OrbitLibrary,
    PotentialTable,
    SphericalPotential,
    draw_stars,
    orbit_library,
)
from haloassay.mocks.equilibria.tracers import Density
from haloassay.mocks.uniforms import Uniforms

#: Width of shells and of orbit cells in ln r: fine enough that moments between shell centres stay within 1e-3.
_SHELL_STEP = 0.045
_CELL_STEP = 0.04
_CELLS_IN_W = 30

#: The solved region goes this far beyond the sampled one, so that the free tail outside it does not matter inside.
_BEYOND = 4.0
#: Orbits span this much more than the solved region.
_ORBITS_INSIDE, _ORBITS_OUTSIDE = 4.0, 8.0
#: Arrays of a solution by name, as they are stored.
_MOMENTS = ("fraction", "radial", "tangential", "turn", "turn3", "radial4", "tangential4")
_OWN = ("share", "bound", "edges", "mass", *_MOMENTS[1:])


@dataclass(frozen=True, eq=False)
class OrbitSuperposition:
    """A solved equilibrium: orbit weights, and the moments that they have in shells.

    Parameters
    ----------
    r_min, r_max
        Radii [kpc] between which stars are drawn and the truth is stated.
    table, grid
        The potential and the cells of orbits.
    share, bound
        (n_cells,) share of each cell in the stars between r_min and r_max, and bound on its sampling rate.
    edges
        (n_shells + 1,) edges [kpc] of the solved shells; they reach beyond ``r_max``.
    mass, radial, tangential, turn
        (n_shells,) mass fraction, and mass-weighted v_r^2, v_t^2 [(km/s)^2] and v_t [km/s], as solved.
    turn3, radial4, tangential4
        (n_shells,) mass-weighted v_t^3 [(km/s)^3], v_r^4 and v_t^4 [(km/s)^4].
    """

    r_min: float
    r_max: float
    table: PotentialTable
    grid: OrbitGrid
    share: FloatArray
    bound: FloatArray
    edges: FloatArray
    mass: FloatArray
    radial: FloatArray
    tangential: FloatArray
    turn: FloatArray
    turn3: FloatArray
    radial4: FloatArray
    tangential4: FloatArray

    @classmethod
    def solve(
        cls,
        potential: SphericalPotential,
        density: Density,
        anisotropy: Anisotropy,
        r_min: float,
        r_max: float,
        tolerance: float = 0.005,
        distribution: Distribution = DEFAULT,
    ) -> OrbitSuperposition:
        """Weigh orbits for ``density`` and ``anisotropy`` in ``potential``.

        Parameters
        ----------
        potential, density, anisotropy
            What is wanted.
        r_min, r_max
            Radii [kpc] between which stars will be drawn.
        tolerance
            Largest miss of a shell's mass (as a fraction) or anisotropy (absolute) that passes.
        distribution
            Which of all functions that have them: what the weights stay nearest to, and what else they meet.

        Raises
        ------
        EquilibriumError
            If no equilibrium comes that near; the message says where and which way it misses.
        """
        inner = _log_edges(r_min, r_max, _SHELL_STEP)
        edges = np.concatenate([inner, _log_edges(r_max, _BEYOND * r_max, _SHELL_STEP)[1:]])
        n_in = len(inner) - 1
        r_lo, r_hi = r_min / _ORBITS_INSIDE, _ORBITS_OUTSIDE * edges[-1]
        grid = OrbitGrid.spanning(r_lo, r_hi, _CELL_STEP, _CELLS_IN_W)
        # pericentres of the most radial orbits lie far inside; apocentres reach 2 r_m
        table = PotentialTable.tabulate(potential, 1e-7 * r_lo, 3.0 * r_hi)
        library = orbit_library(table, grid, edges, n_in)
        wanted = _shell_masses(density, edges)
        problem = OrbitProblem(
            potential, density, anisotropy, table, grid, library, edges, n_in, wanted
        )
        beta = anisotropy.beta(problem.radius)
        matrix, target = _constraints(library, wanted, beta)
        further, aims = distribution.constraints(problem)
        weights = maximum_entropy_weights(
            np.concatenate([matrix, further]),
            np.concatenate([target, aims]),
            distribution.prior(problem),
        )
        solved = cls(
            r_min,
            r_max,
            table,
            grid,
            weights * library.fraction[:, :n_in].sum(axis=1),
            library.bound,
            edges,
            *(weights @ getattr(library, name) for name in _MOMENTS),
        )
        _check(solved, wanted, beta, density, tolerance, distribution.wish)
        inside = slice(n_in)
        distribution.check_solution(
            solved.radius[inside], solved.kurtosis_r[inside], solved.kurtosis_t[inside], tolerance
        )
        return solved

    def sample(
        self, uniforms: Uniforms, number: IntArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(N,) radii [kpc], radial and tangential velocities [km/s] of stars now between r_min and r_max."""
        ends = (self.r_min, self.r_max)
        return draw_stars(self.table, self.grid, self.share, self.bound, ends, uniforms, number)

    def to_arrays(self) -> dict[str, FloatArray]:
        """Everything that makes the solution, as arrays by name."""
        own = {name: getattr(self, name) for name in _OWN}
        table = np.array([self.table.ln_r0, self.table.step])
        return own | {
            "range": np.array([self.r_min, self.r_max]),
            "table": table,
            "phi": self.table.phi,
            "slope": self.table.slope,
            "ln_r": self.grid.ln_r,
            "w": self.grid.w,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, FloatArray]) -> OrbitSuperposition:
        """Inverse of :meth:`to_arrays`."""
        r_min, r_max = (float(x) for x in arrays["range"])
        ln_r0, step = (float(x) for x in arrays["table"])
        table = PotentialTable(ln_r0, step, arrays["phi"], arrays["slope"])
        grid = OrbitGrid(arrays["ln_r"], arrays["w"])
        own = (arrays[name] for name in _OWN)
        return cls(r_min, r_max, table, grid, *own)

    @property
    def radius(self) -> FloatArray:
        """(n_shells,) centres [kpc] of the solved shells."""
        return np.asarray(np.sqrt(self.edges[1:] * self.edges[:-1]))

    @property
    def sigma_r(self) -> FloatArray:
        """(n_shells,) radial velocity dispersion [km/s]."""
        return np.sqrt(self.radial / self.mass)

    @property
    def beta(self) -> FloatArray:
        """(n_shells,) anisotropy."""
        return 1.0 - 0.5 * self.tangential / self.radial

    @property
    def mean_v_t(self) -> FloatArray:
        """(n_shells,) mean size of the tangential velocity [km/s]."""
        return self.turn / self.mass

    @property
    def mean_v_t3(self) -> FloatArray:
        """(n_shells,) mean cube of the size of the tangential velocity [(km/s)^3]."""
        return self.turn3 / self.mass

    @property
    def kurtosis_r(self) -> FloatArray:
        """(n_shells,) kurtosis of v_r."""
        return self.radial4 * self.mass / self.radial**2

    @property
    def kurtosis_t(self) -> FloatArray:
        """(n_shells,) kurtosis of v_theta and of v_phi before any net rotation: <v_theta^4> = 3/8 <v_t^4>."""
        return 1.5 * self.tangential4 * self.mass / self.tangential**2


def _log_edges(lo: float, hi: float, step: float) -> FloatArray:
    return np.geomspace(lo, hi, int(np.ceil(np.log(hi / lo) / step)) + 1)


def _shell_masses(density: Density, edges: FloatArray) -> FloatArray:
    """(n_shells,) wanted mass fractions: int rho r^3 dln r, in units of their sum."""
    x, w = np.polynomial.legendre.leggauss(8)
    ln_r = np.log(edges)
    nodes = ln_r[:-1, None] + np.diff(ln_r)[:, None] * 0.5 * (x + 1.0)
    log_mass = density.log_density(np.exp(nodes)) + 3.0 * nodes
    masses = np.sum(np.exp(log_mass - log_mass.max()) * w, axis=1) * np.diff(ln_r)
    return masses / masses.sum()


def _constraints(
    library: OrbitLibrary, masses: FloatArray, beta: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Rows that weights must meet: shell masses, and v_t^2 - 2 (1 - beta) v_r^2 = 0 in every shell.

    Both are scaled so that a row misses by 1 where a shell is off by its own mass or its own pressure.
    """
    pressure = (
        (library.radial + library.tangential).sum(axis=0) / library.fraction.sum(axis=0) * masses
    )
    anisotropy = (library.tangential - 2.0 * (1.0 - beta) * library.radial) / pressure
    matrix = np.concatenate([(library.fraction / masses).T, anisotropy.T])
    return matrix, np.repeat([1.0, 0.0], len(masses))


def _check(
    solved: OrbitSuperposition,
    masses: FloatArray,
    beta: FloatArray,
    density: Density,
    tolerance: float,
    wish: str,
) -> None:
    """Refuse a solution that misses the wish between r_min and r_max."""
    r = solved.radius
    inside = r <= solved.r_max
    miss_mass, miss_beta = solved.mass / masses - 1.0, solved.beta - beta
    bad = inside & ~((np.abs(miss_mass) <= tolerance) & (np.abs(miss_beta) <= tolerance))
    if not bad.any():
        return
    worst_mass = np.flatnonzero(inside)[np.argmax(np.abs(miss_mass[inside]))]
    worst_beta = np.flatnonzero(inside)[np.argmax(np.abs(miss_beta[inside]))]
    slope = -density.slope(r)
    too_radial = inside & (beta > 0.5 * slope + 1e-9)
    hint = (
        f"; beta exceeds half the density slope, which no separable equilibrium does, at {_span(r[too_radial])}"
        if too_radial.any()
        else ""
    )
    raise EquilibriumError(
        f"no equilibrium of this {wish}: misses at {_span(r[bad])}; best found has"
        f" beta = {solved.beta[worst_beta]:.2f} where {beta[worst_beta]:.2f} is wanted at {r[worst_beta]:.3g} kpc"
        f" and {1.0 + miss_mass[worst_mass]:.3g} times the density at {r[worst_mass]:.3g} kpc{hint}"
    )


def _span(r: FloatArray) -> str:
    return f"{r.min():.3g} kpc" if r.min() == r.max() else f"{r.min():.3g} to {r.max():.3g} kpc"
