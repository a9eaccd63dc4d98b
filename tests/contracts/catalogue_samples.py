"""Made-up catalogues, and how to read the SEGUE giants, for the tests of tables."""

from __future__ import annotations

from seeds import seeded

from haloassay.contracts import frames
from haloassay.contracts.columns import GALACTOCENTRIC

SEGUE_COLUMNS = (
    "x,y,z,vx,vy,vz,l,b,distance,vlos,pm_l,pm_b,distance_err,vlos_err,pm_l_err,pm_b_err,feh"
)
SEGUE_SUN = frames.Sun(-8.3, 0.02, 11.1, 244.24, 7.25)


def stars(n=7, seed=1):
    rng = seeded(seed)
    return {
        "ra": rng.uniform(0.0, 360.0, n),
        "dec": rng.uniform(-80.0, 80.0, n),
        "distance": rng.uniform(5.0, 80.0, n),
        "pmra": rng.normal(0.0, 0.5, n),
        "pmdec": rng.normal(0.0, 0.5, n),
        "vlos": rng.normal(0.0, 100.0, n),
        "distance_err": rng.uniform(0.5, 5.0, n),
        "pmra_err": rng.uniform(0.02, 0.2, n),
        "pmdec_err": rng.uniform(0.02, 0.2, n),
        "vlos_err": rng.uniform(1.0, 9.0, n),
        "feh": rng.normal(-1.5, 0.3, n),
        "pm_corr": rng.uniform(-0.9, 0.9, n),
    }


def phase_space(n=7, seed=2):
    values = seeded(seed).normal(0.0, 50.0, (6, n))
    return dict(zip(GALACTOCENTRIC, values, strict=True))


def write_csv(path, columns):
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(str(v) for v in row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def with_entry(name, row, value):
    columns = {k: v.copy() for k, v in stars().items()}
    columns[name][row] = value
    return columns


def renamed(columns, names):
    return {names.get(name, name): values for name, values in columns.items()}
