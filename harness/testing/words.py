"""Findings of checks in words: for a terminal, and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Final

from haloassay.base.text import printable
from haloassay.reports.junit import Case, suite
from haloassay.testing.check import Finding
from haloassay.testing.checking import Report

#: What stands before a line.
_MARKS: Final = {
    "passed": "ok",
    "measured": "measured",
    "failed": "FAILED",
    "expected": "expected",
    "skipped": "skipped",
    "not applicable": "n/a",
}


def line(finding: Finding) -> str:
    """One finding."""
    mark = _MARKS[finding.status]
    return printable(f"{mark:<9}{finding.name}: {finding.figure} [{finding.seconds:.1f} s]")


def ending(report: Report) -> Iterator[str]:
    """Lines after all findings: what failed, what that means and how to make it again; then how many."""
    for finding in report.findings:
        if finding.status == "failed":
            yield ""
            yield printable(f"{finding.name}: {finding.sentence}")
            yield printable(f"  {finding.figure}")
            yield printable(f"  again: {finding.repeat}")
    yield ""
    counts = ", ".join(f"{n} {status}" for status, n in report.counts().items())
    yield printable(f"{report.estimator}, {report.level}: {len(report.findings)} checks: {counts}")


def text(report: Report) -> str:
    """All lines."""
    return "\n".join([*map(line, report.findings), *ending(report)]) + "\n"


def json_text(report: Report) -> str:
    """All findings for programs."""
    told = {
        "estimator": report.estimator,
        "level": report.level,
        "passed": report.passed,
        "counts": report.counts(),
        "findings": [asdict(finding) for finding in report.findings],
    }
    return json.dumps(told, indent=1) + "\n"


def junit(report: Report) -> str:
    """Report of test cases, one a check; what was not judged, or was expected to fail, is skipped."""
    return suite(
        f"haloassay check {report.estimator}", map(partial(_case, report), report.findings)
    )


def _case(report: Report, finding: Finding) -> Case:
    told = f"{finding.figure}; {finding.repeat}"
    group, name = report.estimator, finding.name
    if finding.status == "passed":
        return Case(group, name, "passed", seconds=finding.seconds)
    if finding.status == "measured":
        return Case(group, name, "passed", finding.figure, finding.seconds)
    if finding.status == "failed":
        return Case(group, name, "failure", told, finding.seconds)
    return Case(group, name, "skipped", f"{finding.status}: {told}", finding.seconds)
