"""League tables: for readers and for machines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from haloassay.analysis.league import Standing, Table
from haloassay.analysis.realizations import NEAR
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.reports import escapes, plain
from haloassay.reports.ranking import is_lossy, tied

if TYPE_CHECKING:
    import pandas as pd

#: Columns of the table for machines after the levels of the factors that were taken apart; errors of positive scales
#: are fractions. Numbers are at ``r`` [kpc], near the ``r_table`` that they are compared at.
COLUMNS: Final = (
    *("quantity", "unit", "r_table", "cells", "by", "rank", "tied", "estimator", "r"),
    *("rmse", "rmse_mcse", "bias", "bias_mcse"),
    *("coverage68", "coverage68_mcse", "coverage95", "coverage95_mcse"),
    *("interval_score", "interval_score_mcse", "n", "n_failed", "seconds", "note"),
)
#: Scores that are errors, by their names in :mod:`haloassay.analysis.ranking`.
_ERRORS: Final = ("rmse", "bias", "interval-score")


def frame(tables: Sequence[Table]) -> pd.DataFrame:
    """Table for machines: one row an estimator of each table, then one a note; at the end what no table counts."""
    import pandas as pd

    found: list[dict[str, Any]] = []
    for table in tables:
        head = {
            **table.where,
            "quantity": table.quantity.name,
            "unit": table.quantity.unit,
            "r_table": math.nan if table.r is None else table.r,
            "cells": len(table.cells),
            "by": table.by,
        }
        found += [{**head, **_values(each)} for each in table.standings]
        found += [{**head, "note": note} for note in table.notes]
    found += [{"quantity": "", "unit": "", "note": note} for note in _beside(tables)]
    columns = [*(tables[0].where if tables else ()), *COLUMNS]
    whole = {"cells": "Int64", "rank": "Int64", "tied": "boolean"}
    return pd.DataFrame(found, columns=columns).astype(whole)


def _values(each: Standing) -> dict[str, Any]:
    place = each.place
    found: dict[str, Any] = {"rank": place.rank, "tied": place.tied}
    found |= {"estimator": place.estimator, "r": place.r}
    for score in _ERRORS:
        if score in each.scores:
            name = score.replace("-", "_")
            found |= {name: each.scores[score].value, f"{name}_mcse": each.scores[score].mcse}
    for level, share in zip((68, 95), each.coverage, strict=True):
        found |= {f"coverage{level}": share.value, f"coverage{level}_mcse": share.mcse}
    failed = place.n_attempted - place.n
    return {**found, "n": place.n, "n_failed": failed, "seconds": each.seconds, "note": ""}


def title(table: Table) -> str:
    """Say of what, where, and over which cells."""
    what = labels.at_radius(table.quantity.name, math.nan if table.r is None else table.r)
    levels = [f"{label} {level}" for label, level in table.where.items()]
    number = "1 cell" if len(table.cells) == 1 else f"{len(table.cells)} cells"
    return "; ".join([what, *levels, number])


def rows(table: Table) -> list[list[str]]:
    """Head and rows for readers; with the radius of each estimator where one is not that of the title."""
    unit = labels.error_unit(table.quantity.name, table.quantity.unit)
    factor = labels.error_factor(table.quantity.name)
    errors = [f"{name} [{unit}]" if unit else name for name in ("RMSE", "bias", "interval score")]
    radii = [f"{each.place.r:.3g}" for each in table.standings]
    elsewhere = table.r is not None and {*radii} != {f"{table.r:.3g}"}
    found = [["", "rank", *(["r [kpc]"] if elsewhere else []), *errors[:2]]]
    found[0] += ["in 68 %", "in 95 %", errors[2], "n", "failed", "seconds"]
    for r, each in zip(radii, table.standings, strict=True):
        place = each.place
        told = dict.fromkeys(_ERRORS, labels.DASH)
        for name in (name for name in _ERRORS if name in each.scores):
            score = each.scores[name]
            told[name] = labels.with_error(score.value, score.mcse, factor)
        coverage = [labels.with_error(share.value, share.mcse) for share in each.coverage]
        lossy = labels.LOSSY if is_lossy(place) else ""
        found.append(
            [
                *(place.estimator, f"{place.rank}{'=' if place.tied else ''}"),
                *([r] if elsewhere else []),
                *(told["rmse"], told["bias"], *coverage, told["interval-score"]),
                *(
                    str(place.n),
                    f"{place.n_attempted - place.n}{lossy}",
                    f"{each.seconds:.2g}" if math.isfinite(each.seconds) else labels.DASH,
                ),
            ]
        )
    return found


def notes(tables: Sequence[Table]) -> list[str]:
    """List what a reader must know beside all tables."""
    every = [each.place for table in tables for each in table.standings]
    found = [
        "RMSE: over all catalogues, each cell counting the same; bias: root mean square of the cells' mean errors, the"
        " variance of these means taken off the squares (of one cell the size of its mean error); seconds: of one"
        " processor a catalogue",
        "± is over realisations: catalogues of one realisation share random numbers in all cells",
    ]
    if any(table.r is not None for table in tables):
        found.append(
            f"a table is of values within a factor {NEAR:g} of its radius; each error is against the truth at the"
            " radius of its value"
        )
    if any(place.tied for place in every):
        found.append(tied(every))
    if any(map(is_lossy, every)):
        found.append(
            f"{labels.LOSSY} scores are of catalogues with a value, which may be the easier ones"
        )
    return [*found, *_beside(tables)]


def _beside(tables: Sequence[Table]) -> list[str]:
    """List what no table of the run counts, once."""
    return [*dict.fromkeys(note for table in tables for note in table.beside)]


def text(tables: Sequence[Table]) -> str:
    """Tables of plain text with titles and notes."""
    parts = []
    for table in tables:
        lines = [printable(title(table)), *plain.aligned(rows(table))]
        parts.append("\n".join([*lines, *(f"  {printable(note)}" for note in table.notes)]))
    return "\n\n".join([*parts, *map(printable, notes(tables))]) + "\n"


def markdown(tables: Sequence[Table]) -> str:
    """Tables in Markdown with titles and notes."""
    parts = []
    for table in tables:
        told = "\n".join(f"- {escapes.markdown(note)}" for note in table.notes)
        head = f"**{escapes.markdown(title(table))}**"
        parts += [head, plain.markdown(rows(table)), *filter(None, [told])]
    return "\n\n".join([*parts, *map(escapes.markdown, notes(tables))]) + "\n"


def latex(tables: Sequence[Table]) -> str:
    """Tables of a paper."""
    told = notes(tables)
    captions = [". ".join([title(table), *table.notes, *told]) + "." for table in tables]
    pairs = zip(tables, captions, strict=True)
    return "\n".join(plain.latex(rows(table), caption) for table, caption in pairs)
