"""The page in a browser: nothing asked of a network, and whatever is pressed does what it says."""

import csv
import shutil

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from pages import numbers_of, table_of
from seeds import seeded

import haloassay

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]

CELLS = ("base", "scale=1.1", '<img src=x onerror="document.title=1">')
HOSTILE = '<script>document.title="taken"</script>'
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    rng = seeded(11)
    frame = pd.concat(
        synthetic.rows(rng, 40, cell, method, name, k, r, truth, offset)
        for cell in CELLS
        for method, offset in (("right", 0.0), ("high", 0.2), (HOSTILE, -0.3))
        for name, truth in (("enclosed_mass", 2e11), ("sigma_r", 120.0))
        for k, r in enumerate((10.0, 30.0, 60.0))
    )
    halo = synthetic.rows(rng, 40, "base", "right", "m200", r=np.nan, truth=1e12)
    frame = pd.concat([frame, halo])
    cells = pd.DataFrame({"cell": CELLS})
    folder = tmp_path_factory.mktemp("run")
    results = synthetic.write(folder, frame, synthetic.runs_of(frame), cells, title=HOSTILE)
    return synthetic.report_of(results)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, page_file):
    """Open the page; at the end it has asked nothing of a network, and complained of nothing."""
    contexts, complaints, requests = [], [], []

    def opened(hash_="", width=1280, theme="light", file=page_file):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, accept_downloads=True
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url))
        tab.goto(file.as_uri() + (f"#{hash_}" if hash_ else ""))
        tab.wait_for_function("document.documentElement.dataset.ready === '1'", timeout=60_000)
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "blob:", "data:"))] == []


def rows(tab, name="scores"):
    return tab.locator(f"#{name}-table tbody tr")


def column(tab, k, name="scores"):
    return tab.locator(f"#{name}-table tbody tr td:nth-child({k})").all_inner_texts()


def test_what_is_chosen_is_shown_and_kept_in_the_address(opened):
    tab = opened()
    assert tab.locator("#map button").count() == 19
    tab.select_option("#choose-estimator", label="high")
    tab.select_option("#choose-quantity", label="σ_r")
    assert tab.locator("#map button").count() == 3
    assert rows(tab).count() == 3
    assert set(column(tab, 2)) == {"high"}
    assert "estimator=high&quantity=sigma_r" in tab.url
    again = opened(tab.url.partition("#")[2])
    assert again.locator("#map button").count() == 3
    assert again.locator("#choose-estimator").evaluate("x => x.selectedOptions[0].text") == "high"


def test_a_number_opens_its_estimator_and_a_row_does(opened):
    tab = opened()
    assert tab.locator("#detail").is_hidden()
    tab.locator('#map button[aria-label^="high, M(<r) at 30"]').click()
    tab.wait_for_selector("#detail svg", timeout=60_000)
    assert tab.locator("#detail h2").inner_text() == "high: M(<r)"
    assert "Biased in 3 of 3 bins" in tab.locator("#detail").inner_text()
    tab.wait_for_function("document.querySelectorAll('#detail svg').length === 5")
    assert tab.locator("tr.current").count() == 1
    assert rows(tab).count() == 1
    tab.locator("#detail button", has_text="Close").click()
    row = rows(tab).nth(5)
    named = row.locator("td").nth(1).inner_text()
    row.locator("button.link").click()
    tab.wait_for_selector("#detail svg")
    assert tab.locator("#detail h2").inner_text().startswith(named)


def test_charts_show_the_numbers_of_the_table(opened, page_file):
    tab = opened("estimator=high&quantity=enclosed_mass&open=1")
    tab.wait_for_selector("#detail svg", timeout=60_000)
    scores = table_of(page_file.read_text("utf-8"), "scores")
    chosen = scores.query("estimator == 'high' and quantity == 'M(<r)' and cell == 'base'")
    told = numbers_of(page_file.read_text("utf-8"))["scores"]["bias"]
    told = [told[k] for k in chosen.index]
    drawn = tab.locator("#detail figure").first.locator('[aria-roledescription="point"]')
    texts = [drawn.nth(k).get_attribute("aria-label") for k in range(drawn.count())]
    shown = [float(text.split("bias [%]: ")[1].split(";")[0].replace("−", "-")) for text in texts]
    assert shown == pytest.approx(told, rel=1e-4)


def test_a_level_or_all_cells_can_be_chosen(opened):
    tab = opened()
    tab.select_option("#choose-cell", index=0)
    assert "cell=all" in tab.url
    assert rows(tab).count() == 20
    tab.locator("#scores-table button", has_text="next").click()
    assert "21 to 40" in tab.locator("#scores-table [role=status]").inner_text()


def test_headings_sort_by_the_keyboard_and_say_so(opened):
    tab = opened()
    bias = tab.locator("#scores-table th", has_text="bias").first
    assert bias.get_attribute("aria-sort") == "none"
    bias.locator("button").focus()
    tab.keyboard.press("Enter")
    assert bias.get_attribute("aria-sort") == "ascending"
    k = 1 + tab.locator("#scores-table th").all_inner_texts().index(bias.inner_text())
    up = [float(x.split()[0]) for x in column(tab, k) if x != "–"]
    assert up == sorted(up)
    tab.keyboard.press("Space")
    assert bias.get_attribute("aria-sort") == "descending"
    down = [float(x.split()[0]) for x in column(tab, k) if x != "–"]
    assert down == sorted(down, reverse=True)


def test_arrows_go_through_the_map(opened):
    tab = opened()
    first = tab.locator("#map button").first
    first.focus()
    tab.keyboard.press("ArrowRight")
    label = tab.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label != first.get_attribute("aria-label")
    assert tab.locator('#map button[tabindex="0"]').count() == 1
    tab.keyboard.press("Enter")
    assert tab.locator("#detail").is_visible()
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')") == label


def is_seen(tab):
    """Whether the heading of the scores is in the window, of 900 pixels."""
    return -1.0 < tab.locator("#scores h2").bounding_box()["y"] < 900.0


def test_a_press_on_a_part_of_the_page_leaves_what_is_chosen(opened):
    tab = opened()
    tab.select_option("#choose-estimator", label="high")
    tab.locator('nav a[href="#scores"]').click()
    assert "estimator=high" in tab.url
    assert set(column(tab, 2)) == {"high"}
    assert is_seen(tab)


def test_the_address_of_a_part_of_the_page_shows_that_part(opened):
    tab = opened("scores")
    assert tab.locator("#map button").count() == 19
    assert is_seen(tab)


def test_numbers_with_errors_stay_numbers_in_a_file_and_labels_are_no_formula(opened):
    tab = opened("cell=all")

    def cells():
        with tab.expect_download() as told:
            tab.locator("#scores-table button", has_text="CSV").click()
        return list(csv.reader(told.value.path().read_text("utf-8").splitlines()))

    head, *body = cells()
    bias = [row[head.index("bias")] for row in body]
    assert any(text.startswith("-") for text in bias)
    assert not any(text.startswith("'") for text in bias)
    tab.evaluate(
        "document.body.dataset.csv = ['=1+1', '-2+cmd|x!A0', '-1.3 ± 0.4 %'].map(csv).join(';')"
    )
    assert tab.evaluate("document.body.dataset.csv") == "'=1+1;'-2+cmd|x!A0;-1.3 ± 0.4 %"


@pytest.fixture(scope="module")
def sky_file(tmp_path_factory):
    """Page of a run that makes a map of 48 cells of the sky."""
    from haloassay.face import api

    out = tmp_path_factory.mktemp("sky") / "out"
    scenario = {
        "name": "sky",
        "realizations": 2,
        "mock": {
            "kind": "local-jeans-gaussian",
            "potential": {"kind": "nfw", "m200": 1e12, "c": 12.0},
            "density": {"kind": "power-law", "slope": -3.5},
            "beta": {"kind": "constant", "beta": 0.3},
        },
        "survey": {"n_stars": 4000},
        "estimators": [{"kind": "sky-map", "map": "healpix", "nside": 2, "bins": [5.0, 60.0]}],
    }
    haloassay.run(scenario, out, workers=0)
    return api.report(out)


def test_maps_of_the_sky_are_maps_and_no_line_joins_their_cells(opened, sky_file):
    tab = opened("estimator=sky-map&quantity=sigma_r&bin=3&open=1", file=sky_file)
    tab.wait_for_selector("#detail svg", timeout=60_000)
    tab.wait_for_function("document.querySelectorAll('#detail svg').length >= 4")
    first = tab.locator("#detail figure").first
    assert first.locator("b").inner_text() == "Map"
    cells = first.locator(".mark-shape path").all()
    whole = first.locator("svg").bounding_box()
    boxes = [box for box in (cell.bounding_box() for cell in cells) if box]
    # one at the edge has a part on either side; one that goes round the wrong way would be all of the sky
    shares = [box["width"] * box["height"] / (whole["width"] * whole["height"]) for box in boxes]
    told = numbers_of(sky_file.read_text("utf-8"))
    sigma = [q["name"] for q in told["quantities"]].index("sigma_r")
    scores = zip(told["scores"]["quantity"], told["scores"]["bias"], strict=True)
    n_known = sum(q == sigma and bias is not None for q, bias in scores)
    assert len(told["maps"][0]["outlines"]) == 48
    assert len(shares) == n_known + 1 > 30  # and the grid of longitudes and latitudes
    assert sorted(shares)[-2] < 0.25
    assert tab.locator("#detail figure").nth(1).locator(".mark-line path").count() == 0


def test_words_are_found_in_rows(opened):
    tab = opened()
    tab.fill("#choose-find", "high 30")
    assert set(column(tab, 2)) == {"high"}
    assert rows(tab).count() == 2


@pytest.mark.parametrize("width", [360, 390, 768])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_width_needs_scrolling_to_the_side(opened, width, theme):
    tab = opened("cell=all&estimator=high&quantity=enclosed_mass&open=1", width, theme)
    tab.wait_for_selector("#detail svg", timeout=60_000)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (theme == "light")


def test_the_theme_can_be_turned(opened):
    tab = opened()
    tab.locator("#theme").click()
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    assert "theme=dark" in tab.url


def test_tables_and_figures_are_saved(opened):
    tab = opened("estimator=high&quantity=enclosed_mass&open=1")
    tab.wait_for_selector("#detail svg", timeout=60_000)
    tab.wait_for_function("document.querySelectorAll('#detail svg').length === 5")

    def saved(press):
        with tab.expect_download() as told:
            press.click()
        return told.value.suggested_filename, told.value.path().read_bytes()

    name, content = saved(tab.locator("#scores-table button", has_text="CSV"))
    assert name == "scores.csv"
    lines = content.decode().split("\r\n")
    assert lines[0].startswith("cell,estimator,quantity,r [kpc]")
    assert len(lines) == 5
    name, content = saved(tab.locator("#scores-table button", has_text="LaTeX"))
    assert b"\\toprule" in content
    assert "±" not in content.decode()
    name, content = saved(tab.locator("#detail button", has_text="SVG").first)
    assert name.endswith(".svg")
    assert content.startswith(b"<svg")
    name, content = saved(tab.locator("#detail button", has_text="PNG").first)
    assert content.startswith(b"\x89PNG")


def test_titles_and_labels_of_others_are_text(opened):
    tab = opened("cell=all")
    assert tab.title() == HOSTILE
    assert tab.locator("h1").inner_text() == HOSTILE
    assert tab.locator("#map img, #scores-table img, #map script").count() == 0
    tab.fill("#choose-find", "script")
    assert set(column(tab, 2)) == {HOSTILE}
    rows(tab).nth(0).locator("button.link").click()
    tab.wait_for_selector("#detail svg", timeout=60_000)
    assert tab.title() == HOSTILE
    assert tab.locator("#detail img, #detail script").count() == 0


def test_parts_are_named_for_a_screen_reader(opened):
    tab = opened("estimator=high&quantity=enclosed_mass&open=1")
    tab.wait_for_selector("#detail svg", timeout=60_000)
    for field in tab.locator("select, input").all():
        assert field.evaluate("x => x.labels.length") == 1
    assert all(x.get_attribute("aria-label") for x in tab.locator("#detail .chart").all())
    assert tab.locator("html").get_attribute("lang") == "en"
    assert tab.locator("main h2").count() >= 6
