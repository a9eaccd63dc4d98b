"""Maps show the numbers of their cells where the cells are, and join none of them."""

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from seeds import seeded
from seen import require_apart

from haloassay.analysis.maps import CellMap, cell_maps
from haloassay.analysis.profiles import profiles
from haloassay.analysis.scores import sample, score
from haloassay.reports.figures import sky
from haloassay.reports.figures.bias import bias_figure
from haloassay.reports.figures.cloud import cloud_figure
from haloassay.reports.figures.profile import profile_figure

HEALPIX = CellMap("healpix", 1, 30.0, 1.0)
QUADRANTS = CellMap("quadrants", 4, 30.0, 1.0)


def a_map(folder, cells):
    """Results of a map whose cell k has a bias of k per cent, and none in the last cell."""
    frame = pd.concat(
        synthetic.rows(
            seeded(5, k), 9, "base", "map", "sigma_r", k, 20.0 + k, 100.0, k / 100, 0.001
        )
        for k in range(cells.size - 1)
    )
    return synthetic.write(folder, frame, synthetic.runs_of(frame))


@pytest.mark.parametrize("cells", [HEALPIX, QUADRANTS], ids=["healpix", "quadrants"])
def test_maps_show_the_bias_of_every_cell_where_it_is(tmp_path, cells):
    results = a_map(tmp_path, cells)
    scores = score(results)
    drawn = sky.map_figure(profiles(results), scores, "sigma_r", {("base", "map"): cells})
    figure = drawn.figure
    require_apart(figure)
    value, bias = (axes for axes in figure.axes if axes.name == "mollweide")
    (image,) = bias.images or [a for a in bias.get_children() if hasattr(a, "get_clim")]
    shown = np.ma.filled(image.get_array(), np.nan)
    rows, columns = shown.shape
    lon, lat = cells.centres()
    for k in range(cells.size):
        turned = np.radians(-0.98 * ((lon[k] + 180.0) % 360.0 - 180.0) + 0.5)  # off the seams
        place = bias.transData.transform((turned, np.radians(lat[k] * 0.98 + 0.4)))
        u, v = bias.transAxes.inverted().transform(place)
        pixel = shown[int(v * rows), int(u * columns)]
        if k == cells.size - 1:
            assert np.isnan(pixel)
        else:
            assert pixel == pytest.approx(100.0 * scores["bias"][k])
    assert image.get_clim() == pytest.approx((-np.nanmax(shown), np.nanmax(shown)))
    dots = next(line for line in bias.lines if line.get_marker() == ".")
    far = scores["bias"].abs() > 2.0 * scores["bias_mcse"]
    assert len(dots.get_xdata()) == far.sum() < cells.size
    assert not [line for line in value.lines if line.get_linestyle() == "-"]


def test_the_first_quadrant_is_up_and_to_the_right():
    """l = 270, b = 45 deg: Galactic longitude grows to the left of l = 0."""
    lon, lat = sky.on_mollweide(400, 200)
    where = np.isfinite(lon)
    number = np.full(lon.shape, -1)
    number[where] = QUADRANTS.cell_at(lon[where], lat[where])
    assert number[150, 300] == 0
    assert number[150, 100] == 1
    assert number[50, 100] == 2
    assert number[50, 300] == 3
    assert number[199, 0] == -1


def test_cells_of_a_map_are_joined_by_no_line(tmp_path):
    results = a_map(tmp_path, HEALPIX)
    for drawn in (
        bias_figure(score(results), "sigma_r", scattered={"map"}),
        profile_figure(profiles(results), "sigma_r", scattered={"map"}),
        cloud_figure(sample(results), "sigma_r", scattered={"map"}),
    ):
        (axes,) = drawn.figure.axes
        joined = [line for line in axes.lines if line.get_linestyle() not in ("None", "none")]
        assert [len(line.get_xdata()) for line in joined if len(line.get_xdata()) > 2] == []
        assert not [a for a in axes.collections if type(a).__name__.startswith(("Fill", "Poly"))]


def test_run_json_says_where_the_cells_of_a_map_are():
    settings = {"map": "xy", "nside": 4, "extent": 30.0, "step": 7.0}
    told = {
        "estimators": [
            {"estimator": "a", "kind": "sky-map"},
            {"estimator": "b", "kind": "jeans-3d"},
        ],
        "cells": [
            {"cell": "base", "made_of": {"estimators": {"a": settings, "b": {}}}},
            {"cell": "far"},
        ],
    }
    maps = cell_maps(told)
    assert set(maps) == {("base", "a"), ("far", "a")}
    assert maps["far", "a"] == maps["base", "a"]
    assert maps["base", "a"].size == 100  # of the grid -30, -23, ... 33


def test_apexes_are_on_the_map_where_they_are(tmp_path):
    rng = seeded(7)
    frame = pd.concat(
        synthetic.rows(rng, 6, estimator="dipole", quantity=q, truth=t, sigma=2.0)
        for q, t in (("apex_l", -28.0), ("apex_b", -24.0))
    )
    results = synthetic.write(tmp_path, frame, synthetic.runs_of(frame))
    rows = sample(results)
    figure = sky.apex_figure(rows).figure
    require_apart(figure)
    (axes,) = figure.axes
    points = next(line for line in axes.lines if line.get_marker() == "o")
    lon, lat = (rows.loc[rows["quantity"] == q, "value"] for q in ("apex_l", "apex_b"))
    np.testing.assert_allclose(points.get_xdata(), -np.radians(lon))
    np.testing.assert_allclose(points.get_ydata(), np.radians(lat))
    cross = next(line for line in axes.lines if line.get_marker() == "+")
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == pytest.approx(
        (np.radians(28.0), np.radians(-24.0))
    )
