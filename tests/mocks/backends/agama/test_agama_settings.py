"""Bad settings of mocks of kind ``agama``: refused by name, with or without agama."""

from __future__ import annotations

import sys

import pytest
from agama_halos import HALO, HERNQUIST_TRACERS

from haloassay.base.errors import InputError
from haloassay.mocks.backends.agama.halo import make_agama_mock


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beta": {"kind": "table", "r": [1, 9], "beta": [0, 0.5]}}, "beta: .*osipkov-merritt"),
        ({"density": None}, "key 'density' is missing"),
        ({"potential": None}, "key 'potential' is missing"),
        ({"rotation": 0.5}, "unknown setting 'rotation'"),
        ({"r_range": [9.0, 3.0]}, "r_range must rise"),
        ({"distribution": {"kind": "schwarzchild"}}, "did you mean 'schwarzschild'"),
        (
            {"distribution": {"kind": "schwarzschild", "axis_ratios": [0.8, 0.0]}},
            r"distribution: axis ratios .* \(0, 1\] \(got 0\)",
        ),
        ({"distribution": {"kind": "schwarzschild", "orbits": 10}}, "orbits must be in"),
        (
            {"distribution": {"kind": "schwarzschild"}, "density": None},
            "key 'density' is missing",
        ),
        (
            {"distribution": {"kind": "quasi-spherical", "beta0": 1.0}},
            "unknown setting 'beta0'",
        ),
        ({"distribution": {"j0": 1.0}}, "key 'kind'"),
        (
            {
                "distribution": {
                    "kind": "double-power-law",
                    "j0": 1,
                    "slope_in": 1,
                    "slope_out": 5,
                }
            },
            "takes no 'density'",
        ),
    ],
)
def test_bad_settings_are_refused_by_name(changes, message: str) -> None:
    spec = {"kind": "agama", "potential": HALO, "density": HERNQUIST_TRACERS, "beta": 0.0}
    spec = {key: value for key, value in (spec | changes).items() if value is not None}
    with pytest.raises(InputError, match=message) as caught:
        make_agama_mock(spec, "mock")
    assert str(caught.value).startswith("mock")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"j0": -1.0}, "j0 must be above 0"),
        ({"j0": 1e300}, "j0 must be above 0 and at most"),
        ({"slope_out": 1e300}, "slope_out must be within"),
        ({"j_cutoff": -1.0}, "j_cutoff must be 0 to"),
        ({"slope_in": 3.0}, "slope_in must be below 3"),
        ({"slope_out": 2.5}, "slope_out must be above 3"),
        ({"coef_jr_in": 2.0, "coef_jz_in": 1.5}, "coef_jr_in and coef_jz_in"),
        ({"rot_frac": 2.0}, "rot_frac"),
    ],
)
def test_functions_of_actions_are_checked(changes, message: str) -> None:
    own = {
        "kind": "double-power-law",
        "j0": 3000.0,
        "slope_in": 2.0,
        "slope_out": 5.0,
    } | changes
    with pytest.raises(InputError, match=message):
        make_agama_mock({"kind": "agama", "potential": HALO, "distribution": own}, "mock")


A, B = {"name": "a", "fraction": 0.5}, {"name": "b"}
ORBITS = {"kind": "schwarzschild"}
ACTIONS = {"kind": "double-power-law", "j0": 3000.0, "slope_in": 2.0, "slope_out": 5.0}
TRIAXIAL_HALO = {"kind": "triaxial-nfw", "m200": 1e12, "c": 10.0, "axis_ratios": [0.8, 0.7]}


@pytest.mark.parametrize(
    ("populations", "changes", "message"),
    [
        ([A, B | {"fraction": 0.6}], {}, r"\.populations: fractions must sum to 1 \(got 1\.1\)"),
        ([A | {"fraction": 1.0}, B], {}, r"\.populations: fractions must sum to less than 1"),
        ([B, B | {"name": "c"}], {}, r"\.populations: 2 populations have no fraction"),
        ([A, A], {}, r"\.populations: names must differ \(got \['a', 'a'\]\)"),
        ([A, B | {"name": ""}], {}, r"\.populations\.1: name must not be empty"),
        ([A | {"fraction": 1.5}, B], {}, r"\.populations\.0: fraction must be above 0"),
        (
            [A | {"fraction": {"r": [5, 50], "share": [0.6, 0.9]}}, B],
            {},
            r"\.populations\.0\.fraction: expected a number",
        ),
        ([A, {"fraction": 0.5}], {}, r"\.populations\.1: key 'name' is missing"),
        ([], {}, r"\.populations: expected a list of tables"),
        ([A, 0.5], {}, r"\.populations\.1: expected a table"),
        ([A, B | {"rotation": 0.5}], {}, r"\.populations\.1: unknown setting 'rotation'"),
        ([A, B | {"r_range": [5.0, 50.0]}], {}, r"\.populations\.1: unknown setting 'r_range'"),
        ([A, B], {"rotation": 0.5}, ": unknown setting 'rotation'"),
        ([A, B], {"r_range": [9.0, 3.0]}, ": r_range must rise"),
        ([A, B], {"beta": None}, r"\.populations\.0: key 'beta' is missing"),
        (
            [A, B | {"distribution": ACTIONS, "beta": 0.1}],
            {},
            r"\.populations\.1: a double-power-law distribution takes no 'beta'",
        ),
        (
            [A, B],
            {"distribution": ACTIONS},
            ": double-power-law distributions take no 'density'",
        ),
        (
            [A, B | {"distribution": ORBITS}],
            {"potential": TRIAXIAL_HALO},
            r"\.populations: schwarzschild .* need a spherical potential",
        ),
        ([], {"fraction": 2.0, "populations": None}, ": fraction must be above 0"),
        ([], {"fraction": 0.5, "populations": None}, r"\.populations: fractions must sum to 1"),
    ],
)
def test_populations_that_cannot_be_are_refused_by_their_place(
    populations, changes, message: str
) -> None:
    spec = {"kind": "agama", "potential": HALO, "density": HERNQUIST_TRACERS, "beta": 0.0}
    spec |= {"populations": populations}
    spec = {key: value for key, value in (spec | changes).items() if value is not None}
    with pytest.raises(InputError, match=f"^mock{message}"):
        make_agama_mock(spec, "mock")


def test_the_density_of_the_mock_is_for_populations_that_have_use_of_it(monkeypatch) -> None:
    """What is left to refuse is that agama is missing."""
    monkeypatch.setitem(sys.modules, "agama", None)
    spec = {"kind": "agama", "potential": HALO, "density": HERNQUIST_TRACERS, "beta": 0.0}
    spec |= {"populations": [A, B | {"distribution": ACTIONS}]}
    with pytest.raises(InputError, match=r"^mock: needs agama"):
        make_agama_mock(spec, "mock")
    spec |= {"potential": TRIAXIAL_HALO, "distribution": ORBITS, "populations": [A, B]}
    with pytest.raises(InputError, match=r"^mock: needs agama"):
        make_agama_mock(spec, "mock")
