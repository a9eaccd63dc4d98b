"""Tracer densities: slopes are derivatives, published forms, bad settings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from haloassay.base import kinds
from haloassay.base.errors import InputError
from haloassay.mocks.equilibria.tracers import make_density

SPECS = [
    {"kind": "power-law", "slope": -4.0},
    {"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17.0]},
    {"kind": "broken-power-law", "slopes": [-1.7, -3.09, -4.58], "breaks": [12.0, 28.0]},
    {"kind": "einasto", "n": 3.1, "r_eff": 15.0},
    {"kind": "plummer", "a": 10.0},
    {"kind": "hernquist", "a": 10.0},
    {"kind": "nfw", "r_s": 10.0},
    {"kind": "table", "r": [1.0, 5.0, 20.0, 100.0], "rho": [10.0, 1.0, 0.02, 1e-5]},
]


def test_every_kind_is_swept() -> None:
    assert {spec["kind"] for spec in SPECS} == set(kinds.names("densities"))


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s["kind"])
def test_slope_is_the_derivative(spec: dict[str, object]) -> None:
    density = make_density(spec)
    x, h = np.log(np.geomspace(0.1, 1000.0, 77)), 1e-5
    numeric = (density.log_density(np.exp(x + h)) - density.log_density(np.exp(x - h))) / (2 * h)
    np.testing.assert_allclose(density.slope(np.exp(x)), numeric, rtol=0, atol=1e-5)
    assert density.slope(np.ones((2, 3))).shape == (2, 3)
    assert density.log_density(3.0).shape == ()


def test_triple_power_law_has_its_slopes_between_sharp_breaks() -> None:
    density = make_density({**SPECS[2], "width": 0.0})
    np.testing.assert_array_equal(density.slope([5.0, 20.0, 100.0]), [-1.7, -3.09, -4.58])


def test_einasto_effective_radius_holds_half_of_the_mass() -> None:
    """Xue et al. (2015): n 3.1, r_eff 15 kpc. The expansion of d_n is good to 1e-4 in mass."""
    density = make_density(SPECS[3])

    def mass(lo: float, hi: float) -> float:
        return float(quad(lambda r: r * r * np.exp(density.log_density(r)), lo, hi)[0])

    inside, outside = mass(0.0, 15.0), mass(15.0, np.inf)
    assert inside / (inside + outside) == pytest.approx(0.5, abs=1e-4)
    assert float(density.log_density(15.0)) == pytest.approx(0.0, abs=1e-14)


def test_table_passes_through_its_points_and_goes_on_as_power_laws() -> None:
    density = make_density(SPECS[-1])
    np.testing.assert_allclose(
        density.log_density(SPECS[-1]["r"]), np.log(SPECS[-1]["rho"]), rtol=1e-13
    )
    for end, far in ((100.0, 1e4), (1.0, 1e-2)):
        gain = density.log_density(far) - density.log_density(end)
        assert float(gain / np.log(far / end)) == pytest.approx(float(density.slope(end)))
    dense = np.geomspace(1.0, 100.0, 500)
    assert np.all(np.diff(density.log_density(dense)) < 0.0)


@settings(max_examples=40, deadline=None)
@given(st.floats(-8.0, -0.5), st.floats(1e-3, 1e4), st.floats(1e-3, 1e4))
def test_power_law_scales_freely(slope: float, r1: float, r2: float) -> None:
    density = make_density({"kind": "power-law", "slope": slope})
    gain = float(density.log_density(r2) - density.log_density(r1))
    assert gain == pytest.approx(slope * np.log(r2 / r1), abs=1e-11)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "power-law", "slope": 4.0}, "slope must be negative"),
        ({"kind": "broken-power-law", "slopes": [-2.0, -3.0], "breaks": []}, "one more than"),
        ({"kind": "broken-power-law", "slopes": [-2.0, -3.0], "breaks": [-1.0]}, "breaks must be"),
        (
            {"kind": "broken-power-law", "slopes": [-2.0, -3.0, -4.0], "breaks": [20.0, 10.0]},
            "breaks must rise",
        ),
        (
            {"kind": "broken-power-law", "slopes": [-2.0, -3.0], "breaks": [9.0], "width": -0.1},
            "width must be",
        ),
        ({"kind": "einasto", "n": 0.0, "r_eff": 15.0}, "n must be at least"),
        ({"kind": "einasto", "n": 3.0, "r_eff": 0.0}, "r_eff must be positive"),
        ({"kind": "plummer", "a": -2.0}, "a must be positive"),
        ({"kind": "table", "r": [1.0, 2.0], "rho": [1.0]}, "one length"),
        ({"kind": "table", "r": [1.0], "rho": [1.0]}, "at least 2"),
        ({"kind": "table", "r": [2.0, 1.0], "rho": [1.0, 1.0]}, "r must rise"),
        ({"kind": "table", "r": [1.0, 2.0], "rho": [1.0, 0.0]}, "rho must be positive"),
        ({"kind": "powerlaw", "slope": -4.0}, "did you mean 'power-law'"),
        ({"kind": "power-law", "slope": "steep"}, "slope"),
    ],
)
def test_bad_settings_are_refused_by_name(spec: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make_density(spec, "mock.density")
    assert str(caught.value).startswith("mock.density")
