"""Options of `measure` that say which table of a file is meant, which Sun, and how much memory it may take."""

import h5py
import numpy as np
import pytest
from astropy.table import Table
from made_up_stars import table_of

from haloassay.contracts import frames
from haloassay.contracts.catalogue import GALACTOCENTRIC, Catalogue
from haloassay.io.tables import write_catalogue

KIND = ("--estimator", "velocity-ellipsoid", "--format", "csv")


def columns_of():
    return dict(zip(GALACTOCENTRIC, table_of().T, strict=True))


def sun_line(answer):
    (line,) = [line for line in answer.err.splitlines() if ": the Sun at " in line]
    return line.partition(": the Sun at ")[2]


@pytest.mark.parametrize("suffix", ["csv", "txt", "parquet", "fits"])
def test_measure_says_which_sun_and_from_where(call, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write_catalogue(Catalogue(columns_of(), frames.SUNS["zhai2018"]), path)
    assert sun_line(call("measure", path, *KIND)) == (
        "x = -8, z = 0 kpc, moving by (10, 225.25, 7.17) km/s (that of the file)"
    )
    assert sun_line(call("measure", path, *KIND, "--sun", "bird2022")).endswith(
        "(11.1, 232.2, 7.3) km/s (bird2022, as asked for)"
    )
    numbers = call("measure", path, *KIND, "--sun", "x=-8.2,z=0.02,vx=11.1,vy=245,vz=7.3")
    assert sun_line(numbers) == (
        "x = -8.2, z = 0.02 kpc, moving by (11.1, 245, 7.3) km/s (as asked for)"
    )
    answer = call("measure", path, *KIND, "--sun", "x=-8.2,z=0.02")
    assert answer.code == 2
    assert "sun: vx, vy, vz missing" in answer.err
    assert answer.err.count("\n") == 1


def test_measure_asks_which_table(call, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in ("disc", "halo"):
            file[name] = Table(columns_of()).as_array()
    answer = call("measure", path, *KIND)
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "table 1 (disc, 60 rows), table 2 (halo, 60 rows)" in answer.err
    chosen = [call("measure", path, *KIND, "--table", which) for which in ("halo", "2")]
    assert chosen[0].code == chosen[1].code == 0
    assert chosen[0].out == chosen[1].out
    with h5py.File(path, "a") as file:
        del file["disc"]
        file["ids"] = Table({"id": np.arange(3)}).as_array()
    with pytest.warns(UserWarning, match=r"read table 1 \(halo, 60 rows\), the only one of its 2"):
        assert call("measure", path, *KIND).out == chosen[0].out


def test_measure_keeps_to_the_memory_it_may_take(call, tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in GALACTOCENTRIC:
            file.create_dataset(name, (10**11,), "f8", chunks=(1000,), compression="gzip")
    answer = call("measure", path, *KIND)
    assert answer.code == 2
    assert "takes about 4.8 TB of memory, more than" in answer.err
    assert "--max-memory allows more" in answer.err
    answer = call("measure", path, *KIND, "--max-memory", "plenty")
    assert (answer.code, "expected a size such as 4GB" in answer.err) == (2, True)
