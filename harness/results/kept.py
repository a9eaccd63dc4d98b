"""Predictors of results, kept in the cache: made once for the parts that a folder has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from haloassay.analysis.prediction import Predictor, predictors
from haloassay.base.cache import cached

if TYPE_CHECKING:
    from haloassay.results.results import Results

#: Raised when equal results give other predictors.
_VERSION = 1


def kept_predictors(
    results: Results, quantity: str, r: float | None, estimator: str | None, cell: str | None
) -> list[Predictor]:
    """Predictors as :func:`haloassay.analysis.prediction.predictors` makes them, from the cache where it has them.

    Parts of a folder are named by digests of what they hold, so their names stand for all results.

    Raises
    ------
    InputError
        As when they are made.
    """
    asked: dict[str, Any] = {"quantity": quantity, "r": r, "estimator": estimator, "cell": cell}
    told = {k: results.description.get(k) for k in ("cells", "factors", "quantities")}
    parts = sorted(path.name for path in results.runs_files)
    content = ["predictors", _VERSION, asked, json.dumps(told, sort_keys=True), parts]

    def make() -> dict[str, Any]:
        found = results.steadily(lambda: predictors(results, quantity, r, estimator, cell))
        text = json.dumps([each.to_data() for each in found], allow_nan=False)
        return {"predictors": np.frombuffer(text.encode(), dtype=np.uint8)}

    stored = cached(content, make)["predictors"]
    return [Predictor.from_data(data) for data in json.loads(stored.tobytes())]
