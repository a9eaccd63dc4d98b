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

import dataclasses
import json
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import HaloassayWarning
from haloassay.base.settings import unknown
from haloassay.contracts import frames
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.columns import (
    GALACTOCENTRIC,
    HELIOCENTRIC,
    UNITS,
    columns_of,
)
from haloassay.contracts.exchange import sun_meta
from haloassay.io import doubtful_units, formats
from haloassay.io.defects import RADIUS_LIMIT, SPEED_LIMIT, drop_names, sift
from haloassay.io.objects import object_fields
from haloassay.io.reader import ColumnSpec, Reader, naming_of, numbers_in, wanted_of
from haloassay.io.sentinels import mentions
from haloassay.io.stores import stored
from haloassay.io.suns import SunSpec, find_sun

if TYPE_CHECKING:
    import pandas as pd
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    #: What a catalogue is read from: a file's name, or a table in memory.
    Source: TypeAlias = str | Path | Table | SkyCoord | pd.DataFrame | Mapping[str, Any]

#: Samples that galpy ships, by the name under which galpy keeps them.
GALPY_SAMPLES: Final = {
    "galpy:mw-globular-clusters": "MWglobularclusters",
    "galpy:mw-satellites": "MWsatellitegalaxies",
}


def read_catalogue(
    source: Source,
    columns: ColumnSpec | None = None,
    *,
    units: Mapping[str, str | float] | None = None,
    sun: SunSpec | None = None,
    frame: str | None = None,
    transpose: bool | None = None,
    drop: str | Iterable[str] = (),
    missing: float | Iterable[float] = (),
    speed_limit: float = SPEED_LIMIT,
    uses: Iterable[str] | None = None,
    table: str | int | None = None,
    max_memory: str | float | None = None,
) -> Catalogue:
    """Read a catalogue of stars.

    Parameters
    ----------
    source
        File (FITS, ECSV, CSV, Parquet, HDF5, VOTable, MRT or text, packed by gzip or not), a table in memory
        (:func:`haloassay.io.objects.object_fields`), or a sample that galpy ships:
        ``galpy:mw-globular-clusters``, ``galpy:mw-satellites`` (members of unknown error are dropped).
    columns, units
        Names and units where they differ from the canonical ones, as the module's docstring says.
    sun
        The Sun, a name of :data:`haloassay.contracts.frames.SUNS` or all five numbers (a mapping, or text
        ``"x=-8.2,z=0.02,vx=11.1,vy=245,vz=7.3"``); by default that of the file, else Li et al. (2026).
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
    table
        Name or number of the table, of a file of several. Without it, the only one with columns of a catalogue is
        taken, with a warning that says so.
    max_memory
        Bytes, or text such as ``"4GB"``, that the columns may take; by default half of what is free.

    Warns
    -----
    HaloassayWarning
        Of values that stand in more rows than chance allows (:func:`haloassay.io.sentinels.mentions`), and of
        numbers without a unit that may be of another (:func:`haloassay.io.doubtful_units.examine`).

    Returns
    -------
    Catalogue
        Heliocentric (ICRS) columns, without ``vlos`` where there were no spectra, or Galactocentric ones, with the
        errors, ``pm_corr``, ``feh`` and ``alpha_fe`` that the source has; rows left out are counted in ``dropped``.

    Raises
    ------
    InputError
        If the source, a column, a unit or a row is unusable, a column holds a truth
        (``true_...``), several tables may be meant, or they take more memory.
    """
    naming = naming_of(columns)
    if isinstance(source, str | Path):
        if str(source).startswith("galpy:"):
            fields, origin = _galpy_sample(str(source)), str(source)
            drop = [*drop_names(drop), "nan"]  # a few members have no known distance error
        else:
            origin = str(source)
            fields = formats.read_fields(
                Path(source),
                naming.order,
                transpose,
                table=table,
                wanted=wanted_of(naming),
                max_memory=max_memory,
            )
    else:
        fields, origin = object_fields(source)
    reader = Reader(fields, naming, dict(units or {}), origin, numbers_in(missing))
    used = None if uses is None else columns_of(uses)
    read, unstated = reader.columns(frame, used)
    its_sun, sun_from = find_sun(sun, fields.meta, origin)
    catalogue = partial(_catalogue, sun=its_sun, origin=origin)
    # what is farther still is refused with the rest of what is wrong with its units, unless it is dropped
    with np.errstate(invalid="ignore"):
        what, median = doubtful_units.middle(read, unstated)
    doubtful_units.refuse_parsecs(origin, what, median, RADIUS_LIMIT)
    told = doubtful_units.examine(origin, read, unstated, used)
    told += mentions({k: v for k, v in read.items() if used is None or k in used})
    with np.errstate(all="ignore"):  # absurd numbers are found, not computed with
        if reader.is_stored(read):
            sound = stored(reader, read, catalogue, drop, speed_limit, used)
        else:
            sound = sift(read, catalogue, origin, drop, speed_limit, used)
    doubtful_units.refuse_parsecs(origin, what, median, np.inf)
    for mention in told:
        warnings.warn(f"{origin}: {mention}", HaloassayWarning, stacklevel=2)
    return dataclasses.replace(sound, sun_from=sun_from)


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

    All formats keep the units, the Sun and the ``notes``: CSV and text in comments above the data.
    Columns ``beside`` those of an observer, (N,) without units, are written as they are.

    Raises
    ------
    InputError
        If the suffix is unknown or the file cannot be written.
    """
    units = {name: UNITS[name] for name in catalogue.columns if UNITS.get(name)}
    columns = {**catalogue.columns, **(beside or {})}
    formats.write_fields(Path(path), columns, units, {**sun_meta(catalogue.sun), **(notes or {})})


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
