"""Catalogue files that nothing is wrong with, to be spoilt."""

import numpy as np
from seeds import seeded


def table_of(n=60, seed=0):
    """(N, 6) Galactocentric coordinates of a made-up halo."""
    rng = seeded(seed)
    return np.concatenate([rng.normal(0.0, 20.0, (n, 3)), rng.normal(0.0, 100.0, (n, 3))], axis=1)


def write_csv(path, table, header="x,y,z,vx,vy,vz"):
    rows = (",".join(repr(float(value)) for value in row) for row in table)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path
