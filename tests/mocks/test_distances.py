"""Zero points of distances, and distances that are posteriors."""

import numpy as np
import pytest
from scipy import integrate, stats
from seeds import seeded
from stand_in_halo import observe

from haloassay.base.cache import plain_content
from haloassay.base.errors import InputError
from haloassay.mocks.surveys.distances import posterior_distances
from haloassay.mocks.surveys.survey import make_survey


def away(observation):
    return np.linalg.norm(observation.stars.position - observation.catalogue.sun.position, axis=1)


def test_zero_points_follow_metallicity_and_sky():
    slope = observe({"n_stars": 2000, "distance_feh_slope": 0.1, "distance_feh_zero": -1.0})
    off = np.log(slope.catalogue["distance"] / away(slope))
    np.testing.assert_allclose(off, 0.1 * (slope.stars.feh + 1.0), atol=1e-9)

    from astropy.coordinates import SkyCoord

    tilted = observe({"n_stars": 2000, "distance_dipole": [0.05, 90.0, 30.0]})
    c = tilted.catalogue
    sky = SkyCoord(c["ra"], c["dec"], unit="deg")
    cosine = np.cos(sky.separation(SkyCoord(90.0, 30.0, unit="deg", frame="galactic")).rad)
    # Galactocentric axes are a tenth of a degree off the Galactic ones
    np.testing.assert_allclose(np.log(c["distance"] / away(tilted)), 0.05 * cosine, atol=5e-4)


def test_a_posterior_is_that_of_quadrature():
    distance, sigma = np.array([2.0, 10.0, 50.0, 5.0]), np.array([0.3, 0.15, 0.3, 0.0])
    median, error = posterior_distances(distance, sigma, 5.0)
    for d, s, m, e in zip(distance[:3], sigma[:3], median, error, strict=False):

        def p(x, d=d, s=s):
            return stats.norm.pdf(np.log(d), np.log(x), s) * x**2 * np.exp(-x / 5.0)

        total = integrate.quad(p, 1e-3, 500.0, points=[d], limit=200)[0]
        for bound, share in ((m, 0.5),):
            assert abs(integrate.quad(p, 1e-3, bound, limit=200)[0] / total - share) < 2e-3
        assert 0.0 < e < s * 1.1
    assert (median[3], error[3]) == (5.0, 0.0)


def test_stated_posteriors_are_calibrated_where_the_prior_is_true():
    """Of distances that the prior itself has, 68 per cent lie within the stated intervals, about the median."""
    rng = seeded(3)
    true = rng.gamma(3.0, 5.0, 20_000)
    sigma = np.full(len(true), 0.3)
    median, error = posterior_distances(
        true * np.exp(0.3 * rng.standard_normal(len(true))), sigma, 5.0
    )
    n = len(true)
    assert abs(np.mean(true < median) - 0.5) < 4.0 * 0.5 / np.sqrt(n)
    assert abs(np.mean(np.abs(true - median) < error * median) - 0.68) < 0.02


def test_what_is_not_known_to_the_observer_is_not_stated():
    survey = make_survey(
        {"distance_feh_slope": 0.1, "distance_dipole": [0.1, 0.0, 0.0], "distance_prior": 5.0}
    )
    assert survey.stated.distance_feh_slope == 0.0
    assert survey.stated.distance_dipole[0] == 0.0
    assert survey.stated.distance_prior == 5.0
    assert "distance_prior" not in plain_content(make_survey({}))


@pytest.mark.parametrize(
    "spec",
    [
        {"distance_feh_slope": 2.0},
        {"distance_dipole": [0.1, 400.0, 0.0]},
        {"distance_prior": -1.0},
        {"distance_feh_zero": 20.0},
    ],
)
def test_zero_points_out_of_range_are_named(spec):
    with pytest.raises(InputError, match=next(iter(spec))):
        make_survey(spec)
