"""All checks of all estimators, in one table; and how long a level takes.

Run with ``python benchmarks/checks.py OUT [--level standard] [--estimators NAME ...]``. Reports are kept in OUT and not
made again, so the whole can be run in pieces; ``--table`` prints that of ``docs/measured/checks.md`` of all that OUT
holds, ``--times`` how long each took.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

from haloassay.base import kinds
from haloassay.testing import check_estimator, words
from haloassay.testing.check import LEVELS, checks

SIGNS = {
    "passed": "ok",
    "measured": "told",
    "failed": "FAILED",
    "expected": "expected",
    "skipped": "time",
}
NOT = "-"


def reports(out: Path, level: str) -> dict[str, dict[str, str]]:
    """How each check of each estimator ended, of the reports that there are."""
    found = {}
    for kind in kinds.names("estimators"):
        file = out / f"{kind}-{level}.json"
        if file.exists():
            told = json.loads(file.read_text(encoding="utf-8"))
            found[kind] = {each["name"]: each["status"] for each in told["findings"]}
    return found


def table(out: Path, level: str) -> Iterator[str]:
    """Lines of Markdown: a row a check, a column an estimator."""
    found = reports(out, level)
    yield f"| check | {' | '.join(found)} |"
    yield f"|---|{'---|' * len(found)}"
    for each in checks(level):  # type: ignore[arg-type]
        signs = [SIGNS.get(statuses.get(each.name, ""), NOT) for statuses in found.values()]
        yield f"| {each.name} | {' | '.join(signs)} |"


def main() -> None:
    """Make what is missing, or print what there is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--level", choices=LEVELS, default="standard")
    parser.add_argument("--estimators", nargs="*", default=kinds.names("estimators"))
    parser.add_argument("--table", action="store_true", help="print what there is")
    parser.add_argument("--times", action="store_true", help="print how long each took")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.table:
        print("\n".join(table(asked.out, asked.level)))
        return
    for kind in asked.estimators:
        file, clock = (asked.out / f"{kind}-{asked.level}.{end}" for end in ("json", "seconds"))
        if asked.times and clock.exists():
            print(f"{kind}: {clock.read_text(encoding='utf-8')} s")
        elif not asked.times and not file.exists():
            started = time.perf_counter()
            report = check_estimator(kind, level=asked.level)
            clock.write_text(f"{time.perf_counter() - started:.0f}", encoding="utf-8")
            file.write_text(words.json_text(report), encoding="utf-8")
            print("\n".join(words.ending(report)), flush=True)


if __name__ == "__main__":
    main()
