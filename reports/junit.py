"""Reports of test cases as JUnit has them, which services of continuous integration read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

from haloassay.base.text import printable


@dataclass(frozen=True)
class Case:
    """One test case.

    Parameters
    ----------
    group, name
        Its class and its name.
    outcome
        How it ended.
    message
        Why it failed or was skipped; of one that passed, what it says beside that.
    seconds
        How long it took.
    """

    group: str
    name: str
    outcome: Literal["passed", "failure", "skipped"]
    message: str = ""
    seconds: float = 0.0


def suite(name: str, cases: Iterable[Case]) -> str:
    """Write a suite of cases as XML."""
    listed = [*cases]
    outcomes = [case.outcome for case in listed]
    root = ElementTree.Element(
        "testsuite",
        name=printable(name),
        tests=str(len(listed)),
        failures=str(outcomes.count("failure")),
        skipped=str(outcomes.count("skipped")),
    )
    for case in listed:
        told = {"classname": printable(case.group), "name": printable(case.name)}
        element = ElementTree.SubElement(root, "testcase", told, time=f"{case.seconds:.3f}")
        if case.outcome != "passed":
            ElementTree.SubElement(element, case.outcome, message=printable(case.message))
        elif case.message:
            ElementTree.SubElement(element, "system-out").text = printable(case.message)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
