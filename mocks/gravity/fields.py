"""Gravitational fields in three dimensions: acceleration and potential at any place and time, compiled.

A :class:`Field` is the sum of

- multipoles on a grid in ln r, each in the axes of its body, the first with the monopole of everything
  that is spherical (:mod:`haloassay.mocks.gravity.multipole`);
- Miyamoto-Nagai discs in closed form;
- a table of what else is axisymmetric (:mod:`haloassay.mocks.gravity.axisymmetric`);
- expansions in all spherical harmonics that change with time (:mod:`haloassay.mocks.gravity.expansions`);
- where wanted, each :class:`MovingBody` or moving expansion and the acceleration of the frame that goes with it.

Positions in kpc, velocities in km/s, accelerations in (km/s)^2/kpc, time in Gyr.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import GYR_PER_KPC_KMS
from haloassay.base.settings import require
from haloassay.mocks.gravity.axisymmetric import THIN
from haloassay.mocks.gravity.expansions import Expansion, MovingExpansion, expansion_arrays
from haloassay.mocks.gravity.field_kernels import FieldArrays, accelerations
from haloassay.mocks.gravity.field_parts import FieldParts, Flattened
from haloassay.mocks.gravity.multipole import (
    hermite_cells,
    monopole_nodes,
    no_multipoles,
)
from haloassay.mocks.gravity.potentials import Component, CompositePotential


class Profile(Protocol):
    """A spherical body."""

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc]."""

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc], zero at infinity."""


@dataclass(frozen=True, eq=False)
class MovingBody:
    """A rigid spherical body on a given path, and the acceleration of the frame.

    A star at x has the acceleration a_static(x) + a_body(x - position(t)) - frame_acceleration(t).
    In the non-inertial frame of a Milky Way that the body pulls, ``frame_acceleration`` is what the
    body does to the Milky Way's centre; in an inertial frame it is zero.

    Parameters
    ----------
    time
        (K,) times [Gyr], rising in equal steps, K >= 4. Between them path and acceleration are cubic
        splines; no orbit may be integrated outside them.
    position
        (K, 3) of the body [kpc].
    frame_acceleration
        (K, 3) of the frame's origin [(km/s)^2/kpc].
    profile
        The body's own enclosed mass and potential about its centre.
    """

    time: FloatArray
    position: FloatArray
    frame_acceleration: FloatArray
    profile: Profile

    def __post_init__(self) -> None:
        n = len(self.time)
        steps = np.diff(self.time)
        require(
            n >= 4 and bool(np.all(steps > 0.0)) and bool(np.ptp(steps) < 1e-6 * steps[0]),
            "times of a moving body must rise in equal steps, four or more of them",
        )
        for name in ("position", "frame_acceleration"):
            table = getattr(self, name)
            require(
                table.shape == (n, 3) and bool(np.all(np.isfinite(table))),
                f"{name} of a moving body must have three finite numbers a time",
            )


@dataclass(frozen=True, eq=False)
class Field:
    """A compiled gravitational field; made by :func:`make_field`.

    Parameters
    ----------
    arrays
        What the kernels take.
    span
        Times [Gyr] between which the field is known.
    """

    arrays: FieldArrays
    span: tuple[float, float] = (-np.inf, np.inf)

    def acceleration(self, position: ArrayLike, time: float = 0.0) -> FloatArray:
        """(N, 3) accelerations [(km/s)^2/kpc] at (N, 3) positions [kpc] and a time [Gyr]."""
        return self._evaluate(position, time)[:, 1:]

    def potential(self, position: ArrayLike, time: float = 0.0) -> FloatArray:
        """(N,) potentials [(km/s)^2] at (N, 3) positions [kpc], without that of the frame's acceleration."""
        return self._evaluate(position, time)[:, 0]

    def energy(self, position: ArrayLike, velocity: ArrayLike, time: float = 0.0) -> FloatArray:
        """(N,) energies [(km/s)^2] of stars; conserved where nothing moves."""
        speed2 = np.sum(np.asarray(velocity, dtype=float) ** 2, axis=1)
        return np.asarray(0.5 * speed2 + self.potential(position, time), dtype=float)

    @property
    def static(self) -> bool:
        """Whether nothing moves."""
        source = self.arrays.source
        if source is not None and np.any(
            (source[:, 2] >= 0.0) | (np.ptp(source[:, 4:6], axis=1) > 0.0)
        ):
            return False
        return len(self.arrays.clock) == 0

    @property
    def spherical(self) -> bool:
        """Whether it is the same in all directions, and static."""
        round_ = (
            self.arrays.degree == 0 and not len(self.arrays.discs) and not self.arrays.table.size
        )
        return round_ and self.static and self.arrays.source is None

    def require_times(self, *times: float) -> None:
        """Raise :class:`InputError` unless the field is known at the times [Gyr]."""
        lo, hi = self.span
        require(
            lo <= min(times) and max(times) <= hi,
            f"times {min(times):g} to {max(times):g} Gyr leave those that the path of a moving body is known"
            f" for, {lo:g} to {hi:g} Gyr",
        )

    def _evaluate(self, position: ArrayLike, time: float) -> FloatArray:
        self.require_times(time)
        x = np.ascontiguousarray(np.atleast_2d(np.asarray(position, dtype=float)))
        return accelerations(x, time / GYR_PER_KPC_KMS, self.arrays)


def make_field(
    potential: CompositePotential, *moving: MovingBody | MovingExpansion, monopole: bool = False
) -> Field:
    """Field of all components of a potential about one centre, and of bodies that move through it.

    Spherical components enter by their enclosed mass, :class:`~haloassay.mocks.gravity.field_parts.Flattened`
    ones as they are: ``mwpotential2014-baryons`` with its disc in closed form, triaxial ones by multipoles,
    potentials of galpy as galpy has them. With ``monopole``, all of them enter by their spherical average.

    Raises
    ------
    InputError
        If a component has no three-dimensional form here.
    """
    return field_of(parts_of(potential.components, monopole), moving)


def parts_of(components: Sequence[Component], monopole: bool = False) -> list[FieldParts]:
    """Take components apart; with ``monopole``, all of them are spherical."""
    return [
        FieldParts(spherical=(component.enclosed_mass,)) if monopole else _parts(component)
        for component in components
    ]


def field_of(
    parts: Sequence[FieldParts], moving: Sequence[MovingBody | MovingExpansion] = ()
) -> Field:
    """Sum of what components add, and of moving bodies."""
    bodies = [m for p in parts for m in p.multipoles] or [no_multipoles()]
    degree = max(m.degree for m in bodies)
    radial = np.stack([m.cells(degree) for m in bodies])
    for mass in (mass for p in parts for mass in p.spherical):
        radial[0, :, :, :1] += hermite_cells(monopole_nodes(mass))
    tables = [p.table for p in parts if p.table is not None]
    discs = [disc for p in parts for disc in p.discs]
    arrays = FieldArrays(
        rotation=np.stack([np.ascontiguousarray(m.rotation.T) for m in bodies]),
        radial=radial,
        degree=degree,
        discs=np.array(discs, dtype=float).reshape(-1, 3),
        table=np.sum(tables, axis=0) if tables else np.empty((0, 0, 4)),
        thin=THIN,
        **_moving_arrays(moving, [each for p in parts for each in p.expansions]),
    )
    start = max((float(body.time[0]) for body in moving), default=-np.inf)
    end = min((float(body.time[-1]) for body in moving), default=np.inf)
    require(start < end, "the paths of the moving bodies have no time in common")
    return Field(arrays, (start, end))


def _moving_arrays(
    moving: Sequence[MovingBody | MovingExpansion], resting: Sequence[Expansion]
) -> dict[str, Any]:
    """Cubics of paths and frame accelerations in each time step, the bodies' potentials, and all expansions."""
    from scipy.interpolate import CubicSpline

    paths: list[FloatArray] = [np.empty((0, 4, 6))]
    bodies: list[FloatArray] = [np.empty((0, 6, 1))]
    clock: dict[bool, list[tuple[float, ...]]] = {False: [], True: []}
    for body in moving:
        steps = np.arange(len(body.time))
        spline = CubicSpline(steps, np.hstack([body.position, body.frame_acceleration]))
        first = sum(map(len, paths))
        paths.append(spline.c[::-1].transpose(1, 0, 2))
        if isinstance(body, MovingBody):
            bodies.append(hermite_cells(monopole_nodes(body.profile.enclosed_mass)))
        per_dt = (len(steps) - 1) / float(np.ptp(body.time)) * GYR_PER_KPC_KMS
        start = float(body.time[0]) / GYR_PER_KPC_KMS
        kind = isinstance(body, MovingExpansion)
        clock[kind].append((start, per_dt, first, first + len(paths[-1]) - 1))
    expansions = [body for body in moving if isinstance(body, MovingExpansion)]
    return {
        "clock": np.array(clock[False], dtype=float).reshape(-1, 4),
        "path": np.ascontiguousarray(np.concatenate(paths)),
        "body": np.ascontiguousarray(np.concatenate(bodies)),
        **expansion_arrays(resting, expansions, clock[True]),
    }


def _parts(component: Component) -> FieldParts:
    """Take a component apart; one that says nothing of its field is spherical."""
    if isinstance(component, Flattened):
        return component.field_parts()
    return FieldParts(spherical=(component.enclosed_mass,))
