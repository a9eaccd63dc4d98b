"""Cuts in energy, height above the plane, and balls about known structures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

import numpy as np

from haloassay.base.arrays import BoolArray, FloatArray
from haloassay.base.settings import require
from haloassay.cleaning.integrals import AssumedPotential, integrals_of_motion
from haloassay.cleaning.steps import Clean
from haloassay.contracts.catalogue import Catalogue


@dataclass(frozen=True)
class EnergyCut(Clean):
    """Drop stars that are not bound: E >= e_max in an assumed Milky Way.

    Bird et al. (2021, 2022) and Han et al. (2024) keep E < 0. The cut takes the observed energy, so
    distant stars with large errors of their proper motions go first, and the tangential
    dispersions of what stays are biased low: count them.

    Parameters
    ----------
    e_max
        Greatest energy [(km/s)^2], zero at infinity.
    potential
        Milky Way in which energies are taken.
    """

    kind: ClassVar[str] = "energy-cut"

    e_max: float = 0.0
    potential: AssumedPotential = field(default_factory=AssumedPotential)

    @property
    def reason(self) -> str:
        """Why stars go."""
        return f"E >= {self.e_max:g} (km/s)^2"

    def kept(self, catalogue: Catalogue) -> BoolArray:
        """Which stars (N,) stay."""
        return np.asarray(integrals_of_motion(catalogue, self.potential)[:, 0] < self.e_max)


@dataclass(frozen=True)
class HeightCut(Clean):
    """Drop stars near the disc: |Z| < z_min.

    Parameters
    ----------
    z_min
        Least height [kpc] above or below the plane: 5 in Zhai et al. (2018) and Han et al. (2024).
    feh_max
        Stars at most this metal-rich [dex] stay from ``z_poor`` on: Bird et al. (2021) keep
        2 < |Z| < 5 kpc where [Fe/H] < -1. ``"none"``: metallicity does not matter.
    z_poor
        Least height [kpc] of those.
    """

    kind: ClassVar[str] = "height-cut"

    z_min: float = 5.0
    feh_max: float | Literal["none"] = "none"
    z_poor: float = 2.0

    def __post_init__(self) -> None:
        require(self.z_min >= 0.0, f"z_min is not negative (got {self.z_min:g})")
        require(self.z_poor >= 0.0, f"z_poor is not negative (got {self.z_poor:g})")

    def required(self) -> tuple[str, ...]:
        """[Fe/H], where it matters."""
        return () if self.feh_max == "none" else ("feh",)

    @property
    def reason(self) -> str:
        """Why stars go."""
        return f"|Z| < {self.z_min:g} kpc"

    def kept(self, catalogue: Catalogue) -> BoolArray:
        """Which stars (N,) stay."""
        height = np.abs(catalogue.position[:, 2])
        high = height >= self.z_min
        if self.feh_max == "none":
            return np.asarray(high)
        poor = catalogue["feh"] < self.feh_max
        return np.asarray(high | (poor & (height >= self.z_poor)))


#: What the balls are in: names of the coordinates of each space.
SPACES: Final[dict[str, tuple[str, ...]]] = {
    "position": ("x", "y", "z"),
    "integrals": ("E", "L_x", "L_y", "L_z"),
    "momentum": ("L_x", "L_y", "L_z"),
    "phase-space": ("x", "y", "z", "vx", "vy", "vz"),
}


@dataclass(frozen=True)
class Ball:
    """An ellipsoid along the axes of its space.

    Parameters
    ----------
    centre
        Coordinates of its middle.
    sigma
        Standard deviation along each axis.
    """

    centre: tuple[float, ...]
    sigma: tuple[float, ...]

    def __post_init__(self) -> None:
        require(
            len(self.centre) == len(self.sigma) and min(self.sigma, default=0.0) > 0.0,
            "a ball has a positive sigma for each coordinate of its centre",
        )


@dataclass(frozen=True)
class GaussianBalls(Clean):
    """Drop stars within some sigma of known structures.

    Parameters
    ----------
    balls
        Middle and sigma of each: kpc, km/s, kpc km/s, (km/s)^2.
    space
        Coordinates of the balls: ``"position"`` x, y, z; ``"integrals"`` E, L_x, L_y, L_z;
        ``"momentum"`` L_x, L_y, L_z; ``"phase-space"`` x, y, z, vx, vy, vz.
    n_sigma
        Radius of the cut in units of sigma.
    potential
        Milky Way in which energies are taken.
    """

    kind: ClassVar[str] = "gaussian-balls"

    balls: tuple[Ball, ...]
    space: Literal["position", "integrals", "momentum", "phase-space"] = "position"
    n_sigma: float = 3.0
    potential: AssumedPotential = field(default_factory=AssumedPotential)

    def __post_init__(self) -> None:
        axes = SPACES[self.space]
        require(len(self.balls) > 0, "balls: give at least one")
        require(self.n_sigma > 0.0, f"n_sigma is positive (got {self.n_sigma:g})")
        for k, ball in enumerate(self.balls):
            require(
                len(ball.centre) == len(axes),
                f"balls.{k}: space {self.space!r} has the coordinates {', '.join(axes)} "
                f"(got {len(ball.centre)})",
            )

    def required(self) -> tuple[str, ...]:
        """Velocities, for all spaces but that of positions."""
        return () if self.space == "position" else self.needs

    @property
    def reason(self) -> str:
        """Why stars go."""
        return f"within {self.n_sigma:g} sigma of {len(self.balls)} balls in {self.space}"

    def kept(self, catalogue: Catalogue) -> BoolArray:
        """Which stars (N,) stay."""
        points = self._points(catalogue)
        kept = np.ones(len(catalogue), dtype=bool)
        for ball in self.balls:
            square = np.sum(((points - np.array(ball.centre)) / np.array(ball.sigma)) ** 2, axis=1)
            kept &= square > self.n_sigma**2
        return kept

    def _points(self, catalogue: Catalogue) -> FloatArray:
        if self.space == "position":
            return catalogue.position
        if self.space == "phase-space":
            return np.concatenate([catalogue.position, catalogue.velocity], axis=1)
        points = integrals_of_motion(catalogue, self.potential)
        return points if self.space == "integrals" else points[:, 1:]
