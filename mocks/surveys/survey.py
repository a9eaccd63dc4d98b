"""Surveys: from true stars to the catalogue that an observer of known instruments would have.

Presets are tables of settings, and a scenario overrides any of them. Cuts act on what an observer
has: height, radius and distance from the observed distance, metallicity as measured; the apparent
magnitude is that of the true distance.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Final, Literal, Protocol

import numpy as np

from haloassay.base.cache import LATER
from haloassay.base.errors import InputError, UsedUpError
from haloassay.base.settings import build, require, unknown
from haloassay.contracts.catalogue import SELECTION, Catalogue, Propagation
from haloassay.contracts.frames import Sun
from haloassay.mocks.stars import Stars
from haloassay.mocks.surveys.columns import ABUNDANCES, Columns
from haloassay.mocks.surveys.completeness import Completeness
from haloassay.mocks.surveys.footprints import Footprint
from haloassay.mocks.surveys.luminosity import Luminosity, PowerLawLuminosity, make_luminosity
from haloassay.mocks.surveys.measurement import (
    GAIA_RELEASES,
    LOG_DISTANCE_PER_MAG,
    Deviates,
    DistanceErrorKind,
    ErrorCurve,
)
from haloassay.mocks.surveys.observing import look, measured, seen_again
from haloassay.mocks.surveys.presets import resolve
from haloassay.mocks.surveys.selection import Tally
from haloassay.mocks.surveys.stated import StatedSelection
from haloassay.mocks.surveys.template import Template, make_template
from haloassay.mocks.uniforms import Uniforms

#: Sizes of the batches of true stars: doubling, then constant; the same for all surveys, so that
#: they share stars, unless stars are drawn by their numbers.
_FIRST_BATCH: Final = 2**13
_LARGEST_BATCH: Final = 2**18
#: Stars of a batch beyond those that are needed by what has passed so far: with too few another batch follows.
_MORE: Final = 1.1
_FEW: Final = 256


class Population(Protocol):
    """Anything that true stars can be drawn from."""

    @property
    def number(self) -> int | None:
        """Stars that there are for one realisation, about; None where there are always further ones."""

    def sampler(self, rng: np.random.Generator) -> Callable[[int], Stars]:
        """Return what draws a number of stars; successive calls give further ones, or raise UsedUpError."""


@dataclass(frozen=True, eq=False)
class Observation:
    """What a survey made of a mock.

    Parameters
    ----------
    catalogue
        What the observer has, and nothing else.
    stars
        The same stars as they truly are, row by row.
    n_drawn
        How many true stars were looked at to find them.
    overlap
        Share of them that any other realisation is expected to have too; None where the mock always has further stars.
    blind
        Whether they were selected by nothing that differs between populations; see :attr:`Survey.blind`.
    """

    catalogue: Catalogue
    stars: Stars
    n_drawn: int
    overlap: float | None = None
    blind: bool = False


@dataclass(frozen=True)
class Survey:
    """A survey: what it sees, how many stars, with what errors. The default is a perfect one.

    Parameters
    ----------
    n_stars
        Number of surveyed stars; or ``"all"`` that pass the cuts, of a mock that has only so many: a simulation, or
        a stored population.
    sun
        Where the observer is, and moves.
    footprint
        Part of the sky: dec_min, dec_max, b_min [deg], boxes [[ra_min, ra_max, dec_min, dec_max]],
        discs [[ra, dec, radius]], map (a healpix file).
    completeness
        Probability that a star in reach is observed: minimum and maximum over the pixels (nside,
        seed) of the sky, b_scale [deg], per_magnitude beyond full_to.
    luminosity
        Distribution of absolute magnitudes.
    magnitude_limits
        Bright and faint limit of the apparent magnitude, without extinction.
    g_offset
        Gaia's G minus the magnitude of the survey's band, for Gaia's errors.
    z_min
        Smallest observed distance from the Galactic plane [kpc].
    feh_max
        Largest observed [Fe/H].
    z_any_feh
        Distance from the plane [kpc] beyond which every [Fe/H] is kept: with z_min = 2, feh_max =
        -1 and z_any_feh = 5, the halo stars of Bird et al. (2020).
    distance_min, distance_max
        Limits of the observed heliocentric distance [kpc].
    r_min, r_max
        Limits of the observed Galactocentric radius [kpc].
    distance_error
        Scatter of the observed distances, which are log-normal; the stated error is its fraction of
        the observed distance.
    distance_error_kind
        ``"fraction"``: ``distance_error`` is the scatter of ln(distance); ``"modulus"``: of the
        distance modulus [mag], 2.17 times as much.
    distance_error_spread
        Scatter of ln(stated distance error) from star to star, ``distance_error`` being the median.
    distance_feh_correlation
        Correlation between the distance errors of stars within the same half dex of true [Fe/H]: a
        distance scale that is off by another, unknown amount for each metallicity.
    distance_scale
        Factor on all observed distances that the observer does not know of.
    pm_error
        ``"none"``, a Gaia release such as ``"gaia-dr3"``, or the error of both proper motions
        [mas/yr].
    pm_correlation
        Scatter, about 0, of the correlation of the two proper-motion errors; each star's is stated.
    vlos_known
        Whether line-of-sight velocities are measured; without them, the columns are left out.
    vlos_error
        Stated error of line-of-sight velocities [km/s]; or a table of magnitudes and errors,
        between which it is linear.
    vlos_offset
        Added to all line-of-sight velocities [km/s]; the observer does not know of it.
    feh_error, alpha_fe_error
        Stated errors of [Fe/H] and [alpha/Fe] [dex]. An abundance that the stars of the mock do not
        have is left out of the catalogue.
    error_max
        Largest errors of (v_r, v_theta, v_phi) [km/s], all of a star's at once.
    distance_error_scale, pm_error_scale, vlos_error_scale
        True scatter over the stated error: 1 where the observer states the errors rightly.
    propagation
        How the observer carries errors to (v_r, v_theta, v_phi): ``"linear"``, to first order as
        ``error_max`` always does, or ``"monte-carlo"``, by 1000 draws a star.
    template
        Catalogue of one's own, the name of a file or a table, whose errors the stars have in place of the errors above.
    distance_feh_slope, distance_feh_zero
        Zero point of distances that depends on true [Fe/H], which the observer does not know of: ln(distance) is off by
        the slope for each dex above ``distance_feh_zero``.
    distance_dipole
        Zero point that depends on the sky: largest offset of ln(distance), and Galactic l and b [deg] where it is.
    distance_prior
        Distances are stated as medians of posteriors under a space density exp(-d / L), L [kpc] this number, with half
        the width of the 68 per cent interval as their error; 0 for the measurements themselves.

    Raises
    ------
    InputError
        If a setting is out of range.
    """

    version: ClassVar[int] = 2

    n_stars: int | Literal["all"] = 10000
    sun: Sun = field(default_factory=Sun)
    footprint: Footprint = field(default_factory=Footprint)
    completeness: Completeness = field(default_factory=Completeness)
    luminosity: Luminosity = field(default_factory=PowerLawLuminosity)
    magnitude_limits: tuple[float, float] = (-np.inf, np.inf)
    g_offset: float = 0.0
    z_min: float = 0.0
    feh_max: float = np.inf
    z_any_feh: float = np.inf
    distance_min: float = 0.0
    distance_max: float = np.inf
    r_min: float = 0.0
    r_max: float = np.inf
    distance_error: float = 0.0
    distance_error_kind: DistanceErrorKind = "fraction"
    distance_error_spread: float = 0.0
    distance_feh_correlation: float = 0.0
    distance_scale: float = 1.0
    pm_error: float | str = "none"
    pm_correlation: float = 0.0
    vlos_known: bool = True
    vlos_error: float | ErrorCurve = 0.0
    vlos_offset: float = 0.0
    feh_error: float = 0.0
    alpha_fe_error: float = 0.0
    error_max: tuple[float, float, float] = (np.inf, np.inf, np.inf)
    distance_error_scale: float = 1.0
    pm_error_scale: float = 1.0
    vlos_error_scale: float = 1.0
    propagation: Propagation = "linear"
    template: Template | None = field(default=None, metadata=LATER)
    distance_feh_slope: float = field(default=0.0, metadata=LATER)
    distance_feh_zero: float = field(default=-1.5, metadata=LATER)
    distance_dipole: tuple[float, float, float] = field(default=(0.0, 0.0, 0.0), metadata=LATER)
    distance_prior: float = field(default=0.0, metadata=LATER)

    def __post_init__(self) -> None:
        some = self.n_stars == "all" or self.n_stars >= 1
        require(some, f"n_stars must be at least 1, or 'all' (got {self.n_stars})")
        bright, faint = self.magnitude_limits
        require(
            bright < faint,
            f"magnitude_limits must be [bright, faint] in order (got {[bright, faint]})",
        )
        require(0.0 <= self.z_min < np.inf, f"z_min must be finite and >= 0 (got {self.z_min})")
        require(self.z_any_feh >= 0.0, f"z_any_feh must be >= 0 (got {self.z_any_feh})")
        require(self.feh_max > -np.inf, f"feh_max must be a number or inf (got {self.feh_max})")
        for name in ("distance", "r"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            order = f"need 0 <= {name}_min < {name}_max (got {low}, {high})"
            require(0.0 <= low < high, order)
        require(
            0.01 <= self.distance_scale <= 100.0,
            f"distance_scale must be 0.01 to 100 (got {self.distance_scale:g})",
        )
        self._check_errors()
        if self.template is not None and self.vlos_known:
            self.template.require_vlos()

    def _check_errors(self) -> None:
        example = "a fraction, >= 0 and < 1, such as 0.16"
        if self.distance_error_kind == "modulus":
            example = "in magnitudes, >= 0 and < 2.17, such as 0.3"
        require(
            0.0 <= self.log_distance_error < 1.0,
            f"distance_error is {example} (got {self.distance_error})",
        )
        for name in ("pm_correlation", "distance_feh_correlation"):
            value = getattr(self, name)
            require(0.0 <= value < 1.0, f"{name} must be >= 0 and < 1 (got {value})")
        size, lon, lat = self.distance_dipole
        require(
            abs(size) <= 1.0 and 0.0 <= lon <= 360.0 and abs(lat) <= 90.0,
            "distance_dipole: an offset of ln(distance) within +-1, l 0 to 360, b -90 to 90"
            f" (got {list(self.distance_dipole)})",
        )
        slope, zero = self.distance_feh_slope, self.distance_feh_zero
        require(abs(slope) <= 1.0, f"distance_feh_slope must be within +-1 a dex (got {slope:g})")
        require(abs(zero) <= 10.0, f"distance_feh_zero must be within +-10 (got {zero:g})")
        require(
            self.distance_prior == 0.0 or 0.01 <= self.distance_prior <= _LARGEST_ERROR,
            f"distance_prior must be 0, or 0.01 to {_LARGEST_ERROR:g} kpc (got {self.distance_prior:g})",
        )
        if isinstance(self.pm_error, str) and self.pm_error not in ("none", *GAIA_RELEASES):
            raise unknown(
                "proper-motion error", self.pm_error, ("none", *GAIA_RELEASES), "pm_error"
            )
        for name in _NON_NEGATIVE:
            value = getattr(self, name)
            if isinstance(value, int | float):
                most = _LARGEST.get(name, _LARGEST_ERROR)
                require(0.0 <= value <= most, f"{name} must be 0 to {most:g} (got {value:g})")
        for name in ("g_offset", "vlos_offset"):
            value = getattr(self, name)
            require(
                abs(value) <= _LARGEST_ERROR,
                f"{name} must be within +-{_LARGEST_ERROR:g} (got {value:g})",
            )
        require(
            all(limit > 0.0 for limit in self.error_max),
            f"error_max must be > 0 (got {list(self.error_max)})",
        )
        require(
            self.vlos_known or not self.limits_errors,
            "error_max: errors of (v_r, v_theta, v_phi) need line-of-sight velocities",
        )
        drawn = self.propagation == "monte-carlo"
        require(self.vlos_known or not drawn, "propagation: draws need line-of-sight velocities")

    @property
    def log_distance_error(self) -> float:
        """Stated scatter of ln(distance); the median where it differs from star to star."""
        unit = LOG_DISTANCE_PER_MAG if self.distance_error_kind == "modulus" else 1.0
        return self.distance_error * unit

    @property
    def limits_errors(self) -> bool:
        """Whether stars are cut on the errors of their velocities."""
        return min(self.error_max) < np.inf

    @property
    def stated(self) -> Survey:
        """Survey as its observer states it: without what is wrong with the measurements and not known."""
        return replace(self, **UNSTATED)

    def observe(
        self,
        mock: Population,
        population_rng: np.random.Generator,
        survey_rng: np.random.Generator,
    ) -> Observation:
        """Observe stars of ``mock`` until ``n_stars`` have passed all cuts, or all stars have been looked at.

        Parameters
        ----------
        mock
            Where the true stars come from.
        population_rng, survey_rng
            Randomness of the stars and of the observation. Surveys given equal ones meet the same
            stars with the same standard deviates, whatever their settings: each star has its own, by its number.

        Raises
        ------
        InputError
            If next to no star passes; the message names the cut that leaves fewest. If the stars
            have no [Fe/H] and a setting needs it, or only some have an abundance. If the mock has fewer stars.
        """
        self.require_stars(mock.number)
        wanted = sys.maxsize if self.n_stars == "all" else self.n_stars
        room = _FIRST_BATCH if self.n_stars == "all" else self.n_stars
        surveyed, columns, tally = Columns(room), Columns(room), Tally()
        draw = mock.sampler(population_rng)
        uniforms = Uniforms.of(survey_rng)
        drawn = batch = offered = 0
        # a mock of somebody's own need not know of it
        by_number = getattr(mock, "by_number", False)
        while columns.n < wanted:
            batch = min(2 * batch or _FIRST_BATCH, _LARGEST_BATCH)
            if columns.n and by_number:  # no more than are needed at the rate that have passed
                batch = min(batch, int(_MORE * (wanted - columns.n) * offered / columns.n) + _FEW)
            try:
                stars = draw(batch).numbered(offered)
            except UsedUpError:
                if self.n_stars == "all":
                    break
                raise
            offered += len(stars)
            if np.isnan(stars.feh).any():
                self.require_no_feh()
            deviates = Deviates(uniforms, stars.number)
            seen = look(self, stars, deviates, wanted - columns.n, tally)
            rows, some, values = measured(self, seen, wanted - columns.n, tally)
            surveyed.append(len(some), {f.name: getattr(some, f.name) for f in fields(Stars)})
            columns.append(len(some), values)
            drawn += len(stars) if columns.n < wanted else int(rows[-1]) + 1
            tally.require_hope(columns.n, wanted, drawn)
        if columns.n == 0:
            raise tally.too_few(0, drawn)
        selection = None
        if not self.limits_errors:
            selection = StatedSelection.of(self)
        catalogue = Catalogue(columns.known(), self.sun, "mock catalogue", selection=selection)
        if self.propagation == "monte-carlo":
            catalogue = catalogue.with_drawn_errors(survey_rng.spawn(1)[0])
        observed = Stars(**surveyed.filled())
        overlap = None
        if mock.number is not None:
            overlap = min(1.0, drawn / mock.number) * seen_again(self, observed, survey_rng)
        return Observation(catalogue, observed, drawn, overlap, self.blind)

    @property
    def blind(self) -> bool:
        """Whether stars are selected by sky, magnitude and distance alone, in which populations do not differ."""
        return bool(np.isposinf(self.feh_max)) and not self.limits_errors

    def require_abundances(self, known: Mapping[str, bool | None]) -> None:
        """Raise :class:`InputError` where a setting needs [Fe/H] of a mock, or only some stars have an abundance.

        Parameters
        ----------
        known
            By ``feh`` and ``alpha_fe``, whether the mock's stars have it; None: some have.
        """
        for name, title in ABUNDANCES.items():
            require(
                known[name] is not None,
                f"survey: some stars have {title} and others have none: give it to every population of the mock, or to"
                " none",
            )
        if not known["feh"]:
            self.require_no_feh()

    def require_no_feh(self) -> None:
        """Raise :class:`InputError` where a setting needs [Fe/H]: for a mock whose stars have none."""
        for name, without in (
            ("feh_max", np.inf),
            ("distance_feh_correlation", 0.0),
            ("distance_feh_slope", 0.0),
        ):
            require(
                getattr(self, name) == without,
                f"survey: {name} needs [Fe/H], and stars of the mock have none: give them feh, or set {name} ="
                f" {without:g}",
            )

    def hands_over(self, known: Mapping[str, bool | None]) -> frozenset[str]:
        """Tell what an estimator can need of its catalogues, given which abundances the mock has."""
        names = {"distance", "pmra", "pmdec", *(name for name in ABUNDANCES if known[name])}
        names |= {"vlos"} if self.vlos_known else set()
        stated = set() if self.limits_errors else {SELECTION}
        columns = {"ra", "dec", "pm_corr", *names, *(f"{name}_err" for name in names)}
        return frozenset(columns | stated | ({"velocity"} if self.vlos_known else set()))

    def require_stars(self, number: int | None) -> None:
        """Raise :class:`InputError` where a mock's ``number`` of stars is too low, or has no end and all are wanted."""
        if self.n_stars == "all":
            require(
                number is not None,
                "survey.n_stars = 'all' needs a mock that has only so many stars: a snapshot, or a population (with"
                " shape, lmc or population)",
            )
        elif number is not None:
            require(
                self.n_stars <= number,
                f"survey.n_stars: {self.n_stars} stars are asked for, and the mock has {number}: lower n_stars,"
                " or make the mock larger (the size of its population; more particles as tracers)",
            )


#: What is wrong with the measurements and no observer knows of, and the settings without it.
UNSTATED: Final[Mapping[str, Any]] = {
    "distance_feh_correlation": 0.0,
    "distance_feh_slope": 0.0,
    "distance_feh_zero": -1.5,
    "distance_dipole": (0.0, 0.0, 0.0),
    "distance_scale": 1.0,
    "vlos_offset": 0.0,
    "distance_error_scale": 1.0,
    "pm_error_scale": 1.0,
    "vlos_error_scale": 1.0,
}
#: Settings that are sizes of errors.
_NON_NEGATIVE: Final = (
    "distance_error_spread",
    "pm_error",
    "vlos_error",
    "feh_error",
    "alpha_fe_error",
    "distance_error_scale",
    "pm_error_scale",
    "vlos_error_scale",
)
#: Largest of them in their own units, which is no slip of the pen (choice).
_LARGEST_ERROR: Final = 1e4
_LARGEST: Final = {"distance_error_spread": 3.0, "feh_error": 20.0, "alpha_fe_error": 20.0}


def make_survey(spec: Any, where: str = "survey") -> Survey:
    """Make the survey that the table ``spec`` describes.

    Parameters
    ----------
    spec
        Settings of :class:`Survey` as plain values; ``preset`` names the entry of :data:`PRESETS`
        that they override (``"perfect"`` without it). ``sun`` is a name of ``frames.SUNS`` or a
        table, ``luminosity`` a table with ``kind``, ``footprint`` and ``completeness`` tables.
    where
        What to call this place in an error.

    Raises
    ------
    InputError
        If a name is unknown, or a value has the wrong type or range.
    """
    if not isinstance(spec, Mapping):
        raise InputError(f"{where}: expected a table of survey settings (got {spec!r})")
    settings = resolve(spec, {f.name for f in fields(Survey)}, where)
    parts: dict[str, Any] = {}
    tables = (("sun", Sun), ("footprint", Footprint), ("completeness", Completeness))
    for name, kind in tables:
        if name in settings:
            parts[name] = build(kind, settings.pop(name), f"{where}.{name}")
    if "luminosity" in settings:
        parts["luminosity"] = make_luminosity(settings.pop("luminosity"), f"{where}.luminosity")
    template = settings.pop("template", None)
    if template is not None:
        parts["template"] = make_template(template, f"{where}.template")
    survey = build(Survey, settings, where)
    try:
        return replace(survey, **parts)
    except InputError as error:  # of what its parts make of the rest
        raise InputError(f"{where}: {error}") from None
