"""The report in a real browser: drawn whole, silent, offline, as wide as the screen, and answering hands."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from harness.report.index import paired_tests
from harness.report.page import write_report
from harness.report.publishing import publish
from harness.report.record import read_record
from tests.records import STUDY, confirmations, sample_trials, trial, write_run
from tests.report.browser import needs_browser, opened, requests, started

pytestmark = needs_browser
SIDEWAYS = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
CONFIRMED = "table[data-name=confirmed] tbody tr"
CHOSEN = "return document.querySelector('#chosen').hidden ? '' : document.querySelector('#chosen h2').textContent"
RINGS = """
return Object.fromEntries([...document.querySelectorAll('.plot')].map((plot) => [plot.id, plot.data.at(-1).x.length]))
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    driver = started(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def sample_page(sample_folder: Path) -> Path:
    return write_report(sample_folder)


@pytest.fixture
def page(browser: webdriver.Chrome, sample_page: Path) -> webdriver.Chrome:
    """The sample's page, freshly opened on a laptop."""
    opened(browser, sample_page)
    return browser


def texts(browser: webdriver.Chrome, selector: str) -> list[str]:
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)", selector
    )
    return found


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_sample_is_drawn_without_errors_requests_or_sideways_scrolling(
    browser: webdriver.Chrome, sample_page: Path, width: int, theme: str
) -> None:
    opened(browser, sample_page, width, theme)
    assert browser.execute_script("return document.querySelectorAll('.plot').length") > 30
    assert browser.execute_script(SIDEWAYS) == 0
    assert browser.get_log("browser") == []
    assert requests(browser) == []


def test_figures_follow_the_theme(page: webdriver.Chrome) -> None:
    ink = "return getComputedStyle(document.querySelector('.plot .xtick text')).fill"
    light = page.execute_script(ink)
    dark_scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", dark_scheme)
    WebDriverWait(page, 60).until(lambda seen: seen.execute_script(ink) != light)


def test_a_click_on_a_heading_sorts_and_another_turns_it(page: webdriver.Chrome) -> None:
    heading = page.find_element(By.XPATH, "//table[@data-name='confirmed']//th[normalize-space()='params']/button")
    heading.click()
    sizes = texts(page, f"{CONFIRMED} td[data-label=params]")
    assert sizes == ["1.39 k"] * 4 + ["5.21 k"] * 4 + ["11.5 k"] * 4
    heading.click()
    assert texts(page, f"{CONFIRMED} td[data-label=params]") == sizes[::-1]
    assert page.execute_script("return document.querySelectorAll('th[aria-sort=descending]').length") == 1


def test_a_filter_keeps_the_rows_with_its_words(page: webdriver.Chrome) -> None:
    section = page.find_element(By.ID, "confirmed")
    section.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys("resnet8 -w2 ksan")
    assert texts(page, f"{CONFIRMED} td[data-label=student]") == ["resnet8-w4"]
    assert "1 of 12 rows" in section.text


BEGINNINGS = {"CSV": "rank", "LaTeX": r"\begin", "Markdown": "|"}


def copied(page: webdriver.Chrome, form: str) -> str:
    """What a copy button of the confirmed table puts into the clipboard, by pasting it."""
    page.find_element(By.XPATH, f"//section[@id='confirmed']//button[text()='{form}']").click()
    page.execute_script("document.body.append(Object.assign(document.createElement('textarea'), {id: 'paste'}))")
    area = page.find_element(By.ID, "paste")

    def pasted(_: webdriver.Chrome) -> str | None:
        """What the clipboard holds, once it is of the form: a browser fills it when it comes to it."""
        area.clear()
        area.send_keys(Keys.CONTROL, "v")
        text = str(area.get_property("value"))
        return text if text.startswith(BEGINNINGS[form]) else None

    text = WebDriverWait(page, 60).until(pasted)
    page.execute_script("document.getElementById('paste').remove()")
    return text


def test_the_confirmed_table_is_copied_as_csv_latex_and_markdown(page: webdriver.Chrome) -> None:
    rows = list(csv.DictReader(io.StringIO(copied(page, "CSV"))))
    assert len(rows) == 12
    assert float(rows[0]["test, %"]) == pytest.approx(98.27482447)
    assert float(rows[0]["test, % ±"]) == pytest.approx(0.6844037787)
    latex = copied(page, "LaTeX")
    assert r"1= & resnet14-w4 & ksan & 98.27 $\pm$ 0.68" in latex
    assert latex.count(r"\\") == 13
    assert "| 1= | resnet14-w4 | ksan | 98.27 ± 0.68 |" in copied(page, "Markdown")


def test_a_row_selects_its_config_in_every_figure_and_table(page: webdriver.Chrome) -> None:
    page.find_element(By.CSS_SELECTOR, f"{CONFIRMED} td[data-label=sd]").click()
    assert page.execute_script(CHOSEN) == "ksan · resnet14-w4"
    rings = page.execute_script(RINGS)
    for figure in ("front", "history-resnet14-w4", "coordinates-ksan", "curves-resnet14-w4", "selection"):
        assert rings[f"plot-{figure}"] > 0, figure
    for figure in ("history-resnet8-w2", "coordinates-kd", "curves-resnet8-w2"):
        assert rings[f"plot-{figure}"] == 0, figure
    tables = "return [...document.querySelectorAll('tr.picked')].map((row) => row.closest('table').dataset.name)"
    assert {"confirmed", "differences"} <= set(page.execute_script(tables))
    assert "#config=" in page.current_url
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    assert page.execute_script(CHOSEN) == ""
    assert set(page.execute_script(RINGS).values()) == {0}


def test_a_click_on_a_mark_selects_and_the_address_remembers(browser: webdriver.Chrome, sample_page: Path) -> None:
    opened(browser, sample_page, tall=False)
    WebDriverWait(browser, 60).until(
        lambda seen: seen.execute_script("return !!document.getElementById('plot-front').data")
    )
    place = browser.execute_script("""
        const plot = document.getElementById('plot-front');
        plot.scrollIntoView({ block: 'center' });
        const i = plot.data.findIndex((trace) => trace.error_y && trace.customdata.length);
        const { xaxis, yaxis } = plot._fullLayout, box = plot.getBoundingClientRect(), trace = plot.data[i];
        return [box.left + xaxis._offset + xaxis.d2p(trace.x[0]), box.top + yaxis._offset + yaxis.d2p(trace.y[0])];
    """)
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        event = {"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)
    WebDriverWait(browser, 60).until(lambda seen: seen.execute_script(CHOSEN))
    chosen = browser.execute_script(CHOSEN)
    address = browser.current_url
    browser.get("about:blank")
    browser.get(address)
    WebDriverWait(browser, 60).until(lambda seen: seen.execute_script(CHOSEN) == chosen)


def test_the_page_is_used_by_the_keyboard_alone(page: webdriver.Chrome) -> None:
    plot = page.find_element(By.ID, "plot-front")
    plot.send_keys(Keys.ARROW_RIGHT)
    first = page.execute_script(CHOSEN)
    plot.send_keys(Keys.ARROW_RIGHT)
    assert page.execute_script(CHOSEN)
    plot.send_keys(Keys.ARROW_LEFT)
    assert page.execute_script(CHOSEN) == first
    plot.send_keys(Keys.ESCAPE)
    page.find_element(By.CSS_SELECTOR, CONFIRMED).send_keys(Keys.ENTER)
    assert page.execute_script(CHOSEN) == "ksan · resnet14-w4"


def test_accuracy_is_drawn_against_another_size(page: webdriver.Chrome) -> None:
    title = "return document.getElementById('plot-front').layout.xaxis.title.text"
    assert page.execute_script(title) == "parameters"
    page.find_element(By.CSS_SELECTOR, "#front input[value=MACs]").send_keys(Keys.SPACE)
    WebDriverWait(page, 60).until(lambda seen: seen.execute_script(title) == "multiply-adds an image")


def test_it_prints_with_every_figure_in_dark_ink_within_the_page(browser: webdriver.Chrome, sample_page: Path) -> None:
    opened(browser, sample_page, theme="dark", tall=False)
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    told = browser.execute_script("""
        const plots = [...document.querySelectorAll('.plot')];
        return [plots.every((plot) => plot.querySelector('.main-svg')),
                Math.max(...plots.map((plot) => plot.layout.width)),
                new Set(plots.map((plot) => plot.layout.font.color)).size];
    """)
    assert told == [True, 680, 1]
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script("return document.getElementById('plot-front').layout.font.color") != "#000"


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study whose every name is a script."""
    evil = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    trials = [
        replace(one, arm=f"{arm}{evil}", method=arm, student=f"s{evil}", dataset=f"d{evil}", point={f"a.{evil}": evil})
        for arm in ("scratch", "ksan")
        for one in [trial(arm=arm), *confirmations({1: 0.9, 2: 0.91, 3: 0.93}, arm=arm)]
    ]
    return write_report(write_run(tmp_path_factory.mktemp("strange"), trials, STUDY | {"name": evil, "question": evil}))


@pytest.mark.parametrize("width", [1280, 390])
def test_scripts_in_names_are_shown_and_never_run(browser: webdriver.Chrome, strange: Path, width: int) -> None:
    opened(browser, strange, width)
    browser.execute_script("document.querySelector('tr[data-config]').click()")
    assert browser.execute_script(CHOSEN).count("<script>") == 2
    assert browser.title.startswith("<script>")
    assert browser.execute_script("return document.querySelector('h1').textContent").startswith("<script>")
    assert browser.execute_script("return document.querySelectorAll('.plot svg script, .plot svg a, img').length") == 0
    assert any(name.startswith("ksan<script>") for name in texts(browser, ".legendtext"))
    assert browser.get_log("browser") == []
    assert requests(browser) == []
    assert browser.execute_script(SIDEWAYS) == 0


def test_a_run_without_trials_opens(browser: webdriver.Chrome, tmp_path: Path) -> None:
    opened(browser, write_report(write_run(tmp_path, [])), 390)
    assert "There is no answer yet" in browser.execute_script("return document.body.innerText")
    assert browser.get_log("browser") == []


# The page of all published studies.

ROWS = "tr[data-config]"
VERDICT = "return document.getElementById('verdict').textContent"


@pytest.fixture(scope="module")
def record_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of all studies, with the sample published."""
    folder = tmp_path_factory.mktemp("record")
    run = write_run(folder / "runs" / "sample", sample_trials(), STUDY | {"question": "a sample"})
    publish(run, folder / "reports", "2026-01-05")
    return folder / "reports" / "index.html"


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_of_all_studies_opens_without_errors_requests_or_sideways_scrolling(
    browser: webdriver.Chrome, record_page: Path, width: int
) -> None:
    opened(browser, record_page, width)
    assert len(browser.find_elements("css selector", ROWS)) == {1280: 12, 390: 8}[width]  # a phone shows more on demand
    assert browser.execute_script(SIDEWAYS) == 0
    assert browser.get_log("browser") == []
    assert requests(browser) == []


def test_any_two_rows_are_shown_with_their_paired_test(browser: webdriver.Chrome, record_page: Path) -> None:
    """The better mean comes first, whichever was chosen first; a third takes the place of the oldest."""
    opened(browser, record_page, 1280)
    (board,) = read_record(record_page.parent).boards()
    order = {f"sample/{row['config_id']}": place for place, (_, row) in enumerate(board.rows.iterrows())}
    tests = paired_tests(board)
    assert len(tests) == 12 * 11 / 2
    keys = [row.get_dom_attribute("data-config") for row in browser.find_elements("css selector", ROWS)]
    for first, second in ((keys[3], keys[0]), (keys[0], keys[7]), (keys[11], keys[5])):
        for key in (first, second):
            browser.execute_script(f"document.querySelector('tr[data-config=\"{key}\"]').click()")
        better, worse = sorted((first, second), key=order.__getitem__)
        difference, interval, p, n = tests[f"{better} {worse}"]
        told = browser.execute_script(VERDICT)
        assert f": {difference} points {interval}, {p}, paired over {n} common seeds, uncorrected." in told
        browser.execute_script("document.getElementById('close').click()")


def test_rows_are_sorted_and_filtered(browser: webdriver.Chrome, record_page: Path) -> None:
    opened(browser, record_page, 1280)
    heads = browser.find_elements("css selector", "th button")
    next(head for head in heads if head.text == "params").click()
    first = browser.find_elements("css selector", ROWS)[0]
    assert "resnet8-w2" in first.text
    browser.find_element("css selector", "input[type=search]").send_keys("ksan -w2")
    shown = browser.find_elements("css selector", ROWS)
    assert sorted(row.text.split()[1] for row in shown) == ["resnet14-w4", "resnet8-w4"]
