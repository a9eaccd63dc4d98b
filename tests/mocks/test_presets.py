"""Presets against what their papers say of the samples, in an equilibrium with a measured density.

Xue et al. (2015): K giants fall with slopes -2.1 and -3.8, broken at 18 kpc. beta: Li et al. (2026).
``benchmarks/surveys.py`` prints these comparisons, and more, for whole samples.
"""

import healpy
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from seeds import seeded

from haloassay.mocks import make_mock
from haloassay.mocks.surveys.survey import make_survey

MILKY_WAY = [{"kind": "nfw", "m200": 0.8e12, "c": 15.0}, {"kind": "mwpotential2014-baryons"}]
ZHAI = [{"kind": "nfw", "m200": 1.08e12, "c": 18.5, "h0": 70.0}, {"kind": "zhai2018-baryons"}]


def halo(potential, density, beta):
    return make_mock(
        {
            "kind": "equilibrium",
            "potential": potential,
            "density": density,
            "beta": beta,
            "r_range": [2.5, 250.0],
        }
    )


@pytest.fixture(scope="module")
def giants():
    return halo(
        MILKY_WAY,
        {"kind": "broken-power-law", "slopes": [-2.1, -3.8], "breaks": [18.0]},
        {"kind": "table", "r": [6.0, 12.0, 26.0, 53.0], "beta": [0.65, 0.79, 0.72, 0.32]},
    )


def survey(mock, preset, **settings):
    spec = {"preset": preset, "n_stars": 10_000, **settings}
    return make_survey(spec).observe(mock, *seeded(44).spawn(2))


def velocity_errors(catalogue):
    return np.sqrt(np.einsum("nii->ni", catalogue.spherical_covariance))


@pytest.fixture(scope="module")
def desi(giants):
    return survey(giants, "desi-kgiants").catalogue


def test_desi_errors_are_those_of_li_et_al(desi):
    """Their medians of (v_r, v_theta, v_phi) are 7, 29 and 31 km/s, and all are below 100."""
    errors = velocity_errors(desi)
    assert errors.max() < 100.0
    assert errors.max() > 99.0
    np.testing.assert_allclose(np.median(errors, axis=0), [7.0, 29.0, 31.0], rtol=0.2)
    stated = np.median(desi["distance_err"] / desi["distance"])
    assert 0.12 < stated < 0.18


def test_the_cut_on_errors_leaves_out_as_much_of_desi_as_in_li_et_al(giants):
    """From 94000 to 64573 stars."""
    everything = survey(giants, "desi-kgiants", error_max=[np.inf] * 3).catalogue
    lost = 1.0 - np.mean(np.all(velocity_errors(everything) < 100.0, axis=1))
    assert 0.2 < lost < 0.35


def test_desi_stars_are_where_li_et_al_find_them(desi):
    """Numbers of their Table 1 in half as many bins."""
    edges = [3.0, 11.5, 15.9, 20.8, 28.7, 47.5, 160.0]
    numbers = np.array([6987 + 6890, 6741 + 6671, 6640 + 6475, 6242 + 5879, 5318 + 4190, 2539])
    share = np.histogram(desi.r, edges)[0] / len(desi)
    np.testing.assert_allclose(share, numbers / numbers.sum(), atol=0.035)
    b = SkyCoord(desi["ra"], desi["dec"], unit="deg").galactic.b.deg
    assert 20.0 <= np.abs(b).min() < 20.2


def test_h3_errors_are_those_of_han_et_al(giants):
    """Near 2 km/s in v_r at all radii; 0.1 mas/yr across at large radii, as their figure 3 shows."""
    c = survey(giants, "h3-giants").catalogue
    errors, far = velocity_errors(c), c.r > 45.0
    across = np.sqrt(0.5 * np.sum(errors[far, 1:] ** 2, axis=1))
    assert np.median(across / (4.74 * c.r[far])) == pytest.approx(0.1, rel=0.15)
    for low, high in ((10.0, 20.0), (20.0, 40.0), (40.0, 90.0)):
        inside = (c.r > low) & (c.r < high)
        assert 1.5 < np.median(errors[inside, 0]) < 3.6
    assert c.r.min() >= 10.0 - 1e-9
    assert np.abs(c.position[:, 2]).min() >= 5.0 - 1e-9
    assert c["dec"].min() >= -20.0


def test_lamost_stars_are_where_zhai_et_al_find_them():
    """486 of their 9627 stars are beyond 40 kpc."""
    density = {"kind": "power-law", "slope": -4.0}
    mock = halo(ZHAI, density, {"kind": "constant", "beta": 0.0})
    c = survey(mock, "lamost-kgiants", n_stars=9627).catalogue
    assert np.count_nonzero(c.r > 40.0) == pytest.approx(486, rel=0.25)
    assert c.r.max() > 100.0


def test_the_all_sky_survey_leaves_out_little_and_sees_every_direction(giants):
    observation = survey(giants, "all-sky")
    assert observation.n_drawn < 2.5 * 10_000
    c = observation.catalogue
    seen = np.bincount(healpy.ang2pix(2, c["ra"], c["dec"], lonlat=True), minlength=48)
    assert seen.min() > 60
    assert c["pmra_err"][c["distance"] < 60.0].max() < 0.25


def test_rr_lyrae_have_distances_and_no_velocities_along_the_line_of_sight(giants):
    observation = survey(giants, "gaia-rrlyrae")
    c, sun = observation.catalogue, observation.catalogue.sun
    true = np.linalg.norm(observation.stars.position - sun.position, axis=1)
    scatter = 5.0 * np.log10(c["distance"] / true)
    assert scatter.std() == pytest.approx(0.15, rel=4.0 / np.sqrt(2 * 10_000))
    assert "vlos" not in c
    assert np.median(c["pmra_err"]) > 0.0
