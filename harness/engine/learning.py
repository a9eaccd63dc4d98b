"""Networks of sbi (the extra ``npe``) are taught, and written down as plain arrays that numpy alone evaluates."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import HaloassayError, InputError
from haloassay.base.seeds import stream
from haloassay.estimators.fit.mixture_network import MixtureNetwork
from haloassay.planning.training import Learning

#: How to get what training needs.
HOW_TO_INSTALL: Final = "pip install 'haloassay[npe]'"
#: Layers behind the hidden ones as sbi has them, and as they are stored.
_LAYERS: Final = {
    "_logits_layer": "logits",
    "_means_layer": "means",
    "_unconstrained_diagonal_layer": "diagonal",
    "_upper_layer": "upper",
}
#: Share of the mocks that a network does not learn from, and after which its best round is known.
_VALIDATION: Final = 0.1
#: Share of the steps while the rate of learning rises; of its largest value, what it begins and ends with.
_RISE: Final = 0.1
_FIRST, _LAST = 0.1, 1e-3
#: Largest length of a gradient: a step that a single catalogue would make is no longer than others.
_LONGEST: Final = 5.0
#: Difference between log densities of sbi, in single precision, and of numpy that is rounding.
_ROUNDING: Final = 2e-3
#: Simulations that both are compared on.
_COMPARED: Final = 200


@dataclass(frozen=True, eq=False)
class Library:
    """sbi and torch, imported.

    Parameters
    ----------
    torch, builder
        The module torch, and the function posterior_nn of sbi.
    versions
        Of what takes part, by name.
    """

    torch: Any
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
        builder = importlib.import_module("sbi.neural_nets").posterior_nn
    except (ImportError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"train: needs sbi and torch, which cannot be imported ({reason}); to install them: {HOW_TO_INSTALL}"
        ) from None
    versions = {"sbi": str(sbi.__version__), "torch": str(torch.__version__)}
    return Library(torch, builder, versions)


def learn(
    known: Library,
    data: FloatArray,
    targets: FloatArray,
    mocks: IntArray,
    learning: Learning,
    seed: int,
    say: Callable[[str], None],
    heed: Callable[[], None] = lambda: None,
) -> MixtureNetwork:
    """Networks that know the density of targets (m, d) given standardised data (m, n).

    Parameters
    ----------
    known
        sbi and torch.
    data, targets, mocks
        Of the catalogues; (m,) numbers of the mocks that they are of.
    learning
        How.
    seed
        Of starts, and of shares for validation.
    say
        Hears of each network.
    heed
        Is called before each step, and may raise.

    Raises
    ------
    InputError
        If learning diverges.
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
                net, told = _one(known, t, x, mocks, learning, seed + k, heed)
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


def _one(
    known: Library,
    targets: Any,
    data: Any,
    mocks: IntArray,
    learning: Learning,
    seed: int,
    heed: Callable[[], None],
) -> tuple[Any, str]:
    """Network that was taught, as it was after its best round, and what is to be said of it.

    All catalogues of a mock are learnt from, or none: else those for validation would be of halos that are known.
    """
    torch = known.torch
    torch.manual_seed(seed)
    net = _made(known, targets, data, learning)
    shares = _shares(mocks, stream(seed, "validation", 0))
    taught, validation = (torch.as_tensor(rows) for rows in shares)
    steps = learning.epochs * -(-len(taught) // learning.batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=learning.rate, weight_decay=learning.decay)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        learning.rate,
        total_steps=steps + 1,
        pct_start=_RISE,
        div_factor=1.0 / _FIRST,
        final_div_factor=_FIRST / _LAST,
    )
    best, kept, at = -np.inf, net.state_dict(), 0
    for epoch in range(learning.epochs):
        for rows in taught[torch.randperm(len(taught))].split(learning.batch):
            heed()
            optimizer.zero_grad()
            (-_mean(net, targets[rows], data[rows], learning)).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), _LONGEST)
            optimizer.step()
            rates.step()
        with torch.no_grad():
            found = float(_mean(net, targets[validation], data[validation], learning))
        if found > best:
            best, kept, at = found, copy.deepcopy(net.state_dict()), epoch + 1
    net.load_state_dict(kept)
    return net.eval(), f"validation {best:.3f} after {at} rounds of {learning.epochs}"


def _mean(net: Any, targets: Any, data: Any, learning: Learning) -> Any:
    """Mean log density by a network.

    Raises
    ------
    InputError
        If it is no number: steps of the learning were too long.
    """
    try:
        found = net.log_prob(targets, data).mean()
    except ValueError:  # of torch, where weights of the mixture are not finite
        found = None
    if found is None or not np.isfinite(float(found.detach())):
        raise InputError(
            f"learning diverged: take a smaller network.rate (it is {learning.rate:g})"
        )
    return found


def _made(known: Library, targets: Any, data: Any, learning: Learning) -> Any:
    """Network of sbi that knows nothing; smooth between its layers, as posteriors are in what they are of."""
    build = known.builder(
        "mdn",
        z_score_theta="none",
        z_score_x="none",
        hidden_features=learning.hidden,
        num_components=learning.components,
    )
    net, nn = build(targets, data).net, known.torch.nn
    hidden, wide = [], data.shape[1]
    for _ in range(learning.layers):
        hidden += [nn.Linear(wide, learning.hidden), nn.SiLU()]
        wide = learning.hidden
    net._hidden_net = nn.Sequential(*hidden)
    return net


def _shares(mocks: IntArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Numbers of the catalogues that are learnt from, and of those for validation; no mock has some in both."""
    numbers, of = np.unique(mocks, return_inverse=True)
    aside = rng.permutation(len(numbers)) < max(1, int(_VALIDATION * len(numbers)))
    return np.flatnonzero(~aside[of]), np.flatnonzero(aside[of])


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
        part, _, number = layer.partition(".")
        known = f"hidden.{int(number) // 2}" if part == "_hidden_net" else _LAYERS.get(layer)
        if known is None:
            raise HaloassayError(f"train: this sbi has a layer {layer!r} that is not known here")
        found[f"{known}.{kind}"] = values.numpy().astype("<f4")
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
