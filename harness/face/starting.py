"""A scenario to start from: the command `init`, and the text of a scenario with all its settings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from haloassay.base.errors import InputError
from haloassay.face import completion
from haloassay.face.endings import echo
from haloassay.face.outputs import require_writable, write
from haloassay.face.plugins import no_plugins

if TYPE_CHECKING:
    from haloassay.planning.anatomy import Part
    from haloassay.planning.scenario import Scenario

_WIDTH: Final = 100
#: Keys of a halo's table that choose a kind, beside the settings of its classes.
_CHOSEN: Final = {
    "kind": "What makes the stars (haloassay list mocks).",
    "potential": "Mass: a table with a kind, or a list whose sum it is (haloassay list potentials).",
    "density": "Density of the tracers (haloassay list densities).",
    "beta": "Anisotropy beta(r) of their velocities (haloassay list betas).",
    "distribution": "Distribution function (haloassay list distributions).",
    "populations": "Several populations in one potential (haloassay describe populations).",
    "debris": "Streams, mergers, contaminants (haloassay list debris).",
    "lmc": "The Large Magellanic Cloud (haloassay describe lmc).",
    "population": "How a population that takes orbits is made (haloassay describe population).",
    "painted": "Mean velocities on top (haloassay describe painted).",
    "preset": "A survey whose settings those below replace (haloassay list surveys).",
    "label": "What results call the estimator; needed where one kind stands twice.",
    "as_published": "Whether the settings are those of the paper's own run.",
}
_MATRIX: Final = """\
# What is varied: every setting can be, by its path (docs/reference/scenario.md).
# [matrix]
# design = "one-at-a-time"
# factors."survey.distance_scale" = [0.9, 1.0, 1.1]
"""


def init(name: str, template: str = "quickstart") -> Path:
    """Write ``NAME.toml``, a commented scenario that runs, and return its path.

    Parameters
    ----------
    name
        Of the scenario and its file, which may stand in a folder.
    template
        Scenario to start from: a packaged name or a file.

    Raises
    ------
    InputError
        If the file is there already or cannot be written, or the template is no scenario.
    """
    from haloassay.planning.scenario import load_scenario

    path = Path(name if name.endswith(".toml") else f"{name}.toml")
    if not path.stem or path.name == ".toml":
        raise InputError("init: the name is empty")
    if path.exists():
        raise InputError(f"{path}: is there already; choose another name")
    require_writable({"NAME": path})
    scenario = load_scenario(template)
    write(commented(scenario, path), path)
    return path


@click.command(name="init")
@no_plugins
@click.argument("name")
@click.option(
    "--from",
    "template",
    default="quickstart",
    show_default=True,
    shell_complete=completion.scenario_names,
    help="Scenario to start from.",
)
def init_command(name: str, template: str) -> None:
    """Write NAME.toml, a scenario whose comments say what each setting is; it runs as it is."""
    path = init(name, template)
    echo(f"{path}: haloassay run {path} --out {path.stem}")


def resolved_text(values: Mapping[str, Any]) -> str:
    """Text of a scenario with every setting written out, defaults and presets too: a scenario file again."""
    from haloassay.planning.anatomy import with_defaults
    from haloassay.planning.scenario import make_scenario
    from haloassay.planning.writing import to_toml

    return to_toml(with_defaults(make_scenario(values)))


def commented(scenario: Scenario, path: Path) -> str:
    """Text of a scenario with a comment above each of its settings, and those that it leaves to their defaults.

    Parameters
    ----------
    scenario
        To be written.
    path
        File that it is for, whose name it gets.
    """
    from haloassay.planning.anatomy import parts_of, with_defaults
    from haloassay.planning.expansion import tables_of
    from haloassay.planning.writing import to_toml

    named = scenario.revise(name=path.stem, description="")
    parts = {part.path: part for part in parts_of(tables_of(with_defaults(named)))}
    lines = [
        f"# A scenario of haloassay, begun from {scenario.name}: haloassay run {path.name} --out {path.stem}",
        '# A line such as "# seed = 0" is a setting with its default. Units: kpc, km/s, Msun, mas/yr, deg, Gyr.',
        "",
        *_top(named),
        *_section("[mock]", named.mock, "mock", parts),
        *_section("[survey]", named.survey, "survey", parts),
    ]
    for k, step in enumerate(named.clean):
        lines += _section("[[clean]]", step, f"clean.{k}", parts)
    for entry in named.estimators:
        own = {"label": entry.label} if entry.label != entry.kind else {}
        lines += _section("[[estimators]]", entry.spec | own, f"estimators.{entry.label}", parts)
    _, has_matrix, matrix = to_toml(named).partition("\n[matrix]\n")
    lines += ["", f"[matrix]\n{matrix}" if has_matrix else _MATRIX]
    return "\n".join(lines).rstrip() + "\n"


def _top(scenario: Scenario) -> Iterator[str]:
    """Lines of the keys that stand above all tables."""
    from haloassay.planning.anatomy import meanings
    from haloassay.planning.scenario import Scenario as Class
    from haloassay.planning.writing import toml_value

    told, defaults = meanings(Class), Class.model_fields
    values = scenario.to_dict()
    said = ""
    for name in ("name", "title", "reference", "realizations", "seed", "timeout", "tolerance"):
        yield from _comment(told.get(name, "") if told.get(name) != said else "")
        said = told.get(name, "")
        default = defaults[name].get_default(call_default_factory=True)
        unset = values[name] == default and name != "realizations"
        shown = 0.05 if name == "tolerance" and unset else values[name]
        yield f"{'# ' if unset else ''}{name} = {toml_value(shown)}"


def _section(
    head: str, table: Mapping[str, Any], path: str, parts: Mapping[str, Part]
) -> list[str]:
    """Lines of a table: what it has, and what it leaves to defaults."""
    from haloassay.planning.anatomy import REQUIRED
    from haloassay.planning.writing import toml_value

    part = parts.get(path)
    told = {setting.name: setting for setting in part.settings} if part else {}
    lines = ["", head]
    if part and "." in part.name:
        lines += _comment(
            f"Settings of {part.name.partition('.')[2]}: haloassay describe says more."
        )
    for name, value in table.items():
        meaning = told[name].meaning if name in told else _CHOSEN.get(name, "")
        lines += _comment(meaning)
        lines += _nested(f"{path}.{name}", parts)
        lines.append(f"{name} = {toml_value(value)}")
    said = ""
    for setting in told.values():
        if setting.name in table or setting.default is REQUIRED:
            continue
        if setting.meaning != said:
            lines += _comment(setting.meaning)
        said = setting.meaning
        value = part.table.get(setting.name, setting.default) if part else setting.default
        lines.append(
            f"# {setting.name}: not set"
            if value is None
            else f"# {setting.name} = {toml_value(value)}"
        )
    return lines


def _nested(path: str, parts: Mapping[str, Part]) -> Iterator[str]:
    """Lines about the settings of tables within a value."""
    for place, part in parts.items():
        if place == path or place.startswith(f"{path}."):
            for setting in part.settings:
                where = part.name.rpartition(".")[2]
                yield from _comment(f"{where}, {setting.name}: {setting.meaning}", "    ")


def _comment(text: str, indent: str = "") -> list[str]:
    start = f"# {indent}"
    return textwrap.wrap(
        text, _WIDTH, initial_indent=start, subsequent_indent=start, break_long_words=False
    )
