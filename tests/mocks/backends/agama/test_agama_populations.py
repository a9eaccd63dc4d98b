"""Several populations of agama's in one potential: shares, the truth of each and of all, and over the sky."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agama_halos import HALO, HERNQUIST_TRACERS, LACKING, RANGE, TRIAXIAL, needs_solver
from seeds import resized, seeded

from haloassay.base.errors import EquilibriumError, UsedUpError
from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks import make_mock
from haloassay.mocks.backends.agama.schwarzschild import SchwarzschildMock
from haloassay.mocks.moment_map import MomentMap
from haloassay.mocks.stars import Stars

pytest.importorskip("agama", reason="agama is not installed: its tests are left out")
pytestmark = pytest.mark.agama

TURNING = {
    "kind": "double-power-law",
    "j0": 3000.0,
    "slope_in": 2.0,
    "slope_out": 5.0,
    "rot_frac": -0.6,
}
ORBITS = {"kind": "schwarzschild", "orbits": 600, "periods": 15, "shells": 6, "drift_time": 0.2}
BASE: dict[str, Any] = {
    "kind": "agama",
    "potential": HALO,
    "density": HERNQUIST_TRACERS,
    "r_range": RANGE,
}
N = 60_000
#: Of the stars of an orbit library.
SHARE = 0.25


def halo(*populations: dict[str, Any], **others: Any) -> Any:
    return make_mock(BASE | others | {"populations": list(populations)})


def moments(stars: Stars) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Means and dispersions (3,) of spherical velocities, and their Monte Carlo errors."""
    v = spherical_velocity(stars.position, stars.velocity)
    sigma, n = v.std(axis=0), len(v)
    fourth = ((v - v.mean(axis=0)) ** 4).mean(axis=0) / sigma**4
    return v.mean(axis=0), sigma, sigma / np.sqrt(n), 0.5 * sigma * np.sqrt((fourth - 1.0) / n)


@pytest.fixture(scope="module")
def mock() -> Any:
    """A quasi-spherical population and one of actions that turns."""
    mr = {"name": "mr", "beta": 0.4, "fraction": 0.3, "feh": {"mean": -1.2, "sigma": 0.2}}
    alpha = {"mean": 0.3, "sigma": 0.05}
    mp = {"name": "mp", "distribution": TURNING, "alpha_fe": alpha}
    return halo(mr, mp, feh={"mean": -1.7, "sigma": 0.3})


@pytest.fixture(scope="module")
def stars(mock: Any) -> Stars:
    return mock.sample(N, seeded(5))


def test_shares_are_those_of_the_fractions_and_of_p_mr(mock: Any, stars: Stars) -> None:
    assert [origin.name for origin in mock.origins] == ["mr", "mp"]
    assert len(stars) == N
    is_mr = stars.origin == 0
    assert np.mean(is_mr) == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / N))
    for lo, hi in ((4.0, 8.0), (12.0, 20.0), (30.0, 50.0)):
        members = is_mr[(stars.r >= lo) & (stars.r < hi)]
        truth = mock.truth.value("p_mr", r_lo=lo, r_hi=hi)
        error = np.sqrt(truth * (1.0 - truth) / len(members))
        assert np.mean(members) == pytest.approx(truth, abs=4 * error)


@pytest.mark.parametrize("which", [None, "mr", "mp"])
def test_truth_of_each_and_of_all_is_that_of_the_stars(
    mock: Any, stars: Stars, which: str | None
) -> None:
    end = "" if which is None else f".{which}"
    for lo, hi in ((6.0, 10.0), (15.0, 25.0)):
        inside = (stars.r >= lo) & (stars.r < hi)
        if which is not None:
            inside &= stars.origin == ["mr", "mp"].index(which)
        chosen = stars.select(inside)
        mean, sigma, mean_error, sigma_error = moments(chosen)

        def true(name: str, end: str = end, lo: float = lo, hi: float = hi) -> float:
            return mock.truth.value(name + end, r_lo=lo, r_hi=hi, stars=stars)

        for k, component in enumerate(("r", "theta", "phi")):
            assert mean[k] == pytest.approx(true(f"mean_v_{component}"), abs=4 * mean_error[k])
            # agama's moments are good to 0.002
            limit = 4 * sigma_error[k] + 2e-3 * sigma[k]
            assert sigma[k] == pytest.approx(true(f"sigma_{component}"), abs=limit)
        spread = chosen.feh.std()
        assert chosen.feh.mean() == pytest.approx(
            true("feh_mean"), abs=4 * spread / np.sqrt(len(chosen))
        )
        assert spread == pytest.approx(true("feh_sigma"), rel=4 / np.sqrt(2 * len(chosen)))
    assert mock.truth.value("mean_v_phi.mr", r_lo=6.0, r_hi=10.0) == 0.0
    assert mock.truth.value("mean_v_phi.mp", r_lo=6.0, r_hi=10.0) < -20.0


def test_chemistry_is_the_mocks_own_where_an_entry_has_none(stars: Stars) -> None:
    mr, mp = (stars.select(stars.origin == k) for k in (0, 1))
    assert mr.feh.mean() == pytest.approx(-1.2, abs=4 * 0.2 / np.sqrt(len(mr)))
    assert mp.feh.mean() == pytest.approx(-1.7, abs=4 * 0.3 / np.sqrt(len(mp)))
    assert np.isnan(mr.alpha_fe).all()
    assert mp.alpha_fe.std() == pytest.approx(0.05, rel=4 / np.sqrt(2 * len(mp)))


def test_draws_are_in_random_order_and_those_of_their_seed(mock: Any) -> None:
    draw, again = (mock.sampler(seeded(1)) for _ in range(2))
    first = draw(4000)
    np.testing.assert_array_equal(first.position, again(4000).position)
    half = np.mean(first.origin[:2000]) - np.mean(first.origin[2000:])
    assert abs(half) < 4 * np.sqrt(2 * 0.21 / 2000)
    assert not np.any(np.isin(draw(4000).position[:, 0], first.position[:, 0]))
    assert len(draw(0)) == 0


def test_nothing_is_stored(mock: Any) -> None:
    assert mock.prepare() == {}
    assert mock.number is None
    assert mock.truth.local is None


def test_a_mixture_is_that_of_our_own_equilibria() -> None:
    """Shares and moments of all stars, against populations that share no code with agama's."""
    populations = [
        {"name": "mr", "beta": 0.5, "fraction": 0.4, "density": {"kind": "hernquist", "a": 6.0}},
        {"name": "mp", "beta": -0.3},
    ]
    theirs, ours = (
        make_mock(BASE | {"kind": kind, "populations": populations}).truth
        for kind in ("agama", "equilibrium")
    )
    r = np.array([5.0, 12.0, 30.0])
    for name in ("sigma_r", "sigma_theta"):
        np.testing.assert_allclose(theirs.profile(name, r), ours.profile(name, r), rtol=5e-3)
    np.testing.assert_allclose(theirs.profile("beta", r), ours.profile("beta", r), atol=0.01)
    for where in ({"r_lo": 4.0, "r_hi": 8.0}, {"r_lo": 20.0, "r_hi": 40.0}):
        assert theirs.value("p_mr", **where) == pytest.approx(ours.value("p_mr", **where), abs=5e-3)


def test_a_list_of_one_has_the_stars_of_none() -> None:
    alone = make_mock(BASE | {"beta": 0.3, "name": "mr"})
    listed = halo({"name": "mr"}, beta=0.3)
    np.testing.assert_array_equal(
        *(mock.sample(500, seeded(1)).velocity for mock in (alone, listed))
    )


def test_a_population_that_cannot_be_is_named() -> None:
    mock = halo(
        {"name": "mr", "fraction": 0.5},
        {"name": "mp", "density": {"kind": "plummer", "a": 15.0}},
        beta=0.0,
        r_range=[1.0, 60.0],
    )
    for call in (mock.check, mock.prepare, lambda: mock.truth):
        with pytest.raises(EquilibriumError, match=r"^population 'mp': agama finds no quasi-sph"):
            call()


@pytest.fixture(scope="module")
def beside() -> Any:
    """A flattened population of an orbit library beside a round one of a distribution function."""
    if LACKING:
        pytest.skip(LACKING)
    flat = ORBITS | {"axis_ratios": [1.0, 0.5], "size": resized(8000)}
    mr = {"name": "mr", "distribution": flat, "fraction": SHARE}
    mp = {"name": "mp", "beta": 0.5, "feh": {"mean": -1.7, "sigma": 0.2}}
    return halo(mr, mp, tolerance=0.05)


@pytest.fixture(scope="module")
def flattened(beside: Any) -> Stars:
    return beside.sample(20_000, seeded(1))


def test_it_says_what_is_stored(beside: Any) -> None:
    told = beside.prepare()
    assert beside.number == 8000 / SHARE
    assert list(told["drift"]) == ["mr"]
    assert told["phases"] == beside.members[0].population.phases
    assert told["population"] == int(beside.members[0].population.size / SHARE)


def test_truth_in_shells_is_that_of_the_stars(beside: Any, flattened: Stars) -> None:
    lo, hi = 8.0, 24.0
    inside = flattened.select((flattened.r >= lo) & (flattened.r < hi))
    share = beside.truth.value("p_mr", r_lo=lo, r_hi=hi, stars=flattened)
    # the shells of the stored stars know their share no better than those do
    error = np.sqrt(share * (1.0 - share) / len(inside))
    assert np.mean(inside.origin == 0) == pytest.approx(share, abs=4 * np.sqrt(2.0) * error)
    _, sigma, _, sigma_error = moments(inside)
    for k, component in enumerate(("r", "theta", "phi")):
        name = f"sigma_{component}"
        truth = beside.truth.value(name, r_lo=lo, r_hi=hi, stars=flattened)
        assert sigma[k] == pytest.approx(truth, abs=4 * np.sqrt(2.0) * sigma_error[k])


def test_the_map_is_of_all_stars_at_their_shares(beside: Any, flattened: Stars) -> None:
    """Against the maps of each population alone, weighed by hand."""
    local = beside.truth.local
    own = beside.members[0].population.stars
    other = beside.members[1].sample(60_000, seeded(2))
    number, second = 0.0, 0.0
    for stars, share in ((own, SHARE), (other, 1.0 - SHARE)):
        pixels = MomentMap.of(stars, local.edges).pixels
        weight = pixels.number * (share / len(stars))
        number, second = number + weight, second + weight[:, :, None] * pixels.second
    n = local.pixels.number
    expected = n.sum() * number / number.sum()
    assert excess((n - expected) / np.sqrt(expected)) < 4.0
    # relative scatter of the squares of velocities
    v2 = spherical_velocity(flattened.position, flattened.velocity) ** 2
    spread = v2.std(axis=0) / v2.mean(axis=0) / np.sqrt(n[:, :, None])
    second = second / number[:, :, None]
    assert excess((local.pixels.second / second - 1.0) / spread) < 4.0


def excess(deviates: np.ndarray) -> float:
    """Sum of squares of independent standard deviates beyond their number, in its standard deviations."""
    return float((np.sum(deviates**2) - deviates.size) / np.sqrt(2.0 * deviates.size))


def test_it_is_used_up_by_name(beside: Any) -> None:
    draw = beside.sampler(seeded(3))
    drawn = Stars.concatenate([draw(5000), draw(100_000)])
    is_mr = drawn.origin == 0
    size = beside.members[0].population.size
    assert np.count_nonzero(is_mr) == size == len(np.unique(drawn.position[is_mr], axis=0))
    scatter = np.sqrt(size * (1.0 - SHARE)) / SHARE
    assert abs(len(drawn) - size / SHARE) < 4 * scatter
    assert len(draw(0)) == 0
    for n in (1, 100):
        with pytest.raises(
            UsedUpError, match=f"^population 'mr': its {size} stored stars are used"
        ):
            draw(n)


@needs_solver
def test_two_orbit_libraries_share_a_field() -> None:
    """A triaxial one; the smaller population runs out first, and no star of either comes twice."""
    axes = {"axis_ratios": [0.8, 0.6], "tilt": TRIAXIAL["tilt"]}
    mock = halo(
        {"name": "mr", "distribution": ORBITS | axes | {"size": resized(4000)}},
        {"name": "mp", "distribution": ORBITS | axes | {"size": resized(1500)}, "fraction": 0.5},
        potential=TRIAXIAL,
        tolerance=0.1,
    )
    assert list(mock.prepare()["drift"]) == ["mr", "mp"]
    sizes = [member.population.size for member in mock.members]
    draw = mock.sampler(seeded(3))
    drawn = Stars.concatenate([draw(1000), draw(9000)])
    numbers = np.bincount(drawn.origin)
    assert numbers[1] == sizes[1]
    assert abs(numbers[0] - numbers[1]) < 4 * np.sqrt(2 * sizes[1]) < sizes[0] - sizes[1]
    assert len(np.unique(drawn.position, axis=0)) == len(drawn)
    with pytest.raises(UsedUpError, match=r"^population 'mp': its .* stars are used up"):
        draw(1)
    error = 0.25 * np.sqrt(1.0 / sizes[0] + 1.0 / sizes[1])
    assert mock.truth.value("p_mr", r_lo=5.0, r_hi=40.0) == pytest.approx(0.5, abs=4 * error)


def test_other_shares_are_of_the_same_stars(beside: Any, monkeypatch) -> None:
    made = beside.members[0].population.stars
    monkeypatch.setattr(SchwarzschildMock, "_make", None)
    spec = ORBITS | {"axis_ratios": [1.0, 0.5], "size": resized(8000)}
    other = halo(
        {"name": "mr", "distribution": spec, "fraction": 0.8},
        {"name": "mp", "beta": 0.0},
        tolerance=0.05,
    )
    np.testing.assert_array_equal(other.members[0].population.stars.feh, made.feh)
