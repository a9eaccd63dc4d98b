"""Errors of observables carried to Galactocentric velocities, by Jacobian or Monte Carlo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.compiled import compiled
from haloassay.base.constants import KMS_PER_MASYR_KPC
from haloassay.base.errors import InputError
from haloassay.contracts.columns import GALACTOCENTRIC, HELIOCENTRIC

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue


#: Stars whose observables are laid out side by side at a time: all at once would double the memory of a large survey.
_SLICE: Final = 65536


def spherical_covariance(catalogue: Catalogue) -> FloatArray:
    """Covariance of the errors of (v_r, v_theta, v_phi) to first order, J C J^T.

    It contains the errors of line-of-sight velocity, proper motions (correlated) and distance
    (through the tangential velocities and through the direction of the spherical axes), or of x,
    y, z and vx, vy, vz. Errors of ra and dec are neglected. An error that exceeds the distance to
    the axis (or the centre) turns the spherical axes by one radian at most, so a star on the z
    axis has a finite covariance.

    Parameters
    ----------
    catalogue
        Stars with the errors they have; a missing error counts as zero.

    Returns
    -------
    ndarray
        (N, 3, 3) [(km/s)^2]; singular where fewer than three observables have errors.
    """
    return _covariance(catalogue, spherical=True)


def velocity_covariance(catalogue: Catalogue) -> FloatArray:
    """Covariance of the errors of Cartesian velocities to first order.

    What :func:`spherical_covariance` has beside it, the turn of the spherical axes, changes no speed.

    Parameters
    ----------
    catalogue
        Stars with the errors they have; a missing error counts as zero.

    Returns
    -------
    ndarray
        (N, 3, 3) [(km/s)^2]; singular where fewer than three observables have errors.
    """
    return _covariance(catalogue, spherical=False)


def _covariance(catalogue: Catalogue, spherical: bool) -> FloatArray:
    """(N, 3, 3) covariance of velocities along the spherical axes, which errors turn, or the Cartesian ones."""
    out = np.empty((len(catalogue), 3, 3))
    names = HELIOCENTRIC if catalogue.heliocentric else GALACTOCENTRIC
    for block, part in catalogue.blocks([*names, *(f"{name}_err" for name in names), "pm_corr"]):
        first = block.start
        for start in range(0, len(part), _SLICE):
            some = part.select(slice(start, start + _SLICE))
            here = out[first + start : first + start + len(some)]
            if catalogue.heliocentric:
                _heliocentric_covariance(*_heliocentric(some), spherical, here)
            else:
                _galactocentric_covariance(*_galactocentric(some), spherical, here)
    return out


def monte_carlo_covariance(
    catalogue: Catalogue, rng: np.random.Generator, n_draws: int = 1000
) -> FloatArray:
    """Covariance of (v_r, v_theta, v_phi) over Gaussian draws of the observables.

    Where errors are small it agrees with :func:`spherical_covariance`; where they are not, it
    includes what the first order leaves out. Distances are drawn from the positive part of their
    Gaussian. The draws of a star are summed as they are made, so memory does not grow with
    ``n_draws``.

    Parameters
    ----------
    catalogue
        Stars with the errors they have; a missing error counts as zero.
    rng
        Source of the draws; it is advanced.
    n_draws
        Draws a star, at least 2.

    Returns
    -------
    ndarray
        (N, 3, 3) sample covariance [(km/s)^2].

    Raises
    ------
    InputError
        If ``n_draws`` is below 2 or a distance is not positive.
    """
    if n_draws < 2:
        raise InputError(f"n_draws: a covariance needs at least 2 draws (got {n_draws})")
    out = np.empty((len(catalogue), 3, 3))
    if catalogue.heliocentric:
        if not np.all(catalogue["distance"] > 0.0):
            raise InputError(f"{catalogue.origin}: distances must be positive")
        _heliocentric_draws(*_heliocentric(catalogue), rng, n_draws, out)
    else:
        _galactocentric_draws(*_galactocentric(catalogue), rng, n_draws, out)
    return out


def _heliocentric(catalogue: Catalogue) -> tuple[FloatArray, ...]:
    """(N, 6) observables, (N, 4) errors of the last four, (N,) pm_corr, and the Sun."""
    values = np.stack([catalogue[name] for name in HELIOCENTRIC], axis=1)
    errors = np.stack([catalogue.error(name) for name in HELIOCENTRIC[2:]], axis=1)
    sun = catalogue.sun
    pm_corr = np.array(catalogue.pm_corr)  # never read-only: kernels would be compiled for both
    return values, errors, pm_corr, sun.rotation(), sun.position, sun.velocity


def _galactocentric(catalogue: Catalogue) -> tuple[FloatArray, ...]:
    """(N, 6) phase-space positions and their (N, 6) errors."""
    values = np.stack([catalogue[name] for name in GALACTOCENTRIC], axis=1)
    return values, np.stack([catalogue.error(name) for name in GALACTOCENTRIC], axis=1)


@compiled(error_model="numpy")
def _sky_axes(ra: float, dec: float, rotation: FloatArray, axes: FloatArray) -> None:
    """Fill ``axes`` with (outward, east, north) as rows, in Galactocentric components."""
    lon, lat = np.radians(ra), np.radians(dec)
    cl, sl, cb, sb = np.cos(lon), np.sin(lon), np.cos(lat), np.sin(lat)
    for i in range(3):
        a, b, c = rotation[i]
        equatorial = a * cl + b * sl
        axes[0, i] = cb * equatorial + sb * c
        axes[1, i] = b * cl - a * sl
        axes[2, i] = cb * c - sb * equatorial


@compiled(error_model="numpy")
def _spherical_axes(x: FloatArray, axes: FloatArray) -> tuple[float, float]:
    """Fill ``axes`` with (r, theta, phi) as rows; r and the distance R from the z axis."""
    R = np.sqrt(x[0] * x[0] + x[1] * x[1])
    r = np.sqrt(R * R + x[2] * x[2])
    cl, sl = (x[0] / R, x[1] / R) if R > 0.0 else (1.0, 0.0)
    cb, sb = (R / r, x[2] / r) if r > 0.0 else (1.0, 0.0)
    axes[0, 0], axes[0, 1], axes[0, 2] = cb * cl, cb * sl, sb
    axes[1, 0], axes[1, 1], axes[1, 2] = -sb * cl, -sb * sl, cb
    axes[2, 0], axes[2, 1], axes[2, 2] = -sl, cl, 0.0
    return r, R


@compiled
def _dot(a: FloatArray, b: FloatArray) -> float:
    """Scalar product of two 3-vectors, without the cost of a library call."""
    return float(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


@compiled
def _turn(shift: float, radius: float) -> float:
    """Angle [rad] by which a shift at ``radius`` turns an axis, one radian at most."""
    if abs(shift) >= radius:
        return float(np.sign(shift))
    return shift / radius


@compiled(error_model="numpy")
def _shifted(
    shift: FloatArray, axes: FloatArray, r: float, R: float, v: FloatArray, out: FloatArray
) -> None:
    """Change of the spherical velocity ``v`` when the star is shifted at fixed Cartesian velocity.

    ``shift`` is Cartesian; what turns is the spherical basis under the velocity.
    """
    to_north = _turn(_dot(axes[1], shift), r)
    to_east = _turn(_dot(axes[2], shift), R)
    sb, cb = axes[0, 2], axes[1, 2]
    out[0] = to_north * v[1] + to_east * cb * v[2]
    out[1] = -to_north * v[0] - to_east * sb * v[2]
    out[2] = to_east * (sb * v[1] - cb * v[0])


@compiled(error_model="numpy")
def _heliocentric_covariance(
    values: FloatArray,
    errors: FloatArray,
    pm_corr: FloatArray,
    rotation: FloatArray,
    sun_position: FloatArray,
    sun_velocity: FloatArray,
    spherical: bool,
    out: FloatArray,
) -> None:
    """Fill ``out`` (N, 3, 3) star by star, from the four columns of a root of the covariance."""
    sky, axes, roots = np.empty((3, 3)), np.eye(3), np.empty((4, 3))
    x, u, v, shift, turned = np.empty(3), np.empty(3), np.empty(3), np.empty(3), np.zeros(3)
    for n in range(values.shape[0]):
        ra, dec, distance, pmra, pmdec, vlos = values[n]
        _sky_axes(ra, dec, rotation, sky)
        scale = KMS_PER_MASYR_KPC * distance
        for i in range(3):
            x[i] = distance * sky[0, i] + sun_position[i]
            u[i] = (
                vlos * sky[0, i] + scale * (pmra * sky[1, i] + pmdec * sky[2, i]) + sun_velocity[i]
            )
            shift[i] = errors[n, 0] * sky[0, i]
        if spherical:
            r, R = _spherical_axes(x, axes)
            for i in range(3):
                v[i] = _dot(axes[i], u)
            _shifted(shift, axes, r, R, v, turned)
        rho = pm_corr[n]
        rest = np.sqrt(max(1.0 - rho * rho, 0.0))
        for i in range(3):
            east, north = _dot(axes[i], sky[1]), _dot(axes[i], sky[2])
            stretch = KMS_PER_MASYR_KPC * (pmra * east + pmdec * north)
            roots[0, i] = errors[n, 3] * _dot(axes[i], sky[0])
            roots[1, i] = errors[n, 0] * stretch + turned[i]
            roots[2, i] = scale * (errors[n, 1] * east + rho * errors[n, 2] * north)
            roots[3, i] = scale * rest * errors[n, 2] * north
        _square(roots, out[n])


@compiled(error_model="numpy")
def _galactocentric_covariance(
    values: FloatArray, errors: FloatArray, spherical: bool, out: FloatArray
) -> None:
    """Fill ``out`` (N, 3, 3) star by star, from the six columns of a root of the covariance."""
    axes, roots = np.eye(3), np.zeros((6, 3))
    v, shift = np.empty((2, 3))
    for n in range(values.shape[0]):
        if spherical:
            r, R = _spherical_axes(values[n, :3], axes)
            for i in range(3):
                v[i] = _dot(axes[i], values[n, 3:])
        for k in range(3):
            shift[:] = 0.0
            shift[k] = errors[n, k]
            if spherical:
                _shifted(shift, axes, r, R, v, roots[k])
            for i in range(3):
                roots[3 + k, i] = errors[n, 3 + k] * axes[i, k]
        _square(roots, out[n])


@compiled
def _square(roots: FloatArray, out: FloatArray) -> None:
    """``roots.T @ roots``, exactly symmetric."""
    for i in range(3):
        for j in range(i + 1):
            total = 0.0
            for k in range(roots.shape[0]):
                total += roots[k, i] * roots[k, j]
            out[i, j] = total
            out[j, i] = total


@compiled
def _positive(mean: float, sigma: float, rng: np.random.Generator) -> float:
    """Draw from the positive part of a Gaussian of positive mean."""
    while True:
        value = mean + sigma * rng.standard_normal()
        if value > 0.0:
            return value


@compiled(error_model="numpy", fastmath={"reassoc", "contract"})
def _covariance_of(phase: FloatArray, out: FloatArray) -> None:
    """Sample covariance of the spherical velocities of ``phase`` (6, n), which is overwritten.

    Plain loops over contiguous rows: the compiler turns them into vector instructions.
    """
    X, Y, Z, VX, VY, VZ = phase[0], phase[1], phase[2], phase[3], phase[4], phase[5]
    n = X.size
    sum_r = sum_t = sum_p = 0.0
    for k in range(n):
        R = np.sqrt(X[k] * X[k] + Y[k] * Y[k])
        r = np.sqrt(R * R + Z[k] * Z[k])
        per_R, per_r = 1.0 / R, 1.0 / r
        cl, sl = (X[k] * per_R, Y[k] * per_R) if R > 0.0 else (1.0, 0.0)
        cb, sb = (R * per_r, Z[k] * per_r) if r > 0.0 else (1.0, 0.0)
        v_R = cl * VX[k] + sl * VY[k]
        X[k], Y[k], Z[k] = cb * v_R + sb * VZ[k], cb * VZ[k] - sb * v_R, cl * VY[k] - sl * VX[k]
        sum_r += X[k]
        sum_t += Y[k]
        sum_p += Z[k]
    mean_r, mean_t, mean_p = sum_r / n, sum_t / n, sum_p / n
    rr = rt = rp = tt = tp = pp = 0.0
    for k in range(n):
        v_r, v_t, v_p = X[k] - mean_r, Y[k] - mean_t, Z[k] - mean_p
        rr += v_r * v_r
        rt += v_r * v_t
        rp += v_r * v_p
        tt += v_t * v_t
        tp += v_t * v_p
        pp += v_p * v_p
    scale = 1.0 / (n - 1)
    out[0, 0], out[1, 1], out[2, 2] = rr * scale, tt * scale, pp * scale
    out[0, 1] = out[1, 0] = rt * scale
    out[0, 2] = out[2, 0] = rp * scale
    out[1, 2] = out[2, 1] = tp * scale


@compiled(error_model="numpy")
def _heliocentric_draws(
    values: FloatArray,
    errors: FloatArray,
    pm_corr: FloatArray,
    rotation: FloatArray,
    sun_position: FloatArray,
    sun_velocity: FloatArray,
    rng: np.random.Generator,
    n_draws: int,
    out: FloatArray,
) -> None:
    """Fill ``out`` (N, 3, 3) star by star, from ``n_draws`` draws of its observables."""
    sky, phase, drawn = np.empty((3, 3)), np.empty((6, n_draws)), np.empty((4, n_draws))
    for n in range(values.shape[0]):
        ra, dec, distance, pmra, pmdec, vlos = values[n]
        _sky_axes(ra, dec, rotation, sky)
        rho = pm_corr[n]
        rest = np.sqrt(max(1.0 - rho * rho, 0.0))
        for k in range(n_draws):
            east = rng.standard_normal()
            drawn[0, k] = _positive(distance, errors[n, 0], rng)
            drawn[1, k] = pmra + errors[n, 1] * east
            drawn[2, k] = pmdec + errors[n, 2] * (rho * east + rest * rng.standard_normal())
            drawn[3, k] = vlos + errors[n, 3] * rng.standard_normal()
        for i in range(3):
            outward, to_east, to_north = sky[:, i]
            for k in range(n_draws):
                tangential = drawn[1, k] * to_east + drawn[2, k] * to_north
                phase[i, k] = drawn[0, k] * outward + sun_position[i]
                phase[3 + i, k] = (
                    drawn[3, k] * outward
                    + KMS_PER_MASYR_KPC * drawn[0, k] * tangential
                    + sun_velocity[i]
                )
        _covariance_of(phase, out[n])


@compiled
def _galactocentric_draws(
    values: FloatArray, errors: FloatArray, rng: np.random.Generator, n_draws: int, out: FloatArray
) -> None:
    """Fill ``out`` (N, 3, 3) star by star, from ``n_draws`` draws of its phase-space position."""
    phase = np.empty((6, n_draws))
    for n in range(values.shape[0]):
        for i in range(6):
            for k in range(n_draws):
                phase[i, k] = values[n, i] + errors[n, i] * rng.standard_normal()
        _covariance_of(phase, out[n])
