"""Emulators of analytic noisy responses: error of the prediction, coverage of what is stated, seconds.

Run with ``python benchmarks/emulator.py [--repeats 6] [--gaussian-process]``: two minutes on one processor. Points are
Sobol' points; noise is that of one response, in units of the scatter of the mean response, which are those of all
errors. The error of the prediction (root mean square over the cube) stands beside noise / sqrt(responses), what a
constant would have, and beside that of points left out and its limit. Noise that "depends" grows by e^2 along the
second factor. Probabilities are those of intervals that cover: their noise is sqrt(p (1 - p)), their errors are of p.
With ``--gaussian-process`` the same points are also given to scikit-learn's (not a dependency; Matern 5/2, a length for
each factor, white noise, about a plane) where they are few.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.stats import qmc

from haloassay.analysis.emulator import fit

# the functions of the tests
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "analysis"))
from known_functions import g_function, ishigami


def error_of_a_mass(x: np.ndarray) -> np.ndarray:
    """Return what the error of an estimator may look like: bends, a step, an interaction, factors without effect."""
    bend = 0.15 * np.exp(x[:, 1]) * (x[:, 0] - 0.3) - 0.1 * np.sqrt(0.02 + x[:, 2])
    step = 0.08 / (1.0 + np.exp(-12.0 * (x[:, 3] - 0.6)))
    return 0.3 * x[:, 0] + bend + step + 0.05 * x[:, 4] ** 2 * x[:, 1]


def nothing(x: np.ndarray) -> np.ndarray:
    """Return zeros."""
    return np.zeros(len(x))


def coverage(x: np.ndarray) -> np.ndarray:
    """Return a probability that falls away from a ridge."""
    return 0.68 * np.exp(-(((x[:, 0] - 0.5 + 0.2 * (x[:, 1] - 0.5)) / 0.4) ** 2))


@dataclass(frozen=True)
class Case:
    """A mean response and the noise of one, in units of its scatter; without noise a probability."""

    name: str
    function: Callable[[np.ndarray], np.ndarray]
    factors: int
    noise: float


CASES = (
    Case("error of a mass", error_of_a_mass, 6, 0.5),
    Case("error of a mass", error_of_a_mass, 15, 1.0),
    Case("Ishigami", ishigami, 3, 0.3),
    Case("g", g_function, 6, 0.5),
    Case("nothing", nothing, 8, 1.0),
    Case("coverage", coverage, 5, 0.0),
)
DESIGNS = (
    (64, 1, "equal"),
    (256, 1, "equal"),
    (256, 2, "depends"),
    (1024, 2, "depends"),
    (4096, 1, "equal"),
)


def gaussian_process(x: np.ndarray, y: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, float]:
    """Return predictions of scikit-learn and the seconds of its fit."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    start = time.perf_counter()
    plane = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), y, rcond=None)[0]
    smooth = ConstantKernel(1.0, (1e-4, 1e3)) * Matern(np.ones(x.shape[1]), (0.05, 1e3), nu=2.5)
    model = GaussianProcessRegressor(smooth + WhiteKernel(0.5, (1e-5, 10.0)), normalize_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, y - plane[0] - x @ plane[1:])
    seconds = time.perf_counter() - start
    return model.predict(where) + plane[0] + where @ plane[1:], seconds


def one(case: Case, design: tuple[int, int, str], beside: bool, seed: int) -> list[float]:
    """Fit once; return errors, coverages, seconds."""
    n, replicates, noise = design
    rng = np.random.default_rng([2012, n, replicates, case.factors, seed])
    x = qmc.Sobol(case.factors, rng=rng).random(n)
    where = rng.random((2000, case.factors))
    truth = case.function(where)
    scale = float(case.function(rng.random((20_000, case.factors))).std()) or 1.0
    link = "logit" if case.noise == 0.0 else "identity"
    if link == "logit":
        scale = 1.0
        y = (rng.random((n, replicates)) < case.function(x)[:, None]).astype(float)
    else:
        size = case.noise * scale * (np.exp(2.0 * (x[:, 1:2] - 0.5)) if noise == "depends" else 1.0)
        y = case.function(x)[:, None] + size * rng.standard_normal((n, replicates))
    start = time.perf_counter()
    found = fit(x, y, [f"x{k + 1}" for k in range(case.factors)], link)
    seconds = time.perf_counter() - start
    refused = bool(found.refused)
    mean, sd = replace(found, refused="").predict(where)
    errors = mean - truth
    row = [
        np.sqrt(np.mean(errors**2)) / scale,
        found.error / scale,
        found.error_most / scale,
        found.q2,
    ]
    row += [np.mean(np.abs(errors) < sd), np.mean(np.abs(errors) < 2.0 * sd), refused, seconds]
    if beside and n * replicates <= 512 and link == "identity":
        other, other_seconds = gaussian_process(x, y.mean(axis=1), where)
        return [*row, np.sqrt(np.mean((other - truth) ** 2)) / scale, other_seconds]
    return [*row, np.nan, np.nan]


def seconds_of_a_prediction() -> tuple[float, float]:
    """Return seconds of a process that reads an emulator of 15 factors and predicts a point, and of Python alone."""
    rng = np.random.default_rng(1)
    x = rng.random((1000, 15))
    found = fit(
        x, error_of_a_mass(x) + 0.1 * rng.standard_normal(1000), [f"x{k}" for k in range(15)]
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "emulator.json"
        path.write_text(json.dumps(found.to_data()))
        code = (
            "import json; from haloassay.analysis.emulator import Emulator;"
            f" Emulator.from_data(json.load(open({str(path)!r}))).predict([[0.5] * 15])"
        )
        took = []
        for text in (code, "pass"):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", text], check=True)
            took.append(time.perf_counter() - start)
    return took[0], took[1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--gaussian-process", action="store_true")
    options = parser.parse_args()
    heads = [
        "response",
        "factors",
        "points",
        "replicates",
        "noise",
        "noise / sqrt(responses)",
        "error",
    ]
    heads += [
        "left out",
        "below (95 %)",
        "Q^2",
        "within 1, 2 sd",
        "refused",
        "s",
        "Gaussian process: error, s",
    ]
    print("| " + " | ".join(heads) + " |\n|" + " --- |" * len(heads))
    for case in CASES:
        for design in DESIGNS:
            n, replicates, noise = design
            rows = [one(case, design, options.gaussian_process, k) for k in range(options.repeats)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # means of nothing
                m = np.nanmean(rows, axis=0)
            least = (case.noise or 0.45) / np.sqrt(n * replicates)
            columns = [
                *(case.name, str(case.factors), str(n), str(replicates)),
                noise if case.noise else "of 0 and 1",
                *(f"{v:.3f}" for v in (least, m[0], m[1], m[2])),
                *(f"{m[3]:.2f}", f"{m[4]:.2f} {m[5]:.2f}", f"{m[6]:.2f}", f"{m[7]:.2f}"),
                f"{m[8]:.3f} {m[9]:.1f}",
            ]
            print("| " + " | ".join(columns) + " |", flush=True)
    took, python = seconds_of_a_prediction()
    print(
        f"\nA process that reads an emulator and predicts a point: {took:.2f} s, Python alone {python:.2f} s."
    )


if __name__ == "__main__":
    main()
