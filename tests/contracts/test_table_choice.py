"""Several tables in a file, masked entries, and files that ask for more than there is or lead elsewhere."""

from __future__ import annotations

import gzip
import warnings

import astropy.units as u
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable.tree import Resource, TableElement, VOTableFile
from astropy.table import MaskedColumn, QTable, Table
from astropy.utils.masked import Masked
from catalogue_samples import phase_space, stars

from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.io.formats import memory
from haloassay.io.tables import from_table, read_catalogue


def write_several(path, tables):
    """Tables by name, in one file."""
    if path.suffix == ".fits":
        hdus = [fits.table_to_hdu(Table(columns)) for columns in tables.values()]
        for hdu, name in zip(hdus, tables, strict=True):
            hdu.name = name
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    elif path.suffix == ".vot":
        tree = VOTableFile()
        tree.resources.append(Resource())
        for name, columns in tables.items():
            table = TableElement.from_table(tree, Table(columns))
            table.name = name
            tree.resources[0].tables.append(table)
        tree.to_xml(str(path))
    else:
        with h5py.File(path, "w") as file:
            for name, columns in tables.items():
                if path.suffix == ".h5":
                    file[name] = Table(columns).as_array()
                else:
                    for key, values in columns.items():
                        file[f"{name}/{key}"] = values


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".h5", ".hdf5"])
def test_several_catalogues_are_named_and_one_is_chosen(tmp_path, suffix):
    tables = {"DISC": phase_space(4, seed=3), "HALO": phase_space(8, seed=4)}
    write_several(tmp_path / f"a{suffix}", tables)
    holds = r"holds table 1 \(DISC, 4 rows\), table 2 \(HALO, 8 rows\); more than one has"
    with pytest.raises(InputError, match=f"{holds} columns of a catalogue: choose one"):
        read_catalogue(tmp_path / f"a{suffix}")
    for number, (name, columns) in enumerate(tables.items(), 1):
        for chosen in (name, number, str(number)):
            read = read_catalogue(tmp_path / f"a{suffix}", table=chosen)
            np.testing.assert_array_equal(read["x"], columns["x"])
    with pytest.raises(InputError, match=r"no table 'BULGE' \(holds table 1 \(DISC, 4 rows\)"):
        read_catalogue(tmp_path / f"a{suffix}", table="BULGE")
    by_path = {name: f"HALO/{name}" for name in phase_space()}
    read = read_catalogue(tmp_path / f"a{suffix}", by_path)
    np.testing.assert_array_equal(read["vz"], tables["HALO"]["vz"])


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".h5", ".hdf5"])
def test_the_only_catalogue_of_a_file_is_taken_and_said(tmp_path, suffix):
    tables = {"IDS": {"id": np.arange(3.0), "teff": np.ones(3)}, "RVTAB": phase_space(5)}
    write_several(tmp_path / f"a{suffix}", tables)
    with pytest.warns(HaloassayWarning, match=r"read table 2 \(RVTAB, 5 rows\), the only one of"):
        read = read_catalogue(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(read["y"], tables["RVTAB"]["y"])
    with pytest.raises(InputError, match=r"missing columns .* \(has: id, teff\)"):
        read_catalogue(tmp_path / f"a{suffix}", table="IDS")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # who chooses needs no telling
        read_catalogue(tmp_path / f"a{suffix}", table=2)


def test_a_column_of_each_of_two_compounds_is_never_taken(tmp_path):
    columns = phase_space()
    halves = [{k: columns[k] for k in names} for names in (("x", "y", "z"), ("vx", "vy", "vz"))]
    write_several(tmp_path / "a.h5", dict(zip(("A", "B"), halves, strict=True)))
    with pytest.raises(InputError, match="more than one has columns of a catalogue"):
        read_catalogue(tmp_path / "a.h5")


MASKED = np.array([True, False, True, False, False, False, False])


def masked_table(kind):
    columns = stars()
    columns["vlos"][MASKED] = 0.0  # what stands beneath
    table = QTable(columns) if kind == "quantities" else Table(columns)
    if kind == "quantities":
        table["vlos"] = Masked(columns["vlos"] * u.km / u.s, mask=MASKED)
    elif kind == "text":
        table["vlos"] = MaskedColumn(columns["vlos"].astype(str), mask=MASKED)
    else:
        values = columns["vlos"].round() if kind is int else columns["vlos"]
        table["vlos"] = MaskedColumn(values.astype(kind), mask=MASKED)
    return table


@pytest.mark.parametrize("kind", ["quantities", "text", float, int])
@pytest.mark.parametrize("suffix", ["", ".ecsv", ".fits", ".parquet", ".hdf5", ".vot", ".csv"])
def test_what_is_masked_is_missing(tmp_path, kind, suffix):
    source = table = masked_table(kind)
    if suffix:
        source = tmp_path / f"a{suffix}"
        if suffix == ".vot":
            del table["feh"]
        formats = {".vot": "votable", ".csv": "ascii.csv", ".ecsv": "ascii.ecsv"}
        options = {"path": "t", "serialize_meta": True} if suffix == ".hdf5" else {}
        table.write(source, format=formats.get(suffix), **options)
    with pytest.raises(InputError, match=r"vlos is NaN or infinite in 2 rows \(1, 3\)"):
        read_catalogue(source)
    read = read_catalogue(source, drop="nan")
    assert len(read) == 5
    expected = stars()["vlos"][~MASKED]
    np.testing.assert_array_equal(read["vlos"], expected.round() if kind is int else expected)


@pytest.mark.parametrize("dtype", ["Float64", "Int64", "string", "object"])
def test_missing_values_of_pandas(tmp_path, dtype):
    frame = pd.DataFrame(stars())
    values = frame["vlos"].round()
    frame["vlos"] = (values.astype(str) if dtype in ("string", "object") else values).astype(dtype)
    frame.loc[2, "vlos"] = pd.NA if dtype != "object" else None
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"vlos is NaN or infinite in 1 row \(3\)"):
        read_catalogue(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"vlos is NaN or infinite in 1 row \(3\)"):
        from_table(Table.from_pandas(frame))


def test_a_mask_that_is_none(tmp_path):
    columns = {**stars(), "vlos.mask": np.arange(7.0)}
    pd.DataFrame(columns).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"vlos\.mask does not say of each entry of vlos"):
        read_catalogue(tmp_path / "a.parquet")


def huge_hdf5(path):
    with h5py.File(path, "w") as file:
        for name in phase_space():
            file.create_dataset(name, (2 * 10**10,), "f8", chunks=(1000,), compression="gzip")


def huge_parquet(path):
    zeros = pa.DictionaryArray.from_arrays(pa.array(np.zeros(4 * 10**6, dtype=np.int8)), [0.5])
    pq.write_table(pa.table(dict.fromkeys(phase_space(), zeros)), path)


def huge_fits(path):
    table = np.zeros(10**6, dtype=[(name, "f8") for name in phase_space()])
    fits.BinTableHDU(table).writeto(path)


def huge_votable(path):
    fields = "".join(f'<FIELD name="{name}" datatype="double"/>' for name in phase_space())
    path.write_text(
        f'<VOTABLE version="1.3"><RESOURCE><TABLE nrows="10000000000">{fields}<DATA><TABLEDATA>'
        f"</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )


def huge_line(path):
    path.write_bytes(gzip.compress(b"x" * 60_000_000, 1))


def huge_csv(path):
    path.write_bytes(gzip.compress(b"x,y,z,vx,vy,vz\n" + b"1,2,3,4,5,6\n" * 4_000_000, 1))


@pytest.mark.parametrize(
    ("write", "called"),
    [
        (huge_hdf5, "a.hdf5"), (huge_parquet, "a.parquet"), (huge_fits, "a.fits.gz"), (huge_votable, "a.vot"),
        (huge_csv, "a.csv.gz"), (huge_csv, "a.txt.gz"), (huge_line, "a.csv.gz"), (huge_line, "a.parquet.gz"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_it_is_asked_for(tmp_path, write, called):
    resource = pytest.importorskip("resource")
    write(tmp_path / called)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"takes about \S+ [MGT]B of memory, more than 50 MB;"):
        read_catalogue(tmp_path / called, max_memory="50MB")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_sizes():
    assert memory.limit_of("4GB") == memory.limit_of(" 4 g ") == memory.limit_of(4e9) == 4 * 10**9
    assert 10**6 < memory.limit_of(None) <= memory.free()
    for size in ("much", "0", "-1GB", "nan", True, float("nan"), "1e400"):
        with pytest.raises(InputError, match="max_memory: expected a size such as 4GB"):
            memory.limit_of(size)


@pytest.mark.parametrize("kind", ["link", "soft", "storage", "virtual"])
def test_what_lies_outside_of_an_hdf5_file_is_not_followed(tmp_path, kind):
    columns = phase_space()
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = columns["x"]
    columns["x"].tofile(tmp_path / "raw")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in list(columns)[1:]:
            file[name] = columns[name]
        if kind == "link":
            file["x"] = h5py.ExternalLink(tmp_path / "other.h5", "/x")
        elif kind == "soft":
            file["elsewhere/g"] = h5py.ExternalLink(tmp_path / "other.h5", "/")
            file["x"] = h5py.SoftLink("/elsewhere/g/x")
        elif kind == "storage":
            file.create_dataset("x", (7,), "f8", external=[(str(tmp_path / "raw"), 0, 56)])
        else:
            layout = h5py.VirtualLayout((7,), "f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (7,))
            file.create_virtual_dataset("x", layout)
    table = 1 if kind == "soft" else None
    with pytest.raises(
        InputError, match=r"x is kept in another file \(.*(other|raw).*not followed"
    ):
        read_catalogue(tmp_path / "a.h5", table=table)


def test_links_within_an_hdf5_file_are_followed(tmp_path):
    columns = phase_space()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, values in columns.items():
            file[f"deep/{name}1"] = values
            file[f"stars/{name}"] = h5py.SoftLink(f"/deep/{name}1")
        file["stars/ring"] = h5py.SoftLink("/stars/ring")
        file["stars/nothing"] = h5py.SoftLink("/no/such")
        file["stars/self"] = file["stars"]
    with pytest.warns(HaloassayWarning, match="the only one of its 2 tables"):
        read = read_catalogue(tmp_path / "a.h5")
    np.testing.assert_array_equal(read["vy"], columns["vy"])


def test_an_address_in_a_votable_is_not_followed(tmp_path):
    (tmp_path / "a.vot").write_text(
        '<VOTABLE><RESOURCE><TABLE><FIELD name="x" datatype="double"/><DATA><BINARY>'
        '<STREAM href="file:///etc/hostname"/></BINARY></DATA></TABLE></RESOURCE></VOTABLE>'
    )
    with pytest.raises(InputError, match=r"kept elsewhere \(file:///etc/hostname\)"):
        read_catalogue(tmp_path / "a.vot")
