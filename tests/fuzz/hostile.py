"""Estimators that do harm, each in its own way, beside sound ones whose numbers must be those that they have alone.

``python tests/fuzz/hostile.py`` runs all kinds and prints what is not as it should be; exit code 1 if something is not.
"""

import gc
import json
import locale
import math
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harms import DEADLY, HARMS, row_of

from haloassay import Estimate, Estimates, Estimator
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run


@dataclass(frozen=True)
class Sound(Estimator):
    """Reads all that others may spoil, and puts it into numbers."""

    name = "sound"
    reference = ""
    yields = ("sigma_r", "beta")

    def estimate(self, catalogue, rng):
        v = catalogue.spherical_velocity
        sigma = float(np.std(v[:, 0])) + np.random.rand() + random.random() + rng.random()  # noqa: NPY002
        with warnings.catch_warnings(record=True) as caught:
            warnings.warn("seen", UserWarning, stacklevel=1)
        state = [
            sum(map(ord, Path.cwd().name)),
            len(os.environ) + len(os.environ.get("PATH", "")),
            sys.getrecursionlimit(),
            sum(map(ord, str(np.geterr()))),
            float(np.linalg.norm(np.arange(3.0)) + np.mean(catalogue.r) + math.sqrt(2.0)),
            len(json.dumps({"a": [1.5]})),
            float(os.umask(os.umask(0o22))),
            sum(map(ord, locale.setlocale(locale.LC_ALL))),
            float(gc.isenabled()) + len(caught),
            float(signal.getsignal(signal.SIGTERM) is signal.SIG_IGN),
            float(np.random.default_rng(3).random()),
        ]
        print("sound", flush=True)
        draws = rng.choice(v[:, 0], 50)
        return Estimates(
            [
                Estimate.from_draws("sigma_r", abs(draws) + sigma, r=20.0),
                *(Estimate("beta", float(x), r=20.0, bin=k) for k, x in enumerate(state)),
            ]
        )


@dataclass(frozen=True)
class Hostile(Estimator):
    """Does harm of one kind, and returns a row if it still can."""

    name = "hostile"
    reference = ""
    yields = ("sigma_r",)
    how: str = "chdir"

    def estimate(self, catalogue, rng):
        returned = {**HARMS, **DEADLY}[self.how][0](catalogue)
        return Estimates([row_of()]) if returned is None else returned


SCENARIO = {
    "name": "hostile",
    "realizations": 1,
    "seed": 5,
    "timeout": 4.0,
    "mock": {
        "kind": "local-jeans-gaussian",
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "density": {"kind": "power-law", "slope": -3.5},
        "beta": 0.3,
    },
    "survey": {"preset": "perfect", "n_stars": 60},
}


def _ran(out, names, hostile, timeout):
    """Values of the sound estimators that stand behind each kind of harm, statuses of the harmful ones, messages."""
    estimators = []
    for name in names:
        if hostile:
            estimators.append({"kind": "hostile:Hostile", "how": name, "label": name})
        estimators.append({"kind": "hostile:Sound", "label": f"after {name}"})
    progress = Silent()
    values = {**SCENARIO, "estimators": estimators, "timeout": timeout}
    results = run(values, out, workers=1, progress=progress)
    frame = results.frame("estimates")
    sound = frame[frame["estimator"].str.startswith("after ")]
    numbers = {
        label: rows.sort_values(["quantity", "bin"])["value"].tolist()
        for label, rows in sound.groupby("estimator")
    }
    statuses = dict(results.frame("runs")[["estimator", "status"]].itertuples(index=False))
    return numbers, statuses, progress.lines


def faults(folder, names, timeout=60.0):
    """What is not as it should be after these kinds of harm, one line each, and the messages of the run."""
    kinds = {**HARMS, **DEADLY}
    alone, _, _ = _ran(folder / "alone", names, False, timeout)
    beside, statuses, lines = _ran(folder / "beside", names, True, timeout)
    found = []
    for name in names:
        label, expected = f"after {name}", kinds[name][1]
        if statuses.get(name) != expected:
            found.append(f"{name}: status {statuses.get(name)}, expected {expected}")
        if beside.get(label) != alone[label]:
            found.append(f"{name}: a sound estimator beside it gives {beside.get(label)}")
    return found, lines


def main():
    with tempfile.TemporaryDirectory() as folder:
        found, lines = faults(Path(folder) / "harms", [*HARMS])
        for name in DEADLY:
            start = time.monotonic()
            more, _ = faults(Path(folder) / name, [name], timeout=4.0)
            print(f"{name}: {time.monotonic() - start:.1f} s", file=sys.stderr)
            found += more
        print("\n".join(lines))
    print(f"{len(HARMS) + len(DEADLY)} kinds, {len(found)} faults")
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
