"""Halos whose axis ratios change with radius: forces against Newton's integral, masses, what is refused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from seeds import seeded

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.mocks import make_mock
from haloassay.mocks.backends.agama.conversion import to_agama
from haloassay.mocks.backends.galpy.conversion import to_galpy
from haloassay.mocks.gravity.fields import make_field
from haloassay.mocks.gravity.potentials import CompositePotential, make_potential
from haloassay.mocks.gravity.triaxial import TriaxialNFW

HALO = {"kind": "triaxial-nfw", "m200": 1e12, "c": 12.0}
RATIOS = {"r": [6.0, 25.0, 100.0], "b_a": [0.7, 0.9, 0.95], "c_a": [0.5, 0.8, 0.7]}
TILT = (20.0, 30.0, -10.0)


def halo(ratios: dict[str, list[float]], tilt: tuple[float, ...] = (0.0, 0.0, 0.0)):
    return make_potential({**HALO, "axis_ratios": ratios, "tilt": list(tilt)})


def component(potential: CompositePotential) -> TriaxialNFW:
    (found,) = potential.components
    assert isinstance(found, TriaxialNFW)
    return found


def places(n: int, lo: float, hi: float, seed: int = 5) -> np.ndarray:
    """(n, 3) places at radii in equal steps of ln r."""
    direction = seeded(seed).normal(size=(n, 3))
    return direction * (np.geomspace(lo, hi, n) / np.linalg.norm(direction, axis=1))[:, None]


def density(potential: CompositePotential, x: np.ndarray) -> np.ndarray:
    """The definition in Cartesian coordinates, that of the halo upright: shares no code with it."""
    mass, r_s = component(potential).scales
    log_r = np.log(np.linalg.norm(x, axis=-1))
    b, c = (np.interp(log_r, np.log(RATIOS["r"]), RATIOS[key]) for key in ("b_a", "c_a"))
    s = np.cbrt(b * c) * np.sqrt(x[..., 0] ** 2 + (x[..., 1] / b) ** 2 + (x[..., 2] / c) ** 2)
    return mass / (4.0 * np.pi * r_s**3) / ((s / r_s) * (1.0 + s / r_s) ** 2)


def newton(potential: CompositePotential, x: np.ndarray) -> np.ndarray:
    """Acceleration at one place: G times the integral of rho along all rays from there.

    With a polar axis towards the centre, along which nodes crowd, and distances counted from where a ray
    passes it. Doubling all numbers of nodes changes it by 5e-6 at most.
    """
    r = np.linalg.norm(x)
    pole = -x / r
    side = np.cross(pole, [0.3, 0.5, 0.8])
    side /= np.linalg.norm(side)
    azimuth = 2.0 * np.pi * (np.arange(32) + 0.5) / 32
    ring = np.outer(np.cos(azimuth), side) + np.outer(np.sin(azimuth), np.cross(pole, side))
    t, w = np.polynomial.legendre.leggauss(100)
    p = 0.5 * (t + 1.0)
    theta, weight = np.pi * p**3, 1.5 * np.pi * p**2 * w * np.sin(np.pi * p**3)
    nodes, shares = np.polynomial.legendre.leggauss(300)
    total = np.zeros(3)
    for angle, share in zip(theta, weight, strict=True):
        rays = np.cos(angle) * pole + np.sin(angle) * ring
        near, miss = r * np.cos(angle), r * np.sin(angle)
        lo, hi = np.arcsinh(-near / miss), np.arcsinh((1e6 - near) / miss)
        u = lo + 0.5 * (hi - lo) * (nodes + 1.0)
        along = near + miss * np.sinh(u)
        steps = 0.5 * (hi - lo) * shares * miss * np.cosh(u)
        columns = density(potential, x + along[None, :, None] * rays[:, None, :]) @ steps
        total += share * 2.0 * np.pi / 32 * (columns @ rays)
    return G * total


def test_forces_are_those_of_newton() -> None:
    potential, x = halo(RATIOS), places(6, 2.0, 200.0)
    expected = np.array([newton(potential, place) for place in x])
    found = make_field(potential).acceleration(x)
    misses = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
    # the quadrature's own error; a table read at s in place of r misses by 1e-2
    assert misses.max() < 6e-6


def test_divergence_is_the_density() -> None:
    """Poisson's equation at random places, away from creases, where a second derivative has a jump."""
    potential, x = halo(RATIOS), places(200, 0.5, 300.0)
    field, h = make_field(potential), 3e-3 * np.linalg.norm(x, axis=1)
    divergence = np.zeros(len(x))
    for d in range(3):
        step = np.outer(h, np.eye(3)[d])
        at = {k: field.acceleration(x + k * step)[:, d] for k in (-2, -1, 1, 2)}
        divergence += (8.0 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12.0 * h)
    misses = np.abs(-divergence / (4.0 * np.pi * G) / density(potential, x) - 1.0)
    # cells of the radial grid are 7 per cent wide, and the spline of the monopole rings in the next ones
    crease = np.min(np.abs(np.log(np.linalg.norm(x, axis=1)[:, None] / RATIOS["r"])), axis=1) < 0.15
    assert misses[~crease].max() < 1e-4
    assert misses.max() < 2e-3


def test_masses_are_exact_and_the_monopole_is_theirs() -> None:
    potential = halo(RATIOS)
    virial = potential.virial()
    assert virial.m200 == pytest.approx(1e12, rel=1e-12)
    assert float(potential.enclosed_mass(virial.r200)) == pytest.approx(1e12, rel=1e-12)
    t, w = np.polynomial.legendre.leggauss(40)
    cosine, azimuth = 0.5 * (t + 1.0), 0.25 * np.pi * (t + 1.0)
    sine = np.sqrt(1.0 - cosine**2)
    direction = np.stack(
        [
            np.outer(sine, np.cos(azimuth)),
            np.outer(sine, np.sin(azimuth)),
            np.outer(cosine, np.ones(40)),
        ],
        axis=-1,
    )

    def shell(r: float) -> float:
        return float(4.0 * np.pi * r * r * 0.25 * w @ density(potential, r * direction) @ w)

    for lo, hi in pairwise((1.0, 6.0, 15.0, 25.0, 100.0, 250.0)):
        gain, _ = quad(shell, lo, hi, epsrel=1e-11)
        got = potential.enclosed_mass(hi) - potential.enclosed_mass(lo)
        assert float(got) == pytest.approx(gain, rel=1e-9)
    for r in (1.0, 6.0, 15.0, 60.0, 250.0):
        # int of G M / r^2 from r to where the halo is a point mass but for a logarithm
        work, _ = quad(
            lambda x: G * float(potential.enclosed_mass(np.exp(x))) * np.exp(-x),
            np.log(r),
            np.log(1e4),
            points=np.log([q for q in (6.0, 25.0, 100.0) if q > r]) if r < 100.0 else None,
            epsrel=1e-11,
        )
        rise = float(potential.potential(1e4) - potential.potential(r))
        assert rise == pytest.approx(work, rel=1e-9)


def test_a_table_of_equal_ratios_is_a_halo_of_that_shape() -> None:
    table = halo({"r": [5.0, 20.0, 80.0], "b_a": [0.8] * 3, "c_a": [0.6] * 3}, TILT)
    numbers = make_potential({**HALO, "axis_ratios": [0.8, 0.6], "tilt": list(TILT)})
    r, x = np.geomspace(1e-3, 1e4, 50), places(40, 0.3, 300.0)
    for name in ("enclosed_mass", "potential"):
        np.testing.assert_allclose(getattr(table, name)(r), getattr(numbers, name)(r), rtol=1e-13)
    a, b = (make_field(potential).acceleration(x) for potential in (table, numbers))
    np.testing.assert_allclose(a, b, rtol=0.0, atol=1e-11 * np.abs(b).max())


def test_ends_of_the_table_are_kept() -> None:
    """Well within and far beyond the table the shape is that of its ends."""
    field = make_field(halo(RATIOS))
    for r, (b, c) in ((0.02, (0.7, 0.5)), (5e3, (0.95, 0.7))):
        other = make_field(make_potential({**HALO, "axis_ratios": [b, c]}))
        x = r * np.eye(3)
        flattening = [np.ptp(f.potential(x)) / np.mean(f.acceleration(x)) for f in (field, other)]
        assert flattening[0] == pytest.approx(flattening[1], rel=0.1)


def test_it_is_described_and_tilted_as_any_other() -> None:
    potential, upright = halo(RATIOS, TILT), halo(RATIOS)
    assert make_potential(potential.to_plain()) == potential
    from scipy.spatial.transform import Rotation

    turn, x = Rotation.from_euler("ZYX", TILT, degrees=True), places(20, 0.5, 300.0)
    expected = turn.apply(make_field(upright).acceleration(turn.inv().apply(x)))
    np.testing.assert_allclose(
        make_field(potential).acceleration(x), expected, atol=1e-9 * np.abs(expected).max()
    )


def test_a_scenario_may_have_one() -> None:
    mock = make_mock(
        {
            "kind": "equilibrium",
            "potential": {**HALO, "axis_ratios": RATIOS},
            "density": {"kind": "broken-power-law", "slopes": [-2.5, -4.0], "breaks": [20.0]},
            "beta": 0.3,
            "shape": {"axis_ratios": {"r": [10.0, 40.0], "b_a": [0.9, 0.95], "c_a": [0.7, 0.9]}},
            "population": {"size": 300, "time": 0.2, "drift_time": 0.1},
            "r_range": [5.0, 60.0],
        }
    )
    assert len(mock.sample(100, seeded(1))) == 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"r": [6.0, 6.0, 100.0]}, r"axis_ratios: r must rise"),
        ({"r": [25.0, 6.0, 100.0]}, r"axis_ratios: r must rise"),
        ({"b_a": [0.7, 0.9, 1.05]}, r"axis_ratios: axis ratios .* \(got 1.05\)"),
        ({"c_a": [0.25, 0.8, 0.7]}, r"may not be below 0.3 \(got 0.25\)"),
        ({"c_a": [0.5, 0.8]}, "equal lengths"),
        ({"r": [6.0, 7.0, 100.0], "c_a": [0.4, 1.0, 0.7]}, r"near 6 kpc: .* third axis"),
        ({"r": [6.0, 90.0, 100.0], "b_a": [0.4, 0.4, 0.6]}, r"near 90 kpc: .* second axis"),
        (
            {"r": [6.0, 25.0, 28.0], "b_a": [1.0, 1.0, 0.7], "c_a": [1.0, 1.0, 0.6]},
            r"near 28 kpc: .* first axis",
        ),
    ],
)
def test_bad_tables_are_refused(change: dict[str, list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        halo(RATIOS | change)
    assert "\n" not in str(caught.value)


def test_what_is_refused_is_what_does_not_fall_along_some_ray() -> None:
    """The criterion on the three axes against densities along many rays, for random tables."""
    rng = seeded(8)
    direction = np.abs(rng.normal(size=(500, 3)))
    direction[:3] = np.eye(3)
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    r = np.geomspace(9.0, 14.0, 400)
    refused = 0
    for _ in range(60):
        b, c = rng.uniform(0.3, 1.0, (2, 2))
        b_a, c_a = (np.interp(np.log(r), np.log([10.0, 13.0]), q) for q in (b, c))
        lengths = np.stack([np.ones(400), b_a, c_a], axis=1) / np.cbrt(b_a * c_a)[:, None]
        s = r[:, None] * np.sqrt(lengths**-2.0 @ (direction**2).T)
        falls = bool(np.all(np.diff(s, axis=0) > 0.0))
        try:
            halo({"r": [10.0, 13.0], "b_a": b.tolist(), "c_a": c.tolist()})
        except InputError:
            refused += 1
            assert not falls
        else:
            assert falls
    assert 10 < refused < 50


def test_galpy_has_no_counterpart_but_the_monopole() -> None:
    with pytest.raises(InputError, match="galpy has no triaxial halo whose axis ratios change"):
        to_galpy(halo(RATIOS))
    pot = to_galpy(halo(RATIOS), monopole=True)
    pull = -float(pot.Rforce(1.0, 0.0, use_physical=False)) * 220.0**2 / 8.0
    expected = G * float(halo(RATIOS).enclosed_mass(8.0)) / 64.0
    assert pull == pytest.approx(expected, rel=1e-10)


@pytest.mark.agama
def test_agama_has_the_same_forces() -> None:
    pytest.importorskip("agama")
    potential, x = halo(RATIOS, TILT), places(100, 0.5, 300.0)
    expected = make_field(potential).acceleration(x)
    misses = np.linalg.norm(to_agama(potential).force(x) - expected, axis=1)
    assert np.max(misses / np.linalg.norm(expected, axis=1)) < 1e-5
