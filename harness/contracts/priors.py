"""Priors of factors: how likely each value of a setting is held to be."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.settings import build, require, unknown


class Prior(ABC):
    """A distribution over the values of a factor."""

    kind: ClassVar[str]

    @abstractmethod
    def quantile(self, u: FloatArray) -> FloatArray:
        """Values below which a share ``u`` of the prior lies; of a discrete one, the numbers of its levels."""

    @abstractmethod
    def share(self, values: FloatArray) -> FloatArray:
        """Shares of the prior below values, 0 to 1: the inverse of :meth:`quantile`.

        Of a discrete prior, of numbers of levels, the share at the middle of each.
        """

    @abstractmethod
    def __str__(self) -> str:
        """Write it as in ``normal(1, 0.03)``."""

    def to_dict(self) -> dict[str, Any]:
        """Table that :func:`make_prior` makes it of."""
        told: Any = self
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(told)}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        finite = {k: v for k, v in plain.items() if isinstance(v, list) or np.isfinite(v)}
        return {"kind": self.kind, **finite}


@dataclass(frozen=True)
class Normal(Prior):
    """Gaussian, cut at ``lo`` and ``hi`` where they are given.

    Parameters
    ----------
    mean, sd
        Of the Gaussian before the cut; ``sd`` > 0 is a standard deviation.
    lo, hi
        Limits.
    """

    mean: float
    sd: float
    lo: float = -np.inf
    hi: float = np.inf
    kind: ClassVar[str] = "normal"

    def __post_init__(self) -> None:
        require(self.sd > 0.0, f"sd must be > 0 (got {self.sd})")
        require(self.lo < self.hi, f"lo must be below hi (got {self.lo}, {self.hi})")
        require(bool(np.isfinite(self.quantile(np.array([0.5]))[0])), "lo and hi leave nothing")

    def quantile(self, u: FloatArray) -> FloatArray:
        """Values of the Gaussian between its limits."""
        from scipy.special import ndtr, ndtri

        lo, hi, side = self._deviates
        u = np.asarray(u) if side > 0.0 else 1.0 - np.asarray(u)
        deviates = np.asarray(ndtri(_between(float(ndtr(lo)), float(ndtr(hi)), u)))
        return np.asarray(self.mean + side * self.sd * deviates)

    def share(self, values: FloatArray) -> FloatArray:
        """Shares of what is between the limits."""
        from scipy.special import ndtr

        lo, hi, side = self._deviates
        inside = np.clip(side * (np.asarray(values) - self.mean) / self.sd, lo, hi)
        share = np.asarray(_part(float(ndtr(lo)), float(ndtr(hi)), ndtr(inside)))
        return share if side > 0.0 else 1.0 - share

    @property
    def _deviates(self) -> tuple[float, float, float]:
        """Limits in standard deviations, and 1.0, or -1.0 where they are turned round: the lower tail is resolved."""
        lo, hi = ((end - self.mean) / self.sd for end in (self.lo, self.hi))
        return (-hi, -lo, -1.0) if lo > 0.0 else (lo, hi, 1.0)

    def __str__(self) -> str:
        cut = f" in {self.lo:g} .. {self.hi:g}" if np.isfinite([self.lo, self.hi]).any() else ""
        return f"normal({self.mean:g}, {self.sd:g}){cut}"


def _between(lo: float, hi: float, u: FloatArray) -> FloatArray:
    return lo + (hi - lo) * u


def _part(lo: float, hi: float, x: FloatArray) -> FloatArray:
    """Invert :func:`_between`, within 0 and 1."""
    return np.clip((np.asarray(x) - lo) / (hi - lo), 0.0, 1.0)


@dataclass(frozen=True)
class Uniform(Prior):
    """All values between ``lo`` and ``hi`` alike.

    Parameters
    ----------
    lo, hi
        Limits, lo < hi.
    """

    lo: float
    hi: float
    kind: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        require(self.lo < self.hi, f"lo must be below hi (got {self.lo}, {self.hi})")

    def quantile(self, u: FloatArray) -> FloatArray:
        """Values between the ends."""
        return _between(self.lo, self.hi, u)

    def share(self, values: FloatArray) -> FloatArray:
        """Parts of the way from end to end."""
        return _part(self.lo, self.hi, values)

    def __str__(self) -> str:
        return f"uniform({self.lo:g}, {self.hi:g})"


@dataclass(frozen=True)
class LogUniform(Prior):
    """All logarithms of values between ``lo`` and ``hi`` alike.

    Parameters
    ----------
    lo, hi
        Limits, 0 < lo < hi.
    """

    lo: float
    hi: float
    kind: ClassVar[str] = "loguniform"

    def __post_init__(self) -> None:
        require(0.0 < self.lo < self.hi, f"needs 0 < lo < hi (got {self.lo}, {self.hi})")

    def quantile(self, u: FloatArray) -> FloatArray:
        """Values between the ends, in logarithms."""
        return self.lo * (self.hi / self.lo) ** u

    def share(self, values: FloatArray) -> FloatArray:
        """Parts of the way from end to end, in logarithms."""
        inside = np.clip(np.asarray(values), self.lo, self.hi)
        return _part(0.0, float(np.log(self.hi / self.lo)), np.log(inside / self.lo))

    def __str__(self) -> str:
        return f"loguniform({self.lo:g}, {self.hi:g})"


@dataclass(frozen=True)
class Table(Prior):
    """Density that is linear between tabulated values.

    Parameters
    ----------
    values
        Increasing values, at least two.
    density
        Their densities, >= 0; any scale.
    """

    values: tuple[float, ...]
    density: tuple[float, ...]
    kind: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        x, p = np.asarray(self.values), np.asarray(self.density)
        require(len(x) > 1 and bool(np.all(np.diff(x) > 0.0)), "values must increase, two or more")
        require(len(p) == len(x), f"as many densities as values (got {len(p)}, {len(x)})")
        require(bool(np.all(p >= 0.0)) and p.sum() > 0.0, "densities must be >= 0, and not all 0")

    def quantile(self, u: FloatArray) -> FloatArray:
        """Values by the inverse of the piecewise quadratic distribution function."""
        x, p, share = self._tabulated
        wanted = np.asarray(u) * share[-1]
        i = np.clip(np.searchsorted(share, wanted, side="right") - 1, 0, len(x) - 2)
        # p_i t + (p_i+1 - p_i) t^2 / (2 dx) = rest, by the root that stays finite for equal densities
        slope, rest = (p[i + 1] - p[i]) / (x[i + 1] - x[i]), np.maximum(wanted - share[i], 0.0)
        root = p[i] + np.sqrt(np.maximum(p[i] ** 2 + 2.0 * slope * rest, 0.0))
        step = np.divide(2.0 * rest, root, out=np.zeros_like(rest), where=root > 0.0)
        return np.asarray(np.clip(x[i] + step, x[i], x[i + 1]))

    def share(self, values: FloatArray) -> FloatArray:
        """Integrate the density up to the values."""
        x, p, share = self._tabulated
        inside = np.clip(np.asarray(values, dtype=float), x[0], x[-1])
        i = np.clip(np.searchsorted(x, inside, side="right") - 1, 0, len(x) - 2)
        step = inside - x[i]
        there = p[i] + (p[i + 1] - p[i]) * step / (x[i + 1] - x[i])
        return _part(0.0, share[-1], share[i] + step * (p[i] + there) / 2.0)

    @property
    def _tabulated(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Values, densities, and the integral of the density up to each value."""
        x, p = np.asarray(self.values), np.asarray(self.density)
        return x, p, np.concatenate([[0.0], np.cumsum(np.diff(x) * (p[1:] + p[:-1]) / 2.0)])

    def __str__(self) -> str:
        return f"table of {len(self.values)} values, {self.values[0]:g} .. {self.values[-1]:g}"


@dataclass(frozen=True)
class Discrete(Prior):
    """Levels, each with its weight: :meth:`quantile` gives their numbers, from 0.

    Parameters
    ----------
    weights
        One a level, >= 0; any scale.
    values
        The levels, where the factor does not list them.
    """

    weights: tuple[float, ...]
    values: tuple[Any, ...] = ()
    kind: ClassVar[str] = "discrete"

    def __post_init__(self) -> None:
        p = np.asarray(self.weights)
        require(len(p) > 0 and bool(np.all(p >= 0.0)), "weights must be >= 0, one or more")
        require(p.sum() > 0.0, "weights must not all be 0")
        require(
            not self.values or len(self.values) == len(p),
            f"as many weights as values (got {len(p)}, {len(self.values)})",
        )

    @property
    def shares(self) -> FloatArray:
        """Probabilities of the levels."""
        p = np.asarray(self.weights, dtype=float)
        return p / p.sum()

    def quantile(self, u: FloatArray) -> FloatArray:
        """Numbers of the levels, as many as their weights say."""
        ends = np.cumsum(self.shares)
        chosen = np.searchsorted(ends, np.asarray(u), side="right")
        return np.minimum(chosen, np.flatnonzero(self.shares)[-1]).astype(float)

    def share(self, values: FloatArray) -> FloatArray:
        """Shares below the levels of these numbers, and half their own."""
        shares = self.shares
        return np.asarray((np.cumsum(shares) - 0.5 * shares)[np.asarray(values, dtype=int)])

    def __str__(self) -> str:
        return f"{len(self.weights)} levels, weights {', '.join(f'{p:g}' for p in self.weights)}"


#: All priors by their kind.
PRIORS: Final[Mapping[str, type[Prior]]] = {
    cls.kind: cls for cls in (Normal, Uniform, LogUniform, Discrete, Table)
}


def make_prior(spec: Mapping[str, Any], where: str) -> Prior:
    """Prior of a table such as ``{kind = "normal", mean = 1.0, sd = 0.03}``.

    Raises
    ------
    InputError
        If kind or settings are none, or cannot be; the message begins with ``where``.
    """
    kind = spec.get("kind")
    if not isinstance(kind, str):
        raise InputError(f"{where}: names no 'kind' (allowed: {', '.join(PRIORS)})")
    if kind not in PRIORS:
        raise unknown("kind", kind, PRIORS, where)
    return build(PRIORS[kind], {k: v for k, v in spec.items() if k != "kind"}, where)
