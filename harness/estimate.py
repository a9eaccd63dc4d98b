"""What an estimator is and what it returns: the contract between methods and the harness."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haloassay.errors import EstimationError

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.catalogue import Catalogue

Scale = Literal["fractional", "absolute", "angle"]


@dataclass(frozen=True)
class Quantity:
    """A quantity of the field: its unit, and on which scale its errors are counted.

    ``fractional`` errors are (estimate - truth) / truth, for positive scales such as masses; ``absolute`` ones
    are estimate - truth; ``angle`` ones are absolute, wrapped to +-180 degrees.
    """

    name: str
    unit: str
    scale: Scale
    label: str


def _vocabulary(*quantities: Quantity) -> dict[str, Quantity]:
    return {q.name: q for q in quantities}


QUANTITIES: Final = _vocabulary(
    Quantity("enclosed_mass", "Msun", "fractional", r"$M(<r)$"),
    Quantity("v_c", "km/s", "fractional", r"$v_\mathrm{c}$"),
    Quantity("m200", "Msun", "fractional", r"$M_{200}$"),
    Quantity("r200", "kpc", "fractional", r"$r_{200}$"),
    Quantity("c200", "", "fractional", r"$c_{200}$"),
    Quantity("sigma_r", "km/s", "fractional", r"$\sigma_r$"),
    Quantity("sigma_theta", "km/s", "fractional", r"$\sigma_\theta$"),
    Quantity("sigma_phi", "km/s", "fractional", r"$\sigma_\phi$"),
    Quantity("beta", "", "absolute", r"$\beta$"),
    Quantity("mean_v_r", "km/s", "absolute", r"$\langle v_r \rangle$"),
    Quantity("mean_v_theta", "km/s", "absolute", r"$\langle v_\theta \rangle$"),
    Quantity("mean_v_phi", "km/s", "absolute", r"$\langle v_\phi \rangle$"),
    Quantity("sigma_los", "km/s", "fractional", r"$\sigma_\mathrm{los}$"),
    Quantity("asymmetry", "", "absolute", r"$A$"),
    Quantity("sigma_r_lowest", "km/s", "fractional", r"$\sigma_r$, lowest"),
    Quantity("sigma_r_highest", "km/s", "fractional", r"$\sigma_r$, highest"),
    Quantity("sigma_r_accreted_correlation", "", "absolute", r"$\rho(\sigma_r, f_\mathrm{acc})$"),
    Quantity("beta_accreted_correlation", "", "absolute", r"$\rho(\beta, f_\mathrm{acc})$"),
    Quantity("mu_compr", "km/s", "absolute", r"$\mu_\mathrm{compr}$"),
    Quantity("mu_dipole", "km/s", "absolute", r"$\mu_\mathrm{dipole}$"),
    Quantity("v_travel", "km/s", "absolute", r"$v_\mathrm{travel}$"),
    Quantity("bulk_v_r", "km/s", "absolute", r"$v_r$, bulk"),
    Quantity("bulk_v_theta", "km/s", "absolute", r"$v_\theta$, bulk"),
    Quantity("bulk_v_phi", "km/s", "absolute", r"$v_\phi$, bulk"),
    Quantity("apex_l", "deg", "angle", r"$l_\mathrm{apex}$"),
    Quantity("apex_b", "deg", "angle", r"$b_\mathrm{apex}$"),
    Quantity("mean_v_r_north", "km/s", "absolute", r"$\langle v_r \rangle$, north"),
    Quantity("mean_v_r_south", "km/s", "absolute", r"$\langle v_r \rangle$, south"),
    Quantity(
        "mean_v_theta_predicted", "km/s", "absolute", r"$\langle v_\theta \rangle$, predicted"
    ),
    Quantity("sigma_l", "km/s", "fractional", r"$\sigma_l$"),
    Quantity("sigma_b", "km/s", "fractional", r"$\sigma_b$"),
    Quantity("feh_mean", "dex", "absolute", r"$\langle \mathrm{[Fe/H]} \rangle$"),
    Quantity("feh_sigma", "dex", "fractional", r"$\sigma_\mathrm{[Fe/H]}$"),
    Quantity("p_mr", "", "absolute", r"$p_\mathrm{MR}$"),
)

#: Populations that a quantity can belong to: the end of its name, and what to call it.
POPULATIONS: Final = {"mr": "metal-rich", "mp": "metal-poor"}

QUANTITIES.update(
    _vocabulary(
        *(
            replace(
                QUANTITIES[name], name=f"{name}.{which}", label=f"{QUANTITIES[name].label}, {what}"
            )
            for which, what in POPULATIONS.items()
            for name in (
                *("mean_v_r", "mean_v_theta", "mean_v_phi", "sigma_r", "sigma_theta", "sigma_phi"),
                *("beta", "feh_mean", "feh_sigma"),
            )
        )
    )
)

#: Quantities that are averages over the stars of a radial bin, not values at one radius.
BIN_AVERAGES: Final = frozenset(
    [
        *("sigma_r", "sigma_theta", "sigma_phi", "beta", "mean_v_r", "mean_v_theta", "mean_v_phi"),
        *("sigma_los", "sigma_l", "sigma_b"),
        *("feh_mean", "feh_sigma", "p_mr"),
        *(name for name in QUANTITIES if name.partition(".")[2] in POPULATIONS),
    ]
)

#: Percentiles of a Gaussian at -2, -1, 1 and 2 sigma as the field quotes them: 68 and 95 per cent.
INTERVALS: Final = (2.5, 16.0, 84.0, 97.5)


@dataclass(frozen=True, eq=False)
class Estimate:
    """One row: a quantity, where it was measured, and its value with intervals.

    Parameters
    ----------
    quantity
        A name of :data:`QUANTITIES`, or a third party's own.
    value
        The estimate, in ``unit``; NaN only together with a ``note`` that says why there is none.
    lo68, hi68, lo95, hi95
        Bounds of the central 68 and 95 per cent intervals; they contain ``value``.
    r, r_lo, r_hi
        Radius [kpc] the value belongs to and, for a value from a radial bin, the edges of that bin.
    bin
        Number of the bin or radius within its quantity; rows of equal number are scored together.
    unit
        Unit; that of :data:`QUANTITIES` where the quantity is known.
    draws
        (n_draws,) independent draws from the posterior or the bootstrap distribution, where there are any.
    stars
        Rows of the catalogue that the value is an average of, where that is a part of the sky and not all of a shell.
    note
        Why the value cannot be determined, for a row without a value.
    """

    quantity: str
    value: float
    lo68: float = np.nan
    hi68: float = np.nan
    lo95: float = np.nan
    hi95: float = np.nan
    r: float = np.nan
    r_lo: float = np.nan
    r_hi: float = np.nan
    bin: int = 0
    unit: str = ""
    draws: NDArray[np.float64] | None = field(default=None, repr=False)
    stars: NDArray[np.int64] | None = field(default=None, repr=False)
    note: str = ""

    def __post_init__(self) -> None:
        if not self.unit and self.quantity in QUANTITIES:
            object.__setattr__(self, "unit", QUANTITIES[self.quantity].unit)
        if self.note:
            return
        bounds = (self.lo95, self.lo68, self.value, self.hi68, self.hi95)
        if not np.all(np.isfinite(bounds)):
            raise EstimationError(
                f"{self.quantity} (bin {self.bin}): value or interval is not finite: {bounds}"
            )
        if not np.all(np.diff(bounds) >= 0.0):
            raise EstimationError(
                f"{self.quantity} (bin {self.bin}): intervals do not contain the value: {bounds}"
            )

    @classmethod
    def from_draws(cls, quantity: str, draws: ArrayLike, **where: float) -> Estimate:
        """Median, 68 and 95 per cent intervals of ``draws``; ``where`` gives r, r_lo, r_hi, bin.

        Draws that are not finite make the quantity undetermined.
        """
        draws = np.asarray(draws, dtype=float)
        if draws.size == 0 or not np.all(np.isfinite(draws)):
            return cls.undetermined(quantity, "the draws are not all finite", **where)
        lo95, lo68, value, hi68, hi95 = np.percentile(draws, [*INTERVALS[:2], 50.0, *INTERVALS[2:]])
        return cls(quantity, value, lo68, hi68, lo95, hi95, draws=draws, **where)  # type: ignore[arg-type]

    @classmethod
    def undetermined(cls, quantity: str, note: str, **where: float) -> Estimate:
        """Row that says why there is no value."""
        return cls(quantity, np.nan, note=note, **where)  # type: ignore[arg-type]

    def rank(self, truth: float) -> int:
        """Count the draws below ``truth``; -1 where there are no draws, or no truth.

        The truth of an angle is taken on the turn of the circle next to the value.
        """
        if self.draws is None or not len(self.draws) or not np.isfinite(truth):
            return -1
        if self.quantity in QUANTITIES and QUANTITIES[self.quantity].scale == "angle":
            truth += 360.0 * np.round((self.value - truth) / 360.0)
        return int(np.sum(self.draws < truth))


@dataclass(frozen=True)
class Estimates:
    """All rows of one estimator on one catalogue."""

    rows: tuple[Estimate, ...]

    def __init__(self, rows: Iterable[Estimate]) -> None:
        object.__setattr__(self, "rows", tuple(rows))

    def __iter__(self) -> Iterator[Estimate]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, quantity: str) -> tuple[Estimate, ...]:
        """Rows of one quantity, in their order."""
        return tuple(row for row in self.rows if row.quantity == quantity)

    def to_frame(self) -> pd.DataFrame:
        """Table of the rows without their draws and stars, as pandas."""
        import pandas as pd

        names = [name for name in Estimate.__dataclass_fields__ if name not in ("draws", "stars")]
        return pd.DataFrame({name: [getattr(row, name) for row in self.rows] for name in names})


class Estimator(ABC):
    """A method that reads a catalogue and returns estimates.

    Subclasses are frozen dataclasses; their fields are their settings, and a scenario sets or sweeps them.
    """

    #: Name under which scenarios and the command line call the method.
    name: ClassVar[str]
    #: Raised when equal settings give other numbers: results of both are then not taken for the same.
    version: ClassVar[int] = 1
    #: ADS bibcode of the paper that defines the method.
    reference: ClassVar[str]
    #: Catalogue columns that the method reads beyond positions and velocities.
    needs: ClassVar[tuple[str, ...]] = ()
    #: What the method takes for granted of the halo.
    assumes: ClassVar[tuple[str, ...]] = ()
    #: Quantities that it returns.
    yields: ClassVar[tuple[str, ...]] = ()
    #: Settings of the paper's own run, as ``as_published = true`` sets them; empty where it prints none.
    published: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def estimate(self, catalogue: Catalogue, rng: np.random.Generator) -> Estimates:
        """Estimate from ``catalogue``; all randomness comes from ``rng``.

        Raises
        ------
        EstimationError
            If the catalogue does not determine the method's quantities.
        """
