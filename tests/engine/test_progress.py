"""What a run says on the way: shown by the level of the logger `haloassay`, and records of it."""

import io
import logging
from types import SimpleNamespace

import pytest

from haloassay.engine.progress import LOGGER, Bar, Lines, Quiet, make_progress


@pytest.fixture
def level():
    """Set the level of the logger, and put it back."""
    before = LOGGER.level
    yield LOGGER.setLevel
    LOGGER.setLevel(before)


def result():
    method = SimpleNamespace(label="jeans-3d")
    outcome = SimpleNamespace(method=method, status="ok", seconds=0.25)
    return SimpleNamespace(cell=SimpleNamespace(label="base"), realization=3, outcomes=(outcome,))


def told(kind):
    file = io.StringIO()
    progress = kind(file)
    progress.begin(2, 0)
    progress.say("on the way")
    progress.advance(result())
    progress.warn("mind this")
    progress.end()
    return file.getvalue()


@pytest.mark.parametrize("kind", [Lines, Bar])
def test_lines_are_shown_by_level(kind, level):
    level(logging.INFO)
    text = told(kind)
    assert "on the way\n" in text
    assert "mind this\n" in text
    assert "realisation 3" not in text
    level(logging.DEBUG)
    assert "cell base, realisation 3: jeans-3d ok 0.25 s\n" in told(kind)


def test_quiet_says_only_what_one_should_know(level):
    level(logging.WARNING)
    assert isinstance(make_progress(io.StringIO()), Quiet)
    assert told(make_progress) == "mind this\n"


def test_lines_are_records_of_the_logger(caplog):
    with caplog.at_level(logging.DEBUG, "haloassay"):
        told(Lines)
    found = {record.message: record.levelname for record in caplog.records}
    assert found["on the way"] == "INFO"
    assert found["mind this"] == "WARNING"
    assert found["cell base, realisation 3: jeans-3d ok 0.25 s"] == "DEBUG"


def test_a_handler_of_ones_own_takes_the_lines(level):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    LOGGER.addHandler(handler)
    try:
        level(logging.INFO)
        assert told(Lines) == ""
    finally:
        LOGGER.removeHandler(handler)
    assert "on the way\nmind this\n" in stream.getvalue().replace("2 tasks\n", "")


def test_lines_of_others_move_no_cursor(caplog):
    file = io.StringIO()
    with caplog.at_level(logging.INFO, "haloassay"):
        Lines(file).say("\x1b[2J%s")
    assert file.getvalue() == "\\x1b[2J%s\n"
    assert caplog.records[0].message == "\\x1b[2J%s"
