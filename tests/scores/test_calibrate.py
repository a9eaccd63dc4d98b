"""Ranks of the truth: the band's false alarms by simulation, planted faults, what stands in the table."""

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from pages import words_of
from scipy.stats import norm
from seeds import seeded

from haloassay.analysis import calibrate
from haloassay.contracts.estimate import Estimate
from haloassay.reports.figures.ranks import rank_figure
from haloassay.reports.tables import compact_calibration, format_table


@pytest.fixture
def rng():
    return seeded(2022)


def judged(folder, frame, **kwargs) -> pd.DataFrame:
    return calibrate.calibrate(
        synthetic.write(folder, frame, synthetic.runs_of(frame), **kwargs)
    ).set_index("bin")


def with_ranks(rng, rank, n_draws, **where) -> pd.DataFrame:
    """Rows whose truth has the given ranks."""
    frame = synthetic.rows(rng, len(rank), n_draws=1, **where)
    return frame.assign(rank=rank, n_draws=n_draws)


@pytest.mark.parametrize("n", [7, 60, 3000])
def test_p_values_are_uniform_for_uniform_numbers(rng, n):
    m = 800
    counts = rng.multinomial(n, np.full(100, 0.01), size=m)
    p = calibrate.uniformity(counts.sum(axis=1), counts.cumsum(axis=1)[:, :-1])
    for level in (0.01, 0.05, 0.2, 0.5):
        error = 4.0 * np.sqrt(level * (1.0 - level) / m)
        # a few numbers have a few distributions: their p-values come in steps
        assert np.mean(p <= level) < level + error
        if n >= 60:
            assert np.mean(p <= level) > level - error - 0.1 * level


def test_the_band_holds_the_distribution_as_a_whole(rng):
    n, m = 250, 4000
    ecdf = np.sort(rng.random((m, n)), axis=1)
    ecdf = np.array([np.searchsorted(u, np.arange(1, 100) / 100) for u in ecdf]) / n
    for level in (0.68, 0.95):
        lower, upper = calibrate.simultaneous_band(n, level)
        held = np.mean(np.all((ecdf >= lower) & (ecdf <= upper), axis=1))
        assert held == pytest.approx(level, abs=4.0 * np.sqrt(level * (1.0 - level) / m) + 0.005)


@pytest.mark.slow
@pytest.mark.parametrize("n_draws", [3, 99, pytest.param(100, marks=pytest.mark.slow), 1000])
def test_false_alarms_are_as_often_as_stated_whatever_the_number_of_draws(tmp_path, rng, n_draws):
    groups, n = 400, 100
    frame = with_ranks(rng, rng.integers(0, n_draws + 1, groups * n), n_draws)
    frame = frame.assign(bin=np.repeat(np.arange(groups), n), realization=np.arange(groups * n) % n)
    table = judged(tmp_path, frame)
    assert len(table) == groups
    assert np.mean(~table["inside"]) < 0.05 + 4.0 * np.sqrt(0.05 * 0.95 / groups)
    if n_draws >= 99:  # with few, places between two ranks are more even than chance
        assert np.mean(table["p_value"] < 0.5) == pytest.approx(0.5, abs=0.1)


def test_unequal_numbers_of_draws_stand_together(tmp_path, rng):
    n_draws = rng.choice([20, 50, 999], 2000)
    frame = with_ranks(rng, rng.integers(0, n_draws + 1), n_draws)
    table = judged(tmp_path, frame)
    assert table.loc[0, "p_value"] > 0.01
    assert table.loc[0, "n_draws"] == 20


def test_the_rank_of_an_angle_is_that_on_the_turn_beside_the_value():
    draws = 178.0 + np.arange(-4.0, 6.0)  # unrolled: 174 to 183 deg
    row = Estimate.from_draws("apex_l", draws)
    assert row.rank(-179.5, "angle") == row.rank(180.5, "angle") == 7
    assert row.rank(176.5 - 360.0, "angle") == row.rank(176.5 + 720.0, "angle") == 3
    assert Estimate.from_draws("mean_v_r", draws).rank(-179.5) == 0
    assert row.rank(np.nan) == Estimate("apex_l", 1.0, 0.0, 2.0, 0.0, 2.0).rank(1.0) == -1


@pytest.mark.parametrize(
    ("fault", "shape"),
    [
        ({"stated": 0.05}, "too narrow"),
        ({"stated": 0.2}, "too wide"),
        ({"offset": 0.03}, "too high"),
        ({"offset": -0.03}, "too low"),
        # so far off that all ranks are at one end, which is no matter of the intervals' width
        ({"offset": 0.5}, "too high"),
        ({"offset": -0.5, "stated": 0.15}, "too low"),
    ],
)
def test_planted_faults_are_caught_and_named(tmp_path, rng, fault, shape):
    frame = pd.concat(
        [
            synthetic.rows(rng, 400, n_draws=199, bin=0),
            synthetic.rows(rng, 900, n_draws=199, bin=1, **fault),
        ]
    )
    table = judged(tmp_path, frame)
    assert (
        table.loc[0, "p_value"] > 6e-5
    )  # four sigma: one in twenty is outside the band of 95 per cent
    assert not table.loc[1, "inside"]
    assert table.loc[1, "shape"] == shape
    assert table.loc[1, "p_value"] < 1e-3


def test_a_tail_that_intervals_do_not_see_is_caught(tmp_path, rng):
    """68 and 95 per cent are covered, yet one truth in 200 is beyond every draw more than due."""
    u = rng.random(4000)
    u[rng.random(4000) < 0.02] = 0.9995
    frame = with_ranks(rng, (u * 1000).astype(int), 999)
    table = judged(tmp_path, frame)
    assert not table.loc[0, "inside"]
    assert table.loc[0, "ecdf_distance"] < 0.02 + 2.2 / np.sqrt(4000.0)


def test_the_place_of_each_truth_is_counted_once(tmp_path, rng):
    frame = pd.concat(
        [
            with_ranks(rng, np.arange(100), 99, bin=1, r=30.0),
            with_ranks(rng, np.zeros(3, int), 99, bin=2),
            synthetic.rows(rng, 50, bin=3, n_draws=0),  # a method without draws
        ]
    )
    results = synthetic.write(tmp_path, frame, synthetic.runs_of(frame), parts=3)
    ranks = calibrate.rank_counts(results)
    counts = calibrate.count_matrix(ranks)
    assert list(ranks["bin"].unique()) == [1, 2]
    assert list(ranks["step"]) == [*range(100), *range(100)]
    np.testing.assert_array_equal(counts[0], 1)
    np.testing.assert_array_equal(counts[1], [3, *[0] * 99])
    table = calibrate.calibrate(results).set_index("bin")
    assert list(table["n"]) == [100, 3]
    assert table.loc[1, "r"] == 30.0
    assert table.loc[1, "ecdf_distance"] == pytest.approx(0.0, abs=1e-12)
    assert table.loc[2, "ecdf_distance"] == pytest.approx(0.99)
    assert table.loc[1, "p_value"] == pytest.approx(1.0)
    assert table.loc[2, "p_value"] < 1e-4


def test_factors_stand_beside_the_cell_and_rows_in_order(tmp_path, rng):
    frame = pd.concat(
        synthetic.rows(rng, 30, cell, quantity=quantity, truth=1.0)
        for cell in ("far", "base")
        for quantity in ("beta", "enclosed_mass")
    )
    cells = pd.DataFrame({"cell": ["base", "far"], "survey.scale": [1.0, 1.1]})
    table = calibrate.calibrate(
        synthetic.write(tmp_path, frame, synthetic.runs_of(frame), cells=cells)
    )
    assert list(table.columns) == ["cell", "survey.scale", *calibrate.COLUMNS]
    assert list(table["cell"]) == ["base", "base", "far", "far"]
    assert list(table["quantity"]) == ["enclosed_mass", "beta"] * 2
    assert list(table["survey.scale"]) == [1.0, 1.0, 1.1, 1.1]


def test_a_run_without_draws_has_no_calibration(tmp_path, rng):
    frame = synthetic.rows(rng, 20, n_draws=0)
    for k, rows in enumerate((frame, None)):
        runs = None if rows is None else synthetic.runs_of(rows)
        results = synthetic.write(tmp_path / str(k), rows, runs)
        assert len(calibrate.calibrate(results)) == 0
        if rows is not None:
            page = synthetic.text_of(results)
            assert 'id="calibration"' not in page


def test_the_page_and_tables_tell_the_faults(tmp_path):
    rng = np.random.default_rng(20264)  # one seed in twenty puts the right one outside, too
    frame = pd.concat(
        [
            synthetic.rows(rng, 300, estimator="right"),
            synthetic.rows(rng, 300, estimator="bold", stated=0.04),
        ]
    )
    results = synthetic.write(tmp_path, frame, synthetic.runs_of(frame))
    text = words_of(synthetic.text_of(results))
    assert "1 of 2 distributions of ranks lie inside" in text
    assert "outside: too narrow" in text
    table = calibrate.calibrate(results)
    shown = compact_calibration(table).set_index("estimator")["95 % band"]
    assert shown.to_dict() == {"right": "inside", "bold": "outside: too narrow"}
    for fmt in ("csv", "ecsv", "latex", "markdown"):
        assert "too narrow" in format_table(table, fmt)


def test_figures_show_the_ranks_of_every_bin(tmp_path, rng):
    frame = pd.concat(
        [
            synthetic.rows(rng, 200, bin=0),
            synthetic.rows(rng, 150, bin=1, stated=0.03),
            synthetic.rows(rng, 200, quantity="beta", truth=0.5),
            synthetic.rows(rng, 200, "elsewhere", bin=2),
        ]
    )
    ranks = calibrate.rank_counts(synthetic.write(tmp_path, frame, synthetic.runs_of(frame)))
    figure = rank_figure(ranks[ranks["cell"] == "base"]).figure
    beta, _, mass, _ = figure.axes
    honest, narrow = (line.get_ydata() for line in mass.lines[1:])
    lower, upper = calibrate.simultaneous_band(150)
    z = np.arange(1, 100) / 100
    assert np.all((honest[1:-1] + z >= lower) & (honest[1:-1] + z <= upper))
    assert narrow[10] > upper[9] - z[9]
    assert narrow[90] < lower[89] - z[89]
    assert len(beta.lines) == 2
    assert [text.get_text() for text in mass.texts] == ["$n$ = 150 to 200"]
    steps = [p for axes in figure.axes for p in axes.patches if hasattr(p, "get_data")]
    heights = [patch.get_data().values for patch in steps]
    assert [len(h) for h in heights] == [20, 20, 20]
    assert all(np.mean(h) == pytest.approx(1.0) for h in heights)
    assert max(h[0] for h in heights) > 3.0
    assert rank_figure(ranks[ranks["estimator"] == "nobody"]) is None


@pytest.mark.slow
@pytest.mark.parametrize("n", [40, 400])
def test_the_share_of_runs_that_find_narrow_intervals_is_that_of_simulated_runs(n):
    """Ranks of Gaussian estimates whose stated errors are nine tenths of the true ones, by simulation."""
    runs = 3000
    quantile = norm.cdf(seeded(44, n).standard_normal((runs, n)) / 0.9)
    place = np.minimum((100.0 * quantile).astype(int), 99) + 100 * np.arange(runs)[:, None]
    counts = np.bincount(place.ravel(), minlength=100 * runs).reshape(runs, 100)
    below = counts.cumsum(axis=1)[:, :-1]
    outside = np.mean(calibrate.uniformity(np.full(runs, n), below) <= 0.05)
    power = calibrate.narrow_power(n)
    assert 0.05 < power < 1.0
    assert abs(outside - power) < 4.0 * np.sqrt(power * (1.0 - power) / runs)


@pytest.mark.parametrize(
    ("low", "high", "shape"),
    [(35, 65, "too narrow"), (65, 35, "too narrow"), (5, 95, "too low"), (95, 5, "too high")],
)
def test_what_strays_more_in_its_own_errors_names_the_fault(low, high, shape):
    """Of uniform numbers a mean has the variance 1 / (12 n), the variance about it 1 / (180 n)."""
    counts = np.zeros((1, calibrate.STEPS), dtype=int)
    counts[0, 5], counts[0, 94] = low, high
    assert calibrate._shapes(counts).tolist() == [shape]
