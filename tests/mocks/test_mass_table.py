"""Potentials of a table of masses."""

from __future__ import annotations

import numpy as np
import pytest

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.mocks.gravity.mass_table import MassTable
from haloassay.mocks.gravity.potentials import make_potential

HALO = {"kind": "nfw", "m200": 0.8e12, "c": 15.0}


def test_it_is_the_sphere_that_it_was_made_of() -> None:
    halo = make_potential(HALO)
    table = MassTable.of(halo.enclosed_mass, dark=True)
    r = np.geomspace(1e-8, 1e6, 60)
    np.testing.assert_allclose(table.enclosed_mass(r), halo.enclosed_mass(r), rtol=1e-6)
    r = np.geomspace(1e-3, 1e3, 40)
    edge = table.potential(1e7) - halo.potential(1e7)
    np.testing.assert_allclose(table.potential(r), halo.potential(r) + edge, rtol=1e-8)
    np.testing.assert_allclose(table.density(r), halo.components[0].density(r), rtol=1e-4)
    far = table.potential([1e7, 4e7])
    assert far[1] == pytest.approx(far[0] / 4.0, rel=1e-12)


@pytest.mark.parametrize("power", [0.5, 1.0, 1.5])
def test_within_the_first_radius_the_force_is_the_gradient(power: float) -> None:
    r = np.geomspace(1.0, 100.0, 9)
    table = MassTable(tuple(r), tuple(1e10 * r**power))
    x, h = np.array([1e-3, 0.1, 0.9]), 1e-4
    rise = table.potential(x * np.exp(h)) - table.potential(x * np.exp(-h))
    np.testing.assert_allclose(rise / (2 * h), G * 1e10 * x ** (power - 1), rtol=1e-7)


def test_it_describes_itself() -> None:
    r = (0.1, 1.0, 10.0, 100.0)
    spec = {"kind": "mass-table", "r": list(r), "mass": [1e8, 1e10, 1e11, 5e11], "dark": True}
    potential = make_potential(spec)
    assert make_potential(potential.to_plain()) == potential
    np.testing.assert_allclose(potential.enclosed_mass(r), spec["mass"], rtol=1e-12)


@pytest.mark.parametrize(
    ("r", "mass", "message"),
    [
        ([1, 2, 3], [1, 2, 3], "4 radii"),
        ([1, 2, 3, 4], [1, 2, 3], "differ in length"),
        ([1, 2, 2, 4], [1, 2, 3, 4], "must rise"),
        ([0, 1, 2, 4], [1, 2, 3, 4], "must rise"),
        ([1, 2, 3, 4], [0, 2, 3, 4], "must be positive"),
        ([1, 2, 3, 4], [1, 2, 1.5, 4], "must not fall .*3 kpc"),
        ([1, 2, 3, 4, 5], [1, 1, 1, 1e6, 1e6], "falls near .*add radii"),
    ],
)
def test_no_mass_that_falls(r, mass, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_potential({"kind": "mass-table", "r": r, "mass": mass})


def test_an_expansion_may_fail_at_the_very_centre_only() -> None:
    def hollow(r: np.ndarray) -> np.ndarray:
        return 1e10 * (r - 0.003) / (1.0 + r)

    table = MassTable.of(hollow)
    assert 0.003 < table.r[0] < 0.1
    r = np.geomspace(0.1, 100.0, 9)
    np.testing.assert_allclose(table.enclosed_mass(r), hollow(r), rtol=1e-6)
    with pytest.raises(InputError, match="not positive within"):
        MassTable.of(lambda r: hollow(r / 100.0))


def test_a_function_that_fails_far_out_ends_there() -> None:
    """As the quadrature of galpy's perfect ellipsoid does beyond some thousand kpc; nearer it is refused."""

    def mass(r: np.ndarray, end: float = 3000.0) -> np.ndarray:
        return 1e12 * r**3 / (r * r + 100.0) ** 1.5 * np.where(r < end, 1.0, 0.1)

    table = MassTable.of(mass)
    assert 2500.0 < table.r[-1] < 3000.0
    assert float(table.enclosed_mass(1e7)) == pytest.approx(1e12, rel=1e-4)
    with pytest.raises(InputError, match="mass must not fall"):
        MassTable.of(lambda r: mass(r, 500.0))
