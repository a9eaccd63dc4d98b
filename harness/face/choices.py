"""What there is to choose from: the commands `list` and `describe`."""

from __future__ import annotations

import shutil
import sys
from typing import Final

import click

from haloassay.base.text import printable
from haloassay.face import completion
from haloassay.face.endings import echo
from haloassay.face.plugins import no_plugins

#: What can be listed; :data:`haloassay.face.vocabulary.VOCABULARY`, which takes longer to import, has no other.
LISTS: Final = (
    *("mocks", "densities", "betas", "distributions", "potentials", "debris", "surveys"),
    *("luminosities", "estimators", "cleans", "quantities", "parts", "scenarios", "claims"),
)


@click.command(name="list")
@click.argument("what", type=click.Choice(LISTS))
@click.option("--settings", is_flag=True, help="Name the settings of each, too.")
def list_command(what: str, settings: bool) -> None:
    """List what there is to choose from, a line each; `parts` are the tables of a scenario."""
    from haloassay.face.vocabulary import entries

    found = entries(what)
    width = max((len(printable(entry.name)) for entry in found), default=0)
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for entry in found:
        name, summary = printable(entry.name), printable(entry.summary)
        line = f"{name:<{width}}  {summary}".rstrip()
        if room is not None and len(line) > room > width + 3:
            line = f"{line[: room - 1]}…"  # a pipe gets all of it
        click.echo(click.style(line[:width], bold=True) + line[width:])
        for setting in entry.settings if settings else ():
            echo(f"    {setting}")


@click.command(name="describe")
@no_plugins
@click.argument("name", shell_complete=completion.known_names)
def describe_command(name: str) -> None:
    """Say all that is known of an estimator, survey or other kind called NAME, or of a part of a scenario such as lmc.

    Of a scenario or a claim (a packaged name or a TOML file) it prints the file, to be copied, changed and run.
    """
    from haloassay.face import api

    click.echo(printable(api.describe(name), lines=True))
