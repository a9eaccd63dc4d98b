"""Enclosed mass at five radii of halos made by others, by every mass estimator that applies.

Run with ``python benchmarks/mass_estimators.py ../shared/data`` (the folder is described in its own
README). The oPDF mock is an NFW halo (M = 133.96e10 Msun/h, c = 16.16; lengths in kpc/h, masses in
Msun/h, so H is 100 h). The Gaia Challenge mock is an NFW cusp (rho0 = 6.4e7 Msun/kpc^3, r_s = 1 kpc)
with tracers of a Plummer-like density and Osipkov-Merritt anisotropy. Printed: estimate over truth,
half of its 68 per cent interval, and by how many of these it is off.

What each is told: the density slope that the sample itself shows, where it takes one (a penalised
spline, or one slope where the method knows no more); beta measured.
Methods that assume a constant beta, a scale-free potential or a power-law density are run on the
Gaia Challenge too, where none of that holds: their rows show what that costs. The line of sight is that of an
observer in the Galaxy, 8 kpc from the centre, in the oPDF mock; in the Gaia Challenge, whose stars are within
1 kpc of theirs, it is that of a distant one, along which sigma_los is no sigma_r at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.profiles import nfw_shape, virial_radius
from haloassay.estimators import make_estimator
from haloassay.estimators.fit.splines import NaturalSpline, fit
from haloassay.estimators.spline_jeans import Sample

Spec = dict[str, Any]
Mass = Callable[[np.ndarray], np.ndarray]


def of_cartesian(x: np.ndarray, v: np.ndarray) -> Catalogue:
    names = ("x", "y", "z", "vx", "vy", "vz")
    return Catalogue.from_arrays(**dict(zip(names, np.hstack([x, v]).T, strict=True)))


def slope_between(r: np.ndarray, lo: float, hi: float) -> float:
    """Most likely power-law slope of the density of stars at ``r`` between two radii."""
    x = np.log(r[(r >= lo) & (r < hi)] / lo)
    top = np.log(hi / lo)

    def minus_log_likelihood(p: float) -> float:
        norm = top if abs(p) < 1e-8 else np.expm1(p * top) / p
        return float(np.log(norm) - p * x.mean())

    found = minimize_scalar(minus_log_likelihood, bounds=(-12.0, 4.0), method="bounded")
    return float(found.x - 3.0)


def slopes(r: np.ndarray, lo: float, hi: float) -> Spec:
    """Density slope at 16 equal steps of ln r, of a penalised spline; beyond them as at the last."""
    x = np.log(r[(r >= lo) & (r < hi)])
    spline = NaturalSpline(np.linspace(*np.quantile(x, [0.01, 0.99]), 8))
    nothing = np.ones((len(x), 3))
    sample = Sample(x, nothing, nothing, spline, (np.log(lo), np.log(hi)))
    likelihood, start = sample.likelihoods(density=True)[2]
    coefficients = fit(likelihood, spline, start, None).coefficients
    edges = np.linspace(np.log(lo), np.log(hi), 17)
    middle = 0.5 * (edges[1:] + edges[:-1])
    found = spline.design(middle, 1)[:, 1:] @ coefficients
    return {
        "slopes": found.tolist(),
        "breaks": np.exp(edges[1:-1]).tolist(),
        "width": 0.4 * float(edges[1] - edges[0]),
    }


def specifications(
    stars: Catalogue, radii: list[float], edges: list[float]
) -> Iterator[tuple[str, Spec]]:
    """Names and settings of the estimators, for masses at ``radii`` or in bins about them."""
    lo, hi = edges[0], edges[-1]
    profile, whole = slopes(stars.r, lo, hi), slope_between(stars.r, lo, hi)
    yield (
        "jeans-3d",
        {"kind": "jeans-3d", "bins": edges, "alpha": profile, "errors": "sandwich", "nfw": "none"},
    )
    yield "tracer-mass, scale-free", {"kind": "tracer-mass", "bins": edges, "alpha": profile}
    yield (
        "tracer-mass, r and v",
        {"kind": "tracer-mass", "bins": edges, "alpha": profile, "data": "r-v"},
    )
    yield (
        "spline-jeans, measured density",
        {"kind": "spline-jeans", "alpha": "measured", "r": radii, "r_range": [lo, hi]},
    )
    yield (
        "spline-jeans, slopes given",
        {"kind": "spline-jeans", "alpha": profile, "r": radii, "r_range": [lo, hi]},
    )
    yield (
        "power-law-df",
        {"kind": "power-law-df", "alpha": whole, "r_out": radii, "r_range": [lo, hi]},
    )
    for k, (a, b) in enumerate(pairwise(edges)):
        narrow = {"alpha": slope_between(stars.r, a, b), "r_out": [radii[k]], "r_range": [a, b]}
        yield f"power-law-df, {a:g} to {b:g}", {"kind": "power-law-df", **narrow}
    scales = [radii[0] / 10.0, 30.0 * radii[-1]]
    nfw = {
        "kind": "nfw-tracer",
        "alpha": profile,
        "r_out": radii,
        "r_range": [lo, hi],
        "r_s_range": scales,
    }
    yield "nfw-tracer", nfw
    yield "nfw-tracer, likelihood", {**nfw, "normalisation": "likelihood"}
    yield from along_the_line_of_sight(stars, profile, radii, edges)


def along_the_line_of_sight(
    stars: Catalogue, profile: Spec, radii: list[float], edges: list[float]
) -> Iterator[tuple[str, Spec]]:
    """Both methods of Zhai et al. (2018), with the anisotropy that the stars have."""
    sigma = stars.spherical_velocity.std(axis=0)
    beta = 1.0 - 0.5 * float(sigma[1] ** 2 + sigma[2] ** 2) / float(sigma[0] ** 2)
    scale = {"m200_range": [1e5, 1e14], "c200_range": [0.1, 300.0], "h0": 100.0}
    halo = {**scale, "prior": "log", "baryons": {"disc_mass": 0.0, "bulge_mass": 0.0}}
    common = {"bins": edges, "alpha": profile, "r_out": radii, "halo": halo}
    yield "los-jeans, isotropic", {"kind": "los-jeans", **common}
    yield f"los-jeans, beta {beta:.2f}", {"kind": "los-jeans", "beta": beta, **common}
    yield (
        f"los-jeans-derivative, beta {beta:.2f}",
        {"kind": "los-jeans-derivative", "beta": beta, **common},
    )


def table(name: str, stars: Catalogue, mass: Mass, radii: list[float], edges: list[float]) -> None:
    """Print one halo's rows."""
    print(f"\n{name}: {len(stars)} stars; M(<r) over the truth, +- half the 68 per cent interval")
    for label, spec in specifications(stars, radii, edges):
        rows = make_estimator(spec).estimate(stars, np.random.default_rng(1)).of("enclosed_mass")
        cells = []
        for row in rows:
            if row.note:
                cells.append(f"r = {row.r:7.3g}: {row.note}")
                continue
            truth = float(mass(np.array(row.r)))
            error = 0.5 * (row.hi68 - row.lo68) / truth
            ratio = row.value / truth
            cells.append(
                f"r {row.r:7.3g}: {ratio:5.3f} +- {error:5.3f} ({(ratio - 1) / error:+4.1f})"
            )
        print(f"{label:>32}  " + "  ".join(cells), flush=True)


def opdf(folder: Path) -> None:
    import h5py

    with h5py.File(folder / "opdf" / "mockhalo.hdf5") as file:
        stars = of_cartesian(file["x"][:].astype(float), file["v"][:].astype(float))
    m200, c200 = 133.96e10, 16.16
    r_s = float(virial_radius(m200, 100.0)) / c200

    def mass(r: np.ndarray) -> np.ndarray:
        return m200 * nfw_shape(r / r_s) / nfw_shape(c200)

    edges = [8.0, 14.0, 24.0, 42.0, 75.0, 140.0]
    radii = [10.0, 18.0, 32.0, 56.0, 100.0]
    table("oPDF mock halo", stars, mass, radii, edges)
    table(
        "oPDF mock halo, every 10th", stars.select(np.arange(0, len(stars), 10)), mass, radii, edges
    )


def gaia_challenge(folder: Path) -> None:
    def mass(r: np.ndarray) -> np.ndarray:
        return 4.0 * np.pi * 6.4e7 * nfw_shape(r)

    edges = [0.03, 0.06, 0.1, 0.16, 0.25, 0.45]
    radii = [0.045, 0.08, 0.13, 0.2, 0.33]
    for name in ("10000_0", "1000_0"):
        data = np.loadtxt(folder / "gaia-challenge" / f"PlumCuspOm_df_{name}.dat")
        stars = of_cartesian(data[:, :3], data[:, 3:6])
        table(f"Gaia Challenge PlumCuspOm {name}", stars, mass, radii, edges)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    opdf(folder)
    gaia_challenge(folder)


if __name__ == "__main__":
    main()
