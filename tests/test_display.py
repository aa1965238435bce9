"""Results as notebooks show them."""

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from agentkit import create_rag, create_text_to_sql, create_tool_agent, show
from agentkit.testing import HashEmbeddings, Reply, Script, ScriptedChatModel

HOSTILE = "<script>alert(1)</script>"


def html_of(result):
    return show(result)._repr_html_()


def test_an_answer_is_shown_with_its_sources():
    from langchain_core.vectorstores import InMemoryVectorStore

    store = InMemoryVectorStore(HashEmbeddings())
    store.add_texts(
        ["Books may be kept for four weeks."], metadatas=[{"source": "loans.md", "title": "Loans"}]
    )
    graph = create_rag(ScriptedChatModel(Script(["For four weeks [1]."])), store)
    result = graph.invoke({"question": "How long?"})
    assert "For four weeks <sup>[1]</sup>." in html_of(result)
    assert "[1] Loans (loans.md)" in html_of(result)
    assert repr(show(result)) == "For four weeks [1].\n\n[1] Loans (loans.md) “For four weeks”"


def test_rows_are_a_table_under_their_query(make_database):
    database = make_database(
        "sqlite",
        [
            "CREATE TABLE pets (name TEXT, age INTEGER)",
            "INSERT INTO pets VALUES ('Pepper', 4), ('Max', NULL)",
        ],
    )
    query = "SELECT name, age FROM pets"
    script = Script([{"query": query}, "Pepper and Max."])
    result = create_text_to_sql(
        ScriptedChatModel(script), database, embeddings=HashEmbeddings()
    ).invoke({"question": "Who?"})
    shown = html_of(result)
    assert (
        '<tr><td>Pepper</td><td class="number">4</td></tr><tr><td>Max</td><td></td></tr>' in shown
    )
    assert "2 rows" in shown
    assert f"{query}" in repr(show(result))


def test_calls_of_tools_are_listed_and_a_waiting_person_is_told():
    def send(text: str) -> str:
        """Send a text."""
        return "sent"

    script = Script([Reply(tool_calls=[{"name": "send", "args": {"text": HOSTILE}}])])
    graph = create_tool_agent(ScriptedChatModel(script), [send], checkpointer=InMemorySaver())
    waiting = graph.invoke({"question": "Send."}, {"configurable": {"thread_id": "1"}})
    assert "The agent wants to call send." in repr(show(waiting))
    assert HOSTILE not in html_of(waiting)
    read = create_tool_agent(
        ScriptedChatModel(
            Script([Reply(tool_calls=[{"name": "send", "args": {"text": "Hi"}}]), "Done [1]."])
        ),
        [send],
        permissions={"send": "read"},
    )
    result = read.invoke({"question": "Send."})
    assert "<td>send</td>" in html_of(result)
    assert "Done [1]." in repr(show(result))


@pytest.mark.parametrize(
    "result",
    [
        {"answer": HOSTILE},
        {"messages": [AIMessage(HOSTILE)]},
        {"answer": "a", "columns": [HOSTILE], "rows": [[HOSTILE]], "query": HOSTILE},
        {"answer": "a [1]", "citations": [{"number": 1, "title": HOSTILE, "source": HOSTILE}]},
        {"failures": [{"step": HOSTILE, "name": HOSTILE, "error": HOSTILE}]},
    ],
)
def test_nothing_that_comes_from_outside_is_html(result):
    assert "<script" not in html_of(result)


def test_an_answer_cannot_turn_around_the_text_behind_it():
    assert "\u202e" in repr(show({"answer": "a \u202e b [1]"}))
    assert "<p>a \ufffd b <sup>[1]</sup></p>" in html_of({"answer": "a \u202e b [1]"})


@pytest.mark.parametrize(
    ("citation", "told"),
    [
        (
            {"number": 2, "tool": "look", "arguments": {}, "sources": [{"url": "a.org"}]},
            "[2] look: a.org",
        ),
        ({"number": 1, "route": "shop", "source": {"query": "SELECT 1"}}, "[1] shop: SELECT 1"),
        (
            {"number": 1, "route": "books", "source": {"number": 3, "title": "Loans"}},
            "[1] books: Loans",
        ),
        ({"number": 1, "route": "chat", "source": {}}, "[1] chat"),
        (
            {"number": 1, "kind": "fact", "text": "Likes tea", "time": "2024-05-01T10:00:00"},
            "[m1] Likes tea (2024-05-01)",
        ),
        ({"number": 1, "title": "Loans", "source": "", "quote": "four"}, "[1] Loans “four”"),
    ],
)
def test_every_kind_of_citation_says_what_it_is_of(citation, told):
    assert repr(show({"citations": [citation, citation]})) == told


def test_many_rows_are_cut_and_that_is_told():
    result = {"columns": ["n"], "rows": [[n] for n in range(80)], "truncated": True}
    assert html_of(result).count("<tr>") == 51
    assert "80 rows, and there are more; the first 50 are shown" in repr(show(result))


def test_a_result_of_nothing_is_shown_as_nothing():
    assert repr(show({})) == ""
