"""What a session of tests shares: its seed, and how often it fails by chance, once in ten thousand, however long it is.

A session's rate is divided among its tests, and that of a test among its assertions, 1/2 of it to the first, 1/6 to the
second, 1 / (k (k + 1)) to number k: these sum to one however many there will be. So what a test asserts does not depend
on the order of the tests, nor on the process that runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from haloassay.base.defaults import CHECK_SEED

#: Rate of false alarms of a session, of the checks of an estimator, or of an assertion outside of both.
ALPHA: Final = 1e-4


@dataclass
class Session:
    """A session of tests.

    Parameters
    ----------
    seed
        Of all mocks.
    tests
        How many it has; 0 outside of any.
    made
        How many rates were given out in the present test.
    """

    seed: int = CHECK_SEED
    tests: int = 0
    made: int = 0

    def begin(self) -> None:
        """Begin another test."""
        self.made = 0

    def rate(self) -> float:
        """Rate of false alarms of the next assertion."""
        if not self.tests:
            return ALPHA
        self.made += 1
        return ALPHA / self.tests / (self.made * (self.made + 1))


#: The one of this process.
SESSION: Final = Session()
