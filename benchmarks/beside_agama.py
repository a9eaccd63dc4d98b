"""Haloassay beside agama and galpy, in one run: draws of an equilibrium, and orbits.

Run with ``python benchmarks/beside_agama.py [stars] [orbits]``, by default 100 000 and 64 000; without agama its
columns are left out. Three tables:

1. Forces of one triaxial tilted halo, and of a disc galaxy, by three codes: largest relative difference.
2. Seconds to set up and to draw equilibrium stars, and how far their sigma_r is from the Jeans solution, in
   units of noise.
3. Seconds for orbits of 5 Gyr at one tolerance, and the median error of positions against orbits at 1e-12 (of
   1000 stars, each code against its own).

agama and our integrator use as many threads as OMP_NUM_THREADS and NUMBA_NUM_THREADS allow; galpy likewise.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import time

import numpy as np

from haloassay.base.errors import InputError
from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks import make_mock
from haloassay.mocks.backends.agama.conversion import to_agama
from haloassay.mocks.backends.agama.library import library
from haloassay.mocks.backends.agama.orbits import agama_orbits
from haloassay.mocks.backends.galpy.conversion import to_galpy
from haloassay.mocks.gravity.fields import make_field
from haloassay.mocks.gravity.integration import integrate
from haloassay.mocks.gravity.potentials import make_potential

NFW = {"kind": "nfw", "m200": 0.8e12, "c": 15.0}
BARYONS = {"kind": "mwpotential2014-baryons"}
TRIAXIAL = {"kind": "triaxial-nfw", "m200": 1e12, "c": 10.0, "axis_ratios": [0.8, 0.7]}
TILTED = TRIAXIAL | {"tilt": [25.0, 40.0, 10.0]}
TRACERS = {"density": {"kind": "hernquist", "a": 12.0}, "r_range": [3.0, 60.0]}
GYR = 5.0
TOLERANCE = 1e-8
REFERENCE = 1e-12
COMPARED = 1000


def has_agama():
    try:
        library()
    except InputError as error:
        print(f"agama is left out: {error}\n")
        return False
    return True


def galpy_forces(pot, x):
    """(N, 3) Cartesian forces [(km/s)^2/kpc] of a galpy potential."""
    from galpy.util.conversion import get_physical

    R, phi = np.hypot(x[:, 0], x[:, 1]), np.arctan2(x[:, 1], x[:, 0])
    cos, sin = np.cos(phi), np.sin(phi)
    ro, vo = get_physical(pot).values()
    where = [
        {"R": a / ro, "z": c / ro, "phi": b, "use_physical": False}
        for a, b, c in zip(R, phi, x[:, 2], strict=True)
    ]
    radial = np.array([pot.Rforce(**w) for w in where])
    turning = np.array([pot.phitorque(**w) for w in where]) / (R / ro)
    vertical = np.array([pot.zforce(**w) for w in where])
    forces = [radial * cos - turning * sin, radial * sin + turning * cos, vertical]
    return np.stack(forces, axis=1) * vo**2 / ro


def compare_forces(with_agama):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3))
    x *= (np.geomspace(1.0, 200.0, 200) / np.linalg.norm(x, axis=1))[:, None]
    print(f"{'forces at 200 points, 1 to 200 kpc':40s} largest relative difference from our field")
    for name, spec in {
        "tilted triaxial NFW": TILTED,
        "NFW, bulge and disc": [NFW, BARYONS],
    }.items():
        potential = make_potential(spec)
        ours = make_field(potential).acceleration(x)
        size = np.linalg.norm(ours, axis=1)
        others = {"galpy": galpy_forces(to_galpy(potential), x)}
        if with_agama:
            others["agama"] = to_agama(potential).force(x)
        for code, force in others.items():
            miss = np.max(np.linalg.norm(force - ours, axis=1) / size)
            print(f"  {name:38s} {code:8s} {miss:9.1e}")


def galpy_draw(beta):
    """Set up galpy's sampler of the same tracers, and return a function that draws."""
    from galpy.df import constantbetadf, eddingtondf, osipkovmerrittdf
    from galpy.potential import HernquistPotential

    pot = to_galpy(make_potential(NFW))[0]
    tracers = HernquistPotential(amp=1.0, a=12.0 / 8.0, ro=8.0, vo=220.0)
    limits = {"rmax": 60.0 / 8.0 * 20.0, "ro": 8.0, "vo": 220.0}
    if isinstance(beta, dict):
        df = osipkovmerrittdf(pot=pot, denspot=tracers, ra=beta["r_a"] / 8.0, **limits)
    elif beta == 0.0:
        df = eddingtondf(pot=pot, denspot=tracers, **limits)
    else:
        df = constantbetadf(pot=pot, denspot=tracers, twobeta=2 * beta, **limits)

    def draw(n):
        orbits = df.sample(n=n)
        columns = (f(use_physical=True) for f in (orbits.x, orbits.y, orbits.z))
        speeds = (f(use_physical=True) for f in (orbits.vx, orbits.vy, orbits.vz))
        return np.stack([*columns], axis=1), np.stack([*speeds], axis=1)

    return draw


def sigma_z(position, velocity, truth):
    """Root mean square of the misses of sigma_r in eight shells, in units of noise."""
    r = np.linalg.norm(position, axis=1)
    v_r = spherical_velocity(position, velocity)[:, 0]
    z = []
    for lo, hi in zip(*(np.geomspace(4.0, 50.0, 9)[k:][:8] for k in (0, 1)), strict=True):
        u = v_r[(r >= lo) & (r < hi)] / truth(r[(r >= lo) & (r < hi)])
        z.append((np.mean(u**2) - 1.0) / (np.std(u**2) / np.sqrt(len(u))))
    return np.sqrt(np.mean(np.square(z)))


def compare_draws(n, with_agama):
    head = f"{n} stars of a Hernquist tracer in an NFW halo"
    print(f"\n{head:50s}{'set-up [s]':>12s}{'draw [s]':>10s}{'rms z of sigma_r':>18s}")
    betas = {
        "beta = 0": 0.0,
        "beta = 0.5": 0.5,
        "Osipkov-Merritt": {"kind": "osipkov-merritt-profile", "r_a": 25.0},
    }
    for name, beta in betas.items():
        wanted = {"potential": NFW, "beta": beta, **TRACERS}
        ours = make_mock({"kind": "equilibrium", "method": "orbits", **wanted})
        sigma_r = functools.partial(ours.truth.profile, "sigma_r")
        codes = {"haloassay": lambda w=wanted: from_mock("equilibrium", w | {"method": "orbits"})}
        if with_agama:
            codes["agama"] = lambda w=wanted: from_mock("agama", w)
        codes["galpy"] = lambda b=beta: galpy_draw(b)
        with tempfile.TemporaryDirectory() as cache:
            os.environ["HALOASSAY_CACHE"] = cache  # set-up times are those of a first use
            for code, set_up in codes.items():
                time_draws(f"  {name:24s}{code:24s}", set_up, n, sigma_r)


def from_mock(kind, wanted):
    """Set up a mock, and return a function that draws."""
    mock = make_mock({"kind": kind, **wanted})
    mock.prepare()

    def draw(n):
        stars = mock.sample(n, np.random.default_rng(1))
        return stars.position, stars.velocity

    return draw


def time_draws(label, set_up, n, sigma_r):
    start = time.perf_counter()
    try:
        draw = set_up()
    except ImportError as error:
        print(f"{label}  left out: {error}")
        return
    draw(100)  # what is compiled or tabulated at the first draw
    ready = time.perf_counter()
    position, velocity = draw(n)
    done = time.perf_counter()
    z = sigma_z(position, velocity, sigma_r)
    print(f"{label}{ready - start:12.2f}{done - ready:10.2f}{z:18.2f}", flush=True)


def galpy_orbits(pot, x, v, gyr):
    """Positions [kpc] after a time by galpy's dop853_c."""
    from galpy.orbit import Orbit

    R, phi = np.hypot(x[:, 0], x[:, 1]), np.arctan2(x[:, 1], x[:, 0])
    v_R = (x[:, 0] * v[:, 0] + x[:, 1] * v[:, 1]) / R
    v_T = (x[:, 0] * v[:, 1] - x[:, 1] * v[:, 0]) / R
    start = np.stack([R / 8, v_R / 220, v_T / 220, x[:, 2] / 8, v[:, 2] / 220, phi], axis=1)
    orbits = Orbit(start, ro=8.0, vo=220.0)
    unit = 8.0 / 220.0 * 0.9777922216807891
    times = np.array([0.0, gyr / unit])
    orbits.integrate(times, pot, method="dop853_c", progressbar=False)
    return np.stack(
        [f(times[-1], use_physical=True) for f in (orbits.x, orbits.y, orbits.z)], axis=1
    )


def compare_orbits(n, with_agama):
    print(f"\n{n} orbits of {GYR:g} Gyr{'':42s}{'s':>8s}{'median error [kpc]':>21s}")
    stars = make_mock({"kind": "equilibrium", "potential": NFW, "beta": 0.5, **TRACERS}).sample(
        n, np.random.default_rng(3)
    )
    x, v = stars.position, stars.velocity
    for name, spec in {"triaxial NFW": TRIAXIAL, "NFW, bulge and disc": [NFW, BARYONS]}.items():
        potential = make_potential(spec)
        start = time.perf_counter()
        field = make_field(potential)
        integrate(field, x[:2], v[:2], 0.0, 0.01)
        runs = {
            "haloassay": lambda k, tol, f=field: integrate(f, x[:k], v[:k], 0.0, GYR, tol).position
        }
        print(f"  {name:28s} {'field, compiled':20s}{time.perf_counter() - start:20.1f}")
        if with_agama:
            pot = to_agama(potential)
            runs["agama"] = lambda k, tol, p=pot: (
                agama_orbits(p, x[:k], v[:k], 0.0, GYR, tol).position
            )
        for code, run in runs.items():
            start = time.perf_counter()
            end = run(n, TOLERANCE)
            seconds = time.perf_counter() - start
            exact = run(min(n, COMPARED), REFERENCE)
            miss = np.median(np.linalg.norm(end[:COMPARED] - exact, axis=1))
            print(f"  {name:28s} {code:20s}{seconds:20.1f}{miss:21.1e}", flush=True)
        few = max(n // 16, 1)
        start = time.perf_counter()
        end = galpy_orbits(to_galpy(potential), x[:few], v[:few], GYR)
        seconds = (time.perf_counter() - start) * n / few
        exact = runs["haloassay"](min(few, COMPARED), REFERENCE)
        miss = np.median(np.linalg.norm(end[:COMPARED] - exact, axis=1))
        label = f"galpy, scaled from {few}"
        print(f"  {name:28s} {label:20s}{seconds:20.1f}{miss:21.1e} (against ours)", flush=True)


def main():
    n_stars = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    n_orbits = int(sys.argv[2]) if len(sys.argv) > 2 else 64_000
    with_agama = has_agama()
    compare_forces(with_agama)
    compare_draws(n_stars, with_agama)
    compare_orbits(n_orbits, with_agama)


if __name__ == "__main__":
    main()
