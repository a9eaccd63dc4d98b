"""What is asked of a challenge: said in words, with the stars that its truth is of."""

from __future__ import annotations

import math
import re

import pytest

from haloassay.base.errors import InputError
from haloassay.contracts.quantities import QUANTITIES, Quantity
from haloassay.contracts.questions import Question
from haloassay.planning.questions import parse_questions

LET_PASS = "survey and cleaning let pass"
ALL = "whichever a survey sees"


def askable():
    """All that can be asked, with a radius and without."""
    for name in QUANTITIES:
        for text in (name, f"{name}@20"):
            try:
                (question,) = parse_questions([text])
            except InputError:
                continue
            yield question


def test_all_that_can_be_asked_is_defined():
    asked = list(askable())
    assert len({question.quantity.name for question in asked}) > 60
    for question in asked:
        assert len(question.quantity.definition) > 10, question
        assert question.to_dict()["definition"].startswith(question.quantity.definition)
        assert not re.search(r"[|*]|<[^<]*>", question.definition), question  # as Markdown reads it


@pytest.mark.parametrize(
    ("name", "words"),
    [
        *((name, LET_PASS) for name in ("beta", "sigma_r", "mean_v_phi", "kurtosis_r")),
        *((name, ALL) for name in ("alpha", "r_break")),
        ("mu_dipole", "never positive"),
        ("mu_compr", "negative where stars fall in"),
        ("bulk_v_theta", "positive towards the north"),
        ("bulk_v_phi", "disc's rotation is negative"),
        ("apex_l", "from which the stars come"),
    ],
)
def test_it_is_said_of_which_stars_and_with_which_sign(name, words):
    assert words in Question(QUANTITIES[name], 20.0).definition


def test_without_a_radius_a_field_is_of_the_radii_of_the_catalogue():
    at, averaged = (Question(QUANTITIES["v_travel"], r).definition for r in (20.0, math.nan))
    assert "at the radius r" in at
    assert "averaged over the radii" in averaged


def test_a_quantity_of_others_is_defined_by_its_own_words_or_by_nobody():
    mine = Quantity("x", "", "absolute", "x", truth="stated", definition="what I say")
    assert Question(mine, 20.0).definition == "what I say"
    silent = Quantity("y", "", "absolute", "y", truth="stated")
    assert "another package" in Question(silent, 20.0).definition


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("beta", 1.0, ""),
        ("beta", 1.0001, "is at most 1 (got 1.0001)"),
        ("beta.mr", 2.0, "is at most 1"),
        ("v_travel", 0.0, ""),
        ("v_travel", -1.0, "is at least 0 (got -1)"),
        ("asymmetry", -0.1, "is at least 0"),
        ("sigma_r", 0.0, "is a positive scale (got 0)"),
        ("mean_v_r", -1e9, ""),
    ],
)
def test_limits_of_a_quantity(name, value, words):
    objection = QUANTITIES[name].objection(value)
    assert objection.startswith(words)
    assert bool(objection) == bool(words)
