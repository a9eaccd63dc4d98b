"""Paired differences: against numpy, against what was planted, the two ways round, and with pairs lost."""

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from seeds import seeded

from haloassay.analysis import groups
from haloassay.analysis.pairs import COLUMNS, DIFFERENCES, paired
from haloassay.base.errors import InputError

CELLS = pd.DataFrame({"cell": ["base", "far"], "survey.distance_scale": [1.0, 1.1]})


@pytest.fixture
def rng():
    return seeded(20261)


def run(folder, *frames, runs=None):
    """Results of two cells."""
    frame = pd.concat(frames)
    return synthetic.write(folder, frame, synthetic.runs_of(frame) if runs is None else runs, CELLS)


def errors(frame):
    """Errors of rows of one scale."""
    if frame["unit"].iloc[0]:
        return (frame["value"] / frame["truth"] - 1.0).to_numpy()
    return (frame["value"] - frame["truth"]).to_numpy()


@pytest.mark.parametrize(("quantity", "truth"), [("enclosed_mass", 2e11), ("beta", 0.5)])
def test_every_column_is_what_numpy_makes_of_the_pairs(tmp_path, rng, quantity, truth):
    z, own = rng.standard_normal((2, 60))
    base = synthetic.rows(rng, 60, "base", quantity=quantity, truth=truth, z=z, sigma=0.1)
    far = synthetic.rows(
        rng,
        60,
        "far",
        quantity=quantity,
        truth=1.1 * truth,
        z=z + 0.3 * own,
        sigma=0.1,
        offset=0.02,
    )
    (row,) = paired(run(tmp_path, base, far), "base").to_dict("records")
    e, b = errors(far), errors(base)
    assert (row["cell"], row["survey.distance_scale"]) == ("far", 1.1)
    assert (row["n"], row["n_lost"], row["lossy"]) == (60, 0, False)
    expected = {
        "shift": np.mean(e - b),
        "shift_mcse": np.std(e - b, ddof=1) / np.sqrt(60),
        "correlation": np.corrcoef(e, b)[0, 1],
        "gain": (np.var(e, ddof=1) + np.var(b, ddof=1)) / np.var(e - b, ddof=1),
    }
    if quantity == "enclosed_mass":
        ln = np.log(far["value"].to_numpy() / base["value"].to_numpy())
        expected |= {"log_change": ln.mean(), "log_change_mcse": ln.std(ddof=1) / np.sqrt(60)}
        expected |= {"truth_log_change": np.log(1.1), "truth_log_change_mcse": 0.0}
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name
    assert (quantity == "beta") == np.isnan(row["log_change"])


def test_the_shift_has_the_right_sign_where_a_mean_of_ratios_has_not(tmp_path, rng):
    """Estimates of wide scatter that pairs do not share, and a factor that takes a tenth of the truth off each."""
    z, own = rng.standard_normal((2, 4000))
    base = synthetic.rows(rng, 4000, "base", z=z).assign(value=2e11 * np.exp(0.5 * z))
    far = base.assign(cell="far", value=2e11 * (np.exp(0.5 * own) - 0.1))
    results = run(tmp_path, base, far)
    for cell, sign in (("base", -1.0), ("far", 1.0)):
        (row,) = paired(results, cell).to_dict("records")
        assert row["shift"] == pytest.approx(sign * 0.1, abs=4.0 * row["shift_mcse"])
    ratio = (far["value"] / base["value"] - 1.0).to_numpy()
    assert ratio.mean() > 4.0 * ratio.std() / np.sqrt(4000)


def test_the_other_way_round_every_difference_has_the_other_sign_exactly(tmp_path, rng):
    """In 12 bins of each quantity, of small to large scatter: rounding must not tell which cell is the base."""
    frames = []
    for quantity, truth in {"enclosed_mass": 2e11, "beta": 0.5, "apex_l": 170.0}.items():
        for bin_, size in enumerate(np.repeat([0.1, 100.0, 400.0], 4)):
            z = rng.standard_normal(7)
            for cell, k in (("base", 1.0), ("far", 1.01)):
                where = {"quantity": quantity, "bin": bin_, "truth": truth * k}
                frames.append(synthetic.rows(rng, 7, cell, z=z * k, sigma=size, **where))
    results = run(tmp_path, *frames)
    there, back = (paired(results, base) for base in ("base", "far"))
    assert len(there) == 36
    for name in ("quantity", "bin"):
        assert list(there[name]) == list(back[name])
    for difference in DIFFERENCES:
        name = difference.name
        np.testing.assert_array_equal(there[name], -back[name])
        np.testing.assert_array_equal(there[f"{name}_mcse"], back[f"{name}_mcse"])
    for name in ("n", "n_lost", "correlation", "gain"):
        np.testing.assert_allclose(there[name], back[name], rtol=1e-12)


def test_half_a_turn_is_as_far_one_way_as_the_other(tmp_path, rng):
    base = synthetic.rows(rng, 3, "base", quantity="apex_l", truth=0.0).assign(value=-90.0)
    far = base.assign(cell="far", value=90.0)
    results = run(tmp_path, base, far)
    there, back = (paired(results, b)["shift"].item() for b in ("base", "far"))
    assert there == -back
    assert abs(there) == 180.0


def test_lost_pairs_are_counted_and_said(tmp_path, rng):
    """Of 40 runs in both cells 4 have no value in one; 5 were never tried there, and 3 had no mock."""
    z = rng.standard_normal(48)
    base = synthetic.rows(rng, 48, "base", z=z)
    far = synthetic.rows(rng, 48, "far", z=z)
    gone = far["realization"] < 12
    runs = synthetic.runs_of(pd.concat([base, far[far["realization"] >= 5]]))
    bad = (runs["cell"] == "far") & runs["realization"].between(5, 7)
    runs.loc[bad, "status"] = "no-mock"
    runs.loc[(runs["cell"] == "far") & runs["realization"].between(8, 11), "status"] = "failed"
    (row,) = paired(run(tmp_path, base, far[~gone], runs=runs), "base").to_dict("records")
    assert (row["n"], row["n_lost"], row["lossy"]) == (36, 4, True)


def test_an_estimator_that_gave_nothing_in_a_cell_has_its_losses_there(tmp_path, rng):
    base = synthetic.rows(rng, 10, "base")
    runs = pd.concat([synthetic.runs_of(base), synthetic.failed_runs(10, "far")])
    (row,) = paired(run(tmp_path, base, runs=runs), "base").to_dict("records")
    assert (row["cell"], row["n"], row["n_lost"], row["lossy"]) == ("far", 0, 10, True)
    assert np.isnan([row["shift"], row["correlation"], row["gain"]]).all()


def test_columns_stand_in_the_documented_order(tmp_path, rng):
    frames = [synthetic.rows(rng, 3, cell) for cell in ("base", "far")]
    table = paired(run(tmp_path, *frames), "base")
    assert list(table) == ["cell", "survey.distance_scale", *COLUMNS]


def test_a_base_that_is_not_there_and_a_run_of_one_cell_are_named(tmp_path, rng):
    frame = synthetic.rows(rng, 3)
    with pytest.raises(InputError, match=r"base: unknown cell 'nar'.*allowed: base, far"):
        paired(run(tmp_path / "two", frame), "nar")
    one = synthetic.write(tmp_path / "one", frame, synthetic.runs_of(frame))
    with pytest.raises(InputError, match="one cell only"):
        paired(one, "base")


def test_a_run_without_any_value_has_no_pairs(tmp_path):
    runs = pd.concat([synthetic.failed_runs(3, "base"), synthetic.failed_runs(3, "far")])
    table = paired(synthetic.write(tmp_path, None, runs, CELLS), "base")
    assert list(table) == ["cell", "survey.distance_scale", *COLUMNS]
    assert len(table) == 0


def test_batches_do_not_change_pairs(tmp_path, rng, monkeypatch):
    frames = [
        synthetic.rows(rng, 30, cell, estimator, bin=k)
        for cell in ("base", "far")
        for estimator in ("x", "y")
        for k in (0, 1)
    ]
    results = run(tmp_path, *frames)
    whole = paired(results, "base")
    monkeypatch.setattr(groups, "_READ", 7)
    monkeypatch.setattr(groups, "ROWS", 20)
    pd.testing.assert_frame_equal(paired(results, "base"), whole, check_exact=True)
