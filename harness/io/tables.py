"""Catalogues from files and astropy tables, and back; units are stripped here, once.

Columns are chosen by name; others are ignored, except ``true_...``, which are refused. Where the
file has no names (CSV, text), ``columns`` gives them in their order: ``"x,y,z,-,vx"``, with ``-``
or ``_`` for a column to skip. Where names differ, it maps them: ``"distance=dist,feh=-"``, with
``-`` for one to leave unread, and ``position=...``, ``velocity=...`` for (N, 3) datasets. A column
takes its error along: with ``distance=dist``, ``dist_err`` is ``distance_err`` where the file has it,
unless the map names that too.

Units are those of ``units`` (a name that astropy knows, or the factor to the canonical unit; for a
column or for ``position``, ``velocity``; an error has that of its column unless it has one itself),
else those that the file states, else canonical: kpc, km/s, mas/yr, deg, dex.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.base.settings import build, unknown
from haloassay.contracts import frames
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.columns import (
    CHEMISTRY,
    GALACTIC,
    GALACTOCENTRIC,
    HELIOCENTRIC,
    SUN_KEY,
    UNITS,
    columns_of,
)
from haloassay.contracts.exchange import sun_meta
from haloassay.io import formats
from haloassay.io.defects import SPEED_LIMIT, drop_names, sift
from haloassay.io.objects import object_fields
from haloassay.io.sentinels import mentions

if TYPE_CHECKING:
    import pandas as pd
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    #: What a catalogue is read from: a file's name, or a table in memory.
    Source: TypeAlias = str | Path | Table | SkyCoord | pd.DataFrame | Mapping[str, Any]

#: Sets of six columns that a catalogue can have, in the order in which they are preferred.
FRAMES: Final = {
    "heliocentric": HELIOCENTRIC,
    "galactic": GALACTIC,
    "galactocentric": GALACTOCENTRIC,
}

#: (N, 3) datasets and the columns they hold.
GROUPS: Final = {"position": GALACTOCENTRIC[:3], "velocity": GALACTOCENTRIC[3:]}

#: More stars than these within the range of radians are no accident of the footprint.
_RADIANS_MIN_STARS: Final = 20

#: Samples that galpy ships, by the name under which galpy keeps them.
GALPY_SAMPLES: Final = {
    "galpy:mw-globular-clusters": "MWglobularclusters",
    "galpy:mw-satellites": "MWsatellitegalaxies",
}

#: What to call a column in the file, by the name of the catalogue; or the names in their order.
ColumnSpec = str | Sequence[str] | Mapping[str, str]


def read_catalogue(
    source: Source,
    columns: ColumnSpec | None = None,
    *,
    units: Mapping[str, str | float] | None = None,
    sun: frames.Sun | str | None = None,
    frame: str | None = None,
    transpose: bool | None = None,
    drop: str | Iterable[str] = (),
    missing: float | Iterable[float] = (),
    speed_limit: float = SPEED_LIMIT,
    uses: Iterable[str] | None = None,
) -> Catalogue:
    """Read a catalogue of stars.

    Parameters
    ----------
    source
        File (.fits, .ecsv, .csv, .parquet, .hdf5, .h5, .txt, .dat), a table in memory
        (:func:`haloassay.io.objects.object_fields`), or a sample that galpy ships:
        ``galpy:mw-globular-clusters``, ``galpy:mw-satellites`` (members of unknown error are dropped).
    columns, units
        Names and units where they differ from the canonical ones, as the module's docstring says.
    sun
        The Sun or a name of :data:`haloassay.contracts.frames.SUNS`; by default that of the file, else Li et
        al. (2026).
    frame
        A key of :data:`FRAMES`; by default the first that the source has completely. Galactic
        columns are turned to ICRS with their errors; ``pm_corr`` belongs to the proper motions
        that are read.
    transpose
        Whether rows of a text file are columns; by default where its rows are as many as the names.
    drop, speed_limit
        See :func:`haloassay.io.defects.sift`.
    missing
        Number or numbers that stand for missing values, as they are in the source: NaN in every column.
    uses
        What will be read of it beside positions, as :meth:`~haloassay.contracts.estimate.Estimator.usable` says;
        other columns that have defects are then left unread.

    Warns
    -----
    HaloassayWarning
        Of values that stand in more rows than chance allows (:func:`haloassay.io.defects.mentions`).

    Returns
    -------
    Catalogue
        Heliocentric (ICRS) columns, without ``vlos`` where there were no spectra, or Galactocentric ones, with the
        errors, ``pm_corr``, ``feh`` and ``alpha_fe`` that the source has; rows left out are counted in ``dropped``.

    Raises
    ------
    InputError
        If the source, a column, a unit or a row is unusable, or a column holds a truth
        (``true_...``).
    """
    naming = _naming(columns)
    if isinstance(source, str | Path):
        if str(source).startswith("galpy:"):
            fields, origin = _galpy_sample(str(source)), str(source)
            drop = [*drop_names(drop), "nan"]  # a few members have no known distance error
        else:
            fields = formats.read_fields(Path(source), naming.order, transpose)
            origin = str(source)
    else:
        fields, origin = object_fields(source)
    reader = _Reader(fields, naming, dict(units or {}), origin, _numbers_in(missing))
    read = reader.columns(frame)
    catalogue = partial(_catalogue, sun=_sun(sun, fields.meta, origin), origin=origin)
    used = None if uses is None else columns_of(uses)
    sound = sift(read, catalogue, origin, drop, speed_limit, used)
    for mention in mentions({k: v for k, v in read.items() if used is None or k in used}):
        warnings.warn(f"{origin}: {mention}", HaloassayWarning, stacklevel=2)
    return sound


def missing_errors(catalogue: Catalogue) -> tuple[str, ...]:
    """Names of the ``_err`` columns that a catalogue lacks; estimators take these errors as zero."""
    measured = HELIOCENTRIC[2:] if catalogue.heliocentric else GALACTOCENTRIC
    known = (name for name in measured if name in catalogue)
    return tuple(f"{name}_err" for name in known if f"{name}_err" not in catalogue)


def from_table(table: Table, **options: Any) -> Catalogue:
    """Catalogue of an astropy Table or QTable; ``options`` are those of :func:`read_catalogue`."""
    return read_catalogue(table, **options)


def write_catalogue(
    catalogue: Catalogue,
    path: str | Path,
    beside: Mapping[str, NDArray[np.float64]] | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Write a catalogue in the format of the suffix of ``path``.

    FITS, ECSV, Parquet and HDF5 keep the units, the Sun and the ``notes``; CSV and text only names and values.
    Columns ``beside`` those of an observer, (N,) without units, are written as they are.

    Raises
    ------
    InputError
        If the suffix is unknown or the file cannot be written.
    """
    units = {name: UNITS[name] for name in catalogue.columns if UNITS.get(name)}
    columns = {**catalogue.columns, **(beside or {})}
    formats.write_fields(Path(path), columns, units, {**sun_meta(catalogue.sun), **(notes or {})})


def _sun(sun: frames.Sun | str | None, meta: Mapping[str, str], origin: str) -> frames.Sun:
    """Sun that was asked for, else that of the file, else the default."""
    if isinstance(sun, frames.Sun):
        return sun
    if sun is not None:
        if sun not in frames.SUNS:
            raise unknown("Sun", sun, frames.SUNS, "sun")
        return frames.SUNS[sun]
    if SUN_KEY not in meta:
        return frames.Sun()
    try:
        spec = json.loads(meta[SUN_KEY])
    except json.JSONDecodeError:
        spec = None
    if not isinstance(spec, dict):
        raise InputError(f"{origin}: metadata {SUN_KEY} does not describe the Sun; give it (sun)")
    return build(frames.Sun, spec, f"{origin}: metadata {SUN_KEY}")


@dataclass(frozen=True)
class _Naming:
    """Names in their order, for a file that has none; or file names by canonical name."""

    order: tuple[str, ...] | None
    renamed: Mapping[str, str]


def _naming(columns: ColumnSpec | None) -> _Naming:
    if columns is None:
        return _Naming(None, {})
    if isinstance(columns, Mapping):
        return _Naming(None, _known_names(columns))
    words = columns.split(",") if isinstance(columns, str) else columns
    words = [word.strip() for word in words]
    pairs = [word.partition("=") for word in words]
    if all(equals for _, equals, _ in pairs):
        return _Naming(
            None, _known_names({name.strip(): there.strip() for name, _, there in pairs})
        )
    if any(equals for _, equals, _ in pairs):
        raise InputError("columns: give names in their order, or name=file_name for each; not both")
    named = [word for word in words if word not in formats.SKIP]
    _known_names(dict.fromkeys(named))
    repeated = sorted({name for name in named if named.count(name) > 1})
    if repeated:
        raise InputError(f"columns: {', '.join(repeated)} named more than once")
    return _Naming(tuple(words), {})


def _known_names(names: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in names:
        _refuse_truth(name, "columns")
        if name not in UNITS and name not in GROUPS:
            raise unknown("column", name, (*UNITS, *GROUPS), "columns")
    return names


def _refuse_truth(name: str, where: str) -> None:
    if name.startswith("true_"):
        raise InputError(
            f"{where}: column {name!r} holds a truth, which no observer has; leave it out"
        )


@dataclass(frozen=True)
class _Reader:
    """From the columns of a file to canonical ones."""

    fields: formats.Fields
    naming: _Naming
    units: Mapping[str, str | float]
    origin: str
    missing: tuple[float, ...] = ()

    def columns(self, frame: str | None) -> dict[str, FloatArray]:
        """Columns of the frame, their errors and the chemistry, in canonical units."""
        places = self._places()
        for name in self.units:
            if name not in UNITS and name not in GROUPS:
                raise unknown("column", name, (*UNITS, *GROUPS), "units")
        needed = tuple(n for n in FRAMES[self._frame(frame, places)] if n in places)
        optional = [f"{name}_err" for name in (*needed, *CHEMISTRY)] + [*CHEMISTRY]
        if needed != GALACTOCENTRIC:
            optional.append("pm_corr")
            pm_errors = [f"{name}_err" for name in needed[3:5]]
            absent = [name for name in pm_errors if name not in places]
            if len(absent) == 1:
                present = next(name for name in pm_errors if name in places)
                raise InputError(
                    f"{self.origin}: column {absent[0]!r} is missing beside {present!r}"
                )
        names = [*needed, *(name for name in optional if name in places)]
        read = {name: self._column(name, *places[name]) for name in names}
        columns = {name: values for name, (values, _) in read.items()}
        lengths = {name: values.size for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise InputError(f"{self.origin}: columns differ in length ({listed})")
        if all(read[name][1] is None for name in needed[:2]):
            self._refuse_radians(columns, *needed[:2])
        return columns

    def _refuse_radians(self, columns: Mapping[str, FloatArray], lon: str, lat: str) -> None:
        """Refuse directions without a unit that are all within the range of radians."""
        if lon not in ("ra", "l") or columns[lon].size <= _RADIANS_MIN_STARS:
            return
        known = np.isfinite(columns[lon]) & np.isfinite(columns[lat])
        inside = (np.abs(columns[lon]) <= 2.0 * np.pi) & (np.abs(columns[lat]) <= np.pi / 2.0)
        if known.sum() > _RADIANS_MIN_STARS and inside[known].all():
            raise InputError(
                f"{self.origin}: all {lon} are within 2 pi and all {lat} within pi/2: are they in "
                f"radians? --unit {lon}=rad --unit {lat}=rad (if not, --unit {lon}=deg)"
            )

    def _places(self) -> dict[str, tuple[str, int | None]]:
        """Where each canonical column is: name in the file and, of an (N, 3) dataset, which."""
        renamed = self.naming.renamed
        for name in self.fields.names:
            _refuse_truth(name, self.origin)
        for name, there in renamed.items():
            if there not in (*self.fields.names, *formats.SKIP):
                has = ", ".join(self.fields.names)
                raise InputError(f"{self.origin}: no column {there!r} for {name!r} (has: {has})")
        places: dict[str, tuple[str, int | None]] = {
            name: (name, None) for name in self.fields.names if name in UNITS
        }
        for group, members in GROUPS.items():
            if group in renamed:
                places |= {member: (renamed[group], i) for i, member in enumerate(members)}
        for name, there in renamed.items():
            error, its_error = f"{name}_err", f"{there}_err"
            if there in formats.SKIP:
                places.pop(name, None)
                if error not in renamed:
                    places.pop(error, None)
            elif name not in GROUPS:
                places[name] = (there, None)
                if error in UNITS and error not in renamed and its_error in self.fields.names:
                    places[error] = (its_error, None)
        return places

    def _frame(self, frame: str | None, places: Mapping[str, Any]) -> str:
        if frame is not None and frame not in FRAMES:
            raise unknown("frame", frame, FRAMES, "frame")
        candidates = FRAMES if frame is None else {frame: FRAMES[frame]}
        absent = {kind: [n for n in names if n not in places] for kind, names in candidates.items()}
        # with nothing complete, the nearest set is what the user most likely meant
        best = min(absent, key=lambda kind: len(absent[kind]))
        if absent[best] not in ([], ["vlos"]):
            raise InputError(
                f"{self.origin}: missing column{'s' if len(absent[best]) > 1 else ''} "
                f"{', '.join(absent[best])} for {best} {' '.join(FRAMES[best])} "
                f"(has: {', '.join(self.fields.names)})"
            )
        return best

    def _column(
        self, name: str, there: str, part: int | None
    ) -> tuple[FloatArray, str | float | None]:
        """Values in the canonical unit, and the unit that the caller or the file states."""
        label = name if name == there else f"{name} ({there})"
        with formats.readable(Path(self.origin), f"column {there}"):
            values, stated = self.fields.get(there)
        shape = values.shape
        if part is not None:
            if len(shape) != 2 or shape[1] != 3:
                raise InputError(f"{self.origin}: column {there!r} must be (N, 3) (got {shape})")
            values = values[:, part]
        elif len(shape) != 1:
            raise InputError(f"{self.origin}: column {label} must be (N,) (got {shape})")
        numbers = self._numbers(label, values)
        for value in self.missing:
            # as exact as the column's own type, which may be of 32 bits
            numbers[np.isclose(numbers, value, rtol=1e-7, atol=0.0)] = np.nan
        quantity = name.removesuffix("_err")
        group = next((g for g, members in GROUPS.items() if quantity in members), quantity)
        unit = next((self.units[n] for n in (name, quantity, group) if n in self.units), stated)
        if unit is None:
            return numbers, None
        factor = self._factor(label, unit, UNITS[name])
        if name != quantity and name not in self.units:
            factor = abs(factor)  # a factor that mirrors a column leaves the size of its error
        return numbers * factor, unit

    def _numbers(self, label: str, values: NDArray[Any]) -> FloatArray:
        try:
            return np.array(values, dtype=np.float64)
        except (TypeError, ValueError):
            row, text = next(
                ((i, v) for i, v in enumerate(values, 1) if not _is_number(v)), (1, values)
            )
            raise InputError(
                f"{self.origin}: column {label} is not numeric: {str(text)!r} in row {row}"
            ) from None

    def _factor(self, label: str, unit: str | float, canonical: str) -> float:
        """Factor from ``unit`` to the canonical unit."""
        if _is_number(unit):
            factor = float(unit)
            if not np.isfinite(factor) or factor == 0.0:
                raise InputError(
                    f"units: factor for {label} must be finite and not zero (got {unit})"
                )
            return factor
        if unit == canonical:
            return 1.0
        import astropy.units as u

        try:
            given = u.Unit(unit)
        except (TypeError, ValueError):
            raise InputError(
                f"{self.origin}: unit {unit!r} of column {label} is not known; "
                f"give one that astropy knows or the factor to {canonical or 'a number'} (units)"
            ) from None
        if canonical in ("", "dex") and given in (u.dimensionless_unscaled, u.dex):
            return 1.0
        try:
            return float(given.to(u.Unit(canonical)))
        except u.UnitConversionError:
            raise InputError(
                f"{self.origin}: column {label} has unit {unit!r}, "
                f"expected one like {canonical or 'none'!r}"
            ) from None


def _numbers_in(missing: float | Iterable[float]) -> tuple[float, ...]:
    values = (missing,) if isinstance(missing, int | float | str) else tuple(missing)
    for value in values:
        if not _is_number(value):
            raise InputError(f"missing: expected numbers (got {value!r})")
    return tuple(float(value) for value in values)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _catalogue(columns: Mapping[str, FloatArray], sun: frames.Sun, origin: str) -> Catalogue:
    """Catalogue of the columns of any frame; Galactic ones are turned to ICRS, errors included."""
    if "l" not in columns:
        return Catalogue(columns, sun, origin)
    kept = {k: v for k, v in columns.items() if not k.startswith(("l", "b", "pm_"))}
    ra, dec, turn = frames.galactic_to_icrs(columns["l"], columns["b"])
    if "pm_l" not in columns:
        return Catalogue({"ra": ra, "dec": dec, **kept}, sun, origin)
    pm = np.einsum("nij,nj->ni", turn, np.stack([columns["pm_l"], columns["pm_b"]], axis=1))
    turned = {"ra": ra, "dec": dec, "pmra": pm[:, 0], "pmdec": pm[:, 1]}
    if "pm_l_err" in columns:
        turned |= _turned_errors(columns, turn)
    return Catalogue({**turned, **kept}, sun, origin)


def _turned_errors(columns: Mapping[str, FloatArray], turn: FloatArray) -> dict[str, FloatArray]:
    """Errors of pmra and pmdec and their correlation, from those of pm_l and pm_b."""
    error = np.stack([columns["pm_l_err"], columns["pm_b_err"]], axis=1)
    covariance = np.einsum("ni,nj->nij", error, error)
    covariance[:, [0, 1], [1, 0]] *= columns.get("pm_corr", np.zeros(len(error)))[:, None]
    covariance = turn @ covariance @ np.swapaxes(turn, 1, 2)
    sigma = np.sqrt(np.maximum(np.einsum("nii->ni", covariance), 0.0))
    product = sigma[:, 0] * sigma[:, 1]
    # where an error is zero there is nothing to correlate
    pm_corr = np.divide(
        covariance[:, 0, 1], product, out=np.zeros(len(product)), where=product > 0.0
    )
    return {
        "pmra_err": sigma[:, 0],
        "pmdec_err": sigma[:, 1],
        "pm_corr": np.clip(pm_corr, -1.0, 1.0),
    }


def _galpy_sample(name: str) -> formats.Fields:
    """Sample that galpy ships, with its errors where every member has them."""
    if name not in GALPY_SAMPLES:
        raise unknown("galpy sample", name, GALPY_SAMPLES, "catalogue")
    from importlib.resources import files

    with formats.readable(Path(name), "a sample of galpy"):
        objects = json.loads(
            files("galpy").joinpath("orbit", "named_objects.json").read_text("utf-8")
        )
        members = [objects[member] for member in objects["_collections"][GALPY_SAMPLES[name]]]
        there = {**{k: k for k in HELIOCENTRIC}, **{f"{k}_err": f"{k}_e" for k in HELIOCENTRIC[2:]}}
        there["pm_corr"] = "pmcorr"
        columns = {
            k: np.array([member[key] for member in members], dtype=float)
            for k, key in there.items()
            if k in HELIOCENTRIC or all(key in member for member in members)
        }
    return formats.Fields(tuple(columns), lambda k: (columns[k], None))
