"""Keys and numbers that were pinned: a move of code changes none, a change of numbers raises a version.

``python tests/golden/renew.py`` pins them anew, in the commit that says why in the CHANGELOG.
"""

from __future__ import annotations

import numpy as np
import pytest
from renew import TOLERANCE, pinned
from samples import ELSEWHERE, SPECS, keys, numbers, versions

from haloassay.base import kinds

KINDS = [(family, kind) for family, of in SPECS.items() for kind in of]


@pytest.mark.parametrize("family", kinds.FAMILIES)
def test_every_kind_is_pinned_or_said_to_be_elsewhere(family):
    assert {*SPECS[family], *ELSEWHERE.get(family, {})} == set(kinds.FAMILIES[family].builtin)


def test_keys_are_those_that_results_on_disk_have():
    assert keys() == pinned("keys"), "finished runs and caches would be thrown away"


@pytest.mark.parametrize(("family", "kind"), KINDS, ids=lambda x: x)
def test_numbers_are_those_of_the_version(family, kind):
    pin = pinned("numbers")[family][kind]
    assert versions(family, kind) == pin["versions"], "a version was raised: renew the pins"
    found = numbers(family, kind)
    assert len(found) == len(pin["numbers"])
    np.testing.assert_allclose(
        found,
        pin["numbers"],
        rtol=TOLERANCE,
        atol=1e-12,
        err_msg=f"the numbers of {kind!r} have changed: raise its version, and renew the pins",
    )
