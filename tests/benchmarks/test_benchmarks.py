"""Each benchmark runs on a little work and reports what it measured."""

import argparse
import json
import math
import random
import sqlite3
from contextlib import closing

import pytest

from agentkit.testing import NoisyOracle, Reply, Script, ScriptedChatModel
from benchmarks import (
    latency,
    linking,
    overhead,
    retrieval,
    text_to_sql,
    text_to_sql_overhead,
)
from benchmarks._report import report


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
        setting = text_to_sql.Setting(databases, items)
        for repair in (True, False):
            ask = text_to_sql.graph(oracle.model(), databases, repair=repair)
            row = await text_to_sql.measured("x", ask, setting, concurrency=2)
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
        setting = text_to_sql.Setting(databases, items)
        for make in (text_to_sql.zero_shot, text_to_sql.sql_agent):
            row = await text_to_sql.measured("x", make(model, databases), setting, concurrency=1)
            assert (row["execution accuracy"], row["attempts"]) == (1, 1)


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
