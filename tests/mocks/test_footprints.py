import numpy as np
import pytest
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.mocks.surveys.footprints import Footprint


@pytest.fixture(scope="module")
def sky():
    """Isotropic ICRS unit vectors, with their coordinates as astropy sees them."""
    from astropy.coordinates import SkyCoord

    rng = seeded(11)
    x = rng.standard_normal((20_000, 3))
    x /= np.linalg.norm(x, axis=1)[:, None]
    coord = SkyCoord(*x.T, representation_type="cartesian", frame="icrs")
    coord.representation_type = "unitspherical"
    return x, coord.ra.deg, coord.dec.deg, coord.galactic.b.deg


def test_limits_agree_with_astropy(sky):
    x, _, dec, b = sky
    footprint = Footprint(dec_min=-10.0, dec_max=60.0, b_min=20.0)
    expected = (dec >= -10.0) & (dec <= 60.0) & (np.abs(b) >= 20.0)
    np.testing.assert_array_equal(footprint.contains(x), expected)
    assert 0.2 < expected.mean() < 0.6


def test_boxes_are_united_and_may_cross_right_ascension_zero(sky):
    x, ra, dec, b = sky
    footprint = Footprint(b_min=10.0, boxes=((120.0, 240.0, 0.0, 60.0), (310.0, 50.0, -10.0, 20.0)))
    first = (ra >= 120.0) & (ra <= 240.0) & (dec >= 0.0) & (dec <= 60.0)
    second = ((ra >= 310.0) | (ra <= 50.0)) & (dec >= -10.0) & (dec <= 20.0)
    np.testing.assert_array_equal(footprint.contains(x), (first | second) & (np.abs(b) >= 10.0))


def test_a_box_of_all_right_ascensions_is_a_band(sky):
    x, _, dec, _ = sky
    footprint = Footprint(boxes=((0.0, 360.0, -5.0, 5.0),))
    np.testing.assert_array_equal(footprint.contains(x), np.abs(dec) <= 5.0)


def test_whole_sky_leaves_out_nothing_not_even_the_poles(sky):
    poles = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    assert Footprint().whole_sky
    assert Footprint().contains(np.concatenate([sky[0], poles * (1.0 + 1e-15)])).all()
    assert not Footprint(b_min=1.0).whole_sky


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dec_min": 60.0, "dec_max": -10.0}, "dec_min < dec_max"),
        ({"dec_max": 91.0}, "dec_min < dec_max"),
        ({"dec_min": np.nan}, "dec_min < dec_max"),
        ({"b_min": -1.0}, "b_min"),
        ({"b_min": 90.0}, "b_min"),
        ({"boxes": ((10.0, 10.0, 0.0, 1.0),)}, "right ascension"),
        ({"boxes": ((-10.0, 10.0, 0.0, 1.0),)}, "right ascension"),
        ({"boxes": ((0.0, 10.0, 1.0, 0.0),)}, "a box needs"),
    ],
)
def test_limits_out_of_order_or_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Footprint(**settings)


def test_discs_are_united_whatever_their_radii(sky):
    from astropy.coordinates import SkyCoord
    from astropy.units import deg

    x, ra, dec, _ = sky
    discs = ((10.0, 80.0, 15.0), (200.0, -30.0, 5.0), (203.0, -32.0, 5.0), (0.0, 0.0, 100.0))
    stars = SkyCoord(ra * deg, dec * deg)
    for some in (discs[:3], discs[1:2], discs):
        near = [stars.separation(SkyCoord(a * deg, d * deg)).deg <= r for a, d, r in some]
        expected = np.any(near, axis=0)
        np.testing.assert_array_equal(Footprint(discs=some).contains(x), expected)
        assert expected.any()


def test_discs_lie_within_the_rest_of_the_footprint(sky):
    x, _, dec, _ = sky
    footprint = Footprint(dec_min=20.0, discs=((10.0, 20.0, 30.0),))
    inside = footprint.contains(x)
    assert dec[inside].min() >= 20.0
    assert not footprint.whole_sky


@pytest.mark.parametrize(
    "disc", [(-1.0, 0.0, 1.0), (0.0, 91.0, 1.0), (0.0, 0.0, 0.0), (0.0, 0.0, 181.0)]
)
def test_impossible_discs_are_refused(disc):
    with pytest.raises(InputError, match="a disc needs"):
        Footprint(discs=(disc,))
