"""A network is trained: mocks of a prior, seen by a survey; what sbi learns from them; how well it is calibrated."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from haloassay import __version__
from haloassay.base.arrays import FloatArray, IntArray
from haloassay.base.errors import EquilibriumError, InputError
from haloassay.base.files import require_folder
from haloassay.base.seeds import stream
from haloassay.base.settings import require
from haloassay.engine.executors.helpers import in_order
from haloassay.engine.interrupt import deferred_interrupt
from haloassay.engine.learning import learn, library
from haloassay.estimators.fit.cloud import Cloud
from haloassay.estimators.fit.moment_summary import MomentSummary
from haloassay.estimators.halo import trained_halo
from haloassay.estimators.halo.trained_halo import HaloModel, TrainedHalo
from haloassay.planning.training import N_STARS, Training, load_training, require_possible, stated

if TYPE_CHECKING:
    from haloassay.contracts.catalogue import Catalogue
    from haloassay.mocks.gravity.potentials import NFW, CompositePotential

#: Radii [kpc] between which the known masses are tabulated, and how many.
_TABLE: Final = (0.1, 3000.0, 200)
#: Share of the prior that may have no mock.
_MOST_MISSING: Final = 0.1
#: Seconds between lines about how far it is.
_INTERVAL: Final = 15.0
#: Simulations of one piece of work.
_CHUNK: Final = 10


@dataclass(frozen=True, eq=False)
class Simulations:
    """What the catalogues of mocks have come to.

    Parameters
    ----------
    values
        (m,) of each setting that varies, by its path.
    summaries
        (m, n) of the catalogues.
    n_stars, radii
        (m,) stars, (m, 2) smallest and largest radius [kpc].
    mock
        (m,) numbers of the mocks that they are of.
    missing
        Draws of the prior of which there is no mock.
    """

    values: dict[str, FloatArray]
    summaries: FloatArray
    n_stars: FloatArray
    radii: FloatArray
    mock: IntArray
    missing: int


def train(
    training: str | Path | Training,
    out: str | Path,
    workers: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> TrainedHalo:
    """Train a network for the estimator ``npe``, and write it into a folder.

    Parameters
    ----------
    training
        A training file, or what is read of one.
    out
        Folder of the network, a new or an empty one.
    workers
        Processes that simulate; 0 for none beside this one. Results do not depend on it.
    say
        Hears how far it is.

    Returns
    -------
    TrainedHalo
        The network, which the setting ``network`` of the estimator names by its folder.

    Raises
    ------
    InputError
        If the training is not usable, a prior reaches what cannot be, sbi cannot be imported, learning diverges, or
        the folder holds anything or cannot be written.
    KeyboardInterrupt
        If there was Ctrl-C or SIGTERM before it was to be written (then with ``"SIGTERM"``); nothing is then.
    """
    folder = Path(out)
    require_folder(folder)
    with deferred_interrupt() as stop:  # modules that are half imported say that they are missing
        known = library()
        stop.heed()
    given = isinstance(training, Training)
    plan = training if isinstance(training, Training) else load_training(Path(training))
    origin = "training" if given else str(training)
    start = time.monotonic()
    with _named(origin):
        require_possible(plan)
        paths, halo = halo_of(plan)
        made = simulate(plan, workers, say)
    simulated = time.monotonic()
    values = {name: made.values[path] for name, path in paths.items()}
    last = int(np.searchsorted(made.mock, plan.simulations))
    cloud = Cloud.of(made.summaries[:last], made.n_stars[:last], made.radii[:last])
    data = cloud.standardised(made.summaries)
    halo = halo.turned({name: each[:last] for name, each in values.items()}, data[:last])
    deviates = halo.deviates(values)
    summary = MomentSummary(plan.network.edges)
    with deferred_interrupt() as stop:
        with _named(origin):
            network = learn(
                *(known, data[:last], deviates[:last], made.mock[:last], plan.network, plan.seed),
                *(say, stop.heed),
            )
        learnt = time.monotonic()
        trained = TrainedHalo(summary, network, cloud, halo, "", {})
        versions = {"haloassay": __version__, "python": platform.python_version()}
        told = {
            "kind": "haloassay network for npe",
            "training": plan.to_dict(),
            "versions": {**versions, "numpy": np.__version__, **known.versions},
            "seconds": {
                "simulation": round(simulated - start),
                "learning": round(learnt - simulated),
            },
            "missing": made.missing,
            "held_out": judged(trained, values, made, last, plan.seed, stop.heed),
        }
        stop.heed()  # for the last time: files are written whole, and then it is done
        trained_halo.save(folder, trained_halo.to_files(summary, network, cloud, halo, told))
    return trained_halo.load(str(folder))


@contextlib.contextmanager
def _named(origin: str) -> Iterator[None]:
    """Put the file before what is wrong with it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{origin}: {error}") from error


def halo_of(plan: Training) -> tuple[dict[str, str], HaloModel]:
    """Paths of what is inferred, by its name, and the halo that it is of.

    Raises
    ------
    InputError
        If no NFW halo by m200 and c is all that is dark, or its mass is not among what varies.
    """
    mock, _ = plan.at({path: float(p.quantile(np.array(0.5))) for path, p in plan.priors.items()})
    from haloassay.mocks.gravity.potentials import make_potential

    spec = mock.get("potential")
    potential: CompositePotential = make_potential(spec, "mock.potential")
    dark = [k for k, part in enumerate(potential.components) if part.dark]
    at = dark[0] if len(dark) == 1 else -1
    nfw: NFW | Any = potential.components[at]
    by_mass = type(nfw).__name__ == "NFW" and getattr(nfw, "m200", None) is not None
    require(
        len(dark) == 1 and by_mass,
        "mock.potential: needs one dark component, an nfw halo by m200 and c",
    )
    prefix = f"mock.potential.{at}" if isinstance(spec, list) else "mock.potential"
    paths = {"m200": f"{prefix}.m200", "c200": f"{prefix}.c"}
    beta = mock.get("beta")
    held: dict[str, Any] = {"m200": nfw.m200, "c200": nfw.c}
    if isinstance(beta, dict) and beta.get("kind") == "constant":
        paths["beta"] = "mock.beta.beta"
        held["beta"] = beta.get("beta", 0.0)
    inferred = {name: path for name, path in paths.items() if path in plan.priors}
    require("m200" in inferred, f"prior: gives none of {paths['m200']}, which is what is inferred")
    fixed = {name: float(held[name]) for name in paths if name not in inferred}
    r = np.geomspace(*_TABLE)
    others = [part for k, part in enumerate(potential.components) if k != at]
    other = np.sum([part.enclosed_mass(r) for part in others], axis=0) + np.zeros_like(r)
    priors = {name: plan.priors[path] for name, path in inferred.items()}
    _require_rigid(plan, prefix)
    return inferred, HaloModel(
        priors, fixed, nfw.h0, nfw.overdensity, r, other, np.eye(len(priors))
    )


def _require_rigid(plan: Training, prefix: str) -> None:
    """Raise :class:`InputError` where masses vary that are taken for known."""
    for path in plan.priors:
        varied = path.startswith("mock.potential") and path not in (f"{prefix}.m200", f"{prefix}.c")
        require(not varied, f"prior of {path}: of the potential m200 and c of the halo may vary")


def simulate(plan: Training, workers: int, say: Callable[[str], None]) -> Simulations:
    """Make the mocks of the prior, those that are held out last, and what a network looks at of each catalogue.

    Raises
    ------
    InputError
        If mock or survey is not usable, or a tenth of the prior has no mock.
    """
    n = plan.simulations + plan.held_out
    MomentSummary(plan.network.edges)
    first = simulation(plan, 0)  # what is wrong is said at once
    lo, hi = plan.network.edges[0], plan.network.edges[-1]
    within = (each.radii for each in first if not isinstance(each, str))
    require(
        isinstance(first, str) or any(near < hi and far >= lo for near, far in within),
        f"network.edges: from {lo:g} to {hi:g} kpc, where no star of the first mock is",
    )
    found, begun, told = [], time.monotonic(), time.monotonic()
    with contextlib.closing(_all(plan, n, workers)) as simulated:
        for each in simulated:
            found.append(each)
            if time.monotonic() - told > _INTERVAL:
                told = time.monotonic()
                left = (told - begun) / len(found) * (n - len(found))
                say(f"{len(found)} of {n} mocks, {left:.0f} s left")
    missing = sum(isinstance(each, str) for each in found)
    if missing > _MOST_MISSING * n:
        reason = next((each for each in (first, *found) if isinstance(each, str)), "")
        raise InputError(f"prior: {missing} of {n} draws have no mock, such as: {reason}")
    kept = [(k, one) for k, each in enumerate(found) if not isinstance(each, str) for one in each]
    say(f"{n - missing} mocks, {len(kept)} catalogues in {time.monotonic() - begun:.0f} s")
    if missing:
        say(f"{missing} draws of the prior have no mock: it ends there")
    values = {path: np.array([one.values[path] for _, one in kept]) for path in plan.priors}
    summaries, n_stars, radii = (
        np.array([getattr(one, name) for _, one in kept])
        for name in ("summary", "n_stars", "radii")
    )
    return Simulations(values, summaries, n_stars, radii, np.array([k for k, _ in kept]), missing)


class Simulated(NamedTuple):
    """A catalogue: values of what varies, its summary, number of stars and ends of the radii [kpc]."""

    values: dict[str, float]
    summary: FloatArray
    n_stars: float
    radii: tuple[float, float]


def _all(plan: Training, n: int, workers: int) -> Generator[list[Simulated] | str, None, None]:
    """Make simulations 0 to ``n``, in their order."""
    if workers == 0:
        yield from (simulation(plan, k) for k in range(n))
        return
    calls = ((plan, k, min(k + _CHUNK, n)) for k in range(0, n, _CHUNK))
    with contextlib.closing(in_order(_simulations, calls, workers)) as found:
        for some in found:
            yield from some


def _simulations(plan: Training, first: int, end: int) -> list[list[Simulated] | str]:
    return [simulation(plan, k) for k in range(first, end)]


def simulation(plan: Training, k: int) -> list[Simulated] | str:
    """Catalogues of a mock, one of those that are held out; or why there is no mock.

    Raises
    ------
    InputError
        If mock or survey do not accept what is drawn; the message has its values.
    """
    drawn = plan.draw(stream(plan.seed, "prior", k))
    try:
        return _catalogues(plan, k, drawn)
    except EquilibriumError as error:
        return str(error)
    except InputError as error:
        raise InputError(f"{error} (with {stated(drawn)})") from error


def _catalogues(plan: Training, k: int, drawn: dict[str, float]) -> list[Simulated]:
    """Catalogues of mock ``k`` with what is drawn; ``drawn`` becomes what was drawn last."""
    from haloassay.mocks import make_mock
    from haloassay.mocks.surveys.survey import make_survey

    made = make_mock(plan.at(drawn)[0])
    held = k >= plan.simulations
    found: list[Simulated] = []
    for j in range(1 if held else plan.catalogues):
        again = f":{j}" if j else ""
        if again:
            anew = plan.draw(stream(plan.seed, f"prior{again}", k))
            drawn.update({p: value for p, value in anew.items() if p.startswith("survey.")})
        rngs = (stream(plan.seed, f"{axis}{again}", k) for axis in ("population", "survey"))
        catalogue = make_survey(plan.at(drawn)[1]).observe(made, *rngs).catalogue
        rng = stream(plan.seed, f"subsets{again}", k)
        found += _simulated_of(
            plan, drawn, catalogue, [] if held else plan.below(len(catalogue), rng), rng
        )
    return found


def _simulated_of(
    plan: Training,
    values: dict[str, float],
    catalogue: Catalogue,
    subsets: Sequence[int],
    rng: np.random.Generator,
) -> Iterator[Simulated]:
    """Catalogue, and subsets of so many of its stars."""
    summary = MomentSummary(plan.network.edges)
    r, v = catalogue.r, catalogue.spherical_velocity
    noise = np.einsum("njj->nj", catalogue.spherical_covariance)
    n = len(r)
    for number in (n, *subsets):
        rows = slice(None) if number == n else rng.choice(n, number, replace=False)
        ends = (float(r[rows].min()), float(r[rows].max()))
        found = summary.of_stars(r[rows], v[rows], noise[rows])
        own = {N_STARS: float(number)} if N_STARS in values else {}
        yield Simulated(values | own, found, float(number), ends)


def judged(
    trained: TrainedHalo,
    values: dict[str, FloatArray],
    made: Simulations,
    last: int,
    seed: int,
    heed: Callable[[], None],
) -> dict[str, Any]:
    """Bias, coverage and ranks of what a network says of the mocks that it was not taught, as plain values.

    Parameters
    ----------
    trained
        The network.
    values
        Truths of its targets.
    made, last
        The catalogues, and how many of them it was taught.
    seed
        Of the draws.
    heed
        Is called before each mock, and may raise.
    """
    from scipy.stats import kstest

    held = range(last, len(made.n_stars))
    refused = 0
    rows: dict[str, list[tuple[float, ...]]] = {}
    middle = float(np.exp(np.median(made.summaries[:, -5])))
    for k in held:
        heed()
        refused += _is_refused(trained, made.summaries[k], made.n_stars[k])
        draws = trained.posterior(made.summaries[k], 1000, stream(seed, "judged", k))
        truth = {name: each[k : k + 1] for name, each in values.items()}
        known = {n: np.array([v]) for n, v in trained.halo.known.items()}
        mass = trained.halo.enclosed_mass(middle, draws)
        pairs = {name: (draws[name], truth[name]) for name in values}
        pairs["enclosed_mass"] = (mass, trained.halo.enclosed_mass(middle, {**known, **truth}))
        for name, (posterior, true) in pairs.items():
            share = float(np.mean(posterior < true))
            lo, median, hi = np.percentile(posterior, [16.0, 50.0, 84.0])
            away = (median - true[0]) / (1.0 if name == "beta" else true[0])
            width = 0.5 * (hi - lo) / (1.0 if name == "beta" else true[0])
            rows.setdefault(name, []).append((share, float(away), float(width)))
    table = {}
    for name, each in rows.items():
        share, away, width = np.array(each).T
        table[name] = {
            "bias": float(np.mean(away)),
            "bias_error": float(np.std(away) / np.sqrt(len(away))),
            "half_width": float(np.median(width)),
            "coverage68": float(np.mean(np.abs(share - 0.5) < 0.34)),
            "coverage95": float(np.mean(np.abs(share - 0.5) < 0.475)),
            "p_ranks": float(kstest(share, "uniform").pvalue),
        }
    return {"mocks": len(held), "refused": refused, "radius": middle, "table": table}


def _is_refused(trained: TrainedHalo, summary: FloatArray, n_stars: float) -> bool:
    from haloassay.base.errors import EstimationError

    try:
        trained.cloud.require_like(summary, n_stars, trained.summary.names)
    except EstimationError:
        return True
    return False
