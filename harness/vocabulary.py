"""What there is to choose from, with settings: the text behind ``list`` and ``describe``."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from haloassay import scenarios
from haloassay.errors import InputError
from haloassay.settings import load, unknown


@dataclass(frozen=True)
class Entry:
    """One thing to choose: its name, a line about it, its settings with defaults, and all that is known."""

    name: str
    summary: str
    settings: tuple[str, ...]
    text: str


def entries(what: str) -> tuple[Entry, ...]:
    """All entries of one kind, a key of :data:`VOCABULARY`.

    Raises
    ------
    InputError
        If there is no such kind.
    """
    if what not in VOCABULARY:
        raise unknown("kind", what, VOCABULARY, "list")
    return VOCABULARY[what]()


def _plain(text: str) -> str:
    """Docstring without the markup that only documentation generators read."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"\1", text)
    return text.replace("``", "")


def _component(name: str, cls: Any) -> Entry:
    text = _plain(inspect.getdoc(cls) or "")
    settings = (
        tuple(_setting(f) for f in dataclasses.fields(cls) if f.init)
        if dataclasses.is_dataclass(cls)
        else ()
    )
    return Entry(name, text.split("\n")[0], settings, text)


def _setting(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return f"{field.name} (required)"
    return f"{field.name} (optional)" if value is None else f"{field.name} = {_toml(value)}"


def _toml(value: Any) -> str:
    """Write a value as a scenario file has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        inner = (f"{name} = {_toml(item)}" for name, item in value.items() if item is not None)
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return str(value) if isinstance(value, float) else json.dumps(value)


def _components(module: str) -> Callable[[], tuple[Entry, ...]]:
    def read() -> tuple[Entry, ...]:
        kinds: Mapping[str, str] = load(f"{module}:KINDS")
        return tuple(_component(name, load(target)) for name, target in sorted(kinds.items()))

    return read


def _mocks() -> tuple[Entry, ...]:
    from haloassay.mocks.equilibria.relaxation import PopulationSettings
    from haloassay.mocks.halo import KINDS, Halo, Sampling
    from haloassay.mocks.lmc.trajectory import LMC
    from haloassay.mocks.painted import PaintedField
    from haloassay.mocks.populations import Composition

    required = (f"{name} (required)" for name in ("potential", "density", "beta"))
    own = (_component("", cls).settings for cls in (Sampling, Composition))
    further = {"population": PopulationSettings, "lmc": LMC, "painted": PaintedField}
    optional = (f"{key} (optional), such as {_toml(cls())}" for key, cls in further.items())
    lists = ("populations (optional)", "debris (optional)")
    settings = (*required, *itertools.chain.from_iterable(own), *optional, *lists)
    classes = (Halo, Sampling, Composition, *further.values())
    text = "\n\n".join(_plain(inspect.getdoc(cls) or "") for cls in classes)
    halos = (Entry(name, summary, settings, text) for name, summary in KINDS.items())
    return (
        *halos,
        _agama_mock(),
        _component("snapshot", load("haloassay.mocks.snapshots.snapshot:Snapshot")),
    )


def _agama_mock() -> Entry:
    from haloassay.mocks.equilibria.agama_distributions import (
        AgamaSampling,
        DoublePowerLaw,
        Schwarzschild,
    )
    from haloassay.mocks.equilibria.agama_halo import AgamaHalo
    from haloassay.mocks.equilibria.agama_mock import AgamaMock

    settings = (
        "potential (required)",
        *(f"{name} (optional)" for name in ("distribution", "density", "beta")),
        *_component("", AgamaSampling).settings,
        "populations (optional)",
    )
    classes = (AgamaMock, AgamaSampling, DoublePowerLaw, Schwarzschild, AgamaHalo)
    text = "\n\n".join(_plain(inspect.getdoc(cls) or "") for cls in classes)
    summary = "stars of distribution functions and Schwarzschild models of agama; needs agama"
    return Entry("agama", summary, settings, text)


def _surveys() -> tuple[Entry, ...]:
    from haloassay.mocks.surveys.presets import PRESETS
    from haloassay.mocks.surveys.survey import Survey

    everything = _component("", Survey)
    return tuple(
        Entry(
            name,
            "preset, with these settings in place of those of perfect"
            if preset
            else "every star, exactly; a scenario changes any of these settings",
            tuple(f"{key} = {_toml(value)}" for key, value in preset.items())
            or everything.settings,
            everything.text,
        )
        for name, preset in PRESETS.items()
    )


def _estimators() -> tuple[Entry, ...]:
    from importlib.metadata import entry_points

    from haloassay.estimators import BUILTIN, GROUP

    names = {*BUILTIN, *(entry.name for entry in entry_points(group=GROUP))}
    return tuple(estimator_entry(name) for name in sorted(names))


def estimator_entry(name: str) -> Entry:
    """Entry of an estimator: built in, offered by a distribution, or ``module:Class``."""
    from haloassay.estimators import estimator_class

    try:
        cls = estimator_class(name, name)
    except InputError as error:  # a third party's that is broken must not hide the others
        return Entry(name, f"cannot be used: {error}", (), str(error))
    entry = _component(name, cls)
    facts = (
        f"Reference: {cls.reference}",
        f"Assumes: {', '.join(cls.assumes) or 'nothing'}",
        f"Needs: {', '.join(('positions', 'velocities', *cls.needs))}",
        f"Yields: {', '.join(cls.yields)}",
        *((f"As published: {_toml(cls.published)}",) if cls.published else ()),
    )
    return dataclasses.replace(entry, text="\n\n".join([entry.text, "\n".join(facts)]))


def _scenarios() -> tuple[Entry, ...]:
    from haloassay.scenario import load_scenario

    found = []
    for name in scenarios.names():
        scenario = load_scenario(name)
        text = "\n\n".join(t for t in (scenario.title, scenario.description.strip()) if t)
        if scenario.reference:
            text += f"\n\nReference: {scenario.reference}"
        text += f"\n\nThe file, to copy and change:\n\n{scenarios.path(name).read_text('utf-8').rstrip()}"
        found.append(Entry(name, scenario.title, (), text))
    return tuple(found)


#: What can be listed, to the function that reads it.
VOCABULARY: Final[Mapping[str, Callable[[], tuple[Entry, ...]]]] = {
    "mocks": _mocks,
    "densities": _components("haloassay.mocks.equilibria.tracers"),
    "betas": _components("haloassay.mocks.equilibria.anisotropy"),
    "potentials": _components("haloassay.mocks.gravity.potentials"),
    "debris": _components("haloassay.mocks.debris.debris"),
    "surveys": _surveys,
    "estimators": _estimators,
    "cleans": _components("haloassay.cleaning.steps"),
    "scenarios": _scenarios,
}
