"""Header of a snapshot file: what it says of itself and of the simulation, in whichever of its groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import require
from haloassay.io.formats import readable
from haloassay.io.formats.hdf5 import require_within
from haloassay.io.formats.heaps import require_sound_heaps
from haloassay.mocks.snapshots.units import SYSTEM, number, numbers, require_expansion

#: Groups of attributes; what one of them leaves out may stand in a later one.
_GROUPS: Final = ("Header", "Parameters", "Units", "Cosmology")
_H: Final = ("HubbleParam", "h")
_MATTER: Final = ("Omega0", "Omega_Matter", "Omega_m")
_VACUUM: Final = ("OmegaLambda", "Omega_Lambda", "Omega_lambda")
_COMOVING: Final = ("ComovingIntegrationOn", "Cosmological run")
_SCALE: Final = ("Scale-factor", "ExpansionFactor")
#: Names of one value: no place may say what another does not. Of the first of these, zero says that it is not known.
_UNKNOWN_AT_ZERO: Final = (_H, _MATTER, _VACUUM, *SYSTEM.values())
_ONE_VALUE: Final = (
    *_UNKNOWN_AT_ZERO,
    _COMOVING,
    _SCALE,
    *((name,) for name in ("Time", "Redshift", "BoxSize", "MassTable")),
)
#: Time and redshift that are this near to a = 1 / (1 + z) are those of a cosmological simulation, and two statements of
#: one value differ by no more: codes round their constants.
_ROUNDING: Final = 1e-3
#: Particles of a type: more than of any simulation, and exact as a float.
_MOST: Final = 1e15


@dataclass(frozen=True, eq=False)
class Header:
    """What a file of a snapshot says of itself and of the simulation."""

    path: Path
    attributes: Mapping[str, Any]

    def get(self, *names: str) -> float | None:
        """Look up the number of the first attribute that is there; InputError unless it is finite."""
        for name in names:
            if name in self.attributes:
                return number(self.attributes[name], self._what(name))
        return None

    def said(self, name: str) -> Any:
        """Tell what an attribute says, in plain values; None where it is not there."""
        if name not in self.attributes:
            return None
        plain = np.ravel(self.attributes[name]).tolist()
        return plain[0] if len(plain) == 1 else plain

    def _what(self, name: str) -> str:
        return f"{self.path}: {name} of the header"

    def counts(self, name: str) -> list[int]:
        """Numbers of particles by type."""
        if name not in self.attributes:
            raise InputError(
                f"{self.path}: the header has no {name}, so this is not GADGET's layout: name its datasets in tables"
            )
        found = numbers(self.attributes[name], self._what(name))
        require(
            bool(np.all((found >= 0.0) & (found <= _MOST) & (found == np.floor(found)))),
            f"{self._what(name)} must be whole numbers from 0 to {_MOST:g} (got {found.tolist()})",
        )
        return [int(n) for n in found]

    @property
    def totals(self) -> list[int]:
        """Numbers of particles by type in all files; their upper 32 bits stand apart."""
        low, name = self.counts("NumPart_Total"), "NumPart_Total_HighWord"
        high = self.counts(name) if name in self.attributes else [0] * len(low)
        require(
            len(low) == len(high),
            f"{self._what(name)} has {len(high)} types, NumPart_Total {len(low)}",
        )
        return [n + (more << 32) for n, more in zip(low, high, strict=True)]

    @property
    def n_files(self) -> int:
        """Files of the snapshot; one where this holds all particles, whatever it was cut out of."""
        n = self.get("NumFilesPerSnapshot", "NumFiles") or 1.0
        require(
            n >= 1.0 and n == int(n),
            f"{self._what('NumFilesPerSnapshot')} must be a whole number from 1 (got {n})",
        )
        return 1 if n == 1.0 or self.totals == self.counts("NumPart_ThisFile") else int(n)

    @property
    def box(self) -> FloatArray:
        """(3,) sides of the periodic box in the file's unit of length; 0 without one."""
        if "BoxSize" not in self.attributes:
            return np.zeros(3)
        what = self._what("BoxSize")
        sides = numbers(self.attributes["BoxSize"], what)
        require(len(sides) in (1, 3), f"{what} must be one number or three (got {sides.tolist()})")
        require(bool(np.all(sides >= 0.0)), f"{what} must not be negative (got {sides.tolist()})")
        return np.broadcast_to(sides, 3)

    @property
    def scale_factor(self) -> float | None:
        """Scale factor of a cosmological simulation; None of another."""
        comoving = self.get(*_COMOVING)
        if comoving == 0.0:
            return None
        a = self.get(*_SCALE)
        time, redshift = self.get("Time"), self.get("Redshift")
        if a is not None:
            require(
                redshift is None or abs(a * (1.0 + redshift) - 1.0) <= _ROUNDING,
                f"{self.path}: the header's scale factor is {a:g}, its Redshift {redshift}, which is that of another",
            )
            return a
        if time is None or redshift is None:
            return None
        if abs(time * (1.0 + redshift) - 1.0) > _ROUNDING:
            require(
                redshift == 0.0 and not comoving,
                f"{self.path}: Time of the header is {time:g}, Redshift {redshift:g}: of a cosmological simulation, "
                "Time is 1 / (1 + Redshift)",
            )
            return None
        # at a time of 1, the redshift of 0 that other simulations write says nothing
        matter = self.get(*_MATTER) or 0.0
        return time if redshift != 0.0 or matter > 0.0 or comoving else None

    @property
    def h(self) -> float | None:
        """Hubble's constant / (100 km/s/Mpc); None where it is not stated, or 0 as of a static box."""
        return self.get(*_H) or None

    @property
    def hubble(self) -> float:
        """Hubble's parameter [km/s/Mpc] at the time of the snapshot; 0 of a simulation that is not cosmological."""
        a, h = self.scale_factor, self.h
        if a is None:
            return 0.0
        matter = self.get(*_MATTER)
        vacuum = self.get(*_VACUUM)
        if h is None or matter is None or vacuum is None:
            raise InputError(
                f"{self.path}: cosmological (a = {a:g}), but the header lacks HubbleParam, Omega0 or OmegaLambda: "
                "state hubble_flow [km/s/Mpc], the expansion that velocities leave out"
            )
        squared = matter / a**3 + (1.0 - matter - vacuum) / a**2 + vacuum
        hubble = float(100.0 * h * np.sqrt(squared)) if squared >= 0.0 else float("nan")
        told = f"the expansion of Omega0 = {matter:g} and OmegaLambda = {vacuum:g} in the header"
        require_expansion(hubble, f"{self.path}: {told}")
        return hubble


def read_header(path: Path) -> Header:
    """Header of one file.

    Raises
    ------
    InputError
        If it cannot be read, or two places state one value differently.
    """
    import h5py

    require_sound_heaps(path, path)
    with readable(path, "HDF5"), h5py.File(path) as file:
        for name in _GROUPS:
            require_within(path, file, name)
        groups = {name: dict(file[name].attrs) for name in _GROUPS if name in file}
    for names in _ONE_VALUE:
        _require_one_value(path, groups, names)
    attributes: dict[str, Any] = {}
    for group in reversed(groups.values()):
        attributes |= group
    return Header(path, attributes)


def _require_one_value(
    path: Path, groups: Mapping[str, Mapping[str, Any]], names: Sequence[str]
) -> None:
    """Refuse a value that two places of a file state differently, whichever was meant."""
    stated = [
        (f"{name} of {_called(group)}", attributes[name])
        for group, attributes in groups.items()
        for name in names
        if name in attributes
    ]
    if len(stated) < 2:
        return
    told = [(what, numbers(value, f"{path}: {what}")) for what, value in stated]
    if names in _UNKNOWN_AT_ZERO:
        told = [(what, value) for what, value in told if np.any(value)]
    for what, value in told[1:]:
        first, before = told[0]
        alike = value.size == before.size or 1 in (value.size, before.size)
        if not alike or not np.allclose(value, before, rtol=_ROUNDING, atol=0.0):
            raise InputError(
                f"{path}: {first} is {_plain(before)}, {what} is {_plain(value)}: which of them is meant?"
            )


def _called(group: str) -> str:
    return "the header" if group == "Header" else group


def _plain(value: FloatArray) -> str:
    return f"{value[0]:g}" if value.size == 1 else str(value.tolist())
