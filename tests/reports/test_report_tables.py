"""Tables parse back in every format, whatever the labels are called."""

import io
import re

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic

from haloassay import score
from haloassay.errors import InputError
from haloassay.reports import labels, tables

NASTY = r"a|b & 50% <i>x</i> [red]#1_{$\beta$}"


@pytest.fixture
def run(tmp_path):
    rng = np.random.default_rng(5)
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
    return score.score(run)


def test_csv_parquet_and_ecsv_give_the_numbers_back(scores):
    import astropy.units as u
    from astropy.table import Table

    csv = pd.read_csv(io.StringIO(tables.format_table(scores, "csv")))
    parquet = pd.read_parquet(io.BytesIO(tables.format_table(scores, "parquet")))
    ecsv = Table.read(tables.format_table(scores, "ecsv"), format="ascii.ecsv")
    assert ecsv["r"].unit == u.kpc
    for back in (csv, parquet, ecsv.to_pandas()):
        assert list(back.columns) == list(scores.columns)
        assert list(back["cell"]) == list(scores["cell"])
        for name in ("n", "bias", "bias_mcse", "r", "coverage68"):
            np.testing.assert_allclose(back[name].astype(float), scores[name], rtol=1e-12)
    assert csv["estimators.jeans-3d.bins"].iloc[0] == "[5, 15]"


def test_latex_is_a_whole_table_with_escaped_text(scores):
    text = tables.format_table(scores, "latex")
    lines = text.splitlines()
    align = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", lines[1]).group(1)
    body = [line for line in lines if line.endswith(r"\\")]
    assert len(body) == 1 + len(scores)
    for line in body:
        assert len(re.findall(r"(?<!\\)&", line)) == len(align) - 1
        plain = re.sub(
            r"\\(textbackslash|textless|textgreater)\{\}|\\[&%$#_{}]|\$-[\d.e]+\$", "", line[:-2]
        )
        assert not re.search(r"[\\%$#_{}<>^~]", plain)
    assert lines[2:4][0] == r"\toprule"
    assert lines[-2:] == [r"\bottomrule", r"\end{tabular}"]


def test_markdown_rows_have_as_many_columns_as_the_header(scores):
    lines = tables.format_table(scores, "markdown").splitlines()
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert len(columns) == 1
    assert len(lines) == 2 + len(scores)
    assert "| bias | bias_mcse |" in lines[0]


def test_the_terminal_shows_errors_failures_and_labels_as_they_are(scores):
    from rich.console import Console

    stream = io.StringIO()
    tables.print_table(scores, Console(file=stream, width=120), title="a [bold]title")
    text = stream.getvalue()
    assert NASTY in text
    assert "a [bold]title" in text
    row = scores[scores["n_failed"] == 3].iloc[0]
    shown = labels.with_error(row["bias"], row["bias_mcse"], 100.0)
    assert re.search(rf"M\(<r\) \[%\] +20 +30 +3 +{re.escape(shown)}", text)
    assert "…" not in text
    single = next(line for line in text.splitlines() if line.strip().startswith("β"))
    assert labels.DASH in single  # the scatter of one estimate


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


def test_a_coverage_of_all_does_not_claim_a_zero_error():
    assert labels.coverage_text(1.0, 0.0, 20) == "20 of 20"
    assert labels.coverage_text(0.0, np.nan, 1) == "0 of 1"
    assert labels.coverage_text(0.9, 0.0671, 20) == "0.90 ± 0.07"
