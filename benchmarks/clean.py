"""What cleaning takes: of a smooth halo, and of a stream planted in it; and what it costs.

Run with ``python benchmarks/clean.py``; one thread. The halo is an exact equilibrium, so every star
of it that goes is a false alarm; beta of what stays shows what that does. The stream is 30 stars
in 1000 and 100 in 10 000, debris of a cold satellite mixed along its orbit for up to 3 Gyr. With errors, distances
are good to 10 per cent, proper motions to 0.05 mas/yr, line-of-sight velocities to 5 km/s.
"""

import time

import numpy as np

from haloassay.cleaning.integrals import AssumedPotential
from haloassay.cleaning.substructure import FourDistance, FriendsOfFriends
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import Sun, galactocentric_to_heliocentric, spherical_velocity
from haloassay.mocks import make_mock

POTENTIAL = AssumedPotential(baryons="mwpotential2014-spherical")
STEPS = {
    "integrals, smooth-halo 0.4": FriendsOfFriends(potential=POTENTIAL),
    "integrals, smooth-halo 0.6": FriendsOfFriends(linking_length=0.6, potential=POTENTIAL),
    "integrals, median-separation 0.4": FriendsOfFriends(
        unit="median-separation", potential=POTENTIAL
    ),
    "orbits, smooth-halo 0.4": FriendsOfFriends(space="orbits", potential=POTENTIAL),
    "orbits, smooth-halo 0.5": FriendsOfFriends(
        space="orbits", linking_length=0.5, potential=POTENTIAL
    ),
    "4-distance 0.3": FourDistance(),
    "4-distance 0.5": FourDistance(linking_length=0.5),
}


def make_halo(n, beta, rng):
    mock = make_mock(
        {
            "kind": "equilibrium",
            "potential": [
                {"kind": "nfw", "m200": 0.8e12, "c": 15.3, "h0": 70.0},
                {"kind": "mwpotential2014-baryons"},
            ],
            "density": {"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17.0]},
            "beta": {"kind": "constant", "beta": beta},
        }
    )
    stars = mock.sample(n, rng)
    return stars.position, stars.velocity


def make_stream(n, rng):
    x = np.array([20.0, 10.0, 30.0]) + 0.3 * rng.standard_normal((n, 3))
    v = np.array([100.0, -80.0, 60.0]) + 8.0 * rng.standard_normal((n, 3))
    dt = (rng.uniform(0.0, 3.0, n) / 1500.0)[:, None]
    at = np.linspace(1.0, 150.0, 3000)
    force = -np.gradient(POTENTIAL(np.outer(at, [1.0, 0.0, 0.0])), at)

    def pull(x):
        r = np.linalg.norm(x, axis=1)
        return (np.interp(r, at, force) / r)[:, None] * x

    for _ in range(1500):
        v = v + 0.5 * dt * pull(x)
        x = x + dt * v
        v = v + 0.5 * dt * pull(x)
    return x, v


def observe(x, v, errors, rng):
    sky = galactocentric_to_heliocentric(x, v, Sun())
    if errors:
        n = len(x)
        sky["distance"] *= np.exp(0.1 * rng.standard_normal(n))
        sky["pmra"] += 0.05 * rng.standard_normal(n)
        sky["pmdec"] += 0.05 * rng.standard_normal(n)
        sky["vlos"] += 5.0 * rng.standard_normal(n)
    return Catalogue.from_arrays(**sky)


def anisotropy(x, v):
    sigma = spherical_velocity(x, v).std(axis=0)
    return 1.0 - (sigma[1] ** 2 + sigma[2] ** 2) / (2.0 * sigma[0] ** 2)


def main():
    rng = np.random.default_rng(1)
    print(f"{'halo':24}{'step':34}{'lost':>8}{'d beta':>8}{'found':>7}{'pure':>6}{'s':>7}")
    for n in (1000, 10_000):
        for beta in (0.5, 0.9):
            x, v = make_halo(n, beta, rng)
            xs, vs = make_stream(max(30, n // 100), rng)
            for errors in (False, True):
                smooth = observe(x, v, errors, rng)
                both = observe(np.vstack([x, xs]), np.vstack([v, vs]), errors, rng)
                for label, step in STEPS.items():
                    kept = step.kept(smooth)
                    start = time.perf_counter()
                    gone = ~step.kept(both)
                    seconds = time.perf_counter() - start
                    change = anisotropy(x[kept], v[kept]) - anisotropy(x, v)
                    pure = gone[n:].sum() / max(1, gone.sum())
                    halo = f"{n} beta {beta}{' errors' if errors else ''}"
                    print(
                        f"{halo:24}{label:34}{1.0 - kept.mean():8.4f}{change:8.3f}"
                        f"{gone[n:].mean():7.2f}{pure:6.2f}{seconds:7.2f}"
                    )


if __name__ == "__main__":
    main()
