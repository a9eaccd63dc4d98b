"""Second moments of tracers in axisymmetric potentials: tables for a fit, by collocation.

Of a velocity ellipsoid along r and theta, with x = cos(theta), S = <v_r^2> and beta = 1 - <v_theta^2> / S,

    -x dS/dlnr - (1 - beta) (1 - x^2) dS/dx - [(1 - beta) (1 - x^2) dln nu/dx + x (dln nu/dlnr + 2 beta)] S = r dPhi/dz
    <v_phi^2> = S (1 + beta + dln nu/dlnr) + dS/dlnr + dPhi/dlnr

(Cappellari 2020, 2026). Where 1 - beta = (1 - beta_0) exp(kappa x^2), 2 kappa x is added to dln nu/dx in the first.
Along R and z, S = <v_z^2> solves it with beta = 0, <v_R^2> = S / (1 - beta), and

    <v_phi^2> = <v_R^2> (1 + dln nu/dlnR) + d<v_R^2>/dlnR + R dPhi/dR

(Cappellari 2008). All of it is linear in the potential. What happens outside is felt inside, and not the other way
round: panels in ln r are solved from outside in.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.estimators.bins import DensitySlope
from haloassay.estimators.fit.chebyshev import Nodes
from haloassay.estimators.halo.baryons import Baryons
from haloassay.estimators.halo.flattened import Halo, HaloForm, baryons_field

Alignment = Literal["spherical", "cylindrical"]

#: Widest panel in ln r, nodes of each, and nodes in cos(theta) without and with a disc.
_PANEL: Final = 1.0
_NODES_R: Final = 9
_NODES_X: Final = (10, 16)
#: Ln r beyond the outermost star, or the last break, at which S is taken for a power of r.
_BEYOND: Final = 2.0
#: Nodes in the symmetrised anisotropy, alone and beside nodes in kappa; in kappa; in ln q; in the shape of the halo, a
#: few, and more for each unit of ln r_s or of gamma.
_NODES_BETA: Final = (12, 8)
_NODES_KAPPA: Final = 5
_NODES_Q: Final = 5
_NODES_SHAPE: Final = (4, 1.5)


def symmetric(beta: ArrayLike) -> FloatArray:
    """Symmetrised anisotropy beta / (2 - beta)."""
    beta = np.asarray(beta, dtype=float)
    return np.asarray(beta / (2.0 - beta))


def anisotropy(symmetrised: ArrayLike) -> FloatArray:
    """Anisotropy beta of beta / (2 - beta)."""
    symmetrised = np.asarray(symmetrised, dtype=float)
    return np.asarray(2.0 * symmetrised / (1.0 + symmetrised))


@dataclass(frozen=True)
class JeansSetting:
    """What tables of moments are of.

    Parameters
    ----------
    alpha
        Density of the tracers, of the radius m^2 = R^2 + z^2 / q_stars^2.
    q_stars
        Its axis ratio.
    alignment
        Of the velocity ellipsoid.
    beta_range
        Anisotropies between which nodes are.
    q_range
        Axis ratios of the halo's density between which nodes are; equal ones hold it.
    halo
        Its form.
    shape_range
        Shapes of it between which nodes are.
    baryons
        What is known beside it.
    r_range
        Radii [kpc] between which stars are.
    kappa_range
        Rises of ln(1 - beta) from the plane to the poles between which nodes are; equal ones hold it.
    """

    alpha: DensitySlope
    q_stars: float
    alignment: Alignment
    beta_range: tuple[float, float]
    q_range: tuple[float, float]
    halo: HaloForm
    shape_range: tuple[float, float]
    baryons: Baryons
    r_range: tuple[float, float]
    kappa_range: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def nodes_beta(self) -> Nodes:
        """Nodes in the symmetrised anisotropy, or in 1 / (1 - beta), of which moments along R are linear."""
        lo, hi = self._of_beta(np.array(self.beta_range))
        alone, beside = _NODES_BETA
        many = alone if self.nodes_kappa.n == 1 else beside
        return Nodes(float(lo), float(hi), many if self.alignment == "spherical" else 2)

    @cached_property
    def nodes_kappa(self) -> Nodes:
        """Nodes in the rise of ln(1 - beta)."""
        lo, hi = self.kappa_range
        return Nodes(lo, hi, 1 if lo == hi else _NODES_KAPPA)

    def _of_beta(self, beta: FloatArray) -> FloatArray:
        return symmetric(beta) if self.alignment == "spherical" else 1.0 / (1.0 - beta)

    def beta_weights(self, beta: FloatArray, kappa: FloatArray | None = None) -> FloatArray:
        """Weights (m, b) of the nodes, kappa within beta, at anisotropies in the plane (m,) and their rises (m,)."""
        of_beta = self.nodes_beta.weights(self._of_beta(beta))
        if kappa is None or self.nodes_kappa.n == 1:
            return of_beta
        both = of_beta[:, :, None] * self.nodes_kappa.weights(kappa)[:, None, :]
        return both.reshape(len(beta), -1)

    @property
    def betas(self) -> FloatArray:
        """(b,) anisotropies of the nodes."""
        x = self.nodes_beta.x
        return anisotropy(x) if self.alignment == "spherical" else 1.0 - 1.0 / x

    @cached_property
    def nodes_q(self) -> Nodes:
        """Nodes in ln of the halo's axis ratio."""
        lo, hi = np.log(self.q_range)
        return Nodes(float(lo), float(hi), 1 if lo == hi else _NODES_Q)

    @cached_property
    def nodes_shape(self) -> Nodes:
        """Nodes in the shape of the halo."""
        lo, hi = self.shape_range
        few, more = _NODES_SHAPE
        return Nodes(lo, hi, few + int(np.ceil(more * (hi - lo))))

    @cached_property
    def nodes_x(self) -> Nodes:
        """Nodes in abs(cos(theta))."""
        return Nodes(0.0, 1.0, _NODES_X[self.baryons == "mwpotential2014"])

    @property
    def pivot(self) -> float:
        """Radius [kpc] within which halos of a table hold 1 Msun."""
        return float(np.sqrt(self.r_range[0] * self.r_range[1]))

    def slopes(self, x_r: FloatArray, cosine: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Slopes of ln nu with ln r and with cos(theta), at ln r and cos(theta) (n,)."""
        q2 = self.q_stars**2
        bent = 1.0 - cosine**2 + cosine**2 / q2  # m^2 / r^2
        slope = self.alpha.slope(np.exp(x_r) * np.sqrt(bent))
        return slope, slope * cosine * (1.0 / q2 - 1.0) / bent

    def panels(self) -> tuple[list[Nodes], int]:
        """Panels in ln r, outwards, and how many of them have stars; sharp breaks are at edges of panels."""
        lo, hi = np.log(self.r_range)
        breaks = np.log(self.alpha.breaks)
        end = max(hi, breaks.max(initial=hi)) + _BEYOND
        bends = breaks[(breaks > lo + 1e-3) & (breaks < hi - 1e-3)]
        beyond = breaks[breaks > hi + 1e-3]
        edges = [lo, *bends, hi, *beyond, end]
        found: list[Nodes] = []
        inside = 0
        for a, b in itertools.pairwise(edges):
            cuts = np.linspace(a, b, int(np.ceil((b - a) / _PANEL)) + 1)
            found += [Nodes(float(c), float(d), _NODES_R) for c, d in itertools.pairwise(cuts)]
            inside += (len(cuts) - 1) if b <= hi else 0
        return found, inside

    def tables(self) -> MomentTables:
        """Tables of moments at all nodes."""
        halo, shapes, qs = Halo(self.halo), self.nodes_shape.x, np.exp(self.nodes_q.x)
        panels, inside = self.panels()

        def fields(R: FloatArray, z: FloatArray) -> FloatArray:
            each = [
                halo.field(R, z, shape, q) / halo.round_mass(self.pivot, shape)
                for shape in shapes
                for q in qs
            ]
            if self.baryons != "none":
                each.append(baryons_field(self.baryons, R, z))
            return np.array(each)

        found = solved(self, panels, inside, fields)  # (b, panel, 3, r, x, column)
        n = len(shapes) * len(qs)
        of_halo = found[..., :n].reshape(*found.shape[:-1], len(shapes), len(qs))
        baryons = found[..., n] if self.baryons != "none" else np.zeros(found.shape[:-1])
        return MomentTables(self, panels[:inside], self.nodes_x, of_halo, baryons)


#: Fields at R and z (n,): derivatives of potentials over G along R, and along z over z, (columns, 2, n).
Fields = Callable[[FloatArray, FloatArray], FloatArray]


def solved(
    setting: JeansSetting, panels: Sequence[Nodes], inside: int, fields: Fields
) -> FloatArray:
    """Moments over G in the ``inside`` innermost panels.

    Returns
    -------
    ndarray
        (beta, panel, 3, r, x, column): <v_r^2>, <v_theta^2>, <v_phi^2>, or those along R, z and phi.
    """
    along_r = setting.alignment == "spherical"
    betas = setting.betas
    bent = np.exp(np.multiply.outer(setting.nodes_kappa.x, setting.nodes_x.x**2))
    level = 1.0 - ((1.0 - betas)[:, None, None] * bent).reshape(-1, bent.shape[1])
    kappas = np.tile(setting.nodes_kappa.x, len(betas))
    ellipsoids = list(zip(level, kappas, strict=True)) if along_r else [(0.0 * level[0], 0.0)]
    out: list[list[FloatArray]] = [[] for _ in level]
    edge: list[FloatArray] | None = None
    for k in range(len(panels) - 1, -1, -1):
        panel = _Panel(setting, panels[k], fields)
        edges = []
        for i, (beta, kappa) in enumerate(ellipsoids):
            outer = panel.power_law(beta) if edge is None else edge[i]
            S = panel.solve(beta, float(kappa), outer)
            edges.append(S[0])
            if k >= inside:
                continue
            if along_r:
                out[i].append(panel.along_r(S, beta))
            else:
                for j, each in enumerate(betas):
                    out[j].append(panel.along_R(S, float(each)))
        edge = edges
    return np.array([each[::-1] for each in out])


@dataclass(frozen=True, eq=False)
class _Panel:
    """Panel in ln r, and the equations in it.

    Parameters
    ----------
    setting
        What the moments are of.
    nodes
        In ln r.
    fields
        Of all potentials.
    """

    setting: JeansSetting
    nodes: Nodes
    fields: Fields

    @cached_property
    def _grid(self) -> tuple[FloatArray, FloatArray]:
        """Ln r and cos(theta) (r, x)."""
        lnr, x = np.meshgrid(self.nodes.x, self.setting.nodes_x.x, indexing="ij")
        return lnr, x

    @cached_property
    def _slopes(self) -> tuple[FloatArray, FloatArray]:
        """Of ln nu with ln r and with cos(theta) (r, x); a sharp break at an edge belongs to neither side."""
        lnr, x = self._grid
        middle = 0.5 * (self.nodes.lo + self.nodes.hi)
        within = middle + (1.0 - 1e-9) * (lnr - middle)
        return self.setting.slopes(within, x)

    @cached_property
    def _pulls(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """R dPhi/dR, z dPhi/dz and r dPhi/dz over G (r, x, column)."""
        lnr, x = self._grid
        r = np.exp(lnr)
        R, z = r * np.sqrt(1.0 - x**2), r * x
        along, across = np.moveaxis(self.fields(R.ravel(), z.ravel()), 0, -1).reshape(
            2, *r.shape, -1
        )
        return R[..., None] * along, (z**2)[..., None] * across, (r * z)[..., None] * across

    def _rise(self, values: FloatArray) -> FloatArray:
        """Differentiate with ln r."""
        return np.asarray(np.tensordot(self.nodes.derivative, values, 1))

    def _turn(self, values: FloatArray) -> FloatArray:
        """Differentiate with cos(theta)."""
        return np.moveaxis(np.tensordot(self.setting.nodes_x.derivative, values, axes=(1, 1)), 0, 1)

    def power_law(self, beta: FloatArray) -> FloatArray:
        """S (x, column) at the outer edge where it is a power of r, and all is about round."""
        v2 = self._pulls[0] + self._pulls[1]
        fall = -self._rise(v2)[-1] / v2[-1]
        return np.asarray(v2[-1] / (fall - (self._slopes[0][-1] + 2.0 * beta)[:, None]))

    def solve(self, beta: FloatArray, kappa: float, outer: FloatArray) -> FloatArray:
        """S (r, x, column), which is ``outer`` (x, column) at the outer edge, of an anisotropy (x,)."""
        _, x = self._grid
        in_r, in_x = self._slopes
        n, m = x.shape
        angular = (1.0 - beta) * (1.0 - x**2)
        L = -x.ravel()[:, None] * np.kron(self.nodes.derivative, np.eye(m))
        L -= angular.ravel()[:, None] * np.kron(np.eye(n), self.setting.nodes_x.derivative)
        L -= np.diag((angular * (in_x + 2.0 * kappa * x) + x * (in_r + 2.0 * beta)).ravel())
        right = self._pulls[2].reshape(n * m, -1).copy()
        L[-m:] = 0.0
        L[-m:, -m:] = np.eye(m)
        right[-m:] = outer
        return np.asarray(np.linalg.solve(L, right).reshape(n, m, -1))

    def along_r(self, S: FloatArray, beta: FloatArray) -> FloatArray:
        """<v_r^2>, <v_theta^2>, <v_phi^2> (3, r, x, column)."""
        v2 = self._pulls[0] + self._pulls[1]
        phi = S * (1.0 + beta + self._slopes[0])[..., None] + self._rise(S) + v2
        return np.array([S, (1.0 - beta)[:, None] * S, phi])

    def along_R(self, S: FloatArray, beta: float) -> FloatArray:  # noqa: N802 # the axis
        """<v_R^2>, <v_z^2>, <v_phi^2> (3, r, x, column)."""
        _, x = self._grid
        in_r, in_x = self._slopes
        level = 1.0 - x**2
        slope = level * in_r - x * level * in_x
        rise = level[..., None] * (self._rise(S) - x[..., None] * self._turn(S))
        phi = (S * (1.0 + slope[..., None]) + rise) / (1.0 - beta) + self._pulls[0]
        return np.array([S / (1.0 - beta), S, phi])


@dataclass(frozen=True, eq=False)
class MomentTables:
    """Tables of moments.

    Parameters
    ----------
    setting
        What they are of.
    panels
        Nodes in ln r, as many of each.
    angles
        Nodes in abs(cos(theta)).
    halo
        (beta, panel, 3, r, x, shape, q) moments over G of halos that hold 1 Msun within the pivot [1/kpc].
    baryons
        (beta, panel, 3, r, x) those of the baryons [Msun/kpc].
    """

    setting: JeansSetting
    panels: Sequence[Nodes]
    angles: Nodes
    halo: FloatArray
    baryons: FloatArray

    def places(self, r: FloatArray, cosine: FloatArray, weight: FloatArray) -> FloatArray:
        """Weights (panel, r, x) of the mean over stars at radii [kpc] and polar angles, times a weight of each (n,)."""
        lnr = np.log(r)
        edges = [panel.lo for panel in self.panels[1:]]
        which = np.searchsorted(edges, lnr, side="right")
        out = np.zeros((len(self.panels), self.panels[0].n, self.angles.n))
        for k, panel in enumerate(self.panels):
            here = np.flatnonzero(which == k)
            at_r = panel.weights(lnr[here]) * weight[here, None]
            out[k] = at_r.T @ self.angles.weights(np.abs(cosine[here]))
        return out / len(r)

    def means(self, places: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Mean moments [(km/s)^2] at ``places`` (g,): of halos (shape, beta, q, g, 3), of baryons (beta, g, 3)."""
        at = np.array(places)
        halo = G * np.einsum("gprx,bpcrxsq->sbqgc", at, self.halo, optimize=True)
        baryons = G * np.einsum("gprx,bpcrx->bgc", at, self.baryons, optimize=True)
        return halo, baryons
