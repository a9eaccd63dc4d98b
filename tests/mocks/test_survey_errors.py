"""Errors of a survey beyond the plain ones: of modulus, shared by metallicity, growing, and cut on."""

import numpy as np
import pytest
from scipy import stats
from seeds import seeded
from stand_in_halo import Halo, observe

from haloassay.base.errors import InputError
from haloassay.contracts.frames import galactocentric_to_heliocentric
from haloassay.contracts.propagation import monte_carlo_covariance
from haloassay.mocks.stars import Stars
from haloassay.mocks.surveys import selection
from haloassay.mocks.surveys.measurement import (
    FEH_BINS,
    ErrorCurve,
    correlated_by_feh,
    log_distance_errors,
)
from haloassay.mocks.surveys.survey import make_survey

P_4SIGMA = 6.3e-5


class Enriched(Halo):
    """The stand-in halo with [alpha/Fe], and two origins."""

    def draw(self, n, rng):
        stars = super().draw(n, rng)
        alpha_fe, origin = 0.3 + 0.1 * stars.feh, (stars.feh < -1.5).astype(int)
        return Stars.of(stars.position, stars.velocity, stars.feh, alpha_fe, origin)


def true_columns(observation):
    stars, sun = observation.stars, observation.catalogue.sun
    return galactocentric_to_heliocentric(stars.position, stars.velocity, sun)


def modulus(observation):
    """(N,) observed minus true distance modulus [mag]."""
    return 5.0 * np.log10(observation.catalogue["distance"] / true_columns(observation)["distance"])


# ------------------------------------------------------------------------------------------------ distances


def test_an_error_in_modulus_is_in_magnitudes():
    observation = observe(
        {"n_stars": 20_000, "distance_error": 0.3, "distance_error_kind": "modulus"}
    )
    scatter = modulus(observation)
    assert abs(scatter.mean()) < 4 * 0.3 / np.sqrt(20_000)
    assert abs(scatter.std() - 0.3) < 4 * 0.3 / np.sqrt(2 * 20_000)
    # d(ln d) = ln(10) / 5 d(modulus)
    stated = observation.catalogue["distance_err"] / observation.catalogue["distance"]
    np.testing.assert_allclose(stated, 0.3 * 0.4605170186, rtol=1e-9)


def test_a_fraction_and_the_modulus_that_equals_it_give_equal_catalogues():
    fraction, magnitudes = (
        observe({"n_stars": 500, "distance_error": size, "distance_error_kind": kind})
        for size, kind in ((0.16, "fraction"), (0.16 * 5.0 / np.log(10.0), "modulus"))
    )
    for name in ("distance", "distance_err"):
        np.testing.assert_allclose(fraction.catalogue[name], magnitudes.catalogue[name], rtol=1e-12)


def test_errors_that_differ_from_star_to_star_are_stated_star_by_star():
    spec = {"n_stars": 20_000, "distance_error": 0.1, "distance_error_spread": 0.5}
    observation = observe(spec)
    stated = observation.catalogue["distance_err"] / observation.catalogue["distance"]
    assert stats.kstest(np.log(stated / 0.1) / 0.5, "norm").pvalue > P_4SIGMA
    pull = modulus(observation) * np.log(10.0) / 5.0 / stated
    assert stats.kstest(pull, "norm").pvalue > P_4SIGMA
    assert log_distance_errors(np.array([0.0, 50.0]), 0.2, 1.0).tolist() == [0.2, 1.0]


def test_stars_of_one_metallicity_share_part_of_their_distance_error():
    """Over realisations: variance as stated, covariance rho within a bin of [Fe/H], none across."""
    rho, n = 0.4, 100
    spec = {"n_stars": 300, "distance_error": 0.1, "distance_feh_correlation": rho}
    first, second, elsewhere = [], [], []
    for seed in range(n):
        observation = observe(spec, seed=100 + seed)
        error = modulus(observation) * np.log(10.0) / 5.0 / 0.1
        feh = observation.stars.feh
        one = error[(feh >= -1.5) & (feh < -1.0)][:2]
        other = error[(feh >= -2.0) & (feh < -1.5)][:1]
        first.append(one[0])
        second.append(one[1])
        elsewhere.append(other[0])
    first, second, elsewhere = (np.array(x) for x in (first, second, elsewhere))
    assert abs(first.std() - 1.0) < 4 / np.sqrt(2 * n)
    assert abs(np.mean(first * second) - rho) < 4 * np.sqrt((1 + rho**2) / n)
    assert abs(np.mean(first * elsewhere)) < 4 / np.sqrt(n)


def test_bins_of_metallicity_are_half_a_dex_wide_and_open_at_both_ends():
    shared = np.arange(len(FEH_BINS) + 1.0)
    feh = np.array([-9.0, -4.01, -4.0, -1.51, -1.5, -1.01, 0.49, 0.5, 3.0])
    errors = correlated_by_feh(np.full(9, 77.0), feh, shared, 1.0)
    np.testing.assert_array_equal(np.diff(errors), [0, 1, 4, 1, 0, 3, 1, 0])
    np.testing.assert_array_equal(correlated_by_feh(shared, shared - 5.0, shared, 0.0), shared)


def test_shared_distance_errors_leave_all_else_as_it_was():
    spec = {"n_stars": 3000, "distance_error": 0.1, "vlos_error": 5.0, "pm_error": 0.1}
    alone, shared = observe(spec), observe({**spec, "distance_feh_correlation": 0.5})
    for name in ("vlos", "pmra", "pmdec", "feh", "ra"):
        np.testing.assert_array_equal(alone.catalogue[name], shared.catalogue[name])
    assert not np.any(alone.catalogue["distance"] == shared.catalogue["distance"])


# ------------------------------------------------------------------------------------------------ velocities


def test_velocity_errors_grow_with_magnitude():
    """SEGUE's: 4 km/s at g < 18, 15 at 20. A candle tells each star's magnitude."""
    spec = {
        "n_stars": 20_000,
        "luminosity": {"kind": "gaussian", "mean": 2.0, "sigma": 0.0},
        "vlos_error": {"magnitudes": [18.0, 20.0], "errors": [4.0, 15.0]},
    }
    observation = observe(spec)
    c, true = observation.catalogue, true_columns(observation)
    g = 12.0 + 5.0 * np.log10(true["distance"])
    wanted = np.where(g < 18.0, 4.0, np.where(g > 20.0, 15.0, 4.0 + 5.5 * (g - 18.0)))
    np.testing.assert_allclose(c["vlos_err"], wanted, rtol=1e-9)
    assert np.sum(g > 18.5) > 500
    assert stats.kstest((c["vlos"] - true["vlos"]) / c["vlos_err"], "norm").pvalue > P_4SIGMA


@pytest.mark.parametrize(
    ("magnitudes", "errors", "message"),
    [
        ((18.0, 20.0), (4.0,), "as many errors"),
        ((), (), "as many errors"),
        ((20.0, 18.0), (4.0, 15.0), "must rise"),
        ((18.0, np.nan), (4.0, 15.0), "must rise"),
        ((18.0, 20.0), (4.0, -1.0), "errors must be"),
    ],
)
def test_unusable_curves_are_refused(magnitudes, errors, message):
    with pytest.raises(InputError, match=message):
        ErrorCurve(magnitudes, errors)


def test_without_spectra_there_are_no_velocities_and_whoever_needs_them_is_told():
    observation = observe({"n_stars": 500, "vlos_known": False, "pm_error": 0.1})
    c = observation.catalogue
    assert "vlos" not in c
    assert "vlos_err" not in c
    with pytest.raises(InputError, match="column 'vlos' is missing"):
        _ = c.velocity
    seen = observe({"n_stars": 500, "pm_error": 0.1})
    np.testing.assert_array_equal(c["pmra"], seen.catalogue["pmra"])


# ------------------------------------------------------------------------------------------------ cuts on errors

NOISY = {
    "n_stars": 2000,
    "distance_error": 0.15,
    "distance_error_spread": 0.7,
    "pm_error": "gaia-dr3",
    "pm_correlation": 0.3,
    "vlos_error": 5.0,
}


@pytest.fixture(scope="module")
def noisy():
    return observe(NOISY)


def velocity_errors(catalogue):
    return np.sqrt(np.einsum("nii->ni", catalogue.spherical_covariance))


def test_no_error_exceeds_its_limit_and_no_star_below_all_limits_is_lost(noisy):
    limits = [12.0, 60.0, 40.0]
    cut = observe({**NOISY, "error_max": limits})
    assert len(cut.catalogue) == 2000
    assert np.all(velocity_errors(cut.catalogue) < limits)
    good = np.all(velocity_errors(noisy.catalogue) < limits, axis=1)
    assert 0.2 < good.mean() < 0.95
    n = good.sum()
    for name in noisy.catalogue.columns:
        np.testing.assert_array_equal(cut.catalogue[name][:n], noisy.catalogue[name][good])
    np.testing.assert_array_equal(cut.stars.velocity[:n], noisy.stars.velocity[good])


def test_the_observer_may_draw_the_errors_of_velocities(noisy):
    """Of the same stars: nothing else of the observation changes."""
    drawn = observe({**NOISY, "propagation": "monte-carlo"})
    for name, values in noisy.catalogue.columns.items():
        np.testing.assert_array_equal(drawn.catalogue[name], values)
    ratio = velocity_errors(drawn.catalogue) / velocity_errors(noisy.catalogue)
    assert np.all(ratio != 1.0)
    assert np.all(np.abs(np.median(ratio, axis=0) - 1.0) < 0.1)


@pytest.mark.parametrize("component", range(3))
def test_each_limit_is_that_of_its_own_component(component):
    """Against Monte Carlo errors, where those to first order are nearly the same."""
    spec = {**NOISY, "distance_error": 0.05, "distance_error_spread": 0.3}
    everything = observe(spec).catalogue
    covariance = monte_carlo_covariance(everything, seeded(4), 1000)
    errors = np.sqrt(np.einsum("nii->in", covariance))
    limit = np.median(errors[component])
    limits = np.where(np.arange(3) == component, limit, np.inf).tolist()
    kept = np.isin(everything["ra"], observe({**spec, "error_max": limits}).catalogue["ra"])
    agree = np.mean(kept == (errors < limit), axis=1)
    assert agree[component] > 0.95  # the errors by Monte Carlo are good to 2 per cent
    assert np.delete(agree, component).max() < 0.9


def test_a_limit_that_no_star_meets_is_named(monkeypatch):
    monkeypatch.setattr(selection, "_HOPELESS_DRAWN", 20_000)
    with pytest.raises(InputError, match=r"the one that leaves fewest is error_max"):
        observe({**NOISY, "error_max": [1e-3, 100.0, 100.0], "r_min": 5.0})


def test_halo_stars_of_any_metallicity_far_from_the_plane():
    """Bird et al. (2020): abs(Z) > 5 kpc, or 2 < abs(Z) < 5 kpc and [Fe/H] < -1."""
    spec = {"n_stars": 5000, "feh_error": 0.1, "distance_error": 0.1}
    c = observe({**spec, "z_min": 2.0, "feh_max": -1.0, "z_any_feh": 5.0}).catalogue
    height = np.abs(c.position[:, 2])
    assert height.min() >= 2.0 - 1e-9
    assert np.all((c["feh"] <= -1.0) | (height >= 5.0 - 1e-9))
    for near in (True, False):
        assert np.sum((height < 5.0) == near) > 100
    assert c["feh"].max() > -0.5
    everything = observe({**spec, "n_stars": 3000}).catalogue
    z, feh = np.abs(everything.position[:, 2]), everything["feh"]
    wanted = (z >= 5.0) | ((z >= 2.0) & (feh <= -1.0))
    np.testing.assert_array_equal(c["ra"][: wanted.sum()], everything["ra"][wanted])


# ------------------------------------------------------------------------------------------------ abundances


def test_alpha_is_measured_and_origins_are_kept_with_the_true_stars():
    observation = observe(
        {"n_stars": 20_000, "alpha_fe_error": 0.05, "feh_error": 0.1, "z_min": 2.0}, Enriched()
    )
    c, stars = observation.catalogue, observation.stars
    pull = (c["alpha_fe"] - stars.alpha_fe) / 0.05
    assert stats.kstest(pull, "norm").pvalue > P_4SIGMA
    assert np.all(c["alpha_fe_err"] == 0.05)
    np.testing.assert_array_equal(stars.origin, stars.feh < -1.5)
    assert stars.origin.dtype == np.int16
    correlation = np.corrcoef(pull, (c["feh"] - stars.feh) / 0.1)[0, 1]
    assert abs(correlation) < 4 / np.sqrt(20_000)


class Poor(Halo):
    """Stars without [Fe/H] among those with it: this fraction."""

    def __init__(self, fraction):
        super().__init__()
        self.fraction = fraction

    def draw(self, n, rng):
        stars = super().draw(n, rng)
        stars.feh[: int(self.fraction * n)] = np.nan
        return stars


def test_abundances_that_no_star_has_are_left_out():
    observation = observe({"n_stars": 100, "feh_error": 0.1}, Poor(1.0))
    assert "feh" not in observation.catalogue
    assert "feh_err" not in observation.catalogue
    assert "alpha_fe" not in observation.catalogue


@pytest.mark.parametrize(
    ("fraction", "spec", "message"),
    [
        (0.5, {}, r"stars have no \[Fe/H\]: give it to every population"),
        (1.0, {"feh_max": -1.0}, r"feh_max needs \[Fe/H\]"),
        (0.1, {"distance_feh_correlation": 0.1}, r"distance_feh_correlation needs \[Fe/H\]"),
    ],
)
def test_missing_metallicities_are_refused_where_they_matter(fraction, spec, message):
    with pytest.raises(InputError, match=message):
        observe({"n_stars": 8000, **spec}, Poor(fraction))


def test_the_stars_of_one_realisation_come_from_one_sampler():
    class Counting(Halo):
        samplers = 0

        def sampler(self, rng):
            self.samplers += 1
            return super().sampler(rng)

    halo = Counting()
    observe({"n_stars": 50_000}, halo)
    assert halo.samplers == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"distance_error_kind": "percent"}, r"survey\.distance_error_kind: .*'fraction'"),
        ({"distance_error": 2.3, "distance_error_kind": "modulus"}, "distance_error is in magnitu"),
        ({"distance_error": 1.2}, "distance_error is a fraction"),
        ({"distance_error_spread": -0.1}, "distance_error_spread must be"),
        ({"distance_scale": 1e300}, r"distance_scale must be 0.01 to 100"),
        ({"vlos_offset": 1e300}, "vlos_offset must be within"),
        ({"pm_error": 1e300}, "pm_error must be 0 to"),
        ({"feh_error": 21.0}, "feh_error must be 0 to 20"),
        ({"distance_feh_correlation": 1.0}, "distance_feh_correlation must be"),
        ({"vlos_error": {"magnitudes": [18.0]}}, r"survey\.vlos_error: setting 'errors'"),
        ({"vlos_error": [4.0, 15.0]}, r"survey\.vlos_error: expected a number or a table"),
        ({"alpha_fe_error": -1.0}, "alpha_fe_error must be"),
        ({"error_max": 100.0}, r"survey\.error_max: expected a list"),
        ({"error_max": [100.0, 100.0]}, r"survey\.error_max"),
        ({"error_max": [100.0, 0.0, 100.0]}, "error_max must be > 0"),
        ({"error_max": [9.0, 9.0, 9.0], "vlos_known": False}, "need line-of-sight velocities"),
        ({"propagation": "monte-carlo", "vlos_known": False}, "need line-of-sight velocities"),
        ({"propagation": "monte carlo"}, "propagation"),
        ({"z_any_feh": -1.0}, "z_any_feh must be"),
        ({"completeness": 0.5}, r"survey\.completeness: expected a table"),
        ({"completeness": {"minimum": 2.0}}, r"survey\.completeness: need 0 <= minimum"),
        ({"footprint": {"discs": [[10.0, 20.0]]}}, r"survey\.footprint\.discs"),
    ],
)
def test_unusable_settings_are_refused_in_one_line(spec, message):
    with pytest.raises(InputError, match=message) as caught:
        make_survey(spec)
    assert "\n" not in str(caught.value)
