"""The registry of kinds: what is found under which name, and what stays the same when code moves."""

import dataclasses
import importlib.metadata
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import ClassVar

import numpy as np
import pytest

import haloassay
from haloassay.base import kinds
from haloassay.base.cache import content_key, plain_content
from haloassay.base.errors import InputError
from haloassay.estimators import make_estimator
from haloassay.mocks import make_mock
from haloassay.mocks.surveys.survey import make_survey

HALO = {
    "kind": "equilibrium",
    "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
    "density": {"kind": "power-law", "slope": -3.5},
    "beta": {"kind": "constant", "beta": 0.3},
}

#: What a distribution could offer as a survey.
SHALLOW = {"n_stars": 77, "distance_max": 20.0}


@dataclass(frozen=True)
class Steep:
    """A density of a third party."""

    kind: ClassVar[str] = "steep"
    version: ClassVar[int] = 3

    slope_outside: float = -5.0

    def log_density(self, r):
        """Logarithm of r^slope_outside."""
        return self.slope_outside * np.log(r)

    def slope(self, r):
        """Slope."""
        return np.full(np.shape(r), self.slope_outside)


@dataclass(frozen=True)
class Shapeless:
    """Nothing that could be a density."""


def offer(monkeypatch, *mine):
    """Let these be the entry points of our groups; those of others, which numba looks for, stay."""
    original = importlib.metadata.entry_points

    def entry_points(**wanted):
        if wanted.get("group", "").startswith("haloassay."):
            return tuple(entry for entry in mine if entry.group == wanted["group"])
        return original(**wanted)

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)


@pytest.fixture
def offered(monkeypatch):
    """Entry points of a distribution that offers kinds."""
    mine = (
        EntryPoint("steep", f"{__name__}:Steep", "haloassay.densities"),
        EntryPoint("shapeless", f"{__name__}:Shapeless", "haloassay.densities"),
        EntryPoint("shallow", f"{__name__}:SHALLOW", "haloassay.surveys"),
        EntryPoint("steep-survey", f"{__name__}:Steep", "haloassay.surveys"),
    )

    offer(monkeypatch, *mine)


@pytest.mark.parametrize("family", kinds.FAMILIES)
def test_everything_in_the_registry_is_there(family):
    for name in kinds.FAMILIES[family].builtin:
        assert kinds.find(family, name, family) is not None


def test_a_name_inside_a_class_is_the_one_of_the_registry():
    for family in ("debris", "cleans", "estimators"):
        for name in kinds.FAMILIES[family].builtin:
            cls = kinds.find(family, name, family)
            assert (getattr(cls, "kind", None) or cls.name) == name
            assert kinds.identity(cls) == {"kind": name, "version": cls.version}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("plummer", "here: expected a table with a key 'kind' (got 'plummer')"),
        ({"a": 9.0}, "here: key 'kind' is missing (allowed: broken-power-law, "),
        ({"kind": "plumer"}, "here: unknown density 'plumer'; did you mean 'plummer'? (allowed: "),
        (
            {"kind": ["plummer"]},
            "here: unknown density ['plummer']; did you mean 'plummer'? (allowed: ",
        ),
        ({"kind": "no_such_module:X"}, "here: density 'no_such_module:X' cannot be imported: "),
        ({"kind": "math:pi"}, "here: 'math:pi' is not a dataclass"),
        ({"kind": f"{__name__}:Shapeless"}, "is no density: it has no 'log_density'"),
    ],
)
def test_what_is_no_kind_is_refused_in_one_line(spec, expected):
    with pytest.raises(InputError) as caught:
        kinds.make("densities", spec, "here")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["steep", f"{__name__}:Steep"])
def test_a_density_of_another_distribution_can_be_mocked(name, offered):
    mock = make_mock({**HALO, "density": {"kind": name, "slope_outside": -4.2}})
    slope = mock.truth.tracers.density([20.0]) / mock.truth.tracers.density([10.0])
    assert np.log2(slope[0]) == pytest.approx(-4.2, abs=0.02)
    (population,) = plain_content(mock)["populations"]
    assert population["density"] == {"kind": "steep", "version": 3, "slope_outside": -4.2}


def test_a_survey_of_another_distribution_can_be_used_and_overridden(offered):
    assert "shallow" in kinds.names("surveys")
    survey = make_survey({"preset": "shallow", "n_stars": 5})
    assert (survey.n_stars, survey.distance_max) == (5, 20.0)
    with pytest.raises(InputError, match="is not a table of settings"):
        make_survey({"preset": "steep-survey"})


def offered_mock(spec, where):
    """Stars of a third party's making."""
    return make_mock({**HALO, "density": {"kind": "power-law", "slope": spec["slope"]}}, where)


def test_a_mock_of_another_distribution_is_listed_and_made(monkeypatch):
    mine = EntryPoint("theirs", f"{__name__}:offered_mock", "haloassay.mocks")
    offer(monkeypatch, mine)
    assert "theirs" in haloassay.list("mocks")
    assert "Stars of a third party's making." in haloassay.describe("theirs")
    assert (
        len(make_mock({"kind": "theirs", "slope": -4.0}).sample(9, np.random.default_rng(0))) == 9
    )


def test_a_kind_that_cannot_serve_is_refused_by_name(offered):
    with pytest.raises(InputError, match=r"density: .*:Shapeless' is no density"):
        make_mock({**HALO, "density": {"kind": "shapeless"}})


def test_the_key_of_a_component_does_not_know_where_its_code_stands():
    spec = {"kind": "jeans-3d", "bins": [5.0, 20.0, 60.0], "alpha": -3.5}
    for component in (
        make_mock(HALO),
        make_survey({"preset": "desi-kgiants"}),
        make_estimator(spec),
    ):
        content = plain_content(component)
        assert "haloassay" not in str(content)
        for cls in {type(component), *_classes(component)}:
            assert cls.__qualname__ not in str(content)


def test_a_version_is_part_of_the_key():
    class Later(Steep):
        version: ClassVar[int] = 4

    assert content_key(plain_content(Steep())) != content_key(plain_content(Later()))
    assert plain_content(Later())["version"] == 4


def test_settings_called_name_or_version_are_settings():
    @dataclass(frozen=True)
    class Named:
        name: str = "somebody"
        version: int = 7

    assert plain_content(Named("me", 8)) == {"name": "me", "version": 8}
    assert kinds.identity(Named) == {}


def _classes(component):
    """Classes of all dataclasses inside a component."""
    for field in dataclasses.fields(component):
        value = getattr(component, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if dataclasses.is_dataclass(item):
                yield type(item)
                yield from _classes(item)
