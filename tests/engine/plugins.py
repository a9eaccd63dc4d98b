"""Estimators of every temperament; workers find them as "plugins:Class"."""

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from haloassay.base.settings import require
from haloassay.contracts.estimate import Estimate, Estimates, Estimator


def _estimates(catalogue, rng, scale=1.0):
    v_r = catalogue.spherical_velocity[:, 0]
    spread = scale * np.array([rng.choice(v_r, len(v_r)).std() for _ in range(20)])
    where = {"r": float(np.median(catalogue.r)), "r_lo": 0.0, "r_hi": 1e3}
    return Estimates([Estimate.from_draws("sigma_r", spread, **where)])


@dataclass(frozen=True)
class Good(Estimator):
    """Dispersion with a bootstrap; ``seconds`` of idleness, for interrupts to hit."""

    name = "good"
    reference = ""
    yields = ("sigma_r",)
    scale: float = 1.0
    seconds: float = 0.0
    grid: tuple[float, ...] = (1.0, 2.0)

    def __post_init__(self):
        require(self.scale > 0.0, f"scale must be positive (got {self.scale})")

    def estimate(self, catalogue, rng):
        time.sleep(self.seconds)
        return _estimates(catalogue, rng, self.scale)


@dataclass(frozen=True)
class Threads(Estimator):
    """The largest number of threads that a library would take for itself, as a dispersion."""

    name = "threads"
    reference = ""
    yields = ("sigma_r",)

    def estimate(self, catalogue, rng):
        import numba
        import pyarrow
        import scipy.linalg
        from threadpoolctl import threadpool_info

        scipy.linalg.inv(np.eye(64))
        pools = [each["num_threads"] for each in threadpool_info()]
        n = max(numba.get_num_threads(), pyarrow.cpu_count(), *pools)
        return Estimates([Estimate("sigma_r", n, n, n, n, n)])


@dataclass(frozen=True)
class Sky(Estimator):
    """Mean radius: needs no velocities."""

    name = "sky"
    reference = ""
    needs = ()
    yields = ("r200",)

    def estimate(self, catalogue, rng):
        r = float(catalogue.r.mean())
        return Estimates([Estimate("r200", r, r, r, r, r)])


@dataclass(frozen=True)
class Burn(Good):
    """Burns ``seconds`` of processor time."""

    def estimate(self, catalogue, rng):
        end = time.process_time() + self.seconds
        while time.process_time() < end:
            sum(range(1000))
        return _estimates(catalogue, rng)


@dataclass(frozen=True)
class Bad(Estimator):
    """Misbehaves as told, in the realisations whose generator says so, or always."""

    name = "bad"
    reference = ""
    yields = ("sigma_r", "beta")
    how: str = "raise"
    unless: str = ""
    mark: str = ""

    def estimate(self, catalogue, rng):
        if self.mark:
            Path(self.mark).touch()
        if self.unless and Path(self.unless).exists():
            return _estimates(catalogue, rng)
        return getattr(self, f"_{self.how}")()

    def _raise(self):
        raise ArithmeticError("first line\nsecond line")

    def _exit(self):
        sys.exit(3)

    def _nan(self):
        row = Estimate.undetermined("sigma_r", "?")
        object.__setattr__(row, "note", "")
        return Estimates([row])

    def _nothing(self):
        return None

    def _empty(self):
        return Estimates([])

    def _strange(self):
        return Estimates(["sigma_r"])

    def _twice(self):
        return Estimates([Estimate("beta", 0.1, bin=1), Estimate("beta", 0.2, bin=1)])

    def _unit(self):
        return Estimates([Estimate("sigma_r", 1e5, unit="m/s")])

    def _note(self):
        return Estimates([Estimate("sigma_r", np.nan, note=("too", "few"))])

    def _quantity(self):
        return Estimates([Estimate(7, 1.0)])

    def _bin(self):
        return Estimates([Estimate("sigma_r", 100.0, bin="outer")])

    def _half_bin(self):
        return Estimates([Estimate("sigma_r", 100.0, bin=0.5)])

    def _undeclared(self):
        return Estimates([Estimate("m200", 1e12)])

    def _radius(self):
        return Estimates([Estimate("sigma_r", 100.0, r="20 kpc")])

    def _draws(self):
        return Estimates([Estimate("sigma_r", 100.0, draws=[99.0, 101.0])])

    def _stars(self):
        return Estimates([Estimate("sigma_r", 100.0, stars=np.array([60]))])

    def _surrogate(self):
        return Estimates([Estimate.undetermined("sigma_r", "\ud800")])

    def _surrogate_message(self):
        raise ValueError("\ud800")

    def _unpicklable(self):
        error = ValueError("odd")
        error.lock = open(os.devnull)  # noqa: SIM115
        raise error

    def _disk(self):
        raise OSError(28, "No space left on device")

    def _memory(self):
        raise MemoryError

    def _hang(self):
        time.sleep(1000.0)

    def _kill(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def _leave(self):
        os._exit(0)


@dataclass(frozen=True)
class Grumpy(Estimator):
    """Refuses its settings in its own way."""

    name = "grumpy"
    reference = ""
    yields = ("sigma_r",)
    level: float = field(default=0.0)

    def __post_init__(self):
        if self.level < 0:
            raise ValueError("level below zero")

    def estimate(self, catalogue, rng):
        return _estimates(catalogue, rng)
