"""Numbers of groups of realisations, one group after another, and what they come to, group by group.

Queries that keep the values of all groups at once need memory by the row. One that is ordered by group does not: DuckDB
sorts out of core, and what comes out is looked at group by group.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np

from haloassay.analysis.query import batches
from haloassay.base.arrays import BoolArray, FloatArray, IntArray

T = TypeVar("T")

#: Rows of a query that are read at once.
_READ: Final = 1_000_000
#: Rows that are worked on at once, so that they stay in the cache of a processor; below 2 ** 16, for ``_ranked``.
ROWS: Final = 50_000


def in_groups(rows: Any) -> Iterator[Groups]:
    """Read groups of an ordered query, as many at a time as have :data:`ROWS` rows together.

    Parameters
    ----------
    rows
        DuckDB relation, ordered by its column ``g``, a number; all other columns are numbers, too.
    """
    held: list[Mapping[str, Any]] = []
    for batch in batches(rows, _READ):
        columns = {
            name: column.to_numpy(zero_copy_only=False)
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        g = columns["g"]
        if not len(g):
            continue
        last = int(np.searchsorted(g, g[-1]))
        if last or (held and held[0]["g"][0] != g[0]):
            yield from _split(_joined([*held, {k: v[:last] for k, v in columns.items()}]))
            held = []
        held.append({k: v[last:] for k, v in columns.items()})
    if held:
        yield from _split(_joined(held))


def worked(tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Do tasks while what the next need is read: what each returns, in their order. What is divided by 0 is NaN."""

    def quietly(task: Callable[[], T]) -> T:
        with np.errstate(invalid="ignore", divide="ignore"):
            return task()

    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(2) as pool:
        for task in tasks:
            waiting.append(pool.submit(quietly, task))
            if len(waiting) > 4:
                yield waiting.popleft().result()
        yield from (each.result() for each in waiting)


def _joined(parts: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _split(columns: Mapping[str, Any]) -> Iterator[Groups]:
    """Cut rows between groups."""
    g = columns["g"]
    starts = np.flatnonzero(np.diff(g, prepend=-1))
    first = 0
    while first < len(starts):
        end = max(first + 1, int(np.searchsorted(starts, starts[first] + ROWS)))
        stop = starts[end] if end < len(starts) else len(g)
        part = {k: v[starts[first] : stop] for k, v in columns.items() if k != "g"}
        yield Groups(g[starts[first:end]], starts[first:end] - starts[first], part)
        first = end


@dataclass(frozen=True)
class Groups:
    """Rows of some groups.

    Parameters
    ----------
    number
        Of each group (n,).
    starts
        Where each begins (n,).
    columns
        Values of all rows by name; NaN is none.
    """

    number: IntArray
    starts: IntArray
    columns: Mapping[str, FloatArray]
    _known: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    def _once(self, what: tuple[str, str], make: Callable[[], Any]) -> Any:
        if what not in self._known:
            self._known[what] = make()
        return self._known[what]

    @property
    def sizes(self) -> IntArray:
        """Rows of each group."""
        return np.diff(self.starts, append=len(next(iter(self.columns.values()))))

    def each(self, values: Any) -> Any:
        """Give each row the value of its group."""
        return np.repeat(values, self.sizes)

    def some(self, which: BoolArray) -> Groups:
        """Return some of the groups."""
        rows = self.each(which)
        return self.kept(rows, {name: values[rows] for name, values in self.columns.items()})

    def kept(self, which: BoolArray, columns: Mapping[str, FloatArray]) -> Groups:
        """Keep some of the rows, with other columns; groups without any are left out."""
        sizes = np.add.reduceat(which.astype(np.intp), self.starts)
        some = sizes > 0
        starts = np.cumsum(sizes[some]) - sizes[some]
        return Groups(self.number[some], starts, columns)

    def sum(self, values: FloatArray) -> FloatArray:
        """Sum of values by row, without NaN."""
        total = np.add.reduceat(values, self.starts)
        if np.isnan(total).any():
            total = np.add.reduceat(np.where(np.isnan(values), 0.0, values), self.starts)
        return total

    def n(self, name: str) -> FloatArray:
        """Count values."""
        return self._once(
            ("n", name), lambda: self.sum((~np.isnan(self.columns[name])).astype(float))
        )

    def total(self, name: str) -> FloatArray:
        """Sum of values; 0 of none."""
        return self.sum(self.columns[name])

    def mean(self, name: str) -> FloatArray:
        """Mean; NaN of none."""
        return self._once(("mean", name), lambda: self.total(name) / positive(self.n(name)))

    def off(self, name: str) -> FloatArray:
        """Values by row less the mean of their group."""
        return self._once(("off", name), lambda: self.columns[name] - self.each(self.mean(name)))

    def variance(self, name: str) -> FloatArray:
        """Variance with n - 1 in the denominator; NaN of fewer than two."""
        return self._once(
            ("variance", name),
            lambda: self.sum(self.off(name) ** 2) / positive(self.n(name) - 1.0),
        )

    def mean_without(self, name: str) -> FloatArray:
        """Return the mean of all values of the group of a row but its own, if it has one; NaN where none is left."""
        x = self.columns[name]
        n, mean = self.each(self.n(name)), self.each(self.mean(name))
        return np.where(np.isnan(x), mean, (n * mean - x) / positive(n - 1.0))

    def spread_without(self, name: str) -> FloatArray:
        """Return the standard deviation of all values of the group of a row but its own; NaN where it has none."""
        n = self.each(self.n(name))
        rest = (n - 1.0) * self.each(self.variance(name)) - n / positive(n - 1.0) * self.off(
            name
        ) ** 2
        return np.sqrt(np.maximum(rest / positive(n - 2.0), 0.0))

    def jackknife(self, without: FloatArray) -> FloatArray:
        """Return the standard error of what is ``without`` when a row is left out, by row."""
        n = self.sum((~np.isnan(without)).astype(float))
        mean = self.sum(without) / positive(n)
        return np.sqrt((n - 1.0) / positive(n) * self.sum((without - self.each(mean)) ** 2))

    def median(self, name: str) -> FloatArray:
        """Median of values; NaN of none."""
        return self._at(name, 0.5)

    def quantile(self, p: float | FloatArray) -> FloatArray:
        """Quantile of ``e`` as numpy has it; NaN of none."""
        return self._at("e", p)

    def quantile_error(self, p: float) -> FloatArray:
        """Half of what lies one binomial sigma to either side of a quantile of ``e``; NaN of fewer than two."""
        n = self.n("e")
        step = np.sqrt(p * (1.0 - p) / positive(n))
        half = 0.5 * (self.quantile(p + step) - self.quantile(p - step))
        return np.where(n > 1.0, half, np.nan)

    def _ranked(self, name: str) -> FloatArray:
        """Values in rising order within each group, NaN last."""

        def ranked() -> FloatArray:
            x = self.columns[name]
            order = np.argsort(x)
            # a stable sort of small whole numbers takes the time of a copy
            group = np.repeat(np.arange(len(self.starts), dtype=np.uint16), self.sizes)
            return x[order[np.argsort(group[order], kind="stable")]]

        return self._once(("ranked", name), ranked)

    def _at(self, name: str, p: float | FloatArray) -> FloatArray:
        """Quantile of the values of each group."""
        ranked, n = self._ranked(name), self.n(name)
        place = np.nan_to_num((n - 1.0) * np.clip(p, 0.0, 1.0)).clip(0.0)
        below = np.floor(place).astype(np.intp)
        lo = ranked[self.starts + below]
        hi = ranked[self.starts + np.ceil(place).astype(np.intp)]
        found = lo + np.where(hi > lo, (place - below) * (hi - lo), 0.0)
        return np.where(n > 0.0, found, np.nan)


def none(names: Iterable[str]) -> Groups:
    """No groups, of columns of these names."""
    nothing = np.empty(0, dtype=np.intp)
    return Groups(nothing, nothing, dict.fromkeys(names, np.empty(0)))


def positive(n: FloatArray) -> FloatArray:
    """Numbers above 0 as they are, others NaN: what they would divide is undetermined."""
    return np.where(n > 0.0, n, np.nan)
