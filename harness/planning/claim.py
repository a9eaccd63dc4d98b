"""Claims: what a paper states, as a file: where, what is read of which mocks, and what counts as the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from haloassay import scenarios
from haloassay.analysis.claims import Limits
from haloassay.analysis.statistics import Row, Statistic, make_statistic
from haloassay.base.errors import InputError
from haloassay.base.settings import build, require, unknown
from haloassay.estimators import make_estimator
from haloassay.planning.overrides import overridden
from haloassay.planning.plan import Plan
from haloassay.planning.scenario import (
    MOST_REALIZATIONS,
    Scenario,
    Spec,
    load_scenario,
    read_toml,
)

#: Keys of an inline scenario that are none of a scenario.
_BASE: Final = "base"
_SET: Final = "set"
#: Catalogues of each cell, in a full run and in a quick one.
_FULL: Final = 100
_QUICK: Final = 12
#: Keys that are of no use where a claim cannot be tested.
_OF_A_TEST: Final = ("scenario", "statistic", "published", "margin")


@dataclass(frozen=True)
class Published:
    """What a paper states: a number, or one or two ends of what it can be; on the scale of the statistic.

    Parameters
    ----------
    value
        The number; fractions, of positive scales.
    at_least, at_most
        Ends in its place, one or both.
    spread
        What the paper says of the number's own error, down and up; it is shown, and not used.
    """

    value: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    spread: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        ends = [x for x in (self.at_least, self.at_most) if x is not None]
        require(
            bool(ends) == (self.value is None),
            "either value, or at_least or at_most or both",
        )
        require(ends == sorted(ends), "at_least must not be above at_most")
        require(
            self.spread is None or min(self.spread) >= 0.0,
            "spread: must not be negative",
        )

    def limits(self, margin: float) -> Limits:
        """Between what a number counts as the same."""
        if self.value is not None:
            return Limits(self.value - margin, self.value + margin)
        ends = Limits()
        if self.at_least is not None:
            ends = replace(ends, lo=self.at_least - margin)
        return ends if self.at_most is None else replace(ends, hi=self.at_most + margin)


@dataclass(frozen=True)
class Claim:
    """A published statement, and how mocks test it.

    Parameters
    ----------
    paper
        ADS bibcode, or how it is cited where it has none.
    where
        Equation, section or figure.
    statement
        What it says, in a sentence.
    scenario
        Name of a packaged scenario, a file (looked for beside the claim first), or a table: ``base``, one of these,
        ``set``, values by path, and keys of the scenario that are replaced as a whole, such as ``estimators``.
    statistic
        What is read of the results: ``kind`` and settings of one of :mod:`haloassay.analysis.statistics`.
    published
        What the paper states.
    margin
        How far from it a number is that counts as the same.
    contradicts
        What would contradict it, in words.
    realizations, quick
        Catalogues of each cell, in a full run and in a quick one.
    remark
        What those who tested it have to say.
    untestable
        Why it cannot be tested here; ``scenario``, ``statistic``, ``published`` and ``margin`` are left out then.
    """

    paper: str
    where: str
    statement: str
    scenario: str | dict[str, Any] = ""
    statistic: dict[str, Any] = field(default_factory=dict)
    published: Published | None = None
    margin: float = 0.0
    contradicts: str = ""
    realizations: int = _FULL
    quick: int = _QUICK
    remark: str = ""
    untestable: str = ""

    def __post_init__(self) -> None:
        for name in ("paper", "where", "statement"):
            require(bool(getattr(self, name).strip()), f"{name}: must not be empty")
        for name in ("realizations", "quick"):
            n = getattr(self, name)
            require(1 <= n <= MOST_REALIZATIONS, f"{name}: 1 to {MOST_REALIZATIONS} (got {n})")
        if self.untestable:
            given = [name for name in _OF_A_TEST if getattr(self, name)]
            require(not given, f"untestable: goes without {', '.join(given)}")
            return
        for name in ("scenario", "statistic", "published", "contradicts"):
            require(bool(getattr(self, name)), f"key {name!r} is missing")
        assert self.published is not None
        require(self.margin >= 0.0, f"margin: must not be negative (got {self.margin:g})")
        point = (
            self.published.value is not None or self.published.at_least == self.published.at_most
        )
        require(
            self.margin > 0.0 or not point,
            "margin: must be above 0 where a value is published: nothing is shown to be equal",
        )

    @cached_property
    def reading(self) -> Statistic:
        """The statistic.

        Raises
        ------
        InputError
            If its table is of none.
        """
        return make_statistic(self.statistic, "statistic")

    @property
    def limits(self) -> Limits:
        """Between what a number counts as the published one."""
        return Limits() if self.published is None else self.published.limits(self.margin)


@dataclass(frozen=True)
class NamedClaim:
    """A claim of a file.

    Parameters
    ----------
    name
        That of the file, without its end.
    origin
        The file, for errors.
    claim
        What it says.
    """

    name: str
    origin: str
    claim: Claim

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario that it is tested by, with the realisations of a full run.

        Raises
        ------
        InputError
            If it is unusable.
        """
        try:
            found = _scenario(self.claim.scenario, self.origin)
        except InputError as error:
            raise InputError(f"{self.origin}: scenario: {error}") from None
        return found.revise(realizations=self.claim.realizations)

    def require_known(self, plan: Plan) -> None:
        """Refuse rows that a run of the plan cannot have, before it is run.

        Raises
        ------
        InputError
            If a cell or an estimator is unknown, or an estimator does not yield the quantity.
        """
        cells = [cell.label for cell in plan.cells]
        kinds = {entry.label: entry.spec for entry in plan.scenario.estimators}
        for row in self.claim.reading.rows:
            where = f"{self.origin}: statistic"
            if row.cell and row.cell not in cells:
                raise unknown("cell", row.cell, cells, where)
            if row.estimator and row.estimator not in kinds:
                raise unknown("estimator", row.estimator, kinds, where)
            _require_yielded(row, kinds, where)


def _require_yielded(row: Row, kinds: Mapping[str, Spec], where: str) -> None:
    """Refuse a quantity that none of the estimators it may be of yields, with their settings."""
    mine = [row.estimator] if row.estimator else [*kinds]
    yielded = {q for label in mine for q in make_estimator(kinds[label], where).yields}
    if row.quantity not in yielded:
        raise unknown("quantity", row.quantity, yielded, where)


def load_claim(name_or_path: str | Path) -> NamedClaim:
    """Read a claim: one of the packaged names, else a TOML file.

    Raises
    ------
    InputError
        If there is no such claim or it is not usable; the message names file, key and what is allowed.
    """
    packaged = scenarios.claim_names()
    path = Path(name_or_path)
    if not str(name_or_path):
        raise InputError("claim: the name is empty")
    if str(name_or_path) in packaged:
        path = scenarios.claim_path(str(name_or_path))
    elif not path.exists():
        raise unknown(
            "claim", str(name_or_path), packaged, "no such file, and not a packaged claim"
        )
    return make_claim(read_toml(path, "claim"), str(path))


def make_claim(values: Mapping[str, Any], origin: str) -> NamedClaim:
    """Claim of plain values; ``origin`` is its file, whose name it has.

    Raises
    ------
    InputError
        If a key is unknown, missing or of the wrong type.
    """
    try:
        claim = build(Claim, values, "claim")
        if not claim.untestable:
            _ = claim.reading
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None
    return NamedClaim(Path(origin).stem, origin, claim)


def is_claim(values: Spec) -> bool:
    """Tell a claim from a scenario by a key that every claim has and no scenario."""
    return "statement" in values


def _scenario(given: str | Mapping[str, Any], origin: str) -> Scenario:
    """Scenario that a claim names or changes."""
    if isinstance(given, str):
        return load_scenario(_beside(given, origin))
    keys = dict(given)
    base, settings = keys.pop(_BASE, None), keys.pop(_SET, {})
    if not isinstance(base, str) or not base:
        raise InputError(f"key {_BASE!r} is missing: the scenario that is changed")
    if not isinstance(settings, Mapping):
        raise InputError(f"{_SET}: expected a table of paths and values (got {settings!r})")
    allowed = {_BASE, _SET, *Scenario.model_fields} - {"realizations"}
    for key in keys:
        if key not in allowed:
            raise unknown("key", key, allowed, "table")
    return overridden(load_scenario(_beside(base, origin)).revise(**keys), dict(settings))


def _beside(name: str, origin: str) -> str | Path:
    """Name of a scenario, or its file beside a claim where one is there."""
    file = Path(origin).parent / name
    return file if name not in scenarios.names() and file.is_file() else name
