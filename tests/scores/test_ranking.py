"""Rankings of estimators whose errors are known."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from scipy import stats
from seeds import seeded
from synthetic_budget import BudgetResults

from haloassay.analysis import ranking
from haloassay.analysis.ranking import Part, interval_score, places_of, rank
from haloassay.base.errors import InputError
from haloassay.contracts import labels
from haloassay.planning.sampling import Sampling
from haloassay.reports import ranking as words


def run_of(folder, *frames, failed=()):
    frame = pd.concat(frames)
    made = synthetic.write(folder, frame, pd.concat([synthetic.runs_of(frame), *failed]))
    own = {k: getattr(made, k) for k in ("out", "cells", "estimates_files", "runs_files")}
    return BudgetResults(**own, factors=())


def rows(rng, n, estimator, z, **told):
    return synthetic.rows(
        rng, n, estimator=estimator, quantity="m200", r=np.nan, truth=1e12, z=z, n_draws=0, **told
    )


def ranked(run, by, **asked):
    found = rank(run, "m200", by, **asked)
    return found, {place.estimator: place for place in found.places}


class TestPairs:
    def test_what_is_common_to_the_errors_leaves_the_comparison(self, tmp_path):
        """Biases differ by a sixth of the error of each: other resamples for each would call it a tie."""
        rng, n = seeded(41), 200
        z = rng.standard_normal(n)
        own = 0.05 * rng.standard_normal((2, n))
        run = run_of(
            tmp_path,
            rows(rng, n, "good", z + 2.00 + own[0]),
            rows(rng, n, "worse", z + 2.02 + own[1]),
        )
        found, places = ranked(run, "bias")
        assert [place.estimator for place in found.places] == ["good", "worse"]
        # the difference of the means is known to 0.05 sqrt(2 / 200) = 0.005
        change = (own[1] - own[0]).mean() + 0.02
        exact = stats.norm.cdf(change / (np.std(own[1] - own[0]) / np.sqrt(n)))
        assert places["good"].next == pytest.approx(exact, abs=0.01)
        assert places["good"].best == places["good"].next
        assert not places["good"].tied
        assert (places["good"].rank, places["worse"].rank) == (1, 2)
        assert places["good"].score.mcse == pytest.approx(0.1 / np.sqrt(n), rel=0.1)

    def test_equals_are_tied_and_say_so(self, tmp_path):
        rng, n = seeded(42), 200
        z = rng.standard_normal(n)
        frames = [rows(rng, n, name, z) for name in "abc"]
        frames.append(rows(rng, n, "bad", 3.0 + rng.standard_normal(n)))
        found, places = ranked(run_of(tmp_path, *frames), "rmse")
        assert [place.rank for place in found.places] == [1, 1, 1, 4]
        assert [place.tied for place in found.places] == [True, True, True, False]
        assert places["bad"].best == 0.0
        assert sum(place.best for place in found.places) == pytest.approx(1.0)
        shown = words.text(found)
        assert "= tied" in shown
        assert shown.count("1=") == 3

    @pytest.mark.parametrize("sigma", [0.0, 3.3])
    def test_two_are_told_apart_as_often_as_their_difference_is_seen(self, monkeypatch, sigma):
        """Equals in about a twentieth of all runs, those that differ by 3.3 standard errors in most."""
        monkeypatch.setattr(ranking, "_RESAMPLES", 1000)
        rng, n, runs = seeded(48, int(sigma)), 60, 100
        tried = np.arange(n)
        better = np.array([0.0, sigma * np.sqrt(2.0 / n)])[:, None, None]
        apart = []
        for _ in range(runs):
            pair = 1.0 + better + rng.standard_normal((2, n, 1))
            parts = {
                name: Part(20.0, tried, e[:, None], n) for name, e in zip("ab", pair, strict=True)
            }
            apart.append(not any(place.tied for place in places_of(parts, "bias")))
        end = stats.norm.isf(0.025)
        share = stats.norm.sf(end - sigma) + stats.norm.cdf(-end - sigma)
        assert np.mean(apart) == pytest.approx(share, abs=4.0 * np.sqrt(share * (1 - share) / runs))

    @pytest.mark.parametrize(("t", "apart"), [(2.4, False), (3.2, True)])
    def test_few_realisations_have_to_tell_more(self, t, apart):
        """Of five, Student's t is beyond 2.78 by chance in a twentieth; 2.4 is what many would tell apart."""
        spread = np.array([-1.4, -0.5, 0.1, 0.6, 1.2])
        change = spread / (spread.std(ddof=1) / np.sqrt(5)) + t
        every = np.arange(5)
        parts = {
            "one": Part(20.0, every, np.full((5, 1, 1), 100.0), 5),
            "two": Part(20.0, every, 100.0 + change[:, None, None], 5),
        }
        first, last = places_of(parts, "bias")
        assert (first.estimator, first.tied, last.tied) == ("one", not apart, not apart)
        assert first.next > 0.99
        assert first.tied_below == pytest.approx(stats.norm.cdf(2.776445 * np.sqrt(5 / 4)))
        # one that has five values of many is known no better
        lone = np.full((100, 1, 1), np.nan)
        lone[:5] = parts["two"].terms
        many = Part(20.0, np.arange(100), np.full((100, 1, 1), 100.0), 100)
        mixed = {"one": many, "two": Part(20.0, np.arange(100), lone, 100)}
        assert places_of(mixed, "bias")[0].tied_below == first.tied_below

    @pytest.mark.parametrize("bias", [0.0, 1.0])
    def test_what_chance_makes_of_cells_is_no_bias(self, bias):
        """Means of five errors have a size of 0.36 of these; known to 1 / sqrt(2 * 200) of their squares, 0.2 / 20."""
        rng, cells = seeded(53), 200
        signs = np.where(np.arange(cells) % 2, bias, -bias)
        e = signs[None, :, None] + rng.standard_normal((5, cells, 1))
        (place,) = places_of({"one": Part(20.0, np.arange(5), e, 5 * cells)}, "bias")
        known = 4.0 * np.sqrt((4.0 * bias**2 / 5.0 + 2.0 / 20.0) / cells)
        assert place.score.value**2 == pytest.approx(bias**2, abs=known)
        assert place.score.mcse < 0.3

    def test_who_scatters_more_has_no_more_bias_in_resamples_either(self):
        rng, cells = seeded(56), 200
        signs = np.where(np.arange(cells) % 2, 1.0, -1.0)
        e = signs + np.array([0.3, 2.0])[:, None, None] * rng.standard_normal((2, 5, cells))
        parts = {
            name: Part(20.0, np.arange(5), mine[..., None], 5 * cells)
            for name, mine in zip("ab", e, strict=True)
        }
        drawn = ranking._resampled([*parts.values()], "bias")
        for place in places_of(parts, "bias"):
            mine = drawn[:, "ab".index(place.estimator)] ** 2
            error = 4.0 * mine.std() / np.sqrt(len(mine))
            assert mine.mean() == pytest.approx(place.score.value**2, abs=error)

    @pytest.mark.slow
    def test_the_better_of_two_equals_is_called_better_as_often_as_is_said(self, tmp_path):
        better = []
        for k in range(60):
            rng, n = seeded(43, k), 60
            run = run_of(
                tmp_path / str(k),
                rows(rng, n, "one", 1.0 + rng.standard_normal(n)),
                rows(rng, n, "two", 1.0 + rng.standard_normal(n)),
            )
            _, places = ranked(run, "bias")
            better.append(places["one"].best)
        # without a difference the probability that one is better is uniform
        assert stats.kstest(better, "uniform").pvalue > 1e-3

    def test_catalogues_of_one_point_are_drawn_together(self, tmp_path):
        rng, points = seeded(44), 60
        z = np.repeat(2.0 + rng.standard_normal(points), 4)
        frame = rows(rng, 4 * points, "one", z, cell="joint")
        other = rows(rng, 4 * points, "two", z + 5.0, cell="joint")
        run = run_of(tmp_path, frame, other)
        alike = dataclasses.replace(run, samplings={"joint": Sampling("joint", 1, 1, 4, points)})
        _, places = ranked(alike, "bias", cell="joint")
        spread = 0.1 * z.std()
        assert places["one"].score.mcse == pytest.approx(spread / np.sqrt(points), rel=0.1)

    def test_resamples_in_which_one_has_no_value_say_nothing(self, tmp_path):
        rng, points = seeded(52), 30
        frame = rows(rng, 10 * points, "all", 1.0 + rng.standard_normal(10 * points), cell="joint")
        # five points of thirty: none of them is in e^-5 of all resamples
        few = rows(rng, 50, "few", 9.0 + rng.standard_normal(50), cell="joint")
        failed = [synthetic.failed_runs(10 * points - 50, cell="joint", estimator="few", first=50)]
        run = run_of(tmp_path, frame, few, failed=failed)
        run = dataclasses.replace(run, samplings={"joint": Sampling("joint", 1, 1, 10, points)})
        _, places = ranked(run, "rmse", cell="joint")
        assert places["few"].best == 0.0
        assert places["all"].next == 1.0


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(ranking, "_RESAMPLES", 500)


@pytest.mark.usefixtures("few")
class TestScores:
    def test_interval_scores_are_those_of_the_paper(self):
        lo, hi = np.array([-1.0, 0.5, -3.0]), np.array([1.0, 2.5, -1.0])
        # (u - l) + 2 / alpha (l - x) where x < l, + 2 / alpha (x - u) where x > u
        exact = [2.0, 2.0 + 2.0 / 0.32 * 0.5, 2.0 + 2.0 / 0.32 * 1.0]
        assert interval_score(lo, hi, 0.68) == pytest.approx(exact)

    def test_scores_are_what_they_are_called(self, tmp_path):
        rng, n = seeded(45), 400
        run = run_of(tmp_path, rows(rng, n, "one", rng.standard_normal(n), offset=0.05))
        table = pd.read_parquet(run.estimates_files[0])
        e = (table["value"] / 1e12 - 1.0).to_numpy()
        lo, hi = ((table[k] / 1e12 - 1.0).to_numpy() for k in ("lo68", "hi68"))
        inside = ((lo <= 0.0) & (hi >= 0.0)).mean()
        wide = ((table["lo95"] <= 1e12) & (table["hi95"] >= 1e12)).mean()
        exact = {
            "rmse": np.sqrt(np.mean(e**2)),
            "bias": abs(e.mean()),
            "coverage": 0.5 * (abs(inside - 0.68) + abs(wide - 0.95)),
        }
        for by, value in exact.items():
            _, places = ranked(run, by)
            assert places["one"].score.value == pytest.approx(value), by
        _, places = ranked(run, "interval-score")
        assert places["one"].detail["interval68"] == pytest.approx(
            interval_score(lo, hi, 0.68).mean()
        )

    def test_the_interval_score_punishes_what_is_too_narrow_and_what_is_too_wide(self, tmp_path):
        rng, n = seeded(46), 400
        z = rng.standard_normal(n)
        stated = {"right": 0.1, "narrow": 0.03, "wide": 0.4}
        frames = [rows(rng, n, name, z, stated=sigma) for name, sigma in stated.items()]
        found, places = ranked(run_of(tmp_path, *frames), "interval-score")
        assert found.places[0].estimator == "right"
        assert places["right"].best > 0.99
        found, _ = ranked(run_of(tmp_path, *frames), "coverage")
        assert found.places[0].estimator == "right"

    def test_errors_are_shown_in_per_cent_and_kept_as_fractions(self, tmp_path):
        rng, n = seeded(47), 100
        found, places = ranked(
            run_of(tmp_path, rows(rng, n, "one", rng.standard_normal(n))), "rmse"
        )
        frame = words.frame(found)
        assert frame["score"].iloc[0] == places["one"].score.value
        assert words.rows(found)[0][3] == "rmse [%]"
        shown = words.rows(found)[1][3].split()[0]
        assert float(shown) == pytest.approx(100.0 * places["one"].score.value, rel=0.05)
        with labels.vocabulary(labels.QUANTITIES):
            assert "\\toprule" in words.latex(found)
            assert "| one | 1 |" in words.markdown(found)


@pytest.mark.usefixtures("few")
class TestWhatHasNoPlace:
    def test_failures_are_counted_and_shown(self, tmp_path):
        rng, n = seeded(48), 100
        some = rows(rng, n, "some", rng.standard_normal(n)).iloc[:80]
        failed = [synthetic.failed_runs(20, estimator="some", first=80)]
        failed.append(synthetic.failed_runs(100, estimator="none"))
        none = rows(rng, 1, "none", np.zeros(1), cell="other")
        run = run_of(
            tmp_path, rows(rng, n, "all", rng.standard_normal(n)), some, none, failed=failed
        )
        found, places = ranked(run, "rmse", cell="base")
        assert (places["some"].n, places["some"].n_attempted) == (80, 100)
        assert "20!" in words.text(found)
        assert "! some: scores are of realisations with a value" in words.text(found)
        assert found.notes == ("none: no value in 100 realisations",)

    def test_who_states_no_intervals_is_not_ranked_by_them(self, tmp_path):
        rng, n = seeded(49), 50
        bare = rows(rng, n, "bare", rng.standard_normal(n)).assign(
            **dict.fromkeys(("lo68", "hi68", "lo95", "hi95"), np.nan)
        )
        run = run_of(tmp_path, bare, rows(rng, n, "full", rng.standard_normal(n)))
        found, places = ranked(run, "coverage")
        assert list(places) == ["full"]
        assert found.notes == ("bare: states no intervals",)
        assert len(ranked(run, "bias")[1]) == 2

    def test_who_states_68_per_cent_alone_is_ranked_by_them_where_nobody_states_more(
        self, tmp_path
    ):
        rng, n = seeded(54), 50
        frames = [
            rows(rng, n, name, rng.standard_normal(n)).assign(lo95=np.nan, hi95=np.nan)
            for name in ("one", "two")
        ]
        run = run_of(tmp_path / "a", *frames)
        for by, detail in (("coverage", "coverage68"), ("interval-score", "interval68")):
            found, places = ranked(run, by)
            assert found.notes == ()
            assert list(places["one"].detail) == [detail]
            share = places["one"].detail[detail]
            exact = abs(share - 0.68) if by == "coverage" else share
            assert places["one"].score.value == pytest.approx(exact)
            assert "95" not in " ".join(words.rows(found)[0])
        full = rows(rng, n, "full", rng.standard_normal(n))
        found, places = ranked(run_of(tmp_path / "b", *frames, full), "coverage")
        assert list(places) == ["full"]
        assert found.notes == tuple(
            f"{k}: states no intervals of 95 per cent" for k in ("one", "two")
        )

    def test_points_of_a_design_are_counted_not_their_catalogues(self, tmp_path):
        rng, n = seeded(55), 16
        run = run_of(tmp_path, rows(rng, n, "one", rng.standard_normal(n), cell="joint"))
        few = dataclasses.replace(run, samplings={"joint": Sampling("joint", 1, 1, 4, 4)})
        with pytest.raises(InputError, match="one: values in 4 points: a place needs 5"):
            rank(few, "m200", "rmse", cell="joint")

    def test_radii_are_those_of_each_estimator(self, tmp_path):
        rng, n = seeded(50), 50

        def at(estimator, r, bin=0):
            return synthetic.rows(rng, n, estimator=estimator, bin=bin, r=r)

        run = run_of(
            tmp_path, at("one", 20.0), at("one", 40.0, 1), at("two", 22.0), at("far", 300.0)
        )
        found = rank(run, "enclosed_mass", "rmse", r=21.0)
        assert {place.estimator: place.r for place in found.places} == {"one": 20.0, "two": 22.0}
        assert found.notes == ("far: states 300 kpc, none within a factor 1.3 of 21",)
        with pytest.raises(InputError, match="there are several radii"):
            rank(run, "enclosed_mass", "rmse")
        with pytest.raises(InputError, match="rank of enclosed_mass in 'base'"):
            rank(run, "enclosed_mass", "rmse", r=3.0)

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({"by": "rms"}, "did you mean 'rmse'"),
            ({"cell": "bsae"}, "did you mean 'base'"),
            ({"quantity": "m20"}, "did you mean 'm200'"),
            ({"quantity": "beta"}, "no estimator of the run yields beta"),
            ({"r": 20.0}, "has no radius"),
        ],
    )
    def test_what_is_not_there_is_refused(self, tmp_path, asked, said):
        rng, n = seeded(51), 20
        run = run_of(tmp_path, rows(rng, n, "one", rng.standard_normal(n)))
        with pytest.raises(InputError, match=said):
            rank(run, **{"quantity": "m200", "by": "rmse", **asked})
