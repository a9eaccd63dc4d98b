"""Kinds: what scenarios call by a name. One registry of them all, open to other distributions.

The name of a kind is its stable identity, and its ``version`` rises when the numbers that it gives for equal settings
change. Content keys are made of names, versions and settings (:func:`haloassay.base.cache.plain_content`): code may
move and be renamed, and results of other numbers are never taken for the same.

Another distribution adds a kind by an entry point in the group that is called ``haloassay.`` and the family, such as
``haloassay.densities``. A scenario may also name a class of the user's own as
``"module:Class"``. Both are code that runs when a scenario is read; :func:`without_plugins` refuses them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from haloassay.base.errors import InputError, blamed_on
from haloassay.base.handed import SIGN, digest_of, handed
from haloassay.base.settings import build, unknown


@dataclass(frozen=True)
class Family:
    """All kinds that can stand in one place of a scenario.

    Parameters
    ----------
    noun
        What one of them is called in an error.
    builtin
        Kind to ``"module:name"``: a class; a table of settings, of surveys; a function of a table and the name of
        its place, of mocks.
    contract
        ``"module:Class"`` that a kind of a third party is a subclass of; empty where there is none.
    methods
        What it must have, where there is no such class.
    """

    noun: str
    builtin: Mapping[str, str]
    contract: str = ""
    methods: tuple[str, ...] = ()


_EQUILIBRIA: Final = "haloassay.mocks.equilibria"
_SURVEYS: Final = "haloassay.mocks.surveys"
_GRAVITY: Final = "haloassay.mocks.gravity"
_DEBRIS: Final = "haloassay.mocks.debris"
_CLEANING: Final = "haloassay.cleaning"
_BACKENDS: Final = "haloassay.mocks.backends"
_METHODS: Final = "haloassay.estimators"

#: Families by the names that ``haloassay list`` has.
FAMILIES: Final[Mapping[str, Family]] = {
    "mocks": Family(
        "mock",
        {
            "equilibrium": "haloassay.mocks.assembly:make_halo",
            "local-jeans-gaussian": "haloassay.mocks.assembly:make_halo",
            "agama": f"{_BACKENDS}.agama.halo:make_agama_mock",
            "accreted": "haloassay.mocks.assembly:make_built",
            "snapshot": "haloassay.mocks.snapshots.snapshot:make_snapshot",
        },
    ),
    "densities": Family(
        "density",
        {
            "power-law": f"{_EQUILIBRIA}.tracers:PowerLaw",
            "broken-power-law": f"{_EQUILIBRIA}.tracers:BrokenPowerLaw",
            "einasto": f"{_EQUILIBRIA}.tracers:Einasto",
            "plummer": f"{_EQUILIBRIA}.tracers:Plummer",
            "hernquist": f"{_EQUILIBRIA}.tracers:Hernquist",
            "nfw": f"{_EQUILIBRIA}.tracers:NFW",
            "table": f"{_EQUILIBRIA}.tracers:TabulatedDensity",
        },
        methods=("log_density", "slope"),
    ),
    "betas": Family(
        "anisotropy",
        {
            "constant": f"{_EQUILIBRIA}.anisotropy:Constant",
            "osipkov-merritt-profile": f"{_EQUILIBRIA}.anisotropy:OsipkovMerrittProfile",
            "table": f"{_EQUILIBRIA}.anisotropy:TabulatedAnisotropy",
        },
        methods=("__call__",),
    ),
    "distributions": Family(
        "distribution",
        {
            "power-law": f"{_EQUILIBRIA}.distributions:PowerLaw",
            "gaussian": f"{_EQUILIBRIA}.distributions:Gaussian",
            "kurtosis": f"{_EQUILIBRIA}.distributions:Kurtosis",
            "cuddeford": f"{_EQUILIBRIA}.distributions:Cuddeford",
        },
        contract=f"{_EQUILIBRIA}.distributions:Distribution",
    ),
    "potentials": Family(
        "potential",
        {
            "nfw": f"{_GRAVITY}.potentials:NFW",
            "hernquist": f"{_GRAVITY}.potentials:Hernquist",
            "plummer": f"{_GRAVITY}.potentials:Plummer",
            "point-mass": f"{_GRAVITY}.potentials:PointMass",
            "zhai2018-baryons": f"{_GRAVITY}.potentials:Zhai2018Baryons",
            "mwpotential2014-baryons": f"{_GRAVITY}.potentials:MWPotential2014Baryons",
            "mass-table": f"{_GRAVITY}.mass_table:MassTable",
            "triaxial-nfw": f"{_GRAVITY}.triaxial:TriaxialNFW",
            "galpy": f"{_BACKENDS}.galpy.potential:GalpyPotential",
        },
        methods=("enclosed_mass", "potential"),
    ),
    "debris": Family(
        "debris",
        {
            "stream": f"{_DEBRIS}.streams:Stream",
            "shells": f"{_DEBRIS}.mergers:Shells",
            "gse": f"{_DEBRIS}.mergers:GaiaSausageEnceladus",
            "thick-disc": f"{_DEBRIS}.contaminants:ThickDisc",
            "monoceros": f"{_DEBRIS}.contaminants:Monoceros",
            "in-situ": f"{_DEBRIS}.in_situ:InSitu",
            "satellites": f"{_DEBRIS}.bound:Satellites",
            "unbound": f"{_DEBRIS}.contaminants:Unbound",
            "blunders": f"{_DEBRIS}.contaminants:Blunders",
        },
        contract=f"{_DEBRIS}.debris:Debris",
    ),
    "luminosities": Family(
        "luminosity",
        {
            "power-law": f"{_SURVEYS}.luminosity:PowerLawLuminosity",
            "gaussian": f"{_SURVEYS}.luminosity:GaussianLuminosity",
            "horizontal-branch": f"{_SURVEYS}.luminosity:HorizontalBranchLuminosity",
        },
        methods=("absolute_magnitude",),
    ),
    "surveys": Family(
        "preset",
        {
            "perfect": f"{_SURVEYS}.presets:PERFECT",
            "lamost-kgiants": f"{_SURVEYS}.presets:LAMOST_KGIANTS",
            "lamost-segue-kgiants": f"{_SURVEYS}.presets:LAMOST_SEGUE_KGIANTS",
            "sdss-bhb": f"{_SURVEYS}.presets:SDSS_BHB",
            "h3-giants": f"{_SURVEYS}.presets:H3_GIANTS",
            "desi-kgiants": f"{_SURVEYS}.presets:DESI_KGIANTS",
            "gaia-rrlyrae": f"{_SURVEYS}.presets:GAIA_RRLYRAE",
            "all-sky": f"{_SURVEYS}.presets:ALL_SKY",
            "4most-halo": f"{_SURVEYS}.presets:FOURMOST_HALO",
            "weave-halo": f"{_SURVEYS}.presets:WEAVE_HALO",
            "h3-dr": f"{_SURVEYS}.presets:H3_DR",
            "gaia-dr4": f"{_SURVEYS}.presets:GAIA_DR4",
        },
    ),
    "cleans": Family(
        "step of cleaning",
        {
            "energy-cut": f"{_CLEANING}.cuts:EnergyCut",
            "height-cut": f"{_CLEANING}.cuts:HeightCut",
            "sagittarius-band": f"{_CLEANING}.sagittarius:SagittariusBand",
            "sagittarius-momentum": f"{_CLEANING}.sagittarius:SagittariusMomentum",
            "gaussian-balls": f"{_CLEANING}.cuts:GaussianBalls",
            "cross-match": f"{_CLEANING}.crossmatch:CrossMatch",
            "friends-of-friends": f"{_CLEANING}.substructure:FriendsOfFriends",
            "four-distance": f"{_CLEANING}.substructure:FourDistance",
            "select": f"{_CLEANING}.select:Select",
        },
        contract=f"{_CLEANING}.steps:Clean",
    ),
    "estimators": Family(
        "estimator",
        {
            "velocity-ellipsoid": f"{_METHODS}.velocity_ellipsoid:VelocityEllipsoid",
            "jeans-3d": f"{_METHODS}.jeans_3d:Jeans3D",
            "tracer-mass": f"{_METHODS}.tracer_mass:TracerMass",
            "los-jeans": f"{_METHODS}.los_jeans:LosJeans",
            "los-jeans-derivative": f"{_METHODS}.los_jeans_derivative:LosJeansDerivative",
            "sky-map": f"{_METHODS}.sky_map:SkyMap",
            "dipole": f"{_METHODS}.dipole:Dipole",
            "reflex-6d": f"{_METHODS}.reflex:Reflex6D",
            "gaussian-single": f"{_METHODS}.gaussian_single:GaussianSingle",
            "gaussian-mixture": f"{_METHODS}.gaussian_mixture:GaussianMixture",
            "spline-jeans": f"{_METHODS}.spline_jeans:SplineJeans",
            "power-law-df": f"{_METHODS}.power_law_df:PowerLawDF",
            "hierarchical-df": f"{_METHODS}.hierarchical_df:HierarchicalDF",
            "nfw-tracer": f"{_METHODS}.nfw_tracer:NFWTracer",
            "action-df": f"{_METHODS}.action_df:ActionDF",
            "escape-speed": f"{_METHODS}.escape_speed:EscapeSpeed",
            "jeans-virial": f"{_METHODS}.jeans_virial:JeansVirial",
            "axisymmetric-jeans": f"{_METHODS}.axisymmetric_jeans:AxisymmetricJeans",
            "orbital-roulette": f"{_METHODS}.orbital_roulette:OrbitalRoulette",
            "npe": f"{_METHODS}.npe:NPE",
            "tracer-density": f"{_METHODS}.tracer_density:TracerDensity",
            "shape": f"{_METHODS}.shape:Shape",
        },
        contract="haloassay.contracts.estimate:Estimator",
    ),
}

#: Families whose kinds are no dataclasses with settings.
_NO_CLASSES: Final = ("mocks", "surveys")

_NAMES: Final = {
    target: kind
    for name, family in FAMILIES.items()
    if name not in _NO_CLASSES
    for kind, target in family.builtin.items()
}


#: Environment variable, which worker processes inherit: not empty where no code of third parties may be imported.
_REFUSED: Final = "HALOASSAY_NO_PLUGINS"


@contextlib.contextmanager
def without_plugins() -> Iterator[None]:
    """Refuse inside, here and in workers that are started, all code that is not of this package."""
    before = os.environ.get(_REFUSED, "")
    os.environ[_REFUSED] = "1"
    try:
        yield
    finally:
        os.environ[_REFUSED] = before


def require_plugins(target: str, where: str) -> None:
    """Raise :class:`InputError` where code of third parties may not be imported; ``target`` names it."""
    if os.environ.get(_REFUSED):
        raise InputError(
            f"{where}: {target!r} is code of a third party, which --no-plugins (HALOASSAY_NO_PLUGINS) refuses"
        )


def offered(family: str) -> Mapping[str, str]:
    """Kinds that installed distributions offer, name to target; none of them is imported."""
    from importlib.metadata import entry_points  # long to import, and asked for by few commands

    own = FAMILIES[family].builtin if family in FAMILIES else ()
    entries = _installed(f"haloassay.{family}", entry_points)
    return {name: target for name, target in entries if name not in own}


@functools.lru_cache
def _installed(group: str, entry_points: Callable[..., Any]) -> tuple[tuple[str, str], ...]:
    """Entry points of a group: to look through all distributions takes as long as to describe a kind ten times."""
    return tuple((entry.name, entry.value) for entry in entry_points(group=group))


def names(family: str) -> tuple[str, ...]:
    """All kinds of a family, in order: those of this package and those that others offer."""
    return tuple(sorted({*FAMILIES[family].builtin, *offered(family)}))


def find(family: str, kind: Any, where: str) -> Any:
    """Find what stands behind a name: see :class:`Family`.

    Parameters
    ----------
    family
        A key of :data:`FAMILIES`.
    kind
        A kind of it, or ``"module:name"``.
    where
        What to call this place in an error.

    Raises
    ------
    InputError
        If there is no such kind, or what a third party offers cannot be imported, is no kind of this family, or is
        refused (:func:`without_plugins`).
    """
    known = FAMILIES[family]
    if isinstance(kind, str) and kind in known.builtin:
        return load(known.builtin[kind])
    if isinstance(kind, str) and SIGN in kind:
        if (given := handed(kind)) is None:
            raise InputError(
                f"{where}: {known.noun} {kind!r} is a class that was handed over in Python, and that this process does"
                " not have: hand it over again"
            )
        return _fitting(family, given, kind, where)
    target = offered(family).get(kind) if isinstance(kind, str) else None
    if target is None and isinstance(kind, str) and ":" in kind:
        target = kind
    if target is None:
        raise unknown(known.noun, kind, names(family), where)
    return _foreign(family, target, where)


def _foreign(family: str, target: str, where: str) -> Any:
    """Import a third party's kind, and see that it can serve; what it prints is no output of ours."""
    where_from = f"{where}: {FAMILIES[family].noun} {target!r} cannot be imported"
    require_plugins(target, where)
    try:
        with blamed_on(where_from), contextlib.redirect_stdout(sys.stderr):
            found = load(target)
    except InputError as error:
        cause = error.__cause__
        plain = isinstance(cause, ImportError | AttributeError | ValueError)
        raise InputError(f"{where_from}: {cause}" if plain else str(error)) from None
    return _fitting(family, found, target, where)


def _fitting(family: str, found: Any, target: str, where: str) -> Any:
    """See that what stands behind a name can serve."""
    known = FAMILIES[family]
    if family == "surveys":
        if not isinstance(found, Mapping):
            raise InputError(f"{where}: {target!r} is not a table of settings")
        return found
    if known.contract:
        contract = load(known.contract)
        if not (isinstance(found, type) and issubclass(found, contract)):
            place = known.contract.replace(":", ".")
            raise InputError(f"{where}: {target!r} is not a subclass of {place}")
    if family not in _NO_CLASSES and not dataclasses.is_dataclass(found):
        raise InputError(f"{where}: {target!r} is not a dataclass, so its settings are unknown")
    for method in known.methods:
        if not hasattr(found, method):
            raise InputError(f"{where}: {target!r} is no {known.noun}: it has no {method!r}")
    return found


def make(family: str, spec: Any, where: str) -> Any:
    """Make what a table of plain values stands for: its ``kind`` with its settings.

    Raises
    ------
    InputError
        If the kind or a setting is unknown, missing or out of range; ``where`` names the place.
    """
    kind = kind_of(family, spec, where)
    settings = {key: value for key, value in spec.items() if key != "kind"}
    return build(find(family, kind, where), settings, where)


def kind_of(family: str, spec: Any, where: str) -> Any:
    """Kind that a table names.

    Raises
    ------
    InputError
        If it is no table, or names none.
    """
    if not isinstance(spec, Mapping):
        raise InputError(f"{where}: expected a table with a key 'kind' (got {spec!r})")
    if "kind" not in spec:
        raise InputError(f"{where}: key 'kind' is missing (allowed: {', '.join(names(family))})")
    return spec["kind"]


def load(target: str) -> Any:
    """Import ``"module:name"``."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def name_of(cls: type) -> str | None:
    """Name of a class of this package that is a kind; None of others."""
    return _NAMES.get(f"{cls.__module__}:{cls.__qualname__}")


def identity(cls: Any) -> dict[str, Any]:
    """Say what a dataclass is, wherever it stands: its ``kind`` and ``version``.

    The kind of a third party's class is its attribute ``kind`` (of estimators ``name``). A class without one is a
    table of settings, told by its place alone; it may have a version all the same. The version is the attribute
    ``version``, 1 by default. Of a class that was handed over in Python the digest of its source is part.
    """
    settings = {field.name for field in dataclasses.fields(cls)}
    own = {
        key: getattr(cls, key, None) for key in ("kind", "name", "version") if key not in settings
    }
    stated = next((own[key] for key in ("kind", "name") if isinstance(own.get(key), str)), None)
    kind = name_of(cls) or stated
    told: dict[str, Any] = {} if kind is None else {"kind": kind, "version": 1}
    if source := digest_of(cls):
        told["source"] = source
    return told | ({"version": own["version"]} if isinstance(own.get("version"), int) else {})


def blamed_on_others(spec: Any) -> contextlib.AbstractContextManager[None]:
    """Take what is raised within for the user's to mend where a table names code of others; else it is our defect."""
    return blamed_on("code of others") if is_foreign(spec) else contextlib.nullcontext()


def is_foreign(spec: Any) -> bool:
    """Tell whether a table of plain values names, at any depth, a kind that is none of this package."""
    if isinstance(spec, Mapping):
        kind = spec.get("kind")
        known = any(kind in family.builtin for family in FAMILIES.values() if isinstance(kind, str))
        return (isinstance(kind, str) and not known) or any(map(is_foreign, spec.values()))
    return isinstance(spec, list | tuple) and any(map(is_foreign, spec))
