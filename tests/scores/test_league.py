"""League tables of estimators whose errors are known."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from seeds import seeded
from synthetic_budget import BudgetResults

from haloassay.analysis import ranking
from haloassay.analysis.league import league
from haloassay.analysis.ranking import interval_score
from haloassay.base.errors import InputError
from haloassay.contracts import labels
from haloassay.planning.sampling import Sampling
from haloassay.reports import league as words
from haloassay.reports.page.league import render

N = 40
CELLS = {
    "halo=round, stars=300": ("round", 300),
    "halo=flat, stars=300": ("flat", 300),
    "halo=flat, stars=3000": ("flat", 3000),
}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(ranking, "_RESAMPLES", 500)


def rows(rng, estimator, cell, z, **told):
    plain = {"quantity": "m200", "r": np.nan, "truth": 1e12, "n_draws": 0}
    return synthetic.rows(rng, len(z), estimator=estimator, cell=cell, z=z, **{**plain, **told})


def run_of(folder, frames, failed=()):
    frame = pd.concat(frames)
    made = synthetic.write(folder, frame, pd.concat([synthetic.runs_of(frame), *failed]))
    own = {k: getattr(made, k) for k in ("out", "estimates_files", "runs_files")}
    levels = [{"cell": cell, "halo": h, "stars": n} for cell, (h, n) in CELLS.items()]
    return BudgetResults(**own, cells=pd.DataFrame(levels), factors=())


@pytest.fixture
def shifts():
    """Errors of two estimators in three cells, in units of a tenth: one is good but in the last."""
    rng = seeded(61)
    z = {(name, cell): rng.standard_normal(N) for name in ("one", "two") for cell in CELLS}
    z["two", "halo=round, stars=300"] += 3.0
    z["two", "halo=flat, stars=300"] -= 3.0
    z["one", "halo=flat, stars=3000"] += 1.0
    return rng, z


@pytest.fixture
def run(shifts, tmp_path):
    rng, z = shifts
    return run_of(tmp_path, [rows(rng, *key, values) for key, values in z.items()])


class TestPooling:
    def test_each_cell_counts_the_same(self, run, shifts):
        _, z = shifts
        (table,) = league(run)
        frame = pd.concat(map(pd.read_parquet, run.estimates_files))
        assert table.cells == tuple(CELLS)
        assert [each.place.estimator for each in table.standings] == ["one", "two"]
        for each in table.standings:
            mine = [0.1 * z[each.place.estimator, cell] for cell in CELLS]
            rmse = np.sqrt(np.mean([np.mean(e**2) for e in mine]))
            assert each.scores["rmse"].value == pytest.approx(rmse)
            # opposite biases of two cells do not cancel
            square = np.mean([e.mean() ** 2 - e.var(ddof=1) / N for e in mine])
            assert each.scores["bias"].value == pytest.approx(np.sqrt(square))
            ends = frame[frame["estimator"] == each.place.estimator].groupby("cell", sort=False)
            for k, level in enumerate((0.68, 0.95)):
                lo, hi = (f"{end}{100 * level:.0f}" for end in ("lo", "hi"))
                inside = [((g[lo] <= 1e12) & (g[hi] >= 1e12)).mean() for _, g in ends]
                assert each.coverage[k].value == pytest.approx(np.mean(inside))
            scores = [
                interval_score(g[f"lo{p}"] / 1e12 - 1.0, g[f"hi{p}"] / 1e12 - 1.0, p / 100.0).mean()
                for p in (68, 95)
                for _, g in ends
            ]
            assert each.scores["interval-score"].value == pytest.approx(np.mean(scores))
            assert each.place.n == each.place.n_attempted == 3 * N

    @pytest.mark.long
    def test_errors_are_those_of_repeated_runs(self, tmp_path):
        """The Monte Carlo error of a pooled score is the scatter of that score from run to run."""
        found = []
        for k in range(30):
            rng = seeded(62, k)
            frames = [
                rows(rng, name, cell, 2.0 + rng.standard_normal(N))
                for name in ("one", "two")
                for cell in CELLS
            ]
            (table,) = league(run_of(tmp_path / str(k), frames))
            found += [each.scores["rmse"] for each in table.standings]
        scatter = np.std([each.value for each in found], ddof=1)
        stated = np.sqrt(np.mean([each.mcse**2 for each in found]))
        assert stated == pytest.approx(scatter, rel=4.0 / np.sqrt(2.0 * len(found)))

    def test_levels_have_tables_of_their_own(self, run):
        tables = league(run, each=["stars"])
        assert [(t.where, len(t.cells)) for t in tables] == [
            ({"stars": "300"}, 2),
            ({"stars": "3000"}, 1),
        ]
        assert [t.standings[0].place.estimator for t in tables] == ["one", "two"]
        frame = words.frame(tables)
        assert list(frame["stars"]) == ["300", "300", "3000", "3000"]
        assert (frame["seconds"] > 0.0).all()

    def test_who_has_too_few_values_in_one_cell_has_no_place(self, shifts, tmp_path):
        rng, z = shifts
        last = ("two", "halo=flat, stars=3000")
        z[last] = z[last][: N // 2 - 1]
        lost = synthetic.failed_runs(N // 2 + 1, cell=last[1], estimator="two", first=N // 2 - 1)
        found = run_of(tmp_path, [rows(rng, *key, values) for key, values in z.items()], [lost])
        (table,) = league(found)
        assert [each.place.estimator for each in table.standings] == ["one"]
        half = f"{N // 2 - 1} of {N} values: a place among several cells needs half"
        assert table.notes == (f"two: in 1 of 3 cells: {half}",)

    def test_a_level_at_which_nobody_has_a_place_says_why(self, shifts, tmp_path):
        rng, z = shifts
        cell = "halo=flat, stars=3000"
        lost = []
        for name in ("one", "two"):
            z[name, cell] = z[name, cell][:4]
            lost.append(synthetic.failed_runs(N - 4, cell=cell, estimator=name, first=4))
        found = run_of(tmp_path, [rows(rng, *key, values) for key, values in z.items()], lost)
        first, last = league(found, each=["stars"])
        assert len(first.standings) == 2
        assert last.standings == ()
        few = "values in 4 realisations: a place needs 5"
        assert last.notes == (f"one: {few}", f"two: {few}")
        with labels.vocabulary(found.quantities):
            assert "one: values in 4 realisations" in words.text([first, last])
            assert render([first, last], "some").count("<section") == 2

    def test_failures_are_counted(self, shifts, tmp_path):
        rng, z = shifts
        cell = "halo=flat, stars=3000"
        z["one", cell] = z["one", cell][:-4]
        lost = synthetic.failed_runs(4, cell=cell, estimator="one", first=N - 4)
        found = run_of(tmp_path, [rows(rng, *key, values) for key, values in z.items()], [lost])
        place = league(found)[0].standings[0].place
        assert (place.estimator, place.n, place.n_attempted) == ("one", 3 * N - 4, 3 * N)

    @pytest.mark.parametrize("n", [4, 5])
    def test_realisations_are_counted_not_catalogues(self, shifts, tmp_path, n):
        rng, z = shifts
        found = run_of(tmp_path, [rows(rng, *key, values[:n]) for key, values in z.items()])
        if n == 5:
            assert [each.place.n for each in league(found)[0].standings] == [15, 15]
            return
        said = (
            "nobody has a place: m200: one: values in 4 realisations: a place needs 5; m200: two: "
        )
        with pytest.raises(InputError, match=said):
            league(found)

    def test_intervals_of_68_per_cent_alone_have_a_coverage(self, shifts, tmp_path):
        rng, z = shifts
        frames = [rows(rng, *key, values) for key, values in z.items()]
        frames = [
            frame.assign(lo95=np.nan, hi95=np.nan) if key[0] == "one" else frame
            for key, frame in zip(z, frames, strict=True)
        ]
        runs = synthetic.runs_of(pd.concat(frames)).assign(seconds=np.nan)
        made = run_of(tmp_path, frames)
        runs.to_parquet(made.runs_files[0])
        (table,) = league(made)
        one, two = table.standings
        inside = [
            ((frame["lo68"] <= 1e12) & (frame["hi68"] >= 1e12)).mean()
            for key, frame in zip(z, frames, strict=True)
            if key[0] == "one"
        ]
        assert one.coverage[0].value == pytest.approx(np.mean(inside))
        assert np.isnan(one.coverage[1].value)
        assert "coverage" not in one.scores
        assert all(np.isfinite(share.value) for share in two.coverage)
        with labels.vocabulary(made.quantities):
            _, first, last = words.rows(table)
            assert first[4].startswith(f"{np.mean(inside):.2f} ± ")
            assert first[5:7] == ["–", "–"]
            # who submits says not how long it took
            assert first[-1] == last[-1] == "–"
            assert "nan" not in words.text([table]) + render([table], "some")
        with pytest.raises(InputError, match="no radius"):
            league(made, radii=[20.0])

    def test_errors_of_coverages_know_what_cells_have_in_common(self, shifts, tmp_path):
        _, z = shifts
        first = next(iter(CELLS))
        frames = [rows(seeded(63), *key, z[key[0], first]) for key in z]
        made = run_of(tmp_path, frames)
        together = league(made)[0].standings
        one = dataclasses.replace(made, cells=made.cells[made.cells["cell"] == first])
        alone = league(one)[0].standings
        for all_cells, one_cell in zip(together, alone, strict=True):
            assert all_cells.place.n == 3 * one_cell.place.n
            for several, single in zip(all_cells.coverage, one_cell.coverage, strict=True):
                assert several.value == pytest.approx(single.value)
                assert several.mcse == pytest.approx(single.mcse)
                assert single.mcse > 0.0

    def test_a_coverage_of_none_or_all_is_not_exact(self, run, shifts, tmp_path):
        rng, z = shifts
        far = {
            (name, cell): 0.0 * x + (9.0 if name == "one" else 0.0) for (name, cell), x in z.items()
        }
        made = run_of(tmp_path / "far", [rows(rng, *key, values) for key, values in far.items()])
        (table,) = league(made)
        assert {each.coverage[0].value for each in table.standings} == {0.0, 1.0}
        with labels.vocabulary(made.quantities):
            shown = words.rows(table)
        assert {row[4] for row in shown[1:]} == {"0.000 ± 0.012", "1.000 ± 0.012"}


class TestWhatIsLeftOut:
    def test_cells_that_draw_their_factors_are_named(self, run):
        drawn = dataclasses.replace(
            run,
            cells=pd.concat([run.cells, pd.DataFrame([{"cell": "joint"}])]),
            samplings={"joint": Sampling("joint", 2, 1, 1, 8)},
        )
        (table,) = league(drawn)
        said = (
            "without the cell joint, whose catalogues each draw their factors: see haloassay rank"
        )
        assert table.beside == (said,)
        assert table.cells == tuple(CELLS)
        with labels.vocabulary(run.quantities):
            for shown in (words.text, words.markdown, lambda tables: render(tables, "some")):
                assert said in shown([table, table])
                assert shown([table, table]).count("cell joint") == 1
        last = words.frame([table, table]).iloc[-1]
        assert (last["note"], last["quantity"], last["unit"]) == (said, "", "")

    def test_catalogues_that_are_not_there_yet_are_counted(self, run):
        half = dataclasses.replace(run, catalogues=dict.fromkeys(CELLS, 2 * N))
        said = f"the run is not complete: {3 * N} of {6 * N} planned catalogues are there"
        (table,) = league(half)
        assert table.beside == (said,)
        with pytest.raises(InputError, match=f"nobody has a place: {said}; m200 at 20 kpc"):
            league(half, radii=[20.0])
        whole = dataclasses.replace(run, catalogues=dict.fromkeys(CELLS, N))
        assert league(whole)[0].beside == ()

    def test_a_rank_counts_those_of_its_cell(self, run):
        first, *others = CELLS
        half = dataclasses.replace(run, catalogues={first: 2 * N, **dict.fromkeys(others, N)})
        said = f"the run is not complete: {N} of {2 * N} planned catalogues are there"
        assert ranking.rank(half, "m200", "rmse", cell=first).notes == (said,)
        assert ranking.rank(half, "m200", "rmse", cell=others[0]).notes == ()


class TestRadii:
    @pytest.fixture
    def apart(self, shifts, tmp_path):
        """One at 20 kpc, one near it, and one at twice as far."""
        rng, z = shifts
        where = {"quantity": "enclosed_mass", "truth": 2e11}
        frames = [
            rows(rng, name, cell, z["one", cell], r=r, **where)
            for name, r in (("at", 20.0), ("near", 23.0), ("far", 40.0))
            for cell in CELLS
        ]
        return run_of(tmp_path, frames)

    def test_numbers_are_compared_near_a_radius_and_those_of_others_are_named(self, apart):
        (table,) = league(apart, radii=[22.0])
        assert {each.place.estimator: each.place.r for each in table.standings} == {
            "at": 20.0,
            "near": 23.0,
        }
        assert table.notes == (
            "far: in 3 of 3 cells: states 40 kpc, none within a factor 1.3 of 22",
        )
        (other,) = league(apart, radii=[31.0])
        assert [each.place.estimator for each in other.standings] == ["far"]

    def test_tables_say_where_numbers_are(self, apart):
        tables = league(apart, radii=[22.0])
        with labels.vocabulary(apart.quantities):
            head, *shown = words.rows(tables[0])
            k = head.index("r [kpc]")
            assert {row[0]: row[k] for row in shown} == {"at": "20", "near": "23"}
            for told in (words.text, words.markdown, words.latex):
                assert "kpc" in told(tables).split("RMSE")[0].splitlines()[-1]
                assert "factor 1.3 of its radius" in told(tables)
            assert "<td>23</td>" in render(tables, "some")
            alone = league(apart, radii=[40.0])
            assert "r [kpc]" not in words.rows(alone[0])[0]
        found = words.frame(tables).dropna(subset="estimator").set_index("estimator")
        assert found["r"].to_dict() == {"at": 20.0, "near": 23.0}
        assert set(found["r_table"]) == {22.0}

    def test_what_is_asked_for_twice_is_shown_once(self, apart):
        asked = {"quantities": ["enclosed_mass"] * 2, "radii": [20.0, 20.0], "each": ["stars"] * 2}
        tables = league(apart, **asked)
        assert [(table.r, table.where) for table in tables] == [
            (20.0, {"stars": "300"}),
            (20.0, {"stars": "3000"}),
        ]

    @pytest.mark.parametrize("r", [0.0, -5.0, np.nan, np.inf])
    def test_what_is_no_radius_is_refused_in_one_line(self, apart, r):
        said = "^league: a radius is above 0 kpc and finite [(]got [^ ]*[)]$"
        with pytest.raises(InputError, match=said):
            league(apart, radii=[20.0, r])

    def test_stated_radii_come_before_those_of_bins(self, shifts, tmp_path):
        rng, z = shifts
        frames = []
        for (name, cell), values in z.items():
            where = {"quantity": "sigma_r", "truth": 100.0}
            if name == "two":
                frames.append(rows(rng, name, cell, values, r=20.0, **where))
            else:  # a bin whose median star is elsewhere each time
                r = 21.0 + rng.uniform(-1.0, 1.0, len(values))
                frames.append(rows(rng, name, cell, values, r=21.0, **where).assign(r=r))
        (table,) = league(run_of(tmp_path, frames))
        assert table.r == 20.0
        assert {each.place.estimator for each in table.standings} == {"one", "two"}

    def test_radii_where_nobody_is_are_refused_with_those_that_there_are(self, shifts, tmp_path):
        rng, z = shifts
        where = {"quantity": "sigma_r", "truth": 100.0, "r": 20.0}
        made = run_of(tmp_path, [rows(rng, *key, values, **where) for key, values in z.items()])
        said = "sigma_r at 500 kpc: one: in 3 of 3 cells: states 20 kpc, none within a factor 1.3 of 500"
        with pytest.raises(InputError, match=said):
            league(made, radii=[500.0])


class TestRefusals:
    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({"each": ["star"]}, "unknown factor 'star'; did you mean 'stars'"),
            ({"quantities": ["m20"]}, "unknown quantity 'm20'"),
            ({"by": "luck"}, "unknown score 'luck'"),
        ],
    )
    def test_what_is_not_there_is_named(self, run, asked, said):
        with pytest.raises(InputError, match=said):
            league(run, **asked)

    def test_a_single_estimator_is_no_league(self, shifts, tmp_path):
        rng, z = shifts
        frames = [rows(rng, *key, values) for key, values in z.items() if key[0] == "one"]
        with pytest.raises(InputError, match="no quantity is yielded by two estimators"):
            league(run_of(tmp_path, frames))


class TestWords:
    def test_tables_for_readers_have_units_errors_and_ties(self, run):
        with labels.vocabulary(run.quantities):
            shown = words.text(league(run))
            assert "M₂₀₀; 3 cells" in shown
            assert "RMSE [%]" in shown
            assert words.markdown(league(run)).count("| one |") == 1
            assert r"\begin{tabular}" in words.latex(league(run))

    def test_a_page_shows_every_table_and_takes_labels_as_text(self, run):
        run.cells["halo"] = "<script>alert('x')</script>"
        with labels.vocabulary(run.quantities):
            page = render(league(run, each=["halo", "stars"]), "A & B")
        assert page.count("<section") == 2
        assert "<script>alert" not in page
        assert "A &amp; B" in page
        of = page.split('data-of="')[1].split('"')[0].replace("&#34;", '"').replace("&#39;", "'")
        assert json.loads(of.replace("&lt;", "<").replace("&gt;", ">"))["stars"] == "300"
