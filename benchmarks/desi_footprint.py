"""How far the footprint of the preset ``desi-kgiants`` is from DESI's, and what that does to means of v_r.

Run ``python benchmarks/desi_footprint.py``. By footprint: area (DESI states 14000 square degrees), part of the stars in
the Galactic north, mean of the Cartesian direction and of the square of z of stars seen in it, 68 kpc from the centre,
and the mean v_r of north and south [km/s] of the fields of Li et al. (2026), Table 3, at 60 to 80 and 80 to 120 kpc.
Tiles have a radius of 1.6 deg and stand on a spiral, near enough that a layer leaves no gap; the last two footprints
are cut back to 14000 square degrees, one in Galactic latitude, the other in declination: between them lies what tiles
of that area do.
"""

from __future__ import annotations

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.contracts.frames import SUNS, sky_basis
from haloassay.contracts.sky import direction
from haloassay.mocks.surveys.footprints import Footprint

COMMAND = "python benchmarks/desi_footprint.py"
#: Directions that means are taken over, radius of the stars [kpc] and square degrees of the sky.
N, RADIUS, SKY = 2_000_000, 68.0, 41252.96
#: mu_compr, mu_dipole [km/s], l and b of the apex [deg].
FIELDS = ((-17.5, -20.0, -14.3, -41.6), (-19.0, -44.0, -28.3, -23.8))
#: Radius of a tile and distance between neighbours on the spiral [deg].
TILE, STEP = 1.6, 2.4
DECLARED = {"dec_min": -18.0, "dec_max": 84.0, "b_min": 20.0}


def tiles() -> Footprint:
    """Tiles whose centres are within the declared limits."""
    n = round(SKY / STEP**2)
    dec = np.degrees(np.arcsin(1.0 - (2.0 * np.arange(n) + 1.0) / n))
    ra = (np.arange(n) * 180.0 * (3.0 - np.sqrt(5.0))) % 360.0
    inside = Footprint(**DECLARED).contains(sky_basis(ra, dec)[:, 0])
    discs = zip(ra[inside], dec[inside], strict=True)
    return Footprint(discs=tuple((float(a), float(d), TILE) for a, d in discs))


def cut_back(name: str, directions: FloatArray, sign: float) -> Footprint:
    """Move one of the declared limits until 14000 square degrees are left."""
    lo, hi = 0.0, 60.0
    for _ in range(30):
        middle = 0.5 * (lo + hi)
        footprint = Footprint(**{**DECLARED, name: DECLARED[name] + sign * middle})
        area = SKY * footprint.contains(directions).mean()
        lo, hi = (middle, hi) if area > 14000.0 else (lo, middle)
    return footprint


def main() -> None:
    """Print the table."""
    rng = np.random.default_rng(2026)
    toward = rng.standard_normal((N, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    sun = SUNS["li2026"]
    seen = (RADIUS * toward - sun.position) @ sun.rotation()
    seen /= np.linalg.norm(seen, axis=1)[:, None]
    sky = rng.standard_normal((N // 4, 3))
    sky /= np.linalg.norm(sky, axis=1)[:, None]
    b_back = cut_back("b_min", sky, 1.0)
    dec_back = cut_back("dec_min", sky, 1.0)
    footprints = {
        "whole sky": Footprint(),
        "preset: Dec -20 to 85, abs(b) > 20": Footprint(dec_min=-20.0, dec_max=85.0, b_min=20.0),
        "declared: Dec -18 to 84, abs(b) > 20": Footprint(**DECLARED),
        "tiles within the declared limits": tiles(),
        f"declared, abs(b) > {b_back.b_min:.0f}": b_back,
        f"declared, Dec > {dec_back.dec_min:.0f}": dec_back,
    }
    print(f"<!-- {COMMAND} -->")
    print("| footprint | area | north | mean x, y, z | mean z² | 60–80: N, S | 80–120: N, S |")
    print("|---|---|---|---|---|---|---|")
    for title, footprint in footprints.items():
        inside = footprint.contains(seen)
        area = SKY * footprint.contains(sky).mean()
        n = toward[inside]
        north = n[:, 2] > 0.0
        means = []
        for compression, dipole, lon, lat in FIELDS:
            v_r = compression + dipole * (n @ direction(lon, lat))
            means.append(f"{v_r[north].mean():.1f}, {v_r[~north].mean():.1f}")
        x, y, z = n.mean(axis=0)
        print(
            f"| {title} | {area:.0f} | {100 * north.mean():.0f} % | {x:.2f}, {y:.2f}, {z:.2f} |"
            f" {np.mean(n[:, 2] ** 2):.2f} | {' | '.join(means)} |"
        )


if __name__ == "__main__":
    main()
