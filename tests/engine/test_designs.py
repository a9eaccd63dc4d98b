"""Factors with names, levels and priors; designs that combine or draw them; what an estimator need not run again."""

import itertools
from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats

import haloassay
from haloassay.base.errors import InputError
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.planning.expansion import cells
from haloassay.planning.plan import make_plan
from haloassay.planning.sampling import Sampling
from haloassay.planning.scenario import make_scenario
from haloassay.results.parts import read_part

SCALE = {
    "label": "distance scale",
    "path": "survey.distance_scale",
    "prior": {"kind": "normal", "mean": 1.0, "sd": 0.05},
}
BETA = {"label": "beta", "path": "mock.beta.beta", "levels": [0.1, 0.5]}
STARS = {
    "label": "stars",
    "path": "survey.n_stars",
    "prior": {"kind": "uniform", "lo": 40, "hi": 80},
}
GRID = {"label": "grid", "path": "estimators.other.grid", "levels": [[3.0], [2.0, 4.0]]}


def with_prior(factor, **prior):
    return {**factor, "prior": prior}


BETA_PRIOR = with_prior(BETA, kind="uniform", lo=0.0, hi=0.6)


@pytest.fixture
def planned(values):
    """Cells of the small scenario with two estimators and another matrix."""
    values["estimators"].append({"kind": "plugins:Good", "label": "other"})

    def planned(factors, **matrix):
        values["matrix"] = {"factor": factors, **matrix}
        return make_plan(make_scenario(values))

    return planned


def refusal(planned, factors, **matrix):
    with pytest.raises(InputError) as caught:
        planned(factors, **matrix)
    said = str(caught.value)
    assert "\n" not in said
    return said


class TestFactors:
    def test_labels_of_factors_and_levels_stand_in_cells(self, planned):
        levels = [{"label": "isotropic", "value": 0.0}, 0.5]
        plan = planned([{**BETA, "levels": levels}])
        assert [cell.label for cell in plan.cells] == ["base", "beta=isotropic", "beta=0.5"]
        assert [cell.factors["beta"] for cell in plan.cells] == [0.3, 0.0, 0.5]
        assert [cell.mock["beta"]["beta"] for cell in plan.cells] == [0.3, 0.0, 0.5]

    def test_tied_paths_have_the_same_value(self, planned):
        plan = planned(
            [
                {
                    "label": "grids",
                    "paths": ["estimators.good.grid", "estimators.other.grid"],
                    "levels": [[3.0]],
                }
            ]
        )
        assert [m.spec["grid"] for m in plan.cells[1].methods] == [[3.0], [3.0]]

    def test_a_star_is_every_estimator_with_the_setting(self, planned, values):
        values["estimators"].append({"kind": "plugins:Sky", "label": "without"})
        plan = planned([{"label": "grids", "path": "estimators.*.grid", "levels": [[3.0]]}])
        assert [m.spec.get("grid") for m in plan.cells[1].methods] == [[3.0], [3.0], None]

    def test_levels_with_names_set_what_they_say(self, planned):
        level = {
            "label": "far and radial",
            "set": {"survey.distance_scale": 1.1, "mock.beta.beta": 0.5},
        }
        plan = planned([{"label": "both", "levels": [level]}])
        assert [cell.label for cell in plan.cells] == ["base", "both=far and radial"]
        assert [cell.factors["both"] for cell in plan.cells] == ["as written", "far and radial"]
        assert plan.cells[1].survey["distance_scale"] == 1.1
        assert plan.cells[1].mock["beta"]["beta"] == 0.5

    def test_a_named_level_that_changes_nothing_is_the_base(self, planned):
        levels = [
            {"label": "as it is", "set": {"mock.beta.beta": 0.3}},
            {"label": "radial", "set": {"mock.beta.beta": 0.5}},
        ]
        plan = planned([{"label": "orbits", "levels": levels}])
        assert [cell.label for cell in plan.cells] == ["base", "orbits=radial"]
        assert [level.cell for level in plan.factors[0].levels] == ["base", "orbits=radial"]

    def test_a_prior_without_levels_gives_one_and_two_sigma(self, planned):
        found = [cell.factors["distance scale"] for cell in planned([SCALE]).cells]
        assert found == pytest.approx([1.0, 0.9, 0.95, 1.05, 1.1], rel=1e-5)
        full = planned([SCALE], design="full").cells
        assert [c.factors["distance scale"] for c in full] == pytest.approx([0.95, 1.05], rel=1e-5)

    def test_whole_numbers_stay_whole(self, planned):
        found = [cell.survey["n_stars"] for cell in planned([STARS]).cells]
        assert all(isinstance(n, int) for n in found)
        # 40.9, 46.3, 73.7 and 79.1 to the nearest
        assert found == [60, 41, 46, 74, 79]
        drawn = planned([STARS], design="joint", points=8).cells[-1]
        for i in range(16):
            n = drawn.at(i).survey["n_stars"]
            assert isinstance(n, int)
            assert abs(n - (40.0 + 40.0 * drawn.sampling.coordinates(i)[0])) <= 0.5

    @pytest.mark.parametrize(
        ("factors", "words"),
        [
            ([{"label": "x"}], ["factor 'x'", "has no levels"]),
            ([{**BETA, "levels": [0.1, 0.1]}], ["a level appears twice"]),
            ([BETA, BETA], ["2 factors have this label"]),
            ([{**BETA, "label": "bias"}], ["'bias' is a column"]),
            ([{**BETA, "pth": "x"}], ["matrix.factor.0", "unknown key 'pth'", "path"]),
            ([{"label": "x", "levels": [1.0]}], ["factor 'x'", "has no path"]),
            (
                [
                    {
                        "label": "x",
                        "levels": [{"label": "a", "set": {"survey.n_stars": 5}}, {"l": 1}],
                    }
                ],
                ["factor 'x'", 'a level that does not say ({"l":1}) what it sets'],
            ),
            ([{**BETA, "path": "beta.beta"}], ["a path is mock or survey, or starts with mock."]),
            ([{**BETA, "path": "estimators.*.slope"}], ["no estimator has a setting 'slope'"]),
            (
                [{**BETA, "levels": [{"label": "x", "set": {"survey.n_stars": 5}}]}],
                ["has a path, and levels that set others"],
            ),
            (
                [
                    {
                        "label": "x",
                        "levels": [
                            {
                                "label": "y",
                                "set": {
                                    "estimators.*.grid": [3.0],
                                    "estimators.good.grid": [4.0],
                                },
                            }
                        ],
                    }
                ],
                ["level 'y' sets estimators.good.grid twice", "[3.0]", "[4.0]"],
            ),
            ([with_prior(BETA, kind="discrete", weights=[1.0])], ["1 weights of 2 levels"]),
            ([with_prior(BETA, kind="gauss")], ["factor 'beta'", "unknown kind 'gauss'"]),
        ],
    )
    def test_what_a_factor_cannot_be_is_refused(self, planned, factors, words):
        said = refusal(planned, factors)
        assert all(word in said for word in words), said


class TestCombinations:
    def test_exclusions_leave_cells_out(self, planned):
        exclude = [{"name": "never seen", "where": {"beta": 0.5, "distance scale": 0.9}}]
        scale = {**SCALE, "levels": [0.9, 1.1]}
        plan = planned([BETA, scale], design="full", exclude=exclude)
        found = {(c.factors["beta"], c.factors["distance scale"]) for c in plan.cells}
        assert found == {(0.1, 0.9), (0.1, 1.1), (0.5, 1.1)}

    @pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 11, 16])
    def test_no_factor_of_a_fraction_is_confounded_with_an_interaction(self, n):
        from haloassay.planning.design import _fractional, fractional_columns
        from haloassay.planning.factors import Factor, Level

        two = (Level("-1", -1, ()), Level("1", 1, ()))
        factors = [Factor(str(k), (), (), two, None, 0, False, True) for k in range(n)]
        x = np.array([[level.value for level in run] for run in _fractional(factors)])
        assert len(x) == 2 ** fractional_columns(n) <= max(4 * n, 2)
        assert np.all(x.sum(axis=0) == 0)
        assert np.array_equal(x.T @ x, len(x) * np.eye(n, dtype=int))
        for i, j, k in itertools.combinations(range(n), 3):
            assert np.sum(x[:, i] * x[:, j] * x[:, k]) == 0

    def test_two_factors_that_set_one_place_cannot_be_combined(self, planned):
        whole = {
            "label": "profile",
            "path": "mock.beta",
            "levels": [{"kind": "constant", "beta": 0.1}],
        }
        planned([BETA, whole])
        said = refusal(planned, [BETA, whole], design="full")
        assert "factors 'beta' and 'profile' both set mock.beta" in said

    def test_several_designs_share_their_cells(self, planned):
        plan = planned([BETA_PRIOR, SCALE], design=["one-at-a-time", "fractional", "joint"])
        kinds = Counter(cell.label.count("=") for cell in plan.cells)
        assert kinds == {0: 2, 1: 6, 2: 4}


class TestSampling:
    @given(
        design=st.sampled_from(["joint", "sobol", "latin-hypercube", "saltelli"]),
        d=st.integers(1, 6),
        replicates=st.integers(1, 3),
        realizations=st.integers(1, 300),
    )
    @settings(max_examples=40)
    def test_points_do_not_depend_on_their_number(self, design, d, replicates, realizations):
        few = Sampling(design, d, 5, replicates)
        many = Sampling(design, d, 5, replicates, None if design == "latin-hypercube" else 1024)
        n = few.size(realizations)
        assert n >= 1
        assert n % replicates == 0
        for i in {0, n // 2, n - 1}:
            assert np.array_equal(few.coordinates(i), many.coordinates(i))
            assert few.draw(i) == many.draw(i) <= i
            assert np.all((few.coordinates(i) >= 0.0) & (few.coordinates(i) <= 1.0))

    @pytest.mark.parametrize(
        ("design", "points", "size"),
        [
            ("joint", None, 98),
            ("sobol", None, 2 * 32),
            ("latin-hypercube", 10, 4 * 2 * 10),
            ("saltelli", None, 8 * 2 * 5),
            ("joint", 200, 2 * 200),
            ("saltelli", 16, 16 * 2 * 5),
        ],
    )
    def test_as_many_whole_blocks_as_there_is_room_for(self, design, points, size):
        """Of two replicates and three factors in 99 realisations, where the points are not said."""
        assert Sampling(design, 3, 5, 2, points).size(99) == size
        assert Sampling(design, 3, 5, 2, points).size(1) > 1

    @pytest.mark.parametrize("design", ["joint", "sobol", "latin-hypercube"])
    def test_points_fill_the_prior_evenly(self, design):
        sampling = Sampling(design, 3, 11, 1, None if design == "latin-hypercube" else 256)
        u = np.array([sampling.coordinates(i) for i in range(256)])
        for k in range(3):
            assert stats.kstest(u[:, k], "uniform").pvalue > 1e-4
        for i, j in itertools.combinations(range(3), 2):
            assert abs(np.corrcoef(u[:, i], u[:, j])[0, 1]) < 4.0 / np.sqrt(256)
        spread = np.abs(u.mean(axis=0) - 0.5).max() * np.sqrt(12 * 256)
        assert spread < (0.4 if design != "joint" else 4.0)

    def test_saltelli_has_the_columns_of_b_in_a_and_one_stream_a_row(self):
        d, replicates = 3, 2
        sampling = Sampling("saltelli", d, 5, replicates, 8)
        n = sampling.size(1)
        assert n == 8 * (d + 2) * replicates
        u = np.array([sampling.coordinates(i) for i in range(n)]).reshape(8, d + 2, replicates, d)
        assert np.array_equal(u[:, :, 0], u[:, :, 1])
        a, b = u[:, 0, 0], u[:, 1, 0]
        assert not np.isin(a, b).any()
        for k in range(d):
            mixed = a.copy()
            mixed[:, k] = b[:, k]
            assert np.array_equal(u[:, 2 + k, 0], mixed)
        draws = np.array([sampling.draw(i) for i in range(n)]).reshape(8, d + 2, replicates)
        assert np.array_equal(draws, np.broadcast_to(draws[:, :1], draws.shape))
        assert sorted(draws[:, 0].ravel()) == list(range(8 * replicates))

    def test_replicates_are_two_catalogues_of_one_point(self, planned):
        cell = planned([SCALE], design="joint", points=4).cells[-1]
        scales = [cell.at(i).survey["distance_scale"] for i in range(8)]
        assert scales[0::2] == scales[1::2]
        assert len(set(scales)) == 4
        assert [cell.draw(i) for i in range(8)] == list(range(8))

    @pytest.mark.parametrize(
        ("factors", "matrix", "words"),
        [
            ([BETA], {"design": "joint"}, ["factor 'beta'", "has no prior", "'joint'"]),
            ([SCALE], {"design": "sobol", "points": 48}, ["matrix.points", "power of two", "32"]),
            ([], {"design": "joint"}, ["'joint' has no factor"]),
            ([SCALE], {"design": "joint", "points": 0}, ["points"]),
            ([SCALE], {"design": "jiont"}, ["matrix.design", "joint"]),
            (
                [with_prior(BETA, kind="normal", mean=0.9, sd=0.1)],
                {"design": "joint"},
                ["factor 'beta'", "16.0% of its prior", "values that cannot be", "give it limits"],
            ),
            (
                [with_prior(BETA, kind="uniform", lo=0.0, hi=1.005)],
                {"design": "joint"},
                ["factor 'beta'", "0.5% of its prior", "values that cannot be"],
            ),
            (
                [with_prior(SCALE, kind="uniform", lo=0.005, hi=1.005)],
                {"design": "joint"},
                ["factor 'distance scale'", "0.5% of its prior", "values that cannot be"],
            ),
        ],
    )
    def test_what_a_sampled_design_cannot_be_is_refused(self, planned, factors, matrix, words):
        said = refusal(planned, factors, **matrix)
        assert all(word in said for word in words), said

    def test_keys_are_those_of_the_points(self, planned):
        def key(factors, design="joint", **matrix):
            return planned(factors, design=design, **matrix).cells[-1].key

        assert key([SCALE], points=4) == key([SCALE], points=64)
        others = [
            key([SCALE], points=4),
            key([SCALE], design="sobol"),
            key([SCALE], replicates=3),
            key([with_prior(SCALE, kind="normal", mean=1.0, sd=0.06)]),
            key([SCALE, BETA_PRIOR]),
        ]
        assert len(set(others)) == len(others)


class TestRuns:
    #: With a level each beside their priors.
    FEW = ({**SCALE, "levels": [0.9]}, {**BETA_PRIOR, "levels": [0.5]})

    def values(self, values, **matrix):
        values["estimators"].append({"kind": "plugins:Good", "label": "other"})
        return {**values, "matrix": matrix}

    def test_a_cell_with_points_has_the_truth_and_the_numbers_of_each(self, tmp_path, values):
        """A catalogue is the one of a scenario that has the values of its point, with the same random numbers."""
        factors = [SCALE, BETA_PRIOR]
        values = {**values, "matrix": {"factor": factors, "design": "joint", "points": 3}}
        results = run(values, tmp_path / "out", workers=0, progress=Silent())
        rows = results.frame("estimates").query("cell == 'joint'")
        assert sorted(rows["realization"].unique()) == list(range(6))
        cell = next(c for c in cells(make_scenario(values)) if c.label == "joint")
        for i in (0, 3):
            here = cell.at(i)
            fixed = {**values, "mock": here.mock, "survey": here.survey, "matrix": {}}
            fixed["realizations"] = i + 1
            alone = run(fixed, tmp_path / str(i), workers=0, progress=Silent()).frame("estimates")
            columns = ["quantity", "bin", "value", "truth"]
            same = [
                frame[frame["realization"] == i][columns].reset_index(drop=True)
                for frame in (rows, alone)
            ]
            assert same[0].equals(same[1])
        made = haloassay.mock(tmp_path / "out", cell="joint", realization=3)
        assert len(made.catalogue) == 60

    def test_a_run_grows_to_more_points_and_loses_none(self, tmp_path, values):
        grown = self.values(values, factor=[*self.FEW], design=["one-at-a-time", "joint"])
        out = tmp_path / "out"
        few = run(grown, out, workers=0, realizations=2, progress=Silent()).frame("estimates")
        many = run(grown, out, workers=0, realizations=6, progress=Silent()).frame("estimates")
        both = few.merge(many, how="inner")
        assert len(both) == len(few)
        assert len(many) == 3 * len(few)

    def test_points_of_one_stream_are_paired_with_nothing_else(self, tmp_path, values):
        designs = ["one-at-a-time", "sobol", "saltelli"]
        spec = self.values(values, factor=[*self.FEW], design=designs, points=2)
        results = run(spec, tmp_path / "out", workers=0, progress=Silent())
        paired = set(results.pairs()["cell"])
        assert paired == set(results.cells["cell"]) - {"base", "saltelli"}
        with pytest.raises(InputError, match="'saltelli' has random numbers of its own"):
            results.pairs("saltelli")

    def test_what_an_estimator_did_already_is_shared(self, tmp_path, values):
        spec = self.values(values, factor=[GRID, {**SCALE, "levels": [0.9]}])
        results = run(spec, tmp_path / "out", workers=0, progress=Silent())
        read = results.frame("runs")
        cells = ["base", "grid=[3.0]", "grid=[2.0,4.0]", "distance scale=0.9"]
        assert Counter(zip(read["cell"], read["estimator"], strict=True)) == dict.fromkeys(
            itertools.product(cells, ["good", "other"]), 3
        )
        on_disk = sum(len(read_part(results.out, "runs", f.stem)) for f in results.runs_files)
        assert on_disk == 3 * (2 + 1 + 1 + 2)
        pairs = results.pairs()
        untouched = pairs[(pairs["estimator"] == "good") & pairs["cell"].str.startswith("grid")]
        assert len(untouched) > 0
        assert (untouched["shift"] == 0.0).all()
        everywhere = {**spec, "matrix": {}, "estimators": spec["estimators"][:1]}
        alone = run(everywhere, tmp_path / "alone", workers=0, progress=Silent()).frame("estimates")
        shared = results.frame("estimates").query("cell == 'grid=[3.0]' and estimator == 'good'")
        assert shared["value"].tolist() == alone["value"].tolist()
