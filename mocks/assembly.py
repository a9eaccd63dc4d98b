"""Mocks composed from a scenario's table: a halo and, where wanted, its evolution, a painted field, and debris."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from haloassay.base.errors import InputError
from haloassay.base.settings import build, require, unknown
from haloassay.mocks.debris.contaminated import ContaminatedMock
from haloassay.mocks.debris.debris import make_debris
from haloassay.mocks.debris.surroundings import Surroundings
from haloassay.mocks.equilibria.distributions import DEFAULT
from haloassay.mocks.equilibria.relaxation import PopulationSettings
from haloassay.mocks.evolved import WIDEST_KEPT, EvolvedHalo
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.mocks.halo import Halo, Sampling
from haloassay.mocks.history.accreted import make_accreted
from haloassay.mocks.lmc.deforming import DeformingPair
from haloassay.mocks.lmc.kinds import LMCS, RIGID
from haloassay.mocks.lmc.perturber import Perturber
from haloassay.mocks.lmc.trajectory import LMC
from haloassay.mocks.painted import PaintedField, PaintedMock
from haloassay.mocks.populations import Composition, make_populations

if TYPE_CHECKING:
    from haloassay.mocks import Mock

T = TypeVar("T")

#: Keys of a mock's table: its own, and those that all its populations share.
_KNOWN: Final = frozenset(
    [
        *("kind", "potential", "density", "beta", "distribution", "populations"),
        *("lmc", "population", "painted", "debris"),
        *Sampling.__dataclass_fields__,
        *Composition.__dataclass_fields__,
    ]
)


def make_halo(spec: Mapping[str, Any], where: str) -> Mock:
    """Mock of a table with the keys kind, potential, those of :class:`Sampling`, and of one population or several.

    Further keys: ``shape`` and ``lmc`` follow the stars through a field that is not round or not static, and
    ``population`` says how many, for how long; ``painted`` adds a mean velocity field, ``debris`` other stars.
    """
    for key in spec:
        if key not in _KNOWN:
            raise unknown("setting", key, _KNOWN, where)
    rest = dict(spec)
    painted = _table(PaintedField, rest, "painted", where)
    debris = rest.pop("debris", None)
    lmc = _lmc(rest, where)
    settings = _table(PopulationSettings, rest, "population", where)
    halo = _make_halo(rest, where, lmc)
    shapes = {
        k: population.composition.shape
        for k, population in enumerate(halo.populations)
        if population.composition.shape is not None
    }
    mock: Mock = halo
    evolved = bool(shapes or lmc or settings)
    if evolved:
        require(
            halo.kind == "equilibrium",
            f"{where}: shape, lmc and population need kind = 'equilibrium' (got {halo.kind!r})",
        )
        lo, hi = halo.sampling.r_range
        require(
            hi / lo <= WIDEST_KEPT,
            f"{where}.r_range: that of a stored population may span a factor of {WIDEST_KEPT:.3g} (got {[lo, hi]})",
        )
        mock = EvolvedHalo(halo, shapes, lmc, settings or PopulationSettings())
    if painted:
        mock = PaintedMock(mock, painted)
    around = Surroundings(halo.potential, halo.sampling.r_range, not evolved, lmc)
    return _with_debris(mock, debris, around, where)


def make_built(spec: Mapping[str, Any], where: str) -> Mock:
    """Mock of a table with the settings of a halo that mergers built, and ``debris``, which is mixed in."""
    rest = dict(spec)
    debris = rest.pop("debris", None)
    mock = make_accreted(rest, where)
    around = Surroundings(mock.potential, mock.r_range, monopole=True, lmc=mock.lmc)
    return _with_debris(mock, debris, around, where)


def _with_debris(mock: Mock, listed: Any, around: Surroundings, where: str) -> Mock:
    """Mock with the debris of a list of tables, or as it is where there is none."""
    if listed is None:
        return mock
    made = make_debris(listed, f"{where}.debris")
    own = {origin.name for origin in mock.origins}
    for each in made:
        require(
            each.origin.name not in own,
            f"{where}.debris: the name {each.origin.name!r} is that of a population (give it another 'name')",
        )
    return ContaminatedMock(mock, made, around)


def _table(cls: type[T], rest: dict[str, Any], key: str, where: str) -> T | None:
    """Take a table of settings out of ``rest`` and build them; None where there is none."""
    table = rest.pop(key, None)
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise InputError(f"{where}.{key}: expected a table (got {table!r})")
    return build(cls, table, f"{where}.{key}")


def _lmc(rest: dict[str, Any], where: str) -> Perturber | None:
    """Take the LMC out of ``rest``, rigid unless its kind says that it is one of expansions."""
    table = rest.get("lmc")
    kind = table.get("kind", RIGID) if isinstance(table, Mapping) else RIGID
    if kind not in LMCS:
        raise unknown("kind of LMC", kind, LMCS, f"{where}.lmc")
    if isinstance(table, Mapping):
        rest["lmc"] = {key: value for key, value in table.items() if key != "kind"}
    if kind == RIGID:
        return _table(LMC, rest, "lmc", where)
    pair = _table(DeformingPair, rest, "lmc", where)
    assert pair is not None
    try:
        return pair.read()
    except InputError as error:
        raise InputError(f"{where}.lmc: {error}") from None


def _make_halo(rest: dict[str, Any], where: str, lmc: Perturber | None) -> Halo:
    kind = rest.pop("kind")
    spec = rest.pop("potential", None)
    potential = None if spec is None else make_potential(spec, f"{where}.potential")
    if isinstance(lmc, DeformingPair):
        potential = lmc.at_start(potential)
    if potential is None:
        raise InputError(f"{where}: key 'potential' is missing")
    own = {key: rest.pop(key) for key in Sampling.__dataclass_fields__ if key in rest}
    sampling = build(Sampling, own, where)
    populations = make_populations(rest, sampling.r_range, where)
    chosen = any(population.distribution != DEFAULT for population in populations)
    require(
        not chosen or (kind == "equilibrium" and sampling.method != "mixture"),
        f"{where}: a distribution needs kind = 'equilibrium' and method = 'orbits' or 'auto'"
        f" (got {kind!r} and {sampling.method!r})",
    )
    return Halo(kind, potential, populations, sampling)
