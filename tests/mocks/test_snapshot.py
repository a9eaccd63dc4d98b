"""Snapshots of simulations as mocks: layouts, units and h, truth from particles, and the harness over them."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import replace

import h5py
import numpy as np
import pytest
from astropy.table import Table
from seeds import seeded, shifted
from simulated_halo import (
    HABIT,
    NAMES,
    Body,
    hernquist_stars,
    nfw_body,
    spec_of,
    write_gadget,
)

import haloassay
from haloassay.base.errors import InputError
from haloassay.contracts.profiles import critical_density, nfw_enclosed_mass, virial_radius
from haloassay.mocks import make_mock
from haloassay.mocks.snapshots.formats import digest_of
from haloassay.mocks.snapshots.units import Unit, parse_unit

RADII = np.array([3.0, 10.0, 30.0, 100.0, 250.0])


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def bodies():
    """Dark particles of one mass, stars of many masses, some gas."""
    rng = seeded(1)
    return {
        0: nfw_body(500, rng, m200=1e11),
        1: nfw_body(6000, rng),
        4: hernquist_stars(5000, rng),
    }


def mass_within(bodies, radii):
    r = np.concatenate([np.linalg.norm(body.position, axis=1) for body in bodies.values()])
    mass = np.concatenate([body.masses for body in bodies.values()])
    return np.array([mass[r <= radius].sum() for radius in radii])


def by_distance(stars):
    order = np.argsort(stars.r)
    return stars.position[order], stars.velocity[order]


# ---------------------------------------------------------------------------------------------- GADGET's layout


@pytest.mark.parametrize("units", ["header", "none", *NAMES])
def test_gadget_layout_gives_the_particles_that_were_written(bodies, tmp_path, units):
    """Masses, positions and velocities, whatever tells the units: a forgotten h, a or sqrt(a) fails here."""
    path = write_gadget(tmp_path / "snap.hdf5", bodies, a=0.5, n_files=3, units=units)
    stated = {"units": HABIT} if units == "none" else {}
    mock = make_mock(spec_of(path, **stated))
    assert mock.truth.profile("enclosed_mass", RADII) == pytest.approx(
        mass_within(bodies, RADII), rel=1e-6
    )
    position, velocity = by_distance(mock.stars)
    r = np.linalg.norm(bodies[4].position, axis=1)
    order = np.argsort(r)
    order = order[(r[order] >= 1.0) & (r[order] < 300.0)]
    assert position == pytest.approx(bodies[4].position[order], rel=1e-6)
    assert velocity == pytest.approx(bodies[4].velocity[order], rel=1e-6)


def test_stated_h_and_a_serve_where_the_header_has_none(bodies, tmp_path):
    without = {"HubbleParam": None, "Time": None, "Redshift": None}
    path = write_gadget(tmp_path / "snap.hdf5", bodies, a=0.8, units="none", header=without)
    mock = make_mock(spec_of(path, units=HABIT, h=0.7, a=0.8))
    expected = mass_within(bodies, RADII)
    assert mock.truth.profile("enclosed_mass", RADII) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(InputError, match="contains h, which the file does not state: give h"):
        make_mock(spec_of(path, units=HABIT)).prepare()


def test_an_h_forgotten_is_refused_where_the_file_states_it(bodies, tmp_path):
    path = write_gadget(tmp_path / "snap.hdf5", bodies, units="gadget4")
    for units in ({"length": "kpc"}, {"mass": "1e10 Msun"}, {"length": "a kpc"}):
        with pytest.raises(InputError, match="is not what the file states"):
            make_mock(spec_of(path, units=units)).prepare()
    make_mock(spec_of(path, units=HABIT)).prepare()
    with pytest.raises(InputError, match=r"h: 0\.73 is not what .*snap\.hdf5 states \(0\.7\)"):
        make_mock(spec_of(path, h=0.73)).prepare()


def test_a_halo_across_the_boundary_of_the_box_is_one_halo(bodies, tmp_path):
    box = 2000.0
    moved = {
        n: replace(body, position=(body.position + np.array([3.0, 1999.0, 1000.0])) % box)
        for n, body in bodies.items()
    }
    path = write_gadget(tmp_path / "snap.hdf5", moved, box=box)
    mock = make_mock(spec_of(path, centre={}))
    inner = mass_within(bodies, [60.0])[0]
    assert mock.truth.profile("enclosed_mass", 60.0) == pytest.approx(inner, rel=0.01)


def test_expansion_is_added_to_peculiar_velocities(bodies, tmp_path):
    """v = dr/dt = H r + peculiar: 7 km/s at 100 kpc, H of a flat universe of Omega_m = 0.3 at a = 0.5."""
    path = write_gadget(tmp_path / "snap.hdf5", bodies, a=0.5)
    spec = spec_of(path)
    still = make_mock(spec).stars
    del spec["hubble_flow"]
    moving = make_mock(spec).stars
    hubble = 70.0 * np.sqrt(0.3 * 8.0 + 0.7)
    difference = moving.velocity - still.velocity
    assert difference == pytest.approx(1e-3 * hubble * still.position, abs=1e-9)


def test_wind_particles_of_arepo_are_gas(bodies, tmp_path):
    formed = np.where(np.arange(5000) % 10 == 0, -1.0, 0.8)
    datasets = {4: {"GFM_StellarFormationTime": formed}}
    path = write_gadget(tmp_path / "snap.hdf5", bodies, datasets=datasets)
    mock = make_mock(spec_of(path))
    facts = mock.truth.potential.to_plain()
    assert facts["particles"] == {"gas": 1000, "dark": 6000, "stars": 4500}
    assert mock.truth.profile("enclosed_mass", 100.0) == pytest.approx(
        mass_within(bodies, [100.0])[0], rel=1e-6
    )


# ---------------------------------------------------------------------------------------------- plain tables


@pytest.mark.parametrize("end", ["hdf5", "parquet", "fits"])
def test_plain_tables_are_the_same_halo(bodies, tmp_path, end):
    """One table with a column of types, units in the file where it keeps them."""
    parts = [bodies[n] for n in (1, 4)]
    columns = {
        **{
            name: np.concatenate([body.position[:, i] for body in parts]) * 0.7
            for i, name in enumerate("xyz")
        },
        **{
            f"v{name}": np.concatenate([body.velocity[:, i] for body in parts])
            for i, name in enumerate("xyz")
        },
        "m": np.concatenate([body.masses for body in parts]) * 0.7,
        "type": np.repeat([1, 4], [len(body) for body in parts]),
        "fe": np.full(sum(map(len, parts)), -1.5),
    }
    path = tmp_path / f"halo.{end}"
    if end == "hdf5":
        with h5py.File(path, "w") as file:
            for name, values in columns.items():
                file[name] = values
    else:
        Table(columns).write(path, format=end)
    where = {"position": ["x", "y", "z"], "velocity": ["vx", "vy", "vz"], "mass": "m"}
    spec = spec_of(
        path,
        h=0.7,
        units={"length": "kpc/h", "velocity": "km/s", "mass": "Msun/h"},
        tables=[
            {"kind": "dark", "select": [["type", 1, 1]], **where},
            {"kind": "stars", "select": [["type", 4, 4]], **where},
        ],
        tracers={"feh": {"dataset": "fe"}},
    )
    mock = make_mock(spec)
    expected = mass_within({n: bodies[n] for n in (1, 4)}, RADII)
    assert mock.truth.profile("enclosed_mass", RADII) == pytest.approx(expected, rel=1e-6)
    assert set(mock.stars.feh) == {-1.5}
    speeds = np.linalg.norm(bodies[4].velocity, axis=1)
    assert np.isin(
        np.round(np.linalg.norm(mock.stars.velocity, axis=1), 6), np.round(speeds, 6)
    ).all()


@pytest.mark.parametrize(
    ("text", "dimension", "unit"),
    [
        ("kpc", "length", Unit(1.0)),
        ("a kpc/h", "length", Unit(1.0, 1.0, -1.0)),
        ("h^-1 Mpc", "length", Unit(1e3, 0.0, -1.0)),
        ("km/s", "velocity", Unit(1.0)),
        ("sqrt(a) km/s", "velocity", Unit(1.0, 0.5)),
        ("km s^-1 a^0.5", "velocity", Unit(1.0, 0.5)),
        ("1e10 Msun/h", "mass", Unit(1e10, 0.0, -1.0)),
    ],
)
def test_units_with_a_and_h(text, dimension, unit):
    assert parse_unit(text, dimension, "units") == unit


@pytest.mark.parametrize("text", ["", "kpcs", "km/h", "Msun", "km/s a^1/2", "ckpc"])
def test_an_hour_or_a_year_is_no_power_of_h_or_a(text):
    with pytest.raises(InputError, match=r"units: .* is not a unit of velocity"):
        parse_unit(text, "velocity", "units")


# ---------------------------------------------------------------------------------------------- truth


def test_virial_mass_and_concentration_of_an_nfw_halo(tmp_path):
    """Within 4 sigma of what went in: Poisson noise of the mass, the profile's Fisher information for c."""
    n, m200, c = 100_000, 1e12, 10.0
    rng = seeded(5)
    bodies = {1: nfw_body(n, rng, m200, c), 4: hernquist_stars(2000, rng)}
    mock = make_mock(spec_of(write_gadget(tmp_path / "snap.hdf5", bodies)))
    truth = mock.truth
    inside = m200 / bodies[1].mass
    # at fixed overdensity M ~ r^3, and the profile's own M(<r) ~ r^s there adds to the noise
    r200 = float(virial_radius(m200, 67.8))
    slope = np.log(
        nfw_enclosed_mass(r200 * 1.01, m200, r200, c) / nfw_enclosed_mass(r200, m200, r200, c)
    ) / np.log(1.01)
    noise = float(1.0 / np.sqrt(inside) / (1.0 - slope / 3.0))
    assert abs(truth.m200 / m200 - 1.0) < 4.0 * noise
    density = truth.m200 / (4.0 / 3.0 * np.pi * truth.r200**3)
    assert density == pytest.approx(200.0 * critical_density(67.8), rel=1e-9)
    assert abs(truth.c200 / c - 1.0) < 4.0 * concentration_noise(inside, c)
    v_c = truth.profile("v_c", 20.0)
    assert v_c == pytest.approx(
        np.sqrt(4.300917e-6 * mass_within(bodies, [20.0])[0] / 20.0), rel=1e-6
    )


def concentration_noise(n, c):
    """Standard error of ln c from n radii between 0.02 and 1 virial radius: 1 / sqrt(n x Fisher information)."""
    x = np.geomspace(0.02, 1.0, 2001)

    def log_density(log_c):
        y = np.exp(log_c) * x
        p = x**2 / (y * (1.0 + y) ** 2)
        return np.log(p / np.trapezoid(p, x))

    p = np.exp(log_density(np.log(c)))
    score = (log_density(np.log(c) + 1e-3) - log_density(np.log(c) - 1e-3)) / 2e-3
    return 1.0 / np.sqrt(n * np.trapezoid(p * score**2, x))


def test_what_is_undetermined_is_said(tmp_path):
    rng = seeded(6)
    bodies = {1: nfw_body(600, rng, truncation=0.3), 4: hernquist_stars(2000, rng)}
    truth = make_mock(spec_of(write_gadget(tmp_path / "snap.hdf5", bodies))).truth
    assert np.isnan([truth.m200, truth.r200, truth.c200]).all()
    assert set(truth.potential.to_plain()["undetermined"]) == {"r200", "c200"}
    bodies = {1: nfw_body(600, rng), 4: bodies[4]}
    truth = make_mock(spec_of(write_gadget(tmp_path / "few.hdf5", bodies))).truth
    assert np.isfinite([truth.m200, truth.r200]).all()
    assert "dark particles between" in truth.potential.to_plain()["undetermined"]["c200"]
    json.dumps(truth.to_dict(RADII), allow_nan=False)


def test_moments_are_those_of_the_tracers_in_shells(bodies, tmp_path):
    stars = make_mock(spec_of(write_gadget(tmp_path / "snap.hdf5", bodies))).truth
    r = np.linalg.norm(bodies[4].position, axis=1)
    unit = bodies[4].position / r[:, None]
    for lo, hi in [(1.0, 5.0), (5.0, 20.0), (20.0, 100.0)]:
        inside = (r >= lo) & (r < hi)
        v_r = np.sum(bodies[4].velocity * unit, axis=1)[inside]
        # the splines between shells against the plain moments: within the noise of the latter
        assert abs(stars.value("sigma_r", 0.0, lo, hi) / v_r.std() - 1.0) < 4.0 / np.sqrt(
            2 * len(v_r)
        )
        assert abs(stars.value("mean_v_r", 0.0, lo, hi) - v_r.mean()) < 4.0 * v_r.std() / np.sqrt(
            len(v_r)
        )


def test_truth_reaches_over_all_tracers(bodies, tmp_path):
    mock = make_mock(spec_of(write_gadget(tmp_path / "snap.hdf5", bodies)))
    for lo, hi in [(1.0, 3.0), (100.0, 300.0)]:
        assert np.isfinite(mock.truth.value("beta", 0.0, lo, hi, stars=mock.stars))


def test_tracers_are_selected_by_any_dataset(bodies, tmp_path):
    rng = seeded(3)
    metals = rng.uniform(0.0, 0.02, (5000, 3))
    datasets = {4: {"Age": rng.uniform(0.0, 13.0, 5000), "Metals": metals}}
    path = write_gadget(tmp_path / "snap.hdf5", bodies, datasets=datasets)
    feh = {"dataset": "Metals", "index": 1, "solar": 0.0134}
    tracers = {"select": [["Age", 8.0, 13.0]], "r_range": [2.0, 80.0], "feh": feh}
    stars = make_mock(spec_of(path, tracers=tracers)).stars
    r = np.linalg.norm(bodies[4].position, axis=1)
    taken = (datasets[4]["Age"] >= 8.0) & (r >= 2.0) & (r < 80.0)
    assert len(stars) == taken.sum()
    expected = np.sort(np.log10(metals[taken, 1] / 0.0134))
    assert np.sort(stars.feh) == pytest.approx(np.maximum(expected, -5.0))
    assert np.isnan(stars.alpha_fe).all()


# ---------------------------------------------------------------------------------------------- the harness


@pytest.mark.long
def test_a_run_finds_the_mass_of_the_particles(tmp_path):
    """Dark particles of an NFW halo, stars in equilibrium in it: nfw-tracer is unbiased, and says so of particles.

    The truth is the mass of the particles; the stars of all realisations are one draw of 16000 of which each sees 2000:
    the tolerance is 4 standard errors of what 16000 stars can tell, and as many particles within the radius.
    """
    nfw = {"kind": "nfw", "m200": 1e12, "c": 10.0}
    halo = {
        "kind": "equilibrium",
        "potential": nfw,
        "density": {"kind": "power-law", "slope": -3.5},
        "beta": {"kind": "constant", "beta": 0.3},
        "r_range": [4.0, 120.0],
    }
    rng = seeded(8)
    stars = make_mock(halo).sample(16_000, rng)
    bodies = {1: nfw_body(40_000, rng), 4: Body(stars.position, stars.velocity, 1e-3)}
    shift, drift = [310.0, -40.0, 1200.0], [500.0, -20.0, 300.0]
    moved = {n: body.moved(shift, drift) for n, body in bodies.items()}
    path = write_gadget(tmp_path / "snap.hdf5", moved, n_files=2)
    scenario = {
        "name": "snapshot",
        "realizations": 8,
        "seed": shifted(0),
        "mock": {
            "kind": "snapshot",
            "file": str(path),
            "hubble_flow": 0.0,
            "centre": {"velocity_radius": 100.0},
            "tracers": {"r_range": [5.0, 100.0]},
        },
        "survey": {"n_stars": 2000, "vlos_error": 5.0},
        "estimators": [
            {
                "kind": "nfw-tracer",
                "alpha": -3.5,
                "r_range": [5.0, 100.0],
                "r_out": [20.0, 50.0],
                "n_bootstrap": 8,
                "n_shapes": 15,
            }
        ],
    }
    results = haloassay.run(scenario, out=tmp_path / "out", workers=0)
    table = results.table().query("quantity == 'enclosed_mass'")
    assert len(table) == 2
    assert (table.n == 8).all()
    for row in table.itertuples():
        noise = row.scatter * np.sqrt(2000 / 16_000)
        particles = np.count_nonzero(np.linalg.norm(bodies[1].position, axis=1) < row.r)
        noise = np.hypot(noise, 1.0 / np.sqrt(particles))
        assert abs(row.bias) < 4.0 * np.hypot(noise, row.bias_mcse)


# ---------------------------------------------------------------------------------------------- oPDF's halo

#: The published halo: M = 133.96e10 Msun/h of 200 times the critical density, c = 16.16.
OPDF = {
    "kind": "snapshot",
    "h": 0.73,
    "units": {"length": "kpc/h", "velocity": "km/s"},
    "tables": [{"position": "x", "velocity": "v"}],
    "centre": {"position": [0.0, 0.0, 0.0], "velocity": [0.0, 0.0, 0.0]},
    "tracers": {"r_range": [2.0, 250.0]},
    "potential": {"kind": "nfw", "m200": 133.96e10 / 0.73, "c": 16.16, "h0": 73.0},
}


def test_opdf_halo_obeys_the_jeans_equation_of_its_published_mass(shared_data):
    """d(r^3 rho sigma_r^2 ...): the virial ratio <v^2> / <G M / r> less the surface term, star by star.

    Between two radii, the scalar Jeans equation gives <v^2> - <G M(<r) / r> = [r^3 rho sigma_r^2] / int rho r^2 dr;
    an h forgotten in the lengths would miss by 27 per cent.
    """
    mock = make_mock({**OPDF, "file": str(shared_data / "opdf" / "mockhalo.hdf5")})
    stars, truth = mock.stars, mock.truth
    assert 28_900 < len(stars) < 30_000
    inside = (stars.r >= 5.0) & (stars.r < 120.0)
    some = stars.select(inside)
    speed = np.sum(some.velocity**2, axis=1)
    pull = truth.profile("v_c", some.r) ** 2
    surface = 0.0
    for radius, sign in ((5.0, -1.0), (120.0, 1.0)):
        shell = np.abs(np.log(stars.r / radius)) < 0.1
        v_r = np.sum(stars.velocity * stars.position, axis=1)[shell] / stars.r[shell]
        # 4 pi r^3 rho = dN / dln r
        surface += sign * shell.sum() / 0.2 * np.mean(v_r**2) / len(some)
    miss = (speed.mean() - pull.mean() - surface) / pull.mean()
    noise = np.std(speed - pull) / np.sqrt(len(some)) / pull.mean()
    assert abs(miss) < 4.0 * np.hypot(noise, 0.1 * abs(surface) / pull.mean())


def test_opdf_halo_through_the_harness(shared_data, tmp_path):
    """The truth that is reported is the published NFW halo; the anisotropy, that of the tracers: 0.71."""
    scenario = {
        "name": "opdf",
        "realizations": 4,
        "seed": shifted(0),
        "mock": {**OPDF, "file": str(shared_data / "opdf" / "mockhalo.hdf5")},
        "survey": {"n_stars": 3000},
        "estimators": [
            {"kind": "velocity-ellipsoid", "bins": [5.0, 15.0, 40.0, 120.0]},
            {"kind": "jeans-3d", "bins": [5.0, 10.0, 15.0, 25.0, 40.0], "alpha": -2.3},
        ],
    }
    results = haloassay.run(scenario, out=tmp_path / "out", workers=0)
    table = results.table()
    beta = table.query("quantity == 'beta' and estimator == 'velocity-ellipsoid'")
    assert (abs(beta.bias) < 4.0 * np.hypot(beta.bias_mcse, 0.02)).all()
    truth = make_mock(scenario["mock"]).truth
    m200, h = 133.96e10 / 0.73, 0.73
    r200 = float(virial_radius(m200, 100.0 * h))
    expected = nfw_enclosed_mass(RADII, m200, r200, 16.16)
    assert truth.profile("enclosed_mass", RADII) == pytest.approx(expected, rel=1e-9)
    assert (truth.m200, truth.c200) == pytest.approx((m200, 16.16))
    assert truth.value("beta", 0.0, 5.0, 120.0, stars=make_mock(scenario["mock"]).stars) == (
        pytest.approx(0.71, abs=0.02)
    )


def test_a_file_is_hashed_once_as_long_as_it_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "stars.csv"
    file.write_text("x,y\n1,2\n")
    hashed = []
    by = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: hashed.append(1) or by(*a))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = digest_of([file])
        assert digest_of([file]) == first
    assert len(hashed) == 1
    file.write_text("x,y\n1,2\n3,4\n")
    assert digest_of([file]) != first
