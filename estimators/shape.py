"""Shape of the tracers' distribution: principal axes of the directions of the stars in radial bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import EstimationError
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.estimators.bins import (
    Bin,
    Edges,
    check_edges,
    check_least,
    check_number,
    radial_bins,
)
from haloassay.estimators.gathering import gathered, place
from haloassay.estimators.rows import in_order, resampled_row, undetermined_rows

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Angle [deg] within which 95 per cent of the drawn major axes lie where there is one: half of a right angle.
_DISTINCT: Final = 45.0
#: Least eigenvalue of directions that are not all in a plane.
_FLAT: Final = 1e-9


@dataclass(frozen=True)
class Shape(Estimator):
    """Axis ratios and tilt of the reduced tensor <x_i x_j / r^2> in radial bins.

    The roots of the eigenvalues are the axes a >= b >= c (as in Zemp et al. 2011, for a spherical shell with
    weights 1 / r^2). ``tilt`` is the angle of the major axis from the plane of the Galaxy, from 0 to 90 deg.

    Shells are spheres and are not deformed to the shape that is found. The ratios are therefore not those of the
    surfaces of equal density: of stars of density m^-3, m^2 = x^2 + y^2 / (b/a)^2 + z^2 / (c/a)^2, with b = a and
    c/a = 0.8, the tensor has 0.873, and it is rounder the less steeply the density falls.

    Chance drives eigenvalues apart: a round halo of n stars has a c/a below 1 by 1.6 / sqrt(n) in the mean. The
    squared distance of neighbouring eigenvalues is less here by what the scatter of the stars adds to it where the two
    are truly equal, and is zero where nothing remains: a ratio of 1 says that no axis was found. 0.4 / sqrt(n) are
    left. Where eigenvalues are well apart this takes a little too much: half of the squared relative error of their
    distance.

    Intervals are from draws of the tensor with the covariance of its mean, about the corrected one and corrected
    alike. A tilt is positive by its definition, so that it is too high where it is less than its error. Where the
    major axis is not distinct within its errors (more than 5 per cent of the draws are over 45 deg off) there is none,
    and a note says so.

    Parameters
    ----------
    bins
        Edges [kpc], or ``"none"`` for the whole sample.
    min_stars
        Bins with fewer stars have no value.
    n_draws
        Draws behind the intervals.
    """

    name: ClassVar[str] = "shape"
    reference: ClassVar[str] = "2011ApJS..197...30Z"
    needs: ClassVar[tuple[str, ...]] = ()
    assumes: ClassVar[tuple[str, ...]] = (
        "the same share of the stars is seen in all directions from the Galactic centre",
    )
    expected: ClassVar[Mapping[str, str | tuple[str, str]]] = {
        "twice the stars": "a difference of axes that few stars do not show has an interval that ends at none",
    }
    yields: ClassVar[tuple[str, ...]] = ("b_over_a", "c_over_a", "tilt")

    bins: Edges = "none"
    min_stars: int = 50
    n_draws: int = 1000

    def __post_init__(self) -> None:
        check_edges(self.bins)
        check_least("min_stars", self.min_stars, 20)
        check_least("n_draws", self.n_draws, 2)

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows of every quantity of every bin; a row says why it has no value."""
        catalogue.check_rows(np.isfinite(catalogue.r), "a position that is not finite")
        bins = radial_bins(catalogue.r, self.bins)
        stars = gathered(catalogue, [bin_.rows for bin_ in bins], place)
        rows = (
            row
            for bin_, (x,) in zip(bins, stars, strict=True)
            for row in self._bin_rows(bin_, x, rng)
        )
        return in_order(rows, self.yields)

    def _bin_rows(self, bin_: Bin, x: FloatArray, rng: np.random.Generator) -> list[Estimate]:
        """Rows of one bin, of positions (n, 3)."""
        where = bin_.where
        try:
            r = np.linalg.norm(x, axis=1)
            x, r = x[r > 0.0], r[r > 0.0]
            check_number(len(x), self.min_stars)
            tensor, covariance = reduced_tensor(x / r[:, None])
        except EstimationError as error:
            return undetermined_rows(self.yields, str(error), [where])
        values, axes = rounded(tensor, covariance)
        centre = (axes * values) @ axes.T
        w, v = np.linalg.eigh(covariance)
        root = (v * np.sqrt(np.maximum(w, 0.0))) @ v.T
        offsets = rng.standard_normal((self.n_draws, 9)) @ root
        drawn, drawn_axes = rounded(centre + offsets.reshape(-1, 3, 3), covariance)
        ratios, drawn_ratios = axis_ratios(values), axis_ratios(drawn)
        rows = [
            resampled_row(name, float(ratios[k]), drawn_ratios[:, k], **where)
            for k, name in enumerate(("b_over_a", "c_over_a"))
        ]
        major, majors = axes[:, 0], drawn_axes[:, :, 0]
        away = np.degrees(np.arccos(np.minimum(np.abs(majors @ major), 1.0)))
        if values[0] == values[1] or np.percentile(away, 95.0) > _DISTINCT:
            note = "the major axis is not distinct within its errors"
            return [*rows, Estimate.undetermined("tilt", note, **where)]
        return [*rows, resampled_row("tilt", float(_tilt(major)), _tilt(majors), **where)]


def reduced_tensor(n: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean <n_i n_j> (3, 3) of unit vectors ``n`` (N, 3), and the covariance (9, 9) of that mean.

    Raises
    ------
    EstimationError
        If all directions lie in a plane.
    """
    each = (n[:, :, None] * n[:, None, :]).reshape(-1, 9)
    mean = each.mean(axis=0)
    if not np.linalg.eigvalsh(mean.reshape(3, 3))[0] > _FLAT:
        raise EstimationError("the stars lie in a plane or along a line through the centre")
    off = each - mean
    return mean.reshape(3, 3), off.T @ off / (len(n) * (len(n) - 1.0))


def rounded(tensor: FloatArray, covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues (..., 3), descending, without what chance adds to their distances, and axes (..., 3, 3) in columns.

    Parameters
    ----------
    tensor
        (..., 3, 3) reduced tensors, of trace 1.
    covariance
        (9, 9) of their errors.
    """
    values, axes = np.linalg.eigh(tensor)
    values, axes = values[..., ::-1], axes[..., ::-1]
    gaps = []
    for k in (0, 1):
        one, other = axes[..., :, k], axes[..., :, k + 1]
        # T_aa - T_bb and 2 T_ab: the squares of both make that of the distance
        along = _outer(one, one) - _outer(other, other)
        across = _outer(one, other) + _outer(other, one)
        chance = sum(np.einsum("...i,ij,...j->...", p, covariance, p) for p in (along, across))
        square = (values[..., k] - values[..., k + 1]) ** 2 - chance
        gaps.append(np.sqrt(np.maximum(square, 0.0)))
    least = np.maximum((1.0 - gaps[0] - 2.0 * gaps[1]) / 3.0, 0.0)
    return np.stack([least + gaps[1] + gaps[0], least + gaps[1], least], axis=-1), axes


def axis_ratios(values: FloatArray) -> FloatArray:
    """b/a and c/a (..., 2) of eigenvalues (..., 3), descending."""
    return np.asarray(np.sqrt(values[..., 1:] / values[..., :1]))


def _outer(one: FloatArray, other: FloatArray) -> FloatArray:
    product = one[..., :, None] * other[..., None, :]
    return np.asarray(product.reshape(*one.shape[:-1], 9))


def _tilt(axis: FloatArray) -> FloatArray:
    """Angle [deg] of axes (..., 3) from the plane."""
    return np.degrees(np.arcsin(np.minimum(np.abs(axis[..., 2]), 1.0)))
