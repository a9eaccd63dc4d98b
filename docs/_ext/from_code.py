"""Directives whose text comes from the code, from packaged scenarios, and from measured tables."""

from __future__ import annotations

import abc
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from docutils import nodes
from docutils.parsers.rst import directives
from examples import COMPONENTS, KINDS
from public import PUBLIC, sort_of
from settings_of import Setting, docstring, plain, settings_of, toml
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from haloassay import scenarios
from haloassay.base import kinds
from haloassay.contracts import priors
from haloassay.contracts.quantities import QUANTITIES
from haloassay.face import cli
from haloassay.planning.claim import load_claim
from haloassay.planning.scenario import load_scenario

DOCS = Path(__file__).parents[1]
#: What a quantity is compared with, where that is a word.
WAYS = {
    "scalar": "a number of the halo",
    "profile": "at the radius",
    "bin": "of the stars of the bin",
    "sky": "a field over the sky",
}


class FromCode(SphinxDirective):
    """A directive that writes Markdown, of which the subclass says what."""

    optional_arguments = 1
    has_content = True

    @abc.abstractmethod
    def markdown(self) -> str:
        """Text of the directive."""

    def run(self) -> list[nodes.Node]:
        """Parse the text where the directive stands."""
        return self.parse_text_to_nodes(self.markdown(), allow_section_headings=True)


# ------------------------------------------------------------------------------------------ settings


def definitions(settings: Iterable[Setting]) -> str:
    """Write settings as a list of definitions: narrow enough for a phone, unlike a table of five columns."""
    return "\n".join(_definition(setting) for setting in settings)


def _definition(setting: Setting) -> str:
    given = setting.default if setting.default == "required" else f"default `{setting.default}`"
    unit = f" [{setting.unit}]" if setting.unit else ""
    lines = [f"`{setting.name}`", f": {setting.type}{unit}; {given}"]
    lines += [f"  {line}" for line in ("", *plain(setting.meaning).splitlines())]
    if setting.allowed:
        lines += ["", f"  *Allowed: {'; '.join(setting.allowed)}.*"]
    return "\n".join([*lines, ""])


def inner_tables(settings: Iterable[Setting], seen: set[type] | None = None) -> Iterator[str]:
    """Write the settings of the tables that settings may be, each once."""
    seen = set() if seen is None else seen
    for table in (table for setting in settings for table in setting.tables):
        if table in seen:
            continue
        seen.add(table)
        own = settings_of(table, COMPONENTS.get(table.__name__))
        users = ", ".join(f"`{s.name}`" for s in settings if table in s.tables)
        yield f"**The table {users}.** {plain(docstring(table)[0])}\n\n{definitions(own)}"
        yield from inner_tables(own, seen)


def component(cls: Any, example: Any = None, nested: bool = True) -> str:
    """Write what a class says of itself, its settings, and those of the tables in them."""
    own = settings_of(cls, example)
    text = [plain(docstring(cls)[0]), definitions(own)]
    return "\n\n".join([*text, *(inner_tables(own) if nested else ())])


class Settings(FromCode):
    """``{settings} module:Class``: the settings of one class, and of the tables in them."""

    option_spec = {"flat": directives.flag}  # noqa: RUF012 # as docutils has it

    def markdown(self) -> str:
        """Docstring and settings."""
        cls = kinds.load(self.arguments[0])
        return component(cls, COMPONENTS.get(cls.__name__), "flat" not in self.options)


class Kinds(FromCode):
    """``{kinds} family``: all kinds of a family, one after another."""

    def markdown(self) -> str:
        """Every kind with its settings."""
        return "\n\n".join(self._kind(name) for name in kinds_of(self.arguments[0]))

    def _kind(self, name: str) -> str:
        family = self.arguments[0]
        cls = priors.PRIORS[name] if family == "priors" else kinds.find(family, name, name)
        # a table that several kinds take stands at each: a reader looks at one
        return f"## {name}\n\n" + component(cls, KINDS.get(family, {}).get(name))


def kinds_of(family: str) -> tuple[str, ...]:
    """Names of all kinds of this package in a family."""
    return tuple(priors.PRIORS) if family == "priors" else tuple(kinds.FAMILIES[family].builtin)


class Presets(FromCode):
    """``{presets}``: what each preset of a survey sets."""

    def markdown(self) -> str:
        """Write a list of settings for each preset."""
        return "\n\n".join(self._preset(name) for name in kinds_of("surveys"))

    def _preset(self, name: str) -> str:
        preset = kinds.find("surveys", name, name)
        lines = [f"- `{key} = {toml(value)}`" for key, value in preset.items()]
        return f"## {name}\n\n" + ("\n".join(lines) or "Every star, exactly: the defaults above.")


# ---------------------------------------------------------------------------------------- estimators


def ads(bibcode: str) -> str:
    """Link to the paper of a bibcode."""
    return f"[{bibcode}](https://ui.adsabs.harvard.edu/abs/{bibcode.replace('&', '%26')})"


class Estimator(FromCode):
    """``{estimator} name``: paper, assumptions, needs and yields, from the class."""

    def markdown(self) -> str:
        """Write a list of facts."""
        cls = kinds.find("estimators", self.arguments[0], "docs")
        quantities = ", ".join(f"`{name}`" for name in cls.yields)
        published = f"`{toml(cls.published)}`" if cls.published else "its paper states no run"
        facts = {
            "Paper": ads(cls.reference),
            "Assumes": ", ".join(cls.assumes) or "nothing",
            "Needs": ", ".join(("position", *cls.needs)),
            "Gives": quantities,
            "As published": published,
        }
        return "\n".join(f"- **{key}**: {value}" for key, value in facts.items())


class EstimatorSettings(FromCode):
    """``{estimator-settings} name``: its settings and the tables in them."""

    def markdown(self) -> str:
        """Write settings without the docstring, which the page is written from."""
        name = self.arguments[0]
        own = settings_of(kinds.find("estimators", name, "docs"), KINDS["estimators"].get(name))
        return "\n\n".join([definitions(own), *inner_tables(own)])


class Choose(FromCode):
    """``{choose}`` and names of estimators: what each gives and assumes, and what was measured of it."""

    def markdown(self) -> str:
        """Write a table of the estimators in the content."""
        rows = ["| method | gives | on its own model | in a halo like ours |", "|---|---|---|---|"]
        for name in " ".join(self.content).split():
            cls = kinds.find("estimators", name, "docs")
            gives = ", ".join(dict.fromkeys(_family_of(each) for each in cls.yields))
            page = f"[{name}](estimators/{name}.md)"
            rows.append(f"| {page} | {gives} | {on_its_own(name)} | {in_a_halo(name)} |")
        assumed = "\n".join(
            f"- `{name}` assumes {', '.join(kinds.find('estimators', name, 'docs').assumes)}."
            for name in " ".join(self.content).split()
        )
        return "\n".join(rows) + f"\n\n{assumed}\n"


def _family_of(quantity: str) -> str:
    """Say what a quantity is about: components and axes are one thing to whoever chooses."""
    name = quantity.split(".")[0]
    for start in ("mean_v", "sigma", "kurtosis", "apex", "bulk", "feh"):
        if name.startswith(start):
            return {"mean_v": "means", "sigma": "dispersions", "bulk": "bulk motion"}.get(
                start, {"feh": "[Fe/H]"}.get(start, start)
            )
    short = {"enclosed_mass": "M(\\<r)", "v_c": "v_c", "beta": "β", "p_mr": "fractions"}
    correlated = "correlations" if name.endswith("correlation") else name
    return short.get(name, correlated)


def on_its_own(name: str) -> str:
    """Worst bias and mean coverage with 3000 stars of its own model, as the table of the calibration has them."""
    row = next(
        r for r in table_of("calibration")[1] if r[0] == f"`{name}`" and r[1].startswith("3000 ")
    )
    return f"{re.sub(r' [(][-+0-9.]+[)]; [0-9]+$', '', row[3])}; {row[4].split(',')[0]}"


def in_a_halo(name: str) -> str:
    """Range of the bias and of the coverage of M(<r), as the table of ``mass-estimators`` has them."""
    head, *rows = table_of("mass-estimators")[1]
    at = {key: head.index(key) for key in ("estimator", "quantity", "bias", "coverage 68 %")}
    mine = [
        r
        for r in rows
        if r[0] == "base" and r[at["estimator"]] == name and r[at["quantity"]].startswith("M(")
    ]
    if not mine:
        return "–"
    biases, covered = (
        sorted(float(r[at[key]].split()[0]) for r in mine) for key in ("bias", "coverage 68 %")
    )
    return f"{biases[0]:+.0f} to {biases[-1]:+.0f} %; {covered[0]:.2f} to {covered[-1]:.2f}"


# ------------------------------------------------------------------------------------ measured tables


def table_of(name: str) -> tuple[str, list[list[str]]]:
    """Command behind a measured table, and its rows, the head first."""
    text = (DOCS / "measured" / f"{name}.md").read_text("utf-8")
    command = re.search(r"<!-- (.*?) -->", text)
    assert command, f"{name}.md says by which command it was made"
    lines = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    rows = [re.split(r"(?<!\\)\|", line.strip()[1:-1]) for line in lines]
    return command[1], [[cell.strip() for cell in row] for row in rows]


class Measured(FromCode):
    """``{measured} file``: a table made by a command; some rows and columns of it where asked for."""

    option_spec = {  # noqa: RUF012 # as docutils has it
        "where": directives.unchanged,
        "columns": directives.unchanged,
    }

    def markdown(self) -> str:
        """Write the table, and the command that made it."""
        path = DOCS / "measured" / f"{self.arguments[0]}.md"
        self.env.note_dependency(str(path))
        command, (head, *rows) = table_of(self.arguments[0])
        if wanted := self.options.get("where"):
            rows = [row for row in rows if re.match(wanted, " | ".join(row))]
            if not rows:
                raise self.error(f"{path.name}: no row is like {wanted!r}")
        numbers = self.options.get("columns", "")
        columns = [int(k) for k in numbers.split()] or range(len(head))
        lines = [" | ".join(row[k] for k in columns) for row in (head, *rows)]
        lines.insert(1, " | ".join("---" for _ in columns))
        return "\n".join(f"| {line} |" for line in lines) + f"\n\nMade by `{command}`.\n"


# ---------------------------------------------------------------------------------------- scenarios


class ScenarioFile(FromCode):
    """``{scenario-file} name``: description, command and file of a packaged scenario."""

    def markdown(self) -> str:
        """Write the file, after what it is about."""
        name = self.arguments[0]
        scenario = load_scenario(name)
        paper = f"\n\nAfter {ads(scenario.reference)}." if scenario.reference else ""
        command = f"```console\nhaloassay run {name} --out {name}\n```"
        file = f"```toml\n{scenarios.path(name).read_text('utf-8').rstrip()}\n```"
        return f"{scenario.description.strip()}{paper}\n\n{command}\n\n{file}\n"


class ScenarioList(FromCode):
    """``{scenario-list}``: all packaged scenarios, with a link where there is a page."""

    def markdown(self) -> str:
        """Write a list of names and titles."""
        lines = []
        for name in scenarios.names():
            page = (DOCS / "gallery" / f"{name}.md").exists()
            label = f"[`{name}`]({name}.md)" if page else f"`{name}`"
            lines.append(f"- {label}: {load_scenario(name).title}")
        return "\n".join(lines)


class ClaimList(FromCode):
    """``{claim-list}``: all packaged claims: paper, statement, what would contradict it, and what is said of it."""

    def markdown(self) -> str:
        """Write an item each."""
        return "\n".join(f"- {self._item(name)}" for name in scenarios.claim_names())

    @staticmethod
    def _item(name: str) -> str:
        claim = load_claim(name).claim
        paper = ads(claim.paper) if re.match(r"\d{4}\S{15}$", claim.paper) else claim.paper
        against = f"Against it: {claim.contradicts}" if claim.contradicts else ""
        cannot = f"Cannot be tested here: {claim.untestable}." if claim.untestable else ""
        told = [claim.statement, f"({paper}, {claim.where}.)", against, claim.remark, cannot]
        return f"`{name}`: {' '.join(' '.join(filter(None, told)).split())}"


# ------------------------------------------------------------------------- quantities, commands, names


class Quantities(FromCode):
    """``{quantities}``: all quantities with unit, scale of errors, truth and definition."""

    def markdown(self) -> str:
        """Write a table."""
        rows = ["| quantity | unit | errors | truth | what it is |", "|---|---|---|---|---|"]
        for each in QUANTITIES.values():
            truth = WAYS.get(each.truth, "its own") if each.truth else "none"
            what = each.definition.replace("<", "\\<").replace("*", "\\*")
            rows.append(
                f"| `{each.name}` | {each.unit or 'none'} | {each.scale} | {truth} | {what} |"
            )
        return "\n".join(rows)


class Commands(FromCode):
    """``{commands}``: what every command says of itself."""

    def markdown(self) -> str:
        """Write the help of each."""
        group = cli.haloassay
        parent = click.Context(group, info_name="haloassay")
        return "\n\n".join(
            f"## {name}\n\n" + "\n\n".join(self._helps(name, command, parent))
            for name, command in sorted(group.commands.items())
        )

    def _helps(self, name: str, command: click.Command, parent: click.Context) -> Iterator[str]:
        """Write the help of a command, and of those in it."""
        with click.Context(command, info_name=name, parent=parent) as ctx:
            ctx.max_content_width = ctx.terminal_width = 88
            yield f"```text\n{command.get_help(ctx)}\n```"
            if isinstance(command, click.Group):
                for inner, each in sorted(command.commands.items()):
                    yield from self._helps(inner, each, ctx)


class PublicNames(FromCode):
    """``{public-names} module classes|functions|others``: public names with their types, from docstrings."""

    required_arguments = 2
    optional_arguments = 0

    def markdown(self) -> str:
        """One entry a name, as Sphinx's autodoc writes it."""
        module, wanted = self.arguments
        names = [
            n for n in sorted(PUBLIC[module].__all__, key=str.lower) if sort_of(module, n) == wanted
        ]
        entry = {
            "functions": ".. autofunction:: {}",
            "classes": ".. autoclass:: {}\n   :members:\n   :inherited-members: Exception, BaseModel",
            "exceptions": ".. autoexception:: {}",
            "modules": ".. automodule:: {}\n   :members:",
            "constants": ".. autodata:: {}\n   :no-value:",
        }[wanted]
        text = "\n\n".join(entry.format(f"{module}.{name}") for name in names)
        return f"```{{eval-rst}}\n{text}\n```"


DIRECTIVES: dict[str, type[FromCode]] = {
    "settings": Settings,
    "kinds": Kinds,
    "presets": Presets,
    "estimator": Estimator,
    "estimator-settings": EstimatorSettings,
    "choose": Choose,
    "measured": Measured,
    "scenario-file": ScenarioFile,
    "scenario-list": ScenarioList,
    "claim-list": ClaimList,
    "quantities": Quantities,
    "commands": Commands,
    "public-names": PublicNames,
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the directives."""
    for name, directive in DIRECTIVES.items():
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
