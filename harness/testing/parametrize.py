"""Checks as tests of pytest: one item for each check of each estimator."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from haloassay.contracts.estimate import Estimator
from haloassay.testing.check import Level, checks
from haloassay.testing.checking import as_expected, finding_of, subject_of
from haloassay.testing.rates import SESSION
from haloassay.testing.subject import Subject

if TYPE_CHECKING:
    import pytest

#: An estimator, or one and its settings.
Checked = str | type[Estimator] | tuple[str | type[Estimator], dict[str, Any]]


@dataclass(eq=False)
class _Suite:
    """All checks of an estimator: they share its mocks."""

    estimator: str | type[Estimator]
    settings: dict[str, Any]
    level: Level

    @property
    def name(self) -> str:
        """Of the estimator, for readers."""
        return self.estimator if isinstance(self.estimator, str) else self.estimator.__name__

    @functools.cached_property
    def _folder(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="haloassay-check-")

    def subject(self, seed: int) -> Subject:
        """Make what is checked."""
        folder = self._folder.name
        return subject_of(self.estimator, self.settings, level=self.level, seed=seed, folder=folder)


@dataclass(frozen=True)
class BoundCheck:
    """One check of one estimator, to be called in a test.

    It raises AssertionError where it fails, skips with the reason where it says nothing of this estimator, and ends as
    an expected failure (``xfail``) where the estimator declares one.
    """

    suite: _Suite
    name: str

    def __call__(self) -> None:
        """Make the check."""
        import pytest

        subject = replace(self.suite.subject(SESSION.seed), alpha=SESSION.rate())
        found = as_expected(finding_of(subject, self.name), subject)
        if found.status == "failed":
            raise AssertionError(f"{found.sentence}\n{found.figure}\nagain: {found.repeat}")
        if found.status == "expected":
            pytest.xfail(found.figure)
        if found.status not in ("passed", "measured"):
            pytest.skip(f"{found.status}: {found.figure}")


def parametrize_with_checks(
    estimators: Sequence[Checked], *, level: Level = "standard", only: Sequence[str] = ()
) -> pytest.MarkDecorator:
    """Parametrize a test by ``check``: all checks of these estimators, an item each.

    >>> @parametrize_with_checks(["tracer-mass", MyEstimator, (MyEstimator, {"n_bootstrap": 50})])
    ... def test_estimators(check):
    ...     check()

    Checks run in the process of the test, for a debugger; :func:`haloassay.testing.check_estimator` has workers and
    limits of time. Mocks are made once an estimator and process.

    Parameters
    ----------
    estimators
        Kinds, ``module:Class`` or classes, each alone or with settings.
    level, only
        As for :func:`haloassay.testing.check_estimator`.

    Raises
    ------
    InputError
        If level or name of a check is unknown. An estimator that cannot be made fails its tests.
    """
    import pytest

    wanted = checks(level, tuple(only))
    params = []
    for each in estimators:
        estimator, settings = each if isinstance(each, tuple) else (each, {})
        suite = _Suite(estimator, settings, level)
        params += [
            pytest.param(BoundCheck(suite, check.name), id=f"{suite.name}-{check.name}")
            for check in wanted
        ]
    return pytest.mark.parametrize("check", params)
