"""A part of the tasks of a plan, for runs that share them out without knowing of each other."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from haloassay.base.errors import InputError

#: Folder, in that of the results, which holds those of shards.
SHARDS: Final = "shards"
_WRITTEN: Final = re.compile(r"(\d+)(?:/|-of-)(\d+)")


@dataclass(frozen=True)
class Shard:
    """Every so manieth task of a plan.

    Tasks are dealt out one by one, realisation by realisation: a shard of a run of as many cells has one cell, whose
    mock is the only one that it makes.

    Parameters
    ----------
    number, of
        Which, from 1 on, of how many.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``"3/100"``, or the name of a folder.

        Raises
        ------
        InputError
            If it is no such thing.
        """
        written = _WRITTEN.fullmatch(text.strip())
        if written is None:
            raise InputError(f"shard: expected NUMBER/OF, such as 3/100 (got {text!r})")
        number, of = map(int, written.groups())
        if not 1 <= number <= of:
            raise InputError(f"shard: its number is 1 to {of} of {of} (got {text})")
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def folder(self, out: Path) -> Path:
        """Folder of its results in that of a run."""
        return out / SHARDS / f"{self.number:0{len(str(self.of))}d}-of-{self.of}"


def shard_folders(out: Path) -> dict[Shard, Path]:
    """Folders of shards in that of a run, in their order."""
    found = {}
    for path in (out / SHARDS).glob("*-of-*"):
        if _WRITTEN.fullmatch(path.name) and path.is_dir():
            found[Shard.parse(path.name)] = path
    return dict(sorted(found.items(), key=lambda item: (item[0].of, item[0].number)))


def require_alone(out: Path, shard: Shard) -> None:
    """Refuse a folder whose shards are of another number.

    Raises
    ------
    InputError
        If there are some: tasks would be done twice.
    """
    for other in shard_folders(out):
        if other.of != shard.of:
            raise InputError(
                f"{out}: holds shards of a run that is shared out among {other.of}, not {shard.of}: the same tasks"
                " would be done twice; choose another folder"
            )
