"""The report in a real browser: drawn whole, silent, offline, and as wide as the screen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from harness.report.index import paired_tests
from harness.report.page import write_report
from harness.report.publishing import publish
from harness.report.record import read_record
from tests.records import STUDY, confirmations, sample_trials, trial, write_run

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None or DRIVER is None, reason="needs chromium and chromedriver"),
]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
SIDEWAYS = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
DRAWN = "return [...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.main-svg'))"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


def opened(browser: webdriver.Chrome, page: Path, width: int, theme: str = "light") -> None:
    """The page at a width, with every fold open and every figure drawn."""
    scheme = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    WebDriverWait(browser, 20).until(lambda seen: seen.execute_script(DRAWN))


def requests(browser: webdriver.Chrome) -> list[str]:
    """What the page asked for since the last look, besides itself and data in it."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    page = browser.current_url
    urls = [one["request"]["url"] for one in asked if one["documentURL"] == page]
    return [url for url in urls if url != page and not url.startswith(("data:", "blob:"))]


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a study whose every name is a script."""
    evil = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    trials = [
        replace(one, arm=f"{arm}{evil}", method=arm, student=f"s{evil}", dataset=f"d{evil}")
        for arm in ("scratch", "ksan")
        for one in [trial(arm=arm), *confirmations({1: 0.9, 2: 0.91, 3: 0.93}, arm=arm)]
    ]
    return write_report(write_run(tmp_path_factory.mktemp("strange"), trials, STUDY | {"name": evil, "question": evil}))


@pytest.fixture(scope="module")
def sample_page(sample_folder: Path) -> Path:
    return write_report(sample_folder)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_sample_is_drawn_without_errors_requests_or_sideways_scrolling(
    browser: webdriver.Chrome, sample_page: Path, width: int, theme: str
) -> None:
    opened(browser, sample_page, width, theme)
    assert browser.execute_script("return document.querySelectorAll('.plot').length") == 24
    assert browser.execute_script(SIDEWAYS) == 0
    assert browser.get_log("browser") == []
    assert requests(browser) == []


def test_figures_follow_the_theme(browser: webdriver.Chrome, sample_page: Path) -> None:
    ink = "return getComputedStyle(document.querySelector('.plot .xtick text')).fill"
    opened(browser, sample_page, 1280, "light")
    light = browser.execute_script(ink)
    dark_scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark_scheme)
    WebDriverWait(browser, 10).until(lambda seen: seen.execute_script(ink) != light)


@pytest.mark.parametrize("width", [1280, 390])
def test_scripts_in_names_are_shown_and_never_run(browser: webdriver.Chrome, strange: Path, width: int) -> None:
    opened(browser, strange, width)
    assert browser.title.startswith("<script>")
    assert browser.execute_script("return document.querySelector('h1').textContent").startswith("<script>")
    assert browser.execute_script("return document.querySelectorAll('.plot svg script, .plot svg a, img').length") == 0
    legend = browser.execute_script("return [...document.querySelectorAll('.legendtext')].map((t) => t.textContent)")
    assert any(name.startswith("ksan<script>") for name in legend)
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
