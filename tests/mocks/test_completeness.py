"""Completeness: its factors against their definitions, and recovered from surveyed stars."""

import healpy
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import seeded, shifted
from stand_in_halo import observe

from haloassay.base.errors import InputError
from haloassay.mocks.surveys.completeness import Completeness


def sky(n, seed=17):
    x = seeded(seed).standard_normal((n, 3))
    return x / np.linalg.norm(x, axis=1)[:, None]


def pixels(nside, catalogue):
    """Healpix pixel of each star, by healpy from the angles alone."""
    return healpy.ang2pix(nside, catalogue["ra"], catalogue["dec"], lonlat=True)


def fraction_seen(completeness, n_true=100_000, **survey):
    """The stars of a complete survey, and which of them one with ``completeness`` keeps."""
    complete = observe({"n_stars": n_true, **survey})
    partial = observe({"n_stars": n_true // 4, "completeness": completeness, **survey})
    # both meet the same stars in the same order: the partial survey goes on until it has enough
    reached = complete.stars.position[:, 0]
    kept = np.isin(reached, partial.stars.position[:, 0])
    last = np.flatnonzero(kept)[-1] + 1
    return complete.catalogue.select(np.arange(last)), kept[:last]


def test_every_pixel_of_a_survey_keeps_the_fraction_of_the_map():
    table = {"minimum": 0.2, "maximum": 0.9, "nside": 2, "seed": shifted(3)}
    catalogue, kept = fraction_seen(table)
    pixel = pixels(2, catalogue)
    offered = np.bincount(pixel, minlength=48)
    seen = np.bincount(pixel, weights=kept, minlength=48)
    wanted = Completeness(**table).sky_map
    assert wanted.shape == (48,)
    assert 0.2 <= wanted.min() < 0.3
    assert 0.8 < wanted.max() <= 0.9
    pull = (seen - offered * wanted) / np.sqrt(offered * wanted * (1.0 - wanted))
    assert offered.min() > 50  # Gaussian shares
    assert np.sum(pull**2) < 48 + 4 * np.sqrt(2 * 48)
    assert np.abs(pull).max() < 4.5
    assert np.corrcoef(seen / offered, wanted)[0, 1] > 0.9


def test_the_map_belongs_to_the_survey_and_not_to_the_realisation():
    table = {"minimum": 0.0, "maximum": 1.0, "nside": 1, "seed": shifted(8)}
    shares = []
    for seed in (1, 2):
        observation = observe({"n_stars": 20_000, "completeness": table}, seed=seed)
        shares.append(np.bincount(pixels(1, observation.catalogue), minlength=12) / 20_000)
    margin = 4.5 * np.sqrt(2 * shares[0].clip(1e-3) / 20_000)
    assert np.all(np.abs(shares[0] - shares[1]) < margin)
    assert np.ptp(shares[0]) > 0.1
    other = Completeness(**{**table, "seed": shifted(9)})
    assert not np.array_equal(Completeness(**table).sky_map, other.sky_map)


def test_fewer_stars_are_observed_towards_the_plane():
    catalogue, kept = fraction_seen({"b_scale": 20.0})
    b = np.abs(SkyCoord(catalogue["ra"], catalogue["dec"], unit="deg").galactic.b.deg)
    for low, high in ((0, 5), (5, 15), (15, 30), (30, 60), (60, 90)):
        inside = (b >= low) & (b < high)
        wanted = np.mean(1.0 - np.exp(-b[inside] / 20.0))
        margin = 4 * np.sqrt(wanted * (1 - wanted) / inside.sum())
        assert abs(kept[inside].mean() - wanted) < margin


def test_fewer_faint_stars_are_observed():
    """A standard candle tells each star's magnitude by its true distance."""
    candle = {"luminosity": {"kind": "gaussian", "mean": 0.6, "sigma": 0.0}}
    catalogue, kept = fraction_seen({"per_magnitude": 0.4, "full_to": 15.0}, **candle)
    magnitude = 0.6 + 5.0 * np.log10(catalogue["distance"]) + 10.0
    assert kept[magnitude <= 15.0].all()
    for low, high in ((15.0, 15.5), (15.5, 16.5), (16.5, 18.0), (18.0, 20.0)):
        inside = (magnitude > low) & (magnitude < high)
        wanted = np.mean(0.6 ** (magnitude[inside] - 15.0))
        margin = 4 * np.sqrt(wanted * (1 - wanted) / inside.sum())
        assert abs(kept[inside].mean() - wanted) < margin


@settings(max_examples=25, deadline=None)
@given(
    limits=st.tuples(st.floats(0.0, 1.0), st.floats(0.01, 1.0)).map(sorted),
    nside=st.sampled_from([1, 2, 16]),
    b_scale=st.just(0.0) | st.floats(0.01, 90.0),
    per_magnitude=st.floats(0.0, 0.99),
)
def test_probabilities_are_probabilities_and_factors_multiply(
    limits, nside, b_scale, per_magnitude
):
    direction, magnitude = sky(500), np.linspace(10.0, 22.0, 500)
    low, high = limits
    whole = {"minimum": low, "maximum": high, "nside": nside}
    faint = {"per_magnitude": per_magnitude, "full_to": 17.0}
    everything = Completeness(**whole, b_scale=b_scale, **faint).probability(direction, magnitude)
    assert np.all((everything >= 0.0) & (everything <= high))
    product = np.prod(
        [
            Completeness(**part).probability(direction, magnitude)
            for part in (whole, {"b_scale": b_scale}, faint)
        ],
        axis=0,
    )
    np.testing.assert_allclose(everything, product, rtol=1e-12, atol=1e-300)


def test_the_default_observes_every_star():
    assert Completeness().whole
    assert np.all(Completeness().probability(sky(100), np.full(100, 25.0)) == 1.0)
    for lossy in ({"minimum": 0.9}, {"b_scale": 1.0}, {"per_magnitude": 0.1, "full_to": 15.0}):
        assert not Completeness(**lossy).whole
    assert not Completeness(minimum=0.5, maximum=0.5).whole
    assert np.all(Completeness(0.5, 0.5).probability(sky(100), np.zeros(100)) == 0.5)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"minimum": 0.9, "maximum": 0.5}, "minimum <= maximum"),
        ({"minimum": -0.1}, "minimum <= maximum"),
        ({"maximum": 1.1}, "minimum <= maximum"),
        ({"minimum": 0.0, "maximum": 0.0}, "maximum > 0"),
        ({"nside": 3}, "power of 2"),
        ({"nside": 0}, "power of 2"),
        ({"nside": 2048}, "power of 2"),
        ({"seed": -1}, "seed"),
        ({"b_scale": -1.0}, "b_scale"),
        ({"b_scale": 1e-300}, "b_scale"),
        ({"b_scale": np.inf}, "b_scale"),
        ({"per_magnitude": 1.0, "full_to": 17.0}, "per_magnitude is a fraction"),
        ({"per_magnitude": 0.1}, "needs full_to"),
    ],
)
def test_settings_out_of_range_are_refused(table, message):
    with pytest.raises(InputError, match=message):
        Completeness(**table)
