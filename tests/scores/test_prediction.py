"""Predictions between the points of a run whose response is known, and other priors over its factors."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import synthetic_budget as known
from scipy import stats
from seeds import seeded

from haloassay.analysis.budget import budgets
from haloassay.analysis.cube import Cube
from haloassay.analysis.prediction import Predictor, predictors, settings_of
from haloassay.analysis.reweighting import make_priors
from haloassay.base.errors import InputError
from haloassay.contracts import labels
from haloassay.contracts.priors import Discrete, Normal, Uniform
from haloassay.reports import prediction as words

AT = {"x": 1.5, "y": 0.5, "choice": "bold"}
BIAS = known.BIAS + 1.5 * known.A + 0.5 * known.B + 0.75 * known.C + known.CHOICE["bold"]
SCATTER = float(np.hypot(known.NOISE, 1.5 * known.GROWTH))
HALF = 0.1  # what the estimator states


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return known.results(tmp_path_factory.mktemp("predicted"), seeded(21), n=400)


@pytest.fixture(scope="module")
def maker(run):
    (found,) = predictors(run, "m200")
    return found


def scores(maker, **settings):
    return {each.score: each for each in maker.at({**AT, **settings})}


def near(amount, exact, sigma=4.0):
    return abs(amount.value - exact) < sigma * amount.mcse + 1e-12


class TestKnownResponse:
    def test_bias_scatter_and_coverage_are_their_exact_values(self, maker):
        found = scores(maker)
        assert near(found["bias"].value, BIAS)
        assert near(found["scatter"].value, SCATTER)
        for at in ({}, {"x": -1.0, "choice": "plain"}):
            x, choice = at.get("x", 1.5), at.get("choice", "bold")
            mean = known.response(x, 0.5, choice, 0.0, 0.0)
            e = stats.norm(mean, np.hypot(known.NOISE, known.GROWTH * x))
            for level, half in ((68, HALF), (95, 1.96 * HALF)):
                inside = e.cdf(half) - e.cdf(-half)
                assert near(scores(maker, **at)[f"coverage{level}"].value, inside, 5.0), (at, level)

    def test_what_is_not_set_is_as_in_the_scenario(self, maker):
        found = {each.score: each for each in maker.at({"x": 1.0})}
        assert near(found["bias"].value, known.BIAS + known.A)

    def test_pairs_make_it_better_than_errors_alone(self, run, maker):
        rows = pd.read_parquet(run.estimates_files[0])
        assert maker.base is not None
        assert near(maker.base, known.BIAS)
        file = run.out / "no-base.parquet"
        rows[rows["cell"] != "base"].to_parquet(file)
        (alone,) = predictors(dataclasses.replace(run, estimates_files=[file]), "m200")
        assert alone.base is None
        at = {"x": 0.0, "y": 0.0, "choice": "plain"}  # where all that is left is noise of the base
        paired, other = scores(maker, **at)["bias"], scores(alone, **at)["bias"]
        assert near(other.value, known.BIAS)
        assert paired.value.mcse < other.value.mcse

    @pytest.mark.slow
    def test_errors_are_as_large_as_they_say(self, tmp_path):
        pulls = []
        for k in range(12):
            run = known.results(tmp_path / str(k), seeded(22, k), n=160)
            (maker,) = predictors(run, "m200")
            found = scores(maker, x=-0.5)
            mean = known.response(-0.5, 0.5, "bold", 0.0, 0.0)
            scatter = np.hypot(known.NOISE, 0.5 * known.GROWTH)
            exact = {"bias": mean, "scatter": scatter}
            pulls.append(
                [(found[s].value.value - v) / found[s].value.mcse for s, v in exact.items()]
            )
            shutil.rmtree(tmp_path / str(k))
        square = np.mean(np.square(pulls), axis=0)
        assert np.all(square < 1.0 + 4.0 * np.sqrt(2.0 / 12)), square
        assert np.all(square > 0.05), square

    def test_plain_data_predict_the_same(self, maker):
        read = Predictor.from_data(json.loads(json.dumps(maker.to_data(), allow_nan=False)))
        for one, other in zip(read.at(AT), maker.at(AT), strict=True):
            assert (one.score, one.value) == (other.score, other.value)
        assert (read.base, read.n, read.factors) == (maker.base, maker.n, maker.factors)

    def test_lost_points_are_counted(self, run, tmp_path):
        rows = pd.read_parquet(run.estimates_files[0])
        file = tmp_path / "thin.parquet"
        rows[(rows["cell"] != "joint") | (rows["realization"] >= 20)].to_parquet(file)
        (thin,) = predictors(dataclasses.replace(run, estimates_files=[file]), "m200")
        assert (thin.n, thin.n_lost) == (190, 10)

    def test_tables_show_per_cent_of_errors_and_shares_of_coverages(self, run, maker):
        predicted = maker.at(AT)
        with labels.vocabulary(run.quantities):
            shown = words.text((maker, predicted), AT)
            frame = words.frame([(maker, predicted)])
        bias = predicted[0].value.value
        assert f"bias [%]{100 * bias:.1f}"[:11] in shown.replace(" ", "").replace(
            "bias[%]", "bias [%]"
        )
        assert frame["value"].iloc[0] == bias  # a fraction
        assert "x 1.5, y 0.5, choice bold" in shown


class TestRefusals:
    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"x": 9.0}, "'x': 9 is outside of what was run"),
            ({"y": -1.2}, "'y': -1.2 is outside of what was run"),
            ({"x": "wide"}, "expected a number"),
            ({"x": True}, "expected a number"),
            ({"x": float("nan")}, "expected a number"),
            ({"choice": "bald"}, "did you mean 'bold'"),
        ],
    )
    def test_a_point_that_was_not_run_is_refused(self, maker, settings, said):
        with pytest.raises(InputError, match=said) as caught:
            maker.at(settings)
        assert str(caught.value).startswith("no prediction: factor")

    def test_factors_are_found_by_label_or_path_once(self, run):
        assert settings_of([("survey.x", 1.0), ("y", 0.5)], run.factors) == {"x": 1.0, "y": 0.5}
        with pytest.raises(InputError, match="'x': is set twice"):
            settings_of([("survey.x", 1.0), ("x", 1.0)], run.factors)
        with pytest.raises(InputError, match="unknown factor"):
            settings_of([("survey.w", 1.0)], run.factors)

    def test_a_run_without_points_is_refused(self, run):
        with pytest.raises(InputError, match="no sampled cell to predict from"):
            predictors(dataclasses.replace(run, samplings={}), "m200")
        with pytest.raises(InputError, match="sobol"):
            predictors(run, "m200", cell="sobol")

    def test_too_few_points_are_refused(self, tmp_path):
        (maker,) = predictors(known.results(tmp_path, seeded(23), n=40), "m200")
        with pytest.raises(InputError, match="20 points with a response, fewer than 40"):
            maker.at({})

    def test_a_level_without_weight_is_no_coordinate(self, run):
        third = dataclasses.replace(run.factors[2], prior=Discrete((1.0, 0.0)))
        assert Cube((run.factors[0], third)).names == ("x",)


class TestOtherPriors:
    PRIORS = {"x": Normal(0.5, 0.5), "choice": Discrete((1.0, 1.0))}  # noqa: RUF012
    MEAN = 0.5 * known.A + 0.5 * known.CHOICE["bold"]
    #: Var(A x + y (B + C x)) with <y> = 0, <y^2> = 1 / 3
    SQUARE = (
        known.A**2 * 0.25
        + (known.B**2 + known.B * known.C + known.C**2 * 0.5) / 3.0
        + 0.25 * known.CHOICE["bold"] ** 2
    )

    def test_every_line_is_that_of_the_other_prior(self, run):
        (found,) = budgets(run, "m200", priors=self.PRIORS)
        lines = {line.factor.label: line for line in found.lines}
        exact = {"x": 0.5 * known.A, "y": known.SD["y"], "choice": 0.5 * known.CHOICE["bold"]}
        for label, sd in exact.items():
            assert abs(lines[label].sd.value - sd) < 4.0 * lines[label].sd.mcse + 2e-3 * sd, label
        assert near(lines["x"].mean, 0.5 * known.A)
        assert near(found.together.sd, np.sqrt(self.SQUARE))
        assert near(found.together.mean, self.MEAN)
        assert found.together.sd.mcse < 0.1 * np.sqrt(self.SQUARE)

    @pytest.mark.slow
    def test_errors_are_as_large_as_they_say(self, tmp_path):
        pulls = []
        for k in range(12):
            run = known.results(tmp_path / str(k), seeded(24, k), n=160)
            (found,) = budgets(run, "m200", priors=self.PRIORS)
            pulls.append(
                [
                    (found.together.sd.value - np.sqrt(self.SQUARE)) / found.together.sd.mcse,
                    (found.together.mean.value - self.MEAN) / found.together.mean.mcse,
                ]
            )
            shutil.rmtree(tmp_path / str(k))
        square = np.mean(np.square(pulls), axis=0)
        assert np.all(square < 1.0 + 4.0 * np.sqrt(2.0 / 12)), square
        assert np.all(square > 0.05), square

    def test_the_priors_of_the_run_change_nothing(self, run):
        (as_run,) = budgets(run, "m200")
        (again,) = budgets(run, "m200", priors={"x": known.X, "y": known.Y})
        assert (again.lines, again.together) == (as_run.lines, as_run.together)

    @pytest.mark.parametrize(
        ("priors", "said"),
        [
            ({"x": Normal(0.0, 3.0)}, "of its prior is beyond what was run"),
            ({"choice": Uniform(0.0, 1.0)}, "levels were run, and no values between them"),
        ],
    )
    def test_what_was_not_run_is_not_known_together(self, run, priors, said):
        (found,) = budgets(run, "m200", priors=priors)
        assert np.isnan(found.together.sd.value)
        assert any(said in note for note in found.notes)

    def test_levels_of_a_number_may_have_weights(self, run):
        (found,) = budgets(run, "m200", priors={"x": Discrete((1.0, 0.0, 0.0, 1.0))})
        x = next(line for line in found.lines if line.factor.label == "x")
        assert x.sd.value == pytest.approx(2.0 * known.A, rel=0.05)
        assert found.together.sd.value == pytest.approx(2.0 * known.A, rel=0.1)

    @pytest.mark.parametrize(
        ("specs", "said"),
        [
            ([("z", {})], "unknown factor"),
            ([("x", 3.0)], "expected a table"),
            ([("x", {"kind": "norml"})], "did you mean 'normal'"),
            ([("x", {"kind": "normal", "mean": 0.0, "sd": 0.0})], "sd must be > 0"),
            ([("choice", {"kind": "discrete", "weights": [1.0]})], "1 weights of 2 levels"),
            (
                [("choice", {"kind": "discrete", "weights": [1.0, 1.0], "values": ["a", "b"]})],
                "its values are the levels that were run",
            ),
            ([("x", {"kind": "uniform", "lo": 0.0, "hi": 1.0})] * 2, "is given twice"),
        ],
    )
    def test_what_is_no_prior_is_refused(self, run, specs, said):
        with pytest.raises(InputError, match=said):
            make_priors(specs, run.factors)
