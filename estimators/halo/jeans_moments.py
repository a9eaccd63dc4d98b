"""Moments of tracers by the spherical Jeans equation, of a mass without a form: local, projected, and of fourth order.

Parameters of a model are a row: ln M at the pivot, d ln M / d ln r at knots, the anisotropy, and the density where that
is not held. All functions take many rows at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.estimators.bins import DensitySlope, log_power

#: Step of the grid in ln r.
_STEP: Final = 0.06
#: Bounds of the symmetrised anisotropy, beta / (2 - beta): of beta, -38 to 0.9995.
SYMMETRIC: Final = (-0.95, 0.999)
#: Bounds of d ln M / d ln r: a mass that does not fall, and a density that is not hollow.
MASS_SLOPES: Final = (0.0, 3.0)

Anisotropy = Literal["constant", "changing"]


@dataclass(frozen=True, eq=False)
class Tracers:
    """Broken power law of the density, with what is not known of it.

    Parameters
    ----------
    mean
        (2 k + 1,) slopes and ln breaks.
    axes
        (2 k + 1, p) matrix that takes p standard normal deviates to deviations from it; p is 0 where it is held.
    width
        Of the breaks.
    """

    mean: FloatArray
    axes: FloatArray
    width: float

    @classmethod
    def held(cls, form: DensitySlope) -> Tracers:
        """Density that is known."""
        mean = np.array([*form.slopes, *np.log(form.breaks)])
        return cls(mean, np.empty((len(mean), 0)), form.width)

    def log_density(self, x: FloatArray, deviates: FloatArray) -> FloatArray:
        """Ln density (m, n) at ln r ``x`` (n,) for deviates (m, p)."""
        return log_broken(x, self.mean + deviates @ self.axes.T, self.width)


def log_broken(x: FloatArray, points: FloatArray, width: float) -> FloatArray:
    """Ln density (m, n) at ln r ``x`` (n,) of broken power laws: slopes and ln breaks (m, 2 k + 1)."""
    k = points.shape[1] // 2
    columns = points.T[:, :, None]
    return log_power(x, columns[: k + 1], columns[k + 1 :], width)


def projection(x: FloatArray, radii: FloatArray) -> FloatArray:
    """Weights (k, n): integrals 2 int_R g(r) r dr / sqrt(r^2 - R^2) of g that is linear between radii exp(x) (n,)."""
    r = np.exp(x)
    R = np.asarray(radii, dtype=float)[:, None]
    at = np.maximum(r, R)
    root = np.sqrt(at**2 - R**2)
    once = root
    twice = 0.5 * (at * root + R**2 * np.log((at + root) / R))
    step = np.diff(r)
    first, second = np.diff(once, axis=1), np.diff(twice, axis=1)
    upper = (second - r[:-1] * first) / step
    weight = np.zeros((len(R), len(r)))
    weight[:, 1:] += upper
    weight[:, :-1] += first - upper
    return 2.0 * weight


def slope_integrals(x: FloatArray, knots: FloatArray, pivot: float) -> FloatArray:
    """(n, k) integrals from ``pivot`` to ``x`` of broken lines that are 1 at one knot, and level beyond the last."""
    fine = np.unique(np.concatenate([x, knots, [pivot]]))
    hats = np.array([np.interp(fine, knots, row) for row in np.eye(len(knots))])
    pieces = 0.5 * (hats[:, 1:] + hats[:, :-1]) * np.diff(fine)
    total = np.concatenate([np.zeros((len(knots), 1)), np.cumsum(pieces, axis=1)], axis=1)
    total -= total[:, np.searchsorted(fine, [pivot])]
    return np.asarray(total[:, np.searchsorted(fine, x)].T)


@dataclass(frozen=True, eq=False)
class Moments:
    """Model of second moments in bins, and of fourth-order virial moments.

    Parameters
    ----------
    x
        (n,) ln r of the grid.
    knots
        (k,) ln r at which d ln M / d ln r is a parameter.
    pivot
        Ln r at which ln M is one.
    tracers
        Their density.
    anisotropy
        Its form.
    sharpness
        Power with which it changes.
    rows
        (b, q) weights: in projection (b, q, n) those of integrals at q radii a bin, else of ln sigma^2 there.
    radii
        (b, q) radii of bins [kpc].
    projected
        Whether the bins are of projected radii.
    """

    x: FloatArray
    knots: FloatArray
    pivot: float
    tracers: Tracers
    anisotropy: Anisotropy
    sharpness: float
    radii: FloatArray
    rows: FloatArray
    projected: bool

    @classmethod
    def of(
        cls,
        radii: FloatArray,
        knots: FloatArray,
        tracers: Tracers,
        anisotropy: Anisotropy,
        sharpness: float,
        projected: bool,
        whole: bool,
    ) -> Moments:
        """Model at radii (b, q) [kpc]; ``whole`` where moments of all tracers are wanted."""
        lo = np.log(radii.min()) - (3.0 if whole else 0.0)
        hi = np.log(radii.max()) + 3.0  # beyond, all is a power
        x = np.linspace(lo, hi, int(np.ceil((hi - lo) / _STEP)) + 1)
        flat = radii.ravel()
        if projected:
            rows = projection(x, flat)
        else:
            rows = np.array([np.interp(np.log(flat), x, row) for row in np.eye(len(x))]).T
        pivot = float(np.log(np.median(radii)))
        return cls(x, knots, pivot, tracers, anisotropy, sharpness, radii, rows, projected)

    def split(self, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Ln M at the pivot (m, 1), slopes (m, k), anisotropy (m, 1 or 3), deviates of the density (m, p)."""
        k = len(self.knots)
        a = 1 if self.anisotropy == "constant" else 3
        first, slopes, shape, rest = np.split(points, [1, 1 + k, 1 + k + a], axis=1)
        return first, slopes, shape, rest

    def log_mass(self, points: FloatArray, x: FloatArray) -> FloatArray:
        """Ln M(<r) [Msun] (m, n) at ln r ``x`` (n,)."""
        first, slopes, _, _ = self.split(points)
        return np.asarray(first + slopes @ slope_integrals(x, self.knots, self.pivot).T)

    def beta(self, points: FloatArray, x: FloatArray) -> FloatArray:
        """Anisotropy (m, n) at ln r ``x`` (n,)."""
        return self._beta(self.split(points)[2], x)[0]

    def _beta(self, shape: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Anisotropy, and the integral of 2 beta over ln r, each (m, n)."""
        ends = 2.0 * shape[:, :2] / (1.0 + shape[:, :2])
        inner = ends[:, :1]
        if self.anisotropy == "constant":
            return inner + 0.0 * x, 2.0 * inner * x
        turn, n = shape[:, 2:], self.sharpness
        away = n * (x - turn)
        more = ends[:, 1:] - inner
        beta = inner + more * (0.5 * (1.0 + np.tanh(0.5 * away)))
        return beta, 2.0 * (inner * x + more * np.logaddexp(0.0, away) / n)

    def radial(self, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Ln of density, ln sigma_r^2 [(km/s)^2], beta and ln G M [kpc (km/s)^2] on the grid, each (m, n).

        sigma_r^2 = (1 / rho f) int_r^inf rho f G M / s^2 ds with f = exp(2 int beta dln s): each piece between nodes is
        that of a power law, and so is what lies beyond the last.
        """
        first, slopes, shape, rest = self.split(points)
        rho = self.tracers.log_density(self.x, rest)
        beta, log_f = self._beta(shape, self.x)
        log_gm = first + slopes @ self._integrals.T + np.log(G)
        source = rho + log_f + log_gm - self.x
        top = source.max(axis=1, keepdims=True)
        value = np.exp(source - top)
        step = self.x[1] - self.x[0]
        rise = np.diff(source, axis=1)
        rise = np.where(np.abs(rise) < 1e-8, 1e-8, rise)
        pieces = value[:, :-1] * np.expm1(rise) / rise * step
        fall = -rise[:, -1:] / step
        last = np.where(fall > 0.05, value[:, -1:] / np.maximum(fall, 0.05), np.nan)
        outward = np.cumsum(np.concatenate([pieces, last], axis=1)[:, ::-1], axis=1)[:, ::-1]
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = np.log(outward) + top - rho - log_f
        return rho, variance, beta, log_gm

    @property
    def _integrals(self) -> FloatArray:
        return slope_integrals(self.x, self.knots, self.pivot)

    def variances(self, state: tuple[FloatArray, ...], components: tuple[str, ...]) -> FloatArray:
        """Mean squares (m, b, c) of velocity components in bins [(km/s)^2]; ``state`` is of :meth:`radial`."""
        rho, variance, beta, _ = state
        shape = (len(rho), *self.radii.shape)
        if not self.projected:
            mean = {
                "r": lambda: np.exp(variance @ self.rows.T),
                "t": lambda: np.exp((variance + np.log1p(-beta)) @ self.rows.T),
            }
            return np.stack([mean[c]().reshape(shape).mean(axis=2) for c in components], axis=2)
        top = rho.max(axis=1, keepdims=True)
        density = np.exp(rho - top)
        surface = density @ self.rows.T
        pressure = density * np.exp(variance)
        bent = (beta * pressure / np.exp(2.0 * self.x)) @ self.rows.T * self.radii.ravel() ** 2
        whole, across = pressure @ self.rows.T, (beta * pressure) @ self.rows.T
        found = {"los": whole - bent, "R": whole - across + bent, "T": whole - across}
        return np.stack(
            [(found[c] / surface).reshape(shape).mean(axis=2) for c in components], axis=2
        )

    def virial(self, state: tuple[FloatArray, ...]) -> FloatArray:
        """<|v|^4> of all tracers (m,) [(km/s)^4], five times <v_los^4>.

        int rho (5 - 2 beta) sigma_r^2 G M r dr / int rho r^2 dr (Merrifield & Kent 1990), from the centre to infinity.
        """
        rho, variance, beta, log_gm = state
        density = rho - rho.max(axis=1, keepdims=True) + 3.0 * self.x
        weight = np.exp(density - density.max(axis=1, keepdims=True))
        inside = weight * (5.0 - 2.0 * beta) * np.exp(variance + log_gm - self.x)
        return np.asarray(inside.sum(axis=1) / weight.sum(axis=1))
