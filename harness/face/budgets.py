"""Commands that decide: what factors cost, and how many realisations that takes."""

from __future__ import annotations

from pathlib import Path

import click

from haloassay.base.errors import InputError
from haloassay.base.text import printable
from haloassay.face.outputs import require_outside, require_writable, write
from haloassay.face.plugins import no_plugins

_FORMATS = ("terminal", "csv", "ecsv", "latex", "markdown", "parquet")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--quantity", required=True, help="What the budget is of: see `haloassay list quantities`."
)
@click.option("--r", type=float, metavar="KPC", help="Radius, where the quantity has several.")
@click.option("--estimator", help="One estimator, by its label; all by default.")
@click.option("--format", "fmt", type=click.Choice(_FORMATS), default="terminal", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="File instead of standard output.")
@click.option(
    "--figure",
    type=click.Path(path_type=Path),
    help="Draw a tornado into FIGURE.pdf and FIGURE.png; of one estimator.",
)
def budget(
    folder: Path,
    quantity: str,
    r: float | None,
    estimator: str | None,
    fmt: str,
    out: Path | None,
    figure: Path | None,
) -> None:
    """Print what each factor of the results in FOLDER costs, what all cost together, and the sentence for a paper.

    Shifts are changes of the error at a factor's first and last level; 1 sigma is the standard deviation of the shift
    under the factor's prior, which is what adds in quadrature.
    """
    from haloassay.contracts import labels
    from haloassay.face import api
    from haloassay.reports import budget as words
    from haloassay.reports.tables import format_table
    from haloassay.results.results import Results

    require_writable({"--out": out, "--figure": figure}, {})
    require_outside(out, folder)
    results = Results(folder)
    with labels.vocabulary(results.quantities):
        found = api.budget(folder, quantity, r, estimator)
        if figure is not None:
            if len(found) > 1:
                names = ", ".join(each.estimator for each in found)
                raise InputError(
                    f"--figure: is of one estimator: choose it with --estimator ({names})"
                )
            from haloassay.reports.figures import save
            from haloassay.reports.tornado import tornado_figure

            stem = figure.with_suffix("") if figure.suffix in (".pdf", ".png") else figure
            save(tornado_figure(found[0]), stem)
        if fmt == "terminal":
            write("\n".join(map(words.text, found)), out)
        elif fmt == "latex":
            write("\n".join(words.latex(each, results.description) for each in found), out)
        elif fmt == "markdown":
            write("\n".join(map(words.markdown, found)), out)
        else:
            write(format_table(words.frame(found), fmt), out)


@click.command()
@no_plugins
@click.argument("scenario")
@click.option("--until", required=True, metavar="RULE", help="As of `haloassay run --until`.")
@click.option("--pilot", type=int, default=10, show_default=True, help="Realisations of the pilot.")
@click.option("-j", "--workers", type=int, help="Processes [all processors].")
def plan(scenario: str, until: str, pilot: int, workers: int | None) -> None:
    """Say how many realisations of SCENARIO a rule asks for, and how long they take, from a pilot."""
    from haloassay.engine.pilot import needed
    from haloassay.engine.progress import make_progress
    from haloassay.plan.scenario import load_scenario

    said = needed(load_scenario(scenario), until, pilot, workers, make_progress())
    write(f"{printable(said)}\n", None)
