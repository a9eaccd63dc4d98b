"""Sizes of memory and files as people write them."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_SIZE: Final = re.compile(r"\s*(\d+\.?\d*(?:e\d+)?)\s*([kmgt]?)b?\s*", re.IGNORECASE)


def bytes_of(text: str) -> float | None:
    """Bytes of a size such as ``5 GB``, ``500MB`` or ``2e9``; None where it is none."""
    found = _SIZE.fullmatch(text)
    return None if found is None else float(found[1]) * _UNITS[found[2].lower()]


def in_words(n_bytes: float) -> str:
    """Write a size in the largest unit of which it has one: ``1.5 GB``."""
    name = max((u for u in _UNITS if n_bytes >= _UNITS[u]), key=_UNITS.__getitem__, default="")
    return f"{n_bytes / _UNITS[name]:.3g} {name if name == 'k' else name.upper()}B"
