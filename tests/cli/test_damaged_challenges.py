"""Whatever stands in the documents of a challenge: one line that says where, exit 2, and nothing written."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import shutil

import pytest
from refusing import refused, snapshot
from seeds import shifted

import haloassay

HEAD = "catalogue,quantity,r,value,lo68,hi68"


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    """Folder of a challenge whose catalogues are points of a design, with factors and priors."""
    out = tmp_path_factory.mktemp("challenge") / "made"
    text = small.read_text().split("[matrix]")[0] + (
        '[matrix]\ndesign = "latin-hypercube"\npoints = 4\nreplicates = 1\n'
        '[[matrix.factor]]\nlabel = "mass"\npath = "mock.potential.m200"\n'
        'prior = { kind = "uniform", lo = 5e11, hi = 1e12 }\n'
    )
    scenario = out.parent / "points.toml"
    scenario.write_text(text)
    haloassay.challenge(scenario, out, 4, ask=["enclosed_mass@10,20", "beta@20"])
    return out


@pytest.fixture
def own(made, tmp_path):
    """Copy of it, to be damaged, beside a submission."""
    shutil.copytree(made, tmp_path / "own")
    (tmp_path / "us.csv").write_text(f"{HEAD}\nhalo-001,enclosed_mass,10,1e11,0.9e11,1.1e11\n")
    return tmp_path / "own"


def told(folder):
    return json.loads((folder / "public" / "challenge.json").read_text())


def truth(folder):
    return json.loads((folder / "sealed" / "truth.json").read_text())


def publish(folder, document):
    (folder / "public" / "challenge.json").write_text(json.dumps(document))


def seal(folder, document):
    """Write a truth, and the commitment to it."""
    data = json.dumps(document).encode()
    (folder / "sealed" / "truth.json").write_bytes(data)
    public = told(folder)
    salt = (folder / "sealed" / "salt").read_bytes()
    before, after = public["commitment"]["sha256"], hashlib.sha256(salt + data).hexdigest()
    for name in ("challenge.json", "README.md"):
        path = folder / "public" / name
        path.write_text(path.read_text().replace(before, after))


def commands(folder):
    """The commands that read a challenge, as (arguments, whether they read the truth)."""
    file, out = folder.parent / "us.csv", folder.parent / "out"
    yield ("challenge", "check", folder, file), False
    yield ("challenge", "verify", folder), True
    yield ("challenge", "score", folder, file, "--out", out), True


def first(document, key):
    return document[key][0]


_TOLD = {
    "radius": (lambda d: first(d, "asked").update(r="x"), ["asked.0.r", "'x'"]),
    "negative radius": (lambda d: first(d, "asked").update(r=-1.0), ["asked.0.r"]),
    "nan radius": (lambda d: first(d, "asked").update(r=float("nan")), ["asked.0.r", "nan"]),
    "scale": (lambda d: first(d, "asked").update(name="m", scale="s"), ["asked.0.scale", "'s'"]),
    "name": (lambda d: first(d, "asked").update(name=None), ["asked.0.name"]),
    "surrogate": (lambda d: first(d, "asked").update(name="\ud800"), ["is not what"]),
    "no unit": (lambda d: first(d, "asked").pop("unit"), ["asked.0.unit is missing"]),
    "asked twice": (
        lambda d: d["asked"].append(d["asked"][0]),
        ["enclosed_mass at 10 kpc", "twice"],
    ),
    "nothing asked": (lambda d: d.update(asked=[]), ["asked"]),
    "no catalogue": (lambda d: d.update(catalogues=[]), ["catalogues"]),
    "catalogues": (lambda d: d.update(catalogues=5), ["catalogues", "5"]),
    "twice": (lambda d: d["catalogues"].append(d["catalogues"][0]), ["halo-001 stands twice"]),
    "elsewhere": (lambda d: first(d, "catalogues").update(file="../a.csv"), ["catalogues.0.file"]),
    "digest": (lambda d: first(d, "catalogues").update(sha256="x"), ["catalogues.0.sha256"]),
    "commitment": (lambda d: d["commitment"].update(sha256=1), ["commitment.sha256"]),
}
_TRUTH = {
    "words": (
        lambda d: first(d, "catalogues")["truth"].__setitem__(0, "abc"),
        ["truth.0", "'abc'"],
    ),
    "nan": (lambda d: first(d, "catalogues")["truth"].__setitem__(0, float("nan")), ["truth.0"]),
    "huge": (lambda d: first(d, "catalogues")["truth"].__setitem__(0, 10**400), ["truth.0"]),
    "mass": (lambda d: first(d, "catalogues")["truth"].__setitem__(0, -1.0), ["a positive scale"]),
    "beta": (lambda d: first(d, "catalogues")["truth"].__setitem__(2, 1.5), ["at most 1"]),
    "few": (lambda d: first(d, "catalogues")["truth"].pop(), ["halo-001: 2 truths, and 3"]),
    "realization": (lambda d: first(d, "catalogues").update(realization="zz"), ["realization"]),
    "n_stars": (lambda d: first(d, "catalogues").update(n_stars=1e30), ["n_stars", "1e+30"]),
    "many stars": (lambda d: first(d, "catalogues").update(n_stars=2**63), ["n_stars"]),
    "cell": (lambda d: first(d, "catalogues").update(cell="zz"), ["halo-001", "'zz'"]),
    "same draw": (
        lambda d: first(d, "catalogues").update(realization=d["catalogues"][1]["realization"]),
        ["a realisation of its cell that another one is"],
    ),
    "no scenario": (lambda d: d.pop("scenario"), ["scenario is missing"]),
    "scenario": (lambda d: d.update(scenario={}), ["scenario", "'name' is missing"]),
    "tolerance": (lambda d: d["scenario"].update(tolerance={"beta": -1.0}), ["scenario"]),
    "cells": (lambda d: d.update(cells=5), ["cells"]),
    "sampling": (lambda d: first(d, "cells")["sampling"].update(more=1), ["sampling.more"]),
    "points": (lambda d: first(d, "cells")["sampling"].update(design="sobol", points=3), ["power"]),
    "prior": (lambda d: first(d, "factors").update(prior={"kind": "odd"}), ["'mass'", "odd"]),
    "level": (lambda d: first(d, "cells")["factors"].update(mass="\ud800"), ["is not what"]),
    "factor": (lambda d: first(d, "factors").pop("label"), ["factors.0.label is missing"]),
}


@pytest.mark.parametrize("name", _TOLD)
def test_what_participants_are_told_is_read_or_refused(own, call, tmp_path, name):
    damage, words = _TOLD[name]
    document = told(own)
    damage(document)
    publish(own, document)
    for arguments, _ in commands(own):
        refused(call, tmp_path, *arguments, words=["challenge.json: is ", *words])


@pytest.mark.parametrize("name", _TRUTH)
def test_a_truth_that_was_committed_to_is_read_or_refused(own, call, tmp_path, name):
    damage, words = _TRUTH[name]
    document = truth(own)
    damage(document)
    seal(own, document)
    for arguments, reads in commands(own):
        if reads:
            refused(call, tmp_path, *arguments, words=["sealed/truth.json: ", *words])
        else:
            assert call(*arguments).code == 0


def test_a_scenario_is_read_as_from_a_file_where_it_says_the_same_in_fewer_words(own, call):
    """A tolerance of all quantities is a number there."""
    document = truth(own)
    document["scenario"]["tolerance"] = 0.1
    seal(own, document)
    for arguments, _ in commands(own):
        answer = call(*arguments)
        assert answer.code == 0, answer.err


_ODD = (None, True, -1, 0, 2**70, 1e308, float("inf"), "", "x", "\x1b[2J", "\ud800", [], {}, [[]])


def _leaves(value, path=()):
    """Paths of all values of a document."""
    yield path
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield from _leaves(value[key], (*path, key))


@pytest.mark.parametrize("document", ["told", "truth"])
def test_any_value_in_place_of_any_other_ends_well(own, call, tmp_path, document):
    """Whatever is replaced, no command ends but with 0, 1, 2 or 3, and what it refuses it leaves as it was."""
    read, write = (told, publish) if document == "told" else (truth, seal)
    good, public, rng = read(own), told(own), random.Random(shifted(5))
    paths = [path for path in _leaves(good) if path]
    for path in rng.sample(paths, min(120, len(paths))):
        changed, value = copy.deepcopy(good), rng.choice(_ODD)
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        publish(own, public)
        write(own, changed)
        for arguments, _ in commands(own):
            before = snapshot(tmp_path)
            answer = call(*arguments)
            assert answer.code in (0, 1, 2, 3), (path, value, arguments, answer.err)
            if answer.code == 2:
                assert snapshot(tmp_path) == before, (path, value)
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
