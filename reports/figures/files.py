"""Files of figures: PDF, PNG and SVG of the exact size of the figure, the same bytes for the same data."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from haloassay.base.cache import content_key
from haloassay.base.errors import InputError
from haloassay.base.files import replacing, writing
from haloassay.reports.figures.look import Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Endings of the names of files, which say their format.
FORMATS: Final = (".pdf", ".png", ".svg")
#: Characters of a label in the name of a file.
_SHORT: Final = 60


def require_format(file: Path) -> None:
    """Refuse a file whose name does not end like that of a figure.

    Raises
    ------
    InputError
        If it does not.
    """
    if file.suffix.lower() not in FORMATS:
        ending = f"the ending {file.suffix!r}" if file.suffix else "no ending"
        raise InputError(f"{file}: {ending} is of no format of figures ({', '.join(FORMATS)})")


def file_name(name: str) -> str:
    """Part of a file name that stands for a label: short, safe on any system, and of no other label."""
    plain = re.sub(r"[^a-z0-9_-]+", "_", name.lower())[:_SHORT]
    return plain if plain == name else f"{plain}-{content_key(name)[:8]}"


def save(figure: Figure, stem: Path, look: Look | None = None) -> tuple[Path, Path]:
    """Write ``stem.pdf`` and ``stem.png``, in folders that are made where there are none."""
    names = [stem.with_name(f"{stem.name}{ending}") for ending in (".pdf", ".png")]
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(replacing(name)) for name in names]
        _print(figure, places, look or Look())
    return names[0], names[1]


def write(figure: Figure, file: Path, look: Look | None = None) -> None:
    """Write one file that a user named, in the format that its name says.

    Raises
    ------
    InputError
        If the name says none, or the system refuses.
    """
    require_format(file)
    with writing(file) as place:
        _print(figure, [place], look or Look(), file.suffix.lower())


def _print(figure: Figure, places: Sequence[Path], look: Look, ending: str = "") -> None:
    """Draw into files whose names, or ``ending``, say the format; without dates or versions inside."""
    import matplotlib

    with look.applied(), warnings.catch_warnings(), _quiet_fonts():
        # a label in a script that the font lacks is drawn as boxes; the tables have it in letters
        warnings.filterwarnings(
            "ignore", message=r"Glyph \d+ .* missing from", category=UserWarning
        )
        before, engine, canvas = figure.dpi, figure.get_layout_engine(), figure.canvas
        dpi = matplotlib.rcParams["savefig.dpi"]
        for place in places:
            figure.dpi = before if dpi == "figure" else dpi
            # not by savefig, which draws each file twice, first for a box that is not asked for
            _PRINTERS[ending or place.suffix](figure, place)
            figure.set_layout_engine("none")  # laid out once, for all files
        figure.set_layout_engine(engine)
        figure.set_canvas(canvas)
        figure.dpi = before


def _pdf(figure: Figure, place: Path) -> None:
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    nothing = dict.fromkeys(("CreationDate", "ModDate", "Creator", "Producer"))
    FigureCanvasPdf(figure).print_pdf(place, metadata=nothing)


def _png(figure: Figure, place: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).print_png(place, metadata={"Software": None})


def _svg(figure: Figure, place: Path) -> None:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(place, metadata=nothing)


_PRINTERS: Final = dict(zip(FORMATS, (_pdf, _png, _svg), strict=True))


@contextlib.contextmanager
def _quiet_fonts() -> Iterator[None]:
    """Keep to itself what fontTools says of the dates in STIX."""
    log = logging.getLogger("fontTools.ttLib")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
