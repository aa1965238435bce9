import asyncio
import hashlib
import math
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import lancedb
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from agentkit.errors import (
    ConfigurationError,
    IndexMismatchError,
    InvalidInputError,
    MissingExtraError,
)
from agentkit.retrieval import index as index_module
from agentkit.retrieval.index import Index, IndexRetriever

DIMENSIONS = 32


class WordEmbeddings(Embeddings):
    """A bag of hashed words: texts that share words are near, and every call is counted."""

    def __init__(self, identity: str = "words", dimensions: int = DIMENSIONS) -> None:
        self.identity = identity
        self.dimensions = dimensions
        self.embedded: list[str] = []

    def embed_query(self, text: str) -> list[float]:
        vector = [0.001] * self.dimensions
        for word in text.lower().split():
            digest = hashlib.sha256(word.encode("utf-8", "replace")).digest()
            vector[digest[0] % self.dimensions] += 1.0
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.embedded.extend(texts)
        return [self.embed_query(text) for text in texts]


@pytest.fixture
def embeddings() -> WordEmbeddings:
    return WordEmbeddings()


@pytest.fixture
def index(tmp_path: Path, embeddings: WordEmbeddings) -> Index:
    return Index.open(tmp_path / "index", embeddings=embeddings)


def document(identifier: str, content: str, **metadata: Any) -> Document:
    return Document(id=identifier, page_content=content, metadata=metadata)


def ids(documents: list[Document]) -> list[str | None]:
    return [found.id for found in documents]


# Adding, getting, deleting


def test_documents_are_given_back_as_they_were_added(index: Index) -> None:
    metadata = {
        "z": 1, "a": [1, 2.5, {"deep": None}], "text": "it's \"quoted\" \\ \0 \ud800 東京",
        "big": 2**70, "no": None, "yes": True, "": "empty key", "dotted.key": {"x": "y"},
    }  # fmt: skip
    given = document("one", "Some content.\n\n  With space. \0 東京 🎉", **metadata)
    assert index.add([given]) == ["one"]
    (found,) = index.get(["one"])
    assert found.page_content == given.page_content
    assert {**found.metadata, "agentkit": None} == {**metadata, "agentkit": None}
    assert list(found.metadata) == [*metadata, "agentkit"]
    assert found.metadata["agentkit"] == {"id": "one"}


def test_strings_and_documents_without_an_id_get_a_stable_one(index: Index) -> None:
    first = index.add(["A string", Document(page_content="A document", metadata={"source": "a"})])
    again = index.add(["A string", Document(page_content="A document", metadata={"source": "a"})])
    assert first == again
    assert len(set(first)) == index.count() == 2


def test_adding_an_id_again_replaces_the_document(index: Index) -> None:
    index.add([document("one", "the old words", year=1), document("two", "others")])
    index.add([document("one", "entirely new", year=2)])
    assert index.count() == 2
    assert [(d.page_content, d.metadata["year"]) for d in index.get(["one"])] == [
        ("entirely new", 2)
    ]
    assert index.search("old", mode="sparse") == []
    assert ids(index.search("new", mode="sparse")) == ["one"]


def test_of_the_same_id_twice_in_one_call_the_last_stays(index: Index) -> None:
    assert index.add([document("a", "first"), document("a", "last")]) == ["a", "a"]
    assert [d.page_content for d in index.get(["a"])] == ["last"]


def test_a_document_that_did_not_change_is_not_embedded_again(
    index: Index, embeddings: WordEmbeddings
) -> None:
    index.add([document("a", "alpha"), document("b", "beta")])
    embeddings.embedded.clear()
    index.add([document("a", "alpha", new=1), document("b", "gamma"), document("c", "alpha")])
    assert embeddings.embedded == ["gamma", "alpha"]
    assert index.get(["a"])[0].metadata["new"] == 1
    assert ids(index.search("gamma", mode="dense", k=1)) == ["b"]


def test_progress_counts_embedded_documents(index: Index) -> None:
    seen: list[int] = []
    index.add([f"text {n}" for n in range(5)], batch_size=2, progress=seen.append)
    assert seen == [2, 4, 5]


def test_what_agentkit_noted_about_a_search_is_not_stored(index: Index) -> None:
    index.add([document("a", "alpha")])
    index.add(index.search("alpha"))
    assert index.get(["a"])[0].metadata == {"agentkit": {"id": "a"}}


def test_adding_nothing_is_no_error(index: Index) -> None:
    assert index.add([]) == []
    assert index.count() == 0


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Document(page_content=" \n"), "empty"),
        ("", "empty"),
        (Document(id="", page_content="x"), "empty id"),
        (42, "int"),
        (Document(page_content="x", metadata={"when": date(2024, 1, 1)}), "isoformat"),
        (Document(page_content="x", metadata={"n": math.nan}), "not JSON"),
        (Document(page_content="x", metadata={"n": {1: "int key"}}), "not a string"),
    ],
)
def test_one_bad_document_adds_nothing_and_says_why(index: Index, bad: Any, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        index.add(["a good one", bad])
    assert index.count() == 0


def test_a_single_document_instead_of_a_list_is_an_error(index: Index) -> None:
    with pytest.raises(InvalidInputError, match="list"):
        index.add("a string is a sequence of strings, too")
    with pytest.raises(ConfigurationError, match="batch_size"):
        index.add(["x"], batch_size=0)


def test_junk_large_and_foreign_documents_are_stored_and_found(index: Index) -> None:
    large = "filler text " * 900_000
    junk = bytes(range(256)).decode("latin-1") + "needle"
    index.add(
        [
            document("large", large + " haystack"),
            document("junk", junk + " \ud83d\ude00 \ud800 needle"),
            document("ja", "東京大学で 勉強する"),
            document("ar", "مرحبا بالعالم"),
        ]
    )
    assert len(index.get(["large"])[0].page_content) == len(large + " haystack")
    assert ids(index.search("haystack", mode="sparse")) == ["large"]
    assert ids(index.search("needle", mode="sparse")) == ["junk"]
    assert index.get(["junk"])[0].page_content.endswith(" 😀 \ufffd needle")
    assert ids(index.search("勉強する", mode="sparse")) == ["ja"]
    assert ids(index.search("مرحبا", mode="sparse")) == ["ar"]


def test_get_keeps_the_order_and_leaves_out_unknown_ids(index: Index) -> None:
    index.add([document(str(n), f"text {n}") for n in range(1200)])
    wanted = [str(n) for n in range(1199, -1, -1)]
    assert ids(index.get([*wanted, "nope"])) == wanted
    assert index.get([]) == []
    with pytest.raises(InvalidInputError, match="list of ids"):
        index.get("a")


def test_delete_by_ids_by_filter_and_by_both(index: Index) -> None:
    index.add([document(str(n), f"text {n}", even=n % 2 == 0) for n in range(10)])
    assert index.delete(ids=["0", "1", "unknown"]) == 2
    assert index.delete(ids=["2", "3"], where={"even": True}) == 1
    assert index.delete(where={"even": False}) == 4
    assert index.count() == 3
    assert index.delete(ids=[]) == 0
    with pytest.raises(InvalidInputError, match=r"where=\{\}"):
        index.delete()
    assert index.delete(where={}) == 3
    assert index.search("text") == []


def test_deleting_by_a_hostile_id_deletes_only_that(index: Index) -> None:
    hostile = "x' OR '1'='1"
    index.add([document(hostile, "hostile"), document("b", "good")])
    assert ids(index.get([hostile])) == [hostile]
    assert index.delete(ids=[hostile]) == 1
    assert index.count() == 1


def test_replace_swaps_all_that_match_in_one_version(index: Index) -> None:
    index.add([document(str(n), f"page {n}", source="a") for n in range(3)])
    index.add([document("other", "page", source="b")])
    before = index.version()
    index.replace([document("1", "page 1", source="a"), "fresh"], where={"source": "a"})
    assert index.version() == before + 1
    assert index.count() == 3
    assert index.count({"source": "a"}) == 1
    index.replace([], where={"source": "b"})
    assert index.get(["other"]) == []


def test_metadata_lists_what_matches(index: Index) -> None:
    index.add([document("a", "x", source="1"), document("b", "x y", source="2")])
    assert index.metadata() == {"a": {"source": "1"}, "b": {"source": "2"}}
    assert index.metadata({"source": "2"}) == {"b": {"source": "2"}}


# Searching


@pytest.fixture
def animals(index: Index) -> Index:
    index.add(
        [
            document("dogs", "Dogs were running through the park", kind="pet", legs=4),
            document("cats", "A cat sleeps on the sofa", kind="pet", legs=4),
            document("birds", "Birds fly south in winter", kind="wild", legs=2),
        ]
    )
    return index


def test_each_mode_ranks_and_scores(animals: Index) -> None:
    sparse = animals.search("run dog", mode="sparse")
    assert ids(sparse) == ["dogs"], "words are stemmed"
    assert sparse[0].metadata["agentkit"]["score"] > 0
    dense = animals.search("Dogs were running through the park", mode="dense", k=3)
    assert dense[0].id == "dogs"
    assert dense[0].metadata["agentkit"]["score"] == pytest.approx(1, abs=1e-5)
    assert [d.metadata["agentkit"]["rank"] for d in dense] == [1, 2, 3]
    scores = [d.metadata["agentkit"]["score"] for d in dense]
    assert scores == sorted(scores, reverse=True)
    hybrid = animals.search("dogs running", k=3)
    assert hybrid[0].id == "dogs"
    assert hybrid[0].metadata["agentkit"]["score"] == pytest.approx(2 / 61)
    assert hybrid[0].metadata["kind"] == "pet"


def test_stop_words_alone_match_no_document_by_words(animals: Index) -> None:
    assert animals.search("the on in", mode="sparse") == []
    assert animals.search("???", mode="sparse") == []
    assert len(animals.search("???")) == 3


def test_new_rows_are_searchable_at_once_and_after_compaction(animals: Index) -> None:
    animals.compact()
    animals.add([document("fish", "Fishes swim", kind="wild")])
    assert ids(animals.search("swimming fish", mode="sparse")) == ["fish"]
    before = [(d.id, d.page_content) for d in animals.search("fish running birds", mode="dense")]
    animals.compact(retention=timedelta(hours=2))
    assert ids(animals.search("swimming fish", mode="sparse")) == ["fish"]
    after = [(d.id, d.page_content) for d in animals.search("fish running birds", mode="dense")]
    assert after == before


@pytest.mark.parametrize(
    "query",
    [
        '"unbalanced', "a AND (b OR", "+must -not ~1 ^2", "field:value", "\0\x01\x1b", "🎉🎉",
        "' OR 1=1 --", "\\", "*", "[a TO b]", "\ud800", "{}", "%s", "東京 مرحبا",
        "dog " * 250_000, "x" * 1_000_000,
    ],
    ids=range(16),
)  # fmt: skip
@pytest.mark.parametrize("mode", ["hybrid", "dense", "sparse"])
def test_no_query_is_a_syntax_error(animals: Index, query: str, mode: Any) -> None:
    found = animals.search(query, mode=mode)
    assert len(found) <= 3
    if mode != "sparse":
        assert len(found) == 3


def test_bad_arguments_of_a_search_are_told_apart(animals: Index) -> None:
    for blank in ("", " \n"):
        with pytest.raises(InvalidInputError, match="blank"):
            animals.search(blank)
    with pytest.raises(InvalidInputError, match="string"):
        animals.search(b"dogs")  # type: ignore[arg-type]
    for k in (0, -1, 1.5, True, None):
        with pytest.raises(InvalidInputError, match="1 or more"):
            animals.search("dogs", k=k)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="hybrid"):
        animals.search("dogs", mode="fuzzy")  # type: ignore[arg-type]


def test_search_vector_finds_the_nearest(animals: Index, embeddings: WordEmbeddings) -> None:
    vector = embeddings.embed_query("birds fly south in winter")
    assert ids(animals.search_vector(vector, k=1)) == ["birds"]
    assert ids(animals.search_vector(vector, k=1, where={"kind": "pet"})) != ["birds"]
    with pytest.raises(IndexMismatchError, match="32 dimensions"):
        animals.search_vector([1.0, 2.0])
    with pytest.raises(InvalidInputError, match="finite"):
        animals.search_vector([math.nan] * DIMENSIONS)
    with pytest.raises(InvalidInputError, match="numbers"):
        animals.search_vector("words")  # type: ignore[arg-type]


def test_an_empty_index_finds_nothing(index: Index) -> None:
    for mode in ("hybrid", "dense", "sparse"):
        assert index.search("anything", mode=mode) == []  # type: ignore[arg-type]


def test_many_rows_get_a_vector_index_that_still_finds_the_nearest(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_EXACT_SEARCH_ROWS", 600)
    index.add([document(str(n), f"word{n} word{n % 7}") for n in range(600)])
    table = lancedb.connect(tmp_path / "index").open_table("documents")
    assert "vector" in [column for made in table.list_indices() for column in made.columns]
    index.add([document("late", "entirely unlike anything")])
    found = index.search("word3 word3", mode="dense", k=5, where={})
    assert found[0].metadata["agentkit"]["score"] > 0.9
    assert index.search("entirely unlike anything", mode="dense", k=1)[0].id == "late"


# Opening


def test_an_index_opens_again_with_all_it_held(tmp_path: Path) -> None:
    with_language = Index.open(tmp_path, embeddings=WordEmbeddings(), language="German")
    with_language.add(["Die Häuser der Städte"])
    with_language.close()
    again = Index.open(str(tmp_path), embeddings=WordEmbeddings(), create=False)
    assert again.language == "German"
    assert again.dimensions == DIMENSIONS
    assert len(again.search("Haus", mode="sparse")) == 1


def test_a_closed_index_says_that_it_is_closed(tmp_path: Path) -> None:
    index = Index.open(tmp_path, embeddings=WordEmbeddings())
    index.close()
    index.close()
    for use in (lambda: index.search("word"), lambda: index.add(["word"]), index.count):
        with pytest.raises(ConfigurationError, match="closed"):
            use()


def test_what_is_no_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="got NoneType"):
        Index.open(None, embeddings=WordEmbeddings())  # type: ignore[arg-type]


def test_multilingual_text_is_segmented(tmp_path: Path) -> None:
    index = Index.open(tmp_path, embeddings=WordEmbeddings(), language="multilingual")
    index.add([document("ja", "東京大学で勉強する"), document("en", "a dog barks")])
    assert ids(index.search("大学", mode="sparse")) == ["ja"]
    assert ids(index.search("dog", mode="sparse")) == ["en"]


def test_other_embeddings_or_another_language_are_a_clear_error(tmp_path: Path) -> None:
    Index.open(tmp_path, embeddings=WordEmbeddings("first")).add(["text"])
    with pytest.raises(IndexMismatchError, match=r"'first'.*'second'.*build it again"):
        Index.open(tmp_path, embeddings=WordEmbeddings("second"))
    with pytest.raises(IndexMismatchError, match=r"English.*German"):
        Index.open(tmp_path, embeddings=WordEmbeddings("first"), language="German")
    shrunk = Index.open(tmp_path, embeddings=WordEmbeddings("first", dimensions=8))
    with pytest.raises(IndexMismatchError, match="32 dimensions"):
        shrunk.search("text")
    with pytest.raises(IndexMismatchError, match="32 dimensions"):
        shrunk.add(["more"])
    assert shrunk.count() == 1


def test_embeddings_without_an_identity_are_told_apart_by_class_and_model(tmp_path: Path) -> None:
    class ModelEmbeddings(WordEmbeddings):
        def __init__(self, model: str) -> None:
            super().__init__()
            del self.identity
            self.model = model

    Index.open(tmp_path, embeddings=ModelEmbeddings("small"))
    with pytest.raises(IndexMismatchError, match=r"ModelEmbeddings:small:32.*Embeddings:large:32"):
        Index.open(tmp_path, embeddings=ModelEmbeddings("large"))


def test_opening_what_is_not_there_or_not_an_index_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no index"):
        Index.open(tmp_path / "none", embeddings=WordEmbeddings(), create=False)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="file"):
        Index.open(tmp_path / "file", embeddings=WordEmbeddings())
    with pytest.raises(ConfigurationError, match="Klingon"):
        Index.open(tmp_path / "x", embeddings=WordEmbeddings(), language="Klingon")


def test_without_lancedb_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(MissingExtraError, match=r"agentkit-graphs\[index\]"):
        Index.open(tmp_path, embeddings=WordEmbeddings())


def test_embeddings_that_return_nonsense_add_nothing(tmp_path: Path) -> None:
    class Broken(WordEmbeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[math.inf] * DIMENSIONS for _ in texts]

    index = Index.open(tmp_path, embeddings=Broken())
    with pytest.raises(InvalidInputError, match="finite"):
        index.add(["text"])
    assert index.count() == 0


# Filters

FILTERED = [
    document("a", "text one", n=1, s="x", tags=["red", "blue"], nested={"k": {"deep": 5}}, b=True),
    document("b", "text two", n=2.5, s="it's", tags=["blue"], nested={"k": {"deep": "5"}}, b=False),
    document("c", "text three", n=-3, s="y", when="2024-05-01", mixed="word", none=None),
    document("d", "text four", n="1", s="X", when="2025-01-01", mixed=7),
]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "abcd"),
        ({"n": 1}, "a"),
        ({"n": 1.0}, "a"),
        ({"n": "1"}, "d"),
        ({"n": True}, ""),
        ({"b": True}, "a"),
        ({"s": "it's"}, "b"),
        ({"s": "x"}, "a"),
        ({"tags": "blue"}, "ab"),
        ({"tags": "red", "n": 1}, "a"),
        ({"tags": "red", "n": 2}, ""),
        ({"nested.k.deep": 5}, "a"),
        ({"nested.k.deep": {"$in": [5, "5"]}}, "ab"),
        ({"none": None}, "c"),
        ({"unknown": 1}, ""),
        ({"unknown": {"$gt": 1}}, ""),
        ({"n": {"$ne": 1}}, "bcd"),
        ({"unknown": {"$ne": 1}}, "abcd"),
        ({"n": {"$gt": 1}}, "b"),
        ({"n": {"$gte": 1}}, "ab"),
        ({"n": {"$lt": 0}}, "c"),
        ({"n": {"$lte": 2.5, "$gt": -3}}, "ab"),
        ({"n": {"$gt": ""}}, "d"),
        ({"mixed": {"$gt": 5}}, "d"),
        ({"mixed": {"$gt": "a"}}, "c"),
        ({"when": {"$gte": "2024-01-01", "$lt": "2025-01-01"}}, "c"),
        ({"n": {"$in": [1, 2.5, 99]}}, "ab"),
        ({"n": {"$in": []}}, ""),
        ({"n": {"$nin": [1, 2.5]}}, "cd"),
        ({"n": {"$nin": []}}, "abcd"),
        ({"n": {"$eq": -3}}, "c"),
        ({"$or": [{"n": 1}, {"s": "y"}]}, "ac"),
        ({"$or": [{"n": 1}, {"s": "y"}], "b": True}, "a"),
        ({"$and": [{"n": {"$gt": -5}}, {"$or": [{"s": "x"}, {"s": "y"}]}]}, "ac"),
        ({"$or": [{}, {"n": 1}]}, "abcd"),
        ({"s": "' OR 1=1 --"}, ""),
        ({"s": {"$gt": "' OR ''='"}}, "abcd"),
        ({"s') OR array_has(terms, 'x": 1}, ""),
        ({"s": '\0\n\\"%_\ud800'}, ""),
        ({"s": {"$lt": "\0\ud800"}}, ""),
    ],
)
def test_a_filter_selects_the_same_in_every_mode(index: Index, where: Any, expected: str) -> None:
    index.add(FILTERED)
    assert sorted(index.metadata(where)) == list(expected)
    assert index.count(where) == len(expected)
    for mode in ("hybrid", "dense", "sparse"):
        found = index.search("text", mode=mode, where=where)  # type: ignore[arg-type]
        assert sorted(str(d.id) for d in found) == list(expected), mode


def test_a_filter_applies_before_the_search_not_to_its_results(index: Index) -> None:
    index.add([document(str(n), f"same words {n}", n=n) for n in range(300)])
    for mode in ("hybrid", "dense", "sparse"):
        found = index.search("same words", k=2, mode=mode, where={"n": {"$in": [298, 299]}})  # type: ignore[arg-type]
        assert sorted(str(d.id) for d in found) == ["298", "299"]


def test_hostile_values_are_found_as_themselves(index: Index) -> None:
    values = ["'", "''", "\\'", '"', "a' OR 1=1 --", "\0", "\n", "é", "🎉", "\ud800", "x" * 10_000]
    index.add([document(str(n), f"text {n}", **{v: v, "v": v}) for n, v in enumerate(values)])
    for n, value in enumerate(values):
        assert list(index.metadata({"v": value})) == [str(n)]
        assert list(index.metadata({value: {"$in": [value]}})) == [str(n)]


@pytest.mark.parametrize(
    "where",
    [
        "n = 1", ["n"], {1: 2}, {"n": [1]}, {"n": {"deep": 1}}, {"n": {}}, {"n": {"$like": "x"}},
        {"n": {"$gt": None}}, {"n": {"$gt": [1]}}, {"n": {"$gt": math.nan}}, {"n": {"$gt": True}},
        {"n": math.inf}, {"n": {"$in": "abc"}}, {"n": {"$in": [[1]]}}, {"$or": []}, {"$or": {}},
        {"$not": {"n": 1}}, {"$and": ["x"]}, {"n": date(2024, 1, 1)},
    ],
    ids=repr,
)  # fmt: skip
def test_a_malformed_filter_is_a_clear_error(index: Index, where: Any) -> None:
    index.add(FILTERED)
    with pytest.raises(InvalidInputError):
        index.search("text", where=where)
    with pytest.raises(InvalidInputError):
        index.delete(where=where)
    assert index.count() == 4


# Threads, event loops, processes


async def test_every_async_form_does_what_the_sync_form_does(tmp_path: Path) -> None:
    index = await Index.aopen(tmp_path, embeddings=WordEmbeddings())
    assert await index.aadd([document("a", "alpha beta", n=1)]) == ["a"]
    assert ids(await index.asearch("alpha")) == ["a"]
    assert ids(await index.asearch_vector([1.0] * DIMENSIONS)) == ["a"]
    assert ids(await index.aget(["a"])) == ["a"]
    assert await index.acount() == 1
    assert await index.ametadata() == {"a": {"n": 1}}
    version = await index.aversion()
    assert await index.areplace(["gamma"], where={"n": 1}) != []
    assert await index.aversion() > version
    await index.acompact()
    assert await index.adelete(where={}) == 1
    await index.aclose()


def test_searching_goes_on_while_others_add(index: Index) -> None:
    """Four writers, four searchers on event loops of their own, one index."""
    index.add([document("base", "common words")])
    writing = threading.Event()

    def write(writer: int) -> None:
        for n in range(10):
            index.add([document(f"{writer}-{n}-{i}", f"common text {i}", w=writer) for i in (0, 1)])

    async def search() -> int:
        searches = 0
        while not writing.is_set() or not searches:
            found = await asyncio.gather(
                index.asearch("common"), index.asearch("common", mode="sparse", where={"w": 1})
            )
            assert found[0]
            # both documents of one add are there, or neither is
            assert await index.acount({"w": 1}) % 2 == 0
            searches += 1
        return searches

    with ThreadPoolExecutor(8) as threads:
        searching = [threads.submit(asyncio.run, search()) for _ in range(4)]
        writers = [threads.submit(write, n) for n in range(4)]
        try:
            for writer in writers:
                writer.result()
        finally:
            writing.set()
        assert all(future.result() for future in searching)
    assert index.count() == 81


def test_another_opening_of_the_index_sees_what_was_added(tmp_path: Path) -> None:
    writer = Index.open(tmp_path, embeddings=WordEmbeddings())
    reader = Index.open(tmp_path, embeddings=WordEmbeddings())
    writer.add(["alpha"])
    assert reader.count() == 1
    assert len(reader.search("alpha")) == 1
    for _ in range(40):
        writer.add(["beta"])
    writer.compact(retention=timedelta(hours=1))
    assert len(reader.search("alpha beta")) == 2


def test_many_small_adds_are_compacted_by_themselves(tmp_path: Path) -> None:
    index = Index.open(tmp_path, embeddings=WordEmbeddings())
    for n in range(70):
        index.add([f"text number {n}"])
    statistics = lancedb.connect(tmp_path).open_table("documents").stats()
    assert statistics["fragment_stats"]["num_fragments"] < 64
    assert index.count() == 70


KILLED = """
    import sys
    from agentkit.retrieval.index import Index
    sys.path.insert(0, {tests!r})
    from test_index import WordEmbeddings
    from langchain_core.documents import Document

    index = Index.open({path!r}, embeddings=WordEmbeddings())
    for n in range(10_000):
        index.add([
            Document(id=f"{{n}}-{{i}}", page_content=f"text {{i}} of {{n}}", metadata={{"n": n}})
            for i in range(20)
        ])
        print(n, flush=True)
"""


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_add_leaves_whole_adds_only(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "index"
    script = textwrap.dedent(KILLED).format(tests=str(Path(__file__).parent), path=str(path))
    acknowledged = _killed_after(script, random.Random(seed))
    index = Index.open(path, embeddings=WordEmbeddings())
    added = {values["n"] for values in index.metadata().values()}
    assert set(range(acknowledged + 1)) <= added <= set(range(acknowledged + 2))
    assert index.count() == 20 * len(added)
    assert len(index.search("text", k=1000, mode="sparse")) == index.count()
    assert index.add(["goes on"])
    assert len(index.search("goes on", mode="sparse")) == 1


def _killed_after(script: str, chance: random.Random) -> int:
    """Start a script, kill it at some moment after some line, and return the last line."""
    adds, delay = chance.randint(1, 40), chance.uniform(0, 0.03)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        last = -1
        while last < adds:
            last = int(process.stdout.readline())
        threading.Event().wait(delay)
        os.kill(process.pid, signal.SIGKILL)
        return max([last, *map(int, process.stdout.read().split())])


# LangChain


class TestIndexRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _index(self, animals: Index) -> None:
        self.index = animals

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return IndexRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"index": self.index}

    @property
    def retriever_query_example(self) -> str:
        return "running dogs"


async def test_the_retriever_takes_options_when_made_and_when_invoked(animals: Index) -> None:
    retriever = animals.as_retriever(k=2, mode="dense", where={"kind": "pet"})
    assert sorted(str(d.id) for d in await retriever.ainvoke("birds fly")) == ["cats", "dogs"]
    found = await retriever.ainvoke("birds fly", k=1, where={"legs": 2}, mode="sparse")
    assert ids(found) == ["birds"]
    assert ids(await asyncio.to_thread(retriever.invoke, "dogs", k=1)) == ["dogs"]
