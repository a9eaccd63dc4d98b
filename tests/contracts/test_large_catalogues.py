"""Catalogues of more than a block of stars: read, examined and derived block by block, with the same bits."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.contracts import frames, propagation, stored
from haloassay.contracts.catalogue import BLOCK, Catalogue, spans
from haloassay.contracts.stored import StoredColumns
from haloassay.estimators import make_estimator
from haloassay.estimators.gathering import gathered, spherical_covariance, spherical_velocity
from haloassay.io.formats import write_fields
from haloassay.io.tables import read_catalogue

N = BLOCK + 5000
SUFFIXES = ("parquet", "fits", "hdf5")


def many_stars():
    rng = seeded(1)
    columns = {
        "ra": rng.uniform(0.0, 360.0, N),
        "dec": np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, N))),
        "distance": rng.uniform(5.0, 60.0, N),
        "pmra": rng.normal(0.0, 0.5, N),
        "pmdec": rng.normal(0.0, 0.5, N),
        "vlos": rng.normal(0.0, 120.0, N),
        "feh": rng.normal(-1.5, 0.4, N),
    }
    columns["distance_err"] = 0.1 * columns["distance"]
    for name, error in {"pmra": 0.05, "pmdec": 0.04, "vlos": 3.0}.items():
        columns[f"{name}_err"] = rng.uniform(0.5, 1.5, N) * error
    columns["pm_corr"] = rng.uniform(-0.5, 0.5, N)
    return columns


@pytest.fixture(scope="module")
def columns():
    return many_stars()


@pytest.fixture(scope="module")
def paths(columns, tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    for suffix in SUFFIXES:
        write_fields(folder / f"stars.{suffix}", columns, {"vlos": "m/s"}, {})
    return {suffix: folder / f"stars.{suffix}" for suffix in SUFFIXES}


@pytest.fixture
def kept_in_files(monkeypatch):
    """As for a file of more stars than are kept in memory."""
    monkeypatch.setattr(stored, "KEPT", BLOCK)


def same(a, b):
    np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_read_in_blocks_is_the_table_in_memory_bit_for_bit(
    suffix, paths, columns, kept_in_files
):
    units = {"vlos": "m/s", "vlos_err": "km/s", "distance": 0.9}
    whole = read_catalogue(columns, units=units)
    there = read_catalogue(paths[suffix], units={"distance": 0.9})  # the file states that of vlos
    assert isinstance(there.columns, StoredColumns)
    assert len(there) == N
    assert set(there.columns) == set(columns)
    for name in columns:
        same(there[name], whole[name])
    kinds = ("velocity", "spherical_velocity", "spherical_covariance", "velocity_covariance")
    for name in ("r", "position", *kinds):
        same(getattr(there, name), getattr(whole, name))


def test_what_is_derived_in_blocks_is_what_all_stars_at_once_give(columns):
    catalogue = Catalogue.from_arrays(**columns)
    six = [columns[name] for name in ("ra", "dec", "distance", "pmra", "pmdec", "vlos")]
    position, velocity = frames.heliocentric_to_galactocentric(*six, sun=catalogue.sun)
    same(catalogue.position, position)
    same(catalogue.velocity, velocity)
    same(catalogue.spherical_velocity, frames.spherical_velocity(position, velocity))
    few = catalogue.select(slice(BLOCK - 50, BLOCK + 50))
    same(
        catalogue.spherical_covariance[BLOCK - 50 : BLOCK + 50],
        propagation.spherical_covariance(few),
    )


def test_blocks_are_all_rows_in_their_order_and_none_is_a_row_alone():
    for n in (0, 1, 5, 10, 11, 12, 20, 21, 22, 31):
        rows = [*spans(n, 10)]
        assert np.array_equal(np.concatenate([np.arange(n)[each] for each in rows]), np.arange(n))
        assert all(each.stop - each.start > 1 for each in rows) or n < 2


@pytest.mark.parametrize("in_file", [False, True])
def test_bad_rows_on_both_sides_of_a_block_are_named_and_left_out_as_of_a_whole_table(
    in_file, columns, tmp_path, monkeypatch
):
    bad = {name: values.copy() for name, values in columns.items()}
    bad["pmra"][[4, BLOCK + 2]] = np.nan
    bad["vlos_err"][BLOCK] = -1.0
    bad["distance"][[7, BLOCK + 9]] = 3e4
    for values in bad.values():
        values[BLOCK + 100] = values[2]
    path = tmp_path / "bad.parquet"
    write_fields(path, bad, {}, {})
    if in_file:
        monkeypatch.setattr(stored, "KEPT", BLOCK)
    with pytest.raises(InputError) as told:
        read_catalogue(path)
    assert f"pmra is NaN or infinite in 2 rows (5, {BLOCK + 3})" in str(told.value)
    assert f"vlos_err is negative in 1 row ({BLOCK + 1})" in str(told.value)
    assert f"repeats an earlier row in 1 row ({BLOCK + 101})" in str(told.value)
    assert f"exceeds 10000 kpc in 2 rows (8, {BLOCK + 10})" in str(told.value)
    found = read_catalogue(path, drop="all")
    assert isinstance(found.columns, StoredColumns) == in_file
    whole = read_catalogue(bad, drop="all")
    assert (
        found.dropped == whole.dropped == {"nan": 2, "error": 1, "duplicates": 1, "unphysical": 2}
    )
    for name in columns:
        same(found[name], whole[name])
    same(found.spherical_covariance, whole.spherical_covariance)


@pytest.mark.long
def test_galactic_columns_are_turned_in_blocks(columns, tmp_path, kept_in_files):
    turned = {"ra": "l", "dec": "b", "pmra": "pm_l", "pmdec": "pm_b"}
    turned |= {f"{a}_err": f"{b}_err" for a, b in turned.items()}
    galactic = {turned.get(name, name): values for name, values in columns.items()}
    galactic["l"] = np.where(galactic["l"] > 180.0, galactic["l"] - 360.0, galactic["l"])
    path = tmp_path / "galactic.parquet"
    write_fields(path, galactic, {}, {})
    there, whole = read_catalogue(path), read_catalogue(galactic)
    assert isinstance(there.columns, StoredColumns)
    assert set(there.columns) == set(whole.columns)
    for name in ("ra", "pmra", "pmdec_err", "pm_corr", "feh"):
        np.testing.assert_allclose(there[name], whole[name], rtol=1e-12, atol=1e-12)


def test_only_columns_that_are_used_are_read(paths, kept_in_files):
    there = read_catalogue(paths["parquet"], uses=("velocity",))
    assert "feh" not in there.columns
    assert "pm_corr" in there.columns


def test_one_row_group_and_32_bits_are_read_in_blocks(columns, tmp_path, kept_in_files):
    path = tmp_path / "single.parquet"
    west = {**columns, "ra": np.where(columns["ra"] > 180.0, columns["ra"] - 360.0, columns["ra"])}
    table = pa.table({name: pa.array(values.astype("f4")) for name, values in west.items()})
    pq.write_table(table, path, row_group_size=N)
    there = read_catalogue(path)
    assert isinstance(there.columns, StoredColumns)
    same(there["pmra"], columns["pmra"].astype("f4").astype(float))
    np.testing.assert_allclose(there["ra"], columns["ra"], atol=1e-4)  # turned to 0 to 360


def test_a_compound_of_hdf5_and_integers_of_fits_with_nulls_are_read_in_blocks(
    columns, tmp_path, kept_in_files
):
    import h5py
    from astropy.io import fits

    compound = np.empty(N, dtype=[(name, "f4") for name in columns])
    for name, values in columns.items():
        compound[name] = values
    with h5py.File(tmp_path / "stars.hdf5", "w") as file:
        file["stars"] = compound
    there = read_catalogue(tmp_path / "stars.hdf5")
    assert isinstance(there.columns, StoredColumns)
    same(there["vlos"], compound["vlos"].astype(float))

    vlos = np.round(columns["vlos"]).astype(np.int32)
    vlos[BLOCK + 3] = -999
    parts = [fits.Column(k, "D", array=v) for k, v in columns.items() if k != "vlos"]
    parts.append(fits.Column("vlos", "J", null=-999, array=vlos))
    fits.BinTableHDU.from_columns(parts).writeto(tmp_path / "stars.fits")
    with pytest.raises(InputError, match=rf"vlos is NaN or infinite in 1 row \({BLOCK + 4}\)"):
        read_catalogue(tmp_path / "stars.fits")
    there = read_catalogue(tmp_path / "stars.fits", drop="nan")
    assert isinstance(there.columns, StoredColumns)
    same(there["vlos"], np.delete(vlos, BLOCK + 3).astype(float))


def test_a_file_that_changes_under_its_catalogue_is_refused(columns, tmp_path, kept_in_files):
    path = tmp_path / "moving.parquet"
    write_fields(path, columns, {}, {})
    there = read_catalogue(path)
    write_fields(path, {**columns, "ra": columns["ra"][::-1].copy()}, {}, {})
    with pytest.raises(InputError, match="changed while it was read"):
        there["ra"]


@pytest.mark.parametrize(
    "suffix", ["parquet", *(pytest.param(other, marks=pytest.mark.long) for other in SUFFIXES[1:])]
)
def test_stars_of_bins_are_gathered_from_a_file_as_from_memory(
    suffix, paths, columns, kept_in_files
):
    there, whole = read_catalogue(paths[suffix], units={"vlos": "km/s"}), Catalogue(columns)
    rows = [np.flatnonzero(whole.r < 20.0), np.flatnonzero(whole.r > 40.0), np.arange(0)]
    known = (spherical_velocity, spherical_covariance)
    for found, chosen in zip(gathered(there, rows, *known), rows, strict=True):
        same(found[0], whole.spherical_velocity[chosen])
        same(found[1], whole.spherical_covariance[chosen])
    last = gathered(there, rows, spherical_velocity, stars_last=True)
    same(last[0][0], whole.spherical_velocity[rows[0]].T)


@pytest.mark.long
@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "velocity-ellipsoid", "bins": [20.0, 25.0, 30.0]},
        {"kind": "tracer-mass", "bins": [20.0, 25.0], "alpha": -3.0, "n_bootstrap": 3},
        {"kind": "gaussian-single", "bins": [20.0, 22.0]},
        {"kind": "dipole", "bins": [20.0, 22.0], "sigma_range": [10.0, 600.0]},
        {"kind": "sky-map", "bins": [20.0, 25.0], "nside": 1, "n_draws": 10},
        {"kind": "spline-jeans", "alpha": "measured"},
    ],
    ids=lambda spec: spec["kind"],
)
def test_an_estimator_sees_the_same_stars_in_a_file_as_in_memory(
    spec, paths, columns, kept_in_files
):
    there, whole = read_catalogue(paths["parquet"], units={"vlos": "km/s"}), Catalogue(columns)
    assert isinstance(there.columns, StoredColumns)
    found, expected = ([*make_estimator(spec).estimate(each, seeded(2))] for each in (there, whole))
    assert any(not row.note for row in expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.quantity, a.note) == (b.quantity, b.note)
        same(np.array([a.value, a.lo68, a.hi95]), np.array([b.value, b.lo68, b.hi95]))
