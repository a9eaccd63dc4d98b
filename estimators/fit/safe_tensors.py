"""Arrays in files of the safetensors format: a header in JSON and plain numbers, nothing that could run.

Eight bytes give the length of the header, which names type, shape and place of each array
(https://github.com/huggingface/safetensors). Reading it takes numpy alone.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from haloassay.base.errors import InputError

Tensors = dict[str, NDArray[Any]]

#: Types of numbers that networks have.
_TYPES: Final = {"F64": "<f8", "F32": "<f4", "I64": "<i8"}
_NAMES: Final = {np.dtype(kind): name for name, kind in _TYPES.items()}
#: Bytes that a header may have.
_LONGEST: Final = 1_000_000


def to_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Bytes of a file of these arrays, in the order of their names.

    Raises
    ------
    KeyError
        If one is of a type that networks do not have.
    """
    header: dict[str, Any] = {}
    parts, start = [], 0
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        data = array.tobytes()
        place = [start, start + len(data)]
        dtype = _NAMES[array.dtype]
        header[name] = {"dtype": dtype, "shape": [*array.shape], "data_offsets": place}
        parts.append(data)
        start += len(data)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + b"".join(parts)


def from_bytes(data: bytes, where: str) -> Tensors:
    """Arrays of the bytes of a file; ``where`` names it.

    Raises
    ------
    InputError
        If it is none of this format, or not whole.
    """
    try:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + min(length, _LONGEST)].decode())
        header.pop("__metadata__", None)
        body = data[8 + length :]
        return {name: _array(body, entry) for name, entry in header.items()}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{where}: is no whole file of safetensors ({reason})") from None


def _array(body: bytes, entry: Mapping[str, Any]) -> NDArray[Any]:
    kind = np.dtype(_TYPES[entry["dtype"]])
    shape = tuple(int(n) for n in entry["shape"])
    start, stop = entry["data_offsets"]
    if not 0 <= start <= stop <= len(body) or stop - start != math.prod(shape) * kind.itemsize:
        raise ValueError("an array is not where its header says")
    return np.frombuffer(body[start:stop], dtype=kind).reshape(shape)
