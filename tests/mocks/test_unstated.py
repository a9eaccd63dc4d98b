"""Which settings of a survey no observer knows of: those that move measurements without a trace."""

from dataclasses import fields, replace

import numpy as np
from stand_in_halo import observe

from haloassay.mocks.surveys.survey import UNSTATED, Survey, make_survey

#: A survey in which everything matters, and another value of every setting.
PLAIN = {
    **{"n_stars": 200, "distance_error": 0.1, "pm_error": 0.05, "vlos_error": 5.0},
    **{"feh_error": 0.1, "alpha_fe_error": 0.1, "distance_feh_slope": 0.05},
    **{"distance_feh_correlation": 0.3, "distance_dipole": [0.05, 10.0, 20.0]},
}
OTHERS = {
    "sun": "li2026",
    "footprint": {"dec_min": -20.0},
    "completeness": {"minimum": 0.2},
    "luminosity": {"kind": "horizontal-branch"},
    "magnitude_limits": [11.0, 16.0],
    "g_offset": 0.3,
    "z_min": 5.0,
    "feh_max": -1.5,
    "z_any_feh": 1.0,
    "distance_min": 10.0,
    "distance_max": 20.0,
    "r_min": 8.0,
    "r_max": 20.0,
    "distance_error": 0.2,
    "distance_error_kind": "modulus",
    "distance_error_spread": 0.2,
    "distance_feh_correlation": 0.6,
    "distance_scale": 1.1,
    "pm_error": "gaia-dr3",
    "pm_correlation": 0.3,
    "vlos_known": False,
    "vlos_error": 9.0,
    "vlos_offset": 8.0,
    "feh_error": 0.2,
    "alpha_fe_error": 0.2,
    "error_max": [30.0, 100.0, 100.0],
    "distance_error_scale": 2.0,
    "pm_error_scale": 2.0,
    "vlos_error_scale": 2.0,
    "propagation": "monte-carlo",
    "distance_feh_slope": 0.1,
    "distance_feh_zero": -1.0,
    "distance_dipole": [0.05, 90.0, 20.0],
    "distance_prior": 10.0,
}


def test_settings_that_move_measurements_and_are_not_stated_are_told_to_nobody():
    """They change what is measured of the same stars, and neither columns, stated errors nor the Sun."""
    assert {*OTHERS} == {f.name for f in fields(Survey)} - {"n_stars", "template"}
    first = observe(PLAIN)
    hidden = set()
    for name, value in OTHERS.items():
        other = observe({**PLAIN, name: value})
        one, two = first.catalogue, other.catalogue
        alike = np.array_equal(first.stars.position, other.stars.position)
        if not alike or one.sun != two.sun or [*one.columns] != [*two.columns]:
            continue
        errors = [k for k in one.columns if k.endswith("_err") or k == "pm_corr"]
        shares = [
            [c[k] / c["distance"] if k == "distance_err" else c[k] for k in errors]
            for c in (one, two)
        ]
        measured = [k for k in one.columns if k not in errors]
        same = [np.array_equal(one[k], two[k]) for k in measured]
        if np.allclose(*shares, rtol=1e-9) and not all(same):
            hidden.add(name)
    assert hidden == {*UNSTATED}


def test_the_survey_without_what_is_wrong_is_that_of_no_such_settings():
    wrong = make_survey({**PLAIN, **{name: OTHERS[name] for name in UNSTATED}})
    assert (
        wrong.stated
        == replace(wrong.stated, **UNSTATED)
        == make_survey({k: v for k, v in PLAIN.items() if k not in UNSTATED})
    )
