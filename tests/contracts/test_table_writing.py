"""What is written is read back, with units and the Sun, in every format; and whose file is replaced by it."""

from __future__ import annotations

import json
import os
import stat

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from catalogue_samples import phase_space, stars
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from haloassay.base.errors import InputError
from haloassay.contracts import frames
from haloassay.contracts.catalogue import GALACTOCENTRIC, Catalogue
from haloassay.io.tables import read_catalogue, write_catalogue

SUFFIXES = [
    ".fits", ".fits.gz", ".ecsv", ".ecsv.gz", ".csv", ".csv.gz", ".parquet", ".hdf5", ".h5.gz", ".vot", ".xml.gz",
    ".txt", ".txt.gz", ".dat",
]  # fmt: skip
NUMBERS = st.floats(-200.0, 200.0, allow_subnormal=False).filter(
    lambda v: v == 0 or abs(v) > 1e-200
)


@st.composite
def catalogues(draw):
    n = draw(st.integers(1, 5))
    values = draw(arrays(float, (6, n), elements=NUMBERS, unique=True))
    columns = dict(zip(GALACTOCENTRIC, values, strict=True))
    if draw(st.booleans()):
        columns["feh"] = draw(arrays(float, n, elements=st.floats(-3.0, 0.5)))
    sun = frames.Sun(
        -draw(st.floats(7.0, 9.0)), draw(st.floats(-0.1, 0.1)), *draw(st.tuples(*[NUMBERS] * 3))
    )
    return Catalogue(columns, sun)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(catalogue=catalogues())
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_catalogue_comes_back_as_it_was(tmp_path, suffix, catalogue):
    path = tmp_path / f"stars{suffix}"
    write_catalogue(catalogue, path, notes={"origins": "smooth, gse"})
    back = read_catalogue(path, speed_limit=1e9, drop="unphysical")
    kept = catalogue.r > 0.0
    assert set(back.columns) == set(catalogue.columns)
    for name, values in catalogue.columns.items():
        np.testing.assert_array_equal(back[name], values[kept], err_msg=name)
    assert back.sun == catalogue.sun
    assert back.sun_from == "that of the file"


@pytest.mark.parametrize("suffix", [".fits", ".parquet"])
def test_a_long_catalogue_is_written_in_blocks(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("haloassay.io.formats.writing._ROW_GROUP", 7)
    catalogue = Catalogue.from_arrays(**phase_space(100))
    path = tmp_path / f"stars{suffix}"
    write_catalogue(catalogue, path)
    back = Table.read(path)
    for name, values in catalogue.columns.items():
        np.testing.assert_array_equal(back[name], values, err_msg=name)
    assert path.stat().st_size % 2880 == 0 or suffix != ".fits"


@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_units_of_a_text_are_those_of_its_head(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_catalogue(Catalogue.from_arrays(**phase_space()), path)
    path.write_text(path.read_text().replace('"x": "kpc"', '"x": "pc"'))
    read = read_catalogue(path)
    np.testing.assert_allclose(read["x"], 1e-3 * phase_space()["x"], rtol=1e-14)
    np.testing.assert_allclose(read["y"], phase_space()["y"], rtol=1e-14)
    for broken in ('"x": 3', '"x": "kpc'):
        path.write_text(path.read_text().replace('"x": "pc"', broken))
        with pytest.raises(InputError, match="does not name a unit for each"):
            read_catalogue(path)
        path.write_text(path.read_text().replace(broken, '"x": "pc"'))


def test_others_skip_the_head_of_a_text(tmp_path):
    columns = stars()
    write_catalogue(Catalogue.from_arrays(**columns), tmp_path / "a.csv")
    write_catalogue(Catalogue.from_arrays(**columns), tmp_path / "a.txt")
    expected = np.stack([*columns.values()], axis=1)
    frame = pd.read_csv(tmp_path / "a.csv", comment="#", float_precision="round_trip")
    assert list(frame) == list(columns)
    np.testing.assert_array_equal(frame.to_numpy(), expected)
    table = Table.read(tmp_path / "a.csv", format="ascii.csv", comment="#")
    assert table.colnames == list(columns)
    head = sum(line.startswith("#") for line in (tmp_path / "a.csv").read_text().splitlines())
    rows = np.loadtxt(tmp_path / "a.csv", delimiter=",", skiprows=head + 1)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "a.txt"), expected)
    np.testing.assert_array_equal(np.genfromtxt(tmp_path / "a.txt"), expected)
    spaced = pd.read_csv(tmp_path / "a.txt", comment="#", sep=r"\s+", header=None)
    assert spaced.shape == expected.shape
    last = [line for line in (tmp_path / "a.txt").read_text().splitlines() if line[0] == "#"][-1]
    assert last.split() == ["#", *columns]  # where topcat looks for names


def test_units_of_a_votable_are_read_by_astropy(tmp_path):
    write_catalogue(Catalogue.from_arrays(**stars()), tmp_path / "a.vot")
    table = Table.read(tmp_path / "a.vot")
    assert table["distance"].unit == u.kpc
    np.testing.assert_array_equal(table["vlos"], stars()["vlos"])


@pytest.mark.parametrize("suffix", [".csv", ".fits", ".parquet", ".hdf5"])
def test_a_link_of_the_user_is_followed_and_what_it_leads_to_replaced_whole(tmp_path, suffix):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / f"b{suffix}", tmp_path / f"a{suffix}"
    target.write_text("old")
    link.symlink_to(target)
    write_catalogue(Catalogue.from_arrays(**stars()), link)
    assert link.is_symlink()
    np.testing.assert_array_equal(read_catalogue(target)["ra"], stars()["ra"])
    assert [p.name for p in target.parent.iterdir()] == [target.name]


def test_a_new_file_has_the_rights_of_any_other(tmp_path):
    write_catalogue(Catalogue.from_arrays(**stars()), tmp_path / "a.csv")
    (tmp_path / "b").touch()
    modes = {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("a.csv", "b")}
    assert len(modes) == 1


def test_a_sun_of_numbers(tmp_path):
    write_catalogue(Catalogue.from_arrays(**stars()), tmp_path / "a.csv")
    numbers = {"x": -8.2, "z": 0.02, "vx": 11.1, "vy": 245.0, "vz": 7.3}
    text = ",".join(f"{name} = {value}" for name, value in numbers.items())
    for sun in (numbers, text, frames.Sun(**numbers)):
        read = read_catalogue(tmp_path / "a.csv", sun=sun)
        assert read.sun == frames.Sun(-8.2, 0.02, 11.1, 245.0, 7.3)
        assert read.sun_from == "as asked for"
    assert read_catalogue(tmp_path / "a.csv", sun="bird2022").sun_from == "bird2022, as asked for"
    pd.DataFrame(stars()).to_csv(tmp_path / "b.csv", index=False)
    assert read_catalogue(tmp_path / "b.csv").sun_from == "li2026, the default"


@pytest.mark.parametrize(
    ("sun", "message"),
    [
        ("x=-8.2,z=0.02", "sun: vx, vy, vz missing"),
        ({"x": -8.2}, "sun: z, vx, vy, vz missing"),
        ("x=8.2,z=0,vx=1,vy=2,vz=3", "the Sun stands at x < 0"),
        ("x=-8.2,z=0,vx=1,vy=2,vz=fast", "sun.vz: expected a number"),
        ("x=-8.2,z=0,vx=1,vy=2,vz=inf", "sun.vz"),
        ("x=-8.2,x=-8,z=0,vx=1,vy=2,vz=3", "sun: x stated more than once"),
        ("r=8.2", "sun: unknown setting 'r'"),
        ("mine", "unknown Sun 'mine'.*or numbers: x=...,z=...,vx"),
    ],
)
def test_a_sun_that_is_none(tmp_path, sun, message):
    pd.DataFrame(stars()).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(InputError, match=message) as error:
        read_catalogue(tmp_path / "b.csv", sun=sun)
    assert "\n" not in str(error.value)


def test_a_sun_in_a_file_has_all_its_numbers(tmp_path):
    write_catalogue(Catalogue.from_arrays(**stars()), tmp_path / "a.csv")
    whole = json.dumps({"x": -8.122, "z": 0.0208, "vx": 12.9, "vy": 245.6, "vz": 7.78})
    text = (tmp_path / "a.csv").read_text()
    assert whole in text
    (tmp_path / "a.csv").write_text(text.replace(whole, '{"x": -8.0}'))
    with pytest.raises(InputError, match="metadata SUN: z, vx, vy, vz missing"):
        read_catalogue(tmp_path / "a.csv")
