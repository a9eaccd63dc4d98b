"""What a run says of its factors: what they are called, what they set, how likely their values are held to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.contracts.priors import Discrete, Prior, make_prior


@dataclass(frozen=True)
class StatedLevel:
    """A level of a factor.

    Parameters
    ----------
    label, value
        What it is called, and its value, or its label again where it sets several places.
    cell
        Cell in which this level alone is changed; empty where there is none.
    """

    label: str
    value: Any
    cell: str


@dataclass(frozen=True)
class StatedFactor:
    """A factor of a run.

    Parameters
    ----------
    label
        What tables and figures call it.
    paths
        What it sets.
    levels
        Its levels, in the order of the scenario.
    base
        Its value in the scenario as written.
    prior
        How likely its values are held to be, where that is said.
    """

    label: str
    paths: tuple[str, ...]
    levels: tuple[StatedLevel, ...]
    base: Any
    prior: Prior | None

    def values(self, u: FloatArray) -> list[Any]:
        """Values below which shares ``u`` of the prior lie; of a discrete one, its levels."""
        assert self.prior is not None
        found = self.prior.quantile(u)
        if isinstance(self.prior, Discrete):
            return [self.levels[int(k)].value for k in found]
        return [float(x) for x in found]

    @property
    def positions(self) -> FloatArray | None:
        """Values of the levels as numbers, in their order; None where they are none."""
        values = [level.value for level in self.levels]
        if all(isinstance(x, int | float) and not isinstance(x, bool) for x in values):
            return np.array(values, dtype=float)
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as ``run.json`` has them."""
        levels = [{"label": x.label, "value": x.value, "cell": x.cell} for x in self.levels]
        prior = None if self.prior is None else self.prior.to_dict()
        return {
            "label": self.label,
            "paths": list(self.paths),
            "levels": levels,
            "base": self.base,
            "prior": prior,
        }

    @staticmethod
    def of(told: Mapping[str, Any]) -> StatedFactor:
        """Read what :meth:`to_dict` wrote."""
        prior = told["prior"]
        return StatedFactor(
            told["label"],
            tuple(told["paths"]),
            tuple(StatedLevel(x["label"], x["value"], x["cell"]) for x in told["levels"]),
            told["base"],
            None if prior is None else make_prior(prior, f"factor {told['label']!r}"),
        )
