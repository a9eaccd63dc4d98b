"""Results on disk: what of a plan they already hold, and how they are added to and read."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa

from haloassay.errors import InputError
from haloassay.matrix import Cell, Method, Plan, Spec
from haloassay.parts import (
    SCHEMAS,
    Part,
    clean,
    digest,
    encode,
    is_whole,
    looks_whole,
    part_file,
    read_part,
    scan,
    set_aside,
    write_file,
)
from haloassay.task import TaskResult

if TYPE_CHECKING:
    import pandas as pd

Mode = Literal["resume", "restart", "refuse"]

#: Order of rows in tables that are read: the same whatever the order in which tasks ended.
_ORDER: Final = {
    "estimates": "cell, realization, estimator, quantity, bin, r",
    "runs": "cell, realization, estimator",
}
#: Statuses that stand; what timed out or was lost is tried again by the next run.
_FINAL: Final = ("ok", "failed")
#: Finished parts that are joined into one.
SEGMENT: Final = 500
_DESCRIPTION: Final = "run.json"
_LOCK: Final = ".lock"
#: Keys of a scenario that may change between runs into one folder.
_FREE: Final = ("name", "title", "description", "reference", "realizations", "timeout")


def _tables(result: TaskResult) -> dict[str, pa.Table]:
    """Rows of a task, as they stand on disk."""
    rows: dict[str, list[Spec]] = {"estimates": [], "runs": []}
    for outcome in result.outcomes:
        keys = {
            "cell": result.cell.label,
            "cell_key": result.cell.key,
            "estimator": outcome.method.label,
            "estimator_key": outcome.method.key,
            "realization": result.realization,
        }
        fields = {k: v for k, v in asdict(outcome).items() if k not in ("method", "rows")}
        rows["runs"].append({**keys, **fields})
        rows["estimates"] += [{**keys, **_nulls(row)} for row in outcome.rows]
    return {kind: pa.Table.from_pylist(rows[kind], schema=SCHEMAS[kind]) for kind in rows}


def _nulls(row: Spec) -> Spec:
    """Row with what has no value as null: the statistics of a Parquet column know null, but not NaN.

    Readers such as DuckDB simplify queries by these statistics, and would count NaN as a number.
    """
    return {k: None if isinstance(v, float) and v != v else v for k, v in row.items()}


class Store:
    """Results of a plan in a folder, open for writing; use :meth:`open` in a ``with`` statement."""

    def __init__(self, out: Path, plan: Plan, say: Callable[[str], None]) -> None:
        self.out = out
        self._done = {
            (cell.label, method.label): np.zeros(plan.scenario.realizations, dtype=bool)
            for cell in plan.cells
            for method in cell.methods
        }
        self._loose: list[str] = []  # finished parts of one task each
        self._again: dict[tuple[str, int], str] = {}  # parts with something to try again
        self._replaces: dict[str, tuple[str, ...]] = {}
        live, broken = scan(out, is_whole)
        for name in broken:
            set_aside(out, name)
            say(
                f"{out}: part {name} is damaged: set aside as *.corrupt, its realisations run again"
            )
        clean(out, live)
        for part in live.values():
            self._take_stock(part)

    @classmethod
    @contextlib.contextmanager
    def open(
        cls, out: Path, plan: Plan, mode: Mode = "resume", say: Callable[[str], None] = print
    ) -> Iterator[Store]:
        """Open ``out`` for the results of ``plan``; the folder is locked against other runs.

        Parameters
        ----------
        out
            Folder of the results; made where it does not exist.
        plan
            What is to be run.
        mode
            ``"resume"`` goes on with what is there, ``"restart"`` throws results away, ``"refuse"``
            stops if the folder holds anything.
        say
            Takes lines for the user.

        Raises
        ------
        InputError
            If the folder holds something else than results, or results of another scenario, or
            cannot be written, or another run is writing into it. Nothing is touched then.
        """
        check_folder(out, plan, mode)
        description = json.dumps(describe(plan), indent=1).encode()
        with _locked(out):
            if mode == "restart":
                _clear(out)
            write_file(out / _DESCRIPTION, description)
            yield cls(out, plan, say)

    def missing(self, cell: Cell, realization: int) -> tuple[Method, ...]:
        """Estimators of a cell that have no final result in this realisation."""
        return tuple(m for m in cell.methods if not self._done[cell.label, m.label][realization])

    def checkpoint(self, result: TaskResult) -> None:
        """Write the results of one task; once this returns they outlast anything but the disk."""
        tables = _tables(result)
        place = (result.cell.label, result.realization)
        replaces: tuple[str, ...] = ()
        if place in self._again:
            old = self._again.pop(place)
            tables = self._join(old, tables)
            replaces = (old, *self._replaces.pop(old))
        prefix = digest(repr((result.cell.label, result.cell.key)).encode())[:8]
        name = f"{prefix}-{result.realization:07d}-{os.urandom(4).hex()}"
        self._write(name, tables, replaces)
        self._register(name, tables["runs"], replaces)
        if len(self._loose) >= SEGMENT:
            self.compact()

    def compact(self) -> None:
        """Join all finished parts of single tasks into one."""
        names, self._loose = self._loose, []
        if len(names) < 2:
            self._loose = names
            return
        tables = {
            kind: pa.concat_tables([read_part(self.out, kind, name) for name in names])
            for kind in SCHEMAS
        }
        earlier = (name for part in names for name in self._replaces.pop(part))
        self._write(f"segment-{os.urandom(8).hex()}", tables, (*names, *earlier))

    def _write(self, name: str, tables: Mapping[str, pa.Table], replaces: Iterable[str]) -> None:
        """Write a part, then delete those that it replaces."""
        replaces = tuple(replaces)
        estimates = encode(tables["estimates"], {})
        write_file(part_file(self.out, "estimates", name), estimates)
        meta = {"replaces": replaces, "size": len(estimates), "digest": digest(estimates)}
        write_file(part_file(self.out, "runs", name), encode(tables["runs"], meta))
        for old in replaces:
            for kind in SCHEMAS:
                with contextlib.suppress(OSError):
                    part_file(self.out, kind, old).unlink(missing_ok=True)

    def _join(self, old: str, new: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
        """Put new rows and those of an old part that stand together."""
        runs = read_part(self.out, "runs", old).to_pylist()
        again = set(new["runs"].column("estimator").to_pylist())
        kept = {r["estimator"] for r in runs if r["status"] in _FINAL} - again
        joined = {}
        for kind, table in new.items():
            rows = [r for r in read_part(self.out, kind, old).to_pylist() if r["estimator"] in kept]
            joined[kind] = pa.concat_tables([pa.Table.from_pylist(rows, SCHEMAS[kind]), table])
        return joined

    def _take_stock(self, part: Part) -> None:
        """Note what a part found on disk holds."""
        runs = read_part(self.out, "runs", part.name)
        if part.name.startswith("segment-"):
            self._mark(runs)
        else:
            self._register(part.name, runs, part.replaces)

    def _register(self, name: str, runs: pa.Table, replaces: tuple[str, ...]) -> None:
        """Note what a part of one task holds, and whether some of it is to be tried again."""
        self._mark(runs)
        self._replaces[name] = replaces
        if all(status in _FINAL for status in runs.column("status").to_pylist()):
            self._loose.append(name)
        else:
            first = runs.slice(0, 1).to_pylist()[0]
            self._again[first["cell"], first["realization"]] = name

    def _mark(self, runs: pa.Table) -> None:
        columns = (
            runs.column(c).to_pylist() for c in ("cell", "estimator", "realization", "status")
        )
        for cell, estimator, realization, status in zip(*columns, strict=True):
            done = self._done.get((cell, estimator))
            if done is not None and realization < len(done) and status in _FINAL:
                done[realization] = True


def describe(plan: Plan) -> Spec:
    """Content of ``run.json``: the scenario, its cells and estimators, and what computed them."""
    import platform
    from importlib.metadata import version

    packages = ("haloassay", "numpy", "scipy", "astropy", "numba", "galpy", "pandas", "pyarrow")
    return {
        "scenario": plan.scenario.to_dict(),
        "cells": [
            {
                "cell": cell.label,
                "cell_key": cell.key,
                "factors": cell.factors,
                "estimator_keys": {method.label: method.key for method in cell.methods},
            }
            for cell in plan.cells
        ],
        "estimators": [
            {"estimator": entry.label, "kind": entry.kind} for entry in plan.scenario.estimators
        ],
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
        "platform": platform.platform(),
    }


def check_folder(out: Path, plan: Plan, mode: Mode) -> None:
    """Raise :class:`InputError` unless the folder can take the results of ``plan``."""
    if not out.exists():
        return
    if not out.is_dir():
        raise InputError(f"{out}: is a file, expected a folder for the results")
    used = [p.name for p in out.iterdir() if p.name not in (_LOCK, f".{_DESCRIPTION}.tmp")]
    if not used:
        return
    description = _read_description(out)
    if description is None:
        raise InputError(f"{out}: is neither empty nor a results folder; nothing was touched")
    if mode == "refuse":
        raise InputError(f"{out}: holds results already; nothing was touched")
    if mode == "resume":
        _require_same(out, description, describe(plan))


def _read_description(out: Path) -> Spec | None:
    """Content of run.json, or None where there is none of ours."""
    try:
        description = json.loads((out / _DESCRIPTION).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    ours = isinstance(description, dict) and {"scenario", "cells", "estimators"} <= set(description)
    return description if ours else None


def _require_same(out: Path, old: Spec, new: Spec) -> None:
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
    found = list(_differences(json.loads(json.dumps(before)), json.loads(json.dumps(after))))
    shown = "; ".join(found[:4]) + (f"; and {len(found) - 4} more" if len(found) > 4 else "")
    version = old.get("versions", {}).get("haloassay", "?")
    reason = shown or f"equal settings, but defaults of haloassay {version}"
    raise InputError(
        f"{out}: holds results of another scenario ({reason}); choose another folder or restart"
    )


def _differences(old: Any, new: Any, path: str = "") -> Iterable[str]:
    """Paths at which two plain values differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            place = f"{path}.{key}" if path else key
            if key not in new:
                yield f"{place} is gone"
            elif key not in old:
                yield f"{place} is new"
            else:
                yield from _differences(old[key], new[key], place)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from _differences(a, b, f"{path}.{i}")
    elif old != new:
        yield f"{path}: {old!r} there, {new!r} now"


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder; the lock goes with the process, however it ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = open(out / _LOCK, "wb")  # noqa: SIM115
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None
    with handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # not on Windows
            pass
        except OSError:
            raise InputError(f"{out}: another run is writing into this folder") from None
        yield
        (out / _LOCK).unlink(missing_ok=True)


def _clear(out: Path) -> None:
    """Delete what earlier runs wrote, and nothing else."""
    (out / _DESCRIPTION).unlink(missing_ok=True)
    for kind in SCHEMAS:
        for pattern in ("*.parquet", "*.corrupt", ".*.tmp"):
            for path in (out / kind).glob(pattern):
                path.unlink()
    shutil.rmtree(out / "report", ignore_errors=True)


class Results:
    """Results in a folder, for reading.

    Parameters
    ----------
    out
        Folder of a run, finished or not.
    description
        Content of its ``run.json``; read from the folder where it is not given.

    Raises
    ------
    InputError
        If the folder is not a results folder.
    """

    def __init__(self, out: str | Path, description: Spec | None = None) -> None:
        self.out = Path(out)
        found = description or _read_description(self.out)
        if found is None:
            raise InputError(
                f"{self.out}: is not a results folder (it has no usable {_DESCRIPTION})"
            )
        self.description: Spec = found

    @property
    def scenario(self) -> Spec:
        """The scenario that was run, as plain values."""
        return dict(self.description["scenario"])

    @cached_property
    def _names(self) -> tuple[str, ...]:
        live, broken = scan(self.out, looks_whole)
        if broken:
            raise InputError(
                f"{self.out}: part {broken[0]} is damaged ({len(broken)} such); "
                "run the scenario into this folder again to mend it"
            )
        return tuple(live)

    @property
    def estimates_files(self) -> list[Path]:
        """Parquet files that hold the estimate rows."""
        return [part_file(self.out, "estimates", name) for name in self._names]

    @property
    def runs_files(self) -> list[Path]:
        """Parquet files that hold one row a (cell, realisation, estimator)."""
        return [part_file(self.out, "runs", name) for name in self._names]

    @property
    def cells(self) -> pd.DataFrame:
        """One row a cell: its label and the level of every factor."""
        import pandas as pd

        rows = [{"cell": cell["cell"], **cell["factors"]} for cell in self.description["cells"]]
        return pd.DataFrame(rows)

    def frame(self, kind: Literal["estimates", "runs"]) -> pd.DataFrame:
        """All rows of a table, in an order that does not depend on how they were computed."""
        import duckdb

        files = [str(path) for path in getattr(self, f"{kind}_files")]
        if not files:
            empty: pd.DataFrame = SCHEMAS[kind].empty_table().to_pandas()
            return empty
        with duckdb.connect() as connection:
            query = f"SELECT * FROM read_parquet(?) ORDER BY {_ORDER[kind]}"
            rows: pd.DataFrame = connection.execute(query, [files]).df()
        return rows

    def counts(self) -> dict[str, int]:
        """How many estimator runs ended in each status."""
        counts = self.frame("runs")["status"].value_counts()
        return {str(status): int(n) for status, n in counts.items()}

    def table(self) -> pd.DataFrame:
        """Bias, scatter, coverage and the rest, each with its Monte Carlo error."""
        from haloassay.score import score

        return score(self)
