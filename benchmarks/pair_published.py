"""Numbers of the pair that haloassay ships, of rigid galaxies and of publications, side by side.

    python benchmarks/pair_published.py stars|lmc run.npz

``run.npz`` is made by ``deforming_pair.py make``. ``stars``: compression and dipole of halo stars beside Table 3 of Li
et al. (2026), 3 minutes of a core. ``lmc``: how the Milky Way answers, and the mass of the LMC; published numbers are
from memory, what is said of Erkal et al. (2021) and Vasiliev (2023) is of their abstracts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from deforming_pair import NFW, SPAN, Run, heading, polar, rigid_forth, row, turned

from haloassay.base.constants import GYR_PER_KPC_KMS
from haloassay.contracts import sky
from haloassay.mocks import make_mock
from haloassay.mocks.lmc.trajectory import LMC

#: Li et al. (2026), Table 3: mu_compr, mu_dipole, l and b of the apex.
PUBLISHED = {
    (50.0, 60.0): ("-17.5 ± 2.4", "-18.1 ± 3.5", "-88 ± 20", "-49 ± 9"),
    (60.0, 80.0): ("-17.5 ± 2.2", "-20.0 ± 4.2", "-14 ± 11", "-42 ± 9"),
    (80.0, 120.0): ("-19.0 ± 2.8", "-44.0 ± 5.4", "-28 ± 24", "-24 ± 16"),
    (50.0, 120.0): ("-17.9 ± 1.9", "-24.0 ± 3.8", "-35 ± 8", "-38 ± 6"),
}
#: What is said of stars in each shell.
SAID = ("mu_compr", "mu_dipole", "l of the apex", "b of the apex", "mean v_r", "mean velocity")


def stars(_: Run) -> None:
    """Halo stars over the whole sky in the packaged pair, in the rigid one and without an LMC."""
    tracers = {
        "kind": "equilibrium",
        "potential": [NFW, {"kind": "mwpotential2014-baryons"}],
        "density": {"kind": "power-law", "slope": -4.0},
        "beta": 0.5,
        "r_range": [30.0, 150.0],
        "population": {"size": 48_000, "tolerance": 1e-5},
    }
    lmcs = {
        "deforming": {"kind": "expansions"},
        "rigid": {"time": SPAN},
        "no LMC": {"time": SPAN, "mass": 0.0},
    }
    heading("kpc", "of stars [km/s, deg]", *lmcs, "Li et al. (2026)")
    found = {name: make_mock({**tracers, "lmc": lmc}) for name, lmc in lmcs.items()}
    for (lo, hi), published in PUBLISHED.items():
        columns = []
        for mock in found.values():
            population = mock.population.stars
            own = population.select((population.r > lo) & (population.r < hi))
            columns.append(fitted(own.position, own.velocity))
        for k, name in enumerate(SAID):
            where = f"{lo:g} to {hi:g}" if not k else ""
            row(where, name, *(c[k] for c in columns), (*published, "", "")[k])


def fitted(x: np.ndarray, v: np.ndarray) -> list[str]:
    """Compression and dipole of v_r by least squares, the mean of v_r, and the size of that of all velocities."""
    r = np.linalg.norm(x, axis=1)
    n = x / r[:, None]
    v_r = np.sum(n * v, axis=1)
    design = np.hstack([np.ones((len(r), 1)), n])
    inverse = np.linalg.inv(design.T @ design)
    d = inverse @ design.T @ v_r
    left = float(np.std(v_r - design @ d))
    error = left * np.sqrt(np.diag(inverse))
    speed, lon, lat = (float(each) for each in sky.apex(d[1:]))
    across = float(np.degrees(error[1:].mean() / max(abs(speed), 1e-9)))
    angles = (f"{lon:+.0f} ± {across / np.cos(np.radians(lat)):.0f}", f"{lat:+.0f} ± {across:.0f}")
    return [
        f"{d[0]:+.1f} ± {error[0]:.1f}",
        f"{speed:+.1f} ± {error[1:].mean():.1f}",
        *(angles if -speed > 3.0 * error[1:].mean() else ("", "")),
        f"{v_r.mean():+.1f} ± {v_r.std() / np.sqrt(len(r)):.1f}",
        f"{np.linalg.norm(v.mean(axis=0)):.1f} ± {v.std() / np.sqrt(len(r)):.1f}",
    ]


#: Radii [kpc] of the masses of the LMC that are published.
MASS_AT = {
    8.7: "1.7 ± 0.7 (van der Marel & Kallivayalil 2014)",
    13.2: "2.7 ± 0.4 (Watkins et al. 2024)",
    32.4: "7.0 ± 0.9 (Koposov et al. 2023)",
    250.0: "13.8 ± 2.5 in all (Erkal et al. 2019)",
}


def lmc(run: Run) -> None:
    """Say of the run and of the rigid pair what has been published of the real one and of other models."""
    k = len(run.times) - 1
    x, v = run.snapshot(k), run.velocities()
    dark = slice(0, run.n)
    r = np.linalg.norm(x[dark], axis=1)
    heading("now", "run", "rigid", "published")
    # seen from the inertial frame of the start, turned as the sky is
    moved = run.rows[:, 1:4] @ run.turn.T
    paths = [
        (moved[-1] - moved[0], run.rows[-1, 4:7] @ run.turn.T),
        rigid_reflex(run),
    ]
    speeds = [f"{np.linalg.norm(each[1]):.0f}" for each in paths]
    row("speed of the centre [km/s]", *speeds, "up to 75 (Gomez et al. 2015)")
    lengths = [f"{np.linalg.norm(each[0]):.0f}" for each in paths]
    row("way of the centre in 2.2 Gyr [kpc]", *lengths, "up to 30 (Gomez et al. 2015)")
    apexes = [sky.apex(-each[1])[1:] for each in paths]
    places = [f"{float(lon):+.0f}, {float(lat):+.0f}" for lon, lat in apexes]
    row("it moves to l, b [deg]", *places, "")
    for lo, hi, told in (
        (40.0, 120.0, "32 ± 4, to +56, -34 (Petersen & Penarrubia 2021)"),
        (80.0, 120.0, "40 at 100 kpc (Chandra et al. 2025)"),
    ):
        own = (r > lo) & (r < hi)
        mean = v[dark][own].mean(axis=0)
        _, lon, lat = (float(each) for each in sky.apex(mean))
        said = f"{np.linalg.norm(mean):.0f}, to {lon:+.0f}, {lat:+.0f}"
        row(f"centre beside dark matter, {lo:g} to {hi:g} kpc", said, "", told)
    far = (r > 50.0) & (r < 120.0)
    out = np.sum(x[dark] * v[dark], axis=1) / r
    halves = [out[far & (sign * x[dark][:, 2] > 0.0)] for sign in (1.0, -1.0)]
    said = ", ".join(f"{h.mean():+.1f} ± {h.std() / np.sqrt(len(h)):.1f}" for h in halves)
    row(
        "mean v_r of dark matter, 50 to 120 kpc, north, south [km/s]",
        said,
        "",
        "red in the north, blue in the south, as with 1.5e11 Msun (Erkal et al. 2021)",
    )
    share = LMC().mass / NFW["m200"]
    row("LMC beside the Milky Way", f"{share:.2f}", f"{share:.2f}", "0.1 to 0.2 (Vasiliev 2023)")
    own = slice(run.n, None)
    distance = np.linalg.norm(x[own] - run.path(run.times[k]), axis=1)
    for at, told in MASS_AT.items():
        mass = run.mass[own][0] * np.count_nonzero(distance < at) / 1e10
        rigid = float(LMC().profile.enclosed_mass(at)) / 1e10
        row(f"LMC within {at:g} kpc [1e10 Msun]", f"{mass:.1f}", f"{rigid:.1f}", told)


def rigid_reflex(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Way [kpc] and velocity [km/s] of the centre beside the rigid LMC, from the start of the run."""
    seen = polar(np.array(LMC().position), np.array(LMC().velocity))
    t, y = rigid_forth(run.kept["orbit"], True, seen[1])
    turn = turned(y[-1, :3], y[-1, 3:6])
    velocity = y[:, 6:] @ turn.T
    way = np.trapezoid(velocity, t / GYR_PER_KPC_KMS, axis=0)
    return way, velocity[-1]


if __name__ == "__main__":
    tasks = {"stars": stars, "lmc": lmc}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=list(tasks))
    parser.add_argument("run", type=Path)
    asked = parser.parse_args()
    tasks[asked.what](Run(asked.run))
