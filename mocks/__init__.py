"""From a known truth to an observed catalogue: potentials, tracers, anisotropy, equilibria, surveys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from haloassay.base import kinds
from haloassay.mocks.watch import Watch

if TYPE_CHECKING:
    import numpy as np

    from haloassay.mocks.stars import Origin, Stars
    from haloassay.mocks.truth import Truth

Facts = Mapping[str, Any]


class Mock(Protocol):
    """A population whose truth is known."""

    @property
    def truth(self) -> Truth:
        """What is true of it, independent of any draw."""

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Where its stars come from, in the order of :attr:`Stars.origin`."""

    @property
    def number(self) -> int | None:
        """Stars that there are for one realisation, about; None where there are always further ones."""

    @property
    def abundances(self) -> Mapping[str, bool | None]:
        """By ``feh`` and ``alpha_fe``, whether its stars have it; None: some have."""

    def check(self) -> None:
        """Raise InputError where no such mock exists, as far as that can be known in seconds."""

    def prepare(self, progress: Watch | None = None) -> Facts:
        """Do what is expensive and kept for all draws; raises InputError where no such mock exists.

        ``progress`` is called now and then with work done and all work. Returned is what is worth knowing
        of a mock beside its truth, as plain values: the size of a stored population, its drift.
        """

    def sampler(self, rng: np.random.Generator) -> Callable[[int], Stars]:
        """Source of the stars of one realisation: each call with a number returns that many further ones."""

    def sample(self, n: int, rng: np.random.Generator) -> Stars:
        """Draw ``n`` independent stars."""


def make_mock(spec: Mapping[str, Any], where: str = "mock") -> Mock:
    """Mock of a table with a key ``kind``; checked at once, solved when first used.

    Raises
    ------
    InputError
        If a kind or setting is unknown, missing or out of range; ``where`` names the place.
    """
    kind = kinds.kind_of("mocks", spec, where)
    found = kinds.find("mocks", kind, where)
    if isinstance(found, type):  # a third party's, with settings and nothing else
        return cast("Mock", kinds.make("mocks", spec, where))
    mock: Mock = found(spec, where)
    return mock
