"""Shapes, relaxation, the test of stationarity, and stored populations."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import seeded, shifted

from haloassay.base.arrays import IntArray
from haloassay.base.errors import InputError
from haloassay.base.settings import build
from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks.equilibria.anisotropy import make_anisotropy
from haloassay.mocks.equilibria.equilibrium import OrbitSuperposition
from haloassay.mocks.equilibria.relaxation import (
    DriftWarning,
    PopulationSettings,
    relax,
    relaxed_population,
    shaped,
)
from haloassay.mocks.equilibria.stationarity import QUANTITIES, stationarity
from haloassay.mocks.equilibria.stored_population import StoredPopulation
from haloassay.mocks.equilibria.tracers import make_density
from haloassay.mocks.gravity.fields import MovingBody, make_field
from haloassay.mocks.gravity.potentials import Plummer, make_potential
from haloassay.mocks.gravity.shapes import Shape, rotation_matrix, tilt_of
from haloassay.mocks.stars import Stars, orient
from haloassay.mocks.uniforms import Uniforms, counted

HALO = make_potential({"kind": "nfw", "m200": 0.8e12, "c": 15.0})
TRIAXIAL = make_potential(
    {"kind": "triaxial-nfw", "m200": 0.8e12, "c": 15.0, "axis_ratios": [0.8, 0.6]}
)
INSIDE = (3.0, 40.0)


@pytest.fixture(scope="module")
def solved() -> OrbitSuperposition:
    """A round equilibrium that reaches well beyond the shells that are looked at."""
    density = make_density({"kind": "power-law", "slope": -3.5})
    beta = make_anisotropy({"kind": "constant", "beta": 0.5})
    return OrbitSuperposition.solve(HALO, density, beta, 0.5, 200.0)


@pytest.fixture(scope="module")
def base(solved: OrbitSuperposition) -> Callable[[np.random.Generator], Callable[[int], Stars]]:
    def sampler(rng: np.random.Generator) -> Callable[[int], Stars]:
        uniforms = Uniforms.of(rng)

        def stars(number: IntArray) -> Stars:
            of = uniforms, number
            return Stars.of(*orient(*solved.sample(*of), *of), number=number)

        return counted(stars)

    return sampler


def reaching(stars: Stars) -> Stars:
    """Those that come to 2 kpc: half of all, which take most of the time, never see the shells."""
    energy = 0.5 * np.sum(stars.velocity**2, axis=1) + HALO.potential(stars.r)
    return stars.select(energy > HALO.potential(2.0))


def ball(n: int, seed: int = 1) -> Stars:
    """A round Gaussian cloud that is at rest and isotropic."""
    rng = seeded(seed)
    return Stars.of(rng.normal(0.0, 10.0, (n, 3)), rng.normal(0.0, 100.0, (n, 3)))


def moment(result: object, quantity: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    q = QUANTITIES.index(quantity)
    return result.before[q], result.after[q], result.drift[q]  # type: ignore[attr-defined]


@given(
    st.floats(0.1, 1.0), st.floats(0.1, 1.0), st.lists(st.floats(-180, 180), min_size=3, max_size=3)
)
@settings(max_examples=30, deadline=None)
def test_shaping_keeps_volume_and_is_undone_by_its_axes(
    b: float, c: float, tilt: list[float]
) -> None:
    stars = ball(20)
    shape = Shape((b, c), (tilt[0], tilt[1], tilt[2]))
    assert np.allclose(np.prod(shape.lengths(stars.r), axis=1), 1.0)
    body = shape.of(stars).position @ rotation_matrix(shape.tilt)
    np.testing.assert_allclose(body / shape.lengths(stars.r), stars.position, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "tilt", [(0.0, 0.0, 0.0), (25.0, 40.0, 10.0), (170.0, -80.0, -100.0), (30.0, 90.0, 20.0)]
)
def test_angles_of_a_rotation_make_it_again(tilt: tuple[float, float, float]) -> None:
    rotation = rotation_matrix(tilt)
    np.testing.assert_allclose(rotation_matrix(tilt_of(rotation)), rotation, atol=1e-15)


def test_axes_of_a_population_are_not_swapped_and_its_tilt_has_the_right_sign() -> None:
    """Planted faults: b/a and c/a exchanged; the rotation transposed."""
    n = 200_000
    for tilt, first, second in (
        ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        ((30.0, 0.0, 0.0), (0.8660254, 0.5, 0.0), (-0.5, 0.8660254, 0.0)),
        ((0.0, 30.0, 0.0), (0.8660254, 0.0, -0.5), (0.0, 1.0, 0.0)),
    ):
        stars = Shape((0.8, 0.5), tilt).of(ball(n))
        for coordinates in (stars.position, stars.velocity):
            assert np.sum(stars.velocity**2) == pytest.approx(3 * 100.0**2 * n, rel=0.01)
            spread = coordinates.T @ coordinates / n
            third = np.cross(first, second)
            a2, b2, c2 = (np.array(e) @ spread @ np.array(e) for e in (first, second, third))
            # a ratio is known to 1 / sqrt(n), and there are twelve
            assert np.sqrt(b2 / a2) == pytest.approx(0.8, abs=5 * 0.8 / np.sqrt(n))
            assert np.sqrt(c2 / a2) == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(n))


def test_tilt_of_a_round_population_has_no_effect_on_its_shape() -> None:
    stars = Shape((1.0, 1.0), (40.0, 50.0, 60.0)).of(ball(20))
    np.testing.assert_allclose(stars.r, ball(20).r)


def test_axis_ratios_may_change_with_radius() -> None:
    shape = build(
        Shape, {"axis_ratios": {"r": [10.0, 40.0], "b_a": [0.6, 1.0], "c_a": [0.4, 0.8]}}, "shape"
    )
    lengths = shape.lengths([1.0, 20.0, 1000.0])
    np.testing.assert_allclose(lengths[:, 1] / lengths[:, 0], [0.6, 0.8, 1.0])
    np.testing.assert_allclose(lengths[:, 2] / lengths[:, 0], [0.4, 0.6, 0.8])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"axis_ratios": [0.0, 0.5]}, r"shape: axis ratios .* \(0, 1\]"),
        ({"axis_ratios": [1.2, 0.5]}, "name that one first"),
        ({"axis_ratios": [-0.5, 0.5]}, "got -0.5"),
        ({"axis_ratios": {"r": [1.0], "b_a": [1.0], "c_a": [1.0]}}, "two or more"),
        ({"axis_ratios": {"r": [2.0, 1.0], "b_a": [1.0, 1.0], "c_a": [1.0, 1.0]}}, "r must rise"),
        ({"axis_ratios": {"r": [1.0, 2.0], "b_a": [1.0, 2.0], "c_a": [1.0, 1.0]}}, "got 2"),
    ],
)
def test_bad_shapes_are_refused(spec: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(Shape, spec, "shape")


def test_each_origin_has_its_own_shape() -> None:
    stars = ball(20_000)
    stars = Stars.of(stars.position, stars.velocity, origin=np.arange(20_000) % 3)
    out = shaped(stars, {1: Shape((1.0, 0.5)), 2: Shape((0.5, 1.0))})
    np.testing.assert_array_equal(out.origin, stars.origin)
    np.testing.assert_array_equal(out.position[::3], stars.position[::3])
    for origin, ratios in ((1, (1.0, 0.5)), (2, (0.5, 1.0))):
        spread = out.position[origin::3].std(axis=0)
        assert spread[1] / spread[0] == pytest.approx(ratios[0], rel=0.05)
        assert spread[2] / spread[0] == pytest.approx(ratios[1], rel=0.05)


def test_round_equilibrium_stays_as_it_is(base: Callable) -> None:
    """The spherical limit: nothing drifts, and the moments are those that were drawn."""
    rng = seeded(4)
    stars = reaching(base(rng)(3000))
    settings_ = PopulationSettings(size=3000, time=0.5, drift_time=0.5, tolerance=1e-5)
    relaxed = relax(stars, make_field(HALO), settings_, Uniforms.of(rng), r_range=INSIDE)
    assert relaxed.lost == 0
    result = relaxed.stationarity[0]
    assert result.complaint is None
    mixed = stationarity(stars, relaxed.stars, np.eye(3), INSIDE, 0.5)
    assert mixed.complaint is None
    # drift in units of noise is a standard normal, within four sigma of its scatter
    squares = np.concatenate([result.drift.ravel(), mixed.drift.ravel()]) ** 2
    assert squares.mean() == pytest.approx(1.0, abs=4 * np.sqrt(2 / (squares.size / 2)))
    # beta is still a half: sigma_theta^2 + sigma_phi^2 = sigma_r^2
    inside = (relaxed.stars.r > INSIDE[0]) & (relaxed.stars.r < INSIDE[1])
    v = spherical_velocity(relaxed.stars.position, relaxed.stars.velocity)[inside]
    balance = v[:, 1] ** 2 + v[:, 2] ** 2 - v[:, 0] ** 2
    assert abs(balance.mean()) < 4.0 * balance.std() / np.sqrt(len(balance))


def test_drift_of_what_is_not_mixed_is_noticed(base: Callable) -> None:
    rng = seeded(5)
    stars = cold(base(rng)(3000))
    settings_ = PopulationSettings(size=3000, time=0.01, drift_time=0.1, tolerance=1e-5)
    relaxed = relax(stars, make_field(HALO), settings_, Uniforms.of(rng), r_range=INSIDE)
    complaint = relaxed.stationarity[0].complaint
    assert complaint is not None
    assert "times its noise" in complaint


def test_noise_is_that_of_repeated_draws(base: Callable) -> None:
    """The influence functions against the scatter of drifts over independent populations."""
    squares = []
    for seed in range(60):
        draw = base(seeded(seed))
        stars, others = draw(3000), draw(1500)
        # half of them stay, half are others: what is later depends on what was before
        later = Stars.concatenate([stars.select(slice(1500)), others])
        squares.append(
            np.mean(stationarity(stars, later, np.eye(3), INSIDE, 1.0).drift ** 2, axis=1)
        )
    mean, error = np.mean(squares, axis=0), np.std(squares, axis=0) / np.sqrt(len(squares))
    assert np.all(np.abs(mean - 1.0) < 4 * error)


def cold(stars: Stars) -> Stars:
    """The same stars too slow to stay where they are."""
    return Stars.of(stars.position, 0.3 * stars.velocity)


def test_flattened_halo_keeps_flattened_tracers(base: Callable) -> None:
    """Tracers mixed in a triaxial field follow its axes: flattest along z, stationary, slower along it."""
    rng = seeded(6)
    stars = shaped(reaching(base(rng)(3000)), {0: Shape((0.8, 0.6))})
    settings_ = PopulationSettings(size=3000, time=2.0, drift_time=0.5, tolerance=1e-5)
    relaxed = relax(stars, make_field(TRIAXIAL), settings_, Uniforms.of(rng), r_range=INSIDE)
    result = relaxed.stationarity[0]
    assert result.complaint is None
    b_a, c_a = (np.average(moment(result, q)[0], weights=result.count) for q in ("b_a", "c_a"))
    assert c_a < b_a - 0.05 < 0.95


@pytest.mark.slow
def test_phases_are_one_orbit_at_several_times(base: Callable) -> None:
    rng = seeded(7)
    settings_ = PopulationSettings(size=2000, phases=4, time=1.0, drift_time=0.5)
    relaxed = relax(
        base(rng)(500), make_field(TRIAXIAL), settings_, Uniforms.of(rng), r_range=INSIDE
    )
    assert len(relaxed.stars) == 2000
    energy = make_field(TRIAXIAL).energy(relaxed.stars.position, relaxed.stars.velocity)
    assert np.ptp(energy.reshape(500, 4), axis=1).max() < 1e-2
    assert np.ptp(relaxed.stars.r.reshape(500, 4), axis=1).min() > 0.0


def test_nothing_relaxes_beside_a_moving_body() -> None:
    time = np.linspace(0.0, 10.0, 5)
    body = MovingBody(time, np.zeros((5, 3)), np.zeros((5, 3)), Plummer(1e11, 8.0))
    with pytest.raises(InputError, match="nothing moves"):
        relax(ball(10), make_field(HALO, body), PopulationSettings(), Uniforms(1))


def test_too_few_stars_to_tell_are_refused() -> None:
    settings_ = PopulationSettings(size=1, time=0.1, drift_time=0.1)
    with pytest.raises(InputError, match="too few stars"):
        relax(ball(1), make_field(HALO), settings_, Uniforms(1))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"size": 0}, "population: size must be in"),
        ({"size": 2, "phases": 3}, "phases must be in"),
        ({"time": 0.0}, "time must be in"),
        ({"drift_time": -1.0}, "drift_time must be in"),
        ({"tolerance": 1.0}, "tolerance must be in"),
        ({"sise": 10}, "did you mean 'size'"),
        ({"integrator": "galpy"}, "integrator: expected 'haloassay' or 'agama'"),
    ],
)
def test_bad_settings_are_refused(spec: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(PopulationSettings, spec, "population")


def test_agamas_integrator_needs_agama(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused when a scenario is read, by a line that says how to get it; ours needs nothing."""
    monkeypatch.setitem(sys.modules, "agama", None)
    assert build(PopulationSettings, {"integrator": "haloassay"}, "population").size > 0
    wanted = "^population: integrator = 'agama': needs agama, .*pip install agama"
    with pytest.raises(InputError, match=wanted):
        build(PopulationSettings, {"integrator": "agama"}, "population")


def test_population_is_made_once_and_read_ever_after(
    base: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path))
    made = []

    def get(seed: int = 1, time: float = 0.2) -> StoredPopulation:
        def counted(rng: np.random.Generator) -> Callable[[int], Stars]:
            made.append(1)
            return base(rng) if time > 0.1 else lambda n: cold(base(rng)(n))

        small = PopulationSettings(
            size=2000, time=time, drift_time=0.1, tolerance=1e-5, seed=shifted(seed)
        )
        return relaxed_population(counted, HALO, {0: Shape()}, small, ["test"], INSIDE)

    first, second = get(), get()
    assert len(made) == 1
    for name in ("position", "velocity", "feh", "alpha_fe", "origin"):
        np.testing.assert_array_equal(getattr(first.stars, name), getattr(second.stars, name))
    assert first.stationarity[0].table() == second.stationarity[0].table()
    assert {row["quantity"] for row in second.stationarity[0].table()} == set(QUANTITIES)
    get(seed=2)
    with pytest.warns(DriftWarning, match=r"not stationary: .* mock.population.time"):
        get(time=0.01)
    assert len(made) == 3
    # what is wrong with it is kept
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get(time=0.01).stationarity[0].complaint is not None


def test_no_star_is_drawn_twice_in_a_realisation() -> None:
    """Planted fault: a population drawn from with replacement, or from the start by every call."""
    population = StoredPopulation(ball(1000))
    draw = population.sampler(seeded(1))
    # the last call gives what is left
    drawn = Stars.concatenate([draw(300), draw(1), draw(5000)])
    assert len(np.unique(drawn.position[:, 0])) == 1000
    with pytest.raises(InputError, match=r"of 1000 stars is used up.*mock.population.size"):
        draw(1)
    again = population.sampler(seeded(1))(300)
    np.testing.assert_array_equal(again.position, drawn.position[:300])
    other = population.sampler(seeded(2))(300)
    assert not np.array_equal(other.position, drawn.position[:300])
