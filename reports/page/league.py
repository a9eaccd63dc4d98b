"""The page of a league: all tables in one file, chosen by quantity, radius and level."""

from __future__ import annotations

import importlib.resources
import math
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment

from haloassay.analysis.league import Table
from haloassay.contracts import labels
from haloassay.reports import league as words


def render(tables: Sequence[Table], name: str) -> str:
    """HTML of the page; ``name`` is the title of the scenario."""
    folder = importlib.resources.files("haloassay.reports.page")
    source = (folder / "league.html").read_text(encoding="utf-8")
    style = (folder / "page.css").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    sections = list(map(_section, tables))
    choices: dict[str, list[str]] = {}
    for section in sections:
        for key, value in section["of"].items():
            known = choices.setdefault(key, [])
            if value not in known:
                known.append(value)
    return environment.from_string(source).render(
        title=name,
        style=style,
        sections=sections,
        choices={key: values for key, values in choices.items() if len(values) > 1},
        notes=words.notes(tables),
    )


def _section(table: Table) -> dict[str, Any]:
    """One table: what it can be chosen by, its rows, and a bar of each error as a share of the largest."""
    head, *rows = words.rows(table)
    errors = [each.scores[table.by].value for each in table.standings]
    largest = max(filter(math.isfinite, errors), default=0.0) or 1.0
    radius = "–" if table.r is None else f"{table.r:.3g} kpc"
    return {
        "title": words.title(table),
        "of": {"quantity": labels.plain(table.quantity.name), "radius": radius, **table.where},
        "head": head,
        "rows": [(row, 100.0 * e / largest) for row, e in zip(rows, errors, strict=True)],
        "notes": table.notes,
    }
