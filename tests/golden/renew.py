"""Renew the pinned keys, numbers and run: ``python tests/golden/renew.py``.

Numbers that have changed under the same version are refused, and so are estimates of the golden run under the same
content keys: raise the version of what gives them, and say why in the CHANGELOG. Scores have no version: a change of
theirs shows as a change of ``run.json``.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder of what all tests share

import processors  # noqa: F401, I001 # before numpy

import golden_run
import numpy as np
from samples import SPECS, keys, numbers, versions

FOLDER = Path(__file__).parent
#: Numbers are taken for the same within this: they are pinned to six digits.
TOLERANCE = 2e-5


def pinned(name: str) -> Any:
    """Content of a file of pins; empty where there is none yet."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def same(old: list[float], new: list[float]) -> bool:
    """Whether two lists of numbers are the same but for rounding."""
    return len(old) == len(new) and np.allclose(new, old, rtol=TOLERANCE, atol=1e-12)


def renew() -> int:
    """Write all files; returns the exit code."""
    old, new, refused = pinned("numbers"), {}, []
    for family, kinds in SPECS.items():
        for kind in kinds:
            pin = {"versions": versions(family, kind), "numbers": numbers(family, kind)}
            before = old.get(family, {}).get(kind, pin)
            unsaid = pin["versions"] == before["versions"]
            if unsaid and not same(before["numbers"], pin["numbers"]):
                refused.append(f"{family} {kind}: other numbers, and the same version")
            new.setdefault(family, {})[kind] = pin
    before, run = pinned("run"), _run()
    if before.get("keys") == run["keys"]:
        changed = golden_run.differences(before, run, TOLERANCE, ("runs", "estimates"))
        refused += [f"run: {line}, and the same key" for line in changed]
    for line in refused:
        print(line, file=sys.stderr)
    if refused:
        return 1
    for name, content in (("numbers", new), ("keys", keys())):
        (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    (FOLDER / "run.json").write_text(_one_row_a_line(run))
    return 0


def _run() -> dict[str, Any]:
    """Pins of the golden run, with nothing of it from the cache."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HALOASSAY_CACHE"] = f"{folder}/cache"
        return golden_run.pins(golden_run.run(Path(folder) / "out"))


def _one_row_a_line(pins: dict[str, Any]) -> str:
    tables = []
    for name, pin in pins.items():
        text = json.dumps(pin, ensure_ascii=False).replace("[[", "[\n[").replace("], [", "],\n[")
        tables.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(tables) + "\n}\n"


if __name__ == "__main__":
    sys.exit(renew())
