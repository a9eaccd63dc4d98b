"""A Milky Way and an LMC that deform each other: a small N-body run, written as the expansions that haloassay ships.

    OMP_NUM_THREADS=1 python benchmarks/deforming_pair.py make run.npz
    python benchmarks/deforming_pair.py write run.npz --to mocks/lmc/pair
    python benchmarks/deforming_pair.py quality|force|response run.npz

``make`` needs pytreegrav; it follows 5e4 particles for 2.2 Gyr, in 3 minutes of a core. The tables: how good the
run is, the force of the expansions beside that of the particles, and the response of the halo. What is published of the
LMC stands beside it in ``pair_published.py``.

Two isotropic equilibria: an NFW halo of m200 = 0.8e12 Msun, c = 15, cut off by exp(-(r / 350 kpc)^2), about the
baryons of MWPotential2014, one rigid sphere; and the truncated NFW halo of the rigid LMC of 1.5e11 Msun, which starts
where the orbit of the rigid pair does. The run ends when it leaves the centre as fast as the LMC does, and is turned so
that it is seen in its direction and moves in the plane of its orbit. The frame is that of the baryons.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import nbody
import numpy as np
from nbody import STEP, Rigid, State
from scipy.integrate import solve_ivp
from scipy.interpolate import BSpline

from haloassay.base.constants import GYR_PER_KPC_KMS
from haloassay.mocks.gravity.expansion_files import read_source
from haloassay.mocks.gravity.expansions import harmonics
from haloassay.mocks.gravity.field_parts import FieldParts
from haloassay.mocks.gravity.fields import field_of, make_field
from haloassay.mocks.gravity.potentials import CompositePotential, make_potential
from haloassay.mocks.lmc.trajectory import (
    LMC,
    Friction,
    Trajectory,
    TruncatedNFW,
    point_pull,
    rewind,
)

#: Time [Gyr] of the rigid orbit that says where the run starts.
SPAN = 2.2
CUT = 350.0
EDGES = (1000.0, 450.0)
NUMBERS = (40_000, 10_000)
#: Highest l of both expansions, and their radii [kpc].
HIGHEST = (4, 2)
RADII = (np.geomspace(0.7, 500.0, 20), np.geomspace(0.7, 250.0, 18))
#: Steps between snapshots that are kept, within the last 0.5 Gyr, the last 1 Gyr, and before.
EVERY = ((0.5, 5), (1.0, 10), (np.inf, 20))
#: Distance of knots [Gyr] of the acceleration and of the path.
KNOTS = (0.05, 0.1)
NFW = {"kind": "nfw", "m200": 0.8e12, "c": 15.0}
BARYONS = make_potential({"kind": "mwpotential2014-baryons"})


def halo() -> TruncatedNFW:
    """Dark halo at the start."""
    whole = make_potential(NFW)
    r_s = whole.components[0].scales[1]
    shape = TruncatedNFW(1.0, r_s, CUT / r_s)
    # the cut takes nothing from the centre
    mass = float(whole.enclosed_mass(0.1) / shape.enclosed_mass(0.1))
    return TruncatedNFW(mass, r_s, CUT / r_s)


def milky_way() -> CompositePotential:
    """Dark halo and baryons at the start."""
    r = np.geomspace(1e-2, 3000.0, 300)
    table = {"kind": "mass-table", "r": r.tolist(), "mass": halo().enclosed_mass(r).tolist()}
    return make_potential([{**table, "dark": True}, {"kind": "mwpotential2014-baryons"}])


def rigid_orbit() -> Trajectory:
    return rewind(LMC(time=SPAN), milky_way())


def start(numbers: tuple[int, int], orbit: np.ndarray, seed: int = 1) -> tuple[State, Rigid, int]:
    """Particles of both, the LMC at ``orbit`` (r, v_r, v_t) in the plane of x and y."""
    rng = np.random.default_rng(seed)
    dark, lmc = halo(), LMC().profile

    def total(r: np.ndarray) -> np.ndarray:
        return dark.enclosed_mass(r) + BARYONS.enclosed_mass(r)

    x, v, m = nbody.draw(numbers[0], dark.enclosed_mass, total, EDGES[0], rng)
    xs, vs, ms = nbody.draw(numbers[1], lmc.enclosed_mass, lmc.enclosed_mass, EDGES[1], rng)
    xs, vs = xs + np.array([orbit[0], 0.0, 0.0]), vs + np.array([orbit[1], orbit[2], 0.0])
    body = Rigid(BARYONS.enclosed_mass)
    mass = np.concatenate([np.full(len(x), m), np.full(len(xs), ms), body.mass[-1:]])
    rest = np.zeros((1, 3))
    return State(np.vstack([x, xs, rest]), np.vstack([v, vs, rest]), mass), body, len(x)


def centre(x: np.ndarray, v: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre of the LMC, the mean of particles in shrinking spheres, and its velocity."""
    for radius in (12.0, 8.0, 6.0, 6.0):
        near = np.sum((x - guess) ** 2, axis=1) < radius**2
        if np.count_nonzero(near) < 10:
            break
        guess = x[near].mean(axis=0)
    return guess, v[near].mean(axis=0)


class Watch:
    """Paths of both centres at each step, and snapshots; ends the run where the LMC rises as it does now."""

    def __init__(self, n: int, step: float, target: float, keep: int = 0) -> None:
        self.n, self.step, self.target, self.keep = n, step, target, keep
        self.rows: list[np.ndarray] = []
        self.snapshots: list[tuple[float, np.ndarray]] = []

    def __call__(self, k: int, state: State) -> bool:
        """Look at a step; whether it is the last."""
        own = slice(self.n, -1)
        dt = self.step / GYR_PER_KPC_KMS
        guess = (
            state.x[own].mean(axis=0) if not k else self.rows[-1][7:10] + dt * self.rows[-1][10:]
        )
        lmc = centre(state.x[own], state.v[own], guess)
        self.rows.append(np.concatenate([[k * self.step], state.x[-1], state.v[-1], *lmc]))
        r, v_r, _ = self.now()
        done = k * self.step > 1.0 and r < 90.0 and v_r >= self.target
        if self.keep and (done or k % self.keep == 0):
            self.snapshots.append((k * self.step, state.x[:-1].astype(np.float32)))
        return bool(done)

    def now(self) -> tuple[float, float, float]:
        """Distance [kpc], radial and tangential velocity [km/s] of the LMC."""
        return polar(
            self.rows[-1][7:10] - self.rows[-1][1:4], self.rows[-1][10:] - self.rows[-1][4:7]
        )


def polar(x: np.ndarray, v: np.ndarray) -> tuple[float, float, float]:
    r = float(np.linalg.norm(x))
    v_r = float(x @ v) / r
    return r, v_r, float(np.sqrt(max(v @ v - v_r**2, 0.0)))


def turned(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that takes the LMC of the run to where it is seen, its orbit into the plane that is seen."""

    def axes(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        pole = np.cross(x, v)
        first, third = x / np.linalg.norm(x), pole / np.linalg.norm(pole)
        return np.stack([first, np.cross(third, first), third])

    return axes(np.array(LMC().position), np.array(LMC().velocity)).T @ axes(x, v)


def smooth(t: np.ndarray, values: np.ndarray, rates: np.ndarray | None = None) -> Any:
    """Cubic spline of few knots by least squares; with ``rates``, of these too, 3 km/s of which weigh as 0.2 kpc."""
    width = KNOTS[rates is not None]
    inner = np.linspace(t[0], t[-1], round((t[-1] - t[0]) / width) + 1)[1:-1]
    knots = np.concatenate([t[[0] * 4], inner, t[[-1] * 4]])
    basis = BSpline(knots, np.eye(len(knots) - 4), 3)
    design, wanted = basis(t), values
    if rates is not None:
        weight = 0.2 / 3.0
        design = np.vstack([design, weight * basis.derivative()(t) * GYR_PER_KPC_KMS])
        wanted = np.vstack([values, weight * rates])
    return BSpline(knots, np.linalg.lstsq(design, wanted, rcond=None)[0], 3)


def tables(x: np.ndarray, mass: float, highest: int, radii: np.ndarray) -> np.ndarray:
    """(R, (L + 1)^2) Phi_lm [(km/s)^2] of particles of one mass at radii, by their sums over inner and outer ones."""
    from scipy.special import sph_harm_y

    r = np.sqrt(np.sum(x**2, axis=1) + (0.5 * nbody.SOFTENING) ** 2)
    theta, phi = np.arccos(np.clip(x[:, 2] / r, -1, 1)), np.arctan2(x[:, 1], x[:, 0])
    place = np.searchsorted(radii, r)
    out = np.empty((len(radii), (highest + 1) ** 2))
    for k, (ell, m) in enumerate(harmonics(highest)):
        y = sph_harm_y(ell, abs(m), theta, phi) * (-1.0) ** m * np.sqrt(4.0 * np.pi)
        y = y.real if m == 0 else np.sqrt(2.0) * (y.real if m > 0 else y.imag)
        n = len(radii) + 1
        inner = np.cumsum(np.bincount(place, y * r**ell, n))[:-1]
        outer = np.cumsum(np.bincount(place, y * r ** (-ell - 1.0), n)[::-1])[::-1][1:]
        out[:, k] = -nbody.G * mass / (2 * ell + 1)
        out[:, k] *= inner * radii ** (-ell - 1.0) + outer * radii**ell
    return out


def kept(times: np.ndarray) -> list[int]:
    """Snapshots that are written, of all: fewer long ago, the first and the last always."""
    chosen = [len(times) - 1]
    for k in range(len(times) - 2, -1, -1):
        ago = -times[chosen[-1]]
        step = next(n for limit, n in EVERY if ago < limit - 1e-6) * STEP
        if times[chosen[-1]] - times[k] > step - 1e-6 or k == 0:
            chosen.append(k)
    return chosen[::-1]


def make(out: Path) -> None:
    """Follow all particles, and keep what the tables and files are made of."""
    began = time.process_time()
    seen = polar(np.array(LMC().position), np.array(LMC().velocity))
    first = rigid_orbit()
    orbit = np.array(polar(first.position[0], first.velocity[0]))
    state, body, n = start(NUMBERS, orbit)
    watch = Watch(n, STEP, seen[1], keep=5)
    energies = [nbody.energy(state, body)]
    nbody.run(state, body, round(1.6 * SPAN / STEP), STEP, watch)
    energies.append(nbody.energy(state, body))
    rows = np.array(watch.rows)
    stored = {
        "times": np.array([s[0] for s in watch.snapshots]) - rows[-1, 0],
        "x": np.array([s[1] for s in watch.snapshots]),
        "v": state.v[:-1],
        "rows": rows,
        "turn": turned(rows[-1, 7:10] - rows[-1, 1:4], rows[-1, 10:] - rows[-1, 4:7]),
        "mass": state.mass,
        "n": n,
        "energies": energies,
        "orbit": orbit,
        "seconds": time.process_time() - began,
    }
    np.savez(out, **stored)


class Run:
    """A run that was kept, in the frame of the baryons, turned; the end is the time 0."""

    def __init__(self, file: Path) -> None:
        with np.load(file) as kept_run:
            self.kept = dict(kept_run)
        self.n, self.turn, self.rows = int(self.kept["n"]), self.kept["turn"], self.kept["rows"]
        self.times, self.mass = self.kept["times"], self.kept["mass"]
        self.t = self.rows[:, 0] - self.rows[-1, 0]
        own = (
            (self.rows[:, k : k + 3] - self.rows[:, k - 6 : k - 3]) @ self.turn.T for k in (7, 10)
        )
        self.path = smooth(self.t, *own)
        self.frame = smooth(self.t, self.rows[:, 4:7] @ self.turn.T)

    def snapshot(self, k: int) -> np.ndarray:
        """(N, 3) places of all particles in a snapshot."""
        row = self.rows[round((self.times[k] - self.times[0]) / STEP)]
        return (self.kept["x"][k].astype(float) - row[1:4]) @ self.turn.T

    def velocities(self) -> np.ndarray:
        """(N, 3) velocities of all particles at the end."""
        return (self.kept["v"] - self.rows[-1, 4:7]) @ self.turn.T


def write(run: Run, folder: Path) -> None:
    """Write the four files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, own, highest, radii in (
        ("host", slice(0, run.n), HIGHEST[0], RADII[0]),
        ("satellite", slice(run.n, None), HIGHEST[1], RADII[1]),
    ):
        header = " ".join(f"l={ell},m={m}" for ell, m in harmonics(highest))
        lines = [f"# {name}: Phi_lm [(km/s)^2] at radii [kpc], times [Gyr]"]
        lines.append(f"# r {header}")
        for k in kept(run.times):
            x = run.snapshot(k)[own]
            if name == "satellite":
                x -= run.path(run.times[k])
            lines.append(f"# time {run.times[k]:.4f}")
            for r, phi in zip(radii, tables(x, run.mass[own][0], highest, radii), strict=True):
                lines.append(f"{r:.6g} " + " ".join(f"{p:.1f}" for p in phi))
        (folder / f"{name}.tables").write_text("\n".join(lines) + "\n")
    at = np.linspace(run.t[0], 0.0, round(-run.t[0] / 0.02) + 1)
    when = at[:, None] / GYR_PER_KPC_KMS
    moving = np.hstack([when, run.path(at), run.path.derivative()(at) * GYR_PER_KPC_KMS])
    falling = np.hstack([when, -run.frame.derivative()(at) * GYR_PER_KPC_KMS])
    for name, table, told in (
        ("trajectory", moving, "x, y, z [kpc], vx, vy, vz [km/s] of the satellite"),
        ("acceleration", falling, "ax, ay, az [(km/s)^2/kpc] that stars feel"),
    ):
        lines = [f"# time [kpc/(km/s)], {told}"]
        lines += [" ".join(f"{value:.6g}" for value in row) for row in table]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


def row(*cells: Any) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def heading(*cells: Any) -> None:
    row(*cells)
    row(*("---" for _ in cells))


def rigid_forth(start: np.ndarray, friction: bool, target: float) -> tuple[np.ndarray, np.ndarray]:
    """Follow the rigid LMC from (r, v_r, v_t) until it leaves as it does now: times [Gyr], (x, v, v of the centre)."""
    field, lmc = make_field(milky_way(), monopole=True), LMC()
    drag = Friction.of(lmc, milky_way())

    def slope(_: float, state: np.ndarray) -> np.ndarray:
        x, v = state[:3], state[3:6]
        frame = -point_pull(lmc.profile, x)
        a = field.acceleration(x)[0] - frame + (drag(x, v) if friction else 0.0)
        return np.concatenate([v, a, frame])

    def leaves(t: float, state: np.ndarray) -> float:
        return polar(state[:3], state[3:6])[1] - target if t > 1.0 else -1.0

    leaves.terminal, leaves.direction = True, 1.0  # type: ignore[attr-defined]
    state = np.concatenate([[start[0], 0, 0], [start[1], start[2], 0], np.zeros(3)])
    found = solve_ivp(slope, (0.0, 4.0), state, events=leaves, rtol=1e-9, max_step=0.01)
    return found.t * GYR_PER_KPC_KMS, found.y.T


def quality(run: Run) -> None:
    """Orbit of the LMC in the run and of the rigid pair from the same start, and the energy of the run."""
    seen = polar(np.array(LMC().position), np.array(LMC().velocity))
    r = np.linalg.norm(run.rows[:, 7:10] - run.rows[:, 1:4], axis=1)
    ends = polar(run.path(0.0), run.path.derivative()(0.0) * GYR_PER_KPC_KMS)
    gain = float(np.linalg.norm(run.rows[-1, 4:7]))
    columns = [(r.min(), -run.t[0] + run.t[r.argmin()], -run.t[0], *ends, gain)]
    for friction in (True, False):
        t, y = rigid_forth(run.kept["orbit"], friction, seen[1])
        r = np.linalg.norm(y[:, :3], axis=1)
        ends = polar(y[-1, :3], y[-1, 3:6])
        speed = float(np.linalg.norm(y[-1, 6:]))
        columns.append((r.min(), t[r.argmin()], t[-1], *ends, speed))
    names = ("pericentre [kpc]", "at [Gyr]", "now [Gyr]", "distance now [kpc]", "v_r [km/s]")
    names += ("v_t [km/s]", "speed of the centre [km/s]")
    now = ("", "", "", *seen, "")
    heading("from the same start", "run", "rigid, friction", "rigid, none", "the LMC")
    for name, *cells in zip(names, *columns, now, strict=True):
        row(name, *(f"{c:.3g}" if isinstance(c, float) else c for c in map(plain, cells)))
    before, after = run.kept["energies"].sum(axis=1)
    row("change of all energy", f"{after / before - 1.0:+.1e}", "", "", "")
    row(
        "particles, s of a core",
        f"{len(run.mass) - 1}, {float(run.kept['seconds']):.0f}",
        "",
        "",
        "",
    )


def plain(value: Any) -> Any:
    return value if value == "" else float(value)


def force(run: Run) -> None:
    """Force of the packaged expansions beside the sum over particles, and in brackets what chance makes of that sum."""
    rng = np.random.default_rng(4)
    shells = ((5.0, 10.0), (10.0, 30.0), (30.0, 60.0), (60.0, 120.0))
    folder = Path(__file__).parents[1] / "mocks" / "lmc" / "pair"
    parts = (("host", slice(0, run.n)), ("satellite", slice(run.n, None)))
    heading("of", "Gyr", *(f"{lo:g} to {hi:g} kpc" for lo, hi in shells))
    for name, own in parts:
        expansion = read_source(str(folder / f"{name}.tables")).expansion
        for t in (run.times[0], -0.5, 0.0):
            k = int(np.argmin(np.abs(run.times - t)))
            x = run.snapshot(k)[own] - (0.0 if name == "host" else run.path(run.times[k]))
            at = max(float(run.times[k]), float(expansion.time[0]))
            field = field_of([FieldParts(expansions=(expansion.at(at),))])
            cells = []
            for lo, hi in shells:
                places = nbody.directions(60, rng) * rng.uniform(lo, hi, (60, 1))
                halves = [summed(x[h::2], 2.0 * run.mass[own][0], places) for h in (0, 1)]
                whole = 0.5 * (halves[0] + halves[1])
                size = np.linalg.norm(whole, axis=1)
                off = np.linalg.norm(field.acceleration(places) - whole, axis=1) / size
                chance = 0.5 * np.linalg.norm(halves[0] - halves[1], axis=1) / size
                cells.append(f"{np.median(off):.1e} ({np.median(chance):.1e})")
            row(name, f"{run.times[k]:.2f}", *cells)


def summed(x: np.ndarray, mass: float, places: np.ndarray) -> np.ndarray:
    """(M, 3) accelerations by a sum over particles, softened."""
    out = []
    for place in places:
        d = x - place
        square = np.sum(d**2, axis=1) + nbody.SOFTENING**2
        out.append(nbody.G * mass * (d / square[:, None] ** 1.5).sum(axis=0))
    return np.array(out)


def response(run: Run) -> None:
    """Dark matter of the Milky Way now: means in shells, and the density where the LMC came through them."""
    x, v = run.snapshot(len(run.times) - 1)[: run.n], run.velocities()[: run.n]
    r = np.linalg.norm(x, axis=1)
    share = 0.5 * (1.0 - np.cos(np.radians(35.0)))
    distance = np.linalg.norm(run.path(run.t), axis=1)
    heading(
        "dark matter",
        "mean place [kpc]",
        "mean velocity [km/s]",
        "mean v_r",
        "density - 1 where it came",
        "opposite",
    )
    for lo, hi in ((5.0, 15.0), (15.0, 30.0), (30.0, 50.0), (50.0, 80.0), (80.0, 120.0)):
        own = (r > lo) & (r < hi)
        n = np.count_nonzero(own)
        place, speed = (np.linalg.norm(a[own].mean(axis=0)) for a in (x, v))
        v_r = np.sum(x[own] * v[own], axis=1) / r[own]
        came = run.path(run.t[np.argmax(distance < max(0.5 * (lo + hi), distance.min() + 0.1))])
        cosine = x[own] @ (came / np.linalg.norm(came)) / r[own]
        dense = [
            np.count_nonzero(side * cosine > np.cos(np.radians(35.0))) / (share * n) - 1.0
            for side in (1.0, -1.0)
        ]
        noise = 1.0 / np.sqrt(share * n)
        row(
            f"{lo:g} to {hi:g} kpc",
            f"{place:.1f} ± {r[own].mean() / np.sqrt(n):.1f}",
            f"{speed:.0f} ± {v[own].std() * np.sqrt(3 / n):.0f}",
            f"{v_r.mean():+.1f} ± {v_r.std() / np.sqrt(n):.1f}",
            *(f"{d:+.2f} ± {noise:.2f}" for d in dense),
        )


if __name__ == "__main__":
    tasks = {"quality": quality, "force": force, "response": response}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["make", "write", *tasks])
    parser.add_argument("run", type=Path)
    parser.add_argument("--to", type=Path)
    asked = parser.parse_args()
    if asked.what == "make":
        make(asked.run)
    elif asked.what == "write":
        write(Run(asked.run), asked.to)
    else:
        tasks[asked.what](Run(asked.run))
