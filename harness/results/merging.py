"""Results of shards, or of runs on several machines, joined in one folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from haloassay.analysis.query import differing, doubles
from haloassay.base.errors import InputError
from haloassay.base.files import replacing
from haloassay.contracts.schema import SCHEMAS
from haloassay.planning.scenario import Spec
from haloassay.planning.shard import shard_folders
from haloassay.results.description import DESCRIPTION, encoded, read_description, require_same
from haloassay.results.due import estimator_runs
from haloassay.results.lock import holder_of, locked, named
from haloassay.results.parts import part_file, scan, write_file
from haloassay.results.results import Results
from haloassay.results.stock import IS_FINAL
from haloassay.results.store import require_room, without_doubles

if TYPE_CHECKING:
    import pandas as pd

#: Cells and estimators of which it is said that something is missing.
_TOLD: Final = 5


@dataclass(frozen=True)
class Merged:
    """What came of it.

    Parameters
    ----------
    results
        All that was joined.
    folders
        How many were.
    doubles
        Estimator runs that stood in two of them, and are the same.
    missing
        Runs that no folder has: columns cell, estimator, missing.
    """

    results: Results
    folders: int
    doubles: int
    missing: pd.DataFrame

    def __str__(self) -> str:
        total = int(self.missing["missing"].sum())
        told = [
            f"{self.results.out}: {self.folders} folders joined",
            f"{self.doubles} estimator runs stood in two of them and are the same"
            if self.doubles
            else "nothing double",
            f"{total} estimator runs are missing" if total else "nothing missing",
        ]
        lines = [", ".join(told)]
        for row in self.missing.head(_TOLD).itertuples():
            lines.append(f"  {row.missing} of {row.estimator} in cell {row.cell!r}")
        if len(self.missing) > _TOLD:
            lines.append(f"  and others, in {len(self.missing) - _TOLD} more rows")
        return "\n".join(lines)


def merge(
    folders: Sequence[str | Path], out: str | Path, say: Callable[[str], None] | None = None
) -> Merged:
    """Join results of one scenario in a folder; those that it holds already stay.

    Parameters
    ----------
    folders
        Results, or folders that hold shards of a run; ``out`` may be one of them.
    out
        Folder of all results.
    say
        Takes lines for the user; by default nobody is told.

    Raises
    ------
    InputError
        If a folder holds no results, is being written, or holds results of another scenario; if two folders differ in
        what they say of the same catalogue; or if ``out`` holds anything else. Nothing is written then.
    """
    tell = say or (lambda line: None)
    place = Path(out)
    told = _sources([Path(folder) for folder in folders], place)
    (start, first), *others = told.items()
    for source, description in others:
        require_same(source, description, first)
        require_same(start, first, description)
    require_room(place, first)
    with locked(place, tell):
        parts = {source: _live(source, tell) for source in told}
        n_doubles = _require_agreement(place, parts)
        for source, names in parts.items():
            for name in names:
                _copy(source, place, name)
        before = read_description(place)
        whole = _joined([*([before] if before else []), *told.values()])
        write_file(place / DESCRIPTION, encoded(whole))
        without_doubles(place, scan(place)[0], lambda line: None)
    results = Results(place)
    return Merged(results, len(told), n_doubles, missing(results))


def missing(results: Results) -> pd.DataFrame:
    """Count runs of estimators that have no final result: columns cell, estimator, missing, one row where some are."""
    due = estimator_runs(results.description)
    done = results.query(
        "SELECT cell, estimator, count(DISTINCT realization) AS done FROM own_runs"
        f" WHERE {IS_FINAL} GROUP BY ALL"
    )
    both = due.merge(done, on=["cell", "estimator"], how="left")
    lacking = (both["due"] - both["done"].fillna(0)).astype("int64")
    return both.assign(missing=lacking)[lacking > 0][["cell", "estimator", "missing"]]


def _sources(folders: Iterable[Path], out: Path) -> dict[Path, Spec]:
    """Results folders that are to be joined, those given and the shards in them, with what they say of themselves."""
    found: dict[Path, tuple[Path, Spec]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder")
        shards = [*shard_folders(folder).values()]
        for path in (folder, *shards):
            place = path.resolve()
            if place in (out.resolve(), *found):
                continue
            told = read_description(path)
            if told is not None:
                _require_idle(path)
                found[place] = path, told
            elif path in shards:
                raise InputError(
                    f"{path}: its {DESCRIPTION} is gone or damaged: run it again, which mends it"
                )
            elif not shards:
                raise InputError(f"{path}: holds neither results nor shards of a run")
    if not found:
        raise InputError(f"{out}: there is nothing to join with it")
    return dict(found.values())


def _require_idle(source: Path) -> None:
    if (holder := holder_of(source)) is not None:
        raise InputError(f"{source}: is being written{named(holder)}: wait for it, or stop it")


def _live(source: Path, say: Callable[[str], None]) -> list[str]:
    live, broken = scan(source)
    for name in broken:
        say(f"{source}: part {name} is damaged: left out; run it again, which mends it")
    return list(live)


def _require_agreement(out: Path, parts: dict[Path, list[str]]) -> int:
    """Count results that stand in two folders; refuse those that are not the same."""
    own = scan(out)[0] if out.is_dir() else {}
    found = dict.fromkeys(own, out)
    for source, names in parts.items():
        found |= {name: source for name in names if name not in found}
    runs = tuple(part_file(source, "runs", name) for name, source in found.items())
    n, files = doubles(runs)
    if not n:
        return 0
    estimates = [path.parents[1] / "estimates" / path.name for path in files]
    if apart := differing(estimates):
        raise InputError(
            f"{out}: the folders differ in what they say of cell {apart[0]!r}, estimator {apart[1]!r}, realisation"
            f" {apart[2]}: other versions, or another kind of processor, made one of them"
        )
    return n


def _copy(source: Path, out: Path, name: str) -> None:
    """Copy a part: the estimates first, as a part is there once its runs are; on one file system by a link."""
    for kind in SCHEMAS:
        there = part_file(out, kind, name)
        if there.exists():
            continue
        try:
            with replacing(there) as temporary:
                _link(part_file(source, kind, name), temporary)
        except OSError as error:
            raise InputError(f"{there}: cannot be written: {error.strerror or error}") from None


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError:
        shutil.copyfile(source, path)


def _joined(told: Sequence[Spec]) -> Spec:
    """Describe all results together."""
    first = json.loads(json.dumps(told[0]))
    first.pop("shard", None)
    first["scenario"]["realizations"] = max(each["scenario"]["realizations"] for each in told)
    facts: dict[str, Spec] = {}
    sizes: dict[str, int] = {}
    for cell in (cell for each in told for cell in each["cells"]):
        if cell["mock"]:
            facts[cell["cell"]] = cell["mock"]
        if "catalogues" in cell:
            sizes[cell["cell"]] = max(cell["catalogues"], sizes.get(cell["cell"], 0))
    for cell in first["cells"]:
        cell["mock"] = facts.get(cell["cell"], {})
        if cell["cell"] in sizes:
            cell["catalogues"] = sizes[cell["cell"]]
    others = [v for each in told for v in (each["versions"], *each.get("also_versions", ()))]
    apart = [v for k, v in enumerate(others) if v != first["versions"] and v not in others[:k]]
    return {**first, **({"also_versions": apart} if apart else {})}
