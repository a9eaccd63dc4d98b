"""Spherical averages of galpy's potentials."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from haloassay.base.cache import cached
from haloassay.base.constants import G
from haloassay.base.settings import require
from haloassay.mocks.gravity.galpy_members import Units, at_places, fingerprint
from haloassay.mocks.gravity.mass_table import MassTable

FloatArray = NDArray[np.float64]

#: Scale of |cos theta| above which the nodes of the average over the sphere spread out: a disc as
#: thin as a thousandth of the radius is resolved.
THIN: Final = 1e-3

#: Radii [kpc] and nodes a hemisphere of a first look at the mass.
_LOOK: Final = np.geomspace(0.1, 300.0, 8)
_FEW: Final = 6

#: Raised when the same table comes out differently, so that old ones on disk are not used.
_TABLE_VERSION = 1


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

    content = ["galpy-mass", _TABLE_VERSION, galpy.__version__, fingerprint(members, units)]
    arrays = cached(content, tabulate)
    return GalpyMass(tuple(arrays["r"].tolist()), tuple(arrays["mass"].tolist()), dark)


def require_mass(members: Sequence[Any]) -> None:
    """Raise :class:`InputError` where the mean mass of the members is not positive and finite, at a first look."""
    mass = monopole_mass(members, _LOOK, _FEW)
    good = np.isfinite(mass) & (mass > 0.0)
    place = f"{_LOOK[good.argmin()]:.4g} kpc"
    require(bool(good.all()), f"no positive, finite mass within {place} (a mean over the sphere)")


def monopole_mass(potential: Any, r: FloatArray, n: int = 48) -> FloatArray:
    """Mass [Msun] within spheres of radius ``r`` [kpc]: r^2 <d Phi / d r> / G of a galpy potential.

    Gauss-Legendre with ``n`` nodes over u, cos theta = +-THIN sinh u, and where the potential is not
    axisymmetric also 32 equal steps of phi. Basis-function expansions, which are slow, enter by their spherical
    terms alone.
    """
    from galpy.util.conversion import get_physical

    units = get_physical(potential)
    ro, vo = units["ro"], units["vo"]
    x = np.asarray(r, dtype=float) / ro
    pull = np.zeros_like(x)
    for member in potential if isinstance(potential, Iterable) else [potential]:
        for part, factor in _monopole_parts(member):
            pull += factor * _mean_pull(part, x, n)
    return np.asarray(pull * x**2 * ro * vo**2 / G, dtype=float)


def _mean_pull(member: Any, r: FloatArray, n: int) -> FloatArray:
    """Inward force at ``r`` averaged over the sphere, in galpy's internal units."""
    cosine, weight = polar_nodes(n)
    if _is_round(member):
        cosine, weight = np.zeros(1), np.ones(1)
    azimuths = 2.0 * np.pi * np.arange(32) / 32 if member.isNonAxi else np.zeros(1)
    total = np.zeros_like(r)
    for cos, w in zip(cosine, weight, strict=True):
        sin = np.sqrt(1.0 - cos * cos)
        for phi in azimuths:
            where = (r * sin, r * cos, np.full_like(r, phi))
            along_R, along_z = (at_places(f, *where) for f in (member.Rforce, member.zforce))
            total -= w / len(azimuths) * (sin * along_R + cos * along_z)
    return total


class _Nothing:
    """Stands in for the expansion of a disc whose expansion is averaged apart."""

    def Rforce(self, *_: Any, **__: Any) -> float:  # noqa: N802
        """No force."""
        return 0.0

    zforce = Rforce


def _is_round(member: Any) -> bool:
    """Whether it is an expansion that has been cut to its spherical terms."""
    return getattr(member, "_Acos", np.empty((0, 0, 0))).shape[1:] == (1, 1)


def _monopole_parts(member: Any) -> list[tuple[Any, float]]:
    """Parts, and factors on them, that have the monopole of a galpy potential and are fast.

    Only the l = 0 terms of an expansion in spherical harmonics have a monopole. A
    ``DiskSCFPotential`` is an analytic disc plus such an expansion.
    """
    from galpy.potential import DiskSCFPotential, SCFPotential

    if isinstance(member, DiskSCFPotential):
        disc = copy.copy(member)
        expansion, disc._me = disc._me, _Nothing()
        return [(disc, 1.0), (_spherical_terms(expansion), member._amp)]
    if isinstance(member, SCFPotential):
        return [(_spherical_terms(member), 1.0)]
    return [(member, 1.0)]


def _spherical_terms(expansion: Any) -> Any:
    """Copy of an SCF expansion with its l = 0 terms alone."""
    cut = copy.copy(expansion)
    cut._Acos, cut._Asin = (a[:, :1, :1] for a in (expansion._Acos, expansion._Asin))
    cut.isNonAxi = False
    cut._force_hash = None
    return cut


def polar_nodes(n: int = 48) -> tuple[FloatArray, FloatArray]:
    """Nodes of cos theta over both hemispheres and weights that sum to 1."""
    x, w = np.polynomial.legendre.leggauss(n)
    u_max = np.arcsinh(1.0 / THIN)
    u = 0.5 * u_max * (x + 1.0)
    cosine, weight = THIN * np.sinh(u), 0.25 * u_max * w * THIN * np.cosh(u)
    return np.concatenate([-cosine, cosine]), np.concatenate([weight, weight])
