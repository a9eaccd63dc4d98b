"""Runs on a Dask cluster: the same bits as here, whatever happens to workers, scheduler and lines."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_scenario import SCENARIO

from haloassay.base import cache
from haloassay.base.errors import HaloassayError, InputError
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.engine.executors.cluster import link, place_of, roster
from haloassay.engine.executors.cluster.likeness import difference, versions
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.planning.scenario import make_scenario
from haloassay.planning.writing import to_toml
from haloassay.results.results import Results

if sys.platform == "linux":
    from clusters import Cluster, Proxy, children


@dataclass(frozen=True)
class Spoken(Estimator):
    """Dispersion of v_r, of a class that no worker can import, and that prints."""

    name = "spoken"
    reference = ""
    yields = ("sigma_r",)

    def estimate(self, catalogue, rng):
        print("spoken")
        spread = float(np.std(catalogue.spherical_velocity[:, 0])) + 1e-3 * rng.standard_normal()
        return Estimates([Estimate("sigma_r", spread, spread, spread, spread, spread)])


class Watch(Silent):
    """Says when some tasks are done."""

    def __init__(self):
        super().__init__()
        self.done = 0

    def advance(self, result):
        self.done += 1

    def after(self, number, then):
        """Do something once so many tasks are done."""

        def wait():
            while self.done < number:
                time.sleep(0.02)
            then()

        threading.Thread(target=wait, daemon=True).start()


def same(results, expected):
    """Whether two runs have the same rows but for seconds, bit for bit."""
    assert len(expected.frame("estimates")) > 0
    pd.testing.assert_frame_equal(
        results.frame("estimates"), expected.frame("estimates"), check_exact=True
    )
    runs = [r.frame("runs").drop(columns="seconds") for r in (results, expected)]
    pd.testing.assert_frame_equal(*runs)
    return True


# ------------------------------------------------------------------------------- without a cluster


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        ("here", r"unknown 'here' \(allowed: tcp://HOST:PORT, local, or slurm:FILE.toml"),
        ("slrum:a.toml", "did you mean 'slurm'"),
        ("tcp://host", "is no address"),
        ("pbs:absent.toml", "absent.toml: No such file"),
        ("slurm:", r"No such file|Is a directory"),
    ],
)
def test_a_scheduler_that_is_none_is_refused(scheduler, said):
    with pytest.raises(InputError, match=said):
        place_of(scheduler)


@pytest.mark.parametrize(("text", "said"), [("jobs = 0", "jobs: expected a whole"), ("=", "TOML")])
def test_settings_of_a_queue_are_read_before_anything_is_asked_for(tmp_path, text, said):
    (tmp_path / "queue.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        place_of(f"lsf:{tmp_path / 'queue.toml'}")


def test_a_setting_that_no_queue_has_is_refused_with_the_nearest(tmp_path, values):
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "queue.toml").write_text('corez = 1\nmemory = "1GB"')
    with pytest.raises(InputError, match=r"SLURMCluster has no 'corez'; did you mean 'cores'"):
        run(values, tmp_path / "out", scheduler=f"slurm:{tmp_path / 'queue.toml'}")
    assert not (tmp_path / "out").exists()


def test_where_there_is_no_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"no distributed here.*haloassay\[dask\]"):
        place_of("local")


def test_what_is_given_beside_a_scheduler_must_go_with_it(values, tmp_path):
    with pytest.raises(InputError, match="0 does all in this process"):
        run(values, tmp_path / "out", scheduler="tcp://host:1", workers=0)
    with pytest.raises(InputError, match=r"expected a distributed\.Client"):
        run(values, tmp_path / "out", client="tcp://host:1")
    assert not (tmp_path / "out").exists()


def test_versions_that_differ_are_named_and_no_others():
    there = {**versions(), "numpy": "1.0", "haloassay": "9", "source of haloassay": "another"}
    said = difference(versions(), there)
    assert said.startswith(f"haloassay 9, here {versions()['haloassay']}; numpy 1.0, here")
    assert "source" not in said
    assert "source" in difference(versions(), {**versions(), "source of haloassay": "another"})
    assert difference(versions(), dict(versions())) == ""


def test_files_of_a_cache_go_from_one_machine_to_another(tmp_path, monkeypatch):
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path / "here"))
    with cache.noting() as names:
        made = cache.cached(["a"], lambda: {"x": np.arange(3.0)})
    content = {name: cache.kept_bytes(name) for name in names}
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path / "there"))
    assert cache.not_kept(names) == tuple(names)
    for name, data in content.items():
        cache.take_over(name, data)
    assert cache.not_kept(names) == ()

    def again():
        raise AssertionError("made again")

    assert np.array_equal(cache.cached(["a"], again)["x"], made["x"])
    with pytest.raises(OSError, match="no name of a file"):
        cache.take_over("../a.npz", b"")


# ---------------------------------------------------------------------------------- with a cluster

cluster_test = pytest.mark.skipif(
    sys.platform != "linux", reason="kills processes that it finds in /proc"
)


@pytest.fixture(scope="module")
def with_path():
    """Environment of workers, which find the estimators of these tests."""
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    here = Path(__file__).parent
    folders = [str(here), str(here.parent), os.environ.get("PYTHONPATH")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, folders))}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, with_path):
    """A scheduler and two workers with nannies and caches of their own."""
    folder = tmp_path_factory.mktemp("cluster")
    with Cluster(folder, with_path) as cluster:
        cluster.caches = [folder / f"cache-{k}" for k in range(2)]
        cluster.nannies = [
            cluster.start_worker(threads=k + 1, HALOASSAY_CACHE=str(c))
            for k, c in enumerate(cluster.caches)
        ]
        yield cluster


@pytest.fixture(scope="module")
def undisturbed_long(tmp_path_factory):
    """Results of 60 tasks that idle, of one process."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    return run(idle(), out, workers=2, progress=Silent())


def idle(tasks=60, seconds=0.1):
    estimators = [
        {"kind": "plugins:Good", "label": "good", "seconds": seconds},
        {"kind": "plugins:Good", "label": "other"},
    ]
    return {**SCENARIO, "realizations": tasks // 2, "estimators": estimators}


@pytest.mark.long
@cluster_test
def test_faults_prints_and_classes_of_ones_own_come_out_as_in_this_process(
    tmp_path, values, cluster
):
    values |= {"realizations": 2, "timeout": 8.0, "matrix": {}}
    values["estimators"] = [
        {"kind": "plugins:Good", "label": "good"},
        *({"kind": "plugins:Bad", "label": how, "how": how} for how in ("hang", "kill", "raise")),
    ]
    expected = run(values, tmp_path / "here", workers=2, progress=Silent())
    assert same(
        run(values, tmp_path / "there", scheduler=cluster.address, progress=Silent()), expected
    )
    assert expected.counts() == {"ok": 2, "timeout": 2, "lost": 2, "failed": 2}
    values |= {"realizations": 4, "timeout": 60.0}
    expected = run(values, tmp_path / "own", workers=0, progress=Silent(), estimators=[Spoken])
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client:
        results = run(
            values, tmp_path / "sent", client=client, progress=Silent(), estimators=[Spoken]
        )
    for frame in (results.frame("estimates"), results.frame("runs")):
        assert len(frame) == 4
    assert same(results, expected)
    assert (tmp_path / "sent" / "log.txt").read_text() == "spoken\n" * 4


@pytest.mark.long
@cluster_test
def test_mocks_are_made_here_and_sent_to_each_cache(tmp_path, values, cluster, monkeypatch):
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path / "cache"))
    values["mock"] |= {"kind": "equilibrium", "beta": {"kind": "constant", "beta": 0.31}}
    values["mock"]["density"] = {"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17]}
    with cache.noting() as names:
        expected = run(values, tmp_path / "here", workers=0, progress=Silent())
    sent = []
    kept_bytes = cache.kept_bytes
    monkeypatch.setattr(cache, "kept_bytes", lambda name: sent.append(name) or kept_bytes(name))

    # so few tasks are done by the first worker that has the files, unless it waits for the other
    def all_or_none(self):
        members = list(self.members.values())
        return members if len(members) == 2 and all(m.state == "ready" for m in members) else []

    monkeypatch.setattr(roster.Roster, "ready", property(all_or_none))
    before = time.time()
    results = run(values, tmp_path / "there", scheduler=cluster.address, progress=Silent())
    assert same(results, expected)
    assert names
    assert sorted(sent) == sorted([*names, *names])  # once to each cache
    for folder in cluster.caches:
        kept = {path.name: path for path in folder.glob("*/*.npz")}
        assert names <= set(kept)
        # sent before any task was begun, and not made by tasks
        first = min(path.stat().st_mtime for path in (tmp_path / "there" / "runs").iterdir())
        assert all(before < kept[name].stat().st_ctime < first for name in names)


@pytest.mark.long
@cluster_test
def test_workers_killed_at_random_cost_nothing(tmp_path, cluster, undisturbed_long):
    watch, rng, killed = Watch(), np.random.default_rng(3), []

    def kill():
        for pid in children(rng.choice(cluster.nannies).pid):
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    for tasks in (5, 20, 40):
        watch.after(tasks, kill)
    results = run(idle(), tmp_path / "out", scheduler=cluster.address, progress=watch)
    assert len(killed) >= 3
    assert same(results, undisturbed_long)


@pytest.mark.long
@cluster_test
def test_a_scheduler_has_few_of_the_tasks_at_any_time_in_groups(tmp_path, values, cluster):
    from distributed import Client

    class Asking(Watch):
        def advance(self, result):
            super().advance(result)
            if self.done % 20 == 0:
                held = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
                self.most = max(self.most, held)

    with Client(cluster.address, set_as_default=False) as client:
        watch = Asking()
        watch.most = 0
        values |= {"realizations": 150}
        run(values, tmp_path / "out", client=client, progress=watch)
        assert watch.done == 300
        submitted = client.run_on_scheduler(
            lambda dask_scheduler: dask_scheduler.task_prefixes["haloassay"].state_counts[
                "released"
            ]
        )
    assert 0 < watch.most <= 2 * 3
    assert submitted < 300


@pytest.mark.long
@cluster_test
@pytest.mark.parametrize("hold", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_line_that_is_cut_is_mended(tmp_path, cluster, undisturbed_long, hold):
    watch, proxy = Watch(), Proxy(cluster.port)
    watch.after(10, lambda: proxy.cut(3.0, hold))
    results = run(idle(), tmp_path / "out", scheduler=proxy.address, progress=watch)
    assert same(results, undisturbed_long)
    assert hold or any("again" in line for line in watch.lines)


@pytest.mark.long
@cluster_test
def test_a_worker_that_hangs_is_relieved(tmp_path, cluster, undisturbed_long, monkeypatch):
    from haloassay.engine.executors.cluster import crew

    monkeypatch.setattr(crew, "_LATE", 1.0)
    watch, stopped = Watch(), []

    def stop():
        stopped.extend(children(cluster.nannies[0].pid))
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)

    watch.after(10, stop)
    try:
        results = run(idle(), tmp_path / "out", scheduler=cluster.address, progress=watch)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert same(results, undisturbed_long)


@pytest.mark.long
@cluster_test
def test_a_scheduler_that_is_gone_ends_the_run_and_the_same_command_goes_on(
    tmp_path, with_path, undisturbed_long, monkeypatch
):
    monkeypatch.setattr(link, "PATIENCE", 1.0)
    watch = Watch()
    with Cluster(tmp_path / "cluster", with_path) as cluster:
        cluster.start_worker()
        watch.after(10, lambda: os.killpg(cluster.scheduler.pid, signal.SIGKILL))
        with pytest.raises(HaloassayError, match="is gone; finished work is kept"):
            run(idle(), tmp_path / "out", scheduler=cluster.address, progress=watch)
        done = Results(tmp_path / "out").counts()["ok"] // 2
        assert 10 <= done < 60
        cluster.start_scheduler()
        cluster.start_worker(nanny=False)
        results = run(idle(), tmp_path / "out", scheduler=cluster.address, progress=watch)
    assert watch.done == 60
    assert same(results, undisturbed_long)


@pytest.mark.long
@cluster_test
def test_other_versions_are_refused_before_anything_is_written_or_given_nothing(
    tmp_path, with_path, undisturbed_long
):
    other = tmp_path / "other" / "emcee-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: emcee\nVersion: 0.0.1\n")
    path = os.pathsep.join([str(other.parent), with_path["PYTHONPATH"]])
    watch = Watch()
    with Cluster(tmp_path / "cluster", with_path) as cluster:
        another = cluster.start_worker(PYTHONPATH=path)
        wait_for_workers(cluster, 1)
        with pytest.raises(InputError, match=r"has other versions.*emcee 0\.0\.1, here"):
            run(idle(), tmp_path / "out", scheduler=cluster.address, progress=watch)
        assert not (tmp_path / "out").exists()
        run(idle(4), tmp_path / "so", None, progress=watch, scheduler=cluster.address,
            allow_versions=True)  # fmt: skip
        assert any("emcee 0.0.1" in line for line in watch.lines)
        os.killpg(another.pid, signal.SIGKILL)
        cluster.start_worker()
        wait_for_workers(cluster, 1)
        watch = Watch()
        watch.after(5, lambda: cluster.start_worker(PYTHONPATH=path))
        watch.after(40, lambda: cluster.start_worker())
        results = run(idle(), tmp_path / "out", scheduler=cluster.address, progress=watch)
    assert same(results, undisturbed_long)


@pytest.mark.long
@cluster_test
def test_where_no_worker_is_the_run_says_so_and_ctrl_c_ends_it(tmp_path, values, with_path):
    assert roster._LONELY < 10.0
    (tmp_path / "small.toml").write_text(to_toml(make_scenario(values)))
    with Cluster(tmp_path / "cluster", with_path) as cluster:
        words = ["run", "small.toml", "--out", "out", "--scheduler", cluster.address]
        process = subprocess.Popen(
            [sys.executable, "-m", "haloassay", *words],
            env=with_path,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = next(line for line in process.stderr if "no worker at" in line)
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60.0)[1]
    assert "Ctrl-C ends the run" in line
    assert process.returncode == 130
    assert rest.splitlines()[-1].endswith("finished work is kept, run again to go on")


@pytest.mark.long
@cluster_test
def test_workers_come_from_a_queue(tmp_path, with_path, undisturbed_long, monkeypatch):
    """A stand-in for Slurm starts jobs as processes of this machine."""
    pytest.importorskip("dask_jobqueue", reason="the extra dask is not installed")
    commands = {
        "sbatch": 'for last; do :; done\ncp "$last" "$JOBS/script"\n'
        'setsid bash "$JOBS/script" >"$JOBS/log" 2>&1 &\necho "Submitted batch job $!"',
        "scancel": 'for last; do :; done\necho "$last" >>"$JOBS/cancelled"\nkill -- "-$last"',
    }
    for name, text in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("JOBS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", with_path["PYTHONPATH"])
    (tmp_path / "queue.toml").write_text(
        'jobs = 2\ncores = 1\nmemory = "1GB"\nqueue = "short"\nwalltime = "00:10:00"\n'
    )
    scheduler = f"slurm:{tmp_path / 'queue.toml'}"
    results = run(idle(), tmp_path / "out", scheduler=scheduler, progress=Silent())
    assert same(results, undisturbed_long)
    assert "#SBATCH -p short" in (tmp_path / "script").read_text()
    assert len((tmp_path / "cancelled").read_text().split()) == 2


@pytest.mark.long
@cluster_test
def test_rounds_share_a_cluster_of_this_machine(tmp_path, values, with_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", with_path["PYTHONPATH"])
    watch = Watch()
    results = run(
        {**values, "matrix": {}},
        tmp_path / "out",
        workers=1,
        progress=watch,
        scheduler="local",
        until="n >= 40",
        at_most=60,
    )
    assert results.counts()["ok"] >= 40
    schedulers = {line.split(";")[0] for line in watch.lines if "Dask: scheduler" in line}
    assert len(schedulers) == 1


def wait_for_workers(cluster, number):
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client:
        client.wait_for_workers(number, timeout=60)
