"""The commands as functions, for scripts and notebooks; the command line calls these and prints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haloassay.base.errors import HaloassayWarning, InputError, blamed_on
from haloassay.base.files import require_no_link
from haloassay.base.kinds import is_foreign
from haloassay.base.settings import guess
from haloassay.engine.runner import run

if TYPE_CHECKING:
    import pandas as pd

    from haloassay.contracts.catalogue import Catalogue, Propagation
    from haloassay.contracts.estimate import Estimates, Estimator
    from haloassay.face.vocabulary import Entry
    from haloassay.io.tables import Source

__all__ = [
    "describe",
    "failures",
    "list",
    "measure",
    "report",
    "run",
    "table",
]


def table(out: str | Path) -> pd.DataFrame:
    """Scores of the results in folder ``out``: see :func:`haloassay.analysis.scores.score` for the columns."""
    from haloassay.results.results import Results

    return Results(out).table()


def report(out: str | Path, folder: str | Path | None = None, *, figures: bool = False) -> Path:
    """Write the page of the results in ``out``, and its tables as files; return the path of the page.

    Parameters
    ----------
    out
        Folder of the results.
    folder
        Where the page and its tables go; ``report`` in ``out`` by default.
    figures
        Whether to write all figures for papers, too, as PDF and PNG, into ``figures`` in ``out``.
    """
    return write_report(out, folder, figures)[0]


def write_report(
    out: str | Path, folder: str | Path | None, figures: bool
) -> tuple[Path, pd.DataFrame]:
    """As :func:`report`; with the table of scores, which a command that writes a report needs, too."""
    from haloassay.analysis.summary import summarise
    from haloassay.reports.page import write_page
    from haloassay.results.results import Results

    results = Results(out)
    data = results.steadily(lambda: summarise(results))
    if folder is None:
        folder = results.out / "report"
        require_no_link(folder)
    page = write_page(data, Path(folder))
    if figures:
        from haloassay.face.figures import write_figures

        write_figures(results, data)
    return page, data.scores


def failures(out: str | Path, traceback: bool = False) -> str:
    """Say which estimator runs of the results in ``out`` failed, why, how often, and how their catalogues are made.

    Parameters
    ----------
    out
        Folder of the results.
    traceback
        Whether to show where in the code each was raised.
    """
    from haloassay.face.failures import failures_text
    from haloassay.results.results import Results

    return failures_text(Results(out), traceback)


def measure(
    catalogue: Catalogue | Source,
    estimator: str | Mapping[str, Any] | Estimator | type[Estimator],
    /,
    *,
    seed: int = 0,
    propagation: Propagation = "linear",
    survey: str | Mapping[str, Any] | None = None,
    **settings: Any,
) -> Estimates:
    """Run one estimator on a catalogue, real or mock.

    Parameters
    ----------
    catalogue
        A catalogue, or what :func:`haloassay.io.tables.read_catalogue` reads: a file's name, an astropy Table or
        QTable, a SkyCoord, a pandas DataFrame, a mapping of names to arrays. Columns that the estimator does not
        read may have missing values.
    estimator
        Kind; a table as in a scenario: ``kind``, settings and, where it has one, ``label``; or a class or an instance.
    seed
        Of the estimator's random stream; that of a scenario, and the label that it gives, make the estimates of its
        run in realisation 0.
    propagation
        How the errors of the observables are carried to spherical velocities: ``"linear"``, to first
        order, or ``"monte-carlo"``, by 1000 draws a star.
    survey
        Whose selection function the catalogue has, for methods that need one: a preset's name, or a table of settings
        as in a scenario. Its Sun is that of the catalogue.
    settings
        Settings of the estimator as plain values.

    Raises
    ------
    InputError
        If the catalogue or a setting is unusable.
    EstimationError
        If the catalogue does not determine the quantities, or the estimator breaks.

    Warns
    -----
    HaloassayWarning
        If the estimator changed something of this process, which is put back.
    """
    return _measured(catalogue, estimator, settings, seed, propagation, survey, apart=False)


def measure_safely(
    catalogue: Catalogue | Source,
    estimator: str | Mapping[str, Any],
    *,
    seed: int = 0,
    propagation: Propagation = "linear",
    survey: str | Mapping[str, Any] | None = None,
) -> Estimates:
    """Do as :func:`measure`; an estimator that is not of this package runs in a process of its own."""
    spec = {"kind": estimator} if isinstance(estimator, str) else estimator
    return _measured(catalogue, spec, {}, seed, propagation, survey, apart=is_foreign(spec))


def _measured(
    catalogue: Catalogue | Source,
    estimator: Any,
    settings: Mapping[str, Any],
    seed: int,
    propagation: Propagation,
    survey: str | Mapping[str, Any] | None,
    *,
    apart: bool,
) -> Estimates:
    """Check all that can be checked, and measure in this process or apart."""
    import warnings

    from haloassay.base.seeds import stream
    from haloassay.base.settings import unknown
    from haloassay.contracts.catalogue import Catalogue, in_words
    from haloassay.engine import measuring
    from haloassay.estimators import make_estimator
    from haloassay.io.tables import read_catalogue
    from haloassay.planning.objects import estimator_table

    table = estimator_table(estimator, "estimator")
    spec = {**table, **settings} if isinstance(table, Mapping) else table
    kind = str(spec.get("kind", "estimator")) if isinstance(spec, dict) else "estimator"
    label = str(spec.pop("label", "") or kind) if isinstance(spec, dict) else kind
    method = make_estimator(spec, kind)
    if seed < 0:
        raise InputError(f"seed: is 0 or more (got {seed})")
    with blamed_on(f"{kind}: what it needs"):
        needs, uses = method.required(), method.usable()
    if not isinstance(catalogue, Catalogue):
        catalogue = read_catalogue(catalogue, uses=uses)
    if survey is not None:
        catalogue = _selected(catalogue, survey)
    if lacks := catalogue.lacks(needs):
        raise InputError(
            f"{catalogue.origin}: {label}: needs {in_words(lacks)}, which this catalogue does not have (it has"
            f" {', '.join(catalogue.columns)}; --columns names columns that are called otherwise)"
        )
    catalogue = catalogue.read_by(uses)
    catalogue.check_rows(catalogue.r > 0.0, "a Galactocentric radius of zero")
    if propagation not in ("linear", "monte-carlo"):
        raise unknown("propagation", propagation, ("linear", "monte-carlo"), "measure")
    if propagation == "monte-carlo":
        catalogue = catalogue.with_drawn_errors(stream(seed, "propagation", 0))
    measure = measuring.measured_apart if apart else measuring.measured
    made = measure(catalogue, spec, label, seed)
    for what in made.touched:
        warnings.warn(f"{label}: {what}", HaloassayWarning, stacklevel=3)
    return made.estimates


def _selected(catalogue: Catalogue, survey: str | Mapping[str, Any]) -> Catalogue:
    """State by which survey a catalogue was selected."""
    from dataclasses import replace

    from haloassay.mocks.surveys.stated import StatedSelection
    from haloassay.mocks.surveys.survey import make_survey

    table = {"preset": survey} if isinstance(survey, str) else survey
    made = make_survey(table, "survey")
    try:
        return replace(catalogue, selection=StatedSelection.of(made, catalogue.sun))
    except InputError as error:
        raise InputError(f"survey: {error}") from None


def list(what: str) -> tuple[str, ...]:
    """Names to choose from: of mocks, densities, betas, potentials, surveys, estimators, parts, scenarios or claims."""
    from haloassay.face.vocabulary import entries

    return tuple(entry.name for entry in entries(what))


def describe(name: str) -> str:
    """All that is known of a scenario, a part of one, a claim, an estimator, survey or any other kind called ``name``.

    Of a scenario or a claim, also of a TOML file, it is the file, which can be run again.

    Raises
    ------
    InputError
        If nothing has that name, or what a third party offers under it cannot be imported.
    """
    from haloassay.face.vocabulary import VOCABULARY, entries, estimator_entry

    if name.endswith(".toml"):
        return _file(name)
    if ":" in name:
        return _text("estimators", estimator_entry(name))
    found = [(what, entry) for what in VOCABULARY for entry in entries(what) if entry.name == name]
    if not found:
        names = [entry.name for what in VOCABULARY for entry in entries(what)]
        lists = ", ".join(VOCABULARY)
        raise InputError(
            f"describe: unknown name {name!r}{guess(name, names)} (`haloassay list` names all: {lists})"
        )
    found = [(what, entry.whole() if entry.whole else entry) for what, entry in found]
    texts = {what: _text(what, entry) for what, entry in found}
    if "scenarios" in texts:  # what else has its name is a comment of the file
        others = "\n\n".join(text for what, text in texts.items() if what != "scenarios")
        lines = [f"# {line}".rstrip() for line in others.splitlines()]
        return "\n".join([*lines, *([""] if lines else []), texts["scenarios"]])
    return "\n\n".join(texts.values())


def _file(name: str) -> str:
    """Text of a file that is known to be that of a scenario or a claim."""
    from haloassay.planning.claim import is_claim, load_claim
    from haloassay.planning.scenario import load_scenario, read_toml

    if Path(name).is_file() and is_claim(read_toml(Path(name))):
        load_claim(name)
    else:
        load_scenario(name)
    return f"# {name}\n\n{Path(name).read_text('utf-8-sig').rstrip()}"


def _text(what: str, entry: Entry) -> str:
    if what == "scenarios":  # a scenario again, to be copied and changed
        return f"# {entry.name} ({what}); haloassay run {entry.name} --out DIR\n\n{entry.text}"
    if what == "claims":
        return f"# {entry.name} ({what}); haloassay claims {entry.name}\n\n{entry.text}"
    here = ("", f"Here: {entry.here()}") if entry.here else ()
    return "\n".join([f"{entry.name} ({what})", "", entry.text, *here, *_settings(entry.settings)])


def _settings(settings: tuple[str, ...]) -> tuple[str, ...]:
    return ("", "Settings:", *(f"  {setting}" for setting in settings)) if settings else ()
