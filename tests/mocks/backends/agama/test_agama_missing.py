"""What is said where agama, or the solver that it needs for Schwarzschild models, is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from agama_halos import HALO, HERNQUIST_TRACERS

from haloassay.base.errors import InputError
from haloassay.face import api
from haloassay.face.cli import main
from haloassay.face.vocabulary import entries
from haloassay.mocks import make_mock
from haloassay.mocks.backends.agama import library
from haloassay.mocks.backends.agama.conversion import from_agama, to_agama
from haloassay.mocks.gravity.potentials import make_potential

SCENARIO = """
name = "agama"
realizations = 1
seed = 1

[mock]
kind = "agama"
potential = { kind = "nfw", m200 = 1e12, c = 12.0 }
density = { kind = "hernquist", a = 12.0 }
beta = 0.3

[survey]
preset = "perfect"
n_stars = 100

[[estimators]]
kind = "velocity-ellipsoid"
bins = [5.0, 20.0, 100.0]
"""

SPEC = {"kind": "agama", "potential": HALO, "density": HERNQUIST_TRACERS, "beta": 0.3}
SCHWARZSCHILD = 'distribution = { kind = "schwarzschild", size = 1000 }'


@pytest.fixture
def nowhere(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "agama", None)


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("call", [to_agama, from_agama])
def test_it_is_asked_for(call) -> None:
    with pytest.raises(InputError, match=r"needs agama.*pip install agama") as caught:
        call(make_potential(HALO))
    assert "\n" not in str(caught.value)
    assert "://" not in str(caught.value)


@pytest.mark.usefixtures("nowhere")
def test_a_scenario_that_needs_it_is_refused_at_once() -> None:
    spec = {"kind": "agama", "potential": HALO, "density": {"kind": "nfw", "r_s": 20.0}}
    with pytest.raises(InputError, match=r"^mock: needs agama, which cannot be imported"):
        make_mock({**spec, "beta": 0.0})


def test_the_list_of_mocks_says_so() -> None:
    (entry,) = (e for e in entries("mocks") if e.name == "agama")
    assert "needs agama" in entry.summary
    assert "slope_out" in entry.text


@pytest.mark.usefixtures("nowhere")
def test_the_command_ends_with_exit_2(tmp_path, monkeypatch, capsys) -> None:
    scenario = tmp_path / "agama.toml"
    scenario.write_text(SCENARIO)
    arguments = ["haloassay", "run", str(scenario), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "needs agama" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def stand_in(solve: Callable[..., Any]) -> SimpleNamespace:
    """An agama that only knows its units and solves as told."""
    one = dict.fromkeys(("length", "velocity", "mass"), 1.0)
    return SimpleNamespace(__version__="1.0.1 of today", getUnits=lambda: one, solveOpt=solve)


def failing(message: str) -> Callable[..., Any]:
    def solve(**_: Any) -> Any:
        raise RuntimeError(f"Error in solveOpt(): {message}")

    return solve


WITHOUT = failing("quadraticOptimizationSolve not implemented")
BROKEN = failing("quadraticOptimizationSolve: error importing CVXOPT python module")


@pytest.fixture
def agama(request, monkeypatch) -> Any:
    monkeypatch.setitem(sys.modules, "agama", stand_in(request.param))
    library.solver_fault.cache_clear()
    yield
    library.solver_fault.cache_clear()


def here() -> str:
    (line,) = (x for x in api.describe("agama").splitlines() if x.startswith("Here: "))
    return line


@pytest.mark.parametrize(
    ("agama", "message"),
    [(WITHOUT, "agama was built without CVXOPT"), (BROKEN, "CVXOPT, .* fails here .*importing")],
    indirect=["agama"],
)
@pytest.mark.usefixtures("agama")
def test_an_agama_without_its_solver_is_told_apart(message: str) -> None:
    model = SPEC | {"distribution": {"kind": "schwarzschild"}}
    with pytest.raises(
        InputError, match=rf"^mock: Schwarzschild .* be solved: {message}"
    ) as caught:
        make_mock(model)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=f"^mock: Schwarzschild .*{message}"):
        make_mock({**model, "beta": 0.0, "populations": [{"name": "mr"}]})
    make_mock(SPEC)  # a distribution function takes no solver
    assert "agama 1.0.1 is installed, but Schwarzschild models cannot be solved" in here()


@pytest.mark.parametrize("agama", [lambda **_: [1.0]], indirect=True)
@pytest.mark.usefixtures("agama")
def test_abundances_are_those_of_the_populations() -> None:
    alpha = {"alpha_fe": {"mean": 0.2, "sigma": 0.1}}
    model = {"distribution": {"kind": "schwarzschild"}}
    for spec, alpha_fe in ((SPEC, False), (SPEC | alpha, True), (SPEC | model | alpha, True)):
        assert make_mock(spec).abundances == {"feh": True, "alpha_fe": alpha_fe}
    parts = [{"name": "mr", "fraction": 0.5, **alpha}, {"name": "mp"}]
    assert make_mock(SPEC | {"populations": parts}).abundances == {"feh": True, "alpha_fe": None}


@pytest.mark.parametrize("agama", [lambda **_: [1.0]], indirect=True)
@pytest.mark.usefixtures("agama")
def test_its_solver_is_named() -> None:
    make_mock(SPEC | {"distribution": {"kind": "schwarzschild"}})
    assert here() == (
        "Here: agama 1.0.1 is installed, with CVXOPT as its solver of Schwarzschild models"
    )


@pytest.mark.usefixtures("nowhere")
def test_that_it_is_missing_is_described() -> None:
    assert here().startswith("Here: needs agama, which cannot be imported")


@pytest.mark.parametrize("agama", [WITHOUT], indirect=True)
@pytest.mark.usefixtures("agama")
def test_a_run_without_the_solver_ends_before_it_begins(tmp_path, monkeypatch, capsys) -> None:
    scenario = tmp_path / "agama.toml"
    scenario.write_text(SCENARIO.replace("beta = 0.3", f"beta = 0.3\n{SCHWARZSCHILD}"))
    arguments = ["haloassay", "run", str(scenario), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "agama was built without CVXOPT" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
