"""Matching: runs mocks of free settings round by round until their emulators are good where the posterior is."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from haloassay.analysis.alignment import Target, simulated, targets
from haloassay.analysis.coordinates import coordinate
from haloassay.analysis.emulator import fit as emulate
from haloassay.analysis.exploration import Draws, at_edge, explore, leaves
from haloassay.analysis.likeness import Fit, goodness
from haloassay.analysis.match import Match, Round, Span, rows_of
from haloassay.analysis.matching import Data, Likeness, Region, Simulations, liken
from haloassay.base.arrays import FloatArray
from haloassay.base.defaults import ROUNDS, SHARE
from haloassay.base.errors import InputError
from haloassay.base.seeds import stream
from haloassay.contracts.measurements import Measurement
from haloassay.contracts.quantities import QUANTITIES, Quantity, known_quantities
from haloassay.engine.progress import Progress, Silent, make_progress
from haloassay.engine.runner import run
from haloassay.io.measurements import read_measurements
from haloassay.planning.factors import Factor
from haloassay.planning.free import (
    at_point,
    designed,
    free_factors,
    parse_free,
    pointed,
    settings_at,
)
from haloassay.planning.plan import make_plan
from haloassay.planning.scenario import Scenario, as_scenario
from haloassay.results.results import Results
from haloassay.results.store import Mode

if TYPE_CHECKING:
    import pandas as pd

#: Temperature of the draws that a further round is run at: wider than the posterior by its root.
_WARM: Final = 2.5
#: Mocks that are run at the best settings.
_CHECKED: Final = 24
#: Draws of the posterior, and those of which the halo's masses are known.
_DRAWS: Final = 2000
_OF_MASSES: Final = 500
#: Points of a round for each free setting, and the fewest and most by default.
_EACH: Final = 14
_FEWEST, _MOST = 64, 512
#: Quantities whose truth is told wherever the estimators that are compared have it.
_TOLD: Final = ("beta",)
#: Standard errors by which mocks at the best settings may differ from the emulators, the largest of all numbers.
_DISTINCT: Final = 4.0
#: Best points that are tried where there is no mock.
_TRIES: Final = 20


@dataclass(frozen=True)
class _Family:
    """Mocks of free settings, and what is compared of them."""

    scenario: Scenario
    factors: tuple[Factor, ...]
    targets: tuple[Target, ...]
    quantities: Mapping[str, Quantity]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(factor.label for factor in self.factors)

    @property
    def labels(self) -> tuple[str, ...]:
        """Estimators that are compared."""
        return tuple(dict.fromkeys(target.estimator for target in self.targets))

    @property
    def data(self) -> Data:
        measured = [target.measured for target in self.targets]
        return Data.of(
            np.array([m.value for m in measured]),
            np.array([m.error for m in measured]),
            [target.coordinate for target in self.targets],
        )


@dataclass(frozen=True)
class _Truths:
    """Truths beside simulated estimates: columns (quantity, bin edges), and their values (n, columns) at points."""

    keys: tuple[tuple[str, str, int], ...]
    edges: Mapping[tuple[str, str, int], tuple[float, float, float]]
    values: FloatArray

    def __add__(self, other: _Truths) -> _Truths:
        keys = tuple(dict.fromkeys((*self.keys, *other.keys)))
        parts = []
        for each in (self, other):
            columns = {key: each.values[:, k] for k, key in enumerate(each.keys)}
            none = np.full(len(each.values), np.nan)
            parts.append(np.stack([columns.get(key, none) for key in keys], axis=1))
        return _Truths(keys, {**self.edges, **other.edges}, np.concatenate(parts))


def match(
    scenario: str | Path | Mapping[str, Any] | Scenario,
    to: str | Path | Sequence[Measurement],
    out: str | Path,
    free: Sequence[str] | Mapping[str, Any],
    *,
    points: int | None = None,
    rounds: int = ROUNDS,
    share: float = SHARE,
    workers: int | None = None,
    seed: int | None = None,
    mode: Mode = "resume",
    progress: Progress | None = None,
) -> Match:
    """Find the mocks of a scenario whose simulated measurements agree with measured ones (indirect inference).

    Parameters
    ----------
    scenario
        As for :func:`haloassay.run`; its survey and estimators are those of the measurement, its matrix does not count.
    to
        Measured numbers: a table (:func:`haloassay.io.measurements.read_measurements`), or the numbers themselves.
    out
        Folder of the runs: the first over the priors, ``round-0``, further ones where the posterior is, and
        ``matched``, at the best settings.
    free
        Paths of settings that are free, each ``"PATH"`` or ``"PATH=PRIOR"``, or a mapping of paths to priors;
        :func:`haloassay.planning.free.free_factors`.
    points
        Mocks a round, a power of two; each is observed twice.
    rounds
        Rounds at most.
    share
        Error of the emulators, in units of the other errors, from which no further round is run.
    workers, mode, progress
        As for :func:`haloassay.run`.
    seed
        Takes the place of that of the scenario.

    Raises
    ------
    InputError
        If scenario, measurements or free settings are unusable, before anything is written; if no mock is possible
        or no number can be emulated.
    """
    base = as_scenario(scenario).revise(seed=seed)
    if not 1 <= rounds <= 20:
        raise InputError(f"match: rounds: 1 to 20 (got {rounds})")
    if not 0.0 < share < 10.0:
        raise InputError(f"match: share: above 0 and below 10 (got {share:g})")
    factors = free_factors(base, parse_free(free))
    n = _points(len(factors)) if points is None else points
    if n < _FEWEST or n & (n - 1):
        raise InputError(f"match: points: a power of two, {_FEWEST} or more (got {n})")
    report = progress or make_progress()
    labels = [entry.label for entry in base.estimators]
    own = make_plan(designed(base, factors, n, 2, labels)).quantities  # refuses what cannot be
    known = known_quantities(own)
    measured = read_measurements(to, known) if isinstance(to, str | Path) else tuple(to)
    rows = _pilot(base, workers)
    family = _Family(base, factors, targets(measured, rows, labels, known), known)
    for target in family.targets:
        if target.also:
            report.say(
                f"{target.measured}: of {target.estimator} (also in {', '.join(target.also)})"
            )
    return _Matching(family, Path(out), n, rounds, share, workers, mode, report).run()


def _points(d: int) -> int:
    """Points of a round of ``d`` free settings."""
    wanted = min(max(_EACH * d, _FEWEST), _MOST)
    return 1 << (wanted - 1).bit_length()


def _pilot(scenario: Scenario, workers: int | None) -> pd.DataFrame:
    """Rows of one catalogue of the scenario as written: what there is to compare."""
    with tempfile.TemporaryDirectory(prefix="haloassay-") as folder:
        one = scenario.revise(matrix={}, realizations=1)
        results = run(one, folder, workers=workers, progress=Silent())
        rows = results.frame("estimates")
        if not len(rows):
            raise InputError(f"{scenario.origin}: no estimates: {'; '.join(results.reasons())}")
    return rows


@dataclass(frozen=True)
class _Matching:
    """Rounds of a match."""

    family: _Family
    out: Path
    points: int
    most: int
    share: float
    workers: int | None
    mode: Mode
    report: Progress

    def run(self) -> Match:
        family = self.family
        region = Region.whole(len(family.factors))
        simulations, truths = self._round(0, None)
        done: list[Round] = []
        more = simulations
        while True:
            k = len(done)
            likeness = liken(simulations, family.data, region, family.names)
            draws = explore(likeness, self._rng(f"round-{k}"), _DRAWS)
            fit = goodness(likeness, draws)
            done.append(self._noted(k, more, likeness, fit))
            good = fit.emulator_share <= self.share and bool(likeness.used.all())
            good = good and not leaves(draws.u, likeness)
            # the first emulators hold for all of the priors: a round where the posterior is checks them
            if (good and k > 0) or k == self.most - 1:
                break
            warm = explore(likeness, self._rng(f"warm-{k}"), 4 * self.points, _WARM)
            u = self._possible(warm.u)
            region = Region.around(np.vstack([u, draws.u]))
            more, told = self._round(k + 1, u)
            simulations, truths = simulations + more, truths + told
        converged = good and draws.enough
        return self._concluded(likeness, draws, fit, simulations, truths, tuple(done), converged)

    def _noted(self, k: int, more: Simulations, likeness: Likeness, fit: Fit) -> Round:
        """Say what a round gave."""
        lost = int(more.lost.sum())
        self.report.say(
            f"round {k}: {len(more.u)} mocks, {lost} impossible; error of the emulators"
            f" {fit.emulator_share:.2f} of the others; chi2 {fit.chi2:.1f} of {len(fit.mean)} numbers"
        )
        catalogues = more.y.shape[0] * more.y.shape[1]
        return Round(len(more.u), catalogues, lost, fit.emulator_share, likeness.n)

    def _rng(self, what: str) -> np.random.Generator:
        return stream(self.family.scenario.seed, f"match:{what}", 0)

    def _possible(self, u: FloatArray) -> FloatArray:
        """As many points as a round has whose mocks accept their settings."""
        from haloassay.mocks import make_mock

        chosen: list[FloatArray] = []
        for point in u:
            try:
                make_mock(at_point(self.family.scenario, self.family.factors, point, 15).mock)
            except InputError:
                continue
            chosen.append(point)
            if len(chosen) == self.points:
                return np.array(chosen)
        raise InputError(f"match: only {len(chosen)} of {len(u)} settings that fit can be")

    def _round(self, k: int, u: FloatArray | None) -> tuple[Simulations, _Truths]:
        """Run a round: over the priors, or at points."""
        family, folder = self.family, self.out / f"round-{k}"
        scenario = (
            designed(family.scenario, family.factors, self.points, 2, family.labels)
            if u is None
            else pointed(family.scenario, family.factors, u, 2, family.labels)
        )
        self.report.say(f"round {k}: {self.points} mocks, each observed twice")
        results = run(scenario, folder, workers=self.workers, mode=self.mode, progress=self.report)
        ((cell, sampling),) = results.samplings.items()
        n = sampling.size(scenario.realizations)
        frame, runs = results.frame("estimates"), results.frame("runs")
        frame, runs = frame[frame["cell"] == cell], runs[runs["cell"] == cell]
        if u is None:
            where = np.array([sampling.coordinates(i) for i in range(0, n, 2)])
        else:
            told = results.points(cell, range(0, n, 2))["mock"]
            where = u[[int(label) for label in told]]
        y = simulated(frame, family.targets, range(n)).reshape(n // 2, 2, -1)
        none = set(runs.loc[runs["status"] == "no-mock", "realization"] // 2)
        lost = np.array([i in none for i in range(n // 2)])
        if lost.all():
            reasons = "; ".join(results.reasons(1))
            raise InputError(f"match: there is no mock of any of {n // 2} settings ({reasons})")
        return Simulations(where, y, lost), self._told(frame, n // 2)

    def _told(self, frame: pd.DataFrame, n: int) -> _Truths:
        """Truths beside the estimates of what is compared, means of both catalogues of a point."""
        wanted = {target.quantity.name for target in self.family.targets} | set(_TOLD)
        known = frame[frame["quantity"].isin(wanted) & np.isfinite(frame["truth"])]
        keys, columns, edges = [], [], {}
        for (estimator, quantity, number), mine in known.groupby(["estimator", "quantity", "bin"]):
            key = (str(estimator), str(quantity), int(str(number)))
            means = mine.groupby(mine["realization"] // 2)["truth"].mean()
            column = np.full(n, np.nan)
            column[means.index.to_numpy(int)] = means.to_numpy(float)
            keys.append(key)
            columns.append(column)
            r, lo, hi = (float(mine[name].median()) for name in ("r", "r_lo", "r_hi"))
            edges[key] = (r, lo, hi)
        values = np.stack(columns, axis=1) if columns else np.empty((n, 0))
        return _Truths(tuple(keys), edges, values)

    def _concluded(
        self,
        likeness: Likeness,
        draws: Draws,
        fit: Fit,
        simulations: Simulations,
        truths: _Truths,
        done: tuple[Round, ...],
        converged: bool,
    ) -> Match:
        family = self.family
        best, results = self._matched(draws, likeness)
        rows = results.frame("estimates")
        cell = rows["cell"] == results.base_cell
        values = simulated(rows[cell], family.targets, sorted(set(rows["realization"])))
        refused = tuple(emulator.refused for emulator in likeness.emulators)
        named = {k: float(f"{x:.6g}") for k, x in settings_at(family.factors, best).items()}
        at = [factor.places[0] for factor in family.factors]
        paths = [".".join(place) for place in at]
        drawn = {
            path: np.array([f.at(float(x)).value for x in draws.u[:, k]])
            for k, (path, f) in enumerate(zip(paths, family.factors, strict=True))
        }
        edges = at_edge(draws.u)
        settings = tuple(
            Span.of(
                factor.label,
                drawn[path],
                best=float(named[path]),
                prior=str(factor.prior),
                note=_edge_note(*edges[k]),
            )
            for k, (path, factor) in enumerate(zip(paths, family.factors, strict=True))
        )
        masses = self._masses(draws.u)
        told = self._emulated(truths, simulations, likeness.region, draws.u)
        notes = _notes(likeness, draws, done, self.share)
        if (off := _off(fit, values[:, likeness.used])) > _DISTINCT:
            notes = (
                *notes,
                f"mocks run at the best settings are {off:.1f} sigma off the emulators",
            )
        return Match(
            family.scenario.name,
            settings,
            (*masses, *told),
            rows_of(family.targets, likeness.used, refused, fit, values),
            fit,
            done,
            named,
            drawn,
            converged,
            notes,
        )

    def _matched(self, draws: Draws, likeness: Likeness) -> tuple[FloatArray, Results]:
        """Run mocks at the best point that there is a mock of, with all estimators of the scenario."""
        order = np.argsort(likeness.log_density(draws.u))[::-1][: _TRIES - 1]
        family, why = self.family, ""
        for u in np.vstack([draws.best[None], draws.u[order]]):
            scenario = at_point(family.scenario, family.factors, u)
            one = scenario.revise(matrix={}, realizations=_CHECKED)
            try:
                folder = self.out / "matched"
                self.report.say(f"best settings: {_CHECKED} mocks")
                results = run(
                    one, folder, workers=self.workers, mode=self.mode, progress=self.report
                )
            except InputError as error:
                why = str(error)
                continue
            return u, results
        raise InputError(f"match: there is no mock of the settings that fit best ({why})")

    def _masses(self, u: FloatArray) -> list[Span]:
        """Posterior of the masses of the halo, which need its potential only."""
        from haloassay.mocks import make_mock

        radii = sorted({t.measured.middle for t in self.family.targets if t.measured.middle > 0.0})
        virial, within = [], []
        for point in u[:: max(len(u) // _OF_MASSES, 1)]:
            mass = make_mock(
                at_point(self.family.scenario, self.family.factors, point, 15).mock
            ).mass
            if mass is None:
                return []
            virial.append([*mass.virial()])
            within.append(mass.enclosed_mass(np.array(radii)))
        numbers, enclosed = np.array(virial), np.array(within).reshape(len(virial), -1)
        spans = [
            Span.of(name, numbers[:, k], unit=QUANTITIES[name].unit)
            for k, name in enumerate(("m200", "r200", "c200"))
        ]
        unit = QUANTITIES["enclosed_mass"].unit
        spans += [
            Span.of("enclosed_mass", enclosed[:, k], r=r, unit=unit) for k, r in enumerate(radii)
        ]
        return spans

    def _emulated(
        self, truths: _Truths, simulations: Simulations, region: Region, u: FloatArray
    ) -> list[Span]:
        """Posterior of truths that come with estimates, through emulators of their own."""
        inside = region.holds(simulations.u)
        x = np.clip(region.local(simulations.u[inside]), 0.0, 1.0)
        at = np.clip(region.local(u), 0.0, 1.0)
        spans = []
        for k, key in enumerate(truths.keys):
            _, name, _ = key
            quantity = self.family.quantities.get(name)
            y = truths.values[inside, k]
            if quantity is None or np.isfinite(y).sum() < 2:
                continue
            of = coordinate(quantity)
            emulator = emulate(x, of.of(y), self.family.names)
            if emulator.refused:
                continue
            mean, sd = emulator.predict(at)
            values = of.back(mean + sd * self._rng(f"truth:{key}").standard_normal(len(mean)))
            r, lo, hi = truths.edges[key]
            spans.append(Span.of(name, values, r=r, r_lo=lo, r_hi=hi, unit=quantity.unit))
        return spans


def _off(fit: Fit, values: FloatArray) -> float:
    """Largest difference of simulated numbers (n, m) at the best settings from the emulators', in standard errors."""
    n = np.isfinite(values).sum(axis=0)
    many = n > 0.5 * len(values)
    if not many.any():
        return 0.0
    errors = np.hypot(fit.emulated, fit.scatter / np.sqrt(np.maximum(n, 1)))[many]
    return float(np.abs((np.nanmean(values[:, many], axis=0) - fit.mean[many]) / errors).max())


def _edge_note(lower: float, upper: float) -> str:
    """Say where a posterior gathers at an edge of the prior: more than five times its share of a flat one."""
    for share, which in ((lower, "lower"), (upper, "upper")):
        if share > 0.1:
            return f"{100.0 * share:.0f} per cent at the {which} edge of its prior"
    return ""


def _notes(
    likeness: Likeness, draws: Draws, done: tuple[Round, ...], share: float
) -> tuple[str, ...]:
    notes = []
    if done[-1].share > share:
        notes.append(
            f"the error of the emulators is {done[-1].share:.2f} of the others (wanted: {share:g}):"
            " more points or rounds"
        )
    if leaves(draws.u, likeness):
        notes.append("the posterior reaches beyond what was emulated: more rounds")
    if not draws.enough:
        notes.append(f"the chain is short: autocorrelation {draws.autocorrelation:.0f} steps")
    if lost := sum(each.lost for each in done):
        notes.append(f"{lost} of {sum(each.points for each in done)} settings have no mock")
    return tuple(notes)
