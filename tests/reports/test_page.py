"""The page holds everything, needs no network, tells faults in words, and bears bad runs."""

import base64
import re
import warnings
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from seeds import seeded

from haloassay.analysis.scores import sample, score
from haloassay.analysis.summary import summarise
from haloassay.analysis.verdict import verdicts
from haloassay.reports import figures, page

METHODS = {"right": (0.0, None), "high": (0.2, None), "bold": (0.0, 0.03)}


def a_run(folder, methods, n=40):
    """Results of some of the methods in two cells; the one that is right also fails, and gives the halo."""
    rng = seeded(11)
    frame = pd.concat(
        synthetic.rows(rng, n, cell, estimator, bin=k, r=r, offset=offset, stated=stated)
        for cell in ("base", "far <b>&")
        for estimator, (offset, stated) in methods.items()
        for k, r in enumerate((10.0, 30.0, 60.0))
    )
    halo = pd.concat(
        synthetic.rows(rng, n, "base", "right", q, r=np.nan, truth=t)
        for q, t in (("m200", 1e12), ("c200", 12.0))
    )
    frame = pd.concat([frame, halo])
    runs = pd.concat([synthetic.runs_of(frame), synthetic.failed_runs(3, "base", "right", first=n)])
    cells = pd.DataFrame({"cell": ["base", "far <b>&"], "survey.scale": [1.0, 1.1]})
    return synthetic.write(
        folder,
        frame,
        runs,
        cells,
        title="Tom & <script>Jerry</script>",
        description="What <is> it?",
    )


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)
        self.links += [
            v for k, v in attrs if k in ("src", "href", "srcset", "action", "data", "poster")
        ]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Of one method, with fonts that are quick to embed: to write the figures takes longest."""
    results = a_run(tmp_path_factory.mktemp("run"), {"right": METHODS["right"]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(figures.STYLE, "pdf.fonttype", 3)  # which is used, figures of budgets tell
        return results, synthetic.report_of(results)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Results of all methods, their scores and the text of their page."""
    results = a_run(tmp_path_factory.mktemp("several"), METHODS)
    return results, score(results), synthetic.text_of(results)


def test_the_page_is_one_file_that_needs_no_network(report):
    results, path = report
    assert path == results.out / "report" / "index.html"
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert not re.search(r"https?://|url\(|@import", text)


def test_the_page_shows_every_figure_and_tables_lie_beside_it(report):
    _, path = report
    images = re.findall(
        r"data:image/png;base64,([A-Za-z0-9+/=]+)", path.read_text(encoding="utf-8")
    )
    files = sorted((path.parent / "figures").glob("*.png"))
    assert {base64.b64decode(image) for image in images} == {file.read_bytes() for file in files}
    stems = {file.stem for file in files}
    assert stems == {
        "bias-enclosed_mass",
        "bias-scalars",
        "coverage",
        "cloud-enclosed_mass",
        "halo",
        "ecdf-right",
        "ranks-right",
    }
    assert {file.stem for file in (path.parent / "figures").glob("*.pdf")} == stems
    tables = {file.name for file in (path.parent / "tables").iterdir()}
    assert tables == {
        f"{n}.{e}"
        for n in ("scores", "paired", "calibration")
        for e in ("csv", "ecsv", "tex", "md")
    }


def test_every_method_has_its_figures_of_ranks(several):
    data = summarise(several[0])
    names = [name for name, *_ in page._rank_figures(data, "base")]
    expected = {f"{kind}-{name}" for kind in ("ecdf", "ranks") for name in METHODS}
    assert sorted(names) == sorted(expected)


def test_text_of_the_user_is_escaped(report):
    text = report[1].read_text(encoding="utf-8")
    assert "<script>Jerry" not in text
    assert "Tom &amp; &lt;script&gt;Jerry" in text
    assert "far &lt;b&gt;&amp;" in text
    assert "no stars &lt;in&gt; bin &amp; more" in text  # the reason of the failed runs


def test_planted_faults_are_told_in_words(several):
    _, scores, text = several
    found = {(v.cell, v.estimator, v.quantity): v for v in verdicts(scores)}
    assert not found["base", "right", "enclosed_mass"].fault
    high, bold = found["base", "high", "enclosed_mass"], found["base", "bold", "enclosed_mass"]
    assert high.fault
    assert high.bias.startswith("Biased in 3 of 3 bins")
    assert bold.fault
    assert "too narrow in 3 of 3 bins" in bold.intervals
    assert "Biased in 3 of 3 bins" in text


def test_intervals_wrong_at_95_per_cent_only_are_told(tmp_path):
    frame = synthetic.rows(seeded(3), 300)
    half = 0.5 * (frame["hi68"] - frame["lo68"])
    frame["lo95"], frame["hi95"] = frame["value"] - 1.1 * half, frame["value"] + 1.1 * half
    (verdict,) = verdicts(score(synthetic.write(tmp_path, frame, synthetic.runs_of(frame))))
    assert verdict.fault
    assert verdict.intervals.startswith("Its 95 per cent intervals are too narrow: they cover 0.7")


def test_a_page_of_a_run_where_all_failed_says_so(tmp_path):
    runs = synthetic.failed_runs(4)
    text = synthetic.report_of(synthetic.write(tmp_path, None, runs)).read_text(encoding="utf-8")
    Page(text)
    assert "Cannot be determined, because all 4 attempted runs gave no value." in text
    assert "There is nothing to draw." in text


def test_a_page_of_a_run_without_results_says_so(tmp_path):
    results = synthetic.write(tmp_path, None, None, pd.DataFrame({"cell": ["base"]}))
    assert "Nothing can be said: this run holds no results." in synthetic.report_of(
        results
    ).read_text("utf-8")


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """One realisation, far off, and its page."""
    frame = synthetic.rows(seeded(1), 1, offset=5.0)
    results = synthetic.write(tmp_path_factory.mktemp("one"), frame, synthetic.runs_of(frame))
    return results, synthetic.text_of(results)


def test_a_single_realisation_is_not_judged(single):
    _, text = single
    assert "Cannot be determined, because there is only one estimate" in text
    assert not re.search(r">nan\b|\bnan ±|± nan", text)


@pytest.mark.slow
def test_figures_are_the_same_bytes_whenever_they_are_drawn(tmp_path, report, monkeypatch):
    scores = score(report[0])
    for name, moment in (("one", "1000000000"), ("two", "1500000000")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", moment)  # the clock of the PDF writer
        figures.save(figures.bias_figure(scores, "enclosed_mass"), tmp_path / name)
    for suffix in ("png", "pdf"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (
            tmp_path / f"two.{suffix}"
        ).read_bytes()


def test_drawing_leaves_the_users_matplotlib_alone(report):
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures.save(figures.coverage_figure(score(report[0])), report[0].out / "extra")
    assert dict(matplotlib.rcParams) == before


def test_the_legend_does_not_cover_the_panels(several):
    figure = figures.bias_figure(several[1], "enclosed_mass")
    figure.canvas.draw()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    for axes in figure.axes:
        assert axes.get_tightbbox().y0 >= box.y1


def test_what_cannot_be_judged_is_not_marked_as_sound(single):
    results, text = single
    (verdict,) = verdicts(score(results))
    assert verdict.state == "open"
    assert re.search(r'<tr class="open"><td>[^/]*</td><td class="mark">\? open', text)
    assert ".verdict .open .mark { color: var(--soft); }" in text


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
    figure = figures.coverage_figure(scores)
    (axes,) = figure.axes
    marked = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
    shown = sorted(tuple(line.get_ydata()) for line in marked)
    assert shown == sorted(zip(scores["coverage68"], scores["coverage95"], strict=True))
    assert {tuple(line.get_xdata()) for line in marked} == {(0.68, 0.95)}
    assert len({line.get_color() for line in marked}) == 2
    assert len({line.get_marker() for line in marked}) == 2
    assert [text.get_text() for text in axes.texts] == ["n = 20 to 60"]
    texts = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"base", "far"} <= texts


def test_bias_figures_say_what_bars_and_bands_are(report):
    scores = score(report[0])
    drawn = figures.bias_figure(scores, "enclosed_mass"), figures.scalar_bias_figure(scores)
    titles = [figure.legends[0].get_title().get_text() for figure in drawn]
    assert titles[0].startswith("bars: 2, band: 1 Monte Carlo standard error")
    assert titles[1].startswith("bars: 2 Monte Carlo standard errors")


def test_clouds_have_labelled_ticks_over_their_whole_range(tmp_path):
    rng = seeded(9)
    radii = (9.0, 15.0, 24.0, 34.0, 44.0)
    frame = pd.concat(synthetic.rows(rng, 5, bin=k, r=r) for k, r in enumerate(radii))
    results = synthetic.write(tmp_path, frame, synthetic.runs_of(frame))
    figure = figures.cloud_figure(sample(results), "enclosed_mass", "base")
    figure.canvas.draw()
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    shown = [
        text.get_text()
        for tick, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        if low <= tick <= high
    ]
    assert {"10", "20", "30"} <= set(shown)


@pytest.mark.parametrize("truth", [3e11, 5e12])
def test_the_true_halo_stands_well_inside_the_frame(tmp_path, truth):
    rng = seeded(10)
    frame = pd.concat(
        synthetic.rows(rng, 20, quantity=q, r=np.nan, truth=value).assign(truth=t)
        for q, value, t in (("m200", 1e12, truth), ("c200", 12.0, 30.0))
    )
    results = synthetic.write(tmp_path, frame, synthetic.runs_of(frame))
    figure = figures.halo_figure(sample(results))
    figure.canvas.draw()
    (axes,) = figure.axes
    x, y = axes.transAxes.inverted().transform(axes.transData.transform((truth / 1e12, 30.0)))
    assert 0.05 < x < 0.95
    assert 0.05 < y < 0.95


@pytest.mark.slow
def test_labels_in_any_script_and_single_bins_draw_without_warnings(tmp_path):
    rng = seeded(12)
    frame = pd.concat(
        [
            synthetic.rows(rng, 1, "銀河", "恒星", n_draws=0),
            synthetic.rows(rng, 12, "base", "恒星", quantity="beta", truth=0.5),
        ]
    )
    cells = pd.DataFrame({"cell": ["base", "銀河"]})
    results = synthetic.write(tmp_path, frame, synthetic.runs_of(frame), cells)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        synthetic.report_of(results)


def test_page_says_what_stood_behind_the_samples() -> None:
    mock = {
        "population": 200_000,
        "phases": 4,
        "followed": {"gyr": 5.0, "turns": 1.26},
        "drift": {
            "accreted": {"worst_in_sigma": 2.1, "over_gyr": 3.0, "complaint": None},
            "in-situ": {"worst_in_sigma": 9.0, "over_gyr": 3.0, "complaint": "beta goes"},
        },
    }
    cells = {"cells": [{"cell": "base", "mock": mock}, {"cell": "other", "mock": {}}]}
    seen = {"cell": "base", "population": 200_000, "n_stars": 5e3, "share": 0.15}
    facts = page._facts(cells, pd.DataFrame([seen]))
    text = facts["population behind base"]
    assert "200000 stars, 4 of each orbit, of which a realisation observes 5000" in text
    assert "followed for up to 5 Gyr, 1.3 circular orbits at the outer end" in text
    assert "15 per cent of these are the same in any two" in text
    assert "accreted: no drift beyond noise (at most 2.1 sigma in 3 Gyr)" in text
    assert "in-situ: beta goes" in text
    assert not any("other" in name for name in facts)
    versions = {"versions": {"haloassay": "2"}, "also_versions": [{"haloassay": "1"}]}
    later = page._facts(versions, pd.DataFrame([seen]))
    assert later["part of the results by"] == "haloassay 1"
