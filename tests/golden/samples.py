"""One of every kind that scenarios can name, and the numbers that it gives at a fixed seed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np

from haloassay import scenarios
from haloassay.base import kinds
from haloassay.base.cache import content_key, plain_content
from haloassay.cleaning.steps import make_clean
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import Sun, galactocentric_to_heliocentric, spherical_basis
from haloassay.estimators import make_estimator
from haloassay.mocks import make_mock
from haloassay.mocks.debris.debris import make_debris
from haloassay.mocks.debris.surroundings import Surroundings
from haloassay.mocks.equilibria.anisotropy import make_anisotropy
from haloassay.mocks.equilibria.distributions import make_distribution
from haloassay.mocks.equilibria.equilibrium import OrbitSuperposition
from haloassay.mocks.equilibria.tracers import make_density
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.mocks.surveys.luminosity import make_luminosity
from haloassay.mocks.surveys.stated import StatedSelection
from haloassay.mocks.surveys.survey import make_survey
from haloassay.planning.expansion import cells
from haloassay.planning.scenario import load_scenario

RADII = np.array([1.0, 8.0, 40.0, 200.0])
BINS = [5.0, 12.0, 25.0, 60.0]
NFW = {"kind": "nfw", "m200": 1e12, "c": 12.0}
HALO = {
    "potential": NFW,
    "density": {"kind": "broken-power-law", "slopes": [-2.6, -4.2], "breaks": [20.0]},
    "beta": {"kind": "constant", "beta": 0.4},
    "r_range": [4.0, 80.0],
}
SATELLITES = [
    {"time": 9.0, "mass": 5e10, "circularity": 0.4, "r_circ": 0.8},
    {"time": 6.0, "mass": 2e10, "position": [0, 120, 0], "velocity": [60, -100, 0]},
]
POPULATION = {"size": 300, "time": 0.3, "phases": 1}

#: By family and kind, settings of one; of some kinds several, which go other ways.
SPECS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "mocks": {
        "equilibrium": [
            {**HALO, "method": "orbits"},
            {**HALO, "method": "mixture", "tolerance": 0.2},
            {**HALO, "shape": {"axis_ratios": [0.9, 0.7]}, "population": POPULATION},
            {**HALO, "lmc": {"mass": 1.5e11}, "population": POPULATION},
            {**HALO, "painted": {"mu_dipole": 30.0}},
            {
                "potential": NFW,
                "r_range": [4.0, 80.0],
                "populations": [
                    {
                        "name": "mr",
                        "fraction": 0.6,
                        "density": HALO["density"],
                        "beta": 0.6,
                        "feh": {"mean": -1.0, "sigma": 0.2},
                    },
                    {
                        "name": "mp",
                        "fraction": 0.4,
                        "density": {"kind": "power-law", "slope": -3.2},
                        "beta": 0.1,
                        "rotation": 0.2,
                        "feh": {"mean": -1.8, "sigma": 0.3},
                    },
                ],
            },
            {**HALO, "distribution": {"kind": "gaussian"}},
            {**HALO, "distribution": {"kind": "cuddeford"}},
            {
                **HALO,
                "distribution": {"kind": "kurtosis", "r": [10.0, 40.0], "tangential": 3.5},
            },
        ],
        "local-jeans-gaussian": [HALO],
        "accreted": [
            {"potential": NFW, "size": 1000, "history": {"seed": 3}},
            {"potential": NFW, "size": 1000, "satellites": SATELLITES},
        ],
    },
    "densities": {
        "power-law": [{"slope": -3.5}],
        "broken-power-law": [{"slopes": [-2.8, -4.6], "breaks": [17.0]}],
        "einasto": [{"n": 3.1, "r_eff": 15.0}],
        "plummer": [{"a": 10.0}],
        "hernquist": [{"a": 10.0}],
        "nfw": [{"r_s": 10.0}],
        "table": [{"r": [1.0, 5.0, 20.0, 100.0], "rho": [10.0, 1.0, 0.02, 1e-5]}],
    },
    "betas": {
        "constant": [{"beta": 0.4}],
        "osipkov-merritt-profile": [{"r_a": 20.0, "beta0": 0.1}],
        "table": [{"r": [5.0, 20.0, 80.0], "beta": [0.7, 0.5, 0.6]}],
    },
    "distributions": {
        "power-law": [{}],
        "gaussian": [{}],
        "kurtosis": [{"r": [10.0, 40.0], "tangential": 3.5}],
        "cuddeford": [{}],
    },
    "potentials": {
        "nfw": [{"m200": 1e12, "c": 12.0}],
        "hernquist": [{"mass": 1e12, "a": 20.0}],
        "plummer": [{"mass": 1e12, "a": 20.0}],
        "point-mass": [{"mass": 1e12}],
        "zhai2018-baryons": [{}],
        "mwpotential2014-baryons": [{}],
        "mass-table": [{"r": [0.1, 1.0, 10.0, 100.0], "mass": [1e8, 1e10, 1e11, 2e11]}],
        "triaxial-nfw": [{"m200": 1e12, "c": 10.0, "axis_ratios": [0.8, 0.7]}],
        "galpy": [{"name": "MWPotential2014"}],
    },
    "debris": {
        "stream": [{"fraction": 0.1, "size": 150}],
        "shells": [{"fraction": 0.1, "size": 150}],
        "gse": [{"fraction": 0.1, "size": 150}],
        "thick-disc": [{"fraction": 0.1}],
        "monoceros": [{"fraction": 0.1}],
        "in-situ": [{"fraction": 0.1, "rotation": -0.5}],
        "satellites": [
            {
                "fraction": 0.1,
                "objects": [
                    {
                        "ra": 190.0,
                        "dec": 30.0,
                        "distance": 20.0,
                        "pmra": 1.0,
                        "pmdec": -1.0,
                        "vlos": 50.0,
                    }
                ],
            }
        ],
        "unbound": [{"fraction": 0.1}],
        "blunders": [{"fraction": 0.1}],
    },
    "luminosities": {
        "power-law": [{}],
        "gaussian": [{"mean": 0.6, "sigma": 0.2}],
        "horizontal-branch": [{}],
    },
    "surveys": {name: [{"n_stars": 150}] for name in kinds.FAMILIES["surveys"].builtin},
    "cleans": {
        "energy-cut": [{"e_max": -6e4}],
        "height-cut": [{}],
        "sagittarius-band": [{}],
        "sagittarius-momentum": [{}],
        "gaussian-balls": [{"balls": [{"centre": [8, 0, 0], "sigma": [4, 4, 4]}]}],
        "cross-match": [
            {
                "objects": [{"ra": 190.0, "dec": 30.0, "radius": 20.0, "distance": 20.0}],
                "distance_limit": 0.5,
            }
        ],
        "friends-of-friends": [{"unit": "median-separation"}],
        "four-distance": [{"linking_length": 0.6}],
        "select": [{"feh": [-1.7, -1.3], "where": "r > 10 and apocentre < 80"}],
    },
    "estimators": {
        "velocity-ellipsoid": [{"bins": BINS}],
        "jeans-3d": [
            {"bins": BINS, "alpha": {"slopes": [-2.8, -4.6], "breaks": [17.0]}},
            {"bins": BINS, "alpha": -3.0, "nfw": "none", "fit_density": {}, "inner_vc": {}},
        ],
        "tracer-mass": [{"bins": BINS, "alpha": -3.5, "nfw": {"vc_range": "none"}}],
        "los-jeans": [{"bins": BINS}],
        "los-jeans-derivative": [{"bins": BINS}],
        "sky-map": [{"map": "quadrants"}],
        "dipole": [{}],
        "reflex-6d": [{}],
        "spline-jeans": [{"alpha": "measured"}],
        "power-law-df": [{"alpha": -3.5}],
        "hierarchical-df": [{}, {"density": "conditional", "alpha": -3.5, "h0": 67.8}],
        "nfw-tracer": [{"alpha": -3.5}],
        "action-df": [
            {"r_range": [5.0, 60.0], "r_out": [8.0, 20.0], "n_draws": 100},
            {"position": "given", "n_draws": 100, "baryons": "zhai2018"},
        ],
        "escape-speed": [{"v_min": 180.0, "v_esc_range": [200.0, 1500.0], "halo": {}}],
        "jeans-virial": [
            {"alpha": -3.5},
            {
                "alpha": {"slopes": [-1.0, -5.0], "breaks": [20.0], "width": 0.5},
                "data": "los",
                "virial_shape": "first",
                "anisotropy": "changing",
            },
        ],
        "axisymmetric-jeans": [
            {"alpha": -3.5},
            {
                "alpha": {"slopes": [-2.6, -4.2], "breaks": [20.0]},
                "alignment": "cylindrical",
                "halo": "power-law",
                "q_stars": 0.8,
                "q_halo": 0.9,
                "baryons": "mwpotential2014",
            },
        ],
        "orbital-roulette": [
            {},
            {"statistic": "anderson-darling", "c200": 12.0, "baryons": "zhai2018"},
            {"halo": {"r": [0.5, 10.0, 400.0], "mass": [1.0, 20.0, 200.0], "stretch": [0.5, 2.0]}},
        ],
        "tracer-density": [{"alpha": -3.0, "fit_density": {"axis_ratio": "free"}}],
        "shape": [{"bins": BINS}],
        "gaussian-single": [{"bins": BINS}],
        "gaussian-mixture": [{"bins": [5.0, 60.0]}],
    },
}

#: What is not pinned here, and why.
ELSEWHERE = {
    "mocks": {
        "agama": "needs agama, whose draws are its own",
        "snapshot": "its key has the digest of a file: test_snapshot.py",
    },
    "estimators": {
        "npe": "its network refuses stars that errors move out of its radii: test_npe.py"
    },
}


def made(family: str, kind: str, settings: dict[str, Any]) -> Any:
    """Component of a family."""
    spec = {"preset" if family == "surveys" else "kind": kind, **settings}
    if family == "debris":
        return make_debris([spec])[0]
    if family == "cleans":
        return make_clean([spec])
    makers: dict[str, Any] = {
        "mocks": make_mock,
        "densities": make_density,
        "betas": make_anisotropy,
        "distributions": make_distribution,
        "potentials": make_potential,
        "luminosities": make_luminosity,
        "surveys": make_survey,
        "estimators": make_estimator,
    }
    return makers[family](spec)


def keys() -> dict[str, Any]:
    """Content keys of all kinds, and of the cells and estimators of all packaged scenarios."""
    found: dict[str, Any] = {
        family: {
            kind: [content_key(plain_content(made(family, kind, s))) for s in settings]
            for kind, settings in kinds_of.items()
        }
        for family, kinds_of in SPECS.items()
    }
    found["scenarios"] = {
        name: {cell.label: [*cell.content] for cell in cells(load_scenario(name))}
        for name in scenarios.names()
    }
    return json.loads(json.dumps(found))


def versions(family: str, kind: str) -> list[int]:
    """All versions in the content of a kind: its own and those of what it is made of, in their order."""
    found: list[int] = []

    def walk(content: Any) -> None:
        if isinstance(content, dict):
            found.extend([content["version"]] if "version" in content else [])
            content = list(content.values())
        if isinstance(content, list):
            for item in content:
                walk(item)

    for settings in SPECS[family][kind]:
        walk(plain_content(made(family, kind, settings)))
    return found


def numbers(family: str, kind: str) -> list[float]:
    """Numbers that a kind gives, to six digits."""
    values = [
        value
        for settings in SPECS[family][kind]
        for value in _NUMBERS[family](made(family, kind, settings))
    ]
    return [float(f"{value:.6g}") for value in values]


def stars(n: int = 900) -> Catalogue:
    """Sample of numpy's alone, with observational errors: a change of the mocks does not move it."""
    rng = np.random.default_rng(20)
    toward = rng.standard_normal((n, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    r = 5.0 * (60.0 / 5.0) ** rng.random(n)
    spherical = np.array([130.0, 80.0, 85.0]) * rng.standard_normal((n, 3))
    spherical[:, 0] += 15.0 * toward[:, 2]
    velocity = np.einsum("nk,nki->ni", spherical, spherical_basis(toward))
    columns = galactocentric_to_heliocentric(r[:, None] * toward, velocity, Sun())
    errors = {"distance": 0.1 * columns["distance"], "pmra": 0.05, "pmdec": 0.05, "vlos": 5.0}
    for name, error in errors.items():
        columns[f"{name}_err"] = np.broadcast_to(error, n)
    columns["distance"] = columns["distance"] * np.exp(0.1 * rng.standard_normal(n))
    columns["feh"] = np.where(rng.random(n) < 0.5, -1.1, -1.7) + 0.2 * rng.standard_normal(n)
    return Catalogue.from_arrays(**columns)


def _of_mock(mock: Any) -> list[float]:
    sample = mock.sample(200, np.random.default_rng(1))
    truth = [mock.truth.value(q, r=20.0) for q in ("enclosed_mass", "sigma_r", "beta", "mu_dipole")]
    moments = [*np.mean(sample.position, axis=0), *np.std(sample.velocity, axis=0)]
    return [*np.nan_to_num(truth), *moments, np.mean(sample.r), *np.nan_to_num([sample.feh.mean()])]


def _of_distribution(distribution: Any) -> list[float]:
    halo = make_potential(NFW), make_density(HALO["density"]), make_anisotropy(HALO["beta"])
    solved = OrbitSuperposition.solve(*halo, 8.0, 50.0, distribution=distribution)
    at = np.searchsorted(solved.radius, [12.0, 20.0, 35.0])
    return [*solved.kurtosis_r[at], *solved.kurtosis_t[at]]


def _of_debris(debris: Any) -> list[float]:
    around = Surroundings(make_potential(NFW), (2.0, 150.0))
    sample = debris.sampler(around, np.random.default_rng(2))(100)
    return [np.mean(sample.r), *np.mean(sample.position, axis=0), *np.std(sample.velocity, axis=0)]


def _of_survey(survey: Any) -> list[float]:
    mock = make_mock(
        {
            "kind": "local-jeans-gaussian",
            "potential": NFW,
            "r_range": [3.0, 120.0],
            "density": {"kind": "power-law", "slope": -3.5},
            "beta": 0.3,
            "feh": {"mean": -1.4, "sigma": 0.3},
            "alpha_fe": {"mean": 0.2, "sigma": 0.1},
        }
    )
    seen = survey.observe(mock, np.random.default_rng(3), np.random.default_rng(4))
    columns = seen.catalogue.columns
    return [float(seen.n_drawn), *(float(np.mean(columns[name])) for name in sorted(columns))]


def _of_clean(cleaning: Any) -> list[float]:
    catalogue = stars()
    rows = np.zeros(len(catalogue))
    rows[cleaning.rows(catalogue)] = 1.0
    return [rows.sum(), float(np.flatnonzero(rows).sum())]


def _of_estimator(estimator: Any) -> list[float]:
    selection = StatedSelection.of(make_survey({"r_min": 5.0, "r_max": 60.0}), Sun())
    rows = estimator.estimate(replace(stars(), selection=selection), np.random.default_rng(5))
    return [x for row in rows if not row.note for x in (row.value, row.hi68 - row.lo68)]


_NUMBERS: dict[str, Any] = {
    "mocks": _of_mock,
    "densities": lambda d: [*np.diff(d.log_density(RADII)), *d.slope(RADII)],
    "betas": lambda b: b.beta(RADII),
    "distributions": _of_distribution,
    "potentials": lambda p: [*p.enclosed_mass(RADII), *p.potential(RADII)],
    "debris": _of_debris,
    "luminosities": lambda m: m.absolute_magnitude(np.array([0.1, 0.5, 0.9])),
    "surveys": _of_survey,
    "cleans": _of_clean,
    "estimators": _of_estimator,
}
