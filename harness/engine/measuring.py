"""One estimator on one catalogue: in this process, or in one of its own where the code is somebody else's."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haloassay.base.errors import EstimationError, HaloassayError, InputError, in_one_line
from haloassay.base.seeds import stream
from haloassay.contracts.catalogue import Catalogue
from haloassay.engine.acceptance import accepted
from haloassay.engine.executors.helpers import helpers
from haloassay.engine.executors.pool import prepare_worker, worker_end
from haloassay.engine.isolation import isolated
from haloassay.engine.task import global_seed
from haloassay.estimators import make_estimator

if TYPE_CHECKING:
    from haloassay.contracts.estimate import Estimates


@dataclass(frozen=True)
class Measured:
    """What an estimator made of a catalogue, and what it did to its process."""

    estimates: Estimates
    touched: tuple[str, ...]


def measured(catalogue: Catalogue, spec: Any, label: str, seed: int) -> Measured:
    """Let the estimator of a table read a catalogue, in this process, with the stream of its label.

    Raises
    ------
    InputError
        If the estimator cannot be made.
    EstimationError
        If the catalogue does not determine the quantities, or the estimator breaks or means to end the program.
    """
    kind = str(spec["kind"])
    method = make_estimator(spec, kind)
    rng = stream(seed, f"estimator:{label}", 0)
    try:
        with isolated(global_seed(seed, label, 0)) as touched:
            estimates = accepted(method.estimate(catalogue, rng), method, len(catalogue))[0]
    except (HaloassayError, MemoryError):
        raise
    except (Exception, SystemExit) as error:  # a third party's estimator may fail in its own way
        raise EstimationError(f"{kind}: {in_one_line(error)}") from error
    return Measured(estimates, tuple(touched))


def measured_apart(catalogue: Catalogue, spec: Any, label: str, seed: int) -> Measured:
    """Do as :func:`measured` in a process of its own, which the estimator may end as it likes.

    What it prints goes to standard error.

    Raises
    ------
    InputError, EstimationError
        As there, and if the process ends.
    """
    from pebble import ProcessExpired

    # a catalogue is sent in parts: its view of the columns cannot be
    parts = {field.name: getattr(catalogue, field.name) for field in dataclasses.fields(Catalogue)}
    parts["columns"] = dict(catalogue.columns)
    try:
        with helpers(1, _prepare) as one:
            result, error = one.result(one.schedule(_measure, parts, spec, label, seed))
    except ProcessExpired as end:
        raise EstimationError(f"{spec['kind']}: {worker_end(end)}") from None
    if error is not None:
        kind, message = error
        raise {"InputError": InputError, "MemoryError": MemoryError}.get(kind, EstimationError)(
            message
        )
    measured_there: Measured = result
    return measured_there


def _prepare(classes: bytes) -> None:
    prepare_worker(classes)
    os.dup2(2, 1)


def _measure(
    parts: dict[str, Any], spec: Any, label: str, seed: int
) -> tuple[Measured | None, tuple[str, str] | None]:
    """Measure, and tell errors as plain text: one of a class of somebody's own may not come through."""
    try:
        return measured(Catalogue(**parts), spec, label, seed), None
    except (HaloassayError, MemoryError) as error:
        return None, (type(error).__name__, str(error))
