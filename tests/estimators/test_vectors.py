from __future__ import annotations

import numpy as np
import pytest
from seeds import seeded

from haloassay.estimators.fit.vectors import exp_of, log_of


@pytest.mark.parametrize("n", [1, 7, 256])
def test_exponentials_and_logarithms(n):
    x = np.append(seeded(1).uniform(-690.0, 690.0, n - 1), 1e-9)
    found, spare = np.empty(n), np.empty(n)
    exp_of(x, found, spare)
    np.testing.assert_allclose(found, np.exp(x), rtol=1e-13)
    y = np.append(np.exp(x[:-1]), 1.0 - 1e-9)
    log_of(y, found, spare)
    np.testing.assert_allclose(found, np.log(y), rtol=1e-13)


def test_what_cannot_be_held_is_kept_within():
    x, found, spare = np.array([-1e4, 1e4, -np.inf, np.inf]), np.empty(4), np.empty(4)
    exp_of(x, found, spare)
    np.testing.assert_allclose(found, np.exp([-700.0, 700.0, -700.0, 700.0]), rtol=1e-12)
    log_of(np.array([0.0, -1.0, 1e-310, 1.0]), found, spare)
    np.testing.assert_allclose(found, [*[np.log(1e-300)] * 3, 0.0], rtol=1e-12)
