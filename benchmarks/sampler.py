"""The equilibrium sampler against an independent Jeans solution, orbit integration, and galpy's sampler.

Run with ``python benchmarks/sampler.py``. Three tables:

1. 1e6 stars of each profile in 12 shells from 4 to 130 kpc: chi^2 of sigma_r and of beta against a Jeans solution
   integrated here, from the wanted density and anisotropy and with none of the sampler's code.
2. The same moments of 4e3 stars before and after 3 Gyr of orbit integration with galpy.
3. Seconds to draw 1e5 stars, with galpy's constant-beta and Osipkov-Merritt samplers in the same run.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.integrate import cumulative_simpson

from haloassay.base.constants import G
from haloassay.mocks.equilibria.anisotropy import make_anisotropy
from haloassay.mocks.equilibria.equilibrium import OrbitSuperposition
from haloassay.mocks.equilibria.tracers import make_density
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.mocks.stars import Stars, orient
from haloassay.mocks.uniforms import Uniforms, numbers

NFW = {"kind": "nfw", "m200": 0.8e12, "c": 15.0}
BARYONS = {"kind": "mwpotential2014-baryons"}
BIRD = {"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17.0]}
#: Radius and beta of Li et al. (2026), Table 1: middle of each radial bin.
LI = {
    "kind": "table",
    "r": [6.0, 10.25, 12.6, 14.8, 17.05, 19.5, 22.5, 26.45, 32.25, 41.65, 53.75, 70.0, 120.0],
    "beta": [
        0.651,
        0.768,
        0.79,
        0.788,
        0.78,
        0.775,
        0.753,
        0.723,
        0.636,
        0.502,
        0.318,
        0.316,
        0.305,
    ],
}
CASES = {
    "beta = 0": ([NFW, BARYONS], {"kind": "constant", "beta": 0.0}),
    "beta = 0.5": ([NFW, BARYONS], {"kind": "constant", "beta": 0.5}),
    "beta = 0.95": ([NFW, BARYONS], {"kind": "constant", "beta": 0.95}),
    "beta = -0.5": ([NFW, BARYONS], {"kind": "constant", "beta": -0.5}),
    "Osipkov-Merritt, r_a = 20": ([NFW, BARYONS], {"kind": "osipkov-merritt-profile", "r_a": 20.0}),
    "falling +0.5 to -0.5": ([NFW], {"kind": "table", "r": [5.0, 100.0], "beta": [0.5, -0.5]}),
    "Li 2026, Table 1": ([NFW, BARYONS], LI),
    "Bird 2022, with baryons": (
        [NFW, BARYONS],
        {"kind": "table", "r": [5.0, 20.0, 40.0, 80.0], "beta": [0.6, 0.75, 0.65, 0.5]},
    ),
}
SHELLS = np.geomspace(4.0, 130.0, 13)


def jeans_pressure(potential, density, anisotropy):
    """Return sigma_r^2(r), by Simpson's rule on a fine grid in y = -ln r, inward from 1e6 kpc."""
    y = np.linspace(-np.log(1e6), -np.log(0.1), 200_001)
    grid = np.exp(-y)
    factor = density.log_density(grid) - 2.0 * cumulative_simpson(
        anisotropy.beta(grid), x=y, initial=0.0
    )
    factor -= np.interp(-np.log(30.0), y, factor)
    force = np.exp(factor) * G * potential.enclosed_mass(grid) / grid
    pressure = cumulative_simpson(force, x=y, initial=0.0) / np.exp(factor)
    return lambda r: np.interp(-np.log(r), y, pressure)


def shell_z(r, v_r, v_t, pressure, beta, edges=SHELLS):
    """Deviations of the mean v_r^2 and of the mean v_t^2 - 2 (1 - beta) v_r^2 in shells, in units of noise."""
    radial = v_r**2 - pressure(r)
    anisotropy = v_t**2 - 2.0 * (1.0 - beta(r)) * v_r**2
    shell = np.digitize(r, edges) - 1
    z = np.empty((2, len(edges) - 1))
    for k in range(z.shape[1]):
        for row, values in zip(z, (radial, anisotropy), strict=True):
            inside = values[shell == k]
            row[k] = inside.mean() / (inside.std() / np.sqrt(len(inside)))
    return z


def moments_table() -> None:
    """Print chi^2 of every case."""
    print("1e6 stars, 12 shells from 4 to 130 kpc, against an independent Jeans solution")
    print(
        f"{'profile':<28}{'solve s':>8}{'draw s':>8}{'chi2 sigma_r':>14}{'chi2 beta':>11}   of 12"
    )
    for name, (potential_spec, beta_spec) in CASES.items():
        potential, density = make_potential(potential_spec), make_density(BIRD)
        anisotropy = make_anisotropy(beta_spec)
        start = time.perf_counter()
        solved = OrbitSuperposition.solve(potential, density, anisotropy, 1.0, 300.0)
        middle = time.perf_counter()
        r, v_r, v_t = solved.sample(Uniforms(2026), numbers(0, 1_000_000))
        end = time.perf_counter()

        pressure = jeans_pressure(potential, density, anisotropy)
        z = shell_z(r, v_r, v_t, pressure, anisotropy.beta)
        chi2 = np.sum(z**2, axis=1)
        print(f"{name:<28}{middle - start:8.2f}{end - middle:8.2f}{chi2[0]:14.1f}{chi2[1]:11.1f}")


def stationarity_table(n: int = 4_000) -> None:
    """Print chi^2 of the change of moments over 3 Gyr of galpy's orbit integration."""
    from galpy.orbit import Orbit
    from galpy.potential import interpSphericalPotential

    print(
        f"\n{n} stars before and after 3 Gyr in galpy (dop853_c), 12 shells of equally many: chi2 of 12 each"
    )
    print(f"{'profile':<28}{'sigma_r':>9}{'after':>8}{'beta':>9}{'after':>8}{'galpy s':>9}")
    ro, vo = 8.0, 220.0
    unit_mass = vo**2 * ro / G
    grid = np.concatenate([[0.0], np.geomspace(1e-4, 1e3, 3000)])
    t = np.linspace(0.0, 3.0 / (0.9777922216807891 * ro / vo), 3)
    for name, (potential_spec, beta_spec) in CASES.items():
        potential, density = make_potential(potential_spec), make_density(BIRD)
        anisotropy = make_anisotropy(beta_spec)
        # wide, so that every star that can cross the shells within 3 Gyr is in the sample
        solved = OrbitSuperposition.solve(potential, density, anisotropy, 0.2, 600.0)
        of = Uniforms(7), numbers(0, n)
        stars = Stars.of(*orient(*solved.sample(*of), *of))

        def force(r, potential=potential):
            r = np.maximum(r, 1e-6)
            return -potential.enclosed_mass(r * ro) / unit_mass / r**2

        galpy_potential = interpSphericalPotential(rforce=force, rgrid=grid)
        (x, y, z), (vx, vy, vz) = stars.position.T / ro, stars.velocity.T / vo
        R, phi = np.hypot(x, y), np.arctan2(y, x)
        v_R, v_T = (x * vx + y * vy) / R, (x * vy - y * vx) / R
        start = time.perf_counter()
        orbits = Orbit(np.stack([R, v_R, v_T, z, vz, phi], axis=1))
        orbits.integrate(t, galpy_potential, method="dop853_c", progressbar=False)
        seconds = time.perf_counter() - start
        pressure = jeans_pressure(potential, density, anisotropy)
        inside = np.clip(stars.r, SHELLS[0], SHELLS[-1])
        # equally many stars: of few, the noise of a mean square is not known
        edges = np.quantile(inside[inside == stars.r], np.linspace(0.0, 1.0, len(SHELLS)))
        chi2 = []
        for k in (0, -1):
            pos = np.stack([orbits.x(t)[:, k], orbits.y(t)[:, k], orbits.z(t)[:, k]], axis=1) * ro
            vel = (
                np.stack([orbits.vx(t)[:, k], orbits.vy(t)[:, k], orbits.vz(t)[:, k]], axis=1) * vo
            )
            r = np.linalg.norm(pos, axis=1)
            v_r = np.sum(pos * vel, axis=1) / r
            v_t = np.sqrt(np.maximum(np.sum(vel**2, axis=1) - v_r**2, 0.0))
            shells = shell_z(r, v_r, v_t, pressure, anisotropy.beta, edges)
            chi2.append(np.sum(shells**2, axis=1))
        (s0, b0), (s1, b1) = chi2
        print(f"{name:<28}{s0:9.1f}{s1:8.1f}{b0:9.1f}{b1:8.1f}{seconds:9.1f}")


def speed_table(n: int = 100_000, repeats: int = 5) -> None:
    """Print seconds for ``n`` stars beside galpy's samplers (medians of ``repeats``)."""
    from galpy.df import constantbetaHernquistdf, osipkovmerrittNFWdf
    from galpy.potential import HernquistPotential, NFWPotential

    def median(draw):
        draw()
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            draw()
            times.append(time.perf_counter() - start)
        return np.median(times)

    rows = []
    for name, (potential_spec, beta_spec) in CASES.items():
        solved = OrbitSuperposition.solve(
            make_potential(potential_spec),
            make_density(BIRD),
            make_anisotropy(beta_spec),
            1.0,
            300.0,
        )
        of = Uniforms(1), numbers(0, n)
        rows.append(
            (f"haloassay, {name}", median(lambda s=solved, of=of: orient(*s.sample(*of), *of)))
        )
    start = time.perf_counter()
    om = osipkovmerrittNFWdf(NFWPotential(a=2.0, normalize=1.0), ra=2.5, rmax=40.0)
    om.sample(n=10)
    setup = time.perf_counter() - start
    rows.append(
        (f"galpy, Osipkov-Merritt NFW (set-up {setup:.1f} s)", median(lambda: om.sample(n=n)))
    )
    hernquist = constantbetaHernquistdf(HernquistPotential(a=2.0, amp=2.0), beta=0.25)
    rows.append(("galpy, Hernquist beta = 0.25", median(lambda: hernquist.sample(n=n))))
    print(f"\nseconds for {n} stars with positions and velocities, median of {repeats}, one run")
    for name, seconds in rows:
        print(f"{name:<52}{seconds:8.3f}")


if __name__ == "__main__":
    moments_table()
    stationarity_table()
    speed_table()
