"""A blind challenge is made: catalogues under names that say nothing, and a sealed truth that is committed to."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from haloassay import __version__
from haloassay.base.errors import InputError, blamed_on
from haloassay.base.files import write_bytes
from haloassay.base.kinds import blamed_on_others
from haloassay.base.settings import require, unknown
from haloassay.contracts.questions import Question
from haloassay.engine.publicity import Common
from haloassay.engine.task import history_seed, mock_of, observe, true_value
from haloassay.io.submissions import template
from haloassay.io.tables import write_catalogue
from haloassay.planning.cells import Cell, SampledCell
from haloassay.planning.expansion import expand
from haloassay.planning.matrix import FIXED
from haloassay.planning.overrides import overridden
from haloassay.planning.questions import parse_questions, usual_questions
from haloassay.planning.scenario import Scenario, Spec, as_scenario
from haloassay.results.challenge import Challenge
from haloassay.results.invitation import invitation
from haloassay.results.sealing import (
    CHALLENGE,
    FORMAT,
    LISTED,
    PUBLIC,
    README,
    SEALED,
    TEMPLATE,
    Sealed,
    canonical,
    digest_of_file,
    digest_of_readme,
    new_salt,
    require_new,
    whole_folder,
)

if TYPE_CHECKING:
    from haloassay.contracts.factors import StatedFactor
    from haloassay.mocks import Mock
    from haloassay.mocks.surveys.survey import Observation

#: Formats of catalogues, by their suffixes.
Format = Literal["parquet", "fits", "csv", "ecsv"]
#: Catalogues that a challenge has at most.
MOST: Final = 100_000
#: Bits of a seed that nobody finds by trying.
_SEED_BITS: Final = 63
#: Percentiles of the stars' radii at which masses and anisotropies are asked for by default.
_PERCENTILES: Final = (10.0, 30.0, 50.0, 70.0, 90.0)
#: Seconds between lines about how far it is.
_INTERVAL: Final = 15.0


@dataclass(frozen=True)
class _Draw:
    """A catalogue to be: which cell, and which of its realisations."""

    cell: Cell
    realization: int

    def observed(self, seed: int) -> tuple[Mock, Observation]:
        """Mock and catalogue, as a run with this seed has them."""
        number = self.cell.draw(self.realization)
        return observe(self.cell.at(self.realization), seed, number)

    def mock(self, seed: int) -> Mock:
        """Mock alone."""
        number = self.cell.draw(self.realization)
        here = self.cell.at(self.realization)
        return mock_of(json.dumps(here.mock), history_seed(seed, number))


@dataclass(frozen=True)
class _Design:
    """What is to be made: catalogues in the order of their cells, what varies between these, and what is asked."""

    scenario: Scenario
    draws: tuple[_Draw, ...]
    factors: tuple[StatedFactor, ...]
    asked: tuple[Question, ...] = ()

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Cells, each once."""
        return tuple({draw.cell.label: draw.cell for draw in self.draws}.values())

    @contextlib.contextmanager
    def of(self, draw: _Draw) -> Iterator[None]:
        """Say of which cell an error is, and take what code of others raises for theirs."""
        try:
            with blamed_on_others(draw.cell.mock):
                yield
        except InputError as error:
            where = f"{self.scenario.origin}: cell {draw.cell.label!r}"
            raise InputError(f"{where}: {error}") from None


def challenge(
    scenario: str | Path | Mapping[str, Any] | Scenario,
    out: str | Path,
    n: int | None = None,
    seed: int | None = None,
    ask: Sequence[str] = (),
    format: Format = "parquet",
    settings: Mapping[str, Any] | None = None,
    say: Callable[[str], None] | None = None,
) -> Challenge:
    """Make a blind challenge of a scenario: catalogues for participants, and a sealed truth.

    Parameters
    ----------
    scenario
        As for :func:`haloassay.run`; its estimators play no part.
    out
        Folder that is not there yet. ``public`` in it is for participants, ``sealed`` for its owner.
    n
        Catalogues of each cell, instead of the scenario's.
    seed
        A seed that nobody else knows; by default one that is drawn, and not that of the scenario: with it, anybody who
        has the scenario could make the catalogues, and know the truth.
    ask
        What is asked, as ``"enclosed_mass@10,20,50"`` or ``"m200"``; by default enclosed mass and beta at five radii
        of the stars, and ``m200`` where the halo has one.
    format
        Of the catalogues: ``parquet``, ``fits``, ``csv`` or ``ecsv``.
    settings
        Values in place of those of the scenario, by path, as for :func:`haloassay.run`.
    say
        Takes lines about how far it is.

    Returns
    -------
    Challenge
        The challenge; its ``commitment`` is to be published before anything is given out.

    Raises
    ------
    InputError
        If the scenario is unusable or has catalogues that share random numbers (``saltelli``), a number that is asked
        for has no truth, or the folder is there already. Nothing is left then.
    """
    out = Path(out)
    require_new(out)
    if format not in get_args(Format):
        raise unknown("format", format, get_args(Format), "challenge")
    require(seed is None or seed >= 0, f"seed: is 0 or more (got {seed})")
    known = overridden(as_scenario(scenario), settings or {}, with_estimators=False)
    hidden = secrets.randbits(_SEED_BITS) if seed is None else seed
    design = _designed(known.revise(seed=hidden, realizations=n))
    design = replace(design, asked=parse_questions(ask) if ask else _usual(design))
    with whole_folder(out, say or _ignore) as place:
        _write(place, design, format, say or _ignore)
    return Challenge(out)


def _ignore(line: str) -> None:
    del line


def _designed(scenario: Scenario) -> _Design:
    """List the catalogues, no two of the same random numbers: what they share would tell in what they differ.

    Realisations are those of a run of the scenario. Cells that differ in their estimators alone are one; points of a
    design come first, as whole blocks of them start with the first, and alone, if the scenario has no other design: a
    run has the base beside them for pairs.
    """
    cells, factors = expand(scenario, with_estimators=False)
    fixed = not set(FIXED).isdisjoint(scenario.matrix.designs)
    apart: dict[str, Cell] = {}
    for cell in cells:
        if fixed or isinstance(cell, SampledCell):
            apart.setdefault(cell.key, cell)
    draws: list[_Draw] = []
    for cell in sorted(apart.values(), key=lambda cell: not isinstance(cell, SampledCell)):
        if not cell.is_paired:
            raise InputError(
                f"{scenario.origin}: design {cell.label!r} compares points that share random numbers, so that its"
                " catalogues tell of each other: a challenge has none"
            )
        n = scenario.realizations
        size, first = cell.size(n) if isinstance(cell, SampledCell) else n, len(draws)
        if first + size > MOST:
            raise InputError(f"{scenario.origin}: asks for more than {MOST} catalogues")
        draws += [_Draw(cell, realization) for realization in range(first, first + size)]
    # points of a design have a coordinate for each factor, whatever it is of
    if not any(isinstance(draw.cell, SampledCell) for draw in draws):
        factors = tuple(factor for factor in factors if not _is_of_estimators(factor))
    return _Design(scenario, tuple(draws), factors)


def _is_of_estimators(factor: StatedFactor) -> bool:
    return all(path.startswith("estimators.") for path in factor.paths)


def _usual(design: _Design) -> tuple[Question, ...]:
    """Ask at radii that the stars of the first catalogue have, rounded, where every mock has a truth."""
    seed, lo, hi, has_virial = design.scenario.seed, 0.0, math.inf, True
    for draw in {each.cell.label: each for each in design.draws}.values():
        with design.of(draw):
            truth = draw.mock(seed).truth
            lo, hi = max(lo, truth.r_range[0]), min(hi, truth.r_range[1])
            has_virial = has_virial and math.isfinite(truth.value("m200"))
    with design.of(design.draws[0]):
        stars = design.draws[0].observed(seed)[1].stars
    radii = sorted({float(f"{r:.2g}") for r in np.percentile(stars.r, _PERCENTILES)})
    return usual_questions([r for r in radii if lo < r < hi], has_virial)


def _write(place: Path, design: _Design, format: Format, say: Callable[[str], None]) -> None:
    """Write both parts; the hash stands in the public one before anybody can read that."""
    public = place / PUBLIC
    public.mkdir()
    begun = last = int(time.time())
    draws = list(design.draws)
    secrets.SystemRandom().shuffle(draws)
    digits = max(3, len(str(len(draws))))
    common = Common()
    is_virial = any(question.quantity.truth == "scalar" for question in design.asked)
    truths: list[Spec] = []
    for k, draw in enumerate(draws):
        name = f"halo-{k + 1:0{digits}d}"
        file = public / f"{name}.{format}"
        with design.of(draw):
            mock, observation = draw.observed(design.scenario.seed)
            truth = [_truth(mock, observation, question) for question in design.asked]
        write_catalogue(observation.catalogue, file)
        virial = mock.truth.virial if is_virial else None
        common.add(draw.cell.at(draw.realization), observation, virial)
        truths.append(
            {
                **{"catalogue": name, "file": file.name, "n_stars": len(observation.catalogue)},
                **{"sha256": digest_of_file(file), "truth": truth},
                **{"cell": draw.cell.label, "realization": draw.realization},
            }
        )
        if time.time() - last > _INTERVAL:
            last = int(time.time())
            say(f"{k + 1} of {len(draws)} catalogues")
    if common.shared_stars and len(design.cells) > 1:
        say("catalogues share stars of stored populations: by these, cells can be told apart")
    _publish(place, design, truths, common)
    for path in public.iterdir():  # how long each took would tell which are of one cell
        os.utime(path, (begun, begun))


def _publish(place: Path, design: _Design, truths: Sequence[Spec], common: Common) -> None:
    """Write what is sealed, and what participants are told: of that, too, the sealed truth has a copy or a digest."""
    public = place / PUBLIC
    readme = invitation(_told(design, truths, common, ""))
    facts = {"told": common.told, "readme": digest_of_readme(readme.encode(), "")}
    sealed = Sealed(new_salt().encode(), canonical({**_sealed(design, truths), **facts}))
    sealed.write(place / SEALED)
    told = _told(design, truths, common, sealed.commitment)
    write_bytes(public / CHALLENGE, (json.dumps(told, indent=1, allow_nan=False) + "\n").encode())
    names = [each["catalogue"] for each in truths]
    write_bytes(public / TEMPLATE, template(names, design.asked).encode())
    write_bytes(public / README, invitation(told).encode())


def _truth(mock: Mock, observation: Observation, question: Question) -> float:
    with blamed_on(f"truth of {question}"):
        where = (question.r, math.nan, math.nan)
        found = true_value(mock.truth, observation, question.quantity, where)
    if not math.isfinite(found):
        raise InputError(f"there is no truth of {question}: ask for something else (--ask)")
    return found


def _head(design: _Design) -> Spec:
    return {
        "format": FORMAT,
        "haloassay": __version__,
        "asked": [question.to_dict() for question in design.asked],
    }


def _told(design: _Design, truths: Sequence[Spec], common: Common, commitment: str) -> Spec:
    """Tell participants of questions, catalogues, the survey as its observer states it, and the hash."""
    return {
        **_head(design),
        "catalogues": [{name: each[name] for name in LISTED} for each in truths],
        **common.told,
        "commitment": {
            "sha256": commitment,
            "of": "the salt, then the sealed truth: cat salt truth.json | sha256sum",
        },
    }


def _sealed(design: _Design, truths: Sequence[Spec]) -> Spec:
    """Tell all that is true, with what makes every catalogue again: scenario, seed, cell and realisation."""
    labels = {factor.label for factor in design.factors}
    cells = [
        {
            "cell": cell.label,
            "cell_key": cell.key,
            "factors": {name: value for name, value in cell.factors.items() if name in labels},
            **({"sampling": asdict(cell.sampling)} if isinstance(cell, SampledCell) else {}),
        }
        for cell in design.cells
    ]
    return {
        **_head(design),
        "scenario": design.scenario.to_dict(),
        "cells": cells,
        "factors": [factor.to_dict() for factor in design.factors],
        "catalogues": list(truths),
    }
