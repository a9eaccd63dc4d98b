"""Common random numbers: deviates of a star depend on its number and on what they decide, and on nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from seeds import lots, seeded, shifted

from haloassay.contracts.frames import spherical_velocity
from haloassay.mocks import make_mock
from haloassay.mocks.equilibria.stored_population import StoredPopulation
from haloassay.mocks.stars import Stars
from haloassay.mocks.surveys.survey import make_survey
from haloassay.mocks.uniforms import Uniforms, numbers

N = 200_000
BASE = {
    "kind": "equilibrium",
    "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
    "density": {"kind": "broken-power-law", "slopes": [-2.5, -4.0], "breaks": [20.0]},
    "beta": 0.5,
    "r_range": [5.0, 120.0],
}
TWO = {
    **{k: v for k, v in BASE.items() if k != "beta"},
    "populations": [
        {"name": "mr", "fraction": 0.6, "beta": 0.8, "feh": {"mean": -1.2, "sigma": 0.2}},
        {"name": "mp", "fraction": 0.4, "beta": 0.1, "feh": {"mean": -1.7, "sigma": 0.3}},
    ],
}
#: Changes of a mock, and how close the stars stay: rank correlation of radii, and of the sizes of v_r.
CHANGES = {
    "beta": {**BASE, "beta": 0.55},
    "break": {**BASE, "density": {**BASE["density"], "breaks": [22.0]}},
    "slope": {**BASE, "density": {**BASE["density"], "slopes": [-2.25, -4.0]}},
    "mass": {**BASE, "potential": {**BASE["potential"], "m200": 1.1e12}},
    "concentration": {**BASE, "potential": {**BASE["potential"], "c": 13.2}},
}


@pytest.mark.parametrize("meaning", ["radius", "vlos"])
@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_deviates_have_their_distribution_and_nothing_in_common(meaning, kind):
    of = Uniforms(shifted(3))
    number = numbers(0, N)
    drawn = getattr(of, kind)(meaning, number)
    assert stats.kstest(drawn, {"uniform": "uniform", "normal": "norm"}[kind]).pvalue > 6e-5
    others = [
        getattr(of, kind)("another meaning", number),
        getattr(Uniforms(shifted(3) + 1), kind)(meaning, number),
        np.roll(drawn, 1),
        np.roll(drawn, 2),
    ]
    for other in others:
        assert abs(np.corrcoef(drawn, other)[0, 1]) < 4.0 / np.sqrt(N)
        assert abs(np.corrcoef(drawn**2, other**2)[0, 1]) < 4.0 / np.sqrt(N)


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=20), st.integers(0, 2**64 - 1))
def test_a_deviate_is_that_of_the_number_wherever_it_stands(values, key):
    of, number = Uniforms(key), np.array(values, dtype=np.int64)
    together = of.uniform("radius", number)
    alone = [of.uniform("radius", number[k : k + 1])[0] for k in range(len(values))]
    np.testing.assert_array_equal(together, alone)
    assert np.all((together > 0.0) & (together < 1.0))


def test_batches_of_any_size_give_the_same_stars():
    mock = make_mock(TWO)
    whole = mock.sample(1000, seeded(1))
    draw = mock.sampler(seeded(1))
    parts = Stars.concatenate([draw(n) for n in (1, 400, 99, 500)])
    for name in ("position", "velocity", "feh", "origin", "number"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


@pytest.mark.parametrize(
    "change",
    # of another potential, like "mass"
    [pytest.param(c, marks=pytest.mark.slow if c == "concentration" else ()) for c in CHANGES],
)
def test_star_k_of_two_mocks_is_the_same_star_moved(change):
    """Out of step, these correlations are zero."""
    base, other = (make_mock(spec).sample(4000, seeded(2)) for spec in (BASE, CHANGES[change]))
    for a, b in (
        (base.r, other.r),
        *zip(
            np.abs(spherical_velocity(base.position, base.velocity)).T,
            np.abs(spherical_velocity(other.position, other.velocity)).T,
            strict=True,
        ),
    ):
        assert stats.spearmanr(a, b).statistic > 0.9
    # signs and directions are those of the star
    same = np.sign(spherical_velocity(base.position, base.velocity))
    assert np.mean(same == np.sign(spherical_velocity(other.position, other.velocity))) > 0.999
    cosine = np.sum(base.position * other.position, axis=1) / (base.r * other.r)
    assert cosine.min() > 1.0 - 1e-9
    np.testing.assert_array_equal(base.feh, other.feh)


def test_a_change_of_fractions_moves_as_few_stars_as_it_must():
    more = {**TWO, "populations": [dict(p) for p in TWO["populations"]]}
    for population, fraction in zip(more["populations"], (0.65, 0.35), strict=True):
        population["fraction"] = fraction
    base, other = (make_mock(spec).sample(20_000, seeded(3)) for spec in (TWO, more))
    moved = base.origin != other.origin
    assert moved.mean() == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 20_000))
    assert np.all(base.origin[moved] == 1)
    np.testing.assert_array_equal(base.position[~moved], other.position[~moved])


def test_errors_are_those_of_the_star_whichever_others_are_lost():
    """The stars that two surveys have in common have the same deviates, and so have those of two mocks."""
    mock = make_mock(BASE)
    survey = {"preset": "perfect", "n_stars": 2000, "distance_error": 0.1, "vlos_error": 10.0}
    seen = {}
    for name, extra in {"all": {}, "north": {"footprint": {"dec_min": 0.0}}}.items():
        seen[name] = make_survey({**survey, **extra}).observe(mock, seeded(4), seeded(5))
    a, b = seen["all"], seen["north"]
    common, i, j = np.intersect1d(a.stars.number, b.stars.number, return_indices=True)
    assert len(common) > 500
    for name in ("distance", "vlos"):
        np.testing.assert_array_equal(a.catalogue.columns[name][i], b.catalogue.columns[name][j])


class Stored(type(make_mock(BASE))):
    """A halo of the same potential and populations, whose stars are few and stand in a table."""

    table: Stars

    def sampler(self, rng):
        return StoredPopulation(self.table).sampler(rng)


def test_a_star_that_is_lost_takes_no_errors_from_the_others():
    """Of two tables, one without some stars of the other, all others are observed alike."""
    halo = make_mock(BASE)
    stars = halo.sample(400, seeded(13))
    survey = make_survey({"preset": "perfect", "n_stars": 300, "vlos_error": 10.0})
    seen = []
    for table in (stars, stars.select(np.arange(400) % 9 != 4)):
        mock = Stored(halo.kind, halo.potential, halo.populations, halo.sampling)
        object.__setattr__(mock, "table", table)
        seen.append(survey.observe(mock, seeded(14), seeded(15)))
    _, i, j = np.intersect1d(*(s.stars.number for s in seen), return_indices=True)
    assert len(i) > 200
    vlos = [s.catalogue.columns["vlos"] for s in seen]
    np.testing.assert_array_equal(vlos[0][i], vlos[1][j])


def test_populations_of_another_seed_are_other_stars():
    short = {"size": 500, "time": 0.1, "drift_time": 0.1, "tolerance": 1e-5}
    first, other = (
        make_mock({**BASE, "population": {**short, "seed": shifted(seed)}}).population.stars
        for seed in (0, 1)
    )
    assert not np.isin(first.r, other.r).any()


def test_a_population_that_lost_a_star_comes_in_the_same_order():
    position, velocity = seeded(6).standard_normal((2, 500, 3)) * 30.0
    stars = Stars.of(position, velocity, number=numbers(0, 500))
    some = stars.select(np.delete(np.arange(500), [0, 17, 250]))
    whole, less = (StoredPopulation(s).sampler(seeded(7))(400).number for s in (stars, some))
    whole = whole[~np.isin(whole, [0, 17, 250])]
    np.testing.assert_array_equal(less[: len(whole)], whole)
    assert not np.array_equal(whole, np.sort(whole))


def test_stored_populations_of_two_halos_are_the_same_stars_moved():
    short = {"size": 3000, "time": 0.1, "drift_time": 0.1, "tolerance": 1e-5}
    base, other = (
        make_mock({**spec, "population": short}).sample(1000, seeded(8))
        for spec in (BASE, CHANGES["mass"])
    )
    _, i, j = np.intersect1d(base.number, other.number, return_indices=True)
    assert len(i) > 950
    assert stats.spearmanr(base.r[i], other.r[j]).statistic > 0.9


def test_two_samples_of_one_generator_are_other_stars():
    mock, rng = make_mock(BASE), seeded(9)
    first, second = mock.sample(100, rng), mock.sample(100, rng)
    assert not np.isin(first.r, second.r).any()


def test_a_mock_without_numbers_is_counted_by_the_survey():
    """Stars of somebody's own mock must not share the errors of the star at their place in another batch."""

    class Own(type(make_mock(BASE))):
        def sampler(self, rng):
            draw = super().sampler(rng)
            return lambda n: Stars.of(draw(n).position, draw(n).velocity)

    own = make_mock(BASE)
    own = Own(own.kind, own.potential, own.populations, own.sampling)
    survey = make_survey({"preset": "perfect", "n_stars": 30_000, "distance_error": 0.1})
    seen = survey.observe(own, seeded(10), seeded(11))
    true = np.linalg.norm(seen.stars.position - survey.sun.position, axis=1)
    ratio = seen.catalogue.columns["distance"] / true
    assert len(np.unique(ratio.round(12))) == 30_000


def test_lots_are_those_of_the_generator():
    of, number = lots(5, seeded(12))
    again = Uniforms.of(seeded(12))
    np.testing.assert_array_equal(of.uniform("radius", number), again.uniform("radius", number))


def test_no_more_stars_are_drawn_than_are_looked_at_and_the_catalogue_is_the_same():
    """Where stars are drawn by number; those of somebody's own mock come in the batches that all surveys share."""

    class Counted(type(make_mock(BASE))):
        by_number = True

        def sampler(self, rng):
            draw = super().sampler(rng)

            def counting(n):
                batches.append(n)
                return draw(n)

            return counting

    halo = make_mock(BASE)
    survey = make_survey({"preset": "lamost-segue-kgiants", "n_stars": 6000})
    drawn, seen = [], []
    for by_number in (False, True):
        batches = []
        Counted.by_number = by_number
        mock = Counted(halo.kind, halo.potential, halo.populations, halo.sampling)
        seen.append(survey.observe(mock, seeded(16), seeded(17)))
        drawn.append(batches)
    assert drawn[0] == [2**13 * 2**k for k in range(len(drawn[0]))]
    assert seen[1].n_drawn <= sum(drawn[1]) < 1.2 * seen[1].n_drawn
    for name, column in seen[0].catalogue.columns.items():
        np.testing.assert_array_equal(seen[1].catalogue.columns[name], column)
    assert seen[0].n_drawn == seen[1].n_drawn


@pytest.mark.parametrize("spec", [BASE, TWO], ids=["one population", "two"])
def test_how_many_are_asked_for_at_once_changes_no_star_of_a_mock_that_says_so(spec):
    mock = make_mock(spec)
    assert mock.by_number
    once = mock.sampler(seeded(20))(1000)
    draw = mock.sampler(seeded(20))
    parts = [draw(n) for n in (100, 700, 200)]
    for name in ("position", "velocity", "feh", "number"):
        again = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(getattr(once, name), again, err_msg=name)
