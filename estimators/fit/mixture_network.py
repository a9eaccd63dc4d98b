"""A Gaussian mixture whose weights, means and covariances are functions of data: a trained network's forward pass.

Mixture density networks (Bishop 1994), as sbi has them: layers with x / (1 + exp(-x)) between them, then four linear
ones for the logarithms of weights, the means, and the diagonal and upper triangle of factors P of the precision
P^T P + epsilon. Several networks are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import expit, logsumexp

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError

#: Layers of a network behind the hidden ones.
HEADS: Final = ("logits", "means", "diagonal", "upper")


@dataclass(frozen=True, eq=False)
class Mixture:
    """A Gaussian mixture in d dimensions.

    Parameters
    ----------
    log_weights
        (k,) logarithms of weights that sum to one.
    means
        (k, d).
    factors
        (k, d, d) lower triangles L of the precisions L L^T.
    """

    log_weights: FloatArray
    means: FloatArray
    factors: FloatArray

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw (n, d) points: stratified in weight, so that components have their shares."""
        share = np.cumsum(np.exp(self.log_weights))
        u = (np.arange(n) + rng.random(n)) / n * share[-1]
        which = np.minimum(np.searchsorted(share, u, side="right"), len(share) - 1)
        normal = rng.standard_normal((n, self.means.shape[1]))
        out = np.empty_like(normal)
        for k in np.unique(which):
            rows = which == k
            offset = solve_triangular(self.factors[k], normal[rows].T, lower=True, trans="T")
            out[rows] = self.means[k] + offset.T
        return np.asarray(rng.permutation(out))

    def log_density(self, points: FloatArray) -> FloatArray:
        """Logarithm (n,) of the density at points (n, d)."""
        d = self.means.shape[1]
        away = points[:, None] - self.means
        scaled = np.einsum("nki,kij->nkj", away, self.factors)
        diagonal = np.diagonal(self.factors, axis1=1, axis2=2)
        norm = np.log(diagonal).sum(axis=1) - 0.5 * d * np.log(2.0 * np.pi)
        each = self.log_weights + norm - 0.5 * (scaled**2).sum(axis=2)
        return np.asarray(logsumexp(each, axis=1))


@dataclass(frozen=True, eq=False)
class MixtureNetwork:
    """Networks that make a mixture in ``n_targets`` dimensions of ``n_data`` numbers.

    Parameters
    ----------
    members
        Of each network its arrays by name: ``hidden.0.weight``, ``hidden.0.bias`` and so on, then of :data:`HEADS`,
        the upper one only where there is more than one target.
    n_data, n_targets
        Numbers that come in and out.
    epsilon
        On the diagonal of each precision.
    """

    members: tuple[Mapping[str, NDArray[Any]], ...]
    n_data: int
    n_targets: int
    epsilon: float

    def __post_init__(self) -> None:
        for arrays in self.members:
            self._check(arrays)

    def _check(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Raise :class:`InputError` unless all layers are there and fit one another."""
        wide, found = self.n_data, 0
        while f"hidden.{found}.weight" in arrays:
            wide = _fits(arrays, f"hidden.{found}", wide)
            found += 1
        k = _fits(arrays, "logits", wide)
        d = self.n_targets
        sizes = {"means": d, "diagonal": d} | ({"upper": d * (d - 1) // 2} if d > 1 else {})
        known = 2 * (found + 1 + len(sizes))
        good = all(_fits(arrays, head, wide) == k * size for head, size in sizes.items())
        if not (good and len(arrays) == known):
            raise InputError("the layers of the network do not fit one another")

    def mixture(self, data: FloatArray) -> Mixture:
        """Mixture of numbers (n_data,)."""
        parts = [self._of_member(arrays, data) for arrays in self.members]
        log_weights = np.concatenate([part.log_weights for part in parts]) - np.log(len(parts))
        means = np.concatenate([part.means for part in parts])
        return Mixture(log_weights, means, np.concatenate([part.factors for part in parts]))

    def _of_member(self, arrays: Mapping[str, NDArray[Any]], data: FloatArray) -> Mixture:
        x = np.asarray(data, dtype=float)
        layer = 0
        while f"hidden.{layer}.weight" in arrays:
            x = _linear(arrays, f"hidden.{layer}", x)
            x = x * expit(x)
            layer += 1
        d = self.n_targets
        logits = _linear(arrays, "logits", x)
        k = len(logits)
        factors = np.zeros((k, d, d))
        diagonal = np.logaddexp(0.0, _linear(arrays, "diagonal", x)).reshape(k, d)
        factors[:, np.arange(d), np.arange(d)] = diagonal
        if d > 1:
            rows, columns = np.triu_indices(d, k=1)
            factors[:, rows, columns] = _linear(arrays, "upper", x).reshape(k, -1)
        precision = np.einsum("kji,kjl->kil", factors, factors) + self.epsilon * np.eye(d)
        means = _linear(arrays, "means", x).reshape(k, d)
        return Mixture(logits - logsumexp(logits), means, np.linalg.cholesky(precision))


def _fits(arrays: Mapping[str, NDArray[Any]], name: str, wide: int) -> int:
    """Numbers that a layer makes of ``wide`` ones.

    Raises
    ------
    InputError
        If it is not there, or takes another number.
    """
    weight, bias = arrays.get(f"{name}.weight"), arrays.get(f"{name}.bias")
    if weight is None or bias is None:
        raise InputError(f"the network has no layer {name!r}")
    fits = weight.ndim == 2 and weight.shape[1] == wide and bias.shape == weight.shape[:1]
    if not (fits and np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise InputError(f"layer {name!r} of the network does not fit the others")
    return int(weight.shape[0])


def _linear(arrays: Mapping[str, NDArray[Any]], name: str, x: FloatArray) -> FloatArray:
    weight, bias = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
    return np.asarray(weight.astype(float) @ x + bias)
