"""Scores against their definitions in numpy, against simulation, and against planted faults."""

import re
import warnings
from statistics import NormalDist

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic_results as synthetic
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from seeds import seeded

from haloassay.analysis import groups, query, scores
from haloassay.analysis.verdict import verdicts
from haloassay.contracts.quantities import QUANTITIES, Quantity

SHARE = ("", "_mcse", "_lo", "_hi")
COVERAGE = (*SHARE, "_min", "_max")
MOMENTS_AND_RANKS = ("bias", "median_bias", "scatter", "robust_scatter", "rmse", "error_ratio")
SCORES = {"success": SHARE} | dict.fromkeys(MOMENTS_AND_RANKS, ("", "_mcse"))
SCORES |= {"coverage68": COVERAGE, "coverage95": COVERAGE}
SCORES |= {"pull_mean": ("", "_mcse"), "pull_sd": ("", "_mcse")}
DOCUMENTED = ["cell", "estimator", "quantity", "r", "unit", "n", "n_failed"]
DOCUMENTED += [f"{name}{suffix}" for name, suffixes in SCORES.items() for suffix in suffixes]
DOCUMENTED += ["lossy", "bin", "r_lo", "r_hi", "n_attempted", "n68", "n95", "skewness"]


@pytest.fixture
def rng():
    return seeded(20220)


def one(frame: pd.DataFrame, **where) -> pd.Series:
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def reference(group: pd.DataFrame, scale: str) -> dict[str, float]:
    """Scores of one group from their definitions (science reference, section 7), in plain numpy."""
    nan = float("nan")
    value, truth = group["value"].to_numpy(), group["truth"].to_numpy()
    good = np.isfinite(value) & np.isfinite(truth)
    group, value, truth = group[good], value[good], truth[good]
    n, n_all = len(value), len(good)
    unit = np.abs(truth) if scale == "fractional" else np.ones(n)
    e = (value - truth) / unit
    if scale == "angle":
        e = np.degrees(np.angle(np.exp(1j * np.radians(value - truth))))
        truth = value - e
    half = ((group["hi68"] - group["lo68"]) / 2).to_numpy() / unit
    out = {"n": n, "n_failed": n_all - n, "n68": n, "n95": n} | dict.fromkeys(COMPARED[4:], nan)
    if n == 0:
        return out
    pull = e / half
    values = {"e": e, "half": half, "pull": pull}
    for name, of in STATISTICS.items():
        out[name] = of(**values)
        if name in MOMENTS and n > 1:
            rest = [of(**{k: np.delete(x, i) for k, x in values.items()}) for i in range(n)]
            out[f"{name}_mcse"] = np.sqrt((n - 1) / n * np.sum((rest - np.mean(rest)) ** 2))
    out["skewness"] = np.mean((e - e.mean()) ** 3) / e.std() ** 3 if n > 1 else nan
    if n > 1:
        ends = {p: order_error(e, p) for p in (0.16, 0.5, 0.84)}
        out["median_bias_mcse"] = ends[0.5]
        shared = 2.0 * 0.16 / 0.84 * ends[0.16] * ends[0.84]
        out["robust_scatter_mcse"] = 0.5 * np.sqrt(ends[0.16] ** 2 + ends[0.84] ** 2 - shared)
    for level in ("68", "95"):
        hits = np.sum((group[f"lo{level}"] <= truth) & (truth <= group[f"hi{level}"]))
        lo, hi = proportion_limits(hits, n, NormalDist().inv_cdf(0.975))
        out |= {f"coverage{level}{k}": v for k, v in zip(SHARE, (hits / n, 0, lo, hi), strict=True)}
        lo, hi = proportion_limits(hits, n, 1.0)
        out[f"coverage{level}_mcse"] = 0.5 * (hi - lo)
    return out


def sd(x):
    return x.std(ddof=1) if len(x) > 1 else np.nan


STATISTICS = {
    "bias": lambda e, half, pull: e.mean() if len(e) else np.nan,
    "median_bias": lambda e, half, pull: np.median(e),
    "scatter": lambda e, half, pull: sd(e),
    "robust_scatter": lambda e, half, pull: (
        0.5 * (np.quantile(e, 0.84) - np.quantile(e, 0.16)) if len(e) > 1 else np.nan
    ),
    "rmse": lambda e, half, pull: np.sqrt(np.mean(e**2)),
    "error_ratio": lambda e, half, pull: half.mean() / sd(e),
    "pull_mean": lambda e, half, pull: pull.mean(),
    "pull_sd": lambda e, half, pull: sd(pull),
}
MOMENTS = ("bias", "scatter", "rmse", "error_ratio", "pull_mean", "pull_sd")


def order_error(e, p):
    """Half the distance of the quantiles one binomial sigma to either side of that of p."""
    step = np.sqrt(p * (1 - p) / len(e))
    return 0.5 * np.diff(np.quantile(e, np.clip([p - step, p + step], 0.0, 1.0))).item()


def proportion_limits(hits, n, z):
    """Shares p with (hits / n - p)^2 = z^2 p (1 - p) / n, by the quadratic equation."""
    share = hits / n
    roots = np.roots([1 + z * z / n, -2 * share - z * z / n, share**2])
    return np.clip(sorted(roots.real), 0.0, 1.0)


COMPARED = ["n", "n_failed", "n68", "n95", *STATISTICS, *(f"{name}_mcse" for name in STATISTICS)]
COMPARED += [f"coverage{level}{end}" for level in (68, 95) for end in SHARE] + ["skewness"]


@settings(
    phases=(Phase.explicit, Phase.generate),
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 30),
    undetermined=st.floats(0.0, 1.0),
    truthless=st.sampled_from([0.0, 0.0, 0.3]),
    parts=st.integers(1, 3),
)
@example(seed=1, n=1, undetermined=0.0, truthless=0.0, parts=1)
@example(seed=2, n=30, undetermined=0.3, truthless=0.3, parts=3)
def test_scores_equal_their_definitions_in_numpy(
    tmp_path_factory, seed, n, undetermined, truthless, parts
):
    rng = seeded(seed)
    quantities = {"enclosed_mass": 2e11, "beta": -0.2, "mean_v_r": 0.0, "apex_l": 179.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(QUANTITIES, "apex_l", Quantity("apex_l", "deg", "angle", "apex"))
        frame = pd.concat(
            synthetic.rows(
                rng, n, cell, quantity=q, truth=t, bin=b, sigma=30.0 if q == "apex_l" else 0.3
            )
            for cell in ("base", "far")
            for q, t in quantities.items()
            for b in (0, 1)
        ).reset_index(drop=True)
        blank = rng.random(len(frame)) < undetermined
        frame.loc[blank, ["value", "lo68", "hi68", "lo95", "hi95"]] = np.nan
        frame.loc[blank, "note"] = "too few stars"
        frame.loc[rng.random(len(frame)) < truthless, "truth"] = np.nan
        results = synthetic.write(
            tmp_path_factory.mktemp("run"), frame, synthetic.runs_of(frame), parts=parts
        )
        table = scores.score(results)
        assert len(table) == 2 * 4 * 2
        for keys, group in frame.groupby(list(query.KEYS)):
            row = one(table, **dict(zip(query.KEYS, keys, strict=True)))
            expected = reference(group, QUANTITIES[row["quantity"]].scale)
            expected["n_failed"] = int(group["value"].isna().sum())
            got = row[COMPARED].astype(float).to_numpy()
            np.testing.assert_allclose(
                got, [expected[k] for k in COMPARED], rtol=1e-7, atol=1e-12, err_msg=str(keys)
            )


def test_columns_stand_in_the_documented_order_with_factors_beside_the_cell(tmp_path, rng):
    frame = pd.concat([synthetic.rows(rng, 5, "near"), synthetic.rows(rng, 5, "far")])
    cells = pd.DataFrame({"cell": ["far", "near"], "survey.distance_scale": [1.1, 0.9]})
    table = scores.score(synthetic.write(tmp_path, frame, synthetic.runs_of(frame), cells))
    assert list(table.columns) == ["cell", "survey.distance_scale", *DOCUMENTED[1:]]
    assert list(table["cell"]) == ["far", "near"]  # in the order of the matrix
    assert list(table["survey.distance_scale"]) == [1.1, 0.9]


# A Monte Carlo standard error must be the standard deviation of its score over repeated studies.
STUDIES, N = 2000, 40


@pytest.fixture(scope="module", params=["Gaussian", "lognormal"])
def studies(request, tmp_path_factory):
    rng = seeded(7)
    z = rng.standard_normal(STUDIES * N)
    if request.param == "lognormal":
        # formulas for Gaussian errors state half of what is true of its scatter
        z = (np.exp(0.5 * z) - np.exp(0.125)) / np.sqrt(np.exp(0.5) - np.exp(0.25))
    frame = synthetic.rows(rng, STUDIES * N, sigma=0.1, offset=0.03, stated=0.08, n_draws=0, z=z)
    frame["cell"] = [f"study{k // N:04d}" for k in range(STUDIES * N)]
    frame["realization"] %= N
    return scores.score(
        synthetic.write(tmp_path_factory.mktemp("studies"), frame, synthetic.runs_of(frame))
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SCORES if name != "success"])
def test_monte_carlo_errors_are_the_scatter_of_the_score_over_studies(studies, name):
    values, errors = studies[name].to_numpy(), studies[f"{name}_mcse"].to_numpy()
    actual, stated = values.std(ddof=1), np.sqrt(np.mean(errors**2))
    kurtosis = np.mean((values - values.mean()) ** 4) / actual**4
    noise = np.hypot(
        actual * np.sqrt((kurtosis - 1.0) / (4.0 * STUDIES)),
        np.std(errors**2) / (2.0 * stated * np.sqrt(STUDIES)),
    )
    # the formulas are of leading order in 1/n; of the order of 1/n is what N = 40 may add, and n^-1/2 for quantiles
    ranked = name in ("median_bias", "robust_scatter")
    assert abs(actual - stated) < 4.0 * noise + actual * (N ** (-1 / 2) if ranked else 1.0 / N)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Scores of runs with a case each, as cells of one, and the warnings of making them."""
    rng = seeded(20221)
    r = np.array([20.0, 21.0, 22.0, 23.0, 90.0])
    overflow = synthetic.rows(rng, 20, "overflow", quantity="beta", truth=0.5)
    overflow.loc[3, ["value", "hi68", "hi95"]] = 1e300
    overflow.loc[4, ["value", "hi68", "hi95"]] = np.inf
    frame = pd.concat(
        [
            synthetic.rows(rng, 400, "right", sigma=0.05),
            synthetic.rows(rng, 400, "high", sigma=0.05, offset=0.02),
            synthetic.rows(rng, 400, "narrow", sigma=0.1, stated=0.05),
            synthetic.rows(rng, 8, "truthless").assign(truth=np.nan),
            synthetic.rows(rng, 5, "radii").assign(r=r, r_lo=r - 1.0, r_hi=r + 1.0),
            synthetic.rows(rng, 1, "single"),
            overflow,
        ]
    )
    runs = pd.concat([synthetic.runs_of(frame), synthetic.failed_runs(2, cell="broken")])
    results = synthetic.write(tmp_path_factory.mktemp("cases"), frame, runs)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        table = scores.score(results)
    # each cell has a row of the other's quantity, without values
    of = np.where(table["cell"] == "overflow", "beta", "enclosed_mass")
    return table[table["quantity"] == of], told


def test_an_estimator_two_per_cent_high_is_caught(cases):
    right, high = (one(cases[0], cell=cell) for cell in ("right", "high"))
    assert abs(right["bias"]) < 4 * right["bias_mcse"]
    assert high["bias"] > 4 * high["bias_mcse"]  # of eight
    assert abs(high["bias"] - 0.02) < 4 * high["bias_mcse"]


def test_intervals_half_as_wide_are_caught(cases):
    row = one(cases[0], cell="narrow")
    assert abs(row["error_ratio"] - 0.5) < 4 * row["error_ratio_mcse"]
    assert row["coverage68"] < 0.68 - 4 * row["coverage68_mcse"]
    assert (
        abs(row["coverage68"] - 0.383) < 4 * row["coverage68_mcse"]
    )  # Gaussian within half a sigma
    assert abs(row["pull_sd"] - 2.0) < 4 * row["pull_sd_mcse"]


def test_where_the_truth_is_not_defined_nothing_failed(cases):
    row = one(cases[0], cell="truthless")
    assert (row["n"], row["n_failed"], row["n_attempted"]) == (0, 0, 8)
    assert np.isnan(row["bias"])


def test_the_radius_of_a_row_is_the_median_and_its_bin_holds_all(cases):
    """The median radius of the stars jumps with the bin's content; one outlier moves no row."""
    row = one(cases[0], cell="radii")
    assert (row["r"], row["r_lo"], row["r_hi"]) == (22.0, 19.0, 91.0)


def test_one_realisation_has_a_bias_but_no_scatter(cases):
    row = one(cases[0], cell="single")
    assert np.isfinite(row["bias"])
    assert row["coverage68"] in (0.0, 1.0)
    undetermined = [
        "bias_mcse",
        "scatter",
        "scatter_mcse",
        "rmse_mcse",
        "error_ratio",
        "pull_sd",
    ]
    assert row[undetermined].isna().all()


def test_values_that_overflow_do_not_stop_the_table(cases):
    row = one(cases[0], cell="overflow")
    assert (row["n"], row["n_failed"]) == (18, 2)


def test_no_warning_reaches_the_user(cases):
    """Nor of cells that lack values, scatter or truth."""
    assert cases[1] == []


def test_angles_are_compared_around_the_circle(tmp_path, rng, monkeypatch):
    monkeypatch.setitem(QUANTITIES, "apex_l", Quantity("apex_l", "deg", "angle", "apex"))
    frame = synthetic.rows(rng, 300, quantity="apex_l", truth=179.0, sigma=5.0)
    turned = frame["value"] > 180.0
    frame.loc[turned, ["value", "lo68", "hi68", "lo95", "hi95"]] -= 360.0
    row = one(scores.score(synthetic.write(tmp_path, frame, synthetic.runs_of(frame))))
    assert turned.sum() > 50
    assert abs(row["bias"]) < 4 * row["bias_mcse"]
    assert abs(row["scatter"] - 5.0) < 4 * row["scatter_mcse"]
    assert abs(row["coverage68"] - 0.6827) < 4 * row["coverage68_mcse"]


def test_directions_are_scored_by_their_distance_on_the_sky(tmp_path, rng, monkeypatch):
    """Offsets of a Rayleigh distribution: mean offset, coverage of the caps; no error ratio, no pull, no bias found."""
    known = Quantity("apex_offset", "deg", "separation", "offset")
    monkeypatch.setitem(QUANTITIES, "apex_offset", known)
    n = 400
    frame = synthetic.rows(rng, n, quantity="apex_offset", truth=0.0)
    frame["truth"] = np.degrees(0.1) * np.hypot(*rng.standard_normal((2, n)))
    cap = {level: np.degrees(0.1) * np.sqrt(-2.0 * np.log(1.0 - level)) for level in (0.68, 0.95)}
    frame = frame.assign(value=0.0, lo68=0.0, lo95=0.0, hi68=cap[0.68], hi95=cap[0.95])
    row = one(scores.score(synthetic.write(tmp_path, frame, synthetic.runs_of(frame))))
    expected = np.degrees(0.1) * np.sqrt(0.5 * np.pi)
    assert abs(row["bias"] - expected) < 4 * row["bias_mcse"]
    for level in (68, 95):
        nominal = level / 100.0
        assert abs(row[f"coverage{level}"] - nominal) < 4 * np.sqrt(nominal * (1 - nominal) / n)
    assert np.isnan([row["error_ratio"], row["pull_mean"]]).all()
    (verdict,) = verdicts(pd.DataFrame([row]))
    assert not verdict.fault
    assert re.fullmatch(r"Off by \d\.\d+ ± 0\.\d+ deg on average\.", verdict.bias)
    narrow = frame.assign(hi68=0.5 * frame["hi68"])
    (tmp_path / "narrow").mkdir()
    row = one(scores.score(synthetic.write(tmp_path / "narrow", narrow, synthetic.runs_of(narrow))))
    assert verdicts(pd.DataFrame([row]))[0].fault


def test_failures_are_counted_and_a_cell_that_never_worked_keeps_its_rows(tmp_path, rng):
    good = pd.concat([synthetic.rows(rng, 10), synthetic.rows(rng, 10, bin=1)])
    good.loc[(good["bin"] == 1) & (good["realization"] < 4), ["value", "note"]] = [
        np.nan,
        "too few stars",
    ]
    runs = pd.concat(
        [
            synthetic.runs_of(good),
            synthetic.failed_runs(3, first=10),
            synthetic.failed_runs(1, first=13, status="timeout"),
            synthetic.failed_runs(6, cell="broken"),
            synthetic.failed_runs(2, estimator="never"),
        ]
    )
    results = synthetic.write(tmp_path, good, runs)
    table = scores.score(results)
    counts = table.set_index(["cell", "estimator", "bin"])[["n", "n_failed", "n_attempted"]]
    assert tuple(counts.loc["base", "jeans-3d", 0]) == (10, 4, 14)
    assert tuple(counts.loc["base", "jeans-3d", 1]) == (6, 8, 14)
    assert tuple(counts.loc["broken", "jeans-3d", 1]) == (0, 6, 6)
    assert tuple(counts.loc["base", "never", 0]) == (0, 2, 2)
    assert one(table, cell="broken", bin=1)["quantity"] == "enclosed_mass"
    assert table[table["n"] == 0]["bias"].isna().all()
    ended = scores.outcomes(results)
    assert dict(ended.groupby("status")["n"].sum()) == {"ok": 10, "failed": 11, "timeout": 1}
    assert one(scores.undetermined(results))["n"] == 4


def test_a_run_without_any_result_has_an_empty_table(tmp_path):
    table = scores.score(synthetic.write(tmp_path, None, None, pd.DataFrame({"cell": ["base"]})))
    assert len(table) == 0
    assert list(table.columns) == DOCUMENTED
    assert len(scores.coverage_curve(synthetic.write(tmp_path, None, None))) == 0


def test_batches_do_not_change_the_scores(tmp_path, rng, monkeypatch):
    frame = pd.concat(
        synthetic.rows(rng, 20, cell, estimator) for cell in ("a", "b") for estimator in ("x", "y")
    )
    results = synthetic.write(tmp_path, frame, synthetic.runs_of(frame), parts=2)
    whole = scores.score(results)
    monkeypatch.setattr(groups, "_READ", 7)
    monkeypatch.setattr(groups, "ROWS", 25)
    pd.testing.assert_frame_equal(scores.score(results), whole, rtol=1e-12)


@pytest.mark.parametrize(("stated", "calibrated"), [(0.1, True), (0.05, False)])
def test_the_coverage_curve_of_ranks_is_the_diagonal_for_honest_posteriors(
    tmp_path, rng, stated, calibrated
):
    frame = synthetic.rows(rng, 500, stated=stated, n_draws=199)
    curve = scores.coverage_curve(
        synthetic.write(tmp_path, frame, synthetic.runs_of(frame)), steps=20
    )
    assert len(curve) == 21
    assert (curve["n"] == 500).all()
    inner = curve[curve["level"].between(0.2, 0.9)]
    noise = np.sqrt(inner["level"] * (1.0 - inner["level"]) / 500)
    distance = (inner["coverage"] - inner["level"]) / noise
    assert (distance.abs() < 4.0).all() if calibrated else (distance < -4.0).all()


def test_a_nan_in_the_files_is_no_value(tmp_path):
    # pandas writes NaN as null; other writers do not, and Parquet's statistics leave NaN out
    frame = synthetic.rows(seeded(3), 20)
    frame.loc[:6, ["value", "lo68", "hi68", "lo95", "hi95"]] = np.nan
    results = synthetic.write(tmp_path / "run", frame, synthetic.runs_of(frame))
    (file,) = results.estimates_files
    columns = {name: pa.array(frame[name].to_numpy(), from_pandas=False) for name in frame}
    pq.write_table(pa.table(columns), file)
    table = scores.score(results)
    assert (table["n"].item(), table["n_failed"].item()) == (13, 7)


def test_tables_of_two_runs_are_apart_and_an_error_ends_with_its_own(tmp_path, rng):
    """A process opens DuckDB once, and once more after anything has gone wrong."""

    def counted(tables):
        return tables.execute("SELECT count(*) FROM estimates").fetchone()[0]

    few, many = (synthetic.rows(rng, n) for n in (3, 7))
    one_run, other = (
        synthetic.write(tmp_path / str(len(frame)), frame, synthetic.runs_of(frame))
        for frame in (few, many)
    )
    with query.open_tables(one_run) as first, query.open_tables(other) as second:
        assert (counted(first), counted(second), counted(first)) == (3, 7, 3)
        before = dict(query._kept)
    with pytest.raises(duckdb.Error), query.open_tables(one_run) as tables:
        tables.execute("SELECT nothing FROM nowhere")
    with query.open_tables(other) as tables:
        assert counted(tables) == 7
    (kept,) = query._kept.values()
    assert kept not in before.values()
