"""Estimator runs that gave no value: the text behind ``failures``."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from haloassay.contracts.schema import SCHEMAS

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.results.results import Results

#: What stands for a text that is not there.
_NOTHING: Final = {"error_type": "", "message": "", "traceback": ""}


def failures_text(results: Results, traceback: bool) -> str:
    """Say, for each cell, estimator and reason, how often it came, in which realisations, and what shows it again."""
    runs = results.frame("runs").reindex(columns=SCHEMAS["runs"].names)  # earlier ones lack some
    bad = runs[runs["status"] != "ok"].astype({"traceback": object}).fillna(_NOTHING)
    if not len(bad):
        return f"{results.out}: no failures in {len(runs)} estimator runs"
    keys = ["cell", "estimator", "status", "error_type", "message"]
    groups = [group for _, group in bad.groupby(keys, sort=False)]
    groups.sort(key=len, reverse=True)
    texts = [_group_text(results, group, traceback) for group in groups]
    return "\n\n".join([f"{results.out}: {len(bad)} of {len(runs)} estimator runs", *texts])


def _group_text(results: Results, group: pd.DataFrame, traceback: bool) -> str:
    first = group.iloc[0]
    realizations = [int(number) for number in group["realization"]]
    shown = ", ".join(map(str, realizations[:5])) + (", ..." if len(realizations) > 5 else "")
    reason = ": ".join(part for part in (first["error_type"], first["message"]) if part)
    lines = [
        f"{len(group)} x {first['estimator']} {first['status']}: {reason}",
        f"  cell {first['cell']!r}, realisation{'s' if len(group) > 1 else ''} {shown}",
        f"  {again(results, first)}",
    ]
    if traceback:
        told = str(first["traceback"]).rstrip() or "no traceback was kept"
        lines += ["", *(f"    {line}" for line in told.split("\n"))]
    return "\n".join(lines)


def again(results: Results, run: Any) -> str:
    """Write the command that makes the catalogue of a run again."""
    realization = int(run["realization"])
    words = [
        *("haloassay", "mock", str(results.out), "--cell", str(run["cell"])),
        *("--realization", str(realization), "--out", f"failure-{realization}.parquet"),
    ]
    return shlex.join(words)
