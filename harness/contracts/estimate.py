"""What an estimator is and what it returns: the contract between methods and the harness."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haloassay.base.errors import EstimationError
from haloassay.contracts.cards import Card, carded, number, span
from haloassay.contracts.quantities import QUANTITIES, Quantity, Scale
from haloassay.contracts.sky import lon_lat, separation

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.contracts.catalogue import Catalogue

#: Percentiles of a Gaussian at -2, -1, 1 and 2 sigma as the field quotes them: 68 and 95 per cent.
INTERVALS: Final = (2.5, 16.0, 84.0, 97.5)


def percentiles(draws: ArrayLike, percents: Sequence[float]) -> NDArray[np.float64]:
    """Percentiles of finite draws: the bits of ``np.percentile``, which takes three times as long for a thousand."""
    ordered = np.sort(np.asarray(draws, dtype=float), axis=None)
    place = (len(ordered) - 1) * np.true_divide(percents, 100.0)
    below = np.floor(place).astype(np.intp)
    lo, hi = ordered[below], ordered[np.minimum(below + 1, len(ordered) - 1)]
    share, gap = place - below, hi - lo
    return np.where(share >= 0.5, hi - gap * (1.0 - share), lo + gap * share)


@dataclass(frozen=True, eq=False)
class Estimate:
    """One row: a quantity, where it was measured, and its value with intervals.

    Parameters
    ----------
    quantity
        Name of a quantity of :mod:`haloassay.contracts.quantities`, or of one of the estimator's own.
    value
        The estimate, in ``unit``; NaN only together with a ``note`` that says why there is none.
    lo68, hi68, lo95, hi95
        Bounds of the central 68 and 95 per cent intervals; they contain ``value``. Left out, both ends of one, by a
        method that does not state it: it is then scored for bias and scatter, not for coverage.
    r, r_lo, r_hi
        Radius [kpc] the value belongs to and, for a value from a radial bin, the edges of that bin.
    bin
        Number of the bin or radius within its quantity, once in an estimate; over realisations, rows of equal number
        are scored together.
    unit
        Unit; that of the quantity where it is left out, and no other.
    draws
        (n_draws,) independent draws from the posterior or the bootstrap distribution, where there are any.
    stars
        Rows of the catalogue that the value is an average of, where that is a part of the sky and not all of a shell.
    toward
        Longitude and latitude [deg] of the direction that a row of a separation is about (:meth:`from_directions`).
    note
        Why the value cannot be determined, for a row without a value.
    """

    quantity: str
    value: float
    lo68: float = np.nan
    hi68: float = np.nan
    lo95: float = np.nan
    hi95: float = np.nan
    r: float = np.nan
    r_lo: float = np.nan
    r_hi: float = np.nan
    bin: int = 0
    unit: str = ""
    draws: NDArray[np.float64] | None = field(default=None, repr=False)
    stars: NDArray[np.int64] | None = field(default=None, repr=False)
    toward: tuple[float, float] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if not self.unit and self.quantity in QUANTITIES:
            object.__setattr__(self, "unit", QUANTITIES[self.quantity].unit)
        if self.note:
            return
        where = f"{self.quantity} (bin {self.bin})"
        known = QUANTITIES.get(self.quantity)
        if known is not None and known.scale == "separation" and self.toward is None:
            raise EstimationError(
                f"{where}: a separation needs the direction that it is from (toward)"
            )
        if not np.isfinite(self.value):
            raise EstimationError(f"{where}: the value is not finite: {self.value}")
        stated = [
            ends
            for ends in ((self.lo95, self.hi95), (self.lo68, self.hi68))
            if not np.all(np.isnan(ends))
        ]
        bounds = (*(lo for lo, _ in stated), self.value, *(hi for _, hi in reversed(stated)))
        if not np.all(np.isfinite(bounds)):
            raise EstimationError(f"{where}: an interval is not finite: {bounds}")
        if not np.all(np.diff(bounds) >= 0.0):
            raise EstimationError(f"{where}: intervals do not contain the value: {bounds}")

    @classmethod
    def from_draws(cls, quantity: str, draws: ArrayLike, **where: float) -> Estimate:
        """Median, 68 and 95 per cent intervals of ``draws``; ``where`` gives r, r_lo, r_hi, bin.

        Draws that are not finite make the quantity undetermined.
        """
        draws = np.asarray(draws, dtype=float)
        if draws.size == 0 or not np.all(np.isfinite(draws)):
            return cls.undetermined(quantity, "the draws are not all finite", **where)
        lo95, lo68, value, hi68, hi95 = percentiles(draws, [*INTERVALS[:2], 50.0, *INTERVALS[2:]])
        return cls(quantity, value, lo68, hi68, lo95, hi95, draws=draws, **where)  # type: ignore[arg-type]

    @classmethod
    def from_directions(cls, quantity: str, draws: ArrayLike, **where: float) -> Estimate:
        """Row of a separation: caps about the mean direction that hold 68 and 95 per cent of ``draws`` (n, 3).

        The value is 0, the upper bounds are the angular radii [deg] of the caps; ``toward`` is the mean direction. Two
        intervals, in longitude and latitude, are no such region: near a pole they leave out the pole.
        """
        draws = np.asarray(draws, dtype=float)
        with np.errstate(invalid="ignore", divide="ignore"):
            unit = draws / np.linalg.norm(draws, axis=-1, keepdims=True)
        if draws.size == 0 or not np.all(np.isfinite(unit)):
            return cls.undetermined(quantity, "the draws are not all directions", **where)
        mean = unit.mean(axis=0)
        lon, lat = lon_lat(mean)
        away = separation(unit, mean)
        radii = np.percentile(away, [INTERVALS[2] - INTERVALS[1], INTERVALS[3] - INTERVALS[0]])
        bounds = (0.0, 0.0, float(radii[0]), 0.0, float(radii[1]))
        toward = (float(lon), float(lat))
        return cls(quantity, *bounds, draws=away, toward=toward, **where)  # type: ignore[arg-type]

    @classmethod
    def undetermined(cls, quantity: str, note: str, **where: float) -> Estimate:
        """Row that says why there is no value."""
        return cls(quantity, np.nan, note=note, **where)  # type: ignore[arg-type]

    def rank(self, truth: float, scale: Scale = "absolute") -> int:
        """Count the draws below ``truth``; -1 where there are no draws, or no truth.

        The truth of an angle is taken on the turn of the circle next to the value.
        """
        if self.draws is None or not len(self.draws) or not np.isfinite(truth):
            return -1
        if scale == "angle":
            truth += 360.0 * np.round((self.value - truth) / 360.0)
        return int(np.sum(self.draws < truth))


@carded
@dataclass(frozen=True)
class Estimates:
    """All rows of one estimator on one catalogue."""

    rows: tuple[Estimate, ...]

    def __init__(self, rows: Iterable[Estimate]) -> None:
        object.__setattr__(self, "rows", tuple(rows))

    def __iter__(self) -> Iterator[Estimate]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def _card(self) -> Card:
        header = ("quantity", "r [kpc]", "value", "68 %", "95 %", "unit", "why there is none")
        known = len(header) if any(row.note for row in self.rows) else -1
        rows = [
            (
                *(row.quantity, number(row.r), number(row.value)),
                *(span(row.lo68, row.hi68), span(row.lo95, row.hi95), row.unit, row.note),
            )[:known]
            for row in self.rows
        ]
        return Card(
            f"Estimates: {len(self)} row{'' if len(self) == 1 else 's'}", header[:known], rows
        )

    def of(self, quantity: str) -> tuple[Estimate, ...]:
        """Rows of one quantity, in their order."""
        return tuple(row for row in self.rows if row.quantity == quantity)

    def to_frame(self) -> pd.DataFrame:
        """Table of the rows without their draws, stars and directions, as pandas."""
        import pandas as pd

        names = [
            name
            for name in Estimate.__dataclass_fields__
            if name not in ("draws", "stars", "toward")
        ]
        return pd.DataFrame({name: [getattr(row, name) for row in self.rows] for name in names})


class Estimator(ABC):
    """A method that reads a catalogue and returns estimates.

    Subclasses are frozen dataclasses; their fields are their settings, and a scenario sets or sweeps them.
    """

    #: Name under which scenarios and the command line call the method.
    name: ClassVar[str]
    #: Raised when equal settings give other numbers: results of both are then not taken for the same.
    version: ClassVar[int] = 1
    #: ADS bibcode of the paper that defines the method.
    reference: ClassVar[str]
    #: What the method reads beside positions: ``velocity``, all three components, and names of further columns.
    needs: ClassVar[tuple[str, ...]] = ("velocity",)
    #: Names of further columns that it reads where a catalogue has them; none other is, nor need be finite.
    uses: ClassVar[tuple[str, ...]] = ()
    #: What the method takes for granted of the halo.
    assumes: ClassVar[tuple[str, ...]] = ()
    #: Quantities that it returns; rows of others are refused.
    yields: ClassVar[tuple[str, ...]] = ()
    #: Records of those that haloassay does not know: what a quantity of one's own is.
    quantities: ClassVar[tuple[Quantity, ...]] = ()
    #: ``mock`` and ``survey`` of a halo on which all holds that it assumes: ``haloassay check`` judges it there.
    ideal: ClassVar[Mapping[str, Any]] = {}
    #: What ``haloassay check`` breaks of it, to tell the bias: changed settings of ``ideal`` by their paths, by name.
    violations: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    #: Checks of ``haloassay check`` that it is known to fail, and why; one that it passes after all is a failure.
    #: ``(why, level)`` is what only so many mocks show: from that level on it must fail, below it may not. A property
    #: where settings decide it.
    expected: ClassVar[Mapping[str, str | tuple[str, str]]] = {}
    #: Settings of the paper's own run, as ``as_published = true`` sets them; empty where it prints none.
    published: ClassVar[Mapping[str, Any]] = {}

    def required(self) -> tuple[str, ...]:
        """Tell what the method reads with these settings: :attr:`needs`, unless settings decide it."""
        return self.needs

    def usable(self) -> tuple[str, ...]:
        """Tell all that the method can read beside positions: what it requires, and :attr:`uses`."""
        return tuple(dict.fromkeys((*self.required(), *self.uses)))

    @abstractmethod
    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Estimate from ``catalogue``; all randomness comes from ``rng``.

        Raises
        ------
        EstimationError
            If the catalogue does not determine the method's quantities.
        """
