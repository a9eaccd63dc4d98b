from __future__ import annotations

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import spherical_basis
from haloassay.estimators.gaussian_single import Sample

#: Li et al. (2026), Table 2, whole sample: v_r, v_theta, v_phi, [Fe/H], four dispersions, twice; p_mr.
LI2026 = np.array(
    [
        *(0.9, 3.6, -7.1, -1.146, 131.4, 35.0, 30.8, 0.167),
        *(-2.3, 4.4, -22.8, -1.578, 131.3, 92.2, 103.2, 0.429),
        0.542,
    ]
)

#: Three populations: those two, and the stars of a stream between them in [Fe/H], with a fifth of the stars.
THREE = np.array([LI2026[:8], [-60.0, 70.0, 25.0, -1.35, 40.0, 30.0, 25.0, 0.15], LI2026[8:16]])
THREE_SHARES = np.array([0.4, 0.2, 0.4])


def stars_of(
    point: FloatArray,
    n: int,
    rng: np.random.Generator,
    kms: float = 25.0,
    factors: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Sample:
    """Stars of one (8,) or two (17,) components, with errors about kms times factors, 0.004 kms dex."""
    if len(point) == 8:
        point = np.array([*point, *point, 0.5])
    rich = rng.random(n) < point[16]
    mean = np.where(rich, point[:4, None], point[8:12, None])
    sigma = np.where(rich, point[4:8, None], point[12:16, None])
    size = rng.uniform(0.3, 1.7, (2, n))
    error = np.vstack([kms * np.outer(factors, size[0]), 0.004 * kms * size[1]])
    return Sample(mean + np.hypot(sigma, error) * rng.standard_normal((4, n)), error**2)


def stars_of_three(n: int, rng: np.random.Generator, kms: float = 25.0) -> Sample:
    """Stars of three components, with errors about kms, 0.004 kms dex."""
    which = rng.choice(3, n, p=THREE_SHARES)
    size = rng.uniform(0.3, 1.7, (2, n))
    error = np.vstack([np.outer(np.full(3, kms), size[0]), 0.004 * kms * size[1]])
    mean, sigma = THREE[which, :4].T, THREE[which, 4:].T
    return Sample(mean + np.hypot(sigma, error) * rng.standard_normal((4, n)), error**2)


def catalogue_of(
    sample: Sample, rng: np.random.Generator, r: float = 10.0, north: bool = False
) -> Catalogue:
    """Catalogue of a sample at one radius, isotropic on the sky; isotropic velocity errors."""
    toward = rng.standard_normal((len(sample), 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    if north:
        toward[:, 2] = np.abs(toward[:, 2])
    velocity = np.einsum("kn,nki->in", sample.x[:3], spherical_basis(toward))
    columns = dict(zip(("x", "y", "z"), r * toward.T, strict=True))
    columns |= dict(zip(("vx", "vy", "vz"), velocity, strict=True))
    columns |= dict.fromkeys(("vx_err", "vy_err", "vz_err"), np.sqrt(sample.e2[1]))
    return Catalogue.from_arrays(**columns, feh=sample.x[3], feh_err=np.sqrt(sample.e2[3]))


def ranks(draws: FloatArray, truth: FloatArray) -> FloatArray:
    """Share of the draws (n, d) below the truth (d,)."""
    return np.mean(draws < truth, axis=0)


def assert_calibrated(shares: FloatArray) -> None:
    """Shares (m, d) of draws below truths that were drawn from the prior are uniform.

    Each parameter by itself, and all together, which finds widths that are wrong in all of them; parameters of one
    sample are not independent, so there the scatter between samples counts.
    """
    m = len(shares)
    for nominal in (0.68, 0.95):
        inside = np.abs(shares - 0.5) < 0.5 * nominal
        error = np.sqrt(nominal * (1.0 - nominal) / m)
        assert np.all(np.abs(inside.mean(axis=0) - nominal) < 4.0 * error), inside.mean(axis=0)
        together = inside.mean(axis=1)
        mcse = together.std(ddof=1) / np.sqrt(m)
        assert abs(together.mean() - nominal) < 4.0 * mcse, together.mean()
    assert np.all(np.abs(shares.mean(axis=0) - 0.5) < 4.0 / np.sqrt(12.0 * m)), shares.mean(axis=0)
