"""Anisotropy profiles: values, limits, functions, bad settings."""

from __future__ import annotations

import numpy as np
import pytest

from haloassay.base import kinds
from haloassay.base.errors import InputError
from haloassay.mocks.equilibria.anisotropy import FunctionAnisotropy, make_anisotropy

TABLE = {"kind": "table", "r": [5.0, 20.0, 40.0, 80.0], "beta": [0.6, 0.75, 0.65, 0.5]}
SPECS = [
    {"kind": "constant", "beta": -0.5},
    {"kind": "osipkov-merritt-profile", "r_a": 20.0},
    {"kind": "osipkov-merritt-profile", "r_a": 20.0, "beta0": -1.0},
    TABLE,
]


def test_every_kind_is_swept() -> None:
    assert {spec["kind"] for spec in SPECS} == set(kinds.names("betas"))


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s["kind"])
def test_keeps_shape_and_bound(spec: dict[str, object]) -> None:
    anisotropy = make_anisotropy(spec)
    r = np.geomspace(1e-4, 1e6, 60).reshape(3, 20)
    assert anisotropy.beta(r).shape == (3, 20)
    assert anisotropy.beta(2.0).shape == ()
    assert np.all(anisotropy.beta(r) <= 1.0)


def test_osipkov_merritt_goes_from_centre_to_radial() -> None:
    beta = make_anisotropy({"kind": "osipkov-merritt-profile", "r_a": 20.0, "beta0": -1.0}).beta
    assert float(beta(1e-6)) == pytest.approx(-1.0, abs=1e-12)
    assert float(beta(20.0)) == pytest.approx(0.0, abs=1e-15)
    assert float(beta(1e9)) == pytest.approx(1.0, abs=1e-12)
    classic = make_anisotropy({"kind": "osipkov-merritt-profile", "r_a": 20.0}).beta
    assert float(classic(10.0)) == pytest.approx(100.0 / 500.0, rel=1e-14)


def test_table_passes_through_its_points_without_overshoot() -> None:
    beta = make_anisotropy(TABLE).beta
    np.testing.assert_allclose(beta(TABLE["r"]), TABLE["beta"], rtol=1e-14)
    np.testing.assert_allclose(beta([0.1, 1e4]), [0.6, 0.5], rtol=1e-14)
    dense = beta(np.geomspace(5.0, 80.0, 400))
    assert dense.max() <= 0.75 + 1e-14
    assert dense.min() >= 0.5 - 1e-14
    rising = beta(np.geomspace(5.0, 20.0, 50))
    assert np.all(np.diff(rising) >= 0.0)


def test_numbers_and_functions_are_anisotropies() -> None:
    np.testing.assert_array_equal(make_anisotropy(0.5).beta([1.0, 2.0]), [0.5, 0.5])
    np.testing.assert_array_equal(FunctionAnisotropy(lambda r: r / 4).beta([1, 2]), [0.25, 0.5])
    np.testing.assert_array_equal(make_anisotropy(lambda _: 0.3).beta([1.0, 2.0]), [0.3, 0.3])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda r: r, "at most 1: 2 at r = 2 kpc"),
        (lambda r: r * np.nan, "finite and at most 1: nan"),
        (lambda r: -r / 0.0 if r is None else np.full(r.shape, -np.inf), "finite"),
        (lambda _: np.zeros(3), "shape"),
    ],
)
def test_bad_functions_are_refused_where_they_go_wrong(function: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_anisotropy(function).beta([0.5, 2.0])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"kind": "constant", "beta": 1.2}, "beta must be at most 1"),
        ({"kind": "constant"}, "'beta' is missing"),
        ({"kind": "osipkov-merritt-profile", "r_a": 0.0}, "r_a must be positive"),
        ({"kind": "osipkov-merritt-profile", "r_a": 9.0, "beta0": 2.0}, "beta0 must be at most 1"),
        ({"kind": "table", "r": [1.0, 2.0], "beta": [0.1]}, "one length"),
        ({"kind": "table", "r": [2.0, 1.0], "beta": [0.1, 0.2]}, "r must be positive and rising"),
        ({"kind": "table", "r": [1.0, 2.0], "beta": [0.1, 1.2]}, "beta must be at most 1"),
        ({"kind": "osipkov"}, "unknown anisotropy"),
        (True, "expected a table"),
        (None, "expected a table"),
        (1.5, "beta must be at most 1"),
    ],
)
def test_bad_settings_are_refused_by_name(spec: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make_anisotropy(spec, "mock.beta")
    assert str(caught.value).startswith("mock.beta")
