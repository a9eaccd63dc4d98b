import numpy as np
import pytest
from scipy import stats
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.mocks.surveys.luminosity import (
    GaussianLuminosity,
    HorizontalBranchLuminosity,
    PowerLawLuminosity,
    make_luminosity,
)

#: Kolmogorov-Smirnov probability of a 4 sigma event.
P_4SIGMA = 6.3e-5


def uniform(n=50_000, seed=3):
    return seeded(seed).random(n)


@pytest.mark.parametrize("slope", [0.32, -0.5, 0.0, 1e-9, 3.0])
def test_power_law_counts_follow_its_integral(slope):
    magnitude = PowerLawLuminosity(slope, -3.0, 2.0).absolute_magnitude(uniform())

    def cumulative(m):
        if abs(slope) < 1e-6:
            return (m + 3.0) / 5.0
        return (10 ** (slope * m) - 10 ** (-3.0 * slope)) / (
            10 ** (2.0 * slope) - 10 ** (-3.0 * slope)
        )

    assert magnitude.min() >= -3.0
    assert magnitude.max() <= 2.0
    assert stats.kstest(magnitude, cumulative).pvalue > P_4SIGMA


def test_steeper_luminosity_function_is_told_apart():
    magnitude = PowerLawLuminosity(0.36, -3.0, 2.0).absolute_magnitude(uniform())
    wanted = PowerLawLuminosity(0.32, -3.0, 2.0).absolute_magnitude(uniform(seed=4))
    assert stats.ks_2samp(magnitude, wanted).pvalue < P_4SIGMA


def test_gaussian_magnitudes():
    magnitude = GaussianLuminosity(0.6, 0.15).absolute_magnitude(uniform())
    assert stats.kstest(magnitude, stats.norm(0.6, 0.15).cdf).pvalue > P_4SIGMA
    edge = GaussianLuminosity(0.6, 0.15).absolute_magnitude(np.array([0.0, 1.0 - 2.0**-53]))
    assert np.isfinite(edge).all()


def test_horizontal_branch_follows_the_polynomial_of_its_colour():
    u = uniform(1000)
    x = -0.25 + 0.2 * u
    expected = 0.434 - 0.169 * x + 2.319 * x**2 + 20.449 * x**3 + 94.517 * x**4
    magnitude = HorizontalBranchLuminosity(-0.25, -0.05).absolute_magnitude(u)
    np.testing.assert_allclose(magnitude, expected, rtol=1e-13)


def test_tables_choose_the_kind():
    spec = {"kind": "gaussian", "mean": 0.6, "sigma": 0.15}
    assert make_luminosity(spec) == GaussianLuminosity(0.6, 0.15)
    with pytest.raises(InputError, match=r"survey\.luminosity: .*'power-law'"):
        make_luminosity({"kind": "powerlaw"})


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (PowerLawLuminosity, {"m_min": 2.0, "m_max": 2.0}, "m_min < m_max"),
        (PowerLawLuminosity, {"m_max": np.inf}, "m_min < m_max"),
        (PowerLawLuminosity, {"slope": np.nan}, "slope"),
        (PowerLawLuminosity, {"slope": 1000.0}, "slope"),
        (GaussianLuminosity, {"mean": 0.6, "sigma": -0.1}, "sigma"),
        (GaussianLuminosity, {"mean": np.nan, "sigma": 0.1}, "mean"),
        (HorizontalBranchLuminosity, {"colour_max": 0.5}, "colour_min"),
        (HorizontalBranchLuminosity, {"colour_min": -0.1, "colour_max": -0.2}, "colour_min"),
    ],
)
def test_settings_out_of_range_are_refused(kind, settings, message):
    with pytest.raises(InputError, match=message):
        kind(**settings)
