"""Halos made by others, whose answer is known independently (described in ../shared/data)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from seeds import seeded

from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.profiles import nfw_shape, virial_radius
from haloassay.estimators import make_estimator

# mass of 100 bootstraps: the error is known to 7 per cent
SLACK = 1.3


def of_cartesian(x, v):
    columns = dict(zip(("x", "y", "z"), x.T, strict=True))
    return Catalogue.from_arrays(**columns, **dict(zip(("vx", "vy", "vz"), v.T, strict=True)))


def slope_between(r, lo, hi):
    """Most likely power-law slope of a density between two radii."""
    x = np.log(r[(r >= lo) & (r < hi)] / lo)
    top = np.log(hi / lo)

    def minus_log_likelihood(p):
        norm = top if abs(p) < 1e-8 else np.expm1(p * top) / p
        return np.log(norm) - p * x.mean()

    return minimize_scalar(minus_log_likelihood, bounds=(-8.0, 4.0), method="bounded").x - 3.0


def mass_ratios(catalogue, bins, r_s, mass):
    """Ratio to the truth, and its error, of the known-shape estimate in each bin."""
    ratios = []
    for lo, hi in pairwise(bins):
        spec = {
            "kind": "tracer-mass",
            "alpha": float(slope_between(catalogue.r, lo, hi)),
            "shape": {"r_s": r_s},
            "bins": [lo, hi],
            "subtract_mean": False,
        }
        (row,) = make_estimator(spec).estimate(catalogue, seeded(0))
        ratios.append((row.value / mass(row.r), 0.5 * (row.hi68 - row.lo68) / mass(row.r)))
    return np.array(ratios)


@pytest.mark.parametrize("name", ["10000_0", "1000_0", "1000_1", "1000_2"])
def test_gaia_challenge_cusped_halo(shared_data, name):
    table = np.loadtxt(shared_data / "gaia-challenge" / f"PlumCuspOm_df_{name}.dat")
    catalogue = of_cartesian(table[:, :3], table[:, 3:6])

    def mass(r):
        return 4.0 * np.pi * 6.4e7 * nfw_shape(r)

    # anisotropy runs from 0 to 1 over a decade: bins in which it is nearly constant
    ratios = mass_ratios(catalogue, [0.07, 0.12, 0.2, 0.35], 1.0, mass)
    assert np.all(np.abs(ratios[:, 0] - 1.0) < 4.0 * SLACK * ratios[:, 1])


def test_opdf_halo(shared_data):
    h5py = pytest.importorskip("h5py")
    with h5py.File(shared_data / "opdf" / "mockhalo.hdf5") as file:
        catalogue = of_cartesian(file["x"][:].astype(float), file["v"][:].astype(float))
    m200, c200 = 133.96e10, 16.16
    r_s = float(virial_radius(m200, 100.0)) / c200  # kpc/h and Msun/h: H is 100 h

    def mass(r):
        return m200 * nfw_shape(r / r_s) / nfw_shape(c200)

    ratios = mass_ratios(catalogue, [10.0, 20.0, 40.0, 80.0, 140.0], r_s, mass)
    print(ratios)
    assert np.all(np.abs(ratios[:, 0] - 1.0) < 4.0 * SLACK * ratios[:, 1])


def test_segue_ellipsoid_survives_unphysical_stars(shared_data):
    table = np.loadtxt(shared_data / "segue-kgiants" / "KGiant_edr3_metal_sgr_20.txt")
    catalogue = of_cartesian(table[:, :3], table[:, 3:6])
    spec = {"kind": "velocity-ellipsoid", "bins": [20, 30, 50, 150]}
    rows = make_estimator(spec).estimate(catalogue, seeded(0))
    assert all(np.isfinite(row.value) for row in rows if "kurtosis" not in row.quantity)
    # beyond 50 kpc single stars decide on tails
    assert all(np.isfinite(row.value) or "tails" in row.note for row in rows)
    sigma_r = [row.value for row in rows.of("sigma_r")]
    assert all(60.0 < value < 200.0 for value in sigma_r)
