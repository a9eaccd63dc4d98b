"""A catalogue: what an observer has, as plain numpy columns; units are stripped once, outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.contracts import frames, stored
from haloassay.contracts.cards import Card, carded, span
from haloassay.contracts.columns import GALACTOCENTRIC, HELIOCENTRIC, UNITS, columns_of
from haloassay.contracts.stored import StoredColumns

if TYPE_CHECKING:
    import pandas as pd
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    from haloassay.contracts.selection import Selection

#: How errors are carried to spherical velocities: by their first order, or by draws.
Propagation = Literal["linear", "monte-carlo"]

#: Stars that are looked at together; what is made of a larger catalogue is made block by block.
BLOCK: Final = 2**18


def _read_only(array: FloatArray) -> FloatArray:
    """View of an array that cannot be written: estimators share a catalogue and must not change it."""
    view = array.view()
    view.flags.writeable = False
    return view


#: What estimators need that is no column: that the catalogue has a :attr:`Catalogue.selection`.
SELECTION: Final = "selection"
#: What to call what an estimator needs; other columns go by their names.
_IN_WORDS: Final = {
    SELECTION: "the selection function of its survey (measure: --survey)",
    "velocity": "line-of-sight velocities (vlos)",
    "vlos": "line-of-sight velocities (vlos)",
    "feh": "[Fe/H] (feh)",
    "alpha_fe": "[alpha/Fe] (alpha_fe)",
}


def in_words(needs: Iterable[str]) -> str:
    """Say what an estimator needs, in the words of all commands."""
    return ", ".join(_IN_WORDS.get(name, name) for name in needs)


@carded
@dataclass(frozen=True, eq=False)
class Catalogue:
    """Stars as observed: canonical columns, the Sun that looked at them, and derived kinematics.

    All arrays are read-only.

    Parameters
    ----------
    columns
        Name to (N,) array, in memory or in a file (:class:`~haloassay.contracts.stored.StoredColumns`).
        Heliocentric ra, dec [deg], distance [kpc], pmra, pmdec [mas/yr], vlos
        [km/s], or Galactocentric x, y, z [kpc], vx, vy, vz [km/s]; each may have an ``_err``;
        ``pm_corr``, feh, alpha_fe.
    sun
        Position and velocity of the Sun.
    origin
        What to call the catalogue in messages.
    dropped
        Why and how many rows were left out, where the user asked for that.
    drawn_covariance
        (N, 3, 3) covariance of the errors of (v_r, v_theta, v_phi) [(km/s)^2] that
        :meth:`with_drawn_errors` found; without it that covariance is found to first order.
    sun_from
        From where the Sun is known, in words; empty where nobody asked.
    selection
        How stars came into it, where the observer can say so.
    """

    columns: Mapping[str, FloatArray]
    sun: frames.Sun = field(default_factory=frames.Sun)
    origin: str = "catalogue"
    dropped: Mapping[str, int] = field(default_factory=dict)
    drawn_covariance: FloatArray | None = field(default=None, repr=False)
    sun_from: str = ""
    selection: Selection | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.columns, StoredColumns):
            columns = {name: _read_only(values) for name, values in self.columns.items()}
            object.__setattr__(self, "columns", MappingProxyType(columns))
        if self.drawn_covariance is not None:
            object.__setattr__(self, "drawn_covariance", _read_only(self.drawn_covariance))

    @classmethod
    def from_arrays(
        cls, sun: frames.Sun | None = None, origin: str = "catalogue", **columns: ArrayLike
    ) -> Catalogue:
        """Catalogue of arrays in canonical units.

        Raises
        ------
        InputError
            If there is no column, or the columns are not (N,) arrays of one length.
        """
        arrays = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
        shapes = {values.shape for values in arrays.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            listed = ", ".join(f"{name} {values.shape}" for name, values in arrays.items())
            raise InputError(
                f"{origin}: columns must be arrays of one length (got {listed or 'none'})"
            )
        return cls(arrays, sun or frames.Sun(), origin)

    def __len__(self) -> int:
        if isinstance(self.columns, StoredColumns):
            return self.columns.n_rows
        return len(next(iter(self.columns.values())))

    @property
    def _card(self) -> Card:
        rows = []
        for name, values in self.columns.items():
            known = values[np.isfinite(values)]
            ends = (known.min(), known.max()) if len(known) else (np.nan, np.nan)
            rows.append(
                [name, UNITS.get(name, ""), span(*ends), str(len(values) - len(known) or "")]
            )
        sun = self.sun
        notes = [
            f"Sun at x = {sun.x:g}, z = {sun.z:g} kpc, ({sun.vx:g}, {sun.vy:g}, {sun.vz:g}) km/s"
        ]
        notes += [f"{n} rows dropped: {reason}" for reason, n in self.dropped.items()]
        title = f"Catalogue of {len(self)} stars: {self.origin}"
        return Card(title, ("column", "unit", "range", "not finite"), rows, notes)

    def __getitem__(self, name: str) -> FloatArray:
        if name not in self.columns:
            raise self._missing(name)
        return self.columns[name]

    def _missing(self, name: str) -> InputError:
        return InputError(
            f"{self.origin}: column {name!r} is missing (has: {', '.join(self.columns)})"
        )

    def __contains__(self, name: str) -> bool:
        return name in self.columns or (name == SELECTION and self.selection is not None)

    def lacks(self, needs: Iterable[str]) -> tuple[str, ...]:
        """Columns that are missing of those that an estimator ``needs`` (``velocity`` stands for three).

        Of Galactocentric velocities all three are needed for the one along the line of sight, and of heliocentric ones
        for one of those.
        """
        motion = self._axes[3:]
        moving = ("velocity", *(GALACTOCENTRIC[3:] if self.heliocentric else ("vlos",)))
        wanted = [n for need in needs for n in (motion if need in moving else (need,))]
        return tuple(name for name in wanted if name not in self)

    def read_by(self, names: Iterable[str]) -> Catalogue:
        """Catalogue for a method that reads these columns, without others that are not finite everywhere.

        Raises
        ------
        InputError
            If a column that it reads is not finite.
        """
        if isinstance(self.columns, StoredColumns):  # which are finite
            return self
        read = columns_of(names)
        finite = {name: np.isfinite(values) for name, values in self.columns.items()}
        for name in read.intersection(self.columns):
            self.check_rows(finite[name], f"a {name} that is NaN or infinite")
        kept = {name: v for name, v in self.columns.items() if finite[name].all()}
        return self if len(kept) == len(self.columns) else replace(self, columns=kept)

    def to_table(self) -> Table:
        """Astropy table of the columns with their units, and the Sun as metadata."""
        from haloassay.contracts import exchange

        return exchange.to_table(self)

    def to_pandas(self) -> pd.DataFrame:
        """Table of the columns in canonical units as pandas, and the Sun in its ``attrs``."""
        from haloassay.contracts import exchange

        return exchange.to_pandas(self)

    def to_skycoord(self) -> SkyCoord:
        """Astropy coordinates: ICRS, or Galactocentric ones with this Sun.

        ICRS coordinates know no Sun, and neither know errors nor chemistry.
        """
        from haloassay.contracts import exchange

        return exchange.to_skycoord(self)

    def select(self, which: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Catalogue:
        """Catalogue of some of the rows; many of a long table stay on disk, if they keep their order."""
        drawn, columns = self.drawn_covariance, self.columns
        if isinstance(columns, StoredColumns):
            rows = np.arange(len(self))[which]
            if len(rows) > stored.KEPT and np.all(rows[1:] > rows[:-1]):
                kept = np.zeros(len(self), dtype=bool)
                kept[rows] = True
                columns = columns.subset(kept)
        if columns is self.columns:
            columns = {name: values[which] for name, values in columns.items()}
        return replace(
            self,
            columns=columns,
            drawn_covariance=None if drawn is None else drawn[which],
        )

    def blocks(self, names: Iterable[str] | None = None) -> Iterator[tuple[slice, Catalogue]]:
        """All rows in their order, no more than about :data:`BLOCK` at a time: where they are, and a catalogue of them.

        What is derived of a block is forgotten with it, so that memory does not grow with the number of stars. A
        catalogue of one block is that block itself.

        Parameters
        ----------
        names
            Columns that are looked at; all by default. Of a file, others are not read.
        """
        n, drawn = len(self), self.drawn_covariance
        if not isinstance(self.columns, StoredColumns):
            some = [*self.columns] if names is None else [k for k in names if k in self.columns]
            for rows in spans(n):
                whole = rows.stop - rows.start == n
                yield (
                    rows,
                    self if whole else self._part(rows, {k: self.columns[k] for k in some}),
                )
            return
        wanted = self.columns.names if names is None else [k for k in names if k in self.columns]
        start = 0
        for columns in self.columns.blocks(tuple(wanted)):
            stop = start + len(next(iter(columns.values())))
            rows = slice(start, stop)
            yield (
                rows,
                replace(
                    self, columns=columns, drawn_covariance=None if drawn is None else drawn[rows]
                ),
            )
            start = stop

    def _part(self, rows: slice, columns: Mapping[str, FloatArray]) -> Catalogue:
        drawn = self.drawn_covariance
        return replace(
            self,
            columns={name: values[rows] for name, values in columns.items()},
            drawn_covariance=None if drawn is None else drawn[rows],
        )

    def _by_blocks(
        self, of: Callable[[Catalogue], FloatArray], names: Iterable[str], *shape: int
    ) -> FloatArray:
        """Array (N, ...) of what each block has of columns ``names``."""
        out = np.empty((len(self), *shape))
        for rows, part in self.blocks(names):
            out[rows] = of(part)
        return _read_only(out)

    @property
    def _in_one(self) -> bool:
        """Whether all is in memory, and one block."""
        return len(self) <= BLOCK + 1 and not isinstance(self.columns, StoredColumns)

    @property
    def _axes(self) -> tuple[str, ...]:
        """Names of the columns of place and motion."""
        return HELIOCENTRIC if self.heliocentric else GALACTOCENTRIC

    def with_drawn_errors(self, rng: np.random.Generator, n_draws: int = 1000) -> Catalogue:
        """Catalogue whose errors are carried to spherical velocities by Monte Carlo.

        Slower than the first order, and right where that is not: for distance errors of a third and
        more, and close to the z axis.

        Parameters
        ----------
        rng
            Source of the draws; it is advanced.
        n_draws
            Draws a star, at least 2.

        Raises
        ------
        InputError
            If a column is missing, ``n_draws`` is below 2, or a distance is not positive.
        """
        from haloassay.contracts import propagation  # compiles: only for those who need errors

        drawn = propagation.monte_carlo_covariance(self, rng, n_draws)
        return replace(self, drawn_covariance=drawn)

    def check_rows(self, good: NDArray[np.bool_], fault: str) -> None:
        """Raise :class:`InputError` if any star is not ``good`` (N,); ``fault`` is what those have."""
        if not good.all():
            bad = np.flatnonzero(~good)
            raise InputError(
                f"{self.origin}: {len(bad)} of {len(good)} stars have {fault} "
                f"(first rows: {', '.join(map(str, bad[:3]))})"
            )

    def check_finite(self) -> None:
        """Raise :class:`InputError` if a position or velocity is not finite."""
        if isinstance(self.columns, StoredColumns) and self.lacks(("velocity",)) == ():
            return  # of which the reader has looked at each
        good = np.empty(len(self), dtype=bool)
        for rows, part in self.blocks(self._axes):
            both = np.concatenate([part.position, part.velocity], axis=1)
            good[rows] = np.isfinite(both).all(axis=1)
        self.check_rows(good, "a position or velocity that is not finite")

    @property
    def heliocentric(self) -> bool:
        """Whether the columns are heliocentric."""
        return HELIOCENTRIC[0] in self.columns

    @cached_property
    def _cartesian(self) -> tuple[FloatArray, FloatArray | None]:
        """Positions, and velocities where the columns for them are there."""
        names = self._axes
        moving = all(name in self for name in names[3:])
        if not self._in_one:
            place = self._by_blocks(lambda part: part.position, names[:3], 3)
            return place, self._by_blocks(lambda part: part.velocity, names, 3) if moving else None
        columns = [self[name] for name in names[: 6 if moving else 3]]
        if not self.heliocentric:
            position, velocity = np.stack(columns[:3], axis=1), np.stack(columns[-3:], axis=1)
        else:
            ra, dec, distance, pmra, pmdec, vlos = [*columns, *[np.zeros(len(self))] * 3][:6]
            position, velocity = frames.heliocentric_to_galactocentric(
                ra, dec, distance, pmra, pmdec, vlos, sun=self.sun
            )
        return _read_only(position), _read_only(velocity) if moving else None

    @property
    def position(self) -> FloatArray:
        """(N, 3) Galactocentric Cartesian positions [kpc]."""
        return self._cartesian[0]

    @property
    def velocity(self) -> FloatArray:
        """(N, 3) Galactocentric Cartesian velocities [km/s].

        Raises
        ------
        InputError
            If the catalogue has positions only, as a survey without line-of-sight velocities.
        """
        velocity = self._cartesian[1]
        if velocity is None:
            raise self._missing(next(name for name in self._axes[3:] if name not in self))
        return velocity

    @cached_property
    def r(self) -> FloatArray:
        """(N,) Galactocentric radii [kpc]."""
        if not self._in_one:
            return self._by_blocks(lambda part: part.r, self._axes[:3])
        x, y, z = self.position.T
        return _read_only(np.sqrt(x * x + y * y + z * z))

    @cached_property
    def spherical_velocity(self) -> FloatArray:
        """(N, 3) velocities (v_r, v_theta, v_phi) [km/s]; v_theta towards the north pole."""
        if not self._in_one and not self.lacks(("velocity",)):
            return self._by_blocks(lambda part: part.spherical_velocity, self._axes, 3)
        return _read_only(frames.spherical_velocity(self.position, self.velocity))

    @cached_property
    def spherical_covariance(self) -> FloatArray:
        """(N, 3, 3) covariance of the errors of (v_r, v_theta, v_phi) [(km/s)^2].

        To first order (:func:`haloassay.contracts.propagation.spherical_covariance`), or that of draws where
        :meth:`with_drawn_errors` made them.
        """
        if self.drawn_covariance is not None:
            return self.drawn_covariance
        from haloassay.contracts import propagation  # compiles: only for those who need errors

        return _read_only(propagation.spherical_covariance(self))

    @cached_property
    def velocity_covariance(self) -> FloatArray:
        """(N, 3, 3) covariance of the errors of (vx, vy, vz) [(km/s)^2], to first order.

        See :func:`haloassay.contracts.propagation.velocity_covariance`.
        """
        from haloassay.contracts import propagation  # compiles: only for those who need errors

        return _read_only(propagation.velocity_covariance(self))

    def error(self, name: str) -> FloatArray:
        """(N,) errors of a column; zeros where none are given."""
        return self._or_zeros(f"{name}_err")

    @property
    def pm_corr(self) -> FloatArray:
        """(N,) correlation of the errors of pmra and pmdec; zeros where none is given."""
        return self._or_zeros("pm_corr")

    def _or_zeros(self, name: str) -> FloatArray:
        return self.columns[name] if name in self.columns else np.zeros(len(self))


def spans(n: int, size: int = BLOCK) -> Iterator[slice]:
    """Consecutive rows of ``n``, ``size`` at a time; none is left alone at the end, where rounding would be its own.

    Of no rows there is one span, which is empty.
    """
    start = 0
    while n - start > size + 1:
        yield slice(start, start + size)
        start += size
    yield slice(start, n)
