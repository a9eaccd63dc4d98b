"""The halo of a test: its truth, and catalogues of it, exact or as a survey sees them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from haloassay.engine.catalogues import MockCatalogue, mock
from haloassay.planning.scenario import Scenario, as_scenario
from haloassay.planning.writing import to_toml
from haloassay.testing.subject import HALO, check_scenario

if TYPE_CHECKING:
    from haloassay.mocks.truth import Truth

#: Stars of a catalogue, where nobody says how many.
STARS: Final = 500
#: A survey of giants all over the sky, where nobody says which.
SURVEY: Final[Mapping[str, Any]] = {
    "n_stars": STARS,
    "distance_error": 0.1,
    "pm_error": 0.05,
    "vlos_error": 5.0,
    "feh_error": 0.1,
}


@dataclass(frozen=True)
class Halo:
    """A halo of known truth. Make it by :func:`halo_of`.

    Parameters
    ----------
    scenario
        Mock and survey.
    seed
        Of the stars.
    named
        Name or file of the scenario, where it has one.
    """

    scenario: Scenario
    seed: int
    named: str = ""

    @functools.cached_property
    def truth(self) -> Truth:
        """Mass, anisotropy and all else that is known of it."""
        return self.catalogue(1).truth

    def catalogue(self, n: int = STARS, realization: int = 0) -> MockCatalogue:
        """Catalogue of ``n`` stars as they are, exact, from all over the sky."""
        return mock(self._exact, n, self.seed, realization)

    def observed(self, n: int | None = None, realization: int = 0) -> MockCatalogue:
        """Catalogue of the survey, with its errors; ``n`` stars in place of its own number."""
        return mock(self.scenario, n, self.seed, realization)

    def told(self, n: int | None, realization: int, exact: bool = False) -> str:
        """Scenario file of what was observed, or of the stars as they are, and the command that makes them again."""
        scenario = self._exact if exact else self.scenario
        words = ["haloassay mock", self.named or "scenario.toml", "--out stars.ecsv"]
        words += [f"-n {n}"] if n is not None else []
        words += [f"--seed {self.seed} --realization {realization}"]
        file = "" if self.named else f"{to_toml(scenario)}\n"
        return f"{file}{' '.join(words)}\n"

    @functools.cached_property
    def _exact(self) -> Scenario:
        return self.scenario.revise(survey={"preset": "perfect"}, clean=[])


def halo_of(scenario: Any, seed: int) -> Halo:
    """Make the halo of a scenario, a name, file or mapping; None for a round halo that all methods can be tried on.

    Raises
    ------
    InputError
        If there is no such scenario, or it is unusable.
    """
    if scenario is None:
        scenario = check_scenario({**HALO, "kind": "equilibrium"}, SURVEY)
    named = str(scenario) if isinstance(scenario, str | Path) else ""
    return Halo(as_scenario(scenario).revise(matrix={}), seed, named)
