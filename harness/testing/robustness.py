"""Checks of catalogues that determine little, and of what a survey does to a sample."""

from __future__ import annotations

import math
import time
import tracemalloc
from dataclasses import replace
from typing import Final

import numpy as np

from haloassay.base.constants import KMS_PER_MASYR_KPC
from haloassay.base.errors import HaloassayError, InputError, in_one_line
from haloassay.base.seeds import stream
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.columns import CHEMISTRY, HELIOCENTRIC, columns_of
from haloassay.contracts.estimate import Estimator
from haloassay.estimators import make_estimator
from haloassay.testing.check import Failed, NotApplicable, check
from haloassay.testing.invariance import is_comparable
from haloassay.testing.subject import STARS, Subject, by_row, catalogue_of, seen_from

#: Half widths of the 95 per cent interval of half the stars that a value of all of them may be away from theirs.
_HALVES: Final = 3.0
#: Speed of a star that is no star of the halo [km/s].
_OUTLIER: Final = 5000.0
#: Errors of the stars, in units of the dispersion: next to none, and more than there is to see.
_ERRORS: Final = (0.03, 3.0)
#: Share by which an interval may be narrower by chance.
_NARROWER: Final = 0.25
#: Stars by which growth is seen.
_SIZES: Final = (100_000, 1_000_000)
#: Method whose cost stands beside that of another.
_BESIDE: Final = "velocity-ellipsoid"


@check("few stars", "One, two and five stars make values with wide intervals, or words.")
def few(subject: Subject) -> str:
    """Ask of next to nothing."""
    told = [
        _told(subject, subject.catalogue(5).select(np.arange(n)), f"{n} stars") for n in (1, 2, 5)
    ]
    return "; ".join(told)


@check(
    "equal stars", "Copies of one star are no sample: words, or intervals of no width.", "standard"
)
def equal(subject: Subject) -> str:
    """Ask of a hundred copies of one star."""
    return _told(subject, subject.catalogue(5).select(np.zeros(100, dtype=int)), "a hundred copies")


@check("a gap", "Radii without stars cost the bins that are there, and no others.", "standard")
def gap(subject: Subject) -> str:
    """Leave out all stars of the middle third."""
    stars = subject.catalogue()
    ends = np.quantile(stars.r, [1.0 / 3.0, 2.0 / 3.0])
    rows = np.flatnonzero((stars.r < ends[0]) | (stars.r > ends[1]))
    return _told(subject, stars.select(rows), f"no star from {ends[0]:.3g} to {ends[1]:.3g} kpc")


@check(
    "one hemisphere",
    "Half of the sky gives the values of all of it, within its errors.",
    "standard",
)
def hemisphere(subject: Subject) -> str:
    """Keep the north."""
    stars = subject.catalogue()
    north = stars.select(np.flatnonzero(stars["z"] > 0.0))
    whole, half = by_row(subject.estimate(stars)), by_row(subject.ask(north, "the north"))
    worst, said = 0.0, ""
    for key, row in half.items():
        width = 0.5 * (row.hi95 - row.lo95)
        if key not in whole or not width > 0.0 or not is_comparable(row):
            continue
        far = abs(whole[key].value - row.value) / width
        worst, said = max((worst, said), (far, f"{key[0]}, bin {key[1]}"))
    if not said:
        raise NotApplicable("no value with an interval in one hemisphere")
    if worst > _HALVES:
        raise Failed(
            f"{said}: {worst:.2g} half widths of 95 per cent from the value of the whole sky"
        )
    return f"at most {worst:.2g} half widths of 95 per cent ({said})"


@check(
    "an outlier",
    "One star of 5000 km/s breaks nothing; how far it moves a value is told.",
    "standard",
)
def outlier(subject: Subject) -> str:
    """Let one star be too fast."""
    stars = subject.stars()
    fast = {name: values.copy() for name, values in stars.items()}
    fast["vx"][0] = _OUTLIER
    before = by_row(subject.estimate(catalogue_of(stars)))
    after = by_row(subject.ask(catalogue_of(fast), "one star of 5000 km/s"))
    moves = [
        (abs(after[key].value - row.value) / (0.5 * (row.hi68 - row.lo68)), key[0])
        for key, row in before.items()
        if key in after and row.hi68 > row.lo68
    ]
    if not moves:
        return "no value with an interval is left"
    far, quantity = max(moves)
    return f"moves {quantity} by {far:.2g} stated errors"


@check("a NaN", "A NaN in a column that it needs is refused in one line that names the column.")
def missing_number(subject: Subject) -> str:
    """Let one star lack one number, column by column: as ``measure`` has it, then asked directly."""
    method, stars = subject.make(), seen_from(subject.stars())
    whole = by_row(subject.estimate(stars)).keys()
    needed = sorted(columns_of(method.required()).intersection(stars.columns))
    for name in needed:
        values = stars[name].copy()
        values[len(values) // 2] = np.nan
        damaged = replace(stars, columns={**stars.columns, name: values})
        try:
            damaged.read_by(method.usable())
        except InputError as error:
            if name not in str(error) or "\n" in str(error):
                raise Failed(f"a NaN in {name} is not told by its name: {error}") from error
        else:
            raise Failed(f"needs {name}, and a NaN in it is not refused: usable() leaves it out")
        try:
            found = by_row(subject.estimate(damaged)).keys()
        except HaloassayError:
            continue
        except Exception as error:  # whatever somebody's code raises
            raise Failed(f"a NaN in {name}: {in_one_line(error)}") from error
        if found >= whole:
            raise Failed(f"asked directly, gives all values in spite of a NaN in {name}")
    return f"in each of {', '.join(needed)}"


@check("errors of zero", "Errors of zero are those of exact stars: the same values have intervals.")
def no_errors(subject: Subject) -> str:
    """Add columns of errors that are zero."""
    stars = seen_from(subject.stars())
    zeros = {name: np.zeros(len(stars)) for name in ("pm_corr", *_error_columns(stars))}
    exact = by_row(subject.estimate(stars))
    try:
        found = by_row(subject.estimate(replace(stars, columns={**stars.columns, **zeros})))
    except Exception as error:  # whatever somebody's code raises
        raise Failed(f"errors of zero: {in_one_line(error)}") from error
    for key, row in exact.items():
        where = f"{key[0]}, bin {key[1]}"
        if key not in found:
            raise Failed(
                f"{where}: has a value of stars without errors, and none of errors of zero"
            )
        if math.isfinite(row.hi68) and not math.isfinite(found[key].hi68):
            raise Failed(f"{where}: has no interval where errors are zero")
    return f"{len(found)} values"


@check(
    "errors above the dispersion",
    "Errors of three times the dispersion make words, or intervals no narrower than those of small errors.",
    "standard",
)
def large_errors(subject: Subject) -> str:
    """Blur velocities and abundances a little, and by more than there is to see."""

    def ratios(n: int) -> list[tuple[float, str]]:
        before = by_row(subject.estimate(_blurred(subject, n, _ERRORS[0])))
        after = by_row(subject.ask(_blurred(subject, n, _ERRORS[1]), "large errors"))
        return [
            ((after[key].hi68 - after[key].lo68) / (row.hi68 - row.lo68), f"{key[0]}, bin {key[1]}")
            for key, row in before.items()
            if key in after and is_comparable(row) and row.hi68 > row.lo68
        ]

    found = ratios(STARS)
    if not found:
        return "no value with an interval is left"
    least, where = min(found)
    if not least > 1.0 - _NARROWER:
        smallest = subject.smallest(lambda n: any(not x > 1.0 - _NARROWER for x, _ in ratios(n)))
        raise Failed(f"{where}: intervals {least:.2g} times as wide as with small errors", smallest)
    return f"{len(found)} intervals, at least {least:.2g} times as wide ({where})"


@check(
    "many stars", "A million stars are read, and the time grows no faster than n^1.5.", "thorough"
)
def many(subject: Subject) -> str:
    """Time a large and a larger catalogue."""
    spent = [_cost(subject, subject.catalogue(n), subject.make())[0] for n in _SIZES]
    power = float(np.log(spent[1] / spent[0]) / np.log(_SIZES[1] / _SIZES[0]))
    if power > 1.5:
        raise Failed(
            f"time grows as n^{power:.2f}:"
            f" {spent[0]:.3g} s of {_SIZES[0]:.0e}, {spent[1]:.3g} s of {_SIZES[1]:.0e} stars"
        )
    return f"{spent[1]:.3g} s of {_SIZES[1]:.0e} stars, as n^{power:.2f}"


@check(
    "cost",
    "What time and memory it takes, and how they grow, beside velocity-ellipsoid on the same stars.",
    "thorough",
    judged=False,
)
def cost(subject: Subject) -> str:
    """Measure both on many stars, and on ten times fewer."""
    told = []
    for kind in (subject.kind, _BESIDE):
        found = []
        for n in (_SIZES[0] // 10, _SIZES[0]):
            stars = subject.catalogue(n)
            edges = np.quantile(stars.r, [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]).tolist()
            own = kind == subject.kind
            method = subject.make() if own else make_estimator({"kind": kind, "bins": edges}, kind)
            found.append(_cost(subject, stars, method))
        (first, _), (second, memory) = found
        power = float(np.log10(second / first))
        told.append(
            f"{kind}: {second:.3g} s and {memory / 1e6:.3g} MB of {_SIZES[0]:.0e} stars, as n^{power:.2f}"
        )
    return "; ".join(told)


def _cost(subject: Subject, stars: Catalogue, method: Estimator) -> tuple[float, int]:
    """Seconds, and the largest memory that it holds [bytes]; compiled before."""
    tracemalloc.start()
    try:
        subject.estimate(stars, method=method)
        memory = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    fresh = replace(stars)  # nothing of it is derived yet
    started = time.perf_counter()
    subject.estimate(fresh, method=method)
    return time.perf_counter() - started, memory


def _error_columns(stars: Catalogue) -> list[str]:
    """Names of the errors of all that a heliocentric catalogue has."""
    return [f"{name}_err" for name in (*HELIOCENTRIC[2:], *CHEMISTRY) if name in stars]


def _blurred(subject: Subject, n: int, share: float) -> Catalogue:
    """Stars with errors of velocities and abundances that are a share of the dispersions, times the same deviates."""
    stars = seen_from(subject.stars(n))
    dispersion = float(np.sqrt(np.mean(catalogue_of(subject.stars(n)).velocity ** 2)))
    across = share * dispersion / (KMS_PER_MASYR_KPC * stars["distance"])
    errors = {"vlos": np.full(n, share * dispersion), "pmra": across, "pmdec": across}
    errors |= {name: np.full(n, share * stars[name].std()) for name in CHEMISTRY if name in stars}
    rng = stream(subject.seed, "check:errors", 0)
    columns = dict(stars.columns)
    for name, error in errors.items():
        columns[name] = stars[name] + error * rng.standard_normal(n)
        columns[f"{name}_err"] = error
    return replace(stars, columns=columns)


def _told(subject: Subject, catalogue: Catalogue, what: str) -> str:
    found = subject.ask(catalogue, what)
    valued = sum(not row.note for row in found)
    return f"{what}: {valued} of {len(found)} rows have a value"
