"""Tables that are in memory already, as named columns and units: astropy, pandas, mappings, coordinates."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from haloassay.base.errors import InputError
from haloassay.contracts.columns import SUN_KEY, UNITS
from haloassay.contracts.exchange import sun_meta
from haloassay.contracts.frames import Sun
from haloassay.io.formats import Array, Fields, column_values, table_fields

#: What SkyCoord calls the columns of each frame.
_ICRS: Final = {"ra": "ra", "dec": "dec", "pmra": "pm_ra_cosdec", "pmdec": "pm_dec"}
_GALACTIC: Final = {"l": "l", "b": "b", "pm_l": "pm_l_cosb", "pm_b": "pm_b"}
_CARTESIAN: Final = {"x": "x", "y": "y", "z": "z", "vx": "v_x", "vy": "v_y", "vz": "v_z"}

_EXPECTED: Final = "a file, an astropy Table or QTable, a SkyCoord, a pandas DataFrame, or a mapping of names to arrays"


def object_fields(source: Any) -> tuple[Fields, str]:
    """Columns of a table in memory, and what to call it in messages.

    Parameters
    ----------
    source
        An astropy Table or QTable, a SkyCoord with distances, a pandas DataFrame (the Sun in its ``attrs``), or a
        mapping of names to arrays, columns or quantities. Masked and missing values become NaN.

    Raises
    ------
    InputError
        If it is none of these, or coordinates are no list of stars in space.
    """
    if _is_a(source, "astropy.table", "Table"):
        return table_fields(source), "table"
    if _is_a(source, "astropy.coordinates", "SkyCoord", "BaseCoordinateFrame"):
        return _coordinate_fields(source), "SkyCoord"
    if _is_a(source, "pandas", "DataFrame"):
        names = tuple(str(name) for name in source.columns)
        if len(set(names)) < len(names):
            raise InputError(f"DataFrame: columns have names twice ({', '.join(names)})")
        columns: Mapping[str, Any] = {name: source.iloc[:, i].array for i, name in enumerate(names)}
        return _array_fields(columns, source.attrs), "DataFrame"
    if isinstance(source, Mapping):
        for name in source:
            if not isinstance(name, str):
                raise InputError(f"mapping: names of columns are strings (got {name!r})")
        return _array_fields(source, {}), "mapping"
    raise InputError(f"catalogue: expected {_EXPECTED} (got {type(source).__name__})")


def _is_a(value: Any, module: str, *classes: str) -> bool:
    """Whether a value is of a class of a library; one that is not imported has made no value."""
    found = sys.modules.get(module)
    return found is not None and isinstance(value, tuple(getattr(found, name) for name in classes))


def _array_fields(columns: Mapping[str, Any], attrs: Mapping[Any, Any]) -> Fields:
    meta = {SUN_KEY: str(attrs[SUN_KEY])} if SUN_KEY in attrs else {}
    return Fields(tuple(columns), lambda name: _plain(columns[name]), meta)


def _plain(values: Any) -> tuple[Array, str | None]:
    """Array of what is as good as one, NaN where it is masked or missing, and its unit."""
    pandas_own = ("pandas", "Series", "Index"), ("pandas.api.extensions", "ExtensionArray")
    if any(_is_a(values, *own) for own in pandas_own):
        return _of_pandas(values), None
    return column_values(values)


def _of_pandas(values: Any) -> Array:
    if values.dtype.kind in "fiu":  # extension types too, whose missing values are no number
        return np.asarray(values.to_numpy(dtype=float, na_value=np.nan))
    return np.asarray(values)


def _coordinate_fields(coordinates: Any) -> Fields:
    """Columns of coordinates: ICRS or Galactic ones as they are, Galactocentric in this package's axes."""
    from astropy.coordinates import SkyCoord

    found = SkyCoord(coordinates)  # a frame with data, too
    if len(found.shape) > 1:
        raise InputError(f"SkyCoord: must be a list of stars (got an array of shape {found.shape})")
    found = found.reshape(-1).copy()
    if found.frame.name == "galactocentric":
        return _galactocentric_fields(found)
    found.representation_type, found.differential_type = "spherical", "sphericalcoslat"
    moving = _motions(found)
    if found.frame.name != "galactic":
        found = found.icrs
    names = _GALACTIC if found.frame.name == "galactic" else _ICRS
    if found.distance.unit.physical_type != "length":
        raise InputError("SkyCoord: has no distances, only directions")
    columns = {name: getattr(found, names[name]) for name in list(names)[:2]}
    columns["distance"] = found.distance
    if "proper motions" in moving:
        columns |= {name: getattr(found, names[name]) for name in list(names)[2:]}
    if "line-of-sight velocities" in moving:
        columns["vlos"] = found.radial_velocity
    return _in_canonical(columns, {})


def _motions(found: Any) -> tuple[str, ...]:
    """Which velocities coordinates have, in words."""
    differential = found.data.differentials.get("s")
    if differential is None:
        return ()
    components = differential.components
    if len(components) == 3:
        return "proper motions", "line-of-sight velocities"
    return ("proper motions",) if len(components) == 2 else ("line-of-sight velocities",)


def _galactocentric_fields(found: Any) -> Fields:
    """Columns in axes of this package: those of astropy's defaults, the Sun where the frame has it."""
    import astropy.units as u
    from astropy.coordinates import Galactocentric

    old = found.frame
    usual = Galactocentric(
        galcen_distance=old.galcen_distance, z_sun=old.z_sun, galcen_v_sun=old.galcen_v_sun
    )
    if len(_motions(found)) < 2:
        raise InputError(
            "SkyCoord: Galactocentric coordinates have no velocities, from which alone theirs can be told"
        )
    placed = found.transform_to(usual)
    z = float(old.z_sun.to_value(u.kpc))
    x = -float(np.sqrt(old.galcen_distance.to_value(u.kpc) ** 2 - z**2))
    moving = old.galcen_v_sun  # a vector of either kind
    v_sun = moving.d_xyz if hasattr(moving, "d_xyz") else moving.xyz
    vx, vy, vz = (float(v) for v in v_sun.to_value(u.km / u.s))
    columns = {name: getattr(placed, key) for name, key in _CARTESIAN.items()}
    return _in_canonical(columns, sun_meta(Sun(x, z, vx, vy, vz)))


def _in_canonical(columns: Mapping[str, Any], meta: Mapping[str, str]) -> Fields:
    """Fields of quantities, in canonical units."""

    def get(name: str) -> tuple[Array, str | None]:
        values, _ = _plain(columns[name].to(UNITS[name]))
        return values, UNITS[name]

    return Fields(tuple(columns), get, meta)
