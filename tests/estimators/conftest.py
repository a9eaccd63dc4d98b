from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from halo_samples import power_law_radii

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import spherical_basis


def _catalogue(r: FloatArray, sigma: FloatArray, rng: np.random.Generator) -> Catalogue:
    """Stars at radii r (n,), isotropic on the sky, Gaussian about zero with sigma (n, 3)."""
    toward = rng.standard_normal((len(r), 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    spherical = sigma * rng.standard_normal((len(r), 3))
    velocity = np.einsum("nk,nki->ni", spherical, spherical_basis(toward))
    columns = dict(zip(("x", "y", "z"), (r[:, None] * toward).T, strict=True))
    return Catalogue.from_arrays(
        **columns, **dict(zip(("vx", "vy", "vz"), velocity.T, strict=True))
    )


@pytest.fixture(scope="session")
def gaussian_catalogue() -> Callable[..., Catalogue]:
    return _catalogue


@pytest.fixture(scope="session")
def scale_free() -> Callable[..., Catalogue]:
    """Sample whose second moments solve the Jeans equation of v_c^2 = v0^2 (r / 10)^-a exactly."""

    def make(
        n: int,
        rng: np.random.Generator,
        a: float = 0.5,
        gamma: float = 3.5,
        beta: float = 0.3,
        v0: float = 200.0,
        edges: tuple[float, float] = (5.0, 100.0),
    ) -> Catalogue:
        r = power_law_radii(n, -gamma, *edges, rng)
        sigma_r = np.sqrt(v0**2 * (r / 10.0) ** -a / (a + gamma - 2.0 * beta))
        ratio = np.array([1.0, np.sqrt(1.0 - beta), np.sqrt(1.0 - beta)])
        return _catalogue(r, sigma_r[:, None] * ratio, rng)

    return make


@pytest.fixture(scope="session")
def scale_free_mass() -> Callable[..., FloatArray]:
    def mass(r: FloatArray, a: float = 0.5, v0: float = 200.0) -> FloatArray:
        return v0**2 * (np.asarray(r) / 10.0) ** -a * np.asarray(r) / G

    return mass
