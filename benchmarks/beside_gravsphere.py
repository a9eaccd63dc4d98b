"""Jeans-virial beside GravSphere on the same stars of the Gaia Challenge: mass and anisotropy, with their truth.

Run with ``python benchmarks/beside_gravsphere.py STARS --error KMS --theirs DATA NAME FOLDER ...``:

- STARS has columns x y z [kpc] vx vy vz [km/s] of ``PlumCuspOm`` (tracers of Plummer with a = 0.1 kpc and of Osipkov
  & Merritt with r_a = 0.1 kpc, in an NFW halo of 6.4e7 Msun/kpc^3 and 1 kpc), velocities with errors of KMS each.
- DATA is what of the stars was used, ``los`` or ``projected``, and NAME what the row is called.
- FOLDER is where GravSphere (https://github.com/justinread/gravsphere), run apart, put ``output_M.txt`` and
  ``output_bet.txt``: radius, median, and lower and upper 68 per cent first.

Printed are masses in units of the true one, and beta, with 68 per cent intervals; and below them the fourth moments of
velocities along the line of sight that virial shapes are made of, <v^4> and <v^4 R^2>, of the stars over the true ones,

    (1/5) <(5 - 2 beta) sigma_r^2 G M / r>,    (2/35) <(7 - 6 beta) sigma_r^2 G M r>

(Merrifield & Kent 1990; Richardson & Fairbairn 2014), with the radii that half of each comes from beyond.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from haloassay.base.constants import G
from haloassay.contracts.catalogue import Catalogue
from haloassay.estimators import make_estimator

RADII = np.array([0.1, 0.2, 0.4])
PLUMMER = {"slopes": [-0.001, -5.0], "breaks": [0.1], "width": 0.5}
SETTINGS = {"los": {"virial_shape": "first"}, "projected": {}}
QUANTITIES = ("M(<r) / true", "beta")


def truth(r):
    """Give the true M(<r) [Msun] and beta."""
    mass = 4.0 * np.pi * 6.4e7 * (np.log1p(r) - r / (1.0 + r))
    return mass, r**2 / (r**2 + 0.1**2)


def true_moments():
    """Give both moments, the radii [kpc] of their halves, and the shares of the stars beyond those."""
    r = np.geomspace(1e-4, 1e3, 20_001)
    mass, beta = truth(r)
    turned = 1.0 + (r / 0.1) ** 2  # f of Osipkov & Merritt; rho is its power -5/2
    pull = turned**-1.5 * G * mass / r
    outward = np.cumsum((0.5 * (pull[1:] + pull[:-1]) * np.diff(np.log(r)))[::-1])[::-1]
    energy = r**3 / turned * np.append(outward, 0.0) * G * mass  # rho r^3 sigma_r^2 G M
    weights = np.array([(5.0 - 2.0 * beta) / r / 5.0, (7.0 - 6.0 * beta) * r * 2.0 / 35.0])
    parts = energy * weights
    found = parts.sum(axis=1) / np.sum(r**3 * turned**-2.5)
    halves = [np.interp(0.5, np.cumsum(p) / p.sum(), r) for p in parts]
    return found, halves, [1.0 - (h**2 / (h**2 + 0.1**2)) ** 1.5 for h in halves]


def moments(stars, error):
    """Tell of both moments of the stars, freed from errors."""
    v, square = stars["vz"], stars["x"] ** 2 + stars["y"] ** 2
    fourth = v**4 - 6.0 * v**2 * error**2 + 3.0 * error**4
    for name, each, true, half, share in zip(
        ("<v^4>", "<v^4 R^2>"), (fourth, fourth * square), *true_moments(), strict=True
    ):
        mean, spread = each.mean() / true, each.std() / np.sqrt(len(each)) / true
        far = f"half of it beyond {half:.2f} kpc with {100.0 * share:.1f} % of the stars"
        yield f"{name}: {mean:.2f} +- {spread:.2f} of the true one, {far}"


def read_stars(path, error):
    """Read a file of the Gaia Challenge."""
    columns = dict(zip(("x", "y", "z", "vx", "vy", "vz"), np.loadtxt(path).T, strict=True))
    n = len(columns["x"])
    if error > 0.0:
        columns |= {f"v{axis}_err": np.full(n, error) for axis in "xyz"}
    return Catalogue.from_arrays(**columns)


def read_theirs(folder):
    """Read (3 values, 3 radii) of mass and of beta: median, lower and upper 68 per cent."""
    found = []
    for name in ("output_M.txt", "output_bet.txt"):
        r, *values = np.loadtxt(folder / name)[:, :4].T
        if r[0] > RADII[0] or r[-1] < RADII[-1]:
            raise SystemExit(f"{folder / name}: radii from {r[0]:g} to {r[-1]:g} kpc")
        bent = np.log if name == "output_M.txt" else np.asarray
        back = np.exp if name == "output_M.txt" else np.asarray
        found.append(np.array([back(np.interp(np.log(RADII), np.log(r), bent(v))) for v in values]))
    return found


def ours(stars, data):
    """Make the same by jeans-virial."""
    spec = {"data": data, "anisotropy": "changing", "r": RADII.tolist(), **SETTINGS[data]}
    estimator = make_estimator({"kind": "jeans-virial", "alpha": PLUMMER, **spec})
    rows = estimator.estimate(stars, np.random.default_rng(1))
    return [
        np.array([[row.value, row.lo68, row.hi68] for row in rows.of(quantity)]).T
        for quantity in ("enclosed_mass", "beta")
    ]


def lines(data, name, found):
    """Make two rows of the table."""
    mass, _ = truth(RADII)
    for quantity, values in zip(QUANTITIES, (found[0] / mass, found[1]), strict=True):
        cells = " | ".join(f"{v:.2f} ({lo:.2f} to {hi:.2f})" for v, lo, hi in values.T)
        yield f"| `{data}` | {name} | {quantity} | {cells} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stars", type=Path)
    parser.add_argument("--error", type=float, default=0.0, help="of each velocity [km/s]")
    parser.add_argument("--theirs", nargs=3, action="append", default=[])
    options = parser.parse_args()
    stars = read_stars(options.stars, options.error)
    print("| data | code | quantity | 0.1 kpc | 0.2 kpc | 0.4 kpc |\n|" + "---|" * 6)
    print("| | truth | beta | " + " | ".join(f"{b:.2f}" for b in truth(RADII)[1]) + " |")
    for data in SETTINGS:
        for _, name, folder in (each for each in options.theirs if each[0] == data):
            print(*lines(data, name, read_theirs(Path(folder))), sep="\n")
        print(*lines(data, "jeans-virial", ours(stars, data)), sep="\n")
    print("", *moments(stars, options.error), sep="\n")


if __name__ == "__main__":
    main()
