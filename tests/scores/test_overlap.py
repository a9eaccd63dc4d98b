"""Realisations drawn from one stored population: what they share is counted, and said."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from seeds import seeded

from haloassay.analysis.overlap import overlaps
from haloassay.analysis.verdict import overlap_sentence


@dataclass
class Described(synthetic.SyntheticResults):
    """Results whose run.json tells of a population behind some of the cells."""

    @property
    def description(self):
        mocks = {"stored": {"population": 20_000}, "half": {"population": 10_000}, "endless": {}}
        return {
            "scenario": self.scenario,
            "cells": [{"cell": cell, "mock": mock} for cell, mock in mocks.items()],
        }


@pytest.fixture
def results(tmp_path):
    rng = seeded(3)
    names = ["stored", "half", "endless"]
    frame = pd.concat(synthetic.rows(rng, 12, cell) for cell in names)
    runs = synthetic.runs_of(frame)
    overlap = runs["cell"].map({"stored": 0.02, "half": 0.5, "endless": np.nan})
    overlap = overlap + 0.01 * (runs["realization"] % 2)
    made = synthetic.write(
        tmp_path,
        frame,
        runs.assign(overlap=overlap.replace(np.nan, None)),
        pd.DataFrame({"cell": names}),
    )
    return Described(**vars(made))


def test_the_share_is_the_mean_over_realisations_and_none_without_a_population(results):
    found = overlaps(results).set_index("cell")
    assert list(found.index) == ["stored", "half"]
    assert found.loc["stored"].to_dict() == {
        "population": 20_000,
        "n_stars": 1000,
        "share": pytest.approx(0.025),
    }
    assert found.loc["half", "share"] == pytest.approx(0.505)


def test_failed_runs_have_nothing_in_common(results):
    empty = pd.DataFrame({"cell": ["stored"]})
    failed = synthetic.failed_runs(3, "stored", "right")
    made = synthetic.write(results.out / "failed", None, failed, empty)
    assert not len(overlaps(Described(**vars(made))))


def test_what_is_said_is_what_happens_to_means_of_samples_of_one_population():
    """Scatter of the mean of 40 per cent of a population, and the error that all such means share."""
    rng = seeded(5)
    n, size, trials = 400, 1000, 3000
    populations = rng.normal(size=(trials, size))
    means = populations[:, :n].mean(axis=1)
    scatter = np.std(means - populations.mean(axis=1))  # between the samples of one population
    common = np.std(populations.mean(axis=1))
    row = {"cell": "base", "population": size, "n_stars": n, "share": n / size}
    said = overlap_sentence(pd.DataFrame([row]))
    small = re.search(r"up to (\d+) per cent too small", said)[1]
    shared = re.search(r"common error of up to ([\d.]+)", said)[1]
    noise = 4.0 / np.sqrt(2.0 * trials)
    assert 1.0 - 0.01 * int(small) == pytest.approx(scatter * np.sqrt(n), rel=noise + 0.01)
    assert float(shared) == pytest.approx(common / scatter, rel=2.0 * noise + 0.01)


def test_the_worst_cell_is_named_and_little_overlap_is_not_mentioned(results, tmp_path):
    found = overlaps(results)
    assert overlap_sentence(found[found["cell"] == "stored"]) == ""
    said = overlap_sentence(found)
    assert "in cell 'half' 50 per cent of the observed stars are the same" in said
    assert "draw from the 10000 stars that there are" in said
    again = pd.concat([found, found.assign(cell="other", share=0.2)])
    assert "(and, no more so, in 2 others)" in overlap_sentence(again)
    all_ = overlap_sentence(found.assign(share=1.0))
    assert "errors of measurement alone" in all_
    text = synthetic.text_of(results)
    assert "Mind that in cell" in text
    assert "of which a realisation observes 1000; 2.5 per cent of these are the same" in text
