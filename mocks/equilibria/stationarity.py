"""Whether a population stands still: its moments in shells now and later, and the change in units of noise.

The noise of a change is that of paired differences: every star enters with what it adds to the moment now and
later (its influence function), so that stars which hardly move add little noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.settings import require
from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks.stars import Stars

#: What is compared: share of the stars, means and dispersions [km/s], anisotropy, and root mean square
#: direction cosines to the second and third axis over those to the first. Shells are round, so these
#: ratios are nearer to 1 than the axis ratios of the density.
QUANTITIES: Final = (
    "share",
    "mean_v_r",
    "mean_v_theta",
    "mean_v_phi",
    "sigma_r",
    "sigma_theta",
    "sigma_phi",
    "beta",
    "b_a",
    "c_a",
)

#: Shells to begin with, and stars that a shell needs.
_SHELLS: Final = 12
_FEWEST: Final = 200

#: Probability that all is well when drift is reported, over all shells and quantities.
_FALSE_ALARM: Final = 1e-3


@dataclass(frozen=True, eq=False)
class Stationarity:
    """Moments of a population in Q quantities and K shells at two times.

    Parameters
    ----------
    edges
        (K + 1,) radii [kpc] of the shells.
    count
        (K,) stars in each shell at the first time.
    before, after
        (Q, K) moments, in the order of :data:`QUANTITIES`, each about the same shell.
    noise
        (Q, K) standard error of their difference.
    elapsed
        Time [Gyr] between the two.
    """

    edges: FloatArray
    count: FloatArray
    before: FloatArray
    after: FloatArray
    noise: FloatArray
    elapsed: float

    @property
    def drift(self) -> FloatArray:
        """(Q, K) change of each moment in units of its noise; near a standard normal where nothing drifts."""
        change = self.after - self.before
        # no noise where no star has moved, and no change either
        return np.divide(change, self.noise, out=np.zeros_like(change), where=self.noise > 0.0)

    @property
    def complaint(self) -> str | None:
        """One line on the worst drift where there is more than chance explains, else None."""
        from scipy.stats import norm

        worst = np.unravel_index(np.argmax(np.abs(self.drift)), self.drift.shape)
        limit = float(norm.isf(0.5 * _FALSE_ALARM / self.drift.size))
        if abs(self.drift[worst]) <= limit:
            return None
        q, k = worst
        bad = np.count_nonzero(np.abs(self.drift) > limit)
        return (
            f"{QUANTITIES[q]} at {self.edges[k]:.3g} to {self.edges[k + 1]:.3g} kpc goes from {self.before[worst]:.4g}"
            f" to {self.after[worst]:.4g} in {self.elapsed:g} Gyr, {abs(self.drift[worst]):.1f} times its noise"
            f" ({bad} of {self.drift.size} moments drift by more than {limit:.1f} times theirs)"
        )

    def summary(self) -> dict[str, Any]:
        """Worst drift, over what time, and the complaint if there is one, as plain values."""
        return {
            "worst_in_sigma": float(np.abs(self.drift).max()),
            "over_gyr": self.elapsed,
            "complaint": self.complaint,
        }

    def to_dict(self) -> dict[str, Any]:
        """Summary and table, as plain values."""
        return {**self.summary(), "shells": self.table()}

    def table(self) -> list[dict[str, Any]]:
        """One row a quantity and shell, as plain values."""
        drift = self.drift
        return [
            {
                "quantity": quantity,
                "r_lo": float(self.edges[k]),
                "r_hi": float(self.edges[k + 1]),
                "n": int(self.count[k]),
                "before": float(self.before[q, k]),
                "after": float(self.after[q, k]),
                "noise": float(self.noise[q, k]),
                "drift": float(drift[q, k]),
            }
            for q, quantity in enumerate(QUANTITIES)
            for k in range(len(self.count))
        ]

    def to_arrays(self) -> dict[str, FloatArray]:
        """Everything, as arrays by name."""
        names = ("edges", "count", "before", "after", "noise")
        return {name: getattr(self, name) for name in names} | {"elapsed": np.array(self.elapsed)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, FloatArray]) -> Stationarity:
        """Inverse of :meth:`to_arrays`."""
        edges, count, *moments = (arrays[n] for n in ("edges", "count", "before", "after", "noise"))
        before, after, noise = moments
        return cls(edges, count, before, after, noise, float(arrays["elapsed"]))


def shell_edges(r: FloatArray, r_range: tuple[float, float]) -> FloatArray:
    """Edges [kpc] of up to twelve shells, equal in ln r where each has 200 of the stars at (N,) ``r``.

    Fewer stars than that all share one shell.
    """
    edges = np.geomspace(*r_range, _SHELLS + 1)
    kept = [edges[0]]
    for edge in edges[1:]:
        if np.count_nonzero((r >= kept[-1]) & (r < edge)) >= _FEWEST:
            kept.append(edge)
    if len(kept) == 1:
        return edges[[0, -1]]
    kept[-1] = edges[-1]
    return np.array(kept)


def stationarity(
    before: Stars,
    after: Stars,
    axes: FloatArray,
    r_range: tuple[float, float],
    elapsed: float,
) -> Stationarity:
    """Compare the same stars at two times.

    Parameters
    ----------
    before, after
        The same N stars in the same order.
    axes
        (3, 3) columns are the axes to whose directions ``b_a`` and ``c_a`` refer.
    r_range
        Radii [kpc] that the shells span.
    elapsed
        Time [Gyr] between the two.

    Raises
    ------
    InputError
        If fewer than two stars are in the range at either time.
    """
    edges = shell_edges(before.r, r_range)
    first, second = _Snapshot.of(before, axes, edges), _Snapshot.of(after, axes, edges)
    n = len(before)
    both = first.shell == second.shell
    variance = np.empty_like(first.moments)
    for q in range(len(QUANTITIES)):
        x, y = first.influence[q], second.influence[q]
        stayed_or_left = first.sums(np.where(both, x - y, x) ** 2)
        variance[q] = (stayed_or_left + second.sums(np.where(both, 0.0, y) ** 2)) / n**2
    return Stationarity(
        edges, first.sums(np.ones(n)), first.moments, second.moments, np.sqrt(variance), elapsed
    )


@dataclass(frozen=True, eq=False)
class _Snapshot:
    """Moments at one time, and what each star adds to those of its own shell.

    ``shell`` is (N,), K for stars in none; ``moments`` (Q, K); ``influence`` (Q, N): N times what a star
    adds to the moment of its shell.
    """

    shell: IntArray
    moments: FloatArray
    influence: FloatArray

    @classmethod
    def of(cls, stars: Stars, axes: FloatArray, edges: FloatArray) -> _Snapshot:
        n, k = len(stars), len(edges) - 1
        inside = (stars.r >= edges[0]) & (stars.r < edges[-1])
        shell = np.where(inside, np.searchsorted(edges, stars.r, side="right") - 1, k)
        snapshot = cls(shell, np.empty((len(QUANTITIES), k)), np.empty((len(QUANTITIES), n)))
        share = snapshot.sums(np.ones(n)) / n
        require(
            bool(np.all(share > 1.5 / n)),
            f"too few stars between {edges[0]:g} and {edges[-1]:g} kpc to say whether they are stationary",
        )
        cosine2 = ((stars.position @ axes) / stars.r[:, None]) ** 2
        values = np.concatenate([spherical_velocity(stars.position, stars.velocity), cosine2], 1)
        mean, means, seen = snapshot._about(values, share)
        variance, _, spread = snapshot._about((values[:, :3] - means[:, :3]) ** 2, share)
        snapshot._set(0, share, np.ones(n))  # but for a constant, that is the same at both times
        for c in range(3):
            sigma = np.sqrt(variance[c])
            snapshot._set(1 + c, mean[c], seen[c])
            snapshot._set(4 + c, sigma, spread[c] / snapshot._each(2.0 * sigma))
        radial, tangential = variance[0], variance[1] + variance[2]
        by_radial = 0.5 * tangential / radial**2
        gain = spread[0] * snapshot._each(by_radial)
        gain -= (spread[1] + spread[2]) / snapshot._each(2.0 * radial)
        snapshot._set(7, 1.0 - 0.5 * tangential / radial, gain)
        for c in (1, 2):
            ratio = np.sqrt(mean[3 + c] / mean[3])
            gain = seen[3 + c] / snapshot._each(mean[3 + c]) - seen[3] / snapshot._each(mean[3])
            snapshot._set(7 + c, ratio, 0.5 * snapshot._each(ratio) * gain)
        return snapshot

    def sums(self, values: FloatArray) -> FloatArray:
        """(K,) sums over the stars of each shell of (N,) values."""
        k = self.moments.shape[1]
        return np.bincount(self.shell, values, minlength=k + 1)[:k].astype(float)

    def _each(self, of_shell: FloatArray) -> FloatArray:
        """(N,) value of each star's shell; 1 for stars in none."""
        return np.append(of_shell, 1.0)[self.shell]

    def _set(self, quantity: int, moment: FloatArray, influence: FloatArray) -> None:
        self.moments[quantity] = moment
        self.influence[quantity] = influence * (self.shell < self.moments.shape[1])

    def _about(
        self, values: FloatArray, share: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(C, K) means of (N, C) values in shells, (N, C) mean at each star, (C, N) influence on it."""
        n = len(values)
        mean = np.stack([self.sums(column) / (n * share) for column in values.T])
        at_star = np.stack([self._each(row) for row in mean], axis=1)
        return mean, at_star, (values - at_star).T / self._each(share)
