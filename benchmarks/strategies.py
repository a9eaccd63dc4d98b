"""How many examples a second the strategies draw, and how many of them hypothesis rejects.

Run with ``python benchmarks/strategies.py [--examples 300]``; it prints that of ``docs/howto/checks.md``. The first
column is what the first draw of a process costs: halos are solved then, and kernels loaded.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Iterator
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase

from haloassay.testing import strategies

STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "potentials()": strategies.potentials(),
    "densities()": strategies.densities(),
    "betas()": strategies.betas(),
    "populations()": strategies.populations(),
    "shapes()": strategies.shapes(),
    "lmcs()": strategies.lmcs(),
    "surveys()": strategies.surveys(),
    "equilibria()": strategies.equilibria(),
    "scenarios()": strategies.scenarios(),
    "estimates()": strategies.estimates(),
    "catalogues()": strategies.catalogues(),
    "observed_catalogues()": strategies.observed_catalogues(),
    "damaged_catalogues()": strategies.damaged_catalogues(),
}


def drawn(strategy: st.SearchStrategy[Any], examples: int) -> list[float]:
    """List the times at which examples came; those that are rejected come to nobody."""
    came: list[float] = []

    @settings(
        max_examples=examples,
        database=InMemoryExampleDatabase(),
        deadline=None,
        phases=[Phase.generate],
    )
    @given(strategy)
    def test(_: Any) -> None:
        came.append(time.perf_counter())

    test()
    return came


def rows(examples: int) -> Iterator[str]:
    """Write the lines of a table in Markdown."""
    yield "| strategy | first draw [s] | examples a second | rejected |"
    yield "|---|---|---|---|"
    for name, strategy in STRATEGIES.items():
        started = time.perf_counter()
        tried = 0

        def count(value: Any) -> bool:
            nonlocal tried
            tried += 1
            return True

        came = drawn(strategy.filter(count), examples)
        first = came[0] - started
        rate = (len(came) - 1) / (came[-1] - came[0])
        rejected = 1.0 - len(came) / tried
        yield f"| `{name}` | {first:.2f} | {rate:.0f} | {100 * rejected:.0f} % |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--examples", type=int, default=300, help="of each strategy")
    for line in rows(parser.parse_args().examples):
        print(line, flush=True)
