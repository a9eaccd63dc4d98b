"""Results folders in rough hands: flipped bits, killed runs, two runs at once; nothing is lost, doubled or silent.

``python tests/fuzz/results.py bits --n 1000 --seed 1`` flips as many bits; ``kills`` ends runs with kill -9, each in a
chain that goes on until all is done; ``rivals`` lets two runs write into one folder, with the file system's locks and
without. Anything but the undisturbed estimates, or a word about what is damaged, is a fault, told with its seed.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.results.results import Results

SCENARIO = """
name = "rough"
realizations = 24
seed = 5
mock.kind = "local-jeans-gaussian"
mock.potential = { kind = "nfw", m200 = 1e12, c = 12.0 }
mock.density = { kind = "power-law", slope = -3.5 }
mock.beta = 0.3
survey = { preset = "perfect", n_stars = 300 }
estimators = [{ kind = "velocity-ellipsoid", bins = [5.0, 20.0, 60.0] }]
matrix.factors."survey.distance_scale" = [0.9, 1.0]
"""

#: Runs the command in a process whose file system has no locks.
LOCKLESS = """
import errno, fcntl, sys
def flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
from haloassay.face.cli import main
main()
"""

#: Seconds after which a run is surely at work, and after which it is surely done.
_EARLY, _LATE = 0.5, 6.0


def command(place: Path, out: Path, *, locks: bool = True) -> list[str]:
    start = ["-m", "haloassay"] if locks else ["-c", LOCKLESS]
    options = ["--out", str(out), "-j", "2", "--no-report"]
    return [sys.executable, *start, "run", str(place / "rough.toml"), *options]


def undisturbed(place: Path) -> Results:
    """Results of the scenario, run to its end."""
    (place / "rough.toml").write_text(SCENARIO)
    done = subprocess.run(command(place, place / "calm"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Results(place / "calm")


def flip(place: Path, n: int, seed: int, counts: Counter[str]) -> list[str]:
    """Flip bits one at a time, in any file of a folder."""
    results = undisturbed(place)
    expected, faults = results.table(), []
    files = [results.out / "run.json", *sorted(results.out.glob("*/*.parquet"))]
    for number in range(n):
        rng = random.Random(f"{seed} {number}")
        path = rng.choice(files)
        whole = path.read_bytes()
        bit = rng.randrange(8 * len(whole))
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(damaged))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                table = Results(results.out).table()
                told = any(issubclass(w.category, HaloassayWarning) for w in said)
                what = "left out, and said" if told else "silent"
                what = "unharmed" if what == "silent" and table.equals(expected) else what
            except InputError:
                what = "refused"
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
        counts[what] += 1
        if what not in ("left out, and said", "unharmed", "refused"):
            faults.append(f"seed {seed}, flip {number}: bit {bit} of {path.name}: {what}")
        path.write_bytes(whole)
    return faults


def kill(place: Path, n: int, seed: int, counts: Counter[str]) -> list[str]:
    """Kill runs: their group, or one of their workers; each chain ends with a run that is let go on."""
    expected, faults, killed = undisturbed(place).frame("estimates"), [], 0
    while killed < n:
        rng = random.Random(f"{seed} {killed}")
        first, out = killed, place / f"chain-{killed}"
        for _ in range(min(rng.randint(1, 5), n - killed)):
            run = subprocess.Popen(
                command(place, out),
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(rng.uniform(_EARLY, _LATE))
            workers = children(run.pid)
            if rng.random() < 0.3 and workers:
                os.kill(rng.choice(workers), signal.SIGKILL)
                counts["worker"] += 1
                run.wait()
            else:
                for process in (run.pid, *workers):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                counts["group"] += 1
                run.wait()
            killed += 1
        ended = subprocess.run(command(place, out), capture_output=True, text=True)
        if ended.returncode != 0 or "Traceback" in ended.stderr:
            faults.append(f"seed {seed}, kills {first} to {killed}: {ended.stderr.strip()[-300:]}")
        elif not Results(out).frame("estimates").equals(expected):
            faults.append(f"seed {seed}, kills {first} to {killed}: other estimates")
        shutil.rmtree(out)
    return faults


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True
    )
    return [int(word) for word in listed.stdout.split()]


def rival(place: Path, n: int, seed: int, counts: Counter[str]) -> list[str]:
    """Let two runs write into one folder at once."""
    expected, faults = undisturbed(place).frame("estimates"), []
    for number in range(n):
        rng = random.Random(f"{seed} {number}")
        locks, out = number % 2 == 0, place / f"shared-{number}"
        runs = []
        for _ in range(2):
            runs.append(
                subprocess.Popen(
                    command(place, out, locks=locks),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
            )
            time.sleep(rng.uniform(0.0, 1.0))
        errors = [run.communicate()[1].decode() for run in runs]
        codes = sorted(run.returncode for run in runs)
        counts[f"{'with' if locks else 'without'} locks: exits {codes}"] += 1
        if codes not in ([0, 0], [0, 2]) or any("Traceback" in text for text in errors):
            faults.append(f"seed {seed}, pair {number}: exits {codes}: {errors}")
        elif not Results(out).frame("estimates").equals(expected):
            faults.append(f"seed {seed}, pair {number}: other estimates")
        shutil.rmtree(out)
    return faults


WAYS = {"bits": flip, "kills": kill, "rivals": rival}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as place:
        faults = WAYS[chosen.way](Path(place), chosen.n, chosen.seed, counts)
    print(f"{chosen.way}, {chosen.n}, seed {chosen.seed}: {dict(counts)}; {len(faults)} faults")
    print("\n".join(faults))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
