"""The command that measures one catalogue, and its estimates as a terminal shows them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from haloassay.base.errors import InputError, blamed_on
from haloassay.base.text import printable
from haloassay.face import completion
from haloassay.face.endings import EXIT_NOTHING, echo, fail
from haloassay.face.options import pairs
from haloassay.face.outputs import require_writable, write
from haloassay.face.pace import told
from haloassay.face.plugins import no_plugins

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Propagation
    from haloassay.contracts.estimate import Estimates


def estimates_text(estimates: Estimates) -> str:
    """Aligned lines: quantity, radius, value with 68 and 95 per cent intervals, unit, or why there is none."""
    import numpy as np

    from haloassay.contracts import labels

    lines = []
    for row in estimates:
        place = "" if row.r != row.r else f"r = {row.r:.4g} kpc"
        if row.r_lo == row.r_lo and row.r_hi == row.r_hi:
            place += f" ({row.r_lo:.4g}-{row.r_hi:.4g})"
        start = f"{row.quantity + ' ':<15}{place:<32}"
        if row.note:
            lines.append(f"{start}cannot be determined: {row.note}")
            continue
        bounds = np.array([[row.lo68, row.hi68], [row.lo95, row.hi95]])
        if labels.quantity_of(row.quantity).scale == "angle":  # told in one turn
            bounds = 180.0 - (180.0 - bounds) % 360.0
        levels = zip((68, 95), bounds, strict=True)
        stated = [f"{level}%: {lo:.4g} to {hi:.4g}" for level, (lo, hi) in levels if lo == lo]
        errors = "  ".join(stated or ["states no error"])
        toward = "" if row.toward is None else " from l = {:.4g}, b = {:.4g}".format(*row.toward)
        lines.append(f"{start}{row.value:>10.4g}  {errors}  {row.unit}".rstrip() + toward)
    return "".join(f"{printable(line)}\n" for line in lines)


@click.command()
@no_plugins
@click.argument("catalogue")
@click.option(
    "--estimator",
    required=True,
    shell_complete=completion.estimator_kinds,
    help="Kind of estimator: see `haloassay list estimators`.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Setting, as in a scenario file."
)
@click.option(
    "--columns", help="Names in the file: 'x,y,z,-,vx,...' in order, or 'distance=dist,...'."
)
@click.option(
    "--unit", "units", multiple=True, metavar="COLUMN=UNIT", help="Unit or factor of a column."
)
@click.option(
    "--sun",
    help="bird2022, li2026, zhai2018 or numbers [kpc, km/s]: 'x=-8.2,z=0.02,vx=11.1,vy=245,vz=7.3' (vy is that of the"
    " circle and the Sun's own); by default that of the file, else li2026.",
)
@click.option(
    "--table", "its_table", metavar="NAME|NUMBER", help="Which table, of a file of several."
)
@click.option(
    "--max-memory",
    metavar="SIZE",
    help="What the columns may take, such as 4GB; by default half of the free memory.",
)
@click.option(
    "--drop", default="", help="Defective rows to leave out: nan,duplicates,unphysical,... or all."
)
@click.option(
    "--missing",
    multiple=True,
    type=float,
    metavar="VALUE",
    help="Number that stands for a missing value, in any column.",
)
@click.option(
    "--clean",
    "steps",
    multiple=True,
    metavar="KIND",
    help="Stars to take out first: a kind of `haloassay list cleans`, or '{ kind = ..., ... }'.",
)
@click.option(
    "--propagation",
    type=click.Choice(["linear", "monte-carlo"]),
    default="linear",
    show_default=True,
    help="How errors are carried to spherical velocities.",
)
@click.option(
    "--survey",
    metavar="PRESET",
    help="Whose selection function the catalogue has: a preset, or '{ magnitude_limits = [11, 19], ... }'.",
)
@click.option("--format", "fmt", type=click.Choice(["terminal", "csv", "json"]), default="terminal")
@click.option("--out", type=click.Path(path_type=Path), help="File instead of standard output.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the estimator.")
@click.option(
    "--label", default="", help="Label of a scenario, whose stream the estimator is to have."
)
def measure(
    catalogue: str,
    estimator: str,
    settings: tuple[str, ...],
    columns: str | None,
    units: tuple[str, ...],
    sun: str | None,
    its_table: str | None,
    max_memory: str | None,
    drop: str,
    missing: tuple[float, ...],
    steps: tuple[str, ...],
    propagation: Propagation,
    survey: str | None,
    fmt: str,
    out: Path | None,
    seed: int,
    label: str,
) -> None:
    """Run one estimator on CATALOGUE: a file, or galpy:mw-globular-clusters, galpy:mw-satellites."""
    from haloassay.base.settings import parse_value
    from haloassay.cleaning.steps import make_clean
    from haloassay.estimators import make_estimator
    from haloassay.face import api
    from haloassay.io.suns import in_words
    from haloassay.io.tables import missing_errors, read_catalogue
    from haloassay.reports import escapes

    require_writable({"--out": out}, {"catalogue": catalogue})
    chosen = pairs(settings, "--set")
    if "kind" in chosen:
        raise InputError("--set kind: the kind is that of --estimator")
    chosen |= {"kind": estimator}
    tables = [parse_value(step) for step in steps]
    tables = [{"kind": table} if isinstance(table, str) else table for table in tables]
    cleaning = make_clean(tables, "--clean")
    if survey and cleaning.by_place:
        raise InputError(
            f"--survey: states how stars were selected, and --clean {cleaning.by_place[0]} selects by place once more:"
            " state its cut as a setting of the survey"
        )
    uses = [n for step in cleaning.steps for n in step.required()]
    with blamed_on(f"{estimator}: what it needs"):
        uses += make_estimator(chosen, estimator).usable()
    with told(f"{catalogue}: reading"):
        read = read_catalogue(
            catalogue,
            columns,
            units=pairs(units, "--unit"),
            sun=sun,
            drop=drop or (),
            missing=missing,
            uses=uses,
            table=its_table,
            max_memory=max_memory,
        )
    with told(f"{catalogue}: cleaning"):
        read = cleaning.apply(read)
    for reason, count in read.dropped.items():
        echo(f"{read.origin}: {count} rows dropped: {reason}", err=True)
    chosen["label"] = label
    with told(f"{catalogue}: {estimator} of {len(read)} stars"):
        estimates = api.measure_safely(
            read,
            chosen,
            seed=seed,
            propagation=propagation,
            survey=parse_value(survey) if survey else None,
        )
    if read.heliocentric and (absent := missing_errors(read)):
        echo(f"{read.origin}: taken as exact, for want of {', '.join(absent)}", err=True)
    echo(f"{read.origin}: the Sun at {in_words(read.sun)} ({read.sun_from})", err=True)
    echo(f"{read.origin}: {len(read)} star{'s' if len(read) > 1 else ''}", err=True)
    frame = estimates.to_frame()
    if fmt == "csv":
        write(escapes.csv(frame), out)
    elif fmt == "json":
        write(frame.to_json(orient="records", indent=1, double_precision=15) + "\n", out)
    else:
        write(estimates_text(estimates), out)
    if all(row.note for row in estimates):
        fail(f"{read.origin}: determines no quantity of {estimator}", EXIT_NOTHING)
