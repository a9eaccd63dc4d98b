"""Figures show the numbers of the tables, in colours that all can tell apart, with legends beside what they explain."""

import re
import subprocess
import sys
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from seeds import seeded
from seen import BLIND, nearest, require_apart

from haloassay.analysis.profiles import profiles
from haloassay.analysis.scores import sample, score
from haloassay.base.errors import InputError
from haloassay.contracts import labels
from haloassay.contracts.factors import StatedFactor, StatedLevel
from haloassay.contracts.quantities import Quantity
from haloassay.reports.figures import look, panels, sky
from haloassay.reports.figures.bias import bias_figure, scalar_bias_figure
from haloassay.reports.figures.cloud import cloud_figure, pair_figure, strip_figure
from haloassay.reports.figures.coverage import coverage_figure
from haloassay.reports.figures.files import save, write
from haloassay.reports.figures.names import cell_names, compared_cells
from haloassay.reports.figures.profile import profile_figure

RADII = (10.0, 30.0, 60.0)
PAGE = look.Look(look.WIDTHS["aa-wide"])


def a_run(folder, estimators=("jeans-3d",), cells=("base",), n=12, **more):
    rng = seeded(21)
    frame = pd.concat(
        synthetic.rows(rng, n, cell, estimator, bin=k, r=r, n_draws=20, **more)
        for cell in cells
        for estimator in estimators
        for k, r in enumerate(RADII)
    )
    table = pd.DataFrame({"cell": list(cells)})
    return synthetic.write(folder, frame, synthetic.runs_of(frame), table)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Results of two methods in two cells."""
    folder = tmp_path_factory.mktemp("two")
    return a_run(folder, ("jeans-3d", "tracer-mass"), ("base", "far"))


def marks(axes):
    """Lines of an axes that have marks, but for the bars of errors."""
    return [line for line in axes.lines if line.get_marker() not in ("None", "", None)]


# ------------------------------------------------------------------------------------------- colours and widths


@pytest.mark.parametrize("eyes", [None, *BLIND])
def test_colours_are_told_apart_by_all_eyes_also_from_truth_and_paper(eyes):
    with look.COLUMN.applied():
        shown = [*look.colours(), "k"]
    assert nearest(shown, eyes) > 12.0
    assert nearest([*shown, "w"], eyes) > 12.0


@pytest.mark.parametrize("eyes", [None, *BLIND])
def test_a_bias_up_is_told_from_a_bias_down_by_all_eyes(eyes):
    shades = matplotlib.colormaps[sky._DIVERGING]
    for step in (0.15, 0.25, 0.5):
        assert nearest([shades(0.5 - step), shades(0.5), shades(0.5 + step)], eyes) > 10.0


def test_what_is_compared_has_a_colour_mark_and_line_of_its_own():
    with look.COLUMN.applied():
        seen = {
            (m["color"], m["marker"], m.get("markerfacecolor"), look.lined(k)["linestyle"])
            for k, m in enumerate(map(look.marked, range(60)))
        }
    assert len(seen) == 60


@pytest.mark.parametrize(
    ("name", "millimetres"),
    [("aa", 88.0), ("aa-wide", 180.0), ("mnras", 85.75), ("apj", 86.2), ("apj-wide", 180.3)],
)
def test_pdf_files_have_the_width_of_a_column_and_type_42_fonts(tmp_path, two, name, millimetres):
    drawn = bias_figure(score(two), "enclosed_mass", look=look.make_look(name))
    write(drawn.figure, tmp_path / "bias.pdf")
    data = (tmp_path / "bias.pdf").read_bytes()
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", data)
    assert float(box[1]) == pytest.approx(millimetres / 25.4 * 72.0, abs=0.2)
    assert float(box[2]) == pytest.approx(72.0 * drawn.figure.get_figheight(), abs=0.01)
    assert b"/FontFile2" in data
    assert b"/Type3" not in data


def test_inches_are_a_width_and_nonsense_is_none():
    assert look.make_look("5.5").width == 5.5
    assert look.make_look(4).width == 4.0
    for width in ("wide", "0", "nan", "inf", "-3"):
        with pytest.raises(InputError, match="--width"):
            look.make_look(width)


# ------------------------------------------------------------------------------------------- style


def test_a_users_style_goes_over_ours(tmp_path, two):
    file = tmp_path / "my.mplstyle"
    file.write_text("lines.linewidth: 3.5\naxes.prop_cycle: cycler('color', ['ff0000'])\n")
    drawn = bias_figure(
        score(two), "enclosed_mass", cell_names(["base"]), look.make_look("aa", file)
    )
    line = next(x for x in drawn.figure.axes[0].lines if len(x.get_xdata()) == 3)
    assert line.get_linewidth() == 3.5
    assert line.get_color() == "#ff0000"
    assert drawn.figure.axes[0].xaxis.label.get_fontsize() == 8.0  # of our file


def test_our_style_is_a_file_that_can_be_copied():
    assert look.STYLE.name == "haloassay.mplstyle"
    assert look.read_style(look.STYLE)["pdf.fonttype"] == 42


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("line.linewidth: 3\n", "unknown setting 'line.linewidth'; did you mean 'lines.linewidth'"),
        ("lines.linewidth: thick\n", "is no style of matplotlib"),
        ("lines.linewidth 3\n", "Missing colon"),
        ("backend: agg\n", "'backend', that is not related to style"),
        ("text.usetex: True\n", "text.usetex"),
        ("\xff\xfe", "is no style of matplotlib"),
    ],
)
def test_a_file_that_is_no_style_is_refused_in_one_line(tmp_path, text, words, capsys):
    file = tmp_path / "my.mplstyle"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError) as refusal:
        look.make_look("aa", file)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert capsys.readouterr().err == ""


def test_drawing_leaves_the_users_matplotlib_alone_and_is_left_alone_by_it(two, tmp_path):
    theirs = {"font.size": 30.0, "pdf.fonttype": 3, "axes.facecolor": "#ff0000"}
    with matplotlib.rc_context(theirs):
        before = dict(matplotlib.rcParams)
        drawn = coverage_figure(score(two))
        save(drawn.figure, tmp_path / "coverage")
        assert dict(matplotlib.rcParams) == before
    assert b"/FontFile2" in (tmp_path / "coverage.pdf").read_bytes()
    assert drawn.figure.axes[0].title.get_fontsize() == 8.0
    assert drawn.figure.axes[0].get_facecolor() == (1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("ending", ["pdf", "png", "svg"])
def test_files_are_the_same_bytes_whenever_they_are_drawn(tmp_path, two, monkeypatch, ending):
    scores = score(two)
    for name, moment in (("one", "1000000000"), ("two", "1500000000")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", moment)  # the clock of the writers
        figure = bias_figure(scores, "enclosed_mass").figure
        write(figure, tmp_path / f"{name}.{ending}")
    assert (tmp_path / f"one.{ending}").read_bytes() == (tmp_path / f"two.{ending}").read_bytes()


def test_one_figure_is_written_in_several_formats(two, tmp_path):
    figure = bias_figure(score(two), "enclosed_mass").figure
    size = tuple(figure.get_size_inches())
    for ending in ("png", "svg", "png"):
        write(figure, tmp_path / f"bias.{ending}")
        figure.canvas.draw()
    assert tuple(figure.get_size_inches()) == size
    from PIL import Image

    with Image.open(tmp_path / "bias.png") as image:
        assert image.size[0] == int(300 * size[0])


# ------------------------------------------------------------------------------------------- legends and labels

LONG = "an estimator whose label nobody wanted to make shorter, number"
UNBROKEN = "estimators.@jeans-3d.alpha.slopes.0=-3.5;" * 8


@pytest.mark.parametrize(
    ("estimators", "cells", "width"),
    [
        ([f"{LONG} {k}" for k in range(13)], ["base"], "apj"),
        ([f"m{k}" for k in range(13)], ["base"], "aa-wide"),
        (["jeans-3d"], [f"distance scale={k / 100}" for k in range(40)], "mnras"),
        (["jeans-3d", "tracer-mass"], [UNBROKEN, UNBROKEN + "x", "base"], "apj"),
        ([UNBROKEN], ["base"], "aa"),
    ],
)
def test_legends_stand_below_panels_that_keep_their_size(tmp_path, estimators, cells, width):
    scores = score(a_run(tmp_path, estimators, cells, n=3))
    wanted = look.make_look(width)
    drawn = bias_figure(scores, "enclosed_mass", cell_names(cells), wanted).figure
    box = require_apart(drawn)
    few = bias_figure(
        scores[scores["cell"] == cells[0]].assign(estimator="m"), "enclosed_mass", None, wanted
    ).figure
    few.canvas.draw()
    alone = few.axes[0].get_window_extent()
    several = len(cells) > 1
    rows = len({round(axes.get_position().y0, 3) for axes in drawn.axes}) if several else 1
    for axes in drawn.axes:
        own = axes.get_window_extent()
        assert own.height > 0.5 * alone.height * own.width / alone.width
    assert drawn.get_figheight() * drawn.dpi - box.height < 1.4 * rows * few.get_figheight() * 100
    shown = [text.get_text() for text in drawn.legends[0].get_texts()]
    compared = cells if several else estimators
    assert len(shown) == len(compared) + 1 if len(compared) > 1 else len(shown) == 1


def test_long_labels_of_rows_leave_room_for_the_points(tmp_path):
    names = [f"{LONG} {k}" for k in range(4)]
    scores = score(a_run(tmp_path, names, ["base", "far"]))
    figure = scalar_bias_figure(scores[scores["bin"] == 1], r=30.0).figure
    require_apart(figure)
    for axes in figure.axes:
        assert axes.get_window_extent().width > 0.45 * figure.bbox.width


@pytest.mark.parametrize("label", ["$x^$", r"$\nothing$ 50 %", "a_b$", "銀河", "<b>\n\x1b[31m"])
def test_labels_of_anybody_are_drawn_as_text(tmp_path, label):
    results = a_run(tmp_path, [label], ["base", label])
    hostile = {"enclosed_mass": Quantity("enclosed_mass", "Msun", "fractional", label)}
    with labels.vocabulary(hostile):
        figures = [
            bias_figure(score(results), "enclosed_mass"),
            coverage_figure(score(results)),
            profile_figure(profiles(results), "enclosed_mass"),
            strip_figure(sample(results), "enclosed_mass", r=30.0),
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            save(figures[0].figure, tmp_path / "bias")
    for drawn in figures[1:]:
        require_apart(drawn.figure)


def test_cells_of_one_factor_are_called_by_its_levels():
    levels = (StatedLevel("short", 0.9, "scale=0.9"), StatedLevel("long", 1.1, "scale=1.1"))
    factor = StatedFactor("distance scale", ("survey.distance_scale",), levels, 1.0, None)
    other = StatedFactor("stars", ("survey.n_stars",), (StatedLevel("5", 5, "s=5"),), 9, None)
    named = cell_names(["base", "scale=0.9", "scale=1.1"], [other, factor])
    assert named.title == "distance scale"
    assert named.labels == {"scale=0.9": "short", "base": "1 (base)", "scale=1.1": "long"}
    assert named.cells == ["scale=0.9", "base", "scale=1.1"]  # as the numbers go
    mixed = cell_names(["base", "scale=0.9", "s=5"], [other, factor])
    assert (mixed.title, list(mixed.labels.values())) == ("cell", ["base", "scale=0.9", "s=5"])


def test_too_many_cells_are_not_compared():
    few = ["base", *(f"c{k}" for k in range(5))]
    assert compared_cells([*few, "joint"], "base", ["joint"]) == few
    assert compared_cells([*few, "c5"], "base") == ["base"]


# ------------------------------------------------------------------------------------------- what is drawn


def test_bias_shows_the_scores_with_their_errors(two):
    scores = score(two)
    named = cell_names(["base", "far"])
    drawn = bias_figure(scores, "enclosed_mass", named)
    assert len(drawn.figure.axes) == 2  # a panel an estimator
    for axes, estimator in zip(drawn.figure.axes, ("jeans-3d", "tracer-mass"), strict=True):
        assert axes.get_title(loc="left") == estimator
        for k, cell in enumerate(("base", "far")):
            rows = scores[(scores["estimator"] == estimator) & (scores["cell"] == cell)]
            bars = axes.containers[k]
            points, _, (segments,) = bars.lines
            np.testing.assert_allclose(points.get_ydata(), 100.0 * rows["bias"])
            np.testing.assert_allclose(points.get_xdata(), rows["r"])
            ends = np.array([part[:, 1] for part in segments.get_segments()])
            half = 0.5 * (ends[:, 1] - ends[:, 0])
            np.testing.assert_allclose(half, 200.0 * rows["bias_mcse"])
            band = axes.collections[2 * k].get_paths()[0].vertices[:, 1]
            assert band.max() == pytest.approx(
                100.0 * (rows["bias"] + rows["bias_mcse"]).max(), rel=1e-6
            )
    assert "one, bars: two Monte Carlo standard errors" in drawn.caption


def test_one_cell_compares_estimators_in_one_panel(two):
    scores = score(two)
    (axes,) = bias_figure(scores[scores["cell"] == "far"], "enclosed_mass").figure.axes
    assert len(axes.containers) == 2
    assert len({bars.lines[0].get_color() for bars in axes.containers}) == 2


def test_bias_at_a_radius_is_a_line_an_estimator(two):
    scores = score(two)
    rows = scores[scores["bin"] == 1]
    drawn = scalar_bias_figure(rows, ["enclosed_mass"], r=30.0)
    (axes,) = drawn.figure.axes
    shown = sorted(float(bars.lines[0].get_xdata()[0]) for bars in axes.containers)
    assert shown == pytest.approx(sorted(100.0 * rows["bias"]))
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["jeans-3d", "tracer-mass"]
    assert "30" in axes.get_xlabel()
    assert "M(< 30 kpc)" in drawn.caption


def test_profiles_are_means_of_estimates_and_truths(two):
    table = profiles(two)
    rows = pd.read_parquet(two.estimates_files[0])
    chosen = rows[(rows["cell"] == "far") & (rows["estimator"] == "jeans-3d") & (rows["bin"] == 2)]
    found = table[
        (table["cell"] == "far") & (table["estimator"] == "jeans-3d") & (table["bin"] == 2)
    ].iloc[0]
    assert found["n"] == 12
    assert found["value"] == pytest.approx(chosen["value"].mean())
    assert found["value_mcse"] == pytest.approx(chosen["value"].std() / np.sqrt(12))
    assert found["truth"] == pytest.approx(2e11)
    assert (found["lo"], found["hi"]) == pytest.approx(
        tuple(np.quantile(chosen["value"], [0.16, 0.84]))
    )
    assert list(table["cell"].unique()) == ["base", "far"]


def test_angles_are_averaged_on_the_turn_of_the_truth(tmp_path):
    frame = synthetic.rows(seeded(3), 4, quantity="apex_l", truth=178.0)
    frame["value"] = [176.0, -180.0, -178.0, 178.0]
    (found,) = profiles(synthetic.write(tmp_path, frame, synthetic.runs_of(frame))).to_dict(
        "records"
    )
    assert found["value"] == pytest.approx(179.0)
    assert found["truth"] == pytest.approx(178.0)


def test_a_profile_shows_the_means_with_the_truth_line_and_bands(two):
    table = profiles(two)
    table = table[table["cell"] == "base"]
    figure = profile_figure(table, "enclosed_mass").figure
    require_apart(figure)
    for axes, (_, rows) in zip(figure.axes, table.groupby("estimator"), strict=True):
        truth = next(line for line in axes.lines if line.get_color() == "k")
        np.testing.assert_allclose(truth.get_ydata(), rows["truth"] / 1e11)
        points, _, (segments,) = axes.containers[0].lines
        np.testing.assert_allclose(points.get_ydata(), rows["value"] / 1e11)
        half = [0.5 * (part[1, 1] - part[0, 1]) for part in segments.get_segments()]
        np.testing.assert_allclose(half, 2e-11 * rows["value_mcse"])
        band = axes.collections[0].get_paths()[0].vertices[:, 1]
        assert band.min() == pytest.approx(rows["lo"].min() / 1e11)
        assert band.max() == pytest.approx(rows["hi"].max() / 1e11)
    assert "10^{11}" in figure.axes[0].get_ylabel()


def test_coverage_shows_every_bin_of_every_cell(tmp_path):
    rng = seeded(6)
    frame = pd.concat(
        synthetic.rows(rng, n, cell, bin=k, r=r, offset=offset, n_draws=0)
        for cell in ("base", "far")
        # far too high in one bin, far too low in the other: their mean says nothing
        for k, (r, n, offset) in enumerate(((10.0, 60, 0.0), (30.0, 20, 0.9)))
    )
    cells = pd.DataFrame({"cell": ["base", "far"]})
    scores = score(synthetic.write(tmp_path, frame, synthetic.runs_of(frame), cells))
    figure = coverage_figure(scores).figure
    (axes,) = figure.axes
    marked = marks(axes)
    shown = sorted(tuple(line.get_ydata()) for line in marked)
    assert shown == sorted(zip(scores["coverage68"], scores["coverage95"], strict=True))
    assert {tuple(line.get_xdata()) for line in marked} == {(0.68, 0.95)}
    assert len({line.get_color() for line in marked}) == 2
    assert len({line.get_marker() for line in marked}) == 2
    assert [text.get_text() for text in axes.texts] == ["$n$ = 20 to 60"]
    texts = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"base", "far"} <= texts


def test_clouds_show_every_estimate_and_the_truth(tmp_path):
    rng = seeded(9)
    radii = (9.0, 15.0, 24.0, 34.0, 44.0)
    frame = pd.concat(synthetic.rows(rng, 5, bin=k, r=r) for k, r in enumerate(radii))
    rows = sample(synthetic.write(tmp_path, frame, synthetic.runs_of(frame)))
    figure = cloud_figure(rows, "enclosed_mass").figure
    require_apart(figure)
    (axes,) = figure.axes
    points, truth = marks(axes)
    assert sorted(points.get_ydata()) == pytest.approx(sorted(rows["value"] / 1e11))
    np.testing.assert_allclose(truth.get_ydata(), 2.0)
    low, high = axes.get_xlim()
    shown = [
        text.get_text()
        for tick, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        if low <= tick <= high
    ]
    assert {"10", "20", "30"} <= set(shown)


def test_a_strip_has_a_line_an_estimator(two):
    rows = sample(two)
    rows = rows[(rows["bin"] == 1) & (rows["cell"] == "base")]
    (axes,) = strip_figure(rows, "enclosed_mass", r=30.0).figure.axes
    points = [line for line in axes.lines if line.get_marker() == "o"]
    for line, (_, mine) in zip(points, rows.groupby("estimator"), strict=True):
        np.testing.assert_allclose(line.get_xdata(), mine["value"] / 1e11)


@pytest.mark.parametrize("truth", [3e11, 5e12])
def test_the_true_halo_stands_well_inside_the_frame(tmp_path, truth):
    rng = seeded(10)
    frame = pd.concat(
        synthetic.rows(rng, 20, quantity=q, r=np.nan, truth=value).assign(truth=t)
        for q, value, t in (("m200", 1e12, truth), ("c200", 12.0, 30.0))
    )
    results = synthetic.write(tmp_path, frame, synthetic.runs_of(frame))
    figure = pair_figure(sample(results)).figure
    figure.canvas.draw()
    (axes,) = figure.axes
    cross = next(line for line in axes.lines if line.get_marker() == "+")
    place = axes.transData.transform((cross.get_xdata()[0], cross.get_ydata()[0]))
    x, y = axes.transAxes.inverted().transform(place)
    assert 0.05 < x < 0.95
    assert 0.05 < y < 0.95
    assert cross.get_xdata()[0] * 1e12 == pytest.approx(truth)


def test_importing_the_room_imports_no_matplotlib():
    script = (
        "import sys, haloassay.face.cli, haloassay.reports.page, haloassay.reports.figures.every\n"
        "import haloassay.face.figures, haloassay.reports.figures.match\n"
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "False"


def test_a_symbol_that_is_no_mathematics_is_the_name():
    with labels.vocabulary({"mine": Quantity("mine", "", "absolute", r"$\nothing{$")}):
        assert panels.symbol("mine") == "mine"
    assert panels.symbol_at("enclosed_mass", 27.36) == r"$M(\!<\!27.4\,\mathrm{kpc})$"
