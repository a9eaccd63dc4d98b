"""The command that draws one figure of a run for a paper, and what writes all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

import click

from haloassay.base.errors import InputError, blamed_on
from haloassay.base.files import require_no_link, write_bytes
from haloassay.base.settings import unknown
from haloassay.face.endings import echo
from haloassay.face.options import RESULTS
from haloassay.face.outputs import require_outside, require_writable
from haloassay.face.wanted import Wanted, listed, warn

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from haloassay.analysis.maps import CellMap
    from haloassay.analysis.summary import Summary
    from haloassay.contracts.measurements import Measurement
    from haloassay.reports.figures.frame import Frame, Range, Scale
    from haloassay.reports.figures.look import Look
    from haloassay.reports.figures.panels import Drawing
    from haloassay.results.results import Results

#: What can be drawn.
Kind = Literal["bias", "coverage", "ranks", "cloud", "budget", "sky", "profile"]
#: Kinds whose axes are a radius or an estimate, and can have other scales and ranges.
_FRAMED: Final = ("bias", "cloud", "profile")
#: Height of a page of text [inch], of A&A and of ApJ.
_PAGE: Final = 9.5


def figure(
    out: str | Path,
    kind: Kind,
    quantity: str | Sequence[str] = (),
    *,
    estimator: str | Sequence[str] = (),
    cell: str | Sequence[str] = (),
    r: float | None = None,
    file: str | Path | None = None,
    width: str | float = "aa",
    style: str | Path | None = None,
    published: str | Path | Sequence[str | Path] = (),
    x_scale: Scale | None = None,
    y_scale: Scale | None = None,
    x_range: Range | None = None,
    y_range: Range | None = None,
) -> Figure:
    """Draw a figure of the results in folder ``out`` for a paper.

    Parameters
    ----------
    out
        Folder of the results.
    kind
        ``"bias"`` against radius; ``"coverage"`` against nominal level; ``"ranks"`` of the truth among posterior draws;
        ``"cloud"`` of single estimates; ``"budget"``, a tornado; ``"sky"``, maps of cells or of an apex; ``"profile"``,
        estimates and truth against radius.
    quantity
        Of which: one or, of bias without a radius, coverage, ranks and profile, several; two of a cloud are drawn one
        against the other.
    estimator, cell
        Labels of those that are shown. By default all estimators; of cells those of fixed levels, if they are no more
        than 6 and the kind compares them, else the base.
    r
        Radius [kpc] of one bin.
    file
        Where to write it, too: ``.pdf``, ``.png`` or ``.svg``.
    width
        Name of a width, ``"aa"``, ``"aa-wide"``, ``"mnras"``, ``"mnras-wide"``, ``"apj"`` or ``"apj-wide"``, or inches.
    style
        File of settings in matplotlib's format, which go over those of this package.
    published
        Of a profile: tables of measurements that are drawn beside it, a packaged one by its name
        (``bird2022-kgiants``) or files, as :func:`haloassay.match` takes them.
    x_scale, y_scale, x_range, y_range
        Of bias, cloud and profile: ``"linear"`` or ``"log"``, and ends of the axes in the numbers that stand there.

    Returns
    -------
    matplotlib.figure.Figure
        Which no global state knows of; matplotlib's settings are as they were.

    Raises
    ------
    InputError
        If the run has nothing of what is asked for, or the file, width or style is unusable.

    Warns
    -----
    HaloassayWarning
        If something is left out, or the figure is higher than a page.
    """
    from haloassay.reports.figures.frame import Frame

    tables = [published] if isinstance(published, str | Path) else [*published]
    frame = Frame(x_scale, y_scale, x_range, y_range)
    what = kind, quantity, estimator, cell, r
    return _drawn(out, *what, file, width, style, tables, frame).figure


def _drawn(
    out: str | Path,
    kind: str,
    quantity: str | Sequence[str],
    estimator: str | Sequence[str],
    cell: str | Sequence[str],
    r: float | None,
    file: str | Path | None,
    width: str | float,
    style: str | Path | None,
    published: Sequence[str | Path],
    frame: Frame,
) -> Drawing:
    """Check all that can be checked, draw, and write."""
    from haloassay.contracts import labels
    from haloassay.reports.figures.files import require_format, write
    from haloassay.reports.figures.look import make_look
    from haloassay.results.results import Results

    if kind not in get_args(Kind):
        raise unknown("kind", kind, get_args(Kind), "figure")
    place = None if file is None else Path(file)
    if place is not None:
        require_format(place)
        require_writable({"--out": place}, {} if style is None else {"style": style})
        require_outside(place, Path(out))
    look = make_look(width, style)
    if not frame.is_free and kind not in _FRAMED:
        raise InputError(
            f"figure {kind}: has axes of its own: --x-scale, --x-range and so on are for {', '.join(_FRAMED)}"
        )
    if published and kind != "profile":
        raise InputError(f"figure {kind}: --published is for profile")
    results = Results(out)
    beside = {Path(name).stem: _measurements(name, results) for name in published}
    wanted = Wanted(results, kind, listed(quantity), listed(estimator), listed(cell), r, beside)
    # what a style asks for may be more than matplotlib can do
    trial = nullcontext() if style is None else blamed_on(f"{style}: cannot be drawn in")
    with labels.vocabulary(results.quantities), trial:
        drawing = results.steadily(lambda: _KINDS[kind](wanted, look))
        if drawing is None:
            raise InputError(f"{wanted.where}: there is nothing to draw")
        if not frame.is_free:
            with look.applied():
                frame.put(drawing.figure)
        if place is not None:
            write(drawing.figure, place, look)
    height = drawing.figure.get_figheight()
    if height > _PAGE:
        warn(
            f"{wanted.where}: is {height:.1f} inches high, more than a page: choose fewer panels (--estimator, --cell)"
            " or a wider page (--width)"
        )
    return drawing


def _measurements(name: str | Path, results: Results) -> Sequence[Measurement]:
    """Measurements of a packaged table, or of a file."""
    from haloassay import scenarios
    from haloassay.io.measurements import read_measurements

    packaged = scenarios.measured_names()
    if str(name) in packaged:
        name = scenarios.measured_path(str(name))
    elif not Path(name).is_file():
        raise unknown("table", str(name), packaged, "--published: no such file, and not packaged")
    return read_measurements(name, results.quantities)


def _bias(wanted: Wanted, look: Look) -> Drawing | None:
    import numpy as np

    from haloassay.reports.figures.bias import bias_figure, scalar_bias_figure

    rows = wanted.of(wanted.results.table())
    if wanted.r is not None:
        rows = wanted.at_radius(rows)
    if wanted.r is not None or not np.isfinite(rows["r"]).any():
        return scalar_bias_figure(rows, wanted.quantities, wanted.names, look, wanted.r)
    return bias_figure(
        rows, wanted.quantity, wanted.names, look, _scattered(wanted, wanted.quantity)
    )


def _scattered(wanted: Wanted, quantity: str) -> set[str]:
    """Estimators whose bins of a quantity are cells of a map, which no line joins."""
    from haloassay.analysis.maps import cell_maps
    from haloassay.reports.figures.names import scattered

    return scattered(cell_maps(wanted.results.description), quantity)


def _coverage(wanted: Wanted, look: Look) -> Drawing | None:
    from haloassay.analysis.scores import coverage_curve
    from haloassay.reports.figures.coverage import coverage_figure

    rows = wanted.of(wanted.results.table())
    if wanted.r is not None:
        rows = wanted.at_radius(rows)
    keys = ["cell", "estimator", "quantity", "bin"]
    curve = coverage_curve(wanted.results).merge(rows[keys], on=keys)
    return coverage_figure(rows, curve, wanted.names, look)


def _ranks(wanted: Wanted, look: Look) -> Drawing | None:
    from haloassay.analysis.calibrate import rank_counts
    from haloassay.reports.figures.ranks import rank_figure

    rows = wanted.of(rank_counts(wanted.results), "gives no posterior draws")
    if wanted.r is not None:
        rows = wanted.narrowed(rows)
    return rank_figure(rows, look)


def _cloud(wanted: Wanted, look: Look) -> Drawing | None:
    import numpy as np

    from haloassay.analysis.scores import sample
    from haloassay.reports.figures.cloud import cloud_figure, pair_figure, strip_figure

    rows = wanted.of(sample(wanted.results))
    if wanted.r is not None or len(wanted.quantities) == 2:
        rows = wanted.narrowed(rows)
    if len(wanted.quantities) == 2:
        return pair_figure(rows, wanted.quantities, look)
    if wanted.r is not None or not np.isfinite(rows["r"]).any():
        return strip_figure(rows, wanted.quantity, look, wanted.r)
    return cloud_figure(rows, wanted.quantity, look, _scattered(wanted, wanted.quantity))


def _profile(wanted: Wanted, look: Look) -> Drawing | None:
    import numpy as np

    from haloassay.analysis.profiles import profiles
    from haloassay.reports.figures.profile import profile_figure

    if wanted.r is not None:
        raise InputError(f"{wanted.where}: is of all radii: --r is for the other kinds")
    rows = wanted.of(profiles(wanted.results))
    for name in wanted.quantities:
        if not np.isfinite(rows.loc[rows["quantity"] == name, "r"]).any():
            raise InputError(f"{wanted.where}: {name} has no radius; bias and cloud show it")
    apart = {each for name in wanted.quantities for each in _scattered(wanted, name)}
    beside = wanted.published
    return profile_figure(rows, wanted.quantities, wanted.names, look, apart, beside)


def _sky(wanted: Wanted, look: Look) -> Drawing | None:
    from haloassay.analysis.maps import MAPPED, cell_maps
    from haloassay.analysis.profiles import profiles
    from haloassay.analysis.scores import sample
    from haloassay.reports.figures.sky import APEX, apex_figure, map_figure

    quantity = wanted.quantity
    if quantity in APEX:
        cloud = sample(wanted.results)
        shown = wanted.narrowed(wanted.of(cloud))
        keys = ["cell", "estimator", "bin"]
        return apex_figure(cloud.merge(shown[keys].drop_duplicates(), on=keys), look)
    maps = cell_maps(wanted.results.description)
    rows = wanted.of(profiles(wanted.results))
    rows = _shell(wanted, rows, maps)
    if quantity not in MAPPED or not len(rows):
        who = ", ".join(wanted.estimators) or "the estimators of this run"
        raise InputError(
            f"{wanted.where}: {quantity} by {who} has no place on the sky: {' and '.join(MAPPED)} of the estimator"
            " sky-map have one, and apex_l and apex_b"
        )
    return map_figure(rows, wanted.results.table(), quantity, maps, look)


def _shell(
    wanted: Wanted, rows: pd.DataFrame, maps: Mapping[tuple[str, str], CellMap]
) -> pd.DataFrame:
    """Rows of maps, of the radial bin that is asked for, or of the only one."""
    of = [maps.get((str(c), str(e))) for c, e in zip(rows["cell"], rows["estimator"], strict=True)]
    rows = rows[[each is not None for each in of]]
    if not len(rows):
        return rows
    shell = [
        number // each.size for number, each in zip(rows["bin"], filter(None, of), strict=True)
    ]
    chosen = wanted.at_radius(rows.assign(number=rows["bin"], bin=shell))
    return chosen.assign(bin=chosen["number"])


def _budget(wanted: Wanted, look: Look) -> Drawing | None:
    from haloassay.analysis.budget import budgets
    from haloassay.reports.figures.tornado import tornado_figure

    if wanted.cells:
        raise InputError(f"{wanted.where}: is of all cells: --cell is for the other kinds")
    estimator = wanted.estimators[0] if len(wanted.estimators) == 1 else None
    found = budgets(wanted.results, wanted.quantity, wanted.r, estimator)
    if len(found) > 1:
        names = ", ".join(each.estimator for each in found)
        raise InputError(
            f"{wanted.where}: is of one estimator: choose it with --estimator ({names})"
        )
    return tornado_figure(found[0], look)


_KINDS: Final[Mapping[str, Callable[[Wanted, Look], Drawing | None]]] = {
    "bias": _bias,
    "coverage": _coverage,
    "ranks": _ranks,
    "cloud": _cloud,
    "budget": _budget,
    "sky": _sky,
    "profile": _profile,
}


def write_figures(results: Results, data: Summary) -> Path:
    """Write all figures of a run, as PDF and PNG, into ``figures`` in its folder; return that.

    Beside them stands ``captions.md``, which says what each shows. Progress goes to standard error.

    Parameters
    ----------
    results
        Of which run.
    data
        What it says.

    Raises
    ------
    InputError
        If the folder is a link.
    """
    from haloassay.analysis.maps import cell_maps
    from haloassay.analysis.profiles import profiles
    from haloassay.contracts import labels
    from haloassay.reports import escapes
    from haloassay.reports.figures.every import planned
    from haloassay.reports.figures.files import save

    folder = results.out / "figures"
    require_no_link(folder)
    rows = results.steadily(lambda: profiles(results))
    captions = []
    with labels.vocabulary(results.quantities):
        every = planned(data, rows, cell_maps(results.description))
        with click.progressbar(every, label="figures", file=sys.stderr) as bar:
            for each in bar:
                drawing = each.make()
                if drawing is None:
                    continue
                save(drawing.figure, folder / each.name)
                captions.append(f"- `{each.name}`: {escapes.markdown(drawing.caption)}\n")
    write_bytes(folder / "captions.md", "".join(captions).encode())
    return folder


@click.command(name="figure")
@click.argument("folder", type=RESULTS)
@click.argument("kind", type=click.Choice(get_args(Kind)))
@click.option(
    "--quantity",
    multiple=True,
    help="What is drawn: see `haloassay list quantities`. Coverage and ranks show all by default; several of a profile"
    " have panels of their own, two of a cloud are drawn one against the other.",
)
@click.option(
    "--estimator", multiple=True, help="Estimators that are shown, by their labels [all]."
)
@click.option(
    "--cell",
    multiple=True,
    help="Cells that are shown, as a table names them [those of fixed levels, if they are 6 at most, or the base].",
)
@click.option("--r", type=float, metavar="KPC", help="Radius, of one bin.")
@click.option(
    "--out",
    "file",
    required=True,
    type=click.Path(path_type=Path),
    help="File: .pdf, .png or .svg.",
)
@click.option(
    "--width",
    default="aa",
    show_default=True,
    help="Of a column or a page: aa, aa-wide, mnras, mnras-wide, apj, apj-wide; or inches.",
)
@click.option(
    "--style",
    type=click.Path(path_type=Path),
    help="Settings in matplotlib's format (.mplstyle), which go over those of haloassay.",
)
@click.option(
    "--published",
    multiple=True,
    metavar="NAME|FILE",
    help="Published numbers beside a profile: a CSV table as of `haloassay match`, or a packaged one.",
)
@click.option("--x-scale", type=click.Choice(["linear", "log"]), help="Of bias, cloud, profile.")
@click.option("--y-scale", type=click.Choice(["linear", "log"]), help="Of bias, cloud, profile.")
@click.option(
    "--x-range", type=float, nargs=2, metavar="LO HI", help="Ends, in the numbers at the axis."
)
@click.option(
    "--y-range", type=float, nargs=2, metavar="LO HI", help="Ends, in the numbers at the axis."
)
def figure_command(
    folder: Path,
    kind: str,
    quantity: tuple[str, ...],
    estimator: tuple[str, ...],
    cell: tuple[str, ...],
    r: float | None,
    file: Path,
    width: str,
    style: Path | None,
    published: tuple[str, ...],
    x_scale: Scale | None,
    y_scale: Scale | None,
    x_range: Range | None,
    y_range: Range | None,
) -> None:
    """Draw a figure of the results in FOLDER for a paper, and print what its caption has to say.

    KIND is bias (against radius), coverage (of intervals), ranks (of the truth among posterior draws), cloud (single
    estimates), budget (a tornado), sky (maps of cells, or an apex) or profile (estimates and truth against radius).
    """
    from haloassay.reports.figures.frame import Frame

    frame = Frame(x_scale, y_scale, x_range, y_range)
    what = kind, quantity, estimator, cell, r
    drawing = _drawn(folder, *what, file, width, style, published, frame)
    w, h = drawing.figure.get_size_inches()
    echo(f"{file}: {w:.2f} x {h:.2f} inches")
    echo(drawing.caption)
