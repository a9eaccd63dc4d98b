"""Stars drawn from distribution functions of agama (Vasiliev 2019, MNRAS 482, 1525)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Final, cast

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.cache import cached, plain_content
from haloassay.base.errors import EquilibriumError
from haloassay.mocks.backends.agama.conversion import to_agama
from haloassay.mocks.backends.agama.distributions import (
    AgamaSampling,
    Distribution,
    QuasiSpherical,
)
from haloassay.mocks.backends.agama.library import library
from haloassay.mocks.chemistry import abundances
from haloassay.mocks.equilibria import jeans
from haloassay.mocks.gravity.potentials import CompositePotential
from haloassay.mocks.mock import Mock
from haloassay.mocks.moments import Moments, anisotropy, at_rest
from haloassay.mocks.stars import Origin, Stars, radial_table
from haloassay.mocks.truth import Truth
from haloassay.mocks.uniforms import Uniforms, counted

#: Radii a decade at which moments are tabulated, and nodes in abs(cos theta) at each.
_PER_DECADE: Final = 14
_NODES: Final = 4


@dataclass(frozen=True, eq=False)
class AgamaMock(Mock):
    """Stars of a distribution function of agama's, in the spherical average of the potential.

    A table with ``distribution = { kind = "double-power-law", j0 = ..., slope_in = ..., slope_out = ... }``
    has stars of that function of actions. One without has those of the quasi-spherical function of its
    ``density`` and ``beta`` (constant or osipkov-merritt-profile). Needs agama.

    Parameters
    ----------
    potential
        Of which the mock moves in the monopole.
    distribution
        The function.
    sampling
        Range, name and chemistry.
    """

    version: ClassVar[int] = 3

    potential: CompositePotential
    distribution: Distribution
    sampling: AgamaSampling

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Name of the population."""
        return (Origin(self.sampling.name),)

    @property
    def abundances(self) -> Mapping[str, bool | None]:
        """Which of ``feh`` and ``alpha_fe`` the stars have."""
        return self.sampling.abundances

    @cached_property
    def truth(self) -> Truth:
        """What is true of the distribution function, whatever stars are drawn.

        Of a quasi-spherical one, which has the wanted density and beta, sigma_r is that of the Jeans
        equation; of one of actions, moments are agama's integrals over it.
        """
        return Truth(self.potential, self._own_moments() if self._wanted is None else self._jeans())

    @property
    def _wanted(self) -> QuasiSpherical | None:
        return self.distribution if isinstance(self.distribution, QuasiSpherical) else None

    def _jeans(self) -> Moments:
        wanted = cast("QuasiSpherical", self._wanted)
        _ = self._table  # refuses what agama cannot make
        density, r_range = wanted.cut(self.sampling.r_range), self.sampling.r_range
        solution = jeans.solve(self.potential, density, wanted.anisotropy, *r_range)
        log_mass = radial_table(density, *r_range).log_mass
        resting = at_rest(
            lambda r: np.exp(density.log_density(r) - log_mass),
            lambda r: solution.sigma_r(np.clip(r, *r_range)),
            wanted.anisotropy.beta,
        )
        return replace(resting, feh=self.sampling.feh.moments, r_range=r_range)

    def _own_moments(self) -> Moments:
        from scipy.interpolate import CubicSpline

        table = self._table
        ln_r = np.log(table["r"])
        density = CubicSpline(ln_r, np.log(table["density"] / table["fraction"]))
        velocity = CubicSpline(ln_r, np.hstack([table["first"], table["second"]]))
        return Moments(
            lambda r: np.asarray(np.exp(density(np.log(r))), dtype=float),
            lambda r: np.asarray(velocity(np.log(r))[..., :3], dtype=float),
            lambda r: np.asarray(velocity(np.log(r))[..., 3:], dtype=float),
            self.sampling.feh.moments,
            self.sampling.r_range,
        )

    def check(self) -> None:
        """Work out distribution function and moments.

        Raises
        ------
        EquilibriumError
            If agama finds no distribution function of the wanted density and anisotropy.
        """
        _ = self._table

    def sampler(self, rng: np.random.Generator) -> Callable[[int], Stars]:
        """Source of independent stars: each call with a number returns that many more."""
        uniforms = Uniforms.of(rng)

        def draw(number: IntArray) -> Stars:
            phase = self._phase_space(len(number), rng)
            position, velocity = phase[:, :3].copy(), phase[:, 3:].copy()
            own, r = self.sampling, np.linalg.norm(position, axis=1)
            chemistry = abundances(own.feh, own.alpha_fe, r, uniforms, number)
            return Stars.of(position, velocity, *chemistry, number=number)

        return counted(draw)

    def _phase_space(self, n: int, rng: np.random.Generator) -> FloatArray:
        """(n, 6) positions and velocities, drawn on one thread; agama's own generator is seeded from ``rng``."""
        agama = library()
        lo, hi = self.sampling.r_range
        inside = float(self._table["fraction"])
        parts: list[FloatArray] = [np.empty((0, 6))]
        while (missing := n - sum(map(len, parts))) > 0:
            agama.setRandomSeed(int(rng.integers(1, 2**31 - 1)))
            with agama.setNumThreads(1):
                drawn = self._model.sample(int(missing / inside * 1.02) + 100)[0]
            r = np.linalg.norm(drawn[:, :3], axis=1)
            parts.append(np.asarray(drawn[(r >= lo) & (r <= hi)], dtype=float)[:missing])
        return np.concatenate(parts)

    @cached_property
    def _model(self) -> Any:
        agama = library()
        pot = to_agama(self.potential, monopole=True)
        try:
            function = self.distribution.distribution(agama, pot, self.sampling.r_range)
        except RuntimeError as error:
            raise EquilibriumError(f"agama: {' '.join(str(error).split())}") from None
        return agama.GalaxyModel(pot, function)

    @cached_property
    def _table(self) -> dict[str, FloatArray]:
        """Moments in shells: r (K,), density (K,), first and second (K, 3); fraction of stars in the range."""
        agama = library()
        table = cached(
            [
                "agama-moments",
                self.version,
                agama.__version__,
                plain_content([self.potential, self.distribution, self.sampling.r_range]),
            ],
            lambda: _moments(agama, self._model, self.sampling.r_range),
        )
        if self._wanted is not None:
            _check(table, self._wanted, self.sampling)
        return table


def _moments(agama: Any, model: Any, r_range: tuple[float, float]) -> dict[str, FloatArray]:
    """Tabulate moments of a model that is symmetric about its axis and plane; all its stars are 1."""
    lo, hi = r_range
    r = np.geomspace(lo, hi, int(np.ceil(np.log10(hi / lo) * _PER_DECADE)) + 2)
    nodes, weights = np.polynomial.legendre.leggauss(2 * _NODES)
    cos, share = nodes[_NODES:], weights[_NODES:]
    sin = np.sqrt(1.0 - cos * cos)
    on_meridian = np.stack([sin, 0.0 * sin, cos], axis=-1)
    total = float(model.df.totalMass())
    density, first, second = np.empty(len(r)), np.empty((len(r), 3)), np.empty((len(r), 3))
    for k, radius in enumerate(r):  # one by one: agama counts longer work aloud
        with agama.setNumThreads(1):
            rho, mean, square = model.moments(radius * on_meridian, dens=True, vel=True, vel2=True)
        weight = rho * share
        density[k] = weight.sum() / total
        v, v2 = _spherical(mean, square, sin, cos)
        first[k] = weight @ v / weight.sum()
        second[k] = weight @ (v2 - v**2) / weight.sum() + first[k] ** 2
    from scipy.interpolate import CubicSpline

    shells = CubicSpline(np.log(r), 4.0 * np.pi * r**3 * density)
    inside = np.array(min(float(shells.integrate(*np.log([lo, hi]))), 1.0))
    return {"r": r, "density": density, "first": first, "second": second, "fraction": inside}


def _spherical(
    mean: FloatArray, square: FloatArray, sin: FloatArray, cos: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Mean and mean square of (v_r, v_theta, v_phi) on the meridian y = 0, v_theta to the north.

    From means (K, 3) and mean products (K, 6: xx, yy, zz, xy, xz, yz) of Cartesian velocities.
    """
    x, y, z = mean.T
    xx, yy, zz, xz = (square[:, k] for k in (0, 1, 2, 4))
    across = 2.0 * xz * sin * cos
    v = [x * sin + z * cos, z * sin - x * cos, y]
    v2 = [xx * sin**2 + zz * cos**2 + across, xx * cos**2 + zz * sin**2 - across, yy]
    return np.stack(v, axis=-1), np.stack(v2, axis=-1)


def _check(
    table: Mapping[str, FloatArray], wanted: QuasiSpherical, sampling: AgamaSampling
) -> None:
    """Refuse a distribution function that misses the wish: agama sets negative ones to zero.

    A radius counts together with a neighbour: agama's integrals over velocity now and then miss at
    one.
    """
    r = table["r"]
    found = np.log(np.maximum(table["density"], 1e-300))
    ratio = found - wanted.cut(sampling.r_range).log_density(r)
    miss = np.expm1(ratio - np.median(ratio))
    second = table["second"]
    beta_miss = anisotropy(second - table["first"] ** 2) - wanted.anisotropy.beta(r)
    off = ~((np.abs(miss) <= sampling.tolerance) & (np.abs(beta_miss) <= sampling.tolerance))
    near = np.concatenate([[False], off, [False]])
    bad = off & (near[:-2] | near[2:])
    if bad.any():
        worst = np.argmax(np.where(bad, np.abs(miss) + np.abs(beta_miss), 0.0))
        raise EquilibriumError(
            "agama finds no quasi-spherical distribution function of this density and beta: it misses at"
            f" {r[bad].min():.3g} to {r[bad].max():.3g} kpc, at {r[worst]:.3g} kpc the density by"
            f" {100.0 * miss[worst]:.2g} per cent and beta by {beta_miss[worst]:.2g}"
            f" (tolerance {sampling.tolerance:g}); kind = 'equilibrium' may have one"
        )
