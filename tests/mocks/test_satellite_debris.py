"""Streams and merger debris: made where and when they say, as galpy, Kepler and quadrature have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from debris_samples import (
    POTENTIAL,
    R_RANGE,
    angular_momentum,
    components,
    drawn,
    energy,
    one,
)
from numpy.typing import NDArray
from scipy.optimize import brentq

from haloassay.constants import GYR_PER_KPC_KMS, G
from haloassay.errors import InputError
from haloassay.frames import (
    ICRS_TO_GALACTIC,
    Sun,
    galactocentric_to_heliocentric,
    sky_basis,
)
from haloassay.mocks.debris.mergers import RadialMerger, pericentre_speed
from haloassay.mocks.debris.streams import PROGENITORS, Stream, evolve, turning_points
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.mocks.stars import Stars

FloatArray = NDArray[np.float64]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("HALOASSAY_CACHE", str(folder))
        yield folder


# Streams


def own_stream_of_galpy(n: int) -> tuple[Stars, Stars]:
    """Leading and trailing tail by galpy alone: its own NFW, units and integration of the stars."""
    from astropy import units
    from galpy.df import fardal15spraydf
    from galpy.orbit import Orbit
    from galpy.potential import NFWPotential

    mass, r_s = make_potential({"kind": "nfw", "m200": 1.2e12, "c": 12.0}).components[0].scales  # type: ignore[attr-defined]
    satellite = PROGENITORS["sagittarius"]
    x, y, z = np.array(satellite.position) * units.kpc
    vx, vy, vz = np.array(satellite.velocity) * units.km / units.s
    R, phi = np.hypot(x, y), np.arctan2(y, x)
    at = [R, (x * vx + y * vy) / R, (x * vy - y * vx) / R, z, vz, phi]
    spray = fardal15spraydf(
        satellite.mass * units.Msun,
        progenitor=Orbit(at, ro=8.0, vo=220.0),
        pot=NFWPotential(amp=mass * units.Msun, a=r_s * units.kpc, ro=8.0, vo=220.0),
        tdisrupt=satellite.age * units.Gyr,
        tail="both",
    )
    np.random.seed(5)  # noqa: NPY002
    orbits = spray.sample(n)
    names, velocities = ("x", "y", "z"), ("vx", "vy", "vz")
    stars = Stars.of(
        np.stack([getattr(orbits, c)(quantity=False) for c in names], axis=1),
        np.stack([getattr(orbits, c)(quantity=False) for c in velocities], axis=1),
    )
    return stars.select(slice(n // 2)), stars.select(slice(n // 2, n))


def test_stream_is_the_one_that_galpy_makes_by_itself() -> None:
    potential = make_potential({"kind": "nfw", "m200": 1.2e12, "c": 12.0})
    debris: Stream = one("stream", size=2000)
    position, velocity = debris.follow(potential, seed=2)
    halves = (slice(1000), slice(1000, 2000))
    tails = [Stars.of(position[half], velocity[half]) for half in halves]
    n = 240
    for tail, galpy_tail in zip(tails, own_stream_of_galpy(n), strict=True):
        for quantity in (
            energy,
            lambda s, _: s.r,
            lambda s, _: np.linalg.norm(angular_momentum(s), axis=1),
        ):
            ours, theirs = quantity(tail, potential), quantity(galpy_tail, potential)
            noise = np.sqrt(theirs.var() * (2.0 / n + 1.0 / 1000.0))
            assert abs(ours.mean() - theirs.mean()) < 4.0 * noise
            assert ours.std() == pytest.approx(theirs.std(), rel=4.0 * np.sqrt(3.0 / n))


def test_stream_lies_about_its_progenitor_in_energy_and_angular_momentum() -> None:
    debris: Stream = one("stream", size=2000)
    progenitor = Stars.of(*(x[None] for x in debris._start()))
    position, velocity = debris.follow(POTENTIAL, seed=2)
    stars = Stars.of(position, velocity)
    offset = energy(stars) - energy(progenitor)
    # leading stars are more bound, trailing ones less; the scale is that of the tidal radius
    assert np.mean(offset[:1000] < 0.0) > 0.97
    assert np.mean(offset[1000:] > 0.0) > 0.97
    peri, _ = turning_points(POTENTIAL, *debris._start(), "stream")
    enclosed = float(POTENTIAL.enclosed_mass(peri))
    r_tide = peri * (debris.satellite.mass / (2.0 * enclosed)) ** (1.0 / 3.0)
    scale = r_tide * G * enclosed / peri**2
    assert 0.5 * scale < np.median(np.abs(offset)) < 4.0 * scale
    L, L_0 = angular_momentum(stars), angular_momentum(progenitor)[0]
    cosine = L @ L_0 / np.linalg.norm(L, axis=1) / np.linalg.norm(L_0)
    assert np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).max() < 25.0
    near = np.linalg.norm(position - progenitor.position, axis=1) < 6.0
    assert near.sum() > 20
    # other wraps may cross there
    assert np.median(np.linalg.norm(velocity[near] - progenitor.velocity, axis=1)) < 80.0


def test_sagittarius_is_where_it_is_seen() -> None:
    """Against galpy's own compilation of satellites; a distance is uncertain by 1.5 kpc."""
    from galpy.orbit import Orbit

    seen = Orbit.from_name("Sgr")
    satellite = PROGENITORS["sagittarius"]
    ours = galactocentric_to_heliocentric(
        np.array([satellite.position]), np.array([satellite.velocity]), Sun()
    )
    assert ours["ra"][0] == pytest.approx(seen.ra(quantity=False), abs=0.5)
    assert ours["dec"][0] == pytest.approx(seen.dec(quantity=False), abs=0.5)
    assert ours["distance"][0] == pytest.approx(seen.dist(quantity=False), abs=1.5)
    assert ours["pmra"][0] == pytest.approx(seen.pmra(quantity=False), abs=0.05)
    assert ours["pmdec"][0] == pytest.approx(seen.pmdec(quantity=False), abs=0.05)
    assert ours["vlos"][0] == pytest.approx(seen.vlos(quantity=False), abs=5.0)


def test_sagittarius_stream_lies_in_its_plane_on_the_sky() -> None:
    """Plane of the stream: normal at (l, b) = (273.8, -13.5) deg (Majewski et al. 2003)."""
    stars = drawn("stream", 1200)
    sky = galactocentric_to_heliocentric(stars.position, stars.velocity, Sun())
    unit = sky_basis(sky["ra"], sky["dec"])[:, 0] @ ICRS_TO_GALACTIC.T
    pole = sky_basis(np.array([273.8]), np.array([-13.5]))[0, 0]
    height = np.degrees(np.arcsin(unit @ pole))
    assert np.mean(np.abs(height) < 15.0) > 0.8
    assert np.mean(angular_momentum(stars)[:, 1]) < -3000.0  # the polar orbit of the real one


def test_models_of_the_spray_agree_on_the_scale() -> None:
    fardal, chen = (
        energy(Stars.of(*one("stream", size=200, model=m).follow(POTENTIAL, seed=1)))
        for m in ("fardal15", "chen24")
    )
    assert not np.array_equal(fardal, chen)
    assert 0.3 < chen.std() / fardal.std() < 2.0


def test_stream_leaves_the_global_numbers_of_numpy_alone() -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]  # noqa: NPY002
    one("stream", size=100).follow(POTENTIAL, seed=1)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr]  # noqa: NPY002


def test_orbits_come_back_after_a_period_of_kepler() -> None:
    point = make_potential({"kind": "point-mass", "mass": 1e11})
    x, v = np.array([[10.0, 3.0, -5.0]]), np.array([[40.0, 90.0, 60.0]])
    orbital_energy = 0.5 * float(v[0] @ v[0]) + float(point.potential(np.linalg.norm(x)))
    a = -G * 1e11 / (2.0 * orbital_energy)
    period = 2.0 * np.pi * np.sqrt(a**3 / (G * 1e11)) * GYR_PER_KPC_KMS
    back_x, back_v = evolve(x, v, np.array([period]), point)
    np.testing.assert_allclose(back_x, x, atol=1e-4)
    np.testing.assert_allclose(back_v, v, atol=1e-3)
    e = np.sqrt(1.0 - np.sum(np.cross(x, v) ** 2) / (G * 1e11 * a))
    np.testing.assert_allclose(
        turning_points(point, x[0], v[0], "planet"), [a * (1 - e), a * (1 + e)], rtol=0.01
    )


# Radial mergers


@pytest.mark.parametrize("kind", ["shells", "gse"])
def test_merger_debris_keeps_the_energies_it_left_with(kind: str) -> None:
    """To first order energies spread by v_peri sigma and by g radius, about that of the satellite."""
    debris: RadialMerger = one(kind)
    position, velocity = debris.follow(POTENTIAL, seed=1)
    stars = Stars.of(position, velocity)
    assert len(stars) > 0.99 * debris.size
    speed = pericentre_speed(POTENTIAL, debris.pericentre, debris.apocentre)
    centre = 0.5 * speed**2 + float(POTENTIAL.potential(debris.pericentre))
    pull = G * float(POTENTIAL.enclosed_mass(debris.pericentre)) / debris.pericentre**2
    width = np.hypot(speed * debris.sigma, pull * debris.radius)
    spread = 0.5 * np.diff(np.percentile(energy(stars), [15.9, 84.1]))[0]
    assert spread == pytest.approx(width, rel=0.15)
    assert abs(np.median(energy(stars)) - centre) < 0.3 * width
    depth = float(POTENTIAL.potential(R_RANGE[1]) - POTENTIAL.potential(debris.pericentre))
    assert width < (0.1 if kind == "shells" else 0.2) * depth


def test_turning_points_of_the_satellite_are_those_asked_for() -> None:
    for peri, apo in ((2.0, 40.0), (10.0, 12.0)):
        start = (
            np.array([0.0, peri, 0.0]),
            np.array([0.0, 0.0, pericentre_speed(POTENTIAL, peri, apo)]),
        )
        np.testing.assert_allclose(turning_points(POTENTIAL, *start, "it"), [peri, apo], rtol=0.01)


def radial_phase(stars: Stars) -> tuple[FloatArray, FloatArray]:
    """Share of the radial period since the pericentre, 0 to 1, and the period [Gyr]: by quadrature."""
    E, l2 = energy(stars), np.sum(angular_momentum(stars) ** 2, axis=1)
    v_r = components(stars)[:, 0]
    phase, period = np.empty(len(stars)), np.empty(len(stars))
    nodes, weights = np.polynomial.legendre.leggauss(100)
    for k in range(len(stars)):

        def excess(x: FloatArray, k: int = k) -> FloatArray:
            r = np.exp(x)
            return np.asarray(2.0 * (E[k] - POTENTIAL.potential(r)) - l2[k] / r**2)

        x = np.linspace(np.log(1e-3), np.log(2e3), 4000)
        positive = x[excess(x) > 0.0]
        step = x[1] - x[0]
        peri, apo = (
            np.exp(brentq(excess, edge - step, edge + step))
            for edge in (positive[0] - 0.5 * step, positive[-1] + 0.5 * step)
        )

        def since_pericentre(end: float, k: int = k, peri: float = peri, apo: float = apo) -> float:
            angle = 0.5 * end * (nodes + 1.0)
            r = 0.5 * (apo + peri) - 0.5 * (apo - peri) * np.cos(angle)
            rate = 0.5 * (apo - peri) * np.sin(angle) / np.sqrt(np.maximum(excess(np.log(r)), 1e-9))
            return float(0.5 * end * np.sum(weights * rate))

        half = since_pericentre(np.pi)
        reached = np.clip((apo + peri - 2.0 * stars.r[k]) / (apo - peri), -1.0, 1.0)
        part = 0.5 * since_pericentre(float(np.arccos(reached))) / half
        phase[k] = part if v_r[k] > 0.0 else 1.0 - part
        period[k] = 2.0 * half * GYR_PER_KPC_KMS
    return phase, period


@pytest.mark.parametrize("kind", ["shells", "gse"])
def test_merger_debris_is_radial_and_has_wrapped_as_its_periods_say(kind: str) -> None:
    """All stars were near their pericentres a time ``age`` ago, and are spread over phases now: unmixed."""
    stars = drawn(kind, 1400)
    v_r, v_theta, v_phi = components(stars).T
    assert 1.0 - (v_theta.var() + v_phi.var()) / (2.0 * v_r.var()) > 0.85
    some = stars.select(slice(60))
    phase, period = radial_phase(some)
    ago = np.exp(2j * np.pi * (phase - one(kind).age / period))
    assert abs(np.mean(ago)) > 0.95
    assert abs(np.angle(np.mean(ago))) < 0.2
    assert abs(np.mean(np.exp(2j * np.pi * phase))) < 0.5


def test_young_debris_moves_together_and_old_debris_does_not() -> None:
    young, old = (
        Stars.of(*one("shells", age=age, size=400).follow(POTENTIAL, seed=1)) for age in (0.1, 8.0)
    )
    imbalance = [abs(np.mean(np.sign(components(stars)[:, 0]))) for stars in (young, old)]
    assert imbalance[0] > 0.9
    assert imbalance[1] < 0.3


# Stored populations


def test_no_star_of_a_population_is_drawn_twice_and_an_error_says_when_it_is_used_up() -> None:
    draw = one("stream").sampler(POTENTIAL, R_RANGE, np.random.default_rng(1))
    with pytest.raises(
        InputError, match=r"debris 'stream': 1600 stars are wanted .* raise its size"
    ):
        draw(1600)
    everyone = draw(1500)
    assert len(np.unique(everyone.position, axis=0)) == 1500
    with pytest.raises(InputError, match="1501 stars are wanted"):
        draw(1)


def test_population_is_followed_once(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    first = one("shells", size=300)
    before = set(cache.iterdir())
    first.prepare(POTENTIAL, R_RANGE)
    assert len(set(cache.iterdir()) - before) == 1
    monkeypatch.setattr("haloassay.mocks.debris.mergers.evolve", None)
    again = one("shells", fraction=0.3, name="other", size=300, feh={"mean": -2.0, "sigma": 0.1})
    np.testing.assert_array_equal(
        again.population(POTENTIAL, R_RANGE), first.population(POTENTIAL, R_RANGE)
    )
    with pytest.raises(TypeError):
        one("shells", size=300, age=3.1).prepare(POTENTIAL, R_RANGE)
