"""Orbits: accuracy of the fields, speed beside galpy's integrator in one run, and stationarity of a population.

    OMP_NUM_THREADS=1 python benchmarks/orbits.py [fields|speed|population]

Everything by default. galpy integrates a few thousand orbits, which is scaled to 64k and said so.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
import warnings

import numba
import numpy as np

from haloassay.base.constants import GYR_PER_KPC_KMS, G
from haloassay.mocks.equilibria.anisotropy import make_anisotropy
from haloassay.mocks.equilibria.equilibrium import OrbitSuperposition
from haloassay.mocks.equilibria.relaxation import (
    PopulationSettings,
    relax,
    relaxed_population,
    shaped,
)
from haloassay.mocks.equilibria.stationarity import QUANTITIES
from haloassay.mocks.equilibria.tracers import make_density
from haloassay.mocks.gravity.fields import make_field
from haloassay.mocks.gravity.integration import integrate
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.mocks.gravity.shapes import Shape, rotation_matrix
from haloassay.mocks.stars import Stars, orient
from haloassay.mocks.uniforms import Uniforms, numbers

NFW = {"kind": "nfw", "m200": 0.8e12, "c": 15.0}
BARYONS = {"kind": "mwpotential2014-baryons"}
TRIAXIAL = {"kind": "triaxial-nfw", "m200": 0.8e12, "c": 15.0, "axis_ratios": [0.8, 0.6]}
TILTED = TRIAXIAL | {"tilt": [24.0, 25.0, 0.0]}
BIRD = {"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17.0]}
BIRD_BETA = {"kind": "table", "r": [5.0, 20.0, 40.0, 80.0], "beta": [0.6, 0.75, 0.65, 0.5]}
N = 64_000
RO, VO = 8.0, 220.0


def base(potential_spec):
    """Return a function from a generator to a sampler of Bird's profile, from 0.5 to 600 kpc."""
    solved = OrbitSuperposition.solve(
        make_potential(potential_spec),
        make_density(BIRD),
        make_anisotropy(BIRD_BETA),
        0.5,
        600.0,
    )

    def sampler(rng):
        def draw(n):
            of = Uniforms.of(rng), numbers(0, n)
            return Stars.of(*orient(*solved.sample(*of), *of), number=of[1])

        return draw

    return sampler


def galpy_accelerations(potential, position):
    """Accelerations of a galpy potential, point by point."""
    from galpy.potential import evaluatephitorques, evaluateRforces, evaluatezforces
    from galpy.util.conversion import get_physical

    units = get_physical(potential)
    ro, vo = units["ro"], units["vo"]
    rows = []
    for x, y, z in position / ro:
        R, phi = np.hypot(x, y), np.arctan2(y, x)
        where = {"phi": phi, "use_physical": False}
        f_R = evaluateRforces(potential, R, z, **where)
        f_phi = evaluatephitorques(potential, R, z, **where) / R
        f_z = evaluatezforces(potential, R, z, **where)
        rows.append(
            [f_R * np.cos(phi) - f_phi * np.sin(phi), f_R * np.sin(phi) + f_phi * np.cos(phi), f_z]
        )
    return np.array(rows) * vo**2 / ro


def galpy_triaxial(spec):
    """Galpy's triaxial NFW halo of the same density, without tilt."""
    from galpy.potential import TriaxialNFWPotential

    mass, r_s = make_potential(spec).components[0].scales
    b, c = spec["axis_ratios"]
    scale = r_s / np.cbrt(b * c)
    return TriaxialNFWPotential(
        amp=mass / (b * c) * G / (RO * VO**2), a=scale / RO, b=b, c=c, ro=RO, vo=VO
    )


def fields_table(n=200):
    """Print relative errors of accelerations against galpy's own, 0.5 to 300 kpc, half of them near the plane."""
    from galpy.potential import mwpotentials

    rng = np.random.default_rng(1)
    direction = rng.normal(size=(n, 3))
    direction[: n // 2, 2] *= 0.02
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    position = direction * np.exp(rng.uniform(np.log(0.5), np.log(300.0), n))[:, None]
    cases = [(TRIAXIAL | {"axis_ratios": q}, None) for q in ([0.9, 0.8], [0.8, 0.6], [0.5, 0.4])]
    names = ("MWPotential2014", "McMillan17", "Cautun20", "Irrgang13I", "DehnenBinney98I")
    cases += [({"kind": "galpy", "name": name}, name) for name in names]
    print(f"accelerations at {n} places, relative to galpy's")
    print(f"{'potential':<34}{'terms':>6}{'make s':>8}{'median':>10}{'99 %':>10}{'largest':>10}")
    for spec, name in cases:
        theirs = galpy_triaxial(spec) if name is None else getattr(mwpotentials, name)
        start = time.perf_counter()
        field = make_field(make_potential(spec))
        seconds = time.perf_counter() - start
        expected = galpy_accelerations(theirs, position)
        error = np.linalg.norm(field.acceleration(position) - expected, axis=1)
        error /= np.linalg.norm(expected, axis=1)
        label = name or f"triaxial NFW {spec['axis_ratios']}"
        terms = field.arrays.radial.shape[3]
        print(
            f"{label:<34}{terms:6d}{seconds:8.2f}"
            f"{np.median(error):10.1e}{np.quantile(error, 0.99):10.1e}{error.max():10.1e}"
        )


def timed(work):
    """Return what ``work`` returns, its seconds, and the seconds of all its threads together."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def galpy_orbits(stars, potential, span, method="dop853_c"):
    """Follow stars with galpy; where they end [kpc], and the two times of :func:`timed`."""
    from galpy.orbit import Orbit
    from galpy.util.conversion import get_physical

    units = get_physical(potential)
    ro, vo = units["ro"], units["vo"]
    (x, y, z), (vx, vy, vz) = stars.position.T / ro, stars.velocity.T / vo
    R, phi = np.hypot(x, y), np.arctan2(y, x)
    v_R, v_T = (x * vx + y * vy) / R, (x * vy - y * vx) / R
    orbits = Orbit(np.stack([R, v_R, v_T, z, vz, phi], axis=1))
    t = np.linspace(0.0, span / (GYR_PER_KPC_KMS * ro / vo), 2)
    _, wall, cpu = timed(lambda: orbits.integrate(t, potential, method=method, progressbar=False))
    end = np.stack([orbits.x(t)[:, -1], orbits.y(t)[:, -1], orbits.z(t)[:, -1]], axis=1) * ro
    return end, wall, cpu


def speed_table(n=N, n_reference=2_000, n_galpy=1_000, span=5.0):
    """Print times for 64k stars, errors of position and energy, and galpy's times beside them.

    Times are scaled to 64k where fewer are followed. Those of all threads together do not depend on what
    else the machine is doing.
    """
    from galpy.potential import MWPotential2014, mwpotentials

    draw = base(NFW)(np.random.default_rng(1))
    stars, few = draw(n), draw(n_reference)
    one = few.select(slice(1))
    cases = (
        ("triaxial NFW", TRIAXIAL, galpy_triaxial(TRIAXIAL)),
        ("triaxial NFW, tilted, with disc", [TILTED, BARYONS], None),
        ("MWPotential2014", {"kind": "galpy", "name": "MWPotential2014"}, MWPotential2014),
        ("McMillan17", {"kind": "galpy", "name": "McMillan17"}, mwpotentials.McMillan17),
    )
    print(f"\n{N} stars of Bird's profile, {span:g} Gyr, {numba.get_num_threads()} threads;")
    print(f"{n} followed by us and {n_galpy} by galpy, scaled. Position [kpc] and energy errors of")
    print(f"{n_reference} stars, against our own orbits of tolerance 1e-12")
    print(
        f"{'field':<32}{'tolerance':>10}{'seconds':>9}{'threads':>9}"
        f"{'median':>10}{'99 %':>10}{'energy':>10}{'largest':>10}"
    )
    for label, spec, theirs in cases:
        field = make_field(make_potential(spec))
        integrate(field, one.position, one.velocity, 0.0, 0.01)
        best = integrate(field, few.position, few.velocity, 0.0, span, 1e-12).position
        energy = field.energy(few.position, few.velocity)
        for tolerance in (1e-6, 1e-7, 1e-8):
            settings = (0.0, span, tolerance)
            _, wall, cpu = timed(
                lambda f=field, s=settings: integrate(f, stars.position, stars.velocity, *s)
            )
            end = integrate(field, few.position, few.velocity, *settings)
            miss = np.linalg.norm(end.position - best, axis=1)
            drift = np.abs(field.energy(end.position, end.velocity) / energy - 1.0)
            print(
                f"{label:<32}{tolerance:10.0e}{wall * N / n:9.1f}{cpu * N / n:9.1f}{np.median(miss):10.1e}"
                f"{np.quantile(miss, 0.99):10.1e}{np.median(drift):10.1e}{drift.max():10.1e}",
                flush=True,
            )
        if theirs is not None:
            end, wall, cpu = galpy_orbits(few.select(slice(n_galpy)), theirs, span)
            miss = np.linalg.norm(end - best[:n_galpy], axis=1)
            scale = N / n_galpy
            print(
                f"{'  galpy, dop853_c':<32}{'default':>10}{wall * scale:9.1f}{cpu * scale:9.1f}{np.median(miss):10.1e}"
                f"{np.quantile(miss, 0.99):10.1e}",
                flush=True,
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory of this process {peak:.2f} GB")


def population_table(n=200_000):
    """Print drift over a further 3 Gyr in units of noise, and the time of the second use from the cache."""
    settings = PopulationSettings(size=n)
    shape = Shape((0.8, 0.6), (24.0, 25.0, 0.0))
    cases = (
        ("round, in the monopole", [NFW], Shape()),
        ("round tracers, triaxial halo with disc", [TILTED, BARYONS], Shape()),
        ("triaxial tracers, triaxial halo with disc", [TILTED, BARYONS], shape),
        ("flattened tracers, round halo with disc", [NFW, BARYONS], Shape((1.0, 0.6))),
    )
    print(f"\n{n} stars, followed for {settings.time / 2:g} to {settings.time:g} Gyr; drift over a")
    print(f"further {settings.drift_time:g} Gyr in 12 shells from 2 to 150 kpc: chi^2 by quantity")
    for label, spec, tracers in cases:
        rng = np.random.default_rng(5)
        stars = shaped(base(spec)(rng)(n), {0: tracers})
        start = time.perf_counter()
        field = make_field(make_potential(spec))
        axes = {0: rotation_matrix(tracers.tilt)}
        relaxed = relax(stars, field, settings, Uniforms.of(rng), axes, (2.0, 150.0))
        seconds = time.perf_counter() - start
        test = relaxed.stationarity[0]
        chi2 = np.sum(test.drift**2, axis=1)
        print(f"{label}: {seconds:.0f} s, {len(test.count)} shells, {relaxed.lost} lost")
        print("   " + ", ".join(f"{q} {c:.0f}" for q, c in zip(QUANTITIES, chi2, strict=True)))
        change = test.after - test.before
        for q in ("sigma_r", "beta"):
            k = QUANTITIES.index(q)
            print(
                f"   {q}: drift / noise {np.array2string(test.drift[k], precision=1)}"
                f"; largest change {np.abs(change[k]).max():.2g}"
            )
        print(f"   {test.complaint or 'no drift beyond noise'}")


def cache_table(n=200_000):
    """Print the time of the first and the second use of a stored population."""
    settings = PopulationSettings(size=n, time=0.02, drift_time=0.01)

    draw = base(NFW)

    def get():
        return relaxed_population(draw, make_potential(NFW), {}, settings, ["bird"], (2.0, 150.0))

    start = time.perf_counter()
    get()
    middle = time.perf_counter()
    population = get()
    loaded = time.perf_counter()
    draw = population.sampler(np.random.default_rng(1))
    draw(10_000)
    end = time.perf_counter()
    print(
        f"\n{n} stars from the cache: {1e3 * (loaded - middle):.0f} ms (made in {middle - start:.1f} s);"
        f" sampler and first 10000 stars {1e3 * (end - loaded):.0f} ms"
    )


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["fields", "speed", "population"]
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("HALOASSAY_CACHE", folder)
        if "fields" in wanted:
            fields_table()
        if "speed" in wanted:
            speed_table()
        if "population" in wanted:
            cache_table()
            population_table()
