import numpy as np
import pytest
from seeds import seeded

from haloassay.contracts.estimate import INTERVALS, percentiles


@pytest.mark.parametrize("n", [1, 2, 3, 40, 999, 1000, 1001])
def test_percentiles_have_the_bits_of_numpy(n):
    rng = seeded(1)
    wanted = [0.0, *INTERVALS, 50.0, 100.0]
    for scale in (1e-3, 1.0, 3e11):
        draws = scale * rng.standard_normal(n)
        for each in (draws, np.round(draws), draws.astype(np.float32), draws.reshape(-1, 1)):
            np.testing.assert_array_equal(
                percentiles(each, wanted), np.percentile(np.asarray(each, float), wanted)
            )
