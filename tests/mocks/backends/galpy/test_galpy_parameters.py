"""Parameters that galpy's potentials were made of, worked out from what they give."""

from __future__ import annotations

import galpy.potential as gp
import numpy as np
import pytest

from haloassay.mocks.backends.galpy.conversion import from_galpy
from haloassay.mocks.backends.galpy.parameters import miyamoto_nagai, plummer, triaxial_nfw
from haloassay.mocks.gravity.shapes import rotation_matrix
from haloassay.mocks.gravity.triaxial import TriaxialNFW

UNITS = {"ro": 8.0, "vo": 220.0}


@pytest.mark.parametrize(
    ("amp", "a", "b"), [(3.0, 0.4, 0.03), (1e-3, 2.0, 2.0), (7.0, 5.0, 1e-3), (0.2, 1e-3, 8.0)]
)
def test_discs_are_known_to_rounding(amp: float, a: float, b: float) -> None:
    found = miyamoto_nagai(gp.MiyamotoNagaiPotential(amp=amp, a=a, b=b))
    assert found == pytest.approx((amp, a, b), rel=1e-11)


def test_a_razor_thin_disc_has_no_height() -> None:
    amp, a, b = miyamoto_nagai(gp.MiyamotoNagaiPotential(amp=2.0, a=0.5, b=0.0))
    assert (amp, a) == pytest.approx((2.0, 0.5), rel=1e-12)
    assert b == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("amp", "b"), [(2.0, 0.3), (1e-4, 12.0)])
def test_spheres_are_known_to_rounding(amp: float, b: float) -> None:
    assert plummer(gp.PlummerPotential(amp=amp, b=b)) == pytest.approx((amp, b), rel=1e-12)


@pytest.mark.parametrize("pa", [0.0, 0.4, 2.0])
@pytest.mark.parametrize("zvec", [None, (0.3, -0.5, 0.8), (1.0, 0.2, 0.0)])
@pytest.mark.parametrize(("b", "c"), [(0.8, 0.6), (0.6, 0.8), (1.0, 0.7), (0.7, 0.7)])
def test_a_triaxial_halo_has_its_own_density(zvec, pa: float, b: float, c: float) -> None:
    """Of its axes in any order: galpy's density at places of no symmetry."""
    pot = gp.TriaxialNFWPotential(
        amp=2.0, a=1.5, b=b, c=c, pa=pa, zvec=zvec and list(zvec), glorder=10
    )
    rho0, ratios, axes = triaxial_nfw(pot)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    assert sorted(ratios) == pytest.approx(sorted((1.0, b, c)), rel=1e-12)
    for x in np.random.default_rng(2).normal(size=(9, 3)) * 3.0:
        m = np.linalg.norm((x @ axes) / ratios) / 1.5
        got = float(pot.dens(np.hypot(x[0], x[1]), x[2], phi=np.arctan2(x[1], x[0])))
        assert rho0 / (m * (1.0 + m) ** 2) == pytest.approx(got, rel=1e-12)


def test_a_halo_that_stands_upright_keeps_the_order_of_its_axes() -> None:
    pot = gp.TriaxialNFWPotential(amp=2.0, a=2.0, b=0.7, c=0.9, glorder=10, **UNITS)
    (halo,) = from_galpy(pot).components
    assert isinstance(halo, TriaxialNFW)
    assert halo.axis_ratios == pytest.approx((0.7, 0.9), rel=1e-12)
    np.testing.assert_array_equal(rotation_matrix(halo.tilt), np.eye(3))
