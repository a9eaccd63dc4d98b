"""`haloassay figure` and `report --figures`: files of a run that is there, and refusals of one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from refusing import refused

import haloassay
from haloassay.base.errors import HaloassayWarning, InputError
from haloassay.face.figures import write_figures

WITHOUT = "print('matplotlib' in sys.modules)"


@pytest.fixture(scope="module")
def folder(finished):
    return finished[0]


def test_a_figure_is_written_and_its_caption_printed(call, folder, tmp_path):
    out = tmp_path / "bias.svg"
    answer = call("figure", folder, "bias", "--quantity", "sigma_r", "--out", out)
    assert (answer.code, answer.err) == (0, "")
    assert out.read_bytes().startswith(b"<?xml")
    size, caption = answer.text.splitlines()
    assert size.startswith(f"{out}: 3.46 x ")
    assert caption.startswith("Bias of σ_r against radius.")
    assert [path.name for path in tmp_path.iterdir()] == ["bias.svg"]


def test_labels_are_those_of_the_scenario(folder):
    found = haloassay.figure(folder, "bias", "sigma_r", estimator="velocity-ellipsoid")
    (legend,) = found.legends
    assert legend.get_title().get_text() == "survey.distance_scale"
    assert [text.get_text() for text in legend.get_texts()] == ["1.0", "1.1", "no bias"]
    scores = haloassay.table(folder).query("quantity == 'sigma_r' and cell == 'base'")
    points = found.axes[0].containers[0].lines[0]
    np.testing.assert_allclose(points.get_ydata(), 100.0 * scores["bias"])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("bias", {"quantity": "beta", "r": 10.0}),
        ("bias", {"quantity": ["sigma_r", "beta"], "r": 10.0, "width": "mnras-wide"}),
        ("coverage", {"quantity": "beta", "cell": "base"}),
        ("coverage", {"quantity": "beta", "r": 10.0}),
        ("ranks", {"quantity": "beta", "estimator": "velocity-ellipsoid"}),
        ("ranks", {"quantity": ["beta", "sigma_r"], "r": 10.0}),
        ("cloud", {"quantity": "sigma_r"}),
        ("cloud", {"quantity": "sigma_r", "r": 10.0}),
        ("cloud", {"quantity": ("sigma_r", "beta"), "r": 10.0}),
        ("profile", {"quantity": "beta"}),
        ("profile", {"quantity": ("beta", "sigma_r"), "cell": "base"}),
    ],
)
def test_every_kind_is_drawn(folder, kind, options):
    found = haloassay.figure(folder, kind, **options)
    assert len(found.axes) >= 1
    found.canvas.draw()


def test_a_radius_chooses_one_bin_in_every_kind(folder):
    """Of the two bins of the run, by their edges and not by what is nearest."""
    frame = haloassay.Results(folder).frame("estimates")
    chosen = frame.query("quantity == 'sigma_r' and cell == 'base' and bin == 1")
    edges = chosen["r_lo"].min(), chosen["r_hi"].max()
    near = edges[0] * 1.001
    (axes,) = haloassay.figure(folder, "cloud", "sigma_r", r=near, cell="base").axes
    drawn = np.concatenate([x.get_xdata() for x in axes.lines if x.get_marker() == "o"])
    assert sorted(drawn) == pytest.approx(sorted(chosen["value"]))


def test_a_figure_higher_than_a_page_is_drawn_and_said(folder, monkeypatch):
    monkeypatch.setattr("haloassay.face.figures._PAGE", 2.0)
    with pytest.warns(HaloassayWarning, match="inches high, more than a page"):
        haloassay.figure(folder, "profile", "beta")


REFUSALS = {
    "no quantity": (["bias"], ["needs a quantity"]),
    "no such quantity": (["bias", "--quantity", "sigma_"], ["did you mean 'sigma_r'"]),
    "of the vocabulary, not of the run": (["cloud", "--quantity", "m200"], ["unknown quantity"]),
    "several": (["bias", "--quantity", "beta", "--quantity", "sigma_r"], ["one quantity"]),
    "no such estimator": (
        ["bias", "--quantity", "beta", "--estimator", "velocity-elipsoid"],
        ["did you mean 'velocity-ellipsoid'"],
    ),
    "an estimator without it": (
        ["bias", "--quantity", "beta", "--estimator", "fingerprint"],
        ["fingerprint has no value", "velocity-ellipsoid"],
    ),
    "no draws": (
        ["ranks", "--estimator", "fingerprint"],
        ["fingerprint gives no posterior draws", "velocity-ellipsoid"],
    ),
    "no such cell": (["coverage", "--cell", "bse"], ["did you mean 'base'"]),
    "no such radius": (["bias", "--quantity", "beta", "--r", "5000"], ["outside its radii"]),
    "no radius for a budget": (["budget", "--quantity", "beta"], ["several radii"]),
    "a cell of a budget": (["budget", "--quantity", "beta", "--cell", "base"], ["--cell"]),
    "a radius of a profile": (["profile", "--quantity", "beta", "--r", "10"], ["--r"]),
    "no sky": (["sky", "--quantity", "beta"], ["no place on the sky", "sky-map"]),
    "two of several radii": (
        ["cloud", "--quantity", "beta", "--quantity", "sigma_r"],
        ["several radii"],
    ),
    "no such kind": (["pie"], ["'bias'", "'profile'"]),
    "no such width": (["coverage", "--width", "apjl"], ["did you mean 'apj'"]),
    "no such style": (["coverage", "--style", "nowhere.mplstyle"], ["no such style file"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_drawn_is_refused(call, folder, tmp_path, case):
    words, said = REFUSALS[case]
    refused(call, tmp_path, "figure", folder, *words, "--out", tmp_path / "x.pdf", words=said)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x.gif", "'.gif' is of no format"),
        ("x", "no ending"),
        ("nowhere/x.pdf", "there is no folder"),
        ("out/estimates/x.png", "stands among the results"),
    ],
)
def test_files_that_cannot_be_are_refused(call, folder, tmp_path, name, said):
    shutil.copytree(folder, tmp_path / "out")
    out = tmp_path / "out"
    words = ["figure", out, "coverage", "--out", tmp_path / name]
    refused(call, tmp_path, *words, words=[said])


def test_a_style_is_not_written_over(call, folder, tmp_path):
    style = tmp_path / "my.svg"
    style.write_text("font.size: 9\n")
    words = ["figure", folder, "coverage", "--style", style, "--out", style]
    refused(call, tmp_path, *words, words=["is the style itself"])


def test_what_matplotlib_cannot_do_is_the_fault_of_the_style(call, folder, tmp_path):
    style = tmp_path / "my.mplstyle"
    style.write_text("savefig.dpi: -5\n")
    words = ["figure", folder, "cloud", "--quantity", "beta", "--style", style]
    line = refused(call, tmp_path, *words, "--out", tmp_path / "x.png")
    assert f"{style}: cannot be drawn in" in line


def test_a_run_without_factors_has_no_budget(folder, tmp_path, monkeypatch):
    told = json.loads((folder / "run.json").read_text())
    results = haloassay.Results(folder, {**told, "factors": []})
    monkeypatch.setattr("haloassay.results.results.Results", lambda out: results)
    with pytest.raises(InputError, match="has no factors"):
        haloassay.figure(folder, "budget", "beta", r=10.0, estimator="velocity-ellipsoid")


def test_all_figures_are_written_beside_the_results(folder, tmp_path, monkeypatch, capsys):
    from haloassay.analysis.summary import summarise

    shutil.copytree(folder, tmp_path / "out")
    results = haloassay.Results(tmp_path / "out")
    saved = []
    monkeypatch.setattr(
        "haloassay.reports.figures.files.save",
        lambda figure, stem: saved.append((figure, stem)),
    )
    written = write_figures(results, summarise(results))
    assert written == tmp_path / "out" / "figures"
    assert {stem.parent for _, stem in saved} == {written}
    names = {stem.name for _, stem in saved}
    assert {"bias-beta", "profile-beta", "cloud-beta"} <= names
    assert {"coverage-velocity-ellipsoid", "ranks-velocity-ellipsoid"} <= names
    captions = (written / "captions.md").read_text(encoding="utf-8").splitlines()
    assert [line.split("`")[1] for line in captions] == [stem.name for _, stem in saved]
    assert "figures" in capsys.readouterr().err


def test_a_report_writes_figures_only_where_they_are_asked_for(folder, call, monkeypatch, tmp_path):
    made = []
    shutil.copytree(folder, tmp_path / "out")
    monkeypatch.setattr("haloassay.face.figures.write_figures", lambda *_: made.append(1))
    assert call("report", tmp_path / "out").code == 0
    assert made == []
    assert call("report", tmp_path / "out", "--figures").code == 0
    assert made == [1]


def test_figures_of_a_linked_folder_are_refused(folder, tmp_path):
    from haloassay.analysis.summary import summarise

    shutil.copytree(folder, tmp_path / "out")
    (tmp_path / "out" / "figures").symlink_to(tmp_path)
    results = haloassay.Results(tmp_path / "out")
    with pytest.raises(InputError, match="is a link"):
        write_figures(results, summarise(results))


@pytest.mark.long
def test_matplotlib_is_imported_by_figures_alone(folder, small, environment, tmp_path):
    """The page is left out here: what it imports is its own."""

    def imports(*words):
        script = f"import sys, atexit; atexit.register(lambda: {WITHOUT})\n"
        script += "from haloassay.face.cli import main\nmain()\n"
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, words)], env=environment, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().splitlines()[-1] == "True"

    assert not imports("--help")
    assert not imports("figure", "--help")
    assert not imports("table", folder)
    out = tmp_path / "run"
    assert not imports("run", small, "--out", out, "-n", "1", "-j", "0", "--no-report")
    file = tmp_path / "x.png"
    assert imports("figure", folder, "cloud", "--quantity", "beta", "--out", file)


def test_axes_can_be_those_of_another_figure(folder):
    ends = {"x_range": (5.0, 50.0), "y_range": (60.0, 200.0)}
    scales = {"x_scale": "linear", "y_scale": "log"}
    for kind in ("profile", "cloud"):
        for axes in haloassay.figure(folder, kind, "sigma_r", cell="base", **ends, **scales).axes:
            assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
            assert (axes.get_xlim(), axes.get_ylim()) == (ends["x_range"], ends["y_range"])


def test_published_numbers_stand_beside_a_profile(folder, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text(
        "quantity,estimator,r,r_lo,r_hi,value,error\nsigma_r,,10,8,14,120,5\n"
        "sigma_r,other,20,,,130,5\nbeta,,10,,,0.5,0.1\n"
    )
    found = haloassay.figure(
        folder, "profile", ["sigma_r", "beta"], cell="base", published=[table, "bird2022-kgiants"]
    )
    marks = [
        [x.get_xydata().tolist() for x in axes.lines if x.get_marker() == "s"]
        for axes in found.axes
    ]
    assert [*marks[0], *marks[-1]] == [[[10.0, 120.0]], [[10.0, 0.5]]]
    bars = next(c for c in found.axes[0].containers if c.lines[0].get_marker() == "s")
    upward = [part.get_segments()[0] for part in bars.lines[2]]
    np.testing.assert_allclose(
        sorted(map(tuple, np.concatenate(upward))),
        sorted([(8.0, 120.0), (14.0, 120.0), (10.0, 115.0), (10.0, 125.0)]),
    )
    (legend,) = found.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["mean estimate", "truth", "mine", "bird2022-kgiants"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["profile", "--published", "nothing"], "unknown table 'nothing'"),
        (["bias", "--published", "bird2022-bhb"], "--published is for profile"),
        (["profile", "--x-range", "9", "3"], "--x-range: ends must ascend"),
        (["profile", "--y-scale", "log", "--y-range", "0", "3"], "a logarithmic axis begins above"),
        (["coverage", "--x-scale", "log"], "has axes of its own"),
    ],
)
def test_axes_and_tables_that_cannot_be_are_refused(call, folder, tmp_path, options, message):
    out = tmp_path / "no.pdf"
    answer = call("figure", folder, *options, "--quantity", "sigma_r", "--out", out)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert message in answer.err
    assert not out.exists()
