"""Defaults that a function and its command share: here, since a command is read before anything heavy is loaded."""

from __future__ import annotations

from typing import Final

#: Rounds of a match at most, and the error of its emulators, in units of the other errors, that ends them.
ROUNDS: Final = 4
SHARE: Final = 0.3
#: Differences of a comparison that do not matter, and the probability that anything is said to have moved where nothing
#: has.
MARGIN: Final = 0.1
ALPHA: Final = 0.01
#: Seed of the checks of an estimator: the same stars whenever they are made.
CHECK_SEED: Final = 20261129
