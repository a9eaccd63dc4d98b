"""The short form of the fuzzer of catalogues: nothing but a catalogue or one line comes of a damaged file."""

from catalogues import fuzz
from seeds import shifted


def test_a_damaged_catalogue_is_read_or_refused_in_one_line():
    counts, failures = fuzz(80, shifted(7))
    assert failures == []
    assert counts["read"] > 5  # else nothing but heads is tried
    assert counts["refused"] > 5
