"""Fields in three dimensions: against galpy, closed forms, and themselves."""

from __future__ import annotations

import functools
import json
import warnings

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from seeds import seeded

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.mocks.gravity.fields import Field, MovingBody, make_field
from haloassay.mocks.gravity.potentials import NFW, make_potential

NFW_SPEC = {"kind": "nfw", "m200": 0.8e12, "c": 15.0}
BARYONS = {"kind": "mwpotential2014-baryons"}
TRIAXIAL = {"kind": "triaxial-nfw", "m200": 0.8e12, "c": 15.0, "axis_ratios": [0.8, 0.6]}
TILTED = TRIAXIAL | {"tilt": [24.0, 25.0, -10.0]}
OTHER = TRIAXIAL | {"m200": 2e11, "axis_ratios": [0.7, 0.7], "tilt": [0.0, 60.0, 0.0]}
TABLE = {"kind": "galpy", "name": "Irrgang13I"}


def field(*specs: dict[str, object]) -> Field:
    return _field(json.dumps(specs))


@functools.cache
def _field(specs: str) -> Field:
    return make_field(make_potential(json.loads(specs)))


def places(n: int = 200, lo: float = 0.3, hi: float = 300.0, seed: int = 1) -> np.ndarray:
    rng = seeded(seed)
    direction = rng.normal(size=(n, 3))
    r = np.exp(rng.uniform(np.log(lo), np.log(hi), n))
    return direction * (r / np.linalg.norm(direction, axis=1))[:, None]


def relative(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)


def galpy_accelerations(potential: object, position: np.ndarray) -> np.ndarray:
    """Of a galpy potential, point by point, through its own cylindrical forces."""
    from galpy.potential import evaluatephitorques, evaluateRforces, evaluatezforces
    from galpy.util.conversion import get_physical

    units = get_physical(potential)
    ro, vo = units["ro"], units["vo"]
    out = np.empty_like(position)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row, (x, y, z) in zip(out, position / ro, strict=True):
            R, phi = np.hypot(x, y), np.arctan2(y, x)
            where = {"phi": phi, "use_physical": False}
            f_R, f_z = (
                evaluateRforces(potential, R, z, **where),
                evaluatezforces(potential, R, z, **where),
            )
            f_phi = evaluatephitorques(potential, R, z, **where) / R
            row[:] = (
                f_R * np.cos(phi) - f_phi * np.sin(phi),
                f_R * np.sin(phi) + f_phi * np.cos(phi),
                f_z,
            )
    return out * vo**2 / ro


@pytest.mark.parametrize(
    "specs",
    [(NFW_SPEC,), (NFW_SPEC, {"kind": "hernquist", "mass": 1e10, "a": 0.6, "dark": False})],
)
def test_spherical_field_is_that_of_the_enclosed_mass(specs: tuple[dict[str, object], ...]) -> None:
    position = places(lo=0.01, hi=3000.0)
    r = np.linalg.norm(position, axis=1)
    potential = make_potential(list(specs))
    expected = -position * (G * potential.enclosed_mass(r) / r**3)[:, None]
    assert relative(field(*specs).acceleration(position), expected).max() < 1e-9
    # zero where all mass is within 1e4 kpc, so that only differences mean anything
    ours, exact = field(*specs).potential(position), potential.potential(r)
    np.testing.assert_allclose(ours - ours[0], exact - exact[0], rtol=1e-8, atol=1e-5)


def test_disc_and_bulge_agree_with_galpy() -> None:
    from galpy.potential import MiyamotoNagaiPotential, PowerSphericalPotentialwCutoff

    disc = MiyamotoNagaiPotential(amp=1.0, a=3 / 8.0, b=0.28 / 8.0, ro=8.0, vo=220.0)
    bulge = PowerSphericalPotentialwCutoff(amp=1.0, alpha=1.8, rc=1.9 / 8.0, ro=8.0, vo=220.0)
    to_msun = 220.0**2 * 8.0 / G
    position = places(60)
    expected = 6.8e10 / to_msun * galpy_accelerations(disc, position)
    expected += (
        0.5e10
        / (bulge.mass(np.inf, use_physical=False) * to_msun)
        * galpy_accelerations(bulge, position)
    )
    assert relative(field(BARYONS).acceleration(position), expected).max() < 1e-8


@pytest.mark.parametrize(
    ("ratios", "worst"), [([0.9, 0.8], 1e-6), ([0.8, 0.6], 2e-6), ([0.5, 1.0], 2e-5)]
)
def test_triaxial_halo_agrees_with_galpy(ratios: list[float], worst: float) -> None:
    from galpy.potential import TriaxialNFWPotential

    halo = make_potential(TILTED | {"axis_ratios": ratios}).components[0]
    mass, r_s = halo.scales  # type: ignore[attr-defined]
    volume = float(np.prod(ratios))
    a = r_s / np.cbrt(volume)
    theirs = TriaxialNFWPotential(
        amp=mass / volume * G / (220.0**2 * 8.0),
        a=a / 8.0,
        b=ratios[0],
        c=ratios[1],
        ro=8.0,
        vo=220.0,
        glorder=100,
    )
    # intrinsic rotations about z, the new y, the new x: an independent account of the tilt
    turn = Rotation.from_euler("ZYX", [24.0, 25.0, -10.0], degrees=True)
    position = places(60)
    expected = turn.apply(galpy_accelerations(theirs, turn.inv().apply(position)))
    found = field(TILTED | {"axis_ratios": ratios}).acceleration(position)
    assert relative(found, expected).max() < worst


def test_axes_are_not_swapped() -> None:
    """Planted fault: y and z of the body exchanged. The potential is deepest along the long axis."""
    along_x, along_y, along_z = field(TRIAXIAL).potential(20.0 * np.eye(3))
    assert along_x < along_y - 50.0 < along_z - 100.0


def test_tilt_has_the_right_sign() -> None:
    """Planted fault: the rotation transposed. The long axis points where yaw and pitch say."""
    for tilt, axis in (
        ([30.0, 0.0, 0.0], [np.cos(np.pi / 6), np.sin(np.pi / 6), 0.0]),
        ([0.0, 30.0, 0.0], [np.cos(np.pi / 6), 0.0, -np.sin(np.pi / 6)]),
    ):
        mirrored = np.array(axis) * [1.0, -1.0, -1.0]
        on, off = field(TRIAXIAL | {"tilt": tilt}).potential(20.0 * np.array([axis, mirrored]))
        upright = field(TRIAXIAL).potential([[20.0, 0.0, 0.0]])[0]
        assert on == pytest.approx(upright, rel=1e-12)
        assert on < off - 50.0
    # roll turns the second axis from y towards z
    halo = field(TRIAXIAL | {"tilt": [0.0, 0.0, 30.0]})
    up, down = halo.potential([[0.0, np.cos(np.pi / 6), s * 0.5] for s in (20.0, -20.0)])
    assert up < down


def test_tilt_of_a_sphere_has_no_effect() -> None:
    round_halo = TRIAXIAL | {"axis_ratios": [1.0, 1.0]}
    position = places(50)
    found = field(round_halo | {"tilt": [10.0, 20.0, 30.0]}).acceleration(position)
    assert relative(found, field(NFW_SPEC).acceleration(position)).max() < 1e-8


def test_mass_within_a_sphere_is_that_of_the_density() -> None:
    """Spherically averaged mass of the ellipsoidal density, by a Cartesian sum that shares no code."""
    halo = make_potential(TRIAXIAL).components[0]
    r200 = make_potential(NFW_SPEC).virial().r200
    assert float(halo.enclosed_mass(r200)) == pytest.approx(0.8e12, rel=1e-12)
    other = make_potential(TRIAXIAL | {"h0": 73.0, "overdensity": 100.0})
    assert other.virial().m200 == pytest.approx(0.8e12, rel=1e-9)
    mass, r_s = halo.scales  # type: ignore[attr-defined]
    rng = seeded(3)
    m = 40.0 * np.cbrt(rng.random(400_000))
    direction = rng.normal(size=(len(m), 3))
    x, y, z = (direction / np.linalg.norm(direction, axis=1)[:, None] * m[:, None]).T
    s = np.cbrt(0.8 * 0.6) * np.sqrt(x**2 + (y / 0.8) ** 2 + (z / 0.6) ** 2) / r_s
    rho = mass / (4 * np.pi * r_s**3) / (s * (1 + s) ** 2)
    volume = 4 / 3 * np.pi * 40.0**3
    noise = volume * rho.std() / np.sqrt(len(rho))
    assert float(halo.enclosed_mass(40.0)) == pytest.approx(volume * rho.mean(), abs=4 * noise)
    r = np.geomspace(1.0, 300.0, 20)
    step = halo.enclosed_mass(r * np.exp(1e-4)) - halo.enclosed_mass(r * np.exp(-1e-4))
    shells = step / (2e-4 * 4 * np.pi * r**3)
    np.testing.assert_allclose(halo.density(r), shells, rtol=1e-7)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "specs", [(NFW_SPEC, BARYONS), (TILTED, BARYONS), (TILTED, OTHER), (TABLE,)], ids=str
)
def test_flux_through_a_sphere_is_the_enclosed_mass(specs: tuple[dict[str, object], ...]) -> None:
    """Gauss: truth and field are of one mass, however it is distributed."""
    cosine, weight = np.polynomial.legendre.leggauss(200)
    phi = 2 * np.pi * np.arange(24) / 24
    sine = np.sqrt(1 - cosine**2)
    direction = np.stack(
        [np.outer(sine, np.cos(phi)), np.outer(sine, np.sin(phi)), np.outer(cosine, np.ones(24))],
        -1,
    ).reshape(-1, 3)
    weights = np.repeat(weight / 48, 24)
    potential = make_potential(list(specs))
    for r in (3.0, 20.0, 100.0):
        inward = -np.sum(field(*specs).acceleration(r * direction) * direction, axis=1)
        mass = weights @ inward * r**2 / G
        assert mass == pytest.approx(float(potential.enclosed_mass(r)), rel=2e-6)


@pytest.mark.parametrize(
    "specs", [(NFW_SPEC, BARYONS), (TILTED, BARYONS), (TILTED, OTHER), (TABLE,)], ids=str
)
def test_acceleration_is_the_gradient_of_the_potential(
    specs: tuple[dict[str, object], ...],
) -> None:
    position = places(100)
    own = field(*specs)
    h = 3e-4 * np.linalg.norm(position, axis=1)
    gradient = np.empty_like(position)
    for d in range(3):
        step = np.outer(h, np.eye(3)[d])
        values = {k: own.potential(position + k * step) for k in (-2, -1, 1, 2)}
        gradient[:, d] = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / (12 * h)
    assert relative(own.acceleration(position), -gradient).max() < 1e-6


def test_galpy_potential_is_taken_apart_without_loss() -> None:
    from galpy.potential import mwpotentials

    position = places(60)
    position[:20, 2] *= 0.02
    for name in ("MWPotential2014", "Irrgang13I"):
        expected = galpy_accelerations(getattr(mwpotentials, name), position)
        found = field({"kind": "galpy", "name": name}).acceleration(position)
        assert relative(found, expected).max() < 5e-6, name


def test_field_is_finite_at_the_centre_and_falls_as_a_point_mass_far_away() -> None:
    own = field(TILTED, BARYONS)
    np.testing.assert_array_equal(own.acceleration([[0.0, 0.0, 0.0]]), np.zeros((1, 3)))
    assert np.isfinite(own.potential([[0.0, 0.0, 0.0]])).all()
    far = own.acceleration([[2e4, 0.0, 0.0], [4e4, 0.0, 0.0]])
    assert far[0, 0] / far[1, 0] == pytest.approx(4.0, rel=1e-3)


def moving_body() -> MovingBody:
    time = np.linspace(-3.0, 0.0, 61)
    path = np.stack([10.0 + 5.0 * time, 40.0 * np.cos(time), 30.0 * time**2], axis=1)
    pull = np.stack([100.0 * np.sin(time), 20.0 * time, np.full_like(time, 7.0)], axis=1)
    return MovingBody(time, path, pull, NFW(rho0=1e7, r_s=8.0))


def test_moving_body_and_frame_add_to_the_static_field() -> None:
    body = moving_body()
    own, rest = make_field(make_potential(NFW_SPEC), body), field(NFW_SPEC)
    assert rest.static
    assert not own.static
    position = places(20)
    t = -1.234
    place = np.array([10.0 + 5.0 * t, 40.0 * np.cos(t), 30.0 * t**2])
    frame = np.array([100.0 * np.sin(t), 20.0 * t, 7.0])
    away = position - place
    d = np.linalg.norm(away, axis=1)
    expected = rest.acceleration(position) - frame
    expected -= away * (G * body.profile.enclosed_mass(d) / d**3)[:, None]
    assert relative(own.acceleration(position, t), expected).max() < 1e-6


def test_bad_bodies_and_times_are_refused() -> None:
    good = moving_body()
    with pytest.raises(InputError, match="rise in equal steps"):
        MovingBody(good.time[::-1], good.position, good.frame_acceleration, good.profile)
    with pytest.raises(InputError, match="position of a moving body"):
        MovingBody(good.time, good.position[:, :2], good.frame_acceleration, good.profile)
    with pytest.raises(InputError, match="-3 to 0 Gyr"):
        make_field(make_potential(NFW_SPEC), good).acceleration([[1.0, 0.0, 0.0]], 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axis_ratios": [0.0, 0.5]}, r"mock.potential: axis ratios .* \(0, 1\] \(got 0\)"),
        ({"axis_ratios": [0.8, 1.25]}, "name that one first and turn the body with tilt"),
        ({"axis_ratios": [0.9, 0.1]}, "may not be below 0.3"),
        ({"axis_ratios": [0.9]}, "mock.potential.axis_ratios"),
        ({"c": -1.0}, "c must be positive"),
    ],
)
def test_bad_halos_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_potential(TRIAXIAL | change)
