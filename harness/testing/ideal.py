"""Settings of the estimators of haloassay for checks, and halos on which all holds that they assume."""

from __future__ import annotations

import math
from collections.abc import Mapping
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


#: A halo that moves past the Galactic centre.
_MOVING: Final = {
    "mock": _halo(
        0.0, painted={"v_travel": 60.0, "apex_l": -40.0, "apex_b": -30.0, "mu_compr": -10.0}
    ),
    "survey": _SURVEY,
}
#: Potential whose v_c^2 falls as r^-0.5, the mass within as r^0.5.
_SCALE_FREE: Final = {
    "kind": "galpy",
    "name": "PowerSphericalPotential",
    "settings": {"alpha": 2.5, "normalize": 1.0},
}
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

#: By kind: ``settings``; and ``mock`` and ``survey`` where there is a halo on which all holds that it assumes.
IDEAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "velocity-ellipsoid": {
        "settings": {"bins": _BINS},
        "mock": _halo(0.5),
        "survey": _NOISY,
    },
    "jeans-3d": {
        "settings": {"bins": _FINE_BINS, "alpha": _SLOPE, "nfw": "none"},
        "mock": _halo(0.5, potential=_exponential(0.5)),
        "survey": _MANY,
    },
    "tracer-mass": {
        "settings": {"bins": _BINS, "alpha": _SLOPE, "a": 0.5, "beta": 0.5},
        "mock": _halo(0.5, potential=_SCALE_FREE),
        "survey": {**_SURVEY, "n_stars": 20000},
    },
    # seen from the Sun: right where orbits are isotropic
    "los-jeans": {
        "settings": {"bins": _FINE_BINS, "alpha": _SLOPE, "halo": _NFW_ALONE},
        "mock": _halo(0.0),
        "survey": _MANY,
    },
    "los-jeans-derivative": {
        "settings": {"bins": _FINE_BINS, "alpha": _SLOPE, "halo": _NFW_ALONE},
        "mock": _halo(0.0),
        "survey": _MANY,
    },
    "sky-map": {
        "settings": {"map": "quadrants", "recipe": "deconvolved"},
        "mock": _halo(0.5),
        "survey": _SURVEY,
    },
    "dipole": {"settings": {}, **_MOVING},
    "reflex-6d": {"settings": {}, **_MOVING},
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
    },
    "nfw-tracer": {
        "settings": {"alpha": _SLOPE, "beta": 0.5, "n_shapes": 15, "n_bootstrap": 100},
        "mock": _halo(0.5),
        "survey": _SURVEY,
    },
    "gaussian-single": {
        "settings": {"bins": _BINS},
        "mock": _halo(0.5),
        "survey": _NOISY,
    },
    "gaussian-mixture": {"settings": {"bins": [5.0, 60.0]}, "mock": _TWO, "survey": _SURVEY},
}
