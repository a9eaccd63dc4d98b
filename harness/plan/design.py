"""Designs: which levels of its factors a scenario combines into cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Final

from haloassay.base.errors import InputError
from haloassay.plan.scenario import Scenario, Spec

#: Cells that a scenario may have, and catalogues of all of them.
MOST_CELLS: Final = 100_000
MOST_CATALOGUES: Final = 100_000_000


def combinations(scenario: Scenario) -> Iterator[Spec]:
    """Levels that change, cell by cell."""
    factors = scenario.matrix.factors
    if scenario.matrix.design == "one-at-a-time":
        for path, levels in factors.items():
            for level in levels:
                yield {path: level}
    elif factors:
        for combination in itertools.product(*factors.values()):
            yield dict(zip(factors, combination, strict=True))


def require_countable(scenario: Scenario) -> None:
    """Count the cells before any is built: a product of levels soon takes days to write down."""
    factors = scenario.matrix.factors
    sizes = [len(levels) for levels in factors.values()]
    full = scenario.matrix.design == "full"
    n = math.prod(sizes) if full else 1 + sum(sizes)
    if n > MOST_CELLS:
        how = " x ".join(map(str, sizes)) if full else " + ".join(map(str, [1, *sizes]))
        raise InputError(
            f"{scenario.origin}: matrix: {how} levels make {n} cells (allowed: {MOST_CELLS})"
        )
    if n * scenario.realizations > MOST_CATALOGUES:
        raise InputError(
            f"{scenario.origin}: {n} cells of {scenario.realizations} realizations make"
            f" {n * scenario.realizations} catalogues (allowed: {MOST_CATALOGUES})"
        )
