"""The estimator that is checked, and the stars that it is checked on."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.base.errors import EstimationError, in_one_line
from haloassay.base.seeds import stream
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.columns import CHEMISTRY
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.frames import Sun, galactocentric_to_heliocentric
from haloassay.engine.acceptance import accepted
from haloassay.engine.catalogues import mock
from haloassay.estimators import make_estimator
from haloassay.planning.scenario import as_scenario
from haloassay.testing.check import LEVELS, Failed, Level
from haloassay.testing.rates import ALPHA

if TYPE_CHECKING:
    from haloassay.base.arrays import FloatArray

#: Halo on which an estimator is tried that states none of its own.
HALO: Final[Mapping[str, Any]] = {
    "kind": "local-jeans-gaussian",
    "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
    "density": {"kind": "power-law", "slope": -3.5},
    "beta": {"kind": "constant", "beta": 0.3},
    "r_range": [5.0, 60.0],
}
#: Stars of checks that ask for no number of them.
STARS: Final = 800
#: Of scenarios whose stars alone are asked for.
NOBODY: Final[Mapping[str, Any]] = {"kind": "velocity-ellipsoid", "bins": [5.0, 20.0, 60.0]}
_AXES: Final = ("x", "y", "z")
#: Streams of random numbers by which it is seen how far an estimator's own randomness moves a value.
_STREAMS: Final = 4

#: What tells a row of an estimate from the others: quantity and bin.
RowKey = tuple[str, int]


@dataclass(frozen=True)
class Subject:
    """An estimator with its settings, and a halo on which what it assumes holds.

    Parameters
    ----------
    spec
        Kind and settings, as in a scenario.
    scenario
        Mock and survey on which its assumptions hold; empty where none is stated.
    level, seed
        Of the checks.
    folder
        Where runs of many mocks are kept meanwhile.
    named
        Name or file of the scenario, where it was one; empty otherwise.
    violations
        Changed settings of the scenario, by their paths, for each assumption that is to be broken, by name.
    alpha
        Rate at which a method without a fault fails any of the checks that chance has a part in.
    """

    spec: Mapping[str, Any]
    scenario: Mapping[str, Any]
    level: Level
    seed: int
    folder: str
    named: str = ""
    violations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    alpha: float = ALPHA

    @property
    def kind(self) -> str:
        """Of the estimator."""
        return str(self.spec["kind"])

    def make(self, **changes: Any) -> Estimator:
        """Make the estimator, with some settings changed."""
        return make_estimator({**self.spec, **changes}, self.kind)

    def declared(self, name: str) -> str:
        """Say why a check is expected to fail at this level; nothing where it is not."""
        found = self.make().expected.get(name, "")
        why, level = (found, LEVELS[0]) if isinstance(found, str) else found
        return why if LEVELS.index(self.level) >= LEVELS.index(level) else ""

    def stars(self, n: int = STARS, realization: int = 0) -> dict[str, FloatArray]:
        """Columns of ``n`` true stars: positions [kpc], velocities [km/s], [Fe/H] and [alpha/Fe]."""
        made = _stars(json.dumps(self.scenario), self.seed, n, realization)
        return {name: values.copy() for name, values in made.items()}

    def catalogue(self, n: int = STARS, realization: int = 0) -> Catalogue:
        """Catalogue of those stars, exact and Galactocentric."""
        return catalogue_of(self.stars(n, realization))

    def estimate(
        self,
        catalogue: Catalogue,
        number: int = 0,
        method: Estimator | None = None,
        **changes: Any,
    ) -> Estimates:
        """Estimate as a run would, by a stream of this number, with an estimator made for it or with ``method``.

        Raises
        ------
        EstimationError
            If the catalogue does not determine the quantities, or what is returned breaks the contract.
        """
        method = method or self.make(**changes)
        rng = stream(self.seed, "estimator:check", number)
        return accepted(method.estimate(catalogue, rng), method, len(catalogue))[0]

    def ask(self, catalogue: Catalogue, what: str) -> Estimates:
        """Estimate from stars that may determine nothing: no rows where the estimator refuses them.

        Raises
        ------
        Failed
            If it breaks; ``what`` is in the words.
        """
        try:
            return self.estimate(catalogue)
        except EstimationError:
            return Estimates(())
        except Exception as error:  # whatever somebody's code raises
            raise Failed(f"{what}: {in_one_line(error)}") from error

    def streams(
        self, catalogue: Catalogue, **changes: Any
    ) -> tuple[Estimates, dict[RowKey, float]]:
        """Estimate by several streams: what the first gives, and how far each of its values scatters over all."""
        found = [self.estimate(catalogue, number, **changes) for number in range(_STREAMS)]
        valued = [by_row(each) for each in found]
        values = {key: [each[key].value for each in valued if key in each] for key in valued[0]}
        return found[0], {k: float(np.std(v, ddof=1)) for k, v in values.items() if len(v) > 1}

    def smallest(self, fails: Callable[[int], bool], n: int = STARS) -> int:
        """Seek the smallest catalogue, by halves, that still ``fails``; return its number of stars."""
        while n > 1 and fails(n // 2):
            n //= 2
        return n


def check_scenario(
    mock: Mapping[str, Any],
    survey: Mapping[str, Any],
    estimator: Mapping[str, Any] = NOBODY,
    **changes: Any,
) -> dict[str, Any]:
    """Scenario with one estimator, as plain values."""
    return {
        "name": "check",
        "title": "mocks of a check",
        "realizations": 1,
        "mock": dict(mock),
        "survey": {"preset": "perfect", **survey},
        "estimators": [dict(estimator)],
        **changes,
    }


@functools.lru_cache(maxsize=64)
def _stars(asked: str, seed: int, n: int, realization: int) -> Mapping[str, FloatArray]:
    told = json.loads(asked)
    survey = {**told.get("survey", {}), "n_stars": n}
    scenario = as_scenario(check_scenario(told.get("mock", HALO), survey, seed=seed))
    true = mock(scenario, realization=realization).stars
    columns = {name: true.position[:, k] for k, name in enumerate(_AXES)}
    columns |= {f"v{name}": true.velocity[:, k] for k, name in enumerate(_AXES)}
    rng = stream(seed, "check:chemistry", realization)
    feh = true.feh if np.isfinite(true.feh).all() else rng.normal(-1.4, 0.4, n)
    return {**columns, "feh": feh, "alpha_fe": rng.normal(0.2, 0.1, n)}


def catalogue_of(stars: Mapping[str, FloatArray]) -> Catalogue:
    """Catalogue of exact stars."""
    columns: dict[str, Any] = dict(stars)
    return _of_all(Catalogue.from_arrays(origin="check", **columns))


def seen_from(stars: Mapping[str, FloatArray], sun: Sun | None = None) -> Catalogue:
    """Catalogue of exact stars in heliocentric columns, as they are seen from a Sun."""
    sun = sun or Sun()
    position, velocity = (
        np.stack([stars[f"{start}{axis}"] for axis in _AXES], axis=1) for start in ("", "v")
    )
    columns: dict[str, Any] = galactocentric_to_heliocentric(position, velocity, sun)
    columns |= {name: values for name, values in stars.items() if name in CHEMISTRY}
    return _of_all(Catalogue.from_arrays(sun, "check", **columns))


def _of_all(catalogue: Catalogue) -> Catalogue:
    """Say that nothing was left out of a catalogue, for methods that have to know."""
    from haloassay.mocks.surveys.stated import StatedSelection
    from haloassay.mocks.surveys.survey import Survey

    return replace(catalogue, selection=StatedSelection.of(Survey(), catalogue.sun))


def by_row(estimates: Estimates) -> dict[RowKey, Estimate]:
    """Rows with a value, by quantity and bin."""
    return {(row.quantity, row.bin): row for row in estimates if not row.note}
