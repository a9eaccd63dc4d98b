"""The short form of ``python tests/fuzz/scenarios.py``."""

import signal

import pytest
from seeds import shifted

import scenarios

pytestmark = pytest.mark.long


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="the limit of time is POSIX's")
def test_a_mutated_scenario_is_usable_or_refused_in_one_line(tmp_path):
    first = shifted(0)
    attempts = [
        scenarios.attempt(seed, tmp_path, scenarios._solve, ["quickstart"])
        for seed in range(first, first + 40)
    ]
    assert not [fault for _, fault in attempts if fault]
    assert {outcome for outcome, _ in attempts} == {"usable", "refused"}
