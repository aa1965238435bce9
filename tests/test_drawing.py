"""A graph's drawing: complete, readable, and made without anybody's help."""

import itertools
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from agentkit import (
    Route,
    create_memory_chat,
    create_rag,
    create_router,
    create_text_to_sql,
    create_tool_agent,
    draw,
)
from agentkit._layout import Box, Edge, laid_out
from agentkit.errors import ConfigurationError
from agentkit.retrieval import Decompose, ListwiseReranker, MultiQuery
from agentkit.testing import HashEmbeddings, Script, ScriptedChatModel
from tests.support.browser import browsing

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text></svg><script>document.title='owned'</script>\"'&\x00\u202e\uffff"


class State(TypedDict, total=False):
    told: str


def model():
    return ScriptedChatModel(script=Script())


def library(**options):
    store = InMemoryVectorStore(HashEmbeddings())
    return create_rag(model(), store, name="library", **options)


def own_graph(edges, *, name="own", choices=()):
    """A graph of a user's: `choices` are a node, and where it goes to by what is said."""
    graph = StateGraph(State)
    ends = [end for pair in edges for end in pair] + [
        to for _, ways in choices for to in ways.values()
    ]
    for node in dict.fromkeys(end for end in ends if end not in (START, END)):
        graph.add_node(node, lambda state: state)
    for pair in edges:
        graph.add_edge(*pair)
    for node, ways in choices:
        graph.add_conditional_edges(node, lambda state: "", dict(ways))
    return graph.compile(name=name)


def texts_of(drawing):
    return ["".join(each.itertext()) for each in ET.fromstring(drawing.svg).iter(f"{SVG}text")]


def paths_of(drawing):
    return list(ET.fromstring(drawing.svg).iter(f"{SVG}path"))


def test_every_step_and_edge_of_a_graph_is_drawn():
    graph = library(rewrite=[MultiQuery(), Decompose()], reranker=ListwiseReranker(), grade=True)
    drawn = graph.get_graph()
    steps = {"start", "end", *graph.nodes} - {"__start__"}
    assert set(texts_of(draw(graph))) == {s for s in steps if "error" not in s}
    assert len(paths_of(draw(graph))) == len(drawn.edges)


def test_edges_by_choice_are_dashed_and_those_that_lead_back_are_coloured():
    graph = own_graph(
        [(START, "draft"), ("draft", "check")],
        choices=[("check", {"wrong": "draft", "right": END})],
    )
    dashed = [path.get("stroke-dasharray") is not None for path in paths_of(draw(graph))]
    coloured = [path.get("stroke") != "currentColor" for path in paths_of(draw(graph))]
    assert (dashed.count(True), coloured.count(True)) == (2, 1)
    assert {"wrong", "right"} <= set(texts_of(draw(graph)))


def test_a_step_that_repeats_itself_is_drawn():
    graph = own_graph([(START, "try")], choices=[("try", {"again": "try", "done": END})])
    assert len(paths_of(draw(graph))) == 3
    assert "again" in texts_of(draw(graph))


def test_a_graph_inside_is_a_step_or_a_frame_around_its_own_steps():
    router = create_router(
        model(),
        [
            Route("books", create_memory_chat(library()), "Books."),
            Route("chat", None, "Small talk."),
        ],
    )
    closed, one, all_ = (texts_of(draw(router, xray=level)) for level in (False, 1, True))
    assert "books" in closed
    assert "read_message" not in closed
    assert {"books", "read_message", "reply"} <= set(one)
    assert "retrieve_question" not in one
    assert {"books", "read_message", "reply", "retrieve_question"} <= set(all_)


def test_a_frame_is_around_its_own_steps_alone():
    inner = own_graph([(START, "one"), ("one", "two"), ("two", END)])
    outer = StateGraph(State)
    outer.add_node("inside", inner)
    outer.add_node("beside", lambda state: state)
    outer.add_edge(START, "inside")
    outer.add_edge(START, "beside")
    drawing = draw(outer.compile(), xray=True)
    boxes = dict(placed(drawing))
    frame = boxes.pop("inside")
    within = {label for label, box in boxes.items() if contains(frame, box)}
    assert within == {"one", "two"}


def placed(drawing):
    """Each box of a drawing, with its label, where it is on the whole drawing."""

    def walk(element, x, y):
        if moved := re.match(r"translate\((\S+) (\S+)\)", element.get("transform", "")):
            x, y = x + float(moved[1]), y + float(moved[2])
        rect, text = element.find(f"{SVG}rect"), element.find(f"{SVG}text")
        if rect is not None:
            left, top, width, height = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
            yield text.text, (x + left, y + top, x + left + width, y + top + height)
        for child in element:
            yield from walk(child, x, y)

    return list(walk(ET.fromstring(drawing.svg), 0, 0))


def contains(outer, inner):
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and inner[2] <= outer[2]
        and inner[3] <= outer[3]
    )


@pytest.mark.parametrize("form", ["svg", "html"])
def test_names_from_outside_are_text(form):
    graph = own_graph([(START, "a<b>&'\"")], name=HOSTILE, choices=[("a<b>&'\"", {HOSTILE: END})])
    text = getattr(draw(graph), form)
    root = ET.fromstring(text)
    assert not list(root.iter(f"{SVG}script"))
    assert "a<b>&'\"" in texts_of(draw(graph))
    assert "\x00" not in text


def test_a_long_name_is_cut_and_told_in_full_when_pointed_at():
    name = "look_up_" + "everything_" * 10
    root = ET.fromstring(draw(own_graph([(START, name)])).svg)
    assert [title.text for title in root.iter(f"{SVG}title")] == [name]
    assert not [text for text in texts_of(draw(own_graph([(START, name)]))) if len(text) > 60]


def test_a_drawing_is_the_same_each_time():
    assert draw(library()) == draw(library())


def test_a_page_may_hold_several_drawings_as_none_names_anything():
    html = draw(library()).html
    assert not re.search(r"\b(id|class|href)=|url\(|<style", html)
    assert "<style" in draw(library()).svg


@pytest.mark.parametrize(
    "make",
    [
        library,
        lambda: create_tool_agent(model(), []),
        lambda: create_memory_chat(model()),
        lambda: create_router(model(), [Route("chat", None, "All.")]),
    ],
    ids=["rag", "tool_agent", "memory_chat", "router"],
)
def test_a_graph_shows_itself_in_a_notebook_without_network(make):
    shown = make()._repr_mimebundle_()
    assert shown.keys() == {"text/plain", "text/html", "image/svg+xml"}
    assert ET.fromstring(shown["image/svg+xml"]).tag == f"{SVG}svg"
    assert shown["text/html"] == draw(make()).html


def test_a_drawing_shows_itself_and_can_be_saved(tmp_path):
    drawing = draw(library())
    assert drawing._repr_html_() == drawing.html
    assert drawing._repr_svg_() == drawing.svg
    assert repr(drawing) == "<Drawing of library>"
    drawing.save(tmp_path / "library.svg")
    assert ET.parse(tmp_path / "library.svg").getroot().get("aria-label") == "Graph library"
    with pytest.raises(ConfigurationError, match="No drawing can be saved"):
        drawing.save(tmp_path / "missing" / "library.svg")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (StateGraph(State), r"got StateGraph\. Compile it first\."),
        (model(), r"got ScriptedChatModel\.$"),
        (None, r"got NoneType\.$"),
    ],
)
def test_what_is_no_compiled_graph_is_refused(given, told):
    with pytest.raises(ConfigurationError, match=told):
        draw(given)


NODES = st.integers(1, 9)
ANY_EDGES = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.booleans()), max_size=24)


@given(count=NODES, pairs=ANY_EDGES)
def test_any_graph_is_placed_without_overlaps_and_downwards(count, pairs):
    boxes = [Box(str(n), 40 + 13 * n, 30, loops=False) for n in range(count)]
    ends = {(a % count, b % count): chosen for a, b, chosen in pairs}
    edges = [Edge(str(a), str(b), chosen) for (a, b), chosen in ends.items()]
    layout = laid_out(boxes, edges, start="0")
    assert [line.edge for line in layout.lines] == edges
    for one, two in itertools.combinations(boxes, 2):
        assert (
            abs(one.x - two.x) >= (one.width + two.width) / 2
            or abs(one.y - two.y) >= (one.height + two.height) / 2
        )
    for box in boxes:
        assert box.x - box.width / 2 >= -1e-6
        assert box.x + box.width / 2 <= layout.width + 1e-6
        assert box.y + box.height / 2 <= layout.height
    height = {box.id: box.y for box in boxes}
    for line in layout.lines:
        goes_down = height[line.edge.source] < height[line.edge.target]
        assert goes_down != line.is_back
    assert not has_cycle([line.edge for line in layout.lines if not line.is_back])


def has_cycle(edges):
    left = list(edges)
    while left:
        sources = {edge.source for edge in left}
        kept = [edge for edge in left if edge.target in sources]
        if len(kept) == len(left):
            return True
        left = kept
    return False


def test_a_graph_without_nodes_is_empty():
    assert laid_out([], [], start="0").width == 0


@pytest.mark.parametrize(
    ("paper", "ink"), [("#ffffff", "rgb(34, 37, 43)"), ("#131416", "rgb(230, 231, 234)")]
)
def test_in_a_browser_names_are_within_their_boxes_and_have_the_colour_of_the_page(
    paper, ink, tmp_path, make_database
):
    sql = create_text_to_sql(
        model(), make_database("sqlite"), approve="always", embeddings=HashEmbeddings()
    )
    agent = create_tool_agent(model(), [], redact=["email"])
    drawings = [draw(each, xray=True).html for each in (create_memory_chat(library()), sql, agent)]
    page_file = tmp_path / "page.html"
    page_file.write_text(
        f"<!doctype html><meta charset=utf-8><body style='background:{paper};color:{ink}'>"
        + "".join(drawings)
    )
    with browsing() as browser:
        page = browser.new_page()
        page.goto(page_file.as_uri())
        boxes = page.evaluate(
            """() => [...document.querySelectorAll('g > rect')].map((rect) => {
                const text = rect.parentElement.querySelector(':scope > text');
                const [inner, outer] = [text, rect].map((each) => each.getBoundingClientRect());
                return [text.textContent, inner.left - outer.left, outer.right - inner.right,
                        getComputedStyle(text).fill];
            })"""
        )
    assert len(boxes) > 30
    for label, left, right, colour in boxes:
        assert left > 2, label
        assert right > 2, label
        assert colour == ink
