"""Bias, coverage and calibration of every estimator on stars of its own model, in one table.

Run with ``python benchmarks/calibration.py OUT [--estimators NAME ...] [--stars N ...]
[--realizations 400] [-j 2]``. Realisations are kept in OUT as result tables and not computed again, so the
whole can be run in pieces; the table is that of all that OUT holds. ``--table`` prints it alone, ``--rows``
every quantity and bin. The stars are what each method takes them for: velocities
Gaussian with the moments that it assumes, or drawn from its distribution function, so nothing but the
method can be off. Some samplers are those of ``tests/estimators``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import functools
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.integrate import quad
from scipy.interpolate import CubicSpline
from tables import Tables

from haloassay.analysis import calibrate, scores
from haloassay.analysis.query import open_tables
from haloassay.base import kinds
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.seeds import stream
from haloassay.contracts import labels
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.estimate import Estimate
from haloassay.contracts.frames import spherical_basis
from haloassay.contracts.profiles import nfw_enclosed_mass, virial_radius
from haloassay.contracts.quantities import QUANTITIES
from haloassay.contracts.schema import SCHEMAS
from haloassay.estimators import make_estimator
from haloassay.estimators.fit.ellipsoid import anisotropy
from haloassay.estimators.halo.baryons import Baryons, baryons_mass

# the samplers of the tests
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "estimators"))
from gaussian_samples import LI2026, catalogue_of, stars_of
from halo_samples import power_law_radii
from test_dipole import OUTER, painted
from test_power_law_df import own_model, true_mass
from test_reflex import halo as moving_halo
from test_reflex import truth_of as moving_truth
from test_shape import stretched
from test_shape import true_value as true_shape
from test_tracer_density import own_model as selected
from test_tracer_density import true_value

STARS = (300, 3000, 30000)
SEED = 2022
#: Realisations of one file.
CHUNK = 25
BINS = [5.0, 8.0, 12.0, 17.0, 24.0, 35.0, 50.0]
BETA = 0.6

Draw = Callable[[int, np.random.Generator], Catalogue]
Truth = Callable[[Estimate], float]


@dataclass(frozen=True)
class Case:
    """An estimator with its settings, stars of its own model, and what is true of them.

    ``truth`` gives NaN for a quantity that the model has no value of.
    """

    name: str
    spec: dict[str, Any]
    draw: Draw
    truth: Truth


# ---------------------------------------------------------------------------------- stars and truths


def gaussian(
    r: np.ndarray, sigma: np.ndarray, rng: np.random.Generator, error: float = 0.0
) -> Catalogue:
    """Stars at ``r``, isotropic on the sky, with Gaussian spherical velocities and equal errors."""
    toward = rng.standard_normal((len(r), 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    velocity = sigma * rng.standard_normal((len(r), 3))
    velocity = np.einsum("nk,nki->ni", velocity, spherical_basis(toward))
    delta = error * rng.uniform(0.3, 1.7, len(r))
    velocity += delta[:, None] * rng.standard_normal((len(r), 3))
    columns = np.hstack([r[:, None] * toward, velocity]).T
    errors = {f"{name}_err": delta for name in ("vx", "vy", "vz")} if error else {}
    names = ("x", "y", "z", "vx", "vy", "vz")
    return Catalogue.from_arrays(**dict(zip(names, columns, strict=True)), **errors)


def named(**values: float) -> Truth:
    """Truth by the name of the quantity."""
    return lambda row: values.get(row.quantity, np.nan)


def massive(mass: Callable[[float], float], **others: float) -> Truth:
    """Truth of masses and circular velocities at their radii, and of ``others`` by name."""

    def truth(row: Estimate) -> float:
        if row.quantity == "enclosed_mass":
            return float(mass(row.r))
        if row.quantity == "v_c":
            return float(np.sqrt(G * mass(row.r) / row.r))
        return others.get(row.quantity, np.nan)

    return truth


ELLIPSOID = np.array([140.0, 80.0, 90.0])


def ellipsoid(error: float) -> tuple[Draw, Truth]:
    def draw(n: int, rng: np.random.Generator) -> Catalogue:
        return gaussian(np.full(n, 20.0), ELLIPSOID, rng, error)

    sigmas = dict(zip(("sigma_r", "sigma_theta", "sigma_phi"), ELLIPSOID, strict=True))
    means = dict.fromkeys(("mean_v_r", "mean_v_theta", "mean_v_phi"), 0.0)
    return draw, named(**sigmas, **means, beta=float(anisotropy(ELLIPSOID)))


def exponential() -> tuple[Draw, Truth]:
    """sigma_r = 180 km/s exp(-r / 70 kpc), density r^-3.5."""

    def draw(n: int, rng: np.random.Generator) -> Catalogue:
        r = power_law_radii(n, -3.5, BINS[0], BINS[-1], rng)
        ratio = np.sqrt([1.0, 1.0 - BETA, 1.0 - BETA])
        return gaussian(r, 180.0 * np.exp(-r / 70.0)[:, None] * ratio, rng)

    def mass(r: float) -> float:
        return 180.0**2 * np.exp(-2.0 * r / 70.0) * r * (3.5 - 2.0 * BETA + 2.0 * r / 70.0) / G

    return draw, massive(mass)


def scale_free(r_hi: float = BINS[-1]) -> tuple[Draw, Truth]:
    """v_c = 200 km/s (r / 10 kpc)^-0.25, density r^-3.5."""

    def draw(n: int, rng: np.random.Generator) -> Catalogue:
        r = power_law_radii(n, -3.5, BINS[0], r_hi, rng)
        sigma_r = np.sqrt(200.0**2 * (r / 10.0) ** -0.5 / (0.5 + 3.5 - 2.0 * BETA))
        return gaussian(r, sigma_r[:, None] * np.sqrt([1.0, 1.0 - BETA, 1.0 - BETA]), rng)

    return draw, massive(lambda r: 200.0**2 * (r / 10.0) ** -0.5 * r / G, beta=BETA)


@dataclass(frozen=True)
class Halo:
    """NFW halo, with the baryons of Zhai et al. (2018) or none, and tracers in it."""

    m200: float
    c200: float
    h0: float
    baryons: Baryons
    alpha: float
    beta: float
    edges: tuple[float, float]

    def mass(self, r: float) -> float:
        """Mass [Msun] within ``r`` [kpc]."""
        r200 = float(virial_radius(self.m200, self.h0))
        dark = nfw_enclosed_mass(r, self.m200, r200, self.c200)
        return float(dark + baryons_mass(self.baryons, r))

    def sigma_r(self, r: float) -> float:
        """Radial dispersion [km/s] at ``r`` [kpc] of the Jeans equation, by adaptive quadrature."""

        def integrand(x: float) -> float:
            slope = self.alpha + 2.0 * self.beta - 1.0
            return np.exp(x * slope) * G * self.mass(r * np.exp(x)) / r

        return float(np.sqrt(quad(integrand, 0.0, 60.0, limit=200, epsrel=1e-7)[0]))

    def truth(self) -> Truth:
        """Truth of masses and of the halo."""
        r200 = float(virial_radius(self.m200, self.h0))
        return massive(self.mass, m200=self.m200, c200=self.c200, r200=r200)

    def draw(self, n: int, rng: np.random.Generator) -> Catalogue:
        """Stars with Gaussian velocities."""
        r = power_law_radii(n, self.alpha, *self.edges, rng)
        ratio = np.sqrt([1.0, 1.0 - self.beta, 1.0 - self.beta])
        return gaussian(r, np.exp(log_dispersion(self)(np.log(r)))[:, None] * ratio, rng)


@functools.cache
def log_dispersion(halo: Halo) -> CubicSpline:
    grid = np.geomspace(*halo.edges, 40)
    return CubicSpline(np.log(grid), np.log([halo.sigma_r(r) for r in grid]))


#: Best fit of Zhai et al. (2018), isotropic; and a halo of radial orbits.
ISOTROPIC = Halo(1.08e12, 18.5, 70.0, "zhai2018", -4.0, 0.0, (5.0, 120.0))
RADIAL = Halo(1e12, 12.0, 67.8, "none", -3.3, 0.4, (5.0, 80.0))


def gaussians(two: bool) -> tuple[Draw, Truth]:
    """Table 2 of Li et al. (2026), whole sample: the metal-rich component, or both."""
    point = LI2026 if two else LI2026[:8]
    names = ("mean_v_r", "mean_v_theta", "mean_v_phi", "feh_mean")
    names += ("sigma_r", "sigma_theta", "sigma_phi", "feh_sigma")
    values = {"p_mr": LI2026[16]}
    for which, part in ((".mr" if two else "", LI2026[:8]), (".mp", LI2026[8:16])):
        values |= {name + which: value for name, value in zip(names, part, strict=True)}
        values[f"beta{which}"] = float(anisotropy(part[4:7]))

    def draw(n: int, rng: np.random.Generator) -> Catalogue:
        return catalogue_of(stars_of(point, n, rng), rng)

    return draw, named(**values)


def painted_dipole() -> tuple[Draw, Truth]:
    """Outermost bin of Li et al. (2026), painted on v_r over the whole sky."""
    compression, mu, lon, lat, sigma = OUTER
    upward = mu * np.sin(np.radians(lat))
    values = {"mu_compr": compression, "mu_dipole": mu, "apex_l": lon, "apex_b": lat}
    values |= {"mean_v_r_north": compression + 0.5 * upward, "sigma_r": sigma}
    values |= {"mean_v_r_south": compression - 0.5 * upward, "mean_v_theta": 0.0}
    values |= {"mean_v_theta_predicted": 0.25 * np.pi * upward}
    return functools.partial(painted, error=20.0), named(**values)


#: Why methods miss, where they do.
RATIO = "beta: the mean of a ratio of variances is low by 2 (1 - beta) / n; its median is not"
WEIGHTS = (
    "errors in proportion to measured dispersions, as published, give bins that scatter low more "
    "weight: masses low by 2 to 4 bins / stars"
)
RESAMPLED = (
    "few stars a bin (27 to 92 of 300): <(v_r - <v_r>)^2> is low by 1/n, and percentiles of "
    "resampled squares lean to the wrong side"
)
PRIOR = "prior: abs(mu_dipole) > 0 and an isotropic apex, where the dipole is three of its errors"
WHY = {
    "velocity-ellipsoid": RATIO,
    "jeans-3d": WEIGHTS
    + "; innermost bins too narrow: a covariance left out; finite bins: 0.3 per cent of the mass",
    "tracer-mass": RESAMPLED
    + "; too wide with many, as beta takes back part of the scatter of <v_r^2> and is not resampled",
    "tracer-mass, beta known": RESAMPLED,
    "los-jeans": WEIGHTS,
    "los-jeans, variance": "300 stars do not bound the halo: flat prior of m200, skewed posterior",
    "los-jeans-derivative": WEIGHTS + "; points taken as independent; straight lines at both ends",
    "los-jeans-derivative, v_c2": "weights less so, at a parabola through the points; straight lines "
    "at both ends",
    "sky-map": "leaves out 10 per cent of the stars: a third of the sampling error, as published",
    "sky-map, deconvolved": RATIO,
    "dipole": PRIOR,
    "reflex-6d": "prior: an isotropic apex, where the travel velocity is seven of its errors",
    "gaussian-mixture": "uniform priors of dispersions and p_mr prefer large ones",
    "spline-jeans": RATIO + "; the ends too narrow with few stars: stiffness taken as known",
    "nfw-tracer": "percentiles of resampled squares; r_s that few stars do not bound",
    "shape": "distances of eigenvalues that are not above their errors are taken for chance: too round",
}


def make_cases() -> Iterator[Case]:
    """All cases; a name is that of the estimator, and what is set."""
    profile = {"bins": BINS, "alpha": -3.5}
    yield Case("velocity-ellipsoid", {}, *ellipsoid(30.0))
    yield Case("velocity-ellipsoid, fisher", {"errors": "fisher"}, *ellipsoid(30.0))
    jeans = {**profile, "nfw": "none"}
    yield Case("jeans-3d", jeans, *exponential())
    yield Case("jeans-3d, sandwich", {**jeans, "errors": "sandwich"}, *exponential())
    yield Case("tracer-mass", profile, *scale_free())
    yield Case("tracer-mass, beta known", {**profile, "beta": BETA}, *scale_free())
    radii, zhai = {"r_out": [10.0, 25.0, 60.0, 100.0]}, (ISOTROPIC.draw, ISOTROPIC.truth())
    yield Case("los-jeans", radii, *zhai)
    better = {"likelihood": "variance", "within_bins": "average"}
    yield Case("los-jeans, variance", {**radii, **better}, *zhai)
    yield Case("los-jeans-derivative", radii, *zhai)
    yield Case("los-jeans-derivative, v_c2", {**radii, "likelihood": "v_c2"}, *zhai)
    yield Case("sky-map", {"map": "quadrants"}, *ellipsoid(0.0))
    deconvolved = {"map": "quadrants", "recipe": "deconvolved"}
    yield Case("sky-map, deconvolved", deconvolved, *ellipsoid(30.0))
    yield Case("dipole", {}, *painted_dipole())
    yield Case("reflex-6d", {}, moving_halo, named(**moving_truth()))
    yield Case("gaussian-single", {}, *gaussians(False))
    yield Case("gaussian-mixture", {}, *gaussians(True))
    spline = {"alpha": "measured", "r": [7.0, 10.0, 15.0, 25.0, 50.0, 80.0]}
    yield Case("spline-jeans", {**spline, "r_range": [5.0, 100.0]}, *scale_free(100.0))
    power = {"alpha": -4.0, "r_out": [15.0, 30.0, 80.0]}
    yield Case("power-law-df", power, own_model, massive(true_mass, beta=0.5))
    nfw = {"alpha": -3.3, "r_range": [5.0, 80.0], "r_out": [10.0, 25.0, 60.0], "n_bootstrap": 100}
    yield Case("nfw-tracer", nfw, RADIAL.draw, RADIAL.truth())
    yield Case("tracer-density", {"fit_density": {"axis_ratio": "free"}}, selected, true_value)
    yield Case("shape", {}, stretched, true_shape)


@functools.cache
def cases() -> dict[str, Case]:
    found = {case.name: case for case in make_cases()}
    missing = set(kinds.names("estimators")) - {kind_of(name) for name in found}
    if missing:
        raise ValueError(f"no case for {', '.join(sorted(missing))}")
    return found


def kind_of(name: str) -> str:
    return name.partition(",")[0]


# ------------------------------------------------------------------------------------------- running


@dataclass(frozen=True)
class Piece:
    """Some realisations of one case with one number of stars."""

    out: Path
    case: str
    stars: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """Of its files."""
        case = self.case.replace(", ", "+").replace(" ", "_")
        return f"{case}-{self.stars}-{self.first}-{self.last}.parquet"

    @property
    def done(self) -> bool:
        """Whether its files are there."""
        return (self.out / "runs" / self.name).exists()


def run_piece(piece: Piece) -> Piece:
    """Run the realisations of a piece and write their tables; that of the runs last."""
    case = cases()[piece.case]
    method = make_estimator({"kind": kind_of(case.name), **case.spec})
    rows: dict[str, list[dict[str, Any]]] = {"estimates": [], "runs": []}
    cell = f"{piece.stars} stars"
    for k in range(piece.first, piece.last):
        keys = {"cell": cell, "estimator": case.name, "realization": k}
        keys |= {"cell_key": cell, "estimator_key": case.name}
        catalogue = case.draw(piece.stars, stream(SEED, f"{kind_of(case.name)}:{piece.stars}", k))
        start = time.process_time()
        run: dict[str, Any] = {"status": "ok", "n_stars": len(catalogue)}
        try:
            found = method.estimate(catalogue, stream(SEED, f"estimator:{case.name}", k))
            rows["estimates"] += [{**keys, **fields(row, case.truth(row))} for row in found]
        except EstimationError as error:
            run |= {"status": "failed", "error_type": "EstimationError", "message": str(error)}
        rows["runs"].append({**keys, **run, "seconds": time.process_time() - start})
    for kind, schema in SCHEMAS.items():
        path = piece.out / kind / piece.name
        pq.write_table(pa.Table.from_pylist(rows[kind], schema=schema), path.with_suffix(".tmp"))
        path.with_suffix(".tmp").rename(path)
    return piece


def fields(row: Estimate, truth: float) -> dict[str, Any]:
    """Columns of an estimate beside its truth, and the rank of that; none is null."""
    found = {
        **{"quantity": row.quantity, "bin": row.bin, "unit": row.unit, "note": row.note},
        "rank": row.rank(truth),
        "n_draws": 0 if row.draws is None else len(row.draws),
        "truth": truth,
    }
    for name in ("r", "r_lo", "r_hi", "value", "lo68", "hi68", "lo95", "hi95"):
        found[name] = float(getattr(row, name))
    return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in found.items()}


def run(out: Path, names: Sequence[str], stars: Sequence[int], n: int, workers: int) -> None:
    for kind in SCHEMAS:
        (out / kind).mkdir(parents=True, exist_ok=True)
    pieces = [
        Piece(out, case, size, first, min(first + CHUNK, n))
        for first in range(0, n, CHUNK)
        for size in stars
        for case in cases()
        if case in names or kind_of(case) in names
    ]
    pieces = [piece for piece in pieces if not piece.done]
    with multiprocessing.Pool(workers) as pool:
        for k, piece in enumerate(pool.imap_unordered(run_piece, pieces)):
            print(f"{k + 1} of {len(pieces)}: {piece.name}", file=sys.stderr, flush=True)


# ----------------------------------------------------------------------------------------- the table


def tables_of(out: Path) -> Tables:
    """List what OUT holds, as scores read it."""
    runs = sorted((out / "runs").glob("*.parquet"))
    sizes = sorted({int(path.name.split("-")[-3]) for path in runs})
    cells = pd.DataFrame({"cell": [f"{n} stars" for n in sizes], "stars": sizes})
    return Tables([out / "estimates" / path.name for path in runs], runs, cells, QUANTITIES)


def scored(tables: Tables) -> pd.DataFrame:
    """Scores and calibration of every quantity and bin that has a truth."""
    keys = ["cell", "estimator", "quantity", "bin"]
    ranks = calibrate.calibrate(tables)[[*keys, "n_draws", "p_value", "inside", "shape"]]
    rows = scores.score(tables).merge(ranks, on=keys, how="left")
    rows = rows[rows["n"] >= np.maximum(20, rows["n_attempted"] // 2)].copy()
    rows["bias_z"] = rows["bias"] / rows["bias_mcse"]
    for level in (68, 95):
        nominal = np.sqrt(level * (100.0 - level) / rows["n"]) / 100.0
        rows[f"z{level}"] = (rows[f"coverage{level}"] - level / 100.0) / nominal
    return rows


def print_summary(rows: pd.DataFrame, seconds: pd.Series) -> None:
    """Print a line per case and number of stars; of many rows, the worst by its number of errors."""
    heads = ["method", "stars (n)", "rows", "bias: worst, and beyond 3 errors"]
    heads += ["68 %: mean, worst", "95 %", "ranks inside"]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for name in cases():
        for (stars, _), group in rows[rows["estimator"] == name].groupby(["stars", "cell"]):
            bias = group.loc[group["bias_z"].abs().idxmax()]
            beyond = int((group["bias_z"].abs() > 3.0).sum())
            columns = [
                *(method(name), f"{stars} ({group['n'].max()})", str(len(group))),
                f"{label(bias)} {size(bias)} ({bias['bias_z']:+.1f}); {beyond}",
                *(coverage(group, level) for level in (68, 95)),
                f"{int(group['inside'].sum())} of {len(group)}",
            ]
            print("| " + " | ".join(columns) + " |")
    print("\nWhere a method misses:")
    for name, why in WHY.items():
        print(f"- {name}: {why}")


def label(row: pd.Series) -> str:
    where = f" at {row['r']:.3g} kpc" if np.isfinite(row["r"]) else f" {row['bin']}"
    return labels.plain(row["quantity"]) + (where if row["bin"] else "")


def size(row: pd.Series) -> str:
    return labels.error_text(row["bias"], row["bias_mcse"], row["quantity"], row["unit"])


def coverage(group: pd.DataFrame, level: int) -> str:
    """Mean over rows; the worst row with its distance from nominal in Monte Carlo errors."""
    worst = group.loc[group[f"z{level}"].abs().idxmax()]
    mean = group[f"coverage{level}"].mean()
    return f"{mean:.2f}, {worst[f'coverage{level}']:.2f} ({worst[f'z{level}']:+.1f})"


def method(name: str) -> str:
    """Name of a case: its estimator, and what is other than by default."""
    kind, comma, changed = name.partition(",")
    return f"`{kind}`{comma}{changed}"


def print_rows(rows: pd.DataFrame) -> None:
    """All quantities and bins."""
    for row in rows.to_dict("records"):
        print(
            f"{row['estimator']:28}{row['stars']:>6} {label(row):26}{size(row):>22}{row['bias_z']:+6.1f}"
            f"{row['scatter'] * labels.error_factor(row['quantity']):9.3g}"
            f"{row['coverage68']:6.2f}{row['z68']:+5.1f}{row['coverage95']:6.2f}{row['z95']:+5.1f}"
            f"  p {row['p_value']:.1e} {row['shape']}"
        )


def main() -> None:
    """Run what is missing, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--estimators", nargs="+", default=kinds.names("estimators"))
    parser.add_argument("--stars", nargs="+", type=int, default=STARS)
    parser.add_argument("--realizations", type=int, default=400)
    parser.add_argument("-j", type=int, default=2)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--rows", action="store_true")
    options = parser.parse_args()
    if not options.table:
        run(options.out, options.estimators, options.stars, options.realizations, options.j)
    tables = tables_of(options.out)
    rows = scored(tables)
    if options.rows:
        print_rows(rows)
    with open_tables(tables) as opened:
        runs = opened.sql("SELECT estimator, cell, median(seconds) AS s FROM runs GROUP BY ALL")
        seconds = runs.df().set_index(["estimator", "cell"])["s"]
    print_summary(rows, seconds)


if __name__ == "__main__":
    main()
