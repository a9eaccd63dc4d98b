"""Checks that an estimator gives the same again, and leaves everything as it was."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from haloassay.base.errors import HaloassayError
from haloassay.base.handed import packed, unpack
from haloassay.base.seeds import stream
from haloassay.contracts.estimate import Estimates
from haloassay.engine.isolation import isolated
from haloassay.estimators import make_estimator
from haloassay.testing.check import Failed, NotApplicable, check
from haloassay.testing.subject import Subject, catalogue_of

#: What a process of its own runs, with all of its other output on standard error.
_APART: Final = "from haloassay.testing.repeatability import tell; tell()"


@check(
    "same stream", "The same stars and the same random numbers give the same values, to the bit."
)
def same_stream(subject: Subject) -> str:
    """Ask one object twice, with another catalogue between."""
    stars, method = subject.catalogue(), subject.make()
    first = subject.estimate(stars, method=method)
    subject.estimate(subject.catalogue(realization=1), method=method)
    again = subject.estimate(stars, method=method)
    _require_equal(first, again, "asked again after another catalogue")
    if method != subject.make():
        raise Failed("changes its own settings")
    return f"{len(first)} rows"


@check(
    "after other estimators",
    "Values are the same to the bit after other estimators have read the same catalogue.",
    "standard",
)
def after_others(subject: Subject) -> str:
    """Let others read the catalogue between."""
    stars = subject.catalogue()
    first = subject.estimate(subject.catalogue())
    edges = np.quantile(stars.r, [0.01, 0.33, 0.66, 0.99]).tolist()
    others = {"velocity-ellipsoid": {}, "jeans-3d": {"alpha": -3.5}, "gaussian-single": {}}
    for kind, settings in others.items():
        other = make_estimator({"kind": kind, "bins": edges, **settings}, kind)
        with contextlib.suppress(HaloassayError):
            other.estimate(stars, stream(subject.seed, f"estimator:{kind}", 0))
    _require_equal(first, subject.estimate(stars), f"after {', '.join(others)}")
    return f"{len(first)} rows after {', '.join(others)}"


@check("a fresh process", "A process of its own gives the same values, to the bit.", "standard")
def fresh_process(subject: Subject) -> str:
    """Ask in another process, in which texts have other hashes and sets another order."""
    stars = subject.stars()
    here = _told(subject.estimate(catalogue_of(stars)))
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    path = os.pathsep.join(each for each in sys.path if each)
    ended = subprocess.run(
        [sys.executable, "-c", _APART],
        input=pickle.dumps((packed(), subject, stars)),
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
        capture_output=True,
        check=False,
    )
    if ended.returncode:
        lines = ended.stderr.decode(errors="replace").strip().splitlines() or ["no word"]
        raise Failed(f"in a process of its own: {lines[-1][:200]}")
    there = json.loads(ended.stdout)
    for one, other in zip(here, there, strict=True):
        if one != other:
            quantity, number = one[:2]
            raise Failed(
                f"{quantity}, bin {number}: {one[3]}, then {other[3]} in a process of its own"
            )
    return f"{len(here)} rows"


def tell() -> None:
    """Estimate what standard input asks for, and write the rows to standard output, for another process."""
    out = os.dup(1)
    os.dup2(2, 1)  # what an estimator prints is none of the answer
    classes, subject, stars = pickle.loads(sys.stdin.buffer.read())  # of our own process
    unpack(classes)
    with os.fdopen(out, "w", encoding="utf-8") as answer:
        json.dump(_told(subject.estimate(catalogue_of(stars))), answer)


def _told(estimates: Estimates) -> list[list[Any]]:
    """Rows as plain values."""
    return [[row.quantity, int(row.bin), row.note, *_numbers(row)] for row in estimates]


@check(
    "global generators",
    "Random numbers come from the stream that it is given, and from nowhere else.",
)
def global_generators(subject: Subject) -> str:
    """Ask twice, with the global generators of Python and numpy in other states."""
    stars, found = subject.catalogue(), []
    for seed in (1, 2):
        with isolated(seed):
            untouched = random.random(), np.random.random()  # noqa: NPY002
        with isolated(seed):
            found.append(subject.estimate(stars))
            after = random.random(), np.random.random()  # noqa: NPY002
        if after != untouched:
            raise Failed("draws from the global generator of random or numpy.random")
    _require_equal(found[0], found[1], "with global generators in another state")
    return f"{len(found[0])} rows"


@check("other streams", "Other random numbers move a value by less than its stated error.")
def other_streams(subject: Subject) -> str:
    """Compare how far values move with the width of their intervals."""
    found, scatter = subject.streams(subject.catalogue())
    worst, where = 0.0, ""
    for row in found:
        half = 0.5 * (row.hi68 - row.lo68)
        key = (row.quantity, row.bin)
        if not row.note and half > 0.0 and key in scatter and row.toward is None:
            share = scatter[key] / half
            worst, where = max((worst, where), (share, f"{row.quantity}, bin {row.bin}"))
    if not where:
        raise NotApplicable("states no intervals")
    if worst > 1.0:
        raise Failed(
            f"{where}: scatters by {worst:.2g} of its stated error over its own random numbers"
        )
    return f"at most {worst:.2g} of the stated error ({where})"


@check(
    "surroundings",
    "Catalogue, working directory, environment, error states and the rest are left as they were.",
)
def surroundings(subject: Subject) -> str:
    """Look at what a run looks at after each estimator."""
    stars = subject.catalogue()
    before = {name: values.copy() for name, values in stars.columns.items()}
    said = io.StringIO()
    with (
        isolated(0) as touched,
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        subject.estimate(stars)
    if changed := [
        n for n, values in before.items() if not np.array_equal(values, stars.columns[n])
    ]:
        raise Failed(f"changes the columns {', '.join(changed)} of its catalogue")
    if touched:
        raise Failed("; ".join(touched))
    if said.getvalue():
        raise Failed(f"prints: {said.getvalue().strip().splitlines()[0][:80]}")
    return "nothing touched, nothing printed"


def _require_equal(one: Estimates, other: Estimates, when: str) -> None:
    for row, same in zip(one, other, strict=True):
        if _numbers(row) != _numbers(same) or row.note != same.note:
            raise Failed(
                f"{row.quantity}, bin {row.bin}: {row.value!r}, then {same.value!r} {when}"
            )


def _numbers(row: object) -> list[str]:
    """Numbers of a row; as text, so that NaN equals NaN."""
    names: Iterable[str] = ("value", "lo68", "hi68", "lo95", "hi95", "r")
    return [repr(float(getattr(row, name))) for name in names]
