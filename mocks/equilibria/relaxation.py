"""Equilibria of halos that are not round: a round one, brought into shape, and followed until its phases are mixed.

Each orbit is looked at after a time of its own, drawn from a window as wide as half of all the time there is:
what is left is the average over that window, in which every oscillation that is faster has gone.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Protocol

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.cache import plain_content
from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.base.kinds import load
from haloassay.base.settings import require
from haloassay.mocks.equilibria.stationarity import Stationarity, stationarity
from haloassay.mocks.equilibria.stored_population import StoredPopulation, stored_population
from haloassay.mocks.gravity.fields import Field, make_field
from haloassay.mocks.gravity.integration import TOLERANCE, Orbits, integrate
from haloassay.mocks.gravity.potentials import CompositePotential
from haloassay.mocks.gravity.shapes import Shape, rotation_matrix
from haloassay.mocks.stars import Stars
from haloassay.mocks.uniforms import Uniforms
from haloassay.mocks.watch import Watch, part_watched

Sampler = Callable[[int], Stars]


#: Integrators beside this package's own, by their names in the settings.
_INTEGRATORS: Final = {"agama": "haloassay.mocks.backends.agama.orbits:AgamaOrbits"}


class DriftWarning(HaloassayWarning):
    """A population is not stationary: its moments drift by more than noise."""


@dataclass(frozen=True)
class PopulationSettings:
    """How a population that takes orbits is made.

    Parameters
    ----------
    size
        Stars that are kept; no realisation can see more.
    time
        Every orbit is followed for a time [Gyr] of its own between half of this and this.
    tolerance
        Largest error of a step of the integration, relative to radius and speed.
    phases
        Stars that are kept of each orbit, at different times in that window. More are cheaper, but stars of
        one orbit are correlated.
    drift_time
        Further time [Gyr] over which the moments are tested for drift.
    integrator
        Whose orbits: this package's, or those of agama where it is installed. Stars start from the same places; what
        an LMC then does to them is always followed by this package.
    seed
        Of the stars: populations that differ in nothing but this are other stars of one halo. Those of different halos
        with one seed are the same stars, moved, and can be paired.
    """

    size: int = 200_000
    time: float = 5.0
    tolerance: float = TOLERANCE
    phases: int = 1
    drift_time: float = 3.0
    # not compared: the same stars are wanted, whoever follows them
    integrator: Literal["haloassay", "agama"] = field(default="haloassay", compare=False)
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.seed >= 0, f"seed must be >= 0 (got {self.seed})")
        require(0 < self.size <= 100_000_000, f"size must be in [1, 1e8] (got {self.size})")
        require(
            0 < self.phases <= self.size,
            f"phases must be in [1, size] (got {self.phases}, size {self.size})",
        )
        for name in ("time", "drift_time"):
            value = getattr(self, name)
            require(0.0 < value <= 100.0, f"{name} must be in (0, 100] Gyr (got {value:g})")
        require(
            1e-14 <= self.tolerance <= 1e-3,
            f"tolerance must be in [1e-14, 1e-3] (got {self.tolerance:g})",
        )
        if self.integrator != "haloassay":
            with _named(self.integrator):
                load(_INTEGRATORS[self.integrator]).require_installed()


@contextlib.contextmanager
def _named(integrator: str) -> Iterator[None]:
    """Name the setting that refusals of an integrator are about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"integrator = {integrator!r}: {error}") from None


class Integrator(Protocol):
    """Follows stars through the static field of one potential."""

    @property
    def version(self) -> str:
        """Of the code: stars of another one are other stars."""

    def __call__(
        self,
        position: FloatArray,
        velocity: FloatArray,
        t_start: FloatArray,
        t_end: FloatArray,
        tolerance: float,
        progress: Watch | None = None,
    ) -> Orbits:
        """Orbits of stars (N, 3) from (N,) times to (N,) times [Gyr], as :func:`integrate` gives them."""


@dataclass(frozen=True, eq=False)
class Relaxed:
    """Phase-mixed stars, and the test of whether they stand still.

    Parameters
    ----------
    stars
        ``phases`` next to each other of every orbit.
    stationarity
        By origin.
    lost
        Orbits that could not be followed, and are left out.
    """

    stars: Stars
    stationarity: dict[int, Stationarity]
    lost: int


def shaped(stars: Stars, shapes: Mapping[int, Shape]) -> Stars:
    """Round stars, each origin brought into its own shape; those without one stay round."""
    parts = []
    for origin in np.unique(stars.origin):
        which = np.flatnonzero(stars.origin == origin)
        parts.append((which, shapes.get(int(origin), Shape()).of(stars.select(which))))
    order = np.argsort(np.concatenate([which for which, _ in parts]))
    return Stars.concatenate([part for _, part in parts]).select(order)


def relax(
    stars: Stars,
    field: Field,
    settings: PopulationSettings,
    uniforms: Uniforms,
    axes: Mapping[int, FloatArray] | None = None,
    r_range: tuple[float, float] = (1.0, 300.0),
    progress: Watch | None = None,
    integrator: Integrator | None = None,
) -> Relaxed:
    """Follow stars through a static field until their phases are mixed, and then see whether they drift.

    Parameters
    ----------
    stars
        N orbits, in shape already.
    field
        The true field.
    settings
        ``time``, ``tolerance``, ``phases`` and ``drift_time``; N is the number of orbits, whatever ``size`` says.
    uniforms
        Source of the times at which orbits are looked at; those of a star's own number.
    axes
        By origin, (3, 3) axes in columns whose ratios are tested; Galactic ones by default.
    r_range
        Radii [kpc] in which stationarity is tested.
    progress
        Called now and then with work done and all work, in stars.
    integrator
        Who follows the stars in place of this package: it must have the same field.

    Raises
    ------
    InputError
        If the field is not static, or there are too few stars in the range.
    """
    require(field.static, "stars can only relax in a field in which nothing moves")
    stars = stars.numbered()
    n, phases = len(stars), settings.phases
    slots = (np.arange(phases) + uniforms.uniforms("phases", stars.number, phases).T) / phases
    times = settings.time * (0.5 + 0.5 * slots)
    position, velocity = np.empty((n, phases, 3)), np.empty((n, phases, 3))
    alive = np.ones(n, dtype=bool)
    now, state = np.zeros(n), (stars.position, stars.velocity)
    for k in range(phases + 1):
        goal = times[:, k] if k < phases else times[:, -1] + settings.drift_time
        how = (settings.tolerance, part_watched(progress, k, phases + 1))
        if integrator is None:
            orbits = integrate(field, *state, now, goal, *how)
        else:
            orbits = integrator(*state, now, goal, *how)
        alive &= ~orbits.stuck
        now, state = goal, (orbits.position, orbits.velocity)
        if k < phases:
            position[:, k], velocity[:, k] = state
    kept = stars.select(np.repeat(np.flatnonzero(alive), phases))
    mixed = replace(
        kept,
        position=position[alive].reshape(-1, 3),
        velocity=velocity[alive].reshape(-1, 3),
        number=kept.number * phases + np.tile(np.arange(phases), int(alive.sum())),
    )
    last = mixed.select(slice(phases - 1, None, phases))
    later = replace(last, position=state[0][alive], velocity=state[1][alive])
    tests = _tests(last, later, axes or {}, r_range, settings.drift_time)
    return Relaxed(mixed, tests, int(np.count_nonzero(~alive)))


def _tests(
    before: Stars,
    after: Stars,
    axes: Mapping[int, FloatArray],
    r_range: tuple[float, float],
    elapsed: float,
) -> dict[int, Stationarity]:
    tests = {}
    for origin in np.unique(before.origin):
        which = before.origin == origin
        own = axes.get(int(origin), np.eye(3))
        tests[int(origin)] = stationarity(
            before.select(which), after.select(which), own, r_range, elapsed
        )
    return tests


def other_integrator(
    potential: CompositePotential, settings: PopulationSettings
) -> Integrator | None:
    """Return who follows stars in a potential where that is not this package, else None.

    Raises
    ------
    InputError
        If its library is not installed, or has no counterpart of a component.
    """
    if settings.integrator == "haloassay":
        return None
    with _named(settings.integrator):
        integrator: Integrator = load(_INTEGRATORS[settings.integrator]).of(potential)
        return integrator


def relaxed_population(
    base: Callable[[np.random.Generator], Sampler],
    potential: CompositePotential,
    shapes: Mapping[int, Shape],
    settings: PopulationSettings,
    content: Any,
    r_range: tuple[float, float] = (1.0, 300.0),
    progress: Watch | None = None,
    names: Sequence[str] = (),
) -> StoredPopulation:
    """Phase-mixed population in the true field of a potential, from the cache where it was made before.

    Parameters
    ----------
    base
        Gives a sampler of the round equilibrium in the monopole of ``potential``, all origins mixed, when
        called with a generator. It should reach well beyond ``r_range``, so that stars that come in from
        outside are not missed.
    potential
        The true one.
    shapes
        By origin, the shape that its stars start from.
    settings
        Size, time, tolerance, phases, seed.
    content
        Plain values that say everything about ``base``.
    r_range
        Radii [kpc] in which stationarity is tested.
    progress
        Called now and then with work done and all work.
    names
        What warnings call the origins; their numbers by default.

    Raises
    ------
    InputError
        If another library is to follow the stars, and is not installed or has no counterpart of a component.

    Warns
    -----
    DriftWarning
        If moments drift by more than noise, or orbits were lost, when the population is made. What
        was found is stored with it.
    """
    integrator = other_integrator(potential, settings)

    def make() -> StoredPopulation:
        rng = np.random.default_rng(settings.seed)
        round_stars = base(rng)(-(-settings.size // settings.phases))
        axes = {origin: rotation_matrix(shape.tilt) for origin, shape in shapes.items()}
        stars, field = shaped(round_stars, shapes), make_field(potential)
        relaxed = relax(
            stars, field, settings, Uniforms.of(rng), axes, r_range, progress, integrator
        )
        _warn(relaxed, dict(enumerate(names)))
        return StoredPopulation(relaxed.stars, settings.phases, relaxed.stationarity)

    plain = [content, *plain_content([potential, shapes, settings]), list(r_range)]
    if integrator is not None:
        plain.append([settings.integrator, integrator.version])
    return stored_population(["relaxed", *plain], make)


def _warn(relaxed: Relaxed, names: Mapping[int, str]) -> None:
    if relaxed.lost:
        warnings.warn(f"{relaxed.lost} orbits could not be followed", DriftWarning, stacklevel=5)
    for origin, test in relaxed.stationarity.items():
        if test.complaint is not None:
            warnings.warn(
                f"population {names.get(origin, origin)!r} is not stationary: {test.complaint};"
                " a longer mock.population.time mixes it further",
                DriftWarning,
                stacklevel=5,
            )
