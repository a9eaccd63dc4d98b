"""The halo of a snapshot in its own frame: centre, velocity and axes, and which particles are its stars."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.cache import Arrays
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.mocks.snapshots.centre import (
    disc_axes,
    first_guess,
    mean_velocity,
    principal_shape,
    require_peak,
    shrinking_spheres,
    wrapped,
)
from haloassay.mocks.snapshots.formats import (
    Content,
    Kind,
    Particles,
    Selection,
    concatenate,
    require_once,
    require_ordered,
)
from haloassay.mocks.snapshots.mass import summed
from haloassay.mocks.snapshots.rows import FARTHEST, FASTEST, physical

#: Particles that can be tracers, or say where the halo is.
Body = Literal["dark", "stars"]
Vector = tuple[float, float, float]

#: Radius [kpc] within which nobody looks for tracers of a halo: choice.
_NEAREST: Final = 1e-3

#: [Fe/H] of particles without metals, and the least of others: choice.
_FEH_FLOOR: Final = -5.0
#: Abundances [dex] and mass fractions that a dataset can hold; codes leave mass fractions a little below zero. Beyond,
#: they are those of the other, or marks of what has none.
_DEX: Final = (-20.0, 20.0)
_FRACTIONS: Final = (-1e-3, 1.0)
#: The least mass fraction of the Sun that can be meant: of an element, not of a trace of it.
_LEAST_SOLAR: Final = 1e-15
#: Radii [kpc] at which axis ratios are told, of at least and at most so many particles: choice.
_SHAPE_RADII: Final = (20.0, 50.0, 100.0)
_SHAPE_PARTICLES: Final = (1000, 200_000)


@dataclass(frozen=True)
class Centre:
    """Where the halo is, and how it moves.

    Parameters
    ----------
    position
        In the file's unit of length; found by shrinking spheres where it is not stated.
    velocity
        In km/s; where it is not stated, the mean within ``velocity_radius``, weighted by mass.
    kinds
        Of the particles that are looked at.
    guess
        Middle of the first sphere, in the file's unit of length; the centre of mass by default.
    radius
        Of the first sphere [kpc]; all particles by default.
    velocity_radius
        In kpc.
    """

    position: Vector | None = None
    velocity: Vector | None = None
    kinds: tuple[Body, ...] = ("dark", "stars")
    guess: Vector | None = None
    radius: float = np.inf
    velocity_radius: float = 10.0

    def __post_init__(self) -> None:
        _require_kinds(self.kinds)
        for name in ("radius", "velocity_radius"):
            require(
                getattr(self, name) > 0.0, f"{name} must be positive (got {getattr(self, name)})"
            )
        speed = 0.0 if self.velocity is None else max(map(abs, self.velocity))
        require(
            speed <= FASTEST, f"velocity must be below that of light [km/s] (got {self.velocity})"
        )


@dataclass(frozen=True)
class Orientation:
    """Which way the halo is turned.

    Parameters
    ----------
    by
        ``none`` leaves the axes of the file; ``angular-momentum`` puts a disc into the plane, turning as the Milky Way
        does; ``inertia`` puts the long axis on x and the short one on z (reduced inertia tensor).
    kinds
        Of the particles that are looked at.
    radius
        In kpc.
    select
        [dataset, lowest, highest] of them, as for tracers: young stars, say.
    """

    by: Literal["none", "angular-momentum", "inertia"] = "none"
    kinds: tuple[Body, ...] = ("stars",)
    radius: float = 10.0
    select: Selection = ()

    def __post_init__(self) -> None:
        require(
            0.0 < self.radius <= FARTHEST,
            f"radius must be above 0 and up to {FARTHEST:g} kpc (got {self.radius})",
        )
        _require_kinds(self.kinds)
        require_ordered(self.select)


@dataclass(frozen=True)
class Abundance:
    """A dataset with abundances of star particles.

    Parameters
    ----------
    dataset
        Its name.
    index
        Column of it, where it has several.
    solar
        Mass fraction of the Sun, where the dataset has mass fractions: [X/H] is taken as log10 of their ratio, not
        below -5. Without it, the dataset is in dex.
    """

    dataset: str
    index: int | None = None
    solar: float | None = None

    def __post_init__(self) -> None:
        require(
            self.solar is None or _LEAST_SOLAR <= self.solar <= 1.0,
            f"solar must be a mass fraction from {_LEAST_SOLAR:g} to 1 (got {self.solar})",
        )

    def of(self, particles: Particles) -> FloatArray:
        """(N,) abundances [dex]."""
        values = particles.columns[self.dataset]
        if values.ndim > 2:
            raise InputError(
                f"{self.dataset}: has the shape {values.shape}, expected (N,) or (N, K)"
            )
        width = 0 if values.ndim == 1 else values.shape[1]
        if (self.index is None) != (width == 0) or (self.index or 0) not in range(max(width, 1)):
            raise InputError(
                f"{self.dataset}: index must be "
                + (f"0 to {width - 1}, its columns" if width else "left out, it has one column")
                + f" (got {self.index})"
            )
        values = values if self.index is None else values[:, self.index]
        lo, hi = _DEX if self.solar is None else _FRACTIONS
        n = np.count_nonzero((values < lo) | (values > hi))
        if n:
            what, hint = (
                ("abundance in dex", "state solar, or leave them out by select")
                if self.solar is None
                else ("mass fraction", "leave solar out if they are in dex")
            )
            raise InputError(
                f"{self.dataset}: no {what} from {lo:g} to {hi:g} in {n} of {len(values)} tracers: {hint}"
            )
        if self.solar is None:
            return values
        return np.log10(np.maximum(values / self.solar, 10.0**_FEH_FLOOR))


@dataclass(frozen=True)
class Tracers:
    """Which particles are the stars; one particle is one star, whatever its mass.

    Parameters
    ----------
    kinds
        ``stars``, or ``dark`` where dark particles stand for them.
    r_range
        Radii [kpc] between which they are taken.
    select
        [dataset, lowest, highest] of what is taken: ages, metallicities, a parent's number. All must hold.
    feh, alpha_fe
        Datasets of [Fe/H] and [alpha/Fe]; without them, a survey has no such column.
    """

    kinds: tuple[Body, ...] = ("stars",)
    r_range: tuple[float, float] = (1.0, 300.0)
    select: Selection = ()
    feh: Abundance | None = None
    alpha_fe: Abundance | None = None

    def __post_init__(self) -> None:
        _require_kinds(self.kinds)
        require_ordered(self.select)
        lo, hi = self.r_range
        require(
            _NEAREST <= lo < hi <= FARTHEST,
            f"r_range must rise, from {_NEAREST:g} to {FARTHEST:g} kpc at most (got {[lo, hi]})",
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Datasets that they need."""
        abundances = [x.dataset for x in (self.feh, self.alpha_fe) if x is not None]
        return tuple(dict.fromkeys([*(name for name, _, _ in self.select), *abundances]))


@dataclass(frozen=True, eq=False)
class Frame:
    """Centre [kpc] and its velocity [km/s] in the file's axes, and (3, 3) the halo's axes as rows."""

    centre: FloatArray
    velocity: FloatArray
    axes: FloatArray

    @classmethod
    def find(cls, content: Content, centre: Centre, orientation: Orientation) -> Frame:
        """Frame of the halo in ``content`` (errors as in :mod:`haloassay.mocks.snapshots.centre`)."""
        middle = _middle(content, centre)
        if centre.velocity is not None:
            velocity = np.array(centre.velocity)
        else:
            some = _of(content, centre.kinds)
            offset = wrapped(some.position - middle, content.box)
            velocity = mean_velocity(
                offset, _velocity(some), _weights(some), centre.velocity_radius
            )
        if orientation.by == "none":
            return cls(middle, velocity, np.eye(3))
        some = chosen(_of(content, orientation.kinds), orientation.select)
        offset = wrapped(some.position - middle, content.box)
        if orientation.by == "inertia":
            axes = principal_shape(offset, _weights(some), orientation.radius).axes
        else:
            axes = disc_axes(offset, _velocity(some) - velocity, _weights(some), orientation.radius)
        return cls(middle, velocity, axes)


def halo_arrays(content: Content, frame: Frame, tracers: Tracers) -> Arrays:
    """Tracers and masses about the centre, as arrays by name.

    Parameters
    ----------
    content
        What was read; the expansion that its velocities leave out is added about the centre.
    frame
        Of the halo.
    tracers
        Which particles are the stars.

    Returns
    -------
    Arrays
        position (N, 3), velocity (N, 3), feh, alpha_fe and origin (N,) of the tracers in the halo's axes; radius and
        cumulative mass of all particles that have one, dark_radius and dark_cumulative of the dark ones; facts, JSON.

    Raises
    ------
    InputError
        If no particle is a tracer.
    """
    stars = _tracers(content, frame, tracers)
    offsets = {
        kind: wrapped(p.position - frame.centre, content.box)
        for kind, p in content.particles.items()
    }
    heavy: dict[str, tuple[FloatArray, FloatArray]] = {
        kind: (np.linalg.norm(offsets[kind], axis=1), p.mass)
        for kind, p in content.particles.items()
        if p.mass is not None
    }
    nothing = (np.empty(0), np.empty(0))
    radius, cumulative = summed(*map(np.concatenate, zip(nothing, *heavy.values(), strict=True)))
    dark_radius, dark_cumulative = summed(*heavy.get("dark", nothing))
    facts: dict[str, Any] = {
        "particles": {kind: len(p) for kind, p in content.particles.items()},
        "masses": {kind: float(np.sum(m)) for kind, (_, m) in heavy.items()},
        "tracers": len(stars["position"]),
        "centre": frame.centre.tolist(),
        "velocity": frame.velocity.tolist(),
        "axes": frame.axes.tolist(),
        "axis_ratios": {
            "dark": _axis_ratios(offsets.get("dark", np.empty((0, 3)))),
            "tracers": _axis_ratios(stars["position"]),
        },
    }
    return {
        **stars,
        "radius": radius,
        "cumulative": cumulative,
        "dark_radius": dark_radius,
        "dark_cumulative": dark_cumulative,
        "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
    }


def chosen(particles: Particles, select: Selection) -> Particles:
    """Particles whose datasets are within all the ranges of ``select``."""
    keep = np.ones(len(particles), dtype=bool)
    for name, lowest, highest in select:
        values = particles.columns[name]
        if values.ndim != 1:
            raise InputError(f"select: {name} has several columns {values.shape}, expected one")
        keep &= (values >= lowest) & (values <= highest)
    return particles.select(keep)


def _tracers(content: Content, frame: Frame, tracers: Tracers) -> Arrays:
    lo, hi = tracers.r_range
    parts = []
    for origin, kind in enumerate(tracers.kinds):
        some = chosen(_of(content, (kind,)), tracers.select)
        offset = wrapped(some.position - frame.centre, content.box)
        velocity = _velocity(some) - frame.velocity + 1e-3 * content.hubble * offset
        r = np.linalg.norm(offset, axis=1)
        inside = (r >= lo) & (r < hi)
        n = int(np.count_nonzero(inside))
        some = some.select(inside)
        parts.append(
            {
                "position": offset[inside] @ frame.axes.T,
                "velocity": velocity[inside] @ frame.axes.T,
                "feh": tracers.feh.of(some) if tracers.feh else np.full(n, np.nan),
                "alpha_fe": tracers.alpha_fe.of(some) if tracers.alpha_fe else np.full(n, np.nan),
                "origin": np.full(n, origin, dtype=np.int16),
            }
        )
    stars = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if not len(stars["position"]):
        raise InputError(
            f"tracers: no {' or '.join(tracers.kinds)} particle is within r_range {[lo, hi]} kpc and select"
        )
    return stars


def _require_kinds(kinds: Sequence[Kind]) -> None:
    """Raise InputError unless some kinds are named, each once: the particles of each are put together."""
    require(len(kinds) > 0, "kinds must name at least one (dark, stars)")
    require_once("kind", kinds)


def _middle(content: Content, centre: Centre) -> FloatArray:
    """(3,) centre of the halo [kpc] in the file's axes."""
    if centre.position is not None:
        return _place(centre.position, content, "centre.position")
    some = _of(content, centre.kinds)
    position, mass = some.position, some.mass
    if mass is None or not np.any(mass):
        raise InputError(
            f"centre: none of the {len(some)} {' and '.join(centre.kinds)} particles has a mass, and they say nothing "
            "of where the halo is: state centre.position, or other centre.kinds"
        )
    if centre.guess is not None:
        guess = _place(centre.guess, content, "centre.guess")
    else:
        guess = first_guess(position, mass, content.box)
    found = shrinking_spheres(position, mass, guess, centre.radius, content.box)
    require_peak(position, mass, found, content.box)
    return found


def _place(vector: Vector, content: Content, what: str) -> FloatArray:
    """(3,) place [kpc] that the scenario states in the file's unit of length."""
    return physical(np.array([vector]), content.length, "length", what)[0]


def _of(content: Content, kinds: Sequence[Kind]) -> Particles:
    """Particles of some kinds together; those that are there."""
    some = [content.particles[kind] for kind in kinds if kind in content.particles]
    if not some:
        there = ", ".join(f"{len(p)} {kind}" for kind, p in content.particles.items())
        raise InputError(
            f"no particles of kind {' or '.join(kinds)} (there are: {there or 'none'})"
        )
    return concatenate(some)


def _velocity(particles: Particles) -> FloatArray:
    if particles.velocity is None:
        raise InputError("velocities are needed, and were not read")
    return particles.velocity


def _weights(particles: Particles) -> FloatArray:
    """(N,) masses, or equal weights of particles without mass."""
    mass = particles.mass
    return np.ones(len(particles)) if mass is None or not np.any(mass) else mass


def _axis_ratios(offset: FloatArray) -> dict[str, list[float] | None]:
    """Middle and short over long axis within some radii, by the radius [kpc]; None where they are not to be had."""
    told: dict[str, list[float] | None] = {}
    fewest, most = _SHAPE_PARTICLES
    r = np.linalg.norm(offset, axis=1)
    for radius in _SHAPE_RADII:
        told[f"{radius:g}"] = None
        if np.count_nonzero(r <= radius) < fewest:
            continue
        near = offset[r <= 5.0 * radius]
        some = near[:: 1 + len(near) // most]
        try:
            middle, short, _ = principal_shape(some, np.ones(len(some)), radius)
        except InputError:
            continue
        told[f"{radius:g}"] = [middle, short]
    return told
