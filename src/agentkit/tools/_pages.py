"""The text of a web page: its kind, and its main content as Markdown."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from langchain_core.tools import ToolException

from agentkit.errors import MissingExtraError
from agentkit.tools._decoding import MARKS, decoded
from agentkit.tools._fetching import Fetched

try:
    import trafilatura
    from trafilatura.settings import use_config
except ImportError as error:
    raise MissingExtraError("Reading a web page", "web") from error

_HTML = frozenset({"text/html", "application/xhtml+xml"})
_TEXT = re.compile(r"text/.+|application/(.+\+)?(json|xml|yaml|x-yaml|ndjson|toml|javascript)")
_WEB = ("http://", "https://")
_REFERENCES = "//sup[contains(@class, 'reference')]"  # Wikipedia's footnote marks
_EXTRACTION = use_config()
_EXTRACTION.set("DEFAULT", "MIN_EXTRACTED_SIZE", "0")  # its own rescue of short pages drops links
_SHORT = 250  # characters of a main text that may have missed the most of its page
_MOST_ELEMENTS = 20_000  # the extraction's time grows faster than they do
_UNREAD = frozenset(
    {"script", "style", "noscript", "template", "svg", "iframe", "head", "nav", "form", "button"}
)
# fmt: off
_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "body", "br", "dd", "details", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6",
    "header", "hr", "li", "main", "ol", "p", "pre", "section", "summary", "table", "td", "th",
    "tr", "ul",
))
# fmt: on
_MARKS = {"li": "- ", **{f"h{level}": "#" * level + " " for level in range(1, 7)}}
_EMPTY_LINKS = re.compile(r"\[\s*\]\([^)\s\[]*\)")
_BLANKS = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\s*\n\s*")


@dataclass(frozen=True)
class Page:
    """A page as it is read.

    Args:
        url: Where it came from.
        title: Its title; its URL where it has none.
        text: Its content, in Markdown where the page is HTML.
    """

    url: str
    title: str
    text: str


def page_of(fetched: Fetched) -> Page:
    """The page that a server answered with.

    Raises:
        ToolException: When it is of a kind that cannot be read as text, or there is none in it.
    """
    kind = _kind(fetched)
    text = decoded(fetched.body, fetched.headers.get("content-type", ""))
    if kind not in _HTML:
        page = Page(fetched.url, fetched.url, text.strip())
    else:
        page = html_page(text, fetched.url)
    if not page.text:
        raise ToolException(
            f"{fetched.url} has no text that can be read: it may be empty, or need a browser. "
            "Try another page."
        )
    return page


def html_page(html: str, url: str, *, links: bool = True) -> Page:
    """The title of an HTML page and its main content, in Markdown.

    Args:
        html: The page.
        url: Where it came from, which its links are relative to.
        links: Whether links are kept.
    """
    tree: Any = trafilatura.load_html(html)
    if tree is None:  # it takes no fragment
        tree = trafilatura.load_html(f"<html><body><div>{html}</div></body></html>")
    if tree is None:
        return Page(url, url, "")
    title = " ".join((tree.findtext(".//title") or "").split()) or url
    if links:
        with suppress(ValueError):  # a base address that is none
            tree.make_links_absolute(url, handle_failures="ignore")
    text = _main_text(tree, links) if sum(1 for _ in tree.iter()) <= _MOST_ELEMENTS else ""
    if len(text) < _SHORT:
        whole = _whole_text(tree, links)
        text = whole if len(whole) > 2 * len(text) else text
    return Page(url, title, text)


def part_of(text: str, offset: int, max_chars: int, again: str) -> str:
    """The characters of a text from an offset on, and how to read on where there are more.

    Args:
        text: The whole.
        offset: Where the part begins.
        max_chars: Characters of the part at most; it ends with a line where one ends near.
        again: The call that reads on, as the model is told, with `{}` for the offset.

    Raises:
        ToolException: When the text ends before the offset.
    """
    if offset >= len(text) > 0:
        raise ToolException(f"There is nothing at offset {offset}: the text has {len(text)} chars.")
    end = offset + max_chars
    if end >= len(text):
        return text[offset:]
    end = text.rfind("\n", offset + max_chars * 3 // 4, end) + 1 or end
    return (
        f"{text[offset:end]}\n\n"
        f"(characters {offset} to {end} of {len(text)}; to read on, {again.format(end)})"
    )


def _kind(fetched: Fetched) -> str:
    kind = fetched.headers.get("content-type", "").partition(";")[0].strip().lower()
    start = fetched.body[:1_024].lstrip()
    if not kind:
        kind = "text/html" if start[:1] == b"<" else "text/plain"
    if start.startswith(b"%PDF-"):
        kind = "application/pdf"
    elif _is_binary(start):
        kind = "binary data" if kind in _HTML or _TEXT.fullmatch(kind) else kind
    elif kind in _HTML or _TEXT.fullmatch(kind):
        return kind
    raise ToolException(
        f"{fetched.url} is {kind}, which cannot be read here: only HTML, plain text, Markdown, "
        "JSON and XML can. Try another page."
    )


def _is_binary(start: bytes) -> bool:
    return b"\0" in start and not start.startswith(MARKS)


def _main_text(tree: Any, links: bool) -> str:
    body = tree.find("body")
    if body is not None and tree.find(".//article") is None and tree.find(".//main") is None:
        # without a sign of where the content is, the extraction loses headings and lists
        article = body.makeelement("article")
        article.text, body.text = body.text, None
        article.extend(list(body))
        body.append(article)
    text = trafilatura.extract(
        tree,
        output_format="markdown",
        include_links=links,
        include_comments=False,
        prune_xpath=_REFERENCES,
        config=_EXTRACTION,
    )
    return (text or "").strip()


def _whole_text(tree: Any, links: bool) -> str:
    # for pages without one main text, such as lists of links, and for very large ones
    for element in list(tree.iter()):
        if element.tag in _UNREAD or not isinstance(element.tag, str):
            element.drop_tree()
        elif element.tag == "a" and links and element.get("href", "").startswith(_WEB):
            element.text = f"[{element.text or ''}"
            element.tail = f"]({element.get('href')}){element.tail or ''}"
        elif element.tag in _BLOCKS:
            element.text = f"\n{_MARKS.get(element.tag, '')}{element.text or ''}"
            element.tail = f"\n{element.tail or ''}"
    text = _EMPTY_LINKS.sub("", _BLANKS.sub(" ", tree.text_content()))
    return _BLANK_LINES.sub("\n\n", text).strip()
