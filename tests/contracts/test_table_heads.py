"""What a file is, is told by its head: ECSV under any suffix, gzip under any name, comments, headers, MRT, units."""

from __future__ import annotations

import gzip

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from catalogue_samples import phase_space, stars

from haloassay.base.errors import InputError
from haloassay.contracts import frames
from haloassay.contracts.catalogue import Catalogue
from haloassay.io.tables import read_catalogue, write_catalogue

XYZ = "x,y,z,vx,vy,vz"


def same(catalogue, columns, rtol=0.0):
    for name, values in columns.items():
        np.testing.assert_allclose(catalogue[name], values, rtol=rtol, err_msg=name)


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".dat", ".ecsv", "", ".csv.gz", ".ecsv.gz"])
@pytest.mark.parametrize("delimiter", [",", " "])
def test_ecsv_under_any_suffix_keeps_its_units(tmp_path, suffix, delimiter):
    columns = phase_space()
    table = Table(columns, units=dict(zip(columns, ["pc"] * 3 + ["km / s"] * 3, strict=True)))
    table.write(tmp_path / "a.ecsv", format="ascii.ecsv", delimiter=delimiter)
    content = (tmp_path / "a.ecsv").read_bytes()
    path = tmp_path / f"b{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith(".gz") else content)
    read = read_catalogue(path)
    np.testing.assert_allclose(read.position, 1e-3 * np.stack([columns[k] for k in "xyz"], 1))


def test_null_in_ecsv_is_missing(tmp_path):
    """As Gaia's bulk files have it."""
    head = "".join(f"# - {{name: {name}, datatype: float64}}\n" for name in XYZ.split(","))
    text = f"# %ECSV 1.0\n# ---\n# delimiter: ','\n# datatype:\n{head}{XYZ}\n"
    (tmp_path / "g.csv").write_text(f"{text}1,2,3,4,5,null\n1,2,4,4,5,6\n")
    with pytest.raises(InputError, match=r"vz is NaN or infinite in 1 row \(1\)"):
        read_catalogue(tmp_path / "g.csv")


@pytest.mark.parametrize(
    ("written", "called"),
    [
        (".fits", "a.csv"), (".parquet", "a.txt"), (".hdf5", "a.fits"), (".vot", "a.dat"), (".ecsv", "a"),
        (".fits", "a.fits.gz"), (".parquet", "a.parquet.gz"), (".hdf5", "a.h5.gz"), (".vot", "a.xml.gz"),
        (".csv", "a.csv.gz"), (".txt", "a.txt.gz"), (".fits", "packed.fits"), (".csv", "packed.csv"),
    ],
)  # fmt: skip
def test_the_head_of_a_file_goes_before_its_suffix(tmp_path, written, called):
    sun = frames.SUNS["zhai2018"]
    write_catalogue(Catalogue.from_arrays(sun=sun, **stars()), tmp_path / f"first{written}")
    content = (tmp_path / f"first{written}").read_bytes()
    pack = called.endswith(".gz") or called.startswith("packed")
    (tmp_path / called).write_bytes(gzip.compress(content) if pack else content)
    read = read_catalogue(tmp_path / called)
    same(read, stars())
    assert read.sun == sun


@pytest.mark.parametrize("key", ["unit", "units"])
def test_units_of_parquet(tmp_path, key):
    columns = phase_space()
    units = dict(zip(columns, ["pc"] * 3 + ["m/s"] * 3, strict=True))
    fields = [pa.field(k, pa.float64(), metadata={key: unit}) for k, unit in units.items()]
    pq.write_table(pa.table([*columns.values()], schema=pa.schema(fields)), tmp_path / "a.parquet")
    same(read_catalogue(tmp_path / "a.parquet"), {k: 1e-3 * v for k, v in columns.items()}, 1e-15)


def test_a_folder_of_a_partition_is_no_column(tmp_path):
    folder = tmp_path / "feh=-9"
    folder.mkdir()
    write_catalogue(Catalogue.from_arrays(**phase_space()), folder / "a.parquet")
    assert "feh" not in read_catalogue(folder / "a.parquet")


def test_votable_keeps_units(tmp_path):
    table = Catalogue.from_arrays(**stars()).to_table()
    table["distance"] = table["distance"].to(u.pc)
    del table["feh"]  # VOTable knows no dex
    table.write(tmp_path / "a.vot", format="votable")
    read = read_catalogue(tmp_path / "a.vot")
    np.testing.assert_allclose(read["distance"], stars()["distance"], rtol=1e-12)


@pytest.mark.parametrize("suffix", ["csv", "txt"])
@pytest.mark.parametrize("name", ["C1 #4", "#7", "a#b"])
def test_a_hash_inside_a_line_is_data(tmp_path, suffix, name):
    rows = [f'"{name}",{i},2,3,4,5,6' for i in range(3)]
    rows[1] = f"S{rows[1]}".replace(
        '"', ""
    )  # not quoted, the mark not at the beginning of the line
    if suffix == "txt":
        rows = [row.replace(" ", "_").replace(",", " ") for row in rows]
    header = f"name,{XYZ}".replace(",", "," if suffix == "csv" else " ")
    text = "\n".join(["# made by hand", header, rows[0], "# a comment, in the middle", *rows[1:]])
    (tmp_path / f"a.{suffix}").write_text(text + "\n")
    read = read_catalogue(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read["x"], [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(read["vz"], [6.0, 6.0, 6.0])


@pytest.mark.parametrize("suffix", [".csv", ".txt"])
@pytest.mark.parametrize("mark", [",", " ", ", ", ";", "\t"])
def test_the_header_of_savetxt(tmp_path, suffix, mark):
    columns = phase_space()
    table = np.stack([*columns.values()], axis=1)
    path = tmp_path / f"a{suffix}"
    np.savetxt(path, table, delimiter=mark, header=mark.join(columns))
    same(read_catalogue(path), columns, 1e-15)
    np.savetxt(path, table, delimiter=mark)
    with pytest.raises(InputError, match="columns have no names; give them in their order"):
        read_catalogue(path)
    same(read_catalogue(path, XYZ), columns, 1e-15)


def test_a_table_of_a_journal(tmp_path):
    columns = {k: np.round(v, 4) for k, v in stars().items() if not k.startswith("pm_c")}
    table = Table(columns, units={"distance": "kpc", "vlos": "km/s", "pmra": "mas/yr"})
    table["name"] = [f"#{i} star" for i in range(len(table))]
    table.write(tmp_path / "a.mrt", format="ascii.mrt")
    for called in ("a.mrt", "a.txt"):
        (tmp_path / "a.mrt").rename(tmp_path / called)
        same(read_catalogue(tmp_path / called), columns)
        (tmp_path / called).rename(tmp_path / "a.mrt")
    with pytest.raises(InputError, match="MRT is read, not written"):
        write_catalogue(Catalogue.from_arrays(**stars()), tmp_path / "b.mrt")


@pytest.mark.parametrize("unit", ["pc", "kpc"])
@pytest.mark.parametrize("kind", ["position", "distance"])
def test_positions_of_thousands_of_kpc_are_asked_about(tmp_path, kind, unit):
    scale = {"position": 50.0, "distance": 50.0}[kind]
    columns = phase_space() if kind == "position" else stars()
    for name in ("x", "y", "z") if kind == "position" else ("distance",):
        columns[name] = scale * columns[name]
    for name in ("pmra", "pmdec"):
        if name in columns:
            columns[name] = columns[name] / 1000.0
    pd.DataFrame(columns).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(InputError, match=f"are {kind}s in pc. --unit {kind}=pc .if not, --unit"):
        read_catalogue(tmp_path / "a.csv")
    drop = "unphysical"  # what is beyond 10000 kpc in kpc
    read = read_catalogue(
        tmp_path / "a.csv", units={kind: unit}, drop=drop if unit == "kpc" else ()
    )
    factor = {"pc": 1e-3, "kpc": 1.0}[unit]
    first = "x" if kind == "position" else "distance"
    assert len(read) > 3
    assert np.isin(read[first].round(9), (factor * columns[first]).round(9)).all()


def test_an_escape_in_a_name_is_shown_as_one(tmp_path):
    table = Table({"x\x1b[31m\n": [1.0], "y": [2.0]})
    table.write(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"missing columns .* \(has: x\\x1b\[31m\\n, y\)") as error:
        read_catalogue(tmp_path / "a.parquet")
    assert "\x1b" not in str(error.value)
    assert "\n" not in str(error.value)
