"""The command that predicts what estimators do between the points of a run."""

from __future__ import annotations

from pathlib import Path

import click

from haloassay.face import completion
from haloassay.face.options import RESULTS, named
from haloassay.face.outputs import FORMATS, for_readers, require_outside, require_table, write


@click.command()
@click.argument("folder", type=RESULTS)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="LABEL=VALUE",
    help="Value of a factor, by its label or path; all others are as in the scenario.",
)
@click.option(
    "--quantity",
    required=True,
    shell_complete=completion.quantities,
    help="What is estimated: see `haloassay list quantities`.",
)
@click.option("--r", type=float, metavar="KPC", help="Radius, where the quantity has several.")
@click.option(
    "--estimator",
    shell_complete=completion.estimators,
    help="One estimator, by its label; all by default.",
)
@click.option(
    "--cell",
    shell_complete=completion.cells,
    help="Sampled cell: joint, sobol or latin-hypercube [the first of the run].",
)
@click.option("--format", "fmt", type=click.Choice(FORMATS), default="terminal", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="File instead of standard output.")
def predict(
    folder: Path,
    settings: tuple[str, ...],
    quantity: str,
    r: float | None,
    estimator: str | None,
    cell: str | None,
    fmt: str,
    out: Path | None,
) -> None:
    """Predict bias, scatter and coverage at values of the factors of FOLDER that were not run.

    By an emulator of a sampled cell, which is kept in the cache; what it is off by at points left out stands beside.
    """
    from haloassay.analysis.prediction import settings_of
    from haloassay.contracts import labels
    from haloassay.reports import prediction as words
    from haloassay.results.kept import kept_predictors
    from haloassay.results.results import Results

    require_table(fmt, out)
    require_outside(out, folder)
    results = Results(folder)
    chosen = settings_of(named(settings, results.factors, "--set"), results.factors)
    makers = kept_predictors(results, quantity, r, estimator, cell)
    answers = [(maker, maker.at(chosen)) for maker in makers]
    with labels.vocabulary(results.quantities):
        style = for_readers(words, fmt)
        if style is not None:
            write("\n".join(style(answer, chosen) for answer in answers), out)
        else:
            from haloassay.reports.tables import format_table

            write(format_table(words.frame(answers), fmt), out)
