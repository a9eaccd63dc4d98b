from __future__ import annotations

import healpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import seeded

from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue, spans
from haloassay.contracts.frames import (
    Sun,
    galactocentric_to_heliocentric,
    sky_basis,
    spherical_basis,
)
from haloassay.contracts.sky import quadrant
from haloassay.estimators import make_estimator
from haloassay.estimators.bins import resampled_catalogues
from haloassay.estimators.cells import (
    Cells,
    drawn_dispersions,
    grid_cells,
    log_dispersion,
    scatter_posterior,
)
from haloassay.estimators.fit import quadrupole
from haloassay.estimators.gathering import packed
from haloassay.estimators.rows import weighted_mean_row
from haloassay.estimators.sky_map import (
    ChemicalLine,
    bootstrap_correlation,
)

NAMES = ("x", "y", "z", "vx", "vy", "vz")


def sky(n, rng, sigma_r=130.0, stretch=None, errors=0.0, **more):
    """Stars isotropic about the centre; sigma_r times exp(stretch(direction)); errors in km/s."""
    toward = rng.standard_normal((n, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    x = 10.0 * np.exp(1.1 * rng.random(n))[:, None] * toward
    sigma = np.array([sigma_r, 80.0, 80.0]) * np.ones((n, 1))
    if stretch is not None:
        sigma[:, 0] *= np.exp(stretch(toward))
    v = np.einsum("nk,nki->ni", sigma * rng.standard_normal((n, 3)), spherical_basis(toward))
    v += errors * rng.standard_normal((n, 3))
    columns = dict(zip(NAMES, np.hstack([x, v]).T, strict=True))
    if errors:
        more.update({f"{name}_err": np.full(n, errors) for name in NAMES[3:]})
    return Catalogue.from_arrays(**columns, **more)


def rows_of(catalogue, seed=0, **spec):
    estimator = make_estimator({"kind": "sky-map", **spec})
    return estimator.estimate(catalogue, seeded(seed))


def one(rows, quantity):
    (row,) = rows.of(quantity)
    return row


def test_pixels_are_healpix_ring_in_galactic_coordinates():
    import astropy.units as u
    from astropy.coordinates import SkyCoord

    catalogue = sky(400, seeded(1))
    helio = galactocentric_to_heliocentric(catalogue.position, catalogue.velocity, Sun())
    galactic = SkyCoord(helio["ra"] * u.deg, helio["dec"] * u.deg).galactic
    pixel = healpy.ang2pix(2, galactic.l.deg, galactic.b.deg, lonlat=True)
    for stars in (catalogue, Catalogue.from_arrays(**helio)):
        rows = rows_of(stars, map="healpix", nside=2, n_draws=2).of("sigma_r")
        assert [row.bin for row in rows] == list(range(48))
        for row in rows:
            inside = catalogue.r[pixel == row.bin]
            assert (row.note == "") == (len(inside) >= 10)
            assert len(inside) == 0 or row.r == pytest.approx(np.median(inside))


def test_quadrants_are_those_of_the_paper():
    direction = sky_basis(np.array([270.0, 90, 90, 270]), np.array([30.0, 30, -30, -30]))[:, 0]
    assert quadrant(direction).tolist() == [0, 1, 2, 3]


def test_a_grid_point_has_the_stars_within_the_radius():
    rng = seeded(2)
    points = rng.uniform(-6.0, 6.0, (300, 2))
    cells = grid_cells(points, 4.0, 1.0, 2.0)
    assert len(cells) == 81
    i, j = 2, 7  # x = -2, y = 3
    near = np.flatnonzero(np.hypot(points[:, 0] + 2.0, points[:, 1] - 3.0) <= 2.0)
    np.testing.assert_array_equal(cells.members(i * 9 + j), near)
    together = np.concatenate([cells.members(k) for k in cells.independent])
    assert len(np.unique(together)) == len(together)


def test_xz_maps_are_of_x_and_z():
    rng = seeded(3)
    catalogue = sky(3000, rng, stretch=lambda n: 0.5 * np.sign(n[:, 2]))
    spec = {"extent": 20.0, "step": 10.0, "radius": 8.0, "n_draws": 50}
    up, down = (rows_of(catalogue, map="xz", **spec).of("sigma_r")[2 * 5 + k].value for k in (3, 1))
    assert up / down == pytest.approx(np.e, rel=0.2)
    left, right = (
        rows_of(catalogue, map="xy", **spec).of("sigma_r")[2 * 5 + k].value for k in (3, 1)
    )
    assert left / right == pytest.approx(1.0, rel=0.2)


def test_draws_are_those_of_the_recipe_written_out():
    rng = seeded(4)
    v = rng.standard_normal((40, 3)) * 100.0
    root = np.tril(rng.standard_normal((40, 3, 3))) * 20.0
    S = root @ np.swapaxes(root, 1, 2)
    cells = Cells.of_numbers(np.repeat([0, 1], [30, 10]), 2)
    fast = drawn_dispersions(v, packed(S), cells, 1500, 0.1, seeded(5))
    slow = np.empty((2, 1500, 3))
    for draw in range(1500):
        drawn = v + np.einsum("nij,nj->ni", root, rng.standard_normal((40, 3)))
        for k in range(2):
            members = rng.permutation(cells.members(k))[len(cells.members(k)) // 10 :]
            slow[k, draw] = drawn[members].std(axis=0, ddof=1)
    spread = slow.std(axis=1)
    assert np.all(np.abs(fast.mean(axis=1) - slow.mean(axis=1)) < 4.0 * spread * np.sqrt(2 / 1500))
    np.testing.assert_allclose(fast.std(axis=1), spread, rtol=4.0 * np.sqrt(1.0 / 1500))


def coverage(recipe, errors, n_stars, n_samples):
    """(bias, its Monte Carlo error, shares within 68 and 95 per cent) of sigma_r and beta; quadrants."""
    found = {"sigma_r": [], "beta": []}
    truth = {"sigma_r": 130.0, "beta": 1.0 - (80.0 / 130.0) ** 2}
    for k in range(n_samples):
        catalogue = sky(n_stars, seeded(6, k), errors=errors)
        rows = rows_of(catalogue, seed=k, map="quadrants", recipe=recipe, n_draws=400)
        for quantity, values in found.items():
            values += rows.of(quantity)
    out = {}
    for quantity, rows in found.items():
        t = truth[quantity]
        e = np.array([row.value - t for row in rows])
        in68 = np.mean([row.lo68 <= t <= row.hi68 for row in rows])
        in95 = np.mean([row.lo95 <= t <= row.hi95 for row in rows])
        out[quantity] = e.mean(), e.std() / np.sqrt(len(e)), in68, in95
    return out, 4 * n_samples


@pytest.mark.slow
def test_deconvolved_maps_are_unbiased_and_their_intervals_hold():
    scores, n = coverage("deconvolved", 40.0, 1200, 60)
    for quantity, (bias, mcse, in68, in95) in scores.items():
        # medians of skewed posteriors lie a little off: a tenth of the scatter of one map
        assert abs(bias) < 4.0 * mcse + 0.1 * mcse * np.sqrt(n), quantity
        assert abs(in68 - 0.68) < 4.0 * np.sqrt(0.68 * 0.32 / n), quantity
        assert abs(in95 - 0.95) < 4.0 * np.sqrt(0.95 * 0.05 / n), quantity


def test_a_published_mean_is_weighted_by_the_errors_and_knows_its_own():
    """Li et al. (2026): numpy's weighted average; its error against the scatter over samples."""
    rng = seeded(11)
    error = rng.uniform(3.0, 60.0, 300)
    found = []
    for _ in range(400):
        v = -20.0 + np.hypot(100.0, error) * rng.standard_normal(300)
        row = weighted_mean_row(v, error**2)
        found.append((row.value, row.hi68 - row.value, row.hi95 - row.value))
    assert row.value == pytest.approx(np.average(v, weights=error**-2.0))
    value, half, wide = np.array(found).T
    assert abs(value.mean() + 20.0) < 4.0 * value.std() / 20.0
    # few stars have most of the weight: their scatter is known to a tenth, and a little small
    assert half.mean() == pytest.approx(value.std(), rel=4.0 / np.sqrt(800.0) + 0.05)
    assert wide.mean() == pytest.approx(1.96 * half.mean())


@pytest.mark.parametrize("recipe", ["as-published", "deconvolved"])
def test_cells_have_the_mean_radial_velocity_of_their_stars(recipe):
    stars = sky(8000, seeded(12))
    toward = stars.position / stars.r[:, None]
    moving = stars.velocity + 30.0 * toward[:, 2:] * toward
    moved = Catalogue.from_arrays(
        **dict(zip(NAMES, np.hstack([stars.position, moving]).T, strict=True))
    )
    for before, row in zip(
        rows_of(stars, map="quadrants", recipe=recipe).of("mean_v_r"),
        rows_of(moved, map="quadrants", recipe=recipe).of("mean_v_r"),
        strict=True,
    ):
        here = stars.select(row.stars)
        rise = 30.0 * float(np.mean(here.position[:, 2] / here.r))
        error = 0.5 * (row.hi68 - row.lo68)
        assert error == pytest.approx(130.0 / np.sqrt(len(here)), rel=0.15)
        assert abs(row.value - before.value - rise) < 0.3 * error


@pytest.mark.slow
def test_published_intervals_are_a_third_of_the_sampling_error():
    """A finding: leaving out 10 per cent scatters by sqrt(0.1 / 0.9) of the sampling error."""
    scores, n = coverage("as-published", 0.0, 1200, 50)
    bias, mcse, in68, in95 = scores["sigma_r"]
    assert abs(bias) < 4.0 * mcse
    assert abs(in68 - 0.26) < 4.0 * np.sqrt(0.26 * 0.74 / n) + 0.02
    assert abs(in95 - 0.49) < 4.0 * np.sqrt(0.49 * 0.51 / n) + 0.02


def test_published_dispersions_have_the_errors_twice():
    rows = rows_of(sky(40000, seeded(7), errors=40.0), map="quadrants", n_draws=100)
    want = np.sqrt(130.0**2 + 2.0 * 40.0**2)
    beta = 1.0 - (80.0**2 + 3200.0) / want**2
    for row in rows.of("sigma_r"):
        assert abs(row.value - want) < 4.0 * want / np.sqrt(20000.0)
    assert np.mean([row.value for row in rows.of("beta")]) == pytest.approx(beta, abs=0.02)


@pytest.mark.slow
def test_asymmetry_of_a_symmetric_halo_reaches_down_to_zero_and_of_a_dipole_is_its_rms():
    quiet, planted = [], []
    for k in range(50):
        rng = seeded(8, k)
        if k < 20:  # which take most of the time
            rows = rows_of(sky(3000, rng), map="healpix", nside=2, n_draws=200)
            quiet.append(one(rows, "asymmetry"))
        # hot north, cold south of the Galaxy's centre, as seen from there
        n = np.repeat(rng.integers(30, 120, 60), 1)
        log_sigma = 0.2 * rng.standard_normal(60)
        cells = Cells.of_numbers(np.repeat(np.arange(60), n), 60)
        v = np.repeat(np.exp(log_sigma), n) * 130.0 * rng.standard_normal(n.sum())
        value, error = log_dispersion(v, np.zeros(len(v)), cells)
        planted.append(
            np.percentile(scatter_posterior(value, error, 400, rng), [2.5, 16, 50, 84, 97.5])
        )
    assert np.mean([row.lo95 < 0.02 for row in quiet]) > 0.75
    assert np.median([row.value for row in quiet]) < 0.03
    planted = np.array(planted)
    mean, mcse = planted[:, 2].mean(), planted[:, 2].std() / np.sqrt(50)
    assert abs(mean - 0.2) < 4.0 * mcse + 0.004  # the posterior of a scale is skewed
    in68 = np.mean((planted[:, 1] <= 0.2) & (planted[:, 3] >= 0.2))
    in95 = np.mean((planted[:, 0] <= 0.2) & (planted[:, 4] >= 0.2))
    assert abs(in68 - 0.68) < 4.0 * np.sqrt(0.68 * 0.32 / 50)
    assert in95 > 0.95 - 4.0 * np.sqrt(0.95 * 0.05 / 50)


def test_asymmetry_does_not_grow_with_errors_that_vary_over_the_sky():
    rng = seeded(9)
    n = np.full(100, 200)
    cells = Cells.of_numbers(np.repeat(np.arange(100), n), 100)
    noise = np.repeat(rng.uniform(0.0, 150.0, 100), n) ** 2
    v = 130.0 * rng.standard_normal(20000) + np.sqrt(noise) * rng.standard_normal(20000)
    right = scatter_posterior(*log_dispersion(v, noise, cells), 500, rng)
    wrong = scatter_posterior(*log_dispersion(v, np.zeros(20000), cells), 500, rng)
    assert np.percentile(right, 2.5) < 0.03
    # of variances from 130^2 to 130^2 + 150^2, ln sigma scatters by 0.132; that of 100 is known to 1 / sqrt(200)
    assert np.percentile(wrong, 2.5) > 0.132 * (1.0 - (4.0 + 2.0) / np.sqrt(200.0))


@pytest.mark.parametrize("tail", ["gauss", "laplace", "uniform"])
def test_log_dispersions_are_unbiased_and_know_the_kurtosis(tail):
    rng = seeded(10)
    n = 25
    draw = {
        "gauss": rng.standard_normal,
        "laplace": lambda size: rng.laplace(scale=np.sqrt(0.5), size=size),
        "uniform": lambda size: rng.uniform(-np.sqrt(3.0), np.sqrt(3.0), size),
    }[tail]
    v = 100.0 * draw(4000 * n)
    cells = Cells.of_numbers(np.repeat(np.arange(4000), n), 4000)
    value, error = log_dispersion(v, np.zeros(len(v)), cells)
    assert abs(value.mean() - np.log(100.0)) < 4.0 * value.std() / np.sqrt(4000) + 0.005
    # the next order in 1 / n is a tenth for the heaviest tails, the scatter is known to 1 / sqrt(2 * 4000)
    assert error[0] == pytest.approx(value.std(), rel=0.1 + 4.0 / np.sqrt(8000.0))


def test_correlation_with_the_accreted_fraction_is_found():
    rng = seeded(11)
    n = 20000
    hot = sky(n, rng, sigma_r=150.0, feh=np.full(n, -1.3), alpha_fe=np.full(n, 0.2))
    cold = sky(n, rng, sigma_r=70.0, feh=np.full(n, -0.5), alpha_fe=np.full(n, 0.3))
    # accreted stars towards +y, in-situ ones towards -y
    keep = [
        rng.random(n) < 0.5 + 0.4 * s * c.position[:, 1] / c.r for s, c in ((1, hot), (-1, cold))
    ]
    both = Catalogue({k: np.concatenate([hot[k][keep[0]], cold[k][keep[1]]]) for k in hot.columns})
    rows = rows_of(both, n_draws=300)
    for quantity in ("sigma_r_accreted_correlation", "beta_accreted_correlation"):
        row = one(rows, quantity)
        assert row.value > 0.7
        assert row.lo95 > 0.5
    assert one(rows, "asymmetry").lo95 > 0.1
    accreted = rows_of(both, population="accreted", map="quadrants", n_draws=50)
    in_situ = rows_of(both, population="in-situ", map="quadrants", n_draws=50)
    assert np.mean([row.value for row in accreted.of("sigma_r")]) == pytest.approx(150.0, rel=0.03)
    assert np.mean([row.value for row in in_situ.of("sigma_r")]) == pytest.approx(70.0, rel=0.03)
    assert "only accreted stars" in one(accreted, "beta_accreted_correlation").note


def test_the_chemical_line_divides_the_known_populations():
    # metal-poor halo, Gaia-Sausage-Enceladus; thick disc, thin disc
    got = ChemicalLine().accreted(
        np.array([-2.2, -1.2, -0.6, 0.0]), np.array([0.35, 0.2, 0.3, 0.05])
    )
    assert got.tolist() == [True, True, False, False]


def test_correlations_are_scipy_s():
    from scipy.stats import pearsonr, spearmanr

    rng = seeded(12)
    x = np.round(rng.random(30), 1)
    y = x + rng.random(30)
    for kind, known in (("pearson", pearsonr), ("spearman", spearmanr)):
        got = bootstrap_correlation(x, y, kind, 20, seeded(1))
        rows = resampled_catalogues(30, 20, seeded(1))
        np.testing.assert_allclose(got, [known(x[i], y[i])[0] for i in rows], rtol=1e-10)


@given(st.floats(0.1, 10.0))
@settings(max_examples=8, deadline=None)
def test_scaled_velocities_scale_the_map_and_leave_beta_and_asymmetry(k):
    catalogue = sky(600, seeded(13), errors=20.0)
    columns = {
        name: values * (k if name.startswith("v") else 1.0)
        for name, values in catalogue.columns.items()
    }
    for recipe in ("as-published", "deconvolved"):
        spec = {"map": "healpix", "nside": 1, "n_draws": 50, "recipe": recipe}
        for a, b in zip(
            rows_of(catalogue, **spec), rows_of(Catalogue(columns), **spec), strict=True
        ):
            factor = k if a.unit == "km/s" else 1.0
            assert a.note == b.note
            assert a.note or b.value == pytest.approx(factor * a.value, rel=1e-5, abs=1e-6)


def test_radial_bins_number_their_cells_on():
    rows = rows_of(sky(4000, seeded(14)), map="quadrants", bins=[10, 15, 20, 50], n_draws=20)
    assert [row.bin for row in rows.of("beta")] == list(range(12))
    assert [row.bin for row in rows.of("asymmetry")] == [0, 1, 2]
    assert [(row.r_lo, row.r_hi) for row in rows.of("beta")[4:8]] == [(15.0, 20.0)] * 4
    assert all(row.r_lo <= row.r < row.r_hi for row in rows.of("sigma_r"))


def test_cells_without_enough_stars_say_so():
    south = sky(600, seeded(15))
    half = south.select(south.position[:, 2] < -2.0)
    rows = rows_of(half, map="quadrants", n_draws=20)
    assert [row.note[:17] for row in rows.of("sigma_r")[:2]] == ["too few stars: 0,"] * 2
    assert all(np.isfinite(row.value) for row in rows.of("sigma_r")[2:])
    assert "too few cells" in one(rows, "asymmetry").note
    assert "no columns feh" in one(rows, "sigma_r_accreted_correlation").note


def test_errors_beyond_the_dispersion_are_said_not_shown():
    catalogue = sky(200, seeded(16), errors=2000.0)
    rows = rows_of(catalogue, map="quadrants", recipe="deconvolved", n_draws=20)
    assert any("too large to resolve" in row.note for row in rows.of("beta"))


def test_stars_without_scatter_have_no_map():
    columns = dict(sky(100, seeded(17)).columns)
    columns.update({name: np.zeros(100) for name in NAMES[3:]})
    for recipe in ("as-published", "deconvolved"):
        rows = rows_of(Catalogue(columns), map="quadrants", recipe=recipe, n_draws=20)
        assert all("no scatter" in row.note for row in rows.of("beta"))
        assert all(row.note for row in rows)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"nside": 3}, "nside: a power of two"),
        ({"map": "sky"}, "estimators.map"),
        ({"step": 0.0}, "step is positive"),
        ({"extent": 1e6}, "at most 1001 grid points"),
        ({"min_stars": 2}, "min_stars: at least 5"),
        ({"drop": 0.9}, "drop is between 0 and 0.5"),
    ],
)
def test_bad_settings_are_named(spec, message):
    with pytest.raises(InputError, match=message):
        make_estimator({"kind": "sky-map", **spec})


def test_populations_need_abundances():
    plain = sky(50, seeded(18))
    with pytest.raises(InputError, match="'feh' is missing"):
        rows_of(plain, population="accreted")
    broken = sky(50, seeded(18), feh=np.full(50, np.nan), alpha_fe=np.zeros(50))
    with pytest.raises(
        InputError, match="50 of 50 stars have a feh or alpha_fe that is not finite"
    ):
        rows_of(broken)


# ------------------------------------------------------------------------------------ the axis


def tilted(angle, plane=(0, 2), strength=0.25):
    """Stretch of sigma_r by exp(strength cos^2) about an axis at an angle [deg] in a plane."""
    axis = np.zeros(3)
    axis[list(plane)] = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return lambda toward: strength * (toward @ axis) ** 2


@pytest.mark.parametrize(("map", "plane"), [("xz", (0, 2)), ("xy", (0, 1)), ("healpix", (0, 2))])
@pytest.mark.parametrize("angle", [25.0, -60.0, 88.0])
def test_the_axis_of_the_dispersion_is_found_in_its_plane(map, plane, angle):
    catalogue = sky(8000, seeded(31), stretch=tilted(angle, plane), errors=20.0)
    row = one(rows_of(catalogue, map=map, step=5.0, n_draws=200), "axis_offset")
    half = 0.5 * (row.hi68 - row.lo68)
    assert 1.0 < half < 8.0
    assert abs((row.value - angle + 90.0) % 180.0 - 90.0) < 4.0 * half
    beside = {"map": map, "step": 5.0, "n_draws": 200, "density_axis": angle}
    assert abs(one(rows_of(catalogue, **beside), "axis_offset").value) < 4.0 * half


def test_a_footprint_and_a_falling_dispersion_make_no_axis_and_leave_a_true_one():
    """Half of the sky, whose depth changes with height, of a halo that is hotter inside."""
    offs, halves = [], []
    for k in range(40):
        rng = seeded(100 + k)
        whole = sky(9000, rng, stretch=tilted(25.0), errors=10.0)
        x = whole.position
        seen = (x[:, 2] > -0.3 * x[:, 0] - 5.0) & (np.abs(x[:, 2]) > 5.0)
        seen &= np.linalg.norm(x, axis=1) < 15.0 + 0.6 * np.abs(x[:, 2])
        cooler = (np.linalg.norm(x, axis=1) / 15.0) ** -0.4
        v = whole.velocity * cooler[:, None]
        columns = dict(zip(NAMES, np.hstack([x, v])[seen].T, strict=True))
        row = one(rows_of(Catalogue.from_arrays(**columns), n_draws=100), "axis_offset")
        offs.append(row.value - 25.0)
        halves.append(0.5 * (row.hi68 - row.lo68))
    error = np.std(offs, ddof=1) / np.sqrt(len(offs))
    assert abs(np.mean(offs)) < 4.0 * error
    assert np.std(offs, ddof=1) < 1.6 * np.mean(halves)  # 4 sigma of 40, and some room for skewness
    assert np.std(offs, ddof=1) > 0.55 * np.mean(halves)


def test_a_round_dispersion_has_no_axis_and_few_stars_say_so():
    wide = one(rows_of(sky(4000, seeded(5)), n_draws=400), "axis_offset")
    assert wide.hi95 - wide.lo95 > 90.0
    few = one(rows_of(sky(79, seeded(5))), "axis_offset")
    assert few.note == "too few stars: 79, at least 80 are needed"
    noisy = one(rows_of(sky(4000, seeded(5), errors=200.0)), "axis_offset")
    assert noisy.note.startswith("the errors are larger than the dispersion")
    with pytest.raises(InputError, match="density_axis"):
        make_estimator({"kind": "sky-map", "density_axis": 91.0})


def test_the_quadrupole_of_many_stars_is_that_of_all_at_once(monkeypatch):
    rng = seeded(5)
    position = rng.standard_normal((2000, 3)) * [20.0, 15.0, 10.0]
    x = position[:, 0] / np.linalg.norm(position, axis=1)
    v = rng.standard_normal(2000) * 100.0 * np.exp(0.3 * x**2)
    noise = rng.uniform(50.0, 500.0, 2000)
    whole = quadrupole.dispersion_quadrupole(v, noise, position)
    monkeypatch.setattr(quadrupole, "BLOCK", 300)
    monkeypatch.setattr(quadrupole, "spans", lambda n: spans(n, 300))
    blocks = quadrupole.dispersion_quadrupole(v, noise, position)
    np.testing.assert_allclose(blocks.terms, whole.terms, rtol=1e-9)
    np.testing.assert_allclose(blocks.covariance, whole.covariance, rtol=1e-9)
