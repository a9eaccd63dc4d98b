"""Factors of a matrix: their levels, as settings of the tables of a cell, and their priors."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from haloassay.base.cache import plain_content
from haloassay.base.errors import InputError
from haloassay.contracts.priors import Discrete, Prior, make_prior
from haloassay.planning.matrix import FactorEntry, LevelEntry
from haloassay.planning.paths import assign, look_up, short, split_path

#: Shares of a prior below the levels of a factor that lists none: one and two standard deviations of a Gaussian to
#: either side, or one where levels are combined.
_ONE_AND_TWO_SIGMA: Final = tuple(
    0.5 * (1.0 + math.erf(k / math.sqrt(2.0))) for k in (-2, -1, 1, 2)
)
#: How many levels a continuous prior gives a factor alone; half of them where it is combined with others.
LEVELS_OF_PRIOR: Final = len(_ONE_AND_TWO_SIGMA)
#: What a table says of a factor whose levels have names, in the scenario as written.
AS_WRITTEN: Final = "as written"

Path = tuple[str, ...]


@dataclass(frozen=True)
class Level:
    """One level of a factor.

    Parameters
    ----------
    label
        What it is called in the label of a cell.
    value
        What a table of cells has: the value, or the label.
    settings
        What it sets: places in the tables of a cell, and values.
    """

    label: str
    value: Any
    settings: tuple[tuple[Path, Any], ...]


@dataclass(frozen=True)
class Factor:
    """A factor, with its paths found in the tables of a scenario.

    Parameters
    ----------
    label
        What tables and figures call it.
    paths
        What it sets, as the scenario says it.
    places
        The places of its one value; empty where levels say themselves what they set.
    levels
        In the order of the scenario; those of a prior where none are listed.
    prior
        How likely values are held to be; of a discrete one :meth:`Prior.quantile` gives numbers of levels.
    base
        Its value in the scenario as written.
    whole
        Whether its values are whole numbers.
    listed
        Whether the scenario lists the levels; else they are quantiles of the prior.
    """

    label: str
    paths: tuple[str, ...]
    places: tuple[Path, ...]
    levels: tuple[Level, ...]
    prior: Prior | None
    base: Any
    whole: bool
    listed: bool

    def at(self, u: float) -> Level:
        """Level below which a share ``u`` of the prior lies."""
        assert self.prior is not None
        found = float(self.prior.quantile(np.array([u]))[0])
        if isinstance(self.prior, Discrete):
            return self.levels[int(found)]
        value = round(found) if self.whole else found
        return _level(value, short(value), self.places)

    @property
    def content(self) -> tuple[Any, ...]:
        """All that determines what it sets where it is drawn from its prior."""
        chosen = isinstance(self.prior, Discrete)
        levels = [[[*place], value] for level in self.levels for place, value in level.settings]
        return ([[*place] for place in self.places], plain_content(self.prior), chosen and levels)

    @property
    def combined(self) -> tuple[Level, ...]:
        """Levels of designs that combine all factors: one sigma to either side where the scenario lists none."""
        if self.listed or self.prior is None:
            return self.levels
        return _of_prior(self.prior, self.places, self.whole, _ONE_AND_TWO_SIGMA[1:3])


def _level(value: Any, label: str, places: Sequence[Path]) -> Level:
    return Level(label, value, tuple((place, value) for place in places))


def _of_prior(
    prior: Prior, places: Sequence[Path], whole: bool, shares: Sequence[float]
) -> tuple[Level, ...]:
    """Levels below which these shares of a prior lie."""
    found = prior.quantile(np.array(shares))
    values = [round(float(x)) if whole else float(f"{x:.6g}") for x in found]
    return tuple(_level(x, short(x), places) for x in dict.fromkeys(values))


def make_factors(
    entries: Sequence[FactorEntry],
    spec: Mapping[str, Any],
    resolved: Mapping[str, Any],
    origin: str,
) -> tuple[Factor, ...]:
    """Find what the factors of a matrix set.

    Parameters
    ----------
    entries
        As the scenario states them.
    spec, resolved
        Tables of the scenario, and the same with all defaults.

    Raises
    ------
    InputError
        If a path leads nowhere, a level sets one place twice, or a prior is none.
    """
    return tuple(_factor(entry, dict(spec), dict(resolved), origin) for entry in entries)


def _factor(
    entry: FactorEntry, spec: dict[str, Any], resolved: dict[str, Any], origin: str
) -> Factor:
    where = f"{origin}: factor {entry.label!r}"
    paths = ((entry.path,) if entry.path else ()) + tuple(entry.paths)
    places = tuple(p for path in paths for p in split_path(path, where, spec, resolved))
    prior = make_prior(entry.prior, f"{where}: prior") if entry.prior is not None else None
    written = entry.levels
    if isinstance(prior, Discrete) and prior.values:
        if written:
            raise InputError(f"{where}: levels stand twice, also in its prior")
        written = list(prior.values)
    levels = tuple(_listed(each, places, where, spec, resolved) for each in written)
    own = [level for level in levels if level.value is None]
    if own and places:
        raise InputError(f"{where}: has a path, and levels that set others")
    if not places and (len(own) < len(levels) or not levels):
        silent = next((level.label for level in levels if level not in own), None)
        which = "no level that says" if silent is None else f"a level that does not say ({silent})"
        raise InputError(f"{where}: has no path, and {which} what it sets")
    named = tuple(Level(level.label, level.label, level.settings) for level in own)
    base = AS_WRITTEN if named else look_up(places[0], spec, resolved)
    real = look_up(places[0], resolved) if places else None
    whole = isinstance(real, int) and not isinstance(real, bool)
    if isinstance(prior, Discrete):
        if len(prior.weights) != len(levels):
            raise InputError(
                f"{where}: prior: {len(prior.weights)} weights of {len(levels)} levels"
            )
    elif prior is not None and named:
        raise InputError(f"{where}: levels with names have a discrete prior, and no other")
    listed = bool(levels)
    if prior is not None and not listed:
        levels = _of_prior(prior, places, whole, _ONE_AND_TWO_SIGMA)
    if not levels:
        raise InputError(f"{where}: has no levels")
    own_places = dict.fromkeys(".".join(place) for level in named for place, _ in level.settings)
    told = tuple(paths) or tuple(own_places)
    return Factor(entry.label, told, places, named or levels, prior, base, whole, listed)


def _listed(
    written: Any,
    places: Sequence[Path],
    where: str,
    spec: dict[str, Any],
    resolved: dict[str, Any],
) -> Level:
    """Level as a scenario writes it: a value, or a table with a label and a value, or what is set."""
    if isinstance(written, Mapping) and set(written) == {"label", "value"}:
        return _level(written["value"], str(written["label"]), places)
    if not (isinstance(written, Mapping) and "set" in written):
        return _level(written, short(written), places)
    try:
        entry = LevelEntry.model_validate(dict(written))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"{where}: level: {place}: {first['msg'].lower()}") from None
    settings: dict[Path, Any] = {}
    for path, value in entry.set.items():
        for each in split_path(path, f"{where}: level {entry.label!r}", spec, resolved):
            if each in settings and settings[each] != value:
                raise InputError(
                    f"{where}: level {entry.label!r} sets {'.'.join(each)} twice: {settings[each]!r}, {value!r}"
                )
            settings[each] = value
    return Level(entry.label, None, tuple(settings.items()))


def require_apart(factors: Sequence[Factor], origin: str) -> None:
    """Refuse factors of a design that combines them if two set the same place, or one a part of another's."""
    owners: dict[Path, str] = {}
    for factor in factors:
        mine = dict.fromkeys(place for level in factor.levels for place, _ in level.settings)
        for place in mine:
            for other, owner in owners.items():
                n = min(len(place), len(other))
                if place[:n] == other[:n]:
                    raise InputError(
                        f"{origin}: factors {owner!r} and {factor.label!r} both set {'.'.join(place)}: this design"
                        " combines them"
                    )
        owners |= dict.fromkeys(mine, factor.label)


def changed(
    spec: Mapping[str, Any],
    resolved: Mapping[str, Any],
    levels: Mapping[str, Level],
    origin: str,
) -> dict[str, Any]:
    """Tables of a cell, with levels of some factors, by their labels; tables that no level touches are shared."""
    touched = {place[0] for level in levels.values() for place, _ in level.settings}
    tables = {k: copy.deepcopy(table) if k in touched else table for k, table in spec.items()}
    for label, level in levels.items():
        for place, value in level.settings:
            assign(tables, dict(resolved), place, value, f"{origin}: factor {label!r}")
    return tables
