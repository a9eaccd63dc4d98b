"""The command that matches mocks to measurements, and the files that it writes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from haloassay.base.defaults import ROUNDS, SHARE
from haloassay.base.files import write_bytes
from haloassay.face import completion
from haloassay.face.outputs import FORMATS, for_readers, require_writable, write
from haloassay.face.plugins import no_plugins
from haloassay.face.verbosity import verbosity

if TYPE_CHECKING:
    from haloassay.analysis.match import Match
    from haloassay.contracts.measurements import Measurement
    from haloassay.engine.progress import Progress
    from haloassay.planning.scenario import Scenario
    from haloassay.results.store import Mode

#: Files of tables in the folder of a match, by format.
_TABLES: Final = {
    "csv": "match.csv",
    "ecsv": "match.ecsv",
    "latex": "match.tex",
    "markdown": "match.md",
    "parquet": "match.parquet",
}


def match(
    scenario: str | Path | Mapping[str, Any] | Scenario,
    to: str | Path | Sequence[Measurement],
    out: str | Path,
    free: Sequence[str] | Mapping[str, Any],
    *,
    points: int | None = None,
    rounds: int = ROUNDS,
    share: float = SHARE,
    workers: int | None = None,
    seed: int | None = None,
    mode: Mode = "resume",
    progress: Progress | None = None,
) -> Match:
    """Find the mocks whose simulated measurements look like measured ones, and the truth behind them.

    Writes into ``out`` the runs, ``matched.toml``, a scenario at the best settings, ``match.json``, a figure and the
    table in every format. Parameters and errors are those of :func:`haloassay.engine.matching.match`.
    """
    from haloassay.engine.matching import match as found_by
    from haloassay.planning.scenario import as_scenario

    settings = {"points": points, "rounds": rounds, "share": share, "workers": workers}
    known = as_scenario(scenario)
    found = found_by(known, to, out, free, **settings, seed=seed, mode=mode, progress=progress)  # type: ignore[arg-type]
    measured = str(to) if isinstance(to, str | Path) else "measurements"
    _write(found, known.revise(seed=seed), measured, Path(out))
    return found


def _write(found: Match, scenario: Scenario, measured: str, out: Path) -> None:
    """Write scenario, numbers, figure and tables of a match."""
    from haloassay.planning.free import with_settings
    from haloassay.planning.writing import to_toml
    from haloassay.reports import matching as words
    from haloassay.reports.figures.files import save
    from haloassay.reports.figures.match import match_figure

    matched = with_settings(scenario, found.matched)
    matched = matched.revise(name=f"{scenario.name}-matched")
    said = [f"{scenario.name} matched to {measured}: {words.sentence(found)}"]
    write_bytes(out / "matched.toml", to_toml(matched, said).encode())
    write_bytes(out / "match.json", (json.dumps(plain(found), indent=1) + "\n").encode())
    for fmt, name in _TABLES.items():
        content = formatted(found, fmt)
        write_bytes(out / name, content.encode() if isinstance(content, str) else content)
    save(match_figure(found).figure, out / "match")


def formatted(found: Match, fmt: str) -> str | bytes:
    """Write a match in a format of ``haloassay match --format``."""
    from haloassay.reports import matching as words
    from haloassay.reports.tables import format_table

    style = for_readers(words, fmt)
    return format_table(words.frame(found), fmt) if style is None else style(found)


def plain(found: Match) -> dict[str, Any]:
    """Plain values of a match, NaN as None: the table row by row, and the draws."""
    from haloassay.reports import matching as words

    rows = words.frame(found).to_dict("records")
    return {
        "scenario": found.scenario,
        "sentence": words.sentence(found),
        "nothing_alike": found.fit.nothing_alike,
        "converged": found.converged,
        "matched": dict(found.matched),
        "rows": [{str(k): _finite(v) for k, v in row.items()} for row in rows],
        "rounds": [vars(each) for each in found.rounds],
        "draws": {path: [float(f"{x:.6g}") for x in drawn] for path, drawn in found.draws.items()},
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


@click.command(name="match")
@no_plugins
@verbosity
@click.argument("scenario", shell_complete=completion.scenario_names)
@click.option(
    "--to", required=True, type=click.Path(path_type=Path), help="What was measured: CSV (below)."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the match.")
@click.option(
    "--free",
    multiple=True,
    metavar="PATH[=PRIOR]",
    help='Setting that is free, such as mock.potential.0.m200 or "mock.beta.beta.*", and its prior, such as'
    " \"{ kind = 'uniform', lo = 0.0, hi = 0.9 }\"; well-known settings have a wide one.",
)
@click.option("--points", type=int, help="Mocks a round, a power of two [14 a free setting].")
@click.option("--rounds", type=int, default=ROUNDS, show_default=True, help="Rounds at most.")
@click.option(
    "--share",
    type=float,
    default=SHARE,
    show_default=True,
    help="Error of the emulators, in units of the other errors, that ends the rounds.",
)
@click.option("-j", "--workers", type=int, help="Processes [all processors].")
@click.option("--seed", type=int, help="Seed, instead of the scenario's.")
@click.option("--restart", "mode", flag_value="restart", help="Throw away what --out holds.")
@click.option("--resume", "mode", flag_value="resume", default=True, help="Go on [default].")
@click.option("--format", "fmt", type=click.Choice(FORMATS), default="terminal", show_default=True)
def match_command(
    scenario: str,
    to: Path,
    out: Path,
    free: tuple[str, ...],
    points: int | None,
    rounds: int,
    share: float,
    workers: int | None,
    seed: int | None,
    mode: Any,
    fmt: str,
) -> None:
    """Find mocks of SCENARIO whose simulated measurements look like measured ones, and the truth behind them.

    MEASURED.csv is what `haloassay measure --format csv` writes, or a table of quantity, r, value, error (or lo68,
    hi68), with r_lo, r_hi and estimator where they are known. Survey and estimators are those of the scenario.
    """
    require_writable({}, {"measurement": to})
    settings = {"points": points, "rounds": rounds, "share": share, "workers": workers}
    found = match(scenario, to, out, free, **settings, seed=seed, mode=mode)  # type: ignore[arg-type]
    write(formatted(found, fmt), None)
