"""Rankings of estimators as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from haloassay.analysis.pairs import NOTABLE_LOSS
from haloassay.analysis.ranking import Place, Ranking
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.reports import escapes, plain

if TYPE_CHECKING:
    import pandas as pd

_DETAILS: Final = ("bias", "coverage68", "coverage95", "interval68", "interval95")
#: Columns of the table for machines; errors of positive scales are fractions.
COLUMNS: Final = (
    *("quantity", "unit", "cell", "by", "rank", "tied", "estimator", "r", "score", "score_mcse"),
    *("p_best", "p_better_than_next", "n", "n_failed", *_DETAILS, "note"),
)
#: What a detail is called in a table for readers.
_TITLES: Final = {
    "bias": "bias",
    "coverage68": "in 68 %",
    "coverage95": "in 95 %",
    "interval68": "of 68 %",
    "interval95": "of 95 %",
}


def frame(ranking: Ranking) -> pd.DataFrame:
    """Table for machines: columns :data:`COLUMNS`, one row an estimator, then one a note."""
    import pandas as pd

    head = {"quantity": ranking.quantity.name, "unit": ranking.quantity.unit}
    head |= {"cell": ranking.cell, "by": ranking.by}
    found = [
        {
            **head,
            "rank": place.rank,
            "tied": place.tied,
            "estimator": place.estimator,
            "r": place.r,
            "score": place.score.value,
            "score_mcse": place.score.mcse,
            "p_best": place.best,
            "p_better_than_next": place.next,
            "n": place.n,
            "n_failed": place.n_attempted - place.n,
            **place.detail,
            "note": "",
        }
        for place in ranking.places
    ]
    found += [{**head, "note": note} for note in ranking.notes]
    return pd.DataFrame(found, columns=list(COLUMNS)).astype({"rank": "Int64", "tied": "boolean"})


def title(ranking: Ranking) -> str:
    """Say what is ranked, and by what."""
    return f"{labels.plain(ranking.quantity.name)}, cell {ranking.cell}, by {ranking.by}"


def rows(ranking: Ranking) -> list[list[str]]:
    """Head and rows for readers."""
    unit = labels.error_unit(ranking.quantity.name, ranking.quantity.unit)
    factor = labels.error_factor(ranking.quantity.name)
    share = ranking.by == "coverage"
    details = list(ranking.places[0].detail)
    score = ranking.by if share or not unit else f"{ranking.by} [{unit}]"
    found = [["", "rank", "r [kpc]", score, "best", "better than next"]]
    found[0] += [*(_TITLES[name] for name in details), "n", "failed"]
    by = 1.0 if share else factor
    for place in ranking.places:
        r = f"{place.r:.3g}" if math.isfinite(place.r) else labels.DASH
        following = f"{place.next:.3f}" if math.isfinite(place.next) else ""
        row = [place.estimator, f"{place.rank}{'=' if place.tied else ''}", r]
        row += [labels.with_error(place.score.value, place.score.mcse, by)]
        row += [f"{place.best:.3f}", following]
        row += [f"{place.detail[name] * by:.3g}" for name in details]
        failed = place.n_attempted - place.n
        found.append([*row, str(place.n), f"{failed}{labels.LOSSY if is_lossy(place) else ''}"])
    return found


def is_lossy(place: Place) -> bool:
    """Whether the realisations with a value may not speak for all."""
    return place.n_attempted - place.n > NOTABLE_LOSS * place.n_attempted


def tied(places: Sequence[Place]) -> str:
    """Say what neighbours are that share a rank."""
    ends = sorted({f"{place.tied_below:.3f}" for place in places if place.tied_below > 0.0})
    below = f"{ends[0]} to {ends[-1]}" if len(ends) > 1 else ends[0]
    more = " (the fewer realisations, the higher)" if len(ends) > 1 else ""
    return (
        f"= tied: that the better of two neighbours is better has a probability below {below}{more}"
    )


def notes(ranking: Ranking) -> list[str]:
    """List what a reader must know beside the table."""
    found = []
    if any(place.tied for place in ranking.places):
        found.append(tied(ranking.places))
    lossy = [place.estimator for place in ranking.places if is_lossy(place)]
    if lossy:
        found.append(
            f"{labels.LOSSY} {', '.join(lossy)}: scores are of realisations with a value, which may be the easier ones"
        )
    return [*found, *ranking.notes]


def text(ranking: Ranking) -> str:
    """Table of plain text with title and notes."""
    lines = [printable(title(ranking)), *plain.aligned(rows(ranking))]
    return "\n".join([*lines, *(f"  {printable(note)}" for note in notes(ranking))]) + "\n"


def markdown(ranking: Ranking) -> str:
    """Table in Markdown with title and notes."""
    told = "\n".join(f"- {escapes.markdown(note)}" for note in notes(ranking))
    parts = [f"**{escapes.markdown(title(ranking))}**", plain.markdown(rows(ranking)), told]
    return "\n\n".join(filter(None, parts)) + "\n"


def latex(ranking: Ranking) -> str:
    """Table of a paper."""
    return plain.latex(rows(ranking), ". ".join([title(ranking), *notes(ranking)]) + ".")
