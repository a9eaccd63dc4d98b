"""Which Sun a catalogue was seen from: as asked for, as the file says, or the default."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Final

from haloassay.base.errors import InputError
from haloassay.base.settings import build, parse_value, unknown
from haloassay.contracts import frames
from haloassay.contracts.columns import SUN_KEY

_NAMES: Final = tuple(field.name for field in dataclasses.fields(frames.Sun))

#: A Sun, a name of :data:`haloassay.contracts.frames.SUNS`, or its five numbers: by name, or as text
#: ``"x=-8.2,z=0.02,vx=11.1,vy=245,vz=7.3"`` [kpc, km/s].
SunSpec = frames.Sun | str | Mapping[str, Any]


def find_sun(sun: SunSpec | None, meta: Mapping[str, str], origin: str) -> tuple[frames.Sun, str]:
    """Sun that was asked for, else that of the file, else the default; and from where it is, in words.

    Raises
    ------
    InputError
        If it is unknown, or not all of its five numbers are stated: one that is half of a paper's and half a default
        is nobody's.
    """
    if isinstance(sun, frames.Sun):
        return sun, "as asked for"
    if isinstance(sun, Mapping):
        return _of_numbers(sun, "sun"), "as asked for"
    if sun is not None and "=" in sun:
        return _of_numbers(_numbers(sun), "sun"), "as asked for"
    if sun is not None:
        if sun not in frames.SUNS:
            numbers = ",".join(f"{name}=..." for name in _NAMES)
            raise InputError(f"{unknown('Sun', sun, frames.SUNS, 'sun')}, or numbers: {numbers}")
        return frames.SUNS[sun], f"{sun}, as asked for"
    if SUN_KEY not in meta:
        return frames.Sun(), "li2026, the default"
    try:
        spec = json.loads(meta[SUN_KEY])
    except (ValueError, RecursionError):
        spec = None
    if not isinstance(spec, dict):
        raise InputError(f"{origin}: metadata {SUN_KEY} does not describe the Sun; give it (sun)")
    return _of_numbers(spec, f"{origin}: metadata {SUN_KEY}"), "that of the file"


def in_words(sun: frames.Sun) -> str:
    """Place and motion of a Sun."""
    return f"x = {sun.x:g}, z = {sun.z:g} kpc, moving by ({sun.vx:g}, {sun.vy:g}, {sun.vz:g}) km/s"


def _numbers(text: str) -> dict[str, Any]:
    pairs = [word.partition("=") for word in text.split(",")]
    names = [name.strip() for name, _, _ in pairs]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"sun: {', '.join(repeated)} stated more than once")
    return {name.strip(): parse_value(value.strip()) for name, _, value in pairs}


def _of_numbers(spec: Mapping[str, Any], where: str) -> frames.Sun:
    sun = build(frames.Sun, spec, where)
    if absent := [name for name in _NAMES if name not in spec]:
        raise InputError(
            f"{where}: {', '.join(absent)} missing (a Sun has {', '.join(_NAMES)}, in kpc and km/s)"
        )
    return sun
