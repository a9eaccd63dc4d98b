"""While the mocks are made, workers load what tasks will need, and compile what has not been compiled yet.

Compiling is most of what a first run takes, and each process would compile all of it. So it is shared out: this process
draws a star of each mock, a worker carries errors of observables to velocities and calls the estimators; two workers
where there are three or more, which leave this process a processor of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.base import kinds

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue
    from haloassay.mocks.mock import Mock
    from haloassay.planning.plan import Plan

#: Any stars do: nobody looks at what comes out.
_STARS: Final = 500
_R_RANGE: Final = (3.0, 100.0)
_SPEED: Final = 100.0
#: Fewer tasks a worker do not pay for it.
_FEWEST: Final = 3
#: Workers of which one is enough: with this process they fill the processors.
_SHARED: Final = 2

#: What a worker does: whether it carries errors to velocities, and tables of estimators that it calls.
Part = tuple[bool, Sequence[Mapping[str, Any]]]


def rehearsals(plan: Plan, workers: int) -> tuple[Part, ...]:
    """Say what workers rehearse of a plan: nothing that takes long, and no code of others, for nothing."""
    if len(plan) < _FEWEST * workers:
        return ()
    specs = (method.spec for method in plan.cells[0].methods)
    own = tuple(spec for spec in specs if not kinds.is_foreign(spec) and not _has_chain(spec))
    return ((True, ()), (False, own)) if workers > _SHARED else ((True, own),)


def _has_chain(spec: Mapping[str, Any]) -> bool:
    """Whether an estimator runs a chain, as published ones do."""
    return bool(spec.get("as_published")) or "emcee" in spec.values()


def rehearse(errors: bool, estimators: Sequence[Mapping[str, Any]]) -> None:
    """Do once what tasks do, on a few stars; what fails here is told by the task that it fails in."""
    from haloassay.contracts.propagation import spherical_covariance
    from haloassay.estimators import make_estimator

    catalogue = _catalogue()
    if errors:
        spherical_covariance(catalogue)
    known = replace(catalogue, drawn_covariance=np.zeros((_STARS, 3, 3)))
    for spec in estimators:
        with contextlib.suppress(Exception):
            make_estimator(spec).estimate(known, np.random.default_rng(0))


def rehearse_mock(mock: Mock) -> None:
    """Draw a star; where that fails, tasks say so."""
    with contextlib.suppress(Exception):
        mock.sample(1, np.random.default_rng(0))


def _catalogue() -> Catalogue:
    from haloassay.contracts.catalogue import Catalogue
    from haloassay.contracts.frames import Sun, galactocentric_to_heliocentric

    rng = np.random.default_rng(0)
    position, velocity = rng.standard_normal((2, _STARS, 3))
    lo, hi = np.log(_R_RANGE)
    r = np.exp(rng.uniform(lo, hi, (_STARS, 1)))
    position *= r / np.linalg.norm(position, axis=1, keepdims=True)
    velocity *= _SPEED
    columns = galactocentric_to_heliocentric(position, velocity, Sun())
    columns |= {"feh": rng.normal(-1.4, 0.4, _STARS), "alpha_fe": rng.normal(0.2, 0.1, _STARS)}
    return Catalogue.from_arrays(Sun(), "rehearsal", **columns)
