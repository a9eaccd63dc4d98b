"""The estimators of haloassay pass the checks that it makes of anybody's."""

from __future__ import annotations

import pytest

from haloassay.base import kinds
from haloassay.testing import check_estimator, words


@pytest.mark.long
@pytest.mark.parametrize("kind", kinds.names("estimators"))
def test_every_estimator_passes_every_check(kind):
    report = check_estimator(kind, workers=0)
    assert report.passed, words.text(report)
