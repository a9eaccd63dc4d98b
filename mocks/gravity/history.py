"""The field that stars have moved in until now: that of the mock, and of bodies that came into it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.settings import require
from haloassay.mocks.gravity.expansions import MovingExpansion
from haloassay.mocks.gravity.fields import Field, MovingBody, Profile, field_of, parts_of
from haloassay.mocks.gravity.integration import TOLERANCE, Orbits, integrate
from haloassay.mocks.gravity.potentials import Component, CompositePotential

#: Step of the table of a satellite's path [Gyr]; the cubic between its points is good to 1e-6 kpc.
_STEP: Final = 0.002


@dataclass(frozen=True, eq=False)
class History:
    """A static field, into which bodies come where their paths begin; now is the time 0.

    Parameters
    ----------
    potential
        Of all that rests.
    bodies
        What moves through it; each is known from some time until now.
    monopole
        Whether the potential counts by its spherical average only.
    later
        A time [Gyr], and the components that rest from then on; by default all of the potential rests for ever.
    """

    potential: CompositePotential
    bodies: tuple[MovingBody | MovingExpansion, ...] = ()
    monopole: bool = False
    later: tuple[float, tuple[Component, ...]] | None = None

    @cached_property
    def epochs(self) -> tuple[tuple[float, float, Field], ...]:
        """Start and end [Gyr] of the times between two arrivals, in order, and the field in each."""
        arrivals = sorted({float(body.time[0]) for body in self.bodies})
        made = []
        for start, end in itertools.pairwise([-np.inf, *arrivals, 0.0]):
            there = [body for body in self.bodies if body.time[0] <= start]
            parts = parts_of(self._resting(start), self.monopole)
            made.append((start, end, field_of(parts, there)))
        return tuple(made)

    def _resting(self, time: float) -> tuple[Component, ...]:
        """Components that rest from a time [Gyr] on, until the next arrival."""
        if self.later is not None and time >= self.later[0]:
            return self.later[1]
        return self.potential.components

    def follow(
        self,
        position: ArrayLike,
        velocity: ArrayLike,
        t_start: ArrayLike,
        t_end: ArrayLike,
        tolerance: float = TOLERANCE,
    ) -> Orbits:
        """Follow stars from some time to another, not later than now, all forwards or all backwards.

        Parameters
        ----------
        position, velocity
            (N, 3) at the start [kpc], [km/s].
        t_start, t_end
            Times [Gyr], for all stars or for each.
        tolerance
            Largest error of a step, relative to radius and speed.

        Raises
        ------
        InputError
            If a time is later than now, some stars go forwards and others backwards, or something is not finite.
        """
        x, v = (np.array(a, dtype=float, ndmin=2) for a in (position, velocity))
        start, end, _ = np.broadcast_arrays(
            np.asarray(t_start, float), np.asarray(t_end, float), x[:, 0]
        )
        require(
            bool(max(start.max(), end.max()) <= 0.0), "nothing is known of later times than now"
        )
        backwards = bool(np.any(end < start))
        require(not (backwards and np.any(end > start)), "stars go forwards or backwards, not both")
        stuck = np.zeros(len(x), dtype=bool)
        for first, last, field in reversed(self.epochs) if backwards else self.epochs:
            enter, leave = (np.clip(t, first, last) for t in (start, end))
            which = np.flatnonzero((enter != leave) & ~stuck)
            if not len(which):
                continue
            x[which], v[which], stuck[which] = integrate(
                field, x[which], v[which], enter[which], leave[which], tolerance
            )
        return Orbits(x, v, stuck)

    def with_satellite(
        self, position: ArrayLike, velocity: ArrayLike, profile: Profile, age: float
    ) -> History:
        """Return the history with a satellite in it, a test particle itself whose pull stars feel.

        Parameters
        ----------
        position, velocity
            (3,) of the satellite now [kpc], [km/s].
        profile
            Its mass and potential about its centre.
        age
            Time [Gyr] since which it pulls.
        """
        times = np.linspace(-age, 0.0, max(4, int(np.ceil(age / _STEP)) + 1))
        x, v = (np.tile(np.asarray(a, dtype=float), (len(times), 1)) for a in (position, velocity))
        path = self.follow(x, v, 0.0, times).position
        satellite = MovingBody(times, path, np.zeros_like(path), profile)
        return replace(self, bodies=(*self.bodies, satellite))
