"""Errors by realisation: bins that a radius belongs to, differences of angles, pairs that were tried."""

import numpy as np
import pandas as pd
import pytest

from haloassay.analysis.realizations import Differences, bin_at, bin_near, bins_of
from haloassay.base.errors import InputError
from haloassay.contracts.factors import StatedFactor, StatedLevel


def bins(*r):
    return pd.DataFrame({"bin": range(len(r)), "r": r, "r_lo": np.nan, "r_hi": np.nan})


@pytest.mark.parametrize(
    ("r", "number"), [(7.2, 0), (14.0, 0), (14.3, 1), (28.0, 1), (28.5, 2), (56.0, 2)]
)
def test_a_radius_belongs_to_the_nearest_one_in_the_logarithm(r, number):
    assert bin_at(bins(10.0, 20.0, 40.0), r, "here") == number


@pytest.mark.parametrize("r", [7.0, 57.0])
def test_beyond_half_the_way_to_the_next_there_is_none(r):
    with pytest.raises(InputError, match="is outside its radii, 10 to 40 kpc"):
        bin_at(bins(10.0, 20.0, 40.0), r, "here")


def near(rows, r):
    return bin_near(bins_of(rows, ["bin"]), r, "here")


@pytest.mark.parametrize(
    ("r", "number"), [(7.7, 0), (12.2, 0), (12.3, 1), (19.4, 1), (19.7, 2), (33.0, 2)]
)
def test_compared_is_what_is_nearest_in_the_logarithm(r, number):
    assert near(bins(10.0, 15.0, 25.5), r) == number


@pytest.mark.parametrize("r", [7.6, 13.1, 15.3, 26.1, 30.7, 52.1])
def test_far_from_all_of_them_nothing_is_compared(r):
    with pytest.raises(InputError, match=r"^here: states 10, 20, 40 kpc, none within a factor 1.3"):
        near(bins(10.0, 20.0, 40.0), r)


def test_a_shell_that_holds_a_radius_is_compared_if_its_own_is_near():
    edges = bins(12.0, 18.0).assign(r_lo=[5.0, 14.0], r_hi=[14.0, 30.0])
    assert near(edges, 14.5) == 1  # in the logarithm 12 is nearer
    with pytest.raises(InputError, match="states 12, 18 kpc"):
        near(edges, 29.0)


@pytest.mark.parametrize("r", [0.0, -5.0, np.nan, np.inf])
def test_what_is_no_radius_is_refused_in_one_line(r):
    with pytest.raises(InputError, match=r"^here: a radius is above 0 kpc and finite"):
        bin_at(bins(10.0, 20.0, 40.0), r, "here")


def errors(**cells):
    frames = [
        pd.DataFrame({"cell": cell, "realization": range(len(e)), "e": e})
        for cell, e in cells.items()
    ]
    return pd.concat(frames)


def test_angles_differ_by_less_than_half_a_turn():
    rows = errors(base=[170.0, -10.0, 5.0], turned=[-170.0, 15.0, np.nan])
    assert Differences(rows, True).of("turned").tolist()[:2] == [20.0, 25.0]
    assert Differences(rows, False).of("turned").tolist()[:2] == [-340.0, 25.0]
    assert np.isnan(Differences(rows, True).of("turned")[2])


def test_a_pair_was_tried_where_both_had_a_mock():
    rows = errors(base=[0.1, 0.2, 0.3], high=[0.2, np.nan, 0.5, 0.6])
    factor = StatedFactor("x", ("survey.x",), (StatedLevel("high", 1.0, "high"),), 0.0, None)
    runs = pd.DataFrame({"cell": ["base"] * 3 + ["high"] * 4, "realization": [0, 1, 2, 0, 1, 2, 3]})
    table, tried = Differences(rows, False).at_levels(factor, runs)
    assert tried.tolist() == [3]
    assert table[np.isfinite(table)] == pytest.approx([0.1, 0.2])
