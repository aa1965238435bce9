"""Each benchmark runs on a little work and reports what it measured."""

import json
import math

import pytest

from benchmarks import latency, overhead, retrieval
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
