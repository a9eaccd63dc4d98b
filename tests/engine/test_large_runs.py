"""Runs of more stars than are kept in memory: the same bits as in memory."""

import mmap

import numpy as np
import pandas as pd
import pytest

import haloassay
from haloassay.contracts import stored
from haloassay.contracts.stored import StoredColumns
from haloassay.mocks.surveys import columns

BINS = [5.0, 15.0, 30.0, 60.0]
SCENARIO = {
    "name": "long",
    "realizations": 1,
    "seed": 5,
    "mock": {
        "kind": "equilibrium",
        "potential": [{"kind": "nfw", "m200": 1e12, "c": 12.0}],
        "density": {"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17.0]},
        "beta": {"kind": "constant", "beta": 0.5},
        "r_range": [2.5, 150.0],
        "feh": {"mean": -1.4, "sigma": 0.3},
    },
    # some of these proper motions make speeds that no catalogue may have
    "survey": {"preset": "all-sky", "n_stars": 3000, "pm_error": 1.5},
    "estimators": [
        {"kind": "velocity-ellipsoid", "bins": BINS},
        {"kind": "sky-map", "map": "quadrants", "n_draws": 20},
        {"kind": "tracer-mass", "bins": BINS, "alpha": -3.5},
    ],
}


@pytest.fixture
def few_are_kept(monkeypatch):
    """As if there were many more stars: 700 at a time, and no more than 1000 in memory."""

    def spans(n):
        return (slice(k, min(k + 700, n)) for k in range(0, n, 700))

    monkeypatch.setattr(stored, "KEPT", 1000)
    monkeypatch.setattr(columns, "spans", spans)


def rows(folder, scenario):
    found = haloassay.run(scenario, folder, workers=0).frame("estimates")
    return found.drop(columns=[c for c in found if "seconds" in c])


@pytest.mark.parametrize("clean", [[], [{"kind": "select", "where": "r > 10"}]])
def test_a_run_of_stars_on_disk_is_that_in_memory(clean, tmp_path, request):
    scenario = SCENARIO | ({"clean": clean} if clean else {})
    whole = rows(tmp_path / "whole", scenario)
    assert whole["value"].notna().sum() > 20
    request.getfixturevalue("few_are_kept")
    there = rows(tmp_path / "there", scenario)
    pd.testing.assert_frame_equal(there, whole, rtol=1e-9)
    exact = ["quantity", "bin", "truth"]
    pd.testing.assert_frame_equal(there[exact], whole[exact], rtol=1e-12)


def test_a_long_mock_catalogue_stays_on_disk_without_its_absurd_rows(few_are_kept):
    made = haloassay.mock(SCENARIO)
    assert isinstance(made.catalogue.columns, StoredColumns)
    for values in (made.stars.position, made.stars.velocity):
        while isinstance(values, np.ndarray):
            values = values.base
        assert isinstance(getattr(values, "obj", values), mmap.mmap)
    assert 0 < made.catalogue.dropped["unphysical"] < 500
    assert len(made.catalogue) == len(made.stars) == 3000 - made.catalogue.dropped["unphysical"]
    seen = made.catalogue["ra"], made.catalogue["dec"]
    from_sun = made.stars.position - made.catalogue.sun.position
    direction = from_sun / np.linalg.norm(from_sun, axis=1)[:, None] @ made.catalogue.sun.rotation()
    np.testing.assert_allclose(np.degrees(np.arcsin(direction[:, 2])), seen[1], atol=1e-6)
