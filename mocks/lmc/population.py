"""Stars of the Milky Way's halo after the LMC has come: an equilibrium evolved in their common field."""

from __future__ import annotations

from dataclasses import replace

from haloassay.base.errors import InputError
from haloassay.mocks.gravity.integration import TOLERANCE, integrate
from haloassay.mocks.gravity.potentials import CompositePotential
from haloassay.mocks.lmc.perturber import Perturber
from haloassay.mocks.stars import Stars
from haloassay.mocks.watch import Watch


def lmc_population(
    base: Stars,
    milky_way: CompositePotential,
    lmc: Perturber,
    tolerance: float = TOLERANCE,
    progress: Watch | None = None,
) -> Stars:
    """Stars now, after the LMC's orbit over the last ``lmc.duration``.

    Positions and velocities are relative to the Milky Way's centre, then and now. All stars come
    from the Milky Way's halo: the LMC brings none, though it holds on to some that pass it; they stay
    in the sample, as they would in a survey.

    Parameters
    ----------
    base
        Stars in equilibrium in the Milky Way alone, as they were ``lmc.duration`` ago. They should reach
        further in and out than the radii that are of interest: the pull, and the orbits themselves,
        carry stars across both ends of the range.
    milky_way
        Its potential.
    lmc
        The LMC now, rigid or in expansions; without mass the stars only move on along their orbits.
    tolerance
        Largest error of a step, as in :func:`haloassay.mocks.gravity.integration.integrate`.
    progress
        Called now and then with the number of stars done and of all.

    Raises
    ------
    InputError
        If the LMC's orbit is none that one can start from (:func:`haloassay.mocks.lmc.trajectory.rewind`), or a
        star cannot be followed.
    """
    field = lmc.history(milky_way).epochs[-1][2]
    start = -lmc.duration
    orbits = integrate(field, base.position, base.velocity, start, 0.0, tolerance, progress)
    if orbits.stuck.any():
        raise InputError(
            f"the orbits of {int(orbits.stuck.sum())} of {len(base)} stars cannot be followed over"
            f" {lmc.duration:g} Gyr"
        )
    return replace(base, position=orbits.position, velocity=orbits.velocity)
