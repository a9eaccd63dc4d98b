"""One mock catalogue of a scenario, with the stars as they are and the truth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np

from haloassay.base.errors import InputError
from haloassay.base.kinds import blamed_on_others
from haloassay.base.settings import unknown
from haloassay.contracts.cards import Card, carded
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.columns import GALACTOCENTRIC
from haloassay.engine.task import observe
from haloassay.io.tables import write_catalogue
from haloassay.planning.expansion import cells
from haloassay.planning.overrides import overridden
from haloassay.planning.scenario import Scenario, as_scenario, make_scenario
from haloassay.results.description import DESCRIPTION
from haloassay.results.results import Results

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from haloassay.mocks.stars import Origin, Stars
    from haloassay.mocks.truth import Truth

#: What the two truths in a file are.
_TRUTHS: Final = {
    "halo": "this table: masses, and profiles of all tracers of the halo at their densities",
    "selected": "the table 'selected': profiles of the stars that survey and cleaning let pass, each with the moments"
    " of its own population; masses are the halo's",
}


@carded
class MockCatalogue(NamedTuple):
    """What the survey saw, the same stars as they are, the truth, and the names behind ``stars.origin``."""

    catalogue: Catalogue
    stars: Stars
    truth: Truth
    origins: tuple[Origin, ...]

    @property
    def _card(self) -> Card:
        names = ("catalogue", "stars", "truth")
        rows = [[name, repr(getattr(self, name)).splitlines()[0]] for name in names]
        return Card(f"Mock catalogue: {_listed(self)}", (), rows)

    def write_true_stars(self, path: str | Path) -> None:
        """Write the stars as they are, with ``origin`` (its names are in the file's notes) and ``member`` (0 or 1).

        Raises
        ------
        InputError
            If the suffix is unknown or the file cannot be written.
        """
        stars = self.stars
        coordinates = np.concatenate([stars.position, stars.velocity], axis=1).T
        columns = dict(zip(GALACTOCENTRIC, coordinates, strict=True))
        for name in ("feh", "alpha_fe"):
            if np.isfinite(getattr(stars, name)).all():
                columns[name] = getattr(stars, name)
        member = np.array([origin.member for origin in self.origins])[stars.origin]
        write_catalogue(
            Catalogue(columns, self.catalogue.sun, "true stars"),
            path,
            {"origin": stars.origin.astype(float), "member": member.astype(float)},
            {"origins": ", ".join(origin.name for origin in self.origins)},
        )

    def truth_at(self, r: ArrayLike) -> dict[str, Any]:
        """Return both truths as plain values at radii ``r`` [kpc], and where the observed stars come from.

        Profiles are those of all tracers of the halo; the table ``selected`` has those of the stars that passed, each
        with the moments of its own population: what estimates are compared with. ``truths`` says so.
        Each of ``origins`` has a name, whether its stars are members of the halo, and how many were observed.
        """
        counts = np.bincount(self.stars.origin, minlength=len(self.origins))
        origins = [
            {"name": origin.name, "member": origin.member, "n_stars": int(n)}
            for origin, n in zip(self.origins, counts, strict=True)
        ]
        return {
            "truths": _TRUTHS,
            **self.truth.to_dict(r),
            "selected": self.truth.selected_to_dict(r, self.stars),
            "origins": origins,
        }


def _listed(made: MockCatalogue) -> str:
    """Name where the observed stars come from, with counts."""
    counts = np.bincount(made.stars.origin, minlength=len(made.origins))
    pairs = zip(made.origins, counts, strict=False)
    return ", ".join(f"{n} stars of {origin.name or 'the halo'}" for origin, n in pairs) or "stars"


def mock(
    scenario: str | Path | Mapping[str, Any] | Scenario,
    n: int | Literal["all"] | None = None,
    seed: int | None = None,
    realization: int = 0,
    cell: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> MockCatalogue:
    """One mock catalogue of a scenario.

    Parameters
    ----------
    scenario
        As for :func:`haloassay.run`, or the folder of its results.
    n
        Number of stars in place of the survey's, or ``"all"`` of a mock that has only so many.
    seed, realization
        The catalogue is the one that :func:`haloassay.run` makes for them.
    cell
        Which cell of the matrix; by default the scenario as written, without any factor.
    settings
        Values in place of those of the scenario, by path, such as ``{"mock.potential.0.m200": 1e12}``.

    Raises
    ------
    InputError
        If the scenario is unusable, has no such cell, or no equilibrium has the wanted density and anisotropy.
    """
    if realization < 0:
        raise InputError(f"realization: counts from 0 (got {realization})")
    scenario, of_results = scenario_of(scenario)
    scenario = overridden(scenario, settings or {}, with_estimators=not of_results)
    scenario = scenario.revise(
        seed=seed,
        survey=None if n is None else {**scenario.survey, "n_stars": n},
        matrix={} if cell is None else None,
    )
    known = {each.label: each for each in cells(scenario, with_estimators=not of_results)}
    if cell is not None and cell not in known:
        raise unknown("cell", cell, known, scenario.origin)
    chosen = known[cell] if cell is not None else next(iter(known.values()))
    try:
        with blamed_on_others(chosen.mock):
            here = chosen.at(realization)
            halo, observation = observe(here, scenario.seed, chosen.draw(realization))
    except InputError as error:
        raise InputError(f"{scenario.origin}: {error}") from None
    return MockCatalogue(observation.catalogue, observation.stars, halo.truth, halo.origins)


def scenario_of(scenario: str | Path | Mapping[str, Any] | Scenario) -> tuple[Scenario, bool]:
    """Scenario, also of a results folder, and whether it is of one: its estimators are not asked for then."""
    if isinstance(scenario, str | Path) and (Path(scenario) / DESCRIPTION).is_file():
        return make_scenario(Results(scenario).scenario, str(scenario)), True
    return as_scenario(scenario), False
