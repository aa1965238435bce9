import asyncio
import re
import sys

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from rerankers.documents import Document as RankerDocument
from rerankers.models.ranker import BaseRanker
from rerankers.results import RankedResults, Result

from agentkit.errors import (
    ConfigurationError,
    MissingExtraError,
    PromptOutputError,
    RetrievalError,
)
from agentkit.prompts import PromptSet
from agentkit.retrieval import (
    CompressorReranker,
    CrossEncoderReranker,
    ListwiseReranker,
    MaximalMarginalRelevance,
    PointwiseReranker,
)
from agentkit.testing import HashEmbeddings, Script, ScriptedChatModel

SILENT = ScriptedChatModel(Script())


def numbered(count):
    return [Document(f"text {n}.", id=f"d{n}", metadata={"own": n}) for n in range(1, count + 1)]


def ids(documents):
    return [document.id for document in documents]


def shown_ids(messages):
    return [int(number) for number in re.findall(r"text (\d+)\.", messages[-1].text)]


def ordering(best_first):
    """A model that orders every window by a key of the documents' numbers."""

    def reply(messages):
        shown = shown_ids(messages)
        places = sorted(range(len(shown)), key=lambda place: best_first(shown[place]))
        return {"numbers": [place + 1 for place in places]}

    return ScriptedChatModel(Script(reply))


@pytest.mark.parametrize("count", [0, 1, 2, 19, 20, 21, 30, 31, 55])
async def test_every_document_is_shown_and_kept_and_the_best_ones_come_to_the_front(count):
    model = ordering(lambda number: -number)  # the last is best: as far from the front as can be
    documents = numbered(count)
    ranked = await ListwiseReranker().rerank("?", documents, model=model)
    assert sorted(ids(ranked)) == sorted(ids(documents))
    windows = [shown_ids(call.messages) for call in model.script.calls]
    assert {number for window in windows for number in window} == (
        set(range(1, count + 1)) if count > 1 else set()
    )
    assert all(len(window) <= 20 for window in windows)
    best = [f"d{number}" for number in range(count, max(0, count - 10), -1)]
    assert ids(ranked)[:10] == best


async def test_each_window_overlaps_the_next_by_half():
    model = ordering(lambda number: number)
    await ListwiseReranker(window=4).rerank("?", numbered(9), model=model)
    windows = [shown_ids(call.messages) for call in model.script.calls]
    assert windows == [[6, 7, 8, 9], [4, 5, 6, 7], [2, 3, 4, 5], [1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("numbers", "order"),
    [
        ([3, 1, 2], ["d3", "d1", "d2"]),
        ([3], ["d3", "d1", "d2"]),
        ([], ["d1", "d2", "d3"]),
        ([2, 2, 2, 1], ["d2", "d1", "d3"]),
        ([0, -1, 4, 10**30, 3], ["d3", "d1", "d2"]),
    ],
)
async def test_numbers_that_are_missing_repeated_or_unknown_lose_nothing(numbers, order):
    model = ScriptedChatModel(Script({"numbers": numbers}))
    ranked = await ListwiseReranker().rerank("?", numbered(3), model=model)
    assert ids(ranked) == order
    assert [document.metadata["own"] for document in ranked] == [int(name[1:]) for name in order]
    assert [document.metadata["agentkit"]["rank"] for document in ranked] == [1, 2, 3]
    assert [document.metadata["agentkit"]["score"] for document in ranked] == [1, 1 / 2, 1 / 3]


async def test_documents_that_are_the_same_are_all_kept():
    model = ScriptedChatModel(Script({"numbers": [4, 1, 2, 3]}))
    documents = [*[Document("the same")] * 3, Document("other")]
    ranked = await ListwiseReranker(window=4).rerank("?", documents, model=model)
    assert [document.page_content for document in ranked] == ["other", *["the same"] * 3]


async def test_the_prompt_of_a_window_is_bounded_and_can_be_overridden():
    model = ScriptedChatModel(Script({"numbers": [2, 1]}))
    prompts = PromptSet({"rag.rank_listwise": "Rank."})
    documents = [Document("a" * 100_000), Document("b" * 100_000)]
    await ListwiseReranker(max_chars=1000).rerank("?", documents, model=model, prompts=prompts)
    assert model.script.calls[0].system == "Rank."
    assert len(model.script.calls[0].text) < 1300


@pytest.mark.parametrize("window", [1, 0, -5])
def test_a_window_of_less_than_two_is_refused(window):
    with pytest.raises(ConfigurationError, match="at least 2"):
        ListwiseReranker(window=window)


async def test_pointwise_scores_order_and_equal_ones_stay():
    scores = {1: 3, 2: 9, 3: 3, 4: 10}

    def score(messages):
        (number,) = shown_ids(messages)
        return {"score": scores[number]}

    ranked = await PointwiseReranker().rerank(
        "?", numbered(4), model=ScriptedChatModel(Script(score))
    )
    assert ids(ranked) == ["d4", "d2", "d1", "d3"]
    assert [document.metadata["agentkit"]["score"] for document in ranked] == [10, 9, 3, 3]


async def test_a_document_is_scored_inside_a_whole_fence():
    model = ScriptedChatModel(Script({"score": 5}))
    await PointwiseReranker().rerank("Why?", numbered(1), model=model)
    prompt = model.script.calls[0].messages[-1].text
    assert '<document number="1">\ntext 1.\n</document>' in prompt


async def test_pointwise_asks_for_all_documents_at_once():
    arrived = 0
    all_arrived = asyncio.Event()

    class Gathering(ScriptedChatModel):
        async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
            nonlocal arrived
            arrived += 1
            if arrived == 6:
                all_arrived.set()
            await asyncio.wait_for(all_arrived.wait(), 30)
            return await super()._agenerate(messages, stop, run_manager, **kwargs)

    await PointwiseReranker().rerank("?", numbered(6), model=Gathering(Script({"score": 1})))
    assert arrived == 6


async def test_a_score_out_of_bounds_is_asked_again_and_then_an_error():
    model = ScriptedChatModel(Script([{"score": 11}, {"score": 7}]))
    ranked = await PointwiseReranker().rerank("?", numbered(1), model=model)
    assert ranked[0].metadata["agentkit"]["score"] == 7
    with pytest.raises(PromptOutputError):
        await PointwiseReranker().rerank(
            "?", numbered(1), model=ScriptedChatModel(Script({"score": 11}))
        )


class LengthRanker(BaseRanker):
    """Built on the package's own types: the longer a text, the better."""

    def __init__(self, model_name_or_path="length", verbose=0, *, scores=True, top=None):
        self.scores, self.top = scores, top

    def score(self, query, doc):
        return float(len(doc))

    def rank(self, query, docs, doc_ids=None):
        found = [RankerDocument(doc, doc_id=name) for doc, name in zip(docs, doc_ids, strict=True)]
        found.sort(key=lambda document: -len(document.text))
        results = [
            Result(
                document=document,
                score=self.score(query, document.text) if self.scores else None,
                rank=rank,
            )
            for rank, document in enumerate(found[: self.top], 1)
        ]
        return RankedResults(results=results, query=query, has_scores=self.scores)


LENGTHS = [Document("xx", id="a"), Document("xxxx", id="b"), Document("yy", id="c")]


async def test_a_ranker_of_the_rerankers_package_orders_by_its_scores():
    ranked = await CrossEncoderReranker(LengthRanker()).rerank("?", LENGTHS)
    assert ids(ranked) == ["b", "a", "c"]
    assert [document.metadata["agentkit"]["score"] for document in ranked] == [4, 2, 2]


async def test_a_ranker_that_gives_ranks_alone_orders_by_them():
    ranked = await CrossEncoderReranker(LengthRanker(scores=False)).rerank("?", LENGTHS)
    assert ids(ranked) == ["b", "a", "c"]
    assert [document.metadata["agentkit"]["score"] for document in ranked] == [1, 1 / 2, 1 / 3]


async def test_documents_that_a_ranker_leaves_out_are_left_out():
    assert ids(await CrossEncoderReranker(LengthRanker(top=1)).rerank("?", LENGTHS)) == ["b"]


async def test_a_score_that_is_no_number_is_an_error():
    class Broken(LengthRanker):
        def score(self, query, doc):
            return float("nan")

    with pytest.raises(RetrievalError, match="nan"):
        await CrossEncoderReranker(Broken()).rerank("?", LENGTHS)


async def test_a_ranker_runs_off_the_event_loop():
    class Waiting(LengthRanker):
        def rank(self, query, docs, doc_ids=None):
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(30)
            return super().rank(query, docs, doc_ids)

    loop = asyncio.get_running_loop()
    assert len(await CrossEncoderReranker(Waiting()).rerank("?", LENGTHS)) == 3


async def test_a_named_ranker_is_loaded_with_its_options(monkeypatch):
    import rerankers

    monkeypatch.setattr(
        rerankers, "Reranker", lambda name, verbose, **options: LengthRanker(name, **options)
    )
    assert ids(await CrossEncoderReranker("length", top=2).rerank("?", LENGTHS)) == ["b", "a"]


@pytest.mark.parametrize("name", ["flashrank", "t5", "colbert"])
def test_a_ranker_that_lacks_its_package_says_what_to_install(name, capsys, monkeypatch):
    from rerankers import reranker

    monkeypatch.setattr(reranker, "AVAILABLE_RANKERS", {})
    with pytest.raises(ConfigurationError, match=r"cannot load .*pip install"):
        CrossEncoderReranker(name)
    assert capsys.readouterr().out == ""


def test_a_ranker_that_fails_to_load_says_why():
    with pytest.raises(ConfigurationError, match=r"cannot load 'cohere'.*api_key"):
        CrossEncoderReranker("cohere")
    with pytest.raises(ConfigurationError, match="cannot load 'x'"):
        CrossEncoderReranker("x", model_type="no-such-type")


def test_without_the_rerankers_package_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rerankers", None)
    with pytest.raises(MissingExtraError, match=r"agentkit-graphs\[rerank\]"):
        CrossEncoderReranker("flashrank")


class Shortest(BaseDocumentCompressor):
    """Keeps the two shortest, as new documents without their ids."""

    def compress_documents(self, documents, query, callbacks=None):
        kept = sorted(documents, key=lambda document: len(document.page_content))[:2]
        for document in documents:
            document.metadata["relevance_score"] = 0.5
        return [Document(document.page_content, metadata=document.metadata) for document in kept]


async def test_a_compressor_orders_and_drops_and_ids_survive_it():
    documents = [Document("xxx", id="a", metadata={"own": 1}), *LENGTHS[1:]]
    ranked = await CompressorReranker(Shortest()).rerank("?", documents)
    assert ids(ranked) == ["c", "a"]
    assert ranked[1].metadata["own"] == 1
    assert [document.metadata["agentkit"]["rank"] for document in ranked] == [1, 2]
    assert documents[0].metadata == {"own": 1}


async def test_a_compressor_that_drops_everything_leaves_nothing():
    class Nothing(BaseDocumentCompressor):
        def compress_documents(self, documents, query, callbacks=None):
            return []

    assert await CompressorReranker(Nothing()).rerank("?", LENGTHS) == []


ANIMALS = [
    Document("cats purr softly at night", id="cat1"),
    Document("cats purr softly at night", id="cat2"),
    Document("cats chase birds", id="bird"),
    Document("stones are hard", id="stone"),
]


async def test_diversity_pushes_duplicates_down():
    rerank = MaximalMarginalRelevance(HashEmbeddings(1024), diversity=0.5).rerank
    ranked = ids(await rerank("cats purr softly", ANIMALS))
    assert ranked[0] == "cat1"
    assert ranked.index("bird") < ranked.index("cat2")


async def test_without_diversity_the_nearest_come_first():
    rerank = MaximalMarginalRelevance(HashEmbeddings(1024), diversity=0).rerank
    ranked = await rerank("cats purr softly", ANIMALS[::-1])
    assert ids(ranked) == ["cat2", "cat1", "bird", "stone"]
    assert [document.metadata["agentkit"]["rank"] for document in ranked] == [1, 2, 3, 4]


@pytest.mark.parametrize("diversity", [-0.1, 1.1, float("nan")])
def test_a_diversity_out_of_bounds_is_refused(diversity):
    with pytest.raises(ConfigurationError, match="from 0 to 1"):
        MaximalMarginalRelevance(HashEmbeddings(), diversity=diversity)


async def test_without_numpy_the_extra_is_named(monkeypatch):
    reranker = MaximalMarginalRelevance(HashEmbeddings())
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(MissingExtraError, match="MaximalMarginalRelevance"):
        await reranker.rerank("?", ANIMALS)


@pytest.mark.parametrize(
    "reranker",
    [
        ListwiseReranker(),
        PointwiseReranker(),
        CrossEncoderReranker(LengthRanker()),
        CompressorReranker(Shortest()),
        MaximalMarginalRelevance(HashEmbeddings()),
    ],
    ids=lambda reranker: type(reranker).__name__,
)
async def test_nothing_is_ranked_as_nothing(reranker):
    assert await reranker.rerank("?", [], model=SILENT) == []
