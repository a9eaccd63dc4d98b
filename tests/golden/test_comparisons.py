"""Paired tables and the page of real runs, against direct computations from the rows of estimates."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from pages import table_of
from witnesses import little

import haloassay
from haloassay.analysis.calibrate import calibrate
from haloassay.analysis.pairs import paired

# --------------------------------------------------------------------------------------------- differences of cells


MASS = {"kind": "tracer-mass", "bins": [5.0, 20.0, 100.0], "alpha": -3.5, "n_bootstrap": 20}
FACTORS = {"mock.potential.m200": [1e12, 1.5e12], "survey.distance_scale": [0.9, 1.0]}
NAMES = {"log_change": "value", "truth_log_change": "truth"}


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A run with cells of another mass, where truths change, and of another scale of distances."""
    entries = [
        {**MASS, "label": "mass"},
        {"kind": "velocity-ellipsoid", "label": "ellipsoid", "n_draws": 20},
        {"kind": "plain_dipole:PlainDipole", "label": "picky", "fewest": 1000},
    ]
    scenario = little(estimators=entries, matrix={"factors": FACTORS}, realizations=3)
    return haloassay.run(scenario, tmp_path_factory.mktemp("moved") / "out", workers=0)


def changes(results, base):
    """Mean shifts of errors, and of logarithms, against a cell, and their Monte Carlo errors: by row."""
    rows = results.frame("estimates")
    relative = rows["unit"].eq("Msun") | rows["quantity"].str.startswith(("sigma", "kurtosis"))
    error = (rows["value"] - rows["truth"]) / np.where(relative, rows["truth"], 1.0)
    rows = rows.assign(relative=relative, e=error)
    keys = ["estimator", "quantity", "bin", "realization"]
    both = rows.merge(rows[rows["cell"] == base], on=keys)
    both = both[both["cell_x"] != base]
    both["shift"] = both["e_x"] - both["e_y"]
    for name, column in NAMES.items():
        ratio = (both[f"{column}_x"] / both[f"{column}_y"]).where(both["relative_x"])
        both[name] = np.log(ratio)
    groups = both.groupby(["cell_x", "estimator", "quantity", "bin"])
    table = groups[["shift", *NAMES]].agg(["mean", "sem"])
    table.columns = [f"{name}_mcse" if what == "sem" else name for name, what in table.columns]
    return table.assign(r=groups["r_x"].median(), n=groups.size()).sort_index()


@pytest.mark.parametrize(
    "base", ["base", "mock.potential.m200=1.5e+12", "survey.distance_scale=0.9"]
)
def test_pairs_are_against_the_base_that_was_asked_for(moved, base):
    expected = changes(moved, base)
    found = paired(moved, base).set_index(["cell", "estimator", "quantity", "bin"]).sort_index()
    assert set(found.index.get_level_values(0)) == set(moved.cells["cell"]) - {base}
    assert (found["n"] == 3).all()
    columns = list(expected)
    pd.testing.assert_frame_equal(
        found[columns], expected, check_names=False, rtol=1e-9, atol=1e-12, check_dtype=False
    )
    factors = moved.cells.set_index("cell")
    for path in FACTORS:
        assert (found[path] == found.index.get_level_values(0).map(factors[path])).all()


# ----------------------------------------------------------------------------------------------------- the page


class Tables(HTMLParser):
    """Tables of a section of a page: rows of text, the headings first."""

    def __init__(self, text, section):
        super().__init__()
        self.rows, self.inside = [], False
        self.feed(re.search(rf'<section id="{section}">.*?</section>', text, re.DOTALL)[0])

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data

    def frame(self):
        return pd.DataFrame(self.rows[1:], columns=self.rows[0])


def page_of(results, folder):
    """Text of the page."""
    return haloassay.report(results.out, folder).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(moved, tmp_path_factory):
    """Folder and text of the page of the run of moved cells."""
    folder = tmp_path_factory.mktemp("page")
    return folder, page_of(moved, folder)


def number(text):
    """Value, and half of its last digit, of such as "-1.3 ± 0.4 %", without the unit."""
    value = text.split(" ")[0]
    digits = len(value.partition(".")[2])
    return float(value), 0.5 * 10.0**-digits


@pytest.mark.parametrize(
    ("heading", "column"),
    [
        ("shift", "shift"),
        ("Δ ln estimate", "log_change"),
        ("Δ ln truth", "truth_log_change"),
    ],
)
def test_the_page_shows_each_change_in_its_own_column(moved, page, heading, column):
    shown = table_of(page[1], "pairs")
    assert "against cell base," in page[1]
    expected = changes(moved, "base")
    assert len(shown) == len(expected)
    expected = expected.reset_index("bin").assign(
        shown=expected["r"].map("{:.3g}".format).to_list()
    )
    symbols = {"M(<r)": "enclosed_mass", "β": "beta", "σ_r": "sigma_r"}
    found = 0
    for row in shown.to_dict("records"):
        if row["quantity"] not in symbols:
            continue
        place = (row["cell"], row["estimator"], symbols[row["quantity"]])
        wanted = expected.loc[[place]].set_index("shown").loc[row["r [kpc]"]]
        assert row["pairs"] == "3"
        if row[heading] == "–":
            assert wanted[column] == 0.0 or np.isnan(wanted[column])
            continue
        assert row[heading].endswith(" %") == (place[2] != "beta")
        value, half = number(row[heading])
        factor = 1.0 if place[2] == "beta" else 100.0
        assert value == pytest.approx(factor * wanted[column], abs=1.01 * half)
        found += 1
    assert found >= 6


def test_the_change_of_the_truth_is_that_of_the_mocks(moved, page):
    """50 per cent more mass with the same concentration, at the radii of the estimates, which have not moved."""
    shown = table_of(page[1], "pairs")
    cell = "mock.potential.m200=1.5e+12"
    heavy, light = (haloassay.mock(moved.scenario, cell=c).truth for c in (cell, "base"))
    rows = moved.frame("estimates").query("quantity == 'enclosed_mass' and cell == @cell")
    for _, group in rows.groupby("bin"):
        r = group["r"].to_numpy()
        ratio = heavy.profile("enclosed_mass", r) / light.profile("enclosed_mass", r)
        place = f"{np.median(r):.3g}"
        row = shown[(shown["cell"] == cell) & (shown["r [kpc]"] == place)]
        value, half = number(row.query("quantity == 'M(<r)'")["Δ ln truth"].item())
        assert value == pytest.approx(100.0 * np.mean(np.log(ratio)), abs=1.01 * half)


def test_files_beside_the_page_hold_the_tables(moved, page):
    folder, _ = page
    for name, frame in (
        ("scores", moved.table()),
        ("paired", paired(moved, "base")),
        ("calibration", calibrate(moved)),
    ):
        written = pd.read_csv(
            folder / "tables" / f"{name}.csv", keep_default_na=False, na_values=[""]
        )
        for column in frame.select_dtypes("number"):
            np.testing.assert_allclose(written[column], frame[column], rtol=1e-12, err_msg=column)
        assert written["cell"].tolist() == frame["cell"].tolist()


def test_the_page_counts_runs_and_names_what_failed(moved, page):
    found = re.findall(r"<li[^>]*><b>(\d+)</b>(\w[\w-]*)</li>", page[1])
    tiles = {name: int(n) for n, name in found}
    assert tiles == {"attempted": 27, "ok": 18, "failed": 9}
    problems = Tables(page[1], "runs").frame()
    assert problems.to_numpy().tolist() == [
        ["picky", "failed ArithmeticError", "9", "3", "400 stars"]
    ]


def test_a_full_design_is_compared_with_its_first_cell(tmp_path):
    scenario = little(
        estimators=[MASS], matrix={"design": "full", "factors": FACTORS}, realizations=2
    )
    results = haloassay.run(scenario, tmp_path / "out", workers=0)
    text = page_of(results, None)
    first, *others = results.cells["cell"]
    assert first == "mock.potential.m200=1e+12, survey.distance_scale=0.9"
    shown = table_of(text, "pairs")
    assert f"against cell {first}," in text
    assert list(dict.fromkeys(shown["cell"])) == others
    written = pd.read_csv(results.out / "report" / "tables" / "paired.csv")
    expected = paired(results, first)
    np.testing.assert_allclose(written["shift"], expected["shift"], rtol=1e-12)
