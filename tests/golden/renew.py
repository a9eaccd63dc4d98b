"""Renew the pinned keys and numbers: ``python tests/golden/renew.py``.

Numbers that have changed under the same version are refused: raise the version of what gives them, and say why in the
CHANGELOG.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

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
    """Write both files; returns the exit code."""
    old, new, refused = pinned("numbers"), {}, []
    for family, kinds in SPECS.items():
        for kind in kinds:
            pin = {"versions": versions(family, kind), "numbers": numbers(family, kind)}
            before = old.get(family, {}).get(kind, pin)
            unsaid = pin["versions"] == before["versions"]
            if unsaid and not same(before["numbers"], pin["numbers"]):
                refused.append(f"{family} {kind}: other numbers, and the same version")
            new.setdefault(family, {})[kind] = pin
    for line in refused:
        print(line, file=sys.stderr)
    if refused:
        return 1
    for name, content in (("numbers", new), ("keys", keys())):
        (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(renew())
