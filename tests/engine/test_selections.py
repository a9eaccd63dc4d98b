"""Scenarios that select stars, as the documentation has them, from end to end."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import haloassay
from haloassay.base.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "selecting.md"
EXAMPLES = {
    table["name"]: table
    for table in map(
        tomllib.loads, re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    )
    if "name" in table
}


def small(name, n_stars):
    spec = EXAMPLES[name]
    return {**spec, "realizations": 2, "survey": {**spec["survey"], "n_stars": n_stars}}


def estimates(spec, tmp_path):
    results = haloassay.run(spec, out=tmp_path / "out", workers=0)
    assert results.frame("runs").status.eq("ok").all()
    return results.frame("estimates")


def test_beta_by_metallicity(tmp_path):
    rows = estimates(small("beta-by-feh", 1500), tmp_path)
    rows = rows[rows.quantity == "beta"]
    rich, middle, poor = (
        rows[rows.cell == cell]
        for cell in ("clean.0.feh=[-1.3,-1.0]", "base", "clean.0.feh=[-3.0,-1.7]")
    )
    assert rich.truth.mean() > middle.truth.mean() + 0.05 > poor.truth.mean() + 0.1
    for part in (rich, middle, poor):
        error = np.sqrt(np.sum(((part.hi68 - part.lo68) / 2) ** 2)) / len(part)
        assert abs(np.mean(part.value - part.truth)) < 4.0 * error


def test_mass_by_quadrant(tmp_path):
    rows = estimates(small("mass-by-quadrant", 4000), tmp_path)
    rows = rows[rows.quantity == "enclosed_mass"]
    assert rows.cell.nunique() == 4
    truth = haloassay.mock(small("mass-by-quadrant", 100)).truth
    mass = truth.profile("enclosed_mass", rows.r.to_numpy())
    assert np.allclose(rows.truth, mass, rtol=1e-12)
    assert np.all(np.abs(rows.value / rows.truth - 1.0) < 0.6)


@pytest.mark.parametrize(
    ("quadrant", "l_range", "north"), [(0, (180, 360), True), (2, (0, 180), False)]
)
def test_a_quadrant_is_that_part_of_the_sky(quadrant, l_range, north):
    from astropy.coordinates import SkyCoord

    spec = small("mass-by-quadrant", 1000)
    made = haloassay.mock({**spec, "clean": [{"kind": "select", "quadrant": quadrant}]})
    sky = SkyCoord(made.catalogue["ra"], made.catalogue["dec"], unit="deg").galactic
    # the Galactic axes of a Sun and of astropy differ by less than 0.1 deg
    assert np.all((sky.b.deg > -0.2) if north else (sky.b.deg < 0.2))
    inside = (sky.l.deg > l_range[0] - 0.2) & (sky.l.deg < l_range[1] + 0.2)
    assert np.all(inside | (np.abs(sky.b.deg) > 60.0))
    assert 100 < len(made.stars) == len(made.catalogue) < 500


def test_errors_below_40_per_cent(tmp_path):
    spec = small("errors-below-40-per-cent", 3000)
    seen = haloassay.mock(spec)
    relative = seen.catalogue["distance_err"] / seen.catalogue["distance"]
    assert relative.max() < 0.4
    whole = haloassay.mock({**spec, "clean": []}).catalogue
    assert (whole["distance_err"] / whole["distance"]).max() > 0.4
    assert 0.7 < len(seen.catalogue) / len(whole) < 0.98
    assert len(estimates(spec, tmp_path))


@pytest.mark.parametrize(
    ("survey", "select", "message"),
    [
        (
            {"vlos_known": False},
            {"apocentre": [0.0, 50.0]},
            r"clean.0 \(select\): needs line-of-sight velocities",
        ),
        ({}, {"alpha_fe": [0.0, 1.0]}, r"clean.0 \(select\): needs \[alpha/Fe\]"),
        ({}, {"fhe": [0.0, 1.0]}, "unknown property 'fhe'; did you mean 'feh'"),
    ],
)
def test_a_step_that_cannot_be_is_refused_before_anything_is_written(
    survey, select, message, tmp_path
):
    spec = small("beta-by-feh", 100)
    spec |= {
        "matrix": {},
        "survey": {"preset": "perfect", "n_stars": 100, **survey},
        "clean": [{"kind": "select", **select}],
        "estimators": [{"kind": "velocity-ellipsoid"}],
    }
    with pytest.raises(InputError, match=message):
        haloassay.run(spec, out=tmp_path / "out", workers=0)
    assert not (tmp_path / "out").exists()
