"""Labels, titles and notes are text to whatever shows a table: terminal, spreadsheet, LaTeX, Markdown, page."""

import csv
import dataclasses
import io
import re

import pandas as pd
import pytest
import synthetic_results as synthetic
from pages import numbers_of
from seeds import seeded

from haloassay.analysis.pairs import paired
from haloassay.analysis.scores import score
from haloassay.analysis.summary import summarise
from haloassay.base.text import printable
from haloassay.contracts import labels
from haloassay.contracts.quantities import Quantity
from haloassay.reports import escapes, tables
from haloassay.reports.page import render

#: A colour, a window's title, a bell, a turned reading order, C1's way to clear the screen, a return to the start of
#: the line, rich's markup and emoji, tags, and what ends cells.
HOSTILE = '\x1b[31m \x1b]0;t\x07 \u202etxt \x9b2J \u2066 \r [bold]b[/] :bomb: <b onclick="x">&|`*\\'
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
FACTOR = "estimators.@\x1b[1m.alpha"
CELLS = [HOSTILE, '=cmd|"/c x"', "+1+1", "@SUM(A1)", "\t=2", "\r=2", "-3.5", "[2ex]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    rng = seeded(8)
    frame = pd.concat([synthetic.rows(rng, 12, cell, estimator=HOSTILE) for cell in CELLS])
    cells = pd.DataFrame({"cell": CELLS, FACTOR: CELLS})
    folder = tmp_path_factory.mktemp("hostile")
    results = synthetic.write(folder, frame, synthetic.runs_of(frame), cells)
    return dataclasses.replace(results, scenario={"name": HOSTILE, "title": HOSTILE})


@pytest.fixture(scope="module")
def scores(run):
    return score(run)


def terminal(write):
    from rich.console import Console

    stream = io.StringIO()
    write(Console(file=stream, width=400, force_terminal=True, color_system=None))
    return stream.getvalue()


def test_control_characters_are_shown_as_escapes():
    assert (
        printable("a\x1b[31m\x07\r\n\t\u202eb\x9b\u2066") == r"a\x1b[31m\x07\r\n\t\u202eb\x9b\u2066"
    )
    assert printable("two\n\tlines\x1b", lines=True) == "two\n\tlines\\x1b"
    assert printable("σ_r – ⟨v⟩ M₂₀₀ 銀河 \\") == "σ_r – ⟨v⟩ M₂₀₀ 銀河 \\"


def test_the_terminal_prints_labels_and_titles_as_they_are(run, scores):
    pairs = paired(run, CELLS[1])
    for text in (
        terminal(lambda console: tables.print_table(scores, console, HOSTILE)),
        terminal(lambda console: tables.print_pairs(pairs, HOSTILE, console, HOSTILE)),
        terminal(lambda console: tables.print_pairs(pairs.iloc[:0], HOSTILE, console, HOSTILE)),
    ):
        assert not OBEYED.search(text)
        assert text.splitlines()[0].strip() == printable(HOSTILE)
    assert printable(f"{HOSTILE} — {HOSTILE}") in text or "No pairs" in text


@pytest.mark.parametrize("fmt", ["csv", "ecsv", "latex", "markdown"])
def test_written_tables_hold_no_control_character(scores, fmt):
    assert not OBEYED.search(str(tables.format_table(scores, fmt)))


def test_a_spreadsheet_computes_no_label_and_numbers_stay_numbers(scores):
    rows = list(csv.reader(io.StringIO(str(tables.format_table(scores, "csv")))))
    for cell in (cell for row in rows for cell in row):
        if cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
            float(cell)
    head, *body = rows
    shown = {row[0] for row in body}
    assert {'\'=cmd|"/c x"', "'+1+1", "'@SUM(A1)", r"'\t=2", "-3.5"} <= shown
    bias = [float(row[head.index("bias")]) for row in body]
    assert bias == pytest.approx(scores["bias"].tolist(), rel=1e-12)
    assert any(value < 0.0 for value in bias)


def test_parquet_keeps_labels_to_the_letter(scores):
    back = pd.read_parquet(io.BytesIO(tables.format_table(scores, "parquet")))
    assert sorted(back["cell"]) == sorted(CELLS)


def test_markdown_shows_tags_entities_and_marks_as_text(scores):
    text = str(tables.format_table(scores, "markdown"))
    assert not re.search(r"<|>|(?<!\\)[`*\[\]]", text)
    assert not re.search(r"&(?!lt;|gt;|amp;)", text)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    bars = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines}
    assert len(bars) == 1


def test_latex_takes_no_label_for_an_argument_or_a_command(scores):
    text = str(tables.format_table(scores, "latex"))
    assert not re.search(r"(\\\\|\\midrule)\s*[\[*]", text)
    assert r"\textbackslash{}x1b[31m" in text
    assert "{}[2ex]" in text


@pytest.mark.parametrize(
    "label",
    [
        r"\input{/etc/passwd}",
        r"$x$\write18{id}",
        "$x",
        "50 % of it",
        "^^5cinput{x}",
        "a & b",
        r"\csname input\endcsname x",
        "\x1b[2J",
        r"a \\ b",
    ],
)
def test_a_label_that_does_more_than_draw_is_written_as_text(scores, label):
    hostile = Quantity("mine", "", "absolute", label)
    frame = scores.assign(quantity="mine", unit="")
    with labels.vocabulary({"mine": hostile}):
        text = str(tables.format_table(frame, "latex"))
    assert label not in text
    assert not re.search(r"\\(input|write|csname)", text)
    assert "^^" not in text


@pytest.mark.parametrize(
    "label", [r"$P_r$", r"$M_\mathrm{gas}$", r"$\langle v_r\rangle\,\frac{1}{2}$", "plain"]
)
def test_a_label_that_draws_is_taken_as_it_is(label):
    assert escapes.tex_label(Quantity("mine", "", "absolute", label)) == label


def test_the_page_is_text_where_others_wrote_it(run):
    """What its scripts read, too, which they write as text."""
    data = summarise(run)
    with labels.vocabulary(data.quantities):
        page = render(data)
    told = numbers_of(page)
    assert not OBEYED.search(page.replace("\t", " "))
    for text in (*told["cells"], *told["estimators"], *(words for *_, words in told["verdicts"])):
        assert not OBEYED.search(text)
    assert "<b onclick" not in page
    assert "&lt;b onclick" in page
    for value in re.findall(r'(?:alt|id|class|title)="([^"]*)"', page):
        assert "<" not in value
        assert "onclick=" not in value or "onclick=&#34;x&#34;" in value
