"""Snapshots with numbers that cannot be meant, and particles that would count twice: one line each."""

from __future__ import annotations

import re
import shutil

import h5py
import numpy as np
import pytest
from astropy.table import Table
from simulated_halo import HABIT, NAMES, Body, spec_of, write_gadget

from haloassay.base.errors import InputError
from haloassay.mocks import make_mock
from haloassay.mocks.snapshots.units import Unit, parse_unit

INSIDE = {"length": "kpc", "velocity": "km/s", "mass": "Msun"}


pytestmark = pytest.mark.usefixtures("own_cache")


def refusal(spec, *words):
    """Prepare a mock that is refused; return the line, in which all words stand."""
    with pytest.raises(InputError) as refused:
        make_mock(spec).prepare()
    message = str(refused.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message
    return message


# ---------------------------------------------------------------------------------------------- the header

HEADERS = {
    "nan time": ({"Time": np.nan}, ["Time of the header must be finite (got nan)"]),
    "nan redshift": ({"Redshift": np.nan}, ["Redshift of the header must be finite"]),
    "nan box": ({"BoxSize": np.nan}, ["BoxSize of the header must be finite (got nan)"]),
    "negative box": ({"BoxSize": -10.0}, ["BoxSize of the header must not be negative"]),
    "two sides": ({"BoxSize": [1e5, 1e5]}, ["BoxSize of the header must be one number or three"]),
    "endless box": ({"BoxSize": 1e300}, ["BoxSize of the header: beyond 1e+08 kpc"]),
    "stale box": ({"BoxSize": 1.0}, ["positions extend over", "along x", "BoxSize", "1.42857 kpc"]),
    "words": ({"Time": "now"}, ["Time of the header is not numeric (got 'now')"]),
    "nothing": ({"Time": []}, ["Time of the header is empty"]),
    "h as H0": ({"HubbleParam": 67.8}, ["the header's h must be between 0.1 and 10 (got 67.8)"]),
    "negative h": ({"HubbleParam": -0.7}, ["the header's h must be between"]),
    "nan MassTable": ({"MassTable": [0.0, np.nan, 0, 0, 0, 0]}, ["MassTable", "must be finite"]),
    "endless MassTable": ({"MassTable": [0.0, np.inf, 0, 0, 0, 0]}, ["MassTable", "finite"]),
    "negative MassTable": (
        {"MassTable": [0.0, -1.0, 0, 0, 0, 0]},
        ["MassTable of the header must not be negative"],
    ),
    "nan unit": ({"UnitLength_in_cm": np.nan}, ["UnitLength_in_cm must be finite (got nan)"]),
    "negative unit": ({"UnitLength_in_cm": -1.0}, ["UnitLength_in_cm must not be negative"]),
    "negative count": (
        {"NumPart_ThisFile": [0, 2000, 0, 0, -1000, 0]},
        ["NumPart_ThisFile of the header must be whole numbers from 0"],
    ),
    "endless count": (
        {"NumPart_ThisFile": [0, 1e300, 0, 0, 1000, 0]},
        ["NumPart_ThisFile of the header must be whole numbers from 0 to 1e+15"],
    ),
    "negative files": ({"NumFilesPerSnapshot": -3}, ["must be a whole number from 1 (got -3.0)"]),
    "odd high word": (
        {"NumFilesPerSnapshot": 2, "NumPart_Total_HighWord": [0, 0]},
        ["NumPart_Total_HighWord of the header has 2 types, NumPart_Total 6"],
    ),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_cannot_be_is_refused_by_the_attribute(bodies, tmp_path, case):
    header, words = HEADERS[case]
    path = write_gadget(tmp_path / "snap.hdf5", bodies, header=header)
    assert str(path) in refusal(spec_of(path), *words)


def test_an_expansion_that_cannot_be_is_refused(bodies, tmp_path):
    path = write_gadget(tmp_path / "snap.hdf5", bodies, a=0.5, header={"OmegaLambda": 10.0})
    spec = spec_of(path)
    del spec["hubble_flow"]
    refusal(spec, "expansion of Omega0 = 0.3 and OmegaLambda = 10", "must be between 0 and")


@pytest.mark.parametrize("units", NAMES)
@pytest.mark.parametrize("size", [-1.0, np.nan, np.inf])
def test_units_of_datasets_that_cannot_be_are_refused(bodies, tmp_path, units, size):
    path = write_gadget(tmp_path / "snap.hdf5", bodies, units=units)
    with h5py.File(path, "r+") as file:
        file["PartType1/Coordinates"].attrs[NAMES[units][0]] = size
    refusal(spec_of(path), f"PartType1/Coordinates: {NAMES[units][0]} must ")


def test_no_particles_are_told_from_no_layout(tmp_path):
    path = write_gadget(tmp_path / "snap.hdf5", {})
    assert refusal(spec_of(path)) == f"{path}: there are no particles"


def test_where_all_stars_are_wind_there_are_no_stars(bodies, tmp_path):
    datasets = {4: {"GFM_StellarFormationTime": -np.ones(1000)}}
    path = write_gadget(tmp_path / "snap.hdf5", bodies, datasets=datasets)
    words = "no particles of kind stars (there are: 2000 dark, 1000 gas)"
    refusal(spec_of(path), words)


def test_a_dataset_in_the_place_of_a_group_is_named(bodies, tmp_path):
    path = write_gadget(tmp_path / "snap.hdf5", bodies)
    with h5py.File(path, "r+") as file:
        del file["PartType4"]
        file["PartType4"] = np.zeros(3)
    refusal(spec_of(path), "PartType4 is a dataset, expected a group")


# ---------------------------------------------------------------------------------------------- several files


def in_each(paths, **attributes):
    for path in paths:
        with h5py.File(path, "r+") as file:
            file["Header"].attrs.update(attributes)


FILES = {
    "a copy": (
        lambda paths: shutil.copy(paths[0], paths[1]),
        ["snap.1.hdf5: a copy of snap.0.hdf5, whose particles would be there twice"],
    ),
    "of another time": (
        lambda paths: in_each(paths[1:2], Time=0.5),
        ["snap.1.hdf5: of another snapshot than snap.0.hdf5: Time is 0.5, not 1.0"],
    ),
    "called the only one": (
        lambda paths: in_each(paths, NumFilesPerSnapshot=1),
        ["the files hold [0, 667, ", "the header says [0, 2000, "],
    ),
    "fewer than there are": (
        lambda paths: in_each(paths, NumFilesPerSnapshot=2),
        ["the files hold [0, 1334, ", "the header says [0, 2000, "],
    ),
    "more than any disk holds": (
        lambda paths: in_each(paths, NumFilesPerSnapshot=10**12),
        ["snap.3.hdf5: missing, one of the 1000000000000 files"],
    ),
    "of other types": (
        lambda paths: in_each(paths[1:2], NumPart_ThisFile=[0, 667, 0]),
        ["the files of this snapshot differ in their types"],
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_files_that_are_not_the_parts_of_one_snapshot_are_refused(bodies, tmp_path, case):
    change, words = FILES[case]
    first = write_gadget(tmp_path / "snap.hdf5", bodies, n_files=3)
    change([tmp_path / f"snap.{k}.hdf5" for k in range(3)])
    refusal(spec_of(first), *words)


def test_a_cutout_may_keep_the_totals_of_what_it_was_cut_out_of(bodies, tmp_path):
    totals = {"NumPart_Total": [0, 10**9, 0, 0, 10**8, 0]}
    make_mock(spec_of(write_gadget(tmp_path / "cutout_7.hdf5", bodies, header=totals))).prepare()


# ---------------------------------------------------------------------------------------------- positions


@pytest.mark.parametrize("place", [0.0, 64.0])
def test_positions_that_are_all_the_same_are_refused(bodies, tmp_path, place):
    path = write_gadget(tmp_path / "snap.hdf5", bodies)
    with h5py.File(path, "r+") as file:
        file["PartType1/Coordinates"][...] = place
    refusal(spec_of(path, centre={}), "PartType1/Coordinates: all 2000 positions are the same")


def test_positions_speeds_and_masses_beyond_any_are_refused(bodies, tmp_path):
    for name, value, words in [
        ("PartType4/Coordinates", 1e300, ["beyond 1e+08 kpc in 1 of 1000 rows (3)"]),
        ("PartType4/Velocities", 4e5, ["beyond 299792 km/s in 1 of 1000 rows (3)"]),
        ("PartType4/Masses", 1e9, ["beyond 1e+17 Msun in 1 of 1000 rows (3)"]),
    ]:
        path = write_gadget(tmp_path / "snap.hdf5", bodies)
        with h5py.File(path, "r+") as file:
            file[name][2] = value
        refusal(spec_of(path), name, "are its units, h and a right?", *words)


def test_particles_without_mass_say_nothing_of_the_centre(bodies, tmp_path):
    """Where all are without mass, the centre is to be stated and its velocity is their mean; where only the inner ones
    are, there are too few.
    """
    path = write_gadget(tmp_path / "snap.hdf5", bodies)
    spec = spec_of(path, centre={"kinds": ["stars"], "position": [0.0, 0.0, 0.0]})
    r = np.linalg.norm(bodies[4].position, axis=1)
    with h5py.File(path, "r+") as file:
        file["PartType4/Masses"][r < 10.5] = 0.0
    refusal(spec, "centre.velocity_radius: 0 particles within 10 kpc have a mass")
    with h5py.File(path, "r+") as file:
        file["PartType4/Masses"][...] = 0.0
    refusal({**spec, "centre": {"kinds": ["stars"]}}, "none of the 1000 stars", "state centre.pos")
    mock = make_mock(spec)
    mean = mock.truth.potential.to_plain()["velocity"]
    assert np.all(np.abs(mean) < 4.0 * 100.0 / np.sqrt(np.count_nonzero(r < 10.0)))


# ---------------------------------------------------------------------------------------------- the box


def test_a_box_of_three_sides_is_unfolded_along_each(bodies, tmp_path):
    """A halo across the boundary of the short side: with the first side for all, half of it is 1300 kpc away."""
    sides = np.array([2600.0, 1300.0, 0.0])
    corner = np.array([1300.0, 1299.0, 5.0])
    moved = {}
    for n, body in bodies.items():
        position = body.position + corner
        position[:, :2] %= sides[:2]
        moved[n] = Body(position, body.velocity, body.mass)
    path = write_gadget(tmp_path / "snap.hdf5", moved, box=sides)
    mock = make_mock(spec_of(path, centre={}))
    r = np.linalg.norm(bodies[1].position, axis=1)
    dark = bodies[1].mass * np.count_nonzero(r < 200.0)
    stars = bodies[4].mass[np.linalg.norm(bodies[4].position, axis=1) < 200.0].sum()
    noise = 1.0 / np.sqrt(np.count_nonzero(r < 200.0))
    assert abs(mock.truth.profile("enclosed_mass", 200.0) / (dark + stars) - 1.0) < noise


# ---------------------------------------------------------------------------------------------- settings

SETTINGS = {
    "h": ({"h": 1e300}, ["mock: h must be between 0.1 and 10 (got 1e+300)"]),
    "a": ({"a": 0.0}, ["mock: a must be between 0.01 and 100 (got 0.0)"]),
    "h0": ({"h0": 1e300}, ["mock: h0 must be between"]),
    "overdensity": ({"overdensity": 1e-300}, ["mock: overdensity must be between"]),
    "contraction": ({"hubble_flow": -70.0}, ["hubble_flow must be between 0 and 100000 km/s/Mpc"]),
    "explosion": ({"hubble_flow": 1e300}, ["hubble_flow must be between 0 and 100000 km/s/Mpc"]),
    "speed": ({"centre": {"velocity": [1e300, 0.0, 0.0]}}, ["below that of light"]),
    "far": ({"centre": {"position": [1e300, 0.0, 0.0]}}, ["centre.position: beyond 1e+08 kpc"]),
    "far guess": ({"centre": {"guess": [1e300, 0.0, 0.0]}}, ["centre.guess: beyond 1e+08 kpc"]),
    "wide": ({"orientation": {"radius": 1e300}}, ["orientation: radius must be above 0 and up"]),
    "r_range": ({"tracers": {"r_range": [1e-300, 1.0]}}, ["r_range must rise, from 0.001 to"]),
    "solar": (
        {"tracers": {"feh": {"dataset": "Z", "solar": 1e-320}}},
        ["solar must be a mass fraction from 1e-15 to 1"],
    ),
    "select": ({"tracers": {"select": [["Z", 1, 0]]}}, ["select: Z from 1 to 0 leaves nothing"]),
    "select of a disc": (
        {"orientation": {"select": [["Z", 1, 0]]}},
        ["select: Z from 1 to 0 leaves nothing"],
    ),
    "tracers twice": (
        {"tracers": {"kinds": ["stars", "stars"]}},
        ["mock.tracers: each kind is named once (more often: stars)"],
    ),
    "centre twice": (
        {"centre": {"kinds": ["dark", "stars", "dark"]}},
        ["mock.centre: each kind is named once (more often: dark)"],
    ),
    "orientation twice": (
        {"orientation": {"kinds": ["stars", "stars"]}},
        ["mock.orientation: each kind is named once (more often: stars)"],
    ),
    "type of two kinds": (
        {"types": {"dark": [1, 4]}},
        ["a type is named once, of one kind (more often: [4])"],
    ),
    "type twice": ({"types": {"dark": [1, 1]}}, ["a type is named once", "[1]"]),
    "no dark type": ({"types": {"dark": []}}, ["types = { dark = [1] }"]),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_cannot_be_meant_are_refused(bodies, tmp_path, case):
    settings, words = SETTINGS[case]
    path = write_gadget(tmp_path / "snap.hdf5", bodies)
    refusal(spec_of(path, **settings), *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1e400 kpc", "'1e400 kpc' is not a positive, finite unit"),
        ("1e-300 kpc", "the unit must be 1e-40 to 1e+40 kpc, km/s or Msun (got 1e-300)"),
        ("h^-99999 kpc", "the unit must be 1e-40 to 1e+40 kpc, km/s or Msun (got inf)"),
    ],
)
def test_units_that_are_no_size_are_refused(bodies, tmp_path, text, words):
    path = write_gadget(tmp_path / "snap.hdf5", bodies, units="none")
    refusal(spec_of(path, units={**HABIT, "length": text}), words)


@pytest.mark.parametrize("dimension", HABIT)
def test_negative_units_are_refused_by_their_name(bodies, tmp_path, dimension):
    path = write_gadget(tmp_path / "snap.hdf5", bodies, units="none")
    text = f"-1 {INSIDE[dimension]}"
    words = f"units.{dimension}: {text!r} is not a positive, finite unit"
    refusal(spec_of(path, units={**HABIT, dimension: text}), words)


def test_a_unit_that_contradicts_the_file_is_told_as_one_writes_it(bodies, tmp_path):
    path = write_gadget(tmp_path / "snap.hdf5", bodies)
    for dimension, text in HABIT.items():
        refusal(
            spec_of(path, units={dimension: f"2 {INSIDE[dimension]}"}),
            f"({text}); leave it out",
        )


@pytest.mark.parametrize(
    ("unit", "dimension", "text"),
    [
        (Unit(1.0, 1.0, -1.0), "length", "a kpc/h"),
        (Unit(1e3, 1.0, 0.0), "length", "1000 a kpc"),
        (Unit(1.0, 0.5, 0.0), "velocity", "sqrt(a) km/s"),
        (Unit(1e10, 0.0, -1.0), "mass", "1e10 Msun/h"),
        (Unit(2.5e-20, -1.5, 2.0), "length", "2.5e-20 a^-1.5 kpc h^2"),
    ],
)
def test_units_are_written_as_they_are_read(unit, dimension, text):
    assert unit.written(dimension) == text
    assert parse_unit(text, dimension, "units") == unit


# ---------------------------------------------------------------------------------------------- abundances


def test_abundances_of_the_other_kind_are_refused(bodies, tmp_path):
    """Dex where solar asks for mass fractions would all be the floor; -99 stands for what has none."""
    dex = np.linspace(-2.5, 0.2, 1000)
    datasets = {
        4: {
            "dex": dex,
            "marked": np.where(dex < -2.0, -99.0, dex),
            "fraction": np.where(dex < -2.0, -1e-9, 0.01),
            "cube": np.ones((1000, 3, 2)),
        }
    }
    path = write_gadget(tmp_path / "snap.hdf5", bodies, datasets=datasets)

    def spec(**feh):
        return spec_of(path, tracers={"feh": feh})

    refusal(spec(dataset="dex", solar=0.0134), "dex: no mass fraction", "leave solar out")
    refusal(spec(dataset="marked"), "marked: no abundance in dex", "leave them out by select")
    refusal(spec(dataset="cube", index=0), "cube: has the shape", "expected (N,) or (N, K)")
    stars = make_mock(spec(dataset="fraction", solar=0.0134)).stars
    assert set(np.round(stars.feh, 6)) == {-5.0, np.round(np.log10(0.01 / 0.0134), 6)}


# ---------------------------------------------------------------------------------------------- plain tables

WHERE = {"position": ["x", "y", "z"], "velocity": ["vx", "vy", "vz"], "mass": "m"}
DARK = {"kind": "dark", "select": [["type", 1, 1]], **WHERE}
STARS = {"kind": "stars", "select": [["type", 4, 4]], **WHERE}


@pytest.fixture
def table(bodies, tmp_path):
    """Spec of a plain table, by its entries."""
    parts = list(bodies.values())
    columns = {
        prefix + axis: np.concatenate([getattr(body, name)[:, i] for body in parts])
        for prefix, name in (("", "position"), ("v", "velocity"))
        for i, axis in enumerate("xyz")
    }
    columns["m"] = np.concatenate([body.masses for body in parts])
    columns["type"] = np.repeat([1, 4], [len(body) for body in parts])
    path = tmp_path / "t.parquet"
    Table(columns).write(path)
    return lambda *entries, **more: spec_of(path, units=INSIDE, tables=list(entries), **more)


TABLES = {
    "negative mass": ([DARK, {**STARS, "mass": -1e5}], ["tables.1: mass must not be negative"]),
    "mass of nothing": (
        [{**DARK, "mass": 0.0}, STARS],
        ["t.parquet: all 2000 dark particles have a mass of zero", "state potential"],
    ),
    "mass of all": ([{**DARK, "mass": 1e300}, STARS], ["mass of the table of dark: beyond 1e+17"]),
    "rows of two kinds": (
        [{**DARK, "select": []}, {**STARS, "select": []}],
        ["t.parquet: tables.0 (dark) and tables.1 (stars) both take 3000 rows", "select"],
    ),
    "rows twice": ([DARK, STARS, STARS], ["tables.1 (stars) and tables.2 (stars) both take 1000"]),
    "axis twice": (
        [DARK, {**STARS, "position": ["x", "x", "z"]}],
        ["tables.1: each column is named once (more often: x)"],
    ),
    "velocity as position": (
        [DARK, {**STARS, "velocity": ["x", "vy", "vz"]}],
        ["tables.1: each column is named once (more often: x)"],
    ),
    "select": (
        [DARK, {**STARS, "select": [["type", 4, 1]]}],
        ["tables.1: select: type from 4 to 1 leaves nothing"],
    ),
    "no row left": (
        [{**DARK, "select": [["type", 9, 9]]}],
        ["t.parquet: there are no particles, select leaves none of the rows"],
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_that_cannot_be_meant_are_refused(table, case):
    entries, words = TABLES[case]
    refusal(table(*entries), *words)


def test_types_beside_tables_are_refused(table):
    refusal(table(DARK, STARS, types={"dark": [1, 2]}), "mock.types: is of GADGET's layout")


def test_two_tables_of_one_kind_that_share_no_row_are_one(table):
    near, far = (
        {**STARS, "select": [*STARS["select"], ["x", *x]]} for x in ((-1e4, 0), (1e-9, 1e4))
    )
    assert len(make_mock(table(DARK, near, far)).stars) == len(make_mock(table(DARK, STARS)).stars)


def test_stars_may_have_a_mass_of_zero(table):
    assert len(make_mock(table(DARK, {**STARS, "mass": 0.0})).stars) > 0


@pytest.mark.parametrize("end", ["parquet", "hdf5", "fits", "csv"])
def test_a_table_without_rows_says_so(tmp_path, end):
    columns = {name: np.empty(0) for name in ("x", "y", "z", "vx", "vy", "vz", "m", "type")}
    path = tmp_path / f"t.{end}"
    if end == "hdf5":
        with h5py.File(path, "w") as file:
            file.update(columns)
    else:
        Table(columns).write(path)
    spec = spec_of(path, units=INSIDE, tables=[DARK, STARS])
    assert re.fullmatch(rf"{re.escape(str(path))}: there are no rows", refusal(spec))


def test_a_number_in_the_place_of_a_column_is_refused(bodies, tmp_path):
    path = write_gadget(tmp_path / "snap.hdf5", bodies)
    with h5py.File(path, "r+") as file:
        del file["PartType4/Masses"]
        file["PartType4/Masses"] = 3.0
    refusal(spec_of(path), "PartType4/Masses: has the shape (), expected (N,)")
