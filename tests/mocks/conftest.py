"""What tests of simulated halos share."""

import pytest
from seeds import seeded
from simulated_halo import hernquist_stars, nfw_body


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    """Cache folder of one test."""
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def bodies():
    """Dark particles of one mass in MassTable, stars with Masses."""
    rng = seeded(1)
    return {1: nfw_body(2000, rng), 4: hernquist_stars(1000, rng)}
