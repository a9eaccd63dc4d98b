"""Surveys: from true stars to the catalogue that an observer of known instruments would have.

Presets are tables of settings, and a scenario overrides any of them. Cuts act on what an observer
has: height, radius and distance from the observed distance, metallicity as measured; the apparent
magnitude is that of the true distance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from haloassay.catalogue import Catalogue
from haloassay.errors import InputError
from haloassay.frames import SUNS, Sun, galactocentric_to_heliocentric
from haloassay.mocks.footprints import Footprint
from haloassay.mocks.luminosity import Luminosity, PowerLawLuminosity, make_luminosity
from haloassay.mocks.measurement import (
    GAIA_RELEASES,
    Deviates,
    apparent_magnitude,
    correlated_noise,
    error_correlation,
    observed_distance,
    proper_motion_errors,
)
from haloassay.mocks.stars import Stars
from haloassay.settings import build, require, unknown

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Columns of a surveyed catalogue: heliocentric, their errors, and metallicity.
COLUMNS: Final = (
    *("ra", "dec", "distance", "pmra", "pmdec", "vlos", "feh"),
    *("distance_err", "pmra_err", "pmdec_err", "vlos_err", "feh_err", "pm_corr"),
)

#: Settings of known surveys. Marks: S stated in a paper, F read in a public source, M from memory,
#: "choice" where no number is stated.
PRESETS: Final[dict[str, dict[str, Any]]] = {
    "perfect": {},
    # K giants of LAMOST DR5 and SDSS/SEGUE as Bird et al. (2022) combine them.
    "lamost-segue-kgiants": {
        "n_stars": 10762,  # S
        "sun": "bird2022",  # S
        "footprint": {"dec_min": -10.0, "dec_max": 60.0},  # M
        # M, r band
        "luminosity": {"kind": "power-law", "slope": 0.32, "m_min": -3.0, "m_max": 2.0},
        # choice: with the paper's density, over 60 per cent of the stars lie within 20 kpc, over
        # half within the break at 17 kpc, and over 50 beyond 65 kpc, up to 105: all as stated
        "magnitude_limits": [11.0, 18.5],
        "g_offset": -0.15,  # choice: G - r of a metal-poor giant of g - r = 0.6
        "z_min": 5.0,  # S, Zhai et al. (2018)
        "feh_max": -1.0,  # S, Zhai et al. (2018)
        "r_min": 3.0,  # S
        "r_max": 105.0,  # S
        "distance_error": 0.16,  # S
        "pm_error": "gaia-dr2",  # S
        "pm_correlation": 0.26,  # choice: scatter among 2830 SEGUE K giants with Gaia EDR3
        "vlos_error": 7.0,  # S; the known offset of LAMOST, -8 km/s, is corrected in the paper
    },
    # Blue horizontal branch stars of SDSS as Bird et al. (2022) use them.
    "sdss-bhb": {
        "n_stars": 2526,  # S
        "sun": "bird2022",  # S
        "footprint": {
            "dec_min": -5.0,
            "dec_max": 65.0,
            "b_min": 30.0,
        },  # choice: caps of the SDSS imaging
        "luminosity": {"kind": "horizontal-branch"},  # F, g band
        "magnitude_limits": [14.0, 19.5],  # choice: 4.8 to 60 kpc at M_g = 0.6
        "g_offset": 0.0,  # choice: G is within 0.1 mag of g for stars of g - r = -0.15
        "r_min": 4.0,  # S
        "r_max": 60.0,  # S
        "distance_error": 0.10,  # S
        "pm_error": "gaia-dr2",  # S
        "pm_correlation": 0.26,  # choice, as for the K giants
        "vlos_error": 5.0,  # choice: a few km/s for SEGUE spectra of such stars
    },
}

#: Sizes of the batches of true stars: doubling, then constant; the same for all surveys, so that
#: they share stars.
_FIRST_BATCH: Final = 2**13
_LARGEST_BATCH: Final = 2**18

#: A survey that keeps fewer than this fraction of so many true stars is refused.
_HOPELESS_FRACTION: Final = 1e-5
_HOPELESS_DRAWN: Final = 2_000_000


class Population(Protocol):
    """Anything that true stars can be drawn from."""

    def sample(self, n: int, rng: np.random.Generator) -> Stars:
        """Draw ``n`` independent stars."""


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
        How many true stars were drawn to find them.
    """

    catalogue: Catalogue
    stars: Stars
    n_drawn: int


@dataclass(frozen=True)
class Survey:
    """A survey: what it sees, how many stars, with what errors. The default is a perfect one.

    Parameters
    ----------
    n_stars
        Number of surveyed stars.
    sun
        Where the observer is, and moves.
    footprint
        Part of the sky.
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
    distance_min, distance_max
        Limits of the observed heliocentric distance [kpc].
    r_min, r_max
        Limits of the observed Galactocentric radius [kpc].
    distance_error
        Scatter of ln(distance); the stated error is this fraction of the observed distance.
    distance_scale
        Factor on all observed distances that the observer does not know of.
    pm_error
        ``"none"``, a Gaia release such as ``"gaia-dr3"``, or the error of both proper motions
        [mas/yr].
    pm_correlation
        Scatter, about 0, of the correlation of the two proper-motion errors; each star's is stated.
    vlos_error
        Stated error of line-of-sight velocities [km/s].
    vlos_offset
        Added to all line-of-sight velocities [km/s]; the observer does not know of it.
    feh_error
        Stated error of [Fe/H] [dex].
    distance_error_scale, pm_error_scale, vlos_error_scale
        True scatter over the stated error: 1 where the observer states the errors rightly.

    Raises
    ------
    InputError
        If a setting is out of range.
    """

    n_stars: int = 10000
    sun: Sun = field(default_factory=Sun)
    footprint: Footprint = field(default_factory=Footprint)
    luminosity: Luminosity = field(default_factory=PowerLawLuminosity)
    magnitude_limits: tuple[float, float] = (-np.inf, np.inf)
    g_offset: float = 0.0
    z_min: float = 0.0
    feh_max: float = np.inf
    distance_min: float = 0.0
    distance_max: float = np.inf
    r_min: float = 0.0
    r_max: float = np.inf
    distance_error: float = 0.0
    distance_scale: float = 1.0
    pm_error: float | str = "none"
    pm_correlation: float = 0.0
    vlos_error: float = 0.0
    vlos_offset: float = 0.0
    feh_error: float = 0.0
    distance_error_scale: float = 1.0
    pm_error_scale: float = 1.0
    vlos_error_scale: float = 1.0

    def __post_init__(self) -> None:
        require(self.n_stars >= 1, f"n_stars must be at least 1 (got {self.n_stars})")
        bright, faint = self.magnitude_limits
        require(
            bright < faint,
            f"magnitude_limits must be [bright, faint] in order (got {[bright, faint]})",
        )
        require(0.0 <= self.z_min < np.inf, f"z_min must be finite and >= 0 (got {self.z_min})")
        require(self.feh_max > -np.inf, f"feh_max must be a number or inf (got {self.feh_max})")
        for name in ("distance", "r"):
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            order = f"need 0 <= {name}_min < {name}_max (got {low}, {high})"
            require(0.0 <= low < high, order)
        require(
            0.0 <= self.distance_error < 1.0,
            f"distance_error is a fraction, >= 0 and < 1, such as 0.16 (got {self.distance_error})",
        )
        require(
            0.0 < self.distance_scale < np.inf,
            f"distance_scale must be finite and > 0 (got {self.distance_scale})",
        )
        require(
            0.0 <= self.pm_correlation < 1.0,
            f"pm_correlation must be >= 0 and < 1 (got {self.pm_correlation})",
        )
        if isinstance(self.pm_error, str) and self.pm_error not in ("none", *GAIA_RELEASES):
            raise unknown(
                "proper-motion error", self.pm_error, ("none", *GAIA_RELEASES), "pm_error"
            )
        numbers = [name for name in _NON_NEGATIVE if not isinstance(getattr(self, name), str)]
        for name in numbers:
            value = getattr(self, name)
            require(0.0 <= value < np.inf, f"{name} must be finite and >= 0 (got {value})")
        for name in ("g_offset", "vlos_offset"):
            value = getattr(self, name)
            require(bool(np.isfinite(value)), f"{name} must be finite (got {value})")

    def observe(
        self,
        mock: Population,
        population_rng: np.random.Generator,
        survey_rng: np.random.Generator,
    ) -> Observation:
        """Observe stars of ``mock`` until ``n_stars`` have passed all cuts.

        Parameters
        ----------
        mock
            Where the true stars come from.
        population_rng, survey_rng
            Randomness of the stars and of the observation. Surveys given equal states of both meet
            the same stars with the same standard deviates, whatever their settings.

        Raises
        ------
        InputError
            If next to no star passes; the message names the cut that leaves fewest.
        """
        n = self.n_stars
        surveyed = Stars(np.empty((n, 3)), np.empty((n, 3)), np.empty(n))
        columns = {name: np.empty(n) for name in COLUMNS}
        passing: dict[str, int] = {}
        drawn = kept = batch = 0
        while kept < n:
            batch = min(2 * batch or _FIRST_BATCH, _LARGEST_BATCH)
            drawn += batch
            stars = mock.sample(batch, population_rng)
            seen = _look(self, stars, Deviates.draw(batch, survey_rng), n - kept, passing)
            rows = slice(kept, kept + len(seen.stars))
            for f in fields(Stars):
                getattr(surveyed, f.name)[rows] = getattr(seen.stars, f.name)
            for name, values in _measure(self, seen).items():
                columns[name][rows] = values
            kept = rows.stop
            if drawn >= _HOPELESS_DRAWN and kept < min(n, _HOPELESS_FRACTION * drawn):
                raise _hopeless(kept, drawn, passing)
        catalogue = Catalogue(columns, self.sun, "mock catalogue")
        return Observation(catalogue, surveyed, drawn)


#: Settings that are sizes of errors.
_NON_NEGATIVE: Final = (
    "pm_error",
    "vlos_error",
    "feh_error",
    "distance_error_scale",
    "pm_error_scale",
    "vlos_error_scale",
)


@dataclass(frozen=True, eq=False)
class _View:
    """What the cuts look at, (N,) each: observed distance [kpc], [Fe/H], apparent magnitude."""

    distance: FloatArray
    feh: FloatArray
    magnitude: FloatArray

    def select(self, which: NDArray[np.int64]) -> _View:
        return _View(self.distance[which], self.feh[which], self.magnitude[which])


@dataclass(frozen=True, eq=False)
class _Seen:
    """Stars that passed the cuts."""

    stars: Stars
    deviates: Deviates
    view: _View


def _look(
    survey: Survey, stars: Stars, deviates: Deviates, most: int, passing: dict[str, int]
) -> _Seen:
    """First ``most`` stars of a batch to pass all cuts; ``passing`` counts who passes each one."""
    from_sun = stars.position - survey.sun.position
    true_distance = np.sqrt(np.einsum("ni,ni->n", from_sun, from_sun))
    absolute = survey.luminosity.absolute_magnitude(deviates.luminosity)
    scatter = survey.distance_error * survey.distance_error_scale
    view = _View(
        observed_distance(true_distance, deviates.distance, scatter, survey.distance_scale),
        stars.feh + survey.feh_error * deviates.feh,
        apparent_magnitude(absolute, true_distance),
    )
    keep = np.ones(len(stars), dtype=bool)
    for name, mask in _cuts(survey, from_sun / true_distance[:, None], view):
        passing[name] = passing.get(name, 0) + int(np.count_nonzero(mask))
        keep &= mask
    rows = np.flatnonzero(keep)[:most]
    return _Seen(stars.select(rows), deviates.select(rows), view.select(rows))


def _cuts(survey: Survey, direction: FloatArray, view: _View) -> Iterator[tuple[str, Mask]]:
    """Name and (N,) outcome of each cut; ``direction`` (N, 3) from the Sun, Galactocentric axes."""
    distance = view.distance
    bright, faint = survey.magnitude_limits
    if np.isfinite([bright, faint]).any():
        yield "magnitude_limits", (view.magnitude >= bright) & (view.magnitude <= faint)
    if not survey.footprint.whole_sky:
        yield "footprint", survey.footprint.contains(direction @ survey.sun.rotation())
    if survey.feh_max < np.inf:
        yield "feh_max", view.feh <= survey.feh_max
    if survey.distance_min > 0.0 or survey.distance_max < np.inf:
        yield (
            "distance_min/distance_max",
            (distance >= survey.distance_min) & (distance <= survey.distance_max),
        )
    if survey.z_min > 0.0:
        z = survey.sun.z + distance * direction[:, 2]
        yield "z_min", np.abs(z) >= survey.z_min
    if survey.r_min > 0.0 or survey.r_max < np.inf:
        to_sun = survey.sun.position
        r_squared = distance**2 + 2.0 * distance * (direction @ to_sun) + to_sun @ to_sun
        yield "r_min/r_max", (r_squared >= survey.r_min**2) & (r_squared <= survey.r_max**2)


def _hopeless(kept: int, drawn: int, passing: Mapping[str, int]) -> InputError:
    """Error for a survey that next to no star passes."""
    worst = min(passing, key=lambda name: passing[name])
    return InputError(
        f"survey: only {kept} of {drawn} true stars pass the cuts; the one that leaves fewest is "
        f"{worst}, which {passing[worst]} pass: widen it, or survey a mock with stars there"
    )


def _measure(survey: Survey, seen: _Seen) -> dict[str, FloatArray | float]:
    """Columns of :data:`COLUMNS` of the stars seen, with the errors of the survey."""
    stars, deviates, view = seen.stars, seen.deviates, seen.view
    true = galactocentric_to_heliocentric(stars.position, stars.velocity, survey.sun)
    errors = proper_motion_errors(survey.pm_error, view.magnitude + survey.g_offset)
    correlation = error_correlation(deviates.correlation, survey.pm_correlation)
    noise = correlated_noise(deviates.proper_motion, survey.pm_error_scale * errors, correlation)
    vlos_scatter = survey.vlos_error * survey.vlos_error_scale
    return {
        "ra": true["ra"],
        "dec": true["dec"],
        "distance": view.distance,
        "pmra": true["pmra"] + noise[:, 0],
        "pmdec": true["pmdec"] + noise[:, 1],
        "vlos": true["vlos"] + survey.vlos_offset + vlos_scatter * deviates.vlos,
        "feh": view.feh,
        "distance_err": survey.distance_error * view.distance,
        "pmra_err": errors[:, 0],
        "pmdec_err": errors[:, 1],
        "vlos_err": survey.vlos_error,
        "feh_err": survey.feh_error,
        "pm_corr": correlation,
    }


def make_survey(spec: Any, where: str = "survey") -> Survey:
    """Make the survey that the table ``spec`` describes.

    Parameters
    ----------
    spec
        Settings of :class:`Survey` as plain values; ``preset`` names the entry of :data:`PRESETS`
        that they override (``"perfect"`` without it). ``sun`` is a name of ``frames.SUNS`` or a
        table, ``luminosity`` a table with ``kind``, ``footprint`` a table.
    where
        What to call this place in an error.

    Raises
    ------
    InputError
        If a name is unknown, or a value has the wrong type or range.
    """
    if not isinstance(spec, Mapping):
        raise InputError(f"{where}: expected a table of survey settings (got {spec!r})")
    settings = resolve(spec, where)
    parts: dict[str, Any] = {}
    for name, kind in (("sun", Sun), ("footprint", Footprint)):
        if name in settings:
            parts[name] = build(kind, settings.pop(name), f"{where}.{name}")
    if "luminosity" in settings:
        parts["luminosity"] = make_luminosity(settings.pop("luminosity"), f"{where}.luminosity")
    survey = build(Survey, settings, where)
    return replace(survey, **parts)


def resolve(spec: Mapping[str, Any], where: str = "survey") -> dict[str, Any]:
    """All settings that ``spec`` stands for: those of its preset, overridden by its own.

    Within a table (footprint, luminosity, sun) single settings are overridden too, unless the
    ``kind`` differs. A Sun is returned as a table.
    """
    preset = spec.get("preset", "perfect")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise unknown("preset", preset, PRESETS, where)
    allowed = {"preset", *(f.name for f in fields(Survey))}
    settings = _with_sun(PRESETS[preset], where)
    for name, value in _with_sun(spec, where).items():
        if name not in allowed:
            raise unknown("setting", name, allowed, where)
        settings[name] = _override(settings.get(name), value)
        if name in _TABLES and not isinstance(value, Mapping):
            raise InputError(f"{where}.{name}: expected a table (got {value!r})")
    settings.pop("preset", None)
    return settings


#: Settings that are tables.
_TABLES: Final = ("sun", "footprint", "luminosity")


def _with_sun(spec: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``spec`` with a named Sun written out, so that single settings of it can be overridden."""
    settings = dict(spec)
    name = settings.get("sun")
    if isinstance(name, str):
        if name not in SUNS:
            raise unknown("sun", name, SUNS, f"{where}.sun")
        settings["sun"] = asdict(SUNS[name])
    return settings


def _override(base: Any, value: Any) -> Any:
    """``value``, with the settings of the table ``base`` that it leaves as they are."""
    if not (isinstance(base, Mapping) and isinstance(value, Mapping)):
        return value
    if value.get("kind", base.get("kind")) != base.get("kind"):
        return value
    return {**base, **value}
