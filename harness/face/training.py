"""The command that trains a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from haloassay.face.endings import code_of, echo, fail
from haloassay.face.plugins import no_plugins

if TYPE_CHECKING:
    from haloassay.estimators.halo.trained_halo import TrainedHalo


@click.command(name="train")
@no_plugins
@click.argument("training", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the network, a new one.",
)
@click.option(
    "-j",
    "--workers",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Processes that simulate; 0 for none beside this one.",
)
def train_command(training: Path, out: Path, workers: int) -> None:
    """Train a network for the estimator npe.

    TRAINING is a file (TOML) with the mock and the survey, the prior of what varies, how many catalogues and subsets of
    their stars come of each mock, and how the network learns. Mocks that it has not learnt from tell how well it is
    calibrated. Needs sbi: pip install 'haloassay[npe]'.
    """
    from haloassay.engine.progress import make_progress
    from haloassay.engine.training import train

    try:
        made = train(training, out, workers, make_progress().say)
    except KeyboardInterrupt as stop:
        fail(f"interrupted; nothing is in {out}", code_of(stop))
    for line in calibration(made):
        echo(line)
    echo(f"{out}: the network, for a setting network = {str(out)!r} of the estimator npe")


def calibration(made: TrainedHalo) -> list[str]:
    """Lines about what a network says of mocks that it has not learnt from."""
    held: Mapping[str, Any] = made.description["held_out"]
    lines = [
        f"{held['mocks']} mocks held out, of which {held['refused']} would be refused",
        f"{'quantity':<15} {'bias':>17} {'half width':>11} {'68 %':>6} {'95 %':>6} {'ranks, p':>9}",
    ]
    for name, row in held["table"].items():
        bias = f"{row['bias']:+.3f} +- {row['bias_error']:.3f}"
        lines.append(
            f"{name:<15} {bias:>17} {row['half_width']:>11.3f} {row['coverage68']:>6.2f} {row['coverage95']:>6.2f}"
            f" {row['p_ranks']:>9.2g}"
        )
    lines.append(
        f"bias of the median and half of the 68 per cent interval: of beta as they are, else as shares of the truth;"
        f" enclosed_mass is that within {held['radius']:.3g} kpc"
    )
    return lines
