"""What packaged scenarios say of papers and of their own truths is so."""

from __future__ import annotations

import numpy as np
import pytest

from haloassay.estimators import make_estimator
from haloassay.mocks.gravity.shapes import rotation_matrix
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import as_scenario

#: Li et al. (2026), Table 3, 80 to 120 kpc: mu_compr, mu_dipole [km/s], l and b of the apex [deg].
OUTERMOST = (-19.0, -44.0, -28.3, -23.8)


def test_li2026_dipole_paints_the_outermost_bin_of_table_3():
    scenario = as_scenario("li2026-dipole")
    painted = scenario.mock["painted"]
    found = (painted["mu_compr"], -painted["v_travel"], painted["apex_l"], painted["apex_b"])
    assert found == OUTERMOST
    assert (scenario.survey["r_min"], scenario.survey["r_max"]) == (80.0, 120.0)
    for number in ("(-28.3, -23.8)", "19 km/s", "44 km/s", "80 to 120 kpc"):
        assert number in scenario.description.replace("\n", " ")


@pytest.mark.parametrize("entry", as_scenario("mass-estimators").estimators, ids=lambda e: e.label)
def test_mass_estimators_are_told_the_true_baryons_and_hubble_constant(entry):
    estimator = make_estimator(dict(entry.spec))
    for holder in (estimator, getattr(estimator, "halo", None), getattr(estimator, "nfw", None)):
        if hasattr(holder, "baryons"):
            assert holder.baryons == "mwpotential2014"
        if hasattr(holder, "h0"):
            assert holder.h0 == 67.8


def test_the_tilted_halo_of_han2024_is_the_same_and_made_once():
    cells = {cell.label: cell.mock for cell in make_plan(as_scenario("han2024-correlation")).cells}
    assert cells["halo=tilted"] == as_scenario("han2024").mock
    assert cells["halo=tilted"] == as_scenario("han2024-quadrants").mock
    disc = dict(cells["halo=tilted, flared disc"])
    disc.pop("debris")
    assert disc == cells["halo=tilted"]
    aleph = dict(as_scenario("han2024-aleph").mock)
    aleph.pop("debris")
    assert aleph == cells["base"]


def test_the_axis_of_the_density_that_han2024_correlation_states_is_that_of_its_stars():
    scenario = as_scenario("han2024-correlation")
    x, _, z = rotation_matrix(as_scenario("han2024").mock["populations"][0]["shape"]["tilt"])[:, 0]
    for entry in scenario.estimators:
        axis = entry.spec["density_axis"]
        assert np.degrees(np.arctan2(z, x)) == pytest.approx(axis)
