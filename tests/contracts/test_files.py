"""Files that are whole or absent, and names of one file."""

from __future__ import annotations

import os
import stat
import threading

import numpy as np
import pytest

from haloassay.base.errors import InputError
from haloassay.base.files import replacing, same_file, write_bytes, writing
from haloassay.contracts.catalogue import Catalogue
from haloassay.io.tables import read_catalogue, write_catalogue


def test_a_file_is_replaced_whole_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "a"
    write_bytes(path, b"one")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o604)
    write_bytes(path, b"two")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two", 0o604)
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def spoilt():
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        spoilt()
    assert (os.listdir(tmp_path), path.read_bytes()) == (["a"], b"old")


@pytest.mark.parametrize("place", ["no/such/folder", "."])
def test_what_the_system_refuses_is_one_line(tmp_path, place):
    with (
        pytest.raises(InputError, match="cannot be written: ") as error,
        writing(tmp_path / place) as file,
    ):
        file.write_bytes(b"")
    assert "\n" not in str(error.value)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")

    def filled():
        with writing(tmp_path / "a") as temporary:
            temporary.symlink_to("/dev/full")
            temporary.write_bytes(b"x")

    with pytest.raises(InputError, match="a: cannot be written: No space left on device"):
        filled()
    assert os.listdir(tmp_path) == []


def test_links_are_replaced_or_followed_but_never_written_through(tmp_path):
    mine, link = tmp_path / "mine", tmp_path / "link"
    mine.write_bytes(b"mine")
    link.symlink_to(mine)
    write_bytes(link, b"new")
    assert (mine.read_bytes(), link.read_bytes(), link.is_symlink()) == (b"mine", b"new", False)
    link.unlink()
    link.symlink_to(mine)
    inode = mine.stat().st_ino
    with writing(link) as file:
        file.write_bytes(b"named")
    assert (mine.read_bytes(), link.is_symlink()) == (b"named", True)
    assert mine.stat().st_ino != inode


def test_unfinished_files_have_names_of_their_own(tmp_path):
    seen = []
    for _ in range(20):
        with replacing(tmp_path / "a.fits") as temporary:
            temporary.touch()
            seen.append(temporary.name)
    assert len(set(seen)) == 20
    assert all(name.startswith(".haloassay-") and name.endswith(".fits") for name in seen)


def test_a_pipe_is_written_straight(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with writing(pipe) as file:
        file.write_bytes(b"through")
    reader.join()
    assert read == [b"through"]
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_names_of_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "there"
    there.write_bytes(b"")
    (tmp_path / "sub").mkdir()
    (tmp_path / "hard").hardlink_to(there)
    (tmp_path / "soft").symlink_to("there")
    (tmp_path / "door").symlink_to("sub", target_is_directory=True)
    (tmp_path / "circle").symlink_to("circle")
    one = there.__class__
    for name in ("./there", "sub/../there", "hard", "soft"):
        assert same_file(one("there"), one(name)), name
    assert same_file(one("door/new"), one("sub/new"))
    assert not same_file(one("there"), one("sub/there"))
    assert not same_file(one("circle"), one("there"))


@pytest.mark.parametrize(
    "suffix", [".fits", ".fits.gz", ".ecsv", ".csv", ".parquet", ".hdf5", ".txt"]
)
def test_a_catalogue_is_written_beside_and_through_the_users_link(tmp_path, suffix):
    catalogue = Catalogue.from_arrays(
        **{k: np.arange(1.0, 4.0) + i for i, k in enumerate(("x", "y", "z", "vx", "vy", "vz"))}
    )
    place, link = tmp_path / f"real{suffix}", tmp_path / f"link{suffix}"
    link.symlink_to(place)
    write_catalogue(catalogue, link)
    assert sorted(os.listdir(tmp_path)) == sorted([place.name, link.name])
    assert link.is_symlink()
    np.testing.assert_array_equal(read_catalogue(place)["vz"], catalogue["vz"])
