"""Who gets which stars, streams, settings and truths: joints of a run, each against a direct computation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from witnesses import little

import haloassay
from haloassay import InputError
from haloassay.base.seeds import stream
from haloassay.mocks import make_mock
from haloassay.mocks.surveys.survey import make_survey

SURVEY = little()["survey"]
WITNESS = little()["estimators"][0]


def run(out, scenario, **settings):
    return haloassay.run(scenario, out, workers=0, **settings)


def values(results, quantity):
    """Estimates of a quantity, by cell, estimator and realisation."""
    rows = results.frame("estimates").query("quantity == @quantity")
    return rows.set_index(["cell", "estimator", "realization"])["value"].sort_index()


# ------------------------------------------------------------------------------------------- streams and stars


@pytest.mark.parametrize(
    ("setting", "level"),
    [
        ("distance_error", 0.3),
        ("distance_error_scale", 2.0),
        ("distance_scale", 1.2),
        ("pm_error", 0.2),
        ("vlos_error", 0.0),
        ("vlos_offset", 9.0),
    ],
)
def test_true_stars_do_not_change_with_the_errors_of_the_survey(setting, level):
    """Over more than one batch of stars: what the survey draws must not move those that come later."""
    survey = {**SURVEY, "n_stars": 9000}
    one, other = (
        haloassay.mock(little(survey=s), realization=1)
        for s in (survey, {**survey, setting: level})
    )
    np.testing.assert_array_equal(one.stars.position, other.stars.position)
    np.testing.assert_array_equal(one.stars.velocity, other.stars.velocity)
    columns = ("distance", "pmra", "vlos")
    assert any(np.any(one.catalogue[name] != other.catalogue[name]) for name in columns)


def test_population_and_survey_have_a_stream_each():
    """Stars come from the stream "population" alone, and the noise on them from "survey" alone."""
    scenario, realization = little(survey={**SURVEY, "n_stars": 9000}), 3
    seen = haloassay.mock(scenario, realization=realization)
    axes = [stream(scenario["seed"], axis, realization) for axis in ("population", "survey")]
    mock = make_mock(scenario["mock"])
    expected = make_survey(scenario["survey"]).observe(mock, *axes)
    for name, column in expected.catalogue.columns.items():
        np.testing.assert_array_equal(seen.catalogue[name], column, err_msg=name)
    draw = make_mock(scenario["mock"]).sampler(stream(scenario["seed"], "population", realization))
    np.testing.assert_array_equal(seen.stars.position[:8192], draw(8192).position)
    np.testing.assert_array_equal(seen.stars.position[8192:], draw(16384).position[:808])


def test_noise_does_not_change_with_the_mock():
    """Two populations take more numbers from the stream of the stars than one; the noise is the same."""
    exact = {"preset": "perfect", "n_stars": 400}
    parts = {key: little()["mock"][key] for key in ("density", "beta")}
    two = {k: v for k, v in little()["mock"].items() if k not in parts}
    two["populations"] = [{"name": name, "fraction": 0.5, **parts} for name in ("mr", "mp")]
    noises = []
    for mock in (little()["mock"], two):
        noisy, true = (haloassay.mock(little(mock=mock, survey=s)) for s in (SURVEY, exact))
        np.testing.assert_array_equal(noisy.stars.position, true.stars.position)
        noises.append(noisy.catalogue["vlos"] - true.catalogue["vlos"])
        noises.append(np.log(noisy.catalogue["distance"] / true.catalogue["distance"]))
    np.testing.assert_allclose(noises[2], noises[0], atol=1e-9)
    np.testing.assert_allclose(noises[3], noises[1], atol=1e-12)


def test_an_estimator_draws_from_the_stream_of_its_label(tmp_path):
    """Not of its kind, its settings, its place in the list, or of what else runs."""
    entries = [
        WITNESS,
        {**WITNESS, "label": "twin"},
        {"kind": "witnesses:OtherWitness", "label": "other"},
    ]
    drawn = values(run(tmp_path / "all", little(estimators=entries)), "v_c")
    assert drawn.nunique() == 6  # three labels in two realisations
    seed = little()["seed"]
    for (_, label, realization), value in drawn.items():
        assert value == stream(seed, f"estimator:{label}", realization).random()
    for k, kind in enumerate(("witnesses:Witness", "witnesses:OtherWitness")):
        alone = little(estimators=[{"kind": kind, "label": "twin", "level": 2.0}])
        found = values(run(tmp_path / str(k), alone), "v_c")
        np.testing.assert_array_equal(found.loc["base", "twin"], drawn.loc["base", "twin"])


def test_without_a_label_an_estimator_draws_as_measure_does(tmp_path):
    entry = {"kind": "velocity-ellipsoid", "n_draws": 50}
    scenario = little(estimators=[entry], realizations=1)
    run(tmp_path / "out", scenario)
    found = haloassay.Results(tmp_path / "out").frame("estimates").set_index("quantity")
    catalogue = haloassay.mock(scenario).catalogue
    for row in haloassay.measure(catalogue, entry, seed=scenario["seed"]):
        assert (row.value, row.lo68, row.hi95) == tuple(
            found.loc[row.quantity, ["value", "lo68", "hi95"]]
        )


# -------------------------------------------------------------------------------------------------------- truth


CLEAN = [{"kind": "height-cut", "z_min": 8.0}]


def truths_by_bin(results):
    """Truths, by realisation, quantity and bin."""
    return results.frame("estimates").set_index(["realization", "quantity", "bin"])["truth"]


def cleaned(realization):
    """True stars that stay, the catalogue rows that stay, and the truth: computed without the step of cleaning."""
    seen = haloassay.mock(little(), realization=realization)
    rows = np.flatnonzero(np.abs(seen.catalogue.position[:, 2]) >= 8.0)
    assert 50 < len(rows) < 200
    return seen.stars.select(rows), seen.catalogue.select(rows), seen.truth


def expected_truths(truth, r):
    """sigma_r and beta of stars at radii r, of populations whose means are zero."""
    square = {k: np.mean(truth.profile(f"sigma_{k}", r) ** 2) for k in ("r", "theta", "phi")}
    beta = 1.0 - (square["theta"] + square["phi"]) / (2.0 * square["r"])
    return {"sigma_r": np.sqrt(square["r"]), "beta": beta}


def test_the_truth_of_a_bin_is_that_of_the_observed_stars_that_stay(tmp_path):
    entry = {"kind": "velocity-ellipsoid", "bins": [5.0, 15.0, 30.0, 100.0], "n_draws": 20}
    truths = truths_by_bin(run(tmp_path / "out", little(estimators=[entry], clean=CLEAN)))
    for realization in (0, 1):
        stars, _, truth = cleaned(realization)
        for k, (lo, hi) in enumerate(itertools.pairwise(entry["bins"])):
            expected = expected_truths(truth, stars.r[(stars.r >= lo) & (stars.r < hi)])
            for quantity, value in expected.items():
                assert truths[realization, quantity, k] == pytest.approx(value, rel=1e-9)


def test_the_truth_of_a_part_of_the_sky_is_that_of_its_own_stars(tmp_path):
    """Quadrants as astropy sees them: 0 for l >= 180, b >= 0, then 1 to 3 as the map numbers them."""
    from astropy.coordinates import SkyCoord

    entry = {"kind": "sky-map", "map": "quadrants", "n_draws": 20}
    truths = truths_by_bin(run(tmp_path / "out", little(estimators=[entry], clean=CLEAN)))
    for realization in (0, 1):
        stars, catalogue, truth = cleaned(realization)
        sky = SkyCoord(catalogue["ra"], catalogue["dec"], unit="deg").galactic
        far, north = sky.l.deg >= 180.0, sky.b.deg >= 0.0
        parts = (far & north, ~far & north, ~far & ~north, far & ~north)
        for k, part in enumerate(parts):
            for quantity, value in expected_truths(truth, stars.r[part]).items():
                assert truths[realization, quantity, k] == pytest.approx(value, rel=1e-9)
    assert truths[:, "beta"].groupby("realization").agg(np.ptp).min() > 0.001  # parts differ


def test_the_rank_is_that_of_the_truth_among_the_draws(tmp_path):
    entries = [{"kind": "witnesses:Ranked", "label": f"of {n}", "n_draws": n} for n in (1, 6)]
    rows = run(tmp_path / "out", little(estimators=entries, realizations=8)).frame("estimates")
    for row in rows.to_dict("records"):
        n = int(row["estimator"].removeprefix("of "))
        rng = stream(little()["seed"], f"estimator:{row['estimator']}", row["realization"])
        assert (row["n_draws"], row["truth"]) == (n, 0.0)
        assert row["rank"] == rng.integers(n + 1)


# ------------------------------------------------------------------------------------------------- survey, matrix


@pytest.mark.parametrize("scale", [0.8, 1.25])
def test_observed_distances_and_their_stated_errors_follow_the_scale(scale):
    factors = {"survey.distance_scale": [1.0, scale]}
    scenario = little(matrix={"factors": factors})
    one, other = (
        haloassay.mock(scenario, cell=cell).catalogue
        for cell in ("base", f"survey.distance_scale={scale}")
    )
    for name in ("distance", "distance_err"):
        np.testing.assert_allclose(other[name], scale * one[name], rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(one["distance_err"], 0.1 * one["distance"], rtol=1e-12)


FACTORS = {
    "survey.distance_scale": [0.8, 1.0, 1.25],
    "mock.potential.m200": [1e12, 3e12],
    "estimators.witness.level": [1.0, 4.0],
}


@pytest.mark.parametrize("design", ["one-at-a-time", "full"])
def test_every_level_of_every_factor_is_run_and_in_the_tables(tmp_path, design):
    """What a cell is said to be is what its mock, its survey and its estimators were."""
    scenario = little(matrix={"design": design, "factors": FACTORS})
    results = run(tmp_path / "out", scenario)
    base = {
        "survey.distance_scale": 1.0,
        "mock.potential.m200": 1e12,
        "estimators.witness.level": 1.0,
    }
    expected = {tuple(levels) for levels in itertools.product(*FACTORS.values())}
    if design == "one-at-a-time":
        alone = ({**base, path: level} for path, levels in FACTORS.items() for level in levels)
        expected = {tuple(levels.values()) for levels in alone}
    cells = results.cells.set_index("cell")
    scores = results.table()
    paths = list(FACTORS)
    assert len(cells) == len(expected) == (5 if design == "one-at-a-time" else 12)
    assert set(cells[paths].itertuples(index=False, name=None)) == expected
    assert set(scores[paths].itertuples(index=False, name=None)) == expected
    assert len(scores) == 4 * len(expected)
    rows = results.frame("estimates").set_index(["cell", "realization", "quantity"])
    assert len(rows) == 2 * 4 * len(expected)
    exact = (haloassay.mock(little(), realization=k).catalogue for k in (0, 1))
    distances = [np.mean(catalogue["distance"]) for catalogue in exact]
    for (cell, *levels), realization in itertools.product(
        cells[paths].itertuples(name=None), (0, 1)
    ):
        row = rows.loc[cell, realization]
        scale, mass, level = levels
        assert row.loc["m200", "value"] == level
        assert row.loc["m200", "truth"] == pytest.approx(mass)
        assert row.loc["r200", "value"] == pytest.approx(scale * distances[realization])


@pytest.mark.parametrize("design", ["one-at-a-time", "full"])
def test_cells_do_not_leave_their_levels_to_the_next(tmp_path, design):
    """Factors of one table, next to each other in it and one below the other."""
    factors = {
        "mock.potential.c": [9.0, 12.0],
        "mock.potential.m200": [2e12, 1e12],
        "survey.vlos_offset": [5.0],
        "survey.sun.x": [-9.0],
    }
    scenario = little(matrix={"design": design, "factors": factors}, realizations=1)
    described = run(tmp_path / "out", scenario).description["cells"]
    for cell in described:
        levels, survey = cell["factors"], cell["made_of"]["survey"]
        truth = haloassay.mock(scenario, cell=cell["cell"]).truth
        assert truth.m200 == pytest.approx(levels["mock.potential.m200"])
        assert truth.c200 == pytest.approx(levels["mock.potential.c"])
        assert survey["vlos_offset"] == levels["survey.vlos_offset"]
        assert survey["sun"]["x"] == levels["survey.sun.x"]
    assert len(described) == (5 if design == "one-at-a-time" else 4)


# ------------------------------------------------------------------------------------------------------- resuming


def altered(path, value):
    """The scenario of a run with one setting changed, or a key left out."""
    scenario = little(clean=CLEAN, matrix={"factors": {"survey.distance_scale": [0.9, 1.0]}})
    scenario["estimators"].append({"kind": "witnesses:Ranked", "label": "ranked"})
    table = scenario
    *way, last = path
    for key in way:
        table = table[key]
    if value is None:
        del table[last]
    else:
        table[last] = value
    return scenario


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Folder of a run that is not to change."""
    folder = tmp_path_factory.mktemp("done") / "out"
    run(folder, altered(("name",), "first"))
    return folder


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("seed",), 6),
        (("mock", "potential", "m200"), 1.1e12),
        (("mock", "beta", "beta", 1), 0.3),
        (("mock", "density", "breaks", 0), 18.0),
        (("survey", "n_stars"), 401),
        (("survey", "distance_error"), 0.2),
        (("survey", "sun"), "bird2022"),
        (("clean", 0, "z_min"), 7.0),
        (("clean", 0), None),
        (("estimators", 0, "level"), 2.0),
        (("estimators", 0, "kind"), "witnesses:OtherWitness"),
        (("estimators", 0), None),
        (("estimators", 1, "n_draws"), 7),
        (("matrix", "factors", "survey.distance_scale", 0), 0.95),
        (("matrix", "design"), "full"),
    ],
    ids=lambda x: ".".join(map(str, x)) if isinstance(x, tuple) else "",
)
def test_a_changed_setting_is_refused_and_the_folder_left_as_it_was(done, path, value):
    def content():
        return {p: p.read_bytes() for p in sorted(done.rglob("*")) if p.is_file()}

    before = content()
    with pytest.raises(InputError, match="another scenario"):
        run(done, altered(path, value))
    assert content() == before


def test_what_changes_no_number_goes_on_in_the_folder(tmp_path):
    """Further realisations are added; those that are there are not computed again."""
    first = run(tmp_path / "out", altered(("name",), "first")).frame("runs")
    grown = altered(("name",), "second") | {"realizations": 3, "timeout": 50.0, "title": "another"}
    runs = run(tmp_path / "out", grown).frame("runs")
    assert len(runs) == 1.5 * len(first)
    kept = runs.query("realization < 2").reset_index(drop=True)
    assert (
        kept["seconds"].tolist() == first["seconds"].tolist()
    )  # the same runs, not others like them
