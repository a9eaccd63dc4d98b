"""Arrays on disk keep their values, leave no file, and stay in memory where the disk is full."""

import errno
import os
import resource

import numpy as np
import pytest

from haloassay.base.disk import DiskWarning, empty_on_disk, let_go


def test_an_array_on_disk_keeps_its_values_when_its_memory_is_let_go(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    array = empty_on_disk((1000, 3), np.float32)
    assert (array.shape, array.dtype) == ((1000, 3), np.float32)
    array[:] = np.arange(3000.0).reshape(1000, 3)
    let_go([array[10:, 1], np.ones(3)])
    np.testing.assert_array_equal(array, np.arange(3000.0).reshape(1000, 3))
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="resident memory is read from /proc"
)
def test_what_is_let_go_takes_no_memory():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    array = empty_on_disk((2**23,), float)
    array[:] = 1.0
    full = resident()
    let_go([array])
    assert full - resident() > 0.9 * array.nbytes


def test_without_room_on_disk_it_is_in_memory_and_says_so(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.warns(
        DiskWarning, match="no room for 8e-06 GB among temporary files .*kept in memory"
    ):
        array = empty_on_disk((1000,), float)
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.warns(DiskWarning, match="kept in memory"):
        assert empty_on_disk((10,), float).size == 10
    array[:] = 2.0
    let_go([array])
    assert array.sum() == 2000.0


@pytest.mark.parametrize("there", [False, True])
def test_where_room_cannot_be_reserved_it_is_written(there, monkeypatch):
    def unknown(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    if there:
        monkeypatch.setattr(os, "posix_fallocate", unknown, raising=False)
    array = empty_on_disk((3, 2**19 + 1), float)
    np.testing.assert_array_equal(array, 0.0)
    array[2, -1] = 5.0
    let_go([array])
    assert array.sum() == 5.0
