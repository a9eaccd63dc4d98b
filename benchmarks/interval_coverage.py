"""Coverage of the estimators' intervals where nothing but the error bar can be wrong.

Ellipsoids of Gaussian velocities and of an equilibrium (the mock of the scenario quickstart, 20 to
25 kpc; resampled from 300 000 of its stars, so that their moments are the truth), by both error models.
Enclosed masses of systems whose moments obey the method's assumptions exactly, with velocities that
are Gaussian at each radius, or have tangential kurtosis 7. Every number has a Monte Carlo error of
sqrt(0.68 * 0.32 / n): 0.015 for n = 1000. Takes four minutes on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from haloassay.base.constants import G
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import spherical_basis, spherical_velocity
from haloassay.estimators import make_estimator
from haloassay.estimators.fit.ellipsoid import ErrorModel, anisotropy, fit_ellipsoid
from haloassay.mocks import make_mock
from haloassay.planning.scenario import load_scenario

Sample = tuple[np.ndarray, np.ndarray]
BINS = [5, 8, 12, 17, 24, 35, 50]
BETA = 0.6
SQUASHED = np.sqrt([1.0, 1.0 - BETA, 1.0 - BETA])


def observed(v: np.ndarray, errors: bool, rng: np.random.Generator) -> Sample:
    """Velocities (n, 3) with unequal Gaussian errors, if any, and the covariances of these."""
    scale = np.array([7.0, 40.0, 40.0]) * rng.uniform(0.3, 1.7, (len(v), 1)) * errors
    return v + scale * rng.standard_normal(v.shape), scale[:, :, None] ** 2 * np.eye(3)


def equilibrium_velocities(rng: np.random.Generator) -> np.ndarray:
    """(n, 3) spherical velocities of stars between 20 and 25 kpc."""
    mock = make_mock(load_scenario("quickstart").mock)
    parts = []
    for _ in range(20):
        stars = mock.sample(200_000, rng)
        there = stars.select((stars.r > 20.0) & (stars.r < 25.0))
        parts.append(spherical_velocity(there.position, there.velocity))
    return np.concatenate(parts)


def ellipsoids(name: str, draw: Callable[..., np.ndarray], sigma: np.ndarray) -> None:
    truth = np.concatenate([sigma, [anisotropy(sigma)]])
    for errors in (False, True):
        for n, runs in ((30, 1000), (300, 600), (3000, 400)):
            models: tuple[ErrorModel, ...] = ("sandwich", "fisher")
            for model in models:
                below = []
                for k in range(runs):
                    rng = np.random.default_rng([11, k])
                    fit = fit_ellipsoid(*observed(draw(n, rng), errors, rng), model)
                    _, s = fit.draws(1000, rng)
                    below.append((np.column_stack([s, anisotropy(s)]) < truth).mean(axis=0))
                label = f"{name}, N = {n}, {'with' if errors else 'no'} errors, {model}"
                report(label, np.array(below), ["sigma_r", "sigma_theta", "sigma_phi", "beta"])


def report(label: str, below: np.ndarray, names: list[str]) -> None:
    """Coverage of both intervals from the share of draws below the truth, (n, quantities)."""
    c68 = ((below > 0.16) & (below < 0.84)).mean(axis=0)
    c95 = ((below > 0.025) & (below < 0.975)).mean(axis=0)
    cells = [f"{name} {a:.2f}/{b:.2f}" for name, a, b in zip(names, c68, c95, strict=True)]
    print(f"{label} (n = {len(below)}): {', '.join(cells)}", flush=True)


def stars(n: int, tails: bool, sigma_r: Callable[..., np.ndarray], rng: np.random.Generator):
    """Catalogue of density r^-3.5 between 5 and 50 kpc, Gaussian or with tangential kurtosis 7."""
    r = (5.0**-0.5 + rng.random(n) * (50.0**-0.5 - 5.0**-0.5)) ** -2
    toward = rng.standard_normal((n, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    unit = rng.standard_normal((n, 3))
    if tails:
        unit[:, 1:] *= np.sqrt(rng.gamma(0.75, 1.0 / 0.75, n))[:, None]
    velocity = np.einsum(
        "nk,nki->ni", sigma_r(r)[:, None] * SQUASHED * unit, spherical_basis(toward)
    )
    columns = np.hstack([r[:, None] * toward, velocity]).T
    return Catalogue.from_arrays(
        **dict(zip(("x", "y", "z", "vx", "vy", "vz"), columns, strict=True))
    )


def masses() -> None:
    def exponential(r):  # what jeans-3d takes sigma_r for
        return 180.0 * np.exp(-r / 70.0)

    def power(r):  # what the scale-free form takes it for, v_c = 200 km/s (r / 10 kpc)^-0.25
        return np.sqrt(200.0**2 * (r / 10.0) ** -0.5 / (0.5 + 3.5 - 2.0 * BETA))

    def jeans_mass(r):
        return exponential(r) ** 2 * r * (3.5 - 2.0 * BETA + 2.0 * r / 70.0) / G

    def tracer_mass(r):
        return 200.0**2 * (r / 10.0) ** -0.5 * r / G

    cases = [
        ("jeans-3d", {"errors": e, "nfw": "none"}, exponential, jeans_mass)
        for e in ("poisson", "fisher", "sandwich")
    ] + [("tracer-mass", {"beta": b}, power, tracer_mass) for b in (BETA, "measured")]
    for n in (1000, 5000):
        for tails in (False, True):
            for kind, settings, sigma_r, mass in cases:
                method = make_estimator({"kind": kind, "bins": BINS, "alpha": -3.5, **settings})
                below = []
                for k in range(300):
                    rng = np.random.default_rng([3, k])
                    rows = method.estimate(stars(n, tails, sigma_r, rng), rng)
                    found = rows.of("enclosed_mass")
                    below.append([np.mean(row.draws < mass(row.r)) for row in found])
                shape = "tails" if tails else "Gaussian"
                label = f"{kind} {settings}, N = {n}, {shape}"
                report(
                    label,
                    np.array(below),
                    [f"{lo}-{hi}" for lo, hi in pairwise(BINS)],
                )


def main() -> None:
    root = np.array([[140.0, 0.0, 0.0], [20.0, 80.0, 0.0], [-10.0, 15.0, 90.0]])
    sigma = np.sqrt(np.sum(root**2, axis=1))
    ellipsoids("Gaussian", lambda n, rng: rng.standard_normal((n, 3)) @ root.T, sigma)
    pool = equilibrium_velocities(np.random.default_rng(1))
    kurtosis = np.mean(pool**4, axis=0) / np.mean(pool**2, axis=0) ** 2
    print("equilibrium: kurtosis of v_r, v_theta, v_phi:", np.round(kurtosis, 1))
    sigma = np.sqrt(np.mean(pool**2, axis=0))
    ellipsoids("equilibrium", lambda n, rng: pool[rng.integers(len(pool), size=n)], sigma)
    masses()


if __name__ == "__main__":
    main()
