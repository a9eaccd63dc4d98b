"""Rows and columns of a table of scores or pairs, as a reader asks for them by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from haloassay.base.errors import InputError
from haloassay.base.settings import unknown

if TYPE_CHECKING:
    import pandas as pd

_ORDER: Final = re.compile(r"(?P<down>-?)(?P<size>abs\()?(?P<name>.*?)(?(size)\))")


def chosen(frame: pd.DataFrame, wanted: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Rows whose cell, estimator or quantity is one of those that are wanted; no name wants all.

    Raises
    ------
    InputError
        If no row has a name; the nearest is said.
    """
    for column, names in wanted.items():
        known = [str(name) for name in frame[column].unique() if name]
        for name in names:
            if name not in known:
                raise unknown(column, name, known or ["none"], f"--{column}")
        if names:
            frame = frame[frame[column].isin(names)]
    return frame


def named_columns(frame: pd.DataFrame, given: Sequence[str]) -> list[str]:
    """Columns in the order in which they are asked for: each text is one, or several with commas between.

    Raises
    ------
    InputError
        If there is no such column; the nearest is said.
    """
    names: list[str] = []
    for text in given:
        names += [text] if text in frame else [part.strip() for part in text.split(",")]
    for name in names:
        if name not in frame:
            raise unknown("column", name, map(str, frame.columns), "--columns")
    return list(dict.fromkeys(names))


def ordered(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    """Rows in the order of a column: ``bias``, ``-bias`` the largest first, ``-abs(bias)`` the largest of either sign.

    Raises
    ------
    InputError
        If there is no such column, or none with numbers where the size is asked for.
    """
    found = _ORDER.fullmatch(by)
    assert found is not None  # any text is a name
    name, largest_first = found["name"], bool(found["down"])
    if name not in frame:
        raise unknown("column", name, map(str, frame.columns), "--sort")
    values = frame[name]
    if found["size"]:
        if values.dtype.kind not in "if":
            raise InputError(f"--sort {by}: {name!r} is no column of numbers")
        values = values.abs()
    elif values.dtype == object:  # levels of a factor may be of any type
        values = values.astype(str)
    order = values.reset_index(drop=True).sort_values(
        ascending=not largest_first, kind="stable", na_position="last"
    )
    return frame.iloc[order.index.to_numpy()]
