"""Names of the packaged scenarios, for tests that look at each."""

import pytest

from haloassay import scenarios

#: One is looked at by the long tests: its cells take ten seconds, as each of its mocks is shown to be possible.
NAMES = [
    pytest.param(name, marks=pytest.mark.long if name == "accreted-budget" else ())
    for name in scenarios.names()
]
