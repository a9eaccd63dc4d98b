"""Tables of second moments by JamPy (Cappellari 2008, 2020): the published code, on sums of Gaussians.

For a held anisotropy and axis ratio moments are linear in the potential: JamPy is asked for those of unit masses in
Gaussians of fixed widths, and any halo is a sum of them.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.cache import cached
from haloassay.base.errors import InputError
from haloassay.estimators.fit.chebyshev import Nodes
from haloassay.estimators.fit.gaussians import Gaussians, expanded, expanded_field, widths
from haloassay.estimators.halo.axisymmetric_moments import Alignment, JeansSetting, MomentTables
from haloassay.estimators.halo.baryons import Baryons
from haloassay.estimators.halo.flattened import Halo, baryons_field

#: How to get it.
HOW_TO_INSTALL: Final = "pip install 'haloassay[jam]'"
#: Releases whose solver this is: later ones have no cylindrical alignment, and ask for Python 3.12.
_RELEASE: Final = "8"
#: Raised when the tables of before are of other numbers.
_VERSION: Final = 1
#: Its constant of gravity, in units in which lengths and masses are 1.
_JAM_G: Final = 0.004301

#: Ratios of the widths of Gaussians: of tracers, whose density divides all moments, and of halos.
_TRACER_RATIO: Final = 1.5
_HALO_RATIO: Final = 1.8
#: Radii in units of the innermost and outermost star between which tracers and halos are sums of Gaussians.
_TRACER_REACH: Final = (0.8, 6.0)
_HALO_REACH: Final = (0.2, 3.0)
#: Shares by which sums of Gaussians may be off.
_DENSITY_TOLERANCE: Final = 0.01
_FIELD_TOLERANCE: Final = 0.015
#: Width in units of its reach of what the centre holds beyond the Gaussians.
_CENTRAL: Final = 0.1
#: Axis ratios of Gaussians of a disc.
_DISC_RATIOS: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 1.0)

#: Nodes in ln r: a few, and more for each unit of it; and in abs(cos(theta)).
_NODES_R: Final = (6, 2.0)
_NODES_X: Final = 6


def require_library() -> None:
    """Raise :class:`InputError` unless JamPy is there, in a release that has both alignments."""
    if importlib.util.find_spec("jampy") is None:
        raise InputError(f"solver: 'jampy' needs jampy, which is not installed: {HOW_TO_INSTALL}")
    try:
        version = importlib.metadata.version("jampy")
    except importlib.metadata.PackageNotFoundError:
        version = "one of unknown version"
    if version.split(".")[0] != _RELEASE:
        raise InputError(
            f"solver: 'jampy' needs jampy {_RELEASE}, and {version} is installed: {HOW_TO_INSTALL}"
        )


def moments(
    tracers: Gaussians,
    potential: Gaussians,
    R: FloatArray,
    z: FloatArray,
    beta: float,
    alignment: Alignment,
) -> FloatArray:
    """Second moments over G (3, n) [Msun/kpc] along the axes of the ellipsoid and phi.

    Parameters
    ----------
    tracers
        Their number density, of any normalisation.
    potential
        Masses [Msun].
    R, z
        (n,) places [kpc].
    beta
        1 - <v_theta^2> / <v_r^2>, or 1 - <v_z^2> / <v_R^2>.
    alignment
        Of the velocity ellipsoid.
    """
    jam = importlib.import_module("jampy")
    scale = float(np.sum(np.abs(potential.mass)))
    found = jam.axi.intr(
        tracers.peak, tracers.sigma, tracers.q,
        potential.peak / scale, potential.sigma, potential.q,
        0.0, R, z,
        align="sph" if alignment == "spherical" else "cyl",
        beta=np.full(len(tracers.sigma), beta), ml=1.0, plot=False, quiet=True, interp=False,
    )  # fmt: skip
    return np.asarray(found.model[[0, 1, 3]]) * (scale / _JAM_G)


def tracer_gaussians(setting: JeansSetting) -> Gaussians:
    """Gaussians of the tracers' density.

    Raises
    ------
    EstimationError
        If none sum to it to one per cent.
    """
    lo, hi = (f * r for f, r in zip(_TRACER_REACH, setting.r_range, strict=True))
    lo, hi = lo * min(1.0 / setting.q_stars, 1.0), hi * max(1.0, 1.0 / setting.q_stars)
    sigma = widths(lo, hi, _TRACER_RATIO)
    top = float(setting.alpha.log_density(lo))
    peak = expanded(
        lambda r: setting.alpha.log_density(r) - top,
        lo,
        hi,
        sigma,
        _DENSITY_TOLERANCE,
        "alpha: the density",
    )
    q = np.full(len(sigma), setting.q_stars)
    return Gaussians((2.0 * np.pi) ** 1.5 * q * sigma**3 * peak, sigma, q).kept()


def halo_gaussians(setting: JeansSetting, shape: float) -> Gaussians:
    """Round Gaussians of a halo that holds 1 Msun within the pivot; the first takes what the centre holds beyond.

    Raises
    ------
    EstimationError
        If none sum to it to one per cent.
    """
    from scipy.special import gammainc

    halo = Halo(setting.halo)
    norm = 1.0 / float(halo.round_mass(setting.pivot, shape))
    lo, hi = (f * r for f, r in zip(_HALO_REACH, setting.r_range, strict=True))
    sigma = widths(lo, hi, _HALO_RATIO)
    peak = expanded(
        lambda s: np.log(norm * halo.density(s, shape)),
        lo,
        hi,
        sigma,
        _DENSITY_TOLERANCE,
        "halo: its density",
    )
    mass = (2.0 * np.pi) ** 1.5 * sigma**3 * peak
    inside = float(mass @ gammainc(1.5, 0.5 * (lo / sigma) ** 2))
    rest = norm * float(halo.round_mass(lo, shape)) - inside
    every = np.concatenate([[_CENTRAL * lo], sigma])
    return Gaussians(np.concatenate([[rest], mass]), every, np.ones(len(every)))


def known_gaussians(baryons: Baryons, r_range: tuple[float, float]) -> Gaussians:
    """Gaussians [Msun] whose field is that of the baryons.

    Raises
    ------
    EstimationError
        If there are none.
    """
    lo, hi = _HALO_REACH[0] * r_range[0], _HALO_REACH[1] * r_range[1]
    r = np.geomspace(0.8 * r_range[0], hi, 24)
    # closer to the plane the height of the disc counts
    cosine = np.concatenate([[0.0], np.linspace(0.1, 1.0, 14)])
    R = (r[:, None] * np.sqrt(1.0 - cosine**2)).ravel()
    z = (r[:, None] * cosine).ravel()
    along, across = baryons_field(baryons, R, z)
    ratios = np.array(_DISC_RATIOS if baryons == "mwpotential2014" else (1.0,))
    scale = np.geomspace(min(lo, 1.0), hi, 12)
    sigma, q = (each.ravel() for each in np.meshgrid(scale, ratios))
    wanted = np.array([along, z * across])
    return expanded_field(R, z, wanted, sigma, q, _FIELD_TOLERANCE, "the baryons")


def jam_tables(setting: JeansSetting) -> MomentTables:
    """Tables by JamPy, from the cache where they were made before: else they take seconds to some minutes.

    Raises
    ------
    EstimationError
        If the tracers' density, a halo's, or the baryons' field is no sum of Gaussians.
    """
    lo, hi = np.log(setting.r_range)
    few, more = _NODES_R
    radii = Nodes(float(lo), float(hi), few + int(np.ceil(more * (hi - lo))))
    angles = Nodes(0.0, 1.0, _NODES_X)
    tracers = tracer_gaussians(setting)
    halos = [halo_gaussians(setting, float(shape)) for shape in setting.nodes_shape.x]
    content = {
        "jam": [_VERSION, importlib.metadata.version("jampy"), radii.n, angles.n],
        "alpha": [*setting.alpha.slopes, *setting.alpha.breaks, setting.alpha.width],
        "q_stars": setting.q_stars,
        "alignment": setting.alignment,
        "nodes": [setting.betas.tolist(), setting.nodes_q.x.tolist()],
        "r_range": list(setting.r_range),
        "baryons": setting.baryons,
    }

    def made() -> dict[str, FloatArray]:
        r, x = (a.ravel() for a in np.meshgrid(np.exp(radii.x), angles.x, indexing="ij"))
        places = r * np.sqrt(1.0 - x**2), r * x

        def asked(potential: Gaussians, beta: float) -> FloatArray:
            found = moments(tracers, potential, *places, beta, setting.alignment)
            return found.reshape(3, radii.n, angles.n)

        units = [Gaussians(np.ones(1), np.array([s]), np.ones(1)) for s in halos[0].sigma]
        qs = np.exp(setting.nodes_q.x)
        of_halo = [
            [[asked(unit.flattened(float(q)), float(b)) for unit in units] for q in qs]
            for b in setting.betas
        ]
        if setting.baryons == "none":
            return {"halo": np.array(of_halo)}
        known = known_gaussians(setting.baryons, setting.r_range)
        of_known = [asked(known, float(b)) for b in setting.betas]
        return {"halo": np.array(of_halo), "baryons": np.array(of_known)}

    tables = cached(content, made)
    masses = np.array([halo.mass for halo in halos])
    of_halo = np.einsum("sk,bqkcrx->bcrxsq", masses, tables["halo"])[:, None]
    baryons = tables["baryons"][:, None] if "baryons" in tables else np.zeros(of_halo.shape[:-2])
    return MomentTables(setting, [radii], angles, of_halo, baryons)
