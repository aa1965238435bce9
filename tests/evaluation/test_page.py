"""The page of a report: by itself, in a real browser, with whatever a graph may have written."""

import re
from html import unescape
from html.parser import HTMLParser

import pytest
from langchain_core.documents import Document
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from agentkit.errors import ConfigurationError, DatasetError
from agentkit.evaluation import Score, evaluate
from tests.support.browser import browsing

HOSTILE = (
    "</script></style></title><img src=x onerror=\"document.title='owned'\">"
    "<script>document.title='owned'</script>'\"><svg onload=\"document.title='owned'\">"
    "\x00\u202e\ud800&lt;"
)
ROWS = [
    {"id": "a", "question": "How long may I keep a book?", "answer": "three weeks"},
    {"id": "b", "question": "What does a colour print cost?", "answer": "20 cents"},
    {"id": "c", "question": "May I bring my dog?", "answer": "no"},
]


class State(TypedDict, total=False):
    question: str
    answer: str
    documents: list


def right(example, output):
    return Score(float(output["answer"] == example.expected["answer"]), f"it is {output['answer']}")


def graph_of(answers):
    def look_up(state):
        return {"documents": [Document("Books are lent for three weeks.", id="loans")]}

    def answer(state):
        said = answers.get(state["question"])
        if isinstance(said, Exception):
            raise said
        return {"answer": said or "no"}

    graph = StateGraph(State)
    graph.add_sequence([look_up, answer])
    graph.add_edge(START, "look_up")
    return graph.compile(name="library")


ANSWERS = {ROWS[0]["question"]: "three weeks", ROWS[2]["question"]: OSError("busy")}


@pytest.fixture(scope="module")
def report():
    return evaluate(graph_of(ANSWERS), ROWS, [right, lambda e, o: 0.5], prices={"m": (1, 1)})


@pytest.fixture(scope="module")
def before():
    return evaluate(graph_of({}), ROWS, [right], name="before")


@pytest.fixture(scope="module")
def browser():
    with browsing() as browser:
        yield browser


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a report's page in a window on which nothing may go wrong and which may call nobody."""
    wrong, contexts = [], []

    def opened(report, before=None, **options):
        file = tmp_path / "report.html"
        report.save_html(file, before=before)
        context = browser.new_context(viewport={"width": 1200, "height": 900}, **options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text))
        page.on("request", lambda sent: sent.url == file.as_uri() or wrong.append(sent.url))
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def shown(page):
    return [each.locator(".id").inner_text() for each in page.locator(".item:visible").all()]


# --- without a browser


def test_the_page_is_one_file_that_names_no_other(report, before, tmp_path):
    report.save_html(tmp_path / "report.html", before=before)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert re.search(r"""(src|href)\s*=\s*["'](?!#)|@import|url\(""", page) is None
    assert "default-src 'none'" in unescape(page)


def test_a_page_that_cannot_be_written_is_told(report, tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be written"):
        report.save_html(tmp_path / "no" / "report.html")


def test_a_page_against_a_report_of_other_examples_is_refused(report, tmp_path):
    other = evaluate(graph_of({}), [{"id": "z", "question": "?"}], [right])
    with pytest.raises(DatasetError, match="no example in common"):
        report.save_html(tmp_path / "report.html", before=other)
    assert list(tmp_path.iterdir()) == []


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        self.found.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)


def test_a_notebook_shows_reports_and_comparisons_without_scripts(report, before):
    hostile = evaluate(lambda inputs: HOSTILE, [{"question": HOSTILE}], right, name=HOSTILE)
    for shown in (report, report.compare(before), hostile):
        tags = Tags()
        tags.feed(shown._repr_html_())
        allowed = {"div", "table", "thead", "tbody", "tr", "th", "td", "p", "ul", "li", "span"}
        assert "table" in tags.found
        assert tags.found <= allowed
    assert "OSError: busy" in report._repr_html_()


def test_a_report_without_any_item_has_a_page(tmp_path):
    async def graph(inputs):
        return {"answer": (await model.ainvoke("?")).text}

    from agentkit.testing import ScriptedChatModel

    model = ScriptedChatModel("no")

    async def twice(inputs):
        await graph(inputs)
        return await graph(inputs)

    report = evaluate(twice, ROWS, right, budget=1)
    assert report.items == ()
    report.save_html(tmp_path / "report.html")
    assert "Stopped early" in (tmp_path / "report.html").read_text(encoding="utf-8")


# --- in a browser


def test_each_example_opens_to_its_scores_its_output_and_its_trace(opened, report):
    page = opened(report)
    first = page.locator(".item").first
    assert first.locator("summary").inner_text().split()[:2] == ["a", "How"]
    first.locator("summary").click()
    for told in ("it is three weeks", "Books are lent for three weeks.", "look_up", "answer"):
        assert told in first.inner_text()
    assert first.locator("svg[role=img]").count() == 2
    failed = page.locator(".item").nth(2)
    failed.locator("summary").click()
    assert "OSError: busy" in failed.inner_text()


def test_the_keyboard_reaches_the_examples_and_opens_them(opened, report):
    page = opened(report)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the link that skips to them
    opener = page.locator(".item").first
    for _ in range(20):
        page.keyboard.press("Tab")
        if opener.locator("summary").evaluate("e => e === document.activeElement"):
            break
    page.keyboard.press("Enter")
    assert opener.evaluate("e => e.open")


def test_examples_are_found_filtered_ordered_and_opened(opened, report):
    page = opened(report)
    assert shown(page) == ["a", "b", "c"]
    assert page.locator("#shown").inner_text() == "3 of 3"
    page.locator("#find").fill("COLOUR print")
    assert shown(page) == ["b"]
    page.locator("#find").fill("")
    page.locator("#kind").select_option("failed")
    assert shown(page) == ["c"]
    page.locator("#kind").select_option("")
    page.locator("#order").select_option("right")
    assert shown(page) == ["b", "c", "a"]
    page.locator("#open").click()
    assert page.locator(".item[open]").count() == 3
    page.locator("#open").click()
    assert page.locator(".item[open]").count() == 0


def test_against_an_earlier_report_the_page_shows_what_changed(opened, report, before):
    page = opened(report, before)
    assert "Against before" in page.locator("main").inner_text()
    assert "no difference shown" in page.locator(".verdict").inner_text()
    assert "1 better, 1 worse, 1 the same" in page.locator("figure").nth(1).inner_text()
    page.locator("#kind").select_option("changed")
    assert shown(page) == ["a", "c"]
    assert page.locator(".item").first.locator(".chip .gain").inner_text() == "+1.00"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_system_s_colours_and_the_reader_s(opened, report, scheme):
    page = opened(report, color_scheme=scheme)
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    before = page.evaluate(paper)
    assert (before == "rgb(22, 24, 29)") == (scheme == "dark")
    page.locator("#theme").select_option("light" if scheme == "dark" else "dark")
    assert page.evaluate(paper) != before


def test_nothing_that_was_written_runs_in_the_page(opened):
    def metric(example, output):
        return Score(0.5, HOSTILE)

    metric.__name__ = HOSTILE

    def broken(state):
        raise OSError(HOSTILE)

    graph = StateGraph(State)
    graph.add_node("look", lambda state: {"answer": HOSTILE, "documents": [Document(HOSTILE)]})
    graph.add_node("break", broken)
    graph.add_edge(START, "look")
    graph.add_conditional_edges(
        "look", lambda state: "break" if "x" in state["question"] else "__end__"
    )
    rows = [
        {"id": HOSTILE, "question": HOSTILE, "answer": HOSTILE},
        {"id": "b", "question": "fine", "answer": {"a": [HOSTILE]}},
    ]
    report = evaluate(graph.compile(), rows, metric, name=HOSTILE)
    page = opened(report, report)
    page.locator("#open").click()
    page.locator("#find").fill("owned")
    assert page.title().endswith("– evaluation")
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 1
    assert "<img src=x onerror=" in page.locator(".item").nth(1).inner_text()


def test_the_page_s_own_policy_stops_a_script_that_were_in_it_all_the_same(
    browser, report, tmp_path
):
    file = tmp_path / "report.html"
    report.save_html(file)
    added = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    file.write_text(file.read_text(encoding="utf-8").replace("<main>", f"<main>{added}"))
    context = browser.new_context()
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.title() == "library – evaluation"
    assert page.locator("#shown").inner_text() == "3 of 3"
    context.close()
