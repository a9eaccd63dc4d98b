"""Schwarzschild models of agama's as mocks: what their stars are like, and what cannot be made."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from agama_halos import HALO, HERNQUIST_TRACERS, RANGE, TRIAXIAL, needs_solver, schwarzschild
from seeds import resized, seeded

from haloassay.base.errors import EquilibriumError, InputError
from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks import make_mock
from haloassay.mocks.equilibria import jeans
from haloassay.mocks.equilibria.anisotropy import make_anisotropy
from haloassay.mocks.equilibria.tracers import make_density
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.mocks.gravity.shapes import Shape, rotation_matrix
from haloassay.mocks.stars import Stars, radial_table

pytest.importorskip("agama", reason="agama is not installed: its tests are left out")
pytestmark = [pytest.mark.agama, needs_solver]


@pytest.mark.parametrize("beta", [0.4, {"kind": "osipkov-merritt-profile", "r_a": 25.0}], ids=str)
def test_a_round_model_has_the_density_and_jeans_moments(beta) -> None:
    mock = schwarzschild(HALO, beta, orbits=2000, periods=30, shells=16)
    facts = mock.prepare()
    assert facts["drift"]["halo"]["complaint"] is None
    stars = mock.sample(20_000, seeded(1))
    assert len(stars) == 20_000
    assert 20_000 <= facts["population"] < 20_000 + 10 * np.sqrt(20_000)
    density, anisotropy = make_density(HERNQUIST_TRACERS), make_anisotropy(beta)
    solution = jeans.solve(make_potential(HALO), density, anisotropy, *RANGE)
    v = spherical_velocity(stars.position, stars.velocity)
    whole = radial_table(density, *RANGE).log_mass
    for lo, hi in pairwise(np.geomspace(*RANGE, 7)):
        inside = (stars.r >= lo) & (stars.r < hi)
        u, n = v[inside], np.count_nonzero(inside)
        expected = len(stars) * np.exp(radial_table(density, lo, hi).log_mass - whole)
        assert abs(n - expected) < 4.0 * np.sqrt(n)
        radial2 = solution.sigma_r(stars.r[inside]) ** 2
        tangential2 = radial2 * (1.0 - anisotropy.beta(stars.r[inside]))
        for k, wanted in enumerate((radial2, tangential2, tangential2)):
            # stars of one orbit, which have its angular momentum, are not independent
            error = np.std(u[:, k] ** 2) * np.sqrt(facts["phases"] / n)
            assert abs(np.mean(u[:, k] ** 2) - np.mean(wanted)) < 4.0 * error
            assert abs(np.mean(u[:, k])) < 4.0 * np.std(u[:, k]) / np.sqrt(n)
        # and the truth is what was measured in it
        truth = mock.truth.value("sigma_r", r_lo=lo, r_hi=hi, stars=stars)
        error = np.std(u[:, 0] ** 2) * np.sqrt(facts["phases"] / n)
        assert abs(np.var(u[:, 0]) - truth**2) < 4.0 * error
    exact = make_potential(HALO).enclosed_mass(20.0)
    assert mock.truth.value("enclosed_mass", r=20.0) == pytest.approx(exact, rel=1e-12)


def test_a_tilted_triaxial_model_has_the_axis_ratios() -> None:
    """Mean squares along the tracers' axes, in ellipsoids; planted faults: b and c swapped, the tilt undone."""
    ratios, tilt = (0.8, 0.6), TRIAXIAL["tilt"]
    mock = schwarzschild(
        TRIAXIAL,
        0.2,
        orbits=1500,
        periods=25,
        shells=10,
        axis_ratios=list(ratios),
        tilt=tilt,
    )
    assert mock.prepare()["drift"]["halo"]["complaint"] is None
    stars = mock.sample(20_000, seeded(1))
    lengths = Shape(ratios).lengths(np.ones(1))[0]
    scaled = stars.position @ rotation_matrix(tilt) / lengths
    s = np.linalg.norm(scaled, axis=1)
    for lo, hi in ((6.0, 12.0), (12.0, 24.0), (24.0, 40.0)):
        direction = scaled[(s >= lo) & (s < hi)] / s[(s >= lo) & (s < hi), None]
        # the angle of a uniform direction: <mu^2> = 1/3, of variance 4/45
        error = np.sqrt(4.0 / 45.0 / len(direction))
        assert len(direction) > 2000
        np.testing.assert_allclose(np.mean(direction**2, axis=0), 1 / 3, atol=4.0 * error)
    assert mock.truth.local is not None
    assert np.all(np.abs(mock.truth.profile("mean_v_phi", np.array([8.0, 20.0]))) < 10.0)


def test_stars_are_kept_by_content(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path))
    small = {"orbits": 400, "periods": 10, "shells": 5, "size": resized(2000), "drift_time": 0.1}
    first, again = (schwarzschild(HALO, 0.0, **small) for _ in range(2))
    first.prepare()
    monkeypatch.setattr(type(again), "_make", None)
    np.testing.assert_array_equal(first.population.stars.feh, again.population.stars.feh)
    draw = again.sampler(seeded(1))
    drawn = Stars.concatenate([draw(500), draw(5000)])
    assert len(np.unique(drawn.position, axis=0)) == len(drawn) == again.population.size
    with pytest.raises(InputError, match=r"used up.*set mock\.distribution\.size higher"):
        draw(1)


def test_a_density_without_an_equilibrium_is_refused() -> None:
    plummer = {"kind": "plummer", "a": 40.0}
    mock = make_mock(
        {
            "kind": "agama",
            "potential": HALO,
            "density": plummer,
            "beta": 0.8,
            "r_range": RANGE,
            "distribution": {"kind": "schwarzschild", "orbits": 500, "periods": 10},
        }
    )
    with pytest.raises(EquilibriumError, match=r"no weights of these orbits.*tolerance 0\.02"):
        mock.prepare()


def test_a_field_without_the_tracers_symmetry_is_refused() -> None:
    with pytest.raises(InputError, match="not mirrored at the planes of the tracers' axes"):
        schwarzschild(TRIAXIAL, 0.0).check()
    schwarzschild(TRIAXIAL, 0.0, axis_ratios=[0.8, 0.6], tilt=TRIAXIAL["tilt"]).check()
    schwarzschild(HALO, 0.0, axis_ratios=[0.8, 0.6], tilt=[10.0, 20.0, 30.0]).check()
    with pytest.raises(InputError, match="has no counterpart in agama; kind = 'equilibrium'"):
        schwarzschild({"kind": "galpy", "name": "MWPotential2014"}, 0.0).check()
