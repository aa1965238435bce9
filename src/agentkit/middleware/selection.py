"""Tool selection: of many tools, the ones that a question is about."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool
from pydantic import BaseModel, Field

from agentkit._sync import run_sync
from agentkit.databases.meaning_index import MeaningIndex
from agentkit.databases.words_index import WordIndex, split_words
from agentkit.events import emit
from agentkit.middleware.results import is_question, run_messages
from agentkit.retrieval.fusion import fused_keys
from agentkit.tools._aged import AgedCache
from agentkit.tools._making import make_tool

FIND_TOOLS = "find_tools"
"""The name of the tool by which a model looks for further tools."""

FUSION_WEIGHTS = (1.0, 2.0)
"""How much a tool's place counts among those found by words, and among those by meaning."""

FUSION_K = 5
"""How little the first places stand out, as `reciprocal_rank_fusion` takes it.

Both are what `benchmarks/tool_selection.py` finds best on the half of its questions that it tunes
on: with a paper's 60, tools that are middling by words and by meaning hide the one that is the
best by meaning alone.
"""

_MOST_RANKED = 50
_FOUND = 8
_RANKINGS_KEPT = 256
_WEIGHTS = (4, 2, 1)  # name, description, arguments


class Wanted(BaseModel):
    """What a tool is looked for that does it."""

    purpose: str = Field(min_length=1, description="What the tool should do, in a few words")


class ToolIndex:
    """Tools, found by their names, descriptions and arguments.

    Args:
        tools: The tools.
        embeddings: Embeddings, by which they are also found by meaning; None for the words alone.
    """

    def __init__(self, tools: Sequence[BaseTool], *, embeddings: Embeddings | None = None) -> None:
        texts = {tool.name: _fields(tool) for tool in tools}
        self._embeddings = embeddings
        self._words = WordIndex(texts, weights=_WEIGHTS)
        self._meaning = MeaningIndex(
            lambda: {name: ". ".join(fields[:2]) for name, fields in texts.items()},
            embeddings,
            step="select_tools",
        )
        self._ranked: AgedCache[list[str]] = AgedCache(_RANKINGS_KEPT, math.inf)

    async def asearch(self, purpose: str, *, k: int) -> list[str]:
        """The names of the tools that do what is wanted, best first.

        Args:
            purpose: What is wanted, in any words.
            k: How many names to return at most.
        """
        ranked = self._ranked.get(purpose)  # every step of a run asks for the same
        if ranked is None:
            by_words, by_meaning = await self.arankings(purpose)
            ranked = fused(by_words, by_meaning)
            if by_meaning or self._embeddings is None:  # else they may have failed: asked again
                self._ranked.put(purpose, ranked)
        return ranked[:k]

    async def arankings(self, purpose: str) -> tuple[list[str], list[str]]:
        """The names of the nearest tools by words, and those by meaning, each best first.

        Args:
            purpose: What is wanted, in any words.
        """
        return await asyncio.gather(
            asyncio.to_thread(self._words.search, purpose, k=_MOST_RANKED),
            self._meaning.asearch(purpose, k=_MOST_RANKED),
        )


def fused(
    by_words: Sequence[str],
    by_meaning: Sequence[str],
    *,
    weights: Sequence[float] = FUSION_WEIGHTS,
    k: float = FUSION_K,
) -> list[str]:
    """One ranking of tools out of two.

    Args:
        by_words: Names of tools, best first, by the words that they share with what is wanted.
        by_meaning: Names of tools, best first, by embeddings.
        weights: How much each of the two counts.
        k: How little their first places stand out.
    """
    return list(fused_keys([by_words, by_meaning], weights=weights, k=k))


class ToolSelection(AgentMiddleware[AgentState[Any], Any, Any]):
    """Offers a model, of many tools, those for its question, and one that finds others.

    What `find_tools` has found is offered from then on, and so is what was called already.

    Args:
        tools: The agent's tools.
        offered: How many tools are offered for a question, beside those found and called.
        always: Names of tools that are offered whatever the question.
        embeddings: Embeddings, by which tools are also found by meaning; None for words alone.
    """

    def __init__(
        self,
        tools: Sequence[BaseTool],
        *,
        offered: int = 24,
        always: Sequence[str] = (),
        embeddings: Embeddings | None = None,
    ) -> None:
        super().__init__()
        self._index = ToolIndex(tools, embeddings=embeddings)
        self._offered = offered
        self._always = set(always)
        self._descriptions = {tool.name: " ".join(tool.description.split()) for tool in tools}
        self.tools = [
            make_tool(
                self._find_tools,
                "Find tools that are not offered yet. Call it when none of the tools does what is "
                "needed; those that it finds can be called after that.",
                Wanted,
                name=FIND_TOOLS,
            )
        ]

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Ask the model with the tools for its question."""
        if not request.tools:
            return handler(request)
        names = run_sync(lambda: self._names(request))
        return handler(request.override(tools=_among(request, names)))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """The same as `wrap_model_call`, async."""
        if not request.tools:
            return await handler(request)
        names = await self._names(request)
        return await handler(request.override(tools=_among(request, names)))

    async def _find_tools(self, purpose: str) -> tuple[str, dict[str, Any]]:
        names = await self._index.asearch(purpose, k=_FOUND)
        told = "\n".join(f"{name}: {self._descriptions[name]}" for name in names)
        return told or "No tool does that.", {"tools": names}

    async def _names(self, request: ModelRequest[Any]) -> set[str]:
        question = next((m.text for m in reversed(request.messages) if is_question(m)), "")
        calls = [
            call
            for message in run_messages(request.messages)
            if isinstance(message, AIMessage)
            for call in message.tool_calls
        ]
        wanted = [str(call["args"].get("purpose")) for call in calls if call["name"] == FIND_TOOLS]
        chosen, *found = await asyncio.gather(
            self._index.asearch(question, k=self._offered),
            *(self._index.asearch(purpose, k=_FOUND) for purpose in wanted),
        )
        if not calls:
            emit({"type": "tools_selected", "tools": chosen})
        called = {call["name"] for call in calls}
        return {FIND_TOOLS, *self._always, *called, *chosen, *(n for names in found for n in names)}


def _among(request: ModelRequest[Any], names: set[str]) -> list[BaseTool | dict[str, Any]]:
    """The tools of a request that have one of these names, and those of the provider."""
    return [tool for tool in request.tools if isinstance(tool, dict) or tool.name in names]


def _fields(tool: BaseTool) -> tuple[str, str, str]:
    arguments = " ".join(
        f"{name} {about.get('description', '')}" for name, about in tool.args.items()
    )
    return split_words(tool.name), tool.description, arguments
