"""Several populations in one potential: shares, rotation, chemistry, and the truth of each and of all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.contracts.frames import Sun, spherical_velocity
from haloassay.mocks import make_mock
from haloassay.mocks.chemistry import Abundance
from haloassay.mocks.moments import measured_moments
from haloassay.mocks.populations import spin
from haloassay.mocks.stars import Stars

TWO: dict[str, Any] = {
    "kind": "equilibrium",
    "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
    "density": {"kind": "power-law", "slope": -3.5},
    "r_range": [4.0, 120.0],
    "populations": [
        {
            "name": "mr",
            "beta": {"kind": "constant", "beta": 0.8},
            "fraction": {"r": [5.0, 20.0, 80.0], "share": [0.8, 0.6, 0.3]},
            "feh": {"mean": -1.2, "sigma": 0.25},
        },
        {
            "name": "mp",
            "beta": {"kind": "constant", "beta": 0.2},
            "rotation": -0.3,
            "feh": {"mean": [-1.6, -2.0], "sigma": 0.3, "r": [5.0, 50.0]},
            "alpha_fe": {"mean": 0.3, "sigma": 0.05},
        },
    ],
}
N = 400_000


@pytest.fixture(scope="module")
def mock() -> Any:
    return make_mock(TWO)


@pytest.fixture(scope="module")
def stars(mock: Any) -> Stars:
    return mock.sample(N, seeded(5))


def in_bin(stars: Stars, origin: int | None = None) -> Stars:
    inside = (stars.r >= 15.0) & (stars.r < 25.0)
    return stars.select(inside if origin is None else inside & (stars.origin == origin))


def test_shares_of_the_stars_follow_the_table(mock: Any, stars: Stars) -> None:
    assert [origin.name for origin in mock.origins] == ["mr", "mp"]
    for lo, hi in ((5.0, 10.0), (15.0, 25.0), (50.0, 100.0)):
        members = stars.origin[(stars.r >= lo) & (stars.r < hi)]
        truth = mock.truth.value("p_mr", r_lo=lo, r_hi=hi)
        assert np.mean(members == 0) == pytest.approx(
            truth, abs=4 * np.sqrt(truth * (1 - truth) / len(members))
        )
    assert mock.truth.value("p_mr", r_lo=19.9, r_hi=20.1) == pytest.approx(0.6, abs=1e-3)


@pytest.mark.parametrize("which", [None, "mr", "mp"])
def test_truth_of_each_population_and_of_all_is_that_of_the_stars(
    mock: Any, stars: Stars, which: str | None
) -> None:
    chosen = in_bin(stars, None if which is None else ["mr", "mp"].index(which))
    end = "" if which is None else f".{which}"
    velocity = spherical_velocity(chosen.position, chosen.velocity)
    n = len(chosen)

    def true(name: str) -> float:
        return mock.truth.value(name + end, r_lo=15.0, r_hi=25.0, stars=stars)

    for k, name in enumerate(("r", "theta", "phi")):
        sigma = velocity[:, k].std()
        assert velocity[:, k].mean() == pytest.approx(
            true(f"mean_v_{name}"), abs=4 * sigma / np.sqrt(n)
        )
        spread = (velocity[:, k] ** 2).std() / (2 * sigma) / np.sqrt(n)
        assert sigma == pytest.approx(true(f"sigma_{name}"), abs=4 * spread)
    assert chosen.feh.mean() == pytest.approx(
        true("feh_mean"), abs=4 * chosen.feh.std() / np.sqrt(n)
    )
    assert chosen.feh.std() == pytest.approx(true("feh_sigma"), rel=4 / np.sqrt(n), abs=0.0)


def test_rotation_is_prograde_where_negative_and_keeps_the_other_components(mock: Any) -> None:
    truth = mock.truth
    assert truth.value("mean_v_phi.mp", r_lo=15.0, r_hi=25.0) < -10.0
    assert truth.value("mean_v_phi.mr", r_lo=15.0, r_hi=25.0) == 0.0
    still = {
        **TWO,
        "populations": [TWO["populations"][0], {**TWO["populations"][1], "rotation": 0.0}],
    }
    at_rest = make_mock(still).truth
    where = {"r_lo": 15.0, "r_hi": 25.0}
    assert truth.value("sigma_r.mp", **where) == at_rest.value("sigma_r.mp", **where)
    square = truth.value("sigma_phi.mp", **where) ** 2 + truth.value("mean_v_phi.mp", **where) ** 2
    assert np.sqrt(square) == pytest.approx(at_rest.value("sigma_phi.mp", **where), rel=2e-3)


def test_dispersions_on_the_sky_of_the_truth_are_those_of_the_stars(
    mock: Any, stars: Stars
) -> None:
    chosen, sun = in_bin(stars), Sun()
    sight = chosen.position - sun.position
    outward = sight / np.linalg.norm(sight, axis=1)[:, None]
    east = np.cross([0.0, 0.0, 1.0], outward)
    east /= np.linalg.norm(east, axis=1)[:, None]
    found = {}
    axes = {"sigma_los": outward, "sigma_l": east, "sigma_b": np.cross(outward, east)}
    for name, axis in axes.items():
        v = np.sum(chosen.velocity * axis, axis=1)
        found[name] = mock.truth.value(name, r_lo=15.0, r_hi=25.0, stars=stars, sun=sun)
        spread = (v**2).std() / (2 * v.std()) / np.sqrt(len(chosen))
        assert v.std() == pytest.approx(found[name], abs=4 * spread)
    assert found["sigma_los"] < 0.97 * mock.truth.value("sigma_r", r_lo=15.0, r_hi=25.0)
    assert found["sigma_l"] < found["sigma_los"]


def test_alpha_is_known_of_those_who_have_it(stars: Stars) -> None:
    assert np.isnan(stars.alpha_fe[stars.origin == 0]).all()
    alpha = stars.alpha_fe[stars.origin == 1]
    assert alpha.mean() == pytest.approx(0.3, abs=4 * 0.05 / np.sqrt(len(alpha)))


def test_measured_moments_are_those_of_the_truth(mock: Any, stars: Stars) -> None:
    measured = measured_moments(stars, np.geomspace(5.0, 100.0, 11))
    r = np.array([8.0, 20.0, 60.0])
    truth = mock.truth.tracers
    np.testing.assert_allclose(measured.sigma(r, "r"), truth.sigma(r, "r"), rtol=0.015)
    np.testing.assert_allclose(measured.beta(r), truth.beta(r), atol=0.02)
    np.testing.assert_allclose(measured.density(r) / N, truth.density(r), rtol=0.05)
    with pytest.raises(InputError, match="at least two are needed"):
        measured_moments(stars.select(np.arange(60)), [5.0, 6.0, 100.0])


def test_numbers_as_fractions_mix_densities() -> None:
    spec = {
        **TWO,
        "populations": [
            {
                "name": "inner",
                "beta": 0.0,
                "density": {"kind": "power-law", "slope": -4.5},
                "fraction": 0.25,
            },
            {"name": "outer", "beta": 0.0},
        ],
    }
    mock = make_mock(spec)
    stars = mock.sample(100_000, seeded(1))
    assert np.mean(stars.origin == 0) == pytest.approx(0.25, abs=4 * np.sqrt(0.1875 / 1e5))
    near, far = (
        np.mean(stars.origin[(stars.r >= lo) & (stars.r < 1.5 * lo)] == 0) for lo in (4.0, 40.0)
    )
    assert near > 2 * far
    density = mock.truth.profile("density", [4.0, 8.0])
    slope = np.log(density[1] / density[0]) / np.log(2.0)
    assert -4.5 < slope < -3.6


def test_nothing_is_true_of_a_population_that_is_not_there() -> None:
    populations = [{"name": "mp", "beta": 0.2, "fraction": 0.5}, {"name": "rest", "beta": 0.0}]
    truth = make_mock({**TWO, "populations": populations}).truth
    for name in ("p_mr", "beta.mr"):
        assert np.isnan(truth.value(name, r_lo=15.0, r_hi=25.0))
    assert truth.value("beta.mp", r_lo=15.0, r_hi=25.0) == pytest.approx(0.2, abs=0.005)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"populations": None, "beta": 0.2, "method": "mixture"},
        {"populations": None, "beta": 0.2, "kind": "local-jeans-gaussian"},
    ],
    ids=["orbits", "mixture", "local-jeans-gaussian"],
)
def test_no_star_of_a_realisation_is_drawn_twice(change: dict[str, Any]) -> None:
    """Planted fault: a sampler that starts anew with every call, or gives each star twice."""
    spec = {key: value for key, value in {**TWO, **change}.items() if value is not None}
    draw = make_mock(spec).sampler(seeded(7))
    stars = np.concatenate([draw(2000).position for _ in range(3)])
    assert len(np.unique(stars, axis=0)) == 6000


def test_populations_come_in_no_order(stars: Stars) -> None:
    half = N // 2
    first, second = np.mean(stars.origin[:half] == 0), np.mean(stars.origin[half:] == 0)
    assert first == pytest.approx(second, abs=4 * np.sqrt(2 * 0.25 / half))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([-1.0, 1.0]))
def test_spin_keeps_speed_radial_motion_and_height(seed: int, sign: float) -> None:
    rng = seeded(seed)
    position, velocity = rng.normal(size=(2, 50, 3))
    turned = spin(position, velocity, np.ones(50, dtype=bool), sign)
    before = spherical_velocity(position, velocity)
    after = spherical_velocity(position, turned)
    np.testing.assert_allclose(after[:, :2], before[:, :2], atol=1e-12)
    np.testing.assert_allclose(after[:, 2], sign * np.abs(before[:, 2]), atol=1e-12)


@pytest.mark.parametrize(
    ("populations", "complaint"),
    [
        (
            [{"name": "a", "fraction": 0.6}, {"name": "b", "fraction": 0.5}],
            "must sum to 1 .got 1.1",
        ),
        ([{"name": "a", "fraction": 1.0}, {"name": "b"}], "must sum to less than 1"),
        ([{"name": "a"}, {"name": "b"}], "2 populations have no fraction"),
        ([{"name": "a", "fraction": 0.5}, {"name": "a", "fraction": 0.5}], "names must differ"),
        ([{"fraction": 0.5}], "'name' is missing"),
        ([], "expected a list"),
        ([{"name": "a", "spin": 3}], "unknown setting 'spin'"),
        ([{"name": "a", "rotation": 2.0}], "rotation must be in"),
        (
            [{"name": "a", "fraction": {"r": [5, 50], "share": [0.6, 1.4]}}, {"name": "b"}],
            "share must be within 0 and 1",
        ),
        (
            [
                {"name": "a", "fraction": {"r": [5, 50], "share": [0.6, 0.9]}},
                {"name": "b", "fraction": {"r": [5, 50], "share": [0.4, 0.4]}},
            ],
            "must sum to 1 at every radius",
        ),
        (
            [
                {"name": "a", "fraction": {"r": [5, 50], "share": [0.6, 0.9]}},
                {"name": "b", "density": {"kind": "power-law", "slope": -4.5}},
            ],
            "share one density",
        ),
    ],
)
def test_what_cannot_be_mixed_is_refused(populations: list[Any], complaint: str) -> None:
    spec = {**TWO, "beta": 0.3, "populations": populations}
    with pytest.raises(InputError, match=complaint):
        make_mock(spec)


def test_abundances_are_no_slips_of_the_pen() -> None:
    for change, complaint in (
        ({"r": (5.0, 50.0)}, "r needs mean or sigma as a list"),
        ({"mean": 1e300}, "mean must be -20 to 20 dex"),
        ({"sigma": 21.0}, "sigma must be 0 to 20 dex"),
    ):
        with pytest.raises(InputError, match=complaint):
            Abundance(**{"mean": -1.0, "sigma": 0.1, **change})


def test_unknown_settings_are_those_of_the_place_where_they_stand() -> None:
    for change, complaint in (
        ({"lcm": {"mass": 1e11}}, r"mock: unknown setting 'lcm'; did you mean 'lmc'"),
        ({"debri": []}, r"mock: unknown setting 'debri'; did you mean 'debris'"),
        (
            {"populations": [{**TWO["populations"][0], "bta": 0.1}]},
            r"mock\.populations\.0: unknown setting 'bta'",
        ),
    ):
        with pytest.raises(InputError, match=complaint):
            make_mock({**TWO, **change})


def test_abundances_say_what_is_wrong() -> None:
    with pytest.raises(InputError, match="one length"):
        Abundance((-1.0, -2.0), 0.3, (5.0,))
    with pytest.raises(InputError, match="rising"):
        Abundance((-1.0, -2.0), 0.3, (5.0, 4.0))
    with pytest.raises(InputError, match="sigma"):
        Abundance(-1.0, -0.3)


def test_an_intermediate_population_has_its_share_and_moments_in_the_truth() -> None:
    names = ("mr", "mi", "mp")
    betas = (0.8, 0.5, 0.1)
    three = {
        **TWO,
        "kind": "local-jeans-gaussian",
        "populations": [
            {"name": name, "beta": {"kind": "constant", "beta": beta}, "feh": {"mean": feh, "sigma": 0.2}}
            | ({} if name == "mp" else {"fraction": share})
            for name, beta, feh, share in zip(
                names, betas, (-1.1, -1.4, -1.8), (0.5, 0.2, 0.3), strict=True
            )
        ],
    }  # fmt: skip
    mock = make_mock(three)
    stars = mock.sample(20_000, seeded(6))
    where = {"r_lo": 15.0, "r_hi": 25.0}
    share = mock.truth.value("p_mi", **where)
    assert share == pytest.approx(0.2, abs=1e-9)
    found = np.mean(in_bin(stars).origin == 1)
    assert found == pytest.approx(share, abs=4 * np.sqrt(0.16 / len(in_bin(stars))))
    for name, beta in zip(names, betas, strict=True):
        assert mock.truth.value(f"beta.{name}", **where) == pytest.approx(beta, abs=1e-6)
    assert mock.truth.value("feh_mean.mi", **where) == pytest.approx(-1.4)
    assert np.isnan(
        make_mock({**three, "populations": three["populations"][::2]}).truth.value("p_mi", **where)
    )
