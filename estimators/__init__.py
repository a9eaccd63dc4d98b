"""Published methods that weigh the halo and measure its kinematics, one file a method."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any, Final

from haloassay.errors import InputError
from haloassay.estimate import Estimator
from haloassay.settings import build, require, unknown

#: Entry-point group under which other distributions offer their estimators.
GROUP: Final = "haloassay.estimators"

#: The estimators of this package: name to where the class stands.
BUILTIN: Final[dict[str, str]] = {
    "velocity-ellipsoid": "haloassay.estimators.velocity_ellipsoid:VelocityEllipsoid",
    "jeans-3d": "haloassay.estimators.jeans_3d:Jeans3D",
    "tracer-mass": "haloassay.estimators.tracer_mass:TracerMass",
    "los-jeans": "haloassay.estimators.los_jeans:LosJeans",
    "los-jeans-derivative": "haloassay.estimators.los_jeans_derivative:LosJeansDerivative",
    "sky-map": "haloassay.estimators.sky_map:SkyMap",
    "dipole": "haloassay.estimators.dipole:Dipole",
    "reflex-6d": "haloassay.estimators.reflex:Reflex6D",
    "gaussian-single": "haloassay.estimators.gaussian_single:GaussianSingle",
    "gaussian-mixture": "haloassay.estimators.gaussian_mixture:GaussianMixture",
    "spline-jeans": "haloassay.estimators.spline_jeans:SplineJeans",
    "power-law-df": "haloassay.estimators.power_law_df:PowerLawDF",
    "nfw-tracer": "haloassay.estimators.nfw_tracer:NFWTracer",
}


def estimator_class(kind: str, where: str = "estimators") -> type[Estimator]:
    """Class of the estimator called ``kind``.

    Parameters
    ----------
    kind
        A built-in name, a name of an installed distribution's entry point in the group
        ``haloassay.estimators``, or ``"module:Class"``.
    where
        What to call this place in an error.

    Raises
    ------
    InputError
        If there is no such estimator, or what is found is not one.
    """
    target = BUILTIN.get(kind)
    if target is None and ":" in kind:
        target = kind
    if target is None:
        from importlib.metadata import entry_points

        offered = {entry.name: entry.value for entry in entry_points(group=GROUP)}
        if kind not in offered:
            raise unknown("estimator", kind, {*BUILTIN, *offered}, where)
        target = offered[kind]
    return _checked(target, where)


def _checked(target: str, where: str) -> type[Estimator]:
    """Import ``"module:Class"`` and see that it is an estimator whose settings can be read."""
    module, _, name = target.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{where}: estimator {target!r} cannot be imported: {error}") from None
    has_settings: bool = dataclasses.is_dataclass(found)
    if not (isinstance(found, type) and issubclass(found, Estimator)):
        raise InputError(f"{where}: {target!r} is not a subclass of haloassay.estimate.Estimator")
    if not has_settings:
        raise InputError(f"{where}: {target!r} is not a dataclass, so its settings are unknown")
    return found


def make_estimator(spec: Any, where: str = "estimators") -> Estimator:
    """Estimator of a table of plain values: its ``kind`` and its settings.

    With ``as_published = true`` the settings are those of the paper's own run,
    :attr:`~haloassay.estimate.Estimator.published`, but for those that the table gives itself.

    Raises
    ------
    InputError
        If the kind or a setting is unknown, a value has the wrong type or range, or the method is
        asked for as published and its paper prints no run.
    """
    if not isinstance(spec, Mapping) or not isinstance(spec.get("kind"), str):
        raise InputError(f"{where}: expected a table with a key 'kind' (got {spec!r})")
    cls = estimator_class(spec["kind"], where)
    settings = {key: value for key, value in spec.items() if key not in ("kind", "as_published")}
    as_published = spec.get("as_published", False)
    if not isinstance(as_published, bool):
        raise InputError(f"{where}.as_published: expected true or false (got {as_published!r})")
    if as_published:
        require(bool(cls.published), f"{where}: no published run of {spec['kind']!r} is known")
        settings = {**cls.published, **settings}
    return build(cls, settings, where)
