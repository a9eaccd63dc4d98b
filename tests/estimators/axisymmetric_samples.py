"""Flattened tracers in a flattened halo, Gaussian with the moments of the axisymmetric Jeans equations."""

from __future__ import annotations

import functools

import numpy as np
from halo_samples import power_law_radii
from scipy.interpolate import RectBivariateSpline

from haloassay.base.constants import G
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import spherical_basis
from haloassay.contracts.profiles import virial_radius
from haloassay.estimators.bins import DensitySlope
from haloassay.estimators.halo.axisymmetric_moments import JeansSetting
from haloassay.estimators.halo.flattened import Halo

M200, C200, H0 = 1e12, 12.0, 67.8
R200 = float(virial_radius(M200, H0))
R_S = R200 / C200
ALPHA, Q_STARS, Q_HALO, BETA = -3.5, 0.8, 0.75, 0.3
EDGES = (5.0, 60.0)
NFW = Halo("nfw")
NORM = M200 / float(NFW.sphere_mass(R200, np.log(R_S), Q_HALO))


def mass(r):
    """Mass [Msun] of the halo within the sphere of radius r [kpc]."""
    return NORM * NFW.sphere_mass(r, np.log(R_S), Q_HALO)


@functools.cache
def moments(alignment, q_stars=Q_STARS, baryons="none", kappa=0.0):
    """Splines in ln r and abs(cos theta) of the three second moments [(km/s)^2]."""
    one = (BETA, BETA + 1e-6), (Q_HALO, Q_HALO), "nfw", (np.log(R_S), np.log(R_S) + 1e-6)
    setting = JeansSetting(
        DensitySlope((ALPHA,)), q_stars, alignment, *one, baryons, EDGES, (kappa, kappa)
    )
    tables = setting.tables()
    r, x = np.geomspace(*EDGES, 40), np.linspace(0.0, 1.0, 24)
    places = [
        tables.places(np.array([a]), np.array([b]), np.ones(1)) for a in r for b in x
    ]  # fmt: skip
    halo, known = tables.means(places)
    dark = NORM * float(NFW.round_mass(setting.pivot, np.log(R_S)))
    found = (dark * halo[0, 0, 0] + known[0]).reshape(len(r), len(x), 3)
    return [RectBivariateSpline(np.log(r), x, found[..., k]) for k in range(3)]


def places(n, rng, q_stars=Q_STARS):
    """Radii [kpc] and cosines of polar angles: of a power law of m, separable in them."""
    r = power_law_radii(n, ALPHA, *EDGES, rng)
    x = np.linspace(0.0, 1.0, 2001)
    weight = (1.0 - x**2 + (x / q_stars) ** 2) ** (0.5 * ALPHA)
    share = np.concatenate([[0.0], np.cumsum(0.5 * (weight[1:] + weight[:-1]))])
    cosine = np.interp(rng.random(n) * share[-1], share, x)
    return r, cosine * rng.choice([-1.0, 1.0], n)


def stars(n, rng, alignment="spherical", error=0.0, baryons="none", kappa=0.0):
    """Catalogue of stars, with velocity errors [km/s] where they are asked for."""
    r, cosine = places(n, rng)
    splines = moments(alignment, baryons=baryons, kappa=kappa)
    square = [spline(np.log(r), np.abs(cosine), grid=False) for spline in splines]
    # in a disc's plane the model has none of v_phi
    v = rng.standard_normal((n, 3)) * np.sqrt(np.maximum(np.stack(square, axis=1), 0.0))
    sine, angle = np.sqrt(1.0 - cosine**2), rng.uniform(0.0, 2.0 * np.pi, n)
    position = r[:, None] * np.stack([sine * np.cos(angle), sine * np.sin(angle), cosine], axis=1)
    if alignment == "cylindrical":
        v[:, 0], v[:, 1] = sine * v[:, 0] + cosine * v[:, 1], -cosine * v[:, 0] + sine * v[:, 1]
    velocity = np.einsum("nk,nki->ni", v, spherical_basis(position))
    velocity += error * rng.standard_normal((n, 3))
    names = ("x", "y", "z", "vx", "vy", "vz")
    columns = dict(zip(names, np.hstack([position, velocity]).T, strict=True))
    errors = {f"{name}_err": np.full(n, error) for name in names[3:]} if error else {}
    return Catalogue.from_arrays(**columns, **errors)


def true_beta(catalogue, alignment):
    """Anisotropy of the moments at the places of stars."""
    r, cosine = catalogue.r, catalogue.position[:, 2] / catalogue.r
    first, second, phi = (s(np.log(r), np.abs(cosine), grid=False) for s in moments(alignment))
    radial = first
    if alignment == "cylindrical":
        radial = (1.0 - cosine**2) * first + cosine**2 * second
    return 1.0 - np.mean(first + second + phi - radial) / (2.0 * np.mean(radial))


def truth(row):
    """Truth of a row."""
    known = {"m200": M200, "r200": R200, "c200": C200, "q_halo": Q_HALO}
    if row.quantity == "enclosed_mass":
        return float(mass(row.r))
    if row.quantity == "v_c":
        return float(np.sqrt(G * mass(row.r) / row.r))
    return known.get(row.quantity, np.nan)
