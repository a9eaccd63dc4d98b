"""Snapshots that cannot serve: one line that says what, where and what is allowed; content decides what is known."""

from __future__ import annotations

import os
import re
import shutil
import sys

import h5py
import numpy as np
import pytest
from simulated_halo import HABIT, spec_of, write_gadget

from haloassay.base.errors import InputError
from haloassay.face.cli import main
from haloassay.mocks import make_mock
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import make_scenario

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def path(bodies, tmp_path):
    return write_gadget(tmp_path / "snap.hdf5", bodies)


def edited(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def put(dataset, row, value):
    def change(file):
        file[dataset][row] = value

    return change


def drop(*names):
    def change(file):
        for name in names:
            del file[name]

    return change


def set_header(**attributes):
    return lambda file: file["Header"].attrs.update(attributes)


DAMAGED = {
    "no velocities": (
        drop("PartType4/Velocities"),
        {},
        ["PartType4/Velocities is missing", "Coordinates"],
    ),
    "no positions": (drop("PartType1/Coordinates"), {}, ["PartType1/Coordinates is missing"]),
    "no masses": (drop("PartType4/Masses"), {}, ["PartType4 has no Masses, and MassTable none"]),
    "no group": (drop("PartType4"), {}, ["PartType4 is missing", "1000 particles"]),
    "nan position": (
        put("PartType4/Coordinates", slice(3, 10, 6), np.nan),
        {},
        ["PartType4/Coordinates", "NaN or infinite in 2 of 1000 rows (4, 10)"],
    ),
    "nan velocity": (put("PartType4/Velocities", 0, np.inf), {}, ["1 of 1000 rows (1)"]),
    "negative mass": (put("PartType4/Masses", 5, -1.0), {}, ["PartType4/Masses", "negative in 1"]),
    "another count": (
        set_header(NumPart_ThisFile=np.array([0, 1999, 0, 0, 1000, 0])),
        {},
        ["has 2000 rows, the header promises 1999"],
    ),
    "unknown type": (
        lambda file: (
            file.copy("PartType4", "PartType2"),
            file["Header"].attrs.modify("NumPart_ThisFile", np.array([0, 2000, 1000, 0, 1000, 0])),
        ),
        {},
        ["PartType2 holds 1000 particles of no known kind", "types = { dark = [1, 2] }"],
    ),
    "no header counts": (
        lambda file: file["Header"].attrs.__delitem__("NumPart_ThisFile"),
        {},
        ["no NumPart_ThisFile", "name its datasets in tables"],
    ),
    "empty stars": (
        lambda file: (
            file.__delitem__("PartType4"),
            file["Header"].attrs.modify("NumPart_ThisFile", np.array([0, 2000, 0, 0, 0, 0])),
        ),
        {},
        ["no particles of kind stars (there are: 2000 dark)"],
    ),
    "no dark matter": (
        lambda file: (
            file.__delitem__("PartType1"),
            file["Header"].attrs.modify("NumPart_ThisFile", np.array([0, 0, 0, 0, 1000, 0])),
        ),
        {},
        ["there are no dark particles (1000 stars)", "state potential"],
    ),
    "lost cosmology": (
        lambda file: file["Header"].attrs.__delitem__("OmegaLambda"),
        {"hubble_flow": None},
        ["OmegaLambda", "state hubble_flow"],
    ),
    "too few in reach": (
        None,
        {"tracers": {"r_range": [1e4, 2e4]}},
        ["no stars particle is within r_range"],
    ),
    "no such dataset": (
        None,
        {"tracers": {"select": [["Age", 0, 1]]}},
        ["PartType4/Age is missing", "Velocities"],
    ),
    "column of one": (
        None,
        {"tracers": {"feh": {"dataset": "Masses", "index": 2}}},
        ["Masses: index must be left out"],
    ),
    "select of vectors": (
        None,
        {"tracers": {"select": [["Velocities", 0, 1]]}},
        ["select: Velocities has several columns"],
    ),
    "too few tracers": (
        None,
        {"tracers": {"r_range": [290, 300]}},
        ["stars", "at least two are needed"],
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_snapshots_are_refused_in_one_line(path, case):
    change, settings, words = DAMAGED[case]
    if change:
        edited(path, change)
    spec = {key: value for key, value in spec_of(path, **settings).items() if value is not None}
    with pytest.raises(InputError) as refusal:
        make_mock(spec).prepare()
    message = str(refusal.value)
    assert "\n" not in message
    assert "snap" in message or "moments" in message
    for word in words:
        assert word in message, message


def test_unknown_units_are_refused_with_how_to_state_them(bodies, tmp_path):
    path = write_gadget(tmp_path / "snap.hdf5", bodies, units="none")
    for given, missing in [
        ({}, "Coordinates: the unit is not known: state units.length, such as 'kpc', or 'a kpc/h'"),
        (
            {"length": "kpc", "velocity": "km/s"},
            "state units.mass, such as 'Msun', or '1e10 Msun/h'",
        ),
        (
            {"length": "kpc", "mass": "Msun"},
            "state units.velocity, such as 'km/s', or 'sqrt(a) km/s'",
        ),
    ]:
        with pytest.raises(InputError, match=re.escape(missing)):
            make_mock(spec_of(path, units=given)).prepare()


def test_dark_particles_alone_can_be_both_halo_and_tracers(bodies, tmp_path):
    path = write_gadget(tmp_path / "dark.hdf5", {1: bodies[1]})
    mock = make_mock(spec_of(path, tracers={"kinds": ["dark"]}))
    assert mock.origins[0].name == "dark"
    assert np.isfinite(mock.truth.m200)


def test_stars_alone_serve_in_a_stated_potential(bodies, tmp_path):
    path = write_gadget(tmp_path / "stars.hdf5", {4: bodies[4]})
    nfw = {"kind": "nfw", "m200": 1e12, "c": 10.0}
    assert make_mock(spec_of(path, potential=nfw)).truth.m200 == pytest.approx(1e12)


def test_a_missing_part_is_named(bodies, tmp_path):
    first = write_gadget(tmp_path / "snap.hdf5", bodies, n_files=3)
    make_mock(spec_of(tmp_path / "snap.2.hdf5")).prepare()
    (tmp_path / "snap.1.hdf5").rename(tmp_path / "elsewhere.hdf5")
    with pytest.raises(InputError, match=r"snap\.1\.hdf5: missing, one of the 3 files"):
        make_mock(spec_of(first))
    with pytest.raises(InputError, match=r"not of the form NAME\.0\.hdf5"):
        make_mock(spec_of(tmp_path / "elsewhere.hdf5"))
    whole = write_gadget(tmp_path / "whole.hdf5", bodies, header={"NumFilesPerSnapshot": 600})
    make_mock(spec_of(whole)).prepare()


def test_files_of_other_counts_than_promised_are_refused(bodies, tmp_path):
    first = write_gadget(tmp_path / "snap.hdf5", bodies, n_files=3)
    for k in range(3):
        edited(
            tmp_path / f"snap.{k}.hdf5",
            set_header(NumPart_Total=np.array([0, 2001, 0, 0, 1000, 0])),
        )
    with pytest.raises(
        InputError, match=r"the files hold \[0, 2000, .* the header says \[0, 2001, "
    ):
        make_mock(spec_of(first)).prepare()


# ---------------------------------------------------------------------------------------------- the command

SCENARIO = """
name = "simulated"
realizations = 2
[mock]
kind = "snapshot"
file = "{file}"
{more}
[survey]
n_stars = 100
[[estimators]]
kind = "velocity-ellipsoid"
bins = [5.0, 100.0]
"""


def truncate(path):
    path.write_bytes(path.read_bytes()[:5000])


FILES = {
    "missing": (lambda path: path.unlink(), "", ["no such file"]),
    "truncated": (truncate, "", ["not readable as HDF5"]),
    "not HDF5": (lambda path: path.write_text("hello"), "", ["not readable as HDF5"]),
    "empty": (lambda path: path.write_bytes(b""), "", ["not readable as HDF5"]),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "", ["is a folder"]),
    "plain": (
        lambda path: edited(path, drop("Header")),
        "",
        ["not in GADGET's HDF5 layout", "tables"],
    ),
    "unknown setting": (None, "centra = 1", ["unknown setting 'centra'", "centre"]),
    "unknown viewpoint": (None, 'viewpoint = "above"', ["viewpoint", "random-azimuth"]),
    "bad unit": (None, 'units = { length = "furlong" }', ["'furlong' is not a unit of length"]),
    "bad digest": (None, 'digest = "00"', ["digest", "another one"]),
    "tables no list": (None, "tables = 3", ["tables: expected a list"]),
    "no such column": (
        None,
        'tables = [{ position = "pos", velocity = "v" }]',
        ["unknown column 'pos'", "PartType4/Coordinates"],
    ),
    "tables without velocity": (
        None,
        'tables = [{ position = "PartType4/Coordinates" }]\nunits = { length = "kpc" }\n'
        'potential = { kind = "nfw", m200 = 1e12, c = 10.0 }',
        ["the table of stars names no velocity"],
    ),
    "massless without potential": (
        None,
        'tables = [{ position = "PartType4/Coordinates", velocity = "PartType4/Velocities" }]\n'
        'units = { length = "kpc", velocity = "km/s" }',
        ["stars particles have no mass", "state potential"],
    ),
    "no velocities": (lambda path: edited(path, drop("PartType4/Velocities")), "", ["Velocities"]),
}


@pytest.mark.parametrize("case", FILES)
def test_the_command_refuses_in_one_line_and_writes_nothing(
    path, tmp_path, monkeypatch, capsys, case
):
    change, more, words = FILES[case]
    if change:
        change(path)
    (tmp_path / "simulated.toml").write_text(SCENARIO.format(file="snap.hdf5", more=more))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["haloassay", "run", "simulated.toml", "--out", "out"])
    with pytest.raises(SystemExit) as stop:
        main()
    printed = capsys.readouterr()
    assert stop.value.code == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    assert "simulated.toml: " in printed.err
    assert not (tmp_path / "out").exists()
    for word in words:
        assert word in printed.err, printed.err


def test_paths_are_relative_to_the_working_directory(path, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    make_mock({"kind": "snapshot", "file": "snap.hdf5"})
    monkeypatch.chdir(elsewhere)
    with pytest.raises(InputError, match=r"relative to the working directory, .*elsewhere\)"):
        make_mock({"kind": "snapshot", "file": "snap.hdf5"})


# ---------------------------------------------------------------------------------------------- content


def cell_key(path):
    scenario = make_scenario(
        {
            "name": "simulated",
            "mock": spec_of(path),
            "survey": {"n_stars": 10},
            "estimators": [{"kind": "velocity-ellipsoid", "bins": [5.0, 100.0]}],
        }
    )
    return make_plan(scenario).cells[0].key


def test_another_content_is_another_mock(path, tmp_path):
    """One changed number, at equal size and time of the file, changes the key, the digest and the truth."""
    key, stars = cell_key(path), make_mock(spec_of(path)).stars
    assert cell_key(path) == key
    state = path.stat()
    edited(path, put("PartType4/Velocities", slice(None), 1.0))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (state.st_size, state.st_mtime_ns)
    assert cell_key(path) != key
    assert not np.array_equal(make_mock(spec_of(path)).stars.velocity, stars.velocity)


def test_equal_content_is_read_once(path, tmp_path):
    """A copy elsewhere has the digest of the first, and its particles come from the cache."""
    digest = make_mock(spec_of(path)).digest
    make_mock(spec_of(path)).prepare()
    copy = tmp_path / "copy.hdf5"
    shutil.copy(path, copy)
    mock = make_mock(spec_of(copy, digest=digest))
    copy.unlink()
    assert len(mock.stars) == len(make_mock(spec_of(path)).stars)


def test_stated_units_are_part_of_the_content(bodies, tmp_path):
    path = write_gadget(tmp_path / "snap.hdf5", bodies, units="none")
    masses = [
        float(
            make_mock(spec_of(path, units=HABIT | {"mass": unit})).truth.profile(
                "enclosed_mass", 50.0
            )
        )
        for unit in ("1e10 Msun/h", "1e10 Msun")
    ]
    assert masses[0] == pytest.approx(masses[1] / 0.7)
