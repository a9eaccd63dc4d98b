"""Score tables for machines (CSV, ECSV, Parquet), papers (LaTeX, Markdown) and terminals."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from haloassay.analysis.scores import NOTABLE_SUCCESS, SCORES, Score, Share
from haloassay.base.errors import InputError
from haloassay.contracts import labels
from haloassay.reports import escapes
from haloassay.reports.consoles import ENDLESS, WIDE, console_of, print_rows, print_title, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from rich.console import Console

Format = Literal["csv", "ecsv", "latex", "markdown", "parquet"]
FORMATS: Final[tuple[str, ...]] = get_args(Format)

#: Columns that only machine-readable formats carry: they would make a printed table too wide.
_MACHINE: Final = (
    *("bin", "r_lo", "r_hi", "n_attempted", "n68", "n95", "skewness", "lossy"),
    *(column for score in SCORES for column in score.columns[0 if not score.title else 1 :]),
)
#: Scores that readers see.
_SHOWN: Final = tuple(score for score in SCORES if score.title)
_BOUNDED: Final = tuple(score for score in SCORES if isinstance(score, Share) and score.bounded)
_TERMINAL: Final = (
    *("quantity", "r [kpc]", "n", "success", "bias", "scatter", "ratio", "in 68 %", "in 95 %"),
)
#: What the mark of a low success means.
_LOSSY_NOTE: Final = (
    f"{labels.LOSSY} success below {NOTABLE_SUCCESS}: the scores are of the attempts that gave a value alone;"
    " bounds are the coverage of all if the others were all misses or all hits"
)
#: Columns of paired differences for readers.
_PAIR_COLUMNS: Final = (
    *("cell", "estimator", "quantity", "r [kpc]", "pairs"),
    *("shift", "Δ ln estimate", "Δ ln truth", "correlation", "gain"),
)
_RADII: Final = ("r", "r_lo", "r_hi")
_DESCRIPTION: Final = "in the unit that column error_unit names"
#: Columns whose unit is that of the row's errors.
_IN_ERROR_UNIT: Final = (
    *(score.name for score in SCORES if score.form == "error"),
    "shift",
)
_SHARES: Final = {score.name: score for score in SCORES if isinstance(score, Share)}


def format_table(frame: pd.DataFrame, fmt: str, columns: Sequence[str] = ()) -> str | bytes:
    """Write a table of scores, of paired differences or of calibration.

    Parameters
    ----------
    frame
        What :func:`haloassay.analysis.scores.score`, :func:`haloassay.analysis.pairs.paired` or
        :func:`haloassay.analysis.calibrate.calibrate` return.
    fmt
        ``csv``, ``ecsv`` (astropy, radii with units), ``parquet`` (bytes): all columns, full
        precision, and last ``error_unit``, the unit of the row's errors: ``fraction`` (of the
        truth) or that of the quantity. ``latex`` (a booktabs ``tabular``) and ``markdown``: the
        main columns, each score with its Monte Carlo error, with the digits that this allows; here
        ``unit`` is that of the errors and fractions are per cent.
    columns
        Columns of the frame to write, in this order; by default those that the format has.

    Raises
    ------
    InputError
        If the format is unknown.
    """
    frame = _plain_columns(frame)
    if fmt in ("csv", "ecsv", "parquet") and "unit" in frame:
        pairs = zip(frame["quantity"], frame["unit"], strict=True)
        units = (labels.error_unit(quantity, unit) for quantity, unit in pairs)
        frame["error_unit"] = ["fraction" if unit == "%" else unit for unit in units]
    if columns and fmt not in ("latex", "markdown"):
        frame = frame[list(columns)]
    if fmt == "csv":
        return escapes.csv(frame)
    if fmt == "ecsv":
        return _ecsv(frame)
    if fmt == "latex":
        return _latex(frame, list(columns) or _printed(frame))
    if fmt == "markdown":
        return _markdown(frame, list(columns) or _printed(frame))
    if fmt == "parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    raise InputError(f"unknown table format {fmt!r} (allowed: {', '.join(FORMATS)})")


def compact(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores as text for a reader: one column a score, written with its Monte Carlo error.

    Columns: those of the labels, ``r [kpc]``, ``n``, ``failed``, the title of each score that has one, and the bounds
    of coverages if failures were all misses or all hits, where success is low in some row. Undetermined scores are
    dashes; what a method does not state is said.
    """
    import pandas as pd

    names = list(_compact_row(None))
    if not frame["lossy"].any():
        names = [name for name in names if not name.startswith("bounds")]
    rows = [_compact_row(row) for row in frame.to_dict("records")]
    return pd.DataFrame(rows, columns=names, dtype=object)


def compact_pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """Paired differences as text, each with its Monte Carlo error.

    Columns: labels, ``r [kpc]``, number of pairs (and of lost ones), shift of the error, changes of estimate and truth
    for positive scales, correlation of the errors, and what pairing saves.
    """
    import pandas as pd

    rows = [
        {
            "cell": str(row["cell"]),
            "estimator": str(row["estimator"]),
            "quantity": labels.plain(row["quantity"]),
            "r [kpc]": _radius(row["r"]),
            "pairs": str(row["n"]) + (f" ({row['n_lost']} lost)" if row["lossy"] else ""),
            "shift": _shift(row),
            "Δ ln estimate": _log_change(row, "log_change"),
            "Δ ln truth": _log_change(row, "truth_log_change"),
            "correlation": _plain_number(row["correlation"], "{:.3f}"),
            "gain": _plain_number(row["gain"], "{:.3g}"),
        }
        for row in frame.to_dict("records")
    ]
    return pd.DataFrame(rows, columns=list(_PAIR_COLUMNS), dtype=object)


def compact_calibration(frame: pd.DataFrame) -> pd.DataFrame:
    """Judgement of the ranks as text.

    Columns: labels, ``r [kpc]``, ``n``, ``draws`` (fewest), ``ECDF off by`` (largest distance from
    uniform), ``p``, ``95 % band``: inside, or outside and what ails the intervals, ``10 % narrow seen``: in how many
    runs intervals 10 per cent too narrow would have been outside.
    """
    import pandas as pd

    rows = [
        {
            "cell": str(row["cell"]),
            "estimator": str(row["estimator"]),
            "quantity": labels.plain(row["quantity"]),
            "r [kpc]": _radius(row["r"]),
            "n": str(row["n"]),
            "draws": str(row["n_draws"]),
            "ECDF off by": f"{row['ecdf_distance']:.3f}",
            "p": "< 1e-6" if row["p_value"] < 1e-6 else f"{row['p_value']:.2g}",
            "95 % band": "inside" if row["inside"] else f"outside: {row['shape']}",
            "10 % narrow seen": f"{100.0 * row['narrow_power']:.2g} %",
        }
        for row in frame.to_dict("records")
    ]
    names = ["cell", "estimator", "quantity", "r [kpc]", "n", "draws"]
    names += ["ECDF off by", "p", "95 % band", "10 % narrow seen"]
    return pd.DataFrame(rows, columns=names, dtype=object)


def print_table(frame: pd.DataFrame, console: Console | None = None, title: str = "") -> None:
    """Print the scores on the terminal: a compact table for each cell and estimator.

    A success that is the same in all its rows stands in its heading, where it takes no room.
    """
    console = console or console_of()
    print_title(console, title)
    if not len(frame):
        console.print("No scores: this run holds no results.")
        return
    one_cell = frame["cell"].nunique() == 1
    for (cell, estimator), group in frame.groupby(["cell", "estimator"], sort=False):
        heading = str(estimator) if one_cell else f"{estimator} — {cell}"
        rows = [_terminal_row(row, console.width >= WIDE) for row in group.to_dict("records")]
        same = len({row["success"] for row in rows}) == 1
        if same:
            heading += f" — success {rows[0]['success']}"
        names = [name for name in _TERMINAL if not (same and name == "success")]
        print_rows(console, heading, names, rows)
        for row in group[group["lossy"]].to_dict("records"):
            console.print(text_of(f"{labels.LOSSY} {_lossy_line(row)}"))


def print_columns(
    frame: pd.DataFrame, columns: Sequence[str], console: Console | None = None, title: str = ""
) -> None:
    """Print some columns of a table of scores or of pairs, row by row in its order, as readers see them."""
    console = console or console_of(ENDLESS)
    print_title(console, title)
    frame = _plain_columns(frame)
    names = list(columns) or _printed(frame)
    heads = _header(names)
    rows = [
        dict(zip(heads, (_cell_text(row, name) for name in names), strict=True))
        for row in frame.to_dict("records")
    ]
    print_rows(console, "", heads, rows)


def print_pairs(
    frame: pd.DataFrame, base_cell: str, console: Console | None = None, title: str = ""
) -> None:
    """Print paired differences from ``base_cell`` on the terminal: a table for each cell and estimator."""
    console = console or console_of()
    print_title(console, title)
    if not len(frame):
        console.print(
            text_of(f"No pairs: no realisation has a value in {base_cell!r} and another cell.")
        )
        return
    names = [name for name in _PAIR_COLUMNS if name not in ("cell", "estimator")]
    for (cell, estimator), group in frame.groupby(["cell", "estimator"], sort=False):
        rows = compact_pairs(group).to_dict("records")
        print_rows(console, f"{estimator} — {cell} against {base_cell}", names, rows)


def _lossy_line(row: dict[Any, Any]) -> str:
    """Say how few attempts gave a value, and what that leaves open."""
    where = f" at {_radius(row['r'])} kpc" if math.isfinite(row["r"]) else ""
    name = labels.plain(row["quantity"]) or "no result"
    n = row["n_attempted"] - row["n_failed"]
    text = f"{name}{where}: {n} of {row['n_attempted']} attempts gave a value"
    bounds = [f"{_bounds_text(row, s)} ({s.name[-2:]} %)" for s in _BOUNDED if row[s.trials]]
    if bounds:
        text += f"; were the others all misses or all hits, coverage would be {', '.join(bounds)}"
    return text


def _terminal_row(row: dict[Any, Any], wide: bool) -> dict[str, str]:
    unit = labels.error_unit(row["quantity"], row["unit"])
    name = labels.plain(row["quantity"]) or "no result"
    text = _compact_row(row)
    bias, scatter, ratio = (
        text[key].removesuffix(f" {unit}").strip() for key in ("bias", "scatter", "error ratio")
    )
    shares = [text[key] for key in ("success", "cover 68", "cover 95")]
    if not wide:
        scatter, ratio = (cell.split(" ±")[0] for cell in (scatter, ratio))
        shares = [share.removeprefix("0").replace("(", "").replace(")", "") for share in shares]
    values = (
        *(f"{name} [{unit}]" if unit else name, text["r [kpc]"], text["n"], shares[0]),
        *(bias, scatter, ratio, *shares[1:]),
    )
    return dict(zip(_TERMINAL, values, strict=True))


def _compact_row(row: dict[Any, Any] | None) -> dict[str, str]:
    """One row of :func:`compact`; ``None`` gives the names only."""
    names = ["cell", "estimator", "quantity", "r [kpc]", "n", "failed"]
    names += [score.title for score in _SHOWN]
    names += [f"bounds {score.name[-2:]}" for score in _BOUNDED]
    if row is None:
        return dict.fromkeys(names, "")
    values = [
        str(row["cell"]),
        str(row["estimator"]),
        labels.plain(row["quantity"]) or labels.DASH,
        _radius(row["r"]),
        str(row["n"]),
        str(row["n_failed"]),
        *(_score_text(row, score) for score in _SHOWN),
        *(_bounds_text(row, score) if row["lossy"] else labels.DASH for score in _BOUNDED),
    ]
    return dict(zip(names, values, strict=True))


def _score_text(row: dict[Any, Any], score: Score | Share) -> str:
    """Write a score with its Monte Carlo error, or with its limits."""
    if isinstance(score, Share):
        return _share_text(row, score)
    if score.form == "error":
        return _in_error_unit(row, score.name)
    return labels.with_error(row[score.name], row[f"{score.name}_mcse"])


def _share_text(row: dict[Any, Any], share: Share) -> str:
    """Write a share with its limits; of a coverage, that no intervals were stated."""
    if share.bounded and row["n"] and not row[share.trials]:
        return labels.NO_ERRORS
    value, lo, hi = (row[f"{share.name}{end}"] for end in ("", "_lo", "_hi"))
    text = labels.share_text(value, lo, hi)
    return f"{text} {labels.LOSSY}" if share.name == "success" and row["lossy"] else text


def _bounds_text(row: dict[Any, Any], share: Share) -> str:
    """Write the coverage of all attempts if failures were all misses, or all hits."""
    ends = (row[f"{share.name}_{end}"] for end in ("min", "max"))
    return "–".join(f"{end:.2f}" for end in ends) if row[share.trials] else labels.DASH


def _in_error_unit(row: dict[Any, Any], name: str) -> str:
    """Write a score on the error's scale with its unit: ``-1.3 ± 0.4 %``."""
    text = labels.with_error(row[name], row[f"{name}_mcse"], labels.error_factor(row["quantity"]))
    unit = labels.error_unit(row["quantity"], row["unit"])
    return text if text == labels.DASH or not unit else f"{text} {unit}"


def _shift(row: dict[Any, Any]) -> str:
    """Write a shift, a dash where there is none at all."""
    return labels.DASH if row["shift"] == 0.0 else _in_error_unit(row, "shift")


def _log_change(row: dict[Any, Any], name: str) -> str:
    """Write a mean change of a logarithm in per cent, a dash where there is none at all."""
    if not math.isfinite(row[name]) or row[name] == 0.0:
        return labels.DASH
    return labels.with_error(row[name], row[f"{name}_mcse"], 100.0) + " %"


def _plain_number(value: float, form: str) -> str:
    return form.format(value) if math.isfinite(value) else labels.DASH


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

    table = Table.from_pandas(escapes.shown(frame))
    for name in table.colnames:
        if name in _RADII:
            table[name].unit = units.kpc
        elif name.removesuffix("_mcse") in _IN_ERROR_UNIT:
            table[name].description = _DESCRIPTION
    text = io.StringIO()
    table.write(text, format="ascii.ecsv")
    return text.getvalue()


def _is_lossy(frame: pd.DataFrame) -> bool:
    """Whether a table of scores has a row of low success."""
    return "success" in frame and bool(frame["lossy"].any())


def _printed(frame: pd.DataFrame) -> list[str]:
    """Columns of tables for readers; errors and limits stand with their scores, bounds where they matter."""
    names = [str(name) for name in frame.columns if name not in _MACHINE]
    names = [name for name in names if name.removesuffix("_mcse") not in (set(frame) - {name})]
    if not _is_lossy(frame):
        return names
    return [*names, *(f"{share.name}_min" for share in _BOUNDED)]


def _header(names: list[str]) -> list[str]:
    shown = {"r": "r [kpc]", "n_failed": "failed", "coverage68": "coverage 68 %"}
    shown |= {"coverage95": "coverage 95 %"}
    shown |= {f"{share.name}_min": f"bounds {share.name[-2:]} %" for share in _BOUNDED}
    # factors are paths of the scenario, written as they are
    return [shown.get(name, name if "." in name else name.replace("_", " ")) for name in names]


def _cell_text(row: dict[Any, Any], name: str) -> str:
    """One cell for readers: numbers with the digits that their Monte Carlo errors allow."""
    value, quantity = row[name], str(row["quantity"])
    if name == "quantity":
        return labels.plain(quantity) or labels.DASH
    if name == "unit":
        return labels.error_unit(quantity, str(value)) if quantity else ""
    if not isinstance(value, float):
        return str(value)
    if name in _SHARES:
        return _share_text(row, _SHARES[name])
    if (share := _SHARES.get(name.removesuffix("_min"))) is not None:
        return _bounds_text(row, share) if row["lossy"] else labels.DASH
    if not math.isfinite(value):
        return labels.DASH
    score = name.removesuffix("_mcse")
    stated = f"{score}_mcse" in row and score in _IN_ERROR_UNIT
    factor = labels.error_factor(row["quantity"]) if stated else 1.0
    if f"{name}_mcse" not in row:
        return f"{factor * value:.4g}"
    return labels.with_error(value, row[f"{name}_mcse"], factor)


def _latex(frame: pd.DataFrame, names: list[str]) -> str:
    align = "".join("r" if frame[name].dtype.kind in "if" else "l" for name in names)
    rows = frame.to_dict("records")
    lines = [
        "% needs \\usepackage{booktabs}; unit: that of bias, scatter and other errors",
        *((f"% {_LOSSY_NOTE}",) if _is_lossy(frame) else ()),
        f"\\begin{{tabular}}{{{align}}}",
        "\\toprule",
        escapes.latex_row([escapes.latex(name) for name in _header(names)]),
        "\\midrule",
        *(escapes.latex_row([_latex_cell(row, name) for name in names]) for row in rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_cell(row: dict[Any, Any], name: str) -> str:
    known = labels.known(row[name]) if name == "quantity" else None
    if known is not None and (label := escapes.tex_label(known)):
        return label
    text = _cell_text(row, name)
    if text == labels.DASH:
        return "--"
    if " ± " in text and isinstance(row[name], float):
        return "$" + text.replace("±", r"\pm") + "$"
    if isinstance(row[name], float) and text.startswith("-"):
        return f"${text}$"
    return escapes.latex(text)


def _markdown(frame: pd.DataFrame, names: list[str]) -> str:
    rule = ["---:" if frame[name].dtype.kind in "if" else ":---" for name in names]
    rows = frame.to_dict("records")
    lines = [
        _markdown_row(_header(names)),
        "| " + " | ".join(rule) + " |",
        *(_markdown_row([_cell_text(row, name) for name in names]) for row in rows),
        *(("", _LOSSY_NOTE) if _is_lossy(frame) else ()),
    ]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(map(escapes.markdown, cells)) + " |"
