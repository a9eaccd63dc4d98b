"""The command that checks an estimator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from haloassay.base.defaults import CHECK_SEED
from haloassay.face import completion
from haloassay.face.endings import EXIT_FAULT, End, echo
from haloassay.face.options import pairs
from haloassay.face.outputs import require_writable, write
from haloassay.face.plugins import no_plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from haloassay.contracts.estimate import Estimator
    from haloassay.testing.check import Finding, Level
    from haloassay.testing.checking import Report

#: Formats, and the functions of the report that write them.
_FORMATS: Final = {"terminal": "text", "json": "json_text", "junit": "junit"}


def check(
    estimator: str | type[Estimator],
    settings: Mapping[str, Any] | None = None,
    scenario: Any = None,
    *,
    level: Level = "standard",
    only: Sequence[str] = (),
    seed: int = CHECK_SEED,
    timeout: float | None = None,
    workers: int = 1,
    say: Callable[[Finding], None] = lambda _: None,
) -> Report:
    """Check an estimator, as ``haloassay check`` does.

    Parameters, returns and errors are those of :func:`haloassay.testing.check_estimator`.
    """
    from haloassay.testing.checking import check_estimator

    return check_estimator(
        *(estimator, settings, scenario),
        level=level,
        only=only,
        seed=seed,
        timeout=timeout,
        workers=workers,
        say=say,
    )


@click.command(name="check")
@no_plugins
@click.argument("estimator", shell_complete=completion.estimator_kinds)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Setting, as in a scenario file."
)
@click.option(
    "--scenario",
    help="Scenario whose mock and survey are a halo on which all holds that the method assumes [the attribute ideal of"
    " its class].",
)
@click.option("--only", multiple=True, metavar="NAME", help="This check alone; more than once.")
@click.option(
    "--level",
    type=click.Choice(("quick", "standard", "thorough")),
    default="standard",
    show_default=True,
    help="Seconds; with a hundred mocks; with 400 of them and large catalogues.",
)
@click.option("--seed", type=int, default=CHECK_SEED, show_default=True, help="Of stars and mocks.")
@click.option("--timeout", type=float, help="Seconds that a check may take.")
@click.option(
    "-j",
    "--workers",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Processes; 0 for none beside this one.",
)
@click.option(
    "--format", "fmt", type=click.Choice(tuple(_FORMATS)), default="terminal", show_default=True
)
@click.option("--out", type=click.Path(path_type=Path), help="File instead of standard output.")
def check_command(
    estimator: str,
    settings: tuple[str, ...],
    scenario: str | None,
    only: tuple[str, ...],
    level: Any,
    seed: int,
    timeout: float | None,
    workers: int,
    fmt: str,
    out: Path | None,
) -> None:
    """Check ESTIMATOR, a kind or module:Class: what it declares, repeats and leaves alone, and whether it is right.

    Ends with 1 where a check fails.
    """
    from haloassay.testing import words

    require_writable({"--out": out})
    told = fmt == "terminal" and out is None
    report = check(
        estimator,
        pairs(settings, "--set") or None,
        scenario,
        level=level,
        only=only,
        seed=seed,
        timeout=timeout,
        workers=workers,
        say=lambda finding: echo(words.line(finding)) if told else None,
    )
    if told:
        for line in words.ending(report):
            echo(line)
    else:
        write(getattr(words, _FORMATS[fmt])(report), out)
    if not report.passed:
        raise End(EXIT_FAULT)
