"""Rows of results as they stand on disk and as they are queried: one schema for those who write and those who read."""

from __future__ import annotations

from typing import Any, Final, Literal

import pyarrow as pa

#: The two tables of a results folder: one row an estimate, and one a (cell, realisation, estimator).
TableName = Literal["estimates", "runs"]

_KEYS: Final[dict[str, Any]] = {
    "cell": pa.string(),
    "cell_key": pa.string(),
    "estimator": pa.string(),
    "estimator_key": pa.string(),
    "realization": pa.int64(),
}

#: What a result is one of: columns of both tables.
RESULT: Final = tuple(_KEYS)

SCHEMAS: Final[dict[TableName, pa.Schema]] = {
    "estimates": pa.schema(
        {
            **_KEYS,
            "quantity": pa.string(),
            "bin": pa.int64(),
            **dict.fromkeys(("r", "r_lo", "r_hi"), pa.float64()),
            "unit": pa.string(),
            **dict.fromkeys(("value", "lo68", "hi68", "lo95", "hi95", "truth"), pa.float64()),
            "rank": pa.int64(),
            "n_draws": pa.int64(),
            "note": pa.string(),
        }
    ),
    "runs": pa.schema(
        {
            **_KEYS,
            "status": pa.string(),
            "error_type": pa.string(),
            "message": pa.string(),
            "traceback": pa.string(),
            "seconds": pa.float64(),
            "n_stars": pa.int64(),
            "overlap": pa.float64(),
            **dict.fromkeys(("joint_rank", "joint_draws", "joint_rows"), pa.int64()),
        }
    ),
}
