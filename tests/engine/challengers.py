"""An estimator of anybody, at radii, which a run knows as "challengers:Curve", and submissions to a challenge."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import dataclass

import numpy as np

from haloassay.base.constants import G
from haloassay.base.errors import EstimationError
from haloassay.base.seeds import stream
from haloassay.contracts.estimate import Estimate, Estimates, Estimator
from haloassay.io.tables import read_catalogue

HEAD = ("catalogue", "quantity", "r", "value", "lo68", "hi68", "lo95", "hi95", "note")
RADII = (10.0, 20.0)


@dataclass(frozen=True)
class Curve(Estimator):
    """Mass of the mean square speed about each radius; now and then it has no beta, or nothing at all."""

    name = "curve"
    reference = ""
    yields = ("enclosed_mass", "beta", "m200")

    def estimate(self, catalogue, rng):
        if len(catalogue) and rng.random() < 0.2:
            raise EstimationError("too few stars for a curve")
        r, v = catalogue.r, catalogue.spherical_velocity
        rows = []
        for k, at in enumerate(RADII):
            some = v[np.abs(np.log(r / at)) < 0.3]
            draws = [
                3.0 * at * np.mean(np.sum(rng.choice(some, len(some)) ** 2, axis=1)) / G
                for _ in range(9)
            ]
            rows.append(Estimate.from_draws("enclosed_mass", draws, r=at, bin=k))
            if rng.random() < 0.3:
                rows.append(Estimate.undetermined("beta", "not today", r=at, bin=k))
            else:
                square = np.mean(some**2, axis=0)
                beta = 1.0 - (square[1] + square[2]) / (2.0 * square[0])
                rows.append(Estimate("beta", beta, beta - 0.1, beta + 0.2, r=at, bin=k))
        rows.append(Estimate("m200", 10.0 * rows[0].value))
        return Estimates(rows)


def submit(path, rows):
    """Write rows of a submission."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEAD)
        writer.writerows(rows)
    return path


def numbers_of(row):
    """Value and intervals as a CSV file keeps them to the last bit; nothing where there is none."""
    numbers = (row.value, row.lo68, row.hi68, row.lo95, row.hi95)
    return ["" if x != x else repr(float(x)) for x in numbers]


def participant(challenge, estimator, label, seed):
    """Rows of a participant who has nothing but the public files, and by chance the streams of a run."""
    hidden = {each["catalogue"]: each["realization"] for each in sealed(challenge)["catalogues"]}
    for told in challenge.told["catalogues"]:
        catalogue = read_catalogue(challenge.public / told["file"])
        rng = stream(seed, f"estimator:{label}", hidden[told["catalogue"]])
        try:
            rows = estimator.estimate(catalogue, rng)
        except EstimationError:
            continue
        for row in rows:
            r = "" if row.r != row.r else repr(row.r)
            yield [told["catalogue"], row.quantity, r, *numbers_of(row), row.note]


def sealed(challenge):
    """What the organiser knows."""
    return json.loads((challenge.sealed / "truth.json").read_bytes())


def reseal(challenge, told):
    """Write another truth, and the commitment to it."""
    truth = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    (challenge.sealed / "truth.json").write_bytes(truth)
    digest = hashlib.sha256((challenge.sealed / "salt").read_bytes() + truth).hexdigest()
    path = challenge.public / "challenge.json"
    public = json.loads(path.read_text())
    public["commitment"]["sha256"] = digest
    path.write_text(json.dumps(public))


def knowing(challenge, width=0.1):
    """Rows of somebody who has seen the truth."""
    told = sealed(challenge)
    for catalogue in told["catalogues"]:
        for question, truth in zip(told["asked"], catalogue["truth"], strict=True):
            r = "" if question["r"] is None else repr(question["r"])
            e = width * abs(truth)
            ends = [repr(truth + k * e) for k in (0.0, -1.0, 1.0, -2.0, 2.0)]
            yield [catalogue["catalogue"], question["name"], r, *ends, ""]
