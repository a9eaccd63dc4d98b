from __future__ import annotations

import numpy as np
import pytest
from seeds import seeded

from haloassay.base.errors import EstimationError
from haloassay.estimators.fit.importance import importance_sample
from haloassay.estimators.fit.laplace import Laplace, UniformPrior
from haloassay.estimators.fit.slopes import TwoSlopes, outer_products, slope_draws

LO = np.array([-3.0, -3.0, 0.0, 3.0, 4.0])
HI = np.array([3.0, 3.0, 2.9, 12.0, 11.0])
PRIOR = UniformPrior(LO, HI)


def frame(steepness=1.0):
    return TwoSlopes(PRIOR, (6.5, 8.5), steepness)


def points(n, rng):
    return LO + (HI - LO) * (0.02 + 0.96 * rng.random((n, 5)))


@pytest.mark.parametrize("steepness", [1.0, 2.5])
def test_coordinates_there_and_back(steepness):
    x = points(50, seeded(1))
    back, density = frame(steepness).parameters(frame(steepness).of(x))
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-9)
    assert np.isfinite(density).all()


def test_coordinates_are_the_slopes_at_two_actions():
    x = points(20, seeded(2))
    y = frame(2.0).of(x)

    def log_f(log_action):
        return -x[:, 2] * log_action - (x[:, 3] - x[:, 2]) / 2.0 * np.log1p(
            np.exp(2.0 * (log_action - x[:, 4]))
        )

    for column, at in ((2, 6.5), (3, 8.5)):
        slope = (log_f(at - 1e-4) - log_f(at + 1e-4)) / 2e-4
        np.testing.assert_allclose(np.exp(y[:, column]), slope, rtol=1e-6)


def test_the_density_of_coordinates_is_that_of_the_prior():
    """Its logarithm is that of the determinant of dx / dy, but for a constant."""
    one = frame()
    y = one.of(points(8, seeded(3)))
    _, density = one.parameters(y)
    off = []
    for at, value in zip(y, density, strict=True):
        moves = 1e-5 * np.eye(5)
        ends = (one.parameters(at + sign * moves)[0] for sign in (1.0, -1.0))
        off.append(np.linalg.slogdet(np.subtract(*ends) / 2e-5)[1] - value)
    np.testing.assert_allclose(off, off[0], atol=1e-6)


def test_beyond_an_edge_of_the_prior_there_is_nothing():
    y = frame().of(points(1, seeded(4)))
    y[0, 3] += 3.0
    assert frame().parameters(y)[1][0] == -np.inf


def gaussian(x):
    """Correlated, about a point at the edge of the slope inside."""
    z = x - np.array([0.3, -0.5, 0.1, 6.0, 7.5])
    z = z / np.array([0.1, 0.2, 0.8, 1.5, 0.6])
    return -0.5 * (z**2).sum(axis=-1) - 0.4 * (z[..., 3] - 1.5 * z[..., 4] - 0.8 * z[..., 2]) ** 2


def test_draws_are_those_of_the_posterior():
    """Against a chain of Metropolis of its own, in the parameters themselves."""

    def derivatives(x):
        d, h = len(x), 1e-3 * np.eye(len(x))
        up, down = (np.array([gaussian(x + sign * m) for m in h]) for sign in (1.0, -1.0))
        hessian = np.array(
            [[gaussian(x + a + b) - gaussian(x + a - b) - gaussian(x - a + b) + gaussian(x - a - b)
              for a in h] for b in h]
        )  # fmt: skip
        return float(gaussian(x)), (up - down) / 2e-3, hessian.reshape(d, d) / 4e-6

    start, width = np.array([0.0, 0.0, 1.0, 6.0, 7.0]), np.array([0.1, 0.2, 0.5, 1.0, 0.5])
    found = slope_draws(gaussian, derivatives, frame(), start, width, 2000, seeded(5))
    rng, walkers = seeded(6), np.tile(start, (400, 1))
    kept = []
    for step in range(800):
        trial = walkers + 0.6 * width * rng.standard_normal(walkers.shape)
        taken = PRIOR.inside(trial) & (
            np.log(rng.random(400)) < gaussian(trial) - gaussian(walkers)
        )
        walkers = np.where(taken[:, None], trial, walkers)
        if step >= 200 and step % 30 == 0:
            kept.append(walkers)
    chain = np.concatenate(kept)
    np.testing.assert_array_less(np.abs(found.mean(0) - chain.mean(0)), 0.15 * chain.std(0))
    np.testing.assert_allclose(found.std(0), chain.std(0), rtol=0.12)


def test_scores_of_stars_make_gradient_and_curvature():
    x = seeded(7).standard_normal(4000)

    def each(point):
        return -0.5 * ((x - point[0]) / np.exp(point[1])) ** 2 - point[1]

    box = UniformPrior(np.array([-2.0, -2.0]), np.array([2.0, 2.0]))
    value, gradient, hessian = outer_products(each, np.array([1e-3, 1e-3]), box)(
        np.array([0.1, 0.0])
    )
    assert value == pytest.approx(each(np.array([0.1, 0.0])).sum())
    np.testing.assert_allclose(gradient, [np.sum(x - 0.1), np.sum((x - 0.1) ** 2 - 1.0)], atol=0.01)
    # of normal deviates: n and 2 n
    np.testing.assert_allclose(np.diag(hessian), [-4000.0, -8000.0], rtol=0.15)


def test_a_star_that_is_bound_on_one_side_only_gives_its_slope():
    box = UniformPrior(np.array([0.0]), np.array([2.0]))

    def each(point):
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.array([np.log(point[0] - 0.9995) + 0.0, point[0]])

    _, gradient, _ = outer_products(each, np.array([1e-3]), box)(np.array([1.0]))
    wanted = (each(np.array([1.001]))[0] - each(np.array([1.0]))[0]) / 1e-3 + 1.0
    assert gradient[0] == pytest.approx(wanted)

    def nowhere(point):
        return np.array([0.0 if point[0] == 1.0 else -np.inf])

    with pytest.raises(EstimationError, match="fastest star"):
        outer_products(nowhere, np.array([1e-3]), box)(np.array([1.0]))


def test_parts_of_a_proposal_follow_a_bent_density():
    """x_1 about x_0^2, cut off at x_0 = -1: one Student t finds few of what three find."""

    def log_density(x):
        values = -0.5 * x[:, 0] ** 2 - 0.5 * ((x[:, 1] - x[:, 0] ** 2) / 0.2) ** 2
        return np.where(x[:, 0] > -1.0, values, -np.inf)

    wide = Laplace(np.array([0.5, 1.0]), np.diag([1.0, 1.5]))
    runs = {
        parts: importance_sample(log_density, wide, 500, seeded(8), 1e9, parts=parts, rounds=6)
        for parts in (1, 3)
    }
    assert runs[3].effective > 1.3 * runs[1].effective
    from scipy.stats import truncnorm

    drawn = runs[3].resampled(4000, seeded(9))
    assert drawn[:, 0].mean() == pytest.approx(truncnorm(-1.0, np.inf).mean(), abs=0.08)
    assert np.std(drawn[:, 1] - drawn[:, 0] ** 2) == pytest.approx(0.2, rel=0.1)
