"""Potentials that are agama's objects where a potential is expected, in Python."""

from __future__ import annotations

import numpy as np
import pytest

import haloassay
from haloassay.base.errors import InputError
from haloassay.mocks.backends.agama.conversion import from_agama, to_agama
from haloassay.mocks.backends.agama.library import library
from haloassay.mocks.gravity.fields import make_field
from haloassay.mocks.gravity.potentials import NFW, make_potential
from haloassay.planning.scenario import as_scenario

pytest.importorskip("agama", reason="agama is not installed: its tests are left out")
pytestmark = pytest.mark.agama

R = np.array([2.0, 8.0, 50.0])
UNITS = {"length": 1, "velocity": 1, "mass": 1}


@pytest.fixture(scope="module")
def agama():
    return library()


@pytest.fixture(scope="module")
def halo(agama):
    return agama.Potential(type="NFW", mass=6e10, scaleRadius=15.0)


@pytest.fixture(scope="module")
def disc(agama):
    return agama.Potential(type="MiyamotoNagai", mass=6e10, scaleRadius=3.0, scaleHeight=0.3)


def scenario(potential, **mock):
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


def test_an_object_a_sum_and_a_list_are_potentials(agama, halo, disc):
    assert isinstance(make_potential(halo).components[0], NFW)
    mass = halo.enclosedMass(R) + disc.enclosedMass(R)
    for given in (agama.Potential(halo, disc), [halo, disc], (disc, halo)):
        made = make_potential(given)
        np.testing.assert_allclose(made.enclosed_mass(R), mass, rtol=1e-3)  # agama's own integral
        np.testing.assert_array_equal(
            made.enclosed_mass(R), from_agama(agama.Potential(halo, disc)).enclosed_mass(R)
        )


def test_a_run_of_an_object_is_that_of_its_settings(tmp_path, agama, halo, disc):
    """The workers, and who reads the results, need no agama."""
    both = agama.Potential(halo, disc)
    told = as_scenario(scenario(both))
    assert [part["kind"] for part in told.mock["potential"]] == ["nfw", "mass-table"]
    results = haloassay.run(scenario(both), tmp_path / "object", workers=1)
    plain = haloassay.run(told, tmp_path / "plain", workers=0)
    assert results.counts() == {"ok": 2}
    assert results.table().equals(plain.table())
    truth = haloassay.mock(scenario(both, kind="equilibrium")).truth
    virial = from_agama(both).virial()
    assert truth.m200 == pytest.approx(virial.m200, rel=1e-12)
    assert float(truth.to_dict(R)["enclosed_mass"][1]) == pytest.approx(
        float(halo.enclosedMass(8.0) + disc.enclosedMass(8.0)), rel=1e-3
    )


FOLLOWED = {
    "shape": {"shape": {"axis_ratios": [1.0, 0.8]}},
    "orbits": {"kind": "agama", "distribution": {"kind": "schwarzschild"}},
    "orbits of a population": {
        "kind": "agama",
        "populations": [{"name": "mr", "distribution": {"kind": "schwarzschild"}}],
    },
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_disc_is_not_followed_as_the_sphere_of_its_mass(agama, halo, disc, name):
    settings = FOLLOWED[name]
    with pytest.raises(InputError, match="hold the field of agama potential 'MiyamotoNagai'"):
        as_scenario(scenario(agama.Potential(halo, disc), **settings))
    with pytest.raises(InputError, match="hold the field of agama potential 'MiyamotoNagai'"):
        as_scenario(scenario(make_potential([halo, disc]), **settings))
    assert as_scenario(scenario(halo, **settings))
    assert as_scenario(scenario(disc, kind="agama"))  # whose distributions move in the monopole


def test_what_has_no_field_here_says_so_wherever_one_is_asked_for(disc):
    made = make_potential(disc)
    with pytest.raises(InputError, match="'MiyamotoNagai': only its spherical average is known"):
        make_field(made)
    assert make_field(made, monopole=True).spherical
    with pytest.raises(InputError, match=r"'MiyamotoNagai' is known .* monopole=True converts"):
        to_agama(made)
    sphere = to_agama(made, monopole=True)
    np.testing.assert_allclose(sphere.enclosedMass(R), made.enclosed_mass(R), rtol=1e-3)


def refusal(potential):
    with pytest.raises(InputError) as caught:
        as_scenario(scenario(potential))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_converted_is_one_line(agama, halo):
    moving = agama.Potential(potential=halo, scale=[[0, 1, 1], [1, 2, 1]])
    assert "mock.potential: agama's Scaled NFW changes with time" in refusal(moving)
    density = agama.Density(type="NFW", mass=1e11, scaleRadius=10.0)
    assert "a list of them (got Density)" in refusal(density)
    assert "a list of them (got dict)" in refusal([halo, {"kind": "nfw", "m200": 1e12, "c": 9.0}])


def test_units_are_those_of_the_object(agama):
    with pytest.warns(RuntimeWarning, match="setUnits"):
        agama.setUnits()
    try:
        bare = agama.Potential(type="NFW", mass=1.0, scaleRadius=1.0)
        assert "mock.potential: agama has no units, so neither has the potential" in refusal(bare)
        with pytest.warns(RuntimeWarning, match="setUnits"):
            agama.setUnits(length=1, velocity=1, mass=1e10)
        other = agama.Potential(type="NFW", mass=6.0, scaleRadius=15.0)
        assert "mock.potential: agama works in other units here" in refusal(other)
    finally:
        with pytest.warns(RuntimeWarning, match="setUnits"):
            agama.setUnits(**UNITS)
