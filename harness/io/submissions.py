"""Submissions to a blind challenge: CSV files of anybody's numbers, read line by line and refused in one."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from haloassay.base.errors import InputError
from haloassay.base.settings import guess, unknown
from haloassay.contracts.questions import Question
from haloassay.io.csv_rows import csv_rows

#: Columns of a submission, and those that none lacks.
COLUMNS: Final = (
    *("catalogue", "quantity", "r", "unit", "value"),
    *("lo68", "hi68", "lo95", "hi95", "note"),
)
REQUIRED: Final = ("catalogue", "quantity", "r", "value", "lo68", "hi68")
#: Numbers of a row, in the order in which they may not fall.
_ORDER: Final = ("lo95", "lo68", "value", "hi68", "hi95")
#: Letters that a note has at most, and bytes of a file: so many for its head, and so many a row.
_LONGEST_NOTE: Final = 500
_HEAD: Final = 10_000
_ROW: Final = 2_500
#: What no mass of a galaxy is, in Msun: other units are told by it.
_LEAST_MASS: Final = 1e5
_LARGEST_MASS: Final = 1e17


@dataclass(frozen=True)
class Answer:
    """What a submission says to one question about one catalogue; without a value, ``note`` says why."""

    value: float = math.nan
    lo68: float = math.nan
    hi68: float = math.nan
    lo95: float = math.nan
    hi95: float = math.nan
    note: str = ""


@dataclass(frozen=True)
class Submission:
    """A well-formed submission.

    Parameters
    ----------
    name
        What it is called in tables: its file's name without the suffix.
    path
        Its file.
    questions, n_catalogues
        What was asked, and of how many catalogues.
    answers
        By catalogue and the number of the question. Rows without value and note are none.
    digest
        Digest of the file.
    """

    name: str
    path: Path
    questions: tuple[Question, ...]
    n_catalogues: int
    answers: Mapping[tuple[str, int], Answer]
    digest: str

    @property
    def entered(self) -> tuple[int, ...]:
        """Numbers of the questions that it answers for any catalogue: what is missing there counts as failed."""
        return tuple(sorted({question for _, question in self.answers}))

    def __str__(self) -> str:
        valued = sum(1 for answer in self.answers.values() if answer.value == answer.value)
        wanted = len(self.entered) * self.n_catalogues
        said = [f"{valued} of {wanted} numbers have a value"]
        if undetermined := len(self.answers) - valued:
            said.append(f"{undetermined} undetermined")
        if missing := wanted - len(self.answers):
            said.append(f"{missing} missing, which count as failed")
        left = [str(q) for k, q in enumerate(self.questions) if k not in self.entered]
        if left:
            said.append(f"does not enter: {', '.join(left)}")
        return f"{self.path}: {'; '.join(said)}"


def read_submission(
    path: str | Path, catalogues: Sequence[str], questions: Sequence[Question]
) -> Submission:
    """Read a submission.

    Parameters
    ----------
    path
        CSV file with the columns :data:`COLUMNS`, in any order.
    catalogues, questions
        What was asked of what.

    Raises
    ------
    InputError
        If the file cannot be read or is no such table, a catalogue or number was not asked for or stands twice, a
        value is none, in another unit, outside of its intervals, beyond what the quantity can be or has a note, a
        row goes on in the next line, or nothing is answered; the message names the line.
    """
    import hashlib

    path = Path(path)
    data = _bytes(path, _HEAD + _ROW * len(catalogues) * len(questions))
    reader = _Reader(frozenset(catalogues), tuple(catalogues), tuple(questions))
    found: dict[tuple[str, int], Answer] = {}
    lines: dict[tuple[str, int], int] = {}
    for line, row in _rows(path, _text(path, data)):
        where = f"{path}: line {line}"
        place = reader.place(row, where)
        if place in lines:
            told = f"{questions[place[1]]} of {place[0]}"
            raise InputError(f"{where}: {told} stands in line {lines[place]} already")
        lines[place] = line
        answer = reader.answer(row, questions[place[1]], where)
        if answer is not None:
            found[place] = answer
    if not found:
        raise InputError(f"{path}: answers nothing: no row has a value or a note")
    name = path.stem.strip()
    if not name or not name.isprintable():
        raise InputError(f"{path}: a submission is called by the name of its file, which is none")
    digest = hashlib.sha256(data).hexdigest()
    return Submission(name, path, reader.questions, len(catalogues), found, digest)


def template(catalogues: Sequence[str], questions: Sequence[Question]) -> str:
    """Text of a submission with a row for each number that is asked for, and no values."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for catalogue in catalogues:
        for question in questions:
            r = f"{question.r:.10g}" if question.r == question.r else ""
            head = (catalogue, question.quantity.name, r, question.quantity.unit)
            writer.writerow([*head, *[""] * (len(COLUMNS) - len(head))])
    return out.getvalue()


@dataclass(frozen=True)
class _Reader:
    """Reads rows of a submission against what was asked."""

    known: frozenset[str]
    catalogues: tuple[str, ...]
    questions: tuple[Question, ...]

    def place(self, row: Mapping[str, str], where: str) -> tuple[str, int]:
        """Find the number that a row is about."""
        catalogue, name = row["catalogue"], row["quantity"]
        if catalogue not in self.known:
            ends = f"{self.catalogues[0]} to {self.catalogues[-1]}"
            near = guess(catalogue, self.catalogues)
            raise InputError(f"{where}: unknown catalogue {catalogue!r}{near} (allowed: {ends})")
        of_name = {k: q for k, q in enumerate(self.questions) if q.quantity.name == name}
        if not of_name:
            asked = {question.quantity.name for question in self.questions}
            raise unknown("quantity", name, asked, where)
        r = math.nan if row["r"] == "" else _number(row["r"], "r", where)
        for k, question in of_name.items():
            if question.is_at(r):
                return catalogue, k
        allowed = [f"{q.r:g}" if q.r == q.r else "none" for q in of_name.values()]
        got = row["r"] or "none"
        raise InputError(
            f"{where}: {name} is not asked for at this r [kpc] (got {got}, allowed: {', '.join(allowed)})"
        )

    def answer(self, row: Mapping[str, str], question: Question, where: str) -> Answer | None:
        """Read what a row says; None where it is not filled in."""
        quantity, unit = question.quantity, row.get("unit", "")
        if unit not in ("", quantity.unit):
            wanted = quantity.unit or "no unit"
            raise InputError(f"{where}: {quantity.name} is wanted in {wanted} (got {unit!r})")
        numbers = {k: _number(row[k], k, where) for k in _ORDER if row.get(k, "") != ""}
        note = row.get("note", "")
        if len(note) > _LONGEST_NOTE:
            raise InputError(f"{where}: the note is longer than {_LONGEST_NOTE} letters")
        if "value" not in numbers:
            if numbers:
                raise InputError(f"{where}: {question} has an interval and no value")
            return Answer(note=note) if note else None
        if note:
            raise InputError(
                f"{where}: {question} has a value and a note, and a row with a note counts as failed: leave value"
                " and intervals empty where the note says why there is none, or leave out the note"
            )
        for level in ("68", "95"):
            if (f"lo{level}" in numbers) != (f"hi{level}" in numbers):
                raise InputError(
                    f"{where}: {question} has one end of its {level} per cent interval only"
                )
        given = [numbers[name] for name in _ORDER if name in numbers]
        if any(b < a for a, b in itertools.pairwise(given)):
            order = " <= ".join(name for name in _ORDER if name in numbers)
            told = ", ".join(f"{x:g}" for x in given)
            raise InputError(f"{where}: {question}: intervals hold the value: {order} (got {told})")
        value = numbers["value"]
        if objection := quantity.objection(value):
            raise InputError(f"{where}: {question} {objection}")
        if quantity.unit == "Msun" and not _LEAST_MASS <= value <= _LARGEST_MASS:
            raise InputError(
                f"{where}: {question} is wanted in Msun, and {value:g} Msun is no mass of a galaxy: other"
                " units?"
            )
        return Answer(**numbers, note="")


def _number(text: str, name: str, where: str) -> float:
    try:
        found = float(text)
    except ValueError:
        raise InputError(f"{where}: {name}: expected a number (got {text[:40]!r})") from None
    if not math.isfinite(found):
        instead = "" if name == "r" else ": leave value and intervals empty, and say why in note"
        raise InputError(f"{where}: {name} is {text}{instead}")
    return found


def _bytes(path: Path, most: int) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read: {reason}") from None
    if len(data) > most:
        raise InputError(f"{path}: is longer than a submission can be ({most} bytes)")
    return data


def _text(path: Path, data: bytes) -> str:
    if b"\0" in data:
        raise InputError(f"{path}: is no CSV file: it holds zero bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not UTF-8 text (byte {error.start} cannot be decoded)"
        ) from None


def _rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows with the numbers of their lines, by the names of the head."""
    lines = io.StringIO(text, newline="")
    return csv_rows(lines, str(path), lambda head: _require_columns(head, path))


def _require_columns(head: Sequence[str], path: Path) -> None:
    if lacks := [name for name in REQUIRED if name not in head]:
        shown = ", ".join(head)[:200]
        raise InputError(f"{path}: has no column {', '.join(lacks)} (it has {shown})")
    for name in head:
        if name not in COLUMNS:
            raise unknown("column", name[:40], COLUMNS, str(path))
        if head.count(name) > 1:
            raise InputError(f"{path}: column {name!r} stands twice")
