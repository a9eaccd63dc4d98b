"""What the tables of a scenario are: the class behind each, its settings, their defaults and what they mean."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from haloassay.base import kinds
from haloassay.base.kinds import load
from haloassay.base.settings import dataclasses_in, type_hints
from haloassay.planning.matrix import varied_paths
from haloassay.planning.scenario import Scenario, Spec

#: Default of a setting that has to be given.
REQUIRED: Final = dataclasses.MISSING
_MOCKS: Final = "haloassay.mocks"
#: Tables of a halo that are built by one class, or by kinds.
_OF_HALO: Final = {
    "population": f"{_MOCKS}.equilibria.relaxation:PopulationSettings",
    "painted": f"{_MOCKS}.painted:PaintedField",
}
_KINDS: Final = {
    "potential": "potentials",
    "density": "densities",
    "beta": "betas",
    "distribution": "distributions",
    "debris": "debris",
    "luminosity": "luminosities",
}
_SAMPLING: Final = f"{_MOCKS}.halo:Sampling"
_ACCRETION: Final = f"{_MOCKS}.history.accreted:Accretion"
_SATELLITE: Final = f"{_MOCKS}.history.infall:Satellite"
_COMPOSITION: Final = f"{_MOCKS}.populations:Composition"


@dataclass(frozen=True)
class Setting:
    """A setting: its default as a plain value, :data:`REQUIRED`, or None; what its class says that it means."""

    name: str
    default: Any
    meaning: str


@dataclass(frozen=True)
class Part:
    """A table of a scenario.

    Parameters
    ----------
    path
        Where it stands, as a factor names it: ``mock.potential.0``.
    name
        What it is: ``potentials.nfw``, of a kind; ``lmc``, of a table without one.
    table
        As the scenario has it.
    settings
        All that its classes have.
    given
        Settings that another table gives it.
    """

    path: str
    name: str
    table: MutableMapping[str, Any]
    settings: tuple[Setting, ...]
    given: frozenset[str] = field(default_factory=frozenset)


def parts_of(tables: Spec) -> Iterator[Part]:
    """List the tables of a scenario, or of a cell, whose classes are dataclasses; outer ones come first.

    Parameters
    ----------
    tables
        ``mock``, ``survey``, ``clean`` (a list) and ``estimators`` by label.
    """
    yield from _mock(tables["mock"])
    yield from _table(
        "survey", "survey", tables["survey"], _class("haloassay.mocks.surveys.survey:Survey")
    )
    for k, step in enumerate(tables["clean"]):
        yield from _kind(f"clean.{k}", "cleans", step)
    for label, table in tables["estimators"].items():
        yield from _kind(f"estimators.{label}", "estimators", table)


def with_defaults(scenario: Scenario) -> Scenario:
    """Scenario in which every setting that has a plain default is written out; its cells are the same.

    Tables whose preset or kind a factor varies stay as they are: what is written out would hold for every level.
    """
    from haloassay.mocks.surveys.presets import resolve
    from haloassay.planning.expansion import tables_of
    from haloassay.planning.scenario import make_scenario

    tables = copy.deepcopy(tables_of(scenario))
    varied = set(varied_paths(scenario.matrix.model_dump()))
    if "survey.preset" not in varied:
        known = {f.name for f in fields(load("haloassay.mocks.surveys.survey:Survey"))}
        tables["survey"] |= copy.deepcopy(resolve(tables["survey"], known, "survey"))
    for entry in scenario.estimators:
        table = tables["estimators"][entry.label]
        if table.get("as_published") and f"estimators.{entry.label}.as_published" not in varied:
            cls = kinds.find("estimators", entry.kind, entry.label)
            tables["estimators"][entry.label] = {**copy.deepcopy(dict(cls.published)), **table}
    for part in parts_of(tables):
        if any(f"{part.path}.{key}" in varied for key in ("preset", "kind", "as_published")):
            continue
        for setting in part.settings:
            if setting.default is REQUIRED or setting.default is None:
                continue
            if setting.name not in part.table and setting.name not in part.given:
                part.table[setting.name] = copy.deepcopy(setting.default)
    estimators = [
        {**tables["estimators"][entry.label], "label": entry.label} for entry in scenario.estimators
    ]
    return make_scenario(
        {**scenario.to_dict(), **tables, "estimators": estimators}, scenario.origin
    )


def settings_of(cls: Any) -> tuple[Setting, ...]:
    """All settings of a dataclass, in their order."""
    told = meanings(cls)
    return tuple(Setting(f.name, _default(f), told.get(f.name, "")) for f in fields(cls) if f.init)


def meanings(cls: Any) -> dict[str, str]:
    """Read what the docstrings of a class, and of those that it is made from, say of each of their Parameters."""
    found: dict[str, str] = {}
    for each in reversed(getattr(cls, "__mro__", (cls,))):
        lines = inspect.cleandoc(each.__dict__.get("__doc__") or "").splitlines()
        if "Parameters" not in lines:
            continue
        names: list[str] = []
        texts: dict[str, list[str]] = {}
        start = lines.index("Parameters") + 2
        for line, below in zip(lines[start:], [*lines[start + 1 :], ""], strict=True):
            if below.startswith("---"):
                break
            if line and not line.startswith(" "):
                names = [name.strip() for name in line.partition(" : ")[0].split(",")]
                texts |= {name: [] for name in names}
            for name in names if line.startswith(" ") else ():
                texts[name].append(line.strip())
        found |= {name: _plain(" ".join(text)) for name, text in texts.items()}
    return found


def _plain(text: str) -> str:
    return re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"\1", text).replace("``", "")


def _default(f: dataclasses.Field[Any]) -> Any:
    if f.default is not REQUIRED:
        return _as_plain(f.default)
    return REQUIRED if f.default_factory is REQUIRED else _as_plain(f.default_factory())


def _as_plain(value: Any) -> Any:
    """Value as a scenario writes it; dataclasses that are kinds with their kind."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = kinds.name_of(type(value))
        inner = {f.name: _as_plain(getattr(value, f.name)) for f in fields(value) if f.init}
        own = {name: item for name, item in inner.items() if item is not None}
        return {"kind": kind, **own} if kind else own
    if isinstance(value, Mapping):
        return {str(name): _as_plain(item) for name, item in value.items()}
    return [_as_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _class(target: str) -> tuple[Any, ...]:
    return (load(target),)


def _mock(table: Spec) -> Iterator[Part]:
    kind = table.get("kind")
    builtin = kinds.FAMILIES["mocks"].builtin
    if kind in ("equilibrium", "local-jeans-gaussian"):
        yield from _halo(table)
    elif kind == "agama":
        yield from _table("mock", "mocks.agama", table, ())
        yield from _inner("mock", table, ("potential", "density", "beta"))
    elif kind == "snapshot":
        cls = _class(f"{_MOCKS}.snapshots.snapshot:Snapshot")
        yield from _table("mock", "mocks.snapshot", table, cls)
    elif kind == "accreted":
        yield from _accreted(table)
    elif kind not in builtin:
        yield from _kind("mock", "mocks", table)


def _accreted(table: Spec) -> Iterator[Part]:
    yield from _table("mock", "mocks.accreted", table, _class(_ACCRETION))
    yield from _inner("mock", table, ("potential",))
    if isinstance(table.get("lmc"), dict):
        yield from _lmc(table["lmc"])
    listed: Any = table.get("satellites")
    for k, each in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(each, dict):
            yield from _table(f"mock.satellites.{k}", "satellites", each, _class(_SATELLITE))


def _halo(table: Spec) -> Iterator[Part]:
    populations: Any = table.get("populations")
    several = isinstance(populations, list)
    classes = _class(_SAMPLING) if several else (load(_SAMPLING), load(_COMPOSITION))
    yield from _table("mock", "mock", table, classes)
    profiles = ("density", "beta", "distribution")
    yield from _inner("mock", table, ("potential", *profiles, "debris"))
    for name, target in _OF_HALO.items():
        if isinstance(table.get(name), dict):
            yield from _table(f"mock.{name}", name, table[name], _class(target))
    if isinstance(table.get("lmc"), dict):
        yield from _lmc(table["lmc"])
    shared = frozenset(table)
    for k, each in enumerate(populations if several else ()):
        if isinstance(each, dict):
            place = f"mock.populations.{k}"
            yield from _table(place, "populations", each, _class(_COMPOSITION), shared)
            yield from _inner(place, each, profiles)


def _lmc(table: Spec) -> Iterator[Part]:
    """Return the table of the LMC, of the class that its kind has."""
    from haloassay.mocks.lmc.kinds import LMCS, RIGID

    kind = table.get("kind", RIGID)
    if kind in LMCS:
        name = "lmc" if kind == RIGID else f"lmc.{kind}"
        yield from _table("mock.lmc", name, table, _class(LMCS[kind]))


def _inner(path: str, table: Spec, names: tuple[str, ...]) -> Iterator[Part]:
    """Tables with a kind that stand in another, alone or in a list."""
    for name in names:
        found: Any = table.get(name)
        if isinstance(found, dict):
            yield from _kind(f"{path}.{name}", _KINDS[name], found)
        for k, each in enumerate(found if isinstance(found, list) else ()):
            if isinstance(each, dict):
                yield from _kind(f"{path}.{name}.{k}", _KINDS[name], each)


def _kind(path: str, family: str, table: Spec) -> Iterator[Part]:
    kind = table.get("kind")
    cls = kinds.find(family, kind, path)
    if dataclasses.is_dataclass(cls):
        yield from _table(path, f"{family}.{kind}", table, (cls,))


def _table(
    path: str,
    name: str,
    table: Spec,
    classes: tuple[Any, ...],
    given: frozenset[str] = frozenset(),
) -> Iterator[Part]:
    """List a table, and those within it that stand for dataclasses."""
    settings = tuple(setting for cls in classes for setting in settings_of(cls))
    yield Part(path, name, table, settings, given)
    for cls in classes:
        for key, hint in type_hints(cls).items():
            inner, nested = table.get(key), dataclasses_in(hint)
            if not isinstance(inner, dict):
                continue
            if key in _KINDS and "kind" in inner:
                yield from _kind(f"{path}.{key}", _KINDS[key], inner)
            elif len(nested) == 1:
                yield from _table(f"{path}.{key}", key, inner, (nested[0],))
