from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from seeds import seeded

from haloassay.base import kinds
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.estimate import Estimator
from haloassay.contracts.quantities import QUANTITIES
from haloassay.estimators import estimator_class, make_estimator

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
    "hierarchical-df": {},
    "action-df": {"n_draws": 100},
    "escape-speed": {"v_min": 200.0, "v_esc_range": [250.0, 1200.0], "halo": {}},
    "jeans-virial": {"alpha": -3.5},
    "axisymmetric-jeans": {"alpha": -3.5},
    "orbital-roulette": {},
    "npe": {},
    "tracer-density": {},
    "shape": {"bins": BINS},
    "nfw-tracer": {"alpha": -3.5, "n_shapes": 9, "n_bootstrap": 50},
    "gaussian-single": {"bins": BINS},
    "gaussian-mixture": {"bins": BINS},
}


#: Settings with which a method takes the velocity errors into account, and cells with enough stars.
HIDDEN = {
    "los-jeans": {"deconvolve": True},
    "los-jeans-derivative": {"deconvolve": True},
    "sky-map": {"map": "quadrants", "recipe": "deconvolved"},
}

#: Runs of emcee that are far too short.
RUN = {"emcee": {"walkers": 40, "steps": 30, "burn": 10}}
SHORT = {
    "jeans-3d": RUN,
    "tracer-mass": {"nfw": {"vc_range": "none", **RUN}},
    "los-jeans": {"halo": RUN},
    "los-jeans-derivative": {"halo": RUN},
    "dipole": RUN,
    "reflex-6d": RUN,
    "gaussian-single": RUN,
    "gaussian-mixture": {**RUN, "min_gain": 0.0},
    "power-law-df": RUN,
}

#: Quantities that come from the chain, where not all do.
CHAINED = {
    "tracer-mass": ("m200", "r200", "c200"),
    "los-jeans": ("enclosed_mass", "m200", "r200", "c200"),
    "los-jeans-derivative": ("enclosed_mass", "m200", "r200", "c200"),
    "dipole": ("mu_compr", "mu_dipole", "apex_l", "apex_b", "sigma_r", "mean_v_theta_predicted"),
}


def with_metallicity(catalogue):
    """The same stars with a column feh, which some methods need."""
    feh = seeded(3).normal(-1.4, 0.4, len(catalogue))
    return Catalogue.from_arrays(**catalogue.columns, feh=feh)


@pytest.mark.parametrize("kind", kinds.names("estimators"))
def test_every_estimator_keeps_the_contract(kind, scale_free):
    catalogue = with_metallicity(scale_free(2000, seeded(1), edges=(5.0, 60.0)))
    before = {name: values.copy() for name, values in catalogue.columns.items()}
    estimator = make_estimator({"kind": kind, **SPECS[kind]})
    assert estimator.name == kind
    assert estimator.reference
    rows = estimator.estimate(catalogue, seeded(2))
    again = estimator.estimate(catalogue, seeded(2))
    assert {row.quantity for row in rows} == set(estimator.yields)
    assert set(estimator.yields) <= set(QUANTITIES)
    for row, same in zip(rows, again, strict=True):
        assert row.note or np.isfinite(row.value)
        assert row.value == same.value or row.note == same.note != ""
    for name, values in catalogue.columns.items():
        np.testing.assert_array_equal(values, before[name])


@pytest.mark.parametrize("kind", kinds.names("estimators"))
def test_every_estimator_survives_one_star_and_none(kind, scale_free):
    catalogue = with_metallicity(scale_free(5, seeded(1), edges=(5.0, 60.0)))
    estimator = make_estimator({"kind": kind, **SPECS[kind]})
    for rows in (np.array([0]), np.array([], dtype=int)):
        for row in estimator.estimate(catalogue.select(rows), seeded(0)):
            assert row.note


BINNED = [kind for kind in kinds.names("estimators") if hasattr(estimator_class(kind), "bins")]


@pytest.mark.parametrize("kind", BINNED)
def test_an_empty_bin_says_so_and_the_others_stand(kind, scale_free):
    stars = with_metallicity(scale_free(800, seeded(4), edges=(5.0, 60.0)))
    stars = stars.select((stars.r < 25.0) | (stars.r > 35.0))
    bins = [5.0, 12.0, 25.0, 35.0, 60.0]
    estimator = make_estimator({"kind": kind, **SPECS[kind], "bins": bins})
    found = estimator.estimate(stars, seeded(5)).rows
    # the enclosed mass of a fitted halo needs no star where it is stated
    of_bins = [r for r in found if not (kind.startswith("los") and r.quantity == "enclosed_mass")]
    assert all(row.note for row in of_bins if row.r_lo == 25.0)
    assert any(row.r_lo == 25.0 for row in of_bins)
    # the mixture finds one population only
    assert kind == "gaussian-mixture" or any(not row.note for row in of_bins if row.r_lo == 5.0)


#: The mixture has a test of its own, with two populations; half of a map's cells are empty.
HALVED = [kind for kind in kinds.names("estimators") if kind not in ("gaussian-mixture", "sky-map")]


@pytest.mark.parametrize("kind", HALVED)
def test_one_hemisphere_is_enough(kind, scale_free):
    stars = with_metallicity(scale_free(1200, seeded(6), edges=(5.0, 60.0)))
    north = stars.select(stars["z"] > 0.0)
    estimator = make_estimator({"kind": kind, **SPECS[kind]})
    whole, half = (estimator.estimate(s, seeded(7)) for s in (stars, north))
    for row, other in zip(whole, half, strict=True):
        if row.note or "south" in row.quantity:
            continue
        if "do not bound" in other.note:  # half the stars may leave the shape of a halo open
            assert row.quantity in ("m200", "r200", "c200")
            continue
        if "too few stars for a kurtosis" in other.note:
            continue
        assert not other.note, (row.quantity, other.note)
        width = 0.5 * (other.hi95 - other.lo95)
        assert abs(row.value - other.value) < 3.0 * width or row.quantity == "apex_l"


@pytest.mark.parametrize("kind", kinds.names("estimators"))
def test_errors_far_larger_than_the_dispersion_leave_no_number_that_looks_fine(kind, scale_free):
    stars = with_metallicity(scale_free(1500, seeded(8), edges=(5.0, 60.0)))
    noise = 2000.0 * seeded(9).standard_normal((3, 1500))
    columns = dict(stars.columns)
    for axis, each in zip("xyz", noise, strict=True):
        columns[f"v{axis}"] = columns[f"v{axis}"] + each
        columns[f"v{axis}_err"] = np.full(1500, 2000.0)
    spec = {"kind": kind, **SPECS[kind], **HIDDEN.get(kind, {})}
    if kind == "reflex-6d":  # has a test of its own: its errors are heliocentric
        return
    if kind == "shape":  # reads no velocities
        return
    rows = make_estimator(spec).estimate(Catalogue(columns), seeded(10))
    for row in rows:
        if row.note or row.quantity.startswith(("mean", "feh", "p_mr", "mu", "apex")):
            continue
        # one in forty is resolved by chance: then its interval, wide, must reach the truth
        assert row.quantity.startswith("sigma"), (row.quantity, row.value)
        assert row.value - 3.0 * (row.value - row.lo95) < 200.0, (row.quantity, row.value, row.lo95)


@pytest.mark.parametrize("kind", SHORT)
def test_a_chain_that_does_not_mix_gives_no_number(kind, scale_free):
    stars = with_metallicity(scale_free(600, seeded(11), edges=(5.0, 60.0)))
    spec = {"kind": kind, **SPECS[kind], "sampler": "emcee", **SHORT[kind]}
    rows = make_estimator(spec).estimate(stars, seeded(12))
    judged = [row for row in rows if "does not mix" in row.note]
    assert judged
    assert all("autocorrelation time" in row.note for row in judged)
    from_chain = CHAINED.get(kind, tuple(row.quantity for row in rows))
    assert all(row.note for row in rows if row.quantity in from_chain)


@pytest.mark.parametrize("kind", kinds.names("estimators"))
def test_the_published_run_is_a_named_setting(kind):
    spec = {"kind": kind, **SPECS[kind], "as_published": True}
    cls = estimator_class(kind)
    if not cls.published:
        with pytest.raises(InputError, match=f"e: no published run of '{kind}' is known"):
            make_estimator(spec, "e")
        return
    theirs, ours = make_estimator(spec), make_estimator({**spec, "as_published": False})
    plain = make_estimator({**SPECS[kind], "kind": kind, **cls.published, **SPECS[kind]})
    assert theirs == plain
    assert (theirs == ours) == (kind == "sky-map")  # whose defaults are the paper's
    # what the table says itself goes before
    own = make_estimator({**spec, "n_draws": 7}) if hasattr(cls, "n_draws") else theirs
    assert getattr(own, "n_draws", 7) == 7


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "dipole", "as_published": 1}, "as_published: expected true or false (got 1)"),
        ({"kind": "jeans"}, "unknown estimator 'jeans'; did you mean 'jeans-3d'"),
        ({}, "key 'kind' is missing (allowed: action-df, "),
        ("jeans-3d", "expected a table with a key 'kind' (got 'jeans-3d')"),
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
