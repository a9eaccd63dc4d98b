"""A small exact halo seen perfectly: what is planted there is all that is wrong with it."""

from seeds import shifted

SCENARIO = {
    "name": "faults",
    "seed": shifted(20),
    "mock": {
        "kind": "equilibrium",
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "density": {"kind": "power-law", "slope": -3.5},
        "beta": {"kind": "constant", "beta": 0.5},
        "r_range": [10.0, 60.0],
        "method": "orbits",
    },
    "survey": {"preset": "perfect", "n_stars": 3000},
    "estimators": [{"kind": "velocity-ellipsoid"}],
}
