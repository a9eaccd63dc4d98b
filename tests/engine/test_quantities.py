"""Quantities of one's own, from the class that yields them to the table that says how far off they are."""

from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import numpy as np
import pytest
from pages import words_of

from haloassay.analysis.verdict import verdicts
from haloassay.base.errors import InputError
from haloassay.base.seeds import stream
from haloassay.contracts import labels
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.quantities import Quantity, known_quantities
from haloassay.contracts.sky import direction, separation
from haloassay.engine.progress import Silent
from haloassay.engine.runner import run
from haloassay.engine.task import Task, observe, run_task
from haloassay.estimators import make_estimator
from haloassay.face import api
from haloassay.mocks import make_mock
from haloassay.mocks.mock import MockOfMock
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import make_scenario
from haloassay.reports.tables import format_table

#: Squared dispersion; its truth is a function of the mock's.
PRESSURE = Quantity(
    "pressure",
    "km2/s2",
    "fractional",
    r"$P_r$",
    lambda truth, place: truth.value("sigma_r", *place) ** 2,
)


@dataclass(frozen=True)
class Pressure(Estimator):
    """1.5 times the mean square of v_r, about zero."""

    name: ClassVar[str] = "pressure"
    reference: ClassVar[str] = ""
    yields: ClassVar[tuple[str, ...]] = ("pressure",)
    quantities: ClassVar[tuple[Quantity, ...]] = (PRESSURE,)

    def estimate(self, catalogue, rng):
        value = 1.5 * float(np.mean(catalogue.spherical_velocity[:, 0] ** 2))
        spread = value * (1.0 + np.array([-0.2, -0.1, 0.1, 0.2]))
        return Estimates(
            [Estimate("pressure", value, spread[1], spread[2], spread[0], spread[3], 0, 1.0, 300.0)]
        )


@dataclass(frozen=True)
class Mute(Pressure):
    """Says nothing of its quantity."""

    quantities: ClassVar[tuple[Quantity, ...]] = ()


@dataclass(frozen=True)
class Undeclared(Mute):
    """Says that it yields something else."""

    yields: ClassVar[tuple[str, ...]] = ("beta",)


@dataclass(frozen=True)
class Nothing(Mute):
    """Does not say what it yields."""

    yields: ClassVar[tuple[str, ...]] = ()


#: Mass of gas, which some mocks state.
GAS = Quantity("gas_mass", "Msun", "fractional", r"$M_\mathrm{gas}$", "stated")


@dataclass(frozen=True)
class Gas(Estimator):
    """A value and no interval: 1 per cent above 5e9 Msun, and a radius about which mocks state a function."""

    name: ClassVar[str] = "gas"
    reference: ClassVar[str] = ""
    yields: ClassVar[tuple[str, ...]] = ("gas_mass",)
    quantities: ClassVar[tuple[Quantity, ...]] = (GAS,)

    def estimate(self, catalogue, rng):
        noise = 1.0 + 0.02 * rng.standard_normal()
        return Estimates([Estimate("gas_mass", 5.05e9 * noise, r=20.0)])


@dataclass(frozen=True)
class Gassy(MockOfMock):
    """A halo with gas, whose mass within r it states."""

    halo: dict[str, Any]
    kind: ClassVar[str] = "gassy"

    @cached_property
    def mock(self):
        return make_mock(self.halo)

    @property
    def truth(self):
        return replace(self.mock.truth, stated={"gas_mass": lambda place: 2.5e8 * place.r})

    def sampler(self, rng):
        return self.mock.sampler(rng)


@pytest.fixture
def of(values):
    """The small scenario with one estimator of this module."""

    def make(cls):
        estimators = [{"kind": f"{__name__}:{cls.__name__}", "label": "mine"}]
        return make_scenario({**values, "matrix": {}, "estimators": estimators})

    return make


@pytest.mark.long
def test_a_quantity_of_one_s_own_is_scored_and_written_like_any_other(of, tmp_path, monkeypatch):
    progress = Silent()
    results = run(of(Pressure), tmp_path / "out", realizations=40, workers=0, progress=progress)
    assert progress.lines == []
    (row,) = results.table().to_dict("records")
    assert (row["quantity"], row["unit"]) == ("pressure", "km2/s2")
    # a mean square of 60 Gaussian velocities scatters by sqrt(2 / 60)
    assert row["bias"] == pytest.approx(0.5, abs=4.0 * row["bias_mcse"])
    assert row["scatter"] == pytest.approx(1.5 * np.sqrt(2.0 / 60.0), abs=4.0 * row["scatter_mcse"])
    # readers know it from run.json, whoever made the results
    assert results.quantities["pressure"].to_dict() == PRESSURE.to_dict()
    with labels.vocabulary(results.quantities):
        assert "$P_r$" in str(format_table(results.table(), "latex"))
        assert labels.error_unit("pressure", "km2/s2") == "%"
    page = words_of(api.report(tmp_path / "out").read_text(encoding="utf-8"))
    assert "P_r" in page


def test_a_quantity_that_nobody_describes_is_refused_when_the_scenario_is_read(of):
    with pytest.raises(InputError, match=r"estimators\.mine: yields: unknown quantity 'pressure'"):
        make_plan(of(Mute))


def test_an_estimate_of_an_undeclared_quantity_fails_with_the_reason(of, tmp_path):
    results = run(of(Undeclared), tmp_path / "out", 1, workers=0, progress=Silent())
    (row,) = results.frame("runs").to_dict("records")
    assert row["status"] == "failed"
    assert "'pressure' is no quantity that the estimator declares (yields: beta)" in row["message"]


def test_an_estimator_that_declares_nothing_is_refused_when_the_scenario_is_read(of):
    with pytest.raises(
        InputError, match=r"estimators\.mine: .* names no quantity in its attribute"
    ):
        make_plan(of(Nothing))


def test_a_distribution_offers_quantities_by_entry_points(of, tmp_path, monkeypatch):
    entry = EntryPoint("pressure", f"{__name__}:PRESSURE", "haloassay.quantities")
    offered = {"haloassay.quantities": (entry,)}
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: offered.get(group, ()))
    results = run(of(Mute), tmp_path / "out", 2, workers=0, progress=Silent())
    assert results.counts() == {"ok": 2}
    assert np.isfinite(results.frame("estimates")["truth"]).all()


@pytest.mark.long
def test_a_mock_states_the_truth_of_a_quantity_by_name(values, tmp_path, monkeypatch):
    """And its estimator states no errors: from the plug-ins to table, page and verdict."""
    values["mock"] = {"kind": f"{__name__}:Gassy", "halo": values["mock"]}
    values["estimators"] = [{"kind": f"{__name__}:Gas", "label": "gas"}]
    values["matrix"] = {}
    progress = Silent()
    out = tmp_path / "out"
    results = run(make_scenario(values), out, realizations=20, workers=0, progress=progress)
    assert progress.lines == []
    assert (results.frame("estimates")["truth"] == 5e9).all()
    (row,) = results.table().to_dict("records")
    assert row["bias"] == pytest.approx(0.01, abs=4.0 * row["bias_mcse"])
    assert row["scatter"] == pytest.approx(0.02, abs=4.0 * row["scatter_mcse"])
    assert (row["n"], row["n68"], row["success"]) == (20, 0, 1.0)
    assert np.isnan(row["coverage68"])
    (found,) = verdicts(results.table())
    assert found.intervals == "It states no errors."
    with labels.vocabulary(results.quantities):
        text = str(format_table(results.table(), "markdown"))
    assert text.count(labels.NO_ERRORS) == 2
    page = words_of(api.report(out).read_text(encoding="utf-8"))
    assert "It states no errors." in page
    assert page.count(labels.NO_ERRORS) == 2
    assert ">nan<" not in page


def test_a_mock_that_states_nothing_has_no_truth_of_it(values, tmp_path):
    values["estimators"] = [{"kind": f"{__name__}:Gas", "label": "gas"}]
    values["matrix"] = {}
    progress = Silent()
    run(make_scenario(values), tmp_path / "out", 1, workers=0, progress=progress)
    assert progress.lines[0] == "gas: the mock has no truth of gas_mass: not scored"


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            Quantity("beta", "", "fractional", "b"),
            "'beta' is known with unit '' and absolute errors",
        ),
        ("beta", "'beta' is not a haloassay.Quantity"),
    ],
)
def test_what_is_no_quantity_or_another_one_is_refused(own, message):
    with pytest.raises(InputError, match=message):
        known_quantities([own])


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"scale": "log"}, "unknown scale 'log'"), ({"truth": "shell"}, "unknown truth 'shell'")],
)
def test_a_record_says_what_it_may_hold(settings, message):
    with pytest.raises(InputError, match=message):
        Quantity(**({"name": "x", "unit": "", "scale": "absolute", "label": "x"} | settings))


def test_a_quantity_without_a_truth_is_said_before_the_run(values, tmp_path):
    values["estimators"] = [{"kind": "dipole", "bins": [5.0, 300.0]}]
    values["matrix"] = {}
    progress = Silent()
    run(make_scenario(values), tmp_path / "out", 1, workers=0, progress=progress)
    assert progress.lines[0] == (
        "dipole: the mock has no truth of apex_l, apex_b, apex_offset: not scored"
    )


def test_a_direction_is_compared_with_how_far_it_is_off(values):
    values["mock"]["painted"] = {"mu_dipole": -60.0, "apex_l": 40.0, "apex_b": -50.0}
    values["survey"]["n_stars"] = 600
    values["estimators"] = [{"kind": "dipole", "label": "dipole", "n_draws": 200}]
    cell = make_plan(make_scenario(values)).cells[0]
    result = run_task(Task(cell, 0, 5, cell.methods))
    (row,) = (r for r in result.outcomes[0].rows if r["quantity"] == "apex_offset")
    catalogue = observe(cell, 5, 0)[1].catalogue
    estimates = make_estimator(cell.methods[0].spec).estimate(
        catalogue, stream(5, "estimator:dipole", 0)
    )
    (estimate,) = estimates.of("apex_offset")
    off = separation(direction(*estimate.toward), direction(40.0, -50.0))
    assert off > 0.1
    assert row["truth"] == pytest.approx(off, rel=1e-9)
