"""Comparisons of two runs in words: for a terminal, a pull request, and programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from haloassay.analysis.compare import Compared, Comparison, Key
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.reports import escapes, plain
from haloassay.reports.junit import Case, suite

#: Rows that cannot be told of which a reader is shown the first.
_SHOWN: Final = 8
#: Ratio of median durations from which it is mentioned: machines differ.
_SLOW: Final = 2.0
#: Three names, then numbers.
_COLUMNS: Final = "lllrrrr"
_HEAD: Final = ("estimator", "quantity", "score", "old", "new", "difference", "n")


def summary(found: Comparison) -> str:
    """Count the answers in one sentence."""
    same, moved, open_ = (found.of(answer) for answer in ("same", "moved", "cannot tell"))
    paired = sum(row.paired for row in found.rows)
    parts = [f"{len(moved)} moved", f"{len(same)} the same", f"{len(open_)} cannot be told"]
    if found.gone:
        parts.insert(1, f"{len(found.gone)} gone")
    if found.added:
        parts.append(f"{len(found.added)} new")
    return f"{len(found.rows)} scores ({paired} of them by realisation): {', '.join(parts)}"


def notes(found: Comparison) -> list[str]:
    """List what a reader must know beside the rows."""
    told = [
        f"moved: no chance, at a rate of {found.alpha:g} for all rows together; the same: shown to differ by less than"
        f" {found.margin:g} scatters in bias, {found.margin:g} times in scatter and error ratio,"
        f" {0.5 * found.margin:g} in coverage and success"
    ]
    if found.unpaired:
        told.append(f"other catalogues than before, so not by realisation: {_some(found.unpaired)}")
    if found.gone:
        told.append(f"gone: {_some([name(key) for key in found.gone])}")
    if found.added:
        told.append(f"new: {_some([name(key) for key in found.added])}")
    open_ = found.of("cannot tell")
    wanted = [row.wanted for row in open_ if row.wanted is not None]
    if wanted:
        told.append(f"{max(wanted)} realisations of both would tell all that cannot be told")
    slow = [
        f"{estimator} in {cell}: {old:.3g} to {new:.3g} s"
        for (cell, estimator), (old, new) in found.seconds.items()
        if new > _SLOW * old
    ]
    if slow:
        told.append(f"slower by more than {_SLOW:g}, and not judged: {_some(slow)}")
    return told


def _some(listed: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"{', '.join(listed[:_SHOWN])}{more}"


def name(key: Key, r: float = math.nan) -> str:
    """Row in words."""
    return f"{key.estimator} {labels.at_radius(key.quantity, r)} in {key.cell}"


def rows(listed: list[Compared]) -> list[list[str]]:
    """Head and rows for readers; the cell stands with the estimator where there are several."""
    several = len({row.key.cell for row in listed}) > 1
    found = [[*_HEAD]]
    for row in listed:
        factor, unit = _factor(row)
        by, of = (100.0, " %") if row.measure.scale == "ratio" else (factor, unit)
        marked = f"{labels.with_error(row.difference, row.mcse, by)}{of}"
        who = f"{row.key.estimator}, {row.key.cell}" if several else row.key.estimator
        sides = [f"{factor * x:.4g}{unit}" for x in (row.old, row.new)]
        label = labels.at_radius(row.key.quantity, row.r)
        found.append([who, label, row.measure.title, *sides, marked, str(row.n)])
    return found


def _factor(row: Compared) -> tuple[float, str]:
    """Say what a score is multiplied with for readers, and its unit."""
    if row.measure.name not in ("bias", "scatter"):
        return 1.0, ""
    unit = labels.error_unit(row.key.quantity, row.unit)
    return labels.error_factor(row.key.quantity), f" {unit}" if unit else ""


def text(found: Comparison) -> str:
    """Lines of plain text."""
    lines = [f"{found.old} -> {found.new}", summary(found)]
    for title, listed in _parts(found):
        lines += ["", title, *plain.aligned(rows(listed), _COLUMNS)]
    lines += ["", *(f"  {note}" for note in notes(found))]
    return "\n".join(printable(line) for line in lines) + "\n"


def _parts(found: Comparison) -> Iterator[tuple[str, list[Compared]]]:
    if moved := found.of("moved"):
        yield "moved", moved
    if open_ := found.of("cannot tell"):
        more = f", the first {_SHOWN} of {len(open_)}" if len(open_) > _SHOWN else ""
        yield f"cannot be told{more}", open_[:_SHOWN]


def markdown(found: Comparison) -> str:
    """Text for a pull request."""
    mark = "moved" if found.has_moved else "nothing moved"
    parts = [f"**haloassay compare: {mark}.** {escapes.markdown(summary(found))}."]
    for title, listed in _parts(found):
        parts += [f"*{escapes.markdown(title)}*", plain.markdown(rows(listed), _COLUMNS)]
    parts.append("\n".join(f"- {escapes.markdown(note)}" for note in notes(found)))
    return "\n\n".join(parts) + "\n"


def json_text(found: Comparison) -> str:
    """All rows for programs; what is no number is null."""
    listed = [
        {
            **row.key._asdict(),
            "r": _plain(row.r),
            "unit": row.unit,
            "score": row.measure.name,
            "answer": row.answer,
            **{part: _plain(getattr(row, part)) for part in ("old", "new", "difference", "mcse")},
            "in_logarithm": row.measure.scale == "ratio",
            "margin": _plain(row.margin),
            "p": _plain(row.p),
            "n": row.n,
            "paired": row.paired,
            "n_wanted": row.wanted,
        }
        for row in found.rows
    ]
    seconds = [
        {"cell": cell, "estimator": estimator, "old": _plain(old), "new": _plain(new)}
        for (cell, estimator), (old, new) in found.seconds.items()
    ]
    told: dict[str, Any] = {
        "old": found.old,
        "new": found.new,
        "moved": found.has_moved,
        "alpha": found.alpha,
        "margin": found.margin,
        "rows": listed,
        "gone": [key._asdict() for key in found.gone],
        "new_rows": [key._asdict() for key in found.added],
        "unpaired": list(found.unpaired),
        "seconds": seconds,
    }
    return json.dumps(told, indent=1) + "\n"


def _plain(x: float) -> float | None:
    return float(x) if math.isfinite(x) else None


def junit(found: Comparison) -> str:
    """Report of test cases, one a score: moved ones failed, those that cannot be told skipped."""
    gone = (Case(_group(key), name(key), "failure", "is gone") for key in found.gone)
    return suite("haloassay compare", [*map(_case, found.rows), *gone])


def _case(row: Compared) -> Case:
    group, title = _group(row.key), f"{row.measure.title} of {name(row.key, row.r)}"
    told = dict(zip(_HEAD, rows([row])[1], strict=True))
    message = f"{told['old']} -> {told['new']}, by {told['difference']} (n = {row.n})"
    if row.answer == "moved":
        return Case(group, title, "failure", message)
    if row.answer == "cannot tell":
        wanted = f"; {row.wanted} realisations would tell" if row.wanted else ""
        return Case(group, title, "skipped", message + wanted)
    return Case(group, title, "passed")


def _group(key: Key) -> str:
    return f"{key.cell}.{key.estimator}"
