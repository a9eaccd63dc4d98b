"""Published statements that are tested again: the command `claims`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from haloassay.base.defaults import ALPHA
from haloassay.face import completion
from haloassay.face.endings import code_of, fail
from haloassay.face.outputs import FORMATS, for_readers, require_table, write
from haloassay.face.plugins import no_plugins
from haloassay.face.verbosity import verbosity

if TYPE_CHECKING:
    from haloassay.engine.claims import Tested
    from haloassay.engine.progress import Progress

_FORMATS: Final = (*FORMATS, "json")
#: Folder of the runs where none is named.
_OUT: Final = "claims"


def claims(
    *names: str | Path,
    quick: bool = False,
    out: str | Path = _OUT,
    workers: int | None = None,
    alpha: float = ALPHA,
    progress: Progress | None = None,
) -> list[Tested]:
    """Test published claims on mocks, as ``haloassay claims`` does.

    Parameters
    ----------
    names
        Packaged claims or TOML files; all packaged ones by default.
    quick
        Whether few realisations do.
    out
        Folder of the runs: one a scenario, which a second call finds done.
    workers, progress
        As of :func:`haloassay.run`.
    alpha
        Probability that any claim is said to differ where none does.

    Returns
    -------
    list
        One a claim: the claim, what mocks say, and the verdict.

    Raises
    ------
    InputError
        If a claim or its scenario is unusable, or its results have no row that it reads.
    """
    from haloassay.engine.claims import assess
    from haloassay.planning.claim import load_claim
    from haloassay.scenarios import claim_names

    chosen = [load_claim(name) for name in dict.fromkeys(names or claim_names())]
    return assess(chosen, out, quick, workers, alpha, progress)


@click.command(name="claims")
@no_plugins
@verbosity
@click.argument("names", nargs=-1, metavar="[CLAIM]...", shell_complete=completion.claim_names)
@click.option("--quick", is_flag=True, help="Few realisations, kept apart from those of full runs.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=_OUT,
    show_default=True,
    help="Folder of the runs, one a scenario: what is done there is not made again.",
)
@click.option("-j", "--workers", type=int, help="Processes [all processors].")
@click.option(
    "--alpha",
    type=float,
    default=ALPHA,
    show_default=True,
    help="Probability that any claim is said to differ where none does.",
)
@click.option("--format", "fmt", type=click.Choice(_FORMATS), default="terminal", show_default=True)
@click.option("--table", type=click.Path(path_type=Path), help="File of the table.")
def claims_command(
    names: Sequence[str],
    quick: bool,
    out: Path,
    workers: int | None,
    alpha: float,
    fmt: str,
    table: Path | None,
) -> None:
    """Test published CLAIMs (packaged names or TOML files; all that are packaged by default) on mocks.

    A claim is reproduced where the mocks' number is shown to be within its margin, differs where it is shown to be
    outside; else it cannot be told, or not be tested here. Ends with 0 whatever the verdicts.
    """
    from haloassay.engine.progress import make_progress
    from haloassay.reports import claims as words

    require_table(fmt, table)
    begun = time.monotonic()
    try:
        found = claims(*names, quick=quick, out=out, workers=workers, alpha=alpha)
    except KeyboardInterrupt as stop:
        fail("interrupted; finished work is kept, ask again to go on", code_of(stop))
    style = for_readers(words, fmt)
    if style is not None:
        write(style(found), table)
    elif fmt == "json":
        write(words.json_text(found), table)
    else:
        from haloassay.reports.tables import format_table

        write(format_table(words.frame(found), fmt), table)
    make_progress().say(_time_taken(len(found), time.monotonic() - begun, workers))


def _time_taken(n: int, seconds: float, workers: int | None) -> str:
    """Say how long claims took; it is no part of the table, which is the same on every machine."""
    from haloassay.engine.executors import available_workers
    from haloassay.engine.progress import clock

    used = max(available_workers() if workers is None else workers, 1)
    told = f"{n} claim{'' if n == 1 else 's'} in {clock(seconds)}"
    return f"{told} on {used} process{'' if used == 1 else 'es'}; what was done before was not made again"
