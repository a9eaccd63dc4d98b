"""What a factor does to an error: measured at its levels, spread by its prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.contracts.factors import StatedFactor
from haloassay.contracts.priors import Discrete

#: Values of a prior by which a response is weighted.
_NODES: Final = 512
#: Share of a prior beyond the outermost levels from which the response there is more extrapolated than measured.
NOTABLE_REACH: Final = 0.05


@dataclass(frozen=True)
class Response:
    """How shifts at a factor's levels become a shift at any of its values.

    Parameters
    ----------
    factor
        Whose.
    shares
        Weights of the levels of a discrete prior, or of equally likely values of another.
    """

    factor: StatedFactor
    shares: FloatArray

    @staticmethod
    def of(factor: StatedFactor) -> Response | str:
        """Response of a factor, or why it has none."""
        if factor.prior is None:
            return "no prior"
        if not all(level.cell for level in factor.levels):
            return "its levels were not run alone (design one-at-a-time)"
        if isinstance(factor.prior, Discrete):
            return Response(factor, factor.prior.shares)
        x = factor.positions
        if x is None:
            return "its levels are no numbers"
        base = factor.base
        if not isinstance(base, int | float) or isinstance(base, bool):
            return "its value in the scenario as written is no number"
        if len(np.unique([*x, float(base)])) < 2:
            return "one value only"
        return Response(factor, np.full(_NODES, 1.0 / _NODES))

    def spread(self, shifts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation under the prior, (n,) each, of shifts (n, k) at the levels."""
        there = self.under_prior(shifts)
        mean = there @ self.shares
        return mean, np.sqrt(np.maximum((there - mean[:, None]) ** 2 @ self.shares, 0.0))

    def half68(self, shifts: FloatArray) -> float:
        """Half the width of the central 68 per cent of the shifts (k,) under the prior."""
        there = self.under_prior(shifts[None])[0]
        order = np.argsort(there)
        below = np.cumsum(self.shares[order]) - 0.5 * self.shares[order]
        lo, hi = np.interp([0.1587, 0.8413], below, there[order])
        return float(hi - lo) / 2.0

    def under_prior(self, shifts: FloatArray) -> FloatArray:
        """Shifts (n, m) at the nodes of the prior, of shifts (n, k) at the levels."""
        if isinstance(self.factor.prior, Discrete):
            return shifts
        return self.at((np.arange(_NODES) + 0.5) / _NODES, shifts)

    def at(self, u: FloatArray, shifts: FloatArray) -> FloatArray:
        """Shifts (n, m) at quantiles ``u`` (m,) of the prior, of shifts (n, k) at the levels.

        Between levels by Hermite cubics that keep the order of their values (Fritsch & Butland 1984, as in
        :class:`scipy.interpolate.PchipInterpolator`), beyond the outermost ones along their last chord.
        """
        from scipy.interpolate import PchipInterpolator

        prior = self.factor.prior
        assert prior is not None
        if isinstance(prior, Discrete):
            return np.asarray(shifts[:, prior.quantile(u).astype(int)])
        levels = self.factor.positions
        assert levels is not None
        x = np.append(levels, float(self.factor.base))
        y = np.concatenate([shifts, np.zeros((len(shifts), 1))], axis=1)
        x, first = np.unique(x, return_index=True)
        y = y[:, first]
        where = prior.quantile(u)
        inside = np.clip(where, x[0], x[-1])
        if len(x) == 2:
            return np.asarray(y[:, :1] + (where - x[0]) * (y[:, 1:] - y[:, :1]) / (x[1] - x[0]))
        found = np.asarray(PchipInterpolator(x, y, axis=1)(inside))
        below = (y[:, 1] - y[:, 0]) / (x[1] - x[0])
        above = (y[:, -1] - y[:, -2]) / (x[-1] - x[-2])
        found += np.minimum(where - x[0], 0.0) * below[:, None]
        found += np.maximum(where - x[-1], 0.0) * above[:, None]
        return found

    @property
    def reach(self) -> float:
        """Share of the prior beyond the outermost levels."""
        levels = self.factor.positions
        if isinstance(self.factor.prior, Discrete) or levels is None:
            return 0.0
        ends = [*levels, float(self.factor.base)]
        assert self.factor.prior is not None
        where = self.factor.prior.quantile((np.arange(_NODES) + 0.5) / _NODES)
        return float(np.mean((where < min(ends)) | (where > max(ends))))
