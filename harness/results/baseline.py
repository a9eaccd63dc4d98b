"""Baselines: a small text file that stands for a finished run, kept in a repository and compared with later runs.

It has the scores, one row a line, and of each realisation what a comparison pairs: errors, half widths and hits of the
intervals. Of a large run it keeps as many realisations as fit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from haloassay import __version__
from haloassay.analysis.compare import FEWEST, Key, Sample, Side, samples_of
from haloassay.analysis.query import KEYS
from haloassay.analysis.scores import SCORES
from haloassay.base.cache import content_key
from haloassay.base.errors import InputError
from haloassay.contracts.quantities import of_results
from haloassay.results.results import Results

if TYPE_CHECKING:
    from haloassay.base.arrays import FloatArray
    from haloassay.planning.scenario import Spec

#: Of files as this version writes and reads them.
FORMAT: Final = 1
#: Bytes that a baseline has at most.
LARGEST: Final = 200_000
#: What is kept of a run that is too large, from try to try.
_FEWER: Final = 0.8
_DIGITS: Final = 6
_FIELDS: Final = ("e", "half", "in68", "in95")
_HIT, _MISS, _NONE = "1", "0", "-"


class Baseline(NamedTuple):
    """Text of a baseline, and how many rows and realisations it keeps."""

    text: str
    rows: int
    realizations: int


def side_of(results: Results) -> Side:
    """Read a finished run, to be compared."""
    return Side(
        str(results.out),
        {cell["cell"]: cell["cell_key"] for cell in results.description["cells"]},
        results.steadily(lambda: samples_of(results)),
        _seconds(results),
        results.quantities,
    )


def _seconds(results: Results) -> dict[tuple[str, str], float]:
    runs = results.frame("runs")
    found = runs[runs["status"] == "ok"].groupby(["cell", "estimator"])["seconds"].median()
    return dict(zip(found.index, map(float, found), strict=True))


def read_side(place: str | Path) -> Side:
    """Read a results folder or a baseline, to be compared.

    Raises
    ------
    InputError
        If it is neither, or damaged.
    """
    place = Path(place)
    return side_of(Results(place)) if place.is_dir() else _read(place)


def baseline_of(results: Results) -> Baseline:
    """Make the baseline of a finished run: JSON.

    Raises
    ------
    InputError
        If the run has no scores, or so many that not even ten realisations of each fit.
    """
    side = side_of(results)
    if not side.samples:
        raise InputError(f"{results.out}: nothing to keep: no estimator gave a value")
    scores = results.table()
    of_each = dict(
        zip(map(tuple, scores[list(KEYS)].to_numpy()), scores.to_dict("records"), strict=True)
    )
    rows = {key: _scores(of_each[key]) for key in side.samples}
    most = max(len(sample.realization) for sample in side.samples.values())
    for n in _numbers(most):
        text = _written(results, side, rows, n)
        if len(text.encode()) <= LARGEST:
            return Baseline(text, len(rows), n)
    raise InputError(
        f"{results.out}: its {len(rows)} rows of scores do not fit into a baseline of {LARGEST // 1000} kB: make it of"
        " fewer cells, estimators or bins"
    )


def _numbers(most: int) -> Iterator[int]:
    """Numbers of realisations to try."""
    n = most
    while n >= min(most, FEWEST):
        yield n
        n = math.floor(_FEWER * n)


def _scores(row: Mapping[Any, Any]) -> Spec:
    names = [name for score in SCORES for name in (score.name, f"{score.name}_mcse")]
    return {"n": int(row["n"]), **{name: _number(row[name]) for name in names}}


def _number(x: float) -> float | None:
    """As many digits as say anything; None of what is no number."""
    return float(f"{x:.{_DIGITS}g}") if math.isfinite(x) else None


def _written(results: Results, side: Side, rows: Mapping[Key, Spec], n: int) -> str:
    """Write a baseline of the first ``n`` realisations of each row."""
    scenario = results.scenario
    used = {key.quantity for key in rows}
    head: Spec = {
        "format": FORMAT,
        "haloassay": __version__,
        "scenario": scenario.get("name"),
        "seed": scenario.get("seed"),
        "catalogues": dict(side.catalogues),
        "quantities": [q.to_dict() for name, q in side.quantities.items() if name in used],
        "seconds": [[*key, _number(x)] for key, x in side.seconds.items()],
    }
    body = [
        {**key._asdict(), "r": _number(sample.r), "unit": sample.unit, **rows[key]}
        | _realizations(sample, n)
        for key, sample in side.samples.items()
    ]
    head["digest"] = content_key({**head, "rows": body})
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    listed = ",\n".join(json.dumps(row, ensure_ascii=False) for row in body)
    return "{\n" + ",\n".join([*lines, f'"rows": [\n{listed}\n]']) + "\n}\n"


def _realizations(sample: Sample, n: int) -> Spec:
    first = sample.at(np.arange(min(n, len(sample.realization))))
    hits = {
        name: "".join(_NONE if np.isnan(x) else _HIT if x else _MISS for x in getattr(first, name))
        for name in ("in68", "in95")
    }
    values = {name: [_number(x) for x in getattr(first, name)] for name in ("e", "half")}
    return {"realization": first.realization.tolist(), **values, **hits}


def _read(file: Path) -> Side:
    try:
        told = json.loads(file.read_bytes(), parse_constant=_refuse)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: is neither a results folder nor a baseline") from error
    if not isinstance(told, dict) or "format" not in told or "rows" not in told:
        raise InputError(f"{file}: is neither a results folder nor a baseline")
    if told["format"] != FORMAT:
        raise InputError(
            f"{file}: is a baseline of format {told['format']!r}, of haloassay {told.get('haloassay', '?')}; this"
            f" version reads {FORMAT}: make it again (haloassay baseline)"
        )
    said = told.pop("digest", None)
    if said != content_key(told):
        raise InputError(
            f"{file}: is damaged, or was edited by hand: its digest is of other content"
        )
    samples = {
        Key(row["cell"], row["estimator"], row["quantity"], row["bin"]): Sample(
            *(_value(row["r"]), row["unit"], np.array(row["realization"], dtype=np.int64)),
            *(_values(row[name]) for name in _FIELDS),
        )
        for row in told["rows"]
    }
    seconds = {(cell, estimator): _value(x) for cell, estimator, x in told["seconds"]}
    quantities = of_results(told["quantities"])
    return Side(str(file), told["catalogues"], samples, seconds, quantities)


def _refuse(constant: str) -> None:
    """No baseline has what JSON has no number for."""
    raise ValueError(constant)


def _value(x: float | None) -> float:
    return math.nan if x is None else x


def _values(told: str | list[float | None]) -> FloatArray:
    if isinstance(told, str):
        return np.array([math.nan if x == _NONE else float(x == _HIT) for x in told])
    return np.array([_value(x) for x in told], dtype=float)
