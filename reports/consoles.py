"""How reports print on a terminal: text as it is, whoever wrote it, and tables of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from haloassay.base.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from rich.console import Console
    from rich.text import Text

#: Columns of text from which a terminal shows all Monte Carlo errors.
WIDE: Final = 110
#: Columns of a file or a pipe where a row is a line, however long.
ENDLESS: Final = 100_000


def console_of(width: int = WIDE) -> Console:
    """Console on standard output, at least of this width where it is no terminal."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:  # a file or a pipe has room for every digit
        console.width = max(console.width, width)
    return console


def print_title(console: Console, title: str) -> None:
    """Print a title, where there is one."""
    if title:
        console.print(text_of(title, "bold"))


def print_rows(
    console: Console, heading: str, names: Sequence[str], rows: Sequence[Mapping[Any, str]]
) -> None:
    """Print a table of text, its first column to the left."""
    from rich import box
    from rich.table import Table

    table = Table(title_justify="left", title_style="bold")
    if heading:
        table.title = text_of(heading)
    table.box, table.padding, table.pad_edge = box.SIMPLE_HEAD, (0, 1, 0, 0), False
    table.show_edge = False
    for k, name in enumerate(names):
        justify: Literal["left", "right"] = "left" if k == 0 else "right"
        table.add_column(text_of(name), justify=justify, overflow="fold")
    for row in rows:
        table.add_row(*(text_of(row[name]) for name in names))
    console.print(table)


def text_of(text: str, style: str = "") -> Text:
    """Text that rich prints as it is: no markup, no emoji by name, nothing that a terminal obeys."""
    from rich.text import Text

    return Text(printable(text), style)
