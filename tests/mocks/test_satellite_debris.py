"""Streams and merger debris: made where and when they say, as galpy, Kepler and quadrature have it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from debris_samples import (
    AROUND,
    HISTORY,
    POTENTIAL,
    R_RANGE,
    SATELLITES,
    angular_momentum,
    components,
    drawn,
    energy,
    one,
)
from numpy.typing import NDArray
from scipy.optimize import brentq
from seeds import resized, seeded, shifted

from haloassay.base.constants import GYR_PER_KPC_KMS, G
from haloassay.base.errors import InputError
from haloassay.contracts.frames import (
    ICRS_TO_GALACTIC,
    Sun,
    galactocentric_to_heliocentric,
    sky_basis,
)
from haloassay.mocks.debris.debris import present
from haloassay.mocks.debris.mergers import RadialMerger, pericentre_speed
from haloassay.mocks.debris.streams import PROGENITORS, Stream, turning_points
from haloassay.mocks.debris.surroundings import Surroundings
from haloassay.mocks.gravity.fields import make_field
from haloassay.mocks.gravity.history import History
from haloassay.mocks.gravity.potentials import CompositePotential, make_potential
from haloassay.mocks.lmc.trajectory import LMC
from haloassay.mocks.stars import Stars

FloatArray = NDArray[np.float64]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("HALOASSAY_CACHE", str(folder))
        yield folder


# Streams


HALO = make_potential({"kind": "nfw", "m200": 1.2e12, "c": 12.0})


def own_stream_of_galpy(n: int, model: str, potential: CompositePotential) -> tuple[Stars, Stars]:
    """Leading and trailing tail by galpy alone: its own potentials, units, and integration of the stars."""
    from astropy import units
    from galpy import df
    from galpy.orbit import Orbit
    from galpy.potential import MWPotential2014, NFWPotential, PlummerPotential

    mass, r_s = potential.components[0].scales  # type: ignore[attr-defined]
    galaxy = NFWPotential(amp=mass * units.Msun, a=r_s * units.kpc, ro=8.0, vo=220.0)
    if potential is not HALO:
        bulge, disc, _ = MWPotential2014
        galaxy = bulge + disc + galaxy
    satellite = PROGENITORS["sagittarius"]
    x, y, z = np.array(satellite.position) * units.kpc
    vx, vy, vz = np.array(satellite.velocity) * units.km / units.s
    R, phi = np.hypot(x, y), np.arctan2(y, x)
    at = [R, (x * vx + y * vy) / R, (x * vy - y * vx) / R, z, vz, phi]
    mass, scale = satellite.mass * units.Msun, satellite.radius * units.kpc
    pull = PlummerPotential(amp=mass, b=scale, ro=8.0, vo=220.0) if model == "chen24" else None
    spray = getattr(df, f"{model}spraydf")(
        mass,
        progenitor=Orbit(at, ro=8.0, vo=220.0),
        pot=galaxy,
        tdisrupt=satellite.age * units.Gyr,
        tail="both",
        progpot=pull,
    )
    np.random.seed(shifted(5))  # noqa: NPY002
    orbits = spray.sample(n)
    names, velocities = ("x", "y", "z"), ("vx", "vy", "vz")
    stars = Stars.of(
        np.stack([getattr(orbits, c)(quantity=False) for c in names], axis=1),
        np.stack([getattr(orbits, c)(quantity=False) for c in velocities], axis=1),
    )
    return stars.select(slice(n // 2)), stars.select(slice(n // 2, n))


@pytest.mark.parametrize(
    ("model", "potential"),
    [
        ("fardal15", HALO),
        pytest.param("chen24", HALO, marks=pytest.mark.slow),
        pytest.param("fardal15", POTENTIAL, marks=pytest.mark.slow),
    ],
)
def test_stream_is_the_one_that_galpy_makes_by_itself(
    model: str, potential: CompositePotential
) -> None:
    """In a sphere, with and without the satellite's own pull, and in a disc, which turns the orbital plane."""
    debris: Stream = one("stream", size=2000, model=model)
    position, velocity = debris.follow(History(potential), seed=shifted(2))
    halves = (slice(1000), slice(1000, 2000))
    tails = [Stars.of(position[half], velocity[half]) for half in halves]
    n, field = 160, make_field(potential)
    for tail, galpy_tail in zip(tails, own_stream_of_galpy(n, model, potential), strict=True):
        for quantity in (
            lambda s: field.energy(s.position, s.velocity),
            lambda s: s.r,
            lambda s: np.linalg.norm(angular_momentum(s), axis=1),
            *(lambda s, k=k: angular_momentum(s)[:, k] for k in range(3)),
        ):
            ours, theirs = quantity(tail), quantity(galpy_tail)
            noise = np.sqrt(theirs.var() * (2.0 / n + 1.0 / 1000.0))
            assert abs(ours.mean() - theirs.mean()) < 4.0 * noise
            assert ours.std() == pytest.approx(theirs.std(), rel=4.0 * np.sqrt(3.0 / n))


def test_stream_lies_about_its_progenitor_in_energy_and_angular_momentum() -> None:
    debris: Stream = one("stream", size=2000)
    progenitor = Stars.of(*(x[None] for x in debris._now))
    position, velocity = debris.follow(HISTORY, seed=shifted(2))
    stars = Stars.of(position, velocity)
    offset = energy(stars) - energy(progenitor)
    # leading stars are more bound, trailing ones less; the scale is that of the tidal radius
    assert np.mean(offset[:1000] < 0.0) > 0.97
    assert np.mean(offset[1000:] > 0.0) > 0.97
    peri, _ = turning_points(POTENTIAL, *debris._now, "stream")
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
        energy(Stars.of(*one("stream", size=200, model=m).follow(HISTORY, seed=shifted(1))))
        for m in ("fardal15", "chen24")
    )
    assert not np.array_equal(fardal, chen)
    assert 0.3 < chen.std() / fardal.std() < 2.0


def test_stream_leaves_the_global_numbers_of_numpy_alone() -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]  # noqa: NPY002
    one("stream", size=100).follow(HISTORY, seed=shifted(1))
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr]  # noqa: NPY002


def test_orbits_come_back_after_a_period_of_kepler() -> None:
    point = make_potential({"kind": "point-mass", "mass": 1e11})
    x, v = np.array([[10.0, 3.0, -5.0]]), np.array([[40.0, 90.0, 60.0]])
    orbital_energy = 0.5 * float(v[0] @ v[0]) + float(point.potential(np.linalg.norm(x)))
    a = -G * 1e11 / (2.0 * orbital_energy)
    period = 2.0 * np.pi * np.sqrt(a**3 / (G * 1e11)) * GYR_PER_KPC_KMS
    back_x, back_v = present(History(point), x, v, period, "planet")
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
    position, velocity = debris.follow(HISTORY, seed=shifted(1))
    there = np.isfinite(position[:, 0])
    stars = Stars.of(position[there], velocity[there])
    assert len(stars) > 0.99 * debris.size
    speed = pericentre_speed(POTENTIAL, debris.pericentre, debris.apocentre)
    centre = 0.5 * speed**2 + float(POTENTIAL.potential(debris.pericentre))
    pull = G * float(POTENTIAL.enclosed_mass(debris.pericentre)) / debris.pericentre**2
    width = np.hypot(speed * debris.sigma, pull * debris.radius)
    spread = 0.5 * np.diff(np.percentile(energy(stars), [15.9, 84.1]))[0]
    assert spread == pytest.approx(width, rel=0.15)
    # to first order: off by up to a third of the width, as the satellite passes
    assert abs(np.median(energy(stars)) - centre) < 0.5 * width
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
    x = np.linspace(np.log(1e-3), np.log(2e3), 4000)
    step, well, barrier = x[1] - x[0], POTENTIAL.potential(np.exp(x)), np.exp(-2.0 * x)
    for k in range(len(stars)):

        def excess(x: FloatArray, k: int = k) -> FloatArray:
            r = np.exp(x)
            return np.asarray(2.0 * (E[k] - POTENTIAL.potential(r)) - l2[k] / r**2)

        positive = x[2.0 * (E[k] - well) > l2[k] * barrier]
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
    some = stars.select(slice(40))
    phase, period = radial_phase(some)
    ago = np.exp(2j * np.pi * (phase - one(kind).age / period))
    assert abs(np.mean(ago)) > 0.95
    assert abs(np.angle(np.mean(ago))) < 0.2
    assert abs(np.mean(np.exp(2j * np.pi * phase))) < 0.5


def test_young_debris_moves_together_and_old_debris_does_not() -> None:
    young, old = (
        Stars.of(*one("shells", age=age, size=400).follow(HISTORY, seed=shifted(1)))
        for age in (0.1, 8.0)
    )
    imbalance = [abs(np.mean(np.sign(components(stars)[:, 0]))) for stars in (young, old)]
    assert imbalance[0] > 0.9
    assert imbalance[1] < 0.3


TRIAXIAL = make_potential(
    {
        "kind": "triaxial-nfw",
        "m200": 1e12,
        "c": 12.0,
        "axis_ratios": [0.8, 0.6],
        "tilt": [10, 30, 0],
    }
)


@pytest.mark.parametrize("kind", ["stream", "gse"])
def test_debris_feels_the_shape_of_the_halo(kind: str) -> None:
    """Energies in the true field are those that the same stars leave with, which is not so in its monopole."""
    field = make_field(TRIAXIAL)
    progenitor = {"position": [20.0, 5.0, 9.0], "velocity": [-80.0, 150.0, 60.0], "mass": 1e8}
    miss = []
    for monopole in (False, True):
        history = History(TRIAXIAL, monopole=monopole)
        energies = []
        for age in (1e-9, 3.0):
            spec = {"progenitor": {**progenitor, "age": age}} if kind == "stream" else {"age": age}
            position, velocity = one(kind, size=150, **spec).follow(history, seed=shifted(1))
            energies.append(field.energy(position, velocity))
        # stars of a stream leave one after another, each with an energy of its own, so ranks are compared
        miss.append(np.abs(np.sort(energies[1]) - np.sort(energies[0])).mean() / energies[0].std())
    assert miss[0] < (1e-3 if kind == "gse" else 0.5)
    assert miss[1] > 3.0 * miss[0]
    assert miss[1] > 0.05


def test_the_lmc_pulls_debris_and_does_not_move_the_progenitor() -> None:
    """The progenitor is where it is seen; its tails are pulled, the older the more."""
    n = 250
    debris: Stream = one("stream", size=n)
    mass = LMC(1.5e11)
    position, velocity = debris.follow(
        Surroundings(POTENTIAL, R_RANGE, monopole=False, lmc=mass).history, seed=shifted(2)
    )
    without, _ = debris.follow(
        Surroundings(POTENTIAL, R_RANGE, monopole=False).history, seed=shifted(2)
    )
    light, _ = debris.follow(
        Surroundings(POTENTIAL, R_RANGE, monopole=False, lmc=LMC(0.0)).history, seed=shifted(2)
    )
    np.testing.assert_array_equal(light, without)
    moved = np.linalg.norm(position - without, axis=1)
    ago = 3.0 * seeded(2).random(n)
    assert np.median(moved[ago > 2.0]) > 5.0
    assert np.median(moved[ago < 0.3]) < 2.0
    # to the last: a star that left just now is beside the progenitor, which is where it was put
    latest = np.argmin(ago)
    assert np.linalg.norm(position[latest] - debris._now[0]) < 5.0
    assert np.linalg.norm(velocity[latest] - debris._now[1]) < 80.0


# Stored populations


@pytest.mark.parametrize("kind", SATELLITES)
def test_a_star_has_the_same_number_whichever_others_are_out_of_range(kind: str) -> None:
    """Cells that keep other stars of a satellite see the same ones in one order."""
    wide, narrow = (
        one(kind).sampler(Surroundings(POTENTIAL, r_range), seeded(1))(200)
        for r_range in (R_RANGE, (2.0, 45.0))
    )
    common, i, j = np.intersect1d(wide.number, narrow.number, return_indices=True)
    assert len(common) > 60
    np.testing.assert_array_equal(wide.position[i], narrow.position[j])
    assert np.array_equal(np.argsort(i), np.argsort(j))


def test_no_star_of_a_population_is_drawn_twice_and_an_error_says_when_it_is_used_up() -> None:
    draw = one("stream").sampler(AROUND, seeded(1))
    parts = [draw(1000), draw(600)]
    assert [len(part) for part in parts] == [1000, resized(500)]
    assert len(np.unique(Stars.concatenate(parts).position, axis=0)) == resized(1500)
    with pytest.raises(
        InputError,
        match=rf"debris 'stream': all its {resized(1500)} stars are used up; raise its size",
    ):
        draw(1)


def test_population_is_followed_once(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    first = one("shells", size=300)
    before = set(cache.glob("*/*.npz"))
    first.prepare(AROUND)
    assert len(set(cache.glob("*/*.npz")) - before) == 1
    monkeypatch.setattr("haloassay.mocks.debris.mergers.present", None)
    again = one("shells", fraction=0.3, name="other", size=300, feh={"mean": -2.0, "sigma": 0.1})
    np.testing.assert_array_equal(again.population(AROUND), first.population(AROUND))
    with pytest.raises(TypeError):
        one("shells", size=300, age=3.1).prepare(AROUND)
