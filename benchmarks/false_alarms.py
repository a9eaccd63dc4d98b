"""How often checks fail of estimators without a fault: all checks, of other stars and mocks each time.

Run with ``python benchmarks/false_alarms.py OUT [--seeds 200] [--level standard]``. Two estimators are tried: the
spread of ``tests/testing``, and one of the mean and dispersion of v_phi. What was found is kept in OUT, and not made
again.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import collections
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "testing"))
import spread

from haloassay.testing import check_estimator
from haloassay.testing.check import LEVELS

ESTIMATORS = (spread.Spread, spread.OfPhi)


def main() -> None:
    """Make what is missing, and count."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--level", choices=LEVELS, default="standard")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    made: collections.Counter[str] = collections.Counter()
    failed: collections.Counter[str] = collections.Counter()
    for seed in range(asked.seeds):
        for estimator in ESTIMATORS:
            file = asked.out / f"{estimator.__name__}-{asked.level}-{seed}.json"
            if not file.exists():
                report = check_estimator(estimator, level=asked.level, seed=seed, workers=0)
                told = {each.name: each.status for each in report.findings}
                file.write_text(json.dumps(told), encoding="utf-8")
            told = json.loads(file.read_text(encoding="utf-8"))
            judged = [name for name, status in told.items() if status != "not applicable"]
            made.update(judged)
            failed.update(name for name in judged if told[name] == "failed")
    for name, n in made.items():
        print(f"{name}: {failed[name]} of {n} failed")
    print(f"all: {sum(failed.values())} of {sum(made.values())} failed")


if __name__ == "__main__":
    main()
