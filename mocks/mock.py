"""What every mock is: a population whose truth is known."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from haloassay.mocks.knowledge import Mass
    from haloassay.mocks.stars import Origin, Stars
    from haloassay.mocks.truth import Truth
    from haloassay.mocks.watch import Watch


class Mock(ABC):
    """A population whose truth is known.

    A mock says what is true of it, who its stars are, and how one realisation of them is drawn.
    """

    @property
    @abstractmethod
    def truth(self) -> Truth:
        """What is true of it, independent of any draw."""

    @property
    @abstractmethod
    def origins(self) -> tuple[Origin, ...]:
        """Where its stars come from, in the order of :attr:`Stars.origin`."""

    @property
    @abstractmethod
    def abundances(self) -> Mapping[str, bool | None]:
        """By ``feh`` and ``alpha_fe``, whether its stars have it; None: some have."""

    @property
    def number(self) -> int | None:
        """Stars that there are for one realisation, about; None where there are always further ones."""
        return None

    @property
    def by_number(self) -> bool:
        """Whether each star is drawn by its number: how many are asked for at once then changes none of them."""
        return False

    @property
    def takes_long(self) -> bool:
        """Whether its stars are made once, in many seconds, and kept in the cache."""
        return False

    @property
    def differs(self) -> bool:
        """Whether each realisation has a halo of its own."""
        return False

    def realized(self, seed: int) -> Mock:
        """Mock of one realisation: itself, where all realisations are of one halo."""
        del seed
        return self

    @property
    def mass(self) -> Mass | None:
        """What the halo's masses are of, where that is known without making any star; else the truth has it."""
        return None

    def check(self) -> None:  # noqa: B027 a mock that is always possible has nothing to check
        """Raise InputError where no such mock exists, as far as that can be known in seconds."""

    def prepare(self, progress: Watch | None = None) -> Mapping[str, Any]:
        """Do what is expensive and kept for all draws; raises InputError where no such mock exists.

        ``progress`` is called now and then with work done and all work. Returned is what is worth knowing
        of a mock beside its truth, as plain values: the size of a stored population, its drift.
        """
        self.check()
        return {}

    @abstractmethod
    def sampler(self, rng: np.random.Generator) -> Callable[[int], Stars]:
        """Source of the stars of one realisation: each call with a number returns that many further ones."""

    def sample(self, n: int, rng: np.random.Generator) -> Stars:
        """Draw ``n`` stars of a new realisation."""
        return self.sampler(rng)(n)


class MockOfMock(Mock):
    """Another mock, ``mock``, with something done to it: as many of the same stars, where nothing else is said."""

    mock: Mock

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Origins of the stars."""
        return self.mock.origins

    @property
    def abundances(self) -> Mapping[str, bool | None]:
        """Which of ``feh`` and ``alpha_fe`` the stars have."""
        return self.mock.abundances

    @property
    def number(self) -> int | None:
        """As many stars as the mock has."""
        return self.mock.number

    @property
    def by_number(self) -> bool:
        """As the mock does."""
        return self.mock.by_number

    @property
    def takes_long(self) -> bool:
        """As the mock does."""
        return self.mock.takes_long

    @property
    def mass(self) -> Mass | None:
        """That of the mock."""
        return self.mock.mass

    def check(self) -> None:
        """Check the mock."""
        self.mock.check()

    def prepare(self, progress: Watch | None = None) -> Mapping[str, Any]:
        """Prepare the mock."""
        return self.mock.prepare(progress)
