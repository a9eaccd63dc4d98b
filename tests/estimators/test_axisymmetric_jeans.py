from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from axisymmetric_samples import EDGES, Q_HALO, mass, stars, true_beta, truth
from halo_samples import power_law_radii, scaled_velocities
from scipy.integrate import quad
from seeds import seeded

from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.profiles import nfw_shape
from haloassay.contracts.quantities import Place, halo_axis_ratio
from haloassay.estimators import make_estimator
from haloassay.estimators.bins import DensitySlope
from haloassay.estimators.halo import jam_moments
from haloassay.estimators.halo.axisymmetric_moments import JeansSetting
from haloassay.estimators.halo.baryons import baryons_mass
from haloassay.estimators.halo.flattened import Halo, baryons_field
from haloassay.mocks.gravity.ellipsoids import SimilarEllipsoids
from haloassay.mocks.gravity.potentials import make_potential

SHAPES = (np.log(1.0), np.log(200.0))
R_S = np.log(20.0)
NFW = Halo("nfw")
MASS = 1e11  # of the halo within the pivot
UNITS = {"enclosed_mass": "Msun", "m200": "Msun", "v_c": "km/s", "r200": "kpc"}


def rows_of(catalogue, seed=0, **spec):
    settings = {"kind": "axisymmetric-jeans", "alpha": -3.5, "q_stars": 0.8, **spec}
    return make_estimator(settings).estimate(catalogue, seeded(seed))


def setting_of(alpha=None, q_stars=1.0, alignment="spherical", baryons="none", kappas=(0.0, 0.0)):
    alpha = DensitySlope((-3.5,)) if alpha is None else alpha
    ranges = (-1.5, 0.95), (0.5, 1.5), "nfw", SHAPES
    return JeansSetting(alpha, q_stars, alignment, *ranges, baryons, EDGES, kappas)


def moments(setting, r, cosine, beta, q, tables=None, kappa=0.0):
    """Second moments (n, 3) at places, interpolated in all parameters as in the fit."""
    tables = setting.tables() if tables is None else tables
    at = [
        tables.places(np.array([a]), np.array([b]), np.ones(1))
        for a, b in zip(r, cosine, strict=True)
    ]
    halo, known = tables.means(at)
    of = (
        setting.nodes_shape.weights(np.array([R_S]))[0],
        setting.beta_weights(np.array([beta]), np.array([kappa]))[0],
        setting.nodes_q.weights(np.log([q]))[0],
    )
    return MASS * np.einsum("s,b,q,sbqgc->gc", *of, halo) + np.einsum("b,bgc->gc", of[1], known)


def pull(setting, r, cosine, q):
    """Pull (2, n) along R and z [(km/s)^2 / kpc] of halo and baryons."""
    r, cosine = np.atleast_1d(r), np.atleast_1d(cosine)
    R, z = r * np.sqrt(1.0 - cosine**2), r * cosine
    along, across = MASS * NFW.field(R, z, R_S, q) / NFW.round_mass(setting.pivot, R_S)
    if setting.baryons != "none":
        known = baryons_field(setting.baryons, R, z)
        along, across = along + known[0], across + known[1]
    return G * np.array([along, z * across])


# ------------------------------------------------------------------------------- halos and fields


@pytest.mark.parametrize("q", [0.6, 1.0, 1.4])
def test_the_field_of_a_flattened_halo_is_galpys(q):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from galpy.potential import TriaxialNFWPotential, evaluaterforces, evaluatezforces
    a = np.exp(R_S) * q ** (-1.0 / 3.0)  # s is of equal volume
    theirs = TriaxialNFWPotential(amp=1.0, a=a, b=1.0, c=q)
    R, z = np.array([4.0, 20.0, 50.0, 1.0]), np.array([3.0, 5.0, 70.0, 30.0])
    along, across = NFW.field(R, z, R_S, q)
    for k in range(4):
        radial = float(evaluaterforces(theirs, R[k], z[k], phi=0.0))
        vertical = float(evaluatezforces(theirs, R[k], z[k], phi=0.0))
        ours = -(along[k] * R[k] + across[k] * z[k] ** 2) / np.hypot(R[k], z[k])
        # theirs has 4 pi rho0 a^3 = 1, ours 4 pi rho0 q a^3 = 1
        theirs_here = np.array([radial, vertical]) / q
        np.testing.assert_allclose([ours, -across[k] * z[k]], theirs_here, rtol=2e-4)


def test_the_mass_in_a_sphere_of_a_flattened_halo_is_that_of_the_mocks():
    r = np.array([1.0, 20.0, 200.0])
    theirs = SimilarEllipsoids(1.0, 0.6).mass(r / np.exp(R_S))
    np.testing.assert_allclose(NFW.sphere_mass(r, R_S, 0.6), theirs, rtol=1e-6)
    c = NFW.concentration(np.array([1e12]), np.array([20.0]), np.array([0.6]), 67.8)
    inside = 1e12 * NFW.sphere_mass(c * 20.0, R_S, 0.6)
    np.testing.assert_allclose(inside / (c * 20.0) ** 3, 4 / 3 * np.pi * 200 * 127.6, rtol=2e-3)


def test_a_power_law_halo_pulls_as_its_mass_does_where_it_is_round():
    halo, r = Halo("power-law"), np.array([3.0, 30.0])
    for gamma in (1.0, 2.0, 2.8):
        along, across = halo.field(r * 0.6, r * 0.8, gamma, 1.0)
        np.testing.assert_allclose(across, halo.round_mass(r, gamma) / r**3, rtol=1e-6)
        np.testing.assert_allclose(along, across * r * 0.6, rtol=1e-6)


def test_the_true_axis_ratio_is_that_of_one_upright_halo():
    def true(*spec):
        return halo_axis_ratio(SimpleNamespace(potential=make_potential(list(spec))), Place())

    flat = {"kind": "triaxial-nfw", "m200": 1e12, "c": 12.0, "axis_ratios": [1.0, 0.7]}
    nfw, disc = {"kind": "nfw", "m200": 1e12, "c": 12.0}, {"kind": "mwpotential2014-baryons"}
    assert true(flat, disc) == 0.7
    assert true(nfw, disc) == 1.0
    for other in ({**flat, "tilt": [0.0, 20.0, 0.0]}, {**flat, "axis_ratios": [0.9, 0.7]}):
        assert np.isnan(true(other))
    assert np.isnan(true(nfw, flat))
    assert np.isnan(true(disc))


# ------------------------------------------------------------------------------------ the moments


@pytest.mark.parametrize(
    ("alpha", "beta", "baryons"),
    [
        (DensitySlope((-3.5,)), 0.4, "none"),
        (DensitySlope((-2.8, -4.6), (17.0,)), 0.6, "zhai2018"),
        (DensitySlope((-2.8, -4.6), (17.0,), 0.1), -0.5, "none"),
    ],
)
def test_of_round_halos_moments_are_those_of_the_spherical_jeans_integral(alpha, beta, baryons):
    setting, r = setting_of(alpha, baryons=baryons), np.geomspace(*EDGES, 9)

    def sigma2(r):
        def inside(y):
            s = r * np.exp(y)
            total = MASS * nfw_shape(s / 20.0) / nfw_shape(setting.pivot / 20.0)
            total = total + baryons_mass(baryons, s)
            contrast = alpha.log_density(s) - alpha.log_density(r)
            return np.exp(contrast + (2.0 * beta - 1.0) * y) * G * total / r

        turn = max(np.log(17.0 / r), 1e-6)
        return quad(inside, 0.0, turn)[0] + quad(inside, turn, turn + 30.0, limit=200)[0]

    expected = np.array([sigma2(each) for each in r])
    found = moments(setting, r, np.full(9, 0.37), beta, 1.0)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4)
    np.testing.assert_allclose(found[:, 1], (1.0 - beta) * expected, rtol=1e-4)
    np.testing.assert_allclose(found[:, 2], (1.0 - beta) * expected, rtol=1e-3)


def test_along_z_moments_are_the_integral_of_the_vertical_pull():
    """<v_z^2> = int_z^inf nu dPhi/dz dz / nu at each R (Cappellari 2008, eq. 8)."""
    setting = setting_of(q_stars=0.7, alignment="cylindrical", baryons="mwpotential2014")
    r, cosine, q = np.array([7.0, 12.0, 40.0]), np.array([0.2, 0.5, 0.9]), 0.7
    found = moments(setting, r, cosine, 0.35, q)
    for k in range(3):
        R = r[k] * np.sqrt(1.0 - cosine[k] ** 2)

        def inside(z, R=R):
            m = np.hypot(R, z / 0.7)
            at = np.hypot(R, z)
            return m**-3.5 * float(pull(setting, at, z / at, q)[1, 0])

        z = r[k] * cosine[k]
        total = quad(inside, z, 5.0 * r[k])[0] + quad(inside, 5.0 * r[k], np.inf)[0]
        expected = total / np.hypot(R, z / 0.7) ** -3.5
        np.testing.assert_allclose(found[k, 1], expected, rtol=2e-3)
        np.testing.assert_allclose(found[k, 0], expected / 0.65, rtol=2e-3)


@pytest.mark.parametrize(
    ("alignment", "kappa"), [("spherical", 0.0), ("spherical", 0.8), ("cylindrical", 0.0)]
)
def test_both_jeans_equations_hold(alignment, kappa):
    """By differences of the moments, in a flattened halo with a disc; each term is compared with the pull."""
    kappas = (-1.5, 1.5) if kappa else (0.0, 0.0)
    setting = setting_of(q_stars=0.7, alignment=alignment, baryons="mwpotential2014", kappas=kappas)
    beta, q, h = 0.35, 0.7, 0.02
    r, x = np.array([8.0, 15.0, 40.0]), np.array([0.3, 0.6, 0.85])
    R, z = r * np.sqrt(1.0 - x**2), r * x
    if alignment == "spherical":
        angle = np.arccos(x)
        sides = [(r * f, x) for f in (np.exp(-h), np.exp(h))]
        sides += [(r, np.cos(angle + d)) for d in (-h, h)]
    else:
        sides = []
        for dR, dz in ((-h, 0.0), (h, 0.0), (0.0, -h), (0.0, h)):
            at = np.hypot(R * (1.0 + dR), z * (1.0 + dz))
            sides.append((at, z * (1.0 + dz) / at))
    tables = setting.tables()

    def pressure(r, x):
        m = r * np.sqrt(1.0 - x**2 + (x / 0.7) ** 2)
        return m[:, None] ** -3.5 * moments(setting, r, x, beta, q, tables, kappa)

    here = pressure(r, x)
    nu = (r * np.sqrt(1.0 - x**2 + (x / 0.7) ** 2)) ** -3.5
    along, up = pull(setting, r, x, q)
    first, second = (
        (pressure(*sides[k + 1]) - pressure(*sides[k]))[:, k // 2] / (2.0 * h) for k in (0, 2)
    )
    if alignment == "spherical":  # times r in both
        balance = first + 2.0 * here[:, 0] - here[:, 1] - here[:, 2]
        turn = second + (here[:, 1] - here[:, 2]) / np.tan(np.arccos(x))
        size = nu * (R * along + z * up)
        np.testing.assert_allclose(-balance / size, 1.0, atol=0.01)
        np.testing.assert_allclose(-(turn + nu * (z * along - R * up)) / size, 0.0, atol=0.01)
    else:
        balance = first + here[:, 0] - here[:, 2]  # times R
        np.testing.assert_allclose(-balance / (nu * R * along), 1.0, atol=0.01)
        np.testing.assert_allclose(-second / (nu * z * up), 1.0, atol=0.01)


def test_a_sharp_break_of_a_flattened_density_is_given_a_width():
    sharp, soft = (
        make_estimator(
            {
                "kind": "axisymmetric-jeans",
                "alpha": {"slopes": [-2.8, -4.6], "breaks": [17.0], "width": w},
                "q_stars": q,
            }
        )
        for w, q in ((0.0, 1.0), (0.0, 0.8))
    )
    assert (sharp._density.width, soft._density.width) == (0.0, 0.1)


def test_isotropic_moments_do_not_know_the_alignment():
    r, x = np.array([6.0, 20.0, 50.0]), np.array([0.1, 0.5, 0.95])
    round_, flat = (
        moments(setting_of(q_stars=0.8, alignment=a, baryons="mwpotential2014"), r, x, 0.0, 0.8)
        for a in ("spherical", "cylindrical")
    )
    np.testing.assert_allclose(round_, flat, rtol=2e-3)


needs_jampy = pytest.mark.skipif(
    importlib.util.find_spec("jampy") is None or importlib.metadata.version("jampy")[:2] != "8.",
    reason="needs jampy 8: pip install 'haloassay[jam]'",
)


@needs_jampy
@pytest.mark.parametrize(
    ("alignment", "baryons"),
    [("spherical", "none"), ("spherical", "mwpotential2014"), ("cylindrical", "mwpotential2014")],
)
def test_moments_are_those_of_jampy(alignment, baryons):
    beta, q = 0.4, 0.7
    setting = setting_of(DensitySlope((-2.8, -4.6), (17.0,), 0.2), 0.8, alignment, baryons)
    r, x = np.array([6.0, 12.0, 50.0]), np.array([0.35, 0.6, 0.9])
    places = r * np.sqrt(1.0 - x**2), r * x
    halo = jam_moments.halo_gaussians(setting, R_S).flattened(q)
    tracers = jam_moments.tracer_gaussians(setting)
    theirs = MASS * jam_moments.moments(tracers, halo, *places, beta, alignment)
    if baryons != "none":
        known = jam_moments.known_gaussians(baryons, EDGES)
        theirs = theirs + jam_moments.moments(tracers, known, *places, beta, alignment)
    # densities and fields are sums of Gaussians there, to a share of a per cent
    apart = moments(setting, r, x, beta, q) - G * theirs.T
    assert np.all(np.abs(apart) < 0.01 * G * theirs.T[:, :1])


@needs_jampy
@pytest.mark.long
def test_jampy_finds_the_same_halo_in_the_same_stars():
    catalogue = stars(2000, seeded(3), "cylindrical")
    spec = {"alignment": "cylindrical", "r_range": [5.0, 60.0], "q_halo": Q_HALO}
    ours, theirs = (rows_of(catalogue, solver=s, **spec) for s in ("collocation", "jampy"))
    for row, other in zip(ours, theirs, strict=True):
        if not row.note:
            assert abs(row.value - other.value) < 0.1 * (row.hi68 - row.lo68)


# ---------------------------------------------------------------------------------------- the fit


@pytest.mark.parametrize("alignment", ["spherical", "cylindrical"])
def test_a_flattened_halo_is_found(alignment):
    catalogue = stars(4000, seeded(5), alignment, error=30.0)
    rows = rows_of(catalogue, alignment=alignment, r_out=[10.0, 40.0])
    checked = 0
    for row in rows:
        assert not row.note
        assert row.unit == UNITS.get(row.quantity, "")
        if np.isfinite(truth(row)):
            checked += 1
            width = 0.25 * (row.hi95 - row.lo95)
            assert abs(row.value - truth(row)) < 4.0 * width, row
            assert width < 0.25 * truth(row)
    assert checked == 8
    (q,) = (row for row in rows if row.quantity == "q_halo")
    assert q.hi95 < 1.0


def test_the_known_disc_is_taken_off_and_counted():
    catalogue = stars(4000, seeded(7), baryons="mwpotential2014")
    rows = rows_of(catalogue, baryons="mwpotential2014", r_out=[12.0], q_halo=Q_HALO)
    found = {row.quantity: row for row in rows}
    total = float(mass(12.0) + baryons_mass("mwpotential2014", 12.0))
    for row, expected in ((found["enclosed_mass"], total), (found["m200"], 1e12)):
        assert abs(row.value - expected) < 1.0 * (row.hi95 - row.lo95)
    assert "held" in found["q_halo"].note


def test_beta_is_that_of_all_stars_in_both_alignments():
    for alignment in ("spherical", "cylindrical"):
        catalogue = stars(20000, seeded(9), alignment)
        (row,) = (row for row in rows_of(catalogue, alignment=alignment) if row.quantity == "beta")
        away = row.value - true_beta(catalogue, alignment)
        assert abs(away) < 1.0 * (row.hi95 - row.lo95)


def test_velocities_with_tails_widen_sandwich_errors_alone():
    catalogue = stars(3000, seeded(11))
    stretch = seeded(12).standard_t(5, 3000)[:, None] / np.sqrt(5.0 / 3.0)
    v = catalogue.velocity * np.abs(stretch) / np.sqrt(np.mean(stretch**2))
    columns = {**catalogue.columns, **dict(zip(("vx", "vy", "vz"), v.T, strict=True))}
    width = {}
    for errors in ("sandwich", "gaussian"):
        for which, of in (("tails", Catalogue(columns)), ("none", catalogue)):
            row = rows_of(of, errors=errors, q_halo=1.0).rows[0]
            width[errors, which] = (row.hi68 - row.lo68) / row.value
    assert width["sandwich", "tails"] > 1.4 * width["gaussian", "tails"]
    np.testing.assert_allclose(width["sandwich", "none"], width["gaussian", "none"], rtol=0.15)


def test_where_a_survey_looks_does_not_enter():
    catalogue = stars(12000, seeded(13))
    z, r = catalogue.position[:, 2], catalogue.r
    seen = catalogue.select(np.flatnonzero((z > 0.3 * r) & ((r < 12.0) | (r > 20.0))))
    for row in rows_of(seen, r_out=[10.0, 30.0]):
        if np.isfinite(truth(row)) and not row.note:
            assert abs(row.value - truth(row)) < 2.0 * (row.hi95 - row.lo95) / 2.0, row


def test_a_wrong_axis_of_the_ellipsoid_is_worse_than_the_right_one():
    catalogue = stars(20000, seeded(15))
    away = {}
    for alignment in ("spherical", "cylindrical"):
        row = rows_of(catalogue, alignment=alignment, r_out=[40.0]).rows[0]
        away[alignment] = abs(row.value / float(mass(40.0)) - 1.0)
    assert away["spherical"] < 0.03 < away["cylindrical"]


def isotropic(n, r_hi, sigma, seed):
    """Stars r^-3.5 from 5 kpc, on all sides, of one dispersion [km/s]."""
    rng = seeded(seed)
    r = power_law_radii(n, -3.5, 5.0, r_hi, rng)
    toward = rng.standard_normal((n, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    columns = np.hstack([r[:, None] * toward, sigma * rng.standard_normal((n, 3))]).T
    return Catalogue.from_arrays(
        **dict(zip(("x", "y", "z", "vx", "vy", "vz"), columns, strict=True))
    )


def test_an_anisotropy_that_turns_is_found_and_one_that_does_not_is_refuted():
    catalogue = stars(15000, seeded(25), kappa=0.8)
    (constant,) = (row for row in rows_of(catalogue) if row.quantity == "q_halo")
    assert "not those of the model, chi^2" in constant.note
    (q,) = (row for row in rows_of(catalogue, anisotropy="turning") if row.quantity == "q_halo")
    assert abs(q.value - Q_HALO) < q.hi95 - q.lo95 < 0.15


def test_a_power_law_halo_has_a_mass_and_no_virial_radius():
    """Of one dispersion at all radii: v_c^2 = 3.5 sigma^2, a halo r^-2."""
    catalogue = isotropic(3000, 60.0, 200.0 / np.sqrt(3.5), 17)
    rows = {row.quantity: row for row in rows_of(catalogue, q_stars=1.0, halo="power-law")}
    assert abs(rows["v_c"].value - 200.0) < 1.0 * (rows["v_c"].hi95 - rows["v_c"].lo95)
    assert "power law" in rows["m200"].note


def test_few_stars_do_not_bound_the_virial_mass_and_say_so():
    catalogue = isotropic(120, 9.0, 110.0, 21)
    rows = {row.quantity: row for row in rows_of(catalogue, q_stars=1.0)}
    assert "do not bound r_s" in rows["m200"].note
    assert rows["enclosed_mass"].value > 0.0


def test_a_fit_at_the_edge_of_what_it_may_be_has_no_mass(scale_free):
    """Tangential motions alone, and a star in the centre where no mass has its speed."""
    stars = scale_free(200, seeded(1))
    inward = np.ones(len(stars))
    inward[0] = 1e-9 / stars.r[0]
    places = {name: stars[name] * inward for name in "xyz"}
    for name, sample in {
        "beta": scaled_velocities(stars, (0.01, 1.0, 1.0)),
        "the mass": Catalogue({**stars.columns, **places}),
    }.items():
        rows = rows_of(sample, q_stars=1.0, r_out=[13.0])
        note = f"the velocities do not bound {name}: its posterior reaches the end of its prior"
        for quantity in ("enclosed_mass", "v_c", "m200", "r200", "c200"):
            assert {row.note for row in rows.of(quantity)} == {note}


# ------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"emcee": {"walkers": 8, "steps": 60, "burn": 5}, "anisotropy": "turning"}, "at least 10"),
        ({"q_stars": 0.1}, "q_stars: 0.2 to 5 (got 0.1)"),
        ({"q_halo": [0.9, 0.5]}, "q_halo: 0.2 to 5, bounds ascend"),
        ({"q_halo": 7.0}, "q_halo: 0.2 to 5"),
        ({"r_s_range": [0.0, 5.0]}, "r_s_range: above 0 kpc"),
        ({"r_s_range": [9.0, 5.0]}, "r_s_range: bounds ascend"),
        ({"gamma_range": [1.0, 3.0]}, "gamma_range: within 0 and 2.9"),
        ({"beta_range": [-1.0, 1.0]}, "beta_range: within -10 and 0.98"),
        ({"alpha": -2.0}, "alpha: below -2.2 outside"),
        ({"min_stars": 10}, "min_stars: at least 100"),
        ({"h0": 0.7}, "h0: 20 to 200"),
        ({"alignment": "radial"}, "alignment"),
        ({"anisotropy": "turning", "alignment": "cylindrical"}, 'anisotropy: "turning" with'),
        ({"anisotropy": "turning", "solver": "jampy"}, 'anisotropy: "turning" with'),
    ],
)
def test_bad_settings_are_one_line(spec, message):
    with pytest.raises(InputError) as caught:
        rows_of(None, **spec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_jampy_its_solver_is_refused_and_ours_is_not(monkeypatch):
    make_estimator({"kind": "axisymmetric-jeans", "alpha": -3.5})
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "jampy" else found(n, *a)
    )
    with pytest.raises(
        InputError, match=r"needs jampy, which is not installed: pip install 'haloassay\[jam\]'"
    ):
        make_estimator({"kind": "axisymmetric-jeans", "alpha": -3.5, "solver": "jampy"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: object())
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "9.0.2")
    with pytest.raises(InputError, match=r"needs jampy 8, and 9\.0\.2 is installed"):
        make_estimator({"kind": "axisymmetric-jeans", "alpha": -3.5, "solver": "jampy"})


def test_a_density_that_is_no_sum_of_gaussians_is_refused_for_jampy():
    sharp = setting_of(DensitySlope((-2.8, -4.6), (17.0,)))
    with pytest.raises(Exception, match="alpha: the density is no sum of Gaussians to 1 per cent"):
        jam_moments.tracer_gaussians(sharp)
    soft = setting_of(DensitySlope((-2.8, -4.6), (17.0,), 0.2))
    found = jam_moments.tracer_gaussians(soft)
    r = np.geomspace(*EDGES, 30)
    total = np.exp(-0.5 * (r[:, None] / found.sigma) ** 2) @ found.peak
    shape = np.log(total) - soft.alpha.log_density(r)
    assert np.ptp(shape) < 0.02
