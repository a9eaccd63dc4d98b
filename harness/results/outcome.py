"""What became of a task: how each estimator ended, and its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from haloassay.planning.cells import Cell, Method
from haloassay.planning.scenario import Spec

#: How one estimator ended on one catalogue. ``failed`` is its own doing; ``no-mock``: there was no catalogue,
#: or no truth to compare with; ``timeout`` and ``lost`` (the machine's doing) are tried again by the next run.
Status = Literal["ok", "failed", "no-mock", "timeout", "lost"]


@dataclass(frozen=True)
class Outcome:
    """What became of one estimator in one task.

    ``n_stars`` were observed, and a share ``overlap`` of them in any other realisation too. ``rows`` are the fields of
    an estimate (without its draws) with truth, rank and n_draws; ``joint_*`` are the place of the truth among the
    draws of all of them together, how many draws, and of how many rows. ``touched`` says what the estimator did to its
    process, for the messages of the run; it is not kept.
    """

    method: Method
    status: Status
    error_type: str = ""
    message: str = ""
    seconds: float = 0.0
    n_stars: int = 0
    overlap: float | None = None
    rows: tuple[Spec, ...] = ()
    traceback: str = ""
    joint_rank: int = -1
    joint_draws: int = 0
    joint_rows: int = 0
    touched: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskResult:
    """Outcomes of all estimators of a task."""

    cell: Cell
    realization: int
    outcomes: tuple[Outcome, ...]
