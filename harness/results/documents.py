"""What the two documents of a blind challenge hold, ``challenge.json`` and the sealed ``truth.json``.

Others may have written or damaged them. They are held against these models once, where they are read: whoever has one
need not ask again whether a radius is a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from haloassay.base.errors import InputError
from haloassay.contracts.priors import make_prior
from haloassay.contracts.quantities import Scale
from haloassay.contracts.questions import questions_of
from haloassay.planning.sampling import Sampling
from haloassay.planning.scenario import make_scenario

#: Letters of a value that an error shows.
_SHOWN: Final = 60

_Text = Annotated[str, Field(max_length=10_000)]
_Name = Annotated[str, Field(min_length=1, max_length=10_000)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
#: As the columns of results have it.
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", strict=True, defer_build=True)


class _Asked(_Document):
    name: _Name
    unit: _Text
    scale: Scale
    label: _Text
    r: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None


class _Listed(_Document):
    catalogue: Annotated[str, Field(pattern="^[A-Za-z0-9-]+$")]
    file: Annotated[str, Field(pattern="^[A-Za-z0-9-]+[.][a-z]+$")]  # in the same folder
    n_stars: _Count
    sha256: _Digest


class _Commitment(_Document):
    sha256: _Digest


class _Told(_Document):
    asked: list[_Asked] = Field(min_length=1)
    catalogues: list[_Listed] = Field(min_length=1)
    commitment: _Commitment


class _Answered(_Listed):
    truth: list[_Number]
    cell: _Name
    realization: _Count


class _Sampling(_Document):
    model_config = ConfigDict(extra="forbid")

    design: _Name
    n_factors: _Count
    seed: Annotated[int, Field(ge=0)]
    replicates: Annotated[int, Field(ge=1, lt=2**63)]
    points: Annotated[int, Field(ge=1, lt=2**63)] | None = None


class _Cell(_Document):
    cell: _Name
    cell_key: _Name
    factors: dict[str, Any]
    sampling: _Sampling = None  # type: ignore[assignment] # may be left out, and is no null


class _Level(_Document):
    label: _Text
    value: Any
    cell: _Text


class _Factor(_Document):
    label: _Name
    paths: list[_Name]
    levels: list[_Level]
    base: Any
    prior: dict[str, Any] | None


class _Truth(_Document):
    asked: list[_Asked] = Field(min_length=1)
    catalogues: list[_Answered] = Field(min_length=1)
    cells: list[_Cell] = Field(min_length=1)
    factors: list[_Factor]
    scenario: dict[str, Any]
    told: dict[str, Any] | None = None
    readme: _Digest | None = None


def require_told(told: Mapping[str, Any], place: str) -> None:
    """Raise :class:`InputError` unless ``told`` is what participants are told; ``place`` is its file."""
    _require(_Told, told, place)
    _require_apart(told, place)


def require_truth(truth: Mapping[str, Any], place: str) -> None:
    """Raise :class:`InputError` unless ``truth`` can be scored with: one of its questions, cells and scenario."""
    _require(_Truth, truth, place)
    _require_apart(truth, place)
    questions = questions_of(truth["asked"])
    cells = {cell["cell"] for cell in truth["cells"]}
    draws = set()
    for each in truth["catalogues"]:
        where = f"{place}: is damaged: {each['catalogue']}"
        if len(each["truth"]) != len(questions):
            raise InputError(
                f"{where}: {len(each['truth'])} truths, and {len(questions)} numbers are asked for"
            )
        for question, value in zip(questions, each["truth"], strict=True):
            if objection := question.quantity.objection(value):
                raise InputError(f"{where}: truth of {question} {objection}")
        if each["cell"] not in cells:
            raise InputError(f"{where}: is of a cell {each['cell']!r}, of which nothing is said")
        draw = (each["cell"], each["realization"])
        if draw in draws:
            raise InputError(f"{where}: is a realisation of its cell that another one is, too")
        draws.add(draw)
    for cell in truth["cells"]:
        if "sampling" in cell:
            _require_points(cell, place)
    for factor in truth["factors"]:
        if factor["prior"] is not None:
            make_prior(factor["prior"], f"{place}: factor {factor['label']!r}")
    make_scenario(truth["scenario"], f"{place}: scenario")


def _require_points(cell: Mapping[str, Any], place: str) -> None:
    try:
        Sampling(**cell["sampling"])
    except InputError as error:
        raise InputError(f"{place}: cell {cell['cell']!r}: {error}") from None


def _require(model: type[BaseModel], told: Mapping[str, Any], place: str) -> None:
    try:
        model.model_validate(told)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise InputError(f"{place}: is damaged: {where} is missing") from None
        got = repr(first["input"])
        got = got if len(got) <= _SHOWN else f"{got[:_SHOWN]}..."
        message = first["msg"][0].lower() + first["msg"][1:]
        raise InputError(f"{place}: is damaged: {where}: {message} (got {got})") from None


def _require_apart(told: Mapping[str, Any], place: str) -> None:
    """Refuse catalogues, files or questions that stand twice."""
    listed = told["catalogues"]
    for what in ("catalogue", "file"):
        _require_each_once((each[what] for each in listed), place)
    _require_each_once((str(question) for question in questions_of(told["asked"])), place)


def _require_each_once(names: Iterable[str], place: str) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise InputError(f"{place}: is damaged: {name} stands twice")
        seen.add(name)
