"""Hierarchical-df beside GMEstan on the same stars: posterior means and widths of the mass and of all parameters.

Run with ``python benchmarks/beside_gmestan.py h3p-fixed.stan [--stars 60] [--draws 300] [--seed 1]``, where the file
is the user's own copy of the model that the public code recommends (https://github.com/al-jshen/gmestan-examples;
Shen et al. 2022). It is run by pystan 3 (``pip install pystan``), which compiles it with g++ for some minutes, once.

The stars are of the power-law distribution function, seen from the Sun with errors of 10 per cent, 0.05 mas/yr and
10 km/s: as they are, and without the proper motions of every third and the line-of-sight velocities of every fourth
of the others. GMEstan has two chains, from where its example starts them. Ours has its prior and its density
(``priors = "shen2022"``, ``density = "published"``, errors of the distance itself); the counts of stars for that
density; and its default. Numbers are means and standard deviations, and in brackets how far they are from those of
GMEstan in units of the larger standard deviation. R is the greatest ratio of Gelman and Rubin of its parameters.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from haloassay.base.constants import G
from haloassay.contracts.catalogue import Catalogue
from haloassay.estimators import make_estimator

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "estimators"))
from hierarchical_samples import EDGES, seen
from test_power_law_df import true_mass

RADII = np.array([15.0, 30.0, 60.0])
GAMMA, BETA, ALPHA = 0.45, 0.3, 4.0
HEAD = ("stars", "fit", "M(<15) / true", "M(<30) / true", "M(<60) / true", "gamma", "beta", "alpha")
THEIRS = {"priors": "shen2022", "distance_errors": "linear", "alpha_range": [-10.0, -3.0]}
THEIRS |= {"beta_range": [-3.0, 0.999], "g_range": [0.01, 0.999]}
OURS = {
    "published": {**THEIRS, "density": "published"},
    "counts": {**THEIRS, "density": "counts", "r_range": list(EDGES)},
    "default": {"r_range": list(EDGES)},
}


def partly(stars):
    """Take away proper motions of every third star, and line-of-sight velocities of every fourth of the others."""
    columns, k = (
        {name: values.copy() for name, values in stars.columns.items()},
        np.arange(len(stars)),
    )
    gone = k % 3 == 0
    for name in ("pmra", "pmdec"):
        columns[name][gone] = np.nan
    columns["vlos"][~gone & (k % 4 == 0)] = np.nan
    return Catalogue.from_arrays(**columns)


def data_of(stars):
    """Make the data block of the Stan program; what is missing is 0, as in its example, but has no error of 0."""
    n = len(stars)
    known = {name: np.isfinite(stars[name]) for name in ("pmra", "vlos")}
    data = {"N": n, "alpha_mean": 4.0, "alpha_sigma": 0.1, "beta_mean": 0.3, "beta_sigma": 0.05}
    data |= {"pos_obs": [1] * n, "dist_obs": [1] * n}
    data |= {"pm_obs": known["pmra"].astype(int).tolist()}
    data |= {"vlos_obs": known["vlos"].astype(int).tolist()}
    names = {
        "ra": "ra",
        "dec": "dec",
        "dist": "distance",
        "pmra": "pmra",
        "pmdec": "pmdec",
        "vlos": "vlos",
    }
    for theirs, name in names.items():
        error = np.full(n, 1e-7) if name in ("ra", "dec") else stars.error(name)
        found = np.isfinite(stars[name])
        data[f"{theirs}_measured"] = np.where(found, stars[name], 0.0).tolist()
        data[f"{theirs}_err"] = np.where(found, error, 1.0).tolist()
    pairs = ("pos", "pm", "ra_pmra", "dec_pmdec", "ra_pmdec", "dec_pmra")
    return data | {f"{pair}_corr": [0.0] * n for pair in pairs}


def theirs(program, stars, draws, seed):
    """Sample the Stan program; Phi0 [(100 km/s)^2], gamma, beta, alpha (m, 4), and the ratio of Gelman and Rubin."""
    import stan

    data = data_of(stars)
    model = stan.build(program, data=data, random_seed=seed)
    start = {
        "p_gamma": 0.4,
        "p_phi0": 65.0,
        "p_beta": 0.5,
        "p_alpha": 4.0,
        "dist": data["dist_measured"],
    }
    for name in ("pmra", "pmdec", "vlos"):
        start[name] = (np.array(data[f"{name}_measured"]) / 5.0).tolist()
    fit = model.sample(num_chains=2, num_samples=draws, num_warmup=draws, init=[start] * 2)
    names = ("p_phi0", "p_gamma", "p_beta", "p_alpha")
    chains = np.array([fit[name].reshape(-1, 2) for name in names])  # draws of a chain are a column
    within = chains.var(axis=1, ddof=1).mean(axis=1)
    ratio = np.sqrt(1.0 + chains.mean(axis=1).var(axis=1, ddof=1) / within)
    return chains.reshape(4, -1).T, float(ratio.max())


def ours(stars, spec, draws, seed):
    """Make the same by hierarchical-df."""
    rng = np.random.default_rng(seed)
    estimator = make_estimator({"kind": "hierarchical-df", "n_draws": draws, **spec})
    fit = estimator._fit(stars, rng)
    log_vc2, g, beta, alpha = fit.draws(estimator.n_samples, draws, rng).T
    return np.stack([np.exp(log_vc2 + g * np.log(fit.pivot)) / g / 1e4, g, beta, -alpha], axis=1)


def numbers(points):
    """Masses over the true ones, gamma, beta and alpha (m, 6) of draws."""
    phi, g, beta, alpha = points.T
    mass = 1e4 * (g * phi)[:, None] * RADII ** (1.0 - g[:, None]) / G
    return np.column_stack([mass / true_mass(RADII, GAMMA), g, beta, alpha])


def line(name, fit, found, beside=None):
    """Make a row of the table."""
    mean, width = found.mean(axis=0), found.std(axis=0, ddof=1)
    cells = [f"{m:.2f} ± {w:.2f}" for m, w in zip(mean, width, strict=True)]
    if beside is not None:
        off = (mean - beside.mean(axis=0)) / np.maximum(width, beside.std(axis=0, ddof=1))
        cells = [f"{cell} ({each:+.1f})" for cell, each in zip(cells, off, strict=True)]
    return "| " + " | ".join([name, fit, *cells]) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path, help="models/h3p-fixed.stan")
    parser.add_argument("--stars", type=int, default=60)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    whole = seen(options.stars, rng, g=GAMMA, beta=BETA, gamma=ALPHA)
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD))
    print(f"| | truth | 1 | 1 | 1 | {GAMMA} | {BETA} | {ALPHA} |")
    for name, stars in (("all measured", whole), ("some velocities missing", partly(whole))):
        points, ratio = theirs(options.program.read_text(), stars, options.draws, options.seed)
        beside = numbers(points)
        print(line(name, f"GMEstan (R = {ratio:.3f})", beside), flush=True)
        for setting, spec in OURS.items():
            found = numbers(ours(stars, spec, 4 * options.draws, options.seed))
            print(line(name, f"hierarchical-df, {setting}", found, beside), flush=True)


if __name__ == "__main__":
    main()
