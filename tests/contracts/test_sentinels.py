"""Numbers that stand for missing values: found, mentioned, read as missing; and none found where there are none."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.table import Table
from catalogue_samples import stars, with_entry
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import seeded

from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.io.defects import checked
from haloassay.io.sentinels import mentions
from haloassay.io.tables import read_catalogue

SENTINELS = [
    ("vlos", -999.0, "vlos is -999"),
    ("vlos_err", 9999.0, "vlos_err is 9999"),
    ("vlos_err", np.float32(9999.99), "vlos_err is 9999.9902"),
    ("pmra_err", 999.9, "pmra_err is 999.9"),
    ("distance_err", 1e20, "distance_err is 1e[+]20"),
    ("feh", -9999.0, "feh is beyond 10 dex"),
    ("feh", 99.99, "feh is beyond 10 dex"),
    ("feh_err", 99.99, "feh_err is 99.99"),
]


@pytest.mark.parametrize("value", [1e3, 1e5, 1e6, np.float32(1e5)])
def test_a_round_error_beyond_all_velocities_is_meant(value):
    columns = stars()
    columns["vlos_err"] = columns["vlos_err"].astype(float)
    columns["vlos_err"][2] = value
    assert len(read_catalogue(columns)) == 7


@pytest.mark.parametrize(("name", "value", "message"), SENTINELS)
def test_a_sentinel_is_a_defect_of_its_own(name, value, message):
    columns = {**stars(), "feh_err": np.full(7, 0.1)}
    columns[name] = columns[name].astype(float)
    columns[name][2] = value
    match = rf"{message}\d* in 1 row \(3\) .*drop = 'sentinel'.*--missing VALUE"
    with pytest.raises(InputError, match=match):
        read_catalogue(columns)
    read = read_catalogue(columns, drop="sentinel")
    assert dict(read.dropped) == {"sentinel": 1}
    np.testing.assert_array_equal(read["ra"], np.delete(stars()["ra"], 2))


@pytest.mark.parametrize("value", [-998.0, 990.5, -99.99, 99.0, -9.99])
def test_a_speed_that_a_star_can_have_is_no_sentinel(value):
    assert len(checked(Catalogue.from_arrays(**with_entry("vlos", 2, value)), speed_limit=5e3)) == 7


def test_a_sentinel_in_many_columns_and_rows_is_one_line():
    columns = stars()
    for name in ("vlos", "distance_err"):
        columns[name] = np.where(np.arange(7) < 2, -999.0, columns[name])
    with pytest.raises(InputError, match=r"distance_err is negative in 2 rows \(1, 2\)") as error:
        checked(Catalogue.from_arrays(**columns))
    assert "\n" not in str(error.value)


def test_missing_values_are_named_by_the_user():
    columns = stars()
    columns["feh"][1] = columns["vlos"][4] = -888.0
    with pytest.raises(InputError, match=r"vlos is NaN .* row \(5\); feh is NaN .* row \(2\)"):
        read_catalogue(columns, missing=[-888])
    assert dict(read_catalogue(columns, missing=[-888, 5.5], drop="nan").dropped) == {"nan": 2}


def test_missing_values_are_those_of_the_file_not_of_its_units():
    columns = {k: v for k, v in stars().items() if not k.endswith("_err") and k != "pm_corr"}
    table = Table(columns)
    table["vlos"] = np.where(np.arange(7) == 3, -9999.0, 1000.0 * columns["vlos"])
    table["vlos"].unit = "m/s"
    assert read_catalogue(table)["vlos"][3] == pytest.approx(-9.999)
    assert dict(read_catalogue(table, missing=-9999, drop="nan").dropped) == {"nan": 1}
    with pytest.raises(InputError, match=r"missing: expected numbers .got 'none'."):
        read_catalogue(table, missing=[-9999, "none"])


def test_a_value_that_is_repeated_is_mentioned_with_its_count():
    rng = seeded(0)
    v = rng.normal(0.0, 100.0, 500)
    v[:10] = 12.25
    assert mentions({"vlos": v}) == [
        "vlos: exactly 12.25 km/s in 10 of 500 rows (if it stands for a missing value: --missing VALUE)"
    ]
    v[2:9] += 1e-9 * np.arange(1, 8)
    assert mentions({"vlos": v}) == []


def test_motions_that_are_zero_everywhere_are_mentioned_together():
    columns = {**stars(), "pmra": np.zeros(7), "pmdec": np.zeros(7)}
    with pytest.warns(HaloassayWarning, match=r"mapping: pmra, pmdec: 0 mas/yr in all 7 rows"):
        read_catalogue(columns)


def test_nothing_is_mentioned_of_a_column_that_will_not_be_read():
    columns = {**stars(), "feh": np.full(7, -1.0)}
    many = {
        name: np.concatenate([values + 1e-3 * k for k in range(30)])
        for name, values in columns.items()
    }
    many["feh"] = np.where(np.arange(210) < 50, -1.5, seeded(0).normal(-1.5, 0.3, 210))
    with pytest.warns(HaloassayWarning, match=r"feh: exactly -1.5 dex in 50 of 210 rows"):
        read_catalogue(many)
    with warnings.catch_warnings():
        warnings.simplefilter("error", HaloassayWarning)
        read_catalogue(many, uses=["velocity"])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([30, 300, 3000, 30000]),
    decimals=st.integers(0, 4),
    width=st.sampled_from([0.3, 2.0, 100.0]),
)
def test_rounded_columns_raise_no_false_alarm(seed, n, decimals, width):
    """Rounding piles values up, but evenly; a column of fewer than ten different values is none that is continuous."""
    rng = np.random.default_rng(seed)
    for draw in (rng.normal, rng.laplace):
        values = np.round(draw(0.0, width, n), decimals)
        if values.any():  # else all are zero, which is worth a word
            assert mentions({"vlos": values}) == []
