"""Reflex motion of the SEGUE K giants beside the published fit, and what distance errors do to it.

Run with ``python benchmarks/reflex_segue.py [DATA]``; DATA is the folder with the published samples of
Yaaqib, Petersen & Penarrubia (2024). Their v_theta is positive to the south and stands here with the
opposite sign; apex, v_travel, v_r and v_phi have the same signs in both.

Three tables: their samples with their likelihood and with ours, with all stars and without those whose
tangential velocity is absurd; the same by the ensemble sampler, with times; and the bias of each way to
count distance errors, on simulated stars in the footprint of a northern survey.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from haloassay.base.constants import KMS_PER_MASYR_KPC
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import Sun, galactocentric_to_heliocentric, spherical_basis
from haloassay.contracts.sky import apex, wrapped
from haloassay.estimators.reflex import Reflex6D
from haloassay.io.tables import read_catalogue

SUN = Sun(x=-8.3, z=0.02, vx=11.1, vy=244.24, vz=7.25)
#: The 17th column is the correlation of the proper-motion errors.
COLUMNS = "-,-,-,-,-,-,l,b,distance,vlos,pm_l,pm_b,distance_err,vlos_err,pm_l_err,pm_b_err,pm_corr"
NAMES = (
    *("apex_l", "apex_b", "v_travel", "bulk_v_r", "bulk_v_phi", "bulk_v_theta"),
    *("sigma_los", "sigma_l", "sigma_b"),
)
#: Values and errors in the order of NAMES.
PUBLISHED = {
    "50+": ((40, -36, 40, -5, -30, -19, 88, 61, 70), (11, 13, 7, 7, 6, 8, 5, 5, 5)),
    "40+": ((61, -50, 30, -15, -23, -26, 94, 77, 84), (15, 12, 6, 5, 5, 6, 3, 4, 4)),
}
#: Tangential velocity [km/s] above which a halo star is absurd.
ABSURD = 800.0


def line(label: str, values: object, errors: object, seconds: float | None = None) -> None:
    """Print one row of a table."""
    cells = "".join(f"{v:9.1f} +-{e:5.1f}" for v, e in zip(values, errors, strict=True))
    print(f"{label:34s}{cells}" + ("" if seconds is None else f"{seconds:8.2f} s"))


def fit(label: str, estimator: Reflex6D, catalogue: Catalogue) -> None:
    """Fit and print; the first run, which compiles, is not timed."""
    estimator.estimate(catalogue.select(np.arange(40)), np.random.default_rng(0))
    begin = time.perf_counter()
    rows = {r.quantity: r for r in estimator.estimate(catalogue, np.random.default_rng(0))}
    seconds = time.perf_counter() - begin
    half = [0.5 * (rows[name].hi68 - rows[name].lo68) for name in NAMES]
    line(label, [rows[name].value for name in NAMES], half, seconds)


def published(folder: Path) -> None:
    """Print the samples of the paper with their likelihood and with ours."""
    theirs = Reflex6D(**Reflex6D.published)
    for sample, (values, errors) in PUBLISHED.items():
        path = folder / f"KGiant_YPP24sgr_{sample}.txt"
        stars = read_catalogue(path, COLUMNS, sun=SUN, speed_limit=1e5)
        across = KMS_PER_MASYR_KPC * stars["distance"] * np.hypot(stars["pmra"], stars["pmdec"])
        sane = stars.select(across < ABSURD)
        spread = np.median(stars.error("distance") / stars["distance"])
        print(f"\n{sample} kpc, {len(stars)} stars, median distance error {spread:.2f}")
        print(" " * 34 + "".join(f"{name:>16s}" for name in NAMES))
        line("published (MultiNest)", values, errors)
        fit("as published", theirs, stars)
        fit("as published, emcee", replace(theirs, sampler="emcee"), stars)
        fit("solar distance term", Reflex6D(), stars)
        fit(f"as published, {len(sane)} sane stars", theirs, sane)
        fit(f"solar term, {len(sane)} sane stars", Reflex6D(), sane)


def simulated(n: int, distance_error: float, rng: np.random.Generator) -> Catalogue:
    """Stars at 50 to 80 kpc, abs(b) > 20 deg, Dec > -20 deg, on the model with scatter 90 km/s."""
    toward = rng.standard_normal((4 * n, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    position = 50.0 * 1.6 ** rng.random(4 * n)[:, None] * toward
    bulk = np.einsum("k,nki->ni", BULK, spherical_basis(position))
    velocity = TRANSLATION + bulk + 90.0 * rng.standard_normal((4 * n, 3))
    sky = galactocentric_to_heliocentric(position, velocity, SUN)
    seen = (np.abs(toward[:, 2]) > 0.342) & (sky["dec"] > -20.0)
    sky = {name: values[seen][:n] for name, values in sky.items()}
    for name in ("pmra", "pmdec"):
        sky[name] = sky[name] + 0.1 * rng.standard_normal(n)
    sky["distance"] = sky["distance"] * np.maximum(
        1.0 + distance_error * rng.standard_normal(n), 0.3
    )
    error = {name: np.full(n, 0.1) for name in ("pmra_err", "pmdec_err")}
    return Catalogue.from_arrays(
        sun=SUN, **sky, **error, distance_err=distance_error * sky["distance"]
    )


TRANSLATION, BULK = np.array([-25.0, -22.0, 30.0]), np.array([-10.0, -15.0, -20.0])


def bias(n: int, n_samples: int) -> None:
    """Print the bias of each distance term."""
    mu, lon, lat = apex(TRANSLATION)
    truth = dict(
        zip(NAMES, (lon, lat, -mu, BULK[0], BULK[2], BULK[1], 90.0, 90.0, 90.0), strict=True)
    )
    print(f"\nbias +- its Monte Carlo error, {n_samples} samples of {n} stars")
    print(" " * 34 + "".join(f"{name:>16s}" for name in NAMES))
    for distance_error in (0.0, 0.11, 0.16):
        for term in ("solar", "observed", "none"):
            estimator = Reflex6D(distance_term=term, n_draws=500)
            found = []
            for k in range(n_samples):
                stars = simulated(n, distance_error, np.random.default_rng([1, k]))
                rows = estimator.estimate(stars, np.random.default_rng(k))
                by_name = {row.quantity: row for row in rows}
                found.append([by_name[name].value - truth[name] for name in NAMES])
            error = np.array(found)
            error[:, 0] = wrapped(error[:, 0])
            scatter = error.std(axis=0, ddof=1) / np.sqrt(n_samples)
            line(f"distances to {distance_error:.2f}, {term}", error.mean(axis=0), scatter)


def main() -> None:
    """Print all tables that the data allow."""
    here = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "segue-kgiants"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else here
    if folder.is_dir():
        published(folder)
    else:
        print(f"{folder} is absent: the published samples are left out")
    bias(500, 60)


if __name__ == "__main__":
    main()
