import asyncio
import threading

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from agentkit.errors import ConfigurationError, InvalidInputError, RetrievalError
from agentkit.retrieval import Index, Source, query
from agentkit.retrieval.sources import as_sources
from agentkit.testing import HashEmbeddings

DOCUMENTS = [
    Document("Paris is the capital of France.", id="paris", metadata={"place": "city", "n": 1}),
    Document("Rome is the capital of Italy.", id="rome", metadata={"place": "city", "n": 2}),
    Document("The Seine flows through Paris.", id="seine", metadata={"place": "river", "n": 3}),
    Document("Bananas are yellow.", id="banana", metadata={"place": "shop", "n": 4}),
]
HYDE = query("capital?", kind="hypothetical", passages=["Paris France", "Rome Italy"])


class Recording(HashEmbeddings):
    """Remembers what was embedded."""

    def __init__(self):
        super().__init__(512)
        self.asked = []

    def embed_query(self, text):
        self.asked.append(text)
        return super().embed_query(text)


class Returning(BaseRetriever):
    """Returns whatever it is given."""

    found: object = None

    def _get_relevant_documents(self, query, *, run_manager):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def store_of(embeddings=None):
    return InMemoryVectorStore.from_documents(DOCUMENTS, embeddings or HashEmbeddings(512))


@pytest.fixture
def index(tmp_path):
    opened = Index.open(tmp_path, embeddings=HashEmbeddings(512))
    opened.add(DOCUMENTS)
    yield opened
    opened.close()


def ids(rankings):
    return [[document.id for document in ranking] for ranking in rankings]


def own(document):
    return {key: value for key, value in document.metadata.items() if key != "agentkit"}


def mean(texts):
    embeddings = HashEmbeddings(512)
    vectors = [embeddings.embed_query(text) for text in texts]
    return [sum(parts) / len(parts) for parts in zip(*vectors, strict=True)]


async def search(retriever, item="capital of France", **options):
    source = retriever if isinstance(retriever, Source) else Source(retriever)
    asked = query(item) if isinstance(item, str) else item
    return await source.asearch(asked, **{"k": 2, **options})


class TestLangChainRetrievers:
    async def test_documents_keep_their_own_and_are_told_where_they_are_from(self):
        (ranking,) = await search(Source(Returning(found=DOCUMENTS), name="wiki"), k=3)
        assert ids([ranking]) == [["paris", "rome", "seine"]]
        assert [own(document) for document in ranking] == [d.metadata for d in DOCUMENTS[:3]]
        assert ranking[1].metadata["agentkit"] == {"retriever": "wiki", "retriever_rank": 2}
        assert all("agentkit" not in document.metadata for document in DOCUMENTS)

    async def test_documents_without_ids_get_stable_ones(self):
        retriever = Returning(found=[Document("x")])
        first, second = await search(retriever), await search(retriever)
        assert first[0][0].id == second[0][0].id is not None

    async def test_nothing_found_is_an_empty_ranking(self):
        assert await search(Returning(found=[])) == [[]]

    @pytest.mark.parametrize(
        ("found", "told"),
        [
            (None, "NoneType"),
            ("text", "str"),
            ({"a": 1}, "dict"),
            (["text"], "list that holds a str"),
            ([Document("x"), None], "list that holds a NoneType"),
            ((d for d in DOCUMENTS), "generator"),
            (7, "int"),
        ],
    )
    async def test_what_is_no_list_of_documents_is_an_error(self, found, told):
        with pytest.raises(RetrievalError, match=f"Returning returned a {told}"):
            await search(Returning(found=found))

    async def test_an_error_is_passed_on(self):
        with pytest.raises(ZeroDivisionError):
            await search(Returning(found=ZeroDivisionError("oops")))

    async def test_passages_are_searched_as_texts(self):
        asked = []

        class Echo(BaseRetriever):
            def _get_relevant_documents(self, query, *, run_manager):
                asked.append(query)
                return [Document(query, id=query)]

        source = Source(Echo())
        assert not source.can_search_by_vector()
        assert ids(await search(source, HYDE)) == [["capital?"], ["Paris France"], ["Rome Italy"]]
        assert sorted(asked) == ["Paris France", "Rome Italy", "capital?"]

    async def test_where_one_of_several_searches_fails_no_other_goes_on(self):
        class OneOfManyFails(BaseRetriever):
            def _get_relevant_documents(self, query, *, run_manager):
                raise NotImplementedError

            async def _aget_relevant_documents(self, query, *, run_manager):
                if query == "capital?":
                    raise ValueError("server is busy")
                await asyncio.Event().wait()

        with pytest.raises(ValueError, match="server is busy"):
            await search(Source(OneOfManyFails()), HYDE)
        for _ in range(20):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_a_filter_of_the_run_is_left_out_and_one_of_its_own_is_refused(self):
        assert ids(await search(Returning(found=DOCUMENTS[:1]), where={"n": 9})) == [["paris"]]
        with pytest.raises(ConfigurationError, match="cannot filter"):
            Source(Returning(), where={"n": 1})


class TestTimeouts:
    async def test_an_async_retriever_that_hangs_is_given_up(self):
        cancelled = asyncio.Event()

        class Hanging(BaseRetriever):
            def _get_relevant_documents(self, query, *, run_manager):
                raise NotImplementedError

            async def _aget_relevant_documents(self, query, *, run_manager):
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelled.set()

        with pytest.raises(TimeoutError, match=r"no answer within 0\.01 seconds"):
            await search(Hanging(), timeout=0.01)
        await asyncio.wait_for(cancelled.wait(), 30)

    async def test_a_sync_retriever_that_hangs_is_given_up(self):
        release = threading.Event()

        class Hanging(BaseRetriever):
            def _get_relevant_documents(self, query, *, run_manager):
                release.wait(60)
                return []

        try:
            with pytest.raises(TimeoutError, match="no answer within"):
                await search(Source(Hanging(), timeout=0.01), timeout=3600)
        finally:
            release.set()

    async def test_a_retrievers_own_time_out_is_passed_on(self):
        for timeout in (None, 60):
            with pytest.raises(TimeoutError, match="upstream"):
                await search(Returning(found=TimeoutError("upstream")), timeout=timeout)

    @pytest.mark.parametrize("timeout", [0, -1, float("nan")])
    def test_a_timeout_of_no_time_is_refused(self, timeout):
        with pytest.raises(ConfigurationError, match="timeout of"):
            Source(Returning(), timeout=timeout)


class TestVectorStores:
    async def test_a_text_is_searched_for(self):
        assert ids(await search(store_of(), k=1)) == [["paris"]]

    async def test_scores_are_kept_where_they_are_wanted(self):
        (ranking,) = await search(store_of(), scored=True)
        scores = [document.metadata["agentkit"]["score"] for document in ranking]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 2
        (plain,) = await search(store_of())
        assert "score" not in plain[0].metadata["agentkit"]

    async def test_distances_become_scores_of_which_the_best_is_the_highest(self):
        class Distances(InMemoryVectorStore):
            async def asimilarity_search_with_score(self, query, k=4, **kwargs):
                found = self.similarity_search_with_score(query, k, **kwargs)
                return [(document, 1 - similarity) for document, similarity in found]

        store = Distances.from_documents(DOCUMENTS, HashEmbeddings(512))
        (ranking,) = await search(store, scored=True)
        scores = [document.metadata["agentkit"]["score"] for document in ranking]
        assert scores[0] > scores[1]
        assert ranking[0].id == "paris"

    async def test_a_store_that_cannot_score_is_an_error_where_scores_are_wanted(self):
        class Scoreless(VectorStore):
            @classmethod
            def from_texts(cls, texts, embedding, metadatas=None, **kwargs):
                return cls()

            def similarity_search(self, query, k=4, **kwargs):
                return []

        assert await search(Scoreless()) == [[]]
        with pytest.raises(NotImplementedError):
            await search(Scoreless(), scored=True)

    async def test_passages_are_searched_by_their_mean_vector(self):
        embeddings = Recording()
        store = store_of(embeddings)
        vectors = []

        class Spy(InMemoryVectorStore):
            async def asimilarity_search_by_vector(self, embedding, k=4, **kwargs):
                vectors.append(embedding)
                return await super().asimilarity_search_by_vector(embedding, k, **kwargs)

        spy = Spy(embeddings)
        spy.store = store.store
        embeddings.asked.clear()
        rankings = await search(spy, HYDE)
        assert sorted(embeddings.asked) == ["Paris France", "Rome Italy", "capital?"]
        assert vectors == [pytest.approx(mean(["capital?", "Paris France", "Rome Italy"]))]
        expected = store.similarity_search_by_vector(vectors[0], k=2)
        assert ids(rankings) == [[document.id for document in expected]]

    async def test_where_scores_are_wanted_passages_are_searched_as_texts(self):
        source = Source(store_of())
        assert source.can_search_by_vector()
        assert not source.can_search_by_vector(scored=True)
        rankings = await search(source, HYDE, scored=True)
        assert len(rankings) == 3
        assert all("score" in d.metadata["agentkit"] for ranking in rankings for d in ranking)

    async def test_a_store_without_vectors_is_searched_for_the_texts(self):
        class TextStore(VectorStore):
            @classmethod
            def from_texts(cls, texts, embedding, metadatas=None, **kwargs):
                return cls()

            def similarity_search(self, query, k=4, **kwargs):
                return [Document(query, id=query)]

        source = Source(TextStore())
        assert not source.can_search_by_vector()
        assert ids(await search(source, HYDE)) == [["capital?"], ["Paris France"], ["Rome Italy"]]

    async def test_a_stores_own_kind_of_filter_is_passed_as_it_is(self):
        def rivers(document):
            return document.metadata["place"] == "river"

        source = Source(store_of(), where=rivers)
        assert ids(await search(source)) == [["seine"]]
        assert ids(await search(source, HYDE)) == [["seine"]]
        assert ids(await search(source, where={"n": 1})) == [["seine"]]


class FilterSpy(VectorStore):
    """Records the options of each search."""

    def __init__(self):
        self.options = []

    @property
    def embeddings(self) -> Embeddings:
        return HashEmbeddings(8)

    @classmethod
    def from_texts(cls, texts, embedding, metadatas=None, **kwargs):
        return cls()

    def similarity_search(self, query, **options):
        self.options.append(options)
        return []

    def similarity_search_by_vector(self, embedding, **options):
        self.options.append(options)
        return []

    def max_marginal_relevance_search(self, query, **options):
        self.options.append({"mmr": True, **options})
        return []

    async def asimilarity_search_with_relevance_scores(self, query, **options):
        self.options.append(options)
        return []


class TestFilters:
    @pytest.mark.parametrize(
        ("first", "second", "together"),
        [
            (None, None, None),
            ({"a": 1}, None, {"a": 1}),
            (None, {"b": 2}, {"b": 2}),
            ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
            ({"a": 1}, {"a": 9, "b": 2}, {"a": 1, "b": 2}),
            ("a == 1", {"b": 2}, "a == 1"),
            ({"a": 1}, "b == 2", {"a": 1}),
            (
                {"$or": [{"a": 1}]},
                {"$or": [{"b": 2}], "c": 3},
                {"$and": [{"$or": [{"a": 1}]}, {"$or": [{"b": 2}], "c": 3}]},
            ),
        ],
    )
    async def test_the_sources_and_the_runs_filter_hold_together(self, first, second, together):
        spy = FilterSpy()
        await search(Source(spy, where=first), where=second)
        assert spy.options == [{"k": 2} if together is None else {"k": 2, "filter": together}]

    async def test_a_store_retrievers_own_filter_holds_too(self):
        spy = FilterSpy()
        retriever = spy.as_retriever(search_kwargs={"filter": {"tenant": 1}, "k": 50})
        await search(Source(retriever, where={"a": 2}), where={"tenant": 2, "b": 3})
        assert spy.options == [{"k": 2, "filter": {"tenant": 1, "a": 2, "b": 3}}]


class TestVectorStoreRetrievers:
    async def test_its_own_search_type_and_options_are_kept(self):
        spy = FilterSpy()
        options = {"fetch_k": 30, "lambda_mult": 0.3, "extra": 1}
        retriever = spy.as_retriever(search_type="mmr", search_kwargs=options)
        await search(retriever)
        await search(retriever, HYDE)
        await search(retriever, scored=True)
        assert spy.options == [
            {"mmr": True, **options, "k": 2},
            {"extra": 1, "k": 2},
            {"extra": 1, "k": 2},
        ]

    async def test_a_threshold_of_scores_is_kept(self):
        class Scaled(InMemoryVectorStore):
            def _select_relevance_score_fn(self):
                return lambda similarity: min(1.0, max(0.0, similarity))

        retriever = Scaled.from_documents(DOCUMENTS, HashEmbeddings(512)).as_retriever(
            search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.9}
        )
        assert ids(await search(retriever, "Bananas are yellow.")) == [["banana"]]
        assert len((await search(retriever, HYDE))[0]) == 2

    async def test_it_is_searched_by_vector_like_its_store(self):
        store = store_of()
        assert ids(await search(store.as_retriever(), HYDE)) == ids(await search(store, HYDE))


class TestIndexes:
    async def test_an_index_is_searched_with_filters_and_scores(self, index):
        (ranking,) = await search(index, where={"place": "city"}, k=5)
        assert ids([ranking]) == [["paris", "rome"]]
        assert own(ranking[0]) == DOCUMENTS[0].metadata
        assert ranking[0].metadata["agentkit"]["score"] > 0

    async def test_passages_are_searched_by_their_mean_vector(self, index):
        source = Source(index)
        assert source.can_search_by_vector(scored=True)
        (ranking,) = await search(source, HYDE)
        expected = index.search_vector(mean(["capital?", "Paris France", "Rome Italy"]), k=2)
        assert ids([ranking]) == [[document.id for document in expected]]
        scores = [document.metadata["agentkit"]["score"] for document in ranking]
        assert scores == pytest.approx([d.metadata["agentkit"]["score"] for d in expected])

    async def test_its_retriever_keeps_mode_and_filter_and_can_do_what_it_can(self, index):
        retriever = index.as_retriever(where={"place": "city"}, mode="dense", k=1)
        source = Source(retriever, where={"n": {"$gte": 2}})
        assert source.can_search_by_vector()
        assert ids(await search(source, k=5, where={"place": "river"})) == [["rome"]]
        assert ids(await search(source, HYDE, k=5)) == [["rome"]]
        (ranking,) = await search(index.as_retriever(mode="dense"))
        dense = index.search("capital of France", k=2, mode="dense")
        assert [d.metadata["agentkit"]["score"] for d in ranking] == pytest.approx(
            [d.metadata["agentkit"]["score"] for d in dense]
        )

    async def test_a_sparse_retriever_is_not_searched_by_vector(self, index):
        source = Source(index.as_retriever(mode="sparse"))
        assert not source.can_search_by_vector()
        assert len(await search(source, HYDE)) == 3

    async def test_same_operators_of_two_filters_both_hold(self, index):
        source = Source(index, where={"$or": [{"n": 1}, {"n": 3}]})
        assert ids(await search(source, where={"$or": [{"n": 3}, {"n": 4}]})) == [["seine"]]

    async def test_a_malformed_filter_is_an_error(self, index):
        with pytest.raises(InvalidInputError):
            await search(index, where={"n": {"$like": 1}})


@pytest.fixture
def llama(monkeypatch):
    """LlamaIndex over the same documents, whose default models must not be touched."""
    from llama_index.core import Settings, VectorStoreIndex
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.schema import TextNode

    class Hashes(BaseEmbedding):
        asked: list = []

        def _get_query_embedding(self, query):
            self.asked.append(query)
            return HashEmbeddings(512).embed_query(query)

        async def _aget_query_embedding(self, query):
            return self._get_query_embedding(query)

        def _get_text_embedding(self, text):
            return HashEmbeddings(512).embed_query(text)

    def untouchable(self):
        raise AssertionError("a default of LlamaIndex was asked for")

    monkeypatch.setattr(type(Settings), "llm", property(untouchable))
    nodes = [TextNode(id_=d.id, text=d.page_content, metadata=d.metadata) for d in DOCUMENTS]
    for node in nodes:
        node.excluded_embed_metadata_keys = list(node.metadata)
    embedding = Hashes()
    embedding.asked = []
    return VectorStoreIndex(nodes, embed_model=embedding), embedding


class TestLlamaIndex:
    async def test_a_retrievers_nodes_are_documents(self, llama):
        (ranking,) = await search(llama[0].as_retriever(similarity_top_k=3))
        assert ids([ranking])[0][0] == "paris"
        assert len(ranking) == 2
        assert own(ranking[0]) == DOCUMENTS[0].metadata
        assert ranking[0].page_content == DOCUMENTS[0].page_content
        assert ranking[0].metadata["agentkit"]["score"] > ranking[1].metadata["agentkit"]["score"]

    async def test_a_query_engine_is_searched_and_asked_for_no_answer(self, llama):
        from llama_index.core.llms import MockLLM
        from llama_index.core.query_engine import RetrieverQueryEngine

        class Silent(MockLLM):
            async def achat(self, *args, **kwargs):
                raise AssertionError("it was asked for an answer")

            acomplete = achat

        index, embedding = llama
        engine = RetrieverQueryEngine.from_args(index.as_retriever(), llm=Silent())
        assert ids(await search(engine))[0][0] == "paris"
        assert Source(engine).can_search_by_vector()
        embedding.asked.clear()
        await search(engine, HYDE)
        assert sorted(embedding.asked) == ["Paris France", "Rome Italy", "capital?"]

    async def test_passages_are_searched_by_their_mean_vector(self, llama):
        index, _ = llama
        (ranking,) = await search(index.as_retriever(), HYDE, scored=True)
        stored = index.vector_store.data.embedding_dict
        wanted = mean(["capital?", "Paris France", "Rome Italy"])
        length = sum(part * part for part in wanted) ** 0.5
        for document in ranking:
            dot = sum(a * b for a, b in zip(stored[document.id], wanted, strict=True))
            assert document.metadata["agentkit"]["score"] == pytest.approx(dot / length)

    async def test_an_engine_that_can_only_answer_gives_the_sources_of_its_answer(self, llama):
        from llama_index.core.base.response.schema import Response
        from llama_index.core.query_engine import CustomQueryEngine
        from llama_index.core.schema import NodeWithScore, TextNode

        class Answering(CustomQueryEngine):
            def custom_query(self, query_str):
                node = TextNode(id_="n", text=query_str)
                return Response("an answer", source_nodes=[NodeWithScore(node=node)])

        assert ids(await search(Answering(), "hello")) == [["n"]]

    async def test_an_error_inside_an_engine_does_not_make_it_answer(self, llama):
        from llama_index.core.llms import MockLLM
        from llama_index.core.query_engine import RetrieverQueryEngine

        class Broken(RetrieverQueryEngine):
            async def aretrieve(self, query_bundle):
                raise AttributeError("a mistake inside")

            async def _aquery(self, query_bundle):
                raise AssertionError("it was asked for an answer")

        engine = Broken.from_args(llama[0].as_retriever(), llm=MockLLM())
        with pytest.raises(AttributeError, match="a mistake inside"):
            await search(engine)

    async def test_an_engine_with_a_sync_retrieve_alone_is_not_made_to_answer(self, llama):
        from llama_index.core.base.base_query_engine import BaseQueryEngine
        from llama_index.core.schema import NodeWithScore, TextNode

        class SyncEngine(BaseQueryEngine):
            def retrieve(self, query_bundle):
                return [NodeWithScore(node=TextNode(id_="s", text="t"), score=1.0)]

            def _query(self, query_bundle):
                raise AssertionError("it was asked for an answer")

            async def _aquery(self, query_bundle):
                raise AssertionError("it was asked for an answer")

            def _get_prompt_modules(self):
                return {}

        assert ids(await search(SyncEngine(callback_manager=None))) == [["s"]]

    @pytest.mark.parametrize(
        ("found", "told"), [(None, "NoneType"), (["x"], "list that holds a str")]
    )
    async def test_what_is_no_list_of_nodes_is_an_error(self, llama, found, told):
        from llama_index.core.retrievers import BaseRetriever as LlamaRetriever

        class Odd(LlamaRetriever):
            def _retrieve(self, query_bundle):
                return found

            async def aretrieve(self, bundle):
                return found

        with pytest.raises(RetrievalError, match=told):
            await search(Odd())


class TestAsSources:
    def test_one_retriever_or_several(self):
        retriever, store = Returning(), store_of()
        assert [source.retriever for source in as_sources(retriever)] == [retriever]
        weighted = Source(store, weight=2.0, name="docs")
        sources = as_sources((retriever, weighted))
        assert [(s.name, s.weight) for s in sources] == [("Returning", 1.0), ("docs", 2.0)]

    def test_names_that_several_share_get_numbers(self):
        named = [Source(Returning(), name=name) for name in ("a", "a", "a 2", "a", "b")]
        assert [source.name for source in as_sources(named)] == ["a", "a 3", "a 2", "a 4", "b"]

    @pytest.mark.parametrize("data", [None, "docs", 7, {"a": 1}, object(), ["docs"], [None], [[]]])
    def test_what_is_no_retriever_is_refused(self, data):
        with pytest.raises(ConfigurationError, match="A retriever is"):
            as_sources(data)

    @pytest.mark.parametrize("data", [[], ()])
    def test_no_retriever_at_all_is_refused(self, data):
        with pytest.raises(ConfigurationError, match="At least one"):
            as_sources(data)

    @pytest.mark.parametrize("weight", [-1, float("nan"), float("inf")])
    def test_a_wrong_weight_is_refused(self, weight):
        with pytest.raises(ConfigurationError, match="weight of"):
            Source(Returning(), weight=weight)
