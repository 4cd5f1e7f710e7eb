"""`report.html` in a real Chromium: a click leads to the marked quote, on a phone too; no request, no script."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from services.cli.report_page import page
from tests.unit.cli.test_report_page import QUOTE, SHA, TEXT, report

WAIT_S = 30.0
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium with chromedriver here")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    driver = Chrome(options=options, service=Service(DRIVER))
    (tmp_path / "report.html").write_text(page(report(), {SHA: TEXT}))
    driver.get((tmp_path / "report.html").as_uri())
    yield driver
    driver.quit()


def test_a_click_on_a_citation_shows_the_passage_with_the_quote_marked(browser: Chrome) -> None:
    browser.set_window_size(1300, 800)
    browser.find_element(By.CSS_SELECTOR, 'a[href="#c1"]').click()
    WebDriverWait(browser, WAIT_S).until(lambda b: b.current_url.endswith("#c1"))
    target = browser.find_element(By.CSS_SELECTOR, ":target")
    assert target.get_attribute("id") == "c1"
    mark = target.find_element(By.TAG_NAME, "mark")
    assert mark.text == QUOTE
    WebDriverWait(browser, WAIT_S).until(lambda b: b.execute_script(IN_VIEW, mark))
    target.find_element(By.CSS_SELECTOR, 'a[href="#r1"]').click()
    WebDriverWait(browser, WAIT_S).until(lambda b: b.current_url.endswith("#r1"))


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Chrome) -> None:
    browser.set_window_size(500, 900)
    width, inner = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= inner
    columns = browser.execute_script("return getComputedStyle(document.body).display")
    assert columns == "block", "one column, sources below"


def test_nothing_is_requested_and_nothing_runs(browser: Chrome) -> None:
    requests = browser.execute_script("return performance.getEntriesByType('resource').length")
    assert requests == 0
    assert browser.find_elements(By.CSS_SELECTOR, "script, img, iframe, link, object") == []


IN_VIEW = """const r = arguments[0].getBoundingClientRect();
return r.top >= 0 && r.bottom <= window.innerHeight;"""
