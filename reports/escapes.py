r"""Text of others in tables: what LaTeX, Markdown or a spreadsheet would take for more than text.

A label is ``\input{...}``, ``<script>`` or ``=cmd|...`` to none of those who open a table, and prints as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from haloassay.base.text import is_number, printable
from haloassay.contracts.quantities import QUANTITIES, Quantity

if TYPE_CHECKING:
    import pandas as pd

_LATEX: Final = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        **{c: f"\\{c}" for c in "&%$#_{}"},
    }
)
_MARKDOWN: Final = str.maketrans(
    {**{c: f"\\{c}" for c in "\\|`*[]"}, "<": "&lt;", ">": "&gt;", "&": "&amp;"}
)
#: Commands of TeX that the label of somebody else's quantity may have: they draw, and neither read nor write.
_DRAWING: Final = frozenset(
    (
        *("alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta"),
        *("vartheta", "iota", "kappa", "lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau"),
        *("upsilon", "phi", "varphi", "chi", "psi", "omega", "Gamma", "Delta", "Theta"),
        *("Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega", "ell", "odot"),
        *("oplus", "langle", "rangle", "left", "right", "perp", "parallel", "infty", "nabla"),
        *("partial", "dot", "ddot", "bar", "hat", "tilde", "vec", "overline", "frac", "sqrt"),
        *("ln", "log", "exp", "sin", "cos", "tan", "mathrm", "mathbf", "mathit", "mathcal"),
        *("rm", "it", "bf", "text", "times", "cdot", "pm", "mp", "approx", "sim", "propto"),
        *("leq", "geq", "le", "ge", "lt", "gt", "quad", "prime", "dagger", "star", "circ"),
        "rightarrow",
    )
)
_COMMAND: Final = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
#: First characters of what a spreadsheet computes.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def latex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return printable(text.replace("\n", " ")).translate(_LATEX)


def latex_row(cells: Sequence[str]) -> str:
    r"""Row of a LaTeX table; the ``\\`` of the row before takes no bracket that begins it for its own."""
    row = " & ".join(cells)
    return (f"{{}}{row}" if row.startswith(("[", "*")) else row) + r" \\"


def markdown(text: str) -> str:
    """Text that Markdown, and the HTML made of it, show as it is."""
    return printable(text.replace("\n", " ")).translate(_MARKDOWN)


def tex_label(quantity: Quantity) -> str | None:
    """Label of a quantity as LaTeX takes it; None where that of somebody else does more than draw."""
    label = quantity.label
    if quantity.name in QUANTITIES:
        return label
    commands = _COMMAND.findall(label)
    rest = _COMMAND.sub("", label)
    drawing = all(name in _DRAWING or name in ",;:! $_{}" for name in commands)
    whole = rest.count("$") % 2 == 0 and rest.count("{") == rest.count("}")
    free = not any(c in rest for c in "%&#~") and "^^" not in rest and printable(label) == label
    return label if drawing and whole and free else None


def shown(frame: pd.DataFrame, of_text: Callable[[str], str] = printable) -> pd.DataFrame:
    """Table with its text, names of columns included, as ``of_text`` writes it."""
    import pandas as pd

    safe = frame.rename(columns=of_text)
    for k, name in enumerate(frame.columns):
        if frame[name].dtype.kind not in "biuf":
            values = [of_text(v) if isinstance(v, str) else v for v in frame[name]]
            safe.isetitem(k, pd.Series(values, dtype=frame[name].dtype).array)
    return safe


def csv(frame: pd.DataFrame) -> str:
    """CSV of a table; text that a spreadsheet would compute stands behind an apostrophe, numbers stay numbers."""
    return str(shown(frame, _guarded).to_csv(index=False, lineterminator="\n"))


def _guarded(text: str) -> str:
    if text.startswith(_FORMULA) and not is_number(text):
        return f"'{printable(text)}"
    return printable(text)
