"""Tables in memory as catalogues, and back: astropy, pandas, mappings, coordinates."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import (
    FK5,
    ICRS,
    CartesianDifferential,
    Galactic,
    Galactocentric,
    SkyCoord,
)
from astropy.table import MaskedColumn, QTable, Table
from catalogue_samples import phase_space, stars

from haloassay import measure
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.columns import HELIOCENTRIC
from haloassay.contracts.frames import SUNS, galactocentric_to_heliocentric
from haloassay.io.tables import read_catalogue

SUN = SUNS["bird2022"]


def _same(read, wanted, rtol=1e-12, but=()):
    assert set(read.columns) == set(wanted.columns) - set(but)
    for name in read.columns:
        np.testing.assert_allclose(read[name], wanted[name], rtol=rtol, atol=1e-11, err_msg=name)


def _catalogue(**columns):
    return Catalogue.from_arrays(SUN, "stars", **columns)


@pytest.mark.parametrize("columns", [stars(), phase_space()])
@pytest.mark.parametrize(
    "turn",
    [
        Catalogue.to_table,
        lambda c: QTable(c.to_table()),
        Catalogue.to_pandas,
        lambda c: c.to_pandas().convert_dtypes(),
    ],
)
def test_tables_come_back_with_the_sun(columns, turn):
    catalogue = _catalogue(**columns)
    read = read_catalogue(turn(catalogue))
    _same(read, catalogue)
    assert read.sun == SUN


@pytest.mark.parametrize("columns", [stars(), phase_space()])
def test_coordinates_come_back_without_errors(columns):
    catalogue = _catalogue(**columns)
    coordinates = catalogue.to_skycoord()
    read = read_catalogue(coordinates, sun=SUN)
    wanted = [n for n in columns if not n.endswith("_err") and n not in ("feh", "pm_corr")]
    _same(read, _catalogue(**{n: columns[n] for n in wanted}))


def test_coordinates_of_a_catalogue_are_where_astropy_has_them():
    catalogue = _catalogue(**stars())
    frame = Galactocentric(
        galcen_distance=np.hypot(SUN.x, SUN.z) * u.kpc,
        z_sun=SUN.z * u.kpc,
        galcen_v_sun=SUN.velocity * u.km / u.s,
    )
    there = catalogue.to_skycoord().transform_to(frame)
    np.testing.assert_allclose(there.cartesian.xyz.to_value(u.kpc).T, catalogue.position, rtol=1e-9)
    np.testing.assert_allclose(
        there.velocity.d_xyz.to_value(u.km / u.s).T, catalogue.velocity, rtol=1e-6
    )
    assert Catalogue.from_arrays(**{k: v for k, v in stars().items() if k != "vlos"}).to_skycoord()


@pytest.mark.parametrize(
    "frame",
    [
        Galactic(),
        FK5(),
        Galactocentric(),
        Galactocentric(galcen_distance=7.9 * u.kpc, z_sun=25 * u.pc, roll=30 * u.deg),
        Galactocentric(galcen_coord=ICRS(ra=260 * u.deg, dec=-29 * u.deg)),
    ],
)
def test_coordinates_of_any_frame_are_the_same_stars(frame):
    sky = _catalogue(**stars()).to_skycoord()
    given = sky.transform_to(frame)
    read = read_catalogue(given)
    assert read.heliocentric == (frame.name != "galactocentric")
    found = read.columns
    if not read.heliocentric:
        x = np.sqrt(frame.galcen_distance**2 - frame.z_sun**2).to_value(u.kpc)
        assert (-read.sun.x, read.sun.z) == pytest.approx((x, frame.z_sun.to_value(u.kpc)))
        found = galactocentric_to_heliocentric(read.position, read.velocity, read.sun)
    for name in HELIOCENTRIC:
        np.testing.assert_allclose(found[name], stars()[name], rtol=1e-6, atol=1e-6, err_msg=name)


def test_a_frame_with_data_and_cartesian_components_will_do():
    sky = _catalogue(**stars()).to_skycoord()
    cartesian = SkyCoord(
        sky, representation_type="cartesian", differential_type=CartesianDifferential
    )
    for given in (sky.frame, cartesian):
        _same(read_catalogue(given), read_catalogue(sky), rtol=1e-9)


def test_coordinates_without_velocities_are_told_so():
    whole = _catalogue(**stars()).to_skycoord()
    still = SkyCoord(whole.ra, whole.dec, whole.distance)
    with pytest.raises(InputError, match="SkyCoord: missing columns pmra, pmdec"):
        read_catalogue(still)
    with pytest.raises(InputError, match="SkyCoord: has no distances, only directions"):
        read_catalogue(SkyCoord(whole.ra, whole.dec))
    with pytest.raises(InputError, match="SkyCoord: Galactocentric coordinates have no velocities"):
        read_catalogue(still.transform_to(Galactocentric()))
    with pytest.raises(
        InputError, match=r"SkyCoord: must be a list of stars \(got an array of shape \(7, 1\)\)"
    ):
        read_catalogue(whole.reshape(7, 1))
    moving = SkyCoord(
        whole.ra, whole.dec, whole.distance, pm_ra_cosdec=whole.pm_ra_cosdec, pm_dec=whole.pm_dec
    )
    assert "vlos" not in read_catalogue(moving)
    with pytest.raises(InputError, match="velocity-ellipsoid: needs line-of-sight velocities"):
        measure(moving, "velocity-ellipsoid")
    recede = SkyCoord(whole.ra, whole.dec, whole.distance, radial_velocity=whole.radial_velocity)
    with pytest.raises(InputError, match="SkyCoord: missing columns pmra, pmdec"):
        read_catalogue(recede)
    assert len(read_catalogue(whole[0])) == 1


def test_a_mapping_may_hold_quantities_columns_and_lists():
    columns = stars()
    given = {
        **columns,
        "distance": u.Quantity(1e3 * columns["distance"], u.pc),
        "ra": list(columns["ra"]),
        "dec": pd.Series(np.radians(columns["dec"])),
        "vlos": Table({"vlos": 1e3 * columns["vlos"] * u.m / u.s})["vlos"],
    }
    _same(read_catalogue(given, units={"dec": "rad"}), _catalogue(**columns))


@pytest.mark.parametrize(
    "missing",
    [
        lambda v: np.ma.masked_array(v, np.arange(7) == 3),
        lambda v: MaskedColumn(v, mask=np.arange(7) == 3),
        lambda v: pd.array([None if i == 3 else x for i, x in enumerate(v)], dtype="Float64"),
        lambda v: [None if i == 3 else x for i, x in enumerate(v)],
        lambda v: u.Quantity([np.nan if i == 3 else x for i, x in enumerate(v)], "km/s"),
    ],
)
def test_masked_and_missing_values_are_nan(missing):
    columns = stars()
    with pytest.raises(InputError, match=r"vlos is NaN or infinite in 1 row \(4\)"):
        read_catalogue({**columns, "vlos": missing(columns["vlos"])})
    frame = pd.DataFrame({**columns, "vlos": pd.Series(missing(columns["vlos"]))})
    assert dict(read_catalogue(frame, drop="nan").dropped) == {"nan": 1}


def test_masked_quantities_are_nan():
    from astropy.utils.masked import Masked

    columns = stars()
    vlos = Masked(columns["vlos"] * u.km / u.s, mask=np.arange(7) == 3)
    with pytest.raises(InputError, match=r"vlos is NaN or infinite in 1 row \(4\)"):
        read_catalogue({**columns, "vlos": vlos})


WRONG = [
    (3.0, "expected a file, an astropy Table .* a mapping of names to arrays .got float."),
    (None, "expected a file, .* .got NoneType."),
    ([1.0], "expected a file, .* .got list."),
    ({1: [1.0]}, "mapping: names of columns are strings .got 1."),
    ({}, "mapping: missing columns"),
    ({**stars(), "vlos": 3.0}, r"mapping: column vlos must be \(N,\) \(got \(\)\)"),
    ({**stars(), "vlos": ["a"] * 7}, "mapping: column vlos is not numeric: 'a' in row 1"),
    ({**stars(), "vlos": np.zeros(6)}, "mapping: columns differ in length"),
    ({**stars(), "vlos": np.zeros(7) * u.kpc}, "mapping: column vlos has unit 'kpc'"),
    (pd.DataFrame(np.zeros((2, 2)), columns=["ra", "ra"]), "DataFrame: columns have names twice"),
    (pd.DataFrame({"true_x": [1.0]}), "DataFrame: column 'true_x' holds a truth"),
]


@pytest.mark.parametrize(("source", "message"), WRONG)
def test_what_is_no_catalogue_is_one_line_about_the_input(source, message):
    for read in (read_catalogue, lambda source: measure(source, "velocity-ellipsoid")):
        with pytest.raises(InputError, match=message) as error:
            read(source)
        assert "\n" not in str(error.value)


def test_measure_takes_any_of_them():
    columns = stars(40)
    wanted = measure(_catalogue(**columns), "velocity-ellipsoid").to_frame()
    catalogue = _catalogue(**columns)
    for source in (catalogue.to_table(), catalogue.to_pandas()):
        assert measure(source, "velocity-ellipsoid").to_frame().equals(wanted)


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        *(
            (table, kind)
            for table in (dict, Table, pd.DataFrame)
            for kind in (bool, complex, object)
        ),
        (pd.DataFrame, "boolean"),
    ],
)
def test_columns_of_truth_values_and_complex_numbers_are_refused(table, kind):
    columns = phase_space()
    values = columns["vz"] > 0.0
    columns["vz"] = pd.array(values, "boolean") if kind == "boolean" else values.astype(kind)
    told = "complex numbers" if kind is complex else "truth values"
    with pytest.raises(InputError, match=f"column vz is not numeric: it has {told}"):
        read_catalogue(table(columns))
