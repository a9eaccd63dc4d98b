"""The matrix of a scenario as its file states it: factors, their levels and priors, and designs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Design = Literal[
    "one-at-a-time", "full", "fractional", "joint", "sobol", "latin-hypercube", "saltelli"
]
#: Designs whose cells are levels of factors; the others draw the factors of each catalogue.
FIXED: Final = ("one-at-a-time", "full", "fractional")

#: Points that a sampled design may have.
MOST_POINTS: Final = 1_000_000


# Models are built when they are first used (``defer_build``): workers, which load this too, read no scenario.


class LevelEntry(BaseModel):
    """A level with a name of its own, and all that it sets, by path."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    label: str = Field(min_length=1)
    set: dict[str, Any] = Field(min_length=1)


class FactorEntry(BaseModel):
    """A factor with a name.

    Parameters
    ----------
    label
        What tables and figures call it.
    path, paths
        Setting that it varies, or several that are tied: all have the same value. Neither where each level says
        itself what it ``set``s.
    levels
        Values, or tables of ``label`` and ``set``.
    prior
        Table of a prior over its values (:mod:`haloassay.contracts.priors`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    label: str = Field(min_length=1)
    path: str = ""
    paths: list[str] = Field(default_factory=list)
    levels: list[Any] = Field(default_factory=list)
    prior: dict[str, Any] | None = None


class Exclusion(BaseModel):
    """Cells that are left out.

    Parameters
    ----------
    name
        What to call them.
    where
        Levels by the labels of their factors: cells that have all of them are left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    name: str = Field(min_length=1)
    where: dict[str, Any] = Field(min_length=1)


class Matrix(BaseModel):
    """Factors that vary and how they are combined.

    Parameters
    ----------
    design
        One or several. ``one-at-a-time`` runs the scenario as written and each factor alone at each of its levels;
        ``full`` every combination of levels; ``fractional`` a share of the combinations of two levels each, of
        resolution IV: no factor is confounded with an interaction of two. ``joint`` draws all factors from their
        priors, anew for each point; ``sobol`` and ``latin-hypercube`` fill the priors more evenly; ``saltelli`` has
        the pairs of points that indices of sensitivity are made of.
    factors
        Levels by path: factors whose path is their name.
    factor
        Factors with names.
    points
        Of the sampled designs; by default as many as the realisations of a cell allow. Powers of two for ``sobol``
        and ``saltelli``; of ``latin-hypercube`` the points of one hypercube, of which there are as many as fit.
    replicates
        Catalogues of each point of a sampled design, 1 to 100: two tell the noise of realisations apart from the
        spread over the factors.
    exclude
        Cells of ``full`` and ``fractional`` that are left out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    design: list[Design] = Field(default=["one-at-a-time"], min_length=1)
    factors: dict[str, list[Any]] = Field(default_factory=dict)
    factor: list[FactorEntry] = Field(default_factory=list)
    points: int | None = Field(default=None, ge=1, le=MOST_POINTS)
    replicates: int = Field(default=2, ge=1, le=100)
    exclude: list[Exclusion] = Field(default_factory=list)

    @field_validator("design", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _dotted(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and isinstance(values.get("factors"), Mapping):
            return {**values, "factors": dict(flatten(values["factors"]))}
        return values

    @property
    def designs(self) -> tuple[str, ...]:
        """All designs, each once."""
        return tuple(dict.fromkeys(self.design))

    @property
    def entries(self) -> tuple[FactorEntry, ...]:
        """All factors; those of the short form are called by their path."""
        short = (
            FactorEntry(label=path, path=path, levels=levels)
            for path, levels in self.factors.items()
        )
        return (*short, *self.factor)


def flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Paths and levels, whether the paths were quoted in the file or not."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def varied_paths(values: Mapping[str, Any]) -> Iterator[str]:
    """Paths that a table of a matrix varies, before it is known to be sound."""
    factors = values.get("factors")
    if isinstance(factors, Mapping):
        yield from (path for path, _ in flatten(factors))
    for factor in _tables(values.get("factor")):
        yield str(factor.get("path", ""))
        paths = factor.get("paths")
        yield from map(str, paths if isinstance(paths, list | tuple) else ())
        for level in _tables(factor.get("levels")):
            yield from map(str, level["set"] if isinstance(level.get("set"), Mapping) else ())


def _tables(values: Any) -> list[Mapping[str, Any]]:
    listed = values if isinstance(values, list | tuple) else ()
    return [value for value in listed if isinstance(value, Mapping)]
