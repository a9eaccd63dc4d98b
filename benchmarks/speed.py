"""Every method as its paper ran it, beside the fast path: seconds, medians, widths, memory.

Run with ``python benchmarks/speed.py [METHOD ...]``, OMP_NUM_THREADS=1; all methods without arguments, in
about ten minutes. Stars are drawn from simple models, as many as the paper had: 9627 (Zhai et al. 2018),
10762 (Bird et al. 2022), 64573 (Li et al. 2026), 10469 (Han et al. 2024), else 10000.

Each run has a process of its own. Seconds are of the processor, one thread, compilation left out: of the
paper's run once, of the fast path the median of five. Memory is by how much the run raised the peak of its
process. The quantity is one row of each method; ``shift`` is the difference of the medians in widths (half
of a 68 per cent interval), ``widths`` the ratio of the widths, fast over published: draws differ, so that 1000
of them on both sides scatter by about 0.06 and 4 per cent. The left column is

- ``as_published = true`` where the paper states a run;
- for reflex-6d and power-law-df emcee in place of the paper's sampler (MultiNest; none that is known);
- for sky-map the same recipe as loops over numpy arrays;
- nothing for nfw-tracer, which has no published run: its bootstrap alone is timed.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bird2022_catalogue import catalogue as bird2022_catalogue
from li2026 import catalogue as li2026_catalogue
from li2026 import draw, published
from zhai2018 import MOCK
from zhai2018 import catalogue as zhai2018_catalogue

from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.estimate import Estimate
from haloassay.contracts.frames import spherical_basis
from haloassay.estimators import make_estimator
from haloassay.estimators.gaussian_single import LI2026_BINS
from haloassay.mocks import make_mock

BINS = [5, 15, 25, 35, 45, 55, 65, 125]
ALPHA = {"slopes": [-2.8, -4.6], "breaks": [17.0]}


def li2026() -> Catalogue:
    """Li et al.'s stars: Table 2 bin by bin, radii even inside a bin."""
    points, counts = published()
    rng = np.random.default_rng(2026)
    parts = [draw(n, point, rng) for point, n in zip(points[1:], counts[1:], strict=True)]
    edges = np.repeat(np.array([LI2026_BINS[:-1], LI2026_BINS[1:]]), counts[1:], axis=1)
    sample = type(parts[0])(np.hstack([p.x for p in parts]), np.hstack([p.e2 for p in parts]))
    return li2026_catalogue(sample, rng.uniform(*edges), rng)


def zhai2018() -> Catalogue:
    """Isotropic stars of density r^-4 in the best-fitting Galaxy of Zhai et al."""
    return zhai2018_catalogue(make_mock(MOCK), 0)


def moving(n: int) -> Catalogue:
    """Stars from 50 to 120 kpc that translate past the centre and contract, scatter 90 km/s."""
    rng = np.random.default_rng(3)
    toward = rng.standard_normal((n, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    inward = np.einsum("k,nki->ni", [-10.0, 0.0, 0.0], spherical_basis(toward))
    velocity = np.array([-25.0, -22.0, 30.0]) + inward + 90.0 * rng.standard_normal((n, 3))
    position = rng.uniform(50.0, 120.0, n)[:, None] * toward
    names = ("x", "y", "z", "vx", "vy", "vz")
    return Catalogue.from_arrays(**dict(zip(names, np.hstack([position, velocity]).T, strict=True)))


def bird2022(n: int = 10762) -> Catalogue:
    """Stars of Bird et al.'s density with sigma_r = 187 exp(-r / 68 kpc) and beta 0.7."""
    return bird2022_catalogue(np.random.default_rng(1)).select(np.arange(n))


@dataclass(frozen=True)
class Case:
    """A method, its sample, how it is run in both ways, and which of its rows is compared."""

    kind: str
    stars: Callable[[], Catalogue]
    quantity: str
    bin: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    theirs: dict[str, Any] | None = field(default_factory=lambda: {"as_published": True})
    ours: dict[str, Any] = field(default_factory=dict)


CASES = {
    "velocity-ellipsoid": Case(
        "velocity-ellipsoid", bird2022, "sigma_r", 3, {"bins": BINS}, ours={"errors": "fisher"}
    ),
    "jeans-3d": Case("jeans-3d", bird2022, "enclosed_mass", 3, {"bins": BINS, "alpha": ALPHA}),
    "tracer-mass": Case(
        "tracer-mass", bird2022, "m200", 0, {"bins": BINS, "alpha": ALPHA, "nfw": {}}
    ),
    "los-jeans": Case("los-jeans", zhai2018, "m200"),
    "los-jeans-derivative": Case("los-jeans-derivative", zhai2018, "m200"),
    "gaussian-single": Case("gaussian-single", li2026, "sigma_r"),
    "gaussian-single, 13 bins": Case(
        "gaussian-single", li2026, "sigma_r", 6, {"bins": list(LI2026_BINS)}
    ),
    "gaussian-mixture": Case("gaussian-mixture", li2026, "p_mr"),
    "gaussian-mixture, 13 bins": Case(
        "gaussian-mixture", li2026, "p_mr", 6, {"bins": list(LI2026_BINS)}
    ),
    "dipole": Case("dipole", lambda: moving(10000), "mu_dipole", 1, {"bins": [50, 60, 80, 120]}),
    "reflex-6d": Case("reflex-6d", lambda: moving(10000), "v_travel", theirs={"sampler": "emcee"}),
    "sky-map, healpix": Case("sky-map", lambda: bird2022(10469), "sigma_r", 50),
    "sky-map, xz": Case("sky-map", lambda: bird2022(10469), "sigma_r", 1842, {"map": "xz"}),
    "spline-jeans": Case(
        "spline-jeans",
        lambda: bird2022(10000),
        "enclosed_mass",
        0,
        {"alpha": "measured", "r": [30.0]},
        ours={"knots": [5.0, 10.0, 20.0, 40.0, 80.0], "stiffness": -20.0},
    ),
    "power-law-df": Case(
        "power-law-df",
        lambda: bird2022(10000),
        "enclosed_mass",
        0,
        {"alpha": -4.0, "r_out": [50.0], "outlier_fraction": 0.001},
        theirs={"sampler": "emcee"},
    ),
    "nfw-tracer": Case(
        "nfw-tracer", lambda: bird2022(10000), "m200", 0, {"alpha": ALPHA}, theirs=None
    ),
}


def recipe_in_numpy(stars: Catalogue, case: Case, rng: np.random.Generator) -> list[Estimate]:
    """Sigma_r of all cells by Han et al.'s (2024) recipe, one draw and one cell after the other."""
    estimator = make_estimator({"kind": "sky-map", **case.settings})
    cells = estimator._cells(stars)
    root = np.linalg.cholesky(stars.spherical_covariance + 1e-9 * np.eye(3))
    found = np.full((estimator.n_draws, len(cells)), np.nan)
    for k in range(estimator.n_draws):
        v = stars.spherical_velocity + np.einsum(
            "nij,nj->ni", root, rng.standard_normal((len(stars), 3))
        )
        for cell in range(len(cells)):
            members = cells.members(cell)
            if len(members) >= estimator.min_stars:
                kept = len(members) - round(estimator.drop * len(members))
                chosen = rng.permutation(members)[:kept]
                found[k, cell] = np.std(v[chosen], axis=0, ddof=1)[0]
    return [Estimate.from_draws("sigma_r", draws, bin=k) for k, draws in enumerate(found.T)]


def run(name: str, way: str) -> dict[str, Any]:
    """Seconds, the row compared and the memory of one way to run a method."""
    case = CASES[name]
    stars = case.stars()
    spec = {"kind": case.kind, **case.settings}
    ours = make_estimator({**spec, **case.ours})

    def estimate() -> list[Estimate]:
        fresh, rng = Catalogue(dict(stars.columns), stars.sun), np.random.default_rng(5)
        if way == "ours":
            return list(ours.estimate(fresh, rng))
        if case.kind == "sky-map":
            return recipe_in_numpy(fresh, case, rng)
        return list(make_estimator({**spec, **(case.theirs or {})}).estimate(fresh, rng))

    few = stars.select(np.arange(0, len(stars), max(len(stars) // 500, 1)))
    ours.estimate(few, np.random.default_rng(4))  # compiles
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(5 if way == "ours" else 1):
        start = time.process_time()
        rows = estimate()
        seconds.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    row = next(r for r in rows if (r.quantity, r.bin) == (case.quantity, case.bin))
    return {
        "stars": len(stars),
        "seconds": float(np.median(seconds)),
        "value": float(row.value),
        "width": 0.5 * float(row.hi68 - row.lo68),
        "note": row.note,
        "megabytes": peak / 1024.0,
    }


def child(name: str, way: str) -> dict[str, Any]:
    """Run a method in a process of its own; see :func:`run`."""
    command = [sys.executable, __file__, "--run", name, way]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}, {way}: {done.stderr.strip().splitlines()[-1]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def line(name: str) -> str:
    """Row of the table."""
    case, ours = CASES[name], child(name, "ours")
    head = f"{name:26}{ours['stars']:7d}"
    row = f"{case.quantity:>14}"
    if case.theirs is None:
        return (
            f"{head}{'':>10}{ours['seconds']:9.3f}{'':>8}{row}{'':>24}"
            f"{ours['value']:12.5g} +-{ours['width']:9.3g}{'':>14}{'':>7}{ours['megabytes']:7.0f}"
        )
    theirs = child(name, "theirs")
    note = theirs["note"] or ours["note"]
    if note:
        return f"{head}{theirs['seconds']:10.2f}{ours['seconds']:9.3f}  {note}"
    shift, widths = (
        (ours["value"] - theirs["value"]) / theirs["width"],
        ours["width"] / theirs["width"],
    )
    return (
        f"{head}{theirs['seconds']:10.2f}{ours['seconds']:9.3f}"
        f"{theirs['seconds'] / ours['seconds']:8.0f}{row}"
        f"{theirs['value']:12.5g} +-{theirs['width']:9.3g}{ours['value']:12.5g} +-{ours['width']:9.3g}"
        f"{shift:7.2f}{widths:7.2f}{theirs['megabytes']:7.0f}{ours['megabytes']:7.0f}"
    )


def main() -> None:
    """Print the table, or run one line of it."""
    if sys.argv[1:2] == ["--run"]:
        print(json.dumps(run(*sys.argv[2:])))
        return
    print(
        f"{'':26}{'stars':>7}{'paper [s]':>10}{'fast [s]':>9}{'ratio':>8}{'quantity':>14}{'paper':>24}"
        f"{'fast':>24}{'shift':>7}{'widths':>7}{'MB':>7}{'MB':>7}"
    )
    for name in sys.argv[1:] or CASES:
        print(line(name), flush=True)


if __name__ == "__main__":
    main()
