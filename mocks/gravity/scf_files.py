"""Coefficients of the basis of Hernquist & Ostriker (1992, 1992ApJ...386..375H), S_nlm and T_nlm.

Phi = -(G M / r_s) sum_nlm s^l / (1 + s)^(2 l + 1) C_n^(2 l + 3/2)(xi) sqrt(4 pi) N_lm P_lm(cos theta)
(S_nlm cos m phi + T_nlm sin m phi), s = r / r_s, xi = (s - 1) / (s + 1), m >= 0, N_lm the norm of spherical harmonics
and P_lm with the phase (-1)^m: the notation of Lowing et al. (2011, 2011MNRAS.416.2697L), which gala has too, and in
which S_000 = 1 is a Hernquist sphere of mass M.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from haloassay.base.arrays import FloatArray
from haloassay.base.constants import G
from haloassay.mocks.gravity.expansion_text import Line, numbers, read_lines, refuse
from haloassay.mocks.gravity.expansions import NODES, HarmonicTable, harmonics
from haloassay.mocks.gravity.harmonic_kernels import HIGHEST

_COLUMNS: Final = ["S", "T", "n", "l", "m"]
_MOST_RADIAL: Final = 200


def coefficients(path: Path) -> tuple[FloatArray, FloatArray]:
    """S and T (n_max + 1, l_max + 1, l_max + 1) of a table whose header names its columns S, T, n, l and m.

    Raises
    ------
    InputError
        If a column is missing, indices are no integers or out of range, or a coefficient is missing or there twice.
    """
    lines = [line for line in read_lines(path) if line.text]
    head = lines[0].text.lstrip("#").split() if lines and lines[0].text[0] == "#" else []
    if sorted(head) != sorted(_COLUMNS):
        raise refuse(path, f"expected a header '# S T n l m' (got {' '.join(head)[:40]!r})", 1)
    rows = [line for line in lines[1:] if line.text[0] != "#"]
    if not rows:
        raise refuse(path, "truncated: no coefficient after the header")
    table = np.array([numbers(path, line, len(head)) for line in rows])
    S, T, *index = (table[:, head.index(name)] for name in _COLUMNS)
    _require_indices(path, rows, index)
    n, ell, m = (each.astype(int) for each in index)
    shape = (int(n.max()) + 1, int(ell.max()) + 1, int(ell.max()) + 1)
    times = np.zeros(shape, dtype=int)
    np.add.at(times, (n, ell, m), 1)
    for at in zip(*np.nonzero(times != np.tril(np.ones(shape[1:], dtype=int))), strict=True):
        where = "n = {}, l = {}, m = {}".format(*at)
        raise refuse(path, f"{where} is {'missing' if times[at] == 0 else 'there twice'}")
    both = np.zeros((2, *shape))
    both[:, n, ell, m] = S, T
    return both[0], both[1]


def _require_indices(path: Path, rows: list[Line], index: list[FloatArray]) -> None:
    n, ell, m = index
    good = (
        (n == n.round()) & (ell == ell.round()) & (m == m.round()) & (n >= 0) & (n <= _MOST_RADIAL)
    )
    good &= (m >= 0) & (m <= ell) & (ell <= HIGHEST)
    if not good.all():
        k = int(np.argmin(good))
        raise refuse(
            path,
            f"n, l, m must be integers, 0 <= m <= l <= {HIGHEST}, 0 <= n <= {_MOST_RADIAL}"
            f" (got {n[k]:g}, {ell[k]:g}, {m[k]:g})",
            rows[k].number,
        )


def scf_table(S: FloatArray, T: FloatArray, r_s: float, mass: float) -> HarmonicTable:
    """Phi_lm of coefficients, from one end of the common grid to the other.

    Parameters
    ----------
    S, T
        (n_max + 1, l_max + 1, l_max + 1) coefficients.
    r_s
        Scale radius [kpc].
    mass
        M [Msun]: what S_000 = 1 stands for.
    """
    from scipy.special import eval_gegenbauer

    r = np.exp(NODES)
    s = r / r_s
    xi, per_ln = (s - 1.0) / (s + 1.0), 2.0 * s / (1.0 + s) ** 2
    pairs = harmonics(S.shape[1] - 1)
    phi, slope = np.zeros((2, len(r), len(pairs)))
    degree = np.arange(S.shape[0])[:, None]
    for ell in range(S.shape[1]):
        shape = np.exp(ell * np.log(s) - (2 * ell + 1) * np.log1p(s))
        order = 2 * ell + 1.5
        C = eval_gegenbauer(degree, order, xi)
        rise = np.zeros_like(C)
        rise[1:] = 2.0 * order * eval_gegenbauer(degree[:-1], order + 1.0, xi)
        radial = -(G * mass / r_s) * shape * C
        derivative = radial * (ell - (2 * ell + 1) * s / (1.0 + s))
        derivative -= (G * mass / r_s) * shape * rise * per_ln
        for k, (own, m) in enumerate(pairs):
            if own == ell:
                factor = (-1.0) ** m * (1.0 if m == 0 else np.sqrt(0.5))
                weights = factor * (S if m >= 0 else T)[:, ell, abs(m)]
                phi[:, k], slope[:, k] = weights @ radial, weights @ derivative
    return HarmonicTable(r, phi, slope)
