"""Coverage and calibration of a run whose ranks are known, against whole numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from witnesses import little

import haloassay
from haloassay.analysis.calibrate import calibrate, rank_counts
from haloassay.analysis.scores import coverage_curve


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    """A run whose ranks are uniform, of one to 199 draws."""
    entries = [
        {"kind": "witnesses:Ranked", "label": f"of {n}", "n_draws": n} for n in (1, 2, 6, 199)
    ]
    scenario = little(estimators=entries, realizations=30)
    scenario["survey"]["n_stars"] = 10
    return haloassay.run(scenario, tmp_path_factory.mktemp("ranked") / "out", workers=0)


def test_the_coverage_curve_is_that_of_the_ranks(ranked):
    """The truth of rank k of L draws stands at u = (k + 1/2) / (L + 1), inside p where abs(2u - 1) <= p: exactly."""
    rows = ranked.frame("estimates")
    curve = coverage_curve(ranked, steps=40)
    assert len(curve) == 4 * 41
    for estimator, group in curve.groupby("estimator"):
        mine = rows[rows["estimator"] == estimator]
        assert mine["rank"].nunique() > 1
        assert (group["n"] == len(mine)).all()
        pairs = zip(mine["rank"], mine["n_draws"], strict=True)
        places = [Fraction(2 * int(k) + 1, 2 * (int(n) + 1)) for k, n in pairs]
        for step, (level, coverage) in enumerate(group[["level", "coverage"]].to_numpy()):
            assert level == pytest.approx(step / 40)
            inside = [abs(2 * u - 1) <= Fraction(step, 40) for u in places]
            assert coverage == pytest.approx(np.mean(inside)), (estimator, level)


def test_calibration_counts_every_rank_once(ranked):
    rows = ranked.frame("estimates")
    counts = rank_counts(ranked)
    assert (counts.groupby("estimator")["count"].sum() == 30).all()
    for row in rows.to_dict("records"):
        low, high = (100 * (row["rank"] + x) / (row["n_draws"] + 1) for x in (0, 1))
        steps = counts[counts["estimator"] == row["estimator"]].set_index("step")["count"]
        assert steps.loc[np.floor(low) : np.ceil(high) - 1].sum() > 0
    table = calibrate(ranked).set_index("estimator")
    assert table["n_draws"].to_dict() == {"of 1": 1, "of 2": 2, "of 6": 6, "of 199": 199}
    assert (table["n"] == 30).all()
