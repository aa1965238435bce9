"""The site: built without a warning, complete, and in need of nobody."""

import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.browser import browsing
from tests.support.pages import DOCS, ROOT

pytest.importorskip("sphinx", reason="Sphinx is missing; try: make docs")
pytestmark = pytest.mark.xdist_group("site")  # built once

PACKAGES = [
    "agentkit",
    *(f"agentkit.{name}" for name in ("retrieval", "tools", "middleware", "memory", "testing")),
    *(f"agentkit.{name}" for name in ("serving", "evaluation", "optimization")),
    "agentkit.evaluation.metrics",
]
LOADING = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src")}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-n", "-W", "--keep-going", "-q", DOCS, folder],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


class Loaded(HTMLParser):
    """What a page loads when it is opened."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if (tag, name) in LOADING and value]


@pytest.mark.timeout(300)
def test_no_page_loads_anything_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        for address in Loaded(page.read_text(encoding="utf-8")).found:
            parts = urlsplit(address)
            assert not parts.scheme or parts.scheme == "data", f"{page}: {address}"
            assert not parts.netloc, f"{page}: {address}"
            assert (page.parent / unquote(parts.path)).exists(), f"{page}: {address}"
    for style in site.rglob("*.css"):
        assert not re.search(
            r"url\(\s*['\"]?(https?:)?//|@import", style.read_text(encoding="utf-8")
        )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(site, package):
    from sphinx.util.inventory import InventoryFile

    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    listed = {name for kind, names in inventory.data.items() if kind[:3] == "py:" for name in names}
    module = importlib.import_module(package)
    for name in module.__all__:
        value = getattr(module, name)
        aliases = {f"{package}.{name}", f"agentkit.{name}"}
        if hasattr(value, "__qualname__"):
            aliases.add(f"{value.__module__}.{value.__qualname__}")
        assert aliases & listed, f"{package}.{name}"


@pytest.mark.timeout(300)
def test_every_error_is_in_the_reference(site):
    from agentkit import errors

    text = (site / "api" / "errors.html").read_text(encoding="utf-8")
    names = [name for name in vars(errors) if name.endswith("Error") and name != "AgentkitError"]
    assert names
    assert [name for name in names if f'id="agentkit.errors.{name}"' not in text] == []


@pytest.mark.timeout(300)
def test_a_reader_finds_a_page_by_its_words_without_a_server(site):
    with browsing() as browser:
        page = browser.new_page()
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((site / "search.html").as_uri() + "?q=hypothetical")
        page.locator("#search-results li a", has_text="HyDE").first.wait_for()
    assert all(url.startswith("file://") for url in asked)


@pytest.mark.timeout(300)
def test_on_a_phone_drawings_begin_in_view_and_options_are_read_without_scrolling(site):
    with browsing() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto((site / "guides" / "rag.html").as_uri())
        starts = page.locator("figure.graph text").get_by_text("start", exact=True)
        described = page.locator("table.options td:last-child")
        boxes = [each.bounding_box() for each in [*starts.all(), *described.all()]]
        wide = page.locator("html").evaluate("page => page.scrollWidth")
    assert len(boxes) > 10
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    assert wide == 390


def test_commands_are_shown_as_commands_and_not_as_output(site):
    text = (site / "start.html").read_text(encoding="utf-8")
    assert "highlight-console" in text
    assert 'class="go"' not in text
