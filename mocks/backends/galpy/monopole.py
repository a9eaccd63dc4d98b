"""Spherical averages of galpy's potentials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.cache import cached
from haloassay.base.constants import G
from haloassay.base.settings import require
from haloassay.mocks.backends.galpy.expansions import has_disc, is_expansion, pull_at
from haloassay.mocks.backends.galpy.members import SAME, VERSION, Units, fingerprint
from haloassay.mocks.gravity.mass_table import MassTable
from haloassay.mocks.gravity.potentials import HEAVIEST
from haloassay.mocks.gravity.quadrature import polar_nodes

#: Radii [kpc] and nodes a hemisphere of a first look at the mass.
_LOOK: Final = np.geomspace(0.1, 300.0, 8)
_FEW: Final = 6
#: Part of the force on one side that a mean over the sphere may be by rounding alone.
_NOTHING: Final = 1e-13


@dataclass(frozen=True)
class GalpyMass(MassTable):
    """Spherical average of potentials of galpy, some of which have discs with negative densities."""

    may_fall: ClassVar[float] = 0.15


def mass_table(members: Sequence[Any], units: Units, dark: bool) -> GalpyMass:
    """Spherical average of the members together, from the cache where it was made before.

    Raises
    ------
    InputError
        If there is no sound mass beyond 0.1 kpc: not positive, infinite, or falling.
    """
    import galpy

    def tabulate() -> dict[str, FloatArray]:
        table = GalpyMass.of(lambda r: monopole_mass(members, r), dark)
        return {"r": np.array(table.r), "mass": np.array(table.mass)}

    content = ["galpy-mass", VERSION, galpy.__version__, fingerprint(members, units)]
    arrays = cached(content, tabulate)
    return GalpyMass(tuple(arrays["r"].tolist()), tuple(arrays["mass"].tolist()), dark)


def require_mass(members: Sequence[Any]) -> None:
    """Raise :class:`InputError` where the mean mass of the members is not positive and possible, at a first look."""
    mass = monopole_mass(members, _LOOK, _FEW)
    good = np.isfinite(mass) & (mass > 0.0)
    place = f"{_LOOK[good.argmin()]:.4g} kpc"
    require(bool(good.all()), f"no positive, finite mass within {place} (a mean over the sphere)")
    require(
        bool(np.max(mass) < HEAVIEST),
        f"{np.max(mass):.3g} Msun within {_LOOK[-1]:g} kpc; settings are in galpy's internal units",
    )


def monopole_mass(potential: Any, r: FloatArray, n: int = 48) -> FloatArray:
    """Mass [Msun] within spheres of radius ``r`` [kpc]: r^2 <d Phi / d r> / G of a galpy potential.

    At ``n`` nodes of cos theta in each hemisphere (:func:`~haloassay.mocks.gravity.quadrature.polar_nodes`), and
    where the potential is not axisymmetric also at 32 equal steps of phi; of an expansion in harmonics, which is
    slow, at as many directions as it needs.
    """
    from galpy.util.conversion import get_physical

    units = get_physical(potential)
    ro, vo = units["ro"], units["vo"]
    x = np.asarray(r, dtype=float) / ro
    pull = np.zeros_like(x)
    for member in potential if isinstance(potential, Iterable) else [potential]:
        pull += _mean_pull(member, x, n)
    return np.asarray(pull * x**2 * ro * vo**2 / G, dtype=float)


def _mean_pull(member: Any, r: FloatArray, n: int) -> FloatArray:
    """Inward force at ``r`` averaged over the sphere, in galpy's internal units."""
    if not member.isNonAxi:
        return _mean_over(member, r, polar_nodes(n), 1)[0]
    if not is_expansion(member):
        return _mean_over(member, r, polar_nodes(n), 32)[0]
    # of no more harmonics than a mean over few directions shows, and slow: many directions cost minutes
    few = r[:: max(1, len(r) // 8)]
    for m in (2, 4, 8):
        mean, square = _mean_over(member, few, *_directions(member, m))
        more = _mean_over(member, few, *_directions(member, 2 * m))[0]
        if np.all(np.abs(mean - more) <= SAME * np.sqrt(square)):
            break
    else:
        m = 16
    mean, square = _mean_over(member, r, *_directions(member, m))
    return np.where(np.abs(mean) > _NOTHING * np.sqrt(square), mean, 0.0)


def _directions(member: Any, m: int) -> tuple[tuple[FloatArray, FloatArray], int]:
    """Nodes of cos theta, their weights, and a number of azimuths, for harmonics below l = 2 ``m``."""
    if has_disc(member):
        return polar_nodes(), 2 * m
    cosine, weight = np.polynomial.legendre.leggauss(m)
    return (cosine, 0.5 * weight), 2 * m


def _mean_over(
    member: Any, r: FloatArray, polar: tuple[FloatArray, FloatArray], n_azimuth: int
) -> tuple[FloatArray, FloatArray]:
    """Mean of the inward force at ``r``, and of its square, over nodes of cos theta and equal steps of phi."""
    mean, square = np.zeros_like(r), np.zeros_like(r)
    for cos, weight in zip(*polar, strict=True):
        sin = np.sqrt(1.0 - cos * cos)
        for phi in 2.0 * np.pi * np.arange(n_azimuth) / n_azimuth:
            along_R, along_z = pull_at(member, r * sin, r * cos, np.full_like(r, phi))
            pull = -(sin * along_R + cos * along_z)
            mean += weight / n_azimuth * pull
            square += weight / n_azimuth * pull**2
    return mean, square
