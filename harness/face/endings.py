"""How commands speak and end: lines that no terminal obeys, and exit codes."""

from __future__ import annotations

from typing import Final, NoReturn

import click

from haloassay.base.text import printable

#: A fault of what was tested, unusable input, nothing to compare, a defect of ours, interrupted by Ctrl-C, terminated.
EXIT_FAULT: Final = 1
EXIT_INPUT: Final = 2
EXIT_NOTHING: Final = 3
EXIT_BUG: Final = 70
EXIT_INTERRUPTED: Final = 130
EXIT_TERMINATED: Final = 143


def code_of(stop: KeyboardInterrupt) -> int:
    """Exit code of what was interrupted, by Ctrl-C or by SIGTERM."""
    return EXIT_TERMINATED if stop.args == ("SIGTERM",) else EXIT_INTERRUPTED


class End(SystemExit):
    """The end of a command, with its exit code; any other is not ours."""


def echo(text: object, err: bool = False) -> None:
    """Print a line; what a terminal would obey is shown, whoever wrote it."""
    click.echo(printable(str(text)), err=err)


def fail(message: str, code: int) -> NoReturn:
    """End the command with one line on standard error."""
    echo(f"haloassay: {' '.join(message.split())}", err=True)
    raise End(code)
