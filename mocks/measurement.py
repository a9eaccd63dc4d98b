"""Measurement errors: standard deviates drawn once, and what they do to what is observed.

Deviates are drawn for all stars of a batch, in a fixed order, whatever the settings: two surveys
that differ in the size of their errors, or in their cuts, share the deviates of each star.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

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


@dataclass(frozen=True, eq=False)
class Deviates:
    """Standard deviates of N stars: all that is random between a true star and its catalogue entry.

    Parameters
    ----------
    luminosity
        (N,) uniform in [0, 1): quantile of the absolute magnitude.
    distance, vlos, feh, correlation
        (N,) standard normal.
    proper_motion
        (N, 2) standard normal, independent.
    """

    luminosity: FloatArray
    distance: FloatArray
    vlos: FloatArray
    feh: FloatArray
    correlation: FloatArray
    proper_motion: FloatArray

    @classmethod
    def draw(cls, n: int, rng: np.random.Generator) -> Deviates:
        """Deviates of ``n`` stars: 7 numbers a star from ``rng``, whatever the survey."""
        uniform = rng.random(n)
        normal = rng.standard_normal((6, n))
        return cls(uniform, normal[0], normal[1], normal[2], normal[3], normal[4:].T)

    def select(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Deviates:
        """Deviates of some of the stars."""
        return Deviates(
            self.luminosity[which],
            self.distance[which],
            self.vlos[which],
            self.feh[which],
            self.correlation[which],
            self.proper_motion[which],
        )


def apparent_magnitude(absolute: FloatArray, distance: FloatArray) -> FloatArray:
    """(N,) magnitudes at ``distance`` (N,) [kpc], without extinction."""
    return absolute + 5.0 * np.log10(distance) + 10.0


def observed_distance(
    distance: FloatArray, deviate: FloatArray, sigma: float, scale: float
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
    deviates: FloatArray, errors: FloatArray, correlation: FloatArray
) -> FloatArray:
    """(N, 2) noise from independent standard ``deviates`` (N, 2).

    Its covariance is [[e1^2, rho e1 e2], [rho e1 e2, e2^2]].
    """
    first, second = deviates.T
    mixed = correlation * first + np.sqrt(1.0 - correlation**2) * second
    noise: FloatArray = errors * np.stack([first, mixed], axis=1)
    return noise
