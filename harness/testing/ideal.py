"""Settings of the estimators of haloassay for checks, and halos on which all holds that they assume."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from haloassay.base.constants import G

_BINS: Final = [5.0, 10.0, 20.0, 60.0]
_SLOPE: Final = -3.5
_HALO: Final = {
    "kind": "local-jeans-gaussian",
    "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
    "density": {"kind": "power-law", "slope": _SLOPE},
    "r_range": [3.0, 200.0],
}


def _halo(beta: float, **changes: Any) -> dict[str, Any]:
    return {**_HALO, "beta": {"kind": "constant", "beta": beta}, **changes}


_SURVEY: Final = {"n_stars": 1500, "r_min": 5.0, "r_max": 60.0}
#: Errors of the velocities alone, which are then Gaussian, of up to half of a dispersion.
_NOISY: Final = {**_SURVEY, "pm_error": 0.2, "vlos_error": 40.0}
#: Of sigma_r = s0 exp(-r / h), by the Jeans equation: the potential in which the fit of jeans-3d is right.
_S0, _H = 160.0, 300.0


def _exponential(beta: float) -> dict[str, Any]:
    """Potential, as a table that ends where the mass would fall, of stars whose dispersion falls exponentially."""
    radii = [0.5 * 1.15**k for k in range(44)]
    mass = [
        r * (_S0 * math.exp(-r / _H)) ** 2 * (2.0 * r / _H - _SLOPE - 2.0 * beta) / G for r in radii
    ]
    return {"kind": "mass-table", "r": radii, "mass": mass}


def _power_law(slope: float) -> dict[str, Any]:
    """Potential of a density that falls by this slope: v_c^2 goes as r^(2 - slope)."""
    settings = {"alpha": slope, "normalize": 1.0}
    return {"kind": "galpy", "name": "PowerSphericalPotential", "settings": settings}


#: A halo that moves past the Galactic centre, of stars with one dispersion at all radii: their potential is
#: logarithmic.
_MOVING: Final = {
    "mock": _halo(
        0.0,
        potential=_power_law(2.0),
        painted={"v_travel": 60.0, "apex_l": -40.0, "apex_b": -30.0, "mu_compr": -10.0},
    ),
    "survey": _SURVEY,
}
#: Potential whose v_c^2 falls as r^-0.5, the mass within as r^0.5.
_SCALE_FREE: Final = _power_law(2.5)
#: Of a halo alone, as the mocks have it.
_NFW_ALONE: Final = {"baryons": "none", "h0": 67.8}
_FINE_BINS: Final = [5.0, 7.0, 10.0, 14.0, 20.0, 28.0, 40.0, 60.0]
_MANY: Final = {**_SURVEY, "n_stars": 8000}
_TWO: Final = {
    **{name: value for name, value in _HALO.items() if name != "density"},
    "populations": [
        {
            "name": name,
            "fraction": share,
            "density": {"kind": "power-law", "slope": _SLOPE},
            "beta": {"kind": "constant", "beta": beta},
            "feh": {"mean": mean, "sigma": sigma},
        }
        for name, share, beta, mean, sigma in (
            ("mr", 0.5, 0.85, -1.1, 0.15),
            ("mp", 0.5, 0.2, -1.8, 0.25),
        )
    ],
}

#: What breaks an assumption: changed settings by their paths, by name.
_DISTANCES: Final = {"distance errors of 20 per cent": {"survey.distance_error": 0.2}}
_ERRORS: Final = {
    "errors 1.5 times those stated": {"survey.pm_error_scale": 1.5, "survey.vlos_error_scale": 1.5}
}
_TAILS: Final = {"velocities that are not Gaussian": {"mock.kind": "equilibrium"}}
_FALLING: Final = {"dispersions that fall with radius": {"mock.potential": _HALO["potential"]}}
_SLOPES: Final = {
    "density steeper by 0.3": {"mock.density.slope": _SLOPE - 0.3},
    "density shallower by 0.3": {"mock.density.slope": _SLOPE + 0.3},
}
#: The mock is then made of stored stars, of which a sample is a small part.
_STORED: Final = {
    "mock.kind": "equilibrium",
    "mock.r_range": [4.0, 100.0],
    "mock.population": {"size": 60000, "time": 3.0},
    "survey.n_stars": 3000,
}
_LMC: Final = {"an LMC of 1.5e11 Msun": {**_STORED, "mock.lmc": {"mass": 1.5e11}}}
_FLAT: Final = {
    "flattened to 0.7": {**_STORED, "mock.shape": {"axis_ratios": [1.0, 0.7]}},
}
_STREAM: Final = {
    "a stream of a tenth of the stars": {"mock.debris": [{"kind": "stream", "fraction": 0.1}]}
}
_SPIN: Final = {"rotation of 0.3": {"mock.rotation": 0.3}}


def _falling(beta: float) -> dict[str, Any]:
    return {"kind": "table", "r": [5.0, 60.0], "beta": [beta + 0.3, beta - 0.3]}


def _betas(beta: float, varying: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
    """Anisotropies that are not the one of the ideal halo; ``varying`` is what else changes for one that does so."""
    return {
        "beta higher by 0.3": {"mock.beta.beta": beta + 0.3},
        "beta lower by 0.3": {"mock.beta.beta": beta - 0.3},
        "beta that falls by 0.6 from 5 to 60 kpc": {"mock.beta": _falling(beta), **varying},
    }


#: Of a dark halo that falls more steeply than an NFW halo does outside, and is denser inside.
_CURVED: Final = {
    "another shape of the halo": {"mock.potential": {"kind": "hernquist", "mass": 1e12, "a": 20.0}}
}
_JEANS: Final = {**_SLOPES, **_SPIN, **_DISTANCES, **_STREAM}
_FIELDS: Final = {**_FLAT, **_LMC}

#: By kind: ``settings``; and ``mock`` and ``survey`` where there is a halo on which all holds that it assumes, with
#: ``violations`` of that.
IDEAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "velocity-ellipsoid": {
        "settings": {"bins": _BINS},
        "mock": _halo(0.5),
        "survey": _NOISY,
        "violations": {**_ERRORS, **_DISTANCES},
    },
    "jeans-3d": {
        "settings": {"bins": _FINE_BINS, "alpha": _SLOPE, "nfw": "none"},
        "mock": _halo(0.5, potential=_exponential(0.5)),
        "survey": _MANY,
        "violations": _JEANS,
    },
    "tracer-mass": {
        "settings": {"bins": _BINS, "alpha": _SLOPE, "a": 0.5, "beta": 0.5},
        "mock": _halo(0.5, potential=_SCALE_FREE),
        "survey": {**_SURVEY, "n_stars": 20000},
        "violations": {**_betas(0.5), **_JEANS, **_CURVED},
    },
    # seen from the Sun: right where orbits are isotropic
    "los-jeans": {
        "settings": {"bins": _FINE_BINS, "alpha": _SLOPE, "halo": _NFW_ALONE},
        "mock": _halo(0.0),
        "survey": _MANY,
        "violations": {**_betas(0.0), **_JEANS, **_CURVED, **_FIELDS},
    },
    "los-jeans-derivative": {
        "settings": {"bins": _FINE_BINS, "alpha": _SLOPE, "halo": _NFW_ALONE},
        "mock": _halo(0.0),
        "survey": _MANY,
        "violations": {**_betas(0.0), **_JEANS, **_CURVED, **_FIELDS},
    },
    "sky-map": {
        "settings": {"map": "quadrants", "recipe": "deconvolved"},
        "mock": _halo(0.5),
        "survey": _SURVEY,
        "violations": {**_ERRORS, **_DISTANCES},
    },
    **{
        kind: {
            "settings": {},
            **_MOVING,
            "violations": {**_FALLING, **_TAILS, **_DISTANCES, **_STREAM},
        }
        for kind in ("dipole", "reflex-6d")
    },
    "spline-jeans": {"settings": {"alpha": "measured"}},
    "power-law-df": {
        "settings": {"alpha": _SLOPE},
        "mock": _halo(
            0.5,
            kind="equilibrium",
            potential=_SCALE_FREE,
            distribution={"kind": "cuddeford"},
        ),
        "survey": _SURVEY,
        "violations": {
            **_betas(0.5, {"mock.distribution": {"kind": "power-law"}}),
            **_SLOPES,
            **_SPIN,
            **_DISTANCES,
            **_CURVED,
        },
    },
    "hierarchical-df": {
        "settings": {"r_range": [5.0, 60.0]},
        "mock": _halo(
            0.5,
            kind="equilibrium",
            potential=_SCALE_FREE,
            distribution={"kind": "cuddeford"},
        ),
        "survey": {**_SURVEY, "n_stars": 500},
        "violations": {
            **_betas(0.5, {"mock.distribution": {"kind": "power-law"}}),
            **_SPIN,
            **_CURVED,
        },
    },
    "nfw-tracer": {
        "settings": {"alpha": _SLOPE, "beta": 0.5, "n_shapes": 15, "n_bootstrap": 100},
        "mock": _halo(0.5),
        "survey": _SURVEY,
        "violations": {**_betas(0.5), **_JEANS, **_CURVED, **_FIELDS},
    },
    # only agama's mocks have such a distribution function: bias and coverage are those of stars of its own model
    "action-df": {"settings": {"r_range": [5.0, 60.0], "n_draws": 200}},
    # no mock has a tail that is a power: bias and coverage are those of stars of its own model
    "escape-speed": {"settings": {"v_min": 180.0, "v_esc_range": [200.0, 1500.0]}},
    "jeans-virial": {
        "settings": {"alpha": _SLOPE},
        "mock": _halo(0.5),
        "survey": {**_SURVEY, "n_stars": 3000},
        "violations": {
            **{name: of for name, of in _betas(0.5).items() if "falls" in name},
            **_JEANS,
            **_FIELDS,
        },
    },
    "axisymmetric-jeans": {
        "settings": {"alpha": _SLOPE},
        "mock": _halo(0.5),
        "survey": {**_SURVEY, "n_stars": 3000},
        "violations": {
            **{name: of for name, of in _betas(0.5).items() if "falls" in name},
            **_JEANS,
            **_CURVED,
            **_FIELDS,
        },
    },
    "orbital-roulette": {
        "settings": {"r_range": [5.0, 60.0]},
        "mock": _halo(0.5, kind="equilibrium"),
        "survey": {**_SURVEY, "n_stars": 3000},
        "violations": {
            **_DISTANCES,
            **_STREAM,
            **_CURVED,
            **_FIELDS,
            "seen out to 40 kpc": {"survey.r_max": 40.0},
        },
    },
    "npe": {
        "settings": {},
        "mock": _halo(0.5, kind="equilibrium"),
        "survey": {**_SURVEY, "n_stars": 3000},
        "violations": {
            "beta that falls by 0.6 from 5 to 60 kpc": {"mock.beta": _falling(0.5)},
            **_SPIN,
            **_STREAM,
            **_CURVED,
            **_FIELDS,
        },
    },
    "tracer-density": {
        "settings": {"alpha": _SLOPE, "fit_density": {"axis_ratio": "free"}},
        "mock": _halo(0.5),
        "survey": _SURVEY,
        "violations": {**_DISTANCES, **_STREAM},
    },
    "shape": {"settings": {"bins": _BINS}},
    "gaussian-single": {
        "settings": {"bins": _BINS},
        "mock": _halo(0.5),
        "survey": _NOISY,
        "violations": {**_ERRORS, **_TAILS},
    },
    "gaussian-mixture": {
        "settings": {"bins": [5.0, 60.0]},
        "mock": _TWO,
        "survey": _SURVEY,
        "violations": {**_TAILS, **_DISTANCES},
    },
}
