"""The page holds everything, needs no network, tells faults in words, and bears bad runs."""

import importlib.metadata
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from pages import numbers_of, packed
from seeds import seeded

from haloassay.analysis.condensed import condensed
from haloassay.analysis.scores import score
from haloassay.analysis.summary import summarise
from haloassay.analysis.verdict import verdicts
from haloassay.base.errors import InputError
from haloassay.contracts.factors import StatedFactor, StatedLevel
from haloassay.reports.page import content, library
from haloassay.reports.page.payload import payload

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
        if tag not in ("meta", "img", "link", "br", "input"):
            self.open.append(tag)
        self.links += [
            v for k, v in attrs if k in ("src", "href", "srcset", "action", "data", "poster")
        ]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Results of all methods, and their page."""
    results = a_run(tmp_path_factory.mktemp("run"), METHODS)
    return results, synthetic.report_of(results)


@pytest.fixture(scope="module")
def text(report):
    return report[1].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def numbers(text):
    return numbers_of(text)


def test_the_page_is_one_file_that_needs_no_network(report, text):
    results, path = report
    assert path == results.out / "report" / "index.html"
    page = Page(text)
    assert page.open == []
    assert all(link.startswith("#") for link in page.links)
    assert not re.search(r"https?://|url\(|@import", text)
    assert len(text) < 2.5e6
    assert "vegaEmbed" in packed(text, "vega")


def test_tables_lie_beside_the_page(report):
    folder = report[1].parent
    assert {file.name for file in folder.iterdir()} == {"index.html", "tables"}
    assert {file.name for file in (folder / "tables").iterdir()} == {
        f"{n}.{e}" for n in ("scores", "paired", "calibration") for e in ("csv", "tex", "md")
    }


def test_no_picture_is_drawn_and_no_library_of_pictures_loaded():
    import subprocess
    import sys

    code = "import sys, haloassay.reports.page; print([m for m in sys.modules if m in ('matplotlib', 'vl_convert')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_copy_that_cannot_bundle_says_what_it_needs(tmp_path, monkeypatch):
    def nowhere(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(
        library, "__file__", str(tmp_path / "library.py")
    )  # where nothing was built
    monkeypatch.setattr(importlib.metadata, "version", nowhere)
    with pytest.raises(InputError, match="needs vl-convert-python"):
        library.vega()


def test_the_same_results_make_the_same_bytes(report, text):
    assert synthetic.text_of(report[0]) == text


def test_numbers_of_the_page_are_those_of_the_scores(report, numbers):
    scores = score(report[0])
    told = numbers["scores"]
    names = [numbers["quantities"][q]["name"] for q in told["quantity"]]
    assert names == scores["quantity"].tolist()
    assert [numbers["cells"][c] for c in told["cell"]] == scores["cell"].tolist()
    assert [numbers["estimators"][e] for e in told["estimator"]] == scores["estimator"].tolist()
    for name in ("bias", "bias_mcse", "scatter"):
        assert np.array(told[name], float) == pytest.approx(
            100.0 * scores[name], rel=1e-4, nan_ok=True
        )
    stated = 100.0 * scores["error_ratio"] * scores["scatter"]
    assert np.array(told["stated"], float) == pytest.approx(stated, rel=1e-4, nan_ok=True)
    assert np.array(told["size"], float) == pytest.approx(
        scores["bias"].abs() / 0.05, rel=1e-4, nan_ok=True
    )
    assert told["bin"] == scores["bin"].tolist()
    assert numbers["cells"][numbers["base"]] == "base"


def test_biases_that_are_significant_are_marked(report, numbers):
    told = numbers["scores"]
    high = numbers["estimators"].index("high")
    sure = {e: set() for e in range(len(numbers["estimators"]))}
    for estimator, mark in zip(told["estimator"], told["sure"], strict=True):
        sure[estimator].add(mark)
    assert sure[high] == {1}
    assert sure[numbers["estimators"].index("right")] == {0}


def test_every_verdict_is_on_the_page(report, numbers):
    expected = [
        (v.cell, v.estimator, v.quantity, v.grade, v.text) for v in verdicts(score(report[0]))
    ]
    told = [
        (
            numbers["cells"][c],
            numbers["estimators"][e],
            numbers["quantities"][q]["name"],
            grade,
            words,
        )
        for c, e, q, grade, words in numbers["verdicts"]
    ]
    assert told == expected


def test_a_line_an_estimator_and_quantity_names_the_worst_cell(report, text):
    rows = re.findall(r'<tr class="(\w+)"><td data-name="estimator" class="text">(\w+)<', text)
    assert {("matters", "high"), ("matters", "bold")} <= set(rows)
    assert len(rows) == 5
    assert "✗ matters, 2 of 2 cells" in text
    assert "Of 5 pairs of estimator and quantity: 2 matter," in text


def test_the_sentence_names_what_is_farthest_off(report):
    lines = condensed(verdicts(score(report[0])))
    farthest = max((line for line in lines if line.grade == "matters"), key=lambda x: x.worst.size)
    assert len({line.worst.size for line in lines if line.grade == "matters"}) > 1
    assert content.sentence(lines).endswith(f"Farthest off: {farthest.text}.")
    sound = [line for line in lines if line.grade != "matters"]
    assert "Farthest" not in content.sentence(sound)


def test_text_of_tables_stands_beside_their_numbers(report, numbers):
    n = len(score(report[0]))
    assert all(len(column) == n for column in numbers["text"]["values"])
    columns = numbers["text"]["columns"]
    assert columns[:2] == ["n", "failed"]
    assert {"bias", "cover 68"} <= set(columns)
    bias = numbers["text"]["values"][columns.index("bias")]
    told = [None if x == "–" else float(x.split()[0]) for x in bias]
    for shown, number in zip(told, numbers["scores"]["bias"], strict=True):
        assert shown == (number if number is None else pytest.approx(number, abs=0.6))
    assert len(numbers["pairs"]["r"]) == len(numbers["pairs"]["values"][0]) > 0


def test_ranks_and_their_bands_and_single_estimates_are_told(report, numbers):
    (first, *_), n = numbers["ranks"], str(40)
    assert sum(first[4]) == 40
    low, high = numbers["bands"][n]
    assert len(low) == len(high) == len(first[4]) - 1
    *_, r, value, truth = numbers["marks"][0]
    assert len(r) == len(value) == len(truth) == 40
    curve = numbers["curves"][0][4]
    assert curve[0] == 0.0
    assert curve[-1] == 1.0


def test_a_level_names_the_cells_that_have_it(report):
    import dataclasses

    levels = (StatedLevel("1.1", 1.1, "far <b>&"),)
    factor = StatedFactor("scale", ("survey.scale",), levels, 1.0, None)
    data = dataclasses.replace(summarise(report[0]), factors=(factor,))
    told = payload(data, verdicts(data.scores))
    assert told["levels"] == [{"label": "scale 1.1", "cells": [told["cells"].index("far <b>&")]}]


def test_of_many_rows_single_estimates_of_the_base_alone_are_told(report, monkeypatch):
    monkeypatch.setattr("haloassay.analysis.summary._DETAILED", 1)
    data = summarise(report[0])
    told = payload(data, verdicts(data.scores))
    assert told["detailed"] == [told["base"]]
    assert {row[0] for row in told["marks"]} == {told["base"]}
    assert len(set(told["scores"]["cell"])) == 2


def test_text_of_the_user_is_escaped(text, numbers):
    assert "<script>Jerry" not in text
    assert "Tom &amp; &lt;script&gt;Jerry" in text
    assert "far &lt;b&gt;&amp;" in text
    assert "no stars &lt;in&gt; bin &amp; more" in text  # the reason of the failed runs
    assert "far <b>&" in numbers["cells"]


def test_planted_faults_are_told_in_words(report, numbers):
    found = {(v.cell, v.estimator, v.quantity): v for v in verdicts(score(report[0]))}
    assert not found["base", "right", "enclosed_mass"].fault
    high, bold = found["base", "high", "enclosed_mass"], found["base", "bold", "enclosed_mass"]
    assert high.fault
    assert high.bias.startswith("Biased in 3 of 3 bins")
    assert bold.fault
    assert "too narrow in 3 of 3 bins" in bold.intervals
    assert any("Biased in 3 of 3 bins" in words for *_, words in numbers["verdicts"])


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
    words = [words for *_, words in numbers_of(text)["verdicts"]]
    assert words[0].endswith("Cannot be determined, because all 4 attempted runs gave no value.")
    assert "? open" in text


def test_a_page_of_a_run_without_results_says_so(tmp_path):
    results = synthetic.write(tmp_path, None, None, pd.DataFrame({"cell": ["base"]}))
    text = synthetic.report_of(results).read_text("utf-8")
    assert "Nothing can be said: this run holds no results." in text
    assert numbers_of(text)["scores"]["cell"] == []


def test_a_single_realisation_is_not_judged(tmp_path):
    frame = synthetic.rows(seeded(1), 1, offset=5.0)
    text = synthetic.text_of(synthetic.write(tmp_path, frame, synthetic.runs_of(frame)))
    ((*_, grade, words),) = numbers_of(text)["verdicts"]
    assert grade == "open"
    assert "Cannot be determined, because there is only one estimate" in words
    assert not re.search(r">nan\b|\bnan ±|± nan|NaN", text.split('id="data"')[0])
    assert '<tr class="open">' in text


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
    facts = content._facts(cells, pd.DataFrame([seen]))
    text = facts["population behind base"]
    assert "200000 stars, 4 of each orbit, of which a realisation observes 5000" in text
    assert "followed for up to 5 Gyr, 1.3 circular orbits at the outer end" in text
    assert "15 per cent of these are the same in any two" in text
    assert "accreted: no drift beyond noise (at most 2.1 sigma in 3 Gyr)" in text
    assert "in-situ: beta goes" in text
    assert not any("other" in name for name in facts)
    versions = {"versions": {"haloassay": "2"}, "also_versions": [{"haloassay": "1"}]}
    later = content._facts(versions, pd.DataFrame([seen]))
    assert later["part of the results by"] == "haloassay 1"


def test_page_says_what_an_accreted_halo_comes_from() -> None:
    made = {"fell_in": 40, "contribute": 12, "effective": 2.84, "largest": 0.5}
    for own, words in (({"one_of_many": True}, "(the first realisation's"), ({}, "")):
        mock = {"population": 900, "accreted": {**made, **own, "stellar_mass": 1e8}}
        seen = pd.DataFrame(columns=["cell", "n_stars", "share"])
        facts = content._facts({"cells": [{"cell": "base", "mock": mock}]}, seen)
        text = facts["population behind base"]
        assert "12 satellites of 40 that fell in, as many as 2.8 of equal shares, 50 per" in text
        assert ("the first" in text) == bool(words)
        assert words in text
