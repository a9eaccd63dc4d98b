"""The store by itself: rows come back, folders are refused, gone on with, or grow."""

from pathlib import Path

import numpy as np
import pandas as pd
import plugins
import pyarrow.parquet as pq
import pytest
from made_up_results import N, assert_complete, description, fill, result, tree
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.engine import runner
from haloassay.mocks.surveys.survey import Survey
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import make_scenario
from haloassay.results import parts
from haloassay.results import store as store_module
from haloassay.results.outcome import Outcome, TaskResult
from haloassay.results.results import Results
from haloassay.results.store import Store


def test_rows_come_back_as_they_were(tmp_path, plan):
    fill(tmp_path, plan)
    assert_complete(tmp_path)
    results = Results(tmp_path)
    for kind in ("estimates", "runs"):
        assert list(results.frame(kind).columns) == store_module.SCHEMAS[kind].names
    assert results.counts() == {"ok": 2 * N}
    assert results.cells.columns.tolist() == ["cell", "survey.distance_scale"]
    assert results.cells["survey.distance_scale"].tolist() == [1.0, 0.9]
    assert results.scenario == plan.scenario.to_dict()


def test_parts_of_a_version_that_knew_less_go_on_with_the_rest(tmp_path, plan, monkeypatch):
    """Without ``overlap``: read, joined with newer parts, and the column is empty where it was not written."""
    out = tmp_path / "out"
    now = parts.SCHEMAS["runs"]
    earlier = now.remove(now.get_field_index("overlap"))
    with Store.open(out, plan) as store, monkeypatch.context() as patch:
        patch.setitem(parts.SCHEMAS, "runs", earlier)
        store.checkpoint(result(plan, 0))
    monkeypatch.setattr(store_module, "SEGMENT", 2)
    for k in range(1, 4):
        with Store.open(out, plan) as store:
            store.checkpoint(result(plan, k))
        runs = Results(out).frame("runs")
        assert list(runs.columns) == now.names
        assert runs.groupby("realization")["overlap"].count().tolist() == [0] + k * [2]
        assert len(Results(out).table()) > 0


def test_what_timed_out_is_tried_again_and_takes_the_place_of_the_old_row(tmp_path, plan):
    fill(tmp_path, plan, statuses=("ok", "timeout"))
    assert Results(tmp_path).counts() == {"ok": N, "timeout": N}
    with Store.open(tmp_path, plan) as store:
        assert [m.label for m in store.missing(plan.cells[0], 0)] == ["other"]
        for realization in range(N):
            whole = result(plan, realization)
            store.checkpoint(TaskResult(whole.cell, realization, whole.outcomes[1:]))
        store.compact()
    assert_complete(tmp_path)


def test_what_has_no_value_is_null_on_disk(tmp_path, plan):
    """Readers of Parquet simplify by statistics that know null, but count NaN as a number."""
    whole = result(plan, 0)
    for row in whole.outcomes[0].rows:
        row.update(value=float("nan"), lo95=float("nan"))
    with Store.open(tmp_path, plan) as store:
        store.checkpoint(whole)
    (file,) = (tmp_path / "estimates").glob("*.parquet")
    nulls = {name: pq.read_table(file)[name].null_count for name in ("value", "lo95", "lo68")}
    assert nulls == {"value": 1, "lo95": 1, "lo68": 0}


def test_what_failed_is_final(tmp_path, plan):
    fill(tmp_path, plan, statuses=("ok", "failed"))
    with Store.open(tmp_path, plan) as store:
        assert all(not store.missing(plan.cells[0], i) for i in range(N))


def test_a_folder_of_something_else_is_left_alone(tmp_path, plan):
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mine.parquet").write_text("mine")
    before = tree(tmp_path)
    for mode in ("resume", "restart", "refuse"):
        with pytest.raises(InputError, match="neither empty nor a results folder"):
            Store.open(tmp_path, plan, mode).__enter__()
    (tmp_path / "run.json").write_text('{"my": "own"}')
    with pytest.raises(InputError, match="neither empty nor a results folder"):
        Store.open(tmp_path, plan, "restart").__enter__()
    (tmp_path / "run.json").unlink()
    assert tree(tmp_path) == before
    with pytest.raises(InputError, match="is a file"):
        Store.open(tmp_path / "thesis.tex", plan).__enter__()


def test_refuse_and_restart(tmp_path, plan):
    fill(tmp_path, plan)
    before = tree(tmp_path)
    with pytest.raises(InputError, match="holds results already"):
        Store.open(tmp_path, plan, "refuse").__enter__()
    assert tree(tmp_path) == before
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "runs" / "notes.txt").write_text("mine")
    (tmp_path / "report").mkdir()
    with Store.open(tmp_path, plan, "restart") as store:
        assert len(store.missing(plan.cells[0], 0)) == 2
    assert sorted(Path(p).name for p in tree(tmp_path)) == ["notes.txt", "notes.txt", "run.json"]


def test_results_of_another_scenario_are_named_and_kept(tmp_path, plan, values):
    fill(tmp_path, plan)
    before = tree(tmp_path)
    values["mock"]["potential"]["m200"] = 2e12
    values["seed"] += 1
    values["estimators"].pop()
    with pytest.raises(InputError) as caught:
        Store.open(tmp_path, make_plan(make_scenario(values))).__enter__()
    text = str(caught.value)
    for part in (
        "another scenario",
        f"seed: {values['seed'] - 1} there, {values['seed']} now",
        "mock.potential.m200: 1000000000000.0 there, 2000000000000.0 now",
        "estimators.other is gone",
    ):
        assert part in text
    assert tree(tmp_path) == before


def snapshot(path, mass):
    """File of a halo of 4000 dark particles of one mass, and 500 stars."""
    rng = seeded(5)
    toward = rng.standard_normal((4500, 3))
    x = 100.0 * rng.random(4500)[:, None] * toward / np.linalg.norm(toward, axis=1)[:, None]
    frame = pd.DataFrame(
        np.hstack([x, 100.0 * rng.standard_normal((4500, 3))]), columns=list("xyzuvw")
    )
    frame.assign(kind=np.arange(4500) >= 4000, mass=mass).astype(float).to_csv(path, index=False)


def test_what_the_scenario_does_not_say_is_named_where_it_has_changed(
    tmp_path, values, monkeypatch
):
    """A file under its old name, a version, a default: none of them is a setting of the scenario."""
    columns = {"position": ["x", "y", "z"], "velocity": ["u", "v", "w"], "mass": "mass"}
    file = tmp_path / "snap.csv"
    values["mock"] = {
        "kind": "snapshot",
        "file": str(file),
        "tables": [
            {"kind": "dark", "select": [["kind", 0.0, 0.0]], **columns},
            {"kind": "stars", "select": [["kind", 1.0, 1.0]], **columns},
        ],
        "centre": {"position": [0.0, 0.0, 0.0], "velocity": [0.0, 0.0, 0.0]},
        "tracers": {"kinds": ["stars"], "r_range": [2.0, 90.0]},
    }

    def refusal():
        with pytest.raises(InputError) as caught:
            Store.open(tmp_path / "out", make_plan(make_scenario(values))).__enter__()
        return str(caught.value)

    snapshot(file, 1e8)
    with Store.open(tmp_path / "out", make_plan(make_scenario(values))):
        pass
    snapshot(file, 2e8)
    assert f"(mock: the content of {file} has changed); choose another folder" in refusal()
    snapshot(file, 1e8)
    was = Survey.version
    monkeypatch.setattr(Survey, "version", was + 1)
    monkeypatch.setattr(plugins.Good, "version", 5)
    assert (
        f"(survey: numbers of 'survey' have changed since: version {was} there, {was + 1} now;"
        " estimators.good: numbers of 'good' have changed since: version 1 there, 5 now)"
    ) in refusal()
    monkeypatch.undo()


def test_a_scenario_may_grow(tmp_path, plan):
    """More realisations, levels and estimators go into the same folder; what is there stays."""
    fill(tmp_path, plan)
    grown = plan.scenario.to_dict()
    grown["estimators"] = [{"kind": "plugins:Bad", "label": "new"}, *grown["estimators"]]
    grown["matrix"]["factors"]["survey.distance_scale"] = [0.9, 1.0, 1.1]
    grown = make_plan(make_scenario({**grown, "realizations": N + 1, "title": "grown"}))
    with Store.open(tmp_path, grown) as store:
        assert [m.label for m in store.missing(grown.cells[0], 0)] == ["new"]
        assert len(store.missing(grown.cells[0], N)) == 3
        assert len(store.missing(grown.cells[2], 0)) == 3


def test_a_finished_run_takes_another_tolerance(tmp_path, plan):
    """Only readers ask for it: nothing is missing, and they find the new one."""
    fill(tmp_path, plan)
    before = description(tmp_path)
    assert Results(tmp_path).tolerances.coverage == 0.05
    values = {**plan.scenario.to_dict(), "tolerance": {"enclosed_mass": 0.3, "coverage": 0.1}}
    with Store.open(tmp_path, make_plan(make_scenario(values))) as store:
        assert not any(store.missing(plan.cells[0], i) for i in range(N))
    after = description(tmp_path)
    assert Results(tmp_path).tolerances.coverage == 0.1
    assert after["scenario"].pop("tolerance") == values["tolerance"]
    assert before["scenario"].pop("tolerance") == {}
    assert {**after, "digest": ""} == {**before, "digest": ""}
    other = make_plan(make_scenario({**values, "tolerance": 0.7, "seed": 99}))
    with pytest.raises(InputError, match="seed: ") as refused, Store.open(tmp_path, other):
        pass
    assert "tolerance" not in str(refused.value)


def test_a_folder_without_results_is_no_results_folder(tmp_path):
    with pytest.raises(InputError, match="not a results folder"):
        Results(tmp_path)


def test_empty_results_have_all_columns(tmp_path, plan):
    with Store.open(tmp_path, plan):
        pass
    for kind in ("estimates", "runs"):
        frame = Results(tmp_path).frame(kind)
        assert isinstance(frame, pd.DataFrame)
        assert (len(frame), list(frame.columns)) == (0, store_module.SCHEMAS[kind].names)


def test_the_count_of_realizations_never_falls(tmp_path, plan):
    fill(tmp_path, plan)
    fewer = make_plan(plan.scenario.revise(realizations=2))
    with Store.open(tmp_path, fewer) as store:
        store.compact()
    assert description(tmp_path)["scenario"]["realizations"] == N
    fill(tmp_path, plan)
    assert_complete(tmp_path)


def test_all_versions_that_added_results_are_kept(tmp_path, plan, monkeypatch):
    few = make_plan(plan.scenario.revise(realizations=2))
    with Store.open(tmp_path, few) as store:
        for realization in range(2):
            store.checkpoint(result(few, realization))
    before = description(tmp_path)
    other = {**before["versions"], "numpy": "0.0"}
    original = store_module.description_of
    monkeypatch.setattr(
        store_module, "description_of", lambda p, held: {**original(p, held), "versions": other}
    )
    lines = []
    for _ in range(2):
        fill(tmp_path, plan, lines.append)
    after = description(tmp_path)
    assert after["scenario"].pop("realizations") == N
    assert before["scenario"].pop("realizations") == 2
    assert after == {**before, "also_versions": [other]}
    assert len(lines) == 1
    assert "numpy" in lines[0]
    assert "'0.0' now" in lines[0]


def test_versions_that_add_nothing_are_not_noted(tmp_path, plan, monkeypatch):
    fill(tmp_path, plan)
    before = tree(tmp_path)
    original = store_module.description_of
    monkeypatch.setattr(
        store_module,
        "description_of",
        lambda p, held: {**original(p, held), "versions": {}, "platform": "?"},
    )
    lines = []
    fill(tmp_path, plan, lines.append)
    assert tree(tmp_path) == before
    assert lines == []


def test_reasons_are_counted_over_runs_and_rows(tmp_path, plan):
    def outcome(method, i):
        if method.label == "other" or i == 3:
            note = "too few stars" if i < 3 else "no convergence"
            row = {"quantity": "sigma_r", "bin": 0, "unit": "km/s", "note": note, "rank": -1}
            return Outcome(method, "ok", rows=({**row, "value": float("nan")},))
        return Outcome(method, "failed", "MemoryError", "no room" if i else "")

    cell = plan.cells[0]
    assert Results(tmp_path, {"cells": []}).reasons() == []
    with Store.open(tmp_path, plan) as store:
        for i in range(N):
            outcomes = tuple(outcome(method, i) for method in cell.methods)
            store.checkpoint(TaskResult(cell, i, outcomes))
    results = Results(tmp_path)
    assert results.reasons() == [
        "3 x too few stars",
        "2 x MemoryError: no room",
        "2 x no convergence",
    ]
    assert results.reasons(limit=9)[3:] == ["1 x MemoryError"]


def test_values_with_a_remark_are_no_reason(tmp_path, plan):
    whole = result(plan, 0)
    whole.outcomes[0].rows[0]["note"] = "few stars"
    with Store.open(tmp_path, plan) as store:
        store.checkpoint(whole)
    assert Results(tmp_path).reasons() == []


def test_results_that_come_together_are_one_part_and_go_on_as_any(tmp_path, plan):
    """Those that are to be tried again have a part of their own; a folder of few results is joined with later ones."""
    whole = [result(plan, k) for k in range(N - 1)]
    with Store.open(tmp_path, plan) as store:
        store.checkpoint_all([*whole, result(plan, N - 1, ("ok", "timeout"))])
        assert len([*(tmp_path / "runs").glob("*.parquet")]) == 2
    assert Results(tmp_path).counts() == {"ok": 2 * N - 1, "timeout": 1}
    with Store.open(tmp_path, plan) as store:
        assert [m.label for m in store.missing(plan.cells[0], N - 1)] == ["other"]
        assert not store.missing(plan.cells[0], 0)
        last = result(plan, N - 1)
        store.checkpoint_all([TaskResult(last.cell, N - 1, last.outcomes[1:])])
        store.compact()
    assert_complete(tmp_path)
    assert len([*(tmp_path / "runs").glob("*.parquet")]) == 1


def test_short_tasks_are_written_together_and_none_waits(tmp_path, values, monkeypatch):
    """Ten results a part where they come at once; each by itself where they come slowly; the last one, too."""
    clock = [0.0]
    monkeypatch.setattr(runner.time, "monotonic", lambda: clock[0])

    def arriving(seconds):
        for k in range(20):
            clock[0] += seconds
            yield k
            yield None

    quick = [len(part) for part in runner._together(arriving(0.03))]
    assert sum(quick) == 20
    assert max(quick[:-1]) == 9
    assert [len(part) for part in runner._together(arriving(0.3))] == [1] * 20
