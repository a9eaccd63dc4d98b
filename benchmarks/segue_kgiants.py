"""The SEGUE K giants beyond 20 kpc through gaussian-single and reflex-6d, beside published numbers.

Run with ``python benchmarks/segue_kgiants.py [DATA]``; DATA holds the folder ``segue-kgiants``. The 2830 giants
have Sagittarius stars among them, which ``sagittarius-band`` takes out on the sky. Beside gaussian-single stand the
rows of Li et al. (2026, Table 1), of DESI's K giants in the same bins: another sample, another Sun and other distances.
Beside reflex-6d stand those of Yaaqib et al. (2024), whose cut of Sagittarius is in angular momentum
(``benchmarks/reflex_segue.py`` has their own files); their v_theta is positive to the south, and stands here with
the opposite sign. Metallicities have no errors in the file. Stars that move across faster than 800 km/s are left out,
but for the first lines of reflex-6d, which show what its ``clip`` does with them.
"""

from __future__ import annotations

import csv
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
from reflex_segue import ABSURD, NAMES, PUBLISHED, SUN, line

from haloassay.base.constants import KMS_PER_MASYR_KPC
from haloassay.cleaning.steps import make_clean
from haloassay.contracts.catalogue import Catalogue
from haloassay.estimators import make_estimator
from haloassay.io.tables import read_catalogue

SHARED = Path(__file__).resolve().parents[2] / "shared"
COLUMNS = (
    "-,-,-,-,-,-,l,b,distance,vlos,pm_l,pm_b,distance_err,vlos_err,pm_l_err,pm_b_err,feh,-,-,-,-,-,"
    "pm_corr"
)
BINS = [20.8, 24.2, 28.7, 35.8, 47.5, 60.0, 80.0, 160.0]
QUANTITIES = {
    "mean_v_r": "v_r",
    "mean_v_theta": "v_theta",
    "mean_v_phi": "v_phi",
    "sigma_r": "sigma_r",
    "sigma_theta": "sigma_theta",
    "sigma_phi": "sigma_phi",
    "beta": "beta",
    "feh_mean": "feh_mean",
    "feh_sigma": "feh_sigma",
}


#: What ``reflex-6d`` is told.
WAYS = {
    "as published": {"as_published": True},
    "solar": {},
    "solar, no clip": {"clip": "none"},
}


def giants(folder: Path) -> Catalogue:
    """All giants of the file."""
    path = folder / "segue-kgiants" / "KGiant_edr3_metal_sgr_20.txt"
    return read_catalogue(path, COLUMNS, sun=SUN, drop="unphysical", speed_limit=1e5)


def slow(stars: Catalogue) -> Catalogue:
    """Those that are not absurd."""
    across = KMS_PER_MASYR_KPC * stars["distance"] * np.hypot(stars["pmra"], stars["pmdec"])
    return stars.select(across < ABSURD)


def single(samples: dict[str, Catalogue]) -> None:
    """Print the single Gaussian of each bin and sample, and Li et al.'s."""
    with (SHARED / "reference" / "li2026_table1_single_component.csv").open() as file:
        rows = list(csv.DictReader(file))[1:]  # the first is of the whole sample
        theirs = {float(row["r_min_kpc"]): row for row in rows}
    estimator = make_estimator({"kind": "gaussian-single", "bins": BINS})
    found = {
        label: estimator.estimate(stars, np.random.default_rng(1))
        for label, stars in samples.items()
    }
    for quantity, column in QUANTITIES.items():
        print(f"\n{quantity}: bin [kpc], {', '.join(samples)}, Li et al. (2026)")
        for k, (lo, hi) in enumerate(pairwise(BINS)):
            cells = []
            for estimates in found.values():
                row = estimates.of(quantity)[k]
                half = 0.5 * (row.hi68 - row.lo68)
                cells.append("no value" if row.note else f"{row.value:9.3f} +-{half:7.3f}")
            published = theirs.get(lo, {}).get(column, "-")
            print(
                f"{lo:7.1f} to {hi:5.1f}  {'  '.join(f'{c:>22}' for c in cells)}  {published:>10}"
            )


def reflex(samples: dict[str, Catalogue]) -> None:
    """Print the reflex motion beyond 40 and 50 kpc, with both distance terms, and the published one."""
    for name, r_min in (("40+", 40.0), ("50+", 50.0)):
        print(f"\nbeyond {r_min:g} kpc" + " " * 20 + "".join(f"{q:>16s}" for q in NAMES))
        line("published", *PUBLISHED[name])
        for label, stars in samples.items():
            outer = stars.select(stars.r > r_min)
            for how, settings in WAYS.items():
                spec = {"kind": "reflex-6d", **settings}
                rows = make_estimator(spec).estimate(outer, np.random.default_rng(0))
                by_name = {row.quantity: row for row in rows}
                values = [by_name[q].value for q in NAMES]
                half = [0.5 * (by_name[q].hi68 - by_name[q].lo68) for q in NAMES]
                line(f"{label}, {how}, {len(outer)} stars", values, half)


def main() -> None:
    """Print both tables."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED / "data"
    everyone = giants(folder)
    stars = slow(everyone)
    clean = make_clean([{"kind": "sagittarius-band"}]).apply(stars)
    samples = {f"all {len(stars)}": stars, f"abs(B) > 15 deg, {len(clean)}": clean}
    single(samples)
    reflex({f"absurd ones too, {len(everyone)}": everyone, **samples})


if __name__ == "__main__":
    main()
