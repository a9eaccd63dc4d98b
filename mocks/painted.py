"""A mean velocity field painted onto a mock: what a dipole fit should find, by construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.settings import require
from haloassay.contracts import sky
from haloassay.contracts.frames import spherical_basis, spherical_velocity
from haloassay.mocks.lmc.dipole_truth import DipoleTruth
from haloassay.mocks.mock import Mock, MockOfMock
from haloassay.mocks.moment_map import MomentMap
from haloassay.mocks.moments import Moments, central_moments, higher_moments
from haloassay.mocks.selected import Source, Variation
from haloassay.mocks.stars import Stars
from haloassay.mocks.truth import Truth

#: Fastest motion [km/s] that can be painted (choice).
_FASTEST: Final = 1e4


@dataclass(frozen=True)
class PaintedField:
    """Mean velocities that are added to those of every star (Li et al. 2026, eq. 6; uniform translation).

    It is no dynamics: masses stay what they are, and the field is what an estimator of it should return.

    Parameters
    ----------
    mu_compr, mu_dipole
        v_r += mu_compr + mu_dipole cos(angle to the apex) [km/s].
    v_travel
        Speed [km/s] at which the Galactic centre travels towards the apex: subtracted, as a vector, from all
        velocities. It makes a dipole of v_r of its own, of -v_travel.
    apex_l, apex_b
        The apex [deg], on Galactocentric axes: l = 0 points from the Sun to the centre.
    mean_v
        Mean (v_r, v_theta, v_phi) [km/s] that are added everywhere.
    """

    mu_compr: float = 0.0
    mu_dipole: float = 0.0
    v_travel: float = 0.0
    apex_l: float = 0.0
    apex_b: float = -90.0
    mean_v: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        require(-90.0 <= self.apex_b <= 90.0, f"apex_b must be within -90..90 (got {self.apex_b})")
        require(self.v_travel >= 0.0, f"v_travel must not be negative (got {self.v_travel})")
        for name in ("mu_compr", "mu_dipole", "v_travel", "mean_v"):
            value = getattr(self, name)
            require(
                bool(np.all(np.abs(value) <= _FASTEST)),
                f"{name} must be within +-{_FASTEST:g} km/s (got {value})",
            )

    @cached_property
    def apex(self) -> FloatArray:
        """(3,) unit vector of the apex."""
        return sky.direction(self.apex_l, self.apex_b)

    @property
    def truth(self) -> DipoleTruth:
        """The field by its names, the same at all radii; a dipole of v_r alone is no translation: no v_travel."""
        travel = -self.v_travel * self.apex
        dipole = self.mu_dipole * self.apex + travel
        compression = self.mu_compr + self.mean_v[0]
        bulk = np.array([compression, *self.mean_v[1:]])
        return DipoleTruth(
            r=np.ones(1),
            mu_compr=np.array([compression]),
            dipole=dipole[None],
            translation=(np.full(3, np.nan) if self.mu_dipole else travel)[None],
            bulk=(np.full(3, np.nan) if self.mu_dipole else bulk)[None],
        )

    @property
    def mean(self) -> FloatArray:
        """(3,) mean (v_r, v_theta, v_phi) [km/s] over the whole sky, that of the translation included."""
        north = sky.mean_v_theta(-self.v_travel * self.apex)
        return np.asarray(self.mean_v) + np.array([self.mu_compr, north, 0.0])

    def at(self, position: FloatArray) -> FloatArray:
        """(N, 3) Cartesian velocity [km/s] of the field at positions (N, 3) [kpc]."""
        basis = spherical_basis(position)
        along = np.tile(self.mean_v, (len(position), 1))
        along[:, 0] += self.mu_compr + self.mu_dipole * (basis[:, 0] @ self.apex)
        return np.asarray(np.einsum("nk,nki->ni", along, basis) - self.v_travel * self.apex)

    def paint(self, stars: Stars) -> Stars:
        """Stars with the field added to their velocities."""
        return replace(stars, velocity=stars.velocity + self.at(stars.position))


@dataclass(frozen=True, eq=False)
class PaintedMock(MockOfMock):
    """A mock with a painted field.

    Parameters
    ----------
    mock
        What is painted.
    painted
        The field.
    """

    mock: Mock
    painted: PaintedField = field(default_factory=PaintedField)

    @cached_property
    def truth(self) -> Truth:
        """Truth of the mock, with the field; dispersions stay those about the local mean."""
        truth = self.mock.truth
        sky = truth.local.variation if truth.sky is None and truth.local is not None else truth.sky
        return replace(
            truth,
            tracers=_moved(truth.tracers, self.painted.mean),
            components={k: _moved(m, self.painted.mean) for k, m in truth.components.items()},
            velocity_field=_together(truth.velocity_field, self.painted.truth),
            local=_PaintedMap(truth.local, self.painted)
            if isinstance(truth.local, MomentMap)
            else None,
            sources={name: self._source(source) for name, source in truth.sources.items()},
            sky=self._over(sky),
        )

    def _source(self, source: Source | None) -> Source | None:
        """Stars of an origin, painted."""
        if source is None:
            return None
        moments = _moved(source.moments, self.painted.mean)
        return replace(source, moments=moments, variation=self._over(source.variation))

    def _over(self, sky: Variation | None) -> Variation:
        """How painted moments vary over the sky, on top of how those of the mock do."""

        def vary(position: FloatArray) -> tuple[FloatArray, FloatArray]:
            field = spherical_velocity(position, self.painted.at(position)) - self.painted.mean
            if sky is None:
                return field, np.ones_like(field)
            shift, factor = sky(position)
            return shift + field, factor

        return vary

    def sampler(self, rng: np.random.Generator) -> Callable[[int], Stars]:
        """Source of painted stars."""
        draw = self.mock.sampler(rng)
        return lambda n: self.painted.paint(draw(n))

    def sample(self, n: int, rng: np.random.Generator) -> Stars:
        """Draw ``n`` painted stars."""
        return self.sampler(rng)(n)


@dataclass(frozen=True, eq=False)
class _PaintedMap:
    """Moments over the sky with a field on top; variances are kept."""

    local: MomentMap
    painted: PaintedField

    def raw(self, position: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, 3) mean and mean square of (v_r, v_theta, v_phi) at positions (N, 3) [kpc]."""
        first, second = self.local.raw(position)
        moved = first + spherical_velocity(position, self.painted.at(position))
        return moved, second - first**2 + moved**2

    def variation(self, position: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How moments at positions (N, 3) [kpc] differ from those of their shells."""
        return self.local.moved(self.painted.at).variation(position)

    def alone(self, stars: Stars) -> MomentMap:
        """Map of other stars, which are not painted."""
        return self.local.alone(stars)

    def with_more(self, stars: Stars, weight: float) -> _PaintedMap:
        """Map of the painted stars and of others that are not, each of which counts ``weight`` times."""
        bare = replace(stars, velocity=stars.velocity - self.painted.at(stars.position))
        return replace(self, local=self.local.with_more(bare, weight))

    def to_dict(self) -> dict[str, Any]:
        """Plain values of the map, with the mean of the field over each cell."""
        return self.local.moved(self.painted.at).to_dict()


def _together(field: Any, painted: DipoleTruth) -> DipoleTruth:
    """Sum of a field that may be there and of one that is the same at all radii."""
    if field is None:
        return painted
    return DipoleTruth(
        field.r,
        *(getattr(field, f.name) + getattr(painted, f.name)[0] for f in fields(field)[1:]),
    )


def _moved(moments: Moments, mean: FloatArray) -> Moments:
    """Moments with a mean velocity added and the variances kept."""

    def first(r: ArrayLike) -> FloatArray:
        return np.asarray(moments.first(r) + mean, dtype=float)

    def second(r: ArrayLike) -> FloatArray:
        return np.asarray(moments.variance(r) + first(r) ** 2, dtype=float)

    def higher(r: ArrayLike) -> FloatArray:
        parts = moments.first(r), moments.second(r), moments.higher(r)
        return higher_moments(first(r), *central_moments(*parts))

    return replace(moments, first=first, second=second, higher=higher)
