"""Fields of expansions beside their sources: errors of the force, in space and in time, and speed.

    OMP_NUM_THREADS=1 python benchmarks/expansions.py [space|time|speed|pair]

Everything by default. ``space``: an NFW halo, a truncated one (the LMC's) and a triaxial NFW halo, moved and turned,
as tables of Phi_lm. ``time``: a halo with a wake that follows the LMC, in snapshots, beside the same
at the very time; cubic between snapshots, and by straight lines. ``speed``: 64000 halo stars
over 2 Gyr, scaled from 4000 of them. ``pair``: the rigid pair as two moving expansions, beside the rigid mode.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from haloassay.mocks import make_mock
from haloassay.mocks.gravity.expansions import (
    Expansion,
    HarmonicTable,
    MovingExpansion,
    harmonics,
)
from haloassay.mocks.gravity.field_parts import FieldParts
from haloassay.mocks.gravity.fields import field_of, make_field, parts_of
from haloassay.mocks.gravity.integration import integrate
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.mocks.lmc.trajectory import LMC, rewind

HALO = {"kind": "nfw", "m200": 0.8e12, "c": 15.0}
BARYONS = {"kind": "mwpotential2014-baryons"}
TRIAXIAL = {**HALO, "kind": "triaxial-nfw", "axis_ratios": [0.85, 0.7], "tilt": [20.0, 35.0, 50.0]}
TRACERS = {
    "kind": "equilibrium",
    "potential": [HALO, BARYONS],
    "density": {"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17.0]},
    "beta": 0.5,
    "r_range": [5.0, 120.0],
}
SHELLS = ((0.2, 1.0), (1.0, 10.0), (10.0, 100.0), (100.0, 400.0), (400.0, 2000.0))
#: Stars that times are told for, and those that are timed.
N, TIMED = 64_000, 4_000
SPAN = 2.0


def places(n, lo, hi, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    r = np.exp(rng.uniform(np.log(lo), np.log(hi), n))
    return x * (r / np.linalg.norm(x, axis=1))[:, None]


def relative(found, expected):
    return np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)


def resting(table):
    return field_of([FieldParts(expansions=(Expansion.of([0.0], [table]),))])


def projection(highest, n_mu=32, n_phi=64):
    """Directions, and weights that project a function of them onto harmonics."""
    from scipy.special import sph_harm_y

    mu, weight = np.polynomial.legendre.leggauss(n_mu)
    phi = 2.0 * np.pi * np.arange(n_phi) / n_phi
    mu, phi, weight = (a.ravel() for a in np.broadcast_arrays(mu[:, None], phi, weight[:, None]))
    s = np.sqrt(1.0 - mu**2)
    basis = []
    for ell, m in harmonics(highest):
        y = sph_harm_y(ell, abs(m), np.arccos(mu), phi) * (-1.0) ** m * np.sqrt(4.0 * np.pi)
        basis.append(y.real if m == 0 else np.sqrt(2.0) * (y.real if m > 0 else y.imag))
    directions = np.stack([s * np.cos(phi), s * np.sin(phi), mu], axis=1)
    return directions, np.array(basis) * weight / (2.0 * n_phi)


def heading(*cells):
    row(*cells)
    row(*("---" for _ in cells))


def row(*cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def space():
    heading("table from 0.5 to 500 kpc", *(f"{lo:g} to {hi:g} kpc" for lo, hi in SHELLS))
    lmc = LMC().profile
    sources = {
        "NFW": (make_potential(HALO).potential, make_field(make_potential(HALO))),
        "truncated NFW": (
            lmc.potential,
            field_of([FieldParts(spherical=(lmc.enclosed_mass,))]),
        ),
    }
    for name, (potential, exact) in sources.items():
        for n in (20, 40, 80):
            r = np.geomspace(0.5, 500.0, n)
            told(f"{name}, {n} radii", resting(HarmonicTable(r, potential(r)[:, None])), exact)
    source, centre = make_field(make_potential(TRIAXIAL)), np.array([1.0, -0.7, 0.5])
    for highest in (2, 4, 6, 10):
        n, weights = projection(highest)
        r = np.geomspace(0.5, 500.0, 60)
        phi = np.stack([weights @ source.potential(x * n - centre) for x in r])
        told(f"triaxial, moved, l to {highest}", resting(HarmonicTable(r, phi)), source, centre)


def told(name, found, exact, centre=0.0):
    cells = []
    for lo, hi in SHELLS:
        x = places(1000, lo, hi)
        error = relative(found.acceleration(x), exact.acceleration(x - centre))
        cells.append(f"{np.median(error):.0e} / {error.max():.0e}")
    row(name, *cells)


def wake(trajectory, t):
    """Table of a halo whose harmonics of 4 per cent follow the direction and distance of the LMC at once."""
    from scipy.special import sph_harm_y

    place = np.array([np.interp(t, trajectory.time, c) for c in trajectory.position.T])
    d = np.linalg.norm(place)
    theta, phi = np.arccos(place[2] / d), np.arctan2(place[1], place[0])
    r = np.geomspace(0.5, 500.0, 40)
    base = make_potential(HALO).potential(r)
    columns = [base]
    for ell, m in harmonics(4)[1:]:
        y = sph_harm_y(ell, abs(m), theta, phi) * (-1.0) ** m * np.sqrt(4.0 * np.pi)
        y = y.real if m == 0 else np.sqrt(2.0) * (y.real if m > 0 else y.imag)
        shape = (r / 40.0) ** ell / (1.0 + (r / 40.0) ** (2 * ell + 1))
        columns.append(0.04 / (2 * ell + 1) * (50.0 / d) ** 2 * y * shape * base)
    return HarmonicTable(r, np.stack(columns, axis=1))


def in_time():
    trajectory = rewind(LMC(time=SPAN), make_potential([HALO, BARYONS]))
    halo = make_field(make_potential(HALO))
    x = places(1000, 10.0, 120.0)
    whole = np.linalg.norm(halo.acceleration(x), axis=1)
    heading("step [Myr]", "change in a step", "cubic", "straight lines")
    for step in (125.0, 62.5, 31.25, 15.625):
        times = -1e-3 * step * np.arange(round(1e3 * SPAN / step), -1.0, -1.0)
        known = Expansion.of(times, [wake(trajectory, t) for t in times])
        largest = np.zeros(3)
        for k in range(1, len(times)):
            t = 0.5 * (times[k - 1] + times[k])
            if t < -0.5:  # the LMC is far away
                continue
            exact, at, before, after = (
                field_of([FieldParts(expansions=(each,))]).acceleration(x)
                for each in (
                    Expansion.of([0.0], [wake(trajectory, t)]),
                    known.at(t),
                    known.at(times[k - 1]),
                    known.at(times[k]),
                )
            )
            off = (after - before, at - exact, 0.5 * (before + after) - exact)
            largest = np.maximum(largest, [(np.linalg.norm(a, axis=1) / whole).max() for a in off])
        row(f"{step:g}", *(f"{each:.1e}" for each in largest))


def synthetic(highest, times, scale, radii):
    """Halo with harmonics of some per cent that change with time: no simulation's, as dear as one."""
    r = np.geomspace(0.2, 500.0, 40)
    base = scale(r)
    rng = np.random.default_rng(2)
    terms = (highest + 1) ** 2
    phase, period = rng.uniform(0.0, 2.0 * np.pi, terms), rng.uniform(1.0, 3.0, terms)
    ell = np.array([lm[0] for lm in harmonics(highest)])
    shape = (r[:, None] / radii) ** ell / (1.0 + (r[:, None] / radii) ** (2 * ell + 1))
    tables = []
    for t in times:
        amplitude = 0.04 / (1.0 + ell) ** 2 * np.cos(2.0 * np.pi * t / period + phase)
        phi = base[:, None] * shape * np.where(ell > 0, amplitude, 0.0)
        phi[:, 0] = base
        tables.append(HarmonicTable(r, phi))
    return Expansion.of(times, tables)


def halo_stars(n):
    mock = make_mock(TRACERS)
    stars = mock.sampler(np.random.default_rng(1))(n)
    return stars.position, stars.velocity


def speed():
    milky_way = make_potential([HALO, BARYONS])
    trajectory = rewind(LMC(time=SPAN), milky_way)
    x, v = halo_stars(TIMED)
    times = np.linspace(-SPAN, 0.0, 33)
    rest = np.zeros_like(trajectory.position)
    dark = make_potential(HALO).potential
    fields = {"rigid LMC": make_field(milky_way, *trajectory.bodies)}
    for highest, own in ((0, 0), (4, 4), (6, 6), (8, 6)):
        host = synthetic(highest, times, dark, 30.0)
        satellite = synthetic(own, times, trajectory.lmc.profile.potential, 10.0)
        fields[f"expansions, l to {highest} and {own}"] = field_of(
            parts_of(make_potential(BARYONS).components),
            [
                MovingExpansion(host, trajectory.time, rest, trajectory.frame_acceleration),
                MovingExpansion(satellite, trajectory.time, trajectory.position, rest),
            ],
        )
    heading(f"{N} stars over {SPAN:g} Gyr", "us a call", "s of a core")
    for name, known in fields.items():
        integrate(known, x[:2], v[:2], -SPAN, -SPAN + 0.01)
        known.acceleration(x, -1.01)
        start = time.process_time()
        known.acceleration(x, -1.01)
        call = (time.process_time() - start) / len(x)
        start = time.process_time()
        orbits = integrate(known, x, v, -SPAN, 0.0)
        used = (time.process_time() - start) * N / TIMED
        row(name, f"{1e6 * call:.2f}", f"{used:.0f}")
        assert not orbits.stuck.any()


def of_all(off):
    return [f"{each:.1e}" for each in (np.median(off), np.quantile(off, 0.95), off.max())]


def pair():
    milky_way = make_potential([HALO, BARYONS])
    trajectory = rewind(LMC(time=SPAN), milky_way)
    rigid = make_field(milky_way, *trajectory.bodies)
    x, v = halo_stars(8000)
    expected = integrate(rigid, x, v, -SPAN, 0.0).position
    finer = integrate(rigid, x, v, -SPAN, 0.0, 1e-9).position
    off = np.linalg.norm(finer - expected, axis=1)
    print("off the rigid mode after 2 Gyr [kpc]: median | 95 per cent | largest")
    print(
        f"rigid at a tolerance of 1e-9 | {np.median(off):.1e} | {np.quantile(off, 0.95):.1e} | {off.max():.1e}"
    )
    rest = np.zeros_like(trajectory.position)
    for n in (20, 40, 80):
        r = np.geomspace(0.05, 1000.0, n)
        host, satellite = (
            Expansion.of([0.0], [HarmonicTable(r, potential(r)[:, None])])
            for potential in (make_potential(HALO).potential, trajectory.lmc.profile.potential)
        )
        known = field_of(
            parts_of(make_potential(BARYONS).components),
            [
                MovingExpansion(host, trajectory.time, rest, trajectory.frame_acceleration),
                MovingExpansion(satellite, trajectory.time, trajectory.position, rest),
            ],
        )
        off = np.linalg.norm(integrate(known, x, v, -SPAN, 0.0).position - expected, axis=1)
        print(
            f"{n} radii | {np.median(off):.1e} | {np.quantile(off, 0.95):.1e} | {off.max():.1e}",
            flush=True,
        )


if __name__ == "__main__":
    parts = {"space": space, "time": in_time, "speed": speed, "pair": pair}
    for part in sys.argv[1:] or parts:
        parts[part]()
