"""What becomes of a sound estimator by one fault each: what checks are for."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
import zlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from spread import Spread

from haloassay.base.constants import G
from haloassay.contracts.estimate import Estimate, Estimates
from haloassay.contracts.frames import Sun


class Thawed(Spread):
    name = "thawed"

    def estimate(self, catalogue, rng):
        object.__setattr__(self, "n_bootstrap", self.n_bootstrap + 1)
        return super().estimate(catalogue, rng)


class OtherUnit(Spread):
    def row(self, name, value, draws, where):
        return super().row(
            name, value, draws, {**where, "unit": "m/s"} if name == "sigma_r" else where
        )


class Undeclared(Spread):
    yields = ("sigma_r",)

    def estimate(self, catalogue, rng):
        return Estimates([*super().estimate(catalogue, rng), Estimate("beta", 0.3)])


class Unknown(Spread):
    yields = ("sigma_r", "beta", "fluffiness")


class DrawsOfSomethingElse(Spread):
    def row(self, name, value, draws, where):
        return (
            super()
            .row(name, value, draws, where)
            .__class__(
                name,
                value,
                value - draws.std(),
                value + draws.std(),
                value - 2 * draws.std(),
                value + 2 * draws.std(),
                draws=value + 3.0 * (draws - draws.mean()),
                **where,
            )
        )


class Greedy(Spread):
    """Reads a column that it does not declare."""

    def velocities(self, catalogue):
        metal = catalogue["feh"] if "feh" in catalogue.columns else 0.0
        return catalogue.spherical_velocity * (1.0 + 0.01 * np.mean(metal))


class Optimist(Spread):
    """Gives a value of no star."""

    def estimate(self, catalogue, rng):
        if not len(catalogue):
            return Estimates([Estimate("sigma_r", 100.0), Estimate("beta", 0.5)])
        return super().estimate(catalogue, rng)


class Forgetful(Spread):
    """Remembers how often it was asked."""

    asked: ClassVar[list] = []

    def velocities(self, catalogue):
        self.asked.append(1)
        return catalogue.spherical_velocity * (1.0 + 1e-3 * len(self.asked))


class Global(Spread):
    def velocities(self, catalogue):
        return catalogue.spherical_velocity * (
            1.0 + 0.01 * np.random.mtrand._rand.standard_normal()
        )


class Own(Spread):
    """Has a generator of its own: other numbers whenever it is asked."""

    def estimate(self, catalogue, rng):
        return super().estimate(catalogue, np.random.default_rng())


class Restless(Spread):
    """Its own randomness moves it by more than it says."""

    def estimate(self, catalogue, rng):
        self_made = rng.normal(1.0, 0.5)
        rows = super().estimate(catalogue, rng)
        return Estimates(
            row
            if row.note
            else Estimate(
                row.quantity,
                row.value * self_made,
                *(self_made * np.array([row.lo68, row.hi68, row.lo95, row.hi95])),
            )
            for row in rows
            if row.quantity == "sigma_r"
        )


class Editor(Spread):
    def velocities(self, catalogue):
        values = catalogue["vx"]
        values.setflags(write=True)
        values *= 1.001
        return catalogue.spherical_velocity


class Wanderer(Spread):
    def velocities(self, catalogue):
        os.chdir("/")
        return catalogue.spherical_velocity


class Loud(Spread):
    def velocities(self, catalogue):
        sys.stdout.write("working\n")
        return catalogue.spherical_velocity


class FirstStarsOnly(Spread):
    def velocities(self, catalogue):
        return catalogue.spherical_velocity[: len(catalogue) // 2]


class Floor(Spread):
    """A softening that has a unit: no power of k."""

    def squares(self, v):
        return v**2 + 20.0**2


class RadiusInKm(Spread):
    """What is meant in kpc weighs the stars."""

    def velocities(self, catalogue):
        return catalogue.spherical_velocity * (1.0 + 0.01 * np.minimum(catalogue.r, 30.0))[:, None]


class OneSided(Spread):
    """Outgoing stars count more."""

    def squares(self, v):
        return v**2 * np.where(v[:, :1] > 0.0, 1.1, 1.0)


class Northern(Spread):
    def velocities(self, catalogue):
        return catalogue.spherical_velocity * np.where(catalogue["z"] > 0.0, 1.1, 1.0)[:, None]


class Cartesian(Spread):
    """The component along x for the radial one."""

    def velocities(self, catalogue):
        return np.column_stack([catalogue[f"v{axis}"] for axis in "xyz"])


class Swapped(Spread):
    """v_r and v_theta exchanged: sigma_r of another component."""

    def velocities(self, catalogue):
        return catalogue.spherical_velocity[:, [1, 0, 2]]


class FixedErrors(Spread):
    def row(self, name, value, draws, where):
        z = (draws - draws.mean()) / draws.std()
        return super().row(name, value, value + 0.05 * abs(value) * z, where)


class Breaks(Spread):
    """One star is no sample, and it does not say so."""

    def estimate(self, catalogue, rng):
        if len(catalogue) == 1:
            raise ZeroDivisionError("division by zero")
        return super().estimate(catalogue, rng)


class Fragile(Spread):
    def estimate(self, catalogue, rng):
        if len(catalogue) > 10 and np.ptp(catalogue.r) == 0.0:
            np.linalg.inv(np.zeros((2, 2)))
        return super().estimate(catalogue, rng)


class HalfSky(Spread):
    """Weighs by what half of the sky lacks."""

    def velocities(self, catalogue):
        lopsided = abs(catalogue["z"].mean()) / np.abs(catalogue["z"]).mean()
        return catalogue.spherical_velocity * (1.0 + lopsided)


class LowByThree(Spread):
    def squares(self, v):
        return v**2 * np.array([0.97**2, 1.0, 1.0])


class Narrow(Spread):
    """Intervals and draws of half their width."""

    def row(self, name, value, draws, where):
        return super().row(name, value, draws.mean() + 0.5 * (draws - draws.mean()), where)


class OtherG(Spread):
    """Mass and circular velocity of a scale-free sphere; the latter with G smaller by 1 per cent."""

    yields: ClassVar[tuple[str, ...]] = ("enclosed_mass", "v_c")

    def estimate(self, catalogue, rng):
        found = Spread(self.n_bootstrap).estimate(catalogue, rng)
        (sigma, *_) = found.rows
        if sigma.note:
            return Estimates(Estimate.undetermined(name, sigma.note) for name in self.yields)
        where = {"r": sigma.r, "r_lo": sigma.r_lo, "r_hi": sigma.r_hi}
        speed = np.sqrt(3.0) * sigma.draws
        mass = speed**2 * sigma.r / G
        return Estimates(
            [
                Estimate.from_draws("enclosed_mass", mass, **where),
                Estimate.from_draws("v_c", np.sqrt(0.99) * speed, **where),
            ]
        )


class OfPhi(Spread):
    """Dispersion and mean of v_phi, or so it says: of the component ``axis``, times ``sign``."""

    yields: ClassVar[tuple[str, ...]] = ("sigma_phi", "mean_v_phi")
    axis: ClassVar[int] = 2
    sign: ClassVar[float] = 1.0

    def estimate(self, catalogue, rng):
        if len(catalogue) < 10:
            note = "fewer than 10 stars"
            return Estimates(Estimate.undetermined(name, note) for name in self.yields)
        v = self.sign * self.velocities(catalogue)[:, self.axis]
        drawn = v[rng.integers(len(v), size=(self.n_bootstrap, len(v)))]
        where = {"r": float(np.median(catalogue.r)), "r_lo": 5.0, "r_hi": 60.0}
        return Estimates(
            [
                self.row("sigma_phi", v.std(), drawn.std(axis=1), where),
                self.row("mean_v_phi", v.mean(), drawn.mean(axis=1), where),
            ]
        )


class OfTheta(OfPhi):
    axis: ClassVar[int] = 1


class Retrograde(OfPhi):
    sign: ClassVar[float] = -1.0


class Picky(Spread):
    """No value in one of eight catalogues, by the luck of its stars."""

    def estimate(self, catalogue, rng):
        if len(catalogue) >= 10 and int(1e6 * abs(catalogue["vx"][0])) % 8 == 0:
            return Estimates(Estimate.undetermined(name, "not today") for name in self.yields)
        return super().estimate(catalogue, rng)


class Leaves(Spread):
    def estimate(self, catalogue, rng):
        os._exit(0)


class Sleeps(Spread):
    def estimate(self, catalogue, rng):
        time.sleep(60.0)


class Candid(Narrow):
    """Says itself what is wrong with it."""

    expected: ClassVar[dict] = {
        "coverage": "its errors are known to be small",
    }


class Modest(Spread):
    """Says that something is wrong which is not."""

    expected: ClassVar[dict] = {"rows": "has no rows"}


class Patient(Spread):
    """Says what only many mocks show."""

    expected: ClassVar[dict] = {"rows": ("has no rows that last", "thorough")}


class Misspelt(Spread):
    expected: ClassVar[dict] = {"coverge": "its errors are known to be small"}


class NoLevel(Spread):
    expected: ClassVar[dict] = {"coverage": ("its errors are known to be small", "thorow")}


@dataclass(frozen=True)
class InAShell(Spread):
    """Stars of a shell alone, with radii that nobody need state."""

    r_range: tuple[float, float] = (10.0, 20.0)

    def estimate(self, catalogue, rng):
        lo, hi = self.r_range
        return super().estimate(catalogue.select((lo <= catalogue.r) & (catalogue.r < hi)), rng)


class ForgetsTheSun(Spread):
    """Takes any catalogue for one of the Sun by default."""

    def velocities(self, catalogue):
        return dataclasses.replace(catalogue, sun=Sun()).spherical_velocity


class Partial(Spread):
    """Reads the stars of one population, where a catalogue says which they are of."""

    def velocities(self, catalogue):
        v = catalogue.spherical_velocity
        return v[catalogue["population"] == 0.0] if "population" in catalogue else v


class BitReader(Spread):
    """Random numbers come from the bits of its stars."""

    def velocities(self, catalogue):
        own = np.random.default_rng(zlib.crc32(catalogue.position.tobytes()))
        return catalogue.spherical_velocity * (1.0 + 0.01 * own.standard_normal())


class Deaf(Spread):
    """Says that it reads positions only."""

    def usable(self):
        return ()


class Swallows(Spread):
    """Leaves out what is no number, and says nothing."""

    def velocities(self, catalogue):
        v = catalogue.spherical_velocity
        return v[np.isfinite(v).all(axis=1)]


class DividesByErrors(Spread):
    """Weighs by errors that it takes for positive."""

    def velocities(self, catalogue):
        v = catalogue.spherical_velocity
        if "vlos_err" not in catalogue:
            return v
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = 1.0 / catalogue["vlos_err"] ** 2
            return v * np.sqrt(weight / weight.mean())[:, None]


class Bold(Spread):
    """The larger the errors of the stars, the smaller its own."""

    def estimate(self, catalogue, rng):
        share = 1.0 / (1.0 + np.mean(catalogue.error("vlos")) / 10.0)
        return Estimates(
            row
            if row.note
            else self.row(
                row.quantity,
                row.value,
                row.value + share * (row.draws - row.draws.mean()),
                {"r": row.r, "r_lo": row.r_lo, "r_hi": row.r_hi},
            )
            for row in super().estimate(catalogue, rng)
        )


class Snoops(Spread):
    """Another number where somebody has asked the catalogue for covariances before."""

    def velocities(self, catalogue):
        known = "spherical_covariance" in vars(catalogue)
        return catalogue.spherical_velocity * (1.001 if known else 1.0)


class Hashed(Spread):
    """A number that is another one in each process."""

    def velocities(self, catalogue):
        return catalogue.spherical_velocity * (1.0 + 1e-12 * (hash("halo") % 1000))


class HalfAsWide(Narrow):
    """The same fault as that of the coverage, told by the scatter."""


class Inconsistent(LowByThree):
    """Low by three per cent, however many stars there are."""


class Small(Spread):
    """A bias of small samples: low by thirty stars of all."""

    def squares(self, v):
        return v**2 * np.array([max(1.0 - 30.0 / len(v), 0.1), 1.0, 1.0])


class Broken(Spread):
    """Says what breaks what it assumes."""

    violations: ClassVar[dict] = {
        "distances too large": {"survey.distance_scale": 1.3},
        "another density": {"mock.density": {"kind": "power-law", "slope": -3.0}},
    }


class Quadratic(Spread):
    """Compares each star with each other, or takes as long."""

    def velocities(self, catalogue):
        time.sleep(2e-8 * len(catalogue) ** 2)
        return catalogue.spherical_velocity
