"""The commands that rank estimators: of one quantity in one cell, and of all in the league table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from haloassay.face import completion
from haloassay.face.options import RESULTS
from haloassay.face.outputs import (
    FORMATS,
    for_readers,
    require_outside,
    require_table,
    require_writable,
    write,
)

_by = click.option(
    "--by",
    type=click.Choice(("rmse", "bias", "coverage", "interval-score")),
    default="rmse",
    show_default=True,
    help="Score: root mean square error, size of the bias, distance of both coverages from their levels, or the"
    " interval score of Gneiting & Raftery (2007), which counts width and misses.",
)


@click.command()
@click.argument("folder", type=RESULTS)
@click.option(
    "--quantity",
    required=True,
    shell_complete=completion.quantities,
    help="What is estimated: see `haloassay list quantities`.",
)
@click.option(
    "--r",
    type=float,
    metavar="KPC",
    help="Radius, where the quantity has several; who states nothing within a factor 1.3 of it has no place.",
)
@click.option(
    "--cell", shell_complete=completion.cells, help="Cell of the matrix [base, or the first]."
)
@_by
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


@click.command()
@click.argument("folder", type=RESULTS)
@click.option(
    "--each",
    multiple=True,
    metavar="FACTOR",
    help="Factor whose levels have tables of their own, as stars; repeatable. Over all others is pooled.",
)
@click.option(
    "--quantity",
    "quantities",
    multiple=True,
    shell_complete=completion.quantities,
    help="What is estimated; repeatable [all that two estimators yield].",
)
@click.option(
    "--r",
    "radii",
    type=float,
    multiple=True,
    metavar="KPC",
    help="Radius; repeatable. Who states nothing within a factor 1.3 of it has no place.",
)
@_by
@click.option("--format", "fmt", type=click.Choice(FORMATS), default="terminal", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="File instead of standard output.")
@click.option("--page", type=click.Path(path_type=Path), help="HTML file for all tables, too.")
def league(
    folder: Path,
    each: tuple[str, ...],
    quantities: tuple[str, ...],
    radii: tuple[float, ...],
    by: Any,
    fmt: str,
    out: Path | None,
    page: Path | None,
) -> None:
    """Print the league table of the results in FOLDER: all scores of all estimators, ranked, over all cells.

    Errors, biases, coverages, interval scores, failures and seconds, quantity by quantity and radius by radius; each
    cell counts the same. An estimator has a place where it has values for half of the catalogues of each cell, near the
    radius. Cells that draw their factors are left out.
    """
    from haloassay.contracts import labels
    from haloassay.face import answers
    from haloassay.reports import league as words
    from haloassay.results.results import Results

    require_table(fmt, out)
    require_writable({"--out": out, "--page": page})
    for file in (out, page):
        require_outside(file, folder)
    results = Results(folder)
    found = answers.league(folder, each, quantities, radii, by)
    with labels.vocabulary(results.quantities):
        if page is not None:
            from haloassay.reports.page.league import render

            write(
                render(found, str(results.scenario.get("title") or results.scenario.get("name"))),
                page,
            )
        style = for_readers(words, fmt)
        if style is not None:
            write(style(found), out)
        else:
            from haloassay.reports.tables import format_table

            write(format_table(words.frame(found), fmt), out)
