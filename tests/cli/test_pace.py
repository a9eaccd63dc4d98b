from __future__ import annotations

import re
import time

import pytest

from haloassay.face import pace


def test_a_step_that_takes_long_says_what_it_is_at(capsys, monkeypatch):
    monkeypatch.setattr(pace, "_PATIENCE", 0.02)
    with pace.told("stars.fits: reading"):
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2
    assert all(re.fullmatch(r"stars\.fits: reading: \d+ s so far", line) for line in lines)


def test_a_short_step_says_nothing_and_its_error_comes_through(capsys):
    with pytest.raises(ZeroDivisionError), pace.told("a step"):
        1 / 0  # noqa: B018
    assert capsys.readouterr().err == ""
