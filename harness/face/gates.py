"""Gates of somebody's CI: what a run may not say, what it says of a kept one, and what is kept of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from haloassay.base.defaults import ALPHA, MARGIN
from haloassay.face.endings import EXIT_FAULT, EXIT_NOTHING, End, echo, fail
from haloassay.face.options import RESULTS
from haloassay.face.outputs import require_outside, require_writable, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from haloassay.analysis.compare import Comparison
    from haloassay.analysis.rules import Rule
    from haloassay.results.results import Results

#: Formats, and the functions of the report that write them.
_FORMATS: Final = {
    "terminal": "text",
    "markdown": "markdown",
    "json": "json_text",
    "junit": "junit",
}


def compare(
    old: str | Path, new: str | Path, margin: float = MARGIN, alpha: float = ALPHA
) -> Comparison:
    """Say what differs between two runs, as ``haloassay compare`` does.

    Parameters
    ----------
    old, new
        Results folders, or baselines (:func:`baseline`).
    margin
        Below which a difference does not matter: of a bias in units of the old scatter, of a scatter or an error ratio
        as a share, of coverage and success half of it.
    alpha
        Probability that anything is said to have moved where nothing has.

    Raises
    ------
    InputError
        If one of them cannot be read, or the margin or rate is not in (0, 1).
    """
    from haloassay.analysis.compare import compare as compared
    from haloassay.results.baseline import read_side

    return compared(read_side(old), read_side(new), margin, alpha)


def baseline(out: str | Path, file: str | Path | None = None) -> str:
    """Make the baseline of the results in ``out``: a small text for a repository.

    Parameters
    ----------
    out
        Results folder.
    file
        Where to write it; nowhere by default.

    Returns
    -------
    str
        The text, JSON.

    Raises
    ------
    InputError
        If there are no scores, too many of them, or the file cannot be written.
    """
    from haloassay.results.baseline import baseline_of
    from haloassay.results.results import Results

    text = baseline_of(Results(out)).text
    if file is not None:
        write(text, Path(file))
    return text


def rules_of(conditions: Sequence[str]) -> list[Rule]:
    """Read what a run may not say, before it is run.

    Raises
    ------
    InputError
        If one is no condition on a table: :func:`haloassay.analysis.rules.make_rule`.
    """
    from haloassay.analysis.rules import make_rule

    return [make_rule(text, "fail-if") for text in conditions]


def objections(results: Results, rules: Sequence[Rule], verdict: bool) -> Iterator[str]:
    """Lines about what speaks against a run: conditions that hold for a row, and verdicts that find a fault."""
    from haloassay.analysis.verdict import verdicts
    from haloassay.contracts import labels

    with labels.vocabulary(results.quantities):
        for rule in rules:
            frame = rule.of(results, valued=False)
            found = frame[~rule.fails(frame)]
            if len(found):
                row = found.iloc[0]
                values = ", ".join(f"{name} = {row[name]:.4g}" for name in rule.condition.names)
                where = labels.at_radius(str(row["quantity"]), float(row["r"]))
                yield (
                    f"{rule.where}: holds for {len(found)} of {len(frame)} rows; the first: {row['estimator']},"
                    f" {where}, cell {row['cell']}: {values}"
                )
        if verdict:
            for each in verdicts(results.table(), results.tolerances):
                if each.fault:
                    name = labels.plain(each.quantity)
                    yield f"verdict: {each.estimator}, {name}, cell {each.cell}: {each.text}"


@click.command(name="compare")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--margin",
    type=float,
    default=MARGIN,
    show_default=True,
    help="Differences that do not matter: of a bias in units of its scatter, of a scatter or error ratio as a share, of"
    " coverage and success half of it.",
)
@click.option(
    "--alpha",
    type=float,
    default=ALPHA,
    show_default=True,
    help="Probability that anything is said to have moved where nothing has.",
)
@click.option(
    "--format", "fmt", type=click.Choice(tuple(_FORMATS)), default="terminal", show_default=True
)
@click.option("--out", type=click.Path(path_type=Path), help="File instead of standard output.")
def compare_command(
    old: Path, new: Path, margin: float, alpha: float, fmt: str, out: Path | None
) -> None:
    """Hold the results in NEW against those in OLD: folders, or files of `haloassay baseline`.

    Ends with 0 where nothing moved, 1 where something did or is gone, 3 where the two have nothing in common.
    """
    from haloassay.contracts import labels
    from haloassay.reports import comparison as words

    require_writable({"--out": out}, {"old baseline": old, "new baseline": new})
    for folder in (old, new):
        require_outside(out, folder)
    found = compare(old, new, margin, alpha)
    if not found.rows:
        fail(f"{old}, {new}: have no row in common", EXIT_NOTHING)
    with labels.vocabulary(found.quantities):
        write(getattr(words, _FORMATS[fmt])(found), out)
        if out is not None:
            echo(words.summary(found), err=True)
    if found.has_moved:
        raise End(EXIT_FAULT)


@click.command(name="baseline")
@click.argument("folder", type=RESULTS)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File, JSON.")
def baseline_command(folder: Path, out: Path) -> None:
    """Keep what the results in FOLDER say in a small file, for a repository and `haloassay compare`."""
    from haloassay.results.baseline import baseline_of
    from haloassay.results.results import Results

    require_writable({"--out": out})
    require_outside(out, folder)
    made = baseline_of(Results(folder))
    write(made.text, out)
    echo(
        f"{made.rows} rows of {made.realizations} realisations, {len(made.text) / 1e3:.0f} kB: {out}"
    )
