"""Shapes of halos: axis ratios, and how the axes are turned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haloassay.base.arrays import FloatArray
from haloassay.base.settings import require
from haloassay.mocks.stars import Stars

#: Smallest axis ratio that is no slip of the pen (choice).
THINNEST: Final = 0.01


def rotation_matrix(tilt: tuple[float, float, float]) -> FloatArray:
    """(3, 3) rotation from a body's axes to Galactic ones; its columns are the body's axes.

    Parameters
    ----------
    tilt
        Yaw, pitch and roll [deg]: the body is turned about z, then about its own new y, then about
        its own new x, each right-handed. Yaw turns the long axis from x towards y; positive pitch
        turns it from there towards -z.
    """
    yaw, pitch, roll = np.radians(tilt)
    c, s = np.cos(yaw), np.sin(yaw)
    about_z = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    c, s = np.cos(pitch), np.sin(pitch)
    about_y = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    c, s = np.cos(roll), np.sin(roll)
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    return about_z @ about_y @ about_x


def tilt_of(rotation: FloatArray) -> tuple[float, float, float]:
    """Yaw, pitch and roll [deg] of a (3, 3) rotation: the inverse of :func:`rotation_matrix`."""
    level = np.hypot(rotation[0, 0], rotation[1, 0])
    pitch = np.arctan2(-rotation[2, 0], level)
    if level > 1e-12:
        yaw = np.arctan2(rotation[1, 0], rotation[0, 0])
        roll = np.arctan2(rotation[2, 1], rotation[2, 2])
    else:  # yaw and roll turn about one axis
        yaw, roll = np.arctan2(-rotation[0, 1], rotation[1, 1]), 0.0
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))


def require_axis_ratios(*ratios: float) -> None:
    """Raise :class:`InputError` unless every ratio to the first axis is in (0, 1], and no slip of the pen."""
    for ratio in ratios:
        require(
            0.0 < ratio <= 1.0,
            f"axis ratios are those to the longest axis and must be in (0, 1] (got {ratio:g}); where another"
            " axis is the longest, name that one first and turn the body with tilt",
        )
        require(ratio >= THINNEST, f"axis ratios may not be below {THINNEST:g} (got {ratio:g})")


def axis_lengths(b_a: ArrayLike, c_a: ArrayLike) -> FloatArray:
    """(..., 3) lengths of axes of these ratios, of product 1."""
    b, c = np.asarray(b_a, dtype=float), np.asarray(c_a, dtype=float)
    return np.asarray(np.stack([np.ones_like(b), b, c], axis=-1) / np.cbrt(b * c)[..., None])


@dataclass(frozen=True)
class AxisRatioTable:
    """Axis ratios that change with radius: linear in ln r, constant beyond the ends.

    Parameters
    ----------
    r
        Radii [kpc], rising, two or more: of tracers, those of spheres of equal volume; of a halo's density,
        those of the places themselves.
    b_a, c_a
        Ratios of the second and third axis to the first at each of them, in (0, 1].
    """

    r: tuple[float, ...]
    b_a: tuple[float, ...]
    c_a: tuple[float, ...]

    def __post_init__(self) -> None:
        require(
            len(self.r) >= 2 and len(self.r) == len(self.b_a) == len(self.c_a),
            "r, b_a and c_a need equal lengths of two or more"
            f" (got {len(self.r)}, {len(self.b_a)} and {len(self.c_a)})",
        )
        rising = self.r[0] > 0.0 and all(np.diff(self.r) > 0.0)
        require(rising, f"r must rise from above zero (got {list(self.r)})")
        require_axis_ratios(*self.b_a, *self.c_a)

    def at(self, r: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """b/a and c/a at radii ``r`` [kpc]; each the shape of ``r``."""
        x, at = np.log(np.asarray(r, dtype=float)), np.log(self.r)
        return np.interp(x, at, self.b_a), np.interp(x, at, self.c_a)


@dataclass(frozen=True)
class Shape:
    """Shape that a population of tracers starts from.

    Parameters
    ----------
    axis_ratios
        b/a and c/a, each in (0, 1], or a table of them against radius.
    tilt
        Yaw, pitch and roll [deg] of the axes, see :func:`rotation_matrix`; without effect on a sphere.
    """

    axis_ratios: tuple[float, float] | AxisRatioTable = (1.0, 1.0)
    tilt: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not isinstance(self.axis_ratios, AxisRatioTable):
            require_axis_ratios(*self.axis_ratios)

    def lengths(self, r: ArrayLike) -> NDArray[np.float64]:
        """(N, 3) lengths of the axes, of product 1, at (N,) radii [kpc]."""
        r = np.asarray(r, dtype=float)
        if isinstance(self.axis_ratios, AxisRatioTable):
            return axis_lengths(*self.axis_ratios.at(r))
        return axis_lengths(*(np.full(r.shape, q) for q in self.axis_ratios))

    def of(self, stars: Stars) -> Stars:
        """Stars of a round population in this shape.

        Positions are stretched along the axes at constant volume, velocities by the same proportions at
        constant mean square, so that motions are largest along the longest axis, as in an equilibrium of that
        shape; then both are turned. It is a place to start from, not an equilibrium.
        """
        lengths, turn = self.lengths(stars.r), rotation_matrix(self.tilt).T
        speeds = lengths / np.sqrt(np.mean(lengths**2, axis=1, keepdims=True))
        return replace(
            stars,
            position=(stars.position * lengths) @ turn,
            velocity=(stars.velocity * speeds) @ turn,
        )
