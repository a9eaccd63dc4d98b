"""Data made by others (described in ../shared/data/README.md): what is measured there is what they say is there."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from seeds import seeded

import haloassay
from haloassay.base.constants import KMS_PER_MASYR_KPC
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import Sun
from haloassay.io.tables import read_catalogue
from haloassay.mocks import make_mock

pytestmark = pytest.mark.long

# ---------------------------------------------------------------------------------------------- globular clusters

#: M(< 39.5 kpc) [1e12 Msun] with lower and upper error (Sohn et al. 2018; Watkins et al. 2019).
PUBLISHED = {"16 clusters, HST": (0.61, 0.12, 0.18), "34 clusters, Gaia": (0.42, 0.06, 0.07)}


@pytest.mark.parametrize("beta", [0.48, "measured"])
@pytest.mark.parametrize("sample", PUBLISHED)
def test_globular_clusters_weigh_what_was_published(sample, beta):
    """The 43 clusters between 10 and 39.5 kpc, where the published halo samples lie.

    Tracer density r^-3.5 and a potential r^-0.5, as in the papers; beta of Watkins et al. (2019) or that of the
    sample; all three velocity components. Inside 10 kpc the clusters of the bulge and the disc have neither.
    """
    estimates = haloassay.measure(
        *("galpy:mw-globular-clusters", "tracer-mass"),
        alpha=-3.5,
        a=0.5,
        beta=beta,
        data="r-v",
        bins=[10.0, 39.5],
        at="outermost",
        subtract_mean=False,
    )
    (row,) = estimates
    published, below, above = PUBLISHED[sample]
    difference = 1e-12 * row.value - published
    # each error towards the other value
    if difference < 0.0:
        error = np.hypot(1e-12 * (row.hi68 - row.value), below)
    else:
        error = np.hypot(1e-12 * (row.value - row.lo68), above)
    assert abs(difference) < 2.0 * error
    assert 35.0 < row.r < 39.5


# ---------------------------------------------------------------------------------------------- oPDF


def test_opdf_halo_has_its_anisotropy(shared_data):
    """beta = 0.71 at all radii (two digits are stated)."""
    names = "position=x,velocity=v"
    halo = read_catalogue(shared_data / "opdf" / "mockhalo.hdf5", names)
    assert len(halo) == 30000
    bins = [5.0, 10.0, 20.0, 40.0, 80.0, 160.0]
    rows = haloassay.measure(halo, "velocity-ellipsoid", bins=bins).of("beta")
    assert len(rows) == 5
    for row in rows:
        assert abs(row.value - 0.71) < 4.0 * np.hypot(0.5 * (row.hi68 - row.lo68), 0.005)


# ---------------------------------------------------------------------------------------------- Gaia Challenge

EDGES = (0.03, 0.06, 0.09, 0.12, 0.16, 0.21, 0.3, 0.5)
R_A = 0.1
FILES = ("10000_0", "1000_0", "1000_1", "1000_2")


def challenge(shared_data, name):
    path = shared_data / "gaia-challenge" / f"PlumCuspOm_df_{name}.dat"
    return read_catalogue(path, "x,y,z,vx,vy,vz")


@pytest.mark.parametrize("name", FILES)
def test_gaia_challenge_anisotropy_is_that_of_osipkov_and_merritt(shared_data, name):
    halo = challenge(shared_data, name)
    edges = EDGES if name.startswith("10000") else EDGES[::2]
    rows = haloassay.measure(halo, "velocity-ellipsoid", bins=list(edges)).of("beta")
    v_r = halo.spherical_velocity[:, 0]
    for row in rows:
        inside = (halo.r >= row.r_lo) & (halo.r < row.r_hi)
        # beta varies inside a bin: the bin's is that of the summed squares
        share = v_r[inside] ** 2 / np.sum(v_r[inside] ** 2)
        expected = np.sum(share * halo.r[inside] ** 2 / (halo.r[inside] ** 2 + R_A**2))
        assert abs(row.value - expected) < 4.0 * 0.5 * (row.hi68 - row.lo68)


@pytest.mark.parametrize("name", FILES)
def test_gaia_challenge_errors_of_2_km_s_are_deconvolved(shared_data, name):
    plain, blurred = challenge(shared_data, name), challenge(shared_data, f"{name}_err")
    errors = {f"v{axis}_err": np.full(len(blurred), 2.0) for axis in "xyz"}
    known = Catalogue.from_arrays(**blurred.columns, **errors)
    bins = [0.03, 0.12, 0.5]
    expected, found, naive = (
        haloassay.measure(c, "velocity-ellipsoid", bins=bins) for c in (plain, known, blurred)
    )
    for quantity in ("sigma_r", "sigma_theta", "sigma_phi", "beta"):
        rows = zip(expected.of(quantity), found.of(quantity), strict=True)
        for without, row in rows:
            # the same stars: the noise of 2 km/s alone separates the two, less than the whole error
            assert abs(row.value - without.value) < 4.0 * 0.5 * (row.hi68 - row.lo68)
    for without, row in zip(expected.of("sigma_phi"), naive.of("sigma_phi"), strict=True):
        n = np.count_nonzero((plain.r >= row.r_lo) & (plain.r < row.r_hi))
        # mean of 2 v e + e^2 over n stars, e of 2 km/s
        noise = np.sqrt((16.0 * without.value**2 + 32.0) / n)
        assert abs(row.value**2 - without.value**2 - 4.0) < 4.0 * noise


def shell_moments(r, v_r, v2, lo, hi):
    """<v_r^2> and beta of a shell, each with its error; and the number of stars."""
    inside = (r >= lo) & (r < hi)
    radial, tangential = v_r[inside] ** 2, (v2 - v_r**2)[inside]
    n, mean = inside.sum(), radial.mean()
    beta = 1.0 - 0.5 * tangential.mean() / mean
    # delta method for a ratio of means
    noise = (0.5 * tangential - (1.0 - beta) * radial) / mean
    return mean, radial.std() / np.sqrt(n), beta, noise.std() / np.sqrt(n), n


def test_our_sampler_draws_the_gaia_challenge_halo(shared_data):
    """Same model, two samplers: shell by shell the moments and the numbers of stars agree.

    Tracers r^-0.1 (1 + r^2 / r*^2)^-2.45, the set's Plummer-like sphere of central slope 0.1.
    """
    x = np.geomspace(1e-4, 1e3, 400) / 0.1
    spec = {
        "kind": "equilibrium",
        "potential": {"kind": "nfw", "rho0": 6.4e7, "r_s": 1.0},
        "density": {
            "kind": "table",
            "r": (0.1 * x).tolist(),
            "rho": (x**-0.1 * (1.0 + x**2) ** -2.45).tolist(),
        },
        "beta": {"kind": "osipkov-merritt-profile", "r_a": R_A},
        "r_range": [0.002, 3.0],
    }
    ours = make_mock(spec).sample(400_000, seeded(1))
    theirs = challenge(shared_data, "10000_0")
    inside = (theirs.r >= 0.002) & (theirs.r < 3.0)
    samples = []
    for position, velocity, r in (
        (ours.position, ours.velocity, ours.r),
        (theirs.position[inside], theirs.velocity[inside], theirs.r[inside]),
    ):
        v_r = np.einsum("ni,ni->n", position, velocity) / r
        samples.append((r, v_r, np.einsum("ni,ni->n", velocity, velocity)))
    for lo, hi in pairwise(EDGES):
        a, b = (shell_moments(*sample, lo, hi) for sample in samples)
        assert abs(a[0] - b[0]) < 4.0 * np.hypot(a[1], b[1])
        assert abs(a[2] - b[2]) < 4.0 * np.hypot(a[3], b[3])
        share = a[4] / len(ours)
        noise = np.sqrt(share * (1.0 - share) * inside.sum())
        assert abs(b[4] - share * inside.sum()) < 4.0 * noise


# ---------------------------------------------------------------------------------------------- SEGUE K giants

#: The README states z = 0.02 kpc; the file's own columns, on average over its stars, follow from 0.0300.
SUN = Sun(x=-8.3, z=0.03, vx=11.1, vy=244.24, vz=7.25)
GALACTIC = "-,-,-,-,-,-,l,b,distance,vlos,pm_l,pm_b,distance_err,vlos_err,pm_l_err,pm_b_err"
GALACTOCENTRIC = "x,y,z,vx,vy,vz" + 11 * ",-"
WHOLE, MORE = (
    "KGiant_edr3_metal_sgr_20.txt",
    {"sky": ",feh,-,-,-,-,-,pm_corr", "space": 6 * ",-"},
)
#: The 17th row of the transposed files is the correlation (+-0.7), not the [Fe/H] that their README says.
LYING = {"sky": ",pm_corr", "space": ""}
TRANSPOSED = ("KGiant_nosgr_50+.txt", "KGiant_YPP24sgr_50+.txt", "KGiant_YPP24sgr_40+.txt")


@pytest.mark.parametrize("name", [WHOLE, *TRANSPOSED])
def test_segue_galactocentric_columns_follow_from_the_heliocentric_ones(shared_data, name):
    """To the last printed digit.

    The file's axes are the Galactic ones; ours, as astropy's, are tilted by the height of the Sun.
    """
    path = shared_data / "segue-kgiants" / name
    more = MORE if name == WHOLE else LYING
    kept = {"sun": SUN, "drop": "unphysical,duplicates"}
    sky = read_catalogue(path, GALACTIC + more["sky"], **kept)
    space = read_catalogue(path, GALACTOCENTRIC + more["space"], **kept)
    assert len(sky) == len(space)
    angle = np.arcsin(SUN.z / np.hypot(SUN.x, SUN.z))
    tilt = np.array(
        [[np.cos(angle), 0.0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0.0, np.cos(angle)]]
    )
    position = (space.position - SUN.position) @ tilt.T + SUN.position
    velocity = (space.velocity - SUN.velocity) @ tilt.T + SUN.velocity
    # columns are printed to 0.01 (deg, kpc, km/s) and 0.0001 mas/yr: half of that each, added up
    angle_digit, digit, pm_digit = np.radians(0.005), 0.005, 0.00005
    distance = sky["distance"]
    motion = KMS_PER_MASYR_KPC * np.hypot(sky["pmra"], sky["pmdec"])
    across = np.sqrt(2.0) * angle_digit
    miss = np.abs(sky.position - position).max(axis=1)
    assert np.all(miss < 2.0 * digit + across * distance)
    speed = np.hypot(sky["vlos"], motion * distance)
    bound = 2.0 * digit + across * speed + motion * digit
    bound += np.sqrt(2.0) * KMS_PER_MASYR_KPC * pm_digit * distance + 2e-4 * motion * distance
    assert np.all(np.abs(sky.velocity - velocity).max(axis=1) < bound)


def test_segue_unphysical_stars_are_named_or_counted(shared_data):
    path = shared_data / "segue-kgiants" / WHOLE
    with pytest.raises(InputError, match=r"total Galactocentric speed .* in 6 rows \(1,"):
        read_catalogue(path, GALACTIC + MORE["sky"], sun=SUN)
    kept = read_catalogue(path, GALACTIC + MORE["sky"], sun=SUN, drop="unphysical")
    assert dict(kept.dropped) == {"unphysical": 6}
    assert len(kept) == 2830 - 6


def test_segue_transposed_files_are_read_as_they_lie(shared_data):
    for name, n in zip(TRANSPOSED, (255, 253, 531), strict=True):
        path = shared_data / "segue-kgiants" / name
        kept = read_catalogue(path, GALACTIC + LYING["sky"], sun=SUN, drop="unphysical")
        assert len(kept) + sum(kept.dropped.values()) == n
        assert kept.r.min() > (40.0 if "40+" in name else 50.0) - 1.0
