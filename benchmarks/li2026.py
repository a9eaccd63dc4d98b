"""Gaussian models of Li et al. (2026): their tables as input, speed as published, bias and coverage.

Run with ``python benchmarks/li2026.py [tables] [speed] [coverage]``, OMP_NUM_THREADS=1; all three without
arguments. Stars are drawn from the published parameters (``../shared/reference`` beside the repository), with
Gaussian errors of about 25 km/s a component and 0.1 dex; no survey, so nothing but the method is tested.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from haloassay.base.errors import EstimationError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import spherical_basis
from haloassay.estimators.fit.ellipsoid import anisotropy
from haloassay.estimators.fit.posterior import EmceeRun, explore
from haloassay.estimators.gaussian_mixture import (
    GaussianMixture,
    MixtureLikelihood,
    mixture_bounds,
    mixture_start,
    ordered,
)
from haloassay.estimators.gaussian_single import LI2026_BINS, GaussianSingle, Sample

FloatArray = NDArray[np.float64]

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"
AXES = ("v_r", "v_theta", "v_phi", "feh_mean", "sigma_r", "sigma_theta", "sigma_phi", "feh_sigma")
NAMES = (*(f"{a}.mr" for a in AXES), *(f"{a}.mp" for a in AXES), "p_mr", "beta.mr", "beta.mp")


def published() -> tuple[FloatArray, NDArray[np.int64]]:
    """Parameters (14, 17) of Table 2, the whole sample first, and numbers of stars (14,) of Table 1."""

    def table(name: str) -> list[dict[str, str]]:
        with (REFERENCE / f"li2026_table{name}.csv").open() as file:
            return list(csv.DictReader(file))

    rich, poor, single = table("2_metal_rich"), table("2_metal_poor"), table("1_single_component")
    rows = [
        [*(float(a[k]) for k in AXES), *(float(b[k]) for k in AXES), float(a["p_mr"])]
        for a, b in zip(rich, poor, strict=True)
    ]
    return np.array(rows), np.array([int(row["n_stars"]) for row in single])


def draw(n: int, point: FloatArray, rng: np.random.Generator) -> Sample:
    """Stars of a mixture with parameters (17,), each with its own errors."""
    rich = rng.random(n) < point[16]
    mean = np.where(rich, point[:4, None], point[8:12, None])
    sigma = np.where(rich, point[4:8, None], point[12:16, None])
    kms = 25.0 * rng.uniform(0.3, 1.7, n)
    error = np.stack([kms, kms, kms, 0.1 * rng.uniform(0.3, 1.7, n)])
    return Sample(mean + np.hypot(sigma, error) * rng.standard_normal((4, n)), error**2)


def catalogue(sample: Sample, r: FloatArray, rng: np.random.Generator) -> Catalogue:
    """Catalogue of stars at radii r, isotropic on the sky."""
    toward = rng.standard_normal((len(r), 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    velocity = np.einsum("kn,nki->in", sample.x[:3], spherical_basis(toward))
    columns = dict(zip(("x", "y", "z"), (r[:, None] * toward).T, strict=True))
    columns |= dict(zip(("vx", "vy", "vz"), velocity, strict=True))
    columns |= dict.fromkeys(("vx_err", "vy_err", "vz_err"), np.sqrt(sample.e2[0]))
    return Catalogue.from_arrays(**columns, feh=sample.x[3], feh_err=np.sqrt(sample.e2[3]))


def tables() -> None:
    """Recovered parameters beside the input, bin by bin."""
    points, counts = published()
    rng = np.random.default_rng(2026)
    parts, radii = [], []
    for point, n, lo, hi in zip(points[1:], counts[1:], LI2026_BINS, LI2026_BINS[1:], strict=False):
        parts.append(draw(n, point, rng))
        radii.append(rng.uniform(lo, hi, n))
    sample = Sample(np.hstack([p.x for p in parts]), np.hstack([p.e2 for p in parts]))
    stars = catalogue(sample, np.concatenate(radii), rng)
    start = time.process_time()
    found = GaussianMixture(bins=LI2026_BINS).estimate(stars, rng)
    mixture_seconds = time.process_time() - start
    start = time.process_time()
    one = GaussianSingle(bins=LI2026_BINS).estimate(stars, rng)
    seconds = time.process_time() - start
    print(f"{len(stars)} stars, 13 bins: mixture {mixture_seconds:.1f} s, single {seconds:.1f} s")
    pulls = []
    for quantity in GaussianMixture.yields:
        base, _, which = quantity.partition(".")
        column = base.removeprefix("mean_")
        print(f"\n{quantity}: bin, input, recovered, its 68 per cent interval, pull")
        for row, point in zip(found.of(quantity), points[1:], strict=True):
            part = point[:8] if which == "mr" else point[8:16]
            if base == "beta":
                truth = float(anisotropy(part[4:7]))
            else:
                truth = point[16] if base == "p_mr" else part[AXES.index(column)]
            line = f"{row.r_lo:6.1f}-{row.r_hi:<6.1f}{truth:10.3f}"
            if row.note:
                print(line, row.note)
                continue
            pull = (row.value - truth) / (0.5 * (row.hi68 - row.lo68))
            pulls.append(pull)
            print(f"{line}{row.value:10.3f}  [{row.lo68:.3f}, {row.hi68:.3f}]{pull:7.2f}")
    print(f"\npulls of {len(pulls)} values: mean {np.mean(pulls):.2f}, rms {np.std(pulls):.2f}")
    beta = ", ".join(f"{row.value:.2f}" for row in one.of("beta"))
    print(f"beta of the single component, of this mixture: {beta}")


def speed(steps: int = 1000) -> None:
    """Time the fast path and emcee as published on the whole sample, and compare them."""
    points, counts = published()
    sample = draw(int(counts[0]), points[0], np.random.default_rng(1))
    method = GaussianMixture(n_draws=1000)
    method.posterior(draw(300, points[0], np.random.default_rng(2)), np.random.default_rng(2))
    start = time.process_time()
    fast = method.posterior(sample, np.random.default_rng(3))
    seconds = time.process_time() - start
    print(f"{len(sample)} stars, 17 parameters: {seconds:.2f} s, k_hat {fast.k_hat:.2f}", end=", ")
    print(f"{fast.effective:.0f} effective draws")
    bounds = mixture_bounds(method.prior)
    rng = np.random.default_rng(4)
    point = mixture_start(sample, bounds, rng)
    likelihood = MixtureLikelihood(sample, point)
    start = time.process_time()
    chain = explore(
        likelihood, point, likelihood.widths(point), 20000, rng,
        sampler="emcee", emcee=EmceeRun(100, steps, 400 * steps // 1000), bounds=bounds,
    )  # fmt: skip
    seconds = time.process_time() - start
    print(f"emcee, 100 walkers x {steps} steps, the same kernel: {seconds:.0f} s, {chain.note}")
    print(
        f"{'':16}{'median':>10}{'width':>10}{'median':>10}{'width':>10}{'shift/width':>12}{'ratio':>8}"
    )
    for k, name in enumerate(NAMES[:17]):
        a, b = (np.percentile(p[:, k], [16, 50, 84]) for p in (fast.draws, ordered(chain.draws)))
        width = 0.5 * (b[2] - b[0])
        print(
            f"{name:16}{a[1]:10.3f}{0.5 * (a[2] - a[0]):10.4f}{b[1]:10.3f}{width:10.4f}"
            f"{(a[1] - b[1]) / width:12.2f}{0.5 * (a[2] - a[0]) / width:8.2f}"
        )


def coverage(n_samples: int = 200) -> None:
    """Bias and coverage over samples of the model's own stars."""
    points, _ = published()
    for n in (300, 3000):
        for label, method, point in (
            ("single", GaussianSingle(), np.append(points[0, :16], 1.0)),
            ("mixture", GaussianMixture(), points[0]),
        ):
            truth = {}
            for which, part in (("mr", point[:8]), ("mp", point[8:16])):
                suffix = f".{which}" if label == "mixture" else ""
                for name, value in zip(AXES, part, strict=True):
                    name = f"mean_{name}" if name.startswith("v_") else name
                    truth.setdefault(name + suffix, value)
                truth.setdefault("beta" + suffix, float(anisotropy(part[4:7])))
            truth["p_mr"] = point[16]
            rows: dict[str, list[list[float]]] = {}
            for k in range(n_samples):
                rng = np.random.default_rng([n, k])
                stars = catalogue(draw(n, point, rng), np.full(n, 10.0), rng)
                for row in method.estimate(stars, rng):
                    if not row.note:
                        value = truth[row.quantity]
                        inside = [row.lo68 < value < row.hi68, row.lo95 < value < row.hi95]
                        rows.setdefault(row.quantity, []).append([row.value - value, *inside])
            _report(f"{label}, {n} stars, {n_samples} samples", rows, method.yields)


def _report(title: str, rows: dict[str, list[list[float]]], names: tuple[str, ...]) -> None:
    print(
        f"\n{title}: bias, its Monte Carlo error, their ratio; coverage of 68 and 95 per cent; number"
    )
    for name in names:
        if name not in rows:
            print(f"{name:20} no value")
            continue
        error, in68, in95 = np.array(rows[name]).T
        bias, mcse = error.mean(), error.std(ddof=1) / np.sqrt(len(error))
        print(
            f"{name:20}{bias:10.4f}{mcse:10.4f}{bias / mcse:7.1f}{in68.mean():8.3f}{in95.mean():8.3f}"
            f"{len(error):6d}"
        )


def main() -> None:
    """Print what is asked for."""
    wanted = sys.argv[1:] or ["tables", "speed", "coverage"]
    for name in wanted:
        try:
            {"tables": tables, "speed": speed, "coverage": coverage}[name]()
        except EstimationError as error:
            print(error)


if __name__ == "__main__":
    main()
