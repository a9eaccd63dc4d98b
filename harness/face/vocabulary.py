"""What there is to choose from, with settings: the text behind ``list`` and ``describe``."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from haloassay import scenarios
from haloassay.base import kinds
from haloassay.base.errors import InputError, blamed_on
from haloassay.base.kinds import load
from haloassay.base.settings import unknown
from haloassay.contracts.quantities import QUANTITIES, Quantity, known_quantities


@dataclass(frozen=True)
class Entry:
    """One thing to choose: its name, a line about it, its settings with defaults, and all that is known.

    ``here`` finds out what is so on this machine, where that takes long; ``whole`` imports what a third party offers,
    of which nothing is known before.
    """

    name: str
    summary: str
    settings: tuple[str, ...]
    text: str
    here: Callable[[], str] | None = None
    whole: Callable[[], Entry] | None = None


def entries(what: str) -> tuple[Entry, ...]:
    """All entries of one kind, a key of :data:`VOCABULARY`; code of third parties is not imported for them.

    Raises
    ------
    InputError
        If there is no such kind.
    """
    if what not in VOCABULARY:
        raise unknown("kind", what, VOCABULARY, "list")
    return VOCABULARY[what]()


def plain_text(text: str) -> str:
    """Docstring without the markup that only documentation generators read."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"\1", text)
    return text.replace("``", "")


def component(name: str, cls: Any) -> Entry:
    """Entry of a class, by its docstring and, where it is a dataclass, its fields."""
    text = plain_text(inspect.getdoc(cls) or "")
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
    return f"{field.name} (optional)" if value is None else f"{field.name} = {toml(value)}"


def toml(value: Any) -> str:
    """Write a value as a scenario file has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        inner = (f"{name} = {toml(item)}" for name, item in value.items() if item is not None)
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml(item) for item in value)}]"
    return str(value) if isinstance(value, float) else json.dumps(value)


def _class(family: str, name: str) -> Entry:
    return component(name, kinds.find(family, name, name))


def _classes(family: str) -> Callable[[], tuple[Entry, ...]]:
    return lambda: _listed(family, functools.partial(_class, family))


def _listed(family: str, entry: Callable[[str], Entry]) -> tuple[Entry, ...]:
    """Entries of a family, in order: of a third party's kinds, what their distributions state."""
    theirs = {line.name: line for line in _offered(family, entry)}
    return tuple(theirs.get(name) or entry(name) for name in kinds.names(family))


def _offered(family: str, entry: Callable[[str], Entry]) -> Iterator[Entry]:
    """Lines about what other distributions offer, which ``entry`` imports."""
    for name, target in sorted(kinds.offered(family).items()):
        summary = f"{target}, of another distribution: `haloassay describe {name}` imports it"
        yield Entry(name, summary, (), summary, whole=functools.partial(entry, name))


def _mocks() -> tuple[Entry, ...]:
    from haloassay.mocks.equilibria.relaxation import PopulationSettings
    from haloassay.mocks.halo import KINDS, Halo, Sampling
    from haloassay.mocks.lmc.trajectory import LMC
    from haloassay.mocks.painted import PaintedField
    from haloassay.mocks.populations import Composition

    required = (f"{name} (required)" for name in ("potential", "density", "beta"))
    own = (component("", cls).settings for cls in (Sampling, Composition))
    further = {"population": PopulationSettings, "lmc": LMC, "painted": PaintedField}
    optional = (f"{key} (optional), such as {toml(cls())}" for key, cls in further.items())
    lists = ("populations (optional)", "debris (optional)")
    chosen = 'distribution (optional), such as {kind = "gaussian"}'
    settings = (*required, chosen, *itertools.chain.from_iterable(own), *optional, *lists)
    classes = (Halo, Sampling, Composition, *further.values())
    text = "\n\n".join(plain_text(inspect.getdoc(cls) or "") for cls in classes)
    halos = (Entry(name, summary, settings, text) for name, summary in KINDS.items())
    snapshot = component("snapshot", load("haloassay.mocks.snapshots.snapshot:Snapshot"))
    own_kinds = (*halos, _agama_mock(), _accreted_mock(), snapshot)
    return (*own_kinds, *_offered("mocks", functools.partial(_class, "mocks")))


def _accreted_mock() -> Entry:
    from haloassay.mocks.history.accreted import AccretedHalo, Accretion
    from haloassay.mocks.history.infall import MergerHistory, Satellite

    settings = ("potential (required)", *component("", Accretion).settings, "satellites (optional)")
    classes = (AccretedHalo, Accretion, MergerHistory, Satellite)
    text = "\n\n".join(plain_text(inspect.getdoc(cls) or "") for cls in classes)
    summary = "stars of satellites that fell into a growing host; each realisation is another halo"
    return Entry("accreted", summary, settings, text)


def _agama_mock() -> Entry:
    from haloassay.mocks.backends.agama.distributions import (
        AgamaSampling,
        DoublePowerLaw,
        Schwarzschild,
    )
    from haloassay.mocks.backends.agama.halo import AgamaHalo
    from haloassay.mocks.backends.agama.library import state
    from haloassay.mocks.backends.agama.mock import AgamaMock

    settings = (
        "potential (required)",
        *(f"{name} (optional)" for name in ("distribution", "density", "beta")),
        *component("", AgamaSampling).settings,
        "populations (optional)",
    )
    classes = (AgamaMock, AgamaSampling, DoublePowerLaw, Schwarzschild, AgamaHalo)
    text = "\n\n".join(plain_text(inspect.getdoc(cls) or "") for cls in classes)
    summary = "stars of distribution functions and Schwarzschild models of agama; needs agama"
    return Entry("agama", summary, settings, text, state)


def _survey(name: str) -> Entry:
    from haloassay.mocks.surveys.survey import Survey

    everything = component("", Survey)
    preset = kinds.find("surveys", name, name)
    summary = (
        "preset, with these settings in place of those of perfect"
        if preset
        else "every star, exactly; a scenario changes any of these settings"
    )
    settings = tuple(f"{key} = {toml(value)}" for key, value in preset.items())
    return Entry(name, summary, settings or everything.settings, everything.text)


def estimator_entry(name: str) -> Entry:
    """Entry of an estimator: built in, offered by a distribution, or ``module:Class``.

    Raises
    ------
    InputError
        If there is none, or it cannot be imported.
    """
    cls = kinds.find("estimators", name, name)
    with blamed_on(name):  # a default that cannot be made, say
        entry = component(name, cls)
    facts = (
        f"Reference: {getattr(cls, 'reference', 'none')}",
        f"Assumes: {', '.join(cls.assumes) or 'nothing'}",
        f"Needs: {', '.join(('position', *cls.needs))}",
        f"Yields: {', '.join(cls.yields)}",
        *((f"As published: {toml(cls.published)}",) if cls.published else ()),
    )
    return dataclasses.replace(entry, text="\n\n".join([entry.text, "\n".join(facts)]))


def _quantities() -> tuple[Entry, ...]:
    theirs = _offered("quantities", _offered_quantity)
    return (*map(_quantity, QUANTITIES.values()), *(e for e in theirs if e.name not in QUANTITIES))


def _offered_quantity(name: str) -> Entry:
    known = known_quantities()
    if name not in known:
        raise InputError(f"{name}: its distribution offers no quantity of that name")
    return _quantity(known[name])


def _quantity(quantity: Quantity) -> Entry:
    ways = {
        "scalar": "a number of the halo",
        "profile": "at the radius of the estimate",
        "bin": "of the observed stars of the bin, or at the radius",
        "sky": "a field over the sky",
    }
    way = quantity.truth
    truth = ways.get(way, "its own") if isinstance(way, str) else "its own" if way else "none"
    settings = (
        f"unit: {quantity.unit or 'none'}",
        f"errors: {quantity.scale}",
        f"truth: {truth}",
    )
    return Entry(quantity.name, quantity.label, settings, "\n".join(settings))


def _parts() -> tuple[Entry, ...]:
    from haloassay.face.parts import parts

    return parts()


def _scenarios() -> tuple[Entry, ...]:
    from haloassay.planning.scenario import load_scenario

    found = []
    for name in scenarios.names():
        scenario = load_scenario(name)
        found.append(
            Entry(name, scenario.title, (), scenarios.path(name).read_text("utf-8").rstrip())
        )
    return tuple(found)


def _claims() -> tuple[Entry, ...]:
    from haloassay.planning.claim import load_claim

    found = []
    for name in scenarios.claim_names():
        statement = " ".join(load_claim(name).claim.statement.split())
        text = scenarios.claim_path(name).read_text("utf-8").rstrip()
        found.append(Entry(name, statement, (), text))
    return tuple(found)


_PROFILES: Final = ("densities", "betas", "distributions", "potentials", "debris")

#: What can be listed, to the function that reads it.
VOCABULARY: Final[Mapping[str, Callable[[], tuple[Entry, ...]]]] = {
    "mocks": _mocks,
    **{family: _classes(family) for family in _PROFILES},
    "surveys": lambda: _listed("surveys", _survey),
    "luminosities": _classes("luminosities"),
    "estimators": lambda: _listed("estimators", estimator_entry),
    "cleans": _classes("cleans"),
    "quantities": _quantities,
    "parts": _parts,
    "scenarios": _scenarios,
    "claims": _claims,
}
