"""What ``run.json`` says of a results folder: the scenario, and what computed the results."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from haloassay.base.cache import content_key
from haloassay.base.errors import InputError
from haloassay.base.strict_json import strict_json
from haloassay.planning.cells import Cell, SampledCell
from haloassay.planning.plan import Plan
from haloassay.planning.scenario import Spec
from haloassay.results.parts import DamagedError, read_part, reading

DESCRIPTION: Final = "run.json"
#: Some of what no run.json lacks; a damaged one may lack others.
_OURS: Final = frozenset({"scenario", "cells", "estimators", "digest"})
#: Keys of a scenario that may change between runs into one folder.
_FREE: Final = (
    *("name", "title", "description", "reference", "realizations", "timeout", "tolerance"),
)
#: Cells of which run.json says what they are made of; others differ from these by settings of the scenario.
_EXPLAINED: Final = 20
#: Settings that stand for the content of something outside the scenario.
_DIGESTS: Final = {"digest": "file", "fingerprint": "name"}


def description_of(plan: Plan, held: Spec | None = None) -> Spec:
    """Content of ``run.json``: the scenario, its cells and estimators, and what computed them.

    Cells that a folder holds of other parts of the same scenario stay in it.
    """
    if held is not None:
        plan = plan.beside({cell["cell"]: cell["mock"] for cell in held["cells"]})
    n = plan.scenario.realizations
    return {
        **({} if plan.shard is None else {"shard": str(plan.shard)}),
        "scenario": plan.scenario.to_dict(),
        "cells": [
            {
                "cell": cell.label,
                "cell_key": cell.key,
                "factors": cell.factors,
                "estimator_keys": {method.label: method.key for method in cell.methods},
                "mock": dict(plan.facts.get(cell.label, {})),
                **({} if cell.is_paired else {"unpaired": True}),
                **({} if cell.is_regular else {"catalogues": cell.size(n)}),
                **({"sampling": asdict(cell.sampling)} if isinstance(cell, SampledCell) else {}),
                **({"shared": dict(cell.shared)} if cell.shared else {}),
                **({"made_of": _made_of(cell)} if number < _EXPLAINED else {}),
            }
            for number, cell in enumerate(plan.cells)
        ],
        "factors": [factor.to_dict() for factor in plan.factors],
        "estimators": [
            {"estimator": entry.label, "kind": entry.kind} for entry in plan.scenario.estimators
        ],
        "quantities": [{**q.to_dict(), "tolerance": q.tolerance} for q in plan.quantities],
        **computed_by(),
    }


def computed_by() -> Spec:
    """Say what computes here: versions, and the platform."""
    import platform

    return {"versions": dict(_versions()), "platform": platform.platform()}


@functools.cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Names and versions of what computes; looked up once, as each is a search of all installed packages."""
    import platform
    from importlib.metadata import version

    packages = ("haloassay", "numpy", "scipy", "astropy", "numba", "galpy", "pandas", "pyarrow")
    return (("python", platform.python_version()), *((name, version(name)) for name in packages))


def _made_of(cell: Cell) -> Spec:
    """Kinds, versions, settings with defaults, and digests of files: all that the keys are made of."""
    return {**cell.made, "estimators": {method.label: method.made for method in cell.methods}}


def encoded(description: Spec) -> bytes:
    """Bytes of ``run.json``, with a digest of what it says; each cell has a line."""
    told = {**description, "digest": content_key(description)}
    cells = ",\n  ".join(strict_json(cell, separators=(",", ":")) for cell in told["cells"])
    lines = [
        f"{json.dumps(key)}: " + (f"[\n  {cells}\n ]" if key == "cells" else strict_json(value))
        for key, value in told.items()
    ]
    return ("{\n " + ",\n ".join(lines) + "\n}\n").encode()


def read_description(out: Path) -> Spec | None:
    """Read run.json; None where it is gone, damaged, or none of ours.

    Raises
    ------
    InputError
        If the file is there and cannot be read.
    """
    description = _parsed(out)
    if not isinstance(description, dict) or "digest" not in description:
        return None
    said = description.pop("digest")
    return description if said == content_key(description) else None


def as_held(plan: Plan, out: Path) -> Plan | None:
    """Plan with what the folder knows of the mocks, where they are the same, and so are all estimators.

    None where the folder's run was of anything else, or some cell has fewer estimators than the plan.
    """
    held = read_description(out)
    if held is None:
        return None
    cells = {cell["cell"]: cell for cell in held["cells"]}
    for cell in plan.cells:
        there = cells.get(cell.label, {})
        keys = {method.label: method.key for method in cell.methods}
        if (there.get("cell_key"), there.get("estimator_keys")) != (cell.key, keys):
            return None
    return replace(plan, facts={cell.label: cells[cell.label]["mock"] for cell in plan.cells})


def is_lost(out: Path) -> bool:
    """Tell whether run.json is gone or damaged, rather than somebody else's."""
    description = _parsed(out)
    if not isinstance(description, dict):
        return description is None
    return not _OURS.isdisjoint(description)


def _parsed(out: Path) -> Any:
    """Content of run.json; None where it is no JSON."""
    try:
        return json.loads(_read(out) or "")
    except (ValueError, RecursionError):
        return None


def _read(out: Path) -> bytes | None:
    with reading(out):
        try:
            return (out / DESCRIPTION).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None


def require_own(out: Path, parts: Iterable[str], plan: Plan) -> None:
    """Let a folder without run.json be taken over only by the scenario that its rows are of."""
    columns = ["cell", "cell_key", "estimator", "estimator_key"]
    known = {(c.label, c.key, m.label, m.key) for c in plan.cells for m in c.methods}
    for name in parts:
        try:
            rows = read_part(out, "runs", name).select(columns).to_pylist()
        except DamagedError:
            continue  # it will be set aside
        for row in rows:
            if tuple(row.values()) not in known:
                raise InputError(
                    f"{out}: its {DESCRIPTION} is lost, and its results (cell {row['cell']!r}, "
                    f"estimator {row['estimator']!r}) are of another scenario; choose another "
                    "folder or restart"
                )


def require_same(out: Path, old: Spec, new: Spec) -> None:
    """Allow more realisations, cells and estimators, and nothing that changes what is there."""
    cells = {cell["cell"]: cell for cell in new["cells"]}
    same = all(
        cell["cell_key"] == cells.get(cell["cell"], {}).get("cell_key")
        and cell["estimator_keys"].items() <= cells[cell["cell"]]["estimator_keys"].items()
        for cell in old["cells"]
    )
    if same:
        return
    before, after = ({k: v for k, v in d["scenario"].items() if k not in _FREE} for d in (old, new))
    for scenario in (before, after):
        scenario["estimators"] = {entry["label"]: entry for entry in scenario["estimators"]}
    found = list(differences(json.loads(json.dumps(before)), json.loads(json.dumps(after))))
    found = found or list(dict.fromkeys(_hidden_differences(old["cells"], cells)))
    shown = "; ".join(found[:4]) + (f"; and {len(found) - 4} more" if len(found) > 4 else "")
    version = old.get("versions", {}).get("haloassay", "?")
    reason = shown or f"equal settings, but made by haloassay {version}, which does not say of what"
    raise InputError(
        f"{out}: holds results of another scenario ({reason}); choose another folder or restart"
    )


def _hidden_differences(old: Iterable[Spec], new: Mapping[str, Spec]) -> Iterable[str]:
    """Say what differs although the scenario is the same: versions, defaults, contents of files."""
    for cell in old:
        before, after = (c.get("made_of") for c in (cell, new.get(cell["cell"], {})))
        if not isinstance(before, dict) or not isinstance(after, dict):
            continue
        shared = before["estimators"].keys() & after["estimators"].keys()
        sides = [
            {**made, "estimators": {k: v for k, v in made["estimators"].items() if k in shared}}
            for made in (before, after)
        ]
        yield from _explained(sides[0], sides[1])


def _explained(before: Any, after: Any, path: str = "") -> Iterable[str]:
    """Differences of what components are made of, in words where it is a version or a content."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
            for i, (a, b) in enumerate(zip(before, after, strict=True)):
                yield from _explained(a, b, f"{path}.{i}")
        else:
            yield from differences(before, after, path)
        return
    kind, same_kind = after.get("kind", path), before.get("kind") == after.get("kind")
    for key in {**before, **after}:
        a, b, place = before.get(key), after.get(key), f"{path}.{key}" if path else key
        if a != b and key in _DIGESTS and same_kind:
            yield f"{path}: the content of {after.get(_DIGESTS[key])} has changed"
        elif a != b and key == "version" and same_kind:
            yield f"{path}: numbers of {kind!r} have changed since: version {a} there, {b} now"
        else:
            yield from _explained(a, b, place)


def differences(old: Any, new: Any, path: str = "") -> Iterable[str]:
    """Paths at which two plain values differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            place = f"{path}.{key}" if path else key
            if key not in new:
                yield f"{place} is gone"
            elif key not in old:
                yield f"{place} is new"
            else:
                yield from differences(old[key], new[key], place)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from differences(a, b, f"{path}.{i}")
    elif old != new:
        yield f"{path}: {old!r} there, {new!r} now"
