"""NFW densities that are constant on ellipsoids, averaged over spheres.

Radii are in units of r_s, densities in units of rho0, masses in units of 4 pi rho0 r_s^3, potentials in units
of 4 pi G rho0 r_s^2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.settings import require
from haloassay.contracts import profiles
from haloassay.mocks.gravity.quadrature import sphere_average
from haloassay.mocks.gravity.shapes import AxisRatioTable, axis_lengths

#: Widest panel in ln r of the averages' polynomials, and their degree: together good to 1e-12.
_PANEL: Final = 0.1
_DEGREE: Final = 8

#: Radii between two of a table at which the density is seen to fall outward.
_PLACES: Final = 65


class Ellipsoids(Protocol):
    """Surfaces of constant density."""

    def lengths(self, x: ArrayLike) -> FloatArray:
        """Lengths of the axes, of product 1, of the surfaces at radii ``x``; the shape of ``x`` and 3."""

    def mass(self, x: ArrayLike) -> FloatArray:
        """Mass within spheres of radius ``x``; the shape of ``x``."""

    def potential(self, x: ArrayLike) -> FloatArray:
        """Potential averaged over spheres of radius ``x``, zero at infinity; the shape of ``x``."""


def make_ellipsoids(axis_ratios: tuple[float, float] | AxisRatioTable, r_s: float) -> Ellipsoids:
    """Ellipsoids of a halo of scale radius ``r_s`` [kpc]: similar ones, or those of a table."""
    if isinstance(axis_ratios, AxisRatioTable):
        return ChangingEllipsoids(axis_ratios, r_s)
    return SimilarEllipsoids(*axis_ratios)


def stretch(ellipsoids: Ellipsoids, x: ArrayLike, direction: FloatArray) -> FloatArray:
    """Ratio s / r at radii ``x`` in (M, 3) directions of the body's axes; the shape of ``x`` and M."""
    return np.asarray(np.sqrt(ellipsoids.lengths(x) ** -2.0 @ (direction**2).T), dtype=float)


def nfw_density(s: FloatArray) -> FloatArray:
    """Density of the round profile at radius ``s``."""
    return np.asarray(1.0 / (s * (1.0 + s) ** 2), dtype=float)


def mean_density(ellipsoids: Ellipsoids, x: ArrayLike) -> FloatArray:
    """Density averaged over spheres of radius ``x``; the shape of ``x``."""
    x = np.asarray(x, dtype=float)
    return sphere_average(
        lambda direction: nfw_density(x[..., None] * stretch(ellipsoids, x, direction))
    )


@dataclass(frozen=True)
class SimilarEllipsoids:
    """Ellipsoids of one shape.

    Along each direction rho(r q) holds q^-3 times the mass of the round profile within q r.

    Parameters
    ----------
    b_a, c_a
        Ratios of the second and third axis to the first.
    """

    b_a: float
    c_a: float

    def lengths(self, x: ArrayLike) -> FloatArray:
        """Lengths of the axes, the same at all radii ``x``; the shape of ``x`` and 3."""
        return np.broadcast_to(axis_lengths(self.b_a, self.c_a), (*np.shape(x), 3))

    def mass(self, x: ArrayLike) -> FloatArray:
        """Mass within spheres of radius ``x``; the shape of ``x``."""
        x = np.asarray(x, dtype=float)

        def along(direction: FloatArray) -> FloatArray:
            q = stretch(self, 0.0, direction)
            return profiles.nfw_shape(x[..., None] * q) / q**3

        return sphere_average(along)

    def potential(self, x: ArrayLike) -> FloatArray:
        """Potential averaged over spheres of radius ``x``; the shape of ``x``."""
        x = np.asarray(x, dtype=float)

        def along(direction: FloatArray) -> FloatArray:
            q = stretch(self, 0.0, direction)
            return np.log1p(x[..., None] * q) / (x[..., None] * q**3)

        return -sphere_average(along)


@dataclass(frozen=True)
class ChangingEllipsoids:
    """Surfaces whose axis ratios are those of a table at the radius of each of their points.

    Within the table's radii the averages over spheres are polynomials in ln r through those of the
    density; inside and beyond it they are those of similar ellipsoids.

    Parameters
    ----------
    table
        Axis ratios against radius [kpc].
    r_s
        Scale radius [kpc].
    """

    table: AxisRatioTable
    r_s: float

    def lengths(self, x: ArrayLike) -> FloatArray:
        """Lengths of the axes at radii ``x``; the shape of ``x`` and 3."""
        return axis_lengths(*self.table.at(np.asarray(x, dtype=float) * self.r_s))

    def mass(self, x: ArrayLike) -> FloatArray:
        """Mass within spheres of radius ``x``; the shape of ``x``."""
        mass, _ = self._averages
        return self._joined(
            x,
            self._inner.mass,
            lambda x: mass(np.log(x)),
            lambda x: self._outer.mass(x) + self._excess,
        )

    def potential(self, x: ArrayLike) -> FloatArray:
        """Potential averaged over spheres of radius ``x``; the shape of ``x``."""
        first = np.exp(self._edges[0])

        def within(x: FloatArray) -> FloatArray:
            return self._inner.potential(x) + (between(first) - self._inner.potential(first))

        def between(x: ArrayLike) -> FloatArray:
            mass, beyond = self._averages
            y = np.minimum(np.log(x), self._edges[-1])
            return np.asarray(self._outer_shells + beyond(y) - mass(y) * np.exp(-y), dtype=float)

        return self._joined(
            x, within, between, lambda x: self._outer.potential(x) - self._excess / x
        )

    def _joined(self, x: ArrayLike, *parts: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Values of three functions, of radii within the table's, among them, and beyond."""
        x = np.asarray(x, dtype=float)
        y = np.log(x)
        which = np.digitize(y, [self._edges[0], self._edges[-1]])
        values = np.empty(x.shape)
        for k, part in enumerate(parts):
            values[which == k] = part(x[which == k])
        return values

    @cached_property
    def _inner(self) -> SimilarEllipsoids:
        return SimilarEllipsoids(self.table.b_a[0], self.table.c_a[0])

    @cached_property
    def _outer(self) -> SimilarEllipsoids:
        return SimilarEllipsoids(self.table.b_a[-1], self.table.c_a[-1])

    @cached_property
    def _edges(self) -> FloatArray:
        """Ends in ln x of the panels, each between two neighbouring radii of the table."""
        y = np.log(np.array(self.table.r) / self.r_s)
        parts = [
            np.linspace(lo, hi, int(np.ceil((hi - lo) / _PANEL)), endpoint=False)
            for lo, hi in pairwise(y)
        ]
        return np.append(np.concatenate(parts), y[-1])

    @cached_property
    def _averages(self) -> tuple[Any, Any]:
        """Polynomials in ln x, panel by panel: the mass, and minus the potential of shells from x to the last edge."""
        from scipy.interpolate import PPoly

        lo, hi = self._edges[:-1], self._edges[1:]
        t = np.polynomial.chebyshev.chebpts1(_DEGREE + 1)
        y = lo[:, None] + 0.5 * (hi - lo)[:, None] * (t + 1.0)
        rho = mean_density(self, np.exp(y))
        # coefficients of powers of (y - lo), the highest first, by which PPoly goes
        powers = np.vander(0.5 * (t + 1.0), _DEGREE + 1)
        scale = (hi - lo) ** -np.arange(_DEGREE, -1, -1.0)[:, None]
        mass, shells = (
            PPoly(
                np.linalg.solve(powers, (rho * np.exp(n * y)).T) * scale, self._edges
            ).antiderivative()
            for n in (3, 2)
        )
        mass.c[-1] += self._inner.mass(np.exp(lo[0]))
        shells.c[-1] -= shells(self._edges[-1])
        return mass, shells

    @cached_property
    def _excess(self) -> float:
        """Mass within the table's last radius that similar ellipsoids of its outer shape do not have there."""
        mass, _ = self._averages
        last = self._edges[-1]
        return float(mass(last) - self._outer.mass(np.exp(last)))

    @cached_property
    def _outer_shells(self) -> float:
        """Potential at the centre of what is beyond the table's last radius."""
        last = np.exp(self._edges[-1])
        return float(self._outer.potential(last) + self._outer.mass(last) / last)


def require_falling_outward(table: AxisRatioTable) -> None:
    """Raise :class:`InputError` where surfaces of constant density would cross: rho must fall along every ray.

    s^2 is a sum over the axes of n_i^2 (r / l_i)^2, with n the direction and l_i the lengths of the axes: it
    rises along every ray where it does along the axes.
    """
    x = np.log(table.r)
    for i in range(len(x) - 1):
        y = np.linspace(x[i], x[i + 1], _PLACES)
        (b, c), rise = table.at(np.exp(y)), x[i + 1] - x[i]
        by_b = (table.b_a[i + 1] - table.b_a[i]) / rise / b
        by_c = (table.c_a[i + 1] - table.c_a[i]) / rise / c
        volume = (by_b + by_c) / 3.0
        # d ln (r / l) / d ln r along each axis
        for axis, slope in (("first", volume), ("second", volume - by_b), ("third", volume - by_c)):
            slope = 1.0 + slope
            require(
                bool(np.all(slope > 0.0)),
                f"axis_ratios change too fast near {np.exp(y[slope.argmin()]):.4g} kpc: the density would not"
                f" fall outward along the {axis} axis, surfaces of constant density cross",
            )
