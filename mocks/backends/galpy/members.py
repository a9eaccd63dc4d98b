"""What galpy's potentials are made of: members in three dimensions, their units, their forces at many places."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.base.errors import InputError
from haloassay.base.settings import require

#: Raised when the same potential of galpy comes out differently: the version of the kind ``galpy``, and of all its
#: tables on disk.
VERSION: Final = 1

#: Two numbers that describe the same body differ by rounding only.
SAME: Final = 1e-9

#: Times (in galpy's internal unit) and points (R, z, phi) at which a force is asked whether it moves.
_TIMES: Final = (-200.0, -7.3, 0.0, 1.9, 60.0)
_PLACES: Final = np.array([[0.6, 0.1, 0.3], [1.7, -0.8, 2.0], [6.0, 2.0, 4.4]])

#: Radii [kpc] at which forces tell one potential from any other, and digits of them that are looked at.
_FINGERPRINT_RADII: Final = np.geomspace(1e-5, 1e6, 45)
_DIGITS: Final = 9


class Units(NamedTuple):
    """Scales of galpy's internal units."""

    ro: float
    vo: float

    @property
    def mass(self) -> float:
        """Msun of galpy's unit of mass, by this package's G."""
        return self.vo**2 * self.ro / G


def conservative_members(pot: Any) -> list[Any]:
    """Members of a galpy potential, a list of them, or their sum.

    Raises
    ------
    InputError
        For all that is not a potential in three dimensions.
    """
    members = list(_flat(pot))
    require(len(members) > 0, "galpy: an empty list is no potential")
    for member in members:
        require_conservative(type(member))
    return members


def require_conservative(cls: type) -> None:
    """Raise :class:`InputError` unless a class is one of potentials in three dimensions."""
    from galpy.potential import Force, Potential
    from galpy.potential.DissipativeForce import DissipativeForce

    name = cls.__name__
    if issubclass(cls, DissipativeForce):
        raise InputError(
            f"galpy's {name} depends on velocity: it has no potential and cannot be converted"
        )
    if issubclass(cls, Force) and not issubclass(cls, Potential):
        raise InputError(f"galpy's {name} has no potential and cannot be converted")
    if not issubclass(cls, Potential):
        raise InputError(f"expected a galpy potential in three dimensions (got {name})")


def _flat(pot: Any) -> Iterator[Any]:
    """Members of a sum, a list, or lists in lists."""
    from galpy.potential.baseCompositePotential import baseCompositePotential

    if isinstance(pot, list | tuple | baseCompositePotential):
        for part in pot:
            yield from _flat(part)
    else:
        yield pot


def units_of(
    members: Sequence[Any], ro: float | None = None, vo: float | None = None, otherwise: str = ""
) -> Units:
    """Units that the members have, or that are given for those that have none.

    Raises
    ------
    InputError
        If there are none (the message says how to set them, and ``otherwise``), or different ones.
    """
    from galpy.util.conversion import get_physical

    require((ro is None) == (vo is None), "give both ro and vo, or neither")
    for name, value in (("ro", ro), ("vo", vo)):
        require(value is None or 0.0 < value < np.inf, f"{name} must be positive (got {value})")
    found = []
    for member in members:
        physical = get_physical(member, include_set=True)
        if physical["roSet"] and physical["voSet"]:
            found.append(Units(physical["ro"], physical["vo"]))
        elif ro is not None and vo is not None:
            found.append(Units(ro, vo))
        else:
            raise InputError(
                f"galpy's {type(member).__name__} has no units: set them by turn_physical_on(ro=, vo=)"
                + otherwise
            )
    first = found[0]
    for member, units in zip(members, found, strict=True):
        require(
            bool(np.allclose(units, first, rtol=SAME, atol=0.0)),
            f"galpy's {type(member).__name__} has ro = {units.ro:g}, vo = {units.vo:g}; the first"
            f" potential has ro = {first.ro:g}, vo = {first.vo:g}",
        )
    require(
        ro is None or vo is None or bool(np.allclose(first, (ro, vo), rtol=SAME, atol=0.0)),
        f"the potentials have units of their own, ro = {first.ro:g} and vo = {first.vo:g}",
    )
    return first


def with_units(members: Sequence[Any], units: Units) -> list[Any]:
    """Copy the members, with these units."""
    copies = [copy.deepcopy(member) for member in members]
    for member in copies:
        member.turn_physical_on(ro=units.ro, vo=units.vo)
    return copies


def require_static(member: Any) -> None:
    """Raise :class:`InputError` for what rotates, grows or moves: asked at a few times and places."""
    name = type(member).__name__
    R, z, phi = _PLACES.T
    try:
        forces = np.array([forces_at(member, R, z, phi, t) for t in _TIMES])
    except Exception as error:  # galpy's classes raise what they like where a function is missing
        raise InputError(f"galpy's {name} has no forces: {_one_line(error)}") from None
    require(bool(np.all(np.isfinite(forces))), f"galpy's {name} has forces that are not finite")
    size = np.abs(forces).max(axis=(0, 2))
    require(
        bool(np.all(np.ptp(forces, axis=0) <= SAME * size[:, None])),
        f"galpy's {name} changes with time (it rotates, grows or moves) and cannot be converted",
    )


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def at_places(
    function: Callable[..., Any], R: FloatArray, z: FloatArray, phi: FloatArray, t: float = 0.0
) -> FloatArray:
    """(N,) values of a function of galpy's at (N,) places: at once where it can, else one by one."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # galpy's expansions warn of their own far limits
        with contextlib.suppress(
            Exception
        ):  # not every class takes arrays, and each fails in its own way
            values = np.asarray(function(R, z, phi=phi, t=t, use_physical=False), dtype=float)
            if values.shape == R.shape:
                return values
        return np.array(
            [
                float(function(*place, phi=angle, t=t, use_physical=False))
                for *place, angle in zip(R, z, phi, strict=True)
            ]
        )


def forces_at(
    member: Any, R: FloatArray, z: FloatArray, phi: FloatArray, t: float = 0.0
) -> FloatArray:
    """(N, 3) forces along R, phi and z in galpy's internal units at (N,) places."""
    along = [at_places(member.Rforce, R, z, phi, t), np.zeros_like(R)]
    if member.isNonAxi:
        along[1] = at_places(member.phitorque, R, z, phi, t) / R
    return np.stack([*along, at_places(member.zforce, R, z, phi, t)], axis=1)


def accelerations(members: Sequence[Any], units: Units, position: FloatArray) -> FloatArray:
    """(N, 3) accelerations [(km/s)^2/kpc] by all members at (N, 3) positions [kpc]."""
    x, y, z = position.T / units.ro
    R, phi = np.hypot(x, y), np.arctan2(y, x)
    parts = np.sum([forces_at(member, R, z, phi) for member in members], axis=0)
    along_R, along_phi, along_z = parts.T * (units.vo**2 / units.ro)
    cosine, sine = x / R, y / R
    return np.stack(
        [along_R * cosine - along_phi * sine, along_R * sine + along_phi * cosine, along_z], axis=1
    )


def fingerprint(members: Sequence[Any], units: Units) -> str:
    """Digest of the units and the forces at fixed places: another potential, another one.

    Only the leading digits count, of the size and of the direction, so that it is the same on every machine.
    """
    n = len(_FINGERPRINT_RADII)
    # directions that lie evenly (a Fibonacci spiral) and on no plane of symmetry
    cosine, azimuth = (2.0 * np.arange(n) + 1.0) / n - 1.0, 2.399963 * np.arange(n) + 0.3
    sine = np.sqrt(1.0 - cosine**2)
    direction = np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine], axis=1)
    force = accelerations(members, units, _FINGERPRINT_RADII[:, None] * direction)
    size = np.linalg.norm(force, axis=1)
    parts = np.round(force / np.where(size > 0.0, size, 1.0)[:, None], _DIGITS) + 0.0
    text = [f"{value:.{_DIGITS}e}" for value in (*units, *size, *parts.ravel())]
    return hashlib.blake2b(" ".join(text).encode(), digest_size=16).hexdigest()
