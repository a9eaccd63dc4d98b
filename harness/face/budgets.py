"""Commands that decide: what factors cost, and how many realisations that takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haloassay.base.errors import InputError
from haloassay.base.text import printable
from haloassay.face import completion
from haloassay.face.options import RESULTS, by_path, named, set_option
from haloassay.face.outputs import FORMATS, for_readers, require_outside, require_writable, write
from haloassay.face.plugins import no_plugins
from haloassay.face.verbosity import verbosity

if TYPE_CHECKING:
    from haloassay.analysis.budget import Budget
    from haloassay.contracts.factors import StatedFactor
    from haloassay.results.results import Results


@click.command()
@click.argument("folder", type=RESULTS)
@click.option(
    "--quantity",
    required=True,
    shell_complete=completion.quantities,
    help="What the budget is of: see `haloassay list quantities`.",
)
@click.option("--r", type=float, metavar="KPC", help="Radius, where the quantity has several.")
@click.option(
    "--estimator",
    shell_complete=completion.estimators,
    help="One estimator, by its label; all by default.",
)
@click.option("--format", "fmt", type=click.Choice(FORMATS), default="terminal", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="File instead of standard output.")
@click.option(
    "--figure",
    type=click.Path(path_type=Path),
    help="Draw a tornado into FIGURE.pdf and FIGURE.png; of one estimator.",
)
@click.option(
    "--prior",
    "priors",
    multiple=True,
    metavar="LABEL=TABLE",
    help="Prior in place of that of the run, as in \"distance scale={ kind = 'normal', mean = 1.0, sd = 0.05 }\";"
    " nothing is run again.",
)
@click.option(
    "--apply",
    "measurement",
    type=click.Path(path_type=Path),
    help="CSV file of a measurement (quantity, r, value, lo68, hi68, unit; also of `measure`): print it with its"
    " systematic error, at its own radii; of one estimator.",
)
@click.option("--correct", is_flag=True, help="Remove the bias, too; goes with --apply.")
def budget(
    folder: Path,
    quantity: str,
    r: float | None,
    estimator: str | None,
    fmt: str,
    out: Path | None,
    figure: Path | None,
    priors: tuple[str, ...],
    measurement: Path | None,
    correct: bool,
) -> None:
    """Print what each factor of the results in FOLDER costs, what all cost together, and the sentence for a paper.

    Shifts are changes of the error at a factor's first and last level; 1 sigma is the standard deviation of the shift
    under the factor's prior, which is what adds in quadrature.
    """
    from haloassay.analysis import budget as analysis
    from haloassay.analysis.reweighting import make_priors, under_priors
    from haloassay.contracts import labels
    from haloassay.results.results import Results

    read = {} if measurement is None else {"measurement": measurement}
    require_writable({"--out": out, "--figure": figure}, read)
    require_outside(out, folder)
    _require_together(r, figure, measurement, correct)
    results = Results(folder)
    wanted = make_priors(named(priors, results.factors, "--prior"), results.factors)
    with labels.vocabulary(results.quantities):
        if measurement is not None:
            profile = results.steadily(
                lambda: analysis.profile(results, quantity, estimator, wanted)
            )
            _write_attached(profile, measurement, correct, fmt, out)
            return
        found = results.steadily(lambda: analysis.budgets(results, quantity, r, estimator, wanted))
        if figure is not None:
            _draw(found, figure)
        _write_budgets(found, under_priors(results.factors, wanted), results, fmt, out)


def _require_together(
    r: float | None, figure: Path | None, measurement: Path | None, correct: bool
) -> None:
    if correct and measurement is None:
        raise InputError("--correct: goes with --apply")
    if measurement is not None:
        if r is not None:
            raise InputError("--r: --apply takes the radii of the measurement")
        if figure is not None:
            raise InputError("--figure: is of a budget, and not of a measurement")


def _draw(found: Sequence[Budget], figure: Path) -> None:
    from haloassay.reports.figures.files import save
    from haloassay.reports.figures.tornado import tornado_figure

    if len(found) > 1:
        names = ", ".join(each.estimator for each in found)
        raise InputError(f"--figure: is of one estimator: choose it with --estimator ({names})")
    stem = figure.with_suffix("") if figure.suffix in (".pdf", ".png") else figure
    save(tornado_figure(found[0]).figure, stem)


def _write_budgets(
    found: Sequence[Budget],
    factors: Sequence[StatedFactor],
    results: Results,
    fmt: str,
    out: Path | None,
) -> None:
    from haloassay.reports import budget as words
    from haloassay.reports.tables import format_table

    if fmt == "terminal":
        told = [f"  {label}: {what}" for label, what in words.legend(factors)]
        write("\n".join([*map(words.text, found), *map(printable, ["factors", *told, ""])]), out)
    elif fmt == "latex":
        write("\n".join(words.latex(each, results.description) for each in found), out)
    elif fmt == "markdown":
        write("\n".join(map(words.markdown, found)), out)
    else:
        write(format_table(words.frame(found), fmt), out)


def _write_attached(
    profile: Sequence[Budget], measurement: Path, correct: bool, fmt: str, out: Path | None
) -> None:
    from haloassay.analysis.attachment import attach
    from haloassay.reports import attachment as words
    from haloassay.reports.tables import format_table

    attached = attach(profile, measurement)
    style = for_readers(words, fmt)
    if style is not None:
        write(style(profile, attached, correct), out)
    else:
        write(format_table(words.frame(profile, attached, correct), fmt), out)


@click.command()
@no_plugins
@verbosity
@set_option
@click.argument("scenario", shell_complete=completion.scenario_names)
@click.option("--until", required=True, metavar="RULE", help="As of `haloassay run --until`.")
@click.option("--pilot", type=int, default=10, show_default=True, help="Realisations of the pilot.")
@click.option("-j", "--workers", type=int, help="Processes [all processors].")
def plan(
    scenario: str, until: str, pilot: int, workers: int | None, settings: tuple[str, ...]
) -> None:
    """Say how many realisations of SCENARIO a rule asks for, and how long they take, from a pilot."""
    from haloassay.face import answers

    write(
        f"{printable(str(answers.plan(scenario, until, pilot, workers, by_path(settings))))}\n",
        None,
    )
