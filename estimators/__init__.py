"""Published methods that weigh the halo and measure its kinematics, one file a method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from haloassay.base import kinds
from haloassay.base.errors import InputError
from haloassay.base.settings import build, require

if TYPE_CHECKING:
    from haloassay.contracts.estimate import Estimator


def estimator_class(kind: str, where: str = "estimators") -> type[Estimator]:
    """Class of the estimator called ``kind``: a kind of the family ``estimators``, or ``"module:Class"``.

    Raises
    ------
    InputError
        If there is no such estimator, or what is found is not one; ``where`` names the place.
    """
    found: type[Estimator] = kinds.find("estimators", kind, where)
    return found


def make_estimator(spec: Any, where: str = "estimators") -> Estimator:
    """Estimator of a table of plain values: its ``kind`` and its settings.

    With ``as_published = true`` the settings are those of the paper's own run,
    :attr:`~haloassay.contracts.estimate.Estimator.published`, but for those that the table gives itself.

    Raises
    ------
    InputError
        If the kind or a setting is unknown, a value has the wrong type or range, or the method is
        asked for as published and its paper prints no run.
    """
    kind = kinds.kind_of("estimators", spec, where)
    cls = estimator_class(kind, where)
    settings = {key: value for key, value in spec.items() if key not in ("kind", "as_published")}
    as_published = spec.get("as_published", False)
    if not isinstance(as_published, bool):
        raise InputError(f"{where}.as_published: expected true or false (got {as_published!r})")
    if as_published:
        require(bool(cls.published), f"{where}: no published run of {kind!r} is known")
        settings = {**cls.published, **settings}
    return build(cls, settings, where)
