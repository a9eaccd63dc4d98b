"""Surveys of a stand-in halo whose stars have known radii, velocities and metallicities."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from seeds import seeded
from stand_in_halo import Halo, observe

from haloassay.base import kinds
from haloassay.base.errors import InputError
from haloassay.contracts.frames import SUNS, galactocentric_to_heliocentric
from haloassay.mocks.surveys import selection
from haloassay.mocks.surveys.luminosity import GaussianLuminosity, PowerLawLuminosity
from haloassay.mocks.surveys.presets import resolve
from haloassay.mocks.surveys.survey import Survey, make_survey

KMS_PER_MASYR_KPC = 4.740470463533349  # kept apart from the library's
P_4SIGMA = 6.3e-5
COLUMNS = {
    *("ra", "dec", "distance", "pmra", "pmdec", "vlos", "feh", "pm_corr"),
    *("distance_err", "pmra_err", "pmdec_err", "vlos_err", "feh_err"),
}


def truth(observation):
    """Heliocentric columns of the true stars."""
    stars, sun = observation.stars, observation.catalogue.sun
    return galactocentric_to_heliocentric(stars.position, stars.velocity, sun)


ERRORS = {
    "n_stars": 20_000,
    "distance_error": 0.16,
    "pm_error": 0.1,
    "pm_correlation": 0.4,
    "vlos_error": 7.0,
    "feh_error": 0.15,
}


@pytest.fixture(scope="module")
def noisy():
    return observe(ERRORS)


@pytest.fixture(scope="module")
def kgiants():
    return observe({"preset": "lamost-segue-kgiants"})


def test_perfect_survey_returns_the_true_phase_space():
    observation = observe({"preset": "perfect", "n_stars": 5000})
    c = observation.catalogue
    assert len(c) == 5000
    np.testing.assert_allclose(c.position, observation.stars.position, rtol=0, atol=1e-9)
    np.testing.assert_allclose(c.velocity, observation.stars.velocity, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(c["feh"], observation.stars.feh)
    for name in c.columns:
        if name.endswith("_err") or name == "pm_corr":
            assert not np.any(c[name]), name


@pytest.mark.parametrize("preset", kinds.names("surveys"))
def test_every_preset_makes_a_catalogue_of_its_size_with_the_columns_of_an_observer(preset):
    observation = observe({"preset": preset})
    n = kinds.find("surveys", preset, "").get("n_stars", Survey().n_stars)
    assert len(observation.catalogue) == len(observation.stars) == n
    without = {"vlos", "vlos_err"} if preset == "gaia-rrlyrae" else set()
    assert set(observation.catalogue.columns) == COLUMNS - without
    assert all(np.isfinite(v).all() for v in observation.catalogue.columns.values())
    assert observation.n_drawn >= n


@pytest.mark.parametrize("n", [5, 9000])
@pytest.mark.parametrize("cut", [{}, {"z_min": 5.0}, {"preset": "desi-kgiants"}])
def test_stars_are_looked_at_until_the_last_one_is_found(cut, n):
    """Not to the end of a batch: how much of a stored population a realisation sees hangs on that."""
    observation = observe({**cut, "n_stars": n})
    draw = Halo().sampler(seeded(5, 1))
    sizes = [2**13 * 2**k for k in range(6)]
    drawn = np.concatenate([draw(size).position for size in sizes])
    np.testing.assert_array_equal(drawn[observation.n_drawn - 1], observation.stars.position[-1])
    assert (observation.n_drawn == n) == (not cut)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 30_000))
def test_number_of_stars_is_exact(n):
    observation = observe({"n_stars": n, "footprint": {"dec_min": 0.0}, "distance_error": 0.1})
    assert len(observation.catalogue) == len(observation.stars) == n


def test_distance_scatter_is_the_stated_error(noisy):
    log = np.log(noisy.catalogue["distance"] / truth(noisy)["distance"])
    n = len(log)
    assert abs(log.mean()) < 4 * 0.16 / np.sqrt(n)
    assert abs(log.std() - 0.16) < 4 * 0.16 / np.sqrt(2 * n)
    np.testing.assert_allclose(
        noisy.catalogue["distance_err"], 0.16 * noisy.catalogue["distance"], rtol=1e-14
    )


def test_distance_scale_is_recovered_and_not_stated():
    observation = observe({**ERRORS, "distance_scale": 0.9})
    log = np.log(observation.catalogue["distance"] / truth(observation)["distance"])
    assert abs(log.mean() - np.log(0.9)) < 4 * 0.16 / np.sqrt(len(log))


@pytest.mark.parametrize(("column", "sigma"), [("vlos", 7.0), ("feh", 0.15)])
def test_velocities_and_metallicities_scatter_by_the_stated_error(noisy, column, sigma):
    true = truth(noisy)["vlos"] if column == "vlos" else noisy.stars.feh
    pull = (noisy.catalogue[column] - true) / noisy.catalogue[f"{column}_err"]
    np.testing.assert_array_equal(noisy.catalogue[f"{column}_err"], sigma)
    assert stats.kstest(pull, "norm").pvalue > P_4SIGMA


def test_velocity_offset_is_added_to_every_star(noisy):
    shifted = observe({**ERRORS, "vlos_offset": -8.0})
    difference = shifted.catalogue["vlos"] - noisy.catalogue["vlos"]
    np.testing.assert_allclose(difference, -8.0, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(shifted.catalogue["vlos_err"], noisy.catalogue["vlos_err"])


@pytest.mark.parametrize("pm_error", [0.1, "gaia-dr2"])
def test_proper_motion_pulls_whitened_by_the_stated_covariance_are_standard(pm_error):
    observation = observe({**ERRORS, "pm_error": pm_error, "magnitude_limits": [10.0, 20.0]})
    c, true = observation.catalogue, truth(observation)
    ra, dec = ((c[k] - true[k]) / c[f"{k}_err"] for k in ("pmra", "pmdec"))
    rho, n = c["pm_corr"], len(c)
    white = (dec - rho * ra) / np.sqrt(1.0 - rho**2)
    for pull in (ra, dec, white):
        assert abs(pull.mean()) < 4 / np.sqrt(n)
        assert abs(pull.std() - 1.0) < 4 / np.sqrt(2 * n)
    assert abs(np.mean(ra * white)) < 4 / np.sqrt(n)
    assert abs(np.mean(ra * dec - rho)) < 4 * np.sqrt(np.mean(1.0 + rho**2) / n)
    # the correlation of each star, not only their mean, is what is stated
    slope = np.sum(rho * ra * dec) / np.sum(rho**2)
    assert abs(slope - 1.0) < 4 * np.sqrt(np.sum(rho**2 * (1.0 + rho**2))) / np.sum(rho**2)


@pytest.mark.parametrize(
    ("setting", "column"), [("pm", "pmra"), ("vlos", "vlos"), ("distance", "distance")]
)
def test_error_scale_changes_the_noise_and_not_what_is_stated(noisy, setting, column):
    observation = observe({**ERRORS, f"{setting}_error_scale": 2.0})
    (once, twice), (stated, restated) = zip(
        *((_noise(o, column), o.catalogue[f"{column}_err"]) for o in (noisy, observation)),
        strict=True,
    )
    np.testing.assert_allclose(twice, 2.0 * once, rtol=1e-6, atol=1e-9)
    if column != "distance":  # its stated error is a fraction of what is observed
        np.testing.assert_array_equal(stated, restated)


def _noise(observation, column):
    observed, true = observation.catalogue[column], truth(observation)[column]
    return np.log(observed / true) if column == "distance" else observed - true


def test_footprint_is_honoured_by_the_catalogue_as_astropy_sees_it():
    from astropy.coordinates import SkyCoord

    footprint = {"dec_min": -10.0, "dec_max": 60.0, "b_min": 20.0}
    c = observe({"n_stars": 5000, "footprint": footprint, "sun": "bird2022"}).catalogue
    b = SkyCoord(c["ra"], c["dec"], unit="deg").galactic.b.deg
    assert -10.0 <= c["dec"].min() < -9.5
    assert 59.5 < c["dec"].max() <= 60.0
    assert 20.0 <= np.abs(b).min() < 20.5


def test_magnitude_limits_select_by_true_distance():
    limits = {
        "luminosity": {"kind": "gaussian", "mean": 0.6, "sigma": 0.0},
        "magnitude_limits": [15.0, 18.0],
        "distance_error": 0.2,
        "n_stars": 5000,
    }
    observation = observe(limits)
    true = truth(observation)["distance"]
    low, high = (10 ** (0.2 * (m - 0.6) - 2.0) for m in (15.0, 18.0))
    assert low <= true.min() < 1.05 * low
    assert 0.95 * high < true.max() <= high
    assert observation.catalogue["distance"].max() > high


def test_luminosity_function_of_a_volume_that_is_seen_whole_is_the_wanted_one():
    """Gaia's errors tell the magnitudes, so the catalogue itself shows the luminosities."""
    spec = {"n_stars": 20_000, "pm_error": "gaia-dr3", "distance_min": 30.0}
    observation = observe(spec)
    error = 1000.0 * observation.catalogue["pmra_err"] / 1.03
    z = (-800.0 + np.sqrt(640000.0 - 120.0 * (40.0 - error**2))) / 60.0
    g = 15.0 + 2.5 * np.log10(z)
    absolute = g - 5.0 * np.log10(truth(observation)["distance"]) - 10.0
    faint = absolute[absolute > -1.0]  # G > 13 there: the bend of Gaia's model is away

    def cumulative(m):
        return (10 ** (0.32 * m) - 10**-0.32) / (10**0.64 - 10**-0.32)

    assert stats.kstest(faint, cumulative).pvalue > P_4SIGMA


def test_g_offset_moves_the_magnitude_of_gaias_errors():
    plain = observe({"n_stars": 500, "pm_error": "gaia-dr3", "distance_min": 30.0})
    brighter = observe(
        {"n_stars": 500, "pm_error": "gaia-dr3", "distance_min": 30.0, "g_offset": -0.5}
    )
    assert np.all(brighter.catalogue["pmra_err"] < plain.catalogue["pmra_err"])


def test_cuts_are_made_on_what_is_observed():
    spec = {
        **ERRORS,
        "n_stars": 5000,
        "z_min": 5.0,
        "feh_max": -1.0,
        "r_min": 8.0,
        "r_max": 40.0,
        "distance_max": 30.0,
        "distance_min": 4.0,
    }
    observation = observe(spec)
    c, stars = observation.catalogue, observation.stars
    assert np.abs(c.position[:, 2]).min() >= 5.0 - 1e-9
    assert np.abs(stars.position[:, 2]).min() < 5.0
    assert c["feh"].max() <= -1.0 < stars.feh.max()
    assert c.r.min() >= 8.0 - 1e-9 > stars.r.min()
    assert c.r.max() <= 40.0 + 1e-9
    assert c["distance"].min() >= 4.0
    assert c["distance"].max() <= 30.0 < truth(observation)["distance"].max()


def test_cells_share_stars_and_noise_across_distance_scales():
    """Without cuts on distance all stars are shared; with them, most are, with their noise."""
    one, more = (observe({**ERRORS, "distance_scale": s}) for s in (1.0, 1.1))
    np.testing.assert_array_equal(one.stars.position, more.stars.position)
    for name in ("pmra", "pmdec", "vlos", "feh", "pm_corr"):
        np.testing.assert_array_equal(one.catalogue[name], more.catalogue[name])
    ratio = more.catalogue["distance"] / one.catalogue["distance"]
    np.testing.assert_allclose(ratio, 1.1, rtol=1e-14)

    preset = {"preset": "lamost-segue-kgiants"}
    one, more = (observe({**preset, "distance_scale": s}) for s in (1.0, 1.1))
    shared, i, j = np.intersect1d(
        one.stars.position[:, 0], more.stars.position[:, 0], return_indices=True
    )
    assert len(shared) > 0.8 * len(one.stars)
    np.testing.assert_allclose(one.catalogue["vlos"][i], more.catalogue["vlos"][j], atol=1e-10)
    np.testing.assert_allclose(one.catalogue["pmra"][i], more.catalogue["pmra"][j], atol=1e-12)


def test_cells_share_stars_across_sizes_of_the_errors_and_of_the_sample():
    small = observe({**ERRORS, "n_stars": 9000})
    large = observe({**ERRORS, "n_stars": 20_000, "vlos_error": 14.0, "pm_error": "gaia-dr3"})
    np.testing.assert_array_equal(small.stars.position, large.stars.position[:9000])
    once, twice = _noise(small, "vlos"), _noise(large, "vlos")[:9000]
    np.testing.assert_allclose(twice, 2.0 * once, atol=1e-9)


def test_equal_seeds_give_equal_catalogues_and_others_do_not(kgiants):
    again = observe({"preset": "lamost-segue-kgiants"})
    other = observe({"preset": "lamost-segue-kgiants"}, seed=6)
    for name in COLUMNS:
        np.testing.assert_array_equal(kgiants.catalogue[name], again.catalogue[name])
    assert not np.any(np.isin(other.catalogue["ra"], kgiants.catalogue["ra"]))


def test_kgiants_of_the_published_density_lie_where_bird_et_al_say(kgiants):
    """Bird et al. (2022): over 60 per cent within 20 kpc, half within 17, stars to ~100 kpc."""
    r, n = kgiants.catalogue.r, len(kgiants.catalogue)
    margin = 4 * np.sqrt(0.25 / n)
    assert np.mean(r < 20.0) > 0.60 + margin
    assert np.mean(r < 17.0) > 0.50 + margin
    assert np.count_nonzero(r > 65.0) > 50
    assert 90.0 < r.max() <= 105.0


def test_bhb_stars_of_the_published_density_lie_where_bird_et_al_say():
    """Bird et al. (2022): over 60 per cent within 20 kpc, 4 to 60 kpc, over 10 stars beyond 50."""
    r = observe({"preset": "sdss-bhb"}, Halo(-3.5, -4.7, 22.0)).catalogue.r
    assert np.mean(r < 20.0) > 0.60 + 4 * np.sqrt(0.24 / len(r))
    assert 4.0 <= r.min() < 5.0
    assert 55.0 < r.max() <= 60.0
    assert np.count_nonzero(r > 50.0) > 10


def test_scenario_settings_override_those_of_the_preset():
    survey = make_survey(
        {
            "preset": "lamost-segue-kgiants",
            "n_stars": 7,
            "distance_error": 0.3,
            "footprint": {"b_min": 20.0},
            "luminosity": {"slope": 0.5},
            "sun": {"vy": 250.0},
            "feh_max": np.inf,
        }
    )
    assert (survey.n_stars, survey.distance_error, survey.feh_max) == (7, 0.3, np.inf)
    assert (survey.footprint.dec_max, survey.footprint.b_min) == (60.0, 20.0)
    assert survey.luminosity == PowerLawLuminosity(0.5, -3.0, 2.0)
    assert (survey.sun.x, survey.sun.vy) == (SUNS["bird2022"].x, 250.0)
    other = make_survey(
        {
            "preset": "lamost-segue-kgiants",
            "luminosity": {"kind": "gaussian", "mean": 0.6, "sigma": 0.1},
        }
    )
    assert other.luminosity == GaussianLuminosity(0.6, 0.1)
    assert other.sun == SUNS["bird2022"]


def test_resolved_settings_are_plain_complete_and_make_the_same_survey():
    import json

    spec = {"preset": "sdss-bhb", "vlos_error": 3.0}
    resolved = resolve(spec, {f.name for f in fields(Survey)})
    assert make_survey(json.loads(json.dumps(resolved))) == make_survey(spec)
    assert "preset" not in resolved
    assert make_survey({}) == Survey()
    assert spec == {"preset": "sdss-bhb", "vlos_error": 3.0}


def test_presets_set_only_settings_that_exist():
    names = {f.name for f in fields(Survey)}
    for preset in (kinds.find("surveys", name, "") for name in kinds.names("surveys")):
        assert set(preset) <= names


@pytest.mark.parametrize(
    ("spec", "cut", "drawn"),
    [
        (
            {"preset": "lamost-segue-kgiants", "magnitude_limits": [5.0, 6.0]},
            "magnitude_limits",
            20_000,
        ),
        ({"feh_max": -9.0, "z_min": 5.0}, "feh_max", selection._HOPELESS_DRAWN),
        ({"r_min": 300.0, "footprint": {"dec_min": 0.0}}, "r_min", 20_000),
    ],
)
def test_cut_that_leaves_no_star_is_refused_by_name(spec, cut, drawn, monkeypatch):
    # one case waits as long as a user would
    monkeypatch.setattr(selection, "_HOPELESS_DRAWN", drawn)
    with pytest.raises(InputError, match=f"true stars pass the cuts; .*is {cut}") as caught:
        observe(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ([], "survey: expected a table"),
        ({"preset": "lamost-segue-kgiant"}, "did you mean 'lamost-segue-kgiants'"),
        ({"preset": 3}, "unknown preset 3"),
        ({"z_mim": 5.0}, "survey: unknown setting 'z_mim'; did you mean 'z_min'"),
        ({"n_stars": 0}, "n_stars must be at least 1"),
        ({"n_stars": 10.5}, r"survey\.n_stars: .*integer"),
        ({"sun": "bird"}, r"survey\.sun: unknown sun 'bird'; did you mean 'bird2022'"),
        ({"sun": 3}, r"survey\.sun: expected a table"),
        ({"sun": {"x": 8.0}}, r"survey\.sun: the Sun stands at x < 0"),
        ({"footprint": {"dec_mim": 0.0}}, r"survey\.footprint: unknown setting"),
        ({"footprint": "north"}, r"survey\.footprint: expected a table"),
        ({"luminosity": {"slope": 0.3}}, r"survey\.luminosity: key 'kind' is missing"),
        ({"magnitude_limits": [19.0, 14.0]}, "magnitude_limits must be .*in order"),
        ({"magnitude_limits": [14.0]}, r"survey\.magnitude_limits"),
        ({"z_min": -1.0}, "z_min must be"),
        ({"feh_max": float("nan")}, "feh_max must be"),
        ({"r_min": 10.0, "r_max": 10.0}, "r_min < r_max"),
        ({"distance_max": 0.0}, "distance_min < distance_max"),
        ({"distance_error": 16.0}, "distance_error is a fraction"),
        ({"distance_error": -0.1}, "distance_error is a fraction"),
        ({"distance_scale": 0.0}, "distance_scale must be"),
        ({"pm_error": "gaia-dr1"}, "'gaia-dr1'; did you mean 'gaia-dr"),
        ({"pm_error": -0.1}, "pm_error must be"),
        ({"pm_correlation": 1.0}, "pm_correlation must be"),
        ({"vlos_error": -7.0}, "vlos_error must be"),
        ({"vlos_error": "7"}, r"survey\.vlos_error"),
        ({"vlos_offset": float("inf")}, "vlos_offset must be finite"),
        ({"feh_error": float("nan")}, "feh_error must be"),
        ({"pm_error_scale": -1.0}, "pm_error_scale must be"),
    ],
)
def test_unusable_settings_are_refused_in_one_line(spec, message):
    with pytest.raises(InputError, match=message) as caught:
        make_survey(spec)
    assert "\n" not in str(caught.value)
