"""Reading files: the text of a Markdown, HTML, PDF, DOCX, CSV, JSON or text file, with headings.

PDF is read by LlamaIndex's reader. The others are read here, since LlamaIndex's readers for them
lose what the metadata of a chunk needs: headings, column names, the encoding, character offsets.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import logging
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

from agentkit._text import well_formed
from agentkit.errors import InvalidInputError

TEXT_FIELDS = ("text", "content", "page_content", "body", "passage")
"""The fields of a JSON object that hold its text; the first that is there is taken."""

_LONGEST_RECORD_VALUE = 1_000  # characters; longer ones are in the text and not filtered by
_LARGEST_DOCX_PART = 256 * 2**20  # bytes: a small archive can hold a part of any size
_CONTROL_SHARE = 0.005
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_FRONT_MATTER = re.compile(r"\A---\n(.*?\n)?(?:---|\.\.\.)(?:\n|\Z)", re.DOTALL)
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True)
class Heading:
    """A heading: where it starts in its part's text, in characters, and its level from 1."""

    start: int
    level: int
    title: str


@dataclass(frozen=True)
class Part:
    """A page, a record, or all of a file, which is split on its own."""

    text: str
    headings: list[Heading] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FileText:
    """What was read from a file."""

    file_type: str
    parts: list[Part]
    title: str | None = None


def read_file(path: Path, data: bytes) -> FileText:
    """Read a file by the ending of its name; an unknown ending is read as text.

    Args:
        path: Where the file is.
        data: The bytes that it holds.

    Raises:
        Exception: Whatever the parser of a broken file raises.
    """
    file_type = FILE_TYPES.get(path.suffix.lower(), "text")
    title, parts = _READERS[file_type](path, data)
    if title is None:
        title = next((part.headings[0].title for part in parts if part.headings), None)
    return FileText(file_type, parts, title)


def decode(data: bytes) -> str:
    """The text of bytes: by their byte order mark, else as UTF-8, else as Windows-1252.

    Every line ends in a line feed then.

    Raises:
        InvalidInputError: When they are not text.
    """
    encoding = next((name for bom, name in _BOMS.items() if data.startswith(bom)), None)
    if encoding is None and b"\0" in data:
        raise InvalidInputError("it is not text: it holds NUL bytes")
    try:
        text = data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding is not None:
            raise InvalidInputError(f"it is not the {encoding} that it begins as") from error
        text = data.decode("cp1252", "replace")
    if len(_CONTROL.findall(text)) > _CONTROL_SHARE * len(text):
        raise InvalidInputError("it is not text: it holds control characters")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_text(_path: Path, data: bytes) -> tuple[str | None, list[Part]]:
    return None, [Part(decode(data))]


def _read_markdown(_path: Path, data: bytes) -> tuple[str | None, list[Part]]:
    text = decode(data)
    title = None
    if front_matter := _FRONT_MATTER.match(text):
        named = re.search(r"^title:[ \t]*(.+)$", front_matter[0], re.MULTILINE)
        title = named[1].strip().strip("\"'") if named else None
        text = text[front_matter.end() :]
    return title or None, [Part(text, list(_markdown_headings(text)))]


def _markdown_headings(text: str) -> Iterator[Heading]:
    from markdown_it import MarkdownIt

    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    blocks = ["heading", "lheading", "fence", "code", "html_block", "hr"]
    tokens = MarkdownIt("zero").enable(blocks).parse(text)
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.map:
            yield Heading(starts[opening.map[0]], int(opening.tag[1]), inline.content)


_HTML_LEFT_OUT = ["script", "style", "noscript", "template", "nav", "footer", "svg", "iframe"]
_HTML_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HTML_LINES = {"li", "tr", "dt", "dd"}
_HTML_BLOCKS = {
    *_HTML_HEADINGS, *_HTML_LINES, "address", "article", "aside", "blockquote", "body", "caption",
    "details", "div", "dl", "fieldset", "figcaption", "figure", "form", "header", "html", "main",
    "ol", "p", "pre", "section", "summary", "table", "ul", "[document]",
}  # fmt: skip


def _read_html(_path: Path, data: bytes) -> tuple[str | None, list[Part]]:
    from bs4 import BeautifulSoup

    if b"\0" in data and not data.startswith(tuple(_BOMS)):
        raise InvalidInputError("it is not HTML: it holds NUL bytes")
    soup = BeautifulSoup(data, "html.parser")
    title = " ".join(soup.title.get_text().split()) if soup.title else None
    for tag in soup.find_all([*_HTML_LEFT_OUT, "head"]):
        tag.extract()
    return title or None, [_joined(_html_blocks(soup))]


def _html_blocks(soup: Any) -> Iterator[tuple[str, int | None, bool]]:
    """Each block's text, the level it has as a heading, and whether it is a line of a list."""
    from bs4.element import NavigableString

    current, pieces = None, list[str]()
    for node in soup.descendants:
        block = next((p for p in (node, *node.parents) if p.name in _HTML_BLOCKS), soup)
        if block is not current:
            yield _html_block(current, pieces)
            current, pieces = block, []
        if type(node) is NavigableString:
            pieces.append(str(node))
        elif node.name == "br":
            pieces.append("\n" if block.name == "pre" else " ")
        elif node.name in ("td", "th") and "".join(pieces).strip():
            pieces.append(" | ")
    yield _html_block(current, pieces)


def _html_block(block: Any, pieces: list[str]) -> tuple[str, int | None, bool]:
    name = block.name if block is not None else ""
    text = "".join(pieces)
    text = text.strip("\n") if name == "pre" else " ".join(text.split())
    if name == "li" and text:
        text = f"- {text}"
    return text, _HTML_HEADINGS.get(name), name in _HTML_LINES


def _joined(blocks: Iterator[tuple[str, int | None, bool]]) -> Part:
    """One text of blocks: lines of a list or table close together, others a blank line apart."""
    pieces: list[str] = []
    headings: list[Heading] = []
    length, after_line = 0, False
    for text, level, is_line in blocks:
        if not text.strip():
            continue
        gap = "" if not pieces else "\n" if is_line and after_line else "\n\n"
        pieces += [gap, text]
        length += len(gap)
        if level is not None:
            headings.append(Heading(length, level, text))
        length, after_line = length + len(text), is_line
    return Part("".join(pieces), headings)


@contextmanager
def _logging_as_it_is() -> Iterator[None]:
    """Leave the program's logging alone, which LlamaIndex's readers set up as they are imported."""
    root, taken = logging.getLogger(), logging.NullHandler()
    root.addHandler(taken)  # `logging.basicConfig` does nothing where there is a handler
    try:
        yield
    finally:
        root.removeHandler(taken)


def _read_pdf(path: Path, _data: bytes) -> tuple[str | None, list[Part]]:
    with _logging_as_it_is():
        from llama_index.readers.file import PDFReader  # type: ignore[import-untyped]
    from tenacity import RetryError

    try:
        pages = PDFReader().load_data(path)
    except RetryError as error:
        cause = error.last_attempt.exception()
        raise InvalidInputError(f"it cannot be read as PDF: {cause}") from cause
    return None, [
        Part(well_formed(page.text), metadata={"page": number})
        for number, page in enumerate(pages, 1)
    ]


_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_WORD_TEXT = {f"{_WORD}tab": "\t", f"{_WORD}br": "\n", f"{_WORD}cr": "\n"}


def _read_docx(_path: Path, data: bytes) -> tuple[str | None, list[Part]]:
    from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        body = fromstring(_member(archive, "word/document.xml"))
        styles = _docx_heading_levels(archive, fromstring)
        title = _docx_title(archive, fromstring)
    return title, [_joined(_docx_blocks(body, styles))]


def _docx_blocks(body: Any, levels: Mapping[str, int]) -> Iterator[tuple[str, int | None, bool]]:
    inside_table: set[Any] = set()
    for element in body.iter():
        if element in inside_table or element.tag not in (f"{_WORD}p", f"{_WORD}tbl"):
            continue
        if element.tag == f"{_WORD}tbl":
            inside_table.update(element.iter())
            for row in element.iter(f"{_WORD}tr"):
                cells = [_docx_text(cell) for cell in row.iter(f"{_WORD}tc")]
                yield " | ".join(filter(None, cells)), None, True
        else:
            style = element.find(f"{_WORD}pPr/{_WORD}pStyle")
            level = levels.get(style.get(f"{_WORD}val", "")) if style is not None else None
            is_item = element.find(f"{_WORD}pPr/{_WORD}numPr") is not None and level is None
            text = _docx_text(element)
            yield (f"- {text}" if is_item and text else text), level, is_item


def _docx_text(element: Any) -> str:
    return "".join(
        node.text or "" if node.tag == f"{_WORD}t" else _WORD_TEXT.get(node.tag, "")
        for node in element.iter()
    ).strip()


def _docx_heading_levels(archive: zipfile.ZipFile, parse: Callable[[bytes], Any]) -> dict[str, int]:
    """The level of each heading style by its id: the ids are translated, the names are not."""
    if "word/styles.xml" not in archive.namelist():
        return {f"Heading{level}": level for level in range(1, 7)}
    levels = {}
    for style in parse(_member(archive, "word/styles.xml")).iter(f"{_WORD}style"):
        named = style.find(f"{_WORD}name")
        name = named.get(f"{_WORD}val", "").lower() if named is not None else ""
        if match := re.fullmatch(r"heading (\d)|title", name):
            levels[style.get(f"{_WORD}styleId", "")] = int(match[1] or 1)
    return levels


def _docx_title(archive: zipfile.ZipFile, parse: Callable[[bytes], Any]) -> str | None:
    if "docProps/core.xml" not in archive.namelist():
        return None
    title = parse(_member(archive, "docProps/core.xml")).find(
        "{http://purl.org/dc/elements/1.1/}title"
    )
    return (title.text or "").strip() or None if title is not None else None


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        content = member.read(_LARGEST_DOCX_PART + 1)
    if len(content) > _LARGEST_DOCX_PART:
        raise InvalidInputError(f"its {name} unpacks to more than {_LARGEST_DOCX_PART} bytes")
    return content


def _read_csv(path: Path, data: bytes) -> tuple[str | None, list[Part]]:
    text = decode(data)
    rows = csv.reader(io.StringIO(text, newline=""), _dialect(path, text), strict=True)
    header = [name.strip() or f"column {n}" for n, name in enumerate(next(rows, []), 1)]
    return None, [_row_part(header, row, n) for n, row in enumerate(filter(any, rows), 1)]


def _dialect(path: Path, text: str) -> type[csv.Dialect]:
    if path.suffix.lower() == ".tsv":
        return csv.excel_tab
    try:
        # a heading line alone tells the delimiter; cells of prose would mislead the sniffer
        return csv.Sniffer().sniff(text.split("\n", 1)[0], ",;\t|")
    except csv.Error:
        return csv.excel


def _row_part(header: list[str], row: list[str], number: int) -> Part:
    cells = [
        (name or f"column {n}", (value or "").strip())
        for n, (name, value) in enumerate(zip_longest(header, row), 1)
    ]
    text = "\n".join(f"{name}: {value}" for name, value in cells if value)
    return Part(text, metadata={"row": number, "record": _filterable(dict(cells))})


def _read_json(_path: Path, data: bytes) -> tuple[str | None, list[Part]]:
    content = _json(decode(data))
    if isinstance(content, list):
        return None, [_record_part(record, n) for n, record in enumerate(content, 1)]
    return None, [_record_part(content, None)]


def _read_json_lines(_path: Path, data: bytes) -> tuple[str | None, list[Part]]:
    parts = []
    for number, line in enumerate(decode(data).split("\n"), 1):
        if line.strip():
            try:
                parts.append(_record_part(_json(line), number))
            except ValueError as error:
                raise InvalidInputError(f"line {number} is not JSON: {error}") from error
    return None, parts


def _json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def _record_part(record: Any, number: int | None) -> Part:
    numbered: dict[str, Any] = {} if number is None else {"row": number}
    if not isinstance(record, dict):
        return Part(well_formed(_lines(record)), metadata=numbered)
    named = next((name for name in TEXT_FIELDS if _is_filled(record.get(name))), None)
    text = _lines(record) if named is None else record[named]
    title = record["title"].strip() if _is_filled(record.get("title")) else None
    if named and title and not text.lstrip().startswith(title):
        text = f"{title}\n\n{text}"
    fields = {name: value for name, value in record.items() if name != named}
    titled = {"title": title} if title else {}
    return Part(well_formed(text), metadata={**numbered, **titled, "record": _filterable(fields)})


def _is_filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _lines(value: Any, path: str = "") -> str:
    """The values of a JSON value, a line each: `author.name: Ada`."""
    if isinstance(value, dict):
        named = ((f"{path}.{name}" if path else name, item) for name, item in value.items())
        return "\n".join(filter(None, (_lines(item, name) for name, item in named)))
    if isinstance(value, list):
        return "\n".join(filter(None, (_lines(item, path) for item in value)))
    if value is None or value == "":
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{path}: {text}" if path else text


def _filterable(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in record.items()
        if not isinstance(value, (dict, list)) and len(str(value)) <= _LONGEST_RECORD_VALUE
    }


_READERS: dict[str, Callable[[Path, bytes], tuple[str | None, list[Part]]]] = {
    "text": _read_text,
    "markdown": _read_markdown,
    "html": _read_html,
    "pdf": _read_pdf,
    "docx": _read_docx,
    "csv": _read_csv,
    "json": _read_json,
    "jsonl": _read_json_lines,
}

FILE_TYPES = {
    ".txt": "text", ".text": "text", ".rst": "text",
    ".md": "markdown", ".markdown": "markdown", ".mdx": "markdown",
    ".html": "html", ".htm": "html", ".xhtml": "html",
    ".pdf": "pdf", ".docx": "docx", ".csv": "csv", ".tsv": "csv",
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip
"""The type of a file by the ending of its name, in lower case."""
