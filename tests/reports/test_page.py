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

from haloassay.analysis.scores import score
from haloassay.analysis.verdict import verdicts
from haloassay.reports import page

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
    """Of one method: to write the figures takes longest."""
    results = a_run(tmp_path_factory.mktemp("run"), {"right": METHODS["right"]})
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
        "coverage-right",
        "cloud-enclosed_mass",
        "halo",
        "ranks-right",
    }
    assert {file.stem for file in (path.parent / "figures").glob("*.pdf")} == stems
    tables = {file.name for file in (path.parent / "tables").iterdir()}
    assert tables == {
        f"{n}.{e}"
        for n in ("scores", "paired", "calibration")
        for e in ("csv", "ecsv", "tex", "md")
    }


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


def test_what_cannot_be_judged_is_not_marked_as_sound(single):
    results, text = single
    (verdict,) = verdicts(score(results))
    assert verdict.state == "open"
    assert re.search(r'<tr class="open"><td>[^/]*</td><td class="mark">\? open', text)
    assert ".verdict .open .mark { color: var(--soft); }" in text


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
