"""Settings of a scenario that are free: their factors, and scenarios whose mocks have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import parse_value
from haloassay.contracts.priors import Discrete
from haloassay.planning.expansion import resolved_tables, tables_of
from haloassay.planning.factors import Factor, Level, changed, make_factors, require_apart
from haloassay.planning.matrix import FactorEntry
from haloassay.planning.paths import EVERY, look_up, split_path
from haloassay.planning.scenario import Scenario, Spec, make_scenario

#: Factors of a scale to either side of its value that a prior has where none is given, by the name of the setting.
_SCALES: Final = {"m200": 4.0, "c": 3.0, "r_s": 3.0, "rho0": 4.0, "breaks": 1.8}
#: Slopes to either side, and limits of an anisotropy.
_SLOPE: Final = 1.0
_STEEPEST, _FLATTEST = -12.0, -0.2
_BETA: Final = (-1.0, 0.97)
#: Settings that may be free at once.
MOST_FREE: Final = 20


def parse_free(options: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Paths and priors of ``PATH`` or ``PATH=PRIOR``, the latter a TOML table; None where there is no prior.

    Raises
    ------
    InputError
        If there are none, a path comes twice, or a prior is no table.
    """
    pairs = (
        list(options.items())
        if isinstance(options, Mapping)
        else [
            (path.strip(), parse_value(prior) if eq else None)
            for path, eq, prior in (o.partition("=") for o in options)
        ]
    )
    if not pairs:
        raise InputError("match: no setting is free: name one or more (--free)")
    found: dict[str, Any] = {}
    for path, prior in pairs:
        if path in found:
            raise InputError(f"--free {path}: stands twice")
        if prior is not None and not isinstance(prior, Mapping):
            raise InputError(
                f"--free {path}: the prior is no table such as {{ kind = 'uniform', lo = 0.0, hi = 1.0 }}"
                f" (got {prior!r})"
            )
        found[path] = prior
    return found


def free_factors(scenario: Scenario, free: Mapping[str, Any]) -> tuple[Factor, ...]:
    """Factors of free settings, with priors.

    Parameters
    ----------
    scenario
        Its matrix does not count.
    free
        Tables of priors by path; None for a default about the scenario's value. In a path ``*`` stands for all entries
        of a list; each has the prior then.

    Raises
    ------
    InputError
        If a path leads nowhere, a prior is none or no default is known, two set the same place, or there are too many.
    """
    spec = tables_of(scenario)
    resolved = resolved_tables(scenario)
    entries: dict[str, FactorEntry] = {}
    for pattern, prior in free.items():
        for path in _expanded(pattern, spec, resolved):
            where = f"--free {path}"
            value = _value(path, spec, resolved)
            table = dict(prior) if prior is not None else _default(path, value, where)
            entries[path] = FactorEntry(label=path, path=path, prior=table)
    if len(entries) > MOST_FREE:
        raise InputError(f"--free: {len(entries)} settings are free (allowed: {MOST_FREE})")
    factors = make_factors(list(entries.values()), spec, resolved, scenario.origin)
    for factor in factors:
        if isinstance(factor.prior, Discrete) or factor.whole:
            raise InputError(
                f"--free {factor.label}: a free setting is a real number with a continuous prior"
            )
        for place in factor.places:
            if not _is_number(look_up(place, spec, resolved)):
                raise InputError(
                    f"--free {factor.label}: the path leads to no number that the scenario has"
                )
    require_apart(factors, scenario.origin)
    return factors


def _expanded(pattern: str, spec: Spec, resolved: Spec) -> list[str]:
    """Paths of a pattern; that of all estimators is one, whose places are tied."""
    keys = pattern.split(".")
    start = 2 if keys[0] == "estimators" else 1
    if EVERY not in keys[start:]:
        return [pattern]
    k = keys.index(EVERY, start)
    listed = look_up(tuple(keys[:k]), spec, resolved)
    if not isinstance(listed, list | tuple) or not listed:
        raise InputError(f"--free {pattern}: {'.'.join(keys[:k])} is no list of the scenario")
    rest = ([*keys[:k], str(i), *keys[k + 1 :]] for i in range(len(listed)))
    return [path for each in rest for path in _expanded(".".join(each), spec, resolved)]


def _value(path: str, spec: Spec, resolved: Spec) -> Any:
    return look_up(tuple(path.split(".")), spec, resolved)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _default(path: str, value: Any, where: str) -> dict[str, Any]:
    """Wide prior about the value of a well-known setting."""
    names = [key for key in path.split(".") if not key.isdecimal()]
    name = names[-1]
    known = _is_number(value)
    if name in _SCALES and known and value > 0.0:
        return {"kind": "loguniform", "lo": value / _SCALES[name], "hi": value * _SCALES[name]}
    if name in ("slope", "slopes") and known:
        lo, hi = max(value - _SLOPE, _STEEPEST), min(value + _SLOPE, _FLATTEST)
        return {"kind": "uniform", "lo": lo, "hi": hi}
    if name in ("beta", "beta0") and known:
        return {"kind": "uniform", "lo": _BETA[0], "hi": _BETA[1]}
    if not known:
        raise InputError(f"{where}: the path leads to no number that the scenario has")
    raise InputError(
        f"{where}: has no default prior; give one: '{path}={{ kind = \"uniform\", lo = ..., hi = ... }}'"
    )


def designed(
    scenario: Scenario,
    factors: Sequence[Factor],
    points: int,
    replicates: int,
    labels: Sequence[str],
) -> Scenario:
    """Scenario whose mocks fill the priors of free settings, with the estimators of these labels alone."""
    tables = [{"label": f.label, "paths": list(f.paths), "prior": _prior(f)} for f in factors]
    matrix = {"design": "sobol", "points": points, "replicates": replicates, "factor": tables}
    return _with(scenario, matrix, labels)


def _prior(factor: Factor) -> dict[str, Any]:
    assert factor.prior is not None
    return factor.prior.to_dict()


def pointed(
    scenario: Scenario,
    factors: Sequence[Factor],
    u: FloatArray,
    replicates: int,
    labels: Sequence[str],
) -> Scenario:
    """Scenario whose mocks are at points ``u`` (n, d) in the cube of the priors: levels of one factor, ``mock``."""
    levels = [{"label": f"{k}", "set": settings_at(factors, point)} for k, point in enumerate(u)]
    prior = {"kind": "discrete", "weights": [1.0] * len(u)}
    factor = {"label": "mock", "levels": levels, "prior": prior}
    # a hypercube of one factor has each of its levels once, and all have random numbers of their own
    matrix = {
        "design": "latin-hypercube",
        "points": len(u),
        "replicates": replicates,
        "factor": [factor],
    }
    return _with(scenario, matrix, labels)


def _with(scenario: Scenario, matrix: Spec, labels: Sequence[str]) -> Scenario:
    """Scenario with another matrix and some of its estimators; of the scenario as written one catalogue is made."""
    values = scenario.to_dict()
    entries = [e for e in values["estimators"] if e["label"] in labels]
    ours = {"matrix": matrix, "estimators": entries, "realizations": 1}
    return make_scenario({**values, **ours}, scenario.origin)


def settings_at(factors: Sequence[Factor], u: FloatArray) -> dict[str, float]:
    """Values of all free settings, by path, at a point (d,) of the cube of the priors."""
    return {
        ".".join(place): value
        for factor, x in zip(factors, u, strict=True)
        for place, value in factor.at(float(x)).settings
    }


def at_point(
    scenario: Scenario, factors: Sequence[Factor], u: FloatArray, digits: int = 6
) -> Scenario:
    """Scenario with free settings at a point (d,), rounded to so many digits; its matrix stays."""
    exact = settings_at(factors, u)
    return with_settings(scenario, {k: float(f"{x:.{digits}g}") for k, x in exact.items()})


def with_settings(scenario: Scenario, settings: Mapping[str, Any]) -> Scenario:
    """Scenario with other values at some paths; its matrix stays."""
    spec, resolved = tables_of(scenario), resolved_tables(scenario)
    where = scenario.origin
    places = {path: split_path(path, where, spec, resolved) for path in settings}
    levels = {
        path: Level(path, value, tuple((place, value) for place in places[path]))
        for path, value in settings.items()
    }
    tables = changed(spec, resolved, levels, where)
    values = scenario.to_dict()
    estimators = [
        {**tables["estimators"][entry["label"]], "label": entry["label"]}
        for entry in values["estimators"]
    ]
    parts = {name: tables[name] for name in ("mock", "survey", "clean")}
    return make_scenario({**values, **parts, "estimators": estimators}, scenario.origin)
