"""Potentials to and from galpy: forces, masses, potentials at random points; what cannot be converted."""

from __future__ import annotations

import galpy.potential as gp
import numpy as np
import pytest
from galpy.util.conversion import get_physical
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import seeded

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.mocks.backends.galpy.conversion import from_galpy, to_galpy
from haloassay.mocks.backends.galpy.parameters import miyamoto_nagai
from haloassay.mocks.backends.galpy.potential import GalpyMembers, GalpyPotential
from haloassay.mocks.gravity.fields import make_field
from haloassay.mocks.gravity.mass_table import MassTable
from haloassay.mocks.gravity.potentials import (
    NFW,
    CompositePotential,
    Hernquist,
    MWPotential2014Baryons,
    make_potential,
)
from haloassay.mocks.gravity.shapes import rotation_matrix
from haloassay.mocks.gravity.triaxial import TriaxialNFW

HALO = {"kind": "nfw", "m200": 0.8e12, "c": 15.0}
UNITS = {"ro": 8.0, "vo": 220.0}

SPHERES = [
    HALO,
    {"kind": "nfw", "rho0": 1e7, "r_s": 15.0},
    {"kind": "hernquist", "mass": 1e12, "a": 20.0},
    {"kind": "plummer", "mass": 1e11, "a": 3.0},
    {"kind": "point-mass", "mass": 1e10},
    {"kind": "zhai2018-baryons"},
    [HALO, {"kind": "zhai2018-baryons", "disc_mass": 5e10}, {"kind": "point-mass", "mass": 4e6}],
]
FLATTENED = [
    [HALO, {"kind": "mwpotential2014-baryons", "factor": 1.1}],
    {"kind": "galpy", "name": "MWPotential2014"},
]


def points(n: int, seed: int = 4) -> np.ndarray:
    """(n, 3) points at 0.05 to 400 kpc."""
    rng = seeded(seed)
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    return direction * np.exp(rng.uniform(np.log(0.05), np.log(400.0), n))[:, None]


def galpy_forces(pot, x: np.ndarray) -> np.ndarray:
    """(n, 3) forces [(km/s)^2/kpc] of a galpy potential along R, phi (as torque over R), z."""
    ro, vo = get_physical(pot).values()
    R, z = np.hypot(x[:, 0], x[:, 1]) / ro, x[:, 2] / ro
    azimuth = np.arctan2(x[:, 1], x[:, 0])
    forces = []
    for at in zip(R, z, azimuth, strict=True):
        where = {"R": at[0], "z": at[1], "phi": at[2], "use_physical": False}
        forces.append((pot.Rforce(**where), pot.phitorque(**where) / at[0], pot.zforce(**where)))
    return np.array(forces, dtype=float) * vo**2 / ro


def our_forces(potential, x: np.ndarray) -> np.ndarray:
    """(n, 3) forces of a spherical potential, along R, phi, z."""
    r = np.linalg.norm(x, axis=1)
    pull = -G * potential.enclosed_mass(r) / r**3
    return np.stack([pull * np.hypot(x[:, 0], x[:, 1]), 0.0 * r, pull * x[:, 2]], axis=1)


@pytest.mark.parametrize("spec", SPHERES, ids=str)
def test_spheres_have_the_same_forces_to_rounding(spec) -> None:
    potential, x = make_potential(spec), points(60)
    pot = to_galpy(potential)
    units = [get_physical(member, include_set=True) for member in [pot, *pot]]
    assert all(physical["roSet"] and physical["voSet"] for physical in units)
    got, expected = galpy_forces(pot, x), our_forces(potential, x)
    scale = np.linalg.norm(expected, axis=1)
    assert np.max(np.linalg.norm(got - expected, axis=1) / scale) < 1e-10


@pytest.mark.parametrize("spec", [*SPHERES, *FLATTENED], ids=str)
def test_the_monopole_has_the_forces_that_the_mock_moves_in(spec) -> None:
    potential, x = make_potential(spec), points(60)
    got = galpy_forces(to_galpy(potential, monopole=True), x)
    expected = our_forces(potential, x)
    scale = np.linalg.norm(expected, axis=1)
    assert np.max(np.linalg.norm(got - expected, axis=1) / scale) < 1e-10


@pytest.mark.parametrize("spec", [*SPHERES, *FLATTENED], ids=str)
def test_masses_potentials_and_densities_agree(spec) -> None:
    """Differences of potentials, because galpy has other zero points; masses by galpy's own G."""
    potential = make_potential(spec)
    pot = to_galpy(potential, monopole=True)
    r = np.array([0.3, 2.0, 8.0, 40.0, 250.0])
    ro, vo = get_physical(pot).values()
    phi = np.array([pot(x / ro, 0.0, use_physical=False) * vo**2 for x in r])
    ours = potential.potential(r)
    np.testing.assert_allclose(phi - phi[-1], ours - ours[-1], rtol=1e-9, atol=1e-6)
    mass = [sum(float(m.mass(x / ro, use_physical=True)) for m in pot) for x in r]
    np.testing.assert_allclose(mass, potential.enclosed_mass(r), rtol=1e-7)
    h = 1e-4
    gain = potential.enclosed_mass(r * np.exp(h)) - potential.enclosed_mass(r * np.exp(-h))
    expected = gain / (4.0 * np.pi * r**3 * 2.0 * h)
    density = np.array([float(pot.dens(x / ro, 0.0, use_physical=False)) for x in r])
    mean = potential.enclosed_mass(r) / (4.0 * np.pi * r**3)
    misses = np.abs(density * vo**2 / ro**2 / G - expected)
    np.testing.assert_array_less(misses, 1e-6 * mean)


def test_second_derivative_of_a_component_in_galpy() -> None:
    """What a tidal radius needs: by differences of the force."""
    (member,) = to_galpy(make_potential({"kind": "zhai2018-baryons"}))
    x, h = 0.7, 1e-5
    force = [float(member.Rforce(x + s * h, 0.0, use_physical=False)) for s in (-1, 1)]
    got = float(member.R2deriv(x, 0.0, use_physical=False))
    assert got == pytest.approx(-(force[1] - force[0]) / (2.0 * h), rel=1e-7)


def test_the_disc_is_a_disc_unless_the_monopole_is_wanted() -> None:
    """galpy's own classes, with the masses and scales that Bird et al. (2022) state."""
    potential = make_potential({"kind": "mwpotential2014-baryons"})
    bulge, disc = to_galpy(potential)
    _, a, b = miyamoto_nagai(disc)
    assert (a * 8.0, b * 8.0) == pytest.approx((3.0, 0.28), rel=1e-12)
    s = np.hypot(5.0, 0.28)
    above, beside = galpy_forces(disc, np.array([[1e-9, 0.0, 5.0], [5.0, 0.0, 1e-9]]))
    assert -above[2] == pytest.approx(G * 6.8e10 * 5.0 / s / (3.0 + s) ** 2, rel=1e-12)
    assert -beside[0] == pytest.approx(G * 6.8e10 * 5.0 / (25.0 + 3.28**2) ** 1.5, rel=1e-12)
    mass = [float(bulge.mass(1e3, use_physical=True)), float(disc.mass(1e5, use_physical=True))]
    assert mass == pytest.approx([0.5e10, 6.8e10], rel=1e-5)


def test_a_named_potential_keeps_its_flattening_and_units() -> None:
    pot = to_galpy(make_potential([{"kind": "galpy", "name": "MWPotential2014"}, HALO]))
    x = points(20)
    expected = galpy_forces(gp.MWPotential2014, x) + our_forces(make_potential(HALO), x)
    np.testing.assert_allclose(galpy_forces(pot, x), expected, rtol=1e-11, atol=1e-9)
    assert not get_physical(gp.MWPotential2014[0], include_set=True)[
        "roSet"
    ]  # galpy's own object is as it was


@pytest.mark.parametrize("monopole", [False, True])
@pytest.mark.parametrize("spec", [*SPHERES, FLATTENED[0]], ids=str)
def test_there_and_back(spec, monopole: bool) -> None:
    potential = make_potential(spec)
    back = from_galpy(to_galpy(potential, monopole=monopole))
    assert not any(isinstance(c, MassTable) for c in back.components)
    r = np.geomspace(1e-3, 1e4, 30)
    np.testing.assert_allclose(back.enclosed_mass(r), potential.enclosed_mass(r), rtol=1e-12)
    np.testing.assert_allclose(back.potential(r), potential.potential(r), rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.floats(1e8, 1e14), st.floats(0.1, 300.0), st.floats(5.0, 10.0), st.floats(100.0, 300.0))
def test_scales_do_not_depend_on_galpys_units(mass: float, a: float, ro: float, vo: float) -> None:
    galpy_mass = mass * G / (vo**2 * ro)
    pot = gp.HernquistPotential(amp=2.0 * galpy_mass, a=a / ro, ro=ro, vo=vo)
    (component,) = from_galpy(pot).components
    assert isinstance(component, Hernquist)
    assert (component.mass, component.a) == pytest.approx((mass, a), rel=1e-12)


def test_milky_way_of_galpy_keeps_its_halo() -> None:
    """The NFW sphere is recognised and dark; bulge and disc are averaged and are not."""
    milky_way = from_galpy(gp.MWPotential2014, **UNITS)
    assert [type(c) for c in milky_way.components] == [NFW, GalpyMembers]
    named = GalpyPotential("MWPotential2014")
    r = np.geomspace(0.1, 500.0, 40)
    np.testing.assert_allclose(milky_way.enclosed_mass(r), named.enclosed_mass(r), rtol=2e-7)
    # Bovy (2015, Table 1): 0.8e12 Msun, of another overdensity
    assert 0.6e12 < milky_way.virial().m200 < 0.9e12
    ours = from_galpy(to_galpy(make_potential(FLATTENED[0])))
    assert {type(c) for c in ours.components} == {NFW, MWPotential2014Baryons}


def test_dark_members_are_the_users_to_name() -> None:
    bulge = gp.HernquistPotential(amp=0.1, a=0.05, **UNITS)
    disc = gp.MiyamotoNagaiPotential(amp=0.5, a=0.4, b=0.03, **UNITS)
    halo = gp.NFWPotential(amp=5.0, a=2.0, **UNITS)
    alone = from_galpy(halo).virial()
    assert from_galpy([bulge, disc, halo]).virial() == pytest.approx(alone, rel=1e-12)
    everything = from_galpy(bulge + disc + halo, dark=(True, True, True))
    r = 100.0
    assert float(everything.dark_mass(r)) == pytest.approx(float(everything.enclosed_mass(r)))
    assert everything.virial().m200 > alone.m200
    none = from_galpy([bulge, disc, halo], dark=(False, False, False))
    assert np.all(np.isnan(none.virial()))
    assert float(none.enclosed_mass(r)) == pytest.approx(
        float(everything.enclosed_mass(r)), rel=1e-7
    )
    with pytest.raises(InputError, match="one value for each of 3 potentials"):
        from_galpy([bulge, disc, halo], dark=(True,))


def test_a_name_is_kept_where_nothing_else_is_known(monkeypatch) -> None:
    disc = gp.MiyamotoNagaiPotential(amp=0.5, a=0.4, b=0.03, **UNITS)
    monkeypatch.setattr(gp, "NamedDisc", disc, raising=False)
    assert from_galpy(disc).components == (GalpyPotential("NamedDisc"),)
    assert isinstance(from_galpy([disc]).components[0], MassTable)


def test_anything_static_is_tabulated() -> None:
    """A triaxial logarithmic potential: M = r v^2 / G far outside its core."""
    pot = gp.LogarithmicHaloPotential(amp=1.0, q=0.9, b=0.95, core=1e-4, **UNITS)
    (table,) = from_galpy(pot).components
    assert isinstance(table, MassTable)
    r = np.geomspace(1.0, 300.0, 10)
    np.testing.assert_allclose(table.enclosed_mass(r), r * 220.0**2 / G, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gp.MWPotential2014, r"PowerSphericalPotentialwCutoff has no units: .*ro="),
        (lambda: gp.NFWPotential(ro=8.0), "NFWPotential has no units"),
        (
            lambda: gp.SolidBodyRotationWrapperPotential(
                pot=gp.LogarithmicHaloPotential(b=0.8), omega=0.3, **UNITS
            ),
            "SolidBodyRotation.* changes with time",
        ),
        (lambda: gp.DehnenBarPotential(**UNITS), "DehnenBarPotential changes with time"),
        (
            lambda: [
                gp.NFWPotential(**UNITS),
                gp.ChandrasekharDynamicalFrictionForce(GMs=0.1, dens=gp.MWPotential2014, **UNITS),
            ],
            "ChandrasekharDynamicalFrictionForce depends on velocity",
        ),
        (lambda: gp.NFWPotential(**UNITS).toPlanar(), "three dimensions"),
        (lambda: gp.NullPotential(**UNITS), "NullPotential: .*not positive"),
        (
            lambda: [gp.NFWPotential(**UNITS), gp.NFWPotential(ro=8.3, vo=220.0)],
            "NFWPotential has ro = 8.3, vo = 220; the first potential has ro = 8",
        ),
        (lambda: [], "empty list"),
        (lambda: "MWPotential2014", r"expected a galpy potential .*got str"),
    ],
)
def test_what_cannot_be_converted_is_named(make, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        from_galpy(make())
    assert "\n" not in str(caught.value)


class Egg:
    """A flattened component of another package's."""

    dark, label = False, "an egg"

    def enclosed_mass(self, r):
        return 1e10 * np.ones(np.shape(r))

    def potential(self, r):
        return -G * 1e10 / np.asarray(r)

    def field_parts(self):
        raise NotImplementedError


def test_a_flattening_that_galpy_has_not_is_not_lost_in_silence() -> None:
    potential = CompositePotential((Egg(),))
    with pytest.raises(InputError, match="an egg has no counterpart in galpy; monopole=True"):
        to_galpy(potential)
    x = points(5)
    got = galpy_forces(to_galpy(potential, monopole=True), x)
    np.testing.assert_allclose(got, our_forces(potential, x), rtol=1e-10, atol=1e-10)


def test_units_are_given_once() -> None:
    with pytest.raises(InputError, match="both ro and vo"):
        from_galpy(gp.MWPotential2014, ro=8.0)
    with pytest.raises(InputError, match="ro must be positive"):
        from_galpy(gp.MWPotential2014, ro=-8.0, vo=220.0)
    with pytest.raises(InputError, match="units of their own"):
        from_galpy(gp.NFWPotential(**UNITS), ro=8.3, vo=220.0)


def test_named_potentials_of_different_units_do_not_add_up() -> None:
    specs = [{"kind": "galpy", "name": n} for n in ("MWPotential2014", "Irrgang13I")]
    with pytest.raises(InputError, match=r"different units .*Irrgang13I has ro = 8.4"):
        to_galpy(make_potential(specs))


class TestTriaxial:
    TILTS = (
        (0.0, 0.0, 0.0),
        (30.0, 0.0, 0.0),
        (25.0, 40.0, 10.0),
        (0.0, 90.0, 0.0),
        (10.0, 0.0, 180.0),
    )

    @pytest.mark.parametrize("tilt", TILTS)
    def test_the_tilted_halo_is_galpys(self, tilt) -> None:
        """Our multipoles against galpy's quadrature: the same axes, turned the same way."""
        potential = CompositePotential((TriaxialNFW(1e12, 10.0, (0.8, 0.7), tilt),))
        x = points(40)
        x *= (np.clip(np.linalg.norm(x, axis=1), 1.0, 200.0) / np.linalg.norm(x, axis=1))[:, None]
        got, ours = galpy_forces(to_galpy(potential), x), make_field(potential).acceleration(x)
        cos, sin = (x[:, k] / np.hypot(x[:, 0], x[:, 1]) for k in (0, 1))
        expected = np.stack(
            [ours[:, 0] * cos + ours[:, 1] * sin, ours[:, 1] * cos - ours[:, 0] * sin, ours[:, 2]],
            axis=1,
        )
        size = np.linalg.norm(expected, axis=1)
        assert np.max(np.linalg.norm(got - expected, axis=1) / size) < 2e-6

    @pytest.mark.parametrize("tilt", TILTS)
    def test_there_and_back(self, tilt) -> None:
        halo = TriaxialNFW(1e12, 10.0, (0.8, 0.7), tilt)
        (back,) = from_galpy(to_galpy(CompositePotential((halo,)))).components
        assert isinstance(back, TriaxialNFW)
        assert (back.m200, back.c) == pytest.approx((halo.m200, halo.c), rel=1e-9)
        assert back.axis_ratios == pytest.approx(halo.axis_ratios, rel=1e-12)
        # no density tells the sign of an axis
        same = rotation_matrix(back.tilt).T @ rotation_matrix(halo.tilt)
        np.testing.assert_allclose(np.abs(same), np.eye(3), atol=1e-9)

    def test_another_long_axis_is_averaged(self) -> None:
        pot = gp.TriaxialNFWPotential(amp=3.0, a=2.0, b=1.2, c=0.9, glorder=10, **UNITS)
        assert isinstance(from_galpy(pot).components[0], MassTable)

    def test_the_monopole_of_a_triaxial_halo(self) -> None:
        potential, x = CompositePotential((TriaxialNFW(1e12, 10.0, (0.8, 0.7)),)), points(20)
        got = galpy_forces(to_galpy(potential, monopole=True), x)
        np.testing.assert_allclose(got, our_forces(potential, x), rtol=1e-10, atol=1e-10)
