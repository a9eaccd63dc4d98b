from __future__ import annotations

from dataclasses import replace

import hierarchical_samples as own
import numpy as np
import pytest
from scipy.integrate import quad
from seeds import seeded
from test_power_law_df import own_model, true_mass

from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.profiles import virial_mass
from haloassay.estimators import make_estimator
from haloassay.estimators.fit.df_priors import log_prior
from haloassay.estimators.hierarchical_df import virial_radius_of


def rows_of(catalogue, seed=0, **spec):
    spec = {"r_range": list(own.EDGES), "r_out": [30.0], "n_draws": 300, **spec}
    return make_estimator({"kind": "hierarchical-df", **spec}).estimate(catalogue, seeded(seed))


def test_too_few_candidates_are_said():
    spec = {"r_range": list(own.EDGES), "n_samples": 32}
    mass, beta = rows_of(own.seen(100, seeded(23), (0.5, 0.5, 150.0)), **spec)
    assert np.isnan([mass.value, beta.value]).all()
    assert "with 32 candidates" in mass.note
    mass, _ = rows_of(own.seen(100, seeded(23), (0.5, 0.5, 150.0)), **{**spec, "n_samples": 256})
    assert mass.value > 0.0


def test_without_errors_it_is_the_method_without_a_hierarchy():
    clean = own_model(400, seeded(4))
    plain = {"kind": "power-law-df", "alpha": -4.0, "r_out": [30.0], "sampler": "quadrature"}
    wanted = make_estimator(plain).estimate(clean, seeded(0)).rows
    found = rows_of(clean, alpha=-4.0, r_range=[0.0, 1e4], n_draws=1000).rows
    for one, other in zip(found, wanted, strict=True):
        width = 0.5 * (other.hi68 - other.lo68)
        assert abs(one.value - other.value) < 4.0 * 1.25 * width * np.sqrt(2.0 / 1000.0)


@pytest.mark.parametrize("missing", [(), ("pmra", "pmdec"), ("vlos",)])
def test_the_mass_is_found_of_what_was_measured(missing):
    stars = own.without(own.seen(1000 if "pmra" in missing else 300, seeded(5)), *missing)
    mass, beta = rows_of(stars, alpha=-4.0, g=0.5)
    assert abs(mass.value - true_mass(30.0)) < 4.0 * 0.5 * (mass.hi68 - mass.lo68)
    assert abs(beta.value - 0.5) < 4.0 * 0.5 * (beta.hi68 - beta.lo68)
    assert mass.hi68 - mass.lo68 < 0.5 * mass.value


def test_an_error_beyond_all_velocities_is_no_measurement():
    stars = own.seen(60, seeded(6))
    gone = own.without(stars, "pmra", "pmdec")
    large = {**stars.columns, "pmra_err": np.full(60, 1e5), "pmdec_err": np.full(60, 1e5)}
    as_nan = {**stars.columns, "pmra": np.full(60, np.nan), "pmdec": np.full(60, np.nan)}
    spec = {"alpha": -4.0, "g": 0.5}
    wanted = rows_of(gone, **spec).rows[0]
    for columns in (large, as_nan):
        found = rows_of(Catalogue.from_arrays(**columns), **spec).rows[0]
        assert found.value == pytest.approx(wanted.value, rel=0.02)


@pytest.mark.long
@pytest.mark.slow
def test_bias_and_coverage():
    runs, off, covered = 40, [], []
    for k in range(runs):
        row = rows_of(own.seen(300, seeded(7, k)), seed=k).rows[0]
        off.append(row.value / true_mass(30.0) - 1.0)
        covered.append(row.lo68 < true_mass(30.0) < row.hi68)
    assert abs(np.mean(off)) < 4.0 * np.std(off, ddof=1) / np.sqrt(runs)
    assert abs(np.mean(covered) - 0.68) < 4.0 * np.sqrt(0.68 * 0.32 / runs)


def test_priors_are_densities_of_the_parameters_that_are_drawn():
    """Of ln v_c^2 at fixed g, the published gamma density of Phi0 times Phi0; rows of the integral agree."""
    pivot, g = 25.0, 0.5
    points = np.array([[2.0 * np.log(200.0), g, 0.2, -3.5], [2.0 * np.log(230.0), g, 0.2, -3.5]])
    phi = np.exp(points[:, 0]) / g * pivot**g / 1e4

    def gamma(p):
        return p**31.4 * np.exp(-0.69 * p)

    wanted = np.log(gamma(phi[1]) * phi[1] / (gamma(phi[0]) * phi[0]))
    found = log_prior("slizewski2022", points, pivot)
    assert found[1] - found[0] == pytest.approx(wanted, rel=1e-9)
    # of Phi0 it has the mean of the paper's code
    total, first = (quad(lambda p, k=k: gamma(p) / 1e50 * p**k, 0, 200)[0] for k in (0, 1))
    assert first / total == pytest.approx(32.4 / 0.69, rel=1e-3)
    outside = np.array([[points[0, 0], g, -0.7, -3.5], [points[0, 0], g, 0.2, -2.9]])
    assert np.all(log_prior("eadie2019", outside, pivot) == -np.inf)
    assert np.isfinite(log_prior("shen2022", points, pivot)).all()


def test_the_virial_radius_has_the_density_of_the_power_law():
    r200 = virial_radius_of(np.array([2.0 * np.log(190.0)]), np.array([0.45]), 25.0, 67.8)
    mass = 190.0**2 * (r200 / 25.0) ** -0.45 * r200 / 4.30091e-6
    np.testing.assert_allclose(virial_mass(r200, 67.8), mass, rtol=1e-4)


def test_the_published_run():
    stars = own.seen(60, seeded(8))
    rows = make_estimator(
        {"kind": "hierarchical-df", "as_published": True, "r_out": [30.0], "h0": 67.8}
    )
    found = rows.estimate(stars, seeded(0))
    assert [row.quantity for row in found] == ["enclosed_mass", "m200", "r200", "beta"]
    assert all(not row.note for row in found)


def test_what_cannot_be_determined_is_said():
    stars = own.seen(60, seeded(9))
    assert "too few stars: 19, at least 20" in rows_of(stars.select(np.arange(19))).rows[0].note
    assert (
        rows_of(own.without(stars, "pmra", "pmdec", "vlos")).rows[0].note
        == "no star has a velocity"
    )
    fast = replace(stars, columns={**stars.columns, "vlos": np.full(60, 9000.0)})
    assert "binds every star" in rows_of(fast).rows[0].note


def test_a_posterior_that_is_pressed_against_an_end_of_its_prior_is_no_value():
    """Neither the mass nor beta: the model is another than the stars'."""
    stars = own.seen(200, seeded(23), beta=0.0)
    for row in rows_of(stars, beta_range=[0.6, 0.9], alpha=-4.0, g=0.5):
        assert row.note == "the model does not fit the stars: beta is at the end of its prior, 0.6"
    for row in rows_of(stars, alpha_range=[-2.5, -0.5], beta=0.0, g=0.5):
        assert (
            row.note == "the model does not fit the stars: alpha is at the end of its prior, -2.5"
        )


def test_a_posterior_that_is_the_prior_is_no_value():
    stars = own.without(own.seen(40, seeded(15)), "pmra", "pmdec")
    mass, beta = rows_of(stars)
    assert (
        beta.note == "the stars do not determine beta: its posterior is nearly as wide as its prior"
    )
    assert not mass.note
    hidden = {**stars.columns, "vlos_err": np.full(40, 3000.0)}
    hidden["vlos"] = hidden["vlos"] + 3000.0 * seeded(15).standard_normal(40)
    for row in rows_of(Catalogue.from_arrays(**hidden)):
        assert "the velocity errors are so much larger than the dispersion" in row.note


def test_what_is_yielded_is_declared():
    plain = make_estimator({"kind": "hierarchical-df"})
    assert plain.yields == ("enclosed_mass", "beta")
    whole = make_estimator({"kind": "hierarchical-df", "h0": 67.8, "beta": 0.3})
    assert whole.yields == ("enclosed_mass", "m200", "r200")
    stars = own.without(own.seen(40, seeded(16)), "pmra", "pmdec")
    assert [row.quantity for row in whole.estimate(stars, seeded(0))] == list(whole.yields)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"r_range": [5.0]}, "r_range: two radii"),
        ({"r_range": [50.0, 5.0]}, "r_range: radii ascend"),
        ({"alpha": 3.0}, "alpha: negative"),
        ({"beta": 1.0}, "beta: below 1"),
        ({"g": 1.5}, "g: above 0"),
        ({"alpha_range": [-2.0, -8.0]}, "alpha_range: bounds ascend"),
        ({"beta_range": [0.5, 1.0]}, "beta_range: bounds ascend"),
        ({"g_range": [0.5, 0.1]}, "g_range: bounds ascend"),
        ({"h0": 0.0}, "h0: positive"),
        ({"priors": "mine"}, "priors"),
        ({"n_samples": 2}, "n_samples: at least 32"),
        ({"n_samples": 100}, "n_samples: a power of two"),
    ],
)
def test_bad_settings(spec, message):
    with pytest.raises(InputError, match=message):
        make_estimator({"kind": "hierarchical-df", **spec})
