"""The short form of ``python tests/fuzz/hostile.py``: all kinds of harm that leave their process alive."""

import os
from pathlib import Path

import hostile
import pytest

pytestmark = pytest.mark.long


@pytest.mark.skipif(not hasattr(os, "fork"), reason="harm is done as POSIX has it")
def test_no_harm_touches_a_sound_estimator(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    found, lines = hostile.faults(tmp_path, [*hostile.HARMS])
    assert not found, "\n".join(found)
    told = {line.partition(": ")[0] for line in lines}
    assert {"chdir", "patch_mean", "environment_cleared", "leaves_a_child"} <= told
