"""The command that ranks estimators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from haloassay.face import completion
from haloassay.face.options import RESULTS
from haloassay.face.outputs import FORMATS, for_readers, require_outside, require_table, write


@click.command()
@click.argument("folder", type=RESULTS)
@click.option(
    "--quantity",
    required=True,
    shell_complete=completion.quantities,
    help="What is estimated: see `haloassay list quantities`.",
)
@click.option("--r", type=float, metavar="KPC", help="Radius, where the quantity has several.")
@click.option(
    "--cell", shell_complete=completion.cells, help="Cell of the matrix [base, or the first]."
)
@click.option(
    "--by",
    type=click.Choice(("rmse", "bias", "coverage", "interval-score")),
    default="rmse",
    show_default=True,
    help="Score: root mean square error, size of the bias, distance of both coverages from their levels, or the"
    " interval score of Gneiting & Raftery (2007), which counts width and misses.",
)
@click.option("--format", "fmt", type=click.Choice(FORMATS), default="terminal", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="File instead of standard output.")
def rank(
    folder: Path,
    quantity: str,
    r: float | None,
    cell: str | None,
    by: Any,
    fmt: str,
    out: Path | None,
) -> None:
    """Rank the estimators of the results in FOLDER, and say how likely each is the best.

    Probabilities are those of a bootstrap over realisations, the same for all estimators; neighbours that it does not
    tell apart share a rank.
    """
    from haloassay.contracts import labels
    from haloassay.face import answers
    from haloassay.reports import ranking as words
    from haloassay.results.results import Results

    require_table(fmt, out)
    require_outside(out, folder)
    results = Results(folder)
    found = answers.rank(folder, quantity, by, r, cell)
    with labels.vocabulary(results.quantities):
        style = for_readers(words, fmt)
        if style is not None:
            write(style(found), out)
        else:
            from haloassay.reports.tables import format_table

            write(format_table(words.frame(found), fmt), out)
