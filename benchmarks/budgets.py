"""Budgets of an estimator of known responses: pulls of every line, the rule of `--until`, joint calibration.

    python benchmarks/budgets.py pulls [--repeats 200]      # each line against its exact value: 5 minutes
    python benchmarks/budgets.py until [--repeats 500]      # bias and coverage of what a run that ends by a rule says
    python benchmarks/budgets.py savings [--repeats 200]    # realisations that pairs and Sobol' points save
    python benchmarks/budgets.py calibration [--repeats 50] # how often ranks of all quantities at once find a fault

The responses are those of tests/scores/synthetic_budget.py: a x + b y + c x y, a choice, noise that grows with x. A
pull is (value - exact) / stated error; a root mean square of 1 is right, within 1 / sqrt(2 n).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy import stats

# the responses and posteriors of the tests
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "scores"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "engine"))
import synthetic_budget as known
import test_sequential
import test_together

from haloassay.analysis.budget import Budget, budgets


def lines_of(budget: Budget) -> dict[str, tuple[float, float, float]]:
    """Value, stated error and exact value of every line."""
    lines = {line.factor.label: line for line in budget.lines}
    found = {
        "random error": (budget.found, known.NOISE),
        "bias on the base": (budget.bias, known.BIAS),
    }
    exact = {
        "x": [known.A * level.value for level in lines["x"].factor.levels],
        "y": [known.B * level.value for level in lines["y"].factor.levels],
    }
    for label, values in exact.items():
        for shift, value, level in zip(
            lines[label].shifts, values, lines[label].factor.levels, strict=True
        ):
            found[f"shift at {label} = {level.label}"] = (shift, value)
    found["shift of the choice"] = (lines["choice"].shifts[1], known.CHOICE["bold"])
    for label, sd in known.SD.items():
        found[f"1 sigma of {label}"] = (lines[label].sd, sd)
    found["in quadrature"] = (budget.quadrature, known.QUADRATURE)
    found["all together"] = (budget.together.sd, known.TOGETHER)
    found["mean shift"] = (budget.together.mean, known.MEAN)
    for pair in budget.together.interactions:
        if pair.factors == ("x", "y"):  # both one standard deviation up
            found["x and y, not additive"] = (pair.effect, known.C / np.sqrt(3.0))
    return {name: (amount.value, amount.mcse, value) for name, (amount, value) in found.items()}


def pulls(repeats: int) -> None:
    """Print mean and root mean square of the pulls of every line."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for k in range(repeats):
        with tempfile.TemporaryDirectory() as name:
            run = known.results(Path(name) / "run", np.random.default_rng([70, k]), n=100)
            (budget,) = budgets(run, "m200")
            shutil.rmtree(Path(name) / "run")
        for line, told in lines_of(budget).items():
            found.setdefault(line, []).append(told)
    print(f"{'line':<26}{'exact':>9}{'mean':>9}{'error':>9}{'mean pull':>16}{'rms pull':>16}     n")
    for line, told in found.items():
        value, error, exact = np.array(told).T
        if np.median(error) < 1e-9:  # common random numbers leave no noise
            off = np.abs(value - exact).max()
            print(
                f"{line:<26}{exact[0]:>9.4f}{value.mean():>9.4f}   without noise: off by {off:.0e} at most"
            )
            continue
        pull = (value - exact) / error
        n = len(pull)
        middle = f"{pull.mean():+.2f} +- {1.0 / np.sqrt(n):.2f}"
        spread = f"{np.sqrt(np.mean(pull**2)):.2f} +- {1.0 / np.sqrt(2.0 * n):.2f}"
        print(
            f"{line:<26}{exact[0]:>9.4f}{value.mean():>9.4f}{np.median(error):>9.4f}{middle:>16}{spread:>16}{n:>6}"
        )


def savings(repeats: int) -> None:
    """Print errors with common random numbers and without, of random points and of Sobol's, and what that saves."""
    lines = ("shift at x = 1", "1 sigma of x", "mean shift", "all together")
    cases = {
        "random points": {"design": "joint"},
        "Sobol' points": {"design": "sobol"},
        "random points, unpaired": {"design": "joint", "common": False},
    }
    found: dict[str, dict[str, list[float]]] = {case: {} for case in cases}
    for case, settings in cases.items():
        for k in range(repeats):
            with tempfile.TemporaryDirectory() as name:
                rng = np.random.default_rng([72, k])
                run = known.results(Path(name) / "run", rng, n=128, **settings)
                (budget,) = budgets(run, "m200")
            told = lines_of(budget)
            for line in lines:
                value, _, exact = told[line]
                found[case].setdefault(line, []).append((value - exact) ** 2)
    first = next(iter(cases))
    print(f"{'rms error [%], n = 128, 64 points':<34}" + "".join(f"{line:>18}" for line in lines))
    for case, errors in found.items():
        told = (f"{100.0 * np.sqrt(np.mean(errors[line])):.3f}" for line in lines)
        print(f"{case:<34}" + "".join(f"{each:>18}" for each in told))
    for case in list(cases)[1:]:
        ratios = (np.mean(found[case][line]) / np.mean(found[first][line]) for line in lines)
        print(
            f"{'realisations, ' + case:<34}"
            + "".join(f"{f'x {ratio:.2f}':>18}" for ratio in ratios)
        )


def until(repeats: int) -> None:
    """Print bias and coverage of the mean of a run that ends where its error is below 0.1."""
    ends, errors, sizes = test_sequential.stopped(np.random.default_rng(11), repeats)
    n = len(ends)
    covered = np.mean(np.abs(ends) < errors)
    print(f"{n} runs of bias_mcse < 0.1, {np.median(sizes):.0f} realisations (median)")
    print(f"mean bias {np.mean(ends):+.4f} +- {np.std(ends) / np.sqrt(n):.4f}")
    print(f"within one stated error {covered:.3f} +- {np.sqrt(0.683 * 0.317 / n):.3f} (0.683)")


def calibration(repeats: int) -> None:
    """Print how often ranks of three quantities at once are outside of what 1 in 100 exact posteriors are."""
    cases = {
        "exact": {},
        "10 per cent too narrow": {"shrink": 0.9},
        "correlation lost": {"mixed": True},
        "half a sigma off": {"shift": 0.5},
    }
    for n in (200, 1000):
        for name, fault in cases.items():
            hits = 0
            for k in range(repeats):
                places = test_together.shares(n, np.random.default_rng([k, n]), **fault)
                hits += stats.kstest(places, "uniform").pvalue < 0.01
            print(f"n = {n:<5} {name:<24} found in {hits} of {repeats}")


def main() -> None:
    """Run what is asked for."""
    asked = {
        "pulls": (pulls, 200),
        "until": (until, 500),
        "savings": (savings, 200),
        "calibration": (calibration, 50),
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=asked)
    parser.add_argument("--repeats", type=int)
    given = parser.parse_args()
    work, n = asked[given.what]
    work(given.repeats or n)


if __name__ == "__main__":
    main()
