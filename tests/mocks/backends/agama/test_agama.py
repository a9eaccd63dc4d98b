"""agama against galpy and against this package: potentials and orbits."""

from __future__ import annotations

import galpy.potential as gp
import numpy as np
import pytest
from agama_halos import HALO, HERNQUIST_TRACERS, TRIAXIAL
from galpy.util.conversion import get_physical
from seeds import resized, seeded, shifted

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.base.settings import build
from haloassay.mocks import make_mock
from haloassay.mocks.backends.agama.conversion import from_agama, to_agama
from haloassay.mocks.backends.agama.library import library
from haloassay.mocks.backends.agama.orbits import AgamaOrbits, agama_orbits
from haloassay.mocks.backends.galpy.conversion import from_galpy, to_galpy
from haloassay.mocks.equilibria.relaxation import PopulationSettings, relax, relaxed_population
from haloassay.mocks.gravity.fields import make_field
from haloassay.mocks.gravity.integration import integrate
from haloassay.mocks.gravity.mass_table import MassTable
from haloassay.mocks.gravity.potentials import NFW, Hernquist, make_potential
from haloassay.mocks.stars import Stars
from haloassay.mocks.uniforms import Uniforms

pytest.importorskip("agama", reason="agama is not installed: its tests are left out")
pytestmark = pytest.mark.agama

BARYONS = {"kind": "mwpotential2014-baryons"}
CLOSED = [
    HALO,
    {"kind": "hernquist", "mass": 1e12, "a": 20.0},
    {"kind": "plummer", "mass": 1e11, "a": 3.0},
    {"kind": "point-mass", "mass": 1e10},
    [HALO, {"kind": "hernquist", "mass": 1e10, "a": 0.6, "dark": False}],
]
SPLINES = [{"kind": "zhai2018-baryons"}, BARYONS, {"kind": "galpy", "name": "MWPotential2014"}]


@pytest.fixture(scope="module")
def agama():
    return library()


def points(n: int = 200, lo: float = 0.05, hi: float = 400.0) -> np.ndarray:
    """(n, 3) points in directions of no symmetry."""
    rng = seeded(8)
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    return direction * np.exp(rng.uniform(np.log(lo), np.log(hi), n))[:, None]


def miss(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest relative difference of forces (N, 3)."""
    size = np.linalg.norm(expected, axis=1)
    return float(np.max(np.linalg.norm(got - expected, axis=1) / size))


def monopole_force(potential, x: np.ndarray) -> np.ndarray:
    r = np.linalg.norm(x, axis=1)
    return -(G * potential.enclosed_mass(r) / r**3)[:, None] * x


def galpy_force(pot, x: np.ndarray) -> np.ndarray:
    """(N, 3) Cartesian forces [(km/s)^2/kpc] of a galpy potential."""
    R, phi = np.hypot(x[:, 0], x[:, 1]), np.arctan2(x[:, 1], x[:, 0])
    (ro, vo), rows = get_physical(pot).values(), []
    for a, b, c in zip(R, phi, x[:, 2], strict=True):
        where = {"R": a / ro, "z": c / ro, "phi": b, "use_physical": False}
        radial, turning = pot.Rforce(**where), pot.phitorque(**where) / (a / ro)
        cos, sin = np.cos(b), np.sin(b)
        along_y = radial * sin + turning * cos
        rows.append([radial * cos - turning * sin, along_y, pot.zforce(**where)])
    return np.array(rows, dtype=float) * vo**2 / ro


class TestPotentials:
    @pytest.mark.parametrize("spec", CLOSED, ids=str)
    def test_closed_forms_have_the_same_forces_to_rounding(self, spec) -> None:
        potential, x = make_potential(spec), points()
        assert miss(to_agama(potential).force(x), monopole_force(potential, x)) < 1e-12

    @pytest.mark.parametrize("spec", [*CLOSED, *SPLINES], ids=str)
    def test_monopoles_have_the_forces_that_the_mock_moves_in(self, spec) -> None:
        potential, x = make_potential(spec), points()
        pot = to_agama(potential, monopole=True)
        # galpy's potentials come as a table, whose second derivative is good to 1e-7
        limit = 1e-7 if spec in SPLINES[2:] else 2e-9
        assert miss(pot.force(x), monopole_force(potential, x)) < limit
        r = np.linalg.norm(x, axis=1)
        ours = potential.potential(r)
        np.testing.assert_allclose(pot.potential(x), ours, rtol=1e-7)
        np.testing.assert_allclose(pot.enclosedMass(r), potential.enclosed_mass(r), rtol=3e-4)

    @pytest.mark.parametrize(
        ("spec", "limit"), [([HALO, BARYONS], 1e-8), (TRIAXIAL, 1e-6)], ids=["disc", "triaxial"]
    )
    def test_three_codes_have_one_field(self, spec, limit: float) -> None:
        """Flattened and tilted: galpy's quadrature, agama's expansion, and our own field."""
        potential, x = make_potential(spec), points(60, 1.0, 200.0)
        agama_force = to_agama(potential).force(x)
        assert miss(agama_force, galpy_force(to_galpy(potential), x)) < limit
        assert miss(make_field(potential).acceleration(x), agama_force) < 2e-6

    @pytest.mark.parametrize("spec", CLOSED, ids=str)
    def test_there_and_back(self, spec) -> None:
        potential = make_potential(spec)
        back = from_agama(to_agama(potential))
        assert [type(c) for c in back.components] == [type(c) for c in potential.components]
        r = np.geomspace(1e-3, 1e4, 30)
        np.testing.assert_allclose(back.enclosed_mass(r), potential.enclosed_mass(r), rtol=1e-10)

    def test_galpy_to_agama_and_back(self) -> None:
        milky_way = from_galpy(gp.MWPotential2014, ro=8.0, vo=220.0)
        around = from_agama(to_agama(milky_way, monopole=True))
        r = np.geomspace(0.1, 300.0, 20)
        np.testing.assert_allclose(around.enclosed_mass(r), milky_way.enclosed_mass(r), rtol=1e-6)
        assert around.virial().m200 == pytest.approx(milky_way.virial().m200, rel=1e-9)

    def test_all_else_is_averaged(self, agama) -> None:
        """A flattened spheroid, an off-centre sphere, a disc: by the flux, against agama's own masses."""
        flat = agama.Potential(type="Dehnen", gamma=1, mass=1e11, scaleRadius=5, axisRatioZ=0.6)
        disc = agama.Potential(type="MiyamotoNagai", mass=5e10, scaleRadius=3, scaleHeight=0.3)
        mock = from_agama(agama.Potential(flat, disc))
        (table,) = mock.components
        assert isinstance(table, MassTable)
        r = np.array([1.0, 8.0, 50.0])
        own = flat.enclosedMass(r) + disc.enclosedMass(r)
        np.testing.assert_allclose(table.enclosed_mass(r), own, rtol=1e-3)
        shifted = agama.Potential(type="Plummer", mass=1e11, scaleRadius=1, center=[0.1, 0.2, 0.2])
        assert isinstance(from_agama(shifted).components[0], MassTable)
        far = float(from_agama(shifted).enclosed_mass(1e3))
        assert far == pytest.approx(1e11, rel=1e-5)

    def test_a_cusp_that_is_no_hernquist_sphere_is_not_taken_for_one(self, agama) -> None:
        steeper = agama.Potential(type="Dehnen", gamma=1.2, mass=1e11, scaleRadius=5)
        assert isinstance(from_agama(steeper).components[0], MassTable)
        hernquist = agama.Potential(type="Dehnen", gamma=1, mass=1e11, scaleRadius=5)
        (component,) = from_agama(hernquist, dark=(True,)).components
        assert isinstance(component, Hernquist)
        assert component.dark
        assert from_agama(hernquist, dark=(False,)).components[0].dark is False

    def test_an_nfw_sphere_that_is_not_dark_is_a_table(self, agama) -> None:
        halo = agama.Potential(type="NFW", mass=1e12, scaleRadius=20)
        assert isinstance(from_agama(halo).components[0], NFW)
        assert isinstance(from_agama(halo, dark=(False,)).components[0], MassTable)
        with pytest.raises(InputError, match="one value for each of 1"):
            from_agama(halo, dark=(True, True))

    def test_what_cannot_be_converted_is_named(self, agama) -> None:
        bar = {"type": "Dehnen", "mass": 1e10, "scaleRadius": 2, "axisRatioY": 0.5}
        rotating = agama.Potential(**bar, rotation=[[0.0, 0.0], [1.0, 40.0]])
        with pytest.raises(InputError, match="Rotating Dehnen changes with time"):
            from_agama(rotating)
        with pytest.raises(InputError, match=r"expected an agama potential .* \(got dict\)"):
            from_agama(bar)
        with pytest.raises(InputError, match=r"UniformAcceleration.*not positive"):
            from_agama(agama.Potential(type="UniformAcceleration", file="0,0,1"))
        with pytest.raises(InputError, match="monopole=True"):
            to_agama(make_potential(SPLINES[2]))

    def test_units_are_asked_for(self, agama) -> None:
        with pytest.warns(RuntimeWarning, match="setUnits"):
            agama.setUnits()
        try:
            with pytest.raises(InputError, match="agama has no units"):
                from_agama(agama.Potential(type="NFW", mass=1, scaleRadius=1))
            with pytest.warns(RuntimeWarning, match="setUnits"):
                agama.setUnits(length=1, velocity=1, mass=1e10)
            with pytest.raises(InputError, match="other units"):
                to_agama(make_potential(HALO))
        finally:
            with pytest.warns(RuntimeWarning, match="setUnits"):
                agama.setUnits(length=1, velocity=1, mass=1)


class TestOrbits:
    def test_two_integrators_bring_stars_to_one_place(self) -> None:
        potential = make_potential([HALO, BARYONS])
        rng = seeded(2)
        x, v = points(200, 5.0, 60.0), rng.normal(0.0, 100.0, (200, 3))
        times = rng.uniform(0.0, 2.0, 200)
        theirs = agama_orbits(to_agama(potential), x, v, 0.0, times, 1e-10)
        ours = integrate(make_field(potential), x, v, 0.0, times, 1e-11)
        assert not theirs.stuck.any()
        distance = np.linalg.norm(theirs.position - ours.position, axis=1)
        assert np.median(distance) < 1e-4
        assert np.percentile(distance, 95) < 1e-2
        assert np.median(np.linalg.norm(theirs.velocity - ours.velocity, axis=1)) < 1e-2

    def test_backwards_and_nowhere(self) -> None:
        pot = to_agama(make_potential(HALO))
        x, v = points(20, 5.0, 60.0), np.full((20, 3), 60.0)
        there = agama_orbits(pot, x, v, 0.0, 1.0, 1e-12)
        back = agama_orbits(pot, there.position, there.velocity, 1.0, 0.0, 1e-12)
        np.testing.assert_allclose(back.position, x, atol=1e-5)
        np.testing.assert_array_equal(agama_orbits(pot, x, v, 0.5, 0.5).position, x)
        some = agama_orbits(pot, x, v, 0.0, np.arange(20) % 2, 1e-12)
        np.testing.assert_array_equal(some.position[::2], x[::2])
        np.testing.assert_allclose(some.position[1::2], there.position[1::2], rtol=1e-9)
        one = agama_orbits(pot, x[0], v[0], 0.0, 1.0, 1e-12)
        np.testing.assert_allclose(one.position, there.position[:1], rtol=1e-9)
        with pytest.raises(InputError, match="no finite place"):
            agama_orbits(pot, x * np.nan, v, 0.0, 1.0)
        with pytest.raises(InputError, match=r"\(N, 3\)"):
            agama_orbits(pot, x[:, :2], v[:, :2], 0.0, 1.0)
        with pytest.raises(InputError, match="tolerance"):
            agama_orbits(pot, x, v, 0.0, 1.0, 1.0)


class TestRelaxation:
    def test_both_integrators_leave_the_same_stars(self) -> None:
        potential, rng = make_potential(TRIAXIAL), seeded(3)
        stars = Stars.of(points(600, 8.0, 40.0), rng.normal(0.0, 90.0, (600, 3)))
        short = {
            "size": resized(1200),
            "phases": 2,
            "time": 1.0,
            "drift_time": 0.5,
            "tolerance": 1e-9,
        }
        made = build(PopulationSettings, short, "population")
        told: list[tuple[int, int]] = []
        ours, theirs = (
            relax(
                stars,
                make_field(potential),
                made,
                Uniforms(shifted(1)),
                r_range=(3.0, 60.0),
                progress=lambda done, total: told.append((done, total)),
                integrator=integrator,
            )
            for integrator in (None, AgamaOrbits.of(potential))
        )
        assert ours.lost == theirs.lost == 0
        assert told[-1][0] == told[-1][1]
        distance = np.linalg.norm(ours.stars.position - theirs.stars.position, axis=1)
        assert np.median(distance) < 1e-3
        assert np.percentile(distance, 95) < 0.05
        for name in ("before", "after"):
            one, other = (getattr(t.stationarity[0], name) for t in (ours, theirs))
            np.testing.assert_allclose(one, other, rtol=0.02, atol=1.0)

    def test_a_population_says_who_followed_it(self, tmp_path, monkeypatch) -> None:
        """Stars start from the same places and are kept apart in the cache."""
        monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path))
        short = {"size": 500, "seed": shifted(1), "time": 0.5, "drift_time": 0.1, "tolerance": 1e-8}
        kept = []
        for integrator in ("haloassay", "agama", "agama"):
            settings = build(PopulationSettings, short | {"integrator": integrator}, "population")

            def base(rng):
                cloud = Stars.of(points(500, 5.0, 50.0), rng.normal(0.0, 90.0, (500, 3)))
                return lambda n: cloud.select(slice(n))

            potential = make_potential(TRIAXIAL)
            made = relaxed_population(base, potential, {}, settings, ["test"], (3.0, 60.0))
            kept.append(made.stars.position)
        assert len(list(tmp_path.glob("*/*.npz"))) == 2
        np.testing.assert_array_equal(kept[1], kept[2])
        assert 0.0 < np.median(np.linalg.norm(kept[0] - kept[1], axis=1)) < 1e-3

    def test_what_agama_has_no_counterpart_of_is_refused(self) -> None:
        mock = make_mock(
            {
                "kind": "equilibrium",
                "potential": {"kind": "galpy", "name": "MWPotential2014"},
                "density": HERNQUIST_TRACERS,
                "beta": 0.0,
                "population": {"integrator": "agama"},
            }
        )
        with pytest.raises(
            InputError, match=r"integrator = 'agama': .*no counterpart .*leave integrator out"
        ):
            mock.check()
