"""Readers and writers: round trips, units, frames, and every kind of bad input."""

import re
from pathlib import Path

import astropy.coordinates as coord
import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.table import QTable, Table

from haloassay import frames
from haloassay.catalogue import GALACTOCENTRIC, HELIOCENTRIC, Catalogue
from haloassay.defects import checked
from haloassay.errors import InputError
from haloassay.propagation import monte_carlo_covariance
from haloassay.tables import (
    from_table,
    missing_errors,
    read_catalogue,
    to_table,
    write_catalogue,
)

SUFFIXES = [".fits", ".fits.gz", ".ecsv", ".csv", ".parquet", ".hdf5", ".txt", ".dat"]
DATA = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no external data at {DATA}")

SEGUE_COLUMNS = (
    "x,y,z,vx,vy,vz,l,b,distance,vlos,pm_l,pm_b,distance_err,vlos_err,pm_l_err,pm_b_err,feh"
)
SEGUE_SUN = frames.Sun(-8.3, 0.02, 11.1, 244.24, 7.25)


def stars(n=7, seed=1):
    rng = np.random.default_rng(seed)
    return {
        "ra": rng.uniform(0.0, 360.0, n),
        "dec": rng.uniform(-80.0, 80.0, n),
        "distance": rng.uniform(5.0, 80.0, n),
        "pmra": rng.normal(0.0, 0.5, n),
        "pmdec": rng.normal(0.0, 0.5, n),
        "vlos": rng.normal(0.0, 100.0, n),
        "distance_err": rng.uniform(0.5, 5.0, n),
        "pmra_err": rng.uniform(0.02, 0.2, n),
        "pmdec_err": rng.uniform(0.02, 0.2, n),
        "vlos_err": rng.uniform(1.0, 9.0, n),
        "feh": rng.normal(-1.5, 0.3, n),
        "pm_corr": rng.uniform(-0.9, 0.9, n),
    }


def phase_space(n=7, seed=2):
    values = np.random.default_rng(seed).normal(0.0, 50.0, (6, n))
    return dict(zip(GALACTOCENTRIC, values, strict=True))


def write_csv(path, columns):
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(str(v) for v in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("columns", [stars(), phase_space(), stars(1)], ids=["sky", "xyz", "one"])
def test_round_trip(tmp_path, suffix, columns):
    catalogue = Catalogue.from_arrays(sun=frames.SUNS["zhai2018"], **columns)
    path = tmp_path / f"stars{suffix}"
    write_catalogue(catalogue, path)
    back = read_catalogue(
        path, sun=None if suffix[:5] in (".fits", ".ecsv", ".parq", ".hdf5") else "zhai2018"
    )
    assert set(back.columns) == set(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(back[name], values, err_msg=name)
    assert back.sun == catalogue.sun
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".parquet", ".hdf5"])
def test_stated_units_are_converted(tmp_path, suffix):
    columns = stars()
    table = to_table(Catalogue.from_arrays(**columns))
    table["distance"] = table["distance"].to(u.pc)
    table["distance_err"] = table["distance_err"].to(u.lyr)
    table["ra"] = table["ra"].to(u.rad)
    table["vlos"] = table["vlos"].to(u.m / u.s)
    path = tmp_path / f"stars{suffix}"
    options = {".hdf5": {"serialize_meta": True, "path": "t"}}.get(suffix, {})
    table.meta.clear()
    del table["feh"]
    table.write(path, format={".ecsv": "ascii.ecsv"}.get(suffix), **options)
    back = read_catalogue(path)
    assert set(back.columns) == {*columns} - {"feh"}
    for name, values in back.columns.items():
        np.testing.assert_allclose(values, columns[name], rtol=1e-12, err_msg=name)


def test_written_units_are_read_by_astropy(tmp_path):
    catalogue = Catalogue.from_arrays(**stars())
    for name in ("a.fits", "a.ecsv"):
        write_catalogue(catalogue, tmp_path / name)
        table = QTable.read(tmp_path / name)
        assert table["distance"].unit == u.kpc
        assert table["pmra_err"].unit == u.mas / u.yr
        np.testing.assert_array_equal(table["vlos"].to_value("km/s"), catalogue["vlos"])


@pytest.mark.parametrize("kind", [Table, QTable])
def test_table_round_trip(kind):
    catalogue = Catalogue.from_arrays(sun=frames.SUNS["bird2022"], **stars())
    back = from_table(kind(to_table(catalogue)))
    assert back.sun == catalogue.sun
    for name, values in catalogue.columns.items():
        np.testing.assert_array_equal(back[name], values)


def test_masked_entries_count_as_missing():
    table = Table(stars(), masked=True)
    table["vlos"].mask[2] = True
    with pytest.raises(InputError, match=r"vlos is NaN or infinite in 1 row \(3\)"):
        from_table(table)


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
    rng = np.random.default_rng(3)
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


@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_names_in_their_order(tmp_path, suffix):
    columns = phase_space()
    table = np.insert(np.stack(list(columns.values()), axis=1), 3, -1.0, axis=1)
    np.savetxt(tmp_path / f"a{suffix}", table, delimiter="," if suffix == ".csv" else " ")
    read = read_catalogue(tmp_path / f"a{suffix}", "x,y,z,-,vx,vy,vz")
    for name, values in columns.items():
        np.testing.assert_allclose(read[name], values, rtol=1e-15)


@pytest.mark.parametrize("transpose", [None, True])
def test_transposed_text(tmp_path, transpose):
    columns = phase_space(n=50)
    np.savetxt(tmp_path / "a.txt", np.insert(np.stack(list(columns.values())), 3, -1.0, axis=0))
    read = read_catalogue(tmp_path / "a.txt", "x,y,z,_,vx,vy,vz", transpose=transpose)
    for name, values in columns.items():
        np.testing.assert_allclose(read[name], values, rtol=1e-15)


def test_datasets_of_vectors(tmp_path):
    columns = phase_space()
    values = np.stack(list(columns.values()), axis=1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["stars/x"], file["stars/v"] = values[:, :3], values[:, 3:]
    read = read_catalogue(tmp_path / "a.h5", "position=stars/x,velocity=stars/v")
    np.testing.assert_array_equal(read.position, values[:, :3])
    np.testing.assert_array_equal(read.velocity, values[:, 3:])


def test_columns_of_a_csv_file_that_are_not_canonical_are_refused_when_named(tmp_path):
    path = write_csv(tmp_path / "a.csv", phase_space())
    with pytest.raises(InputError, match="unknown column 'vxx'; did you mean 'vx'"):
        read_catalogue(path, "x,y,z,vxx,vy,vz")


@pytest.mark.parametrize("columns", [None, "feh=true_x", "x,y,z,vx,vy,vz,true_x"])
def test_truths_are_refused(tmp_path, columns):
    path = write_csv(tmp_path / "a.csv", {**phase_space(), "true_x": np.zeros(7)})
    with pytest.raises(InputError, match="'true_x' holds a truth"):
        read_catalogue(path, columns)


def with_entry(name, row, value):
    columns = {k: v.copy() for k, v in stars().items()}
    columns[name][row] = value
    return columns


DEFECTIVE = [
    ("nan", "vlos", np.nan, r"vlos is NaN or infinite in 1 row \(3\)"),
    ("nan", "feh", np.inf, r"feh is NaN or infinite in 1 row \(3\)"),
    ("distance", "distance", -4.0, r"distance is zero or negative in 1 row \(3\)"),
    ("distance", "distance", 0.0, r"distance is zero or negative in 1 row \(3\)"),
    ("error", "pmra_err", -0.1, r"pmra_err is negative in 1 row \(3\)"),
    ("correlation", "pm_corr", 1.0, r"pm_corr is not between -1 and 1 in 1 row \(3\)"),
    ("latitude", "dec", 90.5, r"dec is outside -90 to 90 deg in 1 row \(3\)"),
    ("unphysical", "pmra", 50.0, r"total Galactocentric speed exceeds 1500 km/s in 1 row \(3\)"),
]


@pytest.mark.parametrize(("defect", "name", "value", "message"), DEFECTIVE)
def test_defective_rows_are_named_or_dropped_and_counted(tmp_path, defect, name, value, message):
    path = write_csv(tmp_path / "a.csv", with_entry(name, 2, value))
    with pytest.raises(InputError, match=f"{message} .*drop = '{defect}'") as error:
        read_catalogue(path)
    assert "\n" not in str(error.value)
    for drop in (defect, [defect], "all", f"duplicates,{defect}"):
        read = read_catalogue(path, drop=drop)
        assert dict(read.dropped) == {defect: 1}
        np.testing.assert_array_equal(read["ra"], np.delete(stars()["ra"], 2))


def test_duplicates_are_named_and_the_first_is_kept():
    rows = [0, 1, 2, 1, 3, 1, 0]
    catalogue = Catalogue.from_arrays(**{k: v[rows] for k, v in stars().items()})
    with pytest.raises(InputError, match=r"repeats an earlier row in 3 rows \(4, 6, 7\)"):
        checked(catalogue)
    clean = checked(catalogue, drop="duplicates")
    np.testing.assert_array_equal(clean["ra"], stars()["ra"][:4])
    assert dict(clean.dropped) == {"duplicates": 3}


def test_rows_that_agree_in_one_column_are_no_duplicates():
    columns = stars()
    columns["ra"] = np.full(7, 10.0)
    assert len(checked(Catalogue.from_arrays(**columns))) == 7


def test_many_defects_make_one_line_and_a_row_counts_once():
    columns = with_entry("distance", slice(0, 7), -1.0)
    columns["vlos"][0] = np.nan
    with pytest.raises(InputError, match=r"\(1\); distance .* in 6 rows \(2, 3, 4, 5, 6, \.\.\.\)"):
        checked(Catalogue.from_arrays(**columns))
    with pytest.raises(InputError, match=r"no rows are left after dropping \(nan 1, distance 6\)"):
        checked(Catalogue.from_arrays(**columns), drop="all")


def test_a_higher_speed_limit_keeps_fast_stars():
    catalogue = Catalogue.from_arrays(**with_entry("pmra", 2, 50.0))
    assert len(checked(catalogue, speed_limit=1e6)) == 7


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_speed_limit_must_be_positive(value):
    with pytest.raises(InputError, match="speed_limit: must be positive"):
        checked(Catalogue.from_arrays(**stars()), speed_limit=value)


def test_zero_errors_are_allowed():
    columns = {k: 0.0 * v if k.endswith("_err") else v for k, v in stars().items()}
    catalogue = checked(Catalogue.from_arrays(**columns))
    np.testing.assert_array_equal(catalogue.spherical_covariance, np.zeros((7, 3, 3)))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("x,y,z,vx,vy,vz\n", {}, "there are no rows"),
        ("", {}, "not readable as CSV|no rows|have no names"),
        ("x,y,z,vx,vy\n1,2,3,4,5\n", {}, "missing column vz for galactocentric x y z vx vy vz"),
        ("ra,dec\n1,2\n", {}, "missing columns distance, pmra, pmdec, vlos for heliocentric"),
        ("x,y,z,vx,vy,vz\n1,2,3,4,5,six\n", {}, "column vz is not numeric: 'six' in row 1"),
        ("x,y,z,vx,vy,vz\n1,2,3,4,5\n", {}, r"vz is NaN or infinite in 1 row \(1\)"),
        ("x,y,z,vx,vy,vz\n1,2,3,4,5,6,7\n", {}, "not readable as CSV"),
        ("1,2,3,4,5,6\n", {}, "columns have no names; give them in their order"),
        ("1,2,3,4,5,6\n", {"columns": "x,y,z"}, r"3 names for 6 columns \('-' skips one\)"),
        ("1,2,3,4,5,6\n", {"columns": "x,x,z,vx,vy,vz"}, "x named more than once"),
        ("1,2,3,4,5,6\n", {"columns": "x=a,y"}, "not both"),
        ("1,2,3,4,5,6\n", {"transpose": True}, "only text files"),
        ("x,y,z,vx,vy,w\n1,2,3,4,5,6\n", {"columns": "vz=q"}, r"no column 'q' for 'vz' \(has: x,"),
        ("x,y,z,vx,vy,vz\n1,2,3,4,5,6\n", {"frame": "ecliptic"}, "unknown frame 'ecliptic'"),
        ("x,y,z,vx,vy,vz\n1,2,3,4,5,6\n", {"drop": "nans"}, "unknown defect 'nans'; did you mean"),
        ("x,y,z,vx,vy,vz\n1,2,3,4,5,6\n", {"sun": "mine"}, "sun: unknown Sun 'mine'"),
        (
            "l,b,distance,pm_l,pm_b,vlos,pm_l_err\n1,2,3,4,5,6,7\n",
            {},
            "'pm_b_err' is missing beside",
        ),
    ],
)
def test_unusable_text(tmp_path, text, options, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_catalogue(tmp_path / "a.csv", **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s not in (".csv", ".txt", ".dat")])
def test_a_file_that_is_not_of_its_format(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"\xff\x00 not a table\n" * 50)
    with pytest.raises(InputError, match=f"a{suffix}: not readable as "):
        read_catalogue(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_text_that_is_not_utf8(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(b"\xff\xfe\x00x,y\n1,2\n")
    with pytest.raises(InputError, match="not readable as"):
        read_catalogue(tmp_path / f"a{suffix}")


def test_paths_that_cannot_be_used(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    catalogue = Catalogue.from_arrays(**stars())
    for path, message in (
        ("no.csv", "no such file"),
        ("folder.csv", "is a folder"),
        ("a.doc", "unknown format"),
    ):
        with pytest.raises(InputError, match=message):
            read_catalogue(tmp_path / path)
    for path, message in (
        ("a.doc", "unknown format"),
        ("no/a.csv", "cannot be written"),
        ("folder.csv", "cannot be written"),
    ):
        with pytest.raises(InputError, match=message):
            write_catalogue(catalogue, tmp_path / path)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.csv"]


def test_unusable_sun_in_a_file(tmp_path):
    table = to_table(Catalogue.from_arrays(**stars()))
    for text in ("hot", "[1]", '{"x": "far"}', '{"x": 8.0}'):
        table.meta["SUN"] = text
        table.write(tmp_path / "a.ecsv", overwrite=True)
        with pytest.raises(InputError, match="metadata SUN"):
            read_catalogue(tmp_path / "a.ecsv")
        assert read_catalogue(tmp_path / "a.ecsv", sun="li2026").sun == frames.Sun()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("galpy:mw-globular-clusters", "MW globular clusters"),
        ("galpy:mw-satellites", "MW satellite galaxies"),
    ],
)
def test_samples_of_galpy_are_those_of_its_orbits(source, name):
    from galpy.orbit import Orbit

    catalogue, orbits = read_catalogue(source), Orbit.from_name(name)
    assert len(catalogue) + sum(catalogue.dropped.values()) == len(orbits)
    kept = np.abs(orbits.ra()[:, None] - catalogue["ra"]).min(axis=1) < 1e-9
    theirs = (orbits.ra, orbits.dec, orbits.dist, orbits.pmra, orbits.pmdec, orbits.vlos)
    for column, values in zip(HELIOCENTRIC, theirs, strict=True):
        np.testing.assert_allclose(catalogue[column], values()[kept], atol=1e-9, err_msg=column)


def test_unknown_sample_of_galpy():
    with pytest.raises(InputError, match="unknown galpy sample 'galpy:dwarfs'"):
        read_catalogue("galpy:dwarfs")


@needs_data
def test_segue_giants_survive_their_unphysical_velocities():
    path = DATA / "segue-kgiants" / "KGiant_edr3_metal_sgr_20.txt"
    columns = f"{SEGUE_COLUMNS},-,-,-,-,-,pm_corr"
    with pytest.raises(InputError, match="speed exceeds 1500 km/s in 6 rows"):
        read_catalogue(path, columns, sun=SEGUE_SUN)
    sky = read_catalogue(path, columns, sun=SEGUE_SUN, drop="unphysical")
    assert (len(sky), dict(sky.dropped)) == (2824, {"unphysical": 6})
    # their own conversion, which leaves out the tilt by the Sun's height; two decimals are kept
    tilt, distance = 0.02 / 8.3, sky["distance"]
    rounding = 0.005 * np.sqrt(3.0) * (1.0 + np.radians(distance) + 1.0)
    xyz = read_catalogue(path, columns, sun=SEGUE_SUN, drop="unphysical", frame="galactocentric")
    shift = np.linalg.norm(sky.position - xyz.position, axis=1)
    assert np.all(shift < tilt * distance + rounding)
    assert np.median(np.abs(sky.velocity - xyz.velocity)) < tilt * 250.0
    assert np.all(np.isfinite(sky.spherical_covariance))
    drawn = monte_carlo_covariance(sky.select(np.arange(50)), np.random.default_rng(1), 100)
    assert np.all(np.isfinite(drawn))


@needs_data
@pytest.mark.parametrize(("name", "rows"), [("YPP24sgr_50+", 253), ("YPP24sgr_40+", 531)])
def test_transposed_segue_giants(name, rows):
    path = DATA / "segue-kgiants" / f"KGiant_{name}.txt"
    read = read_catalogue(path, SEGUE_COLUMNS, sun=SEGUE_SUN, speed_limit=1e5)
    assert len(read) == rows


@needs_data
def test_opdf_halo():
    read = read_catalogue(
        DATA / "opdf" / "mockhalo.hdf5", "position=x,velocity=v", units={"position": 1.0 / 0.73}
    )
    with h5py.File(DATA / "opdf" / "mockhalo.hdf5") as file:
        radii = np.linalg.norm(file["x"][()], axis=1) / 0.73
    np.testing.assert_allclose(read.r, radii, rtol=1e-6)  # stored in single precision


@needs_data
def test_gaia_challenge():
    path = DATA / "gaia-challenge" / "PlumCuspOm_df_1000_0.dat"
    read = read_catalogue(path, "x,y,z,vx,vy,vz")
    np.testing.assert_array_equal(read.position, np.loadtxt(path)[:, :3])


# ------------------------------------------------------------------ errors that go with their columns


def renamed(columns, names):
    return {names.get(name, name): values for name, values in columns.items()}


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


# ------------------------------------------------------------------------- longitudes, names and units


@pytest.mark.parametrize("name", ["ra", "l"])
def test_longitudes_from_minus_180_are_wrapped(tmp_path, name):
    names = {"ra": "l", "dec": "b", "pmra": "pm_l", "pmdec": "pm_b"}
    names |= {"pmra_err": "pm_l_err", "pmdec_err": "pm_b_err"}
    columns = stars(50) if name == "ra" else renamed(stars(50), names)
    wanted = from_table(Table(columns))
    shifted = {**columns, name: (columns[name] + 180.0) % 360.0 - 180.0}
    assert shifted[name].min() < 0.0
    read = read_catalogue(write_csv(tmp_path / "a.csv", shifted))
    for column in wanted.columns:
        np.testing.assert_allclose(read[column], wanted[column], atol=1e-9, err_msg=column)
    assert read["ra"].min() >= 0.0


@pytest.mark.parametrize("value", [-180.1, 360.1])
def test_other_longitudes_are_refused(tmp_path, value):
    path = write_csv(tmp_path / "a.csv", with_entry("ra", 2, value))
    message = r"ra is outside -180 to 360 deg in 1 row \(3\) \(drop = 'longitude'"
    with pytest.raises(InputError, match=message):
        read_catalogue(path)
    assert dict(read_catalogue(path, drop="longitude").dropped) == {"longitude": 1}


@pytest.mark.parametrize("text", ["x,y,z,vx,vy,vz,x\n1,2,3,4,5,6,7\n", "x y z x\n1 2 3 4\n"])
def test_repeated_names_are_refused(tmp_path, text):
    path = tmp_path / ("a.csv" if "," in text else "a.txt")
    path.write_text(text)
    with pytest.raises(InputError, match="more than one column is named x; rename them"):
        read_catalogue(path)


def test_names_in_their_order_replace_repeated_ones(tmp_path):
    (tmp_path / "a.csv").write_text("x,y,z,vx,vy,vz,x\n1,2,3,4,5,6,7\n")
    assert read_catalogue(tmp_path / "a.csv", "-,y,z,vx,vy,vz,x")["x"] == [7.0]


SKY, SPACE = stars(60), phase_space(60)
MISTAKES = [
    (SKY, {"distance": "pc"}, 1e3, "are distances in pc"),
    (SKY, {"vlos": "m/s"}, 1e3, "are line-of-sight velocities in m/s"),
    (SKY, {"pmra": "uas/yr", "pmdec": "uas/yr"}, 1e3, "are proper motions in uas/yr"),
    (SKY, {"distance": "pc", "vlos": "m/s"}, 1e3, "are distances in pc"),
    (SPACE, {"x": "pc", "y": "pc", "z": "pc"}, 1e3, "are positions in pc"),
    (SPACE, {"vx": "m/s", "vy": "m/s", "vz": "m/s"}, 1e3, "are velocities in m/s"),
]


@pytest.mark.parametrize(("columns", "units", "factor", "hint"), MISTAKES)
def test_a_mistaken_unit_is_guessed_and_the_guess_helps(tmp_path, columns, units, factor, hint):
    wrong = {k: v * factor if k.removesuffix("_err") in units else v for k, v in columns.items()}
    path = write_csv(tmp_path / "a.csv", wrong)
    with pytest.raises(InputError, match=hint) as error:
        read_catalogue(path)
    assert "\n" not in str(error.value)
    asked = re.findall(r"--unit (\w+)=(\S+)", str(error.value))
    read = read_catalogue(path, units=dict(asked))
    for name in columns:
        np.testing.assert_allclose(read[name], columns[name], rtol=1e-12, err_msg=name)
    with pytest.raises(InputError, match=f"no rows are left .*{hint}"):
        read_catalogue(write_csv(path, {k: v[:1] for k, v in wrong.items()}), drop="all")


def test_few_unphysical_rows_say_nothing_of_units():
    with pytest.raises(InputError, match="exceeds 1500 km/s") as error:
        checked(Catalogue.from_arrays(**with_entry("pmra", slice(0, 6), 50.0)))
    assert "--unit" not in str(error.value)


def test_unphysical_rows_that_no_unit_explains():
    with pytest.raises(InputError, match="are the units those of the columns"):
        checked(Catalogue.from_arrays(**with_entry("vlos", slice(0, 7), np.full(7, 1e9))))


@pytest.mark.parametrize("frame", [("ra", "dec"), ("l", "b")])
def test_directions_in_radians_are_refused_unless_a_unit_is_stated(tmp_path, frame):
    lon, lat = frame
    columns = renamed(stars(21), {"ra": lon, "dec": lat})
    if lon == "l":
        columns = renamed(columns, {"pmra": "pm_l", "pmdec": "pm_b"})
        columns = {k: v for k, v in columns.items() if k not in ("pmra_err", "pmdec_err")}
    degrees = from_table(Table(columns))
    columns |= {lon: np.radians(columns[lon]), lat: np.radians(columns[lat])}
    path = write_csv(tmp_path / "a.csv", columns)
    with pytest.raises(InputError, match=f"radians. --unit {lon}=rad --unit {lat}=rad"):
        read_catalogue(path)
    read = read_catalogue(path, units={lon: "rad", lat: "rad"})
    np.testing.assert_allclose(read["ra"], degrees["ra"], atol=1e-9)
    assert len(read_catalogue(path, units={lon: "deg"})) == 21  # a small field is possible
    assert len(read_catalogue(write_csv(path, {k: v[1:] for k, v in columns.items()}))) == 20


# ------------------------------------------------------------------------------------------ delimiters


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_delimiters_of_csv(tmp_path, delimiter, mark):
    columns = stars()
    path = write_csv(tmp_path / "a.csv", columns)
    text = path.read_text().replace(",", delimiter)
    path.write_text(mark + text, encoding="utf-8")
    for names in (None, ",".join(columns)):
        read = read_catalogue(path, names)
        for name, values in columns.items():
            np.testing.assert_array_equal(read[name], values)
    path.write_text(mark + text.split("\n", 1)[1], encoding="utf-8")
    np.testing.assert_array_equal(read_catalogue(path, ",".join(columns))["ra"], columns["ra"])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_an_empty_entry_is_missing_for_any_delimiter(tmp_path, delimiter):
    text = "x,y,z,vx,vy,vz\n1,2,3,4,5,6\n,2,3,4,5,6\n1,2,3,4,5,\n".replace(",", delimiter)
    (tmp_path / "a.csv").write_text(text)
    message = r"x is NaN or infinite in 1 row \(2\); vz is NaN or infinite in 1 row \(3\)"
    with pytest.raises(InputError, match=message):
        read_catalogue(tmp_path / "a.csv")


def test_text_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\ufeffx y z vx vy vz\n1 2 3 4 5 6\n", encoding="utf-8")
    assert read_catalogue(path)["x"] == [1.0]
