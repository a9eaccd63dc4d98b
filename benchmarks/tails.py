"""What depends on the distribution function where density and anisotropy do not: tails by family.

Run with ``python benchmarks/tails.py [kurtosis] [exact] [mixture] [ellipsoid]``; all four take 8 minutes on one core.

1. ``kurtosis``: of v_r and v_theta at 10, 22 and 60 kpc, for every family that there is.
2. ``exact``: chi^2 of sigma_r and beta of 1e6 stars in 12 shells against a Jeans solution that shares no code with the
   sampler; and of v_r^2, v_t^2, v_r^4 and v_t^4 of 40 000 stars before and after 3 Gyr in the NFW halo.
3. ``mixture``: what `gaussian-mixture` makes of both populations of the scenario
   li2026-distance-errors, on perfect data; local Jeans Gaussians, which it assumes, beside.
4. ``ellipsoid``: coverage of `velocity-ellipsoid` at 20 to 25 kpc in the mock of the scenario quickstart, no errors.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from sampler import BARYONS, BIRD, NFW, SHELLS, jeans_pressure, shell_z

from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import spherical_velocity
from haloassay.estimators import make_estimator
from haloassay.mocks import make_mock
from haloassay.mocks.equilibria.anisotropy import make_anisotropy
from haloassay.mocks.equilibria.distributions import make_distribution
from haloassay.mocks.equilibria.equilibrium import OrbitSuperposition
from haloassay.mocks.equilibria.tracers import make_density
from haloassay.mocks.gravity.fields import make_field
from haloassay.mocks.gravity.integration import integrate
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.mocks.stars import Stars, orient
from haloassay.mocks.uniforms import Uniforms, numbers
from haloassay.planning.scenario import load_scenario

POWERS, GAUSSIAN, SEPARABLE = ({"kind": k} for k in ("power-law", "gaussian", "cuddeford"))
QUICKSTART = load_scenario("quickstart").mock["beta"]


def wish(tangential: float) -> dict[str, Any]:
    """Distribution with a kurtosis of v_theta between 15 and 60 kpc."""
    return {"kind": "kurtosis", "r": [15.0, 60.0], "tangential": tangential}


BETAS = {
    "0": (0.0, [POWERS, GAUSSIAN, SEPARABLE]),
    "-0.5": (-0.5, [POWERS, GAUSSIAN, SEPARABLE]),
    "0.5": (0.5, [POWERS, GAUSSIAN, SEPARABLE]),
    "0.9": (0.9, [POWERS, GAUSSIAN, SEPARABLE, wish(8.5)]),
    "r_a = 20 kpc": (
        {"kind": "osipkov-merritt-profile", "r_a": 20.0},
        [POWERS, GAUSSIAN, SEPARABLE],
    ),
    "quickstart": (QUICKSTART, [POWERS, GAUSSIAN, wish(4.5)]),
}


#: Cases of :func:`exact`.
EXACT = [
    ("0.5", GAUSSIAN),
    ("0.5", SEPARABLE),
    ("r_a = 20 kpc", SEPARABLE),
    *(("quickstart", family) for family in BETAS["quickstart"][1]),
]


def named(distribution: dict[str, Any]) -> str:
    """Kind, and the wished kurtosis."""
    wished = distribution.get("tangential")
    return distribution["kind"] + ("" if wished is None else f" {wished:g}")


def solved(
    beta: Any, distribution: dict[str, Any], r_range=(1.0, 300.0), potential=(NFW, BARYONS)
) -> OrbitSuperposition:
    """Equilibrium in the Milky Way of the scenario quickstart."""
    return OrbitSuperposition.solve(
        make_potential(list(potential)),
        make_density(BIRD),
        make_anisotropy(beta),
        *r_range,
        distribution=make_distribution(distribution),
    )


def kurtosis() -> None:
    """Print the kurtoses of every family."""
    print("kurtosis of v_r and of v_theta (3 for Gaussian velocities) at 10, 22 and 60 kpc")
    for name, (beta, families) in BETAS.items():
        for distribution in families:
            solution = solved(beta, distribution)
            at = np.searchsorted(solution.radius, [10.0, 22.0, 60.0])
            radial, across = solution.kurtosis_r[at], solution.kurtosis_t[at]
            pairs = "".join(f"{a:8.2f}{b:8.2f}" for a, b in zip(radial, across, strict=True))
            print(f"beta {name:<14}{named(distribution):<14}{pairs}", flush=True)


def exact(n: int = 1_000_000) -> None:
    """Print chi^2 of the moments of stars: as drawn, and of others before and after 3 Gyr."""
    potential, density = make_potential([NFW, BARYONS]), make_density(BIRD)
    print(
        f"\n{n} stars, 12 shells from 4 to 130 kpc, chi^2 of 12: sigma_r and beta against Jeans; v_r^2, v_t^2, v_r^4,"
        " v_t^4 of 40 000 against the weights, drawn; the same after 3 Gyr"
    )
    for name, distribution in EXACT:
        beta = BETAS[name][0]
        anisotropy = make_anisotropy(beta)
        pressure = jeans_pressure(potential, density, anisotropy)
        r, v_r, v_t = solved(beta, distribution).sample(Uniforms(2026), numbers(0, n))
        drawn = np.sum(shell_z(r, v_r, v_t, pressure, anisotropy.beta) ** 2, axis=1)
        cells = "".join(f"{x:7.1f}" for x in (*drawn, *_followed(beta, distribution)))
        print(f"beta {name:<14}{named(distribution):<14}{cells}", flush=True)


def _followed(beta: Any, distribution: dict[str, Any], n: int = 40_000) -> list[float]:
    """Chi^2 of four moments of stars as drawn and after 3 Gyr, of those that can come to the shells.

    In the halo alone: a disc's field is not round, and the equilibrium is that of its spherical average.
    """
    solution = solved(beta, distribution, (0.1, 600.0), [NFW])
    rng = np.random.default_rng(5)
    potential = make_potential([NFW])
    of = Uniforms.of(rng), numbers(0, n)
    stars = Stars.of(*orient(*solution.sample(*of), *of))
    energy = 0.5 * np.sum(stars.velocity**2, axis=1) + potential.potential(stars.r)
    stars = stars.select(energy > potential.potential(SHELLS[0]))
    orbits = integrate(make_field(potential), stars.position, stars.velocity, 0.0, 3.0, 1e-7)
    before = _chi2(solution, stars.position, stars.velocity)
    return before + _chi2(solution, orbits.position, orbits.velocity)


def _chi2(solution: OrbitSuperposition, position: np.ndarray, velocity: np.ndarray) -> list[float]:
    r, v = np.linalg.norm(position, axis=1), spherical_velocity(position, velocity)
    r2, t2 = v[:, 0] ** 2, v[:, 1] ** 2 + v[:, 2] ** 2
    shell = np.digitize(r, SHELLS) - 1
    moments = (
        (r2, solution.radial),
        (t2, solution.tangential),
        (r2**2, solution.radial4),
        (t2**2, solution.tangential4),
    )
    chi2 = []
    for values, told in moments:
        excess = values - np.interp(np.log(r), np.log(solution.radius), told / solution.mass)
        parts = [excess[shell == k] for k in range(len(SHELLS) - 1)]
        chi2.append(float(sum(p.mean() ** 2 / (p.var() / len(p)) for p in parts)))
    return chi2


def mixture(realizations: int = 6, n: int = 4000) -> None:
    """Print what the mixture of two Gaussians returns, by the family of both populations."""
    table = load_scenario("li2026-distance-errors").mock
    method = make_estimator({"kind": "gaussian-mixture", "bins": [20.8, 28.7]})
    print(f"\ngaussian-mixture, {n} stars from 20.8 to 28.7 kpc, perfect, mean of {realizations}")
    wished = {"mr": wish(8.5), "mp": GAUSSIAN}
    for family in (POWERS, GAUSSIAN, wished, None):
        parts = []
        for part in table["populations"]:
            own = {} if family is None else {"distribution": family.get(part["name"], family)}
            parts.append({**part, **own})
        kind = "equilibrium" if family else "local-jeans-gaussian"
        mock = make_mock({**table, "kind": kind, "populations": parts})
        rows: dict[str, list[tuple[float, float]]] = {}
        for k in range(realizations):
            stars = mock.sample(24 * n, np.random.default_rng([7, k]))
            inside = np.flatnonzero((stars.r > 20.8) & (stars.r < 28.7))[:n]
            stars = stars.select(inside)
            found = method.estimate(_catalogue(stars), np.random.default_rng([8, k]))
            for row in found:
                if row.quantity in ("p_mr", "beta.mr", "beta.mp") and not row.note:
                    truth = mock.truth.value(row.quantity, row.r, row.r_lo, row.r_hi, stars)
                    rows.setdefault(row.quantity, []).append((row.value, truth))
        told = []
        for quantity, pairs in rows.items():
            value, truth = np.array(pairs).T
            error = value.std(ddof=1) / np.sqrt(len(value))
            told.append(f"{quantity} {value.mean():.3f} +- {error:.3f} (truth {truth.mean():.3f})")
        stated = mock.truth.to_dict([24.5])
        tails = [round(stated[f"kurtosis_theta.{p}"][0], 1) for p in ("mr", "mp")]
        name = "Gaussians" if family is None else family.get("kind", "8.5, gaussian")
        print(f"{name:<14} kurtosis of v_theta {tails}: {'; '.join(told)}", flush=True)


def _catalogue(stars: Stars) -> Catalogue:
    columns = np.hstack([stars.position, stars.velocity]).T
    names = ("x", "y", "z", "vx", "vy", "vz")
    return Catalogue.from_arrays(**dict(zip(names, columns, strict=True)), feh=stars.feh)


def ellipsoid() -> None:
    """Print the coverage of the ellipsoid's intervals, by family and number of stars."""
    quantities = ("sigma_r", "sigma_theta", "beta", "kurtosis_r", "kurtosis_theta")
    method = make_estimator({"kind": "velocity-ellipsoid", "n_draws": 400})
    print(f"\nvelocity-ellipsoid, 68 per cent intervals: coverage of {', '.join(quantities)}")
    families = {named(d): (QUICKSTART, d) for d in (POWERS, GAUSSIAN, wish(4.5))}
    families["beta 0.75, cuddeford"] = (0.75, SEPARABLE)
    for name, (beta, distribution) in families.items():
        pool = _pool(solved(beta, distribution, (2.5, 250.0)))
        square, fourth = np.mean(pool**2, axis=0), np.mean(pool**4, axis=0)
        sigma, tails = np.sqrt(square), fourth / square**2
        truth = [*sigma[:2], 1.0 - 0.5 * (square[1] + square[2]) / square[0], *tails[:2]]
        for n, runs in ((300, 400), (3000, 200)):
            inside = np.zeros(len(quantities))
            for k in range(runs):
                rng = np.random.default_rng([11, k])
                v = pool[rng.integers(len(pool), size=n)]
                found = method.estimate(_along_one_axis(v), rng)
                for i, quantity in enumerate(quantities):
                    (row,) = found.of(quantity)
                    inside[i] += row.lo68 < truth[i] < row.hi68  # one without a value misses
            cells = " ".join(f"{x:.2f}" for x in inside / runs)
            print(
                f"{name:<22} kurtosis {tails[0]:.1f} {tails[1]:.1f}, N = {n:<5} {cells}", flush=True
            )


def _pool(solution: OrbitSuperposition) -> np.ndarray:
    """(N, 3) spherical velocities of stars between 20 and 25 kpc, whose moments are the truth."""
    rng = np.random.default_rng(1)
    r, v_r, v_t = solution.sample(Uniforms.of(rng), numbers(0, 3_000_000))
    there = (r > 20.0) & (r < 25.0)
    angle = 2.0 * np.pi * rng.random(there.sum())
    return np.stack([v_r[there], v_t[there] * np.cos(angle), v_t[there] * np.sin(angle)], axis=1)


def _along_one_axis(v: np.ndarray) -> Catalogue:
    """Catalogue of stars at one place on the x axis, where v_r, v_theta, v_phi are v_x, v_z, v_y."""
    x, z = np.full(len(v), 22.0), np.zeros(len(v))
    return Catalogue.from_arrays(x=x, y=z, z=z, vx=v[:, 0], vy=v[:, 2], vz=v[:, 1])


def main() -> None:
    """Print what is asked for."""
    tables = {"kurtosis": kurtosis, "exact": exact, "mixture": mixture, "ellipsoid": ellipsoid}
    for name in sys.argv[1:] or tables:
        tables[name]()


if __name__ == "__main__":
    main()
