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
from haloassay.mocks.equilibria.entropy import maximum_entropy_weights
from haloassay.mocks.equilibria.orbits import (
    OrbitGrid,
    OrbitLibrary,
    PotentialTable,
    SphericalPotential,
    angular_momentum_squared,
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
_OWN = ("share", "bound", "edges", "mass", "radial", "tangential", "turn")


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

    @classmethod
    def solve(
        cls,
        potential: SphericalPotential,
        density: Density,
        anisotropy: Anisotropy,
        r_min: float,
        r_max: float,
        tolerance: float = 0.005,
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
        beta = anisotropy.beta(_centres(edges))
        matrix, target = _constraints(library, wanted, beta)
        weights = maximum_entropy_weights(
            matrix, target, _prior(density, anisotropy, table, grid, edges)
        )
        solved = cls(
            r_min,
            r_max,
            table,
            grid,
            weights * library.fraction[:, :n_in].sum(axis=1),
            library.bound,
            edges,
            weights @ library.fraction,
            weights @ library.radial,
            weights @ library.tangential,
            weights @ library.turn,
        )
        _check(solved, wanted, beta, density, tolerance)
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
        return _centres(self.edges)

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


def _log_edges(lo: float, hi: float, step: float) -> FloatArray:
    return np.geomspace(lo, hi, int(np.ceil(np.log(hi / lo) / step)) + 1)


def _centres(edges: FloatArray) -> FloatArray:
    return np.sqrt(edges[1:] * edges[:-1])


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


def _prior(
    density: Density,
    anisotropy: Anisotropy,
    table: PotentialTable,
    grid: OrbitGrid,
    edges: FloatArray,
) -> FloatArray:
    """(n_cells,) first guess: the wanted density at r_m, and L^(-2 beta) at fixed energy.

    For constant beta the distribution function goes as L^(-2 beta), and the number of orbits at fixed energy as L dL.
    """
    r_m = np.exp(0.5 * (grid.ln_r[1:] + grid.ln_r[:-1]))
    l2 = np.maximum.accumulate(angular_momentum_squared(table, r_m, grid.w), axis=1)
    power = 1.0 - np.minimum(anisotropy.beta(r_m), 0.97)[:, None]
    share = np.diff((l2 / l2[:, -1:]) ** power, axis=1)
    inside = (r_m >= edges[0]) & (r_m <= edges[-1])
    log_mass = density.log_density(r_m) + 3.0 * np.log(r_m)
    mass = np.exp(log_mass - np.logaddexp.reduce(log_mass[inside]))
    prior = (mass[:, None] * share).ravel()
    return np.maximum(prior, 1e-12 * prior.max())


def _check(
    solved: OrbitSuperposition,
    masses: FloatArray,
    beta: FloatArray,
    density: Density,
    tolerance: float,
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
        f"no equilibrium of this density and beta: misses at {_span(r[bad])}; best found has"
        f" beta = {solved.beta[worst_beta]:.2f} where {beta[worst_beta]:.2f} is wanted at {r[worst_beta]:.3g} kpc"
        f" and {1.0 + miss_mass[worst_mass]:.3g} times the density at {r[worst_mass]:.3g} kpc{hint}"
    )


def _span(r: FloatArray) -> str:
    return f"{r.min():.3g} kpc" if r.min() == r.max() else f"{r.min():.3g} to {r.max():.3g} kpc"
