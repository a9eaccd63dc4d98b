"""Quantities that estimators yield: unit, scale, name on paper, and where their truth comes from.

One record is all that a quantity needs. Another distribution adds its own by entry points in the group
``haloassay.quantities``, and an estimator class by its attribute ``quantities``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, get_args

from haloassay.base.errors import InputError, blamed_on
from haloassay.base.kinds import require_plugins
from haloassay.contracts.definitions import DEFINITIONS

Scale = Literal["fractional", "absolute", "angle", "separation"]
#: Ways in which a truth is asked: a number of the halo; a function of radius; the same averaged over the stars of a
#: bin, where there is one; a field over the sky; what the mock states under the quantity's name.
Way = Literal["scalar", "profile", "bin", "sky", "stated"]


class Place(NamedTuple):
    """Where a truth is asked for.

    Parameters
    ----------
    r, r_lo, r_hi
        Radius and edges of the bin [kpc]; NaN where there is none.
    stars
        The observed stars as they truly are (:class:`haloassay.mocks.stars.Stars`), where there are any.
    sun
        The observer (:class:`haloassay.contracts.frames.Sun`).
    toward
        Longitude and latitude [deg] of the direction that was estimated, of an estimate of a direction.
    """

    r: float = math.nan
    r_lo: float = math.nan
    r_hi: float = math.nan
    stars: Any = None
    sun: Any = None
    toward: tuple[float, float] | None = None


#: Radius [kpc] to which a break is looked for, in so many steps, and the change of the slope with ln r of one.
_FARTHEST: Final = 1e3
_STEPS: Final = 2000
_A_BREAK: Final = 0.5


@dataclass(frozen=True)
class Stated:
    """The truth that a mock states of a quantity of one's own, by its ``name``.

    The mock's truth has an attribute ``stated``, a mapping of names to numbers or to functions of a :class:`Place`.
    """

    name: str

    def __call__(self, truth: Any, place: Place) -> float:
        """Return what ``truth`` states; NaN where it says nothing of the quantity."""
        found = getattr(truth, "stated", {}).get(self.name, math.nan)
        return float(found(place) if callable(found) else found)


@dataclass(frozen=True)
class Separation:
    """Truth of a separation: how far the direction of two quantities truly is from the one that was estimated.

    Parameters
    ----------
    lon, lat
        Names of the quantities [deg].
    """

    lon: str
    lat: str

    def __call__(self, truth: Any, place: Place) -> float:
        """Angle [deg] between the true direction and that of the place; 0 from itself, NaN without a true one."""
        from haloassay.contracts.sky import direction, separation

        true = tuple(truth.value(name, *place) for name in (self.lon, self.lat))
        return float(separation(direction(*(place.toward or true)), direction(*true)))


def density_slope(truth: Any, place: Place) -> float:
    """Slope d ln rho / d ln r of the tracers of the halo, averaged over shells; NaN without a radius."""
    return float(truth.profile("alpha", place.r)) if place.r > 0.0 else math.nan


def break_radius(truth: Any, place: Place) -> float:
    """Radius [kpc] at which the slope of the tracers' density changes fastest; NaN where that is no one place."""
    import numpy as np

    lo, hi = truth.r_range
    lnr = np.linspace(np.log(lo), np.log(min(hi, _FARTHEST)), _STEPS)
    change = np.abs(np.gradient(truth.profile("alpha", np.exp(lnr)), lnr))
    inner = change[1:-1]
    peaks = 1 + np.flatnonzero((inner > change[:-2]) & (inner >= change[2:]))
    peaks = peaks[change[peaks] > max(_A_BREAK, 0.3 * float(np.nanmax(change)))]
    if len(peaks) != 1:
        return math.nan
    below, top, above = change[peaks[0] - 1 : peaks[0] + 2]
    shift = 0.5 * (below - above) / (below - 2.0 * top + above)
    return float(np.exp(lnr[peaks[0]] + shift * (lnr[1] - lnr[0])))


#: Radius [kpc] at which stars have escaped, and the share of the depth that v_c^2 has there where none do.
_FAR: Final = 1e6
_ENDLESS: Final = 1e-2

#: Error, as a fraction or a probability, below which nothing is said to matter.
FRACTION: Final = 0.05
#: The same of errors with a unit; of a unit that is not here whatever is significant matters.
_BY_UNIT: Final = {"": FRACTION, "km/s": 5.0, "deg": 5.0, "kpc": 1.0, "dex": 0.05}


def escape_speed(truth: Any, place: Place) -> float:
    """Speed [km/s] that takes a star from a radius to infinity; NaN without a radius, or where nothing escapes."""
    import numpy as np

    potential = getattr(truth.potential, "potential", None)
    if potential is None or not place.r > 0.0:
        return math.nan
    depth = float(-potential(np.array(place.r)))
    left = float(truth.potential.circular_velocity(np.array(_FAR))) ** 2
    return math.sqrt(2.0 * depth) if left < _ENDLESS * depth else math.nan


def halo_axis_ratio(truth: Any, place: Place) -> float:
    """Axis ratio of the dark density along z; NaN where it is not that of one halo with its axis there."""
    dark = [c for c in getattr(truth.potential, "components", ()) if c.dark]
    if len(dark) != 1:
        return math.nan
    (halo,) = dark
    ratios = getattr(halo, "axis_ratios", None)
    if ratios is None:  # what has no field of its own is round
        return math.nan if hasattr(halo, "field_parts") else 1.0
    upright = isinstance(ratios, tuple) and ratios[0] == 1.0 and not any(halo.tilt[1:])
    return float(ratios[1]) if upright else math.nan


@dataclass(frozen=True)
class Quantity:
    """A quantity of the field.

    Parameters
    ----------
    name
        As estimates have it.
    unit
        Of its values: ``Msun``, ``kpc``, ``km/s``, ``deg``, ``dex``, or empty.
    scale
        How its errors are counted: ``fractional``, (estimate - truth) / truth, for positive scales such as masses;
        ``absolute``, estimate - truth; ``angle``, absolute and wrapped to +-180 degrees; ``separation``, the angle
        between the estimated and the true direction, never negative: its estimates have the value 0, and as upper
        bounds the radii of caps.
    label
        On paper, in TeX.
    truth
        How :class:`haloassay.mocks.truth.Truth` gives it: one of :data:`Way`, or a function of the truth and a
        :class:`Place` that returns a number, NaN where it is not known; ``"stated"``: what the mock's truth has under
        the name in its mapping ``stated``; None: there is no truth to compare with.
    most
        Largest value that it can have, for quantities that are no positive scale: 1 of anisotropy.
    tolerance
        Largest bias that does not matter, in the unit of its errors, where a scenario says nothing else. By default
        0.05 of positive scales and of what has no unit, 5 km/s, 5 degrees, 1 kpc, 0.05 dex, and 0 of other units.
    least
        Smallest value that it can have, for quantities that are no positive scale: 0 of a speed.
    definition
        What it is, in words and with the conventions of its sign, for participants of a challenge that asks for it.

    Raises
    ------
    InputError
        If the scale or the way to the truth is none of these, or the tolerance is negative or not finite.
    """

    name: str
    unit: str
    scale: Scale
    label: str
    truth: Way | Callable[..., float] | None = None
    most: float = math.inf
    tolerance: float = math.nan
    least: float = -math.inf
    definition: str = ""

    def __post_init__(self) -> None:
        if self.scale not in get_args(Scale):
            allowed = ", ".join(get_args(Scale))
            raise InputError(
                f"quantity {self.name!r}: unknown scale {self.scale!r} (allowed: {allowed})"
            )
        if isinstance(self.truth, str) and self.truth not in get_args(Way):
            allowed = ", ".join(get_args(Way))
            raise InputError(
                f"quantity {self.name!r}: unknown truth {self.truth!r} (allowed: {allowed})"
            )
        if self.truth == "stated":
            object.__setattr__(self, "truth", Stated(self.name))
        if math.isnan(self.tolerance):
            size = FRACTION if self.scale == "fractional" else _BY_UNIT.get(self.unit, 0.0)
            object.__setattr__(self, "tolerance", size)
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0.0):
            raise InputError(
                f"quantity {self.name!r}: tolerance is finite and 0 or more (got {self.tolerance})"
            )

    def objection(self, value: float) -> str:
        """Say which limit a value is beyond that it cannot have, after the quantity's name; empty where it is one."""
        if self.scale == "fractional" and value <= 0.0:
            return f"is a positive scale (got {value:g})"
        if not self.least <= value <= self.most:
            limit = f"at least {self.least:g}" if value < self.least else f"at most {self.most:g}"
            return f"is {limit} (got {value:g})"
        return ""

    def to_dict(self) -> dict[str, str]:
        """Tell what readers of results need: name, unit, scale and label."""
        return {"name": self.name, "unit": self.unit, "scale": self.scale, "label": self.label}


_OWN: Final = (
    Quantity("enclosed_mass", "Msun", "fractional", r"$M(<r)$", "profile"),
    Quantity("v_c", "km/s", "fractional", r"$v_\mathrm{c}$", "profile"),
    Quantity("v_esc", "km/s", "fractional", r"$v_\mathrm{esc}$", escape_speed),
    Quantity("m200", "Msun", "fractional", r"$M_{200}$", "scalar"),
    Quantity("r200", "kpc", "fractional", r"$r_{200}$", "scalar"),
    Quantity("c200", "", "fractional", r"$c_{200}$", "scalar"),
    Quantity("sigma_r", "km/s", "fractional", r"$\sigma_r$", "bin"),
    Quantity("sigma_theta", "km/s", "fractional", r"$\sigma_\theta$", "bin"),
    Quantity("sigma_phi", "km/s", "fractional", r"$\sigma_\phi$", "bin"),
    Quantity("beta", "", "absolute", r"$\beta$", "bin", most=1.0),
    Quantity("mean_v_r", "km/s", "absolute", r"$\langle v_r \rangle$", "bin"),
    Quantity("mean_v_theta", "km/s", "absolute", r"$\langle v_\theta \rangle$", "bin"),
    Quantity("mean_v_phi", "km/s", "absolute", r"$\langle v_\phi \rangle$", "bin"),
    Quantity("kurtosis_r", "", "fractional", r"$\kappa_r$", "bin"),
    Quantity("kurtosis_theta", "", "fractional", r"$\kappa_\theta$", "bin"),
    Quantity("kurtosis_phi", "", "fractional", r"$\kappa_\phi$", "bin"),
    Quantity("sigma_los", "km/s", "fractional", r"$\sigma_\mathrm{los}$", "bin"),
    Quantity("asymmetry", "", "absolute", r"$A$", "sky", least=0.0),
    Quantity("sigma_r_lowest", "km/s", "fractional", r"$\sigma_r$, lowest"),
    Quantity("sigma_r_highest", "km/s", "fractional", r"$\sigma_r$, highest"),
    Quantity("sigma_r_accreted_correlation", "", "absolute", r"$\rho(\sigma_r, f_\mathrm{acc})$"),
    Quantity("beta_accreted_correlation", "", "absolute", r"$\rho(\beta, f_\mathrm{acc})$"),
    Quantity("axis_offset", "deg", "absolute", r"$\Delta_\mathrm{axis}$"),
    Quantity("mu_compr", "km/s", "absolute", r"$\mu_\mathrm{compr}$", "sky"),
    Quantity("mu_dipole", "km/s", "absolute", r"$\mu_\mathrm{dipole}$", "sky"),
    Quantity("v_travel", "km/s", "absolute", r"$v_\mathrm{travel}$", "sky", least=0.0),
    Quantity("bulk_v_r", "km/s", "absolute", r"$v_r$, bulk", "sky"),
    Quantity("bulk_v_theta", "km/s", "absolute", r"$v_\theta$, bulk", "sky"),
    Quantity("bulk_v_phi", "km/s", "absolute", r"$v_\phi$, bulk", "sky"),
    Quantity("apex_l", "deg", "angle", r"$l_\mathrm{apex}$", "sky"),
    Quantity("apex_b", "deg", "angle", r"$b_\mathrm{apex}$", "sky"),
    Quantity(
        "apex_offset",
        "deg",
        "separation",
        r"$\Delta_\mathrm{apex}$",
        Separation("apex_l", "apex_b"),
    ),
    Quantity("mean_v_r_north", "km/s", "absolute", r"$\langle v_r \rangle$, north", "sky"),
    Quantity("mean_v_r_south", "km/s", "absolute", r"$\langle v_r \rangle$, south", "sky"),
    Quantity(
        "mean_v_theta_predicted",
        "km/s",
        "absolute",
        r"$\langle v_\theta \rangle$, predicted",
        "sky",
    ),
    Quantity("sigma_l", "km/s", "fractional", r"$\sigma_l$", "bin"),
    Quantity("sigma_b", "km/s", "fractional", r"$\sigma_b$", "bin"),
    Quantity("feh_mean", "dex", "absolute", r"$\langle \mathrm{[Fe/H]} \rangle$", "bin"),
    Quantity("feh_sigma", "dex", "fractional", r"$\sigma_\mathrm{[Fe/H]}$", "bin"),
    Quantity("p_mr", "", "absolute", r"$p_\mathrm{MR}$", "bin"),
    Quantity("p_mi", "", "absolute", r"$p_\mathrm{MI}$", "bin"),
    Quantity("bic_gain", "", "absolute", r"$\Delta\mathrm{BIC}$"),
    Quantity("alpha", "", "absolute", r"$\alpha$", density_slope),
    Quantity("r_break", "kpc", "fractional", r"$r_\mathrm{break}$", break_radius),
    Quantity("axis_ratio", "", "fractional", r"$q$"),
    Quantity("q_halo", "", "fractional", r"$q_\mathrm{halo}$", halo_axis_ratio),
    Quantity("b_over_a", "", "fractional", r"$b/a$"),
    Quantity("c_over_a", "", "fractional", r"$c/a$"),
    Quantity("tilt", "deg", "absolute", r"$\Delta_\mathrm{tilt}$"),
)

#: Populations that a quantity can belong to: the end of its name, and what to call it.
POPULATIONS: Final = {"mr": "metal-rich", "mp": "metal-poor", "mi": "intermediate"}

#: Quantities that are stated of one population too.
_OF_POPULATIONS: Final = (
    *("mean_v_r", "mean_v_theta", "mean_v_phi", "sigma_r", "sigma_theta", "sigma_phi"),
    *("beta", "feh_mean", "feh_sigma"),
)


def _vocabulary() -> dict[str, Quantity]:
    known = {
        quantity.name: replace(quantity, definition=DEFINITIONS.get(quantity.name, ""))
        for quantity in _OWN
    }
    for which, title in POPULATIONS.items():
        for name in _OF_POPULATIONS:
            known[f"{name}.{which}"] = replace(
                known[name],
                name=f"{name}.{which}",
                label=f"{known[name].label}, {title}",
                definition=f"{known[name].definition}; of the {title} population",
            )
    return known


#: The quantities of this package, in the order of tables.
QUANTITIES: Final[Mapping[str, Quantity]] = _vocabulary()


def known_quantities(own: Iterable[Quantity] = ()) -> dict[str, Quantity]:
    """All quantities: of this package, of other distributions, and an estimator's ``own``.

    Raises
    ------
    InputError
        If one of them is no :class:`Quantity`, cannot be imported, or gives a known name another unit or scale.
    """
    from importlib.metadata import entry_points

    known = dict(QUANTITIES)
    offered = [_loaded(entry) for entry in entry_points(group="haloassay.quantities")]
    for quantity in (*offered, *own):
        if not isinstance(quantity, Quantity):
            raise InputError(f"quantities: {quantity!r} is not a haloassay.Quantity")
        before = known.setdefault(quantity.name, quantity)
        if (before.unit, before.scale) != (quantity.unit, quantity.scale):
            raise InputError(
                f"quantities: {quantity.name!r} is known with unit {before.unit!r} and {before.scale} errors"
                f" (got {quantity.unit!r}, {quantity.scale}): give yours another name"
            )
    return known


def _loaded(entry: Any) -> Any:
    require_plugins(entry.value, "quantities")
    with blamed_on(f"quantities: {entry.value!r} cannot be imported"):
        return entry.load()


def of_results(told: Iterable[Mapping[str, Any]]) -> dict[str, Quantity]:
    """Quantities that results speak of: those of this package, and what run.json says of others."""
    others = (
        Quantity(
            q["name"], q["unit"], q["scale"], q["label"], tolerance=q.get("tolerance", math.nan)
        )
        for q in told
    )
    return {**{quantity.name: quantity for quantity in others}, **QUANTITIES}
