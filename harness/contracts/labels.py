"""How quantities and numbers are written: names, units, and the digits that errors allow."""

from __future__ import annotations

import contextlib
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Final

from haloassay.contracts.quantities import QUANTITIES, Quantity

#: Quantities as plain text; a third party's own quantity is written as it is named.
PLAIN: Final = {
    "enclosed_mass": "M(<r)",
    "v_c": "v_c",
    "m200": "M₂₀₀",
    "r200": "r₂₀₀",
    "c200": "c₂₀₀",
    "sigma_r": "σ_r",
    "sigma_theta": "σ_θ",
    "sigma_phi": "σ_φ",
    "beta": "β",
    "mean_v_r": "⟨v_r⟩",
    "mean_v_theta": "⟨v_θ⟩",
    "mean_v_phi": "⟨v_φ⟩",
}

DASH: Final = "–"
#: What stands in place of a coverage where a method states no errors.
NO_ERRORS: Final = "none stated"
#: Mark of a success below which scores may not speak for all.
LOSSY: Final = "!"
#: Small Greek letters as unicode names them.
_GREEK: Final = (
    *("ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "ZETA", "ETA", "THETA", "KAPPA", "MU", "NU"),
    *("XI", "PI", "RHO", "SIGMA", "TAU", "PHI", "CHI", "PSI", "OMEGA"),
)
_SYMBOLS: Final = {
    r"\langle ": "⟨",
    r"\rangle": "⟩",
    **{rf"\{name.lower()}": unicodedata.lookup(f"GREEK SMALL LETTER {name}") for name in _GREEK},
    r"\Delta": "Δ",
    r"\Sigma": "Σ",
    r"\Omega": "Ω",
}
#: Errors below this share of their value are rounding.
_EXACT: Final = 1e-9
_UNITS: Final = {"Msun": r"$\mathrm{M}_\odot$", "km/s": r"km s$^{-1}$"}


#: What the results speak of that are being written.
_VOCABULARY: ContextVar[Mapping[str, Quantity]] = ContextVar("vocabulary", default=QUANTITIES)


@contextlib.contextmanager
def vocabulary(quantities: Mapping[str, Quantity]) -> Iterator[None]:
    """Let labels written inside know the quantities of some results."""
    token = _VOCABULARY.set(quantities)
    try:
        yield
    finally:
        _VOCABULARY.reset(token)


def known(name: str) -> Quantity | None:
    """Look a quantity up."""
    return _VOCABULARY.get().get(name)


def quantity_of(name: str, unit: str = "") -> Quantity:
    """Look a quantity up; one outside the vocabulary has absolute errors in its own unit."""
    return known(name) or Quantity(name, unit, "absolute", name.replace("$", r"\$"))


def plain(name: str) -> str:
    """Name of a quantity as plain text: its symbol, or what a third party calls it."""
    found = known(name)
    if name in PLAIN or found is None:
        return PLAIN.get(name, name)
    text = found.label
    for symbol, letter in _SYMBOLS.items():
        text = text.replace(symbol, letter)
    return re.sub(r"\\[a-z]+|[${}]", "", text).replace(" ⟩", "⟩")


def at_radius(name: str, r: float) -> str:
    """Name of a quantity with its radius [kpc] as plain text: ``M(< 50 kpc)``, ``σ_r at 19 kpc``."""
    text = plain(name)
    if not math.isfinite(r):
        return text
    if text.endswith("(<r)"):
        return text.replace("(<r)", f"(< {r:.3g} kpc)")
    return f"{text} at {r:.3g} kpc"


def tex_unit(unit: str) -> str:
    """Write a unit as matplotlib takes it."""
    return _UNITS.get(unit, unit.replace("$", r"\$"))


def error_unit(name: str, unit: str = "") -> str:
    """Name the unit in which errors of a quantity are shown: per cent for positive scales."""
    quantity = quantity_of(name, unit)
    return "%" if quantity.scale == "fractional" else quantity.unit


def error_factor(name: str) -> float:
    """Factor that brings an error of a quantity to :func:`error_unit`."""
    return 100.0 if quantity_of(name).scale == "fractional" else 1.0


def decimals(mcse: float) -> int:
    """Decimals that leave one digit to an error, two where it starts with 1."""
    if not math.isfinite(mcse) or mcse <= 0.0:
        return 2
    exponent = math.floor(math.log10(mcse))
    leading = round(mcse / 10.0**exponent, 1)
    return max(0, -exponent + (1 if leading < 2.0 else 0))


def with_error(value: float, mcse: float, factor: float = 1.0) -> str:
    """``-1.3 ± 0.4``: a value with the digits its error allows, a dash where there is none."""
    if not math.isfinite(value):
        return DASH
    if not math.isfinite(mcse) or mcse <= _EXACT * abs(value):
        return f"{value * factor:.3g}"
    digits = decimals(mcse * factor)
    rounded = round(value * factor, digits) + 0.0  # no minus zero
    return f"{rounded:.{digits}f} ± {mcse * factor:.{digits}f}"


def error_text(value: float, mcse: float, name: str, unit: str = "") -> str:
    """``-1.3 ± 0.4 %``: an error of a quantity with its Monte Carlo error and unit."""
    return f"{with_error(value, mcse, error_factor(name))} {error_unit(name, unit)}".rstrip()


def share_text(value: float, lo: float, hi: float) -> str:
    """``0.66 (.50–.79)``: a share of realisations with its limits; a dash where there is none."""
    if not math.isfinite(value):
        return DASH
    digits = max(2, decimals(0.25 * (hi - lo)))
    ends = (f"{end:.{digits}f}".removeprefix("0") for end in (lo, hi))
    return f"{value:.{digits}f} ({'–'.join(ends)})"
