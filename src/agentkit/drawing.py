"""A graph as a drawing, made on this machine: for notebooks, for documents, for a file."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentkit._layout import Box, Edge, Line, Point, laid_out
from agentkit._markup import Markup, joined, tag
from agentkit._text import shortened
from agentkit.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_core.runnables.graph import Graph as DrawnGraph

_MARGIN = 10.0
_NODE_HEIGHT = 30.0
_NODE_PADDING = 13.0
_LEAST_WIDTH = 58.0
_FRAME_PADDING = 16.0
_FRAME_TITLE = 22.0
_FONT = 13
_MOST_LABEL_CHARS = 48
_START, _END = "__start__", "__end__"

# how wide letters are, in parts of the font's size, about as sans serif fonts have them
_NARROW, _WIDE = frozenset("iIjlft.,:;|!'()[] "), frozenset("mwMWQO@%")
_WIDTHS = {"narrow": 0.34, "wide": 0.88, "upper": 0.7, "full": 1.05, "other": 0.58}

_BACK = "#5b76e0"  # readable on light and on dark
_COLOURS = (
    ":root{color:#22252b;color-scheme:light dark}"
    "@media(prefers-color-scheme:dark){:root{color:#e6e7ea}}"
)


@dataclass(frozen=True)
class Drawing:
    """The drawing of a graph, which a notebook shows when it ends a cell.

    It has the colour of the text around it, so that it is readable on light and on dark.
    """

    name: str
    width: float
    height: float
    elements: Markup

    @property
    def html(self) -> str:
        """The drawing as an `svg` element of an HTML page, without style or script."""
        return self._svg(style="max-width:100%;height:auto")

    @property
    def svg(self) -> str:
        """The drawing as an SVG file, which takes its colours from the viewer's preference."""
        return self._svg(tag("style", Markup(_COLOURS)))

    def save(self, path: str | Path) -> None:
        """Write the drawing as an SVG file.

        Raises:
            ConfigurationError: When the file cannot be written.
        """
        try:
            Path(path).write_text(f"{self.svg}\n", encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"No drawing can be saved to {path}: {error}") from error

    def _repr_html_(self) -> str:
        return self.html

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<Drawing of {self.name}>"

    def _svg(self, *before: Markup, **attributes: str) -> str:
        return tag(
            "svg",
            *before,
            self.elements,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {self.width:g} {self.height:g}",
            width=f"{self.width:g}",
            height=f"{self.height:g}",
            role="img",
            aria_label=f"Graph {self.name}",
            font_family="system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif",
            font_size=_FONT,
            **attributes,
        )


def draw(graph: Any, *, xray: int | bool = False) -> Drawing:
    """Draw a graph, without network, browser or further packages.

    Solid edges are always taken, dashed ones by choice; edges that lead back are blue. Graphs of
    agentkit are shown like this in a notebook by themselves.

    Args:
        graph: A compiled LangGraph graph.
        xray: Whether graphs inside of it are opened up, each in a frame; how many levels deep, as a
            number.

    Raises:
        ConfigurationError: When it is no compiled graph.
    """
    from langgraph.pregel.protocol import PregelProtocol

    if not isinstance(graph, PregelProtocol):
        hint = " Compile it first." if hasattr(graph, "compile") else ""
        raise ConfigurationError(
            f"What can be drawn is a compiled LangGraph graph; got {type(graph).__name__}.{hint}"
        )
    return drawing_of(graph.get_graph(xray=xray), str(getattr(graph, "name", None) or "graph"))


def drawing_of(drawn: DrawnGraph, name: str) -> Drawing:
    """The drawing of a graph's nodes and edges, as LangChain describes them."""
    labels = {node.id: _label(node.id, node.name) for node in drawn.nodes.values()}
    edges = [
        Edge(
            edge.source, edge.target, edge.conditional, "" if edge.data is None else str(edge.data)
        )
        for edge in drawn.edges
        if edge.source in labels and edge.target in labels
    ]
    picture = _picture("", labels, edges)
    return Drawing(
        name,
        round(picture.width + 2 * _MARGIN, 1),
        round(picture.height + 2 * _MARGIN, 1),
        _moved(picture.elements, _MARGIN, _MARGIN),
    )


def _label(node: str, name: str) -> str:
    own = (name or node).rsplit(":", 1)[-1]
    return {_START: "start", _END: "end"}.get(own, own)


# -- graphs inside of graphs -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Picture:
    """A graph, or one inside of it, drawn from (0, 0) on."""

    elements: Markup
    width: float
    height: float


def _picture(within: str, labels: Mapping[str, str], edges: Sequence[Edge]) -> _Picture:
    """The nodes whose ids begin with `within`; what is deeper inside is drawn in frames."""
    inner: dict[str, _Picture] = {}
    boxes: list[Box] = []
    here = _merged(_lifted(edges, within))
    loops = {edge.source for edge in here if edge.source == edge.target}
    for member in dict.fromkeys(_member(node, within) for node in labels):
        if member in labels:
            width = max(_LEAST_WIDTH, _text_width(_short(labels[member])) + 2 * _NODE_PADDING)
            boxes.append(Box(member, width, _NODE_HEIGHT, member in loops))
        else:
            inside = {i: told for i, told in labels.items() if i.startswith(f"{member}:")}
            inner[member] = _picture(f"{member}:", inside, _inside(edges, f"{member}:"))
            boxes.append(_frame(member, inner[member]))
    layout = laid_out(boxes, here, start=f"{within}{_START}")
    parts = [
        _framed(box, inner[box.id]) if box.id in inner else _node(box, labels[box.id])
        for box in boxes
    ]
    right = max((_label_end(line) for line in layout.lines), default=0.0)
    elements = joined([_line(line) for line in layout.lines], parts)
    return _Picture(elements, max(layout.width, right), layout.height)


def _member(node: str, within: str) -> str:
    """The node or the inner graph, directly in `within`, that a node belongs to."""
    return within + node[len(within) :].split(":", 1)[0]


def _inside(edges: Iterable[Edge], within: str) -> list[Edge]:
    return [
        edge for edge in edges if edge.source.startswith(within) and edge.target.startswith(within)
    ]


def _lifted(edges: Sequence[Edge], within: str) -> list[Edge]:
    """Edges between the members of `within`; an end that is deeper inside is its frame's."""
    lifted = [
        Edge(
            _member(edge.source, within), _member(edge.target, within), edge.conditional, edge.label
        )
        for edge in edges
    ]
    ends = zip(edges, lifted, strict=True)
    return [new for old, new in ends if new.source != new.target or new == old]


def _merged(edges: Iterable[Edge]) -> list[Edge]:
    """One edge for each two nodes, with all that stands on those between them."""
    between: dict[tuple[str, str], list[Edge]] = {}
    for edge in edges:
        between.setdefault((edge.source, edge.target), []).append(edge)
    return [
        Edge(
            *ends,
            conditional=all(edge.conditional for edge in same),
            label=", ".join(dict.fromkeys(edge.label for edge in same if edge.label)),
        )
        for ends, same in between.items()
    ]


def _frame(member: str, inside: _Picture) -> Box:
    title = _text_width(_short(_label(member, member)))
    width = max(inside.width, title) + 2 * _FRAME_PADDING
    return Box(member, width, inside.height + 2 * _FRAME_PADDING + _FRAME_TITLE)


# -- elements --------------------------------------------------------------------------------------


def _moved(elements: Markup, x: float, y: float) -> Markup:
    return tag("g", elements, transform=f"translate({x:g} {y:g})")


def _rect(box: Box, **attributes: object) -> Markup:
    return tag(
        "rect",
        x=_of(box.x - box.width / 2),
        y=_of(box.y - box.height / 2),
        width=_of(box.width),
        height=_of(box.height),
        stroke="currentColor",
        stroke_opacity=0.5,
        **attributes,
    )


def _node(box: Box, label: str) -> Markup:
    is_end = box.id.rsplit(":", 1)[-1] in (_START, _END)
    text = tag(
        "text",
        _short(label),
        x=_of(box.x),
        y=_of(box.y),
        fill="currentColor",
        text_anchor="middle",
        dominant_baseline="central",
        opacity=0.75 if is_end else None,
    )
    title = tag("title", label) if _short(label) != label else None
    filled = {"fill": "none", "rx": box.height / 2} if is_end else {"rx": 6}
    box_drawn = _rect(box, **{"fill": "currentColor", "fill_opacity": 0.06, **filled})
    return tag("g", title, box_drawn, text)


def _framed(box: Box, inside: _Picture) -> Markup:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    title = tag(
        "text",
        _short(_label(box.id, box.id)),
        x=_of(left + _FRAME_PADDING),
        y=_of(top + _FRAME_PADDING + 3),
        fill="currentColor",
        font_weight="600",
        dominant_baseline="central",
    )
    picture = _moved(
        inside.elements, round(box.x - inside.width / 2, 1), top + _FRAME_PADDING + _FRAME_TITLE
    )
    return tag("g", _rect(box, fill="currentColor", fill_opacity=0.03, rx=10), title, picture)


def _line(line: Line) -> Markup:
    colour = _BACK if line.is_back else "currentColor"
    path = tag(
        "path",
        d=_loop(line.points) if line.is_loop else _curve(line.points),
        fill="none",
        stroke=colour,
        stroke_opacity=None if line.is_back else 0.6,
        stroke_width=1.3,
        stroke_dasharray="5 4" if line.edge.conditional else None,
    )
    head = tag(
        "polygon",
        points=" ".join(f"{_of(x)},{_of(y)}" for x, y in _head(line)),
        fill=colour,
        fill_opacity=None if line.is_back else 0.75,
    )
    return tag("g", path, head, _told(line))


def _loop(points: Sequence[Point]) -> str:
    start, *bend = (f"{_of(x)} {_of(y)}" for x, y in points)
    return f"M{start} C{' '.join(bend)}"


def _curve(points: Sequence[Point]) -> str:
    """A smooth line, upright at every point."""
    path = [f"M{_of(points[0][0])} {_of(points[0][1])}"]
    for (from_x, from_y), (x, y) in pairwise(points):
        middle = _of((from_y + y) / 2)
        bend = f"C{_of(from_x)} {middle} {_of(x)} {middle} {_of(x)} {_of(y)}"
        path.append(f"V{_of(y)}" if from_x == x else bend)
    return " ".join(path)


def _head(line: Line) -> list[Point]:
    """The corners of the arrow's head."""
    x, y = line.points[-1]
    if line.is_loop:
        return [(x, y), (x + 7, y - 4), (x + 7, y + 4)]
    away = 7 if line.is_back else -7
    return [(x, y), (x - 4, y + away), (x + 4, y + away)]


def _told(line: Line) -> Markup | None:
    """What stands on an edge, beside its middle."""
    if not line.edge.label:
        return None
    x, y = _label_place(line)
    return tag(
        "text",
        _short(line.edge.label),
        x=_of(x),
        y=_of(y),
        fill="currentColor",
        font_size=_FONT - 2,
        opacity=0.8,
        dominant_baseline="central",
    )


def _label_place(line: Line) -> Point:
    middle = len(line.points) // 2
    (one_x, one_y), (two_x, two_y) = line.points[middle - 1 : middle + 1]
    return (one_x + two_x) / 2 + 5, (one_y + two_y) / 2


def _label_end(line: Line) -> float:
    label = line.edge.label
    return _label_place(line)[0] + _text_width(_short(label)) if label else 0.0


def _short(label: str) -> str:
    return shortened(label, _MOST_LABEL_CHARS)


def _text_width(text: str) -> float:
    return _FONT * sum(_WIDTHS[_letter_kind(letter)] for letter in text)


def _letter_kind(letter: str) -> str:
    if letter in _NARROW:
        return "narrow"
    if letter in _WIDE:
        return "wide"
    if unicodedata.east_asian_width(letter) in "WF":
        return "full"
    return "upper" if letter.isupper() else "other"


def _of(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
