"""Orbital roulette: stars are anywhere on their orbits (Beloborodov & Levin 2004; Han et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.profiles import critical_density, nfw_shape
from haloassay.estimators.bins import (
    check_ends,
    check_least,
    check_radii,
    check_range,
    check_resolved,
    places_at,
    rows_within,
)
from haloassay.estimators.fit.phases import (
    anderson_darling,
    anderson_darling_weight,
    binned_log_likelihood,
    mean_phase,
)
from haloassay.estimators.fit.ridge import ridge_draws
from haloassay.estimators.halo.baryons import Baryons, baryons_mass
from haloassay.estimators.halo.mass_template import MassTemplate
from haloassay.estimators.halo.nfw import concentration
from haloassay.estimators.halo.radial_orbits import Mass, Orbits, Potential, RadialGrid
from haloassay.estimators.rows import (
    NO_VIRIAL,
    VIRIAL,
    drawn_row,
    unbounded_scale,
    undetermined_rows,
    virial_rows,
)

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Statistics of the phases.
Statistic = Literal["likelihood", "mean-phase", "anderson-darling"]

#: Stars of the sketch of a posterior.
_FEW: Final = 1000

#: Expected stars of a bin of which there is no logarithm.
_NONE: Final = 1e-300

#: Bounds of ln(v_c^2 / <v^2>) of the halo at the median radius.
_SPEEDS: Final = (-5.0, 4.0)

#: Scale radii of the table that finds the one of a mass, where the concentration is known [kpc].
_R_S: Final = (1e-3, 1e5)


@dataclass(frozen=True)
class OrbitalRoulette(Estimator):
    """Mass of a spherical halo from the radial phases of stars: in the true one they are anywhere on their orbits.

    In a trial potential each star has an energy and an angular momentum, a peri- and an apocentre,
    and a phase, the share of the time from one to the other that is over. Of stars in equilibrium
    that is uniform, whatever their density and anisotropy. Three statistics of it are weights of a trial:

    - ``"likelihood"`` (Han et al. 2016): numbers n_i in radial bins against those expected, p_i = sum_j
      t_ij / T_j with the time t_ij that star j spends in bin i of its T_j, ln L = sum_i n_i ln p_i;
    - ``"mean-phase"`` (Beloborodov & Levin 2004): (<theta> - 1/2) sqrt(12 n), a normal deviate s, weight
      exp(-s^2 / 2). One number, so that it holds one parameter, the mass near the median radius;
    - ``"anderson-darling"`` (the same): the distance A^2 of the phases from uniform ones, with the s
      whose two-sided probability is that of a larger distance.

    Orbits are followed between the innermost and the outermost radius of the sample, and a star that
    leaves it has the phase of its passage: a sample that is cut in radius is as good as a whole one,
    and no star need be bound. The potential is a parabola of r^2 in each of a hundred cells, in which
    times and turning points are exact.

    The prior is flat in ln M(<r) at the median radius and in ln r_s. The likelihood's expected numbers
    are made of the same stars as those found and scatter with them, so that its posterior is too
    wide: by 1.8 in M(<r) where that is known best. ``errors = "sandwich"`` takes it to the scatter of the
    score. With R_i the derivatives of ln p_i its curvature is sum_j <R R>_j, averaged over the orbit of
    each star, and the variance of the score sum_j <R R>_j - <R>_j <R>_j: stars scatter along orbits only.

    Biased by whatever makes phases other than uniform: streams, the LMC, growth of the halo; by a
    selection that depends on radius; by errors, which are not taken out: of distance above all.

    Parameters
    ----------
    statistic
        Of the phases: one of the three.
    n_bins
        Bins of the likelihood, at equal steps of ln r; the default is that of the public code, 30 what
        the paper took for 1000 stars.
    errors
        Of the likelihood: ``"sandwich"``, or ``"likelihood"``, as the paper takes them.
    halo
        ``"nfw"``, or a table of enclosed masses that is scaled, and stretched where asked for. There is no value
        where it does not reach all radii between which orbits are followed, or one of ``r_out``, at every stretch.
    c200
        Concentration of an NFW halo: ``"fitted"``, or a number where it is known.
    baryons
        Mass that is not the halo's and is held fixed.
    r_range
        Radii [kpc] between which the sample is complete and orbits are followed; from the innermost to
        the outermost star where empty. There is then no value where such a star is far from all others
        (:func:`~haloassay.estimators.bins.check_ends`).
    r_out
        Radii of the masses [kpc]; the median of the stars' where empty.
    r_s_range
        Bounds of the scale radius of an NFW halo [kpc].
    h0
        Hubble's constant [km/s/Mpc], for the critical density.
    n_draws
        Draws behind the intervals.
    min_stars
        Fewer stars give no value.
    """

    name: ClassVar[str] = "orbital-roulette"
    version: ClassVar[int] = 4
    reference: ClassVar[str] = "2016MNRAS.456.1003H"
    assumes: ClassVar[tuple[str, ...]] = (
        "spherical",
        "equilibrium",
        "complete in radius",
        "known baryons",
        "NFW halo, or one of known shape",
    )
    yields: ClassVar[tuple[str, ...]] = ("enclosed_mass", "m200", "r200", "c200")
    published: ClassVar[Mapping[str, Any]] = {
        "statistic": "likelihood",
        "errors": "likelihood",
        "n_bins": 30,
    }

    statistic: Statistic = "likelihood"
    n_bins: int = 20
    errors: Literal["sandwich", "likelihood"] = "sandwich"
    halo: MassTemplate | Literal["nfw"] = "nfw"
    c200: float | Literal["fitted"] = "fitted"
    baryons: Baryons = "none"
    r_range: tuple[float, ...] = ()
    r_out: tuple[float, ...] = ()
    r_s_range: tuple[float, float] = (1.0, 200.0)
    h0: float = 67.8
    n_draws: int = 1000
    min_stars: int = 30

    def __post_init__(self) -> None:
        require(2 <= self.n_bins <= 1000, f"n_bins: from 2 to 1000 (got {self.n_bins})")
        if self.c200 != "fitted":
            require(self.halo == "nfw", "c200: only of an NFW halo")
            require(0.1 <= self.c200 <= 1000.0, f"c200: from 0.1 to 1000 (got {self.c200:g})")
        check_range(self.r_range)
        check_radii("r_out", self.r_out)
        lo, hi = self.r_s_range
        require(0.0 < lo < hi, f"r_s_range: radii ascend from above 0 (got {[lo, hi]})")
        require(self.h0 > 0.0, f"h0: positive (got {self.h0})")
        check_least("n_draws", self.n_draws, 2)
        check_least("min_stars", self.min_stars, 10)

    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Rows enclosed_mass at each radius and, of an NFW halo, m200, r200 and c200; a note where no value is.

        Raises
        ------
        InputError
            If a position or velocity of the catalogue is not finite.
        """
        catalogue.check_finite()
        places = places_at(self.r_out)
        nfw = self.halo == "nfw"
        try:
            stars = self._stars(catalogue)
            self._check_reach(stars.edges)
            model = self._model(stars.pivot)
            draws = self._draws(stars, model, rng)
        except EstimationError as error:
            rows = undetermined_rows(("enclosed_mass",), str(error), places)
            return Estimates(rows + (undetermined_rows(VIRIAL, str(error)) if nfw else []))
        rows = []
        for place in places or places_at((stars.pivot,)):
            mass = model.mass(draws[:, 0], draws[:, 1])(np.array([place["r"]]))
            known = baryons_mass(self.baryons, place["r"])
            rows.append(drawn_row("enclosed_mass", mass + known, self._beyond(place["r"]), **place))
        if isinstance(model, NFWModel):
            rows += self._virial(model, draws)
        return Estimates(rows)

    def _stars(self, catalogue: Catalogue) -> Stars:
        """Stars within range, in order of radius.

        Raises
        ------
        EstimationError
            If they are fewer than ``min_stars``, at one radius, without scatter, or mostly error, or if the ends of the
            sample are strays.
        """
        r = catalogue.r
        rows = rows_within(r, self.r_range, self.min_stars)
        rows = rows[np.argsort(r[rows], kind="stable")]
        r = r[rows]
        edges = self.r_range or (float(r[0]), float(np.nextafter(r[-1], np.inf)))
        if not r[-1] > 1.01 * r[0]:
            raise EstimationError("the stars are all at one radius")
        if not self.r_range:
            check_ends(r)
        v = catalogue.spherical_velocity[rows]
        if not np.mean(v**2) > 0.0:
            raise EstimationError("the velocities have no scatter")
        check_resolved(v**2, np.einsum("njj->nj", catalogue.spherical_covariance[rows]))
        return Stars(r, v[:, 0], np.hypot(v[:, 1], v[:, 2]), (edges[0], edges[1]), self.n_bins)

    def _check_reach(self, edges: tuple[float, float]) -> None:
        """Raise :class:`EstimationError` where a table of the halo ends between the spheres of the orbits."""
        if isinstance(self.halo, MassTemplate):
            note = self.halo.beyond("the radii between which orbits are followed", *edges)
            if note:
                raise EstimationError(note)

    def _beyond(self, r: float) -> str:
        """Why there is no mass within ``r`` [kpc]: a table ends before."""
        return self.halo.beyond("r", r, r) if isinstance(self.halo, MassTemplate) else ""

    def _model(self, pivot: float) -> NFWModel | TemplateModel:
        if isinstance(self.halo, MassTemplate):
            return TemplateModel(self.halo, pivot)
        c200 = None if self.c200 == "fitted" else self.c200
        return NFWModel(pivot, self.r_s_range, c200, self.h0)

    def _draws(
        self, stars: Stars, model: NFWModel | TemplateModel, rng: np.random.Generator
    ) -> FloatArray:
        """(n_draws, 2) draws of ln M of the halo within the median radius, and of its scale."""
        speed = float(np.mean(stars.v_r**2 + stars.v_t**2))
        unit = np.log(stars.pivot * speed / G)
        few = stars.thinned(_FEW)

        def density(some: Stars) -> Any:
            known = some.grid.potential(lambda r: baryons_mass(self.baryons, r))

            def log_weight(x: float, z: float) -> float:
                return some.log_weight(
                    some.grid.potential(model.mass(x, z)) + known, self.statistic
                )

            return log_weight

        share = len(few.r) / len(stars.r)
        reach = (unit + _SPEEDS[0], unit + _SPEEDS[1])
        draws = ridge_draws(
            density(stars), density(few), share, reach, model.scales, self.n_draws, rng
        )
        if self.statistic != "likelihood" or self.errors == "likelihood":
            return draws

        def potential(point: FloatArray) -> Potential:
            mass = model.mass(*point)
            return stars.grid.potential(lambda r: mass(r) + baryons_mass(self.baryons, r))

        centre = np.median(draws, axis=0)
        turn = stars.narrowing(potential, centre, np.std(draws, axis=0))
        bounds = np.array([reach, model.scales]).T
        # where stars scatter more than the likelihood knows, draws may be led out of the prior
        return np.clip(centre + (draws - centre) @ turn.T, *bounds)

    def _virial(self, model: NFWModel, draws: FloatArray) -> list[Estimate]:
        """Rows m200, r200 and c200, or why there are none."""
        note = unbounded_scale("the phases", draws[:, 1], self.r_s_range)
        if note and not model.c200:
            return undetermined_rows(VIRIAL, note)
        r_s, total = model.scaled(draws[:, 0], draws[:, 1])
        c200 = concentration(total / r_s**3, self.h0)
        if not np.all(np.isfinite(c200)):
            return undetermined_rows(VIRIAL, NO_VIRIAL)
        known = "c200 is not fitted" if model.c200 else ""
        return virial_rows(total * nfw_shape(c200), c200 * r_s, c200, shape=known)


@dataclass(frozen=True, eq=False)
class Stars:
    """Stars in order of radius, and what their orbits are followed on.

    Parameters
    ----------
    r, v_r, v_t
        (n,) radii [kpc], radial and tangential velocities [km/s].
    edges
        Radii [kpc] between which orbits are followed.
    n_bins
        Bins of the likelihood.
    """

    r: FloatArray
    v_r: FloatArray
    v_t: FloatArray
    edges: tuple[float, float]
    n_bins: int

    @cached_property
    def grid(self) -> RadialGrid:
        """Radii of potentials and bins."""
        return RadialGrid(self.edges, self.n_bins)

    @property
    def pivot(self) -> float:
        """Median radius [kpc]."""
        return float(np.median(self.r))

    @cached_property
    def _orbits(self) -> Orbits:
        return Orbits(self.grid, self.r, self.v_r, self.v_t)

    def thinned(self, n: int) -> Stars:
        """About ``n`` stars at equal steps of their order."""
        rows: IntArray = np.arange(0, len(self.r), max(1, len(self.r) // n))
        return Stars(self.r[rows], self.v_r[rows], self.v_t[rows], self.edges, self.n_bins)

    def log_weight(self, potential: Potential, statistic: Statistic) -> float:
        """Logarithm of the weight of a trial potential."""
        if statistic == "likelihood":
            return binned_log_likelihood(self._orbits.counts, self._orbits.expected(potential))
        phases = self._orbits.phases(potential)
        if statistic == "mean-phase":
            return -0.5 * mean_phase(phases) ** 2
        return anderson_darling_weight(anderson_darling(phases))

    def narrowing(
        self, potential: Callable[[FloatArray], Potential], centre: FloatArray, spread: FloatArray
    ) -> FloatArray:
        """Matrix (2, 2) that takes deviations of the likelihood's posterior to those of the scatter.

        With the curvature H and the variance of the score J it is H^-1 J^(1/2) H^(1/2), so that the
        covariance H^-1 becomes H^-1 J H^-1 (Shaby 2014). A parameter without spread stays as it is.
        """
        free = np.flatnonzero(spread > 0.0)
        slopes = []
        for k in free:
            step = 0.5 * spread[k] * np.eye(2)[k]
            up, down = (self._orbits.expected(potential(centre + s * step)) for s in (1.0, -1.0))
            slopes.append(np.log(np.maximum(up, _NONE) / np.maximum(down, _NONE)) / spread[k])
        R = np.array(slopes).T
        here = potential(centre)
        expected, mean = self._orbits.expected(here), self._orbits.averages(here, R)
        H = (R * expected[:, None]).T @ R
        J = H - mean.T @ mean
        matrix = np.eye(2)
        matrix[np.ix_(free, free)] = np.linalg.solve(H, _root(J)) @ _root(H)
        return matrix


def _root(matrix: FloatArray) -> FloatArray:
    """Symmetric square root of a matrix that is not negative."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


@dataclass(frozen=True, eq=False)
class NFWModel:
    """NFW halos M(<r) = M_s mu(r / r_s), by ln M within a pivot and ln r_s.

    Parameters
    ----------
    pivot
        Radius [kpc].
    r_s_range
        Bounds of r_s [kpc].
    c200
        Concentration where it is known: the mass then says what r_s is.
    h0
        Hubble's constant [km/s/Mpc].
    """

    pivot: float
    r_s_range: tuple[float, float]
    c200: float | None
    h0: float

    @property
    def scales(self) -> tuple[float, float]:
        """Bounds of ln r_s; of no use, and equal, where the concentration is known."""
        lo, hi = np.log(self.r_s_range)
        return (0.0, 0.0) if self.c200 else (float(lo), float(hi))

    @cached_property
    def _of_mass(self) -> tuple[FloatArray, FloatArray]:
        """Table of ln M within the pivot, rising, and ln r_s, of the known concentration."""
        c = float(self.c200 or 1.0)
        density = 4.0 * np.pi / 3.0 * 200.0 * critical_density(self.h0) * c**3 / nfw_shape(c)
        r_s = np.geomspace(*_R_S, 2001)
        return np.log(density * r_s**3 * nfw_shape(self.pivot / r_s)), np.log(r_s)

    def scaled(self, x: Any, z: Any) -> tuple[Any, Any]:
        """R_s [kpc] and M_s [Msun] of ln M within the pivot and ln r_s."""
        r_s = np.exp(np.interp(x, *self._of_mass)) if self.c200 else np.exp(z)
        return r_s, np.exp(x) / nfw_shape(self.pivot / r_s)

    def mass(self, x: Any, z: Any) -> Mass:
        """Enclosed mass as a function of radius."""
        r_s, total = self.scaled(x, z)
        return lambda r: total * nfw_shape(r / r_s)


@dataclass(frozen=True, eq=False)
class TemplateModel:
    """A table of masses, by ln M within a pivot and the logarithm of its stretch."""

    template: MassTemplate
    pivot: float

    @property
    def scales(self) -> tuple[float, float]:
        """Bounds of the logarithm of the stretch."""
        lo, hi = np.log(self.template.stretch)
        return float(lo), float(hi)

    def mass(self, x: Any, z: Any) -> Mass:
        """Enclosed mass as a function of radius."""
        stretch = np.exp(z)
        norm = np.exp(x) / self.template.shape(self.pivot / stretch)
        return lambda r: norm * self.template.shape(r / stretch)
