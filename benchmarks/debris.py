"""What debris does to anisotropy and mass, and how much of that the steps of cleaning take away.

Run with ``python benchmarks/debris.py [realisations]``; one thread. Stars of an exact equilibrium halo
(beta 0.5) are observed without errors, alone and with debris of one kind added: a tenth of all
stars, a hundredth for unbound stars and blunders. Printed for each bin of radius: debris as a share of
its stars, the change of the enclosed mass (``tracer-mass``, slope known) in per cent and of beta
(``velocity-ellipsoid``) against the same halo stars alone and uncleaned, with Monte Carlo errors.
``found`` and ``lost`` are the shares of debris and of halo stars that a step takes out. A step on the
halo alone (kind ``none``) shows what it costs.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np

from haloassay.base.errors import EstimationError
from haloassay.cleaning.steps import make_clean
from haloassay.contracts.catalogue import Catalogue
from haloassay.estimators import make_estimator
from haloassay.mocks import make_mock
from haloassay.mocks.debris.debris import Debris, make_debris
from haloassay.mocks.debris.surroundings import Surroundings
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.mocks.stars import Stars

POTENTIAL = [
    {"kind": "nfw", "m200": 0.7e12, "c": 11.45, "h0": 70.0},
    {"kind": "mwpotential2014-baryons"},
]
DENSITY = {"slopes": [-2.8, -4.6], "breaks": [17.0]}
R_RANGE = (4.0, 250.0)
BINS = [5.0, 15.0, 30.0, 60.0]
N_STARS = 5000
ENERGY = {"baryons": "mwpotential2014-spherical"}
STEPS = {
    "none": [],
    "energy-cut": [{"kind": "energy-cut", "potential": ENERGY}],
    "height-cut": [{"kind": "height-cut"}],
    "sagittarius-band": [{"kind": "sagittarius-band"}],
    "sagittarius-momentum": [{"kind": "sagittarius-momentum"}],
    "friends-of-friends": [{"kind": "friends-of-friends", "potential": ENERGY}],
    "four-distance": [{"kind": "four-distance"}],
}
KINDS = [
    *(
        {"kind": kind, "fraction": 0.1}
        for kind in ("stream", "shells", "gse", "thick-disc", "monoceros")
    ),
    *({"kind": kind, "fraction": 0.01} for kind in ("unbound", "blunders")),
]


def observe(stars: Stars) -> Catalogue:
    columns = np.concatenate([stars.position, stars.velocity], axis=1).T
    names = ("x", "y", "z", "vx", "vy", "vz")
    return Catalogue.from_arrays(**dict(zip(names, columns, strict=True)), feh=stars.feh)


def estimate(catalogue: Catalogue) -> np.ndarray:
    """(2, bins) masses over the true ones at the same radii, and anisotropies; NaN where there is none."""
    potential = make_potential(POTENTIAL)
    found = np.full((2, len(BINS) - 1), np.nan)
    mass = make_estimator({"kind": "tracer-mass", "bins": BINS, "alpha": DENSITY})
    for row, quantity, estimator in (
        (0, "enclosed_mass", mass),
        (1, "beta", make_estimator({"kind": "velocity-ellipsoid", "bins": BINS})),
    ):
        try:
            for e in estimator.estimate(catalogue, np.random.default_rng(0)):
                if e.quantity == quantity:
                    true = potential.enclosed_mass(e.r) if row == 0 else 1.0
                    found[row, e.bin] = e.value / true
        except EstimationError as error:
            print(f"{estimator.name}: {error}", file=sys.stderr)
    return found


def sky_share(catalogue: Catalogue, is_debris: np.ndarray) -> np.ndarray:
    bins = np.digitize(catalogue.r, BINS) - 1
    return np.array(
        [np.mean(is_debris[bins == k]) if np.any(bins == k) else 0.0 for k in range(len(BINS) - 1)]
    )


def realisation(halo: Stars, debris: Debris | None, seed: int) -> dict[str, np.ndarray]:
    """For each step: share of debris, change of mass [per cent] and beta by bin; found and lost."""
    reference = estimate(observe(halo))
    stars = halo
    if debris is not None:
        n = round(len(halo) * debris.fraction / (1.0 - debris.fraction))
        around = Surroundings(make_potential(POTENTIAL), R_RANGE)
        more = debris.sampler(around, np.random.default_rng([1, seed]))(n)
        stars = Stars.concatenate([halo, more])
    is_debris = np.arange(len(stars)) >= len(halo)
    catalogue = observe(stars)
    rows = {}
    for label, steps in STEPS.items():
        kept = make_clean(steps).rows(catalogue) if steps else np.arange(len(stars))
        cleaned = catalogue.select(kept)
        value = estimate(cleaned)
        gone = np.ones(len(stars), dtype=bool)
        gone[kept] = False
        rows[label] = np.concatenate(
            [
                100.0 * sky_share(cleaned, is_debris[kept]),
                100.0 * (value[0] / reference[0] - 1.0),
                value[1] - reference[1],
                [gone[is_debris].mean() if is_debris.any() else 0.0, gone[~is_debris].mean()],
            ]
        )
    return rows


def main() -> None:
    realisations = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    mock = make_mock(
        {
            "kind": "equilibrium",
            "potential": POTENTIAL,
            "density": {"kind": "broken-power-law", **DENSITY},
            "beta": {"kind": "constant", "beta": 0.5},
            "r_range": list(R_RANGE),
        }
    )
    halos = [mock.sample(N_STARS, np.random.default_rng([0, k])) for k in range(realisations)]
    heads = "".join(f"{f'{lo:g}-{hi:g} kpc':>39}" for lo, hi in pairwise(BINS))
    print(f"{'debris':12}{'cleaned by':21}{'found':>6}{'lost':>6}{heads}")
    print(" " * 45 + f"{'share':>7}{'mass':>15}{'beta':>17}" * 3)
    for kind in (None, *KINDS):
        debris = None if kind is None else make_debris([kind])[0]
        done = [realisation(halo, debris, k) for k, halo in enumerate(halos)]
        for label in STEPS:
            values = np.array([rows[label] for rows in done])
            mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(realisations)
            bins = "".join(
                f"{mean[k]:7.1f}{mean[3 + k]:+8.1f} +-{error[3 + k]:4.1f}"
                f"{mean[6 + k]:+8.3f} +-{error[6 + k]:6.3f}"
                for k in range(3)
            )
            name = "none" if debris is None else debris.origin.name
            print(f"{name:12}{label:21}{mean[9]:6.2f}{mean[10]:6.2f}{bins}", flush=True)


if __name__ == "__main__":
    main()
