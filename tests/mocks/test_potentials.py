"""Potentials: consistency of mass and potential, published and independent values, bad settings."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from seeds import seeded

from haloassay.base import kinds
from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.contracts import profiles
from haloassay.mocks.backends.galpy.monopole import monopole_mass
from haloassay.mocks.gravity.potentials import CompositePotential, make_potential

BIRD_NFW = {"kind": "nfw", "m200": 0.8e12, "c": 15.0}

SPECS = [
    BIRD_NFW,
    {"kind": "nfw", "rho0": 1e7, "r_s": 15.0},
    {"kind": "hernquist", "mass": 1e12, "a": 20.0},
    {"kind": "plummer", "mass": 1e12, "a": 20.0},
    {"kind": "point-mass", "mass": 1e12},
    {"kind": "zhai2018-baryons"},
    {"kind": "mwpotential2014-baryons"},
    {"kind": "triaxial-nfw", "m200": 1e12, "c": 10.0, "axis_ratios": [0.8, 0.7]},
    {"kind": "mass-table", "r": [0.1, 1.0, 10.0, 100.0], "mass": [1e8, 1e10, 1e11, 2e11]},
    {"kind": "galpy", "name": "MWPotential2014"},
]


def name(spec: object) -> str:
    return "-".join(str(v) for v in spec.values()) if isinstance(spec, dict) else str(spec)


def test_every_kind_is_swept() -> None:
    assert {spec["kind"] for spec in SPECS} == set(kinds.names("potentials"))


@pytest.mark.parametrize("spec", SPECS, ids=name)
def test_force_is_the_gradient_of_the_potential(spec: dict[str, object]) -> None:
    potential = make_potential(spec)
    x, h = np.log(np.geomspace(1e-2, 1e5, 60)), 1e-3
    values = {k: potential.potential(np.exp(x + k * h)) for k in (-2, -1, 1, 2)}
    gradient = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / (12 * h)
    expected = G * potential.enclosed_mass(np.exp(x)) / np.exp(x)
    # interpolation of the galpy table, and rounding of differences of the potential
    rounding = 4e-16 / h * np.abs(values[1])
    np.testing.assert_array_less(np.abs(gradient - expected), 1e-7 * expected + rounding)


@pytest.mark.parametrize("spec", SPECS, ids=name)
def test_defined_from_tiny_to_huge_radii(spec: dict[str, object]) -> None:
    potential = make_potential(spec)
    r = np.geomspace(1e-6, 1e7, 400)
    mass, depth = potential.enclosed_mass(r), -potential.potential(r)
    assert np.all(np.isfinite(mass))
    assert np.all(mass > 0)
    assert np.all(np.diff(mass) >= -1e-9 * mass[1:])
    assert np.all(np.isfinite(depth))
    assert np.all(depth > 0)
    assert np.all(np.diff(depth) <= 1e-12 * depth[1:])
    assert potential.enclosed_mass(8.0).shape == ()
    assert potential.potential(r.reshape(20, 20)).shape == (20, 20)


def test_nfw_holds_its_mass_and_agrees_with_galpy() -> None:
    from galpy.potential import NFWPotential

    potential = make_potential(BIRD_NFW)
    virial = potential.virial()
    assert virial.m200 == pytest.approx(0.8e12, rel=1e-12)
    assert virial.c200 == pytest.approx(15.0, rel=1e-7)
    assert float(potential.dark_mass(virial.r200)) == pytest.approx(0.8e12, rel=1e-12)
    density = 3 * 0.8e12 / (4 * np.pi * virial.r200**3)
    assert density == pytest.approx(200 * profiles.critical_density(67.8), rel=1e-12)
    galpy_nfw = NFWPotential(
        mvir=0.8, conc=15.0, H=67.8, overdens=200.0, wrtcrit=True, ro=8.0, vo=220.0
    )
    r = np.array([0.1, 1.0, 8.0, 50.0, 200.0, 1000.0])
    theirs = [galpy_nfw.mass(x / 8.0) for x in r]
    # galpy's constants differ from ours by less than 1e-4
    np.testing.assert_allclose(potential.enclosed_mass(r), theirs, rtol=1e-4)
    np.testing.assert_allclose(
        potential.potential(r), [galpy_nfw(x / 8.0, 0.0) for x in r], rtol=1e-4
    )


def test_nfw_by_scales_is_the_same_halo() -> None:
    by_mass = make_potential(BIRD_NFW)
    r200, _ = by_mass.virial().r200, None
    r_s = r200 / 15.0
    rho0 = 0.8e12 / (4 * np.pi * r_s**3 * (np.log(16.0) - 15.0 / 16.0))
    by_scales = make_potential({"kind": "nfw", "rho0": rho0, "r_s": r_s})
    r = np.geomspace(1e-6, 1e7, 50)
    np.testing.assert_allclose(by_scales.potential(r), by_mass.potential(r), rtol=1e-9)
    assert by_scales.virial() == pytest.approx(by_mass.virial(), rel=1e-6)


def test_virial_numbers_count_dark_mass_only() -> None:
    alone = make_potential(BIRD_NFW).virial()
    with_baryons = make_potential([BIRD_NFW, {"kind": "mwpotential2014-baryons"}])
    assert with_baryons.virial() == pytest.approx(alone, rel=1e-12)
    assert float(with_baryons.enclosed_mass(100.0)) > float(with_baryons.dark_mass(100.0))
    assert np.all(np.isnan(make_potential({"kind": "zhai2018-baryons"}).virial()))
    zhai = make_potential({"kind": "nfw", "m200": 1.08e12, "c": 18.5, "h0": 70.0}).virial()
    assert zhai.m200 == pytest.approx(1.08e12, rel=1e-12)


@pytest.mark.parametrize(
    ("spec", "peak"),
    [
        ({"kind": "hernquist", "mass": 1e12, "a": 20.0}, 10.0),
        ({"kind": "plummer", "mass": 1e12, "a": 20.0}, 20.0 * np.sqrt(2 / 3)),
    ],
)
def test_concentration_refers_to_the_radius_of_slope_minus_two(
    spec: dict[str, object], peak: float
) -> None:
    virial = make_potential(spec).virial()
    assert virial.r200 / virial.c200 == pytest.approx(peak, rel=1e-7)


@pytest.mark.parametrize("kind", ["nfw", "hernquist", "plummer"])
def test_density_integrates_to_mass(kind: str) -> None:
    spec = BIRD_NFW if kind == "nfw" else {"kind": kind, "mass": 1e12, "a": 20.0}
    component = make_potential(spec).components[0]
    mass, _ = quad(lambda r: 4 * np.pi * r * r * component.density(r), 0.0, 70.0, epsrel=1e-11)
    assert mass == pytest.approx(float(component.enclosed_mass(70.0)), rel=1e-9)


def test_zhai_baryons_are_as_published() -> None:
    potential = make_potential({"kind": "zhai2018-baryons"})
    r = 5.0
    expected = -G * 6.8e10 * (1 - np.exp(-r / 2.5)) / r - G * 0.5e10 / (r + 0.6)
    assert float(potential.potential(r)) == pytest.approx(expected, rel=1e-14)
    assert float(potential.enclosed_mass(1e7)) == pytest.approx(7.3e10, rel=1e-6)
    double = make_potential({"kind": "zhai2018-baryons", "disc_mass": 13.6e10})
    assert float(double.enclosed_mass(1e7)) == pytest.approx(14.1e10, rel=1e-6)


def test_mwpotential2014_baryons_agree_with_galpy() -> None:
    from galpy.potential import MiyamotoNagaiPotential, PowerSphericalPotentialwCutoff

    units = {"ro": 8.0, "vo": 220.0}
    disc = MiyamotoNagaiPotential(amp=1.0, a=3 / 8.0, b=0.28 / 8.0, **units)
    bulge = PowerSphericalPotentialwCutoff(amp=1.0, alpha=1.8, rc=1.9 / 8.0, **units)
    to_msun = 220.0**2 * 8.0 / G
    disc_amp = 6.8e10 / to_msun
    bulge_amp = 0.5e10 / (bulge.mass(np.inf, use_physical=False) * to_msun)
    ours = make_potential({"kind": "mwpotential2014-baryons"})
    r = np.array([1e-2, 0.1, 1.0, 8.0, 50.0, 300.0, 1e4])
    mass = disc_amp * monopole_mass(disc, r) + bulge_amp * monopole_mass(bulge, r)
    np.testing.assert_allclose(ours.enclosed_mass(r), mass, rtol=1e-9)
    for x in (0.1, 2.0, 20.0):
        ring, _ = quad(
            lambda t, x=x: float(disc(x * np.sqrt(1 - t * t) / 8, x * t / 8, use_physical=False)),
            0.0,
            1.0,
            epsrel=1e-10,
        )
        phi = 220.0**2 * (
            disc_amp * ring + bulge_amp * float(bulge(x / 8, 0.0, use_physical=False))
        )
        edge = 220.0**2 * bulge_amp * float(bulge(1e8, 0.0, use_physical=False))
        assert float(ours.potential(x)) == pytest.approx(phi - edge, rel=1e-6)


def test_galpy_monopole_is_the_mass_of_the_density() -> None:
    """Enclosed mass by the flux against the volume integral of galpy's own densities."""
    import galpy.potential as gp

    potential = make_potential({"kind": "galpy", "name": "MWPotential2014"})
    t, w = np.polynomial.legendre.leggauss(400)

    def shell(r: float) -> float:
        cos = 0.5 * (t + 1)
        rho = gp.evaluateDensities(
            gp.MWPotential2014, r * np.sqrt(1 - cos**2) / 8, r * cos / 8, use_physical=False
        )
        return float(4 * np.pi * r * r * 0.5 * w @ rho)

    for lo, hi in [(1.0, 3.0), (8.0, 20.0), (50.0, 100.0)]:
        gain, _ = quad(shell, lo, hi, epsrel=1e-9)
        expected = gain * 220.0**2 / 8.0**2 / G
        got = potential.enclosed_mass(hi) - potential.enclosed_mass(lo)
        assert float(got) == pytest.approx(expected, rel=1e-6)


def test_galpy_mass_is_complete_where_its_table_ends() -> None:
    potential = make_potential({"kind": "galpy", "name": "MWPotential2014"})
    edge, far = potential.potential([1e7, 4e7])
    assert far == pytest.approx(edge / 4.0, rel=1e-12)
    assert float(edge) == pytest.approx(-G * float(potential.enclosed_mass(1e7)) / 1e7, rel=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_expansions_enter_by_their_spherical_terms() -> None:
    """Cut expansions have the monopole that averaging the whole field over the sphere gives."""
    from galpy.potential import DiskSCFPotential, SCFPotential, evaluaterforces

    rng = seeded(3)
    cosine, sine = rng.normal(size=(2, 3, 3, 3)) * np.tril(np.ones((3, 3))) * 0.1
    cosine[:, 0, 0] = [1.0, 0.2, 0.1]
    bar = SCFPotential(amp=1.0, Acos=cosine, Asin=sine, a=1.0, ro=8.0, vo=220.0)
    disc = DiskSCFPotential(
        dens=lambda R, z: np.exp(-3 * R - 10 * np.abs(z)),
        Sigma={"type": "exp", "h": 1 / 3, "amp": 1.0},
        hz={"type": "exp", "h": 0.1},
        a=1.0,
        N=4,
        L=4,
        ro=8.0,
        vo=220.0,
    )
    # the bar is a polynomial of cos theta, the disc has a bend at the plane
    for potential, nodes, azimuths in (
        (bar, 12, 2 * np.pi * np.arange(8) / 8),
        (disc, 60, [0.0]),
    ):
        t, w = np.polynomial.legendre.leggauss(nodes)
        for r in (0.3, 1.5):
            pull = 0.0
            for cos, weight in zip(0.5 * (t + 1), w, strict=True):
                for phi in azimuths:
                    for sign in (-1, 1):
                        R, z = r * np.sqrt(1 - cos**2), sign * r * cos
                        force = evaluaterforces(potential, R, z, phi=phi, use_physical=False)
                        pull -= 0.25 * weight / len(azimuths) * float(force)
            expected = pull * r**2 * 8.0 * 220.0**2 / G
            got = monopole_mass(potential, np.array([8.0 * r]))[0]
            assert got == pytest.approx(expected, rel=1e-5)


def test_components_add_up_and_describe_themselves() -> None:
    parts = [BIRD_NFW, {"kind": "mwpotential2014-baryons", "factor": 1.1}]
    whole = make_potential(parts)
    r = np.geomspace(1.0, 300.0, 5)
    for method in ("enclosed_mass", "potential"):
        total = sum(getattr(make_potential(p), method)(r) for p in parts)
        np.testing.assert_allclose(getattr(whole, method)(r), total, rtol=1e-14)
    np.testing.assert_allclose(
        whole.circular_velocity(r), np.sqrt(G * whole.enclosed_mass(r) / r), rtol=1e-14
    )
    assert make_potential(whole.to_plain()) == whole


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "nfw", "m200": -1e12, "c": 10.0}, "m200 must be positive"),
        ({"kind": "nfw", "m200": 0.0, "c": 10.0}, "m200 must be positive"),
        ({"kind": "nfw", "m200": 7e20, "c": 10.0}, r"m200 must be positive and below 1e\+18"),
        ({"kind": "nfw", "m200": 1e12, "c": 0.0}, "c must be positive"),
        ({"kind": "nfw", "m200": 1e12}, "either m200 and c, or rho0 and r_s"),
        ({"kind": "nfw"}, "none of them"),
        ({"kind": "nfw", "m200": 1e12, "c": 9.0, "rho0": 1.0, "r_s": 1.0}, "either m200 and c"),
        ({"kind": "nfw", "m200": float("inf"), "c": 9.0}, "m200"),
        (
            {"kind": "triaxial-nfw", "m200": 7e20, "c": 9.0, "axis_ratios": [0.8, 0.7]},
            r"m200 must be positive and below 1e\+18",
        ),
        (
            {"kind": "triaxial-nfw", "m200": -1e12, "c": 9.0, "axis_ratios": [0.8, 0.7]},
            "m200 must be positive",
        ),
        ({"kind": "hernquist", "mass": 1e12, "a": -1.0}, "a must be positive"),
        ({"kind": "plummer", "mass": -1.0, "a": 1.0}, "mass must be positive"),
        ({"kind": "point-mass", "mass": 0.0}, "mass must be positive"),
        ({"kind": "zhai2018-baryons", "b": 0.0}, "b must be positive"),
        ({"kind": "mwpotential2014-baryons", "factor": -1.0}, "factor must be positive"),
        ({"kind": "galpy", "name": "McMilan17"}, "did you mean 'McMillan17'"),
        ({"kind": "galpy", "name": "NFWPotentail"}, "did you mean 'NFWPotential'"),
        ({"kind": "nwf", "m200": 1e12, "c": 9.0}, "did you mean 'nfw'"),
        ({"m200": 1e12}, "key 'kind' is missing"),
        ([], "expected a table"),
        ("nfw", "expected a table"),
        ([BIRD_NFW, {"kind": "hernquist", "mass": 1e10}], r"\.1: setting 'a' is missing"),
    ],
)
def test_bad_settings_are_refused_by_name(spec: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make_potential(spec, "mock.potential")
    assert str(caught.value).startswith("mock.potential")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["nfw", "triaxial-nfw"])
@pytest.mark.parametrize("c", [1e-10, 1e10])
def test_concentrations_that_no_halo_has_are_refused(kind, c) -> None:
    """With c = 1e-10 a potential was 4e14 (km/s)^2 deep, and c200 NaN."""
    spec = {"kind": kind, "m200": 1e12, "c": c}
    if kind == "triaxial-nfw":
        spec["axis_ratios"] = [0.9, 0.8]
    with pytest.raises(InputError, match=r"c must be a concentration from 0\.01 to 10000"):
        make_potential(spec)
    with pytest.raises(InputError, match="r_s must be at most"):
        make_potential({"kind": "nfw", "rho0": 1e-3, "r_s": 1e10})


@pytest.mark.parametrize("c", [0.01, 0.3, 1e4])
def test_concentrations_at_the_ends_are_found_again(c) -> None:
    assert make_potential({"kind": "nfw", "m200": 1e12, "c": c}).virial().c200 == pytest.approx(
        c, rel=1e-6
    )


def test_a_dark_halo_that_ends_has_a_concentration_without_a_warning() -> None:
    """No density is beyond the table: 0 / 0, which numpy warned of."""
    r = np.geomspace(1e-3, 300.0, 200)
    nfw = make_potential(BIRD_NFW)
    table = {
        "kind": "mass-table",
        "r": r.tolist(),
        "mass": nfw.enclosed_mass(r).tolist(),
        "dark": True,
    }
    with np.errstate(all="raise"):
        assert make_potential(table).virial().c200 == pytest.approx(15.0, rel=1e-3)


def test_empty_composite_is_refused() -> None:
    with pytest.raises(InputError, match="at least one component"):
        CompositePotential(())
