"""Writes the report of a run into a folder: the page, and its tables as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from haloassay.base.files import require_no_link, write_bytes
from haloassay.contracts import labels
from haloassay.reports import tables
from haloassay.reports.page.content import render

if TYPE_CHECKING:
    from haloassay.analysis.summary import Summary

#: Formats of the files beside the page; ``haloassay table`` writes all others.
_EXTENSIONS: Final = {"csv": "csv", "latex": "tex", "markdown": "md"}

#: Rows above which a table is for machines only.
_PRINTED: Final = 5000


def write_page(data: Summary, folder: Path) -> Path:
    """Write the report of a run: ``index.html`` and ``tables/``.

    Parameters
    ----------
    data
        What the run says.
    folder
        Where to write; made where it does not exist.

    Returns
    -------
    pathlib.Path
        The page.
    """
    require_no_link(folder / "tables")
    written = {"scores": data.scores} | ({} if data.pairs is None else {"paired": data.pairs})
    written |= {"calibration": data.calibration} if len(data.calibration) else {}
    with labels.vocabulary(data.quantities):
        for name, frame in written.items():
            for fmt, extension in _EXTENSIONS.items():
                if fmt != "csv" and len(frame) > _PRINTED:
                    continue
                text = tables.format_table(frame, fmt)
                write_bytes(folder / "tables" / f"{name}.{extension}", str(text).encode())
        page = folder / "index.html"
        write_bytes(page, render(data).encode())
    return page
