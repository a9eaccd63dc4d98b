"""What is true of a mock halo, callable at any radius, and averaged as an estimator averages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import InputError
from haloassay.contracts.cards import Card, carded, number
from haloassay.contracts.frames import Sun, spherical_basis, spherical_velocity
from haloassay.contracts.quantities import QUANTITIES, Place, Quantity
from haloassay.mocks.equilibria.stationarity import Stationarity
from haloassay.mocks.gravity.potentials import Virial
from haloassay.mocks.knowledge import LocalMoments, Mass, VelocityField
from haloassay.mocks.moments import Moments, Profile, of_moments, raw_moments
from haloassay.mocks.selected import (
    Chosen,
    Source,
    Sources,
    Variation,
    members,
    mixed,
    shares,
    slope,
)
from haloassay.mocks.stars import Stars

#: Dispersions along the axes that the Sun sees, in the order of :func:`~haloassay.contracts.frames.spherical_basis`.
_ON_THE_SKY: Final = ("sigma_los", "sigma_b", "sigma_l")
#: Shares of populations, by the names that estimates have.
_SHARES: Final = {"p_mr": "mr", "p_mi": "mi"}
#: Averages over a bin that are no function of radius.
_OF_BINS_ALONE: Final = (*_ON_THE_SKY, *_SHARES)


def _names(*ways: str) -> tuple[str, ...]:
    """Quantities of all stars whose truth comes in these ways."""
    return tuple(q.name for q in QUANTITIES.values() if q.truth in ways and "." not in q.name)


#: Profiles of radius, by the names that estimates have.
PROFILES: Final = tuple(n for n in _names("profile", "bin") if n not in _OF_BINS_ALONE)
_MASSES: Final = _names("profile")
_LOCAL: Final = tuple(n for n in PROFILES if n not in _MASSES)
#: What a mean velocity field of constant and dipole has; zero, or undefined, in a halo at rest.
FIELD: Final = frozenset(_names("sky")) - {"asymmetry"}


#: Members in the bins of catalogues, as long as these are there: rows of a bin come again, method by method.
_bins: Final[WeakKeyDictionary[Stars, dict[tuple[Truth, float, float], Chosen]]] = (
    WeakKeyDictionary()
)


def _within(truth: Truth, stars: Stars, r_lo: float, r_hi: float) -> Chosen:
    """Members in a bin."""
    known = _bins.setdefault(stars, {})
    if (truth, r_lo, r_hi) not in known:
        inside = (stars.r >= r_lo) & (stars.r < r_hi)
        if truth.sources:
            inside &= members(truth.sources, stars)
        known[truth, r_lo, r_hi] = truth._chosen(np.flatnonzero(inside))
    return known[truth, r_lo, r_hi]


@carded
@dataclass(frozen=True, eq=False)
class Truth:
    """Truth of a halo and its tracers.

    There are two truths of what is local, as dispersions and anisotropies are. That of the halo is of all tracers at
    their densities. That of what was selected is asked for with the stars that passed: moments stay those of the
    populations, but each star counts with those of its own (``sources``), so it holds for any selection on chemistry,
    sky or magnitude. Masses and circular velocities are the halo's in both.

    Parameters
    ----------
    potential
        Gives enclosed mass, circular velocity, and the virial numbers of the dark halo.
    tracers
        Moments of all tracers together, in spherical shells. Nothing is said of them outside their range.
    components
        Moments of each population, by name, where there are several. Estimates name ``mr``, ``mi`` and ``mp``.
    velocity_field
        Mean velocity field over the sky; a halo at rest without one, :class:`Undetermined` where it is not known.
    local
        Moments over the sky, for estimates of a part of it; without them, those of the shell.
    others
        Mass [Msun] of other bodies within a radius [kpc] of the halo's centre, by name; not part of the halo's.
    stationarity
        By population, the test of whether it stands still in the static field, where stars were followed.
    sources
        What is known of the stars of each origin, by name and in the order of :attr:`Stars.origin`; None for stars that
        are no members of the halo. Without it, all stars are of ``tracers``.
    sky
        How moments of all tracers vary over the sky; as ``local`` has it where nothing is said.
    blind
        Whether stars are selected by nothing that differs between populations. Their shares are then those of the
        densities, which is free from the chance of who passed.
    stated
        By name, numbers or functions of a :class:`~haloassay.contracts.quantities.Place` that a mock of one's own
        knows beside: the truth of quantities whose ``truth`` is ``"stated"``.
    """

    potential: Mass
    tracers: Moments
    components: Mapping[str, Moments] = field(default_factory=dict)
    velocity_field: VelocityField | None = None
    local: LocalMoments | None = None
    others: Mapping[str, Profile] = field(default_factory=dict)
    stationarity: Mapping[str, Stationarity] = field(default_factory=dict)
    sources: Sources = field(default_factory=dict)
    sky: Variation | None = None
    blind: bool = False
    stated: Mapping[str, float | Callable[[Place], float]] = field(default_factory=dict)

    @property
    def _card(self) -> Card:
        """Virial numbers, and profiles at some radii; whatever a third party's halo cannot tell is a dash."""
        lo, hi = self.r_range
        radii = np.geomspace(lo, min(hi, 1e3 * lo), 6)
        names = ("enclosed_mass", "v_c", "sigma_r", "beta")
        rows = [
            [number(float(r)), *(number(self._told(name, float(r))) for name in names)]
            for r in radii
        ]
        header = ("r [kpc]", *(f"{n} [{QUANTITIES[n].unit}]".replace(" []", "") for n in names))
        virial = (
            f"{n} = {number(self._told(n))} {QUANTITIES[n].unit}".rstrip()
            for n in ("m200", "r200", "c200")
        )
        also = {"populations": self.components, "other bodies": self.others, "states": self.stated}
        notes = [f"{what}: {', '.join(named)}" for what, named in also.items() if named]
        return Card(f"Truth: {', '.join(virial)}", header, rows, notes)

    def _told(self, name: str, r: float = np.nan) -> float:
        try:
            return self.value(name, r)
        except Exception:
            return (
                np.nan
            )  # a third party's halo may fail in its own way: it is looked at all the same

    @cached_property
    def of_blind(self) -> Truth:
        """The truth of stars that are selected by nothing that differs between populations."""
        return self if self.blind else replace(self, blind=True)

    @property
    def r_range(self) -> tuple[float, float]:
        """Radii [kpc] between which the tracers' profiles are defined."""
        return self.tracers.r_range

    def profile(self, name: str, r: ArrayLike, stars: Stars | None = None) -> FloatArray:
        """Profile of :data:`PROFILES`, ``density`` or its slope ``alpha`` of the tracers, at ``r`` [kpc].

        With ``stars``, that of what was selected: of the origins at the shares that they have of the stars about r.
        Its density is not told: that of the halo times an unknown selection.
        """
        r = np.asarray(r, dtype=float)
        if name == "enclosed_mass":
            return self.potential.enclosed_mass(r)
        if name == "v_c":
            return self.potential.circular_velocity(r)
        if stars is not None and self._by_origin:
            return self._selected_profile(name, r, stars)
        if name == "density":
            return self.tracers.density(r) if stars is None else np.full(r.shape, np.nan)
        return _of_radius(name, self.tracers, r)

    def _selected_profile(self, name: str, r: FloatArray, stars: Stars) -> FloatArray:
        """Profile of stars of several origins, at the shares of those that passed."""
        radii, known = np.atleast_1d(r), self._members
        share = shares(self.sources, stars, radii)
        if name == "density":
            return np.full(r.shape, np.nan)
        if name == "alpha":
            slopes = {k: slope(s.moments, radii) for k, s in known.items()}
            return mixed(slopes, share).reshape(r.shape)
        parts = (
            mixed({k: getattr(s.moments, what)(radii) for k, s in known.items()}, share)
            for what in ("first", "second", "feh", "higher")
        )
        return of_moments(name, *parts).reshape(r.shape)

    @property
    def _members(self) -> dict[int, Source]:
        """Sources of stars that are members, by origin."""
        return {k: s for k, s in enumerate(self.sources.values()) if s is not None}

    @property
    def _by_origin(self) -> bool:
        """Whether stars count as of their own origin: where there are several, whose shares are not known."""
        known = self._members.values()
        return len(known) > 1 and not (self.blind and not any(s.patchy for s in known))

    @property
    def everyone(self) -> Source:
        """All tracers as if of one origin."""
        sky = self.local.variation if self.sky is None and self.local is not None else self.sky
        return Source(self.tracers, sky)

    @cached_property
    def virial(self) -> Virial:
        """Virial mass, radius and concentration of the dark halo."""
        return self.potential.virial()

    @property
    def m200(self) -> float:
        """Virial mass [Msun] of the dark halo."""
        return self.virial.m200

    @property
    def r200(self) -> float:
        """Virial radius [kpc] of the dark halo."""
        return self.virial.r200

    @property
    def c200(self) -> float:
        """Concentration of the dark halo."""
        return self.virial.c200

    def value(
        self,
        quantity: str | Quantity,
        r: float = np.nan,
        r_lo: float = np.nan,
        r_hi: float = np.nan,
        stars: Stars | None = None,
        sun: Sun | None = None,
        toward: tuple[float, float] | None = None,
    ) -> float:
        """Return the true value that an estimate of ``quantity`` is compared with.

        Parameters
        ----------
        quantity
            A quantity, or the name of one in :data:`haloassay.contracts.quantities.QUANTITIES`.
        r
            Radius [kpc] of a value at one radius.
        r_lo, r_hi
            Edges [kpc] of a radial bin. Dispersions, anisotropy and means are then those of all
            stars in the bin: mean square about the mean, beta of the mean squares, mean of the means.
        stars
            The surveyed stars as they truly are, for the truth of what was selected: the average over those in the bin
            that are members of the halo, each with the moments of its own population. Without them, the truth of the
            halo: the tracers' own density is the weight.
        sun
            The observer, for dispersions along lines of sight.
        toward
            Longitude and latitude [deg] of the direction that was estimated, for how far it is off.

        Returns
        -------
        float
            NaN where the truth is not defined: another quantity, no radius, a radius outside
            ``r_range``, a bin without stars, a potential without a dark halo.
        """
        known = quantity if isinstance(quantity, Quantity) else QUANTITIES.get(quantity)
        if known is None or known.truth is None:
            return np.nan
        name, way = known.name, known.truth
        if way == "bin" and np.isfinite(r_lo) and np.isfinite(r_hi):
            return self._bin_average(name, r_lo, r_hi, stars, sun)
        if stars is not None and self.sources:
            stars = _members_of(self.sources, stars)
        if callable(way):
            return float(way(self, Place(r, r_lo, r_hi, stars, sun, toward)))
        if way == "scalar":
            return float(getattr(self.virial, name))
        if way == "sky":
            return self._over_the_sky(name, r, r_lo, r_hi, stars)
        if name not in PROFILES or not (np.isfinite(r) and r > 0.0):
            return np.nan
        return float(self.profile(name, r, stars))

    def knows(self, quantity: Quantity) -> bool:
        """Whether there is a truth of ``quantity`` at the middle of the range, of all stars there."""
        if quantity.name in _ON_THE_SKY:  # of the stars that are observed, whichever they are
            return True
        r_lo, r_hi = self.r_range
        middle = float(np.sqrt(r_lo * min(r_hi, 1e3 * r_lo)))
        return bool(np.isfinite(self.value(quantity, middle, 0.9 * middle, 1.1 * middle)))

    def local_value(self, quantity: str, stars: Stars) -> float:
        """Return the true value of a profile of all of ``stars``, which are a part of the sky."""
        name, _, population = quantity.partition(".")
        stars = _members_of(self.sources, stars)
        if population or name not in PROFILES or name in _MASSES or not len(stars):
            return np.nan
        varies = self.local is not None or self.sky is not None
        if name.startswith("kurtosis") and varies:  # maps have no fourth moments
            return np.nan
        if self._by_origin or (self.local is None and varies):
            at = self._chosen(np.arange(len(stars))).averages(stars)
            return float(of_moments(name, at.mean, at.square, at.feh, at.higher))
        parts = raw_moments(self.tracers, stars.r)
        if self.local is not None and not name.startswith("feh"):
            parts = (*self.local.raw(stars.position), *parts[2:])
        return float(of_moments(name, *(np.mean(x, axis=0) for x in parts)))

    def to_dict(self, r: ArrayLike) -> dict[str, Any]:
        """Plain values for a JSON file: profiles at ``r`` [kpc], virial numbers, units.

        Undefined values are null.

        Raises
        ------
        InputError
            If a radius is not positive and finite.
        """
        r = np.atleast_1d(np.asarray(r, dtype=float))
        if not np.all((r > 0.0) & np.isfinite(r)):
            raise InputError("truth: radii must be positive and finite")
        lo, hi = self.r_range
        told = {
            "potential": self.potential.to_plain(),
            "units": {"r": "kpc", "density": "arbitrary"}
            | {name: quantity.unit for name, quantity in QUANTITIES.items()},
            "r_range": [lo, hi if np.isfinite(hi) else None],
            **{name: _plain(value) for name, value in self.virial._asdict().items()},
            "r": r.tolist(),
            **{
                name: [_plain(v) for v in self.profile(name, r)]
                for name in ("density", "alpha", *PROFILES)
            },
        }
        for which, moments in self.components.items():
            told[f"density.{which}"] = [_plain(v) for v in moments.density(r)]
            told[f"share.{which}"] = [
                _plain(v) for v in moments.density(r) / self.tracers.density(r)
            ]
            for name in ("alpha", *_LOCAL):
                told[f"{name}.{which}"] = [_plain(v) for v in _of_radius(name, moments, r)]
        if self.velocity_field is not None:
            for name in sorted(FIELD):
                told[name] = [_plain(self.velocity_field.value(name, np.array([x]))) for x in r]
        for name, mass in self.others.items():
            told[f"enclosed_mass.{name}"] = [_plain(v) for v in mass(r)]
        if self.local is not None:
            told["map"] = self.local.to_dict()
        if self.stationarity:
            told["stationarity"] = {name: t.to_dict() for name, t in self.stationarity.items()}
        return told

    def selected_to_dict(self, r: ArrayLike, stars: Stars) -> dict[str, Any]:
        """Plain values of the truth of what was selected: profiles at ``r`` [kpc] of the stars that passed.

        Undefined values are null. ``share`` has the part of each origin among members, where there are several.
        """
        r = np.atleast_1d(np.asarray(r, dtype=float))
        stars = stars.select(members(self.sources, stars))
        told: dict[str, Any] = {"n_stars": len(stars)}
        for name in ("alpha", *_LOCAL):
            told[name] = [_plain(v) for v in self.profile(name, r, stars)]
        if self._by_origin:
            names, found = list(self.sources), shares(self.sources, stars, r)
            for k in self._members:
                told[f"share.{names[k]}"] = [_plain(v) for v in found[:, k]]
        return told

    def _weighted_radii(
        self, r_lo: float, r_hi: float, stars: Stars | None
    ) -> tuple[FloatArray, FloatArray]:
        """Radii in a bin and their weights: those of stars, or nodes weighted by r^3 rho dln r."""
        if stars is not None:
            inside = stars.r[(stars.r >= r_lo) & (stars.r < r_hi)]
            return inside, np.ones(len(inside))
        lo, hi = max(r_lo, self.r_range[0]), min(r_hi, self.r_range[1])
        if not 0.0 < lo < hi:
            return np.empty(0), np.empty(0)
        t, weights = np.polynomial.legendre.leggauss(128)
        r = np.sqrt(lo * hi) * np.exp(0.5 * t * np.log(hi / lo))
        return r, weights * r**3 * self.tracers.density(r)

    def _over_the_sky(
        self, quantity: str, r: float, r_lo: float, r_hi: float, stars: Stars | None
    ) -> float:
        if quantity == "asymmetry":
            return 0.0 if self.local is None else np.nan
        if self.velocity_field is None and quantity.startswith("bulk"):
            return self.value(quantity.replace("bulk", "mean"), r, r_lo, r_hi, stars)
        if self.velocity_field is None:
            return np.nan if quantity.startswith("apex") else 0.0
        if np.isfinite(r_lo) and np.isfinite(r_hi):
            radii = self._weighted_radii(r_lo, r_hi, stars)[0]
        elif np.isfinite(r):
            radii = np.array([r])
        else:
            radii = np.empty(0) if stars is None else stars.r
        return self.velocity_field.value(quantity, radii) if len(radii) else np.nan

    def _chosen(self, rows: IntArray) -> Chosen:
        return Chosen(rows, self.everyone, self.sources if self._by_origin else None)

    def _bin_average(
        self, quantity: str, r_lo: float, r_hi: float, stars: Stars | None, sun: Sun | None
    ) -> float:
        """Average over a bin, or over those of ``stars`` that are members in it."""
        name, _, population = quantity.partition(".")
        chosen = None if stars is None else _within(self, stars, r_lo, r_hi)
        if name in _ON_THE_SKY:
            return _sky_dispersion(_ON_THE_SKY.index(name), chosen, stars, sun)
        part = _SHARES.get(name, population)
        if part and part not in self.components:
            return np.nan
        if name in _SHARES or stars is None or chosen is None or (part and not self._by_origin):
            there = None if stars is None or chosen is None else stars.select(chosen.rows)
            return self._average_over_radii(name, population, r_lo, r_hi, there)
        if population:
            of_part = stars.origin[chosen.rows] == list(self.sources).index(population)
            chosen = self._chosen(chosen.rows[of_part])
        if not len(chosen):
            return np.nan
        at = chosen.averages(stars)
        first = at.mean if name.startswith("mean_v") else at.first
        return float(of_moments(name, first, at.second, at.feh, at.higher))

    def _average_over_radii(
        self, name: str, population: str, r_lo: float, r_hi: float, stars: Stars | None
    ) -> float:
        """Average over the radii of a bin, at which populations have the shares of their densities."""
        r, weights = self._weighted_radii(r_lo, r_hi, stars)
        if len(r) == 0:
            return np.nan
        if name in _SHARES:
            which = _SHARES[name]
            if stars is not None and self.sources and not self.blind:
                return float(np.mean(stars.origin == list(self.sources).index(which)))
            fractions = self.components[which].density(r) / self.tracers.density(r)
            return float(np.average(fractions, weights=weights))
        moments = self.tracers
        if population:
            moments = self.components[population]
            weights = weights * moments.density(r) / self.tracers.density(r)
        return float(
            of_moments(
                name, *(np.average(x, axis=0, weights=weights) for x in raw_moments(moments, r))
            )
        )


def _members_of(sources: Sources, stars: Stars) -> Stars:
    """Stars that are members: the same ones, where all are, as of many a copy would be large."""
    inside = members(sources, stars)
    return stars if inside.all() else stars.select(inside)


def _sky_dispersion(
    axis: int, chosen: Chosen | None, stars: Stars | None, sun: Sun | None
) -> float:
    """Dispersion along the lines of sight of stars, or across them towards l or b."""
    if chosen is None or stars is None or sun is None or not len(chosen):
        return np.nan
    means, squares = [], []
    for some, at in chosen.blocks(stars):
        # axes as seen from the Sun; the tilt of the Galactic ones against them, 0.1 deg, does not matter here
        axes = spherical_basis(some.position - sun.position)
        along = spherical_velocity(some.position, axes[:, axis])
        mean = np.sum(along * at.first, axis=1)
        means.append(mean)
        squares.append(np.sum(along**2 * (at.second - at.first**2), axis=1) + mean**2)
    square, mean = np.concatenate(squares), np.concatenate(means)
    return float(np.sqrt(square.mean() - mean.mean() ** 2))


def _of_radius(name: str, moments: Moments, r: FloatArray) -> FloatArray:
    """Profile of a population, or the slope ``alpha`` of its density, at ``r`` [kpc]."""
    if name == "alpha":
        return slope(moments, r)
    return of_moments(name, *raw_moments(moments, r))


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
