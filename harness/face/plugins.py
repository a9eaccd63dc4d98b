"""Code of third parties on the command line: found where the user is, or refused."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from haloassay.base import kinds


def _choose_plugins(ctx: click.Context, _: click.Parameter, refused: bool) -> None:
    """Let a command find the user's own classes where the user is, or refuse all code of third parties."""
    if refused:
        ctx.with_resource(kinds.without_plugins())
    elif (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # last, so that it shadows nothing


#: What commands have that read a scenario or an estimator; others import nothing from where the user is.
no_plugins = click.option(
    "--no-plugins",
    is_flag=True,
    expose_value=False,
    callback=_choose_plugins,
    help="Refuse classes of third parties: 'module:Class', and kinds of other distributions.",
)
