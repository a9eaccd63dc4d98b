"""What a cross-match with lists of clusters and dwarf galaxies takes: the table of the docs.

Run ``python benchmarks/crossmatch.py``. The K giants of DESI (a halo of the populations of Li et al. 2026) with 2 per
cent of stars in bound objects at the places and with the motions of the Milky Way's globular clusters and satellites
that galpy ships; half-mass radii of 5 pc and 0.3 kpc and dispersions of 5 and 9 km/s are choices, and all have as many
stars. By radius and limits: the members that are taken, the halo stars that go with them, and members among what is
left.
"""

from __future__ import annotations

import numpy as np

from haloassay.cleaning.crossmatch import read_list
from haloassay.cleaning.steps import make_clean
from haloassay.mocks import make_mock
from haloassay.mocks.surveys.survey import make_survey
from haloassay.planning.scenario import load_scenario

COMMAND = "python benchmarks/crossmatch.py"
LISTS = {"galpy:mw-globular-clusters": (0.005, 5.0), "galpy:mw-satellites": (0.3, 9.0)}
SEEN = ("ra", "dec", "distance", "pmra", "pmdec", "vlos")
#: Radii between which objects are taken [kpc].
REACH = (6.0, 150.0)
STEPS = {
    "sky": {},
    "sky, distance to 30 per cent": {"distance_limit": 0.3},
    "sky, distance, proper motions to 0.5 mas/yr, velocity to 30 km/s": {
        "distance_limit": 0.3,
        "pm_limit": 0.5,
        "vlos_limit": 30.0,
    },
}


def bound() -> list[dict[str, float]]:
    """Objects of the lists as debris has them."""
    found = []
    for name, (r_half, sigma) in LISTS.items():
        for each in read_list(name):
            values = {key: getattr(each, key) for key in SEEN}
            if None not in values.values() and REACH[0] < values["distance"] - 8.2 < REACH[1]:
                found.append({**values, "r_half": r_half, "sigma": sigma})
    return found


def main() -> None:
    """Print the table."""
    scenario = load_scenario("li2026-velocities")
    debris = {"kind": "satellites", "fraction": 0.02, "objects": bound()}
    mock = make_mock({**scenario.mock, "kind": "local-jeans-gaussian", "debris": [debris]})
    survey = make_survey({**scenario.survey, "n_stars": 64573})
    seen = survey.observe(mock, np.random.default_rng(1), np.random.default_rng(2))
    member = seen.stars.origin == len(scenario.mock["populations"])
    print(f"<!-- {COMMAND} -->")
    print("| compared | radius [deg] | members taken | halo lost | members in what is left |")
    print("|---|---|---|---|---|")
    before = member.mean()
    print(f"| nothing | – | 0 % | 0 % | {100 * before:.2f} % |")
    for title, limits in STEPS.items():
        for radius in (0.1, 0.5, 1.0):
            spec = {"kind": "cross-match", "lists": [*LISTS], "radius": radius, **limits}
            rows = make_clean([spec]).rows(seen.catalogue)
            kept = np.zeros(len(member), dtype=bool)
            kept[rows] = True
            taken, lost = np.mean(~kept[member]), np.mean(~kept[~member])
            left = member[kept].mean()
            print(
                f"| {title} | {radius:g} | {100 * taken:.1f} % | {100 * lost:.3f} % | {100 * left:.2f} % |"
            )


if __name__ == "__main__":
    main()
