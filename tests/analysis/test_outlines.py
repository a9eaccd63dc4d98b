"""Outlines of the cells of maps: what a page draws is the cell that the estimator's stars are in."""

import numpy as np
import pytest
from seeds import seeded

from haloassay.analysis.maps import CellMap


def turned(ring):
    """Twice the area of a ring in longitude and latitude [deg^2]: below zero where it goes clockwise."""
    steps = np.diff([lon for lon, _ in ring])
    x = np.concatenate([[0.0], np.cumsum((steps + 180.0) % 360.0 - 180.0)])
    y = [b for _, b in ring]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def within(ring, lon, lat):
    """Whether points are in a ring in longitude and latitude, by the number of its sides that a ray crosses."""
    x = np.array([(a - lon + 180.0) % 360.0 - 180.0 for a, _ in ring])
    y = np.array([c for _, c in ring]) - lat
    crossed = 0
    for k in range(len(ring)):
        x0, y0, x1, y1 = x[k - 1], y[k - 1], x[k], y[k]
        if (y0 > 0.0) != (y1 > 0.0):
            crossed += x0 - y0 * (x1 - x0) / (y1 - y0) > 0.0
    return crossed % 2 == 1


@pytest.mark.parametrize("nside", [1, 2, 4])
def test_outlines_of_the_sky_go_clockwise_and_hold_their_own_middle(nside):
    cells = CellMap("healpix", nside, 10.0, 1.0)
    rings = cells.outlines()
    assert len(rings) == cells.size
    lon, lat = cells.centres()
    for k, ring in enumerate(rings):
        assert turned(ring) < 0.0
        assert within(ring, lon[k], lat[k])
    # together they are the sky, once
    assert -0.5 * sum(map(turned, rings)) == pytest.approx(360.0 * 180.0)


def test_quadrants_hold_the_stars_that_are_counted_there():
    cells = CellMap("quadrants", 1, 10.0, 1.0)
    rng = seeded(4)
    lon, lat = rng.uniform(0.0, 360.0, 200), np.degrees(np.arcsin(rng.uniform(-1.0, 1.0, 200)))
    number = cells.cell_at(lon, lat)
    for k, ring in enumerate(cells.outlines()):
        assert turned(ring) == -2.0 * 180.0 * 90.0
        low, high = min(y for _, y in ring), max(y for _, y in ring)
        start = ring[0][0]
        inside = (low <= lat) & (lat < high) & ((lon - start) % 360.0 < 180.0)
        assert np.array_equal(inside, number == k)


def test_cells_of_a_plane_are_squares_about_their_points():
    cells = CellMap("xz", 1, 4.0, 2.0)
    axis = [-4.0, -2.0, 0.0, 2.0, 4.0]
    assert cells.axis.tolist() == axis
    rings = cells.outlines()
    assert rings[1] == [[-5.0, -3.0], [-3.0, -1.0]]
    assert rings[5] == [[-3.0, -5.0], [-1.0, -3.0]]
