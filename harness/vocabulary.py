"""What there is to choose from, with settings: the text behind ``list`` and ``describe``."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from haloassay import scenarios
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


def _component(name: str, cls: Any) -> Entry:
    text = inspect.getdoc(cls) or ""
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
        return field.name
    if dataclasses.is_dataclass(value):
        inner = (f"{f.name} = {getattr(value, f.name)!r}" for f in dataclasses.fields(value))
        return f"{field.name} = {{{', '.join(inner)}}}"
    return f"{field.name} = {value!r}"


def _components(module: str) -> Callable[[], tuple[Entry, ...]]:
    def read() -> tuple[Entry, ...]:
        kinds: Mapping[str, str] = load(f"{module}:KINDS")
        return tuple(_component(name, load(target)) for name, target in sorted(kinds.items()))

    return read


def _mocks() -> tuple[Entry, ...]:
    from haloassay.mocks.halo import KINDS, Halo, Sampling

    settings = ("potential", "density", "beta", *_component("", Sampling).settings)
    text = f"{inspect.getdoc(Halo)}\n\n{inspect.getdoc(Sampling)}"
    return tuple(Entry(name, summary, settings, text) for name, summary in KINDS.items())


def _surveys() -> tuple[Entry, ...]:
    from haloassay.mocks.surveys import PRESETS, Survey

    return tuple(
        Entry(
            name,
            f"preset with {len(preset)} settings" if preset else "every star, exactly",
            tuple(f"{key} = {value!r}" for key, value in preset.items()),
            inspect.getdoc(Survey) or "",
        )
        for name, preset in PRESETS.items()
    )


def _estimators() -> tuple[Entry, ...]:
    from haloassay.estimators import estimator_class, estimator_names

    found = []
    for name in estimator_names():
        cls = estimator_class(name)
        entry = _component(name, cls)
        facts = (
            f"Reference: {cls.reference}",
            f"Assumes: {', '.join(cls.assumes) or 'nothing'}",
            f"Yields: {', '.join(cls.yields)}",
        )
        found.append(dataclasses.replace(entry, text="\n\n".join([entry.text, "\n".join(facts)])))
    return tuple(found)


def _scenarios() -> tuple[Entry, ...]:
    from haloassay.scenario import load_scenario

    found = []
    for name in scenarios.names():
        scenario = load_scenario(name)
        text = "\n\n".join(t for t in (scenario.title, scenario.description.strip()) if t)
        if scenario.reference:
            text += f"\n\nReference: {scenario.reference}"
        found.append(Entry(name, scenario.title, (), text))
    return tuple(found)


#: What can be listed, to the function that reads it.
VOCABULARY: Final[Mapping[str, Callable[[], tuple[Entry, ...]]]] = {
    "mocks": _mocks,
    "densities": _components("haloassay.mocks.tracers"),
    "betas": _components("haloassay.mocks.anisotropy"),
    "potentials": _components("haloassay.mocks.potentials"),
    "surveys": _surveys,
    "estimators": _estimators,
    "scenarios": _scenarios,
}
