"""Training files: of what mocks a network learns, from which prior, and how."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from haloassay.base.errors import InputError
from haloassay.base.settings import build, require
from haloassay.contracts.priors import Discrete, Prior, make_prior
from haloassay.planning.scenario import Spec, read_toml

#: Setting that is a whole number.
N_STARS: Final = "survey.n_stars"


@dataclass(frozen=True)
class Learning:
    """How networks are made and taught.

    Parameters
    ----------
    edges
        Of the radial bins of the moments [kpc].
    hidden
        Numbers in each of the two hidden layers.
    components
        Gaussians of the mixture.
    members
        Networks, each with a start and a share of the simulations for validation of its own, that are averaged.
    batch
        Simulations of one step.
    rate
        Of learning.
    patience
        Rounds without a better validation after which one ends.
    epochs
        Rounds at most.
    """

    edges: tuple[float, ...]
    hidden: int = 64
    components: int = 4
    members: int = 1
    batch: int = 100
    rate: float = 5e-4
    patience: int = 20
    epochs: int = 500

    def __post_init__(self) -> None:
        for name in ("hidden", "components", "members", "batch", "patience", "epochs"):
            require(getattr(self, name) >= 1, f"{name}: at least 1 (got {getattr(self, name)})")
        require(self.rate > 0.0, f"rate: positive (got {self.rate})")


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
    held_out
        Further ones that it is judged by.
    """

    mock: dict[str, Any]
    survey: dict[str, Any]
    prior: dict[str, Any]
    network: Learning
    title: str = ""
    seed: int = 0
    simulations: int = 5000
    held_out: int = 500
    priors: Mapping[str, Prior] = field(init=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        require(self.seed >= 0, f"seed: not negative (got {self.seed})")
        require(self.simulations >= 100, f"simulations: at least 100 (got {self.simulations})")
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
        return {path: float(p.quantile(np.array(rng.random()))) for path, p in self.priors.items()}

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
        names = ("title", "seed", "simulations", "held_out", "mock", "survey", "prior")
        return {**{name: getattr(self, name) for name in names}, "network": learning}


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
