"""Stars that were born in the Milky Way: another population in equilibrium, beside those that a mock has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.cache import cached, plain_content
from haloassay.base.settings import require
from haloassay.mocks.chemistry import Abundance
from haloassay.mocks.debris.contaminants import endless
from haloassay.mocks.debris.debris import Debris, PhaseSpace
from haloassay.mocks.debris.surroundings import Surroundings
from haloassay.mocks.equilibria.anisotropy import Constant, FunctionAnisotropy
from haloassay.mocks.equilibria.equilibrium import OrbitSuperposition
from haloassay.mocks.equilibria.tracers import BrokenPowerLaw
from haloassay.mocks.populations import spin
from haloassay.mocks.stars import orient
from haloassay.mocks.uniforms import Uniforms

#: Density and abundances of stars born in situ, as the scenarios of Han et al. (2024) have them (choices).
IN_SITU_DENSITY: Final = BrokenPowerLaw((-3.0, -5.0), (20.0,))
IN_SITU_FEH: Final = Abundance(-0.6, 0.2)
IN_SITU_ALPHA_FE: Final = Abundance(0.35, 0.05)


@dataclass(frozen=True)
class InSitu(Debris):
    """Stars that were born in the Milky Way, in equilibrium in the spherical average of its potential.

    For mocks that have no such stars of their own: halos that mergers built. An LMC does not move them.

    Parameters
    ----------
    density
        A broken power law: ``slopes``, ``breaks`` and ``width``.
    beta
        Anisotropy, the same at all radii.
    rotation
        Share of stars with v_phi > 0 minus that with v_phi < 0, from -1 to 1 (negative is prograde).
    """

    kind: ClassVar[str] = "in-situ"
    version: ClassVar[int] = 1

    member: bool = True
    feh: Abundance = IN_SITU_FEH
    alpha_fe: Abundance = IN_SITU_ALPHA_FE
    density: BrokenPowerLaw = IN_SITU_DENSITY
    beta: float = 0.0
    rotation: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        Constant(self.beta)  # refuses a beta that no stars have
        require(-1.0 <= self.rotation <= 1.0, f"rotation must be in [-1, 1] (got {self.rotation})")

    def check(self, around: Surroundings) -> None:
        """Solve the equilibrium.

        Raises
        ------
        EquilibriumError
            If there is none of this density and beta.
        """
        self._solution(around)

    def _solution(self, around: Surroundings) -> OrbitSuperposition:
        wanted = (around.potential, self.density, FunctionAnisotropy(Constant(self.beta)))

        def solve() -> OrbitSuperposition:
            return OrbitSuperposition.solve(*wanted, *around.r_range)

        try:
            content = ["in-situ", self.version, plain_content([*wanted, around.r_range])]
        except TypeError:  # a potential that is a Python function has no content to find it by
            return solve()
        return OrbitSuperposition.from_arrays(cached(content, lambda: solve().to_arrays()))

    def phase_space(self, around: Surroundings, rng: np.random.Generator) -> PhaseSpace:
        """Independent stars."""
        solution = self._solution(around)

        def place(uniforms: Uniforms, number: IntArray) -> tuple[FloatArray, FloatArray]:
            position, velocity = orient(*solution.sample(uniforms, number), uniforms, number)
            if self.rotation:
                turned = uniforms.uniform("turned", number) < abs(self.rotation)
                velocity = spin(position, velocity, turned, float(np.sign(self.rotation)))
            return position, velocity

        return endless(place, rng)
