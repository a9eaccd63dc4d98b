from __future__ import annotations

import emcee
import numpy as np
import pytest
from seeds import seeded

from haloassay.base.constants import G
from haloassay.contracts.profiles import nfw_enclosed_mass, virial_mass, virial_radius
from haloassay.estimators.fit.posterior import EmceeRun, emcee_chain
from haloassay.estimators.halo.baryons import baryons_mass, baryons_vc2
from haloassay.estimators.halo.nfw import (
    NFWFit,
    nfw_draws,
    nfw_log_density,
    nfw_rows,
)

R = np.array([8.0, 19.0, 29.0, 39.0, 49.0, 60.0, 73.0])
M200, C200 = 0.8e12, 15.0
R200 = float(virial_radius(M200, 67.8))
DARK = nfw_enclosed_mass(R, M200, R200, C200)
ERROR = DARK * np.array([0.03, 0.04, 0.06, 0.08, 0.1, 0.12, 0.15])
FREE = NFWFit(baryons="none", vc_range="none")


@pytest.mark.slow
@pytest.mark.parametrize("baryons", ["none", "mwpotential2014", "zhai2018"])
def test_coverage_and_centre(baryons):
    settings = NFWFit(baryons=baryons, vc_range="none")
    total = DARK + baryons_mass(baryons, R)
    below, runs = [], 80
    for k in range(runs):
        rng = seeded(1, k)
        mass = total + ERROR * rng.standard_normal(len(R))
        draws = nfw_draws(R, mass, ERROR, settings, "quadrature", 500, rng)
        below.append((draws < (R200, C200)).mean(axis=0))
    below = np.array(below)
    for nominal, lo, hi in ((0.68, 0.16, 0.84), (0.95, 0.025, 0.975)):
        coverage = ((below > lo) & (below < hi)).mean(axis=0)
        assert np.all(np.abs(coverage - nominal) < 4.0 * np.sqrt(nominal * (1.0 - nominal) / runs))


def test_zhai_baryons_follow_from_their_potential():
    r, step = 7.0, 1e-4

    def potential(x):
        return -G * 6.8e10 * (1.0 - np.exp(-x / 2.5)) / x - G * 0.5e10 / (x + 0.6)

    force = (potential(r + step) - potential(r - step)) / (2.0 * step)
    np.testing.assert_allclose(baryons_mass("zhai2018", r), r * r * force / G, rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "looseness"),
    [
        pytest.param(NFWFit(), 1.0, id="prior"),
        pytest.param(FREE, 5.0, id="loose"),
        pytest.param(NFWFit(vc_range=(215.0, 217.0)), 1.0, id="narrow"),
    ],
)
def test_quadrature_and_emcee_agree(settings, looseness):
    error = looseness * ERROR
    total = DARK + baryons_mass(settings.baryons, R)
    density = nfw_log_density(R, total, error, settings)
    draws = nfw_draws(R, total, error, settings, "quadrature", 20000, seeded(2))
    start = np.median(draws, axis=0)
    run = EmceeRun(200, 1300, 300)
    chain = emcee_chain(density, start, 0.002 * start, run, seeded(3))
    for k in range(2):
        tau = emcee.autocorr.integrated_time(chain[:, :, k], quiet=True)[0]
        flat, sd = chain[:, :, k].ravel(), draws[:, k].std()
        mcse = sd * np.sqrt(tau / flat.size + 1.0 / 20000)
        for q in (0.16, 0.5, 0.84):
            ends = np.quantile(draws[:, k], [q - 0.03, q + 0.03])
            mcse_q = (ends[1] - ends[0]) / 0.06 * np.sqrt(q * (1.0 - q)) * mcse / sd
            assert abs(np.quantile(flat, q) - np.quantile(draws[:, k], q)) < 4.0 * mcse_q


@pytest.mark.parametrize("factor", [0.65, 1.3])
def test_prior_on_the_circular_velocity_holds_for_every_draw(factor):
    settings = NFWFit()
    total = factor * (DARK + baryons_mass("mwpotential2014", R))
    draws = nfw_draws(R, total, ERROR, settings, "quadrature", 2000, seeded(4))
    halo = nfw_enclosed_mass(8.3, virial_mass(draws[:, 0], 67.8), draws[:, 0], draws[:, 1])
    v_c = np.sqrt(baryons_vc2("mwpotential2014", 8.3) + G * halo / 8.3)
    assert np.all((v_c > 200.0) & (v_c < 250.0))
    pulled = np.median(v_c) > 240.0 if factor > 1.0 else np.median(v_c) < 210.0
    assert pulled  # the data lie outside


def test_precise_masses_make_a_narrow_posterior():
    error = 1e-4 * DARK
    draws = nfw_draws(R, DARK, error, FREE, "quadrature", 2000, seeded(5))
    np.testing.assert_allclose(np.median(draws, axis=0), [R200, C200], rtol=1e-3)
    assert np.all(draws.std(axis=0) < 0.002 * np.array([R200, C200]))


@pytest.mark.parametrize(
    ("mass", "error", "settings", "reason"),
    [
        (
            0.1 * baryons_mass("mwpotential2014", R),
            ERROR,
            NFWFit(),
            "below the mass of the baryons",
        ),
        (DARK, ERROR, NFWFit(vc_range=(50.0, 60.0)), "no halo, with the baryons, has v_c"),
        (DARK[:1], ERROR[:1], FREE, "at two radii or more"),
        (np.full(7, 1e11), np.full(7, 1e9), FREE, "do not bound c200"),
        (1e12 * (R / 73.0) ** 2.5, np.full(7, 1e9), FREE, "do not bound"),
    ],
)
def test_what_cannot_be_determined_is_said(mass, error, settings, reason):
    r = R[: len(mass)]
    rows = nfw_rows(r, mass, error, settings, "quadrature", 500, seeded(6))
    assert [row.quantity for row in rows] == ["m200", "r200", "c200"]
    assert any(reason in row.note for row in rows)


def test_mass_and_radius_are_one_number():
    rows = nfw_rows(R, DARK, ERROR, FREE, "quadrature", 500, seeded(7))
    m200, r200, _ = rows
    np.testing.assert_allclose(m200.draws, virial_mass(r200.draws, 67.8))
