"""Text of others on its way out: what a terminal or an editor would obey is shown as an escape."""

from __future__ import annotations

import re
from typing import Any, Final

#: C0 (with ESC, BEL, CR, tab) and C1, marks and overrides of direction, other ends of lines, and lone surrogates.
_OBEYED: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str, lines: bool = False) -> str:
    r"""Write text so that nothing in it moves a cursor, changes a colour or turns the reading order.

    Parameters
    ----------
    text
        Of anybody: a title, a label, a message, the name of a column.
    lines
        Whether newlines and tabs may stay.

    Returns
    -------
    str
        With escapes as Python writes them, such as ``\x1b``, in place of control characters.
    """
    kept = "\n\t" if lines else ""
    return _OBEYED.sub(lambda found: found[0] if found[0] in kept else ascii(found[0])[1:-1], text)


def is_number(value: Any) -> bool:
    """Whether a value is a number, or a text of one."""
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True
