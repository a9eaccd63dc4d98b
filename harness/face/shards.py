"""Runs that are shared out: the commands `status` and `merge`."""

from __future__ import annotations

from pathlib import Path

import click

from haloassay.base.text import printable
from haloassay.face.endings import EXIT_FAULT, End, echo


@click.command(name="status")
@click.argument("folder", type=click.Path(path_type=Path))
def status_command(folder: Path) -> None:
    """Say how far the run in FOLDER has come, and which of its shards are done, running or stopped."""
    from haloassay.results.status import status

    for line in str(status(folder)).split("\n"):
        echo(line)


@click.command(name="merge")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of all results; the one that holds the shards may be it.",
)
@click.option("--resume", is_flag=True, help="Run what is missing, too.")
@click.option("-j", "--workers", type=int, help="Processes of --resume [all processors].")
def merge_command(folders: tuple[Path, ...], out: Path, resume: bool, workers: int | None) -> None:
    """Join results of one scenario, or the shards of a run, in one folder, and say what is missing.

    Ends with 1 if anything is.
    """
    from haloassay.engine.runner import run
    from haloassay.results.merging import merge, missing

    merged = merge(folders, out, lambda line: echo(line, err=True))
    for line in str(merged).split("\n"):
        echo(line)
    lacks = bool(len(merged.missing))
    if lacks and resume:
        lacks = bool(len(missing(run(merged.results.scenario, out, workers=workers, large=True))))
    if lacks:
        echo(printable(f"`haloassay merge {out} --out {out} --resume` runs what is missing"))
        raise End(EXIT_FAULT)
