"""A halo without dynamics, whose stars have known radii, velocities and abundances, for surveys."""

import numpy as np
from seeds import seeded

from haloassay.mocks.stars import Stars
from haloassay.mocks.surveys.survey import make_survey


class Halo:
    """Isotropic stars of a sharply broken power-law density, 100 km/s in each direction."""

    number = None

    def __init__(self, inner=-2.8, outer=-4.6, r_break=17.0, r_min=1.0, r_max=200.0):
        # mass inside r of r^slope r^2, piecewise
        a, b = inner + 3.0, outer + 3.0
        self.edges = np.array([r_min, r_break, r_max])
        self.powers = np.array([a, b])
        mass_in = (r_break**a - r_min**a) / a
        mass_out = r_break ** (a - b) * (r_max**b - r_break**b) / b
        self.inside = mass_in / (mass_in + mass_out)

    def radii(self, u):
        part = (u >= self.inside).astype(int)
        fraction = np.where(part, (u - self.inside) / (1.0 - self.inside), u / self.inside)
        p, low, high = self.powers[part], self.edges[part], self.edges[part + 1]
        return (low**p + fraction * (high**p - low**p)) ** (1.0 / p)

    def sampler(self, rng):
        return lambda n: self.draw(n, rng)

    def draw(self, n, rng):
        direction = rng.standard_normal((n, 3))
        direction /= np.linalg.norm(direction, axis=1)[:, None]
        position = self.radii(rng.random(n))[:, None] * direction
        return Stars.of(position, 100.0 * rng.standard_normal((n, 3)), rng.normal(-1.5, 0.4, n))


def observe(spec, halo=None, seed=5):
    streams = (seeded(seed, k) for k in (1, 2))
    return make_survey(spec).observe(halo or Halo(), *streams)
