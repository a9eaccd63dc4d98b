"""Checks of what an estimator declares and returns."""

from __future__ import annotations

import dataclasses
import tomllib
from typing import Any, Final

import numpy as np

from haloassay.base.errors import HaloassayError, InputError
from haloassay.base.handed import SIGN
from haloassay.contracts.estimate import Estimates
from haloassay.contracts.quantities import QUANTITIES
from haloassay.estimators import make_estimator
from haloassay.planning.scenario import as_scenario
from haloassay.planning.writing import to_toml
from haloassay.testing.check import LEVELS, Failed, NotApplicable, check, checks
from haloassay.testing.subject import HALO, STARS, Subject, catalogue_of, check_scenario

#: Where the ends of an interval may stand among the draws, in units of the width of the interval.
_APART: Final = 0.35


@check("settings", "Settings are frozen, can be compared, and survive a scenario file.")
def settings(subject: Subject) -> str:
    """See that equal settings are equal, and that nothing can change them."""
    method: Any = subject.make()
    fields = dataclasses.fields(method)
    if not method.__dataclass_params__.frozen:
        raise Failed(f"{type(method).__name__} is not frozen: dataclass(frozen=True)")
    if method != subject.make():
        raise Failed("two estimators of equal settings are not equal")
    if SIGN in str(subject.spec["kind"]):
        return f"{len(fields)} settings; a class that was handed over has no scenario file"
    values = check_scenario(HALO, {"n_stars": 10}, subject.spec)
    again = tomllib.loads(to_toml(as_scenario(values)))["estimators"][0]
    again.pop("label", None)
    if make_estimator(again) != method:
        raise Failed(f"other settings after a scenario file: {again}")
    return f"{len(fields)} settings"


@check(
    "declarations", "It says what it is called, where it is from, what it reads and what it yields."
)
def declarations(subject: Subject) -> str:
    """See that the attributes of the class are what the contract wants."""
    method = subject.make()
    cls = type(method)
    for name in ("name", "reference"):
        if not isinstance(getattr(cls, name, None), str):
            raise Failed(f"{name} is no text")
    for name in ("needs", "uses", "assumes", "yields"):
        listed = getattr(cls, name)
        if not isinstance(listed, tuple) or not all(isinstance(each, str) for each in listed):
            raise Failed(f"{name} is no tuple of names: {listed!r}")
    known = {*QUANTITIES, *(quantity.name for quantity in cls.quantities)}
    if strange := [name for name in cls.yields if name not in known]:
        raise Failed(f"yields {', '.join(strange)}, of which there is no record (quantities)")
    if not cls.yields:
        raise Failed("yields nothing")
    for name, declared in method.expected.items():
        level = LEVELS[0] if isinstance(declared, str) else declared[1]
        try:
            checks(level, (name,))  # type: ignore[arg-type] # a level that is none is refused
        except InputError as error:
            raise Failed(f"expected: {error}") from error
    return f"yields {', '.join(cls.yields)}"


@check("rows", "What it returns is what it declares: each quantity with its unit, once a bin.")
def rows(subject: Subject) -> str:
    """See that rows are of what it yields, and that there are values."""
    found = subject.estimate(subject.catalogue())
    yields = subject.make().yields
    missing = [name for name in yields if name not in {row.quantity for row in found}]
    determined = sum(not row.note for row in found)
    if not determined:
        raise Failed(f"no value from {STARS} stars; the first reason: {found.rows[0].note}")
    without = f"; with these settings none of {', '.join(missing)}" if missing else ""
    return f"{len(found)} rows, {determined} with a value{without}"


@check("intervals", "Intervals of 68 per cent lie within those of 95, and agree with the draws.")
def intervals(subject: Subject) -> str:
    """See that intervals are those of the draws, where there are any."""
    stated, drawn, worst = 0, 0, 0.0
    for row in subject.estimate(subject.catalogue()):
        if row.note or not np.isfinite([row.lo68, row.hi68, row.lo95, row.hi95]).all():
            continue
        stated += 1
        if not row.lo95 <= row.lo68 <= row.value <= row.hi68 <= row.hi95:
            raise Failed(f"{row.quantity}, bin {row.bin}: intervals are not nested about the value")
        if row.draws is None or len(row.draws) < 20:
            continue
        drawn += 1
        # the sampling error of a quantile, in units of the half width
        allowed = _APART + 6.0 / np.sqrt(len(row.draws))
        half = 0.5 * (row.hi68 - row.lo68)
        quantiles = np.percentile(row.draws, [15.865, 84.135])
        if row.toward is not None:
            continue  # its interval is the radius of a cap
        apart = float(np.abs(quantiles - (row.lo68, row.hi68)).max()) / half if half > 0.0 else 0.0
        worst = max(worst, apart)
        if apart > allowed:
            raise Failed(
                f"{row.quantity}, bin {row.bin}: the 68 per cent interval is {row.lo68:.4g} to {row.hi68:.4g}, the same"
                f" quantiles of the draws are {quantiles[0]:.4g} and {quantiles[1]:.4g}"
            )
    if not stated:
        raise NotApplicable("states no intervals")
    return f"{stated} rows; of {drawn} with draws, ends within {worst:.2f} half widths"


@check("needs", "Without a column that it needs it says so; others change nothing.")
def needs(subject: Subject) -> str:
    """Take away what it does not declare, then what it needs."""
    method, stars = subject.make(), subject.stars()
    usable = {*method.usable()}
    columns = {
        name: values
        for name, values in stars.items()
        if name not in ("feh", "alpha_fe") or name in usable
    }
    whole, fewer = (subject.estimate(catalogue_of(each)) for each in (stars, columns))
    if _values(whole) != _values(fewer):
        raise Failed("columns that it does not declare (needs, uses) change its values")
    for name in ("feh", "alpha_fe"):
        if name in method.required():
            without = {key: values for key, values in columns.items() if key != name}
            try:
                found = subject.estimate(catalogue_of(without))
            except HaloassayError:
                continue
            if any(not row.note for row in found):
                raise Failed(f"needs {name}, and gives values without it")
    return f"reads {', '.join(sorted(usable))}"


@check("empty", "A catalogue without stars is undetermined, in words.")
def empty(subject: Subject) -> str:
    """Ask of no star at all."""
    found = subject.ask(subject.catalogue().select(np.array([], dtype=int)), "no star")
    if valued := {row.quantity for row in found if not row.note}:
        raise Failed(f"no star: gives a value of {', '.join(sorted(valued))}")
    return found.rows[0].note if len(found) else "refused"


def _values(estimates: Estimates) -> list[tuple[str, int, float | None]]:
    return [(row.quantity, row.bin, None if row.note else row.value) for row in estimates]
