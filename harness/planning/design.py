"""Designs whose cells are levels of factors: which levels are combined."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from haloassay.base.errors import InputError
from haloassay.planning.factors import LEVELS_OF_PRIOR, Factor, Level
from haloassay.planning.matrix import FIXED, FactorEntry, Matrix
from haloassay.planning.sampling import Sampling
from haloassay.planning.scenario import Scenario

#: Cells that a scenario may have, and catalogues of all of them.
MOST_CELLS: Final = 100_000
MOST_CATALOGUES: Final = 100_000_000

Levels = Mapping[str, Level]


def combinations(design: str, factors: Sequence[Factor], matrix: Matrix) -> Iterator[Levels]:
    """Levels that change, by the labels of their factors, cell by cell."""
    if design == "one-at-a-time":
        for factor in factors:
            for level in factor.levels:
                yield {factor.label: level}
        return
    if not factors:
        return
    labels = [factor.label for factor in factors]
    for levels in _full(factors) if design == "full" else _fractional(factors):
        chosen = dict(zip(labels, levels, strict=True))
        if not any(_matches(chosen, exclusion.where) for exclusion in matrix.exclude):
            yield chosen


def _full(factors: Sequence[Factor]) -> Iterator[tuple[Level, ...]]:
    return itertools.product(*(factor.combined for factor in factors))


def _fractional(factors: Sequence[Factor]) -> Iterator[tuple[Level, ...]]:
    """Yield combinations of two levels of each factor, of resolution IV.

    Factors are the products of odd numbers of the basic two-level columns (Box, Hunter & Hunter 2005, Statistics for
    Experimenters, chapter 6): the product of any three is no factor's interaction with a fourth of the identity, so
    main effects are free of two-factor interactions.
    """
    n_basic = fractional_columns(len(factors))
    words = [w for w in range(1, 1 << n_basic) if w.bit_count() % 2]
    chosen = [1 << k for k in range(min(n_basic, len(factors)))]
    chosen += [w for w in words if w not in chosen][: len(factors) - len(chosen)]
    for run in range(1 << n_basic):
        signs = [(run & word).bit_count() % 2 for word in chosen]
        yield tuple(f.combined[k and -1] for f, k in zip(factors, signs, strict=True))


def fractional_columns(n_factors: int) -> int:
    """Count the basic columns of a design of resolution IV: it has 2 to that power of cells."""
    n = 1
    while 1 << (n - 1) < n_factors:
        n += 1
    return n


def _matches(chosen: Levels, where: Mapping[str, object]) -> bool:
    return all(
        label in chosen and wanted in (chosen[label].value, chosen[label].label)
        for label, wanted in where.items()
    )


def require_countable(scenario: Scenario) -> None:
    """Count the cells before any is built: a product of levels soon takes days to write down."""
    sizes = [_size(entry) for entry in scenario.matrix.entries]
    cells = catalogues = 0
    for design in scenario.matrix.designs:
        n, how = _count(design, sizes)
        cells += n
        if cells > MOST_CELLS:
            raise InputError(
                f"{scenario.origin}: matrix: {how} levels make {n} cells (allowed: {MOST_CELLS})"
            )
        if design in FIXED:
            catalogues += n * scenario.realizations
        else:
            catalogues += sampling_of(design, scenario, len(sizes)).size(scenario.realizations)
    if catalogues > MOST_CATALOGUES:
        raise InputError(
            f"{scenario.origin}: {cells} cells of {scenario.realizations} realizations make"
            f" {catalogues} catalogues (allowed: {MOST_CATALOGUES})"
        )


def _size(entry: FactorEntry) -> tuple[int, int]:
    """Count the levels of a factor, alone and where it is combined with others."""
    listed = len(entry.levels) or len((entry.prior or {}).get("values", ()))
    return (listed, listed) if listed else (LEVELS_OF_PRIOR, LEVELS_OF_PRIOR // 2)


def _count(design: str, sizes: Sequence[tuple[int, int]]) -> tuple[int, str]:
    """Count the cells of a design, and say how they come about."""
    if design == "one-at-a-time":
        single = [1, *(alone for alone, _ in sizes)]
        return sum(single), " + ".join(map(str, single))
    if design == "full":
        combined = [together for _, together in sizes]
        return math.prod(combined), " x ".join(map(str, combined))
    n = 1 << fractional_columns(len(sizes)) if design == "fractional" else 1
    return n, str(n)


def sampling_of(design: str, scenario: Scenario, n_factors: int) -> Sampling:
    """Points of a sampled design of a scenario.

    Raises
    ------
    InputError
        If the scenario wants a number of points that the design cannot have.
    """
    matrix = scenario.matrix
    try:
        return Sampling(design, n_factors, scenario.seed, matrix.replicates, matrix.points)
    except InputError as error:
        raise InputError(f"{scenario.origin}: {error}") from None
