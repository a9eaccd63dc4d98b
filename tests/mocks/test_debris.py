"""Debris: every kind stands at its fraction, with its flag and its chemistry, and says when it cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from debris_samples import AROUND, POTENTIAL, R_RANGE, components, one
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import resized, seeded, shifted

from haloassay.base import kinds
from haloassay.base.errors import InputError, UsedUpError
from haloassay.mocks import make_mock
from haloassay.mocks.debris.contaminated import ContaminatedMock
from haloassay.mocks.debris.debris import Debris, SatelliteDebris, contaminate, make_debris
from haloassay.mocks.debris.surroundings import Surroundings
from haloassay.mocks.gravity.potentials import make_potential
from haloassay.mocks.moment_map import octants
from haloassay.mocks.stars import Stars, without_replacement
from haloassay.mocks.uniforms import numbers


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("HALOASSAY_CACHE", str(folder))
        yield folder


@pytest.mark.parametrize("kind", kinds.names("debris"))
def test_every_kind_gives_as_many_stars_as_asked_where_the_mock_has_them(kind: str) -> None:
    debris: Debris = one(kind)
    debris.prepare(AROUND)
    draw = debris.sampler(AROUND, seeded(3))
    first, second = draw(500), draw(400)
    assert (len(first), len(second), len(draw(0))) == (500, 400, 0)
    for stars in (first, second):
        assert np.all((stars.r >= R_RANGE[0] * (1 - 1e-9)) & (stars.r <= R_RANGE[1] * (1 + 1e-9)))
        assert np.isfinite(stars.velocity).all()
        for abundance, wanted in ((stars.feh, debris.feh), (stars.alpha_fe, debris.alpha_fe)):
            assert abundance.mean() == pytest.approx(
                wanted.mean, abs=4.0 * float(wanted.sigma) / np.sqrt(len(stars))
            )
    again = debris.sampler(AROUND, seeded(3))(500)
    np.testing.assert_array_equal(again.velocity, first.velocity)
    assert len(np.unique(np.concatenate([first.position, second.position]), axis=0)) == 900


@pytest.mark.parametrize("kind", kinds.names("debris"))
def test_name_and_membership_are_in_the_origin(kind: str) -> None:
    assert (one(kind).origin.name, one(kind).origin.member) == (
        kind,
        kind in ("shells", "gse", "in-situ"),
    )
    named = one(kind, name="clump", member=True)
    assert (named.origin.name, named.origin.member) == ("clump", True)


# Mixing


def smooth(n_origins: int = 1) -> Any:
    rng = seeded(11)

    def sample(n: int) -> Stars:
        origin = rng.integers(0, n_origins, n)
        position = 20.0 + rng.standard_normal((n, 3))
        return Stars.of(position, 100.0 * rng.standard_normal((n, 3)), -1.3, np.nan, origin)

    return sample


THREE: list[dict[str, Any]] = [
    {"kind": "thick-disc", "fraction": 0.2},
    {"kind": "unbound", "fraction": 0.01},
    {"kind": "blunders", "fraction": 0.05, "name": "bad"},
]


def test_fractions_are_those_asked_for_and_counts_are_multinomial() -> None:
    draw = contaminate(smooth(2), make_debris(THREE), AROUND, seeded(2), first_origin=2)
    calls, n = 200, 500
    counts = np.array([np.bincount(draw(n).origin, minlength=5) for _ in range(calls)])
    shares = np.array([0.37, 0.37, 0.2, 0.01, 0.05])
    noise = np.sqrt(n * shares * (1.0 - shares))
    assert np.all(np.abs(counts.mean(axis=0) - n * shares) < 4.0 * noise / np.sqrt(calls))
    np.testing.assert_allclose(counts.std(axis=0), noise, rtol=4.0 / np.sqrt(2.0 * calls))


def test_stars_come_in_no_order() -> None:
    draw = contaminate(smooth(), make_debris(THREE), AROUND, seeded(2))
    origin = draw(20_000).origin
    place = np.arange(len(origin)) / len(origin)
    for k, fraction in enumerate((0.74, 0.2, 0.01, 0.05)):
        noise = np.sqrt(1.0 / (12.0 * 20_000 * fraction))
        assert abs(place[origin == k].mean() - 0.5) < 4.0 * noise
    neighbours = np.mean(origin[1:] == origin[:-1])
    expected = 0.74**2 + 0.2**2 + 0.01**2 + 0.05**2
    assert abs(neighbours - expected) < 4.0 * np.sqrt(expected * (1.0 - expected) / 20_000)


def test_debris_has_no_abundance_that_the_halo_has_not() -> None:
    draw = contaminate(smooth(), make_debris(THREE), AROUND, seeded(2))
    stars = draw(1000)
    assert np.isfinite(stars.feh).all()
    assert np.isnan(stars.alpha_fe).all()
    assert stars.feh[stars.origin == 1].mean() > -0.8


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.0, 0.33, exclude_max=True), min_size=0, max_size=3),
    st.integers(0, 60),
    st.integers(0, 2**32),
)
def test_any_fractions_give_the_number_asked_for(fractions: list[float], n: int, seed: int) -> None:
    spec = [{"kind": "blunders", "fraction": f, "name": str(k)} for k, f in enumerate(fractions)]
    rng = seeded(seed)
    stars = contaminate(smooth(), make_debris(spec), AROUND, rng)(n)
    assert len(stars) == n
    assert set(stars.origin) <= {0, *(k + 1 for k, f in enumerate(fractions) if f > 0.0)}


def test_stars_come_until_one_is_missing() -> None:
    """A survey of few stars needs as much debris as it sees, though it is offered more; the mix does not tilt."""
    size = resized(300)
    debris = make_debris([{"kind": "gse", "fraction": 0.2, "size": size}])
    draw = contaminate(smooth(), debris, AROUND, seeded(2))
    stars = draw(8192)
    # 300 of the debris stand among 1500 stars, and the next one is missing
    n = np.count_nonzero(stars.origin == 1)
    assert n == len(debris[0].population(AROUND)[0]) <= size
    assert len(stars) == pytest.approx(n / 0.2, abs=4.0 * np.sqrt(n * 0.8) / 0.2)
    halves = np.array_split(stars.origin == 1, 2)
    assert abs(halves[0].mean() - halves[1].mean()) < 4.0 * np.sqrt(2.0 * 0.16 / len(halves[0]))
    assert len(np.unique(stars.position[:, 0])) == len(stars)
    with pytest.raises(InputError, match=r"debris 'gse': all its .* used up; raise its size"):
        draw(100)


def test_a_halo_that_ends_ends_the_mix() -> None:
    left = without_replacement(numbers(0, 700), seeded(1), "the halo is used up")
    halo = smooth()(700)
    debris = make_debris([{"kind": "blunders", "fraction": 0.5}])
    draw = contaminate(lambda n: halo.select(left(n)), debris, AROUND, seeded(2))
    stars = draw(5000)
    assert np.count_nonzero(stars.origin == 0) == 700
    assert len(stars) == pytest.approx(1400, abs=4.0 * np.sqrt(1400))
    with pytest.raises(UsedUpError, match="the halo is used up"):
        draw(100)


# The mock with debris in it


def contaminated(spec: list[dict[str, Any]]) -> ContaminatedMock:
    halo = make_mock(
        {
            "kind": "equilibrium",
            "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
            "density": {"kind": "nfw", "r_s": 20.0},
            "beta": {"kind": "constant", "beta": 0.0},
            "r_range": [4.0, 200.0],
        }
    )
    potential = make_potential({"kind": "nfw", "m200": 1e12, "c": 12.0})
    return ContaminatedMock(halo, make_debris(spec), Surroundings(potential, (4.0, 200.0)))


def test_truth_is_of_the_members_alone() -> None:
    spec = [
        {"kind": "gse", "fraction": 0.2, "size": resized(3000)},
        {"kind": "blunders", "fraction": 0.1},
    ]
    mock = contaminated(spec)
    mock.prepare()
    assert [(o.name, o.member) for o in mock.origins[1:]] == [("gse", True), ("blunders", False)]
    stars = mock.sample(10_000, seeded(1))
    member = np.array([o.member for o in mock.origins])[stars.origin]
    v, r = components(stars), stars.r
    lo, hi = 15.0, 30.0
    inside = member & (r > lo) & (r < hi)
    for name, column in (("sigma_r", 0), ("sigma_phi", 2)):
        measured, true = (
            v[inside, column].std(),
            mock.truth.value(name, np.nan, lo, hi, stars.select(inside)),
        )
        assert measured == pytest.approx(true, rel=4.0 / np.sqrt(2.0 * inside.sum()))
    # the cloud is radial, the halo is not
    assert mock.truth.value("beta", np.nan, lo, hi, stars.select(inside)) > 0.1
    share = inside.sum() / len(stars)
    x = np.linspace(np.log(lo), np.log(hi), 2000)
    counted = np.sum(4.0 * np.pi * np.exp(3.0 * x) * mock.truth.tracers.density(np.exp(x)))
    # the density of the halo's own 0.7 of the stars is normalised to one
    assert 0.7 * counted * (x[1] - x[0]) == pytest.approx(
        share, abs=4.0 * np.sqrt(share * (1.0 - share) / len(stars)) + 0.002
    )


def test_debris_without_a_share_leaves_the_stars_of_the_mock_as_they_are() -> None:
    mock = contaminated([{"kind": "thick-disc", "fraction": 0.0}])
    with_debris = mock.sample(1000, seeded(3))
    without = mock.mock.sample(1000, seeded(3))
    np.testing.assert_array_equal(np.sort(with_debris.r), np.sort(without.r))


def test_debris_without_a_share_is_not_followed(monkeypatch) -> None:
    monkeypatch.setattr(
        SatelliteDebris, "population", lambda *_: pytest.fail("its stars were followed")
    )
    contaminated([{"kind": "gse", "fraction": 0.0}]).prepare()


def test_truth_of_a_mock_with_contaminants_only_is_the_mocks_own() -> None:
    mock = contaminated([{"kind": "thick-disc", "fraction": 0.2}, {"kind": "gse", "fraction": 0.0}])
    assert mock.truth is mock.mock.truth


TRIAXIAL = {
    "kind": "equilibrium",
    "potential": {"kind": "triaxial-nfw", "m200": 1e12, "c": 12.0, "axis_ratios": [0.8, 0.6]},
    "density": {"kind": "broken-power-law", "slopes": [-2.5, -4.0], "breaks": [20.0]},
    "beta": {"kind": "constant", "beta": 0.3},
    "r_range": [5.0, 80.0],
    "population": {"size": 20_000, "seed": shifted(0), "time": 1.0, "drift_time": 0.2},
}


def test_debris_moves_in_the_field_that_the_mocks_own_stars_move_in() -> None:
    debris = [{"kind": "gse", "fraction": 0.2, "size": resized(500)}]
    round_ = {k: v for k, v in TRIAXIAL.items() if k != "population"}
    for spec, monopole, lmc in (
        (round_, True, None),
        (TRIAXIAL, False, None),
        ({**round_, "shape": {"axis_ratios": [0.8, 0.7]}}, False, None),
        ({**round_, "lmc": {"mass": 1e11}}, False, 1e11),
    ):
        around = make_mock({**spec, "debris": debris}).around  # type: ignore[attr-defined]
        assert around.monopole is monopole
        assert (around.lmc.mass if around.lmc else None) == lmc


@pytest.mark.long
@pytest.mark.parametrize("painted", [None, {"mu_dipole": -80.0, "apex_b": -60.0, "v_travel": 40.0}])
def test_truth_over_the_sky_has_the_member_debris_in_it(painted: dict[str, Any] | None) -> None:
    """Halo and debris drawn and observed in a part of the sky have the moments that are stated for it."""
    spec = {
        **TRIAXIAL,
        "population": {"size": 4000, "seed": shifted(0), "time": 0.1, "drift_time": 0.05},
        "debris": [{"kind": "gse", "fraction": 0.3, "size": resized(4000), "age": 0.5}],
    }
    mock = make_mock(spec | ({} if painted is None else {"painted": painted}))
    stars = mock.sample(4000, seeded(5))
    bare = mock.mock.truth  # type: ignore[attr-defined]
    seen = 0
    for octant in range(8):
        part = stars.select(
            (octants(stars.position) == octant) & (stars.r > 8.0) & (stars.r < 30.0)
        )
        v = components(part)
        for k, name in enumerate(("r", "theta", "phi")):
            error = v[:, k].std() / np.sqrt(len(part))
            true = mock.truth.local_value(f"mean_v_{name}", part)
            # as many stars again tell the truth
            assert v[:, k].mean() == pytest.approx(true, abs=4.0 * np.sqrt(2.0) * error)
            seen += abs(true - bare.local_value(f"mean_v_{name}", part)) > 4.0 * error
    assert seen > 0


def test_member_debris_leaves_the_field_of_the_halo_undetermined() -> None:
    """A dipole of all members is not defined by debris that is not all over the sky; not a zero, which looks fine."""
    debris = {"kind": "gse", "fraction": 0.2, "size": resized(500)}
    for member in (True, False):
        truth = contaminated([{**debris, "member": member}]).truth
        for quantity in ("mu_dipole", "mu_compr", "v_travel"):
            value = truth.value(quantity, 30.0)
            assert np.isnan(value) if member else value == 0.0
        assert truth.to_dict([30.0])["mu_dipole"] == [None] if member else True


# Refusals


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ([{"kind": "strem", "fraction": 0.1}], r"mock.debris.0: .*did you mean 'stream'"),
        ([{"kind": "stream"}], r"mock.debris.0: setting 'fraction' is missing"),
        ([{"fraction": 0.1}], r"mock.debris.0: key 'kind' is missing"),
        ([{"kind": "gse", "fraction": 1.0}], r"fraction must be in \[0, 1\)"),
        ([{"kind": "gse", "fraction": -0.1}], r"fraction must be in \[0, 1\)"),
        (
            [{"kind": "gse", "fraction": 0.6}, {"kind": "shells", "fraction": 0.4}],
            "sum to less than 1",
        ),
        ([{"kind": "gse", "fraction": 0.1}, {"kind": "gse", "fraction": 0.1}], "appears 2 times"),
        ({"kind": "gse", "fraction": 0.1}, "mock.debris: expected a list"),
        ([{"kind": "stream", "fraction": 0.1, "progenitor": "gd1"}], "sagittarius"),
        ([{"kind": "stream", "fraction": 0.1, "size": 3}], "size must be 100"),
        (
            [{"kind": "shells", "fraction": 0.1, "pericentre": 50.0}],
            "pericentre and apocentre must rise",
        ),
        ([{"kind": "gse", "fraction": 0.1, "age": 20.0}], "age must be at most 14"),
        (
            [{"kind": "thick-disc", "fraction": 0.1, "scale_height": 0.0}],
            "scale_height must be 0.01 to 1000 kpc",
        ),
        ([{"kind": "monoceros", "fraction": 0.1, "ring": [25.0, 15.0]}], "ring must rise"),
        ([{"kind": "unbound", "fraction": 0.1, "speed": [0.9, 1.5]}], "speed must rise from 1"),
        ([{"kind": "unbound", "fraction": 0.1, "slope": 2.0}], "slope must be negative"),
        ([{"kind": "blunders", "fraction": 0.1, "v_max": 0.0}], "v_max must be"),
        ([{"kind": "thick-disc", "fraction": 0.1, "scale_length": 1e-9}], "scale_length must be"),
        ([{"kind": "thick-disc", "fraction": 0.1, "sigma": [60.0, 1e5, 40.0]}], "sigma must be"),
        ([{"kind": "monoceros", "fraction": 0.1, "v_rot": 1e300}], "v_rot must be 0 to 1000 km/s"),
        (
            [{"kind": "gse", "fraction": 0.1, "feh": {"mean": 1e300, "sigma": 0.1}}],
            "mean must be -20",
        ),
        ([{"kind": "blunders", "fraction": 0.1, "name": ""}], "name must not be empty"),
    ],
)
def test_bad_settings_are_refused_by_name(spec: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make_debris(spec)
    assert str(caught.value).startswith("mock.debris")
    assert "\n" not in str(caught.value)


#: Escape speed [km/s] at 20 kpc.
ESCAPE = np.sqrt(-2.0 * float(POTENTIAL.potential(20.0)))


def progenitor(x: float, v: float) -> dict[str, Any]:
    return {"position": [x, 0.0, 0.0], "velocity": [0.0, v, 0.0], "mass": 1e8, "age": 2.0}


@pytest.mark.parametrize(
    ("kind", "spec", "r_range", "message"),
    [
        (
            "stream",
            {"progenitor": progenitor(20.0, 900.0)},
            R_RANGE,
            f"not bound: 900 km/s at 20 kpc, where the escape speed is {ESCAPE:.0f} km/s",
        ),
        ("stream", {"progenitor": progenitor(20.0, 180.0)}, (60.0, 90.0), "dissolves between"),
        ("shells", {}, (150.0, 200.0), r"only .* of its \d+ stars are between"),
        ("gse", {"sigma": 3000.0}, R_RANGE, r"of its \d+ stars are bound; sigma"),
        ("monoceros", {}, (30.0, 200.0), "no stars between the radii"),
        ("monoceros", {}, (2.0, 10.0), "no stars between the radii"),
    ],
)
def test_debris_that_cannot_be_is_refused(
    kind: str, spec: dict[str, Any], r_range: tuple[float, float], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        one(kind, **spec).prepare(Surroundings(POTENTIAL, r_range))
    assert str(caught.value).startswith(f"debris '{kind}'")
    if kind in ("stream", "monoceros"):  # known without following stars, as in a dry run
        mock = {
            **TRIAXIAL,
            "r_range": list(r_range),
            "debris": [{"kind": kind, "fraction": 0.1, **spec}],
        }
        with pytest.raises(InputError, match=message.partition(":")[0]):
            ContaminatedMock.check(make_mock({k: v for k, v in mock.items() if k != "population"}))  # type: ignore[arg-type]


def test_debris_has_another_name_than_a_population() -> None:
    spec = {**TRIAXIAL, "debris": [{"kind": "gse", "fraction": 0.1, "name": "halo"}]}
    with pytest.raises(InputError, match=r"mock\.debris: the name 'halo' is that of a population"):
        make_mock(spec)
