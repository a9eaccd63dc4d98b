"""`challenge make`, `check`, `score` and `verify`, as an organiser and participants call them."""

from __future__ import annotations

import contextlib
import csv
import json
import random
import re
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusing import refused
from seeds import shifted

import haloassay
from haloassay.base.errors import InputError
from haloassay.contracts.quantities import QUANTITIES
from haloassay.contracts.questions import numbered
from haloassay.io.submissions import COLUMNS, read_submission, template

HEAD = "catalogue,quantity,r,value,lo68,hi68,lo95,hi95,note"
GOOD = "halo-001,enclosed_mass,10,1e11,0.9e11,1.1e11,0.8e11,1.2e11,"


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    """Folder of a challenge of the small scenario."""
    out = tmp_path_factory.mktemp("challenge") / "made"
    haloassay.challenge(small, out, 6, ask=["enclosed_mass@10,20", "m200"])
    return out


def told(folder):
    return json.loads((folder / "public" / "challenge.json").read_text())


def answers(folder, path, bias, seed):
    """Submission of somebody who is off by so much, with errors of 5 per cent."""
    rng = random.Random(shifted(seed))
    truth = json.loads((folder / "sealed" / "truth.json").read_text())
    true = {
        (each["catalogue"], asked["name"], asked["r"]): x
        for each in truth["catalogues"]
        for asked, x in zip(truth["asked"], each["truth"], strict=True)
    }
    with (
        open(folder / "public" / "submission.csv", newline="") as blank,
        open(path, "w", newline="") as file,
    ):
        rows = csv.DictReader(blank)
        writer = csv.DictWriter(file, rows.fieldnames)
        writer.writeheader()
        for row in rows:
            r = float(row["r"]) if row["r"] else None
            x = true[row["catalogue"], row["quantity"], r] * (1.0 + bias + rng.gauss(0.0, 0.05))
            ends = {"lo68": 0.95 * x, "hi68": 1.05 * x, "lo95": 0.9 * x, "hi95": 1.1 * x}
            writer.writerow(row | {"value": x} | ends)
    return path


def test_a_challenge_from_its_making_to_the_table(made, call, tmp_path):
    good, bad = (
        answers(made, tmp_path / f"{name}.csv", bias, seed)
        for name, bias, seed in (("good", 0.0, 1), ("bad", 0.4, 2))
    )
    # a participant has the public folder, under any name
    shutil.copytree(made / "public", tmp_path / "downloaded")
    for place in (tmp_path / "downloaded", made):
        answer = call("challenge", "check", place, good, bad)
        assert (answer.code, answer.err) == (0, "")
        assert answer.text.splitlines() == [
            f"{file}: 36 of 36 numbers have a value" for file in (good, bad)
        ]
    out = tmp_path / "scored"
    scored = call("challenge", "score", made, good, bad, "--out", out)
    assert scored.code == 0, scored.err
    assert scored.text == call("table", out).text
    assert call("challenge", "score", made, good, bad).text == scored.text
    assert call("challenge", "score", made, good, "--full").text.count("20") > 0
    table = call("table", out, "--format", "csv", "--quantity", "m200").text
    rows = [*csv.DictReader(table.splitlines())]
    assert {row["estimator"] for row in rows} == {"good", "bad"}
    for row in rows:
        assert abs(float(row["bias"]) - (0.4 if row["estimator"] == "bad" else 0.0)) < 0.1
    figure = ("figure", out, "bias", "--quantity", "enclosed_mass", "--out", tmp_path / "b.pdf")
    assert call(*figure).code == 0
    verified = call("challenge", "verify", made)
    assert verified.code == 0
    assert told(made)["commitment"]["sha256"] in verified.text


def test_rank_knows_submissions_as_estimators(small, call, tmp_path):
    made = call("challenge", "make", small, "--out", tmp_path / "c", "-n", "12", "--ask", "m200")
    assert made.code == 0, made.err
    commitment = told(tmp_path / "c")["commitment"]["sha256"]
    assert made.text.splitlines()[0] == f"commitment (SHA-256): {commitment}"
    assert f"{tmp_path / 'c' / 'public'}: 24 catalogues, 1 number asked of each" in made.text
    files = [
        answers(tmp_path / "c", tmp_path / f"{name}.csv", bias, 3)
        for name, bias in (("near", 0.0), ("far", 0.4))
    ]
    assert call("challenge", "score", tmp_path / "c", *files, "--out", tmp_path / "s").code == 0
    ranked = call("rank", tmp_path / "s", "--quantity", "m200", "--by", "interval-score")
    assert ranked.code == 0, ranked.err
    lines = [line.split() for line in ranked.text.splitlines()]
    assert [line[0] for line in lines if line[1:2] in (["1"], ["2"])] == ["near", "far"]


def test_changed_truth_is_one_line_and_2_of_score_and_1_of_verify(made, call, tmp_path):
    shutil.copytree(made, tmp_path / "own")
    file = answers(made, tmp_path / "good.csv", 0.0, 1)
    path = tmp_path / "own" / "sealed" / "truth.json"
    path.write_bytes(path.read_bytes().replace(b'"truth":[', b'"truth":[1', 1))
    words = ("not the one that was committed to", "nothing was scored")
    out = ("--out", tmp_path / "scored")
    refused(call, tmp_path, "challenge", "score", tmp_path / "own", file, *out, words=words)
    answer = call("challenge", "verify", tmp_path / "own")
    assert (answer.code, answer.err) == (1, "")
    assert "not the one that was committed to" in answer.text


def test_what_is_no_challenge_is_refused(made, call, small, tmp_path):
    file = tmp_path / "x.csv"
    file.write_text(f"{HEAD}\n{GOOD}\n")
    refused(call, tmp_path, "challenge", "check", tmp_path, file, words=["no challenge"])
    refused(call, tmp_path, "challenge", "check", tmp_path / "none", file, words=["no challenge"])
    shutil.copytree(made / "public", tmp_path / "public")
    folder = tmp_path / "public"
    refused(call, tmp_path, "challenge", "verify", folder, words=["cannot be read"])
    refused(call, tmp_path, "challenge", "score", folder, file, words=["cannot be read"])
    place = folder / "challenge.json"
    whole = json.loads(place.read_text())
    for content in (
        *("", "[]", "{}", "[" * 100_000, json.dumps({**whole, "format": 99})),
        *(json.dumps({**whole, "catalogues": [{}]}), json.dumps({**whole, "asked": [{"r": 1}]})),
        json.dumps({**whole, "commitment": "abc"}),
    ):
        place.write_text(content)
        refused(call, tmp_path, "challenge", "check", folder, file, words=["challenge.json"])
    out = ("--out", tmp_path / "made")
    refused(call, tmp_path, "challenge", "make", small, "--out", made, words=["there already"])
    refused(call, tmp_path, "challenge", "make", small, *out, "--ask", "m", words=["--ask m"])
    refused(call, tmp_path, "challenge", "make", small, *out, "--seed", "-1", words=["seed"])
    refused(call, tmp_path, "challenge", "make", small, *out, "-n", "0", words=["realizations"])
    refused(call, tmp_path, "challenge", "make", "smoll", *out, words=["unknown scenario"])
    refused(call, tmp_path, "challenge", "make", small, *out, "--format", "xls", words=["xls"])


def test_two_submissions_of_one_name_are_refused(made, call, tmp_path):
    (tmp_path / "other").mkdir()
    one, two = tmp_path / "us.csv", tmp_path / "other" / "us.csv"
    for path in (one, two):
        path.write_text(f"{HEAD}\n{GOOD}\n")
    refused(call, tmp_path, "challenge", "score", made, one, two, words=["'us'", "another name"])


# ------------------------------------------------------------------------------------------ single rows

_BAD = {
    "unknown catalogue": (
        "halo-999,m200,,1e12,,,,,",
        ["line 3", "halo-999", "halo-001 to halo-012"],
    ),
    "unknown quantity": ("halo-001,m500,,1e12,,,,,", ["line 3", "unknown quantity 'm500'", "m200"]),
    "other radius": ("halo-001,enclosed_mass,15,1e11,,,,,", ["not asked for", "15", "10, 20"]),
    "no radius": ("halo-001,enclosed_mass,,1e11,,,,,", ["not asked for", "10, 20"]),
    "radius of a number": ("halo-001,m200,10,1e12,,,,,", ["not asked for", "none"]),
    "radius no number": ("halo-001,enclosed_mass,ten,1e11,,,,,", ["r: expected a number", "ten"]),
    "twice": (GOOD, ["line 3", "stands in line 2 already"]),
    "nan": ("halo-002,m200,,nan,,,,,", ["value is nan", "note"]),
    "infinite": ("halo-002,m200,,1e12,-inf,2e12,,,", ["lo68 is -inf"]),
    "words": ("halo-002,m200,,about 1e12,,,,,", ["value: expected a number", "about 1e12"]),
    "outside": ("halo-002,m200,,1e12,1.1e12,1.2e12,,,", ["intervals hold the value"]),
    "crossed": ("halo-002,m200,,1e12,0.5e12,2e12,0.9e12,1.5e12,", ["lo95 <= lo68 <= value"]),
    "one end": ("halo-002,m200,,1e12,0.9e12,,,,", ["one end of its 68"]),
    "interval alone": ("halo-002,m200,,,0.9e12,1.1e12,,,why", ["an interval and no value"]),
    "value and note": (
        "halo-002,m200,,1e12,,,,,too few stars",
        ["line 3", "m200 has a value and a note", "leave value and intervals empty"],
    ),
    "units of 1e12": ("halo-002,m200,,1.2,1,1.4,,,", ["no mass of a galaxy", "other units?"]),
    "fields": ("halo-002,m200,,1e12", ["line 3", "has 4 fields, the head has 9"]),
    "negative": ("halo-002,m200,,-1.5e11,,,,,", ["line 3", "m200 is a positive scale", "-1.5e+11"]),
    "open quote": (
        f'halo-002,m200,,1e12,,,,,"Jeans\n{GOOD}\nhalo-003,m200,,1e12,,,,,so" it is',
        ["line 3: is no CSV", "quotation mark is left open"],
    ),
    "closed later": (
        'halo-002,m200,,1e12,,,,,"Jeans\nhalo-003,m200,,1e12,,,,,"',
        ["line 3: is no CSV", "quotation mark is left open"],
    ),
    "open to the end": (
        'halo-002,m200,,1e12,,,,,"Jeans\nhalo-003,m200,,1e12,,,,,',
        ["line 3: is no CSV", "quotation mark is left open"],
    ),
    "open in the last": ('halo-002,m200,,1e12,,,,,"Jeans', ["line 3", "is left open"]),
    "long note": (f"halo-002,m200,,,,,,,{'x' * 501}", ["longer than 500"]),
}


@pytest.mark.parametrize("name", _BAD)
def test_a_bad_row_is_one_line_that_names_it(made, call, tmp_path, name):
    row, words = _BAD[name]
    file = tmp_path / "bad.csv"
    file.write_text(f"{HEAD}\n{GOOD}\n{row}\n")
    refused(call, tmp_path, "challenge", "check", made, file, words=["bad.csv", *words])
    out = ("--out", tmp_path / "out")
    refused(call, tmp_path, "challenge", "score", made, file, *out, words=words)


_FILES = {
    "empty": (b"", ["is empty"]),
    "blank": (b"\n\n  \n", ["is empty"]),
    "head alone": (HEAD.encode(), ["answers nothing"]),
    "binary": (b"PAR1\x00\x01\x02", ["zero bytes"]),
    "latin-1": (f"{HEAD}\n{GOOD}caf\xe9".encode("latin-1"), ["not UTF-8", "byte"]),
    "utf-16": (HEAD.encode("utf-16-le"), ["zero bytes"]),
    "semicolons": (HEAD.replace(",", ";").encode(), ["has no column catalogue"]),
    "no column": (HEAD.replace(",value", "").encode(), ["has no column value"]),
    "other column": (HEAD.replace("note", "comment").encode(), ["unknown column 'comment'"]),
    "column twice": (HEAD.replace("note", "value").encode(), ["'value' stands twice"]),
    "quote": (HEAD.encode() + b'\n"' + b"x" * 80_000, ["line"]),
    "huge": (HEAD.encode() + b"\n" * 3_000_000, ["longer than a submission can be"]),
    "unit": (
        f"unit,{HEAD}\n1e10 Msun,{GOOD}\n".encode(),
        ["line 2", "is wanted in Msun", "1e10 Msun"],
    ),
}


@pytest.mark.parametrize("name", _FILES)
def test_what_is_no_submission_is_one_line(made, call, tmp_path, name):
    content, words = _FILES[name]
    file = tmp_path / "bad.csv"
    file.write_bytes(content)
    refused(call, tmp_path, "challenge", "check", made, file, words=["bad.csv", *words])


def test_files_that_are_none_are_one_line(made, call, tmp_path):
    gone = ("challenge", "check", made, tmp_path / "gone.csv")
    refused(call, tmp_path, *gone, words=["gone.csv: cannot be read"])
    refused(call, tmp_path, "challenge", "check", made, tmp_path, words=["cannot be read"])


def test_what_may_be_left_out_may_be_left_out(made, call, tmp_path):
    """Byte order mark, ends of lines, intervals, other columns' order, blank lines, units that are right."""
    rows = [
        "\ufeffnote,hi68,lo68,value,r,quantity,catalogue,unit",
        ",,,1e12,,m200,halo-001,Msun",
        "",
        "too few stars,,,,,m200,halo-002,",
        ",,,,,m200,halo-003,Msun",
        " ,1.1e11 ,9e10,1e11,10.0,enclosed_mass, halo-001,",
    ]
    file = tmp_path / "few.csv"
    file.write_bytes("\r\n".join(rows).encode())
    answer = call("challenge", "check", made, file)
    assert (answer.code, answer.err) == (0, "")
    assert answer.text == (
        f"{file}: 2 of 24 numbers have a value; 1 undetermined; 21 missing, which count as failed; does not enter:"
        " enclosed_mass at 20 kpc\n"
    )


QUESTIONS = numbered([(QUANTITIES["enclosed_mass"], 10.0), (QUANTITIES["beta"], 10.0)])
NAMES = ("halo-001", "halo-002")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("halo-001,beta,10,1.2,1.1,1.3", "line 3: beta at 10 kpc is at most 1 (got 1.2)"),
        ("halo-001,beta,10,7,,", "line 3: beta at 10 kpc is at most 1 (got 7)"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_limit(tmp_path, row, words):
    path = tmp_path / "us.csv"
    path.write_text(f"catalogue,quantity,r,value,lo68,hi68\nhalo-002,beta,10,0.5,,\n{row}\n")
    with pytest.raises(InputError, match=re.escape(words)):
        read_submission(path, NAMES, QUESTIONS)


def test_limits_may_be_reached_and_intervals_of_a_symmetric_error_may_pass_them(tmp_path):
    """As those of estimators do, whose submissions have the scores of a run."""
    path = tmp_path / "us.csv"
    path.write_text(
        "catalogue,quantity,r,value,lo68,hi68\nhalo-001,beta,10,1.0,0.9,1.0\nhalo-002,beta,10,0.95,0.85,1.05\n"
    )
    assert len(read_submission(path, NAMES, QUESTIONS).answers) == 2


def test_the_template_is_a_submission_that_is_not_filled_in(tmp_path):
    text = template(NAMES, QUESTIONS)
    assert text.splitlines()[0] == ",".join(COLUMNS)
    assert len(text.splitlines()) == 1 + 4
    (tmp_path / "blank.csv").write_text(text)
    with pytest.raises(InputError, match="answers nothing"):
        read_submission(tmp_path / "blank.csv", NAMES, QUESTIONS)


def test_a_field_that_never_ends_is_one_line(tmp_path):
    names = [f"halo-{k:03d}" for k in range(100)]
    (tmp_path / "long.csv").write_text(f'{HEAD}\n"{"x" * 140_000}')
    with pytest.raises(InputError, match="line 2: is no CSV"):
        read_submission(tmp_path / "long.csv", names, QUESTIONS)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=4), st.integers(0, 3)), max_size=6)
)
def test_damaged_files_are_read_or_refused(tmp_path_factory, changes):
    """Whatever is overwritten in a good file, there is no other end."""
    rows = (
        template(NAMES, QUESTIONS)
        .replace(",Msun,", ",Msun,1e11")
        .replace("beta,10,,", "beta,10,,0.5")
    )
    data = bytearray(rows.encode())
    for at, content, left_out in changes:
        data[at : at + left_out] = content
    path = tmp_path_factory.getbasetemp() / "damaged.csv"
    path.write_bytes(bytes(data))
    with contextlib.suppress(InputError):
        assert read_submission(path, NAMES, QUESTIONS).answers
