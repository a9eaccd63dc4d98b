"""The page of a run: one HTML file that holds everything and needs no network."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from haloassay.analysis.verdict import ALPHA, ENOUGH, overlap_sentence, verdicts
from haloassay.base.files import require_no_link, write_bytes
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.reports import budget as budgets
from haloassay.reports import tables
from haloassay.reports.figures.every import draw
from haloassay.reports.figures.files import save

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.analysis.budget import Budget
    from haloassay.analysis.summary import Summary

#: Rows of one table on the page; the files beside it hold all.
_PAGE_ROWS: Final = 400
#: Width of the text on the page [px]; wider figures would be scaled down or scrolled.
_WIDEST: Final = 1120.0
#: Columns of words.
_TEXT: Final = ("cell", "estimator", "quantity", "95 % band")
_EXTENSIONS: Final = {"csv": "csv", "ecsv": "ecsv", "latex": "tex", "markdown": "md"}
_REFERENCES: Final = (
    "Morris T. P., White I. R., Crowther M. J. 2019, Statistics in Medicine 38, 2074: bias, "
    "scatter, RMSE and coverage.",
    "Efron B., Stein C. 1981, Annals of Statistics 9, 586: the jackknife, for Monte Carlo errors.",
    "Wilson E. B. 1927, Journal of the American Statistical Association 22, 209: limits of shares.",
    "Hall P. 1992, Journal of the Royal Statistical Society B 54, 221: means of skewed errors; Holm S. 1979, "
    "Scandinavian Journal of Statistics 6, 65: tests that are judged together.",
    "Talts S. et al. 2018, arXiv:1804.06788: calibration by the rank of the truth among "
    "posterior draws.",
    "Säilynoja T., Bürkner P.-C., Vehtari A. 2022, Statistics and Computing 32, 32: simultaneous "
    "bands of the distribution of ranks.",
)


def write_page(data: Summary, folder: Path) -> Path:
    """Write the report of a run: ``index.html``, ``tables/`` and ``figures/``.

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
    with labels.vocabulary(data.quantities):
        return _write(data, folder)


def _write(data: Summary, folder: Path) -> Path:
    for part in ("tables", "figures"):
        require_no_link(folder / part)
    written = {"scores": data.scores} | ({} if data.pairs is None else {"paired": data.pairs})
    written |= {"calibration": data.calibration} if len(data.calibration) else {}
    for name, frame in written.items():
        for fmt, extension in _EXTENSIONS.items():
            text = tables.format_table(frame, fmt)
            content = text if isinstance(text, bytes) else text.encode()
            write_bytes(folder / "tables" / f"{name}.{extension}", content)
    shown = []
    for name, caption, figure in draw(data):
        _, png = save(figure, folder / "figures" / name)
        image = base64.b64encode(png.read_bytes()).decode("ascii")
        width = f"{min(_WIDEST, 125.0 * figure.get_figwidth()):.0f}"
        shown.append({"name": name, "caption": caption, "image": image, "width": width})
    page = folder / "index.html"
    write_bytes(page, render(data, shown).encode())
    return page


def _sampled(description: Mapping[str, Any]) -> str:
    """Name the cells whose catalogues have truths of their own; empty where there are none."""
    cells = [str(each["cell"]) for each in description.get("cells", ()) if "sampling" in each]
    varies = any(
        path.startswith("mock.")
        for each in description.get("factors", ())
        for path in each["paths"]
    )
    return ", ".join(f"cell {cell}" for cell in cells) if varies else ""


def render(data: Summary, shown: Sequence[Mapping[str, str]]) -> str:
    """HTML of the page; ``shown`` holds name, caption, width [px] and base64 PNG."""
    from jinja2 import Environment, FileSystemLoader

    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    scenario = data.description.get("scenario", {})
    calibration = data.calibration[data.calibration["n"] >= ENOUGH]
    groups = _verdict_groups(data.scores)
    context = {
        "css": (here / "page.css").read_text(encoding="utf-8"),
        "scenario": scenario,
        "title": scenario.get("title") or scenario.get("name") or "Run",
        "budgets": _budgets(data.budgets),
        "legend": budgets.legend(data.factors),
        "counts": _counts(data.outcomes),
        "problems": _problems(data),
        "verdicts": groups,
        "many_cells": data.scores["cell"].nunique() > 1,
        "overlap": overlap_sentence(data.overlaps),
        "damage": data.damage,
        "enough": ENOUGH,
        "one_in": round(1.0 / ALPHA),
        "by_chance": f"{ALPHA * sum(len(group['entries']) for group in groups):.2g}",
        "sections": _sections(data.scores),
        "pairs": None if data.pairs is None else _limited(tables.compact_pairs(data.pairs)),
        "base_cell": data.base_cell,
        "calibration": _limited(_without_idle(tables.compact_calibration(calibration))),
        "n_inside": int(calibration["inside"].sum()),
        "sampled": _sampled(data.description),
        "figures": shown,
        "definitions": data.definitions,
        "references": _REFERENCES,
        "facts": _facts(data.description, data.overlaps),
        "scenario_text": json.dumps(scenario, indent=2, ensure_ascii=False, default=str),
    }
    return environment.get_template("page.html").render(context)


def _budgets(found: Sequence[Budget]) -> list[dict[str, Any]]:
    """One table a quantity, and behind it all lines of each budget."""
    groups: dict[str, list[Budget]] = {}
    for budget in found:
        groups.setdefault(budget.quantity.name, []).append(budget)
    return [
        {
            "title": labels.plain(quantity),
            **_plain(budgets.overview(group)),
            "details": [
                {
                    "title": budgets.title(each),
                    "notes": budgets.notes(each),
                    "sentence": budgets.sentence(each),
                    **_plain([budgets.heads(each), *budgets.rows(each)]),
                }
                for each in group
            ],
        }
        for quantity, group in groups.items()
    ]


def _plain(rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Table of text, head first, for the page; first and last column are words where the head says so."""
    head, *body = rows
    columns = [(name, k == 0 or name.startswith("largest")) for k, name in enumerate(head)]
    return {"columns": columns, "rows": body, "total": len(body)}


def _shown(value: Any) -> Any:
    """Text on the page without marks that turn the reading order; escaped against HTML after this."""
    return printable(value, lines=True) if type(value) is str else value


def _counts(outcomes: pd.DataFrame) -> dict[str, int]:
    counts = {str(k): int(v) for k, v in outcomes.groupby("status", sort=False)["n"].sum().items()}
    return {"attempted": sum(counts.values()), "ok": counts.pop("ok", 0), **counts}


def _problems(data: Summary) -> list[dict[str, Any]]:
    """Failed runs and undetermined rows, with their reasons."""
    failed = data.outcomes[data.outcomes["status"] != "ok"].to_dict("records")
    rows = [
        {
            "estimator": row["estimator"],
            "what": f"{row['status']} {row['error_type']}".strip(),
            "n": row["n"],
            "cells": row["cells"],
            "why": row["message"] or "no reason recorded",
        }
        for row in failed
    ]
    notes = data.undetermined.to_dict("records")
    return rows + [
        {
            "estimator": row["estimator"],
            "what": f"{labels.plain(row['quantity'])} undetermined",
            "n": row["n"],
            "cells": row["cells"],
            "why": row["note"],
        }
        for row in notes
    ]


def _verdict_groups(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Verdicts by cell and estimator, in the order of the table."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for verdict in verdicts(scores):
        entry = {
            "quantity": labels.plain(verdict.quantity) or "no result",
            "state": verdict.state,
            "lossy": verdict.lossy,
            "text": verdict.text,
        }
        groups.setdefault((verdict.cell, verdict.estimator), []).append(entry)
    return [
        {"cell": cell, "estimator": estimator, "entries": entries}
        for (cell, estimator), entries in groups.items()
    ]


def _sections(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """One table a quantity."""
    return [
        _section(str(quantity), group) for quantity, group in scores.groupby("quantity", sort=False)
    ]


def _section(quantity: str, group: pd.DataFrame) -> dict[str, Any]:
    """Table of one quantity with the unit of its errors in the heading."""
    unit = labels.error_unit(quantity, str(group["unit"].iloc[0]))
    text = _without_idle(tables.compact(group).drop(columns="quantity"))
    for name in ("bias", "median bias", "scatter", "rmse") if unit else ():
        text[name] = text[name].str.removesuffix(f" {unit}")
    notes = [f"errors in {unit}"] if unit else []
    if text["success"].nunique() == 1:  # the same in all rows: it takes no room in the heading
        notes.append(f"success {text['success'].iloc[0]}")
        text = text.drop(columns="success")
    title = labels.plain(quantity) or "No result"
    return {"title": title, "note": ", ".join(notes), **_limited(text)}


def _without_idle(text: pd.DataFrame) -> pd.DataFrame:
    """Leave out a column of radii that has none, and that of the only cell."""
    idle = ["r [kpc]"] if (text["r [kpc]"] == labels.DASH).all() else []
    return text.drop(columns=idle + (["cell"] if text["cell"].nunique() == 1 else []))


def _limited(frame: pd.DataFrame) -> dict[str, Any]:
    rows = frame.head(_PAGE_ROWS).to_numpy().tolist()
    labelled = [name in _TEXT for name in frame.columns]
    return {
        "columns": list(zip(frame.columns, labelled, strict=True)),
        "rows": rows,
        "total": len(frame),
    }


def _facts(description: Mapping[str, Any], overlaps: pd.DataFrame) -> dict[str, str]:
    """Seed, versions, platform and stored populations as name and text."""
    facts = {}
    scenario = description.get("scenario", {})
    for name in ("name", "seed", "realizations", "reference"):
        if name in scenario:
            facts[name] = str(scenario[name])
    for kind in ("versions", "platform"):
        content = description.get(kind, {})
        facts[kind] = _listed(content) if isinstance(content, Mapping) else str(content)
    also = [_listed(other) for other in description.get("also_versions", ())]
    if also:
        facts["part of the results by"] = "; ".join(also)
    return facts | _populations(description.get("cells", ()), overlaps)


def _listed(content: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in content.items())


def _populations(cells: Iterable[Mapping[str, Any]], overlaps: pd.DataFrame) -> dict[str, str]:
    """How large each stored population is against the samples drawn from it, and whether it stands still."""
    facts, samples = {}, overlaps.set_index("cell")
    for cell in cells:
        mock = cell.get("mock") or {}
        if "population" not in mock:
            continue
        text = f"{mock['population']} stars"
        if mock.get("phases", 1) > 1:
            text += f", {mock['phases']} of each orbit"
        if cell["cell"] in samples.index:
            n_stars, share = samples.loc[cell["cell"], ["n_stars", "share"]]
            text += (
                f", of which a realisation observes {n_stars:.0f}; {100.0 * share:.2g} per cent of these are"
                " the same in any two"
            )
        if "followed" in mock:
            time, turns = mock["followed"]["gyr"], mock["followed"]["turns"]
            text += f"; each followed for up to {time:g} Gyr, {turns:.2g} circular orbits at the outer end"
        for name, drift in mock.get("drift", {}).items():
            worst, time = drift["worst_in_sigma"], drift["over_gyr"]
            still = f"no drift beyond noise (at most {worst:.1f} sigma in {time:g} Gyr)"
            text += f"; {name}: {drift['complaint'] or still}"
        for name, wish in mock.get("beta_wish", {}).items():
            text += f"; {name}: beta misses that of its start by up to {wish['miss']:+.2f}, at {wish['r']:.0f} kpc"
        facts[f"population behind {cell['cell']}"] = text
    return facts
