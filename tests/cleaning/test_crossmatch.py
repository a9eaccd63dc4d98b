from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from seeds import seeded

from haloassay.base.cache import plain_content
from haloassay.base.errors import EstimationError, InputError
from haloassay.cleaning.steps import make_clean
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import sky_basis
from haloassay.contracts.sky import separation
from haloassay.mocks import make_mock
from haloassay.mocks.debris.bound import EDGE
from haloassay.mocks.surveys.survey import make_survey

#: Four objects that are none, in distance and size between a cluster and a dwarf galaxy.
_VALUES = [
    (200.0, 25.0, 12.0, -3.0, -2.0, -80.0, 0.012, 5.0),
    (150.0, 60.0, 20.0, 1.0, -2.5, 120.0, 0.02, 4.0),
    (330.0, -5.0, 35.0, 0.2, -0.6, 30.0, 0.03, 3.0),
    (30.0, 10.0, 60.0, 0.1, -0.1, -10.0, 0.3, 8.0),
]
SEEN = ("ra", "dec", "distance", "pmra", "pmdec", "vlos")
OBJECTS = [dict(zip((*SEEN, "r_half", "sigma"), values, strict=True)) for values in _VALUES]
#: Angular radius [deg] of five half-mass radii.
WIDE = [float(np.degrees(np.arcsin(EDGE * o["r_half"] / o["distance"]))) for o in OBJECTS]
LISTED = [
    {name: o[name] for name in SEEN} | {"radius": w} for o, w in zip(OBJECTS, WIDE, strict=True)
]
LIMITS = {"distance_limit": 0.3, "pm_limit": 0.3, "vlos_limit": 30.0}


@pytest.fixture(scope="module")
def observed():
    """Halo with clusters and dwarfs in it, as DESI's errors show it, and which stars are of the objects."""
    mock = make_mock(
        {
            "kind": "local-jeans-gaussian",
            "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
            "density": {"kind": "power-law", "slope": -3.0},
            "beta": {"kind": "constant", "beta": 0.5},
            "r_range": [5.0, 120.0],
            "debris": [{"kind": "satellites", "fraction": 0.05, "objects": OBJECTS}],
        }
    )
    survey = make_survey(
        {"n_stars": 40_000, "distance_error": 0.15, "pm_error": "gaia-dr3", "vlos_error": 2.0}
    )
    seen = survey.observe(mock, seeded(1), seeded(2))
    return seen.catalogue, seen.stars.origin == 1


def taken(catalogue, spec):
    return ~make_clean([{"kind": "cross-match", **spec}]).steps[0].stay(catalogue)


def test_members_are_taken_and_the_halo_is_left(observed):
    catalogue, member = observed
    by_sky = taken(catalogue, {"objects": LISTED})
    by_all = taken(catalogue, {"objects": LISTED, **LIMITS})
    assert member.sum() > 1500
    assert by_sky[member].mean() > 0.99  # all of them are within their radius
    # of a halo seen from near its centre as many stars are in the circles as circles are on the sky, within a factor
    share = np.sum(1.0 - np.cos(np.radians(WIDE))) / 2.0
    lost = by_sky[~member].sum()
    expected = share * (~member).sum()
    assert 0.2 * expected < lost < 5.0 * expected + 20.0
    assert by_all[member].mean() > 0.97
    assert by_all[~member].sum() <= lost
    assert not np.any(by_all & ~by_sky)


def test_what_goes_is_what_is_within_the_radius(observed):
    catalogue, _ = observed
    spec = {"objects": [{"ra": 200.0, "dec": 25.0}, {"ra": 30.0, "dec": 10.0, "radius": 12.0}]}
    toward = sky_basis(catalogue["ra"], catalogue["dec"])[:, 0]
    expected = np.zeros(len(catalogue), dtype=bool)
    for ra, dec, radius in ((200.0, 25.0, 7.0), (30.0, 10.0, 12.0)):
        centre = sky_basis(np.array([ra]), np.array([dec]))[0, 0]
        expected |= separation(toward, centre[None]) <= radius
    np.testing.assert_array_equal(taken(catalogue, {**spec, "radius": 7.0}), expected)


@pytest.mark.parametrize(
    ("limit", "column"),
    [("distance_limit", "distance"), ("pm_limit", "pmra"), ("vlos_limit", "vlos")],
)
def test_each_limit_looks_at_its_own(observed, limit, column):
    catalogue, member = observed
    spec = {"objects": LISTED, limit: LIMITS[limit]}
    before = taken(catalogue, spec)[member].sum()
    shift = {"distance": 300.0, "pmra": 40.0, "vlos": 900.0}[column]
    moved = [{**each, column: each[column] + shift} for each in LISTED]
    assert before > 1400
    assert taken(catalogue, {**spec, "objects": moved})[member].sum() == 0
    # what is not known of an object is not looked at
    unknown = [{k: v for k, v in each.items() if k != column} for each in moved]
    assert taken(catalogue, {**spec, "objects": unknown})[member].sum() >= before


def test_distances_are_compared_in_units_of_the_objects_own(observed):
    catalogue, _ = observed
    (far,) = (each for each in LISTED if each["distance"] == 60.0)
    spec = {"objects": [far], "n_sigma": 0.0}
    off = np.abs(catalogue["distance"] - 60.0)
    expected = taken(catalogue, spec) & (off <= 0.3 * 60.0)
    np.testing.assert_array_equal(taken(catalogue, {**spec, "distance_limit": 0.3}), expected)
    assert 0 < expected.sum() < taken(catalogue, spec).sum()


def test_errors_widen_the_limits(observed):
    catalogue, member = observed
    spec = {"objects": LISTED, "distance_limit": 0.01}
    wide, narrow = (taken(catalogue, {**spec, "n_sigma": n})[member].mean() for n in (3.0, 0.0))
    assert wide > 0.98
    assert narrow < 0.2


def test_galactocentric_columns_are_seen_from_the_sun(observed):
    catalogue, _ = observed
    x, v = catalogue.position, catalogue.velocity
    names = ("x", "y", "z", "vx", "vy", "vz")
    turned = replace(
        Catalogue.from_arrays(**dict(zip(names, np.hstack([x, v]).T, strict=True))),
        sun=catalogue.sun,
    )
    spec = {"objects": LISTED, **LIMITS, "n_sigma": 0.0}
    np.testing.assert_array_equal(taken(turned, spec), taken(catalogue, spec))


def test_lists_are_read_and_their_content_is_the_key(tmp_path, observed):
    catalogue, _ = observed
    path = tmp_path / "objects.csv"
    rows = ["ra,dec,radius,distance,name", "200,25,7,,first", "30,10,12,60,second"]
    path.write_text("\n".join(rows))
    inline = [
        {"ra": 200.0, "dec": 25.0, "radius": 7.0},
        {"ra": 30.0, "dec": 10.0, "radius": 12.0, "distance": 60.0},
    ]
    step = make_clean([{"kind": "cross-match", "lists": [str(path)]}])
    known = make_clean([{"kind": "cross-match", "objects": inline}])
    assert plain_content(step) == plain_content(known)
    np.testing.assert_array_equal(step.rows(catalogue), known.rows(catalogue))
    path.write_text("\n".join(rows[:2]))
    shorter = make_clean([{"kind": "cross-match", "lists": [str(path)]}])
    assert plain_content(shorter) != plain_content(step)
    assert (
        len(
            make_clean([{"kind": "cross-match", "lists": ["galpy:mw-satellites"]}]).steps[0].objects
        )
        > 10
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ra,radius\n1,2", "column 'dec' is missing"),
        ("ra,dec\n1,95", "row 1: need 0 <= ra"),
        ("ra,dec,radius\n1,5,-1", "row 1: radius is positive"),
        ("ra,dec,radius\n1,5,wide", "radius"),
        ("ra,dec\n1,5\n,6", "row 2: ra or dec is empty"),
    ],
)
def test_unusable_lists_are_named(tmp_path, text, message):
    path = tmp_path / "objects.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"objects.csv.*{message}"):
        make_clean([{"kind": "cross-match", "lists": [str(path)]}])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "give objects or lists"),
        ({"lists": ["nowhere.csv"]}, "no such file"),
        ({"objects": [{"ra": 1.0, "dec": 91.0}]}, "-90 <= dec <= 90"),
        ({"objects": [{"ra": 1.0, "dec": 9.0}], "radius": 0.0}, "radius is above 0"),
        ({"objects": [{"ra": 1.0, "dec": 9.0}], "pm_limit": -1.0}, "pm_limit is positive"),
        ({"objects": [{"ra": 1.0, "dec": 9.0}], "n_sigma": -1.0}, "n_sigma"),
    ],
)
def test_bad_settings_are_named(spec, message):
    with pytest.raises(InputError, match=message):
        make_clean([{"kind": "cross-match", **spec}])


def test_nothing_left_is_an_error(observed):
    halves = [{"ra": 0.0, "dec": dec, "radius": 90.0} for dec in (-90.0, 90.0)]
    with pytest.raises(EstimationError, match="no star is left"):
        taken(observed[0], {"objects": halves})
