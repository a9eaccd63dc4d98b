from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haloassay.base.errors import InputError
from haloassay.base.settings import build, nearest, require, unknown


@dataclass(frozen=True)
class Run:
    walkers: int
    steps: int = 100

    def __post_init__(self) -> None:
        require(self.walkers >= 8, f"walkers: at least 8 (got {self.walkers})")


@dataclass(frozen=True)
class Slopes:
    slopes: tuple[float, ...]
    width: float = 0.0
    run: Run = field(default_factory=lambda: Run(10))

    def __post_init__(self) -> None:
        require(len(self.slopes) > 0, "slopes: none is given")


@dataclass(frozen=True)
class Method:
    alpha: float | Slopes = -3.0
    bins: tuple[float, ...] | Literal["none"] = "none"
    radii: Literal["none"] | tuple[float, ...] = "none"
    pair: tuple[float, float] = (0.0, 1.0)
    limit: float = float("inf")
    ends: tuple[float, float] = (-float("inf"), float("inf"))
    n: int = 3
    x: float = 1.0
    flag: bool = True
    name: str = "a"
    kind: Literal["one", "two"] = "one"
    maybe: float | None = None


def message(spec, cls=Method):
    with pytest.raises(InputError) as caught:
        build(cls, spec, "here")
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"x": "1.0"}, "here.x: expected a number (got '1.0')"),
        ({"x": True}, "here.x: expected a number (got True)"),
        ({"x": [1.0]}, "here.x: expected a number (got [1.0])"),
        ({"x": {}}, "here.x: expected a number (got {})"),
        ({"x": float("nan")}, "here.x must be a number (got nan)"),
        ({"x": float("inf")}, "here.x must be finite"),
        ({"x": 10**400}, "here.x must be finite"),
        ({"limit": float("nan")}, "here.limit must be a number (got nan)"),
        ({"n": 3.0}, "here.n: expected an integer (got 3.0)"),
        ({"n": True}, "here.n: expected an integer (got True)"),
        ({"n": "3"}, "here.n: expected an integer (got '3')"),
        ({"flag": 1}, "here.flag: expected true or false (got 1)"),
        ({"flag": "yes"}, "here.flag: expected true or false (got 'yes')"),
        ({"name": 1}, "here.name: expected a string (got 1)"),
        ({"kind": "three"}, "here.kind: expected 'one' or 'two' (got 'three')"),
        ({"name": datetime.date(2020, 1, 1)}, "datetime.date(2020, 1, 1) is not a plain value"),
        ({"pair": [1.0]}, "here.pair: expected more values (got [1.0])"),
        ({"pair": [1.0, 2.0, 3.0]}, "here.pair: expected fewer values (got [1.0, 2.0, 3.0])"),
        ({"pair": [1.0, "x"]}, "here.pair.1: expected a number (got 'x')"),
        ({"pair": [1.0, float("inf")]}, "here.pair.1 must be finite"),
        # a union: what every branch would take, or the branch that got furthest
        ({"bins": 5.0}, "here.bins: expected a list or 'none' (got 5.0)"),
        ({"bins": "nne"}, "here.bins: expected a list or 'none' (got 'nne')"),
        ({"bins": [5.0, "x"]}, "here.bins.1: expected a number (got 'x')"),
        ({"radii": [5.0, "x"]}, "here.radii.1: expected a number (got 'x')"),
        ({"bins": [5.0, float("nan")]}, "here.bins.1 must be a number (got nan)"),
        ({"alpha": "x"}, "here.alpha: expected a number or a table (got 'x')"),
        ({"alpha": True}, "here.alpha: expected a number or a table (got True)"),
        # tables that are dataclasses themselves
        ({"alpha": {"slopes": [1.0, "x"]}}, "here.alpha.slopes.1: expected a number (got 'x')"),
        ({"alpha": {"slopes": 1.0}}, "here.alpha.slopes: expected a list (got 1.0)"),
        ({"alpha": {"width": 1.0}}, "here.alpha: setting 'slopes' is missing"),
        ({"alpha": {"slopes": []}}, "here.alpha: slopes: none is given"),
        (
            {"alpha": {"slopes": [1.0], "wdth": 1.0}},
            "here.alpha: unknown setting 'wdth'; did you mean 'width'? (allowed: run, slopes, width)",
        ),
        (
            {"alpha": {"slopes": [1.0], "run": {"walkers": 10.5}}},
            "here.alpha.run.walkers: expected an integer (got 10.5)",
        ),
        (
            {"alpha": {"slopes": [1.0], "run": {"walkers": 1}}},
            "here.alpha.run: walkers: at least 8 (got 1)",
        ),
        (
            {"alpha": {"slopes": [1.0], "run": {"walkers": 9, "stps": 1}}},
            "here.alpha.run: unknown setting 'stps'; did you mean 'steps'? (allowed: steps, walkers)",
        ),
        ({"kidn": "one"}, "here: unknown setting 'kidn'; did you mean 'kind'?"),
    ],
    ids=str,
)
def test_a_bad_value_is_one_line_with_its_path_and_what_is_allowed(spec, expected):
    assert expected in message(spec)


def test_a_missing_setting_is_named():
    assert message({}, Run) == "here: setting 'walkers' is missing"


def test_good_values_arrive_as_typed():
    built = build(
        Method,
        {
            "alpha": {"slopes": [-2, -4.6], "run": {"walkers": 9}},
            "bins": [5, 10.0],
            "limit": float("inf"),
            "ends": [-float("inf"), 2.0],
            "x": 2,
            "maybe": None,
        },
        "here",
    )
    assert built == Method(
        alpha=Slopes((-2.0, -4.6), run=Run(9)), bins=(5.0, 10.0), ends=(-float("inf"), 2.0), x=2.0
    )
    assert isinstance(built.x, float)
    assert isinstance(built.bins[0], float)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from(list(Method.__dataclass_fields__)), PLAIN)
@settings(max_examples=200, deadline=None)
def test_any_plain_value_is_built_or_refused_with_its_place(name, value):
    try:
        built = build(Method, {name: value}, "here")
    except InputError as caught:
        refused = str(caught)
    else:
        refused = ""
        assert isinstance(built, Method)
    assert refused == "" or refused.startswith(f"here.{name}")
    assert "\n" not in refused


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("NFW", ["nfw"]),
        ("desi", ["desi-kgiants"]),
        ("kgiants", ["desi-kgiants", "lamost-kgiants", "lamost-segue-kgiants"]),
        ("Triaxial", ["triaxial-nfw"]),
        ("hernqist", ["hernquist"]),
        ("rr", []),
        ("something else", []),
    ],
)
def test_nearest_names_are_told_over_case_and_parts(name, near):
    names = ["nfw", "triaxial-nfw", "hernquist", "desi-kgiants", "lamost-kgiants"]
    assert nearest(name, [*names, "lamost-segue-kgiants", "gaia-rrlyrae"]) == near


def test_several_near_names_are_all_asked_for():
    error = unknown("kind", "bird", ["bird-1", "bird-2", "a-bird-3", "other"], "here")
    assert "unknown kind 'bird'; did you mean 'bird-1', 'bird-2' or 'a-bird-3'? (allowed: " in str(
        error
    )


@pytest.mark.parametrize("spec", [{"limit": None}, {"ends": None}, {"ends": [None, None]}])
def test_null_is_no_limit_where_none_is_the_default(spec):
    """JSON has no infinite numbers, and what is told of a survey is settings that can be read again."""
    assert build(Method, spec, "here") == Method()
    assert build(Method, {"ends": [None, 2.0]}, "here").ends == (-float("inf"), 2.0)


def test_null_is_no_limit_nowhere_else():
    assert message({"x": None}) == "here.x: expected a number (got None)"
    assert message({"pair": [None, 1.0]}) == "here.pair.0: expected a number (got None)"
