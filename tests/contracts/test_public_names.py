"""Every public name is seen by `dir`, `help` and type checkers, with its types."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import haloassay

PLACE = Path(haloassay.__file__).parent
#: Of the stub, which type checkers read: what is said to be public.
STUB = ast.parse((PLACE / "__init__.pyi").read_text(encoding="utf-8"))
NAMES = sorted(
    name.asname for node in STUB.body if isinstance(node, ast.ImportFrom) for name in node.names
)
#: A user's file: each line, and what a type checker has to say of it ("" if nothing).
CHECKED = {
    "import haloassay": "",
    'results = haloassay.run("quickstart", out="x", realizations=10)': "",
    'frame = results.table().query("n > 3")': "",
    'stars = haloassay.read_catalogue("galpy:mw-globular-clusters", drop="nan")': "",
    'estimates = haloassay.measure(stars, "tracer-mass", alpha=-3.5, seed=3)': "",
    "values: list[float] = [row.value for row in estimates]": "",
    'made = haloassay.mock("quickstart", n="all")': "",
    "mass: float = made.truth.m200": "",
    "radii: float = made.catalogue.r.max()": "",
    'text: str = haloassay.describe("jeans-3d")': "",
    "version: str = haloassay.__version__": "",
    'haloassay.run(3, out="x")': "arg-type",
    'haloassay.run("quickstart", out="x", nonsense=True)': "call-arg",
    'haloassay.run("quickstart")': "call-arg",
    'haloassay.run("quickstart", out="x", mode="again")': "arg-type",
    "results.tabel()": "attr-defined",
    'haloassay.measure(stars, "tracer-mass", seed="x")': "arg-type",
    'haloassay.mock("quickstart", n="every")': "arg-type",
    'haloassay.Estimate("sigma_r", "fast")': "arg-type",
    'number: int = haloassay.describe("jeans-3d")': "assignment",
    "haloassay.nonsense": "attr-defined",
}
#: The types of other libraries take long to read, and are not what is looked at.
SETTINGS = """
[mypy]
strict = true
hide_error_codes = false
error_summary = false
[mypy-numpy.*,pandas.*,scipy.*,numba.*,matplotlib.*,pydantic.*,rich.*,jinja2.*,click.*,pebble.*]
follow_imports = skip
follow_imports_for_stubs = true
"""


def test_dir_and_all_have_every_public_name():
    assert set(NAMES) <= set(dir(haloassay))
    assert sorted(haloassay.__all__) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_says_what_it_is(name):
    found = getattr(haloassay, name)
    assert name == "G" or inspect.getdoc(found)
    if inspect.isfunction(found):
        assert "Any" not in str(inspect.signature(found).return_annotation)


def test_help_shows_every_public_name_and_its_types():
    text = pydoc.plain(pydoc.render_doc(haloassay))
    for name in NAMES:
        assert name in text, name
    assert "realizations: 'int | None' = None" in text


def test_types_are_shipped():
    assert (PLACE / "py.typed").exists()
    assert importlib.util.find_spec("haloassay").origin == str(PLACE / "__init__.py")


def test_a_type_checker_finds_what_is_wrong_in_a_users_file(tmp_path, pytestconfig):
    pytest.importorskip("mypy")
    file = tmp_path / "user.py"
    file.write_text("\n".join(CHECKED) + "\n")
    settings = tmp_path / "mypy.ini"
    settings.write_text(SETTINGS)
    kept = pytestconfig.cache.mkdir("mypy") if hasattr(pytestconfig, "cache") else tmp_path
    command = ["-m", "mypy", "--config-file", settings, "--cache-dir", kept, file.name]
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    found = {n: set() for n in range(1, len(CHECKED) + 1)}
    for line in done.stdout.splitlines():
        place, kind, message = line.split(": ", 2)
        if kind == "error":
            found[int(place.split(":")[1])].add(message.rpartition("[")[2].rstrip("]"))
    told = dict(zip(CHECKED, found.values(), strict=True))
    assert told == {line: {code} - {""} for line, code in CHECKED.items()}
