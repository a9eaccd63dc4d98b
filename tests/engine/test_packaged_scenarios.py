"""What packaged scenarios say of papers and of their own truths is so."""

from __future__ import annotations

import pytest

from haloassay.estimators import make_estimator
from haloassay.planning.expansion import cells
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


#: Table 3: radii [kpc], mu_compr, mu_dipole, l and b of the apex.
TABLE_3 = {
    (50.0, 60.0): (-17.5, -18.1, -87.6, -48.8),
    (60.0, 80.0): (-17.5, -20.0, -14.3, -41.6),
    (80.0, 120.0): (-19.0, -44.0, -28.3, -23.8),
}


def test_li2026_north_south_paints_table_3():
    found = set()
    for cell in cells(as_scenario("li2026-north-south")):
        survey, painted = cell.survey, cell.mock["painted"]
        row = (painted["mu_compr"], -painted["v_travel"], painted["apex_l"], painted["apex_b"])
        assert row == TABLE_3[survey["r_min"], survey["r_max"]]
        found.add((survey["r_min"], survey["preset"]))
    assert len(found) == 6


def test_li2026_appendix_a_has_the_fractions_and_the_beta_of_table_2():
    rich, poor = as_scenario("li2026-appendix-a").mock["populations"]
    shares = [0.517, 0.524, 0.568, 0.581, 0.592, 0.663]
    shares += [0.644, 0.618, 0.565, 0.499, 0.401, 0.435, 0.653]
    betas = [0.533, 0.526, 0.548, 0.528, 0.488, 0.440]
    betas += [0.443, 0.414, 0.288, 0.094, -0.025, -0.180, -0.577]
    assert rich["fraction"]["share"] == shares
    assert poor["beta"]["beta"] == betas
    assert rich["fraction"]["r"] == poor["beta"]["r"]
    assert rich["beta"] == {"kind": "constant", "beta": 0.9}


@pytest.mark.parametrize("entry", as_scenario("mass-estimators").estimators, ids=lambda e: e.label)
def test_mass_estimators_are_told_the_true_baryons_and_hubble_constant(entry):
    estimator = make_estimator(dict(entry.spec))
    for holder in (estimator, getattr(estimator, "halo", None), getattr(estimator, "nfw", None)):
        if hasattr(holder, "baryons"):
            assert holder.baryons == "mwpotential2014"
        if hasattr(holder, "h0"):
            assert holder.h0 == 67.8
