"""The graphs that the guides draw and list, with no model behind them."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.graph.state import CompiledStateGraph

from agentkit import (
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
from agentkit.retrieval import (
    Decompose,
    HyDE,
    ListwiseReranker,
    MultiQuery,
    PointwiseReranker,
    StepBack,
)
from agentkit.testing import HashEmbeddings, Script, ScriptedChatModel
from agentkit.tools import search_documents

Graph = CompiledStateGraph[Any, Any, Any, Any]

MUSIC_SHOP = Path(__file__).parents[2] / "examples" / "music_shop" / "music_shop.sqlite"
NOWHERE = "neo4j://127.0.0.1:1"
MODEL = ScriptedChatModel(script=Script())


@cache
def documents() -> InMemoryVectorStore:
    """A vector store with nothing in it."""
    return InMemoryVectorStore(HashEmbeddings())


def rag() -> Graph:
    """As it is by default."""
    return create_rag(MODEL, documents())


def rag_with_all() -> Graph:
    """With every step that can be switched on."""
    rewrite = [MultiQuery(), HyDE(), StepBack(), Decompose()]
    return create_rag(
        MODEL,
        documents(),
        rewrite=rewrite,
        reranker=_BothRerankers(),
        grade=True,
    )


def fusion_rag() -> Graph:
    """As it is by default."""
    return create_fusion_rag(MODEL, documents())


def hyde_rag() -> Graph:
    """As it is by default."""
    return create_hyde_rag(MODEL, documents())


def text_to_sql() -> Graph:
    """Over the example's database, with approval."""
    return create_text_to_sql(MODEL, str(MUSIC_SHOP), approve="always")


def text_to_cypher() -> Graph:
    """Over a database that is never asked, with approval."""
    return create_text_to_cypher(MODEL, NOWHERE, approve="always")


def tool_agent() -> Graph:
    """With a tool, and a budget for the conversation, so that it has all its prompts."""
    return create_tool_agent(MODEL, [search_documents(documents())], max_prompt_tokens=8_000)


def plain_agent() -> Graph:
    """With nothing but tools."""
    return create_tool_agent(MODEL, [search_documents(documents())])


def memory_chat() -> Graph:
    """With a chat model."""
    return create_memory_chat(MODEL)


def chat_of_rag() -> Graph:
    """With a graph that replies."""
    return create_memory_chat(rag())


def router() -> Graph:
    """With two graphs and the model itself."""
    return create_router(
        MODEL,
        [
            Route("library", rag(), "The library: opening hours, loans, fees, rooms, events."),
            Route("shop", create_text_to_sql(MODEL, str(MUSIC_SHOP)), "The shop's database."),
            Route("chat", None, "Greetings and small talk."),
        ],
    )


class _BothRerankers(ListwiseReranker):
    """Has the prompts of both re-rankers that ask a chat model."""

    prompts = (*ListwiseReranker.prompts, *PointwiseReranker.prompts)


GRAPHS: Mapping[str, Callable[[], Graph]] = {
    made.__name__: cache(made)
    for made in (
        rag,
        rag_with_all,
        fusion_rag,
        hyde_rag,
        text_to_sql,
        text_to_cypher,
        tool_agent,
        plain_agent,
        memory_chat,
        chat_of_rag,
        router,
    )
}
