"""Files of expansions: what they say, and one clear line for each thing that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from haloassay.base.constants import GYR_PER_KPC_KMS
from haloassay.base.errors import InputError
from haloassay.mocks.gravity.expansion_files import read_source
from haloassay.mocks.gravity.expansion_text import time_table

COEFFICIENTS = (Path(__file__).parent / "agama_files" / "multipole.coef").read_text()
LIST = """## two snapshots
[Potential halo]
type=evolving
interpLinear=true
Timestamps
-1.5 early.pot
# the second
0 late.pot

[Potential LMC]
type=Evolving
center=path.txt
Timestamps
-1.5 early.pot
0 late.pot

[Potential disk]
type=Disk
mass=1e10
"""
SCF = "#S T n l m\n1.0 0.0 0 0 0\n0.1 0.0 0 1 0\n0.2 -0.3 0 1 1\n"
PLAIN = "# r l=0,m=0\n1 -9\n2 -8\n4 -6\n8 -4\n16 -2.4\n"
INDEX = """format = "{}"
time_unit = "Gyr"
{}snapshots = [{{ time = -1.0, file = "a.txt" }}, {{ time = 0.0, file = "a.txt" }}]
"""
BASIS = "r_s = 20.0\nmass = 1e10\n"


TABLES = "# a remark\n# r l=0,m=0\n# time -1.0\n" + PLAIN.partition("\n")[2]
TABLES += "# time 0.0\n1 -10\n2 -9\n4 -7\n8 -5\n"


@pytest.fixture
def list_file(tmp_path: Path) -> Path:
    for name in ("early.pot", "late.pot"):
        (tmp_path / name).write_text(COEFFICIENTS)
    (tmp_path / "potential.ini").write_text(LIST)
    return tmp_path / "potential.ini"


def index(folder: Path, form: str, content: str, more: str = "") -> str:
    (folder / "a.txt").write_text(content)
    (folder / "index.toml").write_text(INDEX.format(form, more))
    return str(folder / "index.toml")


def test_a_list_of_agama_has_times_in_its_unit(list_file: Path) -> None:
    source = read_source(f"{list_file}#halo")
    np.testing.assert_allclose(source.expansion.time, [-1.5 * GYR_PER_KPC_KMS, 0.0])
    assert source.expansion.highest == 3
    assert [path.name for path in source.files] == ["potential.ini", "early.pot", "late.pot"]
    assert source.centre is None
    centre = read_source(f"{list_file}#lmc").centre
    assert centre == list_file.parent / "path.txt"


def test_the_three_forms_of_an_index(tmp_path: Path, list_file: Path) -> None:
    same = read_source(f"{list_file}#halo").expansion.nodes[0]
    found = read_source(index(tmp_path, "multipole", COEFFICIENTS)).expansion
    np.testing.assert_array_equal(found.nodes[1], same)
    np.testing.assert_array_equal(found.time, [-1.0, 0.0])
    assert read_source(index(tmp_path, "table", PLAIN)).expansion.highest == 0
    assert read_source(index(tmp_path, "scf", SCF, BASIS)).expansion.highest == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: text[: len(text) // 3],
            r"line 1\d: (truncated: expected 16 radii|expected 17 numbers)",
        ),
        (lambda text: text[: text.index("#dPhi/dr")], "truncated: expected #dPhi/dr"),
        (lambda text: text.replace("gridSizeR=16", "gridSizeR=15"), "more radii than gridSizeR"),
        (
            lambda text: text.replace("gridSizeR=16", "gridSizeR=17"),
            r"line 25: truncated: expected 17 radii \(got 16\)",
        ),
        (lambda text: text.replace("gridSizeR=16\n", ""), "has no gridSizeR"),
        (lambda text: text.replace("lmax=3", "lmax=2"), "header has 16 harmonics, expected the 9"),
        (lambda text: text.replace("lmax=3", "lmax=x"), "line 4: lmax must be an integer"),
        (lambda text: text.replace("l=1,m=0", "l=1,m=1", 1), "expected l=1,m=0 as number 3"),
        (
            lambda text: text.replace("symmetry=None", "center=1,2,3"),
            "'center' cannot be followed here",
        ),
        (
            lambda text: text.replace("Multipole", "CylSpline"),
            r"\[Potential\] is of type cylspline: expansions are of type",
        ),
        (
            lambda text: re.sub(r"\n1\.0000000000000\t", "\n1.5\t", text, count=1),
            "radii of Phi and dPhi/dr differ",
        ),
        (lambda text: re.sub(r"\n1\.0000000000000\t", "\n500\t", text), "radii must rise"),
        (
            lambda text: re.sub(r"(\n1\.0000000000000\t)\S+", r"\1nan", text, count=1),
            "line 9: a number is not finite",
        ),
        (
            lambda text: re.sub(r"(\n1\.0000000000000\t)\S+", r"\1x", text, count=1),
            "line 9: expected a number",
        ),
        (lambda text: text + "7 8 9\n", "more than the 16 radii"),
        (lambda text: "x" + text, "line 1: expected a section"),
        (lambda _: "", "has no section"),
    ],
)
def test_coefficients_that_are_damaged(
    tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    changed = change(COEFFICIENTS)
    assert changed != COEFFICIENTS
    (tmp_path / "mw.coef").write_text(changed)
    with pytest.raises(InputError, match=message) as error:
        read_source(str(tmp_path / "mw.coef"))
    assert str(error.value).startswith(str(tmp_path / "mw.coef"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("#halo", "0 late.pot", "-1.5 late.pot", "line 8: times must rise"),
        ("#halo", "0 late.pot", "zero late.pot", "line 8: expected a time and a file"),
        ("#halo", "0 late.pot", "0", "line 8: expected a time and a file"),
        ("#halo", "0 late.pot", "0 gone.pot", "gone.pot: no such file"),
        ("#halo", "interpLinear=true", "scale=2", "'scale' cannot be followed here"),
        ("#lmc", "center=path.txt", "center=1,2,3", "center must be a file"),
        ("#disk", "", "", "of type disk: expansions are of type Evolving or Multipole"),
        ("", "", "", r"has several potentials: say which as FILE#NAME \(halo, LMC, disk\)"),
        ("#hallo", "", "", "has no .Potential hallo.; did you mean 'halo'"),
    ],
)
def test_lists_that_are_damaged(
    list_file: Path, name: str, old: str, new: str, message: str
) -> None:
    list_file.write_text(LIST.replace(old, new, 1) if old else LIST)
    with pytest.raises(InputError, match=message):
        read_source(f"{list_file}{name}")


@pytest.mark.parametrize(
    ("form", "more", "content", "message"),
    [
        ("table", "", PLAIN.replace("# r l=0,m=0\n", ""), "expected a header"),
        ("table", "", PLAIN.replace("-6", "-6 1"), r"line 4: expected 2 numbers \(got 3\)"),
        ("table", "", PLAIN.replace("4 -6", "2 -6"), "a.txt: radii must rise"),
        ("table", "", PLAIN.replace("-6", "inf"), "line 4: a number is not finite"),
        ("table", "", PLAIN[:22], "a.txt: an expansion needs 4 radii"),
        ("table", BASIS, PLAIN, "r_s is of format 'scf' only"),
        ("scf", "", SCF, "r_s must be positive with format 'scf'"),
        ("scf", BASIS, SCF.replace("n l m", "n l"), "expected a header '# S T n l m'"),
        ("scf", BASIS, SCF.replace("0 1 1", "0 1 0"), "n = 0, l = 1, m = 0 is there twice"),
        ("scf", BASIS, SCF.replace("0.1 0.0 0 1 0\n", ""), "n = 0, l = 1, m = 0 is missing"),
        ("scf", BASIS, SCF.replace("0 1 1", "0 1 2"), "line 4: n, l, m must be integers"),
        ("scf", BASIS, SCF.replace("0.2", "nan"), "line 4: a number is not finite"),
        ("fits", "", PLAIN, "format: expected 'multipole', 'table' or 'scf'"),
        ("table", "radius = 3\n", PLAIN, "unknown setting 'radius'"),
        ("table", "oops\n", PLAIN, "index.toml: "),
    ],
)
def test_an_index_or_its_snapshots_that_are_damaged(
    tmp_path: Path, form: str, more: str, content: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_source(index(tmp_path, form, content, more))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2\n", r"line 1: expected 4 or 7 numbers \(got 3\)"),
        ("0 1 2 3\n1 1 2 3 4 5 6\n", r"line 2: expected 4 numbers \(got 7\)"),
        ("0 1 2 3\n1 1 2 3\n1 1 2 3\n", "line 3: times must rise"),
        ("0 1 2 3\n1 1 2 3\n2 1 2 3\n", r"expected four times or more \(got 3\)"),
        ("0 1 2 nan\n", "line 1: a number is not finite"),
    ],
)
def test_a_path_that_is_damaged(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "path.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        time_table(tmp_path / "path.txt", 1.0, (4, 7))


def test_a_path_may_have_comments(tmp_path: Path) -> None:
    (tmp_path / "path.txt").write_text(
        "# t x y z\n\n" + "".join(f"{t} 1 2 3 # kpc\n" for t in range(5))
    )
    np.testing.assert_allclose(
        time_table(tmp_path / "path.txt", 2.0, (4, 7))[:, 0], 2.0 * np.arange(5)
    )


def test_plain_tables_at_several_times_in_one_file(tmp_path: Path) -> None:
    (tmp_path / "host.tables").write_text(TABLES)
    (tmp_path / "a.txt").write_text(PLAIN)
    found = read_source(str(tmp_path / "host.tables")).expansion
    np.testing.assert_allclose(found.time, [-1.0, 0.0])
    one = read_source(index(tmp_path, "table", PLAIN)).expansion
    np.testing.assert_array_equal(found.nodes[0], one.nodes[0])
    assert found.at(0.0).potential(4.0) == pytest.approx(-7.0, rel=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# r l=0,m=0\n", "", r"line 1: expected a header"),
        ("# time 0.0", "# r l=0,m=0", r"line 9: a second header"),
        ("# time 0.0", "# time -2.0", r"line 9: times must rise \(-2 follows -1\)"),
        ("# time 0.0", "# time soon", r"line 9: expected a number \(got 'soon'\)"),
        ("# time -1.0\n", "", r"line 3: expected a line '# time T' before"),
        ("8 -5\n", "8\n", r"line 13: expected 2 numbers"),
        ("8 -5\n", "", r"at the time 0: an expansion needs 4 radii"),
        ("4 -7", "2 -7", r"at the time 0: radii must rise"),
        ("1 -10\n2 -9\n4 -7\n8 -5\n", "", r"truncated: no radius after the time 0"),
    ],
)
def test_plain_tables_that_are_damaged(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "host.tables"
    assert old in TABLES
    file.write_text(TABLES.replace(old, new))
    with pytest.raises(InputError, match=message) as error:
        read_source(str(file))
    assert "host.tables" in str(error.value)
    assert "\n" not in str(error.value)
