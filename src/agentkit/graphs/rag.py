"""Retrieval-augmented generation: documents in, an answer with checked citations out."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, Unpack, cast
from uuid import uuid4

from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.cache.base import BaseCache
from langgraph.channels import EphemeralValue
from langgraph.errors import NodeError
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from langgraph.types import CachePolicy, Checkpointer, Command, Overwrite, RetryPolicy, Send
from pydantic import Field
from typing_extensions import TypedDict

from agentkit._text import shortened
from agentkit.errors import ConfigurationError, PromptOutputError, RetrievalError
from agentkit.events import StepFailed, emit, step_failed
from agentkit.graphs.context import GraphContext
from agentkit.graphs.nodes import (
    RETRY,
    Edge,
    EdgeFunction,
    Node,
    NodeFunction,
    cache_policy,
    drawable,
    extend,
    gone_without,
)
from agentkit.graphs.questions import (
    STANDALONE,
    AskedMessages,
    AskedQuestion,
    new_messages,
    read_input,
    stand_alone,
)
from agentkit.models import most_choices
from agentkit.prompts import PromptOverrides
from agentkit.retrieval.answering import (
    ANSWERING_PROMPTS,
    NOT_IN_DOCUMENTS,
    check_answer,
    extract_answer,
    repair_answer,
    write_answer,
)
from agentkit.retrieval.citations import Citation
from agentkit.retrieval.documents import annotate, as_document, document_id
from agentkit.retrieval.fusion import FUSIONS, FusionMethod
from agentkit.retrieval.grading import GRADING_PROMPTS, new_query, relevant_documents
from agentkit.retrieval.reranking import Reranker
from agentkit.retrieval.rewriting import Decompose, Rewriter, distinct
from agentkit.retrieval.sources import Query, Source, as_sources, query

DEFAULT_SENTENCES = 24

AnswerMode: TypeAlias = Literal["auto", "generative", "extractive", "none"]


class RagContext(GraphContext):
    """What may change from one question to the next."""

    k: int = Field(default=5, ge=1, le=100, description="Documents that the answer may draw on.")
    candidates: int = Field(
        default=20, ge=1, le=1000, description="Documents that each search may return."
    )
    where: Mapping[str, Any] | None = Field(
        default=None, description="Metadata filter, for the retrievers that can filter."
    )
    answer: AnswerMode = Field(
        default="auto",
        description="'generative' writes, 'extractive' chooses whole sentences, 'none' stops at "
        "the documents; 'auto' is extractive for the embedded model, else generative.",
        json_schema_extra={"langgraph_nodes": ["answer"]},
    )
    quotes: bool = Field(
        default=False,
        description="Ask for the documents' own words before each citation.",
        json_schema_extra={"langgraph_nodes": ["answer"]},
    )
    fusion: FusionMethod = Field(
        default="reciprocal_rank",
        description="How the rankings are made one.",
        json_schema_extra={"langgraph_nodes": ["fuse"]},
    )
    min_relevant: int = Field(
        default=1, ge=1, description="Relevant documents that are enough, where they are graded."
    )
    max_rounds: int = Field(
        default=2, ge=1, le=10, description="Times to retrieve, where documents are graded."
    )
    timeout: float = Field(default=30, gt=0, description="Seconds that one search may take.")
    history_turns: int = Field(
        default=6, ge=0, description="Earlier questions by which a follow-up is understood."
    )
    max_question_chars: int = Field(
        default=20_000, ge=1, description="Characters that a question may have."
    )
    max_document_chars: int = Field(
        default=24_000, ge=500, description="Characters of documents in one prompt, together."
    )
    max_sentences: int | None = Field(
        default=None,
        ge=1,
        le=500,
        description="Sentences that an extractive answer chooses from; empty for 24, or as many "
        "as the embedded model can choose among.",
    )


class Retrieved(TypedDict):
    """One ranking that one source returned for one query."""

    query: str
    source: str
    weight: float
    documents: list[Document]


class PartialAnswer(TypedDict):
    """The answer to one part of the question."""

    question: str
    answer: str


class RagInput(TypedDict, total=False):
    """A question, or the messages of a conversation that ends with one."""

    question: AskedQuestion
    messages: AskedMessages


class RagOutput(TypedDict, total=False):
    """An answer, what it stands on, and the steps that failed and were gone on without."""

    answer: str
    messages: Annotated[list[AnyMessage], add_messages]
    documents: list[Document]
    citations: list[Citation]
    failures: list[StepFailed]


class RagState(TypedDict, total=False):
    """All that flows between the nodes.

    `searched` is the question as it is searched for; `queries` are all that were searched for,
    `wanted` those to search for next; `relevant` and `irrelevant` are ids of graded documents.
    """

    question: Annotated[str, EphemeralValue]
    messages: Annotated[list[AnyMessage], add_messages]
    searched: str
    written: Annotated[list[Query], extend]
    queries: list[Query]
    wanted: list[Query]
    retrieved: Annotated[list[Retrieved], extend]
    documents: list[Document]
    relevant: list[str]
    irrelevant: list[str]
    round: int
    parts: Annotated[list[PartialAnswer], extend]
    answer: str
    citations: list[Citation]
    problems: list[str]
    failures: Annotated[list[StepFailed], extend]


class RewriteTask(TypedDict):
    """What one rewriting needs; `asked_with` names the model and prompts, for the cache."""

    question: str
    technique: int
    asked_with: str


class RetrieveTask(TypedDict):
    """What one search needs."""

    query: Query
    source: int
    k: int
    where: Mapping[str, Any] | None
    scored: bool


class PartTask(TypedDict):
    """What answering one part of the question needs."""

    question: str
    documents: list[Document]


@dataclass(frozen=True)
class RagNodes:
    """The nodes of one graph, and the parts that they work with.

    With `falls_back`, the last of the sources is the fallback.
    """

    context: type[RagContext]
    sources: Sequence[Source]
    falls_back: bool
    rewriters: Sequence[Rewriter]
    search_question: bool
    reranker: Reranker | None
    grades: bool
    caches: bool

    @property
    def answers_parts(self) -> bool:
        """Whether parts of the question are answered by themselves."""
        return any(isinstance(rewriter, Decompose) for rewriter in self.rewriters)

    async def read_question(self, state: RagState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Take the question; a follow-up is first made to stand alone."""
        settings = self.context.of_run(runtime)
        asked = read_input(state, max_chars=settings.max_question_chars)
        return {
            **_fresh_run(),
            "messages": new_messages(asked),
            "searched": await stand_alone(asked, settings),
        }

    def first_tasks(self, state: RagState, runtime: Runtime[Any]) -> list[Send]:
        """Rewrite, and meanwhile search for the question itself."""
        settings = self.context.of_run(runtime)
        searched = state["searched"]
        asked_with = settings.fingerprint if self.caches else ""
        tasks = [
            Send("rewrite", RewriteTask(question=searched, technique=n, asked_with=asked_with))
            for n in range(len(self.rewriters))
        ]
        if self.search_question:
            question = query(searched, kind="question")
            tasks += self._search_tasks("retrieve_question", [question], settings)
        return tasks

    async def rewrite(self, task: RewriteTask, runtime: Runtime[Any]) -> dict[str, Any]:
        """Write search queries by one technique."""
        settings = self.context.of_run(runtime)
        queries = await self.rewriters[task["technique"]].rewrite(
            task["question"], model=settings.chat_model, prompts=settings.prompt_set
        )
        return {"written": queries}

    def rewrite_failed(self, state: RewriteTask, error: NodeError) -> Command[Any]:
        """Go on without this technique."""
        name = type(self.rewriters[state["technique"]]).__name__
        return gone_without("rewrite", name, error, goto="collect_queries")

    async def collect_queries(self, state: RagState, runtime: Runtime[Any]) -> dict[str, Any]:  # noqa: ARG002
        """Drop empty and repeated queries; where none is left, search for the question."""
        queries = distinct(state["written"], known=[state["searched"]] * self.search_question)
        if not queries and not self.search_question:
            queries = [query(state["searched"], kind="question")]
        emit({"type": "queries_written", "queries": [item["text"] for item in queries]})
        return {"queries": queries, "wanted": queries}

    def wanted_tasks(self, state: RagState, runtime: Runtime[Any]) -> list[Send] | str:
        """Search for every wanted query in every source, all at once."""
        settings = self.context.of_run(runtime)
        return self._search_tasks("retrieve", state["wanted"], settings) or "fuse"

    async def retrieve(self, task: RetrieveTask, runtime: Runtime[Any]) -> dict[str, Any]:
        """Search for one query in one source."""
        source, item = self.sources[task["source"]], task["query"]
        if item["passages"] and not source.can_search_by_vector(scored=task["scored"]):
            emit({"type": "notice", "message": _searched_as_text(source)})
        rankings = await source.asearch(
            item,
            k=task["k"],
            where=task["where"],
            timeout=self.context.of_run(runtime).timeout,
            scored=task["scored"],
        )
        count = sum(len(ranking) for ranking in rankings)
        emit(
            {
                "type": "documents_found",
                "query": item["text"],
                "retriever": source.name,
                "count": count,
            }
        )
        weight = source.weight / len(rankings)
        return {
            "retrieved": [
                Retrieved(query=item["text"], source=source.name, weight=weight, documents=ranking)
                for ranking in rankings
            ]
        }

    async def retrieve_question(self, task: RetrieveTask, runtime: Runtime[Any]) -> dict[str, Any]:
        """Search for the question itself in one source."""
        return await self.retrieve(task, runtime)

    def retrieve_question_failed(self, state: RetrieveTask, error: NodeError) -> Command[Any]:
        """Go on without this source."""
        after = "collect_queries" if self.rewriters else "fuse"
        return gone_without("retrieve", self.sources[state["source"]].name, error, goto=after)

    def retrieve_failed(self, state: RetrieveTask, error: NodeError) -> Command[Any]:
        """Go on without this source."""
        return gone_without("retrieve", self.sources[state["source"]].name, error, goto="fuse")

    async def fuse(self, state: RagState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Make one ranking of all, without what was graded as irrelevant.

        Raises:
            RetrievalError: When every search failed.
        """
        settings = self.context.of_run(runtime)
        if not state["retrieved"] and state["failures"]:
            told = "; ".join(f"{item['name']}: {item['error']}" for item in state["failures"])
            raise RetrievalError(f"No search succeeded. {told}")
        fused = FUSIONS[settings.fusion](
            [ranking["documents"] for ranking in state["retrieved"]],
            weights=[ranking["weight"] for ranking in state["retrieved"]],
        )
        dropped = set(state["irrelevant"])
        documents = [document for document in fused if document_id(document) not in dropped]
        if self.reranker is None:
            return _ranked(documents[: settings.k])
        return {"documents": documents[: settings.candidates]}

    async def rerank(self, state: RagState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Put the fused documents in a better order and keep the best."""
        settings = self.context.of_run(runtime)
        documents = state["documents"]
        if self.reranker is not None and len(documents) > 1:
            documents = await self.reranker.rerank(
                state["searched"],
                documents,
                model=settings.chat_model,
                prompts=settings.prompt_set,
            )
        return _ranked(documents[: settings.k])

    def rerank_failed(
        self, state: RagState, error: NodeError, runtime: Runtime[Any]
    ) -> Command[Any]:
        """Go on with the fused order."""
        best = _ranked(state["documents"][: self.context.of_run(runtime).k])
        goto = "grade" if self.grades else self.answer_tasks({**state, **best}, runtime)  # type: ignore[typeddict-item]
        return gone_without("rerank", type(self.reranker).__name__, error, goto=goto, **best)

    async def grade(self, state: RagState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Keep the documents that help to answer, and note which do not."""
        settings = self.context.of_run(runtime)
        fresh = [
            document
            for document in state["documents"]
            if document_id(document) not in state["relevant"]
        ]
        helping = await relevant_documents(
            state["searched"],
            fresh,
            model=settings.chat_model,
            prompts=settings.prompt_set,
            max_chars=settings.max_document_chars,
        )
        relevant = {*state["relevant"], *(document_id(document) for document in helping)}
        irrelevant = {*state["irrelevant"], *(document_id(document) for document in fresh)}
        kept = [document for document in state["documents"] if document_id(document) in relevant]
        emit({"type": "documents_graded", "relevant": len(helping), "graded": len(fresh)})
        return {
            **_ranked(kept),
            "relevant": sorted(relevant),
            "irrelevant": sorted(irrelevant - relevant),
        }

    def grade_failed(
        self, state: RagState, error: NodeError, runtime: Runtime[Any]
    ) -> Command[Any]:
        """Go on with the documents as they are."""
        return gone_without("grade", "rag.grade", error, goto=self.answer_tasks(state, runtime))

    def after_grading(self, state: RagState, runtime: Runtime[Any]) -> list[Send] | str:
        """Search again while too few documents are relevant and a round is left."""
        settings = self.context.of_run(runtime)
        rounds = settings.max_rounds + (self.falls_back)
        if len(state["documents"]) < settings.min_relevant and state["round"] < rounds:
            return "search_again"
        return self.answer_tasks(state, runtime)

    async def search_again(self, state: RagState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Write a query for another round; the last one, in the fallback, needs none."""
        settings = self.context.of_run(runtime)
        this_round = state["round"] + 1
        if this_round > settings.max_rounds:
            return {"round": this_round, "wanted": []}
        queries = await new_query(
            state["searched"],
            [item["text"] for item in state["queries"]],
            model=settings.chat_model,
            prompts=settings.prompt_set,
        )
        emit({"type": "queries_written", "queries": [item["text"] for item in queries]})
        return {"round": this_round, "queries": [*state["queries"], *queries], "wanted": queries}

    def search_again_failed(
        self, state: RagState, error: NodeError, runtime: Runtime[Any]
    ) -> Command[Any]:
        """Answer from what is there."""
        goto = self.answer_tasks(state, runtime)
        return gone_without("search_again", "rag.search_again", error, goto=goto)

    def again_tasks(self, state: RagState, runtime: Runtime[Any]) -> list[Send] | str:
        """Search for the new query; without one, for the question in the fallback."""
        settings = self.context.of_run(runtime)
        if state["wanted"]:
            return self._search_tasks("retrieve", state["wanted"], settings)
        if not self.falls_back:
            return self.answer_tasks(state, runtime)
        question = query(state["searched"], kind="question")
        return [_search_task("retrieve", question, len(self.sources) - 1, settings)]

    def answer_tasks(self, state: RagState, runtime: Runtime[Any]) -> list[Send] | str:
        """Answer each part of the question where it has parts, else the question."""
        if self.context.of_run(runtime).answer == "none":
            return END
        documents = state["documents"]
        parts = [item["text"] for item in state["queries"] if item["kind"] == "sub_question"]
        if not documents or not parts or not self.answers_parts:
            return "answer"
        return [Send("answer_part", PartTask(question=part, documents=documents)) for part in parts]

    async def answer_part(self, task: PartTask, runtime: Runtime[Any]) -> dict[str, Any]:
        """Answer one part of the question."""
        settings = self.context.of_run(runtime)
        if _extracts(settings):
            told = await self._extract(task["question"], task["documents"], settings)
        else:
            told = (await _write(task["question"], task["documents"], settings)).text
        return {"parts": [PartialAnswer(question=task["question"], answer=told)]}

    def answer_part_failed(self, state: PartTask, error: NodeError) -> Command[Any]:
        """Combine the other parts."""
        return gone_without("answer_part", state["question"], error, goto="answer")

    async def answer(self, state: RagState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Answer from the documents, or say that they hold no answer."""
        settings = self.context.of_run(runtime)
        documents = state["documents"]
        parts = {part["question"]: part["answer"] for part in state["parts"]}
        if not documents:
            message = _said(NOT_IN_DOCUMENTS)
        elif _extracts(settings):
            told = list(parts.values()) or [
                await self._extract(state["searched"], documents, settings)
            ]
            message = _said(_joined(told))
        else:
            message = await _write(state["searched"], documents, settings, parts, stream=True)
        checked = check_answer(message.text, documents, quotes=settings.quotes)
        return {
            "answer": message.text,
            "messages": [message],
            "citations": checked.citations,
            "problems": checked.problems,
        }

    def after_answer(self, state: RagState, runtime: Runtime[Any]) -> str:  # noqa: ARG002
        """Repair an answer whose citations do not hold."""
        return "repair_citations" if state["problems"] else END

    async def repair_citations(self, state: RagState, runtime: Runtime[Any]) -> dict[str, Any]:
        """Have the answer written again, once; then drop the citations that still do not hold."""
        settings = self.context.of_run(runtime)
        documents = state["documents"]
        written = await repair_answer(
            state["searched"],
            state["answer"],
            state["problems"],
            documents,
            model=settings.chat_model,
            prompts=settings.prompt_set,
            max_chars=settings.max_document_chars,
        )
        checked = check_answer(written, documents, quotes=settings.quotes)
        emit({"type": "answer_repaired", "problems": state["problems"], "answer": checked.text})
        return {
            "answer": checked.text,
            "messages": [AIMessage(checked.text, id=state["messages"][-1].id)],
            "citations": checked.citations,
            "problems": checked.problems,
            "failures": [
                step_failed("cite", "rag.repair_citations", PromptOutputError(problem))
                for problem in checked.problems
            ],
        }

    def repair_failed(
        self, state: RagState, error: NodeError, runtime: Runtime[Any]
    ) -> Command[Any]:
        """Keep the answer, without the citations that do not hold."""
        if not state["answer"].strip():
            raise error.error
        quotes = self.context.of_run(runtime).quotes
        checked = check_answer(state["answer"], state["documents"], quotes=quotes)
        return gone_without(
            "cite",
            "rag.repair_citations",
            error,
            goto=END,
            answer=checked.text,
            messages=[AIMessage(checked.text, id=state["messages"][-1].id)],
            citations=checked.citations,
        )

    async def _extract(
        self, question: str, documents: Sequence[Document], settings: RagContext
    ) -> str:
        model = settings.chat_model
        return await extract_answer(
            question,
            documents,
            model=model,
            prompts=settings.prompt_set,
            embeddings=next((s.embeddings for s in self.sources if s.embeddings), None),
            max_sentences=settings.max_sentences or most_choices(model) or DEFAULT_SENTENCES,
            max_chars=settings.max_document_chars,
        )

    def _search_tasks(
        self, node: str, queries: Sequence[Query], settings: RagContext
    ) -> list[Send]:
        count = len(self.sources) - (self.falls_back)
        return [
            _search_task(node, item, place, settings) for item in queries for place in range(count)
        ]


def _fresh_run() -> dict[str, Any]:
    """What a run starts from, whatever an earlier run of the same thread left."""
    return {
        "written": Overwrite([]),
        "queries": [],
        "wanted": [],
        "retrieved": Overwrite([]),
        "documents": [],
        "relevant": [],
        "irrelevant": [],
        "round": 1,
        "parts": Overwrite([]),
        "answer": "",
        "citations": [],
        "problems": [],
        "failures": Overwrite([]),
    }


def _search_task(node: str, item: Query, source: int, settings: RagContext) -> Send:
    task: RetrieveTask = {
        "query": item,
        "source": source,
        "k": settings.candidates,
        "where": settings.where,
        "scored": settings.fusion != "reciprocal_rank",
    }
    return Send(node, task)


def _searched_as_text(source: Source) -> str:
    return (
        f"{source.name} cannot be searched by vector: each hypothetical passage is searched for "
        "as text, and the results are fused."
    )


def _with_documents(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state, whose documents are mappings where it was edited as JSON."""
    changed: dict[str, Any] = {}
    if "documents" in state:
        changed["documents"] = [as_document(each) for each in state["documents"]]
    if "retrieved" in state:
        changed["retrieved"] = [
            {**ranking, "documents": [as_document(each) for each in ranking["documents"]]}
            for ranking in state["retrieved"]
        ]
    return {**state, **changed}


def _ranked(documents: Sequence[Document]) -> dict[str, Any]:
    ranked = [annotate(document, rank=rank) for rank, document in enumerate(documents, 1)]
    emit({"type": "documents_ranked", "documents": ranked})
    return {"documents": ranked}


def _extracts(settings: RagContext) -> bool:
    if settings.answer == "auto":
        return most_choices(settings.chat_model) is not None
    return settings.answer == "extractive"


async def _write(
    question: str,
    documents: Sequence[Document],
    settings: RagContext,
    parts: Mapping[str, str] | None = None,
    *,
    stream: bool = False,
) -> AIMessage:
    return await write_answer(
        question,
        documents,
        model=settings.chat_model,
        prompts=settings.prompt_set,
        parts=parts,
        quotes=settings.quotes,
        max_chars=settings.max_document_chars,
        stream=stream,
    )


def _said(text: str) -> AIMessage:
    return AIMessage(text, id=str(uuid4()))


def _joined(told: Sequence[str]) -> str:
    """The parts' answers, each once, without those that say that there is none."""
    found = [text for text in dict.fromkeys(told) if text != NOT_IN_DOCUMENTS]
    return " ".join(found) or NOT_IN_DOCUMENTS


class RagDefaults(TypedDict, total=False):
    """The fields of `RagContext`, as a factory takes their defaults."""

    temperature: float | None
    k: int
    candidates: int
    where: Mapping[str, Any] | None
    answer: AnswerMode
    quotes: bool
    fusion: FusionMethod
    min_relevant: int
    max_rounds: int
    timeout: float
    history_turns: int
    max_question_chars: int
    max_document_chars: int
    max_sentences: int | None


class RagOptions(RagDefaults, total=False):
    """The options of `create_rag` that `create_hyde_rag` and `create_fusion_rag` take too."""

    reranker: Reranker | None
    grade: bool
    fallback: Any
    prompts: PromptOverrides
    retry: RetryPolicy | None
    cache: BaseCache[Any] | None
    cache_ttl: int | None
    checkpointer: Checkpointer
    store: BaseStore | None
    name: str


RagGraph: TypeAlias = CompiledStateGraph[RagState, RagContext, RagInput, RagOutput]


def create_rag(
    model: str | BaseChatModel | None,
    data: Any,
    *,
    rewrite: Rewriter | Sequence[Rewriter] = (),
    search_question: bool = True,
    reranker: Reranker | None = None,
    grade: bool = False,
    fallback: Any = None,
    prompts: PromptOverrides = None,
    retry: RetryPolicy | None = RETRY,
    cache: BaseCache[Any] | None = None,
    cache_ttl: int | None = None,
    checkpointer: Checkpointer = None,
    store: BaseStore | None = None,
    name: str = "rag",
    **defaults: Unpack[RagDefaults],
) -> RagGraph:
    """A graph that answers questions from documents, with checked citations.

    ```
    read_question ─┬─ retrieve_question ─┬──────────────────────── fuse ─ (rerank) ─┬─ answer
                   └─ (rewrite × n) ─ collect_queries ─ retrieve × n ┘              │
                             search_again ───────────── retrieve ◄── (grade) ◄──────┘
    ```

    It takes `{"question": …}` or `{"messages": […]}` and returns `RagOutput`.

    Args:
        model: A chat model or its spec, as `agentkit.chat_model` takes it.
        data: What to search: a LangChain retriever or vector store, a LlamaIndex retriever or
            query engine, an `Index`, any of them in a `Source`, or a list of these.
        rewrite: Techniques that write further queries: `MultiQuery`, `HyDE`, `StepBack`,
            `Decompose`, any mix of them, or your own `Rewriter`.
        search_question: Whether the question itself is searched for beside its rewritings.
        reranker: Puts the fused documents in a better order before the best `k` are kept.
        grade: Whether the model judges the documents, and searches again when fewer than
            `min_relevant` help, at most `max_rounds` times.
        fallback: What to search, of the kinds that `data` may be, when grading found too little.
        prompts: Overridden prompts: a mapping by name, or the path of a saved `PromptSet`.
        retry: How transient errors of models and retrievers are retried; None for not at all.
        cache: A LangGraph cache for what rewriting and retrieval return. It is shared by graphs of
            the same name: give graphs over different data different names.
        cache_ttl: Seconds that a cached result is good for; None for ever.
        checkpointer: A LangGraph checkpointer, for conversations and resuming.
        store: A LangGraph store, for nodes of yours.
        name: The graph's name.
        defaults: Defaults for the fields of `RagContext`, which a run overrides by `context=`.

    Returns:
        A compiled LangGraph graph.

    Raises:
        ConfigurationError: When an option, the model or the data cannot work.
        UnknownPromptError: When `prompts` names one that this graph lacks.
    """
    is_one = isinstance(rewrite, str) or not isinstance(rewrite, Sequence)
    rewriters: list[Any] = [rewrite] if is_one else [*cast("Sequence[Any]", rewrite)]
    _check_techniques(rewriters, reranker)
    asks = [STANDALONE, *ANSWERING_PROMPTS, *(GRADING_PROMPTS if grade else ())]
    asks += [prompt for rewriter in rewriters for prompt in rewriter.prompts]
    asks += reranker.prompts if reranker is not None else ()
    sources = as_sources(data)
    if fallback is not None:
        sources = as_sources([*sources, fallback])
    nodes = RagNodes(
        context=RagContext.built(asks, model=model, prompts=prompts, **defaults),
        sources=sources,
        falls_back=fallback is not None,
        rewriters=rewriters,
        search_question=search_question or not rewriters,
        reranker=reranker,
        grades=grade,
        caches=cache is not None,
    )
    graph = _wired(nodes, retry, cache_policy(name, cache_ttl) if cache is not None else None)
    return drawable(graph.compile(checkpointer=checkpointer, store=store, cache=cache, name=name))


def _check_techniques(rewriters: Sequence[Any], reranker: Any) -> None:
    for rewriter in rewriters:
        if inspect.isclass(rewriter) or not hasattr(rewriter, "rewrite"):
            raise ConfigurationError(
                "`rewrite` takes MultiQuery(), HyDE(), StepBack(), Decompose() or a Rewriter of "
                f"yours, or a list of them; got {shortened(repr(rewriter), 80)}."
            )
    if reranker is not None and (inspect.isclass(reranker) or not hasattr(reranker, "rerank")):
        raise ConfigurationError(
            "`reranker` takes one of agentkit.retrieval, such as ListwiseReranker(), a Reranker of "
            "yours, or CompressorReranker(…) of a LangChain compressor; got "
            f"{shortened(repr(reranker), 80)}."
        )


def _wired(
    nodes: RagNodes, retry: RetryPolicy | None, cached: CachePolicy[Any] | None
) -> StateGraph[RagState, RagContext, RagInput, RagOutput]:
    graph = StateGraph(
        RagState, context_schema=nodes.context, input_schema=RagInput, output_schema=RagOutput
    )

    def add(run: NodeFunction, **options: Any) -> None:
        node = Node(run, _with_documents)
        options = {"input_schema": RagState, "retry_policy": retry, **options}
        graph.add_node(str(node.name), node, **options)

    def branch(after: str, choose: EdgeFunction, ends: list[str]) -> None:
        graph.add_conditional_edges(after, Edge(choose, _with_documents), ends)

    search: dict[str, Any] = {"input_schema": RetrieveTask, "cache_policy": cached}
    add(nodes.read_question)
    add(nodes.fuse)
    add(nodes.answer)
    add(nodes.repair_citations, error_handler=nodes.repair_failed)
    graph.add_edge(START, "read_question")
    branch("answer", nodes.after_answer, ["repair_citations", END])

    first = ["rewrite"] * bool(nodes.rewriters) + ["retrieve_question"] * nodes.search_question
    branch("read_question", nodes.first_tasks, first)
    if nodes.search_question:
        add(nodes.retrieve_question, error_handler=nodes.retrieve_question_failed, **search)
        graph.add_edge("retrieve_question", "collect_queries" if nodes.rewriters else "fuse")
    if nodes.rewriters or nodes.grades:
        add(nodes.retrieve, error_handler=nodes.retrieve_failed, **search)
        graph.add_edge("retrieve", "fuse")
    if nodes.rewriters:
        add(
            nodes.rewrite,
            error_handler=nodes.rewrite_failed,
            input_schema=RewriteTask,
            cache_policy=cached,
        )
        add(nodes.collect_queries)
        graph.add_edge("rewrite", "collect_queries")
        branch("collect_queries", nodes.wanted_tasks, ["retrieve", "fuse"])

    ends = ["answer", END]
    if nodes.answers_parts:
        add(nodes.answer_part, error_handler=nodes.answer_part_failed, input_schema=PartTask)
        graph.add_edge("answer_part", "answer")
        ends.append("answer_part")
    ranked = "fuse"
    if nodes.reranker is not None:
        add(nodes.rerank, error_handler=nodes.rerank_failed)
        graph.add_edge(ranked, "rerank")
        ranked = "rerank"
    if nodes.grades:
        add(nodes.grade, error_handler=nodes.grade_failed)
        add(nodes.search_again, error_handler=nodes.search_again_failed)
        graph.add_edge(ranked, "grade")
        branch("grade", nodes.after_grading, ["search_again", *ends])
        branch("search_again", nodes.again_tasks, ["retrieve", *ends])
    else:
        branch(ranked, nodes.answer_tasks, ends)
    return graph
