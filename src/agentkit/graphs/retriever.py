"""A graph as a retriever: everything up to its documents, without an answer."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langgraph.graph.state import CompiledStateGraph


class GraphRetriever(BaseRetriever):
    """A graph of `create_rag` and its kin as a LangChain retriever.

    The graph rewrites, searches, fuses, re-ranks and grades as it always does, and stops there.

    Args:
        graph: The graph.
        k: How many documents to return; None for as many as the graph keeps. A call may name
            another: `retriever.invoke(question, k=3)`.
    """

    graph: CompiledStateGraph[Any, Any, Any, Any]
    k: int | None = None

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        config = {"callbacks": run_manager.get_child()}
        found = self.graph.invoke({"question": query}, config, context=self._context(k))  # type: ignore[call-overload]
        return list(found["documents"])

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        config = {"callbacks": run_manager.get_child()}
        found = await self.graph.ainvoke({"question": query}, config, context=self._context(k))  # type: ignore[call-overload]
        return list(found["documents"])

    def _context(self, k: int | None) -> dict[str, Any]:
        wanted = self.k if k is None else k
        return {"answer": "none", **({} if wanted is None else {"k": wanted})}
