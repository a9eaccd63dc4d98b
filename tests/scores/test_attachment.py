"""Budgets attached to measurements: what is removed, what is added, and what is refused."""

import numpy as np
import pytest
from seeds import seeded

from haloassay.analysis.attachment import attach
from haloassay.analysis.budget import Budget
from haloassay.analysis.contributions import Amount, Together
from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.contracts.quantities import QUANTITIES
from haloassay.reports import attachment as words

HEAD = "quantity,r,value,lo68,hi68,unit\n"


def budget(r=20.0, bias=0.25, systematic=0.1, mcse=0.02, quantity="enclosed_mass", **edges):
    """Budget whose bias on the base and mean shift are half of the bias each."""
    half = Amount(bias / 2.0, mcse / np.sqrt(2.0))
    return Budget(
        *("jeans-3d", QUANTITIES[quantity], 0, r),
        *(edges.get("r_lo", np.nan), edges.get("r_hi", np.nan), 100, 100, 1000.0),
        *(Amount(0.1, 0.01), Amount(0.1, 0.01), half, (), Amount(9.9, 0.0)),
        Together(Amount(systematic, 0.01), half, 100),
    )


def apply(profile, tmp_path, text):
    file = tmp_path / "measured.csv"
    file.write_text(text)
    return attach(profile, file)


def one(profile, tmp_path, row, head=HEAD):
    (found,) = apply(profile, tmp_path, head + row + "\n")
    return found


class TestPositiveScales:
    def test_errors_add_as_logarithms_and_the_bias_goes(self, tmp_path):
        found = one([budget()], tmp_path, "enclosed_mass,20,2e11,1.8e11,2.4e11,Msun")
        s = 0.1 / 1.25  # of the estimate, not of the truth
        assert found.total.value == 2e11
        assert found.total.lo == pytest.approx(2e11 * np.exp(-np.hypot(np.log(2.0 / 1.8), s)))
        assert found.total.hi == pytest.approx(2e11 * np.exp(np.hypot(np.log(2.4 / 2.0), s)))
        assert found.corrected.value == pytest.approx(2e11 / 1.25)
        more = np.hypot(s, 0.02 / 1.25)
        assert found.corrected.lo == pytest.approx(
            1.6e11 * np.exp(-np.hypot(np.log(2.0 / 1.8), more))
        )
        assert found.corrected.hi == pytest.approx(
            1.6e11 * np.exp(np.hypot(np.log(2.4 / 2.0), more))
        )

    @pytest.mark.slow
    def test_corrected_intervals_hold_the_truth_as_often_as_they_say(self, tmp_path):
        rng, n = seeded(61), 400
        truth, random = 1e12, 0.03
        bias, s, mcse = 0.3, 0.08, 0.04
        inside = []
        known = bias + mcse * rng.standard_normal(n)
        values = truth * (1.0 + bias + s * rng.standard_normal(n) + random * rng.standard_normal(n))
        relative = random / (1.0 + bias)
        for value, b in zip(values, known, strict=True):
            row = f"m200,,{value},{value * (1 - relative)},{value * (1 + relative)},"
            made = budget(np.nan, b, s, mcse, "m200")
            interval = one([made], tmp_path, row).corrected
            inside.append(interval.lo <= truth <= interval.hi)
        # of 400, a binomial error of 0.023; to second order intervals are off by 0.01
        assert np.mean(inside) == pytest.approx(0.68, abs=0.08)


class TestOtherScales:
    def test_errors_and_bias_are_as_they_are(self, tmp_path):
        made = budget(quantity="beta", bias=0.06, systematic=0.04, mcse=0.03)
        found = one([made], tmp_path, "beta,20,0.5,0.47,0.54,")
        assert (found.total.lo, found.total.hi) == pytest.approx(
            (0.5 - 0.05, 0.5 + np.hypot(0.04, 0.04))
        )
        more = np.hypot(0.04, 0.03)
        assert found.corrected.value == pytest.approx(0.44)
        assert found.corrected.lo == pytest.approx(0.44 - np.hypot(0.03, more))
        assert found.corrected.hi == pytest.approx(0.44 + np.hypot(0.04, more))


class TestPlaces:
    PROFILE = (
        budget(10.0, 0.0, 0.1, r_lo=8.0, r_hi=15.0),
        budget(40.0, 0.4, 0.3, r_lo=15.0, r_hi=60.0),
    )

    @pytest.mark.parametrize(
        ("r", "bias", "systematic"),
        [(10.0, 0.0, 0.1), (20.0, 0.2, 0.2), (40.0, 0.4, 0.3), (8.5, 0.0, 0.1), (55.0, 0.4, 0.3)],
    )
    def test_between_bins_it_is_linear_in_the_logarithm(self, tmp_path, r, bias, systematic):
        found = one(self.PROFILE, tmp_path, f"enclosed_mass,{r},2e11,1.8e11,2.4e11,Msun")
        assert found.offset.value == pytest.approx(bias)
        assert found.systematic.value == pytest.approx(systematic)

    @pytest.mark.parametrize("r", ["7.9", "61", ""])
    def test_outside_it_is_refused(self, tmp_path, r):
        with pytest.raises(InputError, match=r"line 2: .*(outside of the budget|no radius)"):
            one(self.PROFILE, tmp_path, f"enclosed_mass,{r},2e11,1.8e11,2.4e11,Msun")

    def test_a_radius_of_what_has_none_is_refused(self, tmp_path):
        with pytest.raises(InputError, match="m200 has no radius in the budget"):
            one([budget(np.nan, quantity="m200")], tmp_path, "m200,20,1e12,0.9e12,1.1e12,")


class TestFiles:
    def test_other_units_are_converted(self, tmp_path):
        found = one([budget()], tmp_path, "enclosed_mass,20,0.2,0.18,0.24,1e12 Msun")
        assert found.measured.value == pytest.approx(2e11)
        found = one([budget(quantity="sigma_r")], tmp_path, "sigma_r,20,1e5,9e4,1.2e5,m / s")
        assert found.measured.hi68 == pytest.approx(120.0)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (HEAD + "enclosed_mass,20,2e11,1.8e11,2.4e11,km/s\n", "unit 'km/s' does not become"),
            (HEAD + "enclosed_mass,20,2e11,1.8e11,2.4e11,parrots\n", "unit 'parrots'"),
            (HEAD + "enclosed_mass,20,two,1.8e11,2.4e11,\n", "value: expected a number"),
            (HEAD + "enclosed_mass,20,inf,1.8e11,2.4e11,\n", "value must be finite"),
            (HEAD + "enclosed_mass,-20,2e11,1.8e11,2.4e11,\n", "r must be > 0"),
            (HEAD + "enclosed_mass,20,2e11,-1e10,2.4e11,\n", "is a positive scale"),
            (HEAD + "enclosed_mass,20,2e11,2.1e11,2.4e11,\n", "outside of its interval"),
            (HEAD + "enclosed_mass,20,2e11,,2.4e11,\n", "one end of its interval only"),
            (HEAD + "enclosed_mass,20,2e11,1e11,3e11,\n" * 2, "stands twice"),
            (HEAD + "beta,20,0.5,0.4,0.6,\n", "no row of enclosed_mass \\(it has beta\\)"),
            (HEAD, "has no rows"),
            ("", "it is empty"),
            ("quantity,value\nenclosed_mass,2e11\n", "has no column error \\(or lo68"),
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, tmp_path, text, said):
        with pytest.raises(InputError, match=said):
            apply([budget()], tmp_path, text)

    ESTIMATORS = (
        "estimator,quantity,r,value,lo68,hi68\n"
        "tracer-mass,enclosed_mass,20,3e11,2.8e11,3.4e11\n"
        "{},enclosed_mass,20,2e11,1.8e11,2.4e11\n"
    )

    def test_rows_are_those_of_the_estimator_of_the_budget(self, tmp_path):
        (found,) = apply([budget()], tmp_path, self.ESTIMATORS.format("jeans-3d"))
        assert found.measured.value == 2e11
        with pytest.raises(InputError, match="is there of tracer-mass, other, and not of jeans-3d"):
            apply([budget()], tmp_path, self.ESTIMATORS.format("other"))
        with pytest.raises(InputError, match="say which estimator measured them, others do not"):
            apply([budget()], tmp_path, self.ESTIMATORS.format(""))

    def test_a_measurement_by_another_estimator_is_said_to_be_one(self, tmp_path):
        text = "".join(self.ESTIMATORS.splitlines(keepends=True)[:2])
        with pytest.warns(HaloassayWarning, match="by tracer-mass, .* that of jeans-3d"):
            (found,) = apply([budget()], tmp_path, text)
        assert found.measured.value == 3e11

    def test_a_measurement_without_an_estimator_is_taken_without_a_word(self, tmp_path, recwarn):
        one([budget()], tmp_path, "enclosed_mass,20,2e11,1.8e11,2.4e11,Msun")
        assert not recwarn.list

    def test_an_error_alone_is_an_interval_to_both_sides(self, tmp_path):
        profile = [budget(quantity="beta", bias=0.0, systematic=0.0, mcse=0.0)]
        found = one(profile, tmp_path, "beta,20,0.5,0.03", "quantity,r,value,error\n")
        assert (found.total.lo, found.total.hi) == pytest.approx((0.47, 0.53))

    @pytest.mark.parametrize(
        ("bias", "row", "said"),
        [
            (-1.0, "20,2e11,1e10", "line 2: a bias of -100% leaves nothing to correct"),
            (0.25, "20,2e11,2e11", "line 2: the error 2e.11 is not below the value 2e.11"),
        ],
    )
    def test_what_has_no_logarithm_is_refused(self, tmp_path, bias, row, said):
        with pytest.raises(InputError, match=said):
            one(
                [budget(bias=bias)],
                tmp_path,
                f"enclosed_mass,{row}",
                "quantity,r,value,error\n",
            )

    def test_a_missing_file_is_refused(self, tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            attach([budget()], tmp_path / "nowhere.csv")

    def test_what_is_not_known_is_said(self, tmp_path):
        found = one(
            [budget()],
            tmp_path,
            "enclosed_mass,20,nan,nan,nan,,too few stars",
            HEAD.replace("\n", ",note\n"),
        )
        assert found.why == "too few stars"
        bare = one([budget()], tmp_path, "enclosed_mass,20,2e11,,,")
        assert bare.why == "states no interval"
        assert bare.corrected.value == pytest.approx(1.6e11)
        unknown = one([budget(systematic=np.nan)], tmp_path, "enclosed_mass,20,2e11,1.8e11,2.4e11,")
        assert unknown.systematic.value == 9.9  # in quadrature, where nothing was run together


def test_tables_have_the_correction_where_it_is_wanted(tmp_path):
    profile = [budget()]
    attached = apply(profile, tmp_path, HEAD + "enclosed_mass,20,2e11,1.8e11,2.4e11,Msun\n")
    plain, corrected = (words.text(profile, attached, correct) for correct in (False, True))
    assert "1.6e+11" not in plain
    assert "2e+11 (1.8e+11 to 2.4e+11)" in plain
    assert "10.0 ± 1.0" in plain  # per cent
    assert "1.6e+11" in corrected
    assert "25 ± 2" in corrected
    assert "corrected" not in words.frame(profile, attached, False)
    frame = words.frame(profile, attached, True)
    assert (frame["bias"].iloc[0], frame["systematic"].iloc[0]) == (0.25, 0.1)
    assert "\\toprule" in words.latex(profile, attached, True)
    assert words.markdown(profile, attached, True).count("\n| M(&lt;") == 1
