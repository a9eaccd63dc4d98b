"""Predictions as tables: what an estimator does at values of the factors that were not run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from haloassay.analysis.prediction import Predicted, Predictor
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.reports import escapes, plain

if TYPE_CHECKING:
    import pandas as pd

#: Columns of the table for machines; biases and scatters of positive scales are fractions.
COLUMNS: Final = (
    *("estimator", "quantity", "r", "bin", "unit", "cell", "score", "value", "error", "left_out"),
    "left_out_most",
    *("n", "n_lost", "note"),
)
_TITLES: Final = {
    "bias": "bias",
    "scatter": "scatter",
    "coverage68": "in 68 %",
    "coverage95": "in 95 %",
}

Answer = tuple[Predictor, Sequence[Predicted]]


def frame(answers: Sequence[Answer]) -> pd.DataFrame:
    """Table for machines: columns :data:`COLUMNS`, one row a score."""
    import pandas as pd

    found = [
        (
            *(maker.estimator, maker.quantity, maker.r, maker.bin),
            labels.quantity_of(maker.quantity).unit,
            *(maker.cell, each.score, each.value.value, each.value.mcse, each.left_out),
            each.left_out_most,
            *(maker.n, maker.n_lost, each.why),
        )
        for maker, predicted in answers
        for each in predicted
    ]
    return pd.DataFrame(found, columns=list(COLUMNS))


def title(maker: Predictor, settings: Mapping[str, Any]) -> str:
    """Say what a prediction is of, and where."""
    at = ", ".join(f"{label} {_value(value)}" for label, value in settings.items())
    rest = [f.label for f in maker.factors if f.label not in settings]
    as_written = f"as in the scenario: {', '.join(rest)}" if rest else ""
    where = "; ".join(filter(None, [at, as_written]))
    return f"{labels.at_radius(maker.quantity, maker.r)}, {maker.estimator}: {where}"


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def rows(maker: Predictor, predicted: Sequence[Predicted]) -> list[list[str]]:
    """Head and rows for readers."""
    unit, factor = labels.error_unit(maker.quantity), labels.error_factor(maker.quantity)
    found = [["", "predicted", "left out"]]
    for each in predicted:
        share = each.score.startswith("coverage")
        by = 1.0 if share else factor
        head = _TITLES[each.score] + (f" [{unit}]" if unit and not share else "")
        left_out = ""
        if math.isfinite(each.left_out):
            left_out = f"{each.left_out * by:.2g} (< {each.left_out_most * by:.2g})"
        found.append([head, labels.with_error(each.value.value, each.value.mcse, by), left_out])
    return found


def notes(maker: Predictor, predicted: Sequence[Predicted]) -> list[str]:
    """List what a reader must know beside the table."""
    lost = f", {maker.n_lost} lost" if maker.n_lost else ""
    found = [f"emulated from {maker.n} points of {maker.cell}{lost}"]
    if maker.base is not None:
        factor, unit = labels.error_factor(maker.quantity), labels.error_unit(maker.quantity)
        base = labels.with_error(maker.base.value, maker.base.mcse, factor)
        found.append(f"bias: differences from the base, whose own is {base} {unit}".rstrip())
    found += (f"{_TITLES[p.score]}: cannot be predicted: {p.why}" for p in predicted if p.why)
    return found


def text(answer: Answer, settings: Mapping[str, Any]) -> str:
    """Table of plain text with title and notes."""
    lines = [printable(title(answer[0], settings)), *plain.aligned(rows(*answer))]
    lines += [f"  {printable(note)}" for note in notes(*answer)]
    return "\n".join(lines) + "\n"


def markdown(answer: Answer, settings: Mapping[str, Any]) -> str:
    """Table in Markdown with title and notes."""
    told = "\n".join(f"- {escapes.markdown(note)}" for note in notes(*answer))
    head = f"**{escapes.markdown(title(answer[0], settings))}**"
    return "\n\n".join([head, plain.markdown(rows(*answer)), told]) + "\n"


def latex(answer: Answer, settings: Mapping[str, Any]) -> str:
    """Table of a paper."""
    caption = ". ".join([title(answer[0], settings), *notes(*answer)])
    return plain.latex(rows(*answer), f"{caption}. Left out: error at points left out.")
