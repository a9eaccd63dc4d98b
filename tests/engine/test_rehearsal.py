"""Workers rehearse while the mocks are made: built-in methods only, and nothing of it is seen."""

from __future__ import annotations

import pytest
from small_scenario import SCENARIO

from haloassay.base import kinds
from haloassay.engine import preparation
from haloassay.engine.executors import rehearsal
from haloassay.estimators import make_estimator
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import as_scenario
from haloassay.testing.ideal import IDEAL

FOREIGN = {"kind": "plugins:Good", "label": "good"}
OWN = {"kind": "velocity-ellipsoid", "bins": [5.0, 20.0, 60.0]}


def plan(estimators, realizations=20):
    scenario = as_scenario({**SCENARIO, "estimators": estimators})
    return make_plan(scenario.revise(realizations=realizations))


def test_nobody_calls_code_of_others_in_vain():
    ((errors, own),) = rehearsal.rehearsals(plan([FOREIGN, OWN]), 2)
    assert errors
    assert [spec["kind"] for spec in own] == ["velocity-ellipsoid"]


def test_it_is_shared_out_where_there_are_processors_for_it():
    parts = rehearsal.rehearsals(plan([OWN]), 3)
    assert [(errors, len(own)) for errors, own in parts] == [(True, 0), (False, 1)]


@pytest.mark.parametrize("setting", [{"as_published": True}, {"sampler": "emcee"}])
def test_chains_are_not_rehearsed(setting):
    chain = {"kind": "reflex-6d", "label": "chain", **setting}
    ((_, own),) = rehearsal.rehearsals(plan([chain, OWN]), 2)
    assert [spec["kind"] for spec in own] == ["velocity-ellipsoid"]


def test_a_mock_of_others_is_not_sampled_in_vain(monkeypatch):
    sampled = []
    monkeypatch.setattr(preparation, "rehearse_mock", sampled.append)
    own = plan([OWN])
    preparation.prepared(own, lambda _: None)
    assert len(sampled) == 1
    monkeypatch.setattr(preparation.kinds, "is_foreign", lambda _: True)
    preparation.prepared(own, lambda _: None)
    assert len(sampled) == 1


def test_few_tasks_are_not_rehearsed():
    assert rehearsal.rehearsals(plan([OWN], realizations=1), 2) == ()


@pytest.mark.parametrize("kind", kinds.names("estimators"))
def test_what_is_rehearsed_is_a_catalogue_that_estimators_read(kind, monkeypatch):
    """One that refuses it would compile nothing."""
    rows = []

    class Heard:
        def estimate(self, catalogue, rng):
            rows.append(make_estimator(spec).estimate(catalogue, rng))

    spec = {"kind": kind, **IDEAL[kind]["settings"]}
    monkeypatch.setattr("haloassay.estimators.make_estimator", lambda _: Heard())
    rehearsal.rehearse(False, [spec])
    # the mixture says that a second population is too many once it has fitted both; a fit of densities and a network
    # compile nothing
    told = ("a second raises ln L", "no selection function", "outside of what the network")
    assert any(not row.note or any(words in row.note for words in told) for row in rows[0])


def test_errors_of_observables_are_carried_without_estimators(monkeypatch):
    carried = []
    monkeypatch.setattr("haloassay.contracts.propagation.spherical_covariance", carried.append)
    rehearsal.rehearse(True, ())
    assert carried[0].heliocentric


def test_what_fails_in_a_rehearsal_is_not_told():
    class NoStars:
        def sample(self, n, rng):
            raise ValueError("no star")

    rehearsal.rehearse(
        False, [{"kind": "velocity-ellipsoid", "bins": [1e5, 2e5]}, {"kind": "nothing"}]
    )
    rehearsal.rehearse_mock(NoStars())
