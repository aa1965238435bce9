"""Each benchmark runs on a little work and reports what it measured."""

import argparse
import json
import math
import random
import sqlite3
from contextlib import ExitStack, closing

import pytest

from agentkit.testing import CYPHER_FAULTS, NoisyOracle, Reply, Script, ScriptedChatModel
from benchmarks import (
    graph_schema,
    latency,
    linking,
    overhead,
    retrieval,
    text_to_cypher,
    text_to_sql,
    text_to_sql_overhead,
)
from benchmarks._queries import Setting, measured
from benchmarks._report import report
from tests.support.graphs import neo4j_url

# of the driver, to how neo4j-graphrag asks it
THEIRS = "ignore:notifications_disabled_categories:DeprecationWarning"


async def test_overhead_measures_every_library_on_the_same_work():
    rows = await overhead.questions(times=2)
    assert [row["what"] for row in rows] == ["agentkit", "LlamaIndex", "Haystack"]
    assert all(row["ms"] > 0 and row["peak KiB"] > 0 for row in rows)


def test_overhead_measures_imports():
    rows = overhead.imports(times=1)
    assert [row["what"] for row in rows] == list(overhead.IMPORTS)


async def test_latency_measures_every_graph_against_its_critical_path():
    rows = await latency.measure(latency=0.01, questions=1, concurrent=2)
    assert [row["graph"] for row in rows] == list(latency.GRAPHS)
    assert all(row["over critical path"] >= 1 for row in rows)


@pytest.mark.local
async def test_retrieval_measures_every_setting(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    texts = ["the loan period of books", "printing in colour", "dogs and cats", "late fees"]
    corpus = [{"_id": str(n), "title": "T", "text": text} for n, text in enumerate(texts)]
    queries = [{"_id": "a", "text": "loan of books"}, {"_id": "b", "text": "colour print"}]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\na\t0\t1\nb\t1\t1\nb\t2\t0\n")
    rows = await retrieval.measure(folder, tmp_path / "cache", None)
    assert rows[0]["setting"] == "BM25 (bm25s)"
    assert {row["queries"] for row in rows} == {1, 2}
    assert all(row["nDCG@10"] == 1 for row in rows if row["setting"].startswith("Index"))


def test_ndcg_follows_its_definition():
    assert retrieval.ndcg(["a", "b", "c"], {"a", "c"}) == pytest.approx(
        (1 + 1 / math.log2(4)) / (1 + 1 / math.log2(3))
    )
    assert retrieval.ndcg(["x"], {"a"}) == 0
    assert retrieval.recall(["a", "b"], {"a", "z"}, k=2) == 0.5


def test_a_report_prints_and_writes_the_same_figures(tmp_path, capsys):
    rows = [{"what": "one", "ms": 1.25}, {"what": "two", "ms": 2.5, "KiB": 3}]
    report("speed", rows, settings={"times": 3}, json_file=tmp_path / "out.json")
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["name"] == "speed"
    assert written["figures"] == {"one": {"ms": 1.25}, "two": {"ms": 2.5, "KiB": 3}}
    assert written["settings"]["times"] == 3
    assert "1.25" in capsys.readouterr().out


@pytest.fixture
def sql_data(tmp_path):
    """Two questions about one database, laid out as the benchmark reads them."""
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as shop:
        shop.executescript(
            "CREATE TABLE city (id INTEGER, name TEXT); INSERT INTO city VALUES (1, 'Bern');"
        )
    rows = [
        {"question": "Which cities?", "gold_sql": "SELECT {name,id} FROM city;SELECT 1"},
        {"question": "How many?", "gold_sql": "SELECT COUNT(*) FROM city WHERE name = 'Bern'"},
    ]
    lines = [json.dumps({"db": "shop", "gold_runs": True, **row}) for row in rows]
    broken = json.dumps({"db": "shop", "gold_runs": False, "question": "?", "gold_sql": "?"})
    (tmp_path / "questions_sqlite.jsonl").write_text("\n".join([*lines, broken]))
    return tmp_path


def test_gold_queries_are_read_with_their_alternatives(sql_data):
    first, second = text_to_sql.load(sql_data, "sqlite")
    assert first.gold == [
        "SELECT name,id FROM city",
        "SELECT name FROM city",
        "SELECT id FROM city",
        "SELECT 1",
    ]
    assert len(second.gold) == 1


async def test_text_to_sql_is_right_with_repair_and_wrong_without(sql_data):
    items = text_to_sql.load(sql_data, "sqlite")
    oracle = NoisyOracle({item.question: item.gold[0] for item in items}, dialect="sqlite")
    with text_to_sql.opened(sql_data, "sqlite", ["shop"]) as databases:
        setting = Setting(databases, items)
        for repair in (True, False):
            ask = text_to_sql.graph(oracle.model(), databases, repair=repair)
            row = await measured("x", ask, setting, concurrency=2)
            assert row["execution accuracy"] == float(repair)


async def test_text_to_sql_measures_its_baselines(sql_data):
    items = text_to_sql.load(sql_data, "sqlite")[1:]
    query = {"query": items[0].gold[0]}
    call = Reply(tool_calls=[{"name": "query_database", "args": query}])
    script = Script().when("(1 row)", reply="One.").when("You answer questions", reply=call)
    model = ScriptedChatModel(
        script.when("query that answers", reply=f"```sql\n{query['query']}```")
    )
    with text_to_sql.opened(sql_data, "sqlite", ["shop"]) as databases:
        setting = Setting(databases, items)
        for make in (text_to_sql.zero_shot, text_to_sql.sql_agent):
            row = await measured("x", make(model, databases), setting, concurrency=1)
            assert (row["execution accuracy"], row["attempts"]) == (1, 1)


@pytest.fixture
def cypher_data(tmp_path):
    """A small graph of movies and three questions, laid out as the benchmark reads them."""
    (tmp_path / "movies.cypher").write_text(
        "CREATE INDEX IF NOT EXISTS FOR (m:Movie) ON (m.released);\n"
        "CREATE (m:Movie {title: 'Alien; the first', released: 1979})\n"
        "CREATE (:Person {name: 'Sigourney Weaver'})-[:ACTED_IN {roles: ['Ripley']}]->(m)\n"
        "CREATE (:Person {name: 'Ridley Scott'})-[:DIRECTED]->(m);\n"
    )
    rows = [
        ("Who is there?", "MATCH (p:Person) RETURN p.name"),
        ("Who is there?", "MATCH (p:Person) RETURN p.name, p.name AS again"),
        ("When was Alien?", "MATCH (m:Movie {title: 'Alien; the first'}) RETURN m.released"),
        ("Can nobody say?", "MATCH (m:Movie RETURN m"),
    ]
    lines = [json.dumps({"question": asked, "gold_cypher": gold}) for asked, gold in rows]
    (tmp_path / "questions_movies.jsonl").write_text("\n".join(lines))
    return tmp_path


@pytest.fixture
def neo4j_server(neo4j_graph, monkeypatch):
    """The server's empty database, named by the environment as the benchmarks read it."""
    uri, (user, password) = neo4j_url()
    given = {"NEO4J_URI": uri, "NEO4J_USERNAME": user, "NEO4J_PASSWORD": password}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return neo4j_graph


async def test_text_to_cypher_is_right_with_repair_and_wrong_without(cypher_data):
    with text_to_cypher.opened(cypher_data, "ladybug") as database:
        items = await text_to_cypher.runnable(text_to_cypher.load(cypher_data), database)
        assert [len(item.gold) for item in items] == [2, 1]
        setting = Setting({"movies": database}, items)
        answers = {item.question: item.gold[0] for item in items}
        oracle = NoisyOracle(answers, dialect="ladybug", faults=CYPHER_FAULTS)
        for repair in (True, False):
            ask = text_to_cypher.graph(oracle.model(), database, repair=repair)
            row = await measured("x", ask, setting, concurrency=2)
            assert row["execution accuracy"] == float(repair)


@pytest.mark.filterwarnings(THEIRS)
@pytest.mark.xdist_group("neo4j")
async def test_text_to_cypher_measures_its_baselines(cypher_data, neo4j_server):
    query = "MATCH (p:Person) RETURN p.name"
    script = Script().when("Cypher", reply=f"```cypher\n{query}\n```")
    script.when("<schema>", reply={"query": query, "assumptions": [], "clarification": ""})
    model = ScriptedChatModel(script)
    with text_to_cypher.opened(cypher_data, "neo4j") as database, ExitStack() as stack:
        items = text_to_cypher.load(cypher_data)[:1]
        setting = Setting({"movies": database}, items)
        others = [stack.enter_context(make(model)) for make in text_to_cypher.OTHERS.values()]
        for ask in (text_to_cypher.zero_shot(model, database), *others):
            row = await measured("x", ask, setting, concurrency=1)
            assert (row["execution accuracy"], row["attempts"]) == (1, 1)


@pytest.mark.filterwarnings(THEIRS)
@pytest.mark.xdist_group("neo4j")
async def test_what_a_baseline_writes_is_wrong_and_changes_nothing(cypher_data, neo4j_server):
    model = ScriptedChatModel(Script().when("Cypher", reply="MATCH (n) DETACH DELETE n"))
    with text_to_cypher.opened(cypher_data, "neo4j") as database, ExitStack() as stack:
        items = text_to_cypher.load(cypher_data)[:1]
        setting = Setting({"movies": database}, items)
        for make in text_to_cypher.OTHERS.values():
            ask = stack.enter_context(make(model))
            row = await measured("x", ask, setting, concurrency=1)
            assert (row["execution accuracy"], row["executable"]) == (0, 0)
        assert (await database.arun("MATCH (n) RETURN count(n)")).rows == [(3,)]


@pytest.mark.xdist_group("neo4j")
def test_what_was_loaded_is_removed_also_after_an_error(cypher_data, neo4j_server):
    with pytest.raises(ZeroDivisionError), text_to_cypher.opened(cypher_data, "neo4j"):
        raise ZeroDivisionError
    with text_to_cypher.connected() as driver, driver.session() as session:
        assert session.run("MATCH (n) RETURN count(n)").values() == [[0]]
        kinds = session.run("SHOW INDEXES YIELD type RETURN DISTINCT type").values()
        assert kinds in ([], [["LOOKUP"]])


@pytest.mark.xdist_group("neo4j")
def test_a_database_that_is_not_empty_is_left_alone(cypher_data, neo4j_server):
    neo4j_server(["CREATE (:Mine)"])
    with pytest.raises(SystemExit, match="holds 1 nodes"):
        text_to_cypher.opened(cypher_data, "neo4j").__enter__()
    with text_to_cypher.connected() as driver:
        assert driver.execute_query("MATCH (n) RETURN labels(n)").records == [(["Mine"],)]


@pytest.mark.xdist_group("neo4j")
async def test_reading_a_graphs_schema_is_measured_beside_langchain_neo4j(neo4j_server):
    given = argparse.Namespace(sizes=[1, 7], times=1, max_tokens=300)
    rows = await graph_schema.measure(given)
    assert [row["labels"] for row in rows] == [1, 7]
    assert [row["relationship types"] for row in rows] == [1, 3]
    assert rows[1]["tokens for a question"] < rows[1]["schema's tokens"]
    assert all(row["ratio"] > 0 for row in rows)


async def test_text_to_sql_overhead_measures_both_libraries():
    rows = await text_to_sql_overhead.measure(times=2)
    assert [row["what"] for row in rows] == ["agentkit", "LlamaIndex"]


def test_generated_schemas_hold_what_their_questions_need():
    schema, questions = linking.generated(100, random.Random(0))
    assert len(schema.tables) == 100
    assert all(question.needs <= set(schema.tables) for question in questions)
    assert linking.generated(100, random.Random(0))[0] == schema


async def test_linking_measures_each_size():
    given = argparse.Namespace(sizes=[10, 30], seed=0, embeddings=None, max_tokens=500)
    rows = await linking.measure(given)
    assert len(rows) == 4
    assert all(0 < row["recall"] <= 1 for row in rows)
