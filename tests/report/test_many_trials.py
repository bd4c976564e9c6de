"""A study of 5,000 trials in a real browser: it opens, and answers a click, within a second of the page's own work.

What is measured is the CPU time of the page's thread, which is the same on a machine that does much else. Timed with
WebGL as the browser has it, and without, where thousands of marks are drawn as SVG.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from harness.report.page import report_html
from tests.records import large_run
from tests.report.browser import PATIENCE, needs_browser, opened, started

pytestmark = needs_browser
READY = "return !!document.querySelector('#plot-front .main-svg')"
CLICK = """
const done = arguments[0], plot = document.getElementById('plot-front');
const ids = plot.data.flatMap(({ customdata }) => customdata ?? []).filter(Boolean);
document.dispatchEvent(new CustomEvent('pick', { detail: ids[Math.floor(ids.length / 2)] }));
requestAnimationFrame(() => setTimeout(() => done([ids.length, plot.data.at(-1).x.length]), 0));
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = large_run()
    assert len(run.trials) > 5_000
    path = tmp_path_factory.mktemp("large") / "report.html"
    path.write_text(report_html(run), encoding="utf-8")
    return path


@pytest.fixture(params=["--enable-unsafe-swiftshader", "--disable-3d-apis"], ids=["WebGL", "SVG"])
def browser(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[webdriver.Chrome]:
    driver = started(tmp_path, request.param)
    yield driver
    driver.quit()


def work(browser: webdriver.Chrome) -> float:
    """Seconds of CPU that the page's thread has worked."""
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


def test_a_click_is_answered_within_a_second(browser: webdriver.Chrome, page: Path) -> None:
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    opened(browser, page, tall=False)
    WebDriverWait(browser, PATIENCE).until(lambda seen: seen.execute_script(READY))
    before = work(browser)
    marks, rings = browser.execute_async_script(CLICK)
    assert marks > 2_000
    assert rings > 0
    assert work(browser) - before < 1.0
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
