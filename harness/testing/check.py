"""What a check is: a name, a sentence, the level at which it is made, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from haloassay.base.settings import unknown

if TYPE_CHECKING:
    from haloassay.testing.subject import Subject

Level = Literal["quick", "standard", "thorough"]
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
Status = Literal["passed", "measured", "failed", "expected", "skipped", "not applicable"]


class Failed(Exception):  # noqa: N818 # an answer, and no error of ours
    """What is wrong, in words.

    Parameters
    ----------
    reason
        What, with the figure behind it.
    smallest
        Number of stars of the smallest catalogue that shows it, where one was sought.
    """

    def __init__(self, reason: str, smallest: int | None = None) -> None:
        super().__init__(reason)
        self.smallest = smallest


class NotApplicable(Exception):  # noqa: N818
    """Why a check says nothing of an estimator."""


@dataclass(frozen=True)
class Check:
    """One check.

    Parameters
    ----------
    name, sentence
        What it is called, and what it means where it passes.
    level
        From which level on it is made.
    of
        Returns the figure behind it; raises :class:`Failed` or :class:`NotApplicable`.
    judged
        Whether it says what is right; otherwise it tells what it measures.
    """

    name: str
    sentence: str
    level: Level
    of: Callable[[Subject], str]
    judged: bool = True


@dataclass(frozen=True)
class Finding:
    """How a check of an estimator ended.

    Parameters
    ----------
    name, sentence
        As of the :class:`Check`.
    status
        ``expected`` is a failure that the estimator declares itself, ``measured`` what is told and not judged.
    figure
        The numbers behind it, or the reason.
    seconds
        How long it took.
    repeat
        Command that makes it again.
    """

    name: str
    sentence: str
    status: Status
    figure: str
    seconds: float
    repeat: str


_checks: Final[dict[str, Check]] = {}


def check(
    name: str, sentence: str, level: Level = "quick", *, judged: bool = True
) -> Callable[[Callable[[Subject], str]], Callable[[Subject], str]]:
    """Make a check of a function."""

    def register(of: Callable[[Subject], str]) -> Callable[[Subject], str]:
        _checks[name] = Check(name, sentence, level, of, judged)
        return of

    return register


def checks(level: Level = "thorough", only: tuple[str, ...] = ()) -> tuple[Check, ...]:
    """List the checks of a level and below, or those of these names.

    Raises
    ------
    InputError
        If the level or a name is unknown.
    """
    from haloassay.testing import (  # noqa: F401 # they register what they have
        contract,
        invariance,
        observers,
        repeatability,
        robustness,
        statistics,
        violations,
    )

    if level not in LEVELS:
        raise unknown("level", level, LEVELS, "check")
    for name in only:
        if name not in _checks:
            raise unknown("check", name, _checks, "check")
    if only:
        return tuple(_checks[name] for name in only)
    highest = LEVELS.index(level)
    return tuple(each for each in _checks.values() if LEVELS.index(each.level) <= highest)
