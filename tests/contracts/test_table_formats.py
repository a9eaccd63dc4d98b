"""Formats of tables: round trips, what a file may look like, and what cannot be read."""

from __future__ import annotations

import gzip

import astropy.units as u
import h5py
import numpy as np
import pytest
from astropy.table import QTable, Table
from catalogue_samples import (
    SEGUE_COLUMNS,
    SEGUE_SUN,
    phase_space,
    stars,
    write_csv,
)

from haloassay.base.errors import InputError
from haloassay.contracts import frames
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.columns import HELIOCENTRIC
from haloassay.io.tables import (
    from_table,
    read_catalogue,
    write_catalogue,
)

SUFFIXES = [".fits", ".fits.gz", ".ecsv", ".csv", ".parquet", ".hdf5", ".txt", ".dat"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("columns", [stars(), phase_space(), stars(1)], ids=["sky", "xyz", "one"])
def test_round_trip(tmp_path, suffix, columns):
    catalogue = Catalogue.from_arrays(sun=frames.SUNS["zhai2018"], **columns)
    path = tmp_path / f"stars{suffix}"
    write_catalogue(catalogue, path)
    back = read_catalogue(path)
    assert set(back.columns) == set(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(back[name], values, err_msg=name)
    assert back.sun == catalogue.sun
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".parquet", ".hdf5"])
def test_stated_units_are_converted(tmp_path, suffix):
    columns = stars()
    table = Catalogue.from_arrays(**columns).to_table()
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
    back = from_table(kind(catalogue.to_table()))
    assert back.sun == catalogue.sun
    for name, values in catalogue.columns.items():
        np.testing.assert_array_equal(back[name], values)


def test_masked_entries_count_as_missing():
    table = Table(stars(), masked=True)
    table["vlos"].mask[2] = True
    with pytest.raises(InputError, match=r"vlos is NaN or infinite in 1 row \(3\)"):
        from_table(table)


def test_datasets_of_vectors(tmp_path):
    columns = phase_space()
    values = np.stack(list(columns.values()), axis=1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["stars/x"], file["stars/v"] = values[:, :3], values[:, 3:]
    read = read_catalogue(tmp_path / "a.h5", "position=stars/x,velocity=stars/v")
    np.testing.assert_array_equal(read.position, values[:, :3])
    np.testing.assert_array_equal(read.velocity, values[:, 3:])


@pytest.mark.parametrize("transpose", [None, True])
def test_transposed_text(tmp_path, transpose):
    columns = phase_space(n=50)
    np.savetxt(tmp_path / "a.txt", np.insert(np.stack(list(columns.values())), 3, -1.0, axis=0))
    read = read_catalogue(tmp_path / "a.txt", "x,y,z,_,vx,vy,vz", transpose=transpose)
    for name, values in columns.items():
        np.testing.assert_allclose(read[name], values, rtol=1e-15)


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


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("x,y,z,vx,vy,vz\n", {}, "there are no rows"),
        ("", {}, "not readable as CSV|no rows|have no names"),
        ("x,y,z,vx,vy\n1,2,3,4,5\n", {}, "missing column vz for galactocentric x y z vx vy vz"),
        (
            "X,y,Z,VX,VY,VZ\n1,2,3,4,5,6\n",
            {},
            r"x, z, vx, vy, vz for .*: columns x=X,z=Z,vx=VX,vy=VY,vz=VZ$",
        ),
        ("RA,DEC,D\n1,2,3\n", {}, r"missing columns ra, dec, distance, .*: columns ra=RA,dec=DEC$"),
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
    table = Catalogue.from_arrays(**stars()).to_table()
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


@pytest.mark.parametrize(("name", "rows"), [("YPP24sgr_50+", 253), ("YPP24sgr_40+", 531)])
def test_transposed_segue_giants(shared_data, name, rows):
    path = shared_data / "segue-kgiants" / f"KGiant_{name}.txt"
    read = read_catalogue(path, SEGUE_COLUMNS, sun=SEGUE_SUN, speed_limit=1e5)
    assert len(read) == rows


def test_opdf_halo(shared_data):
    read = read_catalogue(
        shared_data / "opdf" / "mockhalo.hdf5",
        "position=x,velocity=v",
        units={"position": 1.0 / 0.73},
    )
    with h5py.File(shared_data / "opdf" / "mockhalo.hdf5") as file:
        radii = np.linalg.norm(file["x"][()], axis=1) / 0.73
    np.testing.assert_allclose(read.r, radii, rtol=1e-6)  # stored in single precision


def test_gaia_challenge(shared_data):
    path = shared_data / "gaia-challenge" / "PlumCuspOm_df_1000_0.dat"
    read = read_catalogue(path, "x,y,z,vx,vy,vz")
    np.testing.assert_array_equal(read.position, np.loadtxt(path)[:, :3])


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_damaged_fits_header_is_not_read_for_ever(tmp_path, pack):
    """270 bytes of it kept astropy busy until the memory was full."""
    cards = (b"SIMPLE  =    --              T", b"BITPIX  = 8", b"NAXIS   = 0", b"END")
    path = tmp_path / ("stars.fits" if pack is bytes else "stars.fits.gz")
    path.write_bytes(pack(b"".join(card.ljust(80) for card in cards).ljust(2880)))
    with pytest.raises(InputError, match="not readable as FITS"):
        read_catalogue(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_damaged_texts_of_hdf5_are_not_read_for_ever(tmp_path, pack):
    """A length of 0 in the place of that of the free space: a step to the same place."""
    path = tmp_path / "stars.hdf5"
    with h5py.File(path, "w") as file:
        file["ra"] = [1.0, 2.0]
        file["ra"].attrs["unit"] = "deg"
    whole = bytearray(path.read_bytes())
    heap = whole.index(b"GCOL")
    free = heap + 16 + 16 + 8  # behind the heading and "deg", which takes 8 bytes
    assert whole[free : free + 2] == b"\0\0"
    whole[free + 8 : free + 16] = bytes(8)
    path = tmp_path / ("damaged.hdf5" if pack is bytes else "damaged.hdf5.gz")
    path.write_bytes(pack(bytes(whole)))
    with pytest.raises(InputError, match="not readable as HDF5: its texts are damaged"):
        read_catalogue(path)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("suffix", [".fits", ".ecsv", ".votable", ".hdf5", ".parquet"])
def test_truth_values_are_no_numbers(tmp_path, suffix, masked):
    names = ("x", "y", "z", "vx", "vy")
    table = Table({name: np.arange(1.0, 5.0) for name in names}, masked=masked)
    table["vz"] = np.array([True, False, True, True])
    if masked:
        table["vz"].mask[1] = True
    path = tmp_path / f"a{suffix}"
    if suffix == ".votable":
        table.write(path, format="votable")
    elif suffix == ".hdf5":
        table.write(path, path="stars", serialize_meta=True)
    else:
        table.write(path)
    with pytest.raises(InputError, match="column vz is not numeric"):
        read_catalogue(path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_fits_file_is_refused_wherever_it_ends(tmp_path, packed, recwarn):
    """Also where every row of it is there, and where a header ends early; at the end of a table, another may follow."""
    path = tmp_path / "stars.fits"
    write_catalogue(Catalogue.from_arrays(**stars(200)), path)
    whole = path.read_bytes()
    for length in (100, 2870, 2890, 5000, len(whole) // 2, len(whole) - 2880, len(whole) - 10):
        path.write_bytes(gzip.compress(whole[:length]) if packed else whole[:length])
        with pytest.raises(InputError, match=r"stars\.fits: is truncated") as caught:
            read_catalogue(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(gzip.compress(whole)[:-20])
    with pytest.raises(InputError, match=r"stars\.fits: is truncated"):
        read_catalogue(path)
    path.write_bytes(whole + b"not of it")
    assert len(read_catalogue(path)) == 200
    assert not recwarn.list


@pytest.mark.parametrize(
    "cards",
    [
        [("NAXIS1", "x"), ("NAXIS2", "3")],
        [("NAXIS1", "8"), ("NAXIS2", "-3")],
        [("NAXIS1", "9" * 19), ("NAXIS2", "9" * 19)],
    ],
)
def test_sizes_that_no_data_have_are_one_line(tmp_path, cards):
    path = tmp_path / "stars.fits"
    write_catalogue(Catalogue.from_arrays(**stars(200)), path)
    content = path.read_bytes()
    for key, value in cards:
        at = content.index(f"{key:<8}= ".encode(), 2880)
        content = content[: at + 10] + f"{value:>20}".encode() + content[at + 30 :]
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_catalogue(path)
    assert "\n" not in str(caught.value)
