"""Expansions in spherical harmonics that change with time: from tables of Phi_lm to what the kernels take.

Between the radii of a table each Phi_lm is a quintic in ln r with its values and slopes, whose second and third
derivative are continuous; beyond the ends it goes as U r^s + W r^v, v = l inside and -l - 1 outside, the part of what
lies on the other side of the table, s from the next radius (as in agama: Vasiliev 2019, 2019MNRAS.482.1525V). Between
snapshots each is cubic in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import GYR_PER_KPC_KMS, G
from haloassay.base.settings import require
from haloassay.mocks.gravity.harmonic_kernels import (
    CELLS,
    HIGHEST,
    LN_FIRST,
    WIDTH,
)

#: ln r of the nodes of the common grid.
NODES: Final[FloatArray] = LN_FIRST + WIDTH * np.arange(CELLS + 1.0)

#: Times this near [Gyr] are the same.
_ROUNDING: Final = 1e-6
#: Powers of the part of Phi_lm that an edge's own density makes: no density rises faster, or falls so.
_FASTEST: Final = 12.0
_SLOWEST: Final = 1e-3


def harmonics(highest: int) -> list[tuple[int, int]]:
    """List (l, m) in the order of tables: l rises, m from -l to l; m < 0 are sines."""
    return [(ell, m) for ell in range(highest + 1) for m in range(-ell, ell + 1)]


@dataclass(frozen=True, eq=False)
class HarmonicTable:
    """Phi_lm at the radii of one snapshot.

    Parameters
    ----------
    r
        (N,) radii [kpc], rising, four or more.
    phi
        (N, (L + 1)^2) potentials [(km/s)^2], the harmonics in the order of :func:`harmonics`, normalised so that Phi_00
        is the potential of a sphere and the mean square of any other over it is 1.
    slope
        (N, (L + 1)^2) derivatives by ln r [(km/s)^2]; where there are none, those of a spline through ``phi``.
    """

    r: FloatArray
    phi: FloatArray
    slope: FloatArray | None = None

    def __post_init__(self) -> None:
        n = len(self.r)
        require(n >= 4, f"an expansion needs 4 radii or more (got {n})")
        finite = np.isfinite(self.r)
        require(bool(finite.all()), f"radius {int(np.argmin(finite)) + 1} is not finite")
        rising = np.diff(self.r, prepend=0.0) > 0.0
        require(
            bool(rising.all()),
            f"radii must rise from above zero (radius {int(np.argmin(rising)) + 1} is {self.r[np.argmin(rising)]:g})",
        )
        terms = self.phi.shape[1] if self.phi.ndim == 2 else 0
        highest = round(np.sqrt(terms)) - 1
        require(
            self.phi.shape[:1] == (n,) and terms == (highest + 1) ** 2 and terms > 0,
            f"a table of Phi_lm needs (l + 1)^2 numbers a radius (got {self.phi.shape} for {n} radii)",
        )
        require(highest <= HIGHEST, f"l is at most {HIGHEST} (got {highest})")
        for name in ("phi", "slope"):
            table = getattr(self, name)
            if table is None:
                continue
            require(table.shape == self.phi.shape, f"{name} and phi differ in shape")
            bad = np.argwhere(~np.isfinite(table))
            if len(bad):
                ell, m = harmonics(highest)[bad[0, 1]]
                require(
                    False,
                    f"{name} of l = {ell}, m = {m} at radius {bad[0, 0] + 1} is not finite",
                )

    @property
    def highest(self) -> int:
        """Highest l."""
        return round(np.sqrt(self.phi.shape[1])) - 1

    def nodes(self, highest: int) -> FloatArray:
        """(3, CELLS + 1, (highest + 1)^2) values, first and second derivative by ln r at the nodes of the grid."""
        from scipy.interpolate import CubicSpline

        x = np.log(self.r)
        slope = self.slope
        if slope is None:
            slope = np.asarray(CubicSpline(x, self.phi)(x, 1))
        ell = np.array([lm[0] for lm in harmonics(self.highest)])
        inner = PowerLaws.at_edge(x[:2], self.phi[:2], slope[:2], ell, +1)
        outer = PowerLaws.at_edge(x[:-3:-1], self.phi[:-3:-1], slope[:-3:-1], ell, -1)
        ends = inner.at(x[:1])[2, 0], outer.at(x[-1:])[2, 0]
        curve = quintic_curvature(x, self.phi, slope, *ends)
        out = np.zeros((3, len(NODES), (highest + 1) ** 2))
        within = (x[0] < NODES) & (x[-1] > NODES)
        own = slice(0, self.phi.shape[1])
        out[:, x[0] >= NODES, own] = inner.at(NODES[x[0] >= NODES])
        out[:, x[-1] <= NODES, own] = outer.at(NODES[x[-1] <= NODES])
        out[:, within, own] = _quintic(x, self.phi, slope, curve, NODES[within])
        return out


@dataclass(frozen=True, eq=False)
class PowerLaws:
    """U exp(s (x - x1)) + W exp(v (x - x1)) beyond an edge x1 = ln r1, harmonic by harmonic."""

    x: float
    U: FloatArray
    s: FloatArray
    W: FloatArray
    v: FloatArray

    @classmethod
    def at_edge(
        cls, x: FloatArray, phi: FloatArray, slope: FloatArray, ell: FloatArray, side: int
    ) -> PowerLaws:
        """Fit value and slope at an edge, and the value at the next radius.

        Parameters
        ----------
        x
            (2,) ln r of the edge and of the next radius.
        phi, slope
            (2, K) values and derivatives by ln r.
        ell
            (K,) of the harmonics; the first is l = 0.
        side
            +1 at the inner edge, -1 at the outer one.

        A power that no density has, or that does not fit, becomes that of a smooth core (l + 2), or of a density that
        falls as fast outside (-l - 3). Harmonics may not overtake the monopole.
        """
        v = np.where(side > 0, ell, -ell - 1.0)
        smooth = np.where(side > 0, ell + 2.0, -ell - 3.0)
        step = x[1] - x[0]
        with np.errstate(all="ignore"):
            lift = slope[0] - v * phi[0]
            wanted = (phi[1] * np.exp(-v * step) - phi[0]) / (lift * step)
            s = v + _inverse_mean_power(wanted) / step
        # inside, Phi may diverge more slowly than that of a point; outside, all of it vanishes
        allowed = (s > -1.0) if side > 0 else (s < -_SLOWEST)
        if side > 0:
            allowed &= (ell == 0) | (s > _SLOWEST)
        allowed &= np.isfinite(s) & (np.abs(s) < _FASTEST + ell) & (np.abs(s - v) > 1e-6)
        s = np.where(allowed, s, smooth)
        limit = s[0]
        s = np.where(ell > 0, np.maximum(s, limit) if side > 0 else np.minimum(s, limit), s)
        s = np.where(np.abs(s - v) < 1e-6, smooth, s)
        U = lift / (s - v)
        return cls(float(x[0]), U, s, phi[0] - U, v)

    def at(self, x: FloatArray) -> FloatArray:
        """(3, N, K) values, first and second derivative by ln r at (N,) ln r."""
        d = (np.asarray(x, dtype=float) - self.x)[:, None]
        a, b = self.U * np.exp(self.s * d), self.W * np.exp(self.v * d)
        return np.stack([self.s**n * a + self.v**n * b for n in range(3)])


def _inverse_mean_power(wanted: FloatArray) -> FloatArray:
    """Solve (exp(y) - 1) / y = wanted by Newton's method; NaN where nothing solves it."""
    target = np.where(wanted > 0.0, wanted, np.nan)
    y = np.clip(2.0 * (target - 1.0), -50.0, 50.0)
    y = np.where(target > 1.0, np.minimum(y, 2.0 * np.log(np.maximum(target, 1.0)) + 1.0), y)
    y = np.where(target < 1.0, np.maximum(y, -1.0 / np.maximum(target, 1e-300)), y)
    for _ in range(60):
        small = np.abs(y) < 1e-5
        safe = np.where(small, 1.0, y)
        mean = np.where(small, 1.0 + 0.5 * y + y * y / 6.0, np.expm1(safe) / safe)
        rate = np.where(small, 0.5 + y / 3.0, (np.exp(safe) - mean) / safe)
        y = np.clip(y - (mean - target) / rate, -700.0, 700.0)
    return np.where(np.abs(y) < 700.0, y, np.nan)


def quintic_curvature(
    x: FloatArray, f: FloatArray, g: FloatArray, start: FloatArray, end: FloatArray
) -> FloatArray:
    """(N, K) second derivatives at (N,) nodes that make the third ones of Hermite quintics continuous.

    Of (N, K) values and first derivatives, with the second ones stated at both ends.
    """
    from scipy.linalg import solve_banded

    h = np.diff(x)[:, None]
    rise = np.diff(f, axis=0) / h**3
    n = len(x)
    bands = np.zeros((3, n))
    bands[1] = 1.0
    bands[0, 2:] = -3.0 / h[1:, 0]
    bands[2, :-2] = -3.0 / h[:-1, 0]
    bands[1, 1:-1] = 9.0 * (1.0 / h[:-1, 0] + 1.0 / h[1:, 0])
    right = np.empty_like(f)
    right[0], right[-1] = start, end
    right[1:-1] = 60.0 * np.diff(rise, axis=0) + 36.0 * g[1:-1] * (h[:-1] ** -2 - h[1:] ** -2)
    right[1:-1] += 24.0 * (g[:-2] / h[:-1] ** 2 - g[2:] / h[1:] ** 2)
    return np.asarray(solve_banded((1, 1), bands, right))


def _quintic(
    x: FloatArray, f: FloatArray, g: FloatArray, curve: FloatArray, at: FloatArray
) -> FloatArray:
    """(3, M, K) values and two derivatives of Hermite quintics at (M,) places between the nodes."""
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    h = np.diff(x)[i][:, None]
    t = ((at - x[i])[:, None]) / h
    f0, g0, c0 = f[i], g[i] * h, curve[i] * h * h
    f1, g1, c1 = f[i + 1], g[i + 1] * h, curve[i + 1] * h * h
    rise = f1 - f0
    a3 = 10.0 * rise - 6.0 * g0 - 4.0 * g1 - 1.5 * c0 + 0.5 * c1
    a4 = -15.0 * rise + 8.0 * g0 + 7.0 * g1 + 1.5 * c0 - c1
    a5 = 6.0 * rise - 3.0 * (g0 + g1) - 0.5 * (c0 - c1)
    value = f0 + t * (g0 + t * (0.5 * c0 + t * (a3 + t * (a4 + t * a5))))
    first = g0 + t * (c0 + t * (3.0 * a3 + t * (4.0 * a4 + t * 5.0 * a5)))
    second = c0 + t * (6.0 * a3 + t * (12.0 * a4 + t * 20.0 * a5))
    return np.stack([value, first / h, second / h**2])


@dataclass(frozen=True, eq=False)
class Expansion:
    """A potential of snapshots in time, about a centre of its own.

    Parameters
    ----------
    time
        (T,) times [Gyr], rising; one for a potential that rests.
    nodes
        (T, 3, CELLS + 1, (L + 1)^2) Phi_lm and its derivatives at the nodes of the grid.
    """

    time: FloatArray
    nodes: FloatArray

    @classmethod
    def of(cls, time: ArrayLike, tables: Sequence[HarmonicTable]) -> Expansion:
        """Expansion of one table a time; their radii and highest l may differ.

        Raises
        ------
        InputError
            If times and tables differ in number, or times do not rise.
        """
        times = np.atleast_1d(np.asarray(time, dtype=float))
        require(
            len(times) == len(tables) > 0,
            f"{len(times)} times for {len(tables)} snapshots of an expansion",
        )
        require(bool(np.isfinite(times).all()), "times of snapshots must be finite")
        falls = np.flatnonzero(np.diff(times) <= 0.0)
        if len(falls):
            k = int(falls[0])
            require(False, f"times must rise ({times[k + 1]:g} follows {times[k]:g})")
        highest = max(table.highest for table in tables)
        return cls(times, np.stack([table.nodes(highest) for table in tables]))

    @property
    def highest(self) -> int:
        """Highest l."""
        return round(np.sqrt(self.nodes.shape[3])) - 1

    def at(self, time: float) -> Expansion:
        """Return the expansion as it is at one time [Gyr], at rest.

        Raises
        ------
        InputError
            If it is not known then.
        """
        if len(self.time) == 1:
            return self
        self.require_times(time, time)
        i = int(np.clip(np.searchsorted(self.time, time, side="right") - 1, 0, len(self.time) - 2))
        step = self.time[i + 1] - self.time[i]
        s = (time - self.time[i]) / step
        rate = step * self.rates
        before = (1.0 - s) ** 2 * ((1.0 + 2.0 * s) * self.nodes[i] + s * rate[i])
        after = s**2 * ((3.0 - 2.0 * s) * self.nodes[i + 1] - (1.0 - s) * rate[i + 1])
        return Expansion(np.array([time]), (before + after)[None])

    def require_times(self, start: float, end: float) -> None:
        """Raise :class:`InputError` unless the expansion is known from ``start`` to ``end`` [Gyr]."""
        lo, hi = float(self.time[0]), float(self.time[-1])
        require(
            len(self.time) == 1 or (lo - _ROUNDING <= start and end <= hi + _ROUNDING),
            f"known from {lo:g} to {hi:g} Gyr only, asked for from {start:g} to {end:g}",
        )

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc] of the centre of an expansion at rest."""
        return np.asarray(self._monopole(r)[1] * np.asarray(r, dtype=float) / G, dtype=float)

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc] of an expansion at rest, averaged over the sphere."""
        return self._monopole(r)[0]

    def harmonics_at(self, r: float) -> FloatArray:
        """(2, (L + 1)^2) Phi_lm and derivatives by ln r at a radius [kpc] of the grid, of an expansion at rest."""
        f, g, h = self.nodes[0]
        return _quintic(NODES, f, g, h, np.asarray([np.log(r)], dtype=float))[:2, 0]

    def _monopole(self, r: ArrayLike) -> FloatArray:
        """(2, ...) Phi_00 and its derivative by ln r."""
        x = np.log(np.asarray(r, dtype=float))
        at = np.asarray(np.clip(x, NODES[0], NODES[-1]), dtype=float).ravel()
        f, g, h = self.nodes[0, :, :, :1]
        value, slope, _ = _quintic(NODES, f, g, h, at)[:, :, 0]
        value, slope = value.reshape(x.shape), slope.reshape(x.shape)
        beyond, inside = (
            np.exp(np.minimum(NODES[-1] - x, 0.0)),
            np.exp(np.minimum(x - NODES[0], 0.0)),
        )
        value = value + slope * (1.0 - beyond - 0.5 * (1.0 - inside**2))
        return np.stack([value, slope * inside**2 * beyond])

    @cached_property
    def rates(self) -> FloatArray:
        """Rates of change of ``nodes`` [1/Gyr]: those of cubic splines in time."""
        from scipy.interpolate import CubicSpline

        if len(self.time) == 1:
            return np.zeros_like(self.nodes)
        if len(self.time) == 2:
            rate = np.diff(self.nodes, axis=0) / np.diff(self.time)
            return np.concatenate([rate, rate])
        return np.asarray(CubicSpline(self.time, self.nodes)(self.time, 1))

    @cached_property
    def series(self) -> FloatArray:
        """(T (CELLS + 1), 6, K) as the kernels take it."""
        scale = (WIDTH ** np.arange(3.0))[:, None, None]
        both = np.concatenate([self.nodes * scale, self.rates * scale * GYR_PER_KPC_KMS], axis=1)
        both = both[..., kernel_order(self.highest)].transpose(0, 2, 1, 3)
        return np.ascontiguousarray(both).reshape(-1, 6, both.shape[3])


def kernel_order(highest: int) -> list[int]:
    """Places in the order of tables of the terms in that of the kernels: by m, cosines before sines, then by l."""
    place = {lm: k for k, lm in enumerate(harmonics(highest))}
    order = []
    for m in range(highest + 1):
        for sign in (1, -1)[: 1 + (m > 0)]:
            order += [place[ell, sign * m] for ell in range(m, highest + 1)]
    return order


@dataclass(frozen=True, eq=False)
class MovingExpansion:
    """An expansion whose centre is on a given path, and the acceleration of the frame that goes with it.

    Parameters
    ----------
    expansion
        About its centre.
    time
        (K,) times [Gyr], rising in equal steps, K >= 4. Between them path and acceleration are cubic splines.
    position
        (K, 3) of the centre [kpc].
    frame_acceleration
        (K, 3) of the frame's origin [(km/s)^2/kpc].
    """

    expansion: Expansion
    time: FloatArray
    position: FloatArray
    frame_acceleration: FloatArray


def expansion_arrays(
    resting: Sequence[Expansion],
    moving: Sequence[MovingExpansion],
    clocks: Sequence[Sequence[float]],
) -> dict[str, FloatArray]:
    """Arrays of the kernels, none without any expansion; ``clocks`` are those of the moving ones."""
    at_rest = [(0.0, 0.0, -1.0, -1.0)] * len(resting)
    expansions = [*resting, *(each.expansion for each in moving)]
    if not expansions:
        return {}
    terms = max(each.nodes.shape[3] for each in expansions)
    source, series, first = [], [], 0
    for each, clock in zip(expansions, [*at_rest, *clocks], strict=True):
        last = first + len(each.time) - 1
        source.append((*clock, first, last, each.highest))
        padding = ((0, 0), (0, 0), (0, terms - each.nodes.shape[3]))
        series.append(np.pad(each.series, padding))
        first = last + 1
    times = [each.time / GYR_PER_KPC_KMS for each in expansions]
    return {
        "source": np.array(source, dtype=float),
        "instant": np.concatenate(times),
        "series": np.concatenate(series),
    }
