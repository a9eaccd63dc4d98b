"""Tables parse back in every format, whatever the labels are called."""

import io
import re

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from seeds import seeded

from haloassay.analysis.pairs import paired
from haloassay.analysis.scores import score
from haloassay.base.errors import InputError
from haloassay.contracts import labels
from haloassay.contracts.quantities import QUANTITIES
from haloassay.reports import tables

NASTY = r"a|b & 50% <i>x</i> [red]#1_{$\beta$}"


@pytest.fixture
def run(tmp_path):
    rng = seeded(5)
    frame = pd.concat(
        [
            synthetic.rows(rng, 30, NASTY, offset=0.05),
            synthetic.rows(rng, 30, "base", estimator="tracer-mass"),
            synthetic.rows(rng, 30, "base", quantity="m200", r=np.nan, truth=1e12),
            synthetic.rows(rng, 1, "base", quantity="beta", truth=0.5),
        ]
    )
    runs = pd.concat([synthetic.runs_of(frame), synthetic.failed_runs(3, NASTY, first=30)])
    cells = pd.DataFrame({"cell": ["base", NASTY], "estimators.jeans-3d.bins": [[5, 15], [5, 25]]})
    return synthetic.write(tmp_path, frame, runs, cells)


@pytest.fixture
def scores(run):
    return score(run)


def test_csv_parquet_and_ecsv_give_the_numbers_back(scores):
    import astropy.units as u
    from astropy.table import Table

    csv = pd.read_csv(io.StringIO(tables.format_table(scores, "csv")))
    parquet = pd.read_parquet(io.BytesIO(tables.format_table(scores, "parquet")))
    ecsv = Table.read(tables.format_table(scores, "ecsv"), format="ascii.ecsv")
    assert ecsv["r"].unit == u.kpc
    for back in (csv, parquet, ecsv.to_pandas()):
        assert list(back.columns) == [*scores.columns, "error_unit"]
        assert set(back["error_unit"][back["quantity"] == "m200"]) == {"fraction"}
        assert set(back["error_unit"].fillna("")[back["quantity"] == "beta"]) == {""}
        assert list(back["cell"]) == list(scores["cell"])
        for name in ("n", "bias", "bias_mcse", "r", "coverage68"):
            np.testing.assert_allclose(back[name].astype(float), scores[name], rtol=1e-12)
    assert csv["estimators.jeans-3d.bins"].iloc[0] == "[5, 15]"


def test_latex_is_a_whole_table_with_escaped_text(scores):
    text = tables.format_table(scores, "latex")
    lines = text.splitlines()
    assert lines[1].startswith("% ! success below 0.95")
    align = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", lines[2]).group(1)
    body = [line for line in lines if line.endswith(r"\\")]
    assert len(body) == 1 + len(scores)
    for line in body:
        assert len(re.findall(r"(?<!\\)&", line)) == len(align) - 1
        plain = re.sub(r"\\(textbackslash|textless|textgreater)\{\}|\\[&%$#_{}]", "", line[:-2])
        plain = re.sub(r"\$[^$]+\$", "", plain)
        assert not re.search(r"[\\%$#_{}<>^~]", plain)
    assert lines[3] == r"\toprule"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]


def test_markdown_rows_have_as_many_columns_as_the_header(scores):
    lines = tables.format_table(scores, "markdown").splitlines()
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in lines[:-2]}
    assert len(columns) == 1
    assert len(lines) == 2 + len(scores) + 2
    assert lines[-1].startswith("! success below 0.95")
    assert "| success | bias | median bias |" in lines[0]


@pytest.mark.parametrize(("fmt", "sign"), [("latex", r"\pm"), ("markdown", "±")])
def test_printed_units_are_those_of_the_errors(tmp_path, fmt, sign):
    rng = seeded(2)
    frame = pd.concat(
        [
            synthetic.rows(rng, 40, offset=-0.184, sigma=0.006, n_draws=0),
            synthetic.rows(rng, 40, quantity="mean_v_r", truth=3.0, offset=20.0, sigma=1.0),
            synthetic.rows(rng, 40, quantity="beta", truth=0.5),
        ]
    )
    scores = score(synthetic.write(tmp_path, frame, synthetic.runs_of(frame)))
    text = tables.format_table(scores, fmt)
    split = r" \| " if fmt == "markdown" else " & "
    lines = [re.split(split, line.strip("| ")) for line in text.splitlines()]
    header, *body = (line for line in lines if len(line) > 10)
    body = [dict(zip(header, line, strict=True)) for line in body if line[0] == "base"]
    assert [row["unit"].strip("\\") for row in body] == ["%", "", "km/s"]
    mass, beta, velocity = body
    names = ("$M(<r)$", r"$\beta$") if fmt == "latex" else ("M(&lt;r)", "β")
    assert (mass["quantity"], beta["quantity"]) == names
    row = scores[scores["quantity"] == "enclosed_mass"].iloc[0]
    for name in ("bias", "scatter"):
        value, error = map(float, mass[name].strip("$").split(sign))
        assert value == pytest.approx(100.0 * row[name], abs=0.5 * error)
        assert error == pytest.approx(100.0 * row[f"{name}_mcse"], rel=0.4)
    row = scores[scores["quantity"] == "mean_v_r"].iloc[0]
    assert float(velocity["bias"].strip("$").split(sign)[0]) == pytest.approx(row["bias"], abs=0.2)
    coverage = next(name for name in header if name.startswith("coverage 68"))
    assert mass[coverage] == "0.00 (.00–.09)"
    assert not any("mcse" in name or name.startswith("bin") for name in header)


def test_every_quantity_has_a_readable_name():
    for name in QUANTITIES:
        assert re.match(r"[\w⟨]", labels.plain(name)), name
        assert not re.search(r"^_|[\\${}]|sigma|langle|mathrm", labels.plain(name)), name
    assert labels.plain("sigma_los") == "σ_los"
    assert labels.plain("somebodys_own") == "somebodys_own"


def test_readers_see_how_many_failed(scores):
    text = tables.compact(scores)
    assert text["failed"].tolist() == [str(n) for n in scores["n_failed"]]
    assert text["n"].tolist() == [str(n) for n in scores["n"]]
    assert (scores["n_failed"] > 0).any()
    assert (scores["n_failed"] != scores["n_attempted"]).any()


def test_pairs_tell_the_method_from_the_moving_truth(tmp_path):
    rng = seeded(8)
    z, noise = rng.standard_normal((2, 50))
    moved = 2e11 * (1.1 + 0.01 * noise)  # the truth where the stars went
    frame = pd.concat(
        [
            synthetic.rows(rng, 50, "base", z=z, sigma=0.01),
            synthetic.rows(rng, 50, "far", z=z, sigma=0.01).assign(truth=moved),
            synthetic.rows(rng, 50, "same", z=z, sigma=0.01),
        ]
    )
    cells = pd.DataFrame({"cell": ["base", "far", "same"]})
    pairs = paired(synthetic.write(tmp_path, frame, synthetic.runs_of(frame), cells), "base")
    far = pairs[pairs["cell"] == "far"].iloc[0]
    change = np.log(moved / 2e11)
    assert far["truth_log_change"] == pytest.approx(change.mean())
    assert far["truth_log_change_mcse"] == pytest.approx(change.std(ddof=1) / np.sqrt(50))
    assert far["log_change"] == pytest.approx(0.0, abs=1e-12)
    text = tables.compact_pairs(pairs).set_index("cell")
    assert text.loc["far", "Δ ln truth"].endswith(" %")
    assert "±" in text.loc["far", "shift"]
    assert text.loc["far", "pairs"] == "50"
    assert text.loc["same", "Δ ln truth"] == text.loc["same", "shift"] == labels.DASH
    lossy = tables.compact_pairs(pairs.assign(n_lost=7, lossy=True))
    assert lossy["pairs"].tolist() == ["50 (7 lost)", "50 (7 lost)"]


@pytest.mark.parametrize("fmt", ["csv", "ecsv", "latex", "markdown", "parquet"])
def test_pairs_are_written_in_every_format(tmp_path, fmt):
    frame = pd.concat([synthetic.rows(seeded(8), 5, cell) for cell in ("base", "far")])
    cells = pd.DataFrame({"cell": ["base", "far"]})
    pairs = paired(synthetic.write(tmp_path, frame, synthetic.runs_of(frame), cells), "base")
    text = tables.format_table(pairs, fmt)
    assert len(text) > 100
    if fmt == "csv":
        read = pd.read_csv(io.StringIO(text))
        assert read["shift"].tolist() == pairs["shift"].tolist()
        assert read["error_unit"].tolist() == ["fraction"]


@pytest.mark.parametrize(("width", "errors"), [(110, 3), (80, 1)])
def test_a_wide_terminal_shows_the_errors_of_scatter_and_ratio(tmp_path, width, errors):
    from rich.console import Console

    frame = synthetic.rows(seeded(4), 40)
    scores = score(synthetic.write(tmp_path, frame, synthetic.runs_of(frame)))
    stream = io.StringIO()
    tables.print_table(scores, Console(file=stream, width=width))
    (line,) = (line for line in stream.getvalue().splitlines() if line.startswith("M(<r)"))
    assert line.count("±") == errors
    assert len(re.findall(r"\.\d\d–\.\d\d", line)) == 2  # limits of both coverages, however narrow
    assert "r [kpc]" in stream.getvalue()


def test_the_terminal_shows_errors_failures_and_labels_as_they_are(scores):
    from rich.console import Console

    stream = io.StringIO()
    tables.print_table(scores, Console(file=stream, width=120), title="a [bold]title")
    text = stream.getvalue()
    assert NASTY in text
    assert "a [bold]title" in text
    row = scores[scores["n_failed"] == 3].iloc[0]
    shown = labels.with_error(row["bias"], row["bias_mcse"], 100.0)
    success = re.escape(f"{labels.share_text(30 / 33, row['success_lo'], row['success_hi'])} !")
    assert re.search(rf"M\(<r\) \[%\] +20 +30 +{success} +{re.escape(shown)}", text)
    assert "…" not in text
    single = next(line for line in text.splitlines() if line.strip().startswith("β"))
    assert labels.DASH in single  # the scatter of one estimate


@pytest.fixture
def half_failed(tmp_path):
    """24 of 40 attempts gave a value; 16 of these have the truth in their 68 per cent interval."""
    z = np.array([0.5] * 16 + [1.5] * 8)
    frame = synthetic.rows(seeded(6), 24, z=z)
    runs = pd.concat([synthetic.runs_of(frame), synthetic.failed_runs(16, first=24)])
    return score(synthetic.write(tmp_path, frame, runs))


def test_low_success_is_flagged_with_its_limits_and_the_bounds_of_coverage(half_failed):
    (row,) = half_failed.to_dict("records")
    assert row["lossy"]
    assert row["success"] == 24 / 40
    # (p - 0.6)^2 = 1.96^2 p (1 - p) / 40
    assert (row["success_lo"], row["success_hi"]) == pytest.approx((0.4460, 0.7365), abs=1e-4)
    assert (row["coverage68_min"], row["coverage68_max"]) == (16 / 40, 32 / 40)
    assert (row["coverage95_min"], row["coverage95_max"]) == (24 / 40, 1.0)
    for text in (terminal(half_failed), *written(half_failed)):
        assert "0.60 (.45–.74) !" in text
        assert "0.40–0.80" in text
        assert "0.60–1.00" in text
    compact = tables.compact(half_failed).iloc[0]
    assert compact["success"] == "0.60 (.45–.74) !"
    assert (compact["bounds 68"], compact["bounds 95"]) == ("0.40–0.80", "0.60–1.00")
    csv = pd.read_csv(io.StringIO(tables.format_table(half_failed, "csv")))
    assert csv["lossy"].tolist() == [True]
    assert csv["coverage68_max"].tolist() == [0.8]


def test_what_is_whole_has_no_mark_and_no_bounds(tmp_path):
    frame = synthetic.rows(seeded(6), 39)
    runs = pd.concat([synthetic.runs_of(frame), synthetic.failed_runs(1, first=39)])
    whole = score(synthetic.write(tmp_path, frame, runs))
    assert not whole["lossy"].any()
    for text in (terminal(whole), *written(whole)):
        assert "!" not in text
        assert "bounds" not in text
        assert "0.97 (.87–1.00)" in text
    assert not any(name.startswith("bounds") for name in tables.compact(whole))


def test_a_method_without_intervals_states_no_errors(tmp_path):
    frame = synthetic.rows(seeded(6), 40, n_draws=0)
    frame[["lo68", "hi68", "lo95", "hi95"]] = np.nan
    points = score(synthetic.write(tmp_path, frame, synthetic.runs_of(frame)))
    row = points.iloc[0]
    assert np.isfinite(
        row[["bias", "scatter", "rmse", "bias_mcse", "scatter_mcse"]].astype(float)
    ).all()
    assert (row["n"], row["n68"], row["n95"]) == (40, 0, 0)
    assert (
        row[["coverage68", "coverage68_lo", "coverage68_min", "error_ratio", "pull_sd"]]
        .isna()
        .all()
    )
    for text in (terminal(points), *written(points)):
        assert text.count(labels.NO_ERRORS) == 2
        assert "nan" not in text
    assert tables.compact(points)["cover 95"].tolist() == [labels.NO_ERRORS]
    assert "nan" not in str(tables.format_table(points, "csv"))


def terminal(scores):
    from rich.console import Console

    stream = io.StringIO()
    tables.print_table(scores, Console(file=stream, width=140))
    return stream.getvalue()


def written(scores):
    return [str(tables.format_table(scores, fmt)) for fmt in ("latex", "markdown")]


def test_an_empty_table_says_so(scores, capsys):
    tables.print_table(scores.iloc[:0])
    assert "no results" in capsys.readouterr().out
    for fmt in tables.FORMATS:
        assert tables.format_table(scores.iloc[:0], fmt)


def test_an_unknown_format_is_named(scores):
    with pytest.raises(InputError, match="unknown table format 'xls'"):
        tables.format_table(scores, "xls")


@pytest.mark.parametrize(
    ("value", "mcse", "text"),
    [
        (-1.3333, 0.4, "-1.3 ± 0.4"),
        (0.66123, 0.0512, "0.66 ± 0.05"),
        (12.3456, 0.0123, "12.346 ± 0.012"),
        (1234.5, 96.0, "1234 ± 96"),
        (-0.01, 2.0, "0 ± 2"),
        (0.5, 0.0096, "0.500 ± 0.010"),
        (np.nan, 0.1, labels.DASH),
        (0.123456, np.nan, "0.123"),
    ],
)
def test_numbers_have_the_digits_their_error_allows(value, mcse, text):
    assert labels.with_error(value, mcse) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        ((1.0, 0.8389, 1.0), "1.00 (.84–1.00)"),
        ((0.0, 0.0, 0.0876), "0.00 (.00–.09)"),
        ((0.9, 0.6990, 0.9721), "0.90 (.70–.97)"),
        ((0.6812, 0.6783, 0.6841), "0.6812 (.6783–.6841)"),
        ((np.nan, np.nan, np.nan), labels.DASH),
    ],
)
def test_a_share_of_none_or_all_does_not_claim_a_zero_error(share, text):
    assert labels.share_text(*share) == text
