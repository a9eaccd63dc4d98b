"""Plain values of a scenario that runs in a fraction of a second."""

from seeds import shifted

SCENARIO = {
    "name": "small",
    "realizations": 3,
    "seed": shifted(7),
    "timeout": 60.0,
    "mock": {
        "kind": "local-jeans-gaussian",
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "density": {"kind": "power-law", "slope": -3.5},
        "beta": {"kind": "constant", "beta": 0.3},
    },
    "survey": {"preset": "perfect", "n_stars": 60},
    "estimators": [{"kind": "plugins:Good", "label": "good"}],
    "matrix": {"factors": {"survey.distance_scale": [0.9, 1.0]}},
}
