"""Completion by the shell: the command `completion`, and names for arguments; nothing here computes.

Whoever presses a key waits: of a results folder only ``run.json`` is read, and numpy is never imported.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, get_completion_class, split_arg_string

from haloassay import scenarios
from haloassay.base import kinds

#: Environment variable by which a shell asks for completions.
VARIABLE: Final = "_HALOASSAY_COMPLETE"

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    r"""Print what makes SHELL complete commands, options and names of scenarios, claims, estimators and cells.

    \b
    bash:  eval "$(haloassay completion bash)"      in ~/.bashrc
    zsh:   eval "$(haloassay completion zsh)"       in ~/.zshrc
    fish:  haloassay completion fish | source       in ~/.config/fish/config.fish
    """
    found = get_completion_class(shell)
    assert found is not None  # click has all three
    click.echo(found(ctx.find_root().command, {}, "haloassay", VARIABLE).source())


def scenario_names(_: click.Context, __: click.Parameter, text: str) -> list[CompletionItem]:
    """Name packaged scenarios, else files."""
    return [CompletionItem(text, type="file"), *_starting(scenarios.names(), text)]


def claim_names(_: click.Context, __: click.Parameter, text: str) -> list[CompletionItem]:
    """Name packaged claims, else files."""
    return [CompletionItem(text, type="file"), *_starting(scenarios.claim_names(), text)]


def estimator_kinds(_: click.Context, __: click.Parameter, text: str) -> list[CompletionItem]:
    """Name kinds of estimators."""
    return _starting(kinds.names("estimators"), text)


def known_names(_: click.Context, __: click.Parameter, text: str) -> list[CompletionItem]:
    """Name all that `describe` knows."""
    from haloassay.contracts.quantities import QUANTITIES
    from haloassay.face.parts import CHOICES, TABLES

    known = {*scenarios.names(), *scenarios.claim_names(), *QUANTITIES, *TABLES, *CHOICES}
    for family in kinds.FAMILIES:
        known |= set(kinds.names(family))
    return _starting(known, text)


def cells(_: click.Context, __: click.Parameter, text: str) -> list[CompletionItem]:
    """Name cells of the results that the command is about."""
    return _starting((cell.get("cell") for cell in _told().get("cells", ())), text)


def estimators(_: click.Context, __: click.Parameter, text: str) -> list[CompletionItem]:
    """Name estimators of the results that the command is about, by their labels."""
    return _starting((each.get("estimator") for each in _told().get("estimators", ())), text)


def quantities(_: click.Context, __: click.Parameter, text: str) -> list[CompletionItem]:
    """Name quantities, with those of the results' own."""
    from haloassay.contracts.quantities import QUANTITIES

    own = (each.get("name") for each in _told().get("quantities", ()))
    return _starting([*QUANTITIES, *own], text)


def _told() -> dict[str, Any]:
    """Read ``run.json`` of the first word that is a results folder; nothing where none is.

    The words are those that the shell hands over: click knows no argument once an option lacks its value.
    """
    for word in split_arg_string(os.environ.get("COMP_WORDS", ""))[1:]:
        try:
            told = json.loads((Path(word) / "run.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(told, dict):
            return told
    return {}


def _starting(names: Iterable[Any], text: str) -> list[CompletionItem]:
    """Names that go on as a text does."""
    known = dict.fromkeys(str(name) for name in names if name)
    return [CompletionItem(name) for name in sorted(known) if name.startswith(text)]
