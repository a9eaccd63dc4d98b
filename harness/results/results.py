"""Results of a run, for reading: tables out of Parquet files, and what run.json says of them."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.base.settings import unknown
from haloassay.contracts.cards import Card, carded
from haloassay.contracts.factors import StatedFactor
from haloassay.contracts.quantities import Quantity, of_results
from haloassay.contracts.schema import SCHEMAS, TableName
from haloassay.contracts.tolerances import Tolerances, tolerances_of
from haloassay.planning.sampling import Sampling
from haloassay.planning.scenario import Spec
from haloassay.results import due
from haloassay.results.description import DESCRIPTION, read_description
from haloassay.results.parts import part_file, scan
from haloassay.results.remote import fetched, is_remote

if TYPE_CHECKING:
    import pandas as pd

_T = TypeVar("_T")

#: Order of rows in tables that are read: the same whatever the order in which tasks ended.
_ORDER: Final = {
    "estimates": "cell, realization, estimator, quantity, bin, r",
    "runs": "cell, realization, estimator",
}
#: Where reasons for missing values stand: table, what to show, which rows.
_REASONS: Final[tuple[tuple[TableName, str, str], ...]] = (
    ("runs", "concat_ws(': ', nullif(error_type, ''), nullif(message, ''))", "status <> 'ok'"),
    ("estimates", "note", "note <> '' AND coalesce(NOT isfinite(value), true)"),
)
#: How often a reader looks again for parts that a run has replaced meanwhile.
_LOOKS: Final = 3


@carded
class Results:
    """Results in a folder, for reading.

    Parameters
    ----------
    out
        Folder of a run, finished or not; or an address that fsspec reads, such as ``s3://bucket/run``.
    description
        Content of its ``run.json``; read from the folder where it is not given.

    Raises
    ------
    InputError
        If the folder is not a results folder.
    """

    def __init__(self, out: str | Path, description: Spec | None = None) -> None:
        self.out = fetched(str(out)) if is_remote(out) else Path(out)
        found = description or read_description(self.out)
        if found is None:
            raise InputError(
                f"{self.out}: is not a results folder: it has no {DESCRIPTION}, or a damaged one, which the next run"
                " of its scenario into this folder mends"
            )
        self.description: Spec = found
        self._listed: tuple[str, ...] | None = None
        #: Names of parts of which not every byte is as it was written; they are not read.
        self.damaged: tuple[str, ...] = ()

    @property
    def _card(self) -> Card:
        scenario = self.scenario
        told = self.description
        rows = [[str(entry["estimator"]), str(entry["kind"])] for entry in told["estimators"]]
        cells = len(told["cells"])
        notes = [
            f"{cells} cell{'' if cells == 1 else 's'} x {scenario.get('realizations')} realisations"
        ]
        try:
            counts = ", ".join(f"{n} {status}" for status, n in sorted(self.counts().items()))
            notes.append(f"estimator runs: {counts or 'none'}")
        except InputError as error:
            notes.append(str(error))
        title = f"Results in {self.out}: {scenario.get('title') or scenario.get('name')}"
        return Card(title, ("estimator", "kind"), rows, notes)

    @property
    def scenario(self) -> Spec:
        """The scenario that was run, as plain values."""
        return dict(self.description["scenario"])

    @property
    def _names(self) -> tuple[str, ...]:
        """Parts to read; listed anew once a run that goes on has deleted some of them."""
        if self._listed is None or not self._are_there(self._listed):
            for _ in range(_LOOKS):
                live, broken = scan(self.out)
                if not broken:  # else a run may be replacing them
                    break
            self._listed = tuple(live)
            if broken and self.damaged != tuple(broken):
                self.damaged = tuple(broken)
                warnings.warn(self.damage, HaloassayWarning, stacklevel=2)
        return self._listed

    @property
    def damage(self) -> str:
        """What is damaged, in one line; empty where nothing is."""
        if not self.damaged:
            return ""
        files = f"part{'s' if len(self.damaged) > 1 else ''} {', '.join(self.damaged[:3])}"
        more = f" and {len(self.damaged) - 3} more" if len(self.damaged) > 3 else ""
        return (
            f"{self.out}: {files}{more} of the results: damaged and left out; run the scenario into this folder again"
            " to mend them"
        )

    def trust(self, names: Iterable[str]) -> None:
        """Read these parts as they are, without looking at every byte first."""
        self._listed = tuple(names)

    def _are_there(self, names: Iterable[str]) -> bool:
        return all(part_file(self.out, kind, name).exists() for name in names for kind in SCHEMAS)

    def steadily(self, read: Callable[[], _T]) -> _T:
        """Return what ``read`` does with the files; once more if a run replaced some meanwhile.

        Raises
        ------
        InputError
            If files cannot be read.
        """
        import duckdb

        for _ in range(_LOOKS):
            listed = self._names
            try:
                return read()
            except (duckdb.IOException, duckdb.InvalidInputException, OSError) as error:
                reason = error
            if self._are_there(listed):
                break
        raise InputError(f"{self.out}: cannot be read: {' '.join(str(reason).split())}")

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

    @property
    def shared(self) -> list[tuple[str, str, str]]:
        """Cell, estimator, and the cell whose rows are its, too: it was not run again."""
        return [
            (cell["cell"], estimator, owner)
            for cell in self.description["cells"]
            for estimator, owner in cell.get("shared", {}).items()
        ]

    @property
    def unpaired(self) -> list[str]:
        """Cells whose realisations have other random numbers than the same ones of other cells."""
        return [cell["cell"] for cell in self.description["cells"] if cell.get("unpaired")]

    @property
    def quantities(self) -> Mapping[str, Quantity]:
        """What the results speak of, by name."""
        return of_results(self.description.get("quantities", ()))

    @property
    def tolerances(self) -> Tolerances:
        """Sizes above which errors matter."""
        return tolerances_of(self.scenario)

    @property
    def factors(self) -> tuple[StatedFactor, ...]:
        """What varies between the cells."""
        return tuple(map(StatedFactor.of, self.description.get("factors", ())))

    @property
    def samplings(self) -> dict[str, Sampling]:
        """Points of the cells that draw all factors anew, by cell."""
        return {
            cell["cell"]: Sampling(**cell["sampling"])
            for cell in self.description["cells"]
            if "sampling" in cell
        }

    @property
    def catalogues(self) -> dict[str, int]:
        """How many catalogues each cell has once the run is complete."""
        return due.catalogues(self.description)

    def points(self, cell: str, realizations: Iterable[int]) -> pd.DataFrame:
        """Look up what the factors were in some catalogues of a cell that draws them.

        Returns
        -------
        pandas.DataFrame
            Columns ``realization``, ``point``, ``draw`` (realisation whose random numbers it has), and one a factor.

        Raises
        ------
        InputError
            If the run has no such cell, or one of fixed levels.
        """
        import numpy as np
        import pandas as pd

        known = self.samplings
        if cell not in known:
            raise unknown("sampled cell", cell, known or ["none"], str(self.out))
        sampling, numbers = known[cell], [int(i) for i in realizations]
        u = np.array([sampling.coordinates(i) for i in numbers]).reshape(len(numbers), -1)
        columns: dict[str, object] = {
            "realization": numbers,
            "point": [sampling.point(i) for i in numbers],
            "draw": [sampling.draw(i) for i in numbers],
        }
        columns |= {f.label: f.values(u[:, k]) for k, f in enumerate(self.factors)}
        return pd.DataFrame(columns)

    def frame(self, kind: TableName) -> pd.DataFrame:
        """All rows of a table, in an order that does not depend on how they were computed."""
        return self.query(f"SELECT * FROM {kind} ORDER BY {_ORDER[kind]}")

    def query(self, query: str) -> pd.DataFrame:
        """Query the tables of :func:`haloassay.analysis.query.open_tables`."""
        from haloassay.analysis.query import as_frame, open_tables

        def read() -> pd.DataFrame:
            with open_tables(self) as tables:
                return as_frame(tables.sql(query))

        return self.steadily(read)

    def reasons(self, limit: int = 3) -> list[str]:
        """Why there are no values, the most frequent first: ``"40 x too few stars"``.

        Reasons are the messages of estimator runs that were not ok, and the notes of estimates that
        are undetermined.
        """
        counts: Counter[str] = Counter()
        for kind, reason, where in _REASONS:
            rows = self.query(
                f"SELECT {reason} AS reason, count(*) AS n FROM {kind} WHERE {where} GROUP BY reason"
                f" ORDER BY n DESC, reason LIMIT {limit:d}"
            )
            counts.update(dict(zip(rows["reason"], map(int, rows["n"]), strict=True)))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [f"{n} x {reason}" for reason, n in ranked[:limit]]

    def counts(self) -> dict[str, int]:
        """How many estimator runs ended in each status."""
        counts = self.frame("runs")["status"].value_counts()
        return {str(status): int(n) for status, n in counts.items()}

    @property
    def base_cell(self) -> str:
        """The cell that others are compared with: ``base``, or the first of a design that has none."""
        cells = [str(cell["cell"]) for cell in self.description["cells"]]
        return "base" if "base" in cells else next(iter(cells), "")

    def table(self) -> pd.DataFrame:
        """Bias, scatter, coverage and the rest, each with its Monte Carlo error."""
        from haloassay.analysis.scores import score

        return self.steadily(lambda: score(self))

    def pairs(self, base: str | None = None) -> pd.DataFrame:
        """Differences of errors from a base cell; see :func:`haloassay.analysis.pairs.paired`.

        Raises
        ------
        InputError
            If there is no such cell, or no other.
        """
        from haloassay.analysis.pairs import paired

        return self.steadily(lambda: paired(self, self.base_cell if base is None else base))
