"""What a page says in words: sentence, verdicts, failures, budgets, definitions, and how to make it again."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from haloassay.analysis.condensed import WORDS, condensed
from haloassay.analysis.verdict import ALPHA, ENOUGH, GRADES, overlap_sentence, verdicts
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.reports import budget as budgets
from haloassay.reports.page.library import vega
from haloassay.reports.page.packing import as_text, packed
from haloassay.reports.page.payload import payload

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.analysis.budget import Budget
    from haloassay.analysis.condensed import Condensed
    from haloassay.analysis.summary import Summary

#: Grades as the table of verdicts shows them.
_MARKS: Final = {
    "matters": "✗ matters",
    "small": "≈ small",
    "none": "✓ none found",
    "open": "? open",
}
#: Scripts of the page, in the order in which they are read.
_SCRIPTS: Final = ("state.js", "map.js", "table.js", "charts.js", "detail.js", "main.js")
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


def render(data: Summary) -> str:
    """HTML of the page of a run."""
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
    judged = verdicts(data.scores, data.tolerances)
    lines, numbers = condensed(judged), payload(data, judged)
    calibration = data.calibration[data.calibration["n"] >= ENOUGH]
    context = {
        "css": (here / "page.css").read_text(encoding="utf-8"),
        "scripts": "\n".join((here / name).read_text(encoding="utf-8") for name in _SCRIPTS),
        "numbers": packed(numbers),
        "vega": as_text(vega()) if len(data.scores) else "",
        "scenario": scenario,
        "title": scenario.get("title") or scenario.get("name") or "Run",
        "sentence": sentence(lines),
        "budgets": _budgets(data.budgets),
        "legend": budgets.legend(data.factors),
        "counts": _counts(data.outcomes),
        "problems": _problems(data),
        "lines": _lines(lines, numbers),
        "many_cells": data.scores["cell"].nunique() > 1,
        "overlap": overlap_sentence(data.overlaps),
        "damage": data.damage,
        "enough": ENOUGH,
        "one_in": round(1.0 / ALPHA),
        "by_chance": f"{ALPHA * len(judged):.2g}",
        "pairs": None if data.pairs is None else len(data.pairs),
        "base_cell": data.base_cell,
        "n_calibrated": len(calibration),
        "n_inside": int(calibration["inside"].sum()),
        "sampled": _sampled(data.description),
        "definitions": data.definitions,
        "references": _REFERENCES,
        "facts": _facts(data.description, data.overlaps),
        "scenario_text": json.dumps(scenario, indent=2, ensure_ascii=False, default=str),
    }
    return environment.get_template("page.html").render(context)


def _sampled(description: Mapping[str, Any]) -> str:
    """Name the cells whose catalogues have truths of their own; empty where there are none."""
    cells = [str(each["cell"]) for each in description.get("cells", ()) if "sampling" in each]
    varies = any(
        path.startswith("mock.")
        for each in description.get("factors", ())
        for path in each["paths"]
    )
    return ", ".join(f"cell {cell}" for cell in cells) if varies else ""


def sentence(lines: Sequence[Condensed]) -> str:
    """Say in one sentence what a run found: how many matter, and where it is worst."""
    if not lines:
        return "This run holds no results."
    counts = Counter(line.grade for line in lines)
    one = {"matters": "matters" if counts["matters"] == 1 else "matter"}
    texts = (f"{counts[grade]} {one.get(grade, WORDS[grade])}" for grade in GRADES if counts[grade])
    of = "one estimate" if len(lines) == 1 else f"{len(lines)} pairs of estimator and quantity"
    text = f"Of {of}: {', '.join(texts)}."
    worst = max(lines, key=lambda line: (line.grade == "matters", line.worst.size))
    return f"{text} Farthest off: {worst.text}." if worst.grade == "matters" else text


def _lines(lines: Sequence[Condensed], numbers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One line an estimator and quantity, with the numbers by which the scripts name its worst cell."""
    of = {key: {x: k for k, x in enumerate(numbers[key])} for key in ("cells", "estimators")}
    quantities = {quantity["name"]: k for k, quantity in enumerate(numbers["quantities"])}
    return [
        {
            "estimator": line.estimator,
            "quantity": labels.plain(line.quantity) or "no result",
            "grade": line.grade,
            "mark": _MARKS[line.grade] + _share(line),
            "lossy": line.lossy,
            "worst": line.worst.cell,
            "best": line.best.cell if line.best.cell != line.worst.cell else labels.DASH,
            "numbers": (
                of["estimators"][printable(line.estimator)],
                quantities[printable(line.quantity)],
                of["cells"][printable(line.worst.cell)],
            ),
            **_worst(line),
        }
        for line in lines
    ]


def _share(line: Condensed) -> str:
    """How many of several cells have the grade of the worst."""
    return f", {line.counts[line.grade]} of {line.n_cells} cells" if line.n_cells > 1 else ""


def _worst(line: Condensed) -> dict[str, str]:
    """Numbers of the bin that decides."""
    row, name = line.worst.worst, line.quantity
    if row is None:
        return dict.fromkeys(("r", "bias", "scatter", "coverage"), labels.DASH)
    unit = labels.error_unit(name, row.unit)
    scatter = f"{labels.error_factor(name) * row.scatter:.3g} {unit}".rstrip()
    return {
        "r": f"{row.r:.3g}" if math.isfinite(row.r) else labels.DASH,
        "bias": labels.error_text(row.bias, row.bias_mcse, name, row.unit),
        "scatter": scatter if math.isfinite(row.scatter) else labels.DASH,
        "coverage": f"{row.coverage68:.2f}" if math.isfinite(row.coverage68) else labels.DASH,
    }


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


def _structures(made: Mapping[str, Any]) -> str:
    """Say what an accreted halo comes from, as the end of a sentence."""
    whose = (
        " (the first realisation's: each has a halo of its own)" if "one_of_many" in made else ""
    )
    return (
        f"; of {made['contribute']} satellites of {made['fell_in']} that fell in, as many as"
        f" {made['effective']:.2g} of equal shares, {100.0 * made['largest']:.0f} per cent of one{whose}"
    )


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
        if "accreted" in mock:
            text += _structures(mock["accreted"])
        facts[f"population behind {cell['cell']}"] = text
    return facts
