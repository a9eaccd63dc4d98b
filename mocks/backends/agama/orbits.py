"""Orbits by agama's own integrator (dop853)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import GYR_PER_KPC_KMS
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.mocks.backends.agama.conversion import NoCounterpartError, to_agama
from haloassay.mocks.backends.agama.library import library
from haloassay.mocks.gravity.integration import TOLERANCE, Orbits
from haloassay.mocks.gravity.potentials import CompositePotential
from haloassay.mocks.watch import Watch

#: Stars that go in one batch between two calls of ``progress``.
_BATCH: Final = 4096


@dataclass(frozen=True, eq=False)
class AgamaOrbits:
    """agama in place of this package's integrator, for the orbits of a population.

    Parameters
    ----------
    pot
        agama's potential that stars are followed in.
    """

    pot: Any

    @classmethod
    def of(cls, potential: CompositePotential) -> Self:
        """Integrator in the field that agama has of a potential.

        Raises
        ------
        InputError
            If agama is not installed or has other units, or a component has no counterpart there.
        """
        try:
            return cls(to_agama(potential))
        except NoCounterpartError as error:
            raise InputError(
                f"{error.reason}; leave integrator out, and this package follows the stars in it"
            ) from None

    @staticmethod
    def require_installed() -> None:
        """Raise :class:`InputError` where agama is not, or has other units."""
        library()

    @property
    def version(self) -> str:
        """Version of agama."""
        return str(library().__version__)

    def __call__(
        self,
        position: FloatArray,
        velocity: FloatArray,
        t_start: FloatArray,
        t_end: FloatArray,
        tolerance: float,
        progress: Watch | None = None,
    ) -> Orbits:
        """Follow stars from times to times, see :func:`agama_orbits`; ``progress`` hears of stars done, and of all."""
        parts = []
        for first in range(0, len(position), _BATCH):
            some = slice(first, first + _BATCH)
            part = (position[some], velocity[some], t_start[some], t_end[some])
            parts.append(agama_orbits(self.pot, *part, tolerance))
            if progress is not None:
                progress(min(first + _BATCH, len(position)), len(position))
        return Orbits(*map(np.concatenate, zip(*parts, strict=True)))


def agama_orbits(
    pot: Any,
    position: ArrayLike,
    velocity: ArrayLike,
    t_start: ArrayLike,
    t_end: ArrayLike,
    tolerance: float = TOLERANCE,
) -> Orbits:
    """Follow stars through a potential of agama's, by its own integrator (dop853).

    Called, and answers, as :func:`~haloassay.mocks.gravity.integration.integrate` does with a field.

    Parameters
    ----------
    pot
        From :func:`~haloassay.mocks.backends.agama.conversion.to_agama`, or any other that does not change with time.
    position, velocity
        (N, 3) at the start [kpc], [km/s].
    t_start, t_end
        Times [Gyr], for all stars or for each; backwards where the end is earlier.
    tolerance
        Relative error of a step, as agama understands it.

    Raises
    ------
    InputError
        If agama is not installed, positions or velocities are not (N, 3) and finite, or the tolerance
        is not between 1e-14 and 1e-2.
    """
    agama = library()
    x, v = np.array(position, dtype=float, ndmin=2), np.array(velocity, dtype=float, ndmin=2)
    require(x.shape == v.shape and x.shape[1:] == (3,), "positions and velocities must be (N, 3)")
    require(
        bool(np.isfinite(x).all() and np.isfinite(v).all()), "an orbit starts at no finite place"
    )
    require(1e-14 <= tolerance <= 1e-2, f"tolerance must be in [1e-14, 1e-2] (got {tolerance:g})")
    time = np.broadcast_to(np.asarray(t_end, float) - np.asarray(t_start, float), len(x))
    moving = np.flatnonzero(time)
    stuck = np.zeros(len(x), dtype=bool)
    if len(moving) == 0:
        return Orbits(x, v, stuck)
    _, paths = agama.orbit(
        ic=np.hstack([x, v])[moving],
        potential=pot,
        time=time[moving] / GYR_PER_KPC_KMS,
        trajsize=1,
        dtype=float,
        accuracy=tolerance,
        verbose=False,
        separateTime=True,
    )
    end = np.asarray(paths, dtype=float).reshape(len(moving), 6)
    finite = np.isfinite(end).all(axis=1)
    stuck[moving] = ~finite
    x[moving[finite]], v[moving[finite]] = end[finite, :3], end[finite, 3:]
    return Orbits(x, v, stuck)
