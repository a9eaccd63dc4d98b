from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from haloassay.catalogue import Catalogue
from haloassay.errors import InputError
from haloassay.estimate import QUANTITIES, Estimator
from haloassay.estimators import BUILTIN, estimator_class, make_estimator

BINS = [5, 15, 25, 60]
SPECS = {
    "velocity-ellipsoid": {"bins": BINS},
    "jeans-3d": {"bins": BINS, "alpha": {"slopes": [-2.8, -4.6], "breaks": [17.0]}},
    "tracer-mass": {"bins": BINS, "alpha": -4, "nfw": {"vc_range": "none"}},
    "los-jeans": {"bins": BINS},
    "los-jeans-derivative": {"bins": BINS},
    "sky-map": {"map": "quadrants"},
    "dipole": {},
    "reflex-6d": {},
    "spline-jeans": {"alpha": "measured"},
    "power-law-df": {"alpha": -3.5},
    "nfw-tracer": {"alpha": -3.5},
    "gaussian-single": {"bins": BINS},
    "gaussian-mixture": {"bins": BINS},
}


def with_metallicity(catalogue):
    """The same stars with a column feh, which some methods need."""
    feh = np.random.default_rng(3).normal(-1.4, 0.4, len(catalogue))
    return Catalogue.from_arrays(**catalogue.columns, feh=feh)


@pytest.mark.parametrize("kind", BUILTIN)
def test_every_estimator_keeps_the_contract(kind, scale_free):
    catalogue = with_metallicity(scale_free(2000, np.random.default_rng(1), edges=(5.0, 60.0)))
    before = {name: values.copy() for name, values in catalogue.columns.items()}
    estimator = make_estimator({"kind": kind, **SPECS[kind]})
    assert estimator.name == kind
    assert estimator.reference
    rows = estimator.estimate(catalogue, np.random.default_rng(2))
    again = estimator.estimate(catalogue, np.random.default_rng(2))
    assert {row.quantity for row in rows} == set(estimator.yields)
    assert set(estimator.yields) <= set(QUANTITIES)
    for row, same in zip(rows, again, strict=True):
        assert row.note or np.isfinite(row.value)
        assert row.value == same.value or row.note == same.note != ""
    for name, values in catalogue.columns.items():
        np.testing.assert_array_equal(values, before[name])


@pytest.mark.parametrize("kind", BUILTIN)
def test_every_estimator_survives_one_star_and_none(kind, scale_free):
    catalogue = with_metallicity(scale_free(5, np.random.default_rng(1), edges=(5.0, 60.0)))
    estimator = make_estimator({"kind": kind, **SPECS[kind]})
    for rows in (np.array([0]), np.array([], dtype=int)):
        for row in estimator.estimate(catalogue.select(rows), np.random.default_rng(0)):
            assert row.note


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "jeans"}, "unknown estimator 'jeans'; did you mean 'jeans-3d'"),
        ({}, "expected a table with a key 'kind'"),
        ({"kind": "no.such.module:X"}, "cannot be imported"),
        ({"kind": "math:pi"}, "not a subclass"),
        ({"kind": "jeans-3d", "bins": BINS}, "setting 'alpha' is missing"),
        ({"kind": "jeans-3d", "alpha": -4, "bins": []}, "at least two edges"),
        ({"kind": "jeans-3d", "alpha": -4, "bins": [15, 5]}, "edges ascend"),
        ({"kind": "jeans-3d", "alpha": -4, "bins": BINS, "bogus": 1}, "unknown setting 'bogus'"),
        (
            {"kind": "jeans-3d", "bins": BINS, "alpha": {"slopes": [-2, -4], "breaks": []}},
            "estimators[0].alpha",
        ),
        ({"kind": "jeans-3d", "bins": BINS, "alpha": {"slope": [-2]}}, "estimators[0].alpha"),
        ({"kind": "jeans-3d", "bins": BINS, "alpha": -4, "emcee": {"walkers": 4}}, "emcee"),
        ({"kind": "tracer-mass", "alpha": -4, "data": "r-vz"}, "data"),
        ({"kind": "tracer-mass", "alpha": -4, "beta": 1.0}, "beta: below 1"),
        ({"kind": "tracer-mass", "alpha": -4, "shape": {"r_s": -1}}, "r_s is positive"),
        ({"kind": "tracer-mass", "alpha": -4, "shape": {}}, "either r_s, or r200 and c"),
        ({"kind": "tracer-mass", "alpha": -4, "nfw": {"vc_range": [250, 200]}}, "vc_range"),
        ({"kind": "tracer-mass", "alpha": -4, "r_out": [10.0]}, "r_out: only with a known shape"),
    ],
)
def test_bad_settings_are_named_in_one_line(spec, message):
    with pytest.raises(InputError) as caught:
        make_estimator(spec, "estimators[0]")
    assert message in str(caught.value)
    assert str(caught.value).startswith("estimators[0]")
    assert "\n" not in str(caught.value)


def test_an_estimator_of_another_module():
    found = estimator_class("haloassay.estimators.jeans_3d:Jeans3D")
    assert issubclass(found, Estimator)
    assert found.name == "jeans-3d"


def test_the_list_of_estimators_costs_no_heavy_import():
    code = (
        "import sys, haloassay.estimators; "
        "heavy = {'numba', 'scipy', 'pandas', 'emcee', 'pydantic'} & set(sys.modules); "
        "print(*heavy)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
