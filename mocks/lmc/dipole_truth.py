"""The mean velocity field of a halo that is not at rest: compression, dipole and translation.

Of a population seen from the Galactic centre over the whole sky and without errors,

    <v_r>(n) = mu_compr + d . n

in every shell (Li et al. 2026, eq. 6), n the direction of a star. How the vector d is named,
:mod:`haloassay.contracts.sky` says.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.contracts import sky
from haloassay.contracts.frames import spherical_basis, spherical_velocity
from haloassay.mocks.stars import Stars

#: Dipoles weaker than this [km/s] have no apex.
_NO_DIPOLE: Final = 1e-9

#: Fewest stars of each hemisphere between two nodes of the tables.
_FEWEST: Final = 100


@dataclass(frozen=True, eq=False)
class DipoleTruth:
    """Mean velocity field as function of radius: linear in ln r between nodes, constant beyond them.

    ``mean_v_theta_predicted`` is (pi / 4) d_z (Li et al. 2026, eq. 7), what the dipole of v_r would
    make of the mean v_theta if all of the halo were translated as a whole. ``v_travel`` is the size
    of the translation, which equals -mu_dipole in such a halo only: one that the LMC pulls has
    another dipole in v_r than in the tangential velocities. The apex is that of the dipole.

    Parameters
    ----------
    r
        (K,) radii [kpc] of the nodes, rising; one of them for a field that is the same everywhere.
    mu_compr
        (K,) compression [km/s]: the mean of v_r over the sky, free of the dipole.
    dipole
        (K, 3) vector d [km/s] of v_r = mu_compr + d . n, Galactocentric axes.
    translation
        (K, 3) vector [km/s] that fits all three components of the velocity beside a bulk motion
        along the spherical axes (Yaaqib et al. 2024): the model of ``reflex-6d``. NaN where a field
        is none, such as a dipole painted on v_r alone.
    bulk
        (K, 3) that bulk motion (v_r, v_theta, v_phi) [km/s]: what is left beside the translation, not the
        mean over the stars. NaN like it; by default nothing is left.
    hemispheres
        (K, 2) means of v_r over z > 0 and over z < 0 [km/s]; by default those of the field above,
        mu_compr +- d_z / 2.
    """

    r: FloatArray
    mu_compr: FloatArray
    dipole: FloatArray
    translation: FloatArray
    bulk: FloatArray | None = None
    hemispheres: FloatArray | None = None

    def __post_init__(self) -> None:
        n = len(self.r)
        rising = n > 0 and bool(np.all(self.r > 0.0) and np.all(np.diff(self.r) > 0.0))
        require(rising, "the radii of a velocity field must rise from above zero")
        if self.bulk is None:
            object.__setattr__(self, "bulk", np.zeros((n, 3)))
        if self.hemispheres is None:
            half = 0.5 * self.dipole[:, 2]
            both = np.stack([self.mu_compr + half, self.mu_compr - half], axis=1)
            object.__setattr__(self, "hemispheres", both)
        shapes = {"mu_compr": (n,), "dipole": (n, 3), "translation": (n, 3)}
        shapes |= {"bulk": (n, 3), "hemispheres": (n, 2)}
        for name, shape in shapes.items():
            table = np.asarray(getattr(self, name), dtype=float)
            known = name in ("translation", "bulk") or bool(np.all(np.isfinite(table)))
            require(
                table.shape == shape and known,
                f"{name} of a velocity field needs finite values of shape {shape}",
            )

    @classmethod
    def of(cls, stars: Stars, r_range: tuple[float, float], step: float = 0.2) -> DipoleTruth:
        """Fit the field to a population over the whole sky, by least squares.

        All nodes are fitted at once, so that the tables averaged over the population's own radii
        are the best fit to its stars. In the translation each component of the velocity is weighted
        by its inverse variance at that radius.

        Parameters
        ----------
        stars
            A large population, without errors. A node has an error of about sqrt(3 / n) sigma_r, n
            the stars within ``step``; averages over wider ranges have accordingly less.
        r_range
            Radii [kpc] between which the nodes stand.
        step
            Distance of nodes in ln r; more where stars are few.

        Raises
        ------
        InputError
            If a hemisphere has fewer than 100 stars.
        """
        chosen = stars.select((stars.r >= r_range[0]) & (stars.r < r_range[1]))
        chosen = chosen.select(np.argsort(chosen.r, kind="stable"))
        north = chosen.position[:, 2] > 0.0
        nodes = _nodes((chosen.r[north], chosen.r[~north]), r_range, step)
        v = spherical_velocity(chosen.position, chosen.velocity)
        one = np.ones((len(chosen), 1))
        n = chosen.position / chosen.r[:, None]
        radial = _fit(chosen.r, nodes, np.hstack([n, one])[:, None], v[:, :1])
        axes = spherical_basis(chosen.position)
        bulk = np.broadcast_to(np.eye(3), axes.shape)
        whole = _fit(chosen.r, nodes, np.concatenate([axes, bulk], axis=2), v)
        halves = [
            _fit(chosen.r[half], nodes, one[half][:, None], v[half, :1]) for half in (north, ~north)
        ]
        return cls(
            nodes, radial[:, 3], radial[:, :3], whole[:, :3], whole[:, 3:], np.hstack(halves)
        )

    def value(self, quantity: str, r: ArrayLike) -> float:
        """Value of a quantity, averaged over stars at the radii ``r`` [kpc].

        Vectors are averaged as vectors, and named afterwards.

        Parameters
        ----------
        quantity
            One of mu_compr, mu_dipole, apex_l, apex_b, v_travel, bulk_v_r, bulk_v_theta, bulk_v_phi,
            mean_v_r_north, mean_v_r_south, mean_v_theta_predicted.
        r
            (N,) true radii, at least one.

        Returns
        -------
        float
            In km/s or deg; NaN for the apex of a field without a dipole.

        Raises
        ------
        InputError
            If the field has no such quantity.
        """
        d = self._mean(self.dipole, r)
        speed, lon, lat = (float(name) for name in sky.apex(d))
        match quantity:
            case "mu_compr":
                return float(self._mean(self.mu_compr[:, None], r)[0])
            case "mu_dipole":
                return speed
            case "apex_l" | "apex_b":
                return np.nan if speed > -_NO_DIPOLE else (lon if quantity == "apex_l" else lat)
            case "v_travel":
                return float(np.linalg.norm(self._mean(self.translation, r)))
            case "bulk_v_r" | "bulk_v_theta" | "bulk_v_phi":
                component = ("bulk_v_r", "bulk_v_theta", "bulk_v_phi").index(quantity)
                return float(self._mean(np.asarray(self.bulk), r)[component])
            case "mean_v_r_north" | "mean_v_r_south":
                halves = self._mean(np.asarray(self.hemispheres), r)
                return float(halves[0 if quantity == "mean_v_r_north" else 1])
            case "mean_v_theta_predicted":
                return float(sky.mean_v_theta(d))
        raise InputError(f"a velocity field has no {quantity!r}")

    def _mean(self, table: FloatArray, r: ArrayLike) -> FloatArray:
        """Columns of a table averaged over radii."""
        x, nodes = np.log(np.atleast_1d(np.asarray(r, dtype=float))), np.log(self.r)
        return np.array([np.interp(x, nodes, column).mean() for column in table.T])


def _nodes(
    hemispheres: tuple[FloatArray, FloatArray], r_range: tuple[float, float], step: float
) -> FloatArray:
    """(K,) radii about ``step`` apart in ln r, farther where either hemisphere's sorted radii are few."""
    lo, hi = r_range
    wanted = np.geomspace(lo, hi, max(2, round(np.log(hi / lo) / step) + 1))
    below = np.stack([np.searchsorted(r, wanted) for r in hemispheres])
    poorest = int(below[:, -1].min())
    require(
        poorest >= _FEWEST,
        f"velocity field: a hemisphere has {poorest} stars between {lo:.3g} and {hi:.3g} kpc, at least"
        f" {_FEWEST} are needed",
    )
    kept = [0]
    for k in range(1, len(wanted) - 1):
        inside, outside = below[:, k] - below[:, kept[-1]], below[:, -1] - below[:, k]
        if min(inside.min(), outside.min()) >= _FEWEST:
            kept.append(k)
    return np.asarray(wanted[[*kept, -1]])


def _fit(r: FloatArray, nodes: FloatArray, X: FloatArray, v: FloatArray) -> FloatArray:
    """(K, p) coefficients, linear in ln r between (K,) nodes, of v = X c by least squares.

    Stars are sorted by ``r`` (N,); ``X`` is (N, c, p) and ``v`` (N, c), whose components have the
    weight of their inverse variance between two nodes, relative to the first.
    """
    p = X.shape[2]
    normal, right = np.zeros((len(nodes) * p, len(nodes) * p)), np.zeros(len(nodes) * p)
    ends = np.searchsorted(r, nodes)
    ends[-1] = len(r)
    for k, (start, end) in enumerate(itertools.pairwise(ends)):
        part = slice(start, end)
        t = np.log(r[part] / nodes[k]) / np.log(nodes[k + 1] / nodes[k])
        hats = np.stack([1.0 - t, t], axis=1)
        rows = (hats[:, None, :, None] * X[part][:, :, None, :]).reshape(end - start, -1, 2 * p)
        variance = np.maximum(v[part].var(axis=0), 1e-12)
        weighted = rows * (variance[0] / variance)[:, None]
        block = slice(k * p, (k + 2) * p)
        normal[block, block] += np.einsum("nci,ncj->ij", weighted, rows)
        right[block] += np.einsum("nci,nc->i", weighted, v[part])
    return np.asarray(np.linalg.solve(normal, right).reshape(-1, p))
