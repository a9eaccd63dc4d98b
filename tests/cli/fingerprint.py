"""An estimator whose answer tells one catalogue from any other."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.contracts.quantities import Quantity


def fingerprint(catalogue):
    return float(np.sum(np.cos(catalogue.position)) + np.sum(np.cos(catalogue.velocity)))


@dataclass(frozen=True)
class Fingerprint(Estimator):
    """Sum over all coordinates, which no truth stands beside."""

    name: ClassVar[str] = "fingerprint"
    reference: ClassVar[str] = "none"
    yields: ClassVar[tuple[str, ...]] = ("fingerprint",)
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("fingerprint", "", "absolute", "fingerprint"),
    )

    def estimate(self, catalogue, rng):
        value = fingerprint(catalogue)
        return Estimates([Estimate("fingerprint", value, value, value, value, value)])


@dataclass(frozen=True)
class Broken(Estimator):
    """Raises what no contract knows."""

    name: ClassVar[str] = "broken"
    reference: ClassVar[str] = "none"
    yields: ClassVar[tuple[str, ...]] = ("beta",)

    def estimate(self, catalogue, rng):
        raise ZeroDivisionError("by design")


@dataclass(frozen=True)
class Silent(Estimator):
    """Returns nothing."""

    name: ClassVar[str] = "silent"
    reference: ClassVar[str] = "none"
    yields: ClassVar[tuple[str, ...]] = ("beta",)

    def estimate(self, catalogue, rng):
        return Estimates([])
