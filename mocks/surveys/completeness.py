"""Completeness: which part of the stars in reach a survey gets round to."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.cache import LATER
from haloassay.base.settings import require
from haloassay.contracts.frames import ICRS_TO_GALACTIC
from haloassay.mocks.surveys.skymaps import MapFrame, pixels, settled_digest, values_at

#: Finest map: pixels of a quarter of a degree, finer than any spectrograph's field.
_LARGEST_NSIDE: Final = 256
#: What a probability of 1 may be in a file of single precision.
_ROUNDING: Final = 1e-6


@dataclass(frozen=True)
class Completeness:
    """Probability that a star in the footprint and the magnitude limits is observed.

    The product of three factors: one of the pixel of the sky (fields are not observed equally
    often), one of Galactic latitude (fibres are shared by more stars near the plane), and one of
    magnitude (faint spectra fail more often). The default observes every star.

    Parameters
    ----------
    minimum, maximum
        Range of the first factor: that of a pixel is uniform between them, and independent of all
        other pixels.
    nside
        Of the healpix map (ICRS, ring order); a power of 2. Pixels are 58.6 / nside deg wide.
    seed
        Of the map. It is a property of the survey: the same in every realisation.
    b_scale
        The second factor is 1 - exp(-abs(b) / b_scale) [deg]; 0 for no loss near the plane.
    per_magnitude
        Fraction of the stars lost with each magnitude beyond ``full_to``: the third factor is
        (1 - per_magnitude)^(m - full_to) there, and 1 for brighter stars.
    full_to
        Apparent magnitude, in the band of the survey's limits, down to which none is lost.
    map
        Healpix map in a FITS file of the probabilities themselves, from 0 to 1, in place of the first factor; pixels
        without a value are not observed. Empty: no map.
    map_frame
        Axes of the map: ``"icrs"``, ``"galactic"``, or ``"file"``, as its COORDSYS says (C or G).
    map_digest
        Hash of the content of the file, which is refused if it is another one; found where it is not given.

    Raises
    ------
    InputError
        If a setting is out of range, ``per_magnitude`` is given without ``full_to``, or a map cannot be read, holds
        anything but probabilities, or stands beside ``minimum`` or ``maximum``.
    """

    minimum: float = 1.0
    maximum: float = 1.0
    nside: int = 8
    seed: int = 0
    b_scale: float = 0.0
    per_magnitude: float = 0.0
    full_to: float = np.inf
    map: str = field(default="", compare=False)
    map_frame: MapFrame = field(default="file", metadata=LATER)
    map_digest: str = field(default="", metadata=LATER)

    def __post_init__(self) -> None:
        require(
            0.0 <= self.minimum <= self.maximum <= 1.0 and self.maximum > 0.0,
            f"need 0 <= minimum <= maximum <= 1, maximum > 0 (got {self.minimum}, {self.maximum})",
        )
        require(
            1 <= self.nside <= _LARGEST_NSIDE and self.nside & (self.nside - 1) == 0,
            f"nside must be a power of 2 up to {_LARGEST_NSIDE} (got {self.nside})",
        )
        require(self.seed >= 0, f"seed must be >= 0 (got {self.seed})")
        require(
            self.b_scale == 0.0 or 0.01 <= self.b_scale < np.inf,
            f"b_scale must be 0, or finite and at least 0.01 deg (got {self.b_scale})",
        )
        require(
            0.0 <= self.per_magnitude < 1.0,
            f"per_magnitude is a fraction, >= 0 and < 1 (got {self.per_magnitude})",
        )
        require(
            self.per_magnitude == 0.0 or bool(np.isfinite(self.full_to)),
            "per_magnitude needs full_to, the magnitude down to which no star is lost",
        )
        object.__setattr__(self, "map_digest", settled_digest(self.map, self.map_digest))
        if self.map:
            self._check_map()

    def _check_map(self) -> None:
        require(
            self.minimum == self.maximum == 1.0,
            f"map: stands in place of minimum and maximum: leave these at 1 (got {self.minimum}, {self.maximum})",
        )
        values, _ = pixels(self.map, self.map_digest, self.map_frame)
        known = values[np.isfinite(values)]
        require(
            known.min() >= 0.0 and 0.0 < known.max() <= 1.0 + _ROUNDING,
            f"map: {self.map}: holds {known.min():.9g} to {known.max():.9g}, and probabilities are 0 to 1, not all 0",
        )

    @property
    def whole(self) -> bool:
        """Whether every star is observed."""
        flat = self.minimum == 1.0 and not self.map
        return flat and self.b_scale == 0.0 and self.per_magnitude == 0.0

    @cached_property
    def sky_map(self) -> FloatArray:
        """(12 nside^2,) first factor of each pixel."""
        uniform = np.random.default_rng(self.seed).random(12 * self.nside**2)
        return self.minimum + (self.maximum - self.minimum) * uniform

    def probability(self, direction: FloatArray, magnitude: FloatArray) -> FloatArray:
        """(N,) probabilities at ICRS unit vectors ``direction`` (N, 3) and ``magnitude`` (N,)."""
        chance = self.of_place(direction)
        return chance * self.of_magnitude(magnitude) if self.per_magnitude > 0.0 else chance

    def of_place(self, direction: FloatArray) -> FloatArray:
        """(N,) product of the factors of pixel and latitude at ICRS unit vectors ``direction`` (N, 3)."""
        chance = np.full(len(direction), self.maximum)
        if self.minimum < self.maximum:
            import healpy

            chance = self.sky_map[healpy.vec2pix(self.nside, *direction.T)]
        if self.map:
            values = values_at(self.map, self.map_digest, self.map_frame, direction)
            chance = np.clip(values, 0.0, 1.0)
        if self.b_scale > 0.0:
            sin_b = np.clip(direction @ ICRS_TO_GALACTIC[2], -1.0, 1.0)
            chance = chance * -np.expm1(-np.degrees(np.abs(np.arcsin(sin_b))) / self.b_scale)
        return chance

    def of_magnitude(self, magnitude: FloatArray) -> FloatArray:
        """Factor of apparent ``magnitude``, in its shape."""
        if self.per_magnitude == 0.0:
            return np.ones(np.shape(magnitude))
        beyond = np.maximum(magnitude - self.full_to, 0.0)
        return np.asarray((1.0 - self.per_magnitude) ** beyond)
