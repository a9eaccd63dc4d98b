"""A trained network in its folder: what it infers, what it was trained on, and that it is what it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.special import ndtr, ndtri

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import InputError
from haloassay.base.files import write_bytes
from haloassay.contracts.priors import Prior, make_prior
from haloassay.contracts.profiles import nfw_enclosed_mass, virial_radius
from haloassay.estimators import networks
from haloassay.estimators.fit import moment_summary, safe_tensors
from haloassay.estimators.fit.cloud import MARGIN, OUTSIDE, Cloud
from haloassay.estimators.fit.mixture_network import MixtureNetwork
from haloassay.estimators.fit.moment_summary import MomentSummary

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue

#: Raised when files of before cannot be read any more.
FORMAT: Final = 3
DESCRIPTION: Final = "network.json"
WEIGHTS: Final = "weights.safetensors"
#: What a network can infer, in the order in which it does.
TARGETS: Final = ("m200", "c200", "beta")
#: Arrays of the cloud of its training.
_CLOUD: Final = ("mean", "scale", "edges", "lo", "hi", "middle", "whiten", "farthest")
#: Bytes that a description may have.
_LONGEST: Final = 10_000_000


@dataclass(frozen=True, eq=False)
class HaloModel:
    """The halo of the training: an NFW halo with other masses that are known.

    Parameters
    ----------
    priors
        Of what is inferred, among :data:`TARGETS`.
    known
        Of these what was held.
    h0, overdensity
        Of the virial mass.
    r, other
        Radii [kpc] and masses within [Msun] of all other components together.
    turn
        (d, d) matrix of the deviates that a network learns: along axes of which one is what data tell best, in units
        of what is left to tell.
    """

    priors: Mapping[str, Prior]
    known: Mapping[str, float]
    h0: float
    overdensity: float
    r: FloatArray
    other: FloatArray
    turn: FloatArray

    @property
    def targets(self) -> tuple[str, ...]:
        """What is inferred or was held."""
        return tuple(name for name in TARGETS if name in self.priors or name in self.known)

    def deviates(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Turn values into normal deviates (m, d), as which the prior is distributed, on the turned axes."""
        shares = [prior.share(values[name]) for name, prior in self.priors.items()]
        deviates = ndtri(np.clip(np.stack(shares, axis=-1), 1e-9, 1.0 - 1e-9))
        return np.asarray(deviates @ self.turn)

    def values(self, deviates: FloatArray) -> dict[str, FloatArray]:
        """Values (m,) of each target, of deviates (m, d) or held."""
        shares = ndtr(deviates @ np.linalg.inv(self.turn))
        inferred = {
            name: p.quantile(shares[:, k]) for k, (name, p) in enumerate(self.priors.items())
        }
        return {n: np.full(len(deviates), v) for n, v in self.known.items()} | inferred

    def turned(self, values: Mapping[str, FloatArray], data: FloatArray) -> HaloModel:
        """Halo with the axes along which standardised data (m, n) tell least, to best: of what a linear fit leaves.

        Mass and concentration are degenerate: what is narrow is neither, but the mass within the stars. Along each
        axis the fit leaves a scatter of 1, which is quicker to learn than one of 1 on wide axes and little on others.
        """
        plain = replace(self, turn=np.eye(len(self.priors)))
        deviates = plain.deviates(values)
        design = np.column_stack([np.ones(len(data)), data])
        left = deviates - design @ np.linalg.lstsq(design, deviates, rcond=None)[0]
        squares, axes = np.linalg.eigh(left.T @ left / len(left))
        return replace(self, turn=axes / np.sqrt(np.maximum(squares, 1e-8)))

    def enclosed_mass(self, r: float, values: Mapping[str, FloatArray]) -> FloatArray:
        """Mass [Msun] within ``r`` [kpc] of all components."""
        m200 = values["m200"]
        r200 = virial_radius(m200, self.h0, self.overdensity)
        dark = nfw_enclosed_mass(r, m200, r200, values["c200"])
        return np.asarray(dark + np.interp(np.log(r), np.log(self.r), self.other))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "priors": {name: prior.to_dict() for name, prior in self.priors.items()},
            "known": dict(self.known),
            "h0": self.h0,
            "overdensity": self.overdensity,
        }


@dataclass(frozen=True, eq=False)
class TrainedHalo:
    """A network, with all that its use needs.

    Parameters
    ----------
    summary, network, cloud, halo
        What it looks at, what it makes of it, where it may, and of what.
    digest
        SHA-256 of all of it.
    description
        Plain values of its file.
    """

    summary: MomentSummary
    network: MixtureNetwork
    cloud: Cloud
    halo: HaloModel
    digest: str
    description: Mapping[str, Any]

    def draws(
        self, catalogue: Catalogue, n: int, rng: np.random.Generator
    ) -> dict[str, FloatArray]:
        """Draws (n,) of each target from the posterior.

        Raises
        ------
        EstimationError
            If the catalogue is outside of what the network was trained on.
        """
        self.cloud.require_stars(catalogue.r)
        summary = self.summary.of(catalogue)
        self.cloud.require_like(summary, len(catalogue), self.summary.names)
        return self.posterior(summary, n, rng)

    @property
    def reach(self) -> tuple[float, float]:
        """Radii [kpc] between which masses are of halos that it was trained on: from its stars to the largest r200.

        Beyond the stars the mass is that of the halo's shape, of which the posterior tells as much as of m200, and ends
        with the halo. Nearer than any star it would be a cusp, which no mock has shown.
        """
        near, far = self.cloud.radii
        m200 = self.halo.known.get("m200")
        if m200 is None:
            # of a prior without an end: all but a thousandth of its halos
            m200 = float(self.halo.priors["m200"].quantile(np.array([0.999]))[0])
        return near, max(far, float(virial_radius(m200, self.halo.h0, self.halo.overdensity)))

    def beyond(self, r: float) -> str:
        """Why there is no mass within ``r`` [kpc]; empty where there is, to the margin of :class:`Cloud`."""
        (near, far), last = self.reach, self.cloud.radii[1]
        if near * (1.0 - MARGIN) <= r <= far * (1.0 + MARGIN):
            return ""
        return f"{OUTSIDE}: r is {r:.4g} kpc, there stars from {near:.3g} to {last:.3g} kpc and r200 up to {far:.3g}"

    def posterior(
        self, summary: FloatArray, n: int, rng: np.random.Generator
    ) -> dict[str, FloatArray]:
        """Draws (n,) of each target of a summary, wherever it is."""
        mixture = self.network.mixture(self.cloud.standardised(summary))
        return self.halo.values(mixture.draws(n, rng))


def to_files(
    summary: MomentSummary,
    network: MixtureNetwork,
    cloud: Cloud,
    halo: HaloModel,
    told: Mapping[str, Any],
) -> dict[str, bytes]:
    """Files of a network by their names.

    Parameters
    ----------
    summary, network, cloud, halo
        Its parts.
    told
        What else is to be kept: training scenario, versions, calibration.
    """
    arrays = {f"cloud.{name}": getattr(cloud, name) for name in _CLOUD}
    arrays |= {"halo.r": halo.r, "halo.other": halo.other, "halo.turn": halo.turn}
    for k, member in enumerate(network.members):
        arrays |= {f"network.{k}.{name}": values for name, values in member.items()}
    weights = safe_tensors.to_bytes(arrays)
    description: dict[str, Any] = {
        **told,
        "format": FORMAT,
        "weights": hashlib.sha256(weights).hexdigest(),
        "summary": {"version": moment_summary.VERSION, "edges": list(summary.edges)},
        "network": {
            "members": len(network.members),
            "n_data": network.n_data,
            "n_targets": network.n_targets,
            "epsilon": network.epsilon,
        },
        "cloud": {"n_stars": list(cloud.n_stars), "radii": list(cloud.radii)},
        "halo": halo.to_dict(),
    }
    description["digest"] = _digest(description)
    text = json.dumps(description, indent=1, allow_nan=False) + "\n"
    return {WEIGHTS: weights, DESCRIPTION: text.encode()}


def save(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a network; its description, without which it is none, last.

    Raises
    ------
    InputError
        If they cannot be written.
    """
    try:
        for name in (WEIGHTS, DESCRIPTION):
            write_bytes(folder / name, files[name])
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from error


def load(name: str) -> TrainedHalo:
    """Read a packaged network by its name, or the folder of another.

    Raises
    ------
    InputError
        If it is not there, of another version, or not as it was written.
    """
    packaged = name in networks.names()
    folder = networks.path(name) if packaged else Path(name)
    if not (folder / DESCRIPTION).is_file():
        known = ", ".join(networks.names())
        raise InputError(
            f"network: {name!r} is no folder with a {DESCRIPTION}, as 'haloassay train' makes it, and no"
            f" packaged network ({known})"
        )
    description, weights = _read(folder / DESCRIPTION), _bytes(folder / WEIGHTS)
    where = f"network: {folder}"
    return from_files(description, weights, where)


def from_files(description: bytes, weights: bytes, where: str) -> TrainedHalo:
    """Network of the bytes of its files; errors as of :func:`load`."""
    try:
        told = json.loads(description)
        found = {key: told[key] for key in ("format", "digest", "weights", "summary")}
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{where}: {DESCRIPTION} is not that of a network") from None
    version = found["summary"].get("version") if isinstance(found["summary"], dict) else None
    if (found["format"], version) != (FORMAT, moment_summary.VERSION):
        raise InputError(
            f"{where}: is of format {found['format']} and summaries {version}, this haloassay reads"
            f" {FORMAT} and {moment_summary.VERSION}: train it anew"
        )
    if found["digest"] != _digest(told):
        raise InputError(f"{where}: {DESCRIPTION} was changed after it was written")
    if found["weights"] != hashlib.sha256(weights).hexdigest():
        raise InputError(f"{where}: {WEIGHTS} is not the file that {DESCRIPTION} is of")
    return _assembled(told, safe_tensors.from_bytes(weights, f"{where}: {WEIGHTS}"))


def _assembled(told: Mapping[str, Any], arrays: safe_tensors.Tensors) -> TrainedHalo:
    sizes, seen, model = told["network"], told["cloud"], told["halo"]
    summary = MomentSummary(tuple(told["summary"]["edges"]))
    members = tuple(
        {
            name.removeprefix(f"network.{k}."): values
            for name, values in arrays.items()
            if name.startswith(f"network.{k}.")
        }
        for k in range(sizes["members"])
    )
    network = MixtureNetwork(members, sizes["n_data"], sizes["n_targets"], sizes["epsilon"])
    parts = {name: arrays[f"cloud.{name}"] for name in _CLOUD}
    cloud = Cloud(tuple(seen["n_stars"]), tuple(seen["radii"]), **parts)
    priors = {name: make_prior(spec, f"prior of {name}") for name, spec in model["priors"].items()}
    halo = HaloModel(
        priors,
        model["known"],
        model["h0"],
        model["overdensity"],
        arrays["halo.r"],
        arrays["halo.other"],
        arrays["halo.turn"],
    )
    return TrainedHalo(summary, network, cloud, halo, told["digest"], told)


def _digest(description: Mapping[str, Any]) -> str:
    """SHA-256 of a description, which has that of the weights."""
    told = {key: value for key, value in description.items() if key != "digest"}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> bytes:
    data = _bytes(path)
    if len(data) > _LONGEST:
        raise InputError(f"network: {path}: is too large for a description")
    return data


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"network: {path}: {error.strerror or error}") from None
