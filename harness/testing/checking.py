"""All checks of an estimator: each in a worker process, within a time limit, so that none can take the others down."""

from __future__ import annotations

import shlex
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from haloassay.base.defaults import CHECK_SEED
from haloassay.base.errors import InputError, in_one_line
from haloassay.base.handed import SIGN, hand_over
from haloassay.contracts.estimate import Estimator
from haloassay.estimators import estimator_class, make_estimator
from haloassay.planning.scenario import as_scenario
from haloassay.planning.writing import toml_value
from haloassay.testing.check import (
    Check,
    Failed,
    Finding,
    Level,
    NotApplicable,
    Status,
    checks,
)
from haloassay.testing.ideal import IDEAL
from haloassay.testing.subject import Subject

#: Seconds that a check may take, by level.
TIMEOUT: Final[Mapping[Level, float]] = {"quick": 60.0, "standard": 300.0, "thorough": 3600.0}


@dataclass(frozen=True)
class Report:
    """Findings of all checks of an estimator.

    Parameters
    ----------
    estimator, level
        Its kind, and the level of the checks.
    findings
        One a check, in their order.
    """

    estimator: str
    level: Level
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed that was not expected to."""
        return all(finding.status != "failed" for finding in self.findings)

    def counts(self) -> dict[Status, int]:
        """How many checks ended in each way."""
        return dict(Counter(finding.status for finding in self.findings))


def check_estimator(
    estimator: str | type[Estimator],
    settings: Mapping[str, Any] | None = None,
    scenario: Any = None,
    *,
    level: Level = "standard",
    only: Sequence[str] = (),
    seed: int = CHECK_SEED,
    timeout: float | None = None,
    workers: int = 1,
    say: Callable[[Finding], None] = lambda _: None,
) -> Report:
    """Check an estimator: what it declares, repeats, leaves alone, and whether it is right where it says it is.

    Parameters
    ----------
    estimator
        Kind, ``module:Class``, or a class.
    settings
        As in a scenario; of the kinds of haloassay, others are those of :data:`haloassay.testing.ideal.IDEAL`.
    scenario
        Name, file or mapping of a scenario whose mock and survey are a halo on which all holds that the method assumes;
        by default the attribute ``ideal`` of the class, a mapping with ``mock`` and ``survey``. Without any, checks
        over many mocks are not applicable.
    level
        ``quick``, seconds; ``standard``, with a hundred mocks; ``thorough``, with 400 and large catalogues.
    only
        Names of checks, instead of all of the level.
    seed
        Of stars and mocks.
    timeout
        Seconds that a check may take.
    workers
        0 checks in this process, for a debugger; nothing then holds the time limit.
    say
        Is told each finding as it comes.

    Returns
    -------
    Report
        One finding a check, with the figure behind it.

    Raises
    ------
    InputError
        If the estimator cannot be made, or a level, name or scenario is unknown.
    """
    wanted = checks(level, tuple(only))
    limit = TIMEOUT[level] if timeout is None else timeout
    found = []
    with tempfile.TemporaryDirectory(prefix="haloassay-check-") as folder:
        subject = subject_of(estimator, settings, scenario, level=level, seed=seed, folder=folder)
        for ended in _run(subject, wanted, limit, workers):
            finding = as_expected(ended, subject)
            say(finding)
            found.append(finding)
    return Report(subject.kind, level, tuple(found))


def subject_of(
    estimator: str | type[Estimator],
    settings: Mapping[str, Any] | None = None,
    scenario: Any = None,
    *,
    level: Level,
    seed: int,
    folder: str,
) -> Subject:
    """Make what is checked: parameters and errors are those of :func:`check_estimator`.

    ``folder`` is where runs of many mocks are kept meanwhile.
    """
    kind = estimator if isinstance(estimator, str) else hand_over(estimator, "check")
    known = IDEAL.get(kind, {})
    spec = {"kind": kind, **known.get("settings", {}), **(settings or {})}
    make_estimator(spec, kind)  # refuses what cannot be made before any check
    named = str(scenario) if isinstance(scenario, str | Path) else ""
    halo = _halo_of(kind, scenario, known)
    broken = {} if scenario is not None else estimator_class(kind).violations
    broken = broken or (known.get("violations", {}) if scenario is None else {})
    return Subject(spec, halo, level, seed, folder, named, broken)


def _halo_of(kind: str, scenario: Any, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Mock and survey of checks over many mocks."""
    if scenario is not None:
        told = as_scenario(scenario)
        return {"mock": dict(told.mock), "survey": dict(told.survey)}
    stated = estimator_class(kind).ideal
    if stated and "mock" not in stated:
        raise InputError(f"{kind}: its attribute ideal has no mock")
    stated = stated or known
    if "mock" not in stated:
        return {}
    return {"mock": dict(stated["mock"]), "survey": dict(stated.get("survey", {}))}


def _run(
    subject: Subject, wanted: Sequence[Check], limit: float, workers: int
) -> Iterator[Finding]:
    if not workers:
        for each in wanted:
            yield finding_of(subject, each.name)
        return
    from pebble import ProcessExpired

    from haloassay.engine.executors.helpers import helpers
    from haloassay.engine.executors.pool import single_threaded, worker_end

    with single_threaded(), helpers(workers) as some:
        jobs = [
            (each, some.schedule(finding_of, subject, each.name, timeout=limit)) for each in wanted
        ]
        for each, job in jobs:
            try:
                yield some.result(job)
            except TimeoutError:
                reason = f"takes longer than {limit:g} s"
                yield _finding(subject, each, "skipped", reason, limit)
            except ProcessExpired as end:
                yield _finding(subject, each, "failed", worker_end(end), 0.0)


def finding_of(subject: Subject, name: str) -> Finding:
    """Make one check."""
    (each,) = checks(only=(name,))
    started = time.perf_counter()
    status: Status = "passed" if each.judged else "measured"
    try:
        figure = each.of(subject)
    except NotApplicable as error:
        status, figure = "not applicable", str(error)
    except Failed as error:
        smallest = f" (so with {error.smallest} stars)" if error.smallest else ""
        status, figure = "failed", f"{error}{smallest}"
    except Exception as error:  # of somebody's code, or ours: the other checks go on
        status, figure = "failed", in_one_line(error)
    return _finding(subject, each, status, figure, time.perf_counter() - started)


def _finding(subject: Subject, each: Check, status: Status, figure: str, seconds: float) -> Finding:
    return Finding(each.name, each.sentence, status, figure, seconds, _again(subject, each.name))


def _again(subject: Subject, name: str) -> str:
    """Command that makes a check again, or the call for a class that was handed over."""
    kind, settings = subject.kind, {**subject.spec}
    settings.pop("kind")
    if SIGN in kind:
        chosen = f"only=[{name!r}], level={subject.level!r}, seed={subject.seed}"
        return f"check_estimator({kind.partition(SIGN)[0]}, {settings or None}, {chosen})"
    words = ["haloassay", "check", kind]
    for key, value in settings.items():
        words += ["--set", f"{key}={toml_value(value)}"]
    words += ["--scenario", subject.named] if subject.named else []
    words += ["--only", name, "--level", subject.level, "--seed", str(subject.seed)]
    return shlex.join(words)


def as_expected(finding: Finding, subject: Subject) -> Finding:
    """Count a failure that the estimator declares as expected; one that does not come is a failure.

    Below the level that shows it, it is none that is known.
    """
    reason = subject.declared(finding.name)
    if not reason:
        return finding
    if finding.status == "failed":
        return replace(finding, status="expected", figure=f"{reason}: {finding.figure}")
    if finding.status in ("passed", "measured"):
        figure = f"was expected to fail ({reason}), and passes: {finding.figure}"
        return replace(finding, status="failed", figure=figure)
    return finding
