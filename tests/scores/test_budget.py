"""Budgets: every line of one beside its exact value, what cannot be said, and the faults that would go unseen."""

import dataclasses
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import synthetic_budget as known
from scipy import stats
from seeds import seeded

from haloassay.analysis import contributions
from haloassay.analysis.budget import budgets, profile
from haloassay.analysis.contributions import (
    Amount,
    interactions,
    line_of,
    quadrature,
    spread_of_points,
)
from haloassay.analysis.responses import Response
from haloassay.base.errors import InputError
from haloassay.contracts.factors import StatedFactor, StatedLevel
from haloassay.contracts.priors import Discrete, LogUniform, Normal, Table, Uniform
from haloassay.planning.sampling import Sampling
from haloassay.reports import budget as words


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return known.results(tmp_path_factory.mktemp("budget"), seeded(7), n=400)


@pytest.fixture(scope="module")
def found(run):
    (budget,) = budgets(run, "m200")
    return budget


def near(amount, exact, extra=0.0):
    return abs(amount.value - exact) < 4.0 * np.hypot(amount.mcse, extra) + 1e-12


class TestKnownResponse:
    def test_every_line_is_its_exact_value(self, found):
        assert near(found.bias, known.BIAS)
        assert near(found.found, known.NOISE)
        assert near(found.stated, 0.1)  # half widths are uniform about that
        lines = {line.factor.label: line for line in found.lines}
        for label, sd in known.SD.items():
            # of the pchip between five levels nothing is left where the response is a line
            assert near(lines[label].sd, sd, 2e-3 * sd), label
        assert near(lines["choice"].mean, known.MEAN)
        assert near(found.quadrature, known.QUADRATURE)
        assert near(found.together.sd, known.TOGETHER)
        assert near(found.together.mean, known.MEAN)

    def test_shifts_are_in_the_order_of_levels(self, found):
        lines = {line.factor.label: line for line in found.lines}
        for level, shift in zip(lines["x"].factor.levels, lines["x"].shifts, strict=True):
            assert near(shift, known.A * level.value, 1e-12)
        assert [shift.value for shift in lines["choice"].shifts] == pytest.approx([0.0, 0.03])

    def test_the_largest_contribution_stands_first(self, found):
        assert [line.factor.label for line in found.lines] == ["x", "y", "choice"]

    def test_the_planted_interaction_is_found_and_no_other(self, found):
        (pair,) = found.together.interactions
        assert set(pair.factors) == {"x", "y"}
        # z of y is the normal score of a uniform: the slope of y on it is cov(y, z) = 1 / sqrt(pi)
        assert near(pair.effect, known.C / np.sqrt(np.pi), 0.1 * known.C)

    def test_pairs_know_shifts_better_than_cells_do(self, found):
        x = next(line for line in found.lines if line.factor.label == "x")
        alone = np.sqrt(2.0) * found.found.value / np.sqrt(found.n)
        assert x.shifts[2].mcse == pytest.approx(known.GROWTH / np.sqrt(found.n), rel=0.2)
        assert x.shifts[2].mcse < 0.6 * alone

    @pytest.mark.slow
    def test_errors_are_as_large_as_they_say(self, tmp_path):
        """Pulls of repeated runs have the scatter of a unit normal: an error without its square root is caught."""
        pulls = []
        for k in range(24):
            run = known.results(tmp_path / str(k), seeded(70, k), n=60)
            (budget,) = budgets(run, "m200")
            lines = {line.factor.label: line for line in budget.lines}
            exact = [
                (budget.bias, known.BIAS),
                (lines["x"].shifts[3], 2.0 * known.A),
                (lines["x"].sd, known.SD["x"]),
                (budget.together.sd, known.TOGETHER),
                (budget.together.mean, known.MEAN),
            ]
            pulls.append([(amount.value - truth) / amount.mcse for amount, truth in exact])
            shutil.rmtree(tmp_path / str(k))
        square = np.mean(np.square(pulls), axis=0)
        # a mean of n squares of unit normals has a standard deviation of sqrt(2 / n)
        assert np.all(square < 1.0 + 4.0 * np.sqrt(2.0 / 24)), square
        assert np.all(square > 0.2), square

    def test_the_sentence_and_the_tables_say_the_same(self, found):
        said = words.sentence(found)
        assert said.startswith("M₂₀₀ = value × 0.8")
        assert f"± {100 * found.found.value:.2g} % (random)" in said
        assert f"± {100 * found.together.sd.value:.2g} % (systematic)" in said
        large = replace(found, found=replace(found.found, value=4.34))
        assert "± 434 % (random)" in words.sentence(large)
        frame = words.frame([found])
        x = frame[(frame["item"] == "factor") & (frame["label"] == "x")].iloc[0]
        assert x["sd"] == found.lines[0].sd.value  # a fraction
        shown = words.text(found)
        assert f"{100 * found.lines[0].sd.value:.2f}"[:4] in shown
        assert "\\toprule" in words.latex(
            found, {"scenario": {"name": "n", "seed": 1}, "versions": {}}
        )
        assert words.markdown(found).count("\n| ") == len(words.rows(found)) + 2


class TestNoise:
    """What noise alone would make of a budget."""

    @pytest.fixture(autouse=True)
    def few(self, monkeypatch):
        """Of a bootstrap a variance is wanted, and the mean of that over many tables."""
        monkeypatch.setattr(contributions, "_RESAMPLES", 100)

    @pytest.mark.slow
    def test_noise_alone_makes_no_contribution(self):
        rng = seeded(3)
        corrected, raw = [], []
        for _ in range(200):
            table = 0.03 * rng.standard_normal((25, 4))
            line, response, shifts = line_of(
                known.FACTORS[0], table, np.full(table.shape[1], len(table)), rng
            )
            corrected.append(line.sd.value**2)
            raw.append(response.spread(shifts[None])[1][0] ** 2)
        # what is left is above zero because it is cut there
        assert np.mean(corrected) < 0.75 * np.mean(raw)

    def test_noise_is_taken_out_of_a_contribution(self):
        """With as much noise as signal the mean square is that of the signal."""
        rng = seeded(4)
        signal = 0.006 * np.array([-2.0, -1.0, 1.0, 2.0])
        squares = []
        for _ in range(200):
            table = signal + 0.02 * rng.standard_normal((25, 4))
            squares.append(
                line_of(known.FACTORS[0], table, np.full(table.shape[1], len(table)), rng)[
                    0
                ].sd.value
                ** 2
            )
        mcse = np.std(squares) / np.sqrt(200)
        assert abs(np.mean(squares) - 0.006**2) < 4.0 * mcse + 0.01 * 0.006**2

    def test_noise_is_taken_out_of_the_central_68_per_cent_by_as_much(self):
        rng = seeded(9)
        table = 0.01 * np.array([-2.0, -1.0, 1.0, 2.0]) + 0.03 * rng.standard_normal((25, 4))
        line, response, shifts = line_of(known.FACTORS[0], table, np.full(4, 25), rng)
        raw = response.spread(shifts[None])[1][0]
        assert line.sd.value < 0.99 * raw
        assert line.half68 / response.half68(shifts) == pytest.approx(line.sd.value / raw)

    def test_noise_of_realisations_is_no_spread_of_points(self):
        rng = seeded(5)
        spreads = []
        for _ in range(200):
            table = 0.05 * rng.standard_normal((50, 2))
            spread = spread_of_points(table, np.zeros(50), Amount(), rng)
            spreads.append(spread.value**2)
        # var of means of two is 0.05^2 / 2; what is left is noise of a covariance, cut at zero
        assert np.mean(spreads) < 0.3 * 0.05**2 / 2.0

    def test_where_points_add_nothing_the_error_is_that_of_the_quadrature_sum(self):
        still = np.zeros((20, 2))
        spread = spread_of_points(still, still[:, 0], Amount(0.1, 0.01), seeded(6))
        assert (spread.value, spread.mcse) == pytest.approx((0.1, 0.01))

    def test_errors_of_interactions_are_those_of_leaving_points_out(self):
        """HC3: the sum of the squares of what each point changes by its absence."""
        rng, labels = seeded(7), ("x", "y")
        u = rng.uniform(0.01, 0.99, (40, 2))  # normal scores are cut at three deviations
        z = stats.norm.ppf(u)
        product = z[:, 0] * z[:, 1]
        change = 0.1 * product + 0.02 * (1.0 + u[:, 0]) * rng.standard_normal(40)
        responses = {f.label: (Response.of(f), np.zeros(len(f.levels))) for f in known.FACTORS[:2]}
        (found,) = interactions(labels, u, change, responses)
        design = np.column_stack([np.ones(40), z, z**2 - 1.0, product])
        kept = ~np.eye(40, dtype=bool)
        without = [np.linalg.lstsq(design[k], change[k], rcond=None)[0][-1] for k in kept]
        whole = np.linalg.lstsq(design, change, rcond=None)[0][-1]
        error = np.sqrt(np.sum((np.array(without) - whole) ** 2))
        assert (found.effect.value, found.effect.mcse) == pytest.approx((whole, error))
        exact = 2.0 * stats.t.sf(abs(whole) / error, 40 - 6)
        assert found.p == pytest.approx(exact, rel=1e-6, abs=0.0)

    @pytest.mark.parametrize(("n", "said"), [(17, "17 points for 6 coefficients"), (18, "")])
    def test_interactions_need_three_points_a_coefficient(self, n, said):
        responses = {f.label: (Response.of(f), np.zeros(len(f.levels))) for f in known.FACTORS[:2]}
        rng = seeded(8)
        found = interactions(("x", "y"), rng.random((n, 2)), rng.standard_normal(n), responses)
        assert (said in found) if said else isinstance(found, tuple)

    def test_quadrature_is_of_standard_deviations(self):
        total = quadrature([Amount(3.0, 0.3), Amount(4.0, 0.4)])
        assert total.value == pytest.approx(5.0)
        assert total.mcse == pytest.approx(np.hypot(3.0 * 0.3, 4.0 * 0.4) / 5.0)


class TestResponses:
    def factor(self, prior, values, base):
        levels = tuple(StatedLevel(str(v), v, f"f={v}") for v in values)
        return StatedFactor("f", ("survey.f",), levels, base, prior)

    @pytest.mark.parametrize(
        ("prior", "values", "base", "mean", "sd"),
        [
            (Normal(1.0, 0.03), (0.94, 0.97, 1.03, 1.06), 1.0, 0.0, 0.03),
            (Uniform(0.0, 4.0), (0.0, 4.0), 1.0, 1.0, 4.0 / np.sqrt(12.0)),
            (LogUniform(1.0, np.e), (1.0, np.e), 2.0, np.e - 3.0, 0.49197),
            (Table((0.0, 1.0, 2.0), (0.0, 1.0, 0.0)), (0.0, 2.0), 1.0, 0.0, np.sqrt(1.0 / 6.0)),
        ],
    )
    def test_a_line_has_the_spread_of_its_prior(self, prior, values, base, mean, sd):
        response = Response.of(self.factor(prior, values, base))
        got = response.spread(np.array([[v - base for v in values]]))
        assert [float(g[0]) for g in got] == pytest.approx([mean, sd], abs=2e-3)

    def test_a_curve_is_not_taken_for_a_line(self):
        response = Response.of(self.factor(Uniform(-1.0, 1.0), (-1.0, -0.5, 0.5, 1.0), 0.0))
        mean, sd = response.spread(np.array([[1.0, 0.25, 0.25, 1.0]]))
        assert mean[0] == pytest.approx(1.0 / 3.0, abs=0.02)
        assert sd[0] == pytest.approx(np.sqrt(4.0 / 45.0), abs=0.02)

    def test_levels_have_their_weights(self):
        response = Response.of(self.factor(Discrete((1.0, 1.0, 2.0)), ("a", "b", "c"), "a"))
        mean, sd = response.spread(np.array([[0.0, 4.0, 8.0]]))
        assert (mean[0], sd[0]) == pytest.approx((5.0, np.sqrt(11.0)))

    @pytest.mark.parametrize(
        ("factor", "why"),
        [
            ((None, (1.0, 2.0), 1.5), "no prior"),
            ((Normal(0.0, 1.0), ("a", "b"), 0.0), "no numbers"),
            ((Normal(0.0, 1.0), (1.0, 2.0), "x"), "as written is no number"),
            ((Normal(1.0, 1.0), (1.0,), 1.0), "one value only"),
        ],
    )
    def test_why_there_is_none(self, factor, why):
        assert why in Response.of(self.factor(*factor))

    def test_a_prior_beyond_the_levels_is_said(self):
        response = Response.of(self.factor(Normal(0.0, 1.0), (-1.0, 1.0), 0.0))
        assert response.reach == pytest.approx(0.317, abs=0.01)
        for levels in ((-5.0, 1.0), (-1.0, 5.0)):
            response = Response.of(self.factor(Normal(0.0, 1.0), levels, 0.0))
            assert response.reach == pytest.approx(0.159, abs=0.01)

    @pytest.mark.parametrize(("levels", "base"), [((0.5,), 0.0), ((-0.5, 0.5, 1.0), 0.0)])
    def test_beyond_the_levels_a_line_goes_on(self, levels, base):
        prior = Uniform(-3.0, 3.0)
        response = Response.of(self.factor(prior, levels, base))
        found = response.at(np.array([0.0, 0.25, 1.0]), 2.0 * np.array([levels]))
        assert found[0] == pytest.approx([-6.0, -3.0, 6.0])

    def test_half_width_is_that_of_the_central_68_per_cent(self):
        response = Response.of(self.factor(Normal(0.0, 1.0), (-2.0, 2.0), 0.0))
        assert response.half68(np.array([-2.0, 2.0])) == pytest.approx(1.0, abs=0.01)


class TestWhatCannotBeSaid:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch):
        monkeypatch.setattr(contributions, "_RESAMPLES", 100)

    def test_one_replicate_cannot_tell_noise_from_spread(self, tmp_path):
        run = known.results(tmp_path, seeded(8), n=60, replicates=1)
        (budget,) = budgets(run, "m200")
        assert np.isnan(budget.together.sd.value)
        assert any("replicates = 2" in note for note in budget.notes)
        assert "in quadrature" in words.sentence(budget)

    def test_few_realisations_have_no_spread(self, tmp_path):
        (budget,) = budgets(known.results(tmp_path, seeded(8), n=8), "m200")
        assert np.isnan(budget.quadrature.value)
        assert "cannot be determined" in words.sentence(budget)
        assert all(
            "a spread needs 10" in line.why
            for line in budget.lines
            if line.factor.label != "choice"
        )

    def test_a_factor_without_a_prior_has_shifts_only(self, run):
        factors = (dataclasses.replace(run.factors[0], prior=None), *run.factors[1:])
        (budget,) = budgets(dataclasses.replace(run, factors=factors), "m200")
        x = budget.lines[-1]
        assert (x.why, len(x.shifts)) == ("no prior", 4)
        assert "in quadrature without x" in budget.notes

    def test_lost_pairs_are_counted_and_said(self, run, tmp_path):
        file = run.estimates_files[0]
        rows = pd.read_parquet(file)
        lost = (rows["cell"] == "x=2") & (rows["realization"] < 40)
        rows[~lost].to_parquet(tmp_path / "estimates.parquet")
        thin = dataclasses.replace(run, estimates_files=[tmp_path / "estimates.parquet"])
        (budget,) = budgets(thin, "m200")
        x = next(line for line in budget.lines if line.factor.label == "x")
        assert (x.n, x.n_lost) == (360, 40)
        assert "40 pairs lost" in x.why
        assert "40 pairs lost" in words.text(budget)

    @pytest.mark.parametrize(("lost", "told"), [(20, False), (21, True)])
    def test_more_than_a_twentieth_of_the_base_lost_is_said(self, run, tmp_path, lost, told):
        rows = pd.read_parquet(run.estimates_files[0])
        gone = (rows["cell"] == "base") & (rows["realization"] < lost)
        rows[~gone].to_parquet(tmp_path / "estimates.parquet")
        thin = dataclasses.replace(run, estimates_files=[tmp_path / "estimates.parquet"])
        (budget,) = budgets(thin, "m200")
        assert (budget.n, budget.n_attempted) == (400 - lost, 400)
        assert (f"{lost} of 400 base realisations have no value" in budget.notes) == told

    def test_shares_are_of_the_variance_of_random_error_and_all_factors(self, found):
        total = found.found.value**2 + found.quadrature.value**2
        exact = known.NOISE**2 + known.QUADRATURE**2
        assert total == pytest.approx(exact, rel=0.1)
        for label, sd in known.SD.items():
            (line,) = (line for line in found.lines if line.factor.label == label)
            assert found.share(line.sd.value) == pytest.approx(sd**2 / exact, rel=0.2), label
        assert found.share(found.found.value) + found.share(
            found.quadrature.value
        ) == pytest.approx(1.0)

    @pytest.mark.parametrize(("lost", "why"), [(5, ""), (6, "6 pairs lost")])
    def test_more_than_a_twentieth_of_the_pairs_lost_is_said(self, lost, why):
        table = np.array([-2.0, -1.0, 1.0, 2.0]) + 0.1 * seeded(10).standard_normal((100, 4))
        table[:lost, 3] = np.nan
        line, _, _ = line_of(known.FACTORS[0], table, np.full(4, 100), seeded(11))
        assert (line.n, line.n_lost) == (100 - lost, lost)
        assert line.why == why

    def test_what_a_few_points_say_of_all_together_is_not_the_systematic_error(self, run):
        (sure,) = budgets(run, "m200")
        assert sure.is_together
        assert ", in quadrature)" not in words.sentence(sure)
        sd = dataclasses.replace(sure.together.sd, mcse=0.6 * sure.quadrature.value)
        vague = dataclasses.replace(sure, together=dataclasses.replace(sure.together, sd=sd))
        assert vague.systematic == sure.quadrature
        assert "(systematic, in quadrature)" in words.sentence(vague)

    def test_realisations_that_the_base_has_more_of_are_no_lost_pairs(self, run, tmp_path):
        """The base has one for each of a sampled cell, too."""
        changed = {}
        for name in ("estimates", "runs"):
            rows = pd.read_parquet(getattr(run, f"{name}_files")[0])
            more = rows["cell"].isin(["base", "joint"]) | (rows["realization"] < 100)
            rows[more].to_parquet(tmp_path / f"{name}.parquet")
            changed[f"{name}_files"] = [tmp_path / f"{name}.parquet"]
        (budget,) = budgets(dataclasses.replace(run, **changed), "m200")
        assert {(line.n, line.n_lost) for line in budget.lines} == {(100, 0)}

    @pytest.mark.parametrize(
        ("changes", "asked", "words_"),
        [
            ({"base_cell": "x=1"}, {}, "no base cell"),
            ({"factors": ()}, {}, "no factors"),
            ({}, {"quantity": "m20"}, "did you mean 'm200'"),
            ({}, {"quantity": "beta"}, "no estimator of the run yields beta"),
            ({}, {"estimator": "knwon"}, "did you mean 'known'"),
            ({}, {"r": 20.0}, "has no radius"),
        ],
    )
    def test_what_is_not_there_is_refused(self, run, changes, asked, words_):
        with pytest.raises(InputError, match=words_):
            budgets(dataclasses.replace(run, **changes), **{"quantity": "m200", **asked})

    def test_a_profile_is_in_the_order_of_radii(self, run, tmp_path):
        rows = pd.read_parquet(run.estimates_files[0])
        inner, outer = (rows.assign(bin=b, r=r) for b, r in ((1, 20.0), (0, 40.0)))
        pd.concat([outer, inner]).to_parquet(tmp_path / "estimates.parquet")
        two = dataclasses.replace(run, estimates_files=[tmp_path / "estimates.parquet"])
        assert [(each.bin, each.r) for each in profile(two, "m200")] == [(1, 20.0), (0, 40.0)]

    def test_a_level_without_values_says_so_and_no_nan_is_shown(self, run, tmp_path):
        rows = pd.read_parquet(run.estimates_files[0])
        for gone in (["x=2"], ["x=-2", "x=-1", "x=1", "x=2"]):
            rows[~rows["cell"].isin(gone)].to_parquet(tmp_path / "estimates.parquet")
            less = dataclasses.replace(run, estimates_files=[tmp_path / "estimates.parquet"])
            (budget,) = budgets(less, "m200")
            (line,) = (line for line in budget.lines if line.factor.label == "x")
            which = ", ".join(cell.removeprefix("x=") for cell in gone)
            assert line.why == (
                f"the shift at {which} cannot be determined, because no realisation has a value both there and on the"
                " base"
            )
            assert np.isnan(line.sd.value)
            for shown in (words.text(budget), words.markdown(budget)):
                assert "nan" not in shown.lower()
                assert f"x: the shift at {which}" in shown
            assert "in quadrature without x" in budget.notes

    def test_a_run_that_is_not_complete_says_so(self, run):
        cells = list(run.cells["cell"])
        planned = dict.fromkeys(cells, 400)
        (budget,) = budgets(dataclasses.replace(run, catalogues=planned), "m200")
        assert not any("not complete" in note for note in budget.notes)
        more = planned | {"base": 410}
        (budget,) = budgets(dataclasses.replace(run, catalogues=more), "m200")
        n = 400 * len(cells)
        said = f"the run is not complete: {n} of {n + 10} planned catalogues are there"
        assert budget.notes[-1] == said

    def test_a_run_without_a_joint_design_says_so(self, run):
        (budget,) = budgets(dataclasses.replace(run, samplings={}), "m200")
        assert any("add the design joint" in note for note in budget.notes)
        saltelli = Sampling("saltelli", 3, 1, 2, 8)
        only = dataclasses.replace(run, samplings={"joint": saltelli}, unpaired=["joint"])
        (budget,) = budgets(only, "m200")
        assert np.isnan(budget.together.sd.value)
