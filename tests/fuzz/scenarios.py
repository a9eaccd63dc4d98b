"""Mutated scenarios: each is a plan, or refused in one line; all else is a fault, told with its seed.

``python tests/fuzz/scenarios.py --n 1000 --seed 0 --solve 100 --runs 20`` loads 1000 (all settings read, cells
expanded, priors tried), solves the mocks of 100 and runs 20; ``--n 1 --seed S`` is one.
"""

import argparse
import contextlib
import copy
import random
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections import Counter
from pathlib import Path

from haloassay import scenarios
from haloassay.base.errors import HaloassayError
from haloassay.base.text import printable
from haloassay.engine.preparation import prepared
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import load_scenario, make_scenario

#: Seconds that loading one may take.
LIMIT = 60

#: Values that no setting expects.
VALUES = (
    *(0, 1, -1, 2, 3, 7, 10**10, -(10**10), 2**63, 2**64, 10**30, 10**399, 10**5000),
    *(0.0, -0.0, 1e-299, -1e308, 1e308, 5e-324, 0.5, -3.5, 10.0, 1.0, 90.0, 1e6, 1e-9),
    *(float("inf"), float("-inf"), float("nan"), True, False, "", "all", "none", "\x1b[31m"),
    *("nfw", "perfect", "table", "power-law", "a" * 300, "\u03b2", "no.such:Class", "os:getcwd"),
    *("sys:exit", "json:JSONDecoder", [], [[]], {}, [1], [1.0, 2.0], [2.0, 1.0], [0.0, 1.0]),
    *([1e-300, 1e300], [float("nan")], ["x"], {"kind": "nfw"}, {"kind": ""}, {"kind": 7}, [{}]),
    *({"a": {"b": {"c": 1}}}, [1.0] * 50, [5.0, 20.0, 40.0, 80.0], None),
)
#: Keys that are put in.
KEYS = (
    "kind",
    "label",
    "preset",
    "n_stars",
    "bins",
    "alpha",
    "beta",
    "c",
    "m200",
    "x",
    "",
    "a.b",
    "feh",
    "lmc",
)


def _places(value, path=()):
    """Paths of all that stands in plain values."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield (*path, key)
        yield from _places(item, (*path, key))


def _mutate(values, rng):
    """Change one place: another value, a factor, a deletion, a new key, a copy of something from elsewhere."""
    if not values:  # nothing is left
        return
    path = rng.choice([*_places(values)])
    *above, key = path
    table = values
    for step in above:
        table = table[step]
    what = rng.random()
    if what < 0.45:
        table[key] = copy.deepcopy(rng.choice(VALUES))
    elif what < 0.6 and isinstance(table[key], int | float) and not isinstance(table[key], bool):
        with contextlib.suppress(
            OverflowError
        ):  # a whole number of hundreds of digits stays as it is
            table[key] *= rng.choice([-1, 0.1, 2, 10, 1000, 1e9, 1e-9])
    elif what < 0.72:
        del table[key]
    elif what < 0.86 and isinstance(table, dict):
        table[rng.choice(KEYS)] = copy.deepcopy(rng.choice(VALUES))
    else:
        other = values
        for step in rng.choice([*_places(values)]):
            other = other[step]
        table[key] = copy.deepcopy(other)


def _deep(rng):
    """Text that is deep, long or large."""
    n = rng.choice([10, 100, 3000, 20000])
    return rng.choice(
        [
            f"x = {'[' * n}{']' * n}",
            f"x = {'9' * n}",
            f"{'.'.join('a' * n)} = 1",
            "x = " + "{a=" * n + "1" + "}" * n,
            f"seed = {'9' * n}",
            f"name = '{'n' * n}'",
        ]
    )


def _damaged(text, rng):
    data = bytearray(text.encode())
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(data))
        what = rng.random()
        if what < 0.4:
            data[place] = rng.randrange(256)
        elif what < 0.6:
            del data[place : place + rng.randint(1, 30)]
        elif what < 0.8:
            data[place:place] = rng.choice(
                [b"[", b"]", b"'", b'"""', b"=", b"\n", b"{", b"1e999", b"-"]
            )
        else:
            data[place:place] = b"\n" + _deep(rng).encode() + b"\n"
    return bytes(data)


def made(seed, folder, names=None):
    """Scenario number ``seed``: plain values, or a file."""
    rng = random.Random(seed)
    name = rng.choice(names or scenarios.names())
    text = scenarios.path(name).read_text("utf-8")
    if rng.random() < 0.25:
        path = folder / "damaged.toml"
        path.write_bytes(_damaged(text, rng))
        return path
    values = tomllib.loads(text)
    if rng.random() < 0.7:
        values.pop("matrix", None)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        _mutate(values, rng)
    return values


def _late(number, frame):
    raise TimeoutError(f"takes longer than {LIMIT} s")


def _load(given):
    return make_plan(load_scenario(given) if isinstance(given, Path) else make_scenario(given))


def _solve(given):
    prepared(_load(given), None)


def _run(given, folder):
    scenario = load_scenario(given) if isinstance(given, Path) else make_scenario(given)
    survey = scenario.survey
    n_stars = survey.get("n_stars", 300)
    if isinstance(n_stars, int) and n_stars > 300:
        survey = {**survey, "n_stars": 300}
    mock, population = scenario.mock, scenario.mock.get("population")
    size = population.get("size", 1000) if isinstance(population, dict) else 0
    if (
        isinstance(size, int) and size > 500
    ):  # as many orbits as a run takes for minutes are not what is tried
        mock = {**mock, "population": {**population, "size": 500}}
    plan_cells = scenario.revise(mock=mock, survey=survey, realizations=1, matrix={})
    return run(plan_cells, folder / "out", workers=0, progress=Silent()).counts()


def attempt(seed, folder, work, names=None):
    """What became of scenario number ``seed``: a word, and the fault if it is one."""
    given = made(seed, folder, names)
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(LIMIT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            work(given)
    except HaloassayError as error:
        text = str(error)
        if not text or len(text) > 5000 or printable(text) != text:
            return (
                "fault",
                f"seed {seed}: no message for a reader: {text[:200]!r} ({len(text)})",
            )
        return "refused", ""
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return "fault", f"seed {seed}: {type(error).__name__}: {str(error)[:150]!r} at {place}"
    else:
        return "usable", ""
    finally:
        signal.alarm(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--solve", type=int, default=0)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--of", nargs="*", help="names of packaged scenarios")
    options = parser.parse_args()
    found = []
    for what, number, work in (
        ("loaded", options.n, lambda folder: _load),
        ("solved", options.solve, lambda folder: _solve),
        ("run", options.runs, lambda folder: lambda given: _run(given, folder)),
    ):
        counts = Counter()
        start = time.monotonic()
        for seed in range(options.seed, options.seed + number):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                outcome, fault = attempt(seed, folder, work(folder), options.of)
            counts[outcome] += 1
            if fault:
                found.append(fault)
                print(f"{what}: {fault}", flush=True)
        print(f"{number} {what}: {dict(counts)} in {time.monotonic() - start:.0f} s", flush=True)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
