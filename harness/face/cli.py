"""The command line: parses, calls the function of the same name, prints. Heavy imports wait for a command."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import click

from haloassay.base.errors import HaloassayError, warn_in_one_line
from haloassay.base.text import printable
from haloassay.face import completion
from haloassay.face.budgets import budget, plan
from haloassay.face.challenges import challenge_command
from haloassay.face.checks import check_command
from haloassay.face.choices import describe_command, list_command
from haloassay.face.claims import claims_command
from haloassay.face.endings import (
    EXIT_BUG,
    EXIT_FAULT,
    EXIT_INPUT,
    EXIT_INTERRUPTED,
    End,
    code_of,
    echo,
    fail,
)
from haloassay.face.figures import figure_command
from haloassay.face.gates import (
    baseline_command,
    compare_command,
    objections,
    rules_of,
)
from haloassay.face.matches import match_command
from haloassay.face.measured import measure
from haloassay.face.options import RESULTS, by_factor, by_path, only_option, set_option
from haloassay.face.outputs import files_of, require_writable, write
from haloassay.face.pace import told
from haloassay.face.plugins import no_plugins
from haloassay.face.predictions import predict
from haloassay.face.rankings import league, rank
from haloassay.face.shards import merge_command, status_command
from haloassay.face.starting import init_command, resolved_text
from haloassay.face.tables import print_results, report_command, require_scores, table_command
from haloassay.face.training import train_command
from haloassay.face.verbosity import verbosity
from haloassay.face.versions import version_options


class _NumberOrAll(click.ParamType):  # type: ignore[type-arg] # of some versions
    """A whole number, or ``all``."""

    name = "number|all"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Literal["all"]:
        return "all" if value == "all" else click.INT.convert(value, param, ctx)


@contextlib.contextmanager
def _read_to_the_end() -> Iterator[None]:
    """End well where a reader, such as head, has closed the pipe: what was asked for is done."""
    try:
        yield
    except (OSError, SystemExit) as error:
        # rich takes it for the end of the program
        cause = error.__context__ if isinstance(error, SystemExit) else error
        if not (isinstance(cause, OSError) and cause.errno == errno.EPIPE):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to write
        raise End(0) from None


class _Commands(click.Group):
    """All commands, and their help."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _read_to_the_end():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _read_to_the_end():
            return super().invoke(ctx)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@version_options
def haloassay() -> None:
    """Test methods that weigh the Milky Way's halo on mocks whose mass is known.

    A scenario says what halo is made, how a survey sees it, and which estimators read the catalogue; `run` makes
    many such catalogues, and tables, figures and a page say how far off each estimator is, by how much it
    scatters, and whether its error bars can be believed.

    Start with:  haloassay run quickstart --out quickstart
    """


for command in (
    *(baseline_command, budget, challenge_command, check_command, claims_command, compare_command),
    *(describe_command, list_command),
    *(figure_command, league, match_command, measure, plan, predict, rank),
    *(report_command, table_command),
    *(completion.completion_command, init_command, merge_command, status_command, train_command),
):
    haloassay.add_command(command)


@haloassay.command()
@no_plugins
@verbosity
@click.argument("scenario", shell_complete=completion.scenario_names)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of the results."
)
@click.option(
    "-n", "--realizations", type=int, help="Catalogues of each cell, instead of the scenario's."
)
@click.option(
    "-j",
    "--workers",
    type=int,
    help="Processes [all processors], 0 for none beside this one; results do not depend on it.",
)
@click.option("--seed", type=int, help="Seed, instead of the scenario's.")
@click.option(
    "--timeout", type=float, help="Seconds that one catalogue with its estimators may take."
)
@click.option("--restart", "mode", flag_value="restart", help="Throw away what --out holds.")
@click.option("--refuse", "mode", flag_value="refuse", help="Stop if --out holds anything.")
@click.option(
    "--resume",
    "mode",
    flag_value="resume",
    default=True,
    help="Go on where --out stopped [default].",
)
@click.option(
    "--until",
    metavar="RULE",
    help="Add realisations until this holds for all rows of the table of scores, or of paired differences, such as"
    " 'bias_mcse < 0.01' or 'shift_mcse < 0.005 for quantity=m200, estimator=jeans-3d'.",
)
@click.option(
    "--at-most",
    type=int,
    default=10_000,
    show_default=True,
    help="Realisations at which --until ends.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check everything, say what would run and what looks like a slip, print the whole scenario, write nothing.",
)
@click.option("--no-report", is_flag=True, help="Leave out the page.")
@click.option("--full", is_flag=True, help="Print every bin with all its scores.")
@click.option(
    "--fail-if",
    "forbidden",
    multiple=True,
    metavar="RULE",
    help="End with 1 if this holds for a row of the table, such as 'abs(bias) > 0.05 + 3*bias_mcse for quantity=m200'.",
)
@click.option(
    "--fail-on-verdict", is_flag=True, help="End with 1 if a verdict finds a fault, however small."
)
@set_option
@only_option
@click.option("--yes", "large", is_flag=True, help="Run more than 100000 catalogues, too.")
@click.option(
    "--shard",
    metavar="NUMBER/OF",
    help="Do a part of the work only, such as 3/100, in a folder of its own in --out; `merge` joins them.",
)
@click.option(
    "--scheduler",
    metavar="WHERE",
    help="Dask cluster that runs them: tcp://HOST:PORT, local (with -j workers), or slurm:FILE.toml (pbs, lsf, sge):"
    " the settings of dask-jobqueue.",
)
@click.option(
    "--allow-versions",
    is_flag=True,
    help="Take workers of a cluster that have other versions, too.",
)
def run(
    scenario: str,
    out: Path,
    realizations: int | None,
    workers: int | None,
    seed: int | None,
    timeout: float | None,
    mode: Any,
    until: str | None,
    at_most: int,
    dry_run: bool,
    no_report: bool,
    full: bool,
    forbidden: tuple[str, ...],
    fail_on_verdict: bool,
    settings: tuple[str, ...],
    only: tuple[str, ...],
    large: bool,
    shard: str | None,
    scheduler: str | None,
    allow_versions: bool,
) -> None:
    """Run SCENARIO (a packaged name or a TOML file) and print what it comes to on one screen."""
    from haloassay.face import api

    rules = rules_of(forbidden)
    try:
        results = api.run(
            *(scenario, out, realizations, workers, seed, mode, timeout, dry_run),
            until=until,
            at_most=at_most,
            large=large,
            settings=by_path(settings),
            only=by_factor(only),
            shard=shard,
            scheduler=scheduler,
            allow_versions=allow_versions,
        )
    except KeyboardInterrupt as stop:
        fail("interrupted; finished work is kept, run again to go on", code_of(stop))
    if dry_run:
        click.echo(printable(resolved_text(results.scenario), lines=True), nl=False)
        return
    if shard is not None:
        echo(
            f"shard {shard}: {results.out} (haloassay status {out}; haloassay merge {out} --out {out})"
        )
        return
    page: Path | None = None
    if no_report:
        scores = results.table()
    else:
        page, scores = api.write_report(out, None, figures=False)
    print_results(results, scores, full=full, page=str(page or ""))
    require_scores(scores, out)
    found = [*objections(results, rules, fail_on_verdict)]
    for line in found:
        echo(line, err=True)
    if found:
        raise End(EXIT_FAULT)


@haloassay.command()
@click.argument("folder", type=RESULTS)
@click.option("--traceback", is_flag=True, help="Show where in the code each was raised.")
def failures(folder: Path, traceback: bool) -> None:
    """Print which estimator runs in FOLDER failed, why, how often, and how to make their catalogues again."""
    from haloassay.face import api

    for line in api.failures(folder, traceback).split("\n"):
        echo(line)


@haloassay.command()
@no_plugins
@click.argument("scenario", shell_complete=completion.scenario_names)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Catalogue: .parquet, .fits, .ecsv, .csv, .hdf5, .vot, .txt; all keep units and the Sun.",
)
@click.option(
    "-n",
    "--n-stars",
    type=_NumberOrAll(),
    help="Number of stars, instead of the survey's; all, of a mock that has only so many.",
)
@click.option(
    "--truth", "truth_file", type=click.Path(path_type=Path), help="JSON file for the truth."
)
@click.option(
    "--true-stars", is_flag=True, help="Write the stars as they are, not as the survey saw them."
)
@click.option("--seed", type=int, help="Seed, instead of the scenario's.")
@click.option(
    "--realization", type=int, default=0, show_default=True, help="Which of the run's catalogues."
)
@click.option(
    "--cell",
    shell_complete=completion.cells,
    help="Cell of the matrix, as a report names it; by default, no factor is changed.",
)
@set_option
def mock(
    scenario: str,
    out: Path,
    n_stars: int | Literal["all"] | None,
    truth_file: Path | None,
    true_stars: bool,
    seed: int | None,
    realization: int,
    cell: str | None,
    settings: tuple[str, ...],
) -> None:
    """Make one mock catalogue of SCENARIO, or of the results in a folder, and the truth behind it."""
    import json

    import numpy as np

    from haloassay.engine.catalogues import mock as mock_catalogue
    from haloassay.engine.catalogues import scenario_of
    from haloassay.io.formats import format_of
    from haloassay.io.tables import write_catalogue

    format_of(out)
    require_writable({"--out": out, "--truth": truth_file}, files_of(scenario_of(scenario)[0]))
    with told(f"{out}: making stars"):
        made = mock_catalogue(scenario, n_stars, seed, realization, cell, by_path(settings))
    with told(f"{out}: writing {len(made.catalogue)} stars"):
        if true_stars:
            made.write_true_stars(out)
        else:
            write_catalogue(made.catalogue, out)
    if truth_file is not None:
        radii = np.geomspace(made.stars.r.min(), made.stars.r.max(), 65)
        write(json.dumps(made.truth_at(radii), indent=1) + "\n", truth_file)
    for reason, count in made.catalogue.dropped.items():
        echo(f"{out}: {count} rows dropped: {reason}", err=True)
    echo(f"{len(made.catalogue)} stars: {out}")


def main() -> None:
    """Entry point: every failure is one line and an exit code; tracebacks only with HALOASSAY_TRACEBACK=1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Greek letters
    warn_in_one_line()
    if os.environ.get(completion.VARIABLE):
        haloassay.main(prog_name="haloassay")  # a shell asks; what it ends with is the answer's own
    if any("\0" in word for word in sys.argv):
        fail("an argument holds a zero byte, which no name has", EXIT_INPUT)
    try:
        haloassay(sys.argv[1:] or ["--help"], standalone_mode=False)
    except End:
        raise
    except SystemExit as end:
        fail(f"code of others means to end the program (exit code {end.code})", EXIT_INPUT)
    except click.exceptions.Abort as abort:
        if isinstance(abort.__cause__, EOFError):  # click takes it for a user who ends the input
            fail(*_explain(abort.__cause__))
        stop = abort.__cause__
        code = code_of(stop) if isinstance(stop, KeyboardInterrupt) else EXIT_INTERRUPTED
        fail("interrupted", code)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "haloassay"
        fail(f"{error.format_message().rstrip('.')} (see {command} --help)", EXIT_INPUT)
    except Exception as error:
        if os.environ.get("HALOASSAY_TRACEBACK"):
            raise
        fail(*_explain(error))


def _explain(error: Exception) -> tuple[str, int]:
    """Line for the user, and exit code."""
    if isinstance(error, HaloassayError):
        return str(error), EXIT_INPUT
    if isinstance(error, OSError):
        return f"{error.filename or 'file'}: {error.strerror or error}", EXIT_INPUT
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}", EXIT_INPUT
    reason = f"{type(error).__name__}: {error} (HALOASSAY_TRACEBACK=1 shows where)"
    return f"internal error, please report it: {reason}", EXIT_BUG
