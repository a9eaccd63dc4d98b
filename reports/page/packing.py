"""Numbers and scripts as text of a page: gzip, then base64, which no mark of HTML can stand in."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any


def compressed(content: bytes) -> bytes:
    """Content by gzip; the same bytes whenever it is made."""
    return gzip.compress(content, compresslevel=6, mtime=0)


def as_text(content: bytes) -> str:
    """Bytes as letters that stand in HTML as they are."""
    return base64.b64encode(content).decode("ascii")


def packed(content: Any) -> str:
    """Plain content as packed JSON."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return as_text(compressed(text.encode()))
