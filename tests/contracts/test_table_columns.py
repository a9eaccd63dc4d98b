"""Names, frames and units of columns, and the errors that go with them."""

from __future__ import annotations

import astropy.coordinates as coord
import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from catalogue_samples import (
    phase_space,
    renamed,
    stars,
    write_csv,
)
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.columns import GALACTOCENTRIC, HELIOCENTRIC
from haloassay.io.tables import (
    from_table,
    missing_errors,
    read_catalogue,
)


@pytest.mark.parametrize(
    ("unit", "factor"), [("pc", 1e-3), (1.36986, 1.36986), ("1.36986", 1.36986), ("kpc", 1.0)]
)
def test_units_of_the_caller(tmp_path, unit, factor):
    path = write_csv(tmp_path / "a.csv", phase_space())
    read = read_catalogue(path, units={"position": unit})
    np.testing.assert_allclose(read.position, factor * read_catalogue(path).position, rtol=1e-15)
    np.testing.assert_array_equal(read.velocity, read_catalogue(path).velocity)
    read = read_catalogue(path, units={"x": unit})
    np.testing.assert_allclose(read["x"], factor * phase_space()["x"], rtol=1e-15)
    np.testing.assert_array_equal(read["y"], phase_space()["y"])


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"x": "km/s"}, r"column x has unit 'km/s', expected one like 'kpc'"),
        ({"x": "parsnip"}, r"unit 'parsnip' of column x is not known"),
        ({"x": 0.0}, "factor for x must be finite and not zero"),
        ({"q": "kpc"}, "units: unknown column 'q'"),
    ],
)
def test_unusable_units(tmp_path, units, message):
    with pytest.raises(InputError, match=message):
        read_catalogue(write_csv(tmp_path / "a.csv", phase_space()), units=units)


def test_wrong_dimension_in_a_file_is_named(tmp_path):
    table = Table(stars(), units={"distance": "km / s"})
    table.write(tmp_path / "a.fits")
    with pytest.raises(InputError, match=r"a.fits: column distance has unit 'km / s', expected"):
        read_catalogue(tmp_path / "a.fits")


def test_galactic_columns_are_turned_to_icrs_with_their_errors():
    columns = stars(200)
    sky = coord.ICRS(
        ra=columns["ra"] * u.deg,
        dec=columns["dec"] * u.deg,
        pm_ra_cosdec=columns["pmra"] * u.mas / u.yr,
        pm_dec=columns["pmdec"] * u.mas / u.yr,
    ).transform_to(coord.Galactic())
    table = Table({k: v for k, v in columns.items() if "pm" not in k and k not in ("ra", "dec")})
    table["l"], table["b"] = sky.l.deg, sky.b.deg
    table["pm_l"], table["pm_b"] = sky.pm_l_cosb.value, sky.pm_b.value
    table["pm_l_err"], table["pm_b_err"] = columns["pmra_err"], columns["pmdec_err"]
    table["pm_corr"] = columns["pm_corr"]
    read = from_table(table)
    for name in HELIOCENTRIC:
        np.testing.assert_allclose(read[name], columns[name], atol=1e-9)
    # draw one star's errors in the Galactic frame and turn each draw with astropy
    n = 40_000
    rng = seeded(3)
    a, b, rho = table["pm_l_err"][0], table["pm_b_err"][0], table["pm_corr"][0]
    pm_l, pm_b = rng.multivariate_normal(
        [table["pm_l"][0], table["pm_b"][0]], [[a * a, rho * a * b], [rho * a * b, b * b]], n
    ).T
    drawn = coord.Galactic(
        l=np.full(n, table["l"][0]) * u.deg,
        b=np.full(n, table["b"][0]) * u.deg,
        pm_l_cosb=pm_l * u.mas / u.yr,
        pm_b=pm_b * u.mas / u.yr,
    ).transform_to(coord.ICRS())
    pmra, pmdec = drawn.pm_ra_cosdec.value, drawn.pm_dec.value
    for draws, name in ((pmra, "pmra_err"), (pmdec, "pmdec_err")):
        assert abs(draws.std() / read[name][0] - 1.0) < 4.0 / np.sqrt(2.0 * n)
    corr = np.corrcoef(pmra, pmdec)[0, 1]
    assert abs(corr - read["pm_corr"][0]) < 4.0 * (1.0 - corr**2) / np.sqrt(n)


def test_heliocentric_columns_are_preferred_unless_told(tmp_path):
    path = write_csv(tmp_path / "a.csv", {**phase_space(), **stars()})
    assert read_catalogue(path).heliocentric
    read = read_catalogue(path, frame="galactocentric")
    assert set(read.columns) == {*GALACTOCENTRIC, "feh"}


def test_incomplete_preferred_frame_gives_way_to_a_complete_one(tmp_path):
    columns = {**phase_space(), **stars()}
    del columns["vlos"]
    assert not read_catalogue(write_csv(tmp_path / "a.csv", columns)).heliocentric


def test_other_columns_are_ignored_and_names_mapped(tmp_path):
    columns = {**phase_space(), "name": [f"star{i}" for i in range(7)], "FeH": np.arange(7.0)}
    columns["X"] = columns.pop("x")
    path = write_csv(tmp_path / "a.csv", columns)
    for spec in ("x=X, feh=FeH", {"x": "X", "feh": "FeH"}):
        read = read_catalogue(path, spec)
        assert set(read.columns) == {*GALACTOCENTRIC, "feh"}
        np.testing.assert_array_equal(read["feh"], np.arange(7.0))


@pytest.mark.parametrize("name", ["vlos", "pmra_err"])
def test_a_column_that_may_be_missing_is_not_overlooked_for_its_case(tmp_path, name):
    """Nothing told that velocities of a file had not been read, or that it had errors."""
    columns = {**stars(), "pmra_err": np.full(len(stars()["ra"]), 0.1)}
    columns["pmdec_err"] = columns["pmra_err"]
    path = write_csv(
        tmp_path / "a.csv", {(k.upper() if k == name else k): v for k, v in columns.items()}
    )
    with pytest.raises(
        InputError, match=f"column '{name.upper()}' differs from '{name}' in case: columns {name}="
    ):
        read_catalogue(path)
    assert name in read_catalogue(path, columns={name: name.upper()}).columns
    skipped = {"vlos": "-"} if name == "vlos" else {"pmra_err": "-", "pmdec_err": "-"}
    assert name not in read_catalogue(path, columns=skipped).columns


@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_names_in_their_order(tmp_path, suffix):
    columns = phase_space()
    table = np.insert(np.stack(list(columns.values()), axis=1), 3, -1.0, axis=1)
    np.savetxt(tmp_path / f"a{suffix}", table, delimiter="," if suffix == ".csv" else " ")
    read = read_catalogue(tmp_path / f"a{suffix}", "x,y,z,-,vx,vy,vz")
    for name, values in columns.items():
        np.testing.assert_allclose(read[name], values, rtol=1e-15)


def test_columns_of_a_csv_file_that_are_not_canonical_are_refused_when_named(tmp_path):
    path = write_csv(tmp_path / "a.csv", phase_space())
    with pytest.raises(InputError, match="unknown column 'vxx'; did you mean 'vx'"):
        read_catalogue(path, "x,y,z,vxx,vy,vz")


DIST = {"distance": "dist", "distance_err": "dist_err", "vlos": "hrv", "vlos_err": "ehrv"}


def test_a_mapped_column_takes_its_error_along(tmp_path):
    path = write_csv(tmp_path / "a.csv", renamed(stars(), DIST))
    read = read_catalogue(path, "distance=dist,vlos=hrv")
    np.testing.assert_array_equal(read["distance_err"], stars()["distance_err"])
    assert missing_errors(read) == ("vlos_err",)
    read = read_catalogue(path, "distance=dist,vlos=hrv,vlos_err=ehrv")
    np.testing.assert_array_equal(read["vlos_err"], stars()["vlos_err"])
    assert missing_errors(read) == ()


def test_a_mapped_error_wins_over_that_of_the_column(tmp_path):
    path = write_csv(tmp_path / "a.csv", {**renamed(stars(), DIST), "mine": np.full(7, 0.25)})
    read = read_catalogue(path, "vlos=hrv,distance_err=mine,distance=dist")
    np.testing.assert_array_equal(read["distance_err"], np.full(7, 0.25))
    read = read_catalogue(path, "vlos=hrv,distance=dist,distance_err=-")
    assert missing_errors(read) == ("distance_err", "vlos_err")


def test_a_column_left_unread_leaves_its_error(tmp_path):
    columns = {**stars(), "feh_err": np.full(7, 0.1)}
    read = read_catalogue(write_csv(tmp_path / "a.csv", columns), "feh=-")
    assert set(read.columns) == set(stars()) - {"feh"}


def test_the_missing_error_of_a_proper_motion_is_named_beside_the_other(tmp_path):
    path = write_csv(tmp_path / "a.csv", stars())
    with pytest.raises(InputError, match="'pmra_err' is missing beside 'pmdec_err'"):
        read_catalogue(path, "pmra_err=-")


def test_missing_errors_of_galactocentric_columns():
    columns = phase_space()
    assert missing_errors(Catalogue.from_arrays(**columns)) == tuple(
        f"{name}_err" for name in GALACTOCENTRIC
    )
    errors = {f"{name}_err": np.ones(7) for name in GALACTOCENTRIC}
    assert missing_errors(Catalogue.from_arrays(**columns, **errors)) == ()


def in_pc(names):
    return {k: v * 1e3 if k in names else v for k, v in stars().items()}


@pytest.mark.parametrize("unit", ["pc", 1e-3])
def test_an_error_has_the_unit_of_its_column(tmp_path, unit):
    path = write_csv(tmp_path / "a.csv", in_pc(("distance", "distance_err")))
    read = read_catalogue(path, units={"distance": unit})
    for name in ("distance", "distance_err"):
        np.testing.assert_allclose(read[name], stars()[name], rtol=1e-12)
    path = write_csv(tmp_path / "a.csv", in_pc(("distance",)))
    read = read_catalogue(path, units={"distance": unit, "distance_err": "kpc"})
    np.testing.assert_array_equal(read["distance_err"], stars()["distance_err"])


def test_errors_have_the_unit_of_their_group_and_no_sign(tmp_path):
    errors = {"x_err": np.full(7, 100.0), "y_err": np.full(7, 2.0), "vz_err": np.full(7, 3.0)}
    path = write_csv(tmp_path / "a.csv", {**phase_space(), **errors})
    read = read_catalogue(path, units={"position": "pc", "y": 2.0, "vz": -1.0})
    np.testing.assert_allclose(read["x_err"], 0.1, rtol=1e-12)
    np.testing.assert_allclose(read["y_err"], 4.0, rtol=1e-12)
    np.testing.assert_array_equal(read["vz"], -phase_space()["vz"])
    np.testing.assert_array_equal(read["vz_err"], 3.0)


def test_distance_errors_in_another_unit_are_refused(tmp_path):
    path = write_csv(tmp_path / "a.csv", in_pc(("distance_err",)))
    with pytest.raises(InputError, match=r"exceeds distance in 7 of 7 rows: .*distance_err=pc"):
        read_catalogue(path)
    read = read_catalogue(path, units={"distance_err": "pc"})
    np.testing.assert_allclose(read["distance_err"], stars()["distance_err"], rtol=1e-12)
    few = stars()
    few["distance_err"][:3] = 2.0 * few["distance"][:3]
    assert len(read_catalogue(write_csv(tmp_path / "a.csv", few))) == 7


@pytest.mark.parametrize("text", ["x,y,z,vx,vy,vz,x\n1,2,3,4,5,6,7\n", "x y z x\n1 2 3 4\n"])
def test_repeated_names_are_refused(tmp_path, text):
    path = tmp_path / ("a.csv" if "," in text else "a.txt")
    path.write_text(text)
    with pytest.raises(InputError, match="more than one column is named x; rename them"):
        read_catalogue(path)


def test_names_in_their_order_replace_repeated_ones(tmp_path):
    (tmp_path / "a.csv").write_text("x,y,z,vx,vy,vz,x\n1,2,3,4,5,6,7\n")
    assert read_catalogue(tmp_path / "a.csv", "-,y,z,vx,vy,vz,x")["x"] == [7.0]


#: Columns of motions that are absent, what is read, and what of the rest is there.
ABSENT = [
    (("pmra", "pmdec"), ("vlos",), ("vlos",)),
    (("pmra", "pmdec", "vlos"), (), ()),
    (("vx", "vy"), ("vz",), ("vz",)),
    (("vz",), ("vx", "vy"), ("vx", "vy")),
    (("vx", "vy", "vz"), (), ()),
]


@pytest.mark.parametrize(("absent", "uses", "there"), ABSENT)
def test_motions_that_are_not_read_may_be_absent(absent, uses, there):
    names = HELIOCENTRIC if "vx" not in absent and "vz" not in absent else GALACTOCENTRIC
    stars = {name: np.linspace(1.0, 9.0, 30) for name in names if name not in absent}
    read = read_catalogue(stars, uses=uses)
    assert set(read.columns) == {*names[:3], *there}
    assert read.lacks(uses) == ()
    assert np.all(read.r > 0.0)
    for name in absent:  # who reads it is told, and who does not say what is read reads all
        if (name, absent) != ("vlos", ("vlos",)):
            with pytest.raises(InputError, match=f"missing column.*{name}"):
                read_catalogue(stars, uses=("velocity",))
            with pytest.raises(InputError, match=f"missing column.*{name}"):
                read_catalogue(stars)


def test_one_proper_motion_is_none():
    stars = {name: np.linspace(1.0, 9.0, 30) for name in HELIOCENTRIC if name != "pmdec"}
    with pytest.raises(InputError, match="missing column pmdec for heliocentric"):
        read_catalogue(stars, uses=("vlos",))


def test_a_whole_set_of_columns_goes_before_one_that_is_enough():
    stars = {name: np.linspace(1.0, 9.0, 30) for name in GALACTOCENTRIC}
    stars |= {name: np.linspace(1.0, 9.0, 30) for name in ("ra", "dec", "distance", "vlos")}
    assert not read_catalogue(stars, uses=("vlos",)).heliocentric
    del stars["vx"]
    assert read_catalogue(stars, uses=("vlos",)).heliocentric
