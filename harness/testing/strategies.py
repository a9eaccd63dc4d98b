"""Strategies of hypothesis: halos that exist, stars of them with the truth, surveys, damaged catalogues, estimates.

Parts of scenarios (potentials, densities, betas, ..., :func:`scenarios`) are tables of plain values, as in a file, and
cost nothing to draw. Catalogues come from a few halos that are solved once a process, so that drawing one means taking
its first stars. All shrink towards a round NFW halo and few stars. A test that fails on a catalogue prints the scenario
that it is of, and the command that makes it again.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.defaults import CHECK_SEED
from haloassay.contracts.estimate import Estimate, Estimates
from haloassay.contracts.quantities import QUANTITIES
from haloassay.engine.catalogues import MockCatalogue
from haloassay.testing.halos import SURVEY, Halo, halo_of
from haloassay.testing.subject import NOBODY, check_scenario

try:
    from hypothesis import note
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError(
        "haloassay.testing.strategies needs hypothesis: python -m pip install 'haloassay[testing]'"
    ) from error

#: A table of a scenario.
Table = dict[str, Any]

#: Radii [kpc] between which there are stars.
R_RANGE: Final = (5.0, 60.0)
#: Stars of a catalogue at most, unless more are asked for.
MOST: Final = 300
#: Realisations of a halo that catalogues are taken from.
_REALIZATIONS: Final = 4
_NFW: Final[Table] = {"kind": "nfw", "m200": 1e12, "c": 12.0}
_POWER_LAW: Final[Table] = {"kind": "power-law", "slope": -3.5}
_ISOTROPIC: Final[Table] = {"kind": "constant", "beta": 0.0}
#: The halos of catalogues: potential, density and beta of each.
_FEW: Final[tuple[tuple[Any, Table, Table], ...]] = (
    (_NFW, _POWER_LAW, _ISOTROPIC),
    (_NFW, _POWER_LAW, {"kind": "constant", "beta": 0.5}),
    (_NFW, _POWER_LAW, {"kind": "constant", "beta": -0.5}),
    ({**_NFW, "m200": 5e11, "c": 20.0}, _POWER_LAW, {"kind": "constant", "beta": 0.7}),
    (
        {"kind": "hernquist", "mass": 1e12, "a": 20.0},
        {"kind": "hernquist", "a": 15.0},
        {"kind": "osipkov-merritt-profile", "r_a": 30.0},
    ),
    (
        [_NFW, {"kind": "mwpotential2014-baryons"}],
        {"kind": "broken-power-law", "slopes": [-2.8, -4.6], "breaks": [17.0]},
        {"kind": "table", "r": [5.0, 20.0, 60.0], "beta": [0.4, 0.7, 0.5]},
    ),
)


def potentials() -> st.SearchStrategy[Any]:
    """Potentials of galaxies of some 1e12 Msun: NFW, Hernquist and Plummer spheres, an NFW halo with baryons."""
    nfw = st.fixed_dictionaries(
        {
            "kind": st.just("nfw"),
            "m200": st.sampled_from([1e12, 5e11, 8e11, 1.5e12, 2e12]),
            "c": st.sampled_from([12.0, 8.0, 20.0]),
        }
    )
    spheres = st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["hernquist", "plummer"]),
            "mass": st.sampled_from([1e12, 5e11, 2e12]),
            "a": st.sampled_from([20.0, 40.0]),
        }
    )
    baryons = st.just({"kind": "mwpotential2014-baryons"})
    return st.one_of(nfw, spheres, st.tuples(nfw, baryons).map(list))


def densities() -> st.SearchStrategy[Table]:
    """Densities of tracers: power laws, one with a break, Hernquist, Einasto, NFW and Plummer."""
    return st.one_of(_cuspy(), _cored())


def _cuspy() -> st.SearchStrategy[Table]:
    radius = st.sampled_from([15.0, 25.0])
    slope = st.sampled_from([-3.5, -3.0, -4.0, -2.5, -4.5])
    return st.one_of(
        st.fixed_dictionaries({"kind": st.just("power-law"), "slope": slope}),
        st.fixed_dictionaries(
            {
                "kind": st.just("broken-power-law"),
                "slopes": st.sampled_from([[-2.5, -4.0], [-2.8, -4.6]]),
                "breaks": st.sampled_from([[20.0], [17.0], [30.0]]),
            }
        ),
        st.fixed_dictionaries({"kind": st.just("hernquist"), "a": radius}),
        st.fixed_dictionaries({"kind": st.just("nfw"), "r_s": radius}),
        st.fixed_dictionaries({"kind": st.just("einasto"), "n": st.just(4.0), "r_eff": radius}),
    )


def _cored() -> st.SearchStrategy[Table]:
    return st.fixed_dictionaries({"kind": st.just("plummer"), "a": st.sampled_from([15.0, 25.0])})


def _tracers() -> st.SearchStrategy[tuple[Table, Table]]:
    """Densities and betas that belong together: stars of a core cannot be radial (An & Evans 2006, ApJ 642, 752)."""
    tangential = st.sampled_from([0.0, -0.5, -1.0]).map(
        lambda beta: {"kind": "constant", "beta": beta}
    )
    return st.one_of(st.tuples(_cuspy(), betas()), st.tuples(_cored(), tangential))


def betas() -> st.SearchStrategy[Table]:
    """Anisotropy profiles between -1 and 0.9: constant, rising, falling, with a maximum."""
    r = [5.0, 20.0, 60.0]
    return st.one_of(
        st.fixed_dictionaries(
            {
                "kind": st.just("constant"),
                "beta": st.sampled_from([0.0, 0.3, 0.5, 0.7, -0.5, -1.0]),
            }
        ),
        st.fixed_dictionaries(
            {
                "kind": st.just("osipkov-merritt-profile"),
                "r_a": st.sampled_from([60.0, 30.0]),
                "beta0": st.sampled_from([0.0, 0.2]),
            }
        ),
        st.fixed_dictionaries(
            {
                "kind": st.just("table"),
                "r": st.just(r),
                "beta": st.sampled_from([[0.2, 0.5, 0.7], [0.7, 0.5, 0.2], [0.4, 0.7, 0.5]]),
            }
        ),
    )


def populations() -> st.SearchStrategy[list[Table]]:
    """Two populations of a halo, with densities, betas and chemistry of their own."""
    share = st.sampled_from([0.5, 0.3, 0.7])
    return st.tuples(share, _tracers(), _tracers()).map(
        lambda drawn: [
            {
                "name": name,
                "fraction": fraction,
                "density": density,
                "beta": beta,
                "feh": {"mean": mean, "sigma": 0.2},
            }
            for name, fraction, (density, beta), mean in (
                ("mr", drawn[0], drawn[1], -1.1),
                ("mp", round(1.0 - drawn[0], 12), drawn[2], -1.8),
            )
        ]
    )


def shapes() -> st.SearchStrategy[Table]:
    """Shapes of the tracers: round, oblate, triaxial, tilted. Their stars mix along orbits first, for seconds."""
    return st.fixed_dictionaries(
        {
            "axis_ratios": st.sampled_from([[1.0, 1.0], [1.0, 0.8], [1.0, 0.6], [0.8, 0.7]]),
            "tilt": st.sampled_from([[0.0, 0.0, 0.0], [0.0, 25.0, 0.0]]),
        }
    )


def lmcs() -> st.SearchStrategy[Table]:
    """Large Magellanic Clouds that have pulled the halo for a while. Its stars take seconds to follow."""
    return st.fixed_dictionaries(
        {
            "mass": st.sampled_from([1.5e11, 5e10, 2.5e11]),
            "time": st.sampled_from([2.0, 3.0]),
        }
    )


def equilibria(
    *,
    several: bool = False,
    shape: st.SearchStrategy[Table] | None = None,
    lmc: st.SearchStrategy[Table] | None = None,
) -> st.SearchStrategy[Table]:
    """Draw mocks in equilibrium: densities and betas are such that there is one, which takes 0.1 s to solve.

    They have one population, or ``several``. With a ``shape`` or an ``lmc`` the stars, 2000 of them, take orbits, and
    are no longer in that equilibrium.
    """
    parts: dict[str, st.SearchStrategy[Any]] = {
        "kind": st.just("equilibrium"),
        "potential": potentials(),
        "r_range": st.just([*R_RANGE]),
    }
    if several:
        parts["populations"] = populations()
    parts |= {} if shape is None else {"shape": shape}
    parts |= {} if lmc is None else {"lmc": lmc}
    if shape is not None or lmc is not None:
        parts["population"] = st.just({"size": 2000, "time": 0.5})
    whole = st.fixed_dictionaries(parts)
    if several:
        return whole
    return st.tuples(whole, _tracers()).map(
        lambda drawn: {**drawn[0], "density": drawn[1][0], "beta": drawn[1][1]}
    )


def surveys(n_stars: st.SearchStrategy[int] | None = None) -> st.SearchStrategy[Table]:
    """Surveys: exact, with errors of distance and velocity, of half of the sky, and those of real giants."""
    n = st.integers(1, MOST) if n_stars is None else n_stars
    errors = st.fixed_dictionaries(
        {
            "preset": st.just("perfect"),
            "n_stars": n,
            "distance_error": st.sampled_from([0.0, 0.1, 0.2]),
            "pm_error": st.sampled_from(["none", "gaia-dr3"]),
            "vlos_error": st.sampled_from([0.0, 5.0]),
        }
    )
    footprint = st.sampled_from([{"dec_min": -10.0}, {"b_min": 20.0}])
    partial = st.fixed_dictionaries(
        {"preset": st.just("perfect"), "n_stars": n, "footprint": footprint}
    )
    preset = st.sampled_from(["all-sky", "lamost-segue-kgiants", "sdss-bhb"])
    return st.one_of(errors, partial, st.fixed_dictionaries({"preset": preset, "n_stars": n}))


def scenarios(
    mock: st.SearchStrategy[Table] | None = None,
    survey: st.SearchStrategy[Table] | None = None,
    estimator: st.SearchStrategy[Table] | None = None,
) -> st.SearchStrategy[Table]:
    """Scenarios of one mock, survey and estimator, and up to three realisations; :func:`haloassay.run` takes them."""
    return st.builds(
        check_scenario,
        equilibria() if mock is None else mock,
        surveys() if survey is None else survey,
        st.just(NOBODY) if estimator is None else estimator,
        realizations=st.integers(1, 3),
        seed=st.integers(0, 2**31),
    )


def catalogues(min_stars: int = 1, max_stars: int = MOST) -> st.SearchStrategy[MockCatalogue]:
    """Catalogues of exact stars from all over the sky, their stars and the truth, of six halos that are solved once."""
    return _first_stars(min_stars, max_stars, observed=False)


def observed_catalogues(
    min_stars: int = 1, max_stars: int = MOST
) -> st.SearchStrategy[MockCatalogue]:
    """Catalogues as a survey with errors of 10 per cent in distance sees the stars of :func:`catalogues`."""
    return _first_stars(min_stars, max_stars, observed=True)


class Damaged(NamedTuple):
    """Columns of a catalogue that must not be read as they are.

    Parameters
    ----------
    columns
        As :func:`haloassay.read_catalogue` takes them.
    defect
        What is wrong, in words.
    row
        Where.
    """

    columns: dict[str, FloatArray]
    defect: str
    row: int


#: Defects: what is wrong, the column, and what stands there.
_DEFECTS: Final[tuple[tuple[str, str, float], ...]] = (
    ("a value is NaN", "distance", np.nan),
    ("a velocity is NaN", "pmra", np.nan),
    ("a value is infinite", "pmdec", np.inf),
    ("a distance is negative", "distance", -10.0),
    ("a latitude is beyond the pole", "dec", 95.0),
    ("a number stands for a missing value", "vlos", -9999.0),
    ("an error is negative", "vlos_err", -1.0),
    ("a star is faster than any", "pmra", 500.0),
)


@st.composite
def damaged_catalogues(draw: st.DrawFn, min_stars: int = 2, max_stars: int = 50) -> Damaged:
    """Columns of an observed catalogue with one defect: a value that nothing may be made of, or a star twice."""
    observed = draw(observed_catalogues(max(min_stars, 2), max_stars)).catalogue
    columns = {name: np.array(values) for name, values in observed.columns.items()}
    row = draw(st.integers(0, len(observed) - 1))
    known = [defect for defect in _DEFECTS if defect[1] in columns]
    defect, column, value = draw(st.sampled_from([*known, ("a star stands there twice", "", 0.0)]))
    if column:
        columns[column][row] = value
    else:
        for values in columns.values():
            values[row] = values[(row + 1) % len(observed)]
    return Damaged(columns, defect, row)


@st.composite
def estimates(draw: st.DrawFn, quantity: str = "sigma_r", max_bins: int = 4) -> Estimates:
    """Rows that an estimator may return: up to ``max_bins`` of a quantity, each with intervals, draws, or words."""
    positive = QUANTITIES[quantity].scale == "fractional"
    edges = np.geomspace(*R_RANGE, max_bins + 1)
    rows = []
    for k in range(draw(st.integers(1, max_bins))):
        lo, hi = map(float, edges[k : k + 2])
        where: Table = {"r": float(np.sqrt(lo * hi)), "r_lo": lo, "r_hi": hi, "bin": k}
        value = draw(st.floats(1e-3, 1e3) if positive else st.floats(-1e3, 1e3))
        form = draw(st.sampled_from(["value", "intervals", "draws", "words"]))
        if form == "words":
            rows.append(Estimate.undetermined(quantity, "too few stars", **where))
            continue
        size = abs(value) + 1e-6
        widths = sorted(draw(st.tuples(st.floats(0.0, 0.4), st.floats(0.0, 0.4))))
        if form == "value":
            rows.append(Estimate(quantity, value, **where))
        elif form == "intervals":
            names = ("lo68", "hi68", "lo95", "hi95")
            ends = [value + sign * size * w for w in widths for sign in (-1.0, 1.0)]
            where |= zip(names, ends, strict=True)
            rows.append(Estimate(quantity, value, **where))
        else:
            seed = draw(st.integers(0, 2**16))
            steps = np.random.default_rng(seed).uniform(-1.0, 1.0, 50) * widths[1]
            rows.append(Estimate.from_draws(quantity, value + size * steps, **where))
    return Estimates(rows)


def _first_stars(
    min_stars: int, max_stars: int, *, observed: bool
) -> st.SearchStrategy[MockCatalogue]:
    """First stars of a realisation of one of the halos; all halos are solved before the first is drawn."""

    def made() -> st.SearchStrategy[MockCatalogue]:
        for k in range(len(_FEW)):
            _halo(k)
            for realization in range(_REALIZATIONS):
                _stars(k, realization, max_stars, observed)
        return st.builds(
            first_stars,
            n=st.integers(min_stars, max_stars),
            halo=st.integers(0, len(_FEW) - 1),
            realization=st.integers(0, _REALIZATIONS - 1),
        )

    def first_stars(n: int, halo: int, realization: int) -> MockCatalogue:
        told = _halo(halo).told(n, realization, exact=not observed)
        note(f"haloassay: the catalogue is of this scenario\n{told}")
        whole, some = _stars(halo, realization, max_stars, observed), slice(0, n)
        catalogue, stars = whole.catalogue.select(some), whole.stars.select(some)
        return whole._replace(catalogue=catalogue, stars=stars)

    return st.deferred(made)


@functools.cache
def _halo(k: int) -> Halo:
    potential, density, beta = _FEW[k]
    mock: Mapping[str, Any] = {
        "kind": "equilibrium",
        "potential": potential,
        "density": density,
        "beta": beta,
        "r_range": [*R_RANGE],
    }
    return halo_of(check_scenario(mock, SURVEY), CHECK_SEED)


@functools.lru_cache(maxsize=256)
def _stars(k: int, realization: int, n: int, observed: bool) -> MockCatalogue:
    halo = _halo(k)
    return (halo.observed if observed else halo.catalogue)(n, realization)
