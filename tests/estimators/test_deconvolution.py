"""Distances freed from their errors: what is smeared by them is found again, and nothing else moves."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
from seeds import seeded

from haloassay.base.cache import plain_content
from haloassay.base.errors import EstimationError, InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.estimate import Estimate, Estimates
from haloassay.estimators import deconvolution, make_estimator
from haloassay.estimators.bins import DensitySlope
from haloassay.estimators.deconvolution import RadiusDeconvolution
from haloassay.mocks import make_mock
from haloassay.mocks.surveys.stated import StatedSelection
from haloassay.mocks.surveys.survey import make_survey

SLOPE, BETA = -3.5, 0.6
MOCK = {
    "kind": "equilibrium",
    "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
    "density": {"kind": "power-law", "slope": SLOPE},
    "beta": {"kind": "constant", "beta": BETA},
}
FREED = {"distances": {"alpha": SLOPE, "draws": 5}}


@functools.cache
def observed(error, n=3000, seed=4):
    survey = {"n_stars": n, "r_min": 5.0, "r_max": 100.0, "vlos_error": 2.0, "pm_error": 0.01}
    made = make_survey({**survey, "distance_error": error})
    return made.observe(make_mock(MOCK), seeded(seed, 1), seeded(seed, 2)).catalogue


def values(spec, catalogue, quantity):
    rows = make_estimator(spec, "e").estimate(catalogue, seeded(7)).of(quantity)
    return np.array([row.value for row in rows])


SPLINES = {"kind": "spline-jeans", "alpha": SLOPE, "r": [10.0, 35.0]}
TRACERS = {"kind": "tracer-mass", "alpha": SLOPE, "bins": [12.0, 25.0, 45.0]}
ELLIPSOID = {"kind": "velocity-ellipsoid", "bins": [12.0, 25.0, 45.0]}


@pytest.mark.parametrize("spec", [SPLINES, TRACERS, ELLIPSOID], ids=lambda spec: spec["kind"])
def test_without_errors_it_changes_next_to_nothing(spec):
    catalogue = observed(0.002)
    quantity = "beta" if spec is ELLIPSOID else "enclosed_mass"
    plain, freed = (values({**spec, **more}, catalogue, quantity) for more in ({}, FREED))
    np.testing.assert_allclose(freed, plain, rtol=0.04, atol=0.01)


def test_what_errors_of_30_per_cent_move_comes_back():
    """Near the inner edge, where stated distances fail; the mass of stars with exact ones is the mark."""
    exact = values(SPLINES, observed(0.0), "enclosed_mass")[0]
    plain = values(SPLINES, observed(0.3), "enclosed_mass")[0]
    freed = values({**SPLINES, **FREED}, observed(0.3), "enclosed_mass")[0]
    assert plain < 0.8 * exact
    assert abs(freed - exact) < 0.5 * abs(plain - exact)


def test_intervals_are_those_of_all_catalogues():
    """Catalogues of drawn distances differ, and the width of their pool is more than that of one."""

    class Told:
        def estimate(self, catalogue, rng):
            middle = np.mean(catalogue["distance"])
            return Estimates([Estimate.from_draws("r_break", middle + np.array([-1e-3, 1e-3]))])

    freed = RadiusDeconvolution(SLOPE, 8)
    (row,) = freed.pooled(Told(), observed(0.3), seeded(1))
    assert len(row.draws) == 16
    assert np.ptp(row.draws) > 0.1


def test_drawn_distances_are_the_true_ones_on_average():
    """Of stars whose density and velocities are as assumed: a Plummer sphere, so that nothing is cut off."""
    mock = {
        "kind": "local-jeans-gaussian",
        "potential": MOCK["potential"],
        "density": {"kind": "plummer", "a": 15.0},
        "beta": {"kind": "constant", "beta": 0.0},
    }
    survey = make_survey({"n_stars": 1500, "vlos_error": 2.0, "pm_error": 0.01})
    exact = replace(survey.observe(make_mock(mock), seeded(1), seeded(2)).catalogue, selection=None)
    stated = exact["distance"] * np.exp(0.3 * seeded(3).standard_normal(len(exact)))
    columns = {**exact.columns, "distance": stated, "distance_err": 0.3 * stated}
    off = []

    class Told:
        def estimate(self, catalogue, rng):
            off.append(np.mean(np.log(catalogue["distance"] / exact["distance"])))
            return Estimates([])

    form = DensitySlope((-1e-3, -5.0), (15.0,), 0.5)
    RadiusDeconvolution(form, 10).pooled(Told(), replace(exact, columns=columns), seeded(4))
    assert abs(np.mean(off)) < 0.03


def altered(catalogue, **stars):
    """The catalogue with other numbers of its first stars."""
    columns = {name: np.array(values) for name, values in catalogue.columns.items()}
    for name, values in stars.items():
        columns[name][: len(values)] = values
    return replace(catalogue, columns=columns)


@pytest.mark.parametrize("error", [300.0, 1e5, 1e300])
def test_a_star_of_unknown_distance_leaves_the_others_alone(error):
    """One of 3000: what it moves is less than a tenth of the interval."""
    catalogue = observed(0.1)
    method = make_estimator({**SPLINES, **FREED}, "e")
    plain, one = (
        method.estimate(each, seeded(7)).of("enclosed_mass")
        for each in (catalogue, altered(catalogue, distance_err=[error]))
    )
    for row, other in zip(plain, one, strict=True):
        assert abs(other.value - row.value) < 0.1 * (row.hi68 - row.lo68)


def test_nodes_of_a_known_distance_are_errors_apart_and_those_of_an_unknown_one_in_reach():
    catalogue = altered(observed(0.1), distance_err=[1e9])
    nodes = deconvolution._Nodes.of(catalogue, DensitySlope((SLOPE,), (), 0.0)).log_d
    sigma = catalogue["distance_err"] / catalogue["distance"]
    np.testing.assert_allclose(np.ptp(nodes, axis=1)[1:], 8.0 * sigma[1:])
    assert np.ptp(nodes[0]) == pytest.approx(2.0 * np.log(100.0))


def test_many_stars_at_one_place_leave_no_shell_empty():
    """More than half at one radius, as of a cluster: all weights are numbers, and all stars keep a distance."""
    catalogue = observed(0.1, n=400)
    there = {name: np.full(251, catalogue[name][0]) for name in ("ra", "dec", "distance")}
    nodes = deconvolution._Nodes.of(altered(catalogue, **there), DensitySlope((SLOPE,), (), 0.0))
    np.testing.assert_allclose(nodes.weights().sum(axis=1), 1.0)


def test_stars_where_the_survey_sees_none_are_said():
    catalogue = observed(0.1)
    elsewhere = make_survey({"n_stars": 10, "footprint": {"dec_min": 89.0}})
    moved = replace(catalogue, selection=StatedSelection.of(elsewhere))
    with pytest.raises(EstimationError, match="of 3000 stars are where the selection function"):
        make_estimator({**SPLINES, **FREED}, "e").estimate(moved, seeded(1))


def test_defaults_and_keys_are_as_they_were():
    for spec in (SPLINES, TRACERS, ELLIPSOID):
        assert "distances" not in plain_content(make_estimator(spec, "e"))


def test_what_it_cannot_work_on_is_said(monkeypatch):
    catalogue = observed(0.1)
    kept = {k: v for k, v in catalogue.columns.items() if k != "distance_err"}
    method = make_estimator({**ELLIPSOID, **FREED}, "e")
    with pytest.raises(EstimationError, match="needs distance and distance_err"):
        method.estimate(Catalogue(kept, catalogue.sun), seeded(1))
    with pytest.raises(EstimationError, match="50 stars"):
        method.estimate(replace(catalogue.select(slice(20)), selection=None), seeded(1))
    with pytest.raises(EstimationError, match="too large to be one"):
        method.estimate(altered(catalogue, vlos_err=[1e200]), seeded(1))
    monkeypatch.setattr(deconvolution, "_MOST", 1000)
    with pytest.raises(EstimationError, match="up to 1000 stars"):
        method.estimate(catalogue, seeded(1))
    for wrong in ({"alpha": 1.0}, {"alpha": -3.0, "draws": 1}, {}):
        with pytest.raises(InputError, match="distances"):
            make_estimator({**ELLIPSOID, "distances": wrong}, "e")
