"""How figures look: widths of journals, our style with a user's over it, colours and marks of what is compared."""

from __future__ import annotations

import contextlib
import difflib
import functools
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from haloassay.base.errors import InputError
from haloassay.base.settings import unknown

#: Widths of a column and of a page [inch]. A&A: "one-column format (88 mm)", "entire page width (max. 180 mm)"
#: (aanda.org, for authors, figures). MNRAS: mnras.cls 3.3 of 2024, two columns of 244 TeX points 20 apart. ApJ:
#: aastex631.cls, a text of 7.1 inches with 0.3125 between two columns.
WIDTHS: Final = {
    "aa": 88.0 / 25.4,
    "aa-wide": 180.0 / 25.4,
    "mnras": 244.0 / 72.27,
    "mnras-wide": 508.0 / 72.27,
    "apj": (7.1 - 0.3125) / 2.0,
    "apj-wide": 7.1,
}
#: Narrower figures have no room for labels, wider ones are no figures of a paper [inch].
_NARROWEST: Final = 2.0
_WIDEST: Final = 30.0
#: Our style: a file that a user can copy.
STYLE: Final = Path(__file__).parents[1] / "haloassay.mplstyle"
#: Marks that stay apart in small print; they and the colours have no common turn, so that pairs repeat late.
_MARKERS: Final = "osD^vP*Xhp<>d"
_LINES: Final = ("-", "--", ":", "-.")
GREY: Final = "0.45"


@dataclass(frozen=True)
class Look:
    """Width [inch] of a figure, and the settings of a user's style, which go over ours."""

    width: float = WIDTHS["aa"]
    style: Mapping[str, Any] | None = None

    @property
    def is_wide(self) -> bool:
        """Whether it is more than a column."""
        return self.width > 5.0

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Let matplotlib draw in this look inside, whatever the settings outside, which stay as they are."""
        import matplotlib.style

        styles = [ours(), *([] if self.style is None else [dict(self.style)])]
        with matplotlib.style.context(styles, after_reset=True):
            yield


def make_look(width: str | float = "aa", style: str | Path | None = None) -> Look:
    """Look of a width, by the name of a journal or in inches, and of a file of matplotlib's format.

    Raises
    ------
    InputError
        If there is no such width, or the file is no style.
    """
    try:
        inches = WIDTHS[width] if isinstance(width, str) and width in WIDTHS else float(width)
    except ValueError:
        raise unknown("width", width, [*WIDTHS, "a number of inches"], "--width") from None
    if not _NARROWEST <= inches <= _WIDEST:
        raise InputError(
            f"--width {width}: is {_NARROWEST:g} to {_WIDEST:g} inches, or a name ({', '.join(WIDTHS)})"
        )
    return Look(inches, None if style is None else read_style(Path(style)))


@functools.cache
def ours() -> dict[str, Any]:
    """Read :data:`STYLE`, once."""
    return read_style(STYLE)


def read_style(path: Path) -> dict[str, Any]:
    """Read a style file of matplotlib's format: what it says, without matplotlib's defaults.

    Raises
    ------
    InputError
        If there is no such file, a setting is unknown, has a bad value or is none of a style, or labels are to be
        run by TeX.
    """
    import matplotlib
    import matplotlib.style

    if not path.is_file():
        raise InputError(f"{path}: there is no such style file")
    with _heard() as said:
        try:
            found = dict(
                matplotlib.rc_params_from_file(path, fail_on_error=True, use_default_template=False)
            )
        except (ValueError, TypeError, OSError, SyntaxError) as error:
            raise InputError(f"{path}: is no style of matplotlib: {error}") from error
    for record in said:
        raise InputError(f"{path}: {_complaint(record)}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            with matplotlib.style.context(found):
                pass
        except UserWarning as warning:
            raise InputError(f"{path}: {warning}") from None
    if found.get("text.usetex"):
        raise InputError(f"{path}: text.usetex: labels of a scenario are text, which TeX would run")
    return found


@contextlib.contextmanager
def _heard() -> Iterator[list[logging.LogRecord]]:
    """Hear what matplotlib says of a style without raising it."""
    said: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record)

    handler = Handler()
    log = logging.getLogger("matplotlib")
    passed_on = log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield said
    finally:
        log.removeHandler(handler)
        log.propagate = passed_on


def _complaint(record: logging.LogRecord) -> str:
    """One line of what matplotlib says in several."""
    import matplotlib

    if isinstance(record.args, Mapping) and "key" in record.args:
        key = str(record.args["key"])
        guess = difflib.get_close_matches(key, list(matplotlib.rcParams), n=1)
        return f"unknown setting {key!r}" + (f"; did you mean {guess[0]!r}?" if guess else "")
    return record.getMessage()


def colours() -> list[str]:
    """Colours of the style, in their order."""
    import matplotlib

    cycle = matplotlib.rcParams["axes.prop_cycle"].by_key()
    return list(cycle.get("color", ["k"]))


def colour(k: int) -> str:
    """Colour of number k of what is compared; they begin anew after the last."""
    every = colours()
    return every[k % len(every)]


def marked(k: int) -> dict[str, Any]:
    """Colour and mark of number k; open marks in every second turn of the colours."""
    own = colour(k)
    is_open = k // len(colours()) % 2 == 1
    fill = {"markerfacecolor": "white"} if is_open else {"markeredgewidth": 0.0}
    return {"color": own, "marker": _MARKERS[k % len(_MARKERS)], **fill}


def lined(k: int) -> dict[str, Any]:
    """Colour and line of number k; dashes and dots in later turns of the colours."""
    return {"color": colour(k), "linestyle": _LINES[k // len(colours()) % len(_LINES)]}


def shade(k: int, n: int) -> Any:
    """Colour of bin k of n, dark inside and light outside; of the only one, the first of the style."""
    if n == 1:
        return colour(0)
    import matplotlib

    return matplotlib.colormaps["viridis"](0.9 * k / (n - 1))


#: The look of a figure that nothing is said of.
COLUMN: Final = Look()
