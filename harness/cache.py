"""Expensive arrays kept on disk by content: solved mocks are made once and shared by all processes."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def cache_folder() -> Path:
    """Folder of the cache: ``$HALOASSAY_CACHE``, else the user's cache folder of this system."""
    import platformdirs

    return Path(os.environ.get("HALOASSAY_CACHE") or platformdirs.user_cache_dir("haloassay"))


def plain_content(component: Any) -> Any:
    """Plain values that say everything about a component: its class and its settings, all the way down.

    Raises
    ------
    TypeError
        If something in it, such as a Python function, has no plain content.
    """
    if dataclasses.is_dataclass(component) and not isinstance(component, type):
        fields = {f.name: getattr(component, f.name) for f in dataclasses.fields(component)}
        content = {name: plain_content(value) for name, value in fields.items()}
        return {"class": f"{type(component).__module__}.{type(component).__qualname__}", **content}
    if isinstance(component, list | tuple):
        return [plain_content(item) for item in component]
    if component is None or isinstance(component, bool | int | float | str):
        return component
    raise TypeError(f"{component!r} has no plain content")


def content_key(content: Any) -> str:
    """Name for plain content (numbers, strings, lists, tables): equal content, equal name."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def cached(content: Any, make: Callable[[], Arrays]) -> Arrays:
    """Arrays that ``make`` returns for ``content``, from disk where they were made before.

    A file that cannot be read is made again; a folder that cannot be written costs only the saving.
    """
    path = cache_folder() / f"{content_key(content)}.npz"
    with (
        contextlib.suppress(
            Exception
        ),  # a damaged archive raises whatever its bytes happen to mean
        np.load(path) as stored,
    ):
        return {name: stored[name] for name in stored.files}
    arrays = make()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub counts names as flags
            os.replace(temporary, path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
    return arrays
