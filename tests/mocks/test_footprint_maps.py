from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import healpy
import numpy as np
import pytest
from seeds import seeded

from haloassay.base.cache import plain_content
from haloassay.base.errors import InputError
from haloassay.mocks.surveys.footprints import Footprint
from haloassay.mocks.surveys.survey import make_survey

NSIDE = 32


@pytest.fixture(scope="module")
def sky():
    """Isotropic ICRS unit vectors, with Dec and b as astropy sees them."""
    from astropy.coordinates import SkyCoord

    x = seeded(11).standard_normal((20_000, 3))
    x /= np.linalg.norm(x, axis=1)[:, None]
    coord = SkyCoord(*x.T, representation_type="cartesian", frame="icrs")
    coord.representation_type = "unitspherical"
    return x, coord.dec.deg, coord.galactic.b.deg


def written(path, nest, frame, values=None, partial=False):
    """File of a map whose values are the sine of the latitude of its axes."""
    if values is None:
        values = healpy.pix2vec(NSIDE, np.arange(12 * NSIDE**2), nest=nest)[2]
    with np.errstate(all="ignore"):
        healpy.write_map(str(path), values, nest=nest, coord=frame, partial=partial, dtype=float)
    return str(path)


@pytest.mark.parametrize(("frame", "nest"), [("C", False), ("C", True), ("G", True)])
def test_stars_lie_in_pixels_above_the_least_value(tmp_path, sky, frame, nest):
    x, dec, b = sky
    footprint = Footprint(map=written(tmp_path / "m.fits", nest, frame), map_min=0.3)
    latitude = np.sin(np.radians(dec if frame == "C" else b))
    inside = footprint.contains(x)
    width = 2.0 / NSIDE  # a pixel's width in the sine, and some more
    assert np.all(inside[latitude > 0.3 + width])
    assert not np.any(inside[latitude < 0.3 - width])
    assert not footprint.whole_sky


def test_pixels_without_a_value_are_not_seen(tmp_path, sky):
    x, dec, _ = sky
    values = healpy.pix2vec(NSIDE, np.arange(12 * NSIDE**2))[2]
    values = np.where(values > 0.0, 1.0, healpy.UNSEEN)
    for partial in (False, True):
        name = written(tmp_path / f"m{partial}.fits", False, "C", values, partial)
        inside = Footprint(map=name, map_min=-1e31, dec_max=60.0).contains(x)
        assert not np.any(inside[(dec < -4.0) | (dec > 60.0)])
        assert np.all(inside[(dec > 4.0) & (dec < 60.0)])


def test_the_content_of_the_file_is_the_key_and_its_place_is_not(tmp_path):
    one, same = (written(tmp_path / f"{n}.fits", False, "C") for n in "ab")
    other = written(tmp_path / "c.fits", False, "C", np.ones(12 * NSIDE**2))
    (tmp_path / "b.fits").write_bytes((tmp_path / "a.fits").read_bytes())
    a, b, c = (make_survey({"footprint": {"map": n}}) for n in (one, same, other))
    assert plain_content(a) == plain_content(b) != plain_content(c)
    assert "map_digest" not in plain_content(Footprint())
    with pytest.raises(InputError, match="the file is another one"):
        Footprint(map=other, map_digest=a.footprint.map_digest)


def test_axes_that_are_not_stated_are_asked_for(tmp_path, sky):
    name = written(tmp_path / "m.fits", False, None)
    with pytest.raises(InputError, match="say map_frame"):
        Footprint(map=name)
    inside = Footprint(map=name, map_frame="galactic").contains(sky[0])
    assert np.all(inside[sky[2] > 4.0])
    assert not np.any(inside[sky[2] < -4.0])


def test_unusable_maps_are_named_in_one_line(tmp_path):
    text = tmp_path / "m.fits"
    text.write_text("no map")
    empty = written(tmp_path / "e.fits", False, "C", np.full(12 * NSIDE**2, healpy.UNSEEN))
    endless = written(tmp_path / "i.fits", False, "C", np.full(12 * NSIDE**2, np.inf))
    for name, message in (
        (str(text), "not a healpix map"),
        (str(tmp_path), "is a folder"),
        ("nowhere.fits", "no such file"),
        (empty, "no pixel has a value"),
        (endless, "inf is no value"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            Footprint(map=name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="there is no map"):
        Footprint(map_digest="0")


@pytest.mark.parametrize("cut", [10, 1000, 2880, 53_280, 103_670, 106_460])
@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_map_is_refused_wherever_it_ends(tmp_path, caplog, cut, packed):
    whole = Path(written(tmp_path / "m.fits", False, "C")).read_bytes()
    path = tmp_path / ("cut.fits.gz" if packed else "cut.fits")
    path.write_bytes(gzip.compress(whole[:-cut]) if packed else whole[:-cut])
    with pytest.raises(InputError) as caught:
        Footprint(map=str(path))
    assert str(caught.value).startswith(f"map: {path}: is truncated")
    assert not caplog.records


@pytest.mark.parametrize("partial", [False, True])
def test_of_several_maps_none_is_chosen_silently(tmp_path, partial):
    values = np.ones(12 * NSIDE**2)
    name = written(tmp_path / "two.fits", False, "C", [values, 0.0 * values], partial)
    with pytest.raises(InputError, match=r"two\.fits: holds 2 maps, and one is needed"):
        Footprint(map=name)
    own = written(tmp_path / "one.fits", False, "C", values, partial)
    assert Footprint(map=own).map == own


@pytest.mark.parametrize(
    ("card", "value", "told"),
    [
        ("ORDERING", None, "its ORDERING says 'nothing': write RING or NESTED into its header"),
        ("ORDERING", "nested", "its ORDERING says 'nested'"),
        ("NSIDE", 16, "not a healpix map: Wrong nside"),
    ],
)
def test_a_header_that_does_not_say_which_pixel_is_which_is_refused(
    tmp_path, caplog, card, value, told
):
    from astropy.io import fits

    name = written(tmp_path / "m.fits", nest=True, frame="G")
    with fits.open(name, mode="update") as file:
        del file[1].header[card]
        if value is not None:
            file[1].header[card] = value
    with pytest.raises(InputError, match=told):
        Footprint(map=name)
    assert not caplog.records  # which would be printed beside the error


@pytest.mark.parametrize("preset", ["desi-kgiants", "h3-giants", "weave-halo"])
def test_a_completeness_map_stands_in_place_of_what_a_preset_makes_up(tmp_path, sky, preset):
    """The rest of the preset stays; values that rounding puts above 1 are 1."""
    values = np.where(np.arange(12 * NSIDE**2) % 2, 1.0 + 1e-7, 0.25)
    name = written(tmp_path / "m.fits", False, "C", values)
    spec = {"preset": preset, "n_stars": 10}
    plain = make_survey(spec)
    mapped = make_survey({**spec, "completeness": {"map": name}})
    odd = healpy.vec2pix(NSIDE, *sky[0].T) % 2 == 1
    whole = replace(mapped.completeness, b_scale=0.0).of_place(sky[0])
    np.testing.assert_array_equal(whole, np.where(odd, 1.0, 0.25))
    assert mapped.completeness.b_scale == plain.completeness.b_scale
    assert mapped.footprint == plain.footprint
    with pytest.raises(InputError, match=r"leave these at 1 \(got 0\.5"):
        make_survey({**spec, "completeness": {"map": name, "minimum": 0.5}})
    wrong = written(tmp_path / "w.fits", False, "C", values + 1e-5)
    with pytest.raises(InputError, match=r"holds 0\.25001 to 1\.0000101, and probabilities"):
        make_survey({**spec, "completeness": {"map": wrong}})
