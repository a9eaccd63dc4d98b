"""The frame of a figure: scales and ranges of its axes, where they are to be those of another figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from haloassay.base.settings import require
from haloassay.reports.figures.panels import log_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Scale = Literal["linear", "log"]
Range = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """Scales and ranges of both axes; what is left out is as the kind of figure has it.

    Parameters
    ----------
    x_scale, y_scale
        ``"linear"`` or ``"log"``.
    x_range, y_range
        Ends, in the numbers that stand at the axis.

    Raises
    ------
    InputError
        If the ends of a range do not ascend, or begin below zero of a logarithmic axis.
    """

    x_scale: Scale | None = None
    y_scale: Scale | None = None
    x_range: Range | None = None
    y_range: Range | None = None

    def __post_init__(self) -> None:
        for axis in "xy":
            ends, scale = getattr(self, f"{axis}_range"), getattr(self, f"{axis}_scale")
            if ends is not None:
                require(ends[0] < ends[1], f"--{axis}-range: ends must ascend (got {list(ends)})")
                require(
                    scale != "log" or ends[0] > 0.0,
                    f"--{axis}-range: a logarithmic axis begins above 0 (got {list(ends)})",
                )

    @property
    def is_free(self) -> bool:
        """Whether nothing is said."""
        return self == Frame()

    def put(self, figure: Figure) -> None:
        """Give all panels of a figure these axes."""
        for axes in figure.axes:
            for axis, scale, ends in (
                (axes.xaxis, self.x_scale, self.x_range),
                (axes.yaxis, self.y_scale, self.y_range),
            ):
                _put(axis, scale, ends)


def _put(axis: Any, scale: Scale | None, ends: Range | None) -> None:
    if scale is not None and axis.get_scale() != scale:
        axis.axes.set(**{f"{axis.axis_name}scale": scale})
        if scale == "log":
            lo, hi = ends or axis.get_data_interval()
            log_ticks(axis, hi < 12.0 * lo)
    if ends is not None:
        axis.axes.set(**{f"{axis.axis_name}lim": ends})
