"""Where a simulated halo is centred whose table begins at a radius: the hole, the offset, and whether it is refused.

    python benchmarks/snapshot_centres.py

NFW halos of 1e12 Msun, dark particles and a quarter as many stars. Without the check the centre is on the rim of the
hole, and M(<50 kpc) about it is wrong by the last column.
"""

from __future__ import annotations

import argparse

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.contracts.profiles import nfw_shape, virial_radius
from haloassay.mocks.snapshots.centre import first_guess, require_peak, shrinking_spheres

HOLES = (0.0, 2.0, 4.0, 6.0, 8.0, 12.0, 20.0, 30.0)
M200, C = 1e12, 10.0


def positions(n: int, rng: np.random.Generator) -> FloatArray:
    """(5 n / 4, 3) positions [kpc] of dark particles of an NFW halo, and of stars of a Hernquist sphere in it."""
    scale = float(virial_radius(M200, 67.8)) / C
    x = np.geomspace(1e-4, C, 4000)
    dark = np.interp(rng.random(n), nfw_shape(x) / nfw_shape(C), x) * scale
    root = np.sqrt(0.95 * rng.random(n // 4))
    r = np.concatenate([dark, 12.0 * root / (1.0 - root)])
    unit = rng.standard_normal((len(r), 3))
    return np.asarray(unit * (r / np.linalg.norm(unit, axis=1))[:, None])


def main() -> None:
    """Print offsets and refusals for holes of 2 to 30 kpc."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--numbers", type=int, nargs="+", default=[5000, 20_000, 200_000])
    parser.add_argument("--halos", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print("dark particles  hole [kpc]  offset [kpc]  refused  M(<50 kpc) about the centre, error")
    for n in given.numbers:
        for hole in HOLES:
            rng = np.random.default_rng([given.seed, n])
            offsets, errors, refused = [], [], 0
            for _ in range(given.halos):
                r = positions(n, rng)
                position = r[np.linalg.norm(r, axis=1) >= hole]
                mass = np.ones(len(position))
                centre = shrinking_spheres(position, mass, first_guess(position, mass, 0.0), np.inf)
                try:
                    require_peak(position, mass, centre)
                except InputError:
                    refused += 1
                offsets.append(np.linalg.norm(centre))
                inside, there = (
                    np.count_nonzero(np.linalg.norm(position - c, axis=1) < 50.0)
                    for c in (centre, np.zeros(3))
                )
                errors.append(inside / there - 1.0)
            print(
                f"{n:14d}  {hole:10.0f}  {np.mean(offsets):12.2f}  {refused} of {given.halos}"
                f"  {100.0 * np.mean(errors):+8.1f} %"
            )


if __name__ == "__main__":
    main()
