"""Runs that claims are tested by: one a scenario, which all claims about it read; and what is to be said of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from haloassay.analysis.claims import Judgement, judge, require_rate
from haloassay.analysis.statistics import Found
from haloassay.base.cache import content_key
from haloassay.base.defaults import ALPHA
from haloassay.base.errors import InputError
from haloassay.contracts.quantities import QUANTITIES, Quantity
from haloassay.engine.progress import Progress, make_progress
from haloassay.engine.runner import run
from haloassay.planning.claim import NamedClaim
from haloassay.planning.families import families
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import Scenario
from haloassay.results.results import Results

#: Folders of full and of quick runs.
FULL: Final = "full"
QUICK: Final = "quick"
#: Letters of a key that tell one run from another.
_LETTERS: Final = 8


@dataclass(frozen=True)
class Tested:
    """A claim, and what is to be said of it.

    Parameters
    ----------
    claim, judgement
        The two.
    quantities
        What the results speak of.
    folder
        Where they are; None where there are none.
    families
        What the stars of its mocks are drawn from (:func:`haloassay.planning.families.families`).
    """

    claim: NamedClaim
    judgement: Judgement
    quantities: Mapping[str, Quantity]
    folder: Path | None
    families: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Run:
    """A run that some claims read."""

    scenario: Scenario
    folder: Path
    claims: tuple[NamedClaim, ...]
    families: tuple[str, ...]


def assess(
    claims: Sequence[NamedClaim],
    out: str | Path,
    quick: bool = False,
    workers: int | None = None,
    alpha: float = ALPHA,
    progress: Progress | None = None,
) -> list[Tested]:
    """Run what claims are tested by, as far as that is not done, and judge them together.

    Parameters
    ----------
    claims
        In the order of the answers.
    out
        Folder of the runs: one a scenario, in ``full`` or ``quick``.
    quick
        Whether as few realisations as each claim's ``quick`` do.
    workers, progress
        As of :func:`haloassay.engine.runner.run`.
    alpha
        Probability that any of them is said to differ where none does.

    Raises
    ------
    InputError
        If two claims have one name, a scenario is unusable, or its results have no row that a claim reads; all that
        can be seen before anything is run is refused then.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM; finished work is kept.
    """
    require_rate(alpha)
    _require_unique(claims)
    runs = _runs(claims, Path(out) / (QUICK if quick else FULL), quick)
    report = progress or make_progress()
    results: dict[str, Results] = {}
    drawn_from = {claim.name: each.families for each in runs for claim in each.claims}
    for k, each in enumerate(runs, start=1):
        names = ", ".join(claim.name for claim in each.claims)
        report.say(f"run {k} of {len(runs)}, {each.folder}: {names}")
        found = run(each.scenario, each.folder, workers=workers, progress=progress)
        results |= {claim.name: found for claim in each.claims}
    told = [_read(claim, results.get(claim.name)) for claim in claims]
    judged = judge(told, [each.claim.limits for each in claims], alpha)
    return [
        _tested(claim, judgement, results.get(claim.name), drawn_from.get(claim.name, ()))
        for claim, judgement in zip(claims, judged, strict=True)
    ]


def _require_unique(claims: Sequence[NamedClaim]) -> None:
    origins: dict[str, str] = {}
    for each in claims:
        other = origins.setdefault(each.name, each.origin)
        if other != each.origin:
            raise InputError(f"claims: {each.name!r} is the name of {other} and of {each.origin}")


def _runs(claims: Sequence[NamedClaim], out: Path, quick: bool) -> list[_Run]:
    """All runs, each with the most realisations that one of its claims asks for."""
    found: dict[str, _Run] = {}
    for each in claims:
        if each.claim.untestable:
            continue
        n = each.claim.quick if quick else each.claim.realizations
        scenario = each.scenario.revise(realizations=n)
        plan = make_plan(scenario)
        each.require_known(plan)
        cells = [(cell.label, cell.content) for cell in plan.cells]
        key = content_key([cells, scenario.seed, [f.to_dict() for f in plan.factors]])
        before = found.get(key)
        if before is None:
            folder = out / f"{scenario.name}-{key[:_LETTERS]}"
            found[key] = _Run(scenario, folder, (each,), families(plan))
        else:
            larger = max(before.scenario, scenario, key=lambda s: s.realizations)
            found[key] = replace(before, scenario=larger, claims=(*before.claims, each))
    return list(found.values())


def _read(claim: NamedClaim, results: Results | None) -> Found | str:
    """Read what the results say of a claim, or why there are none."""
    if results is None:
        return claim.claim.untestable
    try:
        return results.steadily(lambda: claim.claim.reading.read(results))
    except InputError as error:
        raise InputError(f"{claim.origin}: {error}") from None


def _tested(
    claim: NamedClaim,
    judgement: Judgement,
    results: Results | None,
    drawn_from: tuple[str, ...],
) -> Tested:
    if results is None:
        return Tested(claim, judgement, QUANTITIES, None)
    return Tested(claim, judgement, results.quantities, results.out, drawn_from)
