"""Sobol' indices of noisy functions with known ones: means, scatter beside other forms, coverage of the intervals.

Run with ``python benchmarks/sensitivity.py [--repeats 200]``: seven minutes on one processor. The functions are
Ishigami's and Sobol's g with a = 0, 1, 4.5, 9, 99, 99 (Saltelli et al. 2010). Noise has the variance of the function
where it is "equal"; where it "depends" its deviation grows with x_1 from half to one and a half times that of the
function. Rows are independent, as intervals take them, or Sobol' points, which do better than is stated. The last
columns are root mean square errors of the indices of all factors together, beside those of the forms that are combined.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from haloassay.analysis.sensitivity import sobol_indices

# the functions of the tests
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "analysis"))
from known_functions import Known, known_g, known_ishigami, responses

LEVELS = (0.68, 0.95)


def cross(u: np.ndarray, v: np.ndarray) -> float:
    """Return the mean of products of different replicates, of the same where there is one."""
    if u.shape[1] == 1:
        return float(np.mean(u * v))
    return float(np.mean(u[:, 0] * v[:, 1] + u[:, 1] * v[:, 0])) / 2.0


def other_forms(f: np.ndarray) -> dict[str, np.ndarray]:
    """First-order indices after Saltelli, Jansen and Janon, total ones after Jansen, of pooled variance."""
    f = f - f.mean(axis=1, keepdims=True)
    a, b = f[0], f[1]
    shared = cross(a, b) if f.shape[2] == 1 else 0.0
    v = 0.5 * (cross(a, a) + cross(b, b)) - shared
    found: dict[str, list[float]] = {"Saltelli": [], "Jansen": [], "Janon": [], "total": []}
    for c in f[2:]:
        found["Saltelli"].append(cross(b, c - a) / v)
        found["Jansen"].append(1.0 - 0.5 * cross(b - c, b - c) / v)
        found["Janon"].append((cross(b, c) - shared) / (0.5 * (cross(b, b) + cross(c, c)) - shared))
        found["total"].append(0.5 * cross(a - c, a - c) / v)
    return {name: np.array(values) for name, values in found.items()}


def measure(case: Known, rows: int, replicates: int, noise: str, points: str, repeats: int) -> str:
    """Return a line of the table."""
    rng = np.random.default_rng([2010, rows, replicates, len(noise), len(points)])
    values, others, inside = [], [], []
    truth = np.concatenate([case.first, case.total])
    for _ in range(repeats):
        f = responses(case, rows, replicates, noise, rng, points)
        hits = []
        for level in LEVELS:
            found = sobol_indices(f[0], f[1], f[2:], rng, level=level, resamples=400)
            lo = np.concatenate([found.first.lo, found.total.lo])
            hi = np.concatenate([found.first.hi, found.total.hi])
            hits.append((lo <= truth) & (truth <= hi))
        values.append(np.concatenate([found.first.value, found.total.value]))
        others.append(other_forms(f))
        inside.append(hits)
    found_all, d = np.array(values), len(case.first)
    distance = (found_all.mean(axis=0) - truth) / (found_all.std(axis=0, ddof=1) / np.sqrt(repeats))
    rms = np.sqrt(np.mean((found_all - truth) ** 2, axis=0))
    covered = np.mean(inside, axis=(0, 2))
    shown = [f"{m:.3f} ({t:.3f})" for m, t in zip(found_all.mean(axis=0), truth, strict=True)]
    forms = [
        np.sqrt(np.mean((np.array([o[k] for o in others]) - t) ** 2))
        for k, t in (
            ("Saltelli", case.first),
            ("Jansen", case.first),
            ("Janon", case.first),
            ("total", case.total),
        )
    ]
    scatter = [np.sqrt(np.mean(rms[:d] ** 2)), np.sqrt(np.mean(rms[d:] ** 2))]
    columns = [
        *(case.name, noise, points, str(rows), str(replicates)),
        " ".join(shown[:2]),
        " ".join(shown[d : d + 2]),
        f"{np.abs(distance).max():.1f}",
        *(f"{c:.2f}" for c in covered),
        f"{scatter[0]:.3f}",
        " ".join(f"{form:.3f}" for form in forms[:3]),
        f"{scatter[1]:.3f} {forms[3]:.3f}",
    ]
    return "| " + " | ".join(columns) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    repeats = parser.parse_args().repeats
    heads = [
        "function",
        "noise",
        "rows",
        "N",
        "replicates",
        "first 1, 2 (exact)",
        "total 1, 2 (exact)",
    ]
    heads += ["farthest mean, in its errors", "68 % cover", "95 % cover", "scatter, first"]
    heads += ["Saltelli, Jansen, Janon", "scatter, total; Jansen"]
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    for case in (known_ishigami(), known_g()):
        for rows in (256, 1024, 4096):
            for replicates, noise, points in (
                (1, "none", "independent"),
                (1, "equal", "independent"),
                (2, "equal", "independent"),
                (2, "depends", "independent"),
                (2, "depends", "Sobol'"),
            ):
                print(measure(case, rows, replicates, noise, points, repeats), flush=True)


if __name__ == "__main__":
    main()
