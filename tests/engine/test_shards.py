"""Runs that are shared out among machines that know nothing of each other: shards, status, merge."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_results import N, fill

from haloassay.analysis import realizations
from haloassay.base.errors import InputError
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import make_scenario
from haloassay.planning.shard import Shard, shard_folders
from haloassay.results.description import description_of
from haloassay.results.due import dealt, estimator_runs
from haloassay.results.lock import HELD, locked
from haloassay.results.merging import merge, missing
from haloassay.results.parts import write_part
from haloassay.results.results import Results
from haloassay.results.status import status


def quietly(*args, **kwargs):
    return run(*args, workers=0, progress=Silent(), **kwargs)


def assert_equal(results, expected):
    """Bit for bit, but for the seconds."""
    estimates = expected.frame("estimates")
    assert len(estimates) > 0
    pd.testing.assert_frame_equal(results.frame("estimates"), estimates, check_exact=True)
    runs = [r.frame("runs").drop(columns="seconds") for r in (results, expected)]
    pd.testing.assert_frame_equal(*runs)


@pytest.fixture
def shared_out(tmp_path, values):
    """Five shards, of which the second has not begun, of the small scenario in 8 realisations."""
    for number in (1, 3, 4, 5):
        quietly(values, tmp_path / "run", realizations=8, shard=f"{number}/5")
    return tmp_path / "run"


def test_shards_joined_are_the_run_bit_for_bit(tmp_path, values, shared_out, undisturbed):
    quietly(values, shared_out, realizations=8, shard="2/5")
    merged = merge([shared_out], tmp_path / "all")
    assert_equal(merged.results, undisturbed)
    assert (merged.folders, merged.doubles, len(merged.missing)) == (5, 0, 0)
    assert merged.results.description["scenario"] == undisturbed.description["scenario"]
    assert merged.results.description["cells"] == undisturbed.description["cells"]
    assert "shard" not in merged.results.description
    # a run into the folder has nothing to do, and joining once more changes nothing
    quietly(values, tmp_path / "all", realizations=8, mode="resume")
    assert_equal(merge([shared_out], tmp_path / "all").results, undisturbed)


def test_a_part_of_a_run_says_how_many_catalogues_are_there(shared_out, undisturbed):
    parts = [Results(path) for path in shard_folders(shared_out).values()]
    said = [realizations.missing(p, p.frame("runs"), p.cells["cell"]) for p in parts]
    assert {note for notes in said for note in notes} == {
        f"the run is not complete: {n} of 16 planned catalogues are there" for n in (3, 4)
    }
    whole = realizations.missing(undisturbed, undisturbed.frame("runs"), undisturbed.cells["cell"])
    assert whole == []


def test_what_is_missing_is_named_and_the_next_run_does_it(values, shared_out, undisturbed):
    """The folder that holds the shards may hold what they come to, too."""
    merged = merge([shared_out], shared_out)
    assert (
        merged.missing["missing"].sum() == 3
    )  # of 16 catalogues, 2, 7 and 12 are dealt to the second
    assert "3 estimator runs are missing" in str(merged)
    results = quietly(values, shared_out, realizations=8)
    assert len(missing(results)) == 0
    assert_equal(results, undisturbed)


def test_the_status_knows_each_shard(shared_out):
    (found,) = (s for s in [status(shared_out)])
    states = {part.name: (part.state, part.done, part.due) for part in found.parts}
    assert states == {
        "1/5": ("done", 4, 4),
        "2/5": ("waiting", 0, 3),
        "3/5": ("done", 3, 3),
        "4/5": ("done", 3, 3),
        "5/5": ("done", 3, 3),
    }
    with locked(shared_out / "shards" / "2-of-5", print):
        (second,) = (part for part in status(shared_out).parts if part.name == "2/5")
    assert second.state == "waiting"  # it has no run.json yet
    with locked(shared_out / "shards" / "3-of-5", print):
        text = str(status(shared_out))
    assert "5 shards, 13 of 16 catalogues done" in text
    assert "1 waiting: 2/5" in text


def test_the_status_of_one_folder_tells_who_runs_it(tmp_path, values):
    quietly(values, tmp_path / "out", realizations=2)
    assert "4 of 4 catalogues done; done; estimator runs: 4 ok" in str(status(tmp_path / "out"))
    described = json.loads((tmp_path / "out" / "run.json").read_text())
    assert "digest" in described
    with locked(tmp_path / "out", print):
        assert f"running (process {os.getpid()}" in str(status(tmp_path / "out"))
    assert "running" not in str(status(tmp_path / "out"))
    (tmp_path / "out" / HELD).mkdir()  # where the file system has no locks
    assert "running" in str(status(tmp_path / "out"))


def test_a_shard_is_of_one_run_at_a_time(shared_out, values):
    shard = shared_out / "shards" / "3-of-5"
    with locked(shard, print):
        with pytest.raises(InputError, match=r"3-of-5: another run .* is writing into this folder"):
            quietly(values, shared_out, realizations=8, shard="3/5")
        with pytest.raises(InputError, match="3-of-5: is being written"):
            merge([shared_out], shared_out)
    assert not (shared_out / "run.json").exists()


def test_results_that_stand_in_two_folders_count_once(tmp_path, shared_out, values, undisturbed):
    whole = quietly(values, tmp_path / "whole", realizations=8)
    merged = merge([shared_out, whole.out], tmp_path / "all")
    assert merged.doubles == 13
    assert_equal(merged.results, undisturbed)


def test_folders_that_contradict_each_other_are_not_joined(tmp_path, shared_out, values):
    whole = quietly(values, tmp_path / "whole", realizations=8)
    (file,), (runs,) = whole.estimates_files, whole.runs_files
    tables = {
        kind: duckdb.read_parquet(str(p)).to_arrow_table()
        for kind, p in (("estimates", file), ("runs", runs))
    }
    value = tables["estimates"]["value"].to_numpy().copy()
    value[0] *= 1.0 + 1e-15
    place = tables["estimates"].schema.get_field_index("value")
    tables["estimates"] = tables["estimates"].set_column(place, "value", [value])
    write_part(whole.out, "segment", tables, [file.stem])
    with pytest.raises(
        InputError, match=r"differ in what they say of cell '.*', estimator 'good', realisation \d"
    ):
        merge([shared_out, whole.out], tmp_path / "all")
    assert not (tmp_path / "all" / "run.json").exists()


def test_what_cannot_be_joined_is_named(tmp_path, shared_out, values):
    with pytest.raises(InputError, match="nowhere: there is no such folder"):
        merge([tmp_path / "nowhere"], tmp_path / "all")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: holds neither results nor shards of a run"):
        merge([tmp_path / "empty"], tmp_path / "all")
    with pytest.raises(InputError, match="empty: holds neither results nor shards of a run"):
        status(tmp_path / "empty")
    other = quietly({**values, "seed": 1}, tmp_path / "other", realizations=2).out
    with pytest.raises(InputError, match=r"holds results of another scenario .seed"):
        merge([shared_out, other], tmp_path / "all")
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="all: is neither empty nor a results folder"):
        merge([shared_out], tmp_path / "all")


def test_shards_of_another_number_and_runs_beside_shards_are_refused(shared_out, values):
    with pytest.raises(InputError, match="shared out among 5, not 4: the same tasks"):
        quietly(values, shared_out, realizations=8, shard="1/4")
    with pytest.raises(InputError, match="holds shards of a run: `haloassay merge"):
        quietly(values, shared_out, realizations=8)
    with pytest.raises(InputError, match="until: is a condition on all realisations"):
        quietly(values, shared_out, shard="1/5", until="bias_mcse < 1")


@pytest.mark.parametrize("text", ["", "3", "0/5", "6/5", "a/b", "1/0", "-1/5", "1/5/2", "1.0/5"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(InputError, match="shard: "):
        Shard.parse(text)


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 9))
def test_shards_share_out_all_tasks_and_none_twice(cells, realizations, of):
    values = {
        "name": "many",
        "realizations": realizations,
        "mock": {
            "kind": "local-jeans-gaussian",
            "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
            "density": {"kind": "power-law", "slope": -3.5},
            "beta": {"kind": "constant", "beta": 0.3},
        },
        "survey": {"n_stars": 60},
        "estimators": [{"kind": "plugins:Good", "label": "good"}],
        "matrix": {"factors": {"survey.n_stars": [60 + k for k in range(cells)]}},
    }
    plan = make_plan(make_scenario(values))
    parts = [replace(plan, shard=Shard(k + 1, of)) for k in range(of)]
    tasks = [[(cell.label, i) for cell, i in part.tasks()] for part in parts]
    assert sorted(itertools.chain(*tasks)) == sorted((c.label, i) for c, i in plan.tasks())
    assert (
        [len(part) for part in parts]
        == [*map(len, tasks)]
        == dealt(description_of(plan), of).tolist()
    )
    assert estimator_runs(description_of(plan))["due"].sum() == len(plan)


def test_cells_of_other_sizes_are_all_due(values):
    scale = {"label": "scale", "path": "survey.distance_scale"}
    prior = {"kind": "normal", "mean": 1.0, "sd": 0.05}
    values["matrix"] = {
        "design": ["one-at-a-time", "joint"],
        "points": 5,
        "factor": [{**scale, "levels": [0.9, 1.0], "prior": prior}],
    }
    plan = make_plan(make_scenario(values))
    told = json.loads(json.dumps(description_of(plan)))
    assert estimator_runs(told)["due"].sum() == len(plan)
    assert dealt(told, 4).sum() == len(plan)


@pytest.mark.long
def test_killed_shards_go_on_and_nothing_is_lost(tmp_path, values, environment, undisturbed):
    """Six shards at once, each killed some time after its first results, then run again."""
    (tmp_path / "small.toml").write_text(_toml(values))
    command = [
        sys.executable,
        "-m",
        "haloassay",
        "run",
        "small.toml",
        "--out",
        "out",
        "-n",
        "8",
        "-j",
        "1",
    ]
    shards = [[*command, "--shard", f"{k}/3"] for k in (1, 2, 3)]
    running = [
        subprocess.Popen(c, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
        for c in shards
    ]
    for number, process in enumerate(running):
        folder = tmp_path / "out" / "shards" / f"{number + 1}-of-3" / "runs"
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline and not (folder.is_dir() and any(folder.iterdir())):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    for process in running:
        process.wait()
    for command in shards:
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    merged = merge([tmp_path / "out"], tmp_path / "out")
    assert len(merged.missing) == 0
    assert_equal(merged.results, undisturbed)


def _toml(values):
    from haloassay.planning.writing import toml_value

    lines = [f"{k} = {toml_value(v)}" for k, v in values.items()]
    return "\n".join(lines) + "\n"


#: Runs the jobs of an array one after another, as Slurm would run them at once.
SBATCH = """#!/bin/bash
range=${1#--array=1-}
for k in $(seq 1 "$range"); do
    SLURM_ARRAY_TASK_ID=$k SLURM_ARRAY_TASK_COUNT=$range bash "$2" || exit 1
done
"""


@pytest.mark.long
def test_the_script_of_the_documentation_runs_as_an_array(tmp_path, environment):
    page = Path(__file__).parents[2] / "docs" / "howto" / "shards.md"
    if not page.exists():
        pytest.skip("the documentation is not here")
    (script,) = re.findall(r"```bash\n(.*?)```", page.read_text(), flags=re.DOTALL)
    script = script.replace("bird2022-kgiants", "quickstart").replace("-n 1000", "-n 4")
    (tmp_path / "kgiants.sh").write_text(script)
    (tmp_path / "sbatch").write_text(SBATCH)
    folders = [Path(sys.executable).parent, *os.environ["PATH"].split(os.pathsep)]
    given = {**environment, "PATH": os.pathsep.join(map(str, folders))}
    command = ["bash", "sbatch", "--array=1-3", "kgiants.sh"]
    for _ in range(2):  # as somebody types it again
        subprocess.run(command, cwd=tmp_path, env=given, check=True, capture_output=True)
    merged = merge([tmp_path / "kgiants"], tmp_path / "kgiants")
    assert (merged.folders, len(merged.missing)) == (3, 0)
    assert merged.results.counts() == {"ok": 12}


def test_what_is_known_of_mocks_is_gathered_from_the_shards_that_made_them(tmp_path, values):
    """Two shards with a cell each; a stored population is known by who made it."""
    values["mock"] |= {"kind": "equilibrium", "potential": [values["mock"]["potential"]]}
    values["mock"]["population"] = {"size": 500}
    for number in (1, 2):
        quietly(values, tmp_path / "run", realizations=1, shard=f"{number}/2")
    told = merge([tmp_path / "run"], tmp_path / "all").results.description["cells"]
    known = [cell["mock"].get("population", 0) for cell in told]
    assert min(known) > 400


def test_a_catalogue_is_done_when_all_its_estimators_are(tmp_path, plan):
    fill(tmp_path / "out", plan, statuses=("ok", "timeout"))
    (part,) = status(tmp_path / "out").parts
    assert (part.done, part.due, part.statuses) == (0, 2 * N, {"ok": N, "timeout": N})
    assert part.state == "stopped"


def test_a_folder_that_is_given_twice_counts_once(tmp_path, shared_out):
    merged = merge(
        [shared_out, shared_out / ".", shared_out / "shards" / "1-of-5"], tmp_path / "all"
    )
    assert (merged.folders, merged.doubles) == (4, 0)
    (shared_out / "shards" / "1-of-5" / "run.json").unlink()
    with pytest.raises(InputError, match=r"1-of-5: its run.json is gone or damaged: run it again"):
        merge([shared_out], tmp_path / "again")


def test_shards_of_fewer_and_more_realisations_are_due_as_the_longer_run(tmp_path, values):
    """Also in a base cell that stands beside a design of points, which has more catalogues than the scenario says."""
    scale = {"label": "scale", "path": "survey.distance_scale", "levels": [0.9, 1.0]}
    prior = {"kind": "normal", "mean": 1.0, "sd": 0.05}
    values["matrix"] = {
        "design": ["one-at-a-time", "joint"],
        "factor": [{**scale, "prior": prior}],
    }
    few, more = (quietly(values, tmp_path / str(n), realizations=n).out for n in (2, 4))
    merged = merge([few, more], tmp_path / "all")
    assert len(merged.missing) == 0
    due = estimator_runs(merged.results.description)["due"].sum()
    assert due == len(merged.results.frame("runs")) == len(Results(more).frame("runs"))
