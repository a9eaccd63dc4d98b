"""The page of a run: seconds to write it, its size, and how long a browser takes to show and to change it.

Run with ``python benchmarks/page.py FOLDER... [--rows 100000]``: of the results in each folder, and of a made-up run
with as many rows of scores (100 cells, five estimators, ten quantities, twelve realisations). The browser is Chromium,
where playwright and ``/usr/bin/chromium`` are there: first paint, until the map and the tables stand, until the first
chart is drawn (the library is unpacked for it), and until another cell is shown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from haloassay.analysis.summary import summarise
from haloassay.contracts.quantities import QUANTITIES
from haloassay.contracts.schema import SCHEMAS
from haloassay.reports.page import write_page
from haloassay.results.results import Results

NAMES = ("enclosed_mass", "v_c", "sigma_r", "sigma_theta", "sigma_phi")
NAMES += ("mean_v_r", "mean_v_theta", "mean_v_phi", "beta", "kurtosis_r")


def made_up(folder: Path, rows: int, cells: int = 100, methods: int = 5, n: int = 12) -> Any:
    """Results with so many rows of scores."""
    bins = max(1, round(rows / (cells * methods * len(NAMES))))
    shape = (cells, methods, len(NAMES), bins, n)
    c, m, q, b, k = (axis.ravel() for axis in np.indices(shape))
    rng = np.random.default_rng(1)
    truth, half = 100.0, rng.uniform(4.0, 6.0, c.size)
    value = truth * (1.0 + 0.02 * (m - 2)) + 5.0 * rng.standard_normal(c.size)
    radius = np.geomspace(5.0, 100.0, bins)[b]
    columns: dict[str, Any] = {
        "cell": pd.Categorical.from_codes(c, [f"cell {x}" for x in range(cells)]).astype(str),
        "estimator": pd.Categorical.from_codes(m, [f"method {x}" for x in range(methods)]).astype(
            str
        ),
        "quantity": pd.Categorical.from_codes(q, NAMES).astype(str),
        "unit": pd.Categorical.from_codes(q, NAMES).map({x: QUANTITIES[x].unit for x in NAMES}),
        **{"bin": b, "realization": k, "value": value, "truth": truth, "rank": -1, "n_draws": 0},
        **{
            "lo68": value - half,
            "hi68": value + half,
            "note": "",
            "cell_key": "",
            "estimator_key": "",
        },
        **{"lo95": value - 2.0 * half, "hi95": value + 2.0 * half},
        **{"r": radius, "r_lo": 0.9 * radius, "r_hi": 1.1 * radius},
    }
    estimates = pd.DataFrame(columns).astype({"unit": str})[list(SCHEMAS["estimates"].names)]
    keys = ["cell", "cell_key", "estimator", "estimator_key", "realization"]
    ended = {"status": "ok", "error_type": "", "message": "", "seconds": 0.1, "n_stars": 1000}
    ended |= {
        "overlap": 0.0,
        "traceback": None,
        "joint_rank": -1,
        "joint_draws": 0,
        "joint_rows": 0,
    }
    runs = estimates[keys].drop_duplicates().assign(**ended)[list(SCHEMAS["runs"].names)]
    files = {}
    for name, frame in (("estimates", estimates), ("runs", runs)):
        files[name] = [folder / f"{name}.parquet"]
        frame.to_parquet(files[name][0], index=False)
    return SimpleNamespace(
        cells=pd.DataFrame({"cell": list(dict.fromkeys(estimates["cell"]))}),
        estimates_files=files["estimates"],
        runs_files=files["runs"],
        quantities=dict(QUANTITIES),
        scenario={"name": "made-up"},
        description={"scenario": {"name": "made-up"}},
        **{
            "damage": "",
            "unpaired": [],
            "shared": [],
            "factors": (),
            "samplings": {},
            "base_cell": "cell 0",
        },
    )


def browse(page: Path) -> dict[str, float]:
    """Seconds until what a reader waits for is there."""
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        tab = browser.new_page()
        start = time.perf_counter()
        tab.goto(page.as_uri(), wait_until="commit")
        tab.wait_for_function("document.documentElement.dataset.ready === '1'", timeout=300_000)
        ready = time.perf_counter() - start
        paint = tab.evaluate("performance.getEntriesByName('first-paint')[0].startTime / 1000")
        start = time.perf_counter()
        tab.click("#map button")
        tab.wait_for_selector("#detail svg", timeout=300_000)
        chart = time.perf_counter() - start
        found = {"first paint": paint, "ready": ready, "first chart": chart}
        if tab.query_selector("#choose-cell option:nth-child(3)"):
            start = time.perf_counter()
            tab.select_option("#choose-cell", index=2)
            found["another cell"] = time.perf_counter() - start
        start = time.perf_counter()
        tab.click("#scores-table th:nth-child(6) button")
        found["sorted"] = time.perf_counter() - start
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        runs = [(folder.name, Results(folder)) for folder in options.folders]
        if options.rows:
            runs.append((f"{options.rows} rows", made_up(Path(scratch), options.rows)))
        for name, results in runs:
            start = time.perf_counter()
            data = summarise(results)
            gathered = time.perf_counter() - start
            page = write_page(data, Path(scratch) / "report")
            times = {"gathered": gathered, "written": time.perf_counter() - start - gathered}
            try:
                times |= browse(page)
            except Exception as error:  # a browser is not everywhere
                print(f"no browser: {type(error).__name__}: {str(error).splitlines()[0]}")
            told = ", ".join(f"{what} {seconds:.2f} s" for what, seconds in times.items())
            print(f"{name}: {len(data.scores)} rows, {page.stat().st_size / 1e6:.2f} MB; {told}")


if __name__ == "__main__":
    main()
