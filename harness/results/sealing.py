"""The folder of a blind challenge: what is public, what is sealed, and the hash that holds the one to the other.

Before anything is given out the organiser commits to the truth by the SHA-256 of a salt and the sealed file, one after
the other: whoever has both later finds the same, ``cat salt truth.json | sha256sum``. Without the salt, which no seed
gives, nobody can try truths until one fits.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from haloassay.base.errors import InputError
from haloassay.base.strict_json import strict_json
from haloassay.io.formats import FORMATS
from haloassay.results.documents import require_told, require_truth
from haloassay.results.lock import HELD, LOCK, locked

#: Of files as this version writes and reads them.
FORMAT: Final = 1
#: Folder for participants and its files.
PUBLIC: Final = "public"
CHALLENGE: Final = "challenge.json"
TEMPLATE: Final = "submission.csv"
README: Final = "README.md"
#: What participants are told of each catalogue.
LISTED: Final = ("catalogue", "file", "n_stars", "sha256")
#: Folder of the organiser and its files.
SEALED: Final = "sealed"
TRUTH: Final = "truth.json"
SALT: Final = "salt"
#: How catalogues are called, whatever their format; and letters of the first line of a table that are read.
_NAMED: Final = re.compile(r"halo-\d+\.")
_LONGEST_HEAD: Final = 10_000
#: Letters of the salt, all of them hexadecimal.
_SALT_LENGTH: Final = 64
#: Bytes of files that are read: those of a challenge of 1e5 catalogues, and more.
_LARGEST: Final = 1_000_000_000


def new_salt() -> str:
    """Return a salt that nobody can guess."""
    return secrets.token_hex(_SALT_LENGTH // 2)


def canonical(told: Mapping[str, Any]) -> bytes:
    """Bytes of plain values in one way only: JSON in ASCII, keys in order, no blanks, an end of line."""
    return (strict_json(told, sort_keys=True, separators=(",", ":")) + "\n").encode("ascii")


def commitment(salt: bytes, truth: bytes) -> str:
    """SHA-256 of salt and truth, one after the other."""
    return hashlib.sha256(salt + truth).hexdigest()


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def added_catalogues(public: Path, listed: Collection[str]) -> list[Path]:
    """Files of a public folder that look like its catalogues, and are not listed.

    They are called as catalogues are, or have the suffix of a table that is no text; CSV files of other names may be
    submissions, which have a column that names catalogues.
    """
    found = [file for file in sorted(public.iterdir()) if file.name not in listed]
    return [file for file in found if file.is_file() and _is_catalogue(file)]


def _is_catalogue(file: Path) -> bool:
    name = file.name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    if FORMATS.get(suffix, "text") == "text":
        return False
    if _NAMED.match(name) or suffix != ".csv":
        return True
    try:
        with open(file, encoding="utf-8-sig", errors="replace") as lines:
            head = lines.readline(_LONGEST_HEAD)
    except OSError:  # nobody else reads it either
        return False
    return "catalogue" not in head


def digest_of_readme(text: bytes, commitment: str) -> str:
    """SHA-256 of a README, in hexadecimal, without the commitment, before which it is sealed."""
    return hashlib.sha256(text.replace(commitment.encode(), b"")).hexdigest()


@dataclass(frozen=True)
class Sealed:
    """What an organiser keeps until the end, as its files have it."""

    salt: bytes
    truth: bytes

    @property
    def commitment(self) -> str:
        """What is published of it before."""
        return commitment(self.salt, self.truth)

    def told(self, place: Path) -> dict[str, Any]:
        """Plain values of the truth, with all that scores need; ``place`` is its file.

        Raises
        ------
        InputError
            If it is no truth of this version, or damaged.
        """
        told = _parsed(self.truth, str(place))
        require_truth(told, str(place))
        return told

    def write(self, folder: Path) -> None:
        """Write the files into a new folder that only their owner may read."""
        from haloassay.base.files import write_bytes

        folder.mkdir(mode=0o700)
        for name, data in ((TRUTH, self.truth), (SALT, self.salt)):
            write_bytes(folder / name, data)

    @classmethod
    def read(cls, folder: Path) -> Sealed:
        """Read the files of a folder.

        Raises
        ------
        InputError
            If one of them is not there.
        """
        return cls(_read(folder / SALT), _read(folder / TRUTH))


def read_challenge(public: Path) -> dict[str, Any]:
    """Read what participants are told.

    Raises
    ------
    InputError
        If it cannot be read, is none of this version, or damaged.
    """
    place = public / CHALLENGE
    told = _parsed(_read(place), str(place))
    require_told(told, str(place))
    return told


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(data) > _LARGEST:
        raise InputError(f"{path}: is too long to be a file of a challenge")
    return data


def _parsed(data: bytes, place: str) -> dict[str, Any]:
    try:
        told = json.loads(data)
        json.dumps(told, ensure_ascii=False).encode()  # lone surrogates, which nothing can write
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or "format" not in told:
        raise InputError(f"{place}: is not what `haloassay challenge make` writes")
    if told["format"] != FORMAT:
        raise InputError(
            f"{place}: is of format {told['format']!r}, of haloassay {told.get('haloassay', '?')}; this version reads"
            f" {FORMAT}"
        )
    return told


@contextlib.contextmanager
def whole_folder(out: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """Name for a folder to write to, which is called ``out`` once the block has ended well, and is gone if it has not.

    What a killed writer has left is cleared away by the next one.

    Raises
    ------
    InputError
        If ``out`` holds anything, somebody else is writing it, or the system refuses.
    """
    require_new(out)
    making = out.with_name(f".{out.name}.making")
    if making.is_symlink():
        raise InputError(f"{making}: is a link, which nothing is written through: remove it")
    with locked(making, say):
        try:
            _clear(making)
            yield making
            require_new(out)
            shutil.rmtree(making / HELD, ignore_errors=True)
            (making / LOCK).unlink(missing_ok=True)
            if out.is_dir():
                out.rmdir()
            os.rename(making, out)
        except OSError as error:
            shutil.rmtree(making, ignore_errors=True)
            raise InputError(f"{out}: cannot be written: {error.strerror or error}") from error
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise


def require_new(out: Path) -> None:
    """Raise :class:`InputError` unless a folder is not there, or empty."""
    if not out.name:
        raise InputError(f"{out}: is no name for a new folder")
    try:
        if not out.is_symlink() and (not out.exists() or (out.is_dir() and not any(out.iterdir()))):
            return
    except OSError as error:
        raise InputError(f"{out}: cannot be read: {error.strerror or error}") from None
    raise InputError(f"{out}: is there already: choose another folder; nothing was touched")


def _clear(folder: Path) -> None:
    """Empty a folder of all but its lock."""
    for path in folder.iterdir():
        if path.name in (LOCK, HELD):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
