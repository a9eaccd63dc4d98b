"""Networks are taught by sbi (the extra ``npe``), and written down as plain arrays that numpy alone evaluates."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haloassay.base.arrays import FloatArray
from haloassay.base.errors import HaloassayError, InputError
from haloassay.estimators.fit.mixture_network import MixtureNetwork
from haloassay.planning.training import Learning

#: How to get what training needs.
HOW_TO_INSTALL: Final = "pip install 'haloassay[npe]'"
#: Layers as sbi has them, and as they are stored.
_LAYERS: Final = {
    "_hidden_net.0": "hidden.0",
    "_hidden_net.2": "hidden.1",
    "_logits_layer": "logits",
    "_means_layer": "means",
    "_unconstrained_diagonal_layer": "diagonal",
    "_upper_layer": "upper",
}
#: Share of the rate at which networks learn in the end.
_LAST: Final = 0.1
#: Difference between log densities of sbi, in single precision, and of numpy that is rounding.
_ROUNDING: Final = 2e-3
#: Simulations that both are compared on.
_COMPARED: Final = 200


@dataclass(frozen=True, eq=False)
class Library:
    """sbi and torch, imported.

    Parameters
    ----------
    torch, npe, builder
        The module torch, the class NPE and the function posterior_nn of sbi.
    versions
        Of what takes part, by name.
    """

    torch: Any
    npe: Any
    builder: Any
    versions: dict[str, str]


def library() -> Library:
    """Import sbi and torch.

    Raises
    ------
    InputError
        If one cannot be imported; the message says how to install it.
    """
    try:
        torch, sbi = importlib.import_module("torch"), importlib.import_module("sbi")
        npe = importlib.import_module("sbi.inference").NPE
        builder = importlib.import_module("sbi.neural_nets").posterior_nn
    except (ImportError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"train: needs sbi and torch, which cannot be imported ({reason}); to install them: {HOW_TO_INSTALL}"
        ) from None
    versions = {"sbi": str(sbi.__version__), "torch": str(torch.__version__)}
    return Library(torch, npe, builder, versions)


def learn(
    known: Library,
    data: FloatArray,
    targets: FloatArray,
    learning: Learning,
    seed: int,
    say: Callable[[str], None],
) -> MixtureNetwork:
    """Networks that know the density of targets (m, d) given standardised data (m, n).

    Parameters
    ----------
    known
        sbi and torch.
    data, targets
        Of the simulations.
    learning
        How.
    seed
        Of starts, and of shares for validation.
    say
        Hears of each network.

    Raises
    ------
    HaloassayError
        If what numpy makes of a network is not what sbi makes of it.
    """
    torch = known.torch
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums keep their order, and small networks are no slower
    members, epsilon = [], 0.0
    x = torch.as_tensor(data, dtype=torch.float32)
    t = torch.as_tensor(targets, dtype=torch.float32)
    try:
        for k in range(learning.members):
            with torch.random.fork_rng(devices=[]):
                net, told = _one(known, t, x, learning, seed + k)
            arrays, epsilon = _arrays(net)
            one = MixtureNetwork((arrays,), data.shape[1], targets.shape[1], epsilon)
            with torch.no_grad():
                theirs = net.log_prob(t[:_COMPARED], x[:_COMPARED]).numpy()
            _require_equal(one, data[:_COMPARED], targets[:_COMPARED], theirs)
            members.append(arrays)
            say(f"network {k + 1} of {learning.members}: {told}")
    finally:
        torch.set_num_threads(threads)
    return MixtureNetwork(tuple(members), data.shape[1], targets.shape[1], epsilon)


def _one(known: Library, targets: Any, data: Any, learning: Learning, seed: int) -> tuple[Any, str]:
    """Network that sbi has taught, and what is to be said of it.

    It learns at the full rate, then goes on at a tenth: the last steps at a full rate leave it at random beside where
    it was going. Both have the same share for validation, which is drawn first of all after the seed.
    """
    build = known.builder(
        "mdn",
        z_score_theta="none",
        z_score_x="none",
        hidden_features=learning.hidden,
        num_components=learning.components,
    )
    epochs = 0
    estimator: Any = None
    for rate in (learning.rate, _LAST * learning.rate):
        known.torch.manual_seed(seed)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter(
                "ignore"
            )  # that it has no prior: targets are normal deviates of one
            trainer = known.npe(
                density_estimator=build if estimator is None else _same(estimator),
                logging_level="ERROR",
                tracker=_Untold(),
                show_progress_bars=False,
            )
            estimator = trainer.append_simulations(targets, data).train(
                training_batch_size=learning.batch,
                learning_rate=rate,
                stop_after_epochs=learning.patience,
                max_num_epochs=learning.epochs,
            )
        epochs += trainer.summary["epochs_trained"][-1]
    loss = float(trainer.summary["best_validation_loss"][-1])
    return estimator.net.eval(), f"{epochs} rounds, validation {-loss:.3f}"


def _same(estimator: Any) -> Callable[[Any, Any], Any]:
    """Builder of a network that is there."""
    return lambda targets, data: estimator


class _Untold:
    """Where sbi tells how it gets on, which would be a folder of its own."""

    log_dir = None

    def log_metric(self, name: str, value: float, step: int | None = None) -> None:
        """Keep nothing."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Keep nothing."""

    def log_params(self, params: dict[str, Any]) -> None:
        """Keep nothing."""

    def add_figure(self, name: str, figure: Any, step: int | None = None) -> None:
        """Keep nothing."""

    def flush(self) -> None:
        """Have nothing to write."""


def _arrays(net: Any) -> tuple[dict[str, NDArray[Any]], float]:
    """Arrays of a network by the names that they are stored under, and what is added to its precisions.

    Raises
    ------
    HaloassayError
        If this sbi has another one than the sbi that this was written for.
    """
    found = {}
    for name, values in net.state_dict().items():
        layer, _, kind = name.rpartition(".")
        if layer not in _LAYERS:
            raise HaloassayError(f"train: this sbi has a layer {layer!r} that is not known here")
        found[f"{_LAYERS[layer]}.{kind}"] = values.numpy().astype("<f4")
    return found, float(net._epsilon)


def _require_equal(
    network: MixtureNetwork, data: FloatArray, targets: FloatArray, theirs: FloatArray
) -> None:
    """Raise :class:`HaloassayError` unless numpy finds the densities that sbi finds."""
    pairs = zip(data, targets, strict=True)
    ours = np.array([network.mixture(x).log_density(t[None])[0] for x, t in pairs])
    worst = float(np.max(np.abs(ours - theirs) / (1.0 + np.abs(theirs))))
    if not worst < _ROUNDING:
        raise HaloassayError(
            f"train: densities by numpy and by sbi differ by {worst:.2g}: this sbi is not known here"
        )
