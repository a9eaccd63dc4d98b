"""Where the time of one task goes, beside the cost of its random numbers alone, and its kernels beside a roofline.

Run with ``python benchmarks/kernels.py [SCENARIO ...]``; ``--before FOLDER`` measures another version of the package in
turn with this one, installed there with ``pip install --target``. Seconds are of the processor, of one thread, the
median of several realisations of one cell with all caches warm; each turn has a process of its own. The numbers that
stars and estimators draw are counted, with one try for each orbit, and drawn again by numpy's ``Generator`` alone. The
roofline of a kernel is the longest of three times: its bytes at the bandwidth of a copy, its multiplications and
additions at the rate of a loop that does nothing else, its logarithms, cosines and roots at the rate of ``np.log``.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

#: Scenarios, and which of their cells is taken.
CELLS = {
    "quickstart": 0,
    "bird2022-kgiants": 1,
    "li2026-velocities": 0,
    "li2026-dipole": 2,
    "lmc-tracer-mass": 11,
}
#: Numbers that have been drawn.
DRAWN = {"uniform": 0, "normal": 0, "orbit": 0}


def counted(of: Callable[..., Any], kind: str) -> Callable[..., Any]:
    """Count what a function draws."""

    def count(*args: Any, **kwargs: Any) -> Any:
        out = of(*args, **kwargs)
        DRAWN[kind] += np.size(out)
        return out

    return count


class Counting(np.random.Generator):
    """A generator that counts what is drawn from it, and from those it spawns."""


for _name in ("random", "uniform", "standard_normal", "chisquare"):
    _kind = "uniform" if _name in ("random", "uniform") else "normal"
    setattr(Counting, _name, counted(getattr(np.random.Generator, _name), _kind))


def count_stars() -> None:
    """Let deviates of stars be counted, too: they do not come from a generator."""
    from haloassay.mocks.equilibria import orbits
    from haloassay.mocks.uniforms import Uniforms

    Uniforms.uniforms = counted(Uniforms.uniforms, "uniform")  # type: ignore[method-assign]
    Uniforms.normals = counted(Uniforms.normals, "normal")  # type: ignore[method-assign]
    orbits._draw = counted(orbits._draw, "orbit")


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Add the seconds of the processor of what is done inside to those of a part."""
    start = time.process_time()
    yield
    seconds[part] = seconds.get(part, 0.0) + time.process_time() - start


def watched(mock: Any, seconds: dict[str, float]) -> Any:
    """Mock whose sampler is timed."""
    twin = copy.copy(mock)

    def sampler(rng: Any) -> Callable[[int], Any]:
        draw = mock.sampler(rng)

        def some(n: int) -> Any:
            with timed(seconds, "mock"):
                return draw(n)

        return some

    object.__setattr__(twin, "sampler", sampler)
    return twin


def task_parts(plan: Any, cell: Any, k: int, generator: Any) -> dict[str, float]:
    """Seconds of the parts of one task; ``generator`` makes the estimators' one of a seed."""
    from haloassay.contracts.quantities import QUANTITIES
    from haloassay.engine import task as engine
    from haloassay.estimators import make_estimator
    from haloassay.results.store import Store

    seed, seconds = plan.scenario.seed, {"mock": 0.0}
    mock = engine.mock_of(json.dumps(cell.mock), engine.history_seed(seed, k))
    survey = engine._survey(json.dumps(cell.survey))
    streams = engine.stream(seed, "population", k), engine.stream(seed, "survey", k)
    with timed(seconds, "survey"):
        observation = survey.observe(watched(mock, seconds), *streams)
    seconds["survey"] -= seconds["mock"]
    observation = engine._sound(observation)
    for method in cell.methods:
        estimator = make_estimator(method.spec)
        with timed(seconds, method.label):
            rows = estimator.estimate(observation.catalogue, generator([seed, k]))
        with timed(seconds, "truth"):
            for row in rows:
                engine._row(row, QUANTITIES[row.quantity], mock.truth, observation)
    known = sum(seconds.values())
    with timed(seconds, "task"):
        result = engine.run_task(engine.Task(cell, k, seed, cell.methods))
    seconds["rest"] = seconds["task"] - known
    with (
        tempfile.TemporaryDirectory() as out,
        Store.open(Path(out) / "run", plan, say=lambda _: None) as store,
        timed(seconds, "storing"),
    ):
        store.checkpoint_all([result])
    return seconds


def scenario_parts(name: str) -> dict[str, float]:
    """Medians of :func:`task_parts`, and seconds of as many random numbers, in this process."""
    from haloassay.planning.plan import make_plan
    from haloassay.planning.scenario import load_scenario

    plan, usual = make_plan(load_scenario(name)), np.random.default_rng
    cell = plan.cells[CELLS[name]]
    task_parts(plan, cell, 0, usual)  # compiles
    found = [task_parts(plan, cell, k, usual) for k in range(1, 8)]
    parts = {part: statistics.median(each[part] for each in found) for part in found[0]}
    count_stars()
    task_parts(plan, cell, 1, lambda seed: Counting(np.random.PCG64(seed)))
    drawn, rng = dict(DRAWN), usual(0)
    drawn["uniform"] += 7 * drawn["orbit"] // 3  # three numbers come out, of seven that go in
    parts["random numbers alone"] = best(lambda: rng.random(drawn["uniform"]))
    parts["random numbers alone"] += best(lambda: rng.standard_normal(drawn["normal"]))
    return parts


def best(work: Callable[[], Any], repeats: int = 15) -> float:
    """Least seconds of the processor, after a first time."""
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times[1:])


def kernels(n: int) -> dict[str, tuple[float, float]]:
    """Seconds a star, and those of the roofline, of the loops that tasks spend most in, on ``n`` stars."""
    import numba

    from haloassay.estimators.fit import ellipsoid, likelihoods, linear_field
    from haloassay.mocks.uniforms import Uniforms

    @numba.njit(fastmath=True)
    def multiply_add(a, n):  # type: ignore[no-untyped-def]
        for _ in range(n):
            for i in range(len(a)):
                a[i] = a[i] * 0.999 + 0.001

    rng = np.random.default_rng(1)
    large, other, x = np.ones(2**24), np.empty(2**24), rng.uniform(1.0, 2.0, n)
    byte = best(lambda: np.copyto(other, large), 5) / (16 * len(large))
    multiply_add(np.ones(64), 1)
    flop = best(lambda: multiply_add(large[:64], 100_000)) / (2 * 64 * 100_000)
    special = best(lambda: np.log(x)) / n
    v, S = 100.0 * rng.standard_normal((n, 3)), np.tile(400.0 * np.eye(3), (n, 1, 1))
    X, points = rng.standard_normal((n, 2, 6)), np.exp(rng.normal(4.6, 0.02, (2000, 2)))
    channel = linear_field.Channel(v[:, :2], X, S[:, :2, :2])
    nodes, star = np.exp(rng.normal(4.6, 0.1, (81, 2))), np.arange(n)
    Sigma, uniforms, one = np.diag([2e4, 1e4, 1e4]), Uniforms(1), v[:, 0].copy()
    score, products = ellipsoid._score, ellipsoid._score_products
    exact, at_nodes = likelihoods.gaussian_log_likelihood, likelihoods.gaussian_log_likelihoods
    # bytes, multiplications and additions, logarithms and the like a star
    todo: dict[str, tuple[Callable[[], Any], float, float, float]] = {
        "ellipsoid: likelihood and score": (lambda: score(v, S, v[0], Sigma), 96, 240, 1),
        "ellipsoid: products of scores": (lambda: products(v, S, v[0], Sigma), 96, 160, 0),
        "field: sums at 81 nodes": (lambda: linear_field.sums(channel, nodes), 704, 81 * 178, 81),
        "Gaussian: 2000 points": (lambda: exact(one, x, points), 16, 2000 * 6, 500),
        "Gaussian: 2000 points, nodes": (lambda: at_nodes(one, x, points), 16, 72, 9),
        "three normal deviates": (lambda: uniforms.normals("v", star, 3), 32, 48, 8),
    }
    spent = {name: (best(work) / n, *rest) for name, (work, *rest) in todo.items()}
    return {k: (t, max(a * byte, b * flop, c * special)) for k, (t, a, b, c) in spent.items()}


def child(name: str, packages: str | None) -> Any:
    """Return :func:`scenario_parts` of a process of its own and of one version of the package."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    settings = os.environ | one | ({"PYTHONPATH": packages} if packages else {})
    command = [sys.executable, __file__, "--one", name]
    done = subprocess.run(command, env=settings, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def print_scenario(name: str, turns: int, before: str | None) -> None:
    """Rows of the table of one scenario."""
    versions = ({"before": before} if before else {}) | {"now": None}
    found: dict[str, list[dict[str, float]]] = {version: [] for version in versions}
    for _ in range(turns):
        for version, packages in versions.items():
            found[version].append(child(name, packages))
    whole = statistics.median(each["task"] for each in found["now"])
    for part in found["now"][0]:
        middle = [statistics.median(each[part] for each in of) for of in found.values()]
        cells = [f"{1e3 * seconds:.3g}" for seconds in middle]
        if before:
            pairs = zip(found["before"], found["now"], strict=True)
            cells.append(f"{statistics.median(b[part] / n[part] for b, n in pairs):.2g}")
        cells.append(f"{100.0 * middle[-1] / whole:.0f}")
        print(f"| {name} | {part} | {' | '.join(cells)} |", flush=True)
        name = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", default=[*CELLS])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--loops", action="store_true", help="the table of the loops alone")
    parser.add_argument("--before")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(scenario_parts(given.one)))
        return
    if not given.loops:
        print_scenarios(given.scenarios, given.turns, given.before)
    print("<!-- python benchmarks/kernels.py --loops -->\n")
    print(
        "| kernel | ns a star | roofline | times it | of 300 stars a call |\n|---|---|---|---|---|"
    )
    few = kernels(300)
    for name, (spent, roof) in kernels(3000).items():
        there = 1e9 * few[name][0]
        print(
            f"| {name} | {1e9 * spent:.0f} | {1e9 * roof:.0f} | {spent / roof:.2g} | {there:.0f} |"
        )


def print_scenarios(names: list[str], turns: int, before: str | None) -> None:
    """Print the table of parts of tasks."""
    print("<!-- python benchmarks/kernels.py -->\n")
    columns = "before [ms] | now [ms] | ratio" if before else "[ms]"
    print(f"| scenario | part | {columns} | % |")
    print("|" + "---|" * (columns.count("|") + 4))
    for name in names:
        print_scenario(name, turns, before)
    print()


if __name__ == "__main__":
    main()
