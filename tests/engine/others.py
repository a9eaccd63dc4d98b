"""Estimators as users have them, to be handed over as classes; workers import no test with them."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from haloassay import Estimate, Estimates, Estimator

UNIT = 1.0


def spread(values):
    return UNIT * float(np.std(values))


@dataclass(frozen=True)
class Spread(Estimator):
    """Not importable by workers under this name alone: it is handed over."""

    name = "spread"
    reference = ""
    yields = ("sigma_r",)
    scale: float = 1.0

    def estimate(self, catalogue, rng):
        value = self.scale * spread(catalogue.spherical_velocity[:, 0])
        return Estimates([Estimate("sigma_r", value + np.random.rand(), r=20.0)])  # noqa: NPY002


@dataclass(frozen=True)
class Meddler(Estimator):
    """Prints, changes what it can, and leaves processes: one beside it, and one like a daemon."""

    name = "meddler"
    reference = ""
    yields = ("sigma_r",)
    mark: str = ""
    waits: bool = False

    def estimate(self, catalogue, rng):
        print("x" * 2000)
        os.write(1, b"beneath\n")
        os.chdir("/")
        np.mean = sum
        if self.mark:
            mark = Path(self.mark)
            if self.waits and mark.exists():  # tried again, in another worker
                mark = mark.with_name(f"{mark.name}-again")
            worker = os.getpid()
            child = subprocess.Popen(["sleep", "300"], stdout=subprocess.DEVNULL)
            if os.fork() == 0:  # twice, so that nobody knows it
                daemon = subprocess.Popen(["sleep", "300"], start_new_session=True)
                written = mark.with_name(f"{mark.name}.part")
                written.write_text(f"{child.pid} {daemon.pid} {worker}")
                written.rename(mark)
                os._exit(0)
            os.wait()
        if self.waits:
            time.sleep(300.0)
        return Estimates([Estimate("sigma_r", 1.0, r=20.0)])
