"""What a graph costs is what its guide says: the calls of its chat model, counted."""

import re

import pytest
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore

from agentkit import (
    LadybugDatabase,
    Route,
    create_fusion_rag,
    create_hyde_rag,
    create_memory_chat,
    create_rag,
    create_router,
    create_text_to_cypher,
    create_text_to_sql,
    create_tool_agent,
)
from agentkit.retrieval import Decompose, ListwiseReranker, MultiQuery, PointwiseReranker, StepBack
from agentkit.testing import HashEmbeddings, Reply, Script, ScriptedChatModel
from tests.support.graphs import ladybug_path
from tests.support.pages import DOCS

TEXTS = [
    "Books are lent for four weeks.",
    "Films are lent for one week.",
    "Magazines are not lent.",
]
QUESTION = {"question": "How long may I keep a book?"}
ANSWER = "Four weeks [1]."
COUNT = {"query": "SELECT COUNT(*) AS pets FROM pets"}
COUNT_NODES = {"query": "MATCH (p:Pet) RETURN count(p) AS pets"}
ADD = Reply(tool_calls=[{"name": "add", "args": {"a": 1, "b": 2}}])
PARTS = [
    {"question": "How long may I keep a book?", "routes": ["library"], "confidence": 0.9},
    {"question": "How are you?", "routes": ["chat"], "confidence": 0.9},
]
LEARNT = {"learnt": [{"text": "The user has a cat.", "kind": "fact", "message": 1}]}


@pytest.fixture
def calls():
    """Asks a graph made of a scripted model, and counts the calls."""

    def count(make, *rules, inputs=QUESTION, earlier=None):
        script = Script()
        for prompt, reply in rules:
            script.when(prompt, reply=reply)
        graph = make(ScriptedChatModel(script))
        thread = {"configurable": {"thread_id": "1"}}
        if earlier is not None:
            graph.invoke(earlier, thread)
        before = len(script.calls)
        result = graph.invoke(inputs, thread)
        assert result["answer"]
        assert not result.get("failures")
        return len(script.calls) - before

    return count


def told(page):
    """What a guide says: the calls by what its tables of costs have in the first column."""
    text = (DOCS / "guides" / f"{page}.md").read_text(encoding="utf-8")
    section = text.split("## What it costs", 1)[1]
    rows = re.findall(r"^\| (.+?) +\| (\d+) +\|$", section, flags=re.MULTILINE)
    return {row.replace("`", "").replace('"', "'"): int(number) for row, number in rows}


def documents():
    store = InMemoryVectorStore(HashEmbeddings())
    store.add_texts(TEXTS)
    return store


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_the_guide_of_rag_says_what_it_costs(calls):
    answer = ("Answer the question", ANSWER)
    rank = ("Order the documents", {"numbers": [1]})
    score = ("Say from 0 to 10", {"score": 5})
    queries = ("Write search queries", {"queries": ["loan periods"]})
    parts = ("Split the question", {"questions": ["Are books lent?", "For how long?"]})
    graded = ("Give the numbers of the documents that help", {"numbers": [1]})
    none_first = (graded[0], [{"numbers": []}, {"numbers": [1]}])
    again = ("Write one new search query", {"query": "lending of magazines"})
    broken = ("An earlier answer has the problems", ANSWER)
    alone = ("Rewrite the last question", "How long may I keep a film?")

    def rag(**options):
        return lambda model: create_rag(model, documents(), **options)

    assert told("rag") == {
        "create_rag": calls(rag(), answer),
        "with rewrite=MultiQuery()": calls(rag(rewrite=MultiQuery()), queries, answer),
        "with rewrite=StepBack()": calls(
            rag(rewrite=StepBack()), ("Take one step back", {"broader": "Lending"}), answer
        ),
        "with rewrite=Decompose(), two parts": calls(rag(rewrite=Decompose()), parts, answer),
        "with reranker=ListwiseReranker(), up to 20 documents": calls(
            rag(reranker=ListwiseReranker()), rank, answer
        ),
        "with reranker=PointwiseReranker(), three documents": calls(
            rag(reranker=PointwiseReranker()), score, answer
        ),
        "with grade=True, enough found at once": calls(rag(grade=True), graded, answer),
        "with grade=True, found in the second search": calls(
            rag(grade=True, candidates=1, k=1), none_first, again, answer
        ),
        "a follow-up in a conversation": calls(
            rag(checkpointer=InMemorySaver()), alone, answer, earlier=QUESTION
        ),
        "citations to repair": calls(rag(), broken, ("Answer the question", "Four weeks.")),
    }


def test_the_guides_of_hyde_and_fusion_say_what_they_cost(calls):
    answer = ("Answer the question", ANSWER)
    passage = ("Write one short passage", "Books are lent for some weeks.")
    queries = ("Write search queries", {"queries": ["loan periods", "lending"]})
    rank = ("Order the documents", {"numbers": [1]})
    assert told("hyde_rag") == {
        "create_hyde_rag, four passages": calls(
            lambda model: create_hyde_rag(model, documents()), passage, answer
        )
    }
    assert told("fusion_rag") == {
        "create_fusion_rag": calls(
            lambda model: create_fusion_rag(model, documents()), queries, rank, answer
        ),
        "with reranker=None": calls(
            lambda model: create_fusion_rag(model, documents(), reranker=None), queries, answer
        ),
    }


def test_the_guide_of_text_to_sql_says_what_it_costs(calls, make_database):
    database = make_database(
        "sqlite", ["CREATE TABLE pets (name TEXT)", "INSERT INTO pets VALUES ('Max')"]
    )
    draft = ("Write one read-only SQL", COUNT)
    wrong_first = ("Write one read-only SQL", [{"query": "SELECT nothing FROM pets"}, COUNT])
    answer = ("Answer the question from the rows", "There is 1 pet.")
    wrong = ("Answer the question from the rows", "There are 12 pets.")
    right = ("An earlier answer", "There is 1 pet.")

    def sql(**options):
        return lambda model: create_text_to_sql(
            model, database, embeddings=HashEmbeddings(), **options
        )

    assert told("text_to_sql") == {
        "create_text_to_sql": calls(sql(), draft, answer),
        "with answer='rows'": calls(sql(answer="rows"), draft),
        "with one query to repair": calls(sql(), wrong_first, answer),
        "with candidates=3": calls(sql(candidates=3), draft, answer),
        "an answer to repair": calls(sql(), draft, wrong, right),
    }


def test_the_guide_of_text_to_cypher_says_what_it_costs(calls, tmp_path):
    schema = ["CREATE NODE TABLE Pet (name STRING PRIMARY KEY)", "CREATE (:Pet {name: 'Max'})"]
    database = LadybugDatabase(ladybug_path(tmp_path, schema))
    answer = ("query on a graph returned", "There is 1 pet.")
    wrong_first = [{"query": "MATCH (p:Pet RETURN p"}, COUNT_NODES]

    def cypher(model):
        return create_text_to_cypher(model, database, embeddings=HashEmbeddings())

    assert told("text_to_cypher") == {
        "create_text_to_cypher": calls(cypher, ("Write one read-only", COUNT_NODES), answer),
        "with one query to repair": calls(cypher, ("Write one read-only", wrong_first), answer),
    }


def test_the_guide_of_the_tool_agent_says_what_it_costs(calls):
    def agent(model):
        return create_tool_agent(model, [add], permissions={"add": "read"})

    two_at_once = Reply(tool_calls=[*ADD.tool_calls, {"name": "add", "args": {"a": 3, "b": 4}}])
    rounds = [Reply(tool_calls=[{"name": "add", "args": {"a": n, "b": n}}]) for n in range(3)]
    assert told("tool_agent") == {
        "an answer without tools": calls(agent, (None, "Four weeks.")),
        "one round of tools, however many at once": calls(agent, (None, [two_at_once, "10 [2]."])),
        "three rounds": calls(agent, (None, [*rounds, "4 [3]."])),
    }


def test_the_guide_of_the_memory_chat_says_what_it_costs(calls):
    reply = ("Reply to the user", "I see.")
    learnt = ("Find what is worth remembering", LEARNT)
    answer = ("Answer the question", ANSWER)
    alone = ("Rewrite the last question", "How long may I keep a film?")

    def chat(**options):
        return lambda model: create_memory_chat(model, embeddings=HashEmbeddings(), **options)

    def known(**options):
        return chat(store=InMemoryStore(), user="ada", **options)

    def of_rag(model):
        return create_memory_chat(create_rag(model, documents()), checkpointer=InMemorySaver())

    deferred = {calls(known(extract=extract), reply) for extract in ("deferred", "off")}
    assert told("memory_chat") == {
        "a reply": calls(chat(), reply),
        "with a store and a user": calls(known(), reply, learnt),
        "with extract='deferred' or 'off'": deferred.pop(),
        "of create_rag, the first question": calls(of_rag, answer),
        "of create_rag, a follow-up": calls(of_rag, answer, alone, earlier=QUESTION),
    }
    assert not deferred


def test_the_guide_of_the_router_says_what_it_costs(calls):
    answer = ("Answer the question", ANSWER)
    chatting = ("Reply briefly", "Fine, thank you.")
    combined = ("Parts of a question", "Four weeks [1], and I am fine [2].")

    def router(model):
        library = create_rag(model, documents())
        return create_router(
            model,
            [Route("library", library, "Loans."), Route("chat", None, "Small talk.")],
            embeddings=HashEmbeddings(),
        )

    def chosen(*parts):
        return ("Say which route answers", {"parts": list(parts)})

    asked = {"one route": 1, "two routes that answer": 2}  # the calls of the routes themselves
    assert told("router") == {
        "one route": calls(router, chosen(PARTS[0]), answer) - asked["one route"],
        "two routes that answer": calls(router, chosen(*PARTS), answer, chatting, combined)
        - asked["two routes that answer"],
    }
