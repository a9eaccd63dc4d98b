"""The gate of this project: what ``tox`` compares with the baseline beside this file."""

from __future__ import annotations

import json
from pathlib import Path

from haloassay.base import kinds
from haloassay.planning.overrides import narrowed
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import load_scenario
from haloassay.results.baseline import read_side

HERE = Path(__file__).parent
BASELINES = ("baseline.json", "league.json", "league-debris.json")
#: The packaged network refuses proper motions as uncertain as those of the gate.
NOT_ASKED = {"npe"}
#: The cells of the league that are compared.
OF_LEAGUE = (
    {"halo": ["Gaussian in L"], "survey": ["K giants"], "stars": [300]},
    {"halo": ["debris"], "survey": ["RR Lyrae"], "stars": [300]},
)


def test_every_estimator_passes_through_the_gate():
    sides = [read_side(HERE / name) for name in BASELINES]
    labels = {key.estimator for side in sides for key in side.samples}
    assert labels == set(kinds.names("estimators")) - NOT_ASKED


def test_the_baseline_is_of_the_catalogues_that_are_made_now():
    """Else nothing is compared by realisation, and little is seen."""
    scenarios = (
        load_scenario(HERE / "all-estimators.toml"),
        *(narrowed(load_scenario("league"), cell) for cell in OF_LEAGUE),
    )
    for name, scenario in zip(BASELINES, scenarios, strict=True):
        kept = json.loads((HERE / name).read_text(encoding="utf-8"))
        cells = {cell.label: cell.key for cell in make_plan(scenario).cells}
        assert kept["catalogues"] == cells
