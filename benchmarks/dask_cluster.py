"""Runs on a Dask cluster beside the process pool, and what faults cost: ``python benchmarks/dask_cluster.py``.

``efficiency`` has tasks that idle for 0.05, 0.3 and 3 s, on pools and clusters of the same number of workers in turns;
they leave the processors to what is measured, the engine's own work, and to others. ``faults`` kills workers, stops,
cuts off and starves them, and compares all rows with those of an undisturbed run. ``sets`` says what instruction sets
change. Tables go to docs/measured.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "engine"), str(ROOT / "tests")]

from clusters import Cluster, Proxy, children  # noqa: E402
from small_scenario import SCENARIO  # noqa: E402

from haloassay.base.errors import HaloassayError  # noqa: E402
from haloassay.engine.progress import Silent  # noqa: E402
from haloassay.engine.runner import run  # noqa: E402

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[:2])}
#: Seconds of a task, and how many there are.
LENGTHS = {0.05: 300, 0.3: 80, 3.0: 12}
WORKERS = (1, 2, 4)


class Watch(Silent):
    """Progress that notes when results came."""

    def __init__(self, verbose: bool = False) -> None:
        super().__init__()
        self.arrivals: list[float] = []
        self.verbose = verbose

    def advance(self, result: Any) -> None:
        """Note the time."""
        self.arrivals.append(time.monotonic())

    def say(self, line: str) -> None:
        """Keep the line, and show it where wanted."""
        super().say(line)
        if self.verbose:
            print("   ", line, flush=True)

    warn = say

    def each(self, workers: int) -> float:
        """Seconds that a worker takes for a task, from the first results on: without what it takes to start."""
        first = self.arrivals[0]
        late = [t for t in self.arrivals if t > first + 0.05]
        return workers * (late[-1] - first) / len(late)


def scenario(tasks: int, seconds: float) -> dict[str, Any]:
    """Two estimators on small catalogues, of which one idles."""
    values = copy.deepcopy(SCENARIO)
    values["realizations"] = tasks // 2
    values["estimators"][0]["seconds"] = seconds
    values["estimators"].append({"kind": "plugins:Good", "label": "other"})
    return values


def rows(out: Path, what: str) -> Any:
    """All rows of a run but their seconds, in order."""
    table = pyarrow.dataset.dataset(out / what, exclude_invalid_files=True).to_table().to_pandas()
    table = table.drop(columns="seconds", errors="ignore")
    order = [
        name
        for name in ("cell", "realization", "estimator", "quantity", "bin")
        if name in table.columns
    ]
    return table.sort_values(order).reset_index(drop=True)


def equal(one: Path, other: Path) -> bool:
    """Whether two runs have the same rows, to the last bit."""
    return all(rows(one, what).equals(rows(other, what)) for what in ("estimates", "runs"))


# -------------------------------------------------------------------------------------- efficiency


def efficiency(folder: Path) -> list[str]:
    """Measure how much of the workers' time is the tasks' own, on pools and on clusters."""
    lines = [
        "| idle | workers | task | pool | Dask | efficiency, pool | Dask | more than the pool | bits |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for seconds, tasks in LENGTHS.items():
        values = scenario(tasks, seconds)
        plain = folder / f"plain-{seconds}"
        before = time.process_time()
        run(values, plain, workers=0, progress=Watch())
        own = seconds + (time.process_time() - before) / tasks
        for workers in WORKERS:
            pool, dask = Watch(), Watch()
            name = f"{seconds}-{workers}"
            hosts = Watch()
            run(values, folder / f"pool-{name}", workers=workers, progress=pool)
            runs = {str(workers): (folder / f"dask-{name}", dask)}
            on_dask(values, folder / f"dask-{name}", workers, dask)
            if workers == 2:
                on_dask(values, folder / f"hosts-{name}", workers, hosts, own_caches=True)
                runs["2 hosts"] = (folder / f"hosts-{name}", hosts)
            for label, (out, watch) in runs.items():
                same = "equal" if equal(plain, out) else "DIFFERENT"
                lines.append(f"{row(seconds, label, own, pool, watch, workers)} {same} |")
                print(lines[-1], flush=True)
    return lines


def row(seconds: float, name: str, own: float, pool: Watch, dask: Watch, workers: int) -> str:
    a, b = pool.each(workers), dask.each(workers)
    return (
        f"| {seconds:g} s | {name} | {own:.3f} s | {a:.3f} s | {b:.3f} s | {own / a:.0%} | {own / b:.0%} |"
        f" {1e3 * (b - a):+.0f} ms |"
    )


def on_dask(
    values: dict[str, Any], out: Path, workers: int, watch: Watch, own_caches: bool = False
) -> None:
    """Run on a new cluster of workers of one thread, with a cache each where they stand for hosts."""
    with Cluster(Path(f"{out}-cluster"), ENVIRONMENT) as cluster:
        for k in range(workers):
            own = {"HALOASSAY_CACHE": f"{out}-cache-{k}"} if own_caches else {}
            cluster.start_worker(**own)
        wait_for_workers(cluster, workers)
        run(values, out, scheduler=cluster.address, progress=watch)


def wait_for_workers(cluster: Cluster, workers: int) -> None:
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=120)


# ------------------------------------------------------------------------------------------- faults

Disturb = Callable[[Cluster, list[Any], Watch], str]


def after(watch: Watch, tasks: int) -> None:
    """Wait until so many tasks are done."""
    while len(watch.arrivals) < tasks:
        time.sleep(0.05)


def kill_nanny(cluster: Cluster, workers: list[Any], watch: Watch) -> str:
    after(watch, 20)
    os.killpg(workers[0].pid, signal.SIGKILL)
    after(watch, 40)
    cluster.start_worker()
    return "a worker and its nanny killed; later another joins"


def restart_scheduler(cluster: Cluster, workers: list[Any], watch: Watch) -> str:
    after(watch, 20)
    os.killpg(cluster.scheduler.pid, signal.SIGKILL)
    time.sleep(3.0)
    cluster.start_scheduler()
    cluster.start_worker()
    return "the scheduler killed, and started again after 3 s"


def slow(cluster: Cluster, workers: list[Any], watch: Watch) -> str:
    after(watch, 10)
    stopped = children(workers[0].pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(30.0)
    for pid in stopped:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGCONT)
    return "a worker stopped for 30 s"


def cut(proxy: Proxy, hold: bool, who: str, watch: Watch) -> str:
    after(watch, 20)
    proxy.cut(30.0, hold)
    how = "held back" if hold else "cut"
    return f"the line between {who} and scheduler {how} for 30 s"


def disturbed(
    folder: Path, name: str, values: dict[str, Any], disturb: Disturb, workers: int = 2
) -> str:
    """Run, disturb, compare; a line of the table."""
    watch = Watch(verbose=True)
    told: list[str] = []
    with Cluster(folder / f"{name}-cluster", ENVIRONMENT) as cluster:
        started = [cluster.start_worker() for _ in range(workers)]
        wait_for_workers(cluster, workers)
        thread = threading.Thread(
            target=lambda: told.append(disturb(cluster, started, watch)), daemon=True
        )
        thread.start()
        start = time.monotonic()
        run(values, folder / name, scheduler=cluster.address, progress=watch)
        seconds = time.monotonic() - start
        thread.join(60.0)
    return verdict(folder, name, told[0], seconds)


def verdict(folder: Path, name: str, told: str, seconds: float) -> str:
    same = "equal" if equal(folder / name, folder / "undisturbed") else "DIFFERENT"
    line = f"| {told} | {seconds:.0f} s | {same} |"
    print(line, flush=True)
    return line


def cut_off(folder: Path, values: dict[str, Any], who: str, hold: bool) -> str:
    """Run with a line that is cut."""
    name, watch, told = f"cut-{who}-{hold}", Watch(verbose=True), []
    with Cluster(folder / f"{name}-cluster", ENVIRONMENT) as cluster:
        proxy = Proxy(cluster.port)
        cluster.start_worker(address=proxy.address if who == "a worker" else None)
        cluster.start_worker()
        wait_for_workers(cluster, 2)
        thread = threading.Thread(
            target=lambda: told.append(cut(proxy, hold, who, watch)), daemon=True
        )
        thread.start()
        start = time.monotonic()
        address = proxy.address if who == "run" else cluster.address
        run(values, folder / name, scheduler=address, progress=watch)
        seconds = time.monotonic() - start
        thread.join(60.0)
    return verdict(folder, name, told[0], seconds)


def resumed(folder: Path, values: dict[str, Any]) -> str:
    """Kill the scheduler for good, and run again on another one."""
    out, watch, said = folder / "resumed", Watch(verbose=True), []
    start = time.monotonic()
    with Cluster(folder / "resumed-cluster", ENVIRONMENT) as cluster:
        cluster.start_worker()

        def kill() -> None:
            after(watch, 30)
            os.killpg(cluster.scheduler.pid, signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()
        try:
            run(values, out, scheduler=cluster.address, progress=watch)
        except HaloassayError as error:
            said.append(str(error))
        cluster.start_scheduler()
        cluster.start_worker()
        run(values, out, scheduler=cluster.address, progress=Watch(verbose=True))
    assert "run again to go on" in said[0]
    told = (
        f"the scheduler killed for good after {len(watch.arrivals)} tasks, run again on a new one"
    )
    return verdict(folder, "resumed", told, time.monotonic() - start)


def full_disk(folder: Path, values: dict[str, Any]) -> str:
    """Let a worker have no room for anything."""
    values = exact(values)
    run(values, folder / "undisturbed-exact", workers=1, progress=Watch())
    start = time.monotonic()
    with Cluster(folder / "full-cluster", ENVIRONMENT) as cluster:
        cluster.start_worker(HALOASSAY_CACHE="/proc/full", TMPDIR="/proc/full")
        cluster.start_worker(HALOASSAY_CACHE=str(folder / "full-cache"))
        wait_for_workers(cluster, 2)
        run(values, folder / "full", scheduler=cluster.address, progress=Watch(verbose=True))
    same = "equal" if equal(folder / "full", folder / "undisturbed-exact") else "DIFFERENT"
    told = "a worker that can write neither cache nor temporary files"
    line = f"| {told} | {time.monotonic() - start:.0f} s | {same} |"
    print(line, flush=True)
    return line


def exact(values: dict[str, Any]) -> dict[str, Any]:
    """Give a scenario a mock that is solved first, and kept."""
    values = copy.deepcopy(values)
    values["mock"]["kind"] = "equilibrium"
    values["mock"]["density"] = {
        "kind": "broken-power-law",
        "slopes": [-2.8, -4.6],
        "breaks": [17.0],
    }
    return values


def killed(folder: Path, kills: int) -> str:
    """Kill workers at random, run after run, until so many have been killed."""
    values = scenario(1200, 0.15)
    run(values, folder / "undisturbed-long", workers=4, progress=Watch())
    rng, number, tasks, counts = random.Random(16), 0, 0, []
    start = time.monotonic()
    with Cluster(folder / "kill-cluster", ENVIRONMENT) as cluster:
        nannies = [cluster.start_worker() for _ in range(4)]
        wait_for_workers(cluster, 4)
        while sum(counts) < kills:
            out, over = folder / f"kill-{number}", threading.Event()
            counts.append(0)
            thread = threading.Thread(
                target=kill_some, args=(nannies, rng, over, counts, kills), daemon=True
            )
            thread.start()
            watch = Watch()
            run(values, out, scheduler=cluster.address, progress=watch)
            over.set()
            thread.join()
            assert equal(out, folder / "undisturbed-long"), out
            number, tasks = number + 1, tasks + len(watch.arrivals)
            print(f"    {sum(counts)} kills, {tasks} tasks, all equal", flush=True)
    told = (
        f"{sum(counts)} workers of 4 killed at random in {number} runs; their nannies restart them"
    )
    return f"| {told} | {time.monotonic() - start:.0f} s | equal |"


def kill_some(
    nannies: list[Any], rng: random.Random, over: threading.Event, counts: list[int], kills: int
) -> None:
    """Kill a worker that works, as long as another one does, too."""
    while not over.is_set() and sum(counts) < kills:
        time.sleep(rng.uniform(0.2, 1.0))
        at_work = [
            pid
            for nanny in nannies
            for pid in children(nanny.pid)
            if any(is_running(child) for child in children_of(pid))
        ]
        if len(at_work) > 1:
            with contextlib.suppress(OSError):
                os.kill(rng.choice(at_work), signal.SIGKILL)
                counts[-1] += 1


def children_of(pid: int) -> list[int]:
    try:
        return children(pid)
    except OSError:
        return []


def is_running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
    return False


def faults(folder: Path, kills: int) -> list[str]:
    """Try each fault."""
    values = scenario(200, 0.15)
    run(values, folder / "undisturbed", workers=1, progress=Watch())
    tries: list[Callable[[], str]] = [
        functools.partial(disturbed, folder, "nanny", values, kill_nanny),
        functools.partial(disturbed, folder, "scheduler", values, restart_scheduler),
        functools.partial(resumed, folder, values),
        *(
            functools.partial(cut_off, folder, values, who, hold)
            for who in ("run", "a worker")
            for hold in (False, True)
        ),
        functools.partial(disturbed, folder, "slow", values, slow),
        functools.partial(full_disk, folder, scenario(40, 0.05)),
        functools.partial(killed, folder, kills),
    ]
    return ["| fault | whole run | rows |", "|---|---|---|", *(each() for each in tries)]


# ----------------------------------------------------------------------------------- instruction sets

#: Variables that keep each library from the instructions that not all processors have.
SETS = {
    "compiled code": {"NUMBA_CPU_NAME": "generic"},
    "numpy": {
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL"
        " AVX512_ICL AVX512_SPR"
    },
    "OpenBLAS": {"OPENBLAS_CORETYPE": "Nehalem"},
    "the C library": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA"},
}


def instruction_sets(folder: Path) -> list[str]:
    """Run three catalogues of quickstart without FMA and AVX in one library after another, and in all."""
    tries = {
        "none": {},
        **SETS,
        "all four": {k: v for each in SETS.values() for k, v in each.items()},
    }
    values = {}
    for name, variables in tries.items():
        out = folder / name
        words = ("run", "quickstart", "--out", str(out), "-n", "3", "-j", "1", "--no-report")
        subprocess.run(
            [sys.executable, "-m", "haloassay", *words],
            env={**os.environ, **variables},
            check=True,
            capture_output=True,
        )
        values[name] = rows(out, "estimates")["value"].to_numpy()
        print(name, flush=True)
    lines = ["| without FMA and AVX in | numbers that differ | at most by |", "|---|---|---|"]
    base = values.pop("none")
    for name, other in values.items():
        differ = ~((base == other) | (np.isnan(base) & np.isnan(other)))
        most = np.max(np.abs(other / base - 1.0)[differ], initial=0.0)
        lines.append(f"| {name} | {differ.sum()} of {len(base)} | {most:.0e} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("efficiency", "faults", "sets"))
    parser.add_argument("--kills", type=int, default=200)
    options = parser.parse_args()
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory(prefix="haloassay-") as name:
        folder = Path(name)
        if options.what == "efficiency":
            lines, file = efficiency(folder), "dask.md"
        elif options.what == "faults":
            lines, file = faults(folder, options.kills), "dask-faults.md"
        else:
            lines, file = instruction_sets(folder), "instruction-sets.md"
    load.append(os.getloadavg()[0])
    about = f"{os.cpu_count()} processors, load of others and this {statistics.mean(load):.0f}"
    text = "\n".join([f"<!-- python benchmarks/dask_cluster.py {options.what} -->", "", *lines])
    (ROOT / "docs" / "measured" / file).write_text(f"{text}\n\n{about}.\n")


if __name__ == "__main__":
    main()
