"""Settings that make one of what has no defaults of its own: beside them, values are tried to hear what is refused."""

from __future__ import annotations

from typing import Any, Final

_SLOPES: Final = {"slopes": [-2.8, -4.6], "breaks": [17.0]}

#: By family and kind.
KINDS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "densities": {
        "power-law": {"slope": -3.5},
        "broken-power-law": _SLOPES,
        "einasto": {"n": 3.1, "r_eff": 15.0},
        "plummer": {"a": 10.0},
        "hernquist": {"a": 10.0},
        "nfw": {"r_s": 10.0},
        "table": {"r": [1.0, 5.0, 20.0, 100.0], "rho": [10.0, 1.0, 0.02, 1e-5]},
    },
    "betas": {
        "constant": {"beta": 0.4},
        "osipkov-merritt-profile": {"r_a": 20.0},
        "table": {"r": [5.0, 20.0, 80.0], "beta": [0.7, 0.5, 0.6]},
    },
    "distributions": {"kurtosis": {"r": [10.0, 40.0], "tangential": 3.5}},
    "potentials": {
        "nfw": {"m200": 1e12, "c": 12.0},
        "hernquist": {"mass": 1e12, "a": 20.0},
        "plummer": {"mass": 1e12, "a": 20.0},
        "point-mass": {"mass": 1e12},
        "mass-table": {"r": [0.1, 1.0, 10.0, 100.0], "mass": [1e8, 1e10, 1e11, 2e11]},
        "triaxial-nfw": {"m200": 1e12, "c": 10.0, "axis_ratios": [0.8, 0.7]},
        "galpy": {"name": "MWPotential2014"},
    },
    "debris": {
        name: {"fraction": 0.1}
        for name in (
            *("stream", "shells", "gse", "thick-disc", "monoceros", "in-situ", "unbound"),
            "blunders",
        )
    },
    "luminosities": {"gaussian": {"mean": 0.6, "sigma": 0.2}},
    "cleans": {
        "energy-cut": {"e_max": -6e4},
        "gaussian-balls": {"balls": [{"centre": [8, 0, 0], "sigma": [4, 4, 4]}]},
        "four-distance": {"linking_length": 0.6},
        "select": {"ranges": {"feh": [-1.7, -1.3]}},
    },
    "estimators": {
        "jeans-3d": {"bins": [5.0, 12.0, 25.0], "alpha": -3.5},
        "tracer-mass": {"alpha": -3.5},
        "spline-jeans": {"alpha": -3.5},
        "power-law-df": {"alpha": -3.5},
        "nfw-tracer": {"alpha": -3.5},
    },
    "priors": {
        "normal": {"mean": 1.0, "sd": 0.1},
        "uniform": {"lo": 0.0, "hi": 1.0},
        "loguniform": {"lo": 1.0, "hi": 2.0},
        "discrete": {"weights": [1.0, 2.0]},
        "table": {"values": [0.0, 1.0], "density": [1.0, 2.0]},
    },
}

#: By the name of a class that stands for a table within others.
COMPONENTS: Final[dict[str, dict[str, Any]]] = {
    "Abundance": {"mean": -1.3, "sigma": 0.3},
    "Snapshot": {"file": "snapshot.hdf5"},
    "Satellite": {"time": 8.0, "mass": 5e10},
    "EmceeRun": {"walkers": 100, "steps": 1000, "burn": 400},
    "Progenitor": {
        "position": [17.4, 2.5, -6.5],
        "velocity": [237.8, -24.9, 207.6],
        "mass": 4e8,
        "age": 3.0,
    },
    "DoublePowerLaw": {"j0": 3000.0, "slope_in": 2.0, "slope_out": 5.0},
    "GaussianLuminosity": {"mean": 0.6, "sigma": 0.2},
    "AxisRatioTable": {"r": [10.0, 40.0], "b_a": [0.9, 0.95], "c_a": [0.6, 0.8]},
    "ShareTable": {"r": [6.0, 60.0], "share": [0.5, 0.4]},
    "DensitySlope": _SLOPES,
    "ErrorCurve": {"magnitudes": [18.0, 20.0], "errors": [4.0, 15.0]},
    "MeanField": {"r": [10.0, 40.0], "velocity": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]},
    "KnownShape": {"r_s": 15.0},
}
