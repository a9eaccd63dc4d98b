"""Moments of tracers as functions of radius: what a mock knows of its stars' motions and metallicities.

Raw moments (density, mean velocity, mean square velocity, mean and mean square metallicity) are kept, because those of
a mixture, or of all stars of a bin, are weighted means of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks.chemistry import Abundance
from haloassay.mocks.stars import RadialDensity, Stars, radial_table

Profile = Callable[[ArrayLike], FloatArray]

#: Components of the velocity, in the order of all arrays here.
COMPONENTS: Final = ("r", "theta", "phi")
#: Stars in a shell below which its moments are not measured.
FEWEST_STARS: Final = 50
#: Shells of a stored population at most, and stars that a shell should have.
_MOST_SHELLS: Final = 40
_STARS_A_SHELL: Final = 2000


class Solution(Protocol):
    """Moments of a solved spherical population, tabulated."""

    @property
    def radius(self) -> FloatArray:
        """(K,) radii [kpc], rising."""

    @property
    def sigma_r(self) -> FloatArray:
        """(K,) radial velocity dispersions [km/s]."""

    @property
    def beta(self) -> FloatArray:
        """(K,) anisotropies before any net rotation."""

    @property
    def mean_v_t(self) -> FloatArray:
        """(K,) mean sizes of the tangential velocity [km/s]."""

    @property
    def mean_v_t3(self) -> FloatArray:
        """(K,) mean cubes of the same [(km/s)^3]."""

    @property
    def kurtosis_r(self) -> FloatArray:
        """(K,) kurtosis of v_r."""

    @property
    def kurtosis_t(self) -> FloatArray:
        """(K,) kurtosis of v_theta and of v_phi before any net rotation."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Raw moments of a tracer population in spherical shells; NaN outside ``r_range``.

    Parameters
    ----------
    density
        Number density; shape of r. Its normalisation is shared by the populations of one mock.
    first
        Mean (v_r, v_theta, v_phi) [km/s]; shape of r, and 3.
    second
        Mean (v_r^2, v_theta^2, v_phi^2) [(km/s)^2] where the mean velocity is the same over the shell; variances
        about the local mean plus the squared mean of the shell elsewhere.
    feh
        Mean of [Fe/H] [dex] and of its square; shape of r, and 2.
    r_range
        Radii [kpc] between which there are stars.
    higher
        Mean cubes [(km/s)^3] and fourth powers [(km/s)^4] of (v_r, v_theta, v_phi), about zero as ``second`` is;
        shape of r, and (2, 3). NaN where they are not known.
    """

    density: Profile
    first: Profile
    second: Profile
    feh: Profile
    r_range: tuple[float, float] = (0.0, np.inf)
    higher: Profile = field(default_factory=lambda: unknown_higher)

    def __post_init__(self) -> None:
        for name in ("density", "first", "second", "feh", "higher"):
            object.__setattr__(self, name, _within(getattr(self, name), self.r_range))

    def mean(self, r: ArrayLike, component: str) -> FloatArray:
        """Mean velocity [km/s] of a component (r, theta or phi) at ``r`` [kpc]."""
        return np.asarray(self.first(r)[..., COMPONENTS.index(component)], dtype=float)

    def sigma(self, r: ArrayLike, component: str) -> FloatArray:
        """Velocity dispersion [km/s] of a component about its mean at ``r`` [kpc]."""
        return np.sqrt(self.variance(r)[..., COMPONENTS.index(component)])

    def variance(self, r: ArrayLike) -> FloatArray:
        """Variances [(km/s)^2] of (v_r, v_theta, v_phi) at ``r`` [kpc]; shape of r, and 3."""
        return np.asarray(self.second(r) - self.first(r) ** 2, dtype=float)

    def beta(self, r: ArrayLike) -> FloatArray:
        """Anisotropy at ``r`` [kpc], of dispersions about the mean."""
        return anisotropy(self.variance(r))


def anisotropy(variance: FloatArray) -> FloatArray:
    """Beta = 1 - (sigma_theta^2 + sigma_phi^2) / (2 sigma_r^2) of variances (..., 3)."""
    return np.asarray(
        1.0 - 0.5 * (variance[..., 1] + variance[..., 2]) / variance[..., 0], dtype=float
    )


def central_moments(
    first: FloatArray, second: FloatArray, higher: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Variances, third and fourth moments about the mean (..., 3) of raw moments (..., 3), (..., 3), (..., 2, 3)."""
    third, fourth = higher[..., 0, :], higher[..., 1, :]
    return (
        second - first**2,
        third - 3.0 * first * second + 2.0 * first**3,
        fourth - 4.0 * first * third + 6.0 * first**2 * second - 3.0 * first**4,
    )


def higher_moments(
    first: FloatArray, variance: FloatArray, third: FloatArray, fourth: FloatArray
) -> FloatArray:
    """Mean cubes and fourth powers (..., 2, 3) of means and of moments about them (..., 3)."""
    cube = third + 3.0 * first * variance + first**3
    power = fourth + 4.0 * first * third + 6.0 * first**2 * variance + first**4
    return np.stack([cube, power], axis=-2)


def kurtosis(first: FloatArray, second: FloatArray, higher: FloatArray) -> FloatArray:
    """Fourth moment about the mean over the squared variance (..., 3): 3 for Gaussian velocities."""
    variance, _, fourth = central_moments(first, second, higher)
    return np.asarray(fourth / variance**2, dtype=float)


def at_rest(
    density: Profile,
    sigma_r: Profile,
    beta: Profile,
    r_range: tuple[float, float] = (0.0, np.inf),
) -> Moments:
    """Moments of a spherical population without mean motion and metallicity, from its profiles of radius."""

    def second(r: ArrayLike) -> FloatArray:
        radial = np.asarray(sigma_r(r), dtype=float) ** 2
        tangential = radial * (1.0 - beta(r))
        return np.stack([radial, tangential, tangential], axis=-1)

    return Moments(density, zeros(3), second, unknown_feh, r_range)


def solved_moments(
    solution: Solution,
    density: RadialDensity,
    r_range: tuple[float, float],
    *,
    number: float = 1.0,
    rotation: float = 0.0,
    feh: Abundance | None = None,
) -> Moments:
    """Moments of what was solved: cubic splines against ln r.

    Parameters
    ----------
    solution
        Moments at radii that reach over ``r_range``, up to half a step.
    density
        The tracers' density; that of ``solution`` takes its place where it has one.
    r_range
        Range [kpc] in which the truth is stated.
    number
        Stars between those radii, in the units that populations of one mock share.
    rotation
        Share of stars with v_phi > 0 minus that with v_phi < 0: the mean v_phi is this times the mean of abs(v_phi),
        which is 2 / pi of the mean tangential velocity for tangential velocities at uniform angles.
    feh
        Distribution of [Fe/H].
    """
    own = solution if isinstance(solution, RadialDensity) else density
    log_scale = np.log(number) - radial_table(own, *r_range).log_mass
    ln_r = np.log(solution.radius)
    log_sigma, beta = _spline(ln_r, np.log(solution.sigma_r)), _spline(ln_r, solution.beta)
    turning = _spline(ln_r, rotation * 2.0 / np.pi * solution.mean_v_t)
    # the same of the cube, of which uniform angles leave 4 / (3 pi)
    turning3 = _spline(ln_r, rotation * 4.0 / (3.0 * np.pi) * solution.mean_v_t3)
    log_kurtosis = _spline(ln_r, np.log(np.stack([solution.kurtosis_r, solution.kurtosis_t], 1)))

    def first(r: ArrayLike) -> FloatArray:
        v_phi = turning(r)
        return np.stack([np.zeros_like(v_phi), np.zeros_like(v_phi), v_phi], axis=-1)

    def higher(r: ArrayLike) -> FloatArray:
        fourth = np.exp(log_kurtosis(r))[..., [0, 1, 1]] * rotating.second(r) ** 2
        third = np.zeros_like(fourth)
        third[..., 2] = turning3(r)
        return np.stack([third, fourth], axis=-2)

    rotating = at_rest(
        lambda r: np.exp(own.log_density(r) + log_scale), lambda r: np.exp(log_sigma(r)), beta
    )
    return Moments(
        rotating.density,
        first if rotation else zeros(3),
        rotating.second,
        unknown_feh if feh is None else feh.moments,
        r_range,
        higher,
    )


def undefined_moments(r_range: tuple[float, float]) -> Moments:
    """Moments of a population that has too few stars to measure any: NaN."""

    def nothing(r: ArrayLike) -> FloatArray:
        return np.full((*np.shape(r), 3), np.nan)

    return Moments(lambda r: np.full(np.shape(r), np.nan), nothing, nothing, unknown_feh, r_range)


def mixed_moments(parts: Sequence[Moments]) -> Moments:
    """Moments of all stars of ``parts`` together, where they all have stars."""
    if len(parts) == 1:
        return parts[0]

    def total(r: ArrayLike) -> FloatArray:
        return np.asarray(sum(p.density(r) for p in parts), dtype=float)

    def weighted(name: str) -> Profile:
        def mean(r: ArrayLike) -> FloatArray:
            values = [np.asarray(getattr(p, name)(r)) for p in parts]
            wide = (..., *(None,) * (values[0].ndim - np.ndim(r)))
            terms = (p.density(r)[wide] * v for p, v in zip(parts, values, strict=True))
            return np.asarray(sum(terms) / total(r)[wide], dtype=float)

        return mean

    lo = max(p.r_range[0] for p in parts)
    hi = min(p.r_range[1] for p in parts)
    first, second, feh, higher = map(weighted, ("first", "second", "feh", "higher"))
    return Moments(total, first, second, feh, (lo, hi), higher)


def measured_moments(stars: Stars, edges: ArrayLike) -> Moments:
    """Moments of a large population in shells, monotone cubic interpolation against ln r between their median radii.

    Beyond the outermost medians, up to the edges, moments are constant and the density keeps its slope.
    Moments are about the local mean: a mean velocity that varies over the sky as a constant and a dipole in each
    component is taken out first. Shells with fewer than :data:`FEWEST_STARS` stars are left out.

    Parameters
    ----------
    stars
        The population; its number density keeps its number of stars.
    edges
        (K + 1,) rising edges [kpc] of the shells.

    Raises
    ------
    InputError
        If fewer than two shells have enough stars.
    """
    from scipy.interpolate import PchipInterpolator

    edges = np.asarray(edges, dtype=float)
    velocity = spherical_velocity(stars.position, stars.velocity)
    shell = np.searchsorted(edges, stars.r, side="right") - 1
    order = np.argsort(shell, kind="stable")
    starts = np.searchsorted(shell[order], np.arange(len(edges)))
    rows, used = [], []
    for k in range(len(edges) - 1):
        members = order[starts[k] : starts[k + 1]]
        if len(members) < FEWEST_STARS:
            continue
        first = velocity[members].mean(axis=0)
        about_mean = _local_moments(stars.position[members], velocity[members])
        radius = float(np.median(stars.r[members]))
        # a shell's number a unit of ln r, over r^3: a halo's density falls nearly as r^-3
        volume = 4.0 * np.pi * radius**3 * np.log(edges[k + 1] / edges[k])
        feh = stars.feh[members]
        used.append(k)
        rows.append(
            [
                np.log(radius),
                np.log(len(members) / volume),
                *first,
                *(about_mean[0] + first**2),
                *higher_moments(first, *about_mean).ravel(),
                feh.mean(),
                (feh**2).mean(),
            ]
        )
    if len(rows) < 2:
        raise InputError(
            f"moments: {len(rows)} of {len(edges) - 1} shells from {edges[0]:.3g} to {edges[-1]:.3g} kpc have "
            f"{FEWEST_STARS} stars (of {len(stars)}); at least two are needed"
        )
    table = np.array(rows)
    spline = PchipInterpolator(table[:, 0], np.where(np.isnan(table[:, 1:]), 0.0, table[:, 1:]))
    known = not np.isnan(table[:, -1]).any()

    first, last = table[0, 0], table[-1, 0]

    def part(columns: slice) -> Profile:
        return lambda r: np.asarray(
            spline(np.clip(np.log(r), first, last))[..., columns], dtype=float
        )

    def density(r: ArrayLike) -> FloatArray:
        x = np.log(r)
        inside = np.clip(x, first, last)
        return np.exp(spline(inside)[..., 0] + spline(inside, 1)[..., 0] * (x - inside))

    return Moments(
        density,
        part(slice(1, 4)),
        part(slice(4, 7)),
        part(slice(13, 15)) if known else unknown_feh,
        (float(edges[used[0]]), float(edges[used[-1] + 1])),
        lambda r: part(slice(7, 13))(r).reshape(*np.shape(r), 2, 3),
    )


def population_moments(stars: Stars, r_range: tuple[float, float]) -> Moments:
    """Moments of a stored population, measured in as many shells between two radii [kpc] as its stars allow.

    Raises
    ------
    InputError
        If it has too few stars.
    """
    shells = int(np.clip(len(stars) // _STARS_A_SHELL, 4, _MOST_SHELLS))
    return measured_moments(stars, np.geomspace(*r_range, shells + 1))


def _local_moments(
    position: FloatArray, velocity: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(3,) variances, unbiased, third and fourth moments about the best constant plus dipole of each component."""
    direction = position / np.linalg.norm(position, axis=1)[:, None]
    field = np.column_stack([np.ones(len(direction)), direction])
    normal = field.T @ field
    coefficients = np.linalg.lstsq(normal, field.T @ velocity, rcond=None)[0]
    residual = velocity - field @ coefficients
    variance = np.sum(residual**2, axis=0) / (len(velocity) - 4)
    return variance, np.mean(residual**3, axis=0), np.mean(residual**4, axis=0)


def zeros(width: int) -> Profile:
    """Profile of ``width`` zeros at every radius."""
    return lambda r: np.zeros((*np.shape(r), width))


def unknown_feh(r: ArrayLike) -> FloatArray:
    """Metallicity moments of a population that has none: NaN."""
    return np.full((*np.shape(r), 2), np.nan)


def unknown_higher(r: ArrayLike) -> FloatArray:
    """Third and fourth moments of a population of which they are not known: NaN."""
    return np.full((*np.shape(r), 2, 3), np.nan)


def _within(profile: Profile, r_range: tuple[float, float]) -> Profile:
    """Bound a profile: NaN outside the range, whose ends may be off by rounding."""
    lo, hi = r_range[0] * (1.0 - 1e-9), r_range[1] * (1.0 + 1e-9)

    def bounded(r: ArrayLike) -> FloatArray:
        r = np.asarray(r, dtype=float)
        inside = (r >= lo) & (r <= hi)
        values = np.asarray(profile(np.where(inside, r, max(r_range[0], 1e-6))), dtype=float)
        return np.where(
            inside.reshape(inside.shape + (1,) * (values.ndim - r.ndim)), values, np.nan
        )

    return bounded


def _spline(ln_r: FloatArray, values: FloatArray) -> Profile:
    """Cubic spline in ln r."""
    from scipy.interpolate import CubicSpline

    spline = CubicSpline(ln_r, values)
    return lambda radius: np.asarray(spline(np.log(radius)), dtype=float)


def raw_moments(
    moments: Moments, r: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Take from moments at radii what :func:`of_moments` needs."""
    return moments.first(r), moments.second(r), moments.feh(r), moments.higher(r)


def of_moments(
    name: str, first: FloatArray, second: FloatArray, feh: FloatArray, higher: FloatArray
) -> FloatArray:
    """Value of a profile of raw moments (..., 3), (..., 3), (..., 2) and (..., 2, 3)."""
    if name == "feh_mean":
        return np.asarray(feh[..., 0])
    if name == "feh_sigma":
        return np.sqrt(feh[..., 1] - feh[..., 0] ** 2)
    if name == "beta":
        return anisotropy(second - first**2)
    what, _, component = name.rpartition("_")
    k = COMPONENTS.index(component)
    if what == "kurtosis":
        return kurtosis(first, second, higher)[..., k]
    if what == "mean_v":
        return np.asarray(first[..., k])
    return np.sqrt(second[..., k] - first[..., k] ** 2)
