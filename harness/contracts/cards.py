"""What an object says of itself in a terminal and in a notebook: a title, a small table, some notes."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from haloassay.base.text import printable

_T = TypeVar("_T")

#: Rows, and characters of one cell or note, that leave the whole on one screen.
_ROWS: Final = 16
_WIDTH: Final = 76


@dataclass(frozen=True)
class Card:
    """A short description; longer tables are cut, and it is said.

    Parameters
    ----------
    title
        What it is, in a line.
    header, rows
        A table of text, with units in the header or in cells of their own.
    notes
        Lines under it.
    """

    title: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    notes: Sequence[str] = ()

    def text(self) -> str:
        """Lines for a terminal, none of which ends in blanks."""
        table = [[_short(cell) for cell in row] for row in (self.header, *self.rows[:_ROWS]) if row]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  " + "  ".join(map(str.ljust, row, widths)) for row in table]
        lines += [f"  {note}" for note in self._notes]
        return "\n".join(line.rstrip() for line in (_short(self.title), *lines))

    def html(self) -> str:
        """HTML of the same, every word of it escaped."""
        rows = "".join(f"<tr>{_cells(row, 'td')}</tr>" for row in self.rows[:_ROWS])
        head = f"<thead><tr>{_cells(self.header, 'th')}</tr></thead>" if self.header else ""
        table = f"<table>{head}<tbody>{rows}</tbody></table>" if rows else ""
        notes = "".join(f"<div>{_escaped(note)}</div>" for note in self._notes)
        return f"<div><strong>{_escaped(self.title)}</strong>{table}{notes}</div>"

    @property
    def _notes(self) -> list[str]:
        left = len(self.rows) - _ROWS
        more = [f"and {left} more row{'s' if left > 1 else ''}"] if left > 0 else []
        return [*more, *map(_short, self.notes[:_ROWS])]


def carded(cls: type[_T]) -> type[_T]:
    """Let objects of a class show themselves by their property ``_card``, in a terminal and in a notebook.

    A decorator and no base class, because a tuple with names cannot have one.
    """

    def text(self: Any) -> str:
        card: Card = self._card
        return card.text()

    def html(self: Any) -> str:
        card: Card = self._card
        return card.html()

    for name, method in (("__repr__", text), ("_repr_html_", html)):
        setattr(cls, name, method)
    return cls


def number(value: float) -> str:
    """Write a number in four digits; a dash where there is none."""
    return f"{value:.4g}" if value == value else "–"


def span(lo: float, hi: float) -> str:
    """Write ``5.1 to 95.3``; a dash where there is none."""
    return f"{lo:.4g} to {hi:.4g}" if lo == lo and hi == hi else "–"


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _WIDTH else f"{shown[: _WIDTH - 1]}…"


def _escaped(text: str) -> str:
    return html.escape(_short(text))


def _cells(row: Sequence[str], tag: str) -> str:
    return "".join(f"<{tag}>{_escaped(cell)}</{tag}>" for cell in row)
