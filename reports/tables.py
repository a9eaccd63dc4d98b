"""Score tables for machines (CSV, ECSV, Parquet), papers (LaTeX, Markdown) and terminals."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from haloassay.errors import InputError
from haloassay.reports import labels

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

Format = Literal["csv", "ecsv", "latex", "markdown", "parquet"]
FORMATS: Final[tuple[str, ...]] = get_args(Format)

#: Columns that only machine-readable formats carry: they would make a printed table too wide.
_MACHINE: Final = (
    *("bin", "r_lo", "r_hi", "n_attempted", "median_bias_mcse", "robust_scatter"),
    *("robust_scatter_mcse", "error_ratio_mcse", "pull_mean_mcse", "pull_sd_mcse"),
)
_TERMINAL: Final = (
    "quantity",
    "r",
    "n",
    "failed",
    "bias",
    "scatter",
    "ratio",
    "in 68 %",
    "in 95 %",
)
_RADII: Final = ("r", "r_lo", "r_hi")
_DESCRIPTION: Final = "fractional, or in the row's unit for beta, means and angles"
#: Columns whose unit is that of the row's errors.
_IN_ERROR_UNIT: Final = ("bias", "median_bias", "scatter", "robust_scatter", "rmse", "change")
_LATEX: Final = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        **{c: f"\\{c}" for c in "&%$#_{}"},
        "\n": " ",
    }
)


def format_table(frame: pd.DataFrame, fmt: str) -> str | bytes:
    """Write a table of scores or of paired differences.

    Parameters
    ----------
    frame
        What :func:`haloassay.score.score` or :func:`haloassay.score.paired` return.
    fmt
        ``csv``, ``ecsv`` (astropy, radii with units), ``parquet`` (bytes): all columns, full
        precision. ``latex`` (a booktabs ``tabular``) and ``markdown``: the main columns, rounded to
        the digits that the Monte Carlo errors allow.

    Raises
    ------
    InputError
        If the format is unknown.
    """
    frame = _plain_columns(frame)
    if fmt == "csv":
        return str(frame.to_csv(index=False, lineterminator="\n"))
    if fmt == "ecsv":
        return _ecsv(frame)
    if fmt == "latex":
        return _latex(frame)
    if fmt == "markdown":
        return _markdown(frame)
    if fmt == "parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    raise InputError(f"unknown table format {fmt!r} (allowed: {', '.join(FORMATS)})")


def compact(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores as text for a reader: one column a score, written with its Monte Carlo error.

    Columns: those of the labels, ``r [kpc]``, ``n``, ``failed``, ``bias``, ``scatter``, ``rmse``,
    ``error ratio`` (error_ratio), ``cover 68``, ``cover 95``, ``pull mean``, ``pull sd``.
    Undetermined scores are dashes.
    """
    import pandas as pd

    rows = [_compact_row(row) for row in frame.to_dict("records")]
    return pd.DataFrame(rows, columns=list(_compact_row(None)), dtype=object)


def compact_pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """Paired differences as text: labels, r, number of pairs, change with its Monte Carlo error."""
    import pandas as pd

    rows = [
        {
            "cell": str(row["cell"]),
            "estimator": str(row["estimator"]),
            "quantity": labels.plain(row["quantity"]),
            "r [kpc]": _radius(row["r"]),
            "pairs": str(row["n"]),
            "change": _in_error_unit(row, "change"),
            "change of the truth": _truth_change(row),
        }
        for row in frame.to_dict("records")
    ]
    names = ["cell", "estimator", "quantity", "r [kpc]", "pairs", "change", "change of the truth"]
    return pd.DataFrame(rows, columns=names, dtype=object)


def print_table(frame: pd.DataFrame, console: Console | None = None, title: str = "") -> None:
    """Print the scores on the terminal: a compact table for each cell and estimator."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if console is None:
        console = Console()
        if not console.is_terminal:  # a file or a pipe has room for every digit
            console.width = max(console.width, 110)
    if title:
        console.print(f"[bold]{escape(title)}[/bold]", highlight=False)
    if not len(frame):
        console.print("No scores: this run holds no results.")
        return
    one_cell = frame["cell"].nunique() == 1
    with_failures = bool((frame["n_failed"] > 0).any())
    for (cell, estimator), group in frame.groupby(["cell", "estimator"], sort=False):
        # markup in a user's label is text, not colour
        heading = escape(str(estimator) if one_cell else f"{estimator} — {cell}")
        table = Table(title=heading, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        table.padding, table.pad_edge = (0, 1, 0, 0), False
        table.show_edge = False
        for k, name in enumerate(_TERMINAL):
            if with_failures or name != "failed":
                table.add_column(name, justify="left" if k == 0 else "right", overflow="fold")
        for row in group.to_dict("records"):
            cells = _terminal_row(row)
            table.add_row(*(cells[str(column.header)] for column in table.columns))
        console.print(table)


def _terminal_row(row: dict[Any, Any]) -> dict[str, str]:
    from rich.markup import escape

    unit = labels.error_unit(row["quantity"], row["unit"])
    name = labels.plain(row["quantity"]) or "no result"
    text = _compact_row(row)
    bias, scatter, ratio = (
        text[key].removesuffix(f" {unit}").strip() for key in ("bias", "scatter", "error ratio")
    )
    values = (
        *(escape(f"{name} [{unit}]" if unit else name), text["r [kpc]"], text["n"], text["failed"]),
        *(bias, scatter.split(" ±")[0], ratio.split(" ±")[0], text["cover 68"], text["cover 95"]),
    )
    return dict(zip(_TERMINAL, values, strict=True))


def _compact_row(row: dict[Any, Any] | None) -> dict[str, str]:
    """One row of :func:`compact`; ``None`` gives the names only."""
    names = ["cell", "estimator", "quantity", "r [kpc]", "n", "failed", "bias", "scatter", "rmse"]
    names += ["error ratio", "cover 68", "cover 95", "pull mean", "pull sd"]
    if row is None:
        return dict.fromkeys(names, "")
    values = [
        str(row["cell"]),
        str(row["estimator"]),
        labels.plain(row["quantity"]) or labels.DASH,
        _radius(row["r"]),
        str(row["n"]),
        str(row["n_failed"]),
        *(_in_error_unit(row, name) for name in ("bias", "scatter", "rmse")),
        labels.with_error(row["error_ratio"], row["error_ratio_mcse"]),
        *(
            labels.coverage_text(row[name], row[f"{name}_mcse"], row["n"])
            for name in ("coverage68", "coverage95")
        ),
        *(labels.with_error(row[name], row[f"{name}_mcse"]) for name in ("pull_mean", "pull_sd")),
    ]
    return dict(zip(names, values, strict=True))


def _in_error_unit(row: dict[Any, Any], name: str) -> str:
    """Write a score on the error's scale with its unit: ``-1.3 ± 0.4 %``."""
    text = labels.with_error(row[name], row[f"{name}_mcse"], labels.error_factor(row["quantity"]))
    unit = labels.error_unit(row["quantity"], row["unit"])
    return text if text == labels.DASH or not unit else f"{text} {unit}"


def _truth_change(row: dict[Any, Any]) -> str:
    change = row["truth_change"]
    if not math.isfinite(change):
        return labels.DASH
    if change == 0.0:
        return "none"
    unit = labels.error_unit(row["quantity"], row["unit"])
    return f"{change * labels.error_factor(row['quantity']):.3g} {unit}".rstrip()


def _radius(r: float) -> str:
    return f"{r:.3g}" if math.isfinite(r) else labels.DASH


def _plain_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Write factor levels that are not plain (lists, tables, mixed) as JSON text."""
    import json

    frame = frame.copy()
    for name in frame.columns:
        values = list(frame[name]) if frame[name].dtype == object else []
        if any(not isinstance(value, str) for value in values):
            frame[name] = [
                value if isinstance(value, str) else json.dumps(value) for value in values
            ]
    return frame


def _ecsv(frame: pd.DataFrame) -> str:
    from astropy import units
    from astropy.table import Table

    table = Table.from_pandas(frame)
    for name in table.colnames:
        if name in _RADII:
            table[name].unit = units.kpc
        elif name.removesuffix("_mcse") in _IN_ERROR_UNIT:
            table[name].description = _DESCRIPTION
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    return text.getvalue()


def _rounded(frame: pd.DataFrame) -> list[list[str]]:
    """Cells of the printed tables: numbers with the digits that their Monte Carlo errors allow."""
    kept = [name for name in frame.columns if name not in _MACHINE]
    return [[_digits(row, name) for name in kept] for row in frame.to_dict("records")]


def _digits(row: dict[Any, Any], name: str) -> str:
    value = row[name]
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return labels.DASH
    mcse = value if name.endswith("_mcse") else row.get(f"{name}_mcse", math.nan)
    if not math.isfinite(mcse) or mcse <= 0.0:
        return f"{value:.4g}"
    return f"{value:.{labels.decimals(mcse)}f}" if mcse < 1e6 else f"{value:.3g}"


def _header(frame: pd.DataFrame) -> list[str]:
    return [
        f"{name} [kpc]" if name in _RADII else str(name)
        for name in frame.columns
        if name not in _MACHINE
    ]


def _latex(frame: pd.DataFrame) -> str:
    header = [name.translate(_LATEX) for name in _header(frame)]
    rows = _rounded(frame)
    numeric = [name for name in frame.columns if name not in _MACHINE]
    align = "".join("r" if frame[name].dtype.kind in "if" else "l" for name in numeric)
    lines = [
        "% needs \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{{align}}}",
        "\\toprule",
        " & ".join(header) + r" \\",
        "\\midrule",
        *(" & ".join(_latex_cell(cell) for cell in row) + r" \\" for row in rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_cell(text: str) -> str:
    if text == labels.DASH:
        return "--"
    try:
        float(text)
    except ValueError:
        return text.translate(_LATEX)
    return f"${text}$" if text.startswith("-") else text


def _markdown(frame: pd.DataFrame) -> str:
    header, rows = _header(frame), _rounded(frame)
    names = [name for name in frame.columns if name not in _MACHINE]
    rule = ["---:" if frame[name].dtype.kind in "if" else ":---" for name in names]
    lines = [
        _markdown_row(header),
        "| " + " | ".join(rule) + " |",
        *(_markdown_row(row) for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: list[str]) -> str:
    escaped = (cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ") for cell in cells)
    return "| " + " | ".join(escaped) + " |"
