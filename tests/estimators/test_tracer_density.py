"""The density of tracers is found again under the selection function of a survey."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from seeds import seeded

from haloassay import measure, mock, run
from haloassay.base.errors import EstimationError, InputError
from haloassay.contracts.profiles import power_law_log_density
from haloassay.estimators import make_estimator
from haloassay.estimators.bins import DensitySlope
from haloassay.estimators.fit.density import DensityFit, FittedDensity, fit_density
from haloassay.estimators.halo.inner_slope import InnerVc
from haloassay.mocks import make_mock
from haloassay.mocks.stars import Stars
from haloassay.mocks.surveys.stated import StatedSelection
from haloassay.mocks.surveys.survey import make_survey
from haloassay.testing.subject import catalogue_of

SLOPES, BREAK, WIDTH = (-2.6, -4.4), 18.0, 0.1
FORM = DensitySlope(SLOPES, (BREAK,), WIDTH)
#: A survey with everything that a selection function has.
SURVEY = {
    "n_stars": 4000,
    "footprint": {"dec_min": -10.0, "b_min": 15.0},
    "completeness": {"minimum": 0.2, "nside": 8, "per_magnitude": 0.2, "full_to": 17.0},
    "magnitude_limits": [11.0, 19.0],
    "z_min": 2.0,
    "r_min": 4.0,
    "r_max": 90.0,
    "distance_error": 0.12,
}


@dataclass(frozen=True)
class Flattened:
    """Stars at rest whose density is a broken power law of m, flattened by ``axis_ratio``."""

    axis_ratio: float = 1.0
    number: None = None

    def sampler(self, rng):
        lnr = np.linspace(np.log(0.5), np.log(400.0), 20001)
        weight = np.exp(power_law_log_density(np.exp(lnr), SLOPES, (BREAK,), WIDTH) + 3.0 * lnr)
        total = np.cumsum(weight) / weight.sum()

        def draw(n):
            r = np.exp(np.interp(rng.random(n), total, lnr))
            direction = rng.standard_normal((n, 3))
            direction /= np.linalg.norm(direction, axis=1)[:, None]
            place = r[:, None] * direction * [1.0, 1.0, self.axis_ratio]
            none = np.full(n, np.nan)
            origin, number = np.zeros(n, dtype=np.int16), np.full(n, -1)
            return Stars(place, np.zeros((n, 3)), none, none, origin, number)

        return draw


def seen(seed, axis_ratio=1.0, **changed):
    survey = make_survey({**SURVEY, **changed})
    return survey.observe(Flattened(axis_ratio), seeded(seed), seeded(seed + 1000)).catalogue


def own_model(n, rng):
    """Catalogue of stars of a density of axis ratio 0.7."""
    survey = make_survey({**SURVEY, "n_stars": n})
    return survey.observe(Flattened(0.7), *rng.spawn(2)).catalogue


def true_value(row):
    """Truth of an estimate of it."""
    if row.quantity == "alpha":
        return float(FittedDensity(FORM, 0.7, np.zeros((1, 4))).slope(row.r))
    return {"r_break": BREAK, "axis_ratio": 0.7}[row.quantity]


@pytest.mark.long
def test_pulls_of_slopes_break_and_flattening_are_standard():
    pulls, truth = [], np.array([*SLOPES, BREAK, 0.7])
    for k in range(16):
        found = fit_density(
            seen(k, 0.7, n_stars=2500), FORM, DensityFit(axis_ratio="free"), 300, seeded(k)
        )
        middle = np.median(found.draws, axis=0)
        pulls.append((middle - truth) / found.draws.std(axis=0))
    pulls = np.array(pulls)
    n = len(pulls)
    # 4 sigma, and a tenth for the skewness of posteriors of 2500 stars
    assert np.all(np.abs(pulls.mean(axis=0)) < 4.0 / np.sqrt(n) + 0.1)
    assert np.all(np.abs(np.log(pulls.std(axis=0, ddof=1))) < 4.0 / np.sqrt(2.0 * n) + 0.1)


@pytest.mark.parametrize("left_out", ["completeness", "magnitude_limits", "distance_error"])
def test_each_part_of_the_selection_is_taken_into_account(left_out):
    blurred = {"distance_error": 0.3} if left_out == "distance_error" else {}
    catalogue = seen(7, n_stars=12000, **blurred)
    whole = {key: value for key, value in SURVEY.items() if key != left_out}
    if left_out == "distance_error":
        columns = {**catalogue.columns, "distance_err": np.zeros(len(catalogue))}
        wrong = replace(catalogue, columns=columns)
    else:
        if left_out == "completeness":
            whole["completeness"] = {"per_magnitude": 0.0}
        stated = StatedSelection.of(make_survey(whole), catalogue.sun)
        wrong = replace(catalogue, selection=stated)
    truth = np.array([*SLOPES, BREAK])
    off = {}
    for name, one in (("right", catalogue), ("wrong", wrong)):
        found = fit_density(one, FORM, DensityFit(), 300, seeded(1)).draws[:, :3]
        off[name] = np.linalg.norm(
            np.linalg.solve(np.linalg.cholesky(np.cov(found.T)), np.median(found, axis=0) - truth)
        )
    assert off["right"] < 4.0 < off["wrong"]


def test_reach_is_the_share_of_stars_that_a_survey_observes():
    survey = make_survey({**SURVEY, "distance_error": 0.0, "completeness": {"minimum": 0.5}})
    observed = survey.observe(Flattened(), seeded(3), seeded(4))
    draw = Flattened().sampler(seeded(3))
    places = np.concatenate([draw(2**13 * 2**k).position for k in range(6)])[: observed.n_drawn]
    selection = observed.catalogue.selection
    from_sun = places - survey.sun.position
    distance = np.linalg.norm(from_sun, axis=1)
    direction = from_sun / distance[:, None]
    chance = selection.reach(direction, distance, "true") * selection.inside(direction, distance)
    assert abs(chance.sum() - 4000) < 4.0 * np.sqrt(np.sum(chance * (1.0 - chance)))


def test_a_wrong_scale_stretches_the_reach_or_does_not():
    stretched = StatedSelection.of(make_survey({**SURVEY, "distance_scale": 1.1}))
    plain = StatedSelection.of(make_survey(SURVEY))
    direction, distance = np.tile([0.0, 0.6, 0.8], (5, 1)), np.array([5.0, 20.0, 50.0, 90.0, 120.0])
    of_plain = plain.reach(direction, distance, "true")
    assert np.all(of_plain > 0.0)
    np.testing.assert_allclose(
        stretched.reach(direction, 1.1 * distance, "of-distances"), of_plain, rtol=1e-2
    )
    np.testing.assert_array_equal(stretched.reach(direction, distance, "true"), of_plain)


def test_rows_are_those_of_the_density():
    rows = measure(seen(3), "tracer-density", fit_density={"r_range": [5.0, 80.0]}, n_draws=50)
    inner, outer, turn, ratio = rows
    assert ratio.note == "it is assumed, not fitted"
    for row, truth in ((inner, FORM.slope(10.0)), (outer, SLOPES[1]), (turn, BREAK)):
        assert abs(row.value - truth) < 4.0 * np.std(row.draws) < 0.6 * abs(truth), row.quantity


def test_the_radii_of_the_fit_are_those_that_are_asked_for():
    """Within the break of 18 kpc there is the inner slope alone."""
    stars, form = seen(3), DensitySlope((-3.5,))
    inner, outer = (
        fit_density(stars, form, DensityFit(r_range=r), 200, seeded(1)).draws[:, 0]
        for r in ((5.0, 16.0), (20.0, 80.0))
    )
    for found, truth in ((inner, SLOPES[0]), (outer, SLOPES[1])):
        assert abs(np.mean(found) - truth) < 4.0 * np.std(found) < 1.5


def test_shells_of_a_flattened_density_are_averages():
    density = FittedDensity(FORM, 0.6, np.zeros((1, 4)))
    r = np.array([5.0, 17.0, 18.0, 40.0])
    up = np.linspace(0.0, 1.0, 20001)
    m = r[:, None] * np.sqrt(1.0 - up**2 + (up / 0.6) ** 2)
    mean = np.log(np.trapezoid(np.exp(FORM.log_density(m)), up, axis=1))
    found = density.log_density(r)
    np.testing.assert_allclose(found - found[0], mean - mean[0], atol=1e-4)
    h = 1e-3
    up_down = (density.log_density(r * np.exp(h)) - density.log_density(r * np.exp(-h))) / (2 * h)
    np.testing.assert_allclose(density.slope(r), up_down, atol=1e-3)


@pytest.mark.parametrize("kind", ["jeans-3d", "tracer-mass"])
def test_masses_follow_the_fitted_density_and_its_error(kind):
    catalogue = seen(11)
    moving = seeded(5).normal(0.0, 100.0, (len(catalogue), 3))
    place = {name: catalogue.position[:, k] for k, name in enumerate("xyz")}
    velocity = {f"v{name}": moving[:, k] for k, name in enumerate("xyz")}
    stars = replace(catalogue, columns={**place, **velocity})
    settings = {
        "bins": [8.0, 20.0, 40.0],
        "nfw": "none",
        "alpha": {"slopes": [-3.0, -4.0], "breaks": [20.0], "width": WIDTH},
    }
    settings |= {"beta": 0.0} if kind == "tracer-mass" else {}
    fit = fit_density(stars, FORM, DensityFit(), 400, seeded(6))
    shape = {"slopes": list(fit.form.slopes), "breaks": list(fit.form.breaks), "width": WIDTH}
    fitted = measure(stars, kind, **settings, fit_density={})
    assumed = measure(stars, kind, **{**settings, "alpha": shape})
    both = list(zip(fitted.of("enclosed_mass"), assumed.of("enclosed_mass"), strict=True))
    for one, other in both:
        assert abs(one.value - other.value) < 0.35 * (other.hi68 - other.lo68)
    wider = [(a.hi68 - a.lo68) / (b.hi68 - b.lo68) for a, b in both]
    assert np.mean(wider) > 1.02


def test_the_inner_slope_is_moved_to_where_v_c_is_allowed():
    for density in (FORM, FittedDensity(FORM, 0.7, np.tile([*SLOPES, BREAK, 0.7], (4, 1)))):
        slope = float(density.slope(10.0))
        limits = InnerVc(10.0, (200.0, 250.0))
        assert limits.adjust(density, 10.0, 230.0**2, -1e4) is density
        # v_c^2 falls by 1e4 with each unit of the slope
        moved = limits.adjust(density, 10.0, 260.0**2, -1e4)
        square = 260.0**2 - 1e4 * (float(moved.slope(10.0)) - slope)
        assert square == pytest.approx(250.0**2, rel=1e-6)
        assert float(moved.slope(80.0)) == pytest.approx(float(density.slope(80.0)), abs=0.01)
    with pytest.raises(EstimationError, match="no inner slope gives v_c = 250"):
        InnerVc().adjust(FORM, 60.0, 260.0**2, -1e4)


def test_a_mass_with_an_inner_slope_to_be_moved_ends_at_the_limit(scale_free):
    stars = scale_free(4000, seeded(1), edges=(5.0, 60.0))
    settings = {
        "bins": [5.0, 15.0, 25.0, 60.0],
        "alpha": {"slopes": [-3.5, -3.5], "breaks": [30.0], "width": 0.1},
    }
    for kind, own in (("jeans-3d", {}), ("tracer-mass", {"beta": 0.0})):
        free = measure(stars, kind, nfw="none", **settings, **own).of("enclosed_mass")[0]
        v_c = np.sqrt(4.300917e-6 * free.value / free.r)
        limits = [0.8 * v_c, 0.9 * v_c]
        bound = measure(
            stars, kind, nfw="none", **settings, **own, inner_vc={"r": 10.0, "limits": limits}
        ).of("enclosed_mass")
        assert np.sqrt(4.300917e-6 * bound[0].value / bound[0].r) == pytest.approx(
            limits[1], rel=0.01
        )


def test_what_is_not_known_is_said_in_one_line():
    catalogue = seen(2)
    bare = replace(catalogue, selection=None)
    with pytest.raises(InputError, match="needs the selection function of its survey"):
        measure(bare, "tracer-density")
    with pytest.raises(InputError, match="survey: error_max"):
        measure(bare, "tracer-density", survey="desi-kgiants")
    same = measure(bare, "tracer-density", survey=SURVEY).of("alpha")
    assert [row.value for row in same] == [
        row.value for row in measure(catalogue, "tracer-density").of("alpha")
    ]
    south = {**SURVEY, "footprint": {"dec_max": -5.0}}
    rows = measure(bare, "tracer-density", survey=south)
    assert all("where the selection function of the survey has none" in row.note for row in rows)


def test_the_true_slope_and_break_are_those_of_the_mock():
    halo = {
        "kind": "equilibrium",
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "beta": {"kind": "constant", "beta": 0.0},
        "r_range": [3.0, 200.0],
    }
    broken = {"kind": "broken-power-law", "slopes": [-2.6, -4.4], "breaks": [BREAK]}
    truth = make_mock({**halo, "density": broken}).truth
    assert truth.value("r_break") == pytest.approx(BREAK, rel=1e-3)
    assert truth.value("alpha", 6.0) == pytest.approx(-2.6, abs=1e-3)
    assert truth.value("alpha", 80.0) == pytest.approx(-4.4, abs=1e-3)
    twice = {"kind": "broken-power-law", "slopes": [-2.0, -3.0, -4.0], "breaks": [10.0, 50.0]}
    for density in ({"kind": "power-law", "slope": -3.5}, twice):
        assert np.isnan(make_mock({**halo, "density": density}).truth.value("r_break"))


def test_a_cut_by_place_leaves_no_known_selection_and_one_by_velocity_does(tmp_path):
    halo = {
        "kind": "local-jeans-gaussian",
        "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
        "density": {"kind": "power-law", "slope": -3.5},
        "beta": {"kind": "constant", "beta": 0.0},
        "r_range": [3.0, 200.0],
    }
    scenario = {
        "name": "cut",
        "title": "cut",
        "mock": halo,
        "survey": {"n_stars": 200, "r_min": 5.0, "r_max": 60.0},
        "estimators": [{"kind": "tracer-density", "alpha": -3.5}],
        "realizations": 1,
    }
    height, energy = [{"kind": "height-cut"}], [{"kind": "energy-cut"}]
    assert mock({**scenario, "clean": energy}).catalogue.selection is not None
    assert mock({**scenario, "clean": height}).catalogue.selection is None
    with pytest.raises(InputError, match="needs the selection function of its survey"):
        run({**scenario, "clean": height}, tmp_path / "out", workers=0)


def test_stars_at_one_radius_have_no_density():
    star = {"x": 10.0, "y": 5.0, "z": 8.0, "vx": 1.0, "vy": 2.0, "vz": 3.0}
    rows = make_estimator({"kind": "tracer-density"}).estimate(
        catalogue_of({name: np.full(100, value) for name, value in star.items()}), seeded(1)
    )
    assert {row.note for row in rows} == {"all stars are at one radius"}
