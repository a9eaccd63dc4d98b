"""Stars that determine next to nothing make notes, never a traceback or an error of linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
from degenerate_samples import degenerate, stars, track
from seeds import seeded

from haloassay import measure
from haloassay.base.errors import EstimationError, InputError
from haloassay.base.kinds import FAMILIES
from haloassay.contracts.catalogue import Catalogue
from haloassay.estimators.fit.ellipsoid import Ellipsoid

_WITH_ALPHA = (
    *("tracer-mass", "los-jeans", "los-jeans-derivative"),
    *("spline-jeans", "power-law-df", "nfw-tracer", "axisymmetric-jeans"),
)
SETTINGS = {
    **{kind: {"alpha": -3.5} for kind in _WITH_ALPHA},
    "jeans-3d": {"alpha": -3.5, "bins": [5.0, 20.0, 40.0, 80.0]},
    "nfw-tracer": {"alpha": -3.5, "n_shapes": 7, "n_bootstrap": 20},
    "reflex-6d": {"n_draws": 50},
}
KINDS = tuple(FAMILIES["estimators"].builtin)
CATALOGUES = degenerate()

NO_DIRECTION = "the velocities have no scatter along some direction"


def _measured(catalogue, spec):
    try:
        return measure(catalogue, spec), None
    except (EstimationError, InputError) as error:
        return (), error


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CATALOGUES)
def test_degenerate_catalogues_make_values_or_notes(kind, name):
    rows, refusal = _measured(CATALOGUES[name], {"kind": kind, **SETTINGS.get(kind, {})})
    assert refusal is None or refusal.__cause__ is None  # in its own words, nobody else's
    assert all(row.note or np.isfinite(row.value) for row in rows)
    assert not any("not finite" in row.note for row in rows)


@pytest.mark.parametrize("step", [0.001, 0.01, 0.1, 1.0])
@pytest.mark.parametrize("errors", ["sandwich", "bootstrap", "fisher"])
def test_a_thin_track_has_no_scatter(step, errors):
    catalogue = Catalogue.from_arrays(**track(step))
    rows = measure(catalogue, "velocity-ellipsoid", errors=errors)
    assert {row.note for row in rows} == {NO_DIRECTION}


@pytest.mark.parametrize("errors", ["sandwich", "bootstrap", "fisher", "poisson"])
def test_errors_whose_squares_are_no_numbers_are_told(errors):
    catalogue = Catalogue.from_arrays(**stars(40), vlos_err=np.full(40, 1e200))
    notes = {row.note for row in measure(catalogue, "velocity-ellipsoid", errors=errors)}
    assert notes == {"the velocities or their errors are too large for their squares to be numbers"}


@pytest.mark.parametrize("total", [np.nan, np.inf])
def test_draws_of_an_ellipsoid_that_rounding_made_end(total):
    made = Ellipsoid(20, np.zeros(3), np.eye(3), np.eye(6), np.array([1.0, 1.0, total]))
    with pytest.raises(EstimationError, match=NO_DIRECTION):
        made.draws(10, seeded(1))


@pytest.mark.parametrize("name", ["one star n times", "at rest", "in a plane"])
def test_two_components_that_are_alike_are_named(name):
    notes = {row.note for row in measure(CATALOGUES[name], "gaussian-mixture")}
    assert len(notes) == 1
    assert "all stars have the same v_" in notes.pop()


def test_stars_in_the_very_centre_are_the_catalogues_fault():
    with pytest.raises(
        InputError, match=r"stars: 120 of 120 stars have a Galactocentric radius of zero"
    ):
        measure(CATALOGUES["in the centre"], "tracer-mass", alpha=-3.5)
