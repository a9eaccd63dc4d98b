"""What results come to, on a screen or as a table: the commands `table` and `report`, and what `run` prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from haloassay.base.errors import InputError
from haloassay.face import completion
from haloassay.face.endings import EXIT_NOTHING, echo, fail
from haloassay.face.options import RESULTS
from haloassay.face.outputs import FORMATS, require_outside, require_table, write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from haloassay.results.results import Results


@click.command(name="report")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--open", "shown", is_flag=True, help="Show the page in the browser.")
@click.option(
    "--figures", is_flag=True, help="Write all figures, too, as PDF and PNG, into FOLDER/figures."
)
def report_command(folder: Path, shown: bool, figures: bool) -> None:
    """Write the HTML page of the results in FOLDER, and its tables as files."""
    from haloassay.face import api

    page, scores = api.write_report(folder, None, figures)
    echo(page)
    require_scores(scores, folder)
    if shown:
        _show(page)


def _show(page: Path) -> None:
    """Open a page in the browser of the user, where there is one."""
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        echo("no browser found: open the page by hand", err=True)


@click.command(name="table")
@click.argument("folder", type=RESULTS)
@click.option("--full", is_flag=True, help="Every bin with all its scores, instead of one screen.")
@click.option(
    "--quantity",
    multiple=True,
    shell_complete=completion.quantities,
    help="Rows of this quantity only; repeatable.",
)
@click.option(
    "--estimator",
    multiple=True,
    shell_complete=completion.estimators,
    help="Rows of this estimator only; repeatable.",
)
@click.option(
    "--cell",
    multiple=True,
    shell_complete=completion.cells,
    help="Rows of this cell only; repeatable.",
)
@click.option(
    "--columns", multiple=True, metavar="NAME,...", help="These columns only, in this order."
)
@click.option(
    "--sort",
    metavar="COLUMN",
    help="Order of the rows: a column such as bias, -bias for the largest first, or -abs(bias).",
)
@click.option("--format", "fmt", type=click.Choice(FORMATS), default="terminal", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="File instead of standard output.")
@click.option("--paired", is_flag=True, help="Differences from a base cell instead of scores.")
@click.option(
    "--base",
    shell_complete=completion.cells,
    help="Cell to compare with [base, or the first]; goes with --paired.",
)
def table_command(
    folder: Path,
    full: bool,
    quantity: tuple[str, ...],
    estimator: tuple[str, ...],
    cell: tuple[str, ...],
    columns: tuple[str, ...],
    sort: str | None,
    fmt: str,
    out: Path | None,
    paired: bool,
    base: str | None,
) -> None:
    """Print what the results in FOLDER come to on one screen, their scores, or paired differences between cells."""
    from haloassay.analysis.rows import chosen, named_columns, ordered
    from haloassay.contracts import labels
    from haloassay.reports.tables import format_table, print_columns, print_pairs
    from haloassay.results.results import Results

    require_table(fmt, out)
    require_outside(out, folder)
    if base is not None and not paired:
        raise InputError("--base: goes with --paired")
    if full and (fmt != "terminal" or paired):
        raise InputError("--full: is of scores on a terminal; other formats have every row anyway")
    results = Results(folder)
    wanted = {"quantity": quantity, "estimator": estimator, "cell": cell}
    everything = results.pairs(base) if paired else results.table()
    frame = chosen(everything, wanted)
    frame = frame if sort is None else ordered(frame, sort)
    names = named_columns(frame, columns)
    with labels.vocabulary(results.quantities):
        if fmt != "terminal":
            write(format_table(frame, fmt, names), out)
        elif names or sort is not None:
            print_columns(frame, names, title=title_of(results))
        elif paired:
            print_pairs(frame, base or results.base_cell, title=title_of(results))
        else:
            print_results(results, frame, full=full, wanted=wanted)
    require_scores(frame, folder)


def print_results(
    results: Results,
    scores: pd.DataFrame,
    *,
    full: bool = False,
    wanted: Mapping[str, Sequence[str]] | None = None,
    page: str = "",
) -> None:
    """Print what results come to: one screen, or every bin.

    Parameters
    ----------
    results
        Of a run.
    scores
        Rows of their table of scores.
    full
        Whether every bin is printed.
    wanted
        Cells, estimators and quantities that ``scores`` were chosen by.
    page
        Where their page is, if it was written.
    """
    from haloassay.analysis.overlap import overlaps
    from haloassay.analysis.verdict import overlap_sentence
    from haloassay.reports.screen import closing
    from haloassay.reports.tables import print_table

    if full:
        print_table(scores, title=title_of(results))
    else:
        _print_screen(results, scores, wanted or {})
    mind = overlap_sentence(overlaps(results))
    for line in closing(results.counts(), results.reasons(), mind, page):
        echo(line)


def _print_screen(
    results: Results, scores: pd.DataFrame, wanted: Mapping[str, Sequence[str]]
) -> None:
    from haloassay.analysis.changes import changes
    from haloassay.analysis.condensed import condensed
    from haloassay.analysis.rows import chosen
    from haloassay.analysis.verdict import verdicts
    from haloassay.contracts import labels
    from haloassay.reports.screen import print_screen

    with labels.vocabulary(results.quantities):
        lines = condensed(verdicts(scores, results.tolerances))
        title, base = title_of(results), results.base_cell
        if len(results.cells) < 2 or base in results.unpaired or not len(scores):
            print_screen(lines, title=title)
            return
        others = {name: wanted.get(name, ()) for name in ("quantity", "estimator")}
        pairs = chosen(results.pairs(), {n: v for n, v in others.items() if n in wanted})
        if cells := wanted.get("cell"):
            pairs = pairs[pairs["cell"].isin(cells)]
        n_pairs = len(pairs.drop_duplicates(["cell", "estimator", "quantity"]))
        moved = changes(pairs, results.tolerances)
        print_screen(lines, title=title, changed=moved, n_pairs=n_pairs, base_cell=base)


def title_of(results: Results) -> str:
    """Title of a run, or its name."""
    return str(results.scenario.get("title") or results.scenario["name"])


def require_scores(scores: pd.DataFrame, folder: Path) -> None:
    """End the command where nothing was compared."""
    if not len(scores) or not scores["n"].sum():
        fail(f"{folder}: no estimate stands beside a truth: nothing was compared", EXIT_NOTHING)
