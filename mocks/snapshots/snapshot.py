"""A simulation snapshot as a mock: its particles are the stars, its mass is the truth."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.cache import Arrays, cached, plain_content
from haloassay.base.errors import InputError
from haloassay.base.settings import build, require
from haloassay.mocks.gravity.potentials import H0, OVERDENSITY, CompositePotential, make_potential
from haloassay.mocks.mock import Mock
from haloassay.mocks.moments import Moments, measured_moments
from haloassay.mocks.snapshots.formats import (
    Content,
    Kind,
    ParticleTable,
    Source,
    Types,
    Units,
    Wanted,
    digest_of,
    read_tables,
    require_file,
)
from haloassay.mocks.snapshots.frame import Centre, Frame, Orientation, Tracers, halo_arrays
from haloassay.mocks.snapshots.gadget import files_of, is_gadget, read_gadget
from haloassay.mocks.snapshots.mass import ParticleMass
from haloassay.mocks.snapshots.units import require_expansion, require_range
from haloassay.mocks.stars import Origin, Stars, without_replacement
from haloassay.mocks.truth import Truth
from haloassay.mocks.watch import Watch

Viewpoint = Literal["random", "random-azimuth", "fixed"]

#: What h0 [km/s/Mpc] and overdensity can be; r200 beyond is of no halo.
_LEAST: Final = 1e-3
_MOST: Final = 1e6
#: Width of shells in ln r in which tracers' moments are measured, and stars that each has at least: choice.
_SHELL_STEP: Final = 0.1
_SHELL_STARS: Final = 200


@dataclass(frozen=True, eq=False)
class Snapshot(Mock):
    """A halo of an N-body or hydrodynamical simulation, its particles observed as stars.

    Files in GADGET's HDF5 layout (AREPO, GIZMO, SWIFT) are understood as they are; of any other table (HDF5, Parquet,
    FITS, CSV, text), ``tables`` names the columns.

    Parameters
    ----------
    file
        Relative to the working directory; one of the files, NAME.0.hdf5, where the snapshot has several.
    tables
        Columns of a plain table, one entry for each kind of particles.
    types, units
        What the file does not say: kinds of its particle types, units of its datasets.
    h, a
        Hubble's constant / (100 km/s/Mpc) and scale factor in the units, where the file does not state them.
    hubble_flow
        Expansion [km/s/Mpc] that velocities leave out and that is added about the centre: that of the file where it is
        cosmological, else none.
    centre, orientation, tracers
        Where the halo is, which way it is turned, and who its stars are.
    viewpoint
        Where the Sun is: in every realisation in a random direction (``random``), at a random azimuth
        (``random-azimuth``), or as the axes are (``fixed``). By default random, about the z axis where an orientation
        is asked for.
    potential
        Truth in place of the mass of the particles: a potential as of an equilibrium mock.
    h0, overdensity
        Hubble's constant [km/s/Mpc] and overdensity of the virial radius of the particles.
    digest
        Hash of the content of all files: filled in when read; where it is stated, the files must have it.
    """

    kind: ClassVar[str] = "snapshot"
    version: ClassVar[int] = 3

    file: str
    tables: tuple[ParticleTable, ...] = ()
    types: Types = field(default_factory=Types)
    units: Units = field(default_factory=Units)
    h: float | None = None
    a: float | None = None
    hubble_flow: float | None = None
    centre: Centre = field(default_factory=Centre)
    orientation: Orientation = field(default_factory=Orientation)
    tracers: Tracers = field(default_factory=Tracers)
    viewpoint: Viewpoint | None = None
    potential: CompositePotential | None = None
    h0: float = H0
    overdensity: float = OVERDENSITY
    digest: str = ""

    def __post_init__(self) -> None:
        require(bool(self.file), "file must not be empty")
        for name in ("h", "a"):
            require_range(name, getattr(self, name))
        for name in ("h0", "overdensity"):
            value = getattr(self, name)
            require(
                _LEAST <= value <= _MOST,
                f"{name} must be between {_LEAST:g} and {_MOST:g} (got {value})",
            )
        if self.hubble_flow is not None:
            require_expansion(self.hubble_flow, "hubble_flow")

    @property
    def seen_from(self) -> Viewpoint:
        """Viewpoint, that of the orientation where none is stated."""
        return self.viewpoint or ("random" if self.orientation.by == "none" else "random-azimuth")

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Kinds of particles that are stars here."""
        return tuple(Origin(kind) for kind in self.tracers.kinds)

    @property
    def number(self) -> int | None:
        """As many stars as there are tracers."""
        return len(self.stars)

    @cached_property
    def _arrays(self) -> Arrays:
        """Tracers about the centre, cumulative masses, and facts; read once and cached by content."""
        names = ("tables", "types", "units", "h", "a", "hubble_flow", "centre", "orientation")
        settings = plain_content([getattr(self, name) for name in (*names, "tracers", "digest")])
        content = ["snapshot", self.version, settings, self.potential is None]
        return cached(content, lambda: _read_halo(self))

    @cached_property
    def stars(self) -> Stars:
        """All tracers, about the centre in the axes that were asked for."""
        names = ("position", "velocity", "feh", "alpha_fe", "origin")
        return Stars.of(*(self._arrays[name] for name in names))

    @cached_property
    def truth(self) -> Truth:
        """Mass of all particles (or the stated potential), and the moments of all tracers."""
        arrays = self._arrays
        mass = self.potential or ParticleMass(
            arrays["radius"],
            arrays["cumulative"],
            arrays["dark_radius"],
            arrays["dark_cumulative"],
            self.h0,
            self.overdensity,
            json.loads(arrays["facts"].tobytes()),
        )
        edges = _shell_edges(self.stars.r, self.tracers.r_range)
        moments = measured_moments(self.stars, edges)
        return Truth(mass, _from_all_sides(moments) if self.seen_from == "random" else moments)

    @property
    def abundances(self) -> Mapping[str, bool | None]:
        """Which of ``feh`` and ``alpha_fe`` the stars have."""
        return {
            name: _all_or_none(np.isfinite(getattr(self.stars, name)))
            for name in ("feh", "alpha_fe")
        }

    def check(self) -> None:
        """Read the file; raises InputError where it cannot serve."""
        _ = self.truth

    def prepare(self, progress: Watch | None = None) -> Mapping[str, Any]:
        """Read the file now; raises InputError where it cannot serve. Returns tracers and digest."""
        _ = self.truth
        return {"population": len(self.stars), "digest": self.digest}

    def sampler(self, rng: np.random.Generator) -> Callable[[int], Stars]:
        """Source of tracers from one viewpoint, drawn without replacement.

        The last call may return fewer than asked for; the next one raises UsedUpError.
        """
        turn = _rotation(self.seen_from, rng)
        which = without_replacement(
            len(self.stars),
            rng,
            f"mock: all {len(self.stars)} tracers of {self.file} are drawn, and the survey asks for more: lower "
            "n_stars, widen its cuts, or take more particles as tracers",
        )

        def draw(n: int) -> Stars:
            some = self.stars.select(which(n))
            return replace(some, position=some.position @ turn.T, velocity=some.velocity @ turn.T)

        return draw

    def sample(self, n: int, rng: np.random.Generator) -> Stars:
        """Draw ``n`` tracers from one viewpoint."""
        if n > len(self.stars):
            raise InputError(
                f"mock: {n} stars asked for, {self.file} has {len(self.stars)} tracers"
            )
        return super().sample(n, rng)


def make_snapshot(spec: Mapping[str, Any], where: str) -> Snapshot:
    """Snapshot of a table with the settings of :class:`Snapshot`.

    Raises
    ------
    InputError
        If a setting is unknown or out of range, or a file is missing, unreadable or not the one of ``digest``.
    """
    rest = {key: value for key, value in spec.items() if key != "kind"}
    tables = rest.pop("tables", [])
    require(
        isinstance(tables, list) and all(isinstance(table, Mapping) for table in tables),
        f"{where}.tables: expected a list of tables (got {tables!r})",
    )
    potential = rest.pop("potential", None)
    require(
        not (tables and "types" in rest),
        f"{where}.types: is of GADGET's layout; with tables, each of them names its kind",
    )
    snapshot = replace(
        build(Snapshot, rest, where),
        tables=tuple(build(ParticleTable, t, f"{where}.tables.{i}") for i, t in enumerate(tables)),
        potential=potential and make_potential(potential, f"{where}.potential"),
    )
    path = Path(snapshot.file)
    try:
        require_file(path)
        if not (snapshot.tables or is_gadget(path)):
            raise InputError(f"{path}: not in GADGET's HDF5 layout: name its columns in tables")  # noqa: TRY301
        digest = digest_of([path] if snapshot.tables else files_of(path))
    except InputError as error:
        raise InputError(f"{where}.file: {error}") from None
    require(
        snapshot.digest in ("", digest),
        f"{where}.digest: {snapshot.digest} is not that of {path} ({digest}): the file is another one",
    )
    return replace(snapshot, digest=digest)


def _read_halo(snapshot: Snapshot) -> Arrays:
    """Read and centre a snapshot; every error names the file."""
    try:
        content = _read(snapshot)
        _require_truth(snapshot, content)
        frame = Frame.find(content, snapshot.centre, snapshot.orientation)
        return halo_arrays(content, frame, snapshot.tracers)
    except InputError as error:
        path, message = Path(snapshot.file), str(error)
        # another file of the same snapshot may be named already
        stem = re.sub(r"\.\d+$", "", str(path.with_suffix("")))
        named = rf"(?<![\w./-]){re.escape(stem)}(\.\d+)?{re.escape(path.suffix)}"
        raise InputError(message if re.search(named, message) else f"{path}: {message}") from None


def _read(snapshot: Snapshot) -> Content:
    """Read all particles, and of some kinds what centre, orientation and tracers need."""
    orientation, tracers = snapshot.orientation, snapshot.tracers
    moving: set[Kind] = {*tracers.kinds}
    if snapshot.centre.velocity is None:
        moving.update(snapshot.centre.kinds)
    columns: dict[Kind, list[str]] = {}
    if orientation.by != "none":
        for kind in orientation.kinds:
            columns.setdefault(kind, []).extend(name for name, _, _ in orientation.select)
    if orientation.by == "angular-momentum":
        moving.update(orientation.kinds)
    for kind in tracers.kinds:
        columns.setdefault(kind, []).extend(tracers.columns)
    wanted = Wanted(
        frozenset(moving), {kind: tuple(dict.fromkeys(names)) for kind, names in columns.items()}
    )
    own = (snapshot.file, snapshot.tables, snapshot.types, snapshot.units, snapshot.h, snapshot.a)
    if snapshot.tables:
        content = read_tables(Source(*own), wanted)
    else:
        known = snapshot.hubble_flow is not None
        content = read_gadget(Source(*own), wanted, hubble_known=known)
    if snapshot.hubble_flow is not None:
        content = replace(content, hubble=snapshot.hubble_flow)
    if not content.particles:
        raise InputError(
            f"{snapshot.file}: there are no particles"
            + (", select leaves none of the rows" if snapshot.tables else "")
        )
    return content


def _require_truth(snapshot: Snapshot, content: Content) -> None:
    """Refuse particles whose mass is not that of a halo, unless a potential is stated in its place."""
    if snapshot.potential is not None:
        return
    massless = [kind for kind, p in content.particles.items() if p.mass is None]
    if massless:
        raise InputError(
            f"the {massless[0]} particles have no mass, so M(<r) is not known: name it in tables, or state potential"
        )
    dark = content.particles.get("dark")
    if dark is None:
        there = ", ".join(f"{len(p)} {kind}" for kind, p in content.particles.items())
        raise InputError(
            f"there are no dark particles ({there}), so M(<r) is not that of a halo: state potential"
        )
    if not np.any(dark.mass):
        raise InputError(
            f"all {len(dark)} dark particles have a mass of zero, so M(<r) is not that of a halo: state potential"
        )


def _all_or_none(known: BoolArray) -> bool | None:
    return bool(known.all()) if known.all() or not known.any() else None


def _shell_edges(r: FloatArray, r_range: tuple[float, float]) -> FloatArray:
    """Edges [kpc] of shells of about equal width in ln r, joined until each has enough of the radii ``r``."""
    n_shells = int(np.ceil(np.log(r_range[1] / r_range[0]) / _SHELL_STEP))
    fine = np.geomspace(*r_range, n_shells + 1)
    within = np.searchsorted(np.sort(r), fine)
    edges = [0]
    for k in range(1, len(fine)):
        if within[k] - within[edges[-1]] >= _SHELL_STARS:
            edges.append(k)
    if len(edges) > 1:
        edges[-1] = len(fine) - 1
    return fine[edges] if len(edges) > 1 else fine[[0, -1]]


def _from_all_sides(moments: Moments) -> Moments:
    """Moments averaged over all viewpoints: no mean tangential velocity, and the same square of both components."""

    def first(r: ArrayLike) -> FloatArray:
        return np.asarray(moments.first(r) * [1.0, 0.0, 0.0], dtype=float)

    def second(r: ArrayLike) -> FloatArray:
        squares = moments.second(r)
        tangential = 0.5 * (squares[..., 1] + squares[..., 2])
        return np.stack([squares[..., 0], tangential, tangential], axis=-1)

    return replace(moments, first=first, second=second)


def _rotation(viewpoint: Viewpoint, rng: np.random.Generator) -> FloatArray:
    """(3, 3) rotation to the axes of one realisation."""
    from scipy.spatial.transform import Rotation

    if viewpoint == "fixed":
        return np.eye(3)
    if viewpoint == "random-azimuth":
        turn = Rotation.from_euler("z", 2.0 * np.pi * rng.random())
    else:  # a Gaussian quaternion has no preferred direction
        turn = Rotation.from_quat(rng.standard_normal(4))
    return np.asarray(turn.as_matrix(), dtype=float)
