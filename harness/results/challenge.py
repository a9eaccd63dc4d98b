"""A blind challenge in its folder: submissions are checked without the truth, and scored with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from haloassay.base.cache import content_key
from haloassay.base.errors import InputError
from haloassay.contracts.cards import Card, carded
from haloassay.contracts.quantities import QUANTITIES
from haloassay.contracts.questions import Question, questions_of
from haloassay.contracts.schema import SCHEMAS
from haloassay.io.submissions import Answer, Submission, read_submission
from haloassay.planning.scenario import Spec, make_scenario
from haloassay.results.description import DESCRIPTION, computed_by, differences, encoded
from haloassay.results.parts import write_file, write_part
from haloassay.results.results import Results
from haloassay.results.sealing import (
    CHALLENGE,
    LISTED,
    PUBLIC,
    README,
    SEALED,
    TRUTH,
    Sealed,
    added_catalogues,
    digest_of_file,
    digest_of_readme,
    read_challenge,
    whole_folder,
)

#: What a submission is called where a run names the kind of an estimator.
KIND: Final = "submission"
#: Keys of what participants are told that are held against the truth by themselves.
_COMPARED_APART: Final = ("asked", "catalogues", "commitment")
#: Why there is no value where a submission has no row.
_NO_ROW: Final = "the submission has no value and no note here"


@carded
class Challenge:
    """A blind challenge, as ``haloassay challenge make`` wrote it.

    Parameters
    ----------
    folder
        Folder of the challenge, or the public part alone, which is all that a participant has.

    Raises
    ------
    InputError
        If it is neither, or damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        whole = (self.folder / PUBLIC / CHALLENGE).is_file()
        self.public = self.folder / PUBLIC if whole else self.folder
        if not (self.public / CHALLENGE).is_file():
            raise InputError(f"{self.folder}: holds no challenge: there is no {CHALLENGE} in it")
        self.sealed = self.public.parent / SEALED if whole else self.folder / SEALED
        self.told = read_challenge(self.public)
        self.questions = questions_of(self.told["asked"])
        self.catalogues = tuple(str(each["catalogue"]) for each in self.told["catalogues"])
        self.commitment = str(self.told["commitment"]["sha256"])

    @property
    def _card(self) -> Card:
        rows = [
            [q.quantity.name, f"{q.r:g}" if q.r == q.r else "", q.quantity.unit]
            for q in self.questions
        ]
        notes = (f"commitment: {self.commitment}",)
        title = f"Blind challenge in {self.folder}: {len(self.catalogues)} catalogues"
        return Card(title, ("quantity", "r [kpc]", "unit"), rows, notes)

    def check(self, submission: str | Path) -> Submission:
        """Read a submission, without the truth.

        Raises
        ------
        InputError
            If it is not well formed; the message names the line.
        """
        return read_submission(submission, self.catalogues, self.questions)

    def verify(self) -> tuple[str, ...]:
        """Say what speaks against the sealed truth being the one that was committed to, of what is public here.

        Returns
        -------
        tuple
            One line for each thing that was changed since; empty where nothing was.

        Raises
        ------
        InputError
            If the sealed folder is not there, or a file cannot be read or is damaged.
        """
        sealed = Sealed.read(self.sealed)
        if objection := self._objection(sealed):
            return (objection,)
        return tuple(self._differences(sealed.told(self.sealed / TRUTH)))

    @property
    def unverified(self) -> tuple[str, ...]:
        """Names of what is published and stands in no sealed truth of an older version, with which it is not compared.

        Raises
        ------
        InputError
            As of :meth:`verify`.
        """
        truth = Sealed.read(self.sealed).told(self.sealed / TRUTH)
        if truth.get("told") is not None:
            return ()
        return (*sorted(self.told.keys() - {*truth, "commitment"}), README)

    def score(self, *submissions: str | Path, out: str | Path) -> Results:
        """Score submissions, each as an estimator of its file's name, into a folder of results.

        Parameters
        ----------
        submissions
            CSV files; all are read before anything is written.
        out
            Folder that is not there yet: ``haloassay table``, ``rank``, ``figure`` and ``report`` read it.

        Raises
        ------
        InputError
            If the sealed truth is not the one that was committed to or damaged, a submission is not well formed, two
            have one name, or the folder is there already. Nothing is left then.
        """
        truth = self._unsealed()
        read = [read_submission(file, self.catalogues, self.questions) for file in submissions]
        if not read:
            raise InputError("challenge: there is no submission to score")
        _require_apart(read)
        with whole_folder(Path(out), _ignore) as place:
            write_part(place, "segment", _tables(truth, self.questions, read))
            write_file(place / DESCRIPTION, encoded(_description(truth, read)))
        return Results(out)

    def _unsealed(self) -> Spec:
        """Read the truth, which has to be the one that was committed to, and of what was asked."""
        sealed = Sealed.read(self.sealed)
        if objection := self._objection(sealed):
            raise InputError(f"{self.folder}: {objection}: nothing was scored")
        truth = sealed.told(self.sealed / TRUTH)
        for objection in self._changes(truth):
            raise InputError(f"{self.folder}: {objection}: nothing was scored")
        return truth

    def _objection(self, sealed: Sealed) -> str:
        found = sealed.commitment
        if found == self.commitment:
            return ""
        return (
            "the sealed truth is not the one that was committed to: SHA-256 of salt and truth is"
            f" {found}, and {CHALLENGE} says {self.commitment}"
        )

    def _changes(self, truth: Spec) -> Iterator[str]:
        """Say where participants were told of other questions or catalogues than the truth has."""
        if self.told["asked"] != truth["asked"]:
            yield f"{CHALLENGE} does not ask what the sealed truth answers"
        if self.catalogues != tuple(each["catalogue"] for each in truth["catalogues"]):
            yield f"{CHALLENGE} does not list the catalogues that the sealed truth is of"

    def _differences(self, truth: Spec) -> Iterator[str]:
        yield from self._changes(truth)
        for line in self._told_otherwise(truth):
            yield f"{CHALLENGE} is not as it was sealed: {line}"
        for each in truth["catalogues"]:
            yield from _objections(self.public / each["file"], each["sha256"], digest_of_file)
        listed = {each["file"] for each in truth["catalogues"]}
        for file in added_catalogues(self.public, listed):
            yield f"{file}: is a catalogue that the sealed truth is not of, and {CHALLENGE} does not list"
        if truth.get("readme") is not None:
            yield from _objections(self.public / README, truth["readme"], self._digest_of_readme)

    def _told_otherwise(self, truth: Spec) -> Iterator[str]:
        """Say what else participants were told that the truth does not say: by its name, sealed and public value."""
        listed = {each["catalogue"]: each for each in truth["catalogues"]}
        for each in self.told["catalogues"]:
            if sealed := listed.get(each["catalogue"]):
                yield from differences({k: sealed[k] for k in LISTED}, each, each["catalogue"])
        if truth.get("told") is not None:
            head = {k: truth[k] for k in ("format", "haloassay")}
            rest = {k: v for k, v in self.told.items() if k not in _COMPARED_APART}
            yield from differences({**head, **truth["told"]}, rest)

    def _digest_of_readme(self, path: Path) -> str:
        return digest_of_readme(path.read_bytes(), self.commitment)


def _objections(file: Path, digest: str, digest_of: Callable[[Path], str]) -> Iterator[str]:
    """Object to a public file that cannot be read or has another digest."""
    try:
        same = digest_of(file) == digest
    except OSError as error:
        yield f"{file}: cannot be read: {error.strerror or error}"
        return
    if not same:
        yield f"{file}: is not the file that the sealed truth is of"


def _ignore(line: str) -> None:
    del line


def _require_apart(submissions: Sequence[Submission]) -> None:
    seen: dict[str, Path] = {}
    for each in submissions:
        if each.name in seen:
            raise InputError(
                f"{each.path}: is called {each.name!r}, as {seen[each.name]} is: give it another name"
            )
        seen[each.name] = each.path


def _description(truth: Spec, submissions: Sequence[Submission]) -> Spec:
    """Content of ``run.json``: as of a run of the scenario whose estimators are the submissions.

    Catalogues of no two cells have the same random numbers, or they could be told apart by what they have in common.
    """
    keys = {each.name: _key(each) for each in submissions}
    cells = [
        {**cell, "estimator_keys": keys, "mock": {}, "unpaired": True} for cell in truth["cells"]
    ]
    return {
        "scenario": make_scenario(truth["scenario"]).to_dict(),
        "cells": cells,
        "factors": truth["factors"],
        "estimators": [{"estimator": name, "kind": KIND} for name in keys],
        "quantities": [q for q in truth["asked"] if q["name"] not in QUANTITIES],
        **computed_by(),
    }


def _key(submission: Submission) -> str:
    return content_key([KIND, submission.name, submission.digest])


def _tables(
    truth: Spec, questions: Sequence[Question], submissions: Sequence[Submission]
) -> dict[Any, pa.Table]:
    """Rows of all submissions, as those of a run."""
    cell_keys = {cell["cell"]: cell["cell_key"] for cell in truth["cells"]}
    estimates, runs = [], []
    for catalogue in truth["catalogues"]:
        place = {
            "cell": catalogue["cell"],
            "cell_key": cell_keys[catalogue["cell"]],
            "realization": catalogue["realization"],
        }
        for each in submissions:
            keys = {**place, "estimator": each.name, "estimator_key": _key(each)}
            rows = list(_rows(each, catalogue, questions))
            answered = any(row["note"] != _NO_ROW for row in rows)
            runs.append({**keys, **_run(answered, catalogue["n_stars"])})
            estimates += [{**keys, **row} for row in rows if answered]
    return {
        "estimates": pa.Table.from_pylist(estimates, SCHEMAS["estimates"]),
        "runs": pa.Table.from_pylist(runs, SCHEMAS["runs"]),
    }


def _rows(
    submission: Submission, catalogue: Mapping[str, Any], questions: Sequence[Question]
) -> Iterator[Spec]:
    """Answers about a catalogue to the questions that a submission enters for."""
    for k in submission.entered:
        question, truth = questions[k], float(catalogue["truth"][k])
        answer = submission.answers.get((catalogue["catalogue"], k), Answer(note=_NO_ROW))
        valued = answer.value == answer.value
        numbers = {
            name: getattr(answer, name) for name in ("value", "lo68", "hi68", "lo95", "hi95")
        }
        yield {
            "quantity": question.quantity.name,
            "bin": question.bin,
            "r": _null(question.r),
            "unit": question.quantity.unit,
            **{name: _null(x) for name, x in numbers.items()},
            "truth": truth,
            "rank": -1,
            "n_draws": 0,
            "note": "" if valued else answer.note,
        }


def _run(answered: bool, n_stars: int) -> Spec:
    """Tell how a submission ended on a catalogue; how long that took, nobody knows."""
    told = ("ok", "", "") if answered else ("failed", "NoAnswer", "no row of this catalogue")
    return {
        **dict(zip(("status", "error_type", "message"), told, strict=True)),
        "traceback": "",
        "n_stars": n_stars,
        "joint_rank": -1,
        "joint_draws": 0,
        "joint_rows": 0,
    }


def _null(x: float) -> float | None:
    """Turn NaN into null: the statistics of Parquet columns know nulls, but not NaN."""
    return None if math.isnan(x) else x
