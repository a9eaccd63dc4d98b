"""A flattened halo from second moments of velocities, by the axisymmetric Jeans equations (Cappellari 2008, 2020)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.profiles import virial_mass
from haloassay.estimators.bins import (
    DensitySlope,
    check_alpha,
    check_least,
    check_radii,
    check_range,
    density_slope,
    places_at,
    rows_within,
)
from haloassay.estimators.fit.binned_moments import part_moments
from haloassay.estimators.fit.box import Box
from haloassay.estimators.fit.posterior import EmceeRun, explore
from haloassay.estimators.halo.axisymmetric_fit import CellModel
from haloassay.estimators.halo.axisymmetric_moments import Alignment, JeansSetting, symmetric
from haloassay.estimators.halo.baryons import Baryons, baryons_mass
from haloassay.estimators.halo.flattened import Halo, HaloForm
from haloassay.estimators.halo.jam_moments import jam_tables, require_library
from haloassay.estimators.rows import (
    NO_VIRIAL,
    VIRIAL,
    drawn_row,
    no_scale,
    share_at_end,
    undetermined_rows,
    velocity_row,
    virial_rows,
)

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Stars a cell; most cells; and cells from which there are two, and three, in cos(theta) at each radius.
_PER_CELL: Final = 30
_CELLS: Final = 60
_ANGLES: Final = (6, 24)
#: Half width of the flat prior of ln M of the halo within the middle radius.
_MASS_WIDTH: Final = 4.0
#: Points of a side of the grid on which a start is looked for: mass, shape, anisotropy, axis ratio, kappa.
_TRIED: Final = (25, 7, 7, 5, 1)
#: The prior decides where this share of draws is within so much of an edge of it, in units of its width, or where they
#: scatter by so much of it: of a prior that has learnt nothing these are 0.05 and 0.29.
_AT_EDGE: Final = 0.025
_EDGE: Final = 0.05
_SCATTER: Final = 0.2
#: There is no mass where this share of draws is that near an edge of the prior of the mass or of beta.
_CROWDED: Final = 0.5
#: Bounds of the rise of ln(1 - beta) from the plane to the poles.
_KAPPA: Final = (-1.5, 1.5)
#: Narrowest break of a density, in ln r, but for sharp ones on spheres.
_NARROWEST: Final = 0.1
#: Least power by which the weights of the Jeans integrals fall outwards.
_LEAST_FALL: Final = 0.3

#: Run of emcee where importance sampling cannot be trusted; a choice.
_RUN: Final = EmceeRun(64, 3000, 1000)


@dataclass(frozen=True)
class AxisymmetricJeans(Estimator):
    """A halo that is flattened, from all three second moments at every radius and height.

    The velocity ellipsoid points along r and theta, or along R and z, and has one anisotropy, beta = 1 - <v_theta^2> /
    <v_r^2> or beta_z = 1 - <v_z^2> / <v_R^2>, or the first turns with the polar angle. Of a density of tracers that is
    known and a potential, an axisymmetric halo and known baryons, the two Jeans equations then give all second moments,
    streaming about the axis included (Cappellari 2008, 2020). They are compared with mean squares of velocities, errors
    taken out, in cells of radius and abs(cos theta); each is the mean of the model over the places of the cell's own
    stars, so that where a survey looks does not enter.

    Fitted are the mass of the halo, its shape, the anisotropy and, where it is free, the axis ratio of its density: the
    priors are flat in ln M, in ln r_s or the slope, in beta / (2 - beta) and in ln q. The tables of moments are linear
    in the potential and made by collocation; ``solver = "jampy"`` makes them by the published code.

    Biased by a wrong density of the tracers, above all its slope and flattening; where the ellipsoid points elsewhere,
    or beta varies; by a halo of another form; by distance errors; by what is not axisymmetric, as the LMC's pull.

    Parameters
    ----------
    alpha
        d ln rho / d ln m of the tracers, m^2 = R^2 + z^2 / q_stars^2: one number, or a table of slopes and breaks.
        Breaks of a flattened density have a width of 0.1 at least.
    q_stars
        Axis ratio of the tracers' density.
    alignment
        Of the velocity ellipsoid: ``"spherical"`` or ``"cylindrical"``.
    anisotropy
        ``"constant"``, as published, or ``"turning"``, of an ellipsoid along r and theta: 1 - beta = (1 - beta_0)
        exp(kappa cos^2 theta), with a flat prior of kappa. Flattened halos of orbits ask for it: without, ``q_halo`` is
        too small in them.
    halo
        ``"nfw"``, or ``"power-law"``, which has no virial radius.
    q_halo
        Axis ratio of the halo's density: a number, or bounds of a prior that is flat in its logarithm.
    r_s_range
        Bounds of the scale radius of an NFW halo [kpc].
    gamma_range
        Bounds of the slope -d ln rho / d ln s of a power law.
    beta_range
        Bounds of the anisotropy.
    baryons
        Mass that is not the halo's and is held fixed. The disc of ``"mwpotential2014"`` is flat here.
    r_range
        Radii [kpc] between which stars are used; all of them where empty.
    r_out
        Radii of the masses and circular velocities [kpc]; the median of the stars' where empty.
    errors
        How squares of velocities scatter: as those of the stars do, ``"sandwich"``, or as those of Gaussian velocities,
        ``"gaussian"``.
    solver
        Of the Jeans equations: ``"collocation"``, or ``"jampy"``, the published code, an extra whose licence does not
        allow commercial use. Its tables are kept in the cache, for radii rounded to powers of 2 where ``r_range`` is
        empty; making them takes seconds along R and z, and some minutes along r and theta.
    h0
        Hubble's constant [km/s/Mpc], for the critical density.
    sampler
        Of the posterior: ``"auto"`` (importance sampling, emcee where that cannot be trusted) or ``"emcee"``.
    emcee
        Length of emcee's run.
    n_draws
        Draws of the posterior.
    min_stars
        Fewer stars give no value.
    """

    name: ClassVar[str] = "axisymmetric-jeans"
    version: ClassVar[int] = 2
    reference: ClassVar[str] = "2020MNRAS.494.4819C"
    assumes: ClassVar[tuple[str, ...]] = (
        "axisymmetric",
        "equilibrium",
        "aligned velocity ellipsoid",
        "constant beta",
        "known density slope",
        "known baryons",
        "NFW halo",
    )
    yields: ClassVar[tuple[str, ...]] = (
        "enclosed_mass",
        "v_c",
        "m200",
        "r200",
        "c200",
        "beta",
        "q_halo",
    )

    alpha: float | DensitySlope
    q_stars: float = 1.0
    alignment: Alignment = "spherical"
    anisotropy: Literal["constant", "turning"] = "constant"
    halo: HaloForm = "nfw"
    q_halo: float | tuple[float, float] = (0.5, 1.5)
    r_s_range: tuple[float, float] = (1.0, 200.0)
    gamma_range: tuple[float, float] = (1.0, 2.8)
    beta_range: tuple[float, float] = (-1.5, 0.95)
    baryons: Baryons = "none"
    r_range: tuple[float, ...] = ()
    r_out: tuple[float, ...] = ()
    errors: Literal["sandwich", "gaussian"] = "sandwich"
    solver: Literal["collocation", "jampy"] = "collocation"
    h0: float = 67.8
    sampler: Literal["auto", "emcee"] = "auto"
    emcee: EmceeRun = _RUN
    n_draws: int = 1000
    min_stars: int = 100

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        require(0.2 <= self.q_stars <= 5.0, f"q_stars: 0.2 to 5 (got {self.q_stars:g})")
        lo, hi = self._q_bounds
        require(0.2 <= lo <= hi <= 5.0, f"q_halo: 0.2 to 5, bounds ascend (got {self.q_halo})")
        for name in ("r_s_range", "gamma_range", "beta_range"):
            lo, hi = getattr(self, name)
            require(lo < hi, f"{name}: bounds ascend (got {[lo, hi]})")
        require(self.r_s_range[0] > 0.0, f"r_s_range: above 0 kpc (got {list(self.r_s_range)})")
        lo, hi = self.gamma_range
        require(lo >= 0.0 and hi <= 2.9, f"gamma_range: within 0 and 2.9 (got {[lo, hi]})")
        lo, hi = self.beta_range
        require(lo >= -10.0 and hi <= 0.98, f"beta_range: within -10 and 0.98 (got {[lo, hi]})")
        slope = density_slope(self.alpha).slopes[-1]
        rise = max(2.0 - self.gamma_range[0], 0.0) if self.halo == "power-law" else 0.0
        steepest = -(2.0 * max(hi, 0.0) + rise + _LEAST_FALL)
        require(
            slope <= steepest,
            f"alpha: below {steepest:g} outside, or the Jeans integrals have no end at the largest beta of"
            f" beta_range (got {slope:g})",
        )
        lo, hi = self._q_bounds
        fewest = 2 * (3 + (lo < hi) + (self.anisotropy == "turning"))
        require(
            self.emcee.walkers >= fewest,
            f"emcee: walkers: at least {fewest}, twice the parameters (got {self.emcee.walkers})",
        )
        check_range(self.r_range)
        check_radii("r_out", self.r_out)
        require(20.0 <= self.h0 <= 200.0, f"h0: 20 to 200 km/s/Mpc (got {self.h0:g})")
        check_least("n_draws", self.n_draws, 2)
        check_least("min_stars", self.min_stars, 100)
        if self.anisotropy == "turning":
            require(
                self.alignment == "spherical" and self.solver == "collocation",
                'anisotropy: "turning" with alignment "spherical" and solver "collocation"',
            )
        if self.solver == "jampy":
            require_library()

    @property
    def _q_bounds(self) -> tuple[float, float]:
        return self.q_halo if isinstance(self.q_halo, tuple) else (self.q_halo, self.q_halo)

    @property
    def _density(self) -> DensitySlope:
        """Density of the tracers; a break that is sharp on no sphere is given a width that the nodes resolve."""
        density = density_slope(self.alpha)
        sharp = density.width == 0.0 and self.q_stars == 1.0
        if sharp or not density.breaks or self.solver == "jampy":
            return density
        return replace(density, width=max(density.width, _NARROWEST))

    @property
    def _shape_bounds(self) -> tuple[float, float]:
        if self.halo == "power-law":
            return self.gamma_range
        lo, hi = np.log(self.r_s_range)
        return float(lo), float(hi)

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows enclosed_mass and v_c at each radius, m200, r200, c200, beta and q_halo; a note where no value is.

        Raises
        ------
        InputError
            If a position or velocity of the catalogue is not finite.
        """
        catalogue.check_finite()
        places = places_at(self.r_out)
        try:
            stars = self._stars(catalogue)
            places = places or places_at((float(np.median(stars.r)),))
            model = self._model(stars)
            points = self._draws(model, rng)
        except EstimationError as error:
            note = str(error)
            rows = undetermined_rows(("enclosed_mass", "v_c"), note, places)
            return Estimates([*rows, *undetermined_rows((*VIRIAL, "beta", "q_halo"), note)])
        return Estimates(self._rows(model, points, stars, places))

    def _stars(self, catalogue: Catalogue) -> _Stars:
        r = catalogue.r
        rows = rows_within(r, self.r_range, self.min_stars)
        v, error = catalogue.spherical_velocity[rows], catalogue.spherical_covariance[rows]
        cosine = catalogue.position[rows, 2] / r[rows]
        r = r[rows]
        if not np.ptp(np.log(r)) > 1e-3:
            raise EstimationError("the stars are all at one radius")
        if self.alignment == "cylindrical":
            turn = _turn(cosine)
            v = np.einsum("nij,nj->ni", turn, v)
            error = turn @ error @ np.swapaxes(turn, 1, 2)
        square, noise = v**2, np.einsum("nii->ni", error)
        if not np.all(np.mean(square, axis=0) > 0.0):
            raise EstimationError("the velocities have no scatter")
        return _Stars(r, np.clip(cosine, -1.0, 1.0), square, noise)

    def _model(self, stars: _Stars) -> CellModel:
        """Moments of cells, and of the model in them."""
        parts = stars.cells()
        kept, log_square, precision = part_moments(
            parts, stars.square, stars.noise, np.ones(3), self.errors == "gaussian"
        )
        ends = float(stars.r.min()), float(stars.r.max())
        if self.solver == "jampy":  # tables that other catalogues share
            rounded = 2.0 ** np.floor(np.log2(ends[0])), 2.0 ** np.ceil(np.log2(ends[1]))
            ends = (self.r_range[0], self.r_range[1]) if self.r_range else rounded
        setting = JeansSetting(
            self._density, self.q_stars, self.alignment, self.beta_range, self._q_bounds,
            self.halo, self._shape_bounds, self.baryons, ends,
            _KAPPA if self.anisotropy == "turning" else (0.0, 0.0),
        )  # fmt: skip
        tables = jam_tables(setting) if self.solver == "jampy" else setting.tables()
        return CellModel.of(tables, stars.r, stars.cosine, kept, log_square, precision)

    def _draws(self, model: CellModel, rng: np.random.Generator) -> FloatArray:
        """Draws (n_draws, 5): ln M of the halo within the pivot, its shape, symmetrised anisotropy, ln q, kappa."""
        setting = model.setting
        bounds = np.array(
            [
                self._mass_bounds(model),
                setting.shape_range,
                symmetric(self.beta_range),
                np.log(setting.q_range),
                setting.kappa_range,
            ]
        )
        box = Box(bounds)

        def log_density(points: FloatArray) -> FloatArray:
            return model.log_likelihood(box.full(points))

        start = box.start(
            log_density, _TRIED, "no halo has positive moments at the places of the stars"
        )
        scale = np.array([0.1, 0.3, 0.1, 0.1, 0.2])[box.free]
        sampler: Any = ("importance", "emcee") if self.sampler == "auto" else "emcee"
        found = explore(
            log_density, start, scale, self.n_draws, rng, sampler=sampler, emcee=self.emcee,
            bounds=box.edges,
        )  # fmt: skip
        return box.full(found.draws)

    def _rows(
        self, model: CellModel, points: FloatArray, stars: _Stars, places: list[dict[str, float]]
    ) -> list[Estimate]:
        """Rows of draws."""
        halo, pivot = Halo(self.halo), model.setting.pivot
        shape, q = points[:, 1], np.exp(points[:, 3])
        norm = np.exp(points[:, 0]) / halo.round_mass(pivot, shape)
        note = self._no_mass(model, points)
        if note:
            rows = undetermined_rows(("enclosed_mass", "v_c"), note, places)
            rows += undetermined_rows(VIRIAL, note)
            return rows + self._shape_rows(model, points, stars)
        rows = []
        for place in places:
            dark = norm * halo.sphere_mass(place["r"], shape, q)
            mass = dark + baryons_mass(self.baryons, place["r"])
            rows.append(drawn_row("enclosed_mass", mass, "", **place))
        rows += [
            velocity_row(G * _drawn(row) / place["r"], "", **place)
            for row, place in zip(rows, places, strict=True)
        ]
        rows += self._virial(halo, norm, shape, q)
        return rows + self._shape_rows(model, points, stars)

    def _mass_bounds(self, model: CellModel) -> tuple[float, float]:
        return model.log_mass - _MASS_WIDTH, model.log_mass + _MASS_WIDTH

    def _no_mass(self, model: CellModel, points: FloatArray) -> str:
        """Why there is no mass: the fit is at an edge of what it may be; nothing where it is not."""
        mass, beta = self._mass_bounds(model), symmetric(self.beta_range)
        for name, draws, prior in (("the mass", points[:, 0], mass), ("beta", points[:, 2], beta)):
            if share_at_end(draws, prior, _EDGE) > _CROWDED:
                return f"the velocities do not bound {name}: its posterior reaches the end of its prior"
        return ""

    def _shape_rows(self, model: CellModel, points: FloatArray, stars: _Stars) -> list[Estimate]:
        """Rows beta and q_halo."""
        lo, hi = float(stars.r.min()), float(np.nextafter(stars.r.max(), np.inf))
        ends = {"r": float(np.median(stars.r)), "r_lo": lo, "r_hi": hi}
        beta = model.mean_anisotropy(points)
        note = _decided(points[:, 2], symmetric(self.beta_range), "beta")
        rows = [drawn_row("beta", beta, note, **ends)]
        lo, hi = np.log(self._q_bounds)
        note = "it is held, not fitted" if lo == hi else _decided(points[:, 3], (lo, hi), "q_halo")
        note = note or model.fault(points)
        return [*rows, drawn_row("q_halo", np.exp(points[:, 3]), note)]

    def _virial(
        self, halo: Halo, norm: FloatArray, shape: FloatArray, q: FloatArray
    ) -> list[Estimate]:
        """Rows m200, r200 and c200, where the velocities bound the shape of the halo."""
        if self.halo == "power-law":
            return undetermined_rows(
                VIRIAL, "a power law says nothing of the halo beyond the stars"
            )
        if _decided(shape, self._shape_bounds, "r_s"):
            return undetermined_rows(VIRIAL, no_scale("the velocities", self.r_s_range))
        r_s = np.exp(shape)
        c200 = halo.concentration(norm, r_s, q, self.h0)
        if not np.all(np.isfinite(c200)):
            return undetermined_rows(VIRIAL, NO_VIRIAL)
        r200 = c200 * r_s
        return virial_rows(virial_mass(r200, self.h0), r200, c200)


def _drawn(row: Estimate) -> FloatArray:
    assert row.draws is not None
    return row.draws


def _decided(draws: FloatArray, bounds: Any, name: str) -> str:
    """Why there is no value: the prior decides."""
    at_edge = share_at_end(draws, bounds, _EDGE) > _AT_EDGE
    if at_edge or np.std(draws) > _SCATTER * (bounds[1] - bounds[0]):
        return f"the velocities leave {name} to its prior: the posterior reaches the bounds of it"
    return ""


def _turn(cosine: FloatArray) -> FloatArray:
    """Matrices (n, 3, 3) from components along r, theta (positive to the north) and phi to those along R, z and phi."""
    sine = np.sqrt(np.maximum(1.0 - cosine**2, 0.0))
    turn = np.zeros((len(cosine), 3, 3))
    turn[:, 0, 0], turn[:, 0, 1] = sine, -cosine
    turn[:, 1, 0], turn[:, 1, 1] = cosine, sine
    turn[:, 2, 2] = 1.0
    return turn


@dataclass(frozen=True, eq=False)
class _Stars:
    """Stars as the fit sees them.

    Parameters
    ----------
    r, cosine
        (n,) radii [kpc], and cosines of the polar angle.
    square, noise
        (n, 3) squares of velocity components along the axes of the ellipsoid, and variances of their errors [(km/s)^2].
    """

    r: FloatArray
    cosine: FloatArray
    square: FloatArray
    noise: FloatArray

    def cells(self) -> list[IntArray]:
        """Row numbers of stars in cells of equal number: in radius, and at each in abs(cos theta)."""
        n = int(np.clip(len(self.r) // _PER_CELL, 3, _CELLS))
        n_angles = 1 + sum(n >= least for least in _ANGLES)
        shells = np.array_split(np.argsort(self.r, kind="stable"), n // n_angles)
        found = []
        for rows in shells:
            turned = rows[np.argsort(np.abs(self.cosine[rows]), kind="stable")]
            found += np.array_split(turned, n_angles)
        return found
