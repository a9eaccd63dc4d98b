"""Scenario files: what is mocked, how it is observed, who estimates, and which factors vary."""

from __future__ import annotations

import datetime
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from haloassay import scenarios
from haloassay.base.errors import InputError
from haloassay.base.settings import unknown
from haloassay.contracts.tolerances import OVERALL, Tolerances
from haloassay.mocks.gravity.foreign import plain_mock
from haloassay.planning.matrix import Exclusion, FactorEntry, Matrix, flatten, varied_paths
from haloassay.planning.objects import estimator_table

Spec = dict[str, Any]

#: Catalogues that a cell may have: as many as any score can use.
MOST_REALIZATIONS: Final = 1_000_000
#: Tables and lists that may stand within one another.
_DEEPEST: Final = 40
#: Bytes of a file, and digits of an integer in it, that are read.
_LARGEST_FILE: Final = 10_000_000
_MOST_DIGITS: Final = 400


class EstimatorEntry(BaseModel):
    """One estimator of a scenario; all other keys are its own settings.

    Parameters
    ----------
    kind
        A kind of estimator, or ``"module:Class"``.
    label
        What to call it in the results; its kind by default.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, defer_build=True)

    kind: str = Field(min_length=1)
    label: str = ""

    @model_validator(mode="before")
    @classmethod
    def _label_by_kind(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and not values.get("label"):
            return {**values, "label": values.get("kind", "")}
        return values

    @property
    def spec(self) -> Spec:
        """Table that builds the estimator: its kind and settings, without the label."""
        return {"kind": self.kind, **(self.model_extra or {})}


class Scenario(BaseModel):
    """A scenario as its TOML file states it (see the documentation of the format).

    Parameters
    ----------
    name, title, description, reference
        What to call it, one line, one paragraph, and the ADS bibcode of the paper it follows.
    realizations
        How many mock catalogues of each cell, >= 1.
    seed
        Seed of all random streams, >= 0.
    timeout
        Seconds that one task (one catalogue through its estimators) may take.
    tolerance
        Sizes above which errors matter, by quantity; a number is of all that have no unit. Reports alone read it.
    mock, survey, clean, estimators
        Tables that build the components; ``clean`` lists what is taken out of the catalogue before
        any estimator reads it.
    matrix
        Factors that vary.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    name: str = Field(min_length=1)
    title: str = ""
    description: str = ""
    reference: str = ""
    realizations: int = Field(default=100, ge=1, le=MOST_REALIZATIONS)
    seed: int = Field(default=0, ge=0)
    timeout: float = Field(default=600.0, gt=0.0, allow_inf_nan=False)
    tolerance: dict[str, float] = Field(default_factory=dict)
    mock: Spec
    survey: Spec
    clean: list[Spec] = Field(default_factory=list)
    estimators: list[EstimatorEntry] = Field(min_length=1)
    matrix: Matrix = Field(default_factory=Matrix)

    _origin: str = PrivateAttr(default="scenario")

    @field_validator("tolerance", mode="before")
    @classmethod
    def _by_quantity(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return dict(flatten(value))
        return {OVERALL: value}

    @property
    def origin(self) -> str:
        """What to call the scenario in an error: its file."""
        return self._origin

    @property
    def tolerances(self) -> Tolerances:
        """Sizes above which errors matter."""
        return Tolerances(self.tolerance)

    def revise(self, **changes: Any) -> Scenario:
        """Scenario with some keys changed; ``None`` leaves a key as it is."""
        kept = {key: value for key, value in changes.items() if value is not None}
        return make_scenario({**self.to_dict(), **kept}, self.origin)

    def to_dict(self) -> Spec:
        """Plain values, as in the file, with defaults filled in."""
        return self.model_dump(mode="python")


#: Settings of a survey that name files.
_FILES_OF_SURVEYS: Final = (("template", "file"), ("footprint", "map"), ("completeness", "map"))


def load_scenario(name_or_path: str | Path) -> Scenario:
    """Read a scenario: one of the packaged names, else a TOML file.

    Raises
    ------
    InputError
        If there is no such scenario or it is not usable; the message names file, key and what is
        allowed.
    """
    packaged = scenarios.names()
    path = Path(name_or_path)
    if not str(name_or_path):
        raise InputError("scenario: the name is empty")
    if str(name_or_path) in packaged:
        path = scenarios.path(str(name_or_path))
    elif not path.exists():
        raise unknown(
            "scenario", str(name_or_path), packaged, "no such file, and not a packaged scenario"
        )
    return make_scenario(with_files_beside(read_toml(path), path.parent), str(path))


def with_files_beside(values: Spec, folder: Path) -> Spec:
    """Values whose survey names files that stand in the folder of the scenario by where these are.

    Other names are left as they are: relative to the working directory.
    """
    survey = values.get("survey")
    if not isinstance(survey, Mapping):
        return values
    survey = dict(survey)
    if isinstance(survey.get("template"), str):
        survey["template"] = _beside(survey["template"], folder)
    for part, key in _FILES_OF_SURVEYS:
        table = survey.get(part)
        if isinstance(table, Mapping) and isinstance(table.get(key), str):
            survey[part] = {**table, key: _beside(table[key], folder)}
    return {**values, "survey": survey}


def _beside(name: str, folder: Path) -> str:
    there = folder / name
    return str(there.absolute()) if name and there.is_file() else name


def as_scenario(scenario: str | Path | Mapping[str, Any] | Scenario) -> Scenario:
    """Scenario of a packaged name, a file or plain values (errors as in :func:`load_scenario`).

    In values, ``mock.potential`` and its levels may be objects of another library
    (:func:`haloassay.mocks.gravity.foreign.plain_mock`).
    """
    if isinstance(scenario, Scenario):
        return scenario
    if not isinstance(scenario, Mapping):
        return load_scenario(scenario)
    return make_scenario(_without_objects(scenario))


def _without_objects(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Values in which objects that stand for potentials are kinds and settings."""
    mock, matrix = values.get("mock"), values.get("matrix")
    if not isinstance(mock, Mapping):
        return values
    matrix = matrix if isinstance(matrix, Mapping) else {}
    varied = [path for path in varied_paths(matrix) if path.startswith("mock.")]
    plain: dict[str, Any] = {**values, "mock": plain_mock(mock, varied)}
    factors = matrix.get("factors")
    factors = dict(flatten(factors)) if isinstance(factors, Mapping) else {}
    levels = factors.get("mock.potential")
    if isinstance(levels, list | tuple):
        mocks = [plain_mock({**mock, "potential": level}, varied) for level in levels]
        factors["mock.potential"] = [each["potential"] for each in mocks]
        plain["matrix"] = {**matrix, "factors": factors}
    return plain


def read_toml(path: Path, what: str = "scenario") -> Spec:
    """Read the plain values of a file, of a scenario or ``what`` else.

    Raises
    ------
    InputError
        If it cannot be read, is no TOML, or larger than any that is written by hand.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected a {what} file (TOML)")
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > _LARGEST_FILE:
        raise InputError(f"{path}: is longer than a {what} can be ({_LARGEST_FILE} bytes)")
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not UTF-8 text (byte {error.start} cannot be decoded)"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: is not valid TOML: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: tables or lists stand within one another too deeply") from None
    except ValueError:  # of an integer that Python refuses to read
        raise InputError(f"{path}: a number has more than {_MOST_DIGITS} digits") from None


def make_scenario(values: Mapping[str, Any], origin: str = "scenario") -> Scenario:
    """Scenario of plain values; ``origin`` is what to call it in errors.

    Raises
    ------
    InputError
        If a key is unknown, missing or of the wrong type, a label appears twice, or a factor has no
        levels.
    """
    given = values.get("estimators")
    if isinstance(given, list | tuple):
        where = f"{origin}: estimators"
        tables = [estimator_table(entry, f"{where}.{k}") for k, entry in enumerate(given)]
        values = {**values, "estimators": tables}
    _require_plain(values, origin)
    try:
        scenario = Scenario.model_validate(dict(values))
    except ValidationError as error:
        raise _explain(error, values, origin) from None
    scenario._origin = origin
    try:
        _ = scenario.tolerances
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None
    _require_unique(scenario)
    return scenario


def _require_plain(value: Any, where: str, depth: int = 0) -> None:
    """Refuse what TOML can write but no setting can mean: dates, times, NaN, endless numbers and depths."""
    if depth > _DEEPEST:
        raise InputError(
            f"{where}: tables or lists stand within one another too deeply (at most {_DEEPEST})"
        )
    if isinstance(value, Mapping):
        for key, item in value.items():
            name = str(key)
            place = f"{where}: {name}" if ": " not in where else f"{where}.{name}"
            _require_plain(item, place, depth + 1)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _require_plain(item, f"{where}.{i}", depth + 1)
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**_MOST_DIGITS:
        raise InputError(f"{where}: a number has more than {_MOST_DIGITS} digits")
    elif isinstance(value, float) and math.isnan(value):
        raise InputError(f"{where}: nan is not a value")
    elif isinstance(value, (datetime.date, datetime.time)):
        raise InputError(f"{where}: a date or time is not allowed (got {value})")


def _require_unique(scenario: Scenario) -> None:
    from haloassay.analysis import calibrate, pairs, scores

    taken = {"cell", *scores.COLUMNS, *pairs.COLUMNS, *calibrate.COLUMNS}
    labels = [entry.label for entry in scenario.estimators]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(
                f"{scenario.origin}: estimators: label {label!r} appears {labels.count(label)} "
                "times; give each entry its own 'label'"
            )
    names = [entry.label for entry in scenario.matrix.entries]
    for entry in scenario.matrix.entries:
        where = f"{scenario.origin}: {_place_of(entry)}"
        if names.count(entry.label) > 1:
            raise InputError(f"{where}: {names.count(entry.label)} factors have this label")
        if entry.label in taken:
            raise InputError(f"{where}: {entry.label!r} is a column of tables of scores")
        levels = entry.levels
        if not levels and entry.prior is None:
            raise InputError(f"{where}: has no levels")
        if any(level in levels[:i] for i, level in enumerate(levels)):
            raise InputError(f"{where}: a level appears twice: {levels}")


def _place_of(entry: FactorEntry) -> str:
    """Where a factor stands in a file."""
    short = entry.path == entry.label and entry.prior is None
    return f"matrix.factors.{entry.path}" if short else f"matrix.factor {entry.label!r}"


_TABLES: dict[str, type[BaseModel]] = {
    "": Scenario,
    "matrix": Matrix,
    "matrix.factor": FactorEntry,
    "matrix.exclude": Exclusion,
}


def _explain(error: ValidationError, values: Mapping[str, Any], origin: str) -> InputError:
    """Make one line of pydantic's errors: file, key and what is allowed; unknown keys first."""
    errors = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    first = errors[0]
    *table, name = [str(part) for part in first["loc"]] or [""]
    place = ".".join(table)
    where = f"{origin}: {place}" if place else origin
    if first["type"] == "extra_forbidden":
        table_of = ".".join(part for part in table if not part.isdecimal())
        return unknown("key", name, _TABLES[table_of].model_fields, where)
    if first["type"] == "missing":
        return InputError(f"{where}: key {name!r} is missing")
    message = first["msg"][0].lower() + first["msg"][1:]
    return InputError(f"{origin}: {'.'.join([*table, name])}: {message} (got {first['input']!r})")
