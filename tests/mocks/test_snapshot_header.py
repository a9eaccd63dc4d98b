"""What a snapshot says of itself in several places: each number in the units of its own place, none said twice."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from simulated_halo import (
    CGS,
    HABIT,
    MPC,
    MSUN,
    NAMES,
    spec_of,
    write_gadget,
)

from haloassay.base.errors import InputError
from haloassay.mocks import make_mock

H = 0.7


pytestmark = pytest.mark.usefixtures("own_cache")


def masses(path, **settings):
    return make_mock(spec_of(path, **settings)).truth.potential.to_plain()["masses"]


def in_physical_units(path):
    """Positions in kpc, masses in Msun, each with its attributes, as those who repack a file leave them."""
    size, a_power, h_power = NAMES["gadget4"]
    with h5py.File(path, "r+") as file:
        for n in (1, 4):
            for name, cgs in (("Coordinates", 1e-3 * MPC), ("Masses", MSUN)):
                if name in file[f"PartType{n}"]:
                    dataset = file[f"PartType{n}/{name}"]
                    dataset[...] *= (1.0 if name == "Coordinates" else 1e10) / H
                    dataset.attrs.update({size: cgs, a_power: 0.0, h_power: 0.0})


def test_mass_table_and_box_are_in_the_units_of_the_header(bodies, tmp_path):
    """Datasets with units of their own, beside a header in GADGET's: MassTable was read in those of the Masses."""
    box = 2000.0
    path = write_gadget(tmp_path / "snap.hdf5", bodies, box=box)
    before = masses(path)
    in_physical_units(path)
    after = masses(path)
    assert after == pytest.approx(before, rel=1e-6)
    assert after["dark"] == pytest.approx(np.sum(bodies[1].masses), rel=1e-6)
    # the box is 2000 kpc and not 1400: particles 750 kpc to either side stay where they are
    with h5py.File(path, "r+") as file:
        file["PartType1/Coordinates"][0] = [750.0, 0.0, 0.0]
    mock = make_mock(spec_of(path, tracers={"kinds": ["dark"], "r_range": [1.0, 1000.0]}))
    assert np.any(np.abs(mock.stars.r - 750.0) < 1e-6)


def test_mass_table_without_units_of_its_own_has_those_of_the_masses(bodies, tmp_path):
    path = write_gadget(tmp_path / "snap.hdf5", bodies, units="gadget4")
    assert masses(path)["dark"] == pytest.approx(np.sum(bodies[1].masses), rel=1e-6)
    with h5py.File(path, "r+") as file:
        file.copy("PartType4", "PartType5")
        file["PartType5/Masses"].attrs[NAMES["gadget4"][0]] = MSUN
        file["Header"].attrs.update(
            {k: [0, 2000, 0, 0, 1000, 1000] for k in ("NumPart_ThisFile", "NumPart_Total")}
        )
    with pytest.raises(
        InputError,
        match=r"MassTable .*PartType4/Masses is in 1e10 Msun/h, PartType5/Masses in Msun/h",
    ):
        masses(path)


def test_masses_beside_another_mass_table_are_refused(bodies, tmp_path):
    path = write_gadget(tmp_path / "snap.hdf5", bodies)
    mass = bodies[1].mass * H / 1e10
    with h5py.File(path, "r+") as file:
        file["PartType1/Masses"] = np.full(2000, mass)
    assert masses(path)["dark"] == pytest.approx(np.sum(bodies[1].masses), rel=1e-6)
    with h5py.File(path, "r+") as file:
        file["PartType1/Masses"][...] = 2.0 * mass
    with pytest.raises(InputError, match=r"PartType1/Masses are .*MassTable of the header says"):
        masses(path)


#: Attributes of another group, and the refusal that names both places and values.
TWICE = {
    "h": ({"Parameters": {"HubbleParam": 0.6774}}, "HubbleParam of the header is 0.7, HubbleParam of Par"),
    "h by another name": ({"Cosmology": {"h": 0.6774}}, "HubbleParam of the header is 0.7, h of Cosmology is 0.6774"),
    "matter": ({"Cosmology": {"Omega_m": 0.25}}, "Omega0 of the header is 0.3, Omega_m of Cosmology is 0.25"),
    "unit": (
        {"Units": {"UnitLength_in_cm": MPC}},
        "UnitLength_in_cm of the header is 3.08568e+21, UnitLength_in_cm of Units is 3.08568e+24",
    ),
    "box": ({"Parameters": {"BoxSize": 5e4}}, "BoxSize of the header is 0, BoxSize of Parameters is 50000"),
    "time and redshift": ({"Header": {"Redshift": 3.0}}, "Time of the header is 1, Redshift 3"),
    "scale factor and redshift": ({"Header": {"Scale-factor": 0.5}}, "scale factor is 0.5, its Redshift 0"),
    "two names of the scale factor": (
        {"Header": {"Scale-factor": 1.0}, "Cosmology": {"ExpansionFactor": 0.5}},
        "Scale-factor of the header is 1, ExpansionFactor of Cosmology is 0.5",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TWICE)
def test_a_value_that_two_places_state_differently_is_refused(bodies, tmp_path, case):
    groups, words = TWICE[case]
    path = write_gadget(tmp_path / "snap.hdf5", bodies)
    with h5py.File(path, "r+") as file:
        for group, attributes in groups.items():
            file.require_group(group).attrs.update(attributes)
    with pytest.raises(InputError) as refused:
        make_mock(spec_of(path)).prepare()
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_values_that_two_places_state_alike_are_one(bodies, tmp_path):
    """Rounded, with zero for what is not known, or as an array of one."""
    path = write_gadget(tmp_path / "snap.hdf5", bodies)
    with h5py.File(path, "r+") as file:
        file.require_group("Parameters").attrs.update(
            {"HubbleParam": [0.7], "UnitMass_in_g": 1.989e43}
        )
        file.require_group("Cosmology").attrs.update({"h": 0.0, "Omega_m": 0.3})
    make_mock(spec_of(path)).prepare()


def test_two_attributes_of_a_dataset_that_differ_are_refused(bodies, tmp_path):
    path = write_gadget(tmp_path / "snap.hdf5", bodies, units="swift")
    with h5py.File(path, "r+") as file:
        attributes = file["PartType1/Coordinates"].attrs
        attributes.update(dict(zip(NAMES["eagle"], CGS["Coordinates"], strict=True)))
        attributes["unit"] = HABIT["length"]
    make_mock(spec_of(path)).prepare()
    with h5py.File(path, "r+") as file:
        file["PartType1/Coordinates"].attrs["unit"] = "kpc"
    words = r"PartType1/Coordinates: its CGSConversionFactor says a kpc/h, its unit kpc: which"
    with pytest.raises(InputError, match=words):
        make_mock(spec_of(path)).prepare()


def test_files_of_other_mass_tables_are_not_one_snapshot(bodies, tmp_path):
    first = write_gadget(tmp_path / "snap.hdf5", bodies, n_files=2)
    with h5py.File(tmp_path / "snap.1.hdf5", "r+") as file:
        file["Header"].attrs["MassTable"] = 2.0 * file["Header"].attrs["MassTable"]
    with pytest.raises(InputError, match=r"of another snapshot than .*: MassTable is \[0\.0, "):
        make_mock(spec_of(first)).prepare()
