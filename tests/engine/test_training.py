"""Training of networks: what is refused of its file, and that a small one learns what its mocks tell."""

from __future__ import annotations

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from seeds import seeded

from haloassay.base.errors import EquilibriumError, HaloassayError, InputError
from haloassay.base.seeds import stream
from haloassay.engine import learning, training
from haloassay.estimators import make_estimator
from haloassay.estimators.fit.mixture_network import MixtureNetwork
from haloassay.estimators.fit.moment_summary import MomentSummary
from haloassay.face.cli import haloassay
from haloassay.mocks import make_mock
from haloassay.mocks.surveys.survey import make_survey
from haloassay.planning.training import Learning, load_training, require_possible

TINY = """
title = "a network that is made in seconds"
seed = 3
simulations = 400
subsets = 2
held_out = 100

[mock]
kind = "local-jeans-gaussian"
potential = [{ kind = "mwpotential2014-baryons" }, { kind = "nfw", m200 = 1e12, c = 12.0 }]
density = { kind = "power-law", slope = -3.5 }
beta = { kind = "constant", beta = 0.5 }
r_range = [3.0, 200.0]

[survey]
n_stars = 500
r_min = 5.0
r_max = 60.0

[prior]
"mock.potential.1.m200" = { kind = "loguniform", lo = 3e11, hi = 3e12 }
"mock.potential.1.c" = { kind = "uniform", lo = 6.0, hi = 18.0 }
"survey.n_stars" = { kind = "loguniform", lo = 300, hi = 1000 }

[network]
edges = [5.0, 10.0, 20.0, 60.0]
hidden = 16
components = 2
members = 1
epochs = 30
"""

NEEDS_SBI = "sbi is not installed (extra npe)"


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("simulations = 400", "simulations = 9", "simulations: at least 100 (got 9)"),
        ("held_out = 100", "held = 100", "unknown setting 'held'"),
        ("held_out = 100", "catalogues = 0", "catalogues: at least 1 (got 0)"),
        ("held_out = 100", "without_errors = 1.5", "without_errors: a share, 0 to 1 (got 1.5)"),
        ('"survey.n_stars" =', '"survey.pm_error" =', "their numbers of stars are of the prior of survey.n_stars"),
        ("hidden = 16", "hidden = 0", "network: hidden: at least 1 (got 0)"),
        ("hidden = 16", "hidden = 1_000_000", "network: hidden: at most 4096 (got 1000000)"),
        ("hidden = 16", "rate = 1e9", "network: rate: above 0, at most 1 (got 1e+09)"),
        ("hidden = 16", "decay = 200.0", "network: decay: not negative, below 1 / rate (got 200)"),
        ('"loguniform", lo = 3e11', '"loguniform", lo = -1', "prior of mock.potential.1.m200: needs 0 < lo < hi"),
        ('"uniform", lo = 6.0, hi = 18.0', '"discrete", weights = [1.0]', "priors of a training are continuous"),
        ("potential.1.c", "potential.7.c", "prior of mock.potential.7.c: there is no '7'"),
        ('"mock.potential.1.c"', '"estimators.npe"', "prior of estimators.npe: there is no 'estimators'"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_usable_is_told(tiny, old, new, told):
    tiny.write_text(TINY.replace(old, new))
    with pytest.raises(InputError) as error:
        load_training(tiny)
    assert str(error.value).startswith(f"{tiny}")
    assert told in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_training(tmp_path / "nothing.toml")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"mock.potential.1.m200"', '"mock.density.slope"', "prior: gives none of mock.potential.1.m200"),
        ('kind = "mwpotential2014-baryons"', 'kind = "hernquist", mass = 1e11, a = 9.0', "needs one dark component"),
        (
            'kind = "nfw", m200 = 1e12, c = 12.0',
            'kind = "triaxial-nfw", m200 = 1e12, c = 12.0, axis_ratios = [1.0, 0.9]',
            "needs one dark component, an nfw halo by",
        ),
        ('"mock.potential.1.c" =', '"mock.potential.1.h0" =', "of the potential m200 and c of the halo may vary"),
    ],
)  # fmt: skip
def test_a_halo_that_cannot_be_inferred_is_told(tiny, old, new, told):
    tiny.write_text(TINY.replace(old, new))
    with pytest.raises(InputError, match=told):
        training.halo_of(load_training(tiny))


def test_the_halo_is_that_of_the_mocks(tiny):
    paths, halo = training.halo_of(load_training(tiny))
    assert paths == {"m200": "mock.potential.1.m200", "c200": "mock.potential.1.c"}
    assert halo.known == {"beta": 0.5}
    values = {"m200": np.array([1e12]), "c200": np.array([12.0])}
    true = make_mock(load_training(tiny).mock).truth.potential.enclosed_mass(30.0)
    np.testing.assert_allclose(halo.enclosed_mass(30.0, values), true, rtol=1e-4)


def test_draws_are_of_the_prior_and_the_number_of_stars_is_whole(tiny):
    plan = load_training(tiny)
    draws = [plan.draw(seeded(k)) for k in range(400)]
    c = np.array([each["mock.potential.1.c"] for each in draws])
    assert abs(c.mean() - 12.0) < 4.0 * 12.0 / np.sqrt(12.0 * 400)
    mock, survey = plan.at(draws[0])
    assert survey["n_stars"] == round(draws[0]["survey.n_stars"])
    assert mock["potential"][1]["m200"] == draws[0]["mock.potential.1.m200"]
    assert plan.mock["potential"][1]["m200"] == 1e12  # the file's own is left alone


def test_a_mock_has_several_catalogues_and_subsets_of_their_stars(tiny):
    tiny.write_text(TINY.replace("subsets = 2", "catalogues = 3\nsubsets = 2"))
    plan, alone = load_training(tiny), replace(load_training(tiny), catalogues=1, subsets=0)
    found = training.simulation(plan, 7)
    assert len(found) == 9
    (first,) = training.simulation(alone, 7)
    np.testing.assert_array_equal(found[0].summary, first.summary)
    halos = {tuple(v for p, v in each.values.items() if p.startswith("mock.")) for each in found}
    assert len(halos) == 1
    assert len({found[k].n_stars for k in (0, 3, 6)}) == 3
    names = MomentSummary(plan.network.edges).names
    for k, each in enumerate(found):
        whole = found[k - k % 3]
        assert 300 <= each.n_stars == each.values["survey.n_stars"] <= whole.n_stars
        assert whole.radii[0] <= each.radii[0] < each.radii[1] <= whole.radii[1]
        told = dict(zip(names, each.summary, strict=True))
        np.testing.assert_allclose(told["ln of the number of stars"], np.log(each.n_stars))
    assert len({each.summary.tobytes() for each in found}) == 9
    (held,) = training.simulation(plan, plan.simulations)  # is judged by one catalogue
    assert held.n_stars <= 1000


def test_numbers_of_subsets_are_of_the_prior_below_that_of_the_catalogue(tiny):
    plan = replace(load_training(tiny), subsets=4000)
    few = np.array(plan.below(700, seeded(1)))
    assert few.max() <= 700
    # of a log-uniform prior from 300, ln n is uniform from there to ln 700
    width = np.log(700.0 / 300.0)
    middle = np.log(few).mean() - np.log(300.0)
    assert abs(middle - 0.5 * width) < 4.0 * width / np.sqrt(12.0 * 4000) + 1.0 / 300.0


def test_a_share_of_catalogues_has_no_errors(tiny):
    survey = '"survey.n_stars"'
    errors = """"survey.pm_error" = { kind = "uniform", lo = 0.0, hi = 0.1 }
"survey.vlos_error" = { kind = "uniform", lo = 1.0, hi = 5.0 }
"""
    tiny.write_text(
        TINY.replace(survey, errors + survey).replace("seed = 3", "without_errors = 0.3")
    )
    plan = load_training(tiny)
    draws = [plan.draw(seeded(k)) for k in range(600)]
    exact = np.array([each["survey.pm_error"] == 0.0 for each in draws])
    assert abs(exact.mean() - 0.3) < 4.0 * np.sqrt(0.3 * 0.7 / 600)
    assert all(
        (each["survey.vlos_error"] == 0.0) == one for each, one in zip(draws, exact, strict=True)
    )
    assert min(each["survey.n_stars"] for each in draws) >= 300


def test_no_mock_is_learnt_from_and_validated_by():
    mocks = np.repeat([3, 4, 8, 9, *range(20, 36)], 5)
    taught, apart = (mocks[rows] for rows in learning._shares(mocks, seeded(1)))
    assert not set(taught) & set(apart)
    assert len(apart) == 10  # catalogues of two of twenty mocks
    assert len(taught) + len(apart) == len(mocks)


def test_a_prior_without_mocks_is_told(tiny, monkeypatch):
    monkeypatch.setattr(training, "simulation", lambda plan, k: "no equilibrium")
    with pytest.raises(InputError, match="500 of 500 draws have no mock, such as: no equilibrium"):
        training.simulate(load_training(tiny), 0, lambda _: None)


def test_training_without_sbi_says_how_to_install_it(tiny, tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(learning.importlib, "import_module", missing)
    made = CliRunner().invoke(haloassay, ["train", str(tiny), "--out", str(tmp_path / "net")])
    assert isinstance(made.exception, InputError)
    assert "pip install 'haloassay[npe]'" in str(made.exception)
    assert not (tmp_path / "net").exists()


def test_a_folder_that_holds_anything_is_left_alone(tiny):
    with pytest.raises(InputError, match="is not empty; name a new folder"):
        training.train(tiny, tiny.parent)


def test_a_library_that_makes_other_densities_is_not_believed():
    arrays = {
        "hidden.0.weight": np.eye(2), "hidden.0.bias": np.zeros(2), "logits.weight": np.ones((1, 2)),
        "logits.bias": np.zeros(1), "means.weight": np.ones((1, 2)), "means.bias": np.zeros(1),
        "diagonal.weight": np.ones((1, 2)), "diagonal.bias": np.zeros(1),
    }  # fmt: skip
    network = MixtureNetwork((arrays,), 2, 1, 1e-4)
    data, targets = np.ones((3, 2)), np.zeros((3, 1))
    ours = np.full(3, network.mixture(data[0]).log_density(targets[:1])[0])
    learning._require_equal(network, data, targets, ours)
    with pytest.raises(HaloassayError, match="densities by numpy and by sbi differ"):
        learning._require_equal(network, data, targets, ours + 0.1)


@pytest.mark.long
def test_a_small_network_learns_from_its_mocks(tiny, tmp_path):
    pytest.importorskip("sbi", reason=NEEDS_SBI)
    out = tmp_path / "net"
    done = CliRunner().invoke(haloassay, ["train", str(tiny), "--out", str(out), "-j", "0"])
    assert done.exit_code == 0, done.output
    assert "100 mocks held out, of which" in done.output
    assert sorted(file.name for file in out.iterdir()) == ["network.json", "weights.safetensors"]
    told = json.loads((out / "network.json").read_text())
    row = told["held_out"]["table"]["enclosed_mass"]
    assert abs(row["bias"]) < 4.0 * row["bias_error"] + 0.02
    assert row["coverage68"] > 0.68 - 4.0 * np.sqrt(0.68 * 0.32 / 100)
    # the prior of the mass within 15 kpc is wide: a network that learns nothing has half widths of about 0.4
    assert row["half_width"] < 0.2
    plan = load_training(tiny)
    seen = make_survey({**plan.survey, "n_stars": 600})
    catalogue = seen.observe(make_mock(plan.mock), seeded(1), seeded(2)).catalogue
    method = make_estimator({"kind": "npe", "network": str(out), "r_out": [20.0]})
    (mass,) = method.estimate(catalogue, seeded(3)).of("enclosed_mass")
    true = float(make_mock(plan.mock).truth.potential.enclosed_mass(20.0))
    assert mass.lo95 * 0.8 < true < mass.hi95 * 1.2
    training.train(plan, tmp_path / "again", workers=2)  # is the same
    weights = [
        (folder / "weights.safetensors").read_bytes() for folder in (out, tmp_path / "again")
    ]
    assert weights[0] == weights[1]


def test_learning_heeds_an_interrupt_and_nothing_is_written(tiny, tmp_path, monkeypatch):
    def learn(*given):
        signal.raise_signal(signal.SIGINT)  # is held back: nothing of torch is cut short
        held.append(True)
        given[-1]()

    held = []
    monkeypatch.setattr(training, "library", lambda: None)
    monkeypatch.setattr(training, "learn", learn)
    with pytest.raises(KeyboardInterrupt):
        training.train(replace(load_training(tiny), simulations=100), tmp_path / "net", 0)
    assert held
    assert not (tmp_path / "net").exists()


def test_an_interrupted_import_is_not_taken_for_a_missing_library(tiny, monkeypatch):
    def half_imported():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:  # what modules in C make of it
            raise InputError("cannot be imported") from None

    monkeypatch.setattr(training, "library", half_imported)
    with pytest.raises(KeyboardInterrupt):
        training.train(tiny, tiny.parent / "net")


def refused(*arguments):
    made = CliRunner().invoke(haloassay, ["train", *map(str, arguments)])
    assert isinstance(made.exception, InputError), made.exception
    return str(made.exception)


@pytest.fixture
def no_mocks(monkeypatch):
    """Training without sbi, in which nothing may be simulated."""

    def never(*_):
        raise AssertionError("simulated")

    monkeypatch.setattr(training, "library", lambda: None)
    monkeypatch.setattr(training, "simulation", never)


@pytest.mark.parametrize("place", ["file/net", "file", "loop/net"])
def test_a_folder_that_cannot_be_written_is_told_before_anything_is_made(tiny, no_mocks, place):
    (tiny.parent / "file").touch()
    (tiny.parent / "loop").symlink_to("loop")
    out = tiny.parent / place
    assert refused(tiny, "--out", out).startswith(f"{out}: ")


def test_a_folder_that_can_be_written_is_not_made_before_its_network(tiny, no_mocks):
    tiny.write_text(TINY.replace("edges = [5.0, 10.0, 20.0, 60.0]", "edges = [60.0, 5.0]"))
    assert "edges: two radii" in refused(tiny, "--out", tiny.parent / "new" / "net", "-j", "0")
    assert sorted(each.name for each in tiny.parent.iterdir()) == ["tiny.toml"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            '{ kind = "loguniform", lo = 300, hi = 1000 }',
            '{ kind = "normal", mean = 300, sd = 100 }',
            "prior of survey.n_stars: less than 1% of normal(300, 100) are values that cannot be",
        ),
        (
            '"loguniform", lo = 3e11', '"uniform", lo = -5e11',
            "prior of mock.potential.1.m200: 14% of uniform(-5e+11, 3e+12) are values that cannot be",
        ),
        (
            '"mock.potential.1.c" = { kind = "uniform", lo = 6.0, hi = 18.0 }',
            '"mock.beta.beta" = { kind = "uniform", lo = 0.0, hi = 1.5 }',
            "prior of mock.beta.beta: 33% of uniform(0, 1.5) are values that cannot be",
        ),
        ("slope = -3.5", "slop = -3.5", "mock.density: unknown setting 'slop'"),
    ],
)  # fmt: skip
def test_a_prior_that_reaches_what_cannot_be_is_told_before_the_first_mock(
    tiny, no_mocks, old, new, told
):
    tiny.write_text(TINY.replace(old, new))
    message = refused(tiny, "--out", tiny.parent / "net")
    assert message.startswith(f"{tiny}: {told}"), message


def test_the_packaged_settings_reach_nothing_that_cannot_be(tiny):
    require_possible(load_training(tiny))


def test_an_equilibrium_that_is_missing_is_no_fault_of_a_prior(tiny, monkeypatch):
    def none(*_):
        raise EquilibriumError("there is none")

    monkeypatch.setattr("haloassay.mocks.make_mock", none)
    require_possible(load_training(tiny))


def test_a_draw_that_cannot_be_is_told_with_its_values(tiny, monkeypatch):
    def never(*_):
        raise InputError("cannot be")

    monkeypatch.setattr("haloassay.mocks.make_mock", never)
    plan = load_training(tiny)
    value = plan.draw(stream(plan.seed, "prior", 5))["mock.potential.1.m200"]
    with pytest.raises(InputError, match=r"^cannot be \(with mock.potential.1.m200 = ") as error:
        training.simulation(plan, 5)
    assert f"m200 = {value:.6g}, mock.potential.1.c = " in str(error.value)


def test_edges_without_stars_are_told(tiny):
    tiny.write_text(TINY.replace("edges = [5.0, 10.0, 20.0, 60.0]", "edges = [200.0, 300.0]"))
    with pytest.raises(InputError, match=r"network.edges: from 200 to 300 kpc, where no star"):
        training.simulate(load_training(tiny), 0, lambda _: None)


@pytest.mark.parametrize("found", ["nothing", "no number"])
def test_learning_that_diverges_says_what_to_take(found):
    class Net:
        def log_prob(self, targets, data):
            if found == "nothing":
                raise ValueError("logits contains NaN or Inf values")
            return self

        def mean(self):
            return self

        def detach(self):
            return np.array(np.nan)

    with pytest.raises(InputError, match=r"diverged: take a smaller network.rate \(it is 0.9\)"):
        learning._mean(Net(), [], [], Learning((5.0, 60.0), rate=0.9))


@pytest.mark.long
def test_a_rate_that_is_too_large_is_told(tmp_path):
    pytest.importorskip("sbi", reason=NEEDS_SBI)
    known, rng = learning.library(), seeded(1)
    data, targets = rng.standard_normal((200, 5)), 1e20 * rng.standard_normal((200, 2))
    how = Learning((5.0, 60.0), hidden=8, epochs=5, rate=1.0)
    with pytest.raises(InputError, match="learning diverged: take a smaller"):
        learning.learn(known, data, targets, np.arange(200), how, 1, lambda _: None)
