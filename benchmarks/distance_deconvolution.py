"""Distance errors as stated, and deconvolved in radius: bias and coverage of masses and anisotropies.

python benchmarks/distance_deconvolution.py OUT [--realizations N]

Runs ``distance-deconvolution.toml``, and what no deconvolution can know: a wrong scale, distances that are posteriors,
a wrong density; and stars of the same density whose velocities are Gaussian at each radius. Writes
``docs/measured/distance-deconvolution.md``, and beside it ``-limits.md`` and ``-gaussian.md``.
"""

from __future__ import annotations

import argparse
import copy
import tomllib
from pathlib import Path

import numpy as np

import haloassay

HERE = Path(__file__).parent
MEASURED = HERE.parent / "docs" / "measured"
SCENARIO = HERE / "distance-deconvolution.toml"
QUANTITIES = {"enclosed_mass": "M(<r)", "beta": "beta"}
KINDS = {"splines": "spline-jeans", "tracer-mass": "tracer-mass", "ellipsoid": "velocity-ellipsoid"}
LIMITS = {
    "all as assumed": ({}, None),
    "distances 10 per cent too far": ({"distance_scale": 1.1}, None),
    "posteriors, L = 15 kpc": ({"distance_prior": 15.0}, None),
    "assumed slope -2.5": ({}, -2.5),
    "assumed slope -5": ({}, -5.0),
}


def cell_of(rows, quantity):
    """Bias with its Monte Carlo error, and coverage of the 68 per cent interval, of the rows of one bin."""
    known = rows[np.isfinite(rows["value"])]
    off = known["value"] - known["truth"]
    if quantity == "enclosed_mass":
        off = 100.0 * off / known["truth"]
    covered = np.mean((known["lo68"] <= known["truth"]) & (known["truth"] <= known["hi68"]))
    digits = 0 if quantity == "enclosed_mass" else 2
    error = off.std(ddof=1) / np.sqrt(len(off))
    return f"{off.mean():+.{digits}f} ± {error:.{max(digits, 1)}f} ({covered:.2f})"


def table(frame, name, title, conditions):
    """Markdown: a line a quantity and radius and condition, as stated beside deconvolved."""
    lines = [
        f"**{title}**",
        "",
        f"| r \\[kpc\\] | {name} | as stated | deconvolved |",
        "| ---: | --- | ---: | ---: |",
    ]
    for number in sorted(set(frame["bin"])):
        for label, of in conditions.items():
            here = frame[(frame["bin"] == number) & of(frame)]
            plain = here[~here["estimator"].str.endswith("deconvolved")]
            freed = here[here["estimator"].str.endswith("deconvolved")]
            quantity = str(here["quantity"].iloc[0])
            r = f"{here['r'].median():.0f}"
            lines.append(
                f"| {r} | {label} | {cell_of(plain, quantity)} | {cell_of(freed, quantity)} |"
            )
    return [*lines, ""]


def frame_of(results):
    frame = results.frame("estimates")
    for name in ("estimator", "quantity", "cell"):
        frame[name] = frame[name].astype(str)
    return frame


def main_table(out, n):
    frame = frame_of(haloassay.run(str(SCENARIO), out=out / "errors", realizations=n))
    levels = {"base": "20 %", "0.02": "2 %", "0.15": "15 %", "0.3": "30 %"}
    order = ("0.02", "0.15", "base", "0.3")
    conditions = {levels[k]: (lambda f, k=k: f["cell"].str.endswith(k)) for k in order}
    lines = []
    for start, kind in (
        ("splines", "spline-jeans"),
        ("tracer-mass", "tracer-mass"),
        ("ellipsoid", "velocity-ellipsoid"),
    ):
        for quantity, symbol in QUANTITIES.items():
            mine = frame[frame["estimator"].str.startswith(start) & (frame["quantity"] == quantity)]
            if len(mine):
                unit = " \\[%\\]" if quantity == "enclosed_mass" else ""
                lines += table(mine, "error", f"{symbol}{unit}, {kind}", conditions)
    return lines


def limits_table(out, n):
    base = tomllib.loads(SCENARIO.read_text())
    base["estimators"] = [e for e in base["estimators"] if e["label"].startswith("splines")]
    del base["matrix"]
    frames = []
    for k, (label, (survey, slope)) in enumerate(LIMITS.items()):
        scenario = copy.deepcopy(base)
        scenario["survey"] |= survey
        if slope is not None:
            for entry in scenario["estimators"]:
                if "distances" in entry:
                    entry["distances"]["alpha"] = slope
        frame = frame_of(haloassay.run(scenario, out=out / f"limits-{k}", realizations=n))
        frames.append(frame.assign(condition=label))
    import pandas as pd

    frame = pd.concat(frames, ignore_index=True)
    conditions = {label: (lambda f, label=label: f["condition"] == label) for label in LIMITS}
    lines = []
    for quantity, symbol in QUANTITIES.items():
        unit = " \\[%\\]" if quantity == "enclosed_mass" else ""
        mine = frame[frame["quantity"] == quantity]
        lines += table(mine, "20 % errors", f"{symbol}{unit}, spline-jeans", conditions)
    return lines


def gaussian_table(out, n):
    """Markdown: beta of stars of radial orbits, and of Gaussian velocities, at errors of 30 per cent."""
    frames = []
    for kind in ("equilibrium", "local-jeans-gaussian"):
        scenario = tomllib.loads(SCENARIO.read_text())
        scenario["estimators"] = [
            e for e in scenario["estimators"] if e["kind"] == "velocity-ellipsoid"
        ]
        del scenario["matrix"]
        scenario["mock"]["kind"] = kind
        scenario["survey"]["distance_error"] = 0.3
        frame = frame_of(haloassay.run(scenario, out=out / kind, realizations=n))
        frames.append(frame[frame["quantity"] == "beta"].assign(mock=kind))
    import pandas as pd

    frame = pd.concat(frames, ignore_index=True)
    conditions = {
        f"`{kind}`": (lambda f, kind=kind: f["mock"] == kind) for kind in frame["mock"].unique()
    }
    return table(frame, "mock", "beta, velocity-ellipsoid, 30 % errors", conditions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--realizations", type=int, default=20)
    options = parser.parse_args()
    n = options.realizations
    head = f"<!-- python benchmarks/distance_deconvolution.py OUT --realizations {n} -->"
    for name, made in (
        ("", main_table),
        ("-limits", limits_table),
        ("-gaussian", gaussian_table),
    ):
        text = "\n".join([head, "", *made(options.out, n)])
        MEASURED.joinpath(f"distance-deconvolution{name}.md").write_text(text)


if __name__ == "__main__":
    main()
