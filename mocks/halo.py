"""A mock halo: a potential, a tracer population in it, and the truth about both. Composed, not subclassed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from haloassay.cache import cached, plain_content
from haloassay.errors import EquilibriumError
from haloassay.mocks.anisotropy import FunctionAnisotropy, make_anisotropy
from haloassay.mocks.equilibrium import OrbitSuperposition
from haloassay.mocks.local_jeans import LocalJeans
from haloassay.mocks.mixture import Mixture
from haloassay.mocks.potentials import CompositePotential, make_potential
from haloassay.mocks.stars import Stars, orient
from haloassay.mocks.tracers import Density, make_density
from haloassay.mocks.truth import Truth
from haloassay.settings import build, require, unknown

FloatArray = NDArray[np.float64]

#: Kinds of mock that this module makes, and a line on each.
KINDS: Final = {
    "equilibrium": "stars in collisionless equilibrium, of any density and beta(r) that one can have",
    "local-jeans-gaussian": "Gaussian velocities with Jeans dispersions; not an equilibrium, for comparison",
}

#: Raised when a solution of the same settings comes out differently, so that old ones on disk are not used.
_SOLUTION_VERSION = 1


@dataclass(frozen=True)
class Metallicity:
    """Gaussian distribution of [Fe/H] [dex], the same at all radii.

    Parameters
    ----------
    mean, sigma
        Of the halo K giants by default, near the whole-sample values of Li et al. (2026, Table 1).
    """

    mean: float = -1.34
    sigma: float = 0.38

    def __post_init__(self) -> None:
        require(self.sigma >= 0.0, f"sigma must not be negative (got {self.sigma})")


@dataclass(frozen=True)
class Sampling:
    """How a halo is drawn.

    Parameters
    ----------
    r_range
        Radii [kpc] between which there are stars; the truth is stated there.
    method
        ``orbits`` for orbit superposition, ``mixture`` for analytic distribution functions, ``auto`` for the mixture
        where it meets the tolerance and orbits elsewhere.
    tolerance
        Largest miss of the wanted density (as a fraction) and anisotropy (absolute) that passes.
    feh
        Distribution of [Fe/H].
    """

    r_range: tuple[float, float] = (1.0, 300.0)
    method: Literal["auto", "orbits", "mixture"] = "auto"
    tolerance: float = 0.005
    feh: Metallicity = field(default_factory=Metallicity)

    def __post_init__(self) -> None:
        lo, hi = self.r_range
        require(
            0.0 < lo < hi < np.inf, f"r_range must rise from above zero (got {list(self.r_range)})"
        )
        require(hi / lo <= 1e6, f"r_range may span a factor of 1e6 (got {list(self.r_range)})")
        require(0.0 < self.tolerance < 1.0, f"tolerance must be in (0, 1) (got {self.tolerance})")


@dataclass(frozen=True, eq=False)
class Halo:
    """A spherical halo and the tracers in it; solved when first drawn from or asked for the truth.

    Parameters
    ----------
    kind
        ``equilibrium`` or ``local-jeans-gaussian``.
    potential, density, anisotropy
        What is wanted.
    sampling
        How it is drawn.
    """

    kind: Literal["equilibrium", "local-jeans-gaussian"]
    potential: CompositePotential
    density: Density
    anisotropy: FunctionAnisotropy
    sampling: Sampling

    @cached_property
    def solution(self) -> OrbitSuperposition | Mixture | LocalJeans:
        """The distribution that is drawn from.

        Raises
        ------
        EquilibriumError
            If no equilibrium has the wanted density and anisotropy.
        """
        wanted = (self.potential, self.density, self.anisotropy, *self.sampling.r_range)
        if self.kind == "local-jeans-gaussian":
            return LocalJeans.solve(*wanted)
        if self.sampling.method != "orbits":
            mixture = Mixture.solve(*wanted)
            if mixture.qualifies(self.sampling.tolerance):
                return mixture
            if self.sampling.method == "mixture":
                raise EquilibriumError(
                    "no mixture of analytic distribution functions has this density and beta: it misses the"
                    f" density by {100 * mixture.density_error:.2g} per cent and beta by {mixture.beta_error:.2g}"
                    " (tolerance"
                    f" {self.sampling.tolerance:g}); method = 'orbits' can have any that an equilibrium can"
                )
        return self._orbits()

    def _orbits(self) -> OrbitSuperposition:
        def solve() -> OrbitSuperposition:
            return OrbitSuperposition.solve(
                self.potential,
                self.density,
                self.anisotropy,
                *self.sampling.r_range,
                self.sampling.tolerance,
            )

        try:
            content = plain_content([self.potential, self.density, self.anisotropy, self.sampling])
        except TypeError:  # a beta that is a Python function has no content to find it by
            return solve()
        arrays = cached(
            ["orbit-superposition", _SOLUTION_VERSION, content], lambda: solve().to_arrays()
        )
        return OrbitSuperposition.from_arrays(arrays)

    @cached_property
    def truth(self) -> Truth:
        """What is true of the stars that are drawn: the solved moments, not the wished ones."""
        return Truth.of(self.potential, self.density, self.solution, *self.sampling.r_range)

    def prepare(self) -> None:
        """Solve now rather than at the first draw; see :attr:`solution` for what can go wrong."""
        _ = self.solution

    def sample(self, n: int, rng: np.random.Generator) -> Stars:
        """Draw ``n`` stars."""
        r, v_r, v_t = self.solution.sample(n, rng)
        feh = rng.normal(self.sampling.feh.mean, self.sampling.feh.sigma, n)
        return orient(r, v_r, v_t, feh, rng)


def make_halo(spec: Mapping[str, Any], where: str) -> Halo:
    """Halo of a table with keys kind, potential, density, beta and the settings of :class:`Sampling`."""
    rest = dict(spec)
    kind = rest.pop("kind")
    for key in ("potential", "density", "beta"):
        require(key in rest, f"{where}: key {key!r} is missing")
    potential = make_potential(rest.pop("potential"), f"{where}.potential")
    density = make_density(rest.pop("density"), f"{where}.density")
    anisotropy = make_anisotropy(rest.pop("beta"), f"{where}.beta")
    for key in rest:
        if key not in Sampling.__dataclass_fields__:
            allowed = ("kind", "potential", "density", "beta", *Sampling.__dataclass_fields__)
            raise unknown("setting", key, allowed, where)
    return Halo(kind, potential, density, anisotropy, build(Sampling, rest, where))
