"""How much a command that runs for long says on the way: the options -v and -q."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def verbosity(command: F) -> F:
    """Give a command the options ``-v`` and ``-q``, which set the level of the logger ``haloassay``."""
    loud = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_setter(logging.DEBUG),
        help="Say how each catalogue went.",
    )
    low = click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_setter(logging.WARNING),
        help="No progress; only what one should know of.",
    )
    return loud(low(command))


def _setter(level: int) -> Callable[[click.Context, click.Parameter, bool], None]:
    def choose(ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if not given:
            return
        if ctx.meta.setdefault("haloassay.level", level) != level:
            raise click.UsageError("-v and -q exclude each other", ctx)
        logger = logging.getLogger("haloassay")
        ctx.call_on_close(lambda before=logger.level: logger.setLevel(before))
        logger.setLevel(level)

    return choose
