"""Second moments in cells of radius and polar angle: those of an axisymmetric model, and what stars say of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.constants import G
from haloassay.estimators.halo.axisymmetric_moments import (
    JeansSetting,
    MomentTables,
    anisotropy,
)

#: Chance of a chi^2 below which the moments are not those of the model, and the axis ratio is left out.
_UNLIKE: Final = 1e-3


@dataclass(frozen=True, eq=False)
class CellModel:
    """Moments of the model in cells, and those of the stars.

    Parameters
    ----------
    setting
        What the tables are of.
    halo, baryons
        (shape, beta, q, g, 3) mean squares of halos that hold 1 Msun within the pivot, and (beta, g, 3) those of the
        baryons; the last two of g are of all stars, and of all times cos^2(theta).
    log_square, precision
        (cells, 3) and (cells, 3, 3) of the stars.
    log_mass
        About ln of the mass [Msun] within the pivot.
    """

    setting: JeansSetting
    halo: FloatArray
    baryons: FloatArray
    log_square: FloatArray
    precision: FloatArray
    log_mass: float

    @classmethod
    def of(
        cls,
        tables: MomentTables,
        r: FloatArray,
        cosine: FloatArray,
        cells: list[IntArray],
        log_square: FloatArray,
        precision: FloatArray,
    ) -> CellModel:
        """Model of stars at radii [kpc] and cosines of polar angles (n,), in cells of rows."""
        one = np.ones(len(r))
        at = [tables.places(r[rows], cosine[rows], one[rows]) for rows in cells]
        at.append(tables.places(r, cosine, one))
        at.append(tables.places(r, cosine, cosine**2))
        halo, baryons = tables.means(at)
        speed = float(np.mean(np.sum(np.exp(log_square), axis=1)))
        middle = float(np.log(speed * tables.setting.pivot / G))
        return cls(tables.setting, halo, baryons, log_square, precision, middle)

    def moments(self, points: FloatArray) -> FloatArray:
        """Mean squares (m, g, 3) [(km/s)^2]."""
        s = self.setting
        of_shape = s.nodes_shape.weights(points[:, 1])
        of_beta = s.beta_weights(anisotropy(points[:, 2]), points[:, 4])
        of_q = s.nodes_q.weights(points[:, 3])
        all_ = (of_shape[:, :, None, None] * of_beta[:, None, :, None]) * of_q[:, None, None, :]
        g = self.halo.shape[3]
        dark = all_.reshape(len(points), -1) @ self.halo.reshape(-1, 3 * g)
        known = of_beta @ self.baryons.reshape(-1, 3 * g)
        return np.asarray(np.exp(points[:, :1]) * dark + known).reshape(-1, g, 3)

    def log_likelihood(self, points: FloatArray) -> FloatArray:
        """Log likelihood (m,); -inf where a moment is not positive."""
        with np.errstate(invalid="ignore", divide="ignore"):
            away = np.log(self.moments(points)[:, :-2]) - self.log_square
        value = -0.5 * np.einsum("mbi,bij,mbj->m", away, self.precision, away, optimize=True)
        return np.where(np.isfinite(value), value, -np.inf)

    def fault(self, points: FloatArray) -> str:
        """Why the axis ratio is not told: no point has moments that those of the stars could be."""
        from scipy.special import chdtrc

        free = int(np.sum(np.ptp(points, axis=0) > 0.0))
        chi2, n = -2.0 * float(self.log_likelihood(points).max()), self.log_square.size - free
        if chdtrc(n, chi2) >= _UNLIKE:
            return ""
        return (
            f"the second moments are not those of the model, chi^2 = {chi2:.0f} of {n}: its axis ratio would be that of"
            " its faults"
        )

    def mean_anisotropy(self, points: FloatArray) -> FloatArray:
        """1 - <v_theta^2 + v_phi^2> / (2 <v_r^2>) of the model over all stars (m,)."""
        whole, bent = np.moveaxis(self.moments(points)[:, -2:], 1, 0)
        radial = whole[:, 0]
        if self.setting.alignment == "cylindrical":
            radial = whole[:, 0] - bent[:, 0] + bent[:, 1]
        return np.asarray(1.0 - 0.5 * (whole.sum(axis=1) - radial) / radial)
