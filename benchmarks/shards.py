"""A run in 100 shards, ten of which are killed, resumed and joined, beside the same run in one.

Run with ``python benchmarks/shards.py [--shards 100] [--killed 10]``. Shards run two at a time, as jobs of an array do;
killed ones by SIGKILL at a random moment of their work, then they are started again. Printed: the seconds of each step
and what is there after it, and whether all columns but ``seconds`` are those of one run.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from haloassay.results.merging import merge
from haloassay.results.results import Results
from haloassay.results.status import status

REALIZATIONS = 200


def shard(out: Path, number: int, of: int, after: float | None) -> None:
    """Run a shard, or kill it after so many seconds of work."""
    command = [sys.executable, "-m", "haloassay", "run", "quickstart", "--out", str(out)]
    command += ["-n", str(REALIZATIONS), "-j", "1", "--shard", f"{number}/{of}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if after is not None:
        folder = out / "shards" / f"{number:0{len(str(of))}d}-of-{of}" / "run.json"
        while process.poll() is None and not folder.exists():
            time.sleep(0.01)
        time.sleep(after)
        process.send_signal(signal.SIGKILL)
    process.wait()


def same(one: Results, other: Results) -> bool:
    runs = [each.frame("runs").drop(columns="seconds") for each in (one, other)]
    return runs[0].equals(runs[1]) and one.frame("estimates").equals(other.frame("estimates"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--killed", type=int, default=10)
    given = parser.parse_args()
    of, rng = given.shards, random.Random(1)
    killed = {k: 2.0 * rng.random() for k in rng.sample(range(1, of + 1), given.killed)}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        out, whole = Path(folder) / "shared", Path(folder) / "whole"
        print(
            "<!-- python benchmarks/shards.py -->\n\n| step | seconds | what is there |\n|---|---:|---|"
        )
        start = time.perf_counter()
        list(pool.map(lambda k: shard(out, k, of, killed.get(k)), range(1, of + 1)))
        told(f"{of} shards, {given.killed} of them killed", start, catalogues(out))
        start = time.perf_counter()
        list(pool.map(lambda k: shard(out, k, of, None), killed))
        told("the killed ones again", start, "")
        start = time.perf_counter()
        told("`status`", start, catalogues(out))
        start = time.perf_counter()
        merged = merge([out], out)
        missing = int(merged.missing["missing"].sum())
        told("`merge`", start, f"{missing} estimator runs missing")
        command = [sys.executable, "-m", "haloassay", "run", "quickstart", "--out", str(whole)]
        command += ["-n", str(REALIZATIONS), "--no-report"]
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        equal = "equal" if same(merged.results, Results(whole)) else "not equal"
        told("the same in one run", start, f"all columns but `seconds`: {equal}")


def catalogues(out: Path) -> str:
    """Say how many catalogues are done."""
    parts = status(out).parts
    return f"{sum(part.done for part in parts)} of {sum(part.due for part in parts)} catalogues"


def told(step: str, start: float, there: str) -> None:
    """Print a row of the table."""
    print(f"| {step} | {time.perf_counter() - start:.1f} | {there} |", flush=True)


if __name__ == "__main__":
    main()
