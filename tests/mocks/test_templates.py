"""Surveys of a catalogue of one's own: errors, footprint and selection."""

import healpy
import numpy as np
import pytest
from seeds import seeded
from stand_in_halo import observe

from haloassay.base.cache import plain_content
from haloassay.base.errors import InputError
from haloassay.contracts.catalogue import Catalogue
from haloassay.contracts.frames import SUNS
from haloassay.io.tables import write_catalogue
from haloassay.mocks.surveys.stated import StatedSelection
from haloassay.mocks.surveys.survey import make_survey

N = 20_000
#: Ten numbers of unit scatter: 4 sigma of the sum of their squares.
TEN_OF_UNIT_SCATTER = 10.0 + 4.0 * np.sqrt(20.0)
ERRORS = ("distance_err", "pmra_err", "pmdec_err", "vlos_err")


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Catalogue of one half of the sky whose errors grow with distance, and are larger in the east."""
    rng = seeded(5)
    ra, dec = rng.uniform(0.0, 360.0, N), np.degrees(np.arcsin(rng.uniform(0.0, 1.0, N)))
    distance = np.exp(rng.uniform(np.log(5.0), np.log(60.0), N))
    columns = {"ra": ra, "dec": dec, "distance": distance}
    columns |= {n: rng.standard_normal(N) for n in ("pmra", "pmdec", "vlos")}
    columns |= {
        "distance_err": 0.005 * distance**1.5,
        "pmra_err": np.where(ra < 180.0, 0.2, 0.1),
        "pmdec_err": np.full(N, 0.05),
        "vlos_err": 0.1 * distance,
    }
    path = tmp_path_factory.mktemp("template") / "stars.fits"
    write_catalogue(Catalogue(columns, SUNS["li2026"], "template"), path)
    return path, columns


def written(path, columns, **changed):
    kept = {k: v for k, v in {**columns, **changed}.items() if v is not None}
    write_catalogue(Catalogue(kept, SUNS["li2026"], "template"), path)
    return str(path)


def test_stars_have_the_errors_of_neighbours_in_sky_and_distance(template):
    path, _ = template
    made = observe({"n_stars": 4000, "template": str(path), "sun": "li2026"})
    c = made.catalogue
    away = np.linalg.norm(made.stars.position - c.sun.position, axis=1)
    inside = (away > 6.0) & (away < 50.0) & (c["dec"] > 3.0)
    relative = c["distance_err"][inside] / c["distance"][inside]
    np.testing.assert_allclose(relative, 0.005 * away[inside] ** 0.5, rtol=0.12)
    np.testing.assert_allclose(c["vlos_err"][inside], 0.1 * away[inside], rtol=0.25)
    deep = inside & (np.abs(c["ra"] - 90.0) < 60.0)
    assert np.all(c["pmra_err"][deep] == 0.2)
    assert np.all(c["pmdec_err"] == 0.05)
    # the noise is that of the stated errors
    z = np.log(c["distance"] / away)[inside] / relative
    assert abs(z.std() - 1.0) < 4.0 / np.sqrt(2.0 * inside.sum())


def test_errors_by_magnitude_are_those_of_stars_as_bright(template, tmp_path):
    from astropy.table import Table

    path, _ = template
    table = Table.read(path)
    table["g"] = np.linspace(10.0, 20.0, N)
    table["vlos_err"] = np.linspace(10.0, 20.0, N)
    table.write(tmp_path / "g.fits")
    spec = {"file": str(tmp_path / "g.fits"), "magnitude": "g", "sky_scale": 1000.0}
    luminosity = {"kind": "gaussian", "mean": 0.0, "sigma": 0.0}
    made = observe({"n_stars": 2000, "template": spec, "luminosity": luminosity, "g_offset": 0.5})
    away = np.linalg.norm(made.stars.position - made.catalogue.sun.position, axis=1)
    g = 5.0 * np.log10(away) + 10.5
    inside = (g > 11.0) & (g < 19.0)
    np.testing.assert_allclose(made.catalogue["vlos_err"][inside], g[inside], atol=0.2)


def test_a_footprint_is_where_the_catalogue_has_stars(template):
    path, _ = template
    spec = {"file": str(path), "selection": "footprint", "nside": 8}
    c = observe({"n_stars": 3000, "template": spec, "distance_error": 0.0}).catalogue
    assert np.all(c["dec"] > -np.degrees(healpy.nside2resol(8)))
    away = np.linalg.norm(c.position - c.sun.position, axis=1)
    assert len(away) == 3000
    # the share of stars that the other settings leave alone is the whole
    assert np.any(c["dec"] > 80.0)


def test_a_selection_is_found_again_where_the_density_is_right(tmp_path):
    """Of a mock seen with a known selection: with its own density so many by distance as there, with another not."""
    limits = {
        "magnitude_limits": [11.0, 18.0],
        "footprint": {"b_min": 20.0, "dec_min": -10.0},
        "sun": "li2026",
    }
    first = observe({"n_stars": 10_000, "pm_error": 0.1, "vlos_error": 1.0, **limits}).catalogue
    path = written(tmp_path / "first.fits", dict(first.columns))
    edges = np.quantile(first["distance"], np.linspace(0.0, 1.0, 11))
    right, wrong = {"slopes": [-2.8, -4.6], "breaks": [17.0]}, {"slopes": [-4.0]}
    for density, same in ((right, True), (wrong, False)):
        spec = {"file": path, "selection": "density-ratio", "density": density}
        again = observe({"n_stars": 10_000, "template": spec, "sun": "li2026"}, seed=77).catalogue
        away = np.linalg.norm(again.position - again.sun.position, axis=1)
        there, here = (np.histogram(d, edges)[0] for d in (first["distance"], away))
        off = (here - there) / np.sqrt(here + there)
        assert (np.sum(off**2) < TEN_OF_UNIT_SCATTER) == same
        pixels = [healpy.ang2pix(4, c["ra"], c["dec"], lonlat=True) for c in (first, again)]
        there, here = (np.bincount(each, minlength=192) for each in pixels)
        assert not np.any(here[there == 0])


def test_limits_of_the_survey_are_part_of_what_the_catalogue_passed(tmp_path):
    """They are not counted twice: so many by distance as in a catalogue that passed the same.

    A footprint that is less than that of the catalogue leaves its stars out, and the rest are by distance as there.
    """
    density = {"slopes": [-2.8, -4.6], "breaks": [17.0]}
    limits = {
        "magnitude_limits": [11.0, 18.0],
        "footprint": {"b_min": 20.0},
        "completeness": {"minimum": 0.3, "seed": 3, "per_magnitude": 0.2, "full_to": 15.0},
        "sun": "li2026",
    }
    first = observe({"n_stars": 10_000, "pm_error": 0.1, "vlos_error": 1.0, **limits}).catalogue
    path = written(tmp_path / "first.fits", dict(first.columns))
    edges = np.quantile(first["distance"], np.linspace(0.0, 1.0, 11))
    spec = {"file": path, "selection": "density-ratio", "density": density}
    for more in ({}, {"footprint": {"b_min": 20.0, "dec_min": 10.0}}):
        survey = {"n_stars": 10_000, "template": spec, **limits, **more}
        again = observe(survey, seed=78).catalogue
        north = first["dec"] > 10.0 if more else np.full(len(first), True)
        away = np.linalg.norm(again.position - again.sun.position, axis=1)
        there, here = (np.histogram(d, edges)[0] for d in (first["distance"][north], away))
        ratio = there.sum() / here.sum()
        off = (ratio * here - there) / np.sqrt(ratio**2 * here + there)
        assert np.sum(off**2) < TEN_OF_UNIT_SCATTER
    with pytest.raises(InputError, match=r"let 0 of its 10000 stars pass, fewer than 2 a shell"):
        observe({**survey, "magnitude_limits": [1.0, 2.0]})


def test_a_distance_scale_stretches_the_reach_of_a_template(template):
    """As seen by an observer whose distances are all too large, and who has nothing else to know luminosities by."""
    spec = {"file": str(template[0]), "selection": "density-ratio", "density": {"slopes": [-3.5]}}
    plain, far = (
        StatedSelection.of(make_survey({"n_stars": 10, "template": spec, "distance_scale": scale}))
        for scale in (1.0, 1.2)
    )
    toward = seeded(31).standard_normal((400, 3))
    toward /= np.linalg.norm(toward, axis=1)[:, None]
    distance = np.geomspace(5.0, 60.0, 400)
    wanted = plain.reach(toward, distance, "of-distances")
    assert len(np.unique(wanted)) > 5
    np.testing.assert_allclose(far.reach(toward, 1.2 * distance, "of-distances"), wanted)


def test_the_content_is_the_key_and_a_changed_file_is_another_survey(template, tmp_path):
    path, columns = template
    copy = tmp_path / "copy.fits"
    copy.write_bytes(path.read_bytes())
    one, same = (make_survey({"template": str(p)}) for p in (path, copy))
    assert plain_content(one) == plain_content(same)
    other = written(copy, columns, vlos_err=np.full(N, 3.0))
    changed = make_survey({"template": other})
    assert plain_content(changed) != plain_content(one)
    assert np.all(observe({"template": other, "n_stars": 50}).catalogue["vlos_err"] == 3.0)
    assert "template" not in plain_content(make_survey({}))
    with pytest.raises(InputError, match="the file is another one"):
        make_survey({"template": {"file": other, "digest": one.template.digest}})


@pytest.mark.parametrize(
    ("changed", "settings", "message"),
    [
        (
            {"distance_err": None, "pmra_err": None, "pmdec_err": None},
            {},
            "missing columns distance_err, pmra_err",
        ),
        ({"vlos_err": None}, {}, "missing column vlos_err"),
        ({}, {"selection": "density-ratio"}, "cannot be determined from a catalogue alone"),
        ({}, {"density": {"slopes": [-4.0]}}, "only with selection"),
        ({}, {"magnitude": "g"}, "no column 'g'"),
        ({}, {"neighbours": 0}, "neighbours"),
        ({}, {"nside": 3}, "power of 2"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(template, tmp_path, changed, settings, message):
    name = written(tmp_path / "t.fits", template[1], **changed)
    with pytest.raises(InputError, match=message) as caught:
        make_survey({"template": {"file": name, **settings}})
    assert "\n" not in str(caught.value)
    assert "survey" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("vlos", np.nan, r"vlos is NaN or infinite in 3 rows .*, or set vlos_known = false"),
        ("vlos", 9999.0, r"vlos is 9999 in 3 rows .*, or set vlos_known = false"),
        ("distance", np.nan, r"distance is NaN or infinite in 3 rows"),
        ("distance", 1.23e5, r"radius .* exceeds 10000 kpc in 3 rows"),
    ],
)
def test_rows_that_are_unusable_are_told_without_what_a_template_does_not_have(
    template, tmp_path, name, value, message
):
    values = template[1][name].copy()
    values[:3] = value
    path = written(tmp_path / "t.fits", template[1], **{name: values})
    with pytest.raises(InputError, match=message) as caught:
        make_survey({"template": path})
    assert "mend the file" in str(caught.value)
    assert not {"drop", "--unit", "--missing"} & set(str(caught.value).replace("(", " ").split())
    if name == "vlos":  # of a survey without them nothing is wrong
        make_survey({"template": path, "vlos_known": False})


def test_all_distances_in_pc_are_told_without_the_option_of_a_command(template, tmp_path):
    names = ("ra", "dec", "distance", "pmra", "pmdec", *ERRORS[:3])
    table = np.column_stack([template[1][name][:100] for name in names])
    table[:, [2, 5]] *= 1e3
    np.savetxt(tmp_path / "t.csv", table, delimiter=",", header=",".join(names), comments="")
    with pytest.raises(InputError, match=r"file: .*units stated\)$") as caught:
        make_survey({"template": str(tmp_path / "t.csv"), "vlos_known": False})
    assert "--" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "none"])
def test_a_template_that_is_none_is_told_how_to_be_left_out(name):
    with pytest.raises(InputError, match=f"template: file: '{name}' is no file; a survey without"):
        make_survey({"template": name})


def test_no_such_file_and_no_table():
    with pytest.raises(InputError, match="no such file"):
        make_survey({"template": "nowhere.fits"})
    with pytest.raises(InputError, match="template"):
        make_survey({"template": 3})


def test_completeness_of_a_map_is_the_share_that_is_seen(tmp_path):
    values = np.where(healpy.pix2vec(16, np.arange(12 * 256))[2] > 0.0, 0.8, 0.2)
    path = tmp_path / "c.fits"
    healpy.write_map(str(path), values, coord="C", dtype=float)
    c = observe({"n_stars": 20_000, "completeness": {"map": str(path)}}).catalogue
    whole = observe({"n_stars": 20_000}).catalogue
    north, all_north = (np.mean(x["dec"] > 0.0) for x in (c, whole))
    expected = 0.8 * all_north / (0.8 * all_north + 0.2 * (1.0 - all_north))
    assert abs(north - expected) < 0.02
    for wrong in ({"minimum": 0.5}, {"map_digest": "0"}):
        with pytest.raises(InputError, match=r"survey\.completeness: map"):
            make_survey({"completeness": {"map": str(path), **wrong}})
    healpy.write_map(str(path), 2.0 * values, coord="C", dtype=float, overwrite=True)
    with pytest.raises(InputError, match="probabilities are 0 to 1"):
        make_survey({"completeness": {"map": str(path)}})


def test_files_beside_a_scenario_are_found_from_anywhere(template, tmp_path, monkeypatch):
    from haloassay.planning.scenario import load_scenario

    beside = tmp_path / "study"
    beside.mkdir()
    (beside / "stars.fits").write_bytes(template[0].read_bytes())
    lines = ['[mock]\nkind = "equilibrium"', '[survey]\ntemplate = "stars.fits"']
    lines += ['footprint = { map = "none.fits" }', '[[estimators]]\nkind = "velocity-ellipsoid"']
    (beside / "s.toml").write_text('name = "s"\n' + "\n".join(lines))
    monkeypatch.chdir(tmp_path)
    survey = load_scenario("study/s.toml").survey
    assert survey["template"] == str(beside / "stars.fits")
    assert survey["footprint"]["map"] == "none.fits"
