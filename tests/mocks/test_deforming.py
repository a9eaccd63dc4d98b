"""A Milky Way and an LMC in expansions: the rigid pair again, the frame, what is true, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from seeds import seeded

from haloassay.base.cache import plain_content
from haloassay.base.constants import GYR_PER_KPC_KMS
from haloassay.base.errors import InputError
from haloassay.mocks import make_mock
from haloassay.mocks.debris.surroundings import Surroundings
from haloassay.mocks.gravity.field_parts import FieldParts
from haloassay.mocks.gravity.fields import field_of, make_field
from haloassay.mocks.gravity.integration import integrate
from haloassay.mocks.gravity.potentials import CompositePotential, make_potential
from haloassay.mocks.lmc.deforming import DeformingPair
from haloassay.mocks.lmc.trajectory import LMC, Trajectory, rewind

FILES = Path(__file__).parent / "agama_files"
HALO = {"kind": "nfw", "m200": 0.8e12, "c": 15.0}
BARYONS = {"kind": "mwpotential2014-baryons"}
SPAN = 2.0
TRACERS = {
    "kind": "equilibrium",
    "potential": [HALO, BARYONS],
    "density": {"kind": "power-law", "slope": -3.5},
    "beta": 0.3,
    "r_range": [10.0, 60.0],
    "population": {"size": 2000},
}


@pytest.fixture(scope="module")
def milky_way() -> CompositePotential:
    return make_potential([HALO, BARYONS])


@pytest.fixture(scope="module")
def trajectory(milky_way: CompositePotential) -> Trajectory:
    return rewind(LMC(time=SPAN), milky_way)


def plain(path: Path, r: np.ndarray, *columns: np.ndarray) -> None:
    names = ["l=0,m=0", "l=1,m=-1", "l=1,m=0", "l=1,m=1"][: len(columns)]
    np.savetxt(path, np.stack([r, *columns], axis=1), header=" ".join(["r", *names]), fmt="%.15g")


def index(path: Path, times: list[float], files: list[str]) -> str:
    stamps = ", ".join(f'{{ time = {t}, file = "{f}" }}' for t, f in zip(times, files, strict=True))
    path.write_text(f'format = "table"\ntime_unit = "Gyr"\nsnapshots = [{stamps}]\n')
    return str(path)


@pytest.fixture(scope="module")
def rigid_pair(tmp_path_factory: pytest.TempPathFactory, trajectory: Trajectory) -> DeformingPair:
    """NFW and truncated NFW of the rigid mode, as tables of 60 radii from 0.05 to 1000 kpc."""
    folder = tmp_path_factory.mktemp("pair")
    r = np.geomspace(0.05, 1000.0, 60)
    plain(folder / "mw.txt", r, make_potential(HALO).potential(r))
    plain(folder / "lmc.txt", r, trajectory.lmc.profile.potential(r))
    names = [
        index(folder / f"{name}.toml", [-SPAN, -0.5, 0.0], [f"{name}.txt"] * 3)
        for name in ("mw", "lmc")
    ]
    path = np.hstack([trajectory.time[:, None], trajectory.position, trajectory.velocity])
    path[:, 0] /= GYR_PER_KPC_KMS
    np.savetxt(folder / "path.txt", path[::5])
    return DeformingPair(*names, str(folder / "path.txt"))


def stars(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = seeded(5)
    x, v = rng.normal(size=(2, n, 3))
    x *= (rng.uniform(15.0, 90.0, n) / np.linalg.norm(x, axis=1))[:, None]
    return x, 90.0 * v


@pytest.mark.long
def test_a_rigid_pair_moves_stars_as_the_rigid_mode_does(
    rigid_pair: DeformingPair, milky_way: CompositePotential, trajectory: Trajectory
) -> None:
    """Tables of 60 radii leave 1e-4 kpc of most stars' places after 2 Gyr, more of those that met a centre."""
    ours = rigid_pair.history(milky_way).epochs[-1][2]
    theirs = make_field(milky_way, *trajectory.bodies)
    x, v = stars()
    for t in (-SPAN, -0.3, 0.0):
        expected = theirs.acceleration(x, t)
        error = np.linalg.norm(ours.acceleration(x, t) - expected, axis=1)
        assert (error / np.linalg.norm(expected, axis=1)).max() < 1e-4
    found, expected_orbits = (integrate(f, x, v, -SPAN, 0.0) for f in (ours, theirs))
    off = np.linalg.norm(found.position - expected_orbits.position, axis=1)
    assert np.median(off) < 5e-4
    assert np.quantile(off, 0.95) < 0.02
    # and the LMC matters
    alone = integrate(make_field(milky_way), x, v, -SPAN, 0.0).position
    assert np.median(np.linalg.norm(found.position - alone, axis=1)) > 5.0


def test_what_is_true_of_a_rigid_pair(
    rigid_pair: DeformingPair, milky_way: CompositePotential, trajectory: Trajectory
) -> None:
    r = np.array([10.0, 30.0, 49.0, 100.0])
    now = rigid_pair.milky_way_now(milky_way)
    np.testing.assert_allclose(now.enclosed_mass(r), milky_way.enclosed_mass(r), rtol=2e-4)
    assert now.virial().m200 == pytest.approx(milky_way.virial().m200, rel=2e-3)
    own = rigid_pair.own_mass["lmc"](r)
    np.testing.assert_allclose(own, trajectory.lmc.enclosed_mass(r), rtol=5e-3)


def test_the_frame_is_that_of_the_centre_or_of_a_file(
    rigid_pair: DeformingPair, trajectory: Trajectory, tmp_path: Path
) -> None:
    host = rigid_pair.bodies[0]
    found = np.stack([np.interp(trajectory.time, host.time, c) for c in host.frame_acceleration.T])
    np.testing.assert_allclose(found.T, trajectory.frame_acceleration, atol=0.2)
    # as agama has it: what stars feel
    t = trajectory.time[::20, None] / GYR_PER_KPC_KMS
    np.savetxt(tmp_path / "acc.txt", np.hstack([t, np.tile([10.0, -20.0, 30.0], (len(t), 1))]))
    pushed = replace(rigid_pair, acceleration=str(tmp_path / "acc.txt")).bodies[0]
    np.testing.assert_allclose(pushed.frame_acceleration[7], [-10.0, 20.0, -30.0])


def test_a_model_of_agama_has_its_forces() -> None:
    """Lists of two snapshots, a centre on a path and an acceleration, at both times and between them."""
    table = np.loadtxt(FILES / "pair-forces.txt")
    model = str(FILES / "potential.ini")
    pair = DeformingPair(f"{model}#halo", f"{model}#LMC", acceleration=str(FILES / "accmw.txt"))
    assert pair.duration == pytest.approx(0.5 * GYR_PER_KPC_KMS)
    field = field_of([], pair.bodies)
    for t in np.unique(table[:, 0]):
        rows = table[table[:, 0] == t]
        off = field.acceleration(rows[:, 1:4], t * GYR_PER_KPC_KMS) - rows[:, 4:]
        assert (np.linalg.norm(off, axis=1) / np.linalg.norm(rows[:, 4:], axis=1)).max() < 3e-4


def growing(folder: Path, dipole: float = 0.0) -> str:
    """Halo whose mass grows by a half in the last Gyr, with a dipole of the harmonic (1, 1)."""
    r = np.geomspace(0.5, 500.0, 40)
    phi = make_potential(HALO).potential(r)
    zero = np.zeros_like(r)
    plain(folder / "then.txt", r, phi, zero, zero, zero)
    plain(folder / "now.txt", r, 1.5 * phi, zero, zero, dipole * phi * r / (r + 20.0))
    return index(folder / "mw.toml", [-1.0, 0.0], ["then.txt", "now.txt"])


def test_the_truth_is_that_of_today(tmp_path: Path) -> None:
    table = {"kind": "expansions", "host": growing(tmp_path)}
    mock: Any = make_mock({**TRACERS, "lmc": table})
    assert mock.lmc.duration == 1.0
    potential = make_potential([HALO, BARYONS])
    r = np.array([15.0, 40.0])
    truth = mock.truth
    expected = potential.enclosed_mass(r) + 0.5 * make_potential(HALO).enclosed_mass(r)
    np.testing.assert_allclose(truth.profile("enclosed_mass", r), expected, rtol=1e-3)
    assert truth.others == {}
    # stars that started in equilibrium have fallen in
    moved = mock.population.stars
    assert moved.r.min() >= 10.0
    assert truth.value("mu_compr", 30.0, 20.0, 50.0) < -3.0


def test_a_dipole_of_the_host_pulls_its_centre(tmp_path: Path) -> None:
    pair = DeformingPair(growing(tmp_path, dipole=0.02))
    bodies = pair.bodies
    field = make_field(make_potential({**HALO, "m200": 1e6}), *bodies)
    pull = field.acceleration([[0.3, 0.0, 0.0], [-0.3, 0.0, 0.0]], 0.0).mean(axis=0)
    assert np.abs(bodies[0].frame_acceleration[-1, 0]) > 50.0
    assert np.abs(pull).max() < 0.1 * np.abs(bodies[0].frame_acceleration[-1, 0])
    np.testing.assert_allclose(bodies[0].frame_acceleration[0], 0.0, atol=1e-9)


def test_debris_moves_in_the_same_field(
    rigid_pair: DeformingPair, milky_way: CompositePotential, trajectory: Trajectory
) -> None:
    around = Surroundings(milky_way, (10.0, 60.0), monopole=False, lmc=rigid_pair).history
    rigid = Surroundings(milky_way, (10.0, 60.0), monopole=False, lmc=trajectory.lmc).history
    x, v = stars(20)
    ours, theirs = (h.follow(x, v, -2.5, 0.0).position for h in (around, rigid))
    assert np.median(np.linalg.norm(ours - theirs, axis=1)) < 2e-3


def test_a_key_is_made_of_the_content_of_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
    same = [plain_content(DeformingPair(growing(f)).read()) for f in (first, second)]
    assert same[0] == same[1]
    assert same[0]["version"] == 1
    other = DeformingPair(growing(second, dipole=0.1)).read()
    assert plain_content(other) != same[0]
    with pytest.raises(InputError, match=r"digest: .* is not that of the files"):
        replace(other, digest=same[0]["digest"]).read()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"host": "gone.ini"}, r"mock\.lmc: gone\.ini: no such file"),
        (
            {"host": "mw.toml", "time": 1.5},
            r"time: host is known from -1 to 0 Gyr, not 1\.5 Gyr ago",
        ),
        ({"host": "mw.toml", "now": 3.0}, r"host: is known from -1 to 0 Gyr, and now is 3"),
        ({"host": "mw.toml", "satellite": "mw.toml"}, "trajectory is missing"),
        ({"host": "mw.toml", "trajectory": "path.txt"}, "trajectory is that of a satellite"),
        ({"host": "mw.toml", "time_unit": "yr"}, r"mock\.lmc\.time_unit: expected"),
        ({"host": "mw.toml", "mass": 1e11}, "unknown setting 'mass'"),
        ({"satellite": "mw.toml"}, "satellite needs a host: without files the pair is that of"),
        ({"now": 1.0}, "now and time_unit are of files, and no host is given"),
        ({"time": 4.0}, r"time: host is known from -2\.\d+ to 0 Gyr, not 4 Gyr ago"),
        ({"kind": "soft"}, r"mock\.lmc: unknown kind of LMC 'soft'.*allowed: expansions, rigid"),
    ],
)
def test_what_cannot_be_followed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: dict[str, Any], message: str
) -> None:
    growing(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        make_mock({**TRACERS, "lmc": {"kind": "expansions", **table}})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("potential", [None, BARYONS])
def test_stars_start_in_the_host_where_nothing_else_is_dark(
    tmp_path: Path, potential: dict[str, Any] | None
) -> None:
    spec = {**TRACERS, "lmc": {"kind": "expansions", "host": growing(tmp_path)}}
    del spec["potential"]
    mock: Any = make_mock(spec if potential is None else {**spec, "potential": potential})
    r = np.array([8.0, 30.0, 100.0])
    expected = make_potential(HALO).enclosed_mass(r)
    if potential is not None:
        expected = expected + make_potential(BARYONS).enclosed_mass(r)
    np.testing.assert_allclose(mock.base.potential.enclosed_mass(r), expected, rtol=1e-3)
    assert mock.base.potential.virial().m200 == pytest.approx(0.8e12, rel=1e-2)
    mock.lmc.history(mock.base.potential)


def test_another_halo_than_the_hosts_is_refused(tmp_path: Path) -> None:
    table = {"kind": "expansions", "host": growing(tmp_path)}
    mock: Any = make_mock({**TRACERS, "potential": [{**HALO, "m200": 1e12}, BARYONS], "lmc": table})
    with pytest.raises(
        InputError, match=r"Msun within .* kpc as stars start, 1 Gyr ago, and mock\.potential"
    ):
        mock.check()


def test_without_files_the_pair_is_that_of_our_own_run() -> None:
    """The LMC is where it is seen, and the pair deforms: the outer halo stays behind the centre."""
    pair = DeformingPair().read()
    host, satellite = pair.bodies
    seen = LMC()
    assert np.linalg.norm(satellite.position[-1] - seen.position) < 2.0
    speed = np.gradient(satellite.position, satellite.time, axis=0)[-1] * GYR_PER_KPC_KMS
    assert np.linalg.norm(speed - seen.velocity) < 15.0
    assert pair.duration > 2.0
    stated = make_potential([HALO, BARYONS])
    assert pair.history(stated)  # the masses that stars start in are those of the run
    # the centre was pulled to where the LMC has been, and more mass is on the other side
    now = host.expansion.at(0.0)
    field = field_of([FieldParts(expansions=(now,))])
    back = satellite.position[np.searchsorted(satellite.time, -0.3)]
    behind, opposite = field.potential(np.stack([back, -back]))
    assert opposite < behind
    # the Milky Way has been pulled to where the LMC was
    gain = np.trapezoid(host.frame_acceleration, host.time, axis=0) / GYR_PER_KPC_KMS
    rigid = rewind(seen, stated).frame_velocity[-1]
    assert np.linalg.norm(gain - rigid) < 0.3 * np.linalg.norm(rigid)


def test_the_pair_that_is_shipped_has_a_mass_now(milky_way: CompositePotential) -> None:
    """Its particles resolve no mass within 1.3 kpc, where disc and bulge hold it anyway."""
    now = DeformingPair().milky_way_now(milky_way)
    before, after = (each.enclosed_mass([20.0, 50.0]) for each in (milky_way, now))
    np.testing.assert_allclose(after, before, rtol=0.15)
    assert 0.5e12 < now.virial().m200 < 1.1e12
