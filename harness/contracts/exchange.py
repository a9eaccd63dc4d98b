"""Catalogues as objects of other libraries: astropy's tables and coordinates, pandas' tables."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import numpy as np

from haloassay.contracts.columns import SUN_KEY, UNITS

if TYPE_CHECKING:
    import pandas as pd
    from astropy.coordinates import SkyCoord
    from astropy.table import Table

    from haloassay.contracts.catalogue import Catalogue
    from haloassay.contracts.frames import Sun


def sun_meta(sun: Sun) -> dict[str, str]:
    """Say what tables and files keep of the Sun: its settings under the key SUN."""
    return {SUN_KEY: json.dumps(dataclasses.asdict(sun))}


def to_table(catalogue: Catalogue) -> Table:
    """Turn a catalogue into an astropy table: see :meth:`~haloassay.contracts.catalogue.Catalogue.to_table`."""
    from astropy.table import Table

    columns = dict(catalogue.columns)
    units = {name: UNITS[name] for name in columns if UNITS.get(name)}
    return Table(columns, units=units, meta=sun_meta(catalogue.sun))


def to_pandas(catalogue: Catalogue) -> pd.DataFrame:
    """Turn a catalogue into a table of pandas: see :meth:`~haloassay.contracts.catalogue.Catalogue.to_pandas`."""
    import pandas as pd

    frame = pd.DataFrame({name: np.array(values) for name, values in catalogue.columns.items()})
    frame.attrs.update(sun_meta(catalogue.sun))
    return frame


def to_skycoord(catalogue: Catalogue) -> SkyCoord:
    """Turn a catalogue into coordinates: see :meth:`~haloassay.contracts.catalogue.Catalogue.to_skycoord`."""
    import astropy.units as u
    from astropy.coordinates import Galactocentric, SkyCoord

    if not catalogue.heliocentric:
        sun = catalogue.sun
        frame = Galactocentric(
            galcen_distance=np.hypot(sun.x, sun.z) * u.kpc,
            z_sun=sun.z * u.kpc,
            galcen_v_sun=sun.velocity * u.km / u.s,
        )
        x, v = catalogue.position.T * u.kpc, catalogue.velocity.T * u.km / u.s
        return SkyCoord(frame=frame, x=x[0], y=x[1], z=x[2], v_x=v[0], v_y=v[1], v_z=v[2])
    names = {"ra": "ra", "dec": "dec", "distance": "distance"}
    names |= {"pm_ra_cosdec": "pmra", "pm_dec": "pmdec", "radial_velocity": "vlos"}
    known = {key: name for key, name in names.items() if name in catalogue}
    return SkyCoord(
        frame="icrs", **{key: catalogue[name] * u.Unit(UNITS[name]) for key, name in known.items()}
    )
