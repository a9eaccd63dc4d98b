"""Emulators of one set of points, asked together: their polynomials share one basis, which is what takes time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from haloassay.analysis.emulator import Emulator
from haloassay.analysis.surface import Surface, basis
from haloassay.base.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class Bundle:
    """Several emulators of the link ``identity``. Make it by :meth:`of`.

    Parameters
    ----------
    degrees
        (terms, factors) of all of them together.
    mean, noise
        (terms, emulators) coefficients of the responses, and of the logarithms of their variances.
    covariance
        (emulators, terms, terms) of the coefficients of the responses.
    lack
        (emulators,) standard deviations of what they cannot follow.
    """

    degrees: IntArray
    mean: FloatArray
    noise: FloatArray
    covariance: FloatArray
    lack: FloatArray

    @classmethod
    def of(cls, emulators: Sequence[Emulator]) -> Bundle:
        """Bundle emulators of the same factors, none of which is refused."""
        noises = [emulator.noise for emulator in emulators if emulator.noise is not None]
        surfaces = [emulator.surface for emulator in emulators]
        rows = {tuple(map(int, row)) for s in (*surfaces, *noises) for row in s.degrees}
        place = {row: k for k, row in enumerate(sorted(rows))}
        covariance = np.zeros((len(surfaces), len(place), len(place)))
        for k, surface in enumerate(surfaces):
            at = [place[tuple(map(int, row))] for row in surface.degrees]
            covariance[k][np.ix_(at, at)] = surface.covariance
        return cls(
            np.array(sorted(place)),
            _coefficients(surfaces, place),
            _coefficients(noises, place),
            covariance,
            np.array([emulator.lack for emulator in emulators]),
        )

    def __call__(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Means, their errors, and the scatter of one response, (n, emulators) each, at ``x`` (n, factors)."""
        functions = basis(x, self.degrees)
        variance = ((functions @ self.covariance) * functions).sum(axis=-1).T
        sd = np.sqrt(np.maximum(variance, 0.0) + self.lack**2)
        return functions @ self.mean, sd, np.exp(0.5 * (functions @ self.noise))


def _coefficients(surfaces: Sequence[Surface], place: dict[tuple[int, ...], int]) -> FloatArray:
    found = np.zeros((len(place), len(surfaces)))
    for k, surface in enumerate(surfaces):
        found[[place[tuple(map(int, row))] for row in surface.degrees], k] = surface.coefficients
    return found
