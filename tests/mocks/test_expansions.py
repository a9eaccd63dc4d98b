"""Expansions in harmonics of any l and m: against closed forms, other codes, and themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from seeds import seeded

from haloassay.base.constants import GYR_PER_KPC_KMS, G
from haloassay.base.errors import InputError
from haloassay.mocks.gravity.agama_files import chosen, multipole
from haloassay.mocks.gravity.expansions import (
    Expansion,
    HarmonicTable,
    MovingExpansion,
    harmonics,
)
from haloassay.mocks.gravity.field_parts import FieldParts
from haloassay.mocks.gravity.fields import Field, field_of, make_field
from haloassay.mocks.gravity.integration import integrate
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.mocks.gravity.scf_files import scf_table

FILES = Path(__file__).parent / "agama_files"
HALO = {"kind": "nfw", "m200": 1e12, "c": 12.0}


def field(*expansions: Expansion) -> Field:
    return field_of([FieldParts(expansions=expansions)])


def places(n: int = 200, lo: float = 0.3, hi: float = 300.0, seed: int = 1) -> np.ndarray:
    rng = seeded(seed)
    direction = rng.normal(size=(n, 3))
    r = np.exp(rng.uniform(np.log(lo), np.log(hi), n))
    return direction * (r / np.linalg.norm(direction, axis=1))[:, None]


def relative(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)


def projected(potential: Field, r: np.ndarray, highest: int) -> HarmonicTable:
    """Phi_lm of a field on spheres, by Gauss and Legendre in cos theta and equal steps in phi."""
    from scipy.special import sph_harm_y

    mu, weight = np.polynomial.legendre.leggauss(40)
    phi = 2.0 * np.pi * np.arange(80) / 80
    mu, phi, weight = (a.ravel() for a in np.broadcast_arrays(mu[:, None], phi, weight[:, None]))
    s = np.sqrt(1.0 - mu**2)
    n = np.stack([s * np.cos(phi), s * np.sin(phi), mu], axis=1)
    basis = []
    for ell, m in harmonics(highest):
        # real, without the phase (-1)^m, of mean square 1
        y = sph_harm_y(ell, abs(m), np.arccos(mu), phi) * (-1.0) ** m * np.sqrt(4.0 * np.pi)
        basis.append(np.real(y) if m == 0 else np.sqrt(2.0) * (np.real(y) if m > 0 else np.imag(y)))
    weights = np.array(basis) * weight / (2.0 * 80)
    return HarmonicTable(r, np.stack([weights @ potential.potential(x * n) for x in r]))


def sphere(spec: dict[str, object], r: np.ndarray, slope: bool = False) -> HarmonicTable:
    potential = make_potential(spec)
    known = G * potential.enclosed_mass(r) / r
    return HarmonicTable(r, potential.potential(r)[:, None], known[:, None] if slope else None)


@pytest.mark.parametrize(("slope", "error"), [(True, 3e-5), (False, 2e-4)])
def test_an_nfw_halo_in_and_beyond_its_grid(slope: bool, error: float) -> None:
    """The grid has 30 radii from 1 to 300 kpc; power laws go on, a decade inside and a factor of five outside."""
    expansion = Expansion.of([0.0], [sphere(HALO, np.geomspace(1.0, 300.0, 30), slope)])
    exact = make_field(make_potential(HALO))
    for lo, hi, allowed in ((1.2, 250.0, error), (0.1, 1.0, 0.15), (300.0, 1500.0, 0.01)):
        x = places(lo=lo, hi=hi)
        assert relative(field(expansion).acceleration(x), exact.acceleration(x)).max() < allowed
    r = np.array([2.0, 20.0, 200.0])
    mass = make_potential(HALO).enclosed_mass(r)
    np.testing.assert_allclose(expansion.enclosed_mass(r), mass, rtol=20.0 * error)


def test_a_triaxial_halo_out_of_the_middle_has_all_harmonics() -> None:
    """Odd l, sines: a triaxial halo is turned, moved and projected; l up to 10 leaves this much of the force."""
    spec = {"kind": "triaxial-nfw", "m200": 1e12, "c": 12.0, "axis_ratios": [0.85, 0.7]}
    source = make_field(make_potential({**spec, "tilt": [20.0, 35.0, 50.0]}))
    x = places(lo=8.0, hi=200.0)
    centre = np.array([1.0, -0.7, 0.5])

    class Moved:
        def potential(self, position: np.ndarray) -> np.ndarray:
            return source.potential(position - centre)

    table = projected(Moved(), np.geomspace(4.0, 400.0, 60), 10)  # type: ignore[arg-type]
    found = field(Expansion.of([0.0], [table])).acceleration(x)
    assert np.abs(table.phi[:, [1, 2, 3, 4, 5, 9]]).max(axis=0).min() > 10.0
    error = relative(found, source.acceleration(x - centre))
    assert np.median(error) < 1e-4
    assert error.max() < 3e-3


def test_the_force_is_the_gradient_of_the_potential_everywhere() -> None:
    rng = seeded(3)
    r = np.geomspace(0.5, 100.0, 12)
    table = HarmonicTable(r, -1e4 / (1.0 + r[:, None] / 9.0) ** np.linspace(0.7, 2.0, 36))
    known = field(Expansion.of([0.0], [table]))
    x = np.vstack(
        [places(40, 1e-3, 9e3), [[0.0, 0.0, 7.0], [0.0, 0.0, -30.0]], places(3, 1e-4, 9e-4)]
    )
    assert rng is not None
    for at in x:
        step = 1e-4 * np.linalg.norm(at)
        moved = np.concatenate([at + step * np.eye(3), at - step * np.eye(3)])
        phi = known.potential(moved)
        expected = -(phi[:3] - phi[3:]) / (2.0 * step)
        found = known.acceleration(at)[0]
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.linalg.norm(found))


def test_forces_are_those_of_agama() -> None:
    """Coefficients to l = 3 of a triaxial halo that is turned and moved, 16 radii from 1 to 400 kpc, and beyond."""
    table = np.loadtxt(FILES / "forces.txt")
    expansion = Expansion.of([0.0], [multipole(chosen(FILES / "multipole.coef", ""))])
    x = table[:, :3]
    error = relative(field(expansion).acceleration(x), table[:, 3:])
    r = np.linalg.norm(x, axis=1)
    assert error[(r > 1.0) & (r < 400.0)].max() < 2e-4
    assert error.max() < 5e-3


def test_scf_coefficients_are_those_of_galpy() -> None:
    from galpy.potential import SCFPotential

    rng = seeded(4)
    S, T = rng.normal(size=(2, 4, 4, 4)) * np.tril(np.ones((4, 4)))
    S[0, 0, 0] = 10.0
    T[:, :, 0] = 0.0
    # galpy counts m = 0 twice, and its mass is in a: Phi in units of G M / a
    theirs = SCFPotential(Acos=S * np.where(np.arange(4) == 0, 2.0, 1.0), Asin=T, a=1.0)
    ours = field(Expansion.of([0.0], [scf_table(S, T, 20.0, 1e10)]))
    x = places(20, 2.0, 300.0)
    phi = [
        theirs(np.hypot(a, b) / 20.0, c / 20.0, phi=np.arctan2(b, a), use_physical=False)
        for a, b, c in x
    ]
    np.testing.assert_allclose(ours.potential(x), np.array(phi) * G * 1e10 / 20.0, rtol=2e-6)


def changing(time: np.ndarray) -> Expansion:
    """NFW with a dipole and a quadrupole that turn with a period of 2 Gyr."""
    r = np.geomspace(0.5, 300.0, 40)
    made = []
    for t in time:
        base = sphere(HALO, r).phi
        phi = np.zeros((len(r), 9))
        phi[:, :1] = base
        shape = 0.05 * base[:, 0] * (r / 60.0) / (1.0 + (r / 60.0) ** 2)
        phi[:, 3], phi[:, 1] = shape * np.cos(np.pi * t), shape * np.sin(np.pi * t)
        phi[:, 8] = shape * np.cos(2.0 * np.pi * t)
        made.append(HarmonicTable(r, phi))
    return Expansion.of(time, made)


def resting(expansion: Expansion) -> MovingExpansion:
    time = np.linspace(expansion.time[0], expansion.time[-1], 5)
    return MovingExpansion(expansion, time, np.zeros((5, 3)), np.zeros((5, 3)))


def test_between_snapshots_the_field_is_cubic_in_time() -> None:
    """Unequal steps of 50 to 150 Myr: the force is off by a tenth of what straight lines would miss, or less."""
    steps = np.tile([0.05, 0.1, 0.15], 7)
    time = -2.0 + np.concatenate([[0.0], np.cumsum(steps)])
    known = field_of([], [resting(changing(time))])
    x = places(100, 5.0, 150.0)
    for at in (-1.925, -1.03, -0.26):
        exact = field(changing(np.array([at]))).acceleration(x)
        error = relative(known.acceleration(x, at), exact).max()
        k = int(np.searchsorted(time, at))
        s = (at - time[k - 1]) / (time[k] - time[k - 1])
        ends = [field(changing(time[[j]])).acceleration(x) for j in (k - 1, k)]
        straight = relative((1.0 - s) * ends[0] + s * ends[1], exact).max()
        assert error < 2e-4
        assert error < 0.1 * straight
        at_rest = field(changing(time).at(at)).acceleration(x)
        np.testing.assert_allclose(known.acceleration(x, at), at_rest, rtol=1e-9)


def test_stars_go_back_where_they_came_from() -> None:
    known = field_of([], [resting(changing(np.linspace(-2.0, 0.0, 33)))])
    x, v = places(40, 10.0, 80.0), 120.0 * places(40, 0.5, 1.5, seed=2)
    then = integrate(known, x, v, 0.0, -2.0, 1e-9)
    back = integrate(known, then.position, then.velocity, -2.0, 0.0, 1e-9)
    assert np.linalg.norm(then.position - x, axis=1).min() > 1.0
    np.testing.assert_allclose(back.position, x, atol=1e-3)


def test_a_centre_on_a_path_in_a_frame_that_is_pushed() -> None:
    """Stars in a halo that moves uniformly in an accelerated frame are those of one that rests."""
    expansion = Expansion.of([0.0], [sphere(HALO, np.geomspace(0.1, 500.0, 80))])
    time = np.linspace(-1.0, 0.0, 11)
    speed, push = np.array([80.0, -30.0, 50.0]), np.array([300.0, 100.0, -50.0])
    t = time[:, None] / GYR_PER_KPC_KMS
    path = speed * t - 0.5 * push * t**2
    moved = field_of([], [MovingExpansion(expansion, time, path, np.tile(push, (11, 1)))])
    x, v = places(30, 10.0, 60.0), 100.0 * places(30, 0.5, 1.5, seed=2)
    still = integrate(field(expansion), x, v, 0.0, -1.0, 1e-9)
    found = integrate(moved, x, v + speed, 0.0, -1.0, 1e-9)
    np.testing.assert_allclose(found.position, still.position + path[0], atol=2e-3)


@pytest.mark.parametrize(
    ("r", "phi", "message"),
    [
        ([1.0, 2.0, 3.0], np.ones((3, 1)), "4 radii or more"),
        ([1.0, 2.0, 2.0, 3.0], np.ones((4, 1)), r"radii must rise .*radius 3 is 2"),
        ([0.0, 1.0, 2.0, 3.0], np.ones((4, 1)), "radii must rise from above zero"),
        ([1.0, np.nan, 2.0, 3.0], np.ones((4, 1)), "radius 2 is not finite"),
        ([1.0, 2.0, 3.0, 4.0], np.ones((4, 3)), r"\(l \+ 1\)\^2 numbers"),
        ([1.0, 2.0, 3.0, 4.0], np.ones((4, 26**2)), "l is at most 24"),
    ],
)
def test_a_table_that_is_none_is_refused(r: list[float], phi: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        HarmonicTable(np.array(r), phi)


def test_what_is_not_a_number_is_named() -> None:
    phi = -np.ones((5, 4))
    phi[2, 3] = np.nan
    with pytest.raises(InputError, match="phi of l = 1, m = 1 at radius 3 is not finite"):
        HarmonicTable(np.arange(1.0, 6.0), phi)


@pytest.mark.parametrize("time", [[0.0, 0.0], [0.0, -1.0], [0.0]])
def test_times_must_rise_and_be_as_many_as_tables(time: list[float]) -> None:
    table = sphere(HALO, np.geomspace(1.0, 10.0, 5))
    with pytest.raises(InputError, match="times"):
        Expansion.of(time, [table, table])
