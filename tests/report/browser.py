"""A headless Chromium for tests of pages: opened at a width and in a theme, and what it complained of or asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None or DRIVER is None, reason="needs chromium and chromedriver"),
]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
LOADED = "return location.href === arguments[0] && document.readyState === 'complete'"
UNDRAWN = """
return [...document.querySelectorAll('.plot')].filter((plot) => !plot.querySelector('.main-svg')).map(({ id }) => id)
"""
PATIENCE = 90
"""Seconds, on a machine that does much else."""


def started(profile: Path, *flags: str) -> webdriver.Chrome:
    """A browser of its own; who gets it quits it."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (*FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    driver.set_page_load_timeout(PATIENCE)
    driver.set_script_timeout(PATIENCE)
    return driver


def opened(browser: webdriver.Chrome, page: Path, width: int = 1280, theme: str = "light", tall: bool = True) -> None:
    """The page at a width; `tall`: with every fold open, in a window as high as it, so that every figure is drawn."""
    scheme = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
    resized(browser, width, 900)
    browser.get("about:blank")
    browser.get(page.as_uri())
    # On a busy machine the driver has called half a page loaded: its last folds stayed shut, and undrawn.
    WebDriverWait(browser, PATIENCE).until(lambda seen: seen.execute_script(LOADED, page.as_uri()))
    if tall:
        browser.execute_script("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
        resized(browser, width, browser.execute_script("return document.documentElement.scrollHeight"))
        try:
            WebDriverWait(browser, PATIENCE).until(lambda seen: not seen.execute_script(UNDRAWN))
        except TimeoutException:
            undrawn = ", ".join(browser.execute_script(UNDRAWN))
            raise AssertionError(f"not drawn within {PATIENCE} s: {undrawn}") from None


def resized(browser: webdriver.Chrome, width: int, height: int) -> None:
    """The window at a size."""
    size: dict[str, Any] = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def requests(browser: webdriver.Chrome) -> list[str]:
    """What the page asked for since the last look, besides itself and data in it."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    page = browser.current_url.partition("#")[0]
    urls = [one["request"]["url"] for one in asked if one["documentURL"].partition("#")[0] == page]
    return [url for url in urls if url != page and not url.startswith(("data:", "blob:"))]
