"""Validate the validator: faults that are planted on purpose are each caught, and nothing sound is."""

from __future__ import annotations

import numpy as np
import pytest
from exact_halo import SCENARIO
from faulty import SEEN, TRUE_M200, reachable
from scipy.integrate import quad
from scipy.stats import binomtest
from seeds import seeded

from haloassay.analysis.verdict import verdicts
from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.contracts import frames
from haloassay.contracts.catalogue import Catalogue
from haloassay.io.tables import read_catalogue
from haloassay.mocks import make_mock
from haloassay.mocks.equilibria.equilibrium import OrbitSuperposition
from haloassay.mocks.surveys import observing
from haloassay.mocks.surveys.survey import Survey

pytestmark = pytest.mark.long

REALIZATIONS = 40


def verdict(table, estimator, quantity):
    of = table[(table.estimator == estimator) & (table.quantity == quantity)]
    (found,) = verdicts(of)
    return found


def scores(table, estimator, quantity):
    (row,) = table[(table.estimator == estimator) & (table.quantity == quantity)].to_dict("records")
    return row


@pytest.fixture(scope="module")
def table(assay):
    """Scores of one run of a sound estimator beside three that are not.

    With 1500 stars a sigma_r has 1.8 per cent of scatter: 2 per cent are 7 standard errors of 40 of them.
    """
    kinds = {
        "sound": "velocity-ellipsoid",
        "high": "faulty:High",
        "overconfident": "faulty:Overconfident",
        "clairvoyant": "faulty:Clairvoyant",
    }
    entries = [{"kind": kind, "label": label} for label, kind in kinds.items()]
    survey = {**SCENARIO["survey"], "n_stars": 1500}
    return assay({**SCENARIO, "survey": survey, "estimators": entries}, REALIZATIONS).table()


SIGMAS = ("sigma_r", "sigma_theta", "sigma_phi")


SEVEN = (*SIGMAS, "beta", "mean_v_r", "mean_v_theta", "mean_v_phi")


@pytest.mark.parametrize("quantity", SEVEN)
def test_nothing_is_wrong_with_a_sound_estimator(table, quantity):
    row = scores(table, "sound", quantity)
    assert abs(row["bias"]) < 4.0 * row["bias_mcse"]
    for level, stated in ((68, 0.6827), (95, 0.9545)):
        inside = round(row[f"coverage{level}"] * row[f"n{level}"])
        assert binomtest(inside, row[f"n{level}"], stated).pvalue > 6e-5


def test_hardly_anything_is_found_where_nothing_is_wrong(table):
    """A verdict is a false alarm in 1 of 100: three of seven are in 3 of 100 000."""
    assert sum(verdict(table, "sound", quantity).fault for quantity in SEVEN) <= 2


@pytest.mark.parametrize("quantity", SIGMAS)
def test_estimator_2_per_cent_high_is_caught(table, quantity):
    found = verdict(table, "high", quantity)
    assert found.fault
    assert found.bias.startswith("Biased by")
    row = scores(table, "high", quantity)
    assert abs(row["bias"] - 0.02) < 4.0 * row["bias_mcse"]
    assert row["bias"] > 4.0 * row["bias_mcse"]


@pytest.mark.parametrize("quantity", ["sigma_r", "beta", "mean_v_phi"])
def test_intervals_a_third_as_wide_are_caught(table, quantity):
    found = verdict(table, "overconfident", quantity)
    assert found.fault
    assert "intervals are too narrow" in found.intervals
    row = scores(table, "overconfident", quantity)
    assert abs(row["error_ratio"] - 1.0 / 3.0) < 4.0 * row["error_ratio_mcse"]


def test_answers_without_any_scatter_are_caught(table):
    """Who knows the truth is right each time: intervals that always contain it are too wide."""
    row = scores(table, "clairvoyant", "m200")
    assert row["scatter"] < 1e-9
    assert row["coverage68"] == 1.0
    found = verdict(table, "clairvoyant", "m200")
    assert found.fault
    assert "intervals are too wide" in found.intervals


# ---------------------------------------------------------------------------------------------- the sampler


def jeans_sigma_r_squared(r, slope, beta, m200, c):
    """(km/s)^2; (1 / rho r^2beta) int_r^inf rho r^2beta G M / r^2 dr for rho ~ r^slope in an NFW halo."""
    from haloassay.contracts.profiles import virial_radius

    r_s = float(virial_radius(m200, 67.8)) / c

    def mass(x):
        return np.log1p(x) - x / (1.0 + x)

    power = slope + 2.0 * beta
    integral, _ = quad(lambda x: x**power * mass(x * r / r_s) / x**2, 1.0, np.inf)
    return G * m200 / mass(c) / r * integral


def pressure_excess(halo, n=400_000):
    """Deviation of <v_r^2 / sigma_r^2(r)> from 1 in standard errors, the Jeans equation by quadrature."""
    stars = halo.sample(n, seeded(3))
    v_r = np.einsum("ni,ni->n", stars.position, stars.velocity) / stars.r
    nodes = np.geomspace(10.0, 60.0, 40)
    wanted = [jeans_sigma_r_squared(r, -3.5, 0.5, 1e12, 12.0) for r in nodes]
    ratio = v_r**2 / np.exp(np.interp(np.log(stars.r), np.log(nodes), np.log(wanted)))
    return (ratio.mean() - 1.0) / (ratio.std() / np.sqrt(n))


@pytest.fixture
def cold_sampler(monkeypatch):
    """Radial velocities low by 0.8 per cent, as galpy drew them before 1.12.1."""
    sample = OrbitSuperposition.sample

    def cold(self, n, rng):
        r, v_r, v_t = sample(self, n, rng)
        return r, 0.992 * v_r, v_t

    monkeypatch.setattr(OrbitSuperposition, "sample", cold)


def test_sampler_is_in_equilibrium(values):
    assert abs(pressure_excess(make_mock(values["mock"]))) < 4.0


def test_sigma_r_low_by_0_8_per_cent_is_caught_by_the_jeans_equation(values, cold_sampler):
    assert pressure_excess(make_mock(values["mock"])) < -4.0


def test_sigma_r_low_by_0_8_per_cent_is_caught_by_the_harness(values, assay, cold_sampler):
    values["survey"]["n_stars"] = 16000
    table = assay(values, 24).table()
    assert verdict(table, "velocity-ellipsoid", "sigma_r").fault
    row = scores(table, "velocity-ellipsoid", "sigma_r")
    assert abs(row["bias"] + 0.008) < 4.0 * row["bias_mcse"]
    assert not verdict(table, "velocity-ellipsoid", "sigma_theta").fault


# ---------------------------------------------------------------------------------------------- axes and signs


@pytest.mark.parametrize(
    "axes", [(2, 1, 0), *(pytest.param(x, marks=pytest.mark.slow) for x in ((0, 2, 1), (1, 0, 2)))]
)
def test_axes_swapped_in_the_position_only_are_caught_by_the_harness(
    values, assay, monkeypatch, axes
):
    """Radial orbits no longer point to the centre, and beta goes."""
    observe = observing.galactocentric_to_heliocentric

    def swapped(position, velocity, sun):
        return observe(position[:, axes], velocity, sun)

    monkeypatch.setattr(observing, "galactocentric_to_heliocentric", swapped)
    values["survey"]["n_stars"] = 1000
    table = assay(values, 12).table()
    found = verdict(table, "velocity-ellipsoid", "beta")
    assert found.fault
    assert found.bias.startswith("Biased by -")


def astropy_velocity(catalogue):
    """(N, 3) velocities (v_r, v_theta, v_phi) as astropy has them [km/s]."""
    import astropy.coordinates as coord
    import astropy.units as u

    sun = catalogue.sun
    frame = coord.Galactocentric(
        galcen_distance=np.hypot(sun.x, sun.z) * u.kpc,
        z_sun=sun.z * u.kpc,
        galcen_v_sun=sun.velocity * u.km / u.s,
    )
    icrs = coord.SkyCoord(
        ra=catalogue["ra"] * u.deg,
        dec=catalogue["dec"] * u.deg,
        distance=catalogue["distance"] * u.kpc,
        pm_ra_cosdec=catalogue["pmra"] * u.mas / u.yr,
        pm_dec=catalogue["pmdec"] * u.mas / u.yr,
        radial_velocity=catalogue["vlos"] * u.km / u.s,
    )
    sphere = icrs.transform_to(frame).represent_as(
        coord.SphericalRepresentation, coord.SphericalDifferential
    )
    motion = sphere.differentials["s"]
    radius = sphere.distance
    rate = u.dimensionless_angles()
    return np.stack(
        [
            motion.d_distance.to_value(u.km / u.s),
            (radius * motion.d_lat).to_value(u.km / u.s, rate),
            (radius * np.cos(sphere.lat) * motion.d_lon).to_value(u.km / u.s, rate),
        ],
        axis=1,
    )


@pytest.fixture
def sky():
    rng = seeded(8)
    low, high = [0, -90, 1, -3, -3, -300], [360, 90, 60, 3, 3, 300]
    names = ("ra", "dec", "distance", "pmra", "pmdec", "vlos")
    return Catalogue.from_arrays(
        **dict(zip(names, rng.uniform(low, high, (300, 6)).T, strict=True))
    )


def disagreement(catalogue):
    return np.abs(catalogue.spherical_velocity - astropy_velocity(catalogue)).max(axis=0)


def test_velocities_are_those_of_astropy(sky):
    assert np.all(disagreement(sky) < 1e-6)


@pytest.mark.parametrize("component", [0, 1, 2])
def test_a_flipped_sign_is_caught_by_astropy(sky, monkeypatch, component):
    compute = frames.spherical_velocity

    def flipped(position, velocity):
        return compute(position, velocity) * np.where(np.arange(3) == component, -1.0, 1.0)

    monkeypatch.setattr(frames, "spherical_velocity", flipped)
    found = disagreement(sky)
    assert found[component] > 100.0
    assert np.all(np.delete(found, component) < 1e-6)


@pytest.mark.parametrize("axes", [(2, 1, 0), (0, 2, 1), (1, 0, 2)])
def test_a_swapped_axis_is_caught_by_astropy(sky, monkeypatch, axes):
    compute = frames.spherical_velocity

    def swapped(position, velocity):
        return compute(position[:, axes], velocity)

    monkeypatch.setattr(frames, "spherical_velocity", swapped)
    assert np.all(disagreement(sky) > 10.0)


# ---------------------------------------------------------------------------------------------- leaked truth


def test_a_file_with_a_true_distance_is_refused(tmp_path):
    path = tmp_path / "leak.csv"
    path.write_text(
        "ra,dec,distance,pmra,pmdec,vlos,true_distance\n1,2,3,4,5,6,3.1\n2,2,3,4,5,6,3\n"
    )
    with pytest.raises(InputError, match="'true_distance' holds a truth"):
        read_catalogue(path)


def test_a_survey_that_leaves_a_true_distance_is_refused(values, assay, monkeypatch):
    measure = observing._columns

    def leaking(survey, seen):
        return measure(survey, seen) | {
            "true_distance": np.linalg.norm(seen.stars.position, axis=1)
        }

    monkeypatch.setattr(observing, "_columns", leaking)
    results = assay(values, 1)
    (run,) = results.frame("runs").to_dict("records")
    assert run["status"] == "no-mock"
    assert "'true_distance'" in run["message"]


def test_no_truth_can_be_reached_from_a_catalogue(values, assay):
    """Walk all that a catalogue refers to: an observer's columns, the Sun, and the survey as its observer states it."""
    values["survey"] = {"preset": "lamost-segue-kgiants", "n_stars": 500, "vlos_offset": 3.0}
    values["mock"]["feh"] = {"mean": -1.6, "sigma": 0.3}
    values["estimators"] = [{"kind": "faulty:Snoop"}]
    results = assay(values, 1)
    assert results.counts() == {"ok": 1}
    assert {type(item).__name__ for item in SEEN} <= {
        *(
            "Catalogue",
            "Sun",
            "dict",
            "mappingproxy",
            "ndarray",
            "str",
            "float",
            "NoneType",
            "tuple",
            *("int", "bool", "StatedSelection", "Survey", "Completeness", "Footprint"),
            "PowerLawLuminosity",
        ),
    }
    (survey,) = (item for item in SEEN if isinstance(item, Survey))
    assert survey == survey.stated
    assert survey.vlos_offset == 0.0
    (catalogue,) = (item for item in SEEN if isinstance(item, Catalogue))
    observed = {"distance", "pmra", "pmdec", "vlos", "feh"}
    errors = {f"{name}_err" for name in observed}
    assert set(catalogue.columns) == observed | errors | {"ra", "dec", "pm_corr"}
    truth = true_arrays(values)
    for name, leaked in truth.items():
        for item in SEEN:
            if isinstance(item, np.ndarray):
                assert not holds(item, leaked), name


def true_arrays(values):
    """Coordinates of the surveyed stars of realisation 0 as they are, by name."""
    from haloassay import mock

    _, stars, *_ = mock({**values, "realizations": 1})
    from_sun = stars.position - frames.SUNS["bird2022"].position
    arrays = dict(zip(("x", "y", "z"), stars.position.T, strict=True))
    arrays |= dict(zip(("vx", "vy", "vz"), stars.velocity.T, strict=True))
    return arrays | {"r": stars.r, "distance": np.linalg.norm(from_sun, axis=1)}


def holds(array, values):
    """Whether the first of the values, to a relative 1e-6, stands anywhere in an array."""
    return bool(np.any(np.isclose(np.asarray(array, dtype=float), values[0], rtol=1e-6, atol=0.0)))


def test_a_leak_would_be_seen():
    """The walk finds what hides in an attribute, in a base array and in a closure's container."""
    hidden = np.arange(5.0) + TRUE_M200
    whole = np.concatenate([np.zeros(3), hidden])
    catalogue = Catalogue.from_arrays(x=[1.0])
    for leaky in (
        Catalogue(catalogue.columns, origin=whole),
        Catalogue({"x": whole[:3]}),
        Catalogue(catalogue.columns, dropped={"n": [(hidden,)]}),
    ):
        found = [item for item in reachable(leaky) if isinstance(item, np.ndarray)]
        assert any(holds(item, hidden) for item in found)
    assert not any(
        holds(item, hidden) for item in reachable(catalogue) if isinstance(item, np.ndarray)
    )
