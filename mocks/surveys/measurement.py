"""Measurement errors: standard deviates of each star, and what they do to what is observed.

Deviates depend on the number of a star and on what they are for: two surveys that differ in the size of their
errors, or in their cuts, share the deviates of each star, and so do two mocks of the same stars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final, Literal

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray, IntArray
from haloassay.base.settings import require
from haloassay.mocks.uniforms import Uniforms

#: Gaia release to pygaia's release and a factor on its errors: pygaia knows none before DR3, and
#: DR2's are twice DR3's.
GAIA_RELEASES: Final[dict[str, tuple[str, float]]] = {
    "gaia-dr2": ("dr3", 2.0),
    "gaia-dr3": ("dr3", 1.0),
    "gaia-dr4": ("dr4", 1.0),
    "gaia-dr5": ("dr5", 1.0),
}

#: Bound of the correlation between the errors of the two proper motions.
MAX_CORRELATION: Final = 0.9

#: What the size of a distance error means: a fraction of the distance, or magnitudes of modulus.
DistanceErrorKind = Literal["fraction", "modulus"]

#: d ln(distance) / d (distance modulus): 5 log10 d.
LOG_DISTANCE_PER_MAG: Final = float(np.log(10.0)) / 5.0

#: Edges of the bins of [Fe/H] [dex] whose stars share a distance error; the outer two are open.
FEH_BINS: Final = np.arange(-4.0, 1.0, 0.5)


@dataclass(frozen=True, eq=False)
class Deviates:
    """Standard deviates of N stars: all that is random between a true star and its catalogue entry.

    They are worked out when they are first asked for: what a survey does not use, and for stars that it does not see,
    costs nothing.

    Parameters
    ----------
    uniforms, number
        Deviates of the observation, and the numbers (N,) of the stars.
    """

    uniforms: Uniforms
    number: IntArray

    @cached_property
    def luminosity(self) -> FloatArray:
        """(N,) uniform in (0, 1): quantile of the absolute magnitude."""
        return self.uniforms.uniform("luminosity", self.number)

    @cached_property
    def fibre(self) -> FloatArray:
        """(N,) uniform in (0, 1): a star is observed where this is below the completeness."""
        return self.uniforms.uniform("fibre", self.number)

    @cached_property
    def template(self) -> FloatArray:
        """(N,) uniform in (0, 1): whose errors a star has, among its neighbours in a catalogue."""
        return self.uniforms.uniform("template", self.number)

    @cached_property
    def distance(self) -> FloatArray:
        """(N,) standard normal: error of ln(distance)."""
        return self.uniforms.normal("distance", self.number)

    @cached_property
    def distance_error(self) -> FloatArray:
        """(N,) standard normal: how good the distance of a star is."""
        return self.uniforms.normal("distance error", self.number)

    @cached_property
    def feh(self) -> FloatArray:
        """(N,) standard normal: error of [Fe/H]."""
        return self.uniforms.normal("feh", self.number)

    @cached_property
    def alpha_fe(self) -> FloatArray:
        """(N,) standard normal: error of [alpha/Fe]."""
        return self.uniforms.normal("alpha_fe", self.number)

    @cached_property
    def motion(self) -> FloatArray:
        """(4, N) standard normal: errors of v_los and of two proper motions, and how correlated these are."""
        return self.uniforms.normals("motion", self.number, 4)

    def select(self, which: BoolArray | IntArray | slice) -> Deviates:
        """Deviates of some of the stars."""
        return Deviates(self.uniforms, self.number[which])


@dataclass(frozen=True)
class ErrorCurve:
    """Error that grows with magnitude: linear between the points, constant beyond them.

    Parameters
    ----------
    magnitudes
        Apparent magnitudes, rising, in the band of the survey's limits.
    errors
        Error at each of them.

    Raises
    ------
    InputError
        If there are no points, as many errors as magnitudes are not given, or they are out of
        order or range.
    """

    magnitudes: tuple[float, ...]
    errors: tuple[float, ...]

    def __post_init__(self) -> None:
        m, e = self.magnitudes, self.errors
        require(
            len(m) == len(e) > 0,
            f"need as many errors as magnitudes, at least one (got {len(m)} magnitudes, {len(e)})",
        )
        rising = all(low < high for low, high in pairwise(m))
        require(rising and bool(np.isfinite(m).all()), f"magnitudes must rise (got {list(m)})")
        require(
            all(0.0 <= x < np.inf for x in e), f"errors must be finite and >= 0 (got {list(e)})"
        )

    def at(self, magnitude: FloatArray) -> FloatArray:
        """(N,) errors at ``magnitude`` (N,)."""
        return np.interp(magnitude, self.magnitudes, self.errors)


def apparent_magnitude(absolute: FloatArray, distance: FloatArray) -> FloatArray:
    """(N,) magnitudes at ``distance`` (N,) [kpc], without extinction."""
    return absolute + 5.0 * np.log10(distance) + 10.0


def correlated_by_feh(
    deviate: FloatArray, feh: FloatArray, shared: FloatArray, correlation: float
) -> FloatArray:
    """(N,) standard normal deviates, correlated between stars of one bin of [Fe/H].

    A distance scale that is wrong for one metallicity, as isochrones may be, moves all its stars
    together. Two stars of one bin of :data:`FEH_BINS` have correlation ``correlation``, others
    none.

    Parameters
    ----------
    deviate
        (N,) standard normal, independent.
    feh
        (N,) true [Fe/H] [dex].
    shared
        (len(FEH_BINS) + 1,) standard normal, one for each bin, the same for the whole catalogue.
    correlation
        From 0 to 1.
    """
    own, common = np.sqrt(1.0 - correlation), np.sqrt(correlation)
    bins = np.searchsorted(FEH_BINS, feh, side="right")
    mixed: FloatArray = own * deviate + common * shared[bins]
    return mixed


def log_distance_errors(deviate: FloatArray, median: float, spread: float) -> FloatArray:
    """(N,) errors of ln(distance), one a star: log-normal, ``spread`` the scatter of their logarithm.

    None is above 1, where a distance says nothing.
    """
    return np.minimum(median * np.exp(spread * deviate), 1.0)


def observed_distance(
    distance: FloatArray, deviate: FloatArray, sigma: float | FloatArray, scale: float
) -> FloatArray:
    """(N,) observed distances [kpc]: ln d_obs ~ N(ln(scale d), sigma^2), so that none is negative.

    The median is ``scale`` times the truth; the mean is larger by a factor exp(sigma^2 / 2).
    """
    return scale * distance * np.exp(sigma * deviate)


def proper_motion_errors(kind: float | str, g_magnitude: FloatArray) -> FloatArray:
    """(N, 2) stated errors of mu_alpha* and mu_delta [mas/yr].

    Parameters
    ----------
    kind
        A release of :data:`GAIA_RELEASES` (pygaia's sky-averaged errors), ``"none"``, or a number
        [mas/yr].
    g_magnitude
        (N,) Gaia G magnitudes.
    """
    if not isinstance(kind, str):
        return np.full((len(g_magnitude), 2), float(kind))
    if kind == "none":
        return np.zeros((len(g_magnitude), 2))
    from pygaia.errors.astrometric import proper_motion_uncertainty

    release, factor = GAIA_RELEASES[kind]
    micro_arcsec = proper_motion_uncertainty(g_magnitude, release=release)
    return factor * 1e-3 * np.stack(micro_arcsec, axis=1)


def error_correlation(deviate: FloatArray, scatter: float) -> FloatArray:
    """(N,) correlations of the proper-motion errors: Gaussian, clipped at +-MAX_CORRELATION."""
    return np.clip(scatter * deviate, -MAX_CORRELATION, MAX_CORRELATION)


def correlated_noise(
    deviates: Sequence[FloatArray], errors: FloatArray, correlation: FloatArray
) -> FloatArray:
    """(N, 2) noise from independent standard ``deviates``, two (N,) of them.

    Its covariance is [[e1^2, rho e1 e2], [rho e1 e2, e2^2]].
    """
    first, second = deviates
    mixed = correlation * first + np.sqrt(1.0 - correlation**2) * second
    noise: FloatArray = errors * np.stack([first, mixed], axis=1)
    return noise
