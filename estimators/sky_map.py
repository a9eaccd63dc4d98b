"""Maps of the velocity ellipsoid over the sky and the Galaxy (Han et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray, IntArray
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.cleaning.integrals import seen_from_sun
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.sky import quadrant
from haloassay.estimators.bins import (
    Edges,
    check_edges,
    check_least,
    radial_bins,
    resampled_catalogues,
)
from haloassay.estimators.cells import (
    Cells,
    drawn_dispersions,
    fractions,
    grid_cells,
    log_dispersion,
    scatter_posterior,
)
from haloassay.estimators.fit.ellipsoid import anisotropy, fit_ellipsoid
from haloassay.estimators.fit.quadrupole import (
    axis_in_plane,
    dispersion_quadrupole,
    folded,
    matrices,
)
from haloassay.estimators.gathering import (
    gathered,
    packed_covariance,
    place,
    spherical_velocity,
    unpacked,
)
from haloassay.estimators.rows import in_order, undetermined_rows, weighted_mean_row

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Cells with values below which a correlation or an asymmetry is not determined.
_FEWEST_CELLS: Final = 5

#: Quantities of each cell, and of the map.
_CELL: Final = ("sigma_r", "beta", "mean_v_r")
_EXTREMES: Final = ("sigma_r_lowest", "sigma_r_highest")
_CORRELATIONS: Final = ("sigma_r_accreted_correlation", "beta_accreted_correlation")
_AXIS: Final = "axis_offset"

#: Draws (n_draws, 3) of the dispersions of each cell, or why there are none; and of its mean v_r (n_draws,).
Dispersions = tuple[list[FloatArray | str], dict[int, FloatArray] | None]


@dataclass(frozen=True)
class ChemicalLine:
    """Line in ([Fe/H], [alpha/Fe]) with accreted stars below and stars born in situ above it.

    The default is the lower edge of the high-alpha disc and the in-situ halo in the H3 survey
    (Naidu et al. 2020): [alpha/Fe] = 0.25 - 0.5 ([Fe/H] + 0.7), from memory; Han et al. (2024) show
    their line without its equation. Metal-poor stars all count as accreted.

    Parameters
    ----------
    slope
        d [alpha/Fe] / d [Fe/H].
    intercept
        [alpha/Fe] at [Fe/H] = 0.
    """

    slope: float = -0.5
    intercept: float = -0.1

    def accreted(self, feh: FloatArray, alpha_fe: FloatArray) -> BoolArray:
        """Which stars (N,) lie below the line."""
        return np.asarray(alpha_fe < self.intercept + self.slope * feh)


@dataclass(frozen=True)
class SkyMap(Estimator):
    """Radial dispersion, anisotropy and mean radial velocity in cells of the sky or of the Galaxy (Han et al. 2024).

    The paper divides the halo into lines of sight (healpix nside 4, figures 6 to 8), Galactic
    quadrants (figure 10), and grid points of the XY and XZ planes (figures 4 and 5), and compares
    sigma_r and beta between them. A cell with fewer than ``min_stars`` has no value.

    Its recipe for values and errors (section 2), ``recipe = "as-published"``: 1000 times each
    velocity is drawn again from its error, 10 per cent of the stars of the cell are left out, and the
    dispersions of the rest are taken; quoted are median, 68 and 95 per cent. Two things follow:

    - The dispersions are raw. A measured velocity has its error once, a drawn one twice, so the map
      shows sqrt(sigma^2 + 2 e^2). With H3's 2 km/s that is nothing for sigma_r; tangential errors as
      large as half the dispersion lower beta, at 0.6, by 0.2.
    - Leaving out 10 per cent gives a third of the sampling error, sqrt(0.1 / 0.9), so where velocity
      errors are small the 68 and 95 per cent intervals hold the truth in 26 and 49 per cent of the
      cases. The harness measures that.

    ``recipe = "deconvolved"`` fits the Gaussian of each cell freed from the errors, with the errors of
    :class:`~haloassay.estimators.velocity_ellipsoid.VelocityEllipsoid`: unbiased, with honest intervals.

    The mean v_r of a cell is that of this Gaussian; as published, by Li et al. (2026, figure 8 and its
    footnote, with at least 15 stars a pixel), the mean weighted by the inverse variances of the
    errors, whose own error they do not give: here that of a weighted mean, from the scatter of the stars. Errors
    are small beside the dispersion, so these weights say little of how well a star knows the mean, and cost precision.

    Rows and numbers of cells, ``bin``:

    - ``"healpix"``: the pixel in RING order, in Galactic coordinates;
    - ``"quadrants"``: 0 for l >= 180, b >= 0 deg (the paper's first), 1 for l < 180, b >= 0, 2 for
      l < 180, b < 0, 3 for l >= 180, b < 0 (its fourth);
    - ``"xy"``, ``"xz"``: i n + j, where i counts the n = 2 extent / step + 1 grid points along X from
      -extent, and j those along Y or Z. Stars within ``radius`` of a grid point in the projection
      belong to it, so neighbouring points share stars.

    With radial ``bins`` the numbers go on: cell + (number of cells) times (number of the radial bin).

    Further rows summarise the map of each radial bin, ``bin`` being its number:

    - ``sigma_r_lowest``, ``sigma_r_highest``: extremes over the cells. Noise widens their range: with
      many cells of few stars they say little by themselves.
    - ``asymmetry``: A, the rms of ln sigma_r over the cells beyond its noise; 0.1 means that sigma_r
      scatters by 10 per cent, so a spherical Jeans mass by 20. ln sigma_r of a cell is taken as
      N(mu, A^2 + e^2), e its sampling error (``cells.log_dispersion``), and the posterior of A is found
      on a grid, with uniform priors of mu and A >= 0: it is positive by construction, and a symmetric
      halo shows as an interval that reaches down to zero. It does not depend on the recipe. On a
      grid, only points that share no star are used, here and below.
    - ``sigma_r_accreted_correlation``, ``beta_accreted_correlation``: correlation over the cells with
      the fraction of accreted stars (figures 7 and 8), median and intervals over as many bootstrap
      samples of the cells. Noise in sigma_r pulls it towards zero. Needs feh and alpha_fe and
      ``population = "all"``.
    - ``axis_offset``: angle from ``density_axis`` to the axis along which sigma_r is largest, -90 to 90 deg, in the
      XZ plane, counted from +X towards +Z (of ``map = "xy"`` in XY, towards +Y). The paper finds it aligned, by eye,
      with axes of the density that others measured (figures 4 and 5, section 4). It is that of the quadrupole of
      ln sigma_r at a radius, of all stars (``fit.quadrupole``): it depends neither on map and recipe, nor on how deep
      the sample looks where. Where sigma_r has no quadrupole in the plane, the interval is the half turn.

    Parameters
    ----------
    map
        Cells, see above.
    nside
        Of the healpix map; a power of two.
    extent, step, radius
        Of the grid [kpc].
    bins
        Edges of radial bins [kpc], or ``"none"`` for all stars together.
    population
        Stars to use; other than ``"all"`` needs feh and alpha_fe.
    line
        What divides the populations.
    min_stars
        Cells with fewer stars have no value.
    recipe
        See above.
    n_draws
        Draws of the velocities, or from the posterior.
    drop
        Fraction of the stars of a cell that each draw leaves out.
    correlation
        Which coefficient.
    density_axis
        Of the major axis of the density in the plane [deg], counted as ``axis_offset`` is.
    """

    version: ClassVar[int] = 4
    name: ClassVar[str] = "sky-map"
    reference: ClassVar[str] = "2024arXiv240612969H"
    assumes: ClassVar[tuple[str, ...]] = ("known Gaussian errors",)
    expected: ClassVar[Mapping[str, str | tuple[str, str]]] = dict.fromkeys(
        ("bias", "coverage", "ranks", "error ratio"),
        "the asymmetry is a scatter from cell to cell: where there is none, its posterior lies above zero",
    )
    yields: ClassVar[tuple[str, ...]] = (*_CELL, *_EXTREMES, "asymmetry", *_CORRELATIONS, _AXIS)
    published: ClassVar[dict[str, Any]] = {"recipe": "as-published"}

    map: Literal["healpix", "quadrants", "xy", "xz"] = "healpix"
    nside: int = 4
    extent: float = 30.0
    step: float = 1.0
    radius: float = 2.0
    bins: Edges = "none"
    population: Literal["all", "accreted", "in-situ"] = "all"
    line: ChemicalLine = field(default_factory=ChemicalLine)
    min_stars: int = 10
    recipe: Literal["as-published", "deconvolved"] = "as-published"
    n_draws: int = 1000
    drop: float = 0.1
    correlation: Literal["pearson", "spearman"] = "spearman"
    density_axis: float = 0.0

    def __post_init__(self) -> None:
        check_edges(self.bins)
        n = self.nside
        require(1 <= n <= 1024 and n & (n - 1) == 0, f"nside: a power of two to 1024 (got {n})")
        for name in ("extent", "step", "radius"):
            require(getattr(self, name) > 0.0, f"{name} is positive (got {getattr(self, name):g})")
        require(self.extent / self.step <= 500.0, "step: at most 1001 grid points along an axis")
        check_least("min_stars", self.min_stars, 5)
        check_least("n_draws", self.n_draws, 2)
        require(0.0 <= self.drop <= 0.5, f"drop is between 0 and 0.5 (got {self.drop:g})")
        angle = self.density_axis
        require(abs(angle) <= 90.0, f"density_axis is between -90 and 90 deg (got {angle:g})")

    def usable(self) -> tuple[str, ...]:
        """Velocities, and abundances together: one alone divides no populations."""
        return ("velocity", "feh", "alpha_fe")

    def required(self) -> tuple[str, ...]:
        """Velocities; abundances where only one population is mapped."""
        return ("velocity",) if self.population == "all" else ("velocity", "feh", "alpha_fe")

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows of every cell and of the summaries; a row says why it has no value.

        Raises
        ------
        InputError
            If a position, velocity or, where populations are divided, abundance is not finite or
            missing.
        """
        catalogue.check_finite()
        accreted = self._accreted(catalogue)
        rows: list[Estimate] = []
        bins = radial_bins(catalogue.r, self.bins)
        rows_of = [bin_.rows for bin_ in bins]
        if self.population != "all":
            assert accreted is not None
            used = accreted if self.population == "accreted" else ~accreted
            rows_of = [each[used[each]] for each in rows_of]
        # which cell a star is in is known before its velocity is asked for: not all has to be kept at a time
        places = [self._cells(points) for (points,) in gathered(catalogue, rows_of, self._point)]
        stars = gathered(catalogue, rows_of, spherical_velocity, packed_covariance)
        for bin_, chosen, cells in zip(bins, rows_of, places, strict=True):
            where = {"r_lo": bin_.r_lo, "r_hi": bin_.r_hi}
            fraction = None
            if accreted is not None and self.population == "all":
                fraction = fractions(accreted[chosen].astype(float), cells)
            v, S = stars.pop(0)
            noise = S[:, 0].copy()
            found = self._dispersions(v, S, cells, rng)
            v_r = v[:, 0].copy()
            del (
                v,
                S,
            )  # most of the memory that many stars take, and given up before they have places
            ((position,),) = gathered(catalogue, [chosen], place)
            sample = Sample(position, v_r, noise, chosen, cells)
            rows += self._map(sample, found, bin_.index, where, fraction, rng)
        return in_order(rows, self.yields)

    def _accreted(self, catalogue: Catalogue) -> BoolArray | None:
        """Which stars (N,) are accreted; None where that is neither known nor asked for."""
        known = "feh" in catalogue and "alpha_fe" in catalogue
        if not known and self.population == "all":
            return None
        feh, alpha_fe = catalogue["feh"], catalogue["alpha_fe"]
        good = np.isfinite(feh) & np.isfinite(alpha_fe)
        catalogue.check_rows(good, "a feh or alpha_fe that is not finite")
        return self.line.accreted(feh, alpha_fe)

    def _point(self, part: Catalogue) -> FloatArray:
        """(n, 2) place on the plane of the map, or (n, 3) direction from the Sun."""
        if self.map in ("xy", "xz"):
            return part.position[:, (0, 1) if self.map == "xy" else (0, 2)]
        return seen_from_sun(part)[0]

    def _cells(self, points: FloatArray) -> Cells:
        if self.map in ("xy", "xz"):
            return grid_cells(points, self.extent, self.step, self.radius)
        if self.map == "quadrants":
            return Cells.of_numbers(quadrant(points), 4)
        import healpy

        pixel = healpy.vec2pix(self.nside, *points.T) if len(points) else np.empty(0, int)
        return Cells.of_numbers(np.asarray(pixel, dtype=np.int64), 12 * self.nside**2)

    def _map(
        self,
        sample: Sample,
        found: Dispersions,
        index: int,
        where: dict[str, float],
        fraction: FloatArray | None,
        rng: np.random.Generator,
    ) -> list[Estimate]:
        """Rows of one radial bin."""
        cells, v_r, noise = sample.cells, sample.v_r, sample.noise
        sigma, means = found
        r = np.linalg.norm(sample.position, axis=1)
        rows, middle = [], np.full((2, len(cells)), np.nan)
        for k in range(len(cells)):
            members = cells.members(k)
            radius = float(np.median(r[members])) if len(members) else np.nan
            there = {**where, "r": radius, "bin": k + index * len(cells)}
            draws = sigma[k]
            if isinstance(draws, str):
                rows += undetermined_rows(_CELL, draws, [there])
                continue
            pair = (draws[:, 0], anisotropy(draws))
            own = [
                Estimate.from_draws(name, x, **there)
                for name, x in zip(_CELL[:2], pair, strict=True)
            ]
            middle[:, k] = [row.value for row in own]
            if means is None:
                own.append(weighted_mean_row(v_r[members], noise[members], **there))
            else:
                own.append(Estimate.from_draws("mean_v_r", means[k], **there))
            rows += [replace(row, stars=sample.rows[members]) for row in own]
        there = {**where, "r": float(np.median(r)) if len(r) else np.nan, "bin": index}
        rows += _extremes(sigma, there)
        rows.append(self._asymmetry(v_r, noise, cells, there, rng))
        for m, quantity in enumerate(_CORRELATIONS):
            apart = cells.independent
            known = None if fraction is None else fraction[apart]
            rows.append(self._correlation(quantity, middle[m, apart], known, there, rng))
        rows.append(self._axis(sample.position, v_r, noise, there, rng))
        return rows

    def _axis(
        self,
        position: FloatArray,
        v_r: FloatArray,
        noise: FloatArray,
        there: dict[str, float],
        rng: np.random.Generator,
    ) -> Estimate:
        try:
            found = dispersion_quadrupole(v_r, noise, position)
        except EstimationError as error:
            return Estimate.undetermined(_AXIS, str(error), **there)
        plane = (0, 1) if self.map == "xy" else (0, 2)
        axis = axis_in_plane(matrices(found.terms[None]), *plane)
        about = folded(axis_in_plane(found.draws(self.n_draws, rng), *plane) - axis)
        return Estimate.from_draws(_AXIS, folded(axis - self.density_axis) + about, **there)

    def _dispersions(
        self, v: FloatArray, S: FloatArray, cells: Cells, rng: np.random.Generator
    ) -> Dispersions:
        """Find the dispersions of velocities (n, 3) whose errors have packed covariances (n, 6).

        As published there are no draws of the mean, and of the covariances their roots are left.
        """
        size = np.diff(cells.first)
        out: list[FloatArray | str] = [
            f"too few stars: {n}, at least {self.min_stars} are needed" for n in size
        ]
        enough = np.flatnonzero(size >= self.min_stars)
        if self.recipe == "as-published":
            kept = cells.subset(enough)
            drawn = drawn_dispersions(v, S, kept, self.n_draws, self.drop, rng, in_place=True)
            for m, cell in enumerate(enough):
                positive = bool(np.all(drawn[m] > 0.0))
                out[int(cell)] = drawn[m] if positive else "the velocities have no scatter"
            return out, None
        means = {}
        for cell in enough:
            k = int(cell)
            members = cells.members(k)
            try:
                fit = fit_ellipsoid(v[members], unpacked(S[members]))
                if note := fit.note():
                    out[k] = note
                    continue
                drawn_means, out[k] = fit.draws(self.n_draws, rng)
                means[k] = drawn_means[:, 0]
            except EstimationError as error:
                out[k] = str(error)
        return out, means

    def _asymmetry(
        self,
        v_r: FloatArray,
        noise: FloatArray,
        cells: Cells,
        there: dict[str, float],
        rng: np.random.Generator,
    ) -> Estimate:
        quantity = "asymmetry"
        chosen = cells.independent[np.diff(cells.first)[cells.independent] >= self.min_stars]
        value, error = log_dispersion(v_r, noise, cells.subset(chosen))
        good = np.isfinite(value)
        if good.sum() < 4:
            return Estimate.undetermined(
                quantity, f"too few cells with enough stars: {good.sum()}", **there
            )
        draws = scatter_posterior(value[good], error[good], self.n_draws, rng)
        return Estimate.from_draws(quantity, draws, **there)

    def _correlation(
        self,
        quantity: str,
        values: FloatArray,
        fraction: FloatArray | None,
        there: dict[str, float],
        rng: np.random.Generator,
    ) -> Estimate:
        if self.population != "all":
            return Estimate.undetermined(
                quantity, f"only {self.population} stars are mapped", **there
            )
        if fraction is None:
            return Estimate.undetermined(quantity, "no columns feh and alpha_fe", **there)
        good = np.isfinite(values)
        if good.sum() < _FEWEST_CELLS:
            return Estimate.undetermined(
                quantity, f"too few cells with enough stars: {good.sum()}", **there
            )
        draws = bootstrap_correlation(
            fraction[good], values[good], self.correlation, self.n_draws, rng
        )
        if not np.all(np.isfinite(draws)):
            note = "the fraction of accreted stars is the same in nearly all cells"
            return Estimate.undetermined(quantity, note, **there)
        return Estimate.from_draws(quantity, draws, **there)


@dataclass(frozen=True, eq=False)
class Sample:
    """Stars of one radial bin.

    Parameters
    ----------
    position
        (n, 3) Galactocentric [kpc].
    v_r, noise
        (n,) radial velocities [km/s] and variances of their errors [(km/s)^2].
    rows
        (n,) row numbers in the catalogue.
    cells
        Which of them are in which cell.
    """

    position: FloatArray
    v_r: FloatArray
    noise: FloatArray
    rows: IntArray
    cells: Cells


def _extremes(sigma: list[FloatArray | str], there: dict[str, float]) -> list[Estimate]:
    """Lowest and highest sigma_r over the cells, as the cell's own rows have them."""
    drawn = [draws[:, 0] for draws in sigma if not isinstance(draws, str)]
    if not drawn:
        return undetermined_rows(_EXTREMES, "no cell has a value", [there])
    middle = np.array([np.median(draws) for draws in drawn])
    ends = (drawn[int(np.argmin(middle))], drawn[int(np.argmax(middle))])
    return [
        Estimate.from_draws(q, draws, **there) for q, draws in zip(_EXTREMES, ends, strict=True)
    ]


def bootstrap_correlation(
    x: FloatArray,
    y: FloatArray,
    kind: Literal["pearson", "spearman"],
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Correlations (n_draws,) of resampled pairs x, y (n,); NaN where one is constant."""
    rows = np.stack([*resampled_catalogues(len(x), n_draws, rng)])
    a, b = x[rows], y[rows]
    if kind == "spearman":
        from scipy.stats import rankdata

        a, b = rankdata(a, axis=1), rankdata(b, axis=1)
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    product = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((a * b).sum(axis=1) / np.where(product > 0.0, product, np.nan))
