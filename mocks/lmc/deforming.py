"""A Milky Way and an LMC that deform each other: expansions of a simulation of the pair, in the Milky Way's frame.

Stars feel the dark halo of the Milky Way as it is at each time, about the origin, what is not dark in
``mock.potential`` as before, the satellite about its own centre, and the acceleration of the frame. They start in
equilibrium in the field of that time, averaged over spheres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from dataclasses import field as setting
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import GYR_PER_KPC_KMS
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.mocks.gravity.expansion_files import Source, digest_of, read_source
from haloassay.mocks.gravity.expansion_text import TIME_UNITS, TimeUnit, time_table
from haloassay.mocks.gravity.expansions import Expansion, MovingExpansion
from haloassay.mocks.gravity.fields import field_of
from haloassay.mocks.gravity.harmonic_kernels import LAST
from haloassay.mocks.gravity.history import History
from haloassay.mocks.gravity.mass_table import MassTable
from haloassay.mocks.gravity.potentials import CompositePotential

#: Within so many kpc, where disc and bulge outweigh it, the mass of a halo of particles may be unresolved.
_RESOLVED: Final = 3.0
#: Files of a run of our own (``benchmarks/deforming_pair.py``).
_OWN: Final = Path(__file__).parent / "pair"
#: Step of the tables of paths and accelerations [Gyr].
_STEP: Final = 0.002
#: Times this near [Gyr] are the same.
_ROUNDING: Final = 1e-6
#: Radius [kpc] of the sphere over which the host's pull on its own centre is averaged.
_CENTRE: Final = 1.0
#: Part by which the mass that stars start in may differ from the host's at that time, and radii where it is compared.
_AGREEMENT: Final = 0.05
_COMPARED: Final = (5.0, 10.0, 20.0, 40.0, 80.0)


@dataclass(frozen=True)
class DeformingPair:
    """A deforming Milky Way and LMC, of expansions in files: ``kind = "expansions"``.

    Without files it is a small N-body run of haloassay's own. Files are relative to the working directory:
    ``FILE.toml``, an index of snapshots (:class:`Index`); ``FILE.tables``, plain tables at several times in one; or
    ``FILE`` or ``FILE#NAME``, agama's, ``[Potential NAME]`` of type Evolving or Multipole. What is not dark in
    ``mock.potential`` (disc, bulge) rests. Stars start in it and in the host as it is then, averaged over spheres; dark
    components in ``mock.potential`` take its place at the start, and have to have its mass to 5 per cent from 5 to 80
    kpc. The truth is the field as it is now.

    Parameters
    ----------
    host
        The Milky Way's dark halo, about its centre; by default all files are those of the run of haloassay's own.
    satellite
        The LMC, about its own centre.
    trajectory
        Path of that centre: time, x, y, z [kpc], and vx, vy, vz [km/s] where they are known; by default the ``center``
        of the satellite's section.
    acceleration
        What the frame does to stars, as agama's UniformAcceleration has it, minus the acceleration of the Milky Way's
        centre: time, ax, ay, az [(km/s)^2/kpc]. By default that of the field itself: minus the pull of the satellite,
        and of the host averaged over 1 kpc, at the centre.
    time
        How long [Gyr] stars are followed; by default as long as all files allow.
    now
        Time of the files [Gyr] that is now.
    time_unit
        Of ``trajectory`` and ``acceleration``: ``kpc/(km/s)`` (0.978 Gyr), as agama has it, or ``Gyr``.
    digest
        Hash of the content of all files: filled in when read; where it is stated, the files must have it.
    """

    version: ClassVar[int] = 1

    host: str | None = setting(default=None, compare=False)
    satellite: str | None = setting(default=None, compare=False)
    trajectory: str | None = setting(default=None, compare=False)
    acceleration: str | None = setting(default=None, compare=False)
    time: float | None = None
    now: float = 0.0
    time_unit: TimeUnit = "kpc/(km/s)"
    digest: str = ""

    def __post_init__(self) -> None:
        require(self.host != "", "host must not be empty")
        for name in ("satellite", "trajectory", "acceleration"):
            require(
                self.host is not None or getattr(self, name) is None,
                f"{name} needs a host: without files the pair is that of haloassay's own run",
            )
        require(
            self.host is not None or (self.time_unit == "kpc/(km/s)" and self.now == 0.0),
            "now and time_unit are of files, and no host is given",
        )
        require(
            self.trajectory is None or self.satellite is not None,
            "trajectory is that of a satellite, and there is none",
        )
        require(self.time is None or self.time > 0.0, f"time must be positive (got {self.time})")
        require(np.isfinite(self.now), f"now must be finite (got {self.now})")

    def read(self) -> DeformingPair:
        """Read all files now, and fill in the digest.

        Raises
        ------
        InputError
            If a file is missing or not as it should be, does not cover the time, or is not that of ``digest``.
        """
        names = self._names
        parts = [name.partition("#")[2] for name in names]
        files = [path for source in self._sources for path in source.files]
        tables = [path for path in (self._trajectory_file, self._acceleration_file) if path]
        _ = self.duration
        found = digest_of([*files, *tables]) + "".join(f"#{part}" for part in parts if part)
        require(
            self.digest in ("", found),
            f"digest: {self.digest} is not that of the files ({found}): they are others",
        )
        return replace(self, digest=found)

    @cached_property
    def _sources(self) -> tuple[Source, ...]:
        return tuple(read_source(name) for name in self._names if name)

    @property
    def _names(self) -> tuple[str, str]:
        """Files of host and satellite; empty without a satellite."""
        if self.host is None:
            return str(_OWN / "host.tables"), str(_OWN / "satellite.tables")
        return self.host, self.satellite or ""

    @property
    def _trajectory_file(self) -> Path | None:
        if self.host is None:
            return _OWN / "trajectory.txt"
        if self.trajectory is not None:
            return Path(self.trajectory)
        if self.satellite is None:
            return None
        centre = self._sources[1].centre
        if centre is None:
            raise InputError("trajectory is missing: the satellite's file names no center")
        return centre

    @property
    def _acceleration_file(self) -> Path | None:
        if self.host is None:
            return _OWN / "acceleration.txt"
        return None if self.acceleration is None else Path(self.acceleration)

    @cached_property
    def _tables(self) -> dict[str, FloatArray]:
        """Tables in time [Gyr], of which 0 is now, of the files that there are."""
        unit = TIME_UNITS[self.time_unit]
        files = {
            "trajectory": (self._trajectory_file, (4, 7)),
            "acceleration": (self._acceleration_file, (4,)),
        }
        found = {}
        for name, (path, columns) in files.items():
            if path is not None:
                found[name] = time_table(path, unit, columns)
                found[name][:, 0] -= self.now
        return found

    @cached_property
    def _expansions(self) -> tuple[Expansion, ...]:
        """Of the host and, where there is one, of the satellite, in time of which 0 is now."""
        made = []
        for source in self._sources:
            own = source.expansion
            moved = own.time - self.now if len(own.time) > 1 else own.time
            made.append(Expansion(moved, own.nodes))
        return tuple(made)

    @cached_property
    def duration(self) -> float:
        """Time [Gyr] over which stars are followed.

        Raises
        ------
        InputError
            If a file ends before now, or begins after the time asked for.
        """
        spans = {
            name: (each.time[0], each.time[-1])
            for name, each in zip(("host", "satellite"), self._expansions, strict=False)
            if len(each.time) > 1
        }
        spans |= {name: (table[0, 0], table[-1, 0]) for name, table in self._tables.items()}
        for name, (start, end) in spans.items():
            told = f"is known from {start + self.now:g} to {end + self.now:g} Gyr"
            require(
                start < 0.0 and end > -_ROUNDING,
                f"{name}: {told}, and now is {self.now:g} Gyr (set 'now')",
            )
            require(
                self.time is None or -start > self.time - _ROUNDING,
                f"time: {name} {told}, not {self.time or 0.0:g} Gyr ago",
            )
        if self.time is not None:
            return self.time
        require(bool(spans), "time is missing: nothing in the files changes with time")
        return float(min(-start for start, _ in spans.values()))

    @property
    def moves(self) -> bool:
        """Whether there is anything that moves: always."""
        return True

    @cached_property
    def bodies(self) -> tuple[MovingExpansion, ...]:
        """Host and satellite on their paths; the acceleration of the frame goes with the host."""
        n = max(4, int(np.ceil(self.duration / _STEP)) + 1)
        time = np.linspace(-self.duration, 0.0, n)
        rest = np.zeros((n, 3))
        others = [
            MovingExpansion(each, time, self._path(time), rest) for each in self._expansions[1:]
        ]
        host = MovingExpansion(self._expansions[0], time, rest, self._frame(time, others))
        return (host, *others)

    def _path(self, time: FloatArray) -> FloatArray:
        """(N, 3) places of the satellite's centre."""
        table = self._tables["trajectory"]
        return _interpolated(table[:, 0], table[:, 1:4], table[:, 4:] / GYR_PER_KPC_KMS, time)

    def _frame(self, time: FloatArray, others: list[MovingExpansion]) -> FloatArray:
        """(N, 3) accelerations of the origin."""
        if "acceleration" in self._tables:
            table = self._tables["acceleration"]
            return -_interpolated(table[:, 0], table[:, 1:], np.empty((0, 0)), time)
        own = _own_pull(self._expansions[0], time)
        if not others:
            return own
        field = field_of([], others)
        return own + np.array([field.acceleration(np.zeros(3), t)[0] for t in time])

    def history(self, milky_way: CompositePotential) -> History:
        """Field until now: all of ``milky_way`` before, then what is not dark of it, host and satellite.

        Raises
        ------
        InputError
            If the dark mass of ``milky_way`` is not that of the host as stars start.
        """
        self._require_start(milky_way)
        visible = tuple(c for c in milky_way.components if not c.dark)
        return History(milky_way, self.bodies, later=(-self.duration, visible))

    def _require_start(self, milky_way: CompositePotential) -> None:
        start = self._expansions[0].at(-self.duration)
        r = np.array(_COMPARED)
        ours, theirs = milky_way.dark_mass(r), start.enclosed_mass(r)
        require(
            bool(np.all(theirs > 0.0)), "host: its mass as stars start is not positive everywhere"
        )
        worst = int(np.argmax(np.abs(ours / theirs - 1.0)))
        require(
            bool(np.abs(ours / theirs - 1.0)[worst] <= _AGREEMENT),
            f"host has {theirs[worst]:.3g} Msun within {r[worst]:g} kpc as stars start,"
            f" {self.duration:g} Gyr ago, and mock.potential {ours[worst]:.3g} dark ones: stars would start far from"
            f" equilibrium (allowed: {100 * _AGREEMENT:g} per cent; without dark components they start in the host's"
            " own mass)",
        )

    def at_start(self, stated: CompositePotential | None) -> CompositePotential:
        """Potential that stars start in: as stated, with the host of that time where nothing of it is dark.

        Raises
        ------
        InputError
            If the host's mass falls somewhere.
        """
        components = () if stated is None else stated.components
        if stated is not None and any(c.dark for c in components):
            return stated
        host = _mass_of(self._expansions[0].at(-self.duration), "host")
        return CompositePotential((*components, host))

    def milky_way_now(self, before: CompositePotential) -> CompositePotential:
        """Sum what is not dark, as before, and the host as it is now, averaged over spheres.

        Raises
        ------
        InputError
            If the host's mass falls somewhere.
        """
        visible = (c for c in before.components if not c.dark)
        return CompositePotential((*visible, _mass_of(self._expansions[0].at(0.0), "host")))

    @property
    def own_mass(self) -> dict[str, Callable[[ArrayLike], FloatArray]]:
        """Mass [Msun] of the satellite within a radius [kpc] of the Milky Way's centre now, taken as round."""
        if len(self._expansions) < 2:
            return {}
        body = _mass_of(self._expansions[1].at(0.0), "satellite")
        distance = float(np.linalg.norm(self._path(np.zeros(1))[0]))
        return {"lmc": lambda r: _mass_within(body, r, distance)}


def _own_pull(host: Expansion, time: FloatArray) -> FloatArray:
    """(N, 3) mean acceleration over a sphere of 1 kpc about the centre, which l = 1 makes alone."""
    if host.highest < 1:
        return np.zeros((len(time), 3))
    # of Phi = sqrt(3) f(r) x / r the mean gradient over a sphere is (f' + 2 f / r) / sqrt(3)
    known = host.time if len(host.time) > 1 else np.array([time[0], time[-1]])
    pulls = []
    for t in known:
        value, slope = host.at(float(t)).harmonics_at(_CENTRE)
        pulls.append(-(slope + 2.0 * value)[[3, 1, 2]] / (np.sqrt(3.0) * _CENTRE))
    return _interpolated(known, np.array(pulls), np.empty((0, 0)), time)


def _interpolated(
    at: FloatArray, values: FloatArray, rates: FloatArray, time: FloatArray
) -> FloatArray:
    """Cubic in time between values, with the rates that are known; times beyond the ends by rounding are the ends."""
    from scipy.interpolate import CubicHermiteSpline, CubicSpline

    inside = np.clip(time, at[0], at[-1])
    if rates.size:
        return np.asarray(CubicHermiteSpline(at, values, rates)(inside))
    if len(at) == 2:
        return np.stack([np.interp(inside, at, column) for column in values.T], axis=1)
    return np.asarray(CubicSpline(at, values)(inside))


def _mass_of(expansion: Expansion, name: str) -> MassTable:
    try:
        table = MassTable.of(expansion.enclosed_mass, dark=True, r_max=LAST, centre=_RESOLVED)
    except InputError as error:
        raise InputError(f"{name}: its mass is none of a halo: {error}") from None
    # keys are made of these numbers: their last digits are those of one machine
    r, mass = (tuple(float(f"{x:.9g}") for x in column) for column in (table.r, table.mass))
    return MassTable(r, mass, dark=True)


def _mass_within(body: MassTable, r: ArrayLike, distance: float) -> FloatArray:
    """Mass of a sphere at ``distance`` that is within ``r`` of the origin.

    Of a shell of radius s the fraction [r^2 - (d - s)^2] / (4 d s) is inside, where the spheres cut each other.
    """
    r = np.asarray(r, dtype=float)
    lo, hi = np.abs(r - distance), r + distance
    whole = np.where(r > distance, body.enclosed_mass(np.maximum(lo, 1e-6)), 0.0)
    nodes, weights = np.polynomial.legendre.leggauss(256)
    lo = np.maximum(lo, 1e-6)
    half = 0.5 * np.log(hi / lo)
    s = np.exp(np.log(lo)[..., None] + half[..., None] * (nodes + 1.0))
    fraction = np.clip((r[..., None] ** 2 - (distance - s) ** 2) / (4.0 * distance * s), 0, 1)
    gain = 4.0 * np.pi * s**3 * body.density(s) * fraction
    return np.asarray(whole + half * (gain @ weights), dtype=float)
