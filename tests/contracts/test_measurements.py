"""Tables of measurements as they are read: errors, radii, rows that are alike, lines that say nothing."""

import pytest

from haloassay.contracts.measurements import Measurement
from haloassay.io.measurements import read_measurements


def read(tmp_path, text):
    file = tmp_path / "measured.csv"
    file.write_text(text)
    return read_measurements(file)


def test_the_error_of_an_interval_is_half_of_it(tmp_path):
    head = "quantity,r,value,error,lo68,hi68,unit\n"
    plain, stated = read(
        tmp_path,
        head + "sigma_r,10,100,,90,130,km/s\n" + "sigma_r,20,1e5,7e3,9e4,1.3e5,m / s\n",
    )
    assert (plain.error, plain.interval) == (20.0, (90.0, 130.0))
    # an error that is stated stands, and has the unit of its value
    assert (stated.error, *stated.interval) == pytest.approx((7.0, 90.0, 130.0))


@pytest.mark.parametrize(
    ("r", "r_lo", "r_hi", "middle"),
    [(12.0, 4.0, 25.0, 12.0), (None, 4.0, 25.0, 10.0), (None, 0.0, 10.0, 10.0**0.5)],
)
def test_the_radius_of_a_bin_is_the_stated_one_or_its_middle_in_the_logarithm(
    r, r_lo, r_hi, middle
):
    """A bin from the centre on has no such middle: a tenth of its outer edge stands for the inner one."""
    stated = {} if r is None else {"r": r}
    measured = Measurement("sigma_r", 100.0, 5.0, r_lo=r_lo, r_hi=r_hi, **stated)
    assert measured.middle == pytest.approx(middle)


def test_bins_about_one_radius_are_not_the_same_row(tmp_path):
    head = "quantity,r_lo,r_hi,value,error\n"
    found = read(tmp_path, head + "sigma_r,4,25,100,5\n" + "sigma_r,5,20,105,5\n")
    assert [each.value for each in found] == [100.0, 105.0]


def test_comments_and_empty_lines_say_nothing_and_count_as_lines(tmp_path):
    found = read(
        tmp_path,
        '# of a paper\n\nquantity,r,value,error\n  # the first, "quoted\nsigma_r,10,100,5\n',
    )
    assert [(each.value, each.line) for each in found] == [(100.0, 5)]
