"""Checks of symmetries that physics has: an estimator without them has a wrong sign, unit or power somewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.estimate import Estimate, Estimates
from haloassay.contracts.frames import spherical_basis
from haloassay.contracts.quantities import QUANTITIES
from haloassay.testing.check import Failed, NotApplicable, check
from haloassay.testing.subject import STARS, RowKey, Subject, by_row, catalogue_of

Stars = dict[str, FloatArray]

_MASSES: Final = ("enclosed_mass",)
_SPEEDS: Final = ("v_c", "sigma_r", "sigma_theta", "sigma_phi")
#: What is found of the stars above a speed that is set, which other speeds leave where it is.
_OF_TAILS: Final = ("v_esc",)
_MEANS: Final = ("mean_v_r", "mean_v_theta", "mean_v_phi")
_NUMBERS: Final = ("beta", "kurtosis_r", "kurtosis_theta", "kurtosis_phi")
#: What does not know where the poles are.
_ROUND: Final = (*_MASSES, *_OF_TAILS, "v_c", "sigma_r", "beta", "kurtosis_r", "mean_v_r")
#: Settings that are radii [kpc], wherever they stand.
_RADII: Final = frozenset(
    {"bins", "edges", "breaks", "radii", "radius", "r", "r_lo", "r_hi", "r_min", "r_max", "r_out"}
    | {"r_range", "r_s_range"}
)
#: Differences that count for nothing, in units of the half width of the stated interval: where climbs end.
_CLIMB: Final = 0.02
#: The same of what more stars teach: posteriors of amplitudes and smooth curves move with their width.
LEARNT: Final = 1.0
#: Deviations by which other random numbers of the estimator's own may move a value, and a share that is rounding.
_SCATTERS: Final = 6.0
_ROUNDING: Final = 1e-6
_FACTOR: Final = 1.7
#: Share by which a function of a median may differ from the median of a function.
_MEDIANS: Final = 1e-3


@check("order of stars", "The order of the stars means nothing.")
def order(subject: Subject) -> str:
    """Shuffle them."""

    def shuffled(stars: Stars) -> Stars:
        rows = np.random.default_rng(subject.seed).permutation(len(stars["x"]))
        return {name: values[rows] for name, values in stars.items()}

    return _compared(subject, shuffled, lambda _: 1.0)


@check(
    "speeds",
    "Velocities times k: masses times k squared, dispersions and means times k, anisotropy as before.",
)
def speeds(subject: Subject) -> str:
    """Scale all velocities."""
    powers = {**dict.fromkeys(_MASSES, 2), **dict.fromkeys((*_SPEEDS, *_MEANS), 1)}
    powers |= dict.fromkeys(_NUMBERS, 0)

    def faster(stars: Stars) -> Stars:
        return {
            name: values * (_FACTOR if name[0] == "v" else 1.0) for name, values in stars.items()
        }

    return _compared(subject, faster, lambda q: _FACTOR ** powers[q] if q in powers else None)


@check(
    "radii",
    "Positions times k, with all radii of the settings: masses times k, velocities as before.",
)
def radii(subject: Subject) -> str:
    """Scale all positions, and the settings that are radii."""
    same = (*_SPEEDS, *_OF_TAILS, *_MEANS, *_NUMBERS)
    powers = {**dict.fromkeys(_MASSES, 1), **dict.fromkeys(same, 0)}

    def larger(stars: Stars) -> Stars:
        return {
            name: values * (_FACTOR if name in "xyz" else 1.0) for name, values in stars.items()
        }

    made: Any = subject.make()
    usual = {each.name: getattr(made, each.name) for each in fields(made) if each.name in _RADII}
    changed = _scaled({**usual, **subject.spec})
    changed.pop("kind")
    return _compared(
        subject, larger, lambda q: _FACTOR ** powers[q] if q in powers else None, **changed
    )


@check("time", "Velocities turned round: means change their sign, and nothing else does.")
def time_reversal(subject: Subject) -> str:
    """Let time run backwards."""
    same = (*_MASSES, *_SPEEDS, *_OF_TAILS, *_NUMBERS)
    signs = {**dict.fromkeys(same, 1.0), **dict.fromkeys(_MEANS, -1.0)}

    def backwards(stars: Stars) -> Stars:
        return {name: -values if name[0] == "v" else values for name, values in stars.items()}

    return _compared(subject, backwards, signs.get)


@check(
    "mirror", "North and south exchanged: the mean v_theta changes its sign, and nothing else does."
)
def mirror(subject: Subject) -> str:
    """Reflect at the plane."""
    same = (*_MASSES, *_SPEEDS, *_OF_TAILS, *_NUMBERS, *_MEANS)
    signs = {**dict.fromkeys(same, 1.0), "mean_v_theta": -1.0}

    def mirrored(stars: Stars) -> Stars:
        return {name: -values if name in ("z", "vz") else values for name, values in stars.items()}

    return _compared(subject, mirrored, signs.get)


@check(
    "components",
    "The velocity v_phi of each star times k: what is said of v_phi is times k, of v_r and v_theta as before.",
)
def components(subject: Subject) -> str:
    """Scale one component."""
    powers = {"sigma_phi": 1, "mean_v_phi": 1} | dict.fromkeys(
        ("sigma_r", "sigma_theta", "mean_v_r", "mean_v_theta"), 0
    )
    powers |= dict.fromkeys(("kurtosis_r", "kurtosis_theta", "kurtosis_phi"), 0)

    def stretched(stars: Stars) -> Stars:
        r = np.hypot(stars["x"], stars["y"])
        unit = -stars["y"] / r, stars["x"] / r
        grown = (_FACTOR - 1.0) * (stars["vx"] * unit[0] + stars["vy"] * unit[1])
        return {
            **stars,
            "vx": stars["vx"] + grown * unit[0],
            "vy": stars["vy"] + grown * unit[1],
        }

    return _compared(subject, stretched, lambda q: _FACTOR ** powers[q] if q in powers else None)


@check("drift", "Each star 10, 20 and 40 km/s faster in v_r, v_theta, v_phi: so are the means.")
def drift(subject: Subject) -> str:
    """Add a velocity, along the directions that the components are measured in."""
    added = dict(zip(_MEANS, (10.0, 20.0, 40.0), strict=True))

    def drifting(stars: Stars) -> Stars:
        basis = spherical_basis(np.stack([stars[name] for name in "xyz"], axis=1))
        more = np.einsum("k,nkj->jn", [*added.values()], basis)
        names = ("vx", "vy", "vz")
        return {**stars, **{name: stars[name] + more[j] for j, name in enumerate(names)}}

    return _compared(
        subject, drifting, lambda q: 1.0 if q in added else None, shift=lambda q: added.get(q, 0.0)
    )


@check("rotation about the axis", "Turned about the axis of the Galaxy, nothing changes.")
def rotation(subject: Subject) -> str:
    """Turn all stars about the z axis."""
    same = (*_MASSES, *_SPEEDS, *_OF_TAILS, *_NUMBERS, *_MEANS)
    return _compared(subject, _turned((0.0, 0.0, 1.0)), lambda q: 1.0 if q in same else None)


@check(
    "rotation about the centre",
    "Turned about any axis, masses, sigma_r and anisotropy stay as they are.",
)
def any_rotation(subject: Subject) -> str:
    """Turn all stars about an inclined axis."""
    return _compared(subject, _turned((2.0, -1.0, 2.0)), lambda q: 1.0 if q in _ROUND else None)


@check("twice the stars", "Each star twice: the same values, intervals smaller by the root of two.")
def twice(subject: Subject) -> str:
    """Repeat the whole sample."""

    def doubled(stars: Stars) -> Stars:
        return {name: np.tile(values, 2) for name, values in stars.items()}

    return _compared(subject, doubled, lambda _: 1.0, narrower=math.sqrt(0.5))


@check(
    "mass and circular velocity",
    "Where both are given at a radius, v_c^2 = G M / r.",
)
def circular(subject: Subject) -> str:
    """Compare them."""
    found = by_row(subject.estimate(subject.catalogue()))
    pairs = [
        (row, found["v_c", number])
        for (quantity, number), row in found.items()
        if quantity == "enclosed_mass" and ("v_c", number) in found
    ]
    if not pairs:
        raise NotApplicable("does not yield both")
    misses = []
    for mass, speed in pairs:
        expected = math.sqrt(G * max(mass.value, 0.0) / mass.r)
        half = 0.5 * (speed.hi68 - speed.lo68)
        room = _MEDIANS * expected + (_CLIMB * half if math.isfinite(half) else 0.0)
        said = f"v_c = {speed.value:.6g} km/s, {expected:.6g} of the mass, at {mass.r:.4g} kpc"
        misses.append((abs(speed.value - expected) / room, said))
    worst, said = max(misses)
    if worst > 1.0:
        raise Failed(said)
    return f"{len(pairs)} pairs, the worst at {worst:.2g} of what is allowed"


def _turned(axis: tuple[float, float, float]) -> Callable[[Stars], Stars]:
    """Rotation by 77 degrees about an axis (Rodrigues)."""
    u = np.array(axis) / np.linalg.norm(axis)
    cross = np.cross(np.eye(3), u)
    angle = math.radians(77.0)
    matrix = np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * cross @ cross

    def turn(stars: Stars) -> Stars:
        turned = dict(stars)
        for names in (("x", "y", "z"), ("vx", "vy", "vz")):
            parts = matrix @ np.array([stars[name] for name in names])
            turned |= dict(zip(names, parts, strict=True))
        return turned

    return turn


def _scaled(value: Any, name: str = "") -> Any:
    """Scale the settings that are radii."""
    if isinstance(value, Mapping):
        return {key: _scaled(each, key) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_scaled(each, name) for each in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return _FACTOR * value if is_number and name in _RADII else value


def _compared(
    subject: Subject,
    change: Callable[[Stars], Stars],
    factor: Callable[[str], float | None],
    narrower: float | None = None,
    shift: Callable[[str], float] = lambda _: 0.0,
    **settings: Any,
) -> str:
    """Compare as :func:`compared` the stars of a subject with the same stars after a ``change``."""

    def pair(stars: Stars) -> tuple[Catalogue, Catalogue]:
        return catalogue_of(stars), catalogue_of(change(stars))

    room = _CLIMB if narrower is None else LEARNT
    return compared(subject, pair, factor, narrower, shift, room, **settings)


def compared(
    subject: Subject,
    pair: Callable[[Stars], tuple[Catalogue, Catalogue]],
    factor: Callable[[str], float | None] = lambda _: 1.0,
    narrower: float | None = None,
    shift: Callable[[str], float] = lambda _: 0.0,
    room: float = _CLIMB,
    **settings: Any,
) -> str:
    """Compare the values of one catalogue with what those of another must be, and name the worst.

    Parameters
    ----------
    pair
        Makes both of the same stars.
    factor
        What lies between them, of a quantity; None where nothing is known of it.
    narrower
        What lies between the widths of their intervals, where that is to be seen.
    shift
        What is added to a quantity.
    room
        Differences that count for nothing, in units of the half width of the stated interval.
    settings
        Those that change with the catalogue.
    """

    def misses(n: int) -> list[tuple[float, str]]:
        before, after = pair(subject.stars(n))
        both = (subject.streams(before), subject.streams(after, **settings))
        return _misses(both, factor, shift, narrower, room)

    found = misses(STARS)
    if not found:
        raise NotApplicable("yields nothing of which it is known what must come out")
    worst, said = max(found)
    if worst > 1.0:
        raise Failed(said, subject.smallest(lambda n: _fails(misses, n)))
    return f"{len(found)} values, the worst at {worst:.2g} of what is allowed"


def _fails(misses: Callable[[int], list[tuple[float, str]]], n: int) -> bool:
    try:
        return any(miss > 1.0 for miss, _ in misses(n))
    except Exception:  # another fault than the one that is shrunk
        return False


def is_comparable(row: Estimate) -> bool:
    """Whether a value is a number of the whole halo: no direction, and of no part of the sky."""
    known = QUANTITIES.get(row.quantity)
    directed = known is not None and known.scale in ("angle", "separation")
    return row.stars is None and row.toward is None and not directed


def _misses(
    pair: tuple[tuple[Estimates, Mapping[RowKey, float]], ...],
    factor: Callable[[str], float | None],
    shift: Callable[[str], float],
    narrower: float | None,
    room_share: float,
) -> list[tuple[float, str]]:
    """Differences in units of what is allowed, with words."""
    before, after = (by_row(found) for found, _ in pair)
    scatter = [spread for _, spread in pair]
    found = []
    for key, row in before.items():
        quantity = key[0].partition(".")[0]  # sigma_r.mr is a dispersion, too
        k = factor(quantity)
        if k is None or key not in after or not is_comparable(row):
            continue
        expected, got = k * row.value + shift(quantity), after[key].value
        half = 0.5 * abs(k) * (row.hi68 - row.lo68)
        own = abs(k) * scatter[0].get(key, 0.0) + scatter[1].get(key, 0.0)
        room = _SCATTERS * own + _ROUNDING * abs(expected)
        room += room_share * half if math.isfinite(half) else 0.0
        apart = abs(got - expected)
        miss = apart / room if room > 0.0 else (0.0 if apart == 0.0 else math.inf)
        found.append((miss, f"{key[0]}, bin {key[1]}: {got:.6g}, expected {expected:.6g}"))
        if narrower is not None and half > 0.0:
            ratio = 0.5 * (after[key].hi68 - after[key].lo68) / half
            # intervals of a hundred draws scatter by a tenth
            found.append(
                (
                    abs(math.log(ratio / narrower)) / 0.3,
                    f"{key[0]}, bin {key[1]}: intervals {ratio:.2f} times as wide, expected {narrower:.2f}",
                )
            )
    return found
