"""What the stars of mocks are drawn from, in words: which distribution function, and what was done to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from haloassay.base.kinds import name_of
from haloassay.mocks.equilibria.distributions import DEFAULT
from haloassay.planning.cells import Cell, SampledCell
from haloassay.planning.plan import Plan
from haloassay.planning.scenario import Spec

#: Mocks that have distribution functions to choose from.
_EQUILIBRIUM: Final = "equilibrium"
_DEFAULT: Final = name_of(type(DEFAULT))


def families(plan: Plan) -> tuple[str, ...]:
    """Families of all mocks of a plan, in the order in which its cells name them."""
    found = (
        family
        for cell in plan.cells
        for mock in _mocks(cell, plan.scenario.realizations)
        for family in families_of(mock)
    )
    return tuple(dict.fromkeys(found))


def _mocks(cell: Cell, realizations: int) -> Iterator[Spec]:
    """Tables of the mocks of a cell: of a sampled one, those of all its catalogues."""
    drawn = isinstance(cell, SampledCell)
    for k in range(cell.size(realizations) if drawn else 1):
        yield cell.at(k).mock


def families_of(mock: Spec) -> tuple[str, ...]:
    """Families of one mock's table.

    Of an equilibrium it is the kind of the distribution function of each population, of other mocks their own kind;
    then whether the stars were mixed in a field or a shape that is not round, met an LMC, or are in part debris.
    """
    kind = str(mock.get("kind"))
    populations = mock.get("populations") or [{}]
    own = [kind]
    if kind == _EQUILIBRIUM:
        own = [_distribution({**mock, **each}) for each in populations]
    done = [
        words
        for words, is_so in (
            ("mixed out of round", any({**mock, **each}.get("shape") for each in populations)),
            ("with an LMC", _has_lmc(mock.get("lmc"))),
            ("with debris", any(each.get("fraction") for each in mock.get("debris") or ())),
        )
        if is_so
    ]
    return tuple(dict.fromkeys(", ".join([each, *done]) for each in own))


def _distribution(table: Mapping[str, Any]) -> str:
    return str((table.get("distribution") or {}).get("kind", _DEFAULT))


def _has_lmc(table: Mapping[str, Any] | None) -> bool:
    """Whether there is an LMC, and not one without mass."""
    return table is not None and table.get("mass") != 0.0
