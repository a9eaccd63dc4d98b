"""What is known of the stars of some rows, gathered block by block: a catalogue may be larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Rows and columns of the numbers of a packed matrix, and where in it those of a symmetric one are.
_LOWER: Final = np.tril_indices(3)
_PLACES: Final = np.array([[0, 1, 3], [1, 2, 4], [3, 4, 5]])

#: Something (n, ...) that is known of each star of a catalogue.
Known = Callable[["Catalogue"], FloatArray]


def gathered(
    catalogue: Catalogue, rows: Sequence[IntArray], *known: Known, stars_last: bool = False
) -> list[tuple[FloatArray, ...]]:
    """Arrays (n, ...) of what is ``known`` of the stars of each of some sets of rows.

    Of a catalogue of many stars nothing is made as a whole: neither Cartesian coordinates nor covariances of more
    than a block of stars exist at a time.

    Parameters
    ----------
    catalogue
        The stars.
    rows
        Ascending row numbers of each set.
    known
        What is wanted of a star, such as :func:`spherical_velocity`.
    stars_last
        Whether arrays are (..., n) instead.
    """
    found: list[list[FloatArray]] = [[] for _ in rows]
    for here, part in catalogue.blocks() if known else ():
        ends = [np.searchsorted(each, (here.start, here.stop)) for each in rows]
        for k, of in enumerate(known):
            values = of(part)
            for each, arrays, (a, b) in zip(rows, found, ends, strict=True):
                chosen = values[each[a:b] - here.start]
                if len(arrays) == k:
                    shape = values.shape[1:]
                    n = len(each)
                    arrays.append(np.empty((*shape, n) if stars_last else (n, *shape)))
                if stars_last:
                    arrays[k][..., a:b] = np.moveaxis(chosen, 0, -1)
                else:
                    arrays[k][a:b] = chosen
    return [tuple(arrays) for arrays in found]


def place(part: Catalogue) -> FloatArray:
    """(n, 3) Galactocentric positions [kpc]."""
    return part.position


def spherical_velocity(part: Catalogue) -> FloatArray:
    """(n, 3) velocities (v_r, v_theta, v_phi) [km/s]."""
    return part.spherical_velocity


def spherical_covariance(part: Catalogue) -> FloatArray:
    """(n, 3, 3) covariance of their errors [(km/s)^2]."""
    return part.spherical_covariance


def packed_covariance(part: Catalogue) -> FloatArray:
    """(n, 6) :func:`packed` of the same."""
    return packed(part.spherical_covariance)


def packed(S: FloatArray) -> FloatArray:
    """Lower triangles (n, 6), row after row, of symmetric or lower triangular matrices (n, 3, 3)."""
    return np.ascontiguousarray(S[:, *_LOWER])


def unpacked(triangles: FloatArray) -> FloatArray:
    """Symmetric matrices (n, 3, 3) of their :func:`packed` triangles."""
    return triangles[:, _PLACES]


def error_variances(part: Catalogue) -> FloatArray:
    """(n, 3) variances of their errors [(km/s)^2]."""
    return np.einsum("njj->nj", part.spherical_covariance)
