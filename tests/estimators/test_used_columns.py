"""What an estimator does not read need not be there, nor be sound; what it reads must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from degenerate_samples import stars

from haloassay import measure
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.estimators import make_estimator


@dataclass(frozen=True)
class Reader(Estimator):
    """Number of columns that it was given, and of stars."""

    name: ClassVar[str] = "reader"
    reference: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ("velocity",)
    yields: ClassVar[tuple[str, ...]] = ("m200",)

    def estimate(self, catalogue, rng):
        assert all(np.isfinite(values).all() for values in catalogue.columns.values())
        return Estimates([Estimate("m200", float(100 * len(catalogue.columns) + len(catalogue)))])


def _spoilt(*names, value=np.nan):
    columns = stars(40)
    for name in names:
        columns[name][::2] = value
    return columns


@pytest.mark.parametrize("value", [np.nan, -9999.0])
@pytest.mark.parametrize("kind", ["velocity-ellipsoid", f"{__name__}:Reader"])
def test_missing_abundances_reach_nobody_who_does_not_read_them(kind, value):
    whole = {k: v for k, v in stars(40).items() if k not in ("feh", "alpha_fe")}
    wanted = measure(whole, kind).to_frame()
    assert measure(_spoilt("feh", "alpha_fe", value=value), kind).to_frame().equals(wanted)


def test_a_missing_abundance_that_is_read_is_named_with_two_ways_out():
    with pytest.raises(InputError, match=r"feh is NaN .* in 20 rows .*'nan'.*--columns feh=-"):
        measure(_spoilt("feh"), "gaussian-mixture")
    with pytest.raises(InputError, match=r"feh is NaN .*--columns feh=-"):
        measure(_spoilt("feh"), "gaussian-single")
    rows = measure(_spoilt("alpha_fe"), "gaussian-single")  # which can use the one, not the other
    assert all(not row.note for row in rows if row.quantity == "feh_mean")


def test_catalogues_in_memory_are_treated_like_files():
    sound = Catalogue.from_arrays(**_spoilt("feh"))
    assert len(measure(sound, "velocity-ellipsoid")) == 10
    with pytest.raises(InputError, match="catalogue: 20 of 40 stars have a feh that is NaN"):
        measure(sound, "gaussian-mixture")
    with pytest.raises(InputError, match="catalogue: 20 of 40 stars have a vlos that is NaN"):
        measure(Catalogue.from_arrays(**_spoilt("vlos")), "velocity-ellipsoid")


def test_line_of_sight_methods_do_without_proper_motions():
    columns = {k: v for k, v in _spoilt("pmra").items() if k != "alpha_fe"}
    spoilt = measure(columns, "los-jeans", alpha=-3.5, min_stars=5)
    columns = {k: v for k, v in stars(40).items() if k != "alpha_fe"}
    assert spoilt.to_frame().equals(
        measure(columns, "los-jeans", alpha=-3.5, min_stars=5).to_frame()
    )
    with pytest.raises(InputError, match="pmra is NaN"):
        measure(_spoilt("pmra"), "velocity-ellipsoid")


@pytest.mark.parametrize(
    ("spec", "usable"),
    [
        ({"kind": "velocity-ellipsoid"}, ("velocity",)),
        ({"kind": "gaussian-single"}, ("velocity", "feh")),
        ({"kind": "gaussian-mixture"}, ("velocity", "feh")),
        ({"kind": "sky-map"}, ("velocity", "feh", "alpha_fe")),
        ({"kind": "sky-map", "population": "accreted"}, ("velocity", "feh", "alpha_fe")),
        ({"kind": "los-jeans", "alpha": -3.5}, ("vlos",)),
    ],
)
def test_estimators_say_what_they_can_use(spec, usable):
    assert make_estimator(spec).usable() == usable
