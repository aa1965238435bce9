"""Retrieval quality on a BEIR-layout folder: corpus.jsonl, queries.jsonl, qrels.tsv.

Rows: BM25 by bm25s as an outside reference; the index's three modes with the embedded embeddings;
re-rankers over the best of the hybrid search; and the best weighting of dense, sparse, late
interaction and pseudo-relevance feedback that is found on every second query, reported on the other
queries and on all. Milliseconds are of one query, embedding it included; where documents' vectors
are kept between queries, that is said.
"""

import asyncio
import csv
import hashlib
import itertools
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document

from agentkit import Index, chat_model
from agentkit.local import LocalEmbeddings
from agentkit.retrieval import ListwiseReranker, MaximalMarginalRelevance, PointwiseReranker
from agentkit.retrieval.late_interaction import max_similarity
from benchmarks._report import parser, report

DEPTH = 100
Ranking = list[str]
Relevant = Mapping[str, set[str]]


def load(folder: Path) -> tuple[list[Document], dict[str, str], dict[str, set[str]]]:
    """Documents (title and text joined), queries by id, relevant document ids by query id."""
    documents = [
        Document(id=row["_id"], page_content=f"{row.get('title', '')} {row['text']}".strip())
        for row in _json_lines(folder / "corpus.jsonl")
    ]
    relevant: dict[str, set[str]] = {}
    with (folder / "qrels.tsv").open(newline="", encoding="utf-8") as file:
        for query, document, score in itertools.islice(csv.reader(file, delimiter="\t"), 1, None):
            if int(score) > 0:
                relevant.setdefault(query, set()).add(document)
    rows = _json_lines(folder / "queries.jsonl")
    queries = {row["_id"]: row["text"] for row in rows if row["_id"] in relevant}
    return [document for document in documents if document.page_content], queries, relevant


def _json_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


def ndcg(ranking: Sequence[str], relevant: set[str], k: int = 10) -> float:
    """nDCG@k with binary relevance (Järvelin and Kekäläinen, 2002)."""
    gain = sum(1 / math.log2(rank + 1) for rank, d in enumerate(ranking[:k], 1) if d in relevant)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
    return gain / ideal


def recall(ranking: Sequence[str], relevant: set[str], k: int = 100) -> float:
    """The share of the relevant documents among the first k."""
    return len(relevant & set(ranking[:k])) / len(relevant)


def row(
    name: str, runs: Mapping[str, Ranking], relevant: Relevant, ms: float | str
) -> dict[str, Any]:
    return {
        "setting": name,
        "nDCG@10": round(statistics.fmean(ndcg(run, relevant[q]) for q, run in runs.items()), 4),
        "recall@100": round(
            statistics.fmean(recall(run, relevant[q]) for q, run in runs.items()), 3
        ),
        "ms a query": ms,
        "queries": len(runs),
    }


def bm25(
    documents: Sequence[Document], queries: Mapping[str, str]
) -> tuple[dict[str, Ranking], float]:
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    tokenized = {"stemmer": stemmer, "stopwords": "en", "show_progress": False}
    retriever = bm25s.BM25(k1=0.9, b=0.4)
    texts = [document.page_content for document in documents]
    retriever.index(bm25s.tokenize(texts, **tokenized), show_progress=False)
    depth = min(DEPTH, len(documents))
    runs, start = {}, time.perf_counter()
    for query, text in queries.items():
        places, _ = retriever.retrieve(
            bm25s.tokenize(text, **tokenized), k=depth, show_progress=False
        )
        runs[query] = [str(documents[place].id) for place in places[0]]
    return runs, _milliseconds(start, queries)


def _milliseconds(start: float, queries: Mapping[str, str]) -> float:
    return round((time.perf_counter() - start) * 1000 / len(queries), 1)


async def opened(folder: Path, cache: Path, documents: Sequence[Document]) -> Index:
    """The documents' index, kept from run to run."""
    key = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    index = await Index.aopen(cache / key, embeddings=LocalEmbeddings())
    await index.aadd(documents)
    return index


class Features:
    """What is known of a query's candidates, each scaled from 0 to 1 over them."""

    NAMES = ("hybrid", "dense", "sparse", "late", "feedback")
    HYBRID = (1, 0, 0, 0, 0)
    LATE = (0, 0, 0, 1, 0)

    def __init__(self, index: Index, documents: Sequence[Document]) -> None:
        self.index = index
        self.embeddings = LocalEmbeddings()
        self.tokens: dict[str, np.ndarray[Any, Any]] = {}
        self.vectors: dict[str, np.ndarray[Any, Any]] = {}
        self.documents = {str(document.id): document.page_content for document in documents}

    async def of(self, text: str) -> tuple[Ranking, np.ndarray[Any, Any]]:
        """The candidates and an array of shape (candidates, features)."""
        hybrid, sparse = await asyncio.gather(
            self.index.asearch(text, k=DEPTH),
            self.index.asearch(text, k=DEPTH, mode="sparse"),
        )
        ids = [str(document.id) for document in hybrid]
        self._embed([id_ for id_ in ids if id_ not in self.tokens])
        asked = self.embeddings.token_vectors([text])[0]
        vectors = np.array([self.vectors[id_] for id_ in ids])
        question = np.array(self.embeddings.embed_query(text), dtype=np.float32)
        dense = vectors @ question
        feedback = vectors @ (question + vectors[np.argsort(-dense)[:3]].mean(axis=0))
        late = [max_similarity(asked, self.tokens[id_]) for id_ in ids]
        bm = {str(d.id): d.metadata["agentkit"]["score"] for d in sparse}
        fused = [document.metadata["agentkit"]["score"] for document in hybrid]
        columns = [fused, dense, [bm.get(id_, 0.0) for id_ in ids], late, feedback]
        return ids, np.stack([_scaled(column) for column in columns], axis=1)

    def _embed(self, ids: Sequence[str]) -> None:
        texts = [self.documents[id_] for id_ in ids]
        for id_, tokens in zip(ids, self.embeddings.token_vectors(texts), strict=True):
            self.tokens[id_] = tokens
            mean = tokens.mean(axis=0)
            self.vectors[id_] = mean / np.linalg.norm(mean)


def _scaled(values: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(values, dtype=np.float32)
    span = array.max() - array.min()
    return (array - array.min()) / span if span else np.zeros_like(array)


def weighted(features: Mapping[str, Any], weights: Sequence[float]) -> dict[str, Ranking]:
    """The rankings of all queries by the weighted sum of their features."""
    return {
        query: [ids[place] for place in np.argsort(-(table @ np.array(weights)), kind="stable")]
        for query, (ids, table) in features.items()
    }


def tuned(features: Mapping[str, Any], relevant: Relevant) -> tuple[float, ...]:
    """The weights, of a small grid, that are best for these queries."""

    def quality(weights: tuple[float, ...]) -> float:
        runs = weighted(features, weights)
        return statistics.fmean(ndcg(run, relevant[query]) for query, run in runs.items())

    grid = [w for w in itertools.product((0.0, 0.5, 1.0), repeat=len(Features.NAMES)) if any(w)]
    return max(grid, key=quality)


async def measure(folder: Path, cache: Path, model: str | None) -> list[dict[str, Any]]:
    documents, queries, relevant = load(folder)
    runs, ms = bm25(documents, queries)
    rows = [row("BM25 (bm25s)", runs, relevant, ms)]
    index = await opened(folder, cache, documents)
    best: dict[str, list[Document]] = {}
    for mode in ("sparse", "dense", "hybrid"):
        start = time.perf_counter()
        best = {
            query: await index.asearch(text, k=DEPTH, mode=mode) for query, text in queries.items()
        }
        ms = _milliseconds(start, queries)
        runs = {query: [str(d.id) for d in found] for query, found in best.items()}
        rows.append(row(f"Index, {mode}", runs, relevant, ms))
    rerankers: dict[str, Any] = {
        "MaximalMarginalRelevance(0.2)": MaximalMarginalRelevance(diversity=0.2)
    }
    if model is not None:
        rerankers |= {
            "ListwiseReranker": ListwiseReranker(),
            "PointwiseReranker": PointwiseReranker(),
        }
    judge = chat_model(model) if model is not None else None
    for name, reranker in rerankers.items():
        start = time.perf_counter()
        runs = {}
        for query, text in queries.items():
            top = await reranker.rerank(text, best[query][:20], model=judge)
            runs[query] = [str(d.id) for d in [*top, *best[query][20:]]]
        rows.append(row(f"hybrid, {name} of 20", runs, relevant, _milliseconds(start, queries)))
    rows += await _best_without_a_chat_model(Features(index, documents), queries, relevant)
    await index.aclose()
    return rows


async def _best_without_a_chat_model(
    known: Features, queries: Mapping[str, str], relevant: Relevant
) -> list[dict[str, Any]]:
    features = {query: await known.of(text) for query, text in queries.items()}
    start = time.perf_counter()
    features = {query: await known.of(text) for query, text in queries.items()}
    ms = f"{_milliseconds(start, queries)} (vectors kept)"
    rows = [row("hybrid, LateInteraction of 100", weighted(features, Features.LATE), relevant, ms)]
    half = {query: features[query] for query in list(features)[::2]}
    rest = {query: features[query] for query in list(features)[1::2]}
    weights = tuned(half, relevant)
    told = ", ".join(f"{n} {w:g}" for n, w in zip(Features.NAMES, weights, strict=True) if w)
    for name, part in {"its half": half, "the other half": rest, "all": features}.items():
        rows.append(row(f"hybrid, {name}", weighted(part, Features.HYBRID), relevant, ms))
        rows.append(row(f"tuned ({told}), {name}", weighted(part, weights), relevant, ms))
    return rows


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--data", type=Path, required=True, help="a folder in BEIR's layout")
    options.add_argument("--cache", type=Path, default=Path(".agentkit/benchmarks"))
    options.add_argument("--model", help="a chat model, for the re-rankers that ask one")
    given = options.parse_args()
    rows = asyncio.run(measure(given.data, given.cache, given.model))
    settings = {"data": given.data.name, "depth": DEPTH, "model": given.model}
    report(f"retrieval: {given.data.name}", rows, settings=settings, json_file=given.json)


if __name__ == "__main__":
    main()
