"""Parameters of galpy's potentials, worked out from what they give: galpy does not tell all of them.

In galpy's internal units, to rounding.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from haloassay.base.arrays import FloatArray

#: Radius, in any unit, from which a body looks like a point.
_FAR: Final = 1e8
#: Off-diagonal terms of a quadratic form that are none.
_ROUNDING: Final = 1e-12


def depth_at(member: Any, R: float, z: float = 0.0) -> float:
    """Potential at one place, with the sign changed."""
    return -float(member(R, z, phi=0.0, use_physical=False))


def density_at(member: Any, position: FloatArray) -> float:
    """Density at one place (3,)."""
    x, y, z = (float(value) for value in position)
    return float(member.dens(np.hypot(x, y), z, phi=np.arctan2(y, x), use_physical=False))


def plummer(member: Any) -> tuple[float, float]:
    """G M and b of Phi = -G M / sqrt(r^2 + b^2)."""
    depth, density = depth_at(member, 0.0), density_at(member, np.zeros(3))
    b = float(np.sqrt(0.75 / np.pi * depth / density))
    return depth * b, b


def miyamoto_nagai(member: Any) -> tuple[float, float, float]:
    """G M, a and b of Phi = -G M / sqrt(R^2 + (a + sqrt(z^2 + b^2))^2)."""
    middle, far = depth_at(member, 0.0), depth_at(member, _FAR)
    amp = _FAR / float(np.sqrt(far**-2 - middle**-2))
    both = amp / middle
    # at a height h, a + sqrt(h^2 + b^2) is larger than a + b by what tells the two apart
    more = amp / depth_at(member, 0.0, both) - both
    b = max(0.0, 0.5 * (both**2 - more**2) / more)
    return amp, both - b, b


def triaxial_nfw(member: Any) -> tuple[float, FloatArray, FloatArray]:
    """Density scale rho0, axis ratios (3,) and axes (3, 3; columns) of rho = rho0 / [(m / a) (1 + m / a)^2].

    m^2 is the sum of the squares of the coordinates along the axes, each over its ratio: the axis whose ratio is 1
    has the scale ``a``. The longest axis comes first; where the axes are Galactic ones, and x is the longest, they are
    in the order x, y, z. No density tells the sign of an axis: x' points to positive x, z' to the north.
    """
    form = np.diag([_stretch(member, axis) ** 2 for axis in np.eye(3)])
    for i, j in ((0, 1), (0, 2), (1, 2)):
        form[i, j] = form[j, i] = _mixed(member, np.eye(3)[i], np.eye(3)[j])
    scale, u = float(member.a), float(np.sqrt(form[0, 0]))
    rho0 = density_at(member, np.array([scale, 0.0, 0.0])) * u * (1.0 + u) ** 2
    ratios = np.diag(form) ** -0.5
    upright = np.all(np.abs(form - np.diag(np.diag(form))) <= _ROUNDING)
    if upright and ratios[0] >= (1.0 - _ROUNDING) * ratios.max():
        return rho0, ratios, np.eye(3)
    squares, axes = np.linalg.eigh(form)
    for k in (0, 2):
        axes[:, k] *= np.copysign(1.0, axes[k, k])
    axes[:, 1] *= np.linalg.det(axes)
    return rho0, squares**-0.5, axes


def long_axis_angle(member: Any, one: FloatArray, other: FloatArray) -> float:
    """Angle of the longest axis of a triaxial NFW halo in the plane of two directions, from one to the other."""
    difference = _stretch(member, other) ** 2 - _stretch(member, one) ** 2
    return 0.5 * float(np.arctan2(-2.0 * _mixed(member, one, other), difference))


def _stretch(member: Any, direction: FloatArray) -> float:
    """M / r in a direction (3,), from the densities at ``a`` and twice that radius."""
    near, far = (density_at(member, k * float(member.a) * direction) for k in (1.0, 2.0))
    root = float(np.sqrt(0.5 * near / far))
    return (root - 1.0) / (2.0 - root)


def _mixed(member: Any, one: FloatArray, other: FloatArray) -> float:
    """Term of two directions at right angles in the quadratic form m^2 / r^2."""
    between = _stretch(member, np.sqrt(0.5) * (one + other)) ** 2
    return between - 0.5 * (_stretch(member, one) ** 2 + _stretch(member, other) ** 2)
