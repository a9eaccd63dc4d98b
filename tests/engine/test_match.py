"""Matching from end to end, on a mock that takes a moment: what is found, what is written, what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
from seeds import shifted

import haloassay
from haloassay.analysis.alignment import targets
from haloassay.base.errors import InputError
from haloassay.contracts.measurements import Measurement
from haloassay.contracts.quantities import QUANTITIES
from haloassay.engine import matching
from haloassay.engine.progress import Silent
from haloassay.io.measurements import read_measurements
from haloassay.planning.free import free_factors, parse_free
from haloassay.planning.scenario import load_scenario, make_scenario
from haloassay.planning.writing import to_toml
from haloassay.scenarios import names

EDGES = [5.0, 12.0, 30.0]
SCENARIO = {
    "name": "small",
    "seed": shifted(17),
    "mock": {
        "kind": "local-jeans-gaussian",
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "density": {"kind": "power-law", "slope": -3.5},
        "beta": {"kind": "constant", "beta": 0.3},
        "r_range": [4.0, 60.0],
    },
    "survey": {"preset": "perfect", "n_stars": 200},
    "estimators": [{"kind": "velocity-ellipsoid", "bins": EDGES, "n_draws": 50}],
}
FREE = ("mock.potential.m200", "mock.beta.beta={ kind = 'uniform', lo = -0.5, hi = 0.8 }")
TRUE = {"mock.potential.m200": 1.4e12, "mock.beta.beta": 0.1}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Dispersions and anisotropy of one catalogue of other settings than the scenario's."""
    mock = {
        **SCENARIO["mock"],
        "potential": {"kind": "nfw", "m200": TRUE["mock.potential.m200"], "c": 12.0},
        "beta": {"kind": "constant", "beta": TRUE["mock.beta.beta"]},
    }
    other = {**SCENARIO, "mock": mock, "seed": shifted(18), "realizations": 1}
    folder = tmp_path_factory.mktemp("measured")
    rows = haloassay.run(other, folder / "run", workers=0, progress=Silent()).frame("estimates")
    kept = rows[rows["quantity"].isin(["sigma_r", "beta"])]
    columns = ["quantity", "r", "r_lo", "r_hi", "value", "lo68", "hi68"]
    kept[columns].to_csv(folder / "measured.csv", index=False)
    return folder / "measured.csv"


def matched(measured, out, **settings):
    settings = {"rounds": 1, "workers": 0, "progress": Silent(), **settings}
    return haloassay.match(SCENARIO, measured, out, FREE, **settings)


@pytest.fixture(scope="module", autouse=True)
def few_masses():
    """Masses of the halo are of some of the draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_OF_MASSES", 50)
        yield


@pytest.fixture(scope="module")
def found(measured, tmp_path_factory):
    out = tmp_path_factory.mktemp("match") / "out"
    return matched(measured, out), out


@pytest.mark.long
class TestFound:
    def test_settings_and_truth_are_covered(self, found):
        match, _ = found
        for span in match.settings:
            draws = match.draws[span.name]
            distance = abs((draws < TRUE[span.name]).mean() - 0.5)
            assert distance < 0.5 - 3e-4  # 3.4 sigma
        beta = [span for span in match.truths if span.name == "beta"]
        assert len(beta) == 2
        for span in beta:
            assert abs(span.median - TRUE["mock.beta.beta"]) < 2.0 * (span.hi95 - span.lo95)
        masses = [span for span in match.truths if span.name == "enclosed_mass"]
        exact = haloassay.mock(
            {
                **SCENARIO,
                "mock": {
                    **SCENARIO["mock"],
                    "potential": {"kind": "nfw", "m200": 1.4e12, "c": 12.0},
                },
            }
        ).truth
        for span in masses:
            assert abs(np.log(span.median / exact.value("enclosed_mass", span.r))) < 2.0 * np.log(
                span.hi95 / span.lo95
            )

    def test_halos_of_the_family_look_like_it(self, found):
        match, _ = found
        assert not match.fit.nothing_alike
        assert not any(row.named for row in match.rows)

    def test_emulators_agree_with_mocks_run_at_the_best_settings(self, found):
        match, _ = found
        for row in match.rows:
            assert abs(row.run - row.mean) < 4.0 * np.hypot(row.run_mcse, 0.3 * row.scatter)

    def test_the_matched_scenario_is_the_one_of_the_best_settings(self, found):
        match, out = found
        scenario = load_scenario(out / "matched.toml")
        assert scenario.mock["potential"]["m200"] == match.matched["mock.potential.m200"]
        assert scenario.mock["beta"]["beta"] == match.matched["mock.beta.beta"]
        assert scenario.estimators[0].spec["bins"] == EDGES

    def test_tables_of_every_format_and_a_figure_are_written(self, found):
        match, out = found
        rows = pd.read_csv(out / "match.csv")
        assert (rows["item"] == "data").sum() == 4
        assert list(pd.read_parquet(out / "match.parquet")["quantity"]) == list(
            rows["quantity"].fillna("")
        )
        told = json.loads((out / "match.json").read_text())
        assert told["matched"] == match.matched
        for name in ("match.tex", "match.md", "match.ecsv", "match.pdf", "match.png"):
            assert (out / name).stat().st_size > 0

    def test_the_same_again_is_the_same_and_runs_nothing(self, found, measured):
        match, out = found
        before = sorted(path for path in out.rglob("*.parquet") if path.name != "match.parquet")
        asked = {"rounds": 1, "workers": 0, "progress": Silent()}
        again = matching.match(SCENARIO, measured, out, FREE, **asked)
        assert again.matched == match.matched
        np.testing.assert_array_equal(again.draws["mock.beta.beta"], match.draws["mock.beta.beta"])
        after = sorted(path for path in out.rglob("*.parquet") if path.name != "match.parquet")
        assert after == before


@pytest.mark.slow
def test_dispersions_that_no_halo_of_the_family_has_are_named(tmp_path):
    # a constant beta cannot be 0.7 within 12 kpc and -1 beyond
    wanted = [
        Measurement("beta", 0.75, 0.03, r_lo=5.0, r_hi=12.0),
        Measurement("beta", -2.5, 0.2, r_lo=12.0, r_hi=30.0),
        Measurement("sigma_r", 110.0, 5.0, r_lo=5.0, r_hi=12.0),
    ]
    match = matched(wanted, tmp_path / "out")
    assert match.fit.nothing_alike
    assert any(row.named for row in match.rows if row.target.quantity.name == "beta")
    assert "no halo of this family" in (tmp_path / "out" / "match.md").read_text()


class TestRefused:
    @pytest.mark.parametrize(
        ("table", "words"),
        [
            ("quantity,r,value,error\nfrog,10,1,1\n", "line 2: unknown quantity 'frog'"),
            (
                "quantity,r,value,error\nsigma_r,10,100,0\n",
                "line 2: sigma_r: the error is not above 0",
            ),
            ("quantity,r,value,error\nsigma_r,10,-100,5\n", "is a positive scale"),
            ("quantity,r,value,error\nsigma_r,10,abc,5\n", "value: expected a number"),
            (
                "quantity,r,value,error,unit\nsigma_r,10,100,5,Msun\n",
                "does not become that of sigma_r, km/s",
            ),
            ("quantity,r,value\nsigma_r,10,100\n", "has no column error"),
            ("quantity,r,value,error\nsigma_r,10,100\n", "has 3 fields"),
            ("quantity,r,value,error\nsigma_r,10,9,1\nsigma_r,10,9,1\n", "stands twice"),
            ("quantity,r,value,error\n", "has no rows"),
            ("quantity,r,value,error\nsigma_r,10,100,\n", "states no error"),
            ("", "it is empty"),
            ("quantity,value,error\napex_l,100,5\n", "is a direction"),
        ],
    )
    def test_tables(self, table, words, tmp_path):
        (tmp_path / "measured.csv").write_text(table)
        with pytest.raises(InputError, match=words):
            matched(tmp_path / "measured.csv", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("free", "words"),
        [
            ([], "no setting is free"),
            (["mock.potential.frog={ kind = 'uniform', lo = 0, hi = 1 }"], "leads to no number"),
            (["survey.distance_scale"], "no default prior"),
            (["mock.beta.beta={ kind = 'uniform', lo = 0.0, hi = 3.0 }"], "values that cannot be"),
            (["mock.beta.beta={ kind = 'frog' }"], "unknown kind 'frog'"),
            (["mock.beta.beta=0.5"], "is no table"),
            (["mock.beta.*"], "is no list"),
            (["mock.potential.m200", "mock.potential.m200"], "stands twice"),
            (["frog.beta"], "leads to no number"),
            (["survey.n_stars={ kind = 'uniform', lo = 50, hi = 90 }"], "is a real number"),
        ],
    )
    def test_free_settings(self, free, words, tmp_path):
        wanted = [Measurement("sigma_r", 110.0, 5.0, r=9.0)]
        with pytest.raises(InputError, match=words):
            haloassay.match(SCENARIO, wanted, tmp_path / "out", free, workers=0, progress=Silent())
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("measurement", "words"),
        [
            (Measurement("sigma_r", 110.0, 5.0, r=40.0), "outside of the bins"),
            (Measurement("m200", 1e12, 1e11), "yields no m200"),
        ],
    )
    def test_measurements_that_the_scenario_does_not_make(self, measurement, words, tmp_path):
        with pytest.raises(InputError, match=words):
            matched([measurement], tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_rows_of_measure_without_a_value_are_left_out(tmp_path):
    text = "quantity,value,lo68,hi68,r,note\nsigma_r,100,95,105,10,\nbeta,,,,10,too few stars\n"
    (tmp_path / "m.csv").write_text(f"# of a paper\n{text}")
    row, none = read_measurements(tmp_path / "m.csv")
    assert (row.quantity, row.value, row.error, row.r) == ("sigma_r", 100.0, 5.0, 10.0)
    assert (none.note, none.line) == ("too few stars", 4)
    estimates = pd.DataFrame(
        {"estimator": ["e"], "quantity": ["sigma_r"], "bin": [0], "r": [10.0], "value": [99.0]}
    ).assign(r_lo=np.nan, r_hi=np.nan)
    (target,) = targets((row, none), estimates, ["e"], QUANTITIES)
    assert target.measured is row


def test_a_star_stands_for_all_entries_of_a_list():
    scenario = load_scenario("bird2022-kgiants")
    factors = free_factors(scenario, parse_free(["mock.beta.beta.*", "mock.potential.0.c"]))
    assert [f.label for f in factors] == [f"mock.beta.beta.{k}" for k in range(4)] + [
        "mock.potential.0.c"
    ]
    assert float(factors[-1].prior.quantile(np.array([0.5]))[0]) == pytest.approx(15.0)


@pytest.mark.parametrize("name", names())
def test_scenarios_are_written_as_they_are_read(name):
    import tomllib

    scenario = load_scenario(name)
    again = make_scenario(tomllib.loads(to_toml(scenario, ["of a test"])))
    assert again.to_dict() == scenario.to_dict()
