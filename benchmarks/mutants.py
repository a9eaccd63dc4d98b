"""Faults planted in the estimators of haloassay: which check finds each, at which level, and how soon.

Run with ``python benchmarks/mutants.py OUT [--only NAME ...]``; ``--table`` prints that of ``docs/measured/mutants.md``
of all that OUT holds. Each mutant is a copy of the package with one text replaced; checks are made by
``haloassay check`` of the copy, quick ones first, and the first level at which one fails has found it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple


class Mutant(NamedTuple):
    """A fault: of which estimator, where, and what stands there instead."""

    fault: str
    kind: str
    file: str
    old: str
    new: str


ELLIPSOID = "estimators/fit/ellipsoid.py"
MUTANTS = {
    "heavy-g": Mutant(
        "G larger by 1 per cent",
        "tracer-mass",
        "estimators/tracer_mass.py",
        "constant * r_out ** (1.0 - self.a) / G",
        "constant * r_out ** (1.0 - self.a) / (1.01 * G)",
    ),
    "half-beta": Mutant(
        "a factor of 2 before beta",
        "tracer-mass",
        "estimators/tracer_mass.py",
        "constant = a + gamma - 2.0 * beta",
        "constant = a + gamma - beta",
    ),
    "power": Mutant(
        "the sign of a power",
        "tracer-mass",
        "estimators/tracer_mass.py",
        "radial, rest, radius**self.a,",
        "radial, rest, radius**-self.a,",
    ),
    "unit": Mutant(
        "masses in 1e10 Msun",
        "tracer-mass",
        "estimators/tracer_mass.py",
        'resampled_row("enclosed_mass", value, draws, **place)',
        'resampled_row("enclosed_mass", value / 1e10, draws / 1e10, **place)',
    ),
    "wrong-rows": Mutant(
        "bootstrap of the first half of the stars",
        "tracer-mass",
        "estimators/bins.py",
        "np.array([statistic(rows) for rows in resampled_catalogues(n_stars, n, rng)])",
        "np.array([statistic(rows // 2) for rows in resampled_catalogues(n_stars, n, rng)])",
    ),
    "edges": Mutant(
        "each bin begins one star late",
        "velocity-ellipsoid",
        "estimators/bins.py",
        "rows = np.sort(order[first[k] : first[k + 1]])",
        "rows = np.sort(order[first[k] + 1 : first[k + 1] + 1])",
    ),
    "next-bin": Mutant(
        "stars of the bin before",
        "velocity-ellipsoid",
        "estimators/bins.py",
        "rows = np.sort(order[first[k] : first[k + 1]])",
        "rows = np.sort(order[first[max(k - 1, 0)] : first[k + 1]])",
    ),
    "narrow": Mutant(
        "intervals 10 per cent too narrow, draws as they were",
        "velocity-ellipsoid",
        "contracts/estimate.py",
        "        return cls(quantity, value, lo68, hi68, lo95, hi95, draws=draws, **where)",
        "        lo68, hi68 = value + 0.9 * (lo68 - value), value + 0.9 * (hi68 - value)\n"
        "        lo95, hi95 = value + 0.9 * (lo95 - value), value + 0.9 * (hi95 - value)\n"
        "        return cls(quantity, value, lo68, hi68, lo95, hi95, draws=draws, **where)",
    ),
    "half-width": Mutant(
        "draws and intervals half as wide",
        "velocity-ellipsoid",
        ELLIPSOID,
        "deviation = np.sqrt(np.diag(self.error_covariance))",
        "deviation = 0.5 * np.sqrt(np.diag(self.error_covariance))",
    ),
    "swapped": Mutant(
        "sigma_theta and sigma_phi exchanged",
        "velocity-ellipsoid",
        "estimators/velocity_ellipsoid.py",
        'drawn_row(f"sigma_{axis}", sigma[:, k], ellipsoid.note((k,)), **bin_.where)',
        'drawn_row(f"sigma_{axis}", sigma[:, -k], ellipsoid.note((k,)), **bin_.where)',
    ),
    "sign": Mutant(
        "the sign of the mean v_theta",
        "velocity-ellipsoid",
        "estimators/velocity_ellipsoid.py",
        'Estimate.from_draws(f"mean_v_{axis}", mean[:, k], **bin_.where)',
        'Estimate.from_draws(f"mean_v_{axis}", mean[:, k] * (1 - 2 * (k == 1)), **bin_.where)',
    ),
    "anisotropy": Mutant(
        "beta without its factor of 2",
        "velocity-ellipsoid",
        ELLIPSOID,
        "(square[..., 1] + square[..., 2]) / (2.0 * square[..., 0])",
        "(square[..., 1] + square[..., 2]) / (1.0 * square[..., 0])",
    ),
    "errors": Mutant(
        "the errors of the velocities left out",
        "velocity-ellipsoid",
        ELLIPSOID,
        "    check_number(len(bin_), min_stars)\n"
        "    v, S = catalogue.spherical_velocity[bin_.rows], catalogue.spherical_covariance[bin_.rows]",
        "    check_number(len(bin_), min_stars)\n"
        "    v, S = catalogue.spherical_velocity[bin_.rows], 0.0 * catalogue.spherical_covariance[bin_.rows]",
    ),
    "minimum": Mutant(
        "bins of one star have a value",
        "tracer-mass",
        "estimators/bins.py",
        "    if n < least:",
        "    if n < min(least, 1):",
    ),
    "jeans-sign": Mutant(
        "the sign of the gradient of sigma_r",
        "jeans-3d",
        "estimators/jeans_3d.py",
        "return np.asarray(-2.0 * s0**2 / h * np.exp(-2.0 * r / h))",
        "return np.asarray(2.0 * s0**2 / h * np.exp(-2.0 * r / h))",
    ),
    "jeans-term": Mutant(
        "one of two tangential terms",
        "jeans-3d",
        "estimators/jeans_3d.py",
        "(2.0 + alpha) * rr - tt - pp",
        "(2.0 + alpha) * rr - tt",
    ),
    "v-c": Mutant(
        "v_c with G smaller by 1 per cent",
        "jeans-3d",
        "estimators/jeans_3d.py",
        "square = G * draws / point.bin.r",
        "square = 0.99 * G * draws / point.bin.r",
    ),
    "spline-beta": Mutant(
        "v_c of the mass without G",
        "spline-jeans",
        "estimators/spline_jeans.py",
        "velocity_row(G * mass / place",
        "velocity_row(mass / place",
    ),
    "memory": Mutant(
        "a generator of its own",
        "jeans-3d",
        "estimators/jeans_3d.py",
        "        terms = sigma + error * rng.standard_normal",
        "        rng = np.random.default_rng()\n        terms = sigma + error * rng.standard_normal",
    ),
    "global": Mutant(
        "the global generator",
        "gaussian-single",
        "estimators/gaussian_single.py",
        "            draws[:, two] = self._two(",
        "            draws[:, two] = np.random.normal(0.0, 1e-9) + self._two(",
    ),
    "no-errors": Mutant(
        "an error column that is ignored",
        "gaussian-single",
        "estimators/gaussian_single.py",
        "return cls(x, np.vstack([variances, feh_err**2]))",
        "return cls(x, np.vstack([0.0 * variances, feh_err**2]))",
    ),
    "first-stars": Mutant(
        "the last tenth of the stars left out",
        "power-law-df",
        "estimators/power_law_df.py",
        "        kept &= (speed > 0.0) & (speed < self.v_max)",
        "        kept &= (speed > 0.0) & (np.arange(len(speed)) < 0.9 * len(speed))",
    ),
    "kinetic": Mutant(
        "v^2 for v^2 / 2",
        "power-law-df",
        "estimators/power_law_df.py",
        "half = 0.5 * (v[..., 0] ** 2 + across**2)",
        "half = v[..., 0] ** 2 + across**2",
    ),
    "across": Mutant(
        "one of two tangential velocities",
        "power-law-df",
        "estimators/power_law_df.py",
        "np.hypot(v[..., 1], v[..., 2])",
        "np.abs(v[..., 1])",
    ),
    "boundary": Mutant(
        "the boundary term is missing",
        "nfw-tracer",
        "estimators/nfw_tracer.py",
        "        share = edge_share(self.density, edges)",
        "        share = 0.0 * edge_share(self.density, edges)",
    ),
    "lever": Mutant(
        "the sign of d ln mu / d ln r",
        "nfw-tracer",
        "estimators/nfw_tracer.py",
        "return ratio * (4.0 - rise)",
        "return ratio * (4.0 + rise)",
    ),
    "apex": Mutant(
        "the apex for the antapex",
        "dipole",
        "estimators/dipole.py",
        '*apex_rows(q[:, :3], "mu_dipole", **bin_.where)',
        '*apex_rows(-q[:, :3], "mu_dipole", **bin_.where)',
    ),
    "radians": Mutant(
        "a longitude in radians",
        "dipole",
        "estimators/rows.py",
        'drawn_row("apex_l", around_centre(lon), note, **where)',
        'drawn_row("apex_l", np.radians(around_centre(lon)), note, **where)',
    ),
    "direction": Mutant(
        "positions in kpc for directions",
        "dipole",
        "estimators/dipole.py",
        "n = position / np.linalg.norm(position, axis=1)[:, None]",
        "n = position / 10.0",
    ),
    "edit": Mutant(
        "an edit of the catalogue in place",
        "tracer-mass",
        "estimators/tracer_mass.py",
        "        catalogue.check_finite()\n        rows: list",
        "        catalogue.check_finite()\n        catalogue.spherical_velocity[:, 0] *= 1.0\n        rows: list",
    ),
    "half-fall": Mutant(
        "a density slope that is off by 0.2",
        "los-jeans",
        "estimators/los_jeans.py",
        "density_slope(self.alpha), self.beta, self.halo)",
        "density_slope(self.alpha + 0.2), self.beta, self.halo)",
    ),
    "labels": Mutant(
        "metal-poor for metal-rich",
        "gaussian-mixture",
        "estimators/gaussian_mixture.py",
        "            part = draws[:, 8 * k : 8 * k + 8]",
        "            part = draws[:, 8 * (1 - k) : 8 * (1 - k) + 8]",
    ),
}
LEVELS = ("quick", "standard")


def tried(mutant: Mutant, folder: Path) -> dict[str, object]:
    """Plant a fault in a copy of the package, and check it until it is found."""
    (package,) = find_spec("haloassay").submodule_search_locations  # type: ignore[union-attr]
    copy = folder / "haloassay"  # always there, so that kernels are compiled once
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / mutant.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.file}: {text.count(mutant.old)} times: {mutant.old}")
    file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    seconds, failed = 0.0, []
    for level in LEVELS:
        started = time.perf_counter()
        failed = failures(folder, mutant.kind, level)
        seconds += time.perf_counter() - started
        if failed:
            return {"level": level, "failed": failed, "seconds": round(seconds)}
    return {"level": "", "failed": failed, "seconds": round(seconds)}


def failures(folder: Path, kind: str, level: str) -> list[str]:
    """Names of the checks that fail of the copy of the package in a folder."""
    command = [sys.executable, "-m", "haloassay", "check", kind, "--level", level]
    command += ["--format", "json", "--timeout", "120"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": f"{folder}/numba"}
    ended = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    if not ended.stdout.strip():
        return [f"all: {ended.stderr.strip().splitlines()[-1]}"]
    return [x["name"] for x in json.loads(ended.stdout)["findings"] if x["status"] == "failed"]


def table(out: Path) -> Iterator[str]:
    """Lines of Markdown."""
    yield "| fault | estimator | found by | level | seconds |"
    yield "|---|---|---|---|---|"
    found = 0
    done = [(name, m) for name, m in MUTANTS.items() if (out / f"{name}.json").exists()]
    for name, mutant in done:
        told = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
        found += bool(told["failed"])
        first, others = told["failed"][:3], len(told["failed"][3:])
        by = ", ".join(first) + (f" and {others} more" if others else "") or "-"
        yield f"| {mutant.fault} | {mutant.kind} | {by} | {told['level'] or '-'} | {told['seconds']} |"
    yield f"\n{found} of {len(done)} found"


def main() -> None:
    """Try what is missing, or print what there is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="*", choices=MUTANTS, default=list(MUTANTS))
    parser.add_argument("--table", action="store_true", help="print what there is")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.table:
        print("\n".join(table(asked.out)))
        return
    for name in asked.only:
        file = asked.out / f"{name}.json"
        if not file.exists():
            found = tried(MUTANTS[name], asked.out.resolve() / "copy")
            file.write_text(json.dumps(found), encoding="utf-8")
            print(name, found, flush=True)


if __name__ == "__main__":
    main()
