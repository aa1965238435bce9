"""A headless browser, which looks up no name and calls nothing beyond loopback."""

import contextlib
import os
import shutil

import pytest

REQUIRED = os.environ.get("AGENTKIT_REQUIRE_SERVICES") == "1"
NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_browser():
    """The browser's path; a test is skipped on a machine without one, unless it has to be there."""
    path = os.environ.get("AGENTKIT_TEST_CHROMIUM") or next(
        filter(None, map(shutil.which, NAMES)), ""
    )
    if not path:
        assert not REQUIRED, "there is no browser"
        pytest.skip('there is no Chromium; try: eval "$(scripts/chromium.sh)"')
    return path


@contextlib.contextmanager
def browsing():
    """Chromium, driven by Playwright."""
    browser_path = find_browser()
    if not REQUIRED:
        pytest.importorskip("playwright", reason="there is no Playwright; try: make test")
    from playwright.sync_api import sync_playwright

    options = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=options, chromium_sandbox=False
        )
        yield browser
        browser.close()
