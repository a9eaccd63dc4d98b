"""Selection: the cuts of a survey, on what its observer has, and how many stars pass each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue

if TYPE_CHECKING:
    from haloassay.contracts.frames import Sun
    from haloassay.mocks.surveys.survey import Survey


#: A survey that keeps fewer than this fraction of so many true stars is refused.
_HOPELESS_FRACTION = 1e-5
_HOPELESS_DRAWN = 2_000_000


@dataclass(frozen=True, eq=False)
class View:
    """What the cuts look at.

    Parameters
    ----------
    direction
        (N, 3) unit vectors from the Sun, Galactocentric axes.
    distance, feh
        (N,) as observed [kpc, dex].
    magnitude
        (N,) apparent magnitude.
    fibre
        (N,) uniform deviates: a star is observed where its completeness is larger.
    true_distance
        (N,) [kpc]: what completeness that depends on distance is of.
    """

    direction: FloatArray
    distance: FloatArray
    feh: FloatArray
    magnitude: FloatArray
    fibre: FloatArray
    true_distance: FloatArray


@dataclass(frozen=True)
class Tally:
    """How many stars each cut was offered, and how many passed it."""

    passed: dict[str, int] = field(default_factory=dict)
    offered: dict[str, int] = field(default_factory=dict)

    def count(self, cut: str, mask: BoolArray) -> None:
        """Add the (N,) outcome of a cut."""
        self.passed[cut] = self.passed.get(cut, 0) + int(np.count_nonzero(mask))
        self.offered[cut] = self.offered.get(cut, 0) + len(mask)

    def require_hope(self, kept: int, wanted: int, drawn: int) -> None:
        """Raise :class:`InputError`, naming the cut that most fail, where next to none are kept."""
        if drawn >= _HOPELESS_DRAWN and kept < min(wanted, _HOPELESS_FRACTION * drawn):
            raise self.too_few(kept, drawn)

    def too_few(self, kept: int, drawn: int) -> InputError:
        """Error that names the cut that most stars fail."""
        if not self.passed:
            return InputError(f"survey: the mock has no stars ({drawn} drawn)")
        worst = min(self.passed, key=lambda cut: self.passed[cut] / max(self.offered[cut], 1))
        return InputError(
            f"survey: only {kept} of {drawn} true stars pass the cuts; the one that leaves fewest "
            f"is {worst}, which {self.passed[worst]} of {self.offered[worst]} pass: widen it, or "
            "survey a mock with stars there"
        )


def cuts(survey: Survey, view: View) -> Iterator[tuple[str, BoolArray]]:
    """Name and (N,) outcome of each cut that needs no velocity."""
    distance, direction = view.distance, view.direction
    bright, faint = survey.magnitude_limits
    if np.isfinite([bright, faint]).any():
        yield "magnitude_limits", (view.magnitude >= bright) & (view.magnitude <= faint)
    template = survey.template if survey.template and survey.template.selects else None
    if not (survey.footprint.whole_sky and survey.completeness.whole and template is None):
        icrs = direction @ survey.sun.rotation()
        if not survey.footprint.whole_sky:
            yield "footprint", survey.footprint.contains(icrs)
        if not survey.completeness.whole or template is not None:
            chance = survey.completeness.probability(icrs, view.magnitude)
            if template is not None:
                chance = chance * template.chance(icrs, view.true_distance, survey)
            yield "completeness" if template is None else "template", view.fibre < chance
    if survey.feh_max < np.inf:
        height = np.abs(survey.sun.z + distance * direction[:, 2])
        yield "feh_max", (view.feh <= survey.feh_max) | (height >= survey.z_any_feh)
    yield from cuts_of_place(survey, survey.sun, direction, distance)


def cuts_of_place(
    survey: Survey, sun: Sun, direction: FloatArray, distance: FloatArray
) -> Iterator[tuple[str, BoolArray]]:
    """Name and (N,) outcome of each cut on where a star is observed: its height, distance and radius."""
    if survey.z_min > 0.0:
        yield "z_min", np.abs(sun.z + distance * direction[:, 2]) >= survey.z_min
    if survey.distance_min > 0.0 or survey.distance_max < np.inf:
        inside = (distance >= survey.distance_min) & (distance <= survey.distance_max)
        yield "distance_min/distance_max", inside
    if survey.r_min > 0.0 or survey.r_max < np.inf:
        to_sun = sun.position
        r_squared = distance**2 + 2.0 * distance * (direction @ to_sun) + to_sun @ to_sun
        yield "r_min/r_max", (r_squared >= survey.r_min**2) & (r_squared <= survey.r_max**2)


def errors_within(
    columns: Mapping[str, ArrayLike], n: int, sun: Sun, error_max: tuple[float, float, float]
) -> BoolArray:
    """(n,) whether the errors of (v_r, v_theta, v_phi), to first order, are below ``error_max``.

    Parameters
    ----------
    columns
        Heliocentric columns (n,) of a catalogue and their errors, or one number for all stars.
    n
        Number of stars.
    sun
        Where the observer is, and moves.
    error_max
        [km/s].
    """
    whole = {name: np.broadcast_to(values, n) for name, values in columns.items()}
    covariance = Catalogue(whole, sun).spherical_covariance
    variance = np.einsum("nii->ni", covariance)
    return np.asarray(np.all(variance < np.square(error_max), axis=1))
