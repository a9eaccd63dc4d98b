"""Matches as tables for terminals, papers and machines, and as the sentence that says whether any halo looks alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from haloassay.analysis.match import Match, Row, Span
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.reports import escapes, plain

if TYPE_CHECKING:
    import pandas as pd

#: Columns of the table for machines.
COLUMNS: Final = (
    *("item", "estimator", "quantity", "r", "r_lo", "r_hi", "unit", "measured", "error"),
    *("error_is", "value", "lo68", "hi68", "lo95", "hi95", "best", "run", "run_mcse"),
    *("scatter", "miss", "pull", "p", "named", "prior", "note"),
)
_DATA: Final = ("", "measured", "matched", "68 %", "miss", "pull")
_POSTERIOR: Final = ("", "median", "68 %", "95 %", "")


def frame(match: Match) -> pd.DataFrame:
    """Table of a match for machines: columns :data:`COLUMNS`.

    Items are ``data`` (one a measured number: ``value`` simulated at the best settings, by the emulator, ``run`` by
    mocks that were run there, ``miss`` a fraction of positive scales), ``setting``, ``truth``, ``fit`` (``value``
    chi-square, ``p`` its probability) and ``note``.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for row in match.rows:
        m = row.target.measured
        rows.append(
            {
                **{"item": "data", "estimator": row.target.estimator, "quantity": m.quantity},
                **{"r": m.r, "r_lo": m.r_lo, "r_hi": m.r_hi, "unit": row.target.quantity.unit},
                **{"measured": m.value, "error": m.error, "error_is": row.error_is},
                **{"value": row.mean, "lo68": row.lo, "hi68": row.hi, "run": row.run},
                **{"run_mcse": row.run_mcse, "scatter": row.scatter, "miss": row.miss},
                **{"pull": row.pull, "p": row.predictive, "named": row.named, "note": row.note},
            }
        )
    for item, spans in (("setting", match.settings), ("truth", match.truths)):
        for s in spans:
            rows.append(
                {
                    **{"item": item, "quantity": s.name, "r": s.r, "r_lo": s.r_lo, "r_hi": s.r_hi},
                    **{"unit": s.unit, "value": s.median, "lo68": s.lo68, "hi68": s.hi68},
                    **{"lo95": s.lo95, "hi95": s.hi95, "best": s.best, "prior": s.prior},
                    "note": s.note,
                }
            )
    told = {"item": "fit", "quantity": "chi2", "value": match.fit.chi2, "p": match.fit.p}
    rows.append({**told, "named": match.fit.nothing_alike, "note": sentence(match)})
    rows += [{"item": "note", "note": note} for note in match.notes]
    blank = {"estimator": "", "quantity": "", "unit": "", "error_is": "", "prior": "", "note": ""}
    table = pd.DataFrame([{**blank, "named": False, **row} for row in rows])
    return table.reindex(columns=list(COLUMNS))


def sentence(match: Match) -> str:
    """Say whether any halo of the family looks like the data, and if not, which numbers say so and by how much."""
    fit, n = match.fit, len(match.fit.mean)
    numbers = (
        f"χ² = {fit.chi2:.1f} for {n - fit.constrained:.1f} degrees of freedom, p = {_p(fit.p)}"
    )
    if not fit.nothing_alike:
        return f"halos of this family look like the data ({numbers})"
    named = [row for row in match.rows if row.named]
    misses = "; ".join(f"{place_of(row)} {_miss(row)} (pull {row.pull:+.1f})" for row in named)
    edges = [s.name for s in match.settings if s.note]
    within = f" within these priors ({', '.join(edges)} at an edge)" if edges else ""
    return f"no halo of this family{within} looks like the data ({numbers}): {misses}"


def _p(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"


def place_of(row: Row) -> str:
    """Name a measured number."""
    return labels.at_radius(row.target.quantity.name, row.target.measured.middle)


def _miss(row: Row) -> str:
    """Write data minus mocks."""
    if not math.isfinite(row.miss):
        return labels.DASH
    if row.target.positive:
        return f"{100.0 * row.miss:+.1f} %"
    return f"{row.miss:+.2g} {row.target.quantity.unit}".rstrip()


def data_rows(match: Match) -> list[list[str]]:
    """Rows of the measured numbers, for readers."""
    found = []
    for row in match.rows:
        m, unit = row.target.measured, row.target.quantity.unit
        name = place_of(row) + (f" [{unit}]" if unit else "")
        if row.note:
            found.append([name, f"{m.value:.4g} ± {m.error:.2g}", labels.DASH, "", "", row.note])
            continue
        found.append(
            [
                name,
                f"{m.value:.4g} ± {m.error:.2g}" + ("*" if row.error_is == "scatter" else ""),
                labels.with_error(row.run, row.run_mcse) if math.isfinite(row.run) else "",
                f"{row.lo:.4g} .. {row.hi:.4g}",
                _miss(row),
                f"{row.pull:+.1f}" + (" !" if row.named else ""),
            ]
        )
    return found


def span_rows(spans: Sequence[Span]) -> list[list[str]]:
    """Rows of a posterior, for readers."""
    return [
        [
            labels.at_radius(s.name, s.r) + (f" [{s.unit}]" if s.unit else ""),
            f"{s.median:.4g}",
            f"{s.lo68:.4g} .. {s.hi68:.4g}",
            f"{s.lo95:.4g} .. {s.hi95:.4g}",
            s.note or s.prior,
        ]
        for s in spans
    ]


def _blocks(match: Match) -> list[tuple[str, list[list[str]]]]:
    return [
        ("measured, and mocks of the best settings", [list(_DATA), *data_rows(match)]),
        ("free settings", [list(_POSTERIOR), *span_rows(match.settings)]),
        ("truth behind data like these", [list(_POSTERIOR), *span_rows(match.truths)]),
    ]


def remarks(match: Match) -> list[str]:
    """List what a reader must know beside the tables."""
    found = []
    if any(row.error_is == "scatter" for row in match.rows):
        found.append(
            "* the scatter of mocks is larger than the stated error, and taken in its place"
        )
    if any(row.named for row in match.rows):
        found.append("! no halo of the family has this")
    points = sum(each.points for each in match.rounds)
    catalogues = sum(each.catalogues for each in match.rounds)
    found.append(
        f"{points} settings, {catalogues} mock catalogues, {len(match.rounds)} rounds; error of the emulators"
        f" {match.fit.emulator_share:.2f} of the others; posterior predictive p = {match.fit.p_predictive:.2g}"
    )
    return [*found, *match.notes]


def text(match: Match) -> str:
    """Tables of plain text, aligned, with notes and the sentence."""
    lines = [printable(f"match of {match.scenario}")]
    for title, table in _blocks(match):
        lines += ["", title, *(f"  {line}" for line in plain.aligned(table, _columns(table)))]
    told = [*(f"  {remark}" for remark in remarks(match)), f"=> {sentence(match)}"]
    return "\n".join([*lines, "", *map(printable, told)]) + "\n"


def _columns(table: plain.Rows) -> str:
    """Place of each column: names and notes at the left, numbers at the right."""
    return f"l{'r' * (len(table[0]) - 2)}l"


def markdown(match: Match) -> str:
    """Tables in Markdown."""
    parts = [f"**match of {escapes.markdown(match.scenario)}**"]
    for title, table in _blocks(match):
        parts += [f"{title}:", plain.markdown(table, _columns(table))]
    parts.append("\n".join(f"- {escapes.markdown(remark)}" for remark in remarks(match)))
    return "\n\n".join([*parts, escapes.markdown(sentence(match))]) + "\n"


def latex(match: Match) -> str:
    """Tables of a paper: booktabs, units, caption."""
    return "".join(
        plain.latex(
            table, f"Match of {match.scenario}: {title}. {sentence(match)}.", _columns(table)
        )
        for title, table in _blocks(match)
    )
