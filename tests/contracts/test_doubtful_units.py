"""Units that nobody states, and in which the numbers cannot be stars, or hardly."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from catalogue_samples import phase_space, renamed, stars, write_csv
from seeds import seeded

from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.contracts.columns import GALACTOCENTRIC
from haloassay.contracts.frames import Sun, galactocentric_to_heliocentric
from haloassay.io.tables import read_catalogue

POSITION, VELOCITY = GALACTOCENTRIC[:3], GALACTOCENTRIC[3:]


def scaled(columns, names, factor):
    return {k: v * factor if k in names else v for k, v in columns.items()}


def on_the_sky(n=60, near=False):
    """Stars as the Sun sees them: of the halo, or within 100 pc of the Sun at the velocities of its disc."""
    rng, sun = seeded(4), Sun()
    if near:
        position = sun.position + rng.normal(0.0, 0.05, (n, 3))
        velocity = sun.velocity + rng.normal(0.0, 25.0, (n, 3))
    else:
        position, velocity = rng.normal(0.0, 15.0, (n, 3)), rng.normal(0.0, 110.0, (n, 3))
    return {**galactocentric_to_heliocentric(position, velocity, sun)}


def galactic(columns):
    return renamed(columns, {"ra": "l", "dec": "b", "pmra": "pm_l", "pmdec": "pm_b"})


SKY = on_the_sky()
UNHEARD = [
    (phase_space(60), VELOCITY, 1e-3, "velocities in 1000 km/s", "velocity", "1000"),
    (phase_space(60), VELOCITY, 1.0 / 977.8, "or kpc/Myr", "velocity", "kpc/Myr"),
    (phase_space(60), VELOCITY, 1.0 / 220.0, "no stars are as slow", "velocity", "220"),
    (phase_space(2), VELOCITY, 1e-3, "no stars are as slow", "velocity", "1000"),
    (SKY, ("distance",), 1e-3, "are distances in Mpc", "distance", "Mpc"),
    (galactic(SKY), ("distance",), 1e-3, "are distances in Mpc", "distance", "Mpc"),
    (SKY, ("pmra", "pmdec"), 1e-3, "are proper motions in arcsec/yr", "pmra", "arcsec/yr"),
    (galactic(SKY), ("pm_l", "pm_b"), 1e-3, "motions in arcsec/yr", "pm_b", "arcsec/yr"),
    (SKY, ("vlos",), 1e-3, "are they in 1000 km/s", "vlos", "1000"),
    (on_the_sky(near=True), ("distance",), 1e-3, "where no star is: .* in Mpc", "distance", "Mpc"),
]


@pytest.mark.parametrize(("columns", "names", "factor", "asks", "unit", "value"), UNHEARD)
def test_what_no_stars_are_is_asked_about(tmp_path, columns, names, factor, asks, unit, value):
    path = write_csv(tmp_path / "a.csv", scaled(columns, names, factor))
    with pytest.raises(InputError, match=asks) as error:
        read_catalogue(path)
    assert "\n" not in str(error.value)
    options = dict(re.findall(r"--unit (\w+)=([^\s)]+)", str(error.value)))
    assert unit in options
    units = dict.fromkeys(names, value) if unit in names else {unit: value}
    # a blunder or two, a star at rest and one that was not seen hide nothing
    spoilt = {k: v.copy() for k, v in scaled(columns, names, factor).items()}
    if len(spoilt[names[0]]) > 20:
        for name in names:
            spoilt[name][:3] = [columns[name][0] or 1.0, np.nan, columns[name][2]]
        with pytest.raises(InputError, match=asks):
            read_catalogue(write_csv(tmp_path / "b.csv", spoilt), drop="nan")
    read = read_catalogue(path, units=units)
    assert len(read) == len(columns[names[0]])
    if "l" not in columns:
        np.testing.assert_allclose(read[names[0]], columns[names[0]], rtol=1e-3)


@pytest.mark.parametrize(("columns", "names", "factor", "asks", "unit", "value"), UNHEARD)
def test_a_stated_unit_is_never_asked_about(tmp_path, columns, names, factor, asks, unit, value):
    path = write_csv(tmp_path / "a.csv", scaled(columns, names, factor))
    with pytest.raises(InputError) as error:
        read_catalogue(path)
    meant = re.findall(r"--unit (\w+)=([^\s)]+)", str(error.value).split("(if not,")[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kept = read_catalogue(path, units=dict(meant))
    assert len(kept) == len(columns[names[0]])


def test_velocities_that_nobody_reads_are_not_asked_about(tmp_path):
    path = write_csv(tmp_path / "a.csv", scaled(phase_space(60), VELOCITY, 1e-3))
    assert len(read_catalogue(path, uses=())) == 60


def ball(radius, speed, n=60):
    rng = seeded(5)
    place = rng.normal(0.0, radius / np.sqrt(3.0), (3, n))
    motion = rng.normal(0.0, speed / np.sqrt(3.0), (3, n))
    return dict(zip(GALACTOCENTRIC, (*place, *motion), strict=True))


def still(n=60):
    """A cluster at 2 kpc that moves as the Sun does, within 1 km/s."""
    rng = seeded(6)
    columns = {name: v[:n] for name, v in on_the_sky(n).items()}
    columns |= {"ra": rng.normal(100.0, 0.5, n), "dec": rng.normal(20.0, 0.5, n)}
    return columns | {"distance": rng.normal(2.0, 0.1, n), "vlos": rng.normal(0.0, 0.4, n)}


def towards_us(n=20):
    """So few stars may have been chosen for their passage of the Sun."""
    return {name: v[:n] * (1e-3 if name.startswith("pm") else 1.0) for name, v in SKY.items()}


REAL = {
    "Crater 2": ball(1.5, 4.7),
    "dwarf": ball(0.5, 17.0),
    "faint dwarf": ball(0.03, 4.0),
    "globular cluster": ball(0.005, 15.0),
    "loose cluster": ball(0.03, 1.2),
    "halo": ball(20.0, 190.0),
    "bulge": ball(1.0, 200.0),
    "solar neighbourhood": on_the_sky(near=True),
    "within 20 pc": scaled(on_the_sky(near=True), ("distance",), 0.2)
    | {k: 5.0 * on_the_sky(near=True)[k] for k in ("pmra", "pmdec")},
    "halo on the sky": SKY,
    "disc": stars(60),
    "cluster on the sky": still(),
    "passages": towards_us(),
    "no spectra": {k: v for k, v in SKY.items() if k != "vlos"},
    "at rest": ball(20.0, 0.0),
}


@pytest.mark.parametrize("name", REAL)
def test_real_stars_are_read_without_a_word(tmp_path, name):
    path = write_csv(tmp_path / "a.csv", REAL[name])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        read_catalogue(path)
    assert not [w for w in told if "--unit" in str(w.message)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            scaled(phase_space(60), POSITION, 1e-3),
            "within .* kpc of the centre, at speeds .*position=Mpc",
        ),
        (ball(0.005, 150.0), "within .* kpc of the centre"),  # about Sgr A*
        (
            scaled(REAL["no spectra"], ("distance",), 1e-3),
            "across the line of sight .*distance=Mpc",
        ),
    ],
)
def test_what_real_stars_may_be_is_mentioned(tmp_path, columns, message):
    path = write_csv(tmp_path / "a.csv", columns)
    with pytest.warns(HaloassayWarning, match=message):
        read_catalogue(path)
    units = {"position": "kpc"} if "x" in columns else {"distance": "kpc", "pmra": "mas/yr"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_catalogue(path, units=units)
