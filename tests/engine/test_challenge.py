"""Blind challenges: nothing public tells the truth, nothing sealed can be changed, and scores are those of a run."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from challengers import Curve, knowing, participant, reseal, sealed, submit
from seeds import shifted

import haloassay
from haloassay.base.errors import InputError
from haloassay.engine import challenges
from haloassay.engine.progress import Silent
from haloassay.io.tables import read_catalogue
from haloassay.results.challenge import Challenge

SEED = shifted(31)
ASK = ("enclosed_mass@10,20", "beta@20,10", "m200")
SCENARIO = {
    "name": "unspeakable-name",
    "title": "Unspeakable title",
    "realizations": 4,
    "seed": shifted(7),
    "mock": {
        "kind": "local-jeans-gaussian",
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "density": {"kind": "power-law", "slope": -3.5},
        "beta": {"kind": "constant", "beta": 0.3},
        "r_range": [5.0, 100.0],
    },
    "survey": {"preset": "lamost-segue-kgiants", "feh_max": float("inf"), "n_stars": 80},
    "estimators": [{"kind": "challengers:Curve", "label": "curve"}],
    "matrix": {
        "factors": {
            "mock.potential.m200": [0.7e12, 1e12],
            "survey.distance_scale": [1.0, 1.1],
        }
    },
}


@pytest.fixture
def values():
    """Plain values of a scenario of three cells, to be changed at will."""
    return copy.deepcopy(SCENARIO)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Challenge of three cells with four catalogues each."""
    return haloassay.challenge(
        SCENARIO, tmp_path_factory.mktemp("made") / "one", seed=SEED, ask=ASK
    )


@pytest.fixture
def own(made, tmp_path):
    """Copy of it, to be tampered with."""
    shutil.copytree(made.folder, tmp_path / "own")
    return Challenge(tmp_path / "own")


def test_scores_of_a_submission_are_those_of_a_run_of_the_same_estimator(values, tmp_path):
    """Also where it fails or is undetermined; the participant reads public files alone."""
    del values["matrix"]
    values["realizations"] = 16
    run = haloassay.run(values, tmp_path / "run", seed=SEED, workers=0, progress=Silent())
    made = haloassay.challenge(values, tmp_path / "made", seed=SEED, ask=ASK)
    file = submit(tmp_path / "curve.csv", participant(made, Curve(), "curve", SEED))
    scores = made.score(file, out=tmp_path / "scored").table()
    expected = run.table()
    assert expected["n_failed"].nunique() > 1
    assert (expected["n"] > 5).all()
    pd.testing.assert_frame_equal(scores, expected, check_exact=True)


def test_catalogues_of_several_cells_are_those_of_a_run_with_the_truth_that_it_has(
    made, values, tmp_path
):
    run = haloassay.run(
        values, tmp_path / "run", 12, workers=0, seed=SEED, progress=Silent()
    ).frame("estimates")
    run = run.set_index(["cell", "realization", "quantity", "bin"])["truth"]
    told = sealed(made)
    for catalogue in told["catalogues"][:4]:
        cell, realization = catalogue["cell"], catalogue["realization"]
        mock = haloassay.mock(values, seed=SEED, realization=realization, cell=cell)
        read = read_catalogue(made.public / catalogue["file"])
        for name, column in mock.catalogue.columns.items():
            np.testing.assert_array_equal(read[name], column)
        assert read.sun == mock.catalogue.sun
    compared = 0
    for catalogue in told["catalogues"]:
        for question, truth in zip(made.questions, catalogue["truth"], strict=True):
            key = (*(catalogue[k] for k in ("cell", "realization")), question.quantity.name)
            if (*key, question.bin) in run.index:
                assert truth == run[(*key, question.bin)]
                compared += 1
    assert compared > 30


@pytest.mark.parametrize("feh_max", [float("inf"), -1.5])
def test_the_truth_is_of_the_stars_that_pass(values, tmp_path, feh_max):
    """Where the survey sees no difference between populations the densities' mixture counts, else that of the stars."""
    del values["matrix"]
    shares = {"fraction": 0.5, "feh": {"mean": -1.2, "sigma": 0.2}}
    rich = {**shares, "name": "mr", "beta": {"kind": "constant", "beta": 0.8}}
    poor = {
        **shares,
        **{"name": "mp", "feh": {"mean": -1.8, "sigma": 0.2}},
        "beta": {"kind": "constant", "beta": 0.0},
    }
    del values["mock"]["beta"]
    values["mock"]["populations"] = [rich, poor]
    values["survey"] |= {"feh_max": feh_max, "z_any_feh": float("inf")}
    made = haloassay.challenge(values, tmp_path / "made", 3, seed=SEED, ask=["beta@15"])
    for name in ("README.md", "challenge.json"):
        assert (
            "share among the stars that survey and cleaning let pass"
            in (made.public / name).read_text()
        )
    told = sealed(made)
    betas = {each["truth"][0] for each in told["catalogues"]}
    assert len(betas) == 1 or feh_max < 0.0
    assert (max(betas) < 0.3) == (feh_max < 0.0)


def test_no_two_catalogues_have_random_numbers_in_common(made):
    """Else the same stars, 1.1 times as far, would tell which cell a catalogue is of."""
    told = sealed(made)["catalogues"]
    assert len({each["realization"] for each in told}) == len(told) == 12
    directions = [read_catalogue(made.public / each["file"])["ra"] for each in told]
    assert len(set(np.concatenate(directions))) == 12 * 80


@pytest.mark.parametrize("suffix", ["parquet", "fits", "csv", "ecsv"])
def test_public_files_tell_nothing(values, tmp_path, suffix):
    values["realizations"] = 2
    seed = 40_417_929_338_527 + SEED
    made = haloassay.challenge(values, tmp_path / "made", seed=seed, ask=ASK, format=suffix)
    told = sealed(made)
    hidden = [
        *("unspeakable", "Unspeakable", "distance_scale", "local-jeans", "potential"),
        *("realization", "realisation", "cell"),
        *(str(seed), f"{seed:x}", str(tmp_path), made.folder.name),
        *(repr(truth) for each in told["catalogues"] for truth in each["truth"]),
        *(each["cell"] for each in told["catalogues"] if each["cell"] != "base"),
        (made.sealed / "salt").read_text(),
    ]
    for path in made.public.iterdir():
        content = path.read_bytes()
        for word in hidden:
            assert word.encode() not in content, (path.name, word)
        assert b"base" not in content.lower().replace(b"database", b""), path.name
        assert path.name.split(".")[0].rstrip("0123456789") in (
            *("halo-", "challenge", "submission", "README"),
        )
    assert len({path.stat().st_mtime_ns for path in made.public.iterdir()}) == 1
    assert made.sealed.stat().st_mode & 0o077 == 0


def test_order_and_salt_come_from_no_seed_and_stars_from_nothing_else(made, tmp_path):
    again = haloassay.challenge(SCENARIO, tmp_path / "again", seed=SEED, ask=ASK)
    digests = [[each["sha256"] for each in c.told["catalogues"]] for c in (made, again)]
    assert sorted(digests[0]) == sorted(digests[1])
    assert digests[0] != digests[1]  # but once in 12! runs
    assert made.commitment != again.commitment
    salts = {(c.sealed / "salt").read_text() for c in (made, again)}
    assert len(salts) == 2
    assert {len(salt) for salt in salts} == {64}


def test_without_a_seed_the_scenario_does_not_give_the_truth_away(values, tmp_path):
    values["matrix"] = {}
    made = haloassay.challenge(values, tmp_path / "made", 1, ask=ASK)
    assert sealed(made)["scenario"]["seed"] not in (SCENARIO["seed"], 0)
    theirs = haloassay.mock(values).catalogue["ra"]
    assert not set(theirs) & set(read_catalogue(made.public / "halo-001.parquet")["ra"])


def test_the_commitment_is_the_hash_of_salt_and_truth(made):
    salt, truth = ((made.sealed / name).read_bytes() for name in ("salt", "truth.json"))
    assert hashlib.sha256(salt + truth).hexdigest() == made.commitment
    assert made.commitment in (made.public / "README.md").read_text()
    plain = json.loads(truth)
    again = json.dumps(plain, sort_keys=True, separators=(",", ":")) + "\n"
    assert again.replace("Infinity", "1e999").encode() == truth  # which is JSON
    assert made.verify() == ()
    assert made.unverified == ()


@pytest.mark.parametrize("name", ["truth.json", "salt"])
def test_changed_truth_and_salt_are_seen_and_nothing_is_scored(own, tmp_path, name):
    file = submit(tmp_path / "knowing.csv", knowing(own))
    content = bytearray((own.sealed / name).read_bytes())
    digit = next(k for k, byte in enumerate(content) if byte in b"12345678")
    content[digit] += 1
    (own.sealed / name).write_bytes(bytes(content))
    (line,) = own.verify()
    assert "not the one that was committed to" in line
    assert own.commitment in line
    with pytest.raises(InputError, match="not the one that was committed to"):
        own.score(file, out=tmp_path / "scored")
    assert not (tmp_path / "scored").exists()


def test_changed_catalogues_and_questions_are_seen(own):
    path = own.public / "halo-003.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    (own.public / "halo-004.parquet").unlink()
    told = json.loads((own.public / "challenge.json").read_text())
    told["asked"][0]["r"] = 11.0
    (own.public / "challenge.json").write_text(json.dumps(told))
    lines = Challenge(own.folder).verify()
    assert len(lines) == 3
    for line, words in zip(lines, ("does not ask", "halo-003", "halo-004"), strict=True):
        assert words in line


@pytest.mark.parametrize(
    "name", ["halo-099.parquet", "halo-099.csv", "more.fits", "more.ecsv.gz", "stars.csv"]
)
def test_an_added_catalogue_is_named(own, name):
    (own.public / name).write_text("ra,dec\n1,2\n")
    (line,) = own.verify()
    assert line.startswith(f"{own.public / name}: is a catalogue that the sealed truth is not of")


def test_submissions_and_words_beside_the_catalogues_are_no_added_ones(own):
    shutil.copy(own.public / "submission.csv", own.public / "us.csv")
    (own.public / "deadline.txt").write_text("soon\n")
    (own.public / "halo-notes.md").write_text("none\n")
    (own.public / "scored").mkdir()
    assert own.verify() == ()


def _changed(challenge, change):
    """Challenge of which participants were told something else."""
    path = challenge.public / "challenge.json"
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))
    return Challenge(challenge.folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda told: told["sun"].update(vy=100.0), "sun.vy: "),
        (lambda told: told["survey"].update(z_min=0.5), "survey.z_min"),
        (lambda told: told["survey"].pop("footprint"), "survey.footprint is gone"),
        (lambda told: told.update(virial_density=1.0), "virial_density: "),
        (
            lambda told: told["columns"].update(vlos="m / s"),
            "columns.vlos: 'km / s' there, 'm / s'",
        ),
        (lambda told: told.update(shared_stars=True), "shared_stars: False there, True now"),
        (lambda told: told.update(cleaned=["stream"]), "cleaned"),
        (lambda told: told.update(hint="none"), "hint is new"),
        (lambda told: told.pop("sun"), "sun is gone"),
        (lambda told: told["catalogues"][2].update(sha256="0" * 64), "halo-003.sha256: "),
        (lambda told: told["catalogues"][2].update(n_stars=81), "halo-003.n_stars: 80 there, 81"),
        (lambda told: told["catalogues"][2].update(file="a.csv"), "halo-003.file: "),
    ],
)
def test_whatever_participants_are_told_otherwise_is_named(own, change, words):
    (line,) = _changed(own, change).verify()
    assert line.startswith("challenge.json is not as it was sealed: ")
    assert words in line


def test_a_changed_readme_is_seen(own):
    path = own.public / "README.md"
    path.write_text(path.read_text().replace("vy = 2", "vy = 1"))
    (line,) = own.verify()
    assert line.endswith("README.md: is not the file that the sealed truth is of")
    path.unlink()
    (line,) = own.verify()
    assert "README.md: cannot be read" in line


def test_a_truth_of_before_is_scored_and_what_it_does_not_have_is_said(own, tmp_path):
    """Sealed without a copy of what participants are told, and with Python's word for infinity."""
    told = sealed(own)
    del told["told"], told["readme"]
    reseal(own, told)
    old = Challenge(own.folder)
    assert "Infinity" in (own.sealed / "truth.json").read_text()
    assert old.verify() == ()
    assert {"sun", "survey", "virial_density", "README.md"} <= set(old.unverified)
    assert "asked" not in old.unverified
    file = submit(tmp_path / "knowing.csv", knowing(old))
    assert len(old.score(file, out=tmp_path / "scored").table()) == 3 * 5


def test_the_truth_has_no_bias_and_full_coverage(made, tmp_path):
    file = submit(tmp_path / "knowing.csv", knowing(made))
    results = made.score(file, out=tmp_path / "scored")
    scores = results.table()
    assert len(scores) == 3 * 5
    assert (scores["n"] == 4).all()
    for name, expected in (
        *(("bias", 0.0), ("rmse", 0.0), ("success", 1.0)),
        *(("coverage68", 1.0), ("coverage95", 1.0)),
    ):
        assert (scores[name] == expected).all(), name
    levels = results.cells.set_index("cell")["survey.distance_scale"]
    assert sorted(levels) == [1.0, 1.0, 1.1]
    with pytest.raises(InputError, match="nothing is paired with it"):
        results.pairs()
    haloassay.report(results.out)  # cells without a pair have a page, too


def test_a_shifted_submission_is_as_far_off_as_it_was_shifted(made, tmp_path):
    rows = [list(row) for row in knowing(made)]
    for row in rows:
        row[3:8] = [repr(1.3 * float(x)) for x in row[3:8]]
    scores = made.score(submit(tmp_path / "high.csv", rows), out=tmp_path / "scored").table()
    masses = scores[scores["quantity"] != "beta"]
    np.testing.assert_allclose(masses["bias"], 0.3, rtol=1e-12)
    assert (masses["coverage68"] == 0.0).all()


def test_what_is_missing_counts_as_failed_and_what_is_never_answered_is_not_entered(made, tmp_path):
    rows = [row for row in knowing(made) if row[1] != "beta"]
    of_first = sealed(made)["catalogues"][0]
    kept = [row for row in rows if row[0] != of_first["catalogue"]]
    also = [row for row in rows if row[0] == of_first["catalogue"] and row[1] == "m200"]
    files = [
        submit(tmp_path / "nothing-of-one.csv", kept),
        submit(tmp_path / "m200-of-one.csv", kept + also),
    ]
    results = made.score(*files, out=tmp_path / "scored")
    here = results.table().query("cell == @of_first['cell']").set_index(["estimator", "quantity"])
    assert "beta" not in set(results.table()["quantity"])
    assert (here.loc["nothing-of-one", "success"] == 0.75).all()
    assert here.loc[("m200-of-one", "m200"), "success"] == 1.0
    assert (here.loc[("m200-of-one", "enclosed_mass"), "success"] == 0.75).all()
    assert results.counts() == {"ok": 23, "failed": 1}


def test_results_make_the_catalogues_again(made, tmp_path):
    """To the last byte, from the sealed scenario: nobody has to believe the organiser."""
    file = submit(tmp_path / "knowing.csv", knowing(made))
    results = made.score(file, out=tmp_path / "scored")
    assert "Infinity" not in (results.out / "run.json").read_text()  # which is no JSON
    assert results.scenario["survey"]["feh_max"] == float("inf")
    told = sealed(made)["catalogues"][-1]
    again = haloassay.mock(results.out, cell=told["cell"], realization=told["realization"])
    haloassay.write_catalogue(again.catalogue, tmp_path / "again.parquet")
    public = (made.public / told["file"]).read_bytes()
    assert (tmp_path / "again.parquet").read_bytes() == public


def test_participants_are_told_what_an_observer_knows_and_no_more(made):
    told = made.told
    assert told["sun"]["x"] == -8.3
    assert told["columns"]["vlos"] == "km / s"
    assert told["survey"]["magnitude_limits"] == [11.0, 19.0]
    assert told["survey"]["footprint"]["dec_max"] == 60.0
    assert "n_stars" not in told["survey"]
    critical = 3.0 * (67.8e-3) ** 2 / (8.0 * np.pi * haloassay.G)  # H0 in km/s/kpc
    assert told["virial_density"] == pytest.approx(200.0 * critical, rel=1e-4)
    stars = read_catalogue(made.public / "halo-001.parquet")
    haloassay.measure(stars, "tracer-density", survey=told["survey"])


def test_what_no_observer_knows_is_not_told(values, tmp_path):
    del values["matrix"]
    wrong = {"distance_scale": 1.17, "vlos_offset": 13.7, "pm_error_scale": 1.37}
    values["survey"] |= wrong
    made = haloassay.challenge(values, tmp_path / "made", 1, ask=ASK)
    for path in made.public.glob("*.[jm]*"):
        for name, value in wrong.items():
            assert name not in path.read_text()
            assert str(value) not in path.read_text()


def test_what_differs_between_catalogues_is_not_told(values, tmp_path):
    values["matrix"]["factors"] = {"survey.magnitude_limits": [[11.0, 19.0], [11.0, 18.0]]}
    told = haloassay.challenge(values, tmp_path / "made", 1, ask=ASK).told
    assert "magnitude_limits" not in told["survey"]
    assert "footprint" in told["survey"]


def test_usual_questions_are_at_radii_of_the_stars(values, tmp_path):
    made = haloassay.challenge(values, tmp_path / "made", 1, seed=SEED)
    names = [question.quantity.name for question in made.questions]
    assert names == ["enclosed_mass"] * 5 + ["beta"] * 5 + ["m200"]
    radii = [question.r for question in made.questions[:5]]
    assert radii == sorted(radii)
    assert all(5.0 < r < 100.0 for r in radii)


def test_points_of_a_design_are_catalogues_each_with_its_own_truth(values, tmp_path):
    values["matrix"] = {
        "design": "joint",
        "factor": [
            {
                "label": "mass",
                "path": "mock.potential.m200",
                "prior": {"kind": "loguniform", "lo": 5e11, "hi": 2e12},
            }
        ],
    }
    made = haloassay.challenge(values, tmp_path / "made", seed=SEED, ask=["m200"])
    told = sealed(made)["catalogues"]
    assert {each["cell"] for each in told} == {"joint"}  # the base is of a run, for pairs
    assert len({each["truth"][0] for each in told}) > 1
    file = submit(tmp_path / "knowing.csv", knowing(made))
    results = made.score(file, out=tmp_path / "scored")
    points = results.points("joint", [each["realization"] for each in told])
    np.testing.assert_allclose(points["mass"], [each["truth"][0] for each in told], rtol=1e-5)


def test_catalogues_that_share_random_numbers_by_design_are_refused(values, tmp_path):
    values["matrix"] = {
        "design": "saltelli",
        "factor": [
            {
                "label": "scale",
                "path": "survey.distance_scale",
                "prior": {"kind": "uniform", "lo": 0.9, "hi": 1.1},
            }
        ],
    }
    with pytest.raises(InputError, match="share random numbers"):
        haloassay.challenge(values, tmp_path / "made")
    assert not list(tmp_path.iterdir())


def test_cells_of_estimators_are_one(values, tmp_path):
    values["estimators"] = [{"kind": "tracer-mass", "alpha": -3.5}]
    values["matrix"]["factors"] = {"estimators.tracer-mass.alpha": [-3.5, -4.0]}
    told = sealed(haloassay.challenge(values, tmp_path / "made", ask=ASK))
    assert [cell["cell"] for cell in told["cells"]] == ["base"]
    assert told["factors"] == []
    assert len(told["catalogues"]) == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_what_is_interrupted_leaves_nothing(values, tmp_path, monkeypatch, error):
    calls = []

    def write(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise error
        return haloassay.write_catalogue(*arguments)

    monkeypatch.setattr(challenges, "write_catalogue", write)
    with pytest.raises((KeyboardInterrupt, InputError)):
        haloassay.challenge(values, tmp_path / "made", ask=ASK)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_cleared_away(values, tmp_path):
    left = tmp_path / ".made.making" / "sealed"
    left.mkdir(parents=True)
    (left / "salt").write_text("old")
    made = haloassay.challenge(values, tmp_path / "made", 1, ask=ASK)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert sorted(path.name for path in made.folder.iterdir()) == ["public", "sealed"]
    assert sorted(path.name for path in made.sealed.iterdir()) == ["salt", "truth.json"]


def test_a_folder_that_is_there_is_not_touched(own, values, tmp_path):
    before = {path: path.read_bytes() for path in own.folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="is there already"):
        haloassay.challenge(values, own.folder, ask=ASK)
    file = submit(tmp_path / "knowing.csv", knowing(own))
    with pytest.raises(InputError, match="is there already"):
        own.score(file, out=own.folder)
    assert before == {path: path.read_bytes() for path in own.folder.rglob("*") if path.is_file()}
    (tmp_path / "empty").mkdir()
    assert haloassay.challenge(values, tmp_path / "empty", 1, ask=ASK).verify() == ()


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (["mass@10"], "unknown quantity 'mass'"),
        (["m200@10"], "is a number of the halo"),
        (["enclosed_mass"], "is asked for at radii"),
        (["beta@10", "beta@10.0"], "is asked for twice"),
        (["beta@ten"], "a radius is a number"),
        (["beta@-1"], "finite and above 0"),
        (["beta@10,"], "a radius is a number"),
        (["bic_gain"], "has no truth"),
        (["apex_offset@10"], "has no truth"),
        (["beta@500"], "there is no truth of beta at 500 kpc"),
        (["p_mr@10"], "there is no truth of p_mr at 10 kpc"),
    ],
)
def test_what_cannot_be_asked_is_refused(values, tmp_path, ask, words):
    with pytest.raises(InputError, match=words):
        haloassay.challenge(values, tmp_path / "made", 1, ask=ask)
    assert not list(tmp_path.iterdir())
