"""What a graph returned, as a notebook shows it: the answer, what it stands on, rows as a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentkit._markup import Markup, joined, tag
from agentkit._text import shortened

_ROWS = 50
_SOURCES = 20
_CELL_CHARS = 200
_MARK = re.compile(r"(\[m?\d+(?:, ?m?\d+)*\])")
_STYLE = Markup(
    "<style>.agentkit-result{font-family:system-ui,sans-serif;line-height:1.5;max-width:60rem}"
    ".agentkit-result p{margin:.3em 0;white-space:pre-wrap}"
    ".agentkit-result sup{opacity:.7}"
    ".agentkit-result small{opacity:.75}"
    ".agentkit-result pre{padding:.5em .8em;border:1px solid color-mix(in srgb,currentColor 25%,"
    "transparent);border-radius:.4em;white-space:pre-wrap;background:none;color:inherit}"
    ".agentkit-result table{border-collapse:collapse;margin:.5em 0}"
    ".agentkit-result td,.agentkit-result th{text-align:left;padding:.15em .7em;border-bottom:1px "
    "solid color-mix(in srgb,currentColor 20%,transparent);vertical-align:top}"
    ".agentkit-result td.number{text-align:right;font-variant-numeric:tabular-nums}"
    ".agentkit-result ol{margin:.3em 0;padding-left:0;list-style:none}</style>"
)


class Shown:
    """A result that a notebook shows as HTML, and anything else as text.

    Args:
        html: The HTML, all of it escaped that comes from outside.
        text: The same as text.
    """

    def __init__(self, html: str, text: str) -> None:
        self._html = html
        self._text = text

    def _repr_html_(self) -> str:
        return self._html

    def __repr__(self) -> str:
        return self._text


def show(result: Mapping[str, Any]) -> Shown:
    """Show what a graph returned: answer, sources, the query and its rows, and calls of tools.

    Args:
        result: The output of any graph of agentkit, or of one with `answer` or `messages`. Where a
            person is asked instead, that is shown.

    Returns:
        What a notebook shows when it ends a cell; `print` writes the same as text.
    """
    sections = [*_asked(result), *_answered(result), *_query(result), *_rows(result)]
    sections += [*_sources(result), *_calls(result), *_failures(result)]
    html = tag("div", [section for section, _ in sections], class_="agentkit-result")
    text = "\n\n".join(told for _, told in sections if told)
    return Shown(joined(_STYLE, html), text)


Section = tuple[Markup, str]
"""A part of what is shown, as HTML and as text."""


def _asked(result: Mapping[str, Any]) -> Iterable[Section]:
    for wait in result.get("__interrupt__") or ():
        value = wait.value
        told = value.get("description", value) if isinstance(value, Mapping) else value
        yield (
            joined(tag("p", tag("b", "A person is asked.")), tag("pre", str(told))),
            f"A person is asked: {told}",
        )


def _answered(result: Mapping[str, Any]) -> Iterable[Section]:
    answer = result.get("answer")
    if answer is None and not result.get("__interrupt__") and result.get("messages"):
        answer = getattr(result["messages"][-1], "text", "")
    if answer:
        parts = _MARK.split(str(answer))
        yield (
            tag("p", [tag("sup", part) if at % 2 else part for at, part in enumerate(parts)]),
            str(answer),
        )


def _query(result: Mapping[str, Any]) -> Iterable[Section]:
    if query := result.get("query"):
        yield tag("pre", str(query)), str(query)


def _rows(result: Mapping[str, Any]) -> Iterable[Section]:
    columns, rows = result.get("columns") or (), result.get("rows") or ()
    if not columns:
        return
    more = len(rows) - _ROWS
    told = f"{len(rows)} row{'s' * (len(rows) != 1)}" + (
        ", and there are more" if result.get("truncated") else ""
    )
    if more > 0:
        told += f"; the first {_ROWS} are shown"
    yield _table(columns, rows[:_ROWS], caption=told)


def _sources(result: Mapping[str, Any]) -> Iterable[Section]:
    cited: dict[str, str] = {}
    for citation in result.get("citations") or ():
        cited.setdefault(_number(citation), _source(citation))
    if cited:
        lines = [f"[{number}] {told}" for number, told in list(cited.items())[:_SOURCES]]
        yield tag("ol", [tag("li", tag("small", line)) for line in lines]), "\n".join(lines)


def _calls(result: Mapping[str, Any]) -> Iterable[Section]:
    trace = result.get("trace")
    if not trace:
        return
    rows = [
        [
            record["number"],
            record["tool"],
            record["arguments"],
            record["outcome"],
            record["seconds"],
        ]
        for record in trace
    ]
    yield _table(["", "tool", "arguments", "outcome", "seconds"], rows)


def _failures(result: Mapping[str, Any]) -> Iterable[Section]:
    for failure in result.get("failures") or ():
        told = f"{failure['step']} failed ({failure['name']}): {failure['error']}"
        yield tag("p", tag("small", told)), told


def _number(citation: Mapping[str, Any]) -> str:
    """The number as the answer cites it: `m1` of a memory."""
    return f"m{citation['number']}" if "kind" in citation else str(citation["number"])


def _source(citation: Mapping[str, Any]) -> str:
    """What a citation is of: a document, a tool's result, a route's source or a memory."""
    if "route" in citation:
        inner = citation["source"]
        told = _source(inner) if "number" in inner else inner.get("query", "")
        return ": ".join(filter(None, [citation["route"], str(told)]))
    if "tool" in citation:
        found = [_title(each) for each in citation["sources"]]
        return ": ".join(filter(None, [citation["tool"], "; ".join(found)]))
    if "kind" in citation:
        return f"{citation['text']} ({citation['time'][:10]})"
    quote = f"“{citation['quote']}”" if citation.get("quote") else ""
    return " ".join(filter(None, [_title(citation), quote]))


def _title(source: Mapping[str, Any]) -> str:
    title, where = source.get("title") or "", source.get("url") or source.get("source") or ""
    return f"{title} ({where})" if title and where and title != where else str(title or where)


def _table(columns: Sequence[Any], rows: Sequence[Sequence[Any]], *, caption: str = "") -> Section:
    head = tag("tr", [tag("th", str(column)) for column in columns])
    body = [tag("tr", map(_cell, row)) for row in rows]
    table = tag("table", tag("thead", head), tag("tbody", body))
    lines = [" | ".join(_short(value) for value in row) for row in [columns, *rows]]
    return (
        joined(table, tag("small", caption) if caption else None),
        "\n".join(filter(None, [*lines, f"({caption})" if caption else ""])),
    )


def _cell(value: Any) -> Markup:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return tag("td", _short(value), class_="number" if is_number else None)


def _short(value: Any) -> str:
    return "" if value is None else shortened(" ".join(str(value).split()), _CELL_CHARS)
