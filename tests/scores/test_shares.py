"""Errors of shares whose trials share random numbers."""

import numpy as np
import pytest
from scipy.stats import norm
from seeds import seeded

from haloassay.analysis.shares import pooled_share, share_error

N, CELLS, RUNS = 40, 8, 400


def hits(rng, common):
    """Whether |z| < 1 of scores z, a part ``common`` of whose variance all cells of a realisation have."""
    shared, own = rng.standard_normal((N, 1)), rng.standard_normal((N, CELLS))
    return (np.abs(np.sqrt(common) * shared + np.sqrt(1.0 - common) * own) < 1.0).astype(float)


@pytest.mark.parametrize("common", [0.0, 0.9, 1.0])
def test_the_error_is_the_scatter_from_run_to_run(common):
    rng = seeded(71, int(10 * common))
    found = np.array([pooled_share(hits(rng, common), np.arange(N)) for _ in range(RUNS)])
    scatter = found[:, 0].std(ddof=1)
    stated = np.sqrt(np.mean(found[:, 1] ** 2))
    assert stated == pytest.approx(scatter, rel=4.0 / np.sqrt(2.0 * RUNS))
    expected = norm.cdf(1.0) - norm.cdf(-1.0)
    assert found[:, 0].mean() == pytest.approx(expected, abs=4.0 * scatter / np.sqrt(RUNS))


@pytest.mark.parametrize("k", [0, 1])
def test_none_and_all_are_known_as_well_as_of_one_cell(k):
    share, error = pooled_share(np.full((N, CELLS), float(k)), np.arange(N))
    assert share == k
    assert error == pytest.approx(share_error(k * N, N))


def test_a_single_miss_is_that_of_so_many_catalogues():
    found = np.ones((N, CELLS))
    found[0, 0] = 0.0
    _, error = pooled_share(found, np.arange(N))
    assert error == pytest.approx(share_error(N * CELLS - 1, N * CELLS), rel=0.1)


def test_cells_that_always_differ_make_no_error_larger_than_that_of_one():
    found = np.ones((N, CELLS))
    found[:, ::2] = 0.0
    share, error = pooled_share(found, np.arange(N))
    assert (share, error) == (0.5, pytest.approx(share_error(0, N)))


def test_what_is_drawn_together_is_one_and_what_is_missing_none():
    rng = seeded(72)
    found = hits(rng, 1.0)
    twice = np.concatenate([found, found])
    _, once = pooled_share(found, np.arange(N))
    _, error = pooled_share(twice, np.tile(np.arange(N), 2))
    assert error == pytest.approx(once, rel=0.05)
    # each cell with realisations of its own: as many trials as there are
    apart = np.full((N * CELLS, CELLS), np.nan)
    for c in range(CELLS):
        apart[c * N : (c + 1) * N, c] = found[:, 0]
    share, error = pooled_share(apart, np.arange(N * CELLS))
    assert share == pytest.approx(found[:, 0].mean())
    assert error == pytest.approx(share_error(share * N * CELLS, N * CELLS), rel=0.05)
