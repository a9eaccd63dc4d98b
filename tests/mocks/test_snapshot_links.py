"""Snapshots whose particles are kept in other files than those that are named: a digest of these would not see them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from simulated_halo import spec_of, write_gadget

from haloassay.base.errors import InputError
from haloassay.mocks import make_mock

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def path(bodies, tmp_path):
    formed = {4: {"GFM_StellarFormationTime": np.ones(len(bodies[4]))}}
    return write_gadget(tmp_path / "snap.hdf5", bodies, datasets=formed)


def moved(file, other, place):
    """Put something into another file."""
    with h5py.File(other, "a") as target:
        file.copy(file[place], target, name=place.replace("/", "-"))
    del file[place]
    return place.replace("/", "-")


def linked(place):
    def change(file, other):
        file[place] = h5py.ExternalLink(other.name, moved(file, other, place))

    return change


def linked_in_two_steps(file, other):
    name = moved(file, other, "PartType4/Velocities")
    file["elsewhere"] = h5py.ExternalLink(other.name, name)
    file["PartType4/Velocities"] = h5py.SoftLink("/elsewhere")


def missing(file, other):
    """Without the file, all stars would be taken for formed."""
    linked("PartType4/GFM_StellarFormationTime")(file, other)
    other.unlink()


def stored(file, other):
    values, notes = file["PartType1/Coordinates"][()], dict(file["PartType1/Coordinates"].attrs)
    del file["PartType1/Coordinates"]
    values.tofile(other)
    here = [(other.name, 0, values.nbytes)]
    made = file.create_dataset("PartType1/Coordinates", values.shape, values.dtype, external=here)
    made.attrs.update(notes)


def virtual(file, other):
    notes = dict(file["PartType1/Coordinates"].attrs)
    shape, dtype = file["PartType1/Coordinates"].shape, file["PartType1/Coordinates"].dtype
    name = moved(file, other, "PartType1/Coordinates")
    layout = h5py.VirtualLayout(shape, dtype)
    layout[:] = h5py.VirtualSource(other.name, name, shape, dtype)
    file.create_virtual_dataset("PartType1/Coordinates", layout).attrs.update(notes)


ELSEWHERE = {
    "dataset": (linked("PartType1/Coordinates"), "PartType1/Coordinates"),
    "group": (linked("PartType1"), "PartType1"),
    "header": (linked("Header"), "Header"),
    "by way of this file": (linked_in_two_steps, "PartType4/Velocities"),
    "missing": (missing, "PartType4/GFM_StellarFormationTime"),
    "stored": (stored, "PartType1/Coordinates"),
    "virtual": (virtual, "PartType1/Coordinates"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_is_kept_in_another_file_is_not_followed(path, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    change, place = ELSEWHERE[name]
    with h5py.File(path, "r+") as file:
        change(file, tmp_path / "other.hdf5")
    with pytest.raises(InputError, match="which is not followed") as refusal:
        make_mock(spec_of(path)).prepare()
    assert f"snap.hdf5: {place} is kept in another file (other.hdf5)" in str(refusal.value)


def test_links_within_the_file_are_followed(path):
    """As SWIFT calls its types by a second name."""
    plain = make_mock(spec_of(path)).truth.to_dict([50.0])["enclosed_mass"]
    with h5py.File(path, "r+") as file:
        file.move("PartType1", "DMParticles")
        file["PartType1"] = h5py.SoftLink("/DMParticles")
    assert make_mock(spec_of(path)).truth.to_dict([50.0])["enclosed_mass"] == plain
