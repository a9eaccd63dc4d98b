"""Any of galpy's named potentials as its spherical average, tabulated once."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haloassay.constants import G
from haloassay.errors import InputError
from haloassay.settings import unknown

FloatArray = NDArray[np.float64]

#: Range of the table [kpc]: below it M ~ a power of r, above it the mass is taken as complete.
R_MIN: Final = 1e-6
R_MAX: Final = 1e7
POINTS_PER_DECADE: Final = 40

#: Scale of |cos theta| above which the nodes of the average over the sphere spread out: a disc as
#: thin as a thousandth of the radius is resolved.
THIN: Final = 1e-3


@dataclass(frozen=True)
class GalpyMonopole:
    """Spherical average of a potential that galpy knows by name.

    The enclosed mass is r^2 <d Phi / d r> / G, averaged over the sphere. The potential is its
    integral from infinity, with the mass complete at 1e7 kpc: models of infinite mass get a finite
    zero point.
    Interpolation is good to 1e-7 where the mass is smooth, to 1e-3 at a kink that a model has.

    galpy's lists do not say which member is dark, so none of the mass counts for the virial mass of
    a dark halo: ``m200`` is undefined. Compose ``nfw`` with baryons where it is wanted.

    Parameters
    ----------
    name
        A potential in ``galpy.potential`` or ``galpy.potential.mwpotentials``, e.g.
        ``"McMillan17"``, ``"MWPotential2014"``, ``"Cautun20"``. Units are its own ``ro``, ``vo``.
    """

    name: str

    dark: ClassVar[bool] = False

    def __post_init__(self) -> None:
        named_potential(self.name)

    def enclosed_mass(self, r: ArrayLike) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc], spherically averaged."""
        return np.exp(_evaluate(_table(self.name).log_mass, r))

    def potential(self, r: ArrayLike) -> FloatArray:
        """Potential [(km/s)^2] at ``r`` [kpc], spherically averaged."""
        table = _table(self.name)
        outside = np.asarray(r, dtype=float) / R_MAX
        return _evaluate(table.potential, r) / np.maximum(outside, 1.0)


class _Table(NamedTuple):
    """Splines in ln r of ln M and of the potential, whose derivative is G M / r."""

    log_mass: Any
    potential: Any


def _evaluate(spline: Any, r: ArrayLike) -> FloatArray:
    x = np.log(np.asarray(r, dtype=float))
    return np.asarray(spline(np.minimum(x, np.log(R_MAX))), dtype=float)


@functools.cache
def named_potential(name: str) -> Any:
    """Potential of that name; InputError with the names there are."""
    import galpy.potential
    from galpy.potential import mwpotentials

    for module in (galpy.potential, mwpotentials):
        found = getattr(module, name, None)
        if _is_potential(found):
            return found
    names = {n for n in dir(galpy.potential) if _is_potential(getattr(galpy.potential, n))}
    raise unknown("galpy potential", name, names | set(dir(mwpotentials)), "name")


def _is_potential(candidate: Any) -> bool:
    from galpy.potential import Potential

    members = candidate if isinstance(candidate, list) else [candidate]
    return bool(members) and all(isinstance(member, Potential) for member in members)


@functools.lru_cache(maxsize=16)
def _table(name: str) -> _Table:
    """Tabulate the monopole of a potential."""
    from scipy.interpolate import CubicHermiteSpline, CubicSpline

    n = round(np.log10(R_MAX / R_MIN) * POINTS_PER_DECADE) + 1
    x = np.linspace(np.log(R_MIN), np.log(R_MAX), n)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # galpy's expansions warn of their own far limits
        mass = monopole_mass(named_potential(name), np.exp(x))
    if not np.all(mass > 0.0):
        bad = np.exp(x[~(mass > 0.0)][0])
        raise InputError(f"galpy potential {name!r} has no positive mass within {bad:g} kpc")
    log_mass = CubicSpline(x, np.log(mass))
    nodes, weights = np.polynomial.legendre.leggauss(6)
    fine = np.linspace(x[0], x[-1], 4 * n)
    step = fine[1] - fine[0]
    inside = fine[:-1, None] + 0.5 * step * (nodes + 1.0)
    gain = 0.5 * step * (G * np.exp(log_mass(inside) - inside)) @ weights
    edge = -G * mass[-1] / R_MAX
    values = edge - np.concatenate([np.cumsum(gain[::-1])[::-1], [0.0]])
    rise = G * np.exp(log_mass(fine) - fine)
    return _Table(log_mass, CubicHermiteSpline(fine, values, rise))


def monopole_mass(potential: Any, r: FloatArray) -> FloatArray:
    """Mass [Msun] within spheres of radius ``r`` [kpc]: r^2 <d Phi / d r> / G of a galpy potential.

    Gauss-Legendre over u, cos theta = +-THIN sinh u, and where the potential is not axisymmetric
    also 32 equal steps of phi. Basis-function expansions, which are slow, enter by their spherical
    terms alone.
    """
    from galpy.util.conversion import get_physical

    units = get_physical(potential)
    ro, vo = units["ro"], units["vo"]
    x = np.asarray(r, dtype=float) / ro
    pull = np.zeros_like(x)
    for member in potential if isinstance(potential, Iterable) else [potential]:
        for part, factor in _monopole_parts(member):
            pull += factor * _mean_pull(part, x)
    return np.asarray(pull * x**2 * ro * vo**2 / G, dtype=float)


def _mean_pull(member: Any, r: FloatArray) -> FloatArray:
    """Inward force at ``r`` averaged over the sphere, in galpy's internal units."""
    cosine, weight = polar_nodes()
    if _is_round(member):
        cosine, weight = np.zeros(1), np.ones(1)
    azimuths = 2.0 * np.pi * np.arange(32) / 32 if member.isNonAxi else np.zeros(1)
    total = np.zeros_like(r)
    for cos, w in zip(cosine, weight, strict=True):
        sin = np.sqrt(1.0 - cos * cos)
        for phi in azimuths:
            where = {"R": r * sin, "z": r * cos, "phi": phi, "use_physical": False}
            outward = sin * member.Rforce(**where) + cos * member.zforce(**where)
            total -= w / len(azimuths) * outward
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
