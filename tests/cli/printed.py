"""Tables as the commands print them, read with every digit."""

from __future__ import annotations

import io

import pandas as pd


def exact(text):
    try:
        return float(text)
    except ValueError:
        return text


def read_table(data, fmt):
    if fmt == "csv":  # pandas' own parser may be off in the last digit
        table = pd.read_csv(io.BytesIO(data), dtype=str)
        return table.map(exact)
    if fmt == "parquet":
        return pd.read_parquet(io.BytesIO(data))
    from astropy.table import Table

    return Table.read(io.BytesIO(data), format="ascii.ecsv").to_pandas()
