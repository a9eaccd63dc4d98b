from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from seeds import seeded

from haloassay.base.cache import content_key, plain_content
from haloassay.base.errors import EstimationError, InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import spherical_basis
from haloassay.contracts.priors import LogUniform, Normal, Uniform
from haloassay.contracts.profiles import virial_radius
from haloassay.estimators import make_estimator, networks
from haloassay.estimators.fit import safe_tensors
from haloassay.estimators.fit.cloud import Cloud
from haloassay.estimators.fit.mixture_network import Mixture, MixtureNetwork
from haloassay.estimators.fit.moment_summary import MomentSummary
from haloassay.estimators.halo import trained_halo
from haloassay.estimators.halo.trained_halo import HaloModel, TrainedHalo
from haloassay.mocks import make_mock
from haloassay.mocks.surveys.survey import make_survey

#: By 0.4 rad.
TURN = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
EDGES = (5.0, 12.0, 25.0, 60.0)
MOCK = {
    "kind": "equilibrium",
    "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
    "density": {"kind": "power-law", "slope": -3.5},
    "beta": {"kind": "constant", "beta": 0.3},
    "r_range": [3.0, 200.0],
}


def observed(n, seed, mock=MOCK, **survey):
    spec = {"n_stars": n, "r_min": 5.0, "r_max": 60.0, **survey}
    return make_survey(spec).observe(make_mock(mock), seeded(seed), seeded(seed + 1)).catalogue


def gaussian(n, seed, sigma=(150.0, 100.0, 100.0), edges=(5.0, 60.0), noise=0.0):
    """Stars with these dispersions everywhere, and errors of all velocities that are stated."""
    rng = seeded(seed)
    r = edges[0] * (edges[1] / edges[0]) ** rng.random(n)
    toward = rng.standard_normal((n, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    v = rng.standard_normal((n, 3)) * sigma
    velocity = np.einsum("nk,nki->ni", v, spherical_basis(toward))
    velocity += noise * rng.standard_normal((n, 3))
    columns = np.hstack([r[:, None] * toward, velocity]).T
    names = ("x", "y", "z", "vx", "vy", "vz")
    errors = {f"{name}_err": np.full(n, noise) for name in names[3:]} if noise else {}
    return Catalogue.from_arrays(**dict(zip(names, columns, strict=True)), **errors)


def rows_of(catalogue, **spec):
    return make_estimator({"kind": "npe", **spec}).estimate(catalogue, seeded(3))


def some_network(n_data, n_targets, seed=0, members=2, k=3):
    rng = seeded(seed)
    sizes = {"logits": k, "means": k * n_targets, "diagonal": k * n_targets}
    if n_targets > 1:
        sizes["upper"] = k * n_targets * (n_targets - 1) // 2
    made = []
    for _ in range(members):
        arrays = {}
        for name, (wide, to) in {
            "hidden.0": (n_data, 8),
            "hidden.1": (8, 8),
            **{name: (8, size) for name, size in sizes.items()},
        }.items():
            arrays[f"{name}.weight"] = (0.3 * rng.standard_normal((to, wide))).astype("<f4")
            arrays[f"{name}.bias"] = (0.3 * rng.standard_normal(to)).astype("<f4")
        made.append(arrays)
    return MixtureNetwork(tuple(made), n_data, n_targets, 1e-4)


@pytest.fixture
def copied(tmp_path):
    """Folder of a copy of the packaged network."""
    folder = tmp_path / "net"
    shutil.copytree(networks.path("spherical-nfw"), folder)
    return folder


def test_a_mixture_has_the_density_and_the_draws_of_its_gaussians():
    factors = np.array([[[2.0, 0.0], [0.7, 1.0]], [[1.0, 0.0], [-0.4, 3.0]]])
    means = np.array([[0.0, 1.0], [-2.0, 0.5]])
    mixture = Mixture(np.log([0.3, 0.7]), means, factors)
    covariances = [np.linalg.inv(f @ f.T) for f in factors]
    points = seeded(1).standard_normal((20, 2))
    expected = sum(
        w * multivariate_normal(m, c).pdf(points)
        for w, m, c in zip((0.3, 0.7), means, covariances, strict=True)
    )
    np.testing.assert_allclose(np.exp(mixture.log_density(points)), expected, rtol=1e-10)
    n = 40000
    draws = mixture.draws(n, seeded(2))
    mean = 0.3 * means[0] + 0.7 * means[1]
    spread = sum(
        w * (c + np.outer(m - mean, m - mean))
        for w, m, c in zip((0.3, 0.7), means, covariances, strict=True)
    )
    error = np.sqrt(np.diag(spread) / n)
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 4.0 * error)
    np.testing.assert_allclose(np.cov(draws.T), spread, atol=4.0 * spread.max() * np.sqrt(2.0 / n))


def test_a_network_is_layer_by_layer_what_it_says():
    network = some_network(5, 2, members=1)
    arrays = network.members[0]
    x = hidden = seeded(4).standard_normal(5)
    for layer in ("hidden.0", "hidden.1"):
        hidden = arrays[f"{layer}.weight"] @ hidden + arrays[f"{layer}.bias"]
        hidden = hidden / (1.0 + np.exp(-hidden))
    logits = arrays["logits.weight"] @ hidden + arrays["logits.bias"]
    found = network.mixture(x)
    np.testing.assert_allclose(
        np.exp(found.log_weights), np.exp(logits) / np.exp(logits).sum(), rtol=1e-5
    )
    diagonal = np.log1p(np.exp(arrays["diagonal.weight"] @ hidden + arrays["diagonal.bias"]))
    upper = arrays["upper.weight"] @ hidden + arrays["upper.bias"]
    p = np.array([[diagonal[0], upper[0]], [0.0, diagonal[1]]])
    precision = found.factors[0] @ found.factors[0].T
    np.testing.assert_allclose(precision, p.T @ p + 1e-4 * np.eye(2), rtol=1e-5)


def test_members_are_averaged():
    network = some_network(4, 3)
    x, points = seeded(5).standard_normal(4), seeded(6).standard_normal((6, 3))
    alone = [MixtureNetwork((m,), 4, 3, 1e-4).mixture(x) for m in network.members]
    mean = np.mean([np.exp(each.log_density(points)) for each in alone], axis=0)
    np.testing.assert_allclose(np.exp(network.mixture(x).log_density(points)), mean, rtol=1e-10)


@pytest.mark.parametrize("change", ["missing", "shape", "nan"])
def test_layers_that_do_not_fit_are_refused(change):
    arrays = {k: v.copy() for k, v in some_network(4, 2, members=1).members[0].items()}
    if change == "missing":
        del arrays["means.bias"]
    elif change == "shape":
        arrays["means.weight"] = arrays["means.weight"][:, :-1]
    else:
        arrays["hidden.0.weight"][0, 0] = np.nan
    with pytest.raises(InputError, match=r"layer '(means|hidden.0)'"):
        MixtureNetwork((arrays,), 4, 2, 1e-4)


def test_files_are_those_of_safetensors():
    library = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.ones(3, "<f4"), "c": np.array([], "<f8")}
    theirs = library.load(safe_tensors.to_bytes(arrays))
    ours = safe_tensors.from_bytes(library.save(arrays), "it")
    for found in (theirs, ours):
        assert found.keys() == arrays.keys()
        for name, values in arrays.items():
            np.testing.assert_array_equal(found[name], values)
            assert found[name].dtype == values.dtype


@pytest.mark.parametrize("cut", [0, 5, 40, -1])
def test_a_file_that_is_not_whole_is_refused(cut):
    data = safe_tensors.to_bytes({"a": np.arange(6.0)})
    with pytest.raises(InputError, match=r"^it: is no whole file of safetensors"):
        safe_tensors.from_bytes(data[:cut], "it")


def test_moments_are_those_of_the_stars_without_their_errors():
    summary = MomentSummary(EDGES)
    found = summary.of(gaussian(40000, 1, noise=120.0))
    assert len(found) == len(summary.names)
    clean = summary.of(gaussian(40000, 2))
    for name, value, other in zip(summary.names, found, clean, strict=True):
        if "variance of v_r b" in name and "errors" not in name:
            # of some 10000 stars a bin, of variance 150^2 + 120^2 with the errors
            error = np.sqrt(2.0 / 9000.0) * (150.0**2 + 120.0**2) / 150.0**2
            assert abs(value - np.log(150.0**2)) < 4.0 * error
            assert abs(other - np.log(150.0**2)) < 4.0 * np.sqrt(2.0 / 9000.0)
        if "errors over variance of v_t" in name:
            assert abs(value - np.log1p(1.44)) < 0.1
            assert other == 0.0


def test_moments_know_no_order_and_no_direction():
    stars = gaussian(800, 3)
    turn = np.linalg.qr(seeded(1).standard_normal((3, 3)))[0]
    x, v = stars.position @ turn.T, stars.velocity @ turn.T
    names = ("x", "y", "z", "vx", "vy", "vz")
    turned = Catalogue.from_arrays(**dict(zip(names, np.hstack([x, v]).T, strict=True)))
    summary = MomentSummary(EDGES)
    np.testing.assert_allclose(summary.of(turned), summary.of(stars), atol=1e-9)
    shuffled = stars.select(seeded(2).permutation(800))
    np.testing.assert_allclose(summary.of(shuffled), summary.of(stars), atol=1e-9)


def test_an_empty_bin_has_the_moments_of_all_stars():
    summary = MomentSummary((5.0, 12.0, 25.0, 60.0, 100.0))
    found = dict(zip(summary.names, summary.of(gaussian(3000, 4)), strict=True))
    value = found["ln of the variance of v_r between 60 and 100 kpc"]
    assert abs(value - np.log(150.0**2)) < 4.0 * np.sqrt(2.0 / 3000.0)


def test_the_mass_is_that_of_the_mock_with_its_baryons():
    spec = [{"kind": "mwpotential2014-baryons"}, {"kind": "nfw", "m200": 1e12, "c": 10.0}]
    mock = make_mock({**MOCK, "potential": spec})
    r = np.geomspace(0.1, 3000.0, 200)
    parts = make_mock({**MOCK, "potential": spec[0]})
    priors = {"m200": LogUniform(1e11, 1e13), "c200": Uniform(5.0, 20.0)}
    halo = HaloModel(
        priors, {"beta": 0.3}, 67.8, 200.0, r, parts.truth.potential.enclosed_mass(r), np.eye(2)
    )
    values = halo.values(halo.deviates({"m200": np.array([1e12]), "c200": np.array([10.0])}))
    np.testing.assert_allclose(
        [values["m200"][0], values["c200"][0], values["beta"][0]], [1e12, 10, 0.3]
    )
    for radius in (8.0, 40.0, 150.0):
        true = float(mock.truth.potential.enclosed_mass(radius))
        np.testing.assert_allclose(halo.enclosed_mass(radius, values), true, rtol=1e-4)


def test_targets_never_leave_their_prior():
    halo = HaloModel(
        {"m200": LogUniform(2e11, 4e12)}, {}, 67.8, 200.0, np.ones(1), np.ones(1), np.eye(1)
    )
    found = halo.values(np.linspace(-40.0, 40.0, 9)[:, None])["m200"]
    assert found.min() >= 2e11 * (1 - 1e-12)
    assert found.max() <= 4e12 * (1 + 1e-12)


def test_the_packaged_network_finds_halos():
    """The z-scores of independent mocks are those of a posterior, within what 24 of them show."""
    mass = float(make_mock(MOCK).truth.potential.enclosed_mass(20.0))
    truths = {"enclosed_mass": mass, "m200": 1e12, "c200": 12.0, "beta": 0.3}
    scores = {name: [] for name in truths}
    for k in range(24):
        rows = rows_of(observed(1500, 10 + 2 * k), r_out=[20.0])
        for name, true in truths.items():
            (row,) = rows.of(name)
            scores[name].append((row.value - true) / (0.5 * (row.hi68 - row.lo68)))
    for name, each in scores.items():
        assert abs(np.mean(each)) < 4.0 / np.sqrt(24.0), name
        assert 0.4 < np.std(each) < 1.6, name


@pytest.mark.parametrize("held", [{"c200": 12.0}, {"beta": 0.3}, {"c200": 12.0, "beta": 0.3}])
def test_what_was_held_in_training_is_not_fitted(tmp_path, held):
    summary, stars = MomentSummary(EDGES), gaussian(300, 6)
    seen = summary.of(stars) + 0.1 * seeded(7).standard_normal((50, len(summary.names)))
    cloud = Cloud.of(seen, np.linspace(100.0, 900.0, 50), np.tile([5.0, 60.0], (50, 1)))
    all_of_it = {
        "m200": LogUniform(1e11, 1e13),
        "c200": Uniform(5.0, 20.0),
        "beta": Uniform(-1.0, 0.9),
    }
    priors = {name: prior for name, prior in all_of_it.items() if name not in held}
    r, d = np.geomspace(0.1, 1e3, 20), len(priors)
    halo = HaloModel(priors, held, 70.0, 200.0, r, 1e10 * np.ones(20), np.eye(d))
    network = some_network(len(summary.names), d)
    trained_halo.save(
        tmp_path / "net", trained_halo.to_files(summary, network, cloud, halo, {"title": "it"})
    )
    rows = rows_of(stars, network=str(tmp_path / "net"))
    assert [row.quantity for row in rows] == ["enclosed_mass", "m200", "r200", "c200", "beta"]
    for row in rows:
        assert row.note == (f"{row.quantity} is not fitted" if row.quantity in held else "")
        assert np.isnan(row.value) == (row.quantity in held)


def test_more_stars_make_narrower_intervals():
    few, many = (rows_of(observed(n, 5), r_out=[20.0]).of("enclosed_mass")[0] for n in (300, 10000))
    assert many.hi68 - many.lo68 < 0.5 * (few.hi68 - few.lo68)


@pytest.mark.parametrize(
    ("catalogue", "told"),
    [
        (gaussian(60, 1), r": 60 stars, there 2\d\d to 3\d{4}"),
        (gaussian(900, 1, edges=(3.0, 60.0)), r": stars from 3.\d* to 6?\d\S* kpc, there from 5"),
        (gaussian(900, 1, edges=(5.0, 90.0)), r": stars from 5\S* to [89]\S* kpc"),
        (gaussian(900, 1, sigma=(900.0, 600.0, 600.0)), "is .*, there "),
        (gaussian(900, 1, sigma=(20.0, 200.0, 200.0)), "is .*, there "),
        (gaussian(900, 1, noise=400.0), "is .*, there "),
    ],
    ids=["few", "inside", "outside", "fast", "tangential", "noise"],
)
def test_what_it_was_not_trained_on_gives_no_number(catalogue, told):
    rows = rows_of(catalogue, r_out=[10.0, 20.0])
    assert [row.quantity for row in rows] == [
        *("enclosed_mass", "enclosed_mass", "m200", "r200", "c200", "beta")
    ]
    (note,) = {row.note for row in rows}
    assert note.startswith("outside of what the network was trained on: ")
    assert re.search(told, note), note


def test_masses_beyond_the_halos_of_the_training_have_no_value():
    """Nearer than its stars, 5 kpc, and beyond r200 of 4e12 Msun, 334 kpc: each to 2 per cent."""
    radii = [1e-3, 4.8, 4.95, 60.0, 200.0, 334.0, 345.0, 1e9]
    rows = rows_of(observed(1500, 10), r_out=radii)
    masses = rows.of("enclosed_mass")
    assert [row.r for row in masses] == radii
    assert [bool(row.note) for row in masses] == [True, True, *[False] * 4, True, True]
    assert "r is 1e+09 kpc, there stars from 5 to 60 kpc and r200 up to 334" in masses[-1].note
    for row in masses:
        assert np.isnan(row.value) == bool(row.note)
        assert not row.note or row.note.startswith("outside of what the network was trained on: ")
    assert not any(row.note for row in rows if row.quantity != "enclosed_mass")


@pytest.mark.parametrize(
    ("prior", "known", "far"),
    [
        (Normal(1e12, 2e11), {}, virial_radius(1e12 + 3.0902 * 2e11, 67.8, 200.0)),
        (None, {"m200": 1e12}, virial_radius(1e12, 67.8, 200.0)),
        (None, {"m200": 1e7}, 60.0),
    ],
    ids=["no end", "known", "smaller than the stars"],
)
def test_the_reach_of_any_prior(prior, known, far):
    cloud = Cloud.of(np.zeros((2, 1)), np.array([1.0, 2.0]), np.tile([5.0, 60.0], (2, 1)))
    halo = HaloModel(
        {"m200": prior} if prior else {}, known, 67.8, 200.0, np.ones(1), np.ones(1), np.eye(1)
    )
    network = TrainedHalo(MomentSummary(EDGES), None, cloud, halo, "", {})
    assert network.reach == pytest.approx((5.0, float(far)), rel=1e-3)


def test_moments_that_are_each_usual_are_refused_together():
    rng = seeded(7)
    base = rng.standard_normal((400, 1))
    summaries = np.hstack([base, base + 0.01 * rng.standard_normal((400, 1))])
    cloud = Cloud.of(summaries, np.full(400, 1e3), np.tile([5.0, 60.0], (400, 1)))
    cloud.require_like(np.array([1.0, 1.0]), 1e3, ("a", "b"))
    with pytest.raises(EstimationError, match="its moments together are"):
        cloud.require_like(np.array([1.5, -1.5]), 1e3, ("a", "b"))


def test_what_is_usual_depends_on_the_number_of_stars():
    """Catalogues of few stars scatter, and would hide those of many that are like none."""
    rng = seeded(17)
    n_stars = np.geomspace(100.0, 1e5, 5000)
    summaries = 10.0 * rng.standard_normal((5000, 2)) / np.sqrt(n_stars)[:, None]
    cloud = Cloud.of(summaries, n_stars, np.tile([5.0, 60.0], (5000, 1)))
    assert len(cloud.edges) == 5
    cloud.require_like(np.array([1.0, -1.0]), 100.0, ("a", "b"))
    with pytest.raises(EstimationError, match="a is 1, there -0"):
        cloud.require_like(np.array([1.0, -1.0]), 5e4, ("a", "b"))
    one = Cloud.of(summaries, np.full(5000, 300.0), np.tile([5.0, 60.0], (5000, 1)))
    assert len(one.edges) == 0
    one.require_like(np.array([1.0, -1.0]), 300.0, ("a", "b"))


def key_of(**spec):
    return content_key(plain_content(make_estimator({"kind": "npe", **spec})))


def test_the_content_of_the_network_is_in_the_key_and_its_place_is_not(copied):
    assert key_of(network=str(copied)) == key_of()
    told = json.loads((copied / "network.json").read_text())
    told["training"]["title"] = "another one"
    told["digest"] = trained_halo._digest(told)
    (copied / "network.json").write_text(json.dumps(told))
    assert key_of(network=str(copied)) != key_of()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("gone", "is no folder with a network.json, as 'haloassay train' makes it"),
        ("weights", "weights.safetensors is not the file that network.json is of"),
        ("no weights", "weights.safetensors: No such file"),
        ("description", "network.json was changed after it was written"),
        ("no json", "network.json is not that of a network"),
        ("list", "network.json is not that of a network"),
        ("version", "is of format 99 and summaries 1, this haloassay reads 3 and 1: train it anew"),
    ],
)
def test_a_network_that_is_not_what_it_was_is_refused(copied, damage, told):
    description, weights = copied / "network.json", copied / "weights.safetensors"
    if damage == "gone":
        shutil.rmtree(copied)
    elif damage == "weights":
        data = bytearray(weights.read_bytes())
        data[-3] ^= 1
        weights.write_bytes(data)
    elif damage == "no weights":
        weights.unlink()
    elif damage in ("no json", "list"):
        description.write_text("{" if damage == "no json" else "[1]")
    else:
        told_of = json.loads(description.read_text())
        if damage == "version":
            told_of["format"] = 99
        else:
            told_of["halo"]["h0"] = 70.0
        description.write_text(json.dumps(told_of))
    with pytest.raises(InputError, match=told):
        make_estimator({"kind": "npe", "network": str(copied)})


def test_a_network_comes_back_as_it_was(tmp_path):
    summary = MomentSummary(EDGES)
    n = len(summary.names)
    some = seeded(8).standard_normal((50, n))
    cloud = Cloud.of(some, np.linspace(100.0, 900.0, 50), np.tile([5.0, 60.0], (50, 1)))
    priors = {"m200": LogUniform(1e11, 1e13), "beta": Uniform(-1.0, 0.9)}
    r = np.geomspace(0.1, 1e3, 20)
    halo = HaloModel(priors, {"c200": 11.0}, 70.0, 100.0, r, 1e10 * np.ones(20), TURN)
    network = some_network(n, 2)
    files = trained_halo.to_files(summary, network, cloud, halo, {"title": "it"})
    trained_halo.save(tmp_path / "net", files)
    back = trained_halo.load(str(tmp_path / "net"))
    ours = halo.values(network.mixture(cloud.standardised(some[0])).draws(9, seeded(1)))
    theirs = back.posterior(some[0], 9, seeded(1))
    assert ours.keys() == theirs.keys() == {"m200", "c200", "beta"}
    for name, values in ours.items():
        np.testing.assert_array_equal(theirs[name], values)
    np.testing.assert_array_equal(
        back.halo.enclosed_mass(20.0, ours), halo.enclosed_mass(20.0, ours)
    )
    np.testing.assert_array_equal(back.cloud.farthest, cloud.farthest)
    np.testing.assert_array_equal(back.cloud.whiten, cloud.whiten)


def test_its_use_imports_no_library_of_networks():
    code = (
        "import sys; from haloassay.estimators import make_estimator; make_estimator({'kind': 'npe'});"
        "print([m for m in ('torch', 'sbi', 'safetensors') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
