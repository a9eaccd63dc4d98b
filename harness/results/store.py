"""Results on disk: what of a plan they already hold, and how they are added to and read."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from haloassay.analysis.query import doubles, once
from haloassay.base.errors import InputError
from haloassay.base.files import TEMPORARY, require_no_link
from haloassay.contracts.schema import SCHEMAS, TableName
from haloassay.planning.cells import Cell, Method
from haloassay.planning.plan import Plan
from haloassay.planning.scenario import Spec
from haloassay.planning.shard import SHARDS
from haloassay.results.description import (
    DESCRIPTION,
    description_of,
    differences,
    encoded,
    is_lost,
    read_description,
    require_own,
    require_same,
)
from haloassay.results.lock import HELD, LOCK, locked
from haloassay.results.outcome import TaskResult
from haloassay.results.parts import (
    Part,
    as_schema,
    clean,
    digest,
    is_own,
    part_file,
    read_part,
    reading,
    scan,
    set_aside,
    write_file,
    write_part,
)
from haloassay.results.stock import FINAL, Stock

Mode = Literal["resume", "restart", "refuse"]

#: Fields of an outcome that are no columns of ``runs``.
_NOT_KEPT: Final = ("method", "rows", "touched")
#: Finished parts that are joined into one, and rows of runs of a part that stays as it is.
SEGMENT: Final = 500
_LARGE: Final = 500
#: Columns of runs that say which results stand.
_PLACES: Final = ("cell", "estimator", "realization", "status")


def _tables(result: TaskResult) -> dict[TableName, pa.Table]:
    """Rows of a task, as they stand on disk."""
    rows: dict[TableName, list[Spec]] = {"estimates": [], "runs": []}
    for outcome in result.outcomes:
        keys = {
            "cell": result.cell.label,
            "cell_key": result.cell.key,
            "estimator": outcome.method.label,
            "estimator_key": outcome.method.key,
            "realization": result.realization,
        }
        told = {f.name: getattr(outcome, f.name) for f in fields(outcome)}
        rows["runs"].append({**keys, **{k: v for k, v in told.items() if k not in _NOT_KEPT}})
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
        self._say = say
        self._replaced: list[str] = []  # parts left to those who are reading them
        self._stock = Stock(plan)
        self._loose: list[str] = []  # finished parts of few tasks
        self._held: dict[str, Mapping[TableName, pa.Table]] = {}  # what this run has put into them
        self._again: dict[tuple[str, int], str] = {}  # parts with something to try again
        self._replaces: dict[str, tuple[str, ...]] = {}
        live, broken = scan(out)
        description = read_description(out)
        live = without_doubles(out, live, say)
        for part in live.values():
            self._take_stock(part)
        self._describe(plan, description, adopted=bool(live) and description is None)
        for name in broken:
            set_aside(out, name)
            say(
                f"{out}: part {name} is damaged: set aside as *.corrupt, its realisations run again"
            )
        for path in clean(out, live):
            say(f"{path}: is none of this run's files: left alone, and not read")

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
        with locked(out, say):
            if mode == "restart":
                _clear(out)
            store = cls(out, plan, say)
            try:
                yield store
            finally:
                store._keep_description()

    def missing(self, cell: Cell, realization: int) -> tuple[Method, ...]:
        """Estimators of a cell that have no final result in this realisation, and share none."""
        return self._stock.missing(cell, realization)

    def checkpoint_all(self, results: Sequence[TaskResult]) -> None:
        """Write the results of tasks that ended together: one part of all that need not be tried again."""
        final = [result for result in results if self._is_final(result)]
        rest = [result for result in results if not self._is_final(result)]
        if len(final) < 2:
            rest = [*results]
        else:
            self._sign()
            tables = [_tables(result) for result in final]
            joined = {kind: pa.concat_tables([t[kind] for t in tables]) for kind in SCHEMAS}
            name = self._write("segment", joined, ())
            self._register(name, joined["runs"], ())
            self._hold(name, joined)
        for result in rest:
            self.checkpoint(result)

    def _is_final(self, result: TaskResult) -> bool:
        """Tell whether nothing of a task is to be tried again, nor was."""
        place = (result.cell.label, result.realization)
        return place not in self._again and all(o.status in FINAL for o in result.outcomes)

    def _hold(self, name: str, tables: Mapping[TableName, pa.Table]) -> None:
        """Keep what a part says until it is joined with others, which are then not read again."""
        if self._loose and self._loose[-1] == name:
            self._held[name] = tables
        if len(self._loose) >= SEGMENT:
            earlier, self._replaced = self._replaced, []
            self._join_loose()
            self._delete(earlier)

    def checkpoint(self, result: TaskResult) -> None:
        """Write the results of one task; once this returns they outlast anything but the disk."""
        self._sign()
        tables = _tables(result)
        place = (result.cell.label, result.realization)
        replaces: tuple[str, ...] = ()
        if place in self._again:
            old = self._again.pop(place)
            tables = self._join(old, tables)
            replaces = (old, *self._replaces.pop(old))
        prefix = digest(repr((result.cell.label, result.cell.key)).encode())[:8]
        name = self._write(f"{prefix}-{result.realization:07d}", tables, replaces)
        self._register(name, tables["runs"], replaces)
        self._hold(name, tables)

    def _describe(self, plan: Plan, old: Spec | None, adopted: bool) -> None:
        """Write run.json: what it knew of the folder stays, and the count never falls."""
        self._description = new = description_of(plan, old)
        self._versions = new["versions"]
        known = [self._stock.realizations, new["scenario"]["realizations"]]
        if adopted:
            new["also_versions"] = [{"haloassay": "unknown"}]
            self._say(
                f"{self.out}: {DESCRIPTION} was lost: written anew from the scenario; which "
                "versions computed the results so far is not known"
            )
        elif old is not None:
            known.append(old["scenario"].get("realizations", 0))
            new |= {k: old[k] for k in ("versions", "also_versions", "platform") if k in old}
        new["scenario"]["realizations"] = max(known)
        self._write_description()

    def _sign(self) -> None:
        """Note the versions that are about to add results, unless they have added some before."""
        new = self._description
        if self._versions not in (new["versions"], *new.get("also_versions", ())):
            changed = differences(new["versions"], self._versions)
            self._say(f"{self.out}: other versions than before add results: {'; '.join(changed)}")
            new["also_versions"] = [*new.get("also_versions", ()), self._versions]
            self._write_description()
        self._keep_description()

    def _write_description(self) -> None:
        self._encoded = encoded(self._description)
        write_file(self.out / DESCRIPTION, self._encoded)

    def _keep_description(self) -> None:
        """Write run.json again if somebody took it away or cut it."""
        path = self.out / DESCRIPTION
        if path.is_symlink() or not path.is_file() or path.stat().st_size != len(self._encoded):
            write_file(path, self._encoded)

    def compact(self) -> None:
        """Join all finished parts of few tasks into one, and delete those that were replaced."""
        self._join_loose()
        replaced, self._replaced = self._replaced, []
        self._delete(replaced)

    def _join_loose(self) -> None:
        names, self._loose = self._loose, []
        if len(names) < 2:
            self._loose = names
            return
        held, self._held = self._held, {}
        tables = {
            kind: pa.concat_tables(
                [held[n][kind] if n in held else read_part(self.out, kind, n) for n in names]
            )
            for kind in SCHEMAS
        }
        earlier = (name for part in names for name in self._replaces.pop(part))
        self._write("segment", tables, (*names, *earlier))

    def _write(
        self, stem: str, tables: Mapping[TableName, pa.Table], replaces: tuple[str, ...]
    ) -> str:
        name = write_part(self.out, stem, tables, replaces)
        self._replaced += replaces
        return name

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            for kind in SCHEMAS:
                with contextlib.suppress(OSError):
                    part_file(self.out, kind, name).unlink(missing_ok=True)

    def _join(self, old: str, new: Mapping[TableName, pa.Table]) -> dict[TableName, pa.Table]:
        """Put new rows and those of an old part that stand together."""
        runs = read_part(self.out, "runs", old).to_pylist()
        again = set(new["runs"].column("estimator").to_pylist())
        kept = {r["estimator"] for r in runs if r["status"] in FINAL} - again
        joined = {}
        for kind, table in new.items():
            rows = [r for r in read_part(self.out, kind, old).to_pylist() if r["estimator"] in kept]
            joined[kind] = pa.concat_tables([pa.Table.from_pylist(rows, SCHEMAS[kind]), table])
        return joined

    def _take_stock(self, part: Part) -> None:
        """Note what a part found on disk holds."""
        runs = read_part(self.out, "runs", part.name, _PLACES)
        if len(runs) >= _LARGE:
            self._stock.mark(runs)
        else:
            self._register(part.name, runs, part.replaces)

    def _register(self, name: str, runs: pa.Table, replaces: tuple[str, ...]) -> None:
        """Note what a part holds, and whether some of it, which is of one task then, is to be tried again."""
        self._stock.mark(runs)
        self._replaces[name] = replaces
        if all(status in FINAL for status in runs.column("status").to_pylist()):
            self._loose.append(name)
        else:
            first = runs.slice(0, 1).to_pylist()[0]
            self._again[first["cell"], first["realization"]] = name


def without_doubles(
    out: Path, live: dict[str, Part], say: Callable[[str], None]
) -> dict[str, Part]:
    """Join parts that say the same, so that each result stands once; what is not final will run again."""
    count, files = doubles(tuple(part_file(out, "runs", name) for name in live))
    if not count:
        return live
    say(f"{out}: {count} results stand twice, because two runs wrote at once: joined")
    names = [file.stem for file in files]
    tables = {
        kind: as_schema(kind, once(kind, [part_file(out, kind, n) for n in names]))
        for kind in SCHEMAS
    }
    final = pc.is_in(tables["runs"]["status"], pa.array(FINAL))
    tables["runs"] = tables["runs"].filter(final)
    replaces = (*names, *(old for name in names for old in live[name].replaces))
    write_part(out, "segment", tables, replaces)
    return scan(out)[0]


def check_folder(out: Path, plan: Plan, mode: Mode) -> None:
    """Raise :class:`InputError` unless the folder can take the results of ``plan``."""
    if not (used := _used(out)):
        return
    description = read_description(out)
    parts = scan(out)[0] if description is None and is_lost(out) else {}
    if description is None and not parts:
        if used == [SHARDS]:
            raise InputError(
                f"{out}: holds shards of a run: `haloassay merge {out} --out {out}` joins them; nothing was touched"
            )
        raise InputError(f"{out}: is neither empty nor a results folder; nothing was touched")
    if mode == "refuse":
        raise InputError(f"{out}: holds results already; nothing was touched")
    if mode == "resume" and description is not None:
        require_same(out, description, description_of(plan, description))
    elif mode == "resume":
        require_own(out, parts, plan)


def require_room(out: Path, description: Spec) -> None:
    """Raise :class:`InputError` unless a folder is new, empty, or of the same scenario; shards in it do not count."""
    used = [name for name in _used(out) if name != SHARDS]
    held = read_description(out)
    if held is not None:
        require_same(out, held, description)
        require_same(out, description, held)
    elif used:
        raise InputError(f"{out}: is neither empty nor a results folder; nothing was touched")


def _used(out: Path) -> list[str]:
    """Name what a folder holds, of ours or not."""
    with reading(out):
        if not out.exists():
            return []
        if not out.is_dir():
            raise InputError(f"{out}: is a file, expected a folder for the results")
        for kind in SCHEMAS:
            require_no_link(out / kind)
        return [
            p.name for p in out.iterdir() if p.name not in (LOCK, HELD) and not p.match(TEMPORARY)
        ]


def _clear(out: Path) -> None:
    """Delete what earlier runs wrote, and nothing else."""
    (out / DESCRIPTION).unlink(missing_ok=True)
    for kind in SCHEMAS:
        for path in (out / kind).glob("*"):
            if is_own(path) or path.match(TEMPORARY):
                path.unlink()
    shutil.rmtree(out / "report", ignore_errors=True)
