"""Training files: of what mocks a network learns, from which prior, and how."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from haloassay.base.errors import EquilibriumError, InputError
from haloassay.base.settings import build, require
from haloassay.contracts.priors import Discrete, Prior, make_prior
from haloassay.planning.scenario import Spec, read_toml

#: Largest sizes of networks: larger ones have no room, or no end.
_MOST: Final = {"hidden": 4096, "layers": 32, "components": 256, "members": 256}

#: Equal shares of a prior at whose middles it is tried, where some of it cannot be.
_TRIED: Final = 100

#: Setting that is a whole number.
N_STARS: Final = "survey.n_stars"


@dataclass(frozen=True)
class Learning:
    """How networks are made and taught.

    Parameters
    ----------
    edges
        Of the radial bins of the moments [kpc].
    hidden, layers
        Numbers in each hidden layer, and how many there are.
    components
        Gaussians of the mixture.
    members
        Networks, each with a start and a tenth of the mocks for validation of its own, that are averaged.
    batch
        Catalogues of one step.
    rate
        Of learning, at its largest: it rises to that and falls to next to none.
    decay
        Of weights, beside learning (AdamW).
    epochs
        Rounds; what was best at the validation is kept.
    """

    edges: tuple[float, ...]
    hidden: int = 64
    layers: int = 3
    components: int = 4
    members: int = 1
    batch: int = 200
    rate: float = 0.01
    decay: float = 0.0
    epochs: int = 40

    def __post_init__(self) -> None:
        for name in ("hidden", "layers", "components", "members", "batch", "epochs"):
            require(getattr(self, name) >= 1, f"{name}: at least 1 (got {getattr(self, name)})")
        for name, most in _MOST.items():
            require(
                getattr(self, name) <= most, f"{name}: at most {most} (got {getattr(self, name)})"
            )
        require(0.0 < self.rate <= 1.0, f"rate: above 0, at most 1 (got {self.rate:g})")
        require(
            0.0 <= self.decay * self.rate < 1.0,
            f"decay: not negative, below 1 / rate (got {self.decay:g})",
        )


@dataclass(frozen=True)
class Training:
    """A training as its file states it.

    Parameters
    ----------
    mock, survey
        Tables, as in a scenario.
    prior
        Distributions of settings by their paths, such as ``mock.potential.m200`` or ``survey.n_stars``.
    network
        How it learns.
    title
        One line.
    seed
        Of all random streams.
    simulations
        Mocks that it learns from.
    catalogues
        Of each of these, with what varies of the survey drawn anew: a mock costs more than its stars.
    subsets
        Of the stars of each catalogue, drawn at random, which are learnt from as further catalogues: their numbers
        are of the prior of the number of stars, below that of the catalogue.
    without_errors
        Share of catalogues for which all settings of the prior that are errors of the survey are 0.
    held_out
        Further mocks that it is judged by, of one catalogue each.
    """

    mock: dict[str, Any]
    survey: dict[str, Any]
    prior: dict[str, Any]
    network: Learning
    title: str = ""
    seed: int = 0
    simulations: int = 5000
    catalogues: int = 1
    subsets: int = 0
    without_errors: float = 0.0
    held_out: int = 500
    priors: Mapping[str, Prior] = field(init=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        require(self.seed >= 0, f"seed: not negative (got {self.seed})")
        require(self.simulations >= 100, f"simulations: at least 100 (got {self.simulations})")
        require(self.catalogues >= 1, f"catalogues: at least 1 (got {self.catalogues})")
        require(self.subsets >= 0, f"subsets: not negative (got {self.subsets})")
        require(
            self.subsets == 0 or N_STARS in self.prior,
            f"subsets: their numbers of stars are of the prior of {N_STARS}, which gives none",
        )
        require(
            0.0 <= self.without_errors <= 1.0,
            f"without_errors: a share, 0 to 1 (got {self.without_errors})",
        )
        require(self.held_out >= 50, f"held_out: at least 50 (got {self.held_out})")
        require(bool(self.prior), "prior: names no setting that varies")
        priors = {}
        for path, spec in self.prior.items():
            where = f"prior of {path}"
            require(isinstance(spec, Mapping), f"{where}: expected a table with a key 'kind'")
            priors[path] = make_prior(spec, where)
            if isinstance(priors[path], Discrete):
                raise InputError(f"{where}: has levels; priors of a training are continuous")
        object.__setattr__(self, "priors", priors)
        self.at({path: float(p.quantile(np.array(0.5))) for path, p in priors.items()})

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """Draw a value of each setting that varies."""
        drawn = {path: float(p.quantile(np.array(rng.random()))) for path, p in self.priors.items()}
        exact = self.without_errors > 0.0 and rng.random() < self.without_errors
        return drawn | (dict.fromkeys(filter(is_error, drawn), 0.0) if exact else {})

    def below(self, n: int, rng: np.random.Generator) -> list[int]:
        """Numbers of stars of the subsets of ``n`` stars: of their prior, as far as it goes to ``n``."""
        if not self.subsets:
            return []
        prior = self.priors[N_STARS]
        most = float(prior.share(np.array(float(n))))
        few = prior.quantile(most * rng.random(self.subsets))
        return [min(max(1, round(float(value))), n) for value in few]

    def at(self, values: Mapping[str, float]) -> tuple[Spec, Spec]:
        """Tables of mock and survey with these values.

        Raises
        ------
        InputError
            If a path leads nowhere.
        """
        tables = {"mock": copy.deepcopy(self.mock), "survey": copy.deepcopy(self.survey)}
        for path, value in values.items():
            _assign(tables, path, round(value) if path == N_STARS else value)
        return tables["mock"], tables["survey"]

    def to_dict(self) -> Spec:
        """Plain values, as in the file, with defaults filled in."""
        learning = {**vars(self.network), "edges": list(self.network.edges)}
        learned = ("simulations", "catalogues", "subsets", "without_errors", "held_out")
        names = ("title", "seed", *learned, "mock", "survey", "prior")
        return {**{name: getattr(self, name) for name in names}, "network": learning}


def require_possible(plan: Training) -> None:
    """Refuse a prior that reaches values which mock or survey do not accept; what has no equilibrium may be.

    Each is tried near its ends, as far out as one draw of all goes, with the others in their middles.

    Raises
    ------
    InputError
        If there are such values; the message names the prior and says what share of it they are.
    """
    draws = (plan.simulations + plan.held_out) * plan.catalogues
    middle = {path: float(prior.quantile(np.array(0.5))) for path, prior in plan.priors.items()}
    if refusal := _refusal(plan, middle):
        raise InputError(f"{refusal} (with {stated(middle)}, the middle of the prior)")
    for path, prior in plan.priors.items():
        ends, all_of_it = np.array([0.5, draws - 0.5]) / draws, (np.arange(_TRIED) + 0.5) / _TRIED
        reached, values = prior.quantile(ends), prior.quantile(all_of_it)
        found = [(v, why) for v in reached if (why := _refusal(plan, middle | {path: float(v)}))]
        if found:
            ((value, why), *_) = found
            count = sum(bool(_refusal(plan, middle | {path: float(v)})) for v in values)
            share = f"{count / _TRIED:.0%}" if count else f"less than {1.0 / _TRIED:.0%}"
            raise InputError(
                f"prior of {path}: {share} of {prior} are values that cannot be, such as {value:g}"
                f" ({why}); give it limits"
            )


def stated(values: Mapping[str, float]) -> str:
    """Name settings and their values."""
    return ", ".join(f"{path} = {value:.6g}" for path, value in values.items())


def _refusal(plan: Training, values: Mapping[str, float]) -> str:
    """Why mock or survey do not accept these values; nothing where they do, or the mock has no equilibrium."""
    from haloassay.mocks import make_mock
    from haloassay.mocks.surveys.survey import make_survey

    mock, survey = plan.at(values)
    for make, spec, where in ((make_survey, survey, "survey"), (make_mock, mock, "mock")):
        try:
            make(spec, where)
        except EquilibriumError:
            pass
        except InputError as error:
            return str(error)
    return ""


def is_error(path: str) -> bool:
    """Whether a setting is an error of measurements of the survey."""
    return path.startswith("survey.") and path.endswith("_error")


def load_training(path: Path) -> Training:
    """Read a training file.

    Raises
    ------
    InputError
        If there is none, or it is not usable; the message names file, key and what is allowed.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    return build(Training, read_toml(path, "training"), str(path))


def _assign(tables: Spec, path: str, value: float) -> None:
    *way, last = path.split(".")
    table: Any = tables
    for key in way:
        if isinstance(table, list) and key.isdecimal() and int(key) < len(table):
            table = table[int(key)]
        elif isinstance(table, Mapping) and key in table:
            table = table[key]
        else:
            raise InputError(f"prior of {path}: there is no {key!r} in the tables mock and survey")
    if isinstance(table, list) and last.isdecimal() and int(last) < len(table):
        table[int(last)] = value
    elif isinstance(table, dict) and table is not tables:
        table[last] = value
    else:
        raise InputError(f"prior of {path}: is no path of a setting, as mock.potential.m200 is")
