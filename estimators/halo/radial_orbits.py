"""Radial orbits of stars between two spheres of a spherical potential: how long they are where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.compiled import compiled
from haloassay.base.constants import G

#: Cells of the grid of radii, at least: a potential is a parabola in each.
_CELLS: Final = 96

#: Mass [Msun] within radii [kpc].
Mass = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class Potential:
    """Potential at the nodes of a grid and half way between them, from zero at the first.

    Parameters
    ----------
    nodes
        (k + 1,) r^2 Phi [kpc^2 (km/s)^2].
    sag
        (k,) four times how far r^2 Phi is below a straight line half way: in a cell it is
        (1 - t) P_0 + t P_1 - sag t (1 - t), t from 0 to 1 along r^2.
    """

    nodes: FloatArray
    sag: FloatArray

    def __add__(self, other: Potential) -> Potential:
        """Potential of both."""
        return Potential(self.nodes + other.nodes, self.sag + other.sag)

    def __mul__(self, factor: float) -> Potential:
        """Potential of so many times the mass."""
        return Potential(self.nodes * factor, self.sag * factor)


@dataclass(frozen=True, eq=False)
class RadialGrid:
    """Grid of radii between two spheres, in equal steps of ln r, each bin cut into cells.

    Parameters
    ----------
    edges
        Radii of the spheres [kpc].
    n_bins
        Number of bins.
    """

    edges: tuple[float, float]
    n_bins: int

    @property
    def per_bin(self) -> int:
        """Cells of a bin."""
        return -(-_CELLS // self.n_bins)

    @cached_property
    def r(self) -> FloatArray:
        """(k + 1,) nodes [kpc]."""
        return np.geomspace(*self.edges, self.n_bins * self.per_bin + 1)

    @cached_property
    def square(self) -> FloatArray:
        """(k + 1,) squares of the nodes."""
        return self.r**2

    @cached_property
    def _quadrature(self) -> tuple[FloatArray, FloatArray]:
        """Radii (k, 2, 4) and weights of integrals over ln r from node to middle, in r^2, to node."""
        middle = np.sqrt(0.5 * (self.square[1:] + self.square[:-1]))
        ends = np.log(np.stack([self.r[:-1], middle, self.r[1:]], axis=1))
        t, w = np.polynomial.legendre.leggauss(4)
        half = 0.5 * np.diff(ends, axis=1)[:, :, None]
        x = 0.5 * (ends[:, 1:] + ends[:, :-1])[:, :, None] + half * t
        return np.exp(x), half * w

    def potential(self, mass: Mass) -> Potential:
        """Potential of a mass, Phi = int G M / r^2 dr: what is outside moves no star inside."""
        r, w = self._quadrature
        rise = np.sum(w * G * mass(r.ravel()).reshape(r.shape) / r, axis=2)
        phi = np.concatenate([[0.0], np.cumsum(rise.ravel())])
        nodes = self.square * phi[::2]
        middle = 0.5 * (self.square[1:] + self.square[:-1]) * phi[1::2]
        return Potential(nodes, 4.0 * (0.5 * (nodes[1:] + nodes[:-1]) - middle))

    def place(self, r: FloatArray) -> tuple[IntArray, FloatArray]:
        """Cell (n,) of each radius [kpc], and how far (n,) it is across, along r^2."""
        cell = np.clip(np.searchsorted(self.r, r, side="right") - 1, 0, len(self.r) - 2)
        across = (r**2 - self.square[cell]) / (self.square[cell + 1] - self.square[cell])
        return cell.astype(np.int64), np.clip(across, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Orbits:
    """Stars whose orbits are followed between the spheres of a grid.

    Parameters
    ----------
    grid
        The grid, within which all stars are.
    r, v_r, v_t
        (n,) radii [kpc], radial and tangential velocities [km/s].
    """

    grid: RadialGrid
    r: FloatArray
    v_r: FloatArray
    v_t: FloatArray

    @cached_property
    def _columns(self) -> FloatArray:
        """(n, 4) r^2, v^2 / 2, L^2 and (r v_r)^2."""
        square = self.r**2
        radial, across = self.v_r**2, self.v_t**2
        return np.column_stack([square, 0.5 * (radial + across), square * across, square * radial])

    @cached_property
    def _places(self) -> tuple[IntArray, FloatArray]:
        return self.grid.place(self.r)

    @cached_property
    def counts(self) -> FloatArray:
        """(n_bins,) stars of each bin."""
        bins = self._places[0] // self.grid.per_bin
        return np.bincount(bins, minlength=self.grid.n_bins).astype(float)

    def phases(self, potential: Potential) -> FloatArray:
        """Phases (n,) of the stars: the share of the time from peri- to apocentre that is over, 0 to 1."""
        return self._followed(potential)[0]

    def expected(self, potential: Potential) -> FloatArray:
        """Expect so many stars (n_bins,) in each bin: the sum of the shares of their time there."""
        return self._followed(potential)[1].reshape(-1, self.grid.per_bin).sum(axis=1)

    def averages(self, potential: Potential, values: FloatArray) -> FloatArray:
        """Averages (n, d) over the orbit of each star of ``values`` (n_bins, d) of the bins."""
        return self._followed(potential, np.repeat(values, self.grid.per_bin, axis=0))[2]

    def _followed(
        self, potential: Potential, values: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        cell, across = self._places
        values = np.empty((len(potential.sag), 0)) if values is None else values
        return _follow(
            self._columns, cell, across, self.grid.square, potential.nodes, potential.sag, values
        )


@compiled
def _arc(step: float, roots: float, bend: float) -> float:
    """Half of int dt / sqrt(w) over ``step``: w has -``bend`` t^2, its square roots at the ends the sum ``roots``.

    With w = A^2 - bend (t - t_0)^2 = (A cos a)^2, tan of half the angle between both ends is sqrt(bend) step / roots.
    """
    if roots <= 0.0 and bend <= 0.0:
        return 0.0
    if roots > 0.0:
        y2 = bend * (step / roots) ** 2
        if abs(y2) < 0.02:
            return step / roots * (1.0 - y2 * (1.0 / 3.0 - y2 * (0.2 - y2 / 7.0)))
    if bend > 0.0:
        kappa = np.sqrt(bend)
        return float(np.arctan2(kappa * step, roots) / kappa)
    kappa = np.sqrt(-bend)
    return float(np.arctanh(min(kappa * step / roots, 1.0 - 1e-12)) / kappa)


@compiled
def _root(start: float, rise: float, bend: float) -> float:
    """Smallest t >= 0 at which start + rise t - bend t^2 falls to 0, from above; infinite where none is."""
    inside = rise * rise + 4.0 * bend * start
    if inside < 0.0:
        return np.inf
    far = np.sqrt(inside)
    if rise <= 0.0:
        return 2.0 * start / (far - rise) if far - rise > 0.0 else 0.0
    return (rise + far) / (2.0 * bend) if bend > 0.0 else np.inf


@compiled
def _walk(
    time: FloatArray,
    star: tuple[float, float, float, float, float],
    cell: int,
    way: int,
    square: FloatArray,
    nodes: FloatArray,
    sag: FloatArray,
) -> tuple[float, float, int]:
    """Follow a star inwards (``way`` 0) or outwards (1) to its turning point or the end of the grid.

    Parameters
    ----------
    time
        (k,) is told the time in each cell that is entered.
    star
        Energy, L^2, (r v_r)^2, its slope along the cell in this direction, and how much of the cell is left.

    Returns
    -------
    own, beyond, last
        Time in the star's own cell and in others, and the last cell.
    """
    energy, momentum, here, slope, room = star
    bend, width = 2.0 * sag[cell], square[cell + 1] - square[cell]
    w = 2.0 * (energy * square[cell + way] - nodes[cell + way]) - momentum
    end = _root(here, slope, bend)
    if end <= room:
        return width * _arc(end, np.sqrt(here), bend), 0.0, cell
    own = width * _arc(room, np.sqrt(here) + np.sqrt(max(w, 0.0)), bend)
    beyond, last = 0.0, len(sag) - 1 if way else 0
    while cell != last:
        cell += 2 * way - 1
        w = max(w, 0.0)
        bend, width = 2.0 * sag[cell], square[cell + 1] - square[cell]
        after = 2.0 * (energy * square[cell + way] - nodes[cell + way]) - momentum
        if after > 0.0:
            time[cell] = width * _arc(1.0, np.sqrt(w) + np.sqrt(after), bend)
            beyond += time[cell]
            w = after
        else:
            end = min(_root(w, after - w + bend, bend), 1.0)
            time[cell] = width * _arc(end, np.sqrt(w), bend)
            return own, beyond + time[cell], cell
    return own, beyond, cell


@compiled
def _follow(
    stars: FloatArray,
    cells: IntArray,
    across: FloatArray,
    square: FloatArray,
    nodes: FloatArray,
    sag: FloatArray,
    values: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Phases (n,), the time (k,) of all stars in each cell, one of each, and averages (n, d) of ``values`` (k, d).

    w = (r v_r)^2 = 2 (E r^2 - r^2 Phi) - L^2 is a parabola of r^2 in each cell, so that the time, half of
    int d(r^2) / sqrt(w), and turning points are exact in the potential that these parabolas are.
    """
    phases, spent = np.empty(len(stars)), np.zeros(len(sag))
    means = np.zeros((len(stars), values.shape[1]))
    time = np.empty(len(sag))
    for i in range(len(stars)):
        s, half, momentum, here = stars[i]
        j, f = cells[i], across[i]
        straight = (1.0 - f) * nodes[j] + f * nodes[j + 1]
        energy = half + (straight - sag[j] * f * (1.0 - f)) / s
        rise = 2.0 * (energy * (square[j + 1] - square[j]) - nodes[j + 1] + nodes[j])
        slope = rise + 2.0 * sag[j] * (1.0 - 2.0 * f)
        inner = (energy, momentum, here, -slope, f)
        outer = (energy, momentum, here, slope, 1.0 - f)
        own, below, first = _walk(time, inner, j, 0, square, nodes, sag)
        rest, above, last = _walk(time, outer, j, 1, square, nodes, sag)
        time[j] = own + rest
        below += own
        total = below + above + rest
        if total > 0.0:
            phases[i] = below / total
        else:  # a circle: it is where it is, and has no phase
            phases[i], time[j], total = 0.5, 1.0, 1.0
        for k in range(first, last + 1):
            share = time[k] / total
            spent[k] += share
            for d in range(values.shape[1]):
                means[i, d] += share * values[k, d]
    return phases, spent, means
