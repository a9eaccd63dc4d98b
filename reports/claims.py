"""Claims and what mocks say of them as tables: for terminals, papers and machines."""

from __future__ import annotations

import json
import math
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, get_args

from haloassay.analysis.claims import Verdict
from haloassay.analysis.statistics import Found
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.engine.claims import Tested
from haloassay.planning.claim import Published
from haloassay.reports import escapes, plain
from haloassay.reports.consoles import ENDLESS

if TYPE_CHECKING:
    import pandas as pd

#: Columns of the table for machines; numbers of positive scales are fractions.
COLUMNS: Final = (
    *("claim", "paper", "where", "quantity", "r", "unit", "published", "at_least", "at_most"),
    *("margin", "measured", "measured_mcse", "measured_common", "n", "n_lost", "p", "verdict"),
    *("n_wanted", "comment", "families", "statement", "contradicts", "folder"),
)
_HEAD: Final = ("claim", "published", "measured", "verdict", "comment")
_INDENT: Final = "    "
_NOTE: Final = (
    "published ± margin within which a number counts as the same; measured ± Monte Carlo error"
)


def frame(tested: Sequence[Tested]) -> pd.DataFrame:
    """Table for machines: columns :data:`COLUMNS`, one row a claim."""
    import pandas as pd

    return pd.DataFrame([_machine_row(each) for each in tested], columns=list(COLUMNS)).astype(
        {"n": "Int64", "n_lost": "Int64", "n_wanted": "Int64"}
    )


def _machine_row(tested: Tested) -> dict[str, Any]:
    claim, judgement = tested.claim.claim, tested.judgement
    published = claim.published or Published(value=math.nan)
    found = judgement.found
    ends = {name: getattr(published, name) for name in ("at_least", "at_most")}
    return {
        "claim": tested.claim.name,
        **{name: getattr(claim, name) for name in ("paper", "where", "statement", "contradicts")},
        "quantity": claim.statistic.get("quantity", ""),
        "r": found.r if found else math.nan,
        "unit": found.unit if found else "",
        "published": math.nan if published.value is None else published.value,
        **{name: math.nan if x is None else x for name, x in ends.items()},
        "margin": claim.margin if claim.published else math.nan,
        "measured": found.value if found else math.nan,
        "measured_mcse": found.mcse if found else math.nan,
        "measured_common": found.common if found else math.nan,
        "n": found.n if found else None,
        "n_lost": found.n_lost if found else None,
        "p": judgement.p,
        "verdict": judgement.verdict,
        "n_wanted": judgement.wanted,
        "comment": _comment(tested),
        "families": "; ".join(tested.families),
        "folder": str(tested.folder or ""),
    }


def rows(tested: Sequence[Tested]) -> list[list[str]]:
    """Head and rows for readers."""
    return [[*_HEAD], *(_row(each) for each in tested)]


def _row(tested: Tested) -> list[str]:
    claim, judgement = tested.claim.claim, tested.judgement
    with labels.vocabulary(tested.quantities):
        measured = _measured(judgement.found) if judgement.found else labels.DASH
        published = (
            _published(claim.published, claim.margin, judgement.found)
            if claim.published and judgement.found
            else labels.DASH
        )
    return [tested.claim.name, published, measured, judgement.verdict, _comment(tested)]


def _scale(found: Found) -> tuple[float, str]:
    """Factor and unit that readers see a number with."""
    if found.form == "log":
        return 100.0, " %"
    if found.form == "plain":
        return 1.0, ""
    if found.form == "value":
        return 1.0, f" {found.unit}" if found.unit else ""
    unit = labels.error_unit(found.quantity, found.unit)
    return labels.error_factor(found.quantity), f" {unit}" if unit else ""


def _measured(found: Found) -> str:
    factor, unit = _scale(found)
    return f"{labels.with_error(found.value, found.error, factor)}{unit}"


def _published(published: Published, margin: float, found: Found) -> str:
    """Write what is published, with the margin."""
    factor, unit = _scale(found)
    value, lo, hi = (
        "" if x is None else f"{factor * x:.4g}"
        for x in (published.value, published.at_least, published.at_most)
    )
    text = value or (f"{lo} to {hi}" if lo and hi else f"≥ {lo}" if lo else f"≤ {hi}")
    return f"{text} ± {factor * margin:.4g}{unit}" if margin else f"{text}{unit}"


def _comment(tested: Tested) -> str:
    """Say what a reader must know beside the verdict."""
    judgement = tested.judgement
    told = []
    if judgement.verdict == "cannot be told":
        found = judgement.found
        if judgement.wanted is not None:
            told.append(f"{judgement.wanted} realisations would tell")
        elif found is not None and found.common > found.mcse:
            told.append("no number of realisations may tell: a larger population would")
        else:
            told.append("no number of realisations may tell: it is at the limit")
    return "; ".join([*told, *filter(None, [judgement.why])])


def summary(tested: Sequence[Tested]) -> str:
    """Count the verdicts in one sentence."""
    counts = Counter(each.judgement.verdict for each in tested)
    parts = [f"{counts[verdict]} {verdict}" for verdict in get_args(Verdict) if counts[verdict]]
    return f"{len(tested)} claim{'' if len(tested) == 1 else 's'}: {', '.join(parts)}"


def mocks(tested: Sequence[Tested]) -> str:
    """Say in one sentence what the stars of the mocks are drawn from, and how many claims each family speaks of."""
    counts = Counter(family for each in tested for family in each.families)
    listed = "; ".join(f"{printable(family)} ({n})" for family, n in counts.most_common())
    return (
        f"families of distribution functions that were tried (claims): {listed}" if listed else ""
    )


def _closing(tested: Sequence[Tested]) -> list[str]:
    """Sentences below a table."""
    return [each for each in (summary(tested), _NOTE, mocks(tested)) if each]


def text(tested: Sequence[Tested]) -> str:
    """Lines of plain text; on a narrow terminal a comment stands below its claim."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else ENDLESS
    table = rows(tested)
    whole = plain.aligned(table, "lrrll")
    if max(map(len, whole)) > width:
        whole = [*_narrow(table, width)]
    told = [line for each in _closing(tested) for line in textwrap.wrap(each, width)]
    return "\n".join([*whole, "", *told]) + "\n"


def _narrow(table: list[list[str]], width: int) -> Iterator[str]:
    """Lines of a table whose comments stand below their rows."""
    for line, row in zip(plain.aligned([row[:-1] for row in table], "lrrl"), table, strict=True):
        yield line
        if row[-1] and row is not table[0]:
            yield from textwrap.wrap(
                printable(row[-1]), width, initial_indent=_INDENT, subsequent_indent=_INDENT
            )


def markdown(tested: Sequence[Tested]) -> str:
    """Table in Markdown, with what there is to say of those that differ."""
    closing = " ".join(f"{escapes.markdown(each)}." for each in _closing(tested))
    parts = [plain.markdown(rows(tested), "lrrll"), closing]
    parts += [
        f"**{escapes.markdown(each.claim.name)}**: {escapes.markdown(each.claim.claim.remark.strip())}"
        for each in tested
        if each.judgement.verdict == "differs" and each.claim.claim.remark
    ]
    return "\n\n".join(parts) + "\n"


def latex(tested: Sequence[Tested]) -> str:
    """Table of a paper."""
    return plain.latex(rows(tested), " ".join(f"{x}." for x in _closing(tested)), "lrrll")


def json_text(tested: Sequence[Tested]) -> str:
    """All rows for programs; what is no number is null."""
    listed = [{k: _plain(v) for k, v in _machine_row(each).items()} for each in tested]
    return json.dumps({"claims": listed}, indent=1) + "\n"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
