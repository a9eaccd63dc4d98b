"""A halo of known particles, and files of it in GADGET's layout as a simulation would write them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import h5py
import numpy as np

from haloassay.contracts.profiles import nfw_shape, virial_radius

MPC, MSUN = 3.0856775814913673e24, 1.988409870698051e33  # cm, g
#: Datasets, their size in GADGET's units of kpc/h, 1e10 Msun/h and km/s in CGS, and powers of a and h.
CGS = {
    "Coordinates": (1e-3 * MPC, 1.0, -1.0),
    "Velocities": (1e5, 0.5, 0.0),
    "Masses": (1e10 * MSUN, 0.0, -1.0),
}
NAMES = {
    "gadget4": ("to_cgs", "a_scaling", "h_scaling"),
    "eagle": ("CGSConversionFactor", "aexp-scale-exponent", "h-scale-exponent"),
    "swift": (
        "Conversion factor to CGS (not including cosmological corrections)",
        "a-scale exponent",
        "h-scale exponent",
    ),
}
SYSTEM = {
    "UnitLength_in_cm": 1e-3 * MPC,
    "UnitMass_in_g": 1e10 * MSUN,
    "UnitVelocity_in_cm_per_s": 1e5,
}
HABIT = {"length": "a kpc/h", "velocity": "sqrt(a) km/s", "mass": "1e10 Msun/h"}


@dataclass(frozen=True)
class Body:
    """Particles of one type: physical kpc, km/s (peculiar), Msun; one mass for all goes to MassTable."""

    position: np.ndarray
    velocity: np.ndarray
    mass: np.ndarray | float

    def __len__(self):
        return len(self.position)

    @property
    def masses(self):
        return np.broadcast_to(self.mass, len(self))

    def moved(self, by, velocity=(0.0, 0.0, 0.0)):
        return replace(self, position=self.position + by, velocity=self.velocity + velocity)


def directions(n, rng):
    unit = rng.standard_normal((n, 3))
    return unit / np.linalg.norm(unit, axis=1)[:, None]


def nfw_body(n, rng, m200=1e12, c=10.0, h0=67.8, truncation=3.0, sigma=120.0):
    """Particles of equal mass that follow an NFW profile out to some virial radii."""
    r200 = float(virial_radius(m200, h0))
    x = np.geomspace(1e-4, truncation * c, 4000)
    shape = nfw_shape(x)
    r = np.interp(rng.random(n), shape / shape[-1], x) * r200 / c
    total = m200 * shape[-1] / nfw_shape(c)
    velocity = sigma * rng.standard_normal((n, 3))
    return Body(r[:, None] * directions(n, rng), velocity, float(total / n))


def hernquist_stars(n, rng, scale=12.0, sigma=100.0, mass=1e9):
    """Stars of unequal mass in a Hernquist sphere."""
    root = np.sqrt(rng.random(n) * 0.95)
    r = scale * root / (1.0 - root)
    masses = rng.uniform(0.5, 1.5, n)
    velocity = sigma * rng.standard_normal((n, 3))
    return Body(r[:, None] * directions(n, rng), velocity, mass * masses / masses.sum())


def write_gadget(
    path, bodies, *, h=0.7, a=1.0, box=0.0, n_files=1, units="header", datasets=None, header=None
):
    """Write bodies by type, physical, into files as GADGET would; return the first one's path.

    ``units`` are stated in the ``header``, by the attributes of one of :data:`NAMES`, or not at all (``none``).
    ``datasets`` are further ones of a type; ``header`` overrides attributes, None takes one out.
    """
    pieces = {n: np.array_split(np.arange(len(body)), n_files) for n, body in bodies.items()}
    stem, end = path.stem, path.suffix
    paths = [path.with_name(f"{stem}.{k}{end}") if n_files > 1 else path for k in range(n_files)]
    for k, name in enumerate(paths):
        with h5py.File(name, "w") as file:
            counts = [len(pieces[n][k]) if n in bodies else 0 for n in range(6)]
            attributes = {
                "NumPart_ThisFile": np.array(counts, np.int32),
                "NumPart_Total": np.array(
                    [len(bodies[n]) if n in bodies else 0 for n in range(6)], np.uint32
                ),
                "NumFilesPerSnapshot": n_files,
                "MassTable": [
                    bodies[n].mass * h / 1e10
                    if n in bodies and isinstance(bodies[n].mass, float)
                    else 0.0
                    for n in range(6)
                ],
                "Time": a,
                "Redshift": 1.0 / a - 1.0,
                "BoxSize": box * h / a,
                "Omega0": 0.3,
                "OmegaLambda": 0.7,
                "HubbleParam": h,
                **(SYSTEM if units == "header" else {}),
                **(header or {}),
            }
            group = file.create_group("Header")
            group.attrs.update({key: v for key, v in attributes.items() if v is not None})
            for n, body in bodies.items():
                rows = pieces[n][k]
                if not len(rows):
                    continue
                values = {
                    "Coordinates": body.position[rows] * h / a,
                    "Velocities": body.velocity[rows] / np.sqrt(a),
                }
                if not isinstance(body.mass, float):
                    values["Masses"] = body.mass[rows] * h / 1e10
                for key, column in values.items():
                    dataset = file.create_dataset(f"PartType{n}/{key}", data=column)
                    if units in NAMES:
                        dataset.attrs.update(dict(zip(NAMES[units], CGS[key], strict=True)))
                for key, column in (datasets or {}).get(n, {}).items():
                    file[f"PartType{n}/{key}"] = column[rows]
    return paths[0]


def spec_of(path, **settings):
    """Table of a snapshot that stands where its file has it, seen along its own axes, without expansion."""
    return {
        "kind": "snapshot",
        "file": str(path),
        "viewpoint": "fixed",
        "hubble_flow": 0.0,
        "centre": {"position": [0.0, 0.0, 0.0], "velocity": [0.0, 0.0, 0.0]},
        **settings,
    }
