"""The cache: what it keeps, what it throws away, and what it says when it cannot."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from haloassay.base.cache import (
    Arrays,
    CacheWarning,
    cache_folder,
    cache_limit,
    cached,
    can_keep,
    content_key,
)
from haloassay.base.errors import InputError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HALOASSAY_CACHE_SIZE", raising=False)
    return tmp_path / "cache"


def kept(folder: Path) -> list[str]:
    """Names of the files that the cache keeps, without its tag."""
    return sorted(path.name for path in room(folder).iterdir() if path.name != "CACHEDIR.TAG")


def room(folder: Path) -> Path:
    return folder / "haloassay-arrays"


def counting(value: float = 1.0, n: int = 1000) -> tuple[Callable[[], Arrays], list[int]]:
    calls: list[int] = []

    def make() -> Arrays:
        calls.append(1)
        return {"x": np.full(n, value), "n": np.array(7)}

    return make, calls


def test_made_once_and_read_ever_after(folder: Path) -> None:
    make, calls = counting(2.5)
    first, second = cached(["a", 1], make), cached(["a", 1], make)
    assert len(calls) == 1
    for arrays in (first, second):
        np.testing.assert_array_equal(arrays["x"], np.full(1000, 2.5))
        assert arrays["n"] == 7
    cached(["a", 2], make)
    assert len(calls) == 2
    assert cache_folder() == folder
    assert kept(folder) == sorted(f"{content_key(['a', i])}.npz" for i in (1, 2))


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", b"plain text"])
def test_damaged_file_is_made_again_and_said_so(folder: Path, damage: bytes) -> None:
    make, calls = counting()
    cached("a", make)
    path = room(folder) / f"{content_key('a')}.npz"
    path.write_bytes(damage)
    with pytest.warns(CacheWarning, match=r"cannot be read .* made again"):
        cached("a", make)
    assert len(calls) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cached("a", make)
    assert len(calls) == 2


def test_truncated_and_altered_archives_are_noticed(folder: Path) -> None:
    make, _ = counting()
    cached("a", make)
    path = room(folder) / f"{content_key('a')}.npz"
    whole = path.read_bytes()
    altered = bytearray(whole)
    altered[len(whole) // 2] ^= 0xFF
    for damage in (whole[: len(whole) // 2], bytes(altered)):
        path.write_bytes(damage)
        with pytest.warns(CacheWarning, match="made again"):
            arrays = cached("a", make)
        np.testing.assert_array_equal(arrays["x"], np.ones(1000))


def test_another_sound_file_in_its_place_is_noticed(folder: Path) -> None:
    """What a hand that tidies up, or a copy of a cache gone wrong, leaves."""
    make, calls = counting()
    other, _ = counting(9.0)
    cached("a", make)
    cached("b", other)
    path, place = (room(folder) / f"{content_key(name)}.npz" for name in ("b", "a"))
    path.replace(place)
    with pytest.warns(CacheWarning, match="holds something else: what it held is made again"):
        assert cached("a", make)["x"][0] == 1.0
    np.savez(place, x=np.zeros(3))
    with pytest.warns(CacheWarning, match="holds something else"):
        assert cached("a", make)["x"][0] == 1.0
    assert len(calls) == 3


def test_folder_that_cannot_be_written_costs_only_the_saving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HALOASSAY_CACHE", str(tmp_path / "file" / "cache"))
    make, calls = counting()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for content in ("a", "b", "c"):
            assert cached(content, make)["n"] == 7
    assert len(calls) == 3
    assert len([w for w in seen if "nothing can be kept" in str(w.message)]) == 1


def test_full_disk_costs_only_the_saving(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", no_space)
    make, calls = counting()
    with pytest.warns(CacheWarning, match="No space left on device"):
        assert cached("a", make)["n"] == 7
    assert len(calls) == 1
    assert kept(folder) == []


def test_what_was_not_used_for_longest_goes_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALOASSAY_CACHE_SIZE", "28 kB")
    make, calls = counting()
    for age, name in ((300, "old"), (200, "used"), (100, "young")):
        cached(name, make)
        path = room(folder) / f"{content_key(name)}.npz"
        then = path.stat().st_mtime - age
        os.utime(path, (then, then))
    cached("used", make)
    cached("new", make)
    assert kept(folder) == sorted(f"{content_key(name)}.npz" for name in ("used", "young", "new"))
    assert len(calls) == 4


def test_what_is_larger_than_the_cache_is_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, _ = counting()
    cached("small", make)
    monkeypatch.setenv("HALOASSAY_CACHE_SIZE", "10 kB")
    large, calls = counting(n=100_000)
    for _ in range(2):
        with pytest.warns(
            CacheWarning, match=r"0.0008 GB are not kept, .*\(HALOASSAY_CACHE_SIZE\)"
        ):
            cached("large", large)
    assert len(calls) == 2
    assert kept(folder) == [f"{content_key('small')}.npz"]
    monkeypatch.setenv("HALOASSAY_CACHE_SIZE", "0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cached("large", large)


def test_abandoned_temporary_files_go(folder: Path) -> None:
    make, _ = counting()
    cached("a", make)
    abandoned, current = (room(folder) / f".haloassay-{name}.npz" for name in "xy")
    for path in (abandoned, current):
        path.write_bytes(b"half")
    os.utime(abandoned, (0.0, 0.0))
    cached("b", make)
    assert not abandoned.exists()
    assert current.exists()


def test_every_flipped_byte_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of names, shapes and types as of the numbers: none gives other arrays without a word."""
    make, _ = counting(n=3)
    cached("a", make)
    path = room(folder) / f"{content_key('a')}.npz"
    whole = path.read_bytes()
    monkeypatch.setattr("haloassay.base.cache._write", lambda *_: None)  # the next byte is next
    for place in range(len(whole)):
        altered = bytearray(whole)
        altered[place] ^= 1 << place % 8
        path.write_bytes(bytes(altered))
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            arrays = cached("a", make)
        assert arrays.keys() == {"x", "n"}
        np.testing.assert_array_equal(arrays["x"], np.ones(3))


def test_files_of_others_are_never_touched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HALOASSAY_CACHE may name a folder that holds other things, large and old ones too."""
    names = ("mine.npz", "half.tmp", "0123456789abcdef0123456789abcdef.npz")
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(100_000))
        os.utime(path, (0.0, 0.0))
    monkeypatch.setenv("HALOASSAY_CACHE_SIZE", "28 kB")
    for content in range(5):
        cached(content, counting()[0])
    others = room(folder) / "notes.npz"
    others.write_bytes(bytes(100_000))
    os.utime(others, (0.0, 0.0))
    cached("more", counting()[0])
    assert all((folder / name).exists() for name in names)
    assert others.exists()


def test_a_folder_of_somebody_else_is_not_taken(folder: Path) -> None:
    room(folder).mkdir(parents=True)
    (room(folder) / "thesis.tex").write_text("x")
    make, calls = counting()
    with pytest.warns(CacheWarning, match=r"holds files of others, and no CACHEDIR\.TAG"):
        cached("a", make)
    assert kept(folder) == ["thesis.tex"]
    assert len(calls) == 1


def test_nothing_of_a_folder_of_somebody_else_is_removed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what is called as the cache's files are."""
    room(folder).mkdir(parents=True)
    theirs = room(folder) / "0123456789abcdef0123456789abcdef.npz"
    theirs.write_bytes(bytes(100_000))
    os.utime(theirs, (0.0, 0.0))
    monkeypatch.setenv("HALOASSAY_CACHE_SIZE", "28 kB")
    with pytest.warns(CacheWarning, match="holds files of others"):
        cached("a", counting()[0])
    assert theirs.exists()


@pytest.mark.parametrize(
    ("text", "size"), [("5 GB", 5e9), ("500MB", 5e8), ("2e9", 2e9), ("1.5t", 1.5e12), ("0", 0.0)]
)
def test_sizes_are_understood(text: str, size: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALOASSAY_CACHE_SIZE", text)
    assert cache_limit() == size


@pytest.mark.parametrize("text", ["much", "-1 GB", "5 XB"])
def test_bad_sizes_are_refused(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALOASSAY_CACHE_SIZE", text)
    with pytest.raises(InputError, match="HALOASSAY_CACHE_SIZE"):
        cached("a", counting()[0])


def test_an_array_that_would_stand_for_the_digest_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="no array may be called 'digest'"):
        cached(["a"], lambda: {"digest": np.zeros(3)})
    assert not folder.exists()


def test_whether_anything_can_be_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_keep()
    monkeypatch.setenv("HALOASSAY_CACHE_SIZE", "0 MB")
    assert not can_keep()
    monkeypatch.delenv("HALOASSAY_CACHE_SIZE")
    room(folder).joinpath("CACHEDIR.TAG").unlink()
    room(folder).joinpath("mine").touch()
    assert not can_keep()  # somebody else's
