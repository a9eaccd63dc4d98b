"""Schwarzschild models made with agama: an orbit library, weights of its orbits, and the stars that are drawn from it.

Schwarzschild (1979, ApJ 232, 236, M) with the targets and the solver of Vasiliev & Valluri (2020, ApJ 889, 39, M).
Cells of the density, and where a beta is wanted the shells' velocity ellipsoid, are constraints. Between them nothing
is known beforehand, so that the truth of the tracers is measured in a population which is made once.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.cache import content_key, plain_content
from haloassay.base.errors import EquilibriumError, InputError
from haloassay.base.settings import require
from haloassay.mocks.backends.agama.conversion import NoCounterpartError, to_agama, turned
from haloassay.mocks.backends.agama.distributions import AgamaSampling, Schwarzschild
from haloassay.mocks.backends.agama.library import library
from haloassay.mocks.backends.agama.orbits import agama_orbits
from haloassay.mocks.chemistry import abundances
from haloassay.mocks.equilibria.anisotropy import FunctionAnisotropy
from haloassay.mocks.equilibria.relaxation import DriftWarning
from haloassay.mocks.equilibria.stationarity import Stationarity, stationarity
from haloassay.mocks.equilibria.stored_population import (
    StoredMock,
    StoredPopulation,
    reach,
    stored_population,
)
from haloassay.mocks.equilibria.tracers import Density
from haloassay.mocks.gravity.potentials import CompositePotential
from haloassay.mocks.gravity.shapes import Shape, rotation_matrix
from haloassay.mocks.moment_map import MomentMap
from haloassay.mocks.moments import population_moments
from haloassay.mocks.stars import Origin, Stars
from haloassay.mocks.truth import Truth
from haloassay.mocks.uniforms import Uniforms, numbers
from haloassay.mocks.watch import Watch

#: Points kept of an orbit, in units of the stars that one has on average: a heavy one has several times as many.
_POINTS = 12.0
#: Price of uneven weights beside that of a constraint that is missed by all of it: constraints come first.
_SMOOTH: Final = 0.01
#: Anisotropies that orbits of the library start with: wider than what a halo has.
_BETAS: Final = (-1.0, 0.9)
#: Relative error of a step, and orbits that are integrated between two calls of ``progress``.
_TOLERANCE, _BATCH = 1e-7, 500
#: Difference of the potential between mirrored places that counts as none.
_MIRRORED: Final = 1e-6
_SIDES: Final = np.array(list(itertools.product([1.0, -1.0], repeat=3)))


class _Library(NamedTuple):
    """N orbits in the axes of the tracers.

    ``cells`` (N, C) and ``kinematics`` (N, 2 K) are what agama's targets recorded, ``wanted`` (C,) shares of the mass
    in cells, ``prior`` (N,) weights that orbits would have if each kept to the radius it starts from, ``points``
    (N, P, 6) places and velocities at equal steps of time.
    """

    cells: FloatArray
    kinematics: FloatArray
    wanted: FloatArray
    prior: FloatArray
    points: FloatArray


@dataclass(frozen=True, eq=False)
class SchwarzschildMock(StoredMock):
    """Stars of a Schwarzschild model of agama's in the true field of a potential.

    Parameters
    ----------
    potential
        In which orbits move; the same on both sides of every plane through two axes of the tracers.
    density
        Wanted density of the tracers along radii of spheres of equal volume.
    anisotropy
        Wanted beta of each shell, in spherical coordinates; whatever comes where it is None.
    settings
        Axis ratios and tilt of the density, size of the library and population.
    sampling
        Range, tolerance, name and chemistry.
    """

    version: ClassVar[int] = 2

    potential: CompositePotential
    density: Density
    anisotropy: FunctionAnisotropy | None
    settings: Schwarzschild
    sampling: AgamaSampling

    size_setting: ClassVar[str] = "mock.distribution.size"

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Name of the population."""
        return (Origin(self.sampling.name),)

    @property
    def abundances(self) -> Mapping[str, bool | None]:
        """Which of ``feh`` and ``alpha_fe`` the stars have."""
        return self.sampling.abundances

    @property
    def number(self) -> int | None:
        """About as many stars as the population has."""
        return self.settings.size

    @cached_property
    def truth(self) -> Truth:
        """Masses of the potential; moments measured in the population, in shells and over the sky."""
        stars, r_range = self.population.stars, self.sampling.r_range
        tracers = population_moments(stars, r_range)
        sky = MomentMap.of_population(stars, tracers.r_range)
        tests = {self.sampling.name: self.population.stationarity[0]}
        return Truth(self.potential, tracers, local=sky, stationarity=tests)

    def check(self) -> None:
        """Convert the potential, and see whether it has the symmetry that agama's targets take for granted.

        Raises
        ------
        InputError
            If a component has no counterpart in agama, or the potential is not mirrored at the tracers' planes.
        """
        _ = self._pot

    def prepare(self, progress: Watch | None = None) -> Mapping[str, Any]:
        """Make the population now, or find it in the cache; returns its size and how stationary it is.

        Raises
        ------
        EquilibriumError
            If no weights of the library's orbits give density and beta within the tolerance.
        """
        facts = super().prepare(progress)
        drift = self.population.stationarity[0].summary()
        return {**facts, "drift": {self.sampling.name: drift}}

    def make_population(self, progress: Watch | None = None) -> StoredPopulation:
        """Make all stars that there are, or find them in the cache."""
        _ = self._pot  # refused whether or not an older run made the stars
        parts = [self.potential, self.density, self.anisotropy, self.settings, self.sampling]
        content = ["schwarzschild", self.version, library().__version__, plain_content(parts)]
        rng = np.random.default_rng(int(content_key(content)[:8], 16))
        return stored_population(content, lambda: self._make(rng, progress))

    def _make(self, rng: np.random.Generator, progress: Watch | None) -> StoredPopulation:
        orbits = self._integrate(rng, progress)
        weights = self._solve(orbits)
        phase, share = self._draw(orbits, weights, rng)
        turn = rotation_matrix(self.settings.tilt).T
        stars = Stars.of(phase[:, :3] @ turn, phase[:, 3:] @ turn)
        test = self._drift(stars, turn.T)
        lo, hi = self.sampling.r_range
        stars = stars.select((stars.r >= lo) & (stars.r < hi))
        own, number = self.sampling, numbers(0, len(stars))
        chemistry = abundances(own.feh, own.alpha_fe, stars.r, Uniforms.of(rng), number)
        dressed = Stars.of(stars.position, stars.velocity, *chemistry, number=number)
        return StoredPopulation(dressed, max(1, round(len(phase) * share)), {0: test})

    @cached_property
    def _pot(self) -> Any:
        """Potential of agama's in the axes of the tracers."""
        try:
            upright = to_agama(self.potential)
        except NoCounterpartError as error:
            raise InputError(
                f"{error.reason}; kind = 'equilibrium' with a population follows stars in it"
            ) from None
        pot = turned(upright, rotation_matrix(self.settings.tilt))
        r = np.geomspace(*self.sampling.r_range, 7)
        places = r[:, None] * np.array([0.7, 0.5, 0.4]) / np.linalg.norm([0.7, 0.5, 0.4])
        depth = np.stack([pot.potential(places * side) for side in _SIDES])
        require(
            bool(np.all(np.ptp(depth, axis=0) <= _MIRRORED * np.abs(depth[0]))),
            "the potential is not mirrored at the planes of the tracers' axes, as agama's Schwarzschild models"
            " are: tilt must be that of the halo, and a disc beside it upright; kind = 'equilibrium' with a"
            " shape follows stars in any field",
        )
        return pot

    @property
    def _lengths(self) -> FloatArray:
        """(3,) lengths of the axes of the density, of product 1."""
        return Shape(self.settings.axis_ratios).lengths(np.ones(1))[0]

    @property
    def _edges(self) -> FloatArray:
        """(K,) edges [kpc] of the shells that are constrained."""
        return np.geomspace(*reach(self.sampling.r_range), self.settings.shells + 1)

    def _integrate(self, rng: np.random.Generator, progress: Watch | None) -> _Library:
        """Orbits that start evenly in ln r, at places as flattened as the density, with many anisotropies."""
        agama, n, lengths, edges = library(), self.settings.orbits, self._lengths, self._edges
        b, c = self.settings.axis_ratios
        middle = float(self.density.log_density(np.sqrt(edges[0] * edges[-1])))

        def density(x: FloatArray) -> FloatArray:
            s = np.maximum(np.linalg.norm(x / lengths, axis=1), 1e-3 * edges[0])
            return np.exp(self.density.log_density(s) - middle)

        cells = agama.Target(
            type="DensityClassicTopHat",
            gridr=edges,
            axisratioy=b,
            axisratioz=c,
            stripsPerPane=1 if b == c == 1.0 else 2,
        )
        shells = agama.Target(type="KinemShell", degree=1, gridr=edges)
        s, starts = self._starts(rng)
        prior = np.exp(self.density.log_density(s)) * s**3
        lo, hi = self.sampling.r_range
        inside = prior[(s >= lo) & (s < hi)].sum() / prior.sum()
        points = int(np.ceil(_POINTS * self.settings.size / inside / n))
        parts = []
        for first in range(0, n, _BATCH):
            some = starts[first : first + _BATCH]
            in_cells, in_shells, _, paths = agama.orbit(
                ic=some,
                potential=self._pot,
                time=self.settings.periods * self._pot.Tcirc(some),
                targets=[cells, shells],
                trajsize=max(points, 2),
                accuracy=_TOLERANCE,
                separateTime=True,
                verbose=False,
            )
            parts.append((in_cells, in_shells, paths))
            if progress is not None:
                progress(first + len(some), n)
        recorded = [np.concatenate(part) for part in zip(*parts, strict=True)]
        finite = np.logical_and.reduce(
            [np.isfinite(x.reshape(n, -1)).all(axis=1) for x in recorded]
        )
        recorded = [np.asarray(x[finite], dtype=float) for x in recorded[:2]] + [
            recorded[2][finite]
        ]
        wanted = np.asarray(cells(agama.Density(density, symmetry="t")), dtype=float)
        prior = prior[finite] / prior[finite].sum()
        return _Library(recorded[0], recorded[1], wanted / wanted.sum(), prior, recorded[2])

    def _starts(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """(N,) radii of spheres of equal volume [kpc], and (N, 6) where orbits start."""
        n, edges = self.settings.orbits, self._edges
        s = edges[0] * (edges[-1] / edges[0]) ** rng.random(n)
        direction, deviate = rng.normal(size=(2, n, 3))
        direction /= np.linalg.norm(direction, axis=1)[:, None]
        beta = rng.uniform(*_BETAS, n)
        # of a population in a flat rotation curve, whose density falls as r^-4
        sigma = self.potential.circular_velocity(s) / np.sqrt(4.0 - 2.0 * beta)
        radial = np.sum(deviate * direction, axis=1)[:, None] * direction
        velocity = sigma[:, None] * (radial + np.sqrt(1.0 - beta)[:, None] * (deviate - radial))
        position = s[:, None] * direction * self._lengths
        speed = np.linalg.norm(velocity, axis=1)
        most = 0.95 * np.sqrt(-2.0 * self._pot.potential(position))
        velocity *= np.minimum(1.0, most / speed)[:, None]
        return s, np.hstack([position, velocity])

    def _solve(self, orbits: _Library) -> FloatArray:
        """(N,) weights of the orbits, the most even ones of those that meet the constraints."""
        edges = self._edges
        matrix, wish = [(orbits.cells / orbits.wanted).T], [np.ones(len(orbits.wanted))]
        radial, tangential = np.split(orbits.kinematics, 2, axis=1)
        if self.anisotropy is not None:
            ratio = 2.0 * (1.0 - self.anisotropy.beta(edges))
            # in units of what the radial motions have before orbits are weighed: a miss is one of beta
            unit = 2.0 * (orbits.prior @ radial)
            matrix.append(((radial * ratio - tangential) / unit).T)
            wish.append(np.zeros(len(edges)))
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # the solver tells of every step
                weights = library().solveOpt(
                    matrix=tuple(np.ascontiguousarray(m) for m in matrix),
                    rhs=tuple(wish),
                    rpenl=tuple(np.ones(len(w)) for w in wish),
                    xpenq=_SMOOTH / orbits.prior,
                )
        except (RuntimeError, ValueError) as error:
            raise EquilibriumError(f"agama's solver: {' '.join(str(error).split())}") from None
        weights = np.maximum(np.asarray(weights, dtype=float), 0.0)
        self._judge(matrix[0] @ weights - 1.0, radial, tangential, weights)
        return weights

    def _judge(
        self,
        miss: FloatArray,
        radial: FloatArray,
        tangential: FloatArray,
        weights: FloatArray,
    ) -> None:
        """Refuse weights that miss a cell by more than the tolerance, or the beta of a shell."""
        limit, worst = self.sampling.tolerance, float(np.abs(miss).max())
        beta_miss = np.zeros(1)
        if self.anisotropy is not None:
            found = 1.0 - (weights @ tangential) / (2.0 * (weights @ radial))
            beta_miss = found - self.anisotropy.beta(self._edges)
        if not (worst <= limit and np.abs(beta_miss).max() <= limit):
            raise EquilibriumError(
                "agama finds no weights of these orbits that give the density and beta: the mass of cells is"
                f" missed by up to {100.0 * worst:.2g} per cent, beta by up to {np.abs(beta_miss).max():.2g}"
                f" (tolerance {limit:g}); more orbits help where there is an equilibrium"
            )

    def _draw(
        self, orbits: _Library, weights: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, float]:
        """(N, 6) places and velocities, ``size`` of them in the range, and stars an orbit by N.

        Each orbit gives as many as its weight says, or one more, at random points of its path. Mirrored places are
        as good: each star is put on either side of every plane at random, which leaves no net rotation, and a
        point of a heavy orbit may be taken again on another side.
        """
        n, points = orbits.points.shape[:2]
        lo, hi = self.sampling.r_range
        r = np.linalg.norm(orbits.points[:, :, :3], axis=2)
        inside = float(weights @ np.mean((r >= lo) & (r < hi), axis=1) / weights.sum())
        # a margin, that size is reached: stars that are in the range are a matter of chance
        size = (self.settings.size + 5.0 * np.sqrt(self.settings.size)) / inside
        expected = np.repeat(size * weights / weights.sum() / points, points)
        require(
            bool(expected.max() <= len(_SIDES)),
            f"a population of {self.settings.size} is too large for {self.settings.orbits} orbits: one of them has"
            " more stars than points (set more orbits)",
        )
        steps = np.floor(np.concatenate([[0.0], np.cumsum(expected)]) + rng.random()).astype(int)
        taken = np.repeat(np.arange(len(expected)), np.diff(steps))
        again = np.arange(steps[0], steps[-1]) - steps[taken]
        order = rng.permuted(np.tile(np.arange(points), (n, 1)), axis=1).ravel()
        side = _SIDES[(rng.integers(len(_SIDES), size=len(expected))[taken] + again) % len(_SIDES)]
        which = taken // points
        phase = np.asarray(orbits.points[which, order[taken]], dtype=float)
        return phase * np.hstack([side, side]), 1.0 / len(np.unique(which))

    def _drift(self, stars: Stars, axes: FloatArray) -> Stationarity:
        """Follow the stars further, and see whether anything changes; warns where it does."""
        pot = to_agama(self.potential)
        end = agama_orbits(
            pot, stars.position, stars.velocity, 0.0, self.settings.drift_time, _TOLERANCE
        )
        kept = np.flatnonzero(~end.stuck)
        later = Stars.of(end.position, end.velocity).select(kept)
        elapsed = self.settings.drift_time
        test = stationarity(stars.select(kept), later, axes, self.sampling.r_range, elapsed)
        if test.complaint is not None:
            warnings.warn(
                f"population {self.sampling.name!r} is not stationary: {test.complaint};"
                " more mock.distribution.periods mix it further",
                DriftWarning,
                stacklevel=2,
            )
        return test
