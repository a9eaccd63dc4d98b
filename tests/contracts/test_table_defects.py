"""Rows that cannot be right, and units that were mistaken."""

from __future__ import annotations

import re

import numpy as np
import pytest
from astropy.table import Table
from catalogue_samples import (
    SEGUE_COLUMNS,
    SEGUE_SUN,
    phase_space,
    renamed,
    stars,
    with_entry,
    write_csv,
)
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.propagation import monte_carlo_covariance
from haloassay.io.defects import checked
from haloassay.io.tables import (
    from_table,
    read_catalogue,
)

DEFECTIVE = [
    ("nan", "vlos", np.nan, r"vlos is NaN or infinite in 1 row \(3\)"),
    ("nan", "feh", np.inf, r"feh is NaN or infinite in 1 row \(3\)"),
    ("distance", "distance", -4.0, r"distance is zero or negative in 1 row \(3\)"),
    ("distance", "distance", 0.0, r"distance is zero or negative in 1 row \(3\)"),
    ("error", "pmra_err", -0.1, r"pmra_err is negative in 1 row \(3\)"),
    ("correlation", "pm_corr", 1.0, r"pm_corr is not between -1 and 1 in 1 row \(3\)"),
    ("latitude", "dec", 90.5, r"dec is outside -90 to 90 deg in 1 row \(3\)"),
    ("unphysical", "pmra", 500.0, r"total Galactocentric speed exceeds 1500 km/s in 1 row \(3\)"),
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
    catalogue = Catalogue.from_arrays(**with_entry("pmra", 2, 500.0))
    assert len(checked(catalogue, speed_limit=1e6)) == 7


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_speed_limit_must_be_positive(value):
    with pytest.raises(InputError, match="speed_limit: must be positive"):
        checked(Catalogue.from_arrays(**stars()), speed_limit=value)


def test_zero_errors_are_allowed():
    columns = {k: 0.0 * v if k.endswith("_err") else v for k, v in stars().items()}
    catalogue = checked(Catalogue.from_arrays(**columns))
    np.testing.assert_array_equal(catalogue.spherical_covariance, np.zeros((7, 3, 3)))


@pytest.mark.parametrize("columns", [None, "feh=true_x", "x,y,z,vx,vy,vz,true_x"])
def test_truths_are_refused(tmp_path, columns):
    path = write_csv(tmp_path / "a.csv", {**phase_space(), "true_x": np.zeros(7)})
    with pytest.raises(InputError, match="'true_x' holds a truth"):
        read_catalogue(path, columns)


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


@pytest.mark.parametrize("galactic", [False, True])
def test_the_galactocentric_speed_and_radius_of_each_star_decide(galactic):
    n = 3000
    rng = seeded(3)
    distance = rng.uniform(1.0, 100.0, n)
    columns = {
        "ra": rng.uniform(0.0, 360.0, n),
        "dec": rng.uniform(-90.0, 90.0, n),
        "distance": distance,
        "pmra": rng.normal(0.0, 700.0, n) / (4.74 * distance),
        "pmdec": rng.normal(0.0, 700.0, n) / (4.74 * distance),
        "vlos": rng.normal(0.0, 700.0, n),
    }
    if galactic:
        columns = renamed(columns, {"ra": "l", "dec": "b", "pmra": "pm_l", "pmdec": "pm_b"})
    whole = from_table(Table(columns), speed_limit=1e9)
    slow = np.linalg.norm(whole.velocity, axis=1) <= 1500.0
    assert 0.1 < np.mean(slow) < 0.9
    found = from_table(Table(columns), drop="unphysical")
    np.testing.assert_array_equal(found["distance"], distance[slow])
    # of stars at one distance from the Sun some are within a radius about the centre
    at_rest = {name: np.zeros(n) for name in columns if name.startswith(("pm", "vlos"))}
    columns = {**columns, **at_rest, "distance": np.where(np.arange(n) % 3, 10.0, 9998.0)}
    near = from_table(Table({**columns, "distance": np.ones(n)}))
    towards = near.position - near.sun.position
    far = np.linalg.norm(near.sun.position + 9998.0 * towards, axis=1) > 1.0e4
    gone = int(np.sum(far & (np.arange(n) % 3 == 0)))
    assert gone > 100
    assert from_table(Table(columns), drop="unphysical").dropped == {"unphysical": gone}


def test_segue_giants_survive_their_unphysical_velocities(shared_data):
    path = shared_data / "segue-kgiants" / "KGiant_edr3_metal_sgr_20.txt"
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
    drawn = monte_carlo_covariance(sky.select(np.arange(50)), seeded(1), 100)
    assert np.all(np.isfinite(drawn))


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
    worst = [int(np.argmax(np.abs(columns[next(iter(units))])))]  # no Galaxy has this star
    with pytest.raises(InputError, match=f"no rows are left .*{hint}"):
        read_catalogue(write_csv(path, {k: v[worst] for k, v in wrong.items()}), drop="all")


def test_few_unphysical_rows_say_nothing_of_units():
    with pytest.raises(InputError, match="exceeds 1500 km/s") as error:
        checked(Catalogue.from_arrays(**with_entry("pmra", slice(0, 6), 500.0)))
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
