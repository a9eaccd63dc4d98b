"""What a colour-blind reader sees, and what stands where in a figure."""

import itertools

import numpy as np
from matplotlib.colors import to_rgb

#: Linear RGB as people without one kind of cone see it (Machado, Oliveira & Fernandes 2009, severity 1.0).
BLIND = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
#: XYZ of linear sRGB, and of its white.
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def lab(colours, eyes=None):
    """CIELAB (n, 3) of colours, as somebody with these eyes sees them."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    if eyes is not None:
        linear = np.clip(linear @ np.array(BLIND[eyes]).T, 0.0, 1.0)
    xyz = linear @ _XYZ.T / _XYZ.sum(axis=1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16.0 / 116.0)
    x, y, z = f.T
    return np.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=1)


def nearest(colours, eyes=None):
    """Smallest distance of two of the colours in CIELAB; 2 is just seen side by side."""
    seen = lab(colours, eyes)
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))


def overlaps(one, other):
    """Whether two boxes have an area in common."""
    wide = min(one.x1, other.x1) - max(one.x0, other.x0)
    high = min(one.y1, other.y1) - max(one.y0, other.y0)
    return wide > 0.5 and high > 0.5  # half a dot is rounding


def require_apart(figure):
    """Draw a figure; its legend lies inside it, over none of its panels, and nothing is cut."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    (legend,) = figure.legends
    box = legend.get_window_extent(renderer)
    assert box.x0 >= -0.5
    assert box.y0 >= -0.5
    assert box.x1 <= figure.bbox.x1 + 0.5
    assert box.y1 <= figure.bbox.y1 + 0.5
    for axes in figure.axes:
        around = axes.get_tightbbox(renderer)
        assert not overlaps(around, box)
        assert around.x0 >= -1.5
        assert around.x1 <= figure.bbox.x1 + 1.5
        assert around.y1 <= figure.bbox.y1 + 1.5
    return box
