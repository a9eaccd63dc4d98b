"""One screen: a line an estimator and quantity, as wide as there is room, colours only where somebody sees them."""

import io
import math
import re

import pandas as pd
import pytest

from haloassay.analysis.changes import changes
from haloassay.analysis.condensed import condensed
from haloassay.analysis.verdict import Verdict, Worst
from haloassay.contracts.quantities import QUANTITIES
from haloassay.contracts.tolerances import Tolerances
from haloassay.reports.screen import MOST, MOST_CHANGES, closing, print_screen

LONG = "estimators.jeans-3d.alpha.slopes.0=-4.6, survey.distance_scale=1.1"


def verdict(quantity="enclosed_mass", bias=0.1, cell="base", estimator="jeans-3d", **settings):
    worst = Worst(20.0, QUANTITIES[quantity].unit, 40, bias, 0.01, 0.0632, 0.5, 0.9, 0.05)
    found = {"bias_grade": "matters", "interval_grade": "none", "worst": worst, "size": bias / 0.05}
    return Verdict(cell, estimator, quantity, True, "", "", **{**found, **settings})


def printed(verdicts, width=120, terminal=True, **settings):
    from rich.console import Console

    text = io.StringIO()
    console = Console(
        file=text,
        width=width,
        force_terminal=terminal,
        color_system="standard" if terminal else None,
    )
    print_screen(condensed(verdicts), console, **settings)
    return text.getvalue()


def without_colours(text):
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def test_a_line_has_the_numbers_of_the_worst_bin_and_the_verdict():
    open_one = Verdict("base", "jeans-3d", "m200", False, "too few", "", False)
    found = [
        verdict(bias=-0.181),
        verdict("beta", 0.01, bias_grade="small"),
        verdict("mean_v_r", 1.0, bias_grade="none"),
        verdict("sigma_r", 0.001, bias_grade="none", interval_grade="matters", success="few"),
        open_one,
    ]
    lines = printed(found, terminal=False).splitlines()
    assert [re.split(r"  +", line) for line in lines[1:6]] == [
        ["jeans-3d", "M(<r) [%]", "20", "-18.1 ± 1.0", "6.3", "0.50", "matters: bias"],
        ["jeans-3d", "β", "20", "0.010 ± 0.010", "0.063", "0.50", "small: bias"],
        ["jeans-3d", "⟨v_r⟩ [km/s]", "20", "1.000 ± 0.010", "0.063", "0.50", "none found"],
        ["jeans-3d", "σ_r [%]", "20", "0.1 ± 1.0", "6.3", "0.50", "matters: intervals !"],
        ["jeans-3d", "M₂₀₀ [%]", "–", "–", "–", "–", "open"],
    ]
    assert any(line.startswith("! success is below 0.95") for line in lines)


def test_colours_say_the_grade_and_a_pipe_has_none(monkeypatch):
    found = [verdict(), verdict("beta", 0.01, bias_grade="small")]
    colourful = printed(found).splitlines()
    assert "\x1b[1;31mmatters: bias" in colourful[1]
    assert "\x1b[33msmall: bias" in colourful[2]
    assert "\x1b" not in printed(found, terminal=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in printed(found)
    assert without_colours(printed(found)) == printed(found, terminal=False)


def test_a_narrow_terminal_gets_lines_that_fit_and_a_pipe_whole_ones():
    found = [verdict(cell=cell, bias=b) for cell, b in {"base": 0.1, "far": 0.4}.items()]
    found += [verdict("beta", 0.3, cell=cell, estimator="velocity-ellipsoid") for cell in "ab"]
    for width in (60, 80, 120):
        lines = without_colours(printed(found, width)).splitlines()
        body = [line for line in lines if re.search(r"\d ± \d|worst cell: |^[a-z3-]+$", line)]
        assert max(map(len, body)) <= width
        assert sum("± " in line for line in body) == 2
        assert any("far" in line for line in body)
    narrow = without_colours(printed(found, 60)).splitlines()
    assert max(map(len, narrow)) <= 60
    assert narrow[1:4] == ["jeans-3d", narrow[2], "    worst cell: far"]
    many = [verdict(cell=cell, bias=b) for cell, b in {"base": 0.1, LONG: 0.4}.items()]
    (line,) = (x for x in printed(many, 40, terminal=False).splitlines() if LONG in x)
    assert re.split(r"  +", line) == [
        *("jeans-3d", "M(<r) [%]", "20", "40.0 ± 1.0", "6.3", "0.50", "matters: bias, 2 of 2", LONG)
    ]


def test_no_more_lines_than_a_screen_has_and_the_worst_of_them():
    found = [verdict(estimator=f"e{k:02d}", bias=0.06 + 0.01 * k) for k in range(MOST + 7)]
    text = printed(found, terminal=False)
    shown = re.findall(r"^e(\d\d) ", text, re.M)
    assert shown == [f"{k:02d}" for k in range(7, MOST + 7)]
    assert "and 7 more, none of them worse: --full has all" in text


def frame_of(shifts):
    rows = [
        {"cell": cell, "estimator": "jeans-3d", "quantity": quantity, "unit": unit, "r": r}
        | {"shift": shift, "shift_mcse": mcse}
        for cell, quantity, unit, r, shift, mcse in shifts
    ]
    return pd.DataFrame(rows)


def test_changes_are_sorted_by_what_matters_of_their_quantity():
    frame = frame_of(
        [
            ("a", "enclosed_mass", "Msun", 10.0, 0.10, 0.01),
            ("a", "enclosed_mass", "Msun", 20.0, -0.30, 0.01),
            ("a", "mean_v_r", "km/s", 10.0, 15.0, 1.0),
            ("b", "beta", "", 10.0, 0.9, 0.4),
            ("b", "m200", "Msun", math.nan, 0.02, 0.001),
        ]
    )
    found = changes(frame, Tolerances())
    assert list(zip(found["quantity"], found["r"].fillna(0.0), strict=True)) == [
        ("enclosed_mass", 20.0),
        ("mean_v_r", 10.0),
        ("m200", 0.0),
    ]
    assert found["size"].tolist() == pytest.approx([6.0, 3.0, 0.4])
    stricter = changes(frame, Tolerances({"mean_v_r": 1.0}))
    assert stricter["quantity"].iloc[0] == "mean_v_r"


def test_the_largest_changes_stand_below_with_how_many_more():
    clear = frame_of([(f"c{k}", "enclosed_mass", "Msun", 20.0, 0.1 * k, 0.01) for k in range(1, 9)])
    found = changes(clear, Tolerances())
    cells = [verdict(cell=cell) for cell in ("base", "c1")]
    text = printed(cells, terminal=False, changed=found, n_pairs=11, base_cell="base")
    tail = text.split("Largest changes of the bias from cell base\n")[1].splitlines()
    assert tail[0] == "80.0 ± 1.0 %  jeans-3d  M(< 20 kpc)  c8"
    assert len(tail) == MOST_CHANGES + 1
    assert tail[-1] == "and 3 more, 3 within 3 Monte Carlo errors of none: --paired has all"
    narrow = without_colours(printed(cells, 36, changed=found, n_pairs=8))
    assert re.findall(r"^    in (\w+)", narrow, re.M) == ["c8", "c7", "c6", "c5", "c4"]
    none = printed(cells, terminal=False, changed=found.head(0), n_pairs=4, base_cell="base")
    assert "No change from cell base is beyond 3 Monte Carlo errors, of 4." in none


def test_hostile_names_move_no_cursor():
    text = printed([verdict(estimator="\x1b[2J[red]x"), verdict(cell="\x1b[1A")], terminal=False)
    assert "\x1b" not in text
    assert "\\x1b[2J[red]x" in text


def test_an_empty_run_says_so_and_closing_lines_name_what_failed():
    assert "No scores" in printed([], terminal=False)
    assert closing({"ok": 3, "failed": 1}, ["1 x no stars"], "few stars", "out/index.html") == [
        "estimator runs: 1 failed, 3 ok",
        "  without a value: 1 x no stars",
        "mind: few stars",
        "report: out/index.html",
    ]
    assert closing({}, [], "", "") == ["estimator runs: none"]
