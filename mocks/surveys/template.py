"""Surveys from data: errors, footprint and selection of a catalogue of the user's own.

A catalogue alone does not tell its selection: the stars that were found in a place are the product of those that are
there and of the share that is observed. A footprint needs no more than the stars; the share observed needs the density.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import InputError, RemediedError
from haloassay.base.settings import build, require
from haloassay.mocks.surveys.places import passing
from haloassay.mocks.surveys.skymaps import file_digest

if TYPE_CHECKING:
    from scipy.spatial import KDTree

    from haloassay.contracts.catalogue import Catalogue
    from haloassay.mocks.surveys.survey import Survey

#: Errors that a template must state, and those that are taken where it has them.
_REQUIRED: Final = ("distance_err", "pmra_err", "pmdec_err")
_OPTIONAL: Final = ("vlos_err", "feh_err", "alpha_fe_err", "pm_corr")
#: Settings of a survey in whose place errors of the file stand, by their columns.
_REPLACED: Final = {
    "distance_err": ("distance_error", "distance_error_kind", "distance_error_spread"),
    "pmra_err": ("pm_error",),
    "vlos_err": ("vlos_error",),
    "feh_err": ("feh_error",),
    "alpha_fe_err": ("alpha_fe_error",),
    "pm_corr": ("pm_correlation",),
}
#: What is read of a template.
_USED: Final = ("distance", "pmra", "pmdec", *_REQUIRED, *_OPTIONAL)

#: Largest stated error of ln(distance), as of drawn ones: beyond it a distance says nothing.
_LARGEST_LOG_ERROR: Final = 1.0

#: Points of a distance shell, and factor of nside for those of a pixel, at which the density is looked up.
_POINTS: Final = 8
_FINER: Final = 4
#: Rounds of proportional fitting; a change of a share below this [relative] ends them.
_ROUNDS: Final = 200
_TOLERANCE: Final = 1e-6
_FINEST: Final = 64


@dataclass(frozen=True)
class PowerLaws:
    """Spherical density that is assumed to be the true one: d ln rho / d ln r, with breaks.

    Parameters
    ----------
    slopes
        d ln rho / d ln r, one more than breaks; negative.
    breaks
        Galactocentric radii [kpc] between them, rising.
    """

    slopes: tuple[float, ...]
    breaks: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require(
            len(self.slopes) == len(self.breaks) + 1,
            f"density: one slope more than breaks (got {len(self.slopes)}, {len(self.breaks)})",
        )
        rising = all(0.0 < a < b for a, b in zip((1e-9, *self.breaks), self.breaks, strict=False))
        require(rising, f"density: breaks rise from above 0 kpc (got {list(self.breaks)})")
        require(
            all(-20.0 <= slope <= 0.0 for slope in self.slopes),
            f"density: slopes must be -20 to 0 (got {list(self.slopes)})",
        )

    def log_density(self, r: FloatArray) -> FloatArray:
        """Logarithm of the density at ``r`` [kpc], of any normalisation; constant within 0.1 kpc."""
        x = np.log(np.maximum(r, 0.1))
        value = self.slopes[0] * x
        for at, below, above in zip(self.breaks, self.slopes[:-1], self.slopes[1:], strict=True):
            value = value + (above - below) * np.maximum(x - np.log(at), 0.0)
        return value


@dataclass(frozen=True)
class Template:
    """Catalogue of the user's own whose errors, and where it is asked for whose selection, a survey has.

    Each mock star has the stated errors of one star among its ``neighbours`` nearest in the catalogue: relative error
    of distance, errors of proper motions and their correlation, of v_los and, where the catalogue has them, abundances.
    They take the place of ``distance_error``, ``pm_error``, ``vlos_error`` and the like of the survey. Neighbours are
    those of the true place of the mock star among the observed places of the catalogue, which distance errors smear.

    Parameters
    ----------
    file
        Catalogue, read as ``haloassay measure`` reads it: FITS, ECSV, CSV, Parquet and others, with ra, dec, distance,
        pmra, pmdec and the errors of the last three; vlos_err too unless ``survey.vlos_known = false``.
    columns
        Names in the file where they differ: ``"distance=dist,distance_err=dist_e"``.
    magnitude
        Column of the file with apparent magnitudes in G: neighbours are then near in magnitude, that of a mock star by
        the luminosities of the survey (and ``g_offset``). Empty: near in distance.
    neighbours
        How many stars of the catalogue one is taken from, at random.
    sky_scale
        Angle [deg] that counts as much as ``depth_scale``.
    depth_scale
        Difference of ln(distance), or of magnitude, that counts as much as ``sky_scale``.
    selection
        ``"none"``: the catalogue says nothing of which stars are observed; the settings of the survey do.
        ``"footprint"``: stars are observed in pixels that hold a star of the catalogue, and between its least and
        largest distance. ``"density-ratio"``: besides, with a probability that is a factor of the pixel times one of
        the distance, such that numbers by pixel and numbers by distance are those of the catalogue where ``density`` is
        the true one; footprint, completeness and magnitude limits of the survey are counted as part of what the
        catalogue passed. It is wrong by as much as ``density`` is: the two cannot be told apart by a catalogue.
    density
        True density of the tracers, assumed: slopes and breaks; needed by ``"density-ratio"``.
    nside
        Of the pixels (ICRS); a power of 2.
    shells
        Distances of equally many stars that have a factor of their own.
    digest
        Hash of the content of the file, which is refused if it is another one; found where it is not given.

    Raises
    ------
    InputError
        If a setting is out of range, the file cannot be read, is another one or lacks columns, or the selection cannot
        be determined.
    """

    #: Of the ratio to a density: 2 knows of the other limits of the survey.
    version: ClassVar[int] = 2

    file: str = field(compare=False)
    columns: str = ""
    magnitude: str = ""
    neighbours: int = 20
    sky_scale: float = 10.0
    depth_scale: float = 0.1
    selection: Literal["none", "footprint", "density-ratio"] = "none"
    density: PowerLaws | None = None
    nside: int = 4
    shells: int = 10
    digest: str = ""

    def __post_init__(self) -> None:
        require(1 <= self.neighbours <= 1000, f"neighbours: 1 to 1000 (got {self.neighbours})")
        for name in ("sky_scale", "depth_scale"):
            value = getattr(self, name)
            require(1e-3 <= value <= 1e3, f"{name}: 0.001 to 1000 (got {value:g})")
        require(
            1 <= self.nside <= _FINEST and self.nside & (self.nside - 1) == 0,
            f"nside must be a power of 2 up to {_FINEST} (got {self.nside})",
        )
        require(1 <= self.shells <= 1000, f"shells: 1 to 1000 (got {self.shells})")
        ratio = self.selection == "density-ratio"
        require(
            not ratio or self.density is not None,
            "selection: cannot be determined from a catalogue alone, which shows the product of selection and density:"
            " give density = { slopes = [...], breaks = [...] }, the true one that you assume",
        )
        require(ratio or self.density is None, 'density: only with selection = "density-ratio"')
        require(
            self.file not in ("", "none") or Path(self.file).is_file(),
            f"file: {self.file!r} is no file; a survey without a template has no key template",
        )
        digest = file_digest(self.file, "file")
        require(
            self.digest in ("", digest),
            f"digest: {self.digest} is not that of {self.file} ({digest}): the file is another one",
        )
        object.__setattr__(self, "digest", digest)
        n = len(self._stars.distance)
        require(n >= self.neighbours, f"file: {self.file}: {n} stars, fewer than neighbours")
        if self.selects:
            require(n >= 2 * self.shells, f"file: {self.file}: {n} stars, fewer than 2 a shell")

    @property
    def selects(self) -> bool:
        """Whether the catalogue says which stars are observed."""
        return self.selection != "none"

    @property
    def _stars(self) -> _TemplateStars:
        return _read(self.file, self.digest, self.columns, self.magnitude)

    def require_vlos(self) -> None:
        """Raise :class:`InputError` where the catalogue states no errors of line-of-sight velocities, or has none."""
        if "vlos_err" not in self._stars.errors:
            try:  # velocities that are unusable took their errors along
                _catalogue(self.file, self.columns, (*_USED, "vlos"))
            except InputError as error:
                raise InputError(f"template: {error}, or set vlos_known = false") from error
            raise InputError(
                f"template: {self.file}: missing column vlos_err: give it, or set vlos_known = false"
            )

    def neighbour(
        self,
        direction: FloatArray,
        distance: FloatArray,
        magnitude: FloatArray,
        uniform: FloatArray,
    ) -> IntArray:
        """(N,) rows of the catalogue whose errors mock stars have.

        Parameters
        ----------
        direction
            (N, 3) ICRS unit vectors.
        distance, magnitude
            (N,) true distances [kpc], and magnitudes in G.
        uniform
            (N,) in (0, 1): which of the neighbours.
        """
        depth = magnitude if self.magnitude else np.log(distance)
        tree = _tree(self.file, self.digest, self.columns, self.magnitude, *self._scales)
        _, near = tree.query(_places(direction, depth, *self._scales), k=self.neighbours)
        near = np.asarray(near).reshape(len(direction), self.neighbours)
        which = np.minimum((uniform * self.neighbours).astype(int), self.neighbours - 1)
        return np.asarray(near[np.arange(len(near)), which])

    @property
    def _scales(self) -> tuple[float, float]:
        return self.sky_scale, self.depth_scale

    @property
    def replaces(self) -> frozenset[str]:
        """Names of the settings of a survey that count for nothing beside the errors of this catalogue."""
        known = (settings for name, settings in _REPLACED.items() if name in self._stars.errors)
        return frozenset(chain.from_iterable(known))

    def error(self, name: str, rows: IntArray) -> FloatArray | None:
        """(N,) stated errors of a column, such as ``vlos_err``, of rows; None where the catalogue has none."""
        errors = self._stars.errors.get(name)
        return None if errors is None else errors[rows]

    def log_distance_error(self, rows: IntArray) -> FloatArray:
        """(N,) relative errors of distance of rows, at most 1."""
        stars = self._stars
        relative = stars.errors["distance_err"][rows] / stars.distance[rows]
        return np.minimum(relative, _LARGEST_LOG_ERROR)

    def chance(self, direction: FloatArray, distance: FloatArray, survey: Survey) -> FloatArray:
        """(N,) probabilities that stars at ICRS unit vectors (N, 3) and true distances (N,) [kpc] are observed.

        Of those that footprint, completeness and magnitude limits of ``survey`` let pass.

        Raises
        ------
        InputError
            If these let next to none of the catalogue pass.
        """
        import healpy

        if not self.selects:
            return np.ones(len(distance))
        of_pixel, of_shell, edges = _shares(self, survey)
        shell = np.searchsorted(edges, distance, side="right") - 1
        shell = np.where(distance == edges[-1], len(of_shell) - 1, shell)
        inside = (shell >= 0) & (shell < len(of_shell))
        pixel = healpy.vec2pix(self.nside, *direction.T)
        return np.asarray(inside * of_pixel[pixel] * of_shell[np.clip(shell, 0, len(of_shell) - 1)])


@dataclass(frozen=True, eq=False)
class _TemplateStars:
    """What is taken of a catalogue: (N, 3) ICRS unit vectors, (N,) distances, depths, errors; and where the Sun is."""

    direction: FloatArray
    distance: FloatArray
    depth: FloatArray
    errors: Mapping[str, FloatArray]
    catalogue: Catalogue


@functools.lru_cache(maxsize=4)
def _read(file: str, digest: str, columns: str, magnitude: str) -> _TemplateStars:
    """Read a template; ``digest`` is what it is kept by.

    Raises
    ------
    InputError
        If it is unusable, or lacks columns.
    """
    from haloassay.contracts.frames import sky_basis

    del digest
    catalogue = _catalogue(file, columns, _USED)
    require(
        catalogue.heliocentric,
        f"file: {file}: has Galactocentric columns; errors of a survey are of ra dec distance pmra pmdec vlos",
    )
    missing = [name for name in _REQUIRED if name not in catalogue]
    require(
        not missing,
        f"file: {file}: missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        " (names that differ: columns)",
    )
    errors = {n: np.array(catalogue[n]) for n in (*_REQUIRED, *_OPTIONAL) if n in catalogue}
    distance = np.array(catalogue["distance"])
    depth = _magnitudes(file, magnitude, len(distance)) if magnitude else np.log(distance)
    direction = sky_basis(np.array(catalogue["ra"]), np.array(catalogue["dec"]))[:, 0]
    return _TemplateStars(direction, distance, depth, errors, catalogue)


def _catalogue(file: str, columns: str, uses: tuple[str, ...]) -> Catalogue:
    """Read the catalogue of a template.

    Raises
    ------
    InputError
        If it is unusable; the message recommends nothing that a template does not have.
    """
    from haloassay.io.tables import read_catalogue

    try:
        return read_catalogue(file, columns or None, uses=uses)
    except RemediedError as error:
        raise InputError(
            f"file: {error.what} (a template is read as it is: mend the file, with such rows left out and"
            " units stated)"
        ) from error


def _magnitudes(file: str, name: str, n: int) -> FloatArray:
    """(n,) magnitudes, a column that no catalogue of the house has."""
    from haloassay.io import formats

    fields = formats.read_fields(Path(file), None, None, wanted=frozenset({name}))
    if name not in fields.names:
        raise InputError(f"magnitude: {file}: no column {name!r} (has: {', '.join(fields.names)})")
    values = formats.as_numbers(fields.get(name)[0], f"{file}: column {name}")
    known = values.shape == (n,) and bool(np.isfinite(values).all())
    require(known, f"magnitude: {file}: column {name!r} must be a finite number for every star")
    return values


@functools.lru_cache(maxsize=4)
def _tree(
    file: str, digest: str, columns: str, magnitude: str, sky_scale: float, depth_scale: float
) -> KDTree:
    from scipy.spatial import KDTree

    stars = _read(file, digest, columns, magnitude)
    return KDTree(_places(stars.direction, stars.depth, sky_scale, depth_scale))


def _places(
    direction: FloatArray, depth: FloatArray, sky_scale: float, depth_scale: float
) -> FloatArray:
    """(N, 4) places in sky and depth, in units of the scales."""
    return np.column_stack([direction / np.radians(sky_scale), depth / depth_scale])


@functools.lru_cache(maxsize=4)
def _shares(template: Template, survey: Survey) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Factors (12 nside^2,) of pixels and (shells,) of distances, and edges (shells + 1,) of these [kpc].

    The catalogue passed the whole selection: its numbers are those of the density times what ``survey`` lets pass
    times the two factors, and stars where it lets none pass are not told by any factor.
    """
    import healpy

    stars = template._stars
    n_pixels = healpy.nside2npix(template.nside)
    edges = np.quantile(stars.distance, np.linspace(0.0, 1.0, template.shells + 1))
    require(
        bool(np.all(np.diff(edges) > 0.0)), f"shells: {template.file}: too many equal distances"
    )
    pixel = healpy.vec2pix(template.nside, *stars.direction.T)
    if template.density is None:
        return (
            (np.bincount(pixel, minlength=n_pixels) > 0).astype(float),
            np.ones(template.shells),
            edges,
        )
    seen = passing(survey, stars.direction, stars.distance) > 0.0
    n = int(np.count_nonzero(seen))
    require(
        n >= 2 * template.shells,
        f"template: {template.file}: footprint, completeness and magnitude limits of the survey let {n} of its"
        f" {len(seen)} stars pass, fewer than 2 a shell",
    )
    on_sky = np.bincount(pixel[seen], minlength=n_pixels).astype(float)
    by_distance = np.histogram(stars.distance[seen], edges)[0].astype(float)
    there = _expected(template, template.density, survey, edges)
    of_shell = np.ones(template.shells)
    of_pixel = np.zeros(n_pixels)
    for _ in range(_ROUNDS):
        of_pixel = _quotient(on_sky, there @ of_shell)
        again = _quotient(by_distance, of_pixel @ there)
        done = bool(np.allclose(again, of_shell, rtol=_TOLERANCE, atol=0.0))
        of_shell = again
        if done:
            break
    return of_pixel / of_pixel.max(), of_shell / of_shell.max(), edges


def _quotient(found: FloatArray, expected: FloatArray) -> FloatArray:
    """Numbers found over those expected, 0 where none is expected."""
    return np.divide(found, expected, out=np.zeros_like(found), where=expected > 0.0)


def _expected(
    template: Template, density: PowerLaws, survey: Survey, edges: FloatArray
) -> FloatArray:
    """(pixels, shells) numbers of stars that ``survey`` lets pass, in one unit: integrals of the density over cells."""
    import healpy

    sun = template._stars.catalogue.sun
    fine = template.nside * _FINER
    n_fine = healpy.nside2npix(fine)
    icrs = np.stack(healpy.pix2vec(fine, np.arange(n_fine)), axis=1)
    pixel = healpy.vec2pix(template.nside, *icrs.T)
    direction = icrs @ sun.rotation().T
    t, w = np.polynomial.legendre.leggauss(_POINTS)
    cells = np.empty((healpy.nside2npix(template.nside), len(edges) - 1))
    for k, (near, far) in enumerate(pairwise(edges)):
        total = np.zeros(n_fine)
        for x, weight in zip(t, w, strict=True):
            d = 0.5 * (near + far) + 0.5 * (far - near) * x
            r = np.linalg.norm(sun.position + d * direction, axis=1)
            passed = passing(survey, icrs, np.full(n_fine, d))
            volume = weight * 0.5 * (far - near) * d**2
            total += volume * passed * np.exp(density.log_density(r))
        cells[:, k] = np.bincount(pixel, total, minlength=len(cells))
    return cells


def make_template(spec: Any, where: str) -> Template:
    """Template of a table of its settings, or of the name of a file alone."""
    if isinstance(spec, str):
        spec = {"file": spec}
    if not isinstance(spec, Mapping):
        raise InputError(f"{where}: expected the name of a file or a table (got {spec!r})")
    return build(Template, spec, where)
