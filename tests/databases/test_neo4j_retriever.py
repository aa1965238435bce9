"""Documents from a Neo4j graph."""

import pytest
from pydantic import ValidationError

from agentkit import LadybugDatabase, Neo4jDatabase, Neo4jRetriever, create_rag
from agentkit.databases.neo4j import lucene_query
from agentkit.errors import RetrievalError
from agentkit.testing import HashEmbeddings, Script, ScriptedChatModel
from tests.support.graphs import connected, ladybug_path, neo4j_url

needs_server = pytest.mark.xdist_group("neo4j")
EMBEDDINGS = HashEmbeddings()
NOTES = {
    "loans": "Books may be kept for four weeks.",
    "prints": "A colour print costs 50 cents.",
    "dogs": "Dogs wait outside, guide dogs excepted.",
}
GRAPH = [
    "CREATE FULLTEXT INDEX notes FOR (n:Note) ON EACH [n.text]",
    "CREATE (:Desk {name: 'Front desk', key: 'k3y'})",
]


@pytest.fixture
def database(neo4j_graph):
    size = len(EMBEDDINGS.embed_query("x"))
    neo4j_graph(
        [
            *GRAPH,
            "CREATE VECTOR INDEX meanings FOR (n:Note) ON (n.vector) OPTIONS {indexConfig: "
            f"{{`vector.dimensions`: {size}, `vector.similarity_function`: 'cosine'}}}}",
        ]
    )
    with connected() as driver:
        for name, text in NOTES.items():
            vector = [float(x) for x in EMBEDDINGS.embed_query(text)]
            driver.execute_query(
                "MATCH (d:Desk) CREATE (:Note {name: $name, text: $text, vector: $vector})"
                "-[:ASK_AT {since: 2020}]->(d)",
                name=name,
                text=text,
                vector=vector,
            )
        driver.execute_query("CALL db.awaitIndexes(60)")
        driver.execute_query("CALL db.index.fulltext.awaitEventuallyConsistentIndexRefresh()")
    uri, auth = neo4j_url()
    with Neo4jDatabase(uri, auth=auth, private=["Desk.key"]) as opened:
        yield opened


@needs_server
async def test_full_text_finds_nodes_with_their_neighbourhood(database):
    found = await Neo4jRetriever(database=database, k=1).ainvoke("How long may books be kept?")
    (document,) = found
    assert document.page_content.splitlines() == [
        "Note",
        "name: loans",
        "text: Books may be kept for four weeks.",
        "-[ASK_AT]-> Desk (name: Front desk)",
    ]
    assert document.metadata["labels"] == ["Note"]
    assert document.metadata["source"] == document.id
    assert "vector" not in document.metadata


@needs_server
def test_vectors_and_words_are_fused(database):
    retriever = Neo4jRetriever(
        database=database, fulltext=["notes"], vector=["meanings"], embeddings=EMBEDDINGS, k=3
    )
    found = retriever.invoke("colour print costs")
    assert found[0].metadata["name"] == "prints"
    assert len(found) == 3
    only = Neo4jRetriever(database=database, vector=["meanings"], embeddings=EMBEDDINGS, k=2)
    assert only.invoke(NOTES["dogs"])[0].metadata["name"] == "dogs"


@needs_server
def test_the_text_and_the_neighbours_are_chosen(database):
    retriever = Neo4jRetriever(database=database, text=["text"], neighbours=0, k=1)
    (document,) = retriever.invoke("dogs")
    assert document.page_content == f"Note\ntext: {NOTES['dogs']}"


@needs_server
def test_a_hub_shows_a_few_of_its_neighbours(database):
    with connected() as driver:
        driver.execute_query(
            "MATCH (n:Note {name: 'dogs'}) UNWIND range(1, 2000) AS i CREATE (n)-[:TAGGED]->(:Tag)"
        )
    retriever = Neo4jRetriever(database=database, neighbours=5, k=1)
    (document,) = retriever.invoke("dogs wait outside")
    assert document.page_content.count("->") == 5


@needs_server
async def test_it_answers_in_a_rag_graph(database):
    script = Script().when("Answer the question", reply="Four weeks [1].")
    graph = create_rag(ScriptedChatModel(script), Neo4jRetriever(database=database, k=2))
    state = await graph.ainvoke({"question": "How long may books be kept?"})
    assert state["answer"] == "Four weeks [1]."
    assert state["citations"][0]["source"] == state["documents"][0].id


@needs_server
@pytest.mark.parametrize("question", ["", "???", 'AND "OR" (:[{~*', "näïve ⚑", "x" * 5_000])
def test_any_question_can_be_searched_for(database, question):
    assert isinstance(Neo4jRetriever(database=database).invoke(question), list)


@needs_server
def test_a_graph_without_an_index_says_how_to_make_one(neo4j_graph):
    neo4j_graph(["CREATE (:Note {text: 'x'})"])
    uri, auth = neo4j_url()
    with (
        Neo4jDatabase(uri, auth=auth) as database,
        pytest.raises(RetrievalError, match="CREATE FULLTEXT INDEX"),
    ):
        Neo4jRetriever(database=database).invoke("x")


def test_it_searches_neo4j_alone(tmp_path):
    with pytest.raises(ValidationError, match="searches Neo4j"):
        Neo4jRetriever(database=LadybugDatabase(ladybug_path(tmp_path)))


def test_vectors_need_the_embeddings_that_made_them():
    with pytest.raises(ValidationError, match="embeddings="):
        Neo4jRetriever(database="bolt://localhost", vector=["meanings"])


def test_operators_of_lucene_are_words_to_it():
    assert lucene_query('a AND (b:"c") OR NOT d~2 TO [e]') == "a b c d 2 e"
