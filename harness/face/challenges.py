"""Blind challenges: the commands `challenge make`, `score`, `check` and `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from haloassay.face import completion
from haloassay.face.endings import EXIT_FAULT, EXIT_INTERRUPTED, End, echo, fail
from haloassay.face.options import by_path, set_option
from haloassay.face.plugins import no_plugins

_FORMATS: Final = ("parquet", "fits", "csv", "ecsv")
_FOLDER: Final = click.Path(path_type=Path)


@click.group(name="challenge")
def challenge_command() -> None:
    """Make a blind challenge, and score anybody's numbers with the scores of a run.

    The organiser makes it (make) and publishes the hash of the sealed truth, then the public folder. Participants
    fill in submission.csv, and look whether it is well formed (check). In the end the organiser scores what came in
    (score) and publishes the sealed folder: all can see that the truth is the one that was committed to (verify).
    """


@challenge_command.command(name="make")
@no_plugins
@click.argument("scenario", shell_complete=completion.scenario_names)
@click.option("--out", required=True, type=_FOLDER, help="Folder of the challenge, a new one.")
@click.option(
    "-n", "--realizations", type=int, help="Catalogues of each cell, instead of the scenario's."
)
@click.option(
    "--seed",
    type=int,
    help="A seed that nobody else knows [one that is drawn]. That of the scenario would give the truth away.",
)
@click.option(
    "--ask",
    multiple=True,
    metavar="QUANTITY[@R1,R2,...]",
    help="What is asked of each catalogue, at radii [kpc], as enclosed_mass@10,20,50 or m200; repeatable. By default"
    " enclosed_mass and beta at five radii of the stars, and m200 where the halo has one.",
)
@click.option("--format", "fmt", type=click.Choice(_FORMATS), default="parquet", show_default=True)
@set_option
def make_command(
    scenario: str,
    out: Path,
    realizations: int | None,
    seed: int | None,
    ask: tuple[str, ...],
    fmt: Any,
    settings: tuple[str, ...],
) -> None:
    """Make catalogues, and seal their truth.

    OUT/public is for participants: catalogues of SCENARIO, all cells and realisations in any order. OUT/sealed, the
    truth and apart from it the salt of its hash, is kept until the end.
    """
    from haloassay.engine.challenges import challenge
    from haloassay.engine.progress import make_progress

    values = by_path(settings)
    try:
        made = challenge(
            *(scenario, out, realizations, seed, ask, fmt, values), say=make_progress().say
        )
    except KeyboardInterrupt:
        fail(f"interrupted; nothing is left in {out}", EXIT_INTERRUPTED)
    n, asked = len(made.catalogues), len(made.questions)
    echo(f"commitment (SHA-256): {made.commitment}")
    echo(
        f"{made.public}: {n} catalogue{'' if n == 1 else 's'}, {asked} number{'' if asked == 1 else 's'} asked of each;"
        " publish the commitment, then this folder"
    )
    echo(f"{made.sealed}: truth and salt; keep both until the end")


@challenge_command.command(name="score")
@click.argument("folder", type=_FOLDER)
@click.argument("submissions", nargs=-1, required=True, metavar="SUBMISSION...", type=_FOLDER)
@click.option(
    "--out",
    type=_FOLDER,
    help="Folder for the results, a new one, which table, rank, figure and report read [none is kept].",
)
@click.option("--full", is_flag=True, help="Print every radius with all its scores.")
def score_command(
    folder: Path, submissions: tuple[Path, ...], out: Path | None, full: bool
) -> None:
    """Score submissions against the truth.

    Each SUBMISSION to the challenge in FOLDER is an estimator of its file's name. Nothing is scored unless the sealed
    truth is the one that was committed to.
    """
    import tempfile

    from haloassay.face.tables import print_results, require_scores
    from haloassay.results.challenge import Challenge

    challenge = Challenge(folder)
    with tempfile.TemporaryDirectory(prefix="haloassay-") as nowhere:
        results = challenge.score(
            *submissions, out=Path(nowhere) / "results" if out is None else out
        )
        for file in submissions:
            echo(challenge.check(file), err=True)
        scores = results.table()
        print_results(results, scores, full=full)
        require_scores(scores, folder)


@challenge_command.command(name="check")
@click.argument("folder", type=_FOLDER)
@click.argument("submissions", nargs=-1, required=True, metavar="SUBMISSION...", type=_FOLDER)
def check_command(folder: Path, submissions: tuple[Path, ...]) -> None:
    """Say whether submissions are well formed.

    FOLDER is the public part of the challenge, or all of it; the truth is not read.
    """
    from haloassay.results.challenge import Challenge

    challenge = Challenge(folder)
    for file in submissions:
        echo(challenge.check(file))


@challenge_command.command(name="verify")
@click.argument("folder", type=_FOLDER)
def verify_command(folder: Path) -> None:
    """Say whether anything was changed.

    The sealed truth in FOLDER is to be the one that was committed to, and of the catalogues and questions there; and
    participants are to have been told what is sealed of survey and Sun. Ends with 1 if it is not so.
    """
    from haloassay.results.challenge import Challenge
    from haloassay.results.sealing import CHALLENGE, README

    challenge = Challenge(folder)
    objections = challenge.verify()
    for line in objections:
        echo(f"{folder}: {line}")
    if objections:
        raise End(EXIT_FAULT)
    echo(f"{folder}: the sealed truth is the one that was committed to, {challenge.commitment}")
    echo(f"{folder}: the {len(challenge.catalogues)} catalogues are those that it is of")
    if unverified := challenge.unverified:
        echo(
            f"{folder}: not compared, as a truth of this age does not have it: {', '.join(unverified)}"
        )
    else:
        echo(f"{folder}: {CHALLENGE} and {README} tell what was sealed with it")
