"""Pages that link to what is there, and say what the code says; `tox -e docs` builds them."""

from __future__ import annotations

import dataclasses
import re
import sys
import tomllib
from pathlib import Path

import pytest

from haloassay.base import kinds
from haloassay.contracts import priors

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
ESTIMATORS = [*kinds.FAMILIES["estimators"].builtin]
sys.path.insert(0, str(DOCS / "_ext"))  # what the site is built with

import examples  # noqa: E402
import public  # noqa: E402
import settings_of  # noqa: E402


def prose(page):
    """Text without code, where brackets are no links."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "`code`", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    for link in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", prose(page)):
        assert re.match("https://", link) or (page.parent / link).is_file(), link


def test_the_readme_has_what_ci_runs():
    commands = re.findall(r"^python -m pip .*", (ROOT / ".ci/run").read_text("utf-8"), re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        command = command.split(" 2>&1")[0]
        assert f"\n{command}\n" in (ROOT / "README.md").read_text("utf-8")


def test_the_readme_shows_a_picture_and_how_it_is_made():
    text = (ROOT / "README.md").read_text("utf-8")
    (picture,) = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert (ROOT / picture).read_bytes().startswith(b"\x89PNG")
    assert (ROOT / picture).stat().st_size < 150_000
    (script,) = re.findall(r"python (docs/\S+\.py)", text)
    assert (ROOT / script).is_file()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_estimator_without_a_page(name):
    page = (DOCS / "estimators" / f"{name}.md").read_text("utf-8")
    directives = {
        *(f"{{{each}}} {name}" for each in ("estimator", "estimator-settings")),
        f':where: "`{name}`"',
    }
    assert directives <= set(re.findall(r"\{estimator.*|:where:.*", page))
    assert page.index("## Equations") < page.index("$$") or name == "sky-map"
    assert f"\n{name}\n" in (DOCS / "estimators/index.md").read_text("utf-8")
    assert re.search(rf"\b{name}\b", (DOCS / "choose.md").read_text("utf-8"))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_was_measured(name):
    table = (DOCS / "measured/calibration.md").read_text("utf-8")
    assert {"300", "3000", "30000"} <= set(
        re.findall(rf"^\| `{name}` \| (\d+) ", table, re.MULTILINE)
    )


@pytest.mark.parametrize("table", sorted((DOCS / "measured").iterdir()), ids=lambda t: t.name)
def test_a_measured_table_names_its_command(table):
    (command,) = re.findall(r"\A<!-- (.*) -->\n", table.read_text("utf-8"))
    for script in re.findall(r"python (\S+)", command):
        assert (ROOT / script).is_file()
    used = "\n".join(page.read_text("utf-8") for page in PAGES)
    assert f"{{measured}} {table.stem}\n" in used


def directives():
    """All that the reference makes from the code: directive and argument."""
    pages = "\n".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
    return re.findall(r"```\{([\w-]+)\} ?(.*)", pages)


@pytest.mark.parametrize("family", [*kinds.FAMILIES, "priors"])
def test_the_reference_has_every_family(family):
    if family == "mocks":
        text = (DOCS / "reference/mock.md").read_text("utf-8")
        assert all(f"`{kind}`" in text for kind in kinds.FAMILIES[family].builtin)
    elif family == "surveys":
        assert ("presets", "") in directives()
    elif family != "estimators":  # of which each has a page
        assert ("kinds", family) in directives()


def classes():
    """Everything with settings, and settings that make one."""
    for family in kinds.FAMILIES:
        if family not in ("mocks", "surveys"):
            for kind in kinds.FAMILIES[family].builtin:
                example = examples.KINDS.get(family, {}).get(kind)
                yield kinds.find(family, kind, kind), example
    yield from ((prior, examples.KINDS["priors"][kind]) for kind, prior in priors.PRIORS.items())
    for directive, target in directives():
        if directive == "settings":
            cls = kinds.load(target)
            yield cls, examples.COMPONENTS.get(cls.__name__)


@pytest.mark.parametrize(
    ("cls", "example"), [*classes()], ids=lambda each: getattr(each, "__name__", "")
)
def test_every_setting_has_a_type_and_a_meaning(cls, example):
    found = settings_of.settings_of(cls, example)
    names = (
        [f.name for f in dataclasses.fields(cls) if f.init]
        if dataclasses.is_dataclass(cls)
        else cls.model_fields
    )
    assert [setting.name for setting in found] == [*names]
    for setting in found:
        assert setting.type, setting.name
        assert setting.meaning, setting.name


def test_keys_of_a_mock_are_in_the_reference():
    from haloassay.mocks.assembly import _KNOWN
    from haloassay.mocks.halo import Sampling
    from haloassay.mocks.populations import Composition

    made = {*Sampling.__dataclass_fields__, *Composition.__dataclass_fields__}
    text = (DOCS / "reference/mock.md").read_text("utf-8")
    heads = re.findall(r"^(`.*)\n: ", text, re.MULTILINE)
    assert made | {"kind"} | set(re.findall(r"`(\w+)`", " ".join(heads))) >= _KNOWN
    shown = {target.split(":")[1] for directive, target in directives() if directive == "settings"}
    assert {"Sampling", "Composition", "LMC", "PopulationSettings", "PaintedField"} <= shown
    assert {"DeformingPair", "Index"} <= shown


def test_ranges_are_what_the_code_refuses():
    from haloassay.mocks.lmc.trajectory import LMC

    mass = {setting.name: setting for setting in settings_of.settings_of(LMC)}["mass"]
    assert (mass.type, mass.unit, mass.default) == ("number", "Msun", "1.5e11")
    assert mass.allowed == ("0 to 2.5e+11 Msun",)
    (sampler,) = (
        setting
        for setting in settings_of.settings_of(
            kinds.find("estimators", "power-law-df", "test"), {"alpha": -3.5}
        )
        if setting.name == "sampler"
    )
    assert sampler.type == '`"importance"` or `"quadrature"` or `"emcee"`'


@pytest.mark.parametrize("module", public.PUBLIC)
def test_every_public_name_is_in_the_reference(module):
    shown = {
        tuple(argument.split())
        for directive, argument in directives()
        if directive == "public-names"
    }
    for name in public.PUBLIC[module].__all__:
        assert (module, public.sort_of(module, name)) in shown, name
        assert getattr(public.PUBLIC[module], name).__doc__ or name == "G"


def project():
    """What pyproject.toml states."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def split(requirement):
    """Name and limits of a requirement."""
    return re.match(r"([\w-]+)(.*)", requirement).groups()


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {project()['project']['version']}\n" in text


def test_the_recipe_asks_for_what_the_package_does():
    text = (ROOT / "conda/recipe.yaml").read_text("utf-8")
    assert f"\n  version: {project()['project']['version']}\n" in text
    elsewhere = {
        "matplotlib-base": "matplotlib",
        "python-duckdb": "duckdb",
        "lazy_loader": "lazy-loader",
    }
    host, run = (
        {
            elsewhere.get(name, name): limits
            for name, limits in re.findall(r"^    - (\S+) ?(.*)$", part, re.MULTILINE)
        }
        for part in text.split("host:")[1].split("tests:")[0].split("  run:")
    )
    wanted = dict(map(split, project()["project"]["dependencies"]))
    assert run == wanted | {"python": ">=${{ python_min }}"}
    built = dict(map(split, project()["build-system"]["requires"]))
    assert host.items() >= built.items()
