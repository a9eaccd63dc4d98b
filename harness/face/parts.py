"""Parts that a scenario is made of, each with its settings: what ``list parts`` and ``describe lmc`` say."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from haloassay.base import kinds
from haloassay.base.kinds import load

if TYPE_CHECKING:
    from pydantic import BaseModel

    from haloassay.face.vocabulary import Entry

_MOCKS: Final = "haloassay.mocks"
_PLANNING: Final = "haloassay.planning"
_SURVEYS: Final = f"{_MOCKS}.surveys"

#: Tables of settings: where one stands in a scenario, and its class.
TABLES: Final = {
    "scenario": ("the file itself", f"{_PLANNING}.scenario:Scenario"),
    "populations": ("[[mock.populations]]", f"{_MOCKS}.populations:Composition"),
    "feh": ("mock.feh, of a population or of debris", f"{_MOCKS}.chemistry:Abundance"),
    "shape": ("mock.shape, or of a population", f"{_MOCKS}.gravity.shapes:Shape"),
    "lmc": ("[mock.lmc]", f"{_MOCKS}.lmc.trajectory:LMC"),
    "expansions": (
        '[mock.lmc] with kind = "expansions"',
        f"{_MOCKS}.lmc.deforming:DeformingPair",
    ),
    "expansion-index": (
        "a file that host or satellite of expansions name",
        f"{_MOCKS}.gravity.expansion_files:Index",
    ),
    "population": ("[mock.population]", f"{_MOCKS}.equilibria.relaxation:PopulationSettings"),
    "history": ("[mock.history], of an accreted mock", f"{_MOCKS}.history.infall:MergerHistory"),
    "satellites": (
        "[[mock.satellites]], of an accreted mock",
        f"{_MOCKS}.history.infall:Satellite",
    ),
    "painted": ("[mock.painted]", f"{_MOCKS}.painted:PaintedField"),
    "survey": ("[survey]", f"{_SURVEYS}.survey:Survey"),
    "sun": ("survey.sun", "haloassay.contracts.frames:Sun"),
    "footprint": ("survey.footprint", f"{_SURVEYS}.footprints:Footprint"),
    "completeness": ("survey.completeness", f"{_SURVEYS}.completeness:Completeness"),
    "template": ("survey.template", f"{_SURVEYS}.template:Template"),
    "estimators": ("[[estimators]]", f"{_PLANNING}.scenario:EstimatorEntry"),
    "matrix": ("[matrix]", f"{_PLANNING}.matrix:Matrix"),
    "factor": ("[[matrix.factor]]", f"{_PLANNING}.matrix:FactorEntry"),
    "level": ("[[matrix.factor.levels]]", f"{_PLANNING}.matrix:LevelEntry"),
    "exclude": ("[[matrix.exclude]]", f"{_PLANNING}.matrix:Exclusion"),
}
#: Tables whose settings depend on their kind: where one stands, and the family of the kinds.
CHOICES: Final = {
    "mock": ("[mock]", "mocks"),
    "potential": ("mock.potential, one table or a list whose sum it is", "potentials"),
    "density": ("mock.density, or of a population", "densities"),
    "beta": ("mock.beta, or of a population", "betas"),
    "distribution": ("mock.distribution, or of a population", "distributions"),
    "debris": ("[[mock.debris]], stars that are not of the smooth halo", "debris"),
    "luminosity": ("survey.luminosity", "luminosities"),
    "clean": ("[[clean]], one step after the other", "cleans"),
}
#: Keys of a population that are no settings of its own class.
_OF_POPULATION: Final = ("density (optional)", "beta (optional)", "distribution (optional)")


def parts() -> tuple[Entry, ...]:
    """Entries of all parts."""
    return (*_tables(), *_choices(), _prior())


def _tables() -> Iterator[Entry]:
    from dataclasses import replace

    from haloassay.face.vocabulary import component

    for name, (place, target) in TABLES.items():
        cls = load(target)
        entry = component(name, cls)
        settings = _fields(cls) if hasattr(cls, "model_fields") else entry.settings
        if name == "populations":
            settings = (*_OF_POPULATION, *settings)
        text = f"Stands as {place}.\n\n{entry.text}"
        yield replace(entry, summary=f"{place}: {entry.summary}", settings=settings, text=text)


def _fields(model: type[BaseModel]) -> tuple[str, ...]:
    from pydantic import BaseModel

    from haloassay.face.vocabulary import toml

    found = []
    for name, field in model.model_fields.items():
        if field.is_required():
            found.append(f"{name} (required)")
        else:
            value = field.get_default(call_default_factory=True)
            optional = value is None or isinstance(value, BaseModel)
            found.append(f"{name} (optional)" if optional else f"{name} = {toml(value)}")
    return tuple(found)


def _choices() -> Iterator[Entry]:
    from haloassay.face.vocabulary import Entry, plain_text

    for name, (place, family) in CHOICES.items():
        known = kinds.FAMILIES[family]
        names = ", ".join(kinds.names(family))
        lines = [f"Stands as {place}, with a key 'kind', one of: {names}."]
        if known.contract:
            lines.append(plain_text(inspect.getdoc(load(known.contract)) or ""))
        lines.append(f"`haloassay list {family} --settings` has the settings of each.")
        yield Entry(name, f"{place}: a table with a kind", ("kind (required)",), "\n\n".join(lines))


def _prior() -> Entry:
    from haloassay.contracts import priors
    from haloassay.face.vocabulary import Entry, plain_text

    found: list[Any] = sorted(priors.Prior.__subclasses__(), key=lambda cls: str(cls.kind))
    texts = [f"kind = {cls.kind!r}\n{plain_text(inspect.getdoc(cls) or '')}" for cls in found]
    head = "Stands as prior of [[matrix.factor]], with a key 'kind'."
    settings = ("kind (required)",)
    summary = "prior of [[matrix.factor]]: how likely each value is held to be"
    return Entry("prior", summary, settings, "\n\n".join([head, *texts]))
