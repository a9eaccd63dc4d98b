from __future__ import annotations

import numpy as np
import pytest
from seeds import seeded

from haloassay.base.errors import EstimationError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import SUNS, galactic_to_icrs, galactocentric_to_heliocentric
from haloassay.estimators.fit.los_dispersion import fit_dispersion, sightlines

SUN = SUNS["zhai2018"]


def test_equation_1_of_the_paper():
    lon, lat = np.array([30.0, 120.0, 200.0, 280.0]), np.array([60.0, -40.0, 20.0, -80.0])
    ra, dec, _ = galactic_to_icrs(lon, lat)
    helio = np.array([-150.0, 20.0, 80.0, 200.0])
    stars = Catalogue.from_arrays(ra=ra, dec=dec, distance=np.full(4, 20.0), vlos=helio, sun=SUN)
    along, b = np.radians(lon), np.radians(lat)
    peculiar = 10.0 * np.cos(b) * np.cos(along) + 7.17 * np.sin(b)
    expected = helio + peculiar + (220.0 + 5.25) * np.sin(along) * np.cos(b)
    # astropy's Galactocentric axes are a fraction of a degree from the Galactic ones at z_sun = 0
    np.testing.assert_allclose(sightlines(stars).v, expected, atol=0.05)


def test_galactocentric_and_heliocentric_catalogues_have_one_velocity():
    rng = seeded(1)
    x, v = 30.0 * rng.standard_normal((50, 3)), 100.0 * rng.standard_normal((50, 3))
    inside = Catalogue.from_arrays(
        **dict(zip(("x", "y", "z"), x.T, strict=True)),
        **dict(zip(("vx", "vy", "vz"), v.T, strict=True)),
        vx_err=np.full(50, 3.0),
        vy_err=np.full(50, 3.0),
        vz_err=np.full(50, 3.0),
        sun=SUN,
    )
    sky = galactocentric_to_heliocentric(x, v, SUN)
    without_motion = {name: sky[name] for name in ("ra", "dec", "distance", "vlos")}
    outside = Catalogue.from_arrays(**without_motion, vlos_err=np.full(50, 3.0), sun=SUN)
    for name in ("r", "v", "error"):
        np.testing.assert_allclose(
            getattr(sightlines(inside), name),
            getattr(sightlines(outside), name),
            rtol=1e-9,
            atol=1e-9,
        )


def test_a_halo_that_only_moves_with_the_sun_has_no_dispersion():
    # planted fault: a solar motion left in, or taken off with the wrong sign, makes one
    rng = seeded(2)
    x = 40.0 * rng.standard_normal((500, 3))
    sky = galactocentric_to_heliocentric(x, np.zeros_like(x), SUN)
    stars = Catalogue.from_arrays(**sky, sun=SUN)
    np.testing.assert_allclose(sightlines(stars).v, 0.0, atol=1e-9)
    assert np.std(sky["vlos"]) > 100.0


@pytest.mark.parametrize("mean", ["zero", "free"])
@pytest.mark.parametrize("n", [10, 300])
def test_intervals_of_a_gaussian_sample_are_exact(n, mean):
    below, first = [], []
    for k in range(400):
        rng = seeded(3, n, k)
        v = 110.0 * rng.standard_normal(n) + (25.0 if mean == "free" else 0.0)
        fit = fit_dispersion(v, np.zeros(n), 400, rng, mean=mean)
        below.append(np.mean(fit.draws < 110.0))
        first.append(fit.sigma**2)
    below = np.array(below)
    for nominal, lo, hi in ((0.68, 0.16, 0.84), (0.95, 0.025, 0.975)):
        coverage = np.mean((below > lo) & (below < hi))
        assert abs(coverage - nominal) < 4.0 * np.sqrt(nominal * (1.0 - nominal) / 400)
    mcse = np.std(first, ddof=1) / np.sqrt(400)
    assert abs(np.mean(first) - 110.0**2) < 4.0 * mcse


@pytest.mark.parametrize("mean", ["zero", "free"])
def test_errors_are_taken_off(mean):
    below, squares = [], {True: [], False: []}
    for k in range(200):
        rng = seeded(4, k)
        error = rng.uniform(20.0, 120.0, 150)
        v = 100.0 * rng.standard_normal(150) + error * rng.standard_normal(150)
        for known in squares:
            fit = fit_dispersion(v, error * known, 400, rng, mean=mean)
            squares[known].append(fit.sigma**2)
            if known:
                below.append(np.mean(fit.draws < 100.0))
    below = np.array(below)
    for nominal, lo, hi in ((0.68, 0.16, 0.84), (0.95, 0.025, 0.975)):
        coverage = np.mean((below > lo) & (below < hi))
        assert abs(coverage - nominal) < 4.0 * np.sqrt(nominal * (1.0 - nominal) / 200)

    def pull(found):
        return (np.mean(found) - 1e4) / (np.std(found, ddof=1) / np.sqrt(200))

    assert abs(pull(squares[True])) < 4.0
    assert pull(squares[False]) > 10.0


@pytest.mark.parametrize("mean", ["zero", "free"])
def test_equal_errors_are_the_same_as_a_shifted_variance(mean):
    rng = seeded(5)
    v = 130.0 * rng.standard_normal(100) + 20.0
    plain = fit_dispersion(v, np.zeros(100), 20000, rng, mean=mean)
    freed = fit_dispersion(v, np.full(100, 50.0), 20000, rng, mean=mean)
    # planted fault: a free mean that is not integrated over moves the variance by 1 / n
    np.testing.assert_allclose(freed.sigma**2, plain.sigma**2 - 2500.0, rtol=1e-5)
    np.testing.assert_allclose(freed.freedom, plain.freedom, rtol=1e-9)
    np.testing.assert_allclose(plain.noise, 0.0)
    # posteriors of sigma^2 + error^2 agree up to 4 Monte Carlo errors
    squares = freed.draws**2 + 2500.0, plain.draws**2
    mcse = 1.25 * np.std(squares[1]) * np.sqrt(2.0 / 20000)
    assert abs(np.median(squares[0]) - np.median(squares[1])) < 4.0 * mcse
    assert abs(np.std(squares[0]) - np.std(squares[1])) < 4.0 * mcse


def test_sandwich_errors_are_those_of_repeated_samples_that_are_not_gaussian():
    # uniform velocities: kurtosis 1.8, so the error of the variance is 0.63 of the Gaussian one
    found = {"gaussian": [], "sandwich": []}
    sigma = []
    for k in range(300):
        rng = seeded(6, k)
        v = rng.uniform(-1.0, 1.0, 400) * 190.0
        for errors in found:
            fit = fit_dispersion(v, np.zeros(400), 2, rng, errors=errors)
            found[errors].append(fit.error)
        sigma.append(fit.sigma)
    scatter = np.std(sigma, ddof=1)
    assert abs(np.mean(found["sandwich"]) / scatter - 1.0) < 4.0 / np.sqrt(2 * 299)
    assert np.mean(found["gaussian"]) > 1.4 * scatter


def test_errors_larger_than_the_dispersion_are_said():
    rng = seeded(7)
    v = 50.0 * rng.standard_normal(60)
    # what is left of the variance is below zero by four and by seven of its errors
    for error, words in ((60.0, "velocity errors"), (70.0, "velocity errors")):
        with pytest.raises(EstimationError, match=words):
            fit_dispersion(v, np.full(60, error), 10, rng)
    with pytest.raises(EstimationError, match="equal"):
        fit_dispersion(np.zeros(60), np.zeros(60), 10, rng)
    with pytest.raises(EstimationError, match="equal"):
        fit_dispersion(np.full(60, 31.7), np.zeros(60), 10, rng, mean="free")
