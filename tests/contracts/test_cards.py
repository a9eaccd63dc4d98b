"""What objects say of themselves: one screen, with units, escaped, and no array as a whole."""

from __future__ import annotations

import re

import numpy as np
import pytest
from seeds import seeded

from haloassay import Catalogue, Estimate, Estimates, mock
from haloassay.contracts.cards import Card
from haloassay.mocks import make_mock

#: Lines and columns of a terminal that nobody has made larger.
LINES, COLUMNS = 24, 160
HOSTILE = "<img src=x onerror=a()> & \x1b[2J \u202e"


def seen(thing):
    """Text and HTML of an object, after what holds for all of them."""
    text, page = repr(thing), thing._repr_html_()
    assert len(text.splitlines()) <= LINES
    assert max(map(len, text.splitlines())) <= COLUMNS
    assert len(page) < 8000
    for shown in (text, page):
        assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", shown)
        assert "array(" not in shown
    assert "<img" not in page
    return text, page


def catalogue(n=100_000, origin=HOSTILE):
    rng = seeded(3)
    columns = {name: rng.uniform(-9.0, 9.0, n) for name in ("x", "y", "z", "vx", "vy", "vz")}
    columns |= {"feh": np.where(np.arange(n) < 7, np.nan, -1.5), "vx_err": np.full(n, 2.5)}
    return Catalogue.from_arrays(origin=origin, **columns)


def test_a_catalogue_shows_columns_with_units_and_ranges():
    text, page = seen(catalogue())
    assert text.startswith("Catalogue of 100000 stars: <img")
    assert re.search(r"x +kpc +-9 to 9$", text, re.MULTILINE)
    assert re.search(r"vx_err +km / s +2.5 to 2.5$", text, re.MULTILINE)
    assert re.search(r"feh +dex +-1.5 to -1.5 +7$", text, re.MULTILINE)
    assert "<td>kpc</td>" in page
    assert "&lt;img src=x" in page


def test_a_catalogue_of_none_and_of_many_columns_is_shown_too():
    seen(catalogue(0))
    many = {f"c{k}": np.zeros(3) for k in range(60)}
    assert "and 44 more rows" in seen(Catalogue.from_arrays(**many))[0]


def test_estimates_show_values_intervals_units_and_why_there_are_none():
    rng = seeded(4)
    row = Estimate.from_draws("enclosed_mass", rng.normal(5e11, 1e10, 5000), r=20.0)
    none = Estimate.undetermined("beta", HOSTILE, r=30.0)
    text, page = seen(
        Estimates([row, none, *(Estimate("sigma_r", 100.0, bin=k) for k in range(40))])
    )
    assert text.startswith("Estimates: 42 rows")
    assert re.search(r"enclosed_mass +20 +[45]\S*e\+11 +4\.\d+e\+11 to 5\.\d+e\+11 .* Msun", text)
    assert re.search(r"beta +30 +– +– +– +<img", text)
    assert "and 26 more rows" in text
    assert "and 26 more rows" in page
    assert "draws" not in text
    assert "why" not in seen(Estimates([row]))[0]


SCENARIO = {
    "name": "small",
    "mock": {
        "kind": "local-jeans-gaussian",
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "density": {"kind": "power-law", "slope": -3.5},
        "beta": {"kind": "constant", "beta": 0.3},
    },
    "survey": {"preset": "perfect", "n_stars": 60},
    "estimators": [{"kind": "velocity-ellipsoid", "bins": [5.0, 50.0]}],
}


def test_truth_and_mock_show_the_halo_in_units():
    made = mock(SCENARIO)
    text, page = seen(made.truth)
    assert text.startswith("Truth: m200 = 1e+12 Msun, r200 = ")
    assert "c200 = 12" in text
    assert "v_c [km/s]" in text
    assert "beta" in text.splitlines()[1]
    assert "<th>enclosed_mass [Msun]</th>" in page
    text, page = seen(made)
    assert text.startswith("Mock catalogue: 60 stars of halo")
    assert "m200 = 1e+12 Msun" in text
    assert "m200 = 1e+12 Msun" in page
    assert repr(made.stars).startswith("Stars: 60 as they are, r = ")


def test_a_truth_that_cannot_tell_is_shown_all_the_same(monkeypatch):
    truth = make_mock(SCENARIO["mock"]).truth

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(type(truth), "value", broken)
    assert "m200 = –" in seen(truth)[0]


@pytest.mark.parametrize("n", [0, 1, 16, 17, 400])
def test_long_tables_are_cut_and_it_is_said(n):
    rows = [["x" * 500, str(k)] for k in range(n)]
    card = Card("t" * 500, ("name", "number"), rows, ["n" * 500] * 3)
    assert len(card.text().splitlines()) <= LINES
    assert ("more row" in card.text()) == ("more row" in card.html()) == (n > 16)
