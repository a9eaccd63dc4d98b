"""A run whose errors are a known function of its factors, so that every line of its budget is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import synthetic_results as synthetic

from haloassay.contracts.factors import StatedFactor, StatedLevel
from haloassay.contracts.priors import Discrete, Normal, Uniform
from haloassay.planning.sampling import Sampling

BIAS, NOISE = 0.15, 0.03
#: Response: a x + b y + c x y + one shift a choice; noise grows with x.
A, B, C, GROWTH = 0.08, -0.05, 0.02, 0.02
CHOICE = {"plain": 0.0, "bold": 0.03}
WEIGHTS = (1.0, 3.0)
X, Y = Normal(0.0, 1.0), Uniform(-1.0, 1.0)
POINTS = 200


def level(name: str, label: str, value: Any) -> StatedLevel:
    return StatedLevel(label, value, "base" if value in (0.0, "plain") else f"{name}={label}")


FACTORS = (
    StatedFactor(
        "x", ("survey.x",), tuple(level("x", f"{v:g}", v) for v in (-2.0, -1.0, 1.0, 2.0)), 0.0, X
    ),
    StatedFactor("y", ("survey.y",), tuple(level("y", f"{v:g}", v) for v in (-1.0, 1.0)), 0.0, Y),
    StatedFactor(
        "choice",
        ("survey.z",),
        tuple(level("choice", k, k) for k in CHOICE),
        "plain",
        Discrete(WEIGHTS),
    ),
)
#: Standard deviations under the priors, and what all do together.
SD = {
    "x": A,
    "y": abs(B) / np.sqrt(3.0),
    "choice": np.sqrt(0.25 * 0.75) * CHOICE["bold"],
}
QUADRATURE = float(np.sqrt(sum(sd**2 for sd in SD.values())))
TOGETHER = float(np.sqrt(QUADRATURE**2 + C**2 / 3.0))
MEAN = 0.75 * CHOICE["bold"]


@dataclass
class BudgetResults(synthetic.SyntheticResults):
    factors: tuple[StatedFactor, ...] = FACTORS
    samplings: dict[str, Sampling] = field(default_factory=dict)
    base_cell: str = "base"


def response(x: Any, y: Any, choice: Any, noise: Any, growth: Any) -> Any:
    shift = np.vectorize(CHOICE.__getitem__, otypes=[float])(choice)
    return BIAS + A * x + B * y + C * x * y + shift + NOISE * noise + GROWTH * growth * x


def results(
    folder: Any,
    seed: Any,
    n: int = 200,
    replicates: int = 2,
    quantity: str = "m200",
    rows: int = 0,
    design: str = "joint",
    common: bool = True,
) -> BudgetResults:
    """Run of design one-at-a-time and ``design`` with ``n`` realisations a cell, ``n / replicates`` points.

    With ``rows`` also of design saltelli, with so many; cells have the noise of the base where it is ``common``.
    """
    rng = seed
    points = n // replicates
    noise, growth = rng.standard_normal((2, n))
    sampling = Sampling(design, 3, int(rng.integers(2**31)), replicates, points)
    frames = []

    def add(cell: str, x: Any = 0.0, y: Any = 0.0, choice: Any = "plain") -> None:
        own = (noise, growth) if common else rng.standard_normal((2, n))
        e = response(x, y, choice, *own)
        made = synthetic.rows(
            rng, n, cell, "known", quantity, r=np.nan, truth=1e12, z=(e / 0.1), n_draws=0
        )
        frames.append(made)

    add("base")
    for factor in FACTORS:
        for each in factor.levels:
            if each.cell != "base":
                add(each.cell, **{factor.label: each.value})
    u = np.array([sampling.coordinates(i) for i in range(n)])
    x, y, choice = (f.values(u[:, k]) for k, f in enumerate(FACTORS))
    add(design, np.array(x), np.array(y), np.array(choice))
    samplings = {design: sampling}
    if rows:
        samplings["saltelli"] = Sampling("saltelli", 3, sampling.seed, replicates, rows)
        frames.append(_saltelli(rng, samplings["saltelli"], rows, quantity))
    frame = pd.concat(frames)
    made = synthetic.write(folder, frame, synthetic.runs_of(frame))
    own = {k: getattr(made, k) for k in ("out", "cells", "estimates_files", "runs_files")}
    unpaired = ["saltelli"] if rows else []
    return BudgetResults(**own, samplings=samplings, unpaired=unpaired)


def _saltelli(rng: Any, sampling: Sampling, rows: int, quantity: str) -> pd.DataFrame:
    """Cell whose points have the random numbers of their row."""
    n = rows * 5 * sampling.replicates
    noise, growth = rng.standard_normal((2, rows * sampling.replicates))
    draw = [sampling.draw(i) for i in range(n)]
    u = np.array([sampling.coordinates(i) for i in range(n)])
    values = (np.array(f.values(u[:, k])) for k, f in enumerate(FACTORS))
    e = response(*values, noise[draw], growth[draw])
    return synthetic.rows(
        rng, n, "saltelli", "known", quantity, r=np.nan, truth=1e12, z=e / 0.1, n_draws=0
    )
