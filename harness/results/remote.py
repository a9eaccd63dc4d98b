"""Results in an object store, or wherever fsspec reaches, copied to where they can be read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any, Final

from haloassay.base.cache import cache_folder
from haloassay.base.errors import InputError
from haloassay.base.files import replacing
from haloassay.contracts.schema import SCHEMAS
from haloassay.results.description import DESCRIPTION

#: What tells an address from a path.
_SCHEME: Final = "://"


def is_remote(out: str | Path) -> bool:
    """Tell whether results are at an address, such as ``s3://bucket/run``, and not in a folder."""
    return isinstance(out, str) and _SCHEME in out


def fetched(address: str) -> Path:
    """Copy results to a folder of the cache, and return it; what is there already is not copied again.

    Files of results never change, so only new ones cross the network; those that are gone there go here, too.

    Raises
    ------
    InputError
        If fsspec, or what it needs for the address, is not installed, or nothing can be read there.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise InputError(
            f"{address}: needs fsspec: python -m pip install 'haloassay[remote]'"
        ) from None
    out = cache_folder() / "remote" / hashlib.blake2b(address.encode(), digest_size=8).hexdigest()
    try:
        store, root = url_to_fs(address)
        _copy(store, PurePosixPath(root), out)
    except ImportError as error:
        raise InputError(f"{address}: {error}") from None
    except FileNotFoundError:
        raise InputError(f"{address}: is not a results folder: it has no {DESCRIPTION}") from None
    except Exception as error:  # each store has errors of its own
        said = " ".join(str(error).split())
        raise InputError(f"{address}: cannot be read: {type(error).__name__}: {said}") from None
    return out


def _copy(store: Any, root: PurePosixPath, out: Path) -> None:
    store.invalidate_cache()
    description = store.cat_file(str(root / DESCRIPTION))
    json.loads(description)  # else it is none, and so are the files beside it
    for kind in SCHEMAS:  # estimates first: a part is there once its runs are
        there = {PurePosixPath(name).name: name for name in _listed(store, root / kind)}
        folder = out / kind
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.name not in there:
                path.unlink()
        for name, address in there.items():
            if not (folder / name).exists():
                with replacing(folder / name) as temporary:
                    store.get_file(address, str(temporary))
    with replacing(out / DESCRIPTION) as temporary:
        temporary.write_bytes(description)


def _listed(store: Any, folder: PurePosixPath) -> list[str]:
    try:
        names = store.ls(str(folder), detail=False)
    except FileNotFoundError:
        return []
    return [name for name in names if name.endswith(".parquet")]
