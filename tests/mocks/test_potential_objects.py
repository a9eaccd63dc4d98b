"""Potentials of other libraries where a potential is expected, in Python."""

from __future__ import annotations

import galpy.potential as gp
import numpy as np
import pytest

import haloassay
from haloassay.base.errors import InputError
from haloassay.mocks.backends.galpy.conversion import from_galpy
from haloassay.mocks.gravity.potentials import NFW, make_potential
from haloassay.planning.scenario import as_scenario

UNITS = {"ro": 8.0, "vo": 220.0}
R = np.array([2.0, 8.0, 50.0])


def _halo():
    return gp.NFWPotential(mvir=0.8, conc=12.0, H=70.0, overdens=200.0, wrtcrit=True, **UNITS)


def _disc():
    return gp.MiyamotoNagaiPotential(amp=0.4, a=0.4, b=0.05, **UNITS)


def _scenario(potential, **mock):
    return {
        "name": "objects",
        "realizations": 2,
        "seed": 3,
        "mock": {
            "kind": "local-jeans-gaussian",
            "potential": potential,
            "density": {"kind": "power-law", "slope": -3.5},
            "beta": {"kind": "constant", "beta": 0.3},
            "r_range": [5.0, 100.0],
            **mock,
        },
        "survey": {"preset": "perfect", "n_stars": 50},
        "estimators": [{"kind": "velocity-ellipsoid"}],
    }


@pytest.mark.parametrize("pot", [_halo(), [_halo(), _disc()], _halo() + _disc()])
def test_a_galpy_potential_is_one_of_ours(pot):
    made = make_potential(pot)
    np.testing.assert_array_equal(made.enclosed_mass(R), from_galpy(pot).enclosed_mass(R))
    assert make_potential(made) is made
    assert isinstance(made.components[0], NFW)


def test_a_scenario_of_an_object_is_that_of_its_settings(tmp_path):
    told = as_scenario(_scenario(_halo()))
    assert told.mock["potential"] == make_potential(_halo()).to_plain()
    assert as_scenario(_scenario(make_potential(_halo()))).to_dict() == told.to_dict()
    results = haloassay.run(_scenario(_halo()), tmp_path / "object", workers=0)
    haloassay.run(told, tmp_path / "object", workers=0, mode="resume")  # the very same
    assert results.counts() == {"ok": 2}
    plain = haloassay.run(told, tmp_path / "plain", workers=0)
    assert results.table().equals(plain.table())


def test_a_disc_stands_in_a_scenario_by_its_spherical_average():
    pot = [_halo(), _disc()]
    told = as_scenario(_scenario(pot)).mock["potential"]
    assert [part["kind"] for part in told] == ["nfw", "mass-table"]
    mass = make_potential(told).enclosed_mass(R)
    np.testing.assert_allclose(mass, make_potential(pot).enclosed_mass(R), rtol=1e-12)


def test_a_field_that_a_scenario_cannot_hold_is_refused():
    with pytest.raises(
        InputError, match="potential: a scenario cannot hold the field of galpy potential 'Miya"
    ):
        as_scenario(_scenario([_halo(), _disc()], shape={"axis_ratios": [1.0, 0.8]}))
    assert as_scenario(_scenario(_halo(), shape={"axis_ratios": [1.0, 0.8]}))


def test_objects_are_levels_of_a_factor():
    values = _scenario(_halo())
    levels = [_halo(), [_halo(), _disc()], {"kind": "nfw", "m200": 1e12, "c": 9.0}]
    told = as_scenario({**values, "matrix": {"factors": {"mock": {"potential": levels}}}})
    plain = told.matrix.factors["mock.potential"]
    assert plain[0] == make_potential(_halo()).to_plain()
    assert [part["kind"] for part in plain[1]] == ["nfw", "mass-table"]
    assert plain[2] == levels[2]


@pytest.mark.parametrize(
    "path", ["mock.shape.axis_ratios", "mock.kind", "mock.lmc", "mock.populations.0.shape"]
)
def test_a_field_that_a_cell_may_follow_is_refused(path):
    def swept(potential, levels=()):
        factors = {path: [1, 2], **({"mock.potential": levels} if levels else {})}
        return {**_scenario(potential), "matrix": {"factors": factors}}

    named = [
        {"label": "a", "path": path, "levels": [1, 2]},
        {"label": "a", "paths": [path, "survey.n_stars"], "levels": [1, 2]},
        {"label": "a", "levels": [{"label": "one", "set": {path: 1}}]},
    ]
    for factor in named:
        values = _scenario([_halo(), _disc()]) | {"matrix": {"factor": [factor]}}
        with pytest.raises(InputError, match="a scenario cannot hold the field of galpy potential"):
            as_scenario(values)
    assert as_scenario(swept(_halo()))
    for values in (swept([_halo(), _disc()]), swept(_halo(), [_halo(), [_halo(), _disc()]])):
        with pytest.raises(InputError, match="a scenario cannot hold the field of galpy potential"):
            as_scenario(values)


WRONG = {
    "without units": (gp.NFWPotential(), "mock.potential: galpy's NFWPotential has no units"),
    "rotating": (
        gp.DehnenBarPotential(**UNITS) + _halo(),
        "mock.potential: galpy's DehnenBarPotential",
    ),
    "a number": (3.0, "mock.potential: expected a table with a key 'kind'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_converted_is_one_line(name):
    pot, message = WRONG[name]
    with pytest.raises(InputError, match=message) as error:
        make_potential(pot)
    assert "\n" not in str(error.value)


class _Gala:
    """Stands for a potential of gala, which converts itself."""

    def __init__(self, answer):
        self.answer = answer

    def as_interop(self, package):
        assert package == "galpy"
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


_Gala.__module__ = "gala.potential.potential.core"


def test_gala_goes_by_its_own_conversion_to_galpy():
    made = make_potential(_Gala(_halo()))
    np.testing.assert_array_equal(made.enclosed_mass(R), from_galpy(_halo()).enclosed_mass(R))
    with pytest.raises(
        InputError,
        match=r"gala makes no potential of galpy of its _Gala: no\nsuch".replace("\\n", " "),
    ):
        make_potential(_Gala(TypeError("no\nsuch")))


def test_gala_itself_where_it_is_installed():
    gala = pytest.importorskip("gala.potential")
    from gala.units import galactic

    halo = gala.NFWPotential(m=6e11, r_s=15.0, units=galactic)
    at = np.stack([R, 0.0 * R, 0.0 * R])
    mass = halo.mass_enclosed(at).to_value("Msun")
    np.testing.assert_allclose(make_potential(halo).enclosed_mass(R), mass, rtol=1e-4)
