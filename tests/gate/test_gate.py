"""The gate of this project: what ``tox`` compares with the baseline beside this file."""

from __future__ import annotations

import json
from pathlib import Path

from haloassay.base import kinds
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import load_scenario
from haloassay.results.baseline import read_side

HERE = Path(__file__).parent
#: The packaged network refuses proper motions as uncertain as those of the gate; test_npe.py pins its numbers.
NOT_ASKED = {"npe"}


def test_every_estimator_passes_through_the_gate():
    labels = {key.estimator for key in read_side(HERE / "baseline.json").samples}
    assert labels == set(kinds.names("estimators")) - NOT_ASKED


def test_the_baseline_is_of_the_catalogues_that_are_made_now():
    """Else nothing is compared by realisation, and little is seen."""
    kept = json.loads((HERE / "baseline.json").read_text(encoding="utf-8"))
    plan = make_plan(load_scenario(HERE / "all-estimators.toml"))
    assert kept["catalogues"] == {cell.label: cell.key for cell in plan.cells}
