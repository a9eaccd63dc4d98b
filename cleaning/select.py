"""Selection by any property of stars: ranges, and conditions that are read and not run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import build, require, unknown
from haloassay.cleaning.expressions import Node, parse
from haloassay.cleaning.integrals import AssumedPotential
from haloassay.cleaning.properties import PROPERTIES, Property, Seen
from haloassay.cleaning.steps import Clean
from haloassay.contracts.catalogue import Catalogue

#: Keys that are settings, and no properties of stars.
_SETTINGS: Final = ("where", "nside", "potential", "ranges")


@dataclass(frozen=True)
class Select(Clean):
    """Keep the stars with given properties, and drop the others.

    Each property is a key of its own, with the values that stay: ``feh = [-1.7, -1.3]`` keeps -1.7 <= [Fe/H] < -1.3,
    ``inf`` and ``-inf`` leave an end open, and longitudes may lead through 0 (``l = [330, 30]``); properties that are
    counted take a number or a list of them (``quadrant = [0, 1]``). All must hold, and ``where`` beside them, such as
    ``"feh < -1.3 and abs(b) > 20"``: names of properties, numbers, + - * / **, comparisons, and, or, not, and the
    functions abs, sqrt, exp, log, log10, sin, cos (of degrees), hypot, min, max. A star of which a property that is
    asked for is not a number goes.

    Properties are those of the observed star:

    - ra, dec, l, b [deg]; quadrant, as ``sky-map`` numbers them (0: l >= 180, b >= 0; 1: l < 180, b >= 0; 2: l < 180,
      b < 0; 3: l >= 180, b < 0); pixel (healpix, ring, Galactic);
    - distance, r, R, x, y, z [kpc]; distance_error, the stated error as a fraction of the distance;
    - pmra, pmdec [mas/yr], vlos [km/s], feh, alpha_fe [dex], and every column's stated error: distance_err, pmra_err,
      pmdec_err, vlos_err, feh_err, alpha_fe_err, pm_corr;
    - vx, vy, vz, v_r, v_theta, v_phi, speed, and the errors v_r_err, v_theta_err, v_phi_err [km/s];
    - E [(km/s)^2], L, L_x, L_y, L_z [kpc km/s] (prograde: L_z < 0), pericentre, apocentre, semi_major_axis [kpc],
      eccentricity, and Galactocentric directions of the orbit: pole_l, pole_b, those of L, and apocentre_l,
      apocentre_b, those of the apocentre that is nearest in time [deg].

    What depends on velocities cuts into their distribution: moments of what is left are biased, and the truth that
    they are compared with is that of whole populations, at the shares that are left of them.

    Parameters
    ----------
    ranges
        Properties by name, if not as keys of their own: [lowest, upper end], or a number or numbers that are counted.
    where
        A condition; empty for none.
    nside
        Of the pixels.
    potential
        Milky Way in which E and orbits are taken; its disc is averaged over the sphere for all of an orbit but E and L.

    Raises
    ------
    InputError
        If a property is unknown, a range is none, the condition cannot be read, or nothing is asked for.
    """

    kind: ClassVar[str] = "select"

    ranges: dict[str, Any] = field(default_factory=dict)
    where: str = ""
    nside: int = 4
    potential: AssumedPotential = field(default_factory=AssumedPotential)

    def __post_init__(self) -> None:
        require(
            1 <= self.nside <= 256 and self.nside & (self.nside - 1) == 0,
            f"nside must be a power of 2 up to 256 (got {self.nside})",
        )
        for name, value in self.ranges.items():
            if name not in PROPERTIES:
                raise unknown("property", name, PROPERTIES, "ranges")
            _require_values(name, PROPERTIES[name], value)
        require(
            bool(self.ranges or self.where.strip()),
            "nothing is asked for: give a property, such as feh = [-1.7, -1.3], or 'where'",
        )
        _ = self._condition

    @classmethod
    def of_table(cls, settings: Mapping[str, Any], where: str) -> Select:
        """Step of a table in which properties are keys of their own."""
        own, ranges = {}, settings.get("ranges", {})
        if not isinstance(ranges, Mapping):
            raise InputError(f"{where}.ranges: expected a table (got {ranges!r})")
        for name in settings:
            if name not in PROPERTIES and name not in _SETTINGS:
                raise unknown("property", name, (*PROPERTIES, *_SETTINGS), where)
            if name in _SETTINGS and name != "ranges":
                own[name] = settings[name]
        # ranges may be open, which no other setting may
        others = build(_Others, own, where)
        wanted = {**ranges, **{k: v for k, v in settings.items() if k in PROPERTIES}}
        try:
            return cls(wanted, others.where, others.nside, others.potential)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None

    @property
    def _condition(self) -> Node | None:
        if not self.where.strip():
            return None
        return parse(self.where, frozenset(PROPERTIES), "where")

    @property
    def _names(self) -> tuple[str, ...]:
        """Properties that are asked for."""
        condition = self._condition
        return tuple(dict.fromkeys([*self.ranges, *(condition.names if condition else ())]))

    def required(self) -> tuple[str, ...]:
        """Name what a catalogue must have beside positions."""
        needs = (need for name in self._names for need in PROPERTIES[name].needs)
        return tuple(dict.fromkeys(needs))

    @property
    def reason(self) -> str:
        """Why stars go."""
        asked = [
            f"{name} {_shown(value)} {PROPERTIES[name].unit}".rstrip()
            for name, value in self.ranges.items()
        ]
        return (
            f"not {' and '.join([*asked, *([self.where.strip()] if self.where.strip() else [])])}"
        )

    def kept(self, catalogue: Catalogue) -> BoolArray:
        """Which stars (N,) stay."""
        seen = Seen(catalogue, self.potential, self.nside)
        values = {name: PROPERTIES[name].of(seen) for name in self._names}
        kept = np.ones(len(catalogue), dtype=bool)
        for known in values.values():
            kept &= ~np.isnan(known)
        for name, wanted in self.ranges.items():
            kept &= _within(values[name], PROPERTIES[name], wanted)
        condition = self._condition
        if condition is not None:
            with np.errstate(all="ignore"):
                kept &= condition.at(values)
        return kept


@dataclass(frozen=True)
class _Others:
    """Settings of a step beside its ranges."""

    where: str = ""
    nside: int = 4
    potential: AssumedPotential = field(default_factory=AssumedPotential)


def _require_values(name: str, known: Property, value: Any) -> None:
    """Raise :class:`InputError` for what is no range of a property, or no numbers of one that is counted."""
    unit = f" [{known.unit}]" if known.unit else ""
    if known.counted:
        listed = value if isinstance(value, list | tuple) else [value]
        whole = bool(listed) and all(type(x) is int and x >= 0 for x in listed)
        require(whole, f"{name}: expected a whole number or a list of them (got {value!r})")
        return
    ends = isinstance(value, list | tuple) and len(value) == 2
    numbers = ends and all(isinstance(x, int | float) and type(x) is not bool for x in value)
    require(
        bool(numbers) and not any(np.isnan(x) for x in value),
        f"{name}: expected a range [lowest, upper end]{unit} (got {value!r})",
    )
    low, high = value
    require(
        low < high or (known.turns and 0.0 <= high < low <= 360.0),
        f"{name}: a range rises from its lowest value to its upper end{unit} (got {list(value)})",
    )


def _within(values: FloatArray, known: Property, wanted: Any) -> BoolArray:
    """Which values (N,) are wanted."""
    if known.counted:
        return np.isin(values, np.atleast_1d(wanted))
    low, high = wanted
    if low < high:
        return np.asarray((values >= low) & (values < high))
    return np.asarray((values >= low) | (values < high))


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"in [{', '.join(f'{x:g}' for x in value)}]"
    return f"= {value:g}"
