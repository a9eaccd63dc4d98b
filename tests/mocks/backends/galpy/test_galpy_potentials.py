"""Any potential of galpy: classes with settings, objects of a user's own, and what comes back from galpy."""

from __future__ import annotations

import subprocess
import sys
import types
import warnings

import galpy.potential as gp
import numpy as np
import pytest
from galpy.potential import mwpotentials
from seeds import seeded

from haloassay.base.cache import content_key, plain_content
from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.mocks.backends.galpy import field
from haloassay.mocks.backends.galpy.conversion import from_galpy, to_galpy
from haloassay.mocks.backends.galpy.members import Units
from haloassay.mocks.backends.galpy.names import named_potential
from haloassay.mocks.backends.galpy.potential import GalpyMembers, GalpyPotential
from haloassay.mocks.gravity.fields import make_field
from haloassay.mocks.gravity.mass_table import MassTable
from haloassay.mocks.gravity.potentials import NFW, make_potential

UNITS = {"ro": 8.0, "vo": 220.0}
LOGARITHMIC = {"normalize": 1.0, "q": 0.8}
#: Averages over the sphere of potentials that are not axisymmetric take seconds: the tests share them by the cache.
TRIAXIAL = {"normalize": 1.0, "b": 1.2, "c": 0.7, "a": 2.0, "glorder": 10}
PERFECT = {"amp": 1.0, "a": 1.0, "b": 0.8, "c": 0.6}


def spec(name: str, **settings: object) -> dict[str, object]:
    return {"kind": "galpy", "name": name, "settings": settings}


def places(n: int, seed: int = 3) -> np.ndarray:
    """(n, 3) places at 0.2 to 300 kpc, a third of them near the plane."""
    rng = seeded(seed)
    direction = rng.normal(size=(n, 3))
    direction[::3, 2] *= 0.03
    r = np.exp(rng.uniform(np.log(0.2), np.log(300.0), n))
    return direction * (r / np.linalg.norm(direction, axis=1))[:, None]


def theirs(pot, x: np.ndarray, ro: float = 8.0, vo: float = 220.0) -> np.ndarray:
    """(n, 3) accelerations of a galpy potential, point by point."""
    out = np.empty_like(x)
    for row, place in zip(out, x / ro, strict=True):
        R, phi = np.hypot(*place[:2]), np.arctan2(place[1], place[0])
        where = {"phi": phi, "use_physical": False}
        along_R, along_z = pot.Rforce(R, place[2], **where), pot.zforce(R, place[2], **where)
        along_phi = pot.phitorque(R, place[2], **where) / R
        cos, sin = np.cos(phi), np.sin(phi)
        row[:] = along_R * cos - along_phi * sin, along_R * sin + along_phi * cos, along_z
    return out * vo**2 / ro


def lopsided(mass: float = 1.0, m: int = 0):
    """A Hernquist sphere with a dipole: heavier above its plane (fast, as galpy's compiled code has it) or, m = 1, on
    one side of its axis; or the dipole alone.
    """
    cosine = np.zeros((1, 2, 2))
    cosine[0, 0, 0], cosine[0, 1, m] = mass, 0.1
    return gp.SCFPotential(amp=2.0, Acos=cosine, Asin=np.zeros((1, 2, 2)), a=1.0, **UNITS)


def thin_discs():
    """Discs of gas and of stars as those of McMillan (2017), the thinnest of 45 pc, as few harmonics as will do."""
    from galpy.potential import mwpot_helpers
    from galpy.util.conversion import surfdens_in_msolpc2

    unit = surfdens_in_msolpc2(**UNITS)
    gas = [(7.0, 4.0, 0.085, 53.1), (1.5, 12.0, 0.045, 2180.0)]
    stars = [(2.5, 0.3, 896.0), (3.02, 0.9, 183.0)]
    gas = [(h / 8.0, hole / 8.0, z / 8.0, amp / unit) for h, hole, z, amp in gas]
    stars = [(h / 8.0, z / 8.0, amp / unit) for h, z, amp in stars]

    def density(R, z):
        of_gas = [mwpot_helpers.expsech2_dens_with_hole(R, z, *disc) for disc in gas]
        return sum(of_gas) + sum(mwpot_helpers.expexp_dens(R, z, *disc) for disc in stars)

    surface = [{"type": "exp", "h": h, "Rhole": hole, "amp": amp} for h, hole, _, amp in gas]
    surface += [{"type": "exp", "h": h, "amp": amp} for h, _, amp in stars]
    height = [{"type": "sech2", "h": z} for *_, z, _ in gas]
    height += [{"type": "exp", "h": z} for _, z, _ in stars]
    return gp.DiskSCFPotential(dens=density, Sigma=surface, hz=height, a=2.5, N=6, L=6, **UNITS)


def misses(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    return np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)


@pytest.mark.parametrize(
    ("name", "settings", "worst"),
    [
        # tables are bicubic, as those of the potentials that galpy ships: 5e-6
        ("LogarithmicHaloPotential", LOGARITHMIC, 5e-6),
        ("KuzminKutuzovStaeckelPotential", {"normalize": 1.0}, 5e-5),
        ("MiyamotoNagaiPotential", {"normalize": 1.0, "a": 0.4, "b": 0.03}, 1e-12),
        ("NFWPotential", {"normalize": 0.4, "a": 2.0}, 1e-9),
        # harmonics leave out 1e-6 of the force
        ("LogarithmicHaloPotential", LOGARITHMIC | {"b": 0.9}, 2e-6),
        pytest.param("PerfectEllipsoidPotential", PERFECT, 2e-6, marks=pytest.mark.slow),
        ("TriaxialNFWPotential", TRIAXIAL | {"pa": 0.4}, 4e-6),
        pytest.param(
            "TriaxialHernquistPotential",
            {"normalize": 1.0, "b": 0.8, "c": 0.6, "zvec": [0.2, 0.3, 0.9], "pa": 0.7, "a": 2.0},
            4e-6,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_classes_have_galpys_forces(name: str, settings: dict[str, object], worst: float) -> None:
    x = places(60)
    found = make_field(make_potential(spec(name, **settings))).acceleration(x)
    pot = getattr(gp, name)(**settings, **UNITS)
    assert misses(found, theirs(pot, x)).max() < worst


def test_the_mass_is_that_of_the_mean_force() -> None:
    """A round logarithmic potential: M = r v^2 / G, and v the scale that is given."""
    r = np.geomspace(1.0, 300.0, 9)
    for ro, vo in ((None, None), (8.3, 235.0)):
        scales = {} if ro is None else {"ro": ro, "vo": vo}
        table = spec("LogarithmicHaloPotential", normalize=1.0, core=1e-6) | scales
        got = make_potential(table).enclosed_mass(r)
        np.testing.assert_allclose(got, r * (vo or 220.0) ** 2 / G, rtol=1e-9)
    # a settings' length goes with ro
    small, large = (
        make_potential(spec("PlummerPotential", amp=1.0, b=1.0) | {"ro": ro, "vo": 200.0})
        for ro in (4.0, 8.0)
    )
    assert float(large.enclosed_mass(8.0)) == pytest.approx(2 * float(small.enclosed_mass(4.0)))
    assert float(large.enclosed_mass(1e6)) == pytest.approx(8.0 * 200.0**2 / G, rel=1e-6)


@pytest.mark.slow
def test_a_quadrature_that_fails_far_out_ends_the_mass_there() -> None:
    """galpy's perfect ellipsoid has a finite mass; its own quadrature fails beyond some thousand kpc."""
    table = make_potential(spec("PerfectEllipsoidPotential", **PERFECT))
    total = 8.0 * 220.0**2 / G
    assert float(table.enclosed_mass(2e3)) == pytest.approx(total, rel=0.01)
    assert float(table.enclosed_mass(1e7)) == pytest.approx(total, rel=0.02)


def test_dark_says_what_the_halo_is() -> None:
    halo = spec("NFWPotential", amp=20.0, a=2.0)
    assert np.isnan(make_potential(halo).virial().m200)
    mass, r_s = 20.0 * 8.0 * 220.0**2 / G, 16.0
    exact = make_potential({"kind": "nfw", "rho0": mass / (4 * np.pi * r_s**3), "r_s": r_s})
    assert make_potential(halo | {"dark": True}).virial() == pytest.approx(exact.virial(), rel=1e-4)


def test_it_describes_itself_and_tells_itself_apart() -> None:
    one = make_potential(spec("LogarithmicHaloPotential", **LOGARITHMIC))
    assert make_potential(one.to_plain()) == one
    others = [
        spec("LogarithmicHaloPotential", **(LOGARITHMIC | {"q": 0.81})),
        spec("LogarithmicHaloPotential", **LOGARITHMIC) | {"ro": 8.1},
        spec("LogarithmicHaloPotential", **LOGARITHMIC) | {"dark": True},
    ]
    keys = {content_key(plain_content(make_potential(other))) for other in others}
    assert len(keys | {content_key(plain_content(one))}) == 4


@pytest.fixture
def own(monkeypatch):
    """Put an object into a module called ``mymodule``."""

    def put(pot) -> dict[str, object]:
        module = types.ModuleType("mymodule")
        module.my_potential = pot
        monkeypatch.setitem(sys.modules, "mymodule", module)
        return {"kind": "galpy", "name": "mymodule:my_potential"}

    return put


class TestOwnObjects:
    def test_a_sum_has_the_forces_of_its_members(self, own) -> None:
        members = [
            gp.NFWPotential(normalize=0.5, a=2.0, **UNITS),
            gp.MiyamotoNagaiPotential(normalize=0.4, a=0.4, b=0.03, **UNITS),
            gp.LogarithmicHaloPotential(normalize=0.1, q=0.7, b=0.9, **UNITS),
            gp.FlattenedPowerPotential(normalize=0.1, q=0.9, alpha=0.4, **UNITS),
        ]
        x = places(60)
        expected = np.sum([theirs(member, x) for member in members], axis=0)
        for pot in (members, members[0] + members[1] + members[2] + members[3]):
            found = make_field(make_potential(own(pot))).acceleration(x)
            assert misses(found, expected).max() < 1e-5

    @pytest.mark.filterwarnings("ignore")
    def test_thin_discs_are_resolved(self, own) -> None:
        """Planted fault: half as many nodes over the latitude miss by 1.4e-4."""
        members = [thin_discs(), gp.NFWPotential(normalize=0.6, a=2.4, **UNITS)]
        x = places(40)
        x[:20, 2] *= 0.02
        expected = np.sum([theirs(member, x) for member in members], axis=0)
        error = misses(make_field(make_potential(own(members))).acceleration(x), expected)
        assert np.median(error) < 1e-6
        assert error.max() < 1e-4

    def test_content_goes_with_the_forces(self, own) -> None:
        """Planted fault: a key of the name alone, which keeps what another object gave."""

        def key(pot) -> str:
            return content_key(plain_content(make_potential(own(pot))))

        first = key(gp.NFWPotential(normalize=1.0, a=2.0, **UNITS))
        assert key([gp.NFWPotential(normalize=1.0, a=2.0, **UNITS)]) == first
        for other in (
            gp.NFWPotential(normalize=1.0, a=2.0 + 1e-6, **UNITS),
            gp.NFWPotential(normalize=1.0, a=2.0, ro=8.0, vo=220.1),
            gp.TriaxialNFWPotential(normalize=1.0, a=2.0, b=0.999, **UNITS),
        ):
            assert key(other) != first

    def test_masses_go_with_the_forces(self, own) -> None:
        """Tables are kept in the process and on disk: not by name."""
        masses = [
            float(
                make_potential(own(gp.PlummerPotential(amp=a, b=1.0, **UNITS))).enclosed_mass(1e5)
            )
            for a in (1.0, 2.0)
        ]
        assert masses[1] == pytest.approx(2.0 * masses[0], rel=1e-9)

    @pytest.mark.parametrize("m", [0, pytest.param(1, marks=pytest.mark.slow)])
    def test_what_is_not_symmetric_has_its_monopole_only(self, own, m: int) -> None:
        halo = gp.NFWPotential(normalize=1.0, a=2.0, **UNITS)
        potential = make_potential(own([halo, lopsided(m=m)]))
        alone = from_galpy(halo)
        assert float(potential.enclosed_mass(30.0)) > 1.1 * float(alone.enclosed_mass(30.0))
        with pytest.raises(InputError, match=r"'mymodule:my_potential' .* only its monopole is kn"):
            make_field(potential)
        make_field(potential, monopole=True)

    def test_what_leans_to_one_side_of_its_axis_has_no_planes(self, monkeypatch) -> None:
        few = field.sphere_nodes(4, 8)
        monkeypatch.setattr(field, "sphere_nodes", lambda *_: few)
        assert field.symmetry_axes(lopsided(m=1), Units(8.0, 220.0)) is None

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: gp.NFWPotential(), "NFWPotential has no units: set them by turn_physical_on"),
            (lambda: gp.NFWPotential, "is a class: name an object of it"),
            (lambda: 3.0, r"expected a galpy potential in three dimensions \(got float\)"),
            (lambda: gp.NFWPotential(**UNITS).toPlanar(), "three dimensions"),
            (lambda: gp.DehnenBarPotential(**UNITS), "DehnenBarPotential changes with time"),
            (
                lambda: gp.ChandrasekharDynamicalFrictionForce(
                    GMs=0.1, dens=gp.NFWPotential(), **UNITS
                ),
                "depends on velocity",
            ),
            (lambda: gp.NullPotential(**UNITS), "no positive, finite mass within 0.1 kpc"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, own, make, message: str) -> None:
        with pytest.raises(InputError, match=message) as caught:
            make_potential(own(make()))
        assert str(caught.value).startswith("mock.potential")
        assert "\n" not in str(caught.value)

    def test_settings_do_not_go_with_one(self, own) -> None:
        table = own(gp.NFWPotential(**UNITS))
        with pytest.raises(InputError, match="settings: only with a class of galpy's"):
            make_potential(table | {"settings": {"a": 2.0}})
        with pytest.raises(InputError, match=r"'no_such:thing' cannot be imported"):
            make_potential(table | {"name": "no_such:thing"})

    @pytest.mark.slow
    def test_a_module_beside_the_working_directory_is_found(self, tmp_path, monkeypatch) -> None:
        (tmp_path / "halos.py").write_text(
            "from galpy.potential import LogarithmicHaloPotential\n"
            "mine = LogarithmicHaloPotential(normalize=1.0, ro=8.0, vo=220.0)\n"
        )
        scenario = """
            name = "own"
            realizations = 1
            seed = 1
            mock.kind = "local-jeans-gaussian"
            mock.potential = { kind = "galpy", name = "halos:mine" }
            mock.density = { kind = "power-law", slope = -3.5 }
            mock.beta = 0.3
            mock.r_range = [5.0, 100.0]
            survey = { preset = "perfect", n_stars = 100 }
            estimators = [{ kind = "velocity-ellipsoid", bins = [5.0, 20.0, 100.0] }]
        """
        (tmp_path / "own.toml").write_text(scenario)
        command = [sys.executable, "-m", "haloassay", "run", "own.toml", "--out", "out"]
        command += ["-j", "1", "--no-report"]  # the worker, too, must find it
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(InputError) as caught:
            make_potential({"kind": "galpy", "name": "halos:round"})
        said = str(caught.value)
        assert "mock.potential: name: galpy potential 'halos:round' cannot be imported" in said
        assert "\n" not in said


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            spec("LogarithmicHaloPotential", quu=0.8),
            r"unknown setting of galpy's Log.* \(allowed: a",
        ),
        (spec("LogarithmicHaloPotential", q="flat"), r"settings.q: expected a number or a list"),
        (spec("LogarithmicHaloPotential", q=[[0.8], 1]), r"settings.q: expected a number or a li"),
        (spec("LogarithmicHaloPotential", q=0.0), "forces that are not finite"),
        (spec("LogarithmicHaloPotential", amp=-1.0), "no positive, finite mass within 0.1 kpc"),
        (spec("PowerSphericalPotential", alpha=3.5), "no positive, finite mass"),
        (spec("HernquistPotential", amp=1e11), r"e\+21 Msun within 300 kpc; .* internal units"),
        (spec("NFWPotential", normalize=True, a=float("inf")), "settings.a must be finite"),
        (spec("NFWPotential", ro=8.0), "unknown setting of galpy's NFWPotential 'ro'"),
        (spec("KingPotential", W0=[1.0, 2.0]), "galpy cannot make a KingPotential of them"),
        (spec("MovingObjectPotential"), r"galpy cannot make a .*missing 1 required"),
        (spec("DehnenBarPotential"), "changes with time"),
        (spec("SoftenedNeedleBarPotential"), "changes with time"),
        (spec("ChandrasekharDynamicalFrictionForce"), "depends on velocity"),
        (spec("EllipticalDiskPotential"), "in three dimensions"),
        (spec("SolidBodyRotationWrapperPotential"), "changes another potential: .*module:object"),
        (spec("SpiralArmsPotential"), "no positive, finite mass"),
        (spec("MWPotential2014", a=1.0), "settings: only with a class of galpy's"),
        ({"kind": "galpy", "name": "MWPotential2014", "ro": 8.0}, "ro: only with a class"),
        (spec("NFWPotential") | {"vo": -1.0}, "vo must be positive"),
    ],
)
def test_what_no_class_can_do_is_refused(table: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make_potential(table)
    assert str(caught.value).startswith("mock.potential")
    assert "\n" not in str(caught.value)


def test_what_harmonics_do_not_reach_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(field, "ACCURACY", 1e-9)
    table = spec("LogarithmicHaloPotential", normalize=1.0, q=0.75, b=0.85)
    with pytest.raises(InputError, match=r"off by .* kpc .*only its monopole is known here"):
        make_field(make_potential(table))


def test_warnings_of_a_potential_that_is_computed_when_first_used_are_not_the_users(
    monkeypatch,
) -> None:
    class Computed:
        @property
        def Dear(self):  # noqa: N802
            warnings.warn("'where' used without 'out'", UserWarning, stacklevel=1)
            return gp.NFWPotential(**UNITS)

    monkeypatch.setattr(gp, "mwpotentials", Computed())
    monkeypatch.setitem(sys.modules, "galpy.potential.mwpotentials", Computed())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(named_potential("Dear"), gp.NFWPotential)
    named_potential.cache_clear()
    assert mwpotentials is not None


class TestFromGalpy:
    @pytest.mark.parametrize(
        ("make", "worst"),
        [
            (lambda: gp.LogarithmicHaloPotential(normalize=1.0, q=0.8, **UNITS), 5e-6),
            pytest.param(
                lambda: gp.LogarithmicHaloPotential(normalize=1.0, q=0.8, b=0.9, **UNITS),
                2e-6,
                marks=pytest.mark.slow,
            ),
            (
                lambda: (
                    gp.NFWPotential(normalize=0.6, a=2.0, **UNITS)
                    + gp.MiyamotoNagaiPotential(normalize=0.4, a=0.4, b=0.03, **UNITS)
                ),
                1e-8,
            ),
            (lambda: gp.TriaxialNFWPotential(**TRIAXIAL, pa=0.4, **UNITS), 4e-6),
        ],
    )
    def test_the_flattening_comes_back(self, make, worst: float) -> None:
        pot, x = make(), places(60)
        back = from_galpy(pot)
        expected = theirs(pot, x)
        assert misses(make_field(back).acceleration(x), expected).max() < worst
        again = to_galpy(back)
        assert misses(theirs(again, x), expected).max() < 1e-9
        # a field of the mean force only would miss by much
        assert misses(make_field(back, monopole=True).acceleration(x), expected).max() > 0.02

    def test_truth_and_description_are_those_of_the_sphere(self) -> None:
        pot = gp.LogarithmicHaloPotential(normalize=1.0, q=0.8, **UNITS)
        (kept,) = from_galpy(pot, dark=(True,)).components
        assert isinstance(kept, GalpyMembers)
        assert kept.dark
        sphere = MassTable(kept.r, kept.mass, kept.dark)
        r = np.geomspace(0.1, 500.0, 20)
        for method in ("enclosed_mass", "potential", "density"):
            np.testing.assert_array_equal(getattr(kept, method)(r), getattr(sphere, method)(r))
        (described,) = from_galpy(pot, dark=(True,)).to_plain()
        assert described.keys() == {"kind", "r", "mass", "dark"}
        assert make_potential(described).components == (sphere,)
        # but what is followed through one is not what is followed through the other
        assert content_key(plain_content(kept)) != content_key(plain_content(sphere))
        assert content_key(plain_content(kept)) == content_key(
            plain_content(from_galpy(pot, dark=(True,)).components[0])
        )

    def test_potentials_of_one_mass_are_told_apart(self) -> None:
        """Planted fault: no fingerprint. A turned halo has the mean mass of the upright one."""
        turned, upright = (
            from_galpy(gp.TriaxialNFWPotential(**TRIAXIAL, pa=pa, **UNITS)) for pa in (0.4, 0.0)
        )
        r = np.geomspace(0.1, 300.0, 9)
        ours = turned.enclosed_mass(r)
        np.testing.assert_allclose(
            ours / ours[-1], upright.enclosed_mass(r) / upright.enclosed_mass(r)[-1]
        )
        marks = {c.fingerprint for p in (turned, upright) for c in p.components}
        assert len(marks) == 2

    def test_a_perturbation_takes_the_flattening_with_it(self) -> None:
        """A dipole has no mean mass: with it, all that has no closed form is averaged together."""
        disc = gp.MiyamotoNagaiPotential(normalize=0.4, a=0.4, b=0.03, **UNITS)
        halo = gp.NFWPotential(normalize=0.6, a=2.0, **UNITS)
        nfw, table = from_galpy([halo, disc, lopsided(0.0)]).components
        assert isinstance(nfw, NFW)
        assert not isinstance(table, GalpyMembers)
        _, followed, averaged = from_galpy([halo, disc, lopsided()]).components
        assert isinstance(followed, GalpyMembers)
        assert not isinstance(averaged, GalpyMembers)

    def test_a_name_has_its_true_field_too(self) -> None:
        assert GalpyPotential("MWPotential2014").members[0] is gp.MWPotential2014[0]
