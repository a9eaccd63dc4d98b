"""Cases of the calibration: each estimator with stars of its own model, and what is true of them."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.interpolate import CubicSpline

from haloassay.base import kinds
from haloassay.base.constants import G
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.estimate import Estimate
from haloassay.contracts.frames import galactocentric_to_heliocentric, spherical_basis
from haloassay.contracts.profiles import nfw_enclosed_mass, virial_radius
from haloassay.estimators.fit.ellipsoid import anisotropy
from haloassay.estimators.halo.baryons import Baryons, baryons_mass
from haloassay.mocks import make_mock
from haloassay.mocks.mock import Mock
from haloassay.mocks.surveys.survey import make_survey

# the samplers of the tests
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "estimators"))
from action_samples import EDGES as ACTION_EDGES
from action_samples import stars as of_actions
from action_samples import true_beta
from axisymmetric_samples import ALPHA, Q_STARS
from axisymmetric_samples import stars as flattened
from axisymmetric_samples import truth as flattened_truth
from escape_samples import SLOPE, K, escape_speed, mixed, tail
from gaussian_samples import LI2026, catalogue_of, stars_of
from halo_samples import power_law_radii
from hierarchical_samples import EDGES as SEEN_EDGES
from hierarchical_samples import seen as hierarchical
from hierarchical_samples import without
from roulette_samples import C200, M200, R200
from roulette_samples import EDGES as ROULETTE_EDGES
from roulette_samples import mass as roulette_mass
from roulette_samples import stars as anywhere
from test_dipole import OUTER, painted
from test_power_law_df import own_model, true_mass
from test_reflex import halo as moving_halo
from test_reflex import truth_of as moving_truth
from test_shape import stretched
from test_shape import true_value as true_shape
from test_tracer_density import own_model as selected
from test_tracer_density import true_value

BINS = [5.0, 8.0, 12.0, 17.0, 24.0, 35.0, 50.0]
BETA = 0.6

Draw = Callable[[int, np.random.Generator], Catalogue]
Truth = Callable[[Estimate], float]


@dataclass(frozen=True)
class Case:
    """An estimator with its settings, stars of its own model, and what is true of them.

    ``truth`` gives NaN for a quantity that the model has no value of.
    """

    name: str
    spec: dict[str, Any]
    draw: Draw
    truth: Truth


# ---------------------------------------------------------------------------------- stars and truths


def gaussian(
    r: np.ndarray, sigma: np.ndarray, rng: np.random.Generator, error: float = 0.0
) -> Catalogue:
    """Stars at ``r``, isotropic on the sky, with Gaussian spherical velocities and equal errors."""
    toward = rng.standard_normal((len(r), 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    velocity = sigma * rng.standard_normal((len(r), 3))
    velocity = np.einsum("nk,nki->ni", velocity, spherical_basis(toward))
    delta = error * rng.uniform(0.3, 1.7, len(r))
    velocity += delta[:, None] * rng.standard_normal((len(r), 3))
    columns = np.hstack([r[:, None] * toward, velocity]).T
    errors = {f"{name}_err": delta for name in ("vx", "vy", "vz")} if error else {}
    names = ("x", "y", "z", "vx", "vy", "vz")
    return Catalogue.from_arrays(**dict(zip(names, columns, strict=True)), **errors)


def named(**values: float) -> Truth:
    """Truth by the name of the quantity."""
    return lambda row: values.get(row.quantity, np.nan)


def massive(mass: Callable[[float], float], **others: float) -> Truth:
    """Truth of masses and circular velocities at their radii, and of ``others`` by name."""

    def truth(row: Estimate) -> float:
        if row.quantity == "enclosed_mass":
            return float(mass(row.r))
        if row.quantity == "v_c":
            return float(np.sqrt(G * mass(row.r) / row.r))
        return others.get(row.quantity, np.nan)

    return truth


ELLIPSOID = np.array([140.0, 80.0, 90.0])


def ellipsoid(error: float) -> tuple[Draw, Truth]:
    def draw(n: int, rng: np.random.Generator) -> Catalogue:
        return gaussian(np.full(n, 20.0), ELLIPSOID, rng, error)

    sigmas = dict(zip(("sigma_r", "sigma_theta", "sigma_phi"), ELLIPSOID, strict=True))
    means = dict.fromkeys(("mean_v_r", "mean_v_theta", "mean_v_phi"), 0.0)
    return draw, named(**sigmas, **means, beta=float(anisotropy(ELLIPSOID)))


def exponential() -> tuple[Draw, Truth]:
    """sigma_r = 180 km/s exp(-r / 70 kpc), density r^-3.5."""

    def draw(n: int, rng: np.random.Generator) -> Catalogue:
        r = power_law_radii(n, -3.5, BINS[0], BINS[-1], rng)
        ratio = np.sqrt([1.0, 1.0 - BETA, 1.0 - BETA])
        return gaussian(r, 180.0 * np.exp(-r / 70.0)[:, None] * ratio, rng)

    def mass(r: float) -> float:
        return 180.0**2 * np.exp(-2.0 * r / 70.0) * r * (3.5 - 2.0 * BETA + 2.0 * r / 70.0) / G

    return draw, massive(mass)


def scale_free(r_hi: float = BINS[-1]) -> tuple[Draw, Truth]:
    """v_c = 200 km/s (r / 10 kpc)^-0.25, density r^-3.5."""

    def draw(n: int, rng: np.random.Generator) -> Catalogue:
        r = power_law_radii(n, -3.5, BINS[0], r_hi, rng)
        sigma_r = np.sqrt(200.0**2 * (r / 10.0) ** -0.5 / (0.5 + 3.5 - 2.0 * BETA))
        return gaussian(r, sigma_r[:, None] * np.sqrt([1.0, 1.0 - BETA, 1.0 - BETA]), rng)

    return draw, massive(lambda r: 200.0**2 * (r / 10.0) ** -0.5 * r / G, beta=BETA)


@dataclass(frozen=True)
class Halo:
    """NFW halo, with the baryons of Zhai et al. (2018) or none, and tracers in it."""

    m200: float
    c200: float
    h0: float
    baryons: Baryons
    alpha: float
    beta: float
    edges: tuple[float, float]

    def mass(self, r: float) -> float:
        """Mass [Msun] within ``r`` [kpc]."""
        r200 = float(virial_radius(self.m200, self.h0))
        dark = nfw_enclosed_mass(r, self.m200, r200, self.c200)
        return float(dark + baryons_mass(self.baryons, r))

    def sigma_r(self, r: float) -> float:
        """Radial dispersion [km/s] at ``r`` [kpc] of the Jeans equation, by adaptive quadrature."""

        def integrand(x: float) -> float:
            slope = self.alpha + 2.0 * self.beta - 1.0
            return np.exp(x * slope) * G * self.mass(r * np.exp(x)) / r

        return float(np.sqrt(quad(integrand, 0.0, 60.0, limit=200, epsrel=1e-7)[0]))

    def truth(self) -> Truth:
        """Truth of masses and of the halo."""
        r200 = float(virial_radius(self.m200, self.h0))
        return massive(self.mass, m200=self.m200, c200=self.c200, r200=r200)

    def draw(self, n: int, rng: np.random.Generator) -> Catalogue:
        """Stars with Gaussian velocities."""
        r = power_law_radii(n, self.alpha, *self.edges, rng)
        ratio = np.sqrt([1.0, 1.0 - self.beta, 1.0 - self.beta])
        return gaussian(r, np.exp(log_dispersion(self)(np.log(r)))[:, None] * ratio, rng)


@functools.cache
def log_dispersion(halo: Halo) -> CubicSpline:
    grid = np.geomspace(*halo.edges, 40)
    return CubicSpline(np.log(grid), np.log([halo.sigma_r(r) for r in grid]))


#: Best fit of Zhai et al. (2018), isotropic; and a halo of radial orbits.
ISOTROPIC = Halo(1.08e12, 18.5, 70.0, "zhai2018", -4.0, 0.0, (5.0, 120.0))
RADIAL = Halo(1e12, 12.0, 67.8, "none", -3.3, 0.4, (5.0, 80.0))


def virial_cases() -> Iterator[Case]:
    """Tracers in an NFW halo with six coordinates, and all those of a galaxy that is seen from far away."""
    radii = {"r": [10.0, 25.0, 60.0]}
    truth = massive(RADIAL.mass, beta=RADIAL.beta)
    yield Case("jeans-virial", {"alpha": -3.3, **radii}, RADIAL.draw, truth)
    changing = {"alpha": -3.3, **radii, "anisotropy": "changing"}
    yield Case("jeans-virial, changing", changing, RADIAL.draw, truth)
    seen = {"alpha": -3.3, **radii, "data": "vlos"}
    yield Case("jeans-virial, vlos", seen, without_proper_motions, truth)
    following = {**seen, "knots": 7}
    yield Case("jeans-virial, vlos, seven slopes", following, without_proper_motions, truth)
    far = {"alpha": FAR, "r": [4.0, 8.0, 16.0]}
    for data, virial in (("los", "first"), ("proper-motions", "none")):
        settings = {**far, "data": data, "virial_shape": virial}
        yield Case(f"jeans-virial, {data}", settings, from_afar, massive(RADIAL.mass, beta=0.0))
    many = {**far, "data": "proper-motions", "knots": 7}
    name = "jeans-virial, proper-motions, seven slopes"
    yield Case(name, many, from_afar, massive(RADIAL.mass, beta=0.0))


def without_proper_motions(n: int, rng: np.random.Generator) -> Catalogue:
    """Stars of the halo ``RADIAL`` as a survey of line-of-sight velocities has them."""
    stars = RADIAL.draw(n, rng)
    seen = galactocentric_to_heliocentric(stars.position, stars.velocity, stars.sun)
    return Catalogue.from_arrays(**{k: seen[k] for k in ("ra", "dec", "distance", "vlos")})


#: Slopes of the stars of a galaxy that is seen from far away: in the cusp of an NFW halo no core has a distribution.
FAR = {"slopes": [-1.0, -5.0], "breaks": [8.0], "width": 0.5}


@functools.cache
def dwarf() -> Mock:
    """All stars of an isotropic galaxy in the halo ``RADIAL``."""
    return make_mock(
        {
            "kind": "equilibrium",
            "potential": {"kind": "nfw", "m200": RADIAL.m200, "c": RADIAL.c200},
            "density": {"kind": "broken-power-law", **FAR},
            "beta": {"kind": "constant", "beta": 0.0},
            "distribution": {"kind": "cuddeford"},
            "r_range": [0.1, 400.0],
        }
    )


def from_afar(n: int, rng: np.random.Generator) -> Catalogue:
    """Stars of that galaxy, which an observer is far away from."""
    return make_survey({"n_stars": n}).observe(dwarf(), *rng.spawn(2)).catalogue


def fastest_truth(row: Estimate) -> float:
    """Escape speed at the radius of a row."""
    return float(escape_speed(row.r)) if row.quantity == "v_esc" else np.nan


@functools.cache
def equilibrium() -> Mock:
    """Halo of a distribution function, in the middle of the prior of the packaged network of npe."""
    return make_mock(
        {
            "kind": "equilibrium",
            "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
            "density": {"kind": "power-law", "slope": -3.3},
            "beta": {"kind": "constant", "beta": 0.4},
            "r_range": [3.0, 200.0],
        }
    )


def equilibrium_stars(n: int, rng: np.random.Generator) -> Catalogue:
    """Stars of that halo between 5 and 60 kpc, seen without errors."""
    survey = make_survey({"n_stars": n, "r_min": 5.0, "r_max": 60.0})
    return survey.observe(equilibrium(), *rng.spawn(2)).catalogue


def equilibrium_truth(row: Estimate) -> float:
    """Truth of a row there."""
    return float(equilibrium().truth.value(row.quantity, row.r, row.r_lo, row.r_hi))


#: Truth of stars at random phases of their orbits.
RANDOM_PHASES = massive(lambda r: float(roulette_mass(r)), m200=M200, c200=C200, r200=R200)


def along_the_line_of_sight(n: int, rng: np.random.Generator) -> Catalogue:
    """Stars of hierarchical-df without proper motions."""
    return without(hierarchical(n, rng), "pmra", "pmdec")


def of_actions_truth(row: Estimate) -> float:
    """Truth of stars of a distribution function of actions."""
    return true_beta(row.r) if row.quantity == "beta" else RANDOM_PHASES(row)


def gaussians(two: bool) -> tuple[Draw, Truth]:
    """Table 2 of Li et al. (2026), whole sample: the metal-rich component, or both."""
    point = LI2026 if two else LI2026[:8]
    names = ("mean_v_r", "mean_v_theta", "mean_v_phi", "feh_mean")
    names += ("sigma_r", "sigma_theta", "sigma_phi", "feh_sigma")
    values = {"p_mr": LI2026[16]}
    for which, part in ((".mr" if two else "", LI2026[:8]), (".mp", LI2026[8:16])):
        values |= {name + which: value for name, value in zip(names, part, strict=True)}
        values[f"beta{which}"] = float(anisotropy(part[4:7]))

    def draw(n: int, rng: np.random.Generator) -> Catalogue:
        return catalogue_of(stars_of(point, n, rng), rng)

    return draw, named(**values)


def painted_dipole() -> tuple[Draw, Truth]:
    """Outermost bin of Li et al. (2026), painted on v_r over the whole sky."""
    compression, mu, lon, lat, sigma = OUTER
    upward = mu * np.sin(np.radians(lat))
    values = {"mu_compr": compression, "mu_dipole": mu, "apex_l": lon, "apex_b": lat}
    values |= {"mean_v_r_north": compression + 0.5 * upward, "sigma_r": sigma}
    values |= {"mean_v_r_south": compression - 0.5 * upward, "mean_v_theta": 0.0}
    values |= {"mean_v_theta_predicted": 0.25 * np.pi * upward}
    return functools.partial(painted, error=20.0), named(**values)


#: Why methods miss, where they do.
RATIO = "beta: the mean of a ratio of variances is low by 2 (1 - beta) / n; its median is not"
WEIGHTS = (
    "errors in proportion to measured dispersions, as published, give bins that scatter low more "
    "weight: masses low by 2 to 4 bins / stars"
)
RESAMPLED = (
    "few stars a bin (27 to 92 of 300): <(v_r - <v_r>)^2> is low by 1/n, and percentiles of "
    "resampled squares lean to the wrong side"
)
PRIOR = "prior: abs(mu_dipole) > 0 and an isotropic apex, where the dipole is three of its errors"
WHY = {
    "velocity-ellipsoid": RATIO,
    "jeans-3d": WEIGHTS
    + "; innermost bins too narrow: a covariance left out; finite bins: 0.3 per cent of the mass",
    "tracer-mass": RESAMPLED
    + "; too wide with many, as beta takes back part of the scatter of <v_r^2> and is not resampled",
    "tracer-mass, beta known": RESAMPLED,
    "los-jeans": WEIGHTS,
    "los-jeans, variance": "300 stars do not bound the halo: flat prior of m200, skewed posterior",
    "los-jeans-derivative": WEIGHTS + "; points taken as independent; straight lines at both ends",
    "los-jeans-derivative, v_c2": "weights less so, at a parabola through the points; straight lines "
    "at both ends",
    "sky-map": "leaves out 10 per cent of the stars: a third of the sampling error, as published",
    "sky-map, deconvolved": RATIO,
    "dipole": PRIOR,
    "reflex-6d": "prior: an isotropic apex, where the travel velocity is seven of its errors",
    "gaussian-mixture": "uniform priors of dispersions and p_mr prefer large ones",
    "spline-jeans": RATIO + "; the ends too narrow with few stars: stiffness taken as known",
    "nfw-tracer": "percentiles of resampled squares; r_s that few stars do not bound",
    "action-df": "chance: 200 maxima of 3000 stars scatter as their errors say",
    "action-df, position given": "velocities alone hardly tell the slopes: their priors do",
    "escape-speed": "prior of k: flat from 1 to 2.5 about a tail of k = 1.8",
    "escape-speed, k of Piffl": "prior of k: from 2.3 to 3.7, where the tail has k = 1.8",
    "escape-speed, two components": "few stars do not tell the powers: flat priors prefer steep, long tails",
    "escape-speed, one component of two": "the tail has two components; one steeper than both ends too far out",
    "escape-speed, k of Deason of two": "the tail has two components, of k = 4 and 1, and the prior is narrow",
    "escape-speed, k of Piffl of two": "the tail has two components, of k = 4 and 1, and the prior is narrow",
    "escape-speed, two components of one": "few stars do not tell the powers: flat priors prefer steep, long tails",
    "jeans-virial, vlos": "mass and beta are hardly told apart, and the prior decides; of many stars four slopes",
    "jeans-virial, vlos, seven slopes": "mass and beta are hardly told apart, and the prior decides",
    "jeans-virial, los": "few stars hardly know beta; the broken line of four slopes of the mass with many",
    "jeans-virial, proper-motions": "the broken line of four slopes of the mass; seven follow the halo",
    "orbital-roulette, likelihood": "numbers expected are of the stars themselves, and scatter with those found",
    "axisymmetric-jeans, cylindrical": "300 stars hardly know q_halo: it has no value in some mocks",
    "npe": "a network misses by a share of its error at any one halo; too wide with many stars: it knows few halos",
    "shape": "distances of eigenvalues that are not above their errors are taken for chance: too round",
}


def make_cases() -> Iterator[Case]:
    """All cases; a name is that of the estimator, and what is set."""
    profile = {"bins": BINS, "alpha": -3.5}
    yield Case("velocity-ellipsoid", {}, *ellipsoid(30.0))
    yield Case("velocity-ellipsoid, fisher", {"errors": "fisher"}, *ellipsoid(30.0))
    jeans = {**profile, "nfw": "none"}
    yield Case("jeans-3d", jeans, *exponential())
    yield Case("jeans-3d, sandwich", {**jeans, "errors": "sandwich"}, *exponential())
    yield Case("tracer-mass", profile, *scale_free())
    yield Case("tracer-mass, beta known", {**profile, "beta": BETA}, *scale_free())
    radii, zhai = {"r_out": [10.0, 25.0, 60.0, 100.0]}, (ISOTROPIC.draw, ISOTROPIC.truth())
    yield Case("los-jeans", radii, *zhai)
    better = {"likelihood": "variance", "within_bins": "average"}
    yield Case("los-jeans, variance", {**radii, **better}, *zhai)
    yield Case("los-jeans-derivative", radii, *zhai)
    yield Case("los-jeans-derivative, v_c2", {**radii, "likelihood": "v_c2"}, *zhai)
    yield Case("sky-map", {"map": "quadrants"}, *ellipsoid(0.0))
    deconvolved = {"map": "quadrants", "recipe": "deconvolved"}
    yield Case("sky-map, deconvolved", deconvolved, *ellipsoid(30.0))
    yield Case("dipole", {}, *painted_dipole())
    yield Case("reflex-6d", {}, moving_halo, named(**moving_truth()))
    yield Case("gaussian-single", {}, *gaussians(False))
    yield Case("gaussian-mixture", {}, *gaussians(True))
    spline = {"alpha": "measured", "r": [7.0, 10.0, 15.0, 25.0, 50.0, 80.0]}
    yield Case("spline-jeans", {**spline, "r_range": [5.0, 100.0]}, *scale_free(100.0))
    power = {"alpha": -4.0, "r_out": [15.0, 30.0, 80.0]}
    yield Case("power-law-df", power, own_model, massive(true_mass, beta=0.5))
    seen = {"r_range": list(SEEN_EDGES), "r_out": [15.0, 30.0, 80.0]}
    truth = massive(true_mass, beta=0.5)
    yield Case("hierarchical-df", seen, hierarchical, truth)
    yield Case(
        "hierarchical-df, conditional", {**seen, "density": "conditional"}, hierarchical, truth
    )
    yield Case("hierarchical-df, no proper motions", seen, along_the_line_of_sight, truth)
    nfw = {"alpha": -3.3, "r_range": [5.0, 80.0], "r_out": [10.0, 25.0, 60.0], "n_bootstrap": 100}
    yield Case("nfw-tracer", nfw, RADIAL.draw, RADIAL.truth())
    actions = {"r_range": list(ACTION_EDGES), "r_out": [8.0, 17.0, 40.0]}
    yield Case("action-df", actions, of_actions, of_actions_truth)
    yield Case(
        "action-df, position given", {**actions, "position": "given"}, of_actions, of_actions_truth
    )
    fastest = {"slope": SLOPE}
    yield Case("escape-speed", fastest, tail, fastest_truth)
    yield Case("escape-speed, k known", {**fastest, "k": K}, tail, fastest_truth)
    yield Case("escape-speed, k of Piffl", {**fastest, "k": "piffl2014"}, tail, fastest_truth)
    wide = {**fastest, "k": "necib2022", "prior": "inverse", "outliers": {}}
    two = {**wide, "components": 2}
    yield Case("escape-speed, two components", two, mixed, fastest_truth)
    yield Case("escape-speed, one component of two", wide, mixed, fastest_truth)
    yield Case("escape-speed, two components of one", two, tail, fastest_truth)
    for prior, name in (("deason2019", "Deason"), ("piffl2014", "Piffl")):
        narrow = {**fastest, "k": prior, "outliers": {}}
        yield Case(f"escape-speed, k of {name} of two", narrow, mixed, fastest_truth)
    yield from virial_cases()
    phases = {"r_range": list(ROULETTE_EDGES), "r_out": [8.0, 17.0, 40.0]}
    yield Case("orbital-roulette", phases, anywhere, RANDOM_PHASES)
    theirs = {**phases, "errors": "likelihood"}
    yield Case("orbital-roulette, likelihood", theirs, anywhere, RANDOM_PHASES)
    for statistic in ("mean-phase", "anderson-darling"):
        held = {**phases, "statistic": statistic, "c200": C200}
        yield Case(f"orbital-roulette, {statistic}, c200 known", held, anywhere, RANDOM_PHASES)
    flat = {"alpha": ALPHA, "q_stars": Q_STARS, "r_out": [8.0, 17.0, 40.0]}
    yield Case("axisymmetric-jeans", flat, flattened, flattened_truth)
    turning = {**flat, "anisotropy": "turning"}
    yield Case("axisymmetric-jeans, turning", turning, flattened, flattened_truth)
    along_z = functools.partial(flattened, alignment="cylindrical")
    other = {**flat, "alignment": "cylindrical"}
    yield Case("axisymmetric-jeans, cylindrical", other, along_z, flattened_truth)
    yield Case("npe", {"r_out": [10.0, 25.0, 60.0]}, equilibrium_stars, equilibrium_truth)
    yield Case("tracer-density", {"fit_density": {"axis_ratio": "free"}}, selected, true_value)
    yield Case("shape", {}, stretched, true_shape)


@functools.cache
def cases() -> dict[str, Case]:
    found = {case.name: case for case in make_cases()}
    missing = set(kinds.names("estimators")) - {kind_of(name) for name in found}
    if missing:
        raise ValueError(f"no case for {', '.join(sorted(missing))}")
    return found


def kind_of(name: str) -> str:
    return name.partition(",")[0]
